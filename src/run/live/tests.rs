//! The live folder: claims, intents, and what a dead process leaves.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use bstr::BString;

use super::*;
use crate::clock::Micros;
use crate::fs::NthEffect;
use crate::run::observer::Stream;

struct Bench {
    _dir: tempfile::TempDir,
    live: Live,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let live = Live::new(Fs::real(), dir.path().join(".prov/live"), Process::current());
        Self { _dir: dir, live }
    }

    fn intent(&self, run: &str, outputs: &[&str]) -> Intent {
        Intent {
            run: run.to_owned(),
            project: "p".to_owned(),
            scenario: "main".to_owned(),
            step: "clean".to_owned(),
            recipe: Some(hash::blob(b"recipe")),
            parent: None,
            started_at: Micros(1_795_342_830_123_456),
            argv: vec!["python".into(), BString::from(b"\xff".as_slice())],
            cwd: "sub".into(),
            outputs: outputs.iter().map(|&path| path.into()).collect(),
            sets: Vec::new(),
            op: *b"0123456789abcdef",
            owner: self.live.here().clone(),
            open: None,
        }
    }

    fn begin(&self, run: &str, outputs: &[&str]) -> Running {
        self.live.begin(self.intent(run, outputs)).unwrap()
    }

    /// A run of another process.
    fn begin_as(&self, owner: Process, run: &str, outputs: &[&str]) -> Running {
        self.live.begin(Intent { owner, ..self.intent(run, outputs) }).unwrap()
    }

    fn state(&self, run: &str) -> State {
        self.live.entry(run).unwrap().state
    }
}

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_is_seen_from_its_beginning_to_its_end() {
    let bench = Bench::new();
    assert_eq!(bench.live.list().unwrap(), []);
    assert!(bench.live.is_empty().unwrap());
    let running = bench.begin("r-1", &["out"]);
    let entry = bench.live.entry("r-1").unwrap();
    assert_eq!(entry.intent.as_ref(), Some(running.intent()));
    assert_eq!(entry.state, State::Running);
    assert_eq!(bench.live.list().unwrap(), [entry]);
    running.end().unwrap();
    assert_eq!(bench.live.list().unwrap(), []);
    assert!(bench.live.is_empty().unwrap(), "nothing stays behind");
    bench.live.end("r-1").unwrap();
}

#[test]
fn a_run_id_begins_only_once() {
    let bench = Bench::new();
    let _running = bench.begin("r-1", &[]);
    assert!(bench.live.begin(bench.intent("r-1", &["other"])).is_err());
    assert_eq!(bench.live.entry("r-1").unwrap().intent.unwrap().outputs, Vec::<BString>::new());
    for bad in ["", "..", ".new-x", "a/b"] {
        assert!(matches!(bench.live.begin(bench.intent(bad, &[])), Err(LiveError::Name { .. })), "{bad}");
    }
}

#[test]
fn a_run_whose_prov_was_killed_is_dead_and_what_it_printed_can_be_read() {
    let bench = Bench::new();
    let prov = sleeper();
    let owner = bench.live.here().neighbour(prov.id()).unwrap();
    let running = bench.begin_as(owner, "r-1", &["out"]);
    assert_eq!(running.claim().unwrap(), Claimed::Won);
    bench.live.write(&running.dir().join("stdout"), b"half a line").unwrap();
    assert_eq!(bench.state("r-1"), State::Running);
    kill(prov);
    let entry = bench.live.entry("r-1").unwrap();
    assert_eq!(entry.state, State::Dead);
    assert_eq!(entry.spooled(&bench.live, Stream::Stdout).unwrap().total_bytes(), 11);
    assert!(entry.spooled(&bench.live, Stream::Stderr).unwrap().is_empty());
    // Its claim is worth nothing any more, even before it is settled.
    assert_eq!(bench.begin("r-2", &["out"]).claim().unwrap(), Claimed::Won);
    // Two settle it.
    bench.live.end("r-1").unwrap();
    bench.live.end("r-1").unwrap();
    assert!(bench.live.entry("r-1").is_none());
}

#[cfg(target_os = "linux")]
#[test]
fn the_child_of_a_dead_run_keeps_its_paths_until_it_is_ended() {
    use std::os::unix::process::CommandExt;
    let bench = Bench::new();
    let prov = sleeper();
    let running = bench.begin_as(bench.live.here().neighbour(prov.id()).unwrap(), "with-child-1", &["out"]);
    assert_eq!(running.claim().unwrap(), Claimed::Won);
    let child = Command::new("sleep").arg("1000").env("PROV_RUN_ID", "with-child-1").process_group(0).spawn().unwrap();
    running.note_child(child.id()).unwrap();
    kill(prov);
    let entry = bench.live.entry("with-child-1").unwrap();
    assert_eq!(entry.state, State::Dead);
    assert!(entry.is_orphaned(&bench.live));
    let other = bench.begin("r-2", &["out/part"]);
    let Claimed::Held(held) = other.claim().unwrap() else { panic!("the child may still write") };
    assert_eq!((held.by.as_str(), held.liveness), ("with-child-1", Liveness::Dead));
    assert!(entry.end_child(&bench.live, Duration::from_secs(600)));
    assert!(!entry.is_orphaned(&bench.live));
    assert_eq!(other.claim().unwrap(), Claimed::Won);
    kill(child);
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_there_was_no_time_to_write_down_is_found_by_what_it_was_started_with() {
    let bench = Bench::new();
    let owner = sleeper();
    let dead = bench.live.here().neighbour(owner.id()).unwrap();
    kill(owner);
    let run = format!("r-{}", std::process::id());
    assert_eq!(bench.begin_as(dead, &run, &["out"]).claim().unwrap(), Claimed::Won);
    let mut child = Command::new("sleep").arg("1000").env("PROV_RUN_ID", &run).spawn().unwrap();
    while !crate::host::was_started_with(child.id(), format!("PROV_RUN_ID={run}").as_bytes()) {
        std::thread::yield_now();
    }
    let entry = bench.live.entry(&run).unwrap();
    assert!(entry.is_orphaned(&bench.live));
    assert!(matches!(bench.begin("s-1", &["out"]).claim().unwrap(), Claimed::Held(_)));
    let waits = std::thread::spawn(move || child.wait().unwrap());
    assert!(entry.end_child(&bench.live, Duration::from_secs(60)));
    assert!(!waits.join().unwrap().success());
    assert!(!entry.is_orphaned(&bench.live));
}

#[test]
fn runs_elsewhere_are_never_declared_dead() {
    let bench = Bench::new();
    let here = bench.live.here().clone();
    let elsewhere = Process { host: "elsewhere".to_owned(), boot: "b".to_owned(), ..here.clone() };
    let running = bench.begin_as(elsewhere, "r-1", &["out"]);
    assert_eq!(running.claim().unwrap(), Claimed::Won);
    assert_eq!(bench.state("r-1"), State::Unknown { host: "elsewhere".to_owned() });
    let Claimed::Held(held) = bench.begin("r-2", &["out"]).claim().unwrap() else { panic!("it may be alive") };
    assert_eq!((held.liveness, held.host.as_str()), (Liveness::Unknown, "elsewhere"));
    if !here.boot.is_empty() {
        bench.begin_as(Process { boot: "before".to_owned(), ..here }, "r-3", &[]);
        assert_eq!(bench.state("r-3"), State::Dead);
    }
}

#[test]
fn a_finished_run_waits_with_its_payload_and_holds_nothing() {
    let bench = Bench::new();
    let running = bench.begin("r-1", &["out"]);
    assert_eq!(running.claim().unwrap(), Claimed::Won);
    let payload: Vec<u8> = (0..=255).collect();
    running.finished(&payload).unwrap();
    assert_eq!(bench.state("r-1"), State::Finished { payload: payload.clone(), owner: Liveness::Alive });
    assert_eq!(bench.begin("r-2", &["out"]).claim().unwrap(), Claimed::Won);
    running.finished(b"again").unwrap();
    assert!(matches!(bench.state("r-1"), State::Finished { payload, .. } if payload == b"again"));
    // As after a power cut, which may take the intent but not what was flushed.
    Fs::real().create(&running.dir().join(INTENT), 0o666).unwrap();
    assert_eq!(bench.state("r-1"), State::Finished { payload: b"again".to_vec(), owner: Liveness::Unknown });
}

#[test]
fn one_bad_entry_hides_no_other() {
    let bench = Bench::new();
    let fs = Fs::real();
    let _good = bench.begin("r-good", &[]);
    for (run, file, bytes) in
        [("r-empty", INTENT, b"".as_slice()), ("r-torn", INTENT, b"provlive\0"), ("r-bad", PENDING, b"x")]
    {
        let running = bench.begin(run, &["out"]);
        fs.create(&running.dir().join(file), 0o666).unwrap().write_all(bytes).unwrap();
    }
    bench.live.write(&bench.live.root.join("a-file"), b"").unwrap();
    fs.make_dir(&bench.live.root.join("a-folder")).unwrap();
    let other = bench.begin("r-other", &[]);
    fs.rename(other.dir(), &bench.live.root.join("r-renamed")).unwrap();
    let states: Vec<(String, bool)> = bench
        .live
        .list()
        .unwrap()
        .into_iter()
        .map(|entry| (entry.run, matches!(entry.state, State::Damaged { .. })))
        .collect();
    let expected = [
        ("a-file", true),
        ("a-folder", true),
        ("r-bad", true),
        ("r-empty", true),
        ("r-good", false),
        ("r-renamed", true),
        ("r-torn", true),
    ];
    assert_eq!(states, expected.map(|(run, damaged)| (run.to_owned(), damaged)));
    assert_eq!(bench.begin("r-next", &["out"]).claim().unwrap(), Claimed::Won);
}

#[test]
fn paths_that_touch_are_claimed_once() {
    let bench = Bench::new();
    let first = bench.begin("r-1", &["out/a", "log"]);
    assert_eq!(first.claim().unwrap(), Claimed::Won);
    assert_eq!(first.claim().unwrap(), Claimed::Won, "claiming again changes nothing");
    for wanted in ["out", "out/a", "out/a/b", "log", ""] {
        let other = bench.begin("r-2", &["elsewhere", wanted]);
        let Claimed::Held(held) = other.claim().unwrap() else { panic!("{wanted}") };
        assert_eq!((held.by.as_str(), held.wanted.as_slice()), ("r-1", wanted.as_bytes()));
        other.end().unwrap();
    }
    let apart = bench.begin("r-3", &["out/b", "logs"]);
    assert_eq!(apart.claim().unwrap(), Claimed::Won);
    let waiting = bench.begin("r-0", &["out/a"]);
    let mut first = Some(first);
    let claimed = waiting.claim_waiting(&mut |held| {
        assert_eq!(held.by, "r-1");
        first.take().is_some_and(|first| first.end().is_ok())
    });
    assert_eq!(claimed.unwrap(), Claimed::Won);
}

#[test]
fn a_nested_run_may_write_into_what_its_parents_hold() {
    let bench = Bench::new();
    let outer = bench.begin("r-1", &["out"]);
    assert_eq!(outer.claim().unwrap(), Claimed::Won);
    let nested = |run: &str, parent: &str| {
        let intent = bench.intent(run, &["out/a"]);
        bench.live.begin(Intent { parent: Some(parent.to_owned()), ..intent }).unwrap()
    };
    let middle = bench.live.begin(Intent { parent: Some("r-1".to_owned()), ..bench.intent("r-2", &[]) }).unwrap();
    assert_eq!(middle.claim().unwrap(), Claimed::Won);
    assert_eq!(nested("r-3", "r-2").claim().unwrap(), Claimed::Won);
    assert!(matches!(nested("r-4", "r-2").claim().unwrap(), Claimed::Held(_)), "its sibling has it");
}

#[test]
fn of_sixteen_at_once_exactly_one_wins() {
    const RUNS: usize = 16;
    for round in 0..25 {
        let bench = Arc::new(Bench::new());
        let start = Arc::new(Barrier::new(RUNS));
        let winners = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..RUNS)
            .map(|i| {
                let (bench, start, winners) = (Arc::clone(&bench), Arc::clone(&start), Arc::clone(&winners));
                std::thread::spawn(move || {
                    // Ids in another order than the starts; every fourth wants the folder around the file.
                    let run = format!("r-{:02}", (i * 7 + round) % RUNS);
                    start.wait();
                    let running = bench.begin(&run, &[if i % 4 == 0 { "out" } else { "out/file" }]);
                    match running.claim().unwrap() {
                        Claimed::Won => drop(winners.fetch_add(1, Ordering::SeqCst)),
                        Claimed::Held(held) => assert_ne!(held.by, run),
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(winners.load(Ordering::SeqCst), 1, "round {round}");
    }
}

/// One of the processes of the test below.
#[test]
#[ignore = "a part of the test below"]
fn as_claimer() {
    #[expect(clippy::disallowed_methods, reason = "how a test tells a process of its own what to do")]
    let (root, run) = (std::env::var_os("LIVE_ROOT").unwrap(), std::env::var("LIVE_RUN").unwrap());
    let here = Process::current();
    let bench = Bench { _dir: tempfile::tempdir().unwrap(), live: Live::new(Fs::real(), root.into(), here) };
    let claimed = bench.begin(&run, &["out"]).claim().unwrap();
    println!("{}", if claimed == Claimed::Won { "WON" } else { "HELD" });
    // Holds what it has until it is told to end.
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new()).unwrap();
}

#[test]
fn of_sixteen_processes_exactly_one_wins() {
    use std::io::BufRead;
    use std::process::Stdio;
    let bench = Bench::new();
    let mut processes: Vec<Child> = (0..16)
        .map(|i| {
            Command::new(std::env::current_exe().unwrap())
                .args(["run::live::tests::as_claimer", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
                .env("LIVE_ROOT", bench.live.root())
                .env("LIVE_RUN", format!("r-{:02}", (i * 7) % 16))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let verdict = |process: &mut Child| {
        let mut lines = std::io::BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        lines.find_map(|line| line.strip_suffix("WON").map(|_| 1).or(line.strip_suffix("HELD").map(|_| 0)))
    };
    let wins: Vec<usize> = processes.iter_mut().map(|process| verdict(process).unwrap()).collect();
    assert_eq!(wins.iter().sum::<usize>(), 1);
    processes.into_iter().for_each(kill);
    // All of them were killed: nobody holds anything, and all are there to be settled.
    assert_eq!(bench.begin("r-last", &["out"]).claim().unwrap(), Claimed::Won);
    assert_eq!(bench.live.list().unwrap().iter().filter(|entry| entry.state == State::Dead).count(), 16);
}

#[test]
fn a_crash_at_any_effect_leaves_whole_entries_or_none() {
    for nth in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("live");
        let fault = Arc::new(NthEffect::crash(nth));
        let here = Process::current();
        let dying = Live::new(Fs::with_fault(fault.clone()), root.clone(), here.clone());
        let bench = Bench { _dir: dir, live: Live::new(Fs::real(), root, here) };
        let done = (|| {
            let running = dying.begin(bench.intent("r-1", &["out"]))?;
            running.claim()?;
            running.finished(b"payload")?;
            running.end()
        })();
        for entry in bench.live.list().unwrap() {
            assert!(matches!(entry.state, State::Running | State::Finished { .. }), "effect {nth}: {entry:?}");
        }
        bench.live.end("r-1").unwrap();
        bench.live.sweep().unwrap();
        assert!(bench.live.list().unwrap().is_empty());
        if done.is_ok() && !fault.has_struck() {
            assert!(nth > 8, "all effects were tried");
            break;
        }
    }
}

#[test]
fn what_a_killed_process_left_half_made_is_swept_and_nothing_else() {
    let bench = Bench::new();
    let child = sleeper();
    let dead = bench.live.here().neighbour(child.id()).unwrap();
    kill(child);
    let _running = bench.begin("r-1", &[]);
    let fs = Fs::real();
    let new = |owner: &Process, run: &str| {
        let name = format!("{NEW}{}-{}-{}-{run}", bench.live.place(), owner.pid, owner.start);
        fs.make_dir(&bench.live.root.join(&name)).unwrap();
        name
    };
    let gone = new(&dead, "r-2");
    let at_work = new(bench.live.here(), "r-3");
    fs.make_dir(&bench.live.root.join(".ended-1-r-4")).unwrap();
    fs.make_dir(&bench.live.root.join(".new-elsewhere-1-1-r-5")).unwrap();
    bench.live.sweep().unwrap();
    assert!(!bench.live.root.join(gone).exists());
    let mut left: Vec<String> =
        fs.names(&bench.live.root).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect();
    left.sort();
    let mut expected = vec![at_work, ".new-elsewhere-1-1-r-5".to_owned(), "r-1".to_owned()];
    expected.sort();
    assert_eq!(left, expected);
}

#[test]
fn the_folder_of_a_run_that_ended_is_that_of_the_next_one_with_nothing_of_it_in_it() {
    let bench = Bench::new();
    let (running, fs) = (bench.begin("r-1", &["out.csv"]), Fs::real());
    assert_eq!(running.claim().unwrap(), Claimed::Won);
    running.note_draft(b"draft").unwrap();
    fs.make_dirs(&running.dir().join("output")).unwrap();
    running.end().unwrap();
    let spare = bench.live.root.join(SPARE);
    assert_eq!(fs.names(&spare).unwrap(), ["output"]);
    assert!(bench.live.is_empty().unwrap() && bench.live.list().unwrap().is_empty());
    bench.live.sweep().unwrap();
    let second = bench.begin("r-2", &["out.csv"]);
    assert!(!spare.exists());
    let mut names = fs.names(second.dir()).unwrap();
    names.sort();
    assert_eq!(names, ["intent", "output"]);
    assert!(bench.live.list().unwrap()[0].draft(&bench.live).is_none());
    assert_eq!(second.claim().unwrap(), Claimed::Won);
}

#[test]
fn a_folder_with_something_of_its_run_in_it_is_no_spare_one() {
    use std::os::unix::fs::PermissionsExt;
    for what in ["output/late", "config/a.yaml", "own mode", "output's mode"] {
        let bench = Bench::new();
        let (running, fs) = (bench.begin("r-1", &[]), Fs::real());
        fs.make_dirs(&running.dir().join("output")).unwrap();
        let restrict = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
        match what {
            "own mode" => restrict(running.dir()),
            "output's mode" => restrict(&running.dir().join("output")),
            _ => {
                let path = running.dir().join(what);
                fs.make_dirs(path.parent().unwrap()).unwrap();
                fs.create_new(&path, 0o666).unwrap();
            }
        }
        running.end().unwrap();
        assert!(fs.names(&bench.live.root).unwrap().is_empty(), "{what}");
    }
}

/// Hears what is removed.
#[derive(Debug, Default)]
struct Removals(std::sync::Mutex<Vec<String>>);

impl crate::fs::Fault for Removals {
    fn before(&self, op: crate::fs::Op, path: &Path) -> crate::fs::Verdict {
        if op == crate::fs::Op::Remove {
            self.0.lock().unwrap().push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        crate::fs::Verdict::Go
    }
}

#[test]
fn nothing_is_removed_from_a_folder_that_may_be_that_of_another_run_by_now() {
    // Whoever ends a run makes `.ended-PID-RUN` the spare folder, and the next run makes that its own. One that is swept at the same time
    // must not be that folder any more, or the files of the next run would go, its intent and its claim first.
    let bench = Bench::new();
    let removals = Arc::new(Removals::default());
    let fs = Fs::with_fault(removals.clone());
    let live = Live::new(fs, bench.live.root.clone(), Process::current());
    let ended = bench.live.root.join(".ended-7-r-1");
    Fs::real().make_dirs(&ended.join("output")).unwrap();
    live.sweep().unwrap();
    assert!(Fs::real().names(&bench.live.root).unwrap().is_empty());
    let removed = removals.0.lock().unwrap();
    assert!(!removed.is_empty() && removed.iter().all(|name| name.starts_with(".ended-0-")), "{removed:?}");
}

#[test]
fn finished_runs_are_read_from_one_file_up_to_where_it_is_cut_off() {
    let bench = Bench::new();
    let around = bench.begin("r-0", &[]);
    let mut closed = around.closed(0).unwrap();
    for n in 1..4 {
        let part = bench.begin(&format!("r-{n}"), &[]);
        closed.add(&part, format!("payload {n}").as_bytes()).unwrap();
        assert!(part.into_spare().unwrap().is_some());
    }
    let entry = bench.live.entry("r-0").unwrap();
    let found = bench.live.parked(&entry).runs;
    assert_eq!(found.iter().map(|entry| entry.run.as_str()).collect::<Vec<_>>(), ["r-1", "r-2", "r-3"]);
    let payload = |entry: &Entry| match &entry.state {
        State::Finished { payload, owner: Liveness::Alive } => String::from_utf8(payload.clone()).unwrap(),
        state => format!("{state:?}"),
    };
    assert_eq!(found.iter().map(payload).collect::<Vec<_>>(), ["payload 1", "payload 2", "payload 3"]);
    assert!(bench.live.has_parked(&entry));

    let path = around.dir().join("closed-0");
    let whole = Fs::real().read(&path).unwrap().unwrap();
    let mut counts = Vec::new();
    for len in 0..whole.len() {
        Fs::real().replace(&path, &whole[..len], false).unwrap();
        counts.push(bench.live.closed(&entry).runs.len());
    }
    assert!(counts.is_sorted() && counts[0] == 0 && *counts.last().unwrap() == 2);
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        Fs::real().replace(&path, &flipped, false).unwrap();
        let parts = bench.live.closed(&entry);
        assert!(parts.unread.is_empty() && parts.runs.len() < 3, "byte {at}");
        if parts.lost.len() == 1 {
            // Those after it are still there.
            assert!(parts.runs.len() == 2 || parts.runs.is_empty(), "byte {at}");
        }
    }
    let second = whole.windows(9).position(|at| at == b"payload 2").unwrap();
    let mut flipped = whole.clone();
    flipped[second] ^= 1;
    Fs::real().replace(&path, &flipped, false).unwrap();
    let parts = bench.live.closed(&entry);
    assert_eq!(parts.runs.iter().map(|entry| entry.run.as_str()).collect::<Vec<_>>(), ["r-1", "r-3"]);
    assert_eq!(parts.lost, ["r-2"]);
    bench.live.forget_closed(&entry);
    assert!(!bench.live.has_parked(&entry));
}

/// The second write of a file of finished runs takes a piece only, and the disk is full.
#[derive(Debug, Default)]
struct FullInTheMiddle(AtomicUsize);

impl crate::fs::Fault for FullInTheMiddle {
    fn before(&self, op: crate::fs::Op, path: &Path) -> crate::fs::Verdict {
        if op != crate::fs::Op::Write || !path.ends_with("closed-0") {
            return crate::fs::Verdict::Go;
        }
        match self.0.fetch_add(1, Ordering::SeqCst) {
            1 => crate::fs::Verdict::Short(10),
            2 => crate::fs::Verdict::Fail(28),
            _ => crate::fs::Verdict::Go,
        }
    }
}

#[test]
fn a_run_that_can_not_be_added_to_others_leaves_those_before_and_after_it_readable() {
    let bench = Bench::new();
    let fs = Fs::with_fault(Arc::new(FullInTheMiddle::default()));
    let live = Live::new(fs, bench.live.root.clone(), bench.live.here().clone());
    let around = live.begin(bench.intent("r-0", &[])).unwrap();
    let mut closed = around.closed(0).unwrap();
    assert!(around.closed(0).is_err(), "a file is written by one process, once");
    closed.add(&bench.begin("r-1", &[]), b"one").unwrap();
    closed.add(&bench.begin("r-2", &[]), b"two").unwrap_err();
    closed.add(&bench.begin("r-3", &[]), b"three").unwrap();
    let entry = bench.live.entry("r-0").unwrap();
    let runs: Vec<String> = bench.live.closed(&entry).runs.into_iter().map(|entry| entry.run).collect();
    assert_eq!(runs, ["r-1", "r-3"]);
    closed.remove();
    assert!(bench.live.closed(&entry).runs.is_empty());
}

#[test]
fn a_folder_is_given_to_the_next_run_of_a_process_with_nothing_of_the_last_one_in_it() {
    let (bench, fs) = (Bench::new(), Fs::real());
    let running = bench.begin("r-1", &["out.csv"]);
    assert_eq!(running.claim().unwrap(), Claimed::Won);
    running.note_draft(b"draft").unwrap();
    fs.make_dirs(&running.dir().join("output")).unwrap();
    let spare = running.into_spare().unwrap().unwrap();
    assert!(bench.live.list().unwrap().is_empty());
    bench.live.sweep().unwrap();
    assert_eq!(fs.names(&spare).unwrap(), ["output"], "a living process keeps it");
    bench.begin("r-1", &[]).end().unwrap();
    let second = bench.live.begin_in(spare.clone(), bench.intent("r-2", &["out.csv"])).unwrap();
    assert!(!spare.exists());
    assert_eq!(second.claim().unwrap(), Claimed::Won);
    assert!(bench.live.list().unwrap()[0].draft(&bench.live).is_none());
    fs.create_new(&second.dir().join("output/late"), 0o666).unwrap();
    assert!(second.into_spare().unwrap().is_none(), "what a command left there is no next one's");
    assert_eq!(fs.names(&bench.live.root).unwrap(), [SPARE]);
}

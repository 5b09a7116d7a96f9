//! With real children. What has to be waited for is waited for as an event; deadlines in here are only there to be far away.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGINT, SIGTERM};

use super::*;
use crate::clock::SystemClock;
use crate::host;
use crate::run::interrupts::Interrupter;
use crate::run::observer::{Notice, PassThrough};

const FAR: Duration = Duration::from_secs(600);

/// Collects everything, and raises an interrupt each time a stream says `ready`.
#[derive(Default)]
struct Collect {
    streams: [Vec<u8>; 2],
    notices: Vec<Notice>,
    at_ready: Option<(Interrupter, i32)>,
    raised: usize,
    largest: usize,
}

impl Observer for Collect {
    fn output(&mut self, from: Stream, bytes: &[u8]) -> io::Result<usize> {
        self.streams[from.index()].extend_from_slice(bytes);
        self.largest = self.largest.max(bytes.len());
        let said = String::from_utf8_lossy(&self.streams[0]).matches("ready").count();
        while let (true, Some((interrupter, signal))) = (self.raised < said, &self.at_ready) {
            self.raised += 1;
            interrupter.raise(*signal);
        }
        Ok(bytes.len())
    }

    fn notice(&mut self, notice: Notice) {
        // That it runs is told of every child.
        if !matches!(notice, Notice::Started(_)) {
            self.notices.push(notice);
        }
    }
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        Fs::real().make_dir(&bench.spool_dir()).unwrap();
        bench
    }

    fn spool_dir(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(argv.iter().map(|&word| BString::from(word)).collect(), self.dir.path());
        command.grace = FAR;
        command.linger = FAR;
        command.repeat_after = Duration::ZERO;
        command
    }

    fn sh(&self, script: &str) -> Command {
        self.command(&["sh", "-c", script])
    }

    fn run(
        &self,
        command: &Command,
        observer: &mut dyn Observer,
        interrupts: Option<&Interrupts>,
    ) -> Result<Outcome, SpawnError> {
        let cx = Context {
            fs: &Fs::real(),
            clock: &SystemClock,
            spool_dir: &self.spool_dir(),
            interrupts,
            observer,
            started: &mut |_| {},
            lasts: None,
        };
        execute(cx, command)
    }

    fn outcome(&self, command: &Command) -> (Outcome, Collect) {
        let mut heard = Collect::default();
        let outcome = self.run(command, &mut heard, None).unwrap();
        (outcome, heard)
    }

    fn refused(&self, argv: &[&str]) -> SpawnError {
        self.run(&self.command(argv), &mut Collect::default(), None).unwrap_err()
    }

    fn file(&self, name: &str, bytes: &[u8], mode: u32) {
        let mut out = Fs::real().create_new(&self.dir.path().join(name), mode).unwrap();
        out.write_all(bytes).unwrap();
        std::fs::set_permissions(out.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn spooled(captured: &Captured) -> Vec<u8> {
    let mut bytes = Vec::new();
    captured.spooled.reader(&Fs::real()).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn streams_stay_apart_and_the_code_is_the_childs() {
    let bench = Bench::new();
    let (outcome, heard) = bench.outcome(&bench.sh("echo out; echo err >&2; exit 7"));
    assert_eq!(outcome.exit, Exit::Code(7));
    assert_eq!(outcome.exit_code(), 7);
    assert!(!outcome.is_success() && !outcome.was_ended());
    assert_eq!(heard.streams, [b"out\n".to_vec(), b"err\n".to_vec()]);
    assert_eq!(spooled(&outcome.stdout), b"out\n");
    assert_eq!(spooled(&outcome.stderr), b"err\n");
    assert!(outcome.finished_at >= outcome.started_at);
    assert!(outcome.resources.max_rss_bytes > 0);
    assert_eq!(outcome.leftovers, Leftovers::None);
}

#[test]
fn a_signal_is_told_from_a_code() {
    let bench = Bench::new();
    let (outcome, _) = bench.outcome(&bench.sh("kill -KILL $$"));
    assert_eq!(outcome.exit, Exit::Signal(9));
    assert_eq!(outcome.exit_code(), 137);
    assert!(!outcome.was_ended());
}

#[test]
fn words_reach_the_child_as_given() {
    let bench = Bench::new();
    let mut command = bench.command(&["sh", "-c", r#"printf '%s|' "$0" "$@""#, "zero", "a b", "", "$HOME", "*", "-x"]);
    command.argv.push(BString::from(b"\xff\n'\"".as_slice()));
    let (outcome, _) = bench.outcome(&command);
    assert_eq!(spooled(&outcome.stdout), b"zero|a b||$HOME|*|-x|\xff\n'\"|");
}

#[test]
fn binary_output_is_kept_byte_by_byte() {
    let bench = Bench::new();
    let all: Vec<u8> = (0..=255).collect();
    bench.file("data", &all, 0o644);
    let (outcome, heard) = bench.outcome(&bench.command(&["cat", "data"]));
    assert_eq!(spooled(&outcome.stdout), all);
    assert_eq!(heard.streams[0], all);
}

#[test]
fn folder_environment_and_stdin_are_as_asked() {
    let bench = Bench::new();
    bench.file("input", b"from a file\n", 0o644);
    let mut command = bench.sh(r#"pwd; cat; echo "$PROV_TEST_SET ${PROV_TEST_GONE-gone}""#);
    command.set_env.insert("PROV_TEST_SET".into(), "set".into());
    command.remove_env.insert("PROV_TEST_GONE".into());
    let cwd = std::fs::canonicalize(bench.dir.path()).unwrap();
    command.cwd = cwd.clone();
    let (outcome, _) = bench.outcome(&command);
    assert_eq!(String::from_utf8(spooled(&outcome.stdout)).unwrap(), format!("{}\nset gone\n", cwd.display()));

    command.stdin = Stdin::File(bench.dir.path().join("input"));
    let bench = Bench::new();
    let (outcome, _) = bench.outcome(&command);
    assert!(String::from_utf8(spooled(&outcome.stdout)).unwrap().contains("from a file\n"));

    command.stdin = Stdin::File(bench.dir.path().join("missing"));
    let refused = bench.run(&command, &mut Collect::default(), None).unwrap_err();
    assert!(matches!(refused, SpawnError::Stdin { .. }));
    assert_eq!(refused.exit_code(), 125);
}

#[test]
fn what_can_not_be_started_is_told_apart() {
    let bench = Bench::new();
    bench.file("plain", b"#!/bin/sh\n", 0o644);
    bench.file("noformat", b"\x01\x02\x03", 0o755);
    bench.file("noshebang", b"echo hello\n", 0o755);
    bench.file("badinterpreter", b"#! /no/such/interpreter -x\n", 0o755);
    bench.file("good", b"#!/bin/sh\necho $0\n", 0o755);
    let (outcome, _) = bench.outcome(&bench.command(&["./good"]));
    assert_eq!(spooled(&outcome.stdout), b"./good\n");

    let cases: &[(&[&str], u8, &str)] = &[
        (&["no-such-program-anywhere"], 127, "command not found: `no-such-program-anywhere`"),
        (&["./missing"], 127, "command not found: `./missing`"),
        (&["./good/below"], 127, "command not found: `./good/below`"),
        (&["./plain"], 126, "not executable: `./plain`"),
        (&["./spool"], 126, "is a directory: `./spool`"),
        (&["./noformat"], 126, "exec format error: `./noformat`"),
        (&["./noshebang"], 126, "exec format error: `./noshebang`"),
        (&["./badinterpreter"], 126, "bad interpreter `/no/such/interpreter` of `./badinterpreter`"),
        (&[], 125, "not a command: no words"),
        (&["./good", "a\0b"], 125, "not a command: a NUL byte in a word"),
    ];
    for (argv, code, message) in cases {
        let refused = bench.refused(argv);
        assert_eq!((refused.exit_code(), refused.to_string().as_str()), (*code, *message));
    }

    let long = "x".repeat(4 << 20);
    let refused = bench.refused(&["./good", &long]);
    assert!(matches!(refused, SpawnError::TooLong { .. }), "{refused:?}");
    assert_eq!(refused.exit_code(), 126);

    let mut nowhere = bench.command(&["sh", "-c", "true"]);
    nowhere.cwd = bench.dir.path().join("gone");
    let refused = bench.run(&nowhere, &mut Collect::default(), None).unwrap_err();
    assert!(matches!(refused, SpawnError::Folder { .. }), "{refused:?}");
    assert!(bench.spool_dir().read_dir().unwrap().next().is_some(), "only the good one printed");
}

#[test]
fn a_hundred_megabytes_pass_in_pieces_and_are_cut_in_the_middle() {
    struct Count(u64, usize);
    impl Observer for Count {
        fn output(&mut self, _from: Stream, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            self.1 = self.1.max(bytes.len());
            Ok(bytes.len())
        }
    }
    let bench = Bench::new();
    let mut command = bench.sh("yes | head -c 100000000");
    command.spool = SpoolLimits { head_bytes: 1 << 20, segment_bytes: 1 << 19 };
    let mut heard = Count(0, 0);
    let outcome = bench.run(&command, &mut heard, None).unwrap();
    assert!(outcome.is_success());
    assert_eq!(heard.0, 100_000_000);
    assert!(heard.1 <= 64 << 10);
    let spooled = &outcome.stdout.spooled;
    assert!(spooled.is_cut());
    assert_eq!(spooled.total_bytes(), 100_000_000);
    let on_disk: u64 = bench.spool_dir().read_dir().unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(on_disk <= 2 << 20, "{on_disk}");
}

#[test]
fn a_closed_consumer_neither_hurts_the_child_nor_the_spool() {
    let bench = Bench::new();
    let (read, write) = rustix::pipe::pipe().unwrap();
    drop(read);
    let mut observer = PassThrough::new(Some(write), None);
    let outcome = bench.run(&bench.sh("yes | head -c 1000000; echo end"), &mut observer, None).unwrap();
    assert!(outcome.is_success());
    assert!(matches!(outcome.stdout.passed, Passed::Stopped));
    assert_eq!(outcome.stdout.spooled.total_bytes(), 1_000_004);
}

#[test]
fn a_reader_gets_everything_even_when_it_starts_late() {
    let bench = Bench::new();
    let (mut read, write) = UnixStream::pair().unwrap();
    let mut observer = PassThrough::new(Some(write.into()), None);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        read.read_to_end(&mut all).unwrap();
        all
    });
    let outcome = bench.run(&bench.sh("yes | head -c 3000000"), &mut observer, None).unwrap();
    drop(observer);
    assert_eq!(reader.join().unwrap(), spooled(&outcome.stdout));
    assert!(matches!(outcome.stdout.passed, Passed::All));
}

#[test]
fn the_time_limit_holds_though_nobody_reads() {
    let bench = Bench::new();
    let (read, write) = rustix::pipe::pipe().unwrap();
    let mut observer = PassThrough::new(Some(write), None);
    let mut command = bench.command(&["yes"]);
    command.timeout = Some(Duration::from_millis(50));
    command.grace = Duration::from_millis(50);
    command.linger = Duration::from_millis(50);
    let outcome = bench.run(&command, &mut observer, None).unwrap();
    assert!(outcome.timed_out);
    // On a very slow machine it may not have come to fill the pipe.
    let has_filled = outcome.stdout.spooled.total_bytes() > 1 << 20;
    assert!(!has_filled || matches!(outcome.stdout.passed, Passed::Stopped));
    drop(read);
}

#[test]
fn when_the_time_is_up_the_group_is_asked_and_then_killed() {
    let bench = Bench::new();
    // The grandchild ignores SIGTERM and holds no stream; the child itself ignores it too.
    let mut command = bench.sh("trap '' TERM; sleep 1000 >/dev/null 2>&1 & echo $!; wait; sleep 1000");
    command.grace = Duration::from_millis(50);
    // Long enough for the shell to come to the point, however slow the machine is.
    let (outcome, heard) = (0..13)
        .map(|doubled| {
            command.timeout = Some(Duration::from_millis(100 << doubled));
            Bench::new().outcome(&command)
        })
        .find(|(_, heard)| heard.streams[0].ends_with(b"\n"))
        .unwrap();
    assert!(outcome.timed_out);
    assert_eq!(outcome.exit, Exit::Signal(9));
    assert_eq!(outcome.exit_code(), 124);
    assert_eq!(heard.notices[..2], [Notice::TimedOut, Notice::Killing]);
    let grandchild: u32 = String::from_utf8(heard.streams[0].clone()).unwrap().trim().parse().unwrap();
    assert!(!host::is_running(grandchild, 0));
}

#[test]
fn an_interrupt_reaches_the_group_and_makes_no_success() {
    let bench = Bench::new();
    let interrupts = Interrupts::by_hand().unwrap();
    let mut heard = Collect { at_ready: Some((interrupts.interrupter(), SIGTERM)), ..Collect::default() };
    let mut command = bench.sh("trap 'echo got it; exit 0' TERM; echo ready; while :; do sleep 1000 & wait; done");
    // A `sleep` that was just being forked may miss the signal; it is then a leftover.
    command.grace = Duration::from_millis(20);
    let outcome = bench.run(&command, &mut heard, Some(&interrupts)).unwrap();
    assert_eq!(outcome.interrupted_by, Some(SIGTERM));
    assert_eq!(outcome.exit, Exit::Code(0));
    assert_eq!(outcome.exit_code(), 143);
    assert!(!outcome.is_success() && outcome.was_ended());
    assert!(heard.streams[0].ends_with(b"got it\n"));
    assert_eq!(heard.notices[0], Notice::Forwarded(SIGTERM));
}

#[test]
fn a_repeated_interrupt_kills() {
    let bench = Bench::new();
    let interrupts = Interrupts::by_hand().unwrap();
    let mut heard = Collect { at_ready: Some((interrupts.interrupter(), SIGINT)), ..Collect::default() };
    // The trap says `ready` again, which raises the second one.
    let command = bench.sh("trap 'echo ready' INT; echo ready; while :; do sleep 1000 & wait; done");
    let outcome = bench.run(&command, &mut heard, Some(&interrupts)).unwrap();
    assert_eq!(outcome.interrupted_by, Some(SIGINT));
    assert_eq!(outcome.exit, Exit::Signal(9));
    assert_eq!(heard.notices, [Notice::Forwarded(SIGINT), Notice::Killing]);
}

#[test]
fn an_interrupt_that_came_before_starts_nothing() {
    let bench = Bench::new();
    let interrupts = Interrupts::by_hand().unwrap();
    interrupts.interrupter().raise(SIGINT);
    let refused = bench.run(&bench.sh("echo never"), &mut Collect::default(), Some(&interrupts)).unwrap_err();
    assert_eq!(refused.exit_code(), 130);
}

#[test]
fn what_is_left_in_the_group_is_ended() {
    let bench = Bench::new();
    for stays_in_touch in [true, false] {
        let to = if stays_in_touch { "" } else { ">/dev/null 2>&1" };
        let mut command =
            bench.sh(&format!("(trap '' TERM; echo up >&2; while :; do sleep 1000; done) {to} & echo $!"));
        command.linger = Duration::from_millis(20);
        command.grace = Duration::from_millis(20);
        let bench = Bench::new();
        let (outcome, heard) = bench.outcome(&command);
        assert_eq!(outcome.exit, Exit::Code(0));
        assert!(outcome.is_success(), "the command itself did well");
        assert_eq!(outcome.leftovers, Leftovers::Ended);
        assert!(heard.notices.starts_with(&[Notice::LeftOver]));
        let stray: u32 = String::from_utf8(heard.streams[0].clone()).unwrap().trim().parse().unwrap();
        assert!(!host::is_running(stray, 0));
    }
}

#[test]
fn what_finishes_soon_after_the_child_is_waited_for() {
    let bench = Bench::new();
    // `cat` ends when the fifo is closed by the end of the shell.
    let (outcome, _) = bench.outcome(&bench.sh("mkfifo f; (cat f; echo last) & exec 9>f; echo first >&9; exit 0"));
    assert_eq!(outcome.leftovers, Leftovers::None);
    assert_eq!(spooled(&outcome.stdout), b"first\nlast\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_is_let_alone_and_does_not_hold_us_up() {
    let bench = Bench::new();
    // The fifo makes sure that the daemon has left the group before the child ends.
    let mut command = bench.sh("mkfifo f; setsid sh -c 'echo $$ >f; exec sleep 1000' & cat f");
    command.linger = Duration::from_millis(20);
    let (outcome, heard) = bench.outcome(&command);
    assert!(outcome.is_success());
    assert_eq!(outcome.leftovers, Leftovers::None);
    assert!(outcome.stdout.left_open);
    let daemon: i32 = String::from_utf8(heard.streams[0].clone()).unwrap().trim().parse().unwrap();
    assert!(host::is_running(daemon.unsigned_abs(), 0));
    rustix::process::kill_process(Pid::from_raw(daemon).unwrap(), rustix::process::Signal::KILL).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn killing_reaches_groups_below_the_group() {
    let bench = Bench::new();
    let interrupts = Interrupts::by_hand().unwrap();
    let mut heard = Collect { at_ready: Some((interrupts.interrupter(), SIGINT)), ..Collect::default() };
    // With job control the inner shell puts its job in a group of its own, as a nested `prov run` does.
    let script = "trap 'echo ready' INT; set -m; sh -c 'trap \"\" INT TERM; sleep 1000' >/dev/null 2>&1 & echo $!; \
                  echo ready; while :; do wait; done";
    let outcome = bench.run(&bench.sh(script), &mut heard, Some(&interrupts)).unwrap();
    assert_eq!(outcome.exit, Exit::Signal(9));
    let inner: u32 = String::from_utf8(heard.streams[0].clone()).unwrap().lines().next().unwrap().parse().unwrap();
    // It was sent SIGKILL before the outcome came; it may still be on its way out.
    while host::is_running(inner, 0) {
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_loses_the_log_but_not_the_run() {
    let bench = Bench::new();
    let fs = Fs::with_fault(std::sync::Arc::new(crate::fs::NthEffect::crash(0)));
    let mut heard = Collect::default();
    let cx = Context {
        fs: &fs,
        clock: &SystemClock,
        spool_dir: &bench.spool_dir(),
        interrupts: None,
        observer: &mut heard,
        started: &mut |_| {},
        lasts: None,
    };
    let outcome = execute(cx, &bench.sh("echo out")).unwrap();
    assert!(outcome.is_success());
    assert!(outcome.stdout.spool_error.is_some());
    assert!(outcome.stdout.spooled.is_cut());
    assert_eq!(heard.streams[0], b"out\n");
}

/// Runs in a process of its own, as prov: real signals go to it.
#[test]
#[ignore = "a part of the test below"]
fn as_prov() {
    let bench = Bench::new();
    let interrupts = Interrupts::from_signals().unwrap();
    let mut observer = PassThrough::new(Some(io::stderr().as_fd().try_clone_to_owned().unwrap()), None);
    let command = bench.sh("trap 'echo got INT' INT; trap 'echo got TERM; exit 5' TERM; echo ready; \
                            while :; do sleep 1000 & wait; done");
    let command = Command { repeat_after: FAR, grace: Duration::from_millis(20), ..command };
    let outcome = bench.run(&command, &mut observer, Some(&interrupts)).unwrap();
    assert_eq!(outcome.exit, Exit::Code(5));
    assert_eq!(outcome.interrupted_by, Some(SIGTERM));
}

/// As above.
#[test]
#[ignore = "a part of the test below"]
fn as_prov_of_a_child_that_wants_the_terminal() {
    let bench = Bench::new();
    let interrupts = Interrupts::from_signals().unwrap();
    let mut heard = Collect::default();
    // What the system does to a process of the background that reads from the terminal.
    let outcome = bench.run(&bench.sh("kill -TTIN $$; echo never"), &mut heard, Some(&interrupts)).unwrap();
    assert!(outcome.wanted_terminal && outcome.was_ended());
    assert_eq!(outcome.exit, Exit::Signal(SIGTERM));
    assert_eq!(heard.notices, [Notice::WantsTerminal]);
    assert!(outcome.interrupted_by.is_none());
}

fn prov(test: &str) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args([&format!("run::execute::tests::{test}"), "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_child_that_wants_the_terminal_does_not_hang() {
    assert!(prov("as_prov_of_a_child_that_wants_the_terminal").wait().unwrap().success());
}

#[test]
fn signals_to_prov_reach_the_child() {
    let mut prov = prov("as_prov");
    let mut lines = BufReader::new(prov.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "ready"));
    rustix::process::kill_process(Pid::from_child(&prov), rustix::process::Signal::TERM).unwrap();
    assert!(lines.any(|line| line == "got TERM"));
    assert!(prov.wait().unwrap().success());
}

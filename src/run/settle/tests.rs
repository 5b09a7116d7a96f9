//! What dead processes left inside of the folder of a run.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use bstr::BString;

use super::*;
use crate::clock::Micros;
use crate::host::Process;
use crate::repo::{InitOptions, Places, World};
use crate::run::live::{Intent, Running};

/// A process that is gone: its pid belongs to one that began later.
fn dead() -> Process {
    Process { start: 1, ..Process::current() }
}

struct Bench {
    dir: tempfile::TempDir,
    repo: Repo,
    around: Running,
}

impl Bench {
    /// A killed pipeline with finished tasks in one file, the last one in a folder of its own.
    fn new(parts: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let world = World::real(None);
        let (repo, _) = Repo::init(&root, &InitOptions::default(), &Places::default(), world).unwrap();
        let live = crate::run::live_folder(&repo);
        let begin = |run: &str, parent: Option<&str>| {
            let intent = Intent {
                run: run.to_owned(),
                project: "p".to_owned(),
                scenario: "main".to_owned(),
                step: "s".to_owned(),
                recipe: None,
                parent: parent.map(ToOwned::to_owned),
                started_at: Micros(1_795_342_830_123_456),
                argv: vec!["true".into()],
                cwd: BString::default(),
                outputs: Vec::new(),
                sets: Vec::new(),
                op: *blake3_of(run).first_chunk().unwrap(),
                owner: dead(),
                open: None,
            };
            live.begin(intent).unwrap()
        };
        let around = begin("20260101T000000.000000Z-p-0000000000000000", None);
        let mut closed = around.closed(0).unwrap();
        for part in parts {
            let running = begin(part, Some(&around.intent().run));
            let mut run = of_intent(running.intent());
            run.status = Status::Success;
            run.kind = RunKind::Task;
            let pending = Pending { run: run.encode().unwrap().into(), objects: Vec::new(), code: Vec::new() };
            let payload = crate::codec::encode(&pending).unwrap();
            if Some(part) == parts.last() {
                drop(running.park(&around, &payload));
            } else {
                closed.add(&running, &payload).unwrap();
                running.end().unwrap();
            }
        }
        Self { dir, repo, around }
    }

    fn file(&self) -> PathBuf {
        self.around.dir().join("closed-0")
    }

    fn is_recorded(&self, run: &str) -> bool {
        recorded(&self.repo.store().snapshot().unwrap(), run).unwrap().is_some()
    }

    fn around(&self) -> &str {
        &self.around.intent().run
    }
}

#[test]
fn a_killed_run_with_finished_ones_inside_ends_with_its_own_last_sign_of_life() {
    let bench = Bench::new(&PARTS);
    // All of it long ago.
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_795_342_890);
    for name in bench.repo.fs().names(bench.around.dir()).unwrap() {
        let file = std::fs::File::open(bench.around.dir().join(name)).unwrap();
        file.set_modified(old).unwrap();
    }
    let before = crate::run::live_folder(&bench.repo).entry(bench.around()).unwrap();
    let expected = before.last_sign(&crate::run::live_folder(&bench.repo));
    settle(&bench.repo).unwrap();
    let snapshot = bench.repo.store().snapshot().unwrap();
    let object = recorded(&snapshot, bench.around()).unwrap().unwrap();
    let run = crate::revspec::read_run(&snapshot, bench.around(), &object).unwrap();
    assert_eq!(run.finished_at, expected);
}

fn blake3_of(text: &str) -> [u8; 32] {
    *crate::hash::blob(text.as_bytes()).digest()
}

const PARTS: [&str; 3] = [
    "20260101T000001.000000Z-s-1111111111111111",
    "20260101T000002.000000Z-s-2222222222222222",
    "20260101T000003.000000Z-s-3333333333333333",
];

#[test]
fn finished_runs_that_can_not_be_read_for_now_wait_with_all_that_is_around_them() {
    let bench = Bench::new(&PARTS);
    let aside = bench.dir.path().join("aside");
    bench.repo.fs().rename(&bench.file(), &aside).unwrap();
    // No one can read this, root neither; it could be removed.
    symlink("closed-0", bench.file()).unwrap();
    let settled = settle(&bench.repo).unwrap();
    assert!(matches!(&settled[..], [Settled::Left { run, .. }] if run == bench.around()), "{settled:?}");
    assert!(bench.file().is_symlink() && !bench.is_recorded(bench.around()));
    bench.repo.fs().rename(&aside, &bench.file()).unwrap();
    let settled = settle(&bench.repo).unwrap();
    assert!(!settled.iter().any(|one| matches!(one, Settled::Left { .. } | Settled::Lost { .. })), "{settled:?}");
    assert!(PARTS.iter().all(|part| bench.is_recorded(part)) && bench.is_recorded(bench.around()));
    assert!(crate::run::live_folder(&bench.repo).is_empty().unwrap());
}

#[test]
fn of_finished_runs_the_one_in_which_a_byte_turned_is_named_and_the_others_are_recorded() {
    let bench = Bench::new(&PARTS);
    let mut bytes = std::fs::read(bench.file()).unwrap();
    let second = bytes.windows(16).rposition(|at| at == b"2222222222222222").unwrap();
    bytes[second] ^= 1;
    bench.repo.fs().replace(&bench.file(), &bytes, false).unwrap();
    let settled = settle(&bench.repo).unwrap();
    let lost: Vec<&str> = settled
        .iter()
        .filter_map(|one| if let Settled::Lost { run } = one { Some(run.as_str()) } else { None })
        .collect();
    assert_eq!(lost, [PARTS[1]]);
    assert!(bench.is_recorded(PARTS[0]) && !bench.is_recorded(PARTS[1]) && bench.is_recorded(PARTS[2]));
    assert!(bench.is_recorded(bench.around()) && settle(&bench.repo).unwrap().is_empty());
}

//! Stores written by earlier versions are read, and go on to be written.

use std::path::{Path, PathBuf};

use prov::object::run::RunKind;
use prov::object::{Record, RunRecord, Source};
use prov::refs::key;
use prov::repo::entry::ScenarioRef;
use prov::repo::{Places, Repo, World};
use prov::run::Request;
use prov::store::Direction;

use super::{assert_sound, listed, run_in};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A project around a copy of the store of version `name`.
fn project(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores").join(name);
    copy(&fixture, &root.join(".prov"));
    for folder in ["live", "cache", "store/tmp", "store/quarantine", "store/packs", "store/tables", "store/history"] {
        std::fs::create_dir_all(root.join(".prov").join(folder)).unwrap();
    }
    std::fs::rename(root.join(".prov/in.txt"), root.join("in.txt")).unwrap();
    (dir, root)
}

#[test]
fn version_1_is_read_hit_and_written() {
    let (_dir, root) = project("v1");
    let repo = Repo::open(&root, &Places::default(), World::real(None)).unwrap();
    assert_sound(&repo);
    let snapshot = repo.store().snapshot().unwrap();
    let all = prov::query::LogOptions { all: true, hits: true, ..Default::default() };
    assert_eq!(listed(&repo, &snapshot, &all).len(), 39);

    // What was recorded then is a hit now: recipes are made by the same rules.
    let sort = Request::command(["sort", "-o", "out.txt", "in.txt"]).step("sort").input("in.txt").output("out.txt");
    let hit = run_in(&repo, &root, &sort).unwrap();
    assert!(hit.run.is_hit(), "{:?}", hit.run.cache);
    assert_eq!(std::fs::read_to_string(root.join("out.txt")).unwrap(), "a\nb\nc\n");

    let new = Request::command(["sh", "-c", "echo new > new.txt"]).step("new").output("new.txt");
    assert_eq!(run_in(&repo, &root, &new).unwrap().exit_code, 0);
    assert_sound(&repo);
}

#[test]
fn sweeps_scenarios_verdicts_and_pipelines_of_version_1_are_read() {
    let (_dir, root) = project("v1-scenarios");
    let repo = Repo::open(&root, &Places::default(), World::real(None)).unwrap();
    assert_sound(&repo);
    let snapshot = repo.store().snapshot().unwrap();
    let mut kinds = std::collections::BTreeMap::new();
    let mut verified = None;
    for item in snapshot.scan(&key::all_runs(), Direction::Forward) {
        let (_, object) = key::run_and_object(&item.unwrap().0).unwrap();
        let (_, bytes) = snapshot.read(&object).unwrap().unwrap();
        let run = RunRecord::decode(&bytes).unwrap().into_head();
        // What was written is what would be written.
        assert_eq!(run.encode().unwrap(), bytes, "{}", run.run);
        if run.step == "sort" && !run.is_hit() {
            verified = Some(object);
        }
        kinds.entry(format!("{:?}", run.kind)).or_insert_with(Vec::new).push(run);
    }
    let count = |kind: RunKind| kinds.get(&format!("{kind:?}")).map_or(0, Vec::len);
    let counts = [RunKind::Command, RunKind::Sweep, RunKind::Scenario, RunKind::Pipeline, RunKind::Step, RunKind::Task];
    assert_eq!(counts.map(count), [5, 1, 1, 1, 1, 2]);
    assert_eq!(kinds["Sweep"][0].children.len(), 3, "the rows of the sweep");
    assert_eq!(kinds["Scenario"][0].children.len(), 1, "what the seal binds");

    // The alias leads to the name that the scenario was born with.
    assert_eq!(prov::scenario::born(&snapshot, repo.project(), "toll").unwrap(), "policy");
    let settings = prov::scenario::settings(&snapshot, repo.project(), "toll").unwrap().unwrap();
    assert!(settings.closed.is_some(), "{settings:?}");
    let refs: Vec<ScenarioRef> = snapshot
        .scan(&key::scenarios_of(repo.project()), Direction::Forward)
        .map(|item| ScenarioRef::read(&item.unwrap().1).unwrap())
        .collect();
    assert_eq!(refs.iter().filter(|one| matches!(one, ScenarioRef::Alias(_))).count(), 1, "{refs:?}");

    assert!(prov::verdict::newest(&snapshot, &verified.unwrap()).unwrap().is_some(), "somebody executed it once more");

    // What was recorded then is a hit now.
    let sort = Request::command(["sort", "-o", "out.txt", "in.txt"])
        .step("sort")
        .input("in.txt")
        .output_as("sorted", "out.txt");
    assert!(run_in(&repo, &root, &sort).unwrap().run.is_hit());
    assert_sound(&repo);
}

#[test]
fn runs_whose_inputs_stand_in_lists_are_read_hit_and_written() {
    let (_dir, root) = project("v1-lists");
    std::fs::create_dir(root.join("in")).unwrap();
    for n in 0..80 {
        std::fs::write(root.join(format!("in/{n}.txt")), format!("{n}\n")).unwrap();
    }
    let repo = Repo::open(&root, &Places::default(), World::real(None)).unwrap();
    assert_sound(&repo);
    let snapshot = repo.store().snapshot().unwrap();
    let mut lists = std::collections::BTreeSet::new();
    let mut told = 0;
    for item in snapshot.scan(&key::all_runs(), Direction::Forward) {
        let (run, object) = key::run_and_object(&item.unwrap().0).unwrap();
        let (_, bytes) = snapshot.read(&object).unwrap().unwrap();
        let record = RunRecord::decode(&bytes).unwrap();
        assert_eq!(record.encode().unwrap(), bytes, "{run}");
        lists.extend(record.head().inputs.list().copied());
        let whole = prov::revspec::read_run(&snapshot, &run, &object).unwrap();
        assert_eq!(whole.inputs.len(), if whole.step == "gen" { 0 } else { 80 }, "{run}");
        told += usize::from(whole.inputs.list().is_some());
    }
    assert_eq!((lists.len(), told), (1, 3), "an executed run, its hit and another step tell the same inputs");
    let taken = prov::lineage::takers(&snapshot, &prov::hash::blob(b"7\n")).unwrap();
    assert_eq!(taken.iter().map(|one| one.touch.path.to_string()).collect::<Vec<_>>(), ["in/7.txt"; 3]);

    let all = Request::command(["sh", "-c", "cat in/*.txt > all.txt"]).step("all").input("in/*.txt").output("all.txt");
    let all = Request { code: Some(prov::run::CodeMode::None), ..all };
    let hit = run_in(&repo, &root, &all).unwrap();
    assert!(hit.run.is_hit(), "{:?}", hit.run.cache);
    assert_eq!(hit.run.inputs.list(), lists.first());
    assert_sound(&repo);
}

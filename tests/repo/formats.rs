//! Stores written by earlier versions are read, and go on to be written.

use std::path::{Path, PathBuf};

use prov::repo::{Places, Repo, World};
use prov::run::Request;

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
    for folder in ["live", "cache", "store/tmp", "store/quarantine"] {
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

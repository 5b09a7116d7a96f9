//! Restoring with a fault at every effect: all of it, or everything as it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use prov::fs::{Fs, NthEffect, Verdict};
use prov::repo::World;
use prov::revspec::{RunRef, Target};
use prov::run::{Error, Request, RestoreOptions, Session, restore};
use prov::worktree::restore::Outcome;

use super::{Project, assert_sound};

/// All files and links of the project by path, with what they hold.
fn files(root: &Path) -> BTreeMap<String, String> {
    let fs = Fs::real();
    let walked = fs.walk(root).map(Result::unwrap).filter(|(path, stat)| {
        !stat.is_folder() && !path.components().any(|name| name.as_os_str().as_encoded_bytes().starts_with(b".prov"))
    });
    walked
        .map(|(path, _)| {
            let path = if path.is_absolute() { path } else { root.join(path) };
            let held = std::fs::read_link(&path).map(|target| target.display().to_string());
            (path.display().to_string(), held.or_else(|_| std::fs::read_to_string(&path)).unwrap())
        })
        .collect()
}

fn request(n: u64) -> Request {
    Request::command(["sh".to_owned(), "make.sh".to_owned(), format!("{n}")])
        .output("a.txt")
        .output("b.txt")
        .output("d")
        .output("l")
        .output_set("set", "shared", "s_{n:int}.txt")
        .step("make")
}

const MAKE: &str =
    "n=$1; echo $n > a.txt; echo b$n > b.txt; echo l$n > l; mkdir -p d/e shared; echo $n > d/e/f; echo same > d/g
    echo $n > d/only_$n; echo $n > shared/s_$n.txt; echo all > shared/s_0.txt\n";

fn strike(fault: fn(u64) -> NthEffect) {
    let project = Project::new();
    project.write("make.sh", MAKE);
    let first = project.run(&request(1));
    // What lies there now is another run's, so that all of it may be replaced: other files, a folder, a link, one that is absent.
    project.run(&request(2));
    std::fs::remove_file(project.root.join("b.txt")).unwrap();
    std::fs::remove_file(project.root.join("l")).unwrap();
    project.write("shared/mine.txt", "mine");
    let options = RestoreOptions::default();
    let (project_name, scenario) = (first.run.project.clone(), first.run.scenario.clone());
    let at = RunRef { run: first.run.run.clone(), object: first.object, project: project_name, scenario };
    let target = Target::Run(at);
    let before = files(&project.root);
    let wanted = {
        let repo = project.open();
        let snapshot = repo.store().snapshot().unwrap();
        let done = restore(&Session::new(&repo, project.root.clone()), &snapshot, &target, &options).unwrap();
        assert!(done.items.iter().all(|item| item.outcome == Outcome::Restored), "{:?}", done.items);
        files(&project.root)
    };
    assert_eq!(wanted.keys().filter(|path| path.contains("shared")).count(), 3);
    let back = |project: &Project| {
        let fs = Fs::real();
        for path in files(&project.root).keys() {
            fs.remove_file(Path::new(path)).unwrap();
        }
        for (path, text) in &before {
            fs.make_dirs(Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    };
    for n in 0.. {
        back(&project);
        let fault = Arc::new(fault(n));
        let done = {
            let repo = project.open_in(World { fs: Fs::with_fault(fault.clone()), ..World::real(None) });
            let snapshot = repo.store().snapshot().unwrap();
            restore(&Session::new(&repo, project.root.clone()), &snapshot, &target, &options)
        };
        let now = files(&project.root);
        let is_done = done
            .as_ref()
            .is_ok_and(|done| done.items.iter().all(|item| matches!(item.outcome, Outcome::Restored | Outcome::Kept)));
        if is_done {
            assert_eq!(now, wanted, "effect {n}");
        } else if let Err(Error::HalfRestored { paths, .. }) = &done {
            let is_named = |path: &String| paths.iter().any(|named| Path::new(path).starts_with(named));
            for (path, text) in &now {
                assert!(before.get(path) == Some(text) || is_named(path), "effect {n}: {path} of {done:?}");
            }
        } else {
            assert_eq!(now, before, "effect {n}: {done:?}");
        }
        if !fault.has_struck() {
            break;
        }
    }
    assert_sound(&project.open());
}

#[test]
fn one_effect_that_fails_leaves_everything_as_it_was() {
    strike(|n| NthEffect::once(n, Verdict::Fail(28)));
}

#[test]
fn one_effect_that_lies_leaves_all_or_nothing() {
    strike(|n| NthEffect::once(n, Verdict::DoneButFail(5)));
}

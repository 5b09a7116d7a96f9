//! A folder is passed over only while nothing in it can be wanted.

use super::*;
use crate::clock::{Clock as _, Micros, StepClock, SystemClock};
use crate::fs::Fs;
use crate::hash::{self, Id};
use crate::progress::{Cancel, Silent};
use crate::worktree::StatCache;
use crate::worktree::stat_cache::Forget;
use crate::worktree::testing::Tree;

/// A choice of scripts in folders that are not hidden.
fn scripts() -> ByName {
    ByName {
        file: |name, _| name.ends_with(b".py"),
        folder: |name| !name.starts_with(b"."),
        id: hash::blob(b"scripts"),
    }
}

struct Project {
    tree: Tree,
    caches: tempfile::TempDir,
    /// Whether the file system is one that stamps folders.
    is_stamped: bool,
}

impl Project {
    fn new() -> Self {
        let tree = Tree::new();
        let is_stamped = stamps_folders(tree.root());
        for folder in ["runs/1", "runs/2", "deep/er"] {
            tree.file(format!("{folder}/a.csv"), "a");
            tree.file(format!("{folder}/b.csv"), "b");
        }
        tree.folder("empty");
        tree.file("src/step.py", "step");
        Self { tree, caches: tempfile::tempdir().unwrap(), is_stamped }
    }

    fn cache(&self) -> StatCache {
        StatCache::open(&self.caches.path().join("stat"))
    }

    /// Scans as another process does, which reads this clock.
    fn scan_at(&self, clock: &StepClock, names: ByName) -> Vec<String> {
        let (fs, cancel, cache) = (Fs::real(), Cancel::new(), self.cache());
        let root = self.tree.root();
        let worktree = Worktree { fs: &fs, root, clock, cache: &cache, progress: &Silent, cancel: &cancel };
        let rules = Rules::open(&fs, root, None).unwrap();
        let found = scan_by_name(&worktree, names, rules.clone()).unwrap().paths();
        cache.save(&fs, Forget::Nothing).unwrap();
        let options = ScanOptions { rules: Some(rules), names: Some(names), ..ScanOptions::default() };
        assert_eq!(found, super::super::scan(&fs, root, &options, &cancel).unwrap().paths());
        found.into_iter().map(|(path, _)| path.to_string()).collect()
    }

    /// Scans when whatever was written before was written long ago.
    fn scan(&self, names: ByName) -> Vec<String> {
        self.let_time_pass();
        self.scan_at(&StepClock::new(Micros(SystemClock.now().0 + 3_600_000_000), 1), names)
    }

    /// Until the file system gives other stamps than those that are there.
    fn let_time_pass(&self) {
        let probe = || {
            let path = self.caches.path().join("probe");
            drop(Fs::real().create(&path, 0o666).unwrap());
            let stat = Fs::real().lstat(&path).unwrap().unwrap();
            Fs::real().remove_file(&path).unwrap();
            stat.ctime_ns
        };
        let before = probe();
        while probe() == before {}
    }

    /// Whether the folder is passed over.
    fn is_known(&self, folder: &str) -> bool {
        let stat = Fs::real().lstat(&self.tree.path(folder)).unwrap().unwrap();
        let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        let cache = self.cache();
        let above = Place::Inside(RelPath::new(above).unwrap());
        cache.folder(&above).is_barren(name.as_bytes(), &stat, &scripts().id)
    }
}

#[test]
fn folders_without_anything_wanted_are_known() {
    let project = Project::new();
    assert_eq!(project.scan(scripts()), ["src/step.py"]);
    for folder in ["runs/1", "runs/2", "deep/er", "empty"] {
        assert_eq!(project.is_known(folder), project.is_stamped, "{folder}");
    }
    // A folder in them may change by itself.
    for folder in ["runs", "deep", "src"] {
        assert!(!project.is_known(folder), "{folder}");
    }
    assert_eq!(project.scan(scripts()), ["src/step.py"]);
}

#[test]
fn what_is_known_is_not_listed() {
    let project = Project::new();
    project.tree.file("odd/odd.py", "odd");
    let stat = Fs::real().lstat(&project.tree.path("odd")).unwrap().unwrap();
    let cache = StatCache::empty();
    cache.put_barren(Key::of(&Place::Inside(RelPath::new("odd").unwrap())), &stat, scripts().id);
    let (fs, cancel) = (Fs::real(), Cancel::new());
    let root = project.tree.root();
    let worktree = Worktree { fs: &fs, root, clock: &SystemClock, cache: &cache, progress: &Silent, cancel: &cancel };
    let rules = Rules::open(&fs, root, None).unwrap();
    let scan = |names| scan_by_name(&worktree, names, rules.clone()).unwrap().paths().len();
    assert_eq!(scan(scripts()), 1);
    // By another choice nothing is known.
    assert_eq!(scan(ByName { id: hash::blob(b"other"), ..scripts() }), 2);
}

#[test]
fn what_comes_into_a_folder_that_was_known_is_seen() {
    let renamed = |tree: &Tree, from: &str, to: &str| Fs::real().rename(&tree.path(from), &tree.path(to)).unwrap();
    let changes: [(&str, &dyn Fn(&Tree), &[&str]); 7] = [
        ("a script", &|tree| drop(tree.file("runs/1/new.py", "new")), &["runs/1/new.py", "src/step.py"]),
        (
            "a script in place of a file",
            &|tree| renamed(tree, "runs/1/a.csv", "runs/1/a.py"),
            &["runs/1/a.py", "src/step.py"],
        ),
        (
            "a folder with a script",
            &|tree| drop(tree.file("runs/1/in/new.py", "new")),
            &["runs/1/in/new.py", "src/step.py"],
        ),
        ("a link", &|tree| tree.link("empty/to.py", "../src/step.py"), &["empty/to.py", "src/step.py"]),
        (
            "another folder",
            &|tree| {
                renamed(tree, "runs/1", "x");
                renamed(tree, "src", "runs/1");
            },
            &["runs/1/step.py"],
        ),
        (
            "a folder anew",
            &|tree| {
                Fs::real().remove_tree(&tree.path("runs/1")).unwrap();
                drop(tree.file("runs/1/new.py", "new"));
            },
            &["runs/1/new.py", "src/step.py"],
        ),
        (
            "rules, then what they leave out",
            &|tree| {
                tree.file("runs/1/.gitignore", "new.py\n");
                tree.file("runs/1/new.py", "new");
                tree.file("runs/1/old.py", "old");
            },
            &["runs/1/old.py", "src/step.py"],
        ),
    ];
    for (what, change, then) in changes {
        let project = Project::new();
        project.scan(scripts());
        project.let_time_pass();
        change(&project.tree);
        assert_eq!(project.scan(scripts()), then, "{what}");
        assert_eq!(project.scan(scripts()), then, "{what}, once more");
    }
}

#[test]
fn a_folder_that_changed_a_moment_ago_is_not_known() {
    let project = Project::new();
    let stat = Fs::real().lstat(&project.tree.path("empty")).unwrap().unwrap();
    project.scan_at(&StepClock::new(Micros(stat.ctime_ns / 1_000), 0), scripts());
    for folder in ["runs/1", "empty"] {
        assert!(!project.is_known(folder), "{folder}");
    }
}

#[test]
fn what_is_known_of_a_folder_is_known_of_no_file() {
    let project = Project::new();
    project.scan(scripts());
    let cache = project.cache();
    let stat = Fs::real().lstat(&project.tree.path("empty")).unwrap().unwrap();
    let place = Place::Inside(RelPath::new("empty").unwrap());
    assert_eq!(cache.get(Key::of(&place), &stat), None);
    assert_eq!(cache.folder(&Place::Inside(RelPath::root())).get(b"empty", &stat), None);
}

#[test]
fn the_scanned_folder_itself_may_hold_nothing() {
    let project = Project::new();
    let none = ByName { file: |_, _| false, folder: |_| false, id: Id::ZERO };
    assert_eq!(project.scan(none), [""; 0]);
    project.tree.file("late.py", "late");
    assert_eq!(project.scan(scripts()), ["late.py", "src/step.py"]);
}

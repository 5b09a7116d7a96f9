//! What need not be listed is what it would be if it were.

use std::io::Write;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::super::{CaptureOptions, capture, look};
use super::*;
use crate::clock::{Clock as _, Micros, StepClock, SystemClock};
use crate::fs::Fs;
use crate::object::recipe::Content;
use crate::path::RelPath;
use crate::progress::{Cancel, Silent};
use crate::worktree::stat_cache::Forget;
use crate::worktree::testing::{Bench, Tree};
use crate::worktree::{Keep, ScanOptions, StatCache};

fn data() -> Place {
    Place::Inside(RelPath::new("data").unwrap())
}

/// A tree whose folders are looked at by one process after the other.
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
        let project = Self { tree, caches: tempfile::tempdir().unwrap(), is_stamped };
        for folder in ["a", "b", "b/in"] {
            for n in 0..60 {
                project.tree.file(format!("data/{folder}/{n}"), format!("{folder} {n}"));
            }
        }
        project
    }

    /// Looks as the next process does: by a clock that takes whatever was written before for written long ago, once that is so for the file
    /// system's as well.
    fn look(&self, options: &CaptureOptions) -> Content {
        self.let_time_pass();
        let cache = StatCache::open(&self.caches.path().join("stat"));
        let clock = StepClock::new(Micros(SystemClock.now().0 + 3_600_000_000), 1);
        let (fs, cancel) = (Fs::real(), Cancel::new());
        let worktree = Worktree {
            fs: &fs,
            root: self.tree.root(),
            clock: &clock,
            cache: &cache,
            progress: &Silent,
            cancel: &cancel,
        };
        let options = CaptureOptions { without_fence: true, ..options.clone() };
        let found = look(&worktree, &data(), &options).unwrap().identify(None).unwrap().content;
        cache.save(&fs, Forget::Nothing).unwrap();
        let anew = Bench::new();
        assert_eq!(found, capture(&anew.at(self.tree.root()), &data(), &options, None).unwrap().content);
        found
    }

    /// Until the file system gives other stamps than those that are there.
    fn let_time_pass(&self) {
        let probe = |name: &str| {
            let path = self.tree.file(name, "x");
            let stat = Fs::real().lstat(&path).unwrap().unwrap();
            Fs::real().remove_file(&path).unwrap();
            stat.ctime_ns
        };
        let before = probe("probe");
        while probe("probe") == before {}
    }

    /// Whether the folder need not be listed.
    fn is_known(&self, folder: &str) -> bool {
        let cache = StatCache::open(&self.caches.path().join("stat"));
        let stat = Fs::real().lstat(&self.tree.path(folder)).unwrap().unwrap();
        cache.leaf(&Place::Inside(RelPath::new(folder).unwrap()), &stat).is_some()
    }

    /// Looked at until all is known that can be.
    fn known() -> (Self, Content) {
        let project = Self::new();
        let first = project.look(&CaptureOptions::default());
        assert_eq!(project.look(&CaptureOptions::default()), first);
        assert_eq!(project.is_known("data/a"), project.is_stamped);
        assert_eq!(project.is_known("data/b/in"), project.is_stamped);
        // There is a folder in it.
        assert!(!project.is_known("data/b"));
        (project, first)
    }
}

/// Sets the times of a file to a moment long ago.
fn age(path: &Path) {
    let then = Timespec { tv_sec: 1_600_000_000, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: then, last_modification: then };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
}

fn renamed(tree: &Tree, from: &str, to: &str) {
    Fs::real().rename(&tree.path(from), &tree.path(to)).unwrap();
}

#[test]
fn every_change_of_a_folder_that_was_known_is_seen() {
    let changes: [(&str, fn(&Tree)); 11] = [
        ("a file more", |tree| drop(tree.file("data/a/more", "more"))),
        ("a hidden file more", |tree| drop(tree.file("data/a/.more", "more"))),
        ("a file less", |tree| Fs::real().remove_file(&tree.path("data/a/7")).unwrap()),
        ("other bytes, as many, and the old time", |tree| {
            let stat = Fs::real().lstat(&tree.path("data/a/7")).unwrap().unwrap();
            let mut file = Fs::real().create(&tree.path("data/a/7"), 0o666).unwrap();
            file.write_all(b"A 7").unwrap();
            drop(file);
            let (seconds, nanos) = (stat.mtime_ns.div_euclid(1_000_000_000), stat.mtime_ns.rem_euclid(1_000_000_000));
            let then = Timespec { tv_sec: seconds, tv_nsec: nanos };
            let times = Timestamps { last_access: then, last_modification: then };
            rustix::fs::utimensat(CWD, tree.path("data/a/7"), &times, AtFlags::empty()).unwrap();
        }),
        ("two files swapped", |tree| {
            renamed(tree, "data/a/7", "data/a/x");
            renamed(tree, "data/a/8", "data/a/7");
            renamed(tree, "data/a/x", "data/a/8");
        }),
        ("a file of another folder in its place", |tree| renamed(tree, "data/b/7", "data/a/7")),
        ("executable", |tree| Fs::real().set_mode(&tree.path("data/a/7"), 0o755).unwrap()),
        ("a link instead of a file", |tree| {
            Fs::real().remove_file(&tree.path("data/a/7")).unwrap();
            tree.link("data/a/7", "8");
        }),
        ("two folders swapped", |tree| {
            renamed(tree, "data/a", "data/x");
            renamed(tree, "data/b/in", "data/a");
            renamed(tree, "data/x", "data/b/in");
        }),
        ("a folder in it", |tree| drop(tree.file("data/a/sub/x", "x"))),
        ("another folder with files of the same names", |tree| {
            Fs::real().remove_tree(&tree.path("data/a")).unwrap();
            (0..60).for_each(|n| drop(tree.file(format!("data/a/{n}"), format!("b {n}"))));
        }),
    ];
    for (what, change) in changes {
        let (project, before) = Project::known();
        project.let_time_pass();
        change(&project.tree);
        // Times of files and folders alone say nothing.
        age(&project.tree.path("data/a"));
        assert_ne!(project.look(&CaptureOptions::default()), before, "{what}");
    }
}

#[test]
fn touching_changes_nothing_and_is_known_again() {
    let (project, before) = Project::known();
    project.let_time_pass();
    age(&project.tree.path("data/a"));
    age(&project.tree.path("data/b/in/3"));
    for _ in 0..2 {
        assert_eq!(project.look(&CaptureOptions::default()), before);
    }
    assert_eq!(project.is_known("data/a"), project.is_stamped);
}

#[test]
fn rules_and_choices_hold_for_what_is_known() {
    let (project, before) = Project::known();
    project.tree.file(".provignore", "7\n");
    let rules = crate::worktree::Rules::open(&Fs::real(), project.tree.root(), None).unwrap();
    let rules = rules.enter_path(&Fs::real(), project.tree.root(), &RelPath::new("data").unwrap()).unwrap();
    let ruled = CaptureOptions {
        scan: ScanOptions { rules: Some(rules), ..ScanOptions::default() },
        ..CaptureOptions::default()
    };
    let without = project.look(&ruled);
    assert_ne!(without, before);
    assert_eq!(project.look(&ruled), without);
    assert_eq!(project.look(&CaptureOptions::default()), before);
    let kept = CaptureOptions {
        scan: ScanOptions { keep: Some(Keep::new(|path, _| path.ends_with(b"8"))), ..ScanOptions::default() },
        ..CaptureOptions::default()
    };
    assert_ne!(project.look(&kept), before);
    assert_eq!(project.look(&CaptureOptions::default()), before);
}

#[test]
fn what_was_written_a_moment_ago_is_not_trusted_to_show_changes() {
    let project = Project::new();
    let cache = StatCache::open(&project.caches.path().join("stat"));
    let stat = Fs::real().lstat(&project.tree.path("data/a")).unwrap().unwrap();
    // Files count as old from the first, the folder does not.
    for n in 0..60 {
        let path = format!("data/a/{n}");
        let file = Fs::real().lstat(&project.tree.path(&path)).unwrap().unwrap();
        let id = crate::hash::blob(format!("a {n}").as_bytes());
        let key = crate::worktree::stat_cache::Key::of(&Place::Inside(RelPath::new(path).unwrap()));
        cache.put(key, &file, id, Micros(SystemClock.now().0 + 3_600_000_000));
    }
    let clock = StepClock::new(Micros(stat.ctime_ns / 1_000), 0);
    let (fs, cancel) = (Fs::real(), Cancel::new());
    let root = project.tree.root();
    let worktree = Worktree { fs: &fs, root, clock: &clock, cache: &cache, progress: &Silent, cancel: &cancel };
    let options = CaptureOptions { without_fence: true, ..CaptureOptions::default() };
    let place = Place::Inside(RelPath::new("data/a").unwrap());
    for _ in 0..2 {
        look(&worktree, &place, &options).unwrap().identify(None).unwrap();
    }
    cache.save(&fs, Forget::Nothing).unwrap();
    assert!(!project.is_known("data/a"));
}

//! Capturing files and folders, still ones and ones that change.

use std::io::Write;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps};

use super::super::ChangeKind::{self, Added, Changed, Removed};
use super::super::testing::{Bench, Memory, Tree};
use super::super::{Keep, Rules};
use super::*;
use crate::clock::{Clock as _, Micros, StepClock, SystemClock};
use crate::fs::Fs;
use crate::object::Source;

fn inside(path: &str) -> Place {
    Place::Inside(RelPath::new(path).unwrap())
}

fn taken(bench: &Bench, tree: &Tree, path: &str, sink: Option<&dyn Sink>) -> Captured {
    capture(&bench.at(tree.root()), &inside(path), &CaptureOptions::default(), sink).unwrap()
}

fn changes(bench: &Bench, tree: &Tree, fence: &Fence) -> Vec<(String, ChangeKind)> {
    fence
        .check(&bench.at(tree.root()))
        .into_iter()
        .map(|c| (c.path.strip_prefix(tree.root()).unwrap().display().to_string(), c.kind))
        .collect()
}

fn entries(store: &Memory, content: &Content) -> Vec<(String, EntryKind, u64)> {
    let listed = tree::list(content.id(), &mut |id| Ok::<_, ()>(store.read(id).unwrap().unwrap().1)).unwrap();
    listed.into_iter().map(|e| (e.name.to_string(), e.kind, e.size)).collect()
}

/// Sets mtime and atime to a moment long ago; ctime becomes now.
fn age(path: &Path) {
    let then = Timespec { tv_sec: 1_600_000_000, tv_nsec: 123_456_789 };
    rustix::fs::utimensat(CWD, path, &Timestamps { last_access: then, last_modification: then }, AtFlags::empty())
        .unwrap();
}

#[test]
fn a_file_is_its_bytes_whatever_it_is_called() {
    let (tree, bench, store) = (Tree::new(), Bench::new(), Memory::default());
    for name in ["plain", "-x", "with space", "new\nline", &"n".repeat(255)] {
        tree.file(name, "abc");
        let got = taken(&bench, &tree, name, Some(&store));
        assert_eq!(got.content, Content::Blob(hash::blob(b"abc")));
        assert_eq!((got.size, got.exec, got.files), (3, false, 1));
    }
    let odd = Place::Inside(RelPath::new(b"\xff\xfe".as_slice()).unwrap());
    tree.file(b"\xff\xfe", "abc");
    assert_eq!(
        capture(&bench.at(tree.root()), &odd, &CaptureOptions::default(), None).unwrap().content,
        Content::Blob(hash::blob(b"abc"))
    );
    tree.exec("run.sh", "#!");
    assert!(taken(&bench, &tree, "run.sh", None).exec);
    tree.file("empty", "");
    assert_eq!(taken(&bench, &tree, "empty", None).size, 0);
}

#[test]
fn a_path_outside_of_the_project_is_captured_too() {
    let (tree, other, bench) = (Tree::new(), Tree::new(), Bench::new());
    other.file("d/f", "abc");
    let place = Place::Outside(other.path("d"));
    let got = capture(&bench.at(tree.root()), &place, &CaptureOptions::default(), None).unwrap();
    other.file("e/f", "abc");
    assert_eq!(got.content, taken(&bench, &other, "e", None).content);
}

/// What is captured by a state that no longer holds is either what lies there now, or the fence knows that it changed.
#[test]
fn what_changes_after_its_state_was_asked_does_not_go_unnoticed() {
    let other = |tree: &Tree| tree.file("f", "other");
    let shorter = |tree: &Tree| tree.file("f", "o");
    let swapped = |tree: &Tree| {
        let beside = tree.file("beside", "other");
        // It is as old as the one that lay there, and as long.
        age(&beside);
        Fs::real().rename(&beside, &tree.path("f")).unwrap();
        tree.path("f")
    };
    let is_known = [true, false];
    for (n, edit) in [&other as &dyn Fn(&Tree) -> PathBuf, &shorter, &swapped].into_iter().enumerate() {
        for is_known in is_known {
            let (tree, bench) = (Tree::new(), Bench::new());
            let path = tree.file("f", "first");
            age(&path);
            if is_known {
                // By this clock it was written long ago, so that its state proves its content.
                let ahead = StepClock::new(Micros(SystemClock.now().0 + 3_600_000_000), 1);
                let worktree = Worktree { clock: &ahead, ..bench.at(tree.root()) };
                capture(&worktree, &inside("f"), &CaptureOptions::default(), None).unwrap();
            }
            let stat = bench.fs.stat(&path).unwrap().unwrap();
            edit(&tree);
            let options = CaptureOptions::default();
            let got = capture_seen(&bench.at(tree.root()), &inside("f"), path.clone(), stat, &options, None).unwrap();
            let now = Content::Blob(hash::blob(&std::fs::read(&path).unwrap()));
            let is_noticed = !changes(&bench, &tree, &got.fence).is_empty();
            assert_eq!(is_noticed, got.content != now, "edit {n}, known {is_known}: {:?}", got.content);
        }
    }
}

#[test]
fn a_folder_and_a_file_that_take_each_others_place_do_not_go_unnoticed() {
    let (tree, bench) = (Tree::new(), Bench::new());
    let path = tree.file("x", "file");
    let of_file = bench.fs.stat(&path).unwrap().unwrap();
    Fs::real().remove_file(&path).unwrap();
    tree.file("x/inside", "folder");
    let of_folder = bench.fs.stat(&path).unwrap().unwrap();
    let seen = |stat| {
        let options = CaptureOptions::default();
        capture_seen(&bench.at(tree.root()), &inside("x"), path.clone(), stat, &options, None)
    };
    assert!(seen(of_file).is_err());
    Fs::real().remove_tree(&path).unwrap();
    tree.file("x", "file");
    assert!(seen(of_folder).is_err());
    Fs::real().remove_file(&path).unwrap();
    assert!(seen(of_file).is_err());
}

#[test]
fn a_folder_keeps_empty_folders_links_and_exec_bits() {
    let (tree, bench, store) = (Tree::new(), Bench::new(), Memory::default());
    tree.file("d/a", "12");
    tree.exec("d/run", "345");
    tree.folder("d/empty");
    tree.file("d/sub/deep/f", "6");
    tree.link("d/l", "../elsewhere");
    tree.file("d/.git/x", "out");
    tree.file("d/sub/.prov/x", "out");
    let got = taken(&bench, &tree, "d", Some(&store));
    let expected = [
        ("a", EntryKind::File, 2),
        ("empty", EntryKind::Tree, 0),
        ("l", EntryKind::Link, 12),
        ("run", EntryKind::Exec, 3),
        ("sub", EntryKind::Tree, 1),
    ];
    assert_eq!(entries(&store, &got.content), expected.map(|(n, k, s)| (n.to_owned(), k, s)));
    assert_eq!((got.size, got.files), (18, 4));
    assert!(store.has(&hash::blob(b"../elsewhere")).unwrap());
    // Hashing only gives the same.
    assert_eq!(taken(&bench, &tree, "d", None).content, got.content);
    assert_eq!(taken(&Bench::new(), &tree, "d", None).content, got.content);
}

#[test]
fn rules_choices_and_empty_folders_narrow_what_is_taken() {
    let (tree, bench, store) = (Tree::new(), Bench::new(), Memory::default());
    tree.file(".provignore", "*.o\n");
    tree.file("a.o", "");
    tree.file("src/a.c", "int");
    tree.file("src/a.o", "obj");
    tree.file("only/x.o", "obj");
    tree.folder("e/e/e");
    let rules = Rules::open(&bench.fs, tree.root(), None).unwrap();
    let mut options = CaptureOptions::default();
    options.scan.rules = Some(rules);
    let names = |options: &CaptureOptions| {
        let got = capture(&bench.at(tree.root()), &inside(""), options, Some(&store)).unwrap();
        entries(&store, &got.content).into_iter().map(|e| e.0).collect::<Vec<_>>()
    };
    assert_eq!(names(&options), [".provignore", "e", "only", "src"]);
    options.scan.without_empty_folders = true;
    assert_eq!(names(&options), [".provignore", "src"]);
    options.scan.keep = Some(Keep::new(|path, _| path == "src/a.c"));
    assert_eq!(names(&options), ["src"]);
    options.scan.keep = Some(Keep::new(|_, _| false));
    assert!(names(&options).is_empty());
}

#[test]
fn a_wide_folder_is_stored_whole_even_when_its_listing_is_known() {
    let (tree, bench) = (Tree::new(), Bench::new());
    for i in 0..MAX_ENTRIES + 5 {
        tree.file(format!("w/f{i}"), format!("{}", i % 10));
    }
    let (one, two) = (Memory::default(), Memory::default());
    let first = taken(&bench, &tree, "w", Some(&one));
    let second = taken(&bench, &tree, "w", Some(&two));
    assert_eq!(first.content, second.content);
    assert_eq!(one.len(), two.len());
    assert_eq!(entries(&two, &second.content).len(), MAX_ENTRIES + 5);
}

#[test]
fn what_can_not_be_captured_is_named() {
    let (tree, bench) = (Tree::new(), Bench::new());
    tree.file("d/ok", "");
    rustix::fs::mkfifoat(CWD, tree.path("d/pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    let options = CaptureOptions::default();
    let err = capture(&bench.at(tree.root()), &inside("d"), &options, None).unwrap_err();
    assert!(matches!(err, Error::Special { .. }) && err.to_string().contains("d/pipe"), "{err}");
    let _socket = std::os::unix::net::UnixListener::bind(tree.path("sock")).unwrap();
    for name in ["d/pipe", "sock"] {
        let err = capture(&bench.at(tree.root()), &inside(name), &options, None).unwrap_err();
        assert!(matches!(err, Error::Special { .. }), "{err}");
    }
    let err = capture(&bench.at(tree.root()), &inside("nothing"), &options, None).unwrap_err();
    assert!(matches!(err, Error::Absent { .. }), "{err}");
    if !rustix::process::geteuid().is_root() {
        let secret = tree.file("s/secret", "x");
        Fs::real().set_mode(&secret, 0).unwrap();
        let err = capture(&bench.at(tree.root()), &inside("s"), &options, None).unwrap_err();
        assert!(err.to_string().contains("s/secret"), "{err}");
    }
}

#[test]
fn a_link_at_the_top_is_followed_to_file_and_folder() {
    let (tree, bench) = (Tree::new(), Bench::new());
    tree.file("real/f", "abc");
    tree.link("lf", "real/f");
    tree.link("ld", "real");
    assert_eq!(taken(&bench, &tree, "lf", None).content, Content::Blob(hash::blob(b"abc")));
    assert_eq!(taken(&bench, &tree, "ld", None).content, taken(&bench, &tree, "real", None).content);
}

#[test]
fn an_edit_of_the_same_size_at_once_is_seen() {
    let (tree, bench) = (Tree::new(), Bench::new());
    for round in 0..200u8 {
        let path = tree.file("f", [b'a'; 8]);
        tree.file("d/g", [b'a'; 8]);
        let (f, d) = (taken(&bench, &tree, "f", None), taken(&bench, &tree, "d", None));
        // In place, the same inode and size, as soon as can be.
        for name in ["f", "d/g"] {
            std::fs::OpenOptions::new().write(true).open(tree.path(name)).unwrap().write_at(&[b'b', round], 3).unwrap();
        }
        assert_eq!(changes(&bench, &tree, &f.fence), [("f".to_owned(), ChangeKind::Changed)]);
        assert_eq!(changes(&bench, &tree, &d.fence), [("d/g".to_owned(), ChangeKind::Changed)]);
        let now = std::fs::read(&path).unwrap();
        assert_eq!(taken(&bench, &tree, "f", None).content, Content::Blob(hash::blob(&now)));
        assert_ne!(taken(&bench, &tree, "d", None).content, d.content);
    }
}

#[test]
fn a_restored_mtime_and_a_twin_renamed_over_do_not_hide_an_edit() {
    let (tree, bench) = (Tree::new(), Bench::new());
    let path = tree.file("f", "one");
    age(&path);
    let before = taken(&bench, &tree, "f", None);
    Fs::real().create(&path, 0o666).unwrap().write_all(b"two").unwrap();
    age(&path);
    assert_eq!(taken(&bench, &tree, "f", None).content, Content::Blob(hash::blob(b"two")));
    assert_eq!(changes(&bench, &tree, &before.fence).len(), 1);
    let before = taken(&bench, &tree, "f", None);
    let twin = tree.file("twin", "six");
    age(&twin);
    Fs::real().rename(&twin, &path).unwrap();
    assert_eq!(taken(&bench, &tree, "f", None).content, Content::Blob(hash::blob(b"six")));
    assert_eq!(changes(&bench, &tree, &before.fence).len(), 1);
}

#[test]
fn the_fence_names_what_changed_came_and_went() {
    let (tree, bench) = (Tree::new(), Bench::new());
    for name in ["d/same", "d/edited", "d/gone", "d/sub/gone", "d/kind"] {
        tree.file(name, "old");
    }
    tree.link("d/link", "old");
    let mut fence = taken(&bench, &tree, "d", None).fence;
    assert_eq!(changes(&bench, &tree, &fence), []);
    assert_eq!(fence.len(), 8);
    tree.file("d/edited", "other");
    tree.file("d/new/file", "x");
    let fs = Fs::real();
    fs.remove_file(&tree.path("d/gone")).unwrap();
    fs.remove_tree(&tree.path("d/sub")).unwrap();
    fs.remove_file(&tree.path("d/kind")).unwrap();
    tree.folder("d/kind");
    fs.remove_file(&tree.path("d/link")).unwrap();
    tree.link("d/link", "new");
    let expected = [
        ("d/edited", Changed),
        ("d/gone", Removed),
        ("d/kind", Added),
        ("d/kind", Changed),
        ("d/link", Changed),
        ("d/new", Added),
        ("d/sub", Removed),
    ];
    let mut got = changes(&bench, &tree, &fence);
    got.dedup_by(|a, b| a.0 == b.0 && a.0 == "d/kind");
    assert_eq!(
        got.iter().map(|c| c.0.as_str()).collect::<Vec<_>>(),
        ["d/edited", "d/gone", "d/kind", "d/link", "d/new", "d/sub"]
    );
    assert!(got.iter().filter(|c| c.0 != "d/kind").all(|c| expected.contains(&(c.0.as_str(), c.1))), "{got:?}");
    fence.join(taken(&bench, &tree, "d/same", None).fence);
    fs.remove_tree(&tree.path("d")).unwrap();
    assert_eq!(changes(&bench, &tree, &fence), [("d".to_owned(), Removed), ("d/same".to_owned(), Removed)]);
}

#[test]
fn what_the_cache_knows_is_not_read_again() {
    let (tree, bench) = (Tree::new(), Bench::new());
    let path = tree.file("d/f", "abc");
    age(&path);
    // Stands for a file that settled long ago: the entry says what no reading would.
    let stat = bench.fs.stat(&path).unwrap().unwrap();
    let lie = hash::blob(b"not read");
    bench.cache.put(Key::of(&inside("d/f")), &stat, lie, crate::clock::Micros(i64::MAX / 1000));
    assert_eq!(taken(&bench, &tree, "d/f", None).content, Content::Blob(lie));
    let store = Memory::default();
    // What the sink lacks has to be read.
    assert_eq!(taken(&bench, &tree, "d/f", Some(&store)).content, Content::Blob(hash::blob(b"abc")));
}

#[test]
fn a_raised_cancel_stops_it() {
    let (tree, bench) = (Tree::new(), Bench::new());
    tree.file("d/f", "abc");
    bench.cancel.raise();
    let got = capture(&bench.at(tree.root()), &inside("d"), &CaptureOptions::default(), None);
    assert!(matches!(got, Err(Error::Cancelled)));
}

#[test]
fn a_capture_without_a_fence_is_the_same_content() {
    let (tree, bench, store) = (Tree::new(), Bench::new(), Memory::default());
    for n in 0..40 {
        age(&tree.file(format!("d/{}/{n}", n % 3), format!("{n}")));
    }
    tree.exec("d/0/run.sh", "#!");
    tree.link("d/1/link", "0");
    tree.folder("d/empty/deep");
    let brief = CaptureOptions { without_fence: true, ..CaptureOptions::default() };
    // By this clock every file was written long ago.
    let ahead = StepClock::new(Micros(SystemClock.now().0 + 3_600_000_000), 1);
    let take = |options: &CaptureOptions, sink: Option<&dyn Sink>| {
        let worktree = Worktree { clock: &ahead, ..bench.at(tree.root()) };
        capture(&worktree, &inside("d"), options, sink).unwrap()
    };
    let brief_of = |sink| take(&brief, sink);
    let same = |sink| {
        let (full, brief) = (take(&CaptureOptions::default(), sink), brief_of(sink));
        assert_eq!((&full.content, full.size, full.files), (&brief.content, brief.size, brief.files));
        assert!(brief.fence.is_empty() && !full.fence.is_empty());
        full.content
    };
    // Twice: what the first one remembers, the second one uses.
    let before = same(None);
    assert_eq!(same(None), before);
    // A sink that lacks what the cache knows gets it.
    assert_eq!(brief_of(Some(&store)).content, before);
    assert_eq!(same(Some(&store)), before);
    let blobs = entries(&store, &before).len();
    assert_eq!(blobs, 4);
    store.forget(&hash::blob(b"7"));
    assert_eq!(brief_of(Some(&store)).content, before);
    assert!(store.has(&hash::blob(b"7")).unwrap());
    // Each kind of edit shows: size, same size, another mode, a name, and a folder renamed over another.
    tree.file("d/2/5", "x");
    let edited = same(None);
    assert_ne!(edited, before);
    tree.exec("d/2/8", "8");
    let mode = same(None);
    assert_ne!(mode, edited);
    tree.file("d/2/new", "new");
    let named = same(None);
    assert_ne!(named, mode);
    for n in 0..14 {
        age(&tree.file(format!("twin/{}", n * 3), "y"));
    }
    Fs::real().remove_tree(&tree.path("d/0")).unwrap();
    Fs::real().rename(&tree.path("twin"), &tree.path("d/0")).unwrap();
    assert_ne!(same(None), named);
}

/// As `prov add` does it; whether anything was left to be stored.
fn taken_in_steps(worktree: &Worktree<'_>, path: &str, store: &Memory) -> (Captured, bool) {
    let options = CaptureOptions { without_fence: true, ..CaptureOptions::default() };
    let mut looked = look(worktree, &inside(path), &options).unwrap();
    if looked.is_mostly_new() {
        return (looked.store(store, store, None).unwrap(), true);
    }
    let captured = looked.identify(Some(store)).unwrap();
    if store.has(&captured.content.id()).unwrap() {
        return (captured, false);
    }
    let stored = looked.store(store, store, None).unwrap();
    assert_eq!((stored.content.clone(), stored.size, stored.files), (captured.content, captured.size, captured.files));
    (stored, true)
}

#[test]
fn what_is_taken_in_steps_is_what_is_taken_at_once_and_all_of_it_is_stored() {
    let (tree, bench, store) = (Tree::new(), Bench::new(), Memory::default());
    let ahead = StepClock::new(Micros(SystemClock.now().0 + 3_600_000_000), 1);
    let worktree = Worktree { clock: &ahead, ..bench.at(tree.root()) };
    let same = |path: &str| {
        let (captured, stored) = taken_in_steps(&worktree, path, &store);
        assert_eq!(captured.content, taken(&bench, &tree, path, None).content);
        let all = entries(&store, &captured.content);
        assert_eq!(all, {
            let whole = Memory::default();
            entries(&whole, &taken(&bench, &tree, path, Some(&whole)).content)
        });
        stored
    };
    for n in 0..40 {
        tree.file(format!("d/{}/{n}", n % 4), format!("{n}"));
    }
    tree.link("d/l", "1/1");
    tree.folder("d/empty");
    assert!(same("d") && !same("d"));
    // One of many folders changes.
    tree.file("d/2/2", "other");
    assert!(same("d") && !same("d"));
    // A file, or a listing, that the store lost comes back although nothing else of its folder was looked at.
    for lost in [hash::blob(b"1"), hash::blob(b"3")] {
        store.forget(&lost);
        tree.file("d/0/0", lost.to_string());
        assert!(same("d"));
        assert!(store.has(&lost).unwrap());
    }
    let listing = entries(&store, &taken(&bench, &tree, "d/1", None).content);
    store.forget(&taken(&bench, &tree, "d/1", None).content.id());
    tree.file("d/0/4", "again");
    assert!(same("d"));
    assert_eq!(entries(&store, &taken(&bench, &tree, "d/1", None).content), listing);
    // Touched, and the same.
    age(&tree.path("d/3/3"));
    assert!(!same("d"));
}

#[test]
fn a_file_in_steps_is_stored_once_it_is_not_there() {
    let (tree, bench, store) = (Tree::new(), Bench::new(), Memory::default());
    let ahead = StepClock::new(Micros(SystemClock.now().0 + 3_600_000_000), 1);
    let worktree = Worktree { clock: &ahead, ..bench.at(tree.root()) };
    tree.file("f", "content");
    for is_stored in [true, false] {
        let (captured, stored) = taken_in_steps(&worktree, "f", &store);
        assert_eq!((captured.content, stored), (Content::Blob(hash::blob(b"content")), is_stored));
        assert!(store.has(&hash::blob(b"content")).unwrap());
    }
    store.forget(&hash::blob(b"content"));
    assert!(taken_in_steps(&worktree, "f", &store).1);
    assert!(store.has(&hash::blob(b"content")).unwrap());
}

#[test]
fn what_is_mostly_new_is_told_from_the_cache_alone() {
    let (tree, bench, store) = (Tree::new(), Bench::new(), Memory::default());
    let ahead = StepClock::new(Micros(SystemClock.now().0 + 3_600_000_000), 1);
    let worktree = Worktree { clock: &ahead, ..bench.at(tree.root()) };
    let options = CaptureOptions::default();
    let is_new = |path| look(&worktree, &inside(path), &options).unwrap().is_mostly_new();
    for n in 0..4 {
        tree.file(format!("d/{n}"), format!("{n}"));
    }
    tree.folder("empty");
    assert!(is_new("d") && is_new("d/0") && !is_new("empty"));
    assert!(matches!(look(&worktree, &inside("none"), &options), Err(Error::Absent { .. })));
    capture(&worktree, &inside("d"), &options, Some(&store)).unwrap();
    assert!(!is_new("d") && !is_new("d/0"));
    tree.file("d/4", "4");
    tree.file("d/5", "5");
    assert!(!is_new("d"));
    for n in 6..20 {
        tree.file(format!("d/{n}"), format!("{n}"));
    }
    assert!(is_new("d"));
}

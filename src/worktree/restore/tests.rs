//! Restoring: everything is checked first, and nothing unknown is lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing::{Bench, Memory, Tree};
use super::super::{CaptureOptions, Captured, capture};
use super::InTheWay::{File, Folder, Link};
use super::*;
use crate::fs::{Fs, NthEffect, Verdict};
use crate::hash;
use crate::object::tree::{Child, Entry, EntryKind, Tree as TreeObject};
use crate::object::{Kind, Record, Sink, Source};
use crate::path::Place;

fn rel(path: impl AsRef<[u8]>) -> RelPath {
    RelPath::new(path.as_ref()).unwrap()
}

fn taken(tree: &Tree, path: &str, store: &Memory) -> Captured {
    let place = Place::Inside(rel(path));
    capture(&Bench::new().at(tree.root()), &place, &CaptureOptions::default(), Some(store)).unwrap()
}

fn wanted(captured: &Captured, to: &str) -> Wanted {
    Wanted { content: captured.content.clone(), exec: captured.exec, to: rel(to) }
}

fn want_tree(id: Id, to: &str) -> Wanted {
    Wanted { content: Content::Tree(id), exec: false, to: rel(to) }
}

fn want_blob(id: Id, to: &str) -> Wanted {
    Wanted { content: Content::Blob(id), exec: false, to: rel(to) }
}

fn replace(_: &PlanItem) -> Existing {
    Existing::Replace(Fence::new())
}

fn planned(root: &Path, source: &dyn Source, wanted: &[Wanted]) -> Result<Plan, Error> {
    plan(&Bench::new().at(root), root, source, wanted, &RestoreOptions::default())
}

/// Plans and applies with everything in the way replaced.
fn restored(root: &Path, source: &dyn Source, wanted: &[Wanted]) -> Vec<Outcome> {
    let plan = planned(root, source, wanted).unwrap();
    apply(&Bench::new().at(root), &plan, source, &replace).into_iter().map(|d| d.result.unwrap()).collect()
}

/// Every path below a folder with what it is: `/` for folders, `-> target` for links, else mode and bytes.
fn snapshot(root: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let mut all = BTreeMap::new();
    for entry in Fs::real().walk(root) {
        let (path, stat) = entry.unwrap();
        let what = match stat.kind {
            crate::fs::FileKind::Folder => b"/".to_vec(),
            crate::fs::FileKind::Link => [b"-> ", std::fs::read_link(&path).unwrap().as_os_str().as_bytes()].concat(),
            _ => [format!("{:o} ", stat.mode & 0o111).into_bytes(), std::fs::read(&path).unwrap()].concat(),
        };
        all.insert(path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec(), what);
    }
    all
}

fn no_litter(root: &Path) {
    let left: Vec<_> = snapshot(root).into_keys().filter(|p| p.find(".prov-restore").is_some()).collect();
    assert!(left.is_empty(), "{left:?}");
}

use bstr::ByteSlice;

/// A tree object with these entries, whatever they are.
fn raw_tree(store: &Memory, entries: Vec<Entry>) -> Id {
    let bytes = TreeObject::Leaf(entries).encode().unwrap();
    let id = crate::object::id_of(&Kind::TREE, &bytes);
    store.put(&Kind::TREE, &id, &bytes).unwrap();
    id
}

fn entry(name: impl AsRef<[u8]>, kind: EntryKind, id: Id, size: u64) -> Entry {
    Entry { name: name.as_ref().into(), kind, id, size }
}

fn file(store: &Memory, name: impl AsRef<[u8]>, bytes: &str) -> Entry {
    entry(name, EntryKind::File, store.blob(bytes), bytes.len() as u64)
}

fn link(store: &Memory, name: &str, target: &str) -> Entry {
    entry(name, EntryKind::Link, store.blob(target), target.len() as u64)
}

fn folder(store: &Memory, name: &str, entries: Vec<Entry>) -> Entry {
    entry(name, EntryKind::Tree, raw_tree(store, entries), 0)
}

/// A folder with a bit of everything.
fn sample() -> Tree {
    let tree = Tree::new();
    tree.file("src/a", "alpha");
    tree.exec("src/run", "#!");
    tree.folder("src/empty");
    tree.file("src/sub/deep/b", "beta");
    tree.file(b"src/odd\n\xff".as_slice(), "odd");
    tree.file("src/-x", "dash");
    tree.file(format!("src/{}", "n".repeat(255)), "long");
    tree.link("src/l", "sub/deep");
    tree.link("src/up", "../anything");
    tree
}

#[test]
fn a_file_and_a_folder_come_back_as_they_were() {
    let (tree, target, store) = (sample(), Tree::new(), Memory::default());
    let (dir, run) = (taken(&tree, "src", &store), taken(&tree, "src/run", &store));
    let wants = [wanted(&dir, "out/dir"), wanted(&run, "bin/run")];
    assert_eq!(restored(target.root(), &store, &wants), [Outcome::Restored, Outcome::Restored]);
    assert_eq!(snapshot(&target.path("out/dir")), snapshot(&tree.path("src")));
    assert_eq!(snapshot(&target.path("bin"))[b"run".as_slice()], b"111 #!");
    assert_eq!(taken(&target, "out/dir", &store).content, dir.content);
    no_litter(target.root());
    // Again: nothing to do.
    assert_eq!(restored(target.root(), &store, &wants), [Outcome::Kept, Outcome::Kept]);
}

#[test]
fn a_root_that_does_not_exist_is_made() {
    let (tree, store) = (sample(), Memory::default());
    let dir = taken(&tree, "src", &store);
    let target = Tree::new();
    let root = target.root().join("new/root");
    assert_eq!(restored(&root, &store, &[wanted(&dir, "d")]), [Outcome::Restored]);
    assert!(root.join("d/sub/deep/b").exists());
}

#[test]
fn files_that_are_right_are_untouched_and_the_rest_of_the_folder_is_put_right() {
    let (tree, target, store) = (sample(), Tree::new(), Memory::default());
    let dir = taken(&tree, "src", &store);
    restored(target.root(), &store, &[wanted(&dir, "d")]);
    let fs = Fs::real();
    let before = fs.lstat(&target.path("d/a")).unwrap().unwrap();
    target.file("d/sub/deep/b", "edit");
    target.file("d/extra/more/x", "extra");
    fs.remove_dir(&target.path("d/empty")).unwrap();
    target.file("d/empty", "now a file");
    fs.remove_file(&target.path("d/-x")).unwrap();
    target.folder("d/-x");
    fs.remove_file(&target.path("d/l")).unwrap();
    target.link("d/l", "elsewhere");
    fs.set_mode(&target.path("d/run"), 0o644).unwrap();
    let plan = planned(target.root(), &store, &[wanted(&dir, "d")]).unwrap();
    assert_eq!(plan.items()[0].state, State::Different(InTheWay::Folder));
    assert_eq!(restored(target.root(), &store, &[wanted(&dir, "d")]), [Outcome::Restored]);
    assert_eq!(snapshot(&target.path("d")), snapshot(&tree.path("src")));
    assert!(fs.lstat(&target.path("d/a")).unwrap().unwrap().same_content(&before));
    no_litter(target.root());
}

#[test]
fn only_what_differs_is_read_from_the_store() {
    let (tree, target, store) = (sample(), Tree::new(), Memory::default());
    let dir = taken(&tree, "src", &store);
    restored(target.root(), &store, &[wanted(&dir, "d")]);
    store.forget(&hash::blob(b"alpha"));
    target.file("d/sub/deep/b", "edit");
    assert_eq!(restored(target.root(), &store, &[wanted(&dir, "d")]), [Outcome::Restored]);
}

#[test]
fn the_caller_decides_about_what_is_in_the_way() {
    let (target, store) = (Tree::new(), Memory::default());
    let (blob, tree) = (store.blob("new"), raw_tree(&store, vec![file(&store, "f", "new")]));
    target.file("file", "old");
    target.file("folder/x", "old");
    target.link("link", "nowhere");
    target.file("file2", "old");
    target.file("folder2/x", "old");
    let wants = [
        want_blob(blob, "file"),
        want_blob(blob, "folder"),
        want_blob(blob, "link"),
        want_tree(tree, "file2"),
        want_tree(tree, "folder2"),
    ];
    let plan = planned(target.root(), &store, &wants).unwrap();
    let states: Vec<State> = plan.items().iter().map(|i| i.state.clone()).collect();
    assert_eq!(states, [File, Folder, Link, File, Folder].map(State::Different));
    let before = snapshot(target.root());
    let bench = Bench::new();
    let done = apply(&bench.at(target.root()), &plan, &store, &|_| Existing::Refuse);
    assert!(done.into_iter().all(|d| d.result.unwrap() == Outcome::Refused));
    assert_eq!(snapshot(target.root()), before);
    let done = apply(&bench.at(target.root()), &plan, &store, &replace);
    assert!(done.into_iter().all(|d| d.result.unwrap() == Outcome::Restored));
    for path in ["file", "folder", "link", "file2/f", "folder2/f"] {
        assert_eq!(std::fs::read(target.path(path)).unwrap(), b"new", "{path}");
        assert!(!target.path(path).is_symlink());
    }
    assert!(!target.path("folder2/x").exists());
    no_litter(target.root());
}

#[test]
fn what_changed_after_it_was_stored_is_not_replaced() {
    let (target, store) = (Tree::new(), Memory::default());
    let (blob, tree) = (store.blob("new"), raw_tree(&store, vec![file(&store, "f", "new")]));
    let bench = Bench::new();
    let worktree = bench.at(target.root());
    for name in ["a", "b/x", "c/x"] {
        target.file(name, "old");
    }
    let wants = [want_blob(blob, "a"), want_blob(blob, "b"), want_tree(tree, "c"), want_blob(blob, "d")];
    let plan = planned(target.root(), &store, &wants).unwrap();
    let mut fences: Vec<(RelPath, Fence)> = ["a", "b", "c"]
        .map(|name| {
            let place = Place::Inside(rel(name));
            (rel(name), capture(&worktree, &place, &CaptureOptions::default(), Some(&store)).unwrap().fence)
        })
        .into();
    // The same size, within the same tick.
    for name in ["a", "b/x", "c/x", "d"] {
        target.file(name, "own");
    }
    let fences = std::cell::RefCell::new(&mut fences);
    let done = apply(&worktree, &plan, &store, &|item| {
        let mut fences = fences.borrow_mut();
        let at = fences.iter().position(|(to, _)| *to == item.wanted.to).unwrap();
        Existing::Replace(fences.remove(at).1)
    });
    for done in done {
        assert_eq!(done.result.unwrap(), Outcome::Refused, "{}", done.to);
    }
    for name in ["a", "b/x", "c/x", "d"] {
        assert_eq!(std::fs::read(target.path(name)).unwrap(), b"own");
    }
    no_litter(target.root());
}

#[test]
fn missing_objects_are_told_and_nothing_is_written() {
    let (target, store) = (Tree::new(), Memory::default());
    let gone = hash::blob(b"gone");
    let tree = raw_tree(&store, vec![file(&store, "here", "x"), entry("there", EntryKind::File, gone, 4)]);
    let lost_inner = raw_tree(&store, vec![entry("t", EntryKind::Tree, hash::blob(b"no tree"), 4)]);
    let wants = [
        want_blob(gone, "file"),
        want_tree(tree, "folder"),
        want_tree(lost_inner, "inner"),
        want_tree(hash::blob(b"none at all"), "none"),
    ];
    let plan = planned(target.root(), &store, &wants).unwrap();
    assert_eq!(plan.items()[1].missing, [gone]);
    assert_eq!(restored(target.root(), &store, &wants), [Outcome::Missing; 4]);
    assert!(snapshot(target.root()).is_empty());
    // What is there already needs no store.
    target.file("file", "gone");
    assert_eq!(restored(target.root(), &store, &wants[..1]), [Outcome::Kept]);
}

#[test]
fn damage_met_while_reading_leaves_the_destination_as_it_was() {
    let (target, store) = (Tree::new(), Memory::default());
    let tree = raw_tree(&store, vec![file(&store, "a", "good"), file(&store, "b", "bad!")]);
    store.blob("other");
    target.file("existing/a", "old");
    target.file("file", "old");
    let wants = [want_tree(tree, "existing"), want_tree(tree, "fresh"), want_blob(hash::blob(b"bad!"), "file")];
    let plan = planned(target.root(), &store, &wants).unwrap();
    store.damage(&hash::blob(b"bad!"));
    let before = snapshot(target.root());
    let done = apply(&Bench::new().at(target.root()), &plan, &store, &replace);
    for done in done {
        let err = done.result.unwrap_err();
        assert!(matches!(err, Error::Access { .. }), "{err}");
    }
    assert_eq!(snapshot(target.root()), before);
}

#[test]
fn nothing_goes_through_a_link_on_the_way() {
    let (target, outside, store) = (Tree::new(), Tree::new(), Memory::default());
    outside.file("keep", "kept");
    Fs::real().symlink(outside.root(), &target.path("way")).unwrap();
    target.file("file", "x");
    let blob = store.blob("new");
    let wants = [want_blob(blob, "way/f"), want_blob(blob, "way/sub/f"), want_blob(blob, "file/f")];
    let plan = planned(target.root(), &store, &wants).unwrap();
    assert!(plan.items().iter().all(|i| matches!(i.state, State::Blocked(_))));
    assert_eq!(restored(target.root(), &store, &wants), [Outcome::Refused; 3]);
    // Not even if the link appears after the plan.
    let plan = planned(target.root(), &store, &[want_blob(blob, "late/f")]).unwrap();
    Fs::real().symlink(outside.root(), &target.path("late")).unwrap();
    let done = apply(&Bench::new().at(target.root()), &plan, &store, &replace);
    assert!(done[0].result.is_err());
    assert_eq!(snapshot(outside.root()).len(), 1);
}

#[test]
fn a_link_at_the_destination_is_right_if_it_leads_to_the_right_bytes() {
    let (target, store) = (Tree::new(), Memory::default());
    target.file("real", "new");
    target.link("l", "real");
    assert_eq!(restored(target.root(), &store, &[want_blob(store.blob("new"), "l")]), [Outcome::Kept]);
    target.file("real", "own");
    assert_eq!(restored(target.root(), &store, &[want_blob(store.blob("new"), "l")]), [Outcome::Restored]);
    assert_eq!(std::fs::read(target.path("real")).unwrap(), b"own");
    assert!(!target.path("l").is_symlink());
}

#[test]
fn a_repository_inside_is_never_thrown_away() {
    let (target, store) = (Tree::new(), Memory::default());
    target.file("out/.git/HEAD", "mine");
    target.file("out/x", "old");
    target.file("nested/repo/.git/HEAD", "mine");
    let tree = raw_tree(&store, vec![file(&store, "f", "new")]);
    let wants = [want_tree(tree, "out"), want_tree(tree, "nested"), want_blob(store.blob("new"), "out2")];
    target.file("out2/.prov/HEAD", "mine");
    assert_eq!(restored(target.root(), &store, &wants), [Outcome::Restored, Outcome::Refused, Outcome::Refused]);
    for path in ["out/.git/HEAD", "nested/repo/.git/HEAD", "out2/.prov/HEAD"] {
        assert_eq!(std::fs::read(target.path(path)).unwrap(), b"mine");
    }
    assert!(target.path("out/f").exists() && !target.path("out/x").exists());
}

#[test]
fn destinations_inside_each_other_agree_or_are_refused() {
    let (target, store) = (Tree::new(), Memory::default());
    let tree = raw_tree(&store, vec![file(&store, "f", "new")]);
    let blob = store.blob("new");
    let wants = [want_blob(blob, "d/f"), want_tree(tree, "d"), want_blob(blob, "d/f")];
    assert_eq!(restored(target.root(), &store, &wants), [Outcome::Restored; 3]);
    assert_eq!(restored(target.root(), &store, &wants), [Outcome::Kept; 3]);
    for bad in [want_blob(store.blob("other"), "d/f"), want_blob(blob, "d/g"), want_blob(blob, "d")] {
        assert!(planned(target.root(), &store, &[want_tree(tree, "d"), bad]).is_err());
    }
}

#[test]
fn names_that_a_file_system_takes_for_one_are_refused_there_alone() {
    let (target, store) = (Tree::new(), Memory::default());
    let tree = raw_tree(&store, vec![file(&store, "A", "1"), file(&store, "a", "2")]);
    let bench = Bench::new();
    let worktree = bench.at(target.root());
    let twins = [want_blob(store.blob("1"), "x/F"), want_blob(store.blob("2"), "X/f")];
    for (letter_case, allowed) in [(LetterCase::Same, false), (LetterCase::Distinct, true)] {
        let options = RestoreOptions { letter_case, ..RestoreOptions::default() };
        for wants in [&[want_tree(tree, "d")][..], &twins] {
            assert_eq!(plan(&worktree, target.root(), &store, wants, &options).is_ok(), allowed);
        }
    }
}

#[test]
fn unsafe_links_are_made_only_on_request() {
    let (target, store) = (Tree::new(), Memory::default());
    let tree = raw_tree(&store, vec![link(&store, "l", "/etc")]);
    let options = RestoreOptions { unsafe_links: true, ..RestoreOptions::default() };
    let bench = Bench::new();
    let worktree = bench.at(target.root());
    let plan = plan(&worktree, target.root(), &store, &[want_tree(tree, "d")], &options).unwrap();
    assert_eq!(apply(&worktree, &plan, &store, &replace)[0].result.as_ref().unwrap(), &Outcome::Restored);
    assert_eq!(std::fs::read_link(target.path("d/l")).unwrap(), Path::new("/etc"));
}

#[test]
fn a_hostile_tree_writes_nothing_outside_and_nothing_at_all() {
    let store = Memory::default();
    let f = |name: &[u8]| file(&store, name, "evil");
    let in_tree = |entries: Vec<Entry>| want_tree(raw_tree(&store, entries), "d");
    let nested = |entries: Vec<Entry>| in_tree(vec![folder(&store, "sub", entries)]);
    let mut cases: Vec<(String, Vec<Wanted>)> = Vec::new();
    let names: [&[u8]; 22] = [
        b"..",
        b".",
        b"",
        b"/",
        b"/etc/x",
        b"../x",
        b"a/b",
        b"a/../../x",
        b"a\0b",
        b".git",
        b".prov",
        b".GIT",
        b".Git",
        b".PROV",
        b".git.",
        b".git ",
        b".prov..",
        "\u{200c}.git".as_bytes(),
        ".g\u{200d}it".as_bytes(),
        "\u{feff}.prov".as_bytes(),
        b".prov-restore-1-0",
        b"..\0",
    ];
    for name in names {
        cases.push((format!("name {:?}", name.as_bstr()), vec![in_tree(vec![f(name)])]));
        cases.push((format!("nested name {:?}", name.as_bstr()), vec![nested(vec![f(name)])]));
        let sub = entry(name, EntryKind::Tree, raw_tree(&store, vec![f(b"x")]), 4);
        cases.push((format!("folder name {:?}", name.as_bstr()), vec![in_tree(vec![sub])]));
    }
    cases.push(("256 bytes".into(), vec![in_tree(vec![f(&[b'x'; 256])])]));
    let targets = [
        "/",
        "/etc/passwd",
        "..//../x",
        "../..",
        "../../x",
        "a/../../..",
        "a/..",
        "../d/../..",
        "//x",
        "./../..",
        "x/../../../y",
    ];
    for target in targets {
        cases.push((format!("link {target}"), vec![in_tree(vec![link(&store, "l", target)])]));
    }
    cases.push(("empty link".into(), vec![in_tree(vec![link(&store, "l", "")])]));
    cases.push(("link with NUL".into(), vec![in_tree(vec![link(&store, "l", "a\0b")])]));
    cases.push(("long link".into(), vec![in_tree(vec![link(&store, "l", &"x".repeat(5000))])]));
    cases.push(("wrong link size".into(), {
        let mut wrong = link(&store, "l", "x");
        wrong.size = 7;
        vec![in_tree(vec![wrong])]
    }));
    // A link, then something below it: in one folder, as two pieces, as two destinations.
    let below = folder(&store, "l", vec![f(b"x")]);
    cases.push(("link and folder of one name".into(), vec![in_tree(vec![link(&store, "l", ".."), below.clone()])]));
    cases.push(("folder and link of one name".into(), vec![in_tree(vec![below, link(&store, "l", "..")])]));
    cases.push(("name twice".into(), vec![in_tree(vec![f(b"x"), f(b"x")])]));
    cases.push(("not sorted".into(), vec![in_tree(vec![f(b"b"), f(b"a")])]));
    let with_link = in_tree(vec![link(&store, "l", "sub")]);
    cases.push(("below a link of another".into(), vec![with_link, want_blob(store.blob("evil"), "d/l/x")]));
    let piece = |entries: Vec<Entry>| {
        let first = entries[0].name.clone();
        Child { first, id: raw_tree(&store, entries), count: 1, size: 0 }
    };
    let split = |children: Vec<Child>, level: u8| {
        let bytes = TreeObject::Inner { level, children }.encode().unwrap();
        let id = crate::object::id_of(&Kind::TREE, &bytes);
        store.put(&Kind::TREE, &id, &bytes).unwrap();
        vec![want_tree(id, "d")]
    };
    cases.push(("pieces repeat a name".into(), {
        let one = piece(vec![link(&store, "l", "..")]);
        split(vec![one, piece(vec![folder(&store, "l", vec![f(b"x")])])], 1)
    }));
    cases.push(("pieces out of order".into(), split(vec![piece(vec![f(b"b")]), piece(vec![f(b"a")])], 1)));
    cases.push(("piece under another name".into(), {
        let mut lie = piece(vec![f(b"b")]);
        lie.first = "a".into();
        split(vec![lie], 1)
    }));
    cases.push(("wrong level".into(), split(vec![piece(vec![f(b"a")])], 3)));
    cases.push(("bad name in a piece".into(), split(vec![piece(vec![f(b"..")])], 1)));
    // Depth and number.
    let mut deep = raw_tree(&store, vec![f(b"x")]);
    for _ in 0..=super::super::MAX_DEPTH {
        deep = raw_tree(&store, vec![entry("d", EntryKind::Tree, deep, 4)]);
    }
    cases.push(("too deep".into(), vec![want_tree(deep, "d")]));
    let mut bomb = raw_tree(&store, vec![f(b"x")]);
    for _ in 0..40 {
        bomb = raw_tree(&store, ["0", "1", "2", "3", "4"].map(|n| entry(n, EntryKind::Tree, bomb, 4)).into());
    }
    cases.push(("5 to the 40th files".into(), vec![want_tree(bomb, "d")]));
    // Lies about kinds and sizes.
    let tree = raw_tree(&store, vec![f(b"x")]);
    cases.push(("a tree as a file".into(), vec![in_tree(vec![entry("x", EntryKind::File, tree, 4)])]));
    cases.push(("a tree as a link".into(), vec![in_tree(vec![entry("x", EntryKind::Link, tree, 4)])]));
    let blob = store.blob("evil");
    cases.push(("a blob as a folder".into(), vec![in_tree(vec![entry("x", EntryKind::Tree, blob, 4)])]));
    cases.push(("a blob as the tree".into(), vec![want_tree(blob, "d")]));
    cases.push(("a tree as the blob".into(), vec![want_blob(tree, "d")]));
    cases.push(("a wrong size".into(), vec![in_tree(vec![entry("x", EntryKind::File, blob, 5)])]));
    // Destinations.
    for to in ["", ".git/x", ".prov", "a/.PROV/x", "a/.git", ".prov-restore-9-9/x"] {
        cases.push((format!("to {to}"), vec![want_blob(blob, to)]));
    }
    let elsewhere = Content::External("url".into(), blob);
    cases.push(("external".into(), vec![Wanted { content: elsewhere, exec: false, to: rel("d") }]));

    assert!(cases.len() >= 100, "{}", cases.len());
    for (case, wants) in cases {
        let outer = Tree::new();
        outer.file("keep", "kept");
        outer.folder("root/sub");
        let before = snapshot(outer.root());
        let err = planned(&outer.path("root"), &store, &wants);
        assert!(err.is_err(), "{case}");
        assert_eq!(snapshot(outer.root()), before, "{case}");
    }
}

/// What a destination may look like after an interrupted restore.
struct Scene {
    prepare: fn(&Tree),
    /// Whether old and new files may stand beside each other.
    mixed: bool,
}

#[test]
fn an_effect_that_fails_leaves_no_half_written_file_under_a_final_name() {
    let store = Memory::default();
    let long: String = "new ".repeat(1000);
    let inner = folder(&store, "sub", vec![file(&store, "deep", &long), link(&store, "l", "deep")]);
    let tree = raw_tree(&store, vec![file(&store, "a", &long), file(&store, "b", "same"), inner]);
    let blob = store.blob(&long);
    let scenes = [
        Scene { prepare: |_| {}, mixed: false },
        Scene {
            prepare: |t| {
                t.file("d", "old");
                t.file("f", "old");
            },
            mixed: false,
        },
        Scene {
            prepare: |t| {
                t.file("d/a", "old");
                t.file("d/b", "same");
                t.file("d/sub/l/x", "old");
                t.file("d/extra/x", "old");
                t.file("f/x", "old");
            },
            mixed: true,
        },
        Scene {
            prepare: |t| {
                t.link("d", "nowhere");
                t.link("f", "nowhere");
            },
            mixed: false,
        },
    ];
    let wants = [want_tree(tree, "d"), want_blob(blob, "f")];
    let verdicts: [fn(u64) -> NthEffect; 5] = [
        NthEffect::crash,
        |n| NthEffect::from_then_on(n, rustix::io::Errno::NOSPC.raw_os_error()),
        |n| NthEffect::once(n, Verdict::Fail(5)),
        |n| NthEffect::once(n, Verdict::Short(3)),
        |n| NthEffect::once(n, Verdict::DoneButFail(5)),
    ];
    let is_final = |path: &Vec<u8>| path.find(".prov-restore").is_none();
    let complete = {
        let target = Tree::new();
        restored(target.root(), &store, &wants);
        snapshot(target.root())
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut tried = 0;
    for scene in &scenes {
        for verdict in verdicts {
            for nth in 0.. {
                let target = Tree::new();
                (scene.prepare)(&target);
                let old = snapshot(target.root());
                let fault = Arc::new(verdict(nth));
                let mut bench = Bench::new();
                bench.fs = Fs::with_fault(fault.clone());
                let worktree = bench.at(target.root());
                let done = pool.install(|| {
                    let plan = plan(&worktree, target.root(), &store, &wants, &RestoreOptions::default()).unwrap();
                    apply(&worktree, &plan, &store, &replace)
                });
                let now = snapshot(target.root());
                for (path, what) in now.iter().filter(|(path, _)| is_final(path)) {
                    let known = old.get(path) == Some(what) || complete.get(path) == Some(what);
                    assert!(known, "effect {nth}: {:?} is {:?}", path.as_bstr(), what.as_bstr());
                }
                for done in &done {
                    let top = done.to.as_bytes().to_vec();
                    let part = |all: &BTreeMap<Vec<u8>, Vec<u8>>| -> BTreeMap<Vec<u8>, Vec<u8>> {
                        let within = |p: &[u8]| p == top || (p.starts_with(&top) && p.get(top.len()) == Some(&b'/'));
                        all.iter().filter(|(p, _)| within(p)).map(|(p, w)| (p.clone(), w.clone())).collect()
                    };
                    let (was, is, will) = (part(&old), part(&now), part(&complete));
                    if done.result.is_ok() {
                        assert_eq!(is, will, "effect {nth}");
                    } else if !scene.mixed {
                        // Gone only if the process was as good as dead between two renames; then it lies aside.
                        assert!(is == was || is == will || is.is_empty(), "effect {nth}: {is:?}");
                    }
                }
                if !fault.has_struck() {
                    break;
                }
                tried += 1;
                // What is left over does not stand in the way of the next try.
                restored(target.root(), &store, &wants);
                let healed: BTreeMap<_, _> = snapshot(target.root()).into_iter().filter(|(p, _)| is_final(p)).collect();
                assert_eq!(healed, complete);
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_folder_that_may_not_be_written_is_named_before_anything_changes() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let (target, store) = (Tree::new(), Memory::default());
    let tree = raw_tree(&store, vec![file(&store, "a", "new"), folder(&store, "sub", vec![file(&store, "b", "new")])]);
    target.file("d/a", "old");
    target.file("d/sub/b", "old");
    let fs = Fs::real();
    fs.set_mode(&target.path("d/sub"), 0o555).unwrap();
    let plan = planned(target.root(), &store, &[want_tree(tree, "d")]).unwrap();
    let done = apply(&Bench::new().at(target.root()), &plan, &store, &replace);
    fs.set_mode(&target.path("d/sub"), 0o755).unwrap();
    let err = done[0].result.as_ref().unwrap_err();
    assert!(err.to_string().contains("d/sub"), "{err}");
    assert_eq!(std::fs::read(target.path("d/a")).unwrap(), b"old");
}

#[derive(Debug, Clone)]
enum Made {
    File(Vec<u8>, bool),
    Link,
    Folder(BTreeMap<Vec<u8>, Made>),
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![9 => 0x20u8..0x7f, 1 => 1u8..=255], 1..12)
        .prop_map(|mut name| {
            name.retain(|&b| b != b'/');
            name
        })
        .prop_filter("plain", |name| crate::path::is_name(name) && !super::super::is_reserved(name))
}

fn any_made() -> impl Strategy<Value = Made> {
    let leaf = prop_oneof![
        5 => (proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()).prop_map(|(b, x)| Made::File(b, x)),
        1 => Just(Made::Link),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        proptest::collection::btree_map(any_name(), inner, 0..8).prop_map(Made::Folder)
    })
}

fn make(tree: &Tree, at: &[u8], made: &Made) {
    match made {
        Made::File(bytes, exec) => {
            let path = tree.file(at, bytes);
            if *exec {
                Fs::real().set_mode(&path, 0o755).unwrap();
            }
        }
        Made::Link => Fs::real().symlink(Path::new("some/where"), &tree.path(at)).unwrap(),
        Made::Folder(inner) => {
            tree.folder(at);
            for (name, made) in inner {
                make(tree, &[at, b"/", name].concat(), made);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_captured_comes_back_over_anything(
        first in proptest::collection::btree_map(any_name(), any_made(), 0..6),
        second in proptest::collection::btree_map(any_name(), any_made(), 0..6),
    ) {
        let (tree, target, store) = (Tree::new(), Tree::new(), Memory::default());
        make(&tree, b"one", &Made::Folder(first.clone()));
        // The second shares some of the first, so that files are kept, changed, removed and added.
        let mut mixed = second;
        mixed.extend(first.into_iter().step_by(2));
        make(&tree, b"two", &Made::Folder(mixed));
        let (one, two) = (taken(&tree, "one", &store), taken(&tree, "two", &store));
        for captured in [&one, &two, &one] {
            restored(target.root(), &store, &[wanted(captured, "d")]);
            prop_assert_eq!(&taken(&target, "d", &store).content, &captured.content);
            prop_assert_eq!(restored(target.root(), &store, &[wanted(captured, "d")]), [Outcome::Kept]);
        }
        prop_assert_eq!(snapshot(&target.path("d")), snapshot(&tree.path("one")));
        no_litter(target.root());
    }
}

//! A corpus of hostile names, links and listings: each is refused with an error that names it, and not one byte is written outside of the
//! folder that is restored to, nor inside.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bstr::BString;
use prov::hash::Id;
use prov::object::{Kind, Link, Sink, Strength, envelope, id_of};
use prov::repo::Repo;
use prov::revspec::Target;
use prov::run::{Destination, RestoreOptions, Session, restore};
use prov::store::{Draft, RefEdit};
use prov::worktree::restore::Outcome;
use serde::Serialize;

use super::Project;

#[derive(Serialize)]
struct Leaf {
    e: Vec<(BString, u8, u32, u64)>,
}

#[derive(Serialize)]
struct Inner {
    c: Vec<(BString, u32, u64, u64)>,
    l: u8,
}

/// A tree as nobody but a forger makes it.
fn tree(links: Vec<Link>, body: &impl Serialize) -> Vec<u8> {
    envelope::encode(Kind::TREE, 1, links, &prov::codec::encode(body).unwrap()).unwrap()
}

fn blob_link(id: Id) -> Link {
    Link(id, Kind::BLOB, Strength::Content)
}

fn tree_link(id: Id) -> Link {
    Link(id, Kind::TREE, Strength::Content)
}

/// One hostile listing: what is hostile about it, its object, and what else belongs to it.
struct Case {
    what: String,
    root: Vec<u8>,
    others: Vec<(Kind, Vec<u8>)>,
}

const CONTENT: &[u8] = b"hostile\n";

/// A folder with a file of this name, at its top or in a folder below.
fn with_name(name: &[u8], is_below: bool) -> Case {
    let content = id_of(&Kind::BLOB, CONTENT);
    let leaf = tree(vec![blob_link(content)], &Leaf { e: vec![(name.into(), 0, 0, CONTENT.len() as u64)] });
    let what = format!("the name {:?}{}", BString::from(name), if is_below { " in a folder" } else { "" });
    below(what, leaf, vec![(Kind::BLOB, CONTENT.to_vec())], is_below)
}

fn with_link(target: &[u8], is_below: bool) -> Case {
    let id = id_of(&Kind::BLOB, target);
    let leaf = tree(vec![blob_link(id)], &Leaf { e: vec![("link".into(), 2, 0, target.len() as u64)] });
    let what = format!("a link to {:?}{}", BString::from(target), if is_below { " in a folder" } else { "" });
    below(what, leaf, vec![(Kind::BLOB, target.to_vec())], is_below)
}

fn below(what: String, leaf: Vec<u8>, mut others: Vec<(Kind, Vec<u8>)>, is_below: bool) -> Case {
    if !is_below {
        return Case { what, root: leaf, others };
    }
    let id = id_of(&Kind::TREE, &leaf);
    others.push((Kind::TREE, leaf));
    let root = tree(vec![tree_link(id)], &Leaf { e: vec![("d".into(), 3, 0, CONTENT.len() as u64)] });
    Case { what, root, others }
}

fn names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "",
        ".",
        "..",
        "/",
        "//",
        "a/b",
        "/etc/passwd",
        "../x",
        "../../x",
        "./x",
        "x/",
        "a/../../x",
        "..//..",
        "\0",
        "a\0b",
        "..\0",
        "\0/..",
        "d/../../../x",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(vec![b'a'; 256]);
    names.push(vec![b'a'; 70_000]);
    for own in [".git", ".prov"] {
        let upper = own.to_uppercase();
        for spelling in [
            own.to_owned(),
            upper.clone(),
            format!("{}{}", &upper[..2], &own[2..]),
            format!("{own}."),
            format!("{own} "),
            format!("{own}. ."),
            format!("{upper}.."),
        ] {
            names.push(spelling.into_bytes());
        }
        // Code points that some file systems leave out.
        let ignored = ('\u{200c}'..='\u{200f}').chain('\u{202a}'..='\u{202e}').chain('\u{206a}'..='\u{206f}');
        for c in ignored.chain(['\u{feff}']) {
            names.push(format!("{}{c}{}", &own[..2], &own[2..]).into_bytes());
            names.push(format!("{c}{own}").into_bytes());
        }
    }
    for staging in [".prov-restore-1-2", ".PROV-RESTORE-9", ".prov-restore-"] {
        names.push(staging.as_bytes().to_vec());
    }
    names
}

fn targets() -> Vec<Vec<u8>> {
    let mut targets: Vec<Vec<u8>> = [
        "",
        "/",
        "/etc/passwd",
        "//etc",
        "../..",
        "../../x",
        "a/../../..",
        "../a/..",
        "./../..",
        "x/..",
        "..//..",
        "a\0b",
        "\0",
        "../../../etc/passwd",
        "d/../../../x",
        "././../../..",
    ]
    .iter()
    .map(|target| target.as_bytes().to_vec())
    .collect();
    targets.push(vec![b'a'; 70_000]);
    targets
}

fn listings() -> Vec<Case> {
    let content = id_of(&Kind::BLOB, CONTENT);
    let blob = || (Kind::BLOB, CONTENT.to_vec());
    let size = CONTENT.len() as u64;
    let leaf = |what: &str, links: Vec<Link>, e: Vec<(BString, u8, u32, u64)>| Case {
        what: what.to_owned(),
        root: tree(links, &Leaf { e }),
        others: vec![blob()],
    };
    let link = || vec![blob_link(content)];
    let name = |name: &str| BString::from(name);
    let good = tree(link(), &Leaf { e: vec![(name("a"), 0, 0, size)] });
    let good_id = id_of(&Kind::TREE, &good);
    let inner = |what: &str, c: Vec<(BString, u32, u64, u64)>, l: u8| Case {
        what: what.to_owned(),
        root: tree(vec![tree_link(good_id)], &Inner { c, l }),
        others: vec![blob(), (Kind::TREE, good.clone())],
    };
    let mut cases = vec![
        leaf("names out of order", link(), vec![(name("b"), 0, 0, size), (name("a"), 0, 0, size)]),
        leaf("a name twice", link(), vec![(name("a"), 0, 0, size), (name("a"), 0, 0, size)]),
        leaf("a name as link and file", link(), vec![(name("a"), 2, 0, size), (name("a"), 0, 0, size)]),
        leaf("an unknown kind", link(), vec![(name("a"), 4, 0, size)]),
        leaf("a link that is not there", link(), vec![(name("a"), 0, 1, size)]),
        leaf("a link far out", link(), vec![(name("a"), 0, u32::MAX, size)]),
        leaf("a folder that is a file", link(), vec![(name("a"), 3, 0, size)]),
        leaf("a file that is a folder", vec![tree_link(good_id)], vec![(name("a"), 0, 0, size)]),
        leaf("a link that nothing uses", vec![blob_link(content), tree_link(good_id)], vec![(name("a"), 0, 0, size)]),
        leaf("links out of use", link(), vec![]),
        inner("pieces without a level", vec![(name("a"), 0, 1, size)], 0),
        inner("pieces of a wrong level", vec![(name("a"), 0, 1, size)], 2),
        inner("pieces too high", vec![(name("a"), 0, 1, size)], 200),
        inner("a piece with another first name", vec![(name("b"), 0, 1, size)], 1),
        inner("a piece with another count", vec![(name("a"), 0, 7, size)], 1),
        inner("a piece with another size", vec![(name("a"), 0, 1, 99)], 1),
        inner("pieces that overlap", vec![(name("a"), 0, 1, size), (name("a"), 0, 1, size)], 1),
        inner("no pieces", vec![], 1),
    ];
    // A folder that is deeper than any file system allows, and one that unfolds to more names than there are atoms.
    let mut deep = good.clone();
    let mut others = vec![blob()];
    for _ in 0..600 {
        others.push((Kind::TREE, deep.clone()));
        deep = tree(vec![tree_link(id_of(&Kind::TREE, &deep))], &Leaf { e: vec![(name("d"), 3, 0, size)] });
    }
    cases.push(Case { what: "600 folders deep".to_owned(), root: deep, others });
    let (mut wide, mut others, mut bytes) = (good.clone(), vec![blob()], size);
    for _ in 0..20 {
        others.push((Kind::TREE, wide.clone()));
        let id = id_of(&Kind::TREE, &wide);
        let e = (0..100).map(|n| (name(&format!("{n:03}")), 3, 0, bytes)).collect();
        wide = tree(vec![tree_link(id)], &Leaf { e });
        bytes = bytes.saturating_mul(100);
    }
    cases.push(Case { what: "10^40 names".to_owned(), root: wide, others });
    let mut cut = good.clone();
    cut.pop();
    for (what, root) in [
        ("a listing cut off", cut),
        ("a listing with more after it", [good.as_slice(), &[0]].concat()),
        ("no listing at all", b"x".to_vec()),
    ] {
        cases.push(Case { what: what.to_owned(), root, others: vec![blob()] });
    }
    cases
}

/// Everything below a folder, by path, with size and kind.
fn all(root: &Path) -> BTreeSet<(String, u64, bool)> {
    let fs = prov::fs::Fs::real();
    let walked = fs.walk(root).map(Result::unwrap);
    walked
        .map(|(path, stat)| {
            (path.display().to_string(), if stat.is_folder() { 0 } else { stat.size }, stat.is_folder())
        })
        .filter(|(path, ..)| !path.contains("/.prov/"))
        .collect()
}

/// Puts the objects into the store as somebody's sync might; those that even the store refuses are told.
fn stored(repo: &Repo, case: &Case) -> Result<Id, String> {
    let root = id_of(&Kind::TREE, &case.root);
    let snapshot = repo.store().snapshot().unwrap();
    let intake = repo.store().intake(&snapshot);
    for (kind, bytes) in &case.others {
        intake.put(kind, &id_of(kind, bytes), bytes).map_err(|err| err.to_string())?;
    }
    intake.put(&Kind::TREE, &root, &case.root).map_err(|err| err.to_string())?;
    let collected = Arc::new(intake.finish().map_err(|err| err.to_string())?);
    let edit = RefEdit::set(format!("hostile/{root}").into_bytes(), root.to_bytes().to_vec());
    let draft = Draft { collected: Some(collected), edits: vec![edit], ..Draft::default() };
    repo.store()
        .publish(repo.new_op(), "hostile", &mut |_| Ok::<_, prov::store::Error>(Some(draft.clone())))
        .map_err(|err| err.to_string())?;
    Ok(root)
}

#[test]
fn no_hostile_listing_is_restored_and_nothing_is_written_anywhere() {
    let project = Project::new();
    let repo = project.open();
    let around = project.root.parent().unwrap().to_owned();
    let out = project.root.join("out");
    let mut cases: Vec<Case> = Vec::new();
    for is_below in [false, true] {
        cases.extend(names().iter().map(|name| with_name(name, is_below)));
        // One folder deeper a link may go up once more: as far as the project's own folder.
        let inside: &[&str] = if is_below { &["../..", "../../x", "./../..", "..//.."] } else { &[] };
        let is_hostile = |target: &&Vec<u8>| !inside.iter().any(|inside| inside.as_bytes() == target.as_slice());
        cases.extend(targets().iter().filter(is_hostile).map(|target| with_link(target, is_below)));
    }
    cases.extend(listings());
    assert!(cases.len() >= 150, "{}", cases.len());
    let before = all(&around);
    for case in &cases {
        let Ok(root) = stored(&repo, case) else { continue };
        let snapshot = repo.store().snapshot().unwrap();
        let session = Session::new(&repo, project.root.clone());
        for force in [false, true] {
            let options =
                RestoreOptions { to: Some(Destination::Exactly(out.clone())), force, ..RestoreOptions::default() };
            match restore(&session, &snapshot, &Target::Object(root, Kind::TREE), &options) {
                Ok(done) => {
                    assert!(done.items.iter().all(|item| item.outcome != Outcome::Restored), "{}: {done:?}", case.what);
                }
                Err(err) => {
                    let told = prov::run::chain(&err);
                    assert!(!told.is_empty() && !told.contains("panicked"), "{}: {told}", case.what);
                }
            }
        }
        assert_eq!(all(&around), before, "{}", case.what);
    }
}

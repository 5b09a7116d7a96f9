//! Explaining misses: every part that can differ is named, and nothing else.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::hash;
use crate::object::id_of;
use crate::object::recipe::Code;
use crate::object::tree::{Entry, EntryKind, build};
use crate::path::RelPath;
use crate::recipe::build::tests::{blob, full};
use crate::recipe::{Normalised, Parts};

type Objects = HashMap<Id, Vec<u8>>;

fn reader(objects: &Objects) -> impl Fn(&Kind, &Id) -> Option<Vec<u8>> + '_ {
    |_, id| objects.get(id).cloned()
}

fn config(text: &str) -> Value {
    crate::config::parse("c.yaml".as_ref(), crate::config::Format::Yaml, text.as_bytes()).unwrap()
}

/// The parts that are named when `before` becomes `after`.
fn named(before: Parts, after: Parts) -> Vec<String> {
    let (before, after) = (before.build().unwrap(), after.build().unwrap());
    let objects: Objects = before.config.into_iter().chain(after.config).collect();
    let reasons = explain(&before.recipe, &after.recipe, &reader(&objects));
    assert_eq!(before.id == after.id, reasons.is_empty(), "an id changes if and only if a part is named");
    reasons.into_iter().map(|r| r.part).collect()
}

/// A way to change a recipe and the part that it must be explained by.
type Change = (&'static str, fn(&mut Parts, u64));

fn command(parts: &mut Parts) -> &mut Normalised {
    parts.command.as_mut().unwrap()
}

const CHANGES: &[Change] = &[
    ("step", |p, n| p.step = format!("step{n}")),
    ("action.argv[0]", |p, n| command(p).argv[0] = format!("python{n}").into()),
    ("action.argv[2]", |p, n| command(p).argv[2] = format!("word{n}").into()),
    ("action.argv[3]", |p, n| command(p).argv.push(format!("more{n}").into())),
    ("outputs.out", |p, n| drop(command(p).outputs.insert("out".into(), Some(format!("o{n}").into())))),
    ("outputs.out", |p, _| drop(command(p).outputs.insert("out".into(), None))),
    ("outputs.new", |p, _| drop(command(p).outputs.insert("new".into(), None))),
    ("cwd", |p, n| p.cwd = RelPath::new(format!("other{n}")).unwrap()),
    ("cwd", |p, _| p.cwd = RelPath::root()),
    ("stdin", |p, n| p.stdin = Some(blob(&format!("x{n}")))),
    ("stdin", |p, _| p.stdin = None),
    ("code", |p, n| p.code.tree = Some(hash::blob(&n.to_le_bytes()))),
    ("code", |p, _| p.code.tree = None),
    ("code.program", |p, n| p.code.program = Some(("bin/x".into(), hash::blob(&n.to_le_bytes())))),
    ("code.program", |p, n| p.code.program = Some((format!("bin/{n}").into(), hash::blob(b"program")))),
    ("code.program", |p, _| p.code.program = None),
    ("config.threshold", |p, n| p.config = Some(config(&format!("threshold: {n}")))),
    ("config.threshold", |p, _| p.config = None),
    ("config.new", |p, n| p.config = Some(config(&format!("threshold: 0.7\nnew: {n}")))),
    ("inputs.raw", |p, n| drop(p.inputs.insert("raw".into(), blob(&format!("r{n}"))))),
    ("inputs.raw", |p, _| drop(p.inputs.remove("raw"))),
    ("inputs.raw", |p, _| drop(p.inputs.insert("raw".into(), Content::Tree(hash::blob(b"raw"))))),
    ("inputs.third", |p, n| drop(p.inputs.insert("third".into(), blob(&format!("{n}"))))),
    ("identity.label", |p, n| drop(p.identity.insert("label".into(), blob(&format!("i{n}"))))),
    ("env.OMP_NUM_THREADS", |p, n| drop(p.env.insert("OMP_NUM_THREADS".into(), Some(format!("n{n}").into())))),
    ("env.OMP_NUM_THREADS", |p, _| drop(p.env.insert("OMP_NUM_THREADS".into(), None))),
    ("env.UNSET", |p, _| drop(p.env.insert("UNSET".into(), Some("".into())))),
    ("env.UNSET", |p, _| drop(p.env.remove("UNSET"))),
    ("tools.python", |p, n| drop(p.tools.insert("python".into(), format!("4.{n}").into()))),
    ("container", |p, n| p.container = Some(format!("sha256:x{n}"))),
    ("dims.year", |p, n| drop(p.dims.insert("year".into(), Value::Int(i128::from(n) + 3000)))),
    ("dims.year", |p, _| drop(p.dims.insert("year".into(), Value::Text("2030".into())))),
    ("dims.region", |p, n| drop(p.dims.insert("region".into(), Value::Int(n.into())))),
    ("version", |p, n| p.version = n.saturating_add(2)),
    ("epochs.project", |p, n| p.epochs.project = n.saturating_add(10)),
    ("epochs.scenario", |p, n| p.epochs.scenario = n.saturating_add(10)),
    ("epochs.step", |p, n| p.epochs.step = n.saturating_add(10)),
];

proptest! {
    #[test]
    fn one_changed_field_is_another_id_and_is_explained_by_its_part(which in 0..CHANGES.len(), n: u64) {
        let (part, change) = CHANGES[which];
        let mut changed = full();
        change(&mut changed, n);
        prop_assert_eq!(named(full(), changed.clone()), [part]);
        prop_assert_eq!(named(changed, full()), [part]);
    }

    #[test]
    fn several_changes_are_all_named(a in 0..CHANGES.len(), b in 0..CHANGES.len(), n: u64) {
        let ((first, change), (second, other)) = (CHANGES[a], CHANGES[b]);
        // Both changes of the configuration set all of it.
        prop_assume!(first != second && !(first.starts_with("config") && second.starts_with("config")));
        let mut changed = full();
        change(&mut changed, n);
        other(&mut changed, n);
        let mut named = named(full(), changed);
        named.sort();
        let mut expected = [first, second];
        expected.sort_unstable();
        prop_assert_eq!(named, expected);
    }
}

#[test]
fn every_change_of_the_list_is_seen() {
    for (part, change) in CHANGES {
        let mut changed = full();
        change(&mut changed, 0);
        assert_eq!(named(full(), changed), [*part]);
    }
}

#[test]
fn a_record_by_hand_is_not_a_command() {
    let by_hand = Parts { command: None, ..full() };
    assert!(named(full(), by_hand).contains(&"action.kind".to_owned()));
}

#[test]
fn configurations_are_compared_by_key() {
    let with = |text: &str| Parts { config: Some(config(text)), ..full() };
    let before = with("m: {a: 1, b.c: [1, 2, 3], same: x}\nt: 1\ngone: 1\nn: 1");
    let after = with("m: {a: 2, b.c: [1, 5], same: x}\nt: {x: 1}\nnew: ~\nn: 1.0");
    assert_eq!(
        named(before.clone(), after.clone()),
        ["config.gone", "config.m.a", r"config.m.b\.c[1]", r"config.m.b\.c[2]", "config.n", "config.new", "config.t"]
    );
    let (a, b) = (before.build().unwrap(), after.build().unwrap());
    let objects: Objects = a.config.into_iter().chain(b.config).collect();
    let reasons = explain(&a.recipe, &b.recipe, &reader(&objects));
    assert_eq!((reasons[1].before.as_deref(), reasons[1].after.as_deref()), (Some("1"), Some("2")));
    assert_eq!(reasons[4].after.as_deref(), Some("1.0"));
    assert_eq!((reasons[5].kind, reasons[5].after.as_deref()), (ReasonKind::Added, Some("null")));
    let unread = explain(&a.recipe, &b.recipe, &|_, _| None);
    assert_eq!(unread.iter().map(|r| r.part.as_str()).collect::<Vec<_>>(), ["config"]);
}

fn tree(files: &[(&str, &str)], objects: &mut Objects) -> Id {
    let mut entries = Vec::new();
    let mut folders: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, text) in files {
        match path.split_once('/') {
            Some((folder, rest)) => folders.entry(folder).or_default().push((rest, text)),
            None => entries.push(Entry {
                name: (*path).into(),
                kind: if text.starts_with("#!") { EntryKind::Exec } else { EntryKind::File },
                id: hash::blob(text.as_bytes()),
                size: 1,
            }),
        }
    }
    for (name, files) in folders {
        entries.push(Entry { name: name.into(), kind: EntryKind::Tree, id: tree(&files, objects), size: 1 });
    }
    let built = build(entries).unwrap();
    objects.extend(built.objects);
    built.root
}

#[test]
fn code_is_compared_by_file() {
    let mut objects = Objects::new();
    let before = tree(&[("a.py", "1"), ("lib/x.py", "1"), ("lib/y.py", "1"), ("old/z.py", "1")], &mut objects);
    let after = tree(&[("a.py", "1"), ("lib/x.py", "2"), ("lib/y.py", "1"), ("run", "#!sh")], &mut objects);
    let with = |tree| Parts { code: Code { tree: Some(tree), program: None }, ..full() }.build().unwrap().recipe;
    let reasons = explain(&with(before), &with(after), &reader(&objects));
    let parts: Vec<(&str, ReasonKind)> = reasons.iter().map(|r| (r.part.as_str(), r.kind)).collect();
    assert_eq!(
        parts,
        [("code.lib/x.py", ReasonKind::Changed), ("code.old", ReasonKind::Removed), ("code.run", ReasonKind::Added)]
    );
    assert!(reasons[2].after.as_deref().unwrap().starts_with("exec "));
    let lib = |objects: &mut Objects, text| tree(&[("x.py", text), ("y.py", "1")], objects);
    let lost = lib(&mut objects, "2");
    objects.remove(&lost);
    let reasons = explain(&with(before), &with(after), &reader(&objects));
    assert_eq!(reasons[0].part, "code.lib", "a folder that can't be read is named itself");
}

#[test]
fn very_many_files_are_counted() {
    let mut objects = Objects::new();
    let names: Vec<String> = (0..150).map(|i| format!("f{i:03}.py")).collect();
    let all = |text: &'static str| names.iter().map(|n| (n.as_str(), text)).collect::<Vec<_>>();
    let (before, after) = (tree(&all("1"), &mut objects), tree(&all("2"), &mut objects));
    let with = |tree| Parts { code: Code { tree: Some(tree), program: None }, ..full() }.build().unwrap().recipe;
    let reasons = explain(&with(before), &with(after), &reader(&objects));
    assert_eq!(reasons.len(), 101);
    assert_eq!(reasons[100].after.as_deref(), Some("50 more files"));
}

#[test]
fn an_inserted_word_is_one_reason() {
    let with = |words: &[&str]| {
        let mut parts = full();
        command(&mut parts).argv = words.iter().map(|w| BString::from(*w)).collect();
        parts
    };
    assert_eq!(named(with(&["a", "b", "c"]), with(&["a", "x", "b", "c"])), ["action.argv[1]"]);
    assert_eq!(named(with(&["a", "b", "c"]), with(&["a", "c", "b"])), ["action.argv[1]", "action.argv[2]"]);
}

#[test]
fn shown_values_are_short_and_can_not_talk_to_the_terminal() {
    let mut parts = full();
    command(&mut parts).argv[1] = format!("\u{1b}[31m{}", "x".repeat(500)).into();
    let (before, after) = (full().build().unwrap(), parts.build().unwrap());
    let reasons = explain(&before.recipe, &after.recipe, &|_, _| None);
    let shown = reasons[0].after.as_deref().unwrap();
    assert_eq!(shown.chars().count(), MAX_SHOWN);
    assert!(!shown.contains('\u{1b}'));
    assert_eq!(id_of(&Kind::RECIPE, &after.bytes), after.id);
}

//! In which parts two recipes differ, by name.
//!
//! | part | what it is |
//! |---|---|
//! | `rules` | the rule set that made the recipe |
//! | `step` | the step's name |
//! | `action.kind`, `action.argv[N]`, `action.spec` | what is done; words are counted from 0 |
//! | `cwd`, `stdin` | working folder, standard input |
//! | `code.PATH`, `code.program` | a file of the code, the program of `argv[0]`; `code` alone where the tree can't be read |
//! | `config.KEY.SUB`, `config.LIST[N]` | a value of the configuration (`\.` is a dot in a name); `config` alone where it can't be read |
//! | `inputs.KEY/PATH` | a file of a folder or set, where both sides can be read |
//! | `@LABEL/FILE:KEY.SUB`, `@LABEL/FILE` | a value of a file of the folder of configuration; the file where nothing more can be told |
//! | `params.KEY`, `inputs.KEY`, `identity.LABEL`, `env.NAME`, `tools.NAME`, `dims.NAME`, `outputs.KEY` | by name |
//! | `outputs.KEY.files` | which files of its folder the output is |
//! | `container`, `version`, `epochs.project`, `epochs.scenario`, `epochs.step` | |

use std::collections::BTreeMap;

use bstr::{BStr, BString};

use super::tree_diff;
use crate::codec::Value;
use crate::hash::Id;
use crate::object::config::Config;
use crate::object::recipe::{ActionKind, Content, FileSet, Recipe};
use crate::object::run::{Reason, ReasonKind};
use crate::object::tree::Entry;
use crate::object::{Kind, Record};
use crate::path::shown;

/// Gives the stored bytes of a config or tree object; `None` if it can't be had.
pub type ReadObject<'a> = &'a dyn Fn(&Kind, &Id) -> Option<Vec<u8>>;

/// Characters of a value that are shown.
const MAX_SHOWN: usize = 60;

/// Values of a configuration that are told apart; what differs beyond is counted in one more reason.
const MAX_VALUES: usize = 100;

/// The parts in which `after` differs from `before`, in the order of the table above. Empty if they are equal.
///
/// Configurations and code are compared down to keys and files through `read`.
pub fn explain(before: &Recipe, after: &Recipe, read: ReadObject<'_>) -> Vec<Reason> {
    let mut out = Vec::new();
    one(&mut out, "rules", &before.rules, &after.rules, ToString::to_string);
    one(&mut out, "step", &before.step, &after.step, |s| cut(s));
    let (a, b) = (&before.action, &after.action);
    one(&mut out, "action.kind", &a.kind, &b.kind, |k| kind_name(*k).to_owned());
    words(&mut out, &a.argv, &b.argv);
    option(&mut out, "action.spec", a.spec.as_ref(), b.spec.as_ref(), &show_value);
    one(&mut out, "cwd", &a.cwd, &b.cwd, |p| if p.is_empty() { ".".to_owned() } else { show_bytes(p) });
    option(&mut out, "stdin", a.stdin.as_ref(), b.stdin.as_ref(), &show_content);
    match (before.code.tree, after.code.tree) {
        (Some(a), Some(b)) => tree_diff::diff(("code", '.'), a, b, read, &|_, _, _| Vec::new(), &mut out),
        (a, b) => option(&mut out, "code", a.as_ref(), b.as_ref(), &|id| format!("tree {}", short(*id))),
    }
    option(&mut out, "code.program", before.code.program.as_ref(), after.code.program.as_ref(), &|(path, id)| {
        format!("{} {}", show_bytes(path), short(*id))
    });
    configs(&mut out, before.config, after.config, read);
    map(&mut out, "params", &before.params, &after.params, &show_value);
    contents(&mut out, "inputs", &before.inputs, &after.inputs, read);
    identity(&mut out, &before.identity, &after.identity, read);
    map(&mut out, "env", &before.env, &after.env, &|v: &Option<BString>| {
        v.as_ref().map_or_else(|| "(not set)".to_owned(), show_bytes)
    });
    map(&mut out, "tools", &before.tools, &after.tools, &show_bytes);
    option(&mut out, "container", before.container.as_ref(), after.container.as_ref(), &|s| cut(s));
    map(&mut out, "dims", &before.dims, &after.dims, &show_value);
    map(&mut out, "outputs", &before.outputs, &after.outputs, &|path: &Option<BString>| {
        path.as_ref().map_or_else(|| "(named by the command)".to_owned(), show_bytes)
    });
    for key in before.sets.keys().chain(after.sets.keys()).collect::<std::collections::BTreeSet<_>>() {
        let part = format!("outputs.{}.files", shown(key.as_bytes()));
        option(&mut out, &part, before.sets.get(key), after.sets.get(key), &show_set);
    }
    one(&mut out, "version", &before.version, &after.version, ToString::to_string);
    let (a, b) = (&before.epochs, &after.epochs);
    one(&mut out, "epochs.project", &a.project, &b.project, ToString::to_string);
    one(&mut out, "epochs.scenario", &a.scenario, &b.scenario, ToString::to_string);
    one(&mut out, "epochs.step", &a.step, &b.step, ToString::to_string);
    out
}

/// What a run was given as its config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// Values: a config object.
    Values(Id),
    /// A folder of configuration, a folder in it, or a file of it, under its name.
    Part(String, Content),
}

/// In which values and files one config differs from another, named as by [`explain`]; `None` if they are of different kinds.
pub fn explain_given(before: &Given, after: &Given, read: ReadObject<'_>) -> Option<Vec<Reason>> {
    let mut out = Vec::new();
    match (before, after) {
        (Given::Values(a), Given::Values(b)) => configs(&mut out, Some(*a), Some(*b), read),
        (Given::Part(name, Content::Tree(a)), Given::Part(_, Content::Tree(b))) => {
            let key = format!("@{name}");
            let detail = |path: &BStr, a: &Entry, b: &Entry| file_values(&key, path, a.id, b.id, read);
            tree_diff::diff((&key, '/'), *a, *b, read, &detail, &mut out);
        }
        (Given::Part(name, Content::Blob(a)), Given::Part(_, Content::Blob(b))) if a != b => {
            out = file_values("", name.as_str().into(), *a, *b, read);
            for reason in &mut out {
                reason.part = reason.part.trim_start_matches('/').to_owned();
            }
            if out.is_empty() {
                push(&mut out, shown(name.as_bytes()), Some(short(*a)), Some(short(*b)));
            }
        }
        (Given::Part(_, Content::Blob(_)), Given::Part(_, Content::Blob(_))) => {}
        _ => return None,
    }
    Some(out)
}

fn push(out: &mut Vec<Reason>, part: String, before: Option<String>, after: Option<String>) {
    let kind = match (&before, &after) {
        (None, _) => ReasonKind::Added,
        (_, None) => ReasonKind::Removed,
        _ => ReasonKind::Changed,
    };
    out.push(Reason { kind, part, after, before });
}

fn one<T: PartialEq>(out: &mut Vec<Reason>, part: &str, before: &T, after: &T, show: impl Fn(&T) -> String) {
    if before != after {
        push(out, part.to_owned(), Some(show(before)), Some(show(after)));
    }
}

fn option<T: PartialEq>(
    out: &mut Vec<Reason>,
    part: &str,
    before: Option<&T>,
    after: Option<&T>,
    show: &dyn Fn(&T) -> String,
) {
    if before != after {
        push(out, part.to_owned(), before.map(show), after.map(show));
    }
}

fn map<V: PartialEq>(
    out: &mut Vec<Reason>,
    part: &str,
    before: &BTreeMap<String, V>,
    after: &BTreeMap<String, V>,
    show: &dyn Fn(&V) -> String,
) {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        option(out, &format!("{part}.{}", shown(key.as_bytes())), before.get(key), after.get(key), show);
    }
}

/// Inputs by key. Of a folder that can be read on both sides, the files are named: `inputs.KEY/PATH`.
fn contents(
    out: &mut Vec<Reason>,
    part: &str,
    before: &BTreeMap<String, Content>,
    after: &BTreeMap<String, Content>,
    read: ReadObject<'_>,
) {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (a, b) = (before.get(key), after.get(key));
        let part = format!("{part}.{}", shown(key.as_bytes()));
        if let (Some(Content::Tree(a)), Some(Content::Tree(b))) = (a, b) {
            tree_diff::diff((&part, '/'), *a, *b, read, &|_, _, _| Vec::new(), out);
        } else if a != b {
            let kind = match (a, b) {
                (a, Some(_)) if a.is_none_or(Content::is_absent) => ReasonKind::Added,
                (Some(_), b) if b.is_none_or(Content::is_absent) => ReasonKind::Removed,
                _ => ReasonKind::Changed,
            };
            out.push(Reason { part, kind, before: a.map(show_content), after: b.map(show_content) });
        }
    }
}

/// Words after equal beginnings and before equal ends, pairwise; so one inserted word is one reason.
fn words(out: &mut Vec<Reason>, before: &[BString], after: &[BString]) {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let end = before[start..].iter().rev().zip(after[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&before[start..before.len() - end], &after[start..after.len() - end]);
    for i in 0..old.len().max(new.len()) {
        let (a, b) = (old.get(i), new.get(i));
        if a != b {
            push(out, format!("action.argv[{}]", start + i), a.map(show_bytes), b.map(show_bytes));
        }
    }
}

fn configs(out: &mut Vec<Reason>, before: Option<Id>, after: Option<Id>, read: ReadObject<'_>) {
    if before == after {
        return;
    }
    let value = |id: Option<Id>| match id {
        None => Some(Value::Map(Vec::new())),
        Some(id) => read(&Kind::CONFIG, &id).and_then(|bytes| Config::decode(&bytes).ok()).map(|config| config.0),
    };
    let (Some(old), Some(new)) = (value(before), value(after)) else {
        push(out, "config".to_owned(), before.map(short), after.map(short));
        return;
    };
    let mut found = Vec::new();
    values(&mut found, "config", Some(&old), Some(&new));
    let more = found.len().saturating_sub(MAX_VALUES);
    out.extend(found.into_iter().take(MAX_VALUES));
    if more > 0 {
        out.push(Reason {
            part: "config".to_owned(),
            kind: ReasonKind::Changed,
            before: None,
            after: Some(format!("{more} more values")),
        });
    }
}

fn values(out: &mut Vec<Reason>, part: &str, before: Option<&Value>, after: Option<&Value>) {
    match (before, after) {
        (Some(a), Some(b)) if a == b => {}
        (Some(Value::Map(a)), Some(Value::Map(b))) => {
            let a: BTreeMap<&str, &Value> = a.iter().map(|(k, v)| (k.as_str(), v)).collect();
            let b: BTreeMap<&str, &Value> = b.iter().map(|(k, v)| (k.as_str(), v)).collect();
            let keys: std::collections::BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
            for key in keys {
                let name = shown(key.replace('\\', "\\\\").replace('.', "\\.").as_bytes());
                values(out, &format!("{part}.{name}"), a.get(key).copied(), b.get(key).copied());
            }
        }
        (Some(Value::List(a)), Some(Value::List(b))) => {
            for i in 0..a.len().max(b.len()) {
                values(out, &format!("{part}[{i}]"), a.get(i), b.get(i));
            }
        }
        (a, b) => push(out, part.to_owned(), a.map(show_value), b.map(show_value)),
    }
}

/// Folders of configuration down to the file, and to the key where both files can be read; other labels as a whole.
fn identity(
    out: &mut Vec<Reason>,
    before: &BTreeMap<String, Content>,
    after: &BTreeMap<String, Content>,
    read: ReadObject<'_>,
) {
    let of = |all: &BTreeMap<String, Content>, is_folder: bool| -> BTreeMap<String, Content> {
        all.iter().filter(|(key, _)| key.starts_with('@') == is_folder).map(|(k, c)| (k.clone(), c.clone())).collect()
    };
    let (old, new) = (of(before, true), of(after, true));
    for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
        let (before, after) = (old.get(key), new.get(key));
        // Whether it counts by bytes or by values is nothing to tell of one that counts the same way in both.
        let name = key.replace("@=", "@").replace("@+", "@");
        let key = if before.is_some() && after.is_some() { &name } else { key };
        match (before, after) {
            (Some(Content::Tree(a)), Some(Content::Tree(b))) => {
                let detail = |path: &BStr, a: &Entry, b: &Entry| file_values(key, path, a.id, b.id, read);
                tree_diff::diff((key, '/'), *a, *b, read, &detail, out);
            }
            (a, b) => option(out, key, a, b, &show_content),
        }
    }
    contents(out, "identity", &of(before, false), &of(after, false), read);
}

/// The values in which two states of a configuration file differ: `@LABEL/FILE:key.sub`. Empty where they differ in nothing that is a value.
fn file_values(key: &str, path: &BStr, before: Id, after: Id, read: ReadObject<'_>) -> Vec<Reason> {
    let value = |id: Id| {
        let path = crate::path::RelPath::new(path)?;
        let bytes = read(&Kind::BLOB, &id)?;
        // What counts by its values is JSON, whatever its name.
        crate::config::folder::value_of(&path, &bytes)?
            .ok()
            .or_else(|| crate::config::parse("values.json".as_ref(), crate::config::Format::Json, &bytes).ok())
    };
    let (Some(old), Some(new)) = (value(before), value(after)) else { return Vec::new() };
    let mut found = Vec::new();
    values(&mut found, "", Some(&old), Some(&new));
    for reason in &mut found {
        reason.part = format!("{key}/{}:{}", shown(path), reason.part.trim_start_matches('.'));
    }
    found
}

fn kind_name(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Command => "command",
        ActionKind::Manual => "manual",
        ActionKind::Task => "task",
        ActionKind::Function => "function",
    }
}

/// An id for people.
pub(super) fn short(id: Id) -> String {
    id.short()
}

fn show_content(content: &Content) -> String {
    if content.is_absent() {
        return "absent".to_owned();
    }
    format!("{} {}", content.type_name(), content.id().short())
}

fn show_value(value: &Value) -> String {
    cut(&crate::config::to_json(value))
}

fn show_set(set: &FileSet) -> String {
    let left_out = set.exclude.iter().map(|text| format!("!{text}"));
    let all: Vec<String> = set.include.iter().cloned().chain(left_out).collect();
    cut(&format!("{}{}", all.join(" "), if set.changed { " (what changed)" } else { "" }))
}

fn show_bytes(bytes: &BString) -> String {
    cut(&shown(bytes))
}

fn cut(text: &str) -> String {
    let text = shown(text.as_bytes());
    if text.chars().count() <= MAX_SHOWN {
        return text;
    }
    let mut short: String = text.chars().take(MAX_SHOWN - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests;

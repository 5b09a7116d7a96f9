//! `prov tag`, `prov note`.

use prov::hash::Id;
use prov::object::Kind;
use prov::repo::entry::{NoteLine, Tag};
use prov::revspec::Target;
use prov::{note, tag};
use serde_json::{Value, json};

use super::Context;
use super::revision::Seen;
use crate::args::{NoteArgs, TagArgs};
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// Lists, gives, moves and deletes tags.
pub(crate) fn tag(cx: &Context, args: &TagArgs) -> Result<Exit, Failure> {
    if args.name.is_none() && args.delete.is_none() {
        let seen = Seen::open(cx)?;
        let tags = tag::list(&seen.snapshot, seen.repo.project())?;
        if !cx.ui.is_json() {
            for (name, tag) in &tags {
                cx.ui.line(format_args!("{}  {}", cx.ui.painter().strong(shown(name)), what(tag)))?;
            }
        }
        return end(cx, &seen, tags.iter().map(|(name, tag)| item(name, Some(tag), None)).collect());
    }
    let repo = open::repo(cx)?;
    let snapshot = repo.store().snapshot()?;
    let seen = Seen { repo, snapshot };
    let (name, meaning) = match (&args.name, &args.rev, &args.delete) {
        (Some(name), Some(rev), _) => (name, Some(meant(cx, &seen, rev)?)),
        (_, _, Some(name)) => (name, None),
        _ => return Err(Failure::usage("a tag needs a name and what it names").hint("prov tag NAME REV")),
    };
    let before = if args.force || meaning.is_none() { tag::Before::Any } else { tag::Before::New };
    let old = if args.dry_run {
        tag::check_name(name)?;
        tag::get(&seen.snapshot, seen.repo.project(), name)?
    } else {
        tag::set(&seen.repo, name, meaning.as_ref(), &before)?
    };
    let would = if args.dry_run { "would be" } else { "is" };
    match (&meaning, &old) {
        (Some(tag), Some(old)) if old == tag => cx.ui.say(format_args!("{} names that already", shown(name))),
        (Some(tag), Some(old)) => {
            cx.ui.say(format_args!("{} {would} {}; it was {}", shown(name), what(tag), what(old)));
        }
        (Some(tag), None) => cx.ui.say(format_args!("{} {would} {}", shown(name), what(tag))),
        (None, _) => cx.ui.say(format_args!("{} {would} gone; what it named stays", shown(name))),
    }
    end(cx, &seen, vec![item(name, meaning.as_ref(), old.as_ref())])
}

fn end(cx: &Context, seen: &Seen, items: Vec<Value>) -> Result<Exit, Failure> {
    if cx.ui.is_json() {
        let mut document = json::document("tag");
        document.insert("items".to_owned(), items.into());
        cx.ui.document(document)?;
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

/// What a revision names, so that it can be named otherwise.
fn meant(cx: &Context, seen: &Seen, rev: &std::ffi::OsStr) -> Result<Tag, Failure> {
    let plain = |object: Id, kind: Kind| Tag { object, kind, run: None, key: None };
    Ok(match seen.target(cx, rev)? {
        Target::Run(at) | Target::Outputs(at) => Tag { run: Some(at.run), ..plain(at.object, Kind::RUN) },
        Target::Artifact(at, key) => Tag { run: Some(at.run), key: Some(key), ..plain(at.object, Kind::RUN) },
        Target::Config(_, id) => plain(id, Kind::CONFIG),
        Target::Code(_, id) => plain(id, Kind::TREE),
        Target::ConfigFolder(_, _, content) => plain(content.id(), content.kind().unwrap_or(Kind::BLOB)),
        Target::Object(id, kind) => plain(id, kind),
        Target::Path(_) => {
            return Err(Failure::usage(format!("`{}` is a file, and no run or object", shown(rev.as_encoded_bytes())))
                .hint("record it first: prov commit PATH -m MSG"));
        }
    })
}

fn what(tag: &Tag) -> String {
    match (&tag.run, &tag.key) {
        (Some(run), Some(key)) => format!("{}:{}", shown(human::short(prov::object::run::tail(run), 8)), shown(key)),
        (Some(run), None) => format!("run {}", shown(human::short(prov::object::run::tail(run), 8))),
        (None, _) => format!("{} {}", tag.kind, tag.object.short()),
    }
}

fn item(name: &str, tag: Option<&Tag>, before: Option<&Tag>) -> Value {
    let one = |tag: &Tag| json!({"run": tag.run, "key": tag.key, "object": tag.object.to_string(), "kind": tag.kind.as_str()});
    json!({"name": name, "names": tag.map(one), "before": before.map(one)})
}

/// Remarks about something, or prints what was remarked.
pub(crate) fn note(cx: &Context, args: &NoteArgs) -> Result<Exit, Failure> {
    let repo = if args.message.is_some() { open::repo(cx)? } else { open::to_look(cx)? };
    let snapshot = repo.store().snapshot()?;
    let seen = Seen { repo, snapshot };
    let (of, kind) = match seen.target(cx, &args.rev)? {
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            let content = Seen::artifact(&run, &key).map(|artifact| artifact.content);
            content.and_then(|content| Some((content.id(), content.kind()?))).unwrap_or((at.object, Kind::RUN))
        }
        _ => {
            let tag = meant(cx, &seen, &args.rev)?;
            (tag.object, tag.kind)
        }
    };
    let mut notes = note::list(&seen.snapshot, &of)?;
    if let Some(text) = &args.message {
        if !args.dry_run {
            note::add(&seen.repo, of, &kind, text)?;
            notes = note::list(&seen.repo.store().snapshot()?, &of)?;
        }
        let would = if args.dry_run { "would be noted" } else { "noted" };
        cx.ui.say(format_args!("{would} about {kind} {}", of.short()));
    } else if !cx.ui.is_json() {
        for one in &notes {
            cx.ui.line(line(one))?;
        }
    }
    if cx.ui.is_json() {
        let mut document = json::document("note");
        document.insert("object".to_owned(), of.to_string().into());
        document.insert("kind".to_owned(), kind.as_str().into());
        document.insert("notes".to_owned(), notes.iter().map(json_of).collect());
        cx.ui.document(document)?;
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

/// A note on one line.
pub(crate) fn line(note: &NoteLine) -> String {
    let author = note.author.as_deref().map(|author| format!(", {}", shown(author))).unwrap_or_default();
    format!("{} ({}{author})", shown(&note.text), human::time(note.at))
}

/// A note in a document.
pub(crate) fn json_of(note: &NoteLine) -> Value {
    json!({"at": json::time(note.at), "text": note.text, "author": note.author})
}

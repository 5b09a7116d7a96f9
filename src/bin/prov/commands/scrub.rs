//! `prov scrub`.

use std::collections::BTreeSet;

use prov::hash::Id;
use prov::object::Kind;
use prov::object::recipe::Content;
use prov::object::tree::EntryKind;
use prov::progress::Cancel;
use prov::revspec::Target;
use prov::run::Session;
use serde_json::{Value, json};

use super::Context;
use super::revision::Seen;
use crate::args::ScrubArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// Takes the bytes of content out of the store for good.
pub(crate) fn run(cx: &Context, args: &ScrubArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let snapshot = repo.store().snapshot()?;
    let seen = Seen { repo, snapshot };
    let mut contents: BTreeSet<Id> = BTreeSet::new();
    for rev in &args.what {
        for content in named(cx, &seen, rev)? {
            add(&seen, &content, &mut contents)?;
        }
    }
    let contents: Vec<Id> = contents.into_iter().collect();
    let mut items: Vec<Value> = Vec::new();
    for id in &contents {
        let runs: Vec<String> =
            prov::query::id_matches(&seen.snapshot, id)?.into_iter().map(|found| found.run).collect();
        let tail = |run: &String| shown(human::short(prov::object::run::tail(run), 8));
        let told = if runs.is_empty() {
            "no run names it by itself".to_owned()
        } else {
            format!("named by {}", runs.iter().map(tail).collect::<Vec<_>>().join(", "))
        };
        cx.ui.say(format_args!("{id}: {told}"));
        items.push(json!({"id": id.to_string(), "runs": runs}));
    }
    let mut document = json::document("scrub");
    document.insert("dry_run".to_owned(), args.dry_run.into());
    document.insert("items".to_owned(), items.into());
    let count = human::count(contents.len() as u64, "content");
    if args.dry_run {
        cx.ui.say(format_args!("{count} would be gone for good"));
    } else {
        if !cx.settings.yes {
            return Err(Failure::new(
                Class::Refused,
                "not_confirmed",
                format!("the bytes of {count} would be gone for good"),
            )
            .hint("say so with -y; records stay, files of the work tree are left alone"));
        }
        let bar = cx.ui.bar();
        let why = args.message.as_deref().unwrap_or_default();
        let done = prov::maintain::scrub(&seen.repo, &contents, why, &bar, &Cancel::new())?;
        cx.ui.say(format_args!("{count} gone for good, {} written anew", human::count(done.packs, "pack")));
        if done.shared_pieces > 0 {
            let shared = human::count(done.shared_pieces, "piece");
            cx.ui.warn(format_args!("{shared} of about 256 KiB stay, because other content has them too"));
        }
        if done.quarantined > 0 {
            let gone = human::count(done.quarantined, "file");
            cx.ui.warn(format_args!(
                "{gone} in quarantine went as well: they held it, or nobody can tell what they held"
            ));
        }
        cx.ui.warn("other copies are not looked for: backups, other stores, the work tree, logs that quote it");
        document.insert("packs".to_owned(), done.packs.into());
        document.insert("shared_pieces".to_owned(), done.shared_pieces.into());
        document.insert("quarantined".to_owned(), done.quarantined.into());
    }
    if cx.ui.is_json() {
        cx.ui.document(document)?;
    }
    Ok(Exit::Done)
}

/// The content that a revision names. Records are no content: they stay.
fn named(cx: &Context, seen: &Seen, rev: &std::ffi::OsStr) -> Result<Vec<Content>, Failure> {
    let text = shown(rev.as_encoded_bytes());
    Ok(match seen.target(cx, rev)? {
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            Seen::artifact(&run, &key).map(|artifact| artifact.content).into_iter().collect()
        }
        Target::Outputs(at) => seen.read_run(&at)?.outputs.into_values().map(|output| output.content).collect(),
        Target::ConfigFolder(_, _, content) => vec![content],
        Target::Code(_, id) => vec![Content::Tree(id)],
        Target::Object(id, kind) if kind == Kind::BLOB => vec![Content::Blob(id)],
        Target::Object(id, kind) if kind == Kind::TREE => vec![Content::Tree(id)],
        Target::Path(place) => {
            let session = Session::new(&seen.repo, cx.cwd.clone());
            let captured = Seen::capture(&session, &place)?;
            session.save();
            vec![captured.content]
        }
        Target::Run(_) | Target::Config(..) | Target::Object(..) => {
            return Err(Failure::usage(format!("`{text}` is a record, and records stay"))
                .hint("name content: RUN:KEY, RUN:* for all outputs, an id of a file, a path"));
        }
    })
}

/// Adds the files of some content; folders are listings of names and stay.
fn add(seen: &Seen, content: &Content, into: &mut BTreeSet<Id>) -> Result<(), Failure> {
    match content {
        Content::Blob(id) => {
            into.insert(*id);
        }
        Content::Tree(id) => {
            for (_, entry) in super::revision::entries(&seen.snapshot, *id, true)? {
                if entry.kind != EntryKind::Tree {
                    into.insert(entry.id);
                }
            }
        }
        Content::External(..) => {}
    }
    Ok(())
}

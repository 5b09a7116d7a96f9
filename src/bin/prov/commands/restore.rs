//! `prov restore`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use prov::code::git::{Discovery, discover};
use prov::object::recipe::Content;
use prov::object::run::Output;
use prov::query;
use prov::revspec::{MadeThere, Target};
use prov::run::{Destination, Restoration, RestoreOptions, RestoredItem, Session};
use prov::store::Snapshot;
use prov::worktree::restore::{Link, Outcome};
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::{LinkKind, RestoreArgs, values};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::{json, record, table};

/// Brings recorded files back.
pub(crate) fn run(cx: &Context, args: &RestoreArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let snapshot = repo.store().snapshot()?;
    let bar = cx.ui.bar();
    let session = Session::with_progress(&repo, cx.cwd.clone(), &bar);
    let restored = match (&args.git, &args.rev) {
        (Some(revision), _) => of_commit(cx, &session, &snapshot, revision, args)?,
        (None, Some(rev)) => of_revision(cx, &session, &snapshot, rev, args)?,
        (None, None) => return Err(Failure::usage("nothing is named that could be brought back")),
    };
    drop(bar);
    let is_seen_from = |path: &std::path::Path| path.strip_prefix(&cx.cwd).unwrap_or(path).to_owned();
    if cx.ui.is_json() {
        let mut document = json::document("restore");
        document.insert("items".to_owned(), restored.items.iter().map(|item| to_json(item, repo.root())).collect());
        document.insert("displaced".to_owned(), record::displaced(&restored.displaced));
        document.insert("dry_run".to_owned(), json!(args.dry_run));
        cx.ui.document(document)?;
    } else {
        let rows: Vec<Vec<String>> = restored
            .items
            .iter()
            .map(|item| {
                let key = item.key.as_deref().map(record::shown).unwrap_or_default();
                let why = item.why.as_deref().map(record::shown).unwrap_or_default();
                vec![word(item.outcome).to_owned(), key, prov::path::show(&is_seen_from(&item.path)), why]
            })
            .collect();
        cx.ui.print(table::columns(&[], &rows))?;
        if restored.items.is_empty() && args.git.is_none() {
            cx.ui.say("there is nothing to restore: that run recorded no outputs");
        }
    }
    for kept in &restored.displaced {
        cx.ui.say(record::kept_safe(kept));
    }
    verdict(&restored.items)
}

fn of_revision(
    cx: &Context,
    session: &Session<'_>,
    snapshot: &Snapshot,
    rev: &OsStr,
    args: &RestoreArgs,
) -> Result<Restoration, Failure> {
    let Some(text) = rev.to_str() else {
        // What is not UTF-8 can only be a path.
        return of_path(cx, session, snapshot, rev, args)?.ok_or_else(|| {
            let name = prov::path::shown(rev.as_encoded_bytes());
            Failure::new(Class::NotFound, "not_found", format!("`{name}` is no revision"))
                .hint("revisions are UTF-8; `prov log` lists the runs")
        });
    };
    let repo = session.repo;
    let target = match prov::revspec::resolve(repo, snapshot, repo.scenario(), &cx.cwd, text) {
        // What lies there may have been changed since it was made.
        Ok(target @ Target::Path(_)) => match of_path(cx, session, snapshot, rev, args)? {
            Some(restored) => return Ok(restored),
            None => target,
        },
        Ok(target) => target,
        Err(err @ prov::revspec::Error::NotFound { .. }) => {
            return of_path(cx, session, snapshot, rev, args)?.ok_or_else(|| err.into());
        }
        Err(err) => return Err(err.into()),
    };
    let to = destination(cx, &args.to, &target, snapshot)?;
    let options = RestoreOptions { to, force: args.force, link: link(args), dry_run: args.dry_run };
    let restored = prov::run::restore(session, snapshot, &target, &options)?;
    if !is_missing(&restored) || options.dry_run {
        return Ok(restored);
    }
    let contents = prov::run::contents_of(session, snapshot, &target)?;
    if !super::elsewhere::bring(cx, repo, &contents)? {
        return Ok(restored);
    }
    Ok(prov::run::restore(session, &repo.store().snapshot_since(snapshot)?, &target, &options)?)
}

/// A path as the newest run made it.
fn of_path(
    cx: &Context,
    session: &Session<'_>,
    snapshot: &Snapshot,
    path: &OsStr,
    args: &RestoreArgs,
) -> Result<Option<Restoration>, Failure> {
    let repo = session.repo;
    let place = prov::path::locate(repo.root(), &cx.cwd, path.as_ref());
    let made_at = |snapshot: &Snapshot| prov::revspec::made_at(repo, snapshot, repo.scenario(), &place);
    let (mut there, mut newest) = (made_at(snapshot)?, None);
    if let MadeThere::In(folder) = &there
        && !args.dry_run
        && super::elsewhere::bring(cx, repo, std::slice::from_ref(folder))?
    {
        let now = repo.store().snapshot_since(snapshot)?;
        there = made_at(&now)?;
        newest = Some(now);
    }
    let snapshot = newest.as_ref().unwrap_or(snapshot);
    let made = match there {
        MadeThere::Here(made) => *made,
        MadeThere::In(_) => return Err(super::revision::unlisted(path)),
        MadeThere::Nothing => return Ok(None),
    };
    let target = Target::Artifact(made.at, made.key.clone());
    let to = destination(cx, &args.to, &target, snapshot)?;
    let options = RestoreOptions { to, force: args.force, link: link(args), dry_run: args.dry_run };
    let outputs = BTreeMap::from([(made.key, made.output)]);
    bring_outputs(cx, session, snapshot, &outputs, &options).map(Some)
}

fn link(args: &RestoreArgs) -> Link {
    match args.link {
        None => Link::Copy,
        Some(LinkKind::Hard) => Link::Hard,
        Some(LinkKind::Symbolic) => Link::Symbolic,
    }
}

/// The outputs that belong to a commit.
fn of_commit(
    cx: &Context,
    session: &Session<'_>,
    snapshot: &Snapshot,
    revision: &str,
    args: &RestoreArgs,
) -> Result<Restoration, Failure> {
    let repo = session.repo;
    let unknown = || {
        Failure::new(Class::NotFound, "not_found", format!("`{}` names no Git commit", record::shown(revision)))
            .hint("name a commit, branch or tag of the Git repository around the project")
    };
    let Discovery::Found(git) = discover(repo.root()) else { return Err(unknown()) };
    let found = git.files_of(revision, repo.root()).map_err(|what| query::Error::Git { what })?;
    let commit = found.ok_or_else(unknown)?;
    let of = query::of_commit(repo, snapshot, &commit)?;
    let to = match &args.to[..] {
        [] => None,
        [folder] => Some(Destination::Below(prov::path::normal(&cx.cwd.join(folder)))),
        _ => return Err(Failure::usage("--git takes one folder with --to")),
    };
    let options = RestoreOptions { to, force: args.force, link: link(args), dry_run: args.dry_run };
    let lists: Vec<Content> = of.outputs.values().map(|output| output.content.clone()).collect();
    if of.is_locked && !args.dry_run && is_any_missing(snapshot, &lists)? && super::elsewhere::bring(cx, repo, &lists)?
    {
        // With the lists of folders it is known what is in them.
        let newest = repo.store().snapshot_since(snapshot)?;
        let of = query::of_commit(repo, &newest, &commit)?;
        return bring_outputs(cx, session, &newest, &of.outputs, &options);
    }
    if of.outputs.is_empty() {
        cx.ui.say(format_args!("no outputs on record belong to commit {}", of.commit));
        return Ok(Restoration::default());
    }
    bring_outputs(cx, session, snapshot, &of.outputs, &options)
}

/// Brings outputs back that are known by themselves.
pub(crate) fn bring_outputs(
    cx: &Context,
    session: &Session<'_>,
    snapshot: &Snapshot,
    outputs: &BTreeMap<String, Output>,
    options: &RestoreOptions,
) -> Result<Restoration, Failure> {
    let restored = prov::run::restore_outputs(session, snapshot, outputs, options)?;
    if !is_missing(&restored) || options.dry_run {
        return Ok(restored);
    }
    let contents: Vec<Content> = outputs.values().map(|output| output.content.clone()).collect();
    if !super::elsewhere::bring(cx, session.repo, &contents)? {
        return Ok(restored);
    }
    let newest = session.repo.store().snapshot_since(snapshot)?;
    Ok(prov::run::restore_outputs(session, &newest, outputs, options)?)
}

fn is_missing(restored: &Restoration) -> bool {
    restored.items.iter().any(|item| item.outcome == Outcome::Missing)
}

fn is_any_missing(snapshot: &Snapshot, contents: &[Content]) -> Result<bool, Failure> {
    for content in contents {
        if !prov::run::hydrate::is_whole(snapshot, content)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where to: like `cp`, one artifact goes into a folder that exists or whose name ends with `/`, else it gets that name. A run's outputs
/// always go below the folder.
fn destination(
    cx: &Context,
    words: &[OsString],
    target: &Target,
    snapshot: &Snapshot,
) -> Result<Option<Destination>, Failure> {
    let absolute = |path: &OsStr| prov::path::normal(&cx.cwd.join(path));
    if let Target::Run(at) | Target::Outputs(at) = target
        && !words.is_empty()
    {
        let run = prov::revspec::read_run(snapshot, &at.run, &at.object)?;
        let mut chosen = std::collections::BTreeMap::new();
        let mut plain = None;
        for word in words {
            let declared = values::declared(word);
            match declared.key.filter(|key| run.outputs.contains_key(key)) {
                Some(key) => {
                    let path = absolute(prov::path::from_bytes(&declared.path).as_os_str());
                    if chosen.insert(key.clone(), path).is_some() {
                        return Err(Failure::usage(format!("--to names the output `{}` twice", record::shown(key))));
                    }
                }
                None => plain = Some(word),
            }
        }
        return match (plain, words.len()) {
            (None, _) => Ok(Some(Destination::Chosen(chosen))),
            (Some(folder), 1) => Ok(Some(Destination::Below(absolute(folder)))),
            (Some(word), _) => Err(Failure::usage(format!(
                "`--to {}` names no output of that run: it has {}",
                prov::path::shown(word.as_encoded_bytes()),
                run.outputs.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            ))),
        };
    }
    match words {
        [] => Ok(None),
        [word] => {
            let path = absolute(word);
            let is_folder = !matches!(target, Target::Artifact(..))
                || word.as_encoded_bytes().ends_with(b"/")
                || cx.fs.stat(&path).is_ok_and(|stat| stat.is_some_and(|stat| stat.is_folder()));
            Ok(Some(if is_folder { Destination::Below(path) } else { Destination::Exactly(path) }))
        }
        _ => Err(Failure::usage("several --to need a run, and KEY=PATH each")),
    }
}

/// What could not be brought back decides the exit code: missing content before refused places.
fn verdict(items: &[RestoredItem]) -> Result<Exit, Failure> {
    let named = |outcome: Outcome| -> Vec<String> {
        items.iter().filter(|item| item.outcome == outcome).map(|item| prov::path::show(&item.path)).collect()
    };
    let missing = named(Outcome::Missing);
    if let Some(first) = missing.first() {
        let more = if missing.len() > 1 { format!(" and {} more", missing.len() - 1) } else { String::new() };
        return Err(Failure::new(
            Class::Damaged,
            "content_missing",
            format!("the content of `{first}`{more} is not in the store"),
        )
        .hint("`prov where` says who has it; or run the step again"));
    }
    let refused = named(Outcome::Refused);
    if let Some(first) = refused.first() {
        let more = if refused.len() > 1 { format!(" and {} more", refused.len() - 1) } else { String::new() };
        let is_outside =
            items.iter().any(|item| item.outcome == Outcome::Refused && item.why.is_some() && item.members.is_none());
        let hint = if is_outside {
            "name a folder for it with --to DIR"
        } else {
            "`prov restore -f` keeps what is there in the store and replaces it; or restore elsewhere with --to DIR"
        };
        return Err(Failure::new(
            Class::Refused,
            "would_overwrite",
            format!("`{first}`{more} was not restored: what is there would be lost, or may not be written"),
        )
        .hint(hint));
    }
    Ok(Exit::Done)
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Restored => "restored",
        Outcome::Kept => "kept",
        Outcome::Refused => "refused",
        Outcome::Missing => "missing",
        Outcome::Skipped => "skipped",
    }
}

fn to_json(item: &RestoredItem, root: &std::path::Path) -> Value {
    let mut map = Map::new();
    map.insert("key".to_owned(), json!(item.key));
    let path = item.path.strip_prefix(root).unwrap_or(&item.path);
    json::put_bytes(&mut map, "path", &prov::path::bytes(path));
    map.insert("result".to_owned(), json!(word(item.outcome)));
    map.insert("why".to_owned(), json!(item.why));
    if let Some(members) = item.members {
        map.insert("members".to_owned(), json!(members));
    }
    Value::Object(map)
}

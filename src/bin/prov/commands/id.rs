//! `prov id`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use prov::path::Place;
use prov::progress::{Cancel, Progress};
use prov::query::Match;
use prov::repo;
use prov::run::Session;
use prov::worktree::{self, CaptureOptions, Captured, StatCache, Worktree};
use serde_json::{Map, Value, json};

use super::revision::Seen;
use super::{Context, describe};
use crate::args::IdArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// What is known of one file or folder.
struct Known {
    path: Vec<u8>,
    captured: Captured,
    matches: Vec<Match>,
}

/// Tells what files and folders are, by their content alone. Works without a project: then only the ids are told.
pub(crate) fn run(cx: &Context, args: &IdArgs) -> Result<Exit, Failure> {
    let seen = match open::find(cx) {
        Ok(_) => Some(Seen::open(cx)?),
        Err(repo::Error::NotFound { .. }) => None,
        Err(err) => return Err(err.into()),
    };
    let bar = cx.ui.bar();
    let all = match &seen {
        Some(seen) => within(cx, seen, &args.paths, &bar)?,
        None => without(cx, &args.paths, &bar)?,
    };
    drop(bar);
    if cx.ui.is_json() {
        cx.ui.document(document(&all))?;
    } else {
        let painter = cx.ui.painter();
        for one in &all {
            cx.ui.line(format_args!("{}  {}", one.captured.content.id(), shown(&one.path)))?;
            cx.ui.print(describe::matches_text(painter, &one.matches))?;
            if one.matches.is_empty() {
                let what = human::size(one.captured.size);
                let why = if seen.is_some() { "on no record" } else { "no store here to look it up in" };
                cx.ui.line(painter.dim(format!("    {} of {what}, {why}", one.captured.content.type_name())))?;
            }
        }
    }
    if let Some(seen) = &seen {
        open::complete(&seen.snapshot)?;
    }
    Ok(Exit::Done)
}

fn within(
    cx: &Context,
    seen: &Seen,
    paths: &[impl AsRef<OsStr>],
    progress: &dyn Progress,
) -> Result<Vec<Known>, Failure> {
    let session = Session::with_progress(&seen.repo, cx.cwd.clone(), progress);
    let mut all = Vec::new();
    for path in paths {
        let path = path.as_ref().as_bytes();
        let place = session.locate(path);
        let mut captured = Seen::capture(&session, &place)?;
        let mut matches = prov::query::id_matches(&seen.snapshot, &captured.content.id())?;
        if matches.is_empty() && captured.content.kind() == Some(prov::object::Kind::TREE) {
            // A folder that was committed by hand lacks what the ignore rules leave out.
            let options = session.capture_options(&place)?;
            let by_rules = worktree::capture(&session.worktree(), &place, &options, None)?;
            let found = prov::query::id_matches(&seen.snapshot, &by_rules.content.id())?;
            if !found.is_empty() {
                (captured, matches) = (by_rules, found);
            }
        }
        all.push(Known { path: path.to_vec(), captured, matches });
    }
    session.save();
    Ok(all)
}

fn without(cx: &Context, paths: &[impl AsRef<OsStr>], progress: &dyn Progress) -> Result<Vec<Known>, Failure> {
    let (cache, cancel) = (StatCache::empty(), Cancel::new());
    let worktree = Worktree { fs: &cx.fs, root: &cx.cwd, clock: &*cx.clock, cache: &cache, progress, cancel: &cancel };
    let known = paths.iter().map(|path| {
        let path = path.as_ref().as_bytes();
        let place: Place = prov::path::locate(&cx.cwd, &cx.cwd, &prov::path::from_bytes(path));
        let captured = worktree::capture(&worktree, &place, &CaptureOptions::default(), None)?;
        Ok(Known { path: path.to_vec(), captured, matches: Vec::new() })
    });
    known.collect()
}

/// With one path, what it is; with several, `items` alone tells.
fn document(all: &[Known]) -> Map<String, Value> {
    let matches = |one: &Known| one.matches.iter().map(describe::match_json).collect::<Value>();
    let id = |one: &Known| json!(one.captured.content.id().to_string());
    let mut document = json::document("id");
    let only = if let [one] = all { Some(one) } else { None };
    document.insert("id".to_owned(), only.map_or(Value::Null, id));
    document.insert("matches".to_owned(), only.map_or_else(|| json!([]), matches));
    let items = all.iter().map(|one| {
        let mut map = Map::new();
        json::put_bytes(&mut map, "path", &one.path);
        map.insert("id".to_owned(), id(one));
        map.insert("type".to_owned(), json!(one.captured.content.type_name()));
        map.insert("size".to_owned(), json!(one.captured.size));
        map.insert("matches".to_owned(), matches(one));
        Value::Object(map)
    });
    document.insert("items".to_owned(), items.collect());
    document
}

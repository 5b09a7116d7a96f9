//! `prov id`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use prov::object::recipe::Content;
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
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// What is known of one file or folder.
struct Known {
    path: Vec<u8>,
    content: Content,
    size: u64,
    matches: Vec<Match>,
    sha256: Option<String>,
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
        Some(seen) => {
            let (sums, files): (Vec<_>, Vec<_>) =
                args.paths.iter().partition(|word| args.sha256 && is_sum(cx, word.as_os_str()));
            let mut all = within(cx, seen, &files, args.sha256, &bar)?;
            for word in sums {
                all.push(by_sum(seen, &word.to_string_lossy(), &bar)?);
            }
            all
        }
        None => without(cx, &args.paths, args.sha256, &bar)?,
    };
    drop(bar);
    if cx.ui.is_json() {
        cx.ui.document(document(&all))?;
    } else {
        let painter = cx.ui.painter();
        for one in &all {
            cx.ui.line(format_args!("{}  {}", one.content.id(), shown(&one.path)))?;
            if let Some(sum) = &one.sha256 {
                cx.ui.line(painter.dim(format!("    SHA-256 {sum}")))?;
            }
            cx.ui.print(describe::matches_text(painter, &one.matches))?;
            if one.matches.is_empty() {
                let what = human::size(one.size);
                let why = if seen.is_some() { "on no record" } else { "no store here to look it up in" };
                cx.ui.line(painter.dim(format!("    {} of {what}, {why}", one.content.type_name())))?;
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
    with_sum: bool,
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
        let sha256 = if with_sum { sum_of(cx, &captured, path)? } else { None };
        all.push(Known { path: path.to_vec(), content: captured.content, size: captured.size, matches, sha256 });
    }
    session.save();
    Ok(all)
}

/// Whether a word is a SHA-256 and no file.
fn is_sum(cx: &Context, word: &OsStr) -> bool {
    let is_digest = word.to_str().is_some_and(prov::query::sha256::is_digest);
    is_digest && !matches!(cx.fs.lstat(&cx.cwd.join(word)), Ok(Some(_)))
}

/// The SHA-256 of a file; folders have none.
fn sum_of(cx: &Context, captured: &Captured, path: &[u8]) -> Result<Option<String>, Failure> {
    if captured.content.kind() != Some(prov::object::Kind::BLOB) {
        return Ok(None);
    }
    let failed = |err: std::io::Error| {
        Failure::new(Class::Failed, "io", format!("can't read `{}`", shown(path))).because_of(Some(&err))
    };
    let mut file = cx.fs.open(&cx.cwd.join(prov::path::from_bytes(path))).map_err(failed)?;
    Ok(Some(prov::hash::sha256_from(&mut file).map_err(failed)?))
}

/// The recorded file with a SHA-256.
fn by_sum(seen: &Seen, digest: &str, progress: &dyn Progress) -> Result<Known, Failure> {
    let Some(id) = prov::query::sha256::find(&seen.repo, &seen.snapshot, digest, progress)? else {
        return Err(Failure::new(
            Class::NotFound,
            "not_found",
            format!("no file in the store has the SHA-256 {digest}"),
        )
        .hint("content that was recorded by its id only, or evicted, is not searched"));
    };
    let matches = prov::query::id_matches(&seen.snapshot, &id)?;
    let path = matches.first().map(|found| found.path.to_vec()).unwrap_or_default();
    let size = describe::size_of(&seen.snapshot, &id)?;
    Ok(Known { path, content: Content::Blob(id), size, matches, sha256: Some(digest.to_ascii_lowercase()) })
}

fn without(
    cx: &Context,
    paths: &[impl AsRef<OsStr>],
    with_sum: bool,
    progress: &dyn Progress,
) -> Result<Vec<Known>, Failure> {
    let (cache, cancel) = (StatCache::empty(), Cancel::new());
    let worktree = Worktree { fs: &cx.fs, root: &cx.cwd, clock: &*cx.clock, cache: &cache, progress, cancel: &cancel };
    let known = paths.iter().map(|path| {
        let path = path.as_ref().as_bytes();
        let place: Place = prov::path::locate(&cx.cwd, &cx.cwd, &prov::path::from_bytes(path));
        let captured = worktree::capture(&worktree, &place, &CaptureOptions::default(), None)?;
        let sha256 = if with_sum { sum_of(cx, &captured, path)? } else { None };
        Ok(Known { path: path.to_vec(), content: captured.content, size: captured.size, matches: Vec::new(), sha256 })
    });
    known.collect()
}

/// With one path, what it is; with several, `items` alone tells.
fn document(all: &[Known]) -> Map<String, Value> {
    let matches = |one: &Known| one.matches.iter().map(describe::match_json).collect::<Value>();
    let id = |one: &Known| json!(one.content.id().to_string());
    let mut document = json::document("id");
    let only = if let [one] = all { Some(one) } else { None };
    document.insert("id".to_owned(), only.map_or(Value::Null, id));
    document.insert("matches".to_owned(), only.map_or_else(|| json!([]), matches));
    let items = all.iter().map(|one| {
        let mut map = Map::new();
        json::put_bytes(&mut map, "path", &one.path);
        map.insert("id".to_owned(), id(one));
        map.insert("type".to_owned(), json!(one.content.type_name()));
        map.insert("size".to_owned(), json!(one.size));
        if one.sha256.is_some() {
            map.insert("sha256".to_owned(), json!(one.sha256));
        }
        map.insert("matches".to_owned(), matches(one));
        Value::Object(map)
    });
    document.insert("items".to_owned(), items.collect());
    document
}

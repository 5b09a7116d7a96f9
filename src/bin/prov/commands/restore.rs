//! `prov restore`.

use prov::run::{RestoreOptions, RestoredItem, Session};
use prov::worktree::restore::Outcome;
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::RestoreArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::{json, record, table};

/// Brings recorded files back.
pub(crate) fn run(cx: &Context, args: &RestoreArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let snapshot = repo.store().snapshot()?;
    let Some(rev) = args.rev.to_str() else {
        return Err(Failure::new(
            Class::NotFound,
            "not_found",
            format!("`{}` is no revision", prov::path::shown(args.rev.as_encoded_bytes())),
        )
        .hint("revisions are UTF-8; `prov log` lists the runs"));
    };
    let target = prov::revspec::resolve(&repo, &snapshot, repo.scenario(), &cx.cwd, rev)?;
    let bar = cx.ui.bar();
    let session = Session::with_progress(&repo, cx.cwd.clone(), &bar);
    let options = RestoreOptions {
        to: args.to.as_ref().map(|dir| prov::path::normal(&cx.cwd.join(dir))),
        force: args.force,
        dry_run: args.dry_run,
    };
    let restored = prov::run::restore(&session, &snapshot, &target, &options)?;
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
        if restored.items.is_empty() {
            cx.ui.say("there is nothing to restore: that run recorded no outputs");
        }
    }
    for kept in &restored.displaced {
        cx.ui.say(record::kept_safe(kept));
    }
    verdict(&restored.items)
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
        .hint("run the step again, or fetch it from a store that has it"));
    }
    let refused = named(Outcome::Refused);
    if let Some(first) = refused.first() {
        let more = if refused.len() > 1 { format!(" and {} more", refused.len() - 1) } else { String::new() };
        let is_outside = items.iter().any(|item| item.outcome == Outcome::Refused && item.why.is_some());
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
    }
}

fn to_json(item: &RestoredItem, root: &std::path::Path) -> Value {
    let mut map = Map::new();
    map.insert("key".to_owned(), json!(item.key));
    let path = item.path.strip_prefix(root).unwrap_or(&item.path);
    json::put_bytes(&mut map, "path", &prov::path::bytes(path));
    map.insert("result".to_owned(), json!(word(item.outcome)));
    map.insert("why".to_owned(), json!(item.why));
    Value::Object(map)
}

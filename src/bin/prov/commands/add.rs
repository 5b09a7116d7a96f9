//! `prov add`, `prov commit`: records made by hand.

use bstr::BString;
use prov::run::{CommitOptions, Item, ItemAction, Session};
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::{AddArgs, CommitArgs, values};
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::{human, json, record, table};

/// Stores and stages files.
pub(crate) fn add(cx: &Context, args: &AddArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let bar = cx.ui.bar();
    let session = Session::with_progress(&repo, cx.cwd.clone(), &bar);
    let staged = prov::run::add(&session, &paths(&args.paths), args.dry_run)?;
    drop(bar);
    if cx.ui.is_json() {
        let mut document = json::document("add");
        document.insert("run".to_owned(), Value::Null);
        document.insert("items".to_owned(), staged.items.iter().map(item).collect());
        cx.ui.document(document)?;
    } else {
        cx.ui.print(lines(&staged.items))?;
        let would = if args.dry_run { "would stage" } else { "staged" };
        cx.ui.say(format_args!("{would} {}", human::count(count(&staged.items), "path")));
    }
    Ok(Exit::Done)
}

/// Records files, or what is staged.
pub(crate) fn commit(cx: &Context, args: &CommitArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let bar = cx.ui.bar();
    let session = Session::with_progress(&repo, cx.cwd.clone(), &bar);
    let options = CommitOptions { message: args.message.clone(), dry_run: args.dry_run, ..CommitOptions::default() };
    let committed = prov::run::commit(&session, &paths(&args.paths), &options)?;
    for warning in &committed.warnings {
        cx.ui.warn(warning);
    }
    drop(bar);
    if cx.ui.is_json() {
        let mut document = json::document("commit");
        let is_made = !args.dry_run;
        document.insert("run".to_owned(), json!(is_made.then_some(&committed.run.run)));
        document.insert("object".to_owned(), json!(is_made.then(|| committed.object.to_string())));
        document.insert("items".to_owned(), committed.items.iter().map(item).collect());
        cx.ui.document(document)?;
    } else {
        cx.ui.print(lines(&committed.items))?;
        let what = human::count(count(&committed.items), "path");
        if args.dry_run {
            cx.ui.say(format_args!("would record {what}"));
        } else {
            let id = cx.ui.talk_painter().id(human::short(committed.run.tail(), 8)).to_string();
            cx.ui.say(format_args!("recorded {what} as {id} in scenario {}", record::shown(&committed.run.scenario)));
        }
    }
    Ok(Exit::Done)
}

fn paths(words: &[std::ffi::OsString]) -> Vec<BString> {
    words.iter().map(|word| values::bytes(word)).collect()
}

fn count(items: &[Item]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

fn word(action: ItemAction) -> &'static str {
    match action {
        ItemAction::Stored => "stored",
        ItemAction::Known => "kept",
    }
}

fn item(item: &Item) -> Value {
    let mut map = Map::new();
    json::put_bytes(&mut map, "path", &item.path);
    map.insert("id".to_owned(), json!(item.content.id().to_string()));
    map.insert("type".to_owned(), json!(item.content.type_name()));
    map.insert("size".to_owned(), json!(item.size));
    map.insert("files".to_owned(), json!(item.files));
    map.insert("action".to_owned(), json!(word(item.action)));
    Value::Object(map)
}

fn lines(items: &[Item]) -> String {
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let path = if item.path.is_empty() { ".".to_owned() } else { record::shown(&item.path) };
            let id = item.content.id().to_string();
            vec![word(item.action).to_owned(), human::short(&id, 8).to_owned(), human::size(item.size), path]
        })
        .collect();
    table::columns(&[], &rows)
}

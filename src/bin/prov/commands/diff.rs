//! `prov diff`.

use std::ffi::OsStr;

use prov::object::Source;
use prov::object::run::Run;
use prov::query::{
    CodeDifference, ContentDifference, Difference, Summary, TableDifference, ValueDifference, ValueOptions,
};
use prov::recipe::Given;
use prov::revspec::Target;
use serde_json::{Map, Value, json};

use super::Context;
use super::elsewhere::answer;
use super::revision::Seen;
use crate::args::DiffArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::{self, reason_line, shown, word};
use crate::output::{human, json};

/// The config that a revision names, and whose it is.
fn given(cx: &Context, seen: &Seen, rev: &OsStr) -> Result<Option<(Run, Given)>, Failure> {
    let (at, given) = match seen.target(cx, rev)? {
        Target::Config(at, id) => (at, Given::Values(id)),
        Target::ConfigFolder(at, name, content) => (at, Given::Part(name, content)),
        _ => return Ok(None),
    };
    Ok(Some((seen.read_run(&at)?, given)))
}

/// What is found out beside what counts.
#[derive(Default)]
struct More {
    values: Vec<ValueDifference>,
    code: Vec<CodeDifference>,
    /// Of the outputs that differ, in their order.
    contents: Vec<Option<ContentDifference>>,
}

/// Compares two runs, or two configs.
pub(crate) fn run(cx: &Context, args: &DiffArgs) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let configs = (given(cx, &seen, &args.a)?, given(cx, &seen, &args.b)?);
    let of_configs = configs.0.is_some() && configs.1.is_some();
    let (found, more) = match configs {
        (Some((a, old)), Some((b, new))) => {
            let found = answer(cx, &seen.repo, &mut seen.snapshot, &mut |_, source| {
                let other = || Failure::usage("the two are of different kinds: values, a folder or a file");
                prov::query::diff_configs(source, (a.clone(), &old), (b.clone(), &new))?.ok_or_else(other)
            })?;
            (found, More::default())
        }
        // What is neither two configs nor two runs is said to be no run.
        _ => {
            let (_, before) = seen.run(cx, &args.a)?;
            let (_, after) = seen.run(cx, &args.b)?;
            answer(cx, &seen.repo, &mut seen.snapshot, &mut |_, source| {
                let found = prov::query::diff(source, before.clone(), after.clone())?;
                let more = more(source, args, &found)?;
                Ok((found, more))
            })?
        }
    };
    let is_equal = if of_configs { found.parts.is_empty() } else { found.is_empty() };
    if cx.ui.is_json() {
        document(cx, &found, &more, is_equal)?;
    } else {
        text(cx, args, &found, &more, is_equal, of_configs)?;
    }
    open::complete(&seen.snapshot)?;
    Ok(if args.exit_code && !is_equal { Exit::No } else { Exit::Done })
}

fn more(source: &dyn Source, args: &DiffArgs, found: &Difference) -> Result<More, Failure> {
    let options = ValueOptions { prefixes: args.prefix.clone(), keys: args.key.clone(), with_equal: args.equal };
    let mut more = More { values: prov::query::diff_values(&found.before, &found.after, &options), ..More::default() };
    if args.patch {
        more.code = prov::query::diff_code(source, &found.before, &found.after)?;
        for one in &found.outputs {
            let sides = (found.before.outputs.get(&one.key), found.after.outputs.get(&one.key));
            more.contents.push(match sides {
                (Some(a), Some(b)) => {
                    let (old, new) = ((&a.content, a.size), (&b.content, b.size));
                    Some(prov::query::diff_contents(source, &b.path, old, new, &args.by)?)
                }
                _ => None,
            });
        }
    }
    Ok(more)
}

type Side = Option<(prov::hash::Id, u64, bstr::BString)>;

fn document(cx: &Context, found: &Difference, more: &More, is_equal: bool) -> Result<(), Failure> {
    let mut document = json::document("diff");
    document.insert("a".to_owned(), json!(found.before.run));
    document.insert("b".to_owned(), json!(found.after.run));
    document.insert("equal".to_owned(), json!(is_equal));
    document.insert("status".to_owned(), json!({"before": found.before.status, "after": found.after.status}));
    document.insert("parts".to_owned(), record::reasons(&found.parts));
    let id = |side: &Side| json!(side.as_ref().map(|(id, ..)| id.to_string()));
    let size = |side: &Side| json!(side.as_ref().map(|(_, size, _)| *size));
    let mut outputs: Vec<Value> = Vec::new();
    for (at, one) in found.outputs.iter().enumerate() {
        let mut map = Map::new();
        map.insert("key".to_owned(), json!(one.key));
        map.insert("before".to_owned(), id(&one.before));
        map.insert("after".to_owned(), id(&one.after));
        map.insert("size_before".to_owned(), size(&one.before));
        map.insert("size_after".to_owned(), size(&one.after));
        if let Some(Some(content)) = more.contents.get(at) {
            map.insert("content".to_owned(), content_document(content));
        }
        outputs.push(Value::Object(map));
    }
    document.insert("outputs".to_owned(), outputs.into());
    let value = |value: &Option<prov::codec::Value>| value.as_ref().map_or(Value::Null, json::stored);
    let values = more.values.iter().map(|one| {
        json!({"name": one.name, "before": value(&one.before), "after": value(&one.after), "equal": one.is_equal()})
    });
    document.insert("values".to_owned(), values.collect());
    let code = more.code.iter().map(|one| {
        let mut map = Map::new();
        json::put_bytes(&mut map, "path", &one.path);
        map.insert("content".to_owned(), content_document(&one.content));
        Value::Object(map)
    });
    document.insert("code".to_owned(), code.collect());
    cx.ui.document(document)
}

fn content_document(content: &ContentDifference) -> Value {
    match content {
        ContentDifference::Text { patch, added, removed } => {
            json!({"kind": "text", "patch": patch, "added": added, "removed": removed})
        }
        ContentDifference::Table(table) => {
            let summary = |summary: &Option<Summary>| {
                summary.map_or(
                    Value::Null,
                    |one| json!({"count": one.count, "min": one.min, "max": one.max, "mean": one.mean}),
                )
            };
            let columns = table.columns.iter().map(|column| {
                let first = column.first.as_ref().map(|(row, before, after)| {
                    json!({"row": row, "before": json::stored(before), "after": json::stored(after)})
                });
                json!({
                    "name": column.name,
                    "kind": {"before": column.kinds.0, "after": column.kinds.1},
                    "changed": column.changed,
                    "first": first,
                    "numbers": {"before": summary(&column.numbers.0), "after": summary(&column.numbers.1)},
                    "largest": column.largest,
                })
            });
            json!({
                "kind": "table",
                "rows": {"before": table.rows.0, "after": table.rows.1},
                "by": table.by,
                "rows_removed": table.removed_rows,
                "rows_added": table.added_rows,
                "compared": table.compared,
                "changed_rows": table.changed_rows,
                "added": table.added,
                "removed": table.removed,
                "reordered": table.reordered,
                "columns": columns.collect::<Vec<_>>(),
                "same_columns": table.same_columns,
            })
        }
        ContentDifference::Opaque(why) => json!({"kind": "opaque", "why": why}),
    }
}

fn text(
    cx: &Context,
    args: &DiffArgs,
    found: &Difference,
    more: &More,
    is_equal: bool,
    of_configs: bool,
) -> Result<(), Failure> {
    cx.ui.page(&cx.environment);
    let painter = cx.ui.painter();
    cx.ui.line(format_args!("{} {}", painter.bad("---"), shown(&found.before.run)))?;
    cx.ui.line(format_args!("{} {}", painter.good("+++"), shown(&found.after.run)))?;
    if found.before.status != found.after.status && !of_configs {
        cx.ui.line(format_args!("status changed: {} -> {}", word(&found.before.status), word(&found.after.status)))?;
    }
    for part in &found.parts {
        cx.ui.line(reason_line(part))?;
    }
    for (at, one) in found.outputs.iter().enumerate() {
        let side = |side: &Side| match side {
            Some((id, size, _)) => format!("{} ({})", id.short(), human::size(*size)),
            None => "nothing".to_owned(),
        };
        cx.ui.line(format_args!("output {}: {} -> {}", shown(&one.key), side(&one.before), side(&one.after)))?;
        match more.contents.get(at) {
            Some(Some(ContentDifference::Table(table))) => table_lines(cx, table)?,
            Some(Some(ContentDifference::Text { patch, .. })) => patch_lines(cx, patch)?,
            Some(Some(ContentDifference::Opaque(why))) => cx.ui.line(format_args!("  not looked into: {why}"))?,
            _ => {}
        }
    }
    for one in &more.code {
        match &one.content {
            ContentDifference::Text { patch, .. } => patch_lines(cx, patch)?,
            ContentDifference::Opaque(why) => cx.ui.line(format_args!("code {}: {why}", shown(&one.path)))?,
            ContentDifference::Table(table) => table_lines(cx, table)?,
        }
    }
    // Two runs never take just as long: times are told when they are asked for.
    let is_asked = args.equal || !args.prefix.is_empty() || !args.key.is_empty();
    for one in more.values.iter().filter(|one| is_asked || !one.name.starts_with("time.")) {
        let text =
            |value: &Option<prov::codec::Value>| value.as_ref().map_or("nothing".to_owned(), prov::config::to_json);
        if one.is_equal() {
            cx.ui.line(format_args!("{} is {}", shown(&one.name), shown(text(&one.before))))?;
        } else {
            let (before, after) = (shown(text(&one.before)), shown(text(&one.after)));
            cx.ui.line(format_args!("{}: {before} -> {after}", shown(&one.name)))?;
        }
    }
    if is_equal {
        cx.ui.line("nothing that counts differs")?;
    }
    Ok(())
}

fn patch_lines(cx: &Context, patch: &str) -> Result<(), Failure> {
    let painter = cx.ui.painter();
    for line in patch.lines() {
        let text = shown(line);
        if line.starts_with('+') {
            cx.ui.line(painter.good(&text))?;
        } else if line.starts_with('-') {
            cx.ui.line(painter.bad(&text))?;
        } else {
            cx.ui.line(text)?;
        }
    }
    Ok(())
}

fn table_lines(cx: &Context, table: &TableDifference) -> Result<(), Failure> {
    let (before, after) = table.rows;
    if !table.by.is_empty() {
        let by: Vec<String> = table.by.iter().map(shown).collect();
        cx.ui.line(format_args!(
            "  rows by {}: {} gone, {} new, {} of {} changed",
            by.join(", "),
            table.removed_rows,
            table.added_rows,
            table.changed_rows,
            table.compared
        ))?;
    } else if before == after {
        cx.ui.line(format_args!("  {}, {} changed", human::count(before, "row"), table.changed_rows))?;
    } else {
        cx.ui
            .line(format_args!("  rows: {before} -> {after}; {} of {} changed", table.changed_rows, table.compared))?;
    }
    for (names, what) in [(&table.removed, "gone"), (&table.added, "new")] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(shown).collect();
            cx.ui.line(format_args!("  columns {what}: {}", names.join(", ")))?;
        }
    }
    if table.reordered {
        cx.ui.line("  the columns stand in another order")?;
    }
    for column in &table.columns {
        let mut line = format!("  {}: {} changed", shown(&column.name), column.changed);
        if column.kinds.0 != column.kinds.1 {
            line.push_str(&format!(", {} -> {}", column.kinds.0, column.kinds.1));
        }
        if let (Some(a), Some(b)) = column.numbers {
            line.push_str(&format!(
                ", mean {} -> {}, min {} -> {}, max {} -> {}",
                a.mean, b.mean, a.min, b.min, a.max, b.max
            ));
        }
        if let Some(largest) = column.largest {
            line.push_str(&format!(", by at most {largest}"));
        }
        if let Some((row, a, b)) = &column.first {
            let (a, b) = (prov::config::to_json(a), prov::config::to_json(b));
            line.push_str(&format!(", first in row {row}: {} -> {}", shown(a), shown(b)));
        }
        cx.ui.line(line)?;
    }
    Ok(())
}

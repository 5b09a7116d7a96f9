//! `prov scenario diff`, and `prov compare`.

use prov::query::{Alone, CompareOptions, Pair};
use prov::repo::Repo;
use serde_json::{Map, Value, json};

use super::Context;
use super::elsewhere::answer;
use super::revision::Seen;
use crate::args::CompareArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::{self, milliseconds, reason_line, shown};
use crate::output::{human, json, table};

/// Compares two scenarios.
pub(crate) fn run(cx: &Context, repo: &Repo, a: &str, b: &str, exit_code: bool) -> Result<Exit, Failure> {
    let mut snapshot = repo.store().snapshot()?;
    let found = answer(cx, repo, &mut snapshot, &mut |snapshot, source| {
        Ok(prov::query::diff_scenarios(repo, snapshot, source, (a, b))?)
    })?;
    if cx.ui.is_json() {
        let mut document = json::document("scenario-diff");
        document.insert("a".to_owned(), json!(a));
        document.insert("b".to_owned(), json!(b));
        document.insert("equal".to_owned(), json!(found.is_empty()));
        let value = |value: &Option<prov::codec::Value>| value.as_ref().map_or(Value::Null, json::stored);
        let said = found
            .said
            .iter()
            .map(|one| json!({"what": one.what, "before": value(&one.before), "after": value(&one.after)}));
        document.insert("said".to_owned(), said.collect());
        document.insert("runs".to_owned(), json!({"before": found.runs.0, "after": found.runs.1}));
        document
            .insert("steps".to_owned(), found.steps.iter().map(|pair| Value::Object(pair_document(pair))).collect());
        document.insert("equal_steps".to_owned(), json!(found.equal_steps));
        document.insert("only_a".to_owned(), json!(found.only_a));
        document.insert("only_b".to_owned(), json!(found.only_b));
        cx.ui.document(document)?;
    } else {
        let painter = cx.ui.painter();
        cx.ui.line(format_args!("{} {} ({})", painter.bad("---"), shown(a), human::count(found.runs.0, "run")))?;
        cx.ui.line(format_args!("{} {} ({})", painter.good("+++"), shown(b), human::count(found.runs.1, "run")))?;
        let text =
            |value: &Option<prov::codec::Value>| value.as_ref().map_or("nothing".to_owned(), prov::config::to_json);
        for one in &found.said {
            cx.ui.line(format_args!(
                "{}: {} -> {}",
                shown(&one.what),
                shown(text(&one.before)),
                shown(text(&one.after))
            ))?;
        }
        for pair in &found.steps {
            let id = |run: &str| human::short(prov::object::run::tail(run), 8).to_owned();
            cx.ui.line(format_args!("step {} ({} -> {})", shown(&pair.step), id(&pair.a.0), id(&pair.b.0)))?;
            for reason in &pair.changed {
                cx.ui.line(format_args!("  {}", reason_line(reason)))?;
            }
            if !pair.outputs.is_empty() {
                let keys: Vec<String> = pair.outputs.iter().map(shown).collect();
                cx.ui.line(format_args!("  other outputs: {}", keys.join(", ")))?;
            }
        }
        for (steps, name) in [(&found.only_a, a), (&found.only_b, b)] {
            if !steps.is_empty() {
                let steps: Vec<String> = steps.iter().map(shown).collect();
                cx.ui.line(format_args!("only in {}: {}", shown(name), steps.join(", ")))?;
            }
        }
        if found.is_empty() {
            cx.ui.line("nothing that counts differs")?;
        }
    }
    open::complete(&snapshot)?;
    Ok(if exit_code && !found.is_empty() { Exit::No } else { Exit::Done })
}

fn pair_document(pair: &Pair) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("step".to_owned(), json!(pair.step));
    map.insert("a".to_owned(), json!(pair.a.0));
    map.insert("b".to_owned(), json!(pair.b.0));
    map.insert("changed".to_owned(), record::reasons(&pair.changed));
    map.insert("outputs".to_owned(), json!(pair.outputs));
    let value = |value: &Option<prov::codec::Value>| value.as_ref().map_or(Value::Null, json::stored);
    let metrics = pair.metrics.iter().map(|(name, (a, b))| (name.clone(), json!({"a": value(a), "b": value(b)})));
    map.insert("metrics".to_owned(), Value::Object(metrics.collect()));
    let took = (milliseconds(pair.took_us.0), milliseconds(pair.took_us.1));
    map.insert("duration_ms".to_owned(), json!({"a": took.0, "b": took.1}));
    map
}

/// Puts the runs of two scenarios beside each other.
pub(crate) fn compare(cx: &Context, args: &CompareArgs) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let options = CompareOptions { on: args.on.clone(), step: args.step.clone(), takes_latest: args.latest };
    let found = answer(cx, &seen.repo, &mut seen.snapshot, &mut |snapshot, source| {
        Ok(prov::query::compare(&seen.repo, snapshot, source, (&args.a, &args.b), &options)?)
    })?;
    let metrics: std::collections::BTreeSet<&String> = found.rows.iter().flat_map(|row| row.metrics.keys()).collect();
    if cx.ui.is_json() {
        let mut document = json::document("compare");
        document.insert("a".to_owned(), json!(args.a));
        document.insert("b".to_owned(), json!(args.b));
        document.insert("columns".to_owned(), json!(args.on));
        let values = |key: &[prov::codec::Value]| -> Value {
            let pairs = args.on.iter().zip(key).map(|(name, value)| (name.clone(), json::stored(value)));
            Value::Object(pairs.collect())
        };
        let row = |row: &Pair| {
            let mut map = pair_document(row);
            map.insert("values".to_owned(), values(&row.key));
            Value::Object(map)
        };
        document.insert("rows".to_owned(), found.rows.iter().map(row).collect());
        let alone = |one: &Alone| json!({"step": one.step, "values": values(&one.key), "run": one.run});
        document.insert("only_a".to_owned(), found.only_a.iter().map(alone).collect());
        document.insert("only_b".to_owned(), found.only_b.iter().map(alone).collect());
        cx.ui.document(document)?;
    } else {
        let steps: std::collections::BTreeSet<&String> = found.rows.iter().map(|row| &row.step).collect();
        let mut headings: Vec<&str> = Vec::new();
        if steps.len() > 1 {
            headings.push("step");
        }
        headings.extend(args.on.iter().map(String::as_str));
        headings.extend(["a", "b", "changed", "outputs"]);
        headings.extend(metrics.iter().map(|name| name.as_str()));
        let id = |run: &str| human::short(prov::object::run::tail(run), 8).to_owned();
        let lines: Vec<Vec<String>> = found
            .rows
            .iter()
            .map(|row| {
                let mut line = Vec::new();
                if steps.len() > 1 {
                    line.push(shown(&row.step));
                }
                line.extend(row.key.iter().map(prov::config::to_json).map(shown));
                line.extend([id(&row.a.0), id(&row.b.0)]);
                let changed: Vec<String> = row.changed.iter().map(reason_line).collect();
                line.push(if changed.is_empty() { "nothing".to_owned() } else { changed.join("; ") });
                line.push(row.outputs.iter().map(shown).collect::<Vec<_>>().join(", "));
                for name in &metrics {
                    let text = |value: &Option<prov::codec::Value>| {
                        value.as_ref().map_or_else(|| "-".to_owned(), prov::config::to_json)
                    };
                    let (a, b) = row.metrics.get(*name).cloned().unwrap_or_default();
                    line.push(if a == b { text(&a) } else { format!("{} -> {}", text(&a), text(&b)) });
                }
                line
            })
            .collect();
        cx.ui.print(table::columns(&headings, &lines))?;
        for (alone, name) in [(&found.only_a, &args.a), (&found.only_b, &args.b)] {
            if !alone.is_empty() {
                cx.ui.say(format_args!("{} only in {}", human::count(alone.len() as u64, "run"), shown(name)));
            }
        }
    }
    open::complete(&seen.snapshot)?;
    let is_equal = found.only_a.is_empty()
        && found.only_b.is_empty()
        && found.rows.iter().all(|row| row.changed.is_empty() && row.outputs.is_empty());
    Ok(if args.exit_code && !is_equal { Exit::No } else { Exit::Done })
}

//! What `prov run` says when it is done: a few lines on standard error, or the `run` document.

use std::fmt::Write as _;

use prov::object::run::{Cache, Reason, Run, Status};
use prov::run::{OutputAction, Performed, Publication};
use serde_json::{Value, json};

use super::Context;
use crate::error::Failure;
use crate::output::record::{milliseconds, reason_line, shown};
use crate::output::{human, json, record};

/// Reasons that are listed; `prov why` has them all.
const LISTED: usize = 5;

/// Says how it went; with `in_a_line` the document is one line on a terminal too.
pub(crate) fn tell(cx: &Context, performed: &Performed, in_a_line: bool) -> Result<(), Failure> {
    let run = &performed.run;
    cx.ui.say(head(cx, performed));
    if let Some(error) = &run.error {
        cx.ui.say(format_args!("  {}", shown(&error.message)));
    }
    if let Cache::Miss { reasons } = &run.cache {
        for line in why(reasons, run.tail()) {
            cx.ui.say(format_args!("  {line}"));
        }
    }
    for (key, output) in &run.outputs {
        let action = performed.actions.get(key).map_or("not restored", |action| word(*action));
        let size = human::size(output.size);
        match &output.set {
            None => cx.ui.say(format_args!("  {key}: {} {action}, {size}", shown(&output.path))),
            Some(_) => {
                let (place, count) =
                    (if output.path.is_empty() { ".".into() } else { shown(&output.path) }, output.members.len());
                let files = if count == 1 { "file" } else { "files" };
                cx.ui.say(format_args!("  {key}: {count} {files} in {place} {action}, {size}"));
            }
        }
    }
    for kept in &performed.displaced {
        cx.ui.say(format_args!("  {}", record::kept_safe(kept)));
    }
    for text in &performed.warnings {
        cx.ui.warn(shown(text));
    }
    if !run.code_left_out.is_empty() {
        let names: Vec<String> = run.code_left_out.iter().take(3).map(shown).collect();
        cx.ui.warn(format_args!(
            "left out of the code for their size: {}; name one with --code to count it",
            names.join(", ")
        ));
    }
    if let Some(narrow) = &performed.narrow {
        cx.ui.hint(format_args!(
            "only code that the command does not name changed; if the step does not use it, put into prov.toml:"
        ));
        for line in narrow.lines.lines() {
            cx.ui.say(format_args!("  {line}"));
        }
        cx.ui.say(format_args!("or add to the command line: {}", narrow.flags));
    }
    match &performed.publication {
        Publication::Done | Publication::Unrecorded | Publication::Batched | Publication::Listed => {}
        Publication::Waiting(err) => cx.ui.warn(format_args!(
            "recorded locally, will be published by the next command: {}",
            shown(prov::run::chain(err))
        )),
        Publication::Lost(err) => {
            cx.ui.warn(format_args!("this run is not on record: {}", shown(prov::run::chain(err))));
        }
    }
    match (cx.ui.is_json(), in_a_line) {
        (true, true) => cx.ui.line(Value::Object(document(performed))),
        (true, false) => cx.ui.document(document(performed)),
        (false, _) => Ok(()),
    }
}

fn head(cx: &Context, performed: &Performed) -> String {
    let run = &performed.run;
    let paint = cx.ui.talk_painter();
    let id = match performed.publication {
        Publication::Done | Publication::Waiting(_) | Publication::Batched | Publication::Listed => {
            format!(" {}", paint.id(human::short(run.tail(), 8)))
        }
        Publication::Lost(_) | Publication::Unrecorded => " (not recorded)".to_owned(),
    };
    let took = human::duration(milliseconds(run.duration_us()));
    let step = shown(&run.step);
    match (&run.cache, run.status) {
        (Cache::Hit { source, source_duration_us, .. }, _) => {
            let source = prov::object::run::tail(source);
            let before = human::duration(milliseconds(*source_duration_us));
            format!("{} {step}{id}: nothing executed, {before} in {}", paint.good("hit"), human::short(source, 8))
        }
        (_, Status::Success) => format!("{} {step}{id} in {took}", paint.strong("executed")),
        (_, status) => format!("{} {step}{id} in {took}{}", paint.bad(record::word(&status)), ended(run)),
    }
}

fn ended(run: &Run) -> String {
    let mut text = String::new();
    if let Some(signal) = run.signal {
        let name = prov::run::exit::signal_name(signal).map_or_else(|| signal.to_string(), ToOwned::to_owned);
        let _ = write!(text, ", {name}");
    } else if let Some(code) = run.exit_code {
        let _ = write!(text, ", exit code {code}");
    }
    text
}

fn why(reasons: &[Reason], tail: &str) -> Vec<String> {
    let mut lines: Vec<String> = reasons.iter().take(LISTED).map(reason_line).collect();
    if reasons.len() > LISTED {
        lines.push(format!("and {} more: prov why {}", reasons.len() - LISTED, human::short(tail, 8)));
    }
    lines
}

fn word(action: OutputAction) -> &'static str {
    match action {
        OutputAction::Stored => "stored",
        OutputAction::Restored => "restored",
        OutputAction::Kept => "kept",
        OutputAction::Hashed => "hashed",
    }
}

fn document(performed: &Performed) -> serde_json::Map<String, Value> {
    let run = &performed.run;
    let is_recorded = matches!(performed.publication, Publication::Done | Publication::Waiting(_));
    let mut document = json::document("run");
    document.extend(record::run(run, is_recorded.then_some(&performed.object)));
    if let Some(Value::Object(outputs)) = document.get_mut("outputs") {
        for (key, output) in outputs.iter_mut() {
            if let (Value::Object(output), Some(action)) = (output, performed.actions.get(key)) {
                output.insert("action".to_owned(), json!(word(*action)));
            }
        }
    }
    let published = match &performed.publication {
        Publication::Done => "done",
        Publication::Waiting(_) => "waiting",
        Publication::Lost(_) => "lost",
        Publication::Unrecorded => "unrecorded",
        Publication::Batched => "batched",
        Publication::Listed => "listed",
    };
    document.insert("published".to_owned(), json!(published));
    document.insert("warnings".to_owned(), json!(performed.warnings));
    document.insert("displaced".to_owned(), record::displaced(&performed.displaced));
    document.insert("narrow".to_owned(), json!(performed.narrow.as_ref().map(|narrow| &narrow.lines)));
    document
}

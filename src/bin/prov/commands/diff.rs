//! `prov diff`.

use std::ffi::OsStr;

use prov::object::run::Run;
use prov::recipe::Given;
use prov::revspec::Target;
use serde_json::{Value, json};

use super::Context;
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

/// Compares two runs, or two configs.
pub(crate) fn run(cx: &Context, args: &DiffArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let (found, of_configs) = match (given(cx, &seen, &args.a)?, given(cx, &seen, &args.b)?) {
        (Some((a, old)), Some((b, new))) => {
            let found = prov::query::diff_configs(&seen.snapshot, (a, &old), (b, &new))?;
            let other = || Failure::usage("the two are of different kinds: values, a folder or a file");
            (found.ok_or_else(other)?, true)
        }
        // What is neither two configs nor two runs is said to be no run.
        _ => {
            let (_, before) = seen.run(cx, &args.a)?;
            let (_, after) = seen.run(cx, &args.b)?;
            (prov::query::diff(&seen.snapshot, before, after)?, false)
        }
    };
    let is_equal = if of_configs { found.parts.is_empty() } else { found.is_empty() };
    if cx.ui.is_json() {
        let mut document = json::document("diff");
        document.insert("a".to_owned(), json!(found.before.run));
        document.insert("b".to_owned(), json!(found.after.run));
        document.insert("equal".to_owned(), json!(is_equal));
        document.insert("status".to_owned(), json!({"before": found.before.status, "after": found.after.status}));
        document.insert("parts".to_owned(), record::reasons(&found.parts));
        let id =
            |side: &Option<(prov::hash::Id, u64, bstr::BString)>| json!(side.as_ref().map(|(id, ..)| id.to_string()));
        let size = |side: &Option<(prov::hash::Id, u64, bstr::BString)>| json!(side.as_ref().map(|(_, size, _)| *size));
        let outputs: Vec<Value> = found
            .outputs
            .iter()
            .map(|one| {
                json!({
                    "key": one.key,
                    "before": id(&one.before),
                    "after": id(&one.after),
                    "size_before": size(&one.before),
                    "size_after": size(&one.after),
                })
            })
            .collect();
        document.insert("outputs".to_owned(), outputs.into());
        cx.ui.document(document)?;
    } else {
        cx.ui.page(&cx.environment);
        let painter = cx.ui.painter();
        cx.ui.line(format_args!("{} {}", painter.bad("---"), shown(&found.before.run)))?;
        cx.ui.line(format_args!("{} {}", painter.good("+++"), shown(&found.after.run)))?;
        if found.before.status != found.after.status && !of_configs {
            cx.ui.line(format_args!(
                "status changed: {} -> {}",
                word(&found.before.status),
                word(&found.after.status)
            ))?;
        }
        for part in &found.parts {
            cx.ui.line(reason_line(part))?;
        }
        for one in &found.outputs {
            let side = |side: &Option<(prov::hash::Id, u64, bstr::BString)>| match side {
                Some((id, size, _)) => format!("{} ({})", id.short(), human::size(*size)),
                None => "nothing".to_owned(),
            };
            cx.ui.line(format_args!("output {}: {} -> {}", shown(&one.key), side(&one.before), side(&one.after)))?;
        }
        if is_equal {
            cx.ui.line("nothing that counts differs")?;
        }
    }
    open::complete(&seen.snapshot)?;
    Ok(if args.exit_code && !is_equal { Exit::No } else { Exit::Done })
}

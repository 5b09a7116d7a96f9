//! `prov facets`.

use prov::index::{Answer, Cell, Heading, Kind};
use prov::query::tables;
use serde_json::json;

use super::Context;
use super::revision::Seen;
use crate::args::FacetsArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{answer, json as documents};

/// Shows the facets of a run and of its outputs.
pub(crate) fn run(cx: &Context, args: &FacetsArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let Some((at, output)) = super::find::of_target(seen.target(cx, &args.rev)?) else {
        return Err(Failure::usage(format!("`{}` is no run and no output of one", shown(args.rev.as_encoded_bytes())))
            .hint("name a run, a step, or RUN:KEY"));
    };
    let run = seen.read_run(&at)?;
    if let Some(key) = &output
        && !run.outputs.contains_key(key)
    {
        let failure =
            Failure::new(Class::NotFound, "no_output", format!("run {} has no output `{}`", run.tail(), shown(key)));
        return Err(failure.candidates(run.outputs.keys().map(shown)));
    }
    let mut all = tables::facets(&run);
    all.retain(|facet| {
        let of = facet.output.split('/').next().unwrap_or_default();
        output.as_deref().is_none_or(|key| of == key)
            && args.prefix.as_deref().is_none_or(|prefix| facet.key.starts_with(prefix))
            && args.namespace.as_deref().is_none_or(|name| facet.namespace == name)
    });
    if cx.ui.is_json() {
        let mut document = documents::document("facets");
        document.insert("run".to_owned(), json!(run.run));
        let one = |facet: &tables::Facet| {
            json!({
                "output": (!facet.output.is_empty()).then_some(&facet.output), "namespace": facet.namespace, "key": facet.key,
                "value": answer::value(&facet.value), "type": facet.kind,
            })
        };
        document.insert("facets".to_owned(), all.iter().map(one).collect());
        cx.ui.document(document)?;
    } else if all.is_empty() {
        cx.ui.say("no such facets");
    } else {
        let text = |text: &str| if text.is_empty() { Cell::Null } else { Cell::Text(text.to_owned()) };
        let mut answer = Answer {
            columns: ["output", "namespace", "key", "value", "type"]
                .map(|name| Heading { name: name.to_owned(), kind: Kind::Any })
                .to_vec(),
            rows: all
                .iter()
                .map(|facet| {
                    vec![
                        text(&facet.output),
                        text(&facet.namespace),
                        text(&facet.key),
                        facet.value.clone(),
                        text(facet.kind),
                    ]
                })
                .collect(),
        };
        // What all have in common goes without saying.
        if all.iter().all(|facet| facet.output.is_empty()) {
            answer.columns.remove(0);
            for row in &mut answer.rows {
                row.remove(0);
            }
        }
        cx.ui.page(&cx.environment);
        cx.ui.print(answer::aligned(&answer))?;
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

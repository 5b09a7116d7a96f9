//! `prov impact`.

use prov::query::impact::{self, Impact, Repair};
use prov::revspec::Target;
use prov::run::Session;
use serde_json::json;

use super::Context;
use super::revision::Seen;
use crate::args::ImpactArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json as documents, table};

/// Tells what came of something, and what to run again if it is wrong.
pub(crate) fn run(cx: &Context, args: &ImpactArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let (mut contents, mut runs) = (Vec::new(), Vec::new());
    match seen.look(cx, &args.rev)? {
        Target::Run(at) | Target::Outputs(at) => runs.push(at.run),
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            if let Some(artifact) = Seen::artifact(&run, &key) {
                contents.push(artifact.content.id().to_string());
            }
        }
        Target::Path(place) => {
            let bar = cx.ui.bar();
            let session = Session::with_progress(&seen.repo, cx.cwd.clone(), &bar);
            contents.push(Seen::capture(&session, &place)?.content.id().to_string());
            session.save();
        }
        Target::Object(id, _) => contents.push(id.to_string()),
        Target::Config(..) | Target::ConfigFolder(..) | Target::Code(..) => {
            let rev = shown(args.rev.as_encoded_bytes());
            return Err(Failure::usage(format!("`{rev}` is neither a run nor an input or output of one"))
                .hint("name a run, an artifact (RUN:KEY) or a file"));
        }
    }
    let empty = prov::hash::blob(b"").to_string();
    let (tables, affected) = super::find::index(cx, &seen)?
        .answer(&seen.repo, &seen.snapshot, |index| index.affected(&contents, &runs, &empty))?;
    let impact = impact::plan(affected);
    if cx.ui.is_json() {
        cx.ui.document(document(&impact))?;
    } else {
        text(cx, &impact)?;
    }
    for run in tables.lost() {
        cx.ui.warn(format_args!("run {} can't be read; what came of it is not told", shown(run)));
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

fn word(repair: Repair) -> &'static str {
    match repair {
        Repair::Run => "run",
        Repair::Shared => "shared",
        Repair::Superseded => "superseded",
        Repair::Failed => "failed",
    }
}

fn document(impact: &Impact) -> serde_json::Map<String, serde_json::Value> {
    let mut document = documents::document("impact");
    let item = |item: &impact::Item| {
        json!({
            "run": item.run.run, "object": item.run.object, "project": item.run.project, "scenario": item.run.scenario, "step": item.run.step,
            "status": item.run.status, "cache": item.run.cache, "started_at": documents::time(prov::clock::Micros(item.run.started_us)),
            "outputs": item.run.outputs, "after": item.run.after, "repair": word(item.repair), "round": item.round,
            "estimate_ms": item.estimate_us / 1000,
        })
    };
    document.insert("runs".to_owned(), impact.items.iter().map(item).collect());
    document.insert("again".to_owned(), json!(impact.items.iter().filter(|item| item.repair == Repair::Run).count()));
    document.insert("total_ms".to_owned(), json!(impact.total_us / 1000));
    document.insert("longest_ms".to_owned(), json!(impact.longest_us / 1000));
    document
}

fn text(cx: &Context, impact: &Impact) -> Result<(), Failure> {
    if impact.items.is_empty() {
        cx.ui.say("no run on record took it");
        return Ok(());
    }
    let ms = |us: i64| human::duration(u64::try_from(us / 1000).unwrap_or(0));
    let again: Vec<&impact::Item> = impact.items.iter().filter(|item| item.repair == Repair::Run).collect();
    let count = |n: usize| human::count(u64::try_from(n).unwrap_or(0), "run");
    cx.ui.page(&cx.environment);
    let painter = cx.ui.painter();
    cx.ui.line(format_args!(
        "{} {} affected; {} again puts it right",
        count(impact.items.len()),
        if impact.items.len() == 1 { "is" } else { "are" },
        painter.strong(count(again.len()))
    ))?;
    if !again.is_empty() {
        let rows: Vec<Vec<String>> = again
            .iter()
            .map(|item| {
                let outputs: Vec<String> = item.run.outputs.iter().take(3).map(shown).collect();
                vec![
                    format!("  {}.", item.round),
                    shown(&item.run.step),
                    human::short(prov::object::run::tail(&item.run.run), 8).to_owned(),
                    shown(&item.run.scenario),
                    ms(item.estimate_us),
                    outputs.join(" "),
                ]
            })
            .collect();
        cx.ui.print(table::columns(&["  round", "step", "run", "scenario", "takes about", "outputs"], &rows))?;
        cx.ui.line(format_args!(
            "about {} one after the other, {} if those of a round run at once; results that come out equal spare what follows",
            ms(impact.total_us),
            ms(impact.longest_us)
        ))?;
    }
    for (repair, why) in [
        (Repair::Shared, "of the same recipe as one above: a hit then"),
        (Repair::Superseded, "whose outputs later runs wrote anew"),
        (Repair::Failed, "that did not end well"),
    ] {
        let n = impact.items.iter().filter(|item| item.repair == repair).count();
        if n > 0 {
            cx.ui.line(format_args!("{}", painter.dim(format!("and {} {why}", count(n)))))?;
        }
    }
    Ok(())
}

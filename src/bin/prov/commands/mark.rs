//! `prov retract`, `prov hide`.

use prov::mark::{self, MarkKind, Marks};
use prov::object::run::{Cache, Run};
use prov::revspec::{RunRef, Target};
use serde_json::json;

use super::Context;
use super::revision::Seen;
use crate::args::MarkArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// Says it of the runs, or takes it back.
pub(crate) fn run(cx: &Context, kind: MarkKind, args: &MarkArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let snapshot = repo.store().snapshot()?;
    let seen = Seen { repo, snapshot };
    let mut runs: Vec<RunRef> = Vec::new();
    for rev in &args.runs {
        let target = seen.target(cx, rev)?;
        let (Target::Run(at) | Target::Artifact(at, _) | Target::Outputs(at)) = target else {
            return Err(Failure::usage(format!("`{}` is not a run", shown(rev.as_encoded_bytes())))
                .hint("name a run, a step or a scenario"));
        };
        let record = seen.read_run(&at)?;
        add(&mut runs, at);
        if kind == MarkKind::Retract {
            // What a hit took is wrong because its source is: that one has to be barred, or the next run is a hit again.
            if let Some(source) = source_of(&seen, &record) {
                add(&mut runs, source);
            }
        }
    }
    let on = !args.undo;
    let objects: Vec<_> = runs.iter().map(|at| at.object).collect();
    let changed = if args.dry_run {
        let marks = Marks::open(&seen.snapshot)?;
        objects.iter().map(|object| Ok(marks.is(object, kind)? != on)).collect::<Result<Vec<bool>, mark::Error>>()?
    } else {
        mark::say(&seen.repo, &objects, kind, on, args.message.as_deref().unwrap_or_default())?
    };
    for (at, changed) in runs.iter().zip(&changed) {
        let id = shown(human::short(prov::object::run::tail(&at.run), 8));
        cx.ui.say(match (kind, on, changed, args.dry_run) {
            (_, true, false, _) => format!("{id} is {} already", done(kind)),
            (_, false, false, _) => format!("{id} is not {}", done(kind)),
            (MarkKind::Retract, true, true, false) => format!("{id} is retracted: it is never a hit again"),
            (MarkKind::Hide | MarkKind::Scrub, true, true, false) => {
                format!("{id} is hidden; `prov log --all` lists it")
            }
            (_, false, true, false) => format!("{id} is {} no longer", done(kind)),
            (_, true, true, true) => format!("{id} would be {}", done(kind)),
            (_, false, true, true) => format!("{id} would be {} no longer", done(kind)),
        });
    }
    if cx.ui.is_json() {
        let items = runs
            .iter()
            .zip(&changed)
            .map(|(at, changed)| json!({"run": at.run, "object": at.object.to_string(), "on": on, "changed": changed}));
        let mut document = json::document(kind.as_str());
        document.insert("items".to_owned(), items.collect());
        cx.ui.document(document)?;
    }
    Ok(Exit::Done)
}

fn add(runs: &mut Vec<RunRef>, at: RunRef) {
    if runs.iter().all(|known| known.object != at.object) {
        runs.push(at);
    }
}

/// The run whose outputs a hit took.
fn source_of(seen: &Seen, run: &Run) -> Option<RunRef> {
    let Cache::Hit { source, object, .. } = &run.cache else { return None };
    let at =
        RunRef { run: source.clone(), object: *object, project: run.project.clone(), scenario: run.scenario.clone() };
    let source = seen.read_run(&at).ok();
    Some(RunRef { scenario: source.map_or(at.scenario, |source| source.scenario), ..at })
}

fn done(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Retract => "retracted",
        MarkKind::Hide => "hidden",
        MarkKind::Scrub => "scrubbed",
    }
}

//! `prov why`.

use prov::object::run::{Cache, Reason, Run, RunKind};
use prov::revspec::{self, Target};
use prov::run::{Nearest, Session};
use serde_json::json;

use super::{Context, plan, run};
use crate::args::WhyArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::{differs, known_failure, milliseconds, reason_line, reasons, shown};
use crate::output::{human, json};

/// Explains a run that was made, or one that was not made yet.
pub(crate) fn run(cx: &Context, args: &WhyArgs) -> Result<Exit, Failure> {
    if args.words.is_empty() { recorded(cx, args) } else { not_made(cx, args) }
}

fn recorded(cx: &Context, args: &WhyArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let mut snapshot = repo.store().snapshot()?;
    let rev = match &args.run {
        None => "@last".to_owned(),
        Some(rev) => {
            rev.to_str().map(ToOwned::to_owned).ok_or_else(|| no_run(&prov::path::shown(rev.as_encoded_bytes())))?
        }
    };
    let at = match revspec::resolve(&repo, &snapshot, repo.scenario(), &cx.cwd, &rev)? {
        Target::Run(at)
        | Target::Artifact(at, _)
        | Target::Outputs(at)
        | Target::Config(at, _)
        | Target::ConfigFolder(at, ..)
        | Target::Code(at, _) => at,
        Target::Object(..) | Target::Path(_) => return Err(no_run(&rev)),
    };
    let most = args.candidates.into();
    let why = super::elsewhere::answer(cx, &repo, &mut snapshot, &mut |snapshot, source| {
        Ok(prov::query::why(snapshot, source, &at, most)?)
    })?;
    let nearest = why.nearest.as_ref();
    if cx.ui.is_json() {
        let mut document = json::document("why");
        document.insert("run".to_owned(), json!(at.run));
        document.insert("outcome".to_owned(), json!(why.run.cache_word()));
        document.insert("nearest".to_owned(), json!(nearest.map(|nearest| &nearest.run)));
        document.insert("reasons".to_owned(), reasons(&why.reasons));
        document.insert("candidates".to_owned(), candidates(&why.candidates));
        document.insert("saved_ms".to_owned(), json!(saved_ms(&why.run)));
        document.insert("others".to_owned(), why.others.iter().map(|other| differs(Some(other))).collect());
        cx.ui.document(document)?;
        return Ok(Exit::Done);
    }
    let step = shown(&why.run.step);
    let id = human::short(why.run.tail(), 8).to_owned();
    match &why.run.cache {
        Cache::Hit { source, .. } => {
            let source = human::short(prov::object::run::tail(source), 8).to_owned();
            let saved =
                saved_ms(&why.run).map_or_else(String::new, |ms| format!(", which took {}", human::duration(ms)));
            cx.ui.line(format_args!("{step} {id} was a hit: it took the results of {source}{saved}"))?;
        }
        Cache::Off if why.run.kind == RunKind::Manual => {
            cx.ui.line(format_args!("{step} {id} was recorded by hand, not executed"))?;
        }
        Cache::Off => cx.ui.line(format_args!("{step} {id} was executed without looking anything up"))?,
        Cache::Miss { .. } => {
            cx.ui.line(format_args!("{step} {id} was executed because"))?;
            lines(cx, &why.reasons)?;
        }
    }
    for other in &why.others {
        cx.ui.line(format_args!(
            "not deterministic: {} of the same recipe made other bytes of {}",
            shown(human::short(prov::object::run::tail(&other.run), 8)),
            other.keys.join(", ")
        ))?;
    }
    compared(cx, &why.candidates)?;
    if let Some(nearest) = nearest.filter(|_| !why.run.is_hit() && why.candidates.is_empty()) {
        cx.ui.say(format_args!("nearest other run: {}", human::short(prov::object::run::tail(&nearest.run), 8)));
    }
    Ok(Exit::Done)
}

fn not_made(cx: &Context, args: &WhyArgs) -> Result<Exit, Failure> {
    let words = plan::run_words("why", &args.words)?;
    let repo = open::untouched(cx)?;
    let request = run::request(cx, &repo, &words)?;
    let bar = cx.ui.bar();
    let session = Session::with_progress(&repo, cx.cwd.clone(), &bar);
    let snapshot = repo.store().snapshot()?;
    let plan = plan::planned(cx, session, &snapshot, &request, args.candidates.into())?;
    drop(bar);
    if cx.ui.is_json() {
        let mut document = json::document("why");
        document.insert("run".to_owned(), serde_json::Value::Null);
        document.insert("outcome".to_owned(), json!(plan::outcome(&plan)));
        document.insert("nearest".to_owned(), json!(plan.nearest.as_ref().map(|nearest| &nearest.run)));
        document.insert("reasons".to_owned(), reasons(&plan.reasons));
        document.insert("candidates".to_owned(), candidates(&plan.candidates));
        plan::put_source(&mut document, &plan);
        document.insert("estimate_ms".to_owned(), json!(plan::estimate_ms(&snapshot, &plan)));
        document.insert("forbidden".to_owned(), json!(plan.forbidden.as_ref().map(|hit| &hit.run.run)));
        document.insert("known_failure".to_owned(), known_failure(plan.known_failure.as_ref()));
        cx.ui.document(document)?;
        return Ok(Exit::Done);
    }
    let step = shown(&plan.prepared.step);
    if let Some(hit) = &plan.hit {
        cx.ui.line(format_args!("{step} would be a hit of {}", human::short(hit.run.tail(), 8)))?;
    } else if let Some(offer) = &plan.offer {
        cx.ui.line(format_args!(
            "{step} would be a hit, {}; without that it would be executed because",
            plan::offered(offer)
        ))?;
        lines(cx, &plan.reasons)?;
    } else {
        cx.ui.line(format_args!("{step} would be executed because"))?;
        lines(cx, &plan.reasons)?;
        plan::failed_before(cx, &plan)?;
    }
    compared(cx, &plan.candidates)?;
    if let Some(nearest) = plan.nearest.as_ref().filter(|_| plan.candidates.is_empty()) {
        cx.ui.say(format_args!("nearest run: {}", human::short(prov::object::run::tail(&nearest.run), 8)));
    }
    Ok(Exit::Done)
}

/// How long what a hit took from had taken.
fn saved_ms(run: &Run) -> Option<u64> {
    match &run.cache {
        Cache::Hit { source_duration_us, .. } => Some(milliseconds(*source_duration_us)),
        _ => None,
    }
}

fn candidates(candidates: &[Nearest]) -> serde_json::Value {
    candidates
        .iter()
        .map(|one| json!({"run": one.run, "object": one.object.to_string(), "reasons": reasons(&one.reasons)}))
        .collect()
}

/// What differs from each of the nearest recipes.
fn compared(cx: &Context, candidates: &[Nearest]) -> Result<(), Failure> {
    for one in candidates {
        cx.ui.line(format_args!("from {}:", human::short(prov::object::run::tail(&one.run), 8)))?;
        lines(cx, &one.reasons)?;
    }
    Ok(())
}

fn lines(cx: &Context, reasons: &[Reason]) -> Result<(), Failure> {
    for reason in reasons {
        cx.ui.line(format_args!("  {}", reason_line(reason)))?;
    }
    Ok(())
}

fn no_run(rev: &str) -> Failure {
    Failure::new(Class::NotFound, "not_found", format!("`{rev}` is no run")).hint("`prov log` lists the runs")
}

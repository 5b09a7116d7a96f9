//! `prov plan`, and `prov run --dry-run`.

use std::ffi::OsString;

use clap::Parser;
use prov::object::run::ReasonKind;
use prov::progress::{Cancel, Silent};
use prov::repo::Repo;
use prov::run::interrupts::Interrupts;
use prov::run::request::Request;
use prov::run::{Offer, Plan, Session};
use prov::store::Snapshot;
use serde_json::{Map, Value, json};

use super::{Context, elsewhere, run};
use crate::args::{Cli, Command, PlanArgs, RunArgs, planned};
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::{known_failure, milliseconds, reason_line, reasons, shown};
use crate::output::{human, json};

/// Says what the words after `--` would do.
pub(crate) fn run(cx: &Context, args: &PlanArgs) -> Result<Exit, Failure> {
    let args = run_words("plan", &args.words)?;
    let repo = open::untouched(cx)?;
    let request = run::request(cx, &repo, &args)?;
    show(cx, &repo, &request, None)
}

/// The arguments of `run` that stand after `plan --` or `why --`.
pub(crate) fn run_words(of: &str, words: &[OsString]) -> Result<Box<RunArgs>, Failure> {
    let parsed = Cli::try_parse_from(std::iter::once(OsString::from("prov")).chain(words.iter().cloned()));
    match parsed {
        Ok(Cli { command: Command::Run(args), .. }) => Ok(args),
        Err(err) if err.use_stderr() && words.first().is_some_and(|word| word == "run") => {
            Err(planned::usage(Some("run"), &err))
        }
        Ok(_) | Err(_) => Err(not_run(of)),
    }
}

fn not_run(of: &str) -> Failure {
    Failure::usage(format!("`prov {of} --` is followed by `run` and its options"))
        .hint(format!("for example: prov {of} -- run -i raw.csv -o clean.csv -- python clean.py"))
}

/// What would come of a request, remotes asked that may give results.
pub(crate) fn planned(
    cx: &Context,
    session: Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    candidates: usize,
) -> Result<Plan, Failure> {
    let tell = elsewhere::teller(cx);
    let remotes = elsewhere::remotes(cx, session.repo, &Silent, Cancel::new(), &tell)?;
    let session = session.with_elsewhere(remotes.as_ref().map(|remotes| remotes as _));
    Ok(prov::run::plan_with(&session, snapshot, request, cx.environment.all(), candidates)?)
}

/// The members of a plan's document that say whose result would be taken.
pub(crate) fn put_source(document: &mut Map<String, Value>, plan: &Plan) {
    let offered = plan.offer.as_ref();
    let source = plan.hit.as_ref().map(|hit| &hit.run.run).or(offered.and_then(|offer| offer.run.as_ref()));
    let saved = plan.hit.as_ref().map(|hit| hit.run.duration_us()).or(offered.and_then(|offer| offer.took_us));
    document.insert("source".to_owned(), json!(source));
    document.insert("remote".to_owned(), json!(offered.map(|offer| &offer.remote)));
    document.insert("saved_ms".to_owned(), json!(saved.map(milliseconds)));
}

/// What a remote would give, in words.
pub(crate) fn offered(offer: &Offer) -> String {
    let what = match &offer.run {
        Some(run) => format!("the results of {} would be taken", shown(human::short(prov::object::run::tail(run), 8))),
        None => "results that are known here would be brought".to_owned(),
    };
    let took =
        offer.took_us.map_or_else(String::new, |us| format!(", which took {}", human::duration(milliseconds(us))));
    format!("{what} from remote {}{took}", shown(&offer.remote))
}

/// Looks at a request and says what would come of it.
pub(crate) fn show(
    cx: &Context,
    repo: &Repo,
    request: &Request,
    interrupts: Option<&Interrupts>,
) -> Result<Exit, Failure> {
    let bar = cx.ui.bar();
    let session = Session::with_progress(repo, cx.cwd.clone(), &bar);
    let session = match interrupts {
        Some(interrupts) => session.cancelled_by(interrupts.cancel()),
        None => session,
    };
    let snapshot = repo.store().snapshot()?;
    let plan = planned(cx, session, &snapshot, request, 0)?;
    drop(bar);
    let estimate = estimate_ms(&snapshot, &plan);
    if cx.ui.is_json() {
        let mut document = json::document("plan");
        document.insert("recipe".to_owned(), json!(plan.prepared.recipe().to_string()));
        document.insert("step".to_owned(), json!(plan.prepared.step));
        document.insert("scenario".to_owned(), json!(plan.prepared.scenario));
        document.insert("outcome".to_owned(), json!(outcome(&plan)));
        put_source(&mut document, &plan);
        document.insert("nearest".to_owned(), json!(plan.nearest.as_ref().map(|nearest| &nearest.run)));
        document.insert("reasons".to_owned(), reasons(&plan.reasons));
        document.insert("estimate_ms".to_owned(), json!(estimate));
        document.insert("forbidden".to_owned(), json!(plan.forbidden.as_ref().map(|hit| &hit.run.run)));
        document.insert("known_failure".to_owned(), known_failure(plan.known_failure.as_ref()));
        cx.ui.document(document)?;
    } else {
        let step = shown(&plan.prepared.step);
        if let Some(hit) = &plan.hit {
            cx.ui.line(format_args!(
                "{} {step}: the results of {} would be taken, which took {}",
                cx.ui.painter().good("hit"),
                human::short(hit.run.tail(), 8),
                human::duration(milliseconds(hit.run.duration_us()))
            ))?;
        } else if let Some(offer) = &plan.offer {
            cx.ui.line(format_args!("{} {step}: {}", cx.ui.painter().good("hit"), offered(offer)))?;
        } else {
            let about = estimate.map_or_else(String::new, |ms| format!(", about {}", human::duration(ms)));
            cx.ui.line(format_args!("{} {step}: it would be executed{about}", cx.ui.painter().strong("miss")))?;
        }
        for reason in &plan.reasons {
            cx.ui.line(format_args!("  {}", reason_line(reason)))?;
        }
        failed_before(cx, &plan)?;
    }
    Ok(Exit::Done)
}

/// Says what the cache mode forbids to take, and that the same recipe failed before.
pub(crate) fn failed_before(cx: &Context, plan: &Plan) -> Result<(), Failure> {
    if let Some(hit) = &plan.forbidden {
        let id = human::short(hit.run.tail(), 8);
        let took = human::duration(milliseconds(hit.run.duration_us()));
        cx.ui.line(format_args!("  without that it would take the results of {id}, which took {took}"))?;
    }
    let Some(known) = &plan.known_failure else { return Ok(()) };
    let id = human::short(prov::object::run::tail(&known.run), 8).to_owned();
    cx.ui.line(format_args!("  it failed before, in {}: {}", shown(id), shown(known.describe())))
}

/// `hit`, `miss`, or `off` when nothing is looked up.
pub(crate) fn outcome(plan: &Plan) -> &'static str {
    match &plan.hit {
        Some(_) => "hit",
        None if plan.offer.is_some() => "hit",
        None if plan.reasons.iter().any(|reason| reason.kind == ReasonKind::Policy) => "off",
        None => "miss",
    }
}

/// What it took the last time; nothing for a hit.
pub(crate) fn estimate_ms(snapshot: &Snapshot, plan: &Plan) -> Option<u64> {
    if plan.hit.is_some() || plan.offer.is_some() {
        return Some(0);
    }
    if let Some(hit) = &plan.forbidden {
        return Some(milliseconds(hit.run.duration_us()));
    }
    let nearest = plan.nearest.as_ref()?;
    let run = prov::revspec::read_run(snapshot, &nearest.run, &nearest.object).ok()?;
    let took = match &run.cache {
        prov::object::run::Cache::Hit { source_duration_us, .. } => *source_duration_us,
        _ => run.duration_us(),
    };
    Some(milliseconds(took))
}

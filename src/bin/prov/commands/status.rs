//! `prov status`.

use prov::progress::{Cancel, Silent};
use prov::query::{PathState, StepState, WorkStatus};
use prov::run::Session;
use prov::run::live::{Entry, State};
use serde_json::{Map, Value, json};

use super::revision::Seen;
use super::{Context, elsewhere};
use crate::args::StatusArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::{self, reason_line, shown};
use crate::output::{human, json};

/// Compares the work tree with what is on record.
pub(crate) fn run(cx: &Context, args: &StatusArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let bar = cx.ui.bar();
    let tell = elsewhere::teller(cx);
    let remotes = elsewhere::remotes(cx, &seen.repo, &Silent, Cancel::new(), &tell)?;
    let session = Session::with_progress(&seen.repo, cx.cwd.clone(), &bar)
        .with_elsewhere(remotes.as_ref().map(|remotes| remotes as _));
    let status = prov::query::status(&session, &seen.snapshot, cx.environment.all())?;
    drop(session);
    drop(bar);
    if cx.ui.is_json() {
        cx.ui.document(document(&status))?;
    } else {
        text(cx, seen.repo.scenario(), &status)?;
    }
    open::complete(&seen.snapshot)?;
    Ok(if args.exit_code && !status.is_clean() { Exit::No } else { Exit::Done })
}

fn step_word(state: StepState) -> &'static str {
    match state {
        StepState::Fresh => "fresh",
        StepState::Stale => "stale",
        StepState::Missing => "missing",
    }
}

fn path_word(state: PathState) -> &'static str {
    match state {
        PathState::Modified => "modified",
        PathState::Missing => "missing",
        PathState::New => "new",
    }
}

fn live_word(entry: &Entry) -> &'static str {
    match entry.state {
        State::Running => "running",
        State::Dead => "dead",
        State::Unknown { .. } => "elsewhere",
        State::Finished { .. } => "waiting",
        State::Damaged { .. } => "damaged",
    }
}

fn document(status: &WorkStatus) -> Map<String, Value> {
    let mut document = json::document("status");
    let steps = status.steps.iter().map(|one| {
        json!({
            "step": one.step,
            "run": one.run,
            "state": step_word(one.state),
            "reasons": record::reasons(&one.reasons),
            "remote": one.remote,
            "others": one.others.iter().map(|other| record::differs(Some(other))).collect::<Value>(),
        })
    });
    document.insert("steps".to_owned(), steps.collect());
    let paths = status.paths.iter().map(|one| {
        let mut map = Map::new();
        json::put_bytes(&mut map, "path", &one.path);
        map.insert("state".to_owned(), json!(path_word(one.state)));
        map.insert("run".to_owned(), json!(one.run));
        Value::Object(map)
    });
    document.insert("paths".to_owned(), paths.collect());
    let live = status.live.iter().map(|entry| {
        let mut map = Map::new();
        map.insert("run".to_owned(), json!(entry.run));
        map.insert("state".to_owned(), json!(live_word(entry)));
        if let Some(intent) = &entry.intent {
            map.insert("step".to_owned(), json!(intent.step));
            map.insert("scenario".to_owned(), json!(intent.scenario));
            map.insert("started_at".to_owned(), json::time(intent.started_at));
            map.insert("host".to_owned(), json!(intent.owner.host));
        }
        Value::Object(map)
    });
    document.insert("live".to_owned(), live.collect());
    document
}

fn text(cx: &Context, scenario: &str, status: &WorkStatus) -> Result<(), Failure> {
    let painter = cx.ui.painter();
    cx.ui.line(format_args!("On scenario {}", painter.strong(shown(scenario))))?;
    if !status.steps.is_empty() {
        cx.ui.line("\nSteps:")?;
    }
    for one in &status.steps {
        let word = format!("{:<8}", step_word(one.state));
        let word = match one.state {
            StepState::Fresh => painter.good(word).to_string(),
            StepState::Stale => painter.warning(word).to_string(),
            StepState::Missing => painter.bad(word).to_string(),
        };
        let tail = prov::object::run::tail(&one.run);
        cx.ui.line(format_args!("  {word}  {}  {}", shown(&one.step), painter.id(shown(human::short(tail, 8)))))?;
        if let Some(remote) = &one.remote {
            cx.ui.line(format_args!(
                "            its result is at remote {}; `prov run` takes it from there",
                shown(remote)
            ))?;
        }
        for reason in &one.reasons {
            cx.ui.line(format_args!("            {}", reason_line(reason)))?;
        }
        for other in &one.others {
            cx.ui.line(format_args!(
                "            not deterministic: {} made other bytes of {}",
                shown(human::short(prov::object::run::tail(&other.run), 8)),
                other.keys.join(", ")
            ))?;
        }
    }
    if !status.paths.is_empty() {
        cx.ui.line("\nPaths that are not as recorded:")?;
    }
    for one in &status.paths {
        cx.ui.line(format_args!("  {:<8}  {}", path_word(one.state), shown(&one.path)))?;
    }
    if !status.live.is_empty() {
        cx.ui.line("\nRuns under way:")?;
    }
    for entry in &status.live {
        let step = entry.intent.as_ref().map_or_else(|| "?".to_owned(), |intent| shown(&intent.step));
        let since = entry
            .intent
            .as_ref()
            .map_or_else(String::new, |intent| format!(", begun {}", human::ago(intent.started_at, cx.clock.now())));
        cx.ui.line(format_args!("  {:<9}  {step}  {}{since}", live_word(entry), shown(&entry.run)))?;
    }
    if status.steps.is_empty() && status.paths.is_empty() && status.live.is_empty() {
        cx.ui.line("\nNothing is on record yet")?;
    } else if status.is_clean() && status.live.is_empty() {
        cx.ui.line("\nEverything is up to date")?;
    }
    Ok(())
}

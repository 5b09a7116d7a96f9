//! From records to a manifest.

use std::cell::Cell;
use std::path::Path;

use serde_json::{Map, Number, Value, json};

use super::root_result;
use crate::clock::Micros;
use crate::codec;
use crate::hash::Id;
use crate::interchange::release::{IMPORTED, Release, Step};
use crate::interchange::{Error, read_run};
use crate::object::Source;
use crate::object::run::{Run, Status};
use crate::pipeline::execute::table::{self, Row, TASK};
use crate::pipeline::rollup::Outcome;

/// Which lines of logs a manifest has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// None.
    None,
    /// Those of tasks that did not end well.
    Failed,
    /// All.
    All,
}

/// Gives the logs of runs, which may be missing where records are not.
struct Logs<'a> {
    source: &'a dyn Source,
    /// The first that was asked for and is not there.
    gone: Cell<Option<Id>>,
}

impl Logs<'_> {
    fn read(&self, id: &Id) -> Result<Option<Vec<u8>>, Error> {
        let found = self.source.read(id)?;
        if found.is_none() {
            self.gone.set(self.gone.get().or(Some(*id)));
        }
        Ok(found.map(|(_, bytes)| bytes))
    }
}

/// The manifest of a release, in Otter's fields and their order. Of a release that is nothing but one imported manifest it is that one.
/// `project` is the folder that records have relative paths in.
///
/// # Errors
/// When a record or a log can't be read. Every log that is wanted was asked for then.
pub fn manifest(
    source: &dyn Source,
    project: &Path,
    release: &Release,
    lines: Lines,
) -> Result<Map<String, Value>, Error> {
    let logs = Logs { source, gone: Cell::new(None) };
    let built = build(&logs, project, release, lines)?;
    logs.gone.get().map_or(Ok(built), |object| Err(Error::Gone { object }))
}

fn build(logs: &Logs<'_>, project: &Path, release: &Release, lines: Lines) -> Result<Map<String, Value>, Error> {
    let mut steps = Map::new();
    for step in &release.steps {
        steps.insert(step.key.clone(), step_of(logs, project, step, lines)?);
    }
    let imported = |run: &&Run| run.meta.contains_key(IMPORTED);
    let mut root = match release.pipelines.iter().rfind(imported) {
        Some(run) => document(logs, run)?,
        None => Map::new(),
    };
    if release.pipelines.len() == 1 && !root.is_empty() {
        if let Some(Value::Object(own)) = root.get_mut("steps") {
            // Those that never ran are there in full.
            for (key, step) in own.iter_mut().filter(|(_, step)| step.is_string()) {
                *step = steps.remove(key).unwrap_or_default();
            }
        }
        return Ok(root);
    }
    if let Some(Value::Object(own)) = root.remove("steps") {
        for (key, step) in own {
            let is_pending = steps.get(&key).is_none_or(|step| super::result_of(step) == Outcome::Pending);
            if is_pending && step.is_object() {
                steps.insert(key, step);
            }
        }
    }
    let started = release.pipelines.iter().map(|run| run.started_at).min().unwrap_or(Micros(0));
    let modified = release.pipelines.iter().map(|run| run.finished_at).max().unwrap_or(started);
    let mut manifest = Map::new();
    manifest.insert("result".to_owned(), json!(root_result(&steps).as_str()));
    manifest.insert("started_at".to_owned(), time(Some(started)));
    manifest.insert("modified_at".to_owned(), time(Some(modified)));
    manifest.insert("log".to_owned(), root.remove("log").unwrap_or_else(|| json!([])));
    manifest.insert("steps".to_owned(), Value::Object(steps));
    for (key, value) in root {
        manifest.entry(key).or_insert(value);
    }
    Ok(manifest)
}

/// The document that an imported record was made of.
fn document(logs: &Logs<'_>, run: &Run) -> Result<Map<String, Value>, Error> {
    let Some(log) = run.logs.get(super::import::DOCUMENT) else { return Ok(Map::new()) };
    let Some(bytes) = logs.read(&log.id)? else { return Ok(Map::new()) };
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

fn time(at: Option<Micros>) -> Value {
    at.map_or(Value::Null, |at| Value::String(at.rfc3339()))
}

/// Seconds between two moments, if both are known.
fn elapsed(from: Option<Micros>, to: Option<Micros>) -> Option<f64> {
    let (from, to) = (from?, to?);
    #[expect(clippy::cast_precision_loss, reason = "285 years of microseconds are exact")]
    let seconds = to.0.saturating_sub(from.0) as f64 / 1e6;
    Some(seconds)
}

fn seconds(seconds: Option<f64>) -> Value {
    seconds.and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

fn step_of(logs: &Logs<'_>, root: &Path, step: &Step, lines: Lines) -> Result<Value, Error> {
    let Some(run) = &step.run else {
        return Ok(json!({
            "name": step.name, "result": "pending", "started_run_at": null, "finished_run_at": null, "log": [],
            "tasks": [], "artifacts": [], "failure_reason": null, "elapsed": null,
        }));
    };
    if run.meta.contains_key(IMPORTED) {
        return Ok(Value::Object(document(logs, run)?));
    }
    let rows = table::rows_of(run);
    let (mut tasks, mut made) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.was_started()) {
        let own = match row.run.as_ref().and_then(|name| run.children.get(name)) {
            Some(object) => Some(read_run(logs.source, object)?),
            None => None,
        };
        let artifacts = own.as_ref().map(|run| artifacts_of(root, run)).unwrap_or_default();
        tasks.push(task_of(logs, &rows, row, own.as_ref(), &artifacts, lines)?);
        made.push((row.order, at, artifacts));
    }
    // In the order in which tasks were over.
    made.sort_by_key(|(order, at, _)| (order.is_none(), *order, *at));
    let artifacts: Vec<Value> = made.into_iter().flat_map(|(.., artifacts)| artifacts).collect();
    let result = if run.status == Status::Success { Outcome::Success } else { Outcome::Failure };
    let failed = rows.iter().filter(|row| row.end == "failure").max_by_key(|row| row.order);
    let reason =
        failed.and_then(|row| row.reason.clone()).or_else(|| run.error.as_ref().map(|err| err.message.clone()));
    Ok(json!({
        "name": step.name,
        "result": result.as_str(),
        "started_run_at": time(Some(run.started_at)),
        "finished_run_at": time(Some(run.finished_at)),
        "log": [],
        "tasks": tasks,
        "artifacts": artifacts,
        "failure_reason": reason.filter(|_| result == Outcome::Failure),
        "elapsed": seconds(elapsed(Some(run.started_at), Some(run.finished_at))),
    }))
}

/// The word of a manifest for how a row ended.
fn outcome_of(row: &Row) -> Outcome {
    match row.end.as_str() {
        "success" | "hit" => Outcome::Success,
        "failure" => Outcome::Failure,
        "aborted" => Outcome::Aborted,
        _ => Outcome::Pending,
    }
}

fn task_of(
    logs: &Logs<'_>,
    rows: &[Row],
    row: &Row,
    own: Option<&Run>,
    artifacts: &[Value],
    lines: Lines,
) -> Result<Value, Error> {
    let outcome = outcome_of(row);
    let has_run = outcome == Outcome::Success || row.phase.as_deref().is_some_and(|phase| phase != "run");
    let started = row.started_at;
    let validation = own.filter(|_| row.end != "hit").and_then(|run| {
        let from = run.validation_started_at?;
        Some((from, run.validation_finished_at.filter(|_| outcome == Outcome::Success)))
    });
    // A run's end includes its validation; by itself it ended where that began.
    let finished = validation.map(|(from, _)| from).or(row.finished_at).filter(|_| has_run);
    let (validation_from, validation_to) = match (validation, outcome) {
        (Some((from, to)), _) => (Some(from), to),
        // There was nothing to validate: that took no time.
        (None, Outcome::Success) => (finished, finished),
        (None, _) => (None, None),
    };
    let wants_log = lines == Lines::All || lines == Lines::Failed && outcome != Outcome::Success;
    let log = if wants_log && row.end != "hit" { own.map(|run| log_of(logs, run)).transpose()? } else { None };
    let (run_elapsed, validation_elapsed) = (elapsed(started, finished), elapsed(validation_from, validation_to));
    let names = |numbers: &[u64]| {
        let name = |at: &u64| usize::try_from(*at).ok().and_then(|at| rows.get(at)).map(|row| row.name.clone());
        numbers.iter().filter_map(name).collect::<Vec<_>>()
    };
    Ok(json!({
        "name": row.name,
        "result": outcome.as_str(),
        "started_run_at": time(started),
        "finished_run_at": time(finished),
        "started_validation_at": time(validation_from),
        "finished_validation_at": time(validation_to),
        "log": log.unwrap_or_default(),
        "artifacts": artifacts,
        "failure_reason": row.reason.as_ref().filter(|_| outcome != Outcome::Success),
        "prov": {
            "run": row.run,
            "end": row.end,
            "parent": names(&row.parent.into_iter().collect::<Vec<_>>()).pop(),
            "after": names(&row.after),
            "tries": row.tries.unwrap_or(1),
        },
        "run_elapsed": seconds(run_elapsed),
        "validation_elapsed": seconds(validation_elapsed),
        "elapsed": seconds(run_elapsed.zip(validation_elapsed).map(|(run, validation)| run + validation)),
    }))
}

/// What a task made: as it said itself, else as its record has it.
fn artifacts_of(root: &Path, run: &Run) -> Vec<Value> {
    if let Some(codec::Value::List(said)) = run.meta.get(TASK).and_then(|task| task.get("artifacts")) {
        return said.iter().map(artifact).collect();
    }
    if run.outputs.is_empty() {
        return Vec::new();
    }
    let places = |paths: Vec<String>| match paths.len() {
        1 => paths.into_iter().next().map_or(Value::Null, Value::String),
        _ => json!(paths),
    };
    // Records have paths of the project relative to it, manifests all of them absolute.
    let shown = |path: &bstr::BString| crate::path::show(&root.join(crate::path::from_bytes(path)));
    let sources = run.inputs.values().map(|input| shown(&input.path)).collect();
    let destinations = run.outputs.values().map(|output| shown(&output.path)).collect();
    vec![json!({ "source": places(sources), "destination": places(destinations) })]
}

/// The lines of a task's own log.
fn log_of(logs: &Logs<'_>, run: &Run) -> Result<Vec<String>, Error> {
    let Some(log) = run.logs.get("log") else { return Ok(Vec::new()) };
    let Some(bytes) = logs.read(&log.id)? else { return Ok(Vec::new()) };
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

/// A stored value as JSON. Bytes become text of hexadecimal digits, as everywhere in configurations.
fn to_json(value: &codec::Value) -> Value {
    serde_json::from_str(&crate::config::to_json(value)).unwrap_or_default()
}

/// An artifact as JSON: records keep maps by key, manifests have the source first.
fn artifact(said: &codec::Value) -> Value {
    let Value::Object(mut fields) = to_json(said) else { return Value::Null };
    let mut ordered = Map::new();
    for key in ["source", "destination"] {
        ordered.extend(fields.shift_remove(key).map(|value| (key.to_owned(), value)));
    }
    ordered.append(&mut fields);
    Value::Object(ordered)
}

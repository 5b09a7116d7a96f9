//! From a manifest to records.
//!
//! Each step that ran becomes the record of a step, with a row for each of its tasks, under one record of a pipeline. The ids of these
//! runs are made of what the manifest says, so that the same step is the same run whenever it is read. What prov has no place for is
//! kept as it was written, in a document beside the record, and comes out again with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::result_of;
use crate::clock::{Micros, Random};
use crate::codec;
use crate::hash::{self, Id};
use crate::interchange::Error;
use crate::interchange::release::IMPORTED;
use crate::object::run::{Log, Run, RunError, RunKind, Status};
use crate::object::{Kind, Sink, id_of};
use crate::pipeline::execute::table::{self, PIPELINE, Row, TASKS};
use crate::pipeline::rollup::Outcome;
use crate::refs::key;
use crate::repo::Repo;
use crate::run::{name, record};
use crate::store::{Draft, Snapshot};

/// The log of a record that holds the document it was made of.
pub(super) const DOCUMENT: &str = "otter-manifest";

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The run id of the pipeline's record.
    pub run: String,
    /// Whether that record is new.
    pub is_new: bool,
    /// Steps that were added.
    pub added: usize,
    /// Steps that were on record already.
    pub known: usize,
    /// Steps that never ran, of which there is no record.
    pub pending: usize,
    /// Tasks of the steps that were added.
    pub tasks: usize,
}

/// A manifest's object. Of a key that stands twice the last one counts; keys that are not known are kept.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    let refuse = |problem: String| Error::NotAManifest { file: file.to_owned(), problem };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let root: Value = serde_json::from_slice(bytes).map_err(|err| refuse(format!("it is no JSON: {err}")))?;
    let Value::Object(root) = root else { return Err(refuse("it is no manifest: it is no JSON object".to_owned())) };
    let Some(Value::Object(steps)) = root.get("steps") else {
        return Err(refuse("it is no manifest: it has no map of `steps`".to_owned()));
    };
    for (key, step) in steps {
        let refuse = |what: &str| refuse(format!("step `{key}`: {what}"));
        let Value::Object(step) = step else { return Err(refuse("it is no map")) };
        let check = |of: &Map<String, Value>| match of.get("result") {
            None => Ok(()),
            Some(Value::String(word)) if Outcome::of(word).is_some() => Ok(()),
            Some(other) => Err(refuse(&format!("{other} is no result"))),
        };
        check(step)?;
        match step.get("tasks") {
            None => {}
            Some(Value::Array(tasks)) => {
                for task in tasks {
                    let Value::Object(task) = task else { return Err(refuse("a task is no map")) };
                    if !task.get("name").is_some_and(Value::is_string) {
                        return Err(refuse("a task has no `name`"));
                    }
                    check(task)?;
                }
            }
            Some(_) => return Err(refuse("`tasks` is no list")),
        }
    }
    Ok(root)
}

fn time(of: &Value, key: &str) -> Option<Micros> {
    of.get(key).and_then(Value::as_str).and_then(Micros::parse)
}

fn text(of: &Value, key: &str) -> Option<String> {
    of.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Gives the same bytes every time: those of a digest.
#[derive(Debug)]
struct Fixed(Id);

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(self.0.digest().iter().cycle()) {
            *to = *from;
        }
    }
}

/// A run that is known by what it was made of.
fn begun(repo: &Repo, kind: RunKind, step: &str, at: Micros, place: &str, what: &[u8]) -> Run {
    let mut all = Vec::new();
    for part in [repo.project(), repo.scenario(), place, step] {
        all.extend_from_slice(part.as_bytes());
        all.push(0);
    }
    all.extend_from_slice(what);
    let digest = hash::derived("prov 2026-11 a record of an imported manifest", &all);
    Run::begun(&name::run_id(at, step, &Fixed(digest)), repo.project(), repo.scenario(), kind, step, at)
}

/// The name of a step's runner: what its key has before its name.
fn runner_of(key: &str, name: &str) -> String {
    key.strip_suffix(name).and_then(|runner| runner.strip_suffix('_')).unwrap_or_default().to_owned()
}

/// Makes records of the manifest in `bytes`, for the release at `place`. What is on record already is not added again.
///
/// # Errors
/// When it is no manifest, or the store can't be written.
pub fn import(repo: &Repo, file: &Path, bytes: &[u8], place: &str) -> Result<Imported, Error> {
    let mut root = parse(file, bytes)?;
    let snapshot = repo.store().snapshot()?;
    let root_value = Value::Object(root.clone());
    let started = time(&root_value, "started_at").unwrap_or(Micros(0));
    let modified = time(&root_value, "modified_at").unwrap_or(started);

    let mut made = Made { runs: Vec::new(), blobs: Vec::new() };
    let (mut children, mut runners, mut declared) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut imported = Imported { run: String::new(), is_new: false, added: 0, known: 0, pending: 0, tasks: 0 };
    for (key, step) in root.get_mut("steps").and_then(Value::as_object_mut).into_iter().flatten() {
        let step_name = text(step, "name").unwrap_or_else(|| key.clone());
        let runner = runner_of(key, &step_name);
        let outcome = result_of(step);
        let one = [("key", key.clone()), ("name", step_name.clone()), ("result", outcome.as_str().to_owned())];
        declared.push(codec::Value::Map(one.map(|(key, text)| (key.to_owned(), codec::Value::Text(text))).into()));
        if !runners.contains(&runner) {
            runners.push(runner.clone());
        }
        if outcome == Outcome::Pending {
            imported.pending += 1;
            continue;
        }
        let document = step.to_string().into_bytes();
        let run = step_run(repo, key, &runner, &step_name, step, started, place, &document);
        *step = Value::String(run.run.clone());
        let object = match on_record(&snapshot, &run.run)? {
            Some(object) => {
                imported.known += 1;
                object
            }
            None => {
                imported.added += 1;
                imported.tasks += table::rows_of(&run).len();
                made.blobs.push(document);
                made.add(&run)?
            }
        };
        children.insert(run.run.clone(), object);
    }

    let document = Value::Object(root).to_string().into_bytes();
    let step = match runners.as_slice() {
        [one] if !one.is_empty() => one.clone(),
        _ => "otter".to_owned(),
    };
    let mut run = begun(repo, RunKind::Pipeline, &step, started, place, &document);
    imported.run.clone_from(&run.run);
    if on_record(&snapshot, &run.run)?.is_some() {
        return Ok(imported);
    }
    imported.is_new = true;
    run.finished_at = modified.max(started);
    run.status = match result_of(&root_value) {
        Outcome::Success => Status::Success,
        Outcome::Aborted => Status::Aborted,
        Outcome::Failure | Outcome::Pending => Status::Failure,
    };
    run.children = children;
    run.logs.insert(DOCUMENT.to_owned(), log_of(&document));
    let texts = |pairs: &[(&str, &str)]| {
        let one = |(key, text): &(&str, &str)| ((*key).to_owned(), codec::Value::Text((*text).to_owned()));
        codec::Value::Map(pairs.iter().map(one).collect())
    };
    let file = crate::path::show(file);
    let about = [("file", file.as_str()), ("flavour", "otter"), ("runner", step.as_str()), ("work_path", place)];
    run.meta.insert(PIPELINE.to_owned(), texts(&about));
    run.meta.insert("steps".to_owned(), codec::Value::List(declared));
    run.meta.insert(IMPORTED.to_owned(), texts(&[("from", DOCUMENT)]));
    made.blobs.push(document);
    made.add(&run)?;
    made.publish(repo, &snapshot)?;
    Ok(imported)
}

fn log_of(document: &[u8]) -> Log {
    Log { id: hash::blob(document), size: document.len() as u64, cut: false }
}

/// The object of a run that is on record.
fn on_record(snapshot: &Snapshot, run: &str) -> Result<Option<Id>, Error> {
    let Some(value) = snapshot.get_ref(&key::id(run))? else { return Ok(None) };
    let place: crate::repo::entry::RunPlace = crate::repo::entry::decode(&value)?;
    Ok(Some(place.object))
}

#[expect(clippy::too_many_arguments, reason = "one caller, which has just taken them apart")]
fn step_run(
    repo: &Repo,
    key: &str,
    runner: &str,
    step_name: &str,
    step: &Value,
    root_started: Micros,
    place: &str,
    document: &[u8],
) -> Run {
    let started = time(step, "started_run_at").unwrap_or(root_started);
    let mut keyed = key.as_bytes().to_vec();
    keyed.push(0);
    keyed.extend_from_slice(document);
    let mut run = begun(repo, RunKind::Step, step_name, started, place, &keyed);
    run.finished_at = time(step, "finished_run_at").unwrap_or(started).max(started);
    run.status = match result_of(step) {
        Outcome::Success => Status::Success,
        Outcome::Aborted => Status::Aborted,
        Outcome::Failure | Outcome::Pending => Status::Failure,
    };
    let tasks = step.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Row> = tasks.iter().map(row_of).collect();
    if run.status != Status::Success {
        let message = text(step, "failure_reason").unwrap_or_default();
        run.error = Some(RunError { kind: "task".to_owned(), message, run: None });
        if let Some(row) = rows.iter().rfind(|row| row.end == "failure") {
            let label = format!("{step_name}/{}", row.name);
            run.meta.insert("failed_task".to_owned(), codec::Value::Text(label));
        }
    }
    run.meta.insert(TASKS.to_owned(), table::to_value(rows));
    let about = [("from", DOCUMENT), ("key", key), ("runner", runner)];
    let about = about.map(|(key, text)| (key.to_owned(), codec::Value::Text(text.to_owned())));
    run.meta.insert(IMPORTED.to_owned(), codec::Value::Map(about.into()));
    run.logs.insert(DOCUMENT.to_owned(), log_of(document));
    run
}

fn row_of(task: &Value) -> Row {
    let name = text(task, "name").unwrap_or_default();
    let outcome = result_of(task);
    let (ran, validated) = (time(task, "finished_run_at"), time(task, "finished_validation_at"));
    let phase = match (outcome, ran) {
        (Outcome::Failure, Some(_)) => Some("validation"),
        (Outcome::Failure, None) => Some("run"),
        _ => None,
    };
    Row {
        task_type: name.split(' ').next().unwrap_or_default().to_owned(),
        name,
        end: outcome.as_str().to_owned(),
        phase: phase.map(str::to_owned),
        parent: None,
        after: Vec::new(),
        run: None,
        started_at: time(task, "started_run_at"),
        finished_at: ran,
        done_at: validated.or(ran),
        order: None,
        tries: None,
        reason: text(task, "failure_reason").filter(|_| outcome == Outcome::Failure),
        checks: None,
        spec: None,
        scratchpad: BTreeMap::new(),
    }
}

/// Records that are to be published together.
struct Made {
    runs: Vec<(Run, Id, Vec<u8>)>,
    blobs: Vec<Vec<u8>>,
}

impl Made {
    fn add(&mut self, run: &Run) -> Result<Id, Error> {
        let bytes = run.encode()?;
        let object = id_of(&Kind::RUN, &bytes);
        self.runs.push((run.clone(), object, bytes));
        Ok(object)
    }

    fn publish(self, repo: &Repo, snapshot: &Snapshot) -> Result<(), Error> {
        let intake = repo.store().intake(snapshot);
        for blob in &self.blobs {
            intake.put(&Kind::BLOB, &hash::blob(blob), blob)?;
        }
        for (_, object, bytes) in &self.runs {
            intake.put(&Kind::RUN, object, bytes)?;
        }
        let collected = Arc::new(intake.finish()?);
        repo.store().publish(repo.new_op(), "import", &mut |snapshot| -> Result<Option<Draft>, Error> {
            let mut edits = Vec::new();
            for (run, object, _) in &self.runs {
                edits.extend(record::edits(snapshot, run, *object)?);
            }
            let mut seen = std::collections::HashSet::new();
            edits.reverse();
            edits.retain(|edit: &crate::store::RefEdit| seen.insert(edit.key.clone()));
            Ok(Some(Draft { collected: Some(Arc::clone(&collected)), edits, ..Draft::default() }))
        })?;
        Ok(())
    }
}

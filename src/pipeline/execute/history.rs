//! What is on record of earlier runs of a pipeline and its steps.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::table::{self, Row};
use crate::hash::Id;
use crate::object::run::{Run, RunKind};
use crate::object::{Record, RunRecord, Source};
use crate::query::{self, LogOptions};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, StepRun};
use crate::store::{Direction, Snapshot};

/// Runs of one name that are looked at for one of a step.
const LOOKED_AT: usize = 32;

/// The newest run of a pipeline in the current scenario that `wanted` wants, with its object.
///
/// # Errors
/// When the store can't be read.
pub fn newest_pipeline(
    repo: &Repo,
    snapshot: &Snapshot,
    wanted: &mut dyn FnMut(&Run) -> bool,
) -> Result<Option<(Run, Id)>, query::Error> {
    let mut found = None;
    let options = LogOptions { hits: true, ..LogOptions::default() };
    query::log(repo, snapshot, &options, &mut |logged| {
        if logged.line.kind == RunKind::Pipeline
            && let Some(run) = read(snapshot, &logged.line.object)
            && wanted(&run)
        {
            found = Some((run, logged.line.object));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The record of a run; `None` if it can't be read.
pub fn read(snapshot: &Snapshot, object: &Id) -> Option<Run> {
    let (_, bytes) = snapshot.read(object).ok().flatten()?;
    RunRecord::decode(&bytes).ok()?.whole::<query::Error>(snapshot).ok()
}

/// The records of the steps of a pipeline's run, in the order in which they began.
pub fn steps_of(snapshot: &Snapshot, pipeline: &Run) -> Vec<Run> {
    let mut steps: Vec<Run> = pipeline.children.values().filter_map(|object| read(snapshot, object)).collect();
    steps.retain(|step| step.kind == RunKind::Step);
    steps.sort_by(|a, b| (a.started_at, &a.run).cmp(&(b.started_at, &b.run)));
    steps
}

/// What the newest record of a step says of its tasks, by name.
#[derive(Debug, Default)]
pub struct LastStep {
    /// The rows.
    pub rows: HashMap<String, Row>,
    /// The objects of the tasks' runs.
    pub objects: HashMap<String, Id>,
}

impl LastStep {
    /// Of the step of this name, in the current scenario first. Empty if there is none: nothing depends on there being one.
    pub fn of(repo: &Repo, snapshot: &Snapshot, name: &str) -> Self {
        let mut other = None;
        for item in snapshot.scan(&key::steps_of(repo.project(), name), Direction::Forward).take(LOOKED_AT) {
            let Ok((_, value)) = item else { break };
            let Ok(run) = entry::decode::<StepRun>(&value) else { continue };
            if run.recipe.is_some() {
                continue;
            }
            let Some(found) = read(snapshot, &run.object).filter(|run| run.kind == RunKind::Step) else { continue };
            let rows = table::rows_of(&found);
            if rows.is_empty() {
                // One that was killed.
                continue;
            }
            if run.scenario == repo.scenario() {
                return Self::from(found, rows);
            }
            other = other.or(Some((found, rows)));
        }
        other.map(|(found, rows)| Self::from(found, rows)).unwrap_or_default()
    }

    fn from(step: Run, rows: Vec<Row>) -> Self {
        let rows = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
        Self { rows, objects: step.children.into_iter().collect() }
    }

    /// The record of a task's last run, if there is one.
    pub fn run_of(&self, snapshot: &Snapshot, task: &str) -> Option<Run> {
        let run = self.rows.get(task)?.run.as_ref()?;
        read(snapshot, self.objects.get(run)?)
    }
}

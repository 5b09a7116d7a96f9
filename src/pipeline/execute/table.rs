//! The tasks of a step as its record lists them.
//!
//! The list stands in the record's remark [`TASKS`], one row for each task of the step in the order of the plan. What a task of its own
//! run says is in that run's record, under [`TASK`]; a row says what that record can't: how it ended in this run of the step, and of a hit
//! whose result it took.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Micros;
use crate::codec::{self, Value};
use crate::object::run::Run;
use crate::pipeline::state::{End, Phase, State};

/// The remark of a step's record that has its tasks.
pub const TASKS: &str = "tasks";
/// The remark of a task's record that says what it is.
pub const TASK: &str = "task";
/// The remark of the record of a whole pipeline.
pub const PIPELINE: &str = "pipeline";
/// The remark of the record of a step.
pub const STEP: &str = "pipeline_step";

/// One task of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub task_type: String,
    /// How it ended: `success`, `hit`, `failure`, `aborted`, `blocked`; `pending` if it was never started, `left_out` if it was not
    /// selected.
    pub end: String,
    /// The phase in which it failed: `build`, `run`, `validation`, `subtasks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The row of the task that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// The rows of the tasks of this step that it waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u64>,
    /// Its run: for a hit without a record of its own, the run whose result it took. A child of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// When it began, in this run of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Micros>,
    /// When its run, or its look-up, ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Micros>,
    /// When it was over: validated, and all it made done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Micros>,
    /// Its place among the tasks of the whole run that are over, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// How often it was tried, if more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// Why it did not end well, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of its list of checks, which what it made has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<String>,
    /// Of a task without a run of its own: what it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// Scratchpad keys that it provided.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scratchpad: BTreeMap<String, Value>,
}

impl Row {
    /// Whether it counts among the tasks of the step's manifest: it was started.
    pub fn was_started(&self) -> bool {
        self.started_at.is_some()
    }
}

/// The word of a state in rows.
pub fn end_word(state: State) -> (&'static str, Option<&'static str>) {
    match state {
        State::Done(End::Success) => ("success", None),
        State::Done(End::Hit) => ("hit", None),
        State::Done(End::Failure(phase)) => ("failure", Some(phase_word(phase))),
        State::Done(End::Aborted) => ("aborted", None),
        State::Done(End::Blocked) => ("blocked", None),
        _ => ("pending", None),
    }
}

/// The word of a phase in rows.
pub fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Build => "build",
        Phase::Run => "run",
        Phase::Validation => "validation",
        Phase::Subtasks => "subtasks",
    }
}

/// The rows as the remark.
///
/// # Errors
/// When they can't be encoded.
pub fn to_value(rows: &[Row]) -> Result<Value, codec::Error> {
    codec::to_value(rows)
}

/// The rows of a step's record; none if it has no list or one of a form that is not known.
pub fn rows_of(step: &Run) -> Vec<Row> {
    step.meta.get(TASKS).and_then(|value| codec::from_value(value).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_from_their_value() {
        let row = Row {
            name: "copy a".to_owned(),
            task_type: "copy".to_owned(),
            end: "failure".to_owned(),
            phase: Some("run".to_owned()),
            parent: Some(0),
            after: vec![1, 2],
            run: Some("r".to_owned()),
            started_at: Some(Micros(1)),
            finished_at: Some(Micros(2)),
            done_at: None,
            order: Some(7),
            tries: Some(2),
            reason: Some("no".to_owned()),
            checks: None,
            spec: None,
            scratchpad: BTreeMap::from([("k".to_owned(), Value::Int(1))]),
        };
        let value = to_value(std::slice::from_ref(&row)).unwrap();
        assert_eq!(codec::from_value::<Vec<Row>>(&value).unwrap(), [row]);
    }
}

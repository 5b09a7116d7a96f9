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

    /// Its fields in the order of the format.
    fn into_value(self) -> Value {
        let number = |number: u64| Value::Int(number.into());
        let time = |time: Micros| Value::Int(time.0.into());
        let after = (!self.after.is_empty()).then(|| Value::List(self.after.into_iter().map(number).collect()));
        let mut values: Vec<(String, Value)> = self.scratchpad.into_iter().collect();
        // A shorter key comes before a longer one.
        values.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        let fields = [
            ("end", Some(Value::Text(self.end))),
            ("run", self.run.map(Value::Text)),
            ("name", Some(Value::Text(self.name))),
            ("spec", self.spec),
            ("type", Some(Value::Text(self.task_type))),
            ("after", after),
            ("order", self.order.map(number)),
            ("phase", self.phase.map(Value::Text)),
            ("tries", self.tries.map(|tries| number(tries.into()))),
            ("checks", self.checks.map(Value::Text)),
            ("parent", self.parent.map(number)),
            ("reason", self.reason.map(Value::Text)),
            ("done_at", self.done_at.map(time)),
            ("scratchpad", (!values.is_empty()).then_some(Value::Map(values))),
            ("started_at", self.started_at.map(time)),
            ("finished_at", self.finished_at.map(time)),
        ];
        Value::Map(fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
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

/// The rows as the remark: what [`codec::to_value`] makes of them, without a way through bytes.
pub fn to_value(rows: Vec<Row>) -> Value {
    Value::List(rows.into_iter().map(Row::into_value).collect())
}

/// The rows of a step's record; none if it has no list or one of a form that is not known.
pub fn rows_of(step: &Run) -> Vec<Row> {
    step.meta.get(TASKS).and_then(|value| codec::from_value(value).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_value_that_their_encoding_is_and_come_back_from_it() {
        let whole = Row {
            name: "copy a".to_owned(),
            task_type: "copy".to_owned(),
            end: "failure".to_owned(),
            phase: Some("run".to_owned()),
            parent: Some(0),
            after: vec![1, 2],
            run: Some("r".to_owned()),
            started_at: Some(Micros(1)),
            finished_at: Some(Micros(2)),
            done_at: Some(Micros(3)),
            order: Some(7),
            tries: Some(2),
            reason: Some("no".to_owned()),
            checks: Some("c".to_owned()),
            spec: Some(Value::Map(vec![("a".to_owned(), Value::Null)])),
            scratchpad: BTreeMap::from([
                ("kk".to_owned(), Value::Int(1)),
                ("l".to_owned(), Value::Bool(true)),
                ("k".to_owned(), Value::List(Vec::new())),
            ]),
        };
        let least = Row {
            phase: None,
            parent: None,
            after: Vec::new(),
            run: None,
            started_at: None,
            finished_at: None,
            done_at: None,
            order: None,
            tries: None,
            reason: None,
            checks: None,
            spec: None,
            scratchpad: BTreeMap::new(),
            ..whole.clone()
        };
        let rows = vec![whole, least];
        let value = to_value(rows.clone());
        assert_eq!(codec::to_value(&rows).unwrap(), value);
        assert_eq!(codec::from_value::<Vec<Row>>(&value).unwrap(), rows);
    }
}

//! The records of a whole pipeline and of its steps.

use std::collections::BTreeMap;

use super::table::{self, Row};
use super::work::Ended;
use super::{Order, Selection};
use crate::clock::Micros;
use crate::codec::Value;
use crate::hash::Id;
use crate::object::run::{Run, RunError, RunKind, Status};
use crate::pipeline::file::Options;
use crate::pipeline::plan::{Plan, TaskId, Why};
use crate::pipeline::rollup::{self, Outcome, Progress};
use crate::pipeline::state::{End, State};
use crate::repo::Repo;
use crate::run::name;

/// What is known of a task in this run.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) run: Option<(String, Id)>,
    pub(super) started_at: Option<Micros>,
    pub(super) finished_at: Option<Micros>,
    pub(super) done_at: Option<Micros>,
    pub(super) order: Option<u64>,
    pub(super) error: Option<RunError>,
    pub(super) provided: Vec<(String, Value)>,
    pub(super) checks: Option<String>,
    pub(super) spec: Option<Value>,
}

impl Known {
    /// Takes in how it ended.
    pub(super) fn take(&mut self, ended: &mut Ended) {
        self.run = ended.run.take().or_else(|| self.run.take());
        self.started_at.get_or_insert(ended.started_at);
        self.finished_at = Some(ended.finished_at);
        self.error.clone_from(&ended.error);
        self.provided.clone_from(&ended.provided);
        self.checks.clone_from(&ended.checks);
    }
}

/// The record of a whole pipeline as it begins.
pub(super) fn pipeline(repo: &Repo, plan: &Plan, options: &Options, order: &Order) -> Run {
    let now = repo.now();
    let step = options.runner.value.clone();
    let run = order.run_id.clone().unwrap_or_else(|| name::run_id(now, &step, &*repo.world().random));
    let scenario = repo.scenario();
    let mut draft = Run {
        argv: order.words.clone(),
        attempt: order.attempt,
        correlation_id: order.correlation_id.clone(),
        parent: order.parent.clone(),
        host: Some(repo.world().host.clone()),
        author: repo.world().author.clone(),
        ..Run::begun(&run, repo.project(), scenario, RunKind::Pipeline, &step, now)
    };
    let text = |text: &str| Value::Text(text.to_owned());
    let mut about = vec![
        ("file".to_owned(), text(&crate::path::show(&order.file))),
        ("flavour".to_owned(), text(plan.flavour.as_str())),
        ("runner".to_owned(), text(&options.runner.value)),
        ("work_path".to_owned(), text(&crate::path::show(&options.work_path.value))),
        ("log_level".to_owned(), text(&options.log_level.value)),
        ("jobs".to_owned(), Value::Int(i128::try_from(order.jobs).unwrap_or(0))),
        ("last_attempt".to_owned(), Value::Bool(order.is_last_attempt)),
    ];
    if let Some(uri) = &options.release_uri {
        about.push(("release_uri".to_owned(), text(&uri.value)));
    }
    if let Some(selection) = selection(&order.selection, &options.steps.value) {
        about.push(("selection".to_owned(), selection));
    }
    draft.meta.insert(table::PIPELINE.to_owned(), Value::Map(about));
    draft
}

/// What was selected, if it is not everything.
fn selection(selection: &Selection, steps: &[String]) -> Option<Value> {
    let list = |texts: &[String]| Value::List(texts.iter().map(|text| Value::Text(text.clone())).collect());
    let mut entries = Vec::new();
    for (key, texts) in
        [("steps", steps), ("tasks", &selection.tasks), ("from", &selection.from), ("until", &selection.until)]
    {
        if !texts.is_empty() {
            entries.push((key.to_owned(), list(texts)));
        }
    }
    (!entries.is_empty()).then_some(Value::Map(entries))
}

/// The record of a step as it begins.
pub(super) fn step(repo: &Repo, pipeline: &Run, name: &str) -> Run {
    let now = repo.now();
    let run = name::run_id(now, name, &*repo.world().random);
    Run {
        attempt: pipeline.attempt,
        correlation_id: pipeline.correlation_id.clone(),
        parent: Some(pipeline.run.clone()),
        host: pipeline.host.clone(),
        author: pipeline.author.clone(),
        ..Run::begun(&run, repo.project(), repo.scenario(), RunKind::Step, name, now)
    }
}

/// How it stands with the tasks of a step.
pub(super) struct Standing<'a> {
    pub(super) plan: &'a Plan,
    pub(super) known: &'a [Known],
    pub(super) state: &'a dyn Fn(TaskId) -> State,
    pub(super) is_selected: &'a dyn Fn(TaskId) -> bool,
    pub(super) tries: &'a dyn Fn(TaskId) -> u32,
    pub(super) blocked_by: &'a dyn Fn(TaskId) -> Option<TaskId>,
}

impl Standing<'_> {
    /// The rows of a step.
    pub(super) fn rows(&self, number: usize) -> Vec<Row> {
        let tasks = &self.plan.steps[number].tasks;
        let at: BTreeMap<TaskId, u64> = tasks.iter().copied().zip(0..).collect();
        let mut after: BTreeMap<TaskId, Vec<u64>> = BTreeMap::new();
        for edge in self.plan.edges.iter().filter(|edge| edge.is_obeyed && edge.why != Why::Made) {
            if let (Some(from), true) = (at.get(&edge.from), at.contains_key(&edge.to)) {
                after.entry(edge.to).or_default().push(*from);
            }
        }
        tasks.iter().map(|id| self.row(*id, &at, after.remove(id).unwrap_or_default())).collect()
    }

    fn row(&self, id: TaskId, at: &BTreeMap<TaskId, u64>, mut after: Vec<u64>) -> Row {
        after.sort_unstable();
        after.dedup();
        let task = self.plan.task(id);
        let known = &self.known[id.0];
        let (end, phase) = if (self.is_selected)(id) { table::end_word((self.state)(id)) } else { ("left_out", None) };
        let reason = match &known.error {
            Some(error) if end != "success" && end != "hit" => {
                Some(error.message.lines().next().unwrap_or_default().to_owned())
            }
            _ => (self.blocked_by)(id)
                .filter(|_| end == "blocked")
                .map(|by| format!("{} did not end well", self.plan.label(by))),
        };
        Row {
            name: task.name.clone(),
            task_type: task.task_type.clone(),
            end: end.to_owned(),
            phase: phase.map(ToOwned::to_owned),
            parent: task.parent.and_then(|parent| at.get(&parent).copied()),
            after,
            run: known.run.as_ref().map(|(run, _)| run.clone()),
            started_at: known.started_at,
            finished_at: known.finished_at,
            done_at: known.done_at,
            order: known.order,
            tries: Some((self.tries)(id)).filter(|tries| *tries > 1),
            reason,
            checks: known.checks.clone(),
            spec: known.spec.clone().filter(|_| known.run.is_none()),
            scratchpad: known.provided.iter().cloned().collect(),
        }
    }

    /// The result of a step.
    pub(super) fn outcome(&self, number: usize, has_begun: bool) -> Outcome {
        let tasks: Vec<TaskId> =
            self.plan.steps[number].tasks.iter().copied().filter(|id| (self.is_selected)(*id)).collect();
        if tasks.is_empty() {
            return Outcome::Success;
        }
        let ends = tasks.iter().map(|id| match (self.state)(*id) {
            State::Done(end) => end.outcome(),
            _ => Outcome::Pending,
        });
        let progress = if has_begun { Progress::Whole } else { Progress::NotStarted };
        rollup::step(progress, ends)
    }

    /// The task of a step, or of all, that failed last.
    pub(super) fn failed_last(&self, number: Option<usize>) -> Option<TaskId> {
        let is_failed = |task: &&crate::pipeline::plan::Task| {
            number.is_none_or(|number| task.step == number)
                && matches!((self.state)(task.id), State::Done(End::Failure(_)))
        };
        let of = |task: &&crate::pipeline::plan::Task| {
            // What failed by itself says more than what failed because of it.
            let is_own =
                !matches!((self.state)(task.id), State::Done(End::Failure(crate::pipeline::state::Phase::Subtasks)));
            (is_own, self.known[task.id.0].order)
        };
        self.plan.tasks.iter().filter(is_failed).max_by_key(of).map(|task| task.id)
    }

    /// Closes the record of a step.
    pub(super) fn close_step(&self, run: &mut Run, number: usize, now: Micros) -> Outcome {
        let rows = self.rows(number);
        run.finished_at = now;
        for id in &self.plan.steps[number].tasks {
            run.children.extend(self.known[id.0].run.clone());
        }
        run.meta.insert(table::TASKS.to_owned(), table::to_value(rows));
        let outcome = self.outcome(number, true);
        self.ended(run, outcome, self.failed_last(Some(number)));
        outcome
    }

    /// Says in a record how what it is of ended.
    pub(super) fn ended(&self, run: &mut Run, outcome: Outcome, failed: Option<TaskId>) {
        run.status = match outcome {
            Outcome::Success => Status::Success,
            Outcome::Aborted => Status::Aborted,
            Outcome::Failure | Outcome::Pending => Status::Failure,
        };
        run.sealed = run.status == Status::Success;
        if run.status == Status::Success {
            return;
        }
        let Some(id) = failed else { return };
        let known = &self.known[id.0];
        let failed_run = known.run.as_ref().map(|(run, _)| run.clone());
        let (kind, message) = match &known.error {
            Some(error) => (error.kind.clone(), error.message.clone()),
            None => ("task".to_owned(), format!("{} failed", self.plan.label(id))),
        };
        run.error = Some(RunError { kind, message, run: failed_run });
        run.meta.insert("failed_task".to_owned(), Value::Text(self.plan.label(id)));
    }
}

//! What running a pipeline would do, without doing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::drive::recorded_step;
use super::history::LastStep;
use super::request;
use super::work::{Stop, Work};
use super::{Error, Order};
use crate::hash::Id;
use crate::object::run::Reason;
use crate::pipeline::perform::Registry;
use crate::pipeline::plan::{Expands, Kind, Plan, TaskId};
use crate::pipeline::task::Builtin;
use crate::repo::Repo;
use crate::run::prepare::Environment;
use crate::run::request::CacheMode;
use crate::run::{self, Offer, Session};

/// What would become of a task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outlook {
    /// It is not selected.
    LeftOut,
    /// It does nothing by itself.
    Light,
    /// The result of this run would be taken.
    Hit {
        /// The run.
        run: String,
        /// Its object.
        object: Id,
    },
    /// A result would be taken from a remote.
    Offered(Offer),
    /// It would be executed.
    Miss {
        /// Why.
        reasons: Vec<Reason>,
    },
    /// It is executed every time.
    Always,
    /// It depends on what others make that would be executed: with the same bytes as before it may be a hit.
    Depends,
    /// It can't be looked up.
    Wrong {
        /// Why not.
        what: String,
    },
}

impl Outlook {
    /// Its word in documents.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outlook::LeftOut => "left_out",
            Outlook::Light => "light",
            Outlook::Hit { .. } | Outlook::Offered(_) => "hit",
            Outlook::Miss { .. } => "miss",
            Outlook::Always => "always",
            Outlook::Depends => "depends",
            Outlook::Wrong { .. } => "wrong",
        }
    }

    /// Whether what comes after it can't be known.
    fn is_open(&self) -> bool {
        matches!(self, Outlook::Miss { .. } | Outlook::Always | Outlook::Depends | Outlook::Wrong { .. })
    }
}

/// What would become of a task, and how long it took the last time.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// What would become of it.
    pub outlook: Outlook,
    /// Microseconds that it took when it was executed last.
    pub took_us: Option<u64>,
}

/// What running the plan would do, task by task. Nothing is changed.
///
/// # Errors
/// A selection that makes no sense, or a store that can't be read.
pub fn look(
    repo: &Repo,
    session: &Session<'_>,
    plan: &Plan,
    order: &Order,
    environment: &Environment,
    registry: &Registry,
) -> Result<Vec<Looked>, Error> {
    let selected = order.selection.of(plan)?;
    let snapshot = repo.store().snapshot().map_err(run::Error::from)?;
    let mut last: BTreeMap<usize, LastStep> = BTreeMap::new();
    let mut looked: Vec<Option<Looked>> = plan.tasks.iter().map(|_| None).collect();
    let mut in_order: Vec<TaskId> = plan.tasks.iter().map(|task| task.id).collect();
    in_order.sort_by_key(|id| (plan.task(*id).level, *id));
    let before = plan.before();
    let mut moves = vec![false; plan.tasks.len()];
    for id in in_order {
        let task = plan.task(id);
        // What has to be brought back is not what lies there now.
        let is_open =
            |other: &TaskId| moves[other.0] || looked[other.0].as_ref().is_some_and(|one| one.outlook.is_open());
        let step = &plan.steps[task.step];
        let waits = before[id.0].iter().chain(&task.parent).any(is_open)
            || step.needs.iter().any(|needed| plan.steps[*needed].tasks.iter().any(is_open));
        let makes = task.expands == Expands::AtRunTime || matches!(task.kind, Kind::Builtin(Builtin::FindLatest));
        let outlook = if !selected[id.0] {
            Outlook::LeftOut
        } else if matches!(task.kind, Kind::Group | Kind::Builtin(Builtin::Explode | Builtin::Noop)) {
            Outlook::Light
        } else if waits {
            Outlook::Depends
        } else if makes {
            Outlook::Always
        } else {
            let work = work_of(plan, id, order);
            match one(session, &snapshot, &work, plan, environment, registry) {
                Ok((outlook, is_in_place)) => {
                    moves[id.0] = !is_in_place;
                    outlook
                }
                Err(what) => Outlook::Wrong { what },
            }
        };
        let took_us = if matches!(outlook, Outlook::LeftOut | Outlook::Light) {
            None
        } else {
            let last = last.entry(task.step).or_insert_with(|| LastStep::of(repo, &snapshot, &step.name));
            last.run_of(&snapshot, &task.name).map(|run| run.duration_us())
        };
        looked[id.0] = Some(Looked { outlook, took_us });
    }
    let none = Looked { outlook: Outlook::Depends, took_us: None };
    Ok(looked.into_iter().map(|one| one.unwrap_or_else(|| none.clone())).collect())
}

fn work_of(plan: &Plan, id: TaskId, order: &Order) -> Work {
    let task = plan.task(id);
    let step = &plan.steps[task.step].name;
    Work {
        id,
        step: step.clone(),
        named: task.spec.name.clone(),
        name: task.name.clone(),
        recorded_step: recorded_step(step, &task.name),
        parent: String::new(),
        kind: task.kind.clone(),
        task_type: task.task_type.clone(),
        flavour: plan.flavour,
        expands: task.expands,
        spec: task.resolved.clone(),
        settings: task.settings.clone(),
        scratchpad: plan.scratchpad.clone(),
        base: order.bases.get(step).cloned(),
        correlation_id: None,
        attempt: order.attempt,
        is_last_attempt: false,
        is_forced: order.is_forced,
        tries: 1,
        passed: None,
        frozen: None,
        stop: Arc::new(Stop::new()),
        begun: None,
    }
}

/// What would become of a task that can be looked up now, and whether all that it made lies where it should.
fn one(
    session: &Session<'_>,
    snapshot: &crate::store::Snapshot,
    work: &Work,
    plan: &Plan,
    environment: &Environment,
    registry: &Registry,
) -> Result<(Outlook, bool), String> {
    let kind = registry.kind(&work.kind);
    let mut asked = request::ask(work, &plan.roots, session.repo.root(), kind.as_deref())?;
    asked.request.parent = None;
    if asked.request.cache_mode() == CacheMode::Off {
        return Ok((Outlook::Always, true));
    }
    let planned = run::plan(session, snapshot, &asked.request, environment).map_err(|err| run::chain(&err))?;
    Ok(match planned.hit {
        Some(hit) => {
            let lies_there = |(key, output): (&String, &crate::object::run::Output)| {
                planned.prepared.output(key).is_none_or(|place| run::hydrate::lies_there(session, place, output))
            };
            let is_in_place = hit.run.outputs.iter().all(lies_there);
            (Outlook::Hit { run: hit.run.run.clone(), object: hit.object }, is_in_place)
        }
        None => match planned.offer {
            // What it brings does not lie there yet.
            Some(offer) => (Outlook::Offered(offer), false),
            None => (Outlook::Miss { reasons: planned.reasons }, true),
        },
    })
}

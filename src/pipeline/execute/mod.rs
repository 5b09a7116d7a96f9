//! Running a pipeline: its tasks are started as soon as they can be, looked up, executed, validated and recorded.
//!
//! [`run`] is one loop over events: a task ended, a line came, a signal, a time is up. [`schedule`] says what may start, an [`Executor`] does
//! it, [`Batch`](crate::run::Batch) makes the records history: those of tasks together, about ten times a second, and always before that of their step. Runs close
//! from the leaves up. A hit has no record of its own unless it says more than the run whose result it took: the row of its step ([`table`])
//! names that.

mod ahead;
mod drive;
mod driver;
pub mod history;
mod job;
mod look;
mod record;
mod recorder;
mod request;
pub mod schedule;
mod select;
pub mod table;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;

use crate::event;
use crate::hash::Id;
use crate::object::run::{Run, RunError};
use crate::pipeline::perform::Said;
use crate::pipeline::plan::{Plan, TaskId};
use crate::pipeline::rollup::Outcome;
use crate::pipeline::state::{End, State};
use crate::run::Request;
use crate::run::observer::Stream;

pub use drive::{Around, run};
pub use look::{Looked, Outlook, look};
pub use select::{NoTask, Selection};
pub use work::{Ended, Event, Executor, Stop, Work};

/// How a pipeline is to be run.
#[derive(Debug, Clone)]
pub struct Order {
    /// The pipeline's file, for the record.
    pub file: PathBuf,
    /// The words that asked for it, for the record.
    pub words: Vec<BString>,
    /// How many tasks at once.
    pub jobs: usize,
    /// Whether a failure stops only what depends on it.
    pub keeps_going: bool,
    /// Time between asking a task to stop and killing it.
    pub grace: Duration,
    /// Which tasks.
    pub selection: Selection,
    /// Whether tasks are executed whose result is known.
    pub is_forced: bool,
    /// Whether choices of earlier runs are taken again.
    pub is_frozen: bool,
    /// The id of the run; `None` for a new one.
    pub run_id: Option<String>,
    /// Shared by runs that belong together for an outside system.
    pub correlation_id: Option<String>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Whether no further attempt will follow.
    pub is_last_attempt: bool,
    /// The run around it.
    pub parent: Option<String>,
    /// What the project's settings say for all tasks of a step.
    pub bases: BTreeMap<String, Arc<Request>>,
    /// Whether what tasks print and tell is to be heard.
    pub is_heard: bool,
}

/// Hears what happens.
pub trait Watch {
    /// Something happened.
    fn hear(&mut self, plan: &Plan, news: News<'_>);
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<'a> {
    /// The run of the pipeline has begun; so many tasks are to be done.
    Begun {
        /// Its record, so far.
        run: &'a Run,
        /// How many tasks.
        tasks: usize,
    },
    /// A task was started.
    Started {
        /// Which.
        id: TaskId,
        /// The number of this try.
        tries: u32,
    },
    /// A task has ended, and what depends on it may start. One that made tasks may not be over yet.
    Ended {
        /// How.
        ended: &'a Ended,
        /// Whether it is tried again, and when.
        again: Option<Duration>,
    },
    /// A task never starts.
    Blocked {
        /// Which.
        id: TaskId,
        /// Because of which.
        by: Option<TaskId>,
    },
    /// A task that made others is over.
    Over {
        /// Which.
        id: TaskId,
        /// How.
        end: End,
    },
    /// A process of a task printed something.
    Printed {
        /// Which.
        id: TaskId,
        /// Where.
        stream: Stream,
        /// What.
        bytes: &'a [u8],
    },
    /// A task said something.
    Said {
        /// Which.
        id: TaskId,
        /// What.
        said: &'a Said,
    },
    /// A step is over; its record is not history yet.
    StepEnded {
        /// Which.
        step: usize,
        /// How.
        outcome: Outcome,
    },
    /// The record of a step is history.
    StepRecorded {
        /// The record of the whole as it began.
        pipeline: &'a Run,
        /// That of the step.
        run: &'a Run,
    },
    /// Everything that runs is asked to stop.
    Stopping {
        /// Why.
        why: &'a RunError,
    },
    /// An event of the stream of events.
    Event {
        /// Whose.
        of: &'a event::Of,
        /// Its number among those of the run.
        seq: u64,
        /// What.
        event: &'a event::Event,
    },
    /// Something is not as it should be.
    Warning {
        /// What.
        text: String,
    },
}

/// What came of running a pipeline.
#[derive(Debug)]
pub struct Ran {
    /// The closed record.
    pub run: Run,
    /// Its object, if it is on record.
    pub object: Option<Id>,
    /// The result, by the rules of manifests.
    pub outcome: Outcome,
    /// The plan, with the tasks that were made.
    pub plan: Plan,
    /// Where each task is.
    pub states: Vec<State>,
    /// Each task's run, if it has one.
    pub runs: Vec<Option<(String, Id)>>,
    /// What went wrong with each task.
    pub errors: Vec<Option<RunError>>,
    /// The task because of which each one that was not started can't be.
    pub blocked_by: Vec<Option<TaskId>>,
    /// The steps' results.
    pub steps: Vec<Outcome>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How many records could not be made history.
    pub unrecorded: usize,
    /// Tasks whose process ran.
    pub executed: usize,
}

impl Ran {
    /// For each task that was not started the one that failed, or was stopped, because of which it was not: the first of all that led to it.
    pub fn causes(&self) -> Vec<Option<TaskId>> {
        let count = self.blocked_by.len();
        let mut causes = vec![None; count];
        for at in 0..count {
            let (mut way, mut here) = (Vec::new(), at);
            while causes[here].is_none()
                && way.len() < count
                && let Some(by) = self.blocked_by[here]
            {
                way.push(here);
                here = by.0;
            }
            let cause = causes[here].unwrap_or(TaskId(here));
            for blocked in way {
                causes[blocked] = Some(cause);
            }
        }
        causes
    }
}

/// What keeps a pipeline from being run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that no task has.
    #[error(transparent)]
    Select(#[from] NoTask),
    /// Runs can't be made.
    #[error(transparent)]
    Run(#[from] crate::run::Error),
    /// A record can't be made.
    #[error("a record can't be made")]
    Encode(#[from] crate::codec::Error),
    /// The scheduler and its tasks disagree: a defect of prov.
    #[error(transparent)]
    Misfit(#[from] crate::pipeline::state::Misfit),
    /// A run of that id is on record already.
    #[error("there is a run `{run}` already")]
    Taken {
        /// The id.
        run: String,
    },
    /// A folder can't be made.
    #[error("can't create `{}`", crate::path::show(.path))]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The system has no room for another thread or descriptor.
    #[error("the system has no room for another task")]
    System(#[from] std::io::Error),
}

//! Tasks under way: an executor starts them and tells of their end.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::request::Asked;
use crate::clock::Micros;
use crate::codec::Value;
use crate::config::located::Node;
use crate::event;
use crate::hash::Id;
use crate::object::run::{RunError, Status};
use crate::pipeline::file::{Flavour, Named, Spec};
use crate::pipeline::perform::{Abort, Choice, Said};
use crate::pipeline::plan::{Expands, Kind, TaskId};
use crate::pipeline::state::End;
use crate::pipeline::task::Settings;
use crate::pipeline::template::Scratchpad;
use crate::run::interrupts::{Interrupter, Interrupts};
use crate::run::observer::Stream;
use crate::run::{Flushed, Looked, Request};

/// A task that can start now, with all values in place.
#[derive(Debug)]
pub struct Work {
    pub(super) id: TaskId,
    pub(super) step: String,
    /// Its name as declared, for messages with a place.
    pub(super) named: Named,
    pub(super) name: String,
    /// The step of its record: `STEP/NAME`.
    pub(super) recorded_step: String,
    /// The run around it: that of its step.
    pub(super) parent: String,
    pub(super) kind: Kind,
    pub(super) task_type: String,
    pub(super) flavour: Flavour,
    pub(super) expands: Expands,
    /// What it is told.
    pub(super) spec: Node,
    pub(super) settings: Settings,
    /// All values that are known.
    pub(super) scratchpad: Scratchpad,
    /// What holds for all tasks of the step.
    pub(super) base: Option<Arc<Request>>,
    pub(super) correlation_id: Option<String>,
    pub(super) attempt: u32,
    pub(super) is_last_attempt: bool,
    pub(super) is_forced: bool,
    /// The number of this try, from 1.
    pub(super) tries: u32,
    /// The list of checks that its last result is known to have passed: the run and the list's id.
    pub(super) passed: Option<(String, String)>,
    /// The choice that it is to take again.
    pub(super) frozen: Option<Choice>,
    pub(super) stop: Arc<Stop>,
    /// What was found when it was looked up.
    pub(super) begun: Option<Box<Begun>>,
}

/// A task that was looked up, and has to be performed.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) asked: Asked,
    pub(super) looked: Box<Looked>,
}

impl Work {
    /// The task's number in the plan.
    pub fn id(&self) -> TaskId {
        self.id
    }
}

/// How a task is asked to stop.
#[derive(Debug, Default)]
pub struct Stop {
    pub(super) abort: Abort,
    inner: Mutex<Asking>,
}

/// Whether a task was asked to stop, and whom to wake.
#[derive(Debug, Default)]
struct Asking {
    why: Option<RunError>,
    raise: Option<Interrupter>,
}

impl Stop {
    /// Not asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Asking> {
        // Nothing that panics runs under this lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task listens to these interrupts from now on; they are raised already if it was asked to stop.
    pub fn raises(&self, interrupts: &Interrupts) {
        let raise = interrupts.interrupter();
        let mut inner = self.inner();
        if inner.why.is_some() {
            raise.raise(crate::run::interrupts::TERM);
        }
        inner.raise = Some(raise);
    }

    /// The task listens no more: what is asked from now on raises nothing, and what was raised for it is taken back, so that the next
    /// task can listen to the same interrupts.
    pub fn leaves(&self, interrupts: &Interrupts) {
        self.inner().raise = None;
        drop(interrupts.take());
    }

    /// Asks for it. The first reason counts.
    pub fn ask(&self, why: RunError) {
        let mut inner = self.inner();
        if inner.why.is_none() {
            self.abort.raise(why.message.clone());
            inner.why = Some(why);
        }
        if let Some(raise) = &inner.raise {
            raise.raise(crate::run::interrupts::TERM);
        }
    }

    /// Why it was asked for, if it was.
    pub fn why(&self) -> Option<RunError> {
        self.inner().why.clone()
    }
}

/// Something that happened while tasks were under way.
#[derive(Debug)]
pub enum Event {
    /// A task is over.
    Ended(Box<Ended>),
    /// A process of a task printed something.
    Printed(TaskId, Stream, Vec<u8>),
    /// A task said something.
    Said(TaskId, Said),
    /// An event of a task's run.
    Told(event::Of, u64, event::Event),
    /// Signals came in.
    Signals(Vec<i32>),
    /// Runs were made history.
    Flushed(Flushed),
}

/// How a task ended.
#[derive(Debug)]
pub struct Ended {
    /// Which.
    pub id: TaskId,
    /// How.
    pub end: End,
    /// Whether another try could end better.
    pub may_pass: bool,
    /// Its run, or of a hit the run whose result it took.
    pub run: Option<(String, Id)>,
    /// Whether that run was executed now.
    pub is_new: bool,
    /// When its look-up began.
    pub started_at: Micros,
    /// When its run ended.
    pub finished_at: Micros,
    /// What went wrong.
    pub error: Option<RunError>,
    /// How its run ended.
    pub status: Status,
    /// Reasons for the miss, in one line; empty for a hit.
    pub why: String,
    /// Microseconds that its run took when it was executed.
    pub took_us: u64,
    /// Tasks that it made.
    pub made: Vec<Spec>,
    /// Scratchpad values that it provides.
    pub provided: Vec<(String, Value)>,
    /// The id of the list of checks that it passed.
    pub checks: Option<String>,
    /// Things that went not quite as they should.
    pub warnings: Vec<String>,
}

/// Starts tasks and tells of their end.
///
/// The tasks of this machine at first; something that submits them to a cluster has the same two words.
pub trait Executor {
    /// Starts a task. Its end comes as [`Event::Ended`], exactly once.
    fn start(&self, work: Work);

    /// Asks a task to stop. Its end still comes.
    fn stop(&self, id: TaskId, why: &RunError);
}

/// Tasks that wait for a thread of this process.
#[derive(Debug, Default)]
pub(super) struct Local {
    state: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Work>,
    under_way: HashMap<TaskId, Arc<Stop>>,
    idle: usize,
    threads: usize,
    is_closed: bool,
}

impl Local {
    fn state(&self) -> MutexGuard<'_, Queue> {
        // Nothing that panics runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more thread would have something to do; it counts as there from now on.
    pub(super) fn wants_thread(&self, most: usize) -> bool {
        let mut state = self.state();
        let wants = state.waiting.len() > state.idle && state.threads < most;
        state.threads += usize::from(wants);
        wants
    }

    /// The next task, once there is one; `None` when there will be none.
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.state();
        state.idle += 1;
        while state.waiting.is_empty() && !state.is_closed {
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle -= 1;
        state.waiting.pop_front()
    }

    /// A task is over.
    pub(super) fn forget(&self, id: TaskId) {
        self.state().under_way.remove(&id);
    }

    /// A thread that was to be there is not. Says how many are.
    pub(super) fn lost_thread(&self) -> usize {
        let mut state = self.state();
        state.threads -= 1;
        state.threads
    }

    /// No more tasks will come.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.waiting.clear();
        drop(state);
        self.bell.notify_all();
    }
}

impl Executor for Local {
    fn start(&self, work: Work) {
        let mut state = self.state();
        state.under_way.insert(work.id, Arc::clone(&work.stop));
        state.waiting.push_back(work);
        drop(state);
        self.bell.notify_one();
    }

    fn stop(&self, id: TaskId, why: &RunError) {
        let stop = self.state().under_way.get(&id).cloned();
        if let Some(stop) = stop {
            stop.ask(why.clone());
        }
    }
}

/// Where events go.
pub(super) type Events = SyncSender<Event>;

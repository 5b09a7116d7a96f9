//! What a task goes through: a pure state machine.
//!
//! ```text
//! PENDING_RUN ─ start ─> RUNNING ─ ran ─> PENDING_VALIDATION ─ start ─> VALIDATING ─ valid ─┬─> DONE
//!     │ hit, block, abort   │ fail, abort                                 │ fail, abort      └─> WAITING_FOR_SUBTASKS ─> DONE
//!     └──────> DONE         └─> DONE, or PENDING_RUN when it is retried   └─> DONE
//! ```
//!
//! A machine never goes back, except to run again after a failure that is retried, and never leaves DONE. What does not fit the
//! state is refused, so a scheduler that mixes up its tasks is told, and no result is overwritten.

use std::fmt;

use crate::pipeline::rollup::Outcome;

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits for what it requires, or for a free place.
    PendingRun,
    /// It runs.
    Running,
    /// It ran, and waits for a free place to be validated.
    PendingValidation,
    /// What it made is being checked.
    Validating,
    /// It is valid, and tasks that it made are not done.
    WaitingForSubtasks,
    /// It is over.
    Done(End),
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It ran and is valid, and so is every task it made.
    Success,
    /// A recorded result took its place.
    Hit,
    /// It failed in this phase.
    Failure(Phase),
    /// It was stopped because another one failed, or by the user.
    Aborted,
    /// It never started, since something that it requires did not end well.
    Blocked,
}

/// A phase that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Its values could not be put in place, or it could not be started.
    Build,
    /// It ran.
    Run,
    /// What it made was checked.
    Validation,
    /// A task that it made did not end well.
    Subtasks,
}

impl End {
    /// The result as manifests know it. A task that never started is still pending there.
    pub fn outcome(self) -> Outcome {
        match self {
            End::Success | End::Hit => Outcome::Success,
            End::Failure(_) => Outcome::Failure,
            End::Aborted => Outcome::Aborted,
            End::Blocked => Outcome::Pending,
        }
    }

    /// Whether what requires it may start.
    pub fn is_good(self) -> bool {
        matches!(self, End::Success | End::Hit)
    }
}

impl State {
    /// Its name as Otter writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::PendingRun => "PENDING_RUN",
            State::Running => "RUNNING",
            State::PendingValidation => "PENDING_VALIDATION",
            State::Validating => "VALIDATING",
            State::WaitingForSubtasks => "WAITING_FOR_SUBTASKS",
            State::Done(_) => "DONE",
        }
    }
}

/// What happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A place is free: it starts to run, or to be validated.
    Start,
    /// It could not be made ready.
    NotBuilt,
    /// A recorded result is there.
    Hit,
    /// It was started to be looked up, and a recorded result is there.
    Found,
    /// Something that it requires did not end well.
    Block,
    /// Its run ended well and made that many tasks.
    Ran {
        /// How many.
        subtasks: usize,
    },
    /// What it made is valid.
    Valid,
    /// The phase that it is in failed; `again` if it is to run again.
    Failed {
        /// Whether another attempt is made.
        again: bool,
    },
    /// One of the tasks that it made is over.
    SubtaskDone(End),
    /// It is to stop.
    Abort,
}

/// An event that does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {state} can't take {event:?}", state = .state.as_str())]
pub struct Misfit {
    /// The state.
    pub state: State,
    /// The event.
    pub event: Event,
}

/// A task's state with what it has to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    state: State,
    /// Tasks that it made and that are not over.
    open: usize,
    /// Whether one of them did not end well.
    has_bad: bool,
    /// Runs that were started.
    attempts: u32,
}

impl Default for Machine {
    fn default() -> Self {
        Self { state: State::PendingRun, open: 0, has_bad: false, attempts: 0 }
    }
}

impl Machine {
    /// A task whose tasks are known before it runs.
    pub fn with_subtasks(open: usize) -> Self {
        Self { open, ..Self::default() }
    }

    /// Where the task is.
    pub fn state(&self) -> State {
        self.state
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<End> {
        match self.state {
            State::Done(end) => Some(end),
            _ => None,
        }
    }

    /// How many tasks that it made are not over.
    pub fn open_subtasks(&self) -> usize {
        self.open
    }

    /// How often it was started.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Takes an event and gives the new state.
    ///
    /// # Errors
    /// The event does not fit; nothing has changed.
    pub fn take(&mut self, event: Event) -> Result<State, Misfit> {
        let misfit = Misfit { state: self.state, event };
        let next = match (self.state, event) {
            (State::PendingRun, Event::Start) => {
                self.attempts = self.attempts.saturating_add(1);
                State::Running
            }
            (State::PendingRun, Event::NotBuilt) => State::Done(End::Failure(Phase::Build)),
            (State::PendingRun, Event::Block) => State::Done(End::Blocked),
            // What a recorded result made is still to be looked up task by task.
            (State::PendingRun, Event::Hit) | (State::Running, Event::Found) => self.settled(End::Hit),
            (State::Running, Event::Ran { subtasks }) => {
                self.open = self.open.checked_add(subtasks).ok_or(misfit)?;
                State::PendingValidation
            }
            (State::Running, Event::Failed { again: true }) => State::PendingRun,
            (State::Running, Event::Failed { again: false }) => State::Done(End::Failure(Phase::Run)),
            (State::PendingValidation, Event::Start) => State::Validating,
            (State::Validating, Event::Valid) => self.settled(End::Success),
            // What it made before it was found invalid stays made: it can't be run again as if nothing had been.
            (State::Validating, Event::Failed { again: true }) if self.open == 0 && !self.has_bad => State::PendingRun,
            (State::Validating, Event::Failed { .. }) => State::Done(End::Failure(Phase::Validation)),
            // Tasks start as soon as the run that made them is over, so they may end before their parent is validated.
            (State::PendingValidation | State::Validating | State::WaitingForSubtasks, Event::SubtaskDone(end)) => {
                self.open = self.open.checked_sub(1).ok_or(misfit)?;
                self.has_bad |= !end.is_good();
                if self.state == State::WaitingForSubtasks { self.settled(End::Success) } else { self.state }
            }
            (
                State::PendingRun
                | State::Running
                | State::PendingValidation
                | State::Validating
                | State::WaitingForSubtasks,
                Event::Abort,
            ) => State::Done(End::Aborted),
            // Those that were made go on being told of, whatever became of the task.
            (State::Done(_), Event::SubtaskDone(_)) if self.open > 0 => {
                self.open -= 1;
                self.state
            }
            _ => return Err(misfit),
        };
        self.state = next;
        Ok(next)
    }

    /// The state of a task that is well itself.
    fn settled(&self, good: End) -> State {
        match (self.open, self.has_bad) {
            (0, false) => State::Done(good),
            (0, true) => State::Done(End::Failure(Phase::Subtasks)),
            _ => State::WaitingForSubtasks,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;

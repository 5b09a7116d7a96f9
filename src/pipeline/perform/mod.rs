//! Doing what a task says: the one interface between a scheduler and the types of tasks.
//!
//! A [`TaskKind`] does one phase of one [`Job`], tells what happens as it happens ([`Said`]), and returns how it ended. It knows nothing
//! of places, recipes, caches and records: whoever calls it has looked those up, has taken the destinations for this task and
//! kept safe what lay there, and writes down what is said.
//!
//! [`Registry`] gives the kind of a type: prov's own by name ([`Builtin`](super::task::Builtin)), programs by what the plan says of them.
//! `command` is no kind: commands are executed as `prov run` executes them.

mod abort;
mod job;
mod kinds;
mod last_words;
mod place;
mod program;
mod protocol;
mod registry;
mod said;
#[cfg(test)]
pub(in crate::pipeline) mod testing;
mod write;

pub use abort::{Abort, Watch};
pub use job::{Choice, Job, Phase, World};
pub(super) use kinds::size_of;
pub(super) use last_words::LastWords;
pub use place::{Address, Location};
pub use program::Program;
pub use protocol::Offence;
pub use registry::Registry;
pub use said::{Artifact, Level, Places, Said};

use std::fmt;
use std::io;

use crate::run::execute::Outcome;

/// Hears what a kind says, from any thread.
pub type Hear<'a> = dyn Fn(Said) + Sync + 'a;

/// A type of tasks.
///
/// An implementation reads what the job names, writes its destinations, and nothing else. A destination gets its bytes beside
/// its place and then its name, so that nobody sees half of it. It notices a raised `abort` within a tenth of a second, or as soon as one
/// system call returns, and then ends with [`Failure::Aborted`].
pub trait TaskKind: Send + Sync + fmt::Debug {
    /// The version of what it does: another one makes another recipe. Raised when equal specs give other products than before.
    fn version(&self) -> u32;

    /// Does the phase of the job.
    ///
    /// # Errors
    /// The task has failed, or was aborted.
    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure>;
}

/// What is known at the end of a phase that ended well, beyond what was said.
#[derive(Debug, Default)]
pub struct Done {
    /// Whether there is something to do in [`Phase::Validate`], told by the phase before. If not, a task that ran is valid as far as its
    /// type goes.
    pub validates: bool,
    /// The process, if one was executed.
    pub outcome: Option<Box<Outcome>>,
}

impl Done {
    /// A run without a process that is to be validated.
    fn to_be_validated() -> Self {
        Self { validates: true, outcome: None }
    }
}

/// Why a phase didn't end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It was told to stop; the reason is who said so.
    #[error("aborted: {reason}")]
    Aborted {
        /// Why.
        reason: String,
        /// The process, if one was executed.
        outcome: Option<Box<Outcome>>,
    },
    /// The spec says something that can't be done. Trying again is of no use.
    #[error("{problem}")]
    Spec {
        /// What is wrong.
        problem: String,
    },
    /// What it was to do did not work.
    #[error("{problem}")]
    Work {
        /// What went wrong.
        problem: String,
    },
    /// A file or folder could not be read or written.
    #[error("can't {doing} {what}")]
    Io {
        /// What was tried: `read`, `write`, ...
        doing: &'static str,
        /// The path or address.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// Something could not be fetched.
    #[error("can't fetch {address}: {problem}")]
    Fetch {
        /// The address.
        address: String,
        /// Why not.
        problem: String,
    },
    /// What the task made is not valid.
    #[error("{problem}")]
    Invalid {
        /// What is wrong with it.
        problem: String,
    },
    /// A process could not be started.
    #[error("the task can't be started")]
    Spawn {
        /// Why not.
        source: crate::run::program::SpawnError,
    },
    /// A process ended badly, or spoke against the protocol.
    #[error("{problem}")]
    Process {
        /// What went wrong.
        problem: String,
        /// The process.
        outcome: Box<Outcome>,
    },
}

impl Failure {
    /// The failure with its causes in one line: the reason that records and manifests give.
    pub fn reason(&self) -> String {
        use std::error::Error as _;
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// Whether it was told to stop.
    pub fn is_abort(&self) -> bool {
        matches!(self, Failure::Aborted { .. })
    }

    /// Whether another attempt could end better.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Failure::Aborted { .. } | Failure::Spec { .. })
    }

    /// The process, if one was executed.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Failure::Aborted { outcome, .. } => outcome.as_deref(),
            Failure::Process { outcome, .. } => Some(outcome),
            _ => None,
        }
    }
}

/// A failure to read or write, for `map_err`.
fn io_failure(doing: &'static str, what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let what = what.into();
    move |source| Failure::Io { doing, what, source }
}

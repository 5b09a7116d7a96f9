//! A run as a part of a larger one: a task of a pipeline.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::execute::Outcome;
use super::observer::Observer;
use crate::object::run::{Run, RunError, Status};

/// What a part of a larger run adds to looking up, executing and recording.
pub trait Part {
    /// Whether [`Part::perform`] does the work; else the request's command is executed.
    fn has_body(&self) -> bool;

    /// Does the work of what is no command.
    fn perform(&mut self, at: At<'_>) -> Ended;

    /// A process of the run `run` may be started from now on.
    fn starting(&mut self, _run: &str) {}

    /// The child of the command of the run `run` runs: e.g. to limit it.
    fn started(&mut self, _run: &str, _pid: u32) {}

    /// The result of an earlier run is there. Says whether what it made has to be checked before it is taken.
    fn found(&mut self, source: &Run) -> bool;

    /// The work is done, and what it made was taken; it is checked now. Its outputs lie where the record says.
    ///
    /// # Errors
    /// What is wrong with it: the run has failed then.
    fn check(&mut self, run: &mut Run) -> Result<(), RunError>;

    /// Completes the record before it is closed.
    fn complete(&mut self, run: &mut Run);
}

/// Where the work of a part is done.
pub struct At<'a> {
    /// The run's id.
    pub run: &'a str,
    /// A folder of its own in the live folder.
    pub folder: &'a Path,
    /// Where its inputs lie, by key.
    pub inputs: &'a BTreeMap<String, PathBuf>,
    /// Hears what a process of it prints.
    pub observer: &'a mut dyn Observer,
    /// To be told the pid of a process that is started.
    pub started: &'a (dyn Fn(u32) + Sync),
}

impl std::fmt::Debug for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("At").field("run", &self.run).field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// How the work of a part ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: Status,
    /// What went wrong.
    pub error: Option<RunError>,
    /// The process, if one was executed.
    pub outcome: Option<Box<Outcome>>,
    /// Lines that it wrote to its log.
    pub log: Vec<u8>,
}

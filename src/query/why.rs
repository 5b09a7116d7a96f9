//! Why a recorded run was executed.

use super::Error;
use crate::object::run::{Cache, Differs, Reason, Run, Status};
use crate::revspec::RunRef;
use crate::run::memory::other_outcomes;
use crate::run::{Nearest, nearest};
use crate::store::Snapshot;

/// What is known of why a run was executed, or that it was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// The record.
    pub run: Run,
    /// Why it was executed, as it was seen then; empty for a hit.
    pub reasons: Vec<Reason>,
    /// The nearest other recipe of its step that is on record now.
    pub nearest: Option<Nearest>,
    /// Outcomes of the same recipe, on record now, with other bytes.
    pub others: Vec<Differs>,
}

/// Reads why a run was executed from its record; what it differs in from the nearest other recipe of its step is compared anew.
///
/// # Errors
/// When the run can't be read.
pub fn why(snapshot: &Snapshot, at: &RunRef) -> Result<Why, Error> {
    let run = crate::revspec::read_run(snapshot, &at.run, &at.object)?;
    let reasons = match &run.cache {
        Cache::Miss { reasons } => reasons.clone(),
        Cache::Hit { .. } | Cache::Off => Vec::new(),
    };
    let nearest = match &run.recipe {
        Some(id) => nearest(snapshot, &run.project, &run.step, id, None)?,
        None => None,
    };
    let others = match (&run.recipe, run.status) {
        (Some(id), Status::Success) => other_outcomes(snapshot, id, &run.outputs, &run.run)?,
        _ => Vec::new(),
    };
    Ok(Why { run, reasons, nearest, others })
}

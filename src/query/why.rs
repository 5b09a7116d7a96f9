//! Why a recorded run was executed.

use super::Error;
use crate::object::Source;
use crate::object::run::{Cache, Differs, Reason, Run, Status};
use crate::revspec::RunRef;
use crate::run::memory::other_outcomes;
use crate::run::{Nearest, candidates};
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
    /// The least different other recipes of its step, the nearest first, as many as were asked for.
    pub candidates: Vec<Nearest>,
    /// Outcomes of the same recipe, on record now, with other bytes.
    pub others: Vec<Differs>,
}

/// Reads why a run was executed from its record; what it differs in from the nearest other recipes of its step is compared anew: `most` of
/// them. What they are made of comes from `source`.
///
/// # Errors
/// When the run can't be read.
pub fn why(snapshot: &Snapshot, source: &dyn Source, at: &RunRef, most: usize) -> Result<Why, Error> {
    let run = crate::revspec::read_run(snapshot, &at.run, &at.object)?;
    let reasons = match &run.cache {
        Cache::Miss { reasons } => reasons.clone(),
        Cache::Hit { .. } | Cache::Off => Vec::new(),
    };
    let mut candidates = match &run.recipe {
        Some(id) => candidates(snapshot, source, &run.project, &run.step, id, None, most.max(1))?,
        None => Vec::new(),
    };
    let nearest = candidates.first().cloned();
    candidates.truncate(most);
    let others = match (&run.recipe, run.status) {
        (Some(id), Status::Success) => other_outcomes(snapshot, id, &run.outputs, &run.run)?,
        _ => Vec::new(),
    };
    Ok(Why { run, reasons, nearest, candidates, others })
}

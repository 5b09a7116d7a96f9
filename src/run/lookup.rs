//! Asking the cache: is there an outcome of this recipe whose outputs can still be had?

use std::collections::BTreeMap;

use crate::codec;
use crate::hash::Id;
use crate::mark::{self, MarkKind, Marks};
use crate::object::run::{Output, Reason, ReasonKind, Run};
use crate::object::{AccessError, Record, RunRecord, Source};
use crate::refs::key;
use crate::repo::entry::{self, Outcome};
use crate::store::{self, Direction, Snapshot};

/// Outcomes of one recipe that are looked at.
const LOOKED_AT: usize = 16;

/// Why the cache can't be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Marks can't be read.
    #[error(transparent)]
    Mark(#[from] mark::Error),
    /// A ref is damaged.
    #[error("a result ref can't be read")]
    Ref(#[from] codec::Error),
}

/// An outcome that can be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The run that was executed, without the inputs that stand in a list.
    pub run: Run,
    /// Its object.
    pub object: Id,
}

/// What the cache says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Take this.
    Hit(Box<Hit>),
    /// There is a recipe's outcome that can't be taken, or none; with what is known of why.
    Miss(Vec<Reason>),
}

fn reason(part: impl Into<String>, kind: ReasonKind, before: Option<String>) -> Reason {
    Reason { part: part.into(), kind, before, after: None }
}

/// Looks for the newest successful, sealed outcome of `recipe` that was not retracted and all of whose outputs can be had: `is_here` says
/// so of an output.
///
/// # Errors
/// When refs can't be read. A record that can't be read is passed over and named among the reasons.
pub fn lookup(
    snapshot: &Snapshot,
    recipe: &Id,
    is_here: &mut dyn FnMut(&str, &Output) -> Result<bool, AccessError>,
) -> Result<Answer, Error> {
    let mut reasons = Vec::new();
    let mut left = LOOKED_AT;
    for item in snapshot.scan(&key::results_of(recipe), Direction::Forward) {
        let (raw, value) = item?;
        let outcome: Outcome = entry::decode(&value)?;
        if let Some(said) = mark::said(snapshot, &outcome.object, MarkKind::Retract)? {
            let why = (!said.why.is_empty()).then_some(said.why);
            reasons.push(Reason {
                part: "outcome".to_owned(),
                kind: ReasonKind::Retracted,
                before: key::last_text(&raw),
                after: why,
            });
            continue;
        }
        // Where a table is damaged, nothing is known of what was retracted: executing again is safe, a hit is not.
        if let Some(damage) = snapshot.damage().iter().find(|damage| damage.file.starts_with("tables/")) {
            let what = format!("{}: {}", damage.file, damage.what);
            reasons.push(reason("outcome", ReasonKind::OutputsLost, Some(what)));
            break;
        }
        let Some(less) = left.checked_sub(1) else { break };
        left = less;
        let run = match snapshot.read(&outcome.object) {
            Ok(Some((_, bytes))) => RunRecord::decode_verified(&bytes).ok().map(RunRecord::into_head),
            Ok(None) | Err(AccessError::Damaged { .. }) => None,
            Err(err) => return Err(err.into()),
        };
        // What the ref says is checked against the record: only the record is covered by a hash.
        let Some(run) = run.filter(|run| run.is_result() && run.recipe == Some(*recipe)) else {
            reasons.push(reason(
                "outcome",
                ReasonKind::OutputsLost,
                Some(format!("the record {} can't be read", outcome.object.short())),
            ));
            continue;
        };
        let mut lost = BTreeMap::new();
        for (key, output) in &run.outputs {
            if !is_here(key, output)? {
                lost.insert(key.clone(), crate::path::shown(&output.path));
            }
        }
        if lost.is_empty() {
            return Ok(Answer::Hit(Box::new(Hit { run, object: outcome.object })));
        }
        reasons.extend(
            lost.into_iter().map(|(key, path)| reason(format!("outputs.{key}"), ReasonKind::OutputsLost, Some(path))),
        );
    }
    let only_retracted = reasons.iter().all(|reason| reason.kind == ReasonKind::Retracted);
    if only_retracted && let Some(reason) = failed(snapshot, recipe)? {
        reasons.push(reason);
    }
    Ok(Answer::Miss(reasons))
}

/// The newest outcome of a recipe that is no result, if it was not retracted, as a reason.
fn failed(snapshot: &Snapshot, recipe: &Id) -> Result<Option<Reason>, Error> {
    let marks = Marks::open(snapshot)?;
    for item in snapshot.scan(&key::failures_of(recipe), Direction::Forward).take(LOOKED_AT) {
        let (raw, value) = item?;
        let outcome: Outcome = entry::decode(&value)?;
        if marks.is(&outcome.object, MarkKind::Retract)? {
            continue;
        }
        let kind = if outcome.status == crate::object::run::Status::Success {
            ReasonKind::Unsealed
        } else {
            ReasonKind::Failed
        };
        return Ok(Some(reason("outcome", kind, key::last_text(&raw))));
    }
    Ok(None)
}

//! Making a closed run history: one transaction, or a payload that waits in the live folder for the next command.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, record};
use crate::hash::Id;
use crate::object::run::Run;
use crate::object::{Kind, Record, Sink, id_of};
use crate::repo::Repo;
use crate::store::{self, Collected, Draft, OpId, Snapshot};

/// Whether a run is history.
#[derive(Debug)]
pub enum Publication {
    /// It is.
    Done,
    /// It waits in the live folder; the next command publishes it.
    Waiting(Error),
    /// It was not to be recorded.
    Unrecorded,
}

/// A closed run that waits, as the live folder keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The run object's bytes.
    pub run: bstr::BString,
    /// Small objects beside it: kind and bytes.
    pub objects: Vec<(Kind, bstr::BString)>,
}

fn encoded(run: &Run) -> Result<(Id, Vec<u8>), Error> {
    let bytes = run.encode().map_err(|source| Error::Record { run: run.run.clone(), source })?;
    Ok((id_of(&Kind::RUN, &bytes), bytes))
}

/// A run that is not to be recorded: its id alone.
///
/// # Errors
/// When the record is above the limits of the format.
pub fn unrecorded(run: &Run) -> Result<(Id, Publication), Error> {
    Ok((encoded(run)?.0, Publication::Unrecorded))
}

/// Publishes a record that needs nothing but itself: a hit.
///
/// # Errors
/// When the record is above the limits. A store that can't be written is a [`Publication::Waiting`].
pub fn light(repo: &Repo, _snapshot: &Snapshot, run: &Run) -> Result<(Id, Publication), Error> {
    let op = repo.new_op();
    let pending = Pending { run: encoded(run)?.1.into(), objects: Vec::new() };
    match pending_now(repo, op, run, &pending) {
        Ok(object) => Ok((object, Publication::Done)),
        Err(err) => {
            let object = encoded(run)?.0;
            keep(repo, run, op, &pending)?;
            Ok((object, Publication::Waiting(err)))
        }
    }
}

/// Leaves a closed run in the live folder, durable, for the next command.
///
/// # Errors
/// When that can't be written either: then the run is lost, and said to be.
pub fn keep(repo: &Repo, run: &Run, op: OpId, pending: &Pending) -> Result<(), Error> {
    let payload = crate::codec::encode(pending).map_err(|source| Error::Ref { source })?;
    super::live::keep(repo.fs(), &repo.layout().live(), &run.run, op.0, &payload).map_err(Error::from)
}

/// Publishes a pending run. The same operation id twice changes nothing, so any number of processes may try.
///
/// # Errors
/// Whatever the store reports; the run still waits then.
pub fn pending_now(repo: &Repo, op: OpId, run: &Run, pending: &Pending) -> Result<Id, Error> {
    let object = id_of(&Kind::RUN, &pending.run);
    repo.store().publish(op, "run", &mut |snapshot| -> Result<Option<Draft>, Error> {
        let intake = repo.store().intake(snapshot);
        intake.put(&Kind::RUN, &object, &pending.run)?;
        for (kind, bytes) in &pending.objects {
            intake.put(kind, &id_of(kind, bytes), bytes)?;
        }
        Ok(Some(Draft::new(intake.finish()?, record::edits(snapshot, run, object)?)))
    })?;
    Ok(object)
}

/// Publishes a run together with what was collected for it.
///
/// # Errors
/// Whatever the store reports.
pub fn with(repo: &Repo, op: OpId, command: &str, run: &Run, object: Id, collected: &Arc<Collected>) -> Result<(), Error> {
    repo.store().publish(op, command, &mut |snapshot| -> Result<Option<Draft>, Error> {
        Ok(Some(Draft::shared(Arc::clone(collected), record::edits(snapshot, run, object)?)))
    })?;
    Ok(())
}

/// Publishing failed in a way that a later try may mend.
pub fn may_be_mended(err: &store::Error) -> bool {
    !matches!(err, store::Error::Encode(_) | store::Error::Draft { .. })
}

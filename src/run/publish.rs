//! Making a closed run history: one transaction, or a payload that waits in the live folder for the next command.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config_part::ConfigPart;
use super::prepare::Prepared;
use super::{Error, live};
use crate::hash::Id;
use crate::journal::Line;
use crate::object::inputs::Inputs;
use crate::object::run::Run;
use crate::object::{AccessError, Kind, Record, Sink, id_of};
use crate::repo::Repo;
use crate::store::{Collected, Draft, Intake, OpId, Snapshot};

/// Whether a run is history.
#[derive(Debug)]
pub enum Publication {
    /// It is.
    Done,
    /// It waits in the live folder; the next command publishes it.
    Waiting(Error),
    /// It could not be recorded, and not be left in the live folder either: the place is full or read-only.
    Lost(Error),
    /// It was not to be recorded.
    Unrecorded,
    /// It waits for others of this process, and becomes history with them.
    Batched,
    /// The record of the run around it names the run whose result it took; that says it all.
    Listed,
}

/// A closed run that waits, as the live folder keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The run object's bytes.
    pub run: bstr::BString,
    /// Small objects beside it: kind and bytes.
    pub objects: Vec<(Kind, bstr::BString)>,
    /// The code's files: path and id.
    pub code: Vec<(bstr::BString, Id)>,
}

impl Pending {
    /// A run alone.
    pub(super) fn of(run: &Run) -> Result<Self, Error> {
        let bytes = run.encode_whole().map_err(|source| Error::Record { run: run.run.clone(), source })?;
        Ok(Self::of_bytes(bytes))
    }

    fn of_bytes(run: Vec<u8>) -> Self {
        Self { run: run.into(), objects: Vec::new(), code: Vec::new() }
    }
}

/// A closed run as the objects that are stored of it.
#[derive(Debug)]
pub struct ClosedRun {
    /// Its object.
    pub object: Id,
    bytes: Vec<u8>,
    /// The list of its inputs, if they were put in one just now.
    list: Option<(Id, Vec<u8>)>,
    /// Its inputs.
    inputs: Inputs,
}

impl ClosedRun {
    /// Closes a run: from now on its inputs stand in a list, if they are many.
    ///
    /// # Errors
    /// When the record is above the limits of the format.
    pub fn of(run: &mut Run) -> Result<Self, Error> {
        let list = run.inputs.put_in_list().map_err(|source| Error::Record { run: run.run.clone(), source })?;
        Ok(Self { list, ..Self::as_it_is(run)? })
    }

    /// Closes a run that has no inputs of its own.
    ///
    /// # Errors
    /// As [`ClosedRun::of`].
    pub fn as_it_is(run: &Run) -> Result<Self, Error> {
        let bytes = run.encode().map_err(|source| Error::Record { run: run.run.clone(), source })?;
        Ok(Self { object: id_of(&Kind::RUN, &bytes), bytes, list: None, inputs: run.inputs.clone() })
    }

    /// It, as it waits: a record that tells all of it.
    ///
    /// # Errors
    /// As [`ClosedRun::of`].
    pub(super) fn pending(&self, run: &Run) -> Result<Pending, Error> {
        match run.inputs.list() {
            None => Ok(Pending::of_bytes(self.bytes.clone())),
            Some(_) => Pending::of(run),
        }
    }

    /// Gives them to the store.
    ///
    /// # Errors
    /// Whatever it reports.
    pub fn put(&self, sink: &dyn Sink) -> Result<(), AccessError> {
        if let Some((id, bytes)) = &self.list {
            sink.put(&Kind::INPUTS, id, bytes)?;
        } else if let Some((list, id)) = self.inputs.as_list()
            && !sink.has(&id)?
        {
            // The store had it, and lost it since.
            let bytes = list.encode().map_err(|err| AccessError::Other(Box::new(err)))?;
            sink.put(&Kind::INPUTS, &id, &bytes)?;
        }
        sink.put(&Kind::RUN, &self.object, &self.bytes)
    }
}

/// A run that is not to be recorded: its id alone.
///
/// # Errors
/// When the record is above the limits of the format.
pub fn unrecorded(run: &mut Run) -> Result<(Id, Publication), Error> {
    Ok((ClosedRun::of(run)?.object, Publication::Unrecorded))
}

/// Publishes a record that needs nothing but itself: a hit. If that can't be done now it is left in the live folder.
///
/// # Errors
/// When the record is above the limits.
pub fn light(repo: &Repo, snapshot: &Snapshot, run: &mut Run) -> Result<(Id, Publication), Error> {
    let op = repo.new_op();
    let closed = ClosedRun::of(run)?;
    let object = closed.object;
    let published = (|| {
        let intake = repo.store().intake(snapshot);
        closed.put(&intake)?;
        with(repo, snapshot, op, "run", run, object, &Arc::new(intake.finish()?))
    })();
    match published {
        Ok(()) => Ok((object, Publication::Done)),
        Err(err) => Ok((object, leave_new(repo, run, op, &closed.pending(run)?, err))),
    }
}

/// As [`leave`], for a run that has no folder in the live folder.
pub(super) fn leave_alone(repo: &Repo, run: &Run, pending: &Pending, why: Error) -> Publication {
    leave_new(repo, run, repo.new_op(), pending, why)
}

fn leave_new(repo: &Repo, run: &Run, op: OpId, pending: &Pending, why: Error) -> Publication {
    let begun = super::live_folder(repo).begin(super::live::Intent {
        run: run.run.clone(),
        project: run.project.clone(),
        scenario: run.scenario.clone(),
        step: run.step.clone(),
        recipe: run.recipe,
        parent: run.parent.clone(),
        started_at: run.started_at,
        argv: run.argv.clone(),
        cwd: run.cwd.clone(),
        outputs: Vec::new(),
        sets: Vec::new(),
        op: op.to_bytes(),
        owner: repo.world().process.process().clone(),
        open: None,
    });
    match begun {
        Ok(running) => leave(pending, running, why),
        // A hit on a store that can't be written works all the same, unrecorded.
        Err(_) => Publication::Lost(why),
    }
}

/// Leaves a closed run that could not be published because of `why` in the live folder, durable, for the next command. If that can't be
/// written either, the run is lost, and said to be.
pub fn leave(pending: &Pending, running: live::Running, why: Error) -> Publication {
    let left = crate::codec::encode(pending)
        .map_err(|source| Error::Ref { source })
        .and_then(|payload| Ok(running.finished(&payload)?));
    if let Ok(()) = left { Publication::Waiting(why) } else { lost(running, why) }
}

fn lost(running: live::Running, why: Error) -> Publication {
    let _ = running.end();
    Publication::Lost(why)
}

/// What the journal of the workspace says of a run that was recorded.
pub(super) fn line(repo: &Repo, command: &str, run: &Run, object: Id) -> Line {
    let about = format!("{} {}", run.step, crate::object::run::tail(&run.run));
    Line { about, runs: vec![(run.run.clone(), object)], ..Line::of(repo, command) }
}

/// Publishes a run together with what was collected for it. The same operation id twice changes nothing, so any number of
/// processes may try.
///
/// # Errors
/// Whatever the store reports.
pub fn with(
    repo: &Repo,
    known: &Snapshot,
    op: OpId,
    command: &str,
    run: &Run,
    object: Id,
    collected: &Arc<Collected>,
) -> Result<(), Error> {
    repo.store().publish_on(Some(known), op, command, &mut |snapshot| -> Result<Option<Draft>, Error> {
        let mut edits = super::record::edits(snapshot, run, object)?;
        edits.push(
            line(repo, command, run, object).edit(repo, op, run.finished_at).map_err(|source| Error::Ref { source })?,
        );
        // What it is made up of must be on record before it is.
        let relies_on = run.children.values().copied().collect();
        Ok(Some(Draft { relies_on, ..super::draft_of(Arc::clone(collected), edits) }))
    })?;
    Ok(())
}

/// What is recorded beside a run: its recipe, its config, its code.
pub(super) fn beside_of(prepared: &Prepared) -> Pending {
    let mut objects = vec![(Kind::RECIPE, prepared.built.bytes.clone().into())];
    objects.extend(prepared.built.config.iter().map(|(_, bytes)| (Kind::CONFIG, bytes.clone().into())));
    let folder = prepared.config_folder.iter().flat_map(ConfigPart::objects);
    objects.extend(folder.map(|(kind, bytes)| (kind, bytes.into())));
    objects.extend(prepared.code.tree.objects.iter().map(|(_, bytes)| (Kind::TREE, bytes.clone().into())));
    let code = prepared.code.tree.files.iter().map(|(path, id, _)| (path.as_bytes().to_owned(), *id)).collect();
    Pending { run: bstr::BString::default(), objects, code }
}

/// Leaves the record, as far as it is known, in the live folder.
pub(super) fn note_draft(running: &live::Running, draft: &Run, beside: &Pending) -> Result<(), Error> {
    let pending = Pending { objects: beside.objects.clone(), code: beside.code.clone(), ..Pending::of(draft)? };
    let payload = crate::codec::encode(&pending).map_err(|source| Error::Ref { source })?;
    Ok(running.note_draft(&payload)?)
}

/// Puts the record into the store in one transaction; if that can't be done now, leaves it in the live folder.
#[expect(clippy::too_many_arguments, reason = "the last step of one long line")]
pub(super) fn record(
    session: &super::Session<'_>,
    snapshot: &Snapshot,
    intake: Intake,
    op: crate::store::OpId,
    run: &Run,
    closed: &ClosedRun,
    running: live::Running,
    prepared: &Prepared,
) -> Publication {
    let repo = session.repo;
    let beside = |intake: &Intake| -> Result<(), Error> {
        intake.put(&Kind::RECIPE, &prepared.built.id, &prepared.built.bytes)?;
        if let Some((id, bytes)) = &prepared.built.config {
            intake.put(&Kind::CONFIG, id, bytes)?;
        }
        Ok(())
    };
    let pending = || closed.pending(run).map(|alone| Pending { run: alone.run, ..beside_of(prepared) });
    let leave = |running: live::Running, why: Error| match pending() {
        Ok(pending) => leave(&pending, running, why),
        Err(err) => lost(running, err),
    };
    if let Some(batch) = session.batch() {
        return match (beside(&intake), pending()) {
            (Ok(()), Ok(pending)) => batch.add(&Arc::new(run.clone()), closed, intake, Some(running), pending),
            (Ok(()), Err(err)) => lost(running, err),
            (Err(err), _) => leave(running, err),
        };
    }
    let published = (|| {
        beside(&intake)?;
        closed.put(&intake)?;
        let collected = Arc::new(intake.finish()?);
        with(repo, snapshot, op, "run", run, closed.object, &collected)
    })();
    match published {
        Ok(()) => {
            let _ = running.end();
            Publication::Done
        }
        Err(err) => leave(running, err),
    }
}

//! Runs that are closed one by one and made history together: what many runs of one process share.
//!
//! A closed run waits here, and in the live folder of the run around it (in a file with others, or if its own folder holds what its record
//! needs, that: [`super::live::Running::park`]), until [`Batch::flush`] puts all that wait into one transaction, in the order in which they
//! were closed. If this process is killed before, the next command
//! publishes them; a power cut loses them. What they made is known to the runs that follow in this process at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use std::path::PathBuf;

use bstr::{BStr, BString};

use super::observer::Stream;
use super::publish::{self, ClosedRun, Pending, Publication};
use super::{Error, live, record};
use crate::hash::Id;
use crate::object::run::{LinkedBy, Producer, Run};
use crate::path::RelPath;
use crate::repo::Repo;
use crate::store::{Collected, Draft, Intake, RefEdit, Snapshot};

/// Bytes of objects in one transaction, as far as they can be parted.
const MOST: usize = 192 << 10;

/// Closed runs that wait, and the newest state of the store that is known.
#[derive(Debug)]
pub struct Batch<'a> {
    repo: &'a Repo,
    around: Option<live::Running>,
    inner: Mutex<Inner>,
    /// Time between asking a command of these runs to end and killing it; `None` if a command may take its time.
    grace: Option<Duration>,
    /// One transaction at a time, so that runs land in the order in which they were closed.
    turn: Mutex<()>,
    /// Folders of runs that ended, for those to come.
    spares: Mutex<Vec<PathBuf>>,
}

#[derive(Debug)]
struct Inner {
    snapshot: Snapshot,
    waiting: Vec<Waiting>,
    /// What runs of this batch made, by path: it may not be in the snapshot yet.
    made: HashMap<BString, Made>,
    /// Records that could not be published: nothing that names them may be.
    unpublished: HashSet<Id>,
    /// Where closed runs that wait are written down, and how many such files there were.
    closed: Option<live::Closed>,
    files: u64,
}

impl Inner {
    fn wait(
        &mut self,
        run: &Arc<Run>,
        object: Id,
        collected: Collected,
        running: Option<live::Running>,
        pending: Pending,
    ) -> Publication {
        let run = Arc::clone(run);
        for (key, output) in &run.outputs {
            let made = Made { content: output.content.id(), run: run.run.clone(), object, key: key.clone() };
            self.made.insert(output.path.clone(), made);
        }
        self.waiting.push(Waiting { run, object, collected, running, pending });
        Publication::Batched
    }
}

#[derive(Debug)]
struct Made {
    content: Id,
    run: String,
    object: Id,
    key: String,
}

/// A closed run.
#[derive(Debug)]
struct Waiting {
    run: Arc<Run>,
    object: Id,
    collected: Collected,
    /// Its folder in the live folder, and what it keeps.
    running: Option<live::Running>,
    pending: Pending,
}

/// What became of runs that were to be made history.
#[derive(Debug, Default)]
pub struct Flushed {
    /// Those that are on record, in order, with their objects.
    pub done: Vec<(Arc<Run>, Id)>,
    /// Those that are not, and why: they wait in the live folder if it could be written.
    pub failed: Vec<(Arc<Run>, Publication)>,
}

impl<'a> Batch<'a> {
    /// An empty batch. What waits is kept in the live folder of the run `around`, if there is one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn new(repo: &'a Repo, around: Option<live::Running>) -> Result<Self, Error> {
        Ok(Self::on(repo, around, repo.store().snapshot()?))
    }

    /// As [`Batch::new`], by somebody who knows the store as it was a moment ago.
    ///
    /// # Errors
    /// As [`Batch::new`].
    pub fn after(repo: &'a Repo, around: Option<live::Running>, known: &Snapshot) -> Result<Self, Error> {
        Ok(Self::on(repo, around, repo.store().snapshot_since(known)?))
    }

    fn on(repo: &'a Repo, around: Option<live::Running>, snapshot: Snapshot) -> Self {
        let inner = Inner {
            snapshot,
            waiting: Vec::new(),
            made: HashMap::new(),
            unpublished: HashSet::new(),
            closed: None,
            files: 0,
        };
        let spares = Mutex::default();
        Self { repo, around, inner: Mutex::new(inner), grace: None, turn: Mutex::new(()), spares }
    }

    /// The same, its commands killed this long after they were asked to end.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace: Some(grace), ..self }
    }

    /// Time between asking a command of these runs to end and killing it.
    pub(super) fn grace(&self) -> Option<Duration> {
        self.grace
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that panics runs under this lock, and each statement leaves a whole state.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest state of the store that is known here.
    pub fn snapshot(&self) -> Snapshot {
        self.inner().snapshot.clone()
    }

    /// Looks at the store again.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn refresh(&self) -> Result<(), Error> {
        let known = self.snapshot();
        let newest = self.repo.store().snapshot_since(&known)?;
        self.inner().snapshot = newest;
        Ok(())
    }

    /// The run of this batch that made this content at this path, if there is one.
    pub(super) fn producer_of(&self, path: &BStr, content: &Id) -> Option<Producer> {
        let inner = self.inner();
        let made = inner.made.get(path).filter(|made| made.content == *content)?;
        Some(Producer {
            run: made.run.clone(),
            object: Some(made.object),
            key: made.key.clone(),
            linked_by: LinkedBy::Path,
            candidates: Vec::new(),
        })
    }

    /// Whether a run of this batch made the path, or a folder above it.
    pub(super) fn is_output(&self, path: &RelPath) -> bool {
        let inner = self.inner();
        let mut at = Some(path.clone());
        while let Some(here) = at.filter(|here| !here.is_root()) {
            if inner.made.contains_key(BStr::new(here.as_bytes())) {
                return true;
            }
            at = here.parent();
        }
        false
    }

    /// How many runs wait.
    pub fn waiting(&self) -> usize {
        self.inner().waiting.len()
    }

    /// Takes a closed run with everything that was collected for it.
    pub(super) fn add(
        &self,
        run: &Arc<Run>,
        closed: &ClosedRun,
        intake: Intake,
        running: Option<live::Running>,
        pending: Pending,
    ) -> Publication {
        let object = closed.object;
        let collected = match closed.put(&intake).map_err(Error::from) {
            Ok(()) => intake.finish().map_err(Error::from),
            Err(err) => Err(err),
        };
        let collected = match (collected, running) {
            (Ok(collected), Some(running)) => {
                let Some(around) = &self.around else {
                    return self.inner().wait(run, object, collected, Some(running), pending);
                };
                // What it printed is read from its folder, should this process be killed.
                let needs_folder = Stream::ALL.iter().any(|stream| run.logs.contains_key(stream.name()));
                if needs_folder {
                    let running = park(running, around, &pending);
                    return self.inner().wait(run, object, collected, Some(running), pending);
                }
                return self.note(run, object, collected, running, around, pending);
            }
            (Ok(collected), None) => return self.inner().wait(run, object, collected, None, pending),
            (Err(err), Some(running)) => return publish::leave(&pending, running, err),
            (Err(err), None) => err,
        };
        Publication::Lost(collected)
    }

    /// Takes a closed run whose folder nobody needs any more, once it is written down with others.
    fn note(
        &self,
        run: &Arc<Run>,
        object: Id,
        collected: Collected,
        running: live::Running,
        around: &live::Running,
        pending: Pending,
    ) -> Publication {
        let payload = crate::codec::encode(&pending);
        // What is in the file waits: who takes the one takes the other.
        let mut inner = self.inner();
        let is_noted = payload.is_ok_and(|payload| {
            if inner.closed.is_none() {
                inner.closed = around.closed(inner.files).ok();
                inner.files += 1;
            }
            inner.closed.as_mut().is_some_and(|closed| closed.add(&running, &payload).is_ok())
        });
        if !is_noted {
            let running = park(running, around, &pending);
            return inner.wait(run, object, collected, Some(running), pending);
        }
        let publication = inner.wait(run, object, collected, None, pending);
        drop(inner);
        // If it can't be moved away it is found to be that of a finished run.
        if let Ok(Some(spare)) = running.into_spare() {
            self.spares().push(spare);
        }
        publication
    }

    fn spares(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        // Nothing that panics runs under this lock.
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a run of this batch.
    pub(super) fn begin_run(&self, intent: live::Intent) -> Result<live::Running, live::LiveError> {
        let live = super::live_folder(self.repo);
        let spare = self.spares().pop();
        match spare {
            Some(spare) => live.begin_in(spare, intent),
            None => live.begin(intent),
        }
    }

    /// Takes a closed run that needs nothing but itself, e.g. one that others are part of.
    ///
    /// # Errors
    /// When the record is above the limits of the format.
    pub fn add_light(&self, run: &mut Run) -> Result<(Id, Publication), Error> {
        let closed = ClosedRun::of(run)?;
        self.add_closed(&Arc::new(run.clone()), &closed, None)
    }

    /// As [`Batch::add_light`], for a run without inputs, which may have a folder in the live folder.
    ///
    /// # Errors
    /// As [`Batch::add_light`].
    pub fn close(&self, run: &Arc<Run>, running: Option<live::Running>) -> Result<(Id, Publication), Error> {
        self.add_closed(run, &ClosedRun::as_it_is(run)?, running)
    }

    fn add_closed(
        &self,
        run: &Arc<Run>,
        closed: &ClosedRun,
        running: Option<live::Running>,
    ) -> Result<(Id, Publication), Error> {
        let intake = self.repo.store().intake(&self.snapshot());
        let pending = closed.pending(run)?;
        Ok((closed.object, self.add(run, closed, intake, running, pending)))
    }

    /// Begins a run that others are part of: if this process is killed, it is on record as it is known here.
    ///
    /// # Errors
    /// When the live folder can't be written.
    pub fn begin(repo: &Repo, draft: &Run) -> Result<live::Running, Error> {
        let running = super::live_folder(repo).begin(live::Intent {
            run: draft.run.clone(),
            project: draft.project.clone(),
            scenario: draft.scenario.clone(),
            step: draft.step.clone(),
            recipe: None,
            parent: draft.parent.clone(),
            started_at: draft.started_at,
            // What has no words only claims places.
            argv: if draft.argv.is_empty() { vec![draft.step.as_str().into()] } else { draft.argv.clone() },
            cwd: draft.cwd.clone(),
            outputs: Vec::new(),
            sets: Vec::new(),
            op: repo.new_op().to_bytes(),
            owner: repo.world().process.process().clone(),
            open: None,
        })?;
        let nothing = Pending { run: BString::default(), objects: Vec::new(), code: Vec::new() };
        publish::note_draft(&running, draft, &nothing)?;
        Ok(running)
    }

    /// As [`Batch::begin`], as a part of the run around this batch.
    ///
    /// # Errors
    /// As [`Batch::begin`].
    pub fn begin_part(&self, draft: &Run) -> Result<live::Running, Error> {
        let running = Self::begin(self.repo, draft)?;
        Ok(match &self.around {
            Some(around) => running.inside(around),
            None => running,
        })
    }

    /// Makes everything that waits history.
    pub fn flush(&self) -> Flushed {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut flushed = Flushed::default();
        let (waiting, closed) = {
            let mut inner = self.inner();
            (std::mem::take(&mut inner.waiting), inner.closed.take())
        };
        let mut waiting = waiting.into_iter().peekable();
        while waiting.peek().is_some() {
            let (mut chunk, mut size): (Vec<Waiting>, usize) = (Vec::new(), 0);
            while let Some(next) =
                waiting.next_if(|next| chunk.is_empty() || size + next.collected.inline_bytes() <= MOST)
            {
                size += next.collected.inline_bytes();
                chunk.push(next);
            }
            self.publish(chunk, &mut flushed);
        }
        // What could not be published waits in folders of its own by now.
        if let Some(closed) = closed {
            closed.remove();
        }
        flushed
    }

    fn publish(&self, chunk: Vec<Waiting>, flushed: &mut Flushed) {
        let (mut chunk, left) = self.complete(chunk);
        let why = "a part of it could not be recorded";
        self.leave(left, why, flushed);
        if chunk.is_empty() {
            return;
        }
        let known = self.snapshot();
        let collected = chunk.iter_mut().map(|one| std::mem::take(&mut one.collected));
        let collected = Arc::new(Collected::together(collected));
        let published =
            self.repo.store().publish_on(Some(&known), self.repo.new_op(), "pipeline", &mut |snapshot| -> Result<
                Option<Draft>,
                Error,
            > {
                let mut edits: Vec<RefEdit> = Vec::new();
                for one in &chunk {
                    edits.extend(record::edits(snapshot, &one.run, one.object)?);
                }
                // What is said of one thing twice in a transaction was said last.
                let mut seen: HashSet<Vec<u8>> = HashSet::new();
                edits.reverse();
                edits.retain(|edit| seen.insert(edit.key.clone()));
                Ok(Some(super::draft_of(Arc::clone(&collected), edits)))
            });
        match published {
            Ok(_) => {
                for one in chunk {
                    if let Some(running) = one.running {
                        let _ = running.end();
                    }
                    flushed.done.push((one.run, one.object));
                }
                // What can't be read now is known less well, and no worse than that.
                let _ = self.refresh();
            }
            Err(err) => {
                self.inner().unpublished.extend(chunk.iter().map(|one| one.object));
                self.leave(chunk, &super::chain(&err), flushed);
            }
        }
    }

    /// Parts those of which a part could not be published from the others: in history they would name what is not there.
    fn complete(&self, chunk: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
        let mut inner = self.inner();
        if inner.unpublished.is_empty() {
            return (chunk, Vec::new());
        }
        // They were closed from the parts up.
        chunk.into_iter().partition(|one| {
            let is_complete = !one.run.children.values().any(|part| inner.unpublished.contains(part));
            if !is_complete {
                inner.unpublished.insert(one.object);
            }
            is_complete
        })
    }

    /// Leaves runs in the live folder.
    fn leave(&self, chunk: Vec<Waiting>, why: &str, flushed: &mut Flushed) {
        for one in chunk {
            let err = Error::Batch { why: why.to_owned() };
            let publication = match one.running {
                Some(running) => publish::leave(&one.pending, running, err),
                None => publish::leave_alone(self.repo, &one.run, &one.pending, err),
            };
            flushed.failed.push((one.run, publication));
        }
    }

    /// The run around, e.g. to note what it comes to.
    pub fn around(&self) -> Option<&live::Running> {
        self.around.as_ref()
    }

    /// Nothing waits any more: the run around is at its end.
    ///
    /// # Errors
    /// When its folder can't be removed.
    pub fn end(self) -> Result<(), Error> {
        let live = super::live_folder(self.repo);
        for spare in self.spares().drain(..) {
            live.spared(&spare);
        }
        if let Some(around) = self.around {
            around.end()?;
        }
        Ok(())
    }
}

/// Moves a finished run's folder into that of the run around it. If that fails it stays where it is, as the run that it was: the next
/// command would record it as aborted, should this process be killed before it is published.
fn park(running: live::Running, around: &live::Running, pending: &Pending) -> live::Running {
    match crate::codec::encode(pending) {
        Ok(payload) => running.park(around, &payload),
        Err(_) => running,
    }
}

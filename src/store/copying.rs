//! Packs that are copied by several threads (`docs/design/0018-whole-packs.md`): each takes the next portion of one, reads it, verifies every
//! object in it, and writes it when it is its turn. What a thread reads, hashes and writes stays in the memory close to its processor.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use super::backend::{Folder, Staged};
use super::carry::damaged;
use super::entry::{Class, PackRow};
use super::error::Error;
use super::intake::{AddedPack, Intake, fresh_nonce, publish_file};
use super::pack::{self, PackRecord};
use super::snapshot::Snapshot;
use super::sorted::SortedFile;
use super::stretches::{self, STRETCH};
use super::whole::{Layout, Waiting};
use crate::hash::{Id, IdMap};
use crate::object::AccessError;
use crate::progress::{Cancel, Progress};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all threads need.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) intake: &'a Intake,
    pub(super) from: &'a Snapshot,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a Cancel,
}

/// One pack on its way.
struct Copying {
    file: Arc<SortedFile>,
    /// The lists of objects in pieces.
    lists: IdMap<Id>,
    /// In the order of the file.
    records: Vec<(Id, PackRecord)>,
    portions: Vec<Range<usize>>,
    /// Of each portion, if it is remembered what they were when the pack was written.
    digests: Option<Vec<Option<Id>>>,
    /// The next portion that nobody has taken.
    next: AtomicUsize,
    out: Mutex<Out>,
    turned: Condvar,
}

/// Where it goes.
struct Out {
    /// Taken once all is written.
    staged: Option<Box<dyn Staged>>,
    /// Portions that were written.
    written: usize,
    has_failed: bool,
    index: Vec<u8>,
    ids: Vec<Id>,
}

impl Copying {
    fn begin(
        intake: &Intake,
        waiting: Waiting,
        layout: Layout,
        digests: Option<&Vec<Option<Id>>>,
    ) -> Result<Self, AccessError> {
        let Waiting { file, ids, lists } = waiting;
        let portions = layout.portions(file.at_once());
        let digests = digests.filter(|digests| file.at_once() == STRETCH && digests.len() == portions.len()).cloned();
        let Layout { head, records, index } = layout;
        let mut staged = intake.snapshot().store().backend().stage().map_err(Error::from)?;
        staged.write_all(&head)?;
        let out = Out { staged: Some(staged), written: 0, has_failed: false, index, ids };
        let (next, out, turned) = (AtomicUsize::new(0), Mutex::new(out), Condvar::new());
        Ok(Self { file, lists, records, portions, digests, next, out, turned })
    }

    /// Whether there are portions that nobody has taken.
    fn has_more(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.portions.len()
    }

    /// Lets nobody wait for a turn that does not come.
    fn fail(&self) {
        locked(&self.out).has_failed = true;
        self.turned.notify_all();
    }

    /// Takes portions until none is left; who writes the last one is given what completes the file.
    fn work(&self, task: Task<'_>, room: &mut Vec<u8>) -> Result<Option<Written>, AccessError> {
        let fail = Fail(self);
        let written = self.portions(task, room)?;
        std::mem::forget(fail);
        Ok(written)
    }

    fn portions(&self, task: Task<'_>, room: &mut Vec<u8>) -> Result<Option<Written>, AccessError> {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(portion) = self.portions.get(at) else { return Ok(None) };
            if task.cancel.is_raised() {
                return Err(io::Error::from(io::ErrorKind::Interrupted).into());
            }
            let records = &self.records[portion.clone()];
            let bytes =
                self.verified(task.from, records, self.digests.as_ref().and_then(|all| all.get(at)?.as_ref()), room)?;
            let mut out = locked(&self.out);
            while out.written < at && !out.has_failed {
                out = self.turned.wait(out).unwrap_or_else(PoisonError::into_inner);
            }
            // Whoever failed says why.
            let (false, Some(staged)) = (out.has_failed, out.staged.as_mut()) else { return Ok(None) };
            staged.write_all(bytes)?;
            out.written += 1;
            let staged = if out.written == self.portions.len() { out.staged.take() } else { None };
            let written = staged.map(|staged| Written {
                file: Arc::clone(&self.file),
                staged,
                index: std::mem::take(&mut out.index),
                ids: std::mem::take(&mut out.ids),
            });
            drop(out);
            self.turned.notify_all();
            task.progress.add(records.iter().filter(|(_, record)| record.is_blob()).count() as u64);
            if written.is_some() {
                return Ok(written);
            }
        }
    }

    /// The bytes of some objects that lie one after another: as they were written here, or each verified by its id.
    fn verified<'r>(
        &self,
        from: &Snapshot,
        records: &[(Id, PackRecord)],
        digest: Option<&Id>,
        room: &'r mut Vec<u8>,
    ) -> Result<&'r [u8], AccessError> {
        let place = || format!("packs/{}", Folder::Packs.file(&self.file.name()));
        let (Some((first_id, first)), Some((_, last))) = (records.first(), records.last()) else { return Ok(&[]) };
        let len = usize::try_from(last.offset + last.stored_len() - first.offset).unwrap_or(usize::MAX);
        if room.len() < len {
            room.resize(len, 0);
        }
        let bytes = &mut room[..len];
        self.file.raw_into(first.offset, bytes).map_err(|what| damaged(from, first_id, &place(), &what))?;
        let bytes = &*bytes;
        let is_as_written = digest.is_some_and(|digest| stretches::digest(bytes) == *digest);
        for (id, record) in records {
            if is_as_written && !record.is_in_pieces() {
                continue;
            }
            let stored = usize::try_from(record.offset - first.offset).ok().and_then(|at| bytes.get(at..));
            let stored = stored.and_then(|rest| rest.get(..usize::try_from(record.stored_len()).ok()?));
            let stored = stored.ok_or_else(|| "it lies outside of its pack".to_owned());
            let sound = stored.and_then(|stored| match self.lists.get(id) {
                // Nothing but this says where its pieces are: it must be what they were found by.
                Some(list) if record.is_in_pieces() && stored == list.to_bytes() => Ok(()),
                // Listings were gone through before they came to wait: with these ids they are the same.
                _ => pack::check(id, record, stored),
            });
            sound.map_err(|what| damaged(from, id, &place(), &what))?;
        }
        Ok(bytes)
    }
}

/// A pack of which all objects were written.
struct Written {
    file: Arc<SortedFile>,
    staged: Box<dyn Staged>,
    index: Vec<u8>,
    ids: Vec<Id>,
}

impl Written {
    /// Writes its index and gives it its name: waits for the disk.
    fn complete(self, intake: &Intake) -> Result<(), AccessError> {
        let Self { file, mut staged, index, ids } = self;
        let store = intake.snapshot().store();
        staged.write_all(&index)?;
        let (name, end) = file.end_anew(fresh_nonce(store)).map_err(io::Error::other)?;
        staged.write_all(&end)?;
        let row = PackRow(name, Class::Content, 0, staged.position(), file.count());
        publish_file(store.backend(), staged, Folder::Packs, &name)?;
        intake.added(AddedPack { row, ids, stretches: None });
        Ok(())
    }
}

/// Fails a pack when one of the threads at it does.
struct Fail<'a>(&'a Copying);

impl Drop for Fail<'_> {
    fn drop(&mut self) {
        self.0.fail();
    }
}

/// The packs that are to be copied, and what the threads do.
struct Line<'a> {
    task: Task<'a>,
    /// What is remembered of packs.
    stretches: HashMap<Id, Vec<Option<Id>>>,
    queue: Mutex<Queue>,
    news: Condvar,
}

struct Queue {
    packs: VecDeque<Waiting>,
    /// Of which portions may be left.
    open: Vec<Arc<Copying>>,
    /// Threads that may begin another pack.
    beginners: usize,
    is_stopped: bool,
    /// Packs that are being flushed by threads of their own, and how many may be.
    flushing: usize,
    flushing_at_most: usize,
    /// Why one of them could not be completed.
    failed: Option<AccessError>,
    /// Packs that are to be taken apart.
    apart: Vec<Waiting>,
}

/// What a thread does next.
enum Next {
    Begin(Waiting),
    Help(Arc<Copying>),
}

/// Ends the work of all threads when one of them fails.
struct Stop<'a, 'b>(&'a Line<'b>);

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        let mut queue = locked(&self.0.queue);
        queue.is_stopped = true;
        for copying in &queue.open {
            copying.fail();
        }
        drop(queue);
        self.0.news.notify_all();
    }
}

impl Line<'_> {
    /// What there is to do for a thread that may begin packs or not; waits if there may be something later on.
    fn next(&self, is_beginner: &mut bool) -> Option<Next> {
        let mut queue = locked(&self.queue);
        loop {
            if queue.is_stopped {
                return None;
            }
            if *is_beginner {
                if let Some(waiting) = queue.packs.pop_front() {
                    return Some(Next::Begin(waiting));
                }
                *is_beginner = false;
                queue.beginners -= 1;
                self.news.notify_all();
            }
            if let Some(copying) = queue.open.iter().find(|copying| copying.has_more()) {
                return Some(Next::Help(Arc::clone(copying)));
            }
            if queue.beginners == 0 {
                return None;
            }
            queue = self.news.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Completes a pack, by a thread of its own if there may be one more: processors need not wait for the disk.
    fn complete<'s>(&'s self, scope: &'s Scope<'s, '_>, written: Option<Written>) -> Result<(), AccessError> {
        let Some(written) = written else { return Ok(()) };
        let mut queue = locked(&self.queue);
        if queue.flushing >= queue.flushing_at_most {
            drop(queue);
            return written.complete(self.task.intake);
        }
        queue.flushing += 1;
        drop(queue);
        // Should there be no thread, the pack is gone with the error.
        std::thread::Builder::new().spawn_scoped(scope, move || {
            let stop = Stop(self);
            let completed = written.complete(self.task.intake);
            let mut queue = locked(&self.queue);
            queue.flushing -= 1;
            match completed {
                Ok(()) => std::mem::forget(stop),
                Err(err) => {
                    queue.failed.get_or_insert(err);
                    drop(queue);
                    drop(stop);
                }
            }
        })?;
        Ok(())
    }

    fn work<'s>(&'s self, scope: &'s Scope<'s, '_>, mut is_beginner: bool) -> Result<(), AccessError> {
        let mut room = Vec::new();
        let stop = Stop(self);
        while let Some(next) = self.next(&mut is_beginner) {
            match next {
                Next::Help(copying) => {
                    let written = copying.work(self.task, &mut room)?;
                    self.complete(scope, written)?;
                }
                Next::Begin(mut waiting) => {
                    let Some(layout) = Layout::read(&mut waiting) else {
                        locked(&self.queue).apart.push(waiting);
                        continue;
                    };
                    let digests = self.stretches.get(&waiting.file.name());
                    let copying = Arc::new(Copying::begin(self.task.intake, waiting, layout, digests)?);
                    locked(&self.queue).open.push(Arc::clone(&copying));
                    self.news.notify_all();
                    let written = copying.work(self.task, &mut room)?;
                    locked(&self.queue).open.retain(|open| !Arc::ptr_eq(open, &copying));
                    self.complete(scope, written)?;
                }
            }
        }
        std::mem::forget(stop);
        Ok(())
    }
}

/// Copies packs as they are; those that are to be taken apart are given back.
pub(super) fn copy(task: Task<'_>, packs: Vec<Waiting>) -> Result<Vec<Waiting>, AccessError> {
    let store = task.intake.snapshot().store();
    let threads = if task.intake.rules().is_sequential() { 1 } else { rayon::current_num_threads() };
    // A small pack is no work for many.
    let bytes: u64 = packs.iter().map(|pack| pack.file.len()).sum();
    let threads = threads.min(usize::try_from(bytes / super::whole::A_THREAD).unwrap_or(usize::MAX)).max(1);
    let at_once = store.backend().staged_at_once();
    let beginners = threads.min(packs.len()).min(at_once).max(1);
    let queue = Queue {
        packs: packs.into(),
        open: Vec::new(),
        beginners,
        is_stopped: false,
        flushing: 0,
        flushing_at_most: if task.intake.rules().is_sequential() { 0 } else { at_once.saturating_sub(beginners) },
        failed: None,
        apart: Vec::new(),
    };
    let stretches = task.from.store().backend().stretches();
    let line = Line { task, stretches, queue: Mutex::new(queue), news: Condvar::new() };
    std::thread::scope(|scope| {
        let line = &line;
        // Where there can't be more threads, those that are there do it: the first one begins packs in any case.
        let others: Vec<_> = (1..threads)
            .map_while(|at| {
                let spawned = std::thread::Builder::new().spawn_scoped(scope, move || line.work(scope, at < beginners));
                if spawned.is_err() && at < beginners {
                    locked(&line.queue).beginners -= beginners - at;
                    line.news.notify_all();
                }
                spawned.ok()
            })
            .collect();
        let mut result = line.work(scope, true);
        for other in others {
            let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(other);
        }
        result
    })?;
    let Queue { mut apart, failed, .. } = line.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(err) = failed {
        return Err(err);
    }
    apart.sort_unstable_by_key(|waiting| waiting.file.name());
    Ok(apart)
}

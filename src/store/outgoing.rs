//! Content in pieces on its way out: some threads read portions and verify them, the caller's hands them on in their order.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use super::pack::PackRecord;
use super::pieces::Failed;
use super::snapshot::Snapshot;
use super::sorted::SortedFile;
use crate::object::AccessError;
use crate::object::chunks::Piece;

/// Bytes of pieces that are read and handed on together: few enough to be still near the processor. For longer writes the system looks for
/// larger pieces of memory, and first has to make them.
pub(super) const PORTION: usize = 1 << 20;

/// Portions that are under way at once, from the disk or on their way out.
const UNDER_WAY: usize = 12;

/// Bytes that are worth threads of their own.
pub(super) const WORTH_THREADS: u64 = 4 << 20;

/// Where a piece lies.
pub(super) type Located = (Arc<SortedFile>, PackRecord);

/// Pieces that are read together.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// Each with the pack that has it, if one does.
    pub(super) pieces: Vec<(Piece, Option<Located>)>,
    /// Bytes of all of them.
    pub(super) len: usize,
    /// Which of these are handed on.
    pub(super) wanted: Range<usize>,
}

/// Bytes of pieces, one after the other, in room that may be longer.
#[derive(Debug, Default)]
pub(super) struct Read {
    room: Vec<u8>,
    wanted: Range<usize>,
}

impl Read {
    /// Reads a portion into room that is of no use any more: room from the system would have to be cleared first.
    fn of(snapshot: &Snapshot, portion: &Portion, mut room: Vec<u8>) -> Result<Self, Failed> {
        if room.len() < portion.len {
            // Not `resize`, which copies what is of no use: fresh room comes cleared.
            room = vec![0; portion.len];
        }
        let mut rest = room.as_mut_slice();
        for (piece, place) in &portion.pieces {
            let len = usize::try_from(piece.len).unwrap_or(usize::MAX).min(rest.len());
            let (own, others) = rest.split_at_mut(len);
            snapshot.fill(piece, place.as_ref(), own)?;
            rest = others;
        }
        Ok(Self { room, wanted: portion.wanted.clone() })
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), Failed> {
        out.write_all(&self.room[self.wanted.clone()]).map_err(|err| AccessError::from(err).into())
    }
}

/// How portions go out, one after the other.
pub(super) trait Way {
    /// Takes the next portion.
    fn take(&mut self, portion: Portion) -> Result<(), Failed>;
}

/// By one thread.
pub(super) struct Alone<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) out: &'a mut dyn Write,
    pub(super) read: Read,
}

impl Way for Alone<'_> {
    fn take(&mut self, portion: Portion) -> Result<(), Failed> {
        self.read = Read::of(self.snapshot, &portion, std::mem::take(&mut self.read.room))?;
        self.read.write(self.out)
    }
}

/// What the threads share.
type Jobs = Mutex<Receiver<(usize, Portion, Vec<u8>)>>;

/// A portion that a thread took: should the thread end before it is read, nobody waits for it.
struct Owed<'a> {
    number: usize,
    done: &'a Sender<(usize, Result<Read, Failed>)>,
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        let _ = self.done.send((self.number, Err(lost())));
    }
}

fn lost() -> Failed {
    Failed::Other(std::io::Error::other("the thread that read pieces of it ended").into())
}

/// By several threads; this one writes.
pub(super) struct Together<'a> {
    out: &'a mut dyn Write,
    jobs: Sender<(usize, Portion, Vec<u8>)>,
    reads: Receiver<(usize, Result<Read, Failed>)>,
    /// What was read before its turn.
    early: BTreeMap<usize, Read>,
    given: usize,
    written: usize,
    spare: Vec<Vec<u8>>,
    /// If there could be no other thread.
    alone: Option<&'a Snapshot>,
}

impl<'a> Together<'a> {
    /// Begins threads, which end with this.
    pub(super) fn begin<'s>(snapshot: &'s Snapshot, scope: &'s Scope<'s, '_>, out: &'a mut dyn Write) -> Self
    where
        's: 'a,
    {
        let (jobs, todo) = channel();
        let (done, reads) = channel();
        let todo: Arc<Jobs> = Arc::new(Mutex::new(todo));
        // Writing is work for one processor, and more threads than processors get in each other's way. Where others are at work, they have them.
        let is_one_of_many = rayon::current_thread_index().is_some();
        let threads = if is_one_of_many { 1 } else { rayon::current_num_threads().saturating_sub(1).max(1) };
        let mut begun = 0;
        for _ in 0..threads {
            let (todo, done) = (Arc::clone(&todo), done.clone());
            let work = move || {
                loop {
                    let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, portion, room)) = job else { return };
                    let owed = Owed { number, done: &done };
                    let read = Read::of(snapshot, &portion, room);
                    std::mem::forget(owed);
                    if done.send((number, read)).is_err() {
                        return;
                    }
                }
            };
            begun += usize::from(std::thread::Builder::new().spawn_scoped(scope, work).is_ok());
        }
        let alone = (begun == 0).then_some(snapshot);
        Self { out, jobs, reads, early: BTreeMap::new(), given: 0, written: 0, spare: Vec::new(), alone }
    }

    /// Writes the next portion, when it is there.
    fn write_next(&mut self) -> Result<(), Failed> {
        let read = loop {
            if let Some(read) = self.early.remove(&self.written) {
                break read;
            }
            let (number, read) = self.reads.recv().map_err(|_| lost())?;
            self.early.insert(number, read?);
        };
        read.write(self.out)?;
        self.written += 1;
        self.spare.push(read.room);
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<(), Failed> {
        while self.written < self.given {
            self.write_next()?;
        }
        Ok(())
    }
}

impl Way for Together<'_> {
    fn take(&mut self, portion: Portion) -> Result<(), Failed> {
        if let Some(snapshot) = self.alone {
            let read = Read::of(snapshot, &portion, self.spare.pop().unwrap_or_default())?;
            read.write(self.out)?;
            self.spare.push(read.room);
            return Ok(());
        }
        if self.given - self.written >= UNDER_WAY {
            self.write_next()?;
        }
        let job = (self.given, portion, self.spare.pop().unwrap_or_default());
        self.given += 1;
        // Nobody takes it only if all threads are gone, which the next one that is waited for tells.
        let _ = self.jobs.send(job);
        Ok(())
    }
}

//! Taking in content that is too large for one entry of a pack: cut, hashed and compressed on several threads, stored
//! piece by piece, in bounded memory.
//!
//! It comes in batches. While one is read, the one before it is cut, the one before that is hashed, and the one before that is
//! written. Reading is done by whoever asked, so a reader need not be fit for another thread.

use std::io::{self, Read};
use std::ops::Range;

use rayon::prelude::*;

use super::compress;
use super::cut;
use super::intake::Intake;
use super::rules::Rules;
use crate::hash::{self, BlobHasher, Id};
use crate::object::chunks::{self, Piece};
use crate::object::{AccessError, Kind, Sink};

/// Bytes that are read at once and then cut; four times as many are held at most.
const BATCH: usize = 8 << 20;

/// The same where many files are taken at once; one time as many are held.
const SMALL_BATCH: usize = 2 << 20;

/// Bytes that lie in memory.
#[derive(Debug, Default)]
struct Batch {
    /// Room for what the batch before leaves over, as far as [`cut::MOST`], and for what was read behind that. What is not cleared need not
    /// be cleared.
    room: Vec<u8>,
    /// Where in the room the bytes begin and end; before it is cut they are those that were read.
    bounds: Range<usize>,
    /// Whether nothing comes after it.
    is_last: bool,
    /// Where it was cut.
    ranges: Vec<Range<usize>>,
}

impl Batch {
    fn bytes(&self) -> &[u8] {
        &self.room[self.bounds.clone()]
    }

    /// What was read into it.
    fn fresh(&self) -> &[u8] {
        &self.room[cut::MOST..self.bounds.end]
    }

    /// Which of its bytes are no piece yet.
    fn left_over(&self) -> Range<usize> {
        self.bounds.start + self.ranges.last().map_or(0, |range| range.end)..self.bounds.end
    }

    /// Reads the next bytes, `most` of them.
    fn read(mut room: Vec<u8>, most: usize, reader: &mut dyn Read) -> io::Result<Self> {
        let end = cut::MOST + most;
        if room.len() < end {
            // Fresh room comes cleared from the system, as far as it is used.
            room = vec![0; end];
        }
        let mut len = cut::MOST;
        while len < end {
            match reader.read(&mut room[len..end]) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(Self { room, bounds: cut::MOST..len, is_last: len < end, ranges: Vec::new() })
    }

    /// Cuts it. `rest`, what the batch before left over, is less than the longest piece, and comes first.
    fn cut(&mut self, rest: &[u8], rules: &Rules) {
        let start = cut::MOST - rest.len();
        self.room[start..cut::MOST].copy_from_slice(rest);
        self.bounds.start = start;
        self.ranges = rules.cut(self.bytes(), self.is_last);
    }
}

/// One piece: where it lies in the batch and what is known of it.
#[derive(Debug)]
struct Cut {
    id: Id,
    range: Range<usize>,
    /// Whether the store lacks it.
    is_fresh: bool,
    /// Its compressed form, if it is fresh and that pays.
    packed: Option<Vec<u8>>,
}

/// What is known of a blob on its way in.
#[derive(Debug)]
struct Taking<'a> {
    intake: &'a Intake,
    /// How long it has to be.
    len: u64,
    /// How much of it was read.
    read: u64,
    hasher: BlobHasher,
    pieces: Vec<Piece>,
}

impl Taking<'_> {
    /// Reads the next batch into `room`. What is longer than it may be is not read to its end.
    fn next(&mut self, room: Vec<u8>, most: usize, reader: &mut dyn Read) -> Result<Batch, AccessError> {
        let batch = Batch::read(room, most, reader)?;
        self.read += batch.fresh().len() as u64;
        if self.read > self.len { Err(AccessError::Changed) } else { Ok(batch) }
    }

    fn keep(&mut self, cuts: &[Cut]) {
        self.pieces.extend(cuts.iter().map(|cut| Piece { id: cut.id, len: cut.range.len() as u64 }));
    }

    /// Takes all of it by one thread, in one room.
    fn one_by_one(&mut self, reader: &mut dyn Read) -> Result<(), AccessError> {
        let mut batch = self.next(Vec::new(), SMALL_BATCH, reader)?;
        let mut rest = Vec::new();
        loop {
            batch.cut(&rest, self.intake.rules());
            let bytes = batch.bytes();
            let cuts =
                batch.ranges.iter().map(|range| self.intake.look(bytes, range)).collect::<Result<Vec<_>, _>>()?;
            self.hasher.update(batch.fresh());
            self.intake.write(&batch, &cuts)?;
            self.keep(&cuts);
            if batch.is_last {
                return Ok(());
            }
            rest.clear();
            rest.extend_from_slice(&batch.room[batch.left_over()]);
            batch = self.next(batch.room, SMALL_BATCH, reader)?;
        }
    }

    /// Takes all of it by as many threads as there are.
    fn side_by_side(&mut self, reader: &mut dyn Read) -> Result<(), AccessError> {
        let intake = self.intake;
        let mut spare = Vec::new();
        let mut uncut = Some(self.next(Vec::new(), BATCH, reader)?);
        let mut unknown: Option<Batch> = None;
        let mut waiting: Option<(Batch, Vec<Cut>)> = None;
        while uncut.is_some() || unknown.is_some() || waiting.is_some() {
            let is_more = uncut.as_ref().is_some_and(|batch| !batch.is_last);
            let room = std::mem::take(&mut spare);
            let (mut wrote, mut cuts, mut next) = (Ok(()), Ok(Vec::new()), None);
            let (being_cut, known, done) = (&mut uncut, &unknown, &waiting);
            // The hasher goes to another thread, so it is not part of what reads on.
            let mut hasher = std::mem::take(&mut self.hasher);
            let (wrote_to, cuts_to, hashed) = (&mut wrote, &mut cuts, &mut hasher);
            rayon::in_place_scope(|scope| {
                // What takes longest begins first.
                if let Some(batch) = being_cut {
                    let rest = known.as_ref().map_or(&[][..], |before| &before.room[before.left_over()]);
                    scope.spawn(move |_| batch.cut(rest, intake.rules()));
                }
                if let Some((batch, cuts)) = done {
                    scope.spawn(move |_| *wrote_to = intake.write(batch, cuts));
                }
                if let Some(batch) = known {
                    scope.spawn(move |_| hashed.update(batch.fresh()));
                    let look = |range: &Range<usize>| intake.look(batch.bytes(), range);
                    scope.spawn(move |_| *cuts_to = batch.ranges.par_iter().map(look).collect::<Result<Vec<_>, _>>());
                }
                if is_more {
                    next = Some(self.next(room, BATCH, reader));
                }
            });
            self.hasher = hasher;
            wrote?;
            let cuts = cuts?;
            self.keep(&cuts);
            spare = waiting.take().map(|(batch, _)| batch.room).unwrap_or_default();
            waiting = unknown.take().map(|batch| (batch, cuts));
            unknown = uncut.take();
            uncut = next.transpose()?;
        }
        Ok(())
    }
}

impl Intake {
    /// Takes a blob in pieces from `reader`, which must yield exactly `len` bytes, those of `expected` if that is known. Returns their id.
    ///
    /// Of content that turns out to be another, pieces may stay in the packs that are being written: as good as any
    /// content that nothing names.
    pub(super) fn put_large(&self, expected: Option<&Id>, len: u64, reader: &mut dyn Read) -> Result<Id, AccessError> {
        let mut taking = Taking { intake: self, len, read: 0, hasher: BlobHasher::new(), pieces: Vec::new() };
        // Where many files are taken at once, each by its own thread, all threads have enough to do.
        if self.rules().is_sequential() || rayon::current_thread_index().is_some() {
            taking.one_by_one(reader)?;
        } else {
            taking.side_by_side(reader)?;
        }
        let Taking { hasher, pieces, .. } = taking;
        let id = hasher.id();
        if hasher.len() != len || expected.is_some_and(|expected| *expected != id) {
            return Err(AccessError::Changed);
        }
        if expected.is_none() && self.has(&id)? {
            return Ok(id);
        }
        let built = chunks::build(pieces).map_err(|err| AccessError::Other(Box::new(err)))?;
        for (list, bytes) in &built.objects {
            self.put(&Kind::CHUNKS, list, bytes)?;
        }
        self.put_pieces(&id, len, &built.root).map(|()| id)
    }

    fn look(&self, bytes: &[u8], range: &Range<usize>) -> Result<Cut, AccessError> {
        let bytes = &bytes[range.clone()];
        let id = hash::blob(bytes);
        let is_fresh = !self.has(&id)?;
        let packed = if is_fresh { compress::compress(bytes) } else { None };
        Ok(Cut { id, range: range.clone(), is_fresh, packed })
    }

    /// Stores the pieces of a batch that the store lacks.
    fn write(&self, batch: &Batch, cuts: &[Cut]) -> Result<(), AccessError> {
        cuts.iter().filter(|cut| cut.is_fresh).try_for_each(|cut| {
            self.put_packed(&Kind::BLOB, &cut.id, &batch.bytes()[cut.range.clone()], cut.packed.as_deref())
        })
    }
}

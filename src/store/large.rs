//! Taking in content that is too large for one entry of a pack: cut, hashed and compressed on several threads, stored
//! piece by piece, in bounded memory.
//!
//! While the pieces of one batch are hashed, the batch before it is written and the one after it is read and cut.

use std::io::{self, Read};
use std::ops::Range;

use rayon::prelude::*;

use super::compress;
use super::cut;
use super::intake::Intake;
use crate::hash::{self, BlobHasher, Id};
use crate::object::chunks::{self, Piece};
use crate::object::{AccessError, Kind, Sink};

/// Bytes that are read at once and then cut; four times as many are held at most.
const BATCH: usize = 8 << 20;

/// The same where many files are taken at once.
const SMALL_BATCH: usize = 2 << 20;

/// Bytes that lie in memory, cut.
#[derive(Debug, Default)]
struct Batch {
    /// Room, of which the first `len` bytes count: what is not cleared need not be cleared.
    room: Vec<u8>,
    len: usize,
    /// How many of them the batch before left over.
    carried: usize,
    ranges: Vec<Range<usize>>,
    is_last: bool,
}

impl Batch {
    fn bytes(&self) -> &[u8] {
        &self.room[..self.len]
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

impl Intake {
    /// Takes a blob in pieces from `reader`, which must yield exactly `len` bytes, those of `expected` if that is known. Returns their id.
    ///
    /// Of content that turns out to be another, pieces may stay in the packs that are being written: as good as any
    /// content that nothing names.
    pub(super) fn put_large(&self, expected: Option<&Id>, len: u64, reader: &mut dyn Read) -> Result<Id, AccessError> {
        // Where many files are taken at once, each by its own thread, all threads have enough to do.
        let is_alone = !self.rules().is_sequential() && rayon::current_thread_index().is_none();
        let most = if is_alone { BATCH } else { SMALL_BATCH };
        let mut hasher = BlobHasher::new();
        let mut pieces = Vec::new();
        let mut seen = 0;
        let mut spare = Vec::new();
        let mut waiting: Option<(Batch, Vec<Cut>)> = None;
        let mut batch = self.next_batch(&Batch::default(), Vec::new(), most, reader)?;
        loop {
            seen += (batch.len - batch.carried) as u64;
            if seen > len {
                return Err(AccessError::Changed);
            }
            let (bytes, hasher) = (batch.bytes(), &mut hasher);
            let look = |range: &Range<usize>| self.look(bytes, range);
            let (mut wrote, mut cuts) = (Ok(()), Ok(Vec::new()));
            let mut write = || {
                if let Some((before, cuts)) = &waiting {
                    wrote = self.write(before, cuts);
                }
            };
            let room = std::mem::take(&mut spare);
            let mut ahead = |room| -> Result<Option<Batch>, AccessError> {
                if batch.is_last { Ok(None) } else { self.next_batch(&batch, room, most, reader).map(Some) }
            };
            let next = if is_alone {
                let cuts = &mut cuts;
                rayon::in_place_scope(|scope| {
                    // What takes longest begins first.
                    scope.spawn(|_| write());
                    scope.spawn(|_| hasher.update(&bytes[batch.carried..]));
                    scope.spawn(|_| *cuts = batch.ranges.par_iter().map(look).collect::<Result<Vec<_>, _>>());
                    ahead(room)
                })
            } else {
                cuts = batch.ranges.iter().map(look).collect();
                hasher.update(&bytes[batch.carried..]);
                write();
                ahead(room)
            };
            wrote?;
            let (next, cuts) = (next?, cuts?);
            spare = waiting.take().map(|(before, _)| before.room).unwrap_or_default();
            pieces.extend(cuts.iter().map(|cut| Piece { id: cut.id, len: cut.range.len() as u64 }));
            let Some(next) = next else {
                self.write(&batch, &cuts)?;
                break;
            };
            waiting = Some((std::mem::replace(&mut batch, next), cuts));
        }
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

    /// What `before` left over and the next bytes, `most` of them, cut; `room` is used for them.
    fn next_batch(
        &self,
        before: &Batch,
        room: Vec<u8>,
        most: usize,
        reader: &mut dyn Read,
    ) -> Result<Batch, AccessError> {
        let rest = &before.bytes()[before.ranges.last().map_or(0, |range| range.end)..];
        let end = rest.len() + most;
        // Fresh room comes cleared from the system, as far as it is used.
        let mut room = if room.len() < end { vec![0; end.max(most + cut::MOST)] } else { room };
        room[..rest.len()].copy_from_slice(rest);
        let mut len = rest.len();
        while len < end {
            match reader.read(&mut room[len..end]) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err.into()),
            }
        }
        let is_last = len < end;
        let ranges = self.rules().cut(&room[..len], is_last);
        Ok(Batch { carried: rest.len(), room, len, ranges, is_last })
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

//! Taking in content that is too large for one entry of a pack: cut, hashed and compressed on several threads, stored
//! piece by piece, in bounded memory.

use std::io::Read;

use rayon::prelude::*;

use super::compress;
use super::cut;
use super::intake::Intake;
use crate::hash::{self, BlobHasher, Id};
use crate::object::chunks::{self, Piece};
use crate::object::{AccessError, Kind, Sink};

/// Bytes that are read at once and then cut; up to twice as many are held.
const BATCH: usize = 8 << 20;

/// One piece: where it lies in the batch and what is known of it.
struct Cut<'a> {
    id: Id,
    bytes: &'a [u8],
    /// Whether the store lacks it.
    is_fresh: bool,
    /// Its compressed form, if it is fresh and that pays.
    packed: Option<Vec<u8>>,
}

impl Intake {
    /// Takes a blob in pieces from `reader`, which must yield exactly the `len` bytes of `id`.
    ///
    /// Of content that turns out to be another, pieces may stay in the packs that are being written: as good as any
    /// content that nothing names.
    pub(super) fn put_large(&self, id: &Id, len: u64, reader: &mut dyn Read) -> Result<(), AccessError> {
        let rules = self.rules();
        let mut hasher = BlobHasher::new();
        let mut pieces = Vec::new();
        let mut buffer = Vec::with_capacity(BATCH + cut::MOST);
        loop {
            let carried = buffer.len();
            reader.take(BATCH as u64).read_to_end(&mut buffer)?;
            let is_last = buffer.len() - carried < BATCH;
            if hasher.len() + (buffer.len() - carried) as u64 > len {
                return Err(AccessError::Changed);
            }
            let ranges = rules.cut(&buffer, is_last);
            let look = |range: &std::ops::Range<usize>| -> Result<Cut<'_>, AccessError> {
                let bytes = &buffer[range.clone()];
                let id = hash::blob(bytes);
                let is_fresh = !self.has(&id)?;
                let packed = if is_fresh { compress::compress(bytes) } else { None };
                Ok(Cut { id, bytes, is_fresh, packed })
            };
            let (cuts, ()) = if rules.is_sequential() {
                (ranges.iter().map(look).collect(), hasher.update(&buffer[carried..]))
            } else {
                rayon::join(
                    || ranges.par_iter().map(look).collect::<Result<Vec<_>, _>>(),
                    || hasher.update(&buffer[carried..]),
                )
            };
            for cut in cuts? {
                if cut.is_fresh {
                    self.put_packed(&Kind::BLOB, &cut.id, cut.bytes, cut.packed.as_deref())?;
                }
                pieces.push(Piece { id: cut.id, len: cut.bytes.len() as u64 });
            }
            buffer.drain(..ranges.last().map_or(0, |range| range.end));
            if is_last {
                break;
            }
        }
        if hasher.len() != len || hasher.id() != *id {
            return Err(AccessError::Changed);
        }
        let built = chunks::build(pieces).map_err(|err| AccessError::Other(Box::new(err)))?;
        for (list, bytes) in &built.objects {
            self.put(&Kind::CHUNKS, list, bytes)?;
        }
        self.put_pieces(id, len, &built.root)
    }
}

//! The pieces of a large blob in order: a search tree over content-defined chunks.
//!
//! Every piece at the bottom is a blob of its own, named by the digest of its bytes, so equal stretches of two files
//! are one object. A list of more than [`MAX_PIECES`] pieces is cut after pieces chosen by their own ids, so that an edit
//! in the middle of a file changes few lists. That a list makes up a certain blob is a *claim*: it counts once the whole was
//! hashed by whoever writes it down (`docs/format.md`, section 7.1); each piece is verified whenever it is read.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Link, Record, Strength, envelope};
use crate::codec::{self, Limits};
use crate::hash::Id;

/// Pieces of one list at most, a constant of the format.
pub const MAX_PIECES: usize = 1024;

/// Pieces of one list before a cut is possible, a constant of the format: lists above get shorter for sure.
const MIN_PIECES: usize = 64;

/// A piece ends its list when the first four bytes of its digest, big-endian, are divisible by this. A constant of the format.
const CUT: u32 = 256;

/// Bytes of one piece at the bottom at most: what a reader must be ready to hold. A constant of the format.
pub const PIECE_MAX: u64 = 16 << 20;

/// Levels above the bottom at most.
const MAX_LEVEL: u8 = 8;

/// One piece: a blob, or on higher levels a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The object.
    pub id: Id,
    /// Bytes of the large blob that it stands for; never 0.
    pub len: u64,
}

/// One list of pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunks {
    /// 0 if the pieces are blobs; else they are lists one level lower.
    pub level: u8,
    /// 1 to [`MAX_PIECES`] of them.
    pub pieces: Vec<Piece>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Link and length.
    #[serde(rename = "c")]
    pieces: Vec<(u32, u64)>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    level: Option<u8>,
}

impl Chunks {
    /// What the pieces are.
    fn piece_kind(&self) -> Kind {
        if self.level == 0 { Kind::BLOB } else { Kind::CHUNKS }
    }

    /// Bytes of all pieces; `None` if no file is that long.
    fn total(&self) -> Option<u64> {
        self.pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(piece.len))
    }
}

impl Record for Chunks {
    const KIND: Kind = Kind::CHUNKS;

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        let kind = self.piece_kind();
        let link = |piece: &Piece| Link(piece.id, kind.clone(), Strength::Content);
        let links = envelope::sorted(self.pieces.iter().map(link).collect());
        let position = |piece: &Piece| {
            let at = links.binary_search(&link(piece)).unwrap_or(0);
            u32::try_from(at).unwrap_or(u32::MAX)
        };
        let pieces = self.pieces.iter().map(|piece| (position(piece), piece.len)).collect();
        let body = codec::encode(&Body { pieces, level: (self.level > 0).then_some(self.level) })?;
        Ok((links, body))
    }

    fn from_parts(links: &[Link], body: &[u8]) -> Result<Self, Error> {
        let invalid = |rule: &str| Error::Invalid { kind: Kind::CHUNKS, rule: rule.to_owned() };
        let body: Body =
            codec::decode(body, &Limits::RECORD).map_err(|source| Error::Damaged { kind: Kind::CHUNKS, source })?;
        if body.level == Some(0) || body.level.is_some_and(|level| level > MAX_LEVEL) {
            return Err(invalid("its level is one of 1 to 8, or left out"));
        }
        if body.pieces.is_empty() || body.pieces.len() > MAX_PIECES {
            return Err(invalid("it has 1 to 1024 pieces"));
        }
        let mut chunks = Chunks { level: body.level.unwrap_or(0), pieces: Vec::with_capacity(body.pieces.len()) };
        let kind = chunks.piece_kind();
        for (at, len) in body.pieces {
            let link = links
                .get(at as usize)
                .filter(|link| *link.kind() == kind && link.strength() == Strength::Content)
                .ok_or_else(|| invalid("a piece refers to a link of its kind"))?;
            if len == 0 || (chunks.level == 0 && len > PIECE_MAX) {
                return Err(invalid("a piece is not empty, and a blob of at most 16 MiB"));
            }
            chunks.pieces.push(Piece { id: link.id(), len });
        }
        chunks.total().ok_or_else(|| invalid("its pieces make up a possible length"))?;
        Ok(chunks)
    }
}

/// The lists of a large blob, ready to be stored, those below before those above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The list that stands for the blob.
    pub root: Id,
    /// Encoded lists.
    pub objects: Vec<(Id, Vec<u8>)>,
}

/// Makes the lists of a blob from its pieces in order.
///
/// # Errors
/// When there is no piece, or one that no list may hold.
pub fn build(pieces: Vec<Piece>) -> Result<Built, Error> {
    let mut objects = Vec::new();
    let mut store = |level: u8, pieces: Vec<Piece>| -> Result<Piece, Error> {
        let list = Chunks { level, pieces };
        let bytes = list.encode()?;
        // What can't be read back must not be written.
        Chunks::decode(&bytes)?;
        let piece = Piece { id: super::id_of(&Kind::CHUNKS, &bytes), len: list.total().unwrap_or(u64::MAX) };
        objects.push((piece.id, bytes));
        Ok(piece)
    };
    let mut level = 0;
    let mut pieces = pieces;
    while pieces.len() > MAX_PIECES {
        let lists = cut(pieces);
        pieces = lists.into_iter().map(|list| store(level, list)).collect::<Result<_, _>>()?;
        level += 1;
    }
    let root = store(level, pieces)?.id;
    Ok(Built { root, objects })
}

/// Cuts a list after every piece whose digest says so, not before [`MIN_PIECES`], and after [`MAX_PIECES`].
fn cut(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let mut lists = Vec::new();
    let mut list = Vec::new();
    for piece in pieces {
        let [a, b, c, d, ..] = *piece.id.digest();
        list.push(piece);
        let ends = list.len() >= MIN_PIECES && u32::from_be_bytes([a, b, c, d]).is_multiple_of(CUT);
        if ends || list.len() == MAX_PIECES {
            lists.push(std::mem::take(&mut list));
        }
    }
    if !list.is_empty() {
        lists.push(list);
    }
    lists
}

/// Why the pieces of a blob can't be gone through.
#[derive(Debug)]
pub enum WalkError<E> {
    /// Reading a list failed, or who takes the pieces did.
    Other(E),
    /// A list is not what it should be.
    Object(Error),
}

/// Hands the blobs that make up the bytes `range` of a blob of `len` bytes to `each`, in order, with the position at
/// which each begins; lists outside of the range are not read. `read` gives the bytes of a list, verified by its id.
///
/// # Errors
/// What `read` and `each` report; lists that do not fit together or do not make up `len` bytes.
pub fn walk<E>(
    root: &Id,
    len: u64,
    range: Range<u64>,
    read: &mut dyn FnMut(&Id) -> Result<Vec<u8>, E>,
    each: &mut dyn FnMut(u64, Piece) -> Result<(), E>,
) -> Result<(), WalkError<E>> {
    let invalid = |rule: &str| WalkError::Object(Error::Invalid { kind: Kind::CHUNKS, rule: rule.to_owned() });
    // Where a list begins, the list, and the level that it must have.
    let mut todo = vec![(0u64, Piece { id: *root, len }, None::<u8>)];
    while let Some((start, piece, level)) = todo.pop() {
        let end = start.saturating_add(piece.len);
        if end <= range.start || start >= range.end {
            continue;
        }
        let list = Chunks::decode(&read(&piece.id).map_err(WalkError::Other)?).map_err(WalkError::Object)?;
        if list.total() != Some(piece.len) || level.is_some_and(|level| level != list.level) {
            return Err(invalid("a list has the length and level that are said of it"));
        }
        let mut at = start;
        let mut below = Vec::new();
        for piece in list.pieces {
            if list.level > 0 {
                below.push((at, piece, Some(list.level - 1)));
            } else if at < range.end && at + piece.len > range.start {
                each(at, piece).map_err(WalkError::Other)?;
            }
            at += piece.len;
        }
        todo.extend(below.into_iter().rev());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::hash;

    fn pieces(count: usize, seed: u64) -> Vec<Piece> {
        (0..count as u64)
            .map(|i| Piece { id: hash::blob(&(seed ^ (i << 20)).to_le_bytes()), len: 1 + (i * 7919) % 5000 })
            .collect()
    }

    fn walked(built: &Built, len: u64, range: Range<u64>) -> (Vec<(u64, Piece)>, usize) {
        let objects: HashMap<Id, Vec<u8>> = built.objects.iter().cloned().collect();
        let (mut found, mut reads) = (Vec::new(), 0);
        let mut read = |id: &Id| {
            reads += 1;
            objects.get(id).cloned().ok_or(())
        };
        walk(&built.root, len, range, &mut read, &mut |at, piece| {
            found.push((at, piece));
            Ok(())
        })
        .unwrap();
        (found, reads)
    }

    fn total(pieces: &[Piece]) -> u64 {
        pieces.iter().map(|piece| piece.len).sum()
    }

    #[test]
    fn lists_give_back_their_pieces() {
        for count in [1, 2, 63, 64, 1024, 1025, 20_000] {
            let all = pieces(count, 5);
            let built = build(all.clone()).unwrap();
            let (found, _) = walked(&built, total(&all), 0..total(&all));
            assert_eq!(found.iter().map(|(_, piece)| *piece).collect::<Vec<_>>(), all);
            let mut at = 0;
            for (start, piece) in found {
                assert_eq!(start, at);
                at += piece.len;
            }
        }
    }

    #[test]
    fn a_range_reads_few_lists() {
        let all = pieces(20_000, 5);
        let built = build(all.clone()).unwrap();
        let middle = total(&all) / 2;
        let (found, reads) = walked(&built, total(&all), middle..middle + 1);
        assert_eq!(found.len(), 1);
        assert!(found[0].0 <= middle && middle < found[0].0 + found[0].1.len);
        assert!(reads <= 3, "{reads}");
        assert!(walked(&built, total(&all), 0..0).0.is_empty());
    }

    #[test]
    fn an_edit_in_the_middle_changes_few_lists() {
        let before = pieces(20_000, 5);
        let mut after = before.clone();
        after.insert(10_000, Piece { id: hash::blob(b"new"), len: 9 });
        let old: std::collections::HashSet<Id> = build(before).unwrap().objects.iter().map(|(id, _)| *id).collect();
        let fresh = build(after).unwrap().objects.into_iter().filter(|(id, _)| !old.contains(id)).count();
        assert!(fresh <= 6, "{fresh}");
    }

    #[test]
    fn the_same_piece_over_and_over_ends() {
        // An id that asks for a cut every time.
        let all = vec![Piece { id: Id::ZERO, len: 3 }; 5_000];
        let built = build(all.clone()).unwrap();
        assert_eq!(walked(&built, 15_000, 0..15_000).0.len(), all.len());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let all = pieces(3, 1);
        let built = build(all.clone()).unwrap();
        let bytes = built.objects[0].1.clone();
        let mut each = |_, _| Ok::<(), ()>(());
        for wrong in [total(&all) - 1, total(&all) + 1, 0] {
            let walked = walk(&built.root, wrong, 0..u64::MAX, &mut |_| Ok(bytes.clone()), &mut each);
            assert!(wrong == 0 || matches!(walked, Err(WalkError::Object(_))), "{wrong}");
        }
        // A list that leads to itself: no level and no length lets it pass.
        let itself = Chunks { level: 1, pieces: vec![Piece { id: built.root, len: 5 }] }.encode().unwrap();
        let walked = walk(&built.root, 5, 0..5, &mut |_| Ok(itself.clone()), &mut each);
        assert!(matches!(walked, Err(WalkError::Object(_))));
        for bad in [
            Chunks { level: 0, pieces: vec![] },
            Chunks { level: 0, pieces: vec![Piece { id: built.root, len: 0 }] },
            Chunks { level: 0, pieces: vec![Piece { id: built.root, len: PIECE_MAX + 1 }] },
            Chunks { level: 9, pieces: pieces(1, 1) },
            Chunks { level: 1, pieces: vec![Piece { id: built.root, len: u64::MAX }; 2] },
            Chunks { level: 0, pieces: pieces(MAX_PIECES + 1, 1) },
        ] {
            assert!(Chunks::decode(&bad.encode().unwrap()).is_err(), "{}", bad.pieces.len());
        }
        assert!(build(Vec::new()).is_err());
    }

    #[test]
    fn ids_of_lists_are_part_of_the_format() {
        let small = build(pieces(3, 1)).unwrap();
        let large = build(pieces(5_000, 1)).unwrap();
        assert_eq!(small.root.to_string(), "f63437a34e6c3c5d3354a612a2cd669f0acea34c74ccdb64dcb2d0e9714b5393");
        assert_eq!(large.root.to_string(), "13537dc3ad3369aeb1955672e5400089077e636d55f26f0b4c9403a82affe3d9");
        assert_eq!(large.objects.len(), 22);
    }

    proptest! {
        #[test]
        fn canonical(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(chunks) = Chunks::decode(&bytes) {
                prop_assert_eq!(chunks.encode().unwrap(), bytes);
            }
        }

        #[test]
        fn round_trip(lens in proptest::collection::vec(1..PIECE_MAX, 1..50), level in 0..=MAX_LEVEL) {
            let pieces = lens.iter().map(|&len| Piece { id: hash::blob(&len.to_le_bytes()), len }).collect();
            let chunks = Chunks { level, pieces };
            prop_assert_eq!(Chunks::decode(&chunks.encode().unwrap()).unwrap(), chunks);
        }
    }
}

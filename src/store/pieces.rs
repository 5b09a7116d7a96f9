//! Content that is stored in pieces: reading it, whole or in part, and storing it again.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::intake::Intake;
use super::pack::{self, PackRecord};
use super::snapshot::Snapshot;
use super::sorted::{Broken, SortedFile};
use crate::hash::Id;
use crate::object::chunks::{self, Piece, WalkError};
use crate::object::{AccessError, Kind, Sink, Source};

/// Bytes of pieces that are read at once, by all threads; twice as much is held.
const BATCH: usize = 8 << 20;

/// Bytes that are handed on with one write: for longer ones the system looks for larger pieces of memory, and first has to make them.
const WRITE: usize = 1 << 20;

/// Why content in pieces could not be handed on.
#[derive(Debug)]
pub(super) enum Failed {
    /// A list or a piece is missing or wrong.
    Broken(Broken),
    /// What takes the bytes failed, or the store can't be read.
    Other(AccessError),
}

impl From<AccessError> for Failed {
    fn from(err: AccessError) -> Self {
        match err {
            AccessError::Damaged { .. } => Self::Broken(err.to_string()),
            err => Self::Other(err),
        }
    }
}

impl Snapshot {
    /// Streams the bytes `range` of a blob into `out`, verified; `None` if the blob is not here, else how many bytes
    /// there are in that range. Of content in pieces only those that the range touches are read.
    ///
    /// # Errors
    /// When the bytes are damaged, `out` has already taken some of them: throw them away.
    pub fn copy_range(&self, id: &Id, range: Range<u64>, out: &mut dyn Write) -> Result<Option<u64>, AccessError> {
        let Some((_, len)) = self.header(id)? else { return Ok(None) };
        let end = range.end.min(len);
        let range = range.start.min(end)..end;
        if let Some((file, record)) = self.packed(id)?
            && record.is_in_pieces()
            && let Ok(list) = pack::pieces(&file, &record)
        {
            match self.copy_pieces(&list, record.len, range.clone(), out) {
                Ok(()) => return Ok(Some(range.end - range.start)),
                Err(Failed::Other(err)) => return Err(err),
                Err(Failed::Broken(what)) => {
                    let place = format!("packs/{}", super::Folder::Packs.file(&file.name()));
                    return Err(AccessError::Damaged { id: *id, place, what });
                }
            }
        }
        let mut window = Window { at: 0, range: range.clone(), out };
        Ok(self.copy(id, &mut window)?.map(|_| range.end - range.start))
    }

    /// Streams the bytes `range` of the blob of `len` bytes whose list of pieces is `list`; every piece is verified
    /// before its bytes are handed on. Reads what comes next while `out` takes what came before.
    pub(super) fn copy_pieces(
        &self,
        list: &Id,
        len: u64,
        range: Range<u64>,
        out: &mut dyn Write,
    ) -> Result<(), Failed> {
        let mut copying = Copying {
            snapshot: self,
            out,
            hint: None,
            next: Batch::default(),
            read: Read::default(),
            spare: Vec::new(),
        };
        let mut batch = Batch::default();
        self.walk_pieces(list, len, range.clone(), &mut |at, piece| {
            let part = part(at, piece.len, &range);
            if batch.pieces.is_empty() {
                batch.wanted = part.start..part.end;
            }
            batch.wanted.end = batch.len + part.end;
            batch.len += usize::try_from(piece.len).unwrap_or(usize::MAX);
            let place = copying.locate(&piece.id)?;
            batch.pieces.push((piece, place));
            if batch.len >= BATCH { copying.turn(std::mem::take(&mut batch)) } else { Ok(()) }
        })?;
        copying.turn(batch)?;
        copying.turn(Batch::default())?;
        copying.turn(Batch::default())
    }

    /// Fills `room` with a piece. It lies at `place`, if that was found.
    fn fill(
        &self,
        piece: &Piece,
        place: Option<&(Arc<SortedFile>, PackRecord)>,
        room: &mut [u8],
    ) -> Result<(), Failed> {
        if let Some((file, record)) = place
            && pack::read_into(file, &piece.id, record, room).is_ok()
        {
            return Ok(());
        }
        // It lies in an entry, or what is there is damaged, or not what the list says: another copy is looked for, and all is told.
        room.copy_from_slice(&self.read_piece(piece)?);
        Ok(())
    }

    fn read_piece(&self, piece: &Piece) -> Result<Vec<u8>, Failed> {
        match self.read_as(&piece.id, false)? {
            Some((kind, bytes)) if kind == Kind::BLOB && bytes.len() as u64 == piece.len => Ok(bytes),
            Some(_) => Err(Failed::Broken(format!("its piece {} is another one than its list says", piece.id))),
            None => Err(Failed::Broken(format!("its piece {} is missing", piece.id))),
        }
    }

    /// Hands the pieces of a blob to `each`.
    pub(super) fn walk_pieces(
        &self,
        list: &Id,
        len: u64,
        range: Range<u64>,
        each: &mut dyn FnMut(u64, Piece) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut read = |id: &Id| match self.read_as(id, false)? {
            Some((kind, bytes)) if kind == Kind::CHUNKS => Ok(bytes),
            Some((kind, _)) => Err(Failed::Broken(format!("its list of pieces {id} is a {kind}"))),
            None => Err(Failed::Broken(format!("its list of pieces {id} is missing"))),
        };
        chunks::walk(list, len, range, &mut read, each).map_err(|err| match err {
            WalkError::Other(err) => err,
            WalkError::Object(err) => Failed::Broken(err.to_string()),
        })
    }

    /// Hands the ids of all lists and pieces of a blob to `each`.
    pub(super) fn walk_lists(&self, list: &Id, len: u64, each: &mut dyn FnMut(Id)) -> Result<(), Failed> {
        let each = std::cell::RefCell::new(each);
        let mut read = |id: &Id| {
            (each.borrow_mut())(*id);
            match self.read_as(id, false)? {
                Some((kind, bytes)) if kind == Kind::CHUNKS => Ok(bytes),
                _ => Err(Failed::Broken(format!("the list of pieces {id} is missing"))),
            }
        };
        let mut piece = |_, piece: Piece| {
            (each.borrow_mut())(piece.id);
            Ok(())
        };
        chunks::walk(list, len, 0..len, &mut read, &mut piece).map_err(|err| match err {
            WalkError::Other(err) => err,
            WalkError::Object(err) => Failed::Broken(err.to_string()),
        })
    }

    /// Puts an object that lies in a pack that nothing new may rely on into `intake`; `false` if its bytes are not to
    /// be had any more.
    pub(super) fn store_again(&self, id: &Id, intake: &Intake) -> Result<bool, AccessError> {
        let Some((file, record)) = self.packed(id)? else { return Ok(false) };
        if !record.is_in_pieces() {
            let Ok(bytes) = pack::read(&file, id, &record) else { return Ok(false) };
            intake.put(&record.kind, id, &bytes)?;
            return Ok(true);
        }
        let Ok(list) = pack::pieces(&file, &record) else { return Ok(false) };
        match self.store_pieces_again(&list, record.len, intake) {
            Ok(()) => intake.put_pieces(id, record.len, &list).map(|()| true),
            Err(Failed::Broken(_)) => Ok(false),
            Err(Failed::Other(err)) => Err(err),
        }
    }

    /// Makes sure that lists and pieces of a blob can be relied on.
    fn store_pieces_again(&self, list: &Id, len: u64, intake: &Intake) -> Result<(), Failed> {
        let mut lists = Vec::new();
        let mut read = |id: &Id| {
            let found = self.read_as(id, false)?.filter(|(kind, _)| *kind == Kind::CHUNKS);
            let (_, bytes) = found.ok_or_else(|| Failed::Broken(format!("its list of pieces {id} is missing")))?;
            lists.push((*id, bytes.clone()));
            Ok(bytes)
        };
        let mut each = |_, piece: Piece| {
            if !intake.has(&piece.id)? {
                intake.put(&Kind::BLOB, &piece.id, &self.read_piece(&piece)?)?;
            }
            Ok(())
        };
        chunks::walk(list, len, 0..len, &mut read, &mut each).map_err(|err| match err {
            WalkError::Other(err) => err,
            WalkError::Object(err) => Failed::Broken(err.to_string()),
        })?;
        for (id, bytes) in lists {
            intake.put(&Kind::CHUNKS, &id, &bytes)?;
        }
        Ok(())
    }
}

/// Pieces that are read together.
#[derive(Debug, Default)]
struct Batch {
    /// Each with the pack that has it, if one does.
    pieces: Vec<(Piece, Option<(Arc<SortedFile>, PackRecord)>)>,
    /// Bytes of all of them.
    len: usize,
    /// Which of these are handed on.
    wanted: Range<usize>,
}

/// Bytes of pieces, one after the other.
#[derive(Debug, Default)]
struct Read {
    bytes: Vec<u8>,
    wanted: Range<usize>,
}

/// Content in pieces on its way out: one batch is on its way from the disk, one is read and verified, one is handed on.
struct Copying<'a> {
    snapshot: &'a Snapshot,
    out: &'a mut dyn Write,
    /// The pack that the last piece was in: the next one mostly is, too.
    hint: Option<Arc<SortedFile>>,
    next: Batch,
    read: Read,
    /// Room that is of no use at the moment. Room from the system would have to be cleared first.
    spare: Vec<u8>,
}

impl Copying<'_> {
    /// The pack that has a piece. It is said to be needed soon.
    fn locate(&mut self, id: &Id) -> Result<Option<(Arc<SortedFile>, PackRecord)>, Failed> {
        let hinted = self.hint.as_ref().and_then(|file| Some((Arc::clone(file), pack::find(file, id).ok()??)));
        let place = match hinted {
            Some(place) => Some(place),
            None => self.snapshot.packed(id)?,
        };
        if let Some((file, record)) = &place {
            file.will_need(record.offset, record.stored_len());
            self.hint = Some(Arc::clone(file));
        }
        Ok(place)
    }

    /// Reads the batch that was given before, hands on the one before that, and keeps this one for the next turn.
    fn turn(&mut self, batch: Batch) -> Result<(), Failed> {
        let Batch { pieces, len, wanted } = std::mem::replace(&mut self.next, batch);
        let mut bytes = std::mem::take(&mut self.spare);
        if bytes.len() < len {
            // Not `resize`, which copies what is of no use: fresh room comes cleared.
            bytes = vec![0; len];
        }
        let (mut rooms, mut rest) = (Vec::with_capacity(pieces.len()), bytes.as_mut_slice());
        for (piece, _) in &pieces {
            let (room, others) = rest.split_at_mut(usize::try_from(piece.len).unwrap_or(usize::MAX).min(rest.len()));
            rooms.push(room);
            rest = others;
        }
        let snapshot = self.snapshot;
        let (out, read) = (&mut *self.out, &self.read);
        let mut write = || {
            let mut parts = read.bytes[read.wanted.clone()].chunks(WRITE);
            parts.try_for_each(|part| out.write_all(part)).map_err(AccessError::from)
        };
        let fill =
            |((piece, place), room): (&(Piece, Option<_>), &mut [u8])| snapshot.fill(piece, place.as_ref(), room);
        if pieces.len() < 2 || snapshot.store().rules().is_sequential() {
            write()?;
            pieces.iter().zip(rooms).try_for_each(fill)?;
        } else {
            let mut filled = Ok(());
            let written = rayon::in_place_scope(|scope| {
                scope.spawn(|_| filled = pieces.par_iter().zip(rooms).try_for_each(fill));
                write()
            });
            written?;
            filled?;
        }
        self.spare = std::mem::replace(&mut self.read, Read { bytes, wanted }).bytes;
        Ok(())
    }
}

/// Lets through the bytes of a range only.
struct Window<'a> {
    at: u64,
    range: Range<u64>,
    out: &'a mut dyn Write,
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let part = part(self.at, bytes.len() as u64, &self.range);
        self.out.write_all(&bytes[part])?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Which of `len` bytes that begin at `at` lie in `range`.
fn part(at: u64, len: u64, range: &Range<u64>) -> Range<usize> {
    let bound = |position: u64| usize::try_from(position.saturating_sub(at).min(len)).unwrap_or(usize::MAX);
    bound(range.start)..bound(range.end)
}

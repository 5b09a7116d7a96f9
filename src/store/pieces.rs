//! Content that is stored in pieces: reading it, whole or in part, and storing it again.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use super::intake::Intake;
use super::outgoing::{Alone, Located, PORTION, Portion, Read, Together, WORTH_THREADS, Way};
use super::pack;
use super::snapshot::Snapshot;
use super::sorted::{Broken, SortedFile};
use crate::hash::Id;
use crate::object::chunks::{self, Piece, WalkError};
use crate::object::{AccessError, Kind, Sink, Source};

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
        if range.end - range.start < WORTH_THREADS || self.store().rules().is_sequential() {
            return self.copy_portions(list, len, range, &mut Alone { snapshot: self, out, read: Read::default() });
        }
        std::thread::scope(|scope| {
            let mut together = Together::begin(self, scope, out);
            self.copy_portions(list, len, range, &mut together)?;
            together.finish()
        })
    }

    /// Hands portions of the pieces of `list` to `way`, in their order.
    fn copy_portions(&self, list: &Id, len: u64, range: Range<u64>, way: &mut dyn Way) -> Result<(), Failed> {
        let (mut portion, mut hint) = (Portion::default(), None);
        self.walk_pieces(list, len, range.clone(), &mut |at, piece| {
            let part = part(at, piece.len, &range);
            if portion.pieces.is_empty() {
                portion.wanted = part.start..part.end;
            }
            portion.wanted.end = portion.len + part.end;
            portion.len += usize::try_from(piece.len).unwrap_or(usize::MAX);
            let place = self.locate(&piece.id, &mut hint)?;
            portion.pieces.push((piece, place));
            if portion.len >= PORTION { way.take(std::mem::take(&mut portion)) } else { Ok(()) }
        })?;
        if portion.pieces.is_empty() { Ok(()) } else { way.take(portion) }
    }

    /// The pack that has a piece, mostly the one that had the piece before. It is said to be needed soon.
    fn locate(&self, id: &Id, hint: &mut Option<Arc<SortedFile>>) -> Result<Option<Located>, Failed> {
        let hinted = hint.as_ref().and_then(|file| Some((Arc::clone(file), pack::find(file, id).ok()??)));
        let place = match hinted {
            Some(place) => Some(place),
            None => self.packed(id)?,
        };
        if let Some((file, record)) = &place {
            file.will_need(record.offset, record.stored_len());
            *hint = Some(Arc::clone(file));
        }
        Ok(place)
    }

    /// Fills `room` with a piece. It lies at `place`, if that was found.
    pub(super) fn fill(&self, piece: &Piece, place: Option<&Located>, room: &mut [u8]) -> Result<(), Failed> {
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

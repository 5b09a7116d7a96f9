//! Content that is stored in pieces: reading it, whole or in part, and storing it again.

use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;

use super::intake::Intake;
use super::pack;
use super::snapshot::Snapshot;
use super::sorted::Broken;
use crate::hash::Id;
use crate::object::chunks::{self, Piece, WalkError};
use crate::object::{AccessError, Kind, Sink, Source};

/// Bytes of pieces that are read at once, by all threads; twice as much is held.
const BATCH: u64 = 8 << 20;

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
        let mut batch: Vec<(Range<usize>, Piece)> = Vec::new();
        let mut waiting: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        self.walk_pieces(list, len, range.clone(), &mut |at, piece| {
            let part = part(at, piece.len, &range);
            bytes += piece.len;
            batch.push((part, piece));
            if bytes >= BATCH {
                bytes = 0;
                waiting = self.exchange(&std::mem::take(&mut batch), &waiting, out)?;
            }
            Ok(())
        })?;
        waiting = self.exchange(&batch, &waiting, out)?;
        self.exchange(&[], &waiting, out).map(drop)
    }

    /// Reads the pieces of `batch` and meanwhile writes what `waiting` holds.
    #[expect(clippy::type_complexity, reason = "parts of pieces, to be read and read")]
    fn exchange(
        &self,
        batch: &[(Range<usize>, Piece)],
        waiting: &[(Range<usize>, Vec<u8>)],
        out: &mut dyn Write,
    ) -> Result<Vec<(Range<usize>, Vec<u8>)>, Failed> {
        let write = |out: &mut dyn Write| {
            waiting.iter().try_for_each(|(part, bytes)| out.write_all(&bytes[part.clone()])).map_err(AccessError::from)
        };
        let read = |(part, piece): &(Range<usize>, Piece)| Ok((part.clone(), self.read_piece(piece)?));
        if batch.len() < 2 || self.store().rules().is_sequential() {
            write(out)?;
            return batch.iter().map(read).collect();
        }
        let mut found = Ok(Vec::new());
        let written = rayon::in_place_scope(|scope| {
            scope.spawn(|_| found = batch.par_iter().map(read).collect());
            write(out)
        });
        written?;
        found
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

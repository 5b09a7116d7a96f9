//! Where bytes may still be: files that nothing names, files put aside, other stores.

use std::io::{self, Read};
use std::sync::Arc;

use super::super::Store;
use super::super::backend::{Backend, Folder};
use super::super::intake::Intake;
use super::super::pack::{self, PackRecord};
use super::super::snapshot::Snapshot;
use super::super::sorted::SortedFile;
use crate::hash::Id;
use crate::object::{AccessError, Kind, Sink, Source};

/// Packs that are not part of the state: whatever is in them proves itself by its id.
#[derive(Debug)]
pub(super) struct Strays {
    pub(super) files: Vec<Arc<SortedFile>>,
}

impl Strays {
    /// Packs that no entry names, and packs in quarantine, of `snapshot`'s store.
    pub(super) fn find(snapshot: &Snapshot) -> Self {
        let backend = snapshot.store().backend();
        let state = snapshot.state();
        let mut files = Vec::new();
        for folder in [Folder::Packs, Folder::Quarantine] {
            for name in backend.names(folder).unwrap_or_default() {
                if folder == Folder::Packs && Folder::Packs.parse(&name).is_some_and(|id| state.has_pack(&id)) {
                    continue;
                }
                if let Some(file) = identified(backend, folder, &name, pack::MAGIC) {
                    files.push(Arc::new(file));
                }
            }
        }
        Self { files }
    }

    /// Puts an object from a stray pack into `intake`; `false` if none has it whole.
    pub(super) fn put(&self, id: &Id, intake: &Intake) -> Result<bool, AccessError> {
        for file in &self.files {
            if let Ok(Some(record)) = pack::find(file, id)
                && put_entry(file, id, &record, intake)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A sorted file under whatever name, if it is one of a kind.
pub(in crate::store) fn identified(
    backend: &dyn Backend,
    folder: Folder,
    name: &str,
    magic: [u8; 8],
) -> Option<SortedFile> {
    let file = SortedFile::identify(backend.open(folder, name).ok().flatten()?).ok()?;
    (file.raw(0, 8).ok()? == magic).then_some(file)
}

/// Puts an entry of a pack into `intake` if its bytes are right. Of content in pieces only the claim: list and pieces are objects of their
/// own.
pub(in crate::store) fn put_entry(
    file: &Arc<SortedFile>,
    id: &Id,
    record: &PackRecord,
    intake: &Intake,
) -> Result<bool, AccessError> {
    if record.is_in_pieces() {
        let Ok(list) = pack::pieces(file, record) else { return Ok(false) };
        if !intake.has(&list)? {
            return Ok(false);
        }
        if !intake.has(id)? {
            intake.put_pieces(id, record.len, &list)?;
        }
        return Ok(true);
    }
    if record.kind == Kind::BLOB && record.len > intake.rules().whole_max() && record.stored_len() == record.len {
        let mut reader = Stored { file, at: record.offset, end: record.offset + record.len };
        return match intake.put_blob(id, record.len, &mut reader) {
            Ok(()) => Ok(true),
            Err(AccessError::Changed) => Ok(false),
            Err(err) => Err(err),
        };
    }
    let Ok(bytes) = pack::read(file, id, record) else { return Ok(false) };
    intake.put(&record.kind, id, &bytes)?;
    Ok(true)
}

/// Stored bytes of a pack; what can't be read reads as zeros, which the digest notices.
struct Stored<'a> {
    file: &'a SortedFile,
    at: u64,
    end: u64,
}

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        if self.file.raw_into(self.at, &mut buffer[..size]).is_err() {
            buffer[..size].fill(0);
        }
        self.at += size as u64;
        Ok(size)
    }
}

/// Puts an object of another store into `intake`, verified; `false` if it has it not, or not whole.
pub(super) fn put_from(other: &Store, id: &Id, intake: &Intake) -> Result<bool, AccessError> {
    let Ok(snapshot) = other.snapshot() else { return Ok(false) };
    let Ok(Some((kind, len))) = snapshot.header(id) else { return Ok(false) };
    if kind == Kind::BLOB && len > intake.rules().whole_max() {
        let mut reader = Elsewhere::new(&snapshot, *id, len);
        return match intake.put_blob(id, len, &mut reader) {
            Ok(()) => Ok(true),
            Err(AccessError::Changed) => Ok(false),
            Err(err) => Err(err),
        };
    }
    match snapshot.read(id) {
        Ok(Some((kind, bytes))) => intake.put(&kind, id, &bytes).map(|()| true),
        _ => Ok(false),
    }
}

/// Bytes of a blob that are read at once.
const WINDOW: u64 = 8 << 20;

/// A blob of another store, read window by window; ends early where it can't be read.
pub(in crate::store) struct Elsewhere<'a> {
    snapshot: &'a Snapshot,
    id: Id,
    at: u64,
    len: u64,
    buffer: Vec<u8>,
    taken: usize,
}

impl<'a> Elsewhere<'a> {
    /// The blob `id` of `len` bytes.
    pub(in crate::store) fn new(snapshot: &'a Snapshot, id: Id, len: u64) -> Self {
        Self { snapshot, id, at: 0, len, buffer: Vec::new(), taken: 0 }
    }
}

impl Read for Elsewhere<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() && self.at < self.len {
            self.buffer.clear();
            self.taken = 0;
            let end = self.len.min(self.at + WINDOW);
            if self.snapshot.copy_range(&self.id, self.at..end, &mut self.buffer).is_err() {
                return Ok(0);
            }
            self.at = end;
        }
        let size = (self.buffer.len() - self.taken).min(buffer.len());
        buffer[..size].copy_from_slice(&self.buffer[self.taken..self.taken + size]);
        self.taken += size;
        Ok(size)
    }
}

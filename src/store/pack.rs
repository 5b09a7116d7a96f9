//! Packs: stored bytes of objects one after another, and a sorted index of them (`docs/format.md`, section 7.1).

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::backend::Staged;
use super::entry::Class;
use super::sorted::{Broken, Finished, SortedFile, Writer, varint};
use crate::hash::{BlobHasher, Id};
use crate::object::{Kind, verify};

pub(super) const MAGIC: [u8; 8] = *b"provpck1";

/// Bytes of objects after which a pack is closed and another begun.
pub(super) const PACK_BYTES: u64 = 64 << 20;

/// Objects after which a pack is closed: its index is in memory until then.
pub(super) const PACK_OBJECTS: usize = 1 << 16;

/// Bytes of an object that is read into memory at most, if it is a record.
const RECORD_MAX: u64 = 16 << 20;

const CHUNK: usize = 128 << 10;

/// Stored as it is.
const PLAIN: u64 = 0;

/// What the index says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackRecord {
    codec: u64,
    pub(super) offset: u64,
    stored: u64,
    pub(super) len: u64,
    pub(super) kind: Kind,
}

impl PackRecord {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        for number in [self.codec, self.offset, self.stored, self.len] {
            varint::put(&mut out, number);
        }
        out.extend_from_slice(self.kind.as_str().as_bytes());
        out
    }

    /// Reads a record of the index back; it must lie in the data of `file`.
    pub(super) fn parse(value: &[u8], file: &SortedFile) -> Result<Self, Broken> {
        let malformed = || "an entry of its index is malformed".to_owned();
        let mut rest = value;
        let mut number = || varint::take(&mut rest).ok_or_else(malformed);
        let (codec, offset, stored, len) = (number()?, number()?, number()?, number()?);
        let kind = std::str::from_utf8(rest).ok().and_then(Kind::new).ok_or_else(malformed)?;
        if codec != PLAIN {
            return Err(format!("it holds an entry of codec {codec}, which this prov does not know"));
        }
        if stored != len || offset < 8 || offset.checked_add(stored).is_none_or(|end| end > file.data_end()) {
            return Err(malformed());
        }
        Ok(Self { codec, offset, stored, len, kind })
    }
}

/// What the index says of the object `id`.
pub(super) fn find(file: &SortedFile, id: &Id) -> Result<Option<PackRecord>, Broken> {
    file.get(&id.to_bytes())?.map(|value| PackRecord::parse(&value, file)).transpose()
}

/// The bytes of an object, verified by its id.
pub(super) fn read(file: &SortedFile, id: &Id, record: &PackRecord) -> Result<Vec<u8>, Broken> {
    if record.kind != Kind::BLOB && record.len > RECORD_MAX {
        return Err("a record is too large".to_owned());
    }
    let bytes = file.raw(record.offset, record.len)?;
    verify(id, &record.kind, &bytes).map_err(|err| err.to_string())?;
    Ok(bytes)
}

/// Why a blob could not be streamed.
#[derive(Debug)]
pub(super) enum CopyError {
    /// The pack is damaged.
    Broken(Broken),
    /// What takes the bytes failed.
    Out(io::Error),
}

/// Streams the bytes of an object into `out`; an error if they are not those of its id.
pub(super) fn copy(file: &SortedFile, id: &Id, record: &PackRecord, out: &mut dyn Write) -> Result<(), CopyError> {
    if record.kind != Kind::BLOB {
        let bytes = read(file, id, record).map_err(CopyError::Broken)?;
        return out.write_all(&bytes).map_err(CopyError::Out);
    }
    let mut hasher = BlobHasher::new();
    let mut buffer = vec![0; CHUNK.min(usize::try_from(record.len).unwrap_or(CHUNK))];
    let mut done = 0;
    while done < record.len {
        let size = usize::try_from(record.len - done).unwrap_or(CHUNK).min(CHUNK);
        file.raw_into(record.offset + done, &mut buffer[..size]).map_err(CopyError::Broken)?;
        hasher.update(&buffer[..size]);
        out.write_all(&buffer[..size]).map_err(CopyError::Out)?;
        done += size as u64;
    }
    if hasher.id() == *id {
        Ok(())
    } else {
        Err(CopyError::Broken(format!("the bytes of {id} do not have the digest that is its name")))
    }
}

/// A pack being written.
#[derive(Debug)]
pub(super) struct PackWriter {
    writer: Writer,
    class: Class,
    index: Vec<(Id, PackRecord)>,
}

/// Why a blob was not taken into a pack.
#[derive(Debug)]
pub(super) enum TakeError {
    /// The bytes are not those announced; the pack is as it was before.
    Changed,
    /// What gives the bytes failed; the pack is as it was before.
    Reader(io::Error),
    /// The pack can't be written; it is of no use any more.
    Pack(io::Error),
}

impl PackWriter {
    pub(super) fn new(out: Box<dyn Staged>, class: Class) -> io::Result<Self> {
        Ok(Self { writer: Writer::new(out, MAGIC)?, class, index: Vec::new() })
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether there is room for `len` more bytes; an empty pack takes anything.
    pub(super) fn has_room(&self, len: u64) -> bool {
        self.index.is_empty() || (self.writer.position() + len <= PACK_BYTES && self.index.len() < PACK_OBJECTS)
    }

    fn note(&mut self, id: Id, kind: &Kind, offset: u64, len: u64) {
        self.index.push((id, PackRecord { codec: PLAIN, offset, stored: len, len, kind: kind.clone() }));
    }

    /// Appends an object whose bytes are right.
    pub(super) fn put(&mut self, id: &Id, kind: &Kind, bytes: &[u8]) -> io::Result<()> {
        let offset = self.writer.position();
        self.writer.data().write_all(bytes)?;
        self.note(*id, kind, offset, bytes.len() as u64);
        Ok(())
    }

    /// Appends a blob from `reader`, which must yield exactly the `len` bytes of `id`.
    pub(super) fn take(&mut self, id: &Id, len: u64, reader: &mut dyn Read) -> Result<(), TakeError> {
        let offset = self.writer.position();
        let mut hasher = BlobHasher::new();
        let mut buffer = vec![0; CHUNK];
        let result = loop {
            match reader.read(&mut buffer) {
                Ok(0) if hasher.len() == len && hasher.id() == *id => break Ok(()),
                Ok(0) => break Err(TakeError::Changed),
                Ok(n) if hasher.len() + n as u64 > len => break Err(TakeError::Changed),
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    self.writer.data().write_all(&buffer[..n]).map_err(TakeError::Pack)?;
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => break Err(TakeError::Reader(err)),
            }
        };
        match result {
            Ok(()) => self.note(*id, &Kind::BLOB, offset, len),
            Err(_) => self.writer.data().truncate(offset).map_err(TakeError::Pack)?,
        }
        result
    }

    /// Appends an object from another pack, verified on the way.
    pub(super) fn copy(&mut self, from: &SortedFile, id: &Id, record: &PackRecord) -> Result<(), CopyError> {
        let offset = self.writer.position();
        copy(from, id, record, &mut self.writer.data())?;
        self.note(*id, &record.kind, offset, record.len);
        Ok(())
    }

    /// Writes the index; returns the file and the ids in it.
    pub(super) fn finish(mut self, nonce: [u8; 16]) -> io::Result<(Finished, Vec<Id>)> {
        self.index.sort_unstable_by_key(|(id, _)| *id);
        for (id, record) in &self.index {
            self.writer.record(&id.to_bytes(), &record.encode())?;
        }
        Ok((self.writer.finish(nonce)?, self.index.into_iter().map(|(id, _)| id).collect()))
    }
}

/// Hands every object of a pack to `each`, in the order of ids.
pub(super) fn for_each<E>(
    file: &Arc<SortedFile>,
    each: &mut dyn FnMut(Id, PackRecord) -> Result<(), E>,
    broken: &dyn Fn(Broken) -> E,
) -> Result<(), E> {
    let mut cursor = super::sorted::Cursor::forward(file, b"").map_err(broken)?;
    while let Some((key, value)) = cursor.record() {
        let id = Id::from_bytes(key).ok_or_else(|| broken("a key of its index is not an id".to_owned()))?;
        let record = PackRecord::parse(value, file).map_err(broken)?;
        each(id, record)?;
        cursor.advance().map_err(broken)?;
    }
    Ok(())
}

//! Packs: stored bytes of objects one after another, and a sorted index of them (`docs/format.md`, section 7.1).

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;

use super::backend::Staged;
use super::compress;
use super::entry::Class;
use super::sorted::{Broken, Finished, SortedFile, Writer, varint};
use super::stretches::{Stretches, Stretching};
use crate::hash::{BlobHasher, ID_LEN, Id};
use crate::object::{Kind, id_of, verify};

pub(super) const MAGIC: [u8; 8] = *b"provpck1";

/// Bytes of objects after which a pack is closed and another begun.
pub(super) const PACK_BYTES: u64 = 64 << 20;

/// Objects after which a pack is closed: its index is in memory until then.
pub(super) const PACK_OBJECTS: usize = 1 << 16;

/// Bytes of an object that is read into memory at most, if it is a record.
const RECORD_MAX: u64 = 16 << 20;

const CHUNK: usize = 128 << 10;

thread_local! {
    /// Room for what is streamed: room from the system has to be cleared each time, which takes as long as hashing what comes into it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How the bytes of an object are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    /// As they are.
    Plain = 0,
    /// As one zstd frame.
    Zstd = 1,
    /// As the id of the list of its pieces, which are objects of their own.
    Pieces = 2,
}

/// What the index says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackRecord {
    codec: Codec,
    pub(super) offset: u64,
    stored: u64,
    pub(super) len: u64,
    pub(super) kind: Kind,
}

impl PackRecord {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        for number in [self.codec as u64, self.offset, self.stored, self.len] {
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
        let (codec, is_sound) = match codec {
            0 => (Codec::Plain, stored == len),
            1 => (Codec::Zstd, stored < len && len <= compress::MOST),
            2 => (Codec::Pieces, stored == ID_LEN as u64 && len > 0 && kind == Kind::BLOB),
            _ => return Err(format!("it holds an entry of codec {codec}, which this prov does not know")),
        };
        if !is_sound || offset < 8 || offset.checked_add(stored).is_none_or(|end| end > file.data_end()) {
            return Err(malformed());
        }
        Ok(Self { codec, offset, stored, len, kind })
    }

    /// Whether it is stored as a list of pieces, which [`pieces`] names.
    pub(super) fn is_in_pieces(&self) -> bool {
        self.codec == Codec::Pieces
    }

    /// Whether its stored bytes are its bytes, so that it can be streamed whatever its size.
    fn is_plain_blob(&self) -> bool {
        self.codec == Codec::Plain && self.kind == Kind::BLOB
    }

    /// Whether it is content, and no listing.
    pub(super) fn is_blob(&self) -> bool {
        self.kind == Kind::BLOB
    }

    /// Bytes that it takes in the pack.
    pub(super) fn stored_len(&self) -> u64 {
        self.stored
    }

    /// Whether its stored bytes are one compressed frame.
    pub(super) fn is_compressed(&self) -> bool {
        self.codec == Codec::Zstd
    }
}

/// What the index says of the object `id`.
pub(super) fn find(file: &SortedFile, id: &Id) -> Result<Option<PackRecord>, Broken> {
    file.get(&id.to_bytes())?.map(|value| PackRecord::parse(&value, file)).transpose()
}

/// The list of pieces of an object that is stored so.
pub(super) fn pieces(file: &SortedFile, record: &PackRecord) -> Result<Id, Broken> {
    Id::from_bytes(&file.raw(record.offset, record.stored)?)
        .ok_or_else(|| "an entry names no list of pieces".to_owned())
}

/// The bytes of an object, verified by its id. What is in pieces can't be read from its pack alone.
pub(super) fn read(file: &SortedFile, id: &Id, record: &PackRecord) -> Result<Vec<u8>, Broken> {
    if record.kind != Kind::BLOB && record.len > RECORD_MAX {
        return Err("a record is too large".to_owned());
    }
    let stored = file.raw(record.offset, record.stored)?;
    if record.codec == Codec::Plain {
        verify(id, &record.kind, &stored).map_err(|err| err.to_string())?;
        return Ok(stored);
    }
    unpack(id, record, &stored)
}

/// The bytes of an object of which the stored ones are at hand, verified by its id.
pub(super) fn unpack(id: &Id, record: &PackRecord, stored: &[u8]) -> Result<Vec<u8>, Broken> {
    if record.kind != Kind::BLOB && record.len > RECORD_MAX {
        return Err("a record is too large".to_owned());
    }
    let bytes = match record.codec {
        Codec::Plain => stored.to_vec(),
        Codec::Zstd => compress::decompress(stored, record.len)?,
        Codec::Pieces => return Err("an object in pieces is not read whole".to_owned()),
    };
    verify(id, &record.kind, &bytes).map_err(|err| err.to_string())?;
    Ok(bytes)
}

/// As [`unpack`], for someone who is shown the bytes once they are verified; what that says is given back.
pub(super) fn show<T>(
    id: &Id,
    record: &PackRecord,
    stored: &[u8],
    to: &mut dyn FnMut(&[u8]) -> T,
) -> Result<T, Broken> {
    if record.codec != Codec::Plain || (record.kind != Kind::BLOB && record.len > RECORD_MAX) {
        return unpack(id, record, stored).map(|bytes| to(&bytes));
    }
    verify(id, &record.kind, stored).map_err(|err| err.to_string())?;
    Ok(to(stored))
}

/// Checks the stored bytes of an object by its id, and nothing else; of one in pieces they say nothing.
pub(super) fn check(id: &Id, record: &PackRecord, stored: &[u8]) -> Result<(), Broken> {
    let found = match record.codec {
        Codec::Plain => id_of(&record.kind, stored),
        Codec::Zstd => compress::show(stored, record.len, |bytes| id_of(&record.kind, bytes))?,
        Codec::Pieces => return Err("an object in pieces is not read whole".to_owned()),
    };
    if found == *id { Ok(()) } else { Err("its bytes do not have the digest that is its name".to_owned()) }
}

/// Reads a blob of exactly the length of `room` into it, verified by its id. What is in pieces can't be read from its pack alone.
pub(super) fn read_into(file: &SortedFile, id: &Id, record: &PackRecord, room: &mut [u8]) -> Result<(), Broken> {
    if record.kind != Kind::BLOB || record.len != room.len() as u64 {
        return Err("an object is not what is said of it".to_owned());
    }
    match record.codec {
        Codec::Plain => file.raw_into(record.offset, room)?,
        Codec::Zstd => {
            let stored = file.raw(record.offset, record.stored)?;
            compress::decompress_into(&stored, room)?;
        }
        Codec::Pieces => return Err("an object in pieces is not read whole".to_owned()),
    }
    verify(id, &record.kind, room).map_err(|err| err.to_string())
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
    if !record.is_plain_blob() {
        let bytes = read(file, id, record).map_err(CopyError::Broken)?;
        return out.write_all(&bytes).map_err(CopyError::Out);
    }
    let mut hasher = BlobHasher::new();
    // Taken out of its place, so whatever `out` does may stream as well.
    let mut buffer = BUFFER.take();
    let room = CHUNK.min(usize::try_from(record.len).unwrap_or(CHUNK));
    buffer.resize(buffer.len().max(room), 0);
    let mut done = 0;
    while done < record.len {
        let size = usize::try_from(record.len - done).unwrap_or(CHUNK).min(CHUNK);
        file.raw_into(record.offset + done, &mut buffer[..size]).map_err(CopyError::Broken)?;
        hasher.update(&buffer[..size]);
        out.write_all(&buffer[..size]).map_err(CopyError::Out)?;
        done += size as u64;
    }
    BUFFER.set(buffer);
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
    stretching: Stretching,
}

impl PackWriter {
    pub(super) fn new(out: Box<dyn Staged>, class: Class) -> io::Result<Self> {
        let stretching = Stretching::new(class == Class::Content);
        Ok(Self { writer: Writer::new(out, MAGIC)?, class, index: Vec::new(), stretching })
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// Bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.writer.position() + self.stretching.waiting()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether there is room for `len` more bytes; an empty pack takes anything.
    pub(super) fn has_room(&self, len: u64) -> bool {
        self.index.is_empty() || (self.bytes() + len <= PACK_BYTES && self.index.len() < PACK_OBJECTS)
    }

    fn append(&mut self, id: &Id, kind: &Kind, codec: Codec, stored: &[u8], len: u64) -> io::Result<()> {
        let offset = self.bytes();
        self.stretching.append(self.writer.data(), stored)?;
        let record = PackRecord { codec, offset, stored: stored.len() as u64, len, kind: kind.clone() };
        self.index.push((*id, record));
        Ok(())
    }

    /// Appends an object whose bytes are right, compressed if that pays.
    pub(super) fn put(&mut self, id: &Id, kind: &Kind, bytes: &[u8]) -> io::Result<()> {
        self.put_packed(id, kind, bytes, compress::compress(bytes).as_deref())
    }

    /// Appends an object whose bytes are right, and whose compressed form, if that pays, is at hand.
    pub(super) fn put_packed(&mut self, id: &Id, kind: &Kind, bytes: &[u8], packed: Option<&[u8]>) -> io::Result<()> {
        match packed {
            Some(packed) => self.append(id, kind, Codec::Zstd, packed, bytes.len() as u64),
            None => self.append(id, kind, Codec::Plain, bytes, bytes.len() as u64),
        }
    }

    /// Appends bytes that belong to no object.
    #[cfg(test)]
    pub(super) fn leave_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stretching.give_up(self.writer.data())?;
        self.writer.data().write_all(bytes)
    }

    /// Appends what says that the blob `id` of `len` bytes is made up of the pieces of a list: the caller has hashed it.
    pub(super) fn put_pieces(&mut self, id: &Id, len: u64, list: &Id) -> io::Result<()> {
        self.append(id, &Kind::BLOB, Codec::Pieces, &list.to_bytes(), len)
    }

    /// Appends an object from another pack as it is stored there, verified on the way.
    pub(super) fn copy(&mut self, from: &SortedFile, id: &Id, record: &PackRecord) -> Result<(), CopyError> {
        if record.is_plain_blob() {
            self.stretching.give_up(self.writer.data()).map_err(CopyError::Out)?;
            let offset = self.bytes();
            copy(from, id, record, &mut self.writer.data())?;
            self.index.push((*id, PackRecord { offset, ..record.clone() }));
            return Ok(());
        }
        if record.is_in_pieces() {
            let list = pieces(from, record).map_err(CopyError::Broken)?;
            return self.put_pieces(id, record.len, &list).map_err(CopyError::Out);
        }
        let bytes = read(from, id, record).map_err(CopyError::Broken)?;
        match record.codec {
            Codec::Zstd => {
                let stored = from.raw(record.offset, record.stored).map_err(CopyError::Broken)?;
                self.append(id, &record.kind, Codec::Zstd, &stored, record.len).map_err(CopyError::Out)
            }
            _ => self.append(id, &record.kind, Codec::Plain, &bytes, record.len).map_err(CopyError::Out),
        }
    }

    /// Writes the index.
    pub(super) fn finish(mut self, nonce: [u8; 16]) -> io::Result<FinishedPack> {
        let may_travel = self.bytes() >= super::whole::LEAST;
        let digests = self.stretching.finish(self.writer.data(), may_travel)?;
        self.index.sort_unstable_by_key(|(id, _)| *id);
        for (id, record) in &self.index {
            self.writer.record(&id.to_bytes(), &record.encode())?;
        }
        let file = self.writer.finish(nonce)?;
        let stretches = digests.map(|digests| Stretches::new(file.name, digests));
        Ok(FinishedPack { file, ids: self.index.into_iter().map(|(id, _)| id).collect(), stretches })
    }
}

/// A pack that is complete and waits to be published.
pub(super) struct FinishedPack {
    pub(super) file: Finished,
    /// What is in it.
    pub(super) ids: Vec<Id>,
    /// If it may travel as it is, and none of it was copied from elsewhere as it came.
    pub(super) stretches: Option<Stretches>,
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

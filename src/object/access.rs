//! What gives objects and what takes them: the traits between the model and any store.

use std::io::{self, Read, Write};

use super::{Kind, id_of};
use crate::hash::Id;

/// Why an object could not be given or taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A file effect failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store has the name but not the right bytes behind it.
    #[error("damaged object {id} in {place}: {what}")]
    Damaged {
        /// The object.
        id: Id,
        /// The file that should hold it.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// The bytes that came are not those that were announced: the file changed meanwhile.
    #[error("the content changed while it was read")]
    Changed,
    /// Anything else that the store reports.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// Gives objects, verified.
pub trait Source: Sync {
    /// Kind and length of an object, without reading it; `None` if it is not here.
    ///
    /// # Errors
    /// When the store can't be read.
    fn header(&self, id: &Id) -> Result<Option<(Kind, u64)>, AccessError>;

    /// All bytes of an object, verified; `None` if it is not here. For records and blobs that fit in memory.
    ///
    /// # Errors
    /// When the store can't be read or the bytes are damaged.
    fn read(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError>;

    /// Streams a blob into `out` and verifies it on the way; `None` if it is not here, else its length.
    ///
    /// # Errors
    /// When the bytes are damaged, `out` has already taken some of them: throw them away.
    fn copy(&self, id: &Id, out: &mut dyn Write) -> Result<Option<u64>, AccessError>;

    /// The same source for somebody who is going to ask for many objects, and names them: where they lie is found out at once. `None` if that
    /// is of no use here.
    ///
    /// # Errors
    /// When the store can't be read.
    fn located(&self, _ids: &mut dyn Iterator<Item = Id>) -> Result<Option<Box<dyn Source + '_>>, AccessError> {
        Ok(None)
    }
}

/// Takes objects. What was taken counts only once the transaction it belongs to has landed.
pub trait Sink: Sync {
    /// Whether the object is here already, or was taken before.
    ///
    /// # Errors
    /// When the store can't be read.
    fn has(&self, id: &Id) -> Result<bool, AccessError>;

    /// Takes an object whose bytes are at hand. `id` must be their id. Nothing happens if it is here already.
    ///
    /// # Errors
    /// When it can't be written.
    fn put(&self, kind: &Kind, id: &Id, bytes: &[u8]) -> Result<(), AccessError>;

    /// As [`Sink::put`] of bytes that nobody has hashed yet; returns their id.
    ///
    /// # Errors
    /// As [`Sink::put`].
    fn put_new(&self, kind: &Kind, bytes: &[u8]) -> Result<Id, AccessError> {
        let id = id_of(kind, bytes);
        self.put(kind, &id, bytes).map(|()| id)
    }

    /// Takes a blob of `len` bytes from `reader`, hashing it on the way. Nothing happens if it is here already.
    ///
    /// # Errors
    /// [`AccessError::Changed`] if the bytes are not `len` many with the digest `id`; nothing is kept of them.
    fn put_blob(&self, id: &Id, len: u64, reader: &mut dyn Read) -> Result<(), AccessError>;

    /// As [`Sink::put_blob`] of bytes that nobody has hashed yet, read once; returns their id, or `None`, with nothing read, if this sink wants to
    /// be told it first.
    ///
    /// # Errors
    /// [`AccessError::Changed`] if the bytes are not `len` many.
    fn put_new_blob(&self, _len: u64, _reader: &mut dyn Read) -> Result<Option<Id>, AccessError> {
        Ok(None)
    }
}

//! Sorted files: immutable keys and values in blocks, found by a tree of pointers whose root is hashed into the
//! file's name (`docs/format.md`, section 7).

mod block;
mod cursor;
mod file;
mod page;
pub(super) mod varint;
mod verify;
mod walker;
mod write;

pub(super) use block::{Block, KEY_MAX};
pub(super) use cursor::Cursor;
pub use cursor::Direction;
pub(super) use file::{Broken, SortedFile};
pub(super) use verify::verify;
pub(super) use write::{Finished, Writer};

pub(super) const FILE_CONTEXT: &str = "prov 2026-11 sorted file";
const BLOCK_CONTEXT: &str = "prov 2026-11 block";
const TRAILER_MAGIC: &[u8; 4] = b"PRVs";
const TRAILER_LEN: u64 = 16;
const CHECKSUM_LEN: usize = 16;
const FORMAT: u8 = 1;

/// Where the nonce lies in a root: after version and levels.
const NONCE_AT: usize = 2;

/// Bytes of a block at most, unless a single record is larger.
const BLOCK_MAX: usize = 16 << 10;

/// Bytes of a block of records as they are written.
const LEAF_LEN: usize = 4 << 10;

/// Bytes of a block that a reader accepts: a record may be as large as a log entry.
const BLOCK_READ_MAX: u64 = 20 << 20;

#[cfg(test)]
mod tests;

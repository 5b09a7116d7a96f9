//! Writing a sorted file, one record after the other, with one block of each level in memory.

use std::io;
use std::num::TryFromIntError;

use crate::hash::{Id, derived};

use super::block::{BlockBuilder, KEY_MAX};
use super::{BLOCK_CONTEXT, BLOCK_MAX, CHECKSUM_LEN, FILE_CONTEXT, FORMAT, LEAF_LEN, TRAILER_MAGIC, varint};
use crate::store::backend::Staged;

/// A sorted file being written.
#[derive(Debug)]
pub(in crate::store) struct Writer {
    out: Box<dyn Staged>,
    levels: Vec<Level>,
    count: u64,
    data_len: u64,
    last: Option<Vec<u8>>,
    /// The records so far, while they still fit into a root of their own.
    few: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

#[derive(Debug, Default)]
struct Level {
    block: BlockBuilder,
    flushed: bool,
}

/// A sorted file that is complete and waits to be published.
#[derive(Debug)]
pub(in crate::store) struct Finished {
    /// The file.
    pub(in crate::store) staged: Box<dyn Staged>,
    /// Its name.
    pub(in crate::store) name: Id,
    /// Its length in bytes.
    pub(in crate::store) len: u64,
    /// How many records it holds.
    pub(in crate::store) count: u64,
}

impl Writer {
    /// Begins a file with `magic`.
    pub(in crate::store) fn new(mut out: Box<dyn Staged>, magic: [u8; 8]) -> io::Result<Self> {
        out.write_all(&magic)?;
        Ok(Self { out, levels: vec![Level::default()], count: 0, data_len: 0, last: None, few: Some(Vec::new()) })
    }

    /// Where data is written, before the first record.
    pub(in crate::store) fn data(&mut self) -> &mut dyn Staged {
        &mut *self.out
    }

    /// Bytes written so far.
    pub(in crate::store) fn position(&self) -> u64 {
        self.out.position()
    }

    /// Appends a record; `key` must be greater than the one before.
    pub(in crate::store) fn record(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if self.last.as_deref().is_some_and(|last| last >= key) || key.len() > KEY_MAX {
            return Err(io::Error::other("keys are written in order and are not too long"));
        }
        if self.last.is_none() {
            self.data_len = self.out.position() - 8;
        }
        self.last = Some(key.to_vec());
        self.count += 1;
        // Few records are all in the root, which may be large. More of them are in small blocks, so that a lookup reads and hashes little.
        if self.few.is_some() && self.levels[0].block.is_full(BLOCK_MAX, key, value) {
            self.levels[0] = Level::default();
            for (key, value) in self.few.take().unwrap_or_default() {
                self.push(0, &key, &value)?;
            }
        }
        if let Some(few) = &mut self.few {
            few.push((key.to_vec(), value.to_vec()));
        }
        self.push(0, key, value)
    }

    fn push(&mut self, at: usize, key: &[u8], value: &[u8]) -> io::Result<()> {
        if self.levels.len() == at {
            self.levels.push(Level::default());
        }
        let level = &self.levels[at];
        let limit = if at == 0 && self.few.is_none() { LEAF_LEN } else { BLOCK_MAX };
        if level.block.is_full(limit, key, value) {
            self.flush(at)?;
        }
        self.levels[at].block.push(key, value);
        Ok(())
    }

    /// Writes the block of a level and points to it one level higher.
    fn flush(&mut self, at: usize) -> io::Result<()> {
        let block = std::mem::take(&mut self.levels[at].block);
        self.levels[at].flushed = true;
        let Some(first) = block.first else { return Ok(()) };
        let offset = self.out.position();
        self.out.write_all(&block.bytes)?;
        let mut pointer = Vec::with_capacity(32);
        varint::put(&mut pointer, offset);
        varint::put(&mut pointer, block.bytes.len() as u64);
        pointer.extend_from_slice(&derived(BLOCK_CONTEXT, &block.bytes).digest()[..CHECKSUM_LEN]);
        self.push(at + 1, &first, &pointer)
    }

    /// Writes what is left, the root and the trailer.
    pub(in crate::store) fn finish(mut self, nonce: [u8; 16]) -> io::Result<Finished> {
        if self.last.is_none() {
            self.data_len = self.out.position() - 8;
        }
        let mut at = 0;
        while self.levels[at].flushed {
            self.flush(at)?;
            at += 1;
        }
        let levels = u8::try_from(at).map_err(io::Error::other)?;
        let mut root = vec![FORMAT, levels];
        root.extend_from_slice(&nonce);
        varint::put(&mut root, self.count);
        varint::put(&mut root, self.data_len);
        root.extend_from_slice(&self.levels[at].block.bytes);
        let name = derived(FILE_CONTEXT, &root);
        trailer(&mut root, self.out.position()).map_err(io::Error::other)?;
        self.out.write_all(&root)?;
        Ok(Finished { name, len: self.out.position(), count: self.count, staged: self.out })
    }
}

/// Appends what says where the root begins, which is all there is before.
pub(super) fn trailer(root: &mut Vec<u8>, offset: u64) -> Result<(), TryFromIntError> {
    let len = u32::try_from(root.len())?;
    root.extend_from_slice(&offset.to_le_bytes());
    root.extend_from_slice(&len.to_le_bytes());
    root.extend_from_slice(TRAILER_MAGIC);
    Ok(())
}

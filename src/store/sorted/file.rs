//! Reading a sorted file: a lookup verifies the root by the file's name and every block it reads by its checksum.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::hash::{Id, derived};
use crate::store::backend::ReadAt;

use super::block::Block;
use super::page::Page;
use super::walker::Walker;
use super::{
    BLOCK_CONTEXT, BLOCK_READ_MAX, CHECKSUM_LEN, FILE_CONTEXT, FORMAT, NONCE_AT, TRAILER_LEN, TRAILER_MAGIC, varint,
};

/// Blocks of one file that are kept in memory if it is asked often: two mebibytes of those that prov writes. Of other files it is the last
/// block of records: what is looked up in order meets it again, and the next lookup takes its room.
const CACHED_BLOCKS: usize = 512;

/// Bytes of the blocks of one file that are kept.
const CACHED_BYTES: usize = 4 << 20;

/// Blocks of records that were read of a file before more than the last one is kept: one run asks for few, a pipeline for one a task.
const OFTEN: u32 = 24;

/// What the last read of a file takes at once, in the hope that the root lies in it: that of a file of one or two hundred records does.
const TAIL: u64 = 6 << 10;

/// Why a file can't be read, in words.
pub(in crate::store) type Broken = String;

/// A sorted file that was opened and whose root was verified.
#[derive(Debug)]
pub(in crate::store) struct SortedFile {
    file: Box<dyn ReadAt>,
    name: Id,
    len: u64,
    count: u64,
    data_len: u64,
    levels: u8,
    root_at: u64,
    root: Arc<Page>,
    cache: Mutex<Cache>,
}

/// Blocks by where they lie in the file.
#[derive(Debug, Default)]
struct Cache {
    /// The last one of records, until more of them are kept.
    last: Option<(u64, Arc<Page>)>,
    blocks: HashMap<u64, Arc<Page>>,
    /// Bytes of `blocks`.
    bytes: usize,
    /// Blocks of records that were read.
    reads: u32,
}

impl Cache {
    /// The block at `offset`, if it is kept.
    fn get(&self, offset: u64) -> Option<Arc<Page>> {
        match &self.last {
            Some((at, block)) if *at == offset => Some(Arc::clone(block)),
            _ => self.blocks.get(&offset).cloned(),
        }
    }

    fn keep(&mut self, offset: u64, block: &Arc<Page>, has_records: bool) {
        if has_records {
            self.reads = self.reads.saturating_add(1);
            if self.reads <= OFTEN {
                self.last = Some((offset, Arc::clone(block)));
                return;
            }
        }
        // Who asks for more than fit goes through them in order, or anywhere: neither would find those of a time ago again.
        if self.blocks.len() >= CACHED_BLOCKS || self.bytes > CACHED_BYTES {
            self.blocks.clear();
            self.bytes = 0;
        }
        self.bytes += block.bytes().len();
        self.blocks.insert(offset, Arc::clone(block));
    }
}

impl SortedFile {
    /// Opens a file that must be the one named `name`.
    pub(in crate::store) fn open(file: Box<dyn ReadAt>, name: &Id) -> Result<Self, Broken> {
        Self::open_as(file, Some(name))
    }

    /// Opens a file that lies under a name that is not its own, and tells its name by what is in it.
    pub(in crate::store) fn identify(file: Box<dyn ReadAt>) -> Result<Self, Broken> {
        Self::open_as(file, None)
    }

    fn open_as(file: Box<dyn ReadAt>, expected: Option<&Id>) -> Result<Self, Broken> {
        let len = file.size().map_err(|err| err.to_string())?;
        if len < 8 + TRAILER_LEN {
            return Err(format!("it has only {len} bytes"));
        }
        let tail_at = len.saturating_sub(TAIL);
        let mut tail = read(&*file, tail_at, len - tail_at)?;
        let trailer = tail.split_off(tail.len() - usize::try_from(TRAILER_LEN).unwrap_or(0));
        let (offset, rest) = trailer.split_at(8);
        let (root_len, magic) = rest.split_at(4);
        let offset = u64::from_le_bytes(offset.try_into().map_err(|_| "its end is cut off")?);
        let root_len = u32::from_le_bytes(root_len.try_into().map_err(|_| "its end is cut off")?);
        if magic != TRAILER_MAGIC || offset.checked_add(root_len.into()) != Some(len - TRAILER_LEN) || offset < 8 {
            return Err("its end is not that of a sorted file".to_owned());
        }
        let root = if offset >= tail_at {
            tail.split_off(usize::try_from(offset - tail_at).unwrap_or(0))
        } else if u64::from(root_len) > BLOCK_READ_MAX {
            return Err("its root is too large".to_owned());
        } else {
            read(&*file, offset, root_len.into())?
        };
        let name = derived(FILE_CONTEXT, &root);
        if expected.is_some_and(|expected| *expected != name) {
            return Err("its root does not match its name".to_owned());
        }
        let mut rest = root.as_slice();
        let (Some(&[version, levels]), true) = (rest.first_chunk::<2>(), rest.len() >= 18) else {
            return Err("its root is cut off".to_owned());
        };
        if version != FORMAT {
            return Err(format!("it has version {version}, this prov reads {FORMAT}"));
        }
        rest = &rest[18..];
        let count = varint::take(&mut rest).ok_or("its root is cut off")?;
        let data_len = varint::take(&mut rest).ok_or("its root is cut off")?;
        let root_from = root.len() - rest.len();
        if data_len > offset - 8 {
            return Err("its data is longer than the file".to_owned());
        }
        Ok(Self {
            file,
            name,
            len,
            count,
            data_len,
            levels,
            root_at: offset,
            root: Arc::new(Page::new(root, root_from)),
            cache: Mutex::default(),
        })
    }

    /// Its name.
    pub(in crate::store) fn name(&self) -> Id {
        self.name
    }

    /// Its length in bytes.
    pub(in crate::store) fn len(&self) -> u64 {
        self.len
    }

    /// How many records it says it holds.
    pub(in crate::store) fn count(&self) -> u64 {
        self.count
    }

    /// Where its data lies: all between the magic and this position.
    pub(in crate::store) fn data_end(&self) -> u64 {
        8 + self.data_len
    }

    /// Where the blocks of its index end: they lie between its data and this position.
    pub(in crate::store) fn index_end(&self) -> u64 {
        self.root_at
    }

    /// The same file, read from another place from now on: what comes from there is verified as always.
    pub(in crate::store) fn read_from(&self, file: Box<dyn ReadAt>) -> Self {
        Self { file, root: Arc::clone(&self.root), cache: Mutex::default(), ..*self }
    }

    /// Its last bytes under another nonce, from [`SortedFile::index_end`] on, and the name that they give it: what comes before them says nothing of
    /// the name.
    ///
    /// # Errors
    /// When its root is longer than a root may be.
    pub(in crate::store) fn end_anew(&self, nonce: [u8; 16]) -> Result<(Id, Vec<u8>), Broken> {
        let mut end = self.root.bytes().to_vec();
        end[NONCE_AT..NONCE_AT + nonce.len()].copy_from_slice(&nonce);
        let name = derived(FILE_CONTEXT, &end);
        super::write::trailer(&mut end, self.root_at).map_err(|_| "its root is too large".to_owned())?;
        Ok((name, end))
    }

    /// Where its root begins.
    pub(super) fn root_at(&self) -> u64 {
        self.root_at
    }

    pub(super) fn levels(&self) -> u8 {
        self.levels
    }

    /// The root, taken apart.
    pub(super) fn root(&self) -> Result<Arc<Block>, Broken> {
        Ok(Arc::new(Block::parse(Arc::clone(&self.root))?))
    }

    /// Before the first record of the root.
    pub(super) fn walker(&self) -> Walker {
        Walker::new(Arc::clone(&self.root))
    }

    /// Bytes of the file as they are, not verified.
    pub(in crate::store) fn raw(&self, offset: u64, len: u64) -> Result<Vec<u8>, Broken> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(format!("it ends before byte {}", offset.saturating_add(len)));
        }
        read(&*self.file, offset, len)
    }

    /// Fills `buffer` with bytes of the file as they are, not verified.
    pub(in crate::store) fn raw_into(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Broken> {
        self.file.read_exact_at(offset, buffer).map_err(|err| format!("it can't be read at byte {offset}: {err}"))
    }

    /// Bytes that are read at once where all of it is read.
    pub(in crate::store) fn at_once(&self) -> u64 {
        self.file.at_once()
    }

    /// Says that bytes of the file will be read soon.
    pub(in crate::store) fn will_need(&self, offset: u64, len: u64) {
        self.file.will_need(offset, len);
    }

    /// The value under `key`.
    pub(in crate::store) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
        let mut walker = self.walker();
        for level in (0..self.levels).rev() {
            walker.seek(key)?;
            match walker.record() {
                Some((first, pointer)) => walker = self.below(first, pointer, level == 0)?,
                None => return Ok(None),
            }
        }
        walker.seek(key)?;
        Ok(walker.record().filter(|(found, _)| *found == key).map(|(_, value)| value.to_vec()))
    }

    /// Whether it holds nothing below `key`. Told by the root alone.
    pub(in crate::store) fn begins_at_or_after(&self, key: &[u8]) -> Result<bool, Broken> {
        let mut walker = self.walker();
        walker.step()?;
        Ok(walker.record().is_none_or(|(first, _)| first >= key))
    }

    /// Where a pointer leads: offset, length, checksum.
    pub(super) fn pointer(mut value: &[u8]) -> Result<(u64, u64, [u8; CHECKSUM_LEN]), Broken> {
        let bad = || "a pointer to a block is malformed".to_owned();
        let offset = varint::take(&mut value).ok_or_else(bad)?;
        let len = varint::take(&mut value).ok_or_else(bad)?;
        Ok((offset, len, value.try_into().map_err(|_| bad())?))
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Nothing that panics runs under this lock.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The block that a pointer leads to, verified.
    fn block(&self, pointer: &[u8], has_records: bool) -> Result<Arc<Page>, Broken> {
        let (offset, len, checksum) = Self::pointer(pointer)?;
        if let Some(block) = self.cache().get(offset) {
            return Ok(block);
        }
        if len > BLOCK_READ_MAX || offset.checked_add(len).is_none_or(|end| end > self.root_at) {
            return Err(format!("the block at byte {offset} does not lie in the file"));
        }
        let bytes = read(&*self.file, offset, len)?;
        if derived(BLOCK_CONTEXT, &bytes).digest()[..CHECKSUM_LEN] != checksum {
            return Err(format!("the block at byte {offset} does not match its checksum"));
        }
        let block = Arc::new(Page::new(bytes, 0));
        self.cache().keep(offset, &block, has_records);
        Ok(block)
    }

    /// On the first record of the block that a pointer leads to, which must be that of `first`.
    pub(super) fn below(&self, first: &[u8], pointer: &[u8], has_records: bool) -> Result<Walker, Broken> {
        let mut walker = Walker::new(self.block(pointer, has_records)?);
        walker.step()?;
        match walker.record() {
            Some((found, _)) if found == first => Ok(walker),
            _ => Err(wrong_begin()),
        }
    }

    /// The block that a pointer leads to, taken apart.
    pub(super) fn child(&self, block: &Block, at: usize, has_records: bool) -> Result<Arc<Block>, Broken> {
        let child = Block::parse(self.block(block.value(at), has_records)?)?;
        if child.len() == 0 || child.key(0) != block.key(at) {
            return Err(wrong_begin());
        }
        Ok(Arc::new(child))
    }
}

fn wrong_begin() -> Broken {
    "a block does not begin with the key that points to it".to_owned()
}

fn read(file: &dyn ReadAt, offset: u64, len: u64) -> Result<Vec<u8>, Broken> {
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| "it is too large".to_owned())?];
    file.read_exact_at(offset, &mut bytes).map_err(|err| format!("it can't be read at byte {offset}: {err}"))?;
    Ok(bytes)
}

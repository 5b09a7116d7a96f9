//! Folders of files, remembered whole: the names in them, what the states of their files were, and what tree object that was.
//!
//! ```text
//! header    64 bytes: "provleaf", version u32, 4 zero bytes, count u64, length of the records u64, digest of those 32 bytes
//! index     count x 24 bytes, sorted by key: key u64, offset u64 in the records, length u32, 4 zero bytes
//! sum       16 bytes of digest of the index
//! records   each 16 bytes of digest of what follows in it: device, inode, mtime, ctime of the folder, digest of rules and states,
//!           digest of the tree object, bytes of its files, number of files (eight bytes each but the digests of 32), names,
//!           each with a NUL
//! ```
//!
//! Numbers are little-endian. The file is replaced as a whole; what is damaged is absent.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::Path;

use super::Key;
use super::table::{HEADER, header};
use crate::fs::{Fs, Map, Stat};
use crate::hash::{self, Id};

const MAGIC: &[u8; 8] = b"provleaf";
const VERSION: u32 = 1;
const WIDTH: usize = 24;
const SUM: usize = 16;
/// Bytes of a record before its names.
const FIXED: usize = SUM + 4 * 8 + 2 * 32 + 2 * 8;

/// Bytes of records that are kept; beyond it what was not made now is dropped.
const MAX_BYTES: usize = 32 << 20;

const HEADER_CONTEXT: &str = "prov 2026-11 leaf cache header";
const INDEX_CONTEXT: &str = "prov 2026-11 leaf cache index";
const RECORD_CONTEXT: &str = "prov 2026-11 leaf cache record";
const STATES_CONTEXT: &str = "prov 2026-11 leaf cache states";

/// A folder that holds nothing but files, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worktree) struct Leaf<N> {
    /// The names in it, sorted, each with a NUL.
    pub(in crate::worktree) names: N,
    /// Digest of the rules by which nothing of it was left out and of the states of its files, in the order of the names.
    pub(in crate::worktree) states: Id,
    /// Its tree object.
    pub(in crate::worktree) tree: Id,
    /// The bytes of its files.
    pub(in crate::worktree) size: u64,
    /// How many they are.
    pub(in crate::worktree) files: u64,
}

impl Leaf<&[u8]> {
    /// The names in it.
    pub(in crate::worktree) fn names(&self) -> impl Iterator<Item = &CStr> {
        self.names.split_inclusive(|&byte| byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok())
    }
}

/// Takes the states of files one after the other.
pub(in crate::worktree) struct States(Vec<u8>);

impl States {
    /// Of about so many files, none of which `rules` leave out.
    pub(in crate::worktree) fn new(rules: &Id, files: usize) -> Self {
        let mut all = Vec::with_capacity(files.saturating_mul(44).saturating_add(32));
        all.extend_from_slice(rules.digest());
        Self(all)
    }

    /// The next file's.
    pub(in crate::worktree) fn add(&mut self, stat: &Stat) {
        self.0.extend_from_slice(&stat.dev.to_le_bytes());
        self.0.extend_from_slice(&stat.ino.to_le_bytes());
        self.0.extend_from_slice(&stat.size.to_le_bytes());
        self.0.extend_from_slice(&stat.mtime_ns.to_le_bytes());
        self.0.extend_from_slice(&stat.ctime_ns.to_le_bytes());
        self.0.extend_from_slice(&stat.mode.to_le_bytes());
    }

    /// What stands for all of them.
    pub(in crate::worktree) fn digest(&self) -> Id {
        hash::derived(STATES_CONTEXT, &self.0)
    }
}

/// The key of a folder at a place that `key` was made of.
pub(super) fn number(key: Key) -> u64 {
    key.folder.rotate_left(17) ^ key.name ^ u64::from(key.flags)
}

/// One record as it is in the file.
pub(super) fn encode(folder: &Stat, leaf: &Leaf<Vec<u8>>) -> Vec<u8> {
    let mut out = vec![0; SUM];
    out.reserve(FIXED + leaf.names.len());
    out.extend_from_slice(&state(folder));
    out.extend_from_slice(leaf.states.digest());
    out.extend_from_slice(leaf.tree.digest());
    out.extend_from_slice(&leaf.size.to_le_bytes());
    out.extend_from_slice(&leaf.files.to_le_bytes());
    out.extend_from_slice(&leaf.names);
    let sum = sum(RECORD_CONTEXT, &out[SUM..]);
    out[..SUM].copy_from_slice(&sum);
    out
}

/// What of a folder's state tells that no name in it came, went or changed hands.
fn state(folder: &Stat) -> [u8; 32] {
    let mut out = [0; 32];
    out[..8].copy_from_slice(&folder.dev.to_le_bytes());
    out[8..16].copy_from_slice(&folder.ino.to_le_bytes());
    out[16..24].copy_from_slice(&folder.mtime_ns.to_le_bytes());
    out[24..].copy_from_slice(&folder.ctime_ns.to_le_bytes());
    out
}

fn sum(context: &str, bytes: &[u8]) -> [u8; SUM] {
    let mut out = [0; SUM];
    out.copy_from_slice(&hash::derived(context, bytes).digest()[..SUM]);
    out
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn id_at(bytes: &[u8], at: usize) -> Option<Id> {
    Some(Id::from_digest(*bytes.get(at..)?.first_chunk()?))
}

/// The file, open.
#[derive(Debug)]
pub(super) struct Leaves {
    map: Map,
    count: usize,
}

impl Leaves {
    /// Opens a file; `None` if it is absent or not one of these, whatever the reason.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let map = Map::new(&File::open(path).ok()?).ok()?;
        let header = header(&map, MAGIC, VERSION, HEADER_CONTEXT)?;
        let count = usize::try_from(number_at(header, 16)?).ok()?;
        let records = usize::try_from(number_at(header, 24)?).ok()?;
        let index = count.checked_mul(WIDTH)?.checked_add(HEADER)?;
        if map.len() != index.checked_add(SUM)?.checked_add(records)? {
            return None;
        }
        (map[index..index + SUM] == sum(INDEX_CONTEXT, &map[HEADER..index])).then_some(())?;
        Some(Self { map, count })
    }

    fn index(&self) -> &[[u8; WIDTH]] {
        self.map[HEADER..HEADER + self.count * WIDTH].as_chunks().0
    }

    /// A record by its row in the index, not checked.
    fn record(&self, row: &[u8; WIDTH]) -> Option<&[u8]> {
        let offset = usize::try_from(number_at(row, 8)?).ok()?;
        let len = u32::from_le_bytes(*row[16..].first_chunk()?) as usize;
        let records = &self.map[HEADER + self.count * WIDTH + SUM..];
        records.get(offset..offset.checked_add(len)?)
    }

    /// What is known of the folder with this key in this state.
    pub(super) fn get(&self, key: u64, folder: &Stat) -> Option<Leaf<&[u8]>> {
        let index = self.index();
        let at = index.partition_point(|row| number_at(row, 0).is_some_and(|k| k < key));
        let row = index.get(at).filter(|row| number_at(*row, 0) == Some(key))?;
        let record = self.record(row)?;
        if record.get(SUM..SUM + 32)? != state(folder) || record.get(..SUM)? != sum(RECORD_CONTEXT, &record[SUM..]) {
            return None;
        }
        Some(Leaf {
            states: id_at(record, SUM + 32)?,
            tree: id_at(record, SUM + 64)?,
            size: number_at(record, SUM + 96)?,
            files: number_at(record, SUM + 104)?,
            names: record.get(FIXED..)?,
        })
    }
}

/// Writes the records of `fresh` and those of the file at `path` that have other keys.
pub(super) fn save(fs: &Fs, path: &Path, fresh: &HashMap<u64, Vec<u8>>) -> io::Result<()> {
    let old = Leaves::open(path);
    let mut all: Vec<(u64, &[u8])> = fresh.iter().map(|(key, record)| (*key, record.as_slice())).collect();
    let mut bytes: usize = all.iter().map(|(_, record)| record.len()).sum();
    for row in old.iter().flat_map(Leaves::index) {
        let (Some(key), Some(record)) = (number_at(row, 0), old.as_ref().and_then(|old| old.record(row))) else {
            continue;
        };
        if !fresh.contains_key(&key) && bytes + record.len() <= MAX_BYTES {
            bytes += record.len();
            all.push((key, record));
        }
    }
    all.sort_unstable_by_key(|(key, _)| *key);
    let mut out = Vec::with_capacity(HEADER + all.len() * WIDTH + SUM + bytes);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(all.len() as u64).to_le_bytes());
    out.extend_from_slice(&(bytes as u64).to_le_bytes());
    let digest = hash::derived(HEADER_CONTEXT, &out);
    out.extend_from_slice(digest.digest());
    let mut offset = 0;
    for (key, record) in &all {
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&(offset as u64).to_le_bytes());
        // Names of one folder are shorter than 4 GiB, or it could not be listed; what does not fit is not found again.
        out.extend_from_slice(&u32::try_from(record.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        offset += record.len();
    }
    let index = sum(INDEX_CONTEXT, &out[HEADER..]);
    out.extend_from_slice(&index);
    for (_, record) in &all {
        out.extend_from_slice(record);
    }
    fs.replace(path, &out, false)
}

#[cfg(test)]
mod tests;

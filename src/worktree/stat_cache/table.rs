//! One file of the cache: sorted records of fixed width, mapped, checked block by block as they are used.
//!
//! ```text
//! header    64 bytes: "provstat", version u32, record width u32, count u64, 8 zero bytes, digest of those 32 bytes
//! records   count x 96 bytes, sorted by key
//! sums      16 bytes of digest for every block of 170 records
//! ```
//!
//! Numbers are little-endian. Opening reads the header alone. A search looks at keys that were not checked: wrong
//! ones lead to another record or to none, and the record that is used in the end comes from a checked block. So
//! damage costs a hash, never a wrong answer.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::fs::{Fs, Map};
use crate::hash::{self, Id};

const MAGIC: &[u8; 8] = b"provstat";
const VERSION: u32 = 1;
pub(super) const HEADER: usize = 64;
const WIDTH: usize = 96;
/// [`WIDTH`] as it stands in the header.
const WIDTH_FIELD: u32 = 96;
const PER_BLOCK: usize = 170;
const SUM: usize = 16;

const HEADER_CONTEXT: &str = "prov 2026-11 stat cache header";
const BLOCK_CONTEXT: &str = "prov 2026-11 stat cache block";

/// What is remembered under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: u128,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    pub(super) mtime_ns: i64,
    pub(super) ctime_ns: i64,
    pub(super) id: Id,
    pub(super) mode: u32,
    pub(super) flags: u32,
}

impl Record {
    fn encode(&self) -> [u8; WIDTH] {
        let mut out = [0; WIDTH];
        // Big-endian, so that bytes sort as keys do.
        out[..16].copy_from_slice(&self.key.to_be_bytes());
        out[16..24].copy_from_slice(&self.dev.to_le_bytes());
        out[24..32].copy_from_slice(&self.ino.to_le_bytes());
        out[32..40].copy_from_slice(&self.size.to_le_bytes());
        out[40..48].copy_from_slice(&self.mtime_ns.to_le_bytes());
        out[48..56].copy_from_slice(&self.ctime_ns.to_le_bytes());
        out[56..88].copy_from_slice(self.id.digest());
        out[88..92].copy_from_slice(&self.mode.to_le_bytes());
        out[92..].copy_from_slice(&self.flags.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; WIDTH]) -> Self {
        Self {
            key: u128::from_be_bytes(part(bytes, 0)),
            dev: u64::from_le_bytes(part(bytes, 16)),
            ino: u64::from_le_bytes(part(bytes, 24)),
            size: u64::from_le_bytes(part(bytes, 32)),
            mtime_ns: i64::from_le_bytes(part(bytes, 40)),
            ctime_ns: i64::from_le_bytes(part(bytes, 48)),
            id: Id::from_digest(part(bytes, 56)),
            mode: u32::from_le_bytes(part(bytes, 88)),
            flags: u32::from_le_bytes(part(bytes, 92)),
        }
    }
}

/// The `N` bytes at `at`, which lie inside a record by construction.
fn part<const N: usize>(bytes: &[u8; WIDTH], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// The header of a file that begins with `magic` and `version`, behind which lies its digest under `context`; `None` of anything else.
pub(super) fn header<'m>(map: &'m Map, magic: &[u8; 8], version: u32, context: &str) -> Option<&'m [u8]> {
    let header = map.get(..HEADER)?;
    let is_sound = header[32..] == hash::derived(context, &header[..32]).digest()[..];
    (is_sound && header[..8] == magic[..] && header[8..12] == version.to_le_bytes()).then_some(header)
}

/// One file of the cache, open.
#[derive(Debug)]
pub(super) struct Table {
    map: Map,
    count: usize,
    /// Per block: 0 not looked at, 1 sound, 2 damaged.
    blocks: Vec<AtomicU8>,
    /// One bit per record: somebody asked for its key.
    asked: Vec<AtomicU64>,
}

impl Table {
    /// Opens a file; `None` if it is absent or not one of these, whatever the reason.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let map = Map::new(&File::open(path).ok()?).ok()?;
        let header = header(&map, MAGIC, VERSION, HEADER_CONTEXT)?;
        let count = usize::try_from(u64::from_le_bytes(header[16..24].try_into().ok()?)).ok()?;
        let blocks = count.div_ceil(PER_BLOCK);
        let len = count.checked_mul(WIDTH)?.checked_add(blocks.checked_mul(SUM)?)?.checked_add(HEADER)?;
        if map.len() != len {
            return None;
        }
        let mut table = Self { map, count, blocks: Vec::new(), asked: Vec::new() };
        table.blocks.resize_with(blocks, AtomicU8::default);
        table.asked.resize_with(count.div_ceil(64), AtomicU64::default);
        Some(table)
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// How many records were asked for.
    pub(super) fn asked(&self) -> usize {
        self.asked.iter().map(|bits| bits.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    /// Whether the record at `at` was asked for.
    pub(super) fn was_asked(&self, at: usize) -> bool {
        self.asked[at / 64].load(Ordering::Relaxed) >> (at % 64) & 1 == 1
    }

    /// Whether a damaged block was met.
    pub(super) fn is_damaged(&self) -> bool {
        self.blocks.iter().any(|state| state.load(Ordering::Relaxed) == 2)
    }

    /// The positions whose keys are in `low..=high`: those of one folder, so the last is not far from the first.
    pub(super) fn range(&self, low: u128, high: u128) -> Range<usize> {
        const FEW: usize = 64;
        let from = self.first(0..self.count, |key| key >= low);
        let (mut start, mut step) = (from, FEW);
        loop {
            let end = (start + step).min(self.count);
            if end == self.count || self.key(end - 1) > high {
                return from..self.first(start..end, |key| key > high);
            }
            (start, step) = (end, step * 2);
        }
    }

    /// Looks at the sums of the records at `within`, one after the other: whoever is going to ask for most of them finds them in the
    /// processor's cache then.
    pub(super) fn warm(&self, within: Range<usize>) {
        for block in within.start / PER_BLOCK..within.end.div_ceil(PER_BLOCK) {
            self.is_sound(block);
        }
    }

    /// The record with this key among those at `within`.
    pub(super) fn find(&self, key: u128, within: Range<usize>) -> Option<Record> {
        let near = self.near(key, within.clone());
        let at = self.first(near.clone(), |k| k >= key);
        if at >= near.end || self.key(at) != key {
            return None;
        }
        self.asked[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
        self.record(at)
    }

    /// The part of `within` in which the key must be. The keys of one folder are spread evenly, so that a guess is off by little and
    /// touches few of the records.
    fn near(&self, key: u128, within: Range<usize>) -> Range<usize> {
        const FEW: usize = 8;
        let count = within.len();
        if count <= 2 * FEW {
            return within;
        }
        let (low, high) = (self.key(within.start), self.key(within.end - 1));
        let (Some(offset), Some(all)) = (key.checked_sub(low), high.checked_sub(low)) else { return within };
        let (Ok(offset), Ok(all)) = (u64::try_from(offset), u64::try_from(all)) else { return within };
        if offset >= all {
            return within;
        }
        let guess = usize::try_from((offset >> 32).saturating_mul(count as u64) / (all >> 32).max(1)).unwrap_or(0);
        let guess = within.start + guess.min(count - 1);
        // Steps that double lead from the guess to a key on the other side.
        let mut step = FEW;
        if self.key(guess) < key {
            let mut from = guess + 1;
            loop {
                let to = (from + step).min(within.end);
                if to == within.end || self.key(to - 1) >= key {
                    return from..to;
                }
                (from, step) = (to, step * 2);
            }
        }
        let mut to = guess + 1;
        loop {
            let from = to.saturating_sub(step).max(within.start);
            if from == within.start || self.key(from) < key {
                return from..to;
            }
            (to, step) = (from + 1, step * 2);
        }
    }

    /// The record at a position; `None` if its block is damaged.
    pub(super) fn record(&self, at: usize) -> Option<Record> {
        if !self.is_sound(at / PER_BLOCK) {
            return None;
        }
        self.bytes(at).first_chunk().map(Record::decode)
    }

    fn bytes(&self, at: usize) -> &[u8] {
        &self.map[HEADER + at * WIDTH..HEADER + (at + 1) * WIDTH]
    }

    fn key(&self, at: usize) -> u128 {
        self.bytes(at).first_chunk().map_or(0, |key| u128::from_be_bytes(*key))
    }

    /// The first position in `within` of which `reached` holds, by halving.
    fn first(&self, within: Range<usize>, reached: impl Fn(u128) -> bool) -> usize {
        let (mut low, mut high) = (within.start, within.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if reached(self.key(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    fn is_sound(&self, block: usize) -> bool {
        match self.blocks[block].load(Ordering::Relaxed) {
            1 => return true,
            2 => return false,
            _ => {}
        }
        let first = block * PER_BLOCK;
        let records = &self.map[HEADER + first * WIDTH..HEADER + (first + PER_BLOCK).min(self.count) * WIDTH];
        let at = HEADER + self.count * WIDTH + block * SUM;
        let sound = self.map[at..at + SUM] == sum(records);
        self.blocks[block].store(if sound { 1 } else { 2 }, Ordering::Relaxed);
        sound
    }
}

/// A block's place in the file is not part of its sum: a block that is elsewhere holds true records all the same.
fn sum(records: &[u8]) -> [u8; SUM] {
    let mut out = [0; SUM];
    out.copy_from_slice(&hash::derived(BLOCK_CONTEXT, records).digest()[..SUM]);
    out
}

/// Writes a table of `count` records, sorted by key, beside `path` and renames it there.
///
/// A file that someone may have mapped is never written again: the file beside is created anew each time.
pub(super) fn write(fs: &Fs, path: &Path, count: usize, records: impl Iterator<Item = Record>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let mut out = None;
    for nth in 0..64 {
        let mut beside = name.clone();
        beside.push(format!("-{nth}.tmp"));
        match fs.create_new(&path.with_file_name(beside), 0o666) {
            Ok(created) => {
                out = Some(created);
                break;
            }
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            Err(err) => return Err(err),
        }
    }
    let out = out.ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
    let beside = out.path().to_owned();
    let written = (|| {
        let mut out = io::BufWriter::with_capacity(1 << 18, out);
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&WIDTH_FIELD.to_le_bytes());
        header[16..24].copy_from_slice(&(count as u64).to_le_bytes());
        let digest = hash::derived(HEADER_CONTEXT, &header[..32]);
        header[32..].copy_from_slice(digest.digest());
        out.write_all(&header)?;
        let (mut sums, mut block) = (Vec::new(), Vec::with_capacity(PER_BLOCK * WIDTH));
        for record in records {
            block.extend_from_slice(&record.encode());
            if block.len() == PER_BLOCK * WIDTH {
                sums.extend_from_slice(&sum(&block));
                out.write_all(&block)?;
                block.clear();
            }
        }
        if !block.is_empty() {
            sums.extend_from_slice(&sum(&block));
            out.write_all(&block)?;
        }
        out.write_all(&sums)?;
        out.flush()?;
        drop(out);
        fs.rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs.remove_file(&beside);
    }
    written
}

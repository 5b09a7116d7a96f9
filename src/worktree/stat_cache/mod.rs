//! Remembers the ids of files, so that a file that did not change need not be read again.
//!
//! # When an entry counts
//!
//! An entry says: the file with this device, inode, size, mode, mtime and ctime had this id. It counts for a file
//! that shows exactly the same, and it is made only if the file was *settled* when hashing began ([`is_settled`]):
//! mtime and ctime both lay further back than one tick of the clock that stamps files. Then whatever was written
//! after that moment carries a later ctime, and whatever was written before it was read. In detail:
//!
//! * **Edit in the same tick, same size.** The file is not settled, so no entry is made; the next look hashes again.
//! * **Coarse stamps.** Local file systems stamp with the kernel's tick, at most 10 ms: the margin is 20 ms. A ctime
//!   of whole milliseconds is taken for a sign of stamps of a second or two (FAT, some network file systems): then
//!   the margin is 2.1 s.
//! * **`touch -d`, restored mtimes.** Nobody can set ctime, so it gives the change away.
//! * **Rename over with equal size and mtime.** Another inode, and renaming changes ctime.
//! * **Stamps in the future**, or a clock set back: not settled, hashed each time until time has passed them. A clock
//!   that jumps forward and back makes a false entry only if a later edit meets the nanosecond of the earlier stamp.
//! * **Device numbers** may change with a reboot: everything is hashed once more.
//! * **Writing through a memory map.** The system stamps a page when it is first written after being mapped or written
//!   back. A program that keeps a file mapped for writing *while* prov hashes it can change it without a stamp. No
//!   state tells; prov hashes outputs only after the program has ended.
//! * **Network file systems** may show an old state for some seconds after another machine wrote.
//!
//! # The files
//!
//! `stat` holds nearly everything, `stat.new` the newest few; see `table.rs` for the bytes. A save rewrites the small
//! one and, when that has grown, both into the large one. Both are replaced by rename and never flushed: what gets
//! lost, to a crash or to another process that saved at the same moment, is hashed again. A damaged file counts as
//! absent, a damaged block as empty.
//!
//! Records are found by a hash of the folder's path and one of the name. Two paths that share both only push each other
//! out, since the inode is part of what must agree.
//!
//! The same files remember the ids of folder listings, by a digest of the listing, which saves encoding tree objects.
//! And they remember folders in which a choice by name finds nothing, by the path and the state of the folder and the id of the choice
//! (`../barren.rs`).
//!
//! # Folders of files
//!
//! `leaves` holds the names in folders with nothing but files, with a digest of the states in which the files had the ids that were known
//! (`leaves.rs`). While the folder itself is in the state it was in before it was listed, no name in it came, went or was given to another
//! file: every such change stamps mtime and ctime of the folder, by the same clock as a write stamps those of a file. So the names need not
//! be listed to be asked for their states; if those are as they were, so is the tree object. A record is made under the rules above (the
//! folder was settled when listing began, the files when they were hashed), and only on file systems that are known to stamp folders
//! ([`crate::fs::stamps_folders`]).

mod leaves;
mod table;

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use leaves::Leaves;
pub(super) use leaves::{Leaf, States};
use table::{Record, Table};

use crate::clock::Micros;
use crate::fs::{Fs, Stat};
use crate::hash::Id;
use crate::path::Place;

/// Nanoseconds that a fine stamp must lie back: two ticks of the coarsest kernel clock.
const FINE_MARGIN_NS: i64 = 20_000_000;
/// Nanoseconds that a coarse stamp must lie back: the two seconds of FAT, and a little.
const COARSE_MARGIN_NS: i64 = 2_100_000_000;

/// What looking at a file costs beside its bytes, in bytes to hash.
const FILE_COST: u64 = 16 << 10;

/// What listing a folder and telling what is in it costs for each file, in bytes to hash, if nothing of it changed.
const LEAF_COST: u64 = 1 << 10;

/// Records of the small file at most, however small the large one is.
const SMALL: usize = 1024;

/// The path lies outside the project.
const OUTSIDE: u32 = 1;
/// It is a folder listing.
const LISTING: u32 = 2;
/// It is a folder in which nothing is wanted, the id being that of the choice.
const BARREN: u32 = 4;
/// What is about no file.
const NO_FILE: u32 = LISTING | BARREN;

/// Whether every later edit of a file in this state is sure to change its state, seen at the moment `at`.
pub fn is_settled(stat: &Stat, at: Micros) -> bool {
    settles_in(stat, at) == 0
}

/// Nanoseconds until a file that nobody touches is settled.
pub(super) fn settles_in(stat: &Stat, at: Micros) -> u64 {
    let margin = if stat.ctime_ns % 1_000_000 == 0 { COARSE_MARGIN_NS } else { FINE_MARGIN_NS };
    let newest = stat.mtime_ns.max(stat.ctime_ns);
    let left = newest.saturating_add(margin).saturating_sub(at.0.saturating_mul(1000));
    u64::try_from(left).unwrap_or(0)
}

/// How a file is found in the cache: by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    folder: u64,
    name: u64,
    flags: u32,
}

impl Key {
    /// The key of a file or of the top of a folder.
    pub fn of(place: &Place) -> Self {
        match place {
            Place::Inside(path) => Self::split(path.as_bytes(), 0),
            Place::Outside(path) => Self::split(path.as_os_str().as_bytes(), OUTSIDE),
        }
    }

    fn split(path: &[u8], flags: u32) -> Self {
        let (folder, name) = match path.iter().rposition(|&b| b == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&path[..0], path),
        };
        Self { folder: spread(folder), name: spread(name), flags }
    }

    fn number(self) -> u128 {
        number(self.folder, self.name)
    }
}

fn number(folder: u64, name: u64) -> u128 {
    (u128::from(folder) << 64) | u128::from(name)
}

/// FNV-1a, its bits mixed once more.
fn spread(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// What a save may drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    /// Nothing.
    Nothing,
    /// Entries of the project that were not asked for since the cache was opened, if they are more than half: for
    /// use after the whole project was looked at.
    Unasked,
}

/// Ids of files by their state. Shared by threads; several processes may use the same files.
#[derive(Debug)]
pub struct StatCache {
    file: Option<PathBuf>,
    main: Option<Table>,
    newer: Option<Table>,
    fresh: RwLock<HashMap<u128, Record>>,
    fresh_len: AtomicUsize,
    /// What the entries since the last save would spare, as bytes to hash.
    unsaved: AtomicU64,
    /// Opened when the first folder is asked for.
    leaves: OnceLock<Option<Leaves>>,
    fresh_leaves: Mutex<HashMap<u64, Vec<u8>>>,
    /// What those would spare.
    unsaved_leaves: AtomicU64,
}

impl StatCache {
    /// A cache that remembers only what this process puts into it.
    pub fn empty() -> Self {
        Self {
            file: None,
            main: None,
            newer: None,
            fresh: RwLock::default(),
            fresh_len: AtomicUsize::new(0),
            unsaved: AtomicU64::new(0),
            leaves: OnceLock::new(),
            fresh_leaves: Mutex::default(),
            unsaved_leaves: AtomicU64::new(0),
        }
    }

    /// Opens the cache whose large file is `file` (`.prov/cache/stat`). Never fails: what is absent or damaged is empty.
    pub fn open(file: &Path) -> Self {
        Self {
            file: Some(file.to_owned()),
            main: Table::open(file),
            newer: Table::open(&small_file(file)),
            ..Self::empty()
        }
    }

    /// The id of a file in this state, if known.
    pub fn get(&self, key: Key, stat: &Stat) -> Option<Id> {
        let all = |table: &Option<Table>| table.as_ref().map_or(0..0, |t| 0..t.len());
        self.look(key.number(), all(&self.main), all(&self.newer), |r| r.flags & NO_FILE == 0 && is_of(r, stat))
            .map(|r| r.id)
    }

    /// The entries of one folder, for asking about many names in it.
    pub fn folder(&self, folder: &Place) -> FolderView<'_> {
        let (hash, flags) = match folder {
            Place::Inside(path) => (spread(path.as_bytes()), 0),
            Place::Outside(path) => (spread(path.as_os_str().as_bytes()), OUTSIDE),
        };
        FolderView { cache: self, folder: hash, flags, main: OnceLock::new(), newer: OnceLock::new() }
    }

    /// Remembers that the file had this id in this state, hashing having begun at `hashed_at`; not if it was not
    /// settled then.
    pub fn put(&self, key: Key, stat: &Stat, id: Id, hashed_at: Micros) {
        if stat.is_file() && is_settled(stat, hashed_at) {
            self.insert(Record {
                key: key.number(),
                dev: stat.dev,
                ino: stat.ino,
                size: stat.size,
                mtime_ns: stat.mtime_ns,
                ctime_ns: stat.ctime_ns,
                id,
                mode: stat.mode,
                flags: key.flags,
            });
        }
    }

    /// Remembers that a folder, which was in this state and settled before it was listed, holds nothing that this choice wants.
    pub(super) fn put_barren(&self, key: Key, stat: &Stat, choice: Id) {
        self.insert(Record {
            key: key.number(),
            dev: stat.dev,
            ino: stat.ino,
            size: stat.size,
            mtime_ns: stat.mtime_ns,
            ctime_ns: stat.ctime_ns,
            id: choice,
            mode: stat.mode,
            flags: key.flags | BARREN,
        });
    }

    /// The tree object and total size of a folder whose listing has this digest.
    pub(super) fn listing(&self, digest: &Id) -> Option<(Id, u64)> {
        let wanted = listing_record(digest, Id::ZERO, 0);
        let all = |table: &Option<Table>| table.as_ref().map_or(0..0, |t| 0..t.len());
        let found = self.look(wanted.key, all(&self.main), all(&self.newer), |r| {
            (r.flags, r.dev, r.ino) == (wanted.flags, wanted.dev, wanted.ino)
        });
        found.map(|r| (r.id, r.size))
    }

    /// Remembers a folder listing.
    pub(super) fn put_listing(&self, digest: &Id, tree: Id, size: u64) {
        self.insert(listing_record(digest, tree, size));
    }

    /// What was in the folder at `place` when it was in the state `folder` before, if it held nothing but files.
    pub(super) fn leaf(&self, place: &Place, folder: &Stat) -> Option<Leaf<&[u8]>> {
        let leaves = self.leaves.get_or_init(|| Leaves::open(&leaves_file(self.file.as_ref()?)));
        leaves.as_ref()?.get(leaves::number(Key::of(place)), folder)
    }

    /// Remembers what is in a folder that was in the state `folder`, and settled, before it was listed.
    pub(super) fn put_leaf(&self, place: &Place, folder: &Stat, leaf: &Leaf<Vec<u8>>) {
        if self.file.is_none() {
            return;
        }
        self.unsaved_leaves.fetch_add(leaf.files.saturating_mul(LEAF_COST), Ordering::Relaxed);
        let record = leaves::encode(folder, leaf);
        let mut fresh = self.fresh_leaves.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.insert(leaves::number(Key::of(place)), record);
    }

    fn insert(&self, record: Record) {
        let mut fresh = self.fresh.write().unwrap_or_else(PoisonError::into_inner);
        fresh.insert(record.key, record);
        self.fresh_len.store(fresh.len(), Ordering::Relaxed);
        self.unsaved.fetch_add(record.size.saturating_add(FILE_COST), Ordering::Relaxed);
    }

    fn look(
        &self,
        key: u128,
        main: Range<usize>,
        newer: Range<usize>,
        fits: impl Fn(&Record) -> bool,
    ) -> Option<Record> {
        if self.fresh_len.load(Ordering::Relaxed) > 0 {
            let fresh = self.fresh.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(record) = fresh.get(&key).filter(|r| fits(r)) {
                return Some(*record);
            }
        }
        let find = |table: &Option<Table>, within: Range<usize>| {
            (!within.is_empty()).then(|| table.as_ref()?.find(key, within)).flatten().filter(|r| fits(r))
        };
        find(&self.newer, newer).or_else(|| find(&self.main, main))
    }

    /// What the entries that were not saved yet would spare whoever looks next, as a number of bytes to hash.
    pub fn would_spare(&self) -> u64 {
        self.unsaved.load(Ordering::Relaxed).saturating_add(self.unsaved_leaves.load(Ordering::Relaxed))
    }

    /// Writes down what is new. Does nothing if nothing is.
    ///
    /// # Errors
    /// When the files can't be written; nothing is lost but time, so a caller may pass it over.
    pub fn save(&self, fs: &Fs, forget: Forget) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if self.unsaved_leaves.swap(0, Ordering::Relaxed) > 0 {
            if let Some(dir) = file.parent() {
                fs.make_dirs(dir)?;
            }
            let fresh = self.fresh_leaves.lock().unwrap_or_else(PoisonError::into_inner);
            leaves::save(fs, &leaves_file(file), &fresh)?;
        }
        self.save_records(fs, file, forget)
    }

    fn save_records(&self, fs: &Fs, file: &Path, forget: Forget) -> io::Result<()> {
        let drop_unasked =
            forget == Forget::Unasked && self.main.as_ref().is_some_and(|t| t.len() > SMALL && t.asked() < t.len() / 2);
        let damaged = [&self.main, &self.newer].into_iter().flatten().any(Table::is_damaged);
        let fresh = self.fresh.read().unwrap_or_else(PoisonError::into_inner);
        if self.unsaved.swap(0, Ordering::Relaxed) == 0 && !drop_unasked && !damaged {
            return Ok(());
        }
        if let Some(dir) = file.parent() {
            fs.make_dirs(dir)?;
        }
        // Another process may have saved meanwhile; building on its files keeps what it found.
        let small = small_file(file);
        let older: Vec<Record> = Table::open(&small).map_or_else(Vec::new, |newer| {
            let records = (0..newer.len()).filter_map(|at| newer.record(at));
            records.filter(|record| !fresh.contains_key(&record.key)).collect()
        });
        let mut newest: Vec<&Record> = fresh.values().chain(&older).collect();
        newest.sort_unstable_by_key(|r| r.key);

        let on_disk = Table::open(file);
        let main_len = on_disk.as_ref().map_or(0, Table::len);
        // The cheapest size of the small file when few entries come at a time.
        let limit = SMALL.max((8 * main_len).isqrt());
        if newest.len() <= limit && !drop_unasked && !damaged {
            return table::write(fs, &small, newest.len(), newest.into_iter().copied());
        }
        // Positions agree between the open and the new table only if they are the same file; else nothing is dropped.
        let asked = self.main.as_ref().filter(|t| drop_unasked && t.len() == main_len);
        let merged = || Merge { main: on_disk.as_ref(), next: 0, newest: newest.iter().peekable(), asked };
        table::write(fs, file, merged().count(), merged())?;
        match fs.remove_file(&small) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        }
    }
}

/// The entries of one folder.
#[derive(Debug)]
pub struct FolderView<'a> {
    cache: &'a StatCache,
    folder: u64,
    flags: u32,
    /// Where they are in each table, found when they are asked for.
    main: OnceLock<Range<usize>>,
    newer: OnceLock<Range<usize>>,
}

impl FolderView<'_> {
    /// The id of the file `name` in this state, if known.
    pub fn get(&self, name: &[u8], stat: &Stat) -> Option<Id> {
        let key = number(self.folder, spread(name));
        let (main, newer) = self.ranges();
        self.cache.look(key, main, newer, |r| r.flags & NO_FILE == 0 && is_of(r, stat)).map(|r| r.id)
    }

    /// Whether the folder `name` is remembered as one in which this choice finds nothing, and is in the same state.
    pub(super) fn is_barren(&self, name: &[u8], stat: &Stat, choice: &Id) -> bool {
        let (main, newer) = self.ranges();
        let fits = |r: &Record| r.flags & NO_FILE == BARREN && r.id == *choice && is_of(r, stat);
        self.cache.look(number(self.folder, spread(name)), main, newer, fits).is_some()
    }

    /// Where the entries of the folder are.
    fn ranges(&self) -> (Range<usize>, Range<usize>) {
        let all = |table: &Table| table.range(number(self.folder, 0), number(self.folder, u64::MAX));
        let main = self.main.get_or_init(|| self.cache.main.as_ref().map_or(0..0, all));
        let newer = self.newer.get_or_init(|| self.cache.newer.as_ref().map_or(0..0, all));
        (main.clone(), newer.clone())
    }

    /// As [`FolderView::get`] is going to be asked for most of its files.
    pub(super) fn warm(&self) {
        if let Some(main) = &self.cache.main {
            let all = || main.range(number(self.folder, 0), number(self.folder, u64::MAX));
            main.warm(self.main.get_or_init(all).clone());
        }
    }

    /// The key of the file `name`.
    pub fn key(&self, name: &[u8]) -> Key {
        Key { folder: self.folder, name: spread(name), flags: self.flags }
    }
}

fn is_of(record: &Record, stat: &Stat) -> bool {
    (record.dev, record.ino, record.size, record.mtime_ns, record.ctime_ns, record.mode)
        == (stat.dev, stat.ino, stat.size, stat.mtime_ns, stat.ctime_ns, stat.mode)
}

fn listing_record(digest: &Id, tree: Id, size: u64) -> Record {
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.digest()[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    Record {
        key: (u128::from(number(0)) << 64) | u128::from(number(8)),
        dev: number(16),
        ino: number(24),
        size,
        mtime_ns: 0,
        ctime_ns: 0,
        id: tree,
        mode: 0,
        flags: LISTING,
    }
}

fn small_file(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    file.with_file_name(name)
}

fn leaves_file(file: &Path) -> PathBuf {
    file.with_file_name("leaves")
}

/// The sound records of a table and newer ones, which win, by key.
struct Merge<'a> {
    main: Option<&'a Table>,
    next: usize,
    newest: std::iter::Peekable<std::slice::Iter<'a, &'a Record>>,
    /// Only what was asked for here, or lies outside the project, is kept of `main`.
    asked: Option<&'a Table>,
}

impl Iterator for Merge<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let old = match self.main {
                Some(main) if self.next < main.len() => {
                    let old = main.record(self.next).filter(|r| {
                        r.flags & OUTSIDE != 0 || self.asked.is_none_or(|asked| asked.was_asked(self.next))
                    });
                    if old.is_none() {
                        self.next += 1;
                        continue;
                    }
                    old
                }
                _ => None,
            };
            let new = self.newest.peek().map(|r| r.key);
            return match (old, new) {
                (Some(old), Some(new)) if old.key == new => {
                    self.next += 1;
                    continue;
                }
                (Some(old), new) if new.is_none_or(|new| old.key < new) => {
                    self.next += 1;
                    Some(old)
                }
                _ => self.newest.next().map(|record| **record),
            };
        }
    }
}

#[cfg(test)]
mod tests;

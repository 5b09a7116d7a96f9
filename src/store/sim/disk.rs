//! A disk in memory that knows which of its effects are durable, tells the time of listings loosely, reports errors, and can lose power.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::chance::Chance;
use super::world::{Heat, State, World};
use crate::fs::{Disk, DiskFile, FileKind, Stat};
use crate::store::backend::Folder;
use crate::store::entry;

/// Where the store lies on this disk.
pub(super) const ROOT: &str = "/store";

/// What the disk does wrong because the store is to have left something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Files are not flushed.
    FilesNotFlushed,
    /// The folders of packs, tables and history are not flushed.
    FoldersNotFlushed,
    /// The log's folder is not flushed.
    LogNotFlushed,
    /// The folders of packs, tables and history are flushed after the entry that names their files.
    EntryFirst,
    /// A file takes the place of one that is there.
    LinkReplaces,
}

const FOLDERS: usize = Folder::ALL.len() + 1;
const LOG: usize = 1;
const TMP: usize = 5;

#[derive(Debug, Default)]
struct Inode {
    bytes: Arc<Vec<u8>>,
    is_durable: bool,
    /// A flush failed: a later one says that all is well, and it is not.
    is_doomed: bool,
}

#[derive(Debug, Default)]
struct Dir {
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Names made and removed since the folder was flushed.
    pending: Vec<(String, Option<usize>)>,
    /// Every name that ever came or went, for listings that take their time.
    events: Vec<String>,
}

impl Dir {
    fn set(&mut self, name: &str, inode: Option<usize>) {
        match inode {
            Some(inode) => self.names.insert(name.to_owned(), inode),
            None => self.names.remove(name),
        };
        self.pending.push((name.to_owned(), inode));
        self.events.push(name.to_owned());
    }

    fn flush(&mut self) {
        for (name, inode) in std::mem::take(&mut self.pending) {
            match inode {
                Some(inode) => self.durable.insert(name, inode),
                None => self.durable.remove(&name),
            };
        }
    }
}

/// All files and folders.
#[derive(Debug)]
pub(super) struct Files {
    dirs: [Dir; FOLDERS],
    inodes: Vec<Inode>,
    flaws: BTreeSet<Flaw>,
    /// Folders whose flush waits for an entry ([`Flaw::EntryFirst`]).
    late: BTreeSet<usize>,
}

impl Files {
    pub(super) fn new(flaws: BTreeSet<Flaw>) -> Self {
        Self { dirs: Default::default(), inodes: Vec::new(), flaws, late: BTreeSet::new() }
    }

    fn get(&self, at: (usize, &str)) -> Option<&Inode> {
        self.dirs[at.0].names.get(at.1).map(|&inode| &self.inodes[inode])
    }

    fn sync_dir(&mut self, dir: usize) {
        let is_log = dir == LOG;
        let is_held_back = if is_log { Flaw::LogNotFlushed } else { Flaw::FoldersNotFlushed };
        if self.flaws.contains(&is_held_back) {
            return;
        }
        if !is_log && dir > LOG && self.flaws.contains(&Flaw::EntryFirst) {
            self.late.insert(dir);
            return;
        }
        self.dirs[dir].flush();
        if is_log {
            for dir in std::mem::take(&mut self.late) {
                self.dirs[dir].flush();
            }
        }
    }

    /// Drops what was not made durable: of each folder any of the names made and removed since it was flushed, of each file any of the
    /// bytes. Names in the log come and go in order, as every file system with a journal has it.
    pub(super) fn lose_power(&mut self, chance: &mut Chance) {
        for (at, dir) in self.dirs.iter_mut().enumerate() {
            let pending = std::mem::take(&mut dir.pending);
            let how = chance.below(3);
            let kept: Vec<_> = match how {
                0 => Vec::new(),
                1 => pending,
                _ if at == LOG => {
                    let keep = chance.below(pending.len() + 1);
                    pending.into_iter().take(keep).collect()
                }
                // Of each name the effects come in order, too.
                _ => {
                    let mut stopped = BTreeSet::new();
                    let mut kept = Vec::new();
                    for (name, inode) in pending {
                        if chance.hits(500) {
                            stopped.insert(name.clone());
                        }
                        if !stopped.contains(&name) {
                            kept.push((name, inode));
                        }
                    }
                    kept
                }
            };
            dir.pending = kept;
            dir.flush();
            dir.names = dir.durable.clone();
        }
        self.late.clear();
        for inode in &mut self.inodes {
            if !inode.is_durable || inode.is_doomed {
                let len = inode.bytes.len();
                let bytes = Arc::make_mut(&mut inode.bytes);
                match chance.below(4) {
                    0 => {}
                    1 => bytes.clear(),
                    2 => bytes.fill(0),
                    _ => bytes.truncate(chance.below(len + 1)),
                }
            }
            inode.is_durable = true;
            inode.is_doomed = false;
        }
    }

    pub(super) fn newest_entry(&self) -> u64 {
        self.dirs[LOG].names.keys().filter_map(|name| entry::parse_name(name)).max().unwrap_or(0)
    }

    /// Damages a file: its bytes become others, or it goes.
    pub(super) fn damage(&mut self, folder: Folder, name: &str, chance: &mut Chance) {
        let at = Folder::ALL.iter().position(|&f| f == folder).map_or(0, |at| at + 1);
        let dir = &mut self.dirs[at];
        let Some(&inode) = dir.names.get(name) else { return };
        if chance.hits(400) {
            dir.names.remove(name);
            dir.durable.remove(name);
            return;
        }
        let bytes = Arc::make_mut(&mut self.inodes[inode].bytes);
        if bytes.is_empty() {
            // It was damaged before.
            return;
        }
        let position = chance.below(bytes.len());
        match chance.below(3) {
            0 => bytes.truncate(position),
            1 => bytes.clear(),
            _ => bytes[position] ^= 1 << chance.below(8),
        }
    }
}

/// The folder and the name that a path of the store means.
fn place(path: &Path) -> io::Result<(usize, &str)> {
    let strange = || io::Error::from(io::ErrorKind::NotFound);
    let inner = path.to_str().and_then(|path| path.strip_prefix(ROOT)).ok_or_else(strange)?;
    let inner = inner.trim_start_matches('/');
    match inner.split_once('/') {
        None => match Folder::ALL.iter().position(|folder| folder.as_str() == inner) {
            Some(at) => Ok((at + 1, "")),
            None => Ok((0, inner)),
        },
        Some((dir, name)) => {
            let at = Folder::ALL.iter().position(|folder| folder.as_str() == dir).ok_or_else(strange)?;
            Ok((at + 1, name))
        }
    }
}

fn errno(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

/// The disk as one process sees it.
#[derive(Debug, Clone)]
pub(super) struct ProcessDisk {
    pub(super) world: Arc<World>,
    pub(super) who: usize,
}

impl ProcessDisk {
    /// Whether an effect fails, and how: before it is done, or after.
    fn failure(&self, state: &mut State) -> Option<(io::Error, bool)> {
        if self.who == super::world::NOBODY || state.fate.failure == 0 {
            return None;
        }
        if state.chance.next() % 10_000 >= u64::from(state.fate.failure) {
            return None;
        }
        let code = state.chance.pick(&[Errno::NOSPC, Errno::IO, Errno::DQUOT, Errno::MFILE]);
        Some((errno(code), state.chance.hits(500)))
    }

    fn note(&self, state: &mut State, what: &str, at: (usize, &str), result: &str) {
        state.note(self.who, || {
            let dir = if at.0 == 0 { "." } else { Folder::ALL[at.0 - 1].as_str() };
            let name = if at.0 == LOG { at.1.trim_start_matches('0') } else { &at.1[..at.1.len().min(12)] };
            format!("{what} {dir}/{name}{result}")
        });
    }

    /// Gives a name to a file, which must not be there.
    fn name(state: &mut State, inode: usize, to: (usize, &str)) -> io::Result<()> {
        if state.files.dirs[to.0].names.contains_key(to.1) && !state.files.flaws.contains(&Flaw::LinkReplaces) {
            return Err(errno(Errno::EXIST));
        }
        state.files.dirs[to.0].set(to.1, Some(inode));
        if to.0 == LOG
            && let Some(number) = entry::parse_name(to.1)
        {
            let bytes = Arc::clone(&state.files.inodes[inode].bytes);
            if let Err(what) = state.truth.linked(number, &bytes) {
                state.violated(|| what);
            }
        }
        Ok(())
    }
}

impl Disk for ProcessDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let at = place(path)?;
        let mut state = self.world.alive(self.who)?;
        if let Some((err, _)) = self.failure(&mut state) {
            self.note(&mut state, "create", at, " fails");
            return Err(err);
        }
        if state.files.dirs[at.0].names.contains_key(at.1) {
            return Err(errno(Errno::EXIST));
        }
        let inode = state.files.inodes.len();
        state.files.inodes.push(Inode::default());
        state.files.dirs[at.0].set(at.1, Some(inode));
        Ok(Box::new(OpenFile { disk: self.clone(), inode }))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // What lies above the store is there for good.
        let Ok(at) = place(dir) else { return Ok(()) };
        let mut state = self.world.step(self.who, Heat::Warm)?;
        if let Some((err, is_done)) = self.failure(&mut state) {
            if is_done {
                state.files.sync_dir(at.0);
            }
            self.note(&mut state, "flush", at, " fails");
            return Err(err);
        }
        state.files.sync_dir(at.0);
        self.note(&mut state, "flush", at, "");
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (place(from)?, place(to)?);
        let mut state = self.world.step(self.who, Heat::Hot)?;
        let Some(&inode) = state.files.dirs[from.0].names.get(from.1) else { return Err(errno(Errno::NOENT)) };
        let vague = state.fate.vague_link;
        let result = if self.who != super::world::NOBODY && state.chance.hits(vague) {
            match state.chance.below(3) {
                0 => Err(errno(Errno::IO)),
                1 => Self::name(&mut state, inode, to).and(Err(errno(Errno::IO))),
                // A request that was sent twice, and the first one arrived.
                _ => Self::name(&mut state, inode, to).and(Err(errno(Errno::EXIST))),
            }
        } else {
            Self::name(&mut state, inode, to)
        };
        let told = match &result {
            Ok(()) => " -> done".to_owned(),
            Err(err) => format!(" -> {}", err.kind()),
        };
        self.note(&mut state, "link", to, &told);
        drop(state);
        drop(self.world.step(self.who, Heat::Hot)?);
        result
    }

    fn rename_no_replace(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(errno(Errno::NOTSUP))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let at = place(path)?;
        let mut state =
            if at.0 == TMP { self.world.alive(self.who)? } else { self.world.step(self.who, Heat::Warm)? };
        let failure = self.failure(&mut state);
        if let Some((err, false)) = failure {
            self.note(&mut state, "remove", at, " fails");
            return Err(err);
        }
        if !state.files.dirs[at.0].names.contains_key(at.1) {
            return Err(errno(Errno::NOENT));
        }
        state.files.dirs[at.0].set(at.1, None);
        if at.0 != TMP {
            self.note(&mut state, "remove", at, "");
        }
        failure.map_or(Ok(()), |(err, _)| Err(err))
    }

    fn make_dirs(&self, _path: &Path) -> io::Result<()> {
        self.world.alive(self.who).map(drop)
    }

    fn is_dir(&self, path: &Path) -> bool {
        place(path).is_ok_and(|(_, name)| name.is_empty())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<Vec<u8>>> {
        let at = place(path)?;
        let mut state = self.world.step(self.who, if at.0 == LOG { Heat::Warm } else { Heat::Cold })?;
        if self.failure(&mut state).is_some() {
            // What can't be read for good is damage, which is another chapter: this may pass.
            let err = errno(state.chance.pick(&[Errno::MFILE, Errno::NOMEM, Errno::ACCESS]));
            self.note(&mut state, "open", at, " fails");
            return Err(err);
        }
        let bytes = state.files.get(at).map(|inode| Arc::clone(&inode.bytes));
        self.note(&mut state, "open", at, if bytes.is_some() { "" } else { " -> not there" });
        bytes.ok_or_else(|| errno(Errno::NOENT))
    }

    fn lstat(&self, path: &Path) -> io::Result<Stat> {
        let at = place(path)?;
        let state = self.world.alive(self.who)?;
        let inode = state.files.get(at).ok_or_else(|| errno(Errno::NOENT))?;
        Ok(Stat {
            kind: FileKind::File { exec: false },
            dev: 1,
            ino: 1,
            size: inode.bytes.len() as u64,
            mtime_ns: 0,
            ctime_ns: 0,
            links: 1,
            mode: 0o100_444,
        })
    }

    /// What comes or goes while the folder is listed may show or not.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let (at, _) = place(dir)?;
        let mut state = self.world.step(self.who, Heat::Cold)?;
        if self.who == super::world::NOBODY {
            return Ok(state.files.dirs[at].names.keys().cloned().collect());
        }
        if let Some((err, _)) = self.failure(&mut state) {
            self.note(&mut state, "list", (at, ""), " fails");
            return Err(err);
        }
        let before: BTreeSet<String> = state.files.dirs[at].names.keys().cloned().collect();
        let mark = state.files.dirs[at].events.len();
        let slow = state.fate.slow_list;
        if at == LOG && state.chance.hits(slow) {
            let steps = state.chance.pick(&[40, 100, 200, 400]);
            state.rest(self.who, steps);
        }
        for _ in 0..=state.chance.below(3) {
            drop(state);
            state = self.world.step(self.who, Heat::Hot)?;
        }
        let seen = state.chance.pick(&[0, 500, 1000]);
        let dir = &state.files.dirs[at];
        let flux: BTreeSet<String> = dir.events[mark..].iter().cloned().collect();
        let mut shown: Vec<String> =
            before.iter().filter(|name| dir.names.contains_key(*name) && !flux.contains(*name)).cloned().collect();
        for name in flux {
            if state.chance.hits(seen) {
                shown.push(name);
            }
        }
        let told = if state.trace.is_some() && at == LOG {
            format!(" -> {}", shown.iter().map(|name| name.trim_start_matches('0')).collect::<Vec<_>>().join(" "))
        } else {
            String::new()
        };
        self.note(&mut state, "list", (at, ""), &told);
        Ok(shown)
    }

    fn lock(&self, _path: &Path, _wait: Duration) -> Option<Box<dyn Any + Send>> {
        let mut state = self.world.alive(self.who).ok()?;
        if !state.fate.lock || self.who == super::world::NOBODY {
            return None;
        }
        for _ in 0..3 {
            if state.lock_holder.is_none() {
                state.lock_holder = Some(self.who);
                return Some(Box::new(Held(self.clone())));
            }
            state.rest(self.who, 20);
            drop(state);
            state = self.world.step(self.who, Heat::Cold).ok()?;
        }
        None
    }

    fn pause(&self, _time: Duration) {
        if let Ok(mut state) = self.world.alive(self.who) {
            state.rest(self.who, 3);
            drop(state);
            drop(self.world.step(self.who, Heat::Cold));
        }
    }
}

#[derive(Debug)]
struct Held(ProcessDisk);

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.world.state();
        if state.lock_holder == Some(self.0.who) {
            state.lock_holder = None;
        }
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: ProcessDisk,
    inode: usize,
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.world.alive(self.disk.who)?;
        let failure = self.disk.failure(&mut state);
        let take = match &failure {
            None => bytes.len(),
            Some((_, true)) => state.chance.below(bytes.len() + 1),
            Some((_, false)) => 0,
        };
        let inode = &mut state.files.inodes[self.inode];
        Arc::make_mut(&mut inode.bytes).extend_from_slice(&bytes[..take]);
        inode.is_durable = false;
        match failure {
            // Some of it arrived: the rest is asked for again.
            Some(_) if take > 0 => Ok(take),
            Some((err, _)) => Err(err),
            None => Ok(take),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for OpenFile {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.world.alive(self.disk.who)?;
        let failure = self.disk.failure(&mut state);
        let is_skipped = state.files.flaws.contains(&Flaw::FilesNotFlushed);
        let inode = &mut state.files.inodes[self.inode];
        if let Some((err, _)) = failure {
            inode.is_doomed = true;
            return Err(err);
        }
        inode.is_durable = !is_skipped;
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.world.alive(self.disk.who)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Arc::make_mut(&mut state.files.inodes[self.inode].bytes).truncate(len);
        Ok(())
    }
}

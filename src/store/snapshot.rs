//! A snapshot: the store as it was at one entry of its log.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Store;
use super::backend::Folder;
use super::entry::{self, Checkpoint, Expect, OpId, PackRow};
use super::error::{Damage, Error};
use super::files::Unusable;
use super::history;
use super::load::{Loaded, Log};
use super::located::Places;
use super::overlay::{Edited, Overlay};
use super::sorted::{Broken, SortedFile};
use crate::clock::Micros;
use crate::hash::Id;

/// Inline objects that are looked for through refs.
const LOOKS: usize = 2;

/// The store as it was at one entry of its log. Cheap to clone; may be used from many threads.
///
/// What it reads is verified. Files that are damaged are passed over and told of by [`Snapshot::damage`]. A file
/// that left the state since is looked for in the newest state.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) log: Log,
    /// The state at the tip.
    pub(super) state: Checkpoint,
    overlay: Overlay,
    /// Numbers of the operations since the checkpoint, its own included.
    ops: HashMap<[u8; 16], u64>,
    /// Positions in `log.entries` of those that count: an operation that was there before counts as nothing.
    pub(super) counting: Vec<usize>,
    /// Where inline objects lie: position in `log.entries`, position in its objects.
    inline: OnceLock<HashMap<Id, (usize, usize)>>,
    /// How often an inline object was looked for before it was known where all lie.
    looks: AtomicUsize,
    /// The pack in which most of many objects were found the last time, by its position.
    pub(super) hit: AtomicUsize,
    /// Where many objects were found the last time, for the next who asks for the same.
    pub(super) located: Mutex<Option<Arc<Places>>>,
    /// The packs in the orders in which they are looked into, and in which one of that order an object was found the last time.
    pub(super) orders: [OnceLock<Vec<PackRow>>; 2],
    pub(super) found: [AtomicUsize; 2],
    damage: Mutex<Vec<Damage>>,
    newer: Mutex<Option<Snapshot>>,
}

/// One entry of the log, as `ops` shows it.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Its number.
    pub number: u64,
    /// Its operation.
    pub op: OpId,
    /// When it was written.
    pub at: Micros,
    /// Who wrote it.
    pub by: String,
    /// On which machine.
    pub host: String,
    /// Which command wrote it.
    pub command: String,
    /// Whether it is a fold.
    pub is_fold: bool,
    /// The refs it changed: key, expectation, new value.
    pub edits: Vec<(Vec<u8>, Expect, Option<Vec<u8>>)>,
}

/// An edit of a ref that was folded away, as far as history keeps such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEdit {
    /// The ref.
    pub key: Vec<u8>,
    /// The entry that made it.
    pub number: u64,
    /// The value before.
    pub old: Option<Vec<u8>>,
    /// The value after.
    pub new: Option<Vec<u8>>,
}

impl Snapshot {
    pub(super) fn load(store: &Store) -> Result<Self, Error> {
        let log = super::load::load(store.backend(), store.files(), store.rules(), None)?;
        Ok(Self::of(store, log))
    }

    /// The newest state; what both have in common is not read again.
    pub(super) fn load_after(store: &Store, known: &Self) -> Result<Self, Error> {
        let log = super::load::load(store.backend(), store.files(), store.rules(), Some(&known.inner.log))?;
        Ok(Self::of(store, log))
    }

    fn of(store: &Store, log: Log) -> Self {
        let mut state = log.checkpoint.clone();
        let mut ops = HashMap::new();
        let mut counting = Vec::with_capacity(log.entries.len());
        if let Some(fold) = &log.fold {
            ops.insert(fold.entry.op.to_bytes(), fold.number);
        }
        for (at, loaded) in log.entries.iter().enumerate() {
            let entry = &loaded.entry;
            if ops.contains_key(&entry.op.to_bytes()) {
                continue;
            }
            ops.insert(entry.op.to_bytes(), loaded.number);
            counting.push(at);
            state.apply(loaded.number, entry);
        }
        let damage = log.healed.iter().chain(log.holes.iter().map(|(_, damage)| damage)).cloned().collect();
        let inner = Inner {
            store: store.clone(),
            state,
            overlay: Overlay::of(&log.entries, &counting),
            log,
            ops,
            counting,
            inline: OnceLock::new(),
            looks: AtomicUsize::new(0),
            hit: AtomicUsize::new(usize::MAX),
            located: Mutex::default(),
            orders: Default::default(),
            found: [AtomicUsize::new(usize::MAX), AtomicUsize::new(usize::MAX)],
            damage: Mutex::new(damage),
            newer: Mutex::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The number of the newest entry it knows.
    pub fn tip(&self) -> u64 {
        self.inner.log.tip
    }

    /// The number of the checkpoint it stands on.
    pub fn base(&self) -> u64 {
        self.inner.log.base
    }

    /// Whether nothing was ever recorded.
    pub fn is_empty(&self) -> bool {
        self.overlay().is_empty() && self.inner.state.tables.is_empty() && self.inner.state.packs.is_empty()
    }

    /// The store it is of.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Packs, tables, history files and features at its tip.
    pub fn state(&self) -> &Checkpoint {
        &self.inner.state
    }

    /// What was found damaged so far, while the log was read and by lookups since.
    pub fn damage(&self) -> Vec<Damage> {
        let mut all = self.inner.damage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(newer) = &*self.inner.newer.lock().unwrap_or_else(PoisonError::into_inner) {
            all.extend(newer.damage());
        }
        all.sort();
        all.dedup();
        all
    }

    /// An entry of the log that can't be read and of which there is no copy: what it recorded is not in this
    /// snapshot, so nothing may be deleted.
    pub fn damaged_entry(&self) -> Option<&Damage> {
        self.inner.log.holes.first().map(|(_, damage)| damage)
    }

    /// The entries since the checkpoint, its own included where it can be read, oldest first.
    pub fn entries_since_checkpoint(&self) -> impl Iterator<Item = LogEntry> + '_ {
        self.inner.log.fold.iter().chain(&self.inner.log.entries).map(shown)
    }

    /// Edits of one ref that were folded away, newest first: those that carried an expectation, and deletions.
    ///
    /// # Errors
    /// When the newest state can't be loaded.
    pub fn past_edits(&self, key: &[u8]) -> Result<Vec<PastEdit>, Error> {
        let lower = history::edit_key(key, 0);
        let mut found: Vec<PastEdit> = Vec::new();
        for row in &self.inner.state.history {
            let walk = |file: &Arc<SortedFile>| -> Result<Vec<PastEdit>, Broken> {
                let mut edits = Vec::new();
                let mut cursor = super::sorted::Cursor::forward(file, &lower)?;
                while let Some((record, value)) = cursor.record() {
                    if !record.starts_with(&lower[..lower.len() - 8]) {
                        break;
                    }
                    if let Some((found, number)) = history::parse_edit_key(record)
                        && found == key
                    {
                        let change: history::Change = crate::codec::decode(value, &crate::codec::Limits::RECORD)
                            .map_err(|err| format!("an edit in it: {err}"))?;
                        let [old, new] = [change.0, change.1].map(|side| side.map(Vec::from));
                        edits.push(PastEdit { key: key.to_vec(), number, old, new });
                    }
                    cursor.advance()?;
                }
                Ok(edits)
            };
            match self.file(Folder::History, &row.name())? {
                File::Here(file) => match walk(&file) {
                    Ok(edits) => found.extend(edits),
                    Err(what) => self.note(Folder::History, &row.name(), what),
                },
                File::Lost => {}
                File::Moved(newer) => return newer.past_edits(key),
            }
        }
        found.sort_by_key(|edit| std::cmp::Reverse(edit.number));
        Ok(found)
    }

    /// The number of the entry in which an operation landed.
    ///
    /// # Errors
    /// When the newest state can't be loaded.
    pub fn find_op(&self, op: OpId) -> Result<Option<u64>, Error> {
        if let Some(&number) = self.inner.ops.get(&op.to_bytes()) {
            return Ok(Some(number));
        }
        let key = history::op_key(op);
        for row in &self.inner.state.history {
            match self.file(Folder::History, &row.name())? {
                File::Here(file) => match file.get(&key) {
                    Ok(Some(value)) => {
                        return Ok(Some(super::sorted::varint::take(&mut value.as_slice()).unwrap_or(0)));
                    }
                    Ok(None) => {}
                    Err(what) => self.note(Folder::History, &row.name(), what),
                },
                File::Lost => {}
                File::Moved(newer) => return newer.find_op(op),
            }
        }
        Ok(None)
    }

    /// Whether the operation is among the entries since the checkpoint, without a look into history.
    pub(super) fn recent_op(&self, op: OpId) -> Option<u64> {
        self.inner.ops.get(&op.to_bytes()).copied()
    }

    /// The refs that were edited since the checkpoint.
    pub(super) fn overlay(&self) -> Edited<'_> {
        self.inner.overlay.over(&self.inner.log.entries)
    }

    /// Where each inline object lies.
    pub(super) fn inline(&self) -> &HashMap<Id, (usize, usize)> {
        self.inner.inline.get_or_init(|| {
            let mut found = HashMap::new();
            for &at in &self.inner.counting {
                for (position, id) in self.inner.log.entries[at].ids().iter().enumerate() {
                    found.entry(*id).or_insert((at, position));
                }
            }
            found
        })
    }

    /// Does beforehand what looking for many objects needs, as long as `goes_on` says so.
    pub fn prepare(&self, goes_on: &dyn Fn() -> bool) {
        for &at in self.inner.counting.iter().take_while(|_| goes_on()) {
            self.inner.log.entries[at].ids();
        }
    }

    /// Where an inline object lies, if a ref of its entry names it or it is known already where all lie. Whoever looks for one or two finds
    /// them sooner through their refs; for more the ids of all are computed.
    pub(super) fn named_inline(&self, id: &Id) -> Option<(usize, usize)> {
        if self.inner.inline.get().is_some() || self.inner.looks.fetch_add(1, Ordering::Relaxed) >= LOOKS {
            return self.inline().get(id).copied();
        }
        let bytes = id.to_bytes();
        let bytes = bstr::Finder::new(&bytes);
        self.inner.counting.iter().rev().find_map(|&at| {
            let entry = &self.inner.log.entries[at].entry;
            if !entry.refs.iter().filter_map(|edit| edit.2.as_ref()).any(|value| bytes.find(value).is_some()) {
                return None;
            }
            let is_it = |object: &entry::Inline| crate::object::id_of(&object.0, &object.1) == *id;
            Some((at, entry.objects.iter().position(is_it)?))
        })
    }

    /// Whether more than a few objects were looked for.
    pub(super) fn asks_often(&self) -> bool {
        self.inner.inline.get().is_some()
    }

    pub(super) fn entry(&self, at: usize) -> &Loaded {
        &self.inner.log.entries[at]
    }

    /// Remembers that a file is damaged.
    pub(super) fn note(&self, folder: Folder, name: &Id, what: impl Into<String>) {
        let code = match folder {
            Folder::Tables => "table-damaged",
            Folder::History => "history-damaged",
            _ => "pack-damaged",
        };
        self.remember(folder, name, code, what.into());
    }

    pub(super) fn remember(&self, folder: Folder, name: &Id, code: &'static str, what: String) {
        let damage = Damage { file: format!("{folder}/{}", folder.file(name)), code, what };
        let mut all = self.inner.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(&damage) {
            all.push(damage);
        }
    }

    fn is_known_missing(&self, folder: Folder, name: &Id) -> bool {
        let file = format!("{folder}/{}", folder.file(name));
        let all = self.inner.damage.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|damage| damage.file == file && damage.code.ends_with("-missing"))
    }

    /// A sorted file of this snapshot, or what to do without it.
    pub(super) fn file(&self, folder: Folder, name: &Id) -> Result<File, Error> {
        match self.inner.store.files().get(folder, name) {
            Ok(file) => Ok(File::Here(file)),
            Err(Unusable::Broken(what)) => {
                self.note(folder, name, what);
                Ok(File::Lost)
            }
            Err(Unusable::Denied(err)) => Err(err.into()),
            // It was looked for in the newest state then.
            Err(Unusable::Absent) if self.is_known_missing(folder, name) => Ok(File::Lost),
            Err(Unusable::Absent) => {
                let mut newer = self.newer()?;
                if newer.inner.state.has_file(folder, name) {
                    // That one may have been taken long ago; the file went since.
                    newer = self.newest()?;
                }
                let state = &newer.inner.state;
                if !state.has_file(folder, name) {
                    return Ok(File::Moved(newer));
                }
                if state.condemned.contains_key(name) {
                    // Whatever counts in it lies elsewhere; its writer may have removed what gc took for an orphan.
                    let was_condemned = self.inner.state.condemned.contains_key(name);
                    return Ok(if was_condemned { File::Lost } else { File::Moved(newer) });
                }
                let code = match folder {
                    Folder::Tables => "table-missing",
                    Folder::History => "history-missing",
                    _ => "pack-missing",
                };
                self.remember(folder, name, code, "it is missing".to_owned());
                Ok(File::Lost)
            }
        }
    }

    /// The newest state, loaded when a file of this one has gone.
    pub(super) fn newer(&self) -> Result<Snapshot, Error> {
        if let Some(newer) = &*self.inner.newer.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(newer.clone());
        }
        self.newest()
    }

    /// The state of the store now; it is what [`Snapshot::newer`] gives from here on.
    fn newest(&self) -> Result<Snapshot, Error> {
        let newest = self.inner.store.snapshot()?;
        *self.inner.newer.lock().unwrap_or_else(PoisonError::into_inner) = Some(newest.clone());
        Ok(newest)
    }
}

/// What came of looking for a file of a snapshot.
#[derive(Debug)]
pub(super) enum File {
    /// It is open.
    Here(Arc<SortedFile>),
    /// It is damaged or missing, which was noted: go on without it.
    Lost,
    /// It left the state: ask the newest one.
    Moved(Snapshot),
}

fn shown(loaded: &Loaded) -> LogEntry {
    let entry = &loaded.entry;
    LogEntry {
        number: loaded.number,
        op: entry.op,
        at: entry.at,
        by: entry.by.clone(),
        host: entry.host.clone(),
        command: entry.cmd.clone(),
        is_fold: entry.is_fold(),
        edits: entry
            .refs
            .iter()
            .map(|edit| (edit.0.to_vec(), edit.1.clone(), edit.2.as_ref().map(|value| value.to_vec())))
            .collect(),
    }
}

/// The path of a log entry in the store's folder.
pub(super) fn log_file(number: u64) -> String {
    format!("log/{}", entry::name(number))
}

//! Packs that travel as they are: where every object of a large pack is wanted, its file is copied under another name instead of being taken
//! apart (`docs/design/0018-whole-packs.md`).
//!
//! Whether that is so is known only when everything that is wanted is known. So what lies in such a pack waits until then. Every object is
//! still verified by its id, on all processors, in the very bytes that are written.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::backend::ReadAt;
use super::copying::{self, Task};
use super::entry::Class;
use super::intake::Intake;
use super::pack::{self, PackRecord};
use super::snapshot::Snapshot;
use super::sorted::{self, SortedFile};
use crate::hash::{Id, IdMap};
use crate::object::AccessError;
use crate::progress::{Cancel, Progress};

/// Bytes of a file from which on it may travel as it is: smaller ones are merged sooner or later, and are put together on the way.
pub(super) const LEAST: u64 = super::merge::FILE_MAX;

/// Bytes of a file at most: a place may hold what it is sent in memory.
const MOST: u64 = 80 << 20;

/// Bytes of an index at most, which is held in memory.
const INDEX_MOST: u64 = 12 << 20;

/// Bytes of packs that are worth a thread.
pub(super) const A_THREAD: u64 = 4 << 20;

/// What is wanted of one pack.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) file: Arc<SortedFile>,
    pub(super) ids: Vec<Id>,
    /// The lists of those that are in pieces.
    pub(super) lists: IdMap<Id>,
}

/// What waits, by the names of packs.
pub(super) type Waitings = BTreeMap<Id, Waiting>;

/// Whether a pack is one that may travel as it is.
pub(super) fn may_travel(file: &SortedFile) -> bool {
    (LEAST..=MOST).contains(&file.len()) && file.len() - file.data_end() <= INDEX_MOST
}

/// Head and end of a file, held in memory: what is checked is what is written.
#[derive(Debug)]
struct Ends {
    head: Vec<u8>,
    end_at: u64,
    end: Arc<Vec<u8>>,
}

impl ReadAt for Ends {
    fn size(&self) -> io::Result<u64> {
        Ok(self.end_at + self.end.len() as u64)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let (bytes, from) = match offset.checked_sub(self.end_at) {
            Some(from) => (self.end.as_slice(), from),
            None => (self.head.as_slice(), offset),
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let found = from.checked_add(buffer.len()).and_then(|to| bytes.get(from..to));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A pack of which every byte is accounted for: nothing but objects one after another, and an index that is sound.
pub(super) struct Layout {
    pub(super) head: Vec<u8>,
    /// In the order of the file.
    pub(super) records: Vec<(Id, PackRecord)>,
    /// The blocks of the index.
    pub(super) index: Vec<u8>,
}

impl Layout {
    /// Reads everything of a pack but its objects; `None` if that is not all in order, or holds anything that is not wanted.
    pub(super) fn read(waiting: &mut Waiting) -> Option<Self> {
        let file = &*waiting.file;
        if file.count() != waiting.ids.len() as u64 {
            return None;
        }
        let end_at = file.data_end();
        let (head, end) = (file.raw(0, 8).ok()?, Arc::new(file.raw(end_at, file.len() - end_at).ok()?));
        let ends = Ends { head: head.clone(), end_at, end: Arc::clone(&end) };
        let indexed = file.read_from(Box::new(ends));
        // They were found in long sorted stretches.
        waiting.ids.sort();
        let mut wanted = waiting.ids.iter();
        let mut records = Vec::with_capacity(waiting.ids.len());
        let (mut is_wanted, mut is_sound) = (true, true);
        sorted::verify(
            &indexed,
            pack::MAGIC,
            &mut |key, value| match (Id::from_bytes(key), PackRecord::parse(value, file)) {
                (Some(id), Ok(record)) if Class::of(&record.kind) == Class::Content => {
                    is_wanted &= wanted.next() == Some(&id);
                    records.push((id, record));
                }
                _ => is_wanted = false,
            },
            &mut |_| is_sound = false,
        );
        if !is_wanted || !is_sound || records.len() != waiting.ids.len() {
            return None;
        }
        let records = in_order_of_file(&records)?;
        let mut at = 8;
        for (_, record) in &records {
            if record.offset != at {
                return None;
            }
            at += record.stored_len();
        }
        let index = usize::try_from(indexed.index_end().checked_sub(end_at)?).ok()?;
        (at == end_at).then(|| Self { head, records, index: end[..index].to_vec() })
    }

    /// The objects in portions of about so many bytes, which are read at once.
    pub(super) fn portions(&self, at_once: u64) -> Vec<Range<usize>> {
        let (mut portions, mut from, mut bytes) = (Vec::new(), 0, 0);
        for (at, (_, record)) in self.records.iter().enumerate() {
            bytes += record.stored_len();
            if bytes >= at_once {
                portions.push(from..at + 1);
                (from, bytes) = (at + 1, 0);
            }
        }
        if from < self.records.len() {
            portions.push(from..self.records.len());
        }
        portions
    }
}

/// Sorts places instead of records, which are several times as large.
fn in_order_of_file(records: &[(Id, PackRecord)]) -> Option<Vec<(Id, PackRecord)>> {
    let mut order: Vec<(u64, u32)> = Vec::with_capacity(records.len());
    for (at, (_, record)) in records.iter().enumerate() {
        order.push((record.offset, u32::try_from(at).ok()?));
    }
    order.sort_unstable();
    order.into_iter().map(|(_, at)| records.get(at as usize).cloned()).collect()
}

impl Intake {
    fn waiting(&self) -> MutexGuard<'_, Waitings> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets objects of a pack wait; a list comes with each that is in pieces.
    pub(super) fn wait(&self, file: &Arc<SortedFile>, objects: impl IntoIterator<Item = (Id, Option<Id>)>) {
        let mut waiting = self.waiting();
        let pack = waiting.entry(file.name()).or_insert_with(|| Waiting {
            file: Arc::clone(file),
            ids: Vec::new(),
            lists: IdMap::default(),
        });
        for (id, list) in objects {
            pack.ids.push(id);
            pack.lists.extend(list.map(|list| (id, list)));
        }
    }

    /// How many objects wait to be taken with the rest of their pack.
    pub fn waiting_objects(&self) -> usize {
        self.waiting().values().map(|pack| pack.ids.len()).sum()
    }

    /// Takes what [`How::Together`](super::How::Together) left waiting: packs that are wanted as a whole as they are, of others what is wanted.
    /// Content in pieces comes along in the former if `has_all_pieces` says that lists and pieces of all of it have been carried or are here;
    /// elsewhere it is left to the caller, as always. `progress` hears of contents only, records have been seen before.
    ///
    /// # Errors
    /// As [`Intake::carry`]; an interruption if `cancel` was raised.
    pub fn take_waiting(
        &self,
        from: &Snapshot,
        has_all_pieces: bool,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(), AccessError> {
        let waiting: Vec<Waiting> = std::mem::take(&mut *self.waiting()).into_values().collect();
        let (whole, mut apart): (Vec<Waiting>, Vec<Waiting>) =
            waiting.into_iter().partition(|pack| has_all_pieces || pack.lists.is_empty());
        if !whole.is_empty() {
            apart.extend(copying::copy(Task { intake: self, from, progress, cancel }, whole)?);
        }
        for Waiting { file, mut ids, lists } in apart {
            ids.retain(|id| !lists.contains_key(id));
            ids.sort_unstable();
            self.take_apart(from, &file, &ids, progress)?;
        }
        Ok(())
    }
}

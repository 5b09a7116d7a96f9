//! Packs that travel as they are: where every object of a large pack is wanted, its file is copied under another name instead of being taken
//! apart (`docs/design/0018-whole-packs.md`).
//!
//! Whether that is so is known only when everything that is wanted is known. So what lies in such a pack waits until then. Every object is
//! still verified by its id, on all processors, in the very bytes that are written.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::backend::{Folder, ReadAt};
use super::carry::damaged;
use super::entry::{Class, PackRow};
use super::error::Error;
use super::intake::{AddedPack, Intake, fresh_nonce, publish_file};
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

/// Bytes that are read, verified and written at once: few enough to stay in a processor's cache.
const AT_ONCE: u64 = 4 << 20;

/// Objects that are not worth a thread of their own.
const FEW: usize = 32;

/// Files that are copied at once: a place may hold each in memory.
const TOGETHER: usize = 2;

/// What is wanted of one pack.
#[derive(Debug)]
pub(super) struct Waiting {
    file: Arc<SortedFile>,
    ids: Vec<Id>,
    /// The lists of those that are in pieces.
    lists: IdMap<Id>,
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
struct Layout {
    head: Vec<u8>,
    /// In the order of the file.
    records: Vec<(Id, PackRecord)>,
    /// The blocks of the index.
    index: Vec<u8>,
}

impl Layout {
    /// Reads everything of a pack but its objects; `None` if that is not all in order, or holds anything that is not wanted.
    fn read(waiting: &mut Waiting) -> Option<Self> {
        let file = &*waiting.file;
        if file.count() != waiting.ids.len() as u64 {
            return None;
        }
        let end_at = file.data_end();
        let (head, end) = (file.raw(0, 8).ok()?, Arc::new(file.raw(end_at, file.len() - end_at).ok()?));
        let ends = Ends { head: head.clone(), end_at, end: Arc::clone(&end) };
        let indexed = file.read_from(Box::new(ends));
        waiting.ids.par_sort_unstable();
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
        records.par_sort_unstable_by_key(|(_, record)| record.offset);
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

    /// The objects in portions that are read at once.
    fn portions(&self) -> Vec<Range<usize>> {
        let (mut portions, mut from, mut bytes) = (Vec::new(), 0, 0);
        for (at, (_, record)) in self.records.iter().enumerate() {
            bytes += record.stored_len();
            if bytes >= AT_ONCE {
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
        let mut packs: Vec<Waiting> = std::mem::take(&mut *self.waiting()).into_values().collect();
        let threads = if self.rules().is_sequential() { 1 } else { TOGETHER.min(packs.len()) };
        let turn = AtomicUsize::new(0);
        let turns: Vec<std::sync::Mutex<(&mut Waiting, bool)>> =
            packs.iter_mut().map(|pack| std::sync::Mutex::new((pack, false))).collect();
        let work = || {
            while let Some(pack) = turns.get(turn.fetch_add(1, Ordering::Relaxed)) {
                let mut pack = pack.lock().unwrap_or_else(PoisonError::into_inner);
                if has_all_pieces || pack.0.lists.is_empty() {
                    pack.1 = self.copy_whole(from, pack.0, progress, cancel).inspect_err(|_| {
                        // Nobody begins another one.
                        turn.store(usize::MAX / 2, Ordering::Relaxed);
                    })?;
                }
            }
            Ok::<(), AccessError>(())
        };
        std::thread::scope(|scope| {
            // Where there can't be more threads, one does it.
            let second = (threads > 1).then(|| std::thread::Builder::new().spawn_scoped(scope, work).ok()).flatten();
            let first = work();
            let second = second.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            first.and(second.unwrap_or(Ok(())))
        })?;
        let is_whole: Vec<bool> =
            turns.into_iter().map(|pack| pack.into_inner().unwrap_or_else(PoisonError::into_inner).1).collect();
        for (pack, _) in packs.into_iter().zip(is_whole).filter(|(_, is_whole)| !is_whole) {
            let Waiting { file, mut ids, lists } = pack;
            ids.retain(|id| !lists.contains_key(id));
            ids.sort_unstable();
            self.take_apart(from, &file, &ids, progress)?;
        }
        Ok(())
    }

    /// Copies a pack as it is; `false` if it is to be taken apart.
    fn copy_whole(
        &self,
        from: &Snapshot,
        waiting: &mut Waiting,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<bool, AccessError> {
        let Some(layout) = Layout::read(waiting) else { return Ok(false) };
        let (file, store) = (&waiting.file, self.snapshot().store());
        let place = || format!("packs/{}", Folder::Packs.file(&file.name()));
        let mut staged = store.backend().stage().map_err(Error::from)?;
        staged.write_all(&layout.head)?;
        let check = |records: &[(Id, PackRecord)], bytes: &[u8]| {
            let start = records.first().map_or(0, |(_, record)| record.offset);
            let check = |(id, record): &(Id, PackRecord)| {
                let stored = usize::try_from(record.offset - start).ok().and_then(|at| bytes.get(at..));
                let stored = stored.and_then(|rest| rest.get(..usize::try_from(record.stored_len()).ok()?));
                let stored = stored.ok_or_else(|| "it lies outside of its pack".to_owned());
                let sound = stored.and_then(|stored| match waiting.lists.get(id) {
                    // Nothing but this says where its pieces are: it must be what they were found by.
                    Some(list) if record.is_in_pieces() && stored == list.to_bytes() => Ok(()),
                    // Listings were gone through before they came to wait: with these ids they are the same.
                    _ => pack::check(id, record, stored),
                });
                sound.map_err(|what| damaged(from, id, &place(), &what))
            };
            records.par_iter().with_min_len(FEW).try_for_each(check)
        };
        // One portion is written while the next one is verified.
        let (mut ready, mut next): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
        for portion in layout.portions() {
            if cancel.is_raised() {
                return Err(io::Error::from(io::ErrorKind::Interrupted).into());
            }
            let records = &layout.records[portion];
            let (Some((_, first)), Some((id, last))) = (records.first(), records.last()) else { continue };
            let len = usize::try_from(last.offset + last.stored_len() - first.offset).unwrap_or(usize::MAX);
            next.resize(len, 0);
            file.raw_into(first.offset, &mut next).map_err(|what| damaged(from, id, &place(), &what))?;
            let (written, sound) = if self.rules().is_sequential() {
                (staged.write_all(&ready), check(records, &next))
            } else {
                rayon::join(|| staged.write_all(&ready), || check(records, &next))
            };
            written?;
            sound?;
            std::mem::swap(&mut ready, &mut next);
            progress.add(records.iter().filter(|(_, record)| record.is_blob()).count() as u64);
        }
        staged.write_all(&ready)?;
        staged.write_all(&layout.index)?;
        let (name, end) = file.end_anew(fresh_nonce(store)).map_err(io::Error::other)?;
        staged.write_all(&end)?;
        let row = PackRow(name, Class::Content, 0, staged.position(), file.count());
        publish_file(store.backend(), staged, Folder::Packs, &name)?;
        self.added(AddedPack { row, ids: std::mem::take(&mut waiting.ids) });
        Ok(true)
    }
}

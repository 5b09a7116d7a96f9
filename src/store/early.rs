//! Files that are asked one after the other: where each answer waits for the disk, those to come are asked by several threads beforehand.
//!
//! What a file said lies in memory then ([`SortedFile`]), so whoever asks it next in turn waits no more. Nothing depends on it: what can't be
//! opened or read is met, and told, in its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::backend::Folder;
use super::snapshot::Snapshot;
use super::sorted::SortedFile;
use crate::hash::Id;

/// Files that are asked in turn before anything else is considered.
const FEW: usize = 4;

/// What a file takes at least, on average, that does not lie in the system's memory. One that does takes a third of that.
const SLOW: Duration = Duration::from_micros(70);

/// Files that are asked at once: more would be asked in vain where one of the next has what is looked for.
const TOGETHER: usize = 32;

/// Threads that ask: they wait for the disk, not for a processor.
const THREADS: usize = 8;

/// Their stacks: what they do goes three calls deep.
const STACK: usize = 256 << 10;

/// A question that goes through the files of a folder in turn.
#[derive(Debug)]
pub(super) struct Early<'a> {
    snapshot: &'a Snapshot,
    folder: Folder,
    files: usize,
    /// When the first one was asked.
    began: Option<Instant>,
    /// Whether they turned out to be slow.
    is_slow: bool,
    /// The first that was not asked beforehand.
    next: usize,
}

impl<'a> Early<'a> {
    /// For a question to so many files.
    pub(super) fn new(snapshot: &'a Snapshot, folder: Folder, files: usize) -> Self {
        let is_worth_it = files >= 3 * FEW && !snapshot.store().rules().is_sequential();
        let began = is_worth_it.then(Instant::now);
        Self { snapshot, folder, files, began, is_slow: false, next: FEW }
    }

    /// Comes before the file at position `at` is asked. `name` gives the names by position, `ask` asks a file and throws away what it says.
    pub(super) fn before(&mut self, at: usize, name: &dyn Fn(usize) -> Id, ask: &(dyn Fn(&Arc<SortedFile>) + Sync)) {
        if at < self.next {
            return;
        }
        let Some(began) = self.began else { return };
        self.is_slow = self.is_slow || began.elapsed() >= SLOW.saturating_mul(u32::try_from(FEW).unwrap_or(1));
        if !self.is_slow {
            self.began = None;
            return;
        }
        self.next = self.files.min(at + TOGETHER);
        let names: Vec<Id> = (at..self.next).map(name).collect();
        let (files, folder, turn) = (self.snapshot.store().files(), self.folder, AtomicUsize::new(0));
        let work = || {
            while let Some(name) = names.get(turn.fetch_add(1, Ordering::Relaxed)) {
                if let Ok(file) = files.get(folder, name) {
                    ask(&file);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..THREADS.min(names.len()) {
                // Where there can't be more threads, fewer do it.
                let begun = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
                if begun.is_err() {
                    break;
                }
            }
            work();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::object::{Kind, Source, id_of};
    use crate::store::backend::Backend;
    use crate::store::tests::world;
    use crate::store::{Draft, Error, MemoryBackend, OpId, Store};

    #[test]
    fn what_is_asked_beforehand_is_asked_once_and_changes_no_answer() {
        let place = MemoryBackend::new();
        let store = Store::create(Arc::new(place.clone()), &world()).unwrap();
        let content: Vec<Vec<u8>> = (0..20u8).map(|seed| vec![seed; 300 << 10]).collect();
        let ids: Vec<Id> = content.iter().map(|bytes| id_of(&Kind::BLOB, bytes)).collect();
        for (id, bytes) in ids.iter().zip(&content) {
            let intake = store.intake(&store.snapshot().unwrap());
            // What can be compressed goes into the entry.
            intake.put_packed(&Kind::BLOB, id, bytes, None).unwrap();
            let draft = Draft { collected: Some(Arc::new(intake.finish().unwrap())), ..Draft::default() };
            let op = OpId::new(&*world().random);
            store.publish(op, "put", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
        }
        let store = Store::open(Arc::new(place.clone()), &world()).unwrap();
        let snapshot = store.snapshot().unwrap();
        let rows: Vec<Id> = snapshot.state().packs.iter().map(crate::store::PackRow::name).collect();
        assert_eq!(rows.len(), 20);
        // One of them is not there.
        let gone = rows[13];
        place.remove(Folder::Packs, &Folder::Packs.file(&gone)).unwrap();
        let asked = Mutex::new(Vec::new());
        let ask = |file: &Arc<SortedFile>| asked.lock().unwrap_or_else(PoisonError::into_inner).push(file.name());
        let mut early = Early::new(&snapshot, Folder::Packs, rows.len());
        early.is_slow = true;
        for at in 0..rows.len() {
            early.before(at, &|at| rows[at], &ask);
        }
        let mut asked = asked.into_inner().unwrap();
        asked.sort_unstable();
        let mut expected: Vec<Id> = rows[FEW..].iter().filter(|name| **name != gone).copied().collect();
        expected.sort_unstable();
        assert_eq!(asked, expected);
        let there = ids.iter().zip(&content).filter(|(id, bytes)| {
            snapshot.read(id).is_ok_and(|found| found.is_some_and(|(_, found)| found == **bytes))
        });
        assert_eq!(there.count(), 19);
        assert!(snapshot.damage().iter().any(|damage| damage.code == "pack-missing"));
    }

    #[test]
    fn files_that_answer_at_once_are_asked_in_turn() {
        let store = Store::create(Arc::new(MemoryBackend::new()), &world()).unwrap();
        let snapshot = store.snapshot().unwrap();
        let never = |_: &Arc<SortedFile>| panic!("no file is here");
        let mut few = Early::new(&snapshot, Folder::Tables, 3 * FEW - 1);
        assert!(few.began.is_none());
        few.before(FEW, &|_| Id::ZERO, &never);
        let mut many = Early::new(&snapshot, Folder::Tables, 1000);
        many.began = many.began.and_then(|began| began.checked_add(Duration::from_secs(3600)));
        many.before(FEW, &|_| Id::ZERO, &never);
        assert!(many.began.is_none() && !many.is_slow);
    }
}

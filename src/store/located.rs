//! Many objects at once: one walk through the indexes of the packs instead of a look-up for each object.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, PoisonError, Weak};

use rayon::prelude::*;

use super::backend::Folder;
use super::collect::prefix;
use super::error::Error;
use super::objects::{Place, WHOLE_MAX};
use super::pack::{self, PackRecord};
use super::snapshot::{File, Snapshot};
use super::sorted::{Broken, Cursor, SortedFile};
use crate::hash::{Id, IdMap};
use crate::object::{AccessError, Kind, Source};

/// Objects that a catalogue lists at most: 36 bytes of memory each.
const CATALOGUE_MAX: u64 = 1 << 20;

/// An index is walked through if a look-up is wanted for one of so many of its records, and asked for each otherwise.
const WORTH_A_WALK: u64 = 16;

/// Objects from which on the packs are walked through by all threads.
const WORTH_THREADS: usize = 4096;

/// Where objects lie that were asked for together.
#[derive(Debug, Default)]
pub(super) struct Places {
    packs: Vec<Id>,
    /// The position of the pack, and what its index says.
    places: IdMap<(usize, PackRecord)>,
}

/// Gives objects of which it was found out at once where they lie; the others as the snapshot does.
#[derive(Debug)]
struct Located<'a> {
    snapshot: &'a Snapshot,
    places: Arc<Places>,
}

impl Snapshot {
    /// This snapshot, with the places of these objects found out in advance.
    ///
    /// Whoever plans and whoever then acts ask for the same: what the first was told is kept for the second, and not longer.
    ///
    /// # Errors
    /// When a pack can't be opened for a reason that lies not in it.
    pub(super) fn locate_all(&self, ids: Vec<Id>) -> Result<Box<dyn Source + '_>, Error> {
        let before = self.inner.located.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(places) = before
            && ids.iter().all(|id| places.places.contains_key(id))
        {
            return Ok(Box::new(Located { snapshot: self, places }));
        }
        let places = Arc::new(self.places_of(ids)?);
        *self.inner.located.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&places));
        Ok(Box::new(Located { snapshot: self, places }))
    }

    fn places_of(&self, mut ids: Vec<Id>) -> Result<Places, Error> {
        ids.sort_unstable();
        ids.dedup();
        let mut places = Places::default();
        let mut packs = Vec::new();
        for row in self.state().packs.iter().rev() {
            // What is in a pack that can't be had is looked for again, one by one, and told of then.
            if let File::Here(file) = self.file(Folder::Packs, &row.name())? {
                places.packs.push(row.name());
                packs.push((file, row.count()));
            }
        }
        places.places.reserve(ids.len());
        let ask = |ids: &[Id], file: &Arc<SortedFile>, count: u64, found: &mut dyn FnMut(Id, PackRecord)| {
            // As far as its index can be read.
            let _: Result<(), Broken> = if is_worth_a_walk(ids.len(), count) {
                meet(file, ids, found)
            } else {
                ids.iter().try_for_each(|id| {
                    pack::find(file, id).map(|record| record.into_iter().for_each(|record| found(*id, record)))
                })
            };
        };
        // The first pack that has an object gives it.
        if ids.len() < WORTH_THREADS || self.store().rules().is_sequential() {
            for (at, (file, count)) in packs.iter().enumerate() {
                if ids.is_empty() {
                    break;
                }
                ask(&ids, file, *count, &mut |id, record| {
                    places.places.entry(id).or_insert((at, record));
                });
                ids.retain(|id| !places.places.contains_key(id));
            }
            return Ok(places);
        }
        let ids = &ids;
        let found = packs.par_iter().map(|(file, count)| {
            let mut found = Vec::new();
            ask(ids, file, *count, &mut |id, record| found.push((id, record)));
            found
        });
        for (at, found) in found.collect::<Vec<_>>().into_iter().enumerate() {
            for (id, record) in found {
                places.places.entry(id).or_insert((at, record));
            }
        }
        Ok(places)
    }

    /// Every object of the packs that something new may rely on, apart from those in packs `shunned`; `None` if these are too many, or one of the
    /// packs can't be read from end to end.
    pub(super) fn catalogue(&self, shunned: &HashSet<Id>) -> Option<Catalogue> {
        let mut catalogue = Catalogue { packs: Vec::new(), objects: Vec::new() };
        let live: Vec<_> = self.state().packs.iter().filter(|row| self.is_live(&row.name())).collect();
        let count: u64 = live.iter().map(|row| row.count()).sum();
        if count > CATALOGUE_MAX {
            return None;
        }
        catalogue.objects.reserve_exact(usize::try_from(count).ok()?);
        for row in live.into_iter().filter(|row| !shunned.contains(&row.name())) {
            let Ok(File::Here(file)) = self.file(Folder::Packs, &row.name()) else { return None };
            let at = u32::try_from(catalogue.packs.len()).ok()?;
            catalogue.packs.push(row.name());
            let before = catalogue.objects.len();
            pack::for_each(
                &file,
                &mut |id, _| {
                    catalogue.objects.push((id, at));
                    Ok::<_, Broken>(())
                },
                &|broken| broken,
            )
            .ok()?;
            if (catalogue.objects.len() - before) as u64 != row.count() {
                return None;
            }
        }
        catalogue.objects.sort_unstable_by_key(|(id, _)| prefix(id));
        Some(catalogue)
    }

    /// Objects in all packs.
    pub(super) fn packed_objects(&self) -> u64 {
        self.state().packs.iter().map(super::entry::PackRow::count).sum()
    }
}

/// Whether an index of so many records is walked through for so many objects, instead of being asked for each.
pub(super) fn is_worth_a_walk(objects: usize, records: u64) -> bool {
    (objects as u64).saturating_mul(WORTH_A_WALK) >= records
}

/// Shows what a pack has of `ids`, which are sorted.
pub(super) fn meet(file: &Arc<SortedFile>, ids: &[Id], found: &mut dyn FnMut(Id, PackRecord)) -> Result<(), Broken> {
    let Some(first) = ids.first() else { return Ok(()) };
    let mut cursor = Cursor::forward(file, &first.to_bytes())?;
    let mut ids = ids;
    while let Some((key, value)) = cursor.record() {
        ids = &ids[below(ids, key)..];
        let Some(id) = ids.first() else { break };
        if id.to_bytes() == key {
            found(*id, PackRecord::parse(value, file)?);
        }
        cursor.advance()?;
    }
    Ok(())
}

/// How many of `ids`, which are sorted, are below `key`. Most often that is few: it is looked for in steps that grow.
fn below(ids: &[Id], key: &[u8]) -> usize {
    let is_below = |id: &Id| id.to_bytes().as_slice() < key;
    let (mut from, mut step) = (0, 1);
    while ids.get(from + step - 1).is_some_and(is_below) {
        from += step;
        step *= 2;
    }
    let end = ids.len().min(from + step);
    from + ids[from..end].partition_point(is_below)
}

impl Located<'_> {
    /// Where an object lies whole; of all others nothing is known.
    fn place(&self, id: &Id) -> Option<(Arc<SortedFile>, &PackRecord)> {
        let (at, record) = self.places.places.get(id)?;
        if record.is_in_pieces() || record.len > WHOLE_MAX {
            return None;
        }
        let Ok(File::Here(file)) = self.snapshot.file(Folder::Packs, &self.places.packs[*at]) else { return None };
        Some((file, record))
    }
}

impl Source for Located<'_> {
    fn header(&self, id: &Id) -> Result<Option<(Kind, u64)>, AccessError> {
        match self.places.places.get(id) {
            Some((_, record)) => Ok(Some((record.kind.clone(), record.len))),
            None => self.snapshot.header(id),
        }
    }

    fn read(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        // What is damaged there is looked for elsewhere.
        let found = self.place(id).and_then(|(file, record)| {
            let bytes = pack::read(&file, id, record).ok()?;
            Some((record.kind.clone(), bytes))
        });
        found.map_or_else(|| self.snapshot.read(id), |found| Ok(Some(found)))
    }

    fn copy(&self, id: &Id, out: &mut dyn Write) -> Result<Option<u64>, AccessError> {
        let Some((file, record)) = self.place(id) else { return self.snapshot.copy(id, out) };
        // Taken out of its place, so whatever `out` does may read as well.
        let mut window = WINDOW.take();
        let written = match window.part(&file, record.offset, record.stored_len()) {
            Ok(stored) => pack::show(id, record, stored, &mut |bytes| out.write_all(bytes)),
            Err(broken) => Err(broken),
        };
        WINDOW.set(window);
        match written {
            Ok(written) => Ok(written.map(|()| Some(record.len))?),
            Err(_) => self.snapshot.copy(id, out),
        }
    }
}

thread_local! {
    /// What a thread read last. Objects that were stored one after the other are mostly asked for so.
    static WINDOW: RefCell<Window> = RefCell::default();
}

/// Bytes that a window holds, apart from one object that is longer.
const WINDOW_MOST: u64 = 256 << 10;

/// Bytes between two objects that are passed over by reading them.
const GAP: u64 = 64 << 10;

/// A part of a file that is read from its beginning to its end, more or less.
#[derive(Debug, Default)]
struct Window {
    file: Weak<SortedFile>,
    at: u64,
    len: usize,
    room: Vec<u8>,
    /// Where the last object ended.
    end: u64,
    /// Bytes that were read at once; none if there was no order in what was asked for.
    ahead: u64,
}

impl Window {
    /// Bytes of a file, not verified.
    fn part(&mut self, file: &Arc<SortedFile>, offset: u64, len: u64) -> Result<&[u8], Broken> {
        let too_long = |_| "an object is too long".to_owned();
        // No file has the place of another one in memory as long as it is remembered here.
        let is_same = std::ptr::eq(self.file.as_ptr(), Arc::as_ptr(file));
        let is_here = is_same && self.at <= offset && offset + len <= self.at + self.len as u64;
        if !is_here {
            let goes_on = is_same && self.end <= offset && offset - self.end <= GAP;
            self.ahead = if goes_on { (self.ahead * 2).clamp(GAP, WINDOW_MOST) } else { 0 };
            let most = file.data_end().saturating_sub(offset);
            let size = usize::try_from(len.max(self.ahead.min(most))).map_err(too_long)?;
            // Nothing is here if this fails.
            self.len = 0;
            if self.room.len() < size {
                self.room = vec![0; size];
            }
            file.raw_into(offset, &mut self.room[..size])?;
            (self.at, self.len) = (offset, size);
            if !is_same {
                self.file = Arc::downgrade(file);
            }
        }
        self.end = offset + len;
        let from = usize::try_from(offset - self.at).map_err(too_long)?;
        Ok(&self.room[from..from + usize::try_from(len).map_err(too_long)?])
    }
}

/// Which pack holds which object.
#[derive(Debug)]
pub(super) struct Catalogue {
    packs: Vec<Id>,
    /// Sorted by the beginnings of their ids.
    objects: Vec<(Id, u32)>,
}

impl Catalogue {
    /// Where an object lies.
    pub(super) fn get(&self, id: &Id) -> Option<Place> {
        let at = self.objects.partition_point(|(known, _)| prefix(known) < prefix(id));
        let alike = self.objects[at..].iter().take_while(|(known, _)| prefix(known) == prefix(id));
        let (_, pack) = alike.into_iter().find(|(known, _)| known == id)?;
        Some(Place::Pack(self.packs[*pack as usize]))
    }
}

//! Many objects at once: one walk through the indexes of the packs instead of a look-up for each object.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

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

/// Gives objects of which it was found out at once where they lie; the others as the snapshot does.
#[derive(Debug)]
struct Located<'a> {
    snapshot: &'a Snapshot,
    packs: Vec<Id>,
    places: IdMap<(usize, PackRecord)>,
}

impl Snapshot {
    /// This snapshot, with the places of these objects found out in advance.
    ///
    /// # Errors
    /// When a pack can't be opened for a reason that lies not in it.
    pub(super) fn locate_all(&self, mut ids: Vec<Id>) -> Result<Box<dyn Source + '_>, Error> {
        ids.sort_unstable();
        ids.dedup();
        let mut located = Located { snapshot: self, packs: Vec::new(), places: IdMap::default() };
        located.places.reserve(ids.len());
        for row in self.state().packs.iter().rev() {
            if ids.is_empty() {
                break;
            }
            // What is in a pack that can't be had is looked for again, one by one, and told of then.
            let File::Here(file) = self.file(Folder::Packs, &row.name())? else { continue };
            let at = located.packs.len();
            located.packs.push(row.name());
            let places = &mut located.places;
            let mut found = |id: Id, record: PackRecord| {
                places.entry(id).or_insert((at, record));
            };
            let _: Result<(), Broken> = if is_worth_a_walk(ids.len(), row.count()) {
                meet(&file, &ids, &mut found)
            } else {
                ids.iter().try_for_each(|id| {
                    pack::find(&file, id).map(|record| record.into_iter().for_each(|record| found(*id, record)))
                })
            };
            ids.retain(|id| !located.places.contains_key(id));
        }
        Ok(Box::new(located))
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
    let mut ids = ids.iter().peekable();
    while let (Some((key, value)), Some(id)) = (cursor.record(), ids.peek()) {
        match id.to_bytes().as_slice().cmp(key) {
            std::cmp::Ordering::Less => {
                ids.next();
            }
            std::cmp::Ordering::Equal => {
                found(**id, PackRecord::parse(value, file)?);
                ids.next();
                cursor.advance()?;
            }
            std::cmp::Ordering::Greater => cursor.advance()?,
        }
    }
    Ok(())
}

impl Located<'_> {
    /// The bytes of an object that lies whole and undamaged where it was found; of all others nothing is known.
    fn bytes(&self, id: &Id) -> Option<(Kind, Vec<u8>)> {
        let (at, record) = self.places.get(id)?;
        if record.is_in_pieces() || record.len > WHOLE_MAX {
            return None;
        }
        let Ok(File::Here(file)) = self.snapshot.file(Folder::Packs, &self.packs[*at]) else { return None };
        let bytes = pack::read(&file, id, record).ok()?;
        Some((record.kind.clone(), bytes))
    }
}

impl Source for Located<'_> {
    fn header(&self, id: &Id) -> Result<Option<(Kind, u64)>, AccessError> {
        match self.places.get(id) {
            Some((_, record)) => Ok(Some((record.kind.clone(), record.len))),
            None => self.snapshot.header(id),
        }
    }

    fn read(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        self.bytes(id).map_or_else(|| self.snapshot.read(id), |found| Ok(Some(found)))
    }

    fn copy(&self, id: &Id, out: &mut dyn Write) -> Result<Option<u64>, AccessError> {
        let Some((_, bytes)) = self.bytes(id) else { return self.snapshot.copy(id, out) };
        out.write_all(&bytes)?;
        Ok(Some(bytes.len() as u64))
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

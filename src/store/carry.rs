//! Carrying objects from one store into another (`docs/design/0011-sync.md`): found by the indexes of packs, read in long stretches in the
//! order of the file, each verified by its id, and stored as they were stored there.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::backend::Folder;
use super::draft::Restore;
use super::intake::Intake;
use super::objects::Place;
use super::pack::{self, PackRecord};
use super::repair::{Elsewhere, put_entry};
use super::snapshot::{File, Snapshot, log_file};
use super::sorted::{Cursor, SortedFile};
use super::whole;
use crate::hash::{BlobHasher, Id, IdSet};
use crate::object::chunks::{self, Piece, WalkError};
use crate::object::{AccessError, Kind, Sink, Source, verify};
use crate::progress::Progress;

/// Stored bytes that are read at once, unless a single object has more.
const BATCH_STORED: u64 = 8 << 20;

/// Bytes of objects that are held unpacked at once, unless a single object has more.
const BATCH_BYTES: u64 = 32 << 20;

/// Bytes between two wanted objects that are read over.
const GAP: u64 = 64 << 10;

/// Objects that are looked for in several packs at once.
const WORTH_THREADS: usize = 4096;

/// What is larger is streamed by itself.
const STREAMED: u64 = 16 << 20;

/// Where many objects lie.
#[derive(Debug, Default)]
struct Located {
    /// In entries of the log: position of the entry, position in it.
    inline: Vec<(Id, (usize, usize))>,
    packed: Vec<(Arc<SortedFile>, Vec<(Id, PackRecord)>)>,
    missing: Vec<Id>,
    /// A pack left the state meanwhile: ask the newest one for what is missing.
    moved: Option<Snapshot>,
    /// A file that could not be searched.
    unsearched: Option<(String, String)>,
}

impl Snapshot {
    /// Finds many objects, `ids` being sorted and unique; with `is_live` only where something new may rely on them.
    fn locate_many(&self, ids: &[Id], is_live: bool) -> Result<Located, AccessError> {
        debug_assert!(ids.is_sorted(), "indexes are walked through beside them");
        let mut found = Located::default();
        let inline = self.inline();
        for id in ids {
            match inline.get(id) {
                Some(&place) => found.inline.push((*id, place)),
                None => found.missing.push(*id),
            }
        }
        let packs = &self.inner.state.packs;
        let mut most = 0;
        let order: Vec<usize> = from_hint(self.inner.hit.load(Ordering::Relaxed), packs.len()).collect();
        let mut ahead = HashMap::new();
        for (turn, &at) in order.iter().enumerate() {
            let row = &packs[at];
            let (Some(first), name) = (found.missing.first(), row.name()) else { break };
            let is_condemned = self.inner.state.condemned.contains_key(&name);
            if is_live && is_condemned {
                continue;
            }
            let file = match self.file(Folder::Packs, &name)? {
                File::Here(file) => file,
                File::Lost if is_condemned => continue,
                File::Lost => {
                    found.unsearched = Some((Folder::Packs.file(&name), "it is damaged or missing".to_owned()));
                    continue;
                }
                File::Moved(newer) => {
                    found.moved = Some(newer);
                    continue;
                }
            };
            if ahead.is_empty() {
                ahead = self.search_ahead(&order[turn..], &found.missing);
            }
            let Searched { mut here, broken } =
                ahead.remove(&at).unwrap_or_else(|| Searched::of(&file, first, &found.missing));
            if let Some(what) = broken {
                self.note(Folder::Packs, &name, what.clone());
                found.unsearched = Some((Folder::Packs.file(&name), what));
            }
            take_found(&mut found.missing, &mut here);
            if !here.is_empty() {
                if here.len() > most {
                    most = here.len();
                    self.inner.hit.store(at, Ordering::Relaxed);
                }
                found.packed.push((file, here));
            }
        }
        Ok(found)
    }

    /// Searches several packs at once where much is missing: nothing is said of what can't be read, since it may not come to its turn.
    fn search_ahead(&self, order: &[usize], missing: &[Id]) -> HashMap<usize, Searched> {
        let threads = rayon::current_num_threads();
        if missing.len() < WORTH_THREADS || threads < 2 || self.store().rules().is_sequential() {
            return HashMap::new();
        }
        let Some(first) = missing.first() else { return HashMap::new() };
        let opened = order.iter().take(threads).map_while(|&at| {
            let row = self.inner.state.packs.get(at)?;
            Some((at, self.store().files().get(Folder::Packs, &row.name()).ok()?))
        });
        let opened: Vec<(usize, Arc<SortedFile>)> = opened.collect();
        if opened.len() < 2 {
            return HashMap::new();
        }
        opened.par_iter().map(|(at, file)| (*at, Searched::of(file, first, missing))).collect()
    }
}

/// What was found in one pack.
struct Searched {
    here: Vec<(Id, PackRecord)>,
    broken: Option<String>,
}

impl Searched {
    /// Searches a pack for `missing`, which begins with `first`.
    fn of(file: &Arc<SortedFile>, first: &Id, missing: &[Id]) -> Self {
        let mut here = Vec::new();
        let searched = if missing.len() as u64 * 16 > file.count() {
            merged(file, first, missing, &mut here)
        } else {
            each(file, missing, &mut here)
        };
        Self { here, broken: searched.err() }
    }
}

/// Takes what was found out of what is missing, and what is not missing any more out of what was found.
fn take_found(missing: &mut Vec<Id>, here: &mut Vec<(Id, PackRecord)>) {
    let mut wanted = missing.iter().peekable();
    here.retain(|(id, _)| {
        while wanted.next_if(|wanted| *wanted < id).is_some() {}
        wanted.next_if_eq(&id).is_some()
    });
    let mut taken = here.iter().map(|(id, _)| *id).peekable();
    missing.retain(|id| taken.next_if_eq(id).is_none());
}

/// The order in which so many packs are searched: first the one where most was found the last time and those around it, since what was
/// recorded together lies together, then from the newest on.
fn from_hint(hint: usize, count: usize) -> impl Iterator<Item = usize> {
    let near = [hint, hint.saturating_add(1), hint.wrapping_sub(1)];
    near.into_iter().filter(move |at| *at < count).chain((0..count).rev().filter(move |at| !near.contains(at)))
}

/// Looks every id up.
fn each(file: &Arc<SortedFile>, ids: &[Id], here: &mut Vec<(Id, PackRecord)>) -> Result<(), String> {
    for id in ids {
        if let Some(record) = pack::find(file, id)? {
            here.push((*id, record));
        }
    }
    Ok(())
}

/// Goes through the index and the ids side by side.
fn merged(file: &Arc<SortedFile>, first: &Id, ids: &[Id], here: &mut Vec<(Id, PackRecord)>) -> Result<(), String> {
    // Room that grows bit by bit is copied each time.
    here.reserve(ids.len().min(usize::try_from(file.count()).unwrap_or(usize::MAX)));
    let mut cursor = Cursor::forward(file, &first.to_bytes())?;
    let mut ids = ids.iter().peekable();
    while let (Some((key, value)), Some(id)) = (cursor.record(), ids.peek()) {
        match id.to_bytes().as_slice().cmp(key) {
            std::cmp::Ordering::Less => {
                ids.next();
                continue;
            }
            std::cmp::Ordering::Equal => {
                here.push((**id, PackRecord::parse(value, file)?));
                ids.next();
            }
            std::cmp::Ordering::Greater => {}
        }
        cursor.advance()?;
    }
    Ok(())
}

/// Which of a number of objects a store has.
#[derive(Debug, Default)]
pub struct Known {
    /// Those it has, with their kinds: they are relied on from now on.
    pub here: Vec<(Id, Kind)>,
    /// Those it lacks.
    pub lacking: Vec<Id>,
    /// Those that were scrubbed from it, and are refused.
    pub refused: Vec<Id>,
}

/// What is to become of objects that are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// They are looked at: nothing is stored, and content not even read.
    Look,
    /// They are stored.
    Store,
    /// They are stored, but for content in large packs: it waits for [`Intake::take_waiting`], as all that lies in such a pack may turn out to be wanted.
    Together,
}

/// What became of one object.
#[derive(Debug)]
pub enum Carried<T> {
    /// Content: taken.
    Blob,
    /// Content: it waits, see [`How::Together`].
    Waiting,
    /// A record, a listing or a list of pieces: taken, and what was seen in it.
    Record(Kind, T),
    /// Content in pieces, of this length, with this list: not taken. Whoever has carried list and pieces takes it with [`Intake::claim`].
    InPieces(Id, u64),
}

/// What was carried.
#[derive(Debug, Default)]
pub struct Load {
    /// What the other store has not.
    pub missing: Vec<Id>,
    /// Objects that were taken.
    pub objects: u64,
    /// Bytes that they take as they are stored.
    pub bytes: u64,
}

/// What is done with the bytes of a record on the way: whatever it finds wrong ends the whole.
pub type Look<'a, T> = &'a (dyn Fn(&Id, &Kind, &[u8]) -> Result<T, AccessError> + Sync);

/// Objects of one pack that are read at once.
struct Batch {
    file: Arc<SortedFile>,
    records: Vec<(Id, PackRecord)>,
    how: How,
    /// Stretches of the file.
    stretches: Vec<(Range<u64>, Vec<u8>)>,
}

impl Batch {
    /// Cuts what is wanted of a pack into batches.
    fn cut(file: &Arc<SortedFile>, mut records: Vec<(Id, PackRecord)>, how: How) -> Vec<Self> {
        records.sort_unstable_by_key(|(_, record)| record.offset);
        let mut batches: Vec<Self> = Vec::new();
        let (mut stored, mut bytes) = (u64::MAX, 0u64);
        for (id, record) in records {
            let fits = stored.saturating_add(record.stored_len()) <= BATCH_STORED
                && bytes.saturating_add(record.len) <= BATCH_BYTES;
            if !fits {
                batches.push(Self { file: Arc::clone(file), records: Vec::new(), how, stretches: Vec::new() });
                (stored, bytes) = (0, 0);
            }
            stored += record.stored_len();
            bytes = bytes.saturating_add(record.len);
            if let Some(batch) = batches.last_mut() {
                batch.records.push((id, record));
            }
        }
        batches
    }

    /// Reads its stretches.
    fn read(mut self) -> Result<Self, (Id, Arc<SortedFile>, String)> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (_, record) in &self.records {
            let end = record.offset + record.stored_len();
            match ranges.last_mut() {
                Some(last) if record.offset <= last.end.saturating_add(GAP) && end - last.start <= 2 * BATCH_STORED => {
                    last.end = last.end.max(end);
                }
                _ => ranges.push(record.offset..end),
            }
        }
        for range in ranges {
            match self.file.raw(range.start, range.end - range.start) {
                Ok(bytes) => self.stretches.push((range, bytes)),
                Err(what) => {
                    let id = self.records.first().map_or(Id::ZERO, |(id, _)| *id);
                    return Err((id, self.file, what));
                }
            }
        }
        Ok(self)
    }

    /// The stored bytes of one object.
    fn stored(&self, record: &PackRecord) -> Option<&[u8]> {
        let at = self.stretches.partition_point(|(range, _)| range.start <= record.offset).checked_sub(1)?;
        let (range, bytes) = self.stretches.get(at)?;
        let start = usize::try_from(record.offset - range.start).ok()?;
        bytes.get(start..start.checked_add(usize::try_from(record.stored_len()).ok()?)?)
    }
}

impl Intake {
    /// Which of these objects, sorted and unique, the store has: those are relied on.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn know(&self, ids: &[Id]) -> Result<Known, AccessError> {
        let mut known = Known::default();
        let mut ids = self.untaken(ids)?;
        let refused = self.snapshot().scrubbed_among(&ids)?;
        if !refused.is_empty() {
            ids.retain(|id| !refused.contains(id));
            known.refused = refused;
        }
        known.here = self.brought_before(&ids);
        if !known.here.is_empty() {
            let brought: IdSet = known.here.iter().map(|(id, _)| *id).collect();
            ids.retain(|id| !brought.contains(id));
        }
        let mut snapshot = self.snapshot().clone();
        loop {
            let located = snapshot.locate_many(&ids, true)?;
            let mut places = Vec::new();
            for (id, (at, position)) in located.inline {
                let entry = snapshot.entry(at);
                known.here.push((id, entry.entry.objects[position].0.clone()));
                places.push((id, Place::Entry(entry.number)));
            }
            for (file, records) in located.packed {
                let is_shunned = self.shuns(&file.name());
                for (id, record) in records {
                    if is_shunned {
                        known.lacking.push(id);
                        continue;
                    }
                    known.here.push((id, record.kind));
                    places.push((id, Place::Pack(file.name())));
                }
            }
            self.rely(places);
            match located.moved {
                Some(newer) if !located.missing.is_empty() => {
                    snapshot = newer;
                    ids = located.missing;
                }
                _ => {
                    known.lacking.extend(located.missing);
                    known.lacking.sort_unstable();
                    return Ok(known);
                }
            }
        }
    }

    /// Takes objects, `ids` being sorted and unique, from another store. Every one is verified by its id before a byte of it is stored; records
    /// are shown to `look`, on several threads, before they are.
    ///
    /// # Errors
    /// [`AccessError::Damaged`] for what is not what it should be, with the file of the other store; what `look` and `took` report; failures
    /// of either place. What was taken until then is part of no state.
    pub fn carry<T: Send>(
        &self,
        from: &Snapshot,
        ids: &[Id],
        how: How,
        look: Look<'_, T>,
        took: &mut dyn FnMut(Id, Carried<T>) -> Result<(), AccessError>,
    ) -> Result<Load, AccessError> {
        let mut load = Load::default();
        let mut located = from.locate_many(ids, false)?;
        for (id, (at, position)) in &located.inline {
            let entry = from.entry(*at);
            let object = &entry.entry.objects[*position];
            verify(id, &object.0, &object.1).map_err(|err| damaged(from, id, &log_file(entry.number), &err))?;
            let what = if object.0 == Kind::BLOB {
                Carried::Blob
            } else {
                Carried::Record(object.0.clone(), look(id, &object.0, &object.1)?)
            };
            if how == How::Look {
                self.pretend(id);
            } else {
                self.put_carried(&object.0, id, &object.1, None)?;
            }
            load.objects += 1;
            load.bytes += object.1.len() as u64;
            took(*id, what)?;
        }
        let mut batches: Vec<Batch> = Vec::new();
        for (file, records) in std::mem::take(&mut located.packed) {
            let place = format!("packs/{}", Folder::Packs.file(&file.name()));
            let waits = how == How::Together && whole::may_travel(&file);
            let (mut plain, mut waiting) = (Vec::new(), Vec::new());
            for (id, record) in records {
                if record.is_in_pieces() {
                    let list = pack::pieces(&file, &record).map_err(|what| damaged(from, &id, &place, &what))?;
                    if waits {
                        waiting.push((id, Some(list)));
                    }
                    took(id, Carried::InPieces(list, record.len))?;
                } else if waits && record.is_blob() && record.len <= STREAMED {
                    load.objects += 1;
                    load.bytes += record.stored_len();
                    waiting.push((id, None));
                    took(id, Carried::Waiting)?;
                } else if record.is_blob() && (how == How::Look || record.len > STREAMED) {
                    load.objects += 1;
                    load.bytes += record.stored_len();
                    if how == How::Look {
                        self.pretend(&id);
                    } else if !put_entry(&file, &id, &record, self)? {
                        return Err(damaged(from, &id, &place, &"its bytes are not those of its id"));
                    }
                    took(id, Carried::Blob)?;
                } else {
                    plain.push((id, record));
                }
            }
            if waits {
                waiting.extend(plain.iter().map(|(id, _)| (*id, None)));
                self.wait(&file, waiting);
            }
            // What is in no such pack is stored at once.
            let how = if how == How::Together && !waits { How::Store } else { how };
            batches.extend(Batch::cut(&file, plain, how));
        }
        self.batches(from, batches, look, took, &mut load)?;
        load.missing = located.missing;
        if let (false, Some((file, what))) = (load.missing.is_empty(), &located.unsearched) {
            return Err(damaged(from, &load.missing[0], &format!("packs/{file}"), what));
        }
        if let (false, Some(newer)) = (load.missing.is_empty(), &located.moved) {
            let rest = self.carry(newer, &load.missing, how, look, took)?;
            load.missing = rest.missing;
            load.objects += rest.objects;
            load.bytes += rest.bytes;
        }
        Ok(load)
    }

    /// Takes objects out of a pack in which they were found before, `ids` being sorted; nothing is said to `progress` of listings.
    pub(super) fn take_apart(
        &self,
        from: &Snapshot,
        file: &Arc<SortedFile>,
        ids: &[Id],
        progress: &dyn Progress,
    ) -> Result<(), AccessError> {
        let Some(first) = ids.first() else { return Ok(()) };
        let mut records = Vec::with_capacity(ids.len());
        let place = format!("packs/{}", Folder::Packs.file(&file.name()));
        merged(file, first, ids, &mut records).map_err(|what| damaged(from, first, &place, &what))?;
        if records.len() != ids.len() {
            return Err(damaged(from, first, &place, &"what was in its index is there no more"));
        }
        let mut took = |_: Id, carried: Carried<()>| {
            progress.add(u64::from(matches!(carried, Carried::Blob)));
            Ok(())
        };
        self.batches(from, Batch::cut(file, records, How::Store), &|_, _, _| Ok(()), &mut took, &mut Load::default())
    }

    /// Reads batch after batch, the next one while the one before is looked at and stored.
    fn batches<T: Send>(
        &self,
        from: &Snapshot,
        batches: Vec<Batch>,
        look: Look<'_, T>,
        took: &mut dyn FnMut(Id, Carried<T>) -> Result<(), AccessError>,
        load: &mut Load,
    ) -> Result<(), AccessError> {
        let broken = |(id, file, what): (Id, Arc<SortedFile>, String)| {
            damaged(from, &id, &format!("packs/{}", Folder::Packs.file(&file.name())), &what)
        };
        let mut batches = batches.into_iter();
        let mut current = batches.next().map(Batch::read).transpose().map_err(broken)?;
        while let Some(batch) = current {
            let next = batches.next();
            current = std::thread::scope(|scope| {
                let ahead = next.map(|next| scope.spawn(move || next.read()));
                self.batch(from, &batch, look, took, load)?;
                let read = ahead.map(|ahead| ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                read.transpose().map_err(broken)
            })?;
        }
        Ok(())
    }

    fn batch<T: Send>(
        &self,
        from: &Snapshot,
        batch: &Batch,
        look: Look<'_, T>,
        took: &mut dyn FnMut(Id, Carried<T>) -> Result<(), AccessError>,
        load: &mut Load,
    ) -> Result<(), AccessError> {
        let place = || format!("packs/{}", Folder::Packs.file(&batch.file.name()));
        let looked: Vec<(Vec<u8>, Option<T>)> = batch
            .records
            .par_iter()
            .map(|(id, record)| {
                let stored = batch.stored(record).ok_or_else(|| "it lies outside of its pack".to_owned());
                let bytes = stored.and_then(|stored| pack::unpack(id, record, stored));
                let bytes = bytes.map_err(|what| damaged(from, id, &place(), &what))?;
                let seen = if record.kind == Kind::BLOB { None } else { Some(look(id, &record.kind, &bytes)?) };
                Ok((bytes, seen))
            })
            .collect::<Result<_, AccessError>>()?;
        for ((id, record), (bytes, seen)) in batch.records.iter().zip(looked) {
            match batch.how {
                How::Look => self.pretend(id),
                How::Together => {}
                How::Store => {
                    let packed = batch.stored(record).filter(|_| record.is_compressed());
                    self.put_carried(&record.kind, id, &bytes, packed)?;
                }
            }
            load.objects += 1;
            load.bytes += record.stored_len();
            let what = seen.map_or(Carried::Blob, |seen| Carried::Record(record.kind.clone(), seen));
            took(*id, what)?;
        }
        Ok(())
    }

    /// Takes content that is made up of pieces, all of which were taken before or are here: hashed as a whole first, for a list is no more
    /// than a claim.
    ///
    /// # Errors
    /// [`AccessError::Damaged`] if the pieces do not make it up; failures of the place.
    pub fn claim(&self, id: &Id, len: u64, list: &Id, from: &str) -> Result<(), AccessError> {
        let wrong = |what: String| AccessError::Damaged { id: *id, place: from.to_owned(), what };
        let mut hasher = BlobHasher::new();
        let mut waiting: Vec<Piece> = Vec::new();
        let mut bytes = 0;
        let mut hash = |pieces: &mut Vec<Piece>| -> Result<(), AccessError> {
            let read = |piece: &Piece| match self.read_back(&piece.id)? {
                Some((kind, bytes)) if kind == Kind::BLOB && bytes.len() as u64 == piece.len => Ok(bytes),
                Some(_) => Err(wrong(format!("its piece {} is another one than its list says", piece.id))),
                None => Err(wrong(format!("its piece {} is missing", piece.id))),
            };
            let all: Vec<Vec<u8>> = pieces.par_iter().map(read).collect::<Result<_, _>>()?;
            for bytes in &all {
                hasher.update(bytes);
            }
            pieces.clear();
            Ok(())
        };
        let mut list_of = |id: &Id| match self.read_back(id)? {
            Some((kind, bytes)) if kind == Kind::CHUNKS => Ok(bytes),
            _ => Err(wrong(format!("its list of pieces {id} is missing"))),
        };
        let walked = chunks::walk(list, len, 0..len, &mut list_of, &mut |_, piece| {
            bytes += piece.len;
            waiting.push(piece);
            if bytes >= BATCH_STORED {
                bytes = 0;
                hash(&mut waiting)?;
            }
            Ok(())
        });
        walked.map_err(|err| match err {
            WalkError::Other(err) => err,
            WalkError::Object(err) => wrong(err.to_string()),
        })?;
        hash(&mut waiting)?;
        if hasher.len() != len || hasher.id() != *id {
            return Err(wrong("its pieces make up other content than its id says".to_owned()));
        }
        self.put_pieces(id, len, list)
    }

    /// An object that was taken before or that the store has.
    fn read_back(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        match self.taken_object(id)? {
            Some(found) => Ok(Some(found)),
            None => self.snapshot().read_as(id, false),
        }
    }
}

pub(super) fn damaged(from: &Snapshot, id: &Id, file: &str, what: &dyn std::fmt::Display) -> AccessError {
    let place = format!("{}/{file}", from.store().backend().place());
    AccessError::Damaged { id: *id, place, what: what.to_string() }
}

/// Stores again what another store has.
#[derive(Debug)]
pub struct FromStore(pub Snapshot);

impl Restore for FromStore {
    fn restore(&self, id: &Id, sink: &dyn Sink) -> Result<bool, AccessError> {
        let Some((kind, len)) = self.0.header(id)? else { return Ok(false) };
        if kind == Kind::BLOB && len > STREAMED {
            let mut reader = Elsewhere::new(&self.0, *id, len);
            sink.put_blob(id, len, &mut reader as &mut dyn Read)?;
            return Ok(true);
        }
        match self.0.read(id)? {
            Some((kind, bytes)) => sink.put(&kind, id, &bytes).map(|()| true),
            None => Ok(false),
        }
    }
}

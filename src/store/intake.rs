//! Taking objects in: small ones wait in memory to go into the entry itself, the rest goes into packs.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use super::Store;
use super::backend::{Backend, Folder, Outcome};
use super::compress;
use super::entry::{Class, PackRow};
use super::error::Error;
use super::located::Catalogue;
use super::objects::Place;
use super::pack::{FinishedPack, PackWriter};
use super::rules::{Rule, Rules};
use super::snapshot::Snapshot;
use super::stretches::Stretches;
use super::whole::Waitings;
use crate::hash::{Id, IdMap, IdSet};
use crate::object::{AccessError, Kind, Sink, id_of};

/// Bytes of a blob from which on it is stored in pieces. Not a part of the format: a reader takes both.
pub(super) const WHOLE_MAX: u64 = 1 << 20;

/// Questions for objects that are answered one by one at least.
const ASKED_LITTLE: u64 = 128;

/// Records of an index that are walked through in the time of one look-up.
const A_LOOK_UP: u64 = 64;

/// Bytes of a pack from which on it is made durable by a thread of its own.
const WORTH_A_THREAD: u64 = 16 << 20;

/// Bytes of objects the store already had that are kept all the same, in case they go meanwhile.
const KEPT_MAX: usize = 1 << 20;

/// Collects the objects of one transaction. Put from as many threads as you like; they are written one by one.
///
/// What the snapshot has, live, is relied on instead of stored again. Nothing that was taken is part of the store
/// before a transaction with what [`Intake::finish`] returns has landed. Dropped before that, it removes its packs.
#[derive(Debug)]
pub struct Intake {
    snapshot: Snapshot,
    /// Packs that may not be relied on although the snapshot says so.
    shunned: HashSet<Id>,
    /// What is written. Held while a pack waits for the disk.
    inner: Mutex<Inner>,
    /// What was seen; apart, so that who asks for an object does not wait for the disk. Whoever holds both took `inner` first.
    seen: Mutex<Seen>,
    /// How often the snapshot was asked for an object.
    asked: AtomicU64,
    /// What the snapshot has, once it was asked so often that a list of everything costs less.
    catalogue: OnceLock<Option<Catalogue>>,
    /// What was collected for a transaction that comes first and may not have landed yet.
    before: Option<Arc<Collected>>,
    /// What lies in packs that may be wanted as a whole, and is not taken yet.
    pub(super) waiting: Mutex<Waitings>,
}

#[derive(Debug, Default)]
struct Seen {
    taken: IdSet,
    relied: IdMap<Place>,
    kept: HashMap<Id, (Kind, Vec<u8>)>,
    kept_bytes: usize,
}

impl Seen {
    fn knows(&self, id: &Id) -> bool {
        self.taken.contains(id) || self.relied.contains_key(id)
    }
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<(Kind, Id, Vec<u8>)>,
    waiting_bytes: usize,
    open: [Option<PackWriter>; 2],
    packs: Vec<AddedPack>,
    /// A large pack that is being made durable while the next one is filled.
    publishing: Option<JoinHandle<Result<AddedPack, Error>>>,
    /// Why nothing can be taken any more.
    failed: Option<String>,
}

impl Inner {
    /// Whether an object of this length is to wait in memory.
    fn holds(&self, kind: &Kind, len: usize, inline_max: usize) -> bool {
        // Once a content pack is being written, content costs nothing more there, and records keep the room.
        let packed = Class::of(kind) == Class::Content && self.open[Class::Content as usize].is_some();
        !packed && len <= inline_max
    }
}

/// A pack that was written for a transaction.
#[derive(Debug, Clone)]
pub(super) struct AddedPack {
    pub(super) row: PackRow,
    pub(super) ids: Vec<Id>,
    /// Until they are remembered.
    pub(super) stretches: Option<Stretches>,
}

/// What an intake took: durable, and ready to be named by a transaction.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Objects that go into the entry.
    pub(super) inline: Vec<(Kind, Id, Vec<u8>)>,
    pub(super) packs: Vec<AddedPack>,
    /// Objects that the snapshot had, and where.
    pub(super) relied: IdMap<Place>,
    /// Bytes of some of those, should they have to be stored again.
    pub(super) kept: HashMap<Id, (Kind, Vec<u8>)>,
}

impl Collected {
    /// What several intakes took, as one.
    pub fn together(all: impl IntoIterator<Item = Collected>) -> Self {
        let mut together = Self::default();
        let mut seen = HashSet::new();
        for one in all {
            together.inline.extend(one.inline.into_iter().filter(|(_, id, _)| seen.insert(*id)));
            together.packs.extend(one.packs);
            together.relied.extend(one.relied);
            together.kept.extend(one.kept);
        }
        together
    }

    /// Bytes of objects that go into the entry.
    pub fn inline_bytes(&self) -> usize {
        self.inline.iter().map(|(.., bytes)| bytes.len()).sum()
    }

    /// Whether nothing was stored and nothing is relied on.
    pub fn is_empty(&self) -> bool {
        self.inline.is_empty() && self.packs.is_empty() && self.relied.is_empty()
    }

    /// What this becomes once a transaction with it has landed: all of it relied on. What went into the entry is left out; name it in
    /// [`Draft::relies_on`](super::Draft::relies_on).
    #[must_use]
    pub fn as_relied(&self) -> Self {
        let mut relied = self.relied.clone();
        for pack in &self.packs {
            relied.extend(pack.ids.iter().map(|id| (*id, Place::Pack(pack.row.name()))));
        }
        Self { relied, ..Self::default() }
    }

    /// The ids of objects that go into the entry.
    pub fn inline_ids(&self) -> impl Iterator<Item = &Id> {
        self.inline.iter().map(|(_, id, _)| id)
    }

    /// The objects that were not stored, since the snapshot had them.
    pub fn relied(&self) -> impl Iterator<Item = &Id> {
        self.relied.keys()
    }

    /// The objects that were stored.
    pub fn stored(&self) -> impl Iterator<Item = &Id> {
        self.inline.iter().map(|(_, id, _)| id).chain(self.packs.iter().flat_map(|pack| &pack.ids))
    }
}

impl Intake {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        Self::shunning(snapshot, HashSet::new())
    }

    /// An intake that relies on none of the packs `shunned`.
    pub(super) fn shunning(snapshot: &Snapshot, shunned: HashSet<Id>) -> Self {
        let (asked, catalogue) = (AtomicU64::new(0), OnceLock::new());
        let (inner, seen) = (Mutex::default(), Mutex::default());
        Self {
            snapshot: snapshot.clone(),
            shunned,
            inner,
            seen,
            asked,
            catalogue,
            before: None,
            waiting: Mutex::default(),
        }
    }

    /// An intake for a transaction that is published after the one that `before` was collected for: what that one brings is relied on, and
    /// not taken again.
    #[must_use]
    pub fn following(mut self, before: Arc<Collected>) -> Self {
        self.before = Some(before);
        self
    }

    fn backend(&self) -> &dyn Backend {
        self.snapshot.store().backend()
    }

    pub(super) fn rules(&self) -> &Rules {
        self.snapshot.store().rules()
    }

    /// Bytes of objects that go into the entry at most.
    fn inline_max(&self) -> usize {
        self.snapshot.store().rules().inline_max()
    }

    /// The state that it takes objects for.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether nothing may rely on the pack.
    pub(super) fn shuns(&self, pack: &Id) -> bool {
        self.shunned.contains(pack)
    }

    /// Those of `ids` that were neither taken nor are relied on.
    pub(super) fn untaken(&self, ids: &[Id]) -> Result<Vec<Id>, AccessError> {
        drop(self.usable()?);
        let seen = self.seen();
        Ok(ids.iter().filter(|id| !seen.knows(id)).copied().collect())
    }

    /// Those of `ids`, sorted, that the transaction before brings, with their kinds; relied on from now on.
    pub(super) fn brought_before(&self, ids: &[Id]) -> Vec<(Id, Kind)> {
        let mut found = Vec::new();
        let Some(before) = &self.before else { return found };
        let mut places = Vec::new();
        for (kind, id, _) in &before.inline {
            if ids.binary_search(id).is_ok() {
                found.push((*id, kind.clone()));
                // In an entry of which the number is not known yet, so it is looked up.
                places.push((*id, Place::Entry(0)));
            }
        }
        for pack in &before.packs {
            let name = pack.row.name();
            let mut wanted = ids.iter().filter(|id| pack.ids.binary_search(id).is_ok()).peekable();
            if wanted.peek().is_none() {
                continue;
            }
            // What can't be read back is taken once more.
            let Ok(file) = self.snapshot.store().files().get(Folder::Packs, &name) else { continue };
            for id in wanted {
                if let Ok(Some(record)) = super::pack::find(&file, id) {
                    found.push((*id, record.kind));
                    places.push((*id, Place::Pack(name)));
                }
            }
        }
        self.rely(places);
        found
    }

    /// Relies on objects that lie in these places.
    pub(super) fn rely(&self, places: impl IntoIterator<Item = (Id, Place)>) {
        self.seen().relied.extend(places);
    }

    /// Remembers an object as taken without storing it: such an intake is never finished.
    pub(super) fn pretend(&self, id: &Id) {
        self.seen().taken.insert(*id);
    }

    /// Stores an object whose bytes are right, with its compressed form as it came. Few go into the entry; once packs are being written, all go
    /// there.
    pub(super) fn put_carried(
        &self,
        kind: &Kind,
        id: &Id,
        bytes: &[u8],
        packed: Option<&[u8]>,
    ) -> Result<(), AccessError> {
        let mut inner = self.usable()?;
        let has_pack = inner.open[Class::of(kind) as usize].is_some();
        if !has_pack && inner.holds(kind, bytes.len(), self.inline_max()) {
            return self.store(&mut inner, kind, id, bytes);
        }
        drop(inner);
        self.put_packed(kind, id, bytes, packed)
    }

    /// Keeps a pack that was written by itself; its name is durable once the folder is flushed.
    pub(super) fn added(&self, pack: AddedPack) {
        let mut inner = self.inner();
        let mut seen = self.seen();
        seen.taken.reserve(pack.ids.len());
        seen.taken.extend(&pack.ids);
        drop(seen);
        inner.packs.push(pack);
    }

    /// Completes the open pack of content, so that what is in it can be read back.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn complete_content(&self) -> Result<(), AccessError> {
        let mut inner = self.usable()?;
        self.close(&mut inner, Class::Content)?;
        Self::settle(&mut inner)
    }

    /// An object that was taken and is not part of any state yet; `None` for one that was not, or lies in a pack that is still being written.
    pub(super) fn taken_object(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        let names: Vec<Id> = {
            let inner = self.usable()?;
            let before = self.before.as_deref();
            let mut waiting = inner.waiting.iter().chain(before.iter().flat_map(|before| &before.inline));
            if let Some((kind, _, bytes)) = waiting.find(|(_, waiting, _)| waiting == id) {
                return Ok(Some((kind.clone(), bytes.clone())));
            }
            let packs = inner.packs.iter().chain(before.iter().flat_map(|before| &before.packs));
            let holding = packs.filter(|pack| pack.ids.binary_search(id).is_ok());
            holding.map(|pack| pack.row.name()).collect()
        };
        for name in names {
            let Ok(file) = self.snapshot.store().files().get(Folder::Packs, &name) else { continue };
            if let Ok(Some(record)) = super::pack::find(&file, id)
                && !record.is_in_pieces()
                && let Ok(bytes) = super::pack::read(&file, id, &record)
            {
                return Ok(Some((record.kind, bytes)));
            }
        }
        Ok(None)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self) -> Result<MutexGuard<'_, Inner>, AccessError> {
        let inner = self.inner();
        match &inner.failed {
            None => Ok(inner),
            Some(why) => Err(io::Error::other(format!("an earlier object could not be stored: {why}")).into()),
        }
    }

    /// Everything that the snapshot has, if so much is asked for that it is worth its while.
    fn catalogue(&self) -> Option<&Catalogue> {
        if let Some(catalogue) = self.catalogue.get() {
            return catalogue.as_ref();
        }
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked < ASKED_LITTLE || asked.saturating_mul(A_LOOK_UP) < self.snapshot.packed_objects() {
            return None;
        }
        self.catalogue.get_or_init(|| self.snapshot.catalogue(&self.shunned)).as_ref()
    }

    /// Whether the object was taken before or need not be, because the snapshot has it.
    fn known(&self, id: &Id) -> Result<bool, AccessError> {
        if self.seen().knows(id) {
            return Ok(true);
        }
        if self.snapshot.is_scrubbed(id)? {
            // Refused without a word: whoever stores a folder with it stores the rest.
            return Ok(true);
        }
        let place = match self.catalogue() {
            Some(catalogue) => self.snapshot.inline_place(id).or_else(|| catalogue.get(id)),
            None => self.snapshot.locate_live(id)?,
        };
        let place = place.filter(|place| !matches!(place, Place::Pack(name) if self.shunned.contains(name)));
        let Some(place) = place else { return Ok(false) };
        let mut seen = self.seen();
        if !seen.taken.contains(id) {
            seen.relied.insert(*id, place);
        }
        Ok(true)
    }

    /// Stores an object whose bytes are right and that the snapshot lacks.
    fn put_unknown(&self, kind: &Kind, id: &Id, bytes: &[u8]) -> Result<(), AccessError> {
        let mut inner = self.usable()?;
        if self.seen().taken.contains(id) {
            return Ok(());
        }
        if inner.holds(kind, bytes.len(), self.inline_max()) {
            return self.store(&mut inner, kind, id, bytes);
        }
        drop(inner);
        // What takes time is done by as many threads as there are.
        self.put_packed(kind, id, bytes, compress::compress(bytes).as_deref())
    }

    /// Keeps the bytes of an object that is relied on, as far as there is room.
    fn keep(&self, kind: &Kind, id: &Id, bytes: &[u8]) {
        let mut seen = self.seen();
        if seen.relied.contains_key(id)
            && !seen.kept.contains_key(id)
            && seen.kept_bytes.saturating_add(bytes.len()) <= KEPT_MAX
        {
            seen.kept_bytes += bytes.len();
            seen.kept.insert(*id, (kind.clone(), bytes.to_vec()));
        }
    }

    /// Stores an object whose bytes are right and that is not here yet, with its compressed form if that pays.
    pub(super) fn put_packed(
        &self,
        kind: &Kind,
        id: &Id,
        bytes: &[u8],
        packed: Option<&[u8]>,
    ) -> Result<(), AccessError> {
        let mut inner = self.usable()?;
        if !self.seen().taken.insert(*id) {
            return Ok(());
        }
        self.pack(&mut inner, Class::of(kind), bytes.len() as u64, |pack| pack.put_packed(id, kind, bytes, packed))
    }

    /// Stores that the blob `id` of `len` bytes is made up of the pieces of `list`. The caller has hashed it, and has
    /// put the list and all pieces.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn put_pieces(&self, id: &Id, len: u64, list: &Id) -> Result<(), AccessError> {
        let mut inner = self.usable()?;
        if !self.seen().taken.insert(*id) {
            return Ok(());
        }
        self.pack(&mut inner, Class::Content, 0, |pack| pack.put_pieces(id, len, list))
    }

    /// Stores an object whose bytes are right and that is not here yet.
    fn store(&self, inner: &mut Inner, kind: &Kind, id: &Id, bytes: &[u8]) -> Result<(), AccessError> {
        if !self.seen().taken.insert(*id) {
            return Ok(());
        }
        let class = Class::of(kind);
        if inner.holds(kind, bytes.len(), self.inline_max()) {
            inner.waiting.push((kind.clone(), *id, bytes.to_vec()));
            inner.waiting_bytes += bytes.len();
            if inner.waiting_bytes > self.inline_max() {
                self.spill(inner, Class::Content)?;
            }
            if inner.waiting_bytes > self.inline_max() {
                self.spill(inner, Class::Records)?;
            }
            return Ok(());
        }
        self.pack(inner, class, bytes.len() as u64, |pack| pack.put(id, kind, bytes))
    }

    /// Moves what waits of one class into a pack.
    fn spill(&self, inner: &mut Inner, class: Class) -> Result<(), AccessError> {
        let (moving, staying) =
            std::mem::take(&mut inner.waiting).into_iter().partition(|(kind, ..)| Class::of(kind) == class);
        inner.waiting = staying;
        inner.waiting_bytes = inner.waiting.iter().map(|(.., bytes)| bytes.len()).sum();
        let moving: Vec<(Kind, Id, Vec<u8>)> = moving;
        for (kind, id, bytes) in moving {
            self.pack(inner, class, bytes.len() as u64, |pack| pack.put(&id, &kind, &bytes))?;
        }
        Ok(())
    }

    /// Lets `write` append to a pack of the class that has room for `len` bytes.
    fn pack(
        &self,
        inner: &mut Inner,
        class: Class,
        len: u64,
        write: impl FnOnce(&mut PackWriter) -> io::Result<()>,
    ) -> Result<(), AccessError> {
        let result = self.open_pack(inner, class, len).and_then(|pack| write(pack).map_err(AccessError::from));
        if let Err(err) = &result {
            inner.failed = Some(err.to_string());
        }
        result
    }

    fn open_pack<'a>(&self, inner: &'a mut Inner, class: Class, len: u64) -> Result<&'a mut PackWriter, AccessError> {
        let slot = class as usize;
        if inner.open[slot].as_ref().is_some_and(|pack| !pack.has_room(len)) {
            self.close(inner, class)?;
        }
        if inner.open[slot].is_none() {
            let staged = self.backend().stage().map_err(Error::from)?;
            inner.open[slot] = Some(PackWriter::new(staged, class)?);
        }
        inner.open[slot].as_mut().ok_or_else(|| io::Error::other("no pack is open").into())
    }

    /// Completes the open pack of a class; a large one has its name only after [`Intake::settle`].
    fn close(&self, inner: &mut Inner, class: Class) -> Result<(), AccessError> {
        let Some(pack) = inner.open[class as usize].take().filter(|pack| !pack.is_empty()) else { return Ok(()) };
        let store = self.snapshot.store().clone();
        if pack.bytes() < WORTH_A_THREAD || self.rules().is_sequential() {
            return Self::closed(inner, publish_pack(&store, pack, 0));
        }
        // One at a time: what waits for the disk is bounded.
        Self::settle(inner)?;
        let publishing = std::thread::Builder::new().spawn(move || publish_pack(&store, pack, 0));
        inner.publishing = Some(publishing.inspect_err(|err| inner.failed = Some(err.to_string()))?);
        Ok(())
    }

    /// Waits for the pack that is being made durable.
    fn settle(inner: &mut Inner) -> Result<(), AccessError> {
        let Some(publishing) = inner.publishing.take() else { return Ok(()) };
        let panicked = |_| Err(Error::Access(io::Error::other("a pack could not be completed").into()));
        Self::closed(inner, publishing.join().unwrap_or_else(panicked))
    }

    fn closed(inner: &mut Inner, result: Result<AddedPack, Error>) -> Result<(), AccessError> {
        match result {
            Ok(added) => {
                inner.packs.push(added);
                Ok(())
            }
            Err(err) => {
                inner.failed = Some(err.to_string());
                Err(err.into())
            }
        }
    }

    /// Completes what was begun. All packs are durable, with their names, when this returns.
    ///
    /// # Errors
    /// When something could not be written; nothing was added to the store then.
    pub fn finish(self) -> Result<Collected, Error> {
        drop(self.usable()?);
        if self.waiting_objects() > 0 {
            return Err(Error::Access(io::Error::other("objects that are to be stored were left waiting").into()));
        }
        let mut inner = self.inner();
        self.close(&mut inner, Class::Records)?;
        self.close(&mut inner, Class::Content)?;
        Self::settle(&mut inner)?;
        if !inner.packs.is_empty() {
            self.backend().sync(Folder::Packs)?;
        }
        let mut done = std::mem::take(&mut *inner);
        drop(inner);
        let stretches: Vec<Stretches> = done.packs.iter_mut().filter_map(|pack| pack.stretches.take()).collect();
        if !stretches.is_empty() {
            self.backend().remember_stretches(&stretches);
        }
        let seen = std::mem::take(&mut *self.seen());
        Ok(Collected { inline: done.waiting, packs: done.packs, relied: seen.relied, kept: seen.kept })
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        // No entry can name these, so they are this process's own to remove.
        let mut inner = self.inner();
        let _ = Self::settle(&mut inner);
        let packs = std::mem::take(&mut inner.packs);
        drop(inner);
        for pack in packs {
            let _ = self.backend().remove(Folder::Packs, &Folder::Packs.file(&pack.row.name()));
        }
    }
}

/// What no other file has in its root, so that no name recurs.
pub(super) fn fresh_nonce(store: &Store) -> [u8; 16] {
    if store.rules().keep(Rule::NamesFresh) { store.world().random() } else { [0; 16] }
}

/// Completes a pack and gives it its name; the name is durable once the folder is flushed.
pub(super) fn publish_pack(store: &Store, pack: PackWriter, level: u8) -> Result<AddedPack, Error> {
    let class = pack.class();
    let FinishedPack { file, ids, stretches } = pack.finish(fresh_nonce(store)).map_err(AccessError::from)?;
    let row = PackRow(file.name, class, level, file.len, file.count);
    publish_file(store.backend(), file.staged, Folder::Packs, &row.name())?;
    Ok(AddedPack { row, ids, stretches })
}

/// Gives a file of the state its name. Names are random, so one that is taken can only be this very file.
pub(super) fn publish_file(
    backend: &dyn Backend,
    staged: Box<dyn super::backend::Staged>,
    folder: Folder,
    name: &Id,
) -> Result<(), Error> {
    let len = staged.position();
    let file = folder.file(name);
    if staged.publish(folder, &file)? == Outcome::Won {
        return Ok(());
    }
    let there = match backend.open(folder, &file)? {
        Some(found) => found.size().map_err(AccessError::from)? == len,
        None => false,
    };
    if there {
        return Ok(());
    }
    Err(Error::Access(io::Error::other(format!("{folder}/{file} could not be created")).into()))
}

impl Sink for Intake {
    fn has(&self, id: &Id) -> Result<bool, AccessError> {
        self.known(id)
    }

    fn put(&self, kind: &Kind, id: &Id, bytes: &[u8]) -> Result<(), AccessError> {
        // A run has an id of its own in it: looking for it in every pack finds nothing, and if it is there all the same it is there twice
        // until the packs are merged.
        if *kind != Kind::RUN && self.known(id)? {
            self.keep(kind, id, bytes);
            return Ok(());
        }
        if id_of(kind, bytes) != *id {
            return Err(AccessError::Changed);
        }
        self.put_unknown(kind, id, bytes)
    }

    fn put_new(&self, kind: &Kind, bytes: &[u8]) -> Result<Id, AccessError> {
        let id = id_of(kind, bytes);
        if self.known(&id)? {
            self.keep(kind, &id, bytes);
        } else {
            self.put_unknown(kind, &id, bytes)?;
        }
        Ok(id)
    }

    fn put_blob(&self, id: &Id, len: u64, reader: &mut dyn Read) -> Result<(), AccessError> {
        if self.known(id)? {
            return Ok(());
        }
        if len > self.rules().whole_max() {
            return self.put_large(Some(id), len, reader).map(drop);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        reader.take(len + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != len {
            return Err(AccessError::Changed);
        }
        if id_of(&Kind::BLOB, &bytes) != *id {
            return Err(AccessError::Changed);
        }
        self.put_unknown(&Kind::BLOB, id, &bytes)
    }

    fn put_new_blob(&self, len: u64, reader: &mut dyn Read) -> Result<Option<Id>, AccessError> {
        // Pieces of what was scrubbed must not be stored before it is known for what it is.
        if len <= self.rules().whole_max() || self.snapshot.may_be_scrubbed() {
            return Ok(None);
        }
        self.put_large(None, len, reader).map(Some)
    }
}

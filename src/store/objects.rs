//! Looking up objects in a snapshot.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::backend::Folder;
use super::early::Early;
use super::entry::{Class, PackRow};
use super::located;
use super::pack::{self, CopyError, PackRecord};
use super::pieces::Failed;
use super::rules::Rule;
use super::snapshot::{File, Snapshot};
use super::sorted::{Broken, SortedFile};
use crate::fs::Stat;
use crate::hash::Id;
use crate::object::{AccessError, Kind, Source, verify};

/// Where an object lies that something new may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the entry with this number.
    Entry(u64),
    /// In this pack.
    Pack(Id),
}

/// What a number of objects stand on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ground {
    /// The packs that hold them, each once.
    pub packs: Vec<Id>,
    /// Those that lie in entries of the log and will move to a pack.
    pub inline: Vec<Id>,
}

impl Ground {
    fn extend(&mut self, other: Self) {
        self.packs.extend(other.packs);
        self.packs.sort_unstable();
        self.packs.dedup();
        self.inline.extend(other.inline);
    }
}

/// Objects up to this size are verified before the first byte of them is handed on, so that another copy can take the
/// place of a damaged one.
pub(super) const WHOLE_MAX: u64 = 1 << 20;

/// Objects from which on it is quicker to find all at once.
const MANY: usize = 128;

/// Where an object lies in a snapshot.
enum Found {
    Inline(usize, usize),
    Packed(Arc<SortedFile>, PackRecord),
}

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Any copy.
    Any,
    /// A copy that is not condemned.
    Live,
}

/// What a search came to.
enum Search {
    /// `each` said that it is enough.
    Done,
    /// Nothing satisfied `each`; this file, named, could not be searched.
    Missed(Option<(String, String)>),
    /// A file left the state and nothing satisfied `each`: ask the newest one.
    Moved(Snapshot),
}

impl Snapshot {
    /// The packs in the order in which they are looked into: those of the class that is asked for first, condemned ones last, newer ones
    /// before older ones.
    fn packs(&self, first: Class) -> &[PackRow] {
        self.inner.orders[first as usize].get_or_init(|| {
            let state = &self.inner.state;
            let mut rows: Vec<PackRow> = state.packs.iter().rev().copied().collect();
            rows.sort_by_key(|row| (state.condemned.contains_key(&row.name()), row.class() != first));
            rows
        })
    }

    /// Shows every copy of an object to `each` until it is satisfied. It is probably of the class `first`.
    fn search(
        &self,
        id: &Id,
        which: Which,
        first: Class,
        each: &mut dyn FnMut(Found) -> Result<bool, AccessError>,
    ) -> Result<Search, AccessError> {
        // Most of what is asked for and lies in an entry is named by a ref beside it; the ids of all others have to be computed, which waits
        // until no pack has it.
        let named = self.named_inline(id);
        if let Some((at, position)) = named
            && each(Found::Inline(at, position))?
        {
            return Ok(Search::Done);
        }
        let (mut moved, mut unsearched) = (None, None);
        let mut look = |name: Id| -> Result<bool, AccessError> {
            let is_condemned = self.inner.state.condemned.contains_key(&name);
            if which == Which::Live && is_condemned && self.store().rules().keep(Rule::CondemnedShunned) {
                return Ok(false);
            }
            let file = match self.file(Folder::Packs, &name)? {
                File::Here(file) => file,
                // Whatever counts in a condemned pack lies elsewhere.
                File::Lost if is_condemned => return Ok(false),
                File::Lost => {
                    unsearched = Some((Folder::Packs.file(&name), "it is damaged or missing".to_owned()));
                    return Ok(false);
                }
                File::Moved(newer) => {
                    moved = Some(newer);
                    return Ok(false);
                }
            };
            match pack::find(&file, id) {
                Ok(None) => Ok(false),
                Ok(Some(record)) => each(Found::Packed(file, record)),
                Err(what) => {
                    self.note(Folder::Packs, &name, what.clone());
                    unsearched = Some((Folder::Packs.file(&name), what));
                    Ok(false)
                }
            }
        };
        let packs = self.packs(first);
        // Who asks for many asks for what was written together.
        let last = &self.inner.found[first as usize];
        let likely = last.load(Ordering::Relaxed);
        if let Some(row) = packs.get(likely)
            && look(row.name())?
        {
            return Ok(Search::Done);
        }
        let mut early = Early::new(self, Folder::Packs, packs.len());
        for (at, row) in packs.iter().enumerate().filter(|(at, _)| *at != likely) {
            early.before(at, &|at| packs[at].name(), &|file| drop(pack::find(file, id)));
            if look(row.name())? {
                if self.asks_often() && !self.inner.state.condemned.contains_key(&row.name()) {
                    last.store(at, Ordering::Relaxed);
                }
                return Ok(Search::Done);
            }
        }
        if named.is_none()
            && let Some(&(at, position)) = self.inline().get(id)
            && each(Found::Inline(at, position))?
        {
            return Ok(Search::Done);
        }
        Ok(moved.map_or(Search::Missed(unsearched), Search::Moved))
    }

    /// Where every one of these objects was found, as [`Source::header`] finds them; `None` if one is missing. Quick when `ids` are sorted:
    /// each part of a pack's index is then read once.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn find_all(&self, ids: &[Id]) -> Result<Option<Ground>, AccessError> {
        self.find_all_as(ids, true)
    }

    fn find_all_as(&self, ids: &[Id], may_be_in_pieces: bool) -> Result<Option<Ground>, AccessError> {
        let (inline, mut missing): (Vec<Id>, Vec<Id>) = ids.iter().partition(|id| self.inline().contains_key(id));
        let mut ground = Ground { packs: Vec::new(), inline };
        let (mut moved, mut lists) = (None, Vec::new());
        for row in self.packs(Class::Content) {
            if missing.is_empty() {
                break;
            }
            let name = row.name();
            let file = match self.file(Folder::Packs, &name)? {
                File::Here(file) => file,
                File::Lost => continue,
                File::Moved(newer) => {
                    moved = Some(newer);
                    continue;
                }
            };
            let before = missing.len();
            let mut is_missing = |found: Result<Option<PackRecord>, Broken>| match found {
                // Pieces are not in pieces themselves.
                Ok(Some(record)) if record.is_in_pieces() && !may_be_in_pieces => true,
                Ok(Some(record)) if record.is_in_pieces() => {
                    lists.push((pack::pieces(&file, &record), record.len));
                    false
                }
                Ok(found) => found.is_none(),
                Err(what) => {
                    self.note(Folder::Packs, &name, what);
                    true
                }
            };
            if missing.len() >= MANY && located::is_worth_a_walk(missing.len(), row.count()) {
                missing.sort_unstable();
                let mut found = HashSet::with_capacity(missing.len());
                let walked = located::meet(&file, &missing, &mut |id, record| {
                    if !is_missing(Ok(Some(record))) {
                        found.insert(id);
                    }
                });
                missing.retain(|id| !found.contains(id));
                if walked.is_err() {
                    // A part of its index is damaged: what lies behind that can be asked for.
                    missing.retain(|id| is_missing(pack::find(&file, id)));
                }
            } else {
                missing.retain(|id| is_missing(pack::find(&file, id)));
            }
            if missing.len() < before {
                ground.packs.push(name);
            }
        }
        if !missing.is_empty() {
            let rest = match moved {
                Some(newer) => newer.find_all_as(&missing, may_be_in_pieces)?,
                None => None,
            };
            match rest {
                Some(rest) => ground.extend(rest),
                None => return Ok(None),
            }
        }
        // What is in pieces is here only if all its lists and pieces are.
        let mut pieces = Vec::new();
        for (list, len) in lists {
            let Ok(list) = list else { return Ok(None) };
            match self.walk_lists(&list, len, &mut |id| pieces.push(id)) {
                Ok(()) => {}
                Err(Failed::Broken(_)) => return Ok(None),
                Err(Failed::Other(err)) => return Err(err),
            }
        }
        if !pieces.is_empty() {
            pieces.sort_unstable();
            pieces.dedup();
            match self.find_all_as(&pieces, false)? {
                Some(rest) => ground.extend(rest),
                None => return Ok(None),
            }
        }
        Ok(Some(ground))
    }

    /// The state of the file of a pack that something new may rely on: as long as it stays the same, the pack holds what it held.
    /// `None` if the pack is condemned or no part of this snapshot, its file is gone, or its place can't tell.
    pub fn pack_state(&self, name: &Id) -> Option<Stat> {
        let is_live = self.inner.state.is_live(name);
        is_live.then(|| self.inner.store.backend().state(Folder::Packs, &Folder::Packs.file(name))).flatten()
    }

    /// Where something new may find the object to rely on it: inline, or in a pack that is not condemned.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn locate_live(&self, id: &Id) -> Result<Option<Place>, AccessError> {
        let mut place = None;
        let search = self.search(id, Which::Live, Class::Content, &mut |found| {
            place = Some(match found {
                Found::Inline(at, _) => Place::Entry(self.entry(at).number),
                Found::Packed(file, _) => Place::Pack(file.name()),
            });
            Ok(true)
        })?;
        match search {
            Search::Moved(newer) => newer.locate_live(id),
            _ => Ok(place),
        }
    }

    /// Where an object lies that is in an entry of the log.
    pub(super) fn inline_place(&self, id: &Id) -> Option<Place> {
        self.inline().get(id).map(|(at, _)| Place::Entry(self.entry(*at).number))
    }

    /// Whether something new may rely on the pack.
    pub(super) fn is_live(&self, name: &Id) -> bool {
        let state = self.state();
        state.is_live(name) || (state.has_pack(name) && !self.store().rules().keep(Rule::CondemnedShunned))
    }

    /// The entry of a pack, condemned or not, that holds the object.
    pub(super) fn packed(&self, id: &Id) -> Result<Option<(Arc<SortedFile>, PackRecord)>, AccessError> {
        let mut packed = None;
        let search = self.search(id, Which::Any, Class::Content, &mut |found| {
            if let Found::Packed(file, record) = found {
                packed = Some((file, record));
            }
            Ok(packed.is_some())
        })?;
        match search {
            Search::Moved(newer) => newer.packed(id),
            _ => Ok(packed),
        }
    }

    /// Streams what lies in a pack; [`CopyError::Broken`] if it is damaged.
    fn copy_packed(
        &self,
        id: &Id,
        file: &SortedFile,
        record: &PackRecord,
        out: &mut dyn Write,
    ) -> Result<Result<(), CopyError>, AccessError> {
        if !record.is_in_pieces() {
            return Ok(pack::copy(file, id, record, out));
        }
        let list = match pack::pieces(file, record) {
            Ok(list) => list,
            Err(what) => return Ok(Err(CopyError::Broken(what))),
        };
        match self.copy_pieces(&list, record.len, 0..record.len, out) {
            Ok(()) => Ok(Ok(())),
            Err(Failed::Broken(what)) => Ok(Err(CopyError::Broken(what))),
            Err(Failed::Other(err)) => Err(err),
        }
    }

    /// All bytes of an object. Lists of pieces and pieces are no content in pieces themselves (`may_be_in_pieces`): a forged list could
    /// lead back to what it makes up, and reading it would never end.
    pub(super) fn read_as(&self, id: &Id, may_be_in_pieces: bool) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        let (mut result, mut wrong) = (None, None);
        let search = self.search(id, Which::Any, Class::Records, &mut |found| {
            let bytes = match &found {
                Found::Inline(at, position) => {
                    let object = &self.entry(*at).entry.objects[*position];
                    let checked = verify(id, &object.0, &object.1).map_err(|err| err.to_string());
                    checked.map(|()| (object.0.clone(), object.1.to_vec()))
                }
                Found::Packed(_, record) if record.is_in_pieces() && !may_be_in_pieces => return Ok(false),
                Found::Packed(file, record) if record.is_in_pieces() => {
                    let mut bytes = Vec::new();
                    match self.copy_packed(id, file, record, &mut bytes)? {
                        Ok(()) => Ok((record.kind.clone(), bytes)),
                        Err(CopyError::Broken(what)) => Err(what),
                        Err(CopyError::Out(err)) => return Err(err.into()),
                    }
                }
                Found::Packed(file, record) => pack::read(file, id, record).map(|bytes| (record.kind.clone(), bytes)),
            };
            match bytes {
                Ok(bytes) => result = Some(bytes),
                Err(what) => wrong = Some(self.note_object(id, &found, &what)),
            }
            Ok(result.is_some())
        })?;
        match search {
            Search::Done => Ok(result),
            Search::Moved(newer) => newer.read_as(id, may_be_in_pieces),
            Search::Missed(unsearched) => match wrong.or(unsearched) {
                Some(place) => Err(damaged(id, place)),
                None => Ok(None),
            },
        }
    }

    /// Remembers that an object's bytes are damaged.
    fn note_object(&self, id: &Id, found: &Found, what: &str) -> (String, String) {
        match found {
            Found::Inline(at, _) => (super::snapshot::log_file(self.entry(*at).number), what.to_owned()),
            Found::Packed(file, _) => {
                self.remember(Folder::Packs, &file.name(), "object-damaged", format!("object {id}: {what}"));
                (format!("packs/{}", Folder::Packs.file(&file.name())), what.to_owned())
            }
        }
    }
}

fn damaged(id: &Id, place: (String, String)) -> AccessError {
    AccessError::Damaged { id: *id, place: place.0, what: place.1 }
}

impl Source for Snapshot {
    fn header(&self, id: &Id) -> Result<Option<(Kind, u64)>, AccessError> {
        let mut header = None;
        let search = self.search(id, Which::Any, Class::Content, &mut |found| {
            header = Some(match found {
                Found::Inline(at, position) => {
                    let object = &self.entry(at).entry.objects[position];
                    (object.0.clone(), object.1.len() as u64)
                }
                Found::Packed(_, record) => (record.kind, record.len),
            });
            Ok(true)
        })?;
        match search {
            Search::Moved(newer) => newer.header(id),
            _ => Ok(header),
        }
    }

    fn located(&self, ids: &mut dyn Iterator<Item = Id>) -> Result<Option<Box<dyn Source + '_>>, AccessError> {
        let ids: Vec<Id> = ids.collect();
        if ids.len() < MANY { Ok(None) } else { Ok(Some(self.locate_all(ids)?)) }
    }

    fn read(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        self.read_as(id, true)
    }

    fn copy(&self, id: &Id, out: &mut dyn Write) -> Result<Option<u64>, AccessError> {
        let (mut result, mut wrong) = (None, None);
        let search = self.search(id, Which::Any, Class::Content, &mut |found| {
            let copied = match &found {
                Found::Inline(at, position) => {
                    let object = &self.entry(*at).entry.objects[*position];
                    match verify(id, &object.0, &object.1) {
                        Ok(()) => out.write_all(&object.1).map(|()| object.1.len() as u64).map_err(CopyError::Out),
                        Err(err) => Err(CopyError::Broken(err.to_string())),
                    }
                }
                Found::Packed(file, record) if record.len <= WHOLE_MAX => match pack::read(file, id, record) {
                    Ok(bytes) => out.write_all(&bytes).map(|()| record.len).map_err(CopyError::Out),
                    Err(what) => {
                        wrong = Some(self.note_object(id, &found, &what));
                        return Ok(false);
                    }
                },
                Found::Packed(file, record) => self.copy_packed(id, file, record, out)?.map(|()| record.len),
            };
            match copied {
                Ok(len) => {
                    result = Some(len);
                    Ok(true)
                }
                Err(CopyError::Out(err)) => Err(err.into()),
                Err(CopyError::Broken(what)) => {
                    wrong = Some(self.note_object(id, &found, &what));
                    // `out` holds wrong bytes already: another copy can't be appended to them.
                    Ok(true)
                }
            }
        })?;
        match (search, wrong) {
            (Search::Done, _) if result.is_some() => Ok(result),
            (Search::Moved(newer), _) => newer.copy(id, out),
            (_, Some(place)) | (Search::Missed(Some(place)), None) => Err(damaged(id, place)),
            (Search::Done | Search::Missed(None), None) => Ok(None),
        }
    }
}

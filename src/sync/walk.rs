//! The closure of records: what has to travel with them, found level by level and carried in long stretches.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use rayon::prelude::*;

use crate::hash::{Id, IdHasher, IdMap, IdSet};
use crate::object::config::Config;
use crate::object::envelope::Envelope;
use crate::object::inputs::InputList;
use crate::object::mark::Mark;
use crate::object::note::Note;
use crate::object::recipe::Recipe;
use crate::object::run::Run;
use crate::object::scenario::Scenario;
use crate::object::tree::Tree;
use crate::object::verdict::Verdict;
use crate::object::{self, AccessError, Kind, Link, Record, RunRecord, Strength, chunks::Chunks};
use crate::progress::{Cancel, Progress};
use crate::run::record;
use crate::store::{Carried, Class, How, Intake, Snapshot};

use super::Error;
use super::packed::PackedRefs;

/// Records and listings that are looked up at once.
const RECORDS: usize = 64 << 10;

/// Listings that are read at once: each may name a thousand others.
const LISTINGS: usize = 512;

/// Contents that are looked up at once.
const BLOBS: usize = 256 << 10;

/// Objects that wait for the rest of their packs at most.
const WAITING: usize = 1 << 20;

/// What stands for an id where very many are held: nobody can make two that share it.
type Short = [u8; 16];

/// Many of those: as good as random already, they are not hashed again.
type ShortSet = HashSet<Short, BuildHasherDefault<IdHasher>>;

fn short(id: &Id) -> Short {
    id.digest().first_chunk().copied().unwrap_or_default()
}

/// How much of what records lead to travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Records alone.
    Records,
    /// Records and the content they tell of, as far as it can be had.
    Content,
}

/// A run on its way, and the refs by which it is to be found: made from its record, never believed.
#[derive(Debug)]
pub(super) struct RunRefs {
    /// Its object.
    pub(super) object: Id,
    /// Its id.
    pub(super) run: String,
    /// Its project.
    pub(super) project: String,
    /// Its scenario.
    pub(super) scenario: String,
    /// Its refs.
    pub(super) refs: PackedRefs,
}

/// What was seen in a record on its way.
#[derive(Debug)]
struct Seen {
    links: Vec<Link>,
    /// Whether the links are those of the parts of one folder.
    is_in_parts: bool,
    run: Option<Box<RunRefs>>,
    /// The refs of a list of inputs.
    list: Option<PackedRefs>,
}

impl Seen {
    fn of(links: Vec<Link>) -> Self {
        Self { links, is_in_parts: false, run: None, list: None }
    }
}

/// Why the names in a run's record can't be taken over.
fn bad_names(run: &Run) -> Option<&'static str> {
    let tail = object::run::tail(&run.run);
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !is_plain(&run.run) || run.run.len() > 120 || tail.len() != 16 || !object::run::is_tail_prefix(tail, 16) {
        return Some("its run id is none");
    }
    if run.project.is_empty() || run.project.len() > 1000 || run.project.chars().any(char::is_control) {
        return Some("its project has no possible name");
    }
    if crate::scenario::check_name(&run.scenario).is_err() {
        return Some("its scenario has no possible name");
    }
    None
}

/// Reads a record that passed [`object::verify`], every rule of its kind checked. What this prov does not know is carried, not judged.
fn look(id: &Id, kind: &Kind, bytes: &[u8]) -> Result<Seen, AccessError> {
    let wrong = |err: object::Error| AccessError::Other(Box::new(Wrong { id: *id, kind: kind.clone(), source: err }));
    let damaged = |source| wrong(object::Error::Damaged { kind: kind.clone(), source });
    let envelope = Envelope::parse_verified(bytes).map_err(damaged)?;
    if *kind == Kind::RUN {
        let run = RunRecord::of_envelope(&envelope).map_err(wrong)?.into_head();
        if let Some(rule) = bad_names(&run) {
            return Err(wrong(object::Error::Invalid { kind: kind.clone(), rule: rule.to_owned() }));
        }
        let edits = record::edits_by_itself(&run, *id).map_err(|err| AccessError::Other(Box::new(err)))?;
        let Run { run, project, scenario, .. } = run;
        let run = RunRefs { object: *id, run, project, scenario, refs: PackedRefs::of(&edits) };
        return Ok(Seen { run: Some(Box::new(run)), ..Seen::of(envelope.links) });
    }
    if *kind == Kind::INPUTS {
        let list = InputList::of_envelope(&envelope).map_err(wrong)?;
        let edits = record::edits_of_list(&list, *id).map_err(|err| AccessError::Other(Box::new(err)))?;
        return Ok(Seen { list: Some(PackedRefs::of(&edits)), ..Seen::of(envelope.links) });
    }
    let checked = if *kind == Kind::TREE {
        Tree::check(&envelope)
    } else if *kind == Kind::RECIPE {
        Recipe::of_envelope(&envelope).map(drop)
    } else if *kind == Kind::CHUNKS {
        Chunks::of_envelope(&envelope).map(drop)
    } else if *kind == Kind::SCENARIO {
        Scenario::of_envelope(&envelope).map(drop)
    } else if *kind == Kind::CONFIG {
        Config::of_envelope(&envelope).map(drop)
    } else if *kind == Kind::NOTE {
        Note::of_envelope(&envelope).map(drop)
    } else if *kind == Kind::MARK {
        Mark::of_envelope(&envelope).map(drop)
    } else if *kind == Kind::VERDICT {
        Verdict::of_envelope(&envelope).map(drop)
    } else {
        Ok(())
    };
    match checked {
        Ok(()) | Err(object::Error::TooNew { .. }) => {
            let is_in_parts = *kind == Kind::TREE && !Tree::is_list(&envelope);
            Ok(Seen { is_in_parts, ..Seen::of(envelope.links) })
        }
        Err(err) => Err(wrong(err)),
    }
}

/// A record that breaks the rules of its kind.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} {id} breaks the rules of its kind")]
pub struct Wrong {
    id: Id,
    kind: Kind,
    source: object::Error,
}

/// What a walk brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// Runs of which the refs are to be made.
    pub(super) runs: Vec<RunRefs>,
    /// Lists of inputs with the refs by which their contents lead to them.
    pub(super) lists: Vec<(Id, PackedRefs)>,
    /// Objects that were carried.
    pub(super) objects: u64,
    /// Bytes that these take.
    pub(super) bytes: u64,
    /// Content that records tell of and that the other store has not.
    pub(super) absent: u64,
    /// Content that was scrubbed here, and is refused.
    pub(super) refused: u64,
}

/// Walks from records to all that they lead to, and carries what the target lacks.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) from: &'a Snapshot,
    pub(super) intake: &'a Intake,
    pub(super) depth: Depth,
    pub(super) is_dry: bool,
    /// Whether the source is this machine's own store: it hashed its contents in pieces as a whole when they came.
    pub(super) is_own: bool,
    /// Whether nothing is wanted but what is named: content with its pieces, lists of folders with their parts.
    pub(super) is_alone: bool,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a Cancel,
    seen: ShortSet,
    /// Records and listings to be looked at, with the kind that was said of them.
    records: Vec<(Id, Kind)>,
    blobs: Vec<Id>,
    /// Objects without which a record would be a promise that nobody keeps.
    required: ShortSet,
    missing: IdMap<Kind>,
    /// Contents in pieces: id, length, list.
    claims: Vec<(Id, u64, Id)>,
    heads: IdSet,
    brought: Brought,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        from: &'a Snapshot,
        intake: &'a Intake,
        depth: Depth,
        (is_dry, is_own): (bool, bool),
        progress: &'a dyn Progress,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            from,
            intake,
            depth,
            is_dry,
            is_own,
            is_alone: false,
            progress,
            cancel,
            seen: ShortSet::default(),
            records: Vec::new(),
            blobs: Vec::new(),
            required: ShortSet::default(),
            missing: IdMap::default(),
            claims: Vec::new(),
            heads: IdSet::default(),
            brought: Brought::default(),
        }
    }

    fn place(&self) -> String {
        self.from.store().backend().place()
    }

    /// Walks from these objects.
    pub(super) fn run(mut self, heads: &[(Id, Kind)]) -> Result<Brought, Error> {
        for (id, kind) in heads {
            self.heads.insert(*id);
            let is_content = Class::of(kind) == Class::Content;
            if !is_content || self.depth == Depth::Content {
                self.push(*id, kind, if is_content { Strength::Content } else { Strength::Record });
            }
        }
        loop {
            if self.cancel.is_raised() {
                return Err(Error::Cancelled);
            }
            if self.blobs.len() >= BLOBS || (self.records.is_empty() && !self.blobs.is_empty()) {
                self.contents()?;
            } else if !self.records.is_empty() {
                self.listings()?;
            } else {
                break;
            }
        }
        if !self.is_dry {
            // What is made up of pieces comes along with them if all of them could be had; another's has to be hashed as a whole.
            self.take_waiting(self.is_own && self.missing.is_empty())?;
            self.take_claims()?;
        }
        for (id, kind) in &self.missing {
            if self.required.contains(&short(id)) {
                return Err(Error::LinkMissing { place: self.place(), kind: kind.clone(), id: *id });
            }
        }
        Ok(self.brought)
    }

    /// Takes contents in pieces, whose lists and pieces have been carried.
    fn take_claims(&mut self) -> Result<(), Error> {
        let claims = std::mem::take(&mut self.claims);
        if !claims.is_empty() && !self.is_own {
            self.intake.complete_content()?;
        }
        let place = self.place();
        for (id, len, list) in claims {
            let taken = if self.is_own {
                if self.missing.is_empty() || self.from.find_all(&[id])?.is_some() {
                    self.intake.put_pieces(&id, len, &list)
                } else {
                    Err(AccessError::Changed)
                }
            } else {
                self.intake.claim(&id, len, &list, &place)
            };
            match taken {
                Ok(()) => self.brought.objects += 1,
                // Pieces of it are gone there: it is as good as gone.
                Err(_) if !self.missing.is_empty() => {
                    self.brought.absent += 1;
                    self.missing.insert(id, Kind::BLOB);
                }
                Err(err) => return Err(err.into()),
            }
        }
        Ok(())
    }

    /// Takes what waits for the rest of its pack.
    fn take_waiting(&self, has_all_pieces: bool) -> Result<(), Error> {
        let taken = self.intake.take_waiting(self.from, has_all_pieces, self.progress, self.cancel);
        if self.cancel.is_raised() {
            return Err(Error::Cancelled);
        }
        Ok(taken?)
    }

    fn push(&mut self, id: Id, kind: &Kind, strength: Strength) {
        if strength == Strength::Record {
            self.required.insert(short(&id));
        }
        if !self.seen.insert(short(&id)) {
            return;
        }
        if *kind == Kind::BLOB {
            self.blobs.push(id);
        } else {
            self.records.push((id, kind.clone()));
        }
    }

    fn follow(&mut self, links: Vec<Link>) {
        for Link(id, kind, strength) in links {
            let is_content = Class::of(&kind) == Class::Content;
            let is_wanted = match strength {
                Strength::Record => true,
                Strength::Content => self.depth == Depth::Content,
                // What is only named comes along if it is there, and if it is no record of something else.
                Strength::Weak => self.depth == Depth::Content && is_content,
            };
            if is_wanted {
                self.push(id, &kind, strength);
            }
        }
    }

    /// Looks at some records and listings.
    fn listings(&mut self) -> Result<(), Error> {
        let is_listing = |kind: &Kind| *kind == Kind::TREE || *kind == Kind::CHUNKS;
        let most = if self.records.last().is_some_and(|(_, kind)| is_listing(kind)) { LISTINGS } else { RECORDS };
        let mut said: IdMap<Kind> = IdMap::default();
        while said.len() < most {
            match self.records.pop() {
                Some((id, kind)) => said.insert(id, kind),
                None => break,
            };
        }
        let mut ids: Vec<Id> = said.keys().copied().collect();
        ids.sort_unstable();
        let known = self.intake.know(&ids)?;
        self.brought.refused += known.refused.len() as u64;
        // What is here was complete when it came, but content may have gone since: listings are gone through all the same. Runs that
        // are here are not, or the whole history would be.
        let mut here = Vec::new();
        for (id, kind) in known.here {
            self.check_kind(&id, said.get(&id), &kind)?;
            let is_closed = kind == Kind::RUN && !self.heads.contains(&id);
            let is_leaf = kind == Kind::CONFIG || kind == Kind::MARK || kind == Kind::NOTE || kind == Kind::VERDICT;
            if !is_closed && !is_leaf {
                here.push(id);
            }
        }
        self.take(&known.lacking, &said, false)?;
        // They were found file by file.
        here.sort_unstable();
        self.take(&here, &said, true)
    }

    /// Looks at some contents.
    fn contents(&mut self) -> Result<(), Error> {
        let from = self.blobs.len().saturating_sub(BLOBS);
        let mut ids = self.blobs.split_off(from);
        ids.par_sort_unstable();
        let known = self.intake.know(&ids)?;
        self.brought.refused += known.refused.len() as u64;
        for (id, kind) in &known.here {
            self.check_kind(id, Some(&Kind::BLOB), kind)?;
        }
        self.take(&known.lacking, &IdMap::default(), false)
    }

    fn check_kind(&self, id: &Id, said: Option<&Kind>, kind: &Kind) -> Result<(), Error> {
        match said {
            Some(said) if said != kind => {
                let what = format!("object {id} is a {kind}, and a record says that it is a {said}");
                Err(Error::Forged { place: self.place(), what })
            }
            _ => Ok(()),
        }
    }

    /// Carries objects; those that the target has are only looked at.
    fn take(&mut self, ids: &[Id], said: &IdMap<Kind>, are_here: bool) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut found: Vec<(Id, Carried<Seen>)> = Vec::new();
        let progress = self.progress;
        let how = match (are_here || self.is_dry, self.depth) {
            (true, _) => How::Look,
            (false, Depth::Records) => How::Store,
            (false, Depth::Content) => How::Together,
        };
        let load = self.intake.carry(self.from, ids, how, &look, &mut |id, carried| {
            if !matches!(carried, Carried::Waiting) {
                progress.add(1);
            }
            if !matches!(carried, Carried::Blob | Carried::Waiting) {
                found.push((id, carried));
            }
            Ok(())
        })?;
        if self.intake.waiting_objects() > WAITING {
            self.take_waiting(false)?;
        }
        if !are_here {
            self.brought.objects += load.objects;
            self.brought.bytes += load.bytes;
        }
        for (id, carried) in found {
            match carried {
                Carried::Blob | Carried::Waiting => {}
                Carried::InPieces(list, len) => {
                    self.check_kind(&id, said.get(&id), &Kind::BLOB)?;
                    self.claims.push((id, len, list));
                    self.push(list, &Kind::CHUNKS, Strength::Content);
                }
                Carried::Record(kind, seen) => {
                    self.check_kind(&id, said.get(&id).or(Some(&Kind::BLOB)), &kind)?;
                    if kind == Kind::CHUNKS {
                        // Whoever wants the content wants its pieces.
                        seen.links.into_iter().for_each(|link| self.push(link.0, &link.1, Strength::Content));
                    } else if !self.is_alone || seen.is_in_parts {
                        self.follow(seen.links);
                    }
                    if let Some(run) = seen.run {
                        self.brought.runs.push(*run);
                    }
                    self.brought.lists.extend(seen.list.map(|refs| (id, refs)));
                }
            }
        }
        // What is here and not there needs nothing from there.
        for id in load.missing.into_iter().filter(|_| !are_here) {
            self.brought.absent += 1;
            self.missing.insert(id, said.get(&id).cloned().unwrap_or(Kind::BLOB));
        }
        Ok(())
    }
}

//! Content on first use, and results of others: what is missing here comes from remotes that have it.
//!
//! Who is asked: for content, the remotes that it is marked to be at and those that records without content came from, then those of
//! `[cache] remotes`; for results, the latter alone. A remote that can't be reached is told of, and not asked again by this process; one that
//! takes time to be found unreachable, by no process for a minute.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Error;
use super::address::Address;
use super::heads::Heads;
use super::meet;
use super::place::{self, Means};
use super::remote::{self, Remote};
use super::transfer::Transfer;
use super::walk::{Depth, Walk};
use crate::clock::Micros;
use crate::hash::Id;
use crate::mark::{self, MarkKind};
use crate::object::recipe::Content;
use crate::object::run::Run;
use crate::object::{Kind, Record, RunRecord, Source};
use crate::progress::{Cancel, Progress};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, Outcome};
use crate::run::Offer;
use crate::run::hydrate::is_whole;
use crate::store::{Direction, Draft, RefEdit, Snapshot};

/// Outcomes of a recipe that are looked at in one remote.
const LOOKED_AT: usize = 4;

/// How long a remote that could not be reached is left alone, microseconds.
const AWAY_US: u64 = 60_000_000;

/// The remotes of a project, for whoever misses something.
pub struct Remotes<'a> {
    repo: &'a Repo,
    means: Means,
    tell: &'a (dyn Fn(&str) + Sync),
    progress: &'a dyn Progress,
    cancel: Cancel,
    reached: Mutex<BTreeMap<String, Option<Reached>>>,
}

#[derive(Clone)]
struct Reached {
    remote: Remote,
    far: Snapshot,
}

impl fmt::Debug for Remotes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remotes").finish_non_exhaustive()
    }
}

impl<'a> Remotes<'a> {
    /// The remotes of a project; `None` if it has none. `tell` hears, in words for people, of what can't be had and of what came.
    pub fn of(
        repo: &'a Repo,
        means: Means,
        progress: &'a dyn Progress,
        cancel: Cancel,
        tell: &'a (dyn Fn(&str) + Sync),
    ) -> Option<Self> {
        repo.settings().has_remotes().then(|| Self { repo, means, tell, progress, cancel, reached: Mutex::default() })
    }

    fn reached(&self) -> MutexGuard<'_, BTreeMap<String, Option<Reached>>> {
        // A connection that somebody panicked over is as good as before.
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self, remote: &Remote) -> PathBuf {
        self.repo.layout().cache().join("remotes").join(format!("{}.away", remote.name))
    }

    /// Opens a remote, once a process; what keeps it from being read is told once.
    fn reach(&self, name: &str) -> Option<Reached> {
        let mut reached = self.reached();
        if let Some(known) = reached.get(name) {
            return known.clone();
        }
        let found = self.open(name);
        let kept = match found {
            Ok(found) => found,
            Err(err) => {
                (self.tell)(&format!("remote {name} can't be asked: {}", crate::run::chain(&err)));
                None
            }
        };
        reached.insert(name.to_owned(), kept.clone());
        kept
    }

    fn open(&self, name: &str) -> Result<Option<Reached>, Error> {
        let remote = remote::choose(self.repo, Some(name), self.repo.root())?;
        let is_near = matches!(remote.address, Address::Folder(_));
        let away = self.away(&remote);
        let fs = self.repo.fs();
        let now = self.repo.now();
        if !is_near
            && let Ok(Some(bytes)) = fs.read(&away)
            && let Some(at) = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok()).map(Micros)
            && at <= now
            && now.since(at) < AWAY_US
        {
            (self.tell)(&format!("remote {name} could not be reached a moment ago, and is not asked again just yet"));
            return Ok(None);
        }
        let opened = place::open(&remote.address, self.repo.world(), &self.means).and_then(|store| {
            let place = store.backend().place();
            store.snapshot().map_err(Error::at(&place))
        });
        match opened {
            Ok(far) => Ok(Some(Reached { remote, far })),
            Err(err) => {
                if !is_near {
                    let _ = fs.make_dirs(&self.repo.layout().cache().join("remotes"));
                    // A cache that can't be written costs time, nothing else.
                    let _ = fs.replace(&away, format!("{}\n", now.0).as_bytes(), false);
                }
                Err(err)
            }
        }
    }

    /// The remotes that may have contents, those that are marked to have them first.
    fn names_for(&self, snapshot: &Snapshot, ids: &mut dyn Iterator<Item = Id>) -> Result<Vec<String>, Error> {
        let known: Vec<String> = self.repo.settings().remotes().into_iter().map(|(name, ..)| name.to_owned()).collect();
        let mut names: Vec<String> = Vec::new();
        for id in ids.take(64).chain([Id::ZERO]) {
            for item in snapshot.scan(&key::presence_of(&id), Direction::Forward) {
                names.extend(key::last_text(&item?.0).filter(|name| known.contains(name)));
            }
        }
        // Of a folder it may be files that are marked; whatever remote it is, one of these has been met.
        if snapshot.scan(&key::presences(), Direction::Forward).next().is_some() {
            names.extend(marked_names(snapshot, &known)?);
        }
        names.extend(self.repo.settings().cache_remotes());
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(names)
    }

    /// Brings contents here; whether something came.
    ///
    /// # Errors
    /// When this store can't be read or written. What keeps a remote from giving them is told, and the next one asked.
    pub fn fetch(&self, contents: &[Content]) -> Result<bool, Error> {
        let is_here = |snapshot: &Snapshot, content: &Content| Ok(is_whole(snapshot, content)?);
        let contents: Vec<Content> = contents.iter().filter(|content| content.kind().is_some()).cloned().collect();
        self.bring_missing(&contents, &Content::id, &is_here, false)
    }

    /// Brings these very objects here: contents with all of their pieces, listings without what they list. Whether something came.
    ///
    /// # Errors
    /// As [`Remotes::fetch`].
    pub fn fetch_objects(&self, ids: &[Id]) -> Result<bool, Error> {
        let is_here = |snapshot: &Snapshot, id: &Id| Ok(snapshot.find_all(&[*id])?.is_some());
        // Where content may only be missing if it is marked, nobody may find a listing without what it lists.
        let is_partial = self.repo.store().snapshot()?.is_elsewhere(&Id::ZERO)?;
        self.bring_missing(ids, &|id| *id, &is_here, is_partial)
    }

    /// Brings what is missing from the first remotes that have it, alone or with all that it leads to.
    fn bring_missing<T>(
        &self,
        wanted: &[T],
        id_of: &dyn Fn(&T) -> Id,
        is_here: &dyn Fn(&Snapshot, &T) -> Result<bool, Error>,
        is_alone: bool,
    ) -> Result<bool, Error> {
        let mut has_more = false;
        let mut snapshot = self.repo.store().snapshot()?;
        for name in self.names_for(&snapshot, &mut wanted.iter().map(id_of))? {
            let mut missing = Vec::new();
            for one in wanted {
                if !is_here(&snapshot, one)? {
                    missing.push(id_of(one));
                }
            }
            if missing.is_empty() {
                break;
            }
            let Some(reached) = self.reach(&name) else { continue };
            match self.take(&reached, &missing, is_alone) {
                Ok(0) => {}
                Ok(_) => {
                    has_more = true;
                    snapshot = self.repo.store().snapshot()?;
                }
                Err(err) => self.told(&name, &err),
            }
        }
        Ok(has_more)
    }

    fn told(&self, name: &str, err: &Error) {
        (self.tell)(&format!("remote {name} does not give it: {}", crate::run::chain(err)));
        // What can't be read now is not asked for again, if the connection is lost.
        if let Some(Some(reached)) = self.reached().get(name).cloned()
            && reached.far.store().backend().lost().is_some()
        {
            self.reached().insert(name.to_owned(), None);
        }
    }

    /// Carries objects from a remote, alone or with all that they lead to; how many came.
    fn take(&self, reached: &Reached, ids: &[Id], is_alone: bool) -> Result<u64, Error> {
        let Reached { remote, far } = reached;
        let store = self.repo.store();
        let near = store.snapshot()?;
        let mut heads: Vec<(Id, Kind)> = Vec::new();
        for id in ids {
            heads.extend(far.header(id)?.map(|(kind, _)| (*id, kind)));
        }
        if heads.is_empty() {
            return Ok(0);
        }
        let intake = store.intake(&near);
        let mut walk = Walk::new(far, &intake, Depth::Content, (false, false), self.progress, &self.cancel);
        walk.is_alone = is_alone;
        let brought = walk.run(&heads)?;
        if let Some(damage) = far.damage().into_iter().next() {
            let place = far.store().backend().place();
            return Err(Error::Forged { place, what: format!("{}: {}", damage.file, damage.what) });
        }
        if brought.objects == 0 {
            return Ok(0);
        }
        let collected = Arc::new(intake.finish()?);
        let came: Vec<Id> = collected.stored().copied().collect();
        store.publish(self.repo.new_op(), "fetch", &mut |newest| -> Result<Option<Draft>, Error> {
            // The store may have become a whole one meanwhile, in which a listing may not be without what it lists.
            if is_alone && !newest.is_elsewhere(&Id::ZERO)? {
                return Ok(None);
            }
            let mut edits = Vec::new();
            for id in &came {
                let key = key::presence(id, &remote.name);
                if let Some(old) = newest.get_ref(&key)? {
                    edits.push(RefEdit::delete(key, old));
                }
            }
            let restore = Some(Arc::new(crate::store::FromStore(far.clone())) as _);
            Ok(Some(Draft { collected: Some(Arc::clone(&collected)), edits, restore, ..Draft::default() }))
        })?;
        Ok(brought.objects)
    }

    /// Looks for an outcome of a recipe in the remotes that may give some, and brings it with its outputs. Whether one came.
    fn ask(&self, recipe: &Id) -> bool {
        for name in self.repo.settings().cache_remotes() {
            let Some(reached) = self.reach(&name) else { continue };
            match self.outcome(&reached, recipe) {
                Ok(None) => {}
                Ok(Some(run)) => {
                    (self.tell)(&format!("took the result of run {run} from remote {name}"));
                    return true;
                }
                Err(err) => self.told(&name, &err),
            }
        }
        false
    }

    /// An outcome of a recipe that a remote has with all of its outputs, and that is not known here.
    fn found(&self, reached: &Reached, recipe: &Id) -> Result<Option<(Id, Run)>, Error> {
        let far = &reached.far;
        for item in far.scan(&key::results_of(recipe), Direction::Forward).take(LOOKED_AT) {
            let (_, value) = item?;
            let outcome: Outcome = entry::decode(&value)?;
            if mark::said(far, &outcome.object, MarkKind::Retract)?.is_some() {
                continue;
            }
            // A ref is no more than a hint where to look.
            let Some((_, bytes)) = far.read(&outcome.object)? else { continue };
            let run = RunRecord::decode_verified(&bytes)?.into_head();
            if !run.is_result() || run.recipe != Some(*recipe) {
                continue;
            }
            let near = self.repo.store().snapshot()?;
            let mut is_there = true;
            for content in run.outputs.values().map(|output| &output.content) {
                is_there = is_there && (is_whole(far, content)? || is_whole(&near, content)?);
            }
            if !is_there || near.get_ref(&key::run(&run.project, &run.scenario, &run.run, &outcome.object))?.is_some() {
                // What is known here was looked at here.
                continue;
            }
            return Ok(Some((outcome.object, run)));
        }
        Ok(None)
    }

    fn outcome(&self, reached: &Reached, recipe: &Id) -> Result<Option<String>, Error> {
        let far = &reached.far;
        let Some((object, run)) = self.found(reached, recipe)? else { return Ok(None) };
        let contents: Vec<Id> = run.outputs.values().map(|output| output.content.id()).collect();
        // Content first: a result that is visible can be taken.
        self.take(reached, &contents, false)?;
        let transfer = Transfer {
            from: far,
            to: self.repo.store(),
            project: self.repo.project(),
            remote: &reached.remote.name,
            command: "fetch",
            depth: Depth::Records,
            is_push: false,
            is_dry: false,
            takes_scrubs: false,
            at_once: super::AT_ONCE,
            seen_scenarios: BTreeMap::new(),
            seen_tags: BTreeMap::new(),
            progress: self.progress,
            cancel: &self.cancel,
        };
        transfer.run(&Heads { runs: vec![object], ..Heads::default() })?;
        meet::mark_records(self.repo, self.repo.store(), &reached.remote.name, far.store().id(), [])?;
        Ok(Some(run.run))
    }

    /// Who would give a result of a recipe, or the contents `lost` of one that is known here; nothing is brought.
    fn offered(&self, recipe: &Id, lost: &[Content]) -> Result<Option<Offer>, Error> {
        let near = self.repo.store().snapshot()?;
        let names =
            if lost.is_empty() { Vec::new() } else { self.names_for(&near, &mut lost.iter().map(Content::id))? };
        for name in names {
            let Some(reached) = self.reach(&name) else { continue };
            let mut has_all = true;
            for content in lost {
                let is_had =
                    is_whole(&near, content).and_then(|is_here| Ok(is_here || is_whole(&reached.far, content)?));
                has_all &= is_had.unwrap_or(false);
            }
            if has_all {
                return Ok(Some(Offer { remote: name, run: None, took_us: None }));
            }
        }
        for name in self.repo.settings().cache_remotes() {
            let Some(reached) = self.reach(&name) else { continue };
            match self.found(&reached, recipe) {
                Ok(None) => {}
                Ok(Some((_, run))) => {
                    let took_us = Some(run.duration_us());
                    return Ok(Some(Offer { remote: name, run: Some(run.run), took_us }));
                }
                Err(err) => self.told(&name, &err),
            }
        }
        Ok(None)
    }
}

/// Remotes that some of the first marks name.
fn marked_names(snapshot: &Snapshot, known: &[String]) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for item in snapshot.scan(&key::presences(), Direction::Forward).take(1_000) {
        if let Some(name) = key::last_text(&item?.0)
            && known.contains(&name)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    Ok(names)
}

impl crate::run::Elsewhere for Remotes<'_> {
    fn bring(&self, contents: &[Content]) -> bool {
        self.fetch(contents).unwrap_or_else(|err| {
            (self.tell)(&format!("nothing can be brought here: {}", crate::run::chain(&err)));
            false
        })
    }

    fn consult(&self, recipe: &Id) -> bool {
        self.ask(recipe)
    }

    fn offer(&self, recipe: &Id, lost: &[Content]) -> Option<Offer> {
        self.offered(recipe, lost).unwrap_or_else(|err| {
            (self.tell)(&format!("nobody else can be asked: {}", crate::run::chain(&err)));
            None
        })
    }
}

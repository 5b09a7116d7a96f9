//! Push, fetch, and both: two stores and the way between them.

use std::collections::BTreeMap;

use super::Error;
use super::heads::{Heads, Reader, Selection};
use super::place::{self, Means};
use super::position::{Fit, Mark, Position};
use super::remote::Remote;
use super::transfer::{Moved, Transfer};
use super::walk::{Depth, Walk};
use crate::hash::Id;
use crate::maintain::roots::all_targets;
use crate::object::Kind;
use crate::progress::{Cancel, Progress};
use crate::refs::key;
use crate::repo::{Repo, entry};
use crate::store::{self, Class, Direction, Draft, Expect, OpId, RefEdit, Snapshot, Store, scrub};

/// Choices of a transfer.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// What travels.
    pub selection: Selection,
    /// Whether content travels with the records.
    pub depth: Depth,
    /// Whether all is compared although it is remembered how far both have seen each other.
    pub is_thorough: bool,
    /// Whether runs that are known already are gone through as well, for content of theirs that is missing.
    pub is_complete: bool,
    /// Whether nothing is to be changed.
    pub is_dry: bool,
    /// Whether content that was scrubbed at the remote is to go here as well.
    pub takes_scrubs: bool,
    /// Runs that are carried together, usually [`AT_ONCE`](super::AT_ONCE): their refs are held in memory.
    pub at_once: usize,
    /// Hears how far it has come.
    pub progress: &'a dyn Progress,
    /// Raised to stop.
    pub cancel: &'a Cancel,
}

/// What a transfer came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// What travelled.
    pub moved: Moved,
    /// Whether the remote's store was made for it.
    pub is_new: bool,
    /// The place, for people.
    pub place: String,
    /// The remote's store is another one than the last time.
    pub is_other_store: bool,
    /// The remote's store has another history than the last time: it was brought back from a backup, or copied.
    pub is_other_history: bool,
}

impl Report {
    /// Nothing to do.
    fn nothing(place: String) -> Self {
        Self { moved: Moved::default(), is_new: false, place, is_other_store: false, is_other_history: false }
    }
}

/// Sends what the remote lacks.
///
/// # Errors
/// When the remote can't be reached or written, or something can't be read here. What was sent is not sent again.
pub fn push(repo: &Repo, remote: &Remote, means: &Means, options: &Options<'_>) -> Result<Report, Error> {
    let means = &means.of(repo, remote);
    if options.is_dry && place::open(&remote.address, repo.world(), means).is_err() {
        // Nothing is there yet, and nothing is made to find out what would be sent: an empty store stands for it.
        let nothing =
            Store::create(std::sync::Arc::new(crate::store::MemoryBackend::new()), &repo.world().for_store())?;
        return Meeting { repo, remote, far: nothing, is_new: true, options }.push();
    }
    let reached = place::open_or_make(&remote.address, repo.world(), means)?;
    Meeting { repo, remote, far: reached.store, is_new: reached.is_new, options }.push()
}

/// Brings what is missing here.
///
/// # Errors
/// When the remote can't be reached or understood, or is damaged: nothing changes here then.
pub fn fetch(repo: &Repo, remote: &Remote, means: &Means, options: &Options<'_>) -> Result<Report, Error> {
    let far = place::open(&remote.address, repo.world(), &means.of(repo, remote))?;
    Meeting { repo, remote, far, is_new: false, options }.fetch()
}

/// Fetches, then pushes.
///
/// # Errors
/// As [`fetch`] and [`push`].
pub fn sync(repo: &Repo, remote: &Remote, means: &Means, options: &Options<'_>) -> Result<(Report, Report), Error> {
    let means = &means.of(repo, remote);
    if options.is_dry && place::open(&remote.address, repo.world(), means).is_err() {
        let pushed = push(repo, remote, means, options)?;
        return Ok((Report { moved: Moved::default(), ..pushed.clone() }, pushed));
    }
    let reached = place::open_or_make(&remote.address, repo.world(), means)?;
    let meeting = Meeting { repo, remote, far: reached.store, is_new: reached.is_new, options };
    let fetched = meeting.fetch()?;
    Ok((fetched, meeting.push()?))
}

/// Marks a store to which records came from `remote` without all their content; `objects` are marked by themselves where they are missing.
pub(super) fn mark_records(
    repo: &Repo,
    store: &Store,
    remote: &str,
    far: &str,
    objects: impl IntoIterator<Item = Id>,
) -> Result<(), Error> {
    let value = entry::encode(&entry::Presence { at: repo.now(), store: far.to_owned() })?;
    let objects: Vec<Id> = [Id::ZERO].into_iter().chain(objects).collect();
    let op = OpId::new(&*store.world().random);
    store.publish(op, "remember remote", &mut |snapshot| -> Result<Option<Draft>, Error> {
        let mut edits = Vec::new();
        for object in &objects {
            let key = key::presence(object, remote);
            if snapshot.get_ref(&key)?.is_none() && snapshot.locate_live(object)?.is_none() {
                edits.push(RefEdit::set(key, value.clone()));
            }
        }
        Ok((!edits.is_empty()).then(|| Draft { edits, ..Draft::default() }))
    })?;
    Ok(())
}

struct Meeting<'a> {
    repo: &'a Repo,
    remote: &'a Remote,
    far: Store,
    is_new: bool,
    options: &'a Options<'a>,
}

impl Meeting<'_> {
    fn push(&self) -> Result<Report, Error> {
        self.go(true).map_err(|err| self.lost(err))
    }

    fn fetch(&self) -> Result<Report, Error> {
        self.go(false).map_err(|err| self.lost(err))
    }

    /// What could not be read because the connection broke is not damaged.
    fn lost(&self, err: Error) -> Error {
        let backend = self.far.backend();
        match backend.lost() {
            Some(why) => Error::Lost { remote: backend.place(), why, source: Box::new(err) },
            None => self.blamed(err),
        }
    }

    /// What the remote's place refused is told as the remote's.
    fn blamed(&self, err: Error) -> Error {
        let place = self.far.backend().place();
        let is_far = |err: &store::BackendError| match err {
            store::BackendError::ReadOnly { place: at, .. } | store::BackendError::NoAtomicCreate { place: at } => {
                *at == place
            }
            store::BackendError::Io { file, .. } => file.starts_with(&place),
        };
        match err {
            Error::Store(store::Error::Backend(err)) if is_far(&err) => {
                Error::Remote { remote: place, source: Box::new(store::Error::Backend(err)) }
            }
            err => err,
        }
    }

    fn go(&self, is_push: bool) -> Result<Report, Error> {
        let place = self.far.backend().place();
        let options = self.options;
        let is_all = options.selection.is_all();
        let mut position = Position::load(self.repo, self.remote);
        let ways = (is_push, options.depth);
        if is_all
            && !(options.is_thorough || options.is_complete)
            && position.rests(self.repo, self.repo.store(), &self.far, ways).map_err(Error::at(&place))?
        {
            return Ok(Report::nothing(place));
        }
        let near = self.repo.store().snapshot()?;
        let far = self.far.snapshot().map_err(Error::at(&place))?;
        let before = position.clone();
        let fit = position.check(self.repo, &near, &far)?;
        let (from, to) = if is_push { (&near, &far) } else { (&far, &near) };
        let is_behind = is_push && self.is_behind(&position, to)?;
        let mark = Self::mark(&mut position, is_push, options.depth);
        let edited = match mark.as_ref().filter(|_| !options.is_thorough) {
            Some(mark) => from.edited_since(if is_push { &mark.near } else { &mark.far }),
            None => None,
        };
        let reader = Reader { from, to, project: self.repo.project() };
        let mut heads =
            if is_all { reader.all(edited.as_deref(), is_behind) } else { reader.selected(&options.selection) }?;
        if is_all && options.is_complete {
            heads.runs = reader.every_run()?;
        }
        let transfer = Transfer {
            from,
            to: if is_push { &self.far } else { self.repo.store() },
            project: self.repo.project(),
            remote: &self.remote.name,
            command: if is_push { "push" } else { "fetch" },
            depth: options.depth,
            is_push,
            is_dry: options.is_dry,
            takes_scrubs: options.takes_scrubs,
            at_once: options.at_once,
            seen_scenarios: self.seen(&near, "scenarios")?.into_iter().collect(),
            seen_tags: self.seen_tags(&near)?,
            progress: options.progress,
            cancel: options.cancel,
        };
        let moved = transfer.run(&heads)?;
        if let Some(damage) = from.damage().into_iter().next() {
            let from = from.store().backend().place();
            return Err(Error::Forged { place: from, what: format!("{}: {}", damage.file, damage.what) });
        }
        if !options.is_dry {
            if !moved.scrubbed.is_empty() {
                scrub::scrub(transfer.to, &moved.scrubbed, &all_targets, "scrub", options.progress, options.cancel)?;
            }
            self.remember(&moved)?;
            if options.depth == Depth::Records || moved.absent > 0 {
                self.mark_partial(transfer.to, &heads)?;
            }
            // What was not taken over because nobody said so would never be asked for again.
            if is_all && moved.scrubbed_there.is_empty() {
                let is_quiet = moved.is_nothing() && edited.is_some();
                let rest = self.rest(&near, &far, is_push)?;
                let far = if moved.is_nothing() || !is_push { far } else { self.far.snapshot()? };
                position.rest_at(ways, rest, is_quiet);
                if !is_quiet {
                    *Self::mark(&mut position, is_push, options.depth) =
                        Some(Mark { near: near.point(), far: far.point() });
                }
                if is_push && options.depth == Depth::Content {
                    position.pushed_records.clone_from(&position.pushed);
                }
            }
            if position != before {
                position.save(self.repo, self.remote);
            }
        }
        Ok(Report {
            moved,
            is_new: self.is_new,
            place,
            is_other_store: fit == Fit::OtherStore,
            is_other_history: fit == Fit::OtherHistory,
        })
    }

    /// Where both logs end now, if nothing that travels on this way came to its source since `near` or `far` were read.
    fn rest(&self, near: &Snapshot, far: &Snapshot, is_push: bool) -> Result<Option<Mark>, Error> {
        let place = self.far.backend().place();
        let near_now = self.repo.store().snapshot_since(near)?;
        let far_now = self.far.snapshot_since(far).map_err(Error::at(&place))?;
        let (source, now) = if is_push { (near, &near_now) } else { (far, &far_now) };
        let stays = ["remotes", "presence", "workspaces"].map(key::all_of);
        let is_still = now
            .edited_since(&source.point())
            .is_some_and(|edited| edited.iter().all(|key| stays.iter().any(|prefix| key.starts_with(prefix))));
        Ok(is_still.then(|| Mark { near: near_now.point(), far: far_now.point() }))
    }

    /// Marks a store to which records came without all their content, so that nobody takes what is missing for lost.
    fn mark_partial(&self, store: &Store, heads: &Heads) -> Result<(), Error> {
        let tags = heads.tags.values().filter(|tag| Class::of(&tag.kind) == Class::Content).map(|tag| tag.object);
        mark_records(self.repo, store, &self.remote.name, self.far.id(), tags)
    }

    /// Whether the remote may have records of runs without content that is to go there now: records went there alone since content did.
    fn is_behind(&self, position: &Position, far: &Snapshot) -> Result<bool, Error> {
        if self.options.depth == Depth::Records {
            return Ok(false);
        }
        Ok(match (&position.pushed, &position.pushed_records) {
            _ if self.options.is_thorough => far.is_elsewhere(&Id::ZERO)?,
            (Some(all), Some(records)) => all != records,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            // Nothing is remembered: the remote says so itself.
            (None, None) => far.is_elsewhere(&Id::ZERO)?,
        })
    }

    fn mark(position: &mut Position, is_push: bool, depth: Depth) -> &mut Option<Mark> {
        match (is_push, depth) {
            (true, Depth::Content) => &mut position.pushed,
            (true, Depth::Records) => &mut position.pushed_records,
            (false, Depth::Content) => &mut position.fetched,
            (false, Depth::Records) => &mut position.fetched_records,
        }
    }

    fn seen(&self, near: &Snapshot, what: &str) -> Result<BTreeMap<String, Id>, Error> {
        let mut seen = BTreeMap::new();
        for item in near.scan(&key::remote_seen_all(&self.remote.name, self.repo.project(), what), Direction::Forward) {
            let (raw, value) = item?;
            if let Some(name) = key::last_text(&raw) {
                seen.insert(name, entry::decode(&value)?);
            }
        }
        Ok(seen)
    }

    fn seen_tags(&self, near: &Snapshot) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let mut seen = BTreeMap::new();
        let prefix = key::remote_seen_all(&self.remote.name, self.repo.project(), "tags");
        for item in near.scan(&prefix, Direction::Forward) {
            let (raw, value) = item?;
            if let Some(name) = key::last_text(&raw) {
                seen.insert(name, value);
            }
        }
        Ok(seen)
    }

    /// Writes down here what both sides have now, with the settings that a later merge needs.
    fn remember(&self, moved: &Moved) -> Result<(), Error> {
        let store = self.repo.store();
        let near = store.snapshot()?;
        let mut edits = Vec::new();
        let mut heads: Vec<(Id, Kind)> = Vec::new();
        for (key, value) in &moved.seen {
            if near.get_ref(key)?.as_ref() == Some(value) {
                continue;
            }
            if let Ok(id) = entry::decode::<Id>(value) {
                heads.push((id, Kind::SCENARIO));
            }
            edits.push(RefEdit { key: key.clone(), expect: Expect::Any, new: Some(value.clone()) });
        }
        if edits.is_empty() {
            return Ok(());
        }
        let far = self.far.snapshot()?;
        let intake = store.intake(&near);
        let (progress, cancel) = (self.options.progress, self.options.cancel);
        Walk::new(&far, &intake, Depth::Records, (false, false), progress, cancel).run(&heads)?;
        let draft = Draft { collected: Some(std::sync::Arc::new(intake.finish()?)), edits, ..Draft::default() };
        let op = OpId::new(&*store.world().random);
        store.publish(op, "remember remote", &mut |_| Ok::<_, Error>(Some(draft.clone())))?;
        Ok(())
    }
}

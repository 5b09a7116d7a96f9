//! Scrubbing: the bytes of some content leave the store for good, wherever in it they lie (`docs/design/0009-repair-and-undo.md`).
//!
//! First a transaction says so and turns the feature on: from then on no intake takes them and no entry brings them. Then every copy goes:
//! entries of the log by a fold, packs by being written anew, files that nothing names, files in quarantine. Cut off in between, the same
//! command goes on where it was.

use std::collections::HashSet;
use std::sync::Arc;

use super::Store;
use super::backend::Folder;
use super::check::Targets;
use super::collect::{self, Marking};
use super::draft::Draft;
use super::entry::{self, Entry, OpId};
use super::error::Error;
use super::fold::{self, Mend};
use super::intake::{Collected, Intake};
use super::load;
use super::pack::{self, PackRecord};
use super::repair::{identified, put_entry};
use super::snapshot::Snapshot;
use super::sorted::{Direction, SortedFile};
use crate::hash::Id;
use crate::progress::{Cancel, Progress};
use crate::refs::key;

/// The feature of a store from which something was scrubbed: who does not know it would store it again.
pub const FEATURE: &str = "scrub";

/// The kind of `about` refs that say so.
pub const ABOUT: &str = "scrub";

/// How often a step is tried again because others wrote meanwhile.
const ATTEMPTS: u32 = 16;

/// What a scrub did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Packs that were written anew.
    pub packs: u64,
    /// Pieces that stay because other content has them, too.
    pub shared_pieces: u64,
    /// Files put aside as damaged that went, since they held it or nobody can tell what they hold.
    pub quarantined: u64,
}

impl Snapshot {
    /// Whether these bytes were scrubbed: they are gone for good, and refused.
    ///
    /// # Errors
    /// When refs can't be read.
    pub fn is_scrubbed(&self, id: &Id) -> Result<bool, Error> {
        if !self.may_be_scrubbed() {
            return Ok(false);
        }
        Ok(self.scan(&key::about_of(id, ABOUT), Direction::Forward).next().transpose()?.is_some())
    }

    /// Whether anything in this store was ever scrubbed.
    pub(super) fn may_be_scrubbed(&self) -> bool {
        self.state().features.iter().any(|feature| feature == FEATURE)
    }

    /// Those of `ids` that were scrubbed.
    pub(super) fn scrubbed_among<'a>(&self, ids: impl IntoIterator<Item = &'a Id>) -> Result<Vec<Id>, Error> {
        if !self.may_be_scrubbed() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for id in ids {
            if self.is_scrubbed(id)? {
                found.push(*id);
            }
        }
        Ok(found)
    }
}

/// Takes the bytes of `ids` out of every file of the store; a transaction must have said before that they are scrubbed. `targets` says which
/// objects a ref needs: pieces that other content has stay.
///
/// # Errors
/// [`Error::Obstructed`] if something can't be read that may share pieces with it, [`Error::DamagedLog`] if an entry can't be; nothing is
/// lost then, and what is gone is gone. Failures of the place.
pub fn scrub(
    store: &Store,
    ids: &[Id],
    targets: Targets<'_>,
    command: &str,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Scrubbed, Error> {
    let scrubbed: HashSet<Id> = ids.iter().copied().collect();
    let mut done = Scrubbed::default();
    fold_away(store, &scrubbed, command)?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        match packs(store, &scrubbed, targets, command, progress, cancel, &mut done) {
            Err(Error::Outdated) if attempts < ATTEMPTS => {}
            result => break result?,
        }
    }
    strays(store, &scrubbed, command, &mut done)?;
    fold::sweep_left_over(store.backend());
    Ok(done)
}

/// Folds entries that hold any of it, and makes sure that they are unlinked.
pub(super) fn fold_away(store: &Store, scrubbed: &HashSet<Id>, command: &str) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let snapshot = store.snapshot()?;
        if let Some(damage) = snapshot.damaged_entry() {
            return Err(Error::DamagedLog { file: damage.file.clone() });
        }
        let is_inline = scrubbed.iter().any(|id| snapshot.inline().contains_key(id));
        let void = load::numbers(store.backend())?.range(..snapshot.base()).next().is_some();
        if !is_inline && !void {
            return Ok(());
        }
        fold::fold_mending(&snapshot, command, &Mend::default())?;
    }
    Err(Error::Obstructed { what: "entries of the log that hold it can't be unlinked".to_owned() })
}

/// What has to go: the content, its lists, and the pieces that no other content has.
pub(super) fn doomed(
    snapshot: &Snapshot,
    scrubbed: &HashSet<Id>,
    targets: Targets<'_>,
    progress: &dyn Progress,
    cancel: &Cancel,
    done: &mut Scrubbed,
) -> Result<HashSet<Id>, Error> {
    let mut doomed = scrubbed.clone();
    let (mut own, mut others): (Vec<(Id, u64)>, Vec<(Id, u64)>) = (Vec::new(), Vec::new());
    for row in &snapshot.state().packs {
        let mut each = |id: Id, record: &PackRecord, file: &SortedFile| {
            if record.is_in_pieces()
                && let Ok(list) = pack::pieces(file, record)
            {
                if scrubbed.contains(&id) { own.push((list, record.len)) } else { others.push((list, record.len)) }
            }
        };
        if let Some(what) = collect::walk(snapshot, row, &mut each)? {
            return Err(Error::Obstructed { what: format!("packs/{}: {what}", Folder::Packs.file(&row.name())) });
        }
    }
    if own.is_empty() {
        return Ok(doomed);
    }
    let mut marking = Marking::new(snapshot, progress, cancel);
    marking.refs(targets)?;
    for (list, len) in others {
        marking.pieces(&list, len)?;
    }
    if let Some(what) = marking.obstacles().first() {
        return Err(Error::Obstructed { what: what.clone() });
    }
    done.shared_pieces = 0;
    for (list, len) in own {
        let mut all = Vec::new();
        // A list that is damaged leads nowhere any more; what it led to is garbage like any other.
        let _ = snapshot.walk_lists(&list, len, &mut |id| all.push(id));
        for id in all {
            if marking.is_marked(&id) {
                done.shared_pieces += 1;
            } else {
                doomed.insert(id);
            }
        }
    }
    Ok(doomed)
}

/// Whether a pack holds any of these; of one that can't be read nobody knows.
pub(super) fn holds(file: &SortedFile, doomed: &HashSet<Id>) -> bool {
    doomed.iter().any(|id| pack::find(file, id).is_ok_and(|found| found.is_some()))
}

/// Writes packs that hold any of it anew, without it.
fn packs(
    store: &Store,
    scrubbed: &HashSet<Id>,
    targets: Targets<'_>,
    command: &str,
    progress: &dyn Progress,
    cancel: &Cancel,
    done: &mut Scrubbed,
) -> Result<(), Error> {
    let snapshot = store.snapshot()?;
    let doomed = doomed(&snapshot, scrubbed, targets, progress, cancel, done)?;
    let mut affected: Vec<Id> = Vec::new();
    for row in &snapshot.state().packs {
        match store.files().fresh(Folder::Packs, &row.name()) {
            Ok(file) if holds(&file, &doomed) => affected.push(row.name()),
            _ => {}
        }
    }
    let (live, condemned): (Vec<Id>, Vec<Id>) = affected.into_iter().partition(|name| snapshot.state().is_live(name));
    if !live.is_empty() {
        let copies = Arc::new(without(&snapshot, &live, &doomed)?);
        collect::retire(&snapshot, &live, Some(&copies), command)?;
        done.packs += live.len() as u64;
    }
    remove(store, &condemned, command)?;
    done.packs += condemned.len() as u64;
    Ok(())
}

/// Copies everything out of packs but these.
///
/// # Errors
/// [`Error::Outdated`] if a pack is gone, [`Error::Obstructed`] if something in it is damaged.
pub(super) fn without(snapshot: &Snapshot, packs: &[Id], doomed: &HashSet<Id>) -> Result<Collected, Error> {
    let intake = Intake::shunning(snapshot, packs.iter().copied().collect());
    for name in packs {
        let file = snapshot.store().files().fresh(Folder::Packs, name).map_err(|_| Error::Outdated)?;
        let broken = |what| Error::Obstructed { what };
        let mut copy = |id: Id, record: PackRecord| -> Result<(), Error> {
            if doomed.contains(&id) {
                return Ok(());
            }
            if record.is_in_pieces() {
                let list = pack::pieces(&file, &record).map_err(broken)?;
                return Ok(intake.put_pieces(&id, record.len, &list)?);
            }
            if put_entry(&file, &id, &record, &intake)? {
                return Ok(());
            }
            Err(Error::Obstructed { what: format!("object {id} is damaged; repair the store first") })
        };
        pack::for_each(&file, &mut copy, &broken)?;
    }
    intake.finish()
}

/// Takes packs away of which nothing counts: condemned ones, and ones that no entry names.
fn remove(store: &Store, names: &[Id], command: &str) -> Result<(), Error> {
    let random = &*store.world().random;
    if names.is_empty() {
        return Ok(());
    }
    store.publish(OpId::new(random), command, &mut |snapshot| {
        let state = snapshot.state();
        let is_new = |name: &&Id| !state.condemned.contains_key(name) && !state.is_gone(Folder::Packs, name);
        let condemn: Vec<Id> = names.iter().filter(is_new).copied().collect();
        if condemn.iter().any(|name| state.has_pack(name)) {
            // Somebody has named it meanwhile.
            return Err(Error::Outdated);
        }
        Ok::<_, Error>((!condemn.is_empty()).then(|| Draft { condemn, ..Draft::default() }))
    })?;
    store.publish(OpId::new(random), command, &mut |snapshot| {
        let condemned = &snapshot.state().condemned;
        let left: Vec<Id> = names.iter().filter(|name| condemned.contains_key(name)).copied().collect();
        Ok::<_, Error>((!left.is_empty()).then(|| Draft { remove: left, ..Draft::default() }))
    })?;
    for name in names {
        store.backend().remove(Folder::Packs, &Folder::Packs.file(name))?;
        store.files().forget(Folder::Packs, name);
    }
    Ok(())
}

/// Files that are no part of the state and hold it, or may: packs that no entry names, and what was put aside.
fn strays(store: &Store, scrubbed: &HashSet<Id>, command: &str, done: &mut Scrubbed) -> Result<(), Error> {
    let backend = store.backend();
    let snapshot = store.snapshot()?;
    let mut orphans = Vec::new();
    for name in backend.names(Folder::Packs)? {
        let Some(id) = Folder::Packs.parse(&name) else { continue };
        if snapshot.state().has_pack(&id) {
            continue;
        }
        // Of one that can't be read nobody knows what it holds.
        let is_clean = store.files().fresh(Folder::Packs, &id).is_ok_and(|file| !holds(&file, scrubbed));
        if !is_clean {
            orphans.push(id);
        }
    }
    remove(store, &orphans, command)?;
    done.packs += orphans.len() as u64;
    for name in backend.names(Folder::Quarantine)? {
        if !is_clean(store, &name, scrubbed)? {
            backend.remove(Folder::Quarantine, &name)?;
            done.quarantined += 1;
        }
    }
    backend.sync(Folder::Quarantine)?;
    Ok(())
}

/// Whether a file in quarantine certainly holds none of it.
fn is_clean(store: &Store, name: &str, scrubbed: &HashSet<Id>) -> Result<bool, Error> {
    let backend = store.backend();
    for magic in [fold::TABLE_MAGIC, super::history::MAGIC] {
        if identified(backend, Folder::Quarantine, name, magic).is_some() {
            return Ok(true);
        }
    }
    if let Some(file) = identified(backend, Folder::Quarantine, name, pack::MAGIC) {
        // Only a pack of which every entry is told of is known not to hold it.
        let mut is_whole = true;
        super::sorted::verify(&file, pack::MAGIC, &mut |_, _| {}, &mut |_| is_whole = false);
        return Ok(is_whole && !holds(&file, scrubbed));
    }
    let number = name.strip_prefix("log-").and_then(|rest| rest.get(..20)).and_then(entry::parse_name);
    let bytes = backend.read(Folder::Quarantine, name)?.unwrap_or_default();
    if bytes.is_empty() || name == "format" {
        return Ok(true);
    }
    Ok(number.is_some_and(|number| match Entry::decode(&bytes, number) {
        Ok((entry, _)) => {
            entry.objects.iter().all(|object| !scrubbed.contains(&crate::object::id_of(&object.0, &object.1)))
        }
        Err(_) => false,
    }))
}

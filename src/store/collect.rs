//! Garbage: what no ref leads to. Looking for it, and taking it out of the store (`docs/design/0008-gc.md`).
//!
//! A plan is made from one snapshot and carried out only as far as it still holds in the state that its own entry
//! extends. Packs in which nothing is live leave the state as they are; of packs that are mostly garbage the live rest is
//! copied first. Log order alone makes that safe: a pack is condemned by one entry and removed by a later one, and an
//! entry that relies on a condemned pack is never written.

use std::collections::HashSet;
use std::sync::Arc;

use super::Store;
use super::backend::Folder;
use super::check::Targets;
use super::draft::Draft;
use super::entry::{OpId, PackRow};
use super::error::Error;
use super::intake::{Collected, Intake};
use super::pack::{self, PackRecord};
use super::pieces::Failed;
use super::snapshot::{File, Snapshot};
use super::sorted::{Direction, SortedFile};
use crate::hash::Id;
use crate::object::{self, AccessError, Kind, Sink, Source, Strength};
use crate::progress::{Cancel, Progress, Unit};

/// A pack of which this part, one in so many, is garbage is written anew.
const WORTH_REWRITING: u64 = 4;

/// What is in one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The pack.
    pub name: Id,
    /// Bytes of its file.
    pub file_bytes: u64,
    /// Objects in it.
    pub objects: u64,
    /// Objects in it that nothing leads to.
    pub dead_objects: u64,
    /// Stored bytes of its objects.
    pub bytes: u64,
    /// Stored bytes of those that nothing leads to.
    pub dead_bytes: u64,
}

impl Usage {
    fn is_dead(&self) -> bool {
        self.dead_objects == self.objects
    }

    fn is_worth_rewriting(&self) -> bool {
        !self.is_dead() && self.dead_bytes * WORTH_REWRITING >= self.bytes && self.dead_objects > 0
    }
}

/// What to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing in the pack is named by anything.
    Drop,
    /// Most of the pack is not named by anything: the rest is copied into a new one.
    Rewrite,
    /// No entry names the file: its writer was killed, or is still at work.
    Orphan,
}

/// One file that gc would take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What would be done.
    pub action: Action,
    /// The pack.
    pub pack: Usage,
}

/// What gc found.
#[derive(Debug)]
pub struct Plan {
    snapshot: Snapshot,
    /// What is to go.
    pub items: Vec<Item>,
    /// Packs that stay although there is some garbage in them.
    pub kept: Vec<Usage>,
    /// Objects that refs lead to.
    pub live_objects: u64,
    /// Why nothing may be deleted: what could not be read may lead to anything.
    pub obstacles: Vec<String>,
    /// First eight bytes of the ids of everything that is live; more than is live may seem to be, never less.
    live: HashSet<u64>,
}

/// What gc did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collection {
    /// Packs that left the store.
    pub packs: u64,
    /// Objects that left it.
    pub objects: u64,
    /// Bytes of files that are gone, less those that were written instead.
    pub bytes: i64,
}

/// The first eight bytes of an id, which stand for it where many are held.
pub(super) fn prefix(id: &Id) -> u64 {
    id.digest().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

/// Choices of [`plan`].
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether there is room to write packs anew; without it only those go that are all garbage.
    pub may_write: bool,
    /// Whether files that no entry names go as well. A writer that is at work loses nothing by it, but has to write its
    /// packs again.
    pub orphans: bool,
}

/// Finds what no ref leads to. Never writes. `targets` says which objects a ref needs; a ref it can't make sense of is an
/// obstacle.
///
/// # Errors
/// When the store can't be read, or `cancel` was raised.
pub fn plan(
    store: &Store,
    targets: Targets<'_>,
    options: Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Plan, Error> {
    plan_beside(store, targets, options, None, progress, cancel)
}

/// As [`plan`], of a store that is far away: what leads on is read from `near` where that has it. An object is the same everywhere.
///
/// # Errors
/// As [`plan`].
pub fn plan_beside(
    store: &Store,
    targets: Targets<'_>,
    options: Options,
    near: Option<&dyn Source>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Plan, Error> {
    let snapshot = store.snapshot()?;
    let mut marking = Marking::new(&snapshot, progress, cancel);
    marking.near = near;
    marking.refs(targets)?;
    marking.claims(&HashSet::new())?;
    let mut doomed: HashSet<Id> = HashSet::new();
    let usages = loop {
        let usages = marking.usages()?;
        let goes = |usage: &&Usage| usage.is_dead() || (options.may_write && usage.is_worth_rewriting());
        let next: HashSet<Id> = usages.iter().filter(goes).map(|usage| usage.name).collect();
        // What stays keeps the pieces of its content, used or not (`docs/design/0007`); that can only make fewer go.
        let before = marking.count;
        marking.claims(&next)?;
        if marking.count == before {
            doomed.extend(next);
            break usages;
        }
    };
    let Marking { live, count, mut obstacles, .. } = marking;
    obstacles.extend(snapshot.damage().into_iter().map(|damage| format!("{}: {}", damage.file, damage.what)));
    obstacles.sort();
    obstacles.dedup();
    // What was named then may have been dropped and collected since.
    if !obstacles.is_empty() && store.snapshot()?.tip() != snapshot.tip() {
        return Err(Error::Outdated);
    }
    let mut plan = Plan { snapshot, items: Vec::new(), kept: Vec::new(), live_objects: count, obstacles, live };
    for usage in usages {
        if doomed.contains(&usage.name) {
            let action = if usage.is_dead() { Action::Drop } else { Action::Rewrite };
            plan.items.push(Item { action, pack: usage });
        } else if usage.dead_objects > 0 {
            plan.kept.push(usage);
        }
    }
    if options.orphans {
        plan.items.extend(orphans(&plan.snapshot)?);
    }
    plan.items.sort_by_key(|item| item.pack.name);
    Ok(plan)
}

/// Packs in the folder that neither the state nor the list of removed names has. A writer that is at work has some.
fn orphans(snapshot: &Snapshot) -> Result<Vec<Item>, Error> {
    let backend = snapshot.store().backend();
    let listed = backend.list(Folder::Packs)?;
    // Listed first, then read: what a transaction made meanwhile is in the newer state.
    let newest = snapshot.store().snapshot()?;
    let state = newest.state();
    let mut items = Vec::new();
    for (file, file_bytes) in listed {
        let Some(name) = Folder::Packs.parse(&file) else { continue };
        if !state.has_pack(&name) && !state.is_gone(Folder::Packs, &name) && !state.condemned.contains_key(&name) {
            let pack = Usage { name, file_bytes, objects: 0, dead_objects: 0, bytes: 0, dead_bytes: 0 };
            items.push(Item { action: Action::Orphan, pack });
        }
    }
    Ok(items)
}

pub(super) struct Marking<'a> {
    snapshot: &'a Snapshot,
    /// Another store that is quicker to read.
    near: Option<&'a dyn Source>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    live: HashSet<u64>,
    count: u64,
    obstacles: Vec<String>,
}

impl<'a> Marking<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, progress: &'a dyn Progress, cancel: &'a Cancel) -> Self {
        Self { snapshot, near: None, progress, cancel, live: HashSet::new(), count: 0, obstacles: Vec::new() }
    }

    /// Whether it was marked; of two ids that share their beginning, both are.
    pub(super) fn is_marked(&self, id: &Id) -> bool {
        self.live.contains(&prefix(id))
    }

    /// Why what was marked may not be all.
    pub(super) fn obstacles(&self) -> &[String] {
        &self.obstacles
    }

    fn check_cancel(&self) -> Result<(), Error> {
        if self.cancel.is_raised() {
            return Err(Error::Access(std::io::Error::from(std::io::ErrorKind::Interrupted).into()));
        }
        Ok(())
    }

    fn mark(&mut self, id: &Id) -> bool {
        let is_new = self.live.insert(prefix(id));
        self.count += u64::from(is_new);
        is_new
    }

    /// Marks everything that refs lead to through links that keep.
    pub(super) fn refs(&mut self, targets: Targets<'_>) -> Result<(), Error> {
        self.progress.begin("refs", None, Unit::Items);
        for item in self.snapshot.scan(b"", Direction::Forward) {
            self.check_cancel()?;
            let (key, value) = item?;
            match targets(&key, &value) {
                Ok(ids) => {
                    for id in ids {
                        self.reach(id)?;
                    }
                }
                Err(what) => self.obstacles.push(format!("the ref `{}`: {what}", crate::path::shown(&key))),
            }
            self.progress.add(1);
        }
        self.progress.end();
        Ok(())
    }

    /// Marks an object and what it leads to. What is only named (weak links: the standard input of a recipe, say) is kept as
    /// well while it is here, since no other copy may be left; it need not be here.
    fn reach(&mut self, root: Id) -> Result<(), Error> {
        let mut todo = vec![(root, None, false)];
        while let Some((id, kind, is_only_named)) = todo.pop() {
            if is_only_named && self.snapshot.header(&id)?.is_none() {
                continue;
            }
            if !self.mark(&id) || kind == Some(Kind::BLOB) {
                continue;
            }
            self.check_cancel()?;
            let known = self.near.and_then(|near| Some((near, near.header(&id).ok().flatten()?.0)));
            if matches!(&known, Some((_, kind)) if *kind == Kind::BLOB) {
                continue;
            }
            let near = known.and_then(|(near, _)| near.read(&id).ok().flatten());
            if kind.is_none() && near.is_none() {
                match self.snapshot.header(&id)? {
                    Some((found, _)) if found == Kind::BLOB => continue,
                    Some(_) => {}
                    None if self.snapshot.is_elsewhere(&id)? => continue,
                    None => {
                        self.obstacles.push(format!("object {id} is missing, and what it leads to can't be known"));
                        continue;
                    }
                }
            }
            let found = match near.map_or_else(|| self.snapshot.read(&id), |near| Ok(Some(near))) {
                Ok(found) => found,
                Err(AccessError::Damaged { place, what, .. }) => {
                    self.obstacles.push(format!("object {id} in {place}: {what}"));
                    continue;
                }
                Err(err) => return Err(err.into()),
            };
            let Some((kind, bytes)) = found else {
                if kind == Some(Kind::TREE) && self.snapshot.may_lack(&id)? {
                    continue;
                }
                self.obstacles.push(format!("object {id} is missing, and what it leads to can't be known"));
                continue;
            };
            match object::links(&kind, &bytes) {
                Ok(links) => todo.extend(links.into_iter().map(|link| {
                    let is_only_named = is_only_named || link.strength() == Strength::Weak;
                    (link.id(), Some(link.kind().clone()), is_only_named)
                })),
                Err(err) => self.obstacles.push(format!("object {id}: {err}")),
            }
        }
        Ok(())
    }

    /// Marks the pieces of content that is live or lies in a pack that is not among `doomed`. No packs are named while
    /// what refs lead to is all that counts.
    fn claims(&mut self, doomed: &HashSet<Id>) -> Result<(), Error> {
        let rows: Vec<PackRow> = self.snapshot.state().packs.clone();
        for row in &rows {
            let name = row.name();
            let stays = !doomed.is_empty() && !doomed.contains(&name) && self.snapshot.state().is_live(&name);
            let mut claims = Vec::new();
            self.check_cancel()?;
            let wrong = walk(self.snapshot, row, &mut |id, record, file| {
                if record.is_in_pieces() {
                    claims.push((id, record.len, pack::pieces(file, record)));
                }
            })?;
            if let Some(what) = wrong {
                self.obstacles.push(format!("packs/{}: {what}", Folder::Packs.file(&name)));
            }
            for (id, len, list) in claims {
                if !stays && !self.live.contains(&prefix(&id)) {
                    continue;
                }
                match list {
                    Ok(list) => self.pieces(&list, len)?,
                    Err(what) => self.obstacles.push(format!("object {id}: {what}")),
                }
            }
        }
        Ok(())
    }

    /// Counts what is live in every pack that is not condemned.
    fn usages(&mut self) -> Result<Vec<Usage>, Error> {
        let rows: Vec<PackRow> = self.snapshot.state().packs.clone();
        self.progress.begin("packs", Some(rows.len() as u64), Unit::Items);
        let mut usages = Vec::new();
        for row in &rows {
            self.check_cancel()?;
            self.progress.add(1);
            if self.snapshot.state().condemned.contains_key(&row.name()) {
                continue;
            }
            let mut usage = Usage {
                name: row.name(),
                file_bytes: row.file_len(),
                objects: 0,
                dead_objects: 0,
                bytes: 0,
                dead_bytes: 0,
            };
            let live = &self.live;
            let mut count = |id: Id, record: &PackRecord, _: &SortedFile| {
                usage.objects += 1;
                usage.bytes += record.stored_len();
                if !live.contains(&prefix(&id)) {
                    usage.dead_objects += 1;
                    usage.dead_bytes += record.stored_len();
                }
            };
            if walk(self.snapshot, row, &mut count)?.is_none() {
                usages.push(usage);
            }
        }
        self.progress.end();
        Ok(usages)
    }

    /// Marks the lists and pieces of content.
    pub(super) fn pieces(&mut self, list: &Id, len: u64) -> Result<(), Error> {
        let snapshot = self.snapshot;
        let mut found = Vec::new();
        let walked = snapshot.walk_lists(list, len, &mut |id| found.push(id));
        for id in found {
            self.mark(&id);
        }
        match walked {
            Ok(()) => Ok(()),
            Err(Failed::Broken(what)) => {
                self.obstacles.push(what);
                Ok(())
            }
            Err(Failed::Other(err)) => Err(err.into()),
        }
    }
}

/// Goes through the index of a pack; says what is wrong with it.
pub(super) fn walk(
    snapshot: &Snapshot,
    row: &PackRow,
    each: &mut dyn FnMut(Id, &PackRecord, &SortedFile),
) -> Result<Option<String>, Error> {
    let file = match snapshot.file(Folder::Packs, &row.name())? {
        File::Here(file) => file,
        File::Lost => return Ok(Some("it is damaged or missing".to_owned())),
        // The plan is for a state that has passed, and will be made anew.
        File::Moved(_) => return Err(Error::Outdated),
    };
    let walked = pack::for_each(
        &file,
        &mut |id, record| {
            each(id, &record, &file);
            Ok(())
        },
        &|what| what,
    );
    Ok(walked.err())
}

/// Carries a plan out: condemns in one entry, removes in the next, unlinks.
///
/// # Errors
/// [`Error::Obstructed`] if the plan has obstacles; [`Error::Outdated`] if it does not hold any more: the log was folded, or a
/// transaction began to rely on what was to go. Nothing is lost then; make another plan. Failures of the place.
pub fn carry_out(plan: &Plan, command: &str) -> Result<Collection, Error> {
    if let Some(what) = plan.obstacles.first() {
        return Err(Error::Obstructed { what: what.clone() });
    }
    let store = plan.snapshot.store();
    let mut done = Collection::default();
    if plan.items.is_empty() {
        return Ok(done);
    }
    let rewritten: Vec<&Item> = plan.items.iter().filter(|item| item.action == Action::Rewrite).collect();
    let copies = if rewritten.is_empty() { None } else { Some(Arc::new(rewrite(plan, &rewritten)?)) };
    condemn(plan, copies.as_ref(), command)?;
    let names: Vec<Id> = plan.items.iter().map(|item| item.pack.name).collect();
    store.publish(OpId::new(&*store.world().random), command, &mut |snapshot| {
        // A fold may have removed some already.
        let condemned = &snapshot.state().condemned;
        let left: Vec<Id> = names.iter().filter(|name| condemned.contains_key(name)).copied().collect();
        Ok::<_, Error>((!left.is_empty()).then(|| Draft { remove: left, ..Draft::default() }))
    })?;
    let newest = store.snapshot()?;
    for item in &plan.items {
        let name = item.pack.name;
        // One entry condemned the name and a later one removed it: nothing can name it any more. A name that is
        // not in the list of those any more was unlinked by a fold.
        if newest.state().is_gone(Folder::Packs, &name) {
            store.backend().remove(Folder::Packs, &Folder::Packs.file(&name))?;
        }
        done.packs += 1;
        done.objects += item.pack.dead_objects;
        done.bytes += i64::try_from(item.pack.file_bytes).unwrap_or(i64::MAX);
    }
    for pack in copies.iter().flat_map(|copies| &copies.packs) {
        done.bytes -= i64::try_from(pack.row.file_len()).unwrap_or(0);
    }
    Ok(done)
}

/// Takes packs out of the state, `copies` in their place: one entry condemns them, unless they are already, the next removes them, then
/// they are unlinked.
///
/// # Errors
/// [`Error::Outdated`] if a transaction began to rely on one of them since `snapshot`, or the log was folded since; nothing is lost
/// then. Failures of the place.
pub(super) fn retire(
    snapshot: &Snapshot,
    names: &[Id],
    copies: Option<&Arc<Collected>>,
    command: &str,
) -> Result<(), Error> {
    retire_if(snapshot, names, copies, command, &mut |_| Ok(true))
}

/// As [`retire`], if `may` says so of the state that the entry extends which condemns them.
///
/// # Errors
/// As [`retire`]; [`Error::Outdated`] if `may` says no.
pub(super) fn retire_if(
    snapshot: &Snapshot,
    names: &[Id],
    copies: Option<&Arc<Collected>>,
    command: &str,
    may: &mut dyn FnMut(&Snapshot) -> Result<bool, Error>,
) -> Result<(), Error> {
    let store = snapshot.store();
    store.publish(OpId::new(&*store.world().random), command, &mut |newest| {
        let mut holds = newest.base() == snapshot.base() && newest.damaged_entry().is_none();
        for loaded in newest.inner.log.entries.iter().filter(|loaded| loaded.number > snapshot.tip()) {
            let named = loaded.entry.packs.iter().map(PackRow::name);
            holds &= !named.chain(loaded.entry.rely.iter().copied()).any(|name| names.contains(&name));
        }
        // Whoever condemned one since had a reason that the copies made of it know nothing of: what was scrubbed would be back.
        let is_as_it_was =
            |name: &Id| newest.state().has_pack(name) && newest.state().is_live(name) == snapshot.state().is_live(name);
        if !holds || !names.iter().all(is_as_it_was) || !may(newest)? {
            return Err(Error::Outdated);
        }
        let condemn: Vec<Id> = names.iter().filter(|name| newest.state().is_live(name)).copied().collect();
        let has_news = copies.is_some_and(|copies| copies.stored().next().is_some()) || !condemn.is_empty();
        Ok(has_news.then(|| Draft { collected: copies.cloned(), condemn, ..Draft::default() }))
    })?;
    if names.is_empty() {
        return Ok(());
    }
    store.publish(OpId::new(&*store.world().random), command, &mut |newest| {
        let condemned = &newest.state().condemned;
        let left: Vec<Id> = names.iter().filter(|name| condemned.contains_key(name)).copied().collect();
        Ok::<_, Error>((!left.is_empty()).then(|| Draft { remove: left, ..Draft::default() }))
    })?;
    let newest = store.snapshot()?;
    for name in names {
        if newest.state().is_gone(Folder::Packs, name) {
            store.backend().remove(Folder::Packs, &Folder::Packs.file(name))?;
        }
        store.files().forget(Folder::Packs, name);
    }
    Ok(())
}

/// Copies what is live out of packs into new ones.
fn rewrite(plan: &Plan, items: &[&Item]) -> Result<Collected, Error> {
    let shunned: HashSet<Id> = plan.items.iter().map(|item| item.pack.name).collect();
    let intake = Intake::shunning(&plan.snapshot, shunned);
    for item in items {
        let file = match plan.snapshot.file(Folder::Packs, &item.pack.name)? {
            File::Here(file) => file,
            File::Lost | File::Moved(_) => return Err(Error::Outdated),
        };
        let mut copy = |id: Id, record: PackRecord| -> Result<(), Error> {
            if !plan.live.contains(&prefix(&id)) || intake.has(&id)? {
                return Ok(());
            }
            if record.is_in_pieces() {
                let list = pack::pieces(&file, &record).map_err(|what| Error::Obstructed { what })?;
                return Ok(intake.put_pieces(&id, record.len, &list)?);
            }
            let bytes = pack::read(&file, &id, &record).map_err(|what| Error::Obstructed { what })?;
            Ok(intake.put(&record.kind, &id, &bytes)?)
        };
        pack::for_each(&file, &mut copy, &|what| Error::Obstructed { what })?;
    }
    intake.finish()
}

/// Condemns all that the plan says, if nothing has begun to rely on any of it since it was made.
fn condemn(plan: &Plan, copies: Option<&Arc<Collected>>, command: &str) -> Result<(), Error> {
    let store = plan.snapshot.store();
    let doomed: HashSet<Id> = plan.items.iter().map(|item| item.pack.name).collect();
    store.publish(OpId::new(&*store.world().random), command, &mut |snapshot| {
        // What was folded since does not say any more what it relied on.
        let mut holds = snapshot.base() == plan.snapshot.base() && snapshot.damaged_entry().is_none();
        for loaded in snapshot.inner.log.entries.iter().filter(|loaded| loaded.number > plan.snapshot.tip()) {
            let named = loaded.entry.packs.iter().map(PackRow::name);
            holds &= !named.chain(loaded.entry.rely.iter().copied()).any(|name| doomed.contains(&name));
        }
        let state = snapshot.state();
        for item in &plan.items {
            holds &= match item.action {
                // Another collection may have been at it meanwhile.
                Action::Orphan => {
                    let name = &item.pack.name;
                    !state.has_pack(name) && !state.is_gone(Folder::Packs, name) && !state.condemned.contains_key(name)
                }
                Action::Drop | Action::Rewrite => state.is_live(&item.pack.name),
            };
        }
        if !holds {
            return Err(Error::Outdated);
        }
        let condemn = plan.items.iter().map(|item| item.pack.name).collect();
        Ok(Some(Draft { collected: copies.cloned(), condemn, ..Draft::default() }))
    })?;
    Ok(())
}

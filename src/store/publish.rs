//! Publishing: the one function that adds to a store
//! (`docs/design/0001-store-protocol.md`, "Publishing").

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;

use super::backend::{BackendError, Folder, Outcome};
use super::draft::{Draft, Published, RefEdit};
use super::entry::{self, Edit, Entry, Expect, INLINE_MAX, Inline, OpId, PackRow};
use super::error::Error;
use super::intake::{Collected, Intake};
use super::load::{self, Read};
use super::objects::Place;
use super::pack;
use super::rules::Rule;
use super::snapshot::{Snapshot, log_file};
use super::sorted::{Direction, KEY_MAX};
use super::state::KNOWN_FEATURES;
use super::{Store, files::Unusable, fold};
use crate::hash::{Id, IdSet};
use crate::object::{AccessError, Sink};

/// How long a writer waits for others on this machine, so that they do not rewrite each other's entries.
const QUEUE_WAIT: Duration = Duration::from_secs(1);

/// How often a transaction is tried before giving up. Each time somebody else made progress.
const ATTEMPTS: u32 = 10_000;

/// How often in a row a place may leave open whether it made an entry, before it is taken for one where none can be made.
const VAGUE: u32 = 64;

/// How often a listing that can't be right yet is repeated.
const LISTINGS: u32 = 2_000;

/// What became of an attempt.
pub(super) enum Verdict {
    /// The operation is in the log, in the entry with this number.
    Landed(u64),
    /// It is not, and never will be from this attempt. `clean`: the number is another's, so no file of this attempt
    /// can be named by the log.
    Lost { clean: bool },
}

impl Store {
    /// Adds one transaction: `build` makes it from the newest snapshot, as often as another writer comes first.
    ///
    /// When this returns [`Published::Done`] or [`Published::Already`], the operation is durable and counts exactly
    /// once, however often it is published. [`Published::Nothing`] is what `build` returning `None` gives.
    ///
    /// # Errors
    /// [`Error::Expectation`] when a ref is not as expected, [`Error::ReliedGone`] when content that was relied on is
    /// gone and could not be stored again; what `build` reports; failures of the place. After such a failure the
    /// operation may have landed all the same: publishing it again with the same `op` finds out.
    pub fn publish<E: From<Error>>(
        &self,
        op: OpId,
        command: &str,
        build: &mut dyn FnMut(&Snapshot) -> Result<Option<Draft>, E>,
    ) -> Result<Published, E> {
        self.publish_on(None, op, command, build)
    }

    /// Adds one transaction that is the same whatever others did meanwhile. As [`Store::publish`], without a copy of the draft for each
    /// attempt: it may be large.
    ///
    /// # Errors
    /// As [`Store::publish`].
    pub fn publish_as_is(&self, op: OpId, command: &str, draft: &Draft) -> Result<Published, Error> {
        self.publish_made(None, op, command, &mut |_| Ok::<_, Error>(Some(draft)))
    }

    /// As [`Store::publish`], but built on `known` at first if the log still ends where it did then: one listing instead of reading
    /// the log again. Any snapshot is as good as a fresh one for safety, since the number after its tip can be had only once; a stale
    /// one would just be lost with.
    ///
    /// # Errors
    /// As [`Store::publish`].
    pub fn publish_on<E: From<Error>>(
        &self,
        known: Option<&Snapshot>,
        op: OpId,
        command: &str,
        build: &mut dyn FnMut(&Snapshot) -> Result<Option<Draft>, E>,
    ) -> Result<Published, E> {
        self.publish_made(known, op, command, build)
    }

    fn publish_made<E: From<Error>, D: Borrow<Draft>>(
        &self,
        known: Option<&Snapshot>,
        op: OpId,
        command: &str,
        build: &mut dyn FnMut(&Snapshot) -> Result<Option<D>, E>,
    ) -> Result<Published, E> {
        let mut turn = self.backend().queue(QUEUE_WAIT);
        let mut known = known.filter(|snapshot| self.is_newest(snapshot)).cloned();
        let mut replacements = Replacements::default();
        let mut folds_failed = 0;
        let mut tried = false;
        let (mut vague, mut folds_lost) = (0, 0);
        for attempt in 0..ATTEMPTS {
            let snapshot = match known.take() {
                Some(known) => known,
                None => self.snapshot()?,
            };
            let found = self.find_published(&snapshot, op, tried)?;
            if let Some(number) = found {
                // Whoever wrote it may not have come to flush the folder.
                self.backend().sync(Folder::Log).map_err(Error::from)?;
                return Ok(if tried { Published::Done { number } } else { Published::Already { number } });
            }
            if fold::is_due(&snapshot) && folds_failed < 2 && folds_lost < VAGUE {
                // A fold that can't be made must not keep anything from being recorded: it is tried again by the next
                // writer, and `check` tells why.
                match fold::fold(&snapshot, command) {
                    Ok(true) => {}
                    Ok(false) => folds_lost += 1,
                    Err(_) => folds_failed += 1,
                }
                continue;
            }
            let Some(draft) = build(&snapshot)? else { return Ok(Published::Nothing) };
            let entry = prepare(&snapshot, op, command, draft.borrow(), &mut replacements)?;
            tried = true;
            let outcome = self.create_entry(&entry)?;
            match self.landed(&snapshot, op, entry.n, outcome)? {
                Verdict::Landed(number) => return Ok(Published::Done { number }),
                Verdict::Lost { .. } => {
                    vague = if outcome == Outcome::Unknown { vague + 1 } else { 0 };
                    if vague >= VAGUE {
                        break;
                    }
                    self.jitter(attempt);
                    if turn.is_none() {
                        turn = self.backend().queue(QUEUE_WAIT);
                    }
                }
            }
        }
        Err(Error::Restless { place: self.backend().place() }.into())
    }

    /// The entry in which the operation landed before; `tried`: an attempt of this process may have created one.
    fn find_published(&self, snapshot: &Snapshot, op: OpId, tried: bool) -> Result<Option<u64>, Error> {
        let rules = self.rules();
        if !rules.keep(Rule::OpIdLookedUp) {
            return Ok(None);
        }
        if (op.is_fresh() && !tried) || !rules.keep(Rule::OpIdInHistory) {
            return Ok(snapshot.recent_op(op));
        }
        snapshot.find_op(op)
    }

    /// Whether a listing shows the snapshot's base, its tip, and nothing above.
    pub(super) fn is_newest(&self, snapshot: &Snapshot) -> bool {
        let shown = load::numbers(self.backend());
        snapshot.damaged_entry().is_none()
            && shown.is_ok_and(|shown| shown.contains(&snapshot.base()) && shown.last() == Some(&snapshot.tip()))
    }

    /// Writes an entry beside the log, then tries to give it its number.
    pub(super) fn create_entry(&self, entry: &Entry) -> Result<Outcome, Error> {
        let (bytes, _) = entry.encode()?;
        let mut staged = self.backend().stage()?;
        staged.write_all(&bytes).map_err(|source| BackendError::Io {
            action: "write",
            file: log_file(entry.n),
            source,
        })?;
        let outcome = staged.publish(Folder::Log, &entry::name(entry.n))?;
        if outcome != Outcome::Lost {
            self.backend().sync(Folder::Log)?;
        }
        Ok(outcome)
    }

    /// Finds out whether entry `number`, written on top of `snapshot`, counts: by a listing made after the attempt.
    pub(super) fn landed(
        &self,
        snapshot: &Snapshot,
        op: OpId,
        number: u64,
        outcome: Outcome,
    ) -> Result<Verdict, Error> {
        let backend = self.backend();
        let base = snapshot.base();
        // A base that was missing when the snapshot was taken can't be asked for.
        let rules = self.rules();
        let ask_for_base = snapshot.inner.log.base_is_sound && rules.keep(Rule::BaseShown);
        match outcome {
            Outcome::Won if !rules.keep(Rule::WinListed) => return Ok(Verdict::Landed(number)),
            Outcome::Lost if !rules.keep(Rule::LossListed) => return Ok(Verdict::Lost { clean: true }),
            _ => {}
        }
        for attempt in 0..LISTINGS {
            if attempt > 3 {
                backend.pause(Duration::from_micros(200 * u64::from(attempt.min(50))));
            }
            let shown = load::numbers(backend)?;
            // A fold at or above the number decides: what it does not hold is void. What can't be read may be one.
            let mut decided_elsewhere = false;
            for &above in shown.range(number.saturating_add(1)..) {
                match load::read(backend, above)? {
                    Read::Good(entry, _) if !entry.is_fold() => {}
                    _ => decided_elsewhere = true,
                }
            }
            if decided_elsewhere && rules.keep(Rule::VoidBelowFold) {
                return self.decide_by_state(op);
            }
            let at_number = if shown.contains(&number) { Some(load::read(backend, number)?) } else { None };
            if let Some(Read::Good(entry, _)) = &at_number
                && entry.is_fold()
                && entry.op != op
            {
                return self.decide_by_state(op);
            }
            if ask_for_base && !shown.contains(&base) {
                // The listing shows neither the checkpoint that the attempt stood on nor a newer one. A fold of one's
                // own at the number is not asked for it, for nobody but its writer unlinks the base before the next.
                continue;
            }
            return match at_number {
                Some(Read::Good(entry, _)) if entry.op == op => {
                    if outcome != Outcome::Won {
                        backend.sync(Folder::Log)?;
                    }
                    Ok(Verdict::Landed(number))
                }
                Some(Read::Vanished) => continue,
                Some(Read::Good(..)) => Ok(Verdict::Lost { clean: outcome == Outcome::Lost }),
                Some(Read::Broken(_)) | None => self.decide_by_state(op),
            };
        }
        Err(Error::Restless { place: backend.place() })
    }

    /// Asks the newest state whether it holds the operation.
    fn decide_by_state(&self, op: OpId) -> Result<Verdict, Error> {
        match self.find_published(&self.snapshot()?, op, true)? {
            Some(number) => {
                self.backend().sync(Folder::Log)?;
                Ok(Verdict::Landed(number))
            }
            None => Ok(Verdict::Lost { clean: false }),
        }
    }

    /// Waits a little, so that two who lost to each other do not meet again.
    fn jitter(&self, attempt: u32) {
        let [byte] = self.world().random();
        let most = 100 * u64::from(attempt.min(40) + 1);
        self.backend().pause(Duration::from_micros(most * u64::from(byte) / 255));
    }
}

/// What was stored again in earlier attempts, and which packs of the draft are of no use.
#[derive(Debug, Default)]
struct Replacements {
    collected: Vec<Arc<Collected>>,
    /// Packs of this operation that were condemned, removed or lost before an entry named them.
    useless: HashSet<Id>,
}

/// Builds the entry on top of `snapshot`: all that the transaction asks for holds there, and all files it names are
/// durable.
fn prepare(
    snapshot: &Snapshot,
    op: OpId,
    command: &str,
    draft: &Draft,
    replacements: &mut Replacements,
) -> Result<Entry, Error> {
    let state = snapshot.state();
    for name in state.features.iter().chain(&draft.features) {
        if !KNOWN_FEATURES.contains(&name.as_str()) {
            return Err(Error::UnknownFeature { name: name.clone() });
        }
    }
    let deletes =
        !draft.condemn.is_empty() || !draft.remove.is_empty() || draft.edits.iter().any(|edit| edit.new.is_none());
    if let (true, Some(damage)) = (deletes, snapshot.damaged_entry()) {
        return Err(Error::DamagedLog { file: damage.file.clone() });
    }
    let refs = check_edits(snapshot, &draft.edits)?;
    if let Some(name) = draft.remove.iter().find(|name| !state.condemned.contains_key(name)) {
        return Err(Error::Draft { what: format!("pack {name} is removed without having been condemned") });
    }
    if let Some(name) = draft.condemn.iter().find(|name| state.is_gone(Folder::Packs, name)) {
        return Err(Error::Draft { what: format!("pack {name} is condemned and gone already") });
    }
    let rely = settle(snapshot, draft, replacements)?;
    if let Some(name) = draft.condemn.iter().find(|name| rely.contains(name)) {
        // A collection took the copies for an orphan, so what is to go holds the only ones again.
        if !replacements.useless.is_empty() {
            return Err(Error::Outdated);
        }
        return Err(Error::Draft { what: format!("pack {name} is condemned and relied on") });
    }
    let all = draft.collected.iter().chain(&replacements.collected);
    let mut objects: Vec<Inline> = Vec::new();
    let mut seen: HashSet<Id> = HashSet::new();
    let mut packs: Vec<PackRow> = Vec::new();
    for collected in all {
        for (kind, id, bytes) in &collected.inline {
            if seen.insert(*id) && !snapshot.is_scrubbed(id)? {
                objects.push(Inline(kind.clone(), BString::from(bytes.as_slice())));
            }
        }
        for pack in &collected.packs {
            let name = pack.row.name();
            if !replacements.useless.contains(&name) && !state.has_pack(&name) && !packs.contains(&pack.row) {
                packs.push(pack.row);
            }
        }
    }
    let inline: usize = objects.iter().map(|object| object.1.len()).sum();
    if inline > INLINE_MAX {
        return Err(Error::Draft { what: format!("{inline} bytes of objects in one entry") });
    }
    let world = snapshot.store().world();
    let number = snapshot.tip().checked_add(1).ok_or_else(|| Error::Draft { what: "the log is full".to_owned() })?;
    Ok(Entry {
        n: number,
        prev: snapshot.inner.log.tip_digest,
        op,
        at: world.clock.now(),
        by: world.author.clone(),
        host: world.host.clone(),
        cmd: command.to_owned(),
        objects,
        packs,
        rely: rely.into_iter().collect(),
        condemn: draft.condemn.clone(),
        remove: draft.remove.clone(),
        refs,
        features: draft.features.clone(),
        checkpoint: None,
    })
}

/// Checks every expectation against the snapshot.
fn check_edits(snapshot: &Snapshot, edits: &[RefEdit]) -> Result<Vec<Edit>, Error> {
    let is_sorted = edits.is_sorted_by(|a, b| a.key < b.key);
    let mut keys: HashSet<&[u8]> = HashSet::new();
    let mut rows = Vec::with_capacity(edits.len());
    for edit in edits {
        let shown = || crate::path::shown(&edit.key);
        if edit.key.is_empty() || edit.key.len() > KEY_MAX - 16 {
            return Err(Error::Draft { what: format!("a ref key of {} bytes", edit.key.len()) });
        }
        if !is_sorted && !keys.insert(&edit.key) {
            return Err(Error::Draft { what: format!("two edits of `{}`", shown()) });
        }
        let holds = match &edit.expect {
            Expect::Any => true,
            Expect::Absent => snapshot.get_ref(&edit.key)?.is_none(),
            Expect::Is(value) => snapshot.get_ref(&edit.key)?.as_ref() == Some(value),
            Expect::PrefixEmpty => match snapshot.scan(&edit.key, Direction::Forward).next() {
                None => true,
                Some(Ok(_)) => false,
                Some(Err(err)) => return Err(err),
            },
        };
        if !holds && snapshot.store().rules().keep(Rule::ExpectationChecked) {
            return Err(Error::Expectation { key: edit.key.clone() });
        }
        rows.push(Edit(edit.key.as_slice().into(), edit.expect.clone(), edit.new.as_deref().map(BString::from)));
    }
    Ok(rows)
}

/// Makes sure that everything the draft relies on or adds can be had in the state of `snapshot`; what is gone is
/// stored again. Returns the packs relied on.
fn settle(snapshot: &Snapshot, draft: &Draft, replacements: &mut Replacements) -> Result<BTreeSet<Id>, Error> {
    if !snapshot.store().rules().keep(Rule::RelianceChecked) {
        return Ok(BTreeSet::new());
    }
    // Storing again may rely on packs in turn, but never on the same ones, so a few rounds are enough.
    for _ in 0..8 {
        let mut rely = BTreeSet::new();
        let mut gone: Vec<Id> = Vec::new();
        let mut stored = IdSet::default();
        let all: Vec<Arc<Collected>> = draft.collected.iter().chain(&replacements.collected).cloned().collect();
        let (mut usable, mut useless) = (Vec::new(), Vec::new());
        for collected in &all {
            stored.extend(collected.inline.iter().map(|(_, id, _)| *id));
            for pack in &collected.packs {
                // What was scrubbed since it was taken in must not come back with this pack.
                let scrubbed = snapshot.scrubbed_among(&pack.ids)?;
                if !scrubbed.is_empty() {
                    replacements.useless.insert(pack.row.name());
                    stored.extend(&scrubbed);
                }
                let is_usable = is_usable(snapshot, &pack.row, replacements)?;
                if is_usable { usable.push(pack) } else { useless.push(pack) }
            }
            stored.extend(snapshot.scrubbed_among(collected.relied.keys())?);
        }
        let is_asked = !draft.relies_on.is_empty() || all.iter().any(|collected| !collected.relied.is_empty());
        if is_asked || !useless.is_empty() {
            stored.extend(usable.iter().flat_map(|pack| &pack.ids));
        }
        // What lies in a pack that is of no use may be live elsewhere by now.
        for id in useless.iter().flat_map(|pack| &pack.ids) {
            if !stored.contains(id) {
                note(snapshot, id, &mut rely, &mut gone)?;
            }
        }
        for collected in &all {
            let mut moved: Vec<Id> = Vec::new();
            for (id, place) in &collected.relied {
                match place {
                    _ if stored.contains(id) => {}
                    Place::Pack(name) if snapshot.is_live(name) => {
                        rely.insert(*name);
                    }
                    Place::Entry(number) if *number > snapshot.base() && snapshot.inline().contains_key(id) => {}
                    _ => moved.push(*id),
                }
            }
            // Looked up in order, each part of an index is read once.
            moved.sort_unstable();
            for id in &moved {
                note(snapshot, id, &mut rely, &mut gone)?;
            }
        }
        for id in &draft.relies_on {
            if !stored.contains(id) {
                note(snapshot, id, &mut rely, &mut gone)?;
            }
        }
        for name in &draft.relies_on_packs {
            if !snapshot.is_live(name) {
                return Err(Error::Outdated);
            }
            rely.insert(*name);
        }
        if gone.is_empty() {
            return Ok(rely);
        }
        gone.sort_unstable();
        gone.dedup();
        replacements.collected.push(Arc::new(store_again(snapshot, draft, &all, &gone)?));
    }
    Err(Error::Restless { place: snapshot.store().backend().place() })
}

/// Finds where an object that is relied on lies now.
fn note(snapshot: &Snapshot, id: &Id, rely: &mut BTreeSet<Id>, gone: &mut Vec<Id>) -> Result<(), Error> {
    match snapshot.locate_live(id)? {
        Some(Place::Pack(name)) => {
            rely.insert(name);
        }
        Some(Place::Entry(_)) => {}
        None => gone.push(*id),
    }
    Ok(())
}

/// Whether an added pack can still be named: neither condemned nor gone, and its file is there.
fn is_usable(snapshot: &Snapshot, row: &PackRow, replacements: &mut Replacements) -> Result<bool, Error> {
    let name = row.name();
    if !snapshot.store().rules().keep(Rule::AddedPackChecked) {
        return Ok(true);
    }
    if replacements.useless.contains(&name) {
        return Ok(false);
    }
    let state = snapshot.state();
    let file = snapshot.store().backend().open(Folder::Packs, &Folder::Packs.file(&name))?;
    let there = match file {
        Some(file) => file.size().map_err(AccessError::from)? == row.file_len(),
        None => false,
    };
    let usable = there && !state.is_gone(Folder::Packs, &name) && !state.condemned.contains_key(&name);
    if !usable {
        replacements.useless.insert(name);
    }
    Ok(usable)
}

/// Stores objects again that went while the transaction was prepared: from the bytes kept, from packs of its own that
/// are of no use as such but still there, from whoever can restore them.
fn store_again(snapshot: &Snapshot, draft: &Draft, all: &[Arc<Collected>], gone: &[Id]) -> Result<Collected, Error> {
    let intake = Intake::new(snapshot);
    let mut missing = Vec::new();
    'each: for id in gone {
        for collected in all {
            if let Some((kind, bytes)) = collected.kept.get(id) {
                intake.put(kind, id, bytes)?;
                continue 'each;
            }
        }
        for pack in all.iter().flat_map(|collected| &collected.packs) {
            if pack.ids.binary_search(id).is_ok() && copy_again(snapshot, &pack.row, id, &intake)? {
                continue 'each;
            }
        }
        // In a pack that is condemned and not gone yet.
        if snapshot.store_again(id, &intake)? {
            continue;
        }
        let restored = match &draft.restore {
            Some(restore) => restore.restore(id, &intake)? && intake.has(id)?,
            None => false,
        };
        if !restored {
            missing.push(*id);
        }
    }
    if missing.is_empty() { intake.finish() } else { Err(Error::ReliedGone { ids: missing }) }
}

/// Copies an object out of a pack that can't be named any more, if its file still lies there.
fn copy_again(snapshot: &Snapshot, row: &PackRow, id: &Id, intake: &Intake) -> Result<bool, Error> {
    let file = match snapshot.store().files().fresh(Folder::Packs, &row.name()) {
        Ok(file) => file,
        Err(Unusable::Absent | Unusable::Broken(_)) => return Ok(false),
        Err(Unusable::Denied(err)) => return Err(err.into()),
    };
    let Ok(Some(record)) = pack::find(&file, id) else { return Ok(false) };
    if record.is_in_pieces() {
        // List and pieces are either in packs of this transaction, and looked after one by one, or relied on by it.
        let Ok(list) = pack::pieces(&file, &record) else { return Ok(false) };
        intake.put_pieces(id, record.len, &list)?;
        return Ok(true);
    }
    let Ok(bytes) = pack::read(&file, id, &record) else { return Ok(false) };
    intake.put(&record.kind, id, &bytes)?;
    Ok(true)
}

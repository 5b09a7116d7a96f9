//! One process at work: opens the store, does what chance tells it, and compares what it is told with the truth.

use std::sync::Arc;

use super::chance::Chance;
use super::disk::{ProcessDisk, ROOT};
use super::truth::{Refs, show, target, targets};
use super::world::World;
use crate::clock::{Micros, SeededRandom, StepClock};
use crate::fs::Fs;
use crate::hash::Id;
use crate::object::scenario::Scenario;
use crate::object::{AccessError, Kind, Record, Sink, Source, id_of};
use crate::progress::{Cancel, Silent};
use crate::store::collect;
use crate::store::entry::{Expect, OpId};
use crate::store::rules::Rules;
use crate::store::sorted::Direction;
use crate::store::{Draft, Error, LocalBackend, Published, RefEdit, Restore, Snapshot, Store};

/// How many different contents there are.
const CONTENTS: usize = 10;

/// Something to be published, as often as it takes.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// Stores content and names it by new refs.
    Run { key: String, contents: Vec<usize>, is_streamed: bool, on_old: bool },
    /// Names content that is there by a new ref, without having its bytes.
    Rely { key: String, content: usize },
    /// Adds one to a number.
    Count,
    /// As `Count`, but the edit is made once and never again.
    CountOnce,
    /// Sets a ref, whatever it was.
    Set { value: u8 },
    /// Takes a name that must be free.
    Take { name: u8, value: u8 },
    /// Deletes a ref.
    Drop { at: usize },
    /// Removes condemned packs.
    Remove,
}

/// The bytes of a content: some fit into an entry, some do not, some are stored in pieces.
fn content(number: usize) -> (Kind, Vec<u8>) {
    // The two longest share most of their pieces, where they are stored so.
    let len = [3, 20, 150, 7, 90, 300, 40, 10, 60, 600][number % CONTENTS];
    let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + number * 31).to_le_bytes()[0]).collect();
    if number % 3 != 1 {
        return (Kind::BLOB, bytes);
    }
    let record = Scenario { description: "x".repeat(len), ..Scenario::named(&format!("s{number}"), Micros(0)) };
    // A record this small can be written.
    (Kind::SCENARIO, record.encode().unwrap_or_default())
}

fn content_id(number: usize) -> Id {
    let (kind, bytes) = content(number);
    id_of(&kind, &bytes)
}

/// Every content with its id.
pub(super) fn contents() -> impl Iterator<Item = (Id, Vec<u8>)> {
    (0..CONTENTS).map(|number| (content_id(number), content(number).1))
}

/// Puts content again that has gone.
#[derive(Debug)]
struct Keeper;

impl Restore for Keeper {
    fn restore(&self, id: &Id, sink: &dyn Sink) -> Result<bool, AccessError> {
        let put = |id: &Id, kind: &Kind, mut bytes: &[u8]| {
            if *kind == Kind::BLOB {
                sink.put_blob(id, bytes.len() as u64, &mut bytes)
            } else {
                sink.put(kind, id, bytes)
            }
        };
        for number in 0..CONTENTS {
            let (kind, bytes) = content(number);
            if id_of(&kind, &bytes) == *id {
                put(id, &kind, &bytes)?;
                return Ok(true);
            }
        }
        // A piece of content, or a list of pieces: it comes back with the whole.
        for number in (0..CONTENTS).filter(|number| content(*number).0 == Kind::BLOB) {
            let (kind, bytes) = content(number);
            put(&id_of(&kind, &bytes), &kind, &bytes)?;
            if sink.has(id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// One process.
#[derive(Debug)]
pub(super) struct Actor {
    disk: ProcessDisk,
    rules: Rules,
    seed: u64,
    chance: Chance,
    store: Option<Store>,
    held: Vec<Snapshot>,
    named: u32,
    opened: u64,
}

/// What it left undone when it ended.
pub(super) type Unfinished = Option<([u8; 16], Task)>;

impl Actor {
    /// `name` is of one process among all phases.
    pub(super) fn new(world: &Arc<World>, who: usize, name: u64, seed: u64, rules: &Rules) -> Self {
        let disk = ProcessDisk { world: Arc::clone(world), who };
        let seed = seed ^ (name + 1).wrapping_mul(0x5851_f42d_4c95_7f2d);
        let chance = Chance::new(seed, 77);
        Self { disk, rules: rules.clone(), seed, chance, store: None, held: Vec::new(), named: 0, opened: 0 }
    }

    fn is_dead(&self) -> bool {
        self.disk.world.state().is_dead(self.disk.who)
    }

    fn violated(&self, what: impl FnOnce() -> String) {
        if !self.is_dead() {
            self.disk.world.state().violated(what);
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        self.disk.world.state().note(self.disk.who, what);
    }

    /// Opens the store anew: another command of the same user.
    pub(super) fn open(&mut self) -> Result<Store, Error> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        self.opened += 1;
        let prefix = format!("{:x}-{}", self.seed, self.opened);
        let backend = LocalBackend::named(Fs::on(Arc::new(self.disk.clone())), ROOT, prefix);
        let store = Store::open_under(self.rules.clone(), Arc::new(backend), &self.world_of())?;
        self.store = Some(store.clone());
        Ok(store)
    }

    pub(super) fn world_of(&self) -> crate::store::World {
        // Clocks of different machines are apart, and one goes backwards.
        let skew = i64::try_from(self.seed % 7).unwrap_or(0) * 3_600_000_000;
        let step = if self.seed.is_multiple_of(5) { -1_000 } else { 1_000 };
        crate::store::World {
            clock: Arc::new(StepClock::new(Micros(1_795_342_830_000_000 + skew), step)),
            random: Arc::new(SeededRandom::new(self.seed ^ self.opened.wrapping_mul(0x9e37_79b9))),
            host: format!("host{}", self.disk.who),
            author: "ann".to_owned(),
        }
    }

    /// Takes up what a dead process left, then does so many things.
    pub(super) fn work(&mut self, left: Vec<([u8; 16], Task)>, jobs: usize) -> Unfinished {
        for (op, task) in left {
            if let Some(unfinished) = self.publish_until_told(Some(op), task) {
                return Some(unfinished);
            }
        }
        for _ in 0..jobs {
            if self.is_dead() {
                return None;
            }
            let job = self.chance.below(100);
            let unfinished = match job {
                0..58 => {
                    let task = self.task();
                    self.publish_until_told(None, task)
                }
                58..72 => {
                    self.look();
                    None
                }
                72..82 => {
                    self.look_back();
                    None
                }
                82..87 => {
                    self.store = None;
                    None
                }
                87..92 => {
                    self.replay();
                    None
                }
                _ => {
                    self.collect();
                    None
                }
            };
            if unfinished.is_some() {
                return unfinished;
            }
        }
        None
    }

    fn task(&mut self) -> Task {
        self.named += 1;
        let key = format!("run/{:x}.{}", self.seed & 0xffff, self.named);
        match self.chance.below(100) {
            0..50 => {
                let contents = (0..=self.chance.below(3)).map(|_| self.chance.below(CONTENTS)).collect();
                Task::Run { key, contents, is_streamed: self.chance.hits(500), on_old: self.chance.hits(300) }
            }
            50..58 => Task::Rely { key, content: self.chance.below(CONTENTS) },
            58..70 => Task::Count,
            70..76 => Task::CountOnce,
            76..80 => Task::Set { value: self.byte() },
            80..85 => Task::Take { name: self.byte() % 3, value: self.byte() },
            85..96 => Task::Drop { at: self.chance.below(64) },
            _ => Task::Remove,
        }
    }

    fn byte(&mut self) -> u8 {
        self.chance.next().to_le_bytes()[0]
    }

    /// Publishes until the store says what became of it; returns what is not known at the end.
    fn publish_until_told(&mut self, op: Option<[u8; 16]>, task: Task) -> Unfinished {
        let mut tries = 0;
        let mut again = op;
        loop {
            let store = match self.open() {
                Ok(store) => store,
                Err(err) => {
                    if self.is_dead() || tries >= 4 {
                        return again.map(|op| (op, task));
                    }
                    tries += 1;
                    self.refused(&err);
                    continue;
                }
            };
            let op = match again {
                Some(bytes) => OpId::from_bytes(bytes),
                None => OpId::new(&*store.world().random),
            };
            again = Some(op.to_bytes());
            self.say(|| format!("begins {task:?}"));
            let result = self.attempt(&store, op, &task);
            if self.is_dead() {
                return Some((op.to_bytes(), task));
            }
            self.say(|| format!("is told {result:?}"));
            match result {
                Ok(Published::Done { number } | Published::Already { number }) => {
                    let told = self.disk.world.state().truth.acknowledged(op.to_bytes(), number);
                    if let Err(what) = told {
                        self.violated(|| what);
                    }
                    return None;
                }
                Ok(Published::Nothing) => return None,
                Err(Error::Expectation { .. }) => return None,
                Err(Error::ReliedGone { .. }) if matches!(task, Task::Rely { .. }) => return None,
                Err(Error::Draft { .. }) if matches!(task, Task::Remove) => return None,
                // The packs of a frozen writer may be collected as orphans, and what streamed by is not in memory: it is told of, and stored
                // anew by who tries again.
                Err(Error::ReliedGone { .. }) if tries < 4 && matches!(task, Task::Run { is_streamed: true, .. }) => {
                    tries += 1;
                    self.store = None;
                }
                Err(err) => {
                    self.refused(&err);
                    tries += 1;
                    if tries > 4 {
                        return Some((op.to_bytes(), task));
                    }
                    if self.chance.hits(300) {
                        self.store = None;
                    }
                }
            }
        }
    }

    /// An error where nothing is wrong with the disk is a broken promise.
    fn refused(&self, err: &Error) {
        let mut state = self.disk.world.state();
        if state.fate.failure == 0 && state.fate.vague_link == 0 && !state.is_dead(self.disk.who) {
            state.violated(|| format!("refused although nothing is wrong: {err:?}"));
        }
    }

    fn attempt(&mut self, store: &Store, op: OpId, task: &Task) -> Result<Published, Error> {
        let edits = |edits: Vec<RefEdit>| Draft { edits, ..Draft::default() };
        match task {
            Task::Run { key, contents, is_streamed, on_old } => {
                let old = if *on_old { self.held.last().cloned() } else { None };
                let snapshot = match old {
                    Some(old) if Arc::ptr_eq(&old.store().shared, &store.shared) => old,
                    _ => store.snapshot()?,
                };
                let intake = store.intake(&snapshot);
                let mut edits = Vec::new();
                for (at, number) in contents.iter().enumerate() {
                    let (kind, bytes) = content(*number);
                    let id = id_of(&kind, &bytes);
                    if *is_streamed && kind == Kind::BLOB {
                        intake.put_blob(&id, bytes.len() as u64, &mut &*bytes)?;
                    } else {
                        intake.put(&kind, &id, &bytes)?;
                    }
                    edits.push(RefEdit::create(format!("{key}.{at}").into_bytes(), id.to_bytes().to_vec()));
                }
                let collected = Arc::new(intake.finish()?);
                let restore: Option<Arc<dyn Restore>> = Some(Arc::new(Keeper));
                store.publish_on(Some(&snapshot), op, "run", &mut |_| {
                    Ok(Some(Draft {
                        collected: Some(Arc::clone(&collected)),
                        edits: edits.clone(),
                        restore: restore.clone(),
                        ..Draft::default()
                    }))
                })
            }
            Task::Rely { key, content } => {
                let id = content_id(*content);
                let edit = RefEdit::create(key.clone().into_bytes(), id.to_bytes().to_vec());
                store.publish(op, "rely", &mut |_| {
                    Ok(Some(Draft { edits: vec![edit.clone()], relies_on: vec![id], ..Draft::default() }))
                })
            }
            Task::Count => store.publish(op, "count", &mut |snapshot| Ok(Some(edits(vec![count(snapshot)?])))),
            Task::CountOnce => {
                let mut first = None;
                store.publish(op, "count once", &mut |snapshot| {
                    if first.is_none() {
                        first = Some(count(snapshot)?);
                    }
                    Ok(first.clone().map(|edit| edits(vec![edit])))
                })
            }
            Task::Set { value } => {
                let edit = RefEdit::set(b"free/set".to_vec(), vec![*value]);
                store.publish(op, "set", &mut |_| Ok(Some(edits(vec![edit.clone()]))))
            }
            Task::Take { name, value } => {
                let key = format!("free/name{name}/{value}").into_bytes();
                let prefix = format!("free/name{name}/").into_bytes();
                let guard = RefEdit { key: prefix, expect: Expect::PrefixEmpty, new: Some(vec![*value]) };
                let edit = RefEdit::set(key, vec![*value]);
                store.publish(op, "take", &mut |_| Ok(Some(edits(vec![guard.clone(), edit.clone()]))))
            }
            Task::Drop { at } => store.publish(op, "drop", &mut |snapshot| {
                let refs = refs_of(snapshot)?;
                let runs: Vec<_> = refs.iter().filter(|(key, _)| key.starts_with(b"run/")).collect();
                let Some((key, value)) = runs.get(at % runs.len().max(1)) else { return Ok(None) };
                Ok(Some(edits(vec![RefEdit::delete((*key).clone(), (*value).clone())])))
            }),
            Task::Remove => store.publish(op, "remove", &mut |snapshot| {
                let remove: Vec<Id> = snapshot.state().condemned.keys().take(1).copied().collect();
                Ok(if remove.is_empty() { None } else { Some(Draft { remove, ..Draft::default() }) })
            }),
        }
    }

    /// Publishes something again that was acknowledged long ago.
    fn replay(&mut self) {
        let at = self.chance.below(64);
        let Some((op, number)) = self.disk.world.state().truth.some_acked(at) else { return };
        let Ok(store) = self.open() else { return };
        self.say(|| format!("replays entry {number}"));
        let result = store.publish::<Error>(OpId::from_bytes(op), "replay", &mut |_| Ok(Some(Draft::default())));
        if self.is_dead() {
            return;
        }
        self.say(|| format!("is told {result:?}"));
        match result {
            Ok(Published::Already { number: found }) if found == number => {}
            Err(err) => self.refused(&err),
            other => self.violated(|| format!("the operation of entry {number} was published again: {other:?}")),
        }
    }

    /// Takes a snapshot, which must be the truth at its tip, and not of the past.
    fn look(&mut self) {
        let Ok(store) = self.open() else { return };
        let before = self.disk.world.state().truth.tip();
        let snapshot = match store.snapshot() {
            Ok(snapshot) => snapshot,
            Err(err) => return self.refused(&err),
        };
        if self.is_dead() {
            return;
        }
        let (tip, base) = (snapshot.tip(), snapshot.base());
        self.say(|| format!("sees {base}..{tip}"));
        if tip < before {
            return self.violated(|| format!("a snapshot at {tip} after entry {before} had landed"));
        }
        let seen = refs_of(&snapshot);
        if self.is_dead() {
            return;
        }
        match seen {
            Ok(seen) => {
                let state = self.disk.world.state();
                let truth = &state.truth;
                let at = usize::try_from(tip).unwrap_or(usize::MAX);
                // Files that went meanwhile make a snapshot show a newer state.
                let is_right = truth.refs.get(at..).is_some_and(|since| since.contains(&seen));
                let expected = truth.refs.get(at).cloned().unwrap_or_default();
                // An error of the disk while a file was opened may pass for damage, as long as it is told.
                let is_excused = !snapshot.damage().is_empty() && state.fate.failure > 0;
                drop(state);
                if !is_right && !is_excused {
                    return self.violated(|| format!("a snapshot at {tip} shows {}", differences(&expected, &seen)));
                }
                if !snapshot.damage().is_empty() && !is_excused {
                    return self.violated(|| format!("a snapshot at {tip} tells of damage: {:?}", snapshot.damage()));
                }
            }
            Err(err) => return self.refused(&err),
        }
        if self.held.len() > 2 {
            self.held.remove(0);
        }
        self.held.push(snapshot);
    }

    /// Reads through a snapshot taken earlier what is still named.
    fn look_back(&mut self) {
        if self.held.is_empty() {
            return self.look();
        }
        let snapshot = self.held[self.chance.below(self.held.len())].clone();
        let named: Vec<Id> = {
            let state = self.disk.world.state();
            let at = usize::try_from(snapshot.tip()).unwrap_or(usize::MAX);
            let Some(refs) = state.truth.refs.get(at) else { return };
            targets(refs).into_iter().collect()
        };
        if named.is_empty() {
            return;
        }
        let id = named[self.chance.below(named.len())];
        let read = snapshot.read(&id);
        if self.is_dead() {
            return;
        }
        let state = self.disk.world.state();
        let is_still_named = state.truth.named_since(snapshot.tip()).contains(&id);
        let bytes = state.truth.contents.get(&id).cloned();
        let is_failing = state.fate.failure > 0;
        drop(state);
        match read {
            Ok(Some((_, found))) if Some(&found) == bytes.as_ref() => {}
            Ok(Some(_)) => self.violated(|| format!("the bytes of {id} are others")),
            Ok(None) | Err(_) if !is_still_named || is_failing => {}
            other => {
                self.violated(|| format!("{id} can't be read through a snapshot at {}: {other:?}", snapshot.tip()));
            }
        }
    }

    /// Looks for garbage and takes it away, as `prov gc` does. Frozen in the middle it finds its plan outdated, or goes on.
    fn collect(&mut self) {
        let options = collect::Options { may_write: self.chance.hits(700), orphans: self.chance.hits(600) };
        let Ok(store) = self.open() else { return };
        self.say(|| format!("collects {options:?}"));
        let targets = |key: &[u8], value: &[u8]| Ok(target(key, value).into_iter().collect());
        let done = collect::plan(&store, &targets, options, &Silent, &Cancel::new())
            .and_then(|plan| collect::carry_out(&plan, "gc"));
        self.say(|| format!("is told {done:?}"));
        match done {
            Ok(_) | Err(Error::Outdated) => {}
            Err(err) => self.refused(&err),
        }
    }
}

/// One more than the number is.
fn count(snapshot: &Snapshot) -> Result<RefEdit, Error> {
    let old = snapshot.get_ref(b"counter")?;
    let number: u64 = old.as_deref().and_then(|old| std::str::from_utf8(old).ok()?.parse().ok()).unwrap_or(0);
    let new = (number + 1).to_string().into_bytes();
    Ok(match old {
        None => RefEdit::create(b"counter".to_vec(), new),
        Some(old) => RefEdit::moved(b"counter".to_vec(), old, new),
    })
}

/// All refs that a snapshot shows.
pub(super) fn refs_of(snapshot: &Snapshot) -> Result<Refs, Error> {
    snapshot.scan(b"", Direction::Forward).collect()
}

/// What differs between two states, for people.
pub(super) fn differences(expected: &Refs, seen: &Refs) -> String {
    let mut out = Vec::new();
    for (key, value) in expected {
        match seen.get(key) {
            None => out.push(format!("no {}", show(key))),
            Some(other) if other != value => out.push(format!("another value of {}", show(key))),
            Some(_) => {}
        }
    }
    out.extend(seen.keys().filter(|key| !expected.contains_key(*key)).map(|key| format!("{} too much", show(key))));
    out.join(", ")
}

//! One seed: a world is made, processes work in it, some end badly, others go on, and in the end everything is looked at.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Mutation;
use super::actor::{Actor, Task, contents, differences, refs_of};
use super::chance::Chance;
use super::disk::{Files, ProcessDisk, ROOT};
use super::world::{Fate, NOBODY, State, World};
use crate::fs::Fs;
use crate::object::Source;
use crate::progress::{Cancel, Silent};
use crate::store::backend::Folder;
use crate::store::check::{self, Options, Severity};
use crate::store::entry;
use crate::store::merge::Manner;
use crate::store::repair::{self, Records};
use crate::store::rules::{Changed, Rules};
use crate::store::{Backend, Draft, LocalBackend, MemoryBackend, OpId, RefEdit, Store};

/// Processes of one phase at most.
const MOST_PROCESSES: usize = 5;

/// Bounds of what a seed may bring, to make a failing one smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processes at once.
    pub processes: usize,
    /// Things that one process does.
    pub jobs: usize,
    /// Phases: after one in which processes died, others go on.
    pub phases: usize,
    /// Whether the disk may fail.
    pub failures: bool,
    /// Whether processes may be killed.
    pub kills: bool,
    /// Whether the power may go.
    pub power_loss: bool,
    /// Whether links may be told wrongly.
    pub vague_links: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: MOST_PROCESSES,
            jobs: 9,
            phases: 3,
            failures: true,
            kills: true,
            power_loss: true,
            vague_links: true,
        }
    }
}

/// What was seen in one run.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Steps of all processes.
    pub steps: u64,
    /// Entries that landed.
    pub entries: u64,
    /// Folds among them.
    pub folds: u64,
    /// Whether power was lost.
    pub power_losses: u64,
    /// Two runs with the same one did the same.
    pub fingerprint: u64,
    /// What happened, line by line, if asked for.
    pub trace: Vec<String>,
}

/// A promise that was broken.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Which promise.
    pub what: String,
    /// What led to it, if asked for.
    pub seen: Seen,
}

/// Runs the world of `seed`. `traced`: tells what happened.
///
/// # Errors
/// The first broken promise.
pub fn run(seed: u64, mutation: &Mutation, limits: Limits, traced: bool) -> Result<Seen, Failure> {
    let mut chance = Chance::new(seed, 1);
    let rules = Rules::changed(Changed {
        fold_every: chance.pick(&[1, 1, 2, 3, 4, 5, 7]),
        // Half of the worlds have stores of many files, half of them of few.
        manner: Manner { ratio: 2 + chance.below(3), small: Chance::new(seed, 3).below(2) as u64 * 512 },
        inline_max: chance.pick(&[0, 64, 128, 400]),
        whole_max: chance.pick(&[80, 200, 1 << 20]),
        without: mutation.rules.clone(),
    });
    let files = Files::new(mutation.flaws.clone());
    let state = State::new(Chance::new(seed, 2), Fate::default(), files, traced);
    let world = Arc::new(World::new(state, MOST_PROCESSES));
    prepare(&world, seed, &rules);
    let mut left: Vec<([u8; 16], Task)> = Vec::new();
    let phases = 1 + chance.below(limits.phases);
    let mut name = 0;
    for phase in 0..phases {
        let processes = (2 + chance.below(MOST_PROCESSES - 1)).min(limits.processes);
        let fate = fate(&mut chance, &limits, world.state().steps);
        world.state().fate = fate;
        world.begin(processes);
        let mut shares: Vec<Vec<([u8; 16], Task)>> = vec![Vec::new(); processes];
        for (at, task) in std::mem::take(&mut left).into_iter().enumerate() {
            shares[at % processes].push(task);
        }
        let jobs: Vec<usize> = (0..processes).map(|_| (2 + chance.below(8)).min(limits.jobs)).collect();
        std::thread::scope(|scope| {
            let threads: Vec<_> = shares
                .into_iter()
                .enumerate()
                .map(|(who, share)| {
                    let (world, rules, jobs) = (Arc::clone(&world), rules.clone(), jobs[who]);
                    let name = name + who as u64;
                    scope.spawn(move || {
                        world.enter(who);
                        let done = catch_unwind(AssertUnwindSafe(|| {
                            Actor::new(&world, who, name, seed, &rules).work(share, jobs)
                        }));
                        let unfinished = done.unwrap_or_else(|_| {
                            world.state().violated(|| "the store panicked".to_owned());
                            None
                        });
                        world.leave(who);
                        unfinished
                    })
                })
                .collect();
            for thread in threads {
                if let Ok(Some(unfinished)) = thread.join() {
                    left.push(unfinished);
                }
            }
        });
        name += processes as u64;
        world.state().fate = Fate::default();
        if world.state().violation.is_none() {
            judge(&world, seed, &rules, phase, &mut chance);
        }
        if world.state().violation.is_some() {
            break;
        }
    }
    let world = Arc::into_inner(world);
    let Some(state) = world.map(World::into_state) else {
        return Err(Failure { seed, what: "the world is still held".to_owned(), seen: Seen::default() });
    };
    let seen = Seen {
        steps: state.steps,
        entries: state.truth.tip(),
        folds: state.truth.folds,
        power_losses: u64::from(state.power_lost),
        fingerprint: state.fingerprint,
        trace: state.trace.unwrap_or_default(),
    };
    match state.violation {
        Some(what) => Err(Failure { seed, what, seen }),
        None => Ok(seen),
    }
}

fn fate(chance: &mut Chance, limits: &Limits, steps: u64) -> Fate {
    let mut fate = Fate {
        switch: chance.pick(&[40, 150, 400]),
        freeze: chance.pick(&[0, 20, 80, 200, 350]),
        kill: chance.pick(&[0, 0, 700, 4_000]),
        power_loss: None,
        vague_link: chance.pick(&[0, 150]),
        failure: chance.pick(&[0, 0, 0, 20, 100]),
        lock: chance.hits(200),
        slow_list: chance.pick(&[0, 0, 100, 300, 700]),
    };
    if chance.hits(350) {
        fate.power_loss = Some(steps + 1 + chance.below(900) as u64);
    }
    if !limits.failures {
        fate.failure = 0;
    }
    if !limits.kills {
        fate.kill = 0;
    }
    if !limits.power_loss {
        fate.power_loss = None;
    }
    if !limits.vague_links {
        fate.vague_link = 0;
    }
    fate
}

/// The store as somebody sees it who is alone, now.
fn open(world: &Arc<World>, seed: u64, rules: &Rules, name: &str) -> Result<Store, crate::store::Error> {
    let disk = ProcessDisk { world: Arc::clone(world), who: NOBODY };
    let backend = LocalBackend::named(Fs::on(Arc::new(disk)), ROOT, name.to_owned());
    // Nobody draws the random numbers of another.
    let number = name.bytes().fold(1_000, |sum, byte| sum * 31 + u64::from(byte));
    let told = Actor::new(world, NOBODY, number, seed, rules).world_of();
    Store::open_under(rules.clone(), Arc::new(backend), &told)
}

fn prepare(world: &Arc<World>, seed: u64, rules: &Rules) {
    let disk = ProcessDisk { world: Arc::clone(world), who: NOBODY };
    let backend = LocalBackend::named(Fs::on(Arc::new(disk)), ROOT, "made".to_owned());
    let told = Actor::new(world, NOBODY, 999, seed, rules).world_of();
    let made = Store::create(Arc::new(backend), &told);
    let mut state = world.state();
    state.truth.contents = contents().collect();
    if let Err(err) = made {
        state.violated(|| format!("no store could be made: {err:?}"));
    }
}

/// Looks at everything while nobody is at work: what is there must be the truth, and sound.
fn judge(world: &Arc<World>, seed: u64, rules: &Rules, phase: usize, chance: &mut Chance) {
    let violated = |what: String| world.state().violated(|| what);
    if let Err(what) = is_true(world, seed, rules, &format!("judge{phase}"), true) {
        return violated(what);
    }
    // Damage where the rules allow it: the newest checkpoint, of which there is a copy once it is not entry 0.
    if chance.hits(250) {
        let is_damaged = match open(world, seed, rules, "damager").and_then(|store| store.snapshot()) {
            Ok(snapshot) => damage(world, snapshot.base(), chance),
            Err(err) => return violated(format!("no snapshot: {err:?}")),
        };
        if is_damaged && let Err(what) = is_true(world, seed, rules, &format!("damaged{phase}"), false) {
            return violated(format!("after damage of the checkpoint: {what}"));
        }
        if is_damaged && let Err(what) = mend(world, seed, rules, phase) {
            return violated(format!("after damage of the checkpoint: {what}"));
        }
    }
    // Damage of any file, and a copy of the store to repair it from.
    if chance.hits(250)
        && let Err(what) = damage_and_repair(world, seed, rules, phase, chance)
    {
        violated(format!("after damage and repair: {what}"));
    }
}

/// A copy of everything that lies in the store, elsewhere.
fn copy_of(store: &Store) -> Result<Store, String> {
    let told = |err: crate::store::BackendError| format!("{err:?}");
    let copy = MemoryBackend::new();
    for folder in [Folder::Log, Folder::Packs, Folder::Tables, Folder::History] {
        for name in store.backend().names(folder).map_err(told)? {
            let bytes = store.backend().read(folder, &name).map_err(told)?;
            copy.overwrite(folder, &name, bytes);
        }
    }
    let format = store.backend().read_format().map_err(told)?.unwrap_or_default();
    copy.create_format(&format).map_err(told)?;
    Store::open(Arc::new(copy), store.world()).map_err(|err| format!("{err:?}"))
}

/// What repair has to know about the refs of this world.
struct Meaning;

impl Records for Meaning {
    fn targets(&self, key: &[u8], value: &[u8]) -> Result<Vec<crate::hash::Id>, String> {
        Ok(super::truth::target(key, value).into_iter().collect())
    }

    fn refs_of(&self, _: &crate::hash::Id, _: &crate::object::Kind, _: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }

    fn unranked(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn is_newer(&self, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        false
    }

    fn is_in_history(&self, _: &[u8]) -> bool {
        false
    }
}

/// Damages one to three files of the state, and repairs them from a copy: then all must be as it was.
fn damage_and_repair(
    world: &Arc<World>,
    seed: u64,
    rules: &Rules,
    phase: usize,
    chance: &mut Chance,
) -> Result<(), String> {
    let store = open(world, seed, rules, &format!("spoiler{phase}")).map_err(|err| format!("{err:?}"))?;
    let snapshot = store.snapshot().map_err(|err| format!("{err:?}"))?;
    let copy = copy_of(&store)?;
    let state = snapshot.state();
    let mut files: Vec<(Folder, String)> = Vec::new();
    // The newest entry is named by nothing: without it the log is sound, and one entry shorter.
    files.extend((snapshot.base()..snapshot.tip()).map(|number| (Folder::Log, entry::name(number))));
    let live = state.packs.iter().filter(|row| state.is_live(&row.name()));
    files.extend(live.map(|row| (Folder::Packs, Folder::Packs.file(&row.name()))));
    files.extend(state.tables.iter().map(|row| (Folder::Tables, Folder::Tables.file(&row.name()))));
    files.extend(state.history.iter().map(|row| (Folder::History, Folder::History.file(&row.name()))));
    if files.is_empty() {
        return Ok(());
    }
    for _ in 0..=chance.below(3) {
        let (folder, name) = files[chance.below(files.len())].clone();
        let mut state = world.state();
        state.note(NOBODY, || format!("{folder}/{name} is damaged"));
        state.files.damage(folder, &name, chance);
    }
    let store = open(world, seed, rules, &format!("repairer{phase}")).map_err(|err| format!("{err:?}"))?;
    let others = [copy];
    let cancel = Cancel::new();
    let options =
        repair::Options { records: &Meaning, others: &others, restore: None, command: "repair", cancel: &cancel };
    let targets = |key: &[u8], value: &[u8]| Ok(super::truth::target(key, value).into_iter().collect());
    for _ in 0..3 {
        let report = check::check(&store, &Silent, &Options::default().with_targets(&targets));
        if report.is_sound() {
            break;
        }
        repair::repair(&store, &report, &options).map_err(|err| format!("{err:?}"))?;
    }
    is_true(world, seed, rules, &format!("repaired{phase}"), true)
}

fn damage(world: &Arc<World>, base: u64, chance: &mut Chance) -> bool {
    let mut state = world.state();
    // A missing entry below the only ones that are left could not be told from a folded one.
    let name = entry::name(base);
    if base == 0 || base == state.truth.tip() {
        return false;
    }
    state.note(NOBODY, || format!("the checkpoint {base} is damaged"));
    state.files.damage(Folder::Log, &name, chance);
    true
}

/// Publishes until the next fold has taken the place of the damaged one.
fn mend(world: &Arc<World>, seed: u64, rules: &Rules, phase: usize) -> Result<(), String> {
    let store = open(world, seed, rules, &format!("mender{phase}")).map_err(|err| format!("{err:?}"))?;
    for i in 0..=rules.fold_every() {
        let edit = RefEdit::set(b"free/mended".to_vec(), vec![i.to_le_bytes()[0]]);
        let op = OpId::new(&*store.world().random);
        let build = &mut |_: &crate::store::Snapshot| {
            Ok::<_, crate::store::Error>(Some(Draft { edits: vec![edit.clone()], ..Draft::default() }))
        };
        store.publish(op, "mend", build).map_err(|err| format!("{err:?}"))?;
    }
    is_true(world, seed, rules, &format!("mended{phase}"), true)
}

/// Whether a newcomer sees exactly the truth, can read all that is named, and finds nothing damaged.
fn is_true(world: &Arc<World>, seed: u64, rules: &Rules, name: &str, is_sound: bool) -> Result<(), String> {
    let store = open(world, seed, rules, name).map_err(|err| format!("the store can't be opened: {err:?}"))?;
    let snapshot = store.snapshot().map_err(|err| format!("no snapshot: {err:?}"))?;
    let (tip, expected) = {
        let state = world.state();
        (state.truth.tip(), state.truth.now().clone())
    };
    if snapshot.tip() != tip {
        return Err(format!("the newest entry is {tip}, a newcomer sees {}", snapshot.tip()));
    }
    let seen = refs_of(&snapshot).map_err(|err| format!("refs can't be read: {err:?}"))?;
    if seen != expected {
        return Err(format!("a newcomer sees {}", differences(&expected, &seen)));
    }
    for id in super::truth::targets(&expected) {
        let right = world.state().truth.contents.get(&id).cloned();
        match snapshot.read(&id) {
            Ok(Some((_, bytes))) if Some(&bytes) == right.as_ref() => {}
            other => return Err(format!("{id} is named and can't be read: {other:?}")),
        }
    }
    if is_sound {
        if !snapshot.damage().is_empty() {
            return Err(format!("damage: {:?}", snapshot.damage()));
        }
        let targets = |key: &[u8], value: &[u8]| Ok(super::truth::target(key, value).into_iter().collect());
        let report = check::check(&store, &Silent, &Options::default().with_targets(&targets));
        if let Some(bad) = report.findings.iter().find(|finding| finding.severity == Severity::Error) {
            return Err(format!("check finds {} {}: {}", bad.code, bad.file.as_deref().unwrap_or(""), bad.message));
        }
    }
    Ok(())
}

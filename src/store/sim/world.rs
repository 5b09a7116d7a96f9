//! Several processes of which exactly one runs at any moment: each call to the disk is a point where another may go on, where the
//! process may freeze for long, or where it ends.
//!
//! Every process has a thread of its own, and a baton goes round; who gets it is decided by the seed alone, so a run can be repeated.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::chance::Chance;
use super::disk::Files;
use super::truth::Truth;

/// Steps after which a run has come to nothing: somebody waits for something that never happens.
const MOST_STEPS: u64 = 60_000;

/// Who acts between the phases, alone and unharmed.
pub(super) const NOBODY: usize = usize::MAX;

/// What is going to happen, drawn from the seed.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    /// In so many of a thousand calls another process goes on.
    pub(super) switch: u32,
    /// In so many of a thousand tender moments a process freezes.
    pub(super) freeze: u32,
    /// In so many of a million calls a process is killed.
    pub(super) kill: u32,
    /// The step at which the power goes.
    pub(super) power_loss: Option<u64>,
    /// In so many of a thousand links the outcome is not told, or told wrongly.
    pub(super) vague_link: u32,
    /// In so many of ten thousand effects the disk reports an error.
    pub(super) failure: u32,
    /// In so many of a thousand listings of the log others go on meanwhile, for long.
    pub(super) slow_list: u32,
    /// Whether the advisory lock works.
    pub(super) lock: bool,
}

/// How tender a moment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heat {
    Cold,
    /// Tender now and then.
    Warm,
    Hot,
}

#[derive(Debug, Clone, Copy, Default)]
struct Process {
    is_over: bool,
    is_dead: bool,
    wakes_at: u64,
}

/// Everything there is, behind one lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) chance: Chance,
    pub(super) fate: Fate,
    pub(super) files: Files,
    pub(super) truth: Truth,
    /// The first broken promise.
    pub(super) violation: Option<String>,
    /// What happened, if anybody wants to know.
    pub(super) trace: Option<Vec<String>>,
    /// Something of everything that happened, to see that two runs are one.
    pub(super) fingerprint: u64,
    pub(super) steps: u64,
    pub(super) power_lost: bool,
    pub(super) lock_holder: Option<usize>,
    processes: Vec<Process>,
    current: usize,
}

#[derive(Debug)]
pub(super) struct World {
    state: Mutex<State>,
    turns: Vec<Condvar>,
}

fn dead() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl State {
    pub(super) fn violated(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let what = what();
            self.note(NOBODY, || format!("VIOLATION: {what}"));
            self.violation = Some(what);
            self.end_all();
        }
    }

    pub(super) fn note(&mut self, who: usize, what: impl FnOnce() -> String) {
        let step = self.steps;
        self.fingerprint = (self.fingerprint ^ step ^ ((who as u64) << 32)).wrapping_mul(0x0100_0000_01b3);
        if let Some(trace) = &mut self.trace {
            let who = if who == NOBODY { "--".to_owned() } else { format!("p{who}") };
            trace.push(format!("{step:>6} {who} {}", what()));
        }
    }

    fn end_all(&mut self) {
        for process in &mut self.processes {
            process.is_dead = true;
        }
    }

    pub(super) fn is_dead(&self, who: usize) -> bool {
        self.processes.get(who).is_some_and(|process| process.is_dead)
    }

    /// Lets a process rest for some steps.
    pub(super) fn rest(&mut self, who: usize, steps: u64) {
        if let Some(process) = self.processes.get_mut(who) {
            process.wakes_at = self.steps + steps;
        }
    }

    fn next(&mut self) -> Option<usize> {
        let all: Vec<usize> = (0..self.processes.len()).filter(|&p| !self.processes[p].is_over).collect();
        let awake: Vec<usize> = all.iter().copied().filter(|&p| self.processes[p].wakes_at <= self.steps).collect();
        let of = if awake.is_empty() { all } else { awake };
        if of.is_empty() { None } else { Some(self.chance.pick(&of)) }
    }
}

impl World {
    pub(super) fn new(state: State, most_processes: usize) -> Self {
        Self { state: Mutex::new(state), turns: (0..=most_processes).map(|_| Condvar::new()).collect() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn into_state(self) -> State {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a phase with so many processes; each waits for its turn first.
    pub(super) fn begin(&self, processes: usize) {
        let mut state = self.state();
        state.processes = vec![Process::default(); processes];
        state.lock_holder = None;
        state.current = state.next().unwrap_or(NOBODY);
    }

    /// Waits until it is this process's turn for the first time.
    pub(super) fn enter(&self, who: usize) {
        let mut state = self.state();
        while state.current != who {
            state = self.turns[who].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A process is done, or dead.
    pub(super) fn leave(&self, who: usize) {
        let mut state = self.state();
        state.processes[who].is_over = true;
        if state.lock_holder == Some(who) {
            state.lock_holder = None;
        }
        state.note(who, || "is gone".to_owned());
        state.current = state.next().unwrap_or(NOBODY);
        if let Some(turn) = self.turns.get(state.current) {
            turn.notify_one();
        }
    }

    /// A call that others may come before. An error if the process is dead: nothing it does has an effect any more.
    pub(super) fn step(&self, who: usize, heat: Heat) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.alive(who)?;
        if who == NOBODY {
            return Ok(state);
        }
        state.steps += 1;
        if state.steps > MOST_STEPS {
            state.violated(|| format!("no end after {MOST_STEPS} steps"));
        }
        if state.fate.power_loss == Some(state.steps) {
            state.note(NOBODY, || "the power goes".to_owned());
            state.power_lost = true;
            state.lose_power();
            state.end_all();
        }
        let kill = state.fate.kill;
        if kill > 0 && state.chance.next() % 1_000_000 < u64::from(kill) {
            state.note(who, || "is killed".to_owned());
            state.processes[who].is_dead = true;
        }
        if state.is_dead(who) {
            return Err(dead());
        }
        let is_tender = match heat {
            Heat::Cold => false,
            Heat::Warm => state.chance.hits(300),
            Heat::Hot => true,
        };
        let freeze = state.fate.freeze;
        if is_tender && state.chance.hits(freeze) {
            let steps = state.chance.pick(&[15, 60, 200, 800]);
            state.note(who, || format!("freezes for {steps}"));
            state.rest(who, steps);
        } else if state.chance.hits(8) {
            let steps = state.chance.pick(&[10, 50, 200, 800]);
            state.rest(who, steps);
        }
        let switch = state.fate.switch;
        if state.processes[who].wakes_at > state.steps || state.chance.hits(switch) {
            return self.pass_on(state, who);
        }
        Ok(state)
    }

    fn pass_on<'a>(&'a self, mut state: MutexGuard<'a, State>, who: usize) -> io::Result<MutexGuard<'a, State>> {
        let next = state.next().unwrap_or(who);
        if next != who {
            state.current = next;
            self.turns[next].notify_one();
            while state.current != who {
                state = self.turns[who].wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if state.is_dead(who) { Err(dead()) } else { Ok(state) }
    }

    /// A call that nobody else can notice.
    pub(super) fn alive(&self, who: usize) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.is_dead(who) { Err(dead()) } else { Ok(state) }
    }
}

impl State {
    pub(super) fn new(chance: Chance, fate: Fate, files: Files, is_traced: bool) -> Self {
        Self {
            chance,
            fate,
            files,
            truth: Truth::default(),
            violation: None,
            trace: is_traced.then(Vec::new),
            fingerprint: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            power_lost: false,
            lock_holder: None,
            processes: Vec::new(),
            current: NOBODY,
        }
    }

    /// Everything that was not made durable is gone, in part or whole.
    pub(super) fn lose_power(&mut self) {
        self.files.lose_power(&mut self.chance);
        let newest = self.files.newest_entry();
        if let Some(lost) = self.truth.cut_to(newest) {
            self.violated(|| lost);
        }
    }
}

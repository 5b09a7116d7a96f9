//! Looking up tasks before it is their turn, on all processors.
//!
//! Where nothing changed, a pipeline is one look-up after the other, and each waits only to be told that what is before it is known as
//! well. So while one known result follows the other, the next ones are looked up together, more of them the longer it goes on.
//!
//! **Why it is exact.** A look-up says what is known of a task as files, store and settings are at some moment between its start and its
//! answer. What was looked up ahead is taken only if nothing in this run can have made a difference between that moment and the task's
//! turn: no task was executed, brought back or begun in between (all that ended were known results, which leave every file as it is), no
//! value that the task is told came in, and not more than [`FRESH`] went by, because others write too: as long as look-ups that follow on
//! one another share what they saw anyway ([`crate::run::Session::something_ended`]). Then the task's own look-up, begun at its turn, could
//! have given the same answer. Only known results are taken; whatever else came of it is looked up again at its turn.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::work::{Ended, Work};
use crate::clock::Micros;
use crate::pipeline::plan::{Plan, TaskId};

/// How long what was found is believed.
const FRESH: Duration = Duration::from_millis(100);

/// Known results in a row before anything is looked up ahead: where something has to be executed, most of it would be for nothing.
const AFTER: usize = 8;

/// Tasks that are looked up ahead, at most. More would not be fresh any more when it is their turn.
const MOST: usize = 64;

/// Threads that look ahead, at most. The one that drives the pipeline looks up what it needs besides.
const THREADS: usize = 3;

/// How a task is looked up.
pub(super) type Look<'a> = &'a (dyn Fn(&mut Work) -> Option<Ended> + Sync);

/// What there is of a task whose turn it is.
#[derive(Debug)]
pub(super) enum Taken {
    /// Its known result.
    Known(Box<Ended>),
    /// It was made ready, and nobody looked yet.
    Ready(Box<Work>),
}

/// Tasks to look up ahead of time, and what was found. Shared by those who look.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    state: Mutex<State>,
    /// Rung for those who look when there is something to do, and for the driver when something was found that it waits for.
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Grows when what is being looked up does not count any more.
    epoch: u64,
    queue: VecDeque<Work>,
    /// Those that are being looked up.
    busy: Vec<TaskId>,
    /// What was found, and when looking for it began.
    found: HashMap<TaskId, (Instant, Option<Ended>)>,
    idle: usize,
    awaited: Option<TaskId>,
    is_closed: bool,
}

impl State {
    fn forget(&mut self) {
        self.epoch += 1;
        self.queue.clear();
        self.busy.clear();
        self.found.clear();
    }

    /// Takes what came of a look, unless it does not count any more.
    fn found(&mut self, epoch: u64, id: TaskId, since: Instant, ended: Option<Ended>) {
        if self.epoch == epoch {
            self.busy.retain(|other| *other != id);
            self.found.insert(id, (since, ended));
        }
    }
}

impl Ahead {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under this lock, and each statement leaves a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up what there is to look up, until there will be nothing more. `look` does not panic.
    pub(super) fn work(&self, look: Look<'_>) {
        let mut state = self.state();
        while !state.is_closed {
            let Some(mut work) = state.queue.pop_front() else {
                state.idle += 1;
                state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            let (epoch, id) = (state.epoch, work.id);
            state.busy.push(id);
            drop(state);
            let since = Instant::now();
            let ended = look(&mut work);
            drop(work);
            state = self.state();
            state.found(epoch, id, since, ended);
            if state.awaited == Some(id) {
                self.bell.notify_all();
            }
        }
    }

    /// Nothing more is to be looked up.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.forget();
        drop(state);
        self.bell.notify_all();
    }

    /// What was found of a task, and when, or what is ready to be looked up; `None` if there is neither, or nothing is known. Waits for who
    /// is looking, and looks for others meanwhile.
    fn take(&self, id: TaskId, look: Look<'_>) -> Option<(Instant, Taken)> {
        let mut state = self.state();
        loop {
            if let Some((since, ended)) = state.found.remove(&id) {
                return Some((since, Taken::Known(Box::new(ended?))));
            }
            if !state.busy.contains(&id) {
                // Whoever asks looks for it now.
                let at = state.queue.iter().position(|work| work.id == id)?;
                return state.queue.remove(at).map(|work| (Instant::now(), Taken::Ready(Box::new(work))));
            }
            if let Some(mut work) = state.queue.pop_front() {
                let epoch = state.epoch;
                drop(state);
                let since = Instant::now();
                let ended = look(&mut work);
                state = self.state();
                state.found(epoch, work.id, since, ended);
            } else {
                state.awaited = Some(id);
                state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.awaited = None;
            }
        }
    }

    /// Tasks that were added and not taken yet.
    fn open(&self) -> usize {
        let state = self.state();
        state.queue.len() + state.busy.len() + state.found.len()
    }

    /// Adds tasks.
    fn add(&self, works: Vec<Work>) {
        let mut state = self.state();
        state.queue.extend(works);
        let is_waited_for = state.idle > 0;
        drop(state);
        if is_waited_for {
            self.bell.notify_all();
        }
    }
}

/// Which tasks are looked up ahead, and when: what the driver knows of it.
#[derive(Debug)]
pub(super) struct Lookout<'a> {
    ahead: &'a Ahead,
    /// The tasks in the order in which they come where all are known, and the place of each in it, once that is needed.
    order: Option<(Vec<TaskId>, Vec<usize>)>,
    /// How far in that order tasks were given away.
    at: usize,
    /// Known results in a row.
    streak: usize,
    /// Tasks that may be given away and not taken yet.
    most: usize,
    /// Threads that look, once they were started.
    threads: Option<usize>,
}

impl<'a> Lookout<'a> {
    /// Nothing was looked at.
    pub(super) fn new(ahead: &'a Ahead) -> Self {
        Self { ahead, order: None, at: 0, streak: 0, most: MOST, threads: None }
    }

    /// A task was a known result.
    pub(super) fn was_known(&mut self) {
        self.streak += 1;
    }

    /// Something is begun that may change files: what was found does not hold any more.
    pub(super) fn forget(&mut self) {
        self.streak = 0;
        self.ahead.state().forget();
    }

    /// What was found of a task, if that still holds; as if it had been found just now. Or what is ready to be looked up.
    pub(super) fn take(&mut self, id: TaskId, now: &dyn Fn() -> Micros, look: Look<'_>) -> Option<Taken> {
        let (since, taken) = self.ahead.take(id, look)?;
        let Taken::Known(mut ended) = taken else { return Some(taken) };
        if since.elapsed() > FRESH {
            // Where it takes that long, less is looked up ahead.
            self.most = (self.most / 2).max(1);
            return None;
        }
        let (now, took) = (now(), ended.finished_at.0.saturating_sub(ended.started_at.0));
        ended.started_at = Micros(now.0.saturating_sub(took));
        ended.finished_at = now;
        Some(Taken::Known(ended))
    }

    /// Gives away tasks that come after `id`, if it is time to. `work_of` makes them ready, `None` of those that can't be looked up before
    /// their turn; `start` starts a thread that looks, and says whether there is one.
    pub(super) fn give(
        &mut self,
        plan: &Plan,
        id: TaskId,
        work_of: &mut dyn FnMut(TaskId) -> Option<Work>,
        start: &dyn Fn() -> bool,
    ) {
        let most = self.most.min(self.streak);
        if self.streak < AFTER || self.threads == Some(0) {
            return;
        }
        let open = self.ahead.open();
        if open > most / 2 {
            return;
        }
        let (order, places) = self.order.get_or_insert_with(|| {
            let order = in_order(plan);
            let mut places = vec![0; plan.tasks.len()];
            for (place, id) in order.iter().enumerate() {
                places[id.0] = place;
            }
            (order, places)
        });
        // Those that come out of this order are looked up at their turn.
        let Some(place) = places.get(id.0) else { return };
        self.at = self.at.max(place + 1);
        if self.threads.is_none() {
            let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let wanted = processors.saturating_sub(1).min(THREADS);
            self.threads = Some((0..wanted).take_while(|_| start()).count());
        }
        let mut works = Vec::new();
        while open + works.len() < most
            && let Some(&next) = order.get(self.at)
        {
            self.at += 1;
            works.extend(work_of(next));
        }
        self.ahead.add(works);
    }
}

/// The tasks of a plan in the order in which they start where each takes no time: of those that can start, that which comes first.
fn in_order(plan: &Plan) -> Vec<TaskId> {
    let mut open = vec![0_usize; plan.tasks.len()];
    let mut next: Vec<Vec<TaskId>> = vec![Vec::new(); plan.tasks.len()];
    for edge in plan.edges.iter().filter(|edge| edge.is_obeyed) {
        open[edge.to.0] += 1;
        next[edge.from.0].push(edge.to);
    }
    let mut ready: BinaryHeap<Reverse<TaskId>> =
        plan.tasks.iter().map(|task| task.id).filter(|id| open[id.0] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(open.len());
    while let Some(Reverse(id)) = ready.pop() {
        order.push(id);
        for after in std::mem::take(&mut next[id.0]) {
            open[after.0] -= 1;
            if open[after.0] == 0 {
                ready.push(Reverse(after));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::object::run::Status;
    use crate::pipeline::file::{Given, Options, parse};
    use crate::pipeline::state::End;

    fn plan(text: &str) -> Plan {
        let (pipeline, mut findings) = parse(Path::new("prov.yaml"), None, text.as_bytes()).unwrap();
        let options = Options::resolve(&pipeline, &Given::default(), Path::new("/w")).unwrap();
        Plan::build(&pipeline, &options, BTreeMap::new(), &mut findings).unwrap()
    }

    fn known(id: TaskId) -> Ended {
        Ended {
            id,
            end: End::Hit,
            may_pass: false,
            run: None,
            is_new: false,
            started_at: Micros(100),
            finished_at: Micros(130),
            error: None,
            status: Status::Success,
            why: String::new(),
            took_us: 7,
            made: Vec::new(),
            provided: Vec::new(),
            checks: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn tasks_come_in_the_order_in_which_they_start() {
        let text = "steps:\n  s:\n    - {name: a, run: [x], requires: [d]}\n    - {name: b, run: [x]}\n    - {name: c, run: [x], requires: \
                    [b]}\n    - {name: d, run: [x]}\n";
        let plan = plan(text);
        let names: Vec<&str> = in_order(&plan).into_iter().map(|id| plan.task(id).name.as_str()).collect();
        assert_eq!(names, ["b", "c", "d", "a"]);
    }

    #[test]
    fn what_was_found_is_taken_once_as_if_found_now_and_not_for_long() {
        let ahead = Ahead::default();
        let mut lookout = Lookout::new(&ahead);
        let look = |_: &mut Work| -> Option<Ended> { unreachable!("nothing waits to be looked up") };
        let found = |at: usize, since: Instant| {
            let id = TaskId(at);
            let epoch = ahead.state().epoch;
            ahead.state().found(epoch, id, since, Some(known(id)));
        };
        let now = || Micros(500);
        found(0, Instant::now());
        found(2, Instant::now());
        let Some(Taken::Known(taken)) = lookout.take(TaskId(0), &now, &look) else { panic!("it was found") };
        assert_eq!((taken.started_at, taken.finished_at, taken.took_us), (Micros(470), Micros(500), 7));
        assert!(lookout.take(TaskId(0), &now, &look).is_none());
        if let Some(old) = Instant::now().checked_sub(FRESH * 2) {
            found(1, old);
            assert!(lookout.take(TaskId(1), &now, &look).is_none());
            assert_eq!(lookout.most, MOST / 2);
        }
        lookout.forget();
        assert!(lookout.take(TaskId(2), &now, &look).is_none());
    }

    #[test]
    fn what_is_looked_up_while_something_begins_does_not_count() {
        let ahead = Ahead::default();
        let mut lookout = Lookout::new(&ahead);
        let epoch = ahead.state().epoch;
        ahead.state().busy.push(TaskId(3));
        lookout.forget();
        ahead.state().found(epoch, TaskId(3), Instant::now(), Some(known(TaskId(3))));
        let look = |_: &mut Work| -> Option<Ended> { unreachable!("nothing waits to be looked up") };
        assert!(lookout.take(TaskId(3), &|| Micros(1), &look).is_none());
        assert_eq!(ahead.open(), 0);
    }
}

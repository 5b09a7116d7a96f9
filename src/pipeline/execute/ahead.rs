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
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::work::{Ended, Work};
use crate::clock::Micros;
use crate::pipeline::plan::{Plan, TaskId};

/// How long what was found is believed.
const FRESH: Duration = Duration::from_millis(100);

/// Known results in a row before anything is looked up ahead: where something has to be executed, most of it would be for nothing.
const AFTER: usize = 8;

/// Tasks that are looked up together, at most. More would not be fresh any more when it is their turn.
const MOST: usize = 128;

/// Tasks that one thread looks up at least, so that sharing them out costs little beside that.
const SHARE: usize = 4;

/// How a task is looked up.
pub(super) type Look<'a> = &'a (dyn Fn(&mut Work) -> Option<Ended> + Sync);

/// What was found ahead of time.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The tasks in the order in which they come where all are known, once it is needed, and how many of them were looked at.
    order: Option<Vec<TaskId>>,
    at: usize,
    /// Known results in a row.
    streak: usize,
    found: HashMap<TaskId, (Instant, Ended)>,
}

impl Ahead {
    /// A task was a known result.
    pub(super) fn was_known(&mut self) {
        self.streak += 1;
    }

    /// Something is begun that may change files: what was found does not hold any more.
    pub(super) fn forget(&mut self) {
        self.streak = 0;
        self.found.clear();
    }

    /// What was found of a task, if that still holds; as if it had been found just now.
    pub(super) fn take(&mut self, id: TaskId, now: Micros) -> Option<Ended> {
        let (since, mut ended) = self.found.remove(&id)?;
        if since.elapsed() > FRESH {
            return None;
        }
        let took = ended.finished_at.0.saturating_sub(ended.started_at.0);
        ended.started_at = Micros(now.0.saturating_sub(took));
        ended.finished_at = now;
        Some(ended)
    }

    /// Looks up `first` and tasks that come after it, if it is time to. `work_of` makes them ready; `None` of those that can't be looked up
    /// before their turn.
    pub(super) fn look(
        &mut self,
        plan: &Plan,
        first: TaskId,
        look: Look<'_>,
        work_of: &mut dyn FnMut(TaskId) -> Option<Work>,
    ) {
        if self.streak < AFTER || rayon::current_num_threads() < 2 {
            return;
        }
        let order = self.order.get_or_insert_with(|| in_order(plan));
        // One that comes out of this order costs a look-up of its own, and nothing more.
        let Some(skipped) = order[self.at..].iter().position(|id| *id == first) else { return };
        self.at += skipped;
        let most = self.streak.min(MOST);
        let mut works: Vec<Work> = Vec::with_capacity(most);
        while works.len() < most
            && let Some(&id) = order.get(self.at)
        {
            self.at += 1;
            works.extend(work_of(id));
        }
        let since = Instant::now();
        let looked = works.into_par_iter().with_min_len(SHARE).filter_map(|mut work| Some((work.id, look(&mut work)?)));
        let looked: Vec<(TaskId, Ended)> = looked.collect();
        self.found.extend(looked.into_iter().map(|(id, ended)| (id, (since, ended))));
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
        let mut ahead = Ahead::default();
        for at in 0..3 {
            ahead.found.insert(TaskId(at), (Instant::now(), known(TaskId(at))));
        }
        let taken = ahead.take(TaskId(0), Micros(500)).unwrap();
        assert_eq!((taken.started_at, taken.finished_at, taken.took_us), (Micros(470), Micros(500), 7));
        assert!(ahead.take(TaskId(0), Micros(500)).is_none());
        if let Some(old) = Instant::now().checked_sub(FRESH * 2) {
            ahead.found.get_mut(&TaskId(1)).unwrap().0 = old;
            assert!(ahead.take(TaskId(1), Micros(500)).is_none());
        }
        ahead.forget();
        assert!(ahead.take(TaskId(2), Micros(500)).is_none());
    }
}

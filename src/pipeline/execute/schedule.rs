//! What may start, what waits, what is over: pure bookkeeping over a plan.
//!
//! A task starts when the task that made it has run, everything that it waits for has ended well, the steps that its step needs are done,
//! and there is room: a place, and enough of each shared resource. Whatever is not selected counts as done.

use std::collections::{BTreeMap, BTreeSet};

use crate::pipeline::plan::{Kind, Plan, Task, TaskId, Why};
use crate::pipeline::state::{End, Event, Machine, Misfit, State};
use crate::pipeline::task::Builtin;

/// How it stands with every task and step.
#[derive(Debug)]
pub struct Schedule {
    machines: Vec<Machine>,
    is_selected: Vec<bool>,
    parents: Vec<Option<TaskId>>,
    steps_of: Vec<usize>,
    /// What each task still waits for: tasks that are not done, and the task that makes it.
    open: Vec<usize>,
    /// Who waits for the end of each task.
    next: Vec<Vec<TaskId>>,
    /// Who waits for the run of each task.
    made: Vec<Vec<TaskId>>,
    has_run: Vec<bool>,
    /// Why a task never starts: the task that did not end well.
    blocked_by: Vec<Option<TaskId>>,
    steps: Vec<StepState>,
    ready: BTreeSet<TaskId>,
    /// Those that are ready and take no place.
    light: BTreeSet<TaskId>,
    is_light: Vec<bool>,
    edges_seen: usize,
    free: usize,
    resources: BTreeMap<String, u64>,
    is_stopping: bool,
    running: usize,
}

#[derive(Debug, Default)]
struct StepState {
    /// Selected tasks that are not done.
    open: usize,
    /// Needed steps that are not done.
    waits: usize,
    next: Vec<usize>,
    is_bad: bool,
    has_begun: bool,
    /// Tasks that wait for nothing but the steps that this one needs.
    held: Vec<TaskId>,
}

/// What came of an event, beyond the task itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Tasks that are over now, in order: the task itself, those it blocks, and those that made it.
    pub done: Vec<TaskId>,
    /// Steps that are over now.
    pub steps: Vec<usize>,
}

impl Schedule {
    /// Nothing has started. `places` is how many tasks may be under way at once.
    pub fn new(plan: &Plan, is_selected: Vec<bool>, places: usize) -> Self {
        let mut schedule = Self {
            machines: Vec::new(),
            is_selected,
            parents: Vec::new(),
            steps_of: Vec::new(),
            open: Vec::new(),
            next: Vec::new(),
            made: Vec::new(),
            has_run: Vec::new(),
            blocked_by: Vec::new(),
            steps: plan.steps.iter().map(|_| StepState::default()).collect(),
            ready: BTreeSet::new(),
            light: BTreeSet::new(),
            is_light: Vec::new(),
            edges_seen: 0,
            free: places.max(1),
            resources: plan.resources.clone(),
            is_stopping: false,
            running: 0,
        };
        schedule.grow(plan);
        for (number, step) in plan.steps.iter().enumerate() {
            for &other in &step.needs {
                if schedule.steps[other].open > 0 {
                    schedule.steps[number].waits += 1;
                    schedule.steps[other].next.push(number);
                }
            }
        }
        schedule.look(0);
        schedule
    }

    /// Takes in the tasks of the plan that were not there before.
    fn grow(&mut self, plan: &Plan) {
        let first = self.machines.len();
        self.is_selected.resize(plan.tasks.len(), true);
        for task in &plan.tasks[first..] {
            let children = task.children.iter().filter(|id| self.is_selected[id.0]).count();
            self.machines.push(Machine::with_subtasks(children));
            self.is_light.push(is_light(task));
            self.parents.push(task.parent);
            self.steps_of.push(task.step);
            self.open.push(0);
            self.next.push(Vec::new());
            self.made.push(Vec::new());
            self.has_run.push(false);
            self.blocked_by.push(None);
            if self.is_selected[task.id.0] {
                self.steps[task.step].open += 1;
            }
        }
        let mut seen: BTreeSet<(TaskId, TaskId, bool)> = BTreeSet::new();
        for edge in &plan.edges[self.edges_seen..] {
            let is_made = edge.why == Why::Made;
            let counts = edge.is_obeyed && self.is_selected[edge.from.0] && self.is_selected[edge.to.0];
            if !counts || !seen.insert((edge.from, edge.to, is_made)) {
                continue;
            }
            if is_made {
                if !self.has_run[edge.from.0] {
                    self.open[edge.to.0] += 1;
                    self.made[edge.from.0].push(edge.to);
                }
            } else {
                match self.machines[edge.from.0].end() {
                    None => {
                        self.open[edge.to.0] += 1;
                        self.next[edge.from.0].push(edge.to);
                    }
                    Some(end) if !end.is_good() => {
                        // It can't start any more; it is told when its maker has run.
                        self.blocked_by[edge.to.0] = Some(edge.from);
                    }
                    Some(_) => {}
                }
            }
        }
        self.edges_seen = plan.edges.len();
    }

    /// Finds those from number `first` on that are ready.
    fn look(&mut self, first: usize) {
        for at in first..self.machines.len() {
            let id = TaskId(at);
            if self.is_selected[at] && self.open[at] == 0 && self.state(id) == State::PendingRun {
                self.is_ready(id);
            }
        }
    }

    fn is_ready(&mut self, id: TaskId) {
        let step = &mut self.steps[self.steps_of[id.0]];
        if step.waits > 0 {
            step.held.push(id);
        } else {
            self.insert(id);
        }
    }

    fn insert(&mut self, id: TaskId) {
        let set = if self.is_light[id.0] { &mut self.light } else { &mut self.ready };
        set.insert(id);
    }

    /// Where a task is.
    pub fn state(&self, id: TaskId) -> State {
        self.machines[id.0].state()
    }

    /// How often a task was started.
    pub fn attempts(&self, id: TaskId) -> u32 {
        self.machines[id.0].attempts()
    }

    /// Whether a task is to be done at all.
    pub fn is_selected(&self, id: TaskId) -> bool {
        self.is_selected[id.0]
    }

    /// The task because of which this one never started.
    pub fn blocked_by(&self, id: TaskId) -> Option<TaskId> {
        self.blocked_by[id.0]
    }

    /// How many tasks are under way.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Whether any task of the step was started.
    pub fn has_begun(&self, step: usize) -> bool {
        self.steps[step].has_begun
    }

    /// Whether no more tasks are started.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// From now on nothing is started.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether nothing runs and nothing will.
    pub fn is_over(&self) -> bool {
        self.running == 0 && (self.is_stopping || self.ready.is_empty() && self.light.is_empty())
    }

    fn next(&self, plan: &Plan) -> Option<TaskId> {
        // What nobody declared can't be counted.
        let fits = |(name, amount): &(String, u64)| self.resources.get(name).is_none_or(|free| amount <= free);
        match self.light.first() {
            Some(id) => Some(*id),
            None if self.free == 0 => None,
            None => self.ready.iter().copied().find(|id| plan.task(*id).settings.resources.iter().all(fits)),
        }
    }

    /// Whether [`Schedule::start`] would give a task.
    pub fn can_start(&self, plan: &Plan) -> bool {
        !self.is_stopping && self.next(plan).is_some()
    }

    /// The next task that can start, which has its place and resources from now on. What only stands for others takes none.
    ///
    /// # Errors
    /// Never, unless the machines are mixed up.
    pub fn start(&mut self, plan: &Plan) -> Result<Option<TaskId>, Misfit> {
        if self.is_stopping {
            return Ok(None);
        }
        let found = self.next(plan);
        let Some(id) = found else { return Ok(None) };
        self.ready.remove(&id);
        self.light.remove(&id);
        self.machines[id.0].take(Event::Start)?;
        self.steps[self.steps_of[id.0]].has_begun = true;
        self.running += 1;
        if !self.is_light[id.0] {
            self.free -= 1;
            for (name, amount) in &plan.task(id).settings.resources {
                if let Some(free) = self.resources.get_mut(name) {
                    *free -= (*amount).min(*free);
                }
            }
        }
        Ok(Some(id))
    }

    /// Gives back what [`Schedule::start`] took: the task does not run any more.
    pub fn release(&mut self, plan: &Plan, id: TaskId) {
        self.running = self.running.saturating_sub(1);
        if self.is_light[id.0] {
            return;
        }
        self.free += 1;
        for (name, amount) in &plan.task(id).settings.resources {
            if let Some(free) = self.resources.get_mut(name) {
                *free += amount;
            }
        }
    }

    /// A task that ran and was validated, or was found in the cache, is over, unless it waits for tasks that it made. `made` were added to
    /// the plan because of it.
    ///
    /// # Errors
    /// The event does not fit the task's state.
    pub fn ended_well(&mut self, plan: &Plan, id: TaskId, made: usize, is_hit: bool) -> Result<Changes, Misfit> {
        if is_hit && made == 0 {
            // It was started to be looked up; nothing ran.
            self.machines[id.0].take(Event::Found)?;
        } else {
            self.machines[id.0].take(Event::Ran { subtasks: made })?;
            self.machines[id.0].take(Event::Start)?;
            self.machines[id.0].take(Event::Valid)?;
        }
        self.has_run[id.0] = true;
        let first = self.machines.len();
        self.grow(plan);
        self.look(first);
        for child in std::mem::take(&mut self.made[id.0]) {
            self.unlock(child);
        }
        let mut changes = Changes::default();
        let blocked: Vec<TaskId> = (first..self.machines.len())
            .map(TaskId)
            .filter(|new| self.blocked_by[new.0].is_some() && self.state(*new) == State::PendingRun)
            .collect();
        for new in blocked {
            self.block(new, &mut changes);
        }
        self.after(id, &mut changes);
        Ok(changes)
    }

    /// A task has failed in this phase, or was stopped. With `again` it runs once more: [`Schedule::retry`] says when.
    ///
    /// # Errors
    /// The event does not fit the task's state.
    pub fn ended_badly(&mut self, id: TaskId, end: End, again: bool) -> Result<Changes, Misfit> {
        use crate::pipeline::state::Phase;
        let mut changes = Changes::default();
        match end {
            End::Aborted | End::Blocked => drop(self.machines[id.0].take(Event::Abort)?),
            End::Failure(Phase::Validation) => {
                self.machines[id.0].take(Event::Ran { subtasks: 0 })?;
                self.machines[id.0].take(Event::Start)?;
                self.machines[id.0].take(Event::Failed { again })?;
            }
            End::Failure(_) | End::Success | End::Hit => drop(self.machines[id.0].take(Event::Failed { again })?),
        }
        if !again {
            for child in std::mem::take(&mut self.made[id.0]) {
                self.blocked_by[child.0] = Some(id);
                self.block(child, &mut changes);
            }
            self.after(id, &mut changes);
        }
        Ok(changes)
    }

    /// Tasks of the plan that were not there before never start: they could not be made.
    pub fn forget_new(&mut self, plan: &Plan) {
        let first = self.machines.len();
        self.is_selected.truncate(first);
        self.is_selected.resize(plan.tasks.len(), false);
        self.grow(plan);
    }

    /// A task that is to run once more may start now.
    pub fn retry(&mut self, id: TaskId) {
        if self.state(id) == State::PendingRun {
            self.is_ready(id);
        }
    }

    /// Tells everybody of the end of a task, if it has ended.
    fn after(&mut self, id: TaskId, changes: &mut Changes) {
        let mut ended = vec![id];
        while let Some(id) = ended.pop() {
            let Some(end) = self.machines[id.0].end() else { continue };
            if changes.done.contains(&id) {
                continue;
            }
            changes.done.push(id);
            for next in std::mem::take(&mut self.next[id.0]) {
                if end.is_good() {
                    self.unlock(next);
                } else {
                    self.blocked_by[next.0].get_or_insert(id);
                    self.block(next, changes);
                }
            }
            if let Some(parent) = self.parents[id.0].filter(|parent| self.is_selected[parent.0]) {
                // One that failed before all it made was over has been told already.
                let was = self.machines[parent.0].end();
                let _ = self.machines[parent.0].take(Event::SubtaskDone(end));
                if was.is_none() && self.machines[parent.0].end().is_some() {
                    ended.push(parent);
                }
            }
            self.step_after(id, end, changes);
        }
    }

    fn step_after(&mut self, id: TaskId, end: End, changes: &mut Changes) {
        let number = self.steps_of[id.0];
        let step = &mut self.steps[number];
        step.is_bad |= !end.is_good();
        step.open = step.open.saturating_sub(1);
        if step.open > 0 {
            return;
        }
        changes.steps.push(number);
        let is_bad = step.is_bad;
        for next in std::mem::take(&mut step.next) {
            self.steps[next].waits = self.steps[next].waits.saturating_sub(1);
            if is_bad {
                let all: Vec<TaskId> = (0..self.machines.len())
                    .map(TaskId)
                    .filter(|task| self.steps_of[task.0] == next && self.is_selected[task.0])
                    .collect();
                for task in all {
                    self.blocked_by[task.0].get_or_insert(id);
                    self.block(task, changes);
                }
            } else if self.steps[next].waits == 0 {
                for task in std::mem::take(&mut self.steps[next].held) {
                    self.insert(task);
                }
            }
        }
    }

    fn unlock(&mut self, id: TaskId) {
        self.open[id.0] = self.open[id.0].saturating_sub(1);
        if self.open[id.0] == 0 && self.state(id) == State::PendingRun && self.is_selected[id.0] {
            self.is_ready(id);
        }
    }

    /// A task that has not started never will, nor what it would have made.
    fn block(&mut self, id: TaskId, changes: &mut Changes) {
        let mut all = vec![id];
        while let Some(id) = all.pop() {
            if self.state(id) != State::PendingRun || self.machines[id.0].attempts() > 0 {
                continue;
            }
            self.ready.remove(&id);
            self.light.remove(&id);
            if self.machines[id.0].take(Event::Block).is_err() {
                continue;
            }
            for child in std::mem::take(&mut self.made[id.0]) {
                self.blocked_by[child.0].get_or_insert(id);
                all.push(child);
            }
            self.after(id, changes);
        }
    }

    /// Nothing runs, and nothing more will: what waits for tasks that never started is over too. Tasks that never started stay pending.
    pub fn wind_up(&mut self) -> Changes {
        let mut changes = Changes::default();
        for at in (0..self.machines.len()).rev() {
            if self.machines[at].state() == State::WaitingForSubtasks {
                while self.machines[at].end().is_none() {
                    if self.machines[at].take(Event::SubtaskDone(End::Blocked)).is_err() {
                        break;
                    }
                }
                self.after(TaskId(at), &mut changes);
            }
        }
        changes
    }
}

/// Whether a task does nothing by itself.
pub(super) fn is_light(task: &Task) -> bool {
    matches!(task.kind, Kind::Group | Kind::Builtin(Builtin::Explode | Builtin::Noop))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pipeline::file::{Given, Options, parse};
    use crate::pipeline::state::Phase;

    fn plan(text: &str) -> Plan {
        let (pipeline, mut findings) = parse(Path::new("prov.yaml"), None, text.as_bytes()).unwrap();
        let options = Options::resolve(&pipeline, &Given::default(), Path::new("/w")).unwrap();
        let plan = Plan::build(&pipeline, &options, BTreeMap::new(), &mut findings).unwrap();
        assert!(findings.iter().all(|f| f.severity < crate::pipeline::finding::Severity::Error), "{findings:?}");
        plan
    }

    fn id(plan: &Plan, name: &str) -> TaskId {
        plan.tasks.iter().find(|task| task.name == name).unwrap().id
    }

    fn started(schedule: &mut Schedule, plan: &Plan) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(id) = schedule.start(plan).unwrap() {
            names.push(plan.task(id).name.clone());
        }
        names
    }

    const DIAMOND: &str = "steps:\n  s:\n    - {name: a, run: [x]}\n    - {name: b, run: [x], requires: [a]}\n    - {name: c, run: [x], requires: [a]}\n    - \
                           {name: d, run: [x], requires: [b, c]}\n";

    #[test]
    fn a_task_starts_when_all_before_it_are_done() {
        let plan = plan(DIAMOND);
        let mut schedule = Schedule::new(&plan, vec![true; 4], 8);
        assert_eq!(started(&mut schedule, &plan), ["a"]);
        schedule.ended_well(&plan, id(&plan, "a"), 0, false).unwrap();
        schedule.release(&plan, id(&plan, "a"));
        assert_eq!(started(&mut schedule, &plan), ["b", "c"]);
        schedule.ended_well(&plan, id(&plan, "c"), 0, false).unwrap();
        assert!(started(&mut schedule, &plan).is_empty());
        schedule.ended_well(&plan, id(&plan, "b"), 0, false).unwrap();
        assert_eq!(started(&mut schedule, &plan), ["d"]);
        let changes = schedule.ended_well(&plan, id(&plan, "d"), 0, false).unwrap();
        assert_eq!(changes.steps, [0]);
    }

    #[test]
    fn what_depends_on_a_failure_is_blocked_and_names_it() {
        let plan = plan(DIAMOND);
        let mut schedule = Schedule::new(&plan, vec![true; 4], 8);
        started(&mut schedule, &plan);
        schedule.ended_well(&plan, id(&plan, "a"), 0, false).unwrap();
        started(&mut schedule, &plan);
        let changes = schedule.ended_badly(id(&plan, "b"), End::Failure(Phase::Run), false).unwrap();
        assert_eq!(changes.done, [id(&plan, "b"), id(&plan, "d")]);
        assert_eq!(schedule.state(id(&plan, "d")), State::Done(End::Blocked));
        assert_eq!(schedule.blocked_by(id(&plan, "d")), Some(id(&plan, "b")));
        let changes = schedule.ended_well(&plan, id(&plan, "c"), 0, false).unwrap();
        assert_eq!(changes.steps, [0]);
    }

    #[test]
    fn a_failure_that_is_retried_blocks_nobody() {
        let plan = plan(DIAMOND);
        let mut schedule = Schedule::new(&plan, vec![true; 4], 8);
        started(&mut schedule, &plan);
        assert_eq!(schedule.ended_badly(id(&plan, "a"), End::Failure(Phase::Run), true).unwrap(), Changes::default());
        schedule.release(&plan, id(&plan, "a"));
        assert!(started(&mut schedule, &plan).is_empty());
        schedule.retry(id(&plan, "a"));
        assert_eq!(started(&mut schedule, &plan), ["a"]);
        assert_eq!(schedule.attempts(id(&plan, "a")), 2);
    }

    #[test]
    fn what_is_not_selected_counts_as_done() {
        let plan = plan(DIAMOND);
        let mut schedule = Schedule::new(&plan, vec![false, true, false, true], 8);
        assert_eq!(started(&mut schedule, &plan), ["b"]);
        schedule.ended_well(&plan, id(&plan, "b"), 0, false).unwrap();
        assert_eq!(started(&mut schedule, &plan), ["d"]);
        assert_eq!(schedule.ended_well(&plan, id(&plan, "d"), 0, false).unwrap().steps, [0]);
    }

    #[test]
    fn steps_wait_for_the_steps_they_need_and_are_blocked_with_them() {
        let text = "steps:\n  one:\n    - {name: a, run: [x]}\n  two:\n    needs: [one]\n    tasks:\n      - {name: b, run: [x]}\n  three:\n    needs: \
                    [two]\n    tasks:\n      - {name: c, run: [x]}\n";
        let plan = plan(text);
        let mut schedule = Schedule::new(&plan, vec![true; 3], 8);
        assert_eq!(started(&mut schedule, &plan), ["a"]);
        schedule.ended_well(&plan, TaskId(0), 0, false).unwrap();
        assert_eq!(started(&mut schedule, &plan), ["b"]);
        let mut schedule = Schedule::new(&plan, vec![true; 3], 8);
        started(&mut schedule, &plan);
        let changes = schedule.ended_badly(TaskId(0), End::Failure(Phase::Run), false).unwrap();
        assert_eq!(changes.done, [TaskId(0), TaskId(1), TaskId(2)]);
        let mut steps = changes.steps;
        steps.sort_unstable();
        assert_eq!(steps, [0, 1, 2]);
    }

    #[test]
    fn shared_resources_and_places_hold_tasks_back() {
        let text = "resources: {gpu: 2}\nsteps:\n  s:\n    - {name: a, run: [x], resources: {gpu: 2}}\n    - {name: b, run: [x], resources: [gpu]}\n    - {name: \
                    c, run: [x]}\n    - {name: d, run: [x]}\n";
        let plan = plan(text);
        let mut schedule = Schedule::new(&plan, vec![true; 4], 2);
        let start = |schedule: &mut Schedule| schedule.start(&plan).unwrap().map(|id| plan.task(id).name.clone());
        assert_eq!(start(&mut schedule).as_deref(), Some("a"));
        assert_eq!(start(&mut schedule).as_deref(), Some("c"));
        assert_eq!(start(&mut schedule), None);
        schedule.ended_well(&plan, id(&plan, "c"), 0, false).unwrap();
        schedule.release(&plan, id(&plan, "c"));
        assert_eq!(start(&mut schedule).as_deref(), Some("d"));
        schedule.ended_well(&plan, id(&plan, "a"), 0, false).unwrap();
        schedule.release(&plan, id(&plan, "a"));
        assert_eq!(start(&mut schedule).as_deref(), Some("b"));
    }

    #[test]
    fn a_group_is_done_when_all_it_made_is() {
        let text = "steps:\n  s:\n    - {name: 'g ${each}', run: [x], foreach: [1, 2]}\n    - {name: after, run: [x], requires: ['g ${each}']}\n";
        let plan = plan(text);
        let mut schedule = Schedule::new(&plan, vec![true; plan.tasks.len()], 8);
        let group = TaskId(0);
        assert_eq!(schedule.start(&plan).unwrap(), Some(group));
        schedule.ended_well(&plan, group, 0, false).unwrap();
        assert_eq!(schedule.state(group), State::WaitingForSubtasks);
        assert_eq!(started(&mut schedule, &plan), ["g 1", "g 2"]);
        schedule.ended_well(&plan, id(&plan, "g 1"), 0, false).unwrap();
        let changes = schedule.ended_well(&plan, id(&plan, "g 2"), 0, false).unwrap();
        assert_eq!(changes.done, [id(&plan, "g 2"), group]);
        assert_eq!(started(&mut schedule, &plan), ["after"]);
    }

    #[test]
    fn when_all_is_stopped_what_waits_for_others_fails_and_the_rest_stays_pending() {
        let text = "steps:\n  s:\n    - {name: 'g ${each}', run: [x], foreach: [1, 2]}\n";
        let plan = plan(text);
        let mut schedule = Schedule::new(&plan, vec![true; plan.tasks.len()], 1);
        schedule.start(&plan).unwrap();
        schedule.ended_well(&plan, TaskId(0), 0, false).unwrap();
        schedule.start(&plan).unwrap();
        schedule.ended_badly(TaskId(1), End::Failure(Phase::Run), false).unwrap();
        schedule.stop();
        schedule.wind_up();
        assert_eq!(schedule.state(TaskId(0)), State::Done(End::Failure(Phase::Subtasks)));
        assert_eq!(schedule.state(TaskId(2)), State::PendingRun);
    }
}

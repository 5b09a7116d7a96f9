//! The loop over events that runs a pipeline.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::ahead::{Look, Lookout, Taken};
use super::drive::recorded_step;
use super::history::LastStep;
use super::record::{self, Known, Standing};
use super::recorder::Note;
use super::schedule::{Changes, Schedule, is_light};
use super::table::TASK;
use super::work::{Ended, Event, Executor, Local, Stop, Work};
use super::{Error, News, Order, Watch};
use crate::codec::Value;
use crate::event::{self, Of, What};
use crate::hash::Id;
use crate::object::run::{Run, RunError, RunKind, Status};
use crate::pipeline::perform::Choice;
use crate::pipeline::plan::{Kind, Plan, TaskId};
use crate::pipeline::rollup;
use crate::pipeline::state::{End, Phase, State};
use crate::pipeline::task::Builtin;
use crate::pipeline::template::Scratchpad;
use crate::repo::Repo;
use crate::run::Flushed;
use crate::run::batch::Batch;
use crate::run::{interrupts, live};

mod finish;

/// How long known results are taken one after the other before anything else is listened to.
const GLANCES: Duration = Duration::from_millis(20);

/// The longest time between two tries.
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// A step that has begun.
#[derive(Debug)]
struct OpenStep {
    run: Arc<Run>,
    running: Option<live::Running>,
    is_closed: bool,
}

/// What becomes of a task whose turn it is.
enum Turn {
    /// Its result is known and there.
    Known(Box<Ended>),
    /// It is to be performed.
    Due(Box<Work>),
    /// It can't be.
    Wrong(RunError),
}

/// What a time is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A task is to be tried again.
    Retry,
    /// The time of this try of a task is up.
    Timeout(u32),
}

/// Hears what happens, and does what follows from it.
pub(super) struct Driver<'a> {
    repo: &'a Repo,
    batch: &'a Batch<'a>,
    plan: Plan,
    order: &'a Order,
    run: Run,
    schedule: Schedule,
    local: &'a Local,
    more: &'a dyn Fn() -> bool,
    glance: Look<'a>,
    ahead: RefCell<Lookout<'a>>,
    /// Starts a thread that looks ahead.
    scout: &'a dyn Fn() -> bool,
    /// The recorder; `None` once it is told nothing more.
    pub(super) notes: Option<Sender<Note>>,
    /// Whether it was told that something waits, since it made history the last time.
    is_noted: bool,
    watch: &'a mut dyn Watch,
    known: Vec<Known>,
    steps: BTreeMap<usize, OpenStep>,
    late: Vec<Scratchpad>,
    under_way: Vec<TaskId>,
    timers: BinaryHeap<Reverse<(Instant, TaskId, Due)>>,
    last: BTreeMap<usize, LastStep>,
    is_over: u64,
    stopping: Option<RunError>,
    signal: Option<i32>,
    unrecorded: usize,
    executed: usize,
    /// Runs whose end was told of, and which are history.
    recorded: BTreeMap<String, Id>,
}

impl<'a> Driver<'a> {
    #[expect(clippy::too_many_arguments, reason = "one caller, which has just made them all")]
    pub(super) fn new(
        repo: &'a Repo,
        batch: &'a Batch<'a>,
        plan: Plan,
        order: &'a Order,
        run: Run,
        schedule: Schedule,
        local: &'a Local,
        more: &'a dyn Fn() -> bool,
        glance: Look<'a>,
        ahead: Lookout<'a>,
        scout: &'a dyn Fn() -> bool,
        notes: Sender<Note>,
        watch: &'a mut dyn Watch,
    ) -> Self {
        let known = plan.tasks.iter().map(|_| Known::default()).collect();
        let late = plan.steps.iter().map(|_| Scratchpad::default()).collect();
        Self {
            repo,
            batch,
            plan,
            order,
            run,
            schedule,
            local,
            more,
            glance,
            ahead: RefCell::new(ahead),
            scout,
            notes: Some(notes),
            is_noted: false,
            watch,
            known,
            steps: BTreeMap::new(),
            late,
            under_way: Vec::new(),
            timers: BinaryHeap::new(),
            last: BTreeMap::new(),
            is_over: 0,
            stopping: None,
            signal: None,
            unrecorded: 0,
            executed: 0,
            recorded: BTreeMap::new(),
        }
    }

    fn hear(&mut self, news: News<'_>) {
        self.watch.hear(&self.plan, news);
    }

    /// Tells the events of a run that is no task's own, from the rank `first` on.
    fn tell(&mut self, run: &Run, object: Option<Id>, first: u8) {
        if !self.order.is_heard {
            return;
        }
        let of = Of::run(run);
        let events = event::of_run(run, object);
        let seq = events.iter().filter(|event| event.what.rank() < first).count();
        for (event, seq) in events.iter().filter(|event| event.what.rank() >= first).zip(seq as u64..) {
            self.watch.hear(&self.plan, News::Event { of: &of, seq, event });
        }
    }

    fn tell_start(&mut self, run: &Run) {
        if self.order.is_heard {
            let event = event::Event { at: run.started_at, what: What::Start { argv: run.argv.clone() } };
            self.watch.hear(&self.plan, News::Event { of: &Of::run(run), seq: 0, event: &event });
        }
    }

    /// Tells the recorder; what it knows already would only wake it.
    fn note(&mut self, note: Note) {
        let is_known = note == Note::Waits && std::mem::replace(&mut self.is_noted, true);
        if let Some(notes) = self.notes.as_ref().filter(|_| !is_known) {
            let _ = notes.send(note);
        }
    }

    /// Runs until nothing runs and nothing more can start.
    pub(super) fn drive(&mut self, incoming: &Receiver<Event>) -> Result<(), Error> {
        let run = self.run.clone();
        self.tell_start(&run);
        let tasks = (0..self.plan.tasks.len()).filter(|at| self.schedule.is_selected(TaskId(*at))).count();
        self.hear(News::Begun { run: &run, tasks });
        loop {
            self.start_ready()?;
            let is_retry = |Reverse((_, _, due)): &Reverse<(Instant, TaskId, Due)>| *due == Due::Retry;
            let waits_for_retry = !self.schedule.is_stopping() && self.timers.iter().any(is_retry);
            if self.schedule.is_over() && !waits_for_retry {
                return Ok(());
            }
            // Known results may go on for long, and signals must not wait for them.
            let next = if self.schedule.can_start(&self.plan) {
                Some(Instant::now())
            } else {
                self.timers.peek().map(|Reverse((at, ..))| *at)
            };
            let event = match next {
                None => incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => incoming.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match event {
                Ok(event) => self.take(event)?,
                Err(RecvTimeoutError::Timeout) => self.look_at_times(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::System(std::io::Error::other("every thread has ended")));
                }
            }
        }
    }

    /// Does what is due.
    fn look_at_times(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, id, due))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            match due {
                Due::Retry => self.schedule.retry(id),
                // One that is over is not under way any more; another try has a timer of its own.
                Due::Timeout(tries) if self.schedule.attempts(id) == tries => {
                    let ms = self.plan.task(id).settings.timeout_ms.unwrap_or(0);
                    let message = format!("ended after {ms} ms");
                    self.local.stop(id, &RunError { kind: "timeout".to_owned(), message, run: None });
                }
                Due::Timeout(_) => {}
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Ended(ended) => self.ended(*ended)?,
            Event::Printed(id, stream, bytes) => self.hear(News::Printed { id, stream, bytes: &bytes }),
            Event::Said(id, said) => self.hear(News::Said { id, said: &said }),
            Event::Told(of, seq, event) => self.hear(News::Event { of: &of, seq, event: &event }),
            Event::Signals(signals) => self.signals(&signals),
            Event::Flushed(flushed) => self.flushed(flushed),
        }
        Ok(())
    }

    fn signals(&mut self, signals: &[i32]) {
        for &signal in signals {
            if signal == interrupts::STOP {
                interrupts::stop_here();
            } else {
                self.signal = self.signal.or(Some(signal));
                let message = format!("interrupted by signal {signal}");
                self.stop_all(&RunError { kind: "interrupted".to_owned(), message, run: None });
            }
        }
    }

    /// Starts nothing more and asks everything that runs to stop; once more if it was asked before.
    pub(super) fn stop_all(&mut self, why: &RunError) {
        self.schedule.stop();
        self.timers.clear();
        if self.stopping.is_none() {
            self.stopping = Some(why.clone());
            self.hear(News::Stopping { why });
        }
        for id in &self.under_way {
            self.local.stop(*id, why);
        }
    }

    fn start_ready(&mut self) -> Result<(), Error> {
        self.look_at_times();
        let since = Instant::now();
        while let Some(id) = self.schedule.start(&self.plan)? {
            let step = self.plan.task(id).step;
            self.begin_step(step)?;
            if is_light(self.plan.task(id)) {
                self.do_nothing(id)?;
                continue;
            }
            let tries = self.schedule.attempts(id);
            let turn = self.turn_of(id, tries);
            if !matches!(turn, Turn::Wrong(_)) {
                self.hear(News::Started { id, tries });
            }
            match turn {
                Turn::Known(ended) => {
                    self.ahead.get_mut().was_known();
                    self.ended(*ended)?;
                    if since.elapsed() > GLANCES {
                        return Ok(());
                    }
                }
                Turn::Due(work) => {
                    // From now on files may change.
                    self.ahead.get_mut().forget();
                    self.under_way.push(id);
                    self.limit_time(&work, tries);
                    self.local.start(*work);
                    if !(self.more)() {
                        return Err(Error::System(std::io::Error::other("no thread could be started")));
                    }
                }
                Turn::Wrong(error) => {
                    let mut ended = self.nothing_of(id, End::Failure(Phase::Build));
                    ended.status = Status::Failure;
                    ended.error = Some(error);
                    self.ended(ended)?;
                }
            }
        }
        Ok(())
    }

    /// Looks up a task whose turn it is, if that was not done already.
    fn turn_of(&mut self, id: TaskId, tries: u32) -> Turn {
        let mut work = match self.found_ahead(id) {
            Some(Taken::Known(ended)) => return Turn::Known(ended),
            Some(Taken::Ready(work)) => work,
            None => match self.work_of(id, tries) {
                Ok(work) => Box::new(work),
                Err(error) => return Turn::Wrong(error),
            },
        };
        match (self.glance)(&mut work) {
            Some(ended) => Turn::Known(Box::new(ended)),
            None => Turn::Due(work),
        }
    }

    /// The result of a task that was looked up ahead of its turn; those that come after it are looked up from now on.
    fn found_ahead(&self, id: TaskId) -> Option<Taken> {
        let is_heard = self.order.is_heard || self.order.is_forced;
        if is_heard || !self.under_way.is_empty() || !self.may_be_ahead(id, id) {
            return None;
        }
        let mut work_of = |other| self.may_be_ahead(other, id).then(|| self.work_of(other, 1).ok()).flatten();
        let mut ahead = self.ahead.borrow_mut();
        let found = ahead.take(id, &|| self.repo.now(), self.glance);
        ahead.give(&self.plan, id, &mut work_of, self.scout);
        found
    }

    /// Whether a task can be looked up now: it is to start, or it never was, and its step has begun.
    fn may_be_ahead(&self, id: TaskId, starts: TaskId) -> bool {
        let is_open = self.schedule.state(id) == State::PendingRun && self.schedule.attempts(id) == 0;
        let task = self.plan.task(id);
        (id == starts && self.schedule.attempts(id) == 1 || is_open && self.schedule.is_selected(id))
            && self.is_settled(id)
            && !is_light(task)
            && self.steps.contains_key(&task.step)
    }

    /// Whether nothing came that was not known when the task was planned.
    fn is_settled(&self, id: TaskId) -> bool {
        let task = self.plan.task(id);
        task.late.is_empty() && task.parent.is_none() && self.late[task.step].keys().next().is_none()
    }

    /// A command is ended by whoever executes it; what is done in this process has to be told.
    fn limit_time(&mut self, work: &Work, tries: u32) {
        let timeout = work.settings.timeout_ms.filter(|_| !matches!(work.kind, Kind::Builtin(Builtin::Command)));
        let at = timeout.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
        self.timers.extend(at.map(|at| Reverse((at, work.id, Due::Timeout(tries)))));
    }

    /// The end of a task that has no run.
    fn nothing_of(&self, id: TaskId, end: End) -> Ended {
        let now = self.repo.now();
        Ended {
            id,
            end,
            may_pass: false,
            run: None,
            is_new: false,
            started_at: now,
            finished_at: now,
            error: None,
            status: Status::Success,
            why: String::new(),
            took_us: 0,
            made: Vec::new(),
            provided: Vec::new(),
            checks: None,
            warnings: Vec::new(),
        }
    }

    /// A task that only stands for others, or does nothing by its type.
    fn do_nothing(&mut self, id: TaskId) -> Result<(), Error> {
        let ended = self.nothing_of(id, End::Success);
        self.known[id.0].spec = Some(self.plan.task(id).resolved.to_value());
        self.ended(ended)
    }

    fn begin_step(&mut self, number: usize) -> Result<(), Error> {
        if self.steps.contains_key(&number) {
            return Ok(());
        }
        let run = record::step(self.repo, &self.run, &self.plan.steps[number].name);
        let running = self.batch.begin_part(&run)?;
        self.tell_start(&run);
        self.steps.insert(number, OpenStep { run: Arc::new(run), running: Some(running), is_closed: false });
        self.remember(number);
        Ok(())
    }

    /// Looks up what the last run of a step says, if this one depends on it.
    fn remember(&mut self, number: usize) {
        let step = &self.plan.steps[number];
        let tasks = || step.tasks.iter().map(|id| self.plan.task(*id));
        let is_partial = step.tasks.iter().any(|id| !self.schedule.is_selected(*id));
        let provides = || tasks().any(|task| !task.provides.is_empty());
        let validates = tasks().any(|task| !task.settings.validate.is_empty());
        if !(validates || provides() && (is_partial || self.order.is_frozen)) {
            return;
        }
        let last = LastStep::of(self.repo, &self.batch.snapshot(), &step.name);
        let mut values = Scratchpad::default();
        // What is left out counts as done: what it provided the last time holds.
        for id in step.tasks.iter().filter(|id| !self.schedule.is_selected(**id)) {
            for (key, value) in last.rows.get(&self.plan.task(*id).name).into_iter().flat_map(|row| &row.scratchpad) {
                values.set(key.clone(), value.clone());
            }
        }
        self.late[number].merge(&values);
        self.last.insert(number, last);
    }

    /// The choice that the last run of a task made.
    fn choice_of(&self, step: usize, name: &str) -> Option<Choice> {
        let run = self.last.get(&step)?.run_of(&self.batch.snapshot(), name)?;
        let Value::List(chose) = run.meta.get(TASK)?.get("chose")? else { return None };
        chose.first().and_then(Choice::from_value)
    }

    /// The task with all values in place.
    fn work_of(&self, id: TaskId, tries: u32) -> Result<Work, RunError> {
        let task = self.plan.task(id);
        let error = |kind: &str, message: String| RunError { kind: kind.to_owned(), message, run: None };
        let late = &self.late[task.step];
        let spec = if self.is_settled(id) { Ok(task.resolved.clone()) } else { self.plan.resolve(id, late) };
        let spec = spec.map_err(|faults| {
            let all: Vec<String> = faults.iter().map(|fault| fault.remark().text).collect();
            error("template", all.join("; "))
        })?;
        let step = &self.plan.steps[task.step].name;
        let mut scratchpad = self.plan.scratchpad.clone();
        scratchpad.merge(late);
        let parent = self.steps.get(&task.step).map(|step| step.run.run.clone()).unwrap_or_default();
        Ok(Work {
            id,
            step: step.clone(),
            named: task.spec.name.clone(),
            name: task.name.clone(),
            recorded_step: recorded_step(step, &task.name),
            parent,
            kind: task.kind.clone(),
            task_type: task.task_type.clone(),
            flavour: self.plan.flavour,
            expands: task.expands,
            spec,
            settings: task.settings.clone(),
            scratchpad,
            base: self.order.bases.get(step).cloned(),
            correlation_id: self.order.correlation_id.clone(),
            // A task that is tried again counts on from the pipeline's attempt.
            attempt: self.order.attempt.max(1).saturating_add(tries.saturating_sub(1)),
            is_last_attempt: self.order.is_last_attempt && tries > task.settings.retries.count,
            is_forced: self.order.is_forced,
            tries,
            passed: self.last.get(&task.step).and_then(|last| {
                let row = last.rows.get(&task.name)?;
                row.run.clone().zip(row.checks.clone())
            }),
            frozen: self.choice_of(task.step, &task.name).filter(|_| self.order.is_frozen),
            stop: Arc::new(Stop::new()),
            begun: None,
        })
    }

    /// A task has ended.
    fn ended(&mut self, mut ended: Ended) -> Result<(), Error> {
        let id = ended.id;
        self.under_way.retain(|other| *other != id);
        self.schedule.release(&self.plan, id);
        if ended.is_new {
            self.executed += 1;
            self.note(Note::Waits);
        }
        for text in std::mem::take(&mut ended.warnings) {
            let text = format!("{}: {text}", self.plan.label(id));
            self.hear(News::Warning { text });
        }
        let retries = self.plan.task(id).settings.retries;
        let tries = self.schedule.attempts(id);
        let again = matches!(ended.end, End::Failure(Phase::Run | Phase::Validation))
            && ended.may_pass
            && !self.schedule.is_stopping()
            && tries <= retries.count;
        let delay = again.then(|| {
            let doubled = retries.delay_ms.saturating_mul(1 << (tries - 1).min(20));
            Duration::from_millis(doubled).min(LONGEST_DELAY)
        });
        self.hear(News::Ended { ended: &ended, again: delay });
        let made = std::mem::take(&mut ended.made);
        let provided = ended.provided.clone();
        self.known[id.0].take(&mut ended);
        let changes = if ended.end.is_good() {
            let step = self.plan.task(id).step;
            let mut values = Scratchpad::default();
            for (key, value) in provided {
                values.set(key, value);
            }
            self.late[step].merge(&values);
            let mut findings = Vec::new();
            let planned = self.plan.task(id).children.len();
            if !made.is_empty() {
                self.plan.add_made(id, made, &mut findings);
            }
            self.known.resize_with(self.plan.tasks.len(), Known::default);
            let bad: Vec<String> = findings
                .iter()
                .filter(|finding| finding.severity == crate::pipeline::finding::Severity::Error)
                .map(|finding| finding.message.clone())
                .collect();
            if bad.is_empty() {
                let direct = self.plan.task(id).children.len() - planned;
                self.schedule.ended_well(&self.plan, id, direct, ended.end == End::Hit)?
            } else {
                let message = format!("the tasks that it made can't be run: {}", bad.join("; "));
                self.known[id.0].error = Some(RunError { kind: "made".to_owned(), message, run: None });
                self.schedule.forget_new(&self.plan);
                self.schedule.ended_badly(id, End::Failure(Phase::Run), false)?
            }
        } else {
            self.schedule.ended_badly(id, ended.end, again)?
        };
        if let Some(delay) = delay {
            match Instant::now().checked_add(delay) {
                Some(at) if delay > Duration::ZERO => self.timers.push(Reverse((at, id, Due::Retry))),
                _ => self.schedule.retry(id),
            }
        }
        self.changed(changes)?;
        let is_failure = matches!(self.schedule.state(id), State::Done(End::Failure(_)));
        if is_failure && !self.order.keeps_going && !self.schedule.is_stopping() {
            let run = self.known[id.0].run.as_ref().map(|(run, _)| run.clone());
            let message = format!("{} failed", self.plan.label(id));
            self.stop_all(&RunError { kind: "aborted".to_owned(), message, run });
        }
        Ok(())
    }

    /// Takes in what is over.
    fn changed(&mut self, changes: Changes) -> Result<(), Error> {
        let now = self.repo.now();
        for id in changes.done {
            self.known[id.0].done_at = Some(now);
            self.known[id.0].order = Some(self.is_over);
            self.is_over += 1;
            match self.schedule.state(id) {
                State::Done(End::Blocked) => {
                    let by = self.schedule.blocked_by(id);
                    self.hear(News::Blocked { id, by });
                }
                State::Done(end) if !self.plan.task(id).children.is_empty() => self.hear(News::Over { id, end }),
                _ => {}
            }
        }
        for number in changes.steps {
            self.close_step(number)?;
        }
        Ok(())
    }

    /// Makes the record of a step that is over.
    fn close_step(&mut self, number: usize) -> Result<(), Error> {
        let Some(mut open) = self.steps.remove(&number) else { return Ok(()) };
        if open.is_closed {
            self.steps.insert(number, open);
            return Ok(());
        }
        let run = Arc::make_mut(&mut open.run);
        let outcome = self.standing(|standing, now| standing.close_step(run, number, now));
        if self.signal.is_some() && outcome != rollup::Outcome::Success {
            run.status = Status::Aborted;
        }
        let (object, publication) = self.batch.close(&open.run, open.running.take())?;
        open.is_closed = true;
        self.run.children.insert(open.run.run.clone(), object);
        if let crate::run::Publication::Lost(err) = publication {
            self.unrecorded += 1;
            let text = format!("the record of step {} is lost: {}", open.run.step, crate::run::chain(&err));
            self.hear(News::Warning { text });
        }
        self.steps.insert(number, open);
        self.hear(News::StepEnded { step: number, outcome });
        // The record of the whole follows at once where nothing is left to do, and both are made history together.
        let is_last = self.schedule.is_over() && self.timers.is_empty();
        self.note(if is_last { Note::Waits } else { Note::Now });
        Ok(())
    }

    fn standing<T>(&self, look: impl FnOnce(&Standing<'_>, crate::clock::Micros) -> T) -> T {
        let standing = Standing {
            plan: &self.plan,
            known: &self.known,
            state: &|id| self.schedule.state(id),
            is_selected: &|id| self.schedule.is_selected(id),
            tries: &|id| self.schedule.attempts(id),
            blocked_by: &|id| self.schedule.blocked_by(id),
        };
        look(&standing, self.repo.now())
    }

    fn flushed(&mut self, flushed: Flushed) {
        self.is_noted = false;
        if self.batch.waiting() > 0 {
            // It was closed after what was made history was taken.
            self.note(Note::Waits);
        }
        for (run, object) in flushed.done {
            if matches!(run.kind, RunKind::Step | RunKind::Pipeline) {
                self.tell(&run, Some(object), 1);
            }
            if run.kind == RunKind::Step {
                self.watch.hear(&self.plan, News::StepRecorded { pipeline: &self.run, run: &run });
            }
            if run.kind == RunKind::Pipeline {
                self.recorded.insert(run.run.clone(), object);
            }
        }
        for (run, publication) in flushed.failed {
            self.unrecorded += 1;
            let text = match publication {
                crate::run::Publication::Waiting(err) => format!(
                    "the record of {} waits in the live folder, the next command publishes it: {}",
                    run.run,
                    crate::run::chain(&err)
                ),
                crate::run::Publication::Lost(err) => {
                    format!("the record of {} is lost: {}", run.run, crate::run::chain(&err))
                }
                _ => continue,
            };
            self.hear(News::Warning { text });
            if matches!(run.kind, RunKind::Step | RunKind::Pipeline) {
                self.tell(&run, None, 1);
            }
        }
    }
}

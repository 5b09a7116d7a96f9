//! The end of a pipeline's run: what is still open is closed, and the whole becomes history.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::super::recorder::Note;
use super::super::work::Event;
use super::super::{Error, News, Ran};
use super::Driver;
use crate::codec::Value;
use crate::object::run::{RunKind, Status};
use crate::pipeline::plan::TaskId;
use crate::pipeline::rollup;
use crate::pipeline::state::{End, State};
use crate::run::Flushed;

impl Driver<'_> {
    /// Closes what is open, from the leaves up.
    pub(in super::super) fn finish(mut self, incoming: &Receiver<Event>) -> Result<Ran, Error> {
        let changes = self.schedule.wind_up();
        self.changed(changes)?;
        let open: Vec<usize> = self.steps.keys().copied().collect();
        for number in open {
            self.close_step(number)?;
        }
        let steps: Vec<rollup::Outcome> = (0..self.plan.steps.len())
            .map(|number| self.standing(|standing, _| standing.outcome(number, self.schedule.has_begun(number))))
            .collect();
        let outcome = rollup::root(steps.iter().copied());
        let mut run = self.run.clone();
        run.finished_at = self.repo.now();
        self.standing(|standing, _| standing.ended(&mut run, outcome, standing.failed_last(None)));
        if let Some(signal) = self.signal
            && outcome != rollup::Outcome::Success
        {
            run.status = Status::Aborted;
            run.error.clone_from(&self.stopping);
            run.signal = Some(signal);
        }
        let text = |text: &str| Value::Text(text.to_owned());
        let named = self.plan.steps.iter().zip(&steps);
        let results = named.map(|(step, outcome)| {
            Value::Map(vec![("name".to_owned(), text(&step.name)), ("result".to_owned(), text(outcome.as_str()))])
        });
        run.meta.insert("steps".to_owned(), Value::List(results.collect()));
        let run = Arc::new(run);
        let (_, publication) = self.batch.close(&run, None)?;
        if let crate::run::Publication::Lost(err) = &publication {
            self.unrecorded += 1;
            let text = format!("the record of the run is lost: {}", crate::run::chain(err));
            self.hear(News::Warning { text });
        }
        let waits = matches!(publication, crate::run::Publication::Batched);
        self.note(Note::Now);
        // Nobody tells the recorder anything any more: it ends when everything is history.
        self.notes = None;
        let is_whole = |flushed: &Flushed| {
            let failed = flushed.failed.iter().map(|(run, _)| run);
            flushed.done.iter().map(|(run, _)| run).chain(failed).any(|run| run.kind == RunKind::Pipeline)
        };
        while waits && let Ok(event) = incoming.recv() {
            let is_last = matches!(&event, Event::Flushed(flushed) if is_whole(flushed));
            self.take(event)?;
            if is_last {
                break;
            }
        }
        let states = (0..self.plan.tasks.len()).map(|at| self.schedule.state(TaskId(at))).collect();
        let blocked_by = (0..self.plan.tasks.len()).map(TaskId).map(|id| match self.schedule.state(id) {
            State::Done(End::Blocked) => self.schedule.blocked_by(id),
            _ => None,
        });
        Ok(Ran {
            blocked_by: blocked_by.collect(),
            object: self.recorded.get(&run.run).copied(),
            run: Arc::unwrap_or_clone(run),
            outcome,
            states,
            runs: self.known.iter().map(|known| known.run.clone()).collect(),
            errors: self.known.iter().map(|known| known.error.clone()).collect(),
            plan: self.plan,
            steps,
            signal: self.signal,
            unrecorded: self.unrecorded,
            executed: self.executed,
        })
    }
}

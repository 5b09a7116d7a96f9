//! What is said while a pipeline runs: a line for each task that ended, and on a terminal what runs now.

use std::collections::BTreeMap;
use std::time::Duration;

use prov::pipeline::execute::{Ended, News, Watch};
use prov::pipeline::perform::Said;
use prov::pipeline::plan::{Plan, TaskId};
use prov::pipeline::state::End;

use super::keep::Keeper;
use crate::commands::Context;
use crate::output::record::{milliseconds, shown};
use crate::output::{Tasks, human};

/// Says what happens.
pub(super) struct Watcher<'a> {
    cx: &'a Context,
    is_streaming: bool,
    /// Whether events are printed as they come.
    tells_events: bool,
    keeper: Option<Keeper>,
    tasks: Tasks,
    /// What tasks printed after the last end of a line.
    rest: BTreeMap<TaskId, Vec<u8>>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(cx: &'a Context, is_streaming: bool, tells_events: bool, keeper: Option<Keeper>) -> Self {
        Self { cx, is_streaming, tells_events, keeper, tasks: cx.ui.tasks(), rest: BTreeMap::new() }
    }

    fn say(&self, text: impl std::fmt::Display) {
        self.tasks.above(&|| self.cx.ui.say(&text));
    }

    fn ended(&mut self, plan: &Plan, ended: &Ended, again: Option<Duration>) {
        let label = shown(plan.label(ended.id));
        self.tasks.end(ended.id.0);
        let paint = self.cx.ui.talk_painter();
        let took = human::duration(milliseconds(ended.finished_at.since(ended.started_at)));
        match ended.end {
            End::Hit => self.cx.ui.detail(format_args!("{} {label}", paint.dim("hit"))),
            End::Success if ended.is_new => {
                let why = if ended.why.is_empty() { String::new() } else { format!(" ({})", shown(&ended.why)) };
                self.say(format_args!("{} {label} {took}{}", paint.good("done"), paint.dim(why)));
            }
            End::Success | End::Blocked => {}
            End::Aborted => self.say(format_args!("{} {label} {took}", paint.warning("aborted"))),
            End::Failure(_) => {
                let why = ended.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
                let why = why.lines().next().unwrap_or_default();
                let again = again.map_or(String::new(), |delay| {
                    format!("; again in {}", human::duration(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
                });
                self.say(format_args!("{} {label} {took}: {}{again}", paint.bad("failed"), shown(why)));
            }
        }
    }

    /// Passes on whole lines of what a task printed.
    fn printed(&mut self, plan: &Plan, id: TaskId, bytes: &[u8]) {
        let mut rest = self.rest.remove(&id).unwrap_or_default();
        rest.extend_from_slice(bytes);
        let label = shown(plan.label(id));
        let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, left) = rest.split_at(end);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.say(format_args!("{label} | {}", shown(line)));
        }
        if !left.is_empty() {
            self.rest.insert(id, left.to_vec());
        }
    }
}

impl Watch for Watcher<'_> {
    fn hear(&mut self, plan: &Plan, news: News<'_>) {
        match news {
            News::Begun { tasks, .. } => self.tasks.begin(u64::try_from(tasks).unwrap_or(u64::MAX)),
            News::Started { id, tries } => {
                let label = shown(plan.label(id));
                let tries = if tries > 1 { format!(" (try {tries})") } else { String::new() };
                self.tasks.start(id.0, &format!("{label}{tries}"));
                self.cx.ui.detail(format_args!("start {label}{tries}"));
            }
            News::Ended { ended, again } => {
                if let Some(rest) = self.rest.remove(&ended.id) {
                    self.printed(plan, ended.id, &[&rest[..], b"\n"].concat());
                }
                self.ended(plan, ended, again);
            }
            News::Blocked { id, by } => {
                self.tasks.end(id.0);
                let by = by.map(|by| format!(" by {}", shown(plan.label(by)))).unwrap_or_default();
                self.cx.ui.detail(format_args!("blocked {}{by}", shown(plan.label(id))));
            }
            News::Printed { id, bytes, .. } if self.is_streaming => self.printed(plan, id, bytes),
            News::Said { id, said: Said::Log { level, text } } if self.is_streaming => {
                let label = shown(plan.label(id));
                self.say(format_args!("{label} | {} {}", level.as_str(), shown(text)));
            }
            News::Said { id, said: Said::Progress { done, total, unit } } => {
                let of = total.map(|total| format!("/{total}")).unwrap_or_default();
                self.tasks.progress(id.0, &format!("{done}{of} {}", shown(unit)));
            }
            News::Event { of, seq, event } if self.tells_events => {
                let line = event.to_line(of, seq);
                // Nobody reading it is no reason to fail: the run goes on, and its events are on record.
                let _ = self.cx.ui.with_writer(|out| out.write_all(line.as_bytes()).and_then(|()| out.flush()));
            }
            News::StepRecorded { pipeline, run } => {
                if let Some(keeper) = &self.keeper {
                    keeper.hear(pipeline, plan.steps.iter().map(|step| step.name.clone()).collect(), run);
                }
            }
            News::Stopping { why } => {
                let text = format!("stopping: {}", shown(&why.message));
                self.tasks.above(&|| self.cx.ui.warn(&text));
            }
            News::Warning { text } => self.tasks.above(&|| self.cx.ui.warn(shown(&text))),
            _ => {}
        }
    }
}

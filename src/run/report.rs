//! Tells whoever listens what a run does while it does it: the observer that the caller gave, and the file in the live folder that
//! followers read.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::execute::Outcome;
use super::exit::Exit;
use super::observer::{Notice, Observer, Stream};
use crate::clock::Clock;
use crate::event::{self, Event, Of, What};
use crate::fs::{Fs, Output};
use crate::hash::Id;
use crate::object::run::Run;

/// The file of a live run's events.
pub(super) const EVENTS: &str = "events";

/// An observer between a command and the one that the caller gave. A failure to write the file costs followers something, nobody else.
pub(super) struct Reporter<'a> {
    fs: &'a Fs,
    clock: &'a dyn Clock,
    inner: &'a mut dyn Observer,
    of: Of,
    path: PathBuf,
    file: Option<Output>,
    seq: u64,
    last: Option<u8>,
    /// What is told when the command runs.
    draft: &'a OnceCell<Run>,
}

impl<'a> Reporter<'a> {
    /// Reports of `run` into its live folder `dir`; what is known of it when it begins will be in `draft`.
    pub(super) fn new(
        fs: &'a Fs,
        clock: &'a dyn Clock,
        inner: &'a mut dyn Observer,
        run: &Run,
        draft: &'a OnceCell<Run>,
        dir: &std::path::Path,
    ) -> Self {
        let path = dir.join(EVENTS);
        Self { fs, clock, inner, of: Of::run(run), path, file: None, seq: 0, last: None, draft }
    }

    /// The command has ended.
    pub(super) fn ended(&mut self, outcome: &Outcome) {
        let (exit_code, signal) = match outcome.exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(signal)),
        };
        let resources = Some(outcome.resources.clone());
        self.tell(What::CommandEnd { exit_code, signal, resources });
    }

    /// Tells what happened now. If nothing was told of it so far, its record will tell it all.
    fn tell(&mut self, what: What) {
        if self.seq == 0 {
            return;
        }
        let event = Event { at: self.clock.now(), what };
        let line = self.line(&event);
        self.write(&line);
    }

    fn line(&mut self, event: &Event) -> String {
        let line = event.to_line(&self.of, self.seq);
        self.inner.event(&self.of, self.seq, event);
        self.seq += 1;
        self.last = Some(event.what.rank());
        line
    }

    fn write(&mut self, lines: &str) {
        if let Some(file) = &mut self.file
            && file.write_all(lines.as_bytes()).is_err()
        {
            self.file = None;
        }
    }

    /// The command runs: everything before is told in one write, which the command does not wait for.
    fn begin(&mut self, pid: u32) {
        let Some(run) = self.draft.get().filter(|_| self.seq == 0) else { return };
        self.file = self.fs.create_new(&self.path, 0o666).ok();
        let mut lines = String::new();
        let mut before = event::of_run(run, None);
        before.retain(|event| event.what.rank() < 2);
        before.push(Event { at: self.clock.now(), what: What::CommandStart { pid: Some(pid) } });
        for event in &before {
            lines.push_str(&self.line(event));
        }
        self.write(&lines);
    }

    /// The work begins, which is no command.
    pub(super) fn begin_without_child(&mut self) {
        let Some(run) = self.draft.get().filter(|_| self.seq == 0) else { return };
        self.file = self.fs.create_new(&self.path, 0o666).ok();
        let mut before = event::of_run(run, None);
        before.retain(|event| event.what.rank() < 2);
        let lines: String = before.iter().map(|event| self.line(event)).collect();
        self.write(&lines);
    }

    /// How far it came: the rank of the last event and how many there were; `None` if the command never ran.
    pub(super) fn told(&self) -> Option<(u8, u64)> {
        self.last.map(|rank| (rank, self.seq))
    }
}

/// Writes down the beginning of a run that somebody else executes.
pub(super) fn begun(fs: &Fs, run: &Run, dir: &std::path::Path) {
    let of = Of::run(run);
    let mut before = event::of_run(run, None);
    before.retain(|event| event.what.rank() < 2);
    let lines: String = before.iter().zip(0..).map(|(event, seq)| event.to_line(&of, seq)).collect();
    // It costs followers something if it can't be written, nobody else.
    let _ = fs.replace(&dir.join(EVENTS), lines.as_bytes(), false);
}

/// Tells an observer of a closed run what comes after what it was told: rank of the last event, and how many.
pub(super) fn rest(observer: &mut dyn Observer, run: &Run, object: Option<Id>, told: Option<(u8, u64)>) {
    if !observer.hears_events() {
        return;
    }
    let of = Of::run(run);
    let mut rest = event::of_run(run, object);
    rest.retain(|event| told.is_none_or(|(rank, _)| event.what.rank() > rank));
    for (event, seq) in rest.iter().zip(told.map_or(0, |(_, seq)| seq)..) {
        observer.event(&of, seq, event);
    }
}

impl Observer for Reporter<'_> {
    fn output(&mut self, from: Stream, bytes: &[u8]) -> io::Result<usize> {
        self.inner.output(from, bytes)
    }

    fn ready_on(&self, from: Stream) -> Option<BorrowedFd<'_>> {
        self.inner.ready_on(from)
    }

    fn terminal(&self, from: Stream) -> Option<BorrowedFd<'_>> {
        self.inner.terminal(from)
    }

    fn notice(&mut self, notice: Notice) {
        let word = match notice {
            Notice::Started(pid) => return self.begin(pid),
            Notice::TimedOut => "timed_out",
            Notice::Forwarded(_) => "interrupted",
            Notice::WantsTerminal => "wants_terminal",
            Notice::LeftOver => "left_over",
            Notice::Killing => "killing",
            Notice::Again { .. } => return self.inner.notice(notice),
        };
        self.tell(What::Notice { notice: word });
        self.inner.notice(notice);
    }
}

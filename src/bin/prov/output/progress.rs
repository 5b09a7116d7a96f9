//! A bar on standard error for long work on a terminal.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use prov::progress::{Progress, Unit};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(400);

/// Shows phases one after the other; silent where nobody watches.
#[derive(Debug)]
pub(crate) struct Bar {
    is_shown: bool,
    phase: Mutex<Option<Phase>>,
}

#[derive(Debug)]
struct Phase {
    bar: ProgressBar,
    since: Instant,
    is_visible: bool,
}

impl Bar {
    /// A bar if `is_shown`, else nothing.
    pub(crate) fn new(is_shown: bool) -> Self {
        Self { is_shown, phase: Mutex::new(None) }
    }
}

impl Progress for Bar {
    fn begin(&self, phase: &str, total: Option<u64>, unit: Unit) {
        if !self.is_shown {
            return;
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = match (total, unit) {
            (Some(_), Unit::Items) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
            (Some(_), Unit::Bytes) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            (None, Unit::Items) => "{spinner} {msg} {human_pos}",
            (None, Unit::Bytes) => "{spinner} {msg} {bytes} {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(prov::path::shown(phase.as_bytes()));
        let phase = Phase { bar, since: Instant::now(), is_visible: false };
        if let Some(before) = self.phase.lock().unwrap_or_else(PoisonError::into_inner).replace(phase) {
            before.bar.finish_and_clear();
        }
    }

    fn add(&self, n: u64) {
        if !self.is_shown {
            return;
        }
        if let Some(phase) = self.phase.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            if !phase.is_visible && phase.since.elapsed() >= PATIENCE {
                phase.is_visible = true;
                phase.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            }
            phase.bar.inc(n);
        }
    }

    fn end(&self) {
        if let Some(phase) = self.phase.lock().unwrap_or_else(PoisonError::into_inner).take() {
            phase.bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tasks that are under way, each with a line of its own below one bar; silent where nobody watches.
#[derive(Debug)]
pub(crate) struct Tasks {
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    all: MultiProgress,
    bar: ProgressBar,
    lines: HashMap<usize, (ProgressBar, String)>,
}

/// Lines of tasks that are shown at once.
const MOST_LINES: usize = 12;

impl Tasks {
    /// Lines if `is_shown`, else nothing.
    pub(crate) fn new(is_shown: bool) -> Self {
        let shown = is_shown.then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            let bar = all.add(ProgressBar::new(0));
            if let Ok(style) = ProgressStyle::with_template("{human_pos}/{human_len} tasks {wide_bar} {elapsed}") {
                bar.set_style(style);
            }
            Shown { all, bar, lines: HashMap::new() }
        });
        Self { shown }
    }

    /// So many tasks are to be done.
    pub(crate) fn begin(&mut self, total: u64) {
        if let Some(shown) = &self.shown {
            shown.bar.set_length(total);
        }
    }

    /// A task is under way.
    pub(crate) fn start(&mut self, id: usize, label: &str) {
        let Some(shown) = &mut self.shown else { return };
        if shown.lines.len() >= MOST_LINES {
            return;
        }
        let line = shown.all.insert_before(&shown.bar, ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            line.set_style(style);
        }
        line.set_message(label.to_owned());
        line.enable_steady_tick(Duration::from_millis(250));
        shown.lines.insert(id, (line, label.to_owned()));
    }

    /// How far a task is.
    pub(crate) fn progress(&mut self, id: usize, text: &str) {
        if let Some((line, label)) = self.shown.as_ref().and_then(|shown| shown.lines.get(&id)) {
            line.set_message(format!("{label} {text}"));
        }
    }

    /// A task is over.
    pub(crate) fn end(&mut self, id: usize) {
        let Some(shown) = &mut self.shown else { return };
        if let Some((line, _)) = shown.lines.remove(&id) {
            line.finish_and_clear();
            shown.all.remove(&line);
        }
        shown.bar.inc(1);
    }

    /// Does something that writes lines, above those of the tasks.
    pub(crate) fn above(&self, write: &dyn Fn()) {
        match &self.shown {
            // Clearing the lines panics where the terminal is gone, and a hang-up has to be told, too.
            Some(shown) if std::io::stderr().is_terminal() => shown.all.suspend(write),
            _ => write(),
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        if let Some(shown) = &self.shown {
            shown.bar.finish_and_clear();
        }
    }
}

//! A bar on standard error for long work on a terminal.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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

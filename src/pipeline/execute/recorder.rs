//! The thread that makes closed runs history.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::work::{Event, Events};
use crate::run::batch::Batch;

/// How long a closed run waits for others.
const PAUSE: Duration = Duration::from_millis(100);

/// How long it waits at most where making history takes its time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Of the time that making history takes, this many times as long nothing is made of it.
const REST: u32 = 8;

/// What the recorder is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// Something waits.
    Waits,
    /// Something waits that others wait for.
    Now,
}

/// Makes history of what waits, some time after the first, or at once when told to; until nobody can tell it anything any more.
pub(super) fn record(batch: &Batch<'_>, notes: &Receiver<Note>, events: &Events) {
    let mut pause = PAUSE;
    while let Ok(first) = notes.recv() {
        let until = Instant::now() + pause;
        let mut note = Ok(first);
        let mut is_over = false;
        loop {
            match note {
                Ok(Note::Waits) => {}
                Ok(Note::Now) | Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    is_over = true;
                    break;
                }
            }
            note = notes.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
        // What came in meanwhile goes with it.
        while notes.try_recv().is_ok() {}
        let since = Instant::now();
        let flushed = batch.flush();
        pause = since.elapsed().saturating_mul(REST).clamp(PAUSE, LONGEST_PAUSE);
        let _ = events.send(Event::Flushed(flushed));
        if is_over {
            break;
        }
    }
}

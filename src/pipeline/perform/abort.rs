//! The request to stop, which everything that runs for a pipeline shares.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Failure;

/// Raised once, with a reason, and seen by all.
#[derive(Default)]
pub struct Abort {
    is_raised: AtomicBool,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    reason: Option<String>,
    watchers: Vec<(u64, Box<dyn Fn() + Send>)>,
    next: u64,
}

/// As long as it is kept, its function is called when the abort is raised.
#[must_use = "dropping it ends the watch"]
pub struct Watch<'a> {
    abort: &'a Abort,
    number: u64,
}

impl Abort {
    /// Not raised yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever a watcher did, the state is whole between two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks everything to stop. The first reason counts.
    pub fn raise(&self, reason: impl Into<String>) {
        let mut state = self.state();
        if state.reason.is_none() {
            state.reason = Some(reason.into());
            self.is_raised.store(true, Ordering::SeqCst);
            for (_, tell) in &state.watchers {
                tell();
            }
        }
        drop(state);
        self.bell.notify_all();
    }

    /// Whether stopping was asked for.
    pub fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::SeqCst)
    }

    /// Why, if it was.
    pub fn reason(&self) -> Option<String> {
        self.state().reason.clone()
    }

    /// The failure of who has to stop, if stopping was asked for.
    ///
    /// # Errors
    /// It was.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_raised() { Err(self.failure()) } else { Ok(()) }
    }

    /// What ends because of it ends with this.
    pub fn failure(&self) -> Failure {
        Failure::Aborted { reason: self.reason().unwrap_or_default(), outcome: None }
    }

    /// Waits this long, or until it is raised, and says whether it is.
    pub fn wait(&self, time: Duration) -> bool {
        // A time too long to be told is as good as no end.
        let deadline = Instant::now().checked_add(time);
        let mut state = self.state();
        while state.reason.is_none() {
            let left = deadline.map_or(time, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            state = self.bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Has `tell` called once when it is raised, at once if it is; `tell` must be short and must not use this abort.
    pub fn watch(&self, tell: impl Fn() + Send + 'static) -> Watch<'_> {
        let mut state = self.state();
        if state.reason.is_some() {
            tell();
        }
        let number = state.next;
        state.next += 1;
        state.watchers.push((number, Box::new(tell)));
        Watch { abort: self, number }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.abort.state().watchers.retain(|(number, _)| *number != self.number);
    }
}

impl fmt::Debug for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abort").field("is_raised", &self.is_raised()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn the_first_reason_counts_and_watchers_hear_once() {
        let abort = Abort::new();
        let heard = Arc::new(AtomicUsize::new(0));
        let count = |heard: &Arc<AtomicUsize>| {
            let heard = Arc::clone(heard);
            move || {
                heard.fetch_add(1, Ordering::SeqCst);
            }
        };
        let _kept = abort.watch(count(&heard));
        drop(abort.watch(count(&heard)));
        assert!(abort.check().is_ok() && !abort.wait(Duration::ZERO));
        abort.raise("one failed");
        abort.raise("two failed");
        assert_eq!(heard.load(Ordering::SeqCst), 1);
        let _late = abort.watch(count(&heard));
        assert_eq!(heard.load(Ordering::SeqCst), 2);
        assert_eq!(abort.check().unwrap_err().reason(), "aborted: one failed");
        assert!(abort.wait(Duration::from_secs(60)));
    }

    #[test]
    fn who_waits_is_woken() {
        let abort = Abort::new();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| abort.wait(Duration::from_secs(3600)));
            abort.raise("enough");
            assert!(waits.join().unwrap());
        });
    }
}

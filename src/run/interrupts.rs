//! Requests to stop that come from outside while a child runs.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use signal_hook::SigId;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};

use crate::host;
use crate::progress::Cancel;

/// The signals that are heard: those that ask to end, then stopping by the terminal, news of children and
/// of the terminal's size (the last only if asked for).
const HEARD: [i32; 7] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCHLD, SIGWINCH];

/// Asks to end.
pub const TERM: i32 = SIGTERM;
/// News of children.
pub const CHILD: i32 = SIGCHLD;
/// The terminal asks to stop for a while.
pub const STOP: i32 = SIGTSTP;

/// Stops this process; returns when somebody lets it go on.
pub fn stop_here() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
}

/// The place of SIGTSTP among them.
const STOPPING: usize = 4;

/// Those of them that ask to end.
const ENDING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

type Flags = Arc<[Arc<AtomicBool>; HEARD.len()]>;

/// Interrupts that have come in and were not seen to yet.
///
/// Made once, before the work that may have to be stopped, and kept until it is recorded. Between children
/// [`Interrupts::is_raised`] tells whether to go on; [`super::execute`] passes them on to the child.
pub struct Interrupts {
    read: UnixStream,
    write: Arc<UnixStream>,
    flags: Flags,
    actions: Vec<SigId>,
    /// Whether the system tells of children that stop or end.
    hears_children: bool,
    /// From then on the signals do again what they do by default.
    released: Arc<AtomicBool>,
}

/// Raises interrupts by hand, from any thread.
#[derive(Debug)]
pub struct Interrupter {
    write: Arc<UnixStream>,
    flags: Flags,
}

impl Interrupts {
    /// Hears only what an [`Interrupter`] raises.
    pub fn by_hand() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let flags = Arc::new(std::array::from_fn(|_| Arc::new(AtomicBool::new(false))));
        let (write, actions, released) = (Arc::new(write), Vec::new(), Arc::new(AtomicBool::new(false)));
        Ok(Self { read, write, flags, actions, hears_children: false, released })
    }

    /// Hears the signals that this process gets: SIGINT, SIGTERM, SIGHUP and SIGQUIT no longer end it.
    ///
    /// Signals that it was told to ignore (by `nohup`, or in the background of a script) stay ignored, by the child
    /// too; where that can't be had (elsewhere than on Linux) they are heard. When the value is dropped, the signals
    /// do again what they do by default.
    pub fn from_signals() -> io::Result<Self> {
        Self::hearing(true)
    }

    /// As [`Interrupts::from_signals`], without news of children: for who has so many that hearing of each costs more than looking now and
    /// then whether one of them was stopped.
    ///
    /// # Errors
    /// As [`Interrupts::from_signals`].
    pub fn from_requests() -> io::Result<Self> {
        Self::hearing(false)
    }

    fn hearing(hears_children: bool) -> io::Result<Self> {
        let mut this = Self::by_hand()?;
        this.hears_children = hears_children;
        let ignored = host::ignored_signals();
        for (flag, signal) in this.flags.iter().zip(HEARD) {
            let is_ignored = ignored & (1 << (signal - 1)) != 0;
            let is_of_children = signal == SIGCHLD;
            if (is_ignored && !is_of_children) || signal == SIGWINCH || (is_of_children && !hears_children) {
                continue;
            }
            if !is_of_children {
                signal_hook::flag::register_conditional_default(signal, Arc::clone(&this.released))?;
            }
            this.actions.push(signal_hook::flag::register(signal, Arc::clone(flag))?);
            // After the flag: who is woken finds it set.
            this.actions.push(signal_hook::low_level::pipe::register(signal, this.write.try_clone()?)?);
        }
        Ok(this)
    }

    /// Hears as well when the terminal's size changes, for a child that is given one.
    ///
    /// # Errors
    /// When the system does not let a signal be heard.
    pub fn hear_resizes(&mut self) -> io::Result<()> {
        let flag = &self.flags[HEARD.len() - 1];
        self.actions.push(signal_hook::flag::register(SIGWINCH, Arc::clone(flag))?);
        self.actions.push(signal_hook::low_level::pipe::register(SIGWINCH, self.write.try_clone()?)?);
        Ok(())
    }

    /// A handle that raises interrupts as if signals had come.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter { write: Arc::clone(&self.write), flags: Arc::clone(&self.flags) }
    }

    /// Whether the system tells of children that stop; else whoever has one has to look.
    pub(super) fn hears_children(&self) -> bool {
        self.hears_children
    }

    /// Whether a request to end waits to be seen to.
    pub fn is_raised(&self) -> bool {
        self.ending().is_some()
    }

    /// The request to end that waits to be seen to.
    pub fn ending(&self) -> Option<i32> {
        self.flags.iter().zip(HEARD).find(|(flag, s)| ENDING.contains(s) && flag.load(Ordering::SeqCst)).map(|(_, s)| s)
    }

    /// A cancel that is raised while a request to end waits to be seen to.
    pub fn cancel(&self) -> Cancel {
        let flags = self.flags.iter().zip(HEARD).filter(|(_, signal)| ENDING.contains(signal));
        Cancel::watching(flags.map(|(flag, _)| Arc::clone(flag)).collect())
    }

    /// Waits this long, or until a request to end comes in, which it returns and leaves to be seen to.
    pub fn pause(&self, time: Duration) -> Option<i32> {
        // A time too long to be told is as good as no end.
        let deadline = Instant::now().checked_add(time);
        loop {
            if let Some(signal) = self.ending() {
                return Some(signal);
            }
            if self.flags[STOPPING].swap(false, Ordering::SeqCst) {
                // Returns when somebody lets us go on.
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            // Whether it was woken or interrupted: the flags are looked at next.
            let _ = poll(&mut [PollFd::new(self, PollFlags::IN)], left.as_ref());
            let mut sink = [0; 64];
            while (&self.read).read(&mut sink).is_ok_and(|n| n > 0) {}
        }
    }

    /// Waits for signals and takes them; `None` once `over` can be read.
    pub fn next(&self, over: BorrowedFd<'_>) -> Option<Vec<i32>> {
        loop {
            let mut fds = [PollFd::new(self, PollFlags::IN), PollFd::from_borrowed_fd(over, PollFlags::IN)];
            // Whether it was woken or interrupted: the flags are looked at next.
            let _ = poll(&mut fds, None);
            let is_over = !fds[1].revents().is_empty();
            let taken = self.take();
            if !taken.is_empty() {
                return Some(taken);
            }
            if is_over {
                return None;
            }
        }
    }

    /// Takes everything that came in since the last time.
    pub(crate) fn take(&self) -> Vec<i32> {
        let mut sink = [0; 64];
        while (&self.read).read(&mut sink).is_ok_and(|n| n > 0) {}
        let taken = self.flags.iter().zip(HEARD).filter(|(flag, _)| flag.swap(false, Ordering::SeqCst));
        taken.map(|(_, signal)| signal).collect()
    }
}

impl AsFd for Interrupts {
    /// Readable when something came in.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl fmt::Debug for Interrupts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupts").field("ending", &self.ending()).finish_non_exhaustive()
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.released.store(true, Ordering::SeqCst);
        for action in self.actions.drain(..) {
            signal_hook::low_level::unregister(action);
        }
    }
}

impl Interrupter {
    /// Raises `signal`, one of SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP and SIGCHLD; others are not heard.
    pub fn raise(&self, signal: i32) {
        if let Some(at) = HEARD.iter().position(|&heard| heard == signal) {
            self.flags[at].store(true, Ordering::SeqCst);
            // A full pipe wakes as well.
            let _ = (&*self.write).write(b"X");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_raised_is_seen_once() {
        let interrupts = Interrupts::by_hand().unwrap();
        assert!(!interrupts.is_raised());
        interrupts.interrupter().raise(SIGTERM);
        assert_eq!(interrupts.ending(), Some(SIGTERM));
        assert_eq!(interrupts.take(), [SIGTERM]);
        assert!(interrupts.take().is_empty());
        assert!(!interrupts.is_raised());
    }
}

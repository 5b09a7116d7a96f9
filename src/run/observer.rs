//! Who hears of a child's output while it runs.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::event::{Event, Of};

/// One of the two streams a child writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both.
    pub const ALL: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

    /// `stdout` or `stderr`: its name in records and of its file in the live folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that happened around the child and that people may want to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The child runs; its pid.
    Started(u32),
    /// The time is up; the group was asked to end.
    TimedOut,
    /// This signal came in and was passed on.
    Forwarded(i32),
    /// The child stopped because it wanted the terminal, which a recorded run does not have; it is being ended.
    WantsTerminal,
    /// The child is gone, but processes it left in its group are not; they are being ended.
    LeftOver,
    /// Asking was not enough; the group is being killed.
    Killing,
    /// The run failed; it is tried again after a while.
    Again {
        /// The number of the attempt that is to come.
        attempt: u32,
        /// The number of the last attempt.
        last: u32,
        /// How long after.
        delay: Duration,
    },
}

/// Hears a child's output as it arrives.
///
/// What it does not take in time holds the child up, as a pipe would; it never loses anything of the spool, and
/// signals and the timeout work all the same if [`Observer::ready_on`] is given.
pub trait Observer {
    /// Takes bytes of a stream, all or only the first `n`, and says how many.
    ///
    /// # Errors
    /// `WouldBlock`: not now. Anything else: the observer hears nothing more of this stream, the child does not notice.
    fn output(&mut self, from: Stream, bytes: &[u8]) -> io::Result<usize>;

    /// The descriptor to wait on before [`Observer::output`] is called, when that writes to something that can block.
    /// At most 4,096 bytes are then handed over at a time: what a pipe that is ready takes without blocking.
    fn ready_on(&self, _from: Stream) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The terminal that a stream ends at, if the child is to have one as well: as large, and through [`Observer::output`].
    fn terminal(&self, _from: Stream) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Hears what happens around the child.
    fn notice(&mut self, _notice: Notice) {}

    /// Hears, before the command is started, that the same recipe failed before.
    fn known_failure(&mut self, _known: &super::memory::KnownFailure) {}

    /// Whether it cares for events: those that would be made for it alone are not made otherwise.
    fn hears_events(&self) -> bool {
        false
    }

    /// Hears what the run does: every event of it once, in the order of `docs/design/0004-events.md`, numbered from 0.
    fn event(&mut self, _of: &Of, _seq: u64, _event: &Event) {}
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unheard;

impl Observer for Unheard {
    fn output(&mut self, _from: Stream, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
}

/// Passes output on to open descriptors, e.g. to prov's own streams, while it comes.
#[derive(Debug, Default)]
pub struct PassThrough {
    to: [Option<OwnedFd>; 2],
    /// Whether a write can block, as it can on a pipe or a terminal but not on a file.
    can_block: [bool; 2],
    /// Which of them are terminals that the child is to see.
    terminals: [bool; 2],
}

impl PassThrough {
    /// Where each stream goes; `None` for nowhere. One open file may be given twice (duplicated).
    pub fn new(stdout: Option<OwnedFd>, stderr: Option<OwnedFd>) -> Self {
        let to = [stdout, stderr];
        let can_block = to.each_ref().map(|fd| {
            let stat = fd.as_ref().map(rustix::fs::fstat);
            !matches!(stat, Some(Ok(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
        });
        Self { to, can_block, terminals: [false; 2] }
    }

    /// The same, and a child writes to a terminal where this does: stdout and stderr as told. Telling costs no look at them.
    pub fn as_terminals(mut self, [out, err]: [bool; 2]) -> Self {
        self.terminals = [out, err];
        self
    }
}

impl Observer for PassThrough {
    fn output(&mut self, from: Stream, bytes: &[u8]) -> io::Result<usize> {
        match &self.to[from.index()] {
            None => Ok(bytes.len()),
            Some(fd) => loop {
                match rustix::io::write(fd, bytes) {
                    Err(Errno::INTR) => {}
                    written => return Ok(written?),
                }
            },
        }
    }

    fn ready_on(&self, from: Stream) -> Option<BorrowedFd<'_>> {
        self.to[from.index()].as_ref().filter(|_| self.can_block[from.index()]).map(AsFd::as_fd)
    }

    fn terminal(&self, from: Stream) -> Option<BorrowedFd<'_>> {
        self.to[from.index()].as_ref().filter(|_| self.terminals[from.index()]).map(AsFd::as_fd)
    }
}

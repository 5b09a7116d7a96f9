//! A terminal for a child where prov's own stream is one, so that programs print as they would without prov.
//!
//! A pseudo-terminal for each stream, so that they stay apart. It changes nothing of what is written: what the child writes is what is kept and
//! what is passed on, and the real terminal does with it what it always does. It is a terminal to look at, not to be read from or controlled
//! by: the child keeps its controlling terminal, so signals come as they do to a child with pipes. Its end is open for writing alone, so that a
//! program that would wait for keys on it (as pagers do) fails at once, since nobody could ever press one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{self, LocalModes, OptionalActions, OutputModes};

/// The two ends of a pseudo-terminal.
pub(super) struct Ends {
    /// prov reads here what the child writes.
    pub(super) ours: OwnedFd,
    /// The child's stream.
    pub(super) childs: OwnedFd,
}

/// A pseudo-terminal as large as `like`.
///
/// # Errors
/// When the system has none left, or no such thing: a pipe does then.
pub(super) fn open(like: BorrowedFd<'_>) -> io::Result<Ends> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let childs = rustix::fs::open(name.as_c_str(), OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut modes = termios::tcgetattr(&childs)?;
    // Line ends stay what the child wrote; nobody types here.
    modes.output_modes.remove(OutputModes::OPOST);
    modes.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
    termios::tcsetattr(&childs, OptionalActions::Now, &modes)?;
    resize(ours.as_fd(), like);
    Ok(Ends { ours, childs })
}

/// Makes a pseudo-terminal as large as the terminal `like`. Of something else nothing comes.
pub(super) fn resize(ours: BorrowedFd<'_>, like: BorrowedFd<'_>) {
    if let Ok(size) = termios::tcgetwinsize(like) {
        let _ = termios::tcsetwinsize(ours, size);
    }
}

//! How a child ended, and the exit code that prov gives back for it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Exit code when the time was up.
pub const TIMED_OUT: u8 = 124;
/// Exit code for every failure of prov's own around a child.
pub const OWN_FAILURE: u8 = 125;
/// Exit code when the program can't be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// Exit code when there is no such program.
pub const NOT_FOUND: u8 = 127;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Whether it ended by a signal with which somebody asks a process to end. A crash, or what the system kills, was not asked for.
    pub fn was_asked_for(self) -> bool {
        matches!(self, Self::Signal(SIGHUP | SIGINT | SIGTERM))
    }

    /// What the system reports about a child that is gone.
    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            // Neither can't be: only ends are asked for, never stops.
            (None, None) => Self::Code(i32::from(OWN_FAILURE)),
        }
    }

    /// Whether it ended by itself with code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code a shell shows for it: its own, or 128+N for signal N.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code.to_le_bytes()[0],
            Self::Signal(signal) => signalled(signal),
        }
    }
}

/// 128+N.
pub(super) fn signalled(signal: i32) -> u8 {
    128u8.saturating_add(u8::try_from(signal).unwrap_or(127))
}

/// The name of a signal, e.g. `SIGTERM`; `None` for those without one here.
pub fn signal_name(signal: i32) -> Option<&'static str> {
    signal_hook::low_level::signal_name(signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(Exit::Code(0).shell_code(), 0);
        assert_eq!(Exit::Code(255).shell_code(), 255);
        assert_eq!(Exit::Signal(9).shell_code(), 137);
        assert_eq!(Exit::of(ExitStatus::from_raw(15)), Exit::Signal(15));
        assert_eq!(Exit::of(ExitStatus::from_raw(7 << 8)), Exit::Code(7));
        assert_eq!(signal_name(15), Some("SIGTERM"));
    }
}

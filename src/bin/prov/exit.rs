//! Exit codes: what they mean, in one table.

/// How prov ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, or yes.
    Done,
    /// 1: not verified, a task failed, or things differ and `--exit-code` was given.
    No,
    /// 2: the words make no sense.
    Usage,
    /// 3: there is no store here.
    NoStore,
    /// 4: not found, or ambiguous.
    NotFound,
    /// 5: data is damaged or missing.
    Damaged,
    /// 6: the network, or a server.
    Network,
    /// 7: refused: it would overwrite unknown content or remove a last copy, or the format is newer.
    Refused,
    /// 101: a bug in prov.
    Bug,
    /// 124: the command's time was up.
    Timeout,
    /// 125: prov itself failed around a command.
    RunFailed,
    /// 130: interrupted.
    Interrupted,
    /// 141: the reader of standard output went away; what a shell reports of Git then.
    BrokenPipe,
    /// What the command of `prov run` ended with, 128+N for signal N.
    Child(u8),
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::NoStore => 3,
            Exit::NotFound => 4,
            Exit::Damaged => 5,
            Exit::Network => 6,
            Exit::Refused => 7,
            Exit::Bug => 101,
            Exit::Timeout => 124,
            Exit::RunFailed => 125,
            Exit::Interrupted => 130,
            Exit::BrokenPipe => 141,
            Exit::Child(code) => code,
        }
    }
}

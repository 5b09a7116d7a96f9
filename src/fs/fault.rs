//! Planned misfortune: what a test can make of every effect.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One kind of effect on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Creating or truncating a file.
    Create,
    /// Writing bytes to a file.
    Write,
    /// Flushing a file.
    Sync,
    /// Flushing a folder.
    SyncDir,
    /// Giving a file another name.
    Link,
    /// Renaming.
    Rename,
    /// Removing a file or a folder.
    Remove,
    /// Creating a folder.
    MakeDir,
    /// Creating a symbolic link.
    Symlink,
    /// Changing permission bits.
    SetMode,
}

/// What happens to an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Go,
    /// It is not done and fails with this error number.
    Fail(i32),
    /// A write takes only this many bytes (at least one).
    Short(usize),
    /// It is done, but the caller is told this error number.
    DoneButFail(i32),
}

/// Decides what happens to each effect.
pub trait Fault: Send + Sync + fmt::Debug {
    /// Called before an effect on `path`.
    fn before(&self, op: Op, path: &Path) -> Verdict;
}

/// Lets a number of effects pass, then gives one verdict: once, or to everything after, as a crash would.
#[derive(Debug)]
pub struct NthEffect {
    passed: AtomicU64,
    nth: u64,
    verdict: Verdict,
    for_good: bool,
    struck: AtomicBool,
}

impl NthEffect {
    /// The effect number `nth` (from 0) gets `verdict`, all others pass.
    pub fn once(nth: u64, verdict: Verdict) -> Self {
        Self { passed: AtomicU64::new(0), nth, verdict, for_good: false, struck: AtomicBool::new(false) }
    }

    /// From effect number `nth` (from 0) on nothing is done any more: the process is as good as dead.
    pub fn crash(nth: u64) -> Self {
        Self { for_good: true, ..Self::once(nth, Verdict::Fail(rustix::io::Errno::IO.raw_os_error())) }
    }

    /// As [`NthEffect::crash`], but every effect from there on fails with `errno`.
    pub fn from_then_on(nth: u64, errno: i32) -> Self {
        Self { for_good: true, ..Self::once(nth, Verdict::Fail(errno)) }
    }

    /// Whether the verdict was given; a test that loops over `nth` ends when it was not.
    pub fn has_struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// How many effects were asked about.
    pub fn count(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

impl Fault for NthEffect {
    fn before(&self, _op: Op, _path: &Path) -> Verdict {
        let number = self.passed.fetch_add(1, Ordering::SeqCst);
        if number == self.nth || (self.for_good && number > self.nth) {
            self.struck.store(true, Ordering::SeqCst);
            self.verdict
        } else {
            Verdict::Go
        }
    }
}

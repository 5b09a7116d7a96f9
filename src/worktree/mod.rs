//! The files that people and programs work on: listing them, telling cheaply whether they changed, taking them
//! into a store and bringing them back.
//!
//! | part | what it does |
//! |---|---|
//! | [`Rules`] | which paths are left out: `.provignore`, `.gitignore`, Git's own exclude file |
//! | [`scan()`] | lists a folder with everything below, in parallel, links not followed |
//! | [`stat_cache`] | remembers the id of a file whose state has not changed, and says when that may be believed |
//! | [`hash_file()`] | the id of one file, and the proof that it held still meanwhile |
//! | [`capture()`] | a file or folder as objects, with a [`Fence`] that notices later changes |
//! | [`restore`] | brings files and folders back: everything is checked before anything is written |
//!
//! Any store can stand behind it: objects go to an [`crate::object::Sink`] and come from an [`crate::object::Source`].
//! This module is the only user of the `ignore` crate.

mod barren;
mod capture;
mod fence;
mod hash_file;
mod ignore;
mod names;
pub mod restore;
mod scan;
mod spread;
pub mod stat_cache;

#[cfg(test)]
mod testing;

use std::io;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::fs::Fs;
use crate::object::{self, AccessError};
use crate::path::{Place, show};
use crate::progress::{Cancel, Progress};

pub use barren::scan_by_name;
pub use capture::{CaptureOptions, Captured, Earlier, Looked, capture, capture_seen, look};
pub use fence::{Change, ChangeKind, Fence};
pub use hash_file::{Hashed, hash_file};
pub use ignore::{IgnoreProblem, Rules};
pub use names::is_reserved;
pub use scan::{ByName, Entry, Folder, Keep, Scan, ScanOptions, scan};
pub use stat_cache::StatCache;

/// Folders inside folders that a capture or a restore goes down to at most.
pub const MAX_DEPTH: usize = 512;

/// What every operation on the work tree needs.
#[derive(Debug, Clone, Copy)]
pub struct Worktree<'a> {
    /// The file system.
    pub fs: &'a Fs,
    /// The project root, absolute.
    pub root: &'a Path,
    /// The clock by which a file counts as settled.
    pub clock: &'a dyn Clock,
    /// Ids that are known already.
    pub cache: &'a StatCache,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Stops it.
    pub cancel: &'a Cancel,
}

impl Worktree<'_> {
    /// The absolute path of a place.
    pub fn path(&self, place: &Place) -> PathBuf {
        match place {
            Place::Inside(path) => path.below(self.root),
            Place::Outside(path) => path.clone(),
        }
    }

    fn check_cancel(&self) -> Result<(), Error> {
        if self.cancel.is_raised() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Why files could not be taken or brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file effect failed.
    #[error("can't {doing} `{}`", show(.path))]
    Io {
        /// The verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is nothing at the path.
    #[error("`{}` does not exist", show(.path))]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// It is neither file, folder nor link.
    #[error("`{}` is a FIFO, socket or device, which has no content to record", show(.path))]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// It did not hold still.
    #[error("`{}` changed while it was read", show(.path))]
    Changed {
        /// The path.
        path: PathBuf,
    },
    /// More than [`MAX_DEPTH`] folders inside each other.
    #[error("`{}` lies more than {MAX_DEPTH} folders deep", show(.path))]
    TooDeep {
        /// The path.
        path: PathBuf,
    },
    /// What is to be restored would not stay in its place, or can't exist there.
    #[error("`{}` can't be restored: {rule}", show(.path))]
    Unsafe {
        /// The destination.
        path: PathBuf,
        /// The rule that it breaks.
        rule: String,
    },
    /// The store failed.
    #[error("can't {doing} the content of `{}`", show(.path))]
    Access {
        /// The verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the store says.
        source: AccessError,
    },
    /// A tree object can't be read or made.
    #[error("the folder `{}` can't be listed", show(.path))]
    Object {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: object::Error,
    },
    /// Stopping was asked for.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if doing == "read" && crate::fs::is_absent(&source) {
                Error::Absent { path: path.to_owned() }
            } else {
                Error::Io { doing, path: path.to_owned(), source }
            }
        }
    }

    fn access(doing: &'static str, path: &Path) -> impl FnOnce(AccessError) -> Self {
        move |source| match source {
            AccessError::Changed => Error::Changed { path: path.to_owned() },
            source => Error::Access { doing, path: path.to_owned(), source },
        }
    }

    /// The path that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::Io { path, .. }
            | Error::Absent { path }
            | Error::Special { path }
            | Error::Changed { path }
            | Error::TooDeep { path }
            | Error::Unsafe { path, .. }
            | Error::Access { path, .. }
            | Error::Object { path, .. } => Some(path),
            Error::Cancelled => None,
        }
    }
}

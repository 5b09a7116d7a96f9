//! The seam between the store and the place where its files lie.
//!
//! A place needs little: list names, read files, and create a file under a name that must not exist yet. Whoever
//! offers that much can hold a store; `tests` of the module run one contract suite over every implementation.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use super::stretches::Stretches;
use crate::fs::Stat;
use crate::hash::Id;

/// The folders of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// Numbered entries: the only thing that moves.
    Log,
    /// Objects.
    Packs,
    /// Refs.
    Tables,
    /// Folded log.
    History,
    /// Files being written; not part of the state.
    Tmp,
    /// Damaged files put aside; not part of the state.
    Quarantine,
}

impl Folder {
    /// All folders.
    pub const ALL: [Folder; 6] =
        [Folder::Log, Folder::Packs, Folder::Tables, Folder::History, Folder::Tmp, Folder::Quarantine];

    /// Its name on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Folder::Log => "log",
            Folder::Packs => "packs",
            Folder::Tables => "tables",
            Folder::History => "history",
            Folder::Tmp => "tmp",
            Folder::Quarantine => "quarantine",
        }
    }

    /// What follows the hash in the names of its files.
    fn suffix(self) -> &'static str {
        match self {
            Folder::Packs => ".pack",
            Folder::Tables => ".refs",
            Folder::History => ".hist",
            Folder::Log | Folder::Tmp | Folder::Quarantine => "",
        }
    }

    /// The name of the sorted file `id` in this folder.
    pub fn file(self, id: &Id) -> String {
        format!("{id}{}", self.suffix())
    }

    /// The sorted file that `name` names; `None` if it is no such name.
    pub fn parse(self, name: &str) -> Option<Id> {
        let digits = name.strip_suffix(self.suffix())?;
        let id: Id = digits.parse().ok()?;
        // One file, one name: upper-case digits are somebody else's.
        (self.file(&id) == name).then_some(id)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an attempt to create a file under a name ended, as far as the place can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The name was free and is this file's now.
    Won,
    /// The name was taken.
    Lost,
    /// An error came back, and the file may lie there all the same.
    Unknown,
}

/// Why a place did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Nothing can be written there.
    #[error("the store in {place} is read-only")]
    ReadOnly {
        /// The place.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The place can't create a file only if it is absent, so nothing may be written to it.
    #[error(
        "{place} can't create a file only if there is none (its file system has no links, or its server overwrites): the store is read-only"
    )]
    NoAtomicCreate {
        /// The place.
        place: String,
    },
    /// An effect failed.
    #[error("cannot {action} {file}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

impl BackendError {
    /// Whether it says nothing about the file itself, which must then not be taken for damaged.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Io { source, .. } if crate::fs::may_pass(source))
    }
}

/// A file open for reading at any position.
pub trait ReadAt: Send + Sync + fmt::Debug {
    /// Its length in bytes.
    ///
    /// # Errors
    /// When the place can't tell.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Bytes that are read at once where all of it is read: few enough to stay close to the processor, unless every part has to be asked for.
    fn at_once(&self) -> u64 {
        512 << 10
    }

    /// Says that these bytes will be read soon, so that a place that can may begin to fetch them. Promises nothing.
    fn will_need(&self, _offset: u64, _len: u64) {}
}

/// A file being written beside the state. Dropped without being published, it is removed.
pub trait Staged: Write + Send + fmt::Debug {
    /// How many bytes it holds.
    fn position(&self) -> u64;

    /// Throws away all bytes from `len` on.
    ///
    /// # Errors
    /// When that fails; the file is of no use then.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Makes the file durable, then gives it its name, which must be free. The *name* is durable only after
    /// [`Backend::sync`] of the folder.
    ///
    /// # Errors
    /// When the name was certainly not created: the file could not be made durable, or the place is read-only.
    fn publish(self: Box<Self>, folder: Folder, name: &str) -> Result<Outcome, BackendError>;
}

/// Held while a writer is at work, so that others on this machine wait their turn; nothing is wrong without it.
pub trait Queued: Send + fmt::Debug {}

/// A place that holds a store.
///
/// What listings must give: one begun after the caller's own creation of a name shows that name and every name
/// whose creation had completed before, unless removed since. Names that come or go meanwhile may show or not.
pub trait Backend: Send + Sync + fmt::Debug {
    /// The place, for people.
    fn place(&self) -> String;

    /// The names in a folder, in no order; none if the folder is missing.
    ///
    /// # Errors
    /// When it can't be listed.
    fn names(&self, folder: Folder) -> Result<Vec<String>, BackendError>;

    /// The names in a folder with the sizes of the files, in no order; none if the folder is missing.
    ///
    /// # Errors
    /// When it can't be listed.
    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>, BackendError>;

    /// All bytes of a file; `None` if there is no such file. For log entries, which are small.
    ///
    /// # Errors
    /// When it can't be read.
    fn read(&self, folder: Folder, name: &str) -> Result<Option<Vec<u8>>, BackendError>;

    /// Opens a file for reading; `None` if there is no such file.
    ///
    /// # Errors
    /// When it can't be opened.
    fn open(&self, folder: Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, BackendError>;

    /// What tells whether a file was changed since: identity, size and times. `None` if there is no such file or the place has no such
    /// thing.
    fn state(&self, _folder: Folder, _name: &str) -> Option<Stat> {
        None
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When nothing can be written.
    fn stage(&self) -> Result<Box<dyn Staged>, BackendError>;

    /// Large files that may be staged side by side: a place may hold each in memory.
    fn staged_at_once(&self) -> usize {
        2
    }

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// When that fails: nothing in the folder may be relied on then.
    fn sync(&self, folder: Folder) -> Result<(), BackendError>;

    /// Removes a file; it is fine if there is none.
    ///
    /// # Errors
    /// When it can't be removed.
    fn remove(&self, folder: Folder, name: &str) -> Result<(), BackendError>;

    /// Gives a file a second name in quarantine, durably, and returns it; `None` if there is no such file. Its own name stays.
    ///
    /// # Errors
    /// When that can't be done; the file is untouched.
    fn set_aside(&self, folder: Folder, name: &str) -> Result<Option<String>, BackendError> {
        copy_aside(self, folder, name)
    }

    /// What lies in `tmp` and was left behind by writers that are known to be dead. Only names that no entry could ever name, and that
    /// nobody at work can have, are told.
    ///
    /// # Errors
    /// When the folder can't be listed.
    fn left_over(&self) -> Result<Vec<String>, BackendError> {
        Ok(Vec::new())
    }

    /// Makes the folders of a store where they are missing, durably.
    ///
    /// # Errors
    /// When they can't be made.
    fn prepare(&self) -> Result<(), BackendError>;

    /// The bytes of the `format` file; `None` if there is none.
    ///
    /// # Errors
    /// When it can't be read.
    fn read_format(&self) -> Result<Option<Vec<u8>>, BackendError>;

    /// Moves the `format` file to quarantine, durably; it is fine if there is none.
    ///
    /// # Errors
    /// When it can't be moved.
    fn drop_format(&self) -> Result<(), BackendError>;

    /// Creates the `format` file, durable with its name, unless there is one.
    ///
    /// # Errors
    /// When it was certainly not created.
    fn create_format(&self, bytes: &[u8]) -> Result<Outcome, BackendError>;

    /// Writes down for those who can't list the log which entry lies in it: as good a beginning for a search as any that is still there. No part
    /// of the state, and nothing depends on it: what can't be written is let be.
    fn tell_newest(&self, _number: u64) {}

    /// Remembers digests of stretches of packs that were just written to it. No part of the state: what can't be kept is let be.
    fn remember_stretches(&self, _packs: &[Stretches]) {}

    /// Digests of stretches of packs that this user's own project wrote, as far as they are remembered, by the names of packs.
    fn stretches(&self) -> HashMap<Id, Vec<Option<Id>>> {
        HashMap::new()
    }

    /// Waits at most `wait` for other writers on this machine; `None` if it was not this one's turn by then.
    fn queue(&self, wait: Duration) -> Option<Box<dyn Queued>>;

    /// Lets `time` pass, between two attempts.
    fn pause(&self, time: Duration);

    /// Why the place can't be reached any more; `None` as long as it can. What failed to be read since then says nothing of the store.
    fn lost(&self) -> Option<String> {
        None
    }
}

/// Names in quarantine that are tried for one file.
const ASIDE_ATTEMPTS: u32 = 100;

/// The names that a file may have in quarantine, the first free one of which is taken.
pub(super) fn names_aside(folder: &str, name: &str) -> impl Iterator<Item = String> + use<> {
    let first = if name.is_empty() { folder.to_owned() } else { format!("{folder}-{name}") };
    (1..=ASIDE_ATTEMPTS).map(move |n| if n == 1 { first.clone() } else { format!("{first}-{n}") })
}

/// Copies a file into quarantine.
pub(super) fn copy_aside<B: Backend + ?Sized>(
    place: &B,
    folder: Folder,
    name: &str,
) -> Result<Option<String>, BackendError> {
    let shown = || format!("{folder}/{name}");
    let Some(file) = place.open(folder, name)? else { return Ok(None) };
    let failed = |source| BackendError::Io { action: "set aside", file: shown(), source };
    let len = file.size().map_err(failed)?;
    for aside in names_aside(folder.as_str(), name) {
        let mut staged = place.stage()?;
        let mut buffer = vec![0; 128 << 10];
        let mut at = 0;
        while at < len {
            let size = usize::try_from(len - at).unwrap_or(usize::MAX).min(buffer.len());
            // What can't be read is kept as nothing: the rest may be of use.
            if file.read_exact_at(at, &mut buffer[..size]).is_err() {
                buffer[..size].fill(0);
            }
            staged.write_all(&buffer[..size]).map_err(failed)?;
            at += size as u64;
        }
        if staged.publish(Folder::Quarantine, &aside)? != Outcome::Lost {
            place.sync(Folder::Quarantine)?;
            return Ok(Some(aside));
        }
    }
    Err(failed(io::Error::other("quarantine is full of it")))
}

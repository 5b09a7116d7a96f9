//! Brings files and folders back.
//!
//! [`plan`] reads and writes nothing: it takes the trees apart, checks every name, link, size and limit, finds out what
//! is missing in the store and what is right already, and says for each destination what is in the way. One tree
//! that breaks a rule fails the whole plan. [`apply`] then writes, or [`stage`] and what it returns, for all or nothing. For each destination:
//!
//! 1. Everything that has to be written is written beside the destination, in a place of its own, and verified as it is
//!    read from the store. If that fails, the destination is as it was.
//! 2. What is in the way is looked at once more: if it is not what the caller agreed to replace, nothing is done.
//! 3. Renaming brings the new content to its place. A new file or folder appears whole. A folder that exists is brought
//!    to its state file by file: those that are right are not touched, the others change by one rename each, so a
//!    crash can leave old files beside new ones, but no torn one.
//!
//! Nothing is ever reached or written through a symbolic link: all steps below the root start at a folder that is held
//! open ([`crate::fs::Dir`]). Modes are 0666 or 0777 less the process's mask, apart
//! from links to shared files ([`Shelf`]), which are read-only. Nothing is flushed to the disk: the store has
//! the content. A process that is killed may leave a `.prov-restore-*` beside the destination; it is never captured.

mod apply;
mod plan;
mod shelf;
mod validate;

use std::path::PathBuf;

use bstr::BString;

use super::{Error, Fence};
use crate::fs::Stat;
use crate::hash::Id;
use crate::object::recipe::Content;
use crate::path::RelPath;

pub use apply::{Staging, apply, stage};
pub use plan::plan;
pub use shelf::{Link, Shelf, sweep as sweep_shelf};

/// One thing to bring back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What.
    pub content: Content,
    /// Whether it is a file that may be executed.
    pub exec: bool,
    /// Where to, below the root.
    pub to: RelPath,
}

/// Whether names that differ in letter case alone can exist side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LetterCase {
    /// Finds out about the file system of the root.
    #[default]
    Detect,
    /// They can.
    Distinct,
    /// They can't.
    Same,
}

/// What a restore allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Makes links that are absolute, lead out of the root, or go up after going down.
    pub unsafe_links: bool,
    /// Names in all folders together at most.
    pub max_entries: u64,
    /// What to make of names that differ in letter case alone.
    pub letter_case: LetterCase,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { unsafe_links: false, max_entries: 20_000_000, letter_case: LetterCase::Detect }
    }
}

/// What is in the way at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InTheWay {
    /// A file with other content or another execute bit.
    File,
    /// A folder with other content.
    Folder,
    /// A link to something else.
    Link,
    /// A FIFO, socket or device.
    Other,
}

/// What is at a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// What is wanted.
    Same,
    /// Something else, which may be replaced.
    Different(InTheWay),
    /// Nothing can be written here, and why.
    Blocked(String),
}

/// One destination of a plan.
#[derive(Debug, Clone)]
pub struct PlanItem {
    /// What is wanted.
    pub wanted: Wanted,
    /// The absolute destination.
    pub path: PathBuf,
    /// What is there.
    pub state: State,
    /// Bytes of what is wanted, as far as known.
    pub size: u64,
    /// Objects that would have to be read and that the store does not have.
    pub missing: Vec<Id>,
    work: Work,
    /// The state of what is in the way.
    seen: Option<Stat>,
    fence: Fence,
}

impl PlanItem {
    fn is_blocked(&self) -> bool {
        matches!(self.state, State::Blocked(_))
    }
}

/// What there is to do at a destination.
#[derive(Debug, Clone)]
enum Work {
    /// Nothing: it is right, can't be had, can't be written, or comes with the destination above it.
    Nothing,
    /// One file.
    File,
    /// A folder.
    Folder(Vec<WantedFolder>),
}

/// One folder of a wanted tree, parents before children.
#[derive(Debug, Clone)]
struct WantedFolder {
    /// Relative to the destination.
    path: BString,
    nodes: Vec<Node>,
    /// Names that are there and do not belong.
    extra: Vec<BString>,
}

/// One name in a wanted folder.
#[derive(Debug, Clone)]
struct Node {
    entry: crate::object::tree::Entry,
    /// What a link says.
    target: Option<BString>,
    here: Here,
}

impl Node {
    /// Whether it is a file that is not there as it should be.
    fn is_to_be_written(&self) -> bool {
        use crate::object::tree::EntryKind;
        self.here != Here::Right && matches!(self.entry.kind, EntryKind::File | EntryKind::Exec)
    }
}

/// What is at the place of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    /// Nothing.
    Absent,
    /// What belongs there; of a folder only that it is one.
    Right,
    /// Something of another kind, or other content.
    Wrong,
}

/// What will be done, and what is in the way of it.
#[derive(Debug, Clone)]
pub struct Plan {
    root: PathBuf,
    items: Vec<PlanItem>,
    /// Items inside other items: the position of the inner, of the outer.
    covered: Vec<(usize, usize)>,
    shelf: Option<Shelf>,
}

impl Plan {
    /// Whether any of it is so large that a shelf is worth its while.
    pub fn is_worth_sharing(&self) -> bool {
        self.items.iter().any(|item| item.size >= shelf::WORTH_SHARING)
    }

    /// The same plan, whose files share their bytes with those of a shelf.
    #[must_use]
    pub fn with_shelf(self, shelf: Shelf) -> Self {
        Self { shelf: Some(shelf), ..self }
    }

    /// The destinations, in the order in which they were wanted.
    pub fn items(&self) -> &[PlanItem] {
        &self.items
    }

    /// The folder below which all destinations lie.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }
}

/// What to do with something that is in the way.
#[derive(Debug)]
pub enum Existing {
    /// Leave it; the destination is refused.
    Refuse,
    /// Replace it, if it is still what this fence saw when the caller stored it. A fence around nothing stands for
    /// what the plan saw.
    Replace(Fence),
}

/// Removes what a process that is known to be dead left beside `path` when it was restoring there. Never touches anything else.
///
/// # Errors
/// When the folder can't be listed or something can't be removed.
pub fn sweep(fs: &crate::fs::Fs, path: &std::path::Path, pid: u32) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let Some(folder) = path.parent() else { return Ok(()) };
    let mut prefix = super::names::STAGING_PREFIX.to_vec();
    prefix.extend_from_slice(format!("{pid}-").as_bytes());
    for name in fs.names(folder)? {
        if !name.as_bytes().starts_with(&prefix) {
            continue;
        }
        let left = folder.join(&name);
        match fs.lstat(&left)? {
            Some(stat) if stat.is_folder() => fs.remove_tree(&left)?,
            Some(_) => fs.remove_file(&left)?,
            None => {}
        }
    }
    Ok(())
}

/// What became of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was written.
    Restored,
    /// It was right already and is untouched.
    Kept,
    /// Something is in the way that may not be replaced, changed since the plan, or can't be written through.
    Refused,
    /// The store does not have all of it.
    Missing,
    /// It could have been written, and was not: something that belongs to it could not.
    Skipped,
}

/// One destination of a restore.
#[derive(Debug)]
pub struct Done {
    /// The destination.
    pub to: RelPath,
    /// What became of it. After an error it is as it was, apart from what the module says about existing folders.
    pub result: Result<Outcome, Error>,
}

#[cfg(test)]
mod tests;

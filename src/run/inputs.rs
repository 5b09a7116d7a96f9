//! Finding inputs: paths, globs, the outputs of runs, and what need not be there.
//!
//! What is typed as an input is, in this order: an address of the web, `URL` or `PATH=URL` ([`web`](super::web)); a path at which there is something; `NAME://PATH` below a mount; `RUN:*`, all outputs of a
//! run; a glob; a revision that names an artifact or content. Nothing is changed here: content that is only in the store is brought where the
//! command can read it right before that is started ([`fetch()`]).

mod fetch;
mod find;
mod globs;
mod keep;
mod objects;

use std::path::PathBuf;

use bstr::BString;

use super::session::Session;
use super::web::FromWeb;
use crate::code::Glob;
use crate::hash::Id;
use crate::object::recipe::Content;
use crate::object::run::Producer;
use crate::path::Place;
use crate::worktree::{CaptureOptions, Captured, Fence};

pub use fetch::fetch;
pub(super) use find::{Finder, Lying, lying};
pub(super) use globs::changed_globs;
pub(super) use keep::store_set;
pub(super) use objects::Objects;

/// An input as it lies there.
#[derive(Debug, Clone)]
pub struct ReadyInput {
    /// Where; of a set, the folder below which its files lie.
    pub place: Place,
    /// What it holds.
    pub captured: Captured,
    /// The run that the user named as its maker.
    pub declared_by: Option<Producer>,
    /// Whether it is only in the store yet, and brought to its place before the command is started.
    pub is_to_be_fetched: bool,
    /// The files, if it is a set of them.
    pub set: Option<Set>,
    /// Where it lived by its record, if that is not its place now.
    pub recorded: Option<BString>,
    /// Where it was had from, if that is the web.
    pub web: Option<FromWeb>,
}

/// The files of an input that is a set of them.
#[derive(Debug, Clone)]
pub struct Set {
    /// Each with its place and what it holds; `None` of what came from the store.
    pub files: Vec<(Place, Option<Id>)>,
    /// The folders that hold them, as objects.
    pub trees: Vec<(Id, Vec<u8>)>,
}

/// A glob and what it stood for.
#[derive(Debug, Clone)]
pub struct Matched {
    /// The glob.
    pub glob: Glob,
    /// The files, sorted.
    pub files: Vec<PathBuf>,
}

/// Content of the store that is to be read.
pub(super) struct Stored<'a> {
    /// What names it.
    pub(super) text: &'a str,
    pub(super) content: Content,
    pub(super) size: u64,
    pub(super) exec: bool,
    pub(super) producer: Option<Producer>,
    /// Where it was recorded; for what has no place, its name.
    pub(super) path: BString,
    /// How the record says where it is from, if it has no place.
    pub(super) named: Option<BString>,
    /// The files that it is, if it is a set of them.
    pub(super) members: Option<Vec<BString>>,
    /// What is taken of its place to compare with it.
    pub(super) options: CaptureOptions,
}

impl Stored<'_> {
    fn captured(&self) -> Captured {
        Captured { content: self.content.clone(), size: self.size, exec: self.exec, files: 1, fence: Fence::new() }
    }
}

/// The folder of content that has no place of its own in the work tree. It can be deleted whenever no run is under way.
pub(super) fn aside(session: &Session<'_>, id: &Id) -> PathBuf {
    session.repo.layout().cache().join("inputs").join(id.to_string())
}

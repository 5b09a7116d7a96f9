//! Why a run could not be made.

use std::io;
use std::path::{Path, PathBuf};

use super::live::{Held, LiveError};
use super::program::SpawnError;
use super::{lookup, record};
use crate::object::AccessError;
use crate::path::show;
use crate::{code, codec, config, lineage, object, recipe, revspec, scenario, store, worktree};

/// What kept a run from being prepared, started or recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request contradicts itself.
    #[error("{what}")]
    Usage {
        /// How.
        what: String,
    },
    /// A declared input is not there.
    #[error("input `{}` does not exist", show(.path))]
    InputMissing {
        /// Its path.
        path: PathBuf,
        /// Whether the store has what a run recorded there.
        is_restorable: bool,
    },
    /// An input is named by a revision, and the work tree does not hold that content.
    #[error("`{text}` is not what lies at `{}`", show(.path))]
    RevisionNotHere {
        /// The revision.
        text: String,
        /// Where its content should lie.
        path: PathBuf,
        /// The key of the input.
        key: String,
    },
    /// An input can't be had from the web.
    #[error("input `{key}` can't be fetched")]
    Fetch {
        /// Its key.
        key: String,
        /// Why not.
        source: Box<crate::fetch::Error>,
        /// When content was had there that is still here.
        remembered: Option<crate::clock::Micros>,
    },
    /// An input of the web was not fetched here before, and no server is to be asked.
    #[error("input `{key}` is not remembered: {url} was never fetched here, or its content is gone")]
    NotRemembered {
        /// Its key.
        key: String,
        /// Its address.
        url: String,
    },
    /// A glob stands for no file.
    #[error("no file matches the input `{pattern}`")]
    NothingMatches {
        /// The glob.
        pattern: String,
    },
    /// A path names a mount that is not known, or leads out of it.
    #[error(transparent)]
    Mount(#[from] crate::repo::MountError),
    /// A part of the recipe can't be computed, so nothing can be looked up.
    #[error("the part `{part}` can't be computed: {what}")]
    Part {
        /// Its name, as in `why`.
        part: String,
        /// Why not.
        what: String,
    },
    /// The value of a secret variable would be recorded.
    #[error("the value of the secret `{name}` stands in {place}, which is recorded")]
    SecretShown {
        /// The variable.
        name: String,
        /// Where it stands.
        place: &'static str,
    },
    /// A secret variable has no value that could be given on and kept out of records.
    #[error("the secret `{name}` {what}")]
    Secret {
        /// The variable.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Something changed between being looked at and being stored.
    #[error("`{}` changed while prov was looking at it", show(.path))]
    ChangedBefore {
        /// Its path.
        path: PathBuf,
    },
    /// Another run is writing there.
    #[error("output `{}` belongs to the live run {}", crate::path::shown(&.held.held), .held.by)]
    Claimed {
        /// Whose it is.
        held: Box<Held>,
    },
    /// It was to be made history together with others, and that did not work.
    #[error("{why}")]
    Batch {
        /// Why, with its causes.
        why: String,
    },
    /// Another run was writing there, and has ended: what was looked at before may be different now.
    #[error("another run was writing to the same outputs meanwhile")]
    Waited,
    /// Something lies where an output has to go, and may not be replaced.
    #[error("`{}` is in the way and can't be replaced", show(.path))]
    InTheWay {
        /// Its path.
        path: PathBuf,
    },
    /// A record names a place that nothing is written to on its word alone.
    #[error("nothing is brought back to `{}`: {why}", show(.path))]
    Elsewhere {
        /// The place.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The bytes of an output are gone.
    #[error("the content of output `{key}` is no longer in the store")]
    OutputLost {
        /// Its key.
        key: String,
        /// Where it should go.
        path: PathBuf,
    },
    /// An artifact is in the store, but can't be brought back from there.
    #[error("`{key}` can't be brought back")]
    NotBack {
        /// Its key.
        key: String,
        /// Where it should go.
        path: PathBuf,
        /// Why not.
        source: Box<worktree::Error>,
    },
    /// Something failed after files had been replaced, and these could not be put back as they were.
    #[error(
        "not everything could be brought back, and these hold what was restored, or are gone: {}; the store has what was there",
        .paths.iter().map(|path| show(path)).collect::<Vec<_>>().join(", ")
    )]
    HalfRestored {
        /// Which.
        paths: Vec<PathBuf>,
        /// What failed first, where that was an error.
        source: Option<Box<Error>>,
    },
    /// A file can't be read, written or removed.
    #[error("can't {doing} `{}`", show(.path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A record can't be made or read.
    #[error("the record of run {run}")]
    Record {
        /// The run.
        run: String,
        /// What is wrong with it.
        source: object::Error,
    },
    /// A ref can't be made or read.
    #[error("a ref can't be read or written")]
    Ref {
        /// Why.
        source: codec::Error,
    },
    /// The code can't be taken.
    #[error("the code can't be read")]
    Code {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A pattern of code files has no meaning.
    #[error(transparent)]
    Pattern(#[from] code::Error),
    /// A config can't be read.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// An operation can't be taken back.
    #[error("the operation can't be taken back: {what}")]
    CannotUndo {
        /// What keeps it from being.
        what: String,
    },
    /// These bytes were scrubbed: they are not stored again.
    #[error("the content of `{}` was scrubbed, and is not stored again", crate::path::show(.path))]
    Scrubbed {
        /// Where they lie now.
        path: std::path::PathBuf,
    },
    /// Something can't be said of a run.
    #[error(transparent)]
    Mark(#[from] crate::mark::Error),
    /// The recipe can't be made.
    #[error(transparent)]
    Recipe(#[from] recipe::Error),
    /// Files can't be read or brought back.
    #[error(transparent)]
    Worktree(#[from] worktree::Error),
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be read or written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The cache can't be asked.
    #[error(transparent)]
    Lookup(#[from] lookup::Error),
    /// The refs of a run can't be made.
    #[error(transparent)]
    Refs(#[from] record::Error),
    /// The live folder can't be used.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The command can't be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A scenario is not there or can't be used.
    #[error(transparent)]
    Scenario(#[from] scenario::Error),
    /// A revision has no meaning.
    #[error(transparent)]
    Revision(#[from] revspec::Error),
    /// The maker of an input can't be looked up.
    #[error(transparent)]
    Lineage(#[from] lineage::Error),
    /// A request to stop came before the command was started.
    #[error("interrupted by signal {signal} before the command was started")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// The same recipe failed before, and was not to be executed again.
    #[error("the same recipe failed before, in run {}: {}", .known.run, .known.describe())]
    KnownFailure {
        /// How.
        known: Box<super::memory::KnownFailure>,
    },
    /// Nothing is there to be committed.
    #[error("nothing is staged and no path was given")]
    NothingToCommit,
}

impl Error {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Error::Io { doing, path: path.to_owned(), source }
    }
}

/// An error with its causes in one line.
pub fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

impl From<crate::journal::Error> for Error {
    fn from(err: crate::journal::Error) -> Self {
        match err {
            crate::journal::Error::Store(err) => Self::Store(err),
            crate::journal::Error::Line(source) => Self::Ref { source },
        }
    }
}

//! Questions to the store: listing runs, what a file is, what is out of date, what differs.

mod compare;
pub mod content;
mod content_diff;
mod diff;
mod events;
mod family;
#[cfg(feature = "index")]
pub mod impact;
mod log;
mod of_commit;
pub mod sets;
pub mod sha256;
mod status;
mod table_diff;
#[cfg(feature = "index")]
pub mod tables;
mod values;
mod why;

pub use compare::{Aligned, Alone, CompareOptions, Pair, Said, ScenarioDifference, compare, diff_scenarios};
pub use content_diff::{CodeDifference, ContentDifference, diff_code, diff_contents, diff_text};
pub use diff::{Difference, OutputDifference, diff, diff_configs};
pub use events::{Whose, events};
pub use log::{LogEnd, LogOptions, Logged, Match, id_matches, log};
pub use of_commit::{Belonging, How, OfCommit, of_commit, runs_of_commit};
pub use status::{PathState, PathStatus, StepState, StepStatus, WorkStatus, status};
pub use table_diff::{ColumnDifference, Summary, Table, TableDifference, diff_tables};
pub use values::{ValueDifference, ValueOptions, diff_values};
pub use why::{Why, why};

use crate::{codec, lineage, mark, object, revspec, run, scenario, store};

/// Why a question can't be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be read.
    #[error(transparent)]
    Access(#[from] object::AccessError),
    /// A record is damaged.
    #[error(transparent)]
    Object(#[from] object::Error),
    /// A ref is damaged.
    #[error("a ref can't be read")]
    Ref(#[from] codec::Error),
    /// The Git repository can't be read.
    #[error("the Git repository can't be read: {what}")]
    Git {
        /// What its files say.
        what: String,
    },
    /// The `prov.lock` of a commit can't be understood.
    #[error("prov.lock of commit {commit} can't be read")]
    Lock {
        /// The commit.
        commit: String,
        /// Why not.
        source: run::lockfile::Error,
    },
    /// Scenarios can't be listed.
    #[error(transparent)]
    Scenario(#[from] scenario::Error),
    /// Lineage can't be walked.
    #[error(transparent)]
    Lineage(#[from] lineage::Error),
    /// A revision has no meaning.
    #[error(transparent)]
    Revision(#[from] revspec::Error),
    /// Marks can't be read.
    #[error(transparent)]
    Mark(#[from] mark::Error),
    /// A tag can't be read or made.
    #[error(transparent)]
    Tag(#[from] crate::tag::Error),
    /// The journal can't be written.
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
    /// A file is no table by its name.
    #[error("`{path}` is no table by its name")]
    NoTable {
        /// Its path.
        path: String,
    },
    /// A table can't be read.
    #[error("`{path}` can't be read: {what}")]
    BadTable {
        /// Its path.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The store does not have some content.
    #[error("the content of `{path}` ({id}) is not in the store")]
    NoContent {
        /// Its path.
        path: String,
        /// Its id.
        id: crate::hash::Id,
    },
    /// Content can't be put aside to be looked at.
    #[error("can't write `{}`", .path.display())]
    Spool {
        /// Where.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There are more runs than a set may have.
    #[error("{runs} runs are too many for a set: it has at most {}", sets::MOST)]
    TooMany {
        /// How many.
        runs: usize,
    },
    /// The index can't answer.
    #[cfg(feature = "index")]
    #[error(transparent)]
    Index(#[from] crate::index::Error),

    /// Runs that can't be told apart by what they are aligned on.
    #[error("step `{step}` has more than one result with {key}")]
    Twins {
        /// The step.
        step: String,
        /// The values that they share.
        key: String,
        /// The runs.
        runs: Vec<String>,
    },
    /// No run has a value of this name.
    #[error("no run has a dimension or facet `{name}`")]
    NoSuchKey {
        /// The name.
        name: String,
        /// Names that runs have.
        known: Vec<String>,
    },
    /// The live folder can't be read.
    #[error(transparent)]
    Live(#[from] run::live::LiveError),
    /// A request can't be looked at.
    #[error(transparent)]
    Run(#[from] run::Error),
}

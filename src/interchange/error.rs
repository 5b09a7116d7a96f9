//! Why something can't be exported or imported.

use std::io;
use std::path::PathBuf;

use crate::hash::Id;
use crate::{codec, object, query, run, store};

/// Why something can't be exported or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Runs can't be listed.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be read or stored.
    #[error(transparent)]
    Access(#[from] object::AccessError),
    /// A record is damaged.
    #[error(transparent)]
    Object(#[from] object::Error),
    /// A record can't be written.
    #[error("a record can't be written")]
    Encode(#[from] codec::Error),
    /// A run can't be listed.
    #[error(transparent)]
    Record(#[from] run::record::Error),
    /// A record names an object that is not in the store.
    #[error("object {object} is not in the store")]
    Gone {
        /// The object.
        object: Id,
    },
    /// There is nothing to export.
    #[error("no run of a pipeline is on record{}", .place.as_ref().map(|place| format!(" for `{place}`")).unwrap_or_default())]
    NoRuns {
        /// The place that was asked for.
        place: Option<String>,
        /// The places that there are.
        known: Vec<String>,
    },
    /// A file is no manifest.
    #[error("{}: {problem}", crate::path::show(.file))]
    NotAManifest {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file can't be read or written.
    #[error("can't {doing} {}", crate::path::show(.path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is being written by others all the time.
    #[error("{} is being changed by others all the time", crate::path::show(.file))]
    Restless {
        /// The file.
        file: PathBuf,
    },
}

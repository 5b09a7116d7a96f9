//! Why a pipeline can't even be looked at. What is wrong within one is a [`Finding`](super::finding::Finding).

use std::io;
use std::path::PathBuf;

/// Why a pipeline can't be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file can't be read.
    #[error("cannot read {}", crate::path::show(.file))]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no text.
    #[error(transparent)]
    Text(#[from] crate::config::Error),
    /// An option makes no sense.
    #[error("{origin}: {problem}")]
    Option {
        /// Where it was given.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// There is no step of that name.
    #[error("there is no step `{name}`")]
    NoStep {
        /// The name.
        name: String,
        /// The steps there are.
        known: Vec<String>,
    },
}

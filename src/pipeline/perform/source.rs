//! Reading what a task names, wherever it is.

use std::fmt;
use std::io::{self, Write};

use super::Abort;
use crate::clock::Micros;

/// What is known of something remote without its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remote {
    /// Its size, if the server tells it.
    pub size: Option<u64>,
    /// When it was changed last, if the server tells it.
    pub modified: Option<Micros>,
}

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nothing here can talk to such a place.
    #[error("nothing here can read `{scheme}://`")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// There is nothing of that name.
    #[error("not found")]
    NotFound,
    /// It was told to stop.
    #[error("stopped")]
    Aborted,
    /// The other side took too long.
    #[error("no answer in time")]
    TimedOut,
    /// The other side refused or broke off.
    #[error("{problem}")]
    Remote {
        /// What happened.
        problem: String,
    },
    /// What came could not be written.
    #[error("can't write what came")]
    Write {
        /// Why not.
        source: io::Error,
    },
}

impl FetchError {
    /// Whether the other side took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(self, FetchError::TimedOut)
    }
}

/// Reads from other machines.
pub trait Fetch: Send + Sync + fmt::Debug {
    /// Writes the bytes at `url` to `to` and tells what is known of them.
    ///
    /// # Errors
    /// They could not be had in full; what was written is then of no use.
    fn fetch(&self, url: &str, to: &mut dyn Write, abort: &Abort) -> Result<Remote, FetchError>;

    /// What is known of `url` without its bytes.
    ///
    /// # Errors
    /// There is nothing, or the other side doesn't answer.
    fn stat(&self, url: &str, abort: &Abort) -> Result<Remote, FetchError>;
}

/// Reaches nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFetch;

impl NoFetch {
    fn refuse(url: &str) -> FetchError {
        FetchError::Scheme { scheme: url.split("://").next().unwrap_or_default().to_owned() }
    }
}

impl Fetch for NoFetch {
    fn fetch(&self, url: &str, _to: &mut dyn Write, _abort: &Abort) -> Result<Remote, FetchError> {
        Err(Self::refuse(url))
    }

    fn stat(&self, url: &str, _abort: &Abort) -> Result<Remote, FetchError> {
        Err(Self::refuse(url))
    }
}

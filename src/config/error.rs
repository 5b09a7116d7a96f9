//! What can be wrong with a configuration, always with the place.

use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A place in a file breaks a rule.
    #[error("{}:{line}:{column}: {problem}", crate::path::show(.file))]
    At {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The character in the line, counted from 1.
        column: usize,
        /// What is wrong.
        problem: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// The file is not text, too large, or of no known format.
    #[error("{}: {problem}", crate::path::show(.file))]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The file can't be read.
    #[error("cannot read {}", crate::path::show(.file))]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value given outside of any file is wrong.
    #[error("{origin}: {problem}")]
    Given {
        /// Where it was given: a flag or a variable.
        origin: String,
        /// What is wrong.
        problem: String,
        /// What to write instead.
        hint: Option<String>,
    },
}

impl Error {
    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Error::At { hint, .. } | Error::File { hint, .. } | Error::Given { hint, .. } => hint.as_deref(),
            Error::Io { .. } => None,
        }
    }
}

/// A broken rule at a place in a text; the file is added by the caller.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(super) fn new(place: (usize, usize), text: impl Into<String>) -> Self {
        Self { line: place.0, column: place.1, text: text.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn into_error(self, file: &Path) -> Error {
        Error::At { file: file.to_owned(), line: self.line, column: self.column, problem: self.text, hint: self.hint }
    }
}

/// Line and column, from 1, of a byte offset.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.bytes().filter(|&b| b == b'\n').count() + 1, before[start..].chars().count() + 1)
}

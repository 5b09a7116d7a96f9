//! The code that takes part in a run: which files it is, the program of `argv[0]`, and the state of Git around it.
//!
//! The files come from a scan that the caller made, ignored ones left out; this module decides by name which of them
//! are code, and only those are ever hashed. It is the only user of `gix` and `globset`.

mod files;
pub mod git;
mod glob;
pub mod list;
mod mode;
mod narrow;
mod pattern;
mod program;
mod select;

pub use files::{CodeTree, HashFile, TreeError, build_tree};
pub use glob::{Glob, is_glob};
pub use mode::{MAX_SIZE, Mode, Rules};
pub use narrow::{Narrowing, narrow};
pub use pattern::Pattern;
pub use program::{Program, find_program, leads_to_no_file, named_files};
pub use select::{Scope, Selected, counts_when_named, select};

/// Why code can't be selected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pattern has no meaning.
    #[error("`{pattern}` is no pattern: {reason}")]
    Pattern {
        /// The pattern, shown.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A mode was given beside something else.
    #[error("`--code {mode}` can't be given together with other values of --code")]
    Mixed {
        /// The mode.
        mode: &'static str,
    },
}

impl Error {
    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Pattern { .. } => None,
            Error::Mixed { mode } => Some(format!("a file called `{mode}` is `./{mode}`")),
        }
    }
}

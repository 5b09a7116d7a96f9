//! What can go wrong with the index.

use std::path::PathBuf;

/// Why a question can't be answered from the index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is no index, or damaged: it is to be made anew.
    #[error("the index is damaged")]
    Damaged(#[source] rusqlite::Error),
    /// Another process holds it for longer than anybody waits.
    #[error("the index is in use by another process")]
    Busy,
    /// SQLite reports something else.
    #[error("the index can't be read or written")]
    Sqlite(#[source] rusqlite::Error),
    /// Its folder can't be written.
    #[error("can't {doing} `{}`", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A query of the user's is wrong.
    #[error("{message}")]
    Query {
        /// What SQLite says.
        message: String,
        /// Where in the text, in bytes, if it says so.
        at: Option<usize>,
        /// The text.
        sql: String,
    },
    /// A query of the user's does more than read.
    #[error("`prov sql` only reads: {what}")]
    Forbidden {
        /// What it tried.
        what: String,
    },
    /// A query of the user's took too long, or too much.
    #[error("the query was stopped: {why}")]
    Stopped {
        /// Which limit it met.
        why: String,
    },
    /// An expression can't be read.
    #[error(transparent)]
    Predicate(#[from] super::ParseError),
    /// There is no such column.
    #[error("there is no column `{name}`")]
    NoColumn {
        /// As typed.
        name: String,
        /// Those that are spelled alike, or all.
        known: Vec<String>,
    },
    /// No run on record has such a facet, metric or the like.
    #[error("no {what} is called `{name}`")]
    NoKey {
        /// `facet`, `metric`, `param`, ...
        what: &'static str,
        /// As typed.
        name: String,
        /// Those that are spelled alike, or some.
        known: Vec<String>,
    },
    /// A value of another type than the column has.
    #[error("`{name}` is {is}, and `{value}` is not")]
    WrongType {
        /// The column.
        name: String,
        /// What it is: `a number`, `a time`, ...
        is: &'static str,
        /// The value as typed.
        value: String,
    },
    /// An order that such values don't have.
    #[error("`{name}` is {is}: it is equal or not, never less or more")]
    NoOrder {
        /// The column.
        name: String,
        /// What it is.
        is: &'static str,
    },
}

impl From<rusqlite::Error> for Error {
    fn from(err: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match err.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(err),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(err),
        }
    }
}

impl Error {
    /// Whether it is a reason to make the index anew.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            // What its own tables can't answer, they are not: somebody else's file, or a page that was overwritten.
            Self::Sqlite(err) => {
                matches!(err, rusqlite::Error::SqlInputError { .. } | rusqlite::Error::InvalidColumnType(..))
                    || matches!(
                        err.sqlite_error_code(),
                        Some(
                            rusqlite::ErrorCode::SystemIoFailure
                                | rusqlite::ErrorCode::CannotOpen
                                | rusqlite::ErrorCode::Unknown
                                | rusqlite::ErrorCode::ReadOnly
                                | rusqlite::ErrorCode::ConstraintViolation
                        )
                    )
            }
            _ => false,
        }
    }
}

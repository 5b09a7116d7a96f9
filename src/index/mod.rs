//! The index: tables of what records say, in SQLite, so that questions about a hundred thousand runs take milliseconds.
//!
//! It is derived from the store and holds nothing that is not there: it may be deleted at any time, and one that is damaged, old or of another
//! store is made anew. This module knows rows and nothing of stores; `query::index` fills it. `docs/design/0012-index.md` says why it
//! is as it is, `docs/tables.md` what the tables hold.

mod error;
mod file;
mod find;
mod lines;
mod literal;
mod near;
mod predicate;
mod read;
mod rows;
mod sql;
pub mod tables;
mod values;
mod walk;
mod write;

pub use error::Error;
pub use file::{Index, Opened, Place};
pub use find::{Find, Found, Order, What};
pub use lines::Affected;
pub use predicate::{Comparison, Expr, Literal, ParseError};
pub use read::{Answer, Cell, Heading};
pub use rows::{ArtifactRow, NoteRow, Position, RunRow, ValueKind, ValueRow};
pub use sql::{Limits, meant};
pub use tables::{Column, Kind};
pub use values::{Sum, Valued};
pub use walk::{Line, LineEnd, LineTaker};
pub use write::Writer;

/// The layout of the tables. A file of another one is made anew.
pub const VERSION: i64 = 2;

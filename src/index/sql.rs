//! Queries of the user's: read-only by what SQLite itself is told to allow.

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Batch, Connection};

use super::read::{Answer, Cell, Heading};
use super::tables::{self, Kind};
use super::{Error, Index};

/// What a query may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows at most; more are an error.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 10_000_000 }
    }
}

fn allowed(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } => {
            let name = function_name.to_ascii_lowercase();
            if matches!(name.as_str(), "load_extension" | "fts3_tokenizer" | "writefile" | "readfile" | "edit") {
                Authorization::Deny
            } else {
                Authorization::Allow
            }
        }
        // What the columns of a table are is worth asking; everything else that a pragma can be told is not.
        AuthAction::Pragma { pragma_name, .. }
            if matches!(pragma_name.to_ascii_lowercase().as_str(), "table_info" | "table_xinfo" | "table_list") =>
        {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

impl Index {
    /// Answers a query of the user's. Nothing can be changed by it, no other file be opened.
    ///
    /// # Errors
    /// [`Error::Query`] with the place of the mistake, [`Error::Forbidden`], [`Error::Stopped`].
    pub fn sql(&mut self, sql: &str, limits: Limits) -> Result<Answer, Error> {
        let connection = &mut self.connection;
        connection.pragma_update(None, "query_only", true)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 256 << 20)?;
        connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20)?;
        connection.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 1000)?;
        connection.authorizer(Some(allowed))?;
        let answer = read(connection, sql, limits);
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
        connection.pragma_update(None, "query_only", false)?;
        answer
    }
}

fn read(connection: &Connection, sql: &str, limits: Limits) -> Result<Answer, Error> {
    let wrong = |err| mistake(err, sql);
    let mut batch = Batch::new(connection, sql);
    let Some(mut statement) = batch.next().map_err(wrong)? else {
        return Err(Error::Query { message: "there is no query".to_owned(), at: None, sql: sql.to_owned() });
    };
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(Error::Forbidden { what: "this is no query".to_owned() });
    }
    let columns: Vec<Heading> =
        statement.column_names().map(|name| Heading { name: name.to_owned(), kind: Kind::Any }).collect();
    let width = columns.len();
    let mut rows = Vec::new();
    let mut found = statement.query([]).map_err(wrong)?;
    while let Some(row) = found.next().map_err(wrong)? {
        if rows.len() >= limits.rows {
            return Err(Error::Stopped { why: format!("it has more than {} rows", limits.rows) });
        }
        rows.push((0..width).map(|at| row.get_ref(at).map(Cell::of)).collect::<Result<_, _>>().map_err(wrong)?);
    }
    drop(found);
    drop(statement);
    match batch.next() {
        Ok(None) => Ok(Answer { columns, rows }),
        Ok(Some(_)) => Err(Error::Forbidden { what: "one query at a time".to_owned() }),
        Err(err) => Err(mistake(err, sql)),
    }
}

fn mistake(err: rusqlite::Error, sql: &str) -> Error {
    use rusqlite::ErrorCode;
    match err {
        rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
            Error::Query { message: msg, at: usize::try_from(offset).ok(), sql }
        }
        rusqlite::Error::SqliteFailure(failure, message) => match failure.code {
            ErrorCode::AuthorizationForStatementDenied => {
                Error::Forbidden { what: message.unwrap_or_else(|| "this query does something else".to_owned()) }
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure => {
                Error::Damaged(rusqlite::Error::SqliteFailure(failure, message))
            }
            ErrorCode::TooBig | ErrorCode::OutOfMemory => {
                Error::Stopped { why: message.unwrap_or_else(|| "it is too large".to_owned()) }
            }
            _ => {
                Error::Query { message: message.unwrap_or_else(|| failure.to_string()), at: None, sql: sql.to_owned() }
            }
        },
        other => Error::from(other),
    }
}

/// Names of tables and columns that are almost the one that SQLite does not know.
pub fn meant(message: &str) -> Vec<String> {
    let Some((what, name)) = message.split_once(": ") else { return Vec::new() };
    let name = name.rsplit('.').next().unwrap_or(name);
    let known: Vec<String> = match what {
        "no such column" => {
            let mut all: Vec<String> =
                tables::TABLES.iter().flat_map(|t| t.columns).map(|column| column.name.to_owned()).collect();
            all.sort();
            all.dedup();
            all
        }
        "no such table" => tables::TABLES.iter().map(|table| table.name.to_owned()).collect(),
        _ => return Vec::new(),
    };
    let near = super::near::near(name, &known);
    if near.is_empty() && what == "no such table" { known } else { near }
}

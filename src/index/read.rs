//! Reading answers.

use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement, ToSql};

use super::Error;
use super::tables::Kind;

/// A value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes, which only queries of the user's give.
    Bytes(Vec<u8>),
}

impl Cell {
    /// As text, the way a table of text has it; nothing for what is not there.
    pub fn to_text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Bool(b) => b.to_string(),
            Cell::Int(n) => n.to_string(),
            Cell::Real(n) => real(*n),
            Cell::Text(text) => text.clone(),
            Cell::Bytes(bytes) => crate::hash::hex(bytes),
        }
    }

    /// The number that it is.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "for a drawing, and for orders of size")]
            Cell::Int(n) => Some(*n as f64),
            Cell::Real(n) => Some(*n),
            _ => None,
        }
    }

    pub(super) fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(n) => Cell::Int(n),
            ValueRef::Real(n) => Cell::Real(n),
            ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        }
    }
}

/// A number as short as it can be and still be read back as the same, with a sign that it is no integer.
fn real(n: f64) -> String {
    let text = n.to_string();
    if n.is_finite() && !text.contains(['.', 'e']) && n.abs() < 1e15 { format!("{text}.0") } else { text }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value};
        Ok(match self {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Bool(b) => ToSqlOutput::Owned(Value::Integer(i64::from(*b))),
            Cell::Int(n) => ToSqlOutput::Owned(Value::Integer(*n)),
            Cell::Real(n) => ToSqlOutput::Owned(Value::Real(*n)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Cell::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// The head of a column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

/// An answer: columns and rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Its columns.
    pub columns: Vec<Heading>,
    /// Its rows, each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

impl Answer {
    /// Where the column of that name is.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// Reads all rows of a statement whose columns have these kinds.
pub(super) fn rows(statement: &mut Statement<'_>, parameters: &[Cell], columns: Vec<Heading>) -> Result<Answer, Error> {
    let mut rows = Vec::new();
    let mut found = statement.query(rusqlite::params_from_iter(parameters.iter()))?;
    while let Some(row) = found.next()? {
        rows.push(columns.iter().enumerate().map(|(at, column)| cell(row, at, column.kind)).collect::<Result<_, _>>()?);
    }
    Ok(Answer { columns, rows })
}

fn cell(row: &Row<'_>, at: usize, kind: Kind) -> Result<Cell, Error> {
    let cell = Cell::of(row.get_ref(at)?);
    Ok(match (kind, cell) {
        (Kind::Bool, Cell::Int(n)) => Cell::Bool(n != 0),
        (Kind::Time, Cell::Int(us)) => Cell::Text(crate::clock::Micros(us).rfc3339()),
        (_, cell) => cell,
    })
}

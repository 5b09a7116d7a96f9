//! Tables of records as Parquet, for other programs.

use crate::clock::Micros;
use crate::index::{Answer, Cell, Kind};
use crate::tabular::parquet::{self, Cell as Written, Type, WriteColumn};

/// The file of a table. What may be of any type is a column of text if it is not of one type throughout.
pub fn parquet(answer: &Answer) -> Vec<u8> {
    let kinds: Vec<Type> =
        answer.columns.iter().enumerate().map(|(at, column)| kind_of(answer, at, column.kind)).collect();
    let columns: Vec<WriteColumn> = answer
        .columns
        .iter()
        .zip(&kinds)
        .map(|(column, kind)| WriteColumn { name: column.name.clone(), kind: *kind, is_nullable: true })
        .collect();
    let rows: Vec<Vec<Written>> = answer
        .rows
        .iter()
        .map(|row| row.iter().zip(&kinds).map(|(cell, kind)| written(cell, *kind)).collect())
        .collect();
    parquet::file(&columns, &rows)
}

fn kind_of(answer: &Answer, at: usize, kind: Kind) -> Type {
    match kind {
        Kind::Text => Type::Utf8,
        Kind::Int | Kind::Size => Type::Int64,
        Kind::Real | Kind::Millis => Type::Double,
        Kind::Bool => Type::Boolean,
        Kind::Time => Type::Timestamp,
        Kind::Any => {
            let cells = || answer.rows.iter().filter_map(|row| row.get(at)).filter(|cell| **cell != Cell::Null);
            if cells().next().is_none() {
                Type::Utf8
            } else if cells().all(|cell| matches!(cell, Cell::Int(_))) {
                Type::Int64
            } else if cells().all(|cell| matches!(cell, Cell::Int(_) | Cell::Real(_))) {
                Type::Double
            } else {
                Type::Utf8
            }
        }
    }
}

fn written(cell: &Cell, kind: Type) -> Written {
    match (cell, kind) {
        (Cell::Null, _) => Written::Null,
        (Cell::Bool(b), Type::Boolean) => Written::Bool(*b),
        (Cell::Int(n), Type::Boolean) => Written::Bool(*n != 0),
        (Cell::Int(n), Type::Int64 | Type::Double) => Written::Int(*n),
        (Cell::Real(n), Type::Double) => Written::Float(*n),
        (Cell::Text(at), Type::Timestamp) => Micros::parse(at).map_or(Written::Null, |at| Written::Int(at.0)),
        (cell, Type::Utf8) => Written::Text(cell.to_text()),
        _ => Written::Null,
    }
}

//! Parquet: what the end of a file says, the first rows of its flat columns, and small tables written.

mod footer;
mod pages;
mod snappy;
mod write;

pub use footer::{Footer, read};
pub use write::{Cell, Type, WriteColumn, file};

use super::{Column, Form, Head, Profile, Source, Stats, Value};

/// Finds out what a file says of itself. No page is read.
///
/// # Errors
/// What is wrong with the file.
pub fn profile(source: &mut dyn Source) -> Result<Profile, String> {
    let footer = read(source)?;
    let columns = footer
        .columns
        .iter()
        .map(|column| {
            let chunks: Vec<&footer::Chunk> = footer
                .groups
                .iter()
                .flat_map(|group| &group.chunks)
                .filter(|chunk| chunk.column == column.name)
                .collect();
            let nulls: Option<u64> = chunks.iter().map(|chunk| chunk.nulls).sum();
            let bound = |pick: fn(&footer::Chunk) -> Option<&[u8]>, is_min: bool| -> Option<Value> {
                let values: Option<Vec<Value>> =
                    chunks.iter().map(|chunk| pages::plain_bound(column, pick(chunk)?)).collect();
                values?.into_iter().reduce(|a, b| if is_less(&b, &a) == is_min { b } else { a })
            };
            let stats = Stats {
                nulls: nulls.unwrap_or(0),
                distinct: None,
                min: bound(|chunk| chunk.min.as_deref(), true),
                max: bound(|chunk| chunk.max.as_deref(), false),
                mean: None,
            };
            let is_nullable = column.is_nullable && nulls != Some(0);
            (Column { name: column.name.clone(), kind: column.kind.clone(), is_nullable }, stats)
        })
        .collect();
    Ok(Profile { form: Form::Parquet, rows: Some(footer.rows), sampled: footer.rows, columns })
}

fn is_less(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a < b,
        (Value::Float(a), Value::Float(b)) => a < b,
        (Value::Text(a), Value::Text(b)) => a < b,
        (Value::Bool(a), Value::Bool(b)) => !a & b,
        _ => false,
    }
}

/// Reads the first rows. What lies in nested columns, or is packed in a way that is not known here, is told by a word in its place.
///
/// # Errors
/// What is wrong with the file.
pub fn head(source: &mut dyn Source, most: usize) -> Result<Head, String> {
    let footer = read(source)?;
    let columns: Vec<String> = footer.columns.iter().map(|column| column.name.clone()).collect();
    let wanted = usize::try_from(footer.rows).unwrap_or(usize::MAX).min(most);
    let mut cells: Vec<Vec<Value>> = Vec::new();
    for column in &footer.columns {
        let mut found = Vec::new();
        for group in &footer.groups {
            if found.len() >= wanted {
                break;
            }
            match group.chunks.iter().find(|chunk| chunk.column == column.name && chunk.is_flat) {
                Some(chunk) => match pages::values(source, column, chunk, wanted - found.len()) {
                    Ok(values) => found.extend(values),
                    Err(pages::Unread::Unknown(what)) => found.resize(wanted, Value::Text(format!("({what})"))),
                    Err(pages::Unread::Damaged(what)) => return Err(format!("column `{}`: {what}", column.name)),
                },
                None => found.resize(wanted, Value::Text(format!("({})", column.kind))),
            }
        }
        found.resize(wanted, Value::Null);
        cells.push(found);
    }
    let rows = (0..wanted).map(|at| cells.iter().map(|column| column[at].clone()).collect()).collect();
    Ok(Head { columns, rows, is_cut: usize::try_from(footer.rows).is_ok_and(|rows| rows > most) })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let columns = [
            WriteColumn { name: "n".to_owned(), kind: Type::Int64, is_nullable: true },
            WriteColumn { name: "x".to_owned(), kind: Type::Double, is_nullable: true },
            WriteColumn { name: "s".to_owned(), kind: Type::Utf8, is_nullable: false },
            WriteColumn { name: "b".to_owned(), kind: Type::Boolean, is_nullable: true },
            WriteColumn { name: "t".to_owned(), kind: Type::Timestamp, is_nullable: true },
        ];
        let row = |n: i64| {
            vec![
                if n % 3 == 0 { Cell::Null } else { Cell::Int(n) },
                Cell::Float(0.5),
                Cell::Text(format!("é{n}")),
                Cell::Bool(n % 2 == 0),
                Cell::Int(1_795_342_830_123_456),
            ]
        };
        let bytes = file(&columns, &(0..20).map(row).collect::<Vec<_>>());
        let found = profile(&mut Cursor::new(&bytes)).unwrap();
        let kinds: Vec<&str> = found.columns.iter().map(|(column, _)| column.kind.as_str()).collect();
        assert_eq!(kinds, ["int64", "double", "string", "boolean", "timestamp"]);
        assert_eq!(found.rows, Some(20));
        let first = head(&mut Cursor::new(&bytes), 11).unwrap();
        assert_eq!((first.rows.len(), first.is_cut), (11, true));
        assert_eq!(first.rows[0][0], Value::Null);
        assert_eq!(
            first.rows[10],
            [
                Value::Int(10),
                Value::Float(0.5),
                Value::Text("é10".to_owned()),
                Value::Bool(true),
                Value::Text("2026-11-22T10:20:30.123456Z".to_owned())
            ]
        );
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let columns = [WriteColumn { name: "s".to_owned(), kind: Type::Utf8, is_nullable: true }];
        let bytes = file(&columns, &[vec![Cell::Text("abc".to_owned())], vec![Cell::Null]]);
        for at in 0..bytes.len() {
            for byte in [0u8, 1, 0x7f, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[at] = byte;
                let _ = profile(&mut Cursor::new(&bad));
                let _ = head(&mut Cursor::new(&bad), 10);
            }
            let _ = head(&mut Cursor::new(&bytes[..at]), 10);
        }
    }
}

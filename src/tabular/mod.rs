//! Tables in files: which columns a CSV, JSON lines or Parquet file has, of which types, what stands in them; and Parquet written.
//!
//! Nothing here knows runs or stores: readers of bytes go in, columns and cells come out.

pub mod declared;
pub mod emit;
mod infer;
pub mod parquet;

use std::io::{BufRead, Read, Seek};

pub use infer::{Sampled, profile};

/// The form of a table in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Fields with a comma, or another sign, between them; the first record is the head.
    Csv(u8),
    /// A JSON object a line.
    JsonLines,
    /// Parquet.
    Parquet,
}

impl Form {
    /// The form that a file's name tells, and whether it is packed with gzip.
    pub fn of_name(name: &[u8]) -> Option<(Self, bool)> {
        let lower = name.to_ascii_lowercase();
        let (bare, is_packed) = match lower.strip_suffix(b".gz") {
            Some(bare) => (bare, true),
            None => (&lower[..], false),
        };
        let ending = bare.rsplit(|b| *b == b'.').next()?;
        let form = match ending {
            b"csv" => Form::Csv(b','),
            b"tsv" => Form::Csv(b'\t'),
            b"jsonl" | b"ndjson" => Form::JsonLines,
            b"parquet" | b"pq" if !is_packed => Form::Parquet,
            _ => return None,
        };
        Some((form, is_packed))
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Csv(b'\t') => "tsv",
            Form::Csv(_) => "csv",
            Form::JsonLines => "jsonl",
            Form::Parquet => "parquet",
        }
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type: `boolean`, `int64`, `double`, `string`, `date`, `timestamp`, `list`, `struct`, ...; `null` if nothing stands in it.
    pub kind: String,
    /// Whether a value may be missing.
    pub is_nullable: bool,
}

/// What a table holds in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text, and whatever has no form of its own here.
    Text(String),
}

impl Value {
    /// For people, and for CSV.
    pub fn to_text(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Bool(b) => b.to_string(),
            Value::Int(n) => n.to_string(),
            Value::Float(n) => n.to_string(),
            Value::Text(text) => text.clone(),
        }
    }
}

/// What was seen in a column of a sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// Values that are missing.
    pub nulls: u64,
    /// Different values; at most a thousand are counted.
    pub distinct: Option<u64>,
    /// The least.
    pub min: Option<Value>,
    /// The greatest.
    pub max: Option<Value>,
    /// The mean, of numbers.
    pub mean: Option<f64>,
}

/// What a table is.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its form.
    pub form: Form,
    /// All its rows; `None` if they were not counted.
    pub rows: Option<u64>,
    /// Rows that were looked at for types and statistics.
    pub sampled: u64,
    /// Its columns in order, with what was seen in them.
    pub columns: Vec<(Column, Stats)>,
}

impl Profile {
    /// Its columns alone.
    pub fn schema(&self) -> Vec<Column> {
        self.columns.iter().map(|(column, _)| column.clone()).collect()
    }
}

/// The id of a schema: equal ones have equal ids. Hash of the names, types and nullability of all columns in order.
pub fn schema_id(columns: &[Column]) -> crate::hash::Id {
    let mut bytes = Vec::new();
    for column in columns {
        for part in [&column.name, &column.kind] {
            bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes.push(u8::from(column.is_nullable));
    }
    crate::hash::derived("prov 2026-11 schema of a table", &bytes)
}

/// The first rows of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Head {
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its rows, each with a value for each column.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Bytes of a table, from the beginning or from anywhere.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// Reads the first rows of a table; text is as it stands there.
///
/// # Errors
/// What is wrong with the file.
pub fn head(form: Form, source: &mut dyn Source, packed: bool, most: usize) -> Result<Head, String> {
    match form {
        Form::Parquet => parquet::head(source, most),
        Form::Csv(delimiter) => {
            let mut reader = opened(source, packed);
            let mut records = crate::config::csv::Records::new(&mut *reader, delimiter);
            let Some(columns) = records.next()? else { return Ok(Head::default()) };
            let mut head = Head { columns, ..Head::default() };
            while let Some(fields) = records.next()? {
                if head.rows.len() == most {
                    head.is_cut = true;
                    break;
                }
                let mut row: Vec<Value> = fields.into_iter().map(Value::Text).collect();
                row.resize(head.columns.len(), Value::Null);
                head.rows.push(row);
            }
            Ok(head)
        }
        Form::JsonLines => {
            let mut reader = opened(source, packed);
            let mut head = Head::default();
            let mut line = Vec::new();
            while next_line(&mut *reader, &mut line)? {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                if head.rows.len() == most {
                    head.is_cut = true;
                    break;
                }
                let record = infer::record(&line)?;
                let mut row = vec![Value::Null; head.columns.len()];
                for (name, value) in record {
                    let at = head.columns.iter().position(|known| *known == name).unwrap_or_else(|| {
                        head.columns.push(name);
                        row.push(Value::Null);
                        head.columns.len() - 1
                    });
                    row[at] = infer::plain(&value);
                }
                head.rows.push(row);
            }
            let width = head.columns.len();
            head.rows.iter_mut().for_each(|row| row.resize(width, Value::Null));
            Ok(head)
        }
    }
}

/// A reader of what lies in a file, unpacked.
fn opened<'a>(source: &'a mut dyn Source, packed: bool) -> Box<dyn BufRead + 'a> {
    let reader = std::io::BufReader::with_capacity(1 << 16, source);
    if packed { Box::new(std::io::BufReader::new(crate::deflate::gunzip(reader))) } else { Box::new(reader) }
}

/// The most bytes of one line.
const MOST_LINE: usize = 64 << 20;

/// Reads the next line; false at the end.
fn next_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<bool, String> {
    line.clear();
    let limit = u64::try_from(MOST_LINE).unwrap_or(u64::MAX);
    let n = reader.take(limit + 1).read_until(b'\n', line).map_err(|err| err.to_string())?;
    if line.len() > MOST_LINE {
        return Err(format!("a line is longer than {} MiB", MOST_LINE >> 20));
    }
    Ok(n > 0)
}

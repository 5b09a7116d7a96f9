//! Rows: a table or lines of JSON, each row a few named values; and axes, whose values are combined each with each.
//!
//! A field of a table is a number or a boolean if JSON would take it for one, null if it is empty, else text (`01` is text). What is put into
//! a word is the field as it stands there, so `1.50` stays `1.50`; as a value it is the number.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::csv::Records;
use super::{Format, parse, to_json};
use crate::codec::Value;

/// Rows at most.
pub const MOST: usize = 1_000_000;

/// Why rows can't be read, or a word can't be filled from one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not what it should be.
    #[error("`{}`: {problem}", crate::path::show(.file))]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong, and in which line.
        problem: String,
    },
    /// It has no rows.
    #[error("`{}` has no rows", crate::path::show(.file))]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// An axis makes no sense.
    #[error("--grid {written}: {problem}")]
    Axis {
        /// As written.
        written: String,
        /// What is wrong.
        problem: String,
    },
    /// Two columns have one name.
    #[error("the column `{name}` is there twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// There would be too many rows.
    #[error("there would be more than {MOST} rows")]
    TooMany,
    /// A word names a column that is not there.
    #[error("`{{row.{name}}}` in `{text}`: there is no column `{name}`")]
    NoColumn {
        /// The name.
        name: String,
        /// The word.
        text: String,
        /// A column that may be meant.
        near: Option<String>,
        /// All columns.
        known: Vec<String>,
    },
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// What it means.
    pub value: Value,
    /// How it stands in a word.
    pub text: String,
}

impl Cell {
    /// A field of a table.
    pub fn of_field(text: &str) -> Self {
        Self { value: field(text), text: text.to_owned() }
    }

    fn of_value(value: Value) -> Self {
        let text = match &value {
            Value::Null => String::new(),
            Value::Text(text) => text.clone(),
            value => to_json(value),
        };
        Self { value, text }
    }
}

/// What is wrong, without the place: the file is a line of another one.
fn problem_of(err: &super::Error) -> String {
    match err {
        super::Error::At { problem, .. } | super::Error::File { problem, .. } | super::Error::Given { problem, .. } => {
            problem.clone()
        }
        err => err.to_string(),
    }
}

fn field(text: &str) -> Value {
    let is_number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        digits.starts_with(|c: char| c.is_ascii_digit())
            && !(digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit()))
    };
    match text {
        "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text if is_number(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) if text != "-0" => Value::Int(number.into()),
            (_, Ok(number)) if number.is_finite() && text.contains(['.', 'e', 'E']) && !text.ends_with('.') => {
                Value::Float(number)
            }
            _ => Value::Text(text.to_owned()),
        },
        text => Value::Text(text.to_owned()),
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The line of the file that it began in, from 1; `None` if it has none.
    pub line: Option<u64>,
    /// Its values, in the order of the columns.
    pub cells: Vec<Cell>,
}

/// Rows under named columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Values of one name that are combined with all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    name: String,
    cells: Vec<Cell>,
}

impl Axis {
    /// Reads `NAME=A,B,C` or `NAME=1..10`, whole numbers with both ends.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(written: &str) -> Result<Self, Error> {
        let refuse = |problem: &str| Error::Axis { written: written.to_owned(), problem: problem.to_owned() };
        let (name, values) = written.split_once('=').ok_or_else(|| refuse("write it as NAME=A,B,C or NAME=1..10"))?;
        check_name(name).map_err(|problem| refuse(&problem))?;
        let range = values.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        let cells: Vec<Cell> = match range {
            Some((from, to)) => {
                let (from, to): (i64, i64) = (from, to);
                let count = i128::from(to) - i128::from(from) + 1;
                if count <= 0 {
                    return Err(refuse("it begins above its end"));
                }
                if usize::try_from(count).map_or(true, |count| count > MOST) {
                    return Err(Error::TooMany);
                }
                (from..=to).map(|number| Cell::of_value(Value::Int(number.into()))).collect()
            }
            None => values.split(',').map(Cell::of_field).collect(),
        };
        for (at, cell) in cells.iter().enumerate() {
            if cells.len() <= 1000 && cells[..at].contains(cell) {
                return Err(refuse(&format!("`{}` is there twice", cell.text)));
            }
        }
        Ok(Self { name: name.to_owned(), cells })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a column has no name".to_owned());
    }
    if name.chars().any(|c| c.is_control() || matches!(c, '{' | '}')) || name.trim() != name {
        return Err(format!(
            "`{}` can't be the name of a column: no braces, control characters or blanks at its ends",
            crate::path::shown(name.as_bytes())
        ));
    }
    Ok(())
}

impl Rows {
    /// Reads rows from what stands in `file`: lines of JSON if its name ends with `.jsonl` or `.ndjson`, tab-separated values if with `.tsv`,
    /// else comma-separated ones.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(file: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |problem| Error::File { file: file.to_owned(), problem };
        let extension = file.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let rows = match extension.as_deref() {
            Some("jsonl" | "ndjson") => Self::of_lines(file, bytes)?,
            Some("tsv") => Self::of_table(bytes, b'\t').map_err(wrong)?,
            _ => Self::of_table(bytes, b',').map_err(wrong)?,
        };
        for (at, name) in rows.columns.iter().enumerate() {
            check_name(name).map_err(wrong)?;
            if rows.columns[..at].contains(name) {
                return Err(wrong(format!("the column `{name}` is there twice")));
            }
        }
        if rows.rows.is_empty() {
            return Err(Error::Empty { file: file.to_owned() });
        }
        Ok(rows)
    }

    fn of_table(mut bytes: &[u8], delimiter: u8) -> Result<Self, String> {
        let mut records = Records::new(&mut bytes, delimiter);
        let columns = records.next()?.ok_or("it has no header")?;
        let mut rows = Vec::new();
        while let Some(record) = records.next()? {
            let line = records.line();
            if record.len() != columns.len() {
                return Err(format!("line {line} has {} fields, the header {}", record.len(), columns.len()));
            }
            if rows.len() == MOST {
                return Err(format!("it has more than {MOST} rows"));
            }
            rows.push(Row { line: Some(line), cells: record.iter().map(|text| Cell::of_field(text)).collect() });
        }
        Ok(Self { columns, rows })
    }

    fn of_lines(file: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |problem| Error::File { file: file.to_owned(), problem };
        let (mut columns, mut rows): (Vec<String>, Vec<Row>) = (Vec::new(), Vec::new());
        for (at, text) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = at as u64 + 1;
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let read = parse(file, Format::Json, text);
            let read = read.map_err(|err| wrong(format!("line {line} is no JSON object: {}", problem_of(&err))))?;
            let Value::Map(entries) = read else { return Err(wrong(format!("line {line} is no JSON object"))) };
            let mut entries: BTreeMap<String, Value> = entries.into_iter().collect();
            if rows.is_empty() {
                columns = entries.keys().cloned().collect();
            }
            if rows.len() == MOST {
                return Err(wrong(format!("it has more than {MOST} rows")));
            }
            let mut cells = Vec::with_capacity(columns.len());
            for column in &columns {
                let value = entries.remove(column);
                cells.push(Cell::of_value(
                    value.ok_or_else(|| wrong(format!("line {line} has no `{column}`, as the first has")))?,
                ));
            }
            if let Some(other) = entries.keys().next() {
                return Err(wrong(format!("line {line} has `{other}`, which the first has not")));
            }
            rows.push(Row { line: Some(line), cells });
        }
        Ok(Self { columns, rows })
    }

    /// Each row with each combination of the values of `axes`, the last axis changing fastest. Without rows, the combinations alone.
    ///
    /// # Errors
    /// A name that is there twice, or too many rows.
    pub fn combined(self, axes: &[Axis]) -> Result<Self, Error> {
        let mut all = self;
        if all.columns.is_empty() && all.rows.is_empty() {
            all.rows.push(Row { line: None, cells: Vec::new() });
        }
        for axis in axes {
            if all.columns.contains(&axis.name) {
                return Err(Error::Twice { name: axis.name.clone() });
            }
            if all.rows.len().saturating_mul(axis.cells.len()) > MOST {
                return Err(Error::TooMany);
            }
            all.columns.push(axis.name.clone());
            let rows = std::mem::take(&mut all.rows);
            for row in rows {
                for cell in &axis.cells {
                    let mut row = row.clone();
                    row.cells.push(cell.clone());
                    all.rows.push(row);
                }
            }
        }
        Ok(all)
    }

    /// Two rows that say the same, by their places.
    pub fn twins(&self) -> Option<(usize, usize)> {
        let mut seen: HashMap<Vec<&str>, usize> = HashMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            let texts: Vec<&str> = row.cells.iter().map(|cell| cell.text.as_str()).collect();
            if let Some(first) = seen.insert(texts, at) {
                return Some((first, at));
            }
        }
        None
    }

    /// What `{row.NAME}` means in a row: a column, or of a column that is a map what lies in it (`{row.a.b}`).
    fn cell(&self, row: &Row, name: &str) -> Option<Cell> {
        let named = |name: &str| self.columns.iter().position(|column| column == name).and_then(|at| row.cells.get(at));
        if let Some(cell) = named(name) {
            return Some(cell.clone());
        }
        let mut dots = name.match_indices('.');
        dots.find_map(|(dot, _)| {
            let mut value = &named(&name[..dot])?.value;
            for key in name[dot + 1..].split('.') {
                value = value.get(key)?;
            }
            Some(Cell::of_value(value.clone()))
        })
    }

    fn no_column(&self, name: &str, text: &str) -> Error {
        let known: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let near = super::nearest(name, &known).map(ToOwned::to_owned);
        Error::NoColumn { name: name.to_owned(), text: text.to_owned(), near, known: self.columns.clone() }
    }

    /// `text` with each `{row.NAME}` replaced by what the row says; `None` if there is none in it.
    ///
    /// # Errors
    /// A name that is no column.
    pub fn fill(&self, row: &Row, text: &str) -> Result<Option<String>, Error> {
        let mut out = String::new();
        let mut rest = text;
        let mut is_filled = false;
        while let Some((before, name, after)) = gap(rest) {
            let cell = self.cell(row, name).ok_or_else(|| self.no_column(name, text))?;
            out.push_str(before);
            out.push_str(&cell.text);
            rest = after;
            is_filled = true;
        }
        out.push_str(rest);
        Ok(is_filled.then_some(out))
    }

    /// The value that `text` stands for if all of it is one `{row.NAME}`.
    ///
    /// # Errors
    /// A name that is no column.
    pub fn value(&self, row: &Row, text: &str) -> Result<Option<Value>, Error> {
        match gap(text) {
            Some(("", name, "")) => match self.cell(row, name) {
                Some(cell) => Ok(Some(cell.value)),
                None => Err(self.no_column(name, text)),
            },
            _ => Ok(None),
        }
    }
}

/// The first `{row.NAME}` in a text: what stands before it, its name, what stands behind it.
pub fn gap(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{row.")?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Rows {
        Rows::read(Path::new("rows.csv"), text.as_bytes()).unwrap()
    }

    #[test]
    fn fields_are_what_json_would_take_them_for() {
        for (text, value) in [
            ("7", Value::Int(7)),
            ("-3", Value::Int(-3)),
            ("1.50", Value::Float(1.5)),
            ("1e3", Value::Float(1000.0)),
            ("true", Value::Bool(true)),
            ("", Value::Null),
        ] {
            assert_eq!(field(text), value, "{text}");
        }
        for text in ["01", "1.", "+1", "nan", "inf", "-", "1_0", "0x1", "1e999", "-0", "99999999999999999999", "a"] {
            assert_eq!(field(text), Value::Text(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn words_are_filled_as_written_and_values_keep_their_kind() {
        let rows = table("id,rate\n01,0.50\n");
        let row = &rows.rows[0];
        assert_eq!(rows.fill(row, "out/{row.id}_{row.rate}.csv").unwrap().unwrap(), "out/01_0.50.csv");
        assert_eq!(rows.fill(row, "{input.x} {row").unwrap(), None);
        assert_eq!(rows.value(row, "{row.rate}").unwrap(), Some(Value::Float(0.5)));
        assert_eq!(rows.value(row, "{row.id}").unwrap(), Some(Value::Text("01".to_owned())));
        assert_eq!(rows.value(row, "x{row.id}").unwrap(), None);
        let err = rows.fill(row, "{row.raet}").unwrap_err();
        assert!(matches!(&err, Error::NoColumn { near: Some(near), .. } if near == "rate"), "{err:?}");
    }

    #[test]
    fn what_a_row_says_is_not_filled_again() {
        let rows = table("a,b\n{row.b},x\n");
        assert_eq!(rows.fill(&rows.rows[0], "{row.a}").unwrap().unwrap(), "{row.b}");
    }

    #[test]
    fn lines_of_json_have_kinds_and_depth() {
        let rows =
            Rows::read(Path::new("r.jsonl"), b"{\"a\": {\"b\": 1.0}, \"s\": \"7\"}\n\n{\"s\": \"\", \"a\": null}\n")
                .unwrap();
        assert_eq!(rows.rows.len(), 2);
        assert_eq!(rows.value(&rows.rows[0], "{row.a.b}").unwrap(), Some(Value::Float(1.0)));
        assert_eq!(rows.value(&rows.rows[0], "{row.s}").unwrap(), Some(Value::Text("7".to_owned())));
        assert!(rows.fill(&rows.rows[1], "{row.a.b}").is_err());
        for (text, expected) in [
            ("[1]", "line 1 is no JSON object"),
            ("{\"a\":1}\n{\"b\":1}", "line 2 has no `a`"),
            ("{\"a\":1}\n{\"a\":1,\"b\":1}", "line 2 has `b`"),
            ("", "has no rows"),
        ] {
            let err = Rows::read(Path::new("r.jsonl"), text.as_bytes()).unwrap_err().to_string();
            assert!(err.contains(expected), "{err}");
        }
    }

    #[test]
    fn axes_are_combined_each_with_each() {
        let axes = ["x=1..3", "y=a,b"].map(|text| Axis::parse(text).unwrap());
        let rows = Rows::default().combined(&axes).unwrap();
        assert_eq!((rows.columns.join(","), rows.rows.len()), ("x,y".to_owned(), 6));
        assert_eq!(rows.fill(&rows.rows[1], "{row.x}{row.y}").unwrap().unwrap(), "1b");
        let both = table("id\nu\nv\n").combined(&axes).unwrap();
        assert_eq!(both.rows.len(), 12);
        assert!(matches!(table("x\n1\n").combined(&axes), Err(Error::Twice { .. })));
        for bad in ["x", "=1", "x=3..1", "x=1,1", "x=0..9999999", "{=1"] {
            assert!(Axis::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tables_that_are_none_are_told() {
        for (text, expected) in [
            ("", "no header"),
            ("a,b\n", "has no rows"),
            ("a,a\n1,2\n", "there twice"),
            ("a,\n1,2\n", "no name"),
            ("a,b\n1\n", "line 2 has 1 fields"),
        ] {
            let err = Rows::read(Path::new("rows.csv"), text.as_bytes()).unwrap_err().to_string();
            assert!(err.contains(expected), "{err}");
        }
        assert_eq!(table("a\n1\n2\n1\n").twins(), Some((0, 2)));
    }
}

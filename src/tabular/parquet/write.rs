//! Writing a small flat table as Parquet: one row group, plain pages, nothing packed.
//!
//! Tables of runs have a few types and no nesting, so this is all of the format that they need. It is written out here because a whole
//! implementation would be a sixth of what prov takes to build. The tests compare with bytes that pyarrow reads as they should be.

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Text.
    Utf8,
    /// A signed integer of 64 bits.
    Int64,
    /// A number.
    Double,
    /// True or false.
    Boolean,
    /// Microseconds in UTC.
    Timestamp,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Text.
    Text(String),
    /// An integer, or microseconds.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
}

/// A column that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// Whether a value may be missing.
    pub is_nullable: bool,
}

const MAGIC: &[u8] = b"PAR1";

/// Thrift's compact form, as far as Parquet's structures need it.
#[derive(Default)]
struct Thrift {
    bytes: Vec<u8>,
    /// The number of the last field, for each structure that is open.
    last: Vec<i16>,
}

const TRUE: u8 = 1;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

impl Thrift {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.bytes.push(n.to_le_bytes()[0] | 0x80);
            n >>= 7;
        }
        self.bytes.push(n.to_le_bytes()[0]);
    }

    fn zigzag(&mut self, n: i64) {
        self.varint(((n << 1) ^ (n >> 63)).cast_unsigned());
    }

    fn open(&mut self) {
        self.last.push(0);
    }

    fn close(&mut self) {
        self.last.pop();
        self.bytes.push(0);
    }

    fn field(&mut self, number: i16, kind: u8) {
        let last = self.last.last_mut().map_or(0, |last| std::mem::replace(last, number));
        // All fields here are at most 15 apart.
        self.bytes.push((number - last).to_le_bytes()[0] << 4 | kind);
    }

    fn i32(&mut self, number: i16, value: i32) {
        self.field(number, I32);
        self.zigzag(i64::from(value));
    }

    fn i64(&mut self, number: i16, value: i64) {
        self.field(number, I64);
        self.zigzag(value);
    }

    fn raw(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, number: i16, text: &str) {
        self.field(number, BINARY);
        self.raw(text);
    }

    fn list(&mut self, number: i16, kind: u8, length: usize) {
        self.field(number, LIST);
        if length < 15 {
            self.bytes.push(length.to_le_bytes()[0] << 4 | kind);
        } else {
            self.bytes.push(0xf0 | kind);
            self.varint(length as u64);
        }
    }

    /// A structure in a field.
    fn within(&mut self, number: i16, fill: impl FnOnce(&mut Self)) {
        self.field(number, STRUCT);
        self.open();
        fill(self);
        self.close();
    }
}

/// Where a column lies in the file.
struct Chunk {
    offset: i64,
    size: i64,
}

fn physical(kind: Type) -> i32 {
    match kind {
        Type::Boolean => 0,
        Type::Int64 | Type::Timestamp => 2,
        Type::Double => 5,
        Type::Utf8 => 6,
    }
}

/// The file of a table with these rows, each with a cell for each column.
pub fn file(columns: &[WriteColumn], rows: &[Vec<Cell>]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let mut chunks = Vec::new();
    if !rows.is_empty() {
        for (at, column) in columns.iter().enumerate() {
            let offset = length(&out);
            let cells: Vec<&Cell> = rows.iter().map(|row| row.get(at).unwrap_or(&Cell::Null)).collect();
            page(&mut out, column, &cells);
            chunks.push(Chunk { offset, size: length(&out) - offset });
        }
    }
    let footer = footer(columns, rows.len(), &chunks);
    let size = u32::try_from(footer.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&footer);
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(MAGIC);
    out
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

fn small(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A page with all values of a column, and its head before it.
fn page(out: &mut Vec<u8>, column: &WriteColumn, cells: &[&Cell]) {
    let mut body = Vec::new();
    if column.is_nullable {
        let levels = levels(cells);
        body.extend_from_slice(&u32::try_from(levels.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend_from_slice(&levels);
    }
    if column.kind == Type::Boolean {
        bits(&mut body, cells, column.is_nullable);
    }
    for cell in cells.iter().filter(|_| column.kind != Type::Boolean) {
        match (cell, column.kind, column.is_nullable) {
            (Cell::Text(text), Type::Utf8, _) => value(&mut body, text),
            (Cell::Int(n), Type::Int64 | Type::Timestamp, _) => body.extend_from_slice(&n.to_le_bytes()),
            (Cell::Float(n), Type::Double, _) => body.extend_from_slice(&n.to_le_bytes()),
            #[expect(clippy::cast_precision_loss, reason = "a column of numbers has integers as numbers")]
            (Cell::Int(n), Type::Double, _) => body.extend_from_slice(&(*n as f64).to_le_bytes()),
            (Cell::Null, _, true) => {}
            // A row that lacks what its table demands would make the file unreadable.
            (_, Type::Utf8, _) => value(&mut body, ""),
            (_, Type::Int64 | Type::Timestamp | Type::Double, _) => body.extend_from_slice(&0i64.to_le_bytes()),
            (_, Type::Boolean, _) => {}
        }
    }
    let mut head = Thrift::default();
    head.open();
    head.i32(1, 0);
    head.i32(2, small(body.len()));
    head.i32(3, small(body.len()));
    head.within(5, |page| {
        page.i32(1, small(cells.len()));
        page.i32(2, 0);
        page.i32(3, 3);
        page.i32(4, 3);
    });
    head.close();
    out.extend_from_slice(&head.bytes);
    out.extend_from_slice(&body);
}

/// Eight answers a byte, the first lowest.
fn bits(body: &mut Vec<u8>, cells: &[&Cell], is_nullable: bool) {
    let answers: Vec<bool> = cells
        .iter()
        .filter(|cell| !is_nullable || ***cell != Cell::Null)
        .map(|cell| **cell == Cell::Bool(true))
        .collect();
    for eight in answers.chunks(8) {
        body.push(eight.iter().enumerate().fold(0, |byte, (at, is_set)| byte | u8::from(*is_set) << at));
    }
}

fn value(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    body.extend_from_slice(text.as_bytes());
}

/// Which cells have a value: stretches of equal answers.
fn levels(cells: &[&Cell]) -> Vec<u8> {
    let mut levels = Thrift::default();
    let mut at = 0;
    while at < cells.len() {
        let is_null = *cells[at] == Cell::Null;
        let run = cells[at..].iter().take_while(|cell| (***cell == Cell::Null) == is_null).count();
        levels.varint((run as u64) << 1);
        levels.bytes.push(u8::from(!is_null));
        at += run;
    }
    levels.bytes
}

fn footer(columns: &[WriteColumn], rows: usize, chunks: &[Chunk]) -> Vec<u8> {
    let mut out = Thrift::default();
    out.open();
    out.i32(1, 2);
    out.list(2, STRUCT, columns.len() + 1);
    out.open();
    out.text(4, "schema");
    out.i32(5, small(columns.len()));
    out.close();
    for column in columns {
        element(&mut out, column);
    }
    out.i64(3, i64::try_from(rows).unwrap_or(i64::MAX));
    out.list(4, STRUCT, usize::from(!chunks.is_empty()));
    if !chunks.is_empty() {
        let total = chunks.iter().map(|chunk| chunk.size).sum();
        out.open();
        out.list(1, STRUCT, chunks.len());
        for (column, chunk) in columns.iter().zip(chunks) {
            out.open();
            out.i64(2, chunk.offset);
            out.within(3, |meta| {
                meta.i32(1, physical(column.kind));
                meta.list(2, I32, 2);
                meta.zigzag(0);
                meta.zigzag(3);
                meta.list(3, BINARY, 1);
                meta.raw(&column.name);
                meta.i32(4, 0);
                meta.i64(5, i64::try_from(rows).unwrap_or(i64::MAX));
                meta.i64(6, chunk.size);
                meta.i64(7, chunk.size);
                meta.i64(9, chunk.offset);
            });
            out.close();
        }
        out.i64(2, total);
        out.i64(3, i64::try_from(rows).unwrap_or(i64::MAX));
        out.close();
    }
    out.text(6, "prov");
    out.close();
    out.bytes
}

/// A column in the schema.
fn element(out: &mut Thrift, column: &WriteColumn) {
    out.open();
    out.i32(1, physical(column.kind));
    out.i32(3, i32::from(column.is_nullable));
    out.text(4, &column.name);
    match column.kind {
        Type::Utf8 => {
            out.i32(6, 0);
            out.within(10, |kind| kind.within(1, |_| ()));
        }
        Type::Timestamp => {
            out.i32(6, 10);
            out.within(10, |kind| {
                kind.within(8, |at| {
                    // Adjusted to UTC, in microseconds.
                    at.field(1, TRUE);
                    at.within(2, |unit| unit.within(2, |_| ()));
                });
            });
        }
        Type::Int64 | Type::Double | Type::Boolean => {}
    }
    out.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<WriteColumn> {
        let named = [
            "run_id",
            "correlation_id",
            "attempt",
            "step_run_id",
            "step",
            "started_at",
            "status",
            "duration_ms",
            "error",
            "process_run_id",
            "error_type",
            "error_message",
        ];
        let kind = |name: &str| match name {
            "attempt" | "duration_ms" => Type::Int64,
            "started_at" => Type::Timestamp,
            _ => Type::Utf8,
        };
        let is_nullable =
            |name: &str| name.starts_with("error") || name == "correlation_id" || name == "process_run_id";
        named
            .iter()
            .map(|name| WriteColumn { name: (*name).to_owned(), kind: kind(name), is_nullable: is_nullable(name) })
            .collect()
    }

    /// Rows of the table of steps, with every kind of value.
    fn sample() -> Vec<Vec<Cell>> {
        let text = |text: &str| Cell::Text(text.to_owned());
        let row = |attempt: i64, wrong: Option<&str>| {
            let wrong = || wrong.map_or(Cell::Null, text);
            vec![
                text("20261122T102030.123456Z-pis-0123456789abcdef"),
                Cell::Null,
                Cell::Int(attempt),
                text("run/é"),
                text("copy a"),
                Cell::Int(1_795_342_830_123_456),
                text("success"),
                Cell::Int(-1),
                wrong(),
                text("p"),
                wrong(),
                wrong(),
            ]
        };
        vec![row(1, None), row(2, Some("exit('x')")), row(3, Some("")), row(i64::MAX, None)]
    }

    /// What lies between the pages and the end.
    fn footer_of(file: &[u8]) -> &[u8] {
        let end = file.len() - 8;
        let size = u32::from_le_bytes(file[end..end + 4].try_into().unwrap());
        &file[end - usize::try_from(size).unwrap()..end]
    }

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    // That others can read these files is shown by `tests/interchange/check.py`, with pyarrow.
    #[test]
    fn a_file_has_its_pages_between_the_marks_and_its_columns_at_the_end() {
        let columns = columns();
        let (empty, full) = (file(&columns, &[]), file(&columns, &sample()));
        for file in [&empty, &full] {
            assert!(file.starts_with(MAGIC) && file.ends_with(MAGIC));
            let footer = footer_of(file);
            assert!(columns.iter().all(|column| contains(footer, column.name.as_bytes())));
        }
        assert_eq!(empty.len(), 4 + footer_of(&empty).len() + 8);
        assert!(contains(&full, "run/é".as_bytes()) && contains(&full, b"exit('x')"));
        assert_eq!(full, file(&columns, &sample()));
    }

    #[test]
    fn levels_are_stretches_of_equal_answers() {
        let (null, some) = (Cell::Null, Cell::Int(1));
        assert_eq!(levels(&[&null, &null, &some, &null]), [4, 0, 2, 1, 2, 0]);
        let many = vec![&some; 200];
        assert_eq!(levels(&many), [0x90, 0x03, 1]);
        assert!(levels(&[]).is_empty());
    }
}

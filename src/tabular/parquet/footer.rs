//! What the end of a Parquet file says: rows and columns. No page is read.

use std::io::{Read, SeekFrom};

use crate::tabular::Source;

/// The most bytes that are read of an end.
const MOST_FOOTER: u64 = 256 << 20;

/// How deep structures may lie in each other.
const DEEPEST: usize = 32;

/// What the end of a file says.
#[derive(Debug, PartialEq, Eq)]
pub struct Footer {
    /// How many rows there are.
    pub rows: u64,
    /// The columns of the table.
    pub columns: Vec<Leaf>,
    /// Its groups of rows.
    pub(super) groups: Vec<Group>,
}

/// A column of the table: a value, or something with columns in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its name.
    pub name: String,
    /// Its type, in the words that schemas are written in.
    pub kind: String,
    /// Whether a value may be missing.
    pub is_nullable: bool,
    /// How its values lie in pages; `None` of something with columns in it.
    pub(super) physical: Option<i64>,
    /// Bytes of each value, where all have as many.
    pub(super) width: Option<i64>,
    /// What a time counts: seconds have so many.
    pub(super) per_second: Option<i64>,
}

/// A group of rows.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Group {
    pub(super) chunks: Vec<Chunk>,
}

/// Where a column of a group lies, and what is said of it.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Chunk {
    /// The first name of its path.
    pub(super) column: String,
    /// Whether that is all of the path.
    pub(super) is_flat: bool,
    pub(super) codec: i64,
    pub(super) values: u64,
    pub(super) size: u64,
    pub(super) data: u64,
    pub(super) dictionary: Option<u64>,
    pub(super) nulls: Option<u64>,
    pub(super) min: Option<Vec<u8>>,
    pub(super) max: Option<Vec<u8>>,
}

/// Reads the end of a file.
///
/// # Errors
/// What is wrong with it.
pub fn read(source: &mut dyn Source) -> Result<Footer, String> {
    let size = source.seek(SeekFrom::End(0)).map_err(|err| err.to_string())?;
    source.seek(SeekFrom::Start(0)).map_err(|err| err.to_string())?;
    let bytes = footer_bytes(source, size)?;
    parse(&bytes)
}

fn footer_bytes(file: &mut dyn Source, size: u64) -> Result<Vec<u8>, String> {
    let failed = |err: std::io::Error| err.to_string();
    if size < 12 {
        return Err(format!("it is no Parquet: it has {size} bytes"));
    }
    let mut magic = [0; 4];
    file.read_exact(&mut magic).map_err(failed)?;
    if &magic != b"PAR1" {
        return Err("it is no Parquet: it doesn't begin with PAR1".to_owned());
    }
    let mut end = [0; 8];
    file.seek(SeekFrom::Start(size - 8)).map_err(failed)?;
    file.read_exact(&mut end).map_err(failed)?;
    match &end[4..] {
        b"PAR1" => {}
        b"PARE" => return Err("its end is encrypted".to_owned()),
        _ => return Err("it is cut: it doesn't end with PAR1".to_owned()),
    }
    let length = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    if length > size - 12 || length > MOST_FOOTER {
        return Err("it is damaged: its end says that it is longer than the file".to_owned());
    }
    file.seek(SeekFrom::Start(size - 8 - length)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Footer, String> {
    let mut input = Input { bytes };
    footer(&mut input).ok_or_else(|| "it is damaged: its end can't be read".to_owned())
}

/// Thrift's compact form, as far as an end of Parquet needs it. Whatever is not understood is `None`.
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
}

pub(super) const BINARY: u8 = 8;
const LIST: u8 = 9;
pub(super) const STRUCT: u8 = 12;

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        let n = self.varint()?;
        Some((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }

    pub(super) fn take(&mut self, n: u64) -> Option<&'a [u8]> {
        let n = usize::try_from(n).ok()?;
        let (taken, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(taken)
    }

    /// The number and the type of the next field; the type is 0 after the last one.
    pub(super) fn field(&mut self, before: i64) -> Option<(i64, u8)> {
        let head = self.byte()?;
        let kind = head & 0x0f;
        let number = match head >> 4 {
            _ if head == 0 => 0,
            0 => self.integer()?,
            delta => before.checked_add(i64::from(delta))?,
        };
        Some((number, kind))
    }

    /// The type and the number of the items of a list.
    fn list(&mut self) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let n = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        Some((head & 0x0f, n))
    }

    pub(super) fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            // Of a field; within a list a boolean is a byte, which no end of Parquet has.
            1 | 2 => Some(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.take(8).map(drop),
            BINARY => {
                let n = self.varint()?;
                self.take(n).map(drop)
            }
            LIST | 10 => {
                let (kind, n) = self.list()?;
                (0..n).try_for_each(|_| match kind {
                    1 | 2 => self.byte().map(drop),
                    kind => self.skip(kind, depth + 1),
                })
            }
            11 => {
                let n = self.varint()?;
                if n == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                (0..n).try_for_each(|_| {
                    self.skip(kinds >> 4, depth + 1)?;
                    self.skip(kinds & 0x0f, depth + 1)
                })
            }
            STRUCT => {
                let mut number = 0;
                loop {
                    let (next, kind) = self.field(number)?;
                    if kind == 0 {
                        return Some(());
                    }
                    self.skip(kind, depth + 1)?;
                    number = next;
                }
            }
            _ => None,
        }
    }
}

/// A node of the schema.
#[derive(Debug, Default)]
struct Element {
    physical: Option<i64>,
    width: Option<i64>,
    repetition: Option<i64>,
    name: String,
    children: u64,
    converted: Option<i64>,
    logical: Option<i64>,
    /// Of a time: which member of the union of its units there is.
    unit: Option<i64>,
}

fn footer(input: &mut Input<'_>) -> Option<Footer> {
    let (mut rows, mut elements, mut groups, mut number) = (None, Vec::new(), Vec::new(), 0);
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (number, kind) {
            (_, 0) => break,
            (2, LIST) => {
                let (STRUCT, n) = input.list()? else { return None };
                for _ in 0..n {
                    elements.push(element(input)?);
                }
            }
            (3, 6) => rows = Some(u64::try_from(input.integer()?).ok()?),
            (4, LIST) => {
                let (kind, n) = input.list()?;
                for _ in 0..n {
                    if kind != STRUCT {
                        return None;
                    }
                    groups.push(group(input)?);
                }
            }
            (_, kind) => input.skip(kind, 0)?,
        }
    }
    let (root, mut rest) = elements.split_first()?;
    let mut columns = Vec::new();
    for _ in 0..root.children {
        let (first, _) = rest.split_first()?;
        columns.push(Leaf {
            name: first.name.clone(),
            kind: type_of(first),
            is_nullable: first.repetition != Some(0),
            physical: first.physical.filter(|_| first.children == 0 && first.repetition != Some(2)),
            width: first.width,
            per_second: per_second(first),
        });
        rest = after(rest)?;
    }
    rest.is_empty().then_some(Footer { rows: rows?, columns, groups })
}

/// What follows the first node and all that lies in it.
fn after(elements: &[Element]) -> Option<&[Element]> {
    let mut open = 1u64;
    let mut rest = elements;
    while open > 0 {
        let (first, more) = rest.split_first()?;
        open = (open - 1).checked_add(first.children)?;
        rest = more;
    }
    Some(rest)
}

fn element(input: &mut Input<'_>) -> Option<Element> {
    let (mut element, mut number) = (Element::default(), 0);
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (number, kind) {
            (_, 0) => return Some(element),
            (1, 5) => element.physical = Some(input.integer()?),
            (2, 5) => element.width = Some(input.integer()?),
            (3, 5) => element.repetition = Some(input.integer()?),
            (4, BINARY) => {
                let n = input.varint()?;
                element.name = String::from_utf8_lossy(input.take(n)?).into_owned();
            }
            (5, 5) => element.children = u64::try_from(input.integer()?).ok()?,
            (6, 5) => element.converted = Some(input.integer()?),
            (10, STRUCT) => {
                // Which member of the union is there says the type.
                let mut member = 0;
                loop {
                    let (next, kind) = input.field(member)?;
                    if kind == 0 {
                        break;
                    }
                    element.logical = Some(next);
                    if next == 8 && kind == STRUCT {
                        unit(input, &mut element.unit)?;
                    } else {
                        input.skip(kind, 0)?;
                    }
                    member = next;
                }
            }
            (_, kind) => input.skip(kind, 0)?,
        }
    }
}

/// Of the structure of a time: which unit it has.
fn unit(input: &mut Input<'_>, found: &mut Option<i64>) -> Option<()> {
    let mut number = 0;
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (number, kind) {
            (_, 0) => return Some(()),
            (2, STRUCT) => {
                let mut member = 0;
                loop {
                    let (next, kind) = input.field(member)?;
                    if kind == 0 {
                        break;
                    }
                    *found = Some(next);
                    input.skip(kind, 0)?;
                    member = next;
                }
            }
            (_, kind) => input.skip(kind, 0)?,
        }
    }
}

fn per_second(element: &Element) -> Option<i64> {
    match (element.unit, element.converted) {
        (Some(1), _) | (None, Some(9)) => Some(1_000),
        (Some(2), _) | (None, Some(10)) => Some(1_000_000),
        (Some(3), _) => Some(1_000_000_000),
        _ => None,
    }
}

fn group(input: &mut Input<'_>) -> Option<Group> {
    let (mut group, mut number) = (Group::default(), 0);
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (number, kind) {
            (_, 0) => return Some(group),
            (1, LIST) => {
                let (STRUCT, n) = input.list()? else { return None };
                for _ in 0..n {
                    group.chunks.push(chunk(input)?);
                }
            }
            (_, kind) => input.skip(kind, 0)?,
        }
    }
}

fn chunk(input: &mut Input<'_>) -> Option<Chunk> {
    let (mut chunk, mut number) = (Chunk::default(), 0);
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (number, kind) {
            (_, 0) => return Some(chunk),
            (3, STRUCT) => meta(input, &mut chunk)?,
            (_, kind) => input.skip(kind, 0)?,
        }
    }
}

fn meta(input: &mut Input<'_>, chunk: &mut Chunk) -> Option<()> {
    let mut number = 0;
    let natural = |n: i64| u64::try_from(n).ok();
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (number, kind) {
            (_, 0) => return Some(()),
            (3, LIST) => {
                let (BINARY, n) = input.list()? else { return None };
                for at in 0..n {
                    let length = input.varint()?;
                    let name = input.take(length)?;
                    if at == 0 {
                        chunk.column = String::from_utf8_lossy(name).into_owned();
                    }
                }
                chunk.is_flat = n == 1;
            }
            (4, 5) => chunk.codec = input.integer()?,
            (5, 6) => chunk.values = natural(input.integer()?)?,
            (7, 6) => chunk.size = natural(input.integer()?)?,
            (9, 6) => chunk.data = natural(input.integer()?)?,
            (11, 6) => chunk.dictionary = natural(input.integer()?),
            (12, STRUCT) => statistics(input, chunk)?,
            (_, kind) => input.skip(kind, 0)?,
        }
    }
}

fn statistics(input: &mut Input<'_>, chunk: &mut Chunk) -> Option<()> {
    let mut number = 0;
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (number, kind) {
            (_, 0) => return Some(()),
            (3, 6) => chunk.nulls = u64::try_from(input.integer()?).ok(),
            // The older two are ordered in a way that nobody agrees on.
            (5 | 6, BINARY) => {
                let length = input.varint()?;
                let bytes = input.take(length)?.to_vec();
                if number == 5 { chunk.max = Some(bytes) } else { chunk.min = Some(bytes) }
            }
            (_, kind) => input.skip(kind, 0)?,
        }
    }
}

/// The type of a column in the words that schemas are written in.
fn type_of(element: &Element) -> String {
    let word = match (element.logical, element.converted, element.physical) {
        (Some(3), ..) | (_, Some(3), _) => "list",
        (Some(2), ..) | (_, Some(1 | 2), _) => "map",
        (.., None) => "struct",
        (Some(1 | 4 | 12), ..) | (_, Some(0 | 4 | 19), _) => "string",
        (Some(5), ..) | (_, Some(5), _) => "decimal",
        (Some(6), ..) | (_, Some(6), _) => "date",
        (Some(7), ..) | (_, Some(7 | 8), _) => "time",
        (Some(8), ..) | (_, Some(9 | 10), _) | (.., Some(3)) => "timestamp",
        (_, Some(11), _) => "uint8",
        (_, Some(12), _) => "uint16",
        (_, Some(13), _) => "uint32",
        (_, Some(14), _) => "uint64",
        (_, Some(15), _) => "int8",
        (_, Some(16), _) => "int16",
        (Some(14), ..) => "uuid",
        (.., Some(0)) => "boolean",
        (.., Some(1)) => "int32",
        (.., Some(2)) => "int64",
        (.., Some(4)) => "float",
        (.., Some(5)) => "double",
        (.., Some(_)) => "binary",
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The end of a file with the columns `id` (INT64), `name` (UTF8) and `tags` (a list), and 7 rows, as pyarrow writes it, without row groups.
    const END: &[u8] = &[
        0x15, 0x04, 0x19, 0x6c, // version 2; six elements
        0x35, 0x00, 0x18, 0x06, b's', b'c', b'h', b'e', b'm', b'a', 0x15, 0x06, 0x00, // root, 3 children
        0x15, 0x04, 0x25, 0x02, 0x18, 0x02, b'i', b'd', 0x00, // int64
        0x15, 0x0c, 0x25, 0x02, 0x18, 0x04, b'n', b'a', b'm', b'e', 0x25, 0x00, 0x4c, 0x1c, 0x00, 0x00,
        0x00, // string
        0x35, 0x02, 0x18, 0x04, b't', b'a', b'g', b's', 0x15, 0x02, 0x15, 0x06, 0x4c, 0x3c, 0x00, 0x00,
        0x00, // list
        0x35, 0x04, 0x18, 0x04, b'l', b'i', b's', b't', 0x15, 0x02, 0x00, // its group
        0x15, 0x04, 0x25, 0x02, 0x18, 0x01, b'e', 0x00, // its element
        0x16, 0x0e, 0x19, 0x0c, 0x00, // 7 rows; no row groups
    ];

    #[test]
    fn rows_and_columns_are_read() {
        let footer = parse(END).unwrap();
        assert_eq!(footer.rows, 7);
        let columns: Vec<_> =
            footer.columns.iter().map(|c| (c.name.as_str(), c.kind.as_str(), c.is_nullable)).collect();
        assert_eq!(columns, [("id", "int64", true), ("name", "string", true), ("tags", "list", true)]);
    }

    #[test]
    fn every_cut_is_noticed() {
        for n in 0..END.len() {
            assert!(parse(&END[..n]).is_err(), "{n}");
        }
    }

    #[test]
    fn what_is_no_parquet_is_told() {
        let mut whole = b"PAR1".to_vec();
        whole.extend_from_slice(END);
        whole.extend_from_slice(&u32::try_from(END.len()).unwrap().to_le_bytes());
        whole.extend_from_slice(b"PAR1");
        let mut too_long = whole.clone();
        let at = too_long.len() - 6;
        too_long[at] = 0xff;
        for (bytes, expected) in [
            (&b""[..], "has 0 bytes"),
            (b"a,b,c\n1,2,3\n4,5,6\n", "doesn't begin with PAR1"),
            (&whole[..whole.len() - 1], "doesn't end with PAR1"),
            (&too_long, "longer than the file"),
        ] {
            let problem = read(&mut std::io::Cursor::new(bytes)).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        assert_eq!(read(&mut std::io::Cursor::new(&whole)).unwrap().rows, 7);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0..END.len(), byte: u8, more in proptest::collection::vec(any::<u8>(), 0..8)) {
            let mut bytes = END.to_vec();
            bytes.splice(at..at, more);
            bytes[at] = byte;
            let _ = parse(&bytes);
        }
    }
}

//! The values of flat columns, page by page.

use std::io::{Read, SeekFrom};

use super::footer::{BINARY, Chunk, Input, Leaf, STRUCT};
use super::snappy;
use crate::tabular::{Source, Value};

/// The most bytes of a column of a group that are read for its first rows.
const MOST_CHUNK: u64 = 256 << 20;
/// The most bytes of a page, unpacked.
const MOST_PAGE: usize = 128 << 20;
/// Letters of a text that are shown.
const MOST_TEXT: usize = 4 << 10;

/// Why values can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// They lie there in a way that is not known here.
    Unknown(&'static str),
    /// They can't lie there like this.
    Damaged(String),
}

fn damaged(what: &str) -> Unread {
    Unread::Damaged(what.to_owned())
}

/// The head of a page.
#[derive(Default)]
struct Page {
    kind: i64,
    packed: usize,
    unpacked: usize,
    values: usize,
    encoding: i64,
    /// Of the second form: bytes of levels before the values, which are never packed.
    levels: Option<(usize, usize)>,
    is_packed: Option<bool>,
}

/// The first values of a column of a group, at most `most`.
pub(super) fn values(source: &mut dyn Source, column: &Leaf, chunk: &Chunk, most: usize) -> Result<Vec<Value>, Unread> {
    let physical = column.physical.ok_or(Unread::Unknown("nested"))?;
    if chunk.size > MOST_CHUNK {
        return Err(Unread::Unknown("too large"));
    }
    let start = chunk.dictionary.filter(|at| *at > 0 && *at < chunk.data).unwrap_or(chunk.data);
    let mut bytes = Vec::new();
    source
        .seek(SeekFrom::Start(start))
        .and_then(|_| source.take(chunk.size).read_to_end(&mut bytes))
        .map_err(|err| Unread::Damaged(err.to_string()))?;
    let mut input = Input { bytes: &bytes };
    let mut dictionary: Vec<Value> = Vec::new();
    let mut found = Vec::new();
    let wanted = most.min(usize::try_from(chunk.values).unwrap_or(usize::MAX));
    while found.len() < wanted {
        if input.bytes.is_empty() {
            return Err(damaged("it ends early"));
        }
        let page = head(&mut input).ok_or_else(|| damaged("the head of a page can't be read"))?;
        let packed =
            input.take(u64::try_from(page.packed).unwrap_or(u64::MAX)).ok_or_else(|| damaged("a page is cut"))?;
        let body = unpacked(packed, &page, chunk.codec)?;
        match page.kind {
            2 => dictionary = plain(column, physical, &body, page.values)?,
            0 | 3 => {
                let (present, rest) = levels(column, &page, &body)?;
                let count = present.iter().filter(|is_there| **is_there).count();
                let values = match page.encoding {
                    0 => plain(column, physical, rest, count)?,
                    2 | 8 => {
                        let (width, rest) = rest.split_first().unwrap_or((&0, &[]));
                        let at = hybrid(rest, u32::from(*width), count)?;
                        at.into_iter()
                            .map(|at| {
                                dictionary
                                    .get(at as usize)
                                    .cloned()
                                    .ok_or_else(|| damaged("a value is not in the dictionary"))
                            })
                            .collect::<Result<_, _>>()?
                    }
                    3 if physical == 0 => {
                        let rest = rest.get(4..).ok_or_else(|| damaged("a page is cut"))?;
                        hybrid(rest, 1, count)?.into_iter().map(|bit| Value::Bool(bit == 1)).collect()
                    }
                    _ => return Err(Unread::Unknown("an encoding that is not known here")),
                };
                let mut values = values.into_iter();
                for is_there in present {
                    let value = if is_there {
                        values.next().ok_or_else(|| damaged("values are missing"))?
                    } else {
                        Value::Null
                    };
                    found.push(value);
                }
            }
            _ => {}
        }
    }
    found.truncate(wanted);
    Ok(found)
}

fn head(input: &mut Input<'_>) -> Option<Page> {
    let (mut page, mut number) = (Page::default(), 0);
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (number, kind) {
            (_, 0) => return Some(page),
            (1, 5) => page.kind = input.integer()?,
            (2, 5) => page.unpacked = usize::try_from(input.integer()?).ok()?,
            (3, 5) => page.packed = usize::try_from(input.integer()?).ok()?,
            (5 | 7 | 8, STRUCT) => of_data(input, number, &mut page)?,
            (_, kind) => input.skip(kind, 0)?,
        }
    }
}

/// The part of a page's head that says what is in it: of data, of a dictionary, or of data in the second form.
fn of_data(input: &mut Input<'_>, form: i64, page: &mut Page) -> Option<()> {
    let (mut number, mut levels) = (0, (0, 0));
    loop {
        let (next, kind) = input.field(number)?;
        number = next;
        match (form, number, kind) {
            (_, _, 0) => {
                page.levels = (form == 8).then_some(levels);
                return Some(());
            }
            (_, 1, 5) => page.values = usize::try_from(input.integer()?).ok()?,
            (5 | 7, 2, 5) | (8, 4, 5) => page.encoding = input.integer()?,
            (8, 5, 5) => levels.0 = usize::try_from(input.integer()?).ok()?,
            (8, 6, 5) => levels.1 = usize::try_from(input.integer()?).ok()?,
            (8, 7, 1) => page.is_packed = Some(true),
            (8, 7, 2) => page.is_packed = Some(false),
            (_, _, BINARY) => {
                let n = input.varint()?;
                input.take(n)?;
            }
            (_, _, kind) => input.skip(kind, 0)?,
        }
    }
}

fn unpacked(packed: &[u8], page: &Page, codec: i64) -> Result<Vec<u8>, Unread> {
    if page.unpacked > MOST_PAGE {
        return Err(Unread::Unknown("too large"));
    }
    // Levels of the second form lie before what is packed.
    let before = page.levels.map_or(0, |(repetition, definition)| repetition.saturating_add(definition));
    let (before, packed) = packed.split_at_checked(before).ok_or_else(|| damaged("a page is cut"))?;
    let mut out = before.to_vec();
    let most = page.unpacked.saturating_sub(before.len());
    match codec {
        _ if page.is_packed == Some(false) => out.extend_from_slice(packed),
        0 => out.extend_from_slice(packed),
        1 => out.extend(snappy::unpacked(packed, most).ok_or_else(|| damaged("a page can't be unpacked"))?),
        2 => {
            let limit = u64::try_from(most).unwrap_or(u64::MAX);
            crate::deflate::gunzip(packed)
                .take(limit)
                .read_to_end(&mut out)
                .map_err(|err| Unread::Damaged(err.to_string()))?;
        }
        6 => return Err(Unread::Unknown("packed with zstd")),
        _ => return Err(Unread::Unknown("packed in a way that is not known here")),
    }
    Ok(out)
}

/// Which of the values of a page are there, and what follows that.
fn levels<'a>(column: &Leaf, page: &Page, body: &'a [u8]) -> Result<(Vec<bool>, &'a [u8]), Unread> {
    if page.values > MOST_PAGE {
        return Err(damaged("a page has too many values"));
    }
    let cut = || damaged("a page is cut");
    if let Some((repetition, definition)) = page.levels {
        let rest = body.get(repetition..).ok_or_else(cut)?;
        let (levels, rest) = rest.split_at_checked(definition).ok_or_else(cut)?;
        let present = if column.is_nullable {
            hybrid(levels, 1, page.values)?.into_iter().map(|level| level == 1).collect()
        } else {
            vec![true; page.values]
        };
        return Ok((present, rest));
    }
    if !column.is_nullable {
        return Ok((vec![true; page.values], body));
    }
    let (size, rest) = body.split_first_chunk::<4>().ok_or_else(cut)?;
    let size = usize::try_from(u32::from_le_bytes(*size)).map_err(|_| cut())?;
    let (levels, rest) = rest.split_at_checked(size).ok_or_else(cut)?;
    Ok((hybrid(levels, 1, page.values)?.into_iter().map(|level| level == 1).collect(), rest))
}

/// Small integers: stretches of equal ones, and groups of eight of some bits each.
fn hybrid(bytes: &[u8], width: u32, count: usize) -> Result<Vec<u32>, Unread> {
    if width > 32 {
        return Err(damaged("a width of bits is too large"));
    }
    let mut input = Input { bytes };
    let mut found: Vec<u32> = Vec::new();
    while found.len() < count {
        let head = input.varint().ok_or_else(|| damaged("a stretch is cut"))?;
        let n = head >> 1;
        if head & 1 == 0 {
            let size = u64::from(width.div_ceil(8));
            let raw = input.take(size).ok_or_else(|| damaged("a stretch is cut"))?;
            let value = raw.iter().rev().fold(0u32, |value, byte| value << 8 | u32::from(*byte));
            let n = usize::try_from(n).unwrap_or(usize::MAX).min(count - found.len());
            if n == 0 {
                return Err(damaged("a stretch is empty"));
            }
            found.extend(std::iter::repeat_n(value, n));
        } else {
            let size = n.saturating_mul(u64::from(width)).min(u64::try_from(input.bytes.len()).unwrap_or(u64::MAX));
            let raw = input.take(size).ok_or_else(|| damaged("a stretch is cut"))?;
            let n = usize::try_from(n.saturating_mul(8)).unwrap_or(usize::MAX).min(count - found.len());
            if n == 0 {
                return Err(damaged("a stretch is empty"));
            }
            let bit = |at: usize| raw.get(at / 8).map_or(0, |byte| u32::from(byte >> (at % 8) & 1));
            let width = width as usize;
            found.extend((0..n).map(|at| (0..width).rev().fold(0, |value, b| value << 1 | bit(at * width + b))));
        }
    }
    Ok(found)
}

/// Values one after the other, as they are.
fn plain(column: &Leaf, physical: i64, bytes: &[u8], count: usize) -> Result<Vec<Value>, Unread> {
    let cut = || damaged("values are cut");
    let mut input = Input { bytes };
    let mut found = Vec::new();
    for at in 0..count {
        let value = match physical {
            0 => {
                let byte = bytes.get(at / 8).ok_or_else(cut)?;
                Value::Bool(byte >> (at % 8) & 1 == 1)
            }
            6 => {
                let size = input.take(4).and_then(|raw| <[u8; 4]>::try_from(raw).ok()).ok_or_else(cut)?;
                text(column, input.take(u64::from(u32::from_le_bytes(size))).ok_or_else(cut)?)
            }
            _ => {
                let width = match physical {
                    1 | 4 => 4,
                    2 | 5 => 8,
                    3 => 12,
                    7 => u64::try_from(column.width.unwrap_or(0)).map_err(|_| cut())?,
                    _ => return Err(Unread::Unknown("a type that is not known here")),
                };
                number(column, physical, input.take(width).ok_or_else(cut)?).ok_or_else(cut)?
            }
        };
        found.push(value);
    }
    Ok(found)
}

/// The least or greatest value of a column, as statistics have it.
pub(super) fn plain_bound(column: &Leaf, bytes: &[u8]) -> Option<Value> {
    match column.physical? {
        0 => Some(Value::Bool(*bytes.first()? != 0)),
        6 => Some(text(column, bytes)),
        physical => number(column, physical, bytes),
    }
}

fn text(column: &Leaf, bytes: &[u8]) -> Value {
    if column.kind == "string"
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Value::Text(text.chars().take(MOST_TEXT).collect());
    }
    Value::Text(crate::path::shown(bytes.get(..MOST_TEXT).unwrap_or(bytes)))
}

fn number(column: &Leaf, physical: i64, bytes: &[u8]) -> Option<Value> {
    Some(match physical {
        1 => int(column, i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        2 => int(column, i64::from_le_bytes(bytes.try_into().ok()?)),
        3 => {
            // Nanoseconds of a Julian day, as old writers have times.
            let (ns, day) = bytes.split_first_chunk::<8>()?;
            let day = i64::from(i32::from_le_bytes(day.try_into().ok()?));
            let us = (day - 2_440_588).checked_mul(86_400_000_000)?.checked_add(i64::from_le_bytes(*ns) / 1000)?;
            Value::Text(crate::clock::Micros(us).rfc3339())
        }
        4 => Value::Float(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        5 => Value::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        _ => Value::Text(crate::hash::hex(bytes)),
    })
}

fn int(column: &Leaf, n: i64) -> Value {
    match (column.kind.as_str(), column.per_second) {
        ("timestamp", per_second) => {
            let us = match per_second {
                Some(1_000) => n.checked_mul(1_000),
                Some(1_000_000_000) => Some(n.div_euclid(1_000)),
                _ => Some(n),
            };
            us.map_or(Value::Int(n), |us| Value::Text(crate::clock::Micros(us).rfc3339()))
        }
        ("date", _) => match n.checked_mul(86_400_000_000) {
            Some(us) => Value::Text(crate::clock::Micros(us).rfc3339().get(..10).unwrap_or_default().to_owned()),
            None => Value::Int(n),
        },
        ("uint64", _) if n < 0 => Value::Text(n.cast_unsigned().to_string()),
        _ => Value::Int(n),
    }
}

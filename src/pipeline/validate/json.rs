//! JSON, read through without being kept.

use std::fmt;
use std::io::{BufRead, Read};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The most bytes of one line.
const MOST_LINE: u64 = 64 << 20;

/// How many rows a value is: a list as many as it has elements, anything else one.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl<'de> Visitor<'de> for Counting {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut n = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    n += 1;
                }
                Ok(Count(n))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count(1))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
                Ok(Count(1))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
                Ok(Count(1))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Count, E> {
                Ok(Count(1))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Count, E> {
                Ok(Count(1))
            }

            fn visit_str<E>(self, _: &str) -> Result<Count, E> {
                Ok(Count(1))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(1))
            }
        }
        deserializer.deserialize_any(Counting)
    }
}

/// Reads one value, or several one after the other, and counts the rows.
pub(super) fn rows(reader: &mut dyn BufRead) -> Result<u64, String> {
    let mut rows: u64 = 0;
    let mut is_empty = true;
    for value in serde_json::Deserializer::from_reader(reader).into_iter::<Count>() {
        rows = rows.saturating_add(value.map_err(|err| err.to_string())?.0);
        is_empty = false;
    }
    if is_empty { Err("there is no JSON in it".to_owned()) } else { Ok(rows) }
}

/// Reads a value on each line that is not blank, and counts them.
pub(super) fn lines(reader: &mut dyn BufRead) -> Result<u64, String> {
    let (mut rows, mut line) = (0, 0u64);
    let mut bytes = Vec::new();
    while next_line(reader, &mut bytes)? {
        line += 1;
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        serde_json::from_slice::<IgnoredAny>(&bytes).map_err(|err| format!("line {line}: {err}"))?;
        rows += 1;
    }
    Ok(rows)
}

/// Reads the next line; `false` at the end.
pub(super) fn next_line(reader: &mut dyn BufRead, bytes: &mut Vec<u8>) -> Result<bool, String> {
    bytes.clear();
    reader.take(MOST_LINE + 1).read_until(b'\n', bytes).map_err(|err| err.to_string())?;
    if bytes.len() as u64 > MOST_LINE {
        return Err(format!("a line is longer than {} MiB", MOST_LINE >> 20));
    }
    Ok(!bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_elements_values_or_lines() {
        for (text, expected) in
            [("[1, {\"a\": [2]}, null]", 3), ("{\"a\": 1}", 1), ("{}\n{}\n", 2), ("1.5e400", 1), ("[]", 0)]
        {
            assert_eq!(rows(&mut text.as_bytes()), Ok(expected), "{text}");
        }
        assert_eq!(lines(&mut &b"{\"a\": 1}\n\n[2]"[..]), Ok(2));
        assert_eq!(lines(&mut &b""[..]), Ok(0));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_line() {
        assert!(rows(&mut &b""[..]).is_err());
        assert!(rows(&mut &b"{\"a\": 1"[..]).unwrap_err().contains("line 1"));
        assert!(lines(&mut &b"{}\n{\n}\n"[..]).unwrap_err().starts_with("line 2:"));
        let deep = "[".repeat(100_000);
        assert!(rows(&mut deep.as_bytes()).is_err());
    }
}

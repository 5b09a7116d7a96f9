//! Tables as text, read record by record: RFC 4180, with a line feed as good as both signs.

use std::io::BufRead;

/// The most bytes of one record.
const MOST_RECORD: usize = 64 << 20;

/// Reads records.
#[expect(missing_debug_implementations, reason = "a reader has nothing to show")]
pub struct Records<'a> {
    reader: &'a mut dyn BufRead,
    delimiter: u8,
    /// The lines read so far.
    line: u64,
}

impl<'a> Records<'a> {
    /// The records of `reader`, whose fields are parted by `delimiter`.
    pub fn new(reader: &'a mut dyn BufRead, delimiter: u8) -> Self {
        Self { reader, delimiter, line: 0 }
    }

    /// The line at which the record ended that was read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The fields of the next record, unquoted; `None` at the end. Blank lines are no records.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    #[expect(clippy::should_implement_trait, reason = "it can fail")]
    pub fn next(&mut self) -> Result<Option<Vec<String>>, String> {
        let mut bytes = Vec::new();
        loop {
            let first = self.line + 1;
            bytes.clear();
            let mut is_open = false;
            loop {
                let from = bytes.len();
                let n = self.read_line(&mut bytes)?;
                if n == 0 {
                    break;
                }
                self.line += 1;
                if bytes.len() > MOST_RECORD {
                    return Err(format!("the record in line {first} is longer than {} MiB", MOST_RECORD >> 20));
                }
                // Every quote opens or closes; a doubled one does both.
                is_open = bytes[from..].iter().fold(is_open, |is_open, b| is_open ^ (*b == b'"'));
                if !is_open {
                    break;
                }
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            if is_open {
                return Err(format!("the quote that begins in line {first} is never closed"));
            }
            if first == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
            }
            let Ok(text) = std::str::from_utf8(&bytes) else {
                return Err(format!("line {first} is no UTF-8"));
            };
            let text = text.strip_suffix('\n').unwrap_or(text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if !text.is_empty() {
                return self.fields(text, first).map(Some);
            }
        }
    }

    fn read_line(&mut self, bytes: &mut Vec<u8>) -> Result<usize, String> {
        let mut total = 0;
        loop {
            let available = self.reader.fill_buf().map_err(|err| err.to_string())?;
            if available.is_empty() {
                return Ok(total);
            }
            let (n, is_end) = match available.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (available.len(), false),
            };
            bytes.extend_from_slice(&available[..n]);
            self.reader.consume(n);
            total += n;
            if is_end || bytes.len() > MOST_RECORD {
                return Ok(total);
            }
        }
    }

    fn fields(&self, text: &str, line: u64) -> Result<Vec<String>, String> {
        let delimiter = char::from(self.delimiter);
        let mut fields = Vec::new();
        let mut rest = text;
        loop {
            if let Some(inner) = rest.strip_prefix('"') {
                let mut field = String::new();
                let mut inner = inner;
                let after = loop {
                    let Some(at) = inner.find('"') else {
                        return Err(format!("a quote in line {line} is never closed"));
                    };
                    field.push_str(&inner[..at]);
                    match inner[at + 1..].strip_prefix('"') {
                        Some(more) => {
                            field.push('"');
                            inner = more;
                        }
                        None => break &inner[at + 1..],
                    }
                };
                fields.push(field);
                match after.strip_prefix(delimiter) {
                    Some(more) => rest = more,
                    None if after.is_empty() => return Ok(fields),
                    None => return Err(format!("something follows a closing quote in line {line}")),
                }
            } else {
                match rest.split_once(delimiter) {
                    Some((field, more)) => {
                        fields.push(field.to_owned());
                        rest = more;
                    }
                    None => {
                        fields.push(rest.to_owned());
                        return Ok(fields);
                    }
                }
            }
        }
    }
}

/// Reads a whole table and counts the records after the first, which names the columns.
///
/// # Errors
/// What is wrong with it, and in which line.
pub fn rows(reader: &mut dyn BufRead, delimiter: u8) -> Result<u64, String> {
    let mut records = Records::new(reader, delimiter);
    let Some(header) = records.next()? else { return Err("it has no header".to_owned()) };
    let mut rows = 0;
    while let Some(record) = records.next()? {
        rows += 1;
        if record.len() != header.len() {
            let line = records.line;
            return Err(format!("line {line} has {} fields, the header {}", record.len(), header.len()));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &[u8]) -> Result<u64, String> {
        rows(&mut &text[..], b',')
    }

    #[test]
    fn records_are_counted_whatever_is_in_their_fields() {
        for (text, expected) in [
            (&b"a,b\n1,2\n3,4\n"[..], 2),
            (b"a,b\r\n1,2\r\n\r\n", 1),
            (b"a,b\n\"x\ny\",\"q\"\"q,\"\n1,2", 2),
            (b"\xef\xbb\xbfa\n1\n", 1),
            (b"a,b\n", 0),
            (b"a,b\n,\n", 1),
        ] {
            assert_eq!(count(text), Ok(expected), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_is_no_table_is_told_with_its_line() {
        for (text, expected) in [
            (&b""[..], "no header"),
            (b"a,b\n1,2\n3\n", "line 3 has 1 fields, the header 2"),
            (b"a,b\n\"1,2\n3,4\n", "begins in line 2 is never closed"),
            (b"a,b\n\"1\"x,2\n", "follows a closing quote in line 2"),
            (b"a\n\xff\n", "line 2 is no UTF-8"),
        ] {
            let problem = count(text).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn quoted_fields_lose_their_quotes() {
        let mut text = &b"\"a \"\"b\"\"\",\"\",c\n"[..];
        assert_eq!(Records::new(&mut text, b',').next().unwrap().unwrap(), ["a \"b\"", "", "c"]);
    }
}

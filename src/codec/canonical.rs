//! The walk that checks the canonical form, and the one that sorts maps into it.

use super::Error;

/// Bounds on what a decoder accepts. Explicit, so that hostile bytes cost little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of arrays and maps.
    pub depth: usize,
    /// Bytes in all.
    pub bytes: usize,
    /// Entries of one array or map.
    pub entries: usize,
}

impl Limits {
    /// For objects and log entries: 64 levels, 16 MiB, a million entries.
    pub const RECORD: Limits = Limits { depth: 64, bytes: 16 << 20, entries: 1 << 20 };
}

/// What a header says.
enum Head {
    Plain,
    Str(usize),
    Bin(usize),
    Array(usize),
    Map(usize),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len()).ok_or(Error::CutOff { at: self.at })?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| Error::CutOff { at })
    }

    #[inline]
    fn uint(&mut self, n: usize) -> Result<u64, Error> {
        Ok(self.take(n)?.iter().fold(0, |sum, &byte| (sum << 8) | u64::from(byte)))
    }

    #[inline]
    fn len(&mut self, n: usize, at: usize, shortest_from: u64) -> Result<usize, Error> {
        let len = self.uint(n)?;
        if len < shortest_from {
            return Err(Error::NotCanonical { at, rule: "a length is written in its shortest form" });
        }
        usize::try_from(len).map_err(|_| Error::OverLimit { at, limit: "length" })
    }

    #[inline]
    fn head(&mut self) -> Result<Head, Error> {
        let at = self.at;
        let wrong = |rule| Error::NotCanonical { at, rule };
        const SHORT: &str = "an integer is written in its shortest form";
        let byte = self.take(1)?[0];
        Ok(match byte {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Head::Plain,
            0x80..=0x8f => Head::Map(usize::from(byte & 15)),
            0x90..=0x9f => Head::Array(usize::from(byte & 15)),
            0xa0..=0xbf => Head::Str(usize::from(byte & 31)),
            0xc4 => Head::Bin(self.len(1, at, 0)?),
            0xc5 => Head::Bin(self.len(2, at, 1 << 8)?),
            0xc6 => Head::Bin(self.len(4, at, 1 << 16)?),
            0xcb => {
                let bits = self.uint(8)?;
                if f64::from_bits(bits).is_finite() { Head::Plain } else { return Err(wrong("a float is finite")) }
            }
            0xcc => {
                if self.uint(1)? >= 1 << 7 {
                    Head::Plain
                } else {
                    return Err(wrong(SHORT));
                }
            }
            0xcd => {
                if self.uint(2)? >= 1 << 8 {
                    Head::Plain
                } else {
                    return Err(wrong(SHORT));
                }
            }
            0xce => {
                if self.uint(4)? >= 1 << 16 {
                    Head::Plain
                } else {
                    return Err(wrong(SHORT));
                }
            }
            0xcf => {
                if self.uint(8)? >= 1 << 32 {
                    Head::Plain
                } else {
                    return Err(wrong(SHORT));
                }
            }
            0xd0 => {
                let v = self.take(1)?[0].cast_signed();
                if v < -32 { Head::Plain } else { return Err(wrong(SHORT)) }
            }
            0xd1 => {
                let v = i64::from(i16::from_be_bytes(self.array()?));
                if v < i64::from(i8::MIN) { Head::Plain } else { return Err(wrong(SHORT)) }
            }
            0xd2 => {
                let v = i64::from(i32::from_be_bytes(self.array()?));
                if v < i64::from(i16::MIN) { Head::Plain } else { return Err(wrong(SHORT)) }
            }
            0xd3 => {
                let v = self.uint(8)?.cast_signed();
                if v < i64::from(i32::MIN) { Head::Plain } else { return Err(wrong(SHORT)) }
            }
            0xd9 => Head::Str(self.len(1, at, 32)?),
            0xda => Head::Str(self.len(2, at, 1 << 8)?),
            0xdb => Head::Str(self.len(4, at, 1 << 16)?),
            0xdc => Head::Array(self.len(2, at, 16)?),
            0xdd => Head::Array(self.len(4, at, 1 << 16)?),
            0xde => Head::Map(self.len(2, at, 16)?),
            0xdf => Head::Map(self.len(4, at, 1 << 16)?),
            0xca => return Err(wrong("floats have 64 bits")),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(wrong("there are no extension types")),
        })
    }

    fn value(&mut self, limits: &Limits, depth: usize) -> Result<(), Error> {
        let at = self.at;
        let head = self.head()?;
        let counted = match head {
            Head::Array(n) => n,
            Head::Map(n) => n.saturating_mul(2),
            _ => 0,
        };
        if matches!(head, Head::Array(_) | Head::Map(_)) {
            if depth == 0 {
                return Err(Error::OverLimit { at, limit: "depth" });
            }
            if counted > limits.entries.saturating_mul(2) {
                return Err(Error::OverLimit { at, limit: "entries" });
            }
            // Every entry takes at least a byte: a lie about the count is found before anything is done for it.
            if counted > self.bytes.len() - self.at {
                return Err(Error::CutOff { at: self.bytes.len() });
            }
        }
        match head {
            Head::Plain => {}
            Head::Str(n) => {
                let text = self.take(n)?;
                if std::str::from_utf8(text).is_err() {
                    return Err(Error::NotCanonical { at, rule: "text is UTF-8" });
                }
            }
            Head::Bin(n) => {
                self.take(n)?;
            }
            Head::Array(n) => {
                for _ in 0..n {
                    self.value(limits, depth - 1)?;
                }
            }
            Head::Map(n) => {
                let mut last: Option<&[u8]> = None;
                for _ in 0..n {
                    let start = self.at;
                    self.value(limits, depth - 1)?;
                    let key = &self.bytes[start..self.at];
                    if last.is_some_and(|last| last >= key) {
                        return Err(Error::NotCanonical { at: start, rule: "map keys are sorted and unique" });
                    }
                    last = Some(key);
                    self.value(limits, depth - 1)?;
                }
            }
        }
        Ok(())
    }
}

/// Checks that `bytes` are one canonical value within `limits`, and nothing else.
///
/// # Errors
/// The first rule or limit broken, with its position.
pub fn check(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    let end = skip(bytes, limits)?;
    if end == bytes.len() { Ok(()) } else { Err(Error::NotCanonical { at: end, rule: "nothing follows the value" }) }
}

/// Checks the canonical value at the start of `bytes` and returns its length.
///
/// # Errors
/// As [`check`].
pub fn skip(bytes: &[u8], limits: &Limits) -> Result<usize, Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::OverLimit { at: limits.bytes, limit: "bytes" });
    }
    let mut reader = Reader { bytes, at: 0 };
    reader.value(limits, limits.depth)?;
    Ok(reader.at)
}

/// Sorts every map of a well-formed value by its encoded keys.
///
/// # Errors
/// When the value breaks a rule that sorting can't mend.
pub(super) fn sort_maps(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut sorter = Sorter {
        reader: Reader { bytes, at: 0 },
        out: Vec::with_capacity(bytes.len()),
        spans: Vec::new(),
        spare: Vec::new(),
    };
    let sorted = sorter.value(DEPTH_OF_VALUES);
    match sorted {
        Ok(()) if sorter.reader.at == bytes.len() => Ok(sorter.out),
        Ok(()) => Err(Error::Encode("something follows the value".to_owned())),
        Err(err @ Error::Encode(_)) => Err(err),
        Err(err) => Err(Error::Encode(err.to_string())),
    }
}

/// Levels of arrays and maps that are encoded at most.
pub(super) const DEPTH_OF_VALUES: usize = 256;

/// One entry of a map in `Sorter::out`: where it begins, where its key ends, where it ends.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    key_end: usize,
    end: usize,
}

/// Copies a value, checking it, and puts the entries of each map in order once they are copied. Records are encoded and
/// decoded all the time, so one walk does both, and nothing is allocated for a map of its own.
struct Sorter<'a> {
    reader: Reader<'a>,
    out: Vec<u8>,
    /// The entries of the maps that are being copied, those of the innermost last.
    spans: Vec<Span>,
    spare: Vec<u8>,
}

impl Sorter<'_> {
    fn value(&mut self, depth: usize) -> Result<(), Error> {
        let start = self.reader.at;
        let head = self.reader.head()?;
        let within = match head {
            Head::Array(_) | Head::Map(_) => {
                depth.checked_sub(1).ok_or_else(|| Error::Encode("nested too deeply".to_owned()))?
            }
            Head::Plain => depth,
            Head::Bin(n) => {
                self.reader.take(n)?;
                depth
            }
            Head::Str(n) => {
                if std::str::from_utf8(self.reader.take(n)?).is_err() {
                    return Err(Error::NotCanonical { at: start, rule: "text is UTF-8" });
                }
                depth
            }
        };
        self.out.extend_from_slice(&self.reader.bytes[start..self.reader.at]);
        match head {
            Head::Array(n) => (0..n).try_for_each(|_| self.value(within)),
            Head::Map(n) => self.map(n, within),
            _ => Ok(()),
        }
    }

    fn map(&mut self, entries: usize, depth: usize) -> Result<(), Error> {
        let (first, at) = (self.spans.len(), self.out.len());
        let mut in_order = true;
        for _ in 0..entries {
            let start = self.out.len();
            self.value(depth)?;
            let key_end = self.out.len();
            self.value(depth)?;
            let end = self.out.len();
            if self.spans.len() > first
                && let Some(last) = self.spans.last()
            {
                in_order &= self.out[last.start..last.key_end] < self.out[start..key_end];
            }
            self.spans.push(Span { start, key_end, end });
        }
        if !in_order {
            let out = &self.out;
            let key = |span: &Span| &out[span.start..span.key_end];
            self.spans[first..].sort_unstable_by(|a, b| key(a).cmp(key(b)));
            if self.spans[first..].windows(2).any(|pair| key(&pair[0]) == key(&pair[1])) {
                return Err(Error::NotCanonical { at, rule: "map keys are sorted and unique" });
            }
            self.spare.clear();
            for span in &self.spans[first..] {
                self.spare.extend_from_slice(&self.out[span.start..span.end]);
            }
            self.out[at..].copy_from_slice(&self.spare);
        }
        self.spans.truncate(first);
        Ok(())
    }
}

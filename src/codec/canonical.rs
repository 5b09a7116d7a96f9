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

/// Walks through a value. What gives nothing has left the fault in `fault`: every record read goes through here, and an error that is
/// handed up through all levels costs as much as the walk.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    fault: Option<Error>,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, fault: None }
    }

    /// Why the walk ended.
    fn fault(&mut self) -> Error {
        let at = self.at;
        self.fault.take().unwrap_or(Error::CutOff { at })
    }

    #[cold]
    fn fails<T>(&mut self, fault: Error) -> Option<T> {
        self.fault = Some(fault);
        None
    }

    #[cold]
    fn breaks<T>(&mut self, at: usize, rule: &'static str) -> Option<T> {
        self.fails(Error::NotCanonical { at, rule })
    }

    #[inline]
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes;
        match bytes.get(self.at..).and_then(|rest| rest.get(..n)) {
            Some(taken) => {
                self.at += n;
                Some(taken)
            }
            None => self.fails(Error::CutOff { at: self.at }),
        }
    }

    #[inline]
    fn uint(&mut self, n: usize) -> Option<u64> {
        Some(self.take(n)?.iter().fold(0, |sum, &byte| (sum << 8) | u64::from(byte)))
    }

    /// A signed integer of `n` bytes.
    #[inline]
    fn int(&mut self, n: usize) -> Option<i64> {
        let unused = 64 - 8 * n;
        Some((self.uint(n)? << unused).cast_signed() >> unused)
    }

    #[inline]
    fn len(&mut self, n: usize, at: usize, shortest_from: u64) -> Option<usize> {
        let len = self.uint(n)?;
        if len < shortest_from {
            return self.breaks(at, "a length is written in its shortest form");
        }
        usize::try_from(len).ok().or_else(|| self.fails(Error::OverLimit { at, limit: "length" }))
    }

    /// What comes of an integer, if it could not be written in fewer bytes.
    #[inline]
    fn shortest(&mut self, at: usize, is_shortest: bool) -> Option<Head> {
        if is_shortest { Some(Head::Plain) } else { self.breaks(at, "an integer is written in its shortest form") }
    }

    #[inline]
    fn head(&mut self) -> Option<Head> {
        let at = self.at;
        let byte = self.take(1)?[0];
        Some(match byte {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Head::Plain,
            0x80..=0x8f => Head::Map(usize::from(byte & 15)),
            0x90..=0x9f => Head::Array(usize::from(byte & 15)),
            0xa0..=0xbf => Head::Str(usize::from(byte & 31)),
            _ => return self.long_head(byte, at),
        })
    }

    /// As [`Reader::head`], where more bytes than one belong to it.
    fn long_head(&mut self, byte: u8, at: usize) -> Option<Head> {
        Some(match byte {
            0xc4 => Head::Bin(self.len(1, at, 0)?),
            0xc5 => Head::Bin(self.len(2, at, 1 << 8)?),
            0xc6 => Head::Bin(self.len(4, at, 1 << 16)?),
            0xcb => {
                let bits = self.uint(8)?;
                return if f64::from_bits(bits).is_finite() {
                    Some(Head::Plain)
                } else {
                    self.breaks(at, "a float is finite")
                };
            }
            0xcc => {
                let value = self.uint(1)?;
                return self.shortest(at, value >= 1 << 7);
            }
            0xcd => {
                let value = self.uint(2)?;
                return self.shortest(at, value >= 1 << 8);
            }
            0xce => {
                let value = self.uint(4)?;
                return self.shortest(at, value >= 1 << 16);
            }
            0xcf => {
                let value = self.uint(8)?;
                return self.shortest(at, value >= 1 << 32);
            }
            0xd0 => {
                let value = self.int(1)?;
                return self.shortest(at, value < -32);
            }
            0xd1 => {
                let value = self.int(2)?;
                return self.shortest(at, value < i64::from(i8::MIN));
            }
            0xd2 => {
                let value = self.int(4)?;
                return self.shortest(at, value < i64::from(i16::MIN));
            }
            0xd3 => {
                let value = self.int(8)?;
                return self.shortest(at, value < i64::from(i32::MIN));
            }
            0xd9 => Head::Str(self.len(1, at, 32)?),
            0xda => Head::Str(self.len(2, at, 1 << 8)?),
            0xdb => Head::Str(self.len(4, at, 1 << 16)?),
            0xdc => Head::Array(self.len(2, at, 16)?),
            0xdd => Head::Array(self.len(4, at, 1 << 16)?),
            0xde => Head::Map(self.len(2, at, 16)?),
            0xdf => Head::Map(self.len(4, at, 1 << 16)?),
            0xca => return self.breaks(at, "floats have 64 bits"),
            _ => return self.breaks(at, "there are no extension types"),
        })
    }

    /// Bytes that have to be a text.
    #[inline]
    fn text(&mut self, at: usize, len: usize) -> Option<()> {
        let text = self.take(len)?;
        // Most are names.
        if text.is_ascii() || std::str::from_utf8(text).is_ok() { Some(()) } else { self.breaks(at, "text is UTF-8") }
    }

    fn value(&mut self, limits: &Limits, depth: usize) -> Option<()> {
        let at = self.at;
        match self.head()? {
            Head::Plain => Some(()),
            Head::Str(n) => self.text(at, n),
            Head::Bin(n) => self.take(n).map(drop),
            Head::Array(n) => {
                self.counted(limits, depth, at, n)?;
                (0..n).try_for_each(|_| self.value(limits, depth - 1))
            }
            Head::Map(n) => {
                self.counted(limits, depth, at, n.saturating_mul(2))?;
                let mut last: &[u8] = &[];
                for _ in 0..n {
                    let start = self.at;
                    self.value(limits, depth - 1)?;
                    let key = &self.bytes[start..self.at];
                    // A key has a byte at least, so the first one is greater than nothing.
                    if last >= key {
                        return self.breaks(start, "map keys are sorted and unique");
                    }
                    last = key;
                    self.value(limits, depth - 1)?;
                }
                Some(())
            }
        }
    }

    /// Whether so many values may follow.
    #[inline]
    fn counted(&mut self, limits: &Limits, depth: usize, at: usize, count: usize) -> Option<()> {
        if depth == 0 {
            return self.fails(Error::OverLimit { at, limit: "depth" });
        }
        if count > limits.entries.saturating_mul(2) {
            return self.fails(Error::OverLimit { at, limit: "entries" });
        }
        // Every entry takes at least a byte: a lie about the count is found before anything is done for it.
        if count > self.bytes.len() - self.at {
            return self.fails(Error::CutOff { at: self.bytes.len() });
        }
        Some(())
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
    let mut reader = Reader::new(bytes);
    match reader.value(limits, limits.depth) {
        Some(()) => Ok(reader.at),
        None => Err(reader.fault()),
    }
}

/// Sorts every map of a well-formed value by its encoded keys.
///
/// # Errors
/// When the value breaks a rule that sorting can't mend.
pub(super) fn sort_maps(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut sorter = Sorter {
        reader: Reader::new(bytes),
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
        let head = self.reader.head().ok_or_else(|| self.reader.fault())?;
        let within = match head {
            Head::Array(_) | Head::Map(_) => {
                depth.checked_sub(1).ok_or_else(|| Error::Encode("nested too deeply".to_owned()))?
            }
            Head::Plain => depth,
            Head::Bin(n) => {
                self.reader.take(n).ok_or_else(|| self.reader.fault())?;
                depth
            }
            Head::Str(n) => {
                self.reader.text(start, n).ok_or_else(|| self.reader.fault())?;
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

//! Reading canonical bytes piece by piece, for the few records that are read all the time.

/// A position in canonical MessagePack.
///
/// Every method takes the next value if it has the wanted type and is written as the canonical form demands, and says
/// `None` otherwise; then the position means nothing any more. Whoever reads a whole record so, with its keys in their
/// order and nothing left at the end, has checked what [`decode`](super::decode) checks.
#[derive(Debug, Clone, Copy)]
pub struct Strict<'a> {
    rest: &'a [u8],
}

impl<'a> Strict<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An unsigned integer.
    #[inline]
    pub fn uint(&mut self) -> Option<u64> {
        let (value, least) = match self.byte()? {
            byte @ 0x00..=0x7f => return Some(byte.into()),
            0xcc => (self.big_endian(1)?, 1 << 7),
            0xcd => (self.big_endian(2)?, 1 << 8),
            0xce => (self.big_endian(4)?, 1 << 16),
            0xcf => (self.big_endian(8)?, 1 << 32),
            _ => return None,
        };
        (value >= least).then_some(value)
    }

    /// A text.
    #[inline]
    pub fn str(&mut self) -> Option<&'a str> {
        let len = match self.byte()? {
            byte @ 0xa0..=0xbf => usize::from(byte & 31),
            0xd9 => self.len(1, 32)?,
            0xda => self.len(2, 1 << 8)?,
            0xdb => self.len(4, 1 << 16)?,
            _ => return None,
        };
        std::str::from_utf8(self.take(len)?).ok()
    }

    /// A string of bytes.
    #[inline]
    pub fn bin(&mut self) -> Option<&'a [u8]> {
        let len = match self.byte()? {
            0xc4 => self.len(1, 0)?,
            0xc5 => self.len(2, 1 << 8)?,
            0xc6 => self.len(4, 1 << 16)?,
            _ => return None,
        };
        self.take(len)
    }

    /// The head of an array: how many values follow that belong to it. Never more than bytes are left.
    #[inline]
    pub fn array(&mut self) -> Option<usize> {
        let len = match self.byte()? {
            byte @ 0x90..=0x9f => usize::from(byte & 15),
            0xdc => self.len(2, 16)?,
            0xdd => self.len(4, 1 << 16)?,
            _ => return None,
        };
        (len <= self.rest.len()).then_some(len)
    }

    /// The head of a map of at most 65,535 entries: how many pairs follow. That its keys are in order is for the caller to see.
    #[inline]
    pub fn map(&mut self) -> Option<usize> {
        match self.byte()? {
            byte @ 0x80..=0x8f => Some(usize::from(byte & 15)),
            0xde => self.len(2, 16),
            _ => None,
        }
    }

    /// Nothing, if that is what comes; without a nil the position stays.
    #[inline]
    pub fn nil(&mut self) -> bool {
        let is_nil = self.rest.first() == Some(&0xc0);
        if is_nil {
            self.rest = &self.rest[1..];
        }
        is_nil
    }

    /// The first byte of what comes next; the position stays.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline]
    fn big_endian(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |sum, &byte| (sum << 8) | u64::from(byte)))
    }

    #[inline]
    fn len(&mut self, width: usize, least: u64) -> Option<usize> {
        let len = self.big_endian(width)?;
        if len >= least { usize::try_from(len).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Limits, Value, check, decode, encode};
    use super::*;

    /// Walks over one value of any type that is read here.
    fn walk(at: &mut Strict<'_>) -> Option<()> {
        match at.peek()? {
            0xc0 => at.nil().then_some(()),
            0x00..=0x7f | 0xcc..=0xcf => at.uint().map(drop),
            0xa0..=0xbf | 0xd9..=0xdb => at.str().map(drop),
            0xc4..=0xc6 => at.bin().map(drop),
            0x90..=0x9f | 0xdc | 0xdd => (0..at.array()?).try_for_each(|_| walk(at)),
            _ => None,
        }
    }

    fn shown_as<T: serde::Serialize>(value: &T) -> Value {
        decode(&encode(value).unwrap(), &Limits::RECORD).unwrap()
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u64>().prop_map(|n| shown_as(&n)),
            ".{0,300}".prop_map(|text| shown_as(&text)),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| shown_as(&bstr::BString::from(bytes))),
        ];
        leaf.prop_recursive(3, 64, 20, |inner| {
            proptest::collection::vec(inner, 0..20).prop_map(|items| shown_as(&items))
        })
    }

    proptest! {
        #[test]
        fn what_is_canonical_is_read(value in value()) {
            let bytes = encode(&value).unwrap();
            let mut at = Strict::new(&bytes);
            prop_assert_eq!(walk(&mut at), Some(()));
            prop_assert!(at.is_at_end());
        }

        #[test]
        fn what_is_not_canonical_is_not_read(value in value(), at: prop::sample::Index, by: u8, cut: bool) {
            let mut bytes = encode(&value).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = by }
            let mut walked = Strict::new(&bytes);
            if walk(&mut walked).is_some() && walked.is_at_end() {
                prop_assert_eq!(check(&bytes, &Limits::RECORD), Ok(()));
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_only_if_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut walked = Strict::new(&bytes);
            if walk(&mut walked).is_some() && walked.is_at_end() {
                prop_assert_eq!(check(&bytes, &Limits::RECORD), Ok(()));
            }
        }
    }
}

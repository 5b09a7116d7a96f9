//! A place in a block that only goes forward. Lookups go no further than what they look for, and hold nothing but one key.

use std::ops::Range;
use std::sync::Arc;

use super::block::{KEY_MAX, rises};
use super::page::Page;
use super::varint;

/// A place in a block: before its first record, on a record, or behind the last one.
#[derive(Debug)]
pub(super) struct Walker {
    page: Arc<Page>,
    /// Where the next record begins.
    next: usize,
    /// The key of the record here, or of the last one.
    key: Vec<u8>,
    value: Range<usize>,
    is_there: bool,
    has_begun: bool,
    /// Whether nothing was looked for yet.
    is_fresh: bool,
}

/// The next record: what its key shares with the one here, and where the rest of it and its value lie.
struct Head {
    shared: usize,
    own: Range<usize>,
    value: Range<usize>,
}

impl Walker {
    /// Before the first record of a page.
    pub(super) fn new(page: Arc<Page>) -> Self {
        Self {
            next: page.from(),
            page,
            key: Vec::new(),
            value: 0..0,
            is_there: false,
            has_begun: false,
            is_fresh: true,
        }
    }

    /// The record here.
    pub(super) fn record(&self) -> Option<(&[u8], &[u8])> {
        self.is_there.then(|| (self.key.as_slice(), &self.page.bytes()[self.value.clone()]))
    }

    /// The key of the record here, and where its value lies in the page.
    pub(super) fn place(&self) -> Option<(&[u8], Range<usize>)> {
        self.is_there.then(|| (self.key.as_slice(), self.value.clone()))
    }

    /// Reads what the next record begins with; `None` behind the last one.
    fn head(&self) -> Result<Option<Head>, &'static str> {
        let cut_off = "a record is cut off";
        let bytes = self.page.bytes();
        let mut rest = bytes.get(self.next..).ok_or(cut_off)?;
        if rest.is_empty() {
            return Ok(None);
        }
        let len = bytes.len();
        let shared = varint::take_len(&mut rest).ok_or(cut_off)?;
        let fresh = varint::take_len(&mut rest).ok_or(cut_off)?;
        if shared > self.key.len() || fresh > rest.len() {
            return Err("a key is longer than its block");
        }
        if shared + fresh > KEY_MAX {
            return Err("its keys are too long");
        }
        let own = len - rest.len()..len - rest.len() + fresh;
        if self.has_begun {
            rises(&self.key[shared..], &bytes[own.clone()])?;
        }
        rest = &rest[fresh..];
        let value = varint::take_len(&mut rest).ok_or(cut_off)?;
        if value > rest.len() {
            return Err(cut_off);
        }
        let start = len - rest.len();
        Ok(Some(Head { shared, own, value: start..start + value }))
    }

    fn go(&mut self, head: Head) {
        self.key.truncate(head.shared);
        self.key.extend_from_slice(&self.page.bytes()[head.own]);
        self.next = head.value.end;
        self.value = head.value;
        (self.is_there, self.has_begun) = (true, true);
    }

    /// Goes to the next record; `false` if there is none.
    pub(super) fn step(&mut self) -> Result<bool, &'static str> {
        match self.head()? {
            Some(head) => self.go(head),
            None => self.is_there = false,
        }
        Ok(self.is_there)
    }

    /// Goes on to the last record whose key is not above `key`. Stays where it is if the next one is above it.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<(), &'static str> {
        let common = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        if self.has_begun && self.key.as_slice() >= key {
            return Ok(());
        }
        // What lies between was walked through when the place was remembered. What is looked for afterwards is near.
        if std::mem::take(&mut self.is_fresh)
            && let Some(mark) = self.page.near(key)
            && mark.value.end > self.next
        {
            self.key.clear();
            self.key.extend_from_slice(&mark.key);
            self.value = mark.value.clone();
            self.next = self.value.end;
            (self.is_there, self.has_begun) = (true, true);
        }
        let mut equal = common(&self.key, key);
        while let Some(head) = self.head()? {
            // One that shares more with the last key than that one does with `key` is on the same side of it; one that shares less has
            // passed it.
            if self.has_begun && head.shared < equal {
                break;
            }
            if !self.has_begun || head.shared == equal {
                let (own, wanted) = (&self.page.bytes()[head.own.clone()], &key[head.shared..]);
                if own > wanted {
                    break;
                }
                equal = head.shared + common(own, wanted);
            }
            self.go(head);
        }
        Ok(())
    }

    /// Goes on to the first record whose key is not below `key`; `false` if there is none.
    pub(super) fn seek_from(&mut self, key: &[u8]) -> Result<bool, &'static str> {
        self.seek(key)?;
        if self.is_there && self.key.as_slice() >= key { Ok(true) } else { self.step() }
    }
}

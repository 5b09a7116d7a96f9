//! A block of records: keys in strict order, each written as what differs from the one before.

use std::sync::Arc;

use super::page::Page;
use super::varint;

/// Bytes of one key at most.
pub(in crate::store) const KEY_MAX: usize = 16 << 10;

/// Bytes of all keys of one block at most once written out, so that a hostile block can't grow without bound.
pub(super) const KEYS_MAX: usize = 1 << 20;

/// Writes records into a block.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    pub(super) bytes: Vec<u8>,
    pub(super) first: Option<Vec<u8>>,
    last: Vec<u8>,
    keys: usize,
}

impl BlockBuilder {
    /// Whether there has to be a new block before this record, if a block has `limit` bytes at most.
    pub(super) fn is_full(&self, limit: usize, key: &[u8], value: &[u8]) -> bool {
        let len = self.bytes.len() + key.len() + value.len() + 12;
        self.first.is_some() && (len > limit || self.keys + key.len() > KEYS_MAX)
    }

    /// Appends a record; `key` must be greater than the one before.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        let shared = if self.first.is_none() {
            self.first = Some(key.to_vec());
            0
        } else {
            self.last.iter().zip(key).take_while(|(a, b)| a == b).count()
        };
        varint::put(&mut self.bytes, shared as u64);
        varint::put(&mut self.bytes, (key.len() - shared) as u64);
        self.bytes.extend_from_slice(&key[shared..]);
        varint::put(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self.keys += key.len();
        self.last.clear();
        self.last.extend_from_slice(key);
    }
}

/// Checks that a key is above the one before it, by what of the two follows on what they are said to share: the rest of the one before, and
/// the key's own bytes. They must share no more than that: searches go by it.
pub(super) fn rises(before: &[u8], own: &[u8]) -> Result<(), &'static str> {
    match (before.first(), own.first()) {
        (None, Some(_)) => Ok(()),
        (Some(before), Some(own)) if own > before => Ok(()),
        (Some(before), Some(own)) if own == before => Err("a key shares more with the one before than it says"),
        _ => Err("its keys are out of order"),
    }
}

/// A block taken apart, for walks backward and from end to end.
#[derive(Debug)]
pub(in crate::store) struct Block {
    page: Arc<Page>,
    keys: Vec<u8>,
    rows: Vec<Row>,
}

/// Where a record's key and value lie.
#[derive(Debug, Clone, Copy)]
struct Row {
    key: (u32, u32),
    value: (u32, u32),
}

/// A position in a block. No block is anywhere near as long.
fn short(at: usize) -> Result<u32, &'static str> {
    u32::try_from(at).map_err(|_| "it is too long")
}

fn range((start, end): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..end as usize
}

impl Block {
    /// Takes a page apart; every rule of the format is checked.
    pub(super) fn parse(page: Arc<Page>) -> Result<Self, &'static str> {
        let bytes = page.bytes();
        let mut rest = bytes.get(page.from()..).ok_or("it is cut off")?;
        // About what a block of refs holds.
        let mut keys: Vec<u8> = Vec::with_capacity(rest.len());
        let mut rows: Vec<Row> = Vec::with_capacity(rest.len() / 48 + 4);
        let mut last = (0usize, 0usize);
        while !rest.is_empty() {
            let cut_off = "a record is cut off";
            let shared = varint::take_len(&mut rest).ok_or(cut_off)?;
            let fresh = varint::take_len(&mut rest).ok_or(cut_off)?;
            if shared > last.1 - last.0 || fresh > rest.len() {
                return Err("a key is longer than its block");
            }
            if shared + fresh > KEY_MAX || keys.len() + shared + fresh > KEYS_MAX.max(KEY_MAX) {
                return Err("its keys are too long");
            }
            let (own, after) = rest.split_at(fresh);
            if !rows.is_empty() {
                rises(&keys[last.0 + shared..last.1], own)?;
            }
            let key = (keys.len(), keys.len() + shared + fresh);
            keys.extend_from_within(last.0..last.0 + shared);
            keys.extend_from_slice(own);
            rest = after;
            let len = varint::take_len(&mut rest).ok_or(cut_off)?;
            if len > rest.len() {
                return Err(cut_off);
            }
            let start = bytes.len() - rest.len();
            rows.push(Row { key: (short(key.0)?, short(key.1)?), value: (short(start)?, short(start + len)?) });
            rest = &rest[len..];
            last = key;
        }
        Ok(Self { page, keys, rows })
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(in crate::store) fn key(&self, at: usize) -> &[u8] {
        &self.keys[range(self.rows[at].key)]
    }

    pub(in crate::store) fn value(&self, at: usize) -> &[u8] {
        &self.page.bytes()[range(self.rows[at].value)]
    }

    /// How many keys are less than `key`.
    pub(super) fn before(&self, key: &[u8]) -> usize {
        self.rows.partition_point(|row| &self.keys[range(row.key)] < key)
    }
}

//! The bytes of a block in memory, and, once it is asked often, places in it from which a search may begin.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::block::KEYS_MAX;
use super::walker::Walker;

/// Searches in a block after which places in it are remembered. One command asks a block a few times; a pipeline, for every task.
const OFTEN: u32 = 16;

/// A record in so many is remembered: a search goes through that many at most.
const STRIDE: usize = 8;

/// The bytes of a block.
#[derive(Debug)]
pub(in crate::store) struct Page {
    bytes: Vec<u8>,
    /// Where its first record begins.
    from: usize,
    asked: AtomicU32,
    marks: OnceLock<Vec<Mark>>,
}

/// A record of a page: its key, where its value lies, and so where the next one begins.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) key: Box<[u8]>,
    pub(super) value: Range<usize>,
}

impl Page {
    /// A block whose records begin at `from`.
    pub(super) fn new(bytes: Vec<u8>, from: usize) -> Self {
        Self { bytes, from, asked: AtomicU32::new(0), marks: OnceLock::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of all keys that are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.marks.get().map_or(0, |marks| marks.iter().map(|mark| mark.key.len()).sum())
    }

    pub(super) fn from(&self) -> usize {
        self.from
    }

    /// The last record that is remembered whose key is not above `key`; `None` unless the page was asked often, or if there is none.
    pub(super) fn near(self: &Arc<Self>, key: &[u8]) -> Option<&Mark> {
        if self.asked.load(Ordering::Relaxed) < OFTEN && self.asked.fetch_add(1, Ordering::Relaxed) < OFTEN {
            return None;
        }
        let marks = self.marks.get_or_init(|| marks(self));
        let above = marks.partition_point(|mark| *mark.key <= *key);
        marks.get(above.checked_sub(1)?)
    }
}

/// Walks through the whole page, by all rules. Of one that breaks a rule nothing is remembered, so that whoever searches finds it as before; nor of
/// one whose keys, written out, are longer than those of any block that prov writes.
fn marks(page: &Arc<Page>) -> Vec<Mark> {
    let (mut marks, mut keys) = (Vec::new(), 0);
    let mut walker = Walker::new(Arc::clone(page));
    for at in 0.. {
        match walker.step() {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => return Vec::new(),
        }
        if at % STRIDE == 0
            && let Some((key, value)) = walker.place()
        {
            keys += key.len();
            if keys > KEYS_MAX {
                return Vec::new();
            }
            marks.push(Mark { key: key.into(), value });
        }
    }
    marks
}

//! Walking through the records of a sorted file, either way.

use std::sync::Arc;

use super::block::Block;
use super::file::{Broken, SortedFile};

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From small keys to large ones.
    Forward,
    /// From large keys to small ones.
    Backward,
}

/// A position in a sorted file.
#[derive(Debug)]
pub(in crate::store) struct Cursor {
    file: Arc<SortedFile>,
    /// From the root down to the block of records, with the position in each; empty at the end.
    stack: Vec<(Arc<Block>, usize)>,
    direction: Direction,
}

impl Cursor {
    /// At the first record with a key not below `key`, walking forward.
    pub(in crate::store) fn forward(file: &Arc<SortedFile>, key: &[u8]) -> Result<Self, Broken> {
        let mut cursor = Self { file: Arc::clone(file), stack: Vec::new(), direction: Direction::Forward };
        let mut block = file.root();
        for _ in 0..file.levels() {
            let below = block.before(key);
            let at = if below < block.len() && block.key(below) == key { below } else { below.saturating_sub(1) };
            if block.len() == 0 {
                return Ok(cursor);
            }
            let child = file.child(&block, at)?;
            cursor.stack.push((block, at));
            block = child;
        }
        let at = block.before(key);
        let past = at >= block.len();
        cursor.stack.push((block, at));
        if past {
            cursor.climb()?;
        }
        Ok(cursor)
    }

    /// At the last record with a key below `bound` (at the very last without one), walking backward.
    pub(in crate::store) fn backward(file: &Arc<SortedFile>, bound: Option<&[u8]>) -> Result<Self, Broken> {
        let mut cursor = Self { file: Arc::clone(file), stack: Vec::new(), direction: Direction::Backward };
        let mut block = file.root();
        let last = |block: &Block| bound.map_or(block.len(), |bound| block.before(bound)).checked_sub(1);
        for _ in 0..file.levels() {
            let Some(at) = last(&block) else {
                cursor.stack.clear();
                return Ok(cursor);
            };
            let child = file.child(&block, at)?;
            cursor.stack.push((block, at));
            block = child;
        }
        match last(&block) {
            Some(at) => cursor.stack.push((block, at)),
            None => cursor.stack.clear(),
        }
        Ok(cursor)
    }

    /// The record here; `None` at the end.
    pub(in crate::store) fn record(&self) -> Option<(&[u8], &[u8])> {
        self.stack.last().map(|(block, at)| (block.key(*at), block.value(*at)))
    }

    /// Goes to the next record.
    pub(in crate::store) fn advance(&mut self) -> Result<(), Broken> {
        let Some((block, at)) = self.stack.last_mut() else { return Ok(()) };
        match self.direction {
            Direction::Forward if *at + 1 < block.len() => {
                *at += 1;
                Ok(())
            }
            Direction::Backward if *at > 0 => {
                *at -= 1;
                Ok(())
            }
            _ => self.climb(),
        }
    }

    /// Leaves the block of records for the one beside it.
    fn climb(&mut self) -> Result<(), Broken> {
        let depth = self.stack.len();
        self.stack.pop();
        while let Some((block, at)) = self.stack.last_mut() {
            let next = match self.direction {
                Direction::Forward => (*at + 1 < block.len()).then(|| *at + 1),
                Direction::Backward => at.checked_sub(1),
            };
            match next {
                None => {
                    self.stack.pop();
                }
                Some(next) => {
                    *at = next;
                    return self.descend(depth);
                }
            }
        }
        Ok(())
    }

    fn descend(&mut self, depth: usize) -> Result<(), Broken> {
        while self.stack.len() < depth {
            let Some((block, at)) = self.stack.last() else { return Ok(()) };
            let child = self.file.child(block, *at)?;
            let at = match self.direction {
                Direction::Forward => 0,
                Direction::Backward => child.len() - 1,
            };
            self.stack.push((child, at));
        }
        Ok(())
    }
}

//! Walking through the records of a sorted file, either way.

use std::sync::Arc;

use super::block::Block;
use super::file::{Broken, SortedFile};
use super::walker::Walker;

/// Blocks that are gone through one after the other before the way is looked up from the root.
const NEAR: usize = 8;

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
    path: Path,
}

/// From the root down to the block of records, with the place in each; empty at the end.
#[derive(Debug)]
enum Path {
    Forward(Vec<Walker>),
    Backward(Vec<(Arc<Block>, usize)>),
}

impl Cursor {
    /// At the first record with a key not below `key`, walking forward.
    pub(in crate::store) fn forward(file: &Arc<SortedFile>, key: &[u8]) -> Result<Self, Broken> {
        let levels = usize::from(file.levels());
        let mut path = Vec::with_capacity(levels + 1);
        let mut walker = file.walker();
        while path.len() < levels {
            walker.seek(key)?;
            if walker.record().is_none() {
                walker.step()?;
            }
            let Some((first, pointer)) = walker.record() else { break };
            let child = file.below(first, pointer, path.len() + 1 == levels)?;
            path.push(walker);
            walker = child;
        }
        let is_there = walker.seek_from(key)?;
        path.push(walker);
        let mut cursor = Self { file: Arc::clone(file), path: Path::Forward(path) };
        if !is_there {
            cursor.climb()?;
        }
        Ok(cursor)
    }

    /// At the last record with a key below `bound` (at the very last without one), walking backward.
    pub(in crate::store) fn backward(file: &Arc<SortedFile>, bound: Option<&[u8]>) -> Result<Self, Broken> {
        let mut path = Vec::new();
        let mut block = file.root()?;
        let last = |block: &Block| bound.map_or(block.len(), |bound| block.before(bound)).checked_sub(1);
        for level in (0..file.levels()).rev() {
            let Some(at) = last(&block) else {
                return Ok(Self { file: Arc::clone(file), path: Path::Backward(Vec::new()) });
            };
            let child = file.child(&block, at, level == 0)?;
            path.push((block, at));
            block = child;
        }
        match last(&block) {
            Some(at) => path.push((block, at)),
            None => path.clear(),
        }
        Ok(Self { file: Arc::clone(file), path: Path::Backward(path) })
    }

    /// The file that it walks through.
    pub(in crate::store) fn file(&self) -> &Arc<SortedFile> {
        &self.file
    }

    /// The record here; `None` at the end.
    pub(in crate::store) fn record(&self) -> Option<(&[u8], &[u8])> {
        match &self.path {
            Path::Forward(path) => path.last()?.record(),
            Path::Backward(path) => path.last().map(|(block, at)| (block.key(*at), block.value(*at))),
        }
    }

    /// Goes to the next record.
    pub(in crate::store) fn advance(&mut self) -> Result<(), Broken> {
        let has_moved = match &mut self.path {
            Path::Forward(path) => match path.last_mut() {
                Some(walker) => walker.step()?,
                None => return Ok(()),
            },
            Path::Backward(path) => match path.last_mut() {
                Some((_, at)) if *at > 0 => {
                    *at -= 1;
                    true
                }
                Some(_) => false,
                None => return Ok(()),
            },
        };
        if has_moved { Ok(()) } else { self.climb() }
    }

    /// Goes on to the first record with a key not below `key`, which is no smaller than the last one asked for; walking forward.
    pub(in crate::store) fn skip_to(&mut self, key: &[u8]) -> Result<(), Broken> {
        for _ in 0..NEAR {
            let Path::Forward(path) = &mut self.path else { return Ok(()) };
            let Some(walker) = path.last_mut() else { return Ok(()) };
            if walker.seek_from(key)? {
                return Ok(());
            }
            self.climb()?;
        }
        if self.record().is_some_and(|(here, _)| here < key) {
            *self = Self::forward(&self.file, key)?;
        }
        Ok(())
    }

    /// Leaves the block of records for the one beside it.
    fn climb(&mut self) -> Result<(), Broken> {
        let file = &self.file;
        match &mut self.path {
            Path::Forward(path) => {
                let depth = path.len();
                path.pop();
                while let Some(walker) = path.last_mut() {
                    if !walker.step()? {
                        path.pop();
                        continue;
                    }
                    while path.len() < depth {
                        let Some((first, pointer)) = path.last().and_then(Walker::record) else { break };
                        let child = file.below(first, pointer, path.len() + 1 == depth)?;
                        path.push(child);
                    }
                    break;
                }
            }
            Path::Backward(path) => {
                let depth = path.len();
                path.pop();
                while let Some((_, at)) = path.last_mut() {
                    if *at == 0 {
                        path.pop();
                        continue;
                    }
                    *at -= 1;
                    while path.len() < depth {
                        let Some((block, at)) = path.last() else { break };
                        let child = file.child(block, *at, path.len() + 1 == depth)?;
                        let at = child.len() - 1;
                        path.push((child, at));
                    }
                    break;
                }
            }
        }
        Ok(())
    }
}

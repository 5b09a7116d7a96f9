//! Refs of a snapshot: single ones, and walks through a range of keys.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::backend::Folder;
use super::early::Early;
use super::error::Error;
use super::snapshot::{File, Snapshot};
use super::sorted::{Broken, Cursor, Direction, SortedFile};
use crate::hash::Id;

/// A value in a table: the flag that says whether the ref is there, then its value.
pub(super) fn decode_value(value: &[u8]) -> Result<Option<&[u8]>, Broken> {
    match value.split_first() {
        Some((1, rest)) => Ok(Some(rest)),
        Some((0, [])) => Ok(None),
        _ => Err("a ref in it is malformed".to_owned()),
    }
}

/// The inverse of [`decode_value`].
pub(super) fn encode_value(value: Option<&[u8]>) -> Vec<u8> {
    match value {
        None => vec![0],
        Some(value) => {
            let mut out = Vec::with_capacity(value.len() + 1);
            out.push(1);
            out.extend_from_slice(value);
            out
        }
    }
}

/// The smallest key that is greater than all that begin with `prefix`; `None` if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// The key right after `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

impl Snapshot {
    /// The value of a ref; `None` if it is not there.
    ///
    /// # Errors
    /// When the store can't be read. A damaged table is passed over and told of by [`Snapshot::damage`].
    pub fn get_ref(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if let Some((_, value)) = self.overlay().get(key) {
            return Ok(value.map(<[u8]>::to_vec));
        }
        let tables = &self.inner.state.tables;
        let mut early = Early::new(self, Folder::Tables, tables.len());
        for (at, row) in tables.iter().enumerate() {
            early.before(at, &|at| tables[at].name(), &|file| drop(file.get(key)));
            match self.file(Folder::Tables, &row.name())? {
                File::Here(file) => match file.get(key) {
                    Ok(None) => {}
                    Ok(Some(value)) => match decode_value(&value) {
                        Ok(value) => return Ok(value.map(<[u8]>::to_vec)),
                        Err(what) => self.note(Folder::Tables, &row.name(), what),
                    },
                    Err(what) => self.note(Folder::Tables, &row.name(), what),
                },
                File::Lost => {}
                File::Moved(newer) => return newer.get_ref(key),
            }
        }
        Ok(None)
    }

    /// The values of many refs, `keys` being sorted: each table is gone through once, as far as they lie close together.
    ///
    /// # Errors
    /// As [`Snapshot::get_ref`].
    pub fn get_refs(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut values: Vec<Option<Vec<u8>>> = vec![None; keys.len()];
        let mut wanted: Vec<usize> = Vec::new();
        let overlay = self.overlay();
        for (at, key) in keys.iter().enumerate() {
            match overlay.get(key) {
                Some((_, value)) => values[at] = value.map(<[u8]>::to_vec),
                None => wanted.push(at),
            }
        }
        let tables = &self.inner.state.tables;
        let mut early = Early::new(self, Folder::Tables, tables.len());
        for (at, row) in tables.iter().enumerate() {
            let Some(&first) = wanted.first() else { break };
            early.before(at, &|at| tables[at].name(), &|file| drop(file.get(keys[first])));
            let file = match self.file(Folder::Tables, &row.name())? {
                File::Here(file) => file,
                File::Lost => continue,
                File::Moved(newer) => return newer.get_refs(keys),
            };
            let mut found: Vec<usize> = Vec::new();
            let mut walk = || -> Result<(), Broken> {
                let mut cursor = Cursor::forward(&file, keys[first])?;
                for &at in &wanted {
                    cursor.skip_to(keys[at])?;
                    let Some((key, value)) = cursor.record() else { break };
                    if key == keys[at] {
                        values[at] = decode_value(value)?.map(<[u8]>::to_vec);
                        found.push(at);
                    }
                }
                Ok(())
            };
            if let Err(what) = walk() {
                self.note(Folder::Tables, &row.name(), what);
            }
            let mut found = found.into_iter().peekable();
            wanted.retain(|at| found.next_if_eq(at).is_none());
        }
        Ok(values)
    }

    /// All refs whose keys begin with `prefix`, in the order of their keys.
    pub fn scan(&self, prefix: &[u8], direction: Direction) -> Scan {
        self.scan_from(prefix, Bound::Unbounded, direction)
    }

    /// As [`Snapshot::scan`], but forward from `start` on, or backward from `start` down.
    pub fn scan_from(&self, prefix: &[u8], start: Bound<&[u8]>, direction: Direction) -> Scan {
        let mut lower = prefix.to_vec();
        let mut upper = after_prefix(prefix);
        let bound = match (direction, start) {
            (_, Bound::Unbounded) => None,
            (Direction::Forward, Bound::Included(key)) | (Direction::Backward, Bound::Excluded(key)) => {
                Some(key.to_vec())
            }
            (Direction::Forward, Bound::Excluded(key)) | (Direction::Backward, Bound::Included(key)) => {
                Some(successor(key))
            }
        };
        if let Some(bound) = bound {
            match direction {
                Direction::Forward => lower = lower.max(bound),
                Direction::Backward => upper = Some(upper.map_or(bound.clone(), |upper| upper.min(bound))),
            }
        }
        Scan { snapshot: self.clone(), lower, upper, direction, feeds: Vec::new(), begun: false, known: None }
    }

    /// As [`Snapshot::scan`], forward, of the refs that are not in the tables named `known`: whoever has read those knows
    /// what is in them. For refs that are only ever added; of others, one that was deleted since is not told.
    pub fn scan_beside(&self, prefix: &[u8], known: Arc<BTreeSet<Id>>) -> Scan {
        Scan { known: Some(known), ..self.scan(prefix, Direction::Forward) }
    }

    /// Which of these prefixes any ref begins with. They ascend, and none begins another. One walk for all of them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn which_begin(&self, prefixes: &[Vec<u8>]) -> Result<Vec<bool>, Error> {
        let mut found = vec![false; prefixes.len()];
        let (Some(first), Some(last)) = (prefixes.first(), prefixes.last()) else { return Ok(found) };
        let mut scan = self.scan(first, Direction::Forward);
        scan.upper = after_prefix(last);
        let mut ahead: Option<Vec<u8>> = None;
        for (prefix, found) in prefixes.iter().zip(&mut found) {
            if ahead.as_ref().is_none_or(|key| key < prefix) {
                scan.pass_over(prefix);
                let Some(item) = scan.next().transpose()? else { break };
                ahead = Some(item.0);
            }
            *found = ahead.as_ref().is_some_and(|key| key.starts_with(prefix));
        }
        Ok(found)
    }

    /// The names of the tables of its refs.
    pub fn table_names(&self) -> BTreeSet<Id> {
        self.inner.state.tables.iter().map(super::entry::FileRow::name).collect()
    }

    /// The operation that the newest entry it knows is of; `None` where that entry can't be read.
    pub fn tip_op(&self) -> Option<super::OpId> {
        let log = &self.inner.log;
        let newest = log.entries.last().or(log.fold.as_ref())?;
        (newest.number == log.tip).then_some(newest.entry.op)
    }
}

/// A walk through refs; reads a block of a table only when it gets there.
#[derive(Debug)]
pub struct Scan {
    snapshot: Snapshot,
    /// The smallest key that is still wanted.
    lower: Vec<u8>,
    /// The smallest key that is not wanted any more.
    upper: Option<Vec<u8>>,
    direction: Direction,
    /// One for the entries since the checkpoint, then one for each table, newest first.
    feeds: Vec<Feed>,
    begun: bool,
    /// Tables that are passed over.
    known: Option<Arc<BTreeSet<Id>>>,
}

#[derive(Debug)]
struct Feed {
    source: Source,
    /// The next key this source has, with its value or its absence.
    next: Option<(Vec<u8>, Option<Vec<u8>>)>,
}

#[derive(Debug)]
enum Source {
    Overlay,
    Table(Id, Cursor),
}

impl Scan {
    /// Opens all sources at the start of the range.
    fn begin(&mut self) -> Result<(), Error> {
        self.begun = true;
        'again: loop {
            self.feeds.clear();
            let mut overlay = Feed { source: Source::Overlay, next: None };
            self.refill(&mut overlay);
            self.feeds.push(overlay);
            let snapshot = self.snapshot.clone();
            let tables = snapshot.inner.state.tables.iter().map(super::entry::FileRow::name);
            let is_known = |name: &Id| self.known.as_ref().is_some_and(|known| known.contains(name));
            let tables: Vec<Id> = tables.filter(|name| !is_known(name)).collect();
            let mut early = Early::new(&snapshot, Folder::Tables, tables.len());
            for (at, &name) in tables.iter().enumerate() {
                early.before(at, &|at| tables[at], &|file| drop(self.reach(file)));
                let file = match self.snapshot.file(Folder::Tables, &name)? {
                    File::Here(file) => file,
                    File::Lost => continue,
                    File::Moved(newer) => {
                        self.snapshot = newer;
                        continue 'again;
                    }
                };
                match self.reach(&file) {
                    Ok(None) => {}
                    Ok(Some(cursor)) => {
                        let mut feed = Feed { source: Source::Table(name, cursor), next: None };
                        self.refill(&mut feed);
                        self.feeds.push(feed);
                    }
                    Err(what) => self.snapshot.note(Folder::Tables, &name, what),
                }
            }
            return Ok(());
        }
    }

    /// Where the range begins in a table; `None` if nothing of it can be there.
    fn reach(&self, file: &Arc<SortedFile>) -> Result<Option<Cursor>, Broken> {
        // Most questions about what is said of an object end here.
        if let Some(upper) = self.upper.as_deref()
            && file.begins_at_or_after(upper)?
        {
            return Ok(None);
        }
        match self.direction {
            Direction::Forward => Cursor::forward(file, &self.lower),
            Direction::Backward => Cursor::backward(file, self.upper.as_deref()),
        }
        .map(Some)
    }

    /// Goes on at `lower`, walking forward, if that lies ahead.
    fn pass_over(&mut self, lower: &[u8]) {
        if lower <= self.lower.as_slice() {
            return;
        }
        lower.clone_into(&mut self.lower);
        let mut feeds = std::mem::take(&mut self.feeds);
        feeds.retain_mut(|feed| {
            if feed.next.as_ref().is_none_or(|(key, _)| key.as_slice() >= lower) {
                return true;
            }
            if let Source::Table(name, cursor) = &mut feed.source {
                match Cursor::forward(cursor.file(), lower) {
                    Ok(there) => *cursor = there,
                    Err(what) => {
                        self.snapshot.note(Folder::Tables, name, what);
                        return false;
                    }
                }
            }
            self.refill(feed);
            true
        });
        self.feeds = feeds;
    }

    /// Takes the next key of the range from a source; the range has been narrowed to what is still wanted.
    fn refill(&self, feed: &mut Feed) {
        feed.next = match &feed.source {
            Source::Overlay => {
                let range = self.snapshot.overlay().range(&self.lower, self.upper.as_deref());
                let found = match self.direction {
                    Direction::Forward => range.first(),
                    Direction::Backward => range.last(),
                };
                found.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
            }
            Source::Table(name, cursor) => match cursor.record() {
                Some((key, value)) if self.wants(key) => match decode_value(value) {
                    Ok(value) => Some((key.to_vec(), value.map(<[u8]>::to_vec))),
                    Err(what) => {
                        self.snapshot.note(Folder::Tables, name, what);
                        None
                    }
                },
                _ => None,
            },
        };
    }

    fn wants(&self, key: &[u8]) -> bool {
        key >= self.lower.as_slice() && self.upper.as_deref().is_none_or(|upper| key < upper)
    }

    /// The next key in order, whether its ref is there or was deleted.
    fn step(&mut self) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let mut best: Option<usize> = None;
        for (at, feed) in self.feeds.iter().enumerate() {
            let Some((key, _)) = &feed.next else { continue };
            let better = best.and_then(|best| self.feeds[best].next.as_ref()).is_none_or(|(other, _)| {
                // Of equal keys the first, newest, source wins.
                match self.direction {
                    Direction::Forward => key < other,
                    Direction::Backward => key > other,
                }
            });
            if better {
                best = Some(at);
            }
        }
        let taken = self.feeds[best?].next.clone()?;
        match self.direction {
            Direction::Forward => self.lower = successor(&taken.0),
            Direction::Backward => self.upper = Some(taken.0.clone()),
        }
        let mut feeds = std::mem::take(&mut self.feeds);
        feeds.retain_mut(|feed| {
            if feed.next.as_ref().is_none_or(|(key, _)| *key != taken.0) {
                return true;
            }
            if let Source::Table(name, cursor) = &mut feed.source
                && let Err(what) = cursor.advance()
            {
                self.snapshot.note(Folder::Tables, name, what);
                return false;
            }
            self.refill(feed);
            true
        });
        self.feeds = feeds;
        Some(taken)
    }
}

impl Iterator for Scan {
    type Item = Result<(Vec<u8>, Vec<u8>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.begun
            && let Err(err) = self.begin()
        {
            return Some(Err(err));
        }
        loop {
            if let (key, Some(value)) = self.step()? {
                return Some(Ok((key, value)));
            }
        }
    }
}

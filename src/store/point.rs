//! A point of a log: what a remote party remembers of it, and whether the log still leads there.

use serde::{Deserialize, Serialize};

use super::backend::Folder;
use super::entry::{self, OpId};
use super::error::Error;
use super::snapshot::Snapshot;
use super::{Store, load};
use crate::hash::Id;

/// The newest entry of a log at some time: number, digest, operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Its number.
    #[serde(rename = "n")]
    pub number: u64,
    /// Its operation; `None` if the entry could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<OpId>,
    /// Its digest.
    digest: Id,
}

impl Store {
    /// Whether the log ends there: told by one listing and its newest entry, of which nothing is decoded. Each entry holds the digest of the
    /// one before, so all that a reader would see is what it was then.
    ///
    /// # Errors
    /// When the log can't be listed or read.
    pub fn ends_at(&self, point: &Point) -> Result<bool, Error> {
        if point.digest == Id::ZERO || load::numbers(self.backend())?.last() != Some(&point.number) {
            return Ok(false);
        }
        let newest = self.backend().read(Folder::Log, &entry::name(point.number))?;
        Ok(newest.and_then(|bytes| entry::digest(&bytes)) == Some(point.digest))
    }
}

impl Snapshot {
    /// Where this snapshot ends.
    pub fn point(&self) -> Point {
        let log = &self.inner.log;
        let newest = log.entries.last().or(log.fold.as_ref()).filter(|loaded| loaded.number == log.tip);
        Point { number: log.tip, digest: log.tip_digest, op: newest.map(|loaded| loaded.entry.op) }
    }

    /// Whether the log went on from there: the entry is still the one it was, or history knows its operation under its number. A store that was
    /// brought back from a backup, and another one in its place, did not.
    ///
    /// # Errors
    /// When history can't be read.
    pub fn goes_on_from(&self, point: &Point) -> Result<bool, Error> {
        let log = &self.inner.log;
        if point.number > log.tip || point.digest == Id::ZERO {
            return Ok(false);
        }
        if point.number == log.tip {
            return Ok(point.digest == log.tip_digest);
        }
        let known = log.fold.iter().chain(&log.entries).find(|loaded| loaded.number == point.number);
        match (known, point.op) {
            (Some(loaded), _) => Ok(loaded.digest == point.digest),
            (None, Some(op)) if point.number < log.base => Ok(self.find_op(op)? == Some(point.number)),
            _ => Ok(false),
        }
    }

    /// The keys of refs that were edited after the point; `None` if entries since then were folded away.
    pub fn edited_since(&self, point: &Point) -> Option<Vec<&[u8]>> {
        if point.number < self.base() || self.damaged_entry().is_some() {
            return None;
        }
        let log = &self.inner.log;
        let newer = self.inner.counting.iter().map(|&at| &log.entries[at]).filter(|one| one.number > point.number);
        Some(newer.flat_map(|loaded| loaded.entry.refs.iter().map(|edit| edit.0.as_slice())).collect())
    }
}

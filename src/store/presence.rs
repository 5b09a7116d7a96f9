//! Content that is known not to be here: it stayed where it was, or was dropped because it can be had elsewhere.

use super::error::Error;
use super::snapshot::Snapshot;
use super::sorted::Direction;
use crate::hash::Id;
use crate::refs::key;

impl Snapshot {
    /// Whether this very object is marked as one that can be had elsewhere.
    ///
    /// # Errors
    /// When refs can't be read.
    pub fn is_elsewhere(&self, id: &Id) -> Result<bool, Error> {
        Ok(self.scan(&key::presence_of(id), Direction::Forward).next().transpose()?.is_some())
    }

    /// The remotes that are known to have this content, or that records without content came from.
    ///
    /// # Errors
    /// When refs can't be read.
    pub fn stays_at(&self, id: &Id) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for id in [id, &Id::ZERO] {
            for item in self.scan(&key::presence_of(id), Direction::Forward) {
                names.extend(key::last_text(&item?.0));
            }
        }
        Ok(names)
    }

    /// Whether it is known that content may be missing: this one, or, where records came without content, any.
    ///
    /// # Errors
    /// When refs can't be read.
    pub fn may_lack(&self, id: &Id) -> Result<bool, Error> {
        Ok(self.is_elsewhere(&Id::ZERO)? || self.is_elsewhere(id)?)
    }
}

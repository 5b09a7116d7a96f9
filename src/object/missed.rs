//! A source that remembers what it could not give.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::access::{AccessError, Source};
use super::kind::Kind;
use crate::hash::Id;

/// Another source, and what it was asked for and has not. Whoever can bring that asks anew afterwards.
pub struct Missed<'a> {
    source: &'a dyn Source,
    ids: Mutex<BTreeSet<Id>>,
}

impl fmt::Debug for Missed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Missed").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl<'a> Missed<'a> {
    /// Gives what `source` gives.
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, ids: Mutex::default() }
    }

    /// What it was asked for and has not.
    pub fn into_ids(self) -> BTreeSet<Id> {
        // A set that somebody panicked over is as good as before.
        self.ids.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, id: &Id, found: Result<Option<T>, AccessError>) -> Result<Option<T>, AccessError> {
        if matches!(found, Ok(None)) {
            self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(*id);
        }
        found
    }
}

impl Source for Missed<'_> {
    fn header(&self, id: &Id) -> Result<Option<(Kind, u64)>, AccessError> {
        self.note(id, self.source.header(id))
    }

    fn read(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        self.note(id, self.source.read(id))
    }

    fn copy(&self, id: &Id, out: &mut dyn Write) -> Result<Option<u64>, AccessError> {
        self.note(id, self.source.copy(id, out))
    }
}

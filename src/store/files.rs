//! The sorted files of a store that are open: shared by all snapshots, since a file never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::backend::{Backend, BackendError, Folder};
use super::sorted::{Broken, SortedFile};
use crate::hash::Id;

/// Files kept open at most: more than a store has that is folded as it should be, so that going through all of them twice opens each once.
const OPEN_MAX: usize = 256;

/// Why a file can't be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// There is no such file: it left the state, or it is lost.
    Absent,
    /// It is damaged or can't be read.
    Broken(Broken),
    /// It can't be opened now, which says nothing about it.
    Denied(BackendError),
}

#[derive(Debug)]
pub(super) struct Files {
    backend: Arc<dyn Backend>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<(Folder, Id), (u64, Arc<SortedFile>)>,
    tick: u64,
}

impl Files {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, open: Mutex::new(Open::default()) }
    }

    /// The file, opened and its root verified.
    pub(super) fn get(&self, folder: Folder, name: &Id) -> Result<Arc<SortedFile>, Unusable> {
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.tick += 1;
            let tick = open.tick;
            if let Some((used, file)) = open.files.get_mut(&(folder, *name)) {
                *used = tick;
                return Ok(Arc::clone(file));
            }
        }
        let file = match self.fresh(folder, name) {
            // Should there be no room for another open file, those kept open for later have to go.
            Err(Unusable::Denied(_)) if self.let_go() => self.fresh(folder, name)?,
            opened => opened?,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.files.len() >= OPEN_MAX
            && let Some(oldest) = open.files.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key)
        {
            open.files.remove(&oldest);
        }
        let tick = open.tick;
        open.files.insert((folder, *name), (tick, Arc::clone(&file)));
        Ok(file)
    }

    /// Keeps no file open any longer but those that somebody uses; whether there were any.
    fn let_go(&self) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::take(&mut open.files).is_empty()
    }

    /// Forgets a file that was replaced by another one of its name.
    pub(super) fn forget(&self, folder: Folder, name: &Id) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).files.remove(&(folder, *name));
    }

    /// As [`Files::get`], but read anew from the place.
    pub(super) fn fresh(&self, folder: Folder, name: &Id) -> Result<Arc<SortedFile>, Unusable> {
        match self.backend.open(folder, &folder.file(name)) {
            Ok(Some(file)) => SortedFile::open(file, name).map(Arc::new).map_err(Unusable::Broken),
            Ok(None) => Err(Unusable::Absent),
            Err(err) if err.may_pass() => Err(Unusable::Denied(err)),
            Err(err) => {
                let cause = std::error::Error::source(&err).map(ToString::to_string);
                Err(Unusable::Broken(cause.unwrap_or_else(|| err.to_string())))
            }
        }
    }
}

//! A store in memory: for tests, and for work that leaves nothing behind.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::backend::{Backend, BackendError, Folder, Outcome, Queued, ReadAt, Staged};
use super::stretches::Stretches;
use crate::hash::Id;

type Files = BTreeMap<(Folder, String), Arc<Vec<u8>>>;

/// A place in memory. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct MemoryBackend {
    files: Arc<Mutex<Files>>,
    format: Arc<Mutex<Option<Vec<u8>>>>,
    stretches: Arc<Mutex<HashMap<Id, Vec<Option<Id>>>>>,
}

impl MemoryBackend {
    /// An empty place.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `bytes` under a name, whatever is there; `None` removes it. This is how tests damage files.
    pub fn overwrite(&self, folder: Folder, name: &str, bytes: Option<Vec<u8>>) {
        let key = (folder, name.to_owned());
        match bytes {
            Some(bytes) => self.files().insert(key, Arc::new(bytes)),
            None => self.files().remove(&key),
        };
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<Id, Vec<Option<Id>>>> {
        self.stretches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn format(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.format.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct MemoryFile(Arc<Vec<u8>>);

impl ReadAt for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let slice = start.checked_add(buffer.len()).and_then(|end| self.0.get(start..end));
        buffer.copy_from_slice(slice.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryStaged {
    place: MemoryBackend,
    bytes: Vec<u8>,
}

impl Write for MemoryStaged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for MemoryStaged {
    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn publish(self: Box<Self>, folder: Folder, name: &str) -> Result<Outcome, BackendError> {
        let mut files = self.place.files();
        match files.entry((folder, name.to_owned())) {
            std::collections::btree_map::Entry::Occupied(_) => Ok(Outcome::Lost),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(Arc::new(self.bytes));
                Ok(Outcome::Won)
            }
        }
    }
}

impl Backend for MemoryBackend {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn remember_stretches(&self, packs: &[Stretches]) {
        self.remembered().extend(packs.iter().cloned().map(Stretches::into_pair));
    }

    fn stretches(&self) -> HashMap<Id, Vec<Option<Id>>> {
        self.remembered().clone()
    }

    fn names(&self, folder: Folder) -> Result<Vec<String>, BackendError> {
        Ok(self.files().keys().filter(|(f, _)| *f == folder).map(|(_, name)| name.clone()).collect())
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>, BackendError> {
        let files = self.files();
        let here = files.iter().filter(|((f, _), _)| *f == folder);
        Ok(here.map(|((_, name), bytes)| (name.clone(), bytes.len() as u64)).collect())
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(self.files().get(&(folder, name.to_owned())).map(|bytes| bytes.to_vec()))
    }

    fn open(&self, folder: Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, BackendError> {
        let bytes = self.files().get(&(folder, name.to_owned())).cloned();
        Ok(bytes.map(|bytes| Box::new(MemoryFile(bytes)) as Box<dyn ReadAt>))
    }

    fn stage(&self) -> Result<Box<dyn Staged>, BackendError> {
        Ok(Box::new(MemoryStaged { place: self.clone(), bytes: Vec::new() }))
    }

    fn sync(&self, _folder: Folder) -> Result<(), BackendError> {
        Ok(())
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<(), BackendError> {
        self.files().remove(&(folder, name.to_owned()));
        Ok(())
    }

    fn prepare(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn read_format(&self) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(self.format().clone())
    }

    fn drop_format(&self) -> Result<(), BackendError> {
        if let Some(bytes) = self.format().take() {
            self.overwrite(Folder::Quarantine, "format", Some(bytes));
        }
        Ok(())
    }

    fn create_format(&self, bytes: &[u8]) -> Result<Outcome, BackendError> {
        let mut format = self.format();
        if format.is_some() {
            return Ok(Outcome::Lost);
        }
        *format = Some(bytes.to_vec());
        Ok(Outcome::Won)
    }

    fn queue(&self, _wait: Duration) -> Option<Box<dyn Queued>> {
        None
    }

    fn pause(&self, _time: Duration) {
        std::thread::yield_now();
    }
}

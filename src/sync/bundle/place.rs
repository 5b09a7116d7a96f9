//! A bundle as a place of a store that can't be written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::archive::{self, Files};
use crate::fs::{Fs, Input};
use crate::store::backend::{Queued, ReadAt, Staged};
use crate::store::{Backend, BackendError, Folder, Outcome};
use crate::sync::Error;

/// Bytes of an entry or of the format at most.
const WHOLE: u64 = 24 << 20;

/// A bundle.
#[derive(Debug)]
pub(in crate::sync) struct BundlePlace {
    path: PathBuf,
    input: Arc<Input>,
    files: Files,
}

/// A file in a bundle.
#[derive(Debug)]
struct Member {
    input: Arc<Input>,
    at: u64,
    size: u64,
}

impl ReadAt for Member {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.input.read_exact_at(buffer, self.at + offset)
    }
}

impl BundlePlace {
    /// The bundle in the file at `path`; what it holds is listed, nothing is believed.
    ///
    /// # Errors
    /// [`Error::NoBundle`], or when the file can't be read.
    pub(in crate::sync) fn open(fs: &Fs, path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { doing: "read", path: path.to_owned(), source };
        let input = fs.open_at(path).map_err(failed)?;
        let files = archive::read(&input).map_err(|err| match err.kind() {
            io::ErrorKind::InvalidData => Error::NoBundle { path: path.to_owned(), what: err.to_string() },
            _ => failed(err),
        })?;
        Ok(Self { path: path.to_owned(), input: Arc::new(input), files })
    }

    fn member(&self, folder: Option<Folder>, name: &str) -> Option<Member> {
        let &(at, size) = self.files.get(&(folder, name.to_owned()))?;
        Some(Member { input: Arc::clone(&self.input), at, size })
    }

    fn whole(&self, folder: Option<Folder>, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
        let Some(member) = self.member(folder, name) else { return Ok(None) };
        let failed = |source| BackendError::Io { action: "read", file: format!("{name} in {}", self.place()), source };
        if member.size > WHOLE {
            return Err(failed(io::Error::other("it is too long")));
        }
        let mut bytes = vec![0; usize::try_from(member.size).unwrap_or(0)];
        member.read_exact_at(0, &mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    fn read_only(&self) -> BackendError {
        let what = "a bundle does not change";
        BackendError::ReadOnly { place: self.place(), source: io::Error::new(io::ErrorKind::Unsupported, what) }
    }
}

impl Backend for BundlePlace {
    fn place(&self) -> String {
        crate::path::show(&self.path)
    }

    fn names(&self, folder: Folder) -> Result<Vec<String>, BackendError> {
        Ok(self.list(folder)?.into_iter().map(|(name, _)| name).collect())
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>, BackendError> {
        let here = self.files.iter().filter(|((of, _), _)| *of == Some(folder));
        Ok(here.map(|((_, name), (_, size))| (name.clone(), *size)).collect())
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
        self.whole(Some(folder), name)
    }

    fn open(&self, folder: Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, BackendError> {
        Ok(self.member(Some(folder), name).map(|member| Box::new(member) as Box<dyn ReadAt>))
    }

    fn stage(&self) -> Result<Box<dyn Staged>, BackendError> {
        Err(self.read_only())
    }

    fn sync(&self, _folder: Folder) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    fn remove(&self, _folder: Folder, _name: &str) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    fn prepare(&self) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    fn read_format(&self) -> Result<Option<Vec<u8>>, BackendError> {
        self.whole(None, "format")
    }

    fn drop_format(&self) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    fn create_format(&self, _bytes: &[u8]) -> Result<Outcome, BackendError> {
        Err(self.read_only())
    }

    fn queue(&self, _wait: Duration) -> Option<Box<dyn Queued>> {
        None
    }

    fn pause(&self, _time: Duration) {}
}

//! A disk that is not the machine's: the seam under [`Fs`](super::Fs) for a simulated one.
//!
//! Only what a store does to its folder goes through here; everything else is always the machine's.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Stat;

/// A place with the effects that a store needs, each as the system call of that name promises it.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a file that must not exist yet.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Makes names created or removed in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must not exist.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames to a name that must not exist.
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder and those above it where missing.
    fn make_dirs(&self, path: &Path) -> io::Result<()>;
    /// Whether there is a folder.
    fn is_dir(&self, path: &Path) -> bool;
    /// The bytes of a file as they are now; a file that is open keeps them when its name goes.
    fn open(&self, path: &Path) -> io::Result<Arc<Vec<u8>>>;
    /// The state of a name.
    fn lstat(&self, path: &Path) -> io::Result<Stat>;
    /// The names in a folder, in any order.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Waits at most `wait` for a lock, which the returned value holds.
    fn lock(&self, path: &Path, wait: Duration) -> Option<Box<dyn Any + Send>>;
    /// Lets time pass.
    fn pause(&self, time: Duration);
}

/// A file of such a disk, open for writing.
pub trait DiskFile: Write + Send + fmt::Debug {
    /// Makes its bytes durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts it to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// A file open for reading at any position.
#[derive(Debug)]
pub struct Input(Inner);

#[derive(Debug)]
enum Inner {
    File(File, u64),
    Bytes(Arc<Vec<u8>>),
}

impl Input {
    pub(super) fn of_file(file: File, len: u64) -> Self {
        Self(Inner::File(file, len))
    }

    pub(super) fn of_bytes(bytes: Arc<Vec<u8>>) -> Self {
        Self(Inner::Bytes(bytes))
    }

    /// Its length in bytes when it was opened.
    pub fn size(&self) -> u64 {
        match &self.0 {
            Inner::File(_, len) => *len,
            Inner::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Asks the system to begin reading these bytes from the disk. Promises nothing.
    pub fn will_need(&self, offset: u64, len: u64) {
        if let Inner::File(file, size) = &self.0 {
            super::will_need(file, offset, len.min(size.saturating_sub(offset)));
        }
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.0 {
            Inner::File(file, _) => super::read_exact_at(file, buffer, offset),
            Inner::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let slice = start.checked_add(buffer.len()).and_then(|end| bytes.get(start..end));
                buffer.copy_from_slice(slice.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

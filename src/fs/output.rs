//! A file being written, every write and flush of it an effect.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::fault::{Op, Verdict};
use super::{Fs, Stat};

/// A file opened for writing.
#[derive(Debug)]
pub struct Output {
    fs: Fs,
    file: File,
    path: PathBuf,
}

impl Output {
    pub(super) fn new(fs: Fs, file: File, path: PathBuf) -> Self {
        Self { fs, file, path }
    }

    /// Where the file was created.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes data and length to the disk.
    ///
    /// # Errors
    /// After a failure the file is of no use any more: a second try may claim success falsely.
    pub fn sync(&self) -> io::Result<()> {
        match self.fs.before(Op::Sync, &self.path)? {
            Verdict::DoneButFail(errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => self.file.sync_all(),
        }
    }

    /// Sets permission bits.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        self.fs.before(Op::SetMode, &self.path)?;
        self.file.set_permissions(std::fs::Permissions::from_mode(mode))
    }

    /// Cuts the file to `len` bytes and goes on writing there.
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        use std::io::Seek;
        self.fs.before(Op::Write, &self.path)?;
        self.file.set_len(len)?;
        self.file.seek(io::SeekFrom::Start(len)).map(drop)
    }

    /// The state of the file now.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::of(&self.file.metadata()?))
    }

    /// The open file, e.g. to hand to a child process.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.fs.before(Op::Write, &self.path)? {
            Verdict::Short(n) => self.file.write(&bytes[..n.clamp(1, bytes.len().max(1)).min(bytes.len())]),
            Verdict::DoneButFail(errno) => {
                self.file.write_all(bytes)?;
                Err(io::Error::from_raw_os_error(errno))
            }
            _ => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

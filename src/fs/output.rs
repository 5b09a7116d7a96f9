//! A file being written, every write and flush of it an effect.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::DiskFile;
use super::fault::{Op, Verdict};
use super::{Fs, Stat};

/// A file opened for writing.
#[derive(Debug)]
pub struct Output {
    fs: Fs,
    file: Inner,
    path: PathBuf,
}

#[derive(Debug)]
enum Inner {
    File(File),
    Disk(Box<dyn DiskFile>),
}

impl Output {
    pub(super) fn new(fs: Fs, file: File, path: PathBuf) -> Self {
        Self { fs, file: Inner::File(file), path }
    }

    pub(super) fn on(fs: Fs, file: Box<dyn DiskFile>, path: PathBuf) -> Self {
        Self { fs, file: Inner::Disk(file), path }
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
        let file = match &self.file {
            Inner::Disk(file) => return file.sync(),
            Inner::File(file) => file,
        };
        match self.fs.before(Op::Sync, &self.path)? {
            Verdict::DoneButFail(errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => file.sync_all(),
        }
    }

    /// Makes this file, which is empty, share all blocks of `source` until one of the two is changed.
    ///
    /// # Errors
    /// Where the file system can't do that; nothing was changed then.
    pub fn share(&self, source: &File) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return self.fs.effect(Op::Write, &self.path, || Ok(rustix::fs::ioctl_ficlone(self.file()?, source)?));
        #[cfg(not(target_os = "linux"))]
        {
            let _ = source;
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Asks the system to begin writing these bytes to the disk, so that a flush later on has less to wait for. Promises nothing.
    pub fn begin_flush(&self, offset: u64, len: u64) {
        #[cfg(target_os = "linux")]
        if let (Inner::File(file), Some(len)) = (&self.file, std::num::NonZeroU64::new(len)) {
            // Pages that are being written stay in memory: only clean ones would go.
            let _ = rustix::fs::fadvise(file, offset, Some(len), rustix::fs::Advice::DontNeed);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }

    /// Sets permission bits.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        self.fs.before(Op::SetMode, &self.path)?;
        self.file()?.set_permissions(std::fs::Permissions::from_mode(mode))
    }

    /// Sets the time of the last change of content, nanoseconds since 1970. Later writes change it again.
    pub fn set_modified(&self, ns: i64) -> io::Result<()> {
        let since = std::time::Duration::from_nanos(ns.unsigned_abs());
        let at = match ns {
            0.. => std::time::SystemTime::UNIX_EPOCH.checked_add(since),
            _ => std::time::SystemTime::UNIX_EPOCH.checked_sub(since),
        };
        let at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.fs.before(Op::SetMode, &self.path)?;
        self.file()?.set_modified(at)
    }

    /// Cuts the file to `len` bytes and goes on writing there.
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        use std::io::Seek;
        let file = match &mut self.file {
            Inner::Disk(file) => return file.truncate(len),
            Inner::File(file) => file,
        };
        self.fs.before(Op::Write, &self.path)?;
        file.set_len(len)?;
        file.seek(io::SeekFrom::Start(len)).map(drop)
    }

    /// The state of the file now.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::of(&self.file()?.metadata()?))
    }

    /// The open file, e.g. to hand to a child process.
    ///
    /// # Errors
    /// When it is not one of the machine's.
    pub fn file(&self) -> io::Result<&File> {
        match &self.file {
            Inner::File(file) => Ok(file),
            Inner::Disk(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Inner::Disk(file) => return file.write(bytes),
            Inner::File(file) => file,
        };
        match self.fs.before(Op::Write, &self.path)? {
            Verdict::Short(n) => file.write(&bytes[..n.clamp(1, bytes.len().max(1)).min(bytes.len())]),
            Verdict::DoneButFail(errno) => {
                file.write_all(bytes)?;
                Err(io::Error::from_raw_os_error(errno))
            }
            _ => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            Inner::File(file) => file.flush(),
            Inner::Disk(file) => file.flush(),
        }
    }
}

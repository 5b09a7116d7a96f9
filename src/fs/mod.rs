//! Every effect on files: the one seam through which prov changes a disk.
//!
//! All writing calls go through [`Fs`], which asks a [`Fault`] before each of them, so that a test can make the
//! n-th effect fail, be cut short, or be the last one before a crash. Reading goes through here as well, but is
//! not counted. This module is the only user of `memmap2` and `walkdir`.

mod dir;
mod disk;
mod fault;
mod listing;
mod lock;
mod map;
mod output;
mod probe;
mod stat;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use dir::Dir;
pub use disk::{Disk, DiskFile, Input};
pub use fault::{Fault, NthEffect, Op, Verdict};
pub use listing::{Listed, Name};
pub use lock::{Lock, lock};
pub use map::Map;
pub use output::Output;
pub use probe::{Probe, Space, probe, space, stamps_folders};
pub use stat::{FileKind, Stat};

/// The file system as prov sees it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Fs {
    fault: Option<Arc<dyn Fault>>,
    disk: Option<Arc<dyn Disk>>,
}

impl Fs {
    /// The real file system.
    pub fn real() -> Self {
        Self::default()
    }

    /// The real file system with `fault` asked before every effect.
    pub fn with_fault(fault: Arc<dyn Fault>) -> Self {
        Self { fault: Some(fault), disk: None }
    }

    /// Another disk than the machine's, for what a store does; nothing else may be done through it.
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self { fault: None, disk: Some(disk) }
    }

    pub(in crate::fs) fn before(&self, op: Op, path: &Path) -> io::Result<Verdict> {
        match &self.fault {
            None => Ok(Verdict::Go),
            Some(fault) => match fault.before(op, path) {
                Verdict::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
                verdict => Ok(verdict),
            },
        }
    }

    /// Runs one effect under the fault's verdict.
    pub(in crate::fs) fn effect<T>(&self, op: Op, path: &Path, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.before(op, path)? {
            Verdict::DoneButFail(errno) => {
                run()?;
                Err(io::Error::from_raw_os_error(errno))
            }
            _ => run(),
        }
    }

    /// Whether files lie on a disk that is only simulated, which has few operations.
    pub fn is_simulated(&self) -> bool {
        self.disk.is_some()
    }

    /// Creates a file that must not exist yet, with permission bits `mode`, for writing.
    pub fn create_new(&self, path: &Path, mode: u32) -> io::Result<Output> {
        if let Some(disk) = &self.disk {
            return Ok(Output::on(self.clone(), disk.create_new(path)?, path.to_owned()));
        }
        let file = self.effect(Op::Create, path, || {
            std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(nofollow()).open(path)
        })?;
        Ok(Output::new(self.clone(), file, path.to_owned()))
    }

    /// Creates or truncates a file of prov's own, for writing. Never used on a path that a user named.
    pub fn create(&self, path: &Path, mode: u32) -> io::Result<Output> {
        let file = self.effect(Op::Create, path, || {
            std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mode)
                .custom_flags(nofollow())
                .open(path)
        })?;
        Ok(Output::new(self.clone(), file, path.to_owned()))
    }

    /// Flushes a folder, so that names created or removed in it survive a power cut.
    pub fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if let Some(disk) = &self.disk {
            return disk.sync_dir(dir);
        }
        self.effect(Op::SyncDir, dir, || File::open(dir)?.sync_all())
    }

    /// Gives an existing file a second name, which must not exist.
    pub fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(disk) = &self.disk {
            return disk.link(from, to);
        }
        #[expect(clippy::disallowed_methods, reason = "the owner of writing calls")]
        self.effect(Op::Link, to, || std::fs::hard_link(from, to))
    }

    /// Renames, replacing what is at `to`.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "the owner of writing calls")]
        self.effect(Op::Rename, to, || std::fs::rename(from, to))
    }

    /// Renames; fails with `AlreadyExists` if there is anything at `to`, and with an unsupported-operation error
    /// where the file system has no such primitive.
    pub fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(disk) = &self.disk {
            return disk.rename_no_replace(from, to);
        }
        self.effect(Op::Rename, to, || rename_no_replace(from, to))
    }

    /// Removes a file or link.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        if let Some(disk) = &self.disk {
            return disk.remove_file(path);
        }
        #[expect(clippy::disallowed_methods, reason = "the owner of writing calls")]
        self.effect(Op::Remove, path, || std::fs::remove_file(path))
    }

    /// Removes an empty folder.
    pub fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.effect(Op::Remove, path, || std::fs::remove_dir(path))
    }

    /// Removes a folder with everything below it, links not followed.
    pub fn remove_tree(&self, path: &Path) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "the owner of writing calls")]
        self.effect(Op::Remove, path, || std::fs::remove_dir_all(path))
    }

    /// Creates one folder.
    pub fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.effect(Op::MakeDir, path, || std::fs::DirBuilder::new().mode(0o777).create(path))
    }

    /// Creates a folder and those above it where missing.
    pub fn make_dirs(&self, path: &Path) -> io::Result<()> {
        if let Some(disk) = &self.disk {
            return disk.make_dirs(path);
        }
        if path.is_dir() {
            return Ok(());
        }
        self.effect(Op::MakeDir, path, || std::fs::DirBuilder::new().recursive(true).mode(0o777).create(path))
    }

    /// Creates a symbolic link at `at` that says `target`.
    pub fn symlink(&self, target: &Path, at: &Path) -> io::Result<()> {
        self.effect(Op::Symlink, at, || std::os::unix::fs::symlink(target, at))
    }

    /// Sets permission bits.
    pub fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        self.effect(Op::SetMode, path, || std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
    }

    /// Writes a file of prov's own beside its place, flushes it if `durable`, and renames it over `path`.
    /// Readers see the old bytes or the new ones.
    pub fn replace(&self, path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let beside = path.with_file_name(name);
        let written = (|| {
            let mut out = self.create(&beside, 0o666)?;
            io::Write::write_all(&mut out, bytes)?;
            if durable {
                out.sync()?;
            }
            self.rename(&beside, path)
        })();
        if written.is_err() {
            let _ = self.remove_file(&beside);
        }
        written?;
        if durable && let Some(dir) = path.parent() {
            self.sync_dir(dir)?;
        }
        Ok(())
    }

    /// All bytes of a file; `None` if it does not exist.
    pub fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let bytes = match &self.disk {
            Some(disk) => disk.open(path).map(|bytes| bytes.to_vec()),
            None => std::fs::read(path),
        };
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(err) if is_absent(&err) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// As [`Fs::read`], of a file that is never written once it has its name: its size is asked for, not found out by reading on.
    pub fn read_final(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        if self.disk.is_some() {
            return self.read(path);
        }
        let file = match File::open(path) {
            Err(err) if is_absent(&err) => return Ok(None),
            opened => opened?,
        };
        let size = file.metadata()?.len();
        let mut bytes = Vec::new();
        // A size that no memory has room for is a reason not to read, not one to give up everything.
        bytes.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))?;
        file.take(size).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Opens a regular file for reading, following links; a FIFO, socket or device is refused and never blocks.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        Ok(self.open_with_stat(path)?.0)
    }

    /// As [`Fs::open`], for reading at any position.
    pub fn open_at(&self, path: &Path) -> io::Result<Input> {
        match &self.disk {
            Some(disk) => disk.open(path).map(Input::of_bytes),
            None => self.open_with_stat(path).map(|(file, stat)| Input::of_file(file, stat.size)),
        }
    }

    /// Whether there is a folder at `path`, links followed.
    pub fn is_dir(&self, path: &Path) -> bool {
        match &self.disk {
            Some(disk) => disk.is_dir(path),
            None => path.is_dir(),
        }
    }

    /// Tries for at most `wait` to lock the file at `path`, which is created if absent; `None` if that did not work for any reason.
    pub fn lock(&self, path: &Path, wait: Duration) -> Option<Lock> {
        match &self.disk {
            Some(disk) => disk.lock(path, wait).map(Lock::held),
            None => lock(path, wait),
        }
    }

    /// Lets time pass, between two attempts.
    pub fn pause(&self, time: Duration) {
        match &self.disk {
            Some(disk) => disk.pause(time),
            None => std::thread::sleep(time),
        }
    }

    /// As [`Fs::open`], but a symbolic link as the last component is refused.
    pub fn open_no_follow(&self, path: &Path) -> io::Result<File> {
        Ok(self.open_no_follow_with_stat(path)?.0)
    }

    /// As [`Fs::open`], with the state that it was opened in.
    pub fn open_with_stat(&self, path: &Path) -> io::Result<(File, Stat)> {
        open_regular(path, nonblock())
    }

    /// As [`Fs::open_no_follow`], with the state that it was opened in.
    pub fn open_no_follow_with_stat(&self, path: &Path) -> io::Result<(File, Stat)> {
        open_regular(path, nonblock() | nofollow())
    }

    /// The state of `path` itself, links not followed; `None` if there is nothing.
    pub fn lstat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let stat = match &self.disk {
            Some(disk) => disk.lstat(path),
            None => std::fs::symlink_metadata(path).map(|meta| Stat::of(&meta)),
        };
        match stat {
            Ok(stat) => Ok(Some(stat)),
            Err(err) if is_absent(&err) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// The state of what `path` leads to, links followed; `None` if there is nothing.
    pub fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match std::fs::metadata(path) {
            Ok(meta) => Ok(Some(Stat::of(&meta))),
            Err(err) if is_absent(&err) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Names in a folder, in no order; empty if the folder does not exist.
    pub fn names(&self, dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
        if let Some(disk) = &self.disk {
            return Ok(disk.names(dir)?.into_iter().map(Into::into).collect());
        }
        match std::fs::read_dir(dir) {
            Ok(entries) => entries.map(|entry| entry.map(|e| e.file_name())).collect(),
            Err(err) if is_absent(&err) => Ok(Vec::new()),
            Err(err) => Err(err),
        }
    }

    /// As [`Fs::names`] with what each is, links not followed; an error if there is no such folder.
    pub fn names_with_types(&self, dir: &Path) -> io::Result<Vec<(std::ffi::OsString, std::fs::FileType)>> {
        std::fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.file_name(), entry.file_type()?))
            })
            .collect()
    }

    /// Everything below `dir` with its state, parents before children, links not followed; what can't be read is an error item.
    pub fn walk(&self, dir: &Path) -> impl Iterator<Item = io::Result<(PathBuf, Stat)>> + use<> {
        walkdir::WalkDir::new(dir).min_depth(1).into_iter().map(|entry| {
            let entry = entry.map_err(io::Error::from)?;
            let meta = entry.metadata().map_err(io::Error::from)?;
            Ok((entry.into_path(), Stat::of(&meta)))
        })
    }
}

/// Whether the error says that there is nothing at the path.
pub fn is_absent(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether the error tells of the process or of the moment, not of what lies on the disk: another try, or another user, may succeed.
pub fn may_pass(err: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::INTR,
        Errno::AGAIN,
        Errno::TIMEDOUT,
        Errno::NOBUFS,
        Errno::ACCESS,
        Errno::PERM,
    ];
    passing.iter().any(|errno| err.raw_os_error() == Some(errno.raw_os_error()))
        || err.kind() == io::ErrorKind::ConnectionAborted
}

/// Fills `buffer` from the file at `offset`, without moving a shared position.
///
/// # Errors
/// `UnexpectedEof` if the file ends before.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Bytes that the system is asked to read ahead at once: what every device takes.
const ADVISED: u64 = 128 << 10;

/// Asks the system to begin reading these bytes from the disk. Promises nothing.
pub fn will_need(file: &File, offset: u64, len: u64) {
    let end = offset.saturating_add(len);
    let mut at = offset;
    // Of more at once the system takes only the beginning.
    while let Some(len) = std::num::NonZeroU64::new(end.saturating_sub(at).min(ADVISED)) {
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(file, at, Some(len), rustix::fs::Advice::WillNeed);
        #[cfg(not(target_os = "linux"))]
        let _ = file;
        at += len.get();
    }
}

/// Reads up to `limit` bytes from the file's position.
pub fn read_some(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open_regular(path: &Path, flags: i32) -> io::Result<(File, Stat)> {
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let stat = Stat::of(&file.metadata()?);
    if stat.is_file() {
        Ok((file, stat))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

fn nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

fn nonblock() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits().cast_signed()
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_no_replace(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

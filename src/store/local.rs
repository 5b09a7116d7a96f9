//! A store in a folder of this machine or of a network file system.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Random, SystemRandom};
use crate::fs::{Fs, Input, Lock, Output, Stat, is_absent};
use crate::hash::{Id, hex};

use super::backend::{Backend, BackendError, Folder, Outcome, Queued, ReadAt, Staged, copy_aside, names_aside};
use super::stretches::{self, Stretches};

/// Bytes collected before they are written to a staged file.
const BUFFER: usize = 128 << 10;

/// Bytes of a staged file that are written before the system is asked to bring them to the disk: few files are as large.
const AHEAD: u64 = 8 << 20;

/// Large files that are written side by side.
const STAGED_AT_ONCE: usize = 8;

/// Hash context of where a writer runs.
const PLACE_CONTEXT: &str = "prov 2026-11 where a writer runs";

/// Names of staged files tried before giving up.
const NAME_ATTEMPTS: u32 = 8;

/// A folder that holds a store.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    fs: Fs,
    root: PathBuf,
    /// Where digests of stretches are remembered.
    stretches: Option<PathBuf>,
    /// Makes names of staged files unique among processes and machines.
    prefix: String,
    next: AtomicU64,
}

impl LocalBackend {
    /// The store's folder at `root`; nothing is touched.
    pub fn new(fs: Fs, root: impl Into<PathBuf>) -> Self {
        let mut unique = [0; 8];
        SystemRandom.fill(&mut unique);
        Self::named(fs, root, Writer::current().prefix(&hex(&unique)))
    }

    /// As [`LocalBackend::new`], with names of staged files that begin with `prefix`, which nobody else uses.
    pub(in crate::store) fn named(fs: Fs, root: impl Into<PathBuf>, prefix: String) -> Self {
        let shared = Shared { fs, root: root.into(), stretches: None, prefix, next: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Remembers in the file `path`, which nobody else writes, what packs looked like when they were written.
    #[must_use]
    pub fn remembering(mut self, path: PathBuf) -> Self {
        // Nobody else has it yet.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.stretches = Some(path);
        }
        self
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    fn dir(&self, folder: Folder) -> PathBuf {
        self.shared.root.join(folder.as_str())
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.dir(folder).join(name)
    }

    fn failed(&self, action: &'static str, path: &Path, source: io::Error) -> BackendError {
        let writing = !matches!(action, "list" | "read" | "open");
        if writing && is_refusal(&source) {
            return BackendError::ReadOnly { place: self.place(), source };
        }
        BackendError::Io { action, file: crate::path::show(path), source }
    }

    fn create_staged(&self) -> io::Result<Output> {
        let shared = &self.shared;
        let mut attempts = 0;
        loop {
            let number = shared.next.fetch_add(1, Ordering::Relaxed);
            let path = self.path(Folder::Tmp, &format!("{}-{number}", shared.prefix));
            attempts += 1;
            match shared.fs.create_new(&path, 0o444) {
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists && attempts < NAME_ATTEMPTS => {}
                // Copying a store may leave empty folders behind.
                Err(err) if is_absent(&err) && attempts < NAME_ATTEMPTS && shared.fs.is_dir(&shared.root) => {
                    shared.fs.make_dirs(&self.dir(Folder::Tmp))?;
                }
                result => return result,
            }
        }
    }

    fn stage_at(&self) -> Result<LocalStaged, BackendError> {
        let out = self.create_staged().map_err(|err| self.failed("create a file in", &self.dir(Folder::Tmp), err))?;
        Ok(LocalStaged { place: self.clone(), out: Some(out), buffer: Vec::new(), written: 0, begun: 0, failed: false })
    }
}

/// Who writes a staged file, as its name tells it: `<where>.<pid>.<start>.<random>-<number>`, `<where>` being 16 digits of a digest of the
/// machine, its boot and the process namespace, or zeros where these are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Writer {
    place: String,
    pid: u32,
    start: u64,
}

/// The place of processes of which nothing can be told.
const NOWHERE: &str = "0000000000000000";

impl Writer {
    /// This process; found out once.
    fn current() -> &'static Self {
        static CURRENT: std::sync::OnceLock<Writer> = std::sync::OnceLock::new();
        CURRENT.get_or_init(Self::look)
    }

    fn look() -> Self {
        let process = crate::host::Process::current();
        // Without a boot id two boots look alike, and a process of the other one might be taken for this one.
        let place = if process.boot.is_empty() || process.start == 0 {
            NOWHERE.to_owned()
        } else {
            let parts = [&process.host, &process.machine, &process.boot, &process.pid_namespace];
            let text = parts.map(String::as_str).join("\0");
            hex(&crate::hash::derived(PLACE_CONTEXT, text.as_bytes()).digest()[..8])
        };
        Self { place, pid: process.pid, start: process.start }
    }

    fn prefix(&self, unique: &str) -> String {
        format!("{}.{}.{}.{unique}", self.place, self.pid, self.start)
    }

    /// The writer of a staged file; `None` if its name tells nothing.
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let place = parts.next().filter(|place| place.len() == NOWHERE.len())?.to_owned();
        let (pid, start) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (unique, number) = parts.next()?.split_once('-')?;
        let is_sound = unique.len() == 16 && number.parse::<u64>().is_ok() && parts.next().is_none();
        is_sound.then_some(Self { place, pid, start })
    }

    /// Whether it ran where this process runs, and runs no longer.
    fn is_dead(&self, here: &Self) -> bool {
        self.place != NOWHERE && self.place == here.place && !crate::host::is_running(self.pid, self.start)
    }
}

/// Whether the system says that writing is not allowed here at all, or that there is no room for another name: where a name is an inode of
/// its own, the file may have been the last for which there was one.
fn is_refusal(err: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(err.kind(), ReadOnlyFilesystem | PermissionDenied | StorageFull | QuotaExceeded)
}

/// Whether `link` says that this file system, or this file, can't have links.
fn has_no_links(err: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = err.raw_os_error();
    [Errno::PERM, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK, Errno::XDEV, Errno::INVAL]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
        || err.kind() == io::ErrorKind::Unsupported
}

/// The file is gone, or was replaced by another client of a network file system.
fn is_gone(err: &io::Error) -> bool {
    is_absent(err) || err.kind() == io::ErrorKind::StaleNetworkFileHandle
}

#[derive(Debug)]
struct LocalFile(Input);

impl ReadAt for LocalFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.size())
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn will_need(&self, offset: u64, len: u64) {
        self.0.will_need(offset, len);
    }
}

#[derive(Debug)]
struct LocalStaged {
    place: LocalBackend,
    /// Taken once the file has another name.
    out: Option<Output>,
    buffer: Vec<u8>,
    written: u64,
    /// Bytes of which the system was asked to write them to the disk.
    begun: u64,
    failed: bool,
}

impl LocalStaged {
    fn flush_buffer(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.write_out(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        result
    }

    fn write_out(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (Some(out), false) = (&mut self.out, self.failed) else {
            return Err(io::Error::other("an earlier write to this file failed"));
        };
        let result = out.write_all(bytes);
        // How much of it arrived is not known, so the file is of no use after a failure.
        self.failed = result.is_err();
        self.written += bytes.len() as u64;
        if self.written - self.begun >= AHEAD {
            out.begin_flush(self.begun, self.written - self.begun);
            self.begun = self.written;
        }
        result
    }

    fn remove(out: &Output, fs: &Fs) {
        // What can't be removed stays behind in `tmp`, where it is nobody's.
        let _ = fs.remove_file(out.path());
    }

    /// Creates `target` as another name of the staged file.
    fn name(&mut self, target: &Path, folder: Folder) -> Result<Outcome, BackendError> {
        let fs = &self.place.shared.fs;
        let Some(out) = self.out.take() else { return Ok(Outcome::Unknown) };
        let mut result = fs.link(out.path(), target);
        if let Err(err) = &result
            && is_absent(err)
            && fs.is_dir(&self.place.shared.root)
            && !fs.is_dir(&self.place.dir(folder))
        {
            // Copying a store may leave empty folders behind.
            let made = fs.make_dirs(&self.place.dir(folder)).and_then(|()| fs.sync_dir(&self.place.shared.root));
            result = made.and_then(|()| fs.link(out.path(), target));
        }
        let outcome = match result {
            Ok(()) => Ok(Outcome::Won),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(Outcome::Lost),
            Err(err) if has_no_links(&err) => match fs.rename_no_replace(out.path(), target) {
                Ok(()) => return Ok(Outcome::Won),
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(Outcome::Lost),
                Err(err) if has_no_links(&err) => Err(BackendError::NoAtomicCreate { place: self.place.place() }),
                Err(err) if is_refusal(&err) => Err(self.place.failed("create", target, err)),
                Err(_) => Ok(Outcome::Unknown),
            },
            Err(err) if is_refusal(&err) => Err(self.place.failed("create", target, err)),
            Err(_) => Ok(Outcome::Unknown),
        };
        Self::remove(&out, fs);
        outcome
    }
}

impl Drop for LocalStaged {
    fn drop(&mut self) {
        if let Some(out) = &self.out {
            Self::remove(out, &self.place.shared.fs);
        }
    }
}

impl Write for LocalStaged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("an earlier write to this file failed"));
        }
        if self.buffer.len() + bytes.len() > BUFFER && !self.buffer.is_empty() {
            self.flush_buffer()?;
        }
        if self.buffer.is_empty() && bytes.len() >= BUFFER {
            return self.write_out(bytes).map(|()| bytes.len());
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush_buffer()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer()
    }
}

impl Staged for LocalStaged {
    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if let Some(keep) = len.checked_sub(self.written) {
            self.buffer.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
            return Ok(());
        }
        let (Some(out), false) = (&mut self.out, self.failed) else {
            return Err(io::Error::other("an earlier write to this file failed"));
        };
        let result = out.truncate(len);
        self.failed = result.is_err();
        self.buffer.clear();
        self.written = len;
        self.begun = self.begun.min(len);
        result
    }

    fn publish(mut self: Box<Self>, folder: Folder, name: &str) -> Result<Outcome, BackendError> {
        let target = self.place.path(folder, name);
        let made = if self.buffer.is_empty() { Ok(()) } else { self.flush_buffer() };
        let made = made.and_then(|()| match (&self.out, self.failed) {
            (Some(out), false) => out.sync(),
            _ => Err(io::Error::other("an earlier write to this file failed")),
        });
        made.map_err(|err| self.place.failed("write", &target, err))?;
        self.name(&target, folder)
    }
}

#[derive(Debug)]
struct Turn(#[expect(dead_code, reason = "held until dropped")] Lock);

impl Queued for Turn {}

impl Backend for LocalBackend {
    fn place(&self) -> String {
        crate::path::show(&self.shared.root)
    }

    fn names(&self, folder: Folder) -> Result<Vec<String>, BackendError> {
        let dir = self.dir(folder);
        let names = self.shared.fs.names(&dir).map_err(|err| self.failed("list", &dir, err))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>, BackendError> {
        let mut found = Vec::new();
        for name in self.names(folder)? {
            let path = self.path(folder, &name);
            match self.shared.fs.lstat(&path).map_err(|err| self.failed("list", &path, err))? {
                Some(stat) if !stat.is_folder() => found.push((name, stat.size)),
                _ => {}
            }
        }
        Ok(found)
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
        let path = self.path(folder, name);
        match self.shared.fs.read_final(&path) {
            Err(err) if is_gone(&err) => Ok(None),
            result => result.map_err(|err| self.failed("read", &path, err)),
        }
    }

    fn open(&self, folder: Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, BackendError> {
        let path = self.path(folder, name);
        match self.shared.fs.open_at(&path) {
            Ok(file) => Ok(Some(Box::new(LocalFile(file)))),
            Err(err) if is_gone(&err) => Ok(None),
            Err(err) => Err(self.failed("open", &path, err)),
        }
    }

    fn state(&self, folder: Folder, name: &str) -> Option<Stat> {
        self.shared.fs.lstat(&self.path(folder, name)).ok().flatten()
    }

    fn stage(&self) -> Result<Box<dyn Staged>, BackendError> {
        Ok(Box::new(self.stage_at()?))
    }

    fn staged_at_once(&self) -> usize {
        STAGED_AT_ONCE
    }

    fn remember_stretches(&self, packs: &[Stretches]) {
        if let Some(path) = &self.shared.stretches {
            stretches::keep(&self.shared.fs, path, packs);
        }
    }

    fn stretches(&self) -> HashMap<Id, Vec<Option<Id>>> {
        self.shared.stretches.as_ref().map(|path| stretches::load(&self.shared.fs, path)).unwrap_or_default()
    }

    fn sync(&self, folder: Folder) -> Result<(), BackendError> {
        let dir = self.dir(folder);
        self.shared.fs.sync_dir(&dir).map_err(|err| self.failed("flush", &dir, err))
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<(), BackendError> {
        let path = self.path(folder, name);
        match self.shared.fs.remove_file(&path) {
            Err(err) if !is_gone(&err) => Err(self.failed("remove", &path, err)),
            _ => Ok(()),
        }
    }

    fn set_aside(&self, folder: Folder, name: &str) -> Result<Option<String>, BackendError> {
        let (fs, path) = (&self.shared.fs, self.path(folder, name));
        for aside in names_aside(folder.as_str(), name) {
            match fs.link(&path, &self.path(Folder::Quarantine, &aside)) {
                Ok(()) => {
                    self.sync(Folder::Quarantine)?;
                    return Ok(Some(aside));
                }
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
                // No links here, no such file, no folder: the long way tells which.
                Err(_) => break,
            }
        }
        fs.make_dirs(&self.dir(Folder::Quarantine)).map_err(|err| self.failed("make", &path, err))?;
        copy_aside(self, folder, name)
    }

    fn left_over(&self) -> Result<Vec<String>, BackendError> {
        let here = Writer::current();
        let names = self.names(Folder::Tmp)?;
        Ok(names.into_iter().filter(|name| Writer::parse(name).is_some_and(|writer| writer.is_dead(here))).collect())
    }

    fn drop_format(&self) -> Result<(), BackendError> {
        let (fs, path) = (&self.shared.fs, self.shared.root.join("format"));
        fs.make_dirs(&self.dir(Folder::Quarantine)).map_err(|err| self.failed("make", &path, err))?;
        for aside in names_aside("format", "") {
            match fs.rename_no_replace(&path, &self.path(Folder::Quarantine, &aside)) {
                Ok(()) => {
                    self.sync(Folder::Quarantine)?;
                    return fs.sync_dir(&self.shared.root).map_err(|err| self.failed("flush", &path, err));
                }
                Err(err) if is_absent(&err) => return Ok(()),
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
                Err(err) => return Err(self.failed("set aside", &path, err)),
            }
        }
        Err(self.failed("set aside", &path, io::Error::other("quarantine is full of it")))
    }

    fn prepare(&self) -> Result<(), BackendError> {
        let fs = &self.shared.fs;
        let root = &self.shared.root;
        let made = (|| {
            fs.make_dirs(root)?;
            for folder in Folder::ALL {
                fs.make_dirs(&self.dir(folder))?;
            }
            fs.sync_dir(root)?;
            root.parent().map_or(Ok(()), |above| fs.sync_dir(above))
        })();
        made.map_err(|err| self.failed("make", root, err))
    }

    fn read_format(&self) -> Result<Option<Vec<u8>>, BackendError> {
        let path = self.shared.root.join("format");
        self.shared.fs.read(&path).map_err(|err| self.failed("read", &path, err))
    }

    fn create_format(&self, bytes: &[u8]) -> Result<Outcome, BackendError> {
        let path = self.shared.root.join("format");
        let mut staged = self.stage_at()?;
        let made = staged.write_all(bytes).and_then(|()| staged.flush_buffer());
        let made = made.and_then(|()| staged.out.as_ref().map_or(Ok(()), Output::sync));
        made.map_err(|err| self.failed("write", &path, err))?;
        let outcome = staged.name(&path, Folder::Tmp)?;
        self.shared.fs.sync_dir(&self.shared.root).map_err(|err| self.failed("flush", &self.shared.root, err))?;
        Ok(outcome)
    }

    fn tell_newest(&self, number: u64) {
        if !self.shared.fs.is_simulated() {
            let text = format!("{}\n", super::entry::name(number));
            let _ = self.shared.fs.replace(&self.shared.root.join("newest"), text.as_bytes(), false);
        }
    }

    fn queue(&self, wait: Duration) -> Option<Box<dyn Queued>> {
        let turn = self.shared.fs.lock(&self.path(Folder::Tmp, "queue"), wait)?;
        Some(Box::new(Turn(turn)))
    }

    fn pause(&self, time: Duration) {
        self.shared.fs.pause(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tmp_names(backend: &LocalBackend) -> Vec<String> {
        backend.names(Folder::Tmp).unwrap()
    }

    #[test]
    fn only_what_a_dead_writer_of_this_place_left_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let backend = LocalBackend::new(Fs::real(), dir.path());
        backend.prepare().unwrap();
        let staged = backend.stage().unwrap();
        assert_eq!(tmp_names(&backend).len(), 1);
        assert_eq!(backend.left_over().unwrap(), Vec::<String>::new(), "the writer lives");
        let here = Writer::current();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = Writer { pid: child.id(), ..here.clone() };
        child.wait().unwrap();
        let gone = format!("{}-0", dead.prefix("0123456789abcdef"));
        let elsewhere = Writer { place: "ffffffffffffffff".to_owned(), ..dead.clone() };
        let unknown = Writer { place: NOWHERE.to_owned(), ..dead };
        let others = [
            elsewhere.prefix("0123456789abcdef") + "-0",
            unknown.prefix("0123456789abcdef") + "-0",
            "queue".to_owned(),
        ];
        for name in others.iter().chain([&gone]) {
            Fs::real().create_new(&dir.path().join("tmp").join(name), 0o444).unwrap();
        }
        let expected = if here.place == NOWHERE { vec![] } else { vec![gone] };
        assert_eq!(backend.left_over().unwrap(), expected);
        drop(staged);
    }

    #[test]
    fn a_file_set_aside_keeps_its_name_and_gets_another_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let backend = LocalBackend::new(Fs::real(), dir.path());
        backend.prepare().unwrap();
        let mut staged = backend.stage().unwrap();
        staged.write_all(b"bytes").unwrap();
        staged.publish(Folder::Packs, "x").unwrap();
        assert_eq!(backend.set_aside(Folder::Packs, "x").unwrap().as_deref(), Some("packs-x"));
        assert_eq!(backend.set_aside(Folder::Packs, "x").unwrap().as_deref(), Some("packs-x-2"));
        assert_eq!(copy_aside(&backend, Folder::Packs, "x").unwrap().as_deref(), Some("packs-x-3"));
        assert_eq!(backend.set_aside(Folder::Packs, "y").unwrap(), None);
        assert_eq!(backend.read(Folder::Packs, "x").unwrap().as_deref(), Some(&b"bytes"[..]));
        assert_eq!(backend.read(Folder::Quarantine, "packs-x-3").unwrap().as_deref(), Some(&b"bytes"[..]));
    }
}

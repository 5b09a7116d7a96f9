//! Writing a destination: beside its place first, then under its name.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Abort, Failure};
use crate::fs::{Fs, Lock, Output};
use crate::path::show;

/// How the names end under which destinations are written.
const PART: &str = ".prov-part";

/// How many writers of one destination may be at work at a time.
const MOST_WRITERS: u32 = 16;

/// Whether a path is that of a destination being written.
pub(super) fn is_part(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with('.') && name.ends_with(PART))
}

/// A destination being written. Without [`Part::finish`] nothing is left of it.
#[derive(Debug)]
pub(super) struct Part<'a> {
    fs: &'a Fs,
    abort: &'a Abort,
    destination: PathBuf,
    beside: PathBuf,
    out: Output,
    /// Held as long as the file beside has its name: what a killed process left is taken over, what a living one writes is not.
    _lock: Option<Lock>,
    written: u64,
    is_finished: bool,
}

impl<'a> Part<'a> {
    /// Begins to write `destination`; folders above it are made where missing.
    pub(super) fn begin(fs: &'a Fs, destination: &Path, abort: &'a Abort) -> Result<Self, Failure> {
        let shown = show(destination);
        let failed = |source| Failure::Io { doing: "write", what: shown.clone(), source };
        abort.check()?;
        let (Some(folder), Some(name)) = (destination.parent(), destination.file_name()) else {
            return Err(Failure::Spec { problem: format!("`{shown}` is no path of a file") });
        };
        if fs.is_dir(destination) {
            return Err(Failure::Work { problem: format!("`{shown}` is a folder, and a file is to be written there") });
        }
        fs.make_dirs(folder).map_err(failed)?;
        for number in 0..MOST_WRITERS {
            let mut beside = std::ffi::OsString::from(".");
            beside.push(name);
            if number > 0 {
                beside.push(format!(".{number}"));
            }
            beside.push(PART);
            let beside = folder.join(beside);
            let (lock, out) = match fs.lock(&beside, Duration::ZERO) {
                Some(lock) => (Some(lock), fs.create(&beside, 0o666)),
                // Somebody writes there, or there are no locks here; a new file is nobody else's.
                None => (None, fs.create_new(&beside, 0o666)),
            };
            let out = match out {
                Err(err) if lock.is_none() && err.kind() == io::ErrorKind::AlreadyExists => continue,
                out => out.map_err(failed)?,
            };
            let destination = destination.to_owned();
            return Ok(Self { fs, abort, destination, beside, out, _lock: lock, written: 0, is_finished: false });
        }
        Err(failed(io::Error::from(io::ErrorKind::ResourceBusy)))
    }

    /// The bytes that were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Sets what is told of the file beside its bytes.
    pub(super) fn like(&mut self, mode: u32, modified_ns: i64) -> Result<(), Failure> {
        let failed = |source| Failure::Io { doing: "write", what: show(&self.destination), source };
        self.out.set_mode(mode & 0o777).map_err(failed)?;
        self.out.set_modified(modified_ns).map_err(failed)
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.abort.check()?;
        let what = show(&self.destination);
        let failed = |source| Failure::Io { doing: "write", what: what.clone(), source };
        self.out.flush().map_err(failed)?;
        self.fs.rename(&self.beside, &self.destination).map_err(failed)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Write for Part<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.abort.is_raised() {
            // Not the kind `Interrupted`, after which writers try again.
            return Err(io::Error::other("aborted"));
        }
        let n = self.out.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = self.fs.remove_file(&self.beside);
        }
    }
}

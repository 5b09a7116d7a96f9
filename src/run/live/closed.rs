//! Finished runs of a batch, in one file of the run around them.
//!
//! A run that leaves nothing in its folder that its record needs is written to `closed-<n>` of the run around it, and its folder is given to
//! the next one at once: one write instead of a folder kept. The file holds, for each run, its `intent` and its `pending` as their own files
//! would have them, each after its length (four bytes, big-endian). What is cut off ends it: who reads it has what is before that. A run of which a
//! byte turned is lost, those after it are not.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::entry::{Entry, State};
use super::frame::{self, FrameError};
use super::{Intent, Live, PARKED, PENDING, Running, intent};
use crate::fs::{Fs, Output};

const CLOSED: &str = "closed-";

/// A file of finished runs, written by this process.
#[derive(Debug)]
pub(in crate::run) struct Closed {
    fs: Fs,
    file: Output,
    len: u64,
    is_whole: bool,
}

impl Closed {
    /// Adds a run with everything that a later command needs to publish it. Nothing is flushed.
    ///
    /// # Errors
    /// When it can't be written: then it is not in it.
    pub(in crate::run) fn add(&mut self, running: &Running, payload: &[u8]) -> io::Result<()> {
        if !self.is_whole {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let intent = running.intent.encode().map_err(io::Error::other)?;
        let pending = frame::seal(PENDING, intent::VERSION, payload);
        let mut bytes = Vec::with_capacity(8 + intent.len() + pending.len());
        for part in [&intent, &pending] {
            bytes.extend_from_slice(&u32::try_from(part.len()).map_err(io::Error::other)?.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        if let Err(err) = self.file.write_all(&bytes) {
            // What follows a piece would not be found.
            self.is_whole = self.file.truncate(self.len).is_ok();
            return Err(err);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Removes it: what is in it is history. What stays is found to be that.
    pub(in crate::run) fn remove(self) {
        let _ = self.fs.remove_file(self.file.path());
    }
}

impl Running {
    /// Makes the file number `n` of finished runs inside of this one.
    ///
    /// # Errors
    /// When it can't be made, or is there already.
    pub(in crate::run) fn closed(&self, n: u64) -> io::Result<Closed> {
        let file = self.live.fs.create_new(&self.dir.join(format!("{CLOSED}{n}")), 0o666)?;
        Ok(Closed { fs: self.live.fs.clone(), file, len: 0, is_whole: true })
    }
}

/// The runs inside of another, as far as they can be read.
#[derive(Debug, Default)]
pub struct Parts {
    /// Those that were read.
    pub runs: Vec<Entry>,
    /// What could not be read for now, and why: nobody knows what is in it, so nothing around it may be removed.
    pub unread: Vec<String>,
    /// Finished runs of which nothing can be made any more: their bytes are not those that were written.
    pub lost: Vec<String>,
}

impl Live {
    fn closed_files(&self, entry: &Entry) -> io::Result<Vec<PathBuf>> {
        let names = self.fs.names(&entry.dir)?;
        let mut numbers: Vec<(u64, PathBuf)> = names
            .into_iter()
            .filter_map(|name| Some((name.to_str()?.strip_prefix(CLOSED)?.parse().ok()?, entry.dir.join(&name))))
            .collect();
        numbers.sort_unstable();
        Ok(numbers.into_iter().map(|(_, path)| path).collect())
    }

    /// Whether there are files of finished runs inside of the run `entry`, as far as anybody can tell.
    pub(super) fn has_closed(&self, entry: &Entry) -> bool {
        self.closed_files(entry).map_or(true, |files| !files.is_empty())
    }

    /// The finished runs inside of the run `entry` that have no folders of their own, in the order in which they ended.
    pub fn closed(&self, entry: &Entry) -> Parts {
        let folder = entry.dir.join(PARKED);
        let mut parts = Parts::default();
        let unread = |path: &Path, err: &io::Error| format!("`{}` can't be read: {err}", path.display());
        let files = match self.closed_files(entry) {
            Ok(files) => files,
            Err(err) => {
                parts.unread.push(unread(&entry.dir, &err));
                return parts;
            }
        };
        for path in files {
            let bytes = match self.fs.read(&path) {
                Ok(bytes) => bytes.unwrap_or_default(),
                Err(err) => {
                    parts.unread.push(unread(&path, &err));
                    continue;
                }
            };
            let mut rest = bytes.as_slice();
            while let Some((intent, pending)) = next(&mut rest) {
                let intent = Intent::decode(intent);
                let payload = frame::open(PENDING, intent::VERSION, pending);
                match (intent, payload) {
                    (Ok(intent), Ok(payload)) => {
                        let owner = self.here().sees(&intent.owner);
                        let (run, dir) = (intent.run.clone(), folder.join(&intent.run));
                        let state = State::Finished { payload: payload.to_vec(), owner };
                        parts.runs.push(Entry { run, dir, intent: Some(intent), child: None, state });
                    }
                    // A newer prov can make something of it.
                    (Err(err @ FrameError::TooNew { .. }), _) | (_, Err(err @ FrameError::TooNew { .. })) => {
                        parts.unread.push(format!("{err}, in `{}`", path.display()));
                    }
                    (Ok(intent), Err(_)) => parts.lost.push(intent.run),
                    (Err(_), _) => parts.lost.push(format!("of which nothing is known, in `{}`", path.display())),
                }
            }
        }
        parts
    }

    /// Removes the files of finished runs inside of the run `entry`: all of them are on record.
    pub fn forget_closed(&self, entry: &Entry) {
        for path in self.closed_files(entry).unwrap_or_default() {
            let _ = self.fs.remove_file(&path);
        }
    }
}

/// The two files of the next run, whatever is in them; `None` at the end, which may be in the middle of a run.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut part = || {
        let (len, after) = rest.split_at_checked(4)?;
        // Nothing is that short: a file that was never flushed may be full of zeros after a power cut.
        let len =
            Some(len.iter().fold(0, |sum: usize, &byte| (sum << 8) | usize::from(byte))).filter(|len| *len > 0)?;
        let (part, after) = after.split_at_checked(len)?;
        *rest = after;
        Some(part)
    };
    Some((part()?, part()?))
}

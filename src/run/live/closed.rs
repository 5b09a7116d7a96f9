//! Finished runs of a batch, in one file of the run around them.
//!
//! A run that leaves nothing in its folder that its record needs is written to `closed-<n>` of the run around it, and its folder is given to
//! the next one at once: one write instead of a folder kept. The file holds, for each run, its `intent` and its `pending` as their own files
//! would have them, each after its length (four bytes, big-endian). What is cut off or damaged ends it: who reads it has what is before that.

use std::io::{self, Write};
use std::path::PathBuf;

use super::entry::{Entry, State};
use super::{Intent, Live, PARKED, PENDING, Running, frame, intent};
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

impl Live {
    fn closed_files(&self, entry: &Entry) -> Vec<PathBuf> {
        let names = self.fs.names(&entry.dir).unwrap_or_default();
        let mut numbers: Vec<(u64, PathBuf)> = names
            .into_iter()
            .filter_map(|name| Some((name.to_str()?.strip_prefix(CLOSED)?.parse().ok()?, entry.dir.join(&name))))
            .collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|(_, path)| path).collect()
    }

    /// Whether there are files of finished runs inside of the run `entry`.
    pub(super) fn has_closed(&self, entry: &Entry) -> bool {
        !self.closed_files(entry).is_empty()
    }

    /// The finished runs inside of the run `entry` that have no folders of their own, in the order in which they ended.
    pub fn closed(&self, entry: &Entry) -> Vec<Entry> {
        let folder = entry.dir.join(PARKED);
        let mut found = Vec::new();
        for path in self.closed_files(entry) {
            let bytes = self.fs.read(&path).ok().flatten().unwrap_or_default();
            let mut rest = bytes.as_slice();
            while let Some((intent, payload)) = next(&mut rest) {
                let owner = self.here().sees(&intent.owner);
                let (run, dir) = (intent.run.clone(), folder.join(&intent.run));
                let state = State::Finished { payload, owner };
                found.push(Entry { run, dir, intent: Some(intent), child: None, state });
            }
        }
        found
    }

    /// Removes the files of finished runs inside of the run `entry`: all of them are on record.
    pub fn forget_closed(&self, entry: &Entry) {
        for path in self.closed_files(entry) {
            let _ = self.fs.remove_file(&path);
        }
    }
}

fn next(rest: &mut &[u8]) -> Option<(Intent, Vec<u8>)> {
    let mut part = || {
        let (len, after) = rest.split_at_checked(4)?;
        let len = len.iter().fold(0, |sum: usize, &byte| (sum << 8) | usize::from(byte));
        let (part, after) = after.split_at_checked(len)?;
        *rest = after;
        Some(part)
    };
    let (intent, pending) = (part()?, part()?);
    let payload = frame::open(PENDING, intent::VERSION, pending).ok()?.to_vec();
    Some((Intent::decode(intent).ok()?, payload))
}

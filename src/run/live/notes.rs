//! What is said of a live run from within: files that it reads or writes, remarks, numbers.
//!
//! Each note is a file of its own that appears whole, so any number of processes may add at once, and one that is killed leaves a whole
//! note or none. Their names sort by time. They take effect when the run is closed, however it is.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::{Live, LiveError, Running, at, frame, intent};
use crate::clock::Random;
use crate::codec::{self, Limits, Value};
use crate::object::recipe::Content;

const NOTES: &str = "notes";
const NOTE: &str = "note";

/// A file or folder that was logged: what it was at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noted {
    /// Its key.
    pub key: String,
    /// Where it lies: relative to the project, or absolute when outside of it.
    pub path: BString,
    /// What it holds.
    pub content: Content,
    /// Its bytes.
    pub size: u64,
    /// Whether it is a file that may be executed.
    pub exec: bool,
    /// Its format by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Queryable remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facets: BTreeMap<String, Value>,
    /// Free remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, Value>,
}

/// What one command said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Note {
    /// Read by the run.
    pub inputs: Vec<Noted>,
    /// Written by the run.
    pub outputs: Vec<Noted>,
    /// Queryable remarks on the run.
    pub facets: BTreeMap<String, Value>,
    /// Numbers that it reports.
    pub metrics: BTreeMap<String, Value>,
    /// Free remarks on it.
    pub meta: BTreeMap<String, Value>,
    /// Labels.
    pub tags: BTreeSet<String>,
    /// What it is, in a sentence.
    pub message: Option<String>,
}

impl Live {
    /// Adds a note to a live run.
    ///
    /// # Errors
    /// When it can't be written, e.g. because the run has ended.
    pub fn note(&self, run: &str, note: &Note, random: &dyn Random) -> Result<(), LiveError> {
        let dir = self.dir(run)?;
        if !self.is_folder(&dir) {
            return Err(LiveError::Ended { run: run.to_owned() });
        }
        let dir = dir.join(NOTES);
        match self.fs.make_dir(&dir) {
            Err(err) if err.kind() != std::io::ErrorKind::AlreadyExists => return Err(at(&dir)(err)),
            _ => {}
        }
        let mut bits = [0; 8];
        random.fill(&mut bits);
        let path = dir.join(format!("{}-{:016x}", self.clock.now().compact(), u64::from_be_bytes(bits)));
        let bytes = codec::encode(note).map_err(|source| LiveError::Encode { run: run.to_owned(), source })?;
        self.fs.replace(&path, &frame::seal(NOTE, intent::VERSION, &bytes), false).map_err(at(&path))
    }

    /// The notes on a run in the order in which they were made. One that can't be read is left out.
    pub fn notes(&self, run: &str) -> Vec<Note> {
        let Ok(dir) = self.dir(run).map(|dir| dir.join(NOTES)) else { return Vec::new() };
        let mut names = self.fs.names(&dir).unwrap_or_default();
        names.retain(|name| std::path::Path::new(name).extension().is_none_or(|extension| extension != "tmp"));
        names.sort_unstable();
        let read = |name: std::ffi::OsString| {
            let bytes = self.fs.read(&dir.join(name)).ok().flatten()?;
            codec::decode(frame::open(NOTE, intent::VERSION, &bytes).ok()?, &Limits::RECORD).ok()
        };
        names.into_iter().filter_map(read).collect()
    }
}

impl Running {
    /// The notes on it.
    pub fn notes(&self) -> Vec<Note> {
        self.live.notes(&self.intent.run)
    }
}

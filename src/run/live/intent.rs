//! What a run is going to do, written down before it does it.

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::frame::{self, FrameError};
use crate::clock::Micros;
use crate::codec::{self, Limits};
use crate::hash::Id;
use crate::host::{Liveness, Process};
use crate::object::recipe::FileSet;
use crate::recipe::Members;

/// The version of the files in the live folder that is written, and the newest that is read.
pub(super) const VERSION: u32 = 1;

/// A run that begins: enough to record it as aborted if nothing more is ever heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Its run id.
    pub run: String,
    /// The project's name.
    pub project: String,
    /// The birth name of the scenario that it started in.
    pub scenario: String,
    /// Its step.
    pub step: String,
    /// Its recipe, if that is known before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Id>,
    /// The run around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it began.
    pub started_at: Micros,
    /// What it executes, word by word.
    pub argv: Vec<BString>,
    /// Where, relative to the project.
    pub cwd: BString,
    /// Output paths that it wants for itself: relative to the project, or absolute when outside of it; in normal form.
    pub outputs: Vec<BString>,
    /// Files of folders that it wants for itself, while others may have their neighbours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetClaim>,
    /// The op id of the transaction that will close it, whoever closes it.
    pub op: [u8; 16],
    /// The prov that runs it.
    pub owner: Process,
    /// Of a run that is executed by somebody else, between a start and a finish: who or what ends it if nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
}

/// When a run that was started and not finished counts as dead: only by these rules, for there is no process of prov to watch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// When this process is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Process>,
    /// When this time has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Micros>,
}

impl Open {
    /// Whether it is over, seen from the process `here` at the time `now`.
    pub(super) fn is_over(&self, here: &Process, now: Micros) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
            || self.owner.as_ref().is_some_and(|owner| here.sees(owner) == Liveness::Dead)
    }
}

/// The version of an intent that says how it ends: an older prov must not take it for a dead run.
const OPEN_VERSION: u32 = 2;

/// Some files of a folder, by patterns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetClaim {
    /// The folder, as [`Intent::outputs`] have paths; empty for the project.
    pub root: BString,
    /// Which of its files.
    pub files: FileSet,
}

impl SetClaim {
    /// What the paths of all of its files begin with: each of them with one of these.
    pub fn prefixes(&self) -> Vec<BString> {
        let below = |prefix: BString| {
            let mut path = self.root.clone();
            if !path.is_empty() && !path.ends_with(b"/") {
                path.push(b'/');
            }
            path.extend_from_slice(&prefix);
            path
        };
        // Patterns that a newer prov wrote: the whole folder.
        let prefixes = Members::new(&self.files).map_or_else(|_| vec![BString::default()], |set| set.prefixes());
        prefixes.into_iter().map(below).collect()
    }
}

impl Intent {
    /// Whether it is of a run, and not of something that only claims places.
    pub fn is_of_a_run(&self) -> bool {
        !self.argv.is_empty() || self.open.is_some()
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, codec::Error> {
        let version = if self.open.is_some() { OPEN_VERSION } else { VERSION };
        Ok(frame::seal(super::INTENT, version, &codec::encode(self)?))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let payload = frame::open(super::INTENT, OPEN_VERSION, bytes)?;
        codec::decode(payload, &Limits::RECORD).map_err(|source| FrameError::Record { kind: super::INTENT, source })
    }
}

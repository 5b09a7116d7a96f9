//! One folder of the live folder, as another process sees it.

use std::io;
use std::path::{Path, PathBuf};

use super::frame::{self, FrameError};
use super::intent::{self, Intent};
use super::{CHILD, DRAFT, INTENT, Live, PENDING};
use crate::clock::Micros;
use crate::codec::{self, Limits};
use crate::host::{Liveness, Process};
use crate::run::group;
use crate::run::observer::Stream;
use crate::run::spool::Spooled;

/// A run that is not recorded yet, or the remains of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its run id, the name of the folder.
    pub run: String,
    /// Its folder.
    pub dir: PathBuf,
    /// What it is or was to do; `None` if that can't be read.
    pub intent: Option<Intent>,
    /// Its child, once that was started.
    pub child: Option<Process>,
    /// How it is about it.
    pub state: State,
}

/// The state of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its prov is at work.
    Running,
    /// Its prov is gone for good. To be recorded as aborted, after [`Entry::end_child`].
    Dead,
    /// Its prov lives, or lived, where we can't look: on another host or in another pid namespace. Only who knows better
    /// may end it, by name.
    Unknown {
        /// That host.
        host: String,
    },
    /// It is finished and waits to be published.
    Finished {
        /// What the caller of [`super::Running::finished`] wrote down.
        payload: Vec<u8>,
        /// Whether the prov that ran it may still be about to publish it. Publishing twice is harmless: one op id.
        owner: Liveness,
    },
    /// It can't be read.
    Damaged {
        /// What is wrong.
        what: String,
    },
}

impl Entry {
    /// What it printed, so far.
    pub fn spooled(&self, live: &Live, stream: Stream) -> io::Result<Spooled> {
        Spooled::find(&live.fs, &self.dir, stream)
    }

    /// What was written down of it while it ran; `None` if it did not come to that or it can't be read.
    pub fn draft(&self, live: &Live) -> Option<Vec<u8>> {
        let bytes = live.fs.read(&self.dir.join(DRAFT)).ok().flatten()?;
        frame::open(DRAFT, intent::VERSION, &bytes).ok().map(<[u8]>::to_vec)
    }

    /// The last moment at which something in its folder was written, but not before its beginning.
    pub fn last_sign(&self, live: &Live) -> Micros {
        let begun = self.intent.as_ref().map_or(Micros(0), |intent| intent.started_at);
        let names = live.fs.names(&self.dir).unwrap_or_default();
        let written = names.iter().filter_map(|name| live.fs.lstat(&self.dir.join(name)).ok().flatten());
        written.map(|stat| Micros(stat.mtime_ns / 1000)).fold(begun, Micros::max)
    }

    /// Kills what still runs of the child of a dead run, so that it can't write to output paths that others get next.
    /// Returns whether nothing is left; `true` as well if nothing can be found out about it.
    ///
    /// Processes are taken for its own only if they were started with `PROV_RUN_ID=<run id>`, or are the very child.
    pub fn end_child(&self, live: &Live, patience: std::time::Duration) -> bool {
        match &self.child {
            Some(child) => group::end_orphans(live.here(), child, &self.word(), patience),
            None => !self.may_have_started(live) || group::end_started_with(&self.word(), patience),
        }
    }

    /// Whether a child may have been started here that there was no time to write down.
    fn may_have_started(&self, live: &Live) -> bool {
        let is_here = |owner: &Process| {
            let here = live.here();
            !here.boot.is_empty() && owner.boot == here.boot && owner.pid_namespace == here.pid_namespace
        };
        let intent = self.intent.as_ref().filter(|intent| intent.open.is_none() && intent.is_of_a_run());
        intent.is_some_and(|intent| is_here(&intent.owner))
    }

    /// Whether something of the child still runs though its prov is dead.
    pub fn is_orphaned(&self, live: &Live) -> bool {
        let left = || match &self.child {
            Some(child) => group::orphans(live.here(), child, &self.word()),
            None if self.may_have_started(live) => group::started_with(&self.word()),
            None => Vec::new(),
        };
        self.state == State::Dead && !left().is_empty()
    }

    fn word(&self) -> Vec<u8> {
        format!("PROV_RUN_ID={}", self.run).into_bytes()
    }
}

/// Reads the entry; `None` if there is none (any more).
pub(super) fn read(live: &Live, run: &str, dir: &Path) -> Option<Entry> {
    let read = |name: &'static str| live.fs.read(&dir.join(name));
    let pending = match read(PENDING) {
        Ok(bytes) => Ok(bytes),
        Err(err) => Err(format!("`{PENDING}` can't be read: {err}")),
    };
    let intent = match read(INTENT) {
        Ok(Some(bytes)) => Intent::decode(&bytes).map_err(|err| err.to_string()),
        // Being removed it is renamed away first: a folder without intent is not on its way out.
        Ok(None) if live.is_folder(dir) => Err(format!("`{INTENT}` is missing")),
        Ok(None) if live.fs.lstat(dir).is_ok_and(|stat| stat.is_none()) => return None,
        Ok(None) => Err("not a folder".to_owned()),
        Err(err) => Err(format!("`{INTENT}` can't be read: {err}")),
    };
    let intent = intent.and_then(|intent| {
        if intent.run == run { Ok(intent) } else { Err(format!("`{INTENT}` is of another run, {}", intent.run)) }
    });
    let child = read(CHILD).ok().flatten().and_then(|bytes| read_child(&bytes).ok());
    let owner = intent.as_ref().map_or(Liveness::Unknown, |intent| live.here().sees(&intent.owner));
    let state = match (pending, &intent) {
        (Ok(Some(bytes)), _) => match frame::open(PENDING, intent::VERSION, &bytes) {
            Ok(payload) => State::Finished { payload: payload.to_vec(), owner },
            Err(err) => State::Damaged { what: err.to_string() },
        },
        (Err(what), _) => State::Damaged { what },
        (Ok(None), Err(what)) => State::Damaged { what: what.clone() },
        (Ok(None), Ok(Intent { open: Some(open), .. })) => {
            if open.is_over(live.here(), live.clock.now()) {
                State::Dead
            } else {
                State::Running
            }
        }
        (Ok(None), Ok(_)) => match owner {
            Liveness::Alive => State::Running,
            Liveness::Dead => State::Dead,
            Liveness::Unknown => State::Unknown {
                host: intent.as_ref().map_or_else(|_| String::new(), |intent| intent.owner.host.clone()),
            },
        },
    };
    Some(Entry { run: run.to_owned(), dir: dir.to_owned(), intent: intent.ok(), child, state })
}

fn read_child(bytes: &[u8]) -> Result<Process, FrameError> {
    let payload = frame::open(CHILD, intent::VERSION, bytes)?;
    codec::decode(payload, &Limits::RECORD).map_err(|source| FrameError::Record { kind: CHILD, source })
}

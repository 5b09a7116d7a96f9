//! `.prov/live/`: the runs that are not recorded yet, one folder each.
//!
//! ```text
//! <run id>/intent             who runs what, and which output paths it wants; complete when the folder appears
//!         /child              the started child, for whoever has to end it after its prov was killed
//!         /claiming, /claimed see [`Running::claim`]
//!         /draft              its record as far as it was known when the command ran, for whoever has to settle it
//!         /events             what was told of it so far (see `docs/design/0004-events.md`)
//!         /notes, /children   what was logged from within, and the runs inside of it
//!         /stdout, /stderr    what was printed (see [`super::spool`])
//!         /pending            a finished run that waits to be published
//!         /parked/<run id>/   folders of runs that are part of it, finished or without claims
//!         /closed-<n>         finished runs that are part of it and have no folders any more (see [`closed`])
//! .new-..., .ended-...        folders being made or removed; mean nothing to readers
//! .spare                      an empty folder (with an empty one for outputs in it), which the next run makes its own: making and
//!                             removing folders takes longer than all else here
//! ```
//!
//! A folder survives `kill -9` at any moment; only `pending` is flushed, so a power cut may lose what was running, and
//! then leaves nothing or a damaged entry, never a wrong one. Whether the run of a folder still lives is asked of the
//! machine ([`Process::sees`]); only the same boot and pid namespace, or a later boot of the same machine, may say
//! that it is dead. Any number of processes may settle one dead run at once: publishing uses the op id of its
//! intent, and removing what is gone already is no error.

mod children;
mod claim;
mod closed;
mod entry;
mod frame;
mod intent;
mod notes;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Clock, SystemClock};
use crate::fs::Fs;
use crate::hash;
use crate::host::{self, Liveness, Process, This};
use crate::path::{is_name, show, shown};

pub use claim::{Claimed, Held};
pub(super) use closed::Closed;
pub use closed::Parts;
pub use entry::{Entry, State};
pub use frame::FrameError;
pub use intent::{Intent, Open, SetClaim};
pub use notes::{Note, Noted};

const INTENT: &str = "intent";
const CHILD: &str = "child";
const PENDING: &str = "pending";
const DRAFT: &str = "draft";
const PARKED: &str = "parked";
const NEW: &str = ".new-";
const ENDED: &str = ".ended-";
const SPARE: &str = ".spare";

/// What can go wrong in the live folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// A file or folder of it can't be read or written.
    #[error("live folder: `{}`", show(.path))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run is not live, or no longer.
    #[error("run {run} is not live")]
    Ended {
        /// The run.
        run: String,
    },
    /// A run id that can't be the name of a folder.
    #[error("not a run id: `{}`", shown(.run.as_bytes()))]
    Name {
        /// The run id.
        run: String,
    },
    /// A record that can't be encoded.
    #[error("live record of {run}")]
    Encode {
        /// The run.
        run: String,
        /// Why.
        source: crate::codec::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> LiveError + '_ {
    |source| LiveError::Io { path: path.to_owned(), source }
}

/// The live folder, seen from this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live {
    fs: Fs,
    root: PathBuf,
    here: This,
    clock: Arc<dyn Clock>,
}

/// A run of this process, from its intent to its end.
#[derive(Debug)]
pub struct Running {
    live: Live,
    intent: Intent,
    dir: PathBuf,
}

impl Live {
    /// The live folder at `root`, which need not exist yet; `here` is this process.
    pub fn new(fs: Fs, root: PathBuf, here: impl Into<This>) -> Self {
        Self { fs, root, here: here.into(), clock: Arc::new(SystemClock) }
    }

    /// The same, told the time by `clock`.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// This process.
    pub fn here(&self) -> &Process {
        self.here.process()
    }

    /// Writes down that a run begins. Its folder appears with the complete intent, or not at all; nothing is flushed.
    ///
    /// # Errors
    /// The folder can't be written, or there is one of that run id already.
    pub fn begin(&self, intent: Intent) -> Result<Running, LiveError> {
        let dir = self.dir(&intent.run)?;
        let bytes = intent.encode().map_err(|source| LiveError::Encode { run: intent.run.clone(), source })?;
        let new = self.new_name(&intent.run);
        if self.fs.rename(&self.root.join(SPARE), &new).is_err() {
            match self.fs.make_dir(&new) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => {
                    self.fs.make_dirs(&new).map_err(at(&new))?;
                }
                made => made.map_err(at(&new))?,
            }
        }
        self.appear(new, dir, intent, &bytes)
    }

    /// As [`Live::begin`], in a folder of this process that [`Running::into_spare`] gave.
    ///
    /// # Errors
    /// As [`Live::begin`]; the folder is gone then.
    pub fn begin_in(&self, spare: PathBuf, intent: Intent) -> Result<Running, LiveError> {
        let dir = self.dir(&intent.run)?;
        let bytes = intent.encode().map_err(|source| LiveError::Encode { run: intent.run.clone(), source })?;
        self.appear(spare, dir, intent, &bytes)
    }

    /// Gives back a folder that nobody begins in any more.
    pub fn spared(&self, spare: &Path) {
        if self.fs.rename(spare, &self.root.join(SPARE)).is_err() {
            let _ = self.fs.remove_tree(spare);
        }
    }

    /// The name of a folder that is being made ready for `run`.
    fn new_name(&self, run: &str) -> PathBuf {
        let owner = self.here();
        self.root.join(format!("{NEW}{}-{}-{}-{run}", self.place(), owner.pid, owner.start))
    }

    /// Makes the folder `new` that of a run.
    fn appear(&self, new: PathBuf, dir: PathBuf, intent: Intent, bytes: &[u8]) -> Result<Running, LiveError> {
        let appeared = self.write(&new.join(INTENT), bytes).and_then(|()| {
            // Renaming to a folder that holds anything fails, and every folder of a run holds its intent.
            self.fs.rename(&new, &dir).map_err(at(&dir))
        });
        if let Err(err) = appeared {
            let _ = self.fs.remove_tree(&new);
            return Err(err);
        }
        Ok(Running { live: self.clone(), intent, dir })
    }

    /// Removes the folder of `run` with all that is in it, and so releases its claims. It is renamed away first, so
    /// that a half-removed one is never read. Nothing there is no error.
    pub fn end(&self, run: &str) -> Result<(), LiveError> {
        self.end_at(&self.dir(run)?, run)
    }

    /// As [`Live::end`], for a run whose folder may lie in another's.
    pub(super) fn end_at(&self, dir: &Path, run: &str) -> Result<(), LiveError> {
        let away = self.root.join(format!("{ENDED}{}-{run}", std::process::id()));
        let mut renamed = self.fs.rename(dir, &away);
        if renamed.as_ref().is_err_and(|err| !crate::fs::is_absent(err)) {
            // Left by one of the same pid that did not come to an end with it.
            let _ = self.discard(&away);
            renamed = self.fs.rename(dir, &away);
        }
        match renamed {
            Ok(()) => {
                if !self.is_spared(&away) {
                    // What stays is swept later.
                    let _ = self.fs.remove_tree(&away);
                }
                Ok(())
            }
            Err(err) if crate::fs::is_absent(&err) => Ok(()),
            Err(err) => Err(at(dir)(err)),
        }
    }

    /// Removes what killed processes left half-made or half-removed. Never touches a run.
    ///
    /// # Errors
    /// The folder can't be listed, or something can't be removed.
    pub fn sweep(&self) -> Result<(), LiveError> {
        for name in self.fs.names(&self.root).map_err(at(&self.root))? {
            let Some(text) = name.to_str() else { continue };
            let path = self.root.join(&name);
            if text.starts_with(ENDED) || (text.starts_with(NEW) && self.is_abandoned(text, &path)) {
                self.discard(&path)?;
            }
        }
        Ok(())
    }

    /// Removes a folder that somebody else may be about to make the spare one. It is taken first, by a name that nobody else knows: else what
    /// is removed from it could be that of the run whose folder it is by then.
    fn discard(&self, path: &Path) -> Result<(), LiveError> {
        static TAKEN: AtomicU64 = AtomicU64::new(0);
        let (owner, number) = (self.here(), TAKEN.fetch_add(1, Ordering::Relaxed));
        let taken = self.root.join(format!("{ENDED}0-{}-{}-{}-{number}", self.place(), owner.pid, owner.start));
        match self.fs.rename(path, &taken).and_then(|()| self.fs.remove_tree(&taken)) {
            Err(err) if !crate::fs::is_absent(&err) => Err(at(path)(err)),
            _ => Ok(()),
        }
    }

    /// Whether the folder of a run that ended is the spare one now, emptied.
    fn is_spared(&self, path: &Path) -> bool {
        self.is_emptied(path) && self.fs.rename(path, &self.root.join(SPARE)).is_ok()
    }

    /// Whether the folder of a run that ended, by a name that nobody else knows, is empty now. It must be as readable as the folder around
    /// it, whoever made it.
    fn is_emptied(&self, path: &Path) -> bool {
        let mode =
            |path: &Path| self.fs.lstat(path).ok().flatten().filter(crate::fs::Stat::is_folder).map(|stat| stat.mode);
        let (own, folder) = (mode(&self.root), path.join(super::managed::NAME));
        let is_empty = |path: &Path| self.fs.names(path).is_ok_and(|names| names.is_empty());
        let mut is_plain = true;
        let removed = |name: std::ffi::OsString| {
            if name == super::managed::NAME {
                mode(&folder) == own && is_empty(&folder)
            } else {
                is_plain &= name == INTENT;
                self.fs.remove_file(&path.join(name)).is_ok()
            }
        };
        own.is_some()
            && mode(path) == own
            && self.fs.names(path).is_ok_and(|names| names.into_iter().all(removed))
            // Nothing of one run may be found in the folder of another. Whom it held more of than its intent, others knew, who may still
            // have been at it.
            && (is_plain
                || self.fs.names(path).is_ok_and(|names| names.iter().all(|name| name == super::managed::NAME)))
    }

    /// Whether the process that makes this new folder is known to be dead.
    fn is_abandoned(&self, name: &str, path: &Path) -> bool {
        if let Ok(Some(bytes)) = self.fs.read(&path.join(INTENT))
            && let Ok(intent) = Intent::decode(&bytes)
        {
            return self.here().sees(&intent.owner) == Liveness::Dead;
        }
        let mut parts = name[NEW.len()..].splitn(4, '-');
        let place = parts.next();
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (pid, start) = (number().and_then(|pid| u32::try_from(pid).ok()), number());
        let (Some(pid), Some(start)) = (pid, start) else { return false };
        place == Some(self.place().as_str()) && !host::is_running(pid, start)
    }

    /// Names where pids of this process mean something.
    fn place(&self) -> String {
        let Process { host, machine, boot, pid_namespace, .. } = self.here();
        hash::derived("prov 2026 live place", format!("{host}\0{machine}\0{boot}\0{pid_namespace}").as_bytes()).short()
    }

    fn dir(&self, run: &str) -> Result<PathBuf, LiveError> {
        if is_name(run.as_bytes()) && !run.starts_with('.') {
            Ok(self.root.join(run))
        } else {
            Err(LiveError::Name { run: run.to_owned() })
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), LiveError> {
        let write = || self.fs.create_new(path, 0o666)?.write_all(bytes);
        write().map_err(at(path))
    }

    /// The ids of all runs that have a folder, oldest first.
    fn runs(&self) -> Result<Vec<String>, LiveError> {
        let names = self.fs.names(&self.root).map_err(at(&self.root))?;
        let mut runs: Vec<String> = names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        runs.sort_unstable();
        Ok(runs)
    }

    /// Everything in the folder, oldest first. Damage of one entry is a state of it.
    pub fn list(&self) -> Result<Vec<Entry>, LiveError> {
        Ok(self.runs()?.into_iter().filter_map(|run| self.entry(&run)).collect())
    }

    /// The entry of one run; `None` if there is none.
    pub fn entry(&self, run: &str) -> Option<Entry> {
        let dir = self.dir(run).ok()?;
        entry::read(self, run, &dir)
    }

    /// A run that was started and not finished, for whoever finishes it; `None` if there is none of that id.
    pub fn resume(&self, run: &str) -> Option<Running> {
        let entry = self.entry(run)?;
        let intent = entry.intent.filter(|intent| intent.open.is_some())?;
        Some(Running { live: self.clone(), intent, dir: entry.dir })
    }

    /// The run id that a text names among the runs here: all of it, or the beginning of its random part.
    ///
    /// # Errors
    /// When the folder can't be listed.
    pub fn find(&self, text: &str) -> Result<Vec<String>, LiveError> {
        let runs = self.runs()?;
        if runs.iter().any(|run| run == text) {
            return Ok(vec![text.to_owned()]);
        }
        let is_meant = |run: &String| text.len() >= 4 && crate::object::run::tail(run).starts_with(text);
        Ok(runs.into_iter().filter(is_meant).collect())
    }

    /// What was written of a run's events so far; empty if there is nothing to read.
    pub fn events(&self, run: &str) -> Vec<u8> {
        let bytes = self.dir(run).ok().and_then(|dir| self.fs.read(&dir.join(super::report::EVENTS)).ok().flatten());
        bytes.unwrap_or_default()
    }

    /// As [`Live::events`], of an entry wherever its folder lies.
    pub fn events_of(&self, entry: &Entry) -> Vec<u8> {
        self.fs.read(&entry.dir.join(super::report::EVENTS)).ok().flatten().unwrap_or_default()
    }

    /// Whether other runs lie in the folder of the run `entry`, as far as anybody can tell: what can't be looked at may have some.
    pub fn has_parked(&self, entry: &Entry) -> bool {
        let folder = self.fs.lstat(&entry.dir.join(PARKED));
        folder.map_or(true, |stat| stat.is_some_and(|stat| stat.is_folder())) || self.has_closed(entry)
    }

    /// The runs inside of the run `entry`: parts of it that are finished or under way. First those whose folders lie in its own, oldest
    /// first, then those that have none any more.
    pub fn parked(&self, entry: &Entry) -> Parts {
        let folder = entry.dir.join(PARKED);
        let mut parts = self.closed(entry);
        let mut names = match self.fs.names(&folder) {
            Ok(names) => names,
            Err(err) => {
                parts.unread.push(format!("`{}` can't be read: {err}", folder.display()));
                Vec::new()
            }
        };
        names.sort_unstable();
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        let folders: Vec<Entry> = names.filter_map(|run| entry::read(self, &run, &folder.join(&run))).collect();
        parts.runs.splice(..0, folders);
        parts
    }

    /// Whether anything is in the folder, besides the spare one: one listing, for those who only want to know if there is
    /// something to settle.
    ///
    /// # Errors
    /// When it can't be listed.
    pub fn is_empty(&self) -> Result<bool, LiveError> {
        let names = self.fs.names(&self.root).map_err(at(&self.root))?;
        Ok(names.iter().all(|name| name == SPARE))
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.fs.lstat(path).is_ok_and(|stat| stat.is_some_and(|stat| stat.is_folder()))
    }
}

impl Running {
    /// Its intent.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Moves its folder into that of `around`, so that who looks for claims does not meet it. If that can't be done it stays where it is.
    #[must_use]
    pub fn inside(self, around: &Running) -> Running {
        let folder = around.dir.join(PARKED);
        let dir = folder.join(&self.intent.run);
        let fs = &self.live.fs;
        let moved = match fs.rename(&self.dir, &dir) {
            Err(err) if crate::fs::is_absent(&err) => fs.make_dirs(&folder).and_then(|()| fs.rename(&self.dir, &dir)),
            moved => moved,
        };
        match moved {
            Ok(()) => Running { dir, ..self },
            Err(_) => self,
        }
    }

    /// It is finished, and waits for this process to publish it: `payload` is kept, but not flushed, and the folder moves into that of
    /// `around`. If this process is killed the next command publishes it; after a power cut it may be gone.
    #[must_use]
    pub fn park(self, around: &Running, payload: &[u8]) -> Running {
        // Cut off it would be taken for damage: it appears whole.
        match self.live.fs.replace(&self.dir.join(PENDING), &frame::seal(PENDING, intent::VERSION, payload), false) {
            Ok(()) => self.inside(around),
            Err(_) => self,
        }
    }

    /// Its folder, where the streams are spooled.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes down the started child, so that it can be ended if this process is killed. A failure is no reason not to
    /// go on: the child is then only harder to find.
    pub fn note_child(&self, pid: u32) -> Result<(), LiveError> {
        let Some(child) = self.live.here().neighbour(pid) else { return Ok(()) };
        let bytes = crate::codec::encode(&child)
            .map_err(|source| LiveError::Encode { run: self.intent.run.clone(), source })?;
        self.note(CHILD, &bytes)
    }

    /// Writes down the record as far as it is known, so that a run whose prov is killed is on record with all of that.
    ///
    /// # Errors
    /// When it can't be written: then less would be known.
    pub fn note_draft(&self, payload: &[u8]) -> Result<(), LiveError> {
        self.note(DRAFT, payload)
    }

    /// Writes a file whose seal shows whether all of it is there. So the first one needs not be written beside its place.
    fn note(&self, kind: &'static str, payload: &[u8]) -> Result<(), LiveError> {
        let (path, bytes) = (self.dir.join(kind), frame::seal(kind, intent::VERSION, payload));
        let fs = &self.live.fs;
        let written = match fs.create_new(&path, 0o666) {
            Ok(mut file) => file.write_all(&bytes),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => fs.replace(&path, &bytes, false),
            Err(err) => Err(err),
        };
        written.map_err(at(&path))
    }

    /// Writes down, durably, a finished run that could not be published. `payload` is the caller's: everything that a
    /// later command needs to publish it with the op id of the intent. From here on it holds no claims.
    pub fn finished(&self, payload: &[u8]) -> Result<(), LiveError> {
        let fs = &self.live.fs;
        // What lies in the folder of another run would go with it.
        let dir = self.live.dir(&self.intent.run)?;
        if dir != self.dir {
            fs.rename(&self.dir, &dir).map_err(at(&dir))?;
        }
        let path = dir.join(PENDING);
        fs.replace(&path, &frame::seal(PENDING, intent::VERSION, payload), true).map_err(at(&path))?;
        fs.sync_dir(&self.live.root).map_err(at(&self.live.root))
    }

    /// As [`Running::end`], but the folder, empty, is for the next run of this process to begin in ([`Live::begin_in`]), if it can be had.
    ///
    /// # Errors
    /// When it can't be moved away.
    pub fn into_spare(self) -> Result<Option<PathBuf>, LiveError> {
        static SPARED: AtomicU64 = AtomicU64::new(0);
        // Not by its own name: the run may have to begin once more, to wait for the next command.
        let spare = self.live.new_name(&format!("{SPARE}{}", SPARED.fetch_add(1, Ordering::Relaxed)));
        if self.live.fs.rename(&self.dir, &spare).is_err() {
            return self.end().map(|()| None);
        }
        if self.live.is_emptied(&spare) {
            return Ok(Some(spare));
        }
        // What stays is swept later.
        let _ = self.live.fs.remove_tree(&spare);
        Ok(None)
    }

    /// The run is recorded, or came to nothing: its folder goes, and its claims with it.
    ///
    /// # Errors
    /// When it can't be moved away.
    pub fn end(self) -> Result<(), LiveError> {
        self.live.end_at(&self.dir, &self.intent.run)
    }
}

#[cfg(test)]
mod tests;

//! Output paths belong to one live run at a time.
//!
//! Claims need no lock. A run *announces* that it wants the paths of its intent (`claiming` appears in its folder), then
//! looks at all other folders, and *confirms* (`claiming` is renamed to `claimed`) only if nobody who announced or
//! confirmed before wants one of them. Of two runs with a path in common the one that announced later sees the other:
//! it looks after its own announcement, and an announcement stays until it is confirmed or withdrawn. So two never
//! confirm. That at least one does takes one more rule: of two that are both announced, the younger run id withdraws
//! and waits for the verdict on the older, which waits for the withdrawal.
//!
//! What a folder listing must give for this: one begun after one's own create shows all that was created before it.
//! Runs that are known to be dead hold nothing, unless their child still runs. Times on files play no part.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bstr::BString;

use super::entry::State;
use super::{Intent, LiveError, Running, SetClaim, at, entry};
use crate::host::Liveness;

const CLAIMING: &str = "claiming";
const CLAIMED: &str = "claimed";

/// How long the verdict on another run may take that claims at the same moment. It takes microseconds, unless that
/// process is stopped.
const VERDICT_PATIENCE: Duration = Duration::from_secs(10);

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The paths belong to this run until its folder is removed.
    Won,
    /// Another run has one of them.
    Held(Held),
}

/// A path that another run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The run.
    pub by: String,
    /// The host it runs on.
    pub host: String,
    /// What is known of it: `Alive`; `Unknown` for runs elsewhere; `Dead` if only its child is left.
    pub liveness: Liveness,
    /// The path that was wanted.
    pub wanted: BString,
    /// The path that is held: the same, or one inside the other.
    pub held: BString,
}

/// What other runs have to say.
enum Seen {
    Free,
    /// Somebody has it.
    Held(Held),
    /// An older run wants it as well.
    Older(Held),
    /// A younger run wants it as well.
    Younger(Held),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Announced,
    Confirmed,
}

impl Running {
    /// Claims the outputs of the intent: all of them or none. Of any number of runs that want a common path at the same
    /// time exactly one wins. Two paths are in each other's way if they are equal or one lies inside the other. What
    /// the runs around this one (its parent, and so on) hold is not in the way.
    ///
    /// # Errors
    /// The live folder can't be read or written; nothing is claimed then.
    pub fn claim(&self) -> Result<Claimed, LiveError> {
        if (self.intent.outputs.is_empty() && self.intent.sets.is_empty()) || self.mark(&self.dir)? == Mark::Confirmed {
            return Ok(Claimed::Won);
        }
        let claimed = self.try_claim();
        if !matches!(claimed, Ok(Claimed::Won)) {
            self.withdraw()?;
        }
        claimed
    }

    /// As [`Running::claim`], but as long as a path is held `wait` is asked; it waits a while and says whether to try again.
    ///
    /// # Errors
    /// As [`Running::claim`].
    pub fn claim_waiting(&self, wait: &mut dyn FnMut(&Held) -> bool) -> Result<Claimed, LiveError> {
        loop {
            match self.claim()? {
                Claimed::Held(held) if wait(&held) => {}
                claimed => return Ok(claimed),
            }
        }
    }

    fn try_claim(&self) -> Result<Claimed, LiveError> {
        let deadline = Instant::now() + VERDICT_PATIENCE;
        let mut pause = Duration::from_micros(200);
        loop {
            self.announce()?;
            let in_doubt = match self.look()? {
                Seen::Free => {
                    let to = self.dir.join(CLAIMED);
                    self.live.fs.rename(&self.dir.join(CLAIMING), &to).map_err(at(&to))?;
                    return Ok(Claimed::Won);
                }
                Seen::Held(held) => return Ok(Claimed::Held(held)),
                Seen::Older(held) => {
                    self.withdraw()?;
                    let its = self.live.dir(&held.by)?;
                    while self.mark(&its)? == Mark::Announced && self.is_at_work(&held.by) && Instant::now() < deadline
                    {
                        std::thread::sleep(pause);
                        pause = (pause * 2).min(Duration::from_millis(20));
                    }
                    held
                }
                Seen::Younger(held) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                    held
                }
            };
            if Instant::now() >= deadline {
                return Ok(Claimed::Held(in_doubt));
            }
        }
    }

    fn announce(&self) -> Result<(), LiveError> {
        let path = self.dir.join(CLAIMING);
        match self.live.fs.create_new(&path, 0o666) {
            Err(err) if err.kind() != io::ErrorKind::AlreadyExists => Err(at(&path)(err)),
            _ => Ok(()),
        }
    }

    fn withdraw(&self) -> Result<(), LiveError> {
        let path = self.dir.join(CLAIMING);
        match self.live.fs.remove_file(&path) {
            Err(err) if !crate::fs::is_absent(&err) => Err(at(&path)(err)),
            _ => Ok(()),
        }
    }

    /// How far the claim of the run in `dir` is. The order matters: a mark moves from the first name to the second.
    fn mark(&self, dir: &Path) -> Result<Mark, LiveError> {
        for (name, mark) in [(CLAIMING, Mark::Announced), (CLAIMED, Mark::Confirmed)] {
            let path = dir.join(name);
            if self.live.fs.lstat(&path).map_err(at(&path))?.is_some() {
                return Ok(mark);
            }
        }
        Ok(Mark::None)
    }

    fn is_at_work(&self, run: &str) -> bool {
        self.live.entry(run).is_some_and(|entry| matches!(entry.state, State::Running | State::Unknown { .. }))
    }

    /// Looks at all other runs.
    fn look(&self) -> Result<Seen, LiveError> {
        let runs = self.live.runs()?;
        let entries: Vec<entry::Entry> =
            runs.iter().filter(|run| **run != self.intent.run).filter_map(|run| self.live.entry(run)).collect();
        let around = self.runs_around(&entries);
        let wanted = Claim::all(&self.intent);
        let (mut older, mut younger) = (None, None);
        for entry in &entries {
            let Some(intent) = &entry.intent else { continue };
            let liveness = match &entry.state {
                State::Running => Liveness::Alive,
                State::Unknown { .. } => Liveness::Unknown,
                State::Dead => Liveness::Dead,
                State::Finished { .. } | State::Damaged { .. } => continue,
            };
            let theirs = Claim::all(intent);
            let Some((wanted, held)) = conflict(&wanted, &theirs) else { continue };
            if around.contains(&entry.run.as_str()) {
                continue;
            }
            let mark = self.mark(&entry.dir)?;
            if mark == Mark::None || (liveness == Liveness::Dead && !entry.is_orphaned(&self.live)) {
                continue;
            }
            let (by, host) = (entry.run.clone(), intent.owner.host.clone());
            let held = Held { by, host, liveness, wanted: wanted.shown(), held: held.shown() };
            if mark == Mark::Confirmed || liveness == Liveness::Dead {
                return Ok(Seen::Held(held));
            }
            if entry.run < self.intent.run {
                older = older.or(Some(held));
            } else {
                younger = younger.or(Some(held));
            }
        }
        Ok(match (older, younger) {
            (Some(held), _) => Seen::Older(held),
            (None, Some(held)) => Seen::Younger(held),
            (None, None) => Seen::Free,
        })
    }

    /// The run ids of the parent, its parent, and so on.
    fn runs_around<'a>(&'a self, entries: &'a [entry::Entry]) -> Vec<&'a str> {
        let mut around: Vec<&str> = Vec::new();
        let mut next = self.intent.parent.as_deref();
        while let Some(run) = next
            && !around.contains(&run)
        {
            around.push(run);
            let parent = entries.iter().find(|entry| entry.run == run).and_then(|entry| entry.intent.as_ref());
            next = parent.and_then(|intent| intent.parent.as_deref());
        }
        around
    }
}

/// One thing that a run has for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claim {
    /// A path, with all that lies below it.
    Path(BString),
    /// All paths that begin with this.
    Prefix(BString),
}

impl Claim {
    fn all(intent: &Intent) -> Vec<Claim> {
        let sets = intent.sets.iter().flat_map(SetClaim::prefixes);
        intent.outputs.iter().cloned().map(Claim::Path).chain(sets.map(Claim::Prefix)).collect()
    }

    fn shown(&self) -> BString {
        match self {
            Claim::Path(path) => path.clone(),
            Claim::Prefix(prefix) => {
                let mut shown = prefix.clone();
                shown.push(b'*');
                shown
            }
        }
    }

    fn conflicts(&self, other: &Claim) -> bool {
        let is_absolute = |path: &BString| path.starts_with(b"/");
        match (self, other) {
            (Claim::Path(a), Claim::Path(b)) => is_within(a, b) || is_within(b, a),
            (Claim::Prefix(prefix), Claim::Path(path)) | (Claim::Path(path), Claim::Prefix(prefix)) => {
                is_absolute(prefix) == is_absolute(path) && (path.starts_with(prefix) || is_within(prefix, path))
            }
            (Claim::Prefix(a), Claim::Prefix(b)) => {
                is_absolute(a) == is_absolute(b) && (a.starts_with(b) || b.starts_with(a))
            }
        }
    }
}

/// The first two that are in each other's way.
fn conflict<'a>(wanted: &'a [Claim], held: &'a [Claim]) -> Option<(&'a Claim, &'a Claim)> {
    wanted.iter().find_map(|w| Some((w, held.iter().find(|h| w.conflicts(h))?)))
}

/// Whether `path` is `folder` or lies inside. The empty path is the project: every relative path lies inside.
fn is_within(path: &BString, folder: &BString) -> bool {
    if folder.is_empty() {
        return !path.starts_with(b"/");
    }
    path.strip_prefix(folder.as_slice())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || folder.ends_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_paths_and_paths_inside_each_other_conflict() {
        let is = |a: &str, b: &str| Claim::Path(a.into()).conflicts(&Claim::Path(b.into()));
        for (a, b) in [("a", "a"), ("a/b", "a"), ("a/b/c", "a"), ("", "x"), ("/", "/x"), ("/x/y", "/x")] {
            assert!(is(a, b) && is(b, a), "{a} {b}");
        }
        for (a, b) in [("a", "b"), ("ab", "a"), ("a/b", "a/c"), ("", "/x"), ("/x", "x"), ("/xy", "/x")] {
            assert!(!is(a, b) && !is(b, a), "{a} {b}");
        }
    }

    #[test]
    fn sets_conflict_unless_their_files_begin_otherwise() {
        let set = |prefix: &str| Claim::Prefix(prefix.into());
        let path = |path: &str| Claim::Path(path.into());
        for (a, b) in [
            (set("out/"), path("out")),
            (set("out/"), path("out/x")),
            (set("out/job_1"), path("out")),
            (set("out/job_1"), path("out/job_1_x/y")),
            (set("out/job_1"), set("out/job_12")),
            (set(""), path("x")),
            (set(""), set("x/")),
        ] {
            assert!(a.conflicts(&b) && b.conflicts(&a), "{a:?} {b:?}");
        }
        for (a, b) in [
            (set("out/job_1_"), set("out/job_2_")),
            (set("out/a"), path("out/b")),
            (set("out/"), path("outer")),
            (set(""), path("/x")),
            (set("/x/"), set("x/")),
        ] {
            assert!(!a.conflicts(&b) && !b.conflicts(&a), "{a:?} {b:?}");
        }
    }
}

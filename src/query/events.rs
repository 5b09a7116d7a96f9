//! The events of runs: of recorded ones from their records, of live ones as they come.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use super::Error;
use crate::event::{self, Of};
use crate::hash::Id;
use crate::object::run::Run;
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunPlace};
use crate::run::live::State;
use crate::store::{Direction, Snapshot};

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of one run, by its run id, and of the runs that are inside of it.
    Run(String),
    /// Of every run that is live, and when following of all that come.
    All,
}

/// How far one run's events were given.
#[derive(Debug, Default)]
pub(super) struct Tail {
    read: usize,
    pub(super) rank: Option<u8>,
    pub(super) seq: u64,
}

impl Tail {
    /// The lines that the live folder has and that were not given yet. What has no end yet is left.
    pub(super) fn fresh(&mut self, bytes: &[u8]) -> String {
        let fresh = bytes.get(self.read..).unwrap_or_default();
        let whole = fresh.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&fresh[..whole]).into_owned();
        self.read += whole;
        for line in text.lines() {
            self.seq += 1;
            self.rank = name_of(line).and_then(event::rank_of_name).or(self.rank);
        }
        text
    }

    /// Whether nothing was given.
    pub(super) fn is_new(&self) -> bool {
        self.seq == 0
    }

    /// What the record tells beyond what was given.
    pub(super) fn rest(&self, run: &Run, object: Id) -> String {
        let of = Of::run(run);
        let rest = event::of_run(run, Some(object));
        let rest = rest.iter().filter(|event| self.rank.is_none_or(|rank| event.what.rank() > rank));
        rest.zip(self.seq..).map(|(event, seq)| event.to_line(&of, seq)).collect()
    }
}

/// The name of the event on a line. Within a JSON text a quote is escaped, so the first of these is the key.
fn name_of(line: &str) -> Option<&str> {
    let (_, after) = line.split_once("\"event\": \"")?;
    after.split('"').next()
}

pub(super) fn recorded(snapshot: &Snapshot, run: &str) -> Result<Option<(Run, Id)>, Error> {
    let Some(value) = snapshot.get_ref(&key::id(run))? else { return Ok(None) };
    let place: RunPlace = entry::decode(&value)?;
    Ok(Some((crate::revspec::read_run(snapshot, run, &place.object)?, place.object)))
}

/// Gives the events of `whose` as JSON lines, in the order of `docs/design/0004-events.md` for each run, and of runs one inside the other the
/// inner one's end first. With `wait` it goes on until the run has ended, or for ever; `wait` waits a while and says whether to go on.
///
/// # Errors
/// When records can't be read. When `each` fails it ends, without an error.
pub fn events(
    repo: &Repo,
    whose: &Whose,
    each: &mut dyn FnMut(&str) -> io::Result<()>,
    mut wait: Option<&mut dyn FnMut() -> bool>,
) -> Result<(), Error> {
    if let Whose::Run(run) = whose {
        return super::family::events(repo, run, each, wait);
    }
    let live = crate::run::live_folder(repo);
    let floor = repo.now().compact();
    let mut tails: BTreeMap<String, Tail> = BTreeMap::new();
    let mut given: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    loop {
        // First who is live, then the newest state: whoever is gone from the one is in the other.
        let there: Vec<String> = live
            .list()?
            .into_iter()
            .filter(|entry| !matches!(entry.state, State::Damaged { .. }))
            .filter(|entry| entry.intent.as_ref().is_some_and(crate::run::live::Intent::is_of_a_run))
            .map(|entry| entry.run)
            .collect();
        let wanted = there.iter().chain(tails.keys()).filter(|run| !given.contains(*run));
        for run in wanted.cloned().collect::<Vec<String>>() {
            tails.entry(run).or_default();
        }
        let snapshot = repo.store().snapshot()?;
        if wait.is_some() {
            for run in newer(repo, &snapshot, &floor)? {
                if !given.contains(&run) {
                    tails.entry(run).or_default();
                }
            }
        }
        let mut ended = Vec::new();
        let mut gone = Vec::new();
        for (run, tail) in &mut tails {
            let text = tail.fresh(&live.events(run));
            if !text.is_empty() && each(&text).is_err() {
                return Ok(());
            }
            if there.contains(run) {
                continue;
            }
            match recorded(&snapshot, run)? {
                Some((record, object)) => ended.push((record, object)),
                None => gone.push(run.clone()),
            }
        }
        ended.sort_by_key(|(run, _)| (run.finished_at, std::cmp::Reverse(run.started_at)));
        for (run, object) in ended {
            let tail = tails.remove(&run.run).unwrap_or_default();
            let text = tail.rest(&run, object);
            given.insert(run.run);
            if !text.is_empty() && each(&text).is_err() {
                return Ok(());
            }
        }
        for run in gone {
            tails.remove(&run);
        }
        if !wait.as_mut().is_some_and(|wait| wait()) {
            return Ok(());
        }
    }
}

/// The runs of the project whose ids are above `floor`.
fn newer(repo: &Repo, snapshot: &Snapshot, floor: &str) -> Result<Vec<String>, Error> {
    let mut runs = Vec::new();
    for scenario in crate::scenario::names(repo, snapshot)? {
        let prefix = key::runs_of(repo.project(), &scenario);
        let from = key::run_of(repo.project(), &scenario, floor);
        for item in snapshot.scan_from(&prefix, Bound::Included(&from), Direction::Forward) {
            let (raw, _) = item?;
            runs.extend(key::run_and_object(&raw).map(|(run, _)| run));
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_event_is_not_taken_from_a_text() {
        let line = r#"{"argv": ["\"event\": \"step_end\""], "event": "step_start", "run": "r"}"#;
        assert_eq!(name_of(line), Some("step_start"));
        assert_eq!(name_of("{}"), None);
    }
}

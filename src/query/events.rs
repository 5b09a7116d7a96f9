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
use crate::run::live::{Live, State};
use crate::store::{Direction, Snapshot};

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of one run, by its run id.
    Run(String),
    /// Of every run that is live, and when following of all that come.
    All,
}

/// How far one run's events were given.
#[derive(Debug, Default)]
struct Tail {
    read: usize,
    rank: Option<u8>,
    seq: u64,
}

impl Tail {
    /// The lines that the live folder has and that were not given yet. What has no end yet is left.
    fn fresh(&mut self, live: &Live, run: &str) -> String {
        let bytes = live.events(run);
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

    /// What the record tells beyond what was given.
    fn rest(&self, run: &Run, object: Id) -> String {
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

fn recorded(snapshot: &Snapshot, run: &str) -> Result<Option<(Run, Id)>, Error> {
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
    let live = crate::run::live_folder(repo);
    let floor = repo.now().compact();
    let mut tails: BTreeMap<String, Tail> = BTreeMap::new();
    let mut given: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    // A run that is neither live nor on record: it may be between the two.
    let mut lost = 0;
    loop {
        // First who is live, then the newest state: whoever is gone from the one is in the other.
        let there: Vec<String> = live
            .list()?
            .into_iter()
            .filter(|entry| !matches!(entry.state, State::Damaged { .. }))
            .filter(|entry| entry.intent.as_ref().is_some_and(crate::run::live::Intent::is_of_a_run))
            .map(|entry| entry.run)
            .collect();
        let wanted: Vec<String> = match whose {
            Whose::Run(run) => vec![run.clone()],
            Whose::All => there.iter().chain(tails.keys()).filter(|run| !given.contains(*run)).cloned().collect(),
        };
        for run in wanted {
            tails.entry(run).or_default();
        }
        let snapshot = repo.store().snapshot()?;
        if *whose == Whose::All && wait.is_some() {
            for run in newer(repo, &snapshot, &floor)? {
                if !given.contains(&run) {
                    tails.entry(run).or_default();
                }
            }
        }
        let mut ended = Vec::new();
        let mut gone = Vec::new();
        for (run, tail) in &mut tails {
            let text = tail.fresh(&live, run);
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
        let has_ended = !ended.is_empty();
        for (run, object) in ended {
            let tail = tails.remove(&run.run).unwrap_or_default();
            let text = tail.rest(&run, object);
            given.insert(run.run);
            if !text.is_empty() && each(&text).is_err() {
                return Ok(());
            }
        }
        match whose {
            Whose::Run(_) if has_ended => return Ok(()),
            Whose::Run(_) if !gone.is_empty() => {
                lost += 1;
                // It will not be recorded.
                if lost > 3 {
                    return Ok(());
                }
            }
            Whose::Run(_) => lost = 0,
            Whose::All => {
                for run in gone {
                    tails.remove(&run);
                }
            }
        }
        let goes_on = match &mut wait {
            Some(wait) => wait(),
            None => lost > 0,
        };
        if !goes_on {
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

//! The events of one run and of those inside of it, live ones as they come.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::io;

use super::Error;
use super::events::{Tail, recorded};
use crate::codec::{self, Limits};
use crate::event::{Event, Of, What};
use crate::hash::Id;
use crate::object::run::{Run, RunKind};
use crate::object::{Record, RunRecord};
use crate::repo::Repo;
use crate::run::live::{Entry, Live, State};
use crate::run::publish::Pending;
use crate::store::Snapshot;

/// Rounds in which a run may be neither live nor on record, on its way from the one to the other.
const PATIENCE: u32 = 3;

/// A run that belongs to it.
#[derive(Debug, Default)]
struct Member {
    /// How many runs are around it.
    depth: usize,
    tail: Tail,
    is_given: bool,
}

struct Family {
    members: HashMap<String, Member>,
    /// Whoever is around comes before what is inside.
    order: Vec<String>,
}

impl Family {
    fn add(&mut self, run: &str, depth: usize) {
        if !self.members.contains_key(run) {
            self.members.insert(run.to_owned(), Member { depth, ..Member::default() });
            self.order.push(run.to_owned());
        }
    }

    /// Takes in live runs that are inside of those that are known.
    fn grow(&mut self, entries: &[Entry]) {
        loop {
            let before = self.order.len();
            for entry in entries {
                let parent = entry.intent.as_ref().and_then(|intent| intent.parent.as_ref());
                if let Some(depth) = parent.and_then(|parent| self.members.get(parent)).map(|parent| parent.depth + 1) {
                    self.add(&entry.run, depth);
                }
            }
            if self.order.len() == before {
                return;
            }
        }
    }
}

/// The events of `root` and all runs inside of it, each run's in their order; the first event of a run before those of the runs inside of it,
/// and their last ones before its own.
///
/// # Errors
/// When records can't be read. When `each` fails it ends, without an error.
pub(super) fn events(
    repo: &Repo,
    root: &str,
    each: &mut dyn FnMut(&str) -> io::Result<()>,
    mut wait: Option<&mut dyn FnMut() -> bool>,
) -> Result<(), Error> {
    let live = crate::run::live_folder(repo);
    let mut family = Family { members: HashMap::new(), order: Vec::new() };
    family.add(root, 0);
    let mut lost = 0;
    loop {
        // First who is live, then the newest state: whoever is gone from the one is in the other.
        let entries = entries(&live, root);
        family.grow(&entries);
        let entries: HashMap<&str, &Entry> = entries.iter().map(|entry| (entry.run.as_str(), entry)).collect();
        let snapshot = repo.store().snapshot()?;
        let mut ended: Vec<(usize, Run, Id)> = Vec::new();
        let mut at = 0;
        while let Some(run) = family.order.get(at).cloned() {
            at += 1;
            let Some(member) = family.members.get_mut(&run).filter(|member| !member.is_given) else { continue };
            let depth = member.depth;
            if let Some(entry) = entries.get(run.as_str()) {
                let mut text = member.tail.fresh(&live.events_of(entry));
                if text.is_empty() && member.tail.is_new() {
                    // What has no command writes no events: its beginning is what is written of it.
                    text = draft(&live, entry).map(|run| member.tail.begin(&run)).unwrap_or_default();
                }
                if !text.is_empty() && each(&text).is_err() {
                    return Ok(());
                }
                continue;
            }
            let Some((record, object)) = recorded(&snapshot, &run)? else { continue };
            if has_parts(&record) && member.tail.is_new() {
                let text = member.tail.begin(&record);
                if each(&text).is_err() {
                    return Ok(());
                }
            }
            for inner in inside(&snapshot, &record)? {
                family.add(&inner, depth + 1);
            }
            ended.push((depth, record, object));
        }
        ended.sort_by_key(|(depth, run, _)| (run.finished_at, Reverse(*depth), run.started_at));
        // What ends at one moment ends from the inside out; clocks that were set back must not change that.
        let parents: BTreeSet<String> = ended.iter().filter_map(|(_, run, _)| run.parent.clone()).collect();
        ended.sort_by_key(|(depth, run, _)| if parents.contains(&run.run) { Some(Reverse(*depth)) } else { None });
        for (_, run, object) in ended {
            let Some(member) = family.members.get_mut(&run.run) else { continue };
            member.is_given = true;
            let text = member.tail.rest(&run, object);
            if !text.is_empty() && each(&text).is_err() {
                return Ok(());
            }
        }
        if family.members.get(root).is_some_and(|member| member.is_given) {
            return Ok(());
        }
        lost = if entries.contains_key(root) { 0 } else { lost + 1 };
        let goes_on = match &mut wait {
            // It will not be recorded.
            _ if lost > PATIENCE => false,
            Some(wait) => wait(),
            None => lost > 0,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// All live runs, and those that lie in the folder of `root`, oldest first.
fn entries(live: &Live, root: &str) -> Vec<Entry> {
    let mut entries = live.list().unwrap_or_default();
    if let Some(around) = entries.iter().find(|entry| entry.run == root).cloned() {
        entries.extend(live.parked(&around).runs);
    }
    entries.retain(|entry| !matches!(entry.state, State::Damaged { .. }));
    entries.sort_by_key(|entry| entry.intent.as_ref().map(|intent| intent.started_at));
    entries
}

fn has_parts(run: &Run) -> bool {
    matches!(run.kind, RunKind::Pipeline | RunKind::Step)
}

/// The recorded runs right inside of a run. A result that was taken from an earlier run is that one's.
fn inside(snapshot: &Snapshot, around: &Run) -> Result<Vec<String>, Error> {
    let mut runs = Vec::new();
    for object in around.children.values() {
        let inner = crate::revspec::read_run(snapshot, &around.run, object)?;
        if inner.parent.as_ref() == Some(&around.run) {
            runs.push((inner.started_at, inner.run));
        }
    }
    runs.sort();
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

/// What is written of a live run so far.
fn draft(live: &Live, entry: &Entry) -> Option<Run> {
    let pending: Pending = codec::decode(&entry.draft(live)?, &Limits::RECORD).ok()?;
    RunRecord::decode(&pending.run).ok().map(RunRecord::into_head).filter(has_parts)
}

impl Tail {
    /// The first event of a run, if it is given before all others.
    fn begin(&mut self, run: &Run) -> String {
        let start = Event { at: run.started_at, what: What::Start { argv: run.argv.clone() } };
        let line = start.to_line(&Of::run(run), self.seq);
        self.rank = Some(start.what.rank());
        self.seq += 1;
        line
    }
}

//! The index as a quicker way through a lineage.

use std::cmp::Reverse;
use std::path::PathBuf;

use crate::clock::Micros;
use crate::hash::{Id, IdMap, IdSet};
use crate::index::{Error, Index, Line, LineEnd};
use crate::lineage::facts::{End, Facts, Lines, Maker, Shortcut, Way};
use crate::lineage::{Found, LOOKED_AT};
use crate::object::run::LinkedBy;
use crate::progress::Silent;
use crate::repo::Repo;
use crate::repo::entry::Touch;
use crate::store::Snapshot;

/// The index of a project's store, if it is there and as good as new: nobody waits for one to be made.
#[derive(Debug)]
pub struct ByIndex<'a> {
    repo: &'a Repo,
    snapshot: &'a Snapshot,
    user_cache: Option<PathBuf>,
}

impl<'a> ByIndex<'a> {
    /// As [`open`](super::open) would open it.
    pub fn new(repo: &'a Repo, snapshot: &'a Snapshot, user_cache: Option<PathBuf>) -> Self {
        Self { repo, snapshot, user_cache }
    }
}

impl Shortcut for ByIndex<'_> {
    fn lines(&mut self, from: &[Id], way: Way, project: &str) -> Option<Lines> {
        let tables = super::open_if_near(self.repo, self.snapshot, self.user_cache.as_deref(), &Silent).ok()??;
        // What can't be asked is walked instead: that takes longer, and is no less right.
        match lines(tables.index(), from, way, project) {
            Ok(found) => Some(found),
            Err(err) => {
                if err.is_damage() {
                    // So that whoever needs an index next makes it anew.
                    tables.forget(self.repo);
                }
                None
            }
        }
    }
}

fn lines(index: &Index, from: &[Id], way: Way, project: &str) -> Result<Lines, Error> {
    let mut found = Lines::default();
    let all = match way {
        Way::Up => index.lines_up(from)?,
        Way::Down => {
            let (all, takers) = index.lines_down(from, project)?;
            // An output that nobody took is known to be one.
            let ends = all.iter().flat_map(|line| &line.ends);
            found.takers = ends.map(|end| (end.content, Vec::new())).collect();
            let mut inexact = IdSet::default();
            let mut by_content: IdMap<Vec<(Reverse<i64>, Found)>> = IdMap::default();
            for taker in takers {
                let Some(path) = taker.path else {
                    inexact.insert(taker.content);
                    continue;
                };
                let touch =
                    Touch { path: path.into(), object: taker.object, project: taker.project, scenario: taker.scenario };
                let one = Found { run: taker.run, key: taker.key, touch };
                by_content.entry(taker.content).or_default().push((Reverse(taker.started_us.max(0)), one));
            }
            for (content, mut takers) in by_content {
                takers.sort_by(|(a, one), (b, other)| (a, &one.run, &one.key).cmp(&(b, &other.run, &other.key)));
                let newest = takers.into_iter().map(|(_, one)| one).take(LOOKED_AT).collect();
                found.takers.insert(content, newest);
            }
            found.takers.retain(|content, _| !inexact.contains(content));
            all
        }
    };
    found.runs = all.into_iter().filter_map(|line| Some((line.object, facts(line, way)?))).collect();
    Ok(found)
}

fn facts(line: Line, way: Way) -> Option<Facts> {
    let ends: Vec<End> = line.ends.into_iter().map(end).collect::<Option<_>>()?;
    let (inputs, outputs) = if way == Way::Up { (ends, Vec::new()) } else { (Vec::new(), ends) };
    Some(Facts {
        run: line.run,
        step: line.step,
        scenario: line.scenario,
        status: line.status,
        cache: line.cache,
        started_at: Micros(line.started_us),
        source: line.source,
        inputs,
        outputs,
    })
}

fn end(end: LineEnd) -> Option<End> {
    let maker = match end.maker {
        Some((run, object, key, linked_by)) => Some(Maker { run, object, key, linked_by: word(&linked_by)? }),
        None => None,
    };
    Some(End { key: end.key, content: end.content, path: end.path.into(), size: u64::try_from(end.size).ok()?, maker })
}

fn word(linked_by: &str) -> Option<LinkedBy> {
    Some(match linked_by {
        "declared" => LinkedBy::Declared,
        "path" => LinkedBy::Path,
        "content" => LinkedBy::Content,
        _ => return None,
    })
}

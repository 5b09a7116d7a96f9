//! Listing runs, newest first.

use std::ops::{Bound, ControlFlow};

use bstr::ByteSlice;

use super::Error;
use crate::clock::Micros;
use crate::codec::Value;
use crate::hash::Id;
use crate::mark::{MarkKind, Marks};
use crate::object::run::Status;
use crate::object::{Record, RunRecord, Source};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunLine};
use crate::store::{Direction, Scan, Snapshot};

/// Which runs are listed.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Of which scenario; `None` for the current one, or with `all` for every one of the project.
    pub scenario: Option<String>,
    /// Whether all scenarios are meant when none is named.
    pub all: bool,
    /// Whether hits and hidden runs are listed as well.
    pub hits: bool,
    /// At most this many.
    pub limit: Option<usize>,
    /// Begun at or after.
    pub since: Option<Micros>,
    /// Begun at or before.
    pub until: Option<Micros>,
    /// Of one of these steps; of any if there are none.
    pub steps: Vec<String>,
    /// That ended in one of these ways.
    pub statuses: Vec<Status>,
    /// With one of these labels.
    pub tags: Vec<String>,
    /// While this commit was checked out (a prefix of its id).
    pub commit: Option<String>,
    /// Runs that are wanted besides those of `commit`, by their objects.
    pub besides: std::collections::BTreeSet<Id>,
    /// With all of these facets: the record of each run that is not left out for another reason is read.
    pub facets: Vec<(String, Value)>,
    /// From this run id on: itself, if it is listed, and older ones.
    pub from: Option<String>,
}

impl LogOptions {
    fn wants(&self, line: &RunLine) -> bool {
        let one_of = |wanted: &[String], has: &dyn Fn(&String) -> bool| wanted.is_empty() || wanted.iter().any(has);
        self.until.is_none_or(|until| line.at <= until)
            && one_of(&self.steps, &|step| line.step == *step)
            && (self.statuses.is_empty() || self.statuses.contains(&line.status))
            && one_of(&self.tags, &|tag| line.tags.contains(tag))
            && (self.besides.contains(&line.object)
                || self
                    .commit
                    .as_ref()
                    .is_none_or(|commit| line.commit.as_ref().is_some_and(|c| c.as_bytes().starts_with_str(commit))))
    }
}

/// One listed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its run id.
    pub run: String,
    /// Its scenario.
    pub scenario: String,
    /// What its ref says.
    pub line: RunLine,
    /// Hits that were left out since the run that was listed before.
    pub folded: u64,
    /// Hidden runs that were left out since then.
    pub hidden: u64,
    /// Whether its outcome was retracted.
    pub is_retracted: bool,
    /// Whether it is hidden, and listed all the same.
    pub is_hidden: bool,
    /// How many remarks there are about it.
    pub notes: usize,
}

/// How a listing ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogEnd {
    /// Hits that were left out after the last listed run.
    pub folded: u64,
    /// Hidden runs that were left out after it.
    pub hidden: u64,
    /// The run id to go on from when there are more.
    pub next: Option<String>,
}

/// The runs of one scenario that are still to come.
struct Head {
    scenario: String,
    runs: std::iter::Peekable<Scan>,
}

/// Lists runs, newest first, one after the other to `each` until that breaks. Reads refs alone, from the newest on, and no more of them
/// than needed.
///
/// # Errors
/// When refs can't be read.
pub fn log(
    repo: &Repo,
    snapshot: &Snapshot,
    options: &LogOptions,
    each: &mut dyn FnMut(Logged) -> ControlFlow<()>,
) -> Result<LogEnd, Error> {
    let project = repo.project();
    let names: Vec<String> = match &options.scenario {
        Some(name) => vec![crate::scenario::born(snapshot, project, name)?],
        None if options.all => crate::scenario::names(repo, snapshot)?,
        None => vec![repo.scenario().to_owned()],
    };
    let mut heads: Vec<Head> = names
        .into_iter()
        .map(|scenario| {
            let prefix = key::runs_of(project, &scenario);
            let upper = options.from.as_ref().map(|run| key::after(&key::run_of(project, &scenario, run)));
            let start = upper.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let runs = snapshot.scan_from(&prefix, start, Direction::Backward).peekable();
            Head { scenario, runs }
        })
        .collect();
    let marks = Marks::open(snapshot)?;
    let mut end = LogEnd::default();
    let mut listed = 0;
    while let Some(at) = newest(&mut heads) {
        let Some(item) = heads[at].runs.next() else { continue };
        let (key, value) = item?;
        let Some((run, object)) = key::run_and_object(&key) else { continue };
        let line: RunLine = entry::decode(&value)?;
        if options.since.is_some_and(|since| line.at < since) {
            heads.remove(at);
            continue;
        }
        // Whether a wanted one follows is not looked for: it could be far away.
        if options.limit.is_some_and(|limit| listed >= limit) {
            end.next = Some(run);
            break;
        }
        if !options.wants(&line) || !options.facets.is_empty() && !has_facets(snapshot, &object, &options.facets)? {
            continue;
        }
        let is_hidden = marks.is(&object, MarkKind::Hide)?;
        if is_hidden && !options.hits {
            end.hidden += 1;
            continue;
        }
        if line.cache == "hit" && !options.hits {
            end.folded += 1;
            continue;
        }
        listed += 1;
        let scenario = heads[at].scenario.clone();
        let (folded, hidden) = (std::mem::take(&mut end.folded), std::mem::take(&mut end.hidden));
        let is_retracted = marks.retracted(&object)?.is_some();
        let notes = if marks.are_any() { crate::note::count(snapshot, &object)? } else { 0 };
        if each(Logged { run, scenario, line, folded, hidden, is_retracted, is_hidden, notes }).is_break() {
            break;
        }
    }
    Ok(end)
}

/// Whether a run has all these facets. A key with dots may lead into maps.
fn has_facets(snapshot: &Snapshot, object: &Id, facets: &[(String, Value)]) -> Result<bool, Error> {
    let Some((_, bytes)) = snapshot.read(object)? else { return Ok(false) };
    let run = RunRecord::decode(&bytes)?.into_head();
    let found = |key: &str| {
        run.facets.get(key).or_else(|| {
            let mut parts = key.split('.');
            let first = run.facets.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        })
    };
    Ok(facets.iter().all(|(key, wanted)| found(key).is_some_and(|value| is_equal(value, wanted))))
}

/// `1` and `1.0` are the same to who looks for them.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        #[expect(clippy::cast_precision_loss, reason = "as near as a number can be")]
        (Value::Int(n), Value::Float(x)) | (Value::Float(x), Value::Int(n)) => (*n as f64).to_bits() == x.to_bits(),
        (a, b) => a == b,
    }
}

/// The scenario whose next run is the newest: run ids begin with their time. One that can't be read comes first.
fn newest(heads: &mut [Head]) -> Option<usize> {
    let mut newest: Option<(usize, String)> = None;
    for (at, head) in heads.iter_mut().enumerate() {
        match head.runs.peek() {
            None => {}
            Some(Err(_)) => return Some(at),
            Some(Ok((key, _))) => {
                let run = key::run_and_object(key).map(|(run, _)| run).unwrap_or_default();
                if newest.as_ref().is_none_or(|(_, best)| run > *best) {
                    newest = Some((at, run));
                }
            }
        }
    }
    newest.map(|(at, _)| at)
}

/// Where some content was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The run.
    pub run: String,
    /// Its object.
    pub object: Id,
    /// Whether it is an output of that run, else an input.
    pub is_output: bool,
    /// Under which key.
    pub key: String,
    /// Where it lived.
    pub path: bstr::BString,
    /// In which scenario.
    pub scenario: String,
}

/// The runs that made or took some content, those that made it first, newest first.
///
/// # Errors
/// When refs can't be read.
pub fn id_matches(snapshot: &Snapshot, content: &Id) -> Result<Vec<Match>, Error> {
    let made = crate::lineage::makers(snapshot, content)?.into_iter().map(|found| (true, found));
    let taken = crate::lineage::takers(snapshot, content)?.into_iter().map(|found| (false, found));
    Ok(made
        .chain(taken)
        .map(|(is_output, found)| Match {
            run: found.run,
            object: found.touch.object,
            is_output,
            key: found.key,
            path: found.touch.path,
            scenario: found.touch.scenario,
        })
        .collect())
}

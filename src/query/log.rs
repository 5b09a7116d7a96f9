//! Listing runs, newest first.

use bstr::ByteSlice;

use super::Error;
use crate::clock::Micros;
use crate::hash::Id;
use crate::object::run::Status;
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunLine};
use crate::store::{Direction, Snapshot};

/// Which runs are listed.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Of which scenario; `None` for the current one.
    pub scenario: Option<String>,
    /// Of all scenarios of the project, hits too.
    pub all: bool,
    /// Whether hits are listed as well.
    pub hits: bool,
    /// At most this many.
    pub limit: Option<usize>,
    /// Begun at or after.
    pub since: Option<Micros>,
    /// Begun at or before.
    pub until: Option<Micros>,
    /// Of this step.
    pub step: Option<String>,
    /// That ended so.
    pub status: Option<Status>,
    /// With this label.
    pub tag: Option<String>,
    /// While this commit was checked out (a prefix of its id).
    pub commit: Option<String>,
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
}

/// What was listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// The runs, newest first.
    pub runs: Vec<Logged>,
    /// Hits that were left out between them.
    pub folded: u64,
    /// The run id to go on from when there are more.
    pub next: Option<String>,
}

/// Lists runs. Reads refs alone, from the newest on, and stops as soon as it has enough.
///
/// # Errors
/// When refs can't be read.
pub fn log(repo: &Repo, snapshot: &Snapshot, options: &LogOptions) -> Result<Log, Error> {
    let project = repo.project();
    let names: Vec<String> = if options.all {
        crate::scenario::names(repo, snapshot)?
    } else {
        vec![options.scenario.clone().unwrap_or_else(|| repo.scenario().to_owned())]
    };
    let mut heads: Vec<(String, std::iter::Peekable<_>)> = names
        .into_iter()
        .map(|name| {
            let scan = snapshot.scan(&key::runs_of(project, &name), Direction::Backward);
            (name, scan.peekable())
        })
        .collect();
    let mut log = Log::default();
    loop {
        // The scenario whose next run is the newest: run ids begin with their time.
        let mut newest: Option<(usize, String)> = None;
        for (at, (_, scan)) in heads.iter_mut().enumerate() {
            match scan.peek() {
                None => {}
                Some(Err(_)) => {
                    newest = Some((at, String::new()));
                    break;
                }
                Some(Ok((key, _))) => {
                    let run = key::run_and_object(key).map(|(run, _)| run).unwrap_or_default();
                    if newest.as_ref().is_none_or(|(_, best)| run > *best) {
                        newest = Some((at, run));
                    }
                }
            }
        }
        let Some((at, _)) = newest else { return Ok(log) };
        let (scenario, scan) = &mut heads[at];
        let Some(item) = scan.next() else { continue };
        let (key, value) = item?;
        let Some((run, _)) = key::run_and_object(&key) else { continue };
        let line: RunLine = entry::decode(&value)?;
        if options.since.is_some_and(|since| line.at < since) {
            if options.all {
                drop(heads.remove(at));
                continue;
            }
            return Ok(log);
        }
        let wanted = options.until.is_none_or(|until| line.at <= until)
            && options.step.as_ref().is_none_or(|step| line.step == *step)
            && options.status.is_none_or(|status| line.status == status)
            && options.tag.as_ref().is_none_or(|tag| line.tags.contains(tag))
            && options
                .commit
                .as_ref()
                .is_none_or(|commit| line.commit.as_ref().is_some_and(|c| c.as_bytes().starts_with_str(commit)));
        if !wanted {
            continue;
        }
        if line.cache == "hit" && !options.hits {
            log.folded += 1;
            continue;
        }
        if options.limit.is_some_and(|limit| log.runs.len() >= limit) {
            log.next = Some(run);
            return Ok(log);
        }
        log.runs.push(Logged { run, scenario: scenario.clone(), line });
    }
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

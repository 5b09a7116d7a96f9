//! What came of executing recorded runs once more, and how reproducible steps are by that.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Micros;
use crate::codec;
use crate::hash::Id;
use crate::journal::{self, Line};
use crate::object::run::{Cache, Status};
use crate::object::{AccessError, Kind, Record, RunRecord, Sink, Source, id_of};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunLine};
use crate::store::{self, Direction, Draft, RefEdit, Snapshot};

pub use crate::object::verdict::{Finding, Sameness, Verdict};

/// The kind of `about` refs of verdicts.
pub const ABOUT: &str = "verdict";

/// Why a verdict can't be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The verdict has no encoding.
    #[error("the verdict can't be encoded")]
    Record(#[from] crate::object::Error),
    /// A ref is damaged.
    #[error("a verdict ref can't be read")]
    Ref(#[from] codec::Error),
    /// A scenario can't be read.
    #[error(transparent)]
    Scenario(#[from] crate::scenario::Error),
}

impl From<journal::Error> for Error {
    fn from(err: journal::Error) -> Self {
        match err {
            journal::Error::Store(err) => Self::Store(err),
            journal::Error::Line(err) => Self::Ref(err),
        }
    }
}

/// What a ref says of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictLine {
    /// When the run was executed again.
    pub at: Micros,
    /// What came of it.
    pub finding: Finding,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// The ref of a verdict.
///
/// # Errors
/// Never for verdicts within the limits of the format.
pub fn ref_of(verdict: &Verdict, id: &Id) -> Result<(Vec<u8>, Vec<u8>), codec::Error> {
    let line = VerdictLine { at: verdict.at, finding: verdict.finding, author: verdict.author.clone() };
    Ok((key::about_one(&verdict.of, ABOUT, id), entry::encode(&line)?))
}

/// Keeps a verdict; returns its id.
///
/// # Errors
/// When the store can't be written.
pub fn keep(repo: &Repo, verdict: &Verdict) -> Result<Id, Error> {
    let bytes = verdict.encode()?;
    let id = id_of(&Kind::VERDICT, &bytes);
    let (key, value) = ref_of(verdict, &id)?;
    let op = repo.new_op();
    let never = "verdicts stay; verify it again".to_owned();
    let line = Line { about: verdict.of.short(), never, ..Line::of(repo, "verify") }.edit(repo, op, repo.now())?;
    let edits = vec![RefEdit::set(key, value), line];
    repo.store().publish(op, "verify", &mut |snapshot| -> Result<Option<Draft>, Error> {
        let intake = repo.store().intake(snapshot);
        intake.put(&Kind::VERDICT, &id, &bytes)?;
        let collected = Some(Arc::new(intake.finish()?));
        Ok(Some(Draft { collected, edits: edits.clone(), ..Draft::default() }))
    })?;
    Ok(id)
}

/// The newest verdict on the run with this object.
///
/// # Errors
/// When refs can't be read.
pub fn newest(snapshot: &Snapshot, object: &Id) -> Result<Option<VerdictLine>, Error> {
    let mut newest: Option<VerdictLine> = None;
    for item in snapshot.scan(&key::about_of(object, ABOUT), Direction::Forward) {
        let line: VerdictLine = entry::decode(&item?.1)?;
        if newest.as_ref().is_none_or(|known| line.at > known.at) {
            newest = Some(line);
        }
    }
    Ok(newest)
}

/// How reproducible a step is, by the newest verdicts on its executed successes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Score {
    /// Its successes, each result once.
    pub runs: u64,
    /// Those that were reproduced.
    pub reproduced: u64,
    /// Those that gave other bytes.
    pub differs: u64,
    /// Those that failed when they were executed again.
    pub failed: u64,
}

impl Score {
    /// How many were executed again.
    pub fn verified(&self) -> u64 {
        self.reproduced + self.differs + self.failed
    }

    /// The part of these that was reproduced, from 0 to 1; `None` if there are none.
    #[expect(clippy::cast_precision_loss, reason = "counts of runs")]
    pub fn rate(&self) -> Option<f64> {
        (self.verified() > 0).then(|| self.reproduced as f64 / self.verified() as f64)
    }

    /// Both together.
    #[must_use]
    pub fn with(&self, other: &Score) -> Score {
        Score {
            runs: self.runs + other.runs,
            reproduced: self.reproduced + other.reproduced,
            differs: self.differs + other.differs,
            failed: self.failed + other.failed,
        }
    }
}

/// A result of a scenario that can be executed again: the run that made it, of a hit the one whose result was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifiable {
    /// The step that it is a result of.
    pub step: String,
    /// The run that was executed.
    pub run: String,
    /// Its object.
    pub object: Id,
}

/// The results of a scenario, each once, oldest first.
///
/// # Errors
/// When there is no such scenario, or the store can't be read.
pub fn results_of(repo: &Repo, snapshot: &Snapshot, scenario: &str) -> Result<Vec<Verifiable>, Error> {
    let project = repo.project();
    crate::scenario::check_name(scenario)?;
    if !crate::scenario::exists(snapshot, project, scenario)? {
        let known = crate::scenario::names(repo, snapshot)?;
        return Err(crate::scenario::Error::NotFound { name: scenario.to_owned(), known }.into());
    }
    let born = crate::scenario::born(snapshot, project, scenario)?;
    let mut seen = std::collections::HashSet::new();
    let mut found = Vec::new();
    for item in snapshot.scan(&key::runs_of(project, &born), Direction::Forward) {
        let (raw, value) = item?;
        let Some((run, object)) = key::run_and_object(&raw) else { continue };
        let line: RunLine = entry::decode(&value)?;
        let is_command = matches!(line.kind, crate::object::run::RunKind::Command | crate::object::run::RunKind::Task);
        if line.status != Status::Success || !is_command {
            continue;
        }
        let (run, object) = if line.cache == "hit" {
            let Some((_, bytes)) = snapshot.read(&object)? else { continue };
            match RunRecord::decode(&bytes)?.into_head().cache {
                Cache::Hit { source, object, .. } => (source, object),
                _ => (run, object),
            }
        } else {
            (run, object)
        };
        if seen.insert(object) {
            found.push(Verifiable { step: line.step, run, object });
        }
    }
    Ok(found)
}

/// How reproducible the steps of a scenario are, by name.
///
/// # Errors
/// As [`results_of`].
pub fn scores(repo: &Repo, snapshot: &Snapshot, scenario: &str) -> Result<BTreeMap<String, Score>, Error> {
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    for one in results_of(repo, snapshot, scenario)? {
        let score = scores.entry(one.step).or_default();
        score.runs += 1;
        match newest(snapshot, &one.object)?.map(|line| line.finding) {
            Some(Finding::Reproduced) => score.reproduced += 1,
            Some(Finding::Differs) => score.differs += 1,
            Some(Finding::Failed) => score.failed += 1,
            None => {}
        }
    }
    Ok(scores)
}

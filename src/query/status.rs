//! What is out of date in the work tree.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;

use super::Error;
use crate::codec;
use crate::mark::{MarkKind, Marks};
use crate::object::recipe::{Content, FileSet};
use crate::object::run::{Cache, Differs, Output, Reason, ReasonKind, Run, RunKind, Status};
use crate::refs::key;
use crate::repo::entry::{self, StepRun};
use crate::revspec::read_run;
use crate::run::live::{Entry, State};
use crate::run::memory::other_outcomes;
use crate::run::prepare::Environment;
use crate::run::{Request, Session, plan};
use crate::store::{Direction, Snapshot};
use crate::worktree::{self, CaptureOptions};

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    /// Running it again would be a hit, and its outputs lie where they should.
    Fresh,
    /// Running it again would execute it.
    Stale,
    /// Running it again would be a hit, but an output is not there; or the result is at a remote.
    Missing,
}

/// One step of the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct StepStatus {
    /// Its name.
    pub step: String,
    /// Its newest run.
    pub run: String,
    /// How it stands.
    pub state: StepState,
    /// Why; of a fresh one, what it rests on that was retracted.
    pub reasons: Vec<Reason>,
    /// The remote that would give the result, if nothing here does.
    pub remote: Option<String>,
    /// Outcomes of the same recipe with other bytes.
    pub others: Vec<Differs>,
}

/// How a path differs from what is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathState {
    /// Other content than recorded.
    Modified,
    /// It is gone.
    Missing,
    /// Staged and not committed.
    New,
}

/// A path that differs from what is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStatus {
    /// As records have it.
    pub path: BString,
    /// How.
    pub state: PathState,
    /// The run that recorded it last.
    pub run: Option<String>,
}

/// How the work tree stands against the newest runs of a scenario.
#[derive(Debug)]
pub struct WorkStatus {
    /// Steps, in the order of their newest runs, oldest first.
    pub steps: Vec<StepStatus>,
    /// Paths that differ.
    pub paths: Vec<PathStatus>,
    /// Runs that are under way or wait to be settled.
    pub live: Vec<Entry>,
}

impl WorkStatus {
    /// Whether there is nothing to do.
    pub fn is_clean(&self) -> bool {
        self.steps.iter().all(|s| s.state == StepState::Fresh)
            && self.paths.is_empty()
            && self.live.iter().all(|e| e.state == State::Running)
    }
}

/// Compares the work tree with the newest run of every step of the scenario: would it be a hit, do its outputs lie there, and is what was
/// committed by hand still the same. Changes nothing. What would be no hit here is asked of the session's remotes, if it has any.
///
/// # Errors
/// When the store can't be read.
pub fn status(session: &Session<'_>, snapshot: &Snapshot, environment: &Environment) -> Result<WorkStatus, Error> {
    let repo = session.repo;
    let mut newest = newest_of_steps(session, snapshot)?;
    newest.sort_by_key(|(_, run)| run.started_at);
    let mut steps = Vec::new();
    // By path: what the newest run that recorded it says, so that an older commit of a path says nothing.
    let mut recorded: BTreeMap<(BString, Option<FileSet>), (Output, String)> = BTreeMap::new();
    for (step, run) in &newest {
        for output in run.outputs.values() {
            recorded.insert((output.path.clone(), output.set.clone()), (output.clone(), run.run.clone()));
        }
        if run.kind == RunKind::Command {
            let mut status = step_status(session, snapshot, environment, step, run)?;
            status.reasons.extend(retracted_inputs(snapshot, run)?);
            if let Some(recipe) = &run.recipe {
                let made = match &run.cache {
                    Cache::Hit { source, .. } => source,
                    _ => &run.run,
                };
                status.others = other_outcomes(snapshot, recipe, &run.outputs, made)?;
            }
            steps.push(status);
        }
    }
    for run in commits(session, snapshot)? {
        for output in run.outputs.values() {
            recorded.entry((output.path.clone(), None)).or_insert_with(|| (output.clone(), run.run.clone()));
        }
    }
    let mut paths = Vec::new();
    // What lies as it was recorded, so that a large folder that is staged as well is looked at once.
    let mut same: BTreeMap<BString, Content> = BTreeMap::new();
    for ((path, set), (output, run)) in recorded {
        if set.is_some() {
            let state = set_state(session, &output);
            paths.extend(state.map(|state| PathStatus { path, state, run: Some(run) }));
            continue;
        }
        match path_state(session, &path, &output.content)? {
            Some(state) => paths.push(PathStatus { path, state, run: Some(run) }),
            None => drop(same.insert(path, output.content)),
        }
    }
    let staged = crate::run::staged(session, snapshot)?;
    let known: BTreeSet<BString> = paths.iter().map(|p| p.path.clone()).collect();
    for (path, staged) in staged {
        if known.contains(&path) {
            continue;
        }
        let is_same = same.get(&path) == Some(&staged.content);
        let state = if is_same { None } else { path_state(session, &path, &staged.content)? };
        paths.push(PathStatus { path, state: state.unwrap_or(PathState::New), run: None });
    }
    let live = crate::run::live_folder(repo).list().map_err(crate::run::Error::from)?;
    session.save();
    Ok(WorkStatus { steps, paths, live })
}

/// The newest successful run of every step of the current scenario that is not hidden.
fn newest_of_steps(session: &Session<'_>, snapshot: &Snapshot) -> Result<Vec<(String, Run)>, Error> {
    let repo = session.repo;
    let marks = Marks::open(snapshot)?;
    let mut found = Vec::new();
    let prefix = key::steps_of_project(repo.project());
    let mut from = prefix.clone();
    while let Some(item) = snapshot.scan_from(&prefix, std::ops::Bound::Included(&from), Direction::Forward).next() {
        let Some(step) = key::step_of(&item?.0) else { break };
        let of_step = key::steps_of(repo.project(), &step);
        for item in snapshot.scan(&of_step, Direction::Forward) {
            let (raw, value) = item?;
            let line: StepRun = entry::decode(&value)?;
            let is_meant = line.scenario == repo.scenario() && line.status == Status::Success;
            if is_meant && !marks.is(&line.object, MarkKind::Hide)? {
                let id = key::last_text(&raw).unwrap_or_default();
                let run = read_run(snapshot, &id, &line.object)?;
                if run.kind != RunKind::Manual {
                    found.push((step.clone(), run));
                }
                break;
            }
        }
        from = key::after(&of_step);
    }
    Ok(found)
}

/// Commits by hand that are looked through for paths.
const COMMITS: usize = 256;

/// Records made by hand in the current scenario, newest first.
fn commits(session: &Session<'_>, snapshot: &Snapshot) -> Result<Vec<Run>, Error> {
    let repo = session.repo;
    let mut found = Vec::new();
    for item in snapshot.scan(&key::steps_of(repo.project(), "commit"), Direction::Forward).take(COMMITS) {
        let (raw, value) = item?;
        let line: StepRun = entry::decode(&value)?;
        if line.scenario == repo.scenario() {
            let run = read_run(snapshot, &key::last_text(&raw).unwrap_or_default(), &line.object)?;
            if run.kind == RunKind::Manual {
                found.push(run);
            }
        }
    }
    Ok(found)
}

/// How the files of a set stand: missing when none of them is there.
fn set_state(session: &Session<'_>, output: &Output) -> Option<PathState> {
    let (root, fs) = (session.repo.root(), session.repo.fs());
    let place = session.repo.place_of(root, &output.path).ok()?;
    if crate::run::outputs::lies_there(session, &place, output) {
        return None;
    }
    let is_there = |member| {
        let Ok(place) = session.repo.place_of(root, &output.member_path(member)) else { return false };
        fs.lstat(&session.worktree().path(&place)).is_ok_and(|stat| stat.is_some())
    };
    Some(if output.members.keys().any(is_there) { PathState::Modified } else { PathState::Missing })
}

fn path_state(session: &Session<'_>, path: &BString, content: &Content) -> Result<Option<PathState>, Error> {
    // What lies on a mount of another machine can't be compared here.
    let Ok(place) = session.repo.place_of(session.repo.root(), path) else { return Ok(None) };
    match worktree::capture(
        &session.worktree(),
        &place,
        &session.capture_options(&place).map_err(crate::run::Error::from)?,
        None,
    ) {
        Ok(captured) if captured.content == *content => Ok(None),
        Ok(_) => {
            let all = CaptureOptions { without_fence: true, ..CaptureOptions::default() };
            match worktree::capture(&session.worktree(), &place, &all, None) {
                Ok(captured) if captured.content == *content => Ok(None),
                _ => Ok(Some(PathState::Modified)),
            }
        }
        Err(worktree::Error::Absent { .. }) => Ok(Some(PathState::Missing)),
        Err(err) => Err(crate::run::Error::from(err).into()),
    }
}

/// The inputs of a run whose makers were retracted since.
fn retracted_inputs(snapshot: &Snapshot, run: &Run) -> Result<Vec<Reason>, Error> {
    let marks = Marks::open(snapshot)?;
    let mut reasons = Vec::new();
    for (key, input) in &run.inputs {
        let Some((producer, object)) = input.producer.as_ref().and_then(|made| Some((made, made.object?))) else {
            continue;
        };
        if let Some(said) = marks.retracted(&object)? {
            reasons.push(Reason {
                part: format!("inputs.{key}"),
                kind: ReasonKind::Retracted,
                before: Some(producer.run.clone()),
                after: (!said.why.is_empty()).then_some(said.why),
            });
        }
    }
    Ok(reasons)
}

/// The request behind a run: its own, or that of the run it is a hit of.
fn request_of(snapshot: &Snapshot, run: &Run) -> Option<Request> {
    let of = |run: &Run| run.meta.get("request").and_then(|value| codec::from_value::<Request>(value).ok());
    of(run).or_else(|| match &run.cache {
        Cache::Hit { source, object, .. } => of(&read_run(snapshot, source, object).ok()?),
        _ => None,
    })
}

fn step_status(
    session: &Session<'_>,
    snapshot: &Snapshot,
    environment: &Environment,
    step: &str,
    run: &Run,
) -> Result<StepStatus, Error> {
    let done = |state, reasons| {
        Ok(StepStatus { step: step.to_owned(), run: run.run.clone(), state, reasons, remote: None, others: Vec::new() })
    };
    let reason =
        |part: &str, kind, after: String| Reason { part: part.to_owned(), kind, before: None, after: Some(after) };
    let Some(mut request) = request_of(snapshot, run) else {
        return done(
            StepState::Stale,
            vec![reason("request", ReasonKind::Removed, "what was asked for is not on record".to_owned())],
        );
    };
    request.cache = None;
    request.lifecycle.always = false;
    // No server is asked: what is remembered of an address is what is known here.
    request.freshness = crate::run::web::Freshness::Offline;
    request.step = Some(step.to_owned());
    if !request.declares_outputs() {
        request.cache = Some(crate::run::CacheMode::Reuse);
    }
    match plan(session, snapshot, &request, environment) {
        Ok(plan) if plan.hit.is_some() => {
            let lost: Vec<Reason> = run
                .outputs
                .iter()
                .filter_map(|(key, output)| {
                    let root = session.repo.root();
                    let is_gone = |path: &BString| {
                        let place = session.repo.place_of(root, path).ok();
                        place.is_some_and(|place| {
                            let path = session.worktree().path(&place);
                            session.repo.fs().lstat(&path).ok().flatten().is_none()
                        })
                    };
                    let gone = match &output.set {
                        None => is_gone(&output.path),
                        Some(_) => output.members.keys().any(|member| is_gone(&output.member_path(member))),
                    };
                    gone.then(|| {
                        reason(&format!("outputs.{key}"), ReasonKind::Removed, "not in the work tree".to_owned())
                    })
                })
                .collect();
            if lost.is_empty() { done(StepState::Fresh, lost) } else { done(StepState::Missing, lost) }
        }
        Ok(plan) => match plan.offer {
            Some(offer) => {
                let status = done(StepState::Missing, plan.reasons)?;
                Ok(StepStatus { remote: Some(offer.remote), ..status })
            }
            None => done(StepState::Stale, plan.reasons),
        },
        Err(err) => done(StepState::Stale, vec![reason("request", ReasonKind::Changed, crate::run::chain(&err))]),
    }
}

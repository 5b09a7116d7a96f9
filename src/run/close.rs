//! Closing a scenario: one record that binds all its runs by one hash.

use std::collections::{BTreeMap, HashMap};

use super::{Error, live, name, record};
use crate::codec::Value;
use crate::hash::Id;
use crate::mark::{MarkKind, Marks};
use crate::object::run::{Run, RunError, RunKind, Status};
use crate::object::scenario::{Closed, Scenario};
use crate::object::{Kind, id_of};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunLine, Touch};
use crate::scenario::{self, Changes};
use crate::store::{Direction, Snapshot};

/// What closing a scenario found.
#[derive(Debug, Clone)]
pub struct Closing {
    /// The closing record.
    pub run: Run,
    /// Its object.
    pub object: Id,
    /// How many runs it binds.
    pub runs: u64,
    /// Steps whose newest run is no success, with that run.
    pub failed_steps: Vec<(String, String)>,
    /// Required outputs that no successful run of it has.
    pub missing: Vec<String>,
}

/// Closes a scenario: records a run of kind `scenario` whose children are all its runs, and from then on nothing is recorded in it. The record
/// is a failure if the newest run of a step is no success, or a required output is not there. Runs that are hidden or retracted are bound
/// like all others, and passed over when it is asked how the steps stand.
///
/// # Errors
/// When there is no such scenario, it is closed already, runs of it are under way in this workspace, or the store can't be read or written.
pub fn close(repo: &Repo, name: &str, message: &str, dry_run: bool) -> Result<Closing, Error> {
    let mut closing = None;
    if dry_run {
        let snapshot = repo.store().snapshot()?;
        scenario::open_for_runs(repo, &snapshot, name)?;
        let settings = scenario::settings(&snapshot, repo.project(), name)?;
        let settings = settings.unwrap_or_else(|| Scenario::named(name, repo.now()));
        return look(repo, &snapshot, &settings, message);
    }
    scenario::change(repo, name, "scenario close", &mut |snapshot, settings| -> Result<Option<Changes>, Error> {
        scenario::check_open(settings)?;
        let found = look(repo, snapshot, settings, message)?;
        let bytes = found.run.encode().map_err(|source| Error::Record { run: found.run.run.clone(), source })?;
        settings.closed = Some(Closed { at: found.run.finished_at, run: found.run.run.clone(), object: found.object });
        let changes = Changes {
            objects: vec![(Kind::RUN, found.object, bytes)],
            runs: record::edits(snapshot, &found.run, found.object)?,
            recorded: vec![(found.run.run.clone(), found.object)],
            ..Changes::default()
        };
        closing = Some(found);
        Ok(Some(changes))
    })?;
    // Set by every call that publishes; said as an error rather than assumed.
    closing.ok_or_else(|| Error::Usage { what: "nothing was closed".to_owned() })
}

/// Opens a closed scenario again. Its closing record stays, and binds what it bound.
///
/// # Errors
/// When there is no such scenario, it is not closed, or the store can't be read or written.
pub fn reopen(repo: &Repo, name: &str) -> Result<Closed, Error> {
    let (before, _) =
        scenario::change(repo, name, "scenario reopen", &mut |_, settings| -> Result<Option<Changes>, Error> {
            match settings.closed.take() {
                Some(_) => Ok(Some(Changes::default())),
                None => Err(scenario::Error::NotClosed { name: settings.current_name().to_owned() }.into()),
            }
        })?;
    before.closed.ok_or_else(|| scenario::Error::NotClosed { name: name.to_owned() }.into())
}

fn look(repo: &Repo, snapshot: &Snapshot, settings: &Scenario, message: &str) -> Result<Closing, Error> {
    let (project, birth) = (repo.project(), settings.name.as_str());
    let live = super::live_folder(repo).list()?.into_iter().filter(|entry| entry.state == live::State::Running);
    if let Some(intent) = live.filter_map(|entry| entry.intent).find(|intent| intent.scenario == birth) {
        return Err(scenario::Error::Busy { name: settings.current_name().to_owned(), run: intent.run }.into());
    }
    let marks = Marks::open(snapshot).map_err(super::lookup::Error::from)?;
    let mut children = BTreeMap::new();
    let mut succeeded: HashMap<String, bool> = HashMap::new();
    let mut newest: BTreeMap<String, (RunLine, String)> = BTreeMap::new();
    for item in snapshot.scan(&key::runs_of(project, birth), Direction::Forward) {
        let (raw, value) = item?;
        let Some((run, object)) = key::run_and_object(&raw) else { continue };
        let line: RunLine = entry::decode(&value).map_err(|source| Error::Ref { source })?;
        if line.kind == RunKind::Scenario {
            continue;
        }
        children.insert(run.clone(), object);
        let lookup = |err: crate::mark::Error| Error::from(super::lookup::Error::from(err));
        if marks.is(&object, MarkKind::Hide).map_err(lookup)? || marks.retracted(&object).map_err(lookup)?.is_some() {
            continue;
        }
        succeeded.insert(run.clone(), line.status == Status::Success);
        match newest.get(&line.step) {
            Some((known, _)) if known.at > line.at => {}
            _ => drop(newest.insert(line.step.clone(), (line, run))),
        }
    }
    let failed_steps: Vec<(String, String)> = newest
        .into_iter()
        .filter(|(_, (line, _))| line.status != Status::Success)
        .map(|(step, (_, run))| (step, run))
        .collect();
    let mut missing = Vec::new();
    for wanted in &settings.required {
        let mut is_there = false;
        for item in snapshot.scan(&key::artifacts_of(project, birth, wanted), Direction::Forward) {
            let (raw, value) = item?;
            let touch: Touch = entry::decode(&value).map_err(|source| Error::Ref { source })?;
            let run = key::last_text(&raw).unwrap_or_default();
            if children.get(&run) == Some(&touch.object) && succeeded.get(&run) == Some(&true) {
                is_there = true;
                break;
            }
        }
        if !is_there {
            missing.push(wanted.clone());
        }
    }
    let run = closing_run(repo, settings, message, children, &failed_steps, &missing);
    let bytes = run.encode().map_err(|source| Error::Record { run: run.run.clone(), source })?;
    let object = id_of(&Kind::RUN, &bytes);
    Ok(Closing { runs: run.children.len() as u64, object, run, failed_steps, missing })
}

fn closing_run(
    repo: &Repo,
    settings: &Scenario,
    message: &str,
    children: BTreeMap<String, Id>,
    failed_steps: &[(String, String)],
    missing: &[String],
) -> Run {
    let now = repo.now();
    let step = "scenario close";
    let id = name::run_id(now, step, &*repo.world().random);
    let text = |text: &String| Value::Text(text.clone());
    let mut about = vec![("runs".to_owned(), Value::Int(children.len() as i128))];
    if !failed_steps.is_empty() {
        let failed = failed_steps
            .iter()
            .map(|(step, run)| Value::Map(vec![("step".to_owned(), text(step)), ("run".to_owned(), text(run))]));
        about.push(("failed_steps".to_owned(), Value::List(failed.collect())));
    }
    if !missing.is_empty() {
        about.push(("missing".to_owned(), Value::List(missing.iter().map(text).collect())));
    }
    let is_whole = failed_steps.is_empty() && missing.is_empty();
    let mut wrong: Vec<String> = failed_steps.iter().map(|(step, _)| format!("step `{step}` failed")).collect();
    wrong.extend(missing.iter().map(|key| format!("output `{key}` is not there")));
    Run {
        finished_at: now,
        status: if is_whole { Status::Success } else { Status::Failure },
        sealed: true,
        children,
        error: (!is_whole).then(|| RunError {
            kind: "incomplete".to_owned(),
            message: wrong.join("; "),
            run: failed_steps.first().map(|(_, run)| run.clone()),
        }),
        host: Some(repo.world().host.clone()),
        author: repo.world().author.clone(),
        description: message.to_owned(),
        meta: BTreeMap::from([("scenario".to_owned(), Value::Map(about))]),
        ..Run::begun(&id, repo.project(), &settings.name, RunKind::Scenario, step, now)
    }
}

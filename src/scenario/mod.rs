//! Scenarios: named groups of runs, and which one is current here.

use std::collections::BTreeSet;

use crate::clock::Micros;
use crate::codec::{self, Value};
use crate::hash::Id;
use crate::journal::{Change, Line};
use crate::object::config::Config;
use crate::object::scenario::Scenario;
use crate::object::{AccessError, Kind, Record, Sink, Source, id_of};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunLine};
use crate::store::{self, Direction, Draft, Expect, RefEdit, Snapshot};

/// The scenario that every project has from the start, without a record of its own.
pub const MAIN: &str = "main";

/// Why a scenario can't be made, found or switched to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name can't be used.
    #[error("`{name}` can't be the name of a scenario: {why}")]
    BadName {
        /// The name.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// It exists already.
    #[error("there is a scenario `{name}` already")]
    Exists {
        /// The name.
        name: String,
    },
    /// It does not exist.
    #[error("there is no scenario `{name}`")]
    NotFound {
        /// The name.
        name: String,
        /// Those that do.
        known: Vec<String>,
    },
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Its record is damaged.
    #[error("the record of scenario `{name}` can't be read")]
    Record {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: crate::object::Error,
    },
    /// A ref is damaged.
    #[error("a scenario ref can't be read")]
    Ref(#[from] codec::Error),
    /// HEAD can't be written.
    #[error("can't switch to scenario `{name}`")]
    Head {
        /// The name.
        name: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// A scenario with what its runs say.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its settings; `None` for one that only runs tell of.
    pub settings: Option<Scenario>,
    /// Runs in it, at most [`COUNTED`] are counted.
    pub runs: u64,
    /// When the newest began.
    pub newest: Option<Micros>,
    /// Whether it is the current one here.
    pub is_current: bool,
}

/// Runs that are counted at most for a listing.
pub const COUNTED: u64 = 100_000;

/// Checks a scenario's name: 1 to 100 bytes without control characters, `/`, `:`, `@`, `~`, `{`, `}` or surrounding blanks, and no leading `-`.
///
/// # Errors
/// [`Error::BadName`] with the rule.
pub fn check_name(name: &str) -> Result<(), Error> {
    let bad = |why| Err(Error::BadName { name: name.to_owned(), why });
    if name.is_empty() || name.len() > 100 {
        return bad("it has 1 to 100 bytes");
    }
    if name.trim() != name || name.chars().any(|c| c.is_control() || "/:@~{}\\".contains(c)) {
        return bad("it holds no control characters, none of / : @ ~ { } \\ and no blanks at its ends");
    }
    if name.starts_with('-') {
        return bad("it does not begin with `-`");
    }
    Ok(())
}

/// Reads the settings of a scenario; `None` when none were ever made.
///
/// # Errors
/// When they can't be read.
pub fn settings(snapshot: &Snapshot, project: &str, name: &str) -> Result<Option<Scenario>, Error> {
    let Some(value) = snapshot.get_ref(&key::scenario(project, name))? else { return Ok(None) };
    let id: Id = entry::decode(&value)?;
    let Some((_, bytes)) = snapshot.read(&id)? else {
        return Err(AccessError::Damaged {
            id,
            place: "the store".to_owned(),
            what: format!("the record of scenario `{name}` is missing"),
        }
        .into());
    };
    Scenario::decode(&bytes).map(Some).map_err(|source| Error::Record { name: name.to_owned(), source })
}

/// The settings that every run of a scenario is given: a map, empty when there are none.
///
/// # Errors
/// When they can't be read.
pub fn config(snapshot: &Snapshot, project: &str, name: &str) -> Result<Value, Error> {
    config_of(snapshot, settings(snapshot, project, name)?.as_ref())
}

/// As [`config`], of settings that were read.
///
/// # Errors
/// When they can't be read.
pub fn config_of(snapshot: &Snapshot, settings: Option<&Scenario>) -> Result<Value, Error> {
    let Some((name, id)) = settings.and_then(|scenario| Some((&scenario.name, scenario.config?))) else {
        return Ok(Value::Map(Vec::new()));
    };
    let Some((_, bytes)) = snapshot.read(&id)? else {
        let what = format!("the settings of scenario `{name}` are missing");
        return Err(AccessError::Damaged { id, place: "the store".to_owned(), what }.into());
    };
    let config = Config::decode(&bytes).map_err(|source| Error::Record { name: name.clone(), source })?;
    Ok(config.0)
}

/// Whether a scenario exists: it is `main`, was made, or has runs.
///
/// # Errors
/// When the store can't be read.
pub fn exists(snapshot: &Snapshot, project: &str, name: &str) -> Result<bool, Error> {
    Ok(name == MAIN
        || snapshot.get_ref(&key::scenario(project, name))?.is_some()
        || snapshot.scan(&key::runs_of(project, name), Direction::Forward).next().transpose()?.is_some())
}

/// The scenario that runs which are begun under `name` are recorded in.
///
/// # Errors
/// [`Error::NotFound`] when there is none of that name: nothing becomes a scenario by accident.
pub fn open_for_runs(repo: &Repo, snapshot: &Snapshot, name: &str) -> Result<String, Error> {
    check_name(name)?;
    if !exists(snapshot, repo.project(), name)? {
        return Err(Error::NotFound { name: name.to_owned(), known: names(repo, snapshot)? });
    }
    Ok(name.to_owned())
}

/// What a new scenario is given.
#[derive(Debug, Clone, Default)]
pub struct NewOptions {
    /// What it is for.
    pub description: String,
    /// Labels.
    pub tags: BTreeSet<String>,
    /// The scenario it comes from.
    pub base: Option<String>,
    /// Settings that every run in it is given, under those of its own.
    pub config: Option<Value>,
    /// Its epoch.
    pub epoch: u64,
}

/// Makes a scenario. Does not switch to it.
///
/// # Errors
/// When the name is bad or taken, or the store can't be written.
pub fn new(repo: &Repo, name: &str, options: &NewOptions) -> Result<Scenario, Error> {
    check_name(name)?;
    let record = |source| Error::Record { name: name.to_owned(), source };
    let config = match &options.config {
        None => None,
        Some(value) => {
            let bytes = Config(value.clone()).encode().map_err(record)?;
            Some((id_of(&Kind::CONFIG, &bytes), bytes))
        }
    };
    let made = Scenario {
        name: name.to_owned(),
        created_at: repo.now(),
        description: options.description.clone(),
        config: config.as_ref().map(|(id, _)| *id),
        tags: options.tags.clone(),
        base: options.base.clone(),
        epoch: options.epoch,
    };
    let bytes = made.encode().map_err(record)?;
    let id = id_of(&Kind::SCENARIO, &bytes);
    let value = entry::encode(&id)?;
    let taken = || Error::Exists { name: name.to_owned() };
    let op = repo.new_op();
    let changes = vec![Change::new(&key::scenario(repo.project(), name), None, Some(&value))];
    let line = Line { about: name.to_owned(), edits: changes, ..Line::of(repo, "scenario new") };
    let line = line.edit(repo, op, made.created_at)?;
    let published = repo.store().publish(op, "scenario new", &mut |snapshot| -> Result<Option<Draft>, Error> {
        if exists(snapshot, repo.project(), name)? {
            return Err(taken());
        }
        let intake = repo.store().intake(snapshot);
        if let Some((id, bytes)) = &config {
            intake.put(&Kind::CONFIG, id, bytes)?;
        }
        intake.put(&Kind::SCENARIO, &id, &bytes)?;
        let edit =
            RefEdit { key: key::scenario(repo.project(), name), expect: Expect::Absent, new: Some(value.clone()) };
        Ok(Some(Draft {
            collected: Some(std::sync::Arc::new(intake.finish()?)),
            edits: vec![edit, line.clone()],
            ..Draft::default()
        }))
    });
    match published {
        Ok(_) => Ok(made),
        Err(Error::Store(store::Error::Expectation { .. })) => Err(taken()),
        Err(err) => Err(err),
    }
}

/// Gives a scenario another epoch: every earlier result is forgotten in it. Returns the one it had.
///
/// # Errors
/// When there is no such scenario, or the store can't be read or written.
pub fn set_epoch(repo: &Repo, name: &str, epoch: u64) -> Result<u64, Error> {
    check_name(name)?;
    let record = |source| Error::Record { name: name.to_owned(), source };
    let mut before = 0;
    let op = repo.new_op();
    repo.store().publish(op, "scenario set", &mut |snapshot| -> Result<Option<Draft>, Error> {
        if !exists(snapshot, repo.project(), name)? {
            return Err(Error::NotFound { name: name.to_owned(), known: names(repo, snapshot)? });
        }
        // `main`, and one that only runs tell of, has no record until something is said about it.
        let mut scenario = settings(snapshot, repo.project(), name)?.unwrap_or_else(|| Scenario {
            name: name.to_owned(),
            created_at: repo.now(),
            description: String::new(),
            config: None,
            tags: BTreeSet::new(),
            base: None,
            epoch: 0,
        });
        before = std::mem::replace(&mut scenario.epoch, epoch);
        if before == epoch {
            return Ok(None);
        }
        let bytes = scenario.encode().map_err(record)?;
        let id = id_of(&Kind::SCENARIO, &bytes);
        let key = key::scenario(repo.project(), name);
        let old = snapshot.get_ref(&key)?;
        let value = entry::encode(&id)?;
        let edits = vec![Change::new(&key, old.as_deref(), Some(&value))];
        let line = Line { about: name.to_owned(), edits, ..Line::of(repo, "scenario set") };
        let intake = repo.store().intake(snapshot);
        intake.put(&Kind::SCENARIO, &id, &bytes)?;
        let edit = RefEdit { key, expect: old.map_or(Expect::Absent, Expect::Is), new: Some(value) };
        let edits = vec![edit, line.edit(repo, op, repo.now())?];
        let collected = Some(std::sync::Arc::new(intake.finish()?));
        Ok(Some(Draft { collected, edits, ..Draft::default() }))
    })?;
    Ok(before)
}

/// The names of all scenarios of the project: `main`, the current one, those that were made, those that have runs.
///
/// # Errors
/// When the store can't be read.
pub fn names(repo: &Repo, snapshot: &Snapshot) -> Result<Vec<String>, Error> {
    let project = repo.project();
    let mut names = BTreeSet::from([MAIN.to_owned(), repo.scenario().to_owned()]);
    for item in snapshot.scan(&key::scenarios_of(project), Direction::Forward) {
        names.extend(key::last_text(&item?.0));
    }
    // From one scenario's runs to the next: skipping, not reading them all.
    let prefix = key::runs_of_project(project);
    let mut from = prefix.clone();
    while let Some(item) = snapshot.scan_from(&prefix, std::ops::Bound::Included(&from), Direction::Forward).next() {
        let (found, _) = item?;
        let Some(name) = key::scenario_of_run(&found) else { break };
        from = key::after(&key::runs_of(project, &name));
        names.insert(name);
    }
    Ok(names.into_iter().collect())
}

/// All scenarios of the project, by name.
///
/// # Errors
/// When the store can't be read.
pub fn list(repo: &Repo, snapshot: &Snapshot) -> Result<Vec<Listed>, Error> {
    let project = repo.project();
    let listed =
        |name: String| Listed { is_current: name == repo.scenario(), name, settings: None, runs: 0, newest: None };
    let mut out: Vec<Listed> = names(repo, snapshot)?.into_iter().map(listed).collect();
    for one in &mut out {
        one.settings = settings(snapshot, project, &one.name)?;
        for item in snapshot
            .scan(&key::runs_of(project, &one.name), Direction::Backward)
            .take(usize::try_from(COUNTED).unwrap_or(usize::MAX))
        {
            let (_, value) = item?;
            if one.newest.is_none() {
                let line: RunLine = entry::decode(&value)?;
                one.newest = Some(line.at);
            }
            one.runs += 1;
        }
    }
    Ok(out)
}

/// Makes `name` the current scenario of this checkout.
///
/// # Errors
/// [`Error::NotFound`] when there is none of that name: nothing becomes a scenario by accident.
pub fn switch(repo: &Repo, name: &str) -> Result<(), Error> {
    check_name(name)?;
    let snapshot = repo.store().snapshot()?;
    if !exists(&snapshot, repo.project(), name)? {
        let known = list(repo, &snapshot)?.into_iter().map(|one| one.name).collect();
        return Err(Error::NotFound { name: name.to_owned(), known });
    }
    let text = format!("scenario: {name}\n");
    repo.fs()
        .replace(&repo.layout().head(), text.as_bytes(), true)
        .map_err(|source| Error::Head { name: name.to_owned(), source })
}

//! Scenarios: named groups of runs, and which one is current here.
//!
//! A scenario has the name that it was born with for ever: its runs are filed under it. Renaming gives it another name to go by. One that was
//! forked begins where its base was at that moment ([`chain`]). What all this means: `docs/design/0013-scenarios.md`.

mod base;
mod edit;

pub use base::{Link, chain};
pub use edit::{Changes, NewOptions, change, forked, new, rename};

use std::collections::BTreeSet;

use crate::clock::Micros;
use crate::codec::{self, Value};
use crate::object::config::Config;
use crate::object::scenario::Scenario;
use crate::object::{AccessError, Record, Source};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunLine, ScenarioRef};
use crate::store::{self, Direction, Snapshot};

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
    /// One that differs by case alone exists already.
    #[error("there is a scenario `{other}` already, which differs from `{name}` by case alone")]
    OtherCase {
        /// The name.
        name: String,
        /// The one that exists.
        other: String,
    },
    /// It was closed.
    #[error("the scenario `{name}` is closed, by run {run}")]
    Closed {
        /// The name.
        name: String,
        /// The closing run.
        run: String,
    },
    /// Runs of it are under way.
    #[error("run {run} of the scenario `{name}` is under way")]
    Busy {
        /// The name.
        name: String,
        /// One of the runs.
        run: String,
    },
    /// It is not closed.
    #[error("the scenario `{name}` is not closed")]
    NotClosed {
        /// The name.
        name: String,
    },
    /// It can't be renamed.
    #[error("`{name}` can't be renamed: it is the scenario that every project has")]
    IsMain {
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
    /// The name that it was born with.
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
    let id = match ScenarioRef::read(&value)? {
        ScenarioRef::Settings(id) => id,
        ScenarioRef::Alias(birth) => {
            // An alias leads to what was born, never to another alias.
            match snapshot
                .get_ref(&key::scenario(project, &birth))?
                .map(|value| ScenarioRef::read(&value))
                .transpose()?
            {
                Some(ScenarioRef::Settings(id)) => id,
                _ => return Ok(None),
            }
        }
    };
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

/// The name under which the runs of a scenario are filed: the one that it was born with, of a name that it goes by.
///
/// # Errors
/// When the store can't be read.
pub fn born(snapshot: &Snapshot, project: &str, name: &str) -> Result<String, Error> {
    let Some(value) = snapshot.get_ref(&key::scenario(project, name))? else { return Ok(name.to_owned()) };
    Ok(match ScenarioRef::read(&value)? {
        ScenarioRef::Settings(_) => name.to_owned(),
        ScenarioRef::Alias(birth) => birth,
    })
}

/// The scenario that runs which are begun under `name` are recorded in: the name that it was born with.
///
/// # Errors
/// [`Error::NotFound`] when there is none of that name: nothing becomes a scenario by accident. [`Error::Closed`].
pub fn open_for_runs(repo: &Repo, snapshot: &Snapshot, name: &str) -> Result<String, Error> {
    check_name(name)?;
    if !exists(snapshot, repo.project(), name)? {
        return Err(Error::NotFound { name: name.to_owned(), known: names(repo, snapshot)? });
    }
    match settings(snapshot, repo.project(), name)? {
        None => Ok(name.to_owned()),
        Some(settings) => {
            check_open(&settings)?;
            Ok(settings.name)
        }
    }
}

/// Checks that runs may be recorded in a scenario.
///
/// # Errors
/// [`Error::Closed`].
pub fn check_open(settings: &Scenario) -> Result<(), Error> {
    match &settings.closed {
        Some(closed) => Err(Error::Closed { name: settings.current_name().to_owned(), run: closed.run.clone() }),
        None => Ok(()),
    }
}

/// The names of all scenarios of the project, as they were born: `main`, the current one, those that were made, those that have runs.
///
/// # Errors
/// When the store can't be read.
pub fn names(repo: &Repo, snapshot: &Snapshot) -> Result<Vec<String>, Error> {
    let project = repo.project();
    let mut names = BTreeSet::from([MAIN.to_owned(), repo.scenario().to_owned()]);
    for item in snapshot.scan(&key::scenarios_of(project), Direction::Forward) {
        let (key, value) = item?;
        if let Ok(ScenarioRef::Settings(_)) = ScenarioRef::read(&value) {
            names.extend(key::last_text(&key));
        }
    }
    let here = born(snapshot, project, repo.scenario())?;
    if here != repo.scenario() {
        names.remove(repo.scenario());
        names.insert(here);
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
    let here = born(snapshot, project, repo.scenario())?;
    let listed = |name: String| Listed { is_current: name == here, name, settings: None, runs: 0, newest: None };
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
    // The name that never changes.
    let name = &born(&snapshot, repo.project(), name)?;
    let text = format!("scenario: {name}\n");
    repo.fs()
        .replace(&repo.layout().head(), text.as_bytes(), true)
        .map_err(|source| Error::Head { name: name.to_owned(), source })
}

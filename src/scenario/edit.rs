//! Making scenarios and changing what is said of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Error, MAIN, check_name, exists, names, settings};
use crate::codec::Value;
use crate::hash::Id;
use crate::journal::{Change, Line};
use crate::object::config::Config;
use crate::object::scenario::Scenario;
use crate::object::{Kind, Record, Sink, id_of};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, ScenarioRef};
use crate::store::{self, Draft, Expect, RefEdit, Snapshot};

/// What a new scenario is given.
#[derive(Debug, Clone, Default)]
pub struct NewOptions {
    /// What it is for.
    pub description: String,
    /// Labels.
    pub tags: BTreeSet<String>,
    /// The scenario it comes from.
    pub base: Option<String>,
    /// Settings that runs in it can ask for.
    pub config: Option<Value>,
    /// Its epoch.
    pub epoch: u64,
    /// What a hit in it puts back, unless the run says: `outputs`, `metadata` or `none`.
    pub restore: Option<String>,
    /// Labels for every run in it.
    pub run_tags: BTreeSet<String>,
    /// Facets for every run in it.
    pub run_facets: BTreeMap<String, Value>,
    /// Outputs without which it is not complete.
    pub required: BTreeSet<String>,
    /// Whether a name that differs from another by case alone is meant.
    pub any_case: bool,
}

/// What a scenario that is forked from `base` begins with: all that is said of that, but what it is called and whether it is closed.
///
/// # Errors
/// [`Error::NotFound`], or when settings can't be read.
pub fn forked(repo: &Repo, snapshot: &Snapshot, base: &str) -> Result<NewOptions, Error> {
    let project = repo.project();
    if !exists(snapshot, project, base)? {
        return Err(Error::NotFound { name: base.to_owned(), known: names(repo, snapshot)? });
    }
    let found = settings(snapshot, project, base)?;
    let config = super::config_of(snapshot, found.as_ref())?;
    let found = found.unwrap_or_else(|| Scenario::named(base, repo.now()));
    Ok(NewOptions {
        description: String::new(),
        tags: found.tags,
        base: Some(found.name),
        config: found.config.map(|_| config),
        epoch: found.epoch,
        restore: found.restore,
        run_tags: found.run_tags,
        run_facets: found.run_facets,
        required: found.required,
        any_case: false,
    })
}

/// Checks that a name is free, for a scenario or as another name of one.
fn check_free(repo: &Repo, snapshot: &Snapshot, name: &str, any_case: bool) -> Result<(), Error> {
    if matches!(name, "last" | "scenario") {
        let why = "it has a meaning of its own after `@`";
        return Err(Error::BadName { name: name.to_owned(), why });
    }
    if exists(snapshot, repo.project(), name)? {
        return Err(Error::Exists { name: name.to_owned() });
    }
    if !any_case {
        let mut known = names(repo, snapshot)?;
        for birth in known.clone() {
            known.extend(settings(snapshot, repo.project(), &birth)?.and_then(|found| found.alias));
        }
        if let Some(other) =
            known.into_iter().find(|known| known != name && known.to_lowercase() == name.to_lowercase())
        {
            return Err(Error::OtherCase { name: name.to_owned(), other });
        }
    }
    Ok(())
}

/// Makes a scenario. Does not switch to it.
///
/// # Errors
/// When the name is bad or taken, or the store can't be written.
pub fn new(repo: &Repo, name: &str, options: &NewOptions, dry_run: bool) -> Result<Scenario, Error> {
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
        description: options.description.clone(),
        config: config.as_ref().map(|(id, _)| *id),
        tags: options.tags.clone(),
        base: options.base.clone(),
        epoch: options.epoch,
        restore: options.restore.clone(),
        run_tags: options.run_tags.clone(),
        run_facets: options.run_facets.clone(),
        required: options.required.clone(),
        ..Scenario::named(name, repo.now())
    };
    let bytes = made.encode().map_err(record)?;
    let id = id_of(&Kind::SCENARIO, &bytes);
    let value = entry::encode(&id)?;
    let taken = || Error::Exists { name: name.to_owned() };
    let op = repo.new_op();
    let command = if options.base.is_some() { "scenario fork" } else { "scenario new" };
    let changes = vec![Change::new(&key::scenario(repo.project(), name), None, Some(&value))];
    let line = Line { about: name.to_owned(), edits: changes, ..Line::of(repo, command) };
    let line = line.edit(repo, op, made.created_at)?;
    if dry_run {
        check_free(repo, &repo.store().snapshot()?, name, options.any_case)?;
        return Ok(made);
    }
    let published = repo.store().publish(op, command, &mut |snapshot| -> Result<Option<Draft>, Error> {
        check_free(repo, snapshot, name, options.any_case)?;
        let intake = repo.store().intake(snapshot);
        if let Some((id, bytes)) = &config {
            intake.put(&Kind::CONFIG, id, bytes)?;
        }
        intake.put(&Kind::SCENARIO, &id, &bytes)?;
        let edit =
            RefEdit { key: key::scenario(repo.project(), name), expect: Expect::Absent, new: Some(value.clone()) };
        let collected = Some(Arc::new(intake.finish()?));
        Ok(Some(Draft { collected, edits: vec![edit, line.clone()], ..Draft::default() }))
    });
    match published {
        Ok(_) => Ok(made),
        Err(Error::Store(store::Error::Expectation { .. })) => Err(taken()),
        Err(err) => Err(err),
    }
}

/// What a change of a scenario needs beside the new settings.
#[derive(Debug, Default)]
pub struct Changes {
    /// Objects to store: kind, id, bytes.
    pub objects: Vec<(Kind, Id, Vec<u8>)>,
    /// Refs to change, each told in the journal.
    pub refs: Vec<RefEdit>,
    /// Refs of runs, which the journal tells by the runs.
    pub runs: Vec<RefEdit>,
    /// Runs that are recorded with it.
    pub recorded: Vec<(String, Id)>,
}

/// Changes what is said of a scenario, in one transaction. `edit` is given the settings as they are, whatever they were a moment ago, and says
/// what else changes with them; `None` for nothing at all. Returns the settings before and after.
///
/// # Errors
/// When there is no such scenario, what `edit` says, or the store can't be read or written.
pub fn change<E: From<Error> + From<store::Error> + From<crate::object::AccessError>>(
    repo: &Repo,
    name: &str,
    command: &'static str,
    edit: &mut dyn FnMut(&Snapshot, &mut Scenario) -> Result<Option<Changes>, E>,
) -> Result<(Scenario, Scenario), E> {
    check_name(name)?;
    let project = repo.project();
    let op = repo.new_op();
    let mut both = None;
    repo.store().publish(op, command, &mut |snapshot| -> Result<Option<Draft>, E> {
        if !exists(snapshot, project, name)? {
            return Err(Error::NotFound { name: name.to_owned(), known: names(repo, snapshot)? }.into());
        }
        // `main`, and one that only runs tell of, has no record until something is said about it.
        let before = settings(snapshot, project, name)?.unwrap_or_else(|| Scenario::named(name, repo.now()));
        let mut after = before.clone();
        let changes = edit(snapshot, &mut after)?;
        both = Some((before.clone(), after.clone()));
        let Some(changes) = changes else { return Ok(None) };
        let bytes = after.encode().map_err(|source| Error::Record { name: name.to_owned(), source })?;
        let id = id_of(&Kind::SCENARIO, &bytes);
        let key = key::scenario(project, &before.name);
        let old = snapshot.get_ref(&key)?;
        let value = entry::encode(&id).map_err(Error::Ref)?;
        let intake = repo.store().intake(snapshot);
        for (kind, id, bytes) in &changes.objects {
            intake.put(kind, id, bytes)?;
        }
        intake.put(&Kind::SCENARIO, &id, &bytes)?;
        let mut edits = vec![RefEdit { key, expect: old.map_or(Expect::Absent, Expect::Is), new: Some(value) }];
        edits.extend(changes.refs);
        let told = edits.iter().map(|edit| {
            let old = match &edit.expect {
                Expect::Is(old) => Some(old.as_slice()),
                _ => None,
            };
            Change::new(&edit.key, old, edit.new.as_deref())
        });
        let line =
            Line { about: name.to_owned(), edits: told.collect(), runs: changes.recorded, ..Line::of(repo, command) };
        edits.extend(changes.runs);
        edits.push(line.edit(repo, op, repo.now()).map_err(Error::from)?);
        let collected = Some(Arc::new(intake.finish()?));
        Ok(Some(Draft { collected, edits, ..Draft::default() }))
    })?;
    both.ok_or_else(|| Error::NotFound { name: name.to_owned(), known: Vec::new() }.into())
}

/// Gives a scenario another name to go by; the one that it was born with stays its own. Returns the settings before and after.
///
/// # Errors
/// When there is no such scenario, the name is bad or taken, or the store can't be written.
pub fn rename(repo: &Repo, name: &str, to: &str, any_case: bool) -> Result<(Scenario, Scenario), Error> {
    check_name(to)?;
    if name == MAIN {
        return Err(Error::IsMain { name: name.to_owned() });
    }
    change(repo, name, "scenario rename", &mut |snapshot, scenario| {
        if scenario.current_name() == to {
            return Ok(None);
        }
        let mut refs = Vec::new();
        if let Some(alias) = scenario.alias.take() {
            let key = key::scenario(repo.project(), &alias);
            if let Some(old) = snapshot.get_ref(&key)? {
                refs.push(RefEdit { key, expect: Expect::Is(old), new: None });
            }
        }
        if to != scenario.name {
            // Its own name in another case is meant.
            let is_own = to.to_lowercase() == scenario.name.to_lowercase();
            check_free(repo, snapshot, to, any_case || is_own)?;
            let value = ScenarioRef::alias_of(&scenario.name)?;
            refs.push(RefEdit { key: key::scenario(repo.project(), to), expect: Expect::Absent, new: Some(value) });
            scenario.alias = Some(to.to_owned());
        }
        Ok(Some(Changes { refs, ..Changes::default() }))
    })
}

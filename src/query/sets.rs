//! Sets of runs that somebody found and keeps under a name: a tag that names a list.
//!
//! The list is a config object, so it travels with the store, and the tag moves, is undone and is deleted like every other.

use std::sync::Arc;

use super::Error;
use crate::codec::Value;
use crate::journal::{Change, Line};
use crate::object::config::Config;
use crate::object::{Kind, Record, Sink, Source, id_of};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, Tag};
use crate::store::{Draft, Expect, RefEdit, Snapshot};

/// Runs that a set has at most.
pub const MOST: usize = 20_000;
/// What tells a list of runs from other configs.
const MARK: &str = "prov.runs";

/// Keeps `runs` under `name`. A set of that name is replaced; a tag that means something else is not.
///
/// # Errors
/// A name that can't be used, one that means something else, too many runs; when the store can't be written.
pub fn save(repo: &Repo, name: &str, runs: &[String]) -> Result<(), Error> {
    crate::tag::check_name(name)?;
    if runs.len() > MOST {
        return Err(Error::TooMany { runs: runs.len() });
    }
    let list = runs.iter().cloned().map(Value::Text).collect();
    let config = Config(Value::Map(vec![(MARK.to_owned(), Value::List(list))]));
    let bytes = config.encode()?;
    let id = id_of(&Kind::CONFIG, &bytes);
    let snapshot = repo.store().snapshot()?;
    let key = key::tag(repo.project(), name);
    let old = snapshot.get_ref(&key)?;
    if let Some(old) = &old {
        let tag: Tag = entry::decode(old)?;
        if tag.object == id {
            return Ok(());
        }
        if read(&snapshot, &tag)?.is_none() {
            return Err(crate::tag::Error::Exists { name: name.to_owned() }.into());
        }
    }
    let new = entry::encode(&Tag { object: id, kind: Kind::CONFIG, run: None, key: None })?;
    let op = repo.new_op();
    let edits = vec![Change::new(&key, old.as_deref(), Some(&new))];
    let line = Line { about: name.to_owned(), edits, ..Line::of(repo, "find") }.edit(repo, op, repo.now())?;
    let expect = old.map_or(Expect::Absent, Expect::Is);
    let edits = vec![RefEdit { key, expect, new: Some(new) }, line];
    repo.store().publish(op, "find", &mut |snapshot| -> Result<Option<Draft>, Error> {
        let intake = repo.store().intake(snapshot);
        intake.put(&Kind::CONFIG, &id, &bytes)?;
        let collected = Some(Arc::new(intake.finish()?));
        Ok(Some(Draft { collected, edits: edits.clone(), relies_on: vec![id], ..Draft::default() }))
    })?;
    Ok(())
}

/// The runs of a set; `None` if nothing, or something else, has that name.
///
/// # Errors
/// When the store can't be read.
pub fn load(repo: &Repo, snapshot: &Snapshot, name: &str) -> Result<Option<Vec<String>>, Error> {
    match crate::tag::get(snapshot, repo.project(), name)? {
        Some(tag) => read(snapshot, &tag),
        None => Ok(None),
    }
}

/// The names of all sets.
///
/// # Errors
/// When the store can't be read.
pub fn names(repo: &Repo, snapshot: &Snapshot) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for (name, tag) in crate::tag::list(snapshot, repo.project())? {
        if read(snapshot, &tag)?.is_some() {
            names.push(name);
        }
    }
    Ok(names)
}

fn read(snapshot: &Snapshot, tag: &Tag) -> Result<Option<Vec<String>>, Error> {
    if tag.kind != Kind::CONFIG || tag.run.is_some() {
        return Ok(None);
    }
    let Some((_, bytes)) = snapshot.read(&tag.object)? else { return Ok(None) };
    let Config(value) = Config::decode(&bytes)?;
    let Some(Value::List(list)) = value.get(MARK) else { return Ok(None) };
    let text = |item: &Value| match item {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    Ok(Some(list.iter().filter_map(text).collect()))
}

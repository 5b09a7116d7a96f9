//! What travels: the refs of one store that another one lacks, told by their keys alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::hash::Id;
use crate::object::Kind;
use crate::refs::key;
use crate::repo::entry::{self, RunLine, RunPlace, ScenarioRef, StepRun, Tag};
use crate::store::{Direction, Snapshot};

use super::Error;

/// Which part of a history travels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Runs by id, by the beginning of its random part, or by name.
    pub runs: Vec<String>,
    /// All runs of these scenarios, and their settings.
    pub scenarios: Vec<String>,
    /// All runs of these steps.
    pub steps: Vec<String>,
    /// These tags, and what they name.
    pub tags: Vec<String>,
}

impl Selection {
    /// Whether everything travels.
    pub fn is_all(&self) -> bool {
        self.runs.is_empty() && self.scenarios.is_empty() && self.steps.is_empty() && self.tags.is_empty()
    }
}

/// What a transfer begins with.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Objects of runs.
    pub(super) runs: Vec<Id>,
    /// Scenarios with the objects of their settings.
    pub(super) scenarios: BTreeMap<String, Id>,
    /// Tags with their values.
    pub(super) tags: BTreeMap<String, Tag>,
    /// What is said about objects.
    pub(super) about: Vec<About>,
}

/// Something said about an object: of which one, which kind, and the object that says it.
pub(super) type About = (Id, String, Id);

impl Heads {
    /// Whether there is nothing to begin with.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.scenarios.is_empty() && self.tags.is_empty() && self.about.is_empty()
    }
}

/// The kinds of things said that travel.
const SAID: [&str; 5] = ["hide", "note", "retract", "scrub", "verdict"];

/// Reads refs of one store, of which nothing is believed that a record does not say again.
pub(super) struct Reader<'a> {
    pub(super) from: &'a Snapshot,
    pub(super) to: &'a Snapshot,
    pub(super) project: &'a str,
}

impl Reader<'_> {
    fn place(&self) -> String {
        self.from.store().backend().place()
    }

    fn forged(&self, what: String) -> Error {
        Error::Forged { place: self.place(), what }
    }

    /// Everything that the target lacks; with `edited` only what these keys tell of. `with_known` runs that it has are named as well, for
    /// content of theirs that it may lack.
    pub(super) fn all(&self, edited: Option<&[&[u8]]>, with_known: bool) -> Result<Heads, Error> {
        let mut heads = Heads::default();
        if let Some(keys) = edited {
            let runs = key::runs_of_project(self.project);
            for key in keys {
                if key.starts_with(&runs) {
                    if let Some((_, object)) = key::run_and_object(key)
                        && (with_known || self.to.get_ref(key)?.is_none())
                    {
                        heads.runs.push(object);
                    }
                } else if key.starts_with(&key::about()) {
                    self.about(key, &mut heads)?;
                }
            }
            let begins = |prefix: Vec<u8>| keys.iter().any(|key| key.starts_with(&prefix));
            if begins(key::scenarios_of(self.project)) {
                self.scenarios(&mut heads)?;
            }
            if begins(key::tags_of(self.project)) {
                self.tags(&mut heads)?;
            }
            return Ok(heads);
        }
        if with_known {
            heads.runs = self.every_run()?;
        } else {
            for key in self.lacking(&key::runs_of_project(self.project))? {
                let object = key::run_and_object(&key).map(|(_, object)| object);
                heads.runs.push(object.ok_or_else(|| self.forged(format!("the ref `{}` is none", key::shown(&key))))?);
            }
        }
        self.scenarios(&mut heads)?;
        self.tags(&mut heads)?;
        for key in self.lacking(&key::about())? {
            self.about(&key, &mut heads)?;
        }
        Ok(heads)
    }

    /// All runs of the project, known or not.
    pub(super) fn every_run(&self) -> Result<Vec<Id>, Error> {
        let mut runs = Vec::new();
        for item in self.from.scan(&key::runs_of_project(self.project), Direction::Forward) {
            let (key, _) = item?;
            let object = key::run_and_object(&key).map(|(_, object)| object);
            runs.push(object.ok_or_else(|| self.forged(format!("the ref `{}` is none", key::shown(&key))))?);
        }
        Ok(runs)
    }

    /// Keys below `prefix` that the target lacks: both stores are gone through side by side.
    fn lacking(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let mut here = self.to.scan(prefix, Direction::Forward).peekable();
        let mut lacking = Vec::new();
        for item in self.from.scan(prefix, Direction::Forward) {
            let (key, _) = item?;
            while let Some(Ok((before, _))) = here.peek()
                && *before < key
            {
                here.next();
            }
            match here.peek() {
                Some(Ok((same, _))) if *same == key => {}
                Some(Err(_)) => {
                    // The error can't be looked at without being taken.
                    here.next().transpose()?;
                }
                _ => lacking.push(key),
            }
        }
        Ok(lacking)
    }

    fn scenarios(&self, heads: &mut Heads) -> Result<(), Error> {
        for item in self.from.scan(&key::scenarios_of(self.project), Direction::Forward) {
            let (key, value) = item?;
            if let Some(name) = key::last_text(&key)
                && crate::scenario::check_name(&name).is_ok()
            {
                // Another name of one follows from its settings.
                if let ScenarioRef::Settings(id) = ScenarioRef::read(&value)? {
                    heads.scenarios.insert(name, id);
                }
            }
        }
        Ok(())
    }

    fn tags(&self, heads: &mut Heads) -> Result<(), Error> {
        for item in self.from.scan(&key::tags_of(self.project), Direction::Forward) {
            let (key, value) = item?;
            if let Some(name) = key::last_text(&key)
                && crate::tag::check_name(&name).is_ok()
            {
                heads.tags.insert(name, entry::decode(&value)?);
            }
        }
        Ok(())
    }

    fn about(&self, key: &[u8], heads: &mut Heads) -> Result<(), Error> {
        let parts = key::components(key).unwrap_or_default();
        let id = |at: usize| parts.get(at).and_then(|part| Id::from_bytes(part));
        let kind = parts.get(2).and_then(|part| std::str::from_utf8(part).ok());
        // What a newer prov says of objects is not understood, so it can't be checked.
        let Some(kind) = kind.filter(|kind| SAID.contains(kind)) else { return Ok(()) };
        match (id(1), id(3)) {
            (Some(of), Some(said)) if parts.len() == 4 => {
                if self.to.get_ref(key)?.is_none() {
                    heads.about.push((of, kind.to_owned(), said));
                }
                Ok(())
            }
            _ => Err(self.forged(format!("the ref `{}` is none", key::shown(key)))),
        }
    }

    /// What a selection names.
    pub(super) fn selected(&self, selection: &Selection) -> Result<Heads, Error> {
        let mut heads = Heads::default();
        let mut runs: BTreeSet<Id> = BTreeSet::new();
        for name in &selection.scenarios {
            let before = runs.len();
            let name = &crate::scenario::born(self.from, self.project, name)?;
            for item in self.from.scan(&key::runs_of(self.project, name), Direction::Forward) {
                runs.extend(key::run_and_object(&item?.0).map(|(_, object)| object));
            }
            match self.from.get_ref(&key::scenario(self.project, name))? {
                Some(value) => {
                    if let ScenarioRef::Settings(id) = ScenarioRef::read(&value)? {
                        heads.scenarios.insert(name.clone(), id);
                    }
                }
                None if runs.len() == before => return Err(self.not_found(name)),
                None => {}
            }
        }
        for step in &selection.steps {
            let before = runs.len();
            for item in self.from.scan(&key::steps_of(self.project, step), Direction::Forward) {
                runs.insert(entry::decode::<StepRun>(&item?.1)?.object);
            }
            if runs.len() == before {
                return Err(self.not_found(step));
            }
        }
        for name in &selection.tags {
            let Some(value) = self.from.get_ref(&key::tag(self.project, name))? else {
                return Err(self.not_found(name));
            };
            let tag: Tag = entry::decode(&value)?;
            if tag.kind == Kind::RUN {
                runs.insert(tag.object);
            }
            heads.tags.insert(name.clone(), tag);
        }
        for text in &selection.runs {
            runs.insert(self.run(text)?);
        }
        heads.about = self.said_of(runs.iter().copied())?;
        heads.runs = runs.into_iter().collect();
        Ok(heads)
    }

    /// What is said about `objects` that the target does not know.
    pub(super) fn said_of(&self, objects: impl Iterator<Item = Id>) -> Result<Vec<About>, Error> {
        let mut heads = Heads::default();
        for object in objects {
            for kind in SAID {
                for item in self.from.scan(&key::about_of(&object, kind), Direction::Forward) {
                    self.about(&item?.0, &mut heads)?;
                }
            }
        }
        Ok(heads.about)
    }

    fn not_found(&self, text: &str) -> Error {
        Error::NotFound { place: self.place(), text: text.to_owned() }
    }

    /// The object of a run by its id, the beginning of its random part, or its name.
    fn run(&self, text: &str) -> Result<Id, Error> {
        let mut found: BTreeMap<String, Id> = BTreeMap::new();
        let mut add = |prefix: Vec<u8>, is_it: &dyn Fn(&str) -> bool| -> Result<(), Error> {
            for item in self.from.scan(&prefix, Direction::Forward) {
                let (key, value) = item?;
                let place: RunPlace = entry::decode(&value)?;
                if let Some(run) = key::last_text(&key)
                    && place.project == self.project
                    && is_it(&run)
                {
                    found.insert(run, place.object);
                }
            }
            Ok(())
        };
        let tail = crate::object::run::tail(text);
        if crate::object::run::is_tail_prefix(tail, 4) {
            add(key::ids_prefix(tail), &|run| tail == text || run == text)?;
        }
        add(key::names_of(text), &|_| true)?;
        let objects: HashSet<Id> = found.values().copied().collect();
        match objects.len() {
            0 => Err(self.not_found(text)),
            1 => Ok(objects.into_iter().next().unwrap_or(Id::ZERO)),
            _ => {
                let candidates = found.into_keys().collect();
                Err(Error::Ambiguous { place: self.place(), text: text.to_owned(), candidates })
            }
        }
    }
}

/// The projects that a store holds runs of.
///
/// # Errors
/// When refs can't be read.
pub fn projects(snapshot: &Snapshot) -> Result<Vec<String>, Error> {
    let prefix = key::all_runs();
    let (mut from, mut found) = (prefix.clone(), Vec::new());
    while let Some(item) = snapshot.scan_from(&prefix, std::ops::Bound::Included(&from), Direction::Forward).next() {
        let (key, value) = item?;
        let project = key::components(&key).and_then(|parts| String::from_utf8(parts.get(1)?.to_vec()).ok());
        let Some(project) = project else { break };
        entry::decode::<RunLine>(&value)?;
        from = key::after(&key::runs_of_project(&project));
        found.push(project);
    }
    Ok(found)
}

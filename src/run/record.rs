//! From a closed run to the one transaction that makes it history.

use crate::codec;
use crate::hash::Id;
use crate::object::inputs::InputList;
use crate::object::run::{Run, RunKind};
use crate::refs::key;
use crate::repo::entry::{self, Outcome, RunLine, RunPlace, StepRun, Touch};
use crate::store::{self, Direction, Expect, RefEdit, Snapshot};

/// The rank of a new outcome of a recipe: its start, but above every rank that is listed, so that a clock that went back hides nothing.
fn rank(snapshot: &Snapshot, prefix: &[u8], start: u64) -> Result<u64, store::Error> {
    match snapshot.scan(prefix, Direction::Forward).next().transpose()? {
        Some((found, _)) => {
            Ok(key::rank_after(prefix, &found).map_or(start, |highest| start.max(highest.saturating_add(1))))
        }
        None => Ok(start),
    }
}

/// Why the refs of a run can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A value has no encoding.
    #[error("a ref can't be written")]
    Encode(#[from] codec::Error),
}

/// All refs that a closed run is found by: a pure function of its record, but for the rank among outcomes of its recipe; and those of
/// the list of its inputs, if there is one that is not known here yet.
///
/// # Errors
/// When the ranks can't be read.
pub fn edits(snapshot: &Snapshot, run: &Run, object: Id) -> Result<Vec<RefEdit>, Error> {
    let mut edits = ranked(run, object, &mut |prefix, start| rank(snapshot, prefix, start))?;
    if let Some((list, id)) = run.inputs.as_list()
        && !is_known(snapshot, &list, &id)?
    {
        edits.extend(edits_of_list(&list, id)?);
    }
    Ok(edits)
}

/// Whether a list of inputs can be found by its contents: its refs come together.
///
/// # Errors
/// When they can't be read.
pub fn is_known(snapshot: &Snapshot, list: &InputList, id: &Id) -> Result<bool, store::Error> {
    match list.contents().next() {
        Some((content, key, _)) => Ok(snapshot.get_ref(&key::listed(&content, id, key))?.is_some()),
        None => Ok(true),
    }
}

/// All refs by which the contents of a list of inputs lead to it: a pure function of the list.
///
/// # Errors
/// When a value has no encoding.
pub fn edits_of_list(list: &InputList, id: Id) -> Result<Vec<RefEdit>, Error> {
    let one = |(content, key, path): (Id, &str, &bstr::BString)| {
        Ok(RefEdit { key: key::listed(&content, &id, key), expect: Expect::Any, new: Some(entry::encode(path)?) })
    };
    list.contents().map(one).collect()
}

/// As [`edits`] without those of a list, whatever other runs there are: its rank is its start.
///
/// # Errors
/// When a value has no encoding.
pub fn edits_by_itself(run: &Run, object: Id) -> Result<Vec<RefEdit>, Error> {
    ranked(run, object, &mut |_, start| Ok(start))
}

fn ranked(
    run: &Run,
    object: Id,
    rank: &mut dyn FnMut(&[u8], u64) -> Result<u64, store::Error>,
) -> Result<Vec<RefEdit>, Error> {
    let mut edits = Vec::new();
    let mut add = |key: Vec<u8>, value: Vec<u8>| edits.push(RefEdit { key, expect: Expect::Any, new: Some(value) });
    let start = u64::try_from(run.started_at.0).unwrap_or(0);
    let (project, scenario, id) = (run.project.as_str(), run.scenario.as_str(), run.run.as_str());
    add(key::run(project, scenario, id, &object), entry::encode(&RunLine::of(run, object))?);
    let place = RunPlace { object, project: project.to_owned(), scenario: scenario.to_owned() };
    let place = entry::encode(&place)?;
    add(key::id(id), place.clone());
    if let Some(name) = &run.name {
        add(key::name(name, id), place.clone());
    }
    let executed = !run.is_hit() && !matches!(run.kind, RunKind::Manual | RunKind::Import);
    if let Some(recipe) = &run.recipe
        && executed
    {
        let value = entry::encode(&Outcome { object, status: run.status, sealed: run.sealed })?;
        if run.is_result() {
            let at = rank(&key::results_of(recipe), start)?;
            add(key::result(recipe, at, id), value);
        } else {
            let at = rank(&key::failures_of(recipe), start)?;
            add(key::failure(recipe, at, id), value);
        }
    }
    let at = rank(&key::steps_of(project, &run.step), start)?;
    let step = StepRun {
        object,
        recipe: run.recipe,
        status: run.status,
        scenario: scenario.to_owned(),
        cache: run.cache_word().to_owned(),
    };
    add(key::step(project, &run.step, at, id), entry::encode(&step)?);
    let touch = |path: &bstr::BString| {
        entry::encode(&Touch { object, project: project.to_owned(), scenario: scenario.to_owned(), path: path.clone() })
    };
    for (name, output) in &run.outputs {
        let value = touch(&output.path)?;
        add(key::producer(&output.content.id(), start, id, name), value.clone());
        add(key::artifact(project, scenario, name, start, id), value);
        if output.set.is_some() {
            // The folder is nobody's: its other files are what they were. Each member is found by itself.
            for (member, file) in &output.members {
                let path = output.member_path(member);
                add(key::producer(&file.id, start, id, name), touch(&path)?);
                if executed {
                    add(key::outpath(project, path.as_ref()), entry::encode(&id)?);
                }
            }
        } else if executed {
            add(key::outpath(project, output.path.as_ref()), entry::encode(&id)?);
        }
    }
    match run.inputs.list() {
        Some(list) => add(key::reader(list, start, id), place),
        None => {
            for (name, input) in run.inputs.iter().filter(|(_, input)| !input.content.is_absent()) {
                add(key::consumer(&input.content.id(), start, id, name), touch(&input.path)?);
            }
        }
    }
    // Files of equal content in one set, and files that several outputs have, are told of once.
    let mut seen = std::collections::HashSet::new();
    edits.retain(|edit: &RefEdit| seen.insert(edit.key.clone()));
    Ok(edits)
}

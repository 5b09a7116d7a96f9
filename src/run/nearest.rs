//! The earlier recipe of a step that is the least different from one that is looked at.

use super::Error;
use super::code_part::CodePart;
use crate::hash::Id;
use crate::object::recipe::Recipe;
use crate::object::run::Reason;
use crate::object::{Kind, Record, Source};
use crate::recipe::{self, Built};
use crate::refs::key;
use crate::repo::entry::{self, StepRun};
use crate::store::{Direction, Snapshot};

/// Distinct earlier recipes of a step that are compared with at most.
const COMPARED: usize = 8;
/// Runs of a step that are looked through for them.
const LOOKED_THROUGH: usize = 64;

/// The earlier recipe that is the least different.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    /// Its newest run.
    pub run: String,
    /// That run's object.
    pub object: Id,
    /// The parts that differ.
    pub reasons: Vec<Reason>,
}

/// A recipe that the store may not have yet: its bytes, its code, and what gives other small objects of it.
pub(crate) type Fresh<'a> = (&'a Built, &'a CodePart, &'a dyn Fn(&Id) -> Option<Vec<u8>>);

/// Finds the nearest other recipe of a step and says what differs from it to `id`; `None` when the step never ran otherwise. `fresh` is the
/// recipe `id` with its code, where the store may not have them yet.
///
/// # Errors
/// When refs can't be read.
pub(super) fn nearest(
    snapshot: &Snapshot,
    project: &str,
    step: &str,
    id: &Id,
    fresh: Option<Fresh<'_>>,
) -> Result<Option<Nearest>, Error> {
    Ok(candidates(snapshot, snapshot, project, step, id, fresh, 1)?.into_iter().next())
}

/// As [`nearest`], the `most` least different ones, the nearest first; what recipes name is read from `source`.
///
/// # Errors
/// When refs can't be read.
pub(crate) fn candidates(
    snapshot: &Snapshot,
    source: &dyn Source,
    project: &str,
    step: &str,
    id: &Id,
    fresh: Option<Fresh<'_>>,
    most: usize,
) -> Result<Vec<Nearest>, Error> {
    let own_tree = |wanted: &Id| {
        let (_, code, _) = fresh?;
        code.tree.objects.iter().find(|(id, _)| id == wanted).map(|(_, bytes)| bytes.clone())
    };
    let other = |wanted: &Id| fresh.and_then(|(_, _, read)| read(wanted));
    let read = |kind: &Kind, wanted: &Id| match fresh.map(|(built, ..)| built) {
        _ if *kind == Kind::TREE || *kind == Kind::BLOB => own_tree(wanted)
            .or_else(|| other(wanted))
            .or_else(|| source.read(wanted).ok().flatten().map(|(_, bytes)| bytes)),
        Some(built) if *kind == Kind::CONFIG && built.config.as_ref().is_some_and(|(own, _)| own == wanted) => {
            built.config.as_ref().map(|(_, bytes)| bytes.clone())
        }
        Some(built) if built.id == *wanted => Some(built.bytes.clone()),
        _ => source.read(wanted).ok().flatten().map(|(_, bytes)| bytes),
    };
    let Some(own) = read(&Kind::RECIPE, id).and_then(|bytes| Recipe::decode(&bytes).ok()) else {
        return Ok(Vec::new());
    };
    let mut found: Vec<(Recipe, Id, crate::clock::Micros, String, Id)> = Vec::new();
    let of_step = key::steps_of(project, step);
    for item in snapshot.scan(&of_step, Direction::Forward).take(LOOKED_THROUGH) {
        let (raw, value) = item?;
        let line: StepRun = entry::decode(&value).map_err(|source| Error::Ref { source })?;
        let (Some(other), Some(run)) = (line.recipe, key::last_text(&raw)) else { continue };
        if other == *id || found.iter().any(|(_, known, ..)| *known == other) {
            continue;
        }
        let Some(recipe) = read(&Kind::RECIPE, &other).and_then(|bytes| Recipe::decode(&bytes).ok()) else { continue };
        let at = crate::clock::Micros(i64::try_from(key::rank_after(&of_step, &raw).unwrap_or(0)).unwrap_or(0));
        // An older one can't differ in less than one part.
        let is_least = most == 1 && recipe::difference(&own, &recipe) <= 1;
        if is_least {
            found.clear();
        }
        found.push((recipe, other, at, run, line.object));
        if is_least || found.len() == COMPARED {
            break;
        }
    }
    let mut nearest = Vec::new();
    while nearest.len() < most {
        let left = found.iter().map(|(recipe, id, at, ..)| recipe::Candidate { recipe, id: *id, at: *at });
        let Some(at) = recipe::nearest(&own, left) else { break };
        let (before, _, _, run, object) = found.swap_remove(at);
        nearest.push(Nearest { run, object, reasons: recipe::explain(&before, &own, &read) });
    }
    Ok(nearest)
}

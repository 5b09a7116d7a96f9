//! Looking up a part of a larger run where it stands, and taking its result if nothing has to be done for that.
//!
//! A task of a pipeline whose result is known and lies where it should leaves no trace but a row of its step. This finds out by the same
//! look-up as always that it is one; whatever is not quite so is performed in full, and does not look again at what was looked at here.

use super::hydrate;
use super::look::{self, Looked};
use super::part::Part;
use super::prepare::Environment;
use super::request::{CacheMode, Request, RestoreMode, Validate};
use super::session::Session;
use crate::hash::Id;
use crate::object::run::Run;
use crate::worktree::stat_cache::Key;

/// Declared files of a request that is looked up in between, at most.
const MOST_FILES: usize = 32;

/// Bytes of a file that is hashed in between, at most.
const MOST_BYTES: u64 = 256 << 10;

/// Files of a project that are looked at in between for code that is not known yet, at most.
const MOST_CODE: usize = 2_000;

/// What came of it.
#[derive(Debug)]
pub enum Glance {
    /// The result of this run is there, and naming it says everything.
    Known(Box<Known>),
    /// It has to be performed; this was found.
    Looked(Box<Looked>),
    /// It has to be performed, and looked up first.
    Unknown,
}

/// A result that is taken by naming the run that made it.
#[derive(Debug)]
pub struct Known {
    /// The run.
    pub run: Run,
    /// Its object.
    pub object: Id,
    /// For people.
    pub warnings: Vec<String>,
}

/// Looks a request up if that takes next to no time.
pub fn glance(session: &Session<'_>, request: &Request, part: &mut dyn Part, environment: &Environment) -> Glance {
    if !is_light(session, request) {
        return Glance::Unknown;
    }
    // What is wrong is told by whoever performs it.
    let Ok(looked) = look::look_at(session, request, environment) else { return Glance::Unknown };
    let Some(hit) = &looked.hit else { return Glance::Looked(Box::new(looked)) };
    let prepared = &looked.prepared;
    let repo = session.repo;
    let is_same = (repo.project(), prepared.scenario.as_str(), prepared.step.as_str())
        == (hit.run.project.as_str(), hit.run.scenario.as_str(), hit.run.step.as_str())
        && request.tags.is_subset(&hit.run.tags)
        && hit.run.outputs.iter().all(|(key, output)| {
            prepared.output(key).is_some_and(|place| {
                output.path == repo.recorded_path(place) && hydrate::lies_there(session, place, output)
            })
        });
    if !is_same || part.found(&hit.run) {
        return Glance::Looked(Box::new(looked));
    }
    let warnings = looked.prepared.warnings().collect();
    match looked.hit {
        Some(hit) => Glance::Known(Box::new(Known { run: hit.run, object: hit.object, warnings })),
        None => Glance::Unknown,
    }
}

/// Whether looking a request up takes little and asks nobody: no program, no server, no large file.
fn is_light(session: &Session<'_>, request: &Request) -> bool {
    let Request { inputs, outputs, identity, locks, .. } = request;
    let asks = !request.tools.is_empty() || request.container.is_some() || !request.config_folder.is_empty();
    let is_plain = session.batch().is_some()
        && !session.repo.settings().keeps_lock()
        && matches!(request.cache_mode(), CacheMode::Reuse | CacheMode::Readonly)
        && request.restore == RestoreMode::Outputs
        && request.validate == Validate::Lazy
        && !request.lifecycle.always
        && request.about.is_default()
        && request.inputs_optional.is_empty()
        && request.output_sets.is_empty()
        && request.in_place.is_empty()
        && request.stdin.is_none()
        && request.config_files.is_empty()
        && request.run_name.is_none()
        && !request.restores_inputs;
    let declared = inputs.iter().chain(outputs).chain(identity).chain(locks);
    if asks || !is_plain || inputs.len() + outputs.len() + identity.len() + locks.len() > MOST_FILES {
        return false;
    }
    let worktree = session.worktree();
    let cwd = session.repo.root().join(crate::path::from_bytes(&request.cwd));
    declared.into_iter().all(|one| {
        let place = crate::path::locate(session.repo.root(), &cwd, &crate::path::from_bytes(&one.path));
        // What is not there, a folder, a link, a revision, an address: somebody has to look closer.
        session.repo.fs().lstat(&worktree.path(&place)).is_ok_and(|stat| {
            stat.is_some_and(|stat| {
                stat.is_file() && (stat.size <= MOST_BYTES || worktree.cache.get(Key::of(&place), &stat).is_some())
            })
        })
    }) && session.knows_code(request, MOST_CODE)
}

//! Taking garbage out of a store: content that no run, no scenario and nothing staged leads to.

use super::roots::all_targets;
use crate::object::Source;
use crate::progress::{Cancel, Progress};
use crate::repo::Repo;
use crate::store::collect::{self, Collection, Options, Plan};
use crate::store::{Error, Store};

/// How often a plan is made anew because the store changed meanwhile.
const ATTEMPTS: u32 = 8;

/// Finds what nothing leads to, of all projects in the store. Never writes.
///
/// # Errors
/// When the store can't be read, or `cancel` was raised.
pub fn plan_gc(repo: &Repo, options: Options, progress: &dyn Progress, cancel: &Cancel) -> Result<Plan, Error> {
    plan_gc_of(repo.store(), None, options, progress, cancel)
}

/// As [`plan_gc`], of any store: what leads on is read from `near`, as far as it is there.
///
/// # Errors
/// As [`plan_gc`].
pub fn plan_gc_of(
    store: &Store,
    near: Option<&dyn Source>,
    options: Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Plan, Error> {
    steadily(store, &mut |store| collect::plan_beside(store, &all_targets, options, near, progress, cancel))
}

/// Finds what nothing leads to and takes it out of the store; both what was planned and what was done. What other
/// processes record meanwhile is safe: a plan that does not fit any more is made anew.
///
/// # Errors
/// [`Error::Obstructed`] if something can't be read and might lead to what looks like garbage; nothing was deleted then.
/// [`Error::Outdated`] if others wrote so much meanwhile that no plan held. Failures of the place.
pub fn gc(
    repo: &Repo,
    options: Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(Plan, Collection), Error> {
    gc_of(repo.store(), None, options, progress, cancel)
}

/// As [`gc`], of any store: what leads on is read from `near`, as far as it is there.
///
/// # Errors
/// As [`gc`].
pub fn gc_of(
    store: &Store,
    near: Option<&dyn Source>,
    options: Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(Plan, Collection), Error> {
    steadily(store, &mut |store| {
        let plan = collect::plan_beside(store, &all_targets, options, near, progress, cancel)?;
        let done = collect::carry_out(&plan, "gc")?;
        Ok((plan, done))
    })
}

fn steadily<T>(store: &Store, attempt: &mut dyn FnMut(&Store) -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match attempt(store) {
            Err(Error::Outdated) => {}
            done => return done,
        }
    }
    attempt(store)
}

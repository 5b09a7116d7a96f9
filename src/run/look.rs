//! What is known of a request before anything is done about it: its recipe, an outcome to take, or why there is none.

use super::beforehand::{Beforehand, Looks};
use super::elsewhere::Offer;
use super::lookup::{self, Answer, Hit};
use super::memory::{self, KnownFailure};
use super::nearest::Nearest;
use super::prepare::{self, Environment, Prepared};
use super::request::{CacheMode, OnMissing, Request, Validate};
use super::session::Session;
use super::{Error, annotate, hydrate, inputs, nearest, perform};
use crate::object::AccessError;
use crate::object::recipe::Content;
use crate::object::run::{Reason, ReasonKind};
use crate::store::Snapshot;

/// What `plan` says.
#[derive(Debug)]
pub struct Plan {
    /// The request, looked at.
    pub prepared: Prepared,
    /// The outcome that would be taken.
    pub hit: Option<Box<Hit>>,
    /// Who else would give the result, if there is none to take here.
    pub offer: Option<Offer>,
    /// Why it would be executed, or why there is no result to take here.
    pub reasons: Vec<Reason>,
    /// The recipe that the reasons compare with: its newest run.
    pub nearest: Option<Nearest>,
    /// That this recipe failed before, if it would be executed.
    pub known_failure: Option<KnownFailure>,
    /// The outcome that would be taken if the cache mode did not forbid to look it up.
    pub forbidden: Option<Box<Hit>>,
    /// The least different other recipes of the step, the nearest first, as many as were asked for.
    pub candidates: Vec<Nearest>,
}

/// A request that was looked up and may be run now.
#[derive(Debug)]
pub struct Looked {
    /// The state of the store in which it was looked up.
    pub(super) snapshot: Snapshot,
    /// The request, looked at.
    pub(super) prepared: Prepared,
    /// The outcome to take.
    pub(super) hit: Option<Box<Hit>>,
    /// What is known of the reasons for a miss without a look at other recipes.
    pub(super) reasons: Vec<Reason>,
}

/// Looks a request up that is to be run.
pub(super) fn look_at(session: &Session<'_>, request: &Request, environment: &Environment) -> Result<Looked, Error> {
    let looks = Looks::new(session, request);
    let (snapshot, prepared) = std::thread::scope(|scope| {
        let beforehand = Beforehand::begin(scope, &looks);
        let snapshot = session.snapshot()?;
        let prepared = perform::ready(session, &snapshot, request, environment, beforehand)?;
        Ok::<_, Error>((snapshot, prepared))
    })?;
    let (hit, reasons) = look_up(session, &snapshot, request, &prepared)?;
    Ok(Looked { snapshot, prepared, hit, reasons })
}

/// Asks other stores for the result of a request that is not known here, or whose outputs are not. What they have becomes known here first,
/// and is looked up like everything else.
pub(super) fn consult(session: &Session<'_>, request: &Request, looked: Looked) -> Result<Looked, Error> {
    let Some(elsewhere) = session.elsewhere() else { return Ok(looked) };
    if looked.hit.is_some() || !matches!(request.cache_mode(), CacheMode::Reuse | CacheMode::Readonly) {
        return Ok(looked);
    }
    let recipe = looked.prepared.recipe();
    let lost = lost(session, &looked.snapshot, request, &looked.prepared, &looked.reasons)?;
    let has_more = (!lost.is_empty() && elsewhere.bring(&lost)) || elsewhere.consult(&recipe);
    if !has_more {
        return Ok(looked);
    }
    if let Some(batch) = session.batch() {
        batch.refresh()?;
    }
    let snapshot = session.repo.store().snapshot_since(&looked.snapshot)?;
    let (hit, reasons) = look_up(session, &snapshot, request, &looked.prepared)?;
    Ok(Looked { snapshot, prepared: looked.prepared, hit, reasons })
}

/// The outputs of the newest outcome, as far as they are not here; there is one only if it was passed over for that.
fn lost(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    reasons: &[Reason],
) -> Result<Vec<Content>, Error> {
    let mut lost: Vec<Content> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut is_first = true;
    let mut look = |key: &str, output: &crate::object::run::Output| {
        is_first &= seen.insert(key.to_owned());
        let is_here = can_be_had(session, snapshot, request, prepared, key, output)?;
        if !is_here && is_first {
            lost.push(output.content.clone());
        }
        Ok(is_here)
    };
    if reasons.iter().any(|reason| reason.kind == ReasonKind::OutputsLost) {
        lookup::lookup(snapshot, &prepared.recipe(), &mut look)?;
    }
    Ok(lost)
}

/// Who else would give the result of a request that is a miss here, if anybody may be asked for it.
fn offer(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    reasons: &[Reason],
) -> Result<Option<Offer>, Error> {
    let Some(elsewhere) = session.elsewhere() else { return Ok(None) };
    if request.lifecycle.always || !matches!(request.cache_mode(), CacheMode::Reuse | CacheMode::Readonly) {
        return Ok(None);
    }
    let lost = lost(session, snapshot, request, prepared, reasons)?;
    Ok(elsewhere.offer(&prepared.recipe(), &lost))
}

/// Says what `perform` would do, without doing it.
///
/// # Errors
/// What [`prepare::prepare`] reports, or reading the store.
pub fn plan(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    environment: &Environment,
) -> Result<Plan, Error> {
    plan_with(session, snapshot, request, environment, 0)
}

/// As [`plan`], with so many candidates to compare with.
///
/// # Errors
/// As [`plan`].
pub fn plan_with(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    environment: &Environment,
    candidates: usize,
) -> Result<Plan, Error> {
    let prepared = prepare::prepare(session, snapshot, request, environment)?;
    let (mut hit, mut reasons, nearest) = ask(session, snapshot, request, &prepared)?;
    if request.lifecycle.always {
        reasons.extend(hit.take().map(|hit| traced(&hit)));
    }
    let offer = if hit.is_none() { offer(session, snapshot, request, &prepared, &reasons)? } else { None };
    let known_failure =
        if hit.is_none() && offer.is_none() { memory::known_failure(snapshot, &prepared.recipe())? } else { None };
    let mut forbidden = None;
    if matches!(request.cache_mode(), CacheMode::Off | CacheMode::Overwrite) {
        let answer = lookup::lookup(snapshot, &prepared.recipe(), &mut |key, output| {
            can_be_had(session, snapshot, request, &prepared, key, output)
        })?;
        if let Answer::Hit(found) = answer {
            forbidden = Some(found);
        }
    }
    let candidates = if candidates == 0 {
        Vec::new()
    } else {
        let objects = inputs::Objects::of(session, snapshot, &prepared);
        let small = |wanted: &crate::hash::Id| objects.get(wanted);
        let fresh = Some((&prepared.built, &prepared.code, &small as _));
        {
            let (project, id) = (session.repo.project(), &prepared.built.id);
            nearest::candidates(snapshot, snapshot, project, &prepared.step, id, fresh, candidates)?
        }
    };
    Ok(Plan { prepared, hit, offer, reasons, nearest, known_failure, forbidden, candidates })
}

/// What the cache has: an outcome to take, or reasons for a miss and the nearest other recipe.
pub(super) type Asked = (Option<Box<Hit>>, Vec<Reason>, Option<Nearest>);

/// The reason of a run that is executed although its result is known.
pub(super) fn traced(hit: &Hit) -> Reason {
    Reason {
        part: "cache".to_owned(),
        kind: ReasonKind::Policy,
        before: Some(hit.run.run.clone()),
        after: Some("it is executed even though its result is known".to_owned()),
    }
}

pub(super) fn ask(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
) -> Result<Asked, Error> {
    let (hit, reasons) = look_up(session, snapshot, request, prepared)?;
    if hit.is_some() || !reasons.is_empty() {
        return Ok((hit, reasons, None));
    }
    let (reasons, nearest) = explain(session, snapshot, prepared)?;
    Ok((None, reasons, nearest))
}

/// An outcome to take, or what is known of the reasons for a miss without a look at other recipes.
fn look_up(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
) -> Result<(Option<Box<Hit>>, Vec<Reason>), Error> {
    let reasons = match request.cache_mode() {
        CacheMode::Off | CacheMode::Overwrite => {
            let word = if request.cache.is_some() {
                "the cache mode says to execute"
            } else {
                "no output is declared, so nothing is looked up"
            };
            vec![Reason {
                part: "cache".to_owned(),
                kind: ReasonKind::Policy,
                before: None,
                after: Some(word.to_owned()),
            }]
        }
        CacheMode::Reuse | CacheMode::Readonly => {
            match lookup::lookup(snapshot, &prepared.recipe(), &mut |key, output| {
                can_be_had(session, snapshot, request, prepared, key, output)
            })? {
                Answer::Hit(hit) => match not_as_expected(session, request, prepared, &hit)? {
                    None => return Ok((Some(hit), Vec::new())),
                    Some(reason) => vec![reason],
                },
                Answer::Miss(reasons) => reasons,
            }
        }
    };
    Ok((None, reasons))
}

/// The reasons for a miss of which nothing else is known: what differs from the nearest other recipe of the step.
///
/// # Errors
/// When a record can't be read.
pub(super) fn explain(
    session: &Session<'_>,
    snapshot: &Snapshot,
    prepared: &Prepared,
) -> Result<(Vec<Reason>, Option<Nearest>), Error> {
    let objects = inputs::Objects::of(session, snapshot, prepared);
    let small = |wanted: &crate::hash::Id| objects.get(wanted);
    let fresh = Some((&prepared.built, &prepared.code, &small as _));
    let nearest = nearest::nearest(snapshot, session.repo.project(), &prepared.step, &prepared.built.id, fresh)?;
    let reasons = match &nearest {
        None => vec![Reason {
            part: "step".to_owned(),
            kind: ReasonKind::FirstRun,
            before: None,
            after: Some(prepared.step.clone()),
        }],
        Some(nearest) => nearest.reasons.clone(),
    };
    Ok((reasons, nearest))
}

/// Why a known result is not what is expected of it now.
fn not_as_expected(
    session: &Session<'_>,
    request: &Request,
    prepared: &Prepared,
    hit: &Hit,
) -> Result<Option<Reason>, Error> {
    if request.about.on_mismatch != OnMissing::Error {
        return Ok(None);
    }
    let found = annotate::mismatches(session, &hit.run, request, &prepared.config, false);
    let found = found.map_err(|what| Error::Usage { what })?;
    Ok((!found.is_empty()).then(|| Reason {
        part: "outputs".to_owned(),
        kind: ReasonKind::Policy,
        before: Some(hit.run.run.clone()),
        after: Some(found.join("; ")),
    }))
}

/// Whether the store as it is now has an outcome of this recipe that a run may take; `snapshot` is what was known of it before.
pub(super) fn is_hit_by_now(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
) -> Result<bool, Error> {
    if !matches!(request.cache_mode(), CacheMode::Reuse | CacheMode::Readonly) {
        return Ok(false);
    }
    let newest = session.repo.store().snapshot_since(snapshot)?;
    let answer = lookup::lookup(&newest, &prepared.recipe(), &mut |key, output| {
        can_be_had(session, &newest, request, prepared, key, output)
    })?;
    Ok(matches!(answer, Answer::Hit(_)))
}

/// Whether an output is in the store, or lies where it should be, as surely as the request wants to know.
fn can_be_had(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    key: &str,
    output: &crate::object::run::Output,
) -> Result<bool, AccessError> {
    match request.validate {
        Validate::Lazy => {}
        Validate::None => return Ok(true),
        Validate::Strict => {
            let lies_there =
                || prepared.output(key).is_some_and(|place| hydrate::lies_there_byte_by_byte(session, place, output));
            return Ok(hydrate::is_sound(snapshot, &output.content)? || lies_there());
        }
    }
    let lies_there = || prepared.output(key).is_some_and(|place| hydrate::lies_there(session, place, output));
    // Whichever is asked for less: a file's header, or the states of the files of a folder.
    match output.content {
        Content::Tree(_) => Ok(lies_there() || hydrate::is_whole(snapshot, &output.content)?),
        _ => Ok(hydrate::is_whole(snapshot, &output.content)? || lies_there()),
    }
}

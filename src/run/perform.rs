//! `prov run`: look up; on a hit bring the outputs back, on a miss execute; record; one transaction.

use std::collections::BTreeMap;

use super::clear::KeptSafe;
use super::interrupts::Interrupts;
use super::lookup::{self, Answer, Hit};
use super::memory::{self, KnownFailure};
use super::nearest::Nearest;
use super::observer::Observer;
use super::part::Part;
use super::prepare::{self, Environment, Prepared};
use super::publish::{self, Publication};
use super::request::{CacheMode, OnKnownFailure, OnMissing, Request, RestoreMode, Validate};
use super::session::Session;
use super::{Error, annotate, hydrate, inputs, miss, name, nearest};
use crate::codec::Value;
use crate::object::recipe::Content;
use crate::object::run::{Cache, Reason, ReasonKind, Run, RunKind, Status};
use crate::object::{AccessError, Source};
use crate::path::shown;
use crate::refs::key;
use crate::repo::Repo;
use crate::store::{Direction, Snapshot};

/// What a run may hear and must know of its surroundings.
pub struct Surroundings<'a> {
    /// The environment of this process, which the command inherits.
    pub environment: &'a Environment,
    /// Hears the command's output.
    pub observer: &'a mut dyn Observer,
    /// Requests to stop.
    pub interrupts: Option<&'a Interrupts>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// What was done about one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputAction {
    /// Its bytes went to the store.
    Stored,
    /// It was brought back.
    Restored,
    /// It was there already.
    Kept,
    /// Only its id is known.
    Hashed,
}

/// A run that was recorded, or that waits to be.
#[derive(Debug)]
pub struct Performed {
    /// The closed record.
    pub run: Run,
    /// The events that were told already: rank of the last, and how many.
    pub(super) told: Option<(u8, u64)>,
    /// Its object.
    pub object: crate::hash::Id,
    /// Exit code for whoever asked.
    pub exit_code: u8,
    /// What was done about each output.
    pub actions: BTreeMap<String, OutputAction>,
    /// Whether it is history, or waits in the live folder because of this.
    pub publication: Publication,
    /// Things that went not quite as they should, for people.
    pub warnings: Vec<String>,
    /// Unknown content that was stored and then replaced.
    pub displaced: Vec<KeptSafe>,
    /// The log of a hit, by stream: its last bytes.
    pub replay: BTreeMap<String, Vec<u8>>,
    /// The lines that would narrow the code part, if only that caused the miss.
    pub narrow: Option<crate::code::Narrowing>,
}

/// What `plan` says.
#[derive(Debug)]
pub struct Plan {
    /// The request, looked at.
    pub prepared: Prepared,
    /// The outcome that would be taken.
    pub hit: Option<Box<Hit>>,
    /// Why it would be executed.
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

/// Bytes of each stream that a hit replays.
pub const REPLAYED: u64 = 64 * 1024;

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
    let known_failure = if hit.is_none() { memory::known_failure(snapshot, &prepared.recipe())? } else { None };
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
        nearest::candidates(snapshot, session.repo.project(), &prepared.step, &prepared.built.id, fresh, candidates)?
    };
    Ok(Plan { prepared, hit, reasons, nearest, known_failure, forbidden, candidates })
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

/// Runs a request: a hit or an execution, recorded either way.
///
/// # Errors
/// Only what kept the command from being started, or a hit from being brought back; whatever happens after the command was started is in
/// the record.
pub fn perform(session: &Session<'_>, request: &Request, surroundings: Surroundings<'_>) -> Result<Performed, Error> {
    perform_part(session, request, None, surroundings)
}

/// As [`perform`], for what may be a part of a larger run.
///
/// # Errors
/// As [`perform`].
pub fn perform_part(
    session: &Session<'_>,
    request: &Request,
    mut part: Option<&mut dyn Part>,
    surroundings: Surroundings<'_>,
) -> Result<Performed, Error> {
    let Surroundings { environment, observer, interrupts } = surroundings;
    let mut attempt = |session: &Session<'_>| {
        perform_once(
            session,
            request,
            reborrowed(&mut part),
            Surroundings { environment, observer: &mut *observer, interrupts },
        )
    };
    let mut performed = attempt(session);
    // The run that was waited for may have made just this result, or changed what this one reads.
    while let Err(Error::Waited) = performed {
        performed = attempt(&session.afresh());
    }
    performed
}

/// The same part, for a while.
pub(super) fn reborrowed<'a>(part: &'a mut Option<&mut dyn Part>) -> Option<&'a mut dyn Part> {
    match part {
        Some(part) => Some(&mut **part),
        None => None,
    }
}

/// A name that the user gives a run is given once. (Two that are given at the same time, or meet by sync, are both kept.)
pub(super) fn check_name(snapshot: &Snapshot, name: Option<&str>) -> Result<(), Error> {
    let Some(name) = name else { return Ok(()) };
    match snapshot.scan(&key::names_of(name), Direction::Forward).next().transpose()? {
        None => Ok(()),
        Some((taken, _)) => Err(Error::Usage {
            what: format!(
                "the name `{}` belongs to run {}",
                shown(name.as_bytes()),
                key::last_text(&taken).unwrap_or_default()
            ),
        }),
    }
}

/// A request, looked at, that may be run: its scenario exists and its name is free.
pub(super) fn ready(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    environment: &Environment,
) -> Result<Prepared, Error> {
    let repo = session.repo;
    let prepared = prepare::prepare(session, snapshot, request, environment)?;
    if prepared.scenario != crate::scenario::MAIN
        && !crate::scenario::exists(snapshot, repo.project(), &prepared.scenario)?
    {
        return Err(crate::scenario::Error::NotFound {
            name: prepared.scenario.clone(),
            known: crate::scenario::names(repo, snapshot)?,
        }
        .into());
    }
    if request.cache_mode() != CacheMode::Readonly
        && let Some(about) = &prepared.about
    {
        crate::scenario::check_open(about)?;
    }
    check_name(snapshot, request.run_name.as_deref())?;
    Ok(prepared)
}

fn perform_once(
    session: &Session<'_>,
    request: &Request,
    mut part: Option<&mut dyn Part>,
    surroundings: Surroundings<'_>,
) -> Result<Performed, Error> {
    let Surroundings { environment, observer, interrupts } = surroundings;
    let repo = session.repo;
    let snapshot = session.snapshot()?;
    let prepared = ready(session, &snapshot, request, environment)?;
    let (mut hit, mut reasons) = look_up(session, &snapshot, request, &prepared)?;
    let known = if request.lifecycle.always { hit.take() } else { None };
    reasons.extend(known.as_deref().map(traced));
    let mut taken = None;
    if let Some(hit) = hit {
        let started = repo.now();
        let restored = match restore_mode(request, &prepared) {
            RestoreMode::Outputs => hydrate::outputs(session, &snapshot, request, &prepared, &hit.run, interrupts),
            RestoreMode::Metadata | RestoreMode::None => Ok(hydrate::Hydrated::default()),
        };
        match restored {
            Ok(restored) => taken = Some((hit, restored, started)),
            // What can't be had back after all is made again.
            Err(err) => reasons.push(lost(err)?),
        }
    }
    let performed = match taken {
        Some((hit, restored, started)) => {
            take_for(session, &snapshot, request, &prepared, *hit, restored, started, reborrowed(&mut part))
        }
        None => {
            remember(&snapshot, request, &prepared, observer)?;
            let why = miss::Why { reasons, known: known.as_deref() };
            let around = Surroundings { environment, observer: &mut *observer, interrupts };
            miss::execute(session, snapshot, request, prepared, why, part, around)
        }
    };
    session.save_alone();
    let performed = performed?;
    let object = matches!(performed.publication, Publication::Done).then_some(performed.object);
    super::report::rest(observer, &performed.run, object, performed.told);
    if let (Publication::Done, Some(parent)) = (&performed.publication, &performed.run.parent) {
        super::live_folder(repo).note_child_run(parent, &performed.run.run, performed.object);
    }
    Ok(performed)
}

/// What a hit puts back: what the run says, else its scenario, else what holds here.
fn restore_mode(request: &Request, prepared: &Prepared) -> RestoreMode {
    let said = prepared.about.as_ref().filter(|_| !request.restore_is_said).and_then(|about| about.restore.as_deref());
    match said {
        Some("outputs") => RestoreMode::Outputs,
        Some("metadata") => RestoreMode::Metadata,
        Some("none") => RestoreMode::None,
        _ => request.restore,
    }
}

/// Brings the outputs of a hit back, as far as the request wants them.
pub(super) fn take_back(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    hit: &Hit,
    interrupts: Option<&Interrupts>,
) -> Result<hydrate::Hydrated, Error> {
    match restore_mode(request, prepared) {
        RestoreMode::Outputs => hydrate::outputs(session, snapshot, request, prepared, &hit.run, interrupts),
        RestoreMode::Metadata | RestoreMode::None => Ok(hydrate::Hydrated::default()),
    }
}

/// Tells of what is remembered of a recipe that is about to be executed: that it failed before.
fn remember(
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    // A further attempt follows a failure that was told of already.
    if request.lifecycle.attempt_number() > 1 {
        return Ok(());
    }
    let Some(known) = memory::known_failure(snapshot, &prepared.recipe())? else { return Ok(()) };
    if request.on_known_failure == OnKnownFailure::Stop && request.cache_mode() != CacheMode::Overwrite {
        return Err(Error::KnownFailure { known: Box::new(known) });
    }
    observer.known_failure(&known);
    Ok(())
}

/// The reason for a miss that an error of bringing outputs back is; other errors stay errors.
pub(super) fn lost(err: Error) -> Result<Reason, Error> {
    let (Error::OutputLost { key, path } | Error::NotBack { key, path, .. }) = &err else { return Err(err) };
    Ok(Reason {
        part: format!("outputs.{key}"),
        kind: ReasonKind::OutputsLost,
        before: Some(crate::path::show(path)),
        after: Some(super::chain(&err)),
    })
}

/// The record of a run that begins now, with all that is known before it.
pub(super) fn draft(repo: &Repo, request: &Request, prepared: &Prepared, now: crate::clock::Micros) -> Run {
    let run = name::run_id(now, &prepared.step, &*repo.world().random);
    let mut meta = BTreeMap::new();
    let mut asked = std::borrow::Cow::Borrowed(request);
    if let Some(part) = &prepared.config_folder {
        meta.insert("config".to_owned(), part.told(&request.config_folder));
    }
    if let Some(base) = &prepared.base_run {
        // `@last` would be another run tomorrow.
        asked.to_mut().config_folder.base_run = Some(base.clone());
    }
    if let Ok(value) = crate::codec::to_value(&*asked) {
        meta.insert("request".to_owned(), value);
    }
    if let Some(sources) = super::web::told(prepared.inputs.iter()) {
        meta.insert("sources".to_owned(), sources);
    }
    if !request.runtime.is_empty() {
        let runtime = request.runtime.iter().map(|(key, text)| (key.clone(), Value::Text(text.clone())));
        meta.insert("runtime".to_owned(), Value::Map(runtime.collect()));
    }
    Run {
        run,
        name: request.run_name.clone(),
        project: repo.project().to_owned(),
        scenario: prepared.scenario.clone(),
        kind: if request.task.is_some() { RunKind::Task } else { RunKind::Command },
        step: prepared.step.clone(),
        recipe: Some(prepared.recipe()),
        status: Status::Aborted,
        failed_in: None,
        sealed: false,
        unsealed: Vec::new(),
        attempt: request.lifecycle.attempt_number(),
        correlation_id: request.lifecycle.correlation_id.clone(),
        parent: request.parent.clone(),
        started_at: now,
        finished_at: now,
        validation_started_at: None,
        validation_finished_at: None,
        argv: request.argv.clone(),
        cwd: request.cwd.clone(),
        inputs: BTreeMap::new(),
        outputs: BTreeMap::new(),
        children: BTreeMap::new(),
        differs: None,
        cache: Cache::Off,
        exit_code: None,
        signal: None,
        error: None,
        logs: BTreeMap::new(),
        resources: None,
        host: Some(repo.world().host.clone()),
        author: repo.world().author.clone(),
        git: None,
        program: prepared.program.as_ref().map(|path| crate::path::bytes(path)),
        code_left_out: prepared.code.left_out.iter().map(|(path, _)| path.as_bytes().to_owned()).collect(),
        description: request.message.clone(),
        tags: request.tags.iter().chain(prepared.about.iter().flat_map(|about| &about.run_tags)).cloned().collect(),
        facets: facets(request, prepared),
        metrics: BTreeMap::new(),
        meta,
    }
}

/// The remarks on a run: those of its scenario, under those of its config adapter, under those that the user gave.
fn facets(request: &Request, prepared: &Prepared) -> BTreeMap<String, Value> {
    let mut facets: BTreeMap<String, Value> =
        prepared.about.iter().flat_map(|about| about.run_facets.clone()).collect();
    facets.extend(prepared.config_folder.iter().flat_map(|part| part.answer.facets.clone()));
    facets.extend(request.lifecycle.recorded_facets());
    facets
}

/// The inputs of a run as its record has them.
pub(super) fn record_inputs(
    session: &Session<'_>,
    snapshot: &Snapshot,
    prepared: &Prepared,
    stored: &BTreeMap<String, bool>,
) -> Result<BTreeMap<String, crate::object::run::Input>, Error> {
    let repo = session.repo;
    let mut inputs = BTreeMap::new();
    for (key, input) in &prepared.inputs {
        let path = input.recorded.clone().unwrap_or_else(|| repo.recorded_path(&input.place));
        let content = input.captured.content.clone();
        let producer = match &input.declared_by {
            Some(producer) => Some(producer.clone()),
            None if content.is_absent() => None,
            None => {
                let id = content.id();
                let here = session.batch().and_then(|batch| batch.producer_of(path.as_ref(), &id));
                match here {
                    Some(producer) => Some(producer),
                    None => {
                        crate::lineage::producer_of(snapshot, repo.project(), &prepared.scenario, path.as_ref(), &id)?
                    }
                }
            }
        };
        let stored = stored.get(key).copied().unwrap_or(false);
        inputs.insert(
            key.clone(),
            crate::object::run::Input { content, path, size: input.captured.size, stored, producer },
        );
    }
    if let Some(part) = &prepared.config_folder {
        let is_stored = stored.get(&part.key()).copied().unwrap_or(false);
        inputs.insert(part.key(), part.input(is_stored));
    }
    Ok(inputs)
}

/// Takes a hit: outputs back, a light record that points to its source.
pub(super) fn take(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    hit: Hit,
    restored: hydrate::Hydrated,
    started: crate::clock::Micros,
) -> Result<Performed, Error> {
    take_for(session, snapshot, request, prepared, hit, restored, started, None)
}

/// Whether a hit says no more than the run whose result it takes: then naming that run says it all.
fn says_nothing_new(run: &Run, source: &Run) -> bool {
    (&run.project, &run.scenario, &run.step) == (&source.project, &source.scenario, &source.step)
        && run.outputs.len() == source.outputs.len()
        && run.outputs.iter().zip(&source.outputs).all(|(a, b)| a.0 == b.0 && a.1.path == b.1.path)
        && run.tags.is_subset(&source.tags)
        && run.facets.iter().all(|(key, value)| source.facets.get(key) == Some(value))
}

#[expect(clippy::too_many_arguments, reason = "everything that a hit leaves a trace in")]
fn take_for(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    hit: Hit,
    restored: hydrate::Hydrated,
    started: crate::clock::Micros,
    part: Option<&mut dyn Part>,
) -> Result<Performed, Error> {
    let repo = session.repo;
    let stored: BTreeMap<String, bool> = prepared.inputs.keys().map(|key| (key.clone(), false)).collect();
    let mut run = draft(repo, request, prepared, started);
    let is_new = part.is_none();
    if is_new {
        run.inputs = record_inputs(session, snapshot, prepared, &stored)?;
    }
    run.meta.remove("request");
    run.program = None;
    run.outputs = hit
        .run
        .outputs
        .iter()
        .map(|(key, output)| {
            let mut output = output.clone();
            output.facets.clear();
            output.meta.clear();
            if key == super::MANAGED_KEY && prepared.output(key).is_none() {
                output.path = super::managed::recorded_path(repo, &prepared.step);
            }
            if let Some(place) = prepared.output(key) {
                output.path = repo.recorded_path(place);
            }
            (key.clone(), output)
        })
        .collect();
    // Remarks of the other run were its own; what is true of the content stays.
    let read = |output: &crate::object::run::Output| small_blob(snapshot, &output.content.id());
    let mut told = annotate::say(session, &mut run, request, &prepared.config, &read);
    if request.about.on_mismatch == OnMissing::Warn {
        told.extend(annotate::mismatches(session, &run, request, &prepared.config, false).unwrap_or_default());
    }
    run.status = Status::Success;
    run.sealed = true;
    run.exit_code = hit.run.exit_code;
    run.cache =
        Cache::Hit { source: hit.run.run.clone(), object: hit.object, source_duration_us: hit.run.duration_us() };
    run.finished_at = repo.now();
    let mut was_checked = false;
    if let Some(part) = part {
        was_checked = part.found(&hit.run);
        if was_checked && let Err(error) = part.check(&mut run) {
            run.status = Status::Failure;
            run.failed_in = Some(crate::object::run::Phase::Validation);
            run.error = Some(error);
        }
        part.complete(&mut run);
    }
    let replay = hydrate::replay(snapshot, &hit.run, request.lifecycle.replay);
    let is_listed = session.batch().is_some() && !was_checked && says_nothing_new(&run, &hit.run);
    let (object, publication) = if is_listed {
        (hit.object, Publication::Listed)
    } else {
        run.git = session.git_head();
        if !is_new {
            run.inputs = record_inputs(session, snapshot, prepared, &stored)?;
        }
        match session.batch() {
            _ if request.cache_mode() == CacheMode::Readonly => publish::unrecorded(&run)?,
            Some(batch) => batch.add_light(&run)?,
            None => publish::light(repo, snapshot, &run)?,
        }
    };
    let exit_code = u8::from(run.status != Status::Success);
    Ok(Performed {
        run,
        object,
        exit_code,
        actions: restored.actions,
        publication,
        warnings: prepared.warnings().chain(restored.warnings).chain(told).collect(),
        displaced: restored.displaced,
        replay,
        narrow: None,
        told: None,
    })
}

/// Whether a missing output is a failure.
pub(super) fn missing_is_failure(request: &Request) -> bool {
    request.on_missing == OnMissing::Error
}

/// Everything `Source` gives of a small blob; `None` when it can't be had.
pub(super) fn small_blob(snapshot: &Snapshot, id: &crate::hash::Id) -> Option<Vec<u8>> {
    snapshot.read(id).ok().flatten().map(|(_, bytes)| bytes)
}

//! `prov run`: look up; on a hit bring the outputs back, on a miss execute; record; one transaction.

use std::collections::BTreeMap;

use super::beforehand::Beforehand;
use super::clear::KeptSafe;
use super::interrupts::Interrupts;
use super::look::{self, Looked, traced};
use super::lookup::Hit;
use super::memory;
use super::observer::Observer;
use super::part::Part;
use super::prepare::{self, Environment, Prepared};
use super::publish::{self, Publication};
use super::request::{CacheMode, OnKnownFailure, OnMissing, Request, RestoreMode};
use super::session::Session;
use super::{Error, annotate, hydrate, miss, name};
use crate::codec::Value;
use crate::object::Source;
use crate::object::inputs::Inputs;
use crate::object::run::{Cache, Input, Reason, ReasonKind, Run, RunKind, Status};
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
    /// What it went by, for as long as the rest of this is needed: giving back the memory of many inputs takes a while.
    #[expect(dead_code, reason = "only held")]
    pub(super) prepared: Option<Box<Prepared>>,
    /// The lines that would narrow the code part, if only that caused the miss.
    pub narrow: Option<crate::code::Narrowing>,
}

/// Bytes of each stream that a hit replays.
pub const REPLAYED: u64 = 64 * 1024;

/// Runs a request: a hit or an execution, recorded either way.
///
/// # Errors
/// Only what kept the command from being started, or a hit from being brought back; whatever happens after the command was started is in
/// the record.
pub fn perform(session: &Session<'_>, request: &Request, surroundings: Surroundings<'_>) -> Result<Performed, Error> {
    perform_part(session, request, None, surroundings, None)
}

/// As [`perform`], for what may be a part of a larger run; `looked` is what was found when it was looked up a moment ago.
///
/// # Errors
/// As [`perform`].
pub fn perform_part(
    session: &Session<'_>,
    request: &Request,
    mut part: Option<&mut dyn Part>,
    surroundings: Surroundings<'_>,
    looked: Option<Looked>,
) -> Result<Performed, Error> {
    let Surroundings { environment, observer, interrupts } = surroundings;
    let mut attempt = |session: &Session<'_>, looked: Option<Looked>| {
        perform_once(
            session,
            request,
            reborrowed(&mut part),
            Surroundings { environment, observer: &mut *observer, interrupts },
            looked,
        )
    };
    let mut performed = attempt(session, looked);
    // The run that was waited for may have made just this result, or changed what this one reads.
    while let Err(Error::Waited) = performed {
        performed = attempt(&session.afresh(), None);
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
    beforehand: Option<Beforehand<'_>>,
) -> Result<Prepared, Error> {
    let repo = session.repo;
    let prepared = prepare::prepare_seen(session, snapshot, request, environment, beforehand)?;
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
    looked: Option<Looked>,
) -> Result<Performed, Error> {
    let Surroundings { environment, observer, interrupts } = surroundings;
    let repo = session.repo;
    let looked = match looked {
        Some(looked) => looked,
        None => look::look_at(session, request, environment)?,
    };
    let Looked { snapshot, prepared, mut hit, mut reasons } = look::consult(session, request, looked)?;
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
            let part = reborrowed(&mut part);
            take_for(session, &snapshot, request, &prepared, *hit, restored, started, part).map(|performed| {
                let prepared = session.batch().is_none().then(|| Box::new(prepared));
                Performed { prepared, ..performed }
            })
        }
        None => {
            remember(&snapshot, request, &prepared, observer)?;
            let why = miss::Why { reasons, known: known.as_deref() };
            let around = Surroundings { environment, observer: &mut *observer, interrupts };
            miss::execute(session, snapshot, request, prepared, why, part, around)
        }
    };
    session.save_alone();
    let mut performed = performed?;
    note_lock(session, &mut performed);
    let object = matches!(performed.publication, Publication::Done).then_some(performed.object);
    super::report::rest(observer, &performed.run, object, performed.told);
    if let (Publication::Done, Some(parent)) = (&performed.publication, &performed.run.parent) {
        super::live_folder(repo).note_child_run(parent, &performed.run.run, performed.object);
    }
    Ok(performed)
}

/// Tells `prov.lock` of outputs that lie in the work tree now.
pub(super) fn note_lock(session: &Session<'_>, performed: &mut Performed) {
    if performed.run.status != Status::Success || !session.repo.settings().keeps_lock() {
        return;
    }
    let lies_there = |key: &String| {
        matches!(performed.actions.get(key), Some(OutputAction::Stored | OutputAction::Restored | OutputAction::Kept))
    };
    let outputs = performed.run.outputs.iter().filter(|(key, _)| lies_there(key));
    if let Err(err) = super::lockfile::note(session.repo, outputs) {
        performed.warnings.push(format!("{} was left as it is: {}", super::lockfile::NAME, super::chain(&err)));
    }
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

/// The record of a run that is executed from now on, with all that is known before it.
pub(super) fn draft(repo: &Repo, request: &Request, prepared: &Prepared, now: crate::clock::Micros) -> Run {
    let mut run = outline(repo, request, prepared, now);
    let mut asked = std::borrow::Cow::Borrowed(request);
    if let Some(base) = &prepared.base_run {
        // `@last` would be another run tomorrow.
        asked.to_mut().config_folder.base_run = Some(base.clone());
    }
    if let Ok(value) = crate::codec::to_value(&*asked) {
        run.meta.insert("request".to_owned(), value);
    }
    run
}

/// As [`draft`], without the request.
fn outline(repo: &Repo, request: &Request, prepared: &Prepared, now: crate::clock::Micros) -> Run {
    let run = name::run_id(now, &prepared.step, &*repo.world().random);
    let mut meta = BTreeMap::new();
    if let Some(part) = &prepared.config_folder {
        meta.insert("config".to_owned(), part.told(&request.config_folder));
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
        inputs: Inputs::default(),
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

/// How many inputs are asked for one by one who made them.
const ASKED_ALONE: usize = 8;

/// The inputs of a run as its record has them; `is_stored` says whether the store was given the bytes of one, the folder of
/// configuration among them.
pub(super) fn record_inputs(
    session: &Session<'_>,
    snapshot: &Snapshot,
    prepared: &Prepared,
    is_stored: &dyn Fn(&str) -> bool,
) -> Result<Inputs, Error> {
    let repo = session.repo;
    let mut inputs = Vec::with_capacity(prepared.inputs.len() + 1);
    // Most of many inputs were made by nobody.
    let made = if prepared.inputs.len() > ASKED_ALONE {
        let asked = prepared.inputs.values().filter(|input| input.declared_by.is_none());
        let ids = asked.map(|input| &input.captured.content).filter(|content| !content.is_absent());
        Some(crate::lineage::made(snapshot, ids.map(crate::object::recipe::Content::id))?)
    } else {
        None
    };
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
                    None if made.as_ref().is_some_and(|made| !made.contains(&id)) => None,
                    None => {
                        crate::lineage::producer_of(snapshot, repo.project(), &prepared.scenario, path.as_ref(), &id)?
                    }
                }
            }
        };
        let (size, stored) = (input.captured.size, is_stored(key));
        inputs.push((key.clone(), Input { path, size, stored, content, producer }));
    }
    if let Some(part) = &prepared.config_folder {
        inputs.push((part.key(), part.input(is_stored(&part.key()))));
    }
    Ok(inputs.into_iter().collect())
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

/// The inputs of a hit: those of the run whose result it takes if they stand in a list and are just the same, else its own, of which the
/// store is given nothing.
fn inputs_of_hit(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    hit: &Hit,
) -> Result<Inputs, Error> {
    let Some(list) = hit.run.inputs.list() else {
        return record_inputs(session, snapshot, prepared, &|_| false);
    };
    let is_given =
        |key: &str| prepared.inputs.get(key).is_none_or(|input| prepare::is_to_be_stored(request, key, input));
    let mut inputs = record_inputs(session, snapshot, prepared, &is_given)?;
    let record = |source| Error::Record { run: hit.run.run.clone(), source };
    if !inputs.stand_in(list).map_err(record)? {
        inputs.values_mut().for_each(|input| input.stored = false);
    }
    Ok(inputs)
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
    let mut run = outline(repo, request, prepared, started);
    let is_new = part.is_none();
    if is_new {
        run.inputs = inputs_of_hit(session, snapshot, request, prepared, &hit)?;
    }
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
    let mut told = annotate::say(&mut run, request, &prepared.config, &read);
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
            run.inputs = inputs_of_hit(session, snapshot, request, prepared, &hit)?;
        }
        match session.batch() {
            _ if request.cache_mode() == CacheMode::Readonly => publish::unrecorded(&mut run)?,
            Some(batch) => batch.add_light(&mut run)?,
            None => publish::light(repo, snapshot, &mut run)?,
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
        prepared: None,
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

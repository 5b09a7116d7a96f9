//! Runs in pieces: begun by one process, finished by another, executed by anything in between.
//!
//! What is declared at the start passes the same fence as a command's: outputs are cleared, and at the finish inputs, code and config must be
//! what they were. Nobody watches what happens in between, so such a run has a recipe of its own kind: it is found by the next start of the
//! same, never by a command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hooks::{Hooks, Moment};
use super::interrupts::Interrupts;
use super::lookup::Hit;
use super::observer::Observer;
use super::perform::{self, Performed, Surroundings};
use super::prepare::{self, Environment, Prepared};
use super::publish::{self, ClosedRun, Pending, Publication};
use super::request::{CacheMode, Request};
use super::session::Session;
use super::take::{self, Taken};
use super::{Error, Secrets, clear, ending, given, live, logged, look, managed, miss, outputs, overlap, settle};
use crate::clock::Micros;
use crate::codec::{self, Limits, Value};
use crate::hash::Id;
use crate::object::recipe::{Content, Recipe};
use crate::object::run::{Cache, Phase, Reason, Run, RunError, Status};
use crate::object::{Kind, Record};
use crate::refs::key;
use crate::repo::entry::{self, RunPlace};
use crate::worktree::Fence;

/// How long another finish of the same run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The remark that keeps what the fence saw at the start, while the run is live.
pub(super) const SEEN: &str = "seen";

/// How a run is begun.
#[derive(Debug, Clone, Copy, Default)]
pub struct StartOptions {
    /// The process whose end makes it a dead run.
    pub owner: Option<u32>,
    /// Milliseconds after which it is a dead run.
    pub deadline_ms: Option<u64>,
    /// Whether a hit is taken: outputs brought back, a light record, nothing to finish.
    pub take: bool,
}

/// A run that was begun.
#[derive(Debug)]
pub struct Started {
    /// Its run id.
    pub run: String,
    /// Its step.
    pub step: String,
    /// Its recipe.
    pub recipe: Id,
    /// The result that is known already.
    pub hit: Option<Box<Hit>>,
    /// Why there is none.
    pub reasons: Vec<Reason>,
    /// The hit, if it was taken.
    pub taken: Option<Box<Performed>>,
    /// What a program of the run finds in its environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// Content that was in the way of its outputs, and is in the store now.
    pub displaced: Vec<clear::KeptSafe>,
    /// For people.
    pub warnings: Vec<String>,
}

/// How a run is finished.
#[derive(Debug, Clone, Default)]
pub struct FinishOptions {
    /// How it ended; `None` for what code and error say, else success.
    pub status: Option<Status>,
    /// The exit code of what was done.
    pub exit_code: Option<i32>,
    /// What went wrong.
    pub error: Option<String>,
}

/// What came of a finish.
#[derive(Debug)]
pub enum Finished {
    /// It is finished now.
    Now(Box<Performed>),
    /// It was finished before.
    Before {
        /// Its record.
        run: Box<Run>,
        /// Its object.
        object: Id,
    },
}

/// What was seen at the start, to be compared with what is seen at the finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    inputs: BTreeMap<String, Id>,
    rest: Id,
    code: Id,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    captures: BTreeMap<String, outputs::Seen>,
}

impl Seen {
    fn of(prepared: &Prepared) -> Self {
        let mut states = String::new();
        for (path, _, stat) in &prepared.code.tree.files {
            let path = crate::hash::hex(path.as_bytes());
            states.push_str(&format!("{path} {} {} {} {}\n", stat.ino, stat.size, stat.mtime_ns, stat.ctime_ns));
        }
        Self {
            inputs: prepared.inputs.iter().map(|(key, input)| (key.clone(), input.captured.fence.digest())).collect(),
            rest: prepared.fence.digest(),
            code: crate::hash::derived("prov 2026 states of code", states.as_bytes()),
            captures: prepared.seen.clone(),
        }
    }
}

/// Begins a run: looks it up, claims and clears its outputs, and leaves it in the live folder for whoever finishes it.
///
/// # Errors
/// What keeps it from being begun; then nothing is left of it.
pub fn start(
    session: &Session<'_>,
    request: &Request,
    options: StartOptions,
    surroundings: Surroundings<'_>,
) -> Result<Started, Error> {
    let Surroundings { environment, observer, interrupts } = surroundings;
    let mut request = request.clone();
    request.lifecycle.open = true;
    if request.argv.is_empty() && request.step.is_none() {
        return Err(Error::Usage { what: "a run without a command needs a name: --name STEP".to_owned() });
    }
    if request.cache_mode() == CacheMode::Readonly {
        return Err(Error::Usage { what: "a run that is not to be recorded can't be finished later".to_owned() });
    }
    let mut around =
        |session: &Session<'_>| start_once(session, &request, options, environment, &mut *observer, interrupts);
    let mut started = around(session);
    while let Err(Error::Waited) = started {
        started = around(&session.afresh());
    }
    session.save();
    started
}

fn start_once(
    session: &Session<'_>,
    request: &Request,
    options: StartOptions,
    environment: &Environment,
    observer: &mut dyn Observer,
    interrupts: Option<&Interrupts>,
) -> Result<Started, Error> {
    let repo = session.repo;
    let snapshot = repo.store().snapshot()?;
    let mut prepared = perform::ready(session, &snapshot, request, environment, None)?;
    let (hit, reasons, _) = look::ask(session, &snapshot, request, &prepared)?;
    let mut warnings: Vec<String> = prepared.warnings().collect();
    let mut started = Started {
        run: String::new(),
        step: prepared.step.clone(),
        recipe: prepared.recipe(),
        hit,
        reasons,
        taken: None,
        environment: BTreeMap::new(),
        displaced: Vec::new(),
        warnings: Vec::new(),
    };
    if options.take
        && let Some(hit) = &started.hit
    {
        let now = repo.now();
        match perform::take_back(session, &snapshot, request, &prepared, hit, interrupts) {
            Ok(restored) => {
                let taken = perform::take(session, &snapshot, request, &prepared, (**hit).clone(), restored, now)?;
                started.run.clone_from(&taken.run.run);
                started.taken = Some(Box::new(taken));
                return Ok(started);
            }
            Err(err) => {
                started.reasons.push(perform::lost(err)?);
                started.hit = None;
            }
        }
    }
    let mut run = perform::draft(repo, request, &prepared, repo.now());
    run.cache = match (&started.hit, request.cache_mode()) {
        (_, CacheMode::Off) => Cache::Off,
        (Some(hit), _) => Cache::Miss { reasons: vec![look::traced(hit)] },
        (None, _) => Cache::Miss { reasons: started.reasons.clone() },
    };
    let live = super::live_folder(repo);
    let owner = match options.owner {
        None => None,
        Some(pid) => Some(
            live.here()
                .neighbour(pid)
                .ok_or_else(|| Error::Usage { what: format!("there is no process {pid} to own the run") })?,
        ),
    };
    let deadline = options
        .deadline_ms
        .map(|ms| Micros(run.started_at.0.saturating_add(i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX))));
    let mut intent = miss::intent(repo, request, &prepared, &run, repo.new_op().to_bytes());
    intent.open = Some(live::Open { owner, deadline });
    let running = live.begin(intent)?;
    let hooks = Hooks::of(session, environment);
    let begun = (|| {
        if !prepared.outputs().is_empty() {
            super::claim_outputs(&running, request.wait, interrupts)?;
            if request.wait && look::is_hit_by_now(session, &snapshot, request, &prepared)? && started.hit.is_none() {
                return Err(Error::Waited);
            }
        }
        if let Some(hooks) = &hooks {
            warnings.extend(hooks.call(session, Moment::Start, &run, None, observer, interrupts)?);
        }
        super::inputs::fetch(session, &snapshot, &mut prepared)?;
        let written: Vec<&str> =
            prepared.outputs().keys().map(String::as_str).filter(|key| !request.in_place.contains(*key)).collect();
        overlap::check_real_overlaps(session, &prepared, &written)?;
        started.displaced = clear::clear(session, &snapshot, &clear::spots(session, &snapshot, &prepared, &written)?)?;
        outputs::see_captures(session, &mut prepared)?;
        if let Some(change) = prepared.before.check(&session.worktree()).into_iter().next() {
            return Err(Error::ChangedBefore { path: change.path });
        }
        let given = given::lay_config(session, &snapshot, &prepared, &running)?;
        started.environment = given::told_environment(session, request, &prepared, &running, &given)?;
        let is_wanted =
            |key: &str| prepared.inputs.get(key).is_some_and(|input| prepare::is_to_be_stored(request, key, input));
        run.inputs = perform::record_inputs(session, &snapshot, &prepared, &is_wanted)?;
        let seen = codec::encode(&Seen::of(&prepared)).map_err(|source| Error::Ref { source })?;
        run.meta.insert(SEEN.to_owned(), Value::Bytes(seen));
        publish::note_draft(&running, &run, &publish::beside_of(&prepared))
    })();
    if let Err(err) = begun {
        let _ = running.end();
        return Err(err);
    }
    super::report::begun(repo.fs(), &run, running.dir());
    started.environment.insert("PROV_RUN_ID".into(), run.run.clone().into());
    started.run = run.run;
    started.warnings = warnings;
    Ok(started)
}

/// Finishes a run that was begun with [`start`]. A second finish changes nothing and says so.
///
/// # Errors
/// When there is no such run, or it is one that prov itself executes; or its record can't be made.
pub fn finish(
    session: &Session<'_>,
    run: &str,
    options: &FinishOptions,
    surroundings: Surroundings<'_>,
) -> Result<Finished, Error> {
    let Surroundings { environment, observer, interrupts } = surroundings;
    let repo = session.repo;
    let live = super::live_folder(repo);
    let Some(running) = live.resume(run) else { return finished_before(session, &live, run) };
    // One at a time; whoever comes second finds the record.
    let lock = crate::fs::lock(&running.dir().join("finishing"), PATIENCE);
    let Some(entry) = live.entry(run).filter(|_| lock.is_some()) else { return finished_before(session, &live, run) };
    let Some((mut run, pending)) = settle::drafted(&entry, &live) else {
        return Err(Error::Live(live::LiveError::Ended { run: run.to_owned() }));
    };
    let seen: Option<Seen> = match run.meta.remove(SEEN) {
        Some(Value::Bytes(bytes)) => codec::decode(&bytes, &Limits::RECORD).ok(),
        _ => None,
    };
    let request: Option<Request> = run.meta.get("request").and_then(|value| codec::from_value(value).ok());
    let (Some(seen), Some(request)) = (seen, request) else {
        return Err(Error::Usage { what: format!("what run {} was begun with can't be read", run.run) });
    };
    if let Some(error) = &options.error {
        Secrets::known(&request.secret_env, environment).check(error.as_bytes(), "the error")?;
    }
    run.finished_at = repo.now();
    say_how_it_ended(&mut run, options);

    let snapshot = repo.store().snapshot()?;
    let intake = repo.store().intake(&snapshot);
    settle::fill(repo, &intake, &pending, &mut run)?;
    let (mut warnings, mut actions, mut exit_code) = (Vec::new(), BTreeMap::new(), 0);
    let mut fence = Fence::new();
    let mut ignored = None;
    let fresh = session.afresh();
    // What an address leads to was settled at the start; whether it lies there untouched is looked at.
    let asked = Request { freshness: super::web::Freshness::Offline, ..request.clone() };
    let after = prepare::prepare(&fresh, &snapshot, &asked, environment);
    if run.status == Status::Success
        && let Ok(prepared) = &after
    {
        let taken = take_outputs(&fresh, &request, prepared, &seen, &running, &intake, &mut run, &mut warnings);
        match taken {
            Ok(taken) => {
                ignored = take::judge(session, &request, prepared, &taken, &mut run, &mut exit_code, &mut warnings);
                ending::say(session, &request, prepared, &running, &mut run, &mut warnings);
                (actions, fence) = (taken.actions, taken.fence);
            }
            Err(err) => {
                take::fail(&mut run, "output", super::chain(&err));
                exit_code = 1;
            }
        }
    }
    run.children = running.children();
    let secrets = Secrets::known(&request.secret_env, environment);
    logged::apply(session, &snapshot, &running.notes(), &mut run, &intake, &secrets, &mut warnings)?;
    run.git = ending::git_state(repo.fs(), repo.root());
    changes(&request, after.as_ref(), &pending, &seen, &mut run);
    for change in fence.check(&session.worktree()) {
        run.unsealed.push(format!("output {} changed while it was recorded", crate::path::show(&change.path)));
    }
    run.unsealed.truncate(20);
    run.sealed = run.unsealed.is_empty();
    if run.status == Status::Success && !run.sealed {
        let told: Vec<&str> =
            run.unsealed.iter().filter(|text| Some(*text) != ignored.as_ref()).map(String::as_str).collect();
        if !told.is_empty() {
            warnings.push(format!("this run will never be a hit: {}", told.join("; ")));
        }
    }

    let is_managed = after.as_ref().is_ok_and(|after| after.output(managed::KEY).is_none());
    if is_managed
        && run.outputs.contains_key(managed::KEY)
        && let Err(err) = managed::settle_down(session, &snapshot, &run.step, &running)
    {
        warnings.push(format!("the folder of the run is in the store alone: {}", super::chain(&err)));
    }
    let closed = ClosedRun::of(&mut run)?;
    let object = closed.object;
    let op = crate::store::OpId::from_bytes(running.intent().op);
    let published = (|| {
        closed.put(&intake)?;
        let collected = std::sync::Arc::new(intake.finish()?);
        publish::with(repo, &snapshot, op, "finish", &run, object, &collected)
    })();
    let publication = match published {
        Ok(()) => {
            let _ = running.end();
            Publication::Done
        }
        Err(err) => publish::leave(&Pending { run: closed.pending(&run)?.run, ..pending }, running, err),
    };
    drop(lock);
    session.save();
    let known = matches!(publication, Publication::Done).then_some(object);
    if let (Some(object), Some(parent)) = (known, &run.parent) {
        live.note_child_run(parent, &run.run, object);
    }
    if let Some(hooks) = Hooks::of(session, environment) {
        match hooks.call(session, Moment::end_of(&run), &run, known, observer, interrupts) {
            Ok(why) => warnings.extend(why),
            Err(err) => warnings.push(format!("a hook was ended: {}", super::chain(&err))),
        }
    }
    super::report::rest(observer, &run, known, None);
    let mut performed = Performed {
        run,
        told: None,
        object,
        exit_code,
        actions,
        publication,
        warnings,
        displaced: Vec::new(),
        replay: BTreeMap::new(),
        prepared: None,
        narrow: None,
    };
    super::perform::note_lock(session, &mut performed);
    Ok(Finished::Now(Box::new(performed)))
}

/// What to say of a run that is not there to be finished.
fn finished_before(session: &Session<'_>, live: &live::Live, run: &str) -> Result<Finished, Error> {
    let snapshot = session.repo.store().snapshot()?;
    if let Some(value) = snapshot.get_ref(&key::id(run))? {
        let place: RunPlace = entry::decode(&value).map_err(|source| Error::Ref { source })?;
        let record = crate::revspec::read_run(&snapshot, run, &place.object)?;
        return Ok(Finished::Before { run: Box::new(record), object: place.object });
    }
    if live.entry(run).is_some_and(|entry| entry.intent.is_some_and(|intent| intent.open.is_none())) {
        return Err(Error::Usage { what: format!("run {run} is executed by prov, which finishes it") });
    }
    Err(Error::Live(live::LiveError::Ended { run: run.to_owned() }))
}

fn say_how_it_ended(run: &mut Run, options: &FinishOptions) {
    run.exit_code = options.exit_code;
    let has_failed = options.error.is_some() || options.exit_code.is_some_and(|code| code != 0);
    run.status = options.status.unwrap_or(if has_failed { Status::Failure } else { Status::Success });
    if run.status == Status::Success {
        return;
    }
    run.failed_in = Some(Phase::Run);
    let (kind, message) = match (&options.error, options.exit_code) {
        (Some(message), _) => ("reported", message.clone()),
        (None, Some(code)) => ("exit", format!("ended with code {code}")),
        (None, None) if run.status == Status::Aborted => ("abandoned", "it was given up".to_owned()),
        (None, None) => ("reported", "it was said to have failed".to_owned()),
    };
    run.error = Some(RunError { kind: kind.to_owned(), message, run: None });
}

#[expect(clippy::too_many_arguments, reason = "everything that an output leaves a trace in")]
fn take_outputs(
    session: &Session<'_>,
    request: &Request,
    prepared: &Prepared,
    seen: &Seen,
    running: &live::Running,
    intake: &crate::store::Intake,
    run: &mut Run,
    warnings: &mut Vec<String>,
) -> Result<Taken, Error> {
    take::outputs_of(session, request, prepared, &seen.captures, running, intake, run, warnings)
}

/// Looks at everything again that was looked at when the run began, and says what is not the same.
fn changes(request: &Request, after: Result<&Prepared, &Error>, pending: &Pending, seen: &Seen, run: &mut Run) {
    let before = pending.objects.iter().find(|(kind, _)| *kind == Kind::RECIPE);
    let Some(before) = before.and_then(|(_, bytes)| Recipe::decode(bytes).ok()) else {
        return run.unsealed.push("what it was begun with can't be read".to_owned());
    };
    let after = match after {
        Ok(after) => after,
        Err(err) => {
            return run
                .unsealed
                .push(format!("what it was begun with can't be looked at again: {}", super::chain(err)));
        }
    };
    let now = Seen::of(after);
    let recipe = &after.built.recipe;
    let is_own = |key: &str| request.in_place.iter().any(|own| key == format!("{own}_before"));
    let told = run.unsealed.len();
    let mut add = |text: String| run.unsealed.push(text);
    let differing = |a: &BTreeMap<String, Content>, b: &BTreeMap<String, Content>| -> Vec<String> {
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        keys.into_iter().filter(|key| a.get(*key) != b.get(*key)).cloned().collect()
    };
    let changed = differing(&before.inputs, &recipe.inputs);
    for key in changed.iter().filter(|key| !is_own(key)) {
        add(format!("input {key} changed while it ran"));
    }
    for (key, state) in &seen.inputs {
        if !changed.contains(key) && !is_own(key) && now.inputs.get(key) != Some(state) {
            add(format!("input {key} was written while it ran"));
        }
    }
    for label in differing(&before.identity, &recipe.identity) {
        add(format!("{label} changed while it ran"));
    }
    if before.config != recipe.config {
        add("the config changed while it ran".to_owned());
    }
    if before.code != recipe.code {
        add("the code changed while it ran".to_owned());
    } else if seen.code != now.code {
        add("the code was written while it ran".to_owned());
    }
    let is_told = run.unsealed.len() > told;
    if before.action.stdin != recipe.action.stdin || (seen.rest != now.rest && !is_told) {
        run.unsealed.push("a file that counts was written while it ran".to_owned());
    }
}

/// Reads the value of a metric.
///
/// # Errors
/// When it is no number.
pub fn metric(value: Value) -> Result<Value, Error> {
    match value {
        Value::Int(_) | Value::Float(_) => Ok(value),
        _ => Err(Error::Usage { what: "a metric is a number".to_owned() }),
    }
}

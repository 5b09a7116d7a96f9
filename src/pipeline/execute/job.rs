//! One task from its request to its end, in a thread of its own.

use std::sync::{Mutex, PoisonError};

use super::request::{self, Asked};
use super::table::TASK;
use super::work::{Begun, Ended, Event, Events, Work};
use crate::codec::Value;
use crate::event::{self, Of};
use crate::object::run::{Cache, Reason, ReasonKind, Run, RunError, Status};
use crate::pipeline::perform::{
    self, Artifact, Failure, Job, Level, Location, Phase, Places, Registry, Said, TaskKind,
};
use crate::pipeline::plan::{Kind, Roots, TaskId};
use crate::pipeline::state::{self, End};
use crate::pipeline::task::Builtin;
use crate::pipeline::validate::{self, Checked, Subject};
use crate::run::guard::Guard;
use crate::run::interrupts::Interrupts;
use crate::run::observer::{Observer, Stream};
use crate::run::part::{At, Ended as BodyEnded, Part};
use crate::run::prepare::Environment;
use crate::run::{self, Glance, Performed, Publication, Session, Surroundings};

/// The word for what could not be had from a server.
const FETCH: &str = "fetch";

/// What the tasks of one run share.
pub(super) struct Floor<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) environment: &'a Environment,
    pub(super) registry: &'a Registry,
    pub(super) roots: &'a Roots,
    /// The options that hold, for programs.
    pub(super) config: Value,
    /// Lines below this level are not kept.
    pub(super) log_level: Level,
    pub(super) events: Events,
    /// Whether somebody wants to hear what is printed and told.
    pub(super) is_heard: bool,
    /// Ends processes if this one is killed.
    pub(super) guard: &'a Guard,
}

impl std::fmt::Debug for Floor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Floor").finish_non_exhaustive()
    }
}

/// What a task said.
#[derive(Debug, Default)]
struct Heard {
    log: Vec<u8>,
    artifacts: Vec<Artifact>,
    provided: Vec<(String, Value)>,
    chose: Vec<perform::Choice>,
    made: Vec<crate::pipeline::file::Spec>,
    result: Option<Value>,
    checked: Vec<Checked>,
    pids: Vec<u32>,
    runs: Vec<String>,
}

/// Does a task and says how it ended. The interrupts are those of the tasks of this thread, made with the first.
pub(super) fn work(floor: &Floor<'_>, mut work: Work, interrupts: &mut Option<Interrupts>) -> Ended {
    let begun = work.begun.take();
    let work = &work;
    let started_at = floor.session.repo.now();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let interrupts = match &mut *interrupts {
            Some(interrupts) => interrupts,
            none => none.insert(Interrupts::by_hand().map_err(|err| RunError {
                kind: "system".to_owned(),
                message: format!("no descriptors are left: {err}"),
                run: None,
            })?),
        };
        work.stop.raises(interrupts);
        attempt(floor, work, begun, interrupts)
    }));
    if let Some(interrupts) = interrupts {
        work.stop.leaves(interrupts);
    }
    let failed = |kind: &str, message: String, may_pass: bool| Ended {
        id: work.id,
        // What it reads could not be had now: that is a failure of its work.
        end: End::Failure(if may_pass { state::Phase::Run } else { state::Phase::Build }),
        may_pass,
        run: None,
        is_new: false,
        started_at,
        finished_at: floor.session.repo.now(),
        error: Some(RunError { kind: kind.to_owned(), message, run: None }),
        status: Status::Failure,
        why: String::new(),
        took_us: 0,
        made: Vec::new(),
        provided: Vec::new(),
        checks: None,
        warnings: Vec::new(),
    };
    let mut ended = match done {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => failed(&error.kind, error.message, error.kind == FETCH),
        // The scheduler waits for its end, whatever becomes of it.
        Err(_) => failed("panic", "prov itself failed while it did this task".to_owned(), false),
    };
    if let Some(why) = work.stop.why()
        && !ended.end.is_good()
    {
        // Being out of time is its own fault.
        ended.end = if why.kind == "timeout" { End::Failure(state::Phase::Run) } else { End::Aborted };
        ended.error = Some(why);
    }
    ended.started_at = started_at;
    floor.session.something_ended();
    ended
}

/// Looks a task up if that takes next to no time: its end if its result is there, else what was found is kept for whoever performs it.
pub(super) fn glance(floor: &Floor<'_>, work: &mut Work) -> Option<Ended> {
    // Who hears what happens hears of hits as well.
    if floor.is_heard || work.is_forced {
        return None;
    }
    let started_at = floor.session.repo.now();
    let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let kind = floor.registry.kind(&work.kind);
        let asked = request::ask(work, floor.roots, floor.session.repo.root(), kind.as_deref()).ok()?;
        let heard = Mutex::new(Heard::default());
        let mut part = TaskPart::new(floor, work, &asked, kind.as_deref(), &heard);
        let glance = run::glance(floor.session, &asked.request, &mut part, floor.environment);
        let provided = std::mem::take(&mut part.replayed);
        Some((asked, glance, provided))
    }));
    // What goes wrong goes wrong again where it is told.
    let (asked, glance, provided) = looked.ok()??;
    match glance {
        Glance::Known(known) => Some(Ended {
            id: work.id,
            end: End::Hit,
            may_pass: false,
            is_new: false,
            started_at,
            finished_at: floor.session.repo.now(),
            error: None,
            status: Status::Success,
            why: String::new(),
            took_us: known.run.duration_us(),
            run: Some((known.run.run, known.object)),
            made: Vec::new(),
            provided,
            checks: request::checks_id(&asked.settings.validate).map(|id| id.to_string()),
            warnings: known.warnings,
        }),
        Glance::Looked(looked) => {
            work.begun = Some(Box::new(Begun { asked, looked }));
            None
        }
        Glance::Unknown => None,
    }
}

fn attempt(
    floor: &Floor<'_>,
    work: &Work,
    begun: Option<Box<Begun>>,
    interrupts: &Interrupts,
) -> Result<Ended, RunError> {
    let error = |kind: &str, message: String| RunError { kind: kind.to_owned(), message, run: None };
    let kind = floor.registry.kind(&work.kind);
    let root = floor.session.repo.root();
    let (asked, looked) = match begun {
        Some(begun) => (begun.asked, Some(*begun.looked)),
        None => {
            let asked = request::ask(work, floor.roots, root, kind.as_deref()).map_err(|what| error("spec", what))?;
            (asked, None)
        }
    };
    let heard = Mutex::new(Heard::default());
    let mut part = TaskPart::new(floor, work, &asked, kind.as_deref(), &heard);
    let mut ear = Ear { id: work.id, events: &floor.events, is_heard: floor.is_heard };
    let around = Surroundings { environment: floor.environment, observer: &mut ear, interrupts: Some(interrupts) };
    let performed = run::perform_part(floor.session, &asked.request, Some(&mut part), around, looked);
    let may_pass = part.failure != Some(false);
    let replayed = std::mem::take(&mut part.replayed);
    let mut heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (pids, runs) = (std::mem::take(&mut heard.pids), std::mem::take(&mut heard.runs));
    floor.guard.over(pids, runs.iter().map(String::as_str));
    heard.provided.extend(replayed);
    let performed = performed.map_err(|err| {
        let kind = match err {
            run::Error::Interrupted { .. } => "aborted",
            run::Error::Fetch { .. } => FETCH,
            _ => "not_started",
        };
        error(kind, run::chain(&err))
    })?;
    Ok(ended(work, &asked, performed, heard, may_pass))
}

fn ended(work: &Work, asked: &Asked, performed: Performed, heard: Heard, may_pass: bool) -> Ended {
    let run = &performed.run;
    let end = match (run.status, run.is_hit(), run.failed_in) {
        (Status::Success, true, _) => End::Hit,
        (Status::Success, false, _) => End::Success,
        (Status::Failure, _, Some(crate::object::run::Phase::Validation)) => End::Failure(state::Phase::Validation),
        // One that was stopped by its own time limit has failed; the others are told apart by who asked.
        _ => End::Failure(state::Phase::Run),
    };
    let (source, is_new) = match (&performed.publication, &run.cache) {
        (Publication::Listed, Cache::Hit { source, object, .. }) => ((source.clone(), *object), false),
        _ => ((run.run.clone(), performed.object), true),
    };
    let is_recorded = !matches!(performed.publication, Publication::Unrecorded | Publication::Lost(_));
    let why = match &run.cache {
        Cache::Miss { .. } if work.is_forced => "forced".to_owned(),
        Cache::Miss { reasons } => reasons.first().map(in_a_word).unwrap_or_default(),
        _ => String::new(),
    };
    let mut warnings = performed.warnings;
    if let Publication::Lost(err) | Publication::Waiting(err) = &performed.publication {
        warnings.push(format!("its record waits, or is lost: {}", run::chain(err)));
    }
    let is_good = end.is_good();
    Ended {
        id: work.id,
        end,
        may_pass,
        run: is_recorded.then_some(source),
        is_new,
        started_at: run.started_at,
        finished_at: run.finished_at,
        error: run.error.clone(),
        status: run.status,
        why,
        took_us: match &run.cache {
            Cache::Hit { source_duration_us, .. } => *source_duration_us,
            _ => run.duration_us(),
        },
        made: if is_good { heard.made } else { Vec::new() },
        provided: if is_good { heard.provided } else { Vec::new() },
        checks: request::checks_id(&asked.settings.validate).filter(|_| is_good).map(|id| id.to_string()),
        warnings,
    }
}

/// A reason for a miss in a word or two: the part that differs, unless it is about something else.
fn in_a_word(reason: &Reason) -> String {
    let word = match reason.kind {
        ReasonKind::FirstRun => "first time",
        ReasonKind::OutputsLost => "outputs are gone",
        ReasonKind::Policy => "not to be looked up",
        ReasonKind::Failed => "failed before",
        ReasonKind::Unsealed => "not sealed before",
        ReasonKind::Retracted => "taken back before",
        _ => return reason.part.clone(),
    };
    word.to_owned()
}

/// The scratchpad values that a recorded result comes with.
fn provided_before(run: &Run) -> Vec<(String, Value)> {
    match run.meta.get(TASK).and_then(|task| task.get("scratchpad")) {
        Some(Value::Map(entries)) => entries.clone(),
        _ => Vec::new(),
    }
}

/// Passes on what a command prints.
struct Ear<'a> {
    id: TaskId,
    events: &'a Events,
    is_heard: bool,
}

impl Observer for Ear<'_> {
    fn output(&mut self, from: Stream, bytes: &[u8]) -> std::io::Result<usize> {
        if self.is_heard {
            // Nobody listens any more only when everything is over.
            let _ = self.events.send(Event::Printed(self.id, from, bytes.to_vec()));
        }
        Ok(bytes.len())
    }

    fn hears_events(&self) -> bool {
        self.is_heard
    }

    fn event(&mut self, of: &Of, seq: u64, event: &event::Event) {
        if self.is_heard {
            let _ = self.events.send(Event::Told(of.clone(), seq, event.clone()));
        }
    }
}

/// A task as a part of a run.
struct TaskPart<'a> {
    floor: &'a Floor<'a>,
    work: &'a Work,
    asked: &'a Asked,
    kind: Option<&'a dyn TaskKind>,
    heard: &'a Mutex<Heard>,
    /// Of a failure, whether another try could end better.
    failure: Option<bool>,
    /// Whether its type has something to validate.
    validates: bool,
    /// Where its inputs lie.
    inputs: std::collections::BTreeMap<String, std::path::PathBuf>,
    /// What a recorded result provides.
    replayed: Vec<(String, Value)>,
}

impl<'a> TaskPart<'a> {
    fn new(
        floor: &'a Floor<'a>,
        work: &'a Work,
        asked: &'a Asked,
        kind: Option<&'a dyn TaskKind>,
        heard: &'a Mutex<Heard>,
    ) -> Self {
        Self {
            floor,
            work,
            asked,
            kind,
            heard,
            failure: None,
            validates: false,
            inputs: std::collections::BTreeMap::new(),
            replayed: Vec::new(),
        }
    }
}

impl TaskPart<'_> {
    fn job(&self, phase: Phase, folder: &std::path::Path) -> Job {
        Job {
            phase,
            step: self.work.step.clone(),
            name: self.work.name.clone(),
            task_type: self.work.task_type.clone(),
            flavour: self.work.flavour,
            spec: self.work.spec.clone(),
            scratchpad: self.work.scratchpad.clone(),
            config: self.floor.config.clone(),
            roots: self.floor.roots.clone(),
            sources: self.asked.sources.clone(),
            destinations: self.asked.destinations.clone(),
            fetched: std::collections::BTreeMap::new(),
            frozen: self.work.frozen.clone(),
            cwd: request::work_folder(self.floor.roots, &self.asked.settings),
            env: self.environment(),
            timeout: self.asked.request.timeout_ms.map(std::time::Duration::from_millis),
            folder: folder.to_owned(),
        }
    }

    /// What processes of the task find in their environment.
    fn environment(&self) -> std::collections::BTreeMap<std::ffi::OsString, std::ffi::OsString> {
        use std::os::unix::ffi::OsStringExt;
        let given = self.asked.request.env.iter().filter_map(|(name, value)| {
            let value = value.as_ref()?.to_vec();
            Some((name.into(), std::ffi::OsString::from_vec(value)))
        });
        given.collect()
    }

    /// A process of the run runs.
    fn note(&self, run: &str, pid: u32) {
        self.floor.guard.watch(pid, run);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).pids.push(pid);
        if let Some(bytes) = self.asked.settings.memory {
            crate::run::group::limit_memory(pid, bytes);
        }
    }

    fn hear(&self, said: Said) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match &said {
            Said::Log { level, text } if *level >= self.floor.log_level => {
                let at = self.floor.session.repo.now().rfc3339();
                heard.log.extend_from_slice(format!("{at} {:<8} {text}\n", level.as_str()).as_bytes());
            }
            Said::Artifact(artifact) => heard.artifacts.push(artifact.clone()),
            Said::Scratchpad { key, value } => heard.provided.push((key.clone(), value.clone())),
            Said::Chose(choice) => heard.chose.push(choice.clone()),
            Said::AddSpecs(specs) => heard.made.extend(specs.iter().cloned()),
            Said::Result(value) => heard.result = Some(value.clone()),
            _ => {}
        }
        drop(heard);
        if self.floor.is_heard {
            let event = match said {
                Said::Output { stream, bytes } => Event::Printed(self.work.id, stream, bytes),
                said => Event::Said(self.work.id, said),
            };
            let _ = self.floor.events.send(event);
        }
    }

    /// Does a phase of a task that is no command. `started` is told of its processes.
    fn perform_phase(
        &mut self,
        phase: Phase,
        run: &str,
        folder: &std::path::Path,
        inputs: &std::collections::BTreeMap<String, std::path::PathBuf>,
        started: &(dyn Fn(u32) + Sync),
    ) -> Result<perform::Done, Failure> {
        let Some(kind) = self.kind else {
            return Err(Failure::Spec { problem: format!("nothing here executes `{}`", self.work.task_type) });
        };
        let mut job = self.job(phase, folder);
        job.env.insert("PROV_RUN_ID".into(), run.into());
        let web = self.asked.web.iter();
        job.fetched = web.filter_map(|(url, key)| Some((url.clone(), inputs.get(key)?.clone()))).collect();
        let this = &*self;
        let hear = |said| match said {
            Said::Started { pid } => {
                started(pid);
                this.note(run, pid);
            }
            said => this.hear(said),
        };
        let done = kind.perform(&job, &hear, &this.work.stop.abort);
        if let Err(failure) = &done {
            self.failure = Some(failure.may_pass());
        }
        done
    }
}

impl TaskPart<'_> {
    /// Makes the checks that the task declares.
    fn declared_checks(&mut self, run: &Run, folder: &std::path::Path) -> Result<(), Failure> {
        let root = self.floor.session.repo.root();
        let subjects: Vec<Subject> = run
            .outputs
            .iter()
            .map(|(key, output)| {
                let path = root.join(crate::path::from_bytes(&output.path));
                let absolute = path.to_string_lossy().into_owned();
                let known = self.asked.destinations.iter().find(|place| place.absolute == absolute);
                let declared = known.map_or_else(|| self.asked.declared_as(key), |place| place.declared.clone());
                Subject { key: Some(key.clone()), location: Location { declared, absolute } }
            })
            .collect();
        let mut job = self.job(Phase::Validate, folder);
        job.env.insert("PROV_RUN_ID".into(), run.run.as_str().into());
        let this = &*self;
        let hear = |said| match said {
            Said::Started { pid } => this.note(&run.run, pid),
            said => this.hear(said),
        };
        let checks = &self.asked.settings.validate;
        let world = self.floor.registry.world();
        let checked = validate::validate(world, &job, checks, &subjects, &hear, &self.work.stop.abort)?;
        let reason = validate::reason(&checked);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).checked = checked;
        match reason {
            None => Ok(()),
            Some(problem) => Err(Failure::Invalid { problem }),
        }
    }
}

/// The word for a failure of a task in records.
fn word(failure: &Failure) -> &'static str {
    match failure {
        Failure::Aborted { .. } => "aborted",
        Failure::Spec { .. } => "spec",
        Failure::Io { .. } => "io",
        Failure::Fetch { .. } => FETCH,
        Failure::Invalid { .. } => "invalid",
        Failure::Spawn { .. } => "spawn",
        Failure::Process { .. } => "exit",
        _ => "work",
    }
}

fn run_error(failure: &Failure) -> RunError {
    RunError { kind: word(failure).to_owned(), message: failure.reason(), run: None }
}

impl Part for TaskPart<'_> {
    fn has_body(&self) -> bool {
        self.kind.is_some()
    }

    fn perform(&mut self, at: At<'_>) -> BodyEnded {
        let done = self.perform_phase(Phase::Run, at.run, at.folder, at.inputs, at.started);
        self.inputs.clone_from(at.inputs);
        self.validates = done.as_ref().is_ok_and(|done| done.validates);
        let log = std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner).log);
        match done {
            Ok(done) => BodyEnded { status: Status::Success, error: None, outcome: done.outcome, log },
            Err(failure) => {
                let status = if failure.is_abort() { Status::Aborted } else { Status::Failure };
                let error = Some(run_error(&failure));
                let outcome = match failure {
                    Failure::Aborted { outcome, .. } => outcome,
                    Failure::Process { outcome, .. } => Some(outcome),
                    _ => None,
                };
                BodyEnded { status, error, outcome, log }
            }
        }
    }

    fn starting(&mut self, run: &str) {
        if matches!(self.work.kind, Kind::Builtin(kind) if kind != Builtin::Command) {
            // What is done in this process ends with it; a command among its checks is told of when it runs.
            return;
        }
        self.floor.guard.expect(run);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).runs.push(run.to_owned());
    }

    fn started(&mut self, run: &str, pid: u32) {
        self.note(run, pid);
    }

    fn found(&mut self, source: &Run) -> bool {
        self.replayed = provided_before(source);
        let Some(id) = request::checks_id(&self.asked.settings.validate).map(|id| id.to_string()) else { return false };
        let recorded = source.meta.get(TASK).and_then(|task| task.get("checks"));
        let is_recorded = matches!(recorded, Some(Value::Text(text)) if *text == id);
        let is_passed = self.work.passed.as_ref().is_some_and(|(run, checks)| *run == source.run && *checks == id);
        !is_recorded && !is_passed
    }

    fn check(&mut self, run: &mut Run) -> Result<(), RunError> {
        // What a type looks at belongs to its work; a result that was taken from an earlier run has passed it there.
        let validates = self.validates && !run.is_hit();
        if !validates && self.asked.settings.validate.is_empty() {
            return Ok(());
        }
        let now = || self.floor.session.repo.now();
        run.validation_started_at = Some(now());
        let folder = self.floor.session.repo.layout().cache().join("tasks").join(&run.run);
        let inputs = std::mem::take(&mut self.inputs);
        let mut done = Ok(());
        if validates {
            done = self.perform_phase(Phase::Validate, &run.run, &folder, &inputs, &|_| ()).map(drop);
        }
        if done.is_ok() && !self.asked.settings.validate.is_empty() {
            done = self.declared_checks(run, &folder);
        }
        let done = done.map_err(|failure| run_error(&failure));
        run.validation_finished_at = Some(now());
        let _ = self.floor.session.repo.fs().remove_tree(&folder);
        done
    }

    fn complete(&mut self, run: &mut Run) {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |text: &str| Value::Text(text.to_owned());
        let mut task = vec![
            ("name".to_owned(), text(&self.work.name)),
            ("step".to_owned(), text(&self.work.step)),
            ("type".to_owned(), text(&self.work.task_type)),
            ("spec".to_owned(), self.work.spec.to_value()),
        ];
        let mut put = |key: &str, value: Value| task.push((key.to_owned(), value));
        if self.work.tries > 1 {
            put("try", Value::Int(self.work.tries.into()));
        }
        if !heard.artifacts.is_empty() {
            put("artifacts", Value::List(heard.artifacts.iter().map(artifact).collect()));
        }
        if !heard.provided.is_empty() {
            put("scratchpad", Value::Map(heard.provided.clone()));
        }
        if !heard.chose.is_empty() {
            put("chose", Value::List(heard.chose.iter().map(perform::Choice::to_value).collect()));
        }
        if !heard.made.is_empty() && run.status == Status::Success {
            // Whoever took its result would not get the tasks that it made.
            run.sealed = false;
            run.unsealed.push("it made tasks".to_owned());
        }
        if !heard.checked.is_empty() {
            put("checked", Value::List(heard.checked.iter().map(Checked::to_value).collect()));
        }
        if let Some(result) = &heard.result {
            put("result", result.clone());
        }
        if let Some(id) = request::checks_id(&self.asked.settings.validate)
            && run.status == Status::Success
        {
            put("checks", Value::Text(id.to_string()));
        }
        if let Some(why) = self.work.stop.why()
            && run.status != Status::Success
        {
            run.status = Status::Aborted;
            run.error = Some(why);
        }
        run.meta.insert(TASK.to_owned(), Value::Map(task));
    }
}

/// An artifact as records have it: `source` and `destination` are each a text or a list, as the task said them.
fn artifact(artifact: &Artifact) -> Value {
    let places = |places: &Places| match places {
        Places::One(one) => Value::Text(one.clone()),
        Places::Many(many) => Value::List(many.iter().map(|one| Value::Text(one.clone())).collect()),
    };
    let mut entries = vec![
        ("source".to_owned(), places(&artifact.source)),
        ("destination".to_owned(), places(&artifact.destination)),
    ];
    entries.extend(artifact.more.iter().filter(|(key, _)| key != "source" && key != "destination").cloned());
    Value::Map(entries)
}

//! A miss: clear the way, execute, take what came out, record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::execute::{self, Command};
use super::hooks::{Hooks, Moment};
use super::interrupts::Interrupts;
use super::lookup::Hit;
use super::nearest::Nearest;
use super::part::{At, Ended, Part};
use super::perform::{self, Performed, Surroundings};
use super::prepare::{self, Prepared};
use super::program::SpawnError;
use super::publish::{self, ClosedRun, Pending, Publication};
use super::report::Reporter;
use super::request::{CacheMode, Request};
use super::secrets::Secrets;
use super::session::Session;
use super::take::{self, Taken};
use super::{Error, clear, ending, given, inputs, live, logged, look, managed, memory, outputs, overlap, seal};
use crate::code::Narrowing;
use crate::object::run::{Cache, Phase, Reason, Run, RunError, Status};
use crate::path::RelPath;
use crate::store::{Intake, Snapshot};
use crate::worktree;

/// How long a part of a larger run may take before something of it is written down.
const QUIET: Duration = Duration::from_millis(5);

/// Why something is executed.
pub(super) struct Why<'a> {
    /// The reasons; empty if the recipe is another than any before: which is nearest is found out while the command runs.
    pub(super) reasons: Vec<Reason>,
    /// The result that is known all the same, to be compared with.
    pub(super) known: Option<&'a Hit>,
}

/// Executes a request and records what came of it.
///
/// # Errors
/// What kept the command from being started.
pub(super) fn execute(
    session: &Session<'_>,
    snapshot: Snapshot,
    request: &Request,
    mut prepared: Prepared,
    why: Why<'_>,
    mut part: Option<&mut dyn Part>,
    surroundings: Surroundings<'_>,
) -> Result<Performed, Error> {
    let repo = session.repo;
    let Why { mut reasons, known } = why;
    let Surroundings { environment, observer, interrupts } = surroundings;
    let mut run = perform::draft(repo, request, &prepared, repo.now());
    let records = request.cache_mode() != CacheMode::Readonly;
    run.cache =
        if request.cache_mode() == CacheMode::Off { Cache::Off } else { Cache::Miss { reasons: reasons.clone() } };

    let op = repo.new_op();
    let live = super::live_folder(repo);
    let intent = intent(repo, request, &prepared, &run, op.to_bytes());
    let running = match session.batch() {
        Some(batch) => batch.begin_run(intent)?,
        None => live.begin(intent)?,
    };
    let mut warnings: Vec<String> = prepared.warnings().collect();
    let hooks = Hooks::of(session, environment);
    let explain = |prepared: &Prepared| reasons.is_empty().then(|| look::explain(session, &snapshot, prepared));
    // A hook is told everything that is known before, and a command may change what has to be looked at; else there is time while it runs.
    let is_early = hooks.is_some() || inputs::Objects::look_at_files(&prepared);
    let mut explained = is_early.then(|| explain(&prepared));
    if let Some(Some(Ok((why, _)))) = &explained {
        run.cache = Cache::Miss { reasons: why.clone() };
    }
    let has_body = part.as_ref().is_some_and(|part| part.has_body());
    let mut before = || match &hooks {
        Some(hooks) => hooks.call(session, Moment::Start, &run, None, &mut *observer, interrupts),
        None => Ok(None),
    };
    let ready = prepare_place(
        session,
        &snapshot,
        request,
        has_body,
        &mut prepared,
        &running,
        environment,
        interrupts,
        &mut before,
    );
    let (intake, stored, command, displaced, told) = match ready {
        Ok(ready) => ready,
        Err(err) => {
            let _ = running.end();
            return Err(err);
        }
    };
    warnings.extend(told);
    let is_stored = |key: &str| stored.get(key).copied().unwrap_or(false);
    let mut ignored = None;
    run.started_at = repo.now();
    let mut told = None;
    let (beside, draft) = (std::cell::OnceCell::new(), std::cell::OnceCell::new());
    let (mut inputs, mut git) = (None, None);
    if let Some(part) = &mut part {
        part.starting(&run.run);
    }
    // A part has a guard, who ends what runs if this process is killed, and has many like it: of one that ends at once nothing is written
    // down before its end, unless somebody listens.
    let is_quiet = part.is_some() && session.batch().is_some() && !observer.hears_events();
    let quiet = if is_quiet { QUIET } else { Duration::ZERO };
    let mut body: Option<Ended> = None;
    let outcome = match command {
        Ok(Some(mut command)) => {
            command.set_env.insert("PROV_RUN_ID".into(), run.run.clone().into());
            let clock = &*repo.world().clock;
            let mut reporter = Reporter::new(repo.fs(), clock, &mut *observer, &run, &draft, running.dir());
            let context = execute::Context {
                fs: repo.fs(),
                clock,
                spool_dir: running.dir(),
                interrupts,
                observer: &mut reporter,
                started: &mut |pid| {
                    if let Some(part) = &mut part {
                        part.started(&run.run, pid);
                    }
                },
                lasts: Some(execute::Lasts {
                    after: quiet,
                    tell: &mut |pid| {
                        let _ = running.note_child(pid);
                        // While the command runs there is time for what it need not wait for, and for what only matters if prov is killed.
                        let found = perform::record_inputs(session, &snapshot, &prepared, &is_stored);
                        let mut known = run.clone();
                        known.inputs = found.as_ref().map(Clone::clone).unwrap_or_default();
                        inputs = Some(found);
                        if let Some(Ok((why, _))) = explained.get_or_insert_with(|| explain(&prepared)) {
                            known.cache = Cache::Miss { reasons: why.clone() };
                        }
                        let beside: &Pending = beside.get_or_init(|| publish::beside_of(&prepared));
                        // Not being able to write it costs something only then.
                        let _ = publish::note_draft(&running, draft.get_or_init(|| known), beside);
                        git = Some(ending::Looking::begin(session));
                    },
                }),
            };
            let outcome = execute::execute(context, &command);
            if let Ok(outcome) = &outcome {
                reporter.ended(outcome);
            }
            told = reporter.told();
            outcome.map(Some)
        }
        Ok(None) => {
            let clock = &*repo.world().clock;
            let mut reported = run.clone();
            if let Some(Ok((why, _))) = explained.get_or_insert_with(|| explain(&prepared)) {
                reported.cache = Cache::Miss { reasons: why.clone() };
            }
            let reported = draft.get_or_init(|| reported);
            let mut reporter = Reporter::new(repo.fs(), clock, &mut *observer, &run, &draft, running.dir());
            let folder = running.dir().join("task");
            repo.fs().make_dirs(&folder).map_err(|source| Error::io("create", &folder, source))?;
            let started = |pid| {
                let _ = running.note_child(pid);
            };
            let _ = publish::note_draft(&running, reported, beside.get_or_init(|| publish::beside_of(&prepared)));
            reporter.begin_without_child();
            let worktree = session.worktree();
            let places = prepared.inputs.iter().map(|(key, input)| (key.clone(), worktree.path(&input.place)));
            let places: BTreeMap<String, PathBuf> = places.collect();
            let at =
                At { run: &reported.run, folder: &folder, inputs: &places, observer: &mut reporter, started: &started };
            let ended = part.as_deref_mut().map(|part| part.perform(at));
            if let Some(outcome) = ended.as_ref().and_then(|ended| ended.outcome.as_deref()) {
                reporter.ended(outcome);
            }
            told = reporter.told();
            body = ended;
            Ok(None)
        }
        Err(err) => Err(err),
    };
    run.finished_at = repo.now();
    run.git = git.unwrap_or_else(|| ending::Looking::begin(session)).end();
    let mut nearest = None;
    match explained.unwrap_or_else(|| explain(&prepared)) {
        None => {}
        Some(Ok(found)) => {
            (reasons, nearest) = found;
            run.cache = Cache::Miss { reasons: reasons.clone() };
        }
        Some(Err(err)) => {
            warnings.push(format!("what differs from earlier runs can't be told: {}", super::chain(&err)));
        }
    }

    let mut exit_code = match &outcome {
        Ok(Some(outcome)) => {
            run.started_at = outcome.started_at;
            run.finished_at = outcome.finished_at;
            ending::end_of(&mut run, outcome, request);
            outcome.exit_code()
        }
        Ok(None) => ending::end_of_body(&mut run, body.as_ref()),
        Err(err) if err.is_of_command() => {
            run.status = Status::Failure;
            run.failed_in = Some(Phase::Run);
            run.exit_code = Some(i32::from(err.exit_code()));
            run.error = Some(RunError { kind: "spawn".to_owned(), message: err.to_string(), run: None });
            err.exit_code()
        }
        Err(_) => 0,
    };
    let outcome = match outcome {
        Err(err) if !err.is_of_command() => {
            let _ = running.end();
            return Err(err.into());
        }
        outcome => outcome,
    };

    let mut taken = Taken::default();
    if run.status == Status::Success {
        match take::outputs_of(session, request, &prepared, &prepared.seen, &running, &intake, &mut run, &mut warnings)
        {
            Ok(all) => {
                taken = all;
                ignored = take::judge(session, request, &prepared, &taken, &mut run, &mut exit_code, &mut warnings);
                let made = taken.made.iter().filter_map(|path| RelPath::new(path.clone()));
                prepared.declared.add_made(made.collect::<Vec<_>>());
                ending::say(session, request, &prepared, &running, &mut run, &mut warnings);
            }
            Err(Error::Worktree(worktree::Error::Cancelled)) => {
                take::fail(&mut run, "interrupted", "interrupted while its outputs were recorded".to_owned());
                run.status = Status::Aborted;
                exit_code = interrupts.and_then(Interrupts::ending).map_or(1, super::exit::signalled);
            }
            Err(err) => {
                take::fail(&mut run, "output", super::chain(&err));
                exit_code = 1;
            }
        }
    }
    if run.status == Status::Success
        && let Some(part) = &mut part
        && let Err(error) = part.check(&mut run)
    {
        run.status = Status::Failure;
        run.failed_in = Some(Phase::Validation);
        run.error = Some(error);
        exit_code = 1;
    }
    if let Some(ended) = &body {
        ending::keep_text(&ended.log, &intake, &mut run, &mut warnings);
    }
    let of_body = body.as_ref().and_then(|ended| ended.outcome.as_deref());
    if let Some(outcome) = outcome.as_ref().ok().and_then(Option::as_ref).or(of_body) {
        ending::keep_logs(repo, outcome, &intake, &mut run, &mut warnings);
        if outcome.leftovers == execute::Leftovers::Survived {
            run.unsealed.push("processes that the command left behind could not be ended".to_owned());
        }
    }
    for path in seal::undeclared(&prepared) {
        warnings.push(format!(
            "the command names {path}, which is neither an input nor code: a change of it would go unnoticed; declare it with -i {path}"
        ));
    }
    run.inputs = match inputs {
        Some(found) => found?,
        None => perform::record_inputs(session, &snapshot, &prepared, &is_stored)?,
    };
    run.children = running.children();
    let secrets = Secrets::known(&request.secret_env, environment);
    logged::apply(session, &snapshot, &running.notes(), &mut run, &intake, &secrets, &mut warnings)?;
    seal::seal(session, &snapshot, request, &prepared, environment, &taken.fence, &mut run);
    if run.status == Status::Success && !run.sealed {
        let told: Vec<&str> =
            run.unsealed.iter().filter(|text| Some(*text) != ignored.as_ref()).map(String::as_str).collect();
        if !told.is_empty() {
            warnings.push(format!("this run will never be a hit: {}", told.join("; ")));
        }
    }

    // What can't be compared must not keep the run from being recorded.
    let others = if run.status == Status::Success && run.sealed {
        memory::other_outcomes(&snapshot, &prepared.recipe(), &run.outputs, &run.run).unwrap_or_default()
    } else {
        Vec::new()
    };
    if let Some(other) = others.into_iter().next() {
        if known.is_none() {
            warnings.push(format!(
                "not deterministic: {} of the same recipe made other bytes of {}",
                crate::object::run::tail(&other.run),
                other.keys.join(", ")
            ));
        }
        run.differs = Some(other);
    }

    if let Some(known) = known {
        memory::compare(&mut run, known, &mut warnings);
    }
    if run.outputs.contains_key(managed::KEY)
        && prepared.output(managed::KEY).is_none()
        && let Err(err) = managed::settle_down(session, &snapshot, &prepared.step, &running)
    {
        warnings.push(format!("the folder of the run is in the store alone: {}", super::chain(&err)));
    }
    if let Some(part) = &mut part {
        part.complete(&mut run);
    }
    let closed = ClosedRun::of(&mut run)?;
    let object = closed.object;
    let narrow = narrow_hint(&prepared, request, &reasons, nearest.as_ref());
    let publication = if records {
        publish::record(session, &snapshot, intake, op, &run, &closed, running, &prepared)
    } else {
        let _ = running.end();
        Publication::Unrecorded
    };
    if let Some(hooks) = &hooks {
        let known = matches!(publication, Publication::Done).then_some(object);
        // Everything is on record: a request to stop ends the hook and nothing else.
        match hooks.call(session, Moment::end_of(&run), &run, known, &mut *observer, interrupts) {
            Ok(why) => warnings.extend(why),
            Err(err) => warnings.push(format!("a hook was ended: {}", super::chain(&err))),
        }
    }
    let replay = BTreeMap::new();
    Ok(Performed {
        run,
        told,
        object,
        exit_code,
        actions: taken.actions,
        publication,
        warnings,
        displaced,
        prepared: None,
        replay,
        narrow,
    })
}

pub(super) fn intent(
    repo: &crate::repo::Repo,
    request: &Request,
    prepared: &Prepared,
    run: &Run,
    op: [u8; 16],
) -> live::Intent {
    let (outputs, sets) = super::claims_of(prepared, &|_| true);
    live::Intent {
        run: run.run.clone(),
        project: run.project.clone(),
        scenario: run.scenario.clone(),
        step: run.step.clone(),
        recipe: run.recipe,
        parent: request.parent.clone(),
        started_at: run.started_at,
        // What executes nothing only claims places: a task that is no command is told apart from that by its name.
        argv: if run.argv.is_empty() && request.task.is_some() {
            vec![run.step.as_str().into()]
        } else {
            run.argv.clone()
        },
        cwd: run.cwd.clone(),
        outputs,
        sets,
        op,
        owner: super::live_folder(repo).here().clone(),
        open: None,
    }
}

type Ready =
    (Intake, BTreeMap<String, bool>, Result<Option<Command>, SpawnError>, Vec<clear::KeptSafe>, Option<String>);

/// Claims the outputs, calls `before`, stores what goes in, clears the outputs' places, and makes the command.
#[expect(clippy::too_many_arguments, reason = "everything that stands between a request and its command")]
fn prepare_place(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    has_body: bool,
    prepared: &mut Prepared,
    running: &live::Running,
    environment: &prepare::Environment,
    interrupts: Option<&Interrupts>,
    before: &mut dyn FnMut() -> Result<Option<String>, Error>,
) -> Result<Ready, Error> {
    let repo = session.repo;
    if !prepared.outputs().is_empty() {
        super::claim_outputs(running, request.wait, interrupts)?;
        // One that ended just before the claim was not waited for, but may have made just this result.
        if request.wait && look::is_hit_by_now(session, snapshot, request, prepared)? {
            return Err(Error::Waited);
        }
    }
    let told = before()?;
    let intake = repo.store().intake(snapshot);
    inputs::fetch(session, snapshot, prepared)?;
    let stored = prepare::store_inputs(session, prepared, request, &intake)?;
    // The program is looked for before anything is removed: a command that can't be started changes nothing.
    let mut command =
        if has_body { None } else { Some(given::command(session, snapshot, request, prepared, running, environment)?) };
    let startable = match &mut command {
        Some(command) => {
            command.program_again(prepared.program.as_deref()).map(|program| command.found = Some(program))
        }
        None => Ok(()),
    };
    let written: Vec<&str> =
        prepared.outputs().keys().map(String::as_str).filter(|key| !request.in_place.contains(*key)).collect();
    overlap::check_real_overlaps(session, prepared, &written)?;
    let displaced = match startable {
        Ok(()) => clear::clear(session, snapshot, &clear::spots(session, snapshot, prepared, &written)?)?,
        Err(_) => Vec::new(),
    };
    outputs::see_captures(session, prepared)?;
    if let Some(change) = prepared.before.check(&session.worktree()).into_iter().next() {
        return Err(if request.wait { Error::Waited } else { Error::ChangedBefore { path: change.path } });
    }
    Ok((intake, stored, startable.map(|()| command), displaced, told))
}

/// The line that would have kept this miss from happening, when only a wide code part caused it.
fn narrow_hint(
    prepared: &Prepared,
    request: &Request,
    reasons: &[Reason],
    nearest: Option<&Nearest>,
) -> Option<Narrowing> {
    nearest?;
    prepared.code.narrow(&prepared.step, request, reasons)
}

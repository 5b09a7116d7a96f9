//! A miss: clear the way, execute, take what came out, record.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;

use super::code_part::{self, CodePart};
use super::config_part::ConfigPart;
use super::execute::{self, Command, Stdin};
use super::exit::Exit;
use super::hooks::{Hooks, Moment};
use super::interrupts::Interrupts;
use super::lookup::Hit;
use super::nearest::Nearest;
use super::observer::Stream;
use super::part::{At, Ended, Part};
use super::perform::{self, Performed, Surroundings};
use super::prepare::{self, Prepared};
use super::program::SpawnError;
use super::publish::{self, Pending, Publication};
use super::report::Reporter;
use super::request::{CacheMode, Request};
use super::secrets::Secrets;
use super::session::Session;
use super::take::{self, Taken};
use super::{Error, clear, inputs, live, logged, managed, memory, outputs, versions};
use crate::code::{Narrowing, git};
use crate::codec::Value;
use crate::hash::Id;
use crate::object::run::{Cache, Git, Log, Output, Phase, Reason, Run, RunError, Status};
use crate::object::{Kind, Record, Sink, id_of};
use crate::path::{Place, RelPath, show, shown};
use crate::recipe::{self, Role};
use crate::store::{Intake, Snapshot};
use crate::worktree::{self, Fence};

/// Why something is executed.
pub(super) struct Why<'a> {
    /// The reasons.
    pub(super) reasons: Vec<Reason>,
    /// The least different recipe.
    pub(super) nearest: Option<Nearest>,
    /// The result that is known all the same, to be compared with.
    pub(super) known: Option<&'a Hit>,
}

/// Compares what came out with what is known to come out, and puts it into the record: a program that gives other bytes for the same
/// recipe isn't deterministic, or something that counts isn't declared.
fn compare(run: &mut Run, known: &Hit, warnings: &mut Vec<String>) {
    if run.status != Status::Success {
        return;
    }
    let same = |key: &String| match (run.outputs.get(key), known.run.outputs.get(key)) {
        (Some(a), Some(b)) => a.content == b.content && a.exec == b.exec,
        (a, b) => a.is_none() && b.is_none(),
    };
    let keys: std::collections::BTreeSet<&String> = run.outputs.keys().chain(known.run.outputs.keys()).collect();
    let differs: Vec<String> = keys.into_iter().filter(|key| !same(key)).cloned().collect();
    if !differs.is_empty() {
        warnings.push(format!(
            "not deterministic: {} differ{} from what {} made of the same recipe",
            differs.join(", "),
            if differs.len() == 1 { "s" } else { "" },
            crate::object::run::tail(&known.run.run)
        ));
    }
    let compared = Value::Map(vec![
        ("run".to_owned(), Value::Text(known.run.run.clone())),
        ("differs".to_owned(), Value::List(differs.into_iter().map(Value::Text).collect())),
    ]);
    run.meta.insert("compared".to_owned(), compared);
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
    let Why { reasons, nearest, known } = why;
    let Surroundings { environment, observer, interrupts } = surroundings;
    let mut run = perform::draft(repo, request, &prepared, repo.now());
    let records = request.cache_mode() != CacheMode::Readonly;
    run.cache =
        if request.cache_mode() == CacheMode::Off { Cache::Off } else { Cache::Miss { reasons: reasons.clone() } };

    let op = repo.new_op();
    let live = super::live_folder(repo);
    let running = live.begin(intent(repo, request, &prepared, &run, op.to_bytes()))?;
    let mut warnings: Vec<String> = prepared.warnings().collect();
    let hooks = Hooks::of(session, environment);
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
    // The state of Git is asked for while the command runs: looking at every tracked file takes its time.
    let git = Looking::begin(session);

    warnings.extend(told);
    let mut ignored = None;
    run.started_at = repo.now();
    let mut told = None;
    let beside = std::cell::OnceCell::new();
    let mut inputs = None;
    let mut body: Option<Ended> = None;
    let outcome = match command {
        Ok(Some(mut command)) => {
            command.set_env.insert("PROV_RUN_ID".into(), run.run.clone().into());
            let clock = &*repo.world().clock;
            let mut reporter = Reporter::new(repo.fs(), clock, &mut *observer, &run, running.dir());
            let context = execute::Context {
                fs: repo.fs(),
                clock,
                spool_dir: running.dir(),
                interrupts,
                observer: &mut reporter,
                started: &mut |pid| {
                    let _ = running.note_child(pid);
                    // While the command runs there is time for what only matters if prov is killed.
                    let found = perform::record_inputs(session, &snapshot, request, &prepared, &stored);
                    let mut draft = run.clone();
                    draft.inputs = found.as_ref().map(Clone::clone).unwrap_or_default();
                    inputs = Some(found);
                    let beside: &Pending = beside.get_or_init(|| beside_of(&prepared));
                    // Not being able to write it costs something only then.
                    let _ = note_draft(&running, &draft, beside);
                    if let Some(part) = &mut part {
                        part.started(pid);
                    }
                },
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
            let reported = run.clone();
            let mut reporter = Reporter::new(repo.fs(), clock, &mut *observer, &reported, running.dir());
            let folder = running.dir().join("task");
            repo.fs().make_dirs(&folder).map_err(|source| Error::io("create", &folder, source))?;
            let noted = std::cell::Cell::new(false);
            let mut started = |pid| {
                let _ = running.note_child(pid);
                noted.set(true);
            };
            let _ = note_draft(&running, &run, beside.get_or_init(|| beside_of(&prepared)));
            reporter.begin_without_child();
            let at = At { run: &reported.run, folder: &folder, observer: &mut reporter, started: &mut started };
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
    run.git = git.end();

    let mut exit_code = match &outcome {
        Ok(Some(outcome)) => {
            run.started_at = outcome.started_at;
            run.finished_at = outcome.finished_at;
            end_of(&mut run, outcome, request);
            outcome.exit_code()
        }
        Ok(None) => end_of_body(&mut run, body.as_ref()),
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
                say(session, request, &prepared, &running, &mut run, &mut warnings);
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
        keep_text(&ended.log, &intake, &mut run, &mut warnings);
    }
    let of_body = body.as_ref().and_then(|ended| ended.outcome.as_deref());
    if let Some(outcome) = outcome.as_ref().ok().and_then(Option::as_ref).or(of_body) {
        keep_logs(repo, outcome, &intake, &mut run, &mut warnings);
        if outcome.leftovers == execute::Leftovers::Survived {
            run.unsealed.push("processes that the command left behind could not be ended".to_owned());
        }
    }
    for path in undeclared(&prepared) {
        warnings.push(format!(
            "the command names {path}, which is neither an input nor code: a change of it would go unnoticed; declare it with -i {path}"
        ));
    }
    run.inputs = match inputs {
        Some(found) => found?,
        None => perform::record_inputs(session, &snapshot, request, &prepared, &stored)?,
    };
    run.children = running.children();
    let secrets = Secrets::known(&request.secret_env, environment);
    logged::apply(session, &snapshot, &running.notes(), &mut run, &intake, &secrets, &mut warnings)?;
    seal(session, &snapshot, request, &prepared, environment, &taken.fence, &mut run);
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
        compare(&mut run, known, &mut warnings);
    }
    if run.outputs.contains_key(managed::KEY)
        && prepared.output(managed::KEY).is_none()
        && let Err(err) = managed::settle_down(session, &prepared.step, &running)
    {
        warnings.push(format!("the folder of the run is in the store alone: {}", super::chain(&err)));
    }
    if let Some(part) = &mut part {
        part.complete(&mut run);
    }
    let bytes = run.encode().map_err(|source| Error::Record { run: run.run.clone(), source })?;
    let object = id_of(&Kind::RUN, &bytes);
    let narrow = narrow_hint(&prepared, request, &reasons, nearest.as_ref());
    let publication = if records {
        record(session, &snapshot, intake, op, &run, object, &bytes, running, &prepared)
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
        if request.wait && perform::is_hit_by_now(session, snapshot, request, prepared)? {
            return Err(Error::Waited);
        }
    }
    let told = before()?;
    let intake = repo.store().intake(snapshot);
    inputs::fetch(session, snapshot, prepared)?;
    let stored = prepare::store_inputs(session, prepared, request, &intake)?;
    // The program is looked for before anything is removed: a command that can't be started changes nothing.
    let command = match has_body {
        true => None,
        false => Some(command(session, snapshot, request, prepared, running, environment)?),
    };
    let startable = command.as_ref().map_or(Ok(()), |command| command.program().map(drop));
    let written: Vec<&str> =
        prepared.outputs().keys().map(String::as_str).filter(|key| !request.in_place.contains(*key)).collect();
    prepare::check_real_overlaps(session, prepared, &written)?;
    let displaced = match startable {
        Ok(()) => clear::clear(session, &spots(session, snapshot, prepared, &written)?)?,
        Err(_) => Vec::new(),
    };
    see_captures(session, prepared)?;
    if let Some(change) = prepared.before.check(&session.worktree()).into_iter().next() {
        return Err(if request.wait { Error::Waited } else { Error::ChangedBefore { path: change.path } });
    }
    Ok((intake, stored, startable.map(|()| command), displaced, told))
}

/// Looks at what captures could take, before anything runs.
pub(super) fn see_captures(session: &Session<'_>, prepared: &mut Prepared) -> Result<(), Error> {
    for (key, members) in prepared.declared.sets().iter().filter(|(_, members)| members.is_changed_only()) {
        if let Some(place) = prepared.output(key) {
            prepared.seen.insert(key.clone(), outputs::see(session, place, members)?);
        }
    }
    Ok(())
}

/// What has to make way for outputs. Of what is captured these are the outputs of this step's own earlier runs.
pub(super) fn spots(
    session: &Session<'_>,
    snapshot: &Snapshot,
    prepared: &Prepared,
    keys: &[&str],
) -> Result<Vec<clear::Spot>, Error> {
    let worktree = session.worktree();
    let mut spots = Vec::new();
    for key in keys {
        let Some(place) = prepared.output(key) else { continue };
        let files = match prepared.declared.set(key) {
            None => None,
            Some(members) if members.is_changed_only() => {
                let old = outputs::own_old(session, snapshot, &prepared.step, place, members)?;
                Some(outputs::exactly(old.iter().map(|name| -> &bstr::BStr { name.as_ref() })))
            }
            Some(members) => Some(outputs::options(Some(members))),
        };
        spots.push(clear::Spot { path: worktree.path(place), files });
    }
    Ok(spots)
}

/// Where the config of a run lies for its program.
pub(super) struct Given {
    /// The file or folder that it is given.
    config: Option<PathBuf>,
    /// The values alone, when a folder is given.
    values: Option<PathBuf>,
}

/// Writes the config for the program of a run.
pub(super) fn lay_config(
    session: &Session<'_>,
    snapshot: &Snapshot,
    prepared: &Prepared,
    running: &live::Running,
) -> Result<Given, Error> {
    let has_values = !matches!(&prepared.config, Value::Map(entries) if entries.is_empty());
    let file = running.dir().join("config.json");
    if has_values {
        let text = crate::config::to_json(&prepared.config);
        let written = session.repo.fs().replace(&file, text.as_bytes(), false);
        written.map_err(|source| Error::io("write", &file, source))?;
    }
    let values = has_values.then_some(file);
    let Some(part) = &prepared.config_folder else { return Ok(Given { config: values, values: None }) };
    let folder = running.dir().join("config");
    part.lay_out(session, snapshot, &folder)?;
    Ok(Given { config: Some(folder), values })
}

/// What a program of the run finds in its environment.
pub(super) fn told_environment(
    session: &Session<'_>,
    request: &Request,
    prepared: &Prepared,
    running: &live::Running,
    given: &Given,
) -> Result<BTreeMap<OsString, OsString>, Error> {
    let mut environment: BTreeMap<OsString, OsString> = BTreeMap::new();
    let managed = managed::make(session, prepared, running)?;
    let mut set = |name: String, value: PathBuf| environment.insert(name.into(), value.into_os_string());
    for (name, path) in [("PROV_CONFIG", &given.config), ("PROV_CONFIG_VALUES", &given.values)] {
        if let Some(path) = path {
            set(name.to_owned(), path.clone());
        }
    }
    if let Some(folder) = managed {
        set("PROV_OUTPUT_DIR".to_owned(), folder);
    }
    let seen = |place: &Place| match place {
        Place::Inside(path) => crate::path::from_bytes(&recipe::from_here(path, &prepared.declared)),
        Place::Outside(path) => path.clone(),
    };
    for (role, prefix) in [(Role::Input, "PROV_INPUT_"), (Role::Output, "PROV_OUTPUT_")] {
        for (key, place) in prepared.declared.places(role) {
            set(format!("{prefix}{}", recipe::variable_name(key)), seen(place));
        }
    }
    for (key, value) in &request.runtime {
        let name = format!("PROV_RUNTIME_{}", recipe::variable_name(key));
        environment.insert(name.into(), value.into());
    }
    let lifecycle = &request.lifecycle;
    if let Some(correlation) = &lifecycle.correlation_id {
        environment.insert("PROV_CORRELATION_ID".into(), correlation.clone().into());
        environment.insert("PROV_ATTEMPT".into(), lifecycle.attempt_number().to_string().into());
        let last = if lifecycle.last_attempt { "1" } else { "0" };
        environment.insert("PROV_LAST_ATTEMPT".into(), last.into());
    }
    for (name, value) in &request.env {
        if let Some(value) = value {
            environment.insert(name.into(), OsString::from_vec(value.to_vec()));
        }
    }
    Ok(environment)
}

fn command(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    running: &live::Running,
    environment: &prepare::Environment,
) -> Result<Command, Error> {
    let worktree = session.worktree();
    let given = lay_config(session, snapshot, prepared, running)?;
    let words = match &prepared.config_folder {
        // A layer that holds just what it should is read where it lies, with everything that lies around it.
        Some(part) if !part.is_as_it_lies() => part.words(&request.argv, &prepared.declared, b"{config}"),
        _ => request.argv.clone(),
    };
    let expansion = recipe::Expansion {
        declared: &prepared.declared,
        config_file: given.config.as_deref(),
        config: &prepared.config,
        runtime: &request.runtime,
        dims: &request.dims,
    };
    let argv = recipe::expand(&words, &expansion)?;
    let mut command = Command::new(argv, prepared.cwd.clone());
    command.search_path = environment.get(std::ffi::OsStr::new("PATH")).cloned();
    command.timeout = request.timeout_ms.map(Duration::from_millis);
    if let Some((place, _)) = &prepared.stdin {
        command.stdin = Stdin::File(worktree.path(place));
    }
    command.set_env = told_environment(session, request, prepared, running, &given)?;
    command.secrets = Secrets::needed(&request.secret_env, environment)?;
    Ok(command)
}

/// What the end of the child says about the run.
fn end_of(run: &mut Run, outcome: &execute::Outcome, request: &Request) {
    run.resources = Some(outcome.resources.clone());
    match outcome.exit {
        Exit::Code(code) => run.exit_code = Some(code),
        Exit::Signal(signal) => run.signal = Some(signal),
    }
    let error = |kind: &str, message: String| Some(RunError { kind: kind.to_owned(), message, run: None });
    if outcome.is_success() {
        run.status = Status::Success;
        return;
    }
    run.failed_in = Some(Phase::Run);
    run.status = if outcome.was_ended() { Status::Aborted } else { Status::Failure };
    run.error = if outcome.timed_out {
        error("timeout", format!("ended after {} ms", request.timeout_ms.unwrap_or(0)))
    } else if let Some(signal) = outcome.interrupted_by {
        error("interrupted", format!("interrupted by signal {signal}"))
    } else if outcome.wanted_terminal {
        error("terminal", "it wanted to read from the terminal, which a recorded run does not have".to_owned())
    } else {
        match outcome.exit {
            Exit::Code(code) => error("exit", format!("ended with code {code}")),
            Exit::Signal(signal) => error("signal", format!("ended by signal {signal}")),
        }
    };
}

/// Writes down what is said of the outputs, and read from them where they lie.
pub(super) fn say(
    session: &Session<'_>,
    request: &Request,
    prepared: &Prepared,
    running: &live::Running,
    run: &mut Run,
    warnings: &mut Vec<String>,
) {
    let managed = managed::recorded_path(session.repo, &prepared.step);
    let read = |output: &Output| {
        let path = if output.path == managed {
            managed::folder(running)
        } else {
            session.repo.root().join(crate::path::from_bytes(&output.path))
        };
        session.repo.fs().read(&path).ok().flatten()
    };
    warnings.extend(super::annotate::say(run, request, &prepared.config, &read));
}

fn keep_logs(
    repo: &crate::repo::Repo,
    outcome: &execute::Outcome,
    intake: &Intake,
    run: &mut Run,
    warnings: &mut Vec<String>,
) {
    for stream in Stream::ALL {
        let captured = outcome.captured(stream);
        if let Some(err) = &captured.spool_error {
            warnings.push(format!("{stream} is not kept in full: {err}"));
        }
        if captured.spooled.is_empty() {
            continue;
        }
        let stored = (|| -> Result<Log, Error> {
            let io = |source| Error::io("read", std::path::Path::new(stream.name()), source);
            let (id, size) =
                crate::hash::blob_from(&mut captured.spooled.reader(repo.fs()).map_err(io)?).map_err(io)?;
            intake.put_blob(&id, size, &mut captured.spooled.reader(repo.fs()).map_err(io)?)?;
            Ok(Log { id, size, cut: captured.spooled.is_cut() })
        })();
        match stored {
            Ok(log) => drop(run.logs.insert(stream.name().to_owned(), log)),
            Err(err) => warnings.push(format!("{stream} is not kept: {}", super::chain(&err))),
        }
    }
}

/// Keeps the log that the work of a part wrote.
fn keep_text(text: &[u8], intake: &Intake, run: &mut Run, warnings: &mut Vec<String>) {
    if text.is_empty() {
        return;
    }
    let id = crate::hash::blob(text);
    match intake.put(&Kind::BLOB, &id, text) {
        Ok(()) => {
            let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
            run.logs.insert("log".to_owned(), Log { id, size, cut: false });
        }
        Err(err) => warnings.push(format!("its log is not kept: {}", super::chain(&err))),
    }
}

/// What the end of a part's work says about the run; its exit code for whoever asked.
fn end_of_body(run: &mut Run, ended: Option<&Ended>) -> u8 {
    let Some(ended) = ended else {
        take::fail(run, "no_body", "nothing here does such work".to_owned());
        return 1;
    };
    if let Some(outcome) = &ended.outcome {
        run.resources = Some(outcome.resources.clone());
        match outcome.exit {
            Exit::Code(code) => run.exit_code = Some(code),
            Exit::Signal(signal) => run.signal = Some(signal),
        }
    }
    run.status = ended.status;
    run.error.clone_from(&ended.error);
    if ended.status != Status::Success {
        run.failed_in = Some(Phase::Run);
    }
    u8::from(ended.status != Status::Success)
}

/// The state of Git, being looked at.
enum Looking {
    /// By a thread.
    Under(Option<std::thread::JoinHandle<Option<Git>>>),
    /// It was looked at before: once for all runs of a batch.
    Known(Option<Git>),
}

impl Looking {
    fn begin(session: &Session<'_>) -> Self {
        if session.batch().is_some() {
            return Self::Known(session.git_head());
        }
        let (fs, root) = (session.repo.fs().clone(), session.repo.root().to_owned());
        Self::Under(std::thread::Builder::new().name("git".to_owned()).spawn(move || git_state(&fs, &root)).ok())
    }

    fn end(self) -> Option<Git> {
        match self {
            Self::Known(git) => git,
            Self::Under(thread) => thread.and_then(|thread| thread.join().ok()).flatten(),
        }
    }
}

/// Files that the command names and that are not in the recipe.
fn undeclared(prepared: &Prepared) -> Vec<String> {
    let counted = |path: &crate::path::RelPath| {
        let files = &prepared.code.tree.files;
        files.binary_search_by(|(other, ..)| other.cmp(path)).is_ok()
    };
    let named = prepared.code.named.iter().filter(|path| prepared.needs_files && !counted(path));
    named.take(3).map(|path| command_line(&[path.as_bytes().to_owned()])).collect()
}

/// Looks whether inputs, code and outputs held still.
fn seal(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    environment: &prepare::Environment,
    outputs: &Fence,
    run: &mut Run,
) {
    let worktree = session.worktree();
    let root = session.repo.root();
    let name = |path: &std::path::Path| show(path.strip_prefix(root).unwrap_or(path));
    for (what, fence) in [("input", &prepared.fence), ("output", outputs)] {
        for change in fence.check(&worktree) {
            run.unsealed.push(format!("{what} {} {} while it ran", name(&change.path), change_word(change.kind)));
        }
    }
    run.unsealed.extend(inputs::changed_globs(session, prepared));
    match select_again(session, snapshot, request, prepared, environment) {
        Ok(after) => {
            let list = |paths: &[crate::path::RelPath]| {
                paths.iter().take(3).map(|path| shown(path.as_bytes())).collect::<Vec<_>>().join(", ")
            };
            let changed = prepared.code.differences(&after);
            // The same bytes again, written meanwhile: the command may have seen others in between.
            let rewritten = prepared.code.rewritten(&after);
            if !changed.is_empty() || after.tree.root != prepared.code.tree.root {
                run.unsealed.push(format!("code {} changed while it ran", list(&changed)));
            } else if !rewritten.is_empty() {
                run.unsealed.push(format!("code {} was written while it ran", list(&rewritten)));
            }
        }
        Err(err) => run.unsealed.push(format!("the code could not be looked at again: {}", super::chain(&err))),
    }
    match versions::ask(session, request, &prepared.cwd, environment) {
        Ok(after) if after == prepared.versions => {}
        Ok(_) => run.unsealed.push("a tool or the container is of another version than before it ran".to_owned()),
        Err(err) => run.unsealed.push(super::chain(&err)),
    }
    run.unsealed.truncate(20);
    run.sealed = run.unsealed.is_empty();
}

fn change_word(kind: worktree::ChangeKind) -> &'static str {
    match kind {
        worktree::ChangeKind::Changed => "changed",
        worktree::ChangeKind::Removed => "was removed",
        worktree::ChangeKind::Added => "appeared",
    }
}

/// Selects the code once more. What another run made meanwhile and recorded as its output is no code: if something differs, the newest
/// state of the store is asked.
fn select_again(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    environment: &prepare::Environment,
) -> Result<CodePart, Error> {
    let files = if prepared.needs_files { session.list_files()? } else { Vec::new() };
    let listing = code_part::Listing { files: &files, is_fresh: true };
    let after = code_part::select(session, snapshot, request, &prepared.declared, environment, listing)?;
    if after.tree.root == prepared.code.tree.root {
        return Ok(after);
    }
    let newest = session.repo.store().snapshot()?;
    code_part::select(session, &newest, request, &prepared.declared, environment, listing)
}

/// What is checked out around `root`, and whether anything tracked differs from it.
pub(super) fn git_state(fs: &crate::fs::Fs, root: &std::path::Path) -> Option<Git> {
    let head = git::head(fs, root)?;
    Some(Git { commit: head.commit, branch: head.branch, dirty: git::is_dirty(fs, root).ok() })
}

/// What is recorded beside a run: its recipe, its config, its code.
pub(super) fn beside_of(prepared: &Prepared) -> Pending {
    let mut objects = vec![(Kind::RECIPE, prepared.built.bytes.clone().into())];
    objects.extend(prepared.built.config.iter().map(|(_, bytes)| (Kind::CONFIG, bytes.clone().into())));
    let folder = prepared.config_folder.iter().flat_map(ConfigPart::objects);
    objects.extend(folder.map(|(kind, bytes)| (kind, bytes.into())));
    objects.extend(prepared.code.tree.objects.iter().map(|(_, bytes)| (Kind::TREE, bytes.clone().into())));
    let code = prepared.code.tree.files.iter().map(|(path, id, _)| (path.as_bytes().to_owned(), *id)).collect();
    Pending { run: BString::default(), objects, code }
}

/// Leaves the record, as far as it is known, in the live folder.
pub(super) fn note_draft(running: &live::Running, draft: &Run, beside: &Pending) -> Result<(), Error> {
    let bytes = draft.encode().map_err(|source| Error::Record { run: draft.run.clone(), source })?;
    let pending = Pending { run: bytes.into(), objects: beside.objects.clone(), code: beside.code.clone() };
    let payload = crate::codec::encode(&pending).map_err(|source| Error::Ref { source })?;
    Ok(running.note_draft(&payload)?)
}

/// Puts the record into the store in one transaction; if that can't be done now, leaves it in the live folder.
#[expect(clippy::too_many_arguments, reason = "the last step of one long line")]
fn record(
    session: &Session<'_>,
    snapshot: &Snapshot,
    intake: Intake,
    op: crate::store::OpId,
    run: &Run,
    object: Id,
    bytes: &[u8],
    running: live::Running,
    prepared: &Prepared,
) -> Publication {
    let repo = session.repo;
    let beside = |intake: &Intake| -> Result<(), Error> {
        intake.put(&Kind::RECIPE, &prepared.built.id, &prepared.built.bytes)?;
        if let Some((id, bytes)) = &prepared.built.config {
            intake.put(&Kind::CONFIG, id, bytes)?;
        }
        Ok(())
    };
    let pending = || Pending { run: bytes.to_vec().into(), ..beside_of(prepared) };
    if let Some(batch) = session.batch() {
        return match beside(&intake) {
            Ok(()) => batch.add(run, object, bytes, intake, Some(running), pending()),
            Err(err) => publish::leave(&pending(), running, err),
        };
    }
    let published = (|| {
        beside(&intake)?;
        intake.put(&Kind::RUN, &object, bytes)?;
        let collected = Arc::new(intake.finish()?);
        publish::with(repo, snapshot, op, "run", run, object, &collected)
    })();
    match published {
        Ok(()) => {
            let _ = running.end();
            Publication::Done
        }
        Err(err) => publish::leave(&pending(), running, err),
    }
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

/// A command's words for people.
pub fn command_line(argv: &[BString]) -> String {
    let quote = |word: &BString| {
        let text = shown(word);
        let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./=:,+@%{}".contains(c));
        if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}

//! `prov pipeline run`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;
use prov::object::run::{Run, RunError};
use prov::pipeline::execute::{self, Around, Looked, Order, Ran, Selection};
use prov::pipeline::perform::{Registry, World};
use prov::pipeline::plan::{Plan, TaskId};
use prov::pipeline::rollup::Outcome;
use prov::pipeline::state::{End, State};
use prov::progress::{Cancel, Silent};
use prov::repo::Repo;
use prov::run::guard::Guard;
use prov::run::interrupts::Interrupts;
use prov::run::lifecycle::Lifecycle;
use prov::run::{Request, Session};
use serde_json::{Value, json};

use super::{Seen, keep, live};
use crate::args::{PipelineRunArgs, PipelineSelection};
use crate::commands::{Context, elsewhere};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::{milliseconds, shown};
use crate::output::{human, json};
use crate::settings;

/// Failed tasks that are listed at the end.
const LISTED: usize = 20;

/// Tasks that are named with each of them, because they could not be started.
const NAMED: usize = 5;

/// Runs a pipeline.
pub(super) fn run(cx: &Context, args: &PipelineRunArgs) -> Result<Exit, Failure> {
    // Before anything else, so that no signal is lost between a look and a start.
    let interrupts = Interrupts::from_requests()
        .map_err(|err| Failure::new(Class::Failed, "no_signals", "can not listen to signals").because_of(Some(&err)))?;
    if args.dry_run {
        let seen = Seen::open(cx, &args.options)?;
        seen.sound()?;
        let repo = open::untouched(cx)?;
        let looked = look(cx, &repo, &seen, selection(&args.selection), args.force)?;
        return super::tell_plan(cx, &seen, Some(&looked));
    }
    let (seen, early) = open::while_opening(cx, || Seen::open(cx, &args.options));
    let seen = seen?;
    seen.sound()?;
    let (repo, known) = open::seen_to(cx, early)?;
    let order = order(cx, &repo, &seen, args)?;
    let world = World { search_path: cx.environment.path("PATH").map(Into::into), ..World::local() };
    let registry = Registry::new(world);
    let guard = Guard::new(crate::app::guard_command());
    let Seen { checked, options, file, pipeline } = seen;
    let tell_remote = elsewhere::teller(cx);
    let remotes = elsewhere::remotes(cx, &repo, &Silent, interrupts.cancel(), &tell_remote)?;
    let go = |keeper: Option<keep::Keeper>| {
        let mut watch = live::Watcher::new(cx, args.stream, args.json_lines, keeper);
        let around = Around {
            cwd: cx.cwd.clone(),
            environment: cx.environment.all(),
            registry: &registry,
            interrupts: &interrupts,
            watch: &mut watch,
            guard: &guard,
            elsewhere: remotes.as_ref().map(|remotes| remotes as _),
            known: known.as_ref(),
        };
        execute::run(&repo, checked.plan, &options, &order, around)
    };
    let ran = if args.manifest { keep::Keeper::with(cx, &repo, |keeper| go(Some(keeper))) } else { go(None) }?;
    if args.manifest {
        // The records say it all; what can't be written now can be exported later.
        if let Err(failure) = crate::commands::exchange::keep_manifest(cx, &repo, &ran.run) {
            cx.ui.warn(format_args!("the manifest is not kept: {}", failure.message));
        }
    }
    tell(cx, &ran, &prov::path::show(&file), args.json_lines)?;
    let exit = exit_of(&ran);
    // The process ends now: the system takes all memory at once, where thousands of tasks would be given back piece by piece.
    std::mem::forget((ran, pipeline));
    Ok(exit)
}

fn exit_of(ran: &Ran) -> Exit {
    match (ran.signal, ran.outcome) {
        (_, Outcome::Success) if ran.unrecorded == 0 => Exit::Done,
        (_, Outcome::Success) => Exit::RunFailed,
        (Some(signal), _) => Exit::Child(u8::try_from(signal).map_or(u8::MAX, |signal| 128u8.saturating_add(signal))),
        _ => Exit::No,
    }
}

/// Looks what running a pipeline would do.
pub(super) fn look(
    cx: &Context,
    repo: &Repo,
    seen: &Seen,
    selection: Selection,
    is_forced: bool,
) -> Result<Vec<Looked>, Failure> {
    let order = Order {
        file: seen.file.clone(),
        words: Vec::new(),
        jobs: 1,
        keeps_going: false,
        grace: Duration::ZERO,
        selection,
        is_forced,
        is_frozen: false,
        run_id: None,
        correlation_id: None,
        attempt: 1,
        is_last_attempt: false,
        parent: None,
        bases: bases(cx, repo, &seen.checked.plan)?,
        is_heard: false,
    };
    let registry = Registry::new(World { search_path: cx.environment.path("PATH").map(Into::into), ..World::local() });
    let tell = elsewhere::teller(cx);
    let remotes = elsewhere::remotes(cx, repo, &Silent, Cancel::new(), &tell)?;
    let session = Session::new(repo, cx.cwd.clone()).with_elsewhere(remotes.as_ref().map(|remotes| remotes as _));
    Ok(execute::look(repo, &session, &seen.checked.plan, &order, cx.environment.all(), &registry)?)
}

/// What was selected on the command line.
pub(super) fn selection(given: &PipelineSelection) -> Selection {
    Selection { tasks: given.tasks.clone(), from: given.from.clone(), until: given.until.clone() }
}

fn order(cx: &Context, repo: &Repo, seen: &Seen, args: &PipelineRunArgs) -> Result<Order, Failure> {
    let pool = usize::try_from(seen.options.pool_size.value).unwrap_or(usize::MAX);
    let words = std::env::args_os().map(|word| prov::path::bytes(std::path::Path::new(&word)));
    let parent = cx.environment.text("PROV_RUN_ID").and_then(|id| id.to_str()).map(ToOwned::to_owned);
    Ok(Order {
        file: seen.file.clone(),
        words: words.collect(),
        jobs: args.jobs.unwrap_or(pool).clamp(1, 4096),
        keeps_going: args.keep_going,
        grace: Duration::from_millis(args.grace),
        selection: selection(&args.selection),
        is_forced: args.force,
        is_frozen: args.frozen,
        run_id: args.run_id.clone(),
        correlation_id: args.correlation_id.clone(),
        attempt: args.attempt,
        is_last_attempt: args.last_attempt,
        parent,
        bases: scheduled(cx, &seen.checked.plan, bases(cx, repo, &seen.checked.plan)?),
        is_heard: args.stream || args.json_lines,
    })
}

/// The same, with remarks which job of a scheduler the tasks are part of.
fn scheduled(cx: &Context, plan: &Plan, mut bases: BTreeMap<String, Arc<Request>>) -> BTreeMap<String, Arc<Request>> {
    let mut job = Lifecycle::default();
    settings::scheduler(&cx.environment, &mut job);
    if !job.facets.is_empty() {
        for step in &plan.steps {
            let none = || Arc::new(Request::command(Vec::<BString>::new()));
            let base = Arc::make_mut(bases.entry(step.name.clone()).or_insert_with(none));
            settings::scheduler(&cx.environment, &mut base.lifecycle);
        }
    }
    bases
}

/// What `[steps.NAME]` of `prov.toml` says for all tasks of the step of that name: everything but its command and its files.
pub(super) fn bases(cx: &Context, repo: &Repo, plan: &Plan) -> Result<BTreeMap<String, Arc<Request>>, Failure> {
    let mut bases = BTreeMap::new();
    for step in &plan.steps {
        let Some(found) = repo.settings().step(&step.name) else { continue };
        let exists = |path: &std::path::Path| cx.fs.stat(path).is_ok_and(|found| found.is_some());
        let mut parsed = settings::step_of(&step.name, &found)?;
        parsed.command = vec!["-".into()];
        let seen = settings::Seen { root: repo.root(), cwd: repo.root(), exists: &exists };
        let nothing = crate::args::RunArgs::default();
        let mut request = settings::request(&nothing, Some(&parsed), &cx.settings, seen)?;
        request.inputs.clear();
        request.inputs_optional.clear();
        request.outputs.clear();
        request.output_sets.clear();
        request.in_place.clear();
        request.no_store.clear();
        request.stdin = None;
        request.run_name = None;
        bases.insert(step.name.clone(), Arc::new(request));
    }
    Ok(bases)
}

/// How many tasks ended in each way.
#[derive(Debug, Default)]
struct Counts {
    success: usize,
    hit: usize,
    failure: usize,
    aborted: usize,
    blocked: usize,
    pending: usize,
}

impl Counts {
    fn of(ran: &Ran) -> Self {
        let mut counts = Self::default();
        for state in &ran.states {
            *match state {
                State::Done(End::Success) => &mut counts.success,
                State::Done(End::Hit) => &mut counts.hit,
                State::Done(End::Failure(_)) => &mut counts.failure,
                State::Done(End::Aborted) => &mut counts.aborted,
                State::Done(End::Blocked) => &mut counts.blocked,
                _ => &mut counts.pending,
            } += 1;
        }
        counts
    }
}

fn tell(cx: &Context, ran: &Ran, file: &str, in_a_line: bool) -> Result<(), Failure> {
    let counts = Counts::of(ran);
    if in_a_line {
        return cx.ui.line(Value::Object(document(ran, &counts, file)));
    }
    if cx.ui.is_json() {
        return cx.ui.document(document(ran, &counts, file));
    }
    let plan = &ran.plan;
    let paint = cx.ui.talk_painter();
    let failed: Vec<TaskId> = (0..ran.states.len())
        .map(TaskId)
        .filter(|id| matches!(ran.states[id.0], State::Done(End::Failure(_))) && ran.errors[id.0].is_some())
        .collect();
    let causes = ran.causes();
    for id in failed.iter().take(LISTED) {
        let why = ran.errors[id.0].as_ref().map(|error: &RunError| error.message.clone()).unwrap_or_default();
        cx.ui.say(format_args!("{} {}: {}", paint.bad("failed"), shown(plan.label(*id)), shown(why)));
        if let Some((run, _)) = &ran.runs[id.0] {
            let tail = human::short(prov::object::run::tail(run), 8).to_owned();
            cx.ui.say(format_args!(
                "  {} prov pipeline logs '{}'   (run {tail})",
                paint.dim("see"),
                shown(plan.label(*id))
            ));
        }
        let blocked: Vec<TaskId> = (0..causes.len()).map(TaskId).filter(|other| causes[other.0] == Some(*id)).collect();
        let more = match blocked.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !blocked.is_empty() {
            let named = blocked.iter().take(NAMED).map(|other| format!("'{}'", shown(plan.label(*other))));
            let named = named.collect::<Vec<_>>().join(", ");
            cx.ui.say(format_args!("  {} {named}{more}", paint.dim("blocks")));
        }
    }
    if failed.len() > LISTED {
        cx.ui.say(format_args!("and {} more failed", failed.len() - LISTED));
    }
    let mut parts = Vec::new();
    for (count, word) in [
        (counts.success, "done"),
        (counts.hit, "from the cache"),
        (counts.failure, "failed"),
        (counts.aborted, "aborted"),
        (counts.blocked, "blocked"),
        (counts.pending, "not started"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let took = human::duration(milliseconds(ran.run.duration_us()));
    let word = match ran.outcome {
        Outcome::Success => paint.good("success").to_string(),
        other => paint.bad(other.as_str()).to_string(),
    };
    let tail = human::short(ran.run.tail(), 8);
    let what = if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") };
    cx.ui.say(format_args!("{word}: {what}; {took} {}", paint.id(tail)));
    Ok(())
}

fn document(ran: &Ran, counts: &Counts, file: &str) -> serde_json::Map<String, Value> {
    let mut document = json::document("pipeline-run");
    let run: &Run = &ran.run;
    document.insert("file".to_owned(), json!(file));
    document.insert("run".to_owned(), json!(run.run));
    document.insert("object".to_owned(), json!(ran.object.map(|id| id.to_string())));
    document.insert("result".to_owned(), json!(ran.outcome.as_str()));
    document.insert("signal".to_owned(), json!(ran.signal));
    document.insert("attempt".to_owned(), json!(run.attempt));
    document.insert("correlation_id".to_owned(), json!(run.correlation_id));
    document.insert("started_at".to_owned(), json::time(run.started_at));
    document.insert("finished_at".to_owned(), json::time(run.finished_at));
    document.insert("duration_ms".to_owned(), json!(milliseconds(run.duration_us())));
    document.insert("unrecorded".to_owned(), json!(ran.unrecorded));
    document.insert(
        "counts".to_owned(),
        json!({
            "success": counts.success, "hit": counts.hit, "failure": counts.failure, "aborted": counts.aborted,
            "blocked": counts.blocked, "pending": counts.pending,
        }),
    );
    let plan = &ran.plan;
    let step = |(step, outcome): (&prov::pipeline::plan::PlannedStep, &Outcome)| json!({"name": step.name, "result": outcome.as_str()});
    document.insert("steps".to_owned(), plan.steps.iter().zip(&ran.steps).map(step).collect());
    let causes = ran.causes();
    let task = |task: &prov::pipeline::plan::Task| {
        let (end, phase) = execute::table::end_word(ran.states[task.id.0]);
        let error = ran.errors[task.id.0].as_ref();
        json!({
            "step": plan.steps[task.step].name,
            "name": task.name,
            "type": task.task_type,
            "end": end,
            "phase": phase,
            "run": ran.runs[task.id.0].as_ref().map(|(run, _)| run),
            "object": ran.runs[task.id.0].as_ref().map(|(_, object)| object.to_string()),
            "blocked_by": causes[task.id.0].map(|by| plan.label(by)),
            "error": error.map(|error| json!({"type": error.kind, "message": error.message, "run": error.run})),
        })
    };
    document.insert("tasks".to_owned(), plan.tasks.iter().map(task).collect());
    document
}

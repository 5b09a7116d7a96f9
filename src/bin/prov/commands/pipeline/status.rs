//! `prov pipeline status` and `prov pipeline logs`.

use prov::object::run::{Log, Run, RunKind};
use prov::pipeline::execute::history;
use prov::pipeline::execute::table::{self, Row};
use prov::repo::Repo;
use prov::store::Snapshot;
use serde_json::{Map, Value, json};

use crate::args::{PipelineLogsArgs, PipelineStatusArgs};
use crate::commands::Context;
use crate::commands::elsewhere::answer;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::{milliseconds, shown, word};
use crate::output::{human, json, table as columns};

/// A run of a pipeline with its steps.
struct Found {
    pipeline: Run,
    object: prov::hash::Id,
    steps: Vec<Run>,
}

impl Found {
    /// The named run, or the newest that `wanted` wants.
    fn of(
        cx: &Context,
        repo: &Repo,
        snapshot: &Snapshot,
        run: Option<&str>,
        wanted: &mut dyn FnMut(&Run) -> bool,
    ) -> Result<Self, Failure> {
        let none = || {
            Failure::new(Class::NotFound, "not_found", "no such run of a pipeline is on record")
                .hint("`prov pipeline run` makes one")
        };
        let (mut pipeline, mut object) = match run {
            None => history::newest_pipeline(repo, snapshot, wanted)?.ok_or_else(none)?,
            Some(text) => match prov::revspec::resolve(repo, snapshot, repo.scenario(), &cx.cwd, text)? {
                prov::revspec::Target::Run(at) => (prov::revspec::read_run(snapshot, &at.run, &at.object)?, at.object),
                _ => return Err(none()),
            },
        };
        let steps = match pipeline.kind {
            RunKind::Pipeline => history::steps_of(snapshot, &pipeline),
            RunKind::Step => {
                let step = pipeline.clone();
                if let Some(parent) = &step.parent
                    && let Ok(prov::revspec::Target::Run(at)) =
                        prov::revspec::resolve(repo, snapshot, repo.scenario(), &cx.cwd, parent)
                {
                    (pipeline, object) = (prov::revspec::read_run(snapshot, &at.run, &at.object)?, at.object);
                }
                vec![step]
            }
            _ => {
                return Err(Failure::new(
                    Class::NotFound,
                    "not_found",
                    format!("{} is no run of a pipeline or of a step", pipeline.run),
                )
                .hint("`prov show` shows it"));
            }
        };
        Ok(Self { pipeline, object, steps })
    }
}

/// Tells how a run went.
pub(super) fn status(cx: &Context, args: &PipelineStatusArgs) -> Result<Exit, Failure> {
    let repo = open::to_look(cx)?;
    let snapshot = repo.store().snapshot()?;
    let live = under_way(&repo);
    let found = Found::of(cx, &repo, &snapshot, args.run.as_deref(), &mut |_| true);
    let found = match found {
        Err(failure) if args.run.is_none() && !live.is_empty() && failure.class == Class::NotFound => None,
        found => Some(found?),
    };
    if cx.ui.is_json() {
        let mut document = json::document("pipeline-status");
        document.insert("live".to_owned(), live.iter().map(|one| json!(one.run)).collect());
        let task = |one: &LiveTask| json!({"task": one.task, "run": one.run, "started_at": json::time(one.since)});
        document.insert("running".to_owned(), live.iter().flat_map(|one| &one.tasks).map(task).collect());
        if let Some(found) = &found {
            about(&mut document, found);
        }
        cx.ui.document(document)?;
        return Ok(Exit::Done);
    }
    for UnderWay { run, tasks } in &live {
        cx.ui.line(format_args!("running: {run}"))?;
        for LiveTask { task, since, .. } in tasks {
            let took = human::duration(milliseconds(repo.now().since(*since)));
            cx.ui.line(format_args!("  {} {took}", shown(task)))?;
        }
    }
    let Some(found) = found else { return Ok(Exit::Done) };
    let painter = cx.ui.painter();
    let run = &found.pipeline;
    let selected = run.meta.get(table::PIPELINE).and_then(|about| about.get("selection")).is_some();
    cx.ui.line(format_args!(
        "{} {} {}, {}, {}{}",
        painter.id(human::short(run.tail(), 8)),
        shown(&run.step),
        word(&run.status),
        human::time(run.started_at),
        human::duration(milliseconds(run.duration_us())),
        if selected { " (a part of it)" } else { "" }
    ))?;
    if let Some(error) = &run.error {
        cx.ui.line(format_args!("  {}", shown(&error.message)))?;
    }
    let mut rows = Vec::new();
    for step in &found.steps {
        let tasks = table::rows_of(step);
        let mut parts: Vec<String> = Vec::new();
        for end in ["success", "hit", "failure", "aborted", "blocked", "pending", "left_out"] {
            let count = tasks.iter().filter(|row| row.end == end).count();
            if count > 0 {
                parts.push(format!("{count} {}", end.replace('_', " ")));
            }
        }
        rows.push(vec![
            shown(&step.step),
            word(&step.status),
            parts.join(", "),
            human::duration(milliseconds(step.duration_us())),
        ]);
    }
    cx.ui.print(columns::columns(&["step", "result", "tasks", "took"], &rows))?;
    let mut rows = Vec::new();
    for step in &found.steps {
        for row in table::rows_of(step) {
            let is_well = matches!(row.end.as_str(), "success" | "hit" | "left_out");
            if is_well && !args.all {
                continue;
            }
            let took = match (row.started_at, row.finished_at) {
                (Some(begun), Some(ended)) => human::duration(milliseconds(ended.since(begun))),
                _ => String::new(),
            };
            let tail = row.run.as_deref().map(|run| human::short(prov::object::run::tail(run), 8).to_owned());
            rows.push(vec![
                format!("{}/{}", shown(&step.step), shown(&row.name)),
                row.end.clone(),
                took,
                tail.unwrap_or_default(),
                row.reason.map(|reason| shown(reason.lines().next().unwrap_or_default())).unwrap_or_default(),
            ]);
        }
    }
    if !rows.is_empty() {
        cx.ui.line("")?;
        cx.ui.print(columns::columns(&["task", "end", "took", "run", "why"], &rows))?;
    }
    Ok(Exit::Done)
}

/// Runs of pipelines that are under way here.
fn under_way(repo: &Repo) -> Vec<UnderWay> {
    let live = prov::run::live_folder(repo);
    let entries = live.list().unwrap_or_default();
    let is_running = |entry: &&prov::run::live::Entry| entry.state == prov::run::live::State::Running;
    let is_one = |entry: &prov::run::live::Entry| {
        matches!(entry.state, prov::run::live::State::Running | prov::run::live::State::Unknown { .. })
            && live.has_parked(entry)
    };
    let tasks_of = |pipeline: &prov::run::live::Entry| {
        let steps: Vec<String> = live.parked(pipeline).runs.into_iter().map(|step| step.run).collect();
        let intents = entries.iter().filter(is_running).filter_map(|entry| entry.intent.as_ref());
        let own = intents.filter(|intent| intent.parent.as_ref().is_some_and(|parent| steps.contains(parent)));
        own.map(|intent| LiveTask { task: intent.step.clone(), run: intent.run.clone(), since: intent.started_at })
            .collect()
    };
    let found = entries.iter().filter(|entry| is_one(entry));
    found.map(|entry| UnderWay { run: entry.run.clone(), tasks: tasks_of(entry) }).collect()
}

/// A run of a pipeline that goes on.
struct UnderWay {
    run: String,
    tasks: Vec<LiveTask>,
}

/// A task that is being executed.
struct LiveTask {
    /// The step of its record: `STEP/NAME`.
    task: String,
    run: String,
    since: prov::clock::Micros,
}

fn about(document: &mut Map<String, Value>, found: &Found) {
    let run = &found.pipeline;
    document.insert("run".to_owned(), json!(run.run));
    document.insert("object".to_owned(), json!(found.object.to_string()));
    document.insert("runner".to_owned(), json!(run.step));
    document.insert("status".to_owned(), json!(word(&run.status)));
    document.insert("attempt".to_owned(), json!(run.attempt));
    document.insert("correlation_id".to_owned(), json!(run.correlation_id));
    document.insert("started_at".to_owned(), json::time(run.started_at));
    document.insert("finished_at".to_owned(), json::time(run.finished_at));
    document.insert("duration_ms".to_owned(), json!(milliseconds(run.duration_us())));
    let about = run.meta.get(table::PIPELINE).map(json::stored);
    document.insert("pipeline".to_owned(), about.unwrap_or(Value::Null));
    let step = |step: &Run| {
        json!({
            "name": step.step, "run": step.run, "status": word(&step.status),
            "started_at": json::time(step.started_at), "finished_at": json::time(step.finished_at),
            "duration_ms": milliseconds(step.duration_us()),
        })
    };
    document.insert("steps".to_owned(), found.steps.iter().map(step).collect());
    let rows = |step: &Run| -> Vec<Value> {
        let task = |row: Row| {
            json!({
                "step": step.step, "name": row.name, "type": row.task_type, "end": row.end, "phase": row.phase,
                "run": row.run, "tries": row.tries.unwrap_or(1), "reason": row.reason,
                "started_at": row.started_at.map(json::time), "finished_at": row.finished_at.map(json::time),
                "done_at": row.done_at.map(json::time),
            })
        };
        table::rows_of(step).into_iter().map(task).collect()
    };
    document.insert("tasks".to_owned(), found.steps.iter().flat_map(rows).collect());
}

/// Prints what a task wrote.
pub(super) fn logs(cx: &Context, args: &PipelineLogsArgs) -> Result<Exit, Failure> {
    let repo = open::to_look(cx)?;
    let mut snapshot = repo.store().snapshot()?;
    let is_meant = |step: &Run, row: &Row| row.name == args.task || format!("{}/{}", step.step, row.name) == args.task;
    let mut has_it = |pipeline: &Run| {
        let steps = history::steps_of(&snapshot, pipeline);
        steps.iter().any(|step| table::rows_of(step).iter().any(|row| is_meant(step, row) && row.run.is_some()))
    };
    let found = Found::of(cx, &repo, &snapshot, args.run.as_deref(), &mut has_it)?;
    let mut tasks: Vec<(String, Run)> = Vec::new();
    for step in &found.steps {
        for row in table::rows_of(step).iter().filter(|row| is_meant(step, row)) {
            let object = row.run.as_ref().and_then(|run| step.children.get(run));
            if let Some(run) = object.and_then(|object| history::read(&snapshot, object)) {
                tasks.push((format!("{}/{}", step.step, row.name), run));
            }
        }
    }
    let (label, run) = match tasks.len() {
        0 => {
            return Err(Failure::new(
                Class::NotFound,
                "not_found",
                format!("no task `{}` wrote anything in that run", shown(&args.task)),
            )
            .hint("`prov pipeline status --all` lists its tasks"));
        }
        1 => tasks.swap_remove(0),
        _ => {
            return Err(Failure::new(
                Class::NotFound,
                "ambiguous",
                format!("more than one step has a task `{}`", shown(&args.task)),
            )
            .candidates(tasks.into_iter().map(|(label, _)| label))
            .hint("say STEP/TASK"));
        }
    };
    let wanted: &[&str] = match (args.stdout, args.stderr) {
        (true, _) => &["stdout"],
        (_, true) => &["stderr"],
        _ => &["log", "stdout", "stderr"],
    };
    let written = wanted.iter().filter_map(|name| Some((*name, run.logs.get(*name)?)));
    let written: Vec<(&str, Option<Vec<u8>>)> = answer(cx, &repo, &mut snapshot, &mut |_, source| {
        let read = |log: &Log| Ok::<_, Failure>(source.read(&log.id)?.map(|(_, bytes)| bytes));
        written.clone().map(|(name, log)| Ok((name, read(log)?))).collect()
    })?;
    let mut logs = Map::new();
    for (name, bytes) in written {
        let Some(bytes) = bytes else {
            cx.ui.warn(format_args!("the {name} of {} is not in the store any more", shown(&label)));
            continue;
        };
        if cx.ui.is_json() {
            json::put_bytes(&mut logs, name, &bytes);
        } else {
            cx.ui.bytes(&bytes)?;
        }
    }
    if cx.ui.is_json() {
        let mut document = json::document("pipeline-logs");
        document.insert("task".to_owned(), json!(label));
        document.insert("run".to_owned(), json!(run.run));
        document.insert("status".to_owned(), json!(word(&run.status)));
        document.insert("logs".to_owned(), logs.into());
        cx.ui.document(document)?;
    } else if let Some(error) = &run.error {
        cx.ui.say(format_args!("{}: {}", shown(&label), shown(&error.message)));
    }
    Ok(Exit::Done)
}

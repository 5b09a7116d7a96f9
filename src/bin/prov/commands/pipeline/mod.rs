//! `prov pipeline`.

mod keep;
mod live;
mod run;
mod status;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prov::fs::FileKind;
use prov::pipeline::check::{Checked, check, unknown_types};
use prov::pipeline::execute::{Looked, Outlook};
use prov::pipeline::file::{self, Flavour, Given, Kept, Options, Pipeline};
use prov::pipeline::finding::{Finding, Severity};
use prov::pipeline::graph::draw::{self, Detail};
use prov::pipeline::plan::{Expands, Kind, Plan, TaskId, Why};
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::{
    FlavourWord, GraphDetail, GraphFormat, PipelineArgs, PipelineCheckArgs, PipelineCommand, PipelineGraphArgs,
    PipelineOptions, PipelinePlanArgs,
};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::memory;
use crate::open;
use crate::output::record::{milliseconds, shown};
use crate::output::{human, json, table};

/// Files that are looked for where none is named.
const FILES: [&str; 3] = ["prov.yaml", "prov.yml", "config.yaml"];

/// Bytes of a file from which on it is taken to hold some hundred tasks.
const MANY_TASKS: u64 = 32 << 10;

/// Does what is asked with a pipeline.
pub(crate) fn run(cx: &Context, args: &PipelineArgs) -> Result<Exit, Failure> {
    match &args.command {
        PipelineCommand::Check(args) => check_all(cx, args),
        PipelineCommand::Plan(args) => plan(cx, args),
        PipelineCommand::Graph(args) => graph(cx, args),
        PipelineCommand::Run(args) => run::run(cx, args),
        PipelineCommand::Status(args) => status::status(cx, args),
        PipelineCommand::Logs(args) => status::logs(cx, args),
    }
}

/// A pipeline that was read and looked at.
struct Seen {
    /// The file as it was named.
    file: PathBuf,
    pipeline: Pipeline,
    options: Options,
    checked: Checked,
}

impl Seen {
    fn open(cx: &Context, args: &PipelineOptions) -> Result<Self, Failure> {
        let variables = cx.environment.all().iter();
        let environment: BTreeMap<String, String> = variables
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())))
            .collect();
        let given = Given {
            runner: args.runner.clone(),
            steps: args.steps.clone(),
            work_path: args.work_path.clone(),
            release_uri: args.release_uri.clone(),
            pool_size: args.pool_size.clone(),
            log_level: args.log_level.clone(),
            environment,
        };
        let file = file_of(cx, args, &given)?;
        let flavour = args.flavour.map(|word| match word {
            FlavourWord::Otter => Flavour::Otter,
            FlavourWord::Native => Flavour::Native,
        });
        if cx.fs.stat(&file).is_ok_and(|stat| stat.is_some_and(|stat| stat.size >= MANY_TASKS)) {
            memory::in_large_pages();
        }
        let kept = kept(cx);
        let (pipeline, findings) = file::read(&cx.fs, &file, flavour, kept.as_ref())?;
        let options = Options::resolve(&pipeline, &given, &cx.cwd)?;
        let programs = programs(cx, &pipeline, args, &file);
        let checked = check(&pipeline, &options, programs, findings)?;
        Ok(Self { file, pipeline, options, checked })
    }

    fn errors(&self) -> usize {
        self.checked.count(Severity::Error)
    }

    /// Where a finding is: `FILE:LINE:COLUMN`.
    fn place(&self, finding: &Finding) -> String {
        let file = prov::path::show(&self.file);
        match finding.at {
            Some(at) => format!("{file}:{}:{}", at.line, at.column),
            None => file.clone(),
        }
    }

    /// Ends a command that needs a sound pipeline.
    fn sound(&self) -> Result<&Plan, Failure> {
        let errors: Vec<&Finding> =
            self.checked.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        let Some(first) = errors.first() else { return Ok(&self.checked.plan) };
        let mut failure = Failure::new(
            Class::Usage,
            "pipeline",
            format!("the pipeline has {}", human::count(errors.len() as u64, "error")),
        );
        failure.causes =
            errors.iter().take(10).map(|finding| format!("{}: {}", self.place(finding), finding.message)).collect();
        let hint = first.hint.as_ref().filter(|_| errors.len() == 1);
        Err(failure.hint(hint.cloned().unwrap_or_else(|| "`prov pipeline check` tells all of them".to_owned())))
    }

    /// The start of a document.
    fn document(&self, what: &str) -> Map<String, Value> {
        let mut document = json::document(what);
        json::put_bytes(&mut document, "file", prov::path::bytes(&self.file).as_ref());
        document.insert("flavour".to_owned(), json!(self.pipeline.flavour.as_str()));
        let options = &self.options;
        let told = |value: Value, origin: &file::Origin| json!({"value": value, "origin": origin.words()});
        let release = options.release_uri.as_ref().map(|uri| told(json!(uri.value), &uri.origin));
        document.insert(
            "options".to_owned(),
            json!({
                "runner": told(json!(options.runner.value), &options.runner.origin),
                "steps": told(json!(options.steps.value), &options.steps.origin),
                "work_path": told(json!(prov::path::show(&options.work_path.value)), &options.work_path.origin),
                "release_uri": release,
                "pool_size": told(json!(options.pool_size.value), &options.pool_size.origin),
                "log_level": told(json!(options.log_level.value), &options.log_level.origin),
            }),
        );
        document.insert("counts".to_owned(), self.counts());
        document
    }

    fn counts(&self) -> Value {
        let plan = &self.checked.plan;
        let edges = |word: &str| plan.edges.iter().filter(|edge| edge.why.as_str() == word).count();
        json!({
            "steps": plan.steps.len(),
            "specs": plan.tasks.iter().filter(|task| task.parent.is_none()).count(),
            "tasks": plan.tasks.len(),
            "levels": plan.tasks.iter().map(|task| task.level + 1).max().unwrap_or(0),
            "edges": {
                "requires": edges("requires"),
                "needs": plan.steps.iter().map(|step| step.needs.len()).sum::<usize>(),
                "key": edges("key"),
                "path": edges("path"),
                "made": edges("made"),
            },
            "errors": self.checked.count(Severity::Error),
            "warnings": self.checked.count(Severity::Warning),
            "notes": self.checked.count(Severity::Note),
        })
    }

    /// One line about the whole.
    fn summary(&self) -> String {
        let plan = &self.checked.plan;
        let requires = plan.edges.iter().filter(|edge| edge.why == Why::Requires).count();
        let inferred = plan.edges.iter().filter(|edge| matches!(edge.why, Why::Path(_))).count();
        format!(
            "{}, {} ({} in the file), {} required, {} by path",
            human::count(plan.steps.len() as u64, "step"),
            human::count(plan.tasks.len() as u64, "task"),
            plan.tasks.iter().filter(|task| task.parent.is_none()).count(),
            human::count(requires as u64, "edge"),
            inferred,
        )
    }
}

/// Where it is kept what pipeline files of this project say.
fn kept(cx: &Context) -> Option<Kept<'_>> {
    let found = open::find(cx).ok()?;
    let program = cx.fs.stat(&std::env::current_exe().ok()?).ok()??;
    let folder = found.layout.cache().join("pipelines");
    Some(Kept { fs: &cx.fs, folder, cwd: &cx.cwd, program: format!("{} {program:?}", env!("CARGO_PKG_VERSION")) })
}

/// The file that is meant.
fn file_of(cx: &Context, args: &PipelineOptions, given: &Given) -> Result<PathBuf, Failure> {
    if let Some(file) = &args.file {
        return Ok(file.clone());
    }
    // The variable's name begins with the runner's, which the file can't tell before it is found.
    let runner = given.runner.as_ref().or_else(|| given.environment.get("PROV_RUNNER"));
    let variable = runner.map(|runner| format!("{}_CONFIG_PATH", runner.to_uppercase()));
    if let Some(path) = variable.and_then(|name| given.environment.get(&name)).filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let is_file = |name: &&&str| cx.fs.stat(&cx.cwd.join(name)).is_ok_and(|stat| stat.is_some());
    match FILES.iter().find(is_file) {
        Some(name) => Ok(PathBuf::from(name)),
        None => Err(Failure::new(Class::NotFound, "no_pipeline", "there is no pipeline file here")
            .hint(format!("name it with -f, or create {}", FILES[0]))),
    }
}

/// The executables on the task path, by name; folders that come later win.
fn programs(cx: &Context, pipeline: &Pipeline, args: &PipelineOptions, file: &Path) -> BTreeMap<String, PathBuf> {
    let base = cx.cwd.join(file.parent().unwrap_or(Path::new("")));
    let declared = pipeline.task_path.iter().map(|folder| base.join(&folder.text));
    let mut programs = BTreeMap::new();
    for folder in declared.chain(args.task_path.iter().map(|folder| cx.cwd.join(folder))) {
        // A folder that is not there has no task types; what needs one is told.
        for name in cx.fs.names(&folder).unwrap_or_default() {
            let path = folder.join(&name);
            let is_program = cx
                .fs
                .stat(&path)
                .is_ok_and(|stat| stat.is_some_and(|stat| matches!(stat.kind, FileKind::File { exec: true })));
            if let (true, Some(stem)) = (is_program, path.file_stem().and_then(|stem| stem.to_str())) {
                programs.insert(stem.to_owned(), path.clone());
            }
        }
    }
    programs
}

fn check_all(cx: &Context, args: &PipelineCheckArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx, &args.options)?;
    let warnings = seen.checked.count(Severity::Warning);
    let is_bad = seen.errors() > 0 || args.strict && warnings > 0;
    if cx.ui.is_json() {
        let mut document = seen.document("pipeline-check");
        document.insert("ok".to_owned(), json!(!is_bad));
        document.insert("unknown_types".to_owned(), json!(unknown_types(&seen.checked.plan)));
        document.insert("findings".to_owned(), seen.checked.findings.iter().map(finding).collect());
        cx.ui.document(document)?;
    } else {
        let painter = cx.ui.painter();
        for one in &seen.checked.findings {
            let word = match one.severity {
                Severity::Error => painter.bad("error").to_string(),
                Severity::Warning => painter.warning("warning").to_string(),
                Severity::Note => painter.dim("note").to_string(),
            };
            let step = one.step.as_ref().map(|step| format!(" [{}]", shown(step))).unwrap_or_default();
            cx.ui.line(format_args!("{} {word}: {}{step}", seen.place(one), shown(&one.message)))?;
            if let Some(hint) = &one.hint {
                cx.ui.line(format_args!("    {} {}", painter.dim("hint:"), shown(hint)))?;
            }
        }
        let unknown = unknown_types(&seen.checked.plan);
        if !unknown.is_empty() {
            let list: Vec<String> = unknown.iter().map(|(name, count)| format!("{} ({count})", shown(name))).collect();
            cx.ui.line(format_args!("task types that nothing here executes: {}", list.join(", ")))?;
        }
        let bad = [(seen.errors(), "error"), (warnings, "warning")]
            .map(|(count, noun)| human::count(count as u64, noun))
            .join(", ");
        cx.ui.say(format_args!("{}: {}; {bad}", prov::path::show(&seen.file), seen.summary()));
    }
    Ok(if is_bad { Exit::Usage } else { Exit::Done })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity.as_str(),
        "code": finding.code,
        "message": finding.message,
        "hint": finding.hint,
        "line": finding.at.map(|at| at.line),
        "column": finding.at.map(|at| at.column),
        "step": finding.step,
        "task": finding.task,
    })
}

fn plan(cx: &Context, args: &PipelinePlanArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx, &args.options)?;
    seen.sound()?;
    // Without a project there is nothing to look up.
    let looked = match open::untouched(cx) {
        Ok(repo) => Some(run::look(cx, &repo, &seen, run::selection(&args.selection), false)?),
        // Names are checked all the same.
        Err(_) => {
            let chosen = run::selection(&args.selection).of(&seen.checked.plan);
            drop(chosen.map_err(|err| Failure::from(prov::pipeline::execute::Error::from(err)))?);
            None
        }
    };
    tell_plan(cx, &seen, looked.as_deref())
}

/// Lists the tasks, and what running them would do as far as that was looked at.
fn tell_plan(cx: &Context, seen: &Seen, looked: Option<&[Looked]>) -> Result<Exit, Failure> {
    let plan = &seen.checked.plan;
    let mut waits: Vec<Vec<TaskId>> = plan.before();
    for list in &mut waits {
        list.sort_unstable();
        list.dedup();
    }
    if cx.ui.is_json() {
        let mut document = seen.document("pipeline-plan");
        document.insert("steps".to_owned(), (0..plan.steps.len()).map(|number| step(plan, number)).collect());
        document.insert("tasks".to_owned(), plan.tasks.iter().map(|one| task(plan, one.id, &waits, looked)).collect());
        let edge = |edge: &prov::pipeline::plan::Edge| {
            json!({
                "from": edge.from.0, "to": edge.to.0, "why": edge.why.as_str(), "about": edge.why.about(),
                "obeyed": edge.is_obeyed,
            })
        };
        document.insert("edges".to_owned(), plan.edges.iter().map(edge).collect());
        cx.ui.document(document)?;
        return Ok(Exit::Done);
    }
    cx.ui.page(&cx.environment);
    let number = |id: &TaskId| (id.0 + 1).to_string();
    let rows: Vec<Vec<String>> = plan
        .tasks
        .iter()
        .map(|task| {
            let open = if task.expands == Expands::AtRunTime { " (makes tasks when it runs)" } else { "" };
            let waits = &waits[task.id.0];
            let mut after: Vec<String> = waits.iter().take(6).map(number).collect();
            if waits.len() > 6 {
                after.push(format!("and {} more", waits.len() - 6));
            }
            vec![
                number(&task.id),
                task.level.to_string(),
                shown(&plan.steps[task.step].name),
                format!("{}{open}", shown(&task.name)),
                task.parent.as_ref().map(number).unwrap_or_default(),
                after.join(" "),
                looked.and_then(|looked| looked.get(task.id.0)).map(in_words).unwrap_or_default(),
            ]
        })
        .collect();
    cx.ui.print(table::columns(&["#", "level", "step", "task", "made by", "after", "cache"], &rows))?;
    for (step, needs) in plan.steps.iter().map(|step| (step, &step.needs)).filter(|(_, needs)| !needs.is_empty()) {
        let needs: Vec<String> = needs.iter().map(|other| shown(&plan.steps[*other].name)).collect();
        cx.ui.line(format_args!("step {} needs {}", shown(&step.name), needs.join(", ")))?;
    }
    cx.ui.say(seen.summary());
    if let Some(looked) = looked {
        cx.ui.say(would(looked));
    }
    Ok(Exit::Done)
}

/// What would become of a task.
fn in_words(looked: &Looked) -> String {
    let took =
        looked.took_us.map(|us| format!(", {} the last time", human::duration(milliseconds(us)))).unwrap_or_default();
    match &looked.outlook {
        Outlook::LeftOut => "left out".to_owned(),
        Outlook::Light => String::new(),
        Outlook::Hit { run, .. } => format!("hit {}", human::short(prov::object::run::tail(run), 8)),
        Outlook::Offered(offer) => format!("hit, from remote {}", shown(&offer.remote)),
        Outlook::Miss { reasons } => {
            let why = reasons.first().map(|reason| format!(": {}", crate::output::record::reason_line(reason)));
            format!("miss{}{took}", why.unwrap_or_default())
        }
        Outlook::Always => format!("runs every time{took}"),
        Outlook::Depends => format!("depends on what comes before{took}"),
        Outlook::Wrong { what } => format!("can't be looked up: {}", shown(what)),
        _ => String::new(),
    }
}

/// One line about what would run.
fn would(looked: &[Looked]) -> String {
    let count = |word: &str| looked.iter().filter(|one| one.outlook.as_str() == word).count();
    let open = |one: &&Looked| matches!(one.outlook, Outlook::Miss { .. } | Outlook::Always | Outlook::Depends);
    let known: u64 = looked.iter().filter(open).filter_map(|one| one.took_us).sum();
    let time = if known > 0 {
        format!("; {} at most by what it took before, one after the other", human::duration(milliseconds(known)))
    } else {
        String::new()
    };
    format!(
        "{} from the cache, {} would run, {} depend on those{time}",
        count("hit"),
        count("miss") + count("always"),
        count("depends"),
    )
}

fn step(plan: &Plan, number: usize) -> Value {
    let step = &plan.steps[number];
    let needs: Vec<&str> = step.needs.iter().map(|other| plan.steps[*other].name.as_str()).collect();
    json!({"name": step.name, "needs": needs, "tasks": step.tasks.len()})
}

fn task(plan: &Plan, id: TaskId, waits: &[Vec<TaskId>], looked: Option<&[Looked]>) -> Value {
    let task = plan.task(id);
    let mut value = declared(plan, id, waits);
    if let Some(looked) = looked.and_then(|looked| looked.get(id.0)) {
        let (run, reasons, problem) = match &looked.outlook {
            Outlook::Hit { run, .. } => (json!(run), Value::Null, Value::Null),
            Outlook::Offered(offer) => (json!(offer.run), Value::Null, Value::Null),
            Outlook::Miss { reasons } => (Value::Null, crate::output::record::reasons(reasons), Value::Null),
            Outlook::Wrong { what } => (Value::Null, Value::Null, json!(what)),
            _ => (Value::Null, Value::Null, Value::Null),
        };
        let remote = match &looked.outlook {
            Outlook::Offered(offer) => Some(&offer.remote),
            _ => None,
        };
        value["cache"] = json!({
            "outcome": looked.outlook.as_str(), "run": run, "remote": remote, "reasons": reasons, "problem": problem,
            "estimate_ms": looked.took_us.map(milliseconds),
        });
    }
    debug_assert!(value["name"] == json!(task.name));
    value
}

/// What is declared of a task.
fn declared(plan: &Plan, id: TaskId, waits: &[Vec<TaskId>]) -> Value {
    let task = plan.task(id);
    let kind = match &task.kind {
        Kind::Builtin(_) => "builtin",
        Kind::Group => "group",
        Kind::Declared { .. } => "declared",
        Kind::Program(_) => "program",
        Kind::Unknown => "unknown",
    };
    let expands = match task.expands {
        Expands::No => "no",
        Expands::Planned => "planned",
        Expands::AtRunTime => "at_run_time",
    };
    let settings = &task.settings;
    let resources: Map<String, Value> =
        settings.resources.iter().map(|(name, amount)| (name.clone(), json!(amount))).collect();
    json!({
        "id": id.0,
        "step": plan.steps[task.step].name,
        "name": task.name,
        "type": task.task_type,
        "kind": kind,
        "level": task.level,
        "parent": task.parent.map(|parent| parent.0),
        "expands": expands,
        "after": waits[id.0].iter().map(|id| id.0).collect::<Vec<_>>(),
        "late": task.late,
        "provides": task.provides,
        "reads": task.reads.iter().map(|read| read.pattern.as_ref().unwrap_or(&read.path)).collect::<Vec<_>>(),
        "writes": task.writes.iter().map(|write| &write.path).collect::<Vec<_>>(),
        "timeout_ms": settings.timeout_ms,
        "retries": settings.retries.count,
        "memory": settings.memory,
        "resources": resources,
        "checks": settings.validate.len(),
        "spec": json::stored(&task.resolved.to_value()),
    })
}

fn graph(cx: &Context, args: &PipelineGraphArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx, &args.options)?;
    let plan = seen.sound()?;
    let detail = match args.detail {
        GraphDetail::Tasks => Detail::Tasks,
        GraphDetail::Steps => Detail::Steps,
    };
    let drawing = draw::drawing(plan, detail);
    let (format, text) = match args.format {
        GraphFormat::Dot => ("dot", draw::dot(&drawing)),
        GraphFormat::Mermaid => ("mermaid", draw::mermaid(&drawing)),
        GraphFormat::Svg => ("svg", draw::svg(&drawing)),
    };
    if cx.ui.is_json() {
        let mut document = seen.document("pipeline-graph");
        document.insert("format".to_owned(), json!(format));
        document.insert("text".to_owned(), json!(text));
        cx.ui.document(document)?;
    } else {
        cx.ui.print(text)?;
    }
    Ok(Exit::Done)
}

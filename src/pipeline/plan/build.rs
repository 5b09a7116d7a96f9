//! From a declared pipeline to a plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::{Edge, Expands, Kind, Plan, PlannedStep, Roots, Task, TaskId, Why, in_place, paths};
use crate::config::located::Node;
use crate::config::nearest;
use crate::pipeline::Error;
use crate::pipeline::check::fields;
use crate::pipeline::expand::glob::{self, NamePattern};
use crate::pipeline::expand::{explode, group, is_group};
use crate::pipeline::file::{Flavour, Options, Pipeline, Spec, TypeDeclaration};
use crate::pipeline::finding::{Finding, Severity};
use crate::pipeline::graph;
use crate::pipeline::task::{Builtin, Settings, settings};
use crate::pipeline::template::{self, Fault, Missing, Scratchpad, resolve};

/// Levels of tasks that make tasks, at most.
const DEEPEST: usize = 32;

/// The task types that there are.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    /// Those that the file declares.
    pub declared: BTreeMap<String, TypeDeclaration>,
    /// Executables on the task path.
    pub programs: BTreeMap<String, PathBuf>,
}

impl Kinds {
    /// What executes a task of that type. What the file declares wins over executables, these over prov's own.
    pub fn of(&self, name: &str) -> Kind {
        if let Some(declared) = self.declared.get(name) {
            return Kind::Declared { run: declared.run.clone(), expands: declared.expands };
        }
        if let Some(program) = self.programs.get(name) {
            return Kind::Program(program.clone());
        }
        Builtin::of(name).map_or(Kind::Unknown, Kind::Builtin)
    }

    /// All names, for suggestions.
    pub fn names(&self) -> Vec<&str> {
        let own = Builtin::ALL.iter().map(|kind| kind.name());
        own.chain(self.declared.keys().map(String::as_str)).chain(self.programs.keys().map(String::as_str)).collect()
    }
}

impl Plan {
    /// The plan of the steps that `options` ask for, with everything that is wrong with it. `programs` are the executables on the task
    /// path by the type that each is for.
    ///
    /// # Errors
    /// A step is asked for that is not there.
    pub fn build(
        pipeline: &Pipeline,
        options: &Options,
        programs: BTreeMap<String, PathBuf>,
        findings: &mut Vec<Finding>,
    ) -> Result<Plan, Error> {
        let wanted = &options.steps.value;
        for name in wanted {
            if !pipeline.steps.iter().any(|step| step.name == *name) {
                let known = pipeline.steps.iter().map(|step| step.name.clone()).collect();
                return Err(Error::NoStep { name: name.clone(), known });
            }
        }
        let mut plan = Plan {
            flavour: pipeline.flavour,
            roots: Roots {
                release_uri: options.release_uri.as_ref().map(|uri| uri.value.clone()),
                work_path: options.work_path.value.to_string_lossy().into_owned(),
            },
            scratchpad: pipeline.scratchpad.clone(),
            resources: pipeline.resources.clone(),
            steps: Vec::new(),
            tasks: Vec::new(),
            edges: Vec::new(),
            kinds: Kinds { declared: pipeline.types.clone(), programs },
        };
        let chosen = || pipeline.steps.iter().filter(|step| wanted.is_empty() || wanted.contains(&step.name));
        for (number, step) in chosen().enumerate() {
            plan.steps.push(PlannedStep {
                name: step.name.clone(),
                at: step.at,
                needs: Vec::new(),
                tasks: Vec::new(),
                names: HashMap::new(),
                providers: BTreeMap::new(),
                to_come: Vec::new(),
            });
            let first = plan.tasks.len();
            add(&mut plan, number, None, step.specs.clone(), findings);
            finish(&mut plan, number, first, findings);
        }
        needs(&mut plan, pipeline, findings);
        let edges = paths::edges(&plan);
        let declared: BTreeSet<(TaskId, TaskId)> = plan.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        plan.edges.extend(edges.into_iter().filter(|edge| !declared.contains(&(edge.from, edge.to))));
        graph::check_declared(&plan, findings);
        graph::drop_inferred_cycles(&mut plan, findings);
        plan.set_levels();
        Ok(plan)
    }
}

/// Adds tasks to a step and, as far as they can be known, those that they make.
pub(super) fn add(plan: &mut Plan, step: usize, parent: Option<TaskId>, specs: Vec<Spec>, findings: &mut Vec<Finding>) {
    // A stack instead of recursion, its top the next spec in the order of the file.
    let mut stack: Vec<(Spec, Option<TaskId>, usize)> = specs.into_iter().rev().map(|spec| (spec, parent, 0)).collect();
    while let Some((spec, parent, depth)) = stack.pop() {
        let before = findings.len();
        let id = TaskId(plan.tasks.len());
        let (task, made) = task_of(plan, id, step, parent, spec, depth, findings);
        for finding in &mut findings[before..] {
            finding.step.get_or_insert_with(|| plan.steps[step].name.clone());
            finding.task.get_or_insert_with(|| task.name.clone());
        }
        stack.extend(made.into_iter().rev().map(|spec| (spec, Some(id), depth + 1)));
        if let Some(parent) = parent {
            plan.tasks[parent.0].children.push(id);
            plan.edges.push(Edge { from: parent, to: id, why: Why::Made, is_obeyed: true });
        }
        plan.steps[step].tasks.push(id);
        plan.tasks.push(task);
    }
}

fn task_of(
    plan: &Plan,
    id: TaskId,
    step: usize,
    parent: Option<TaskId>,
    spec: Spec,
    depth: usize,
    findings: &mut Vec<Finding>,
) -> (Task, Vec<Spec>) {
    let flavour = plan.flavour;
    let task_type = spec.task_type(flavour).to_owned();
    let is_explode = task_type == "explode" || task_type == "explode_glob";
    let kind = if flavour == Flavour::Native && is_group(&spec) && !is_explode {
        Kind::Group
    } else {
        plan.kinds.of(&task_type)
    };
    let expands = match &kind {
        Kind::Group | Kind::Builtin(Builtin::Explode) => Expands::Planned,
        Kind::Builtin(Builtin::ExplodeGlob) | Kind::Declared { expands: true, .. } => Expands::AtRunTime,
        // An application's own type that has a list of tasks to do makes tasks of it.
        Kind::Unknown | Kind::Program(_) if spec.get("do").is_some() => Expands::AtRunTime,
        _ => Expands::No,
    };
    let mut made = Vec::new();
    if expands == Expands::Planned {
        let body = resolve(&spec.body, &plan.scratchpad, flavour.syntax(), Missing::Leave, &mut Vec::new());
        let first_pass = Spec { name: spec.name.clone(), body };
        if depth >= DEEPEST {
            let message = format!("tasks that make tasks more than {DEEPEST} levels deep");
            findings.push(Finding::error("too-deep", message).at(spec.name.at));
        } else if kind == Kind::Group {
            made = group(&first_pass, findings);
        } else {
            made = explode(&first_pass, flavour, findings);
        }
    }
    let settings = match (flavour, &kind) {
        (Flavour::Native, Kind::Group) => Settings::default(),
        (Flavour::Native, _) => settings::read(&preview(plan, &spec), findings),
        (Flavour::Otter, Kind::Builtin(Builtin::Command)) => {
            // What is executed is a key of this type; the rest belongs to applications.
            let run = spec.get("run").and_then(|node| settings::run(node).ok());
            Settings { run, ..Settings::default() }
        }
        (Flavour::Otter, _) => Settings::default(),
    };
    let name = text_of(plan, &spec.name.text);
    let task = Task {
        id,
        step,
        name,
        task_type,
        kind,
        parent,
        children: Vec::new(),
        expands,
        resolved: spec.body.clone(),
        spec,
        late: BTreeSet::new(),
        settings,
        provides: Vec::new(),
        reads: Vec::new(),
        writes: Vec::new(),
        level: 0,
    };
    (task, made)
}

/// A spec with the values that are known, whatever is missing.
fn preview(plan: &Plan, spec: &Spec) -> Spec {
    let body = resolve(&spec.body, &plan.scratchpad, plan.flavour.syntax(), Missing::Leave, &mut Vec::new());
    Spec { name: spec.name.clone(), body }
}

fn text_of(plan: &Plan, text: &str) -> String {
    template::substitute(text, &plan.scratchpad, plan.flavour.syntax(), Missing::Leave)
        .unwrap_or_else(|_| text.to_owned())
}

/// Gives the tasks from `first` on their names, values, paths and edges.
pub(super) fn finish(plan: &mut Plan, step: usize, first: usize, findings: &mut Vec<Finding>) {
    let before = findings.len();
    for at in first..plan.tasks.len() {
        name(plan, step, at, findings);
        provide(plan, step, at);
        expect(plan, step, at);
    }
    for at in first..plan.tasks.len() {
        let told = findings.len();
        values(plan, step, at, findings);
        let task = &plan.tasks[at];
        fields::check(task, plan.flavour, &plan.kinds, findings);
        require(plan, step, at, findings);
        for finding in &mut findings[told..] {
            finding.task.get_or_insert_with(|| plan.tasks[at].name.clone());
        }
    }
    for finding in &mut findings[before..] {
        finding.step.get_or_insert_with(|| plan.steps[step].name.clone());
    }
}

fn name(plan: &mut Plan, step: usize, at: usize, findings: &mut Vec<Finding>) {
    let (task, step) = (&plan.tasks[at], &mut plan.steps[step]);
    if let Some(other) = step.names.get(&task.name).map(|other| &plan.tasks[other.0])
        && other.name == task.name
    {
        // Two that are written with one name were told when the file was read.
        let is_told = task.parent.is_none() && other.parent.is_none() && task.spec.name.text == other.spec.name.text;
        if !is_told {
            let message = format!("two tasks are called `{}`", task.name);
            let hint = "put a placeholder into the name that tells them apart";
            findings.push(Finding::error("duplicate-name", message).at(task.at()).hint(hint));
        }
        return;
    }
    step.names.insert(task.name.clone(), task.id);
    if task.spec.name.text != task.name {
        step.names.entry(task.spec.name.text.clone()).or_insert(task.id);
    }
}

/// Notes the scratchpad keys that a task provides.
fn provide(plan: &mut Plan, step: usize, at: usize) {
    let task = &plan.tasks[at];
    let mut keys = task.settings.provides.clone();
    match &task.kind {
        Kind::Builtin(Builtin::FindLatest) => {
            let key = task.spec.get("scratchpad_key").and_then(Node::as_text);
            keys.push(key.map_or_else(|| task.name.clone(), |key| text_of(plan, key)));
        }
        Kind::Declared { .. } => {
            keys.extend(plan.kinds.declared.get(&task.task_type).iter().flat_map(|one| one.provides.clone()));
        }
        _ => {}
    }
    for key in &keys {
        plan.steps[step].providers.entry(key.clone()).or_insert(TaskId(at));
    }
    plan.tasks[at].provides = keys;
}

/// Notes the names that tasks may have which it makes at run time.
fn expect(plan: &mut Plan, step: usize, at: usize) {
    let task = &plan.tasks[at];
    if task.expands != Expands::AtRunTime {
        return;
    }
    let mut patterns = Vec::new();
    let mut bodies: Vec<&Node> = task.spec.get("do").and_then(Node::as_list).unwrap_or_default().iter().collect();
    while let Some(body) = bodies.pop() {
        if let Some(text) = body.get("name").and_then(Node::as_text) {
            patterns.push((NamePattern::of(&text_of(plan, text), plan.flavour), TaskId(at)));
        }
        bodies.extend(body.get("do").and_then(Node::as_list).unwrap_or_default());
    }
    plan.steps[step].to_come.extend(patterns);
}

/// Puts the values in place that are known, notes the late ones, and tells what nobody knows.
fn values(plan: &mut Plan, step: usize, at: usize, findings: &mut Vec<Finding>) {
    let task = &plan.tasks[at];
    let flavour = plan.flavour;
    let syntax = flavour.syntax();
    let providers = &plan.steps[step].providers;
    let is_late = |key: &str| plan.scratchpad.get(key).is_none() && providers.contains_key(key);
    let mut late = BTreeSet::new();
    let mut faults = Vec::new();
    let mut resolved = in_place(task, &plan.scratchpad, syntax, &mut faults);
    if task.expands == Expands::No {
        late.extend(template::keys(&task.spec.body, syntax).into_iter().filter(|key| is_late(key)));
    } else {
        // What it makes waits on its own account.
        for entry in task.spec.entries().iter().filter(|entry| entry.key != "do" && task.kind != Kind::Group) {
            late.extend(template::keys(&entry.value, syntax).into_iter().filter(|key| is_late(key)));
        }
    }
    faults.retain(|fault| !matches!(fault, Fault::Unknown { key, .. } if late.contains(key)));
    if !late.is_empty() {
        resolved = resolve(&task.spec.body, &plan.scratchpad, syntax, Missing::Leave, &mut Vec::new());
    }
    if task.expands == Expands::AtRunTime {
        unknown_in_do(plan, task, &is_late, &mut faults);
    }
    for fault in &faults {
        let code = if matches!(fault, Fault::Unknown { .. }) { "missing-key" } else { "malformed-placeholder" };
        findings.push(Finding::of(Severity::Error, code, fault.remark()));
    }
    let (reads, writes) = paths::of(&task.kind, task.expands, &resolved, &task.settings, &plan.roots);
    let mut edges = Vec::new();
    for key in &late {
        let from = providers[key];
        // A task that provides a key may name it: it is then one that was there before.
        if from != task.id {
            edges.push(Edge { from, to: task.id, why: Why::Key(key.clone()), is_obeyed: true });
        }
    }
    plan.edges.extend(edges);
    let task = &mut plan.tasks[at];
    (task.resolved, task.late, task.reads, task.writes) = (resolved, late, reads, writes);
}

/// What the specs name that an `explode_glob` will make. Of other types nobody here knows what they put in place.
fn unknown_in_do(plan: &Plan, task: &Task, is_late: &impl Fn(&str) -> bool, faults: &mut Vec<Fault>) {
    fn go(plan: &Plan, bodies: &[Node], known: &Scratchpad, faults: &mut Vec<Fault>) {
        for body in bodies {
            let mut own = known.clone();
            let word = body.get("name").and_then(Node::as_text).and_then(|name| name.split(' ').next());
            if word == Some("explode") {
                let key = body.get("each_placeholder").and_then(Node::as_text).unwrap_or("each");
                own.set(key, crate::codec::Value::Text(String::new()));
            }
            if word == Some("explode_glob") {
                for key in glob::PLACEHOLDERS {
                    own.set(key, crate::codec::Value::Text(String::new()));
                }
            }
            for entry in body.as_map().unwrap_or_default() {
                if entry.key == "do" {
                    go(plan, entry.value.as_list().unwrap_or_default(), &own, faults);
                } else if body.get("scratchpad_ignore_missing").is_none() {
                    resolve(&entry.value, &own, plan.flavour.syntax(), Missing::Refuse, faults);
                }
            }
        }
    }
    if task.kind != Kind::Builtin(Builtin::ExplodeGlob) {
        return;
    }
    let mut known = plan.scratchpad.clone();
    let keys = template::keys(&task.spec.body, plan.flavour.syntax());
    for key in glob::PLACEHOLDERS.into_iter().chain(keys.iter().map(String::as_str).filter(|key| is_late(key))) {
        known.set(key, crate::codec::Value::Text(String::new()));
    }
    go(plan, task.spec.get("do").and_then(Node::as_list).unwrap_or_default(), &known, faults);
}

/// Makes edges of what a task requires.
fn require(plan: &mut Plan, step: usize, at: usize, findings: &mut Vec<Finding>) {
    let task = &plan.tasks[at];
    if task.kind == Kind::Group {
        // Each task of the group has what it requires.
        return;
    }
    let mut edges = Vec::new();
    for named in task.spec.requires() {
        let planned = &plan.steps[step];
        let resolved = text_of(plan, &named.text);
        let mut edge = |from| edges.push(Edge { from, to: task.id, why: Why::Requires, is_obeyed: true });
        if let Some(from) = planned.task(&resolved).or_else(|| planned.task(&named.text)) {
            edge(from);
            continue;
        }
        let maker = planned.to_come.iter().find(|(pattern, _)| pattern.could_be(&resolved));
        if let Some((_, maker)) = maker {
            let message =
                format!("`{resolved}` may be made by `{}`, all of which is waited for", plan.task(*maker).name);
            findings.push(Finding::new(Severity::Note, "requires-later", message).at(named.at));
            edge(*maker);
            continue;
        }
        let message = format!("`{}` requires `{resolved}`, which is no task of this step", task.name);
        let mut finding = Finding::error("unknown-requires", message).at(named.at);
        let elsewhere = plan.steps.iter().find(|other| other.names.contains_key(&resolved));
        if let Some(meant) = similar(&resolved, planned.names.keys()) {
            finding = finding.hint(format!("did you mean `{meant}`?"));
        } else if let Some(other) = elsewhere {
            finding = finding.hint(format!("step `{}` has one; steps wait for each other by `needs`", other.name));
        }
        findings.push(finding);
    }
    plan.edges.extend(edges);
}

/// The name that was probably meant: long names are compared as a whole, and not many of them.
fn similar<'a>(typed: &str, names: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let near = |name: &&str| name.len().abs_diff(typed.len()) <= 2 + typed.len() / 4;
    let names: Vec<&str> = names.map(String::as_str).filter(near).take(2000).collect();
    nearest(typed, &names)
}

/// Makes edges between steps.
fn needs(plan: &mut Plan, pipeline: &Pipeline, findings: &mut Vec<Finding>) {
    let known: Vec<&str> = pipeline.steps.iter().map(|step| step.name.as_str()).collect();
    for number in 0..plan.steps.len() {
        let declared = pipeline.steps.iter().find(|step| step.name == plan.steps[number].name);
        let mut needs = declared.map_or_else(Vec::new, |step| step.needs.clone());
        // What one task needs, its step waits for: a step is done as a whole.
        needs.extend(plan.steps[number].tasks.iter().flat_map(|id| plan.task(*id).settings.needs.clone()));
        for named in needs {
            if let Some(to) = plan.steps.iter().position(|step| step.name == named.text) {
                if !plan.steps[number].needs.contains(&to) {
                    plan.steps[number].needs.push(to);
                }
            } else if !known.contains(&named.text.as_str()) {
                let message = format!("`needs` names `{}`, which is no step", named.text);
                let mut finding = Finding::error("unknown-needs", message).at(named.at);
                if let Some(meant) = nearest(&named.text, &known) {
                    finding = finding.hint(format!("did you mean `{meant}`?"));
                }
                findings.push(finding.within(&plan.steps[number].name, None));
            }
        }
    }
}

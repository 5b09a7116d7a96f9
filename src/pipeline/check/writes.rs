//! Tasks that write the same: twice the same, or one over the other.

use std::collections::{BTreeMap, HashMap};

use crate::codec::Value;
use crate::config;
use crate::pipeline::finding::{Finding, Severity};
use crate::pipeline::plan::{Extent, Kind, Plan, TaskId, writers};

/// Tells of tasks that do the same, and of paths with more than one writer.
pub(super) fn check(plan: &Plan, findings: &mut Vec<Finding>) {
    let same = identical(plan, findings);
    for (path, by) in writers(plan) {
        if by.len() > 1 {
            shared(plan, path, &by, &same, findings);
        }
    }
}

/// What a task does, whatever it is called.
fn doing(plan: &Plan, id: TaskId) -> String {
    const NOT_DOING: [&str; 5] = ["name", "description", "requires", "needs", "scratchpad_ignore_missing"];
    let task = plan.task(id);
    let mut value = task.resolved.to_value();
    if let Value::Map(entries) = &mut value {
        entries.retain(|(key, _)| !NOT_DOING.contains(&key.as_str()));
    }
    format!("{} {}", task.task_type, config::to_json(&value))
}

/// Tells of tasks of one step that do the same, and gives for each task that writes something the first that does the same.
fn identical(plan: &Plan, findings: &mut Vec<Finding>) -> HashMap<TaskId, TaskId> {
    let mut first: HashMap<String, TaskId> = HashMap::new();
    let mut told: BTreeMap<(TaskId, usize), Vec<TaskId>> = BTreeMap::new();
    let mut same = HashMap::new();
    for task in plan.tasks.iter().filter(|task| !task.writes.is_empty()) {
        let is_same_as = *first.entry(doing(plan, task.id)).or_insert(task.id);
        same.insert(task.id, is_same_as);
        if is_same_as != task.id && plan.task(is_same_as).step == task.step {
            told.entry((is_same_as, task.step)).or_default().push(task.id);
        }
    }
    for ((first, step), others) in told {
        let names: Vec<String> = others.iter().map(|id| format!("`{}`", plan.task(*id).name)).collect();
        let message = format!("`{}` does the same as {}", plan.task(first).name, names.join(", "));
        let task = plan.task(others[0]);
        let finding = Finding::warning("identical-tasks", message).at(task.at());
        findings.push(
            finding
                .hint("one of them is probably meant to be another")
                .within(&plan.steps[step].name, Some(&task.name)),
        );
    }
    same
}

/// Tells of a path that several tasks write: within a step an error if one would overwrite the other, across steps a warning.
fn shared(
    plan: &Plan,
    path: &str,
    by: &[(TaskId, Extent)],
    same: &HashMap<TaskId, TaskId>,
    findings: &mut Vec<Finding>,
) {
    let mut by_step: BTreeMap<usize, Vec<(TaskId, Extent)>> = BTreeMap::new();
    for (id, extent) in by.iter().filter(|(_, extent)| *extent != Extent::ToCome) {
        by_step.entry(plan.task(*id).step).or_default().push((*id, *extent));
    }
    for writers in by_step.values().filter(|writers| writers.len() > 1) {
        let does_same = |id: &TaskId| same.get(id) == same.get(&writers[0].0);
        if writers.iter().all(|(id, _)| does_same(id)) {
            // Told as identical.
            continue;
        }
        let is_known = |id: &TaskId| plan.task(*id).kind != Kind::Unknown;
        let has_file =
            writers.iter().any(|(id, extent)| *extent == Extent::File || *extent == Extent::Either && is_known(id));
        let (severity, code, what) = if has_file {
            (Severity::Error, "collision", "is written by")
        } else {
            (Severity::Note, "shared-folder", "is filled by")
        };
        findings.push(told(plan, severity, code, path, what, writers.iter().map(|(id, _)| *id)));
    }
    if by_step.len() > 1 {
        let firsts = by_step.values().map(|writers| writers[0].0);
        let is_folder = by_step.values().flatten().all(|(_, extent)| *extent == Extent::Folder);
        let severity = if is_folder { Severity::Note } else { Severity::Warning };
        findings.push(told(plan, severity, "shared-destination", path, "is written by several steps:", firsts));
    }
}

fn told(
    plan: &Plan,
    severity: Severity,
    code: &'static str,
    path: &str,
    what: &str,
    by: impl Iterator<Item = TaskId> + Clone,
) -> Finding {
    let names: Vec<String> = by.clone().take(8).map(|id| format!("`{}`", plan.label(id))).collect();
    let last = by.clone().last().unwrap_or(TaskId(0));
    let more = by.count().saturating_sub(8);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("`{path}` {what} {}{rest}", names.join(", "));
    let task = plan.task(last);
    let finding = Finding::new(severity, code, message).at(task.at());
    let finding =
        if severity == Severity::Note { finding } else { finding.hint("which one is left depends on their order") };
    finding.within(&plan.steps[task.step].name, Some(&task.name))
}

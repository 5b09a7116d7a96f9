//! Everything that is wrong with a pipeline and can be seen before anything runs.

pub mod fields;
mod writes;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Error;
use super::file::{Options, Pipeline};
use super::finding::{Finding, Severity, in_order};
use super::plan::{Kind, Plan};
use crate::config::nearest;

/// A plan with what was found on the way.
#[derive(Debug)]
pub struct Checked {
    /// The plan, as far as it can be made.
    pub plan: Plan,
    /// What was found, in the order of the file, each thing once.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// How many findings are that bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Plans a pipeline and looks at all of it. `findings` are those of reading the file.
///
/// # Errors
/// A step is asked for that is not there.
pub fn check(
    pipeline: &Pipeline,
    options: &Options,
    programs: BTreeMap<String, PathBuf>,
    mut findings: Vec<Finding>,
) -> Result<Checked, Error> {
    let plan = Plan::build(pipeline, options, programs, &mut findings)?;
    writes::check(&plan, &mut findings);
    resources(&plan, &mut findings);
    in_order(&mut findings);
    fold_unknown_types(&mut findings);
    Ok(Checked { plan, findings })
}

/// The types that nothing here executes, each with how many tasks have it.
pub fn unknown_types(plan: &Plan) -> BTreeMap<&str, usize> {
    let mut types = BTreeMap::new();
    for task in plan.tasks.iter().filter(|task| task.kind == Kind::Unknown) {
        *types.entry(task.task_type.as_str()).or_insert(0) += 1;
    }
    types
}

/// Tells of each unknown type once, at its first task.
fn fold_unknown_types(findings: &mut Vec<Finding>) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let is_one = |finding: &Finding| finding.code == "unknown-type";
    for finding in findings.iter().filter(|finding| is_one(finding)) {
        *counts.entry(finding.message.clone()).or_insert(0) += 1;
    }
    findings.retain_mut(|finding| {
        if !is_one(finding) {
            return true;
        }
        let Some(count) = counts.remove(&finding.message) else { return false };
        if count > 1 {
            finding.message.push_str(&format!(", in {count} places"));
        }
        true
    });
}

fn resources(plan: &Plan, findings: &mut Vec<Finding>) {
    let names: Vec<&str> = plan.resources.keys().map(String::as_str).collect();
    for task in &plan.tasks {
        for (name, amount) in &task.settings.resources {
            let at = task.spec.get("resources").map_or(task.at(), |node| node.at);
            let finding = match plan.resources.get(name) {
                None => {
                    let finding = Finding::error("unknown-resource", format!("there is no resource `{name}`")).at(at);
                    match nearest(name, &names) {
                        Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
                        None => finding.hint("say in `resources` at the top how much of it there is"),
                    }
                }
                Some(most) if amount > most => {
                    let message = format!("it takes {amount} of `{name}`, of which there are {most}");
                    Finding::error("too-much", message).at(at).hint("it could never start")
                }
                Some(_) => continue,
            };
            findings.push(finding.within(&plan.steps[task.step].name, Some(&task.name)));
        }
    }
}

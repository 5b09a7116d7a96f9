//! Which tasks of a plan are to be done.

use std::collections::BTreeSet;

use crate::config::nearest;
use crate::pipeline::plan::{Plan, TaskId};

/// What was asked for; nothing for all.
///
/// Each text names tasks: `STEP/TASK`, a task's name, or a step's for all of its tasks. With `+` before it, what they wait for is meant as
/// well; a task that stands for others means those too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Just these.
    pub tasks: Vec<String>,
    /// These and everything that waits for them.
    pub from: Vec<String>,
    /// These and everything that they wait for.
    pub until: Vec<String>,
}

/// A name that no task has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no task or step `{name}`")]
pub struct NoTask {
    /// The name.
    pub name: String,
    /// One that could be meant.
    pub meant: Option<String>,
}

impl Selection {
    /// Whether everything is to be done.
    pub fn is_all(&self) -> bool {
        self.tasks.is_empty() && self.from.is_empty() && self.until.is_empty()
    }

    /// For each task of the plan whether it is to be done.
    ///
    /// # Errors
    /// A name that no task and no step has.
    pub fn of(&self, plan: &Plan) -> Result<Vec<bool>, NoTask> {
        let mut chosen = vec![true; plan.tasks.len()];
        if self.is_all() {
            return Ok(chosen);
        }
        let graph = Ways::of(plan);
        let mut narrow = |set: BTreeSet<TaskId>| {
            for (at, chosen) in chosen.iter_mut().enumerate() {
                *chosen &= set.contains(&TaskId(at));
            }
        };
        if !self.tasks.is_empty() {
            narrow(named(plan, &graph, &self.tasks)?);
        }
        if !self.from.is_empty() {
            let start = named(plan, &graph, &self.from)?;
            narrow(walk(&graph.down, start));
        }
        if !self.until.is_empty() {
            let start = named(plan, &graph, &self.until)?;
            narrow(walk(&graph.up, start));
        }
        Ok(chosen)
    }
}

/// The tasks that these texts name.
fn named(plan: &Plan, graph: &Ways, texts: &[String]) -> Result<BTreeSet<TaskId>, NoTask> {
    let mut all = BTreeSet::new();
    for text in texts {
        let (name, with_upstream) = match text.strip_prefix('+') {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        let mut found: BTreeSet<TaskId> =
            plan.tasks.iter().filter(|task| plan.label(task.id) == name).map(|task| task.id).collect();
        if found.is_empty() {
            found = plan.tasks.iter().filter(|task| task.name == name).map(|task| task.id).collect();
        }
        if found.is_empty() {
            found = plan.steps.iter().filter(|step| step.name == name).flat_map(|step| step.tasks.clone()).collect();
        }
        if found.is_empty() && plan.steps.iter().all(|step| step.name != name) {
            let labels: Vec<String> = plan.tasks.iter().take(5000).map(|task| plan.label(task.id)).collect();
            let steps = plan.steps.iter().map(|step| step.name.as_str());
            let names = plan.tasks.iter().take(5000).map(|task| task.name.as_str());
            let known: Vec<&str> = labels.iter().map(String::as_str).chain(steps).chain(names).collect();
            let meant = nearest(name, &known).map(ToOwned::to_owned);
            return Err(NoTask { name: name.to_owned(), meant });
        }
        // What stands for others means them.
        let mut stack: Vec<TaskId> = found.iter().copied().collect();
        while let Some(id) = stack.pop() {
            for child in &plan.task(id).children {
                if found.insert(*child) {
                    stack.push(*child);
                }
            }
        }
        all.extend(if with_upstream { walk(&graph.up, found) } else { found });
    }
    Ok(all)
}

/// What leads from task to task.
struct Ways {
    up: Vec<Vec<TaskId>>,
    down: Vec<Vec<TaskId>>,
}

impl Ways {
    fn of(plan: &Plan) -> Self {
        let mut ways = Self { up: vec![Vec::new(); plan.tasks.len()], down: vec![Vec::new(); plan.tasks.len()] };
        let mut add = |from: TaskId, to: TaskId| {
            ways.up[to.0].push(from);
            ways.down[from.0].push(to);
        };
        for edge in plan.edges.iter().filter(|edge| edge.is_obeyed) {
            add(edge.from, edge.to);
            // Whoever waits for a task waits for all that it makes.
            let mut stack = plan.task(edge.from).children.clone();
            while let Some(child) = stack.pop() {
                if edge.to != child && plan.task(edge.to).parent != Some(edge.from) {
                    add(child, edge.to);
                }
                stack.extend(plan.task(child).children.iter().copied());
            }
        }
        for step in &plan.steps {
            for &needed in &step.needs {
                for &from in &plan.steps[needed].tasks {
                    for &to in &step.tasks {
                        add(from, to);
                    }
                }
            }
        }
        ways
    }
}

/// Everything that is reached from `start`, itself included.
fn walk(ways: &[Vec<TaskId>], start: BTreeSet<TaskId>) -> BTreeSet<TaskId> {
    let mut stack: Vec<TaskId> = start.iter().copied().collect();
    let mut seen = start;
    while let Some(id) = stack.pop() {
        for next in &ways[id.0] {
            if seen.insert(*next) {
                stack.push(*next);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::pipeline::file::{Given, Options, parse};

    const TEXT: &str = "steps:\n  s:\n    - {name: a, run: [x]}\n    - {name: b, run: [x], requires: [a]}\n    - {name: c, run: [x], requires: [b]}\n    - \
                        {name: 'g ${each}', run: [x], foreach: [1, 2]}\n  t:\n    needs: [s]\n    tasks:\n      - {name: d, run: [x]}\n";

    fn chosen(selection: &Selection) -> Result<Vec<String>, NoTask> {
        let (pipeline, mut findings) = parse(Path::new("prov.yaml"), None, TEXT.as_bytes()).unwrap();
        let options = Options::resolve(&pipeline, &Given::default(), Path::new("/w")).unwrap();
        let plan = Plan::build(&pipeline, &options, BTreeMap::new(), &mut findings).unwrap();
        let is_chosen = selection.of(&plan)?;
        Ok(plan.tasks.iter().filter(|task| is_chosen[task.id.0]).map(|task| task.name.clone()).collect())
    }

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn tasks_are_chosen_by_name_with_what_is_around_them() {
        let tasks = |texts: &[&str]| chosen(&Selection { tasks: list(texts), ..Selection::default() }).unwrap();
        assert_eq!(tasks(&["b"]), ["b"]);
        assert_eq!(tasks(&["s/b", "t"]), ["b", "d"]);
        assert_eq!(tasks(&["+b"]), ["a", "b"]);
        assert_eq!(tasks(&["g ${each}"]), ["g ${each}", "g 1", "g 2"]);
        let from = Selection { from: list(&["b"]), ..Selection::default() };
        assert_eq!(chosen(&from).unwrap(), ["b", "c", "d"]);
        let until = Selection { until: list(&["b"]), ..Selection::default() };
        assert_eq!(chosen(&until).unwrap(), ["a", "b"]);
        let both = Selection { from: list(&["b"]), until: list(&["c"]), ..Selection::default() };
        assert_eq!(chosen(&both).unwrap(), ["b", "c"]);
        assert_eq!(chosen(&Selection::default()).unwrap().len(), 7);
    }

    #[test]
    fn a_name_that_nothing_has_is_told() {
        let err = chosen(&Selection { tasks: list(&["s/bb"]), ..Selection::default() }).unwrap_err();
        assert_eq!(err.meant.as_deref(), Some("s/b"));
    }
}

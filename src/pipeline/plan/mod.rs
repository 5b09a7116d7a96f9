//! The plan: every task that can be known before anything runs, with what it waits for.
//!
//! A plan is data. It is computed again from the file whenever it is needed; tasks that are made while others run are added to it with
//! [`Plan::add_made`], under the same rules.

mod build;
mod paths;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use build::Kinds;
pub(super) use paths::writers;
pub use paths::{Extent, Read, Write};

use super::expand::glob::NamePattern;
use super::file::{Flavour, Run, Spec};
use super::finding::Finding;
use super::graph::{self, Levels};
use super::task::{Builtin, Settings};
use super::template::{Fault, Missing, Scratchpad, Syntax, resolve};
use crate::config::located::{Node, Place};

pub use super::expand::glob::Roots;

/// The number of a task in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub usize);

/// What executes a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A type of prov's own.
    Builtin(Builtin),
    /// A group of tasks made of one by `foreach` or `matrix`.
    Group,
    /// A type that the file declares.
    Declared {
        /// Its command.
        run: Run,
        /// Whether it may make tasks.
        expands: bool,
    },
    /// An executable on the task path.
    Program(std::path::PathBuf),
    /// Nothing that is known here.
    Unknown,
}

/// Whether a task makes tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expands {
    /// It makes none.
    No,
    /// Those it makes are in the plan.
    Planned,
    /// It makes them when it runs.
    AtRunTime,
}

/// A task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// The number of its step.
    pub step: usize,
    /// Its name with all values in place that are known; unique in its step.
    pub name: String,
    /// Its type.
    pub task_type: String,
    /// What executes it.
    pub kind: Kind,
    /// The task that made it.
    pub parent: Option<TaskId>,
    /// The tasks that it made.
    pub children: Vec<TaskId>,
    /// Whether it makes tasks.
    pub expands: Expands,
    /// What it is told, before the last pass of replacing.
    pub spec: Spec,
    /// What it is told, with all values in place that are known before anything runs.
    pub resolved: Node,
    /// Keys that it names and that other tasks provide.
    pub late: BTreeSet<String>,
    /// How it is to be executed.
    pub settings: Settings,
    /// Scratchpad keys that it provides.
    pub provides: Vec<String>,
    /// Paths that it reads.
    pub reads: Vec<Read>,
    /// Paths that it writes.
    pub writes: Vec<Write>,
    /// How many tasks must be done before it, in a row.
    pub level: usize,
}

impl Task {
    /// Where its name stands.
    pub fn at(&self) -> Place {
        self.spec.name.at
    }
}

/// A step of a plan.
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub at: Place,
    /// The numbers of the steps that must be done before.
    pub needs: Vec<usize>,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
    /// Tasks by name, by the name as it is and as it was written.
    names: HashMap<String, TaskId>,
    /// Who provides a late key.
    providers: BTreeMap<String, TaskId>,
    /// What names the tasks may have that are made at run time.
    to_come: Vec<(NamePattern, TaskId)>,
}

impl PlannedStep {
    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<TaskId> {
        self.names.get(name).copied()
    }

    /// The task that provides a late key.
    pub fn provider(&self, key: &str) -> Option<TaskId> {
        self.providers.get(key).copied()
    }
}

/// Why one task waits for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It requires it.
    Requires,
    /// It names a key that the other one provides.
    Key(String),
    /// It reads what the other one writes.
    Path(String),
    /// The other one makes it.
    Made,
}

impl Why {
    /// Its name in documents.
    pub fn as_str(&self) -> &'static str {
        match self {
            Why::Requires => "requires",
            Why::Key(_) => "key",
            Why::Path(_) => "path",
            Why::Made => "made",
        }
    }

    /// The key or path that it is about.
    pub fn about(&self) -> Option<&str> {
        match self {
            Why::Key(text) | Why::Path(text) => Some(text),
            Why::Requires | Why::Made => None,
        }
    }
}

/// `to` waits for `from`: for its end with all it made, or, if it is made by it, for its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// What is first.
    pub from: TaskId,
    /// What waits.
    pub to: TaskId,
    /// Why.
    pub why: Why,
    /// Whether it is obeyed. A path edge that closes a cycle is not.
    pub is_obeyed: bool,
}

/// Tasks with their edges.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose rules hold.
    pub flavour: Flavour,
    /// Where relative paths are.
    pub roots: Roots,
    /// Values known before anything runs.
    pub scratchpad: Scratchpad,
    /// How much there is of each shared resource.
    pub resources: BTreeMap<String, u64>,
    /// The steps.
    pub steps: Vec<PlannedStep>,
    /// The tasks, by number.
    pub tasks: Vec<Task>,
    /// The edges.
    pub edges: Vec<Edge>,
    kinds: Kinds,
}

impl Plan {
    /// The task of that number.
    ///
    /// # Panics
    /// It is of another plan.
    pub fn task(&self, id: TaskId) -> &Task {
        &self.tasks[id.0]
    }

    /// `STEP/NAME`.
    pub fn label(&self, id: TaskId) -> String {
        let task = self.task(id);
        format!("{}/{}", self.steps[task.step].name, task.name)
    }

    /// The tasks that must have ended well before each task starts. Steps that its step needs come besides.
    pub fn before(&self) -> Vec<Vec<TaskId>> {
        let mut before = vec![Vec::new(); self.tasks.len()];
        for edge in self.edges.iter().filter(|edge| edge.is_obeyed && edge.why != Why::Made) {
            before[edge.to.0].push(edge.from);
        }
        before
    }

    /// What a task is told, with all values in place: `late` are those that tasks have provided.
    ///
    /// # Errors
    /// What is missing or malformed. For a task that makes tasks, and one that ignores what is missing, there is none.
    pub fn resolve(&self, id: TaskId, late: &Scratchpad) -> Result<Node, Vec<Fault>> {
        let task = self.task(id);
        let mut values = self.scratchpad.clone();
        values.merge(late);
        let mut faults = Vec::new();
        let node = in_place(task, &values, self.flavour.syntax(), &mut faults);
        if faults.is_empty() { Ok(node) } else { Err(faults) }
    }

    /// Adds tasks that a task has made while it ran, with what they make in turn, and gives their numbers.
    pub fn add_made(&mut self, parent: TaskId, specs: Vec<Spec>, findings: &mut Vec<Finding>) -> Vec<TaskId> {
        let first = self.tasks.len();
        let step = self.task(parent).step;
        build::add(self, step, Some(parent), specs, findings);
        build::finish(self, step, first, findings);
        graph::check_declared(self, findings);
        self.set_levels();
        (first..self.tasks.len()).map(TaskId).collect()
    }

    /// Computes the levels anew.
    fn set_levels(&mut self) {
        let Levels { of } = graph::levels(self);
        for (task, level) in self.tasks.iter_mut().zip(of) {
            task.level = level;
        }
    }
}

/// The spec of a task with values in place of what they are known for.
fn in_place(task: &Task, values: &Scratchpad, syntax: Syntax, faults: &mut Vec<Fault>) -> Node {
    let strict =
        if task.expands != Expands::No || task.spec.ignores_missing() { Missing::Leave } else { Missing::Refuse };
    for entry in task.spec.entries() {
        // A group is required by its name as it is written; names that nothing has are told with what is required.
        let missing = if entry.key == "requires" { Missing::Leave } else { strict };
        resolve(&entry.value, values, syntax, missing, faults);
    }
    resolve(&task.spec.body, values, syntax, Missing::Leave, &mut Vec::new())
}

#[cfg(test)]
mod tests;

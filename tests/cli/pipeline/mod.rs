//! Pipelines through the real binary.

mod check;
mod known;
mod loom;
mod otter;
mod programs;
mod run;
#[cfg(feature = "http")]
mod web;

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::project::project;
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

/// What a run of a pipeline says.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) json: Value,
}

impl Ran {
    #[track_caller]
    pub(crate) fn of(outcome: Outcome) -> Self {
        let json = outcome.json();
        schema::assert_valid("pipeline-run", &json);
        Self { outcome, json }
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.outcome.code, code, "{}", self.outcome);
        self
    }

    /// How a task ended.
    #[track_caller]
    pub(crate) fn end(&self, task: &str) -> &str {
        self.task(task)["end"].as_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn task(&self, task: &str) -> &Value {
        let found = self.json["tasks"].as_array().unwrap().iter().find(|one| one["name"] == task);
        found.unwrap_or_else(|| panic!("no task {task}\n{}", self.outcome))
    }

    #[track_caller]
    pub(crate) fn ends_of(&self, tasks: &[&str]) -> Vec<&str> {
        tasks.iter().map(|task| self.end(task)).collect()
    }

    pub(crate) fn count(&self, end: &str) -> u64 {
        self.json["counts"][end].as_u64().unwrap()
    }
}

#[track_caller]
pub(crate) fn run(sandbox: &Sandbox, words: &[&str]) -> Ran {
    Ran::of(sandbox.prov(["--json", "pipeline", "run"].iter().chain(words)))
}

pub(crate) fn start(sandbox: &Sandbox, words: &[&str]) -> Child {
    let mut command = sandbox.command(["--json", "pipeline", "run"].iter().chain(words));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A project with a pipeline.
pub(crate) fn with(text: &str) -> Sandbox {
    let sandbox = project();
    sandbox.file("prov.yaml", text);
    sandbox
}

//! Keeping the manifest of a release current while a pipeline runs: each step as soon as it is on record.

use std::sync::mpsc::{Receiver, Sender, channel};

use prov::fs::Fs;
use prov::object::run::Run;
use prov::repo::Repo;

use crate::commands::{Context, exchange};

/// A step that is on record.
#[derive(Debug)]
struct Step {
    pipeline: Run,
    declared: Vec<String>,
    run: Run,
}

/// Hears of steps, in the thread that drives the pipeline; whoever writes the file may have to wait for others who do.
#[derive(Debug)]
pub(super) struct Keeper {
    steps: Sender<Step>,
}

impl Keeper {
    /// Calls `work` with one, and returns when all steps that it heard of are in the file. What can't be put there now is at the end, with
    /// everything else.
    pub(super) fn with<T>(cx: &Context, repo: &Repo, work: impl FnOnce(Self) -> T) -> T {
        let (steps, told) = channel();
        std::thread::scope(|scope| {
            let writer = std::thread::Builder::new().name("manifest".to_owned());
            // Without a thread the file is written at the end.
            let fs = &cx.fs;
            let _ = writer.spawn_scoped(scope, move || keep(fs, repo, &told));
            work(Self { steps })
        })
    }

    pub(super) fn hear(&self, pipeline: &Run, declared: Vec<String>, run: &Run) {
        let _ = self.steps.send(Step { pipeline: pipeline.clone(), declared, run: run.clone() });
    }
}

fn keep(fs: &Fs, repo: &Repo, told: &Receiver<Step>) {
    while let Ok(Step { pipeline, declared, run }) = told.recv() {
        // Whatever keeps it from being written is told when all of it is written at the end.
        let _ = exchange::keep_step(fs, repo, &pipeline, &declared, run);
    }
}

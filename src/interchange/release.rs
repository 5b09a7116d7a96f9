//! Which runs of pipelines make a release, and which records of steps are the newest in it.

use std::ops::ControlFlow;

use super::{Error, read_run};
use crate::codec::Value;
use crate::hash::Id;
use crate::object::run::{Run, RunKind};
use crate::pipeline::execute::table::PIPELINE;
use crate::query::{self, LogOptions};
use crate::repo::Repo;
use crate::store::Snapshot;

/// The remark of a record that was taken from another system.
pub const IMPORTED: &str = "imported";

/// Which runs are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All of the place that the newest run is for.
    Newest,
    /// All of this place: a URI, or a folder as an absolute path.
    Place(String),
    /// This run of a pipeline alone.
    Run(Id),
}

/// A step of a release.
#[derive(Debug)]
pub struct Step {
    /// The runner's name and the step's: `pis_disease`.
    pub key: String,
    /// The step's name.
    pub name: String,
    /// Its newest record; `None` if it never ran.
    pub run: Option<Run>,
}

/// Runs of pipelines that belong together.
#[derive(Debug)]
pub struct Release {
    /// Where it is, if the runs say so.
    pub place: Option<String>,
    /// The runs, in the order in which they began.
    pub pipelines: Vec<Run>,
    /// The steps, in the order in which they were first declared.
    pub steps: Vec<Step>,
}

/// All runs of pipelines of a scenario that nobody retracted, in the order in which they began.
///
/// # Errors
/// When the store can't be read.
pub fn pipelines(repo: &Repo, snapshot: &Snapshot) -> Result<Vec<Run>, Error> {
    let mut objects = Vec::new();
    let options = LogOptions { hits: true, ..LogOptions::default() };
    query::log(repo, snapshot, &options, &mut |logged| {
        if logged.line.kind == RunKind::Pipeline && !logged.is_retracted {
            objects.push(logged.line.object);
        }
        ControlFlow::Continue(())
    })?;
    objects.iter().rev().map(|object| read_run(snapshot, object)).collect()
}

/// The place that a run of a pipeline is for.
pub fn place_of(pipeline: &Run) -> Option<String> {
    let about = pipeline.meta.get(PIPELINE)?;
    text(about, "release_uri").or_else(|| text(about, "work_path"))
}

/// The runner's name of a run of a pipeline.
pub fn runner_of(pipeline: &Run) -> String {
    pipeline.meta.get(PIPELINE).and_then(|about| text(about, "runner")).unwrap_or_else(|| pipeline.step.clone())
}

pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    match value.get(key) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

impl Release {
    /// The release that is meant.
    ///
    /// # Errors
    /// When there is none, or the store can't be read.
    pub fn open(repo: &Repo, snapshot: &Snapshot, which: &Which) -> Result<Self, Error> {
        let (place, pipelines) = match which {
            Which::Run(object) => {
                let run = read_run(snapshot, object)?;
                (place_of(&run), vec![run])
            }
            Which::Newest | Which::Place(_) => {
                let mut all = pipelines(repo, snapshot)?;
                let place = match which {
                    Which::Place(place) => Some(place.clone()),
                    _ => all.last().and_then(place_of),
                };
                let mut known: Vec<String> = all.iter().filter_map(place_of).collect();
                all.retain(|run| place_of(run) == place);
                if all.is_empty() {
                    known.sort();
                    known.dedup();
                    return Err(Error::NoRuns { place, known });
                }
                (place, all)
            }
        };
        let mut release = Self { place, pipelines: Vec::new(), steps: Vec::new() };
        for pipeline in pipelines {
            release.add(snapshot, &pipeline)?;
            release.pipelines.push(pipeline);
        }
        Ok(release)
    }

    /// A step of a run of a pipeline that is not over yet, with the steps that run is made of.
    pub fn of_step(pipeline: &Run, declared: &[String], step: Run) -> Self {
        let runner = runner_of(pipeline);
        let mut release = Self { place: place_of(pipeline), pipelines: Vec::new(), steps: Vec::new() };
        for name in declared {
            release.take(format!("{runner}_{name}"), name.clone(), None);
        }
        release.pipelines.push(Run { finished_at: step.finished_at, ..pipeline.clone() });
        release.take(format!("{runner}_{}", step.step), step.step.clone(), Some(step));
        release
    }

    fn add(&mut self, snapshot: &Snapshot, pipeline: &Run) -> Result<(), Error> {
        let runner = runner_of(pipeline);
        let mut ran = Vec::new();
        for object in pipeline.children.values() {
            let step = read_run(snapshot, object)?;
            if step.kind == RunKind::Step {
                ran.push(step);
            }
        }
        ran.sort_by(|a, b| (a.started_at, &a.run).cmp(&(b.started_at, &b.run)));
        if let Some(Value::List(declared)) = pipeline.meta.get("steps") {
            for one in declared {
                if let Some(name) = text(one, "name") {
                    let key = text(one, "key").unwrap_or_else(|| format!("{runner}_{name}"));
                    self.take(key, name, None);
                }
            }
        }
        for step in ran {
            let imported = step.meta.get(IMPORTED);
            let key = imported.and_then(|about| text(about, "key"));
            self.take(key.unwrap_or_else(|| format!("{runner}_{}", step.step)), step.step.clone(), Some(step));
        }
        Ok(())
    }

    /// Takes a record of a step, unless a newer one is there.
    fn take(&mut self, key: String, name: String, run: Option<Run>) {
        match self.steps.iter_mut().find(|step| step.key == key) {
            None => self.steps.push(Step { key, name, run }),
            Some(step) => {
                let newer = |run: &Run| step.run.as_ref().is_none_or(|old| old.finished_at <= run.finished_at);
                if let Some(run) = run.filter(newer) {
                    step.run = Some(run);
                }
            }
        }
    }
}

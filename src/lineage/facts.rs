//! What a walk has to know of a run, and a quicker way to it for walks that turn out to be long.

use std::sync::Arc;

use bstr::BString;

use super::producer::Found;
use crate::clock::Micros;
use crate::hash::{Id, IdMap};
use crate::object::run::{Cache, LinkedBy, Run};

/// The run that made an input, with its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Its run id.
    pub run: Arc<str>,
    /// Its object.
    pub object: Id,
    /// Under which key.
    pub key: Arc<str>,
    /// How it was found.
    pub linked_by: LinkedBy,
}

/// An input or output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Its key.
    pub key: Arc<str>,
    /// Its content.
    pub content: Id,
    /// Where it lived.
    pub path: BString,
    /// Its bytes.
    pub size: u64,
    /// Of an input, the run that made it, if its object is known.
    pub maker: Option<Maker>,
}

/// What a run says that a lineage is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its run id.
    pub run: Arc<str>,
    /// Its step.
    pub step: Arc<str>,
    /// Its scenario.
    pub scenario: Arc<str>,
    /// How it ended.
    pub status: Arc<str>,
    /// `hit`, `miss` or `off`.
    pub cache: Arc<str>,
    /// When it began.
    pub started_at: Micros,
    /// Of a hit, the run whose result it took.
    pub source: Option<(Arc<str>, Id)>,
    /// What it took, by key.
    pub inputs: Vec<End>,
    /// What it made, by key.
    pub outputs: Vec<End>,
}

impl Facts {
    /// Those of a record.
    pub fn of(run: Run) -> Self {
        let cache = run.cache_word().into();
        let inputs = run.inputs.into_iter().map(|(key, input)| End {
            key: key.into(),
            content: input.content.id(),
            path: input.path,
            size: input.size,
            maker: input.producer.and_then(|made| {
                Some(Maker {
                    run: made.run.into(),
                    object: made.object?,
                    key: made.key.into(),
                    linked_by: made.linked_by,
                })
            }),
        });
        let outputs = run.outputs.into_iter().map(|(key, output)| End {
            key: key.into(),
            content: output.content.id(),
            path: output.path,
            size: output.size,
            maker: None,
        });
        Self {
            status: format!("{:?}", run.status).to_lowercase().into(),
            cache,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            source: match run.cache {
                Cache::Hit { source, object, .. } => Some((source.into(), object)),
                Cache::Miss { .. } | Cache::Off => None,
            },
            run: run.run.into(),
            step: run.step.into(),
            scenario: run.scenario.into(),
            started_at: run.started_at,
        }
    }
}

/// Which way a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To what made what the runs took.
    Up,
    /// To what took what the runs made.
    Down,
}

/// What was found on the way: what it lacks is looked for in the store.
#[derive(Debug, Default)]
pub struct Lines {
    /// Runs with their objects. On the way up their outputs, on the way down their inputs may be missing.
    pub runs: Vec<(Id, Facts)>,
    /// On the way down: who took the outputs of these runs, as [`takers`](super::takers) has it, for each content that is in it.
    pub takers: IdMap<Vec<Found>>,
}

/// A quicker way through the records of many runs than one after the other.
pub trait Shortcut {
    /// What lies behind these runs, as the store has it; `None` if there is no quicker way.
    fn lines(&mut self, from: &[Id], way: Way, project: &str) -> Option<Lines>;
}

/// There is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoShortcut;

impl Shortcut for NoShortcut {
    fn lines(&mut self, _: &[Id], _: Way, _: &str) -> Option<Lines> {
        None
    }
}

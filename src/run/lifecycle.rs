//! What a user says of a run beside what determines its result: what it is called and counted as, how it is tried, what a hit prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::Value;

/// How much of a known run's log a hit prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replay {
    /// The last [`super::REPLAYED`] bytes of each stream.
    #[default]
    Tail,
    /// All that is kept.
    All,
    /// Nothing.
    None,
}

/// What is done when a run fails.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How often it is tried again at most.
    pub times: u32,
    /// Milliseconds before the second attempt; before each further one twice as long.
    pub delay_ms: u64,
    /// Exit codes of prov after which it is tried again; empty for all but those that say that it can't be executed or was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<u8>,
}

/// Everything about a run that is not part of its recipe (but for [`Lifecycle::model`]) and not about its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Lifecycle {
    /// The name that its results are known under, if that is not the step's: the recipe has this in the place of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A stage of the work, e.g. `calibration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// A phase of a stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Remarks that can be asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facets: BTreeMap<String, Value>,
    /// Shared by runs that belong together for an outside system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Number of the attempt; 0 counts as 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// Whether no further attempt will follow.
    #[serde(skip_serializing_if = "is_false")]
    pub last_attempt: bool,
    /// Whether it is executed even if its result is known, and compared with that.
    #[serde(skip_serializing_if = "is_false")]
    pub always: bool,
    /// Whether somebody else executes it, between a start and a finish.
    #[serde(skip_serializing_if = "is_false")]
    pub open: bool,
    /// What a hit prints.
    #[serde(skip_serializing_if = "is_tail")]
    pub replay: Replay,
    /// What is done when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

impl Lifecycle {
    /// Whether nothing is said: then a request has no trace of it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The number of the attempt, from 1.
    pub fn attempt_number(&self) -> u32 {
        self.attempt.max(1)
    }

    /// The facets of the record: those given, and what has a word of its own under `prov.`.
    pub(super) fn recorded_facets(&self) -> BTreeMap<String, Value> {
        let mut facets = self.facets.clone();
        for (key, value) in [(MODEL, &self.model), (STAGE, &self.stage), (PHASE, &self.phase)] {
            facets.extend(value.as_ref().map(|value| (key.to_owned(), Value::Text(value.clone()))));
        }
        facets
    }
}

/// The facet that keeps the model.
pub const MODEL: &str = "prov.model";
/// The facet that keeps the stage.
pub const STAGE: &str = "prov.stage";
/// The facet that keeps the phase.
pub const PHASE: &str = "prov.phase";

/// The facets that begin like this are prov's own.
pub const OWN_FACETS: &str = "prov.";

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_false(b: &bool) -> bool {
    !*b
}

fn is_tail(replay: &Replay) -> bool {
    *replay == Replay::Tail
}

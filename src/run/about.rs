//! What a user says of outputs, and expects of them, beside what they are: none of it changes a result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::request::OnMissing;
use crate::codec::Value;
use crate::hash::Id;

/// What is said of one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct About {
    /// Its format by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The id that its content has to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Id>,
    /// What is expected of a set: a number, a range, a member, `CAPTURE=VALUES`, or `{set.KEY}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// Remarks that can be asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facets: BTreeMap<String, Value>,
    /// The name of its schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Free remarks.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, Value>,
}

/// What is said of all outputs of a run, and read from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AboutOutputs {
    /// By key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_key: BTreeMap<String, About>,
    /// Outputs, or keys of the config, that facets of the run are taken from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facets_from: Vec<String>,
    /// Outputs that metrics of the run are taken from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics_from: Vec<String>,
    /// What happens when an output is not what is expected of it.
    #[serde(skip_serializing_if = "is_error")]
    pub on_mismatch: OnMissing,
}

impl Default for AboutOutputs {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            facets_from: Vec::new(),
            metrics_from: Vec::new(),
            on_mismatch: OnMissing::Error,
        }
    }
}

impl AboutOutputs {
    /// Whether nothing is said: then a request has no trace of it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn is_error(what: &OnMissing) -> bool {
    *what == OnMissing::Error
}

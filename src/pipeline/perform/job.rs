//! What a task kind is told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Location};
use crate::clock::{Clock, Micros, SystemClock};
use crate::codec::Value;
use crate::config::located::Node;
use crate::fs::Fs;
use crate::pipeline::file::Flavour;
use crate::pipeline::plan::Roots;
use crate::pipeline::template::Scratchpad;

/// The phase that is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The task's work.
    Run,
    /// Looking at what came of it.
    Validate,
}

impl Phase {
    /// `run` or `validate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Run => "run",
            Phase::Validate => "validate",
        }
    }
}

/// One phase of one task, with everything that counts for it.
#[derive(Debug, Clone)]
pub struct Job {
    /// The phase.
    pub phase: Phase,
    /// Its step.
    pub step: String,
    /// Its name with all values in place.
    pub name: String,
    /// Its type.
    pub task_type: String,
    /// Whose rules hold.
    pub flavour: Flavour,
    /// What it is told, with all values in place: [`Plan::resolve`](crate::pipeline::plan::Plan::resolve).
    pub spec: Node,
    /// Values that are known: those of the file, and those that tasks before it provided.
    pub scratchpad: Scratchpad,
    /// The options that hold, a map, for programs: `runner`, `pool_size`, `log_level`.
    pub config: Value,
    /// Where relative paths are.
    pub roots: Roots,
    /// What it reads.
    pub sources: Vec<Location>,
    /// What it writes.
    pub destinations: Vec<Location>,
    /// Sources that the caller has fetched already, by absolute location: the bytes lie in these files.
    pub fetched: BTreeMap<String, PathBuf>,
    /// The choice of an earlier run, to be taken again.
    pub frozen: Option<Choice>,
    /// The folder that processes run in.
    pub cwd: PathBuf,
    /// Variables that processes get beside those of this one.
    pub env: BTreeMap<OsString, OsString>,
    /// How long a process may run. What works in this one is stopped by its abort.
    pub timeout: Option<Duration>,
    /// A folder of prov's own that is there for this job alone, for what a process is handed and what it prints.
    pub folder: PathBuf,
}

impl Job {
    /// The text under a key of the spec; `None` if it is not there or null.
    ///
    /// # Errors
    /// It is something else than text. In a native file a number or boolean counts as its text.
    pub fn text(&self, key: &str) -> Result<Option<String>, Failure> {
        match self.spec.get(key).filter(|node| !node.is_null()) {
            None => Ok(None),
            Some(node) => self
                .as_text(node)
                .map(Some)
                .ok_or_else(|| Failure::Spec { problem: format!("`{key}` must be text, not {}", node.what()) }),
        }
    }

    /// The text under a key that must be there.
    ///
    /// # Errors
    /// There is none.
    pub fn need(&self, key: &str) -> Result<String, Failure> {
        self.text(key)?
            .ok_or_else(|| Failure::Spec { problem: format!("a task of type `{}` needs `{key}`", self.task_type) })
    }

    /// A node as text, if it can be taken for it.
    pub(super) fn as_text(&self, node: &Node) -> Option<String> {
        match (node.as_scalar()?, self.flavour) {
            (Value::Text(text), _) => Some(text.clone()),
            (value @ (Value::Int(_) | Value::Float(_) | Value::Bool(_)), Flavour::Native) => {
                Some(crate::config::to_json(value))
            }
            _ => None,
        }
    }
}

/// What a task chose, and among what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The scratchpad key that it is for.
    pub key: String,
    /// What it looked for.
    pub pattern: String,
    /// What was chosen; absolute.
    pub chosen: String,
    /// What there was, by name, with the time of the last change if it is known.
    pub among: Vec<(String, Option<Micros>)>,
    /// Whether an earlier choice was taken again.
    pub is_frozen: bool,
}

impl Choice {
    /// As a value, for records.
    pub fn to_value(&self) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let one = |(location, modified): &(String, Option<Micros>)| {
            let modified = modified.map_or(Value::Null, |at| Value::Text(at.rfc3339()));
            Value::Map(vec![("location".to_owned(), text(location)), ("modified_at".to_owned(), modified)])
        };
        Value::Map(vec![
            ("key".to_owned(), text(&self.key)),
            ("pattern".to_owned(), text(&self.pattern)),
            ("chosen".to_owned(), text(&self.chosen)),
            ("among".to_owned(), Value::List(self.among.iter().map(one).collect())),
            ("frozen".to_owned(), Value::Bool(self.is_frozen)),
        ])
    }

    /// From a value that [`Choice::to_value`] made; `None` if it is none.
    pub fn from_value(value: &Value) -> Option<Self> {
        let text = |value: Option<&Value>| match value {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let Some(Value::List(items)) = value.get("among") else { return None };
        let one = |item: &Value| {
            let modified = text(item.get("modified_at"));
            Some((text(item.get("location"))?, modified.as_deref().and_then(Micros::parse)))
        };
        Some(Self {
            key: text(value.get("key"))?,
            pattern: text(value.get("pattern"))?,
            chosen: text(value.get("chosen"))?,
            among: items.iter().map(one).collect::<Option<_>>()?,
            is_frozen: matches!(value.get("frozen"), Some(Value::Bool(true))),
        })
    }
}

/// What the kinds of a registry use of the world.
#[derive(Debug, Clone)]
pub struct World {
    /// The file system.
    pub fs: Fs,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The environment's `PATH`, for programs.
    pub search_path: Option<OsString>,
}

impl World {
    /// This machine.
    pub fn local() -> Self {
        Self { fs: Fs::real(), clock: Arc::new(SystemClock), search_path: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_comes_back_from_its_value() {
        let choice = Choice {
            key: "latest".to_owned(),
            pattern: "/d/*".to_owned(),
            chosen: "/d/b".to_owned(),
            among: vec![("/d/a".to_owned(), Some(Micros(1_000_001))), ("/d/b".to_owned(), None)],
            is_frozen: false,
        };
        assert_eq!(Choice::from_value(&choice.to_value()), Some(choice));
        assert_eq!(Choice::from_value(&Value::Null), None);
    }
}

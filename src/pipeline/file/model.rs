//! A pipeline as its file declares it: nothing replaced, nothing expanded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::codec::Value;
use crate::config::located::{Entry, Node, Place};
use crate::pipeline::template::{Scratchpad, Syntax};

/// Whose rules a file follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// An Otter config, taken as it is.
    Otter,
    /// prov's own.
    Native,
}

impl Flavour {
    /// Its name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Flavour::Otter => "otter",
            Flavour::Native => "native",
        }
    }

    /// The rules of its placeholders.
    pub fn syntax(self) -> Syntax {
        match self {
            Flavour::Otter => Syntax::Otter,
            Flavour::Native => Syntax::Native,
        }
    }
}

/// Text with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub at: Place,
}

/// A declared pipeline.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The file.
    pub file: PathBuf,
    /// Whose rules it follows.
    pub flavour: Flavour,
    /// The runner's name, if the file says it.
    pub runner: Option<Named>,
    /// Options that the file sets: `work_path`, `release_uri`, `pool_size`, `log_level`, as text.
    pub options: BTreeMap<String, Named>,
    /// Values that all tasks share.
    pub scratchpad: Scratchpad,
    /// Task types that the file declares.
    pub types: BTreeMap<String, TypeDeclaration>,
    /// Folders with executables that are task types, later ones first in rank.
    pub task_path: Vec<Named>,
    /// How much there is of each resource that tasks share.
    pub resources: BTreeMap<String, u64>,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// A task type that a file declares.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeDeclaration {
    /// Where.
    pub at: Place,
    /// What is executed for a task of this type.
    pub run: Run,
    /// The keys that its tasks may have, if they are told.
    pub fields: Option<Vec<String>>,
    /// Whether its tasks may make tasks.
    pub expands: bool,
    /// Scratchpad keys that each of its tasks provides.
    pub provides: Vec<String>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// Words, executed as they are.
    Words(Vec<String>),
    /// A text for `sh -c`.
    Shell(String),
}

/// A step: a named list of tasks.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub at: Place,
    /// Steps that must be done before any of its tasks starts.
    pub needs: Vec<Named>,
    /// What its tasks are told.
    pub specs: Vec<Spec>,
}

/// What a task is told to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Its name, as it is at this stage of replacing.
    pub name: Named,
    /// The whole map, `name` and all.
    pub body: Node,
}

impl Spec {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.body.get(key)
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        self.body.as_map().unwrap_or_default()
    }

    /// The names of the tasks that it requires.
    pub fn requires(&self) -> Vec<Named> {
        names(self.get("requires"))
    }

    /// Whether placeholders that nothing is known for are left as they are.
    pub fn ignores_missing(&self) -> bool {
        let value = self.get("scratchpad_ignore_missing").and_then(Node::as_scalar);
        value == Some(&Value::Bool(true))
    }

    /// The word that says what kind of task it is: in a native file `type` if given, else `command` if there is something to `run`, else the
    /// first word of the name.
    pub fn task_type(&self, flavour: Flavour) -> &str {
        if flavour == Flavour::Native {
            if let Some(word) = self.get("type").and_then(Node::as_text) {
                return word;
            }
            if self.get("run").is_some() {
                return "command";
            }
        }
        self.name.text.split(' ').next().unwrap_or_default()
    }
}

/// The texts of a list; a single text counts as a list of one.
pub(in crate::pipeline) fn names(node: Option<&Node>) -> Vec<Named> {
    let Some(node) = node else { return Vec::new() };
    let one = |node: &Node| node.as_text().map(|text| Named { text: text.to_owned(), at: node.at });
    match node.as_list() {
        Some(items) => items.iter().filter_map(one).collect(),
        None => one(node).into_iter().collect(),
    }
}

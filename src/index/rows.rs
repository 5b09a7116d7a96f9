//! Rows as plain data: what a record says, flattened.

use crate::clock::Micros;

/// How far in the log of a store an index is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The store's id.
    pub store: String,
    /// The number of the last entry that it holds.
    pub tip: i64,
    /// The operation of that entry; empty if it can't be told.
    pub op: Vec<u8>,
    /// The names of the ref tables whose refs it holds.
    pub tables: Vec<u8>,
}

/// What a run is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunRow {
    /// Its run id.
    pub run: String,
    /// Its object.
    pub object: String,
    /// Given by the user.
    pub name: Option<String>,
    /// Its project.
    pub project: String,
    /// Its scenario.
    pub scenario: String,
    /// Its step.
    pub step: String,
    /// `command`, `task`, ...
    pub kind: String,
    /// `success`, `failure` or `aborted`.
    pub status: String,
    /// `run` or `validation`.
    pub failed_in: Option<String>,
    /// Whether nothing changed under it.
    pub sealed: bool,
    /// `hit`, `miss` or `off`.
    pub cache: String,
    /// The run whose result it took.
    pub source: Option<String>,
    /// The object of that one.
    pub source_object: Option<String>,
    /// Its recipe.
    pub recipe: Option<String>,
    /// Its config.
    pub config: Option<String>,
    /// `--model`.
    pub model: Option<String>,
    /// `--stage`.
    pub stage: Option<String>,
    /// `--phase`.
    pub phase: Option<String>,
    /// When it began.
    pub started: Micros,
    /// When it ended.
    pub finished: Micros,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// The signal that ended it.
    pub signal: Option<i64>,
    /// What went wrong, in a word.
    pub error_type: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The run around it.
    pub parent: Option<String>,
    /// The number of the attempt.
    pub attempt: i64,
    /// Shared with runs that belong together.
    pub correlation_id: Option<String>,
    /// Where it ran.
    pub host: Option<String>,
    /// Who ran it.
    pub author: Option<String>,
    /// The commit that was checked out.
    pub git_commit: Option<String>,
    /// The branch.
    pub git_branch: Option<String>,
    /// Whether tracked files differed from it.
    pub git_dirty: Option<bool>,
    /// The words of the command.
    pub command: Option<String>,
    /// Where it ran in the project.
    pub cwd: String,
    /// What it is, in a sentence.
    pub description: String,
    /// The most memory of a process, bytes.
    pub max_rss: Option<i64>,
    /// Processor time, microseconds.
    pub cpu_us: Option<i64>,
    /// Facets and the like that were left out because there are too many.
    pub left_out: i64,
    /// Whether somebody said that its outcome is wrong.
    pub retracted: bool,
    /// Whether it is folded away.
    pub hidden: bool,
    /// Whether all paths of its inputs and outputs are text, so that the tables have them as they are.
    pub is_exact: bool,
    /// Its labels.
    pub tags: Vec<String>,
    /// Its inputs and outputs.
    pub artifacts: Vec<ArtifactRow>,
    /// Its facets, metrics and the like, those of its outputs included.
    pub values: Vec<ValueRow>,
    /// The leaves of its config; shared by all runs that were given it.
    pub params: std::sync::Arc<Vec<ValueRow>>,
}

/// An input or output of a run, or a file of an output set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ArtifactRow {
    /// Whether it is an output.
    pub is_output: bool,
    /// Its key.
    pub key: String,
    /// Of a file of a set, its path in the set; else empty.
    pub member: String,
    /// Where it lived.
    pub path: String,
    /// Its content's id.
    pub content: String,
    /// `blob`, `tree` or `external:<scheme>`.
    pub content_type: String,
    /// Its bytes.
    pub size: i64,
    /// Whether the store was given them.
    pub stored: bool,
    /// Its format.
    pub format: Option<String>,
    /// Its schema.
    pub schema: Option<String>,
    /// The run that made it, of an input.
    pub producer: Option<String>,
    /// The object of that run, if the record names it.
    pub producer_object: Option<String>,
    /// Under which key.
    pub producer_key: Option<String>,
    /// How that was found.
    pub linked_by: Option<String>,
}

/// What kind of thing a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueKind {
    /// `--facet`.
    Facet = 0,
    /// A number that the run reported.
    Metric = 1,
    /// A leaf of the config.
    Param = 2,
    /// Year, iteration and the like.
    Dim = 3,
    /// A free remark.
    Meta = 4,
}

impl ValueKind {
    /// All of them.
    pub const ALL: [ValueKind; 5] =
        [ValueKind::Facet, ValueKind::Metric, ValueKind::Param, ValueKind::Dim, ValueKind::Meta];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            ValueKind::Facet => "facet",
            ValueKind::Metric => "metric",
            ValueKind::Param => "param",
            ValueKind::Dim => "dim",
            ValueKind::Meta => "meta",
        }
    }

    /// The kind of that word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A value: a leaf of what was said, by the path of keys that leads to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueRow {
    /// What it is.
    pub kind: ValueKind,
    /// Of which output, by key, and of a file of a set `KEY/MEMBER`; empty for the run's own.
    pub output: String,
    /// Its namespace; empty for the step's.
    pub namespace: String,
    /// Keys joined by dots; a dot in a key has a backslash before it.
    pub key: String,
    /// What was said.
    pub value: super::Cell,
    /// `int`, `float`, `bool`, `text`, `null`, `list`, `map`.
    pub kind_of_value: &'static str,
}

/// A remark about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRow {
    /// The object.
    pub object: String,
    /// The note's own id.
    pub id: String,
    /// When it was made.
    pub at: Micros,
    /// What it says.
    pub text: String,
    /// Who made it.
    pub author: Option<String>,
}

//! What a user asks for: a command with everything declared about it, as plain data.
//!
//! A request is kept in the record of its run, so that a later `status` can ask whether the same request would
//! still be a hit.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::about::AboutOutputs;
use super::config_part::FolderRequest;
use super::lifecycle::Lifecycle;
use super::web::Freshness;
use crate::codec::Value;
use crate::object::recipe::FileSet;

/// What is done about the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// Look up; execute on a miss.
    Reuse,
    /// Do not look up; the new outcome is found first from now on.
    Overwrite,
    /// Look up; execute on a miss, but record nothing.
    Readonly,
    /// Do not look up.
    Off,
}

/// Which files count as code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeMode {
    /// Every file of the project that is source or configuration by the documented list.
    Project,
    /// The files that the command line names.
    Command,
    /// No file.
    None,
    /// These paths and globs, relative to the project.
    Paths(Vec<String>),
}

/// What is brought back on a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoreMode {
    /// All outputs, where they were declared.
    #[default]
    Outputs,
    /// Only facts; files are left alone.
    Metadata,
    /// As `Metadata`.
    None,
}

/// What happens when a declared output is not there after a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// The run failed.
    #[default]
    Error,
    /// The run succeeded, and it is said.
    Warn,
    /// The run succeeded.
    Ignore,
}

/// How surely the outputs of an earlier outcome must be there before it counts as a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validate {
    /// The store has every byte of every output, or the output lies there; bytes are verified as they are read.
    #[default]
    Lazy,
    /// Every byte of every output is read and verified.
    Strict,
    /// The record alone counts.
    None,
}

/// What happens when the same recipe failed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnKnownFailure {
    /// It is said, and the command is executed.
    #[default]
    Run,
    /// Nothing is executed, unless the cache mode is `Overwrite`.
    Stop,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One declared path: `[KEY=]PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Declared {
    /// Its key; `None` to derive it from the file name.
    pub key: Option<String>,
    /// The path as typed, relative to the working folder or absolute; for an input also a revision.
    pub path: BString,
}

impl Declared {
    /// A path under the key that its name gives.
    pub fn path(path: impl Into<BString>) -> Self {
        Self { key: None, path: path.into() }
    }

    /// A path under a key of its own.
    pub fn named(key: impl Into<String>, path: impl Into<BString>) -> Self {
        Self { key: Some(key.into()), path: path.into() }
    }
}

/// The container image that a command runs in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// `NAME@sha256:DIGEST`, or the path of an image file.
    Image(BString),
    /// A command that prints the digest.
    Command(String),
}

/// Some files of a folder as one output: `KEY=ROOT:GLOB`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredSet {
    /// Its key; `None` to derive it from the folder's name.
    pub key: Option<String>,
    /// The folder as typed, relative to the working folder or absolute.
    pub root: BString,
    /// Which of its files.
    pub files: FileSet,
}

/// A command with everything declared about it. Whatever was not asked for is absent from its record: it is most of it, and every look at a
/// run reads it. Made by [`Request::command`] and the methods that follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The command's words.
    pub argv: Vec<BString>,
    /// The working folder relative to the project, empty for its root.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cwd: BString,
    /// The step's name; `None` to derive it from the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Declared inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Declared>,
    /// Declared inputs that need not be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs_optional: Vec<Declared>,
    /// Declared outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Declared>,
    /// Declared outputs that are some files of a folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_sets: Vec<DeclaredSet>,
    /// What is said of outputs and expected of them.
    #[serde(default, skip_serializing_if = "AboutOutputs::is_default")]
    pub about: AboutOutputs,
    /// Whether an input that is missing may be brought back to where a run recorded it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restores_inputs: bool,
    /// Keys of outputs that the command changes where they lie.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub in_place: BTreeSet<String>,
    /// Keys whose bytes are not stored.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub no_store: BTreeSet<String>,
    /// What standard input is read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<BString>,
    /// Config files, later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_files: Vec<BString>,
    /// A folder of configuration.
    #[serde(default, skip_serializing_if = "FolderRequest::is_empty")]
    pub config_folder: FolderRequest,
    /// Settings `KEY=VALUE` over the config files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
    /// Which files count as code; `None` for what the project says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeMode>,
    /// Environment variables that count; with a value, they are also set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<BString>>,
    /// Files that count but are not passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<Declared>,
    /// Lock files: as `identity`, under the whole of their name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Declared>,
    /// Commands that print the version of a tool, by the tool's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, String>,
    /// The container image that the command runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Values that reach the command and are no part of the recipe.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runtime: BTreeMap<String, String>,
    /// Variables whose values reach the command and are never kept.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub secret_env: BTreeSet<String>,
    /// Year, iteration and other dimensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dims: BTreeMap<String, Value>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// What it is, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// A name for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_name: Option<String>,
    /// The scenario; `None` for the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The run around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What is done about the cache; `None` for `Reuse` with outputs, `Off` without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheMode>,
    /// The step's epoch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub epoch: u64,
    /// The step's version.
    #[serde(default, skip_serializing_if = "is_default")]
    pub step_version: u64,
    /// What is brought back on a hit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restore: RestoreMode,
    /// Whether the run says so, so that what its scenario says does not count.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restore_is_said: bool,
    /// Ended after this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether to wait for another run that holds an output path.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wait: bool,
    /// What happens when a declared output is missing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_missing: OnMissing,
    /// When servers are asked whether what is remembered of inputs from the web still holds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub freshness: Freshness,
    /// How surely the outputs of a hit must be there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub validate: Validate,
    /// What happens when the same recipe failed before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_known_failure: OnKnownFailure,
    /// What it is called and counted as, how it is tried, what a hit prints.
    #[serde(default, skip_serializing_if = "Lifecycle::is_default")]
    pub lifecycle: Lifecycle,
    /// What makes it a task of a pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRequest>,
}

/// What a task of a pipeline is beyond a command.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    /// What it is asked to do, as far as that determines its result; `None` if it is a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// Its parameters, a map: config over the config of the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
}

fn is_false(b: &bool) -> bool {
    !*b
}

impl Request {
    /// Whether the list of the project's files is needed to tell its code.
    pub(super) fn lists_files(&self) -> bool {
        !matches!(self.code, Some(CodeMode::None | CodeMode::Command))
    }

    /// A request for a command with nothing declared.
    pub fn command<W: Into<BString>>(argv: impl IntoIterator<Item = W>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: BString::default(),
            step: None,
            inputs: Vec::new(),
            inputs_optional: Vec::new(),
            outputs: Vec::new(),
            output_sets: Vec::new(),
            about: AboutOutputs::default(),
            restores_inputs: false,
            in_place: BTreeSet::new(),
            no_store: BTreeSet::new(),
            stdin: None,
            config_files: Vec::new(),
            config_folder: FolderRequest::default(),
            sets: Vec::new(),
            code: None,
            env: BTreeMap::new(),
            identity: Vec::new(),
            locks: Vec::new(),
            tools: BTreeMap::new(),
            container: None,
            runtime: BTreeMap::new(),
            secret_env: BTreeSet::new(),
            dims: BTreeMap::new(),
            tags: BTreeSet::new(),
            message: String::new(),
            run_name: None,
            scenario: None,
            parent: None,
            cache: None,
            epoch: 0,
            step_version: 0,
            restore: RestoreMode::Outputs,
            restore_is_said: false,
            timeout_ms: None,
            wait: false,
            on_missing: OnMissing::Error,
            freshness: Freshness::default(),
            validate: Validate::Lazy,
            on_known_failure: OnKnownFailure::Run,
            lifecycle: Lifecycle::default(),
            task: None,
        }
    }

    /// Names the step.
    pub fn step(mut self, name: impl Into<String>) -> Self {
        self.step = Some(name.into());
        self
    }

    /// Declares an input under the key that its name gives.
    pub fn input(mut self, path: impl Into<BString>) -> Self {
        self.inputs.push(Declared::path(path));
        self
    }

    /// Declares an input under a key.
    pub fn input_as(mut self, key: impl Into<String>, path: impl Into<BString>) -> Self {
        self.inputs.push(Declared::named(key, path));
        self
    }

    /// Declares an output under the key that its name gives.
    pub fn output(mut self, path: impl Into<BString>) -> Self {
        self.outputs.push(Declared::path(path));
        self
    }

    /// Declares an output under a key.
    pub fn output_as(mut self, key: impl Into<String>, path: impl Into<BString>) -> Self {
        self.outputs.push(Declared::named(key, path));
        self
    }

    /// Declares the files below `root` that `pattern` names as one output.
    pub fn output_set(mut self, key: impl Into<String>, root: impl Into<BString>, pattern: impl Into<String>) -> Self {
        let files = FileSet { include: vec![pattern.into()], ..FileSet::default() };
        self.output_sets.push(DeclaredSet { key: Some(key.into()), root: root.into(), files });
        self
    }

    /// Sets one config value: `threshold=0.7`, YAML 1.2.
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.sets.push(assignment.into());
        self
    }

    /// Says which files count as code.
    pub fn code(mut self, mode: CodeMode) -> Self {
        self.code = Some(mode);
        self
    }

    /// Says what is done about the cache.
    pub fn cache(mut self, mode: CacheMode) -> Self {
        self.cache = Some(mode);
        self
    }

    /// The mode that holds: the given one, else `Reuse` with outputs and `Off` without.
    pub fn cache_mode(&self) -> CacheMode {
        self.cache.unwrap_or(if self.declares_outputs() { CacheMode::Reuse } else { CacheMode::Off })
    }

    /// Whether it declares any output.
    pub fn declares_outputs(&self) -> bool {
        !self.outputs.is_empty() || !self.output_sets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn what_was_not_asked_for_is_absent_and_may_be_there() {
        let plain = Request::command(["true"]);
        let Value::Map(entries) = codec::to_value(&plain).unwrap() else { panic!("a request is a map") };
        let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["argv"]);
        // As requests were written before.
        let mut full = entries;
        let list = || Value::List(Vec::new());
        let map = || Value::Map(Vec::new());
        let text = |text: &str| Value::Text(text.to_owned());
        for (key, value) in [
            ("cwd", Value::Bytes(Vec::new())),
            ("step", Value::Null),
            ("inputs", list()),
            ("outputs", list()),
            ("in_place", list()),
            ("no_store", list()),
            ("stdin", Value::Null),
            ("config_files", list()),
            ("sets", list()),
            ("code", Value::Null),
            ("env", map()),
            ("identity", list()),
            ("dims", map()),
            ("tags", list()),
            ("message", text("")),
            ("run_name", Value::Null),
            ("scenario", Value::Null),
            ("parent", Value::Null),
            ("cache", Value::Null),
            ("epoch", Value::Int(0)),
            ("step_version", Value::Int(0)),
            ("restore", text("outputs")),
            ("timeout_ms", Value::Null),
            ("wait", Value::Bool(false)),
            ("on_missing", text("error")),
        ] {
            full.push((key.to_owned(), value));
        }
        assert_eq!(codec::from_value::<Request>(&Value::Map(full)).unwrap(), plain);
    }
}

//! A run: the closed record of one execution, or of something said by hand.
//!
//! Fields stand in the order of their encoded names, shorter ones first, so that encoding has nothing to sort.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::inputs::{self, Inputs};
use super::recipe::{Content, FileSet};
use super::{Kind, Link, Strength};
use crate::clock::Micros;
use crate::codec::{self, Value};
use crate::hash::Id;

/// What a run is a run of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// A whole pipeline.
    Pipeline,
    /// A step of a pipeline.
    Step,
    /// A task of a step.
    Task,
    /// A command.
    Command,
    /// A record made by hand.
    Manual,
    /// A record taken from another system.
    Import,
    /// Many runs of one step, a row of a table each.
    Sweep,
    /// The close of a scenario: all its runs under one hash.
    Scenario,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should.
    Success,
    /// By itself, but wrong.
    Failure,
    /// Ended from outside: interrupted, killed, timed out.
    Aborted,
}

/// The phase in which a run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// While it ran.
    Run,
    /// When its outputs were checked.
    Validation,
}

/// How an input was tied to the run that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkedBy {
    /// The user named the producer.
    Declared,
    /// A run recorded this content at this path.
    Path,
    /// A run of this scenario recorded this content.
    Content,
}

/// The run that made an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    /// Which of its outputs.
    pub key: String,
    /// Its run id.
    pub run: String,
    /// Its object, when it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Id>,
    /// How it was found.
    pub linked_by: LinkedBy,
    /// Run ids that could have been meant as well, newest first, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

/// A named input of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Where it lived: relative to the project, or absolute when outside of it.
    pub path: BString,
    /// Its bytes.
    pub size: u64,
    /// Whether the store was given its bytes.
    pub stored: bool,
    /// What it held.
    pub content: Content,
    /// The run that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<Producer>,
}

/// A named output of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Which files of the folder at `path` it is; absent when it is all that lies there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<FileSet>,
    /// Whether the owner may execute it; `false` for folders.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exec: bool,
    /// Free remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub meta: BTreeMap<String, Value>,
    /// Where it was made: relative to the project, or absolute when outside of it.
    pub path: BString,
    /// Its bytes.
    pub size: u64,
    /// Queryable remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub facets: BTreeMap<String, Value>,
    /// Its format by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Its schema object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Id>,
    /// Whether the store was given its bytes.
    pub stored: bool,
    /// What it holds.
    pub content: Content,
    /// Of a set: its files by path below `path`. `content` is the tree of just these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub members: BTreeMap<BString, Member>,
}

impl Output {
    /// Where a member of a set lies, as `path` says where the set does.
    pub fn member_path(&self, member: &BString) -> BString {
        let mut path = self.path.clone();
        if !path.is_empty() && !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(member);
        path
    }
}

/// One file of an output set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its content.
    pub id: Id,
    /// Whether the owner may execute it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exec: bool,
    /// Its bytes.
    pub size: u64,
    /// What its name says, by capture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub facets: BTreeMap<String, Value>,
}

/// One reason for a miss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// What about it.
    pub kind: ReasonKind,
    /// The part of the recipe, e.g. `config.threshold`, `code.src/clean.py`, `inputs.raw`.
    pub part: String,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What it was, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// The kinds of reasons for a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// Another value than in the nearest earlier recipe.
    Changed,
    /// Not in the nearest earlier recipe.
    Added,
    /// Only in the nearest earlier recipe.
    Removed,
    /// This step never ran before.
    FirstRun,
    /// A success exists, but its outputs can't be had any more.
    OutputsLost,
    /// The cache mode forbade looking up, or nothing was declared to be cached.
    Policy,
    /// A run of this recipe exists, but it failed.
    Failed,
    /// A run of this recipe exists, but something changed under it.
    Unsealed,
    /// A run of this recipe was taken back.
    Retracted,
}

/// What the cache said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// The outputs of an earlier run were taken.
    Hit {
        /// The object of the run that was executed.
        object: Id,
        /// Its run id.
        source: String,
        /// How long that one took, microseconds.
        source_duration_us: u64,
    },
    /// It had to be executed.
    Miss {
        /// Why.
        reasons: Vec<Reason>,
    },
    /// Nothing was looked up.
    Off,
}

/// What was written to one of the two streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The bytes, as a blob.
    pub id: Id,
    /// Whether the middle was left out because it was too much.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// How many.
    pub size: u64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunError {
    /// The run that failed, when it was another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// A stable word: `exit`, `signal`, `timeout`, `spawn`, `output_missing`, `interrupted`, `killed`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub message: String,
}

/// What the run used of the machine, as the system counted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Processor time in user mode, microseconds.
    pub user_us: u64,
    /// Processor time in the kernel, microseconds.
    pub system_us: u64,
    /// Largest resident memory of a process, bytes.
    pub max_rss_bytes: u64,
}

/// The state of the Git repository around the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Git {
    /// Whether tracked files differed from the commit; `None` when it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
    /// The branch; `None` when detached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit that was checked out; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// An earlier outcome of the same recipe whose bytes are others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differs {
    /// Its run id.
    pub run: String,
    /// The keys of the outputs that differ.
    pub keys: Vec<String>,
    /// Its object.
    pub object: Id,
}

/// The closed record of a run. Pending and running exist only in the live folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Where, relative to the project.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub cwd: BString,
    /// The Git repository around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// `<UTC time>-<step slug>-<16 base32 characters>`.
    pub run: String,
    /// What was executed, word by word, as given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<BString>,
    /// The machine's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What it is a run of.
    pub kind: RunKind,
    /// What it wrote, by stream: `stdout`, `stderr`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub logs: BTreeMap<String, Log>,
    /// Free remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub meta: BTreeMap<String, Value>,
    /// The name that the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The step's name.
    pub step: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// What the cache said.
    pub cache: Cache,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// Who ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Queryable remarks, never part of the recipe.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub facets: BTreeMap<String, Value>,
    /// Declared inputs by key.
    #[serde(default, skip_serializing_if = "inputs::are_none")]
    pub inputs: Inputs,
    /// The run id of the run around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The recipe object; absent when none could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Id>,
    /// Whether inputs, code and outputs were seen not to change while it ran. Only sealed successes are hits.
    pub sealed: bool,
    /// Number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How it ended.
    pub status: Status,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The newest earlier outcome of its recipe that gave other bytes: the program is not deterministic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs: Option<Differs>,
    /// Numbers that the run reports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub metrics: BTreeMap<String, Value>,
    /// Recorded outputs by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub outputs: BTreeMap<String, Output>,
    /// The program that was executed when it is no project file: its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<BString>,
    /// The project's name.
    pub project: String,
    /// Closed children: run id and object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub children: BTreeMap<String, Id>,
    /// The scenario's birth name.
    pub scenario: String,
    /// What changed under it, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsealed: Vec<String>,
    /// Exit code of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_in: Option<Phase>,
    /// What it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// When it began.
    pub started_at: Micros,
    /// What it is, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it ended.
    pub finished_at: Micros,
    /// Code files that were left out for their size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code_left_out: Vec<BString>,
    /// Shared by runs that belong together for an outside system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// When validation began, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_started_at: Option<Micros>,
    /// When validation ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_finished_at: Option<Micros>,
}

fn is_false(b: &bool) -> bool {
    !*b
}

impl Run {
    /// A run that has begun and of which nothing more is known: aborted, unless it comes to something.
    pub fn begun(run: &str, project: &str, scenario: &str, kind: RunKind, step: &str, at: Micros) -> Self {
        Self {
            run: run.to_owned(),
            name: None,
            project: project.to_owned(),
            scenario: scenario.to_owned(),
            kind,
            step: step.to_owned(),
            recipe: None,
            status: Status::Aborted,
            failed_in: None,
            sealed: false,
            unsealed: Vec::new(),
            attempt: 1,
            correlation_id: None,
            parent: None,
            started_at: at,
            finished_at: at,
            validation_started_at: None,
            validation_finished_at: None,
            argv: Vec::new(),
            cwd: BString::default(),
            inputs: Inputs::default(),
            outputs: BTreeMap::new(),
            children: BTreeMap::new(),
            differs: None,
            cache: Cache::Off,
            exit_code: None,
            signal: None,
            error: None,
            logs: BTreeMap::new(),
            resources: None,
            host: None,
            author: None,
            git: None,
            program: None,
            code_left_out: Vec::new(),
            description: String::new(),
            tags: BTreeSet::new(),
            facets: BTreeMap::new(),
            metrics: BTreeMap::new(),
            meta: BTreeMap::new(),
        }
    }

    /// Whether this run may be the source of a hit: executed, successful, sealed.
    pub fn is_result(&self) -> bool {
        self.status == Status::Success
            && self.sealed
            && self.recipe.is_some()
            && self.kind != RunKind::Manual
            && self.kind != RunKind::Import
            && !matches!(self.cache, Cache::Hit { .. })
    }

    /// Whether the outputs were taken from an earlier run.
    pub fn is_hit(&self) -> bool {
        matches!(self.cache, Cache::Hit { .. })
    }

    /// `hit`, `miss` or `off`.
    pub fn cache_word(&self) -> &'static str {
        match self.cache {
            Cache::Hit { .. } => "hit",
            Cache::Miss { .. } => "miss",
            Cache::Off => "off",
        }
    }

    /// How long it took, microseconds.
    pub fn duration_us(&self) -> u64 {
        self.finished_at.since(self.started_at)
    }

    /// The random part of the run id, which people see and type a prefix of.
    pub fn tail(&self) -> &str {
        tail(&self.run)
    }
}

/// The random part of a run id: what follows the last `-`.
pub fn tail(run_id: &str) -> &str {
    run_id.rsplit('-').next().unwrap_or(run_id)
}

/// Crockford's base32, lower case: no `i`, `l`, `o`, `u`. The letters of the random part of a run id.
pub const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Whether `text` could be (a prefix of at least `least` characters of) the random part of a run id.
pub fn is_tail_prefix(text: &str, least: usize) -> bool {
    (least..=16).contains(&text.len()) && text.bytes().all(|b| BASE32.contains(&b))
}

impl Run {
    /// What its record leads to. Inputs in a list are led to by that.
    pub(super) fn links(&self) -> Vec<Link> {
        let content = |c: &Content, stored: bool| c.link(if stored { Strength::Content } else { Strength::Weak });
        let mut links: Vec<Link> = Vec::new();
        links.extend(self.recipe.map(|id| Link(id, Kind::RECIPE, Strength::Record)));
        links.extend(self.differs.iter().map(|other| Link(other.object, Kind::RUN, Strength::Weak)));
        match self.inputs.list() {
            Some(&list) => links.push(Link(list, Kind::INPUTS, Strength::Record)),
            None => links.extend(inputs::links(&self.inputs)),
        }
        for output in self.outputs.values() {
            links.extend(content(&output.content, output.stored));
            links.extend(output.schema.map(|id| Link(id, Kind::SCHEMA, Strength::Record)));
        }
        links.extend(self.children.values().map(|&id| Link(id, Kind::RUN, Strength::Record)));
        if let Cache::Hit { object, .. } = &self.cache {
            links.push(Link(*object, Kind::RUN, Strength::Record));
        }
        links.extend(self.logs.values().map(|log| Link(log.id, Kind::BLOB, Strength::Content)));
        links
    }
}

fn is_empty(s: &BString) -> bool {
    s.is_empty()
}

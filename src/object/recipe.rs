//! A recipe: everything that determines a result. Its id is the cache key.
//!
//! Fields stand in the order of their encoded names, shorter ones first, so that encoding has nothing to sort.

use std::collections::BTreeMap;

use bstr::BString;
use serde::{Deserialize, Serialize};

use super::{Error, Kind, Link, Record, Strength};
use crate::codec::{self, Value};
use crate::hash::Id;

/// The newest rule set by which recipes are made. Older ones stay computable, so better rules lose no hits.
pub const RULES: u32 = 1;

/// What some content is, by its bytes alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Content {
    /// A file.
    #[serde(rename = "blob")]
    Blob(Id),
    /// A folder.
    #[serde(rename = "tree")]
    Tree(Id),
    /// Something that is not bytes in the store: a scheme and the digest of what identifies it there.
    #[serde(rename = "external")]
    External(String, Id),
}

/// The scheme of an optional input that was not there.
const ABSENT: &str = "absent";
/// The hash context of its digest.
const ABSENT_CONTEXT: &str = "prov 2026-11 absent";

impl Content {
    /// An optional input that is not there: a fact of its own, and no content.
    pub fn absent() -> Self {
        Content::External(ABSENT.to_owned(), crate::hash::derived(ABSENT_CONTEXT, b""))
    }

    /// Whether it is [`Content::absent`].
    pub fn is_absent(&self) -> bool {
        matches!(self, Content::External(scheme, _) if scheme == ABSENT)
    }

    /// The digest, whatever the type.
    pub fn id(&self) -> Id {
        match self {
            Content::Blob(id) | Content::Tree(id) | Content::External(_, id) => *id,
        }
    }

    /// The kind of object that holds it; `None` for external content.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Content::Blob(_) => Some(Kind::BLOB),
            Content::Tree(_) => Some(Kind::TREE),
            Content::External(..) => None,
        }
    }

    /// The word for its type: `blob`, `tree` or `external:<scheme>`.
    pub fn type_name(&self) -> String {
        match self {
            Content::Blob(_) => "blob".to_owned(),
            Content::Tree(_) => "tree".to_owned(),
            Content::External(scheme, _) => format!("external:{scheme}"),
        }
    }

    /// A link of the given strength to the object that holds it.
    pub fn link(&self, strength: Strength) -> Option<Link> {
        self.kind().map(|kind| Link(self.id(), kind, strength))
    }
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Working folder relative to the project, empty for its root.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub cwd: BString,
    /// The words of the command, declared paths replaced by `{input.KEY}` and `{output.KEY}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<BString>,
    /// `command`, `manual`, `task` or `function`.
    pub kind: ActionKind,
    /// What a task or function is asked to do beyond words, for kinds that have such a thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// What the command reads from its standard input; absent when that is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Content>,
}

/// The kinds of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// A program with arguments.
    Command,
    /// Nothing was executed: a person says that it is so.
    Manual,
    /// A typed task of a pipeline.
    Task,
    /// A function of a program that uses the library.
    Function,
}

/// The code that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// The files that count as code, as a tree relative to the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Id>,
    /// The program of `argv[0]` when it is a project file: its path and content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<(BString, Id)>,
}

/// How often things were declared to have changed although prov can't see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epochs {
    /// Of the step.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u64,
    /// Of the whole project.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub project: u64,
    /// Of the scenario.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scenario: u64,
}

/// Which files of a folder an output is, where it is not the whole folder: patterns as `recipe::pattern` reads them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSet {
    /// Patterns of its files, sorted.
    pub include: Vec<String>,
    /// Patterns of files that are none of it, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Whether it is only what the run made or changed of them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub changed: bool,
}

impl FileSet {
    /// The same set in the form that records have.
    pub fn sorted(&self) -> Self {
        let sorted = |texts: &[String]| {
            let mut texts = texts.to_vec();
            texts.sort();
            texts.dedup();
            texts
        };
        Self { include: sorted(&self.include), exclude: sorted(&self.exclude), changed: self.changed }
    }
}

fn is_false(b: &bool) -> bool {
    !*b
}

/// Everything that determines a result, as named parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Declared environment variables; `None` when not set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub env: BTreeMap<String, Option<BString>>,
    /// The code that takes part.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code: Code,
    /// Year, iteration and other dimensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub dims: BTreeMap<String, Value>,
    /// Those of the outputs that are only some files of their folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub sets: BTreeMap<String, FileSet>,
    /// The step's name.
    pub step: String,
    /// The rule set that made it.
    pub rules: u32,
    /// Versions of tools, as they print them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub tools: BTreeMap<String, BString>,
    /// What is done.
    pub action: Action,
    /// The config object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Id>,
    /// Declared epochs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub epochs: Epochs,
    /// Declared inputs by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub inputs: BTreeMap<String, Content>,
    /// Parameters beside the config (pipelines).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub params: BTreeMap<String, Value>,
    /// Declared output keys; with the path where the command can only know it by heart, because no word of argv is it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub outputs: BTreeMap<String, Option<BString>>,
    /// The version that the step declares.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u64,
    /// Files that count but are not inputs, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub identity: BTreeMap<String, Content>,
    /// Digest of the container image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_empty(s: &BString) -> bool {
    s.is_empty()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Record for Recipe {
    const KIND: Kind = Kind::RECIPE;

    fn links(&self) -> Result<Vec<Link>, codec::Error> {
        let mut links: Vec<Link> = Vec::new();
        links.extend(self.config.map(|id| Link(id, Kind::CONFIG, Strength::Record)));
        links.extend(self.code.tree.map(|id| Link(id, Kind::TREE, Strength::Record)));
        links.extend(self.code.program.iter().map(|(_, id)| Link(*id, Kind::BLOB, Strength::Weak)));
        links.extend(self.action.stdin.iter().filter_map(|c| c.link(Strength::Weak)));
        links.extend(self.inputs.values().filter_map(|c| c.link(Strength::Weak)));
        links.extend(self.identity.values().filter_map(|c| c.link(Strength::Weak)));
        Ok(links)
    }

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        Ok((self.links()?, codec::encode_unchecked(self)?))
    }

    fn from_parts(_links: &[Link], body: &[u8]) -> Result<Self, Error> {
        codec::decode_checked(body).map_err(|source| Error::Damaged { kind: Self::KIND, source })
    }
}

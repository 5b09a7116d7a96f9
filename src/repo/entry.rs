//! What refs say: small records, so that listing runs opens no objects.

use bstr::BString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Micros;
use crate::codec::{self, Limits};
use crate::hash::Id;
use crate::object::Kind;
use crate::object::run::{Run, RunKind, Status};

/// One line of a log: the value of a `runs` ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLine {
    /// When it began.
    pub at: Micros,
    /// How long it took, microseconds.
    pub us: u64,
    /// What it is a run of.
    pub kind: RunKind,
    /// The name that the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The step's name.
    pub step: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `hit`, `miss` or `off`.
    pub cache: String,
    /// Commit that was checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The run's object.
    pub object: Id,
    /// The run around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Whether nothing was seen to change under it.
    pub sealed: bool,
    /// How it ended.
    pub status: Status,
}

impl RunLine {
    /// The line of a closed run.
    pub fn of(run: &Run, object: Id) -> Self {
        Self {
            object,
            kind: run.kind,
            status: run.status,
            step: run.step.clone(),
            at: run.started_at,
            us: run.duration_us(),
            cache: run.cache_word().to_owned(),
            name: run.name.clone(),
            tags: run.tags.iter().cloned().collect(),
            parent: run.parent.clone(),
            sealed: run.sealed,
            commit: run.git.as_ref().and_then(|git| git.commit.clone()),
        }
    }
}

/// Where a run is: the value of an `ids` or `names` ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPlace {
    /// The run's object.
    pub object: Id,
    /// Its project.
    pub project: String,
    /// Its scenario.
    pub scenario: String,
}

/// An outcome of a recipe: the value of a `results` or `failures` ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The run's object.
    pub object: Id,
    /// Whether nothing was seen to change under it.
    pub sealed: bool,
    /// How it ended.
    pub status: Status,
}

/// One run of a step: the value of a `steps` ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRun {
    /// `hit`, `miss` or `off`.
    pub cache: String,
    /// The run's object.
    pub object: Id,
    /// Its recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Id>,
    /// How it ended.
    pub status: Status,
    /// Its scenario.
    pub scenario: String,
}

/// A run that made or took some content: the value of a `producers` or `consumers` ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// Where the content lived.
    pub path: BString,
    /// The run's object.
    pub object: Id,
    /// Its project.
    pub project: String,
    /// Its scenario.
    pub scenario: String,
}

/// Something said about a run: the value of an `about` ref of a mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkLine {
    /// When it was said.
    pub at: Micros,
    /// Whether it holds from then on, or no longer.
    pub on: bool,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Who said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// A remark about an object: the value of an `about` ref of a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteLine {
    /// When it was made.
    pub at: Micros,
    /// What it says.
    pub text: String,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// Where content is that is not here: the value of a `presence` ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Since when.
    pub at: Micros,
    /// The id of the store that records came from without it.
    pub store: String,
}

/// What a name of a user's choice means: the value of a `tags` ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The object: of a run, or one that no run is named for.
    pub object: Id,
    /// What it is.
    pub kind: Kind,
    /// The run, if it is one, or an artifact of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The artifact's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What a name of a scenario stands for: the value of a `scenarios` ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScenarioRef {
    /// The settings of the scenario that was born with the name.
    Settings(Id),
    /// The name that it was born with.
    Alias(String),
}

#[derive(Serialize, Deserialize)]
struct AliasOf {
    of: String,
}

impl ScenarioRef {
    /// Reads the value of a ref.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(value: &[u8]) -> Result<Self, codec::Error> {
        match decode::<Id>(value) {
            Ok(id) => Ok(Self::Settings(id)),
            Err(err) => decode::<AliasOf>(value).map(|alias| Self::Alias(alias.of)).map_err(|_| err),
        }
    }

    /// The value of the ref of an alias.
    ///
    /// # Errors
    /// Never for names within the limits.
    pub fn alias_of(birth: &str) -> Result<Vec<u8>, codec::Error> {
        encode(&AliasOf { of: birth.to_owned() })
    }
}

/// What lies staged for the next commit: the value of a `workspaces/…/staged` ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Whether its owner may execute it.
    pub exec: bool,
    /// Its bytes.
    pub size: u64,
    /// Its content.
    pub content: crate::object::recipe::Content,
}

/// Encodes a ref's value.
///
/// # Errors
/// Never for the records of this module.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, codec::Error> {
    codec::encode(value)
}

/// Reads a ref's value. Fields that are not known are ignored, so that a newer prov may add some.
///
/// # Errors
/// When it is not such a record.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, codec::Error> {
    codec::decode_lenient(bytes, &Limits::RECORD)
}

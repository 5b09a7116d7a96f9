//! The kinds of objects.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of an object: a short lower-case word. Unknown kinds are carried, so a newer prov's objects pass through.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// The bytes of a file.
    pub const BLOB: Kind = Kind(Cow::Borrowed("blob"));
    /// A folder listing.
    pub const TREE: Kind = Kind(Cow::Borrowed("tree"));
    /// The pieces of a large blob.
    pub const CHUNKS: Kind = Kind(Cow::Borrowed("chunks"));
    /// A configuration.
    pub const CONFIG: Kind = Kind(Cow::Borrowed("config"));
    /// What determines a result.
    pub const RECIPE: Kind = Kind(Cow::Borrowed("recipe"));
    /// What many runs took alike.
    pub const INPUTS: Kind = Kind(Cow::Borrowed("inputs"));
    /// What happened.
    pub const RUN: Kind = Kind(Cow::Borrowed("run"));
    /// A named group of runs.
    pub const SCENARIO: Kind = Kind(Cow::Borrowed("scenario"));
    /// Columns of a table (reserved).
    pub const SCHEMA: Kind = Kind(Cow::Borrowed("schema"));
    /// A remark about an object.
    pub const NOTE: Kind = Kind(Cow::Borrowed("note"));
    /// A signature (reserved).
    pub const SIGNATURE: Kind = Kind(Cow::Borrowed("signature"));
    /// The outcome of executing a run once more.
    pub const VERDICT: Kind = Kind(Cow::Borrowed("verdict"));
    /// Something said about a run: retract, hide.
    pub const MARK: Kind = Kind(Cow::Borrowed("mark"));

    /// Takes a kind's name: 1 to 32 characters, `a-z`, `0-9` and `-`, a letter first; `None` for anything else.
    pub fn new(name: &str) -> Option<Self> {
        let known = match name {
            "blob" => Self::BLOB,
            "tree" => Self::TREE,
            "chunks" => Self::CHUNKS,
            "config" => Self::CONFIG,
            "recipe" => Self::RECIPE,
            "inputs" => Self::INPUTS,
            "run" => Self::RUN,
            "scenario" => Self::SCENARIO,
            "schema" => Self::SCHEMA,
            "note" => Self::NOTE,
            "signature" => Self::SIGNATURE,
            "verdict" => Self::VERDICT,
            "mark" => Self::MARK,
            _ => return Self::other(name),
        };
        Some(known)
    }

    /// A kind that this prov does not know.
    fn other(name: &str) -> Option<Self> {
        let mut chars = name.bytes();
        let sound = name.len() <= 32
            && chars.next().is_some_and(|c| c.is_ascii_lowercase())
            && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        sound.then(|| Self(Cow::Owned(name.to_owned())))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash context of this kind: `prov 2026-11 object <kind>`.
    pub fn context(&self) -> String {
        format!("prov 2026-11 object {self}")
    }

    /// Whether this prov knows the kind.
    pub fn is_known(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Kind::new(&name).ok_or_else(|| serde::de::Error::custom("not the name of an object kind"))
    }
}

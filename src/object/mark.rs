//! A mark: something said about a run after it was closed, or about content. Marks are only ever added; the newest one of a kind holds.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Link, Record, Strength};
use crate::clock::Micros;
use crate::codec::{self, Limits};
use crate::hash::Id;

/// What can be said about a run, or about content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// Its outcome is wrong: it is never a hit again, and names that mean the newest success pass over it.
    Retract,
    /// It is folded away in listings.
    Hide,
    /// Of content: its bytes are gone for good, and refused should they come again.
    Scrub,
}

impl MarkKind {
    /// Its word in records and refs.
    pub fn as_str(self) -> &'static str {
        match self {
            MarkKind::Retract => "retract",
            MarkKind::Hide => "hide",
            MarkKind::Scrub => "scrub",
        }
    }
}

impl fmt::Display for MarkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The run that it is about: its object. Of a scrub the content.
    pub of: Id,
    /// What is said.
    pub kind: MarkKind,
    /// Whether it holds from now on, or no longer.
    pub on: bool,
    /// When; above the time of every earlier mark of this kind on that run.
    pub at: Micros,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Who said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

impl Record for Mark {
    const KIND: Kind = Kind::MARK;

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        let of = if self.kind == MarkKind::Scrub { Kind::BLOB } else { Kind::RUN };
        Ok((vec![Link(self.of, of, Strength::Weak)], codec::encode(self)?))
    }

    fn from_parts(_links: &[Link], body: &[u8]) -> Result<Self, Error> {
        codec::decode(body, &Limits::RECORD).map_err(|source| Error::Damaged { kind: Self::KIND, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::id_of;

    #[test]
    fn a_mark_survives_and_every_field_counts() {
        let mark = Mark {
            of: crate::hash::blob(b"run"),
            kind: MarkKind::Retract,
            on: true,
            at: Micros(7),
            why: "wrong sensor".to_owned(),
            author: Some("Ada".to_owned()),
        };
        let bytes = mark.encode().unwrap();
        assert_eq!(Mark::decode(&bytes).unwrap(), mark);
        let others = [
            Mark { of: crate::hash::blob(b"other"), ..mark.clone() },
            Mark { kind: MarkKind::Hide, ..mark.clone() },
            Mark { on: false, ..mark.clone() },
            Mark { at: Micros(8), ..mark.clone() },
            Mark { why: String::new(), ..mark.clone() },
            Mark { author: None, ..mark.clone() },
        ];
        for other in others {
            assert_ne!(id_of(&Kind::MARK, &other.encode().unwrap()), id_of(&Kind::MARK, &bytes), "{other:?}");
        }
    }
}

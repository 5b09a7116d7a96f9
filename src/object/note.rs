//! A note: a remark about an object, made after it was closed. Notes are only ever added.

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Link, Record, Strength};
use crate::clock::Micros;
use crate::codec::{self, Limits};
use crate::hash::Id;

/// Bytes of a note's text at most.
pub const TEXT_MAX: usize = 64 << 10;

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The object that it is about.
    pub of: Id,
    /// What kind of object that is.
    pub of_kind: Kind,
    /// When it was made.
    pub at: Micros,
    /// What it says.
    pub text: String,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

impl Record for Note {
    const KIND: Kind = Kind::NOTE;

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        Ok((vec![Link(self.of, self.of_kind.clone(), Strength::Weak)], codec::encode(self)?))
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
    fn a_note_survives_and_every_field_counts() {
        let note = Note {
            of: crate::hash::blob(b"run"),
            of_kind: Kind::RUN,
            at: Micros(7),
            text: "wrong sensor".to_owned(),
            author: Some("Ada".to_owned()),
        };
        let bytes = note.encode().unwrap();
        assert_eq!(Note::decode(&bytes).unwrap(), note);
        let others = [
            Note { of: crate::hash::blob(b"other"), ..note.clone() },
            Note { of_kind: Kind::BLOB, ..note.clone() },
            Note { at: Micros(8), ..note.clone() },
            Note { text: String::new(), ..note.clone() },
            Note { author: None, ..note.clone() },
        ];
        for other in others {
            assert_ne!(id_of(&Kind::NOTE, &other.encode().unwrap()), id_of(&Kind::NOTE, &bytes), "{other:?}");
        }
    }
}

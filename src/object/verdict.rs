//! A verdict: what came of executing a recorded run once more, elsewhere. Verdicts are only ever added; the newest one of a run holds.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Link, Record, Strength};
use crate::clock::Micros;
use crate::codec::{self, Limits};
use crate::hash::Id;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// All outputs have the recorded bytes.
    Reproduced,
    /// It was a success, and an output has other bytes, or is there on one side only.
    Differs,
    /// It was no success.
    Failed,
}

impl Finding {
    /// Its word in records and refs.
    pub fn as_str(self) -> &'static str {
        match self {
            Finding::Reproduced => "reproduced",
            Finding::Differs => "differs",
            Finding::Failed => "failed",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an output compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sameness {
    /// The same bytes.
    Same,
    /// Other bytes.
    Differs,
    /// It was recorded and was not made again.
    Missing,
    /// It was made and was not recorded.
    Extra,
}

impl Sameness {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Sameness::Same => "same",
            Sameness::Differs => "differs",
            Sameness::Missing => "missing",
            Sameness::Extra => "extra",
        }
    }
}

/// What came of executing a run once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The object of the run.
    pub of: Id,
    /// When it was executed again.
    pub at: Micros,
    /// What came of it.
    pub finding: Finding,
    /// How its outputs compare, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub outputs: BTreeMap<String, Sameness>,
    /// Parts of the recipe that were not as recorded: what could not be laid out, another version of a tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// On which machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Record for Verdict {
    const KIND: Kind = Kind::VERDICT;

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        Ok((vec![Link(self.of, Kind::RUN, Strength::Weak)], codec::encode(self)?))
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
    fn a_verdict_survives_and_every_field_counts() {
        let verdict = Verdict {
            of: crate::hash::blob(b"run"),
            at: Micros(7),
            finding: Finding::Differs,
            outputs: BTreeMap::from([("long".to_owned(), Sameness::Same), ("z".to_owned(), Sameness::Extra)]),
            parts: vec!["tools.fit".to_owned()],
            took_us: 5,
            host: Some("h".to_owned()),
            author: Some("Ada".to_owned()),
            error: Some("e".to_owned()),
        };
        let bytes = verdict.encode().unwrap();
        assert_eq!(Verdict::decode(&bytes).unwrap(), verdict);
        let others = [
            Verdict { of: crate::hash::blob(b"other"), ..verdict.clone() },
            Verdict { at: Micros(8), ..verdict.clone() },
            Verdict { finding: Finding::Failed, ..verdict.clone() },
            Verdict { outputs: BTreeMap::new(), ..verdict.clone() },
            Verdict { parts: Vec::new(), ..verdict.clone() },
            Verdict { took_us: 6, ..verdict.clone() },
            Verdict { host: None, ..verdict.clone() },
            Verdict { author: None, ..verdict.clone() },
            Verdict { error: None, ..verdict.clone() },
        ];
        for other in others {
            assert_ne!(id_of(&Kind::VERDICT, &other.encode().unwrap()), id_of(&Kind::VERDICT, &bytes), "{other:?}");
        }
    }
}

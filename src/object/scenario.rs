//! A scenario: a named group of runs with shared settings.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Link, Record, Strength};
use crate::clock::Micros;
use crate::codec::{self, Limits};
use crate::hash::Id;

/// The settings of a scenario at one moment. Which runs belong to it is said by the runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name it was born with; never changes, renaming moves an alias.
    pub name: String,
    /// When it was made.
    pub created_at: Micros,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its config object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Id>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// The scenario it was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Part of every recipe in it: another number forgets earlier results.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Record for Scenario {
    const KIND: Kind = Kind::SCENARIO;

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        let links = self.config.iter().map(|&id| Link(id, Kind::CONFIG, Strength::Record)).collect();
        Ok((links, codec::encode(self)?))
    }

    fn from_parts(_links: &[Link], body: &[u8]) -> Result<Self, Error> {
        codec::decode(body, &Limits::RECORD).map_err(|source| Error::Damaged { kind: Self::KIND, source })
    }
}

//! A scenario: a named group of runs with shared settings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Link, Record, Strength};
use crate::clock::Micros;
use crate::codec::{self, Limits, Value};
use crate::hash::Id;

/// The settings of a scenario at one moment. Which runs belong to it is said by the runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The name that it goes by now, if it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What a hit in it puts back, unless the run says: `outputs`, `metadata` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,
    /// Labels that every run in it is given.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub run_tags: BTreeSet<String>,
    /// Facets that every run in it is given, under its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "codec::in_order")]
    pub run_facets: BTreeMap<String, Value>,
    /// Outputs without which it is not complete when it is closed: their keys.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub required: BTreeSet<String>,
    /// The run that sealed it: nothing is recorded in it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

/// How a scenario was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// When.
    pub at: Micros,
    /// The closing run.
    pub run: String,
    /// Its object, which binds all runs of the scenario.
    pub object: Id,
}

impl Scenario {
    /// One of which nothing is said.
    pub fn named(name: &str, created_at: Micros) -> Self {
        Self {
            name: name.to_owned(),
            created_at,
            description: String::new(),
            config: None,
            tags: BTreeSet::new(),
            base: None,
            epoch: 0,
            alias: None,
            restore: None,
            run_tags: BTreeSet::new(),
            run_facets: BTreeMap::new(),
            required: BTreeSet::new(),
            closed: None,
        }
    }

    /// The name that it goes by.
    pub fn current_name(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Record for Scenario {
    const KIND: Kind = Kind::SCENARIO;

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        let config = self.config.iter().map(|&id| Link(id, Kind::CONFIG, Strength::Record));
        let closed = self.closed.iter().map(|closed| Link(closed.object, Kind::RUN, Strength::Record));
        Ok((config.chain(closed).collect(), codec::encode(self)?))
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
    fn a_scenario_survives_and_every_field_counts() {
        let (config, object) = (crate::hash::blob(b"config"), crate::hash::blob(b"run"));
        let text = |text: &str| text.to_owned();
        let all = Scenario {
            description: text("about"),
            config: Some(config),
            tags: BTreeSet::from([text("t")]),
            base: Some(text("main")),
            epoch: 1,
            alias: Some(text("b")),
            restore: Some(text("none")),
            run_tags: BTreeSet::from([text("t")]),
            run_facets: BTreeMap::from([(text("long"), Value::Int(1)), (text("z"), Value::Int(2))]),
            required: BTreeSet::from([text("k")]),
            closed: Some(Closed { at: Micros(9), run: text("r"), object }),
            ..Scenario::named("a", Micros(7))
        };
        let bytes = all.encode().unwrap();
        assert_eq!(Scenario::decode(&bytes).unwrap(), all);
        let others = [
            Scenario { name: text("c"), ..all.clone() },
            Scenario { created_at: Micros(8), ..all.clone() },
            Scenario { description: String::new(), ..all.clone() },
            Scenario { config: None, ..all.clone() },
            Scenario { tags: BTreeSet::new(), ..all.clone() },
            Scenario { base: None, ..all.clone() },
            Scenario { epoch: 0, ..all.clone() },
            Scenario { alias: None, ..all.clone() },
            Scenario { restore: None, ..all.clone() },
            Scenario { run_tags: BTreeSet::new(), ..all.clone() },
            Scenario { run_facets: BTreeMap::new(), ..all.clone() },
            Scenario { required: BTreeSet::new(), ..all.clone() },
            Scenario { closed: None, ..all.clone() },
        ];
        for other in others {
            assert_ne!(id_of(&Kind::SCENARIO, &other.encode().unwrap()), id_of(&Kind::SCENARIO, &bytes), "{other:?}");
        }
    }

    #[test]
    fn one_of_which_little_is_said_is_what_it_always_was() {
        let plain = Scenario { epoch: 3, ..Scenario::named("a", Micros(7)) };
        let (_, body) = plain.to_parts().unwrap();
        assert_eq!(crate::hash::hex(&body), "83a46e616d65a161a565706f636803aa637265617465645f617407");
    }
}

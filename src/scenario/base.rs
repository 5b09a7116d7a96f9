//! Where a forked scenario begins: its base as it was then.

use std::collections::HashSet;

use super::{Error, settings};
use crate::clock::Micros;
use crate::store::Snapshot;

/// Bases of bases that are followed at most.
const DEPTH: usize = 64;

/// A part of a scenario's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The scenario, by the name that it was born with.
    pub scenario: String,
    /// Only its runs that began before this; all of them if `None`.
    pub before: Option<Micros>,
}

impl Link {
    /// Whether a run that began then is a part of it.
    pub fn has(&self, at: Micros) -> bool {
        self.before.is_none_or(|before| at < before)
    }
}

/// The history of a scenario, newest part first: its own runs, then those that its base had when it was forked, and so on.
///
/// # Errors
/// When settings can't be read.
pub fn chain(snapshot: &Snapshot, project: &str, name: &str) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    let mut seen = HashSet::new();
    let (mut at, mut before) = (name.to_owned(), None);
    while links.len() < DEPTH {
        let found = settings(snapshot, project, &at)?;
        let scenario = found.as_ref().map_or(at, |found| found.name.clone());
        if !seen.insert(scenario.clone()) {
            break;
        }
        links.push(Link { scenario, before });
        let Some(found) = found else { break };
        let Some(base) = found.base else { break };
        before = Some(before.map_or(found.created_at, |before: Micros| before.min(found.created_at)));
        at = base;
    }
    Ok(links)
}

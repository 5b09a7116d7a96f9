//! How far two stores have seen each other: a cache, so that what is known not to be new need not be looked at again. Without it, and where it
//! does not fit any more, everything is compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::remote::Remote;
use super::walk::Depth;
use crate::codec::{self, Limits};
use crate::repo::Repo;
use crate::store::{Point, Snapshot, Store};

/// Up to which entry of the one log everything is in the other store, and where the log of the other one stood then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    pub(super) far: Point,
    pub(super) near: Point,
}

/// What is remembered of one remote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Position {
    /// The remote store's id.
    pub(super) far: String,
    /// The local store's id.
    pub(super) near: String,
    /// The project.
    pub(super) project: String,
    /// What was fetched, and whether its content was, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fetched: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fetched_records: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pushed: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pushed_records: Option<Mark>,
    /// Where both logs end if there is nothing to do, by the way that was gone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rest: BTreeMap<String, Mark>,
}

/// The name of a way in [`Position::rest`].
fn way(is_push: bool, depth: Depth) -> &'static str {
    match (is_push, depth) {
        (true, Depth::Content) => "push",
        (true, Depth::Records) => "push records",
        (false, Depth::Content) => "fetch",
        (false, Depth::Records) => "fetch records",
    }
}

/// What a position says of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It goes on from there.
    Fits,
    /// Nothing is remembered.
    Unknown,
    /// Another store lies there now.
    OtherStore,
    /// The store has the id it had, and another history.
    OtherHistory,
}

fn file(repo: &Repo, remote: &Remote) -> std::path::PathBuf {
    repo.layout().cache().join("remotes").join(&remote.name)
}

impl Position {
    pub(super) fn load(repo: &Repo, remote: &Remote) -> Self {
        let bytes = repo.fs().read(&file(repo, remote)).ok().flatten().unwrap_or_default();
        let (Some(digest), Some(text)) = (bytes.get(..32), bytes.get(32..)) else { return Self::default() };
        if crate::hash::derived(CONTEXT, text).digest() != digest {
            return Self::default();
        }
        codec::decode(text, &Limits::RECORD).unwrap_or_default()
    }

    /// Writes it down. A cache that can't be written costs time, nothing else.
    pub(super) fn save(&self, repo: &Repo, remote: &Remote) {
        let path = file(repo, remote);
        let Ok(text) = codec::encode(self) else { return };
        let mut bytes = crate::hash::derived(CONTEXT, &text).digest().to_vec();
        bytes.extend(text);
        let Some(dir) = path.parent() else { return };
        let _ = repo.fs().make_dirs(dir).and_then(|()| repo.fs().replace(&path, &bytes, false));
    }

    /// Whether both logs end where they did when there was nothing to do: two listings tell, and no log is read.
    pub(super) fn rests(
        &self,
        repo: &Repo,
        near: &Store,
        far: &Store,
        (is_push, depth): (bool, Depth),
    ) -> Result<bool, crate::store::Error> {
        let Some(rest) = self.rest.get(way(is_push, depth)) else { return Ok(false) };
        let is_of_these = self.far == far.id() && self.near == near.id() && self.project == repo.project();
        Ok(is_of_these && near.ends_at(&rest.near)? && far.ends_at(&rest.far)?)
    }

    /// Remembers that there is nothing to do where both logs end now. What held for the other ways may not hold any more.
    pub(super) fn rest_at(&mut self, (is_push, depth): (bool, Depth), rest: Option<Mark>, is_quiet: bool) {
        if !is_quiet {
            self.rest.clear();
        }
        if let Some(rest) = rest {
            self.rest.insert(way(is_push, depth).to_owned(), rest);
        }
    }

    /// Whether what is remembered is of these stores; else it is forgotten.
    pub(super) fn check(&mut self, repo: &Repo, near: &Snapshot, far: &Snapshot) -> Result<Fit, crate::store::Error> {
        let now = Self {
            far: far.store().id().to_owned(),
            near: near.store().id().to_owned(),
            project: repo.project().to_owned(),
            ..Self::default()
        };
        if self.far.is_empty() {
            *self = now;
            return Ok(Fit::Unknown);
        }
        if self.far != now.far {
            *self = now;
            return Ok(Fit::OtherStore);
        }
        if self.near != now.near || self.project != now.project {
            *self = now;
            return Ok(Fit::Unknown);
        }
        let marks = [&self.fetched, &self.fetched_records, &self.pushed, &self.pushed_records];
        let mut fit = Fit::Fits;
        for mark in marks.into_iter().flatten() {
            if !far.goes_on_from(&mark.far)? {
                fit = Fit::OtherHistory;
            } else if fit == Fit::Fits && !near.goes_on_from(&mark.near)? {
                fit = Fit::Unknown;
            }
        }
        if fit != Fit::Fits {
            *self = now;
        }
        Ok(fit)
    }
}

const CONTEXT: &str = "prov 2026-11 position at a remote";

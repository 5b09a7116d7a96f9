//! What was done in a workspace, operation by operation: enough to list it, and to take it back.
//!
//! An operation writes its line in the same transaction as everything else it records, so there is no operation without a line and no
//! line without one. The line says how to compensate: which runs are hidden, which marks are answered, which refs go back.

use std::collections::HashSet;

use bstr::BString;
use serde::{Deserialize, Serialize};

use crate::clock::Micros;
use crate::codec;
use crate::hash::Id;
use crate::object::mark::MarkKind;
use crate::object::recipe::Content;
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry;
use crate::store::{self, Direction, Draft, OpId, Published, RefEdit, Snapshot};

/// Edits of refs that a line holds at most: of more, the operation can't be taken back.
pub const EDITS: usize = 1_000;

/// One line: the value of a `workspaces/…/ops` ref.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which command.
    #[serde(rename = "cmd")]
    pub command: String,
    /// What it was about, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// On which machine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Runs that it recorded: id and object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<(String, Id)>,
    /// What it said of runs: object, what, and whether it holds from then on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<(Id, MarkKind, bool)>,
    /// Refs that it changed and that can go back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Change>,
    /// What it left at paths, other than outputs of its runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrote: Vec<(BString, Content)>,
    /// The operation that it took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<BString>,
    /// Why it can't be taken back.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub never: String,
}

/// One ref that was changed: key, value before, value after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change(pub BString, pub Option<BString>, pub Option<BString>);

impl Change {
    /// A change of a ref.
    pub fn new(key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> Self {
        Self(key.into(), old.map(BString::from), new.map(BString::from))
    }
}

/// Why the journal can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A line has no encoding, or is damaged.
    #[error("a line of the journal can't be read or written")]
    Line(#[from] codec::Error),
}

impl Line {
    /// The line of a command of this workspace.
    pub fn of(repo: &Repo, command: &str) -> Self {
        Self {
            command: command.to_owned(),
            by: repo.world().author.clone(),
            host: repo.world().host.clone(),
            ..Self::default()
        }
    }

    /// The edit that writes it down; of an operation that is tried again always the same one.
    ///
    /// # Errors
    /// Never for lines within the limits of the format.
    pub fn edit(mut self, repo: &Repo, op: OpId, at: Micros) -> Result<RefEdit, codec::Error> {
        if self.edits.len() > EDITS {
            self.edits.clear();
            "it changed too many refs".clone_into(&mut self.never);
        }
        let time = u64::try_from(at.0).unwrap_or(0);
        let key = key::op(repo.workspace(), time, &op.to_bytes());
        Ok(RefEdit::set(key, entry::encode(&self)?))
    }
}

/// Writes down an operation that changed nothing in the store but files of the workspace.
///
/// # Errors
/// When the store can't be written.
pub fn record(repo: &Repo, line: &Line) -> Result<Published, Error> {
    let op = repo.new_op();
    let edit = line.clone().edit(repo, op, repo.now())?;
    repo.store().publish(op, &line.command, &mut |_| Ok(Some(Draft { edits: vec![edit.clone()], ..Draft::default() })))
}

/// What can be done about an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It can be taken back.
    Undoable,
    /// It was taken back.
    Undone,
    /// It can't be: why.
    Never(String),
}

/// One operation of this workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub op: [u8; 16],
    /// When it was recorded.
    pub at: Micros,
    /// What it did.
    pub line: Line,
    /// What can be done about it.
    pub state: State,
}

impl Operation {
    /// Its id as text.
    pub fn id(&self) -> String {
        crate::hash::hex(&self.op)
    }
}

/// The operations of this workspace, the newest first, at most `limit`.
///
/// # Errors
/// When refs can't be read.
pub fn list(repo: &Repo, snapshot: &Snapshot, limit: usize) -> Result<Vec<Operation>, Error> {
    let mut found = Vec::new();
    let mut undone: HashSet<BString> = HashSet::new();
    let prefix = key::ops_of(repo.workspace());
    for item in snapshot.scan(&prefix, Direction::Forward) {
        if found.len() >= limit {
            break;
        }
        let (raw, value) = item?;
        let line: Line = entry::decode(&value)?;
        let (Some(at), Some(op)) = (key::rank_after(&prefix, &raw), key::last_bytes(&raw)) else { continue };
        let Ok(op) = <[u8; 16]>::try_from(op.as_slice()) else { continue };
        let does_anything =
            !(line.runs.is_empty() && line.marks.is_empty() && line.edits.is_empty() && line.wrote.is_empty());
        let state = if let Some(of) = &line.undoes {
            // What took something back comes after it, so it is met first.
            undone.insert(of.clone());
            State::Never("it took an operation back".to_owned())
        } else if undone.iter().any(|one| one.as_slice() == op) {
            State::Undone
        } else if !line.never.is_empty() {
            State::Never(line.never.clone())
        } else if !does_anything {
            State::Never("there is nothing to take back".to_owned())
        } else {
            State::Undoable
        };
        found.push(Operation { op, at: Micros(i64::try_from(at).unwrap_or(i64::MAX)), line, state });
    }
    Ok(found)
}

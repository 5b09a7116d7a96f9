//! Things said about runs after they were closed: retracted ones are never hits again, hidden ones are folded away.
//!
//! Nothing is taken back from history: a mark is added, and taking it back adds another. So marks meet by sync without conflict,
//! and the one with the greatest time holds.

use crate::clock::Micros;
use crate::codec;
use crate::hash::Id;
use crate::journal::Line;
use crate::object::mark::Mark;
use crate::object::run::Cache;
use crate::object::{AccessError, Kind, Record, RunRecord, Sink, Source, id_of};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, MarkLine};
use crate::store::{self, Direction, Draft, Expect, Intake, RefEdit, Snapshot};

pub use crate::object::mark::MarkKind;

/// Why marks can't be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The mark has no encoding.
    #[error("the mark can't be encoded")]
    Record(#[from] crate::object::Error),
    /// A ref is damaged.
    #[error("a mark ref can't be read")]
    Ref(#[from] codec::Error),
}

/// What holds about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Since when.
    pub at: Micros,
    /// Why, for people.
    pub why: String,
    /// Who said it.
    pub author: Option<String>,
}

/// Asks for the marks of many runs; in a store without marks, that costs one look for all of them.
#[derive(Debug)]
pub struct Marks<'a> {
    snapshot: &'a Snapshot,
    are_any: bool,
}

impl<'a> Marks<'a> {
    /// The marks of a snapshot.
    ///
    /// # Errors
    /// When refs can't be read.
    pub fn open(snapshot: &'a Snapshot) -> Result<Self, Error> {
        let are_any = snapshot.scan(&key::about(), Direction::Forward).next().transpose()?.is_some();
        Ok(Self { snapshot, are_any })
    }

    /// Whether anything is said of any run.
    pub fn are_any(&self) -> bool {
        self.are_any
    }

    /// What is said of the run with this object; `None` if nothing is, or if it was taken back.
    ///
    /// # Errors
    /// When refs can't be read.
    pub fn said(&self, object: &Id, kind: MarkKind) -> Result<Option<Said>, Error> {
        if !self.are_any {
            return Ok(None);
        }
        said(self.snapshot, object, kind)
    }

    /// Whether that is said of it.
    ///
    /// # Errors
    /// When refs can't be read.
    pub fn is(&self, object: &Id, kind: MarkKind) -> Result<bool, Error> {
        Ok(self.said(object, kind)?.is_some())
    }
}

impl Marks<'_> {
    /// What was said of the outcome of a run when it was retracted: of itself, or, for a hit, of the run whose outputs it took.
    ///
    /// # Errors
    /// When refs can't be read. A record that can't be read says nothing.
    pub fn retracted(&self, object: &Id) -> Result<Option<Said>, Error> {
        if !self.are_any {
            return Ok(None);
        }
        if let Some(said) = self.said(object, MarkKind::Retract)? {
            return Ok(Some(said));
        }
        let read = self.snapshot.read(object).ok().flatten();
        match read.and_then(|(_, bytes)| RunRecord::decode(&bytes).ok()).map(|run| run.into_head().cache) {
            Some(Cache::Hit { object: source, .. }) => self.said(&source, MarkKind::Retract),
            _ => Ok(None),
        }
    }
}

/// As [`Marks::said`], for one run.
///
/// # Errors
/// When refs can't be read.
pub fn said(snapshot: &Snapshot, object: &Id, kind: MarkKind) -> Result<Option<Said>, Error> {
    let newest = newest(snapshot, object, kind)?;
    Ok(newest.filter(|line| line.on).map(|line| Said { at: line.at, why: line.why, author: line.author }))
}

fn newest(snapshot: &Snapshot, object: &Id, kind: MarkKind) -> Result<Option<MarkLine>, Error> {
    let mut newest: Option<(MarkLine, Vec<u8>)> = None;
    for item in snapshot.scan(&key::about_of(object, kind.as_str()), Direction::Forward) {
        let (raw, value) = item?;
        let line: MarkLine = entry::decode(&value)?;
        if newest.as_ref().is_none_or(|(best, key)| (line.at, &raw) > (best.at, key)) {
            newest = Some((line, raw));
        }
    }
    Ok(newest.map(|(line, _)| line))
}

/// Puts a mark into `intake`, whatever is said already, and returns its ref.
///
/// # Errors
/// When refs can't be read or the mark can't be stored.
pub fn one(
    repo: &Repo,
    snapshot: &Snapshot,
    intake: &Intake,
    of: &Id,
    kind: MarkKind,
    on: bool,
    why: &str,
) -> Result<RefEdit, Error> {
    let now = repo.now();
    let before = newest(snapshot, of, kind)?;
    let at = Micros(before.map_or(now.0, |line| now.0.max(line.at.0.saturating_add(1))));
    let author = repo.world().author.clone();
    let mark = Mark { of: *of, kind, on, at, why: why.to_owned(), author: author.clone() };
    let bytes = mark.encode()?;
    let id = id_of(&Kind::MARK, &bytes);
    intake.put(&Kind::MARK, &id, &bytes)?;
    let value = entry::encode(&MarkLine { on, at, why: why.to_owned(), author })?;
    Ok(RefEdit { key: key::about_one(of, kind.as_str(), &id), expect: Expect::Any, new: Some(value) })
}

/// Says `kind` of all these runs, or takes it back, in one transaction. Of what is so already nothing is said again; returns for which ones
/// something changed.
///
/// # Errors
/// When the store can't be read or written.
pub fn say(repo: &Repo, objects: &[Id], kind: MarkKind, on: bool, why: &str) -> Result<Vec<bool>, Error> {
    let now = repo.now();
    let mut changed = Vec::new();
    let op = repo.new_op();
    repo.store().publish(op, kind.as_str(), &mut |snapshot| -> Result<Option<Draft>, Error> {
        changed.clear();
        let intake = repo.store().intake(snapshot);
        let mut edits = Vec::new();
        for of in objects {
            let before = newest(snapshot, of, kind)?;
            let is_new = before.as_ref().is_some_and(|line| line.on) != on;
            changed.push(is_new);
            if is_new {
                edits.push(one(repo, snapshot, &intake, of, kind, on, why)?);
            }
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let said = objects.iter().zip(&changed).filter(|(_, changed)| **changed);
        let line = Line { marks: said.map(|(of, _)| (*of, kind, on)).collect(), ..Line::of(repo, kind.as_str()) };
        edits.push(line.edit(repo, op, now)?);
        Ok(Some(Draft { collected: Some(std::sync::Arc::new(intake.finish()?)), edits, ..Draft::default() }))
    })?;
    Ok(changed)
}

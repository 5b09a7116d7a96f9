//! Taking back the last operation of this workspace, by a transaction that compensates it: nothing leaves history.
//!
//! Files come first, then the transaction: cut off in between, the same operation is still the one to take back, and what is in place
//! already is left as it is.

use std::path::PathBuf;
use std::sync::Arc;

use bstr::BString;

use super::Error;
use super::hydrate::{self, Item, Replace};
use super::session::Session;
use crate::clock::Micros;
use crate::hash::Id;
use crate::journal::{self, Change, Line, Operation, State};
use crate::mark::{self, MarkKind};
use crate::object::recipe::Content;
use crate::object::run::Output;
use crate::object::{Record, RunRecord};
use crate::path::Place;
use crate::refs::key;
use crate::repo::entry::{self, Staged, Tag};
use crate::store::{self, Direction, Draft, Expect, RefEdit, Snapshot};
use crate::worktree::restore::Outcome;
use crate::worktree::{self, CaptureOptions};

/// How far back the operation to take back is looked for.
const LOOKED_AT: usize = 10_000;

/// One thing that is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A run is folded away in listings.
    Hidden {
        /// The run.
        run: String,
    },
    /// What was said of runs is answered.
    Answered {
        /// What it was.
        kind: MarkKind,
        /// Whether it holds again.
        on: bool,
    },
    /// A ref has the value that it had before.
    Moved {
        /// Its key, for people.
        name: String,
    },
    /// What lay at a path before is there again.
    Restored {
        /// The path, absolute.
        path: PathBuf,
    },
    /// A path is not as the operation left it, and stays as it is.
    Left {
        /// The path, absolute.
        path: PathBuf,
        /// What lay there before; the store has it.
        content: Content,
    },
}

/// What was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The operation.
    pub operation: Operation,
    /// What was done.
    pub steps: Vec<Step>,
}

/// Takes the last operation of this workspace back that can be; `None` if there is none.
///
/// # Errors
/// [`Error::CannotUndo`] if a ref that it changed was changed since; nothing is changed then. Failures of the store and of files.
pub fn undo(session: &Session<'_>, dry_run: bool) -> Result<Option<Undone>, Error> {
    let repo = session.repo;
    let snapshot = repo.store().snapshot()?;
    let all = journal::list(repo, &snapshot, LOOKED_AT)?;
    let Some(at) = all.iter().position(|one| one.state == State::Undoable) else { return Ok(None) };
    let operation = all[at].clone();
    let mut steps = Vec::new();
    check(session, &snapshot, &operation.line)?;
    let since = all.get(at + 1).map_or(Micros(i64::MIN), |earlier| earlier.at);
    for (place, left, was) in displaced(session, &snapshot, &operation, since)? {
        let path = session.worktree().path(&place);
        if !is_as_left(session, &place, &left) {
            steps.push(Step::Left { path, content: was.content });
            continue;
        }
        if !dry_run {
            let (root, to) = hydrate::split(session, &place)?;
            let item = Item { key: String::new(), content: was.content.clone(), exec: was.exec, root, to };
            let (done, _) = hydrate::bring_back(session, &snapshot, &[item], &[], Replace::Known)?;
            if !done.iter().all(|one| matches!(one.outcome, Outcome::Restored | Outcome::Kept)) {
                steps.push(Step::Left { path, content: was.content });
                continue;
            }
        }
        steps.push(Step::Restored { path });
    }
    steps.extend(operation.line.runs.iter().map(|(run, _)| Step::Hidden { run: run.clone() }));
    steps.extend(operation.line.marks.iter().map(|(_, kind, on)| Step::Answered { kind: *kind, on: !on }));
    steps.extend(operation.line.edits.iter().map(|change| Step::Moved { name: key::shown(&change.0) }));
    if !dry_run {
        publish(session, &operation)?;
        session.save();
    }
    Ok(Some(Undone { operation, steps }))
}

/// Whether all refs are as the operation left them.
fn check(session: &Session<'_>, snapshot: &Snapshot, line: &Line) -> Result<(), Error> {
    let repo = session.repo;
    for Change(raw, old, new) in &line.edits {
        let is_same = snapshot.get_ref(raw)?.as_deref() == new.as_ref().map(|new| new.as_slice());
        let parts = key::components(raw).unwrap_or_default();
        let runs = match (parts.first(), parts.get(2)) {
            (Some(family), Some(name))
                if *family == "scenarios"
                    && old.is_none()
                    && matches!(line.command.as_str(), "scenario new" | "scenario fork") =>
            {
                let prefix = key::runs_of(repo.project(), &String::from_utf8_lossy(name));
                snapshot.scan(&prefix, Direction::Forward).next().transpose()?.is_some()
            }
            _ => false,
        };
        if !is_same || runs {
            let why = if runs { "it has runs" } else { "it was changed since" };
            return Err(Error::CannotUndo { what: format!("`{}`: {why}", key::shown(raw)) });
        }
    }
    Ok(())
}

/// What the operation replaced that nobody knew: where, what it left there, and what lay there before.
fn displaced(
    session: &Session<'_>,
    snapshot: &Snapshot,
    operation: &Operation,
    since: Micros,
) -> Result<Vec<(Place, Left, Staged)>, Error> {
    let repo = session.repo;
    let mut left: Vec<(BString, Left)> =
        operation.line.wrote.iter().map(|(path, content)| (path.clone(), Left::Content(content.clone()))).collect();
    for (run, object) in &operation.line.runs {
        let Some((_, bytes)) = crate::object::Source::read(snapshot, object)? else { continue };
        let record =
            RunRecord::decode(&bytes).map_err(|source| Error::Record { run: run.clone(), source })?.into_head();
        left.extend(record.outputs.into_values().map(|output| (output.path.clone(), Left::Output(Box::new(output)))));
    }
    let prefix = key::displaced_of(repo.workspace());
    let mut found = Vec::new();
    for item in snapshot.scan(&prefix, Direction::Forward) {
        let (raw, value) = item?;
        let Some(at) = key::rank_after(&prefix, &raw).and_then(|at| i64::try_from(at).ok()) else { continue };
        if at <= since.0 {
            break;
        }
        if at > operation.at.0.saturating_add(1_000_000) {
            continue;
        }
        let Some(path) = key::last_bytes(&raw) else { continue };
        let Some(nth) = left.iter().position(|(there, _)| *there == path) else { continue };
        let was: Staged = entry::decode(&value).map_err(|source| Error::Ref { source })?;
        let (path, left) = left.remove(nth);
        found.push((session.locate(&path), left, was));
    }
    Ok(found)
}

/// What an operation left at a path.
enum Left {
    Content(Content),
    Output(Box<Output>),
}

fn is_as_left(session: &Session<'_>, place: &Place, left: &Left) -> bool {
    match left {
        Left::Output(output) => output.set.is_none() && hydrate::lies_there(session, place, output),
        Left::Content(content) => worktree::capture(&session.worktree(), place, &CaptureOptions::default(), None)
            .is_ok_and(|captured| captured.content == *content),
    }
}

/// The object that a ref needs if it is to have this value again: gc may have taken it meanwhile.
fn needed(raw: &[u8], value: &[u8]) -> Option<Id> {
    match key::components(raw)?.first()?.as_slice() {
        b"scenarios" => match entry::ScenarioRef::read(value).ok()? {
            entry::ScenarioRef::Settings(id) => Some(id),
            entry::ScenarioRef::Alias(_) => None,
        },
        b"tags" => entry::decode::<Tag>(value).ok().map(|tag| tag.object),
        b"workspaces" => entry::decode::<Staged>(value).ok().map(|staged| staged.content.id()),
        _ => None,
    }
}

/// The transaction that compensates.
fn publish(session: &Session<'_>, operation: &Operation) -> Result<(), Error> {
    let repo = session.repo;
    let line = &operation.line;
    let op = repo.new_op();
    let now = Micros(repo.now().0.max(operation.at.0.saturating_add(1)));
    let undoes = Some(BString::from(operation.op.as_slice()));
    let told = Line { about: format!("{} {}", line.command, line.about), undoes, ..Line::of(repo, "undo") };
    let told = told.edit(repo, op, now).map_err(|source| Error::Ref { source })?;
    let published = repo.store().publish(op, "undo", &mut |snapshot| -> Result<Option<Draft>, Error> {
        // Two that undo at once would both answer the same operation.
        let all = journal::list(repo, snapshot, LOOKED_AT)?;
        if all.iter().any(|one| one.op == operation.op && one.state != State::Undoable) {
            return Err(Error::CannotUndo { what: "somebody else took it back meanwhile".to_owned() });
        }
        check(session, snapshot, line)?;
        let intake = repo.store().intake(snapshot);
        let mut edits = vec![told.clone()];
        for (_, object) in &line.runs {
            if mark::said(snapshot, object, MarkKind::Hide)?.is_none() {
                edits.push(mark::one(repo, snapshot, &intake, object, MarkKind::Hide, true, "undone")?);
            }
        }
        for (object, kind, on) in &line.marks {
            if mark::said(snapshot, object, *kind)?.is_some() == *on {
                edits.push(mark::one(repo, snapshot, &intake, object, *kind, !on, "undone")?);
            }
        }
        let mut relies_on = Vec::new();
        for Change(key, old, new) in &line.edits {
            let expect = new.as_ref().map_or(Expect::Absent, |new| Expect::Is(new.to_vec()));
            relies_on.extend(old.as_ref().and_then(|old| needed(key, old)));
            edits.push(RefEdit { key: key.to_vec(), expect, new: old.as_ref().map(|old| old.to_vec()) });
        }
        let collected = Some(Arc::new(intake.finish()?));
        Ok(Some(Draft { collected, edits, relies_on, ..Draft::default() }))
    });
    match published {
        Err(Error::Store(store::Error::Expectation { key: raw })) => {
            Err(Error::CannotUndo { what: format!("`{}`: it was changed meanwhile", key::shown(&raw)) })
        }
        // Nothing that lay staged before may point to content that gc took meanwhile.
        Err(Error::Store(store::Error::ReliedGone { .. })) => {
            Err(Error::CannotUndo { what: "content that was staged before is gone".to_owned() })
        }
        result => result.map(drop),
    }
}

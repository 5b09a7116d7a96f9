//! Remarks about runs and other objects, made after they were recorded.

use std::sync::Arc;

use crate::clock::Micros;
use crate::codec;
use crate::hash::Id;
use crate::journal::{self, Line};
use crate::object::note::{Note, TEXT_MAX};
use crate::object::{AccessError, Kind, Record, Sink, id_of};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, NoteLine};
use crate::store::{self, Direction, Draft, RefEdit, Snapshot};

/// The kind of `about` refs of notes.
pub const ABOUT: &str = "note";

/// Why a note can't be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It says nothing, or too much.
    #[error("a note has 1 to {TEXT_MAX} bytes, this one has {0}")]
    Text(usize),
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The note has no encoding.
    #[error("the note can't be encoded")]
    Record(#[from] crate::object::Error),
    /// A ref is damaged.
    #[error("a note ref can't be read")]
    Ref(#[from] codec::Error),
}

/// What was remarked about an object, the oldest first.
///
/// # Errors
/// When refs can't be read.
pub fn list(snapshot: &Snapshot, object: &Id) -> Result<Vec<NoteLine>, Error> {
    let mut found = Vec::new();
    for item in snapshot.scan(&key::about_of(object, ABOUT), Direction::Forward) {
        found.push(entry::decode::<NoteLine>(&item?.1)?);
    }
    found.sort_by_key(|line| line.at);
    Ok(found)
}

/// How many remarks there are about an object.
///
/// # Errors
/// When refs can't be read.
pub fn count(snapshot: &Snapshot, object: &Id) -> Result<usize, store::Error> {
    snapshot.scan(&key::about_of(object, ABOUT), Direction::Forward).try_fold(0, |count, item| {
        item?;
        Ok(count + 1)
    })
}

/// The ref of a note.
///
/// # Errors
/// Never for notes within the limits of the format.
pub fn ref_of(note: &Note, id: &Id) -> Result<(Vec<u8>, Vec<u8>), codec::Error> {
    let line = NoteLine { at: note.at, text: note.text.clone(), author: note.author.clone() };
    Ok((key::about_one(&note.of, ABOUT, id), entry::encode(&line)?))
}

/// Remarks `text` about an object; returns the note's id.
///
/// # Errors
/// When the text is empty or too long, or the store can't be written.
pub fn add(repo: &Repo, of: Id, of_kind: &Kind, text: &str) -> Result<Id, Error> {
    if text.trim().is_empty() || text.len() > TEXT_MAX {
        return Err(Error::Text(text.len()));
    }
    let at: Micros = repo.now();
    let note = Note { of, of_kind: of_kind.clone(), at, text: text.to_owned(), author: repo.world().author.clone() };
    let bytes = note.encode()?;
    let id = id_of(&Kind::NOTE, &bytes);
    let (key, value) = ref_of(&note, &id)?;
    let op = repo.new_op();
    let never = "notes stay; add another one".to_owned();
    let line = Line { about: of.short(), never, ..Line::of(repo, "note") }.edit(repo, op, at)?;
    let edits = vec![RefEdit::set(key, value), line];
    repo.store().publish(op, "note", &mut |snapshot| -> Result<Option<Draft>, Error> {
        let intake = repo.store().intake(snapshot);
        intake.put(&Kind::NOTE, &id, &bytes)?;
        let collected = Some(Arc::new(intake.finish()?));
        Ok(Some(Draft { collected, edits: edits.clone(), ..Draft::default() }))
    })?;
    Ok(id)
}

impl From<journal::Error> for Error {
    fn from(err: journal::Error) -> Self {
        match err {
            journal::Error::Store(err) => Self::Store(err),
            journal::Error::Line(err) => Self::Ref(err),
        }
    }
}

//! The files of sets, stored.

use super::Set;
use crate::object::{Kind, Sink};
use crate::run::Error;
use crate::run::session::Session;
use crate::worktree::{self, CaptureOptions};

/// Stores the files of a set, unless the store has them.
///
/// # Errors
/// When one of them changed since it was looked at, or can't be stored.
pub(in crate::run) fn store_set(session: &Session<'_>, set: &Set, sink: &dyn Sink) -> Result<(), Error> {
    let worktree = session.worktree();
    for (place, id) in set.files.iter().filter_map(|(place, id)| Some((place, id.as_ref()?))) {
        if !sink.has(id)? {
            let now = worktree::capture(&worktree, place, &CaptureOptions::default(), Some(sink))?;
            if now.content.id() != *id {
                return Err(Error::ChangedBefore { path: worktree.path(place) });
            }
        }
    }
    for (id, bytes) in &set.trees {
        sink.put(&Kind::TREE, id, bytes)?;
    }
    Ok(())
}

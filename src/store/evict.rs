//! Eviction: bytes that can be had elsewhere leave the store, and come back when they are asked for (`docs/design/0017-content-elsewhere.md`).
//!
//! What goes is told by marks (`presence/`) that are there before the first byte goes; packs are written anew without it, as for a scrub. The
//! proof that it can be had elsewhere is asked for at the last moment, when nothing but two small entries is left to be written.

use std::collections::HashSet;
use std::sync::Arc;

use super::backend::Folder;
use super::check::Targets;
use super::collect;
use super::entry::PackRow;
use super::error::Error;
use super::scrub::{self, Scrubbed};
use super::snapshot::Snapshot;
use crate::hash::Id;
use crate::progress::{Cancel, Progress, Unit};

/// What an eviction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Packs that were written anew, or went.
    pub packs: u64,
    /// Bytes of files that are gone, less those that were written instead.
    pub bytes: i64,
    /// Pieces that stay because other content has them, too.
    pub shared_pieces: u64,
}

/// Takes the bytes of `ids` out of the packs of `snapshot`. All of them must be marked as content that is elsewhere, in the state that the
/// entry extends which condemns the packs; `prove` is asked right before that whether they still can be had there.
///
/// # Errors
/// [`Error::Outdated`] if something began to rely on the packs, the log was folded, a mark is missing or `prove` said no: nothing is lost
/// then; look again. [`Error::Obstructed`] if something can't be read that may share pieces with them. Failures of the place.
pub fn evict(
    snapshot: &Snapshot,
    ids: &[Id],
    targets: Targets<'_>,
    command: &str,
    (progress, cancel): (&dyn Progress, &Cancel),
    prove: &mut dyn FnMut() -> Result<bool, Error>,
) -> Result<Evicted, Error> {
    let store = snapshot.store();
    let ids: &HashSet<Id> = &ids.iter().copied().collect();
    if ids.iter().any(|id| snapshot.inline().contains_key(id)) {
        scrub::fold_away(store, ids, command)?;
        return Err(Error::Outdated);
    }
    let mut told = Scrubbed::default();
    let doomed = scrub::doomed(snapshot, ids, targets, progress, cancel, &mut told)?;
    let mut names = Vec::new();
    let mut done = Evicted { shared_pieces: told.shared_pieces, ..Evicted::default() };
    for row in &snapshot.state().packs {
        if snapshot.state().is_live(&row.name())
            && let Ok(file) = store.files().fresh(Folder::Packs, &row.name())
            && scrub::holds(&file, &doomed)
        {
            names.push(row.name());
            done.bytes += i64::try_from(PackRow::file_len(row)).unwrap_or(i64::MAX);
        }
    }
    if names.is_empty() {
        return Ok(Evicted::default());
    }
    progress.begin("evict", Some(names.len() as u64), Unit::Items);
    let copies = Arc::new(scrub::without(snapshot, &names, &doomed)?);
    for pack in &copies.packs {
        done.bytes -= i64::try_from(pack.row.file_len()).unwrap_or(0);
    }
    progress.end();
    if !prove()? {
        return Err(Error::Outdated);
    }
    collect::retire_if(snapshot, &names, Some(&copies), command, &mut |newest| {
        for id in ids {
            if !newest.is_elsewhere(id)? {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    done.packs = names.len() as u64;
    Ok(done)
}

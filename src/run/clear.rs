//! Keeping safe what lies where an output goes, before it is removed or replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::session::Session;
use crate::fs::FileKind;
use crate::object::Sink;
use crate::object::recipe::Content;
use crate::path::{Place, locate};
use crate::refs::key;
use crate::repo::entry::{self, Staged};
use crate::store::{Draft, RefEdit, Snapshot};
use crate::worktree::{self, CaptureOptions, Captured, Fence};

/// Something that lay where an output goes; the store has it.
#[derive(Debug, Clone)]
pub struct Displaced {
    /// Where, absolute.
    pub path: PathBuf,
    /// What was stored of it, if nobody knew it before.
    pub stored: Option<Content>,
    /// Notices that it changed after it was stored.
    pub fence: Fence,
}

/// Content that lay where an output went and that nobody knew: it was stored before it was removed or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSafe {
    /// Where it lay, absolute.
    pub path: PathBuf,
    /// What it was; the store has all of it.
    pub content: Content,
}

impl Displaced {
    /// What to tell people: nothing of content that the store had already.
    pub(super) fn into_kept_safe(self) -> Option<KeptSafe> {
        let path = self.path;
        self.stored.map(|content| KeptSafe { path, content })
    }
}

/// What the store does not have: where, and as it lay there.
type Unknown = (PathBuf, Place, Captured);

/// Tells what the store has of what lies at each of `paths` from what it has not.
fn sort_out(
    session: &Session<'_>,
    snapshot: &Snapshot,
    paths: &[PathBuf],
) -> Result<(Vec<Displaced>, Vec<Unknown>), Error> {
    let repo = session.repo;
    let worktree = session.worktree();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for path in paths {
        let Some(stat) = repo.fs().lstat(path).map_err(|source| Error::io("read", path, source))? else { continue };
        if stat.kind == FileKind::Link {
            // A link holds nothing but its target, and what it leads to stays.
            known.push(Displaced { path: path.clone(), stored: None, fence: Fence::new() });
            continue;
        }
        let place = locate(repo.root(), repo.root(), path);
        let captured = worktree::capture(&worktree, &place, &CaptureOptions::default(), None)?;
        if super::hydrate::is_whole(snapshot, &captured.content)? {
            known.push(Displaced { path: path.clone(), stored: None, fence: captured.fence });
        } else {
            unknown.push((path.clone(), place, captured));
        }
    }
    Ok((known, unknown))
}

/// Those of `paths` whose content the store has: they may be replaced without losing anything. Links are none of them: nothing knows where
/// they lead.
///
/// # Errors
/// When one of them can't be read.
pub(super) fn known(session: &Session<'_>, snapshot: &Snapshot, paths: &[PathBuf]) -> Result<Vec<Displaced>, Error> {
    let mut known = sort_out(session, snapshot, paths)?.0;
    known.retain(|displaced| !displaced.fence.is_empty());
    Ok(known)
}

/// Makes sure that the store has what lies at each of `paths`: what it does not have yet is stored, durably, under a ref of this
/// workspace, so that it can be brought back. Nothing is removed.
///
/// # Errors
/// When something there can't be stored: then it must not be touched.
pub fn keep_safe(session: &Session<'_>, paths: &[PathBuf]) -> Result<Vec<Displaced>, Error> {
    let repo = session.repo;
    let worktree = session.worktree();
    let options = CaptureOptions::default();
    let snapshot = repo.store().snapshot()?;
    let (mut kept, unknown) = sort_out(session, &snapshot, paths)?;
    if unknown.is_empty() {
        return Ok(kept);
    }
    let intake = repo.store().intake(&snapshot);
    let at = u64::try_from(repo.now().0).unwrap_or(0);
    let mut edits = Vec::new();
    for (path, place, before) in unknown {
        let captured = worktree::capture(&worktree, &place, &options, Some(&intake as &dyn Sink))?;
        let value = Staged { content: captured.content.clone(), size: captured.size, exec: captured.exec };
        let recorded = crate::revspec::recorded_path(&place);
        let value = entry::encode(&value).map_err(|source| Error::Ref { source })?;
        edits.push(RefEdit::set(key::displaced(repo.workspace(), at, recorded.as_ref()), value));
        let fence = if captured.content == before.content { captured.fence } else { before.fence };
        kept.push(Displaced { path, stored: Some(captured.content), fence });
    }
    let collected = Arc::new(intake.finish()?);
    repo.store().publish(repo.new_op(), "keep what was in the way", &mut |_| -> Result<Option<Draft>, Error> {
        Ok(Some(super::draft_of(Arc::clone(&collected), edits.clone())))
    })?;
    Ok(kept)
}

/// Clears the places where a command is going to write: what lies there is kept safe, then removed, if it is still what was kept.
/// Folders above them are made.
///
/// # Errors
/// When something can't be kept safe or removed, or changed meanwhile.
pub fn clear(session: &Session<'_>, places: &[&Place]) -> Result<Vec<KeptSafe>, Error> {
    let worktree = session.worktree();
    let fs = session.repo.fs();
    let paths: Vec<PathBuf> = places.iter().map(|place| worktree.path(place)).collect();
    let kept = keep_safe(session, &paths)?;
    for displaced in &kept {
        if !displaced.fence.is_empty() && !displaced.fence.check(&worktree).is_empty() {
            return Err(Error::ChangedBefore { path: displaced.path.clone() });
        }
        remove(fs, &displaced.path)?;
    }
    for path in &paths {
        if let Some(parent) = path.parent() {
            fs.make_dirs(parent).map_err(|source| Error::io("create", parent, source))?;
        }
    }
    Ok(kept.into_iter().filter_map(Displaced::into_kept_safe).collect())
}

fn remove(fs: &crate::fs::Fs, path: &Path) -> Result<(), Error> {
    let stat = fs.lstat(path).map_err(|source| Error::io("read", path, source))?;
    let removed = match stat {
        None => Ok(()),
        Some(stat) if stat.is_folder() => fs.remove_tree(path),
        Some(_) => fs.remove_file(path),
    };
    removed.map_err(|source| Error::io("remove", path, source))
}

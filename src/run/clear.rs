//! Keeping safe what lies where an output goes, before it is removed or replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice;

use super::prepare::Prepared;
use super::session::Session;
use super::{Error, outputs};
use crate::fs::FileKind;
use crate::object::Sink;
use crate::object::recipe::Content;
use crate::path::{Place, RelPath, locate};
use crate::refs::key;
use crate::repo::entry::{self, Staged};
use crate::store::{Draft, RefEdit, Snapshot};
use crate::worktree::restore::Wanted;
use crate::worktree::stat_cache::Key;
use crate::worktree::{self, CaptureOptions, Captured, Fence};

/// Something that lay where an output goes; the store has it.
#[derive(Debug, Clone)]
pub struct Displaced {
    /// Where, absolute.
    pub path: PathBuf,
    /// The files, absolute, when it is some files of the folder there.
    pub members: Option<Vec<PathBuf>>,
    /// What it was.
    pub was: Was,
    /// What was stored of it, if nobody knew it before.
    pub stored: Option<Content>,
    /// Notices that it changed after it was stored.
    pub fence: Fence,
}

/// What lay somewhere: enough to put it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Was {
    /// This, and whether it was a file that may be executed.
    Content(Content, bool),
    /// A link to this.
    Link(bstr::BString),
    /// These files of the folder there.
    Files(Vec<Wanted>),
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

/// Where something goes, and what of that which lies there has to make way.
#[derive(Debug, Clone)]
pub struct Spot {
    /// Where, absolute.
    pub path: PathBuf,
    /// Which files of the folder there; `None` for all that lies there.
    pub files: Option<CaptureOptions>,
}

impl Spot {
    /// All that lies at a path.
    pub fn whole(path: PathBuf) -> Self {
        Self { path, files: None }
    }
}

/// What the store does not have: where, and as it lay there.
type Unknown = (Spot, Place, Captured);

/// Tells what the store has of what lies at each of `paths` from what it has not.
fn sort_out(
    session: &Session<'_>,
    snapshot: &Snapshot,
    spots: &[Spot],
) -> Result<(Vec<Displaced>, Vec<Unknown>), Error> {
    let repo = session.repo;
    let worktree = session.worktree();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for spot in spots {
        let path = &spot.path;
        if let Some(options) = &spot.files {
            let place = locate(repo.root(), repo.root(), path);
            let (here, strange) = members_there(session, snapshot, &place, options)?;
            known.extend(here);
            if let Some(options) = strange {
                let captured = worktree::capture(&worktree, &place, &options, None)?;
                unknown.push((Spot { path: path.clone(), files: Some(options) }, place, captured));
            }
            continue;
        }
        let Some(stat) = repo.fs().lstat(path).map_err(|source| Error::io("read", path, source))? else { continue };
        if stat.kind == FileKind::Link {
            // A link holds nothing but its target, and what it leads to stays.
            let target = std::fs::read_link(path).map_err(|source| Error::io("read", path, source))?;
            let was = Was::Link(crate::path::bytes(&target));
            known.push(Displaced { path: path.clone(), members: None, was, stored: None, fence: Fence::new() });
            continue;
        }
        let place = locate(repo.root(), repo.root(), path);
        let captured = worktree::capture(&worktree, &place, &CaptureOptions::default(), None)?;
        if super::hydrate::is_whole(snapshot, &captured.content)? {
            let (fence, was) = (captured.fence, Was::Content(captured.content, captured.exec));
            known.push(Displaced { path: path.clone(), members: None, was, stored: None, fence });
        } else {
            unknown.push((spot.clone(), place, captured));
        }
    }
    Ok((known, unknown))
}

/// The files of a folder that `options` take, with what would bring each back; nothing would a link.
fn files_there(
    session: &Session<'_>,
    place: &Place,
    options: &CaptureOptions,
) -> Result<Vec<(bstr::BString, PathBuf, Option<Wanted>)>, Error> {
    let worktree = session.worktree();
    let mut files = Vec::new();
    for (name, path, stat) in outputs::list(session, place, options)? {
        let wanted = match (stat.kind, RelPath::new(name.clone())) {
            (FileKind::File { exec }, Some(to)) => {
                let key = Key::of(&locate(worktree.root, worktree.root, &path));
                let id = worktree::hash_file(&worktree, key, &path, None)?.id;
                Some(Wanted { content: Content::Blob(id), exec, to })
            }
            _ => None,
        };
        files.push((name, path, wanted));
    }
    Ok(files)
}

/// The files of a folder that `options` take: those that the store has, and how to take the others, if there are any.
fn members_there(
    session: &Session<'_>,
    snapshot: &Snapshot,
    place: &Place,
    options: &CaptureOptions,
) -> Result<(Option<Displaced>, Option<CaptureOptions>), Error> {
    let worktree = session.worktree();
    let (mut names, mut members, mut was, mut strange) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (name, path, wanted) in files_there(session, place, options)? {
        let id = wanted.as_ref().map(|wanted| wanted.content.id());
        match (wanted, id) {
            (Some(wanted), Some(id)) if snapshot.find_all(&[id])?.is_some() => {
                names.push(name);
                members.push(path);
                was.push(wanted);
            }
            _ => strange.push(name),
        }
    }
    let strange = (!strange.is_empty()).then(|| outputs::exactly(strange.iter().map(|name| name.as_bstr())));
    if names.is_empty() {
        return Ok((None, strange));
    }
    let known = outputs::exactly(names.iter().map(|name| name.as_bstr()));
    let captured = worktree::capture(&worktree, place, &known, None)?;
    let path = worktree.path(place);
    let known = Displaced { path, members: Some(members), was: Was::Files(was), stored: None, fence: captured.fence };
    Ok((Some(known), strange))
}

/// Those of `spots` whose content the store has: they may be replaced without losing anything. Links are none of them: nothing knows where
/// they lead.
///
/// # Errors
/// When one of them can't be read.
pub(super) fn known(session: &Session<'_>, snapshot: &Snapshot, spots: &[Spot]) -> Result<Vec<Displaced>, Error> {
    let (mut known, unknown) = sort_out(session, snapshot, spots)?;
    // A set goes as a whole or not at all.
    let is_whole = |set: &Displaced| unknown.iter().all(|(spot, ..)| spot.files.is_none() || spot.path != set.path);
    known.retain(|displaced| !displaced.fence.is_empty() && (displaced.members.is_none() || is_whole(displaced)));
    Ok(known)
}

/// Makes sure that the store has what lies at each of `spots`: what it does not have yet is stored, durably, under a ref of this
/// workspace, so that it can be brought back. Nothing is removed. `known` is a state of the store that was read before.
///
/// # Errors
/// When something there can't be stored: then it must not be touched.
pub fn keep_safe(session: &Session<'_>, known: &Snapshot, spots: &[Spot]) -> Result<Vec<Displaced>, Error> {
    if spots.is_empty() {
        return Ok(Vec::new());
    }
    let repo = session.repo;
    let worktree = session.worktree();
    let snapshot = repo.store().snapshot_since(known)?;
    let (mut kept, unknown) = sort_out(session, &snapshot, spots)?;
    if unknown.is_empty() {
        return Ok(kept);
    }
    let intake = repo.store().intake(&snapshot);
    let at = u64::try_from(repo.now().0).unwrap_or(0);
    let mut edits = Vec::new();
    for (nth, (spot, place, before)) in (0_u64..).zip(unknown) {
        let options = spot.files.clone().unwrap_or_default();
        let files = match &spot.files {
            Some(options) => Some(files_there(session, &place, options)?),
            None => None,
        };
        let path = spot.path;
        let captured = worktree::capture(&worktree, &place, &options, Some(&intake as &dyn Sink))?;
        let value = Staged { content: captured.content.clone(), size: captured.size, exec: captured.exec };
        let recorded = crate::revspec::recorded_path(&place);
        // Two sets of one folder lie at one path: the times tell them apart.
        let value = entry::encode(&value).map_err(|source| Error::Ref { source })?;
        edits.push(RefEdit::set(key::displaced(repo.workspace(), at.saturating_add(nth), recorded.as_ref()), value));
        let fence = if captured.content == before.content { captured.fence } else { before.fence };
        let (members, was) = match files {
            Some(files) => {
                let (paths, wanted): (Vec<_>, Vec<_>) =
                    files.into_iter().map(|(_, path, wanted)| (path, wanted)).unzip();
                (Some(paths), Was::Files(wanted.into_iter().flatten().collect()))
            }
            None => (None, Was::Content(captured.content.clone(), captured.exec)),
        };
        kept.push(Displaced { path, members, was, stored: Some(captured.content), fence });
    }
    let collected = Arc::new(intake.finish()?);
    repo.store().publish(repo.new_op(), "keep what was in the way", &mut |_| -> Result<Option<Draft>, Error> {
        Ok(Some(super::draft_of(Arc::clone(&collected), edits.clone())))
    })?;
    Ok(kept)
}

/// Clears the spots where a command is going to write: what lies there is kept safe, then removed, if it is still what was kept.
/// Folders above them are made; a folder of which only some files go stays.
///
/// # Errors
/// When something can't be kept safe or removed, or changed meanwhile.
pub fn clear(session: &Session<'_>, known: &Snapshot, spots: &[Spot]) -> Result<Vec<KeptSafe>, Error> {
    let fs = session.repo.fs();
    let kept = keep_safe(session, known, spots)?;
    if kept.len() > 1 {
        // Nothing is removed as long as one of them may not be.
        for displaced in &kept {
            check_same(session, displaced)?;
        }
    }
    for (nth, displaced) in kept.iter().enumerate() {
        remove(session, displaced, kept[..nth].iter())?;
    }
    for spot in spots {
        let folder = if spot.files.is_some() { Some(spot.path.as_path()) } else { spot.path.parent() };
        if let Some(folder) = folder {
            fs.make_dirs(folder).map_err(|source| Error::io("create", folder, source))?;
        }
    }
    Ok(kept.into_iter().filter_map(Displaced::into_kept_safe).collect())
}

/// That something is still what the store has.
///
/// # Errors
/// When it changed meanwhile.
fn check_same(session: &Session<'_>, displaced: &Displaced) -> Result<(), Error> {
    if !displaced.fence.is_empty() && !displaced.fence.check(&session.worktree()).is_empty() {
        return Err(Error::ChangedBefore { path: displaced.path.clone() });
    }
    Ok(())
}

/// Removes what the store has, if it is still that. What lies in something that was removed `before`, or held it, is not what it was
/// any more, and nothing of it is lost either.
///
/// # Errors
/// When it changed meanwhile, or can't be removed.
pub(super) fn remove<'a>(
    session: &Session<'_>,
    displaced: &Displaced,
    mut before: impl Iterator<Item = &'a Displaced>,
) -> Result<(), Error> {
    let fs = session.repo.fs();
    let meets = |other: &Displaced| other.path.starts_with(&displaced.path) || displaced.path.starts_with(&other.path);
    if !before.any(meets) {
        check_same(session, displaced)?;
    }
    let Some(members) = &displaced.members else { return remove_path(fs, &displaced.path) };
    for member in members {
        remove_path(fs, member)?;
        // Folders that this leaves empty go as well; others refuse.
        for folder in member.ancestors().skip(1).take_while(|folder| *folder != displaced.path) {
            if fs.remove_dir(folder).is_err() {
                break;
            }
        }
    }
    Ok(())
}

pub(super) fn remove_path(fs: &crate::fs::Fs, path: &Path) -> Result<(), Error> {
    let stat = fs.lstat(path).map_err(|source| Error::io("read", path, source))?;
    let removed = match stat {
        None => Ok(()),
        Some(stat) if stat.is_folder() => fs.remove_tree(path),
        Some(_) => fs.remove_file(path),
    };
    removed.map_err(|source| Error::io("remove", path, source))
}

/// What has to make way for outputs. Of what is captured these are the outputs of this step's own earlier runs.
pub(super) fn spots(
    session: &Session<'_>,
    snapshot: &Snapshot,
    prepared: &Prepared,
    keys: &[&str],
) -> Result<Vec<Spot>, Error> {
    let worktree = session.worktree();
    let mut spots = Vec::new();
    for key in keys {
        let Some(place) = prepared.output(key) else { continue };
        let files = match prepared.declared.set(key) {
            None => None,
            Some(members) if members.is_changed_only() => {
                let old = outputs::own_old(session, snapshot, &prepared.step, place, members)?;
                Some(outputs::exactly(old.iter().map(|name| -> &bstr::BStr { name.as_ref() })))
            }
            Some(members) => Some(outputs::options(Some(members))),
        };
        spots.push(Spot { path: worktree.path(place), files });
    }
    Ok(spots)
}

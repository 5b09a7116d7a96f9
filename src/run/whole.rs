//! Whether the store has all of a folder, and remembering that it had.
//!
//! To tell it, every tree object of the folder is read and every file looked up in the indexes of packs. What came out is remembered in
//! `.prov/cache/whole`: which packs hold the folder, in which state their files were (device, inode, size, times), and which of its objects
//! still lay in entries of the log. As long as those packs are in use and their files are in that state, and those objects are found, the
//! folder is whole. A pack that is gone, condemned, or was touched in any way, a cache of another store (its packs have other names) or of a
//! copy of this one (its files have other inodes), a damaged cache and none at all: the folder is walked.
//!
//! Of a folder of which little changed since only that is looked at: the rest of it is what the remembered one at the same path has.
//!
//! It is believed only where the answer decides whether to store content that lies there; before something is removed or replaced the
//! store is asked itself.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bstr::{BStr, BString, ByteSlice};
use serde::{Deserialize, Serialize};

use crate::clock::Micros;
use crate::codec::{self, Limits};
use crate::fs::Stat;
use crate::hash::{self, Id};
use crate::object::recipe::Content;
use crate::object::tree::{self, EntryKind};
use crate::object::{AccessError, Source};
use crate::repo::Repo;
use crate::store::{Ground, Snapshot};
use crate::worktree::Earlier;
use crate::worktree::stat_cache::is_settled;

/// Hash context of the digest before the records.
const CONTEXT: &str = "prov 2026-11 whole folders by path";

/// Folders that are remembered.
const FOLDERS: usize = 64;

/// Objects in entries of the log that one folder may have and be remembered.
const INLINE: usize = 1024;

/// Packs that may hold one folder if it is to be remembered.
const PACKS: usize = 256;

/// Whether the store has all of some content: for a folder, everything below it.
///
/// # Errors
/// When the store can't be read.
pub fn is_whole(snapshot: &Snapshot, content: &Content) -> Result<bool, AccessError> {
    match content {
        // Of content in pieces, all of them.
        Content::Blob(id) => Ok(snapshot.find_all(&[*id])?.is_some()),
        Content::Tree(id) => Ok(walk(snapshot, *id, None)?.is_some()),
        Content::External(..) => Ok(false),
    }
}

/// As [`is_whole`] of what lies at `path`, but a folder that was whole once isn't walked again while nothing happened to the packs that hold
/// it.
///
/// # Errors
/// When the store can't be read.
pub(super) fn is_whole_as_remembered(
    repo: &Repo,
    snapshot: &Snapshot,
    path: &BStr,
    content: &Content,
) -> Result<bool, AccessError> {
    let Content::Tree(root) = content else { return is_whole(snapshot, content) };
    let mut memory = Memory::load(repo);
    if let Some(remembered) = memory.folders.iter().find(|folder| folder.tree == *root)
        && remembered.holds(snapshot)?
    {
        return Ok(true);
    }
    let began = repo.now();
    let earlier = Before::among(&memory, snapshot, path)?;
    let Some(ground) = walk(snapshot, *root, earlier.as_ref())? else { return Ok(false) };
    if let Some(folder) = Folder::of(snapshot, path, *root, ground, began) {
        memory.folders.retain(|other| other.tree != *root);
        memory.folders.insert(0, folder);
        memory.folders.truncate(FOLDERS);
        memory.save(repo);
    }
    Ok(true)
}

/// A folder as it was when it was last known to be whole, and still is.
pub(super) struct Before<'a> {
    snapshot: &'a Snapshot,
    folder: Folder,
    /// What was in the folders that were asked about, by their paths.
    listings: Mutex<HashMap<Vec<u8>, Option<Arc<Vec<tree::Entry>>>>>,
    is_used: AtomicBool,
}

impl<'a> Before<'a> {
    /// What is remembered of the folder at `path`, if that can be believed.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) fn at(repo: &Repo, snapshot: &'a Snapshot, path: &BStr) -> Result<Option<Self>, AccessError> {
        Self::among(&Memory::load(repo), snapshot, path)
    }

    fn among(memory: &Memory, snapshot: &'a Snapshot, path: &BStr) -> Result<Option<Self>, AccessError> {
        let Some(folder) = memory.folders.iter().find(|folder| folder.path == path) else { return Ok(None) };
        let is_true = folder.holds(snapshot)?;
        Ok(is_true.then(|| Self {
            snapshot,
            folder: folder.clone(),
            listings: Mutex::default(),
            is_used: AtomicBool::new(false),
        }))
    }

    /// What the parts stand on that something was said of.
    pub(super) fn used(&self) -> Ground {
        if !self.is_used.load(Ordering::Relaxed) {
            return Ground::default();
        }
        Ground { packs: self.folder.packs.iter().map(|pack| pack.0).collect(), inline: self.folder.inline.clone() }
    }

    /// What was in the folder at `path`, sorted by name; `None` if there was none.
    fn listing(&self, path: &[u8]) -> Option<Arc<Vec<tree::Entry>>> {
        let listings = || self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listings().get(path) {
            return known.clone();
        }
        let id = if path.is_empty() { Some(self.folder.tree) } else { self.tree_at(path) };
        let read = |id: &Id| self.snapshot.read(id).ok().flatten().map(|(_, bytes)| bytes).ok_or(());
        let listing = id.and_then(|id| tree::list(id, &mut { read }).ok()).map(Arc::new);
        listings().insert(path.to_vec(), listing.clone());
        listing
    }

    fn tree_at(&self, path: &[u8]) -> Option<Id> {
        let (folder, name) = path.rfind_byte(b'/').map_or((&path[..0], path), |at| (&path[..at], &path[at + 1..]));
        find(&self.listing(folder)?, name).filter(|entry| entry.kind == EntryKind::Tree).map(|entry| entry.id)
    }

    /// Whether the entry was there, with all that is in it.
    fn had(&self, path: &[u8], entry: &tree::Entry) -> bool {
        let Some(listing) = self.listing(path) else { return false };
        let had = find(&listing, &entry.name).is_some_and(|old| (old.kind, old.id) == (entry.kind, entry.id));
        self.is_used.fetch_or(had, Ordering::Relaxed);
        had
    }
}

fn find<'a>(listing: &'a [tree::Entry], name: &[u8]) -> Option<&'a tree::Entry> {
    listing.binary_search_by(|entry| entry.name.as_slice().cmp(name)).ok().map(|at| &listing[at])
}

impl Earlier for Before<'_> {
    fn tree(&self, path: &[u8]) -> Option<Id> {
        let id = if path.is_empty() { Some(self.folder.tree) } else { self.tree_at(path) };
        self.is_used.fetch_or(id.is_some(), Ordering::Relaxed);
        id
    }

    fn has(&self, path: &[u8], name: &[u8], id: &Id) -> bool {
        let Some(listing) = self.listing(path) else { return false };
        let has = find(&listing, name).is_some_and(|old| old.kind != EntryKind::Tree && old.id == *id);
        self.is_used.fetch_or(has, Ordering::Relaxed);
        has
    }
}

/// What a folder stands on; `None` if something of it is missing or can't be read. What was in `earlier` is not looked at.
fn walk(snapshot: &Snapshot, root: Id, earlier: Option<&Before<'_>>) -> Result<Option<Ground>, AccessError> {
    let mut level: Vec<(Id, Vec<u8>)> = vec![(root, Vec::new())];
    let mut seen: HashSet<Id> = HashSet::from([root]);
    let mut all = Vec::new();
    while !level.is_empty() {
        let mut below = Vec::new();
        // In the order in which packs have them.
        level.sort_unstable();
        for (id, path) in level {
            let mut is_missing = false;
            let listed = tree::list(id, &mut |id| {
                // A split folder is several objects.
                all.push(*id);
                if let Some((_, bytes)) = snapshot.read(id)? {
                    Ok(bytes)
                } else {
                    is_missing = true;
                    Err(AccessError::Changed)
                }
            });
            let entries = match listed {
                Ok(entries) => entries,
                Err(_) if is_missing => return Ok(None),
                Err(tree::ListError::Read(AccessError::Damaged { .. }) | tree::ListError::Object(_)) => {
                    return Ok(None);
                }
                Err(tree::ListError::Read(err)) => return Err(err),
            };
            for entry in entries {
                if earlier.is_some_and(|earlier| earlier.had(&path, &entry)) {
                    continue;
                }
                if entry.kind != EntryKind::Tree {
                    all.push(entry.id);
                } else if seen.insert(entry.id) {
                    let mut inner = Vec::new();
                    if earlier.is_some() {
                        inner.clone_from(&path);
                        if !path.is_empty() {
                            inner.push(b'/');
                        }
                        inner.extend_from_slice(&entry.name);
                    }
                    below.push((entry.id, inner));
                }
            }
        }
        level = below;
    }
    all.sort_unstable();
    all.dedup();
    let Some(mut ground) = snapshot.find_all(&all)? else { return Ok(None) };
    if let Some(earlier) = earlier {
        let before = earlier.used();
        ground.packs.extend(before.packs);
        ground.packs.sort_unstable();
        ground.packs.dedup();
        ground.inline.extend(before.inline);
        ground.inline.sort_unstable();
        ground.inline.dedup();
    }
    Ok(Some(ground))
}

/// A pack and the state of its file: device, inode, size, mtime, ctime, mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pack(Id, (u64, u64, u64, i64, i64, u32));

impl Pack {
    fn new(name: Id, stat: &Stat) -> Self {
        Self(name, (stat.dev, stat.ino, stat.size, stat.mtime_ns, stat.ctime_ns, stat.mode))
    }
}

/// A folder that was whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Folder {
    /// Where it lay when it was recorded.
    path: BString,
    tree: Id,
    packs: Vec<Pack>,
    inline: Vec<Id>,
}

impl Folder {
    /// What to remember of a folder whose walk began at `began`; `None` if it could not be told that a pack was changed meanwhile, or
    /// would be too much.
    fn of(snapshot: &Snapshot, path: &BStr, tree: Id, ground: Ground, began: Micros) -> Option<Self> {
        if ground.packs.len() > PACKS || ground.inline.len() > INLINE {
            return None;
        }
        let pack = |name: Id| {
            let stat = snapshot.pack_state(&name)?;
            is_settled(&stat, began).then(|| Pack::new(name, &stat))
        };
        let packs = ground.packs.into_iter().map(pack).collect::<Option<_>>()?;
        Some(Self { path: path.to_owned(), tree, packs, inline: ground.inline })
    }

    /// Whether what it stood on is still there.
    fn holds(&self, snapshot: &Snapshot) -> Result<bool, AccessError> {
        let same = |pack: &Pack| snapshot.pack_state(&pack.0).is_some_and(|stat| *pack == Pack::new(pack.0, &stat));
        Ok(self.packs.iter().all(same) && snapshot.find_all(&self.inline)?.is_some())
    }
}

/// The folders that were whole when they were last asked about, the newest first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    folders: Vec<Folder>,
}

impl Memory {
    /// What is absent or damaged is empty.
    fn load(repo: &Repo) -> Self {
        let bytes = repo.fs().read(&repo.whole_cache()).ok().flatten().unwrap_or_default();
        Self::decode(&bytes).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(hash::unsealed(CONTEXT, bytes)?, &Limits::RECORD).ok()
    }

    /// Failing to costs time later, nothing else.
    fn save(&self, repo: &Repo) {
        let Ok(body) = codec::encode(self) else { return };
        let bytes = hash::sealed(CONTEXT, &body);
        let file = repo.whole_cache();
        if let Some(dir) = file.parent()
            && repo.fs().make_dirs(dir).is_ok()
        {
            let _ = repo.fs().replace(&file, &bytes, false);
        }
    }
}

#[cfg(test)]
mod tests;

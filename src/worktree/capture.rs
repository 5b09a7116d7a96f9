//! Takes a file or a folder as objects.
//!
//! A folder is listed first, then everything the cache does not know is hashed in parallel, then tree objects are made
//! from the deepest folders up. With a sink the bytes are stored on the way: small files in the one read that hashes
//! them, large ones in a second read that is checked against the first. What the sink has is not read.

mod leaf;
mod looked;

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use bstr::{BString, ByteSlice};

use super::hash_file::{LARGE, LastLink, hash_seen, is_stored, read_file};
use super::scan::{Entry, Folder, Scan, ScanOptions, scan_and};
use super::spread::{self, FEW_NAMES};
use super::stat_cache::{FolderView, Key, is_settled};
use super::{Error, Fence, Worktree};
use crate::fs::{Dir, FileKind, Fs, Stat};
use crate::hash::{self, Id};
use crate::object::recipe::Content;
use crate::object::tree::{self, Entry as TreeEntry, EntryKind, MAX_ENTRIES};
use crate::object::{Kind, Sink};
use crate::path::{Place, RelPath};
use crate::progress::Unit;
use leaf::{Leaf, Leaves};

pub use looked::{Earlier, Looked, look};

/// Hash context of the digests by which the cache knows folder listings.
const LISTING_CONTEXT: &str = "prov 2026-11 stat cache listing";

/// What is taken of a folder.
#[derive(Debug, Clone, Default)]
pub struct CaptureOptions {
    /// What is left out below the folder. By default nothing but `.prov` and `.git`.
    pub scan: ScanOptions,
    /// Hands every tree object to the sink, also those whose ids are known.
    pub every_tree: bool,
    /// Nobody will ask for later changes: the fence watches nothing, which saves memory and time.
    pub without_fence: bool,
}

/// A file or folder as captured.
#[derive(Debug, Clone)]
pub struct Captured {
    /// What it is.
    pub content: Content,
    /// Its bytes, or those of all files and links below it.
    pub size: u64,
    /// Whether it is a file that its owner may execute.
    pub exec: bool,
    /// Files and links in it; 1 for a file.
    pub files: u64,
    /// Notices later changes.
    pub fence: Fence,
}

/// Captures the file or folder at `place`; a link there is followed, links inside a folder are kept as links.
///
/// With a sink, everything is stored in it, else only hashed. Nothing is stored of the folder if this fails, apart
/// from objects that nothing refers to.
///
/// # Errors
/// When something is absent, unreadable, neither file, folder nor link, or keeps changing; the error names it.
pub fn capture(
    worktree: &Worktree<'_>,
    place: &Place,
    options: &CaptureOptions,
    sink: Option<&dyn Sink>,
) -> Result<Captured, Error> {
    let (path, stat) = seen(worktree, place)?;
    capture_seen(worktree, place, path, stat, options, sink)
}

/// As [`capture`], of what lies at `path`, which is where [`Worktree::path`] says that `place` is, and was in the state `stat` right before;
/// a link was followed.
///
/// # Errors
/// As [`capture`].
pub fn capture_seen(
    worktree: &Worktree<'_>,
    place: &Place,
    path: PathBuf,
    stat: Stat,
    options: &CaptureOptions,
    sink: Option<&dyn Sink>,
) -> Result<Captured, Error> {
    if !stat.is_folder() {
        return capture_file(worktree, Key::of(place), path, stat, sink);
    }
    let mut folder = Tree::look(worktree, place, &path, options, sink)?;
    folder.hash(worktree, sink)?;
    let (root, size) = folder.build(worktree, options, sink)?;
    Ok(folder.captured(root, size, options))
}

/// Where something lies, and its state; a link is followed.
fn seen(worktree: &Worktree<'_>, place: &Place) -> Result<(PathBuf, Stat), Error> {
    let path = worktree.path(place);
    let stat = worktree.fs.stat(&path).map_err(Error::io("read", &path))?;
    let stat = stat.ok_or_else(|| Error::Absent { path: path.clone() })?;
    Ok((path, stat))
}

fn capture_file(
    worktree: &Worktree<'_>,
    key: Key,
    path: PathBuf,
    stat: Stat,
    sink: Option<&dyn Sink>,
) -> Result<Captured, Error> {
    let hashed = hash_seen(worktree, key, &path, stat, sink)?;
    let unsettled = (!hashed.is_settled).then_some(hashed.id);
    Ok(Captured {
        content: Content::Blob(hashed.id),
        size: hashed.stat.size,
        exec: matches!(hashed.stat.kind, FileKind::File { exec: true }),
        files: 1,
        fence: Fence::around_file(path, hashed.stat, unsettled),
    })
}

/// What is known of a name in a folder: the id once it is known, and whether its state proves that.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    id: Option<Id>,
    unsettled: bool,
    /// Bytes of a link's target; a file's are in its state.
    target_len: u64,
}

/// A name whose id is not known yet.
struct Todo {
    folder: usize,
    entry: usize,
}

/// What became of it, with its state if that isn't the listed one.
type Done = (Known, Option<Box<Stat>>);

/// A folder that is being captured.
struct Tree<'w> {
    scan: Scan,
    /// Folders of which nothing is left to be found out.
    leaves: Vec<(BString, Leaf)>,
    views: Vec<FolderView<'w>>,
    /// For every name of every folder of the scan.
    known: Vec<Vec<Known>>,
    todo: Vec<Todo>,
    files: u64,
    /// Paths whose state does not prove their ids.
    unsettled: Vec<(BString, Id)>,
}

impl<'w> Tree<'w> {
    /// Lists it and asks the cache about every file; what a sink lacks counts as unknown.
    fn look(
        worktree: &Worktree<'w>,
        place: &Place,
        path: &Path,
        options: &CaptureOptions,
        sink: Option<&dyn Sink>,
    ) -> Result<Self, Error> {
        let leaves = Leaves::new(worktree, place, options, sink);
        let (scan, made) = scan_and(worktree.fs, path, &options.scan, worktree.cancel, &leaves)?;
        let leaves: Vec<(BString, Leaf)> =
            scan.folders.iter().zip(made).filter_map(|(folder, leaf)| Some((folder.path.clone(), leaf?))).collect();
        let views: Vec<FolderView<'w>> =
            scan.folders.iter().map(|folder| worktree.cache.folder(&place_of(place, &folder.path))).collect();
        let mut files = leaves.iter().map(|(_, leaf)| leaf.files).sum();
        let mut known = Vec::with_capacity(scan.folders.len());
        let mut todo = Vec::new();
        for (f, found) in look_up(&scan, &views, sink)?.into_iter().enumerate() {
            todo.extend(found.todo.into_iter().map(|entry| Todo { folder: f, entry }));
            files += found.files;
            known.push(found.known);
        }
        Ok(Self { scan, leaves, views, known, todo, files, unsettled: Vec::new() })
    }

    /// Hashes what is not known.
    fn hash(&mut self, worktree: &Worktree<'_>, sink: Option<&dyn Sink>) -> Result<(), Error> {
        let todo = std::mem::take(&mut self.todo);
        let results = hash_all(worktree, &self.scan, &self.views, &todo, sink)?;
        for (todo, (result, stat)) in todo.iter().zip(results) {
            let folder = &mut self.scan.folders[todo.folder];
            if let Some(id) = result.id.filter(|_| result.unsettled) {
                self.unsettled.push((folder.path_of(&folder.entries[todo.entry].name), id));
            }
            self.known[todo.folder][todo.entry] = result;
            // The fence watches the state that belongs to the id.
            if let Some(stat) = stat {
                folder.entries[todo.entry].stat = *stat;
            }
        }
        Ok(())
    }

    /// Makes its tree objects; the id of the top one and the bytes below it.
    fn build(
        &self,
        worktree: &Worktree<'_>,
        options: &CaptureOptions,
        sink: Option<&dyn Sink>,
    ) -> Result<(Id, u64), Error> {
        let mut built = HashMap::with_capacity(self.scan.folders.len());
        built.extend(self.leaves.iter().map(|(path, leaf)| (path.clone(), (leaf.tree, leaf.size))));
        build_trees(worktree, &self.scan, &self.known, built, options, sink)
    }

    fn captured(self, root: Id, size: u64, options: &CaptureOptions) -> Captured {
        let fence = if options.without_fence {
            Fence::new()
        } else {
            Fence::around_folder(self.scan, options.scan.clone(), self.unsettled)
        };
        Captured { content: Content::Tree(root), size, exec: false, files: self.files, fence }
    }
}

/// Where a folder of a scan lies, as the cache names it.
fn place_of(top: &Place, folder: &BString) -> Place {
    if folder.is_empty() {
        return top.clone();
    }
    match top {
        Place::Inside(rel) => {
            let mut bytes = rel.as_bytes().to_vec();
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(folder);
            // Listed names are plain names, so this is in normal form.
            Place::Inside(RelPath::new(bytes).unwrap_or_default())
        }
        Place::Outside(path) => Place::Outside(path.join(crate::path::from_bytes(folder))),
    }
}

/// What is known of a folder.
struct FolderKnown {
    known: Vec<Known>,
    /// Positions of files and links whose id is not known.
    todo: Vec<usize>,
    /// How many files and links there are.
    files: u64,
}

/// Asks the cache about every file; what a sink lacks counts as unknown.
fn look_up(scan: &Scan, views: &[FolderView<'_>], sink: Option<&dyn Sink>) -> Result<Vec<FolderKnown>, Error> {
    let pairs: Vec<_> = scan.folders.iter().zip(views).collect();
    spread::try_map(&pairs, scan.len() > FEW_NAMES, |(folder, view)| {
        let (mut todo, mut files) = (Vec::new(), 0);
        let known = folder
            .entries
            .iter()
            .enumerate()
            .map(|(at, entry)| {
                let path = || scan.path(&folder.path_of(&entry.name));
                let id = match entry.stat.kind {
                    FileKind::File { .. } => view.get(&entry.name, &entry.stat),
                    FileKind::Folder | FileKind::Link => None,
                    FileKind::Other => return Err(Error::Special { path: path() }),
                };
                let id = match id {
                    Some(id) if sink.is_some() && !is_stored(sink, &id, &path())? => None,
                    id => id,
                };
                if !entry.stat.is_folder() {
                    files += 1;
                    if id.is_none() {
                        todo.push(at);
                    }
                }
                Ok(Known { id, ..Known::default() })
            })
            .collect::<Result<_, Error>>()?;
        Ok(FolderKnown { known, todo, files })
    })
}

/// Hashes what is not known, small and middling files in parallel, then each large one by several threads.
fn hash_all(
    worktree: &Worktree<'_>,
    scan: &Scan,
    views: &[FolderView<'_>],
    todo: &[Todo],
    sink: Option<&dyn Sink>,
) -> Result<Vec<Done>, Error> {
    if todo.is_empty() {
        return Ok(Vec::new());
    }
    let listed = |item: &Todo| &scan.folders[item.folder].entries[item.entry];
    let bytes = todo.iter().map(|item| listed(item).stat.size).sum();
    worktree.progress.begin("hashing", Some(bytes), Unit::Bytes);
    let errors = Mutex::new(Vec::new());
    let one = |item: &Todo, is_alone: bool| {
        if worktree.cancel.is_raised() {
            return None;
        }
        let Entry { name, stat } = listed(item);
        let path = scan.path(&scan.folders[item.folder].path_of(name));
        let done = if stat.kind == FileKind::Link {
            hash_link(worktree, &path, sink)
        } else {
            let key = views[item.folder].key(name);
            read_file(worktree, key, &path, sink, LastLink::Refuse, is_alone)
                .map(|h| (Known { id: Some(h.id), unsettled: !h.is_settled, target_len: 0 }, h.stat))
        };
        worktree.progress.add(stat.size);
        match done {
            Ok((known, seen)) => Some((known, (seen != *stat).then(|| Box::new(seen)))),
            Err(err) => {
                errors.lock().unwrap_or_else(PoisonError::into_inner).push(err);
                None
            }
        }
    };
    let is_large = |item: &Todo| listed(item).stat.is_file() && listed(item).stat.size >= LARGE;
    let mut results: Vec<Option<Done>> =
        spread::map(
            todo,
            spread::is_much(todo.len(), bytes),
            |item| if is_large(item) { None } else { one(item, false) },
        );
    for (item, result) in todo.iter().zip(&mut results).filter(|(item, _)| is_large(item)) {
        *result = one(item, true);
    }
    worktree.progress.end();
    worktree.check_cancel()?;
    let mut errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    errors.sort_by(|a, b| a.path().cmp(&b.path()));
    match errors.into_iter().next() {
        Some(first) => Err(first),
        // Without an error and without a cancel every item has its result.
        None => Ok(results.into_iter().flatten().collect()),
    }
}

/// The target of a link, as a blob.
fn hash_link(worktree: &Worktree<'_>, path: &Path, sink: Option<&dyn Sink>) -> Result<(Known, Stat), Error> {
    let began = worktree.clock.now();
    let (target, stat) = read_link(worktree.fs, path)?;
    let id = hash::blob(&target);
    if let Some(sink) = sink {
        sink.put(&Kind::BLOB, &id, &target).map_err(Error::access("store", path))?;
    }
    let known = Known { id: Some(id), unsettled: !is_settled(&stat, began), target_len: target.len() as u64 };
    Ok((known, stat))
}

/// What the link at `path` says, and its state before and after it was read.
pub(super) fn read_link(fs: &Fs, path: &Path) -> Result<(BString, Stat), Error> {
    let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default().as_bytes());
    let dir = Dir::open(fs, parent).map_err(Error::io("read", path))?;
    let before = dir.stat(name).map_err(Error::io("read", path))?;
    let target = dir.read_link(name).map_err(Error::io("read", path))?;
    let after = dir.stat(name).map_err(Error::io("read", path))?;
    match (before, after) {
        (Some(before), Some(after)) if before.same_content(&after) => Ok((target, after)),
        _ => Err(Error::Changed { path: path.to_owned() }),
    }
}

/// What makes a tree object, in one row of bytes: its digest stands for the object in the cache.
struct Listing(Vec<u8>);

impl Listing {
    fn with_capacity(entries: usize) -> Self {
        Self(Vec::with_capacity(entries * 64))
    }

    fn add(&mut self, name: &[u8], kind: EntryKind, id: &Id, size: u64) {
        self.0.push(kind as u8);
        self.0.extend_from_slice(id.digest());
        self.0.extend_from_slice(&size.to_le_bytes());
        self.0.extend_from_slice(name);
        self.0.push(0);
    }

    fn digest(&self) -> Id {
        hash::derived(LISTING_CONTEXT, &self.0)
    }
}

/// Makes the tree objects from the deepest folders up, apart from those `built` already; the id of the top one and the bytes below it.
fn build_trees(
    worktree: &Worktree<'_>,
    scan: &Scan,
    known: &[Vec<Known>],
    mut built: HashMap<BString, (Id, u64)>,
    options: &CaptureOptions,
    sink: Option<&dyn Sink>,
) -> Result<(Id, u64), Error> {
    let mut by_depth: Vec<Vec<usize>> = Vec::new();
    for (at, folder) in scan.folders.iter().enumerate().filter(|(_, folder)| !built.contains_key(&folder.path)) {
        let depth = folder.depth();
        if by_depth.len() <= depth {
            by_depth.resize_with(depth + 1, Vec::new);
        }
        by_depth[depth].push(at);
    }
    for level in by_depth.iter().rev() {
        worktree.check_cancel()?;
        let done = spread::try_map(level, level.len() > 1 && scan.len() > FEW_NAMES, |&at| {
            let folder = &scan.folders[at];
            let tree = build_tree(worktree, scan, folder, &known[at], &built, options, sink)?;
            Ok::<_, Error>((folder.path.clone(), tree))
        })?;
        built.extend(done);
    }
    built.get(b"".as_bstr()).copied().ok_or_else(|| Error::Changed { path: scan.at.clone() })
}

fn build_tree(
    worktree: &Worktree<'_>,
    scan: &Scan,
    folder: &Folder,
    known: &[Known],
    built: &HashMap<BString, (Id, u64)>,
    options: &CaptureOptions,
    sink: Option<&dyn Sink>,
) -> Result<(Id, u64), Error> {
    let mut listing = Listing::with_capacity(folder.entries.len());
    let mut parts = Vec::with_capacity(folder.entries.len());
    for (entry, known) in folder.entries.iter().zip(known) {
        let vanished = || Error::Changed { path: scan.path(&folder.path_of(&entry.name)) };
        let (kind, id, size) = match entry.stat.kind {
            FileKind::Folder => {
                // A folder that vanished between its listing and its turn is absent here.
                let (id, size) = *built.get(&folder.path_of(&entry.name)).ok_or_else(vanished)?;
                (EntryKind::Tree, id, size)
            }
            FileKind::Link => (EntryKind::Link, known.id.ok_or_else(vanished)?, known.target_len),
            FileKind::File { exec } => {
                let kind = if exec { EntryKind::Exec } else { EntryKind::File };
                (kind, known.id.ok_or_else(vanished)?, entry.stat.size)
            }
            FileKind::Other => return Err(Error::Special { path: scan.path(&folder.path_of(&entry.name)) }),
        };
        listing.add(&entry.name, kind, &id, size);
        parts.push((kind, id, size));
    }
    let digest = listing.digest();
    let path = || scan.path(&folder.path);
    // A split folder is several objects; whether a sink has them all is not told by its top one.
    if !options.every_tree
        && (parts.len() <= MAX_ENTRIES || sink.is_none())
        && let Some(found) = worktree.cache.listing(&digest)
        && is_stored(sink, &found.0, &path())?
    {
        return Ok(found);
    }
    let entries = folder
        .entries
        .iter()
        .zip(parts)
        .map(|(entry, (kind, id, size))| TreeEntry { name: entry.name.to_vec().into(), kind, id, size })
        .collect();
    let built = tree::build(entries).map_err(|source| Error::Object { path: path(), source })?;
    if let Some(sink) = sink {
        for (id, bytes) in &built.objects {
            sink.put(&Kind::TREE, id, bytes).map_err(Error::access("store", &path()))?;
        }
    }
    worktree.cache.put_listing(&digest, built.root, built.size);
    Ok((built.root, built.size))
}

#[cfg(test)]
mod tests;

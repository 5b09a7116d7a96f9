//! Taking a file or a folder in two steps, for whoever does not know yet whether it has to be stored: it is listed once, and what is read is
//! read once.

use std::path::PathBuf;

use bstr::BString;

use super::{CaptureOptions, Captured, Leaf, Todo, Tree, capture, capture_file, seen};
use crate::fs::Stat;
use crate::hash::Id;
use crate::object::recipe::Content;
use crate::object::tree::{self, EntryKind};
use crate::object::{AccessError, Sink, Source};
use crate::path::Place;
use crate::worktree::fence::Fence;
use crate::worktree::hash_file::is_stored;
use crate::worktree::spread::{self, FEW_NAMES};
use crate::worktree::stat_cache::Key;
use crate::worktree::{Error, Worktree};

/// A file or folder that was looked at, with what the cache knows of it.
pub struct Looked<'w> {
    worktree: Worktree<'w>,
    place: Place,
    path: PathBuf,
    options: CaptureOptions,
    what: What<'w>,
}

enum What<'w> {
    File(Stat),
    Folder(Box<Tree<'w>>),
}

impl std::fmt::Debug for Looked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looked").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A folder as it was before, all of which the sink is sure to have: what did not change since need not be asked for.
pub trait Earlier: Sync {
    /// The folder at `path`, relative to the one that is taken.
    fn tree(&self, path: &[u8]) -> Option<Id>;

    /// Whether the file `name` in the folder at `path` was `id`.
    fn has(&self, path: &[u8], name: &[u8], id: &Id) -> bool;
}

/// Lists what lies at `place` and asks the cache about it; nothing is read. No fence is put around it, whatever `options` say.
///
/// # Errors
/// When something is absent, can't be listed, or is neither file, folder nor link; the error names it.
pub fn look<'w>(worktree: &Worktree<'w>, place: &Place, options: &CaptureOptions) -> Result<Looked<'w>, Error> {
    let options = CaptureOptions { without_fence: true, ..options.clone() };
    let (path, stat) = seen(worktree, place)?;
    let what = if stat.is_folder() {
        What::Folder(Box::new(Tree::look(worktree, place, &path, &options, None)?))
    } else {
        What::File(stat)
    };
    Ok(Looked { worktree: *worktree, place: place.clone(), path, options, what })
}

impl Looked<'_> {
    /// Whether the cache knows nothing of the file, or less than half of the folder: then it is hardly in any store.
    pub fn is_mostly_new(&self) -> bool {
        match &self.what {
            What::File(stat) => self.worktree.cache.get(Key::of(&self.place), stat).is_none(),
            What::Folder(tree) => tree.todo.len() as u64 > tree.files / 2,
        }
    }

    /// What it is. Files that the cache does not know are read, and with a sink stored; whether that has the others, and the folders
    /// themselves, is not asked.
    ///
    /// # Errors
    /// When something can't be read or stored, or keeps changing.
    pub fn identify(&mut self, sink: Option<&dyn Sink>) -> Result<Captured, Error> {
        let is_new = self.is_mostly_new();
        let worktree = &self.worktree;
        match &mut self.what {
            What::File(stat) => {
                let sink = sink.filter(|_| is_new);
                Ok(Captured {
                    fence: Fence::new(),
                    ..capture_file(worktree, Key::of(&self.place), self.path.clone(), *stat, sink)?
                })
            }
            What::Folder(tree) => {
                tree.hash(worktree, sink)?;
                let (root, size) = tree.build(worktree, &self.options, None)?;
                let content = Content::Tree(root);
                Ok(Captured { content, size, exec: false, files: tree.files, fence: Fence::new() })
            }
        }
    }

    /// Stores all of it as it was found: what the sink has is relied on, of folders that did not change by what `source` says is in them.
    /// What was in `earlier` is left to the caller to rely on.
    ///
    /// # Errors
    /// As [`capture()`].
    pub fn store(
        mut self,
        source: &dyn Source,
        sink: &dyn Sink,
        earlier: Option<&dyn Earlier>,
    ) -> Result<Captured, Error> {
        let worktree = &self.worktree;
        let tree = match &mut self.what {
            What::File(stat) => {
                return capture_file(worktree, Key::of(&self.place), self.path.clone(), *stat, Some(sink));
            }
            What::Folder(tree) => tree,
        };
        let is_much = tree.files > FEW_NAMES as u64;
        let has_leaf = |(path, leaf): &(BString, Leaf)| {
            let is_as_it_was = earlier.is_some_and(|earlier| earlier.tree(path) == Some(leaf.tree));
            if is_as_it_was { Ok(true) } else { has_all(source, sink, leaf.tree) }
        };
        let leaves = spread::try_map(&tree.leaves, is_much, has_leaf).map_err(Error::access("store", &self.path))?;
        if leaves.contains(&false) {
            // The names in it are not known any more.
            return capture(worktree, &self.place, &self.options, Some(sink));
        }
        let lacking = spread::try_map(&(0..tree.known.len()).collect::<Vec<_>>(), is_much, |&folder| {
            let mut lacking = Vec::new();
            let listed = &tree.scan.folders[folder];
            for (entry, known) in tree.known[folder].iter().enumerate() {
                let name = &listed.entries[entry].name;
                if let Some(id) = known.id
                    && !earlier.is_some_and(|earlier| earlier.has(&listed.path, name, &id))
                    && !is_stored(Some(sink), &id, &self.path)?
                {
                    lacking.push(Todo { folder, entry });
                }
            }
            Ok::<_, Error>(lacking)
        })?;
        tree.todo.extend(lacking.into_iter().flatten());
        tree.hash(worktree, Some(sink))?;
        let (root, size) = tree.build(worktree, &self.options, Some(sink))?;
        let content = Content::Tree(root);
        Ok(Captured { content, size, exec: false, files: tree.files, fence: Fence::new() })
    }
}

/// Whether the sink has a folder of files, and relies on it; `false` also where the source can't tell what is in it.
fn has_all(source: &dyn Source, sink: &dyn Sink, id: Id) -> Result<bool, AccessError> {
    let mut parts = Vec::new();
    let listed = tree::list(id, &mut |id| {
        parts.push(*id);
        source.read(id).ok().flatten().map(|(_, bytes)| bytes).ok_or(())
    });
    let Ok(entries) = listed else { return Ok(false) };
    for id in &parts {
        if !sink.has(id)? {
            return Ok(false);
        }
    }
    for entry in entries {
        if entry.kind == EntryKind::Tree || !sink.has(&entry.id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

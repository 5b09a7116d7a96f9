//! Folders with nothing but files that the cache knows: most of a large folder is in them, and they are done with one by one.

use bstr::BString;

use super::{CaptureOptions, Listing, place_of};
use crate::fs::{Dir, FileKind, Stat, stamps_folders};
use crate::hash::Id;
use crate::object::Sink;
use crate::object::tree::{EntryKind, MAX_ENTRIES};
use crate::path::Place;
use crate::worktree::scan::{Before, Folder, Look};
use crate::worktree::stat_cache::{self, States, is_settled};
use crate::worktree::{Rules, Worktree};

/// A folder with nothing but files of which the cache knew everything.
pub(super) struct Leaf {
    pub(super) tree: Id,
    pub(super) size: u64,
    pub(super) files: u64,
}

/// Asks the cache about folders one by one while they are read.
pub(super) struct Leaves<'a> {
    worktree: &'a Worktree<'a>,
    top: &'a Place,
    sink: Option<&'a dyn Sink>,
    /// The states of files are needed no more once the cache has told all that they are needed for.
    is_brief: bool,
    /// What is in a folder is taken whole, so that it need not even be listed.
    is_whole: bool,
}

impl<'a> Leaves<'a> {
    pub(super) fn new(
        worktree: &'a Worktree<'a>,
        top: &'a Place,
        options: &CaptureOptions,
        sink: Option<&'a dyn Sink>,
    ) -> Self {
        let is_brief = options.without_fence && !options.every_tree && !options.scan.without_empty_folders;
        // With a sink each file is asked for.
        let is_whole = is_brief && sink.is_none() && options.scan.keep.is_none();
        Self { worktree, top, sink, is_brief, is_whole }
    }

    /// What the cache knows of a folder in this state whose files are as they were.
    fn unlisted(&self, dir: &Dir, place: &Place, stat: &Stat, rules: &Id) -> Option<Leaf> {
        let known = self.worktree.cache.leaf(place, stat)?;
        let mut states = States::new(rules, usize::try_from(known.files).unwrap_or(0).min(known.names.len()));
        for name in known.names() {
            states.add(&dir.stat_named(name).ok()??);
        }
        (states.digest() == known.states).then_some(Leaf { tree: known.tree, size: known.size, files: known.files })
    }
}

/// A folder before it was listed.
pub(super) struct Found {
    stat: Stat,
    /// Stands for the rules that hold in it.
    rules: Id,
}

impl Look<Option<Leaf>> for Leaves<'_> {
    type Was = Found;

    fn before(&self, dir: &Dir, path: &BString, rules: Option<&Rules>) -> Before<Option<Leaf>, Found> {
        if !self.is_whole {
            return Before::Unknown(None);
        }
        let now = self.worktree.clock.now();
        let Ok(stat) = dir.own_stat() else { return Before::Unknown(None) };
        let rules = rules.map_or(Id::ZERO, Rules::digest);
        match self.unlisted(dir, &place_of(self.top, path), &stat, &rules) {
            Some(leaf) => {
                let names = usize::try_from(leaf.files).unwrap_or(usize::MAX);
                Before::Known(Some(leaf), names)
            }
            None => Before::Unknown(is_settled(&stat, now).then_some(Found { stat, rules })),
        }
    }

    /// Takes the names out of a folder that holds nothing but files, if the cache knows them and their listing; with a sink, if that has them.
    fn after(&self, folder: &mut Folder, was: Option<Found>) -> Option<Leaf> {
        if !self.is_brief || folder.entries.is_empty() {
            return None;
        }
        if self.sink.is_some() && folder.entries.len() > MAX_ENTRIES {
            return None;
        }
        // Whatever can't be told is told, with its error, where every folder is looked at.
        let has = |id: &Id| self.sink.is_none_or(|sink| sink.has(id).unwrap_or(false));
        let cache = self.worktree.cache;
        let place = place_of(self.top, &folder.path);
        let view = cache.folder(&place);
        view.warm();
        let mut listing = Listing::with_capacity(folder.entries.len());
        for entry in &folder.entries {
            let FileKind::File { exec } = entry.stat.kind else { return None };
            let id = view.get(&entry.name, &entry.stat).filter(has)?;
            listing.add(&entry.name, if exec { EntryKind::Exec } else { EntryKind::File }, &id, entry.stat.size);
        }
        let (tree, size) = cache.listing(&listing.digest()).filter(|(tree, _)| has(tree))?;
        let entries = std::mem::take(&mut folder.entries);
        let files = entries.len() as u64;
        if let Some(was) = was.filter(|_| stamps_folders(&self.worktree.path(&place))) {
            let (mut names, mut states) = (Vec::new(), States::new(&was.rules, entries.len()));
            for entry in &entries {
                names.extend_from_slice(&entry.name);
                names.push(0);
                states.add(&entry.stat);
            }
            let states = states.digest();
            cache.put_leaf(&place, &was.stat, &stat_cache::Leaf { names, states, tree, size, files });
        }
        Some(Leaf { tree, size, files })
    }
}

#[cfg(test)]
mod tests;

//! Folders in which nothing is wanted, remembered by their state: they need not be listed to be passed over.
//!
//! While a folder is in the state it was in, and settled, before it was listed, no name in it came or went (see [`super::stat_cache`]). What is
//! chosen by name alone among names that are the same is the same. A folder is remembered only if there was nothing in it to choose, to
//! enter, or to choose by (rules to ignore names): then neither the states of files nor what other folders hold makes a difference.

use std::sync::OnceLock;

use bstr::BString;

use super::scan::{Before, ByName, Folder, Look, Scan, ScanOptions, scan_and};
use super::stat_cache::{Key, is_settled};
use super::{Error, Rules, Worktree};
use crate::fs::{Dir, Listed, Name, Stat, stamps_folders};
use crate::path::{Place, RelPath};

/// Lists what is wanted by name in the project, as far as `rules` do not leave it out: files and links alone.
///
/// # Errors
/// When a folder can't be read; the error names it.
pub fn scan_by_name(worktree: &Worktree<'_>, names: ByName, rules: Rules) -> Result<Scan, Error> {
    let options = ScanOptions { rules: Some(rules), names: Some(names), ..ScanOptions::default() };
    let barren = Barren { worktree, names, stamped: OnceLock::new() };
    Ok(scan_and(worktree.fs, worktree.root, &options, worktree.cancel, &barren)?.0)
}

struct Barren<'a> {
    worktree: &'a Worktree<'a>,
    names: ByName,
    /// The device of the project, if that stamps folders.
    stamped: OnceLock<Option<u64>>,
}

impl Barren<'_> {
    /// Whether the state of a folder tells of every change to its names.
    fn tells(&self, stat: &Stat) -> bool {
        let root = self.worktree.root;
        let device =
            || self.worktree.fs.stat(root).ok().flatten().filter(|_| stamps_folders(root)).map(|stat| stat.dev);
        *self.stamped.get_or_init(device) == Some(stat.dev)
    }
}

impl Look<()> for Barren<'_> {
    type Was = Stat;

    fn before(&self, dir: &Dir, _: &BString, _: Option<&Rules>) -> Before<(), Stat> {
        let now = self.worktree.clock.now();
        let settled = dir.own_stat().ok().filter(|stat| is_settled(stat, now));
        Before::Unknown(settled)
    }

    fn after(&self, _: &mut Folder, _: Option<Stat>) {}

    fn fruitful(&self, dir: &Dir, path: &BString, inner: Vec<Listed>) -> Vec<Name> {
        let Some(place) = RelPath::new(path.clone()).map(Place::Inside) else {
            return inner.into_iter().map(|one| one.name).collect();
        };
        let view = self.worktree.cache.folder(&place);
        let is_barren = |one: &Listed| {
            let stat = dir.stat_listed(one).ok().flatten();
            stat.is_some_and(|stat| stat.is_folder() && view.is_barren(&one.name, &stat, &self.names.id))
        };
        inner.into_iter().filter(|one| !is_barren(one)).map(|one| one.name).collect()
    }

    fn nothing_in(&self, path: &BString, was: Stat) {
        if let Some(path) = RelPath::new(path.clone()).filter(|path| !path.is_root())
            && self.tells(&was)
        {
            self.worktree.cache.put_barren(Key::of(&Place::Inside(path)), &was, self.names.id);
        }
    }
}

#[cfg(test)]
mod tests;

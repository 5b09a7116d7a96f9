//! Notices that files changed since they were captured.
//!
//! A [`Fence`] keeps the states seen at capture. Checking it lists and stats again and reads nothing, except the few
//! files that had not settled when they were hashed (see [`super::stat_cache`]): those are hashed again, since an edit in
//! the same tick of the clock would not show.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::capture::read_link;
use super::hash_file::{LastLink, read_file};
use super::scan::{Scan, ScanOptions, scan};
use super::stat_cache::Key;
use super::{Error, Folder, Worktree};
use crate::fs::{FileKind, Stat};
use crate::hash::{self, Id};
use crate::path::locate;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It has another state or content, or can't be looked at any more.
    Changed,
    /// It is gone.
    Removed,
    /// It was not there.
    Added,
}

/// Stands for a folder itself.
const FOLDER: Stat =
    Stat { kind: FileKind::Folder, dev: 0, ino: 0, size: 0, mtime_ns: 0, ctime_ns: 0, links: 0, mode: 0 };

/// One difference from what was captured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The absolute path.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
}

impl Change {
    fn new(path: impl Into<PathBuf>, kind: ChangeKind) -> Self {
        Self { path: path.into(), kind }
    }
}

/// The states of captured files.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    File {
        path: PathBuf,
        stat: Stat,
        /// The id, if only that can tell whether it changed.
        unsettled: Option<Id>,
    },
    /// Nothing was there.
    Absent { path: PathBuf },
    Folder {
        scan: Scan,
        options: ScanOptions,
        /// Paths inside and their ids, if only those can tell whether they changed.
        unsettled: Vec<(BString, Id)>,
    },
}

impl Fence {
    /// A fence around nothing.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn around_file(path: PathBuf, stat: Stat, unsettled: Option<Id>) -> Self {
        Self { parts: vec![Part::File { path, stat, unsettled }] }
    }

    /// A fence that notices when something appears at `path`.
    pub fn around_nothing(path: PathBuf) -> Self {
        Self { parts: vec![Part::Absent { path }] }
    }

    pub(super) fn around_folder(scan: Scan, options: ScanOptions, unsettled: Vec<(BString, Id)>) -> Self {
        Self { parts: vec![Part::Folder { scan, options, unsettled }] }
    }

    /// Takes another fence's files in as well.
    pub fn join(&mut self, other: Fence) {
        self.parts.extend(other.parts);
    }

    /// How many files, links and folders it watches.
    pub fn len(&self) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::File { .. } | Part::Absent { .. } => 1,
                Part::Folder { scan, .. } => 1 + scan.folders.iter().map(|f| f.entries.len()).sum::<usize>(),
            })
            .sum()
    }

    /// The links in the folders that it watches, absolute.
    pub fn links(&self) -> Vec<PathBuf> {
        let scans = self.parts.iter().filter_map(|part| match part {
            Part::Folder { scan, .. } => Some(scan),
            _ => None,
        });
        let links = scans.flat_map(|scan| {
            scan.folders.iter().flat_map(move |folder| {
                let links = folder.entries.iter().filter(|entry| entry.stat.kind == FileKind::Link);
                links.map(move |entry| scan.path(&folder.path_of(&entry.name)))
            })
        });
        links.collect()
    }

    /// Whether it watches nothing.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A digest of all the states that it watches: another one, made later of the same places, is equal only if none of them was seen to
    /// change. Of files too young for their states to prove anything, the content has to be compared as well.
    pub fn digest(&self) -> Id {
        let mut lines = Vec::new();
        let mut add = |path: &[u8], stat: &Stat| {
            let Stat { kind, dev, ino, size, mtime_ns, ctime_ns, .. } = stat;
            let path = hash::hex(path);
            // A folder's own times change with what is in it, and that is listed.
            let state = if stat.is_folder() { (0, 0, 0) } else { (*size, *mtime_ns, *ctime_ns) };
            lines.push(format!("{path} {kind:?} {dev} {ino} {state:?}\n"));
        };
        for part in &self.parts {
            match part {
                Part::File { path, stat, .. } => add(path.as_os_str().as_encoded_bytes(), stat),
                Part::Absent { .. } => {}
                Part::Folder { scan, .. } => {
                    add(scan.at.as_os_str().as_encoded_bytes(), &FOLDER);
                    for folder in &scan.folders {
                        for entry in &folder.entries {
                            add(&folder.path_of(&entry.name), &entry.stat);
                        }
                    }
                }
            }
        }
        for part in &self.parts {
            if let Part::Absent { path } = part {
                lines.push(format!("{} absent\n", hash::hex(path.as_os_str().as_encoded_bytes())));
            }
        }
        // In whatever order they were looked at.
        lines.sort_unstable();
        lines.dedup();
        hash::derived("prov 2026 states of a fence", lines.concat().as_bytes())
    }

    /// What changed since, sorted by path; what can't be looked at any more counts as changed.
    pub fn check(&self, worktree: &Worktree<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        for part in &self.parts {
            match part {
                Part::File { path, stat, unsettled } => {
                    changes.extend(check_file(worktree, path, stat, unsettled.as_ref()));
                }
                Part::Absent { path } => match worktree.fs.stat(path) {
                    Ok(None) => {}
                    _ => changes.push(Change::new(path, ChangeKind::Added)),
                },
                Part::Folder { scan: before, options, unsettled } => {
                    check_folder(worktree, before, options, unsettled, &mut changes);
                }
            }
        }
        changes.sort();
        changes.dedup();
        changes
    }
}

fn check_file(worktree: &Worktree<'_>, path: &Path, stat: &Stat, unsettled: Option<&Id>) -> Option<Change> {
    match worktree.fs.stat(path) {
        Ok(None) => Some(Change::new(path, ChangeKind::Removed)),
        Ok(Some(now)) if now.same_content(stat) => match unsettled {
            Some(id) if !has_id(worktree, path, id, LastLink::Follow) => Some(Change::new(path, ChangeKind::Changed)),
            _ => None,
        },
        _ => Some(Change::new(path, ChangeKind::Changed)),
    }
}

fn has_id(worktree: &Worktree<'_>, path: &Path, id: &Id, last: LastLink) -> bool {
    if last == LastLink::Refuse && matches!(worktree.fs.lstat(path), Ok(Some(stat)) if stat.kind == FileKind::Link) {
        return read_link(worktree.fs, path).is_ok_and(|(target, _)| hash::blob(&target) == *id);
    }
    let key = Key::of(&locate(worktree.root, worktree.root, path));
    read_file(worktree, key, path, None, last, true).is_ok_and(|hashed| hashed.id == *id)
}

fn check_folder(
    worktree: &Worktree<'_>,
    before: &Scan,
    options: &ScanOptions,
    unsettled: &[(BString, Id)],
    changes: &mut Vec<Change>,
) {
    let after = match scan(worktree.fs, &before.at, options, worktree.cancel) {
        Ok(after) => after,
        Err(Error::Absent { path }) => return changes.push(Change::new(path, ChangeKind::Removed)),
        Err(err) => {
            return changes.push(Change::new(err.path().unwrap_or(&before.at), ChangeKind::Changed));
        }
    };
    let first = changes.len();
    merge(
        &before.folders,
        &after.folders,
        |f| &f.path,
        |old, new| match (old, new) {
            (Some(old), Some(new)) => compare(before, old, new, changes),
            (Some(old), None) => changes.push(Change::new(before.path(&old.path), ChangeKind::Removed)),
            (None, Some(new)) => changes.push(Change::new(before.path(&new.path), ChangeKind::Added)),
            (None, None) => {}
        },
    );
    let seen: Vec<PathBuf> = changes[first..].iter().map(|c| c.path.clone()).collect();
    for (path, id) in unsettled {
        // What went with its folder is told by the folder.
        let parent = path.rfind_byte(b'/').map_or(&b""[..], |at| &path[..at]);
        if after.folder(parent).is_none() {
            continue;
        }
        let path = before.path(path);
        if !seen.contains(&path) && !has_id(worktree, &path, id, LastLink::Refuse) {
            changes.push(Change::new(path, ChangeKind::Changed));
        }
    }
}

fn compare(scan: &Scan, old: &Folder, new: &Folder, changes: &mut Vec<Change>) {
    merge(
        &old.entries,
        &new.entries,
        |e| &e.name,
        |before, after| {
            let kind = match (before, after) {
                (Some(a), Some(b)) if a.stat.is_folder() && b.stat.is_folder() => return,
                (Some(a), Some(b)) if a.stat.same_content(&b.stat) => return,
                (Some(_), None) => ChangeKind::Removed,
                (None, _) => ChangeKind::Added,
                _ => ChangeKind::Changed,
            };
            if let Some(entry) = before.or(after) {
                changes.push(Change::new(scan.path(&old.path_of(&entry.name)), kind));
            }
        },
    );
}

/// Walks two sorted lists side by side.
fn merge<'a, T, K: Ord + 'a>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&'a T) -> &'a K,
    mut each: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => key(a).cmp(key(b)),
        };
        let left = if order == Ordering::Greater { None } else { old.next() };
        let right = if order == Ordering::Less { None } else { new.next() };
        each(left, right);
    }
}

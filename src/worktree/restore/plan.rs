//! Says what a restore would do, without doing it.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::BString;
use rayon::prelude::*;

use super::super::capture::read_link;
use super::super::hash_file::{LastLink, hash_file, read_file};
use super::super::scan::{Folder, Scan, ScanOptions, scan};
use super::super::spread::{self, FEW_NAMES};
use super::super::stat_cache::Key;
use super::super::{Error, Fence, Worktree, is_reserved};
use super::validate::{self, expand, join, parent};
use super::{Here, InTheWay, LetterCase, Node, Plan, PlanItem, RestoreOptions, State, Wanted, WantedFolder, Work};
use crate::fs::{Dir, FileKind, Fs, Stat, is_absent};
use crate::object::recipe::Content;
use crate::object::tree::EntryKind;
use crate::object::{Kind, Source};
use crate::path::{RelPath, locate};

/// Finds out what bringing `wanted` back below `root` takes; nothing is written.
///
/// # Errors
/// When a destination or anything in a tree breaks a rule, two destinations contradict each other, an object is
/// damaged, or what is there can't be read. Missing objects are no error: see [`PlanItem::missing`].
pub fn plan(
    worktree: &Worktree<'_>,
    root: &Path,
    source: &dyn Source,
    wanted: &[Wanted],
    options: &RestoreOptions,
) -> Result<Plan, Error> {
    let dir = match Dir::open(worktree.fs, root) {
        Ok(dir) => Some(dir),
        Err(err) if is_absent(&err) => None,
        Err(err) => return Err(Error::io("read", root)(err)),
    };
    let case_same = OnceCell::new();
    let is_case_same = || match options.letter_case {
        LetterCase::Same => true,
        LetterCase::Distinct => false,
        LetterCase::Detect => *case_same.get_or_init(|| folds_case(worktree.fs, root)),
    };
    let mut items = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        worktree.check_cancel()?;
        let path = wanted.to.below(root);
        check_destination(&wanted.to, &path)?;
        let mut item = PlanItem {
            wanted: wanted.clone(),
            path,
            state: State::Absent,
            size: 0,
            missing: Vec::new(),
            work: Work::Nothing,
            seen: None,
            fence: Fence::new(),
        };
        match &wanted.content {
            Content::Blob(_) => item.work = Work::File,
            Content::Tree(id) => {
                let rules = validate::Rules {
                    at: &item.path,
                    to: &wanted.to,
                    unsafe_links: options.unsafe_links,
                    max_entries: options.max_entries,
                    is_case_same: &is_case_same,
                };
                let expanded = expand(source, *id, &rules)?;
                item.size = expanded.size;
                item.missing = expanded.missing;
                item.work = Work::Folder(expanded.folders);
            }
            Content::External(..) => {
                let rule = "its content is not in the store but elsewhere".to_owned();
                return Err(Error::Unsafe { path: item.path, rule });
            }
        }
        items.push(item);
    }
    let covered = overlaps(&items)?;
    // Letter case matters between destinations as well.
    check_twins(&items, &is_case_same)?;
    for (at, item) in items.iter_mut().enumerate() {
        worktree.check_cancel()?;
        look(worktree, dir.as_ref(), source, item)?;
        if covered.iter().any(|(inner, _)| *inner == at) {
            item.work = Work::Nothing;
        }
    }
    Ok(Plan { root: root.to_owned(), items, covered, shelf: None })
}

fn check_destination(to: &RelPath, path: &Path) -> Result<(), Error> {
    let broken = |rule: &str| Error::Unsafe { path: path.to_owned(), rule: rule.to_owned() };
    if to.is_root() {
        return Err(broken("the destination is the root itself"));
    }
    match to.components().find(|name| is_reserved(name)) {
        Some(name) => Err(broken(&format!("the name `{}` is reserved", crate::path::shown(name)))),
        None => Ok(()),
    }
}

/// Destinations that lie in other ones; each must be what the outer one holds at that place.
fn overlaps(items: &[PlanItem]) -> Result<Vec<(usize, usize)>, Error> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&at| (items[at].wanted.to.components().count(), at));
    let mut covered = Vec::new();
    let mut outers: Vec<usize> = Vec::new();
    for at in order {
        let inner = &items[at];
        let Some(&outer_at) = outers.iter().find(|&&o| inner.wanted.to.is_within(&items[o].wanted.to)) else {
            outers.push(at);
            continue;
        };
        let outer = &items[outer_at];
        if !holds(outer, &inner.wanted) {
            let rule = format!("`{}` is to hold something else at this place", outer.wanted.to);
            return Err(Error::Unsafe { path: inner.path.clone(), rule });
        }
        covered.push((at, outer_at));
    }
    Ok(covered)
}

fn holds(outer: &PlanItem, inner: &Wanted) -> bool {
    if outer.wanted.to == inner.to {
        return outer.wanted.content == inner.content && outer.wanted.exec == inner.exec;
    }
    let below = &inner.to.as_bytes()[outer.wanted.to.as_bytes().len() + 1..];
    let Work::Folder(folders) = &outer.work else { return false };
    // An incomplete tree can't tell; the inner one then shares its fate.
    let Some(folder) = folders.iter().find(|f| f.path == parent(below)) else { return !outer.missing.is_empty() };
    let name = &below[below.len() - inner.to.file_name().map_or(0, |n| n.len())..];
    folder.nodes.iter().find(|n| n.entry.name == name).is_some_and(|node| {
        let content = match node.entry.kind {
            EntryKind::File | EntryKind::Exec => Content::Blob(node.entry.id),
            EntryKind::Tree => Content::Tree(node.entry.id),
            EntryKind::Link => return false,
        };
        content == inner.content && (node.entry.kind == EntryKind::Exec) == inner.exec
    })
}

fn check_twins(items: &[PlanItem], is_case_same: &dyn Fn() -> bool) -> Result<(), Error> {
    let mut seen = std::collections::HashMap::new();
    for item in items {
        // Every folder on the way counts: `A/x` and `a/y` would meet.
        let mut path: Vec<u8> = Vec::new();
        for name in item.wanted.to.components() {
            path.push(b'/');
            path.extend_from_slice(name);
            let spelling = seen.entry(super::super::names::case_key(&path)).or_insert_with(|| path.clone());
            if *spelling != path && is_case_same() {
                let rule = "another destination differs from it in letter case alone".to_owned();
                return Err(Error::Unsafe { path: item.path.clone(), rule });
            }
        }
    }
    Ok(())
}

/// Whether the file system at `root` takes `A` and `a` for the same name, told by a name that exists.
fn folds_case(fs: &Fs, root: &Path) -> bool {
    for path in root.ancestors() {
        let Some(name) = path.file_name() else { continue };
        let swapped: Vec<u8> = name
            .as_bytes()
            .iter()
            .map(|b| if b.is_ascii_lowercase() { b.to_ascii_uppercase() } else { b.to_ascii_lowercase() })
            .collect();
        if swapped == name.as_bytes() {
            continue;
        }
        if let Ok(Some(stat)) = fs.lstat(path) {
            let other = fs.lstat(&path.with_file_name(OsStr::from_bytes(&swapped)));
            return matches!(other, Ok(Some(other)) if (other.dev, other.ino) == (stat.dev, stat.ino));
        }
    }
    false
}

/// Compares what is at a destination with what is wanted there.
fn look(worktree: &Worktree<'_>, root: Option<&Dir>, source: &dyn Source, item: &mut PlanItem) -> Result<(), Error> {
    let to = item.wanted.to.clone();
    let (parent, name) = (to.parent().unwrap_or_default(), to.file_name().map(BString::from).unwrap_or_default());
    let read = |err| Error::io("read", &item.path)(err);
    let found = match root.map(|root| root.beneath(&parent)) {
        None => None,
        Some(Ok(dir)) => dir.stat(&name).map_err(read)?,
        Some(Err(err)) if err.kind() == std::io::ErrorKind::NotFound => None,
        Some(Err(err)) if is_link_on_the_way(&err) => {
            item.state = State::Blocked(format!("a part of the path `{parent}` is a link or not a folder"));
            item.work = Work::Nothing;
            return Ok(());
        }
        Some(Err(err)) => return Err(read(err)),
    };
    item.seen = found;
    // A link at the destination itself counts as right if it leads to the right content.
    let target = match found {
        Some(stat) if stat.kind == FileKind::Link => worktree.fs.stat(&item.path).map_err(read)?,
        found => found,
    };
    let is_link = found.is_some_and(|s| s.kind == FileKind::Link);
    item.state = match (found, &mut item.work) {
        (None, _) => State::Absent,
        (Some(_), Work::File) => look_at_file(worktree, source, item, target.as_ref())?,
        (Some(_), Work::Folder(_)) => look_at_folder(worktree, item, target.as_ref())?,
        (Some(_), Work::Nothing) => State::Same,
    };
    if is_link && matches!(item.state, State::Different(_) | State::Blocked(_)) {
        // Only the link is replaced, whatever it leads to.
        item.state = State::Different(InTheWay::Link);
        item.fence = Fence::new();
        if let Work::Folder(folders) = &mut item.work {
            for folder in folders {
                folder.extra.clear();
                folder.nodes.iter_mut().for_each(|node| node.here = Here::Absent);
            }
        }
    }
    find_missing(source, item)?;
    if matches!(item.state, State::Same | State::Blocked(_)) {
        item.work = Work::Nothing;
    }
    Ok(())
}

fn is_link_on_the_way(err: &std::io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::LOOP, Errno::NOTDIR].iter().any(|e| err.raw_os_error() == Some(e.raw_os_error()))
}

fn in_the_way(stat: &Stat) -> InTheWay {
    match stat.kind {
        FileKind::File { .. } => InTheWay::File,
        FileKind::Folder => InTheWay::Folder,
        FileKind::Link => InTheWay::Link,
        FileKind::Other => InTheWay::Other,
    }
}

fn look_at_file(
    worktree: &Worktree<'_>,
    source: &dyn Source,
    item: &mut PlanItem,
    found: Option<&Stat>,
) -> Result<State, Error> {
    let Some(stat) = found else { return Ok(State::Different(InTheWay::Link)) };
    let id = item.wanted.content.id();
    if stat.is_folder() {
        let scan = scan(worktree.fs, &item.path, &ScanOptions::default(), worktree.cancel)?;
        if let Some(blocked) = first_reserved(&scan, &[]) {
            return Ok(blocked);
        }
        item.fence = Fence::around_folder(scan, ScanOptions::default(), Vec::new());
    }
    if stat.kind == (FileKind::File { exec: item.wanted.exec }) {
        let header = source.header(&id).map_err(Error::access("read", &item.path))?;
        if header.is_none_or(|(_, len)| len == stat.size) {
            let key = Key::of(&locate(worktree.root, worktree.root, &item.path));
            if hash_file(worktree, key, &item.path, None)?.id == id {
                item.size = stat.size;
                return Ok(State::Same);
            }
        }
    }
    Ok(State::Different(in_the_way(stat)))
}

/// A folder that would have to go although it holds something that is never stored blocks the destination.
fn first_reserved(scan: &Scan, wanted: &[WantedFolder]) -> Option<State> {
    let stays = |path: &[u8]| wanted.iter().any(|folder| folder.path == parent(path));
    let own = |path: &[u8]| {
        let name = &path[parent(path).len()..];
        name.strip_prefix(b"/").unwrap_or(name).starts_with(super::super::names::STAGING_PREFIX)
    };
    let first = scan.reserved.iter().find(|path| !own(path) && !stays(path))?;
    Some(State::Blocked(format!("`{}` is never recorded and would be lost", crate::path::shown(first))))
}

fn look_at_folder(worktree: &Worktree<'_>, item: &mut PlanItem, found: Option<&Stat>) -> Result<State, Error> {
    let Some(stat) = found else { return Ok(State::Different(InTheWay::Link)) };
    if !stat.is_folder() {
        return Ok(State::Different(in_the_way(stat)));
    }
    let scan = scan(worktree.fs, &item.path, &ScanOptions::default(), worktree.cancel)?;
    let Work::Folder(folders) = &mut item.work else { return Ok(State::Same) };
    if let Some(blocked) = first_reserved(&scan, folders) {
        return Ok(blocked);
    }
    let compared = |wanted: &mut WantedFolder| match scan.folder(&wanted.path) {
        Some(there) => compare(worktree, &scan, there, wanted),
        None => Ok(()),
    };
    // Comparing may mean hashing.
    if spread::is_much(scan.len(), scan.size()) {
        folders.par_iter_mut().try_for_each(compared)?;
    } else {
        folders.iter_mut().try_for_each(compared)?;
    }
    // A tree with missing parts is never the same: what the missing parts would hold is not known.
    let same = item.missing.is_empty()
        && folders.iter().all(|f| f.extra.is_empty() && f.nodes.iter().all(|n| n.here == Here::Right));
    item.fence = Fence::around_folder(scan, ScanOptions::default(), Vec::new());
    Ok(if same { State::Same } else { State::Different(InTheWay::Folder) })
}

/// Sets what is [`Here`] for every name of one folder.
fn compare(worktree: &Worktree<'_>, scan: &Scan, there: &Folder, wanted: &mut WantedFolder) -> Result<(), Error> {
    worktree.check_cancel()?;
    let view = worktree.cache.folder(&locate(worktree.root, worktree.root, &scan.path(&there.path)));
    let mut entries = there.entries.iter().peekable();
    for node in &mut wanted.nodes {
        while let Some(extra) = entries.next_if(|e| *e.name < **node.entry.name) {
            wanted.extra.push(extra.name.to_vec().into());
        }
        let Some(entry) = entries.next_if(|e| *e.name == **node.entry.name) else { continue };
        let path = || scan.path(&there.path_of(&entry.name));
        let right = match (node.entry.kind, entry.stat.kind) {
            (EntryKind::Tree, FileKind::Folder) => true,
            (EntryKind::Link, FileKind::Link) => node
                .target
                .as_ref()
                .is_some_and(|t| read_link(worktree.fs, &path()).is_ok_and(|(there, _)| there == *t)),
            (EntryKind::File, FileKind::File { exec: false }) | (EntryKind::Exec, FileKind::File { exec: true }) => {
                entry.stat.size == node.entry.size && {
                    let id = match view.get(&entry.name, &entry.stat) {
                        Some(id) => id,
                        None => read_file(worktree, view.key(&entry.name), &path(), None, LastLink::Refuse, true)?.id,
                    };
                    id == node.entry.id
                }
            }
            _ => false,
        };
        node.here = if right { Here::Right } else { Here::Wrong };
    }
    wanted.extra.extend(entries.map(|e| BString::from(e.name.to_vec())));
    Ok(())
}

/// Notes what would have to be read and is not in the store.
fn find_missing(source: &dyn Source, item: &mut PlanItem) -> Result<(), Error> {
    if matches!(item.state, State::Same | State::Blocked(_)) {
        item.missing.clear();
        return Ok(());
    }
    match &item.work {
        Work::Nothing => {}
        Work::File => {
            let id = item.wanted.content.id();
            match source.header(&id).map_err(Error::access("read", &item.path))? {
                Some((kind, len)) if kind == Kind::BLOB => item.size = len,
                Some(_) => {
                    let rule = "its content is not a file's".to_owned();
                    return Err(Error::Unsafe { path: item.path.clone(), rule });
                }
                None => item.missing.push(id),
            }
        }
        Work::Folder(folders) => {
            let mut wanted = folders.iter().flat_map(|folder| &folder.nodes).filter(|node| node.is_to_be_written());
            let located = source.located(&mut wanted.by_ref().map(|node| node.entry.id));
            let located = located.map_err(Error::access("read", &item.path))?;
            let source = located.as_deref().unwrap_or(source);
            let lacks = |folder: &WantedFolder, node: &Node| -> Result<bool, Error> {
                if !node.is_to_be_written() {
                    return Ok(false);
                }
                let path = || item.path.join(OsStr::from_bytes(&join(&folder.path, &node.entry.name)));
                match source.header(&node.entry.id).map_err(Error::access("read", &item.path))? {
                    None => Ok(true),
                    Some((kind, len)) if kind == Kind::BLOB && len == node.entry.size => Ok(false),
                    Some(_) => Err(Error::Unsafe { path: path(), rule: "the listing tells a wrong size".to_owned() }),
                }
            };
            let names: usize = folders.iter().map(|folder| folder.nodes.len()).sum();
            let missing = spread::try_map(folders, names > FEW_NAMES, |folder| {
                let mut missing = Vec::new();
                for node in &folder.nodes {
                    if lacks(folder, node)? {
                        missing.push(node.entry.id);
                    }
                }
                Ok::<_, Error>(missing)
            })?;
            item.missing.extend(missing.into_iter().flatten());
            item.missing.sort_unstable();
            item.missing.dedup();
        }
    }
    Ok(())
}

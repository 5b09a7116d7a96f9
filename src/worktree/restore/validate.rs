//! Takes a tree from a store apart and believes nothing of it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use bstr::{BString, ByteSlice};

use super::super::names::case_key;
use super::super::{Error, MAX_DEPTH, is_reserved, spread};
use super::{Here, Node, WantedFolder};
use crate::hash::Id;
use crate::object::tree::{self, Entry, EntryKind, ListError};
use crate::object::{AccessError, Kind, Source};
use crate::path::RelPath;

/// Bytes of a link target at most, the limit of every system that prov runs on.
const MAX_TARGET: u64 = 4095;

/// Folders that one thread takes apart in about the time that starting the others takes.
const FEW_FOLDERS: usize = 32;

/// What a tree is checked against.
pub(super) struct Rules<'a> {
    /// The absolute destination, for errors.
    pub(super) at: &'a Path,
    /// The destination below the root, for links.
    pub(super) to: &'a RelPath,
    pub(super) unsafe_links: bool,
    pub(super) max_entries: u64,
    /// Whether two names that differ in letter case alone are the same here; asked only if there are such.
    pub(super) is_case_same: &'a dyn Fn() -> bool,
}

impl Rules<'_> {
    fn broken(&self, below: &[u8], rule: impl Into<String>) -> Error {
        let path = if below.is_empty() { self.at.to_owned() } else { self.at.join(crate::path::from_bytes(below)) };
        Error::Unsafe { path, rule: rule.into() }
    }
}

/// A tree taken apart.
pub(super) struct Expanded {
    pub(super) folders: Vec<WantedFolder>,
    pub(super) size: u64,
    /// Tree objects and link targets that are not in the store.
    pub(super) missing: Vec<Id>,
}

struct Expander<'a> {
    source: &'a dyn Source,
    rules: &'a Rules<'a>,
    /// Listings by id: a folder that occurs a million times is read once. `None` if an object of it is missing.
    listings: HashMap<Id, Option<Arc<Vec<Entry>>>>,
    /// Names below a tree and folders inside each other, by id.
    measures: HashMap<Id, (u64, usize)>,
    missing: Vec<Id>,
}

/// All folders of the tree `root`, every name and link of it checked.
pub(super) fn expand(source: &dyn Source, root: Id, rules: &Rules<'_>) -> Result<Expanded, Error> {
    let mut expander =
        Expander { source, rules, listings: HashMap::new(), measures: HashMap::new(), missing: Vec::new() };
    expander.read_ahead(root);
    // Counted before anything is laid out: a handful of objects can stand for more folders than there are atoms.
    let (count, _) = expander.measure(root, &BString::default(), 0)?;
    if count > rules.max_entries {
        return Err(rules.broken(b"", format!("it has {count} names, more than the {} allowed", rules.max_entries)));
    }
    let (mut folders, mut size) = (Vec::new(), 0u64);
    let mut todo = vec![(root, BString::default())];
    while let Some((id, path)) = todo.pop() {
        let Some(entries) = expander.listing(id, &path)? else { continue };
        let mut nodes = Vec::with_capacity(entries.len());
        for entry in entries.iter() {
            let below = join(&path, &entry.name);
            let target = match entry.kind {
                EntryKind::Tree => {
                    todo.push((entry.id, below));
                    None
                }
                EntryKind::Link => {
                    size = size.saturating_add(entry.size);
                    expander.target(entry, &below)?
                }
                EntryKind::File | EntryKind::Exec => {
                    size = size.saturating_add(entry.size);
                    None
                }
            };
            nodes.push(Node { entry: entry.clone(), target, here: Here::Absent });
        }
        folders.push(WantedFolder { path, nodes, extra: Vec::new() });
    }
    let mut missing = expander.missing;
    missing.sort_unstable();
    missing.dedup();
    Ok(Expanded { folders, size, missing })
}

/// Whether no name is reserved and no two of them could be taken for one.
fn is_sound(entries: &[Entry]) -> bool {
    let mut folded = HashSet::with_capacity(entries.len());
    entries.iter().all(|entry| !is_reserved(&entry.name) && folded.insert(case_key(&entry.name)))
}

/// Why an object of a listing could not be read.
enum Stop {
    Access(AccessError),
    Missing(Id),
    NoTree,
}

impl Expander<'_> {
    /// Reads the listings of all folders by as many threads as are worth it. What is missing, damaged or breaks a rule is left to
    /// [`Expander::listing`], which tells of it.
    fn read_ahead(&mut self, root: Id) {
        let source = self.source;
        let read = |id: &Id| -> Option<(Id, Vec<Entry>)> {
            let listed = tree::list(*id, &mut |id| match source.read(id) {
                Ok(Some((kind, bytes))) if kind == Kind::TREE => Ok(bytes),
                _ => Err(()),
            });
            listed.ok().filter(|entries| is_sound(entries)).map(|entries| (*id, entries))
        };
        let mut level = vec![root];
        // Deeper is not allowed.
        for _ in 0..=MAX_DEPTH {
            let mut next = HashSet::new();
            for (id, entries) in spread::map(&level, level.len() > FEW_FOLDERS, read).into_iter().flatten() {
                next.extend(entries.iter().filter(|entry| entry.kind == EntryKind::Tree).map(|entry| entry.id));
                self.listings.insert(id, Some(Arc::new(entries)));
            }
            level = next.into_iter().filter(|id| !self.listings.contains_key(id)).collect();
            if level.is_empty() {
                break;
            }
        }
    }

    /// Counts names and depth below a tree, each object once. As deep as [`MAX_DEPTH`] calls at most.
    fn measure(&mut self, id: Id, path: &BString, depth: usize) -> Result<(u64, usize), Error> {
        if depth > MAX_DEPTH {
            return Err(self.rules.broken(b"", format!("it is more than {MAX_DEPTH} folders deep")));
        }
        if let Some(&(count, height)) = self.measures.get(&id) {
            if depth + height > MAX_DEPTH {
                return Err(self.rules.broken(b"", format!("it is more than {MAX_DEPTH} folders deep")));
            }
            return Ok((count, height));
        }
        let (mut count, mut height) = (0u64, 0);
        if let Some(entries) = self.listing(id, path)? {
            count = entries.len() as u64;
            for entry in entries.iter().filter(|e| e.kind == EntryKind::Tree) {
                let (inner, above) = self.measure(entry.id, &join(path, &entry.name), depth + 1)?;
                count = count.saturating_add(inner);
                height = height.max(above + 1);
            }
        }
        self.measures.insert(id, (count, height));
        Ok((count, height))
    }

    /// The entries of a tree, names checked; `None` if objects are missing.
    fn listing(&mut self, id: Id, path: &BString) -> Result<Option<Arc<Vec<Entry>>>, Error> {
        if let Some(known) = self.listings.get(&id) {
            return Ok(known.clone());
        }
        let source = self.source;
        let listed = tree::list(id, &mut |id| match source.read(id) {
            Ok(Some((kind, bytes))) if kind == Kind::TREE => Ok(bytes),
            Ok(Some(_)) => Err(Stop::NoTree),
            Ok(None) => Err(Stop::Missing(*id)),
            Err(err) => Err(Stop::Access(err)),
        });
        let at = || self.rules.at.join(crate::path::from_bytes(path));
        let entries = match listed {
            Ok(entries) => Some(Arc::new(entries)),
            Err(ListError::Read(Stop::Missing(id))) => {
                self.missing.push(id);
                None
            }
            Err(ListError::Read(Stop::NoTree)) => return Err(self.rules.broken(path, "it is not a folder listing")),
            Err(ListError::Read(Stop::Access(source))) => return Err(Error::access("read", &at())(source)),
            Err(ListError::Object(source)) => return Err(Error::Object { path: at(), source }),
        };
        if let Some(entries) = &entries {
            self.check_names(entries, path)?;
        }
        self.listings.insert(id, entries.clone());
        Ok(entries)
    }

    fn check_names(&self, entries: &[Entry], path: &BString) -> Result<(), Error> {
        if let Some(bad) = entries.iter().find(|e| is_reserved(&e.name)) {
            return Err(self.rules.broken(&join(path, &bad.name), "the name is reserved"));
        }
        let mut folded = HashSet::with_capacity(entries.len());
        for entry in entries {
            if !folded.insert(case_key(&entry.name)) && (self.rules.is_case_same)() {
                let rule = "another name differs from it in letter case alone, and this file system takes them for one";
                return Err(self.rules.broken(&join(path, &entry.name), rule));
            }
        }
        Ok(())
    }

    /// What a link says, checked; `None` if it is missing.
    fn target(&mut self, entry: &Entry, below: &BString) -> Result<Option<BString>, Error> {
        let at = || self.rules.at.join(crate::path::from_bytes(below));
        let access = |err| Error::access("read", &at())(err);
        match self.source.header(&entry.id).map_err(access)? {
            None => {
                self.missing.push(entry.id);
                return Ok(None);
            }
            Some((kind, len)) if kind == Kind::BLOB && len == entry.size && len <= MAX_TARGET => {}
            Some(_) => return Err(self.rules.broken(below, "it is not a link target")),
        }
        let Some((_, bytes)) = self.source.read(&entry.id).map_err(access)? else {
            self.missing.push(entry.id);
            return Ok(None);
        };
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(self.rules.broken(below, "it is not a link target"));
        }
        // Folders between the root and the link: how often it may go up.
        let folders = self.rules.to.components().count() + below.split_str("/").count() - 1;
        if !self.rules.unsafe_links && !stays_inside(&bytes, folders) {
            let rule =
                format!("the link leads out of the folder that is restored to: `{}`", crate::path::shown(&bytes));
            return Err(self.rules.broken(below, rule));
        }
        Ok(Some(bytes.into()))
    }
}

/// Whether a link in a folder `folders` levels below the root can't lead out of it.
///
/// It goes up at most that often, and only before it goes down: going up after going down could start from wherever
/// another link leads. So each link moves from real folder to names below, and a chain of them stays inside.
fn stays_inside(target: &[u8], folders: usize) -> bool {
    let (mut up, mut down) = (0, false);
    for part in target.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if down => return false,
            b".." => up += 1,
            _ => down = true,
        }
    }
    !target.starts_with(b"/") && up <= folders
}

pub(super) fn join(path: &[u8], name: &[u8]) -> BString {
    let mut out = Vec::with_capacity(path.len() + 1 + name.len());
    if !path.is_empty() {
        out.extend_from_slice(path);
        out.push(b'/');
    }
    out.extend_from_slice(name);
    out.into()
}

/// The folder part of a relative path.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    path.rfind_byte(b'/').map_or(b"", |at| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_goes_up_no_further_than_the_root_and_never_after_going_down() {
        for (target, folders, inside) in [
            ("x", 0, true),
            ("a/b/c", 0, true),
            ("./x", 0, true),
            ("..", 0, false),
            ("..", 1, true),
            ("../..", 1, false),
            ("../../x", 2, true),
            ("a/../x", 5, false),
            ("../a/../../..", 5, false),
            (".././..", 1, false),
            ("..//..", 1, false),
            ("/", 9, false),
            ("/etc/passwd", 9, false),
            ("//x", 9, false),
            ("..x", 0, true),
            ("a..", 0, true),
        ] {
            assert_eq!(stays_inside(target.as_bytes(), folders), inside, "{target} in {folders}");
        }
    }
}

//! A folder listing: names, what they lead to, how large that is.
//!
//! Up to [`MAX_ENTRIES`] entries are one object. Above that the sorted list is cut into a search tree after names
//! chosen by a hash of the name, so that equal folders have equal ids however they came about, and a small change
//! touches few objects. Ids stand in the envelope's links; the body refers to them by position.

use std::collections::{BTreeMap, HashSet};

use bstr::{BStr, BString, ByteSlice};
use serde::{Deserialize, Serialize};

use super::envelope::{self, Envelope};
use super::{Error, Kind, Link, Record, Strength};
use crate::codec::{self, Strict};
use crate::hash::{self, Id};
use crate::path::{RelPath, is_name};

/// Entries of one tree object at most, a constant of the format.
pub const MAX_ENTRIES: usize = 1024;

/// A name ends a piece when the first four bytes of its digest, big-endian, are divisible by this. A constant of the format.
const CUT: u32 = 256;

/// Hash context of cut points.
const CUT_CONTEXT: &str = "prov 2026-11 tree cut";

/// Levels of a search tree at most.
const MAX_LEVEL: u8 = 8;

/// What a name in a folder leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A file.
    File = 0,
    /// A file that its owner may execute.
    Exec = 1,
    /// A symbolic link; its blob is the target.
    Link = 2,
    /// A folder.
    Tree = 3,
}

impl EntryKind {
    fn from_code(code: u8) -> Option<Self> {
        [Self::File, Self::Exec, Self::Link, Self::Tree].into_iter().find(|kind| *kind as u8 == code)
    }

    /// The kind of object that an entry of this kind leads to.
    pub fn object(self) -> Kind {
        if self == Self::Tree { Kind::TREE } else { Kind::BLOB }
    }

    /// The word for it: `file`, `exec`, `link`, `tree`.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Exec => "exec",
            Self::Link => "link",
            Self::Tree => "tree",
        }
    }
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name: 1 to 255 bytes, no `/`, no NUL, not `.` or `..`.
    pub name: BString,
    /// What it leads to.
    pub kind: EntryKind,
    /// The object.
    pub id: Id,
    /// Bytes of the file or of everything below the folder.
    pub size: u64,
}

/// One piece of a split folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The first name in it.
    pub first: BString,
    /// The tree object that holds it.
    pub id: Id,
    /// Names in it.
    pub count: u64,
    /// Bytes of everything below it.
    pub size: u64,
}

/// One tree object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Names, sorted by their bytes.
    Leaf(Vec<Entry>),
    /// Pieces, sorted by their first names; `level` is 1 above leaves.
    Inner {
        /// Height above the leaves.
        level: u8,
        /// The pieces.
        children: Vec<Child>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Pieces: first name, link, count, size.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    children: Option<Vec<(BString, u32, u64, u64)>>,
    /// Names: name, kind, link, size.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<(BString, u8, u32, u64)>>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    level: Option<u8>,
}

impl Record for Tree {
    const KIND: Kind = Kind::TREE;

    fn links(&self) -> Result<Vec<Link>, codec::Error> {
        Ok(match self {
            Tree::Leaf(entries) => entries.iter().map(|e| Link(e.id, e.kind.object(), Strength::Content)).collect(),
            Tree::Inner { children, .. } => {
                children.iter().map(|c| Link(c.id, Kind::TREE, Strength::Content)).collect()
            }
        })
    }

    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error> {
        let links = envelope::sorted(self.links()?);
        let position = |id: Id, kind: Kind| {
            let at = links.binary_search(&Link(id, kind, Strength::Content)).unwrap_or(0);
            u32::try_from(at).unwrap_or(u32::MAX)
        };
        let body = match self {
            Tree::Leaf(entries) => Body {
                children: None,
                entries: Some(
                    entries
                        .iter()
                        .map(|e| (e.name.clone(), e.kind as u8, position(e.id, e.kind.object()), e.size))
                        .collect(),
                ),
                level: None,
            },
            Tree::Inner { level, children } => Body {
                children: Some(
                    children.iter().map(|c| (c.first.clone(), position(c.id, Kind::TREE), c.count, c.size)).collect(),
                ),
                entries: None,
                level: Some(*level),
            },
        };
        let body = codec::encode(&body)?;
        Ok((links, body))
    }

    fn from_parts(links: &[Link], body: &[u8]) -> Result<Self, Error> {
        let invalid = |rule: &str| Error::Invalid { kind: Kind::TREE, rule: rule.to_owned() };
        let body: Body = codec::decode_checked(body).map_err(|source| Error::Damaged { kind: Kind::TREE, source })?;
        let target = |at: u32, kind: Kind| {
            links
                .get(at as usize)
                .filter(|link| *link.kind() == kind && link.strength() == Strength::Content)
                .map(Link::id)
                .ok_or_else(|| invalid("an entry refers to a link of its kind"))
        };
        let tree = match (body.entries, body.children, body.level) {
            (Some(entries), None, None) => Tree::Leaf(
                entries
                    .into_iter()
                    .map(|(name, kind, at, size)| {
                        let kind = EntryKind::from_code(kind)
                            .ok_or_else(|| invalid("an entry is a file, exec, link or tree"))?;
                        Ok(Entry { id: target(at, kind.object())?, name, kind, size })
                    })
                    .collect::<Result<_, Error>>()?,
            ),
            (None, Some(children), Some(level)) if (1..=MAX_LEVEL).contains(&level) => Tree::Inner {
                level,
                children: children
                    .into_iter()
                    .map(|(first, at, count, size)| Ok(Child { id: target(at, Kind::TREE)?, first, count, size }))
                    .collect::<Result<_, Error>>()?,
            },
            _ => return Err(invalid("it holds entries, or pieces with their level")),
        };
        let names: Vec<&BStr> = match &tree {
            Tree::Leaf(entries) => entries.iter().map(|e| e.name.as_bstr()).collect(),
            Tree::Inner { children, .. } => children.iter().map(|c| c.first.as_bstr()).collect(),
        };
        if names.len() > MAX_ENTRIES {
            return Err(invalid("it has at most 1024 entries"));
        }
        if !names.iter().all(|name| is_name(name)) {
            return Err(invalid("every name is a plain file name"));
        }
        if !names.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(invalid("names are sorted and unique"));
        }
        Ok(tree)
    }
}

impl Tree {
    /// Checks all that [`Record::of_envelope`] checks, and makes nothing of it.
    ///
    /// # Errors
    /// As [`Record::of_envelope`].
    pub fn check(envelope: &Envelope<'_>) -> Result<(), Error> {
        match Self::check_leaf(envelope) {
            Some(()) => Ok(()),
            None => Self::of_envelope(envelope).map(drop),
        }
    }

    /// Whether this is a list of names, else of the parts of a folder that is too large for one. For a tree that was checked.
    pub fn is_list(envelope: &Envelope<'_>) -> bool {
        let mut at = Strict::new(envelope.body);
        at.map() == Some(1) && at.str() == Some("e")
    }

    /// One pass over a listing of names. It may give up on anything; what it takes is sound.
    fn check_leaf(envelope: &Envelope<'_>) -> Option<()> {
        let mut at = Strict::new(envelope.body);
        let is_listing = envelope.kind == Self::KIND && envelope.version == Self::VERSION;
        if !is_listing || at.map()? != 1 || at.str()? != "e" {
            return None;
        }
        let count = at.array().filter(|count| *count <= MAX_ENTRIES)?;
        // Links are sorted and unique, so they belong to the body if each of them is meant by a name.
        let mut is_meant = vec![false; envelope.links.len()];
        let mut last: Option<&[u8]> = None;
        for _ in 0..count {
            if at.array()? != 4 {
                return None;
            }
            let name = at.bin()?;
            if !is_name(name.as_bstr()) || last.is_some_and(|last| last >= name) {
                return None;
            }
            last = Some(name);
            let kind = EntryKind::from_code(u8::try_from(at.uint()?).ok()?)?;
            let position = usize::try_from(at.uint()?).ok()?;
            let link = envelope.links.get(position)?;
            if *link.kind() != kind.object() || link.strength() != Strength::Content {
                return None;
            }
            at.uint()?;
            is_meant[position] = true;
        }
        (at.is_at_end() && is_meant.into_iter().all(|is_meant| is_meant)).then_some(())
    }
}

/// A folder's tree objects, ready to be stored, children before parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The object that stands for the folder.
    pub root: Id,
    /// Bytes of everything below.
    pub size: u64,
    /// Encoded tree objects.
    pub objects: Vec<(Id, Vec<u8>)>,
}

/// A file somewhere below a folder: its path, its content, `File` or `Exec`, its bytes.
pub type NestedFile = (RelPath, Id, EntryKind, u64);

/// Makes the tree objects of a folder from the files below it, in any order: folders come from their paths.
///
/// # Errors
/// When a path stands twice, or is a file and a folder.
pub fn build_nested(files: Vec<NestedFile>) -> Result<Built, Error> {
    let mut folders: BTreeMap<RelPath, Vec<Entry>> = BTreeMap::from([(RelPath::root(), Vec::new())]);
    for (path, id, kind, size) in files {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
        folders.entry(folder).or_default().push(Entry { name: name.to_owned(), kind, id, size });
    }
    let mut objects = Vec::new();
    let mut seen = HashSet::new();
    // The last folder by path has no folders below it that are not done.
    while let Some((folder, entries)) = folders.pop_last() {
        let built = build(entries)?;
        objects.extend(built.objects.into_iter().filter(|(id, _)| seen.insert(*id)));
        let (Some(above), Some(name)) = (folder.parent(), folder.file_name()) else {
            return Ok(Built { root: built.root, size: built.size, objects });
        };
        let entry = Entry { name: name.to_owned(), kind: EntryKind::Tree, id: built.root, size: built.size };
        folders.entry(above).or_default().push(entry);
    }
    build(Vec::new())
}

/// Makes the tree objects of a folder from its entries, in any order.
///
/// # Errors
/// When a name is not a plain file name or stands twice.
pub fn build(mut entries: Vec<Entry>) -> Result<Built, Error> {
    let invalid = |rule: String| Error::Invalid { kind: Kind::TREE, rule };
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(bad) = entries.iter().find(|e| !is_name(&e.name)) {
        return Err(invalid(format!("`{}` is not a plain file name", crate::path::shown(&bad.name))));
    }
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(invalid(format!("the name `{}` stands twice", crate::path::shown(&pair[0].name))));
    }
    let size = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.size));
    let mut objects = Vec::new();
    let mut store = |tree: &Tree| -> Result<Id, Error> {
        let bytes = tree.encode()?;
        let id = super::id_of(&Kind::TREE, &bytes);
        objects.push((id, bytes));
        Ok(id)
    };
    if entries.len() <= MAX_ENTRIES {
        let root = store(&Tree::Leaf(entries))?;
        return Ok(Built { root, size, objects });
    }
    let mut children = Vec::new();
    for piece in pieces(entries, |e| &e.name) {
        let (first, count) = (piece[0].name.clone(), piece.len() as u64);
        let size = piece.iter().fold(0u64, |sum, e| sum.saturating_add(e.size));
        children.push(Child { first, id: store(&Tree::Leaf(piece))?, count, size });
    }
    let mut level = 1;
    while children.len() > MAX_ENTRIES {
        let mut above = Vec::new();
        for piece in pieces(children, |c| &c.first) {
            let (first, count) = (piece[0].first.clone(), piece.iter().map(|c| c.count).sum());
            let size = piece.iter().fold(0u64, |sum, c| sum.saturating_add(c.size));
            above.push(Child { first, id: store(&Tree::Inner { level, children: piece })?, count, size });
        }
        children = above;
        level += 1;
    }
    let root = store(&Tree::Inner { level, children })?;
    Ok(Built { root, size, objects })
}

/// Cuts a sorted list after every name whose digest says so, and after [`MAX_ENTRIES`] without one.
fn pieces<T>(items: Vec<T>, name: impl Fn(&T) -> &BString) -> Vec<Vec<T>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for item in items {
        let digest = hash::derived(CUT_CONTEXT, name(&item));
        let head = u32::from_be_bytes([digest.digest()[0], digest.digest()[1], digest.digest()[2], digest.digest()[3]]);
        piece.push(item);
        if head.is_multiple_of(CUT) || piece.len() == MAX_ENTRIES {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// Why a folder can't be listed: a tree object is damaged, or reading it failed.
#[derive(Debug)]
pub enum ListError<E> {
    /// Reading an object failed.
    Read(E),
    /// An object is not what it should be.
    Object(Error),
}

/// All entries of the folder at `root`, in order; `read` gives the bytes of a tree object.
///
/// # Errors
/// What `read` reports; damaged tree objects; pieces that do not fit together.
pub fn list<E>(root: Id, read: &mut dyn FnMut(&Id) -> Result<Vec<u8>, E>) -> Result<Vec<Entry>, ListError<E>> {
    let invalid = |rule: &str| ListError::Object(Error::Invalid { kind: Kind::TREE, rule: rule.to_owned() });
    let mut entries: Vec<Entry> = Vec::new();
    // Level, first name, count of entries, and size, as the piece above says.
    type Said = (u8, Option<BString>, u64, u64);
    let mut todo: Vec<(Id, Option<Said>)> = vec![(root, None)];
    while let Some((id, expected)) = todo.pop() {
        let bytes = read(&id).map_err(ListError::Read)?;
        let found: Said = match Tree::decode(&bytes).map_err(ListError::Object)? {
            Tree::Leaf(piece) => {
                let first = piece.first().map(|e| e.name.clone());
                if let (Some(last), Some(first)) = (entries.last(), &first)
                    && last.name >= *first
                {
                    return Err(invalid("pieces are in order"));
                }
                let size = piece.iter().fold(0u64, |sum, e| sum.saturating_add(e.size));
                let count = piece.len() as u64;
                entries.extend(piece);
                (0, first, count, size)
            }
            Tree::Inner { level, children } => {
                let first = children.first().map(|c| c.first.clone());
                let total = |of: fn(&Child) -> u64| children.iter().fold(0u64, |sum, c| sum.saturating_add(of(c)));
                let (count, size) = (total(|c| c.count), total(|c| c.size));
                todo.extend(
                    children.into_iter().rev().map(|c| (c.id, Some((level - 1, Some(c.first), c.count, c.size)))),
                );
                (level, first, count, size)
            }
        };
        if expected.is_some_and(|expected| expected != found) {
            return Err(invalid("a piece has the level, first name, count and size that are said of it"));
        }
    }
    Ok(entries)
}

/// The total size of the folder at `root`, read from its top object alone.
///
/// # Errors
/// When the bytes are not a tree object.
pub fn size(bytes: &[u8]) -> Result<u64, Error> {
    Ok(match Tree::decode(bytes)? {
        Tree::Leaf(entries) => entries.iter().fold(0, |sum, e| sum.saturating_add(e.size)),
        Tree::Inner { children, .. } => children.iter().fold(0, |sum, c| sum.saturating_add(c.size)),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(name: String, n: u64) -> Entry {
        Entry { name: name.into(), kind: EntryKind::File, id: hash::blob(&n.to_le_bytes()), size: n }
    }

    fn listed(built: &Built) -> Vec<Entry> {
        let objects: HashMap<Id, Vec<u8>> = built.objects.iter().cloned().collect();
        list(built.root, &mut |id| objects.get(id).cloned().ok_or(*id)).unwrap()
    }

    #[test]
    fn folders_of_any_size_survive_and_are_split_alike_in_any_order() {
        for n in [0, 1, 1024, 1025, 5_000, 270_000] {
            let entries: Vec<Entry> = (0..n).map(|i| entry(format!("part-{i:07}"), i)).collect();
            let built = build(entries.clone()).unwrap();
            assert_eq!(listed(&built), entries);
            assert_eq!(built.size, (0..n).sum::<u64>());
            let mut shuffled = entries;
            shuffled.reverse();
            assert_eq!(build(shuffled).unwrap().root, built.root);
        }
    }

    #[test]
    fn a_changed_file_in_a_large_folder_touches_few_objects() {
        let entries: Vec<Entry> = (0..100_000).map(|i| entry(format!("f{i}"), i)).collect();
        let before = build(entries.clone()).unwrap();
        let mut changed = entries;
        changed[77_777].id = hash::blob(b"new");
        let after = build(changed).unwrap();
        let known: std::collections::HashSet<Id> = before.objects.iter().map(|(id, _)| *id).collect();
        assert!(after.objects.iter().filter(|(id, _)| !known.contains(id)).count() <= 3);
    }

    #[test]
    fn golden_ids_hold_the_format() {
        let few = build(vec![entry("a".into(), 1), entry("b".into(), 2)]).unwrap();
        assert_eq!(few.root.to_string(), "d198ef66f11a787950b4349ff514bce3514f4db7ebbc778f91fecf522c28962f");
        let many = build((0..3000).map(|i| entry(format!("n{i}"), i)).collect()).unwrap();
        assert_eq!(many.objects.len(), 12);
        assert_eq!(many.root.to_string(), "2fbaaa10593516324bafc5762ec78dc9d0c5f2bc49b7e8313ee654cb3dada13d");
    }

    #[test]
    fn bad_names_and_twins_are_refused() {
        for name in ["", ".", "..", "a/b", "a\0"] {
            assert!(build(vec![entry(name.into(), 1)]).is_err(), "{name:?}");
        }
        assert!(build(vec![entry("a".into(), 1), entry("a".into(), 2)]).is_err());
    }

    #[test]
    fn a_listing_is_checked_in_one_pass() {
        let mut entries: Vec<Entry> = (0..40).map(|i| entry(format!("n{i}"), i % 7)).collect();
        entries[3].kind = EntryKind::Tree;
        entries[4].kind = EntryKind::Exec;
        for entries in [entries, vec![]] {
            let bytes = Tree::Leaf({
                let mut e = entries;
                e.sort();
                e
            })
            .encode()
            .unwrap();
            assert!(Tree::check_leaf(&Envelope::parse(&bytes).unwrap()).is_some());
        }
    }

    proptest! {
        #[test]
        fn checking_a_listing_agrees_with_reading_it(
            names in proptest::collection::btree_set("[a-c./]{1,3}", 0..9), kinds: u16, same: bool, at: prop::sample::Index, by: u8, spare: bool
        ) {
            let kind = |i: usize| EntryKind::from_code(u8::try_from((kinds >> i) & 3).unwrap()).unwrap();
            let entries = names.into_iter().enumerate().map(|(i, name)| {
                Entry { kind: kind(i), ..entry(name, if same { 1 } else { i as u64 }) }
            });
            let (mut links, body) = Tree::Leaf(entries.collect()).to_parts().unwrap();
            if spare {
                links.push(Link(hash::blob(b"spare"), Kind::BLOB, Strength::Content));
            }
            let mut bytes = envelope::encode(Kind::TREE, Tree::VERSION, links, &body).unwrap();
            let at = at.index(bytes.len());
            let harmed = { let mut harmed = bytes.clone(); harmed[at] = by; harmed };
            for bytes in [&mut bytes, &mut { harmed }] {
                if let Ok(envelope) = Envelope::parse(bytes) {
                    prop_assert_eq!(Tree::check(&envelope).is_ok(), Tree::of_envelope(&envelope).is_ok());
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Tree::decode(&bytes);
        }

        #[test]
        fn a_flipped_bit_is_another_object_or_none(at in 0usize..4000, bit in 0u8..8) {
            let built = build((0..40).map(|i| entry(format!("n{i}"), i)).collect()).unwrap();
            let (id, mut bytes) = built.objects[0].clone();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(super::super::verify(&id, &Kind::TREE, &bytes).is_err());
        }
    }
}

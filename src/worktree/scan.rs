//! Lists a folder with everything below it.
//!
//! One thread begins; if there is much to look at, the folders that are left are read in parallel, one task each. A name
//! costs one `fstatat` relative to its open folder, and none if it is ignored. Links are never followed below the top. Tasks
//! do not wait for each other, so neither the depth nor the number of folders costs stack. What vanishes between listing
//! and stat was never there.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bstr::{BStr, BString, ByteSlice};
use rayon::prelude::*;

use super::ignore::{GITIGNORE, PROVIGNORE};
use super::spread::FEW_NAMES;
use super::{Error, MAX_DEPTH, Rules, is_reserved};
use crate::fs::{Dir, FileKind, Fs, Listed, Name, Stat, is_absent};
use crate::hash::Id;
use crate::path::RelPath;
use crate::progress::Cancel;

/// Names that a folder is thought to have before it is read.
const EXPECTED: usize = 16;

/// Names of one folder from which on they are looked at by more than one thread.
const WIDE: usize = 4096;

/// Chooses among files and links by path relative to the scanned folder and state.
#[derive(Clone)]
pub struct Keep(Arc<Choose>);

type Choose = dyn Fn(&BStr, &Stat) -> bool + Send + Sync;

impl Keep {
    /// Keeps that for which `choose` says so; it is not asked about folders.
    pub fn new(choose: impl Fn(&BStr, &Stat) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep(..)")
    }
}

/// Chooses by the last component of a path, before anything but a listing is looked at: what it does not want costs next to nothing.
#[derive(Debug, Clone, Copy)]
pub struct ByName {
    /// Whether a file or link of this name is wanted if it is a file that may be executed, or else. What is not wanted if it may be
    /// executed is not wanted at all.
    pub file: fn(&[u8], bool) -> bool,
    /// Whether a folder of this name is entered.
    pub folder: fn(&[u8]) -> bool,
    /// Tells this choice from every other one.
    pub id: Id,
}

impl ByName {
    /// Whether something of this name may be wanted, as far as a listing tells.
    fn may_want(&self, name: &[u8], is_folder: bool) -> bool {
        if is_folder { (self.folder)(name) } else { (self.file)(name, true) }
    }

    fn wants(&self, entry: &Entry) -> bool {
        match entry.stat.kind {
            FileKind::Folder => (self.folder)(&entry.name),
            kind => (self.file)(&entry.name, kind == FileKind::File { exec: true }),
        }
    }
}

/// What a scan leaves out. By default only reserved names.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// The ignore rules in the scanned folder.
    pub rules: Option<Rules>,
    /// A choice made before all others. With it folders are entered and not told among the entries.
    pub names: Option<ByName>,
    /// One more choice, made after the rules.
    pub keep: Option<Keep>,
    /// Which folders are looked into; it is asked about folders alone. The others are left out as if they were ignored.
    pub enter: Option<Keep>,
    /// Leaves out folders with no file or link in them at any depth; the scanned folder itself stays.
    pub without_empty_folders: bool,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Name,
    /// Its state, of a link that of the link itself.
    pub stat: Stat,
}

/// One folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its path relative to the scanned folder, empty for that one.
    pub path: BString,
    /// What is in it, sorted by name.
    pub entries: Vec<Entry>,
}

impl Folder {
    /// The path of a name in this folder, relative to the scanned one.
    pub fn path_of(&self, name: &[u8]) -> BString {
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.len());
        if !self.path.is_empty() {
            path.extend_from_slice(&self.path);
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path.into()
    }

    /// Folders above it inside the scanned one, itself included unless it is that one.
    pub(super) fn depth(&self) -> usize {
        self.path.split_str("/").filter(|name| !name.is_empty()).count()
    }
}

/// A folder with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Where it lies.
    pub at: PathBuf,
    /// All folders that were entered, sorted by path; the first is the scanned one.
    pub folders: Vec<Folder>,
    /// Paths with a reserved name that were passed over, sorted.
    pub reserved: Vec<BString>,
}

impl Scan {
    /// How many names there are below the scanned folder.
    pub fn len(&self) -> usize {
        self.folders.iter().map(|folder| folder.entries.len()).sum()
    }

    /// The bytes of all files below it.
    pub fn size(&self) -> u64 {
        let entries = self.folders.iter().flat_map(|folder| &folder.entries);
        entries.filter(|entry| entry.stat.is_file()).map(|entry| entry.stat.size).sum()
    }

    /// Whether there is nothing below it.
    pub fn is_empty(&self) -> bool {
        self.folders.iter().all(|folder| folder.entries.is_empty())
    }

    /// Every path below the scanned folder with its state, folders included, sorted by the bytes of the path.
    pub fn paths(&self) -> Vec<(RelPath, Stat)> {
        let mut all: Vec<(RelPath, Stat)> = self
            .folders
            .iter()
            .flat_map(|folder| folder.entries.iter().map(move |entry| (folder, entry)))
            .filter_map(|(folder, entry)| Some((RelPath::new(folder.path_of(&entry.name))?, entry.stat)))
            .collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// The absolute path of something in it.
    pub fn path(&self, relative: &[u8]) -> PathBuf {
        if relative.is_empty() { self.at.clone() } else { self.at.join(OsStr::from_bytes(relative)) }
    }

    /// The folder at `path`.
    pub fn folder(&self, path: &[u8]) -> Option<&Folder> {
        self.folders.binary_search_by(|f| f.path.as_slice().cmp(path)).ok().map(|at| &self.folders[at])
    }
}

/// Looks at each folder while it is at hand.
pub(super) trait Look<T>: Sync {
    /// What it wants to remember of a folder while that is listed.
    type Was;

    /// What is known of an open folder before it is listed; `rules` are those that hold in it if it has none of its own.
    fn before(&self, dir: &Dir, path: &BString, rules: Option<&Rules>) -> Before<T, Self::Was>;

    /// What there is to say of a folder that was listed; it may take names out, and folders among them are entered all the same. `was` is
    /// what [`Look::before`] gave, if nothing in the folder was left out and it has no rules of its own.
    fn after(&self, folder: &mut Folder, was: Option<Self::Was>) -> T;

    /// Those of the folders `inner` of `dir` that have to be entered, where names are chosen ([`ByName`]).
    fn fruitful(&self, _dir: &Dir, _path: &BString, inner: Vec<Listed>) -> Vec<Name> {
        inner.into_iter().map(|one| one.name).collect()
    }

    /// Hears of a folder that no name was chosen of, nor any rules; `was` is what [`Look::before`] gave.
    fn nothing_in(&self, _path: &BString, _was: Self::Was) {}
}

/// What is known of a folder before it is listed.
pub(super) enum Before<T, W> {
    /// All that is asked for: it has so many names, none of them a folder, and need not be listed.
    Known(T, usize),
    /// Nothing yet.
    Unknown(Option<W>),
}

/// Nothing is asked of any folder.
impl Look<()> for () {
    type Was = ();

    fn before(&self, _: &Dir, _: &BString, _: Option<&Rules>) -> Before<(), ()> {
        Before::Unknown(None)
    }

    fn after(&self, _: &mut Folder, _: Option<()>) {}
}

struct Shared<'a, T, L> {
    fs: &'a Fs,
    at: &'a Path,
    names: Option<ByName>,
    keep: Option<&'a Keep>,
    enter: Option<&'a Keep>,
    cancel: &'a Cancel,
    look: &'a L,
    folders: Mutex<Vec<(Folder, T)>>,
    reserved: Mutex<Vec<BString>>,
    errors: Mutex<Vec<Error>>,
}

/// Lists the folder at `at`, which may itself be a link to one.
///
/// # Errors
/// When it is not a folder, or something in it can't be read; the error names it.
pub fn scan(fs: &Fs, at: &Path, options: &ScanOptions, cancel: &Cancel) -> Result<Scan, Error> {
    Ok(scan_and(fs, at, options, cancel, &())?.0)
}

/// As [`scan()`], with what `look` made of every folder, in the order of the folders.
///
/// # Errors
/// As [`scan()`].
pub(super) fn scan_and<T: Send, L: Look<T>>(
    fs: &Fs,
    at: &Path,
    options: &ScanOptions,
    cancel: &Cancel,
    look: &L,
) -> Result<(Scan, Vec<T>), Error> {
    let shared = Shared {
        fs,
        at,
        names: options.names,
        keep: options.keep.as_ref(),
        enter: options.enter.as_ref(),
        cancel,
        look,
        folders: Mutex::new(Vec::new()),
        reserved: Mutex::new(Vec::new()),
        errors: Mutex::new(Vec::new()),
    };
    let mut todo = vec![Todo { path: BString::default(), depth: 0, above: Above::Top(options.rules.clone()) }];
    let mut looked_at = 0;
    while looked_at + todo.len() * EXPECTED < FEW_NAMES
        && let Some(next) = todo.pop()
    {
        looked_at += 1 + visit(&shared, next, &mut |inner| todo.push(inner));
    }
    if !todo.is_empty() {
        rayon::scope(|scope| todo.into_iter().for_each(|next| spawn(scope, &shared, next)));
    }
    let mut errors = shared.errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The same error at every try, however the threads ran.
    errors.sort_by(|a, b| a.path().cmp(&b.path()));
    if let Some(first) = errors.into_iter().next() {
        return Err(first);
    }
    if cancel.is_raised() {
        return Err(Error::Cancelled);
    }
    let mut folders = shared.folders.into_inner().unwrap_or_else(PoisonError::into_inner);
    folders.sort_unstable_by(|a, b| a.0.path.cmp(&b.0.path));
    if options.without_empty_folders {
        drop_empty_folders(&mut folders);
    }
    let (folders, made) = folders.into_iter().unzip();
    let mut reserved = shared.reserved.into_inner().unwrap_or_else(PoisonError::into_inner);
    reserved.sort_unstable();
    Ok((Scan { at: at.to_owned(), folders, reserved }, made))
}

/// Removes folders that hold no file or link at any depth.
fn drop_empty_folders<T>(folders: &mut Vec<(Folder, T)>) {
    // Deepest first, so that a folder of empty folders is empty when its turn comes.
    let mut order: Vec<usize> = (0..folders.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(folders[at].0.depth()));
    let mut empty: HashSet<BString> = HashSet::new();
    for at in order {
        let folder = &mut folders[at].0;
        let path = folder.path.clone();
        let shell = Folder { path: path.clone(), entries: Vec::new() };
        folder.entries.retain(|e| !e.stat.is_folder() || !empty.contains(&shell.path_of(&e.name)));
        if folder.entries.is_empty() && !path.is_empty() {
            empty.insert(path);
        }
    }
    folders.retain(|(folder, _)| !empty.contains(&folder.path));
}

/// Where the rules of a folder come from.
enum Above {
    /// It is the scanned folder and these are its rules.
    Top(Option<Rules>),
    /// It is the folder of that name in one with those rules.
    Inside(Option<Rules>, BString),
}

/// A folder that was not read yet.
struct Todo {
    path: BString,
    depth: usize,
    above: Above,
}

fn spawn<'s, T: Send, L: Look<T>>(scope: &rayon::Scope<'s>, shared: &'s Shared<'_, T, L>, next: Todo) {
    scope.spawn(move |scope| {
        visit(shared, next, &mut |inner| spawn(scope, shared, inner));
    });
}

/// Reads one folder and hands on those inside of it; returns how many names it has.
fn visit<T, L: Look<T>>(shared: &Shared<'_, T, L>, next: Todo, hand_on: &mut dyn FnMut(Todo)) -> usize {
    if shared.cancel.is_raised() {
        return 0;
    }
    let depth = next.depth + 1;
    match read(shared, &next.path, next.depth, next.above) {
        Ok(Some(Read::Known(made, names))) => {
            let folder = Folder { path: next.path, entries: Vec::new() };
            shared.folders.lock().unwrap_or_else(PoisonError::into_inner).push((folder, made));
            names
        }
        Ok(Some(Read::Listed { mut folder, untold, rules, was })) => {
            let told = folder.entries.iter().filter(|e| e.stat.is_folder()).map(|e| &e.name);
            for name in told.chain(&untold) {
                let above = Above::Inside(rules.clone(), name.to_vec().into());
                hand_on(Todo { path: folder.path_of(name), depth, above });
            }
            let names = folder.entries.len() + untold.len();
            let made = shared.look.after(&mut folder, was);
            shared.folders.lock().unwrap_or_else(PoisonError::into_inner).push((folder, made));
            names
        }
        Ok(None) => 0,
        Err(err) => {
            shared.errors.lock().unwrap_or_else(PoisonError::into_inner).push(err);
            0
        }
    }
}

/// A folder that was read.
enum Read<T, W> {
    /// It was not listed, for what is known of it is enough; so many names are in it.
    Known(T, usize),
    /// It was listed.
    Listed {
        folder: Folder,
        /// Folders in it that are entered and not among its entries.
        untold: Vec<Name>,
        /// The rules in it.
        rules: Option<Rules>,
        /// What was remembered while it was listed, if nothing was left out.
        was: Option<W>,
    },
}

/// One folder and the rules in it; `None` if it vanished.
fn read<T, L: Look<T>>(
    shared: &Shared<'_, T, L>,
    path: &BString,
    depth: usize,
    above: Above,
) -> Result<Option<Read<T, L::Was>>, Error> {
    let absolute = if path.is_empty() { shared.at.to_owned() } else { shared.at.join(OsStr::from_bytes(path)) };
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep { path: absolute });
    }
    let failed = |err| if depth > 0 && is_absent(&err) { Ok(None) } else { Err(Error::io("read", &absolute)(err)) };
    let opened = if depth == 0 { Dir::open(shared.fs, &absolute) } else { Dir::open_no_follow(shared.fs, &absolute) };
    let dir = match opened {
        Ok(opened) => opened,
        Err(err) => return failed(err),
    };
    let enter = |has_prov, has_git| {
        Ok::<_, Error>(match &above {
            Above::Top(rules) => rules.clone(),
            Above::Inside(None, _) => None,
            Above::Inside(Some(rules), name) => Some(rules.enter(shared.fs, name, &absolute, has_prov, has_git)?),
        })
    };
    let was = match shared.look.before(&dir, path, enter(false, false)?.as_ref()) {
        Before::Known(made, names) => return Ok(Some(Read::Known(made, names))),
        Before::Unknown(was) => was,
    };
    let by_name = shared.names;
    let is_wanted = |name: &[u8], is_folder: Option<bool>| match (&by_name, is_folder) {
        (Some(by_name), Some(is_folder)) => by_name.may_want(name, is_folder),
        // What the listing does not tell is asked after the stat.
        _ => true,
    };
    // The rules hold for what is chosen.
    let is_listed = |name: &[u8], is_folder| is_wanted(name, is_folder) || name == PROVIGNORE || name == GITIGNORE;
    let mut names = match dir.list_chosen(&is_listed) {
        Ok(names) => names,
        Err(err) => return failed(err),
    };
    if by_name.is_some() && names.is_empty() {
        if let Some(was) = was {
            shared.look.nothing_in(path, was);
        }
        let folder = Folder { path: path.clone(), entries: Vec::new() };
        return Ok(Some(Read::Listed { folder, untold: Vec::new(), rules: None, was: None }));
    }
    let all = names.len();
    let has = |file: &[u8]| names.binary_search_by(|n| (*n.name).cmp(file)).is_ok();
    let has_rules = has(PROVIGNORE) || has(GITIGNORE);
    let rules = enter(has(PROVIGNORE), has(GITIGNORE))?;
    // A name whose kind the listing does not tell is asked about after its stat.
    let mut matcher = rules.as_ref().map(Rules::matcher);
    let mut folder = Folder { path: path.clone(), entries: Vec::new() };
    names.retain(|n| {
        if is_reserved(&n.name) {
            shared.reserved.lock().unwrap_or_else(PoisonError::into_inner).push(folder.path_of(&n.name));
            return false;
        }
        if !is_wanted(&n.name, n.is_folder) {
            return false;
        }
        match (&mut matcher, n.is_folder) {
            (Some(matcher), Some(is_folder)) => !matcher.is_ignored(&n.name, is_folder),
            _ => true,
        }
    });
    let is_folder = |n: &mut Listed| by_name.is_some() && n.is_folder == Some(true);
    let inner: Vec<Listed> = names.extract_if(.., is_folder).collect();
    let mut untold = if inner.is_empty() { Vec::new() } else { shared.look.fruitful(&dir, path, inner) };
    let stat = |listed: Listed| -> Option<Result<Entry, Error>> {
        match dir.stat_listed(&listed) {
            Ok(None) => None,
            Ok(Some(stat)) => {
                if listed.is_folder.is_none()
                    && rules.as_ref().is_some_and(|rules| rules.is_ignored(&listed.name, stat.is_folder()))
                {
                    return None;
                }
                let entry = Entry { name: listed.name, stat };
                by_name.is_none_or(|by_name| by_name.wants(&entry)).then_some(Ok(entry))
            }
            Err(err) => Some(Err(Error::io("read", &absolute.join(OsStr::from_bytes(&listed.name)))(err))),
        }
    };
    folder.entries = if names.len() < WIDE {
        let mut entries = Vec::with_capacity(names.len());
        for found in names.into_iter().filter_map(stat) {
            entries.push(found?);
        }
        entries
    } else {
        names.into_par_iter().with_min_len(WIDE / 8).filter_map(stat).collect::<Result<Vec<_>, _>>()?
    };
    if shared.keep.is_some() || shared.enter.is_some() {
        let entries = std::mem::take(&mut folder.entries);
        let is_wanted = |entry: &Entry| {
            let choice = if entry.stat.is_folder() { shared.enter } else { shared.keep };
            choice.is_none_or(|choice| (choice.0)(folder.path_of(&entry.name).as_bstr(), &entry.stat))
        };
        folder.entries = entries.into_iter().filter(is_wanted).collect();
    }
    if by_name.is_some() {
        untold.extend(folder.entries.extract_if(.., |entry| entry.stat.is_folder()).map(|entry| entry.name));
    }
    let was = was.filter(|_| !has_rules && folder.entries.len() == all);
    Ok(Some(Read::Listed { folder, untold, rules, was }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    fn listed(tree: &Tree, options: &ScanOptions) -> Vec<String> {
        let scan = scan(&Fs::real(), tree.root(), options, &Cancel::new()).unwrap();
        scan.paths().into_iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn everything_is_listed_in_order_links_not_followed() {
        let tree = Tree::new();
        tree.file("b/x", "1");
        tree.file("b.txt", "2");
        tree.file("a", "3");
        tree.folder("empty");
        tree.link("l", "b");
        tree.file(".git/config", "no");
        tree.file("b/.prov/HEAD", "no");
        assert_eq!(listed(&tree, &ScanOptions::default()), ["a", "b", "b.txt", "b/x", "empty", "l"]);
        let scan = scan(&Fs::real(), tree.root(), &ScanOptions::default(), &Cancel::new()).unwrap();
        assert_eq!(scan.folders.len(), 3);
        let link = scan.folder(b"").unwrap().entries.iter().find(|e| *e.name == *b"l").unwrap();
        assert_eq!(link.stat.kind, FileKind::Link);
    }

    #[test]
    fn rules_and_choices_hold_at_every_depth() {
        let tree = Tree::new();
        tree.file(".provignore", "*.o\nskip/\n");
        tree.file("d/.gitignore", "!b.o\nc\n");
        for path in ["a.o", "d/a.o", "d/b.o", "d/c", "skip/x", "d/skip/x", "d/e/c", "e/c"] {
            tree.file(path, "");
        }
        let rules = Rules::open(&Fs::real(), tree.root(), None).unwrap();
        let mut options = ScanOptions { rules: Some(rules), ..ScanOptions::default() };
        assert_eq!(listed(&tree, &options), [".provignore", "d", "d/.gitignore", "d/b.o", "d/e", "e", "e/c"]);
        options.keep = Some(Keep::new(|path, stat| stat.size == 0 && path.ends_with(b"c")));
        assert_eq!(listed(&tree, &options), ["d", "d/e", "e", "e/c"]);
    }

    #[test]
    fn what_is_chosen_by_name_is_what_a_choice_after_a_look_keeps() {
        let tree = Tree::new();
        tree.file(".gitignore", "skip.py\n/made/\n");
        tree.file("d/.provignore", "!skip.py\nlocal.*\n");
        for path in
            ["a.py", "b.csv", "plain", "skip.py", "made/x.py", "d/skip.py", "d/local.py", "d/e/f.py", "d/e/g.txt"]
        {
            tree.file(path, "");
        }
        tree.file(".hidden/h.py", "");
        tree.file("d/__pycache__/p.py", "");
        tree.exec("run", "");
        tree.folder("empty.py");
        tree.link("l.py", "nowhere");
        tree.link("l.csv", "nowhere");
        let names = ByName {
            file: |name, exec| !name.ends_with(b"v") && (exec || name.contains(&b'.')),
            folder: |name| name[0] != b'.',
            id: Id::ZERO,
        };
        let rules = Rules::open(&Fs::real(), tree.root(), None).unwrap();
        let by_name = ScanOptions { rules: Some(rules.clone()), names: Some(names), ..ScanOptions::default() };
        let all = ScanOptions { rules: Some(rules), ..ScanOptions::default() };
        let all = scan(&Fs::real(), tree.root(), &all, &Cancel::new()).unwrap().paths();
        let kept = all.into_iter().filter(|(path, stat)| {
            let mut folders = path.components().rev().skip(1);
            let exec = stat.kind == FileKind::File { exec: true };
            !stat.is_folder()
                && (names.file)(path.file_name().unwrap(), exec)
                && folders.all(|folder| (names.folder)(folder))
        });
        let found = scan(&Fs::real(), tree.root(), &by_name, &Cancel::new()).unwrap().paths();
        assert_eq!(found, kept.collect::<Vec<_>>());
        let mut expected = vec![".gitignore", "a.py", "d/.provignore", "d/__pycache__/p.py", "d/e/f.py", "d/e/g.txt"];
        expected.extend(["d/skip.py", "l.py", "run"]);
        assert_eq!(found.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_wide_folder_and_odd_names_are_listed_whole() {
        let tree = Tree::new();
        for i in 0..WIDE + 10 {
            tree.file(format!("f{i}"), "");
        }
        tree.file(b"new\nline\xff".as_slice(), "");
        tree.file("-x", "");
        tree.file("n".repeat(255), "");
        assert_eq!(listed(&tree, &ScanOptions::default()).len(), WIDE + 13);
    }

    #[test]
    fn what_is_no_folder_or_not_there_is_named() {
        let tree = Tree::new();
        let file = tree.file("f", "");
        for (path, word) in [(file, "f"), (tree.root().join("none"), "none")] {
            let err = scan(&Fs::real(), &path, &ScanOptions::default(), &Cancel::new()).unwrap_err();
            assert!(err.to_string().contains(word), "{err}");
        }
    }

    #[test]
    fn depth_is_limited_with_an_error() {
        let tree = Tree::new();
        let deep = vec!["d"; MAX_DEPTH + 2].join("/");
        tree.folder(&deep);
        let err = scan(&Fs::real(), tree.root(), &ScanOptions::default(), &Cancel::new()).unwrap_err();
        assert!(matches!(err, Error::TooDeep { .. }), "{err}");
    }

    #[test]
    fn a_raised_cancel_stops_it() {
        let tree = Tree::new();
        let cancel = Cancel::new();
        cancel.raise();
        let got = scan(&Fs::real(), tree.root(), &ScanOptions::default(), &cancel);
        assert!(matches!(got, Err(Error::Cancelled)));
    }
}

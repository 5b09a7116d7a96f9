//! Which paths are left out.
//!
//! The rules of Git, without needing Git. Each folder may hold a `.provignore` and a `.gitignore`; the last
//! matching pattern of a file decides, `!` takes back. Asked in this order, the first file with an opinion wins:
//! `.provignore` then `.gitignore` of the path's own folder, the same of each folder above up to the project root,
//! `.gitignore` of the folders above that up to the top of the enclosing Git repository, that repository's
//! `info/exclude`, and last a file that the caller names (Git's `core.excludesFile`). What lies in an ignored
//! folder is ignored and can't be taken back. Ignore files that are symbolic links do not count, as in Git.
//! Whatever [`is_reserved`](super::is_reserved) is always left out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bstr::{BString, ByteSlice};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{Error, is_reserved};
use crate::fs::{Fs, is_absent, read_some};
use crate::hash::{self, Id};
use crate::path::RelPath;

/// Name of prov's own ignore file.
pub(super) const PROVIGNORE: &[u8] = b".provignore";
/// Name of Git's.
pub(super) const GITIGNORE: &[u8] = b".gitignore";

/// Hash context of what stands for rules.
const CONTEXT: &str = "prov 2026-11 ignore rules";

/// Bytes of an ignore file at most; what comes after is not looked at.
const MAX_BYTES: u64 = 1 << 20;

/// A line of an ignore file that is no pattern. It is passed over, as Git does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreProblem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// The rules that hold in one folder. Cheap to clone; [`Rules::enter`] gives those of a folder inside it.
#[derive(Debug, Clone)]
pub struct Rules {
    level: Option<Arc<Level>>,
    /// The folder relative to the topmost one that has rules, with `/` at the end unless empty.
    at: BString,
    problems: Arc<Mutex<Vec<IgnoreProblem>>>,
}

/// What one folder adds to the rules of those above.
#[derive(Debug)]
struct Level {
    above: Option<Arc<Level>>,
    /// Length of the prefix of a path that leads to this folder.
    base: usize,
    /// Strongest first.
    sets: Vec<Gitignore>,
    /// Stands for all of it.
    digest: Id,
}

/// The patterns of one file, and what stands for them.
struct Set(Gitignore, Id);

impl Rules {
    /// The rules at the project root; `excludes` is one more file, weaker than all others.
    ///
    /// # Errors
    /// When an ignore file is there but can't be read.
    pub fn open(fs: &Fs, root: &Path, excludes: Option<&Path>) -> Result<Self, Error> {
        let top = root.ancestors().find(|dir| matches!(fs.lstat(&dir.join(".git")), Ok(Some(_))));
        let mut rules = Rules { level: None, at: BString::default(), problems: Arc::default() };
        let mut weakest = Vec::new();
        if let Some(top) = top
            && let Some(git) = common_git_dir(fs, top)
        {
            weakest.push(rules.read(fs, &git.join("info/exclude"), true)?);
        }
        if let Some(excludes) = excludes {
            weakest.push(rules.read(fs, excludes, true)?);
        }
        rules.push(weakest.into_iter().flatten().collect());
        if let Some(inner) = top.and_then(|top| root.strip_prefix(top).ok()) {
            let mut dir = top.unwrap_or(root).to_owned();
            for name in inner.components() {
                let set = rules.read(fs, &dir.join(OsStr::from_bytes(GITIGNORE)), false)?;
                rules.push(set.into_iter().collect());
                rules.descend(name.as_os_str().as_bytes());
                dir.push(name);
            }
        }
        rules.load(fs, root, true, true)?;
        Ok(rules)
    }

    /// The rules in the folder `name` of this one, which lies at `dir`; whether it holds a `.provignore` and a
    /// `.gitignore` is known from its listing.
    ///
    /// # Errors
    /// When an ignore file is there but can't be read.
    pub fn enter(&self, fs: &Fs, name: &[u8], dir: &Path, has_prov: bool, has_git: bool) -> Result<Self, Error> {
        let mut rules = self.clone();
        rules.descend(name);
        rules.load(fs, dir, has_prov, has_git)?;
        Ok(rules)
    }

    /// The rules in the folder `below` of the one at `dir` where these hold.
    ///
    /// # Errors
    /// When an ignore file is there but can't be read.
    pub fn enter_path(&self, fs: &Fs, dir: &Path, below: &RelPath) -> Result<Self, Error> {
        let (mut rules, mut dir) = (self.clone(), dir.to_owned());
        for name in below.components() {
            dir.push(OsStr::from_bytes(name));
            rules = rules.enter(fs, name, &dir, true, true)?;
        }
        Ok(rules)
    }

    /// Whether the path `below` the folder at `dir` where these rules hold is left out, by itself or with a folder above it.
    ///
    /// # Errors
    /// When an ignore file is there but can't be read.
    pub fn ignores(&self, fs: &Fs, dir: &Path, below: &RelPath, is_folder: bool) -> Result<bool, Error> {
        let (mut rules, mut dir) = (self.clone(), dir.to_owned());
        let count = below.components().count();
        for (i, name) in below.components().enumerate() {
            let inner = i + 1 < count;
            if rules.is_ignored(name, inner || is_folder) {
                return Ok(true);
            }
            if inner {
                dir.push(OsStr::from_bytes(name));
                rules = rules.enter(fs, name, &dir, true, true)?;
            }
        }
        Ok(false)
    }

    /// Whether `name` in this folder is left out.
    pub fn is_ignored(&self, name: &[u8], is_folder: bool) -> bool {
        is_reserved(name) || self.matcher().is_ignored(name, is_folder)
    }

    /// Answers for many names of this folder without building a path for each anew.
    pub(super) fn matcher(&self) -> Matcher<'_> {
        Matcher { rules: self, path: self.at.to_vec() }
    }

    /// Lines of ignore files met so far that are no patterns.
    pub fn problems(&self) -> Vec<IgnoreProblem> {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
        problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        problems
    }

    fn descend(&mut self, name: &[u8]) {
        self.at.extend_from_slice(name);
        self.at.push(b'/');
    }

    fn push(&mut self, sets: Vec<Set>) {
        if sets.is_empty() {
            return;
        }
        let base = self.at.len();
        let above = self.level.take();
        let mut whole = above.as_ref().map_or(Id::ZERO, |above| above.digest).digest().to_vec();
        whole.extend_from_slice(&(base as u64).to_le_bytes());
        for set in &sets {
            whole.extend_from_slice(set.1.digest());
        }
        let sets = sets.into_iter().map(|set| set.0).collect();
        self.level = Some(Arc::new(Level { above, base, sets, digest: hash::derived(CONTEXT, &whole) }));
    }

    /// Stands for the rules and the folder in which they hold: where it is the same, the same names are left out.
    pub(super) fn digest(&self) -> Id {
        let mut whole = self.level.as_ref().map_or(Id::ZERO, |level| level.digest).digest().to_vec();
        whole.extend_from_slice(&self.at);
        hash::derived(CONTEXT, &whole)
    }

    fn load(&mut self, fs: &Fs, dir: &Path, has_prov: bool, has_git: bool) -> Result<(), Error> {
        let mut sets = Vec::new();
        for (name, present) in [(PROVIGNORE, has_prov), (GITIGNORE, has_git)] {
            if present {
                sets.extend(self.read(fs, &dir.join(OsStr::from_bytes(name)), false)?);
            }
        }
        self.push(sets);
        Ok(())
    }

    /// The patterns of one file; `None` if there are none. Links count only where Git follows them.
    fn read(&self, fs: &Fs, file: &Path, follow: bool) -> Result<Option<Set>, Error> {
        let opened = if follow { fs.open(file) } else { fs.open_no_follow(file) };
        let mut opened = match opened {
            Ok(opened) => opened,
            Err(err) if is_absent(&err) || err.kind() == std::io::ErrorKind::InvalidInput => return Ok(None),
            Err(err) if err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => return Ok(None),
            Err(err) => return Err(Error::io("read", file)(err)),
        };
        let bytes = read_some(&mut opened, MAX_BYTES).map_err(Error::io("read", file))?;
        // Paths are matched relative to the folder of the file, so the builder's root is empty.
        let mut builder = GitignoreBuilder::new("");
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let problem = |line, what: String| IgnoreProblem { file: file.to_owned(), line, what };
        for (i, line) in bytes.split(|&b| b == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let bad = match line.to_str() {
                Ok(text) => builder.add_line(None, text).err().map(|err| problem(i + 1, err.to_string())),
                Err(_) => Some(problem(i + 1, "not UTF-8".to_owned())),
            };
            if let Some(bad) = bad {
                self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(bad);
            }
        }
        match builder.build() {
            Ok(set) => Ok((!set.is_empty()).then(|| Set(set, hash::derived(CONTEXT, bytes)))),
            Err(err) => {
                self.problems
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(problem(1, format!("all patterns are passed over: {err}")));
                Ok(None)
            }
        }
    }
}

/// [`Rules`] with one path buffer.
#[derive(Debug)]
pub(super) struct Matcher<'a> {
    rules: &'a Rules,
    path: Vec<u8>,
}

impl Matcher<'_> {
    /// Whether a pattern leaves `name` out; reserved names are not looked at here.
    pub(super) fn is_ignored(&mut self, name: &[u8], is_folder: bool) -> bool {
        let mut level = self.rules.level.as_deref();
        if level.is_none() {
            return false;
        }
        self.path.truncate(self.rules.at.len());
        self.path.extend_from_slice(name);
        while let Some(here) = level {
            let below = Path::new(OsStr::from_bytes(&self.path[here.base..]));
            for set in &here.sets {
                match set.matched(below, is_folder) {
                    Match::None => {}
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                }
            }
            level = here.above.as_deref();
        }
        false
    }
}

/// The folder that holds `info/exclude` of the repository whose work tree is at `top`: `.git` itself, or for a
/// linked work tree or a submodule where its file `.git` points to.
fn common_git_dir(fs: &Fs, top: &Path) -> Option<PathBuf> {
    let git = top.join(".git");
    if fs.stat(&git).ok()??.is_folder() {
        return Some(git);
    }
    let text = fs.read(&git).ok()??;
    let target = text.strip_prefix(b"gitdir:")?.trim();
    let dir = top.join(OsStr::from_bytes(target));
    match fs.read(&dir.join("commondir")) {
        Ok(Some(common)) => Some(dir.join(OsStr::from_bytes(common.trim()))),
        _ => Some(dir),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    fn ignored(tree: &Tree, path: &str) -> bool {
        let fs = Fs::real();
        let rules = Rules::open(&fs, tree.root(), None).unwrap();
        let is_folder = path.ends_with('/');
        rules.ignores(&fs, tree.root(), &RelPath::new(path.trim_end_matches('/')).unwrap(), is_folder).unwrap()
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let tree = Tree::new();
        tree.file(
            ".gitignore",
            "# comment\n*.log\n!keep.log\n/top\nbuild/\ndoc/*.txt\na/**/z\n\\!bang\ntail\\ \nspace  \n",
        );
        let cases = [
            ("x.log", true),
            ("sub/x.log", true),
            ("keep.log", false),
            ("sub/keep.log", false),
            ("top", true),
            ("sub/top", false),
            ("build/", true),
            ("build", false),
            ("sub/build/", true),
            ("build/inner/file", true),
            ("doc/a.txt", true),
            ("doc/sub/a.txt", false),
            ("x/doc/a.txt", false),
            ("a/z", true),
            ("a/b/c/z", true),
            ("!bang", true),
            ("tail ", true),
            ("space", true),
            ("# comment", false),
        ];
        for (path, expected) in cases {
            assert_eq!(ignored(&tree, path), expected, "{path}");
        }
    }

    #[test]
    fn deeper_files_win_and_provignore_beats_gitignore_beside_it() {
        let tree = Tree::new();
        tree.file(".gitignore", "*.dat\n*.tmp\n/out\n");
        tree.file(".provignore", "!*.dat\n*.csv\n");
        tree.file("sub/.gitignore", "!*.tmp\n!*.csv\nonly-here\n");
        assert!(!ignored(&tree, "x.dat"));
        assert!(ignored(&tree, "x.csv"));
        assert!(ignored(&tree, "x.tmp"));
        assert!(!ignored(&tree, "sub/x.tmp"));
        assert!(!ignored(&tree, "sub/x.csv"));
        assert!(ignored(&tree, "sub/only-here"));
        assert!(!ignored(&tree, "only-here"));
        assert!(!ignored(&tree, "sub/out"));
    }

    #[test]
    fn a_file_in_an_ignored_folder_can_not_be_taken_back() {
        let tree = Tree::new();
        tree.file(".gitignore", "cache/\n!cache/keep\n");
        tree.file("cache/.gitignore", "!keep\n");
        assert!(ignored(&tree, "cache/keep"));
    }

    #[test]
    fn the_enclosing_repository_has_a_say_from_its_top_and_its_exclude_file() {
        let tree = Tree::new();
        tree.file("repo/.git/info/exclude", "*.secret\nproj/mine\n");
        tree.file("repo/.gitignore", "proj/gen\n*.bak\n");
        tree.file("repo/.provignore", "proj/not-asked\n");
        tree.file("repo/proj/.gitignore", "!b.bak\n");
        let root = tree.root().join("repo/proj");
        let fs = Fs::real();
        let rules = Rules::open(&fs, &root, None).unwrap();
        let ask = |path: &str| rules.ignores(&fs, &root, &RelPath::new(path).unwrap(), false).unwrap();
        for yes in ["a.secret", "mine", "gen", "gen/x", "a.bak"] {
            assert!(ask(yes), "{yes}");
        }
        for no in ["b.bak", "sub/mine", "sub/gen", "not-asked"] {
            assert!(!ask(no), "{no}");
        }
        // A linked work tree keeps its exclude file in the main repository.
        tree.file("linked/.git", "gitdir: ../repo/.git/worktrees/l\n");
        tree.file("repo/.git/worktrees/l/commondir", "../..\n");
        let linked = tree.root().join("linked");
        let rules = Rules::open(&fs, &linked, None).unwrap();
        assert!(rules.is_ignored(b"a.secret", false));
    }

    #[test]
    fn the_callers_file_is_the_weakest_and_links_do_not_count() {
        let tree = Tree::new();
        let extra = tree.file("extra", "*.x\n*.y\n");
        tree.file("p/.gitignore", "!a.x\n");
        tree.file("patterns", "*\n");
        tree.link("p/.provignore", "../patterns");
        let root = tree.root().join("p");
        let rules = Rules::open(&Fs::real(), &root, Some(&extra)).unwrap();
        assert!(!rules.is_ignored(b"a.x", false));
        assert!(rules.is_ignored(b"b.x", false));
        assert!(rules.is_ignored(b"a.y", false));
        assert!(!rules.is_ignored(b"free", false));
    }

    #[test]
    fn reserved_names_are_always_out_and_names_are_bytes() {
        let tree = Tree::new();
        tree.file(".provignore", "!.prov\n!.git\n*.o\n?x\n");
        let rules = Rules::open(&Fs::real(), tree.root(), None).unwrap();
        assert!(rules.is_ignored(b".prov", true));
        assert!(rules.is_ignored(b".git", true));
        assert!(rules.is_ignored(b"\xff\n.o", false));
        assert!(!rules.is_ignored(b"-\xff", false));
    }

    #[test]
    fn a_line_that_is_no_pattern_is_passed_over_and_told() {
        let tree = Tree::new();
        tree.file(".provignore", b"\xef\xbb\xbf*.a\r\n{x\n\xff\xfe\n*.b\n");
        let rules = Rules::open(&Fs::real(), tree.root(), None).unwrap();
        assert!(rules.is_ignored(b"1.a", false));
        assert!(rules.is_ignored(b"1.b", false));
        let lines: Vec<usize> = rules.problems().iter().map(|p| p.line).collect();
        assert!(lines.contains(&3), "{lines:?}");
    }
}

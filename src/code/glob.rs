//! Globs that stand for files: `data/*.csv`, `runs/**/out.json`.
//!
//! A component with `*`, `?`, `[...]` or `{a,b}` matches names as a shell would: not those that begin with a dot unless it begins with one
//! itself. `**` stands for any folders, links to folders left out. Only files, and links to files, are matched; never what lies in `.prov`
//! or `.git`.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::Error;
use crate::fs::{Fs, is_absent};
use crate::path::shown;
use crate::worktree::is_reserved;

/// Folders inside folders that are gone down to at most.
const MAX_DEPTH: usize = 256;

/// Whether a text has a character that makes it a glob.
pub fn is_glob(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[{".contains(byte))
}

#[derive(Debug, Clone)]
enum Part {
    /// A name as it is.
    Name(PathBuf),
    /// Names that match; whether also those that begin with a dot.
    Names(GlobMatcher, bool),
    /// Any folders.
    Folders,
}

/// A glob, seen from a folder.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    base: PathBuf,
    parts: Vec<Part>,
}

impl Glob {
    /// Reads a glob as seen from the folder `from`, which is absolute.
    ///
    /// # Errors
    /// A bad glob, or one that goes up after a wildcard.
    pub fn new(text: &str, from: &Path) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Pattern { pattern: shown(text.as_bytes()), reason: reason.to_owned() };
        let (mut base, mut parts) = (from.to_owned(), Vec::new());
        for component in Path::new(text).components() {
            let name = match component {
                Component::Normal(name) => name,
                Component::CurDir => continue,
                Component::ParentDir if parts.is_empty() => {
                    base.push("..");
                    continue;
                }
                Component::ParentDir => return Err(refuse("it goes up after a wildcard")),
                Component::RootDir | Component::Prefix(_) => {
                    base = PathBuf::from("/");
                    continue;
                }
            };
            let bytes = name.as_bytes();
            if bytes == b"**" {
                parts.push(Part::Folders);
            } else if is_glob(bytes) {
                let matcher = GlobBuilder::new(&String::from_utf8_lossy(bytes))
                    .literal_separator(true)
                    .backslash_escape(true)
                    .build()
                    .map_err(|err| refuse(&err.kind().to_string()))?;
                parts.push(Part::Names(matcher.compile_matcher(), bytes.starts_with(b".")));
            } else if parts.is_empty() {
                base.push(name);
            } else {
                parts.push(Part::Name(PathBuf::from(name)));
            }
        }
        if matches!(parts.last(), Some(Part::Folders)) {
            let every = GlobBuilder::new("*").build().map_err(|err| refuse(&err.kind().to_string()))?;
            parts.push(Part::Names(every.compile_matcher(), false));
        }
        Ok(Self { text: text.to_owned(), base: crate::path::normal(&base), parts })
    }

    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The folder before the first wildcard, absolute.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The files that it stands for now, absolute, sorted by their bytes, none twice.
    ///
    /// # Errors
    /// When a folder can't be listed; one that is absent has nothing in it.
    pub fn files(&self, fs: &Fs) -> std::io::Result<Vec<PathBuf>> {
        let mut found = BTreeSet::new();
        walk(fs, &self.base, None, &self.parts, 0, &mut found)?;
        let mut files: Vec<PathBuf> = found.into_iter().collect();
        files.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
        Ok(files)
    }
}

/// What `parts` stand for below `at`; `is_file` if a listing told whether it is one.
fn walk(
    fs: &Fs,
    at: &Path,
    is_file: Option<bool>,
    parts: &[Part],
    depth: usize,
    found: &mut BTreeSet<PathBuf>,
) -> std::io::Result<()> {
    let Some((part, rest)) = parts.split_first() else {
        let is_file = match is_file {
            Some(is_file) => is_file,
            None => fs.stat(at)?.is_some_and(|stat| stat.is_file()),
        };
        if is_file {
            found.insert(at.to_owned());
        }
        return Ok(());
    };
    if depth > MAX_DEPTH {
        return Ok(());
    }
    let names = || match fs.names_with_types(at) {
        Err(err) if is_absent(&err) => Ok(Vec::new()),
        names => names,
    };
    match part {
        Part::Name(name) => walk(fs, &at.join(name), None, rest, depth + 1, found),
        Part::Names(matcher, hidden) => {
            for (name, of) in names()? {
                // What a link leads to has to be looked at.
                let is_file = (!of.is_symlink()).then(|| of.is_file());
                let bytes = name.as_bytes();
                if (*hidden || !bytes.starts_with(b".")) && !is_reserved(bytes) && matcher.is_match(&name) {
                    walk(fs, &at.join(&name), is_file, rest, depth + 1, found)?;
                }
            }
            Ok(())
        }
        Part::Folders => {
            walk(fs, at, is_file, rest, depth + 1, found)?;
            for (name, of) in names()? {
                if of.is_dir() && !name.as_bytes().starts_with(b".") && !is_reserved(name.as_bytes()) {
                    walk(fs, &at.join(&name), Some(false), parts, depth + 1, found)?;
                }
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let (fs, root) = (Fs::real(), folder.path());
        for file in ["a.csv", "b.csv", "c.txt", ".hidden.csv", "sub/d.csv", "sub/x/e.csv", ".prov/f.csv", "[x]/g.csv"] {
            fs.make_dirs(root.join(file).parent().unwrap()).unwrap();
            fs.replace(&root.join(file), b"x", false).unwrap();
        }
        fs.make_dir(&root.join("folder.csv")).unwrap();
        fs.symlink(Path::new("a.csv"), &root.join("z.csv")).unwrap();
        fs.symlink(Path::new("sub"), &root.join("linked")).unwrap();
        let glob = Glob::new(pattern, &root.join("sub")).unwrap();
        let files = glob.files(&fs).unwrap();
        files.iter().map(|file| file.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn files_are_matched_as_by_a_shell() {
        assert_eq!(found("../*.csv"), ["a.csv", "b.csv", "z.csv"]);
        assert_eq!(found("*.csv"), ["sub/d.csv"]);
        assert_eq!(found("../.*.csv"), [".hidden.csv"]);
        assert_eq!(found("../{a,c}.*"), ["a.csv", "c.txt"]);
        assert_eq!(found("../**/*.csv"), ["[x]/g.csv", "a.csv", "b.csv", "sub/d.csv", "sub/x/e.csv", "z.csv"]);
        assert_eq!(found("**"), ["sub/d.csv", "sub/x/e.csv"]);
        assert_eq!(found("../*/x/e.csv"), ["linked/x/e.csv", "sub/x/e.csv"]);
        assert_eq!(found("../nothing/*"), [""; 0]);
    }

    #[test]
    fn bad_globs_are_refused() {
        for bad in ["a[", "{a", "*/../x"] {
            assert!(Glob::new(bad, Path::new("/p")).is_err(), "{bad}");
        }
    }
}

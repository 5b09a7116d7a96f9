//! The program of `argv[0]`, and the files that a command's words name.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use crate::fs::{FileKind, Fs, Stat, is_absent};
use crate::path::{Place, RelPath, from_bytes, locate, normal};

/// What the first word of a command leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A file of the project: a part of the recipe.
    Project {
        /// Its path.
        path: RelPath,
        /// Its state, links followed.
        stat: Stat,
    },
    /// A program of the machine: recorded on the run.
    Elsewhere(PathBuf),
    /// There is a file, but it may not be executed.
    NotExecutable(PathBuf),
    /// There is nothing.
    NotFound,
}

/// Finds the program that a shell would execute for `word` in the folder `cwd`, given the value of `PATH`.
///
/// A word with a `/` is a path; any other is looked for in the folders of `PATH`, an empty one being `cwd`. A file
/// below `root` is one of the project unless it is a link that leads out of it (the interpreter of a virtual
/// environment), or was found by `PATH` and `is_ignored` says that it is no part of the project.
///
/// # Errors
/// When a file can't be looked at for other reasons than permissions.
pub fn find_program(
    fs: &Fs,
    root: &Path,
    cwd: &Path,
    search: &std::ffi::OsStr,
    word: &BStr,
    is_ignored: &dyn Fn(&RelPath) -> bool,
) -> io::Result<Program> {
    if word.is_empty() || word.contains(&0) {
        return Ok(Program::NotFound);
    }
    if word.contains(&b'/') {
        let path = cwd.join(from_bytes(word));
        return Ok(match look(fs, &path)? {
            None => Program::NotFound,
            Some(stat) if is_executable(&stat) => placed(fs, root, &path, stat)?,
            Some(_) => Program::NotExecutable(normal(&path)),
        });
    }
    let mut refused = None;
    for folder in search.as_bytes().split(|&b| b == b':') {
        let path = cwd.join(from_bytes(folder)).join(from_bytes(word));
        match look(fs, &path)? {
            Some(stat) if is_executable(&stat) => {
                return Ok(match placed(fs, root, &path, stat)? {
                    Program::Project { path: inside, .. } if is_ignored(&inside) => Program::Elsewhere(normal(&path)),
                    program => program,
                });
            }
            Some(stat) if stat.is_file() => {
                refused.get_or_insert(path);
            }
            _ => {}
        }
    }
    Ok(refused.map_or(Program::NotFound, |path| Program::NotExecutable(normal(&path))))
}

/// What is at a path; a folder that may not be entered holds nothing.
fn look(fs: &Fs, path: &Path) -> io::Result<Option<Stat>> {
    match fs.stat(path) {
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(err) if names_nothing(&err) => Ok(None),
        other => other,
    }
}

/// Whether a link is sure to lead to no file: to a folder, to nothing, in a circle. What may be a file that can't be looked at is none of it.
pub fn leads_to_no_file(fs: &Fs, link: &Path) -> bool {
    match fs.stat(link) {
        Ok(found) => found.is_none_or(|stat| !stat.is_file()),
        Err(err) => names_nothing(&err),
    }
}

/// Of a name that no file can have: too long, a loop of links.
fn names_nothing(err: &io::Error) -> bool {
    err.kind() == io::ErrorKind::InvalidFilename || err.raw_os_error() == Some(LOOP)
}

const LOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();

fn is_executable(stat: &Stat) -> bool {
    stat.is_file() && stat.mode & 0o111 != 0
}

fn placed(fs: &Fs, root: &Path, path: &Path, stat: Stat) -> io::Result<Program> {
    let Place::Inside(inside) = locate(root, root, path) else {
        return Ok(Program::Elsewhere(normal(path)));
    };
    if fs.lstat(path)?.is_some_and(|s| s.kind == FileKind::Link) {
        let leads_out = match (std::fs::canonicalize(path), std::fs::canonicalize(root)) {
            (Ok(target), Ok(root)) => !target.starts_with(root),
            (Err(err), _) | (_, Err(err)) if !is_absent(&err) => return Err(err),
            _ => true,
        };
        if leads_out {
            return Ok(Program::Elsewhere(normal(path)));
        }
    }
    Ok(Program::Project { path: inside, stat })
}

/// The files of the project that a command names: words, and what follows the first `=` of a word that begins with
/// `-`, that are paths of regular files (links followed) and not declared. Sorted, none twice.
///
/// # Errors
/// When a file can't be looked at for other reasons than permissions.
pub fn named_files(
    fs: &Fs,
    root: &Path,
    cwd: &Path,
    words: &[BString],
    is_declared: &dyn Fn(&RelPath) -> bool,
) -> io::Result<Vec<(RelPath, Stat)>> {
    let mut paths = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        // The first word is a path only if it says so; else it is looked for by PATH.
        if at == 0 && !word.contains(&b'/') {
            continue;
        }
        let value = if word.starts_with(b"-") { word.split_once_str("=").map(|(_, value)| value) } else { None };
        for text in [Some(word.as_slice()), value].into_iter().flatten() {
            if text.is_empty() || text.len() > 4096 || text.contains(&0) {
                continue;
            }
            if let Place::Inside(inside) = locate(root, cwd, &from_bytes(text))
                && !inside.is_root()
                && !is_declared(&inside)
            {
                paths.insert(inside);
            }
        }
    }
    let mut files = Vec::new();
    for path in paths {
        if let Some(stat) = look(fs, &path.below(root))?
            && stat.is_file()
        {
            files.push((path, stat));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Project {
        dir: tempfile::TempDir,
        fs: Fs,
    }

    impl Project {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), fs: Fs::real() }
        }

        fn root(&self) -> PathBuf {
            self.dir.path().join("p")
        }

        fn file(&self, path: &str, mode: u32) {
            let path = self.dir.path().join(path);
            self.fs.make_dirs(path.parent().unwrap()).unwrap();
            self.fs.replace(&path, b"#!/bin/sh\n", false).unwrap();
            self.fs.set_mode(&path, mode).unwrap();
        }

        fn find(&self, word: &str) -> Program {
            let search = format!("{}/bin:{}/p/venv/bin:", self.dir.path().display(), self.dir.path().display());
            let ignored = |p: &RelPath| p.as_bytes().starts_with(b"venv/");
            find_program(&self.fs, &self.root(), &self.root(), search.as_ref(), word.into(), &ignored).unwrap()
        }
    }

    #[test]
    fn programs_are_found_as_by_a_shell() {
        let p = Project::new();
        p.file("bin/tool", 0o755);
        p.file("bin/plain", 0o644);
        p.file("p/run", 0o755);
        p.file("p/notes.py", 0o644);
        p.file("p/venv/bin/env-tool", 0o755);
        assert_eq!(p.find("tool"), Program::Elsewhere(p.dir.path().join("bin/tool")));
        assert_eq!(p.find("plain"), Program::NotExecutable(p.dir.path().join("bin/plain")));
        assert!(matches!(p.find("./run"), Program::Project { path, .. } if path.as_bytes() == "run"));
        assert!(matches!(p.find("run"), Program::Project { .. }), "an empty folder of PATH is the working folder");
        assert_eq!(p.find("./notes.py"), Program::NotExecutable(p.root().join("notes.py")));
        assert_eq!(p.find("env-tool"), Program::Elsewhere(p.root().join("venv/bin/env-tool")));
        assert!(matches!(p.find("venv/bin/env-tool"), Program::Project { .. }), "named by its path it counts");
        for word in ["none", "./none", "", ".", "./venv", &"x".repeat(300), "run/x"] {
            assert!(matches!(p.find(word), Program::NotFound | Program::NotExecutable(_)), "{word}");
        }
    }

    #[test]
    fn a_link_out_of_the_project_is_a_program_of_the_machine() {
        let p = Project::new();
        p.file("bin/python", 0o755);
        p.file("p/run", 0o755);
        p.fs.symlink(Path::new("../bin/python"), &p.root().join("python")).unwrap();
        p.fs.symlink(Path::new("run"), &p.root().join("again")).unwrap();
        assert_eq!(p.find("./python"), Program::Elsewhere(p.root().join("python")));
        assert!(matches!(p.find("./again"), Program::Project { .. }));
    }

    #[test]
    fn named_files_are_words_that_are_files() {
        let p = Project::new();
        for file in ["p/a.py", "p/sub/b.py", "p/c.awk", "p/data.csv", "q.py", "p/awk"] {
            p.file(file, 0o644);
        }
        let words: Vec<BString> = [
            "awk",
            "-f",
            "../c.awk",
            "--x=b.py",
            "y=b.py",
            "../a.py",
            "../data.csv",
            "../../q.py",
            "..",
            "none",
            "../a.py",
        ]
        .map(BString::from)
        .into();
        let declared = |path: &RelPath| path.as_bytes() == "data.csv";
        let files = named_files(&p.fs, &p.root(), &p.root().join("sub"), &words, &declared).unwrap();
        let files: Vec<String> = files.iter().map(|f| f.0.to_string()).collect();
        assert_eq!(files, ["a.py", "c.awk", "sub/b.py"]);
    }
}

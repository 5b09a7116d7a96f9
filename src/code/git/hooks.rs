//! Hooks of Git's that call prov, and the merge driver of `prov.lock`: put there, looked at, and taken away again.
//!
//! A hook is a small shell script. One that was there before is kept beside it and run first; what it reads and how it ends is as it was.
//! What prov makes of a hook changes nothing about Git's own command, unless prov says that it was asked to. Hooks are shared by all work
//! trees of a repository, so each script says which folders of a work tree are projects, and does nothing where there is none.

use std::io::Write;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::{Discovery, discover, with_user_config};
use crate::fs::Fs;

/// The hooks that are put there.
pub const NAMES: [&str; 6] =
    ["commit-msg", "post-checkout", "post-commit", "post-merge", "pre-push", "prepare-commit-msg"];

/// The name of the merge driver.
pub const DRIVER: &str = "prov-lock";

/// What a hook that was there before is called.
const BEFORE: &str = ".before-prov";

const MARK: &[u8] = b"# prov hook 1:";

/// Why hooks can't be put there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no repository, or none with a work tree.
    #[error("there is no Git repository with a work tree around `{}`", crate::path::show(.folder))]
    NoRepository {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The repository can't be read.
    #[error("the Git repository can't be read: {what}")]
    Unreadable {
        /// What Git's files say.
        what: String,
    },
    /// Other repositories have the same hooks.
    #[error("`core.hooksPath` is set for all of your repositories: `{}`", crate::path::show(.folder))]
    Shared {
        /// The folder.
        folder: PathBuf,
    },
    /// Two hooks that were there before can't both be kept.
    #[error("`{}` is not prov's, and `{}` is in the way of keeping it", crate::path::show(.hook), crate::path::show(.kept))]
    Occupied {
        /// The hook.
        hook: PathBuf,
        /// Where it would be kept.
        kept: PathBuf,
    },
    /// Git or somebody else is changing a file.
    #[error("`{}` is there: Git is changing that file, or was killed while it did", crate::path::show(.path))]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// A file can't be read or written.
    #[error("can't {doing} `{}`", crate::path::show(.path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

/// What there is under the name of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// prov's script, which calls prov for this project.
    Installed,
    /// prov's script, which calls prov for other projects of the work tree.
    Elsewhere,
    /// Something else.
    Other,
}

/// A hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: &'static str,
    /// What there is.
    pub state: State,
    /// Whether a hook that was there before is run first.
    pub is_chained: bool,
}

/// The hooks of the repository around a project.
#[derive(Debug)]
pub struct Hooks {
    folder: PathBuf,
    common: PathBuf,
    /// The project's folder in the work tree.
    project: BString,
    is_shared: bool,
}

/// Finds the hooks of the repository around `project`, wherever `core.hooksPath` says they are.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::Unreadable`].
pub fn hooks_of(project: &Path) -> Result<Hooks, Error> {
    let repository = match discover(project) {
        Discovery::Found(repository) => repository,
        Discovery::Nothing => return Err(Error::NoRepository { folder: project.to_owned() }),
        Discovery::Unreadable(what) => return Err(Error::Unreadable { what }),
    };
    let unreadable = |what: String| Error::Unreadable { what };
    let own = repository.inner.to_thread_local();
    let top = own.workdir().ok_or_else(|| Error::NoRepository { folder: project.to_owned() })?.to_owned();
    let common = own.common_dir().to_owned();
    let full = with_user_config(own.git_dir().to_owned()).map_err(|err| unreadable(err.to_string()))?;
    let said = full.config_snapshot().trusted_path("core.hooksPath").map_err(|err| unreadable(err.to_string()))?;
    // The repository's own settings alone were read here.
    let is_own = own.config_snapshot().string("core.hooksPath").is_some_and(|text| !text.trim().is_empty());
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let below = real(project).strip_prefix(real(&top)).map(Path::to_owned).unwrap_or_default();
    let project = crate::path::bytes(&below);
    Ok(match said.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Hooks { folder: top.join(path), common, project, is_shared: !is_own },
        None => Hooks { folder: common.join("hooks"), common, project, is_shared: false },
    })
}

/// A word that the shell takes as it stands.
fn quoted(text: &[u8]) -> BString {
    let mut word = BString::from("'");
    word.extend_from_slice(&text.replace("'", "'\\''"));
    word.push(b'\'');
    word
}

fn script(name: &str, program: &Path, projects: &[BString]) -> Vec<u8> {
    let mut text = b"#!/bin/sh\n".to_vec();
    text.extend_from_slice(MARK);
    text.extend_from_slice(b" made by `prov hooks install`, taken away by `prov hooks uninstall`.\n");
    text.extend_from_slice(b"# A hook that was here before lies beside this file and is run first.\n");
    text.extend_from_slice(
        format!("before=\"$0{BEFORE}\"\nif [ -x \"$before\" ]; then \"$before\" \"$@\" || exit; fi\n").as_bytes(),
    );
    if name == "post-checkout" {
        // Single files were checked out, or the commit is the same.
        text.extend_from_slice(b"[ \"$3\" = 0 ] && exit 0\n[ -n \"$1\" ] && [ \"$1\" = \"$2\" ] && exit 0\n");
    }
    text.extend_from_slice(b"prov=$(command -v prov) || prov=");
    text.extend_from_slice(&quoted(&crate::path::bytes(program)));
    text.extend_from_slice(
        b"\n[ -x \"$prov\" ] || exit 0\nend=0\nat() {\n\
          \t[ -d \"$1/.prov\" ] || return 0\n\
          \tproject=$1\n\tshift\n",
    );
    text.extend_from_slice(format!("\t\"$prov\" -C \"$project\" hooks run {name} -- \"$@\" </dev/null\n").as_bytes());
    // Whatever else becomes of prov is not Git's business.
    text.extend_from_slice(b"\tif [ $? -eq 7 ]; then end=1; fi\n}\n");
    for project in projects {
        text.extend_from_slice(b"at ");
        text.extend_from_slice(&quoted(if project.is_empty() { b"." } else { project }));
        text.extend_from_slice(b" \"$@\"\n");
    }
    text.extend_from_slice(b"exit $end\n");
    text
}

/// The projects that a script of prov's names; `None` for another script.
fn projects_in(script: &[u8]) -> Option<Vec<BString>> {
    script.find(MARK)?;
    let named = script.lines().filter_map(|line| line.strip_prefix(b"at '")?.strip_suffix(b"' \"$@\""));
    let path = |word: &[u8]| match word.replace("'\\''", "'") {
        word if word == b"." => BString::default(),
        word => BString::from(word),
    };
    Some(named.map(path).collect())
}

impl Hooks {
    /// The folder in which Git looks for them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether other repositories of the user have the same ones.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn read(fs: &Fs, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        match fs.stat(path).map_err(io("read", path))? {
            Some(stat) if stat.is_file() => fs.read(path).map_err(io("read", path)),
            _ => Ok(None),
        }
    }

    fn paths(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.folder.join(name), self.folder.join(format!("{name}{BEFORE}")))
    }

    /// How things stand, hook by hook.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn status(&self, fs: &Fs) -> Result<Vec<Hook>, Error> {
        let one = |name: &'static str| {
            let (hook, kept) = self.paths(name);
            let is_there = fs.lstat(&hook).map_err(io("read", &hook))?.is_some();
            let projects = Self::read(fs, &hook)?.and_then(|text| projects_in(&text));
            let state = match projects {
                Some(projects) if projects.contains(&self.project) => State::Installed,
                Some(_) => State::Elsewhere,
                None if is_there => State::Other,
                None => State::Absent,
            };
            let is_ours = matches!(state, State::Installed | State::Elsewhere);
            let is_chained = is_ours && fs.lstat(&kept).map_err(io("read", &kept))?.is_some();
            Ok(Hook { name, state, is_chained })
        };
        NAMES.into_iter().map(one).collect()
    }

    /// Puts them there; `program` is prov, for when it is not on the path. Hooks that are there are kept, and run first.
    ///
    /// # Errors
    /// [`Error::Occupied`] before anything is changed; what can't be written.
    pub fn install(&self, fs: &Fs, program: &Path) -> Result<(), Error> {
        fs.make_dirs(&self.folder).map_err(io("create", &self.folder))?;
        let found = self.status(fs)?;
        for hook in found.iter().filter(|hook| hook.state == State::Other) {
            let (hook, kept) = self.paths(hook.name);
            if fs.lstat(&kept).map_err(io("read", &kept))?.is_some() {
                return Err(Error::Occupied { hook, kept });
            }
        }
        for one in found {
            let (hook, kept) = self.paths(one.name);
            let mut projects = Self::read(fs, &hook)?.and_then(|text| projects_in(&text)).unwrap_or_default();
            if !projects.contains(&self.project) {
                projects.push(self.project.clone());
                projects.sort();
            }
            if one.state == State::Other {
                fs.rename_no_replace(&hook, &kept).map_err(io("rename", &hook))?;
            }
            self.write(fs, &hook, &script(one.name, program, &projects))?;
        }
        Ok(())
    }

    /// Written beside and renamed: Git may be about to run it.
    fn write(&self, fs: &Fs, hook: &Path, text: &[u8]) -> Result<(), Error> {
        let beside = self.folder.join(format!(".prov-{}", std::process::id()));
        let mut output = fs.create(&beside, 0o777).map_err(io("create", &beside))?;
        let written = output.write_all(text).and_then(|()| output.flush()).and_then(|()| fs.rename(&beside, hook));
        written.map_err(|err| {
            let _ = fs.remove_file(&beside);
            io("write", hook)(err)
        })
    }

    /// Takes them away again, for this project: where no other project has them, what was there before comes back. Scripts of others are
    /// left alone. Says how many were changed.
    ///
    /// # Errors
    /// What can't be read or written.
    pub fn uninstall(&self, fs: &Fs) -> Result<usize, Error> {
        let mut changed = 0;
        for one in self.status(fs)?.into_iter().filter(|one| one.state == State::Installed) {
            let (hook, kept) = self.paths(one.name);
            let Some(text) = Self::read(fs, &hook)? else { continue };
            let mut projects = projects_in(&text).unwrap_or_default();
            projects.retain(|project| *project != self.project);
            changed += 1;
            if !projects.is_empty() {
                let own =
                    [&b"at "[..], &quoted(if self.project.is_empty() { b"." } else { &self.project }), b" \"$@\""]
                        .concat();
                let left = text.lines_with_terminator().filter(|line| line.strip_suffix(b"\n") != Some(&own[..]));
                self.write(fs, &hook, &left.collect::<Vec<_>>().concat())?;
            } else if one.is_chained {
                fs.rename(&kept, &hook).map_err(io("rename", &kept))?;
            } else {
                fs.remove_file(&hook).map_err(io("remove", &hook))?;
            }
        }
        Ok(changed)
    }

    fn config(&self) -> PathBuf {
        self.common.join("config")
    }

    fn attributes(&self) -> PathBuf {
        self.common.join("info/attributes")
    }

    /// Whether Git merges `prov.lock` by prov's driver.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn has_driver(&self, fs: &Fs) -> Result<bool, Error> {
        let config = Self::read(fs, &self.config())?.unwrap_or_default();
        let attributes = Self::read(fs, &self.attributes())?.unwrap_or_default();
        Ok(config.lines().any(|line| line.trim() == header().as_bytes())
            && attributes.lines().any(|line| line == attribute().as_bytes()))
    }

    /// Has Git merge `prov.lock` by prov's driver, or no more. The settings of this repository say so, and its own attributes; no file of the
    /// work tree is touched.
    ///
    /// # Errors
    /// [`Error::Locked`]; what can't be read or written.
    pub fn set_driver(&self, fs: &Fs, program: Option<&Path>) -> Result<(), Error> {
        let section = program.map(|program| {
            // What a shell reads, in what Git reads.
            let word = quoted(&crate::path::bytes(program));
            let escaped = word.replace("\\", "\\\\").replace("\"", "\\\"");
            format!(
                "{}\n\tname = union of the outputs in prov.lock\n\tdriver = \"{} hooks merge-lock %O %A %B\"\n",
                header(),
                escaped.to_str_lossy()
            )
        });
        change(fs, &self.config(), &mut |text| {
            let mut kept = Vec::new();
            let mut is_inside = false;
            for line in text.lines_with_terminator() {
                if line.trim_start().starts_with(b"[") {
                    is_inside = line.trim() == header().as_bytes();
                }
                if !is_inside {
                    kept.extend_from_slice(line);
                }
            }
            if let Some(section) = &section {
                if !kept.is_empty() && !kept.ends_with(b"\n") {
                    kept.push(b'\n');
                }
                kept.extend_from_slice(section.as_bytes());
            }
            kept
        })?;
        let path = self.attributes();
        if let Some(info) = path.parent() {
            fs.make_dirs(info).map_err(io("create", info))?;
        }
        change(fs, &path, &mut |text| {
            let others = text.lines_with_terminator().filter(|line| line.trim() != attribute().as_bytes());
            let mut kept = others.collect::<Vec<_>>().concat();
            if section.is_some() {
                if !kept.is_empty() && !kept.ends_with(b"\n") {
                    kept.push(b'\n');
                }
                kept.extend_from_slice(format!("{}\n", attribute()).as_bytes());
            }
            kept
        })
    }
}

fn header() -> String {
    format!("[merge \"{DRIVER}\"]")
}

fn attribute() -> String {
    format!("prov.lock merge={DRIVER}")
}

/// Changes a file of Git's as Git does: under its lock, by a rename. One that would stay as it is isn't touched.
fn change(fs: &Fs, path: &Path, edit: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Result<(), Error> {
    // Settings may be a link to a file elsewhere.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut lock = path.clone().into_os_string();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    let mut output = fs.create_new(&lock, 0o666).map_err(|err| match err.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Locked { path: lock.clone() },
        _ => io("create", &lock)(err),
    })?;
    let done = (|| {
        let old = Hooks::read(fs, path)?;
        let new = edit(old.as_deref().unwrap_or_default());
        if new == old.unwrap_or_default() {
            return fs.remove_file(&lock).map_err(io("remove", &lock));
        }
        if let Some(stat) = fs.stat(path).map_err(io("read", path))? {
            output.set_mode(stat.mode & 0o777).map_err(io("write", &lock))?;
        }
        output.write_all(&new).and_then(|()| output.sync()).map_err(io("write", &lock))?;
        fs.rename(&lock, path).map_err(io("write", path))
    })();
    if done.is_err() {
        let _ = fs.remove_file(&lock);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_of_a_script_are_read_back() {
        let projects = [BString::default(), "it's a/b".into()];
        let text = script("post-commit", Path::new("/opt/it's/prov"), &projects);
        assert_eq!(projects_in(&text).unwrap(), projects);
        assert_eq!(projects_in(b"#!/bin/sh\nat 'x' \"$@\"\n"), None);
    }
}

//! The state of the Git repository around a project: recorded on runs, never a part of a recipe.
//!
//! Finding the repository and reading its head touches a handful of small files; whether anything differs from the
//! commit is another question, which looks at every tracked file. Only that and the author are read from the user's own Git
//! configuration, which Git's rules find by the environment, and what that says of line ends; finding the head reads the
//! repository alone.

pub mod commit;
pub mod hooks;
mod plain;

use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;

use self::plain::Plain;
use crate::fs::Fs;

/// The repository around a folder.
pub struct Repository {
    inner: gix::ThreadSafeRepository,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("git_dir", &self.git_dir()).finish()
    }
}

/// What there is around a folder.
#[derive(Debug)]
pub enum Discovery {
    /// A repository with a work tree.
    Found(Box<Repository>),
    /// None, or one without a work tree.
    Nothing,
    /// One that can't be read: to be told, and to go on without.
    Unreadable(String),
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit in hexadecimal; `None` before the first one.
    pub commit: Option<String>,
    /// The branch without `refs/heads/`; `None` if the head is detached.
    pub branch: Option<String>,
}

/// The own folder of the repository with a work tree around `folder`; what is wrong with one that is there but can't be used.
fn git_dir_around(folder: &Path) -> Result<Option<PathBuf>, String> {
    match gix::discover::upwards(folder) {
        Ok((gix::discover::repository::Path::Repository(_), _)) => Ok(None),
        Ok((path, _trust)) => Ok(Some(path.into_repository_and_work_tree_directories().0)),
        Err(err) => {
            // A `.git` that is there but no repository is worth a word; none at all is not.
            let beside = folder.ancestors().map(|above| above.join(".git")).find(|git| git.symlink_metadata().is_ok());
            beside.map_or(Ok(None), |git| Err(format!("{}: {err}", crate::path::show(&git))))
        }
    }
}

/// Finds the repository around `folder`, above it up to the root of its file system.
pub fn discover(folder: &Path) -> Discovery {
    let git_dir = match git_dir_around(folder) {
        Ok(Some(git_dir)) => git_dir,
        Ok(None) => return Discovery::Nothing,
        Err(why) => return Discovery::Unreadable(why),
    };
    // The system's and the user's configuration are not read: neither changes what is checked out.
    match gix::open::Options::isolated().open_path_as_is(true).open(git_dir.clone()) {
        Ok(inner) => Discovery::Found(Box::new(Repository { inner })),
        Err(err) => Discovery::Unreadable(format!("{}: {err}", crate::path::show(&git_dir))),
    }
}

/// What is checked out around `folder`, read from two small files where that is enough; `None` if there is no repository or it can't be read.
pub fn head(fs: &Fs, folder: &Path) -> Option<Head> {
    if let Some(plain) = Plain::around(fs, folder) {
        return Some(plain.head());
    }
    match discover(folder) {
        Discovery::Found(repository) => repository.head().ok(),
        Discovery::Nothing | Discovery::Unreadable(_) => None,
    }
}

/// What is checked out around `folder`, if a glance shows that nothing tracked differs from it: few files are tracked, and their states say so.
/// `None` says nothing.
pub fn clean_head(fs: &Fs, folder: &Path) -> Option<Head> {
    let plain = Plain::around(fs, folder)?;
    plain.is_small(fs).then_some(())?;
    plain.is_clean(fs)?;
    Some(plain.head())
}

impl Repository {
    /// The repository's own folder: `.git`, or that of a linked work tree.
    pub fn git_dir(&self) -> PathBuf {
        self.inner.to_thread_local().git_dir().to_owned()
    }

    /// What is checked out.
    ///
    /// # Errors
    /// What is wrong with the repository, in words.
    pub fn head(&self) -> Result<Head, String> {
        let repo = self.inner.to_thread_local();
        let mut head = repo.head().map_err(|err| err.to_string())?;
        let branch = head.referent_name().map(|name| name.shorten().to_str_lossy().into_owned());
        let commit = if head.is_unborn() {
            None
        } else {
            head.try_peel_to_id().map_err(|err| err.to_string())?.map(|id| id.to_string())
        };
        Ok(Head { commit, branch })
    }

    /// The id of the commit that a revision of Git's names, in hexadecimal; `None` if it names none.
    pub fn commit(&self, revision: &str) -> Option<String> {
        let repo = self.inner.to_thread_local();
        let object = repo.rev_parse_single(revision).ok()?.object().ok()?;
        object.peel_to_commit().ok().map(|commit| commit.id.to_string())
    }

    /// Whether tracked files differ from the index, or the index from the commit. Looks at every tracked file.
    ///
    /// # Errors
    /// What is wrong with the repository, in words.
    pub fn is_dirty(&self) -> Result<bool, String> {
        differs(self.git_dir())
    }
}

/// Whether tracked files differ from the index, or the index from the commit, in the repository around `folder`.
///
/// # Errors
/// What is wrong with the repository, in words; that there is none is an error too.
pub fn is_dirty(fs: &Fs, folder: &Path) -> Result<bool, String> {
    if Plain::around(fs, folder).is_some_and(|plain| plain.is_clean(fs).is_some()) {
        return Ok(false);
    }
    differs(git_dir_around(folder)?.ok_or("there is no repository")?)
}

fn differs(git_dir: PathBuf) -> Result<bool, String> {
    // The user's settings for line ends and filters decide what counts as a change.
    let repo = with_user_config(git_dir).map_err(|err| err.to_string())?;
    let by_states = || {
        let (index, tree) = (repo.open_index().ok()?, repo.head_tree_id().ok()?.detach());
        let (states, can) = (repo.stat_options().ok()?, repo.filesystem_options().ok()?);
        plain::is_unchanged(repo.workdir()?, &index, tree, states, can.symlink, can.executable_bit)
    };
    if by_states().is_some() {
        return Ok(false);
    }
    let mut changes = repo
        .status(gix::progress::Discard)
        .map_err(|err| err.to_string())?
        .untracked_files(gix::status::UntrackedFiles::None)
        .index_worktree_rewrites(None)
        .tree_index_track_renames(gix::status::tree_index::TrackRenames::Disabled)
        .into_iter(None)
        .map_err(|err| err.to_string())?;
    match changes.next() {
        None => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(err)) => Err(err.to_string()),
    }
}

fn with_user_config(git_dir: PathBuf) -> Result<gix::Repository, gix::Error> {
    gix::open_opts(git_dir, gix::open::Options::default().open_path_as_is(true))
}

/// Name and address of the author by Git's own configuration of the repository around `folder`, the user's included.
pub fn author(folder: &Path) -> (Option<String>, Option<String>) {
    let Ok(Some(git_dir)) = git_dir_around(folder) else { return (None, None) };
    let Ok(repo) = with_user_config(git_dir) else { return (None, None) };
    let config = repo.config_snapshot();
    let text = |key: &str| config.string(key).map(|v| v.to_str_lossy().trim().to_owned()).filter(|v| !v.is_empty());
    (text("author.name").or_else(|| text("user.name")), text("author.email").or_else(|| text("user.email")))
}

#[cfg(test)]
mod tests;

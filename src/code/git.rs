//! The state of the Git repository around a project: recorded on runs, never a part of a recipe.
//!
//! Finding the repository and reading its head touches a handful of small files; whether anything differs from the
//! commit is another question, which looks at every tracked file. Only that and the author are read from the user's own Git
//! configuration, which Git's rules find by the environment, and what that says of line ends; finding the head reads the
//! repository alone.

use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;

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

/// What is checked out around `folder`; `None` if there is no repository or it can't be read.
pub fn head(fs: &Fs, folder: &Path) -> Option<Head> {
    if let Some(head) = plain_head(fs, folder) {
        return Some(head);
    }
    match discover(folder) {
        Discovery::Found(repository) => repository.head().ok(),
        Discovery::Nothing | Discovery::Unreadable(_) => None,
    }
}

/// What is checked out, read from two small files in the most usual case: `.git` is a folder, and a branch with a file of its own is
/// checked out. Opening the repository costs ten times that.
fn plain_head(fs: &Fs, folder: &Path) -> Option<Head> {
    let device = fs.stat(folder).ok()??.dev;
    let mut git = None;
    for above in folder.ancestors() {
        let at = above.join(".git");
        if let Some(stat) = fs.lstat(&at).ok()? {
            git = (stat.is_folder() && stat.dev == device).then_some(at);
            break;
        }
    }
    let git = git?;
    let text = fs.read(&git.join("HEAD")).ok()??;
    let branch = text.strip_prefix(b"ref: refs/heads/")?.strip_suffix(b"\n")?;
    let is_plain = |name: &[u8]| !name.is_empty() && !name.starts_with(b".") && !name.ends_with(b".lock");
    if !branch.split(|&b| b == b'/').all(is_plain) || !branch.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let branch = std::str::from_utf8(branch).ok()?;
    let id = fs.read(&git.join("refs/heads").join(branch)).ok()??;
    let id = std::str::from_utf8(id.strip_suffix(b"\n")?).ok()?;
    // Another form is a ref to a ref, or something that only a look at all of the repository explains.
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| Head { commit: Some(id.to_owned()), branch: Some(branch.to_owned()) })
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
pub fn is_dirty(folder: &Path) -> Result<bool, String> {
    differs(git_dir_around(folder)?.ok_or("there is no repository")?)
}

fn differs(git_dir: PathBuf) -> Result<bool, String> {
    // The user's settings for line ends and filters decide what counts as a change.
    let repo = with_user_config(git_dir).map_err(|err| err.to_string())?;
    if is_plainly_clean(&repo).is_some() {
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

/// Tracked files up to which one thread that looks at their states alone is quicker than the many that a whole status takes.
const FEW_TRACKED: usize = 4_000;

/// `Some` if states alone prove that nothing differs: the index says that it holds the tree of the commit, and every file has the
/// state that the index knows, written clearly before the index. `None` says nothing.
fn is_plainly_clean(repo: &gix::Repository) -> Option<()> {
    use gix::index::entry::{Flags, Mode, Stage, Stat};
    let top = repo.workdir()?;
    let index = repo.open_index().ok()?;
    let tree = index.tree().filter(|tree| tree.num_entries.is_some())?;
    if index.entries().len() > FEW_TRACKED || tree.id != repo.head_tree_id().ok()?.detach() {
        return None;
    }
    let (states, can) = (repo.stat_options().ok()?, repo.filesystem_options().ok()?);
    let special = Flags::ASSUME_VALID | Flags::SKIP_WORKTREE | Flags::INTENT_TO_ADD;
    let mut folders: std::collections::HashSet<&[u8]> = std::collections::HashSet::new();
    for entry in index.entries() {
        let is_plain = matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE | Mode::SYMLINK);
        if !is_plain || entry.stage() != Stage::Unconflicted || entry.flags.intersects(special) {
            return None;
        }
        let path: &[u8] = entry.path(&index);
        // A folder that a link took the place of is a change, whatever the link leads to.
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if folders.insert(&path[..at])
                && !top.join(crate::path::from_bytes(&path[..at])).symlink_metadata().ok()?.is_dir()
            {
                return None;
            }
        }
        let found = gix::index::fs::Metadata::from_path_no_follow(&top.join(crate::path::from_bytes(path))).ok()?;
        let is_same = entry.mode.change_to_match_fs(&found, can.symlink, can.executable_bit).is_none()
            && entry.stat.matches(&Stat::from_fs(&found).ok()?, states)
            && !entry.stat.is_racy(index.timestamp(), states);
        if !is_same {
            return None;
        }
    }
    Some(())
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

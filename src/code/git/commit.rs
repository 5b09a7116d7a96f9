//! The files of one commit, read without a checkout.

use std::path::PathBuf;

use bstr::{BString, ByteSlice};
use gix::objs::tree::EntryKind;

use super::Repository;

/// A file as a commit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its bytes as Git keeps them: line ends and filters are not applied.
    pub bytes: Vec<u8>,
    /// Whether it may be executed.
    pub exec: bool,
}

/// A commit whose files can be read. Paths are relative to a folder of the work tree.
pub struct Commit {
    repo: gix::Repository,
    id: gix::ObjectId,
    tree: gix::ObjectId,
    below: PathBuf,
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commit").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Repository {
    /// The commit that a revision of Git's names, its paths seen from `folder` in the work tree; `None` if it names none.
    ///
    /// # Errors
    /// What is wrong with the repository, in words.
    pub fn files_of(&self, revision: &str, folder: &std::path::Path) -> Result<Option<Commit>, String> {
        let repo = self.inner.to_thread_local();
        let found = repo.rev_parse_single(revision).ok().and_then(|id| id.object().ok());
        let Some(commit) = found.and_then(|object| object.peel_to_commit().ok()) else { return Ok(None) };
        let (id, tree) = (commit.id, commit.tree_id().map_err(|err| err.to_string())?.detach());
        drop(commit);
        let top = repo.workdir().ok_or("there is no work tree")?;
        let real = |path: &std::path::Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let below = real(folder)
            .strip_prefix(real(top))
            .map_err(|_| "the project lies outside of the work tree".to_owned())?
            .to_owned();
        Ok(Some(Commit { repo, id, tree, below }))
    }

    /// The folder that the work tree begins with.
    pub fn top(&self) -> Option<PathBuf> {
        self.inner.to_thread_local().workdir().map(std::path::Path::to_owned)
    }
}

impl Commit {
    /// Its id in hexadecimal.
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// The ids of the commits before it, in hexadecimal.
    ///
    /// # Errors
    /// What is wrong with the repository, in words.
    pub fn parents(&self) -> Result<Vec<String>, String> {
        let commit = self.repo.find_commit(self.id).map_err(|err| err.to_string())?;
        Ok(commit.parent_ids().map(|id| id.to_string()).collect())
    }

    /// When it was made: seconds since 1970.
    ///
    /// # Errors
    /// What is wrong with the repository, in words.
    pub fn time(&self) -> Result<i64, String> {
        let commit = self.repo.find_commit(self.id).map_err(|err| err.to_string())?;
        Ok(commit.time().map_err(|err| err.to_string())?.seconds)
    }

    fn entry(&self, path: &[u8]) -> Result<Option<gix::object::tree::Entry<'_>>, String> {
        let mut full = crate::path::bytes(&self.below);
        if !full.is_empty() {
            full.push(b'/');
        }
        full.extend_from_slice(path);
        let tree = self.repo.find_tree(self.tree).map_err(|err| err.to_string())?;
        tree.lookup_entry(full.split_str("/").map(BString::from)).map_err(|err| err.to_string())
    }

    /// A file of it; `None` for what it has not, and for what is no plain file.
    ///
    /// # Errors
    /// What is wrong with the repository, in words.
    pub fn file(&self, path: &[u8]) -> Result<Option<Committed>, String> {
        let Some(entry) = self.entry(path)? else { return Ok(None) };
        let exec = match entry.mode().kind() {
            EntryKind::Blob => false,
            EntryKind::BlobExecutable => true,
            _ => return Ok(None),
        };
        let mut object = entry.object().map_err(|err| err.to_string())?;
        Ok(Some(Committed { bytes: std::mem::take(&mut object.data), exec }))
    }

    /// Whether it has something of that name, of whatever kind.
    ///
    /// # Errors
    /// What is wrong with the repository, in words.
    pub fn has(&self, path: &[u8]) -> Result<bool, String> {
        Ok(self.entry(path)?.is_some())
    }
}

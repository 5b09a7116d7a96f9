//! What one command of prov knows and looks at only once: the stat cache and the list of the project's files.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::fs::Stat;
use crate::path::{Place, RelPath};
use crate::progress::{Cancel, Progress, Silent};
use crate::repo::Repo;
use crate::worktree::stat_cache::Forget;
use crate::worktree::{self, Rules, ScanOptions, StatCache, Worktree};

/// A repo, its stat cache, and where the user stands.
#[derive(Debug)]
pub struct Session<'a> {
    /// The project.
    pub repo: &'a Repo,
    /// The folder that relative paths are relative to, absolute.
    pub cwd: PathBuf,
    cache: StatCache,
    progress: &'a dyn Progress,
    cancel: Cancel,
    files: OnceLock<Vec<(RelPath, Stat)>>,
}

impl<'a> Session<'a> {
    /// A session of a user who stands in `cwd`.
    pub fn new(repo: &'a Repo, cwd: PathBuf) -> Self {
        Self::with_progress(repo, cwd, &Silent)
    }

    /// A session that tells how far long work is.
    pub fn with_progress(repo: &'a Repo, cwd: PathBuf, progress: &'a dyn Progress) -> Self {
        let cache = StatCache::open(&repo.stat_cache());
        Self { repo, cwd, cache, progress, cancel: Cancel::new(), files: OnceLock::new() }
    }

    /// What work on files needs.
    pub fn worktree(&self) -> Worktree<'_> {
        Worktree {
            fs: self.repo.fs(),
            root: self.repo.root(),
            clock: &*self.repo.world().clock,
            cache: &self.cache,
            progress: self.progress,
            cancel: &self.cancel,
        }
    }

    /// Where a path that the user typed lies.
    pub fn locate(&self, path: &[u8]) -> Place {
        crate::path::locate(self.repo.root(), &self.cwd, &crate::path::from_bytes(path))
    }

    /// The project's files that no ignore rule leaves out. Listed once.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn files(&self) -> Result<&[(RelPath, Stat)], worktree::Error> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let files = self.list_files()?;
        Ok(self.files.get_or_init(|| files))
    }

    /// As [`Session::files`], but listed anew.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn list_files(&self) -> Result<Vec<(RelPath, Stat)>, worktree::Error> {
        let rules = Rules::open(self.repo.fs(), self.repo.root(), None)?;
        let options = ScanOptions { rules: Some(rules), ..ScanOptions::default() };
        let scan = worktree::scan(self.repo.fs(), self.repo.root(), &options, &self.cancel)?;
        Ok(scan.paths())
    }

    /// Remembers what was hashed. Failing to costs time later, nothing else.
    pub fn save(&self) {
        let _ = self.cache.save(self.repo.fs(), Forget::Nothing);
    }
}

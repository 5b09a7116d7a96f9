//! Where things lie in `.prov`.

use std::path::{Path, PathBuf};

/// The name of the folder beside a project's files.
pub const DOT: &str = ".prov";

/// The paths inside one `.prov` folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    dot: PathBuf,
}

impl Layout {
    /// The layout of the folder `dot`.
    pub fn new(dot: PathBuf) -> Self {
        Self { dot }
    }

    /// The folder itself.
    pub fn dot(&self) -> &Path {
        &self.dot
    }

    /// The store that belongs to this project alone.
    pub fn store(&self) -> PathBuf {
        self.dot.join("store")
    }

    /// Settings of this checkout, not meant for Git.
    pub fn config(&self) -> PathBuf {
        self.dot.join("config.toml")
    }

    /// The current scenario's name.
    pub fn head(&self) -> PathBuf {
        self.dot.join("HEAD")
    }

    /// This checkout's id.
    pub fn workspace(&self) -> PathBuf {
        self.dot.join("workspace")
    }

    /// Runs that are under way, and finished ones that wait to be published.
    pub fn live(&self) -> PathBuf {
        self.dot.join("live")
    }

    /// The folders that prov makes for commands, as the last run of each step left it.
    pub fn outputs(&self) -> PathBuf {
        self.dot.join("outputs")
    }

    /// The user's own programs that are told of runs.
    pub fn hooks(&self) -> PathBuf {
        self.dot.join("hooks")
    }

    /// What can be deleted and is made again.
    pub fn cache(&self) -> PathBuf {
        self.dot.join("cache")
    }

    /// What keeps Git from looking in here.
    pub fn gitignore(&self) -> PathBuf {
        self.dot.join(".gitignore")
    }
}

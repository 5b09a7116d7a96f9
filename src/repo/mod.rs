//! A project with its store: the handle that every operation takes.

pub mod entry;
mod layout;
mod mounts;
mod open;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use layout::{DOT, Layout};
pub use mounts::{MountError, split_name};
pub(crate) use open::quoted;
pub use open::{Error, Found, Identity, InitOptions, Places, find, open_store, settings_files, store_of};

use crate::clock::{Clock, Micros, Random};
use crate::config::Settings;
use crate::fs::Fs;
use crate::store::Store;

/// What prov needs of the machine and the user, handed in once by whoever opens a project.
#[derive(Debug, Clone)]
pub struct World {
    /// Files.
    pub fs: Fs,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The machine's name.
    pub host: String,
    /// This process, by which others can tell whether it still lives.
    pub process: crate::host::This,
    /// Who works here, `Name <mail>`, if known.
    pub author: Option<String>,
}

impl World {
    /// The real machine.
    pub fn real(author: Option<String>) -> Self {
        Self {
            fs: Fs::real(),
            clock: Arc::new(crate::clock::SystemClock),
            random: Arc::new(crate::clock::SystemRandom),
            host: crate::host::host_name(),
            process: crate::host::This::default(),
            author,
        }
    }
}

impl World {
    /// What the store is told of it.
    pub fn for_store(&self) -> crate::store::World {
        crate::store::World {
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            host: self.host.clone(),
            author: self.author.clone().unwrap_or_default(),
        }
    }
}

/// An open project. Operations are functions that take it; it only knows where things are.
#[derive(Debug)]
pub struct Repo {
    root: PathBuf,
    layout: Layout,
    world: World,
    store: Store,
    settings: Settings,
    project: String,
    workspace: String,
    scenario: String,
}

impl Repo {
    /// The project's folder, absolute, links resolved.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where things lie in `.prov`.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The machine and the user.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The file system.
    pub fn fs(&self) -> &Fs {
        &self.world.fs
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the project's and the user's settings files say.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// This checkout's id.
    pub fn workspace(&self) -> &str {
        &self.workspace
    }

    /// The same project, seen from another scenario.
    #[must_use]
    pub fn in_scenario(mut self, name: String) -> Self {
        self.scenario = name;
        self
    }

    /// The scenario that was current when the project was opened. A running command keeps it.
    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// The time.
    pub fn now(&self) -> Micros {
        self.world.clock.now()
    }

    /// A new operation id.
    pub fn new_op(&self) -> crate::store::OpId {
        crate::store::OpId::new(&*self.world.random)
    }

    /// The stat cache's place.
    pub fn stat_cache(&self) -> PathBuf {
        self.layout.cache().join("stat")
    }

    /// Where files lie that others may share.
    pub fn shelf(&self) -> PathBuf {
        self.layout.cache().join("files")
    }

    /// Where it is remembered which folders the store was seen to have whole.
    pub fn whole_cache(&self) -> PathBuf {
        self.layout.cache().join("whole")
    }
}

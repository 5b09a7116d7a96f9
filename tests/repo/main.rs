//! The library as its users have it: projects in temporary folders, real commands, real stores.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests stop at the first surprise, and make the files they work on"
)]

mod crash;
mod evict;
mod formats;
mod hostile;
#[cfg(feature = "index")]
mod lineage;
mod many;
mod restoring;
mod shared_code;
mod sync;
mod unfinished;
mod workflow;
mod wrong_hits;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use prov::repo::{InitOptions, Places, Repo, World};
use prov::run::observer::Unheard;
use prov::run::{Performed, Request, Session, Surroundings, perform};

/// A project in a folder of its own.
pub(crate) struct Project {
    _dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("project");
        Repo::init(&root, &InitOptions::default(), &Places::default(), World::real(None)).unwrap();
        Self { _dir: dir, root }
    }

    pub(crate) fn open(&self) -> Repo {
        self.open_in(World::real(None))
    }

    pub(crate) fn open_in(&self, world: World) -> Repo {
        Repo::open(&self.root, &Places::default(), world).unwrap()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }

    pub(crate) fn run(&self, request: &Request) -> Performed {
        let repo = self.open();
        run_in(&repo, &self.root, request).unwrap()
    }
}

pub(crate) fn environment() -> BTreeMap<OsString, OsString> {
    BTreeMap::from([("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())])
}

pub(crate) fn run_in(repo: &Repo, cwd: &Path, request: &Request) -> Result<Performed, prov::run::Error> {
    let session = Session::new(repo, cwd.to_owned());
    let environment = environment();
    perform(&session, request, Surroundings { environment: &environment, observer: &mut Unheard, interrupts: None })
}

/// The run ids that a log shows, newest first.
pub(crate) fn listed(repo: &Repo, snapshot: &prov::store::Snapshot, options: &prov::query::LogOptions) -> Vec<String> {
    let mut runs = Vec::new();
    let mut take = |logged: prov::query::Logged| {
        runs.push(logged.run);
        std::ops::ControlFlow::Continue(())
    };
    prov::query::log(repo, snapshot, options, &mut take).unwrap();
    runs
}

/// Everything on record, checked.
pub(crate) fn assert_sound(repo: &Repo) {
    let report = prov::maintain::fsck(repo, None, &prov::progress::Silent, &prov::progress::Cancel::new());
    let errors: Vec<_> = report.findings.iter().filter(|f| f.severity == prov::store::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

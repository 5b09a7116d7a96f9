//! A folder to perform tasks in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::codec::Value;
use crate::config::located::{Dialect, Node};
use crate::fs::Fs;
use crate::pipeline::file::Flavour;
use crate::pipeline::perform::*;
use crate::pipeline::plan::{Kind, Roots};
use crate::pipeline::task::Builtin;
use crate::pipeline::template::Scratchpad;

pub(crate) struct Bench {
    root: TempDir,
    pub(crate) release: Option<String>,
    pub(crate) flavour: Flavour,
    pub(crate) frozen: Option<Choice>,
    pub(crate) abort: Abort,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Fs::real().make_dirs(&root.path().join("work")).unwrap();
        Self { root, release: None, flavour: Flavour::Otter, frozen: None, abort: Abort::new() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn file(&self, path: &str, bytes: &[u8], seconds: i64) -> String {
        let path = self.path(path);
        let fs = Fs::real();
        fs.make_dirs(path.parent().unwrap()).unwrap();
        let mut out = fs.create(&path, 0o644).unwrap();
        std::io::Write::write_all(&mut out, bytes).unwrap();
        out.set_modified(seconds * 1_000_000_000).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        Fs::real().read(&self.path(path)).unwrap()
    }

    pub(crate) fn job(&self, phase: Phase, spec: &str) -> Job {
        let spec = spec.replace("ROOT", self.root.path().to_str().unwrap());
        let located = crate::config::locate(Path::new("x.yaml"), Dialect::Core, spec.as_bytes()).unwrap();
        let spec = located.root.unwrap();
        let name = spec.get("name").and_then(Node::as_text).unwrap().to_owned();
        Job {
            phase,
            step: "s".to_owned(),
            task_type: name.split(' ').next().unwrap().to_owned(),
            name,
            flavour: self.flavour,
            spec,
            scratchpad: Scratchpad::default(),
            config: Value::Map(vec![("pool_size".to_owned(), Value::Int(5))]),
            roots: Roots {
                release_uri: self.release.clone(),
                work_path: self.path("work").to_str().unwrap().to_owned(),
            },
            sources: Vec::new(),
            destinations: Vec::new(),
            fetched: BTreeMap::new(),
            frozen: self.frozen.clone(),
            cwd: self.path("work"),
            env: BTreeMap::new(),
            timeout: None,
            folder: self.path("own"),
        }
    }

    pub(crate) fn perform(&self, phase: Phase, spec: &str) -> (Result<Done, Failure>, Vec<Said>) {
        let job = self.job(phase, spec);
        let kind = Kind::Builtin(Builtin::of(&job.task_type).unwrap());
        let kind = Registry::new(World::local()).kind(&kind).unwrap();
        let said = Mutex::new(Vec::new());
        let ended = kind.perform(&job, &|one| said.lock().unwrap().push(one), &self.abort);
        (ended, said.into_inner().unwrap())
    }

    pub(crate) fn run(&self, spec: &str) -> Vec<Said> {
        let (ended, said) = self.perform(Phase::Run, spec);
        ended.unwrap();
        said
    }

    pub(crate) fn refused(&self, phase: Phase, spec: &str) -> String {
        self.perform(phase, spec).0.unwrap_err().reason()
    }
}

pub(crate) fn artifacts(said: &[Said]) -> Vec<Artifact> {
    said.iter().filter_map(|one| if let Said::Artifact(one) = one { Some(one.clone()) } else { None }).collect()
}

//! Bundles: a store in one file, with a part of a history and everything that it needs.
//!
//! A bundle is made by a push into a store of its own, whose files are then put one after another (`archive`), and read as a place of a store
//! that can't be written (`place`). So nothing of it is believed that would not be believed of a remote: an import is a fetch.

mod archive;
mod place;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::heads::{Reader, Selection, projects};
use super::transfer::{Moved, Transfer};
use super::walk::Depth;
use crate::hash::hex;
use crate::maintain::roots::all_targets;
use crate::progress::{Cancel, Progress};
use crate::repo::{Repo, World};
use crate::store::{self, Folder, LocalBackend, MemoryBackend, Report, Snapshot, Store, check};

pub(super) use place::BundlePlace;

/// What was put into a bundle.
#[derive(Debug, Clone)]
pub struct Created {
    /// What went into it.
    pub moved: Moved,
    /// Bytes of the file.
    pub size: u64,
}

/// What a bundle holds, all of it checked.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What would be fetched from it into an empty store.
    pub moved: Moved,
    /// The projects that it has runs of.
    pub projects: Vec<String>,
    /// What was found damaged, and how much was looked at.
    pub report: Report,
}

/// Choices of [`create`].
#[derive(Debug)]
pub struct Options<'a> {
    /// What goes into it.
    pub selection: Selection,
    /// Whether content goes into it.
    pub depth: Depth,
    /// Hears how far it has come.
    pub progress: &'a dyn Progress,
    /// Raised to stop.
    pub cancel: &'a Cancel,
}

/// A transfer that meets the other store for the first time, and the last.
fn once<'a>(from: &'a Snapshot, to: &'a Store, project: &'a str, options: &Options<'a>, is_dry: bool) -> Transfer<'a> {
    Transfer {
        from,
        to,
        project,
        remote: "bundle",
        command: "bundle",
        depth: options.depth,
        is_push: !is_dry,
        is_dry,
        takes_scrubs: false,
        at_once: super::AT_ONCE,
        seen_scenarios: std::collections::BTreeMap::new(),
        seen_tags: std::collections::BTreeMap::new(),
        progress: options.progress,
        cancel: options.cancel,
    }
}

/// Removes a folder when it is done with.
struct Scratch<'a> {
    repo: &'a Repo,
    path: PathBuf,
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What can't be removed lies in the project's cache.
        let _ = self.repo.fs().remove_tree(&self.path);
    }
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> Error + use<'a> {
    move |source| Error::Io { doing, path: path.to_owned(), source }
}

/// Writes a part of the history with everything it needs to `path`, where nothing may lie. The file appears whole or not at all.
///
/// # Errors
/// When something can't be read or written, or the selection names nothing; nothing is left then.
pub fn create(repo: &Repo, path: &Path, options: &Options<'_>) -> Result<Created, Error> {
    let fs = repo.fs();
    if fs.lstat(path).map_err(failed("look at", path))?.is_some() {
        return Err(failed("create", path)(std::io::ErrorKind::AlreadyExists.into()));
    }
    let mut random = [0; 8];
    repo.world().random.fill(&mut random);
    let unique = hex(&random);
    let scratch = Scratch { repo, path: repo.layout().cache().join(format!("bundle-{unique}")) };
    fs.make_dirs(&scratch.path).map_err(failed("create", &scratch.path))?;
    let backend = Arc::new(LocalBackend::new(fs.clone(), &scratch.path));
    let store = Store::create(backend, &repo.world().for_store())?;
    let from = repo.store().snapshot()?;
    let to = store.snapshot()?;
    let reader = Reader { from: &from, to: &to, project: repo.project() };
    let heads = if options.selection.is_all() { reader.all(None, true) } else { reader.selected(&options.selection) }?;
    let moved = once(&from, &store, repo.project(), options, false).run(&heads)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{unique}.part"));
    let beside = path.with_file_name(name);
    let written = archive::write(fs, &scratch.path, repo.now(), &beside);
    let named = written.and_then(|size| fs.rename_no_replace(&beside, path).map(|()| size));
    match named {
        Ok(size) => Ok(Created { moved, size }),
        Err(err) => {
            let _ = fs.remove_file(&beside);
            Err(failed("write", path)(err))
        }
    }
}

/// Checks every byte of the bundle at `path`, every record, and everything that they lead to.
///
/// # Errors
/// When it is no bundle, or a record in it breaks a rule or leads to nothing.
pub fn verify(world: &World, path: &Path, progress: &dyn Progress, cancel: &Cancel) -> Result<Verified, Error> {
    let backend = BundlePlace::open(&world.fs, path)?;
    let place = crate::path::show(path);
    let far = Store::open(Arc::new(backend), &world.for_store()).map_err(Error::at(&place))?;
    let checked = check::Options::default().with_targets(&all_targets);
    let is_marked = |_: &crate::hash::Id| true;
    let checked = check::Options { is_marked: Some(&is_marked), cancel: Some(cancel), ..checked };
    let report = store::check(&far, progress, &checked);
    let from = far.snapshot().map_err(Error::at(&place))?;
    let nothing = Store::create(Arc::new(MemoryBackend::new()), &world.for_store())?;
    let to = nothing.snapshot()?;
    let projects = projects(&from)?;
    let mut moved = Moved::default();
    for project in &projects {
        let options = Options { selection: Selection::default(), depth: Depth::Content, progress, cancel };
        let heads = Reader { from: &from, to: &to, project }.all(None, true)?;
        let here = once(&from, &nothing, project, &options, true).run(&heads)?;
        moved.runs += here.runs;
        moved.objects += here.objects;
        moved.bytes += here.bytes;
        moved.absent += here.absent;
        moved.scenarios += here.scenarios;
        moved.tags += here.tags;
        moved.marks += here.marks;
    }
    Ok(Verified { moved, projects, report })
}

/// The folders of a store whose files go into a bundle.
const FOLDERS: [Folder; 4] = [Folder::Log, Folder::Tables, Folder::History, Folder::Packs];

//! What belongs to a commit of Git's: the outputs that its `prov.lock` names, else those of the runs that its code makes.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use bstr::{BString, ByteSlice};

use super::{Error, LogOptions, log};
use crate::clock::Micros;
use crate::code::git::commit::Commit;
use crate::codec::{self, Value};
use crate::config::{self, Format, Override};
use crate::hash::{self, Id};
use crate::object::config::Config;
use crate::object::recipe::{Content, FileSet, Recipe};
use crate::object::run::{Cache, Member, Output, Run, Status};
use crate::object::tree::{self, EntryKind};
use crate::object::{Record, RunRecord, Source};
use crate::path::Place;
use crate::repo::Repo;
use crate::revspec::RunRef;
use crate::run::Request;
use crate::run::lockfile::{self, Line, Lock};
use crate::store::Snapshot;

/// Runs that are looked at, the newest first.
const LOOKED_AT: usize = 5_000;

/// Entries of a folder that are compared with the commit.
const ENTRIES: usize = 100_000;

/// How a run belongs to a commit, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It was made while this commit was checked out, and nothing differed from it.
    Recorded,
    /// The commit has the code that it ran with, and the tracked files that it read; it was checked out then.
    Code,
    /// The same, made before it was committed.
    Before,
    /// The same, made at some other commit.
    Same,
}

/// A run that belongs to a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Belonging {
    /// The run.
    pub at: RunRef,
    /// Its step.
    pub step: String,
    /// How it belongs.
    pub how: How,
    /// Its outputs.
    pub outputs: BTreeMap<String, Output>,
}

/// The outputs that belong to a commit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OfCommit {
    /// The commit.
    pub commit: String,
    /// Whether its `prov.lock` says so.
    pub is_locked: bool,
    /// The outputs, by names that tell them apart: what is at each place.
    pub outputs: BTreeMap<String, Output>,
}

fn git(what: String) -> Error {
    Error::Git { what }
}

/// What the commit says of files that a run knew.
struct Judge<'a> {
    snapshot: &'a Snapshot,
    commit: &'a Commit,
    files: HashMap<BString, Option<Id>>,
    codes: HashMap<Id, bool>,
}

impl Judge<'_> {
    /// The content of a file of the commit.
    fn file(&mut self, path: &[u8]) -> Result<Option<Id>, Error> {
        if let Some(known) = self.files.get(path.as_bstr()) {
            return Ok(*known);
        }
        let id = self.commit.file(path).map_err(git)?.map(|file| hash::blob(&file.bytes));
        self.files.insert(path.into(), id);
        Ok(id)
    }

    /// Whether the files of a recorded folder are those of the commit; ones that it has not are a difference, or say nothing.
    fn is_tree(&mut self, root: Id, below: &[u8], are_all: bool) -> Result<bool, Error> {
        let mut todo = vec![(BString::from(below), root)];
        let mut seen = 0;
        while let Some((above, id)) = todo.pop() {
            let listed = tree::list(id, &mut |id| match self.snapshot.read(id) {
                Ok(Some((_, bytes))) => Ok(bytes),
                Ok(None) => Err(None),
                Err(err) => Err(Some(err)),
            });
            let entries = match listed {
                Ok(entries) => entries,
                // What can't be compared can't be said to be the same.
                Err(tree::ListError::Read(None)) => return Ok(false),
                Err(tree::ListError::Read(Some(err))) => return Err(err.into()),
                Err(tree::ListError::Object(err)) => return Err(err.into()),
            };
            for entry in entries {
                seen += 1;
                if seen > ENTRIES {
                    return Ok(false);
                }
                let mut path = above.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(&entry.name);
                match entry.kind {
                    EntryKind::Tree => todo.push((path, entry.id)),
                    EntryKind::Link => {}
                    EntryKind::File | EntryKind::Exec => match self.file(&path)? {
                        Some(id) if id == entry.id => {}
                        None if !are_all => {}
                        _ => return Ok(false),
                    },
                }
            }
        }
        Ok(true)
    }

    fn is_code(&mut self, root: Id) -> Result<bool, Error> {
        if let Some(known) = self.codes.get(&root) {
            return Ok(*known);
        }
        let is_it = self.is_tree(root, b"", true)?;
        self.codes.insert(root, is_it);
        Ok(is_it)
    }

    /// Whether the commit has all of the code that a run ran with, and of what else it read what the commit has is the same.
    fn has(&mut self, repo: &Repo, run: &Run) -> Result<bool, Error> {
        let Some(recipe) = run.recipe else { return Ok(false) };
        let Some((_, bytes)) = self.snapshot.read(&recipe)? else { return Ok(false) };
        let recipe = Recipe::decode(&bytes)?;
        if let Some(root) = recipe.code.tree
            && !self.is_code(root)?
        {
            return Ok(false);
        }
        if let Some((path, id)) = &recipe.code.program
            && self.file(path)?.is_some_and(|found| found != *id)
        {
            return Ok(false);
        }
        for input in run.inputs.values() {
            let Ok(Place::Inside(path)) = repo.place_of(repo.root(), &input.path) else { continue };
            let is_same = match &input.content {
                Content::Blob(id) => self.file(path.as_bytes())?.is_none_or(|found| found == *id),
                Content::Tree(id) if !crate::code::is_glob(&input.path) => self.is_tree(*id, path.as_bytes(), false)?,
                _ => true,
            };
            if !is_same {
                return Ok(false);
            }
        }
        self.has_config(run, &recipe)
    }

    /// Whether the files of parameters that the commit has say what the run was given. What can't be told from them says nothing.
    fn has_config(&mut self, run: &Run, recipe: &Recipe) -> Result<bool, Error> {
        let mut asked = run.meta.get("request").cloned();
        if let (None, Cache::Hit { object, .. }) = (&asked, &run.cache)
            && let Some((_, bytes)) = self.snapshot.read(object)?
        {
            asked = RunRecord::decode(&bytes)?.into_head().meta.remove("request");
        }
        let request: Option<Request> = asked.and_then(|value| codec::from_value(&value).ok());
        let Some(request) = request.filter(|request| !request.config_files.is_empty()) else { return Ok(true) };
        let mut value = Value::Map(Vec::new());
        for file in &request.config_files {
            let below = crate::path::from_bytes(&request.cwd).join(crate::path::from_bytes(file));
            let path = crate::path::normal(&std::path::Path::new("/").join(below));
            let path = crate::path::bytes(path.strip_prefix("/").unwrap_or(&path));
            let format = Format::of(&crate::path::from_bytes(&path));
            let (Some(found), Some(format)) = (self.commit.file(&path).map_err(git)?, format) else { return Ok(true) };
            let Ok(layer) = config::parse(&crate::path::from_bytes(&path), format, &found.bytes) else {
                return Ok(false);
            };
            value = config::merge(value, layer);
        }
        for set in &request.sets {
            let Ok(()) = Override::parse(set).and_then(|set| set.apply(&mut value)) else { return Ok(true) };
        }
        let Some(config) = recipe.config else { return Ok(true) };
        let Some((_, bytes)) = self.snapshot.read(&config)? else { return Ok(true) };
        let recorded = Config::decode(&bytes)?.0;
        Ok(Config(value).encode().ok() == Config(recorded).encode().ok())
    }

    fn how(&mut self, repo: &Repo, run: &Run, parents: &[String]) -> Result<Option<How>, Error> {
        let id = self.commit.id();
        let at = run.git.as_ref().and_then(|git| git.commit.as_ref());
        let is_here = at == Some(&id);
        if is_here && run.git.as_ref().is_some_and(|git| git.dirty == Some(false)) {
            return Ok(Some(How::Recorded));
        }
        if !self.has(repo, run)? {
            return Ok(None);
        }
        let is_before = match at {
            Some(at) => parents.contains(at),
            None => parents.is_empty(),
        };
        Ok(Some(if is_here {
            How::Code
        } else if is_before {
            How::Before
        } else {
            How::Same
        }))
    }
}

/// The successful runs of the current scenario that belong to a commit, newest first, one after the other to `each` until that breaks. With
/// `since`, only those that began then or later.
///
/// # Errors
/// When the store or the repository can't be read.
pub fn runs_of_commit(
    repo: &Repo,
    snapshot: &Snapshot,
    commit: &Commit,
    since: Option<Micros>,
    each: &mut dyn FnMut(Belonging) -> ControlFlow<()>,
) -> Result<(), Error> {
    let parents = commit.parents().map_err(git)?;
    let mut judge = Judge { snapshot, commit, files: HashMap::new(), codes: HashMap::new() };
    let options = LogOptions {
        hits: true,
        since,
        statuses: vec![Status::Success],
        limit: Some(LOOKED_AT),
        ..LogOptions::default()
    };
    let mut failed = None;
    log(repo, snapshot, &options, &mut |logged| {
        if logged.is_retracted || logged.is_hidden {
            return ControlFlow::Continue(());
        }
        let mut look = || -> Result<Option<Belonging>, Error> {
            let Some((_, bytes)) = snapshot.read(&logged.line.object)? else { return Ok(None) };
            let run = RunRecord::decode(&bytes)?.whole::<Error>(snapshot)?;
            let Some(how) = judge.how(repo, &run, &parents)? else { return Ok(None) };
            let at = RunRef { run: run.run, object: logged.line.object, project: run.project, scenario: run.scenario };
            Ok(Some(Belonging { at, step: run.step, how, outputs: run.outputs }))
        };
        match look() {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(found)) => each(found),
            Err(err) => {
                failed = Some(err);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// The outputs that belong to a commit: those that its `prov.lock` names, else of each place what the run that belongs to it most surely made
/// there, the newest of several.
///
/// # Errors
/// When the store or the repository can't be read, or the lock not be understood.
pub fn of_commit(repo: &Repo, snapshot: &Snapshot, commit: &Commit) -> Result<OfCommit, Error> {
    let mut found = OfCommit { commit: commit.id(), ..OfCommit::default() };
    if let Some(file) = commit.file(lockfile::NAME.as_bytes()).map_err(git)? {
        let lock = Lock::parse(&file.bytes).map_err(|source| Error::Lock { commit: commit.id(), source })?;
        found.is_locked = true;
        for (spot, line) in lock.lines {
            let (mut name, mut set, mut members) = (crate::path::shown(&spot.path), None, BTreeMap::new());
            // One whose list is not here is missing as a whole.
            if let Some(key) = spot.set.filter(|_| snapshot.header(&line.content.id()).is_ok_and(|it| it.is_some())) {
                name = format!("{name}:{key}");
                set = Some(FileSet { changed: true, ..FileSet::default() });
                members = members_of(snapshot, line.content.id())?;
            }
            let Line { content, exec, size } = line;
            let path = if spot.path == "." { BString::default() } else { spot.path };
            found.outputs.insert(name, Output { set, members, ..plain(content, path, size, exec) });
        }
        return Ok(found);
    }
    let mut best: BTreeMap<String, How> = BTreeMap::new();
    runs_of_commit(repo, snapshot, commit, None, &mut |run| {
        for (key, output) in run.outputs {
            let is_inside = matches!(repo.place_of(repo.root(), &output.path), Ok(Place::Inside(_)));
            if key == crate::run::MANAGED_KEY || !is_inside || !output.stored {
                continue;
            }
            let shown = crate::path::shown(&output.path);
            let name = if output.set.is_some() { format!("{shown}:{key}") } else { shown };
            if best.get(&name).is_none_or(|how| run.how < *how) {
                best.insert(name.clone(), run.how);
                found.outputs.insert(name, output);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn plain(content: Content, path: BString, size: u64, exec: bool) -> Output {
    Output {
        content,
        path,
        size,
        exec,
        stored: true,
        format: None,
        facets: BTreeMap::new(),
        schema: None,
        set: None,
        members: BTreeMap::new(),
        meta: BTreeMap::new(),
    }
}

/// The files of a set; what can't be read of it is left out, and missing then.
fn members_of(snapshot: &Snapshot, root: Id) -> Result<BTreeMap<BString, Member>, Error> {
    let mut members = BTreeMap::new();
    let mut todo = vec![(BString::default(), root)];
    while let Some((above, id)) = todo.pop() {
        let listed = tree::list(id, &mut |id| match snapshot.read(id)? {
            Some((_, bytes)) => Ok(bytes),
            None => Err(crate::object::AccessError::Changed),
        });
        let entries = match listed {
            Ok(entries) => entries,
            Err(tree::ListError::Read(err)) => return Err(err.into()),
            Err(tree::ListError::Object(err)) => return Err(err.into()),
        };
        for entry in entries {
            let mut path = above.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&entry.name);
            match entry.kind {
                EntryKind::Tree => todo.push((path, entry.id)),
                kind => {
                    let exec = kind == EntryKind::Exec;
                    members.insert(path, Member { id: entry.id, exec, size: entry.size, facets: BTreeMap::new() });
                }
            }
        }
    }
    Ok(members)
}

//! Records made by hand: files that are there already.

use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::{BStr, BString};

use super::session::Session;
use super::{Error, name, record, whole};
use crate::hash::Id;
use crate::journal::{Change, Line};
use crate::object::recipe::Content;
use crate::object::run::{Cache, Output, Run, RunKind, Status};
use crate::object::{Kind, Sink, Source, id_of};
use crate::path::Place;
use crate::recipe::{Declared, Role};
use crate::refs::key;
use crate::repo::entry::{self, Staged};
use crate::store::{self, Direction, Draft, Ground, RefEdit, Snapshot};
use crate::worktree::{self, Captured, Earlier};

/// What was done about one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemAction {
    /// Its bytes went to the store.
    Stored,
    /// The store had them.
    Known,
}

/// One path that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where, as records have it.
    pub path: BString,
    /// What it holds.
    pub content: Content,
    /// Its bytes.
    pub size: u64,
    /// Files in it.
    pub files: u64,
    /// What was done about it.
    pub action: ItemAction,
}

/// What was staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staging {
    /// Every path that was given.
    pub items: Vec<Item>,
}

/// What is said of a commit.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// What it is, in a sentence.
    pub message: String,
    /// A name for the run.
    pub run_name: Option<String>,
    /// Labels.
    pub tags: std::collections::BTreeSet<String>,
    /// The scenario; `None` for the current one.
    pub scenario: Option<String>,
    /// The step's name; `None` for `commit`.
    pub step: Option<String>,
    /// Nothing is changed.
    pub dry_run: bool,
}

/// A record made by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The record.
    pub run: Run,
    /// Its object.
    pub object: Id,
    /// Every path in it.
    pub items: Vec<Item>,
    /// For people.
    pub warnings: Vec<String>,
}

/// Captures what lies at `place` and stores what the store lacks of it. `trusting`: what did not change since the folder was last known to be
/// whole is not looked up; what that stands on is returned, for the transaction to rely on.
fn take(
    session: &Session<'_>,
    snapshot: &Snapshot,
    place: &Place,
    sink: &dyn Sink,
    dry_run: bool,
    trusting: bool,
) -> Result<(Captured, Item, Ground), Error> {
    let worktree = session.worktree();
    let options = session.capture_options(place)?;
    let path = crate::revspec::recorded_path(place);
    let mut ground = Ground::default();
    let mut looked = worktree::look(&worktree, place, &options)?;
    let is_known = |captured: &Captured| -> Result<bool, Error> {
        Ok(match captured.content.kind() {
            Some(_) => {
                snapshot.header(&captured.content.id())?.is_some()
                    && whole::is_whole_as_remembered(session.repo, snapshot, path.as_ref(), &captured.content)?
            }
            None => true,
        })
    };
    let (captured, known) = if dry_run {
        let captured = looked.identify(None)?;
        let known = is_known(&captured)?;
        (captured, known)
    } else if looked.is_mostly_new() {
        let captured = looked.store(snapshot, sink, None)?;
        let known = is_known(&captured)?;
        (captured, known)
    } else {
        let captured = looked.identify(Some(sink))?;
        if is_known(&captured)? {
            (captured, true)
        } else {
            let earlier = if trusting { whole::Before::at(session.repo, snapshot, path.as_ref())? } else { None };
            let captured = looked.store(snapshot, sink, earlier.as_ref().map(|earlier| earlier as &dyn Earlier))?;
            ground = earlier.map(|earlier| earlier.used()).unwrap_or_default();
            (captured, false)
        }
    };
    if snapshot.is_scrubbed(&captured.content.id())? {
        return Err(Error::Scrubbed { path: worktree.path(place) });
    }
    let item = Item {
        path,
        content: captured.content.clone(),
        size: captured.size,
        files: captured.files,
        action: if known { ItemAction::Known } else { ItemAction::Stored },
    };
    Ok((captured, item, ground))
}

/// Hashes and stores files or folders, and stages them for the next commit. What is staged and unchanged costs nothing.
///
/// # Errors
/// When a path is absent, unreadable or no file or folder; nothing is staged then.
pub fn add(session: &Session<'_>, paths: &[BString], dry_run: bool) -> Result<Staging, Error> {
    match add_once(session, paths, dry_run, true) {
        // Somebody merged or condemned a pack meanwhile.
        Err(Error::Store(store::Error::Outdated)) => add_once(session, paths, dry_run, false),
        done => done,
    }
}

fn add_once(session: &Session<'_>, paths: &[BString], dry_run: bool, trusting: bool) -> Result<Staging, Error> {
    let repo = session.repo;
    let mut ground = Ground::default();
    let snapshot = repo.store().snapshot()?;
    let intake = repo.store().intake(&snapshot);
    let (mut items, mut edits, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let place = session.locate(path);
        let (captured, item, stands_on) = take(session, &snapshot, &place, &intake, dry_run, trusting)?;
        ground.packs.extend(stands_on.packs);
        ground.inline.extend(stands_on.inline);
        let staged = Staged { content: captured.content, size: captured.size, exec: captured.exec };
        let value = entry::encode(&staged).map_err(|source| Error::Ref { source })?;
        let key = key::staged(repo.workspace(), item.path.as_ref());
        let old = snapshot.get_ref(&key)?;
        if old.as_ref() != Some(&value) {
            changes.push(Change::new(&key, old.as_deref(), Some(&value)));
            edits.push(RefEdit::set(key, value));
        }
        items.push(item);
    }
    if !dry_run && (!edits.is_empty() || items.iter().any(|item| item.action == ItemAction::Stored)) {
        let collected = Arc::new(intake.finish()?);
        let op = repo.new_op();
        if !changes.is_empty() {
            let line = Line { about: about(&items), edits: changes, ..Line::of(repo, "add") };
            edits.push(line.edit(repo, op, repo.now()).map_err(|source| Error::Ref { source })?);
        }
        repo.store().publish(op, "add", &mut |_| -> Result<Option<Draft>, Error> {
            let draft = super::draft_of(Arc::clone(&collected), edits.clone());
            Ok(Some(Draft { relies_on: ground.inline.clone(), relies_on_packs: ground.packs.clone(), ..draft }))
        })?;
    }
    session.save();
    Ok(Staging { items })
}

/// The paths of items, for people: the first few.
fn about(items: &[Item]) -> String {
    let first: Vec<String> = items.iter().take(3).map(|item| crate::path::shown(&item.path)).collect();
    let more = items.len() - first.len();
    first.join(" ") + &if more == 0 { String::new() } else { format!(" and {more} more") }
}

/// What lies staged in this workspace, by path.
///
/// # Errors
/// When refs can't be read.
pub fn staged(session: &Session<'_>, snapshot: &Snapshot) -> Result<BTreeMap<BString, Staged>, Error> {
    let mut found = BTreeMap::new();
    for item in snapshot.scan(&key::staged_of(session.repo.workspace()), Direction::Forward) {
        let (raw, value) = item?;
        if let Some(path) = key::last_bytes(&raw) {
            found.insert(path, entry::decode(&value).map_err(|source| Error::Ref { source })?);
        }
    }
    Ok(found)
}

/// Records paths, or else what is staged, as a run made by hand.
///
/// # Errors
/// When there is nothing to record, or a path can't be taken; nothing is recorded then.
pub fn commit(session: &Session<'_>, paths: &[BString], options: &CommitOptions) -> Result<Committed, Error> {
    let repo = session.repo;
    let snapshot = repo.store().snapshot()?;
    let scenario = options.scenario.clone().unwrap_or_else(|| repo.scenario().to_owned());
    super::perform::check_name(&snapshot, options.run_name.as_deref())?;
    let scenario = crate::scenario::open_for_runs(repo, &snapshot, &scenario)?;
    let intake = repo.store().intake(&snapshot);
    let mut declared = Declared::new(repo.root(), repo.root());
    let mut outputs = BTreeMap::new();
    let mut items = Vec::new();
    let mut unstage = Vec::new();
    let mut record_one = |path: &BStr, content: Content, size: u64, exec: bool| -> Result<(), Error> {
        let key = match declared.add(Role::Output, None, path) {
            // Nobody types keys here, so two files of one name are told apart by number.
            Err(crate::recipe::Error::Collision { key, .. }) => {
                let taken = declared.places(Role::Output);
                let free = (2..taken.len() + 3).map(|n| format!("{key}_{n}")).find(|key| !taken.contains_key(key));
                declared.add(Role::Output, free.as_deref(), path)?
            }
            added => added?,
        };
        let output = Output {
            content,
            path: path.to_owned(),
            size,
            stored: true,
            exec,
            format: None,
            facets: BTreeMap::new(),
            schema: None,
            set: None,
            members: BTreeMap::new(),
            meta: BTreeMap::new(),
        };
        outputs.insert(key, output);
        Ok(())
    };
    if paths.is_empty() {
        for (path, staged) in staged(session, &snapshot)? {
            record_one(path.as_ref(), staged.content.clone(), staged.size, staged.exec)?;
            unstage.push(path.clone());
            items.push(Item { path, content: staged.content, size: staged.size, files: 1, action: ItemAction::Known });
        }
        if items.is_empty() {
            return Err(Error::NothingToCommit);
        }
    }
    for path in paths {
        let place = session.locate(path);
        let (captured, item, _) = take(session, &snapshot, &place, &intake, options.dry_run, false)?;
        record_one(item.path.as_ref(), captured.content, captured.size, captured.exec)?;
        if snapshot.get_ref(&key::staged(repo.workspace(), item.path.as_ref()))?.is_some() {
            unstage.push(item.path.clone());
        }
        items.push(item);
    }
    let now = repo.now();
    let step = options.step.clone().unwrap_or_else(|| "commit".to_owned());
    let run = Run {
        run: name::run_id(now, &step, &*repo.world().random),
        name: options.run_name.clone(),
        project: repo.project().to_owned(),
        scenario,
        kind: RunKind::Manual,
        step,
        recipe: None,
        status: Status::Success,
        failed_in: None,
        sealed: true,
        unsealed: Vec::new(),
        attempt: 1,
        correlation_id: None,
        parent: None,
        started_at: now,
        finished_at: repo.now(),
        validation_started_at: None,
        validation_finished_at: None,
        argv: Vec::new(),
        cwd: BString::default(),
        inputs: crate::object::inputs::Inputs::default(),
        outputs,
        children: BTreeMap::new(),
        differs: None,
        cache: Cache::Off,
        exit_code: None,
        signal: None,
        error: None,
        logs: BTreeMap::new(),
        resources: None,
        host: Some(repo.world().host.clone()),
        author: repo.world().author.clone(),
        git: session.git_head(),
        program: None,
        code_left_out: Vec::new(),
        description: options.message.clone(),
        tags: options.tags.clone(),
        facets: BTreeMap::new(),
        metrics: BTreeMap::new(),
        meta: BTreeMap::new(),
    };
    let bytes = run.encode().map_err(|source| Error::Record { run: run.run.clone(), source })?;
    let object = id_of(&Kind::RUN, &bytes);
    if !options.dry_run {
        intake.put(&Kind::RUN, &object, &bytes)?;
        let collected = Arc::new(intake.finish()?);
        let op = repo.new_op();
        repo.store().publish(op, "commit", &mut |snapshot| -> Result<Option<Draft>, Error> {
            let mut edits = record::edits(snapshot, &run, object)?;
            let mut line = super::publish::line(repo, "commit", &run, object);
            for path in &unstage {
                let key = key::staged(repo.workspace(), path.as_ref());
                if let Some(old) = snapshot.get_ref(&key)? {
                    line.edits.push(Change::new(&key, Some(&old), None));
                    edits.push(RefEdit::delete(key, old));
                }
            }
            edits.push(line.edit(repo, op, run.finished_at).map_err(|source| Error::Ref { source })?);
            let mut draft = super::draft_of(Arc::clone(&collected), edits);
            // What was staged is not stored again, but must still be there.
            draft.relies_on =
                items.iter().filter(|item| item.action == ItemAction::Known).map(|item| item.content.id()).collect();
            Ok(Some(draft))
        })?;
    }
    session.save();
    let mut warnings = Vec::new();
    if !options.dry_run
        && let Err(err) = super::lockfile::note(repo, &run.outputs)
    {
        warnings.push(format!("{} was left as it is: {}", super::lockfile::NAME, super::chain(&err)));
    }
    Ok(Committed { run, object, items, warnings })
}

//! Bringing the outputs of an earlier run back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Error;
use super::clear::{self, Displaced};
use super::perform::{OutputAction, REPLAYED};
use super::prepare::Prepared;
use super::session::Session;
use crate::hash::Id;
use crate::object::recipe::Content;
use crate::object::run::{Output, Run};
use crate::object::tree::{self, EntryKind};
use crate::object::{AccessError, Source};
use crate::path::{Place, RelPath};
use crate::store::Snapshot;
use crate::worktree::restore::{self, Existing, Outcome, RestoreOptions, State, Wanted};
use crate::worktree::{self, CaptureOptions};

/// What came back.
#[derive(Debug, Default)]
pub struct Hydrated {
    /// What was done about each output.
    pub actions: BTreeMap<String, OutputAction>,
    /// For people.
    pub warnings: Vec<String>,
    /// Unknown content that was stored and then replaced.
    pub displaced: Vec<PathBuf>,
}

/// Whether the store has all of some content: for a folder, everything below it.
///
/// # Errors
/// When the store can't be read.
pub fn is_whole(snapshot: &Snapshot, content: &Content) -> Result<bool, AccessError> {
    let mut todo: Vec<Id> = match content {
        Content::Blob(id) => return Ok(snapshot.header(id)?.is_some()),
        Content::Tree(id) => vec![*id],
        Content::External(..) => return Ok(false),
    };
    let mut seen = std::collections::HashSet::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        let mut is_missing = false;
        let listed = tree::list(id, &mut |id| match snapshot.read(id)? {
            Some((_, bytes)) => Ok(bytes),
            None => {
                is_missing = true;
                Err(AccessError::Changed)
            }
        });
        let entries = match listed {
            Ok(entries) => entries,
            Err(_) if is_missing => return Ok(false),
            Err(tree::ListError::Read(AccessError::Damaged { .. }) | tree::ListError::Object(_)) => return Ok(false),
            Err(tree::ListError::Read(err)) => return Err(err),
        };
        for entry in entries {
            if entry.kind == EntryKind::Tree {
                todo.push(entry.id);
            } else if seen.insert(entry.id) && snapshot.header(&entry.id)?.is_none() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether the output lies at `place` already.
pub fn lies_there(session: &Session<'_>, place: &Place, output: &Output) -> bool {
    worktree::capture(&session.worktree(), place, &CaptureOptions::default(), None)
        .is_ok_and(|captured| captured.content == output.content && captured.exec == output.exec)
}

/// The folder below which a place is restored, and the path there.
fn split(session: &Session<'_>, place: &Place) -> Result<(PathBuf, RelPath), Error> {
    match place {
        Place::Inside(path) => Ok((session.repo.root().to_owned(), path.clone())),
        Place::Outside(path) => {
            let name = path.file_name().and_then(|name| RelPath::new(crate::path::bytes(Path::new(name))));
            match (path.parent(), name) {
                (Some(parent), Some(name)) => Ok((parent.to_owned(), name)),
                _ => Err(Error::Usage { what: format!("nothing can be restored to `{}`", crate::path::show(path)) }),
            }
        }
    }
}

/// One thing to bring back under a key.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its key.
    pub key: String,
    /// What.
    pub content: Content,
    /// Whether it is a file that may be executed.
    pub exec: bool,
    /// Where to.
    pub to: Place,
}

/// What became of an item.
#[derive(Debug)]
pub struct Restored {
    /// Its key.
    pub key: String,
    /// Where it was to go, absolute.
    pub path: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
}

/// Brings items back. What is in the way and unknown to the store is stored first, then replaced, if `replace`; else it is left and the
/// item refused. Everything is checked before anything is written.
///
/// # Errors
/// When something can't be checked, stored or written; nothing under a final name is half written.
pub fn bring_back(
    session: &Session<'_>,
    snapshot: &Snapshot,
    items: &[Item],
    replace: bool,
) -> Result<(Vec<Restored>, Vec<Displaced>), Error> {
    let worktree = session.worktree();
    let mut groups: BTreeMap<PathBuf, Vec<(usize, Wanted)>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let (root, to) = split(session, &item.to)?;
        groups.entry(root).or_default().push((at, Wanted { content: item.content.clone(), exec: item.exec, to }));
    }
    let mut plans = Vec::new();
    for (root, wanted) in groups {
        let (at, wanted): (Vec<usize>, Vec<Wanted>) = wanted.into_iter().unzip();
        let options = RestoreOptions::default();
        plans.push((at, restore::plan(&worktree, &root, snapshot, &wanted, &options)?));
    }
    let mut in_the_way = Vec::new();
    for item in plans.iter().flat_map(|(_, plan)| plan.items()) {
        if replace && item.missing.is_empty() && matches!(item.state, State::Different(_)) {
            in_the_way.push(item.path.clone());
        }
    }
    let displaced = clear::keep_safe(session, &in_the_way)?;
    let mut results: Vec<Option<Restored>> = items.iter().map(|_| None).collect();
    for (at, plan) in &plans {
        let done =
            restore::apply(&worktree, plan, snapshot, &|item| match displaced.iter().find(|d| d.path == item.path) {
                Some(displaced) => Existing::Replace(displaced.fence.clone()),
                None => Existing::Refuse,
            });
        for ((at, done), item) in at.iter().zip(done).zip(plan.items()) {
            results[*at] =
                Some(Restored { key: items[*at].key.clone(), path: item.path.clone(), outcome: done.result? });
        }
    }
    Ok((results.into_iter().flatten().collect(), displaced.into_iter().filter(|d| d.was_unknown).collect()))
}

/// Brings the outputs of a hit to where they are declared now.
///
/// # Errors
/// When one of them can't be brought back: then the hit is none.
pub fn outputs(
    session: &Session<'_>,
    snapshot: &Snapshot,
    prepared: &Prepared,
    source: &Run,
) -> Result<Hydrated, Error> {
    let mut items = Vec::new();
    for (key, output) in &source.outputs {
        if let Some(place) = prepared.output(key) {
            items.push(Item {
                key: key.clone(),
                content: output.content.clone(),
                exec: output.exec,
                to: place.clone(),
            });
        }
    }
    // What is right already needs no plan: a state is compared, nothing else.
    let mut hydrated = Hydrated::default();
    items.retain(|item| {
        let is_right = source.outputs.get(&item.key).is_some_and(|output| lies_there(session, &item.to, output));
        if is_right {
            hydrated.actions.insert(item.key.clone(), OutputAction::Kept);
        }
        !is_right
    });
    if items.is_empty() {
        return Ok(hydrated);
    }
    let (restored, displaced) = bring_back(session, snapshot, &items, true)?;
    for done in restored {
        let action = match done.outcome {
            Outcome::Restored => OutputAction::Restored,
            Outcome::Kept => OutputAction::Kept,
            Outcome::Refused => return Err(Error::InTheWay { path: done.path }),
            Outcome::Missing => return Err(Error::OutputLost { key: done.key, path: done.path }),
        };
        hydrated.actions.insert(done.key, action);
    }
    hydrated.displaced = displaced.into_iter().map(|d| d.path).collect();
    Ok(hydrated)
}

/// The last bytes of each stream of a run, as far as they can be had.
pub fn replay(snapshot: &Snapshot, source: &Run) -> BTreeMap<String, Vec<u8>> {
    let mut replay = BTreeMap::new();
    for (stream, log) in &source.logs {
        if let Some(bytes) = super::perform::small_blob(snapshot, &log.id) {
            let from = bytes.len().saturating_sub(usize::try_from(REPLAYED).unwrap_or(usize::MAX));
            replay.insert(stream.clone(), bytes[from..].to_vec());
        }
    }
    replay
}

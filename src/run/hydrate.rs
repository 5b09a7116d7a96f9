//! Bringing the outputs of an earlier run back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Error;
use super::clear::{self, Displaced, KeptSafe};
use super::interrupts::Interrupts;
use super::lifecycle::Replay;
use super::perform::{OutputAction, REPLAYED};
use super::prepare::Prepared;
use super::request::Request;
use super::session::Session;
use crate::hash::Id;
use crate::object::recipe::Content;
use crate::object::run::{Output, Run};
use crate::object::tree::{self, EntryKind};
use crate::object::{AccessError, Source};
use crate::path::{Place, RelPath};
use crate::store::Snapshot;
use crate::worktree::restore::{self, Existing, InTheWay, Outcome, RestoreOptions, State, Wanted};
use crate::worktree::{self, CaptureOptions};

/// What came back.
#[derive(Debug, Default)]
pub struct Hydrated {
    /// What was done about each output.
    pub actions: BTreeMap<String, OutputAction>,
    /// For people.
    pub warnings: Vec<String>,
    /// Unknown content that was stored and then replaced.
    pub displaced: Vec<KeptSafe>,
}

/// Whether the store has all of some content: for a folder, everything below it.
///
/// # Errors
/// When the store can't be read.
pub fn is_whole(snapshot: &Snapshot, content: &Content) -> Result<bool, AccessError> {
    let mut level: Vec<Id> = match content {
        Content::Blob(id) => return Ok(snapshot.header(id)?.is_some()),
        Content::Tree(id) => vec![*id],
        Content::External(..) => return Ok(false),
    };
    let mut seen: std::collections::HashSet<Id> = level.iter().copied().collect();
    let mut blobs = Vec::new();
    while !level.is_empty() {
        let mut below = Vec::new();
        // In the order in which packs have them.
        level.sort_unstable();
        for id in level {
            let mut is_missing = false;
            let listed = tree::list(id, &mut |id| {
                if let Some((_, bytes)) = snapshot.read(id)? {
                    Ok(bytes)
                } else {
                    is_missing = true;
                    Err(AccessError::Changed)
                }
            });
            let entries = match listed {
                Ok(entries) => entries,
                Err(_) if is_missing => return Ok(false),
                Err(tree::ListError::Read(AccessError::Damaged { .. }) | tree::ListError::Object(_)) => {
                    return Ok(false);
                }
                Err(tree::ListError::Read(err)) => return Err(err),
            };
            for entry in entries {
                if entry.kind != EntryKind::Tree {
                    blobs.push(entry.id);
                } else if seen.insert(entry.id) {
                    below.push(entry.id);
                }
            }
        }
        level = below;
    }
    blobs.sort_unstable();
    blobs.dedup();
    snapshot.has_all(&blobs)
}

/// Whether the store has all of some content, every byte of it read and verified.
///
/// # Errors
/// When the store can't be read. Damage is no error: then it is not sound.
pub fn is_sound(snapshot: &Snapshot, content: &Content) -> Result<bool, AccessError> {
    let read = |id: &Id| match snapshot.copy(id, &mut std::io::sink()) {
        Ok(found) => Ok(found.is_some()),
        Err(AccessError::Damaged { .. } | AccessError::Changed) => Ok(false),
        Err(err) => Err(err),
    };
    if !is_whole(snapshot, content)? {
        return Ok(false);
    }
    let mut level = match content {
        Content::Blob(id) => return read(id),
        Content::Tree(id) => vec![*id],
        Content::External(..) => return Ok(false),
    };
    let mut seen: std::collections::HashSet<Id> = std::collections::HashSet::new();
    while let Some(id) = level.pop() {
        let listed = tree::list(id, &mut |id| match snapshot.read(id) {
            Ok(Some((_, bytes))) => Ok(bytes),
            Ok(None) | Err(AccessError::Damaged { .. }) => Err(None),
            Err(err) => Err(Some(err)),
        });
        let entries = match listed {
            Ok(entries) => entries,
            Err(tree::ListError::Read(Some(err))) => return Err(err),
            Err(_) => return Ok(false),
        };
        for entry in entries.into_iter().filter(|entry| seen.insert(entry.id)) {
            if entry.kind == EntryKind::Tree {
                level.push(entry.id);
            } else if !read(&entry.id)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// As [`lies_there`], every byte hashed again whatever the states of the files say.
pub fn lies_there_byte_by_byte(session: &Session<'_>, place: &Place, output: &Output) -> bool {
    let nothing = worktree::StatCache::empty();
    let worktree = worktree::Worktree { cache: &nothing, ..session.worktree() };
    worktree::capture(&worktree, place, &CaptureOptions::default(), None)
        .is_ok_and(|captured| captured.content == output.content && captured.exec == output.exec)
}

/// Whether the output lies at `place` already.
pub fn lies_there(session: &Session<'_>, place: &Place, output: &Output) -> bool {
    worktree::capture(&session.worktree(), place, &CaptureOptions::default(), None)
        .is_ok_and(|captured| captured.content == output.content && captured.exec == output.exec)
}

/// The folder below which a place is restored, and the path there.
pub(super) fn split(session: &Session<'_>, place: &Place) -> Result<(PathBuf, RelPath), Error> {
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

/// As [`split`], for a place that a record names and that no user declared now: it must be inside of the project, and not among the files of
/// prov or Git.
pub(super) fn recorded_destination(session: &Session<'_>, place: &Place) -> Result<(PathBuf, RelPath), Error> {
    let refuse = |path: &Path, why: &str| Error::Elsewhere { path: path.to_owned(), why: why.to_owned() };
    match place {
        Place::Outside(path) => Err(refuse(path, "it lies outside of the project")),
        Place::Inside(path) if path.is_root() => Err(refuse(session.repo.root(), "it is the project itself")),
        Place::Inside(path) if path.components().any(|name| worktree::is_reserved(name)) => {
            Err(refuse(&path.below(session.repo.root()), "it lies inside `.prov` or `.git`"))
        }
        Place::Inside(_) => split(session, place),
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
    /// The folder that it must stay below, absolute.
    pub root: PathBuf,
    /// Where to, below that.
    pub to: RelPath,
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

/// What of that which is in the way may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Nothing.
    Nothing,
    /// What the store knows.
    Known,
    /// Everything; what the store does not know is stored first.
    All,
}

type Plans = Vec<(Vec<usize>, restore::Plan)>;

fn plans(session: &Session<'_>, snapshot: &Snapshot, items: &[Item]) -> Result<Plans, Error> {
    let worktree = session.worktree();
    let mut groups: BTreeMap<PathBuf, Vec<(usize, Wanted)>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let wanted = Wanted { content: item.content.clone(), exec: item.exec, to: item.to.clone() };
        groups.entry(item.root.clone()).or_default().push((at, wanted));
    }
    let mut plans = Vec::new();
    for (root, wanted) in groups {
        let (at, wanted): (Vec<usize>, Vec<Wanted>) = wanted.into_iter().unzip();
        let plan = restore::plan(&worktree, &root, snapshot, &wanted, &RestoreOptions::default());
        plans.push((at, plan.map_err(|err| not_back(items, err))?));
    }
    Ok(plans)
}

/// What is in the way of a plan and could be replaced, one after the other.
fn in_the_way(plans: &Plans) -> Vec<PathBuf> {
    let items = plans.iter().flat_map(|(_, plan)| plan.items());
    items
        .filter(|item| item.missing.is_empty() && matches!(item.state, State::Different(way) if way != InTheWay::Other))
        .map(|item| item.path.clone())
        .collect()
}

/// Brings items back. What is in the way is replaced as far as `replace` says; else it is left and the item refused. Everything is checked
/// before anything is written.
///
/// # Errors
/// When something can't be checked, stored or written; nothing under a final name is half written.
pub fn bring_back(
    session: &Session<'_>,
    snapshot: &Snapshot,
    items: &[Item],
    replace: Replace,
) -> Result<(Vec<Restored>, Vec<KeptSafe>), Error> {
    let worktree = session.worktree();
    let plans = plans(session, snapshot, items)?;
    let displaced = match replace {
        Replace::Nothing => Vec::new(),
        Replace::Known => clear::known(session, snapshot, &in_the_way(&plans))?,
        Replace::All => clear::keep_safe(session, &in_the_way(&plans))?,
    };
    let mut results: Vec<Option<Restored>> = items.iter().map(|_| None).collect();
    for (at, plan) in &plans {
        let done =
            restore::apply(&worktree, plan, snapshot, &|item| match displaced.iter().find(|d| d.path == item.path) {
                Some(displaced) => Existing::Replace(displaced.fence.clone()),
                None => Existing::Refuse,
            });
        for ((at, done), item) in at.iter().zip(done).zip(plan.items()) {
            let outcome = done.result.map_err(|err| not_back(items, err))?;
            results[*at] = Some(Restored { key: items[*at].key.clone(), path: item.path.clone(), outcome });
        }
    }
    Ok((results.into_iter().flatten().collect(), displaced.into_iter().filter_map(Displaced::into_kept_safe).collect()))
}

/// What [`bring_back`] would do; nothing is changed.
///
/// # Errors
/// When something can't be checked.
pub fn would_bring_back(
    session: &Session<'_>,
    snapshot: &Snapshot,
    items: &[Item],
    replace: Replace,
) -> Result<Vec<Restored>, Error> {
    let plans = plans(session, snapshot, items)?;
    let in_the_way = in_the_way(&plans);
    let known: Vec<PathBuf> =
        clear::known(session, snapshot, &in_the_way)?.into_iter().map(|displaced| displaced.path).collect();
    let may_go = |path: &PathBuf| match replace {
        Replace::Nothing => false,
        Replace::Known => known.contains(path),
        Replace::All => in_the_way.contains(path),
    };
    let mut results: Vec<Option<Restored>> = items.iter().map(|_| None).collect();
    for (at, plan) in &plans {
        for (at, item) in at.iter().zip(plan.items()) {
            let outcome = match &item.state {
                State::Same => Outcome::Kept,
                State::Blocked(_) => Outcome::Refused,
                _ if !item.missing.is_empty() => Outcome::Missing,
                State::Different(_) if !may_go(&item.path) => Outcome::Refused,
                State::Absent | State::Different(_) => Outcome::Restored,
            };
            results[*at] = Some(Restored { key: items[*at].key.clone(), path: item.path.clone(), outcome });
        }
    }
    Ok(results.into_iter().flatten().collect())
}

/// Says of which item content is damaged or can't exist where it should; other errors are not of an item.
fn not_back(items: &[Item], err: worktree::Error) -> Error {
    let is_of_content =
        matches!(err, worktree::Error::Unsafe { .. } | worktree::Error::Access { .. } | worktree::Error::Object { .. });
    let found = err.path().filter(|_| is_of_content).and_then(|path| {
        items.iter().map(|item| (item, item.to.below(&item.root))).find(|(_, at)| path.starts_with(at))
    });
    match found {
        Some((item, path)) => Error::NotBack { key: item.key.clone(), path, source: Box::new(err) },
        None => Error::Worktree(err),
    }
}

/// Brings the outputs of a hit to where they are declared now.
///
/// # Errors
/// When one of them can't be brought back: then the hit is none.
pub fn outputs(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    source: &Run,
    interrupts: Option<&Interrupts>,
) -> Result<Hydrated, Error> {
    let mut items = Vec::new();
    let mut hydrated = Hydrated::default();
    for (key, output) in &source.outputs {
        let Some(place) = prepared.output(key) else { continue };
        // What is right already needs no plan: a state is compared, nothing else.
        if lies_there(session, place, output) {
            hydrated.actions.insert(key.clone(), OutputAction::Kept);
            continue;
        }
        // The user's own links lead to where the command would write as well.
        let path = session.worktree().path(place);
        let real = crate::path::real(&path);
        let to = if real == path {
            place.clone()
        } else {
            crate::path::locate(session.repo.root(), session.repo.root(), &real)
        };
        let (root, to) = split(session, &to)?;
        items.push(Item { key: key.clone(), content: output.content.clone(), exec: output.exec, root, to });
    }
    if items.is_empty() {
        return Ok(hydrated);
    }
    let is_written =
        |key: &String| items.iter().any(|item| item.key == *key) && !request.in_place.iter().any(|other| other == key);
    let restored: Vec<&Place> =
        prepared.outputs().iter().filter(|(key, _)| is_written(key)).map(|(_, place)| place).collect();
    super::prepare::check_real_overlaps(session, prepared, &restored)?;
    // Writing there needs the same claim as executing does: a live run must not take these bytes for its own.
    let places: Vec<&Place> = items.iter().filter_map(|item| prepared.output(&item.key)).collect();
    let claim = match super::claim(session.repo, &prepared.step, request, &prepared.scenario, &places, interrupts) {
        Ok(claim) => Some(claim),
        // Where nothing can be written no claim is needed, as long as nobody runs who could before.
        Err(err @ Error::Live(_)) => {
            let entries = super::live_folder(session.repo).list()?;
            if entries.iter().any(|entry| entry.state == super::live::State::Running) {
                return Err(err);
            }
            None
        }
        Err(err) => return Err(err),
    };
    let brought = bring_back(session, snapshot, &items, Replace::All);
    if let Some(claim) = claim {
        let _ = claim.end();
    }
    let (restored, displaced) = brought?;
    for done in restored {
        let action = match done.outcome {
            Outcome::Restored => OutputAction::Restored,
            Outcome::Kept => OutputAction::Kept,
            Outcome::Refused => return Err(Error::InTheWay { path: done.path }),
            Outcome::Missing => return Err(Error::OutputLost { key: done.key, path: done.path }),
        };
        hydrated.actions.insert(done.key, action);
    }
    hydrated.displaced = displaced;
    Ok(hydrated)
}

/// What is to be printed of each stream of a run, as far as it can be had.
pub fn replay(snapshot: &Snapshot, source: &Run, how_much: Replay) -> BTreeMap<String, Vec<u8>> {
    let mut replay = BTreeMap::new();
    let most = match how_much {
        Replay::None => return replay,
        Replay::Tail => usize::try_from(REPLAYED).unwrap_or(usize::MAX),
        Replay::All => usize::MAX,
    };
    for (stream, log) in &source.logs {
        if let Some(mut bytes) = super::perform::small_blob(snapshot, &log.id) {
            drop(bytes.drain(..bytes.len().saturating_sub(most)));
            replay.insert(stream.clone(), bytes);
        }
    }
    replay
}

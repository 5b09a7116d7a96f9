//! Bringing the outputs of an earlier run back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::Error;
use super::clear::{self, Displaced, KeptSafe, Spot, Was};
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
use crate::worktree::restore::{self, Existing, InTheWay, Link, Outcome, RestoreOptions, Shelf, State, Wanted};
use crate::worktree::{self, CaptureOptions, Fence};

pub use super::outputs::lies_there;
pub use super::whole::is_whole;

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
    worktree::capture(&worktree, place, &super::outputs::recorded(output), None)
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
        Place::Inside(path) if super::managed::is_home(session.repo, &path.below(session.repo.root())) => {
            split(session, &Place::Outside(path.below(session.repo.root())))
        }
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

fn plans(session: &Session<'_>, snapshot: &Snapshot, items: &[Item], link: Link) -> Result<Plans, Error> {
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
        let plan = plan.map_err(|err| not_back(items, err))?;
        let is_shared = link != Link::Copy || plan.is_worth_sharing();
        plans.push((at, if is_shared { plan.with_shelf(Shelf::new(session.repo.shelf(), link)) } else { plan }));
    }
    Ok(plans)
}

/// What is in the way of a plan and could be replaced, one after the other.
fn in_the_way(plans: &Plans) -> Vec<Spot> {
    let items = plans.iter().flat_map(|(_, plan)| plan.items());
    items
        .filter(|item| item.missing.is_empty() && matches!(item.state, State::Different(way) if way != InTheWay::Other))
        .map(|item| Spot::whole(item.path.clone()))
        .collect()
}

/// Files that have to go so that a set is just its members: whose, and where.
#[derive(Debug, Clone)]
pub struct Extra {
    /// The set's key.
    pub key: String,
    /// The files.
    pub spot: Spot,
}

/// What a destination will come to, as far as the plan knows.
fn expected(item: &restore::PlanItem, may_go: &dyn Fn(&Path) -> bool) -> Outcome {
    match &item.state {
        State::Same => Outcome::Kept,
        State::Blocked(_) => Outcome::Refused,
        _ if !item.missing.is_empty() => Outcome::Missing,
        State::Different(_) if !may_go(&item.path) => Outcome::Refused,
        State::Absent | State::Different(_) => Outcome::Restored,
    }
}

/// Brings items back, all or none. What is in the way is replaced as far as `replace` says, and so are `extras`; if something may not
/// be replaced or can't be had, nothing is written, and what could have been is told as [`Outcome::Skipped`]. Everything is written
/// beside its place before anything takes its place. If one can't take it in spite of that, those before it are put back.
///
/// # Errors
/// When something can't be checked, stored or written; nothing under a final name is half written. [`Error::HalfRestored`] if what had
/// been replaced by then could not be put back: it says what and where.
pub fn bring_back(
    session: &Session<'_>,
    snapshot: &Snapshot,
    items: &[Item],
    extras: &[Extra],
    replace: Replace,
) -> Result<(Vec<Restored>, Vec<KeptSafe>), Error> {
    bring_back_as(session, snapshot, items, extras, replace, Link::Copy)
}

/// As [`bring_back`], for files that may be links to shared ones.
///
/// # Errors
/// As [`bring_back`].
pub fn bring_back_as(
    session: &Session<'_>,
    snapshot: &Snapshot,
    items: &[Item],
    extras: &[Extra],
    replace: Replace,
    link: Link,
) -> Result<(Vec<Restored>, Vec<KeptSafe>), Error> {
    let plans = plans(session, snapshot, items, link)?;
    let mut spots = in_the_way(&plans);
    spots.extend(extras.iter().map(|extra| extra.spot.clone()));
    // What may go is found out before anything is stored, so that what is refused leaves no trace.
    let known = clear::known(session, snapshot, &spots)?;
    let may_go = |path: &Path| match replace {
        Replace::Nothing => false,
        Replace::Known => known.iter().any(|displaced| displaced.path == path),
        Replace::All => spots.iter().any(|spot| spot.path == path),
    };
    let verdicts = verdicts(&plans, items, extras, &may_go);
    if verdicts.iter().any(|done| matches!(done.outcome, Outcome::Refused | Outcome::Missing)) {
        let skipped = |done: Restored| match done.outcome {
            Outcome::Restored => Restored { outcome: Outcome::Skipped, ..done },
            _ => done,
        };
        return Ok((verdicts.into_iter().map(skipped).collect(), Vec::new()));
    }
    let displaced = match replace {
        Replace::Nothing => Vec::new(),
        Replace::Known => known,
        Replace::All => clear::keep_safe(session, snapshot, &spots)?,
    };
    let worktree = session.worktree();
    let existing =
        |item: &restore::PlanItem| match displaced.iter().find(|d| d.path == item.path && d.members.is_none()) {
            Some(displaced) => Existing::Replace(displaced.fence.clone()),
            None => Existing::Refuse,
        };
    let staged: Vec<_> = plans.iter().map(|(_, plan)| restore::stage(&worktree, plan, snapshot, &existing)).collect();
    let is_whole = staged.iter().all(restore::Staging::is_whole);
    let done: Vec<Vec<restore::Done>> =
        staged.into_iter().map(|staging| if is_whole { staging.finish() } else { staging.discard() }).collect();
    let mut results: Vec<Option<Restored>> = items.iter().map(|_| None).collect();
    let mut failed = None;
    let mut written = Vec::new();
    for ((at, plan), done) in plans.iter().zip(done) {
        for ((at, done), item) in at.iter().zip(done).zip(plan.items()) {
            // What failed may have been changed in part.
            if is_whole && !matches!(done.result, Ok(Outcome::Kept | Outcome::Refused | Outcome::Missing)) {
                written.push(item);
            }
            let outcome = match done.result {
                Ok(outcome) => outcome,
                Err(err) => {
                    failed = failed.or(Some(not_back(items, err)));
                    Outcome::Refused
                }
            };
            results[*at] = Some(Restored { key: items[*at].key.clone(), path: item.path.clone(), outcome });
        }
    }
    let mut results: Vec<Restored> = results.into_iter().flatten().collect();
    let is_done = failed.is_none() && results.iter().all(|r| matches!(r.outcome, Outcome::Restored | Outcome::Kept));
    let mut removed = Vec::new();
    if is_done {
        for extra in displaced.iter().filter(|displaced| displaced.members.is_some()) {
            let done = clear::remove(session, extra, removed.iter().copied());
            removed.push(extra);
            if let Err(err) = done {
                failed = Some(err);
                break;
            }
        }
    }
    if failed.is_some() || !is_done {
        let left = put_back(session, snapshot, &written, &removed, &displaced);
        if !left.is_empty() {
            let source = failed.map(Box::new);
            return Err(Error::HalfRestored { paths: left, source });
        }
        if let Some(err) = failed {
            return Err(err);
        }
        for done in results.iter_mut().filter(|done| done.outcome == Outcome::Restored) {
            done.outcome = Outcome::Skipped;
        }
        return Ok((results, Vec::new()));
    }
    for extra in extras {
        results.push(Restored { key: extra.key.clone(), path: extra.spot.path.clone(), outcome: Outcome::Restored });
    }
    Ok((results, displaced.into_iter().filter_map(Displaced::into_kept_safe).collect()))
}

fn verdicts(plans: &Plans, items: &[Item], extras: &[Extra], may_go: &dyn Fn(&Path) -> bool) -> Vec<Restored> {
    let mut verdicts: Vec<Option<Restored>> = items.iter().map(|_| None).collect();
    for (at, plan) in plans {
        for (at, item) in at.iter().zip(plan.items()) {
            let outcome = expected(item, may_go);
            verdicts[*at] = Some(Restored { key: items[*at].key.clone(), path: item.path.clone(), outcome });
        }
    }
    let extras = extras.iter().map(|extra| Restored {
        key: extra.key.clone(),
        path: extra.spot.path.clone(),
        outcome: if may_go(&extra.spot.path) { Outcome::Restored } else { Outcome::Refused },
    });
    verdicts.into_iter().flatten().chain(extras).collect()
}

/// Undoes what was written and removed before something failed: new files go, what they replaced comes back from the store, which has
/// all of it. Returns what could not be put back.
fn put_back(
    session: &Session<'_>,
    snapshot: &Snapshot,
    written: &[&restore::PlanItem],
    removed: &[&Displaced],
    displaced: &[Displaced],
) -> Vec<PathBuf> {
    let worktree = session.worktree();
    let fs = session.repo.fs();
    let mut left = Vec::new();
    // Some of it may have been stored only now.
    let newest = session.repo.store().snapshot();
    let snapshot = newest.as_ref().unwrap_or(snapshot);
    let again = |root: &Path, wanted: Vec<Wanted>| -> bool {
        let Ok(plan) = restore::plan(&worktree, root, snapshot, &wanted, &RestoreOptions::default()) else {
            return false;
        };
        restore::apply(&worktree, &plan, snapshot, &|_| Existing::Replace(Fence::new()))
            .iter()
            .all(|done| matches!(done.result, Ok(Outcome::Restored | Outcome::Kept)))
    };
    for item in written {
        let was = displaced.iter().find(|d| d.path == item.path && d.members.is_none()).map(|d| &d.was);
        let is_back = match (was, item.path.parent(), item.path.file_name()) {
            (None, ..) => {
                // Only what was put there.
                let place = crate::path::locate(session.repo.root(), session.repo.root(), &item.path);
                match worktree::capture(&worktree, &place, &CaptureOptions::default(), None) {
                    Ok(there) if there.content == item.wanted.content => clear::remove_path(fs, &item.path).is_ok(),
                    Err(worktree::Error::Absent { .. }) => true,
                    _ => false,
                }
            }
            (Some(Was::Content(content, exec)), Some(root), Some(name)) => {
                let to = RelPath::new(crate::path::bytes(Path::new(name))).unwrap_or_default();
                again(root, vec![Wanted { content: content.clone(), exec: *exec, to }])
            }
            (Some(Was::Link(target)), ..) => {
                clear::remove_path(fs, &item.path).is_ok()
                    && fs.symlink(&crate::path::from_bytes(target), &item.path).is_ok()
            }
            _ => false,
        };
        if !is_back {
            left.push(item.path.clone());
        }
    }
    for extra in removed {
        let Was::Files(wanted) = &extra.was else { continue };
        if !again(&extra.path, wanted.clone()) {
            left.push(extra.path.clone());
        }
    }
    left
}

/// What [`bring_back`] would do; nothing is changed.
///
/// # Errors
/// When something can't be checked.
pub fn would_bring_back(
    session: &Session<'_>,
    snapshot: &Snapshot,
    items: &[Item],
    extras: &[Extra],
    replace: Replace,
) -> Result<Vec<Restored>, Error> {
    let plans = plans(session, snapshot, items, Link::Copy)?;
    let mut spots = in_the_way(&plans);
    spots.extend(extras.iter().map(|extra| extra.spot.clone()));
    let known = clear::known(session, snapshot, &spots)?;
    let may_go = |path: &Path| match replace {
        Replace::Nothing => false,
        Replace::Known => known.iter().any(|displaced| displaced.path == path),
        Replace::All => spots.iter().any(|spot| spot.path == path),
    };
    let mut results = verdicts(&plans, items, extras, &may_go);
    if results.iter().any(|done| matches!(done.outcome, Outcome::Refused | Outcome::Missing)) {
        for done in results.iter_mut().filter(|done| done.outcome == Outcome::Restored) {
            done.outcome = Outcome::Skipped;
        }
    }
    Ok(results)
}

/// What a set is brought back as: each of its files by itself, so that others in its folder are left alone; and what is too many there.
///
/// # Errors
/// When what lies there can't be read.
pub fn set_items(
    session: &Session<'_>,
    key: &str,
    output: &Output,
    root: &Path,
    folder: &RelPath,
) -> Result<(Vec<Item>, Option<Extra>), Error> {
    let mut items = Vec::new();
    for (name, file) in &output.members {
        let to = name.split_str("/").try_fold(folder.clone(), |path, name| path.join(name));
        let Some(to) = to else {
            let why = "a name in it is no name".to_owned();
            return Err(Error::Elsewhere { path: folder.below(root), why });
        };
        let content = Content::Blob(file.id);
        items.push(Item { key: key.to_owned(), content, exec: file.exec, root: root.to_owned(), to });
    }
    let at = folder.below(root);
    let place = crate::path::locate(session.repo.root(), session.repo.root(), &at);
    let extra = match &output.set {
        Some(set) if !set.changed => {
            let there = super::outputs::list(session, &place, &super::outputs::recorded(output))?;
            let extra: Vec<BString> =
                there.into_iter().map(|(name, ..)| name).filter(|name| !output.members.contains_key(name)).collect();
            (!extra.is_empty()).then(|| {
                let options = super::outputs::exactly(extra.iter().map(|name| -> &bstr::BStr { name.as_ref() }));
                Extra { key: key.to_owned(), spot: Spot { path: at, files: Some(options) } }
            })
        }
        _ => None,
    };
    Ok((items, extra))
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

/// Brings the folder that prov had made for a run to its home. It is there to be looked at: that it can't be is no reason to execute.
fn managed(session: &Session<'_>, snapshot: &Snapshot, prepared: &Prepared, output: &Output, hydrated: &mut Hydrated) {
    let home = super::managed::home(session.repo, &prepared.step);
    let key = super::MANAGED_KEY.to_owned();
    let brought = split(session, &Place::Outside(home)).and_then(|(root, to)| {
        let item = Item { key: key.clone(), content: output.content.clone(), exec: false, root, to };
        bring_back(session, snapshot, &[item], &[], Replace::All)
    });
    match brought {
        Ok((done, displaced)) => {
            hydrated.displaced.extend(displaced);
            match done.first().map(|done| done.outcome) {
                Some(Outcome::Restored) => drop(hydrated.actions.insert(key, OutputAction::Restored)),
                Some(Outcome::Kept) => drop(hydrated.actions.insert(key, OutputAction::Kept)),
                _ => hydrated.warnings.push("the folder of the run could not be brought back".to_owned()),
            }
        }
        Err(err) => {
            hydrated.warnings.push(format!("the folder of the run could not be brought back: {}", super::chain(&err)));
        }
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
    let (mut items, mut extras) = (Vec::new(), Vec::new());
    let mut hydrated = Hydrated::default();
    let mut restored_keys: Vec<&str> = Vec::new();
    for (key, output) in &source.outputs {
        let Some(place) = prepared.output(key) else {
            if key == super::MANAGED_KEY {
                managed(session, snapshot, prepared, output, &mut hydrated);
            }
            continue;
        };
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
        restored_keys.push(key);
        if output.set.is_some() {
            let (root, folder) = match &to {
                Place::Inside(path) => (session.repo.root().to_owned(), path.clone()),
                Place::Outside(path) => (path.clone(), RelPath::root()),
            };
            let (members, extra) = set_items(session, key, output, &root, &folder)?;
            items.extend(members);
            extras.extend(extra);
            if let Some(members) = prepared.declared.set(key).filter(|members| members.is_changed_only()) {
                // What this step's other runs made there, as if it ran now.
                let mut old = super::outputs::own_old(session, snapshot, &prepared.step, place, members)?;
                old.retain(|name| !output.members.contains_key(name));
                if !old.is_empty() {
                    let files = super::outputs::exactly(old.iter().map(|name| -> &bstr::BStr { name.as_ref() }));
                    extras
                        .push(Extra { key: key.clone(), spot: Spot { path: folder.below(&root), files: Some(files) } });
                }
            }
            // All that is left to be seen is whether anything was done about it.
            hydrated.actions.insert(key.clone(), OutputAction::Kept);
            continue;
        }
        let (root, to) = split(session, &to)?;
        items.push(Item { key: key.clone(), content: output.content.clone(), exec: output.exec, root, to });
    }
    if items.is_empty() && extras.is_empty() {
        return Ok(hydrated);
    }
    let written: Vec<&str> =
        restored_keys.iter().copied().filter(|key| !request.in_place.iter().any(|other| other == key)).collect();
    super::overlap::check_real_overlaps(session, prepared, &written)?;
    // Writing there needs the same claim as executing does: a live run must not take these bytes for its own.
    let claims = super::claims_of(prepared, &|key| restored_keys.contains(&key));
    let claim = match super::claim(session.repo, &prepared.step, request, &prepared.scenario, claims, interrupts) {
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
    let brought = bring_back(session, snapshot, &items, &extras, Replace::All);
    if let Some(claim) = claim {
        let _ = claim.end();
    }
    let (restored, displaced) = brought?;
    // What was skipped is told by what it was skipped for.
    for done in restored.into_iter().filter(|done| done.outcome != Outcome::Skipped) {
        let action = match done.outcome {
            Outcome::Restored => OutputAction::Restored,
            Outcome::Kept | Outcome::Skipped => OutputAction::Kept,
            Outcome::Refused => return Err(Error::InTheWay { path: done.path }),
            Outcome::Missing => return Err(Error::OutputLost { key: done.key, path: done.path }),
        };
        let is_set = source.outputs.get(&done.key).is_some_and(|output| output.set.is_some());
        if !is_set || action == OutputAction::Restored {
            hydrated.actions.insert(done.key, action);
        }
    }
    hydrated.displaced.extend(displaced);
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

//! Dropping bytes that a remote proves to have. Records stay, and say where the content is.
//!
//! Two stores that evict at the same time, each because the other one has it, would lose the last copy. So each marks what it is about to
//! drop before it looks, and nobody believes a store that has such a mark: of two, at least one sees the other's.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Error;
use super::place::{self, Means};
use super::remote::Remote;
use crate::clock::Micros;
use crate::hash::Id;
use crate::journal::Line;
use crate::maintain::roots::all_targets;
use crate::object::recipe::Content;
use crate::object::run::Status;
use crate::object::tree::{self, EntryKind};
use crate::object::{AccessError, Kind, Record, RunRecord, Source};
use crate::progress::{Cancel, Progress};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, Presence, RunLine};
use crate::store::{self, Direction, Draft, RefEdit, Snapshot, evict};

/// How often it is begun anew because others wrote meanwhile.
const ATTEMPTS: u32 = 8;

/// Contents that are asked for at once.
const PROVEN: usize = 4_096;

/// Marks in one transaction.
const MARKS: usize = 8_192;

/// What may go.
#[derive(Debug, Clone)]
pub struct EvictOptions<'a> {
    /// Outputs of runs of these scenarios; of all if there are none.
    pub scenarios: Vec<String>,
    /// Outputs of runs of these steps; of all if there are none.
    pub steps: Vec<String>,
    /// Of runs that began before.
    pub before: Option<Micros>,
    /// Of each step in each scenario so many of the newest successes stay.
    pub keep_newest: Option<usize>,
    /// The oldest go until no more than so many bytes of outputs are here.
    pub max_size: Option<u64>,
    /// Nothing is changed.
    pub is_dry: bool,
    /// Whether the remote's bytes are read and hashed, too, not only its indexes.
    pub reads_content: bool,
    /// Hears how far it has come.
    pub progress: &'a dyn Progress,
    /// Raised to stop.
    pub cancel: &'a Cancel,
}

/// Why some content stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stays {
    /// The remote does not have it.
    NotThere,
    /// The remote has no record that keeps it there.
    NotKept,
    /// The remote is about to drop it, or was when it was killed.
    LeavesThere,
    /// What the remote has is damaged.
    Damaged,
}

/// Content that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evictable {
    /// The content of a file.
    pub id: Id,
    /// Its bytes.
    pub size: u64,
    /// The newest run that made it.
    pub run: String,
    /// Why it stays; `None` if it goes.
    pub stays: Option<Stays>,
}

/// What an eviction came to.
#[derive(Debug, Clone, Default)]
pub struct EvictReport {
    /// The place that has it, for people.
    pub place: String,
    /// Everything that was chosen.
    pub items: Vec<Evictable>,
    /// What became of the files of the store.
    pub done: evict::Evicted,
}

/// Something that may go, with the refs of the runs that made it.
struct Chosen {
    size: u64,
    at: Micros,
    run: String,
    keys: Vec<Vec<u8>>,
}

/// Drops the bytes of outputs that `options` choose and `remote` proves now to have, with a record of a run that keeps them there.
///
/// # Errors
/// When the remote can't be reached or read: nothing goes then. [`Error::SameStore`] if it is this very store.
pub fn evict(repo: &Repo, from: &Remote, means: &Means, options: &EvictOptions<'_>) -> Result<EvictReport, Error> {
    let known = repo.settings().remotes().into_iter().map(|(name, ..)| name.to_owned()).collect::<Vec<_>>();
    if !known.contains(&from.name) {
        // What goes has to be found again by the name.
        return Err(Error::UnknownRemote { name: super::address::redacted(&from.url), known });
    }
    let mut unproven: HashMap<Id, Stays> = HashMap::new();
    let mut attempts = 0;
    loop {
        attempts += 1;
        match once(repo, from, means, options, &mut unproven) {
            Err(Error::Store(store::Error::Outdated)) if attempts < ATTEMPTS => {}
            done => return done,
        }
    }
}

fn once(
    repo: &Repo,
    from: &Remote,
    means: &Means,
    options: &EvictOptions<'_>,
    unproven: &mut HashMap<Id, Stays>,
) -> Result<EvictReport, Error> {
    let snapshot = repo.store().snapshot()?;
    let chosen = choose(repo, &snapshot, options)?;
    let far = open(repo, from, means)?;
    let mut report = EvictReport { place: far.store().backend().place(), ..EvictReport::default() };
    let wanted: Vec<(&Id, &Chosen)> = chosen.iter().filter(|(id, _)| !unproven.contains_key(*id)).collect();
    for (id, stays) in unprovable(&far, &wanted, options)? {
        unproven.insert(id, stays);
    }
    report.items = chosen
        .iter()
        .map(|(id, chosen)| Evictable {
            id: *id,
            size: chosen.size,
            run: chosen.run.clone(),
            stays: unproven.get(id).copied(),
        })
        .collect();
    let going: HashSet<Id> = report.items.iter().filter(|item| item.stays.is_none()).map(|item| item.id).collect();
    if going.is_empty() || options.is_dry {
        return Ok(report);
    }
    mark(repo, from, far.store().id(), &going)?;
    drop(far);
    let result = (|| {
        // The marks are part of the state that is worked on.
        let snapshot = repo.store().snapshot()?;
        let mut late = None;
        let ids: Vec<Id> = going.iter().copied().collect();
        let done =
            evict::evict(&snapshot, &ids, &all_targets, "evict", (options.progress, options.cancel), &mut || {
                // Asked anew, over a connection of its own: what was read before proves nothing about now.
                let proven = open(repo, from, means).and_then(|far| {
                    let wanted: Vec<(&Id, &Chosen)> = chosen.iter().filter(|(id, _)| going.contains(*id)).collect();
                    unprovable(&far, &wanted, options)
                });
                match proven {
                    Ok(lost) => {
                        let is_proven = lost.is_empty();
                        unproven.extend(lost);
                        Ok(is_proven)
                    }
                    Err(err) => {
                        late = Some(err);
                        Ok(false)
                    }
                }
            });
        match (done, late) {
            (_, Some(err)) => Err(err),
            (done, None) => Ok(done?),
        }
    })();
    unmark(repo, from, &going)?;
    report.done = result?;
    Ok(report)
}

fn open(repo: &Repo, from: &Remote, means: &Means) -> Result<Snapshot, Error> {
    let store = place::open(&from.address, repo.world(), means)?;
    let place = store.backend().place();
    if store.id() == repo.store().id() {
        return Err(Error::SameStore { place });
    }
    let far = store.snapshot().map_err(Error::at(&place))?;
    match far.damaged_entry() {
        // What happened there is not known, so nothing is proven.
        Some(damage) => Err(Error::Forged { place, what: format!("{}: {}", damage.file, damage.what) }),
        None => Ok(far),
    }
}

/// Which of these the remote does not prove to have; `wanted` is sorted by ids.
fn unprovable(
    far: &Snapshot,
    wanted: &[(&Id, &Chosen)],
    options: &EvictOptions<'_>,
) -> Result<Vec<(Id, Stays)>, Error> {
    let place = far.store().backend().place();
    let kept = kept_there(far, wanted).map_err(Error::at(&place))?;
    let leaving = leaving_there(far).map_err(Error::at(&place))?;
    let mut unproven = Vec::new();
    for part in wanted.chunks(PROVEN) {
        if options.cancel.is_raised() {
            return Err(Error::Cancelled);
        }
        let mut asked = Vec::with_capacity(part.len());
        for (id, chosen) in part {
            if leaving.contains(*id) {
                unproven.push((**id, Stays::LeavesThere));
            } else if !chosen.keys.iter().any(|key| kept.contains(key.as_slice())) {
                unproven.push((**id, Stays::NotKept));
            } else {
                asked.push(**id);
            }
        }
        let before = unproven.len();
        not_live(far, &asked, &mut unproven)?;
        if options.reads_content {
            let missing: HashSet<Id> = unproven[before..].iter().map(|(id, _)| *id).collect();
            for id in asked.iter().filter(|id| !missing.contains(*id)) {
                let stays = match far.copy(id, &mut std::io::sink()) {
                    Ok(Some(_)) => continue,
                    Ok(None) => Stays::NotThere,
                    Err(AccessError::Damaged { .. } | AccessError::Changed) => Stays::Damaged,
                    Err(err) => return Err(err.into()),
                };
                unproven.push((*id, stays));
            }
        }
    }
    // What could not be read there proves nothing.
    if let Some(damage) = far.damage().into_iter().find(|damage| damage.file.starts_with("tables/")) {
        return Err(Error::Forged { place, what: format!("{}: {}", damage.file, damage.what) });
    }
    Ok(unproven)
}

/// Which of the runs that made something the remote has, with a record that can be read: the keys of their refs.
fn kept_there<'a>(far: &Snapshot, wanted: &[(&Id, &'a Chosen)]) -> Result<HashSet<&'a [u8]>, store::Error> {
    let keys: BTreeSet<&[u8]> = wanted.iter().flat_map(|(_, chosen)| &chosen.keys).map(Vec::as_slice).collect();
    let keys: Vec<&[u8]> = keys.into_iter().collect();
    let mut known = far.get_refs(&keys)?.into_iter();
    let is_record = |key: &[u8]| {
        let object = key::run_and_object(key).map(|(_, object)| object);
        object.is_some_and(|object| matches!(far.read(&object), Ok(Some((kind, _))) if kind == Kind::RUN))
    };
    Ok(keys.into_iter().filter(|key| known.next().flatten().is_some() && is_record(key)).collect())
}

/// What the remote itself is about to drop, or has dropped.
fn leaving_there(far: &Snapshot) -> Result<HashSet<Id>, store::Error> {
    let mut leaving = HashSet::new();
    for item in far.scan(&key::presences(), Direction::Forward) {
        let (key, _) = item?;
        leaving.extend(key::components(&key).and_then(|parts| Id::from_bytes(parts.get(1)?)));
    }
    Ok(leaving)
}

/// Names those of `ids`, sorted, of which the remote has not everything in packs that are there to stay. Most often it has all of them, which one
/// look into its indexes tells; else each half is asked for.
fn not_live(far: &Snapshot, ids: &[Id], unproven: &mut Vec<(Id, Stays)>) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let stays = match far.find_all(ids) {
        Ok(Some(ground)) if ground.packs.iter().all(|pack| far.state().is_live(pack)) => return Ok(()),
        Ok(_) => Stays::NotThere,
        Err(AccessError::Damaged { .. } | AccessError::Changed) => Stays::Damaged,
        Err(err) => return Err(err.into()),
    };
    if let [id] = ids {
        unproven.push((*id, stays));
        return Ok(());
    }
    let (one, other) = ids.split_at(ids.len() / 2);
    not_live(far, one, unproven)?;
    not_live(far, other, unproven)
}

/// Says of contents that they are elsewhere, in as many transactions as it takes.
fn mark(repo: &Repo, from: &Remote, far: &str, going: &HashSet<Id>) -> Result<(), Error> {
    let value = entry::encode(&Presence { at: repo.now(), store: far.to_owned() })?;
    let mut ids: Vec<&Id> = going.iter().collect();
    ids.sort_unstable();
    for (at, part) in ids.chunks(MARKS).enumerate() {
        let op = repo.new_op();
        repo.store().publish(op, "evict", &mut |snapshot| -> Result<Option<Draft>, Error> {
            let mut edits = Vec::new();
            for id in part {
                let key = key::presence(id, &from.name);
                if snapshot.get_ref(&key)?.is_none() {
                    edits.push(RefEdit::set(key, value.clone()));
                }
            }
            if at == 0 {
                let line = Line {
                    about: format!("content of {} files, to {}", going.len(), from.name),
                    never: "`prov fetch --content` brings the bytes back".to_owned(),
                    ..Line::of(repo, "evict")
                };
                edits.push(line.edit(repo, op, repo.now())?);
            }
            Ok((!edits.is_empty()).then(|| Draft { edits, ..Draft::default() }))
        })?;
    }
    Ok(())
}

/// Takes marks back of contents that are here after all.
fn unmark(repo: &Repo, from: &Remote, going: &HashSet<Id>) -> Result<(), Error> {
    let mut here = Vec::new();
    let snapshot = repo.store().snapshot()?;
    for id in going {
        if snapshot.locate_live(id)?.is_some() {
            here.push(*id);
        }
    }
    for part in here.chunks(MARKS) {
        repo.store().publish(repo.new_op(), "evict", &mut |snapshot| -> Result<Option<Draft>, Error> {
            let mut edits = Vec::new();
            for id in part {
                let key = key::presence(id, &from.name);
                // Another eviction may have dropped it since.
                if let Some(old) = snapshot.get_ref(&key)?
                    && snapshot.locate_live(id)?.is_some()
                {
                    edits.push(RefEdit::delete(key, old));
                }
            }
            Ok((!edits.is_empty()).then(|| Draft { edits, ..Draft::default() }))
        })?;
    }
    Ok(())
}

/// The contents of files that may go by what was asked, with the runs that made them.
fn choose(repo: &Repo, snapshot: &Snapshot, options: &EvictOptions<'_>) -> Result<BTreeMap<Id, Chosen>, Error> {
    let mut scenarios = Vec::new();
    for name in &options.scenarios {
        if !crate::scenario::exists(snapshot, repo.project(), name)? {
            let known = crate::scenario::names(repo, snapshot)?;
            return Err(crate::scenario::Error::NotFound { name: name.clone(), known }.into());
        }
        scenarios.push(crate::scenario::born(snapshot, repo.project(), name)?);
    }
    let own = key::runs_of_project(repo.project());
    let mut newest: HashMap<(String, String), usize> = HashMap::new();
    let mut walk = Walk { snapshot, trees: HashMap::new() };
    let mut stay: HashSet<Id> = HashSet::new();
    let mut go: BTreeMap<Id, Chosen> = BTreeMap::new();
    for item in snapshot.scan(&key::all_runs(), Direction::Backward) {
        if options.cancel.is_raised() {
            return Err(Error::Cancelled);
        }
        let (key, value) = item?;
        let line: RunLine = entry::decode(&value)?;
        let scenario = key::scenario_of_run(&key).unwrap_or_default();
        let mut may_go = key.starts_with(&own)
            && (scenarios.is_empty() || scenarios.contains(&scenario))
            && (options.steps.is_empty() || options.steps.contains(&line.step))
            && options.before.is_none_or(|before| line.at < before);
        if line.status == Status::Success && key.starts_with(&own) {
            let count = newest.entry((scenario, line.step.clone())).or_default();
            may_go &= options.keep_newest.is_none_or(|keep| *count >= keep);
            *count += 1;
        }
        let Some((_, bytes)) = snapshot.read(&line.object)? else { continue };
        let run = RunRecord::decode(&bytes)?.into_head();
        let outputs = run.outputs.values().map(|output| &output.content);
        let logs = run.logs.values().map(|log| log.id);
        stay.extend(logs);
        for content in outputs {
            for (id, size) in walk.files(content)?.iter() {
                if !may_go {
                    stay.insert(*id);
                    continue;
                }
                let chosen = go.entry(*id).or_insert_with(|| Chosen {
                    size: *size,
                    at: line.at,
                    run: run.run.clone(),
                    keys: Vec::new(),
                });
                if line.at > chosen.at {
                    (chosen.at, chosen.run) = (line.at, run.run.clone());
                }
                if chosen.keys.len() < 8 {
                    chosen.keys.push(key.clone());
                }
            }
        }
    }
    // What is staged or named by itself has nothing else that keeps it.
    for kind in ["workspaces", "tags"] {
        for item in snapshot.scan(&key::all_of(kind), Direction::Forward) {
            let (key, value) = item?;
            for id in all_targets(&key, &value).unwrap_or_default() {
                stay.insert(id);
                if snapshot.header(&id)?.is_some_and(|(kind, _)| kind == Kind::TREE) {
                    stay.extend(walk.files(&Content::Tree(id))?.iter().map(|(id, _)| *id));
                }
            }
        }
    }
    let mut here: u64 = 0;
    let mut left = BTreeMap::new();
    for id in &stay {
        if options.max_size.is_some()
            && let Some((_, len)) = snapshot.header(id)?
        {
            here += len;
        }
    }
    for (id, chosen) in go {
        if !stay.contains(&id) && snapshot.locate_live(&id)?.is_some() {
            here += chosen.size;
            left.insert(id, chosen);
        }
    }
    if let Some(most) = options.max_size {
        let mut by_age: Vec<(Micros, Id, u64)> =
            left.iter().map(|(id, chosen)| (chosen.at, *id, chosen.size)).collect();
        by_age.sort_unstable();
        let mut goes = HashSet::new();
        for (_, id, size) in by_age {
            if here <= most {
                break;
            }
            here = here.saturating_sub(size);
            goes.insert(id);
        }
        left.retain(|id, _| goes.contains(id));
    }
    Ok(left)
}

type Files = std::sync::Arc<Vec<(Id, u64)>>;

/// The files of contents, each tree gone through once.
struct Walk<'a> {
    snapshot: &'a Snapshot,
    trees: HashMap<Id, Files>,
}

impl Walk<'_> {
    fn files(&mut self, content: &Content) -> Result<Files, Error> {
        match content {
            Content::External(..) => Ok(Files::default()),
            Content::Blob(id) => {
                let size = self.snapshot.header(id)?.map_or(0, |(_, len)| len);
                Ok(std::sync::Arc::new(vec![(*id, size)]))
            }
            Content::Tree(root) => {
                if let Some(known) = self.trees.get(root) {
                    return Ok(std::sync::Arc::clone(known));
                }
                let mut files = Vec::new();
                let (mut todo, mut seen) = (vec![*root], HashSet::from([*root]));
                while let Some(id) = todo.pop() {
                    let listed = tree::list(id, &mut |id| match self.snapshot.read(id) {
                        Ok(Some((_, bytes))) => Ok(bytes),
                        Ok(None) => Err(None),
                        Err(err) => Err(Some(err)),
                    });
                    let entries = match listed {
                        Ok(entries) => entries,
                        // It is elsewhere, and so is what it lists.
                        Err(tree::ListError::Read(None)) => continue,
                        Err(tree::ListError::Read(Some(err))) => return Err(err.into()),
                        Err(tree::ListError::Object(err)) => return Err(err.into()),
                    };
                    for entry in entries {
                        match entry.kind {
                            EntryKind::Tree if seen.insert(entry.id) => todo.push(entry.id),
                            EntryKind::Tree => {}
                            EntryKind::File | EntryKind::Exec | EntryKind::Link => files.push((entry.id, entry.size)),
                        }
                    }
                }
                let files = Files::new(files);
                self.trees.insert(*root, std::sync::Arc::clone(&files));
                Ok(files)
            }
        }
    }
}

//! Seeing to what dead processes left: runs that were killed become aborted ones, finished ones are published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::live::{Entry, Live, State};
use super::observer::Stream;
use super::publish::{ClosedRun, Pending};
use super::{Error, record};
use crate::clock::Micros;
use crate::hash::Id;
use crate::host::Liveness;
use crate::object::recipe::Content;
use crate::object::run::{Log, Run, RunError, RunKind, Status};
use crate::object::{self, Kind, Record, RunRecord, Sink, id_of};
use crate::path::from_bytes;
use crate::repo::Repo;
use crate::run::Session;
use crate::store::{Draft, OpId};
use crate::worktree::{self, CaptureOptions};

/// Runs inside each other that are put in order; there are three levels.
const MOST_LEVELS: usize = 8;

/// How long what is left of a dead run's child may take to die.
const PATIENCE: Duration = Duration::from_secs(5);

const INCOMPLETE: &str = "parts of it could not be recorded";

/// What was done about one entry of the live folder.
#[derive(Debug)]
pub enum Settled {
    /// A killed run is on record as aborted.
    Aborted {
        /// Its run id.
        run: String,
    },
    /// A finished run is on record now.
    Published {
        /// Its run id.
        run: String,
    },
    /// It could not be seen to.
    Left {
        /// Its run id.
        run: String,
        /// Why.
        why: String,
    },
    /// A finished run that was never flushed can't be read any more, after a power cut for one. It is on no record.
    Lost {
        /// Its run id, or what is known of it.
        run: String,
    },
}

/// Settles what dead processes left in the live folder. Costs one listing when there is nothing.
///
/// # Errors
/// When the live folder can't be listed. What can't be settled is told of and left.
pub fn settle(repo: &Repo) -> Result<Vec<Settled>, Error> {
    let live = super::live_folder(repo);
    if live.is_empty()? {
        return Ok(Vec::new());
    }
    let _ = live.sweep();
    let mut settled = Vec::new();
    let entries = entries(&live, &mut settled)?;
    settle_all(repo, &live, entries, &mut BTreeMap::new(), &mut settled);
    Ok(settled)
}

/// Everything in the live folder that can be settled. A run that was killed between being closed and its folder's end is a finished one: so
/// while it can't be read which runs inside of another are finished, nothing is done about that one and what is inside of it.
fn entries(live: &Live, settled: &mut Vec<Settled>) -> Result<Vec<Entry>, Error> {
    let mut entries = live.list()?;
    let mut closed: BTreeMap<String, State> = BTreeMap::new();
    let mut unread = BTreeSet::new();
    for entry in entries.iter().filter(|entry| entry.state == State::Dead) {
        let parts = live.closed(entry);
        closed.extend(parts.runs.into_iter().map(|closed| (closed.run, closed.state)));
        if let Some(why) = parts.unread.into_iter().next() {
            settled.push(Settled::Left { run: entry.run.clone(), why });
            unread.insert(entry.run.clone());
        }
    }
    if !unread.is_empty() {
        let around = around(&entries);
        entries.retain(|entry| !chain_of(&around, &entry.run).any(|run| unread.contains(run)));
    }
    for entry in entries.iter_mut().filter(|entry| entry.state == State::Dead) {
        if let Some(state) = closed.get(&entry.run) {
            entry.state = state.clone();
        }
    }
    Ok(entries)
}

/// The run around each.
fn around(entries: &[Entry]) -> BTreeMap<String, String> {
    entries.iter().filter_map(|entry| Some((entry.run.clone(), parent_of(entry)?))).collect()
}

/// A run, the one around it, and so on.
fn chain_of<'a>(around: &'a BTreeMap<String, String>, run: &'a String) -> impl Iterator<Item = &'a String> {
    std::iter::successors(Some(run), |run| around.get(*run)).take(1 + MOST_LEVELS)
}

/// Objects of runs by the run around them.
type Children = BTreeMap<String, BTreeMap<String, Id>>;

/// Settles entries: parts before what they are part of, so that it names them; of parts, the finished ones first.
fn settle_all(repo: &Repo, live: &Live, mut entries: Vec<Entry>, known: &mut Children, settled: &mut Vec<Settled>) {
    let around = around(&entries);
    let depth = |run: &String| chain_of(&around, run).count();
    entries.sort_by_cached_key(|entry| {
        (live.has_parked(entry), !matches!(entry.state, State::Finished { .. }), std::cmp::Reverse(depth(&entry.run)))
    });
    // Runs of which a part is still to be recorded.
    let mut incomplete = BTreeSet::new();
    for entry in entries {
        if incomplete.contains(&entry.run) && matches!(entry.state, State::Finished { owner: Liveness::Dead, .. }) {
            incomplete.extend(parent_of(&entry));
            settled.push(Settled::Left { run: entry.run.clone(), why: INCOMPLETE.to_owned() });
            continue;
        }
        let is_over = matches!(entry.state, State::Dead | State::Finished { owner: Liveness::Dead, .. });
        // Seeing to what is inside of it leaves traces in its folder.
        let last_sign = entry.last_sign(live);
        if is_over && live.has_parked(&entry) {
            let parts = live.parked(&entry);
            settled.extend(parts.lost.into_iter().map(|run| Settled::Lost { run }));
            settle_all(repo, live, parts.runs, known, settled);
            forget_recorded(repo, live, &entry);
            let left = live.parked(&entry);
            let why = left.unread.into_iter().next().or_else(|| left.runs.first().map(|_| INCOMPLETE.to_owned()));
            if let Some(why) = why {
                incomplete.extend(parent_of(&entry));
                settled.push(Settled::Left { run: entry.run.clone(), why });
                continue;
            }
        }
        let children = known.remove(&entry.run).unwrap_or_default();
        let Some(done) = settle_one(repo, live, &entry, last_sign, children) else { continue };
        let parent = parent_of(&entry);
        if matches!(done, Settled::Left { .. }) {
            incomplete.extend(parent.clone());
        }
        settled.push(done);
        let snapshot = parent.as_ref().and_then(|_| repo.store().snapshot().ok());
        let object = snapshot.and_then(|snapshot| recorded(&snapshot, &entry.run).ok().flatten());
        if let (Some(parent), Some(object)) = (parent, object) {
            known.entry(parent).or_default().insert(entry.run.clone(), object);
        }
    }
}

/// Removes the files of finished runs inside of an entry once all of them were read and are on record.
fn forget_recorded(repo: &Repo, live: &Live, entry: &Entry) {
    let Ok(snapshot) = repo.store().snapshot() else { return };
    let closed = live.closed(entry);
    let is_recorded = |closed: &Entry| recorded(&snapshot, &closed.run).is_ok_and(|object| object.is_some());
    if closed.unread.is_empty() && closed.runs.iter().all(is_recorded) {
        live.forget_closed(entry);
    }
}

/// The run that an entry's run is a part of.
fn parent_of(entry: &Entry) -> Option<String> {
    entry.intent.as_ref().and_then(|intent| intent.parent.clone())
}

/// Settles one entry; `None` if it is none of our business.
fn settle_one(
    repo: &Repo,
    live: &Live,
    entry: &Entry,
    last_sign: Micros,
    children: BTreeMap<String, Id>,
) -> Option<Settled> {
    let run = entry.run.clone();
    let done = match &entry.state {
        State::Running | State::Unknown { .. } | State::Finished { owner: Liveness::Alive, .. } => return None,
        State::Dead => abort(repo, live, entry, last_sign, children).map(|()| Settled::Aborted { run: run.clone() }),
        State::Finished { payload, .. } => {
            finish(repo, live, entry, payload).map(|()| Settled::Published { run: run.clone() })
        }
        State::Damaged { what } => return Some(Settled::Left { run, why: what.clone() }),
    };
    Some(done.unwrap_or_else(|err| Settled::Left { run, why: super::chain(&err) }))
}

/// The object under which a run is on record.
fn recorded(snapshot: &crate::store::Snapshot, run: &str) -> Result<Option<Id>, Error> {
    let Some(value) = snapshot.get_ref(&crate::refs::key::id(run))? else { return Ok(None) };
    let place: crate::repo::entry::RunPlace =
        crate::repo::entry::decode(&value).map_err(|source| Error::Ref { source })?;
    Ok(Some(place.object))
}

fn op(entry: &Entry) -> Option<OpId> {
    entry.intent.as_ref().map(|intent| OpId::from_bytes(intent.op))
}

/// Records a killed run as aborted, with what it had printed.
fn abort(
    repo: &Repo,
    live: &Live,
    entry: &Entry,
    last_sign: Micros,
    children: BTreeMap<String, Id>,
) -> Result<(), Error> {
    let (Some(intent), Some(op)) = (&entry.intent, op(entry)) else { return Ok(()) };
    for path in &intent.outputs {
        let path = repo.root().join(from_bytes(path));
        // What stays is litter, no harm.
        let _ = worktree::restore::sweep(repo.fs(), &path, intent.owner.pid);
    }
    for claim in &intent.sets {
        sweep_below(repo, &repo.root().join(from_bytes(&claim.root)), intent.owner.pid);
    }
    if !intent.is_of_a_run() {
        // A claim of something that brought outputs back: nothing was executed, so nothing is recorded.
        live.end_at(&entry.dir, &entry.run)?;
        return Ok(());
    }
    if !entry.end_child(live, PATIENCE) {
        return Err(Error::Usage { what: "processes that it left behind could not be ended".to_owned() });
    }
    let snapshot = repo.store().snapshot()?;
    if recorded(&snapshot, &entry.run)?.is_some() {
        // It became history together with others, and its process had no time to remove it from here.
        live.end_at(&entry.dir, &entry.run)?;
        return Ok(());
    }
    let intake = repo.store().intake(&snapshot);
    let mut logs = BTreeMap::new();
    for stream in Stream::ALL {
        let io = |source| Error::io("read", &entry.dir, source);
        let spooled = entry.spooled(live, stream).map_err(io)?;
        if spooled.is_empty() {
            continue;
        }
        let (id, size) = crate::hash::blob_from(&mut spooled.reader(repo.fs()).map_err(io)?).map_err(io)?;
        intake.put_blob(&id, size, &mut spooled.reader(repo.fs()).map_err(io)?)?;
        logs.insert(stream.name().to_owned(), Log { id, size, cut: spooled.is_cut() });
    }
    // As good as a pure function of what lies in the live folder: whoever settles it first has the last word.
    let mut run = match drafted(entry, live) {
        Some((mut run, pending)) => {
            fill(repo, &intake, &pending, &mut run)?;
            run
        }
        None => {
            let kind = if is_task(live, intent) { RunKind::Task } else { RunKind::Command };
            Run { kind, ..of_intent(intent) }
        }
    };
    run.meta.remove(super::started::SEEN);
    run.status = Status::Aborted;
    run.failed_in = Some(crate::object::run::Phase::Run);
    run.sealed = false;
    // Files have their times from a coarser clock, which may lag behind.
    run.finished_at = last_sign.max(run.started_at);
    let (kind, message) = match &intent.open {
        None => ("killed", "prov was killed while the command ran; it ends with its last sign of life"),
        Some(_) => ("abandoned", "it was started and not finished before its owner ended or its time was over"),
    };
    run.error = Some(RunError { kind: kind.to_owned(), message: message.to_owned(), run: None });
    run.logs = logs;
    run.children = live.children(&entry.run);
    run.children.extend(children);
    let session = Session::new(repo, repo.root().to_owned());
    // Secrets were looked for when a note was made; here nobody knows them.
    let none = super::Secrets::default();
    super::logged::apply(&session, &snapshot, &live.notes(&entry.run), &mut run, &intake, &none, &mut Vec::new())?;
    publish(repo, intake, op, run)?;
    live.end_at(&entry.dir, &entry.run)?;
    Ok(())
}

/// What was written down of a run while it ran.
pub(super) fn drafted(entry: &Entry, live: &Live) -> Option<(Run, Pending)> {
    let payload = entry.draft(live)?;
    let pending: Pending = crate::codec::decode(&payload, &crate::codec::Limits::RECORD).ok()?;
    let run = written_down(&pending).ok().filter(|run| run.run == entry.run)?;
    Some((run, pending))
}

/// The run that waits: its record tells all of it.
fn written_down(pending: &Pending) -> Result<Run, object::Error> {
    let rule = || "its inputs stand elsewhere".to_owned();
    RunRecord::decode(&pending.run)?.whole_with(|_| Err(object::Error::Invalid { kind: Kind::RUN, rule: rule() }))
}

/// Whether the run around an intent's run is a step that died with it: then it is a task of a pipeline.
fn is_task(live: &Live, intent: &super::live::Intent) -> bool {
    let Some(parent) = &intent.parent else { return false };
    let entries = live.list().unwrap_or_default();
    let parked: Vec<Entry> =
        entries.iter().filter(|entry| live.has_parked(entry)).flat_map(|entry| live.parked(entry).runs).collect();
    let around = entries.iter().chain(&parked).find(|entry| entry.run == *parent);
    around.and_then(|entry| drafted(entry, live)).is_some_and(|(run, _)| run.kind == RunKind::Step)
}

/// All that an intent tells.
fn of_intent(intent: &super::live::Intent) -> Run {
    Run {
        parent: intent.parent.clone(),
        argv: intent.argv.clone(),
        cwd: intent.cwd.clone(),
        host: Some(intent.owner.host.clone()),
        ..Run::begun(&intent.run, &intent.project, &intent.scenario, RunKind::Command, &intent.step, intent.started_at)
    }
}

/// Removes what a dead process left when it was restoring files anywhere below a folder.
fn sweep_below(repo: &Repo, folder: &std::path::Path, pid: u32) {
    let scanned = worktree::scan(repo.fs(), folder, &worktree::ScanOptions::default(), &crate::progress::Cancel::new());
    let Ok(scan) = scanned else { return };
    for inner in &scan.folders {
        let _ = worktree::restore::sweep(repo.fs(), &scan.path(&inner.path).join("x"), pid);
    }
}

fn publish(repo: &Repo, intake: crate::store::Intake, op: OpId, mut run: Run) -> Result<Id, Error> {
    let closed = ClosedRun::of(&mut run)?;
    closed.put(&intake)?;
    let object = closed.object;
    let collected = Arc::new(intake.finish()?);
    repo.store().publish(op, "settle", &mut |snapshot| -> Result<Option<Draft>, Error> {
        let mut edits = record::edits(snapshot, &run, object)?;
        let line = super::publish::line(repo, "settle", &run, object);
        edits.push(line.edit(repo, op, run.finished_at).map_err(|source| Error::Ref { source })?);
        Ok(Some(super::draft_of(Arc::clone(&collected), edits)))
    })?;
    Ok(object)
}

/// Publishes a finished run that had to wait. Outputs that are no longer what they were are recorded without their bytes.
fn finish(repo: &Repo, live: &Live, entry: &Entry, payload: &[u8]) -> Result<(), Error> {
    let Some(op) = op(entry) else { return Ok(()) };
    let pending: Pending =
        crate::codec::decode(payload, &crate::codec::Limits::RECORD).map_err(|source| Error::Ref { source })?;
    let mut run = written_down(&pending).map_err(|source| Error::Record { run: entry.run.clone(), source })?;
    let snapshot = repo.store().snapshot()?;
    if recorded(&snapshot, &entry.run)?.is_some() {
        live.end_at(&entry.dir, &entry.run)?;
        return Ok(());
    }
    // A part that had to wait as well may have become another record than was thought, or none.
    let mut children = BTreeMap::new();
    for part in run.children.keys() {
        if let Some(object) = recorded(&snapshot, part)? {
            children.insert(part.clone(), object);
        }
    }
    run.children = children;
    let intake = repo.store().intake(&snapshot);
    fill(repo, &intake, &pending, &mut run)?;
    let logs = std::mem::take(&mut run.logs);
    for (stream, log) in logs {
        let Some(which) = Stream::ALL.into_iter().find(|s| s.name() == stream) else { continue };
        let kept = entry.spooled(live, which).ok().and_then(|spooled| spooled.reader(repo.fs()).ok());
        if intake.has(&log.id)?
            || kept.is_some_and(|mut reader| intake.put_blob(&log.id, log.size, &mut reader).is_ok())
        {
            run.logs.insert(stream, log);
        }
    }
    publish(repo, intake, op, run)?;
    live.end_at(&entry.dir, &entry.run)?;
    Ok(())
}

/// Collects what a run that was written down before needs in the store, as far as it can still be had: what lies there and is still the
/// same. What is not is recorded by its hash only.
pub(super) fn fill(repo: &Repo, intake: &crate::store::Intake, pending: &Pending, run: &mut Run) -> Result<(), Error> {
    let session = Session::new(repo, repo.root().to_owned());
    for (kind, bytes) in &pending.objects {
        intake.put(kind, &id_of(kind, bytes), bytes)?;
    }
    let have =
        |path: &[u8], content: &Content, options: &CaptureOptions| have(&session, intake, path, content, options);
    let whole = CaptureOptions::default();
    if !run.is_hit() {
        for input in run.inputs.values_mut() {
            input.stored = input.stored && have(&input.path, &input.content, &whole);
        }
        for output in run.outputs.values_mut() {
            let options = super::outputs::recorded(output);
            output.stored = output.stored && have(&output.path, &output.content, &options);
        }
    }
    for (path, id) in &pending.code {
        // Code that changed since is lost; the tree still names it.
        have(path, &Content::Blob(*id), &whole);
    }
    Ok(())
}

/// Whether the store has some content, or is given it now because it lies at `path`.
pub(super) fn have(
    session: &Session<'_>,
    intake: &crate::store::Intake,
    path: &[u8],
    content: &Content,
    options: &CaptureOptions,
) -> bool {
    let id = content.id();
    if intake.has(&id).unwrap_or(false) {
        return true;
    }
    let Ok(place) = session.repo.place_of(session.repo.root(), path) else { return false };
    // Looked at first: what is something else by now is not stored.
    let look = |sink| worktree::capture(&session.worktree(), &place, options, sink);
    let is_same = |captured: Result<worktree::Captured, worktree::Error>| captured.is_ok_and(|c| c.content == *content);
    is_same(look(None)) && is_same(look(Some(intake as &dyn Sink)))
}

#[cfg(test)]
mod tests;

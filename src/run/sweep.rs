//! Many runs of one step, several at once: each is looked up, executed and recorded as by [`super::perform`], and becomes history together
//! with others of its batch.
//!
//! The sweep has a record of its own, whose children are the runs of its rows. A row whose result is known, and that says nothing new of it,
//! is that run. A row that failed is on record as any failure, so doing the same sweep again takes the results of the others and executes it alone.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bstr::BString;

use super::batch::{Batch, Flushed};
use super::elsewhere::Elsewhere;
use super::guard::Guard;
use super::interrupts::{self, Interrupter, Interrupts};
use super::observer::{Observer, Stream};
use super::part::{At, Ended as BodyEnded, Part};
use super::prepare::Environment;
use super::publish::Publication;
use super::request::Request;
use super::session::Session;
use super::{Error, OutputAction, Performed, Surroundings, chain, name, persist_part};
use crate::codec::Value;
use crate::hash::Id;
use crate::object::run::{Cache, Run, RunError, RunKind, Status};
use crate::path::Place;
use crate::repo::Repo;

/// How long a closed run waits for others.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes at the end of what a command wrote to standard error in which its last line is looked for.
const TAIL: usize = 4096;
/// Characters of that line that are kept.
const LINE: usize = 200;

/// What is to be done.
#[derive(Debug)]
pub struct Order<'a> {
    /// The step of all rows, as the record of the sweep names it.
    pub step: &'a str,
    /// A request a row.
    pub requests: &'a [Request],
    /// The words that asked for it, for the record.
    pub words: Vec<BString>,
    /// What is said of it: the file of the rows, the columns.
    pub about: BTreeMap<String, Value>,
    /// How many at once.
    pub jobs: usize,
    /// Whether a failure stops the rest.
    pub stops_at_failure: bool,
    /// Time between asking a command to end and killing it.
    pub grace: Duration,
}

/// What it needs of its surroundings.
pub struct Around<'a> {
    /// The folder the user is in, absolute.
    pub cwd: std::path::PathBuf,
    /// The environment of this process, which commands inherit.
    pub environment: &'a Environment,
    /// Requests to stop.
    pub interrupts: &'a Interrupts,
    /// Ends what runs if this process is killed.
    pub guard: &'a Guard,
    /// Other stores that may have what is missing here.
    pub elsewhere: Option<&'a dyn Elsewhere>,
    /// Hears what happens.
    pub hear: &'a mut dyn FnMut(News<'_>),
}

impl std::fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").finish_non_exhaustive()
    }
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<'a> {
    /// A row was begun.
    Started(usize),
    /// A row has ended.
    Ended(usize, &'a Row),
    /// Something is not as it should be.
    Warning(String),
}

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It was executed, and is a success.
    Success,
    /// Its result was known.
    Hit,
    /// It failed, or could not be begun.
    Failure,
    /// It was stopped.
    Aborted,
    /// It was not begun.
    NotRun,
}

impl End {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Success => "success",
            End::Hit => "hit",
            End::Failure => "failure",
            End::Aborted => "aborted",
            End::NotRun => "not_run",
        }
    }

    /// Whether its result is there.
    pub fn is_good(self) -> bool {
        matches!(self, End::Success | End::Hit)
    }
}

/// What came of a row.
#[derive(Debug, Clone)]
pub struct Row {
    /// How it ended.
    pub end: End,
    /// Its run, or the one whose result it took; `None` if nothing is on record.
    pub run: Option<(String, Id)>,
    /// The exit code of its command.
    pub exit_code: Option<i32>,
    /// What went wrong.
    pub error: Option<RunError>,
    /// The last line that its command wrote to standard error.
    pub last_line: Option<String>,
    /// How long its command took, when it was executed; microseconds.
    pub duration_us: u64,
    /// Numbers that it gave.
    pub metrics: BTreeMap<String, Value>,
    /// Things that went not quite as they should.
    pub warnings: Vec<String>,
}

impl Row {
    fn not_run() -> Self {
        Self {
            end: End::NotRun,
            run: None,
            exit_code: None,
            error: None,
            last_line: None,
            duration_us: 0,
            metrics: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    fn failed(kind: &str, message: String) -> Self {
        let error = Some(RunError { kind: kind.to_owned(), message, run: None });
        Self { end: End::Failure, error, ..Self::not_run() }
    }
}

/// What came of all of it.
#[derive(Debug)]
pub struct Swept {
    /// The closed record.
    pub run: Run,
    /// Its object, if it is on record.
    pub object: Option<Id>,
    /// What came of each row, in order.
    pub rows: Vec<Row>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How many records could not be made history.
    pub unrecorded: usize,
}

/// Two rows that get in each other's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The row that writes, from 0.
    pub writer: usize,
    /// The other one.
    pub other: usize,
    /// Whether the other one reads what the first writes; else both write it.
    pub is_read: bool,
    /// Where.
    pub path: String,
}

/// Whether rows that run at the same time would write, or read, what another one writes: the same path, or one below the other.
pub fn collision(root: &Path, requests: &[Request]) -> Option<Collision> {
    // By path, so that what lies below a path follows it at once.
    let mut outputs: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let place = |request: &Request, path: &[u8]| {
        let cwd = root.join(crate::path::from_bytes(&request.cwd));
        let place = crate::path::locate(root, &cwd, &crate::path::from_bytes(path));
        let path = match &place {
            Place::Inside(path) => path.below(root),
            Place::Outside(path) => path.clone(),
        };
        crate::path::bytes(&path).to_vec()
    };
    let found = |writer: usize, other: usize, is_read: bool, path: &[u8]| {
        Some(Collision { writer, other, is_read, path: crate::path::shown(path) })
    };
    for (at, request) in requests.iter().enumerate() {
        for output in &request.outputs {
            let path = place(request, &output.path);
            if let Some(&other) = outputs.get(&path).filter(|other| **other != at) {
                return found(other, at, false, &path);
            }
            outputs.insert(path, at);
        }
        for set in &request.output_sets {
            // Of one folder rows may write different files; with the same patterns they can't.
            let mut path = place(request, &set.root);
            path.push(0);
            path.extend(set.files.include.join("\0").into_bytes());
            if let Some(&other) = outputs.get(&path).filter(|other| **other != at) {
                return found(other, at, false, path.split(|&b| b == 0).next().unwrap_or_default());
            }
            outputs.insert(path, at);
        }
    }
    let is_below = |path: &[u8], above: &[u8]| path.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'));
    for (path, &at) in &outputs {
        let mut above = &path[..];
        while let Some(slash) = above.iter().rposition(|&b| b == b'/') {
            above = &above[..slash];
            if let Some(&other) = outputs.get(above).filter(|other| **other != at) {
                return found(other, at, false, path);
            }
        }
    }
    for (at, request) in requests.iter().enumerate() {
        let inputs = request.inputs.iter().chain(&request.inputs_optional).map(|input| &input.path);
        for input in inputs.chain(&request.stdin).chain(&request.config_files) {
            let path = place(request, input);
            let mut above = &path[..];
            loop {
                if let Some(&other) = outputs.get(above).filter(|other| **other != at) {
                    return found(other, at, true, &path);
                }
                match above.iter().rposition(|&b| b == b'/') {
                    Some(slash) => above = &above[..slash],
                    None => break,
                }
            }
            let mut below = path.clone();
            below.push(b'/');
            let inside = outputs.range(below..).take_while(|(output, _)| is_below(output, &path));
            if let Some((output, &other)) = inside.into_iter().find(|(_, other)| **other != at) {
                return found(other, at, true, output);
            }
        }
    }
    None
}

/// Something that happened while rows were under way.
enum Event {
    Started(usize),
    Ended(usize, Box<Row>),
    Signals(Vec<i32>),
    /// A worker takes no more rows.
    Idle,
}

/// What a worker is stopped by.
struct Slot {
    interrupts: Interrupts,
    raise: Interrupter,
}

/// Does all rows.
///
/// # Errors
/// What keeps it from being begun or recorded at all: no such scenario, a store or live folder that can't be used. That rows fail is no error.
pub fn sweep(repo: &Repo, order: &Order<'_>, around: Around<'_>) -> Result<Swept, Error> {
    let scenario = order.requests.iter().find_map(|request| request.scenario.clone());
    let scenario = scenario.unwrap_or_else(|| repo.scenario().to_owned());
    let scenario = crate::scenario::open_for_runs(repo, &repo.store().snapshot()?, &scenario)?;
    let mut run = draft(repo, order, &scenario);
    let running = Batch::begin(repo, &run)?;
    let batch = Batch::new(repo, Some(running))?.with_grace(order.grace);
    let session = Session::new(repo, around.cwd.clone())
        .cancelled_by(around.interrupts.cancel())
        .in_batch(&batch)
        .with_elsewhere(around.elsewhere);
    let mut swept = Driver { rows: Vec::new(), children: BTreeMap::new(), unrecorded: 0, signal: None };
    let driven = swept.drive(&session, &batch, order, &run.run, around);
    session.save();
    drop(session);
    driven?;
    close(repo, &mut run, &mut swept);
    let (object, publication) = batch.close(&Arc::new(run.clone()), None)?;
    if let Publication::Lost(_) = publication {
        swept.unrecorded += 1;
    }
    let flushed = batch.flush();
    let is_done = flushed.done.iter().any(|(done, _)| done.run == run.run);
    swept.unrecorded += flushed.failed.len();
    if flushed.failed.is_empty() {
        // What stays is settled by the next command.
        let _ = batch.end();
    }
    let Driver { rows, unrecorded, signal, .. } = swept;
    Ok(Swept { object: is_done.then_some(object), run, rows, signal, unrecorded })
}

fn draft(repo: &Repo, order: &Order<'_>, scenario: &str) -> Run {
    let now = repo.now();
    // Not the step itself: its newest run is one of a row.
    let step = format!("map {}", order.step);
    let id = name::run_id(now, &step, &*repo.world().random);
    let first = order.requests.first();
    Run {
        argv: order.words.clone(),
        parent: first.and_then(|request| request.parent.clone()),
        correlation_id: first.and_then(|request| request.lifecycle.correlation_id.clone()),
        host: Some(repo.world().host.clone()),
        author: repo.world().author.clone(),
        error: Some(RunError { kind: "aborted".to_owned(), message: "prov was killed".to_owned(), run: None }),
        meta: BTreeMap::from([(
            "sweep".to_owned(),
            Value::Map(order.about.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
        )]),
        ..Run::begun(&id, repo.project(), scenario, RunKind::Sweep, &step, now)
    }
}

fn close(repo: &Repo, run: &mut Run, swept: &mut Driver) {
    run.finished_at = repo.now();
    run.sealed = true;
    run.children = std::mem::take(&mut swept.children);
    run.error = None;
    let count = |end: End| swept.rows.iter().filter(|row| row.end == end).count();
    let counts: Vec<(String, Value)> = [End::Success, End::Hit, End::Failure, End::Aborted, End::NotRun]
        .into_iter()
        .map(|end| (end.as_str().to_owned(), Value::Int(i128::try_from(count(end)).unwrap_or(i128::MAX))))
        .collect();
    if let Some(Value::Map(about)) = run.meta.get_mut("sweep") {
        about.push(("counts".to_owned(), Value::Map(counts)));
    }
    let failed = count(End::Failure);
    run.status = if let Some(signal) = swept.signal {
        run.signal = Some(signal);
        Status::Aborted
    } else if swept.rows.iter().all(|row| row.end.is_good()) {
        Status::Success
    } else {
        Status::Failure
    };
    if run.status != Status::Success {
        let message = match swept.signal {
            Some(signal) => format!("stopped by signal {signal}"),
            None => format!("{failed} of {} rows failed", swept.rows.len()),
        };
        let kind = if swept.signal.is_some() { "interrupted" } else { "rows" };
        run.error = Some(RunError { kind: kind.to_owned(), message, run: None });
    }
}

struct Driver {
    rows: Vec<Row>,
    children: BTreeMap<String, Id>,
    unrecorded: usize,
    signal: Option<i32>,
}

impl Driver {
    fn drive(
        &mut self,
        session: &Session<'_>,
        batch: &Batch<'_>,
        order: &Order<'_>,
        parent: &str,
        around: Around<'_>,
    ) -> Result<(), Error> {
        let Around { cwd: _, environment, interrupts, guard, hear, elsewhere: _ } = around;
        let system = |source| Error::io("start a thread for", session.repo.root(), source);
        let jobs = order.jobs.clamp(1, order.requests.len().max(1));
        let slots = (0..jobs)
            .map(|_| {
                let interrupts = Interrupts::by_hand()?;
                let raise = interrupts.interrupter();
                Ok(Slot { interrupts, raise })
            })
            .collect::<std::io::Result<Vec<Slot>>>()
            .map_err(system)?;
        self.rows = order.requests.iter().map(|_| Row::not_run()).collect();
        let (events, incoming) = channel();
        let (over, until_over) = std::os::unix::net::UnixStream::pair().map_err(system)?;
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let floor = Floor { session, environment, guard, order, parent, next: &next, stop: &stop };
        std::thread::scope(|scope| {
            let signals = {
                let events = events.clone();
                std::thread::Builder::new().name("signals".to_owned()).spawn_scoped(scope, move || {
                    while let Some(signals) = interrupts.next(until_over.as_fd()) {
                        if events.send(Event::Signals(signals)).is_err() {
                            break;
                        }
                    }
                })
            };
            let mut started = 0;
            for slot in &slots {
                let (floor, events) = (&floor, events.clone());
                let work = move || floor.work(slot, &events);
                started +=
                    usize::from(std::thread::Builder::new().name("row".to_owned()).spawn_scoped(scope, work).is_ok());
            }
            drop(events);
            if started > 0 {
                self.listen(&incoming, batch, &slots[..started], &floor, hear);
            }
            drop(over);
            let _ = signals.map(std::thread::ScopedJoinHandle::join);
            // With fewer threads it takes longer; without any it can't be done.
            if started == 0 { Err(system(std::io::ErrorKind::OutOfMemory.into())) } else { Ok(()) }
        })
    }

    /// Hears what workers say until all of them are done; there is one for each slot.
    fn listen(
        &mut self,
        incoming: &Receiver<Event>,
        batch: &Batch<'_>,
        slots: &[Slot],
        floor: &Floor<'_>,
        hear: &mut dyn FnMut(News<'_>),
    ) {
        let mut working = slots.len();
        let mut flushed_at = Instant::now();
        while working > 0 {
            let event = match incoming.recv_timeout(PAUSE) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match event {
                None => {}
                Some(Event::Idle) => working -= 1,
                Some(Event::Started(at)) => hear(News::Started(at)),
                Some(Event::Ended(at, row)) => {
                    if let Some((run, object)) = &row.run {
                        self.children.insert(run.clone(), *object);
                    }
                    hear(News::Ended(at, &row));
                    self.rows[at] = *row;
                }
                Some(Event::Signals(signals)) => self.heed(&signals, slots, floor),
            }
            if batch.waiting() > 0 && flushed_at.elapsed() >= PAUSE {
                self.flushed(batch.flush(), hear);
                flushed_at = Instant::now();
            }
        }
        self.flushed(batch.flush(), hear);
    }

    fn heed(&mut self, signals: &[i32], slots: &[Slot], floor: &Floor<'_>) {
        for &signal in signals {
            match signal {
                interrupts::STOP => {
                    interrupts::stop_here();
                    continue;
                }
                signal => {
                    self.signal.get_or_insert(signal);
                    floor.stop.store(true, Ordering::SeqCst);
                }
            }
            for slot in slots {
                slot.raise.raise(signal);
            }
        }
    }

    fn flushed(&mut self, flushed: Flushed, hear: &mut dyn FnMut(News<'_>)) {
        for (run, publication) in flushed.failed {
            self.unrecorded += 1;
            let text = match publication {
                Publication::Waiting(err) => {
                    format!(
                        "the record of {} waits in the live folder, the next command publishes it: {}",
                        run.run,
                        chain(&err)
                    )
                }
                Publication::Lost(err) => format!("the record of {} is lost: {}", run.run, chain(&err)),
                _ => continue,
            };
            hear(News::Warning(text));
        }
    }
}

/// What all workers share.
struct Floor<'a> {
    session: &'a Session<'a>,
    environment: &'a Environment,
    guard: &'a Guard,
    order: &'a Order<'a>,
    parent: &'a str,
    next: &'a AtomicUsize,
    stop: &'a AtomicBool,
}

impl Floor<'_> {
    /// Takes row after row until there are none left, or nobody wants more.
    fn work(&self, slot: &Slot, events: &Sender<Event>) {
        while !self.stop.load(Ordering::SeqCst) {
            let at = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(request) = self.order.requests.get(at) else { break };
            if events.send(Event::Started(at)).is_err() {
                break;
            }
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.row(request, slot)));
            // The rest goes on, whatever becomes of this one.
            let row =
                done.unwrap_or_else(|_| Row::failed("panic", "prov itself failed while it did this row".to_owned()));
            if !row.end.is_good() && self.order.stops_at_failure {
                self.stop.store(true, Ordering::SeqCst);
            }
            if events.send(Event::Ended(at, Box::new(row))).is_err() {
                break;
            }
        }
        let _ = events.send(Event::Idle);
    }

    fn row(&self, request: &Request, slot: &Slot) -> Row {
        let mut request = request.clone();
        request.parent = Some(self.parent.to_owned());
        let mut ear = Ear::default();
        let mut part = RowPart { guard: self.guard, seen: Mutex::default() };
        let around =
            Surroundings { environment: self.environment, observer: &mut ear, interrupts: Some(&slot.interrupts) };
        let performed = persist_part(self.session, &request, Some(&mut part), around);
        part.end();
        if !performed.as_ref().is_ok_and(has_written_nothing) {
            self.session.something_ended();
        }
        match performed {
            Ok(performed) => row_of(performed, ear),
            Err(err @ Error::Interrupted { .. }) => Row { end: End::Aborted, ..Row::failed("aborted", chain(&err)) },
            Err(err) => Row::failed("not_started", chain(&err)),
        }
    }
}

/// Whether the project is as it was before.
fn has_written_nothing(performed: &Performed) -> bool {
    let is_there = |action: &OutputAction| matches!(action, OutputAction::Kept | OutputAction::Hashed);
    performed.run.is_hit() && performed.displaced.is_empty() && performed.actions.values().all(is_there)
}

fn row_of(performed: Performed, ear: Ear) -> Row {
    let run = &performed.run;
    let end = match (run.status, run.is_hit()) {
        (Status::Success, true) => End::Hit,
        (Status::Success, false) => End::Success,
        (Status::Aborted, _) => End::Aborted,
        (Status::Failure, _) => End::Failure,
    };
    let is_recorded = !matches!(performed.publication, Publication::Unrecorded | Publication::Lost(_));
    let recorded = match (&performed.publication, &run.cache) {
        (Publication::Listed, Cache::Hit { source, object, .. }) => (source.clone(), *object),
        _ => (run.run.clone(), performed.object),
    };
    let duration_us = match &run.cache {
        Cache::Hit { source_duration_us, .. } => *source_duration_us,
        _ => run.duration_us(),
    };
    let mut warnings = performed.warnings;
    if let Publication::Lost(err) | Publication::Waiting(err) = &performed.publication {
        warnings.push(format!("its record waits, or is lost: {}", chain(err)));
    }
    Row {
        end,
        run: is_recorded.then_some(recorded),
        exit_code: run.exit_code,
        error: run.error.clone(),
        last_line: if end.is_good() { None } else { ear.last_line() },
        duration_us,
        metrics: run.metrics.clone(),
        warnings,
    }
}

/// Keeps the end of what a command writes to standard error.
#[derive(Default)]
struct Ear {
    tail: Vec<u8>,
}

impl Ear {
    fn last_line(&self) -> Option<String> {
        let mut lines = self.tail.rsplit(|&b| b == b'\n').map(<[u8]>::trim_ascii);
        let line = lines.find(|line| !line.is_empty())?;
        Some(crate::path::shown(line).chars().take(LINE).collect())
    }
}

impl Observer for Ear {
    fn output(&mut self, from: Stream, bytes: &[u8]) -> std::io::Result<usize> {
        if from == Stream::Stderr {
            self.tail.extend_from_slice(bytes);
            let over = self.tail.len().saturating_sub(TAIL);
            self.tail.drain(..over);
        }
        Ok(bytes.len())
    }
}

/// A row as a part of a sweep: its command is guarded, nothing else is special.
struct RowPart<'a> {
    guard: &'a Guard,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    pids: Vec<u32>,
    runs: Vec<String>,
}

impl RowPart<'_> {
    /// Its commands have ended.
    fn end(&self) {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        self.guard.over(seen.pids, seen.runs.iter().map(String::as_str));
    }
}

impl Part for RowPart<'_> {
    fn has_body(&self) -> bool {
        false
    }

    fn perform(&mut self, _at: At<'_>) -> BodyEnded {
        // Not asked for, since there is no body; said as an error rather than assumed.
        let error = RunError { kind: "spec".to_owned(), message: "a row is a command".to_owned(), run: None };
        BodyEnded { status: Status::Failure, error: Some(error), outcome: None, log: Vec::new() }
    }

    fn starting(&mut self, run: &str) {
        self.guard.expect(run);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).runs.push(run.to_owned());
    }

    fn started(&mut self, run: &str, pid: u32) {
        self.guard.watch(pid, run);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).pids.push(pid);
    }

    fn found(&mut self, _source: &Run) -> bool {
        false
    }

    fn check(&mut self, _run: &mut Run) -> Result<(), RunError> {
        Ok(())
    }

    fn complete(&mut self, _run: &mut Run) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(output: &str, input: &str) -> Request {
        Request::command(["x"]).output_as("o", output).input_as("i", input)
    }

    fn found(rows: &[(&str, &str)]) -> Option<(usize, usize, bool)> {
        let requests: Vec<Request> = rows.iter().map(|(output, input)| request(output, input)).collect();
        collision(Path::new("/p"), &requests).map(|found| (found.writer, found.other, found.is_read))
    }

    #[test]
    fn rows_that_get_in_each_others_way_are_found() {
        assert_eq!(found(&[("a/1", "i"), ("a/2", "i")]), None);
        assert_eq!(found(&[("a/1", "i"), ("a/../a/1", "i")]), Some((0, 1, false)));
        assert_eq!(found(&[("a", "i"), ("a/1", "i")]), Some((0, 1, false)));
        assert_eq!(found(&[("a-1", "i"), ("a", "i"), ("a/x/1", "i")]), Some((1, 2, false)));
        assert_eq!(found(&[("a", "i"), ("b", "a")]), Some((0, 1, true)));
        assert_eq!(found(&[("a", "i"), ("b", "a/x")]), Some((0, 1, true)));
        assert_eq!(found(&[("a", "i"), ("d/b", "i"), ("c", "d")]), Some((1, 2, true)));
        assert_eq!(found(&[("a", "i"), ("/p/a", "i")]), Some((0, 1, false)));
        assert_eq!(found(&[("/p/d/a", "i"), ("b", "/p/d")]), Some((0, 1, true)));
    }

    #[test]
    fn sets_of_one_folder_may_have_different_patterns() {
        let set = |pattern: &str| Request::command(["x"]).output_set("s", "out", pattern);
        assert_eq!(collision(Path::new("/p"), &[set("1_*"), set("2_*")]), None);
        assert!(collision(Path::new("/p"), &[set("*"), set("*")]).is_some());
    }
}

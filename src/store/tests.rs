//! The store as a whole: what the tests of its parts share.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::backend::{Queued, ReadAt, Staged};
use super::check::Options;
use super::*;
use crate::clock::{Micros, SeededRandom, StepClock};
use crate::hash::Id;
use crate::object::{Kind, Sink, Source, id_of};
use crate::progress::Silent;

mod collect;
pub(crate) mod contract;
mod crash;
mod damage;
mod growth;
mod hostile;
mod intake;
mod located;
mod pieces;
mod protocol;
mod refs;
mod repair;
mod simulated;
mod whole;

static SEED: AtomicU64 = AtomicU64::new(1);

/// A world of its own: no two have the same random numbers.
pub(super) fn world() -> World {
    let seed = SEED.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x5851_f42d_4c95_7f2d);
    World {
        clock: Arc::new(StepClock::new(Micros(1_795_342_830_000_000), 1_000)),
        random: Arc::new(SeededRandom::new(seed)),
        host: "box".into(),
        author: "ann".into(),
    }
}

fn op() -> OpId {
    OpId::new(&*world().random)
}

fn memory() -> (MemoryBackend, Store) {
    let place = MemoryBackend::new();
    let store = Store::create(Arc::new(place.clone()), &world()).unwrap();
    (place, store)
}

fn again(place: &MemoryBackend) -> Store {
    Store::open(Arc::new(place.clone()), &world()).unwrap()
}

/// Bytes that look like content.
fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251).to_le_bytes()[0].wrapping_mul(seed | 1) ^ seed).collect()
}

/// Bytes that no compression makes shorter.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    use crate::clock::Random;
    let mut bytes = vec![0; len];
    SeededRandom::new(seed).fill(&mut bytes);
    bytes
}

fn blob(text: &str) -> Id {
    id_of(&Kind::BLOB, text.as_bytes())
}

fn key(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// Records `name`: a blob with its text and a ref to it that must not be there.
fn record_as(store: &Store, op: OpId, name: &str) -> Result<Published, Error> {
    let snapshot = store.snapshot()?;
    let intake = store.intake(&snapshot);
    let id = blob(name);
    intake.put(&Kind::BLOB, &id, name.as_bytes())?;
    let collected = Arc::new(intake.finish()?);
    store.publish(op, "record", &mut |_| {
        Ok(Some(Draft {
            collected: Some(Arc::clone(&collected)),
            edits: vec![RefEdit::create(key(&format!("run/{name}")), id.to_bytes().to_vec())],
            ..Draft::default()
        }))
    })
}

fn record(store: &Store, name: &str) -> u64 {
    match record_as(store, op(), name).unwrap() {
        Published::Done { number } => number,
        other => panic!("{other:?}"),
    }
}

/// Whether `name` was recorded, whole.
fn holds(snapshot: &Snapshot, name: &str) -> bool {
    let id = blob(name);
    let listed = snapshot.get_ref(format!("run/{name}").as_bytes()).unwrap() == Some(id.to_bytes().to_vec());
    if listed {
        let bytes = snapshot.read(&id).unwrap();
        assert_eq!(bytes, Some((Kind::BLOB, name.as_bytes().to_vec())), "{name} is listed and can't be read");
    }
    listed
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    let scan = snapshot.scan(b"run/", Direction::Forward);
    scan.map(|item| String::from_utf8(item.unwrap().0[4..].to_vec()).unwrap()).collect()
}

/// Adds one to the number under `counter`, with an expectation.
fn count(store: &Store, op: OpId) -> Result<Published, Error> {
    store.publish(op, "count", &mut |snapshot| {
        let old = snapshot.get_ref(b"counter")?;
        let number: u64 = old.as_deref().map_or(0, |old| std::str::from_utf8(old).unwrap().parse().unwrap());
        let new = (number + 1).to_string().into_bytes();
        let edit = match old {
            None => RefEdit::create(key("counter"), new),
            Some(old) => RefEdit::moved(key("counter"), old, new),
        };
        Ok(Some(Draft { edits: vec![edit], ..Draft::default() }))
    })
}

fn counted(snapshot: &Snapshot) -> u64 {
    snapshot.get_ref(b"counter").unwrap().map_or(0, |v| String::from_utf8(v).unwrap().parse().unwrap())
}

/// A ref's value as the object it names, as the tests write them.
fn target(key: &[u8], value: &[u8]) -> Result<Vec<Id>, String> {
    if key == b"counter" || key.starts_with(b"free/") {
        return Ok(vec![]);
    }
    Id::from_bytes(value).map(|id| vec![id]).ok_or_else(|| "not an id".to_owned())
}

fn checked(store: &Store) -> Report {
    check(store, &Silent, &Options::default().with_targets(&target))
}

/// Asserts that nothing is damaged.
fn assert_sound(store: &Store, what: impl fmt::Display) {
    let report = checked(store);
    let bad: Vec<_> = report.findings.iter().filter(|finding| finding.severity > Severity::Info).collect();
    assert!(bad.is_empty(), "{what}: {bad:#?}");
}

/// What a lying place does at one attempt to create a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// It is created, the caller hears that it was taken.
    LandedButLost,
    /// It is created, the caller hears nothing certain.
    LandedButUnknown,
    /// It is not created, the caller hears nothing certain.
    NotLandedUnknown,
    /// It is not created, and the caller hears so.
    Refused,
}

type Hook = Box<dyn FnOnce() + Send>;

/// A place that tells lies, or lets others act at the worst moment.
#[derive(Clone)]
struct Lying {
    inner: MemoryBackend,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// At the attempt to create a log entry with this position, counted from now.
    lies: BTreeMap<u64, Lie>,
    hooks: BTreeMap<u64, Hook>,
    attempts: u64,
    bytes_read: Arc<AtomicU64>,
    /// The next file of this folder that is read or opened can't be, for want of file descriptors.
    denied: Option<Folder>,
    /// The next look for the format is made before there was one.
    is_early: bool,
    /// What the next listings of the log show.
    shown: std::collections::VecDeque<Vec<String>>,
}

/// Counts what is read.
#[derive(Debug)]
struct Counting(Box<dyn ReadAt>, Arc<AtomicU64>);

impl ReadAt for Counting {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.0.read_exact_at(offset, buffer)
    }
}

impl fmt::Debug for Lying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lying")
    }
}

impl Lying {
    fn new(inner: &MemoryBackend) -> Self {
        Self { inner: inner.clone(), script: Arc::default() }
    }

    fn store(&self) -> Store {
        Store::open(Arc::new(self.clone()), &world()).unwrap()
    }

    fn lie_at(&self, attempt: u64, lie: Lie) {
        self.script.lock().unwrap().lies.insert(attempt, lie);
    }

    /// `hook` runs right before the entry with this position is linked.
    fn before(&self, attempt: u64, hook: impl FnOnce() + Send + 'static) {
        self.script.lock().unwrap().hooks.insert(attempt, Box::new(hook));
    }

    /// The next file of `folder` can't be opened.
    fn deny(&self, folder: Folder) {
        self.script.lock().unwrap().denied = Some(folder);
    }

    /// The next listing of the log that is not spoken for shows these numbers.
    fn show(&self, numbers: &[u64]) {
        let names = numbers.iter().map(|number| entry::name(*number)).collect();
        self.script.lock().unwrap().shown.push_back(names);
    }

    fn is_denying(&self) -> bool {
        self.script.lock().unwrap().denied.is_some()
    }

    fn denied(&self, folder: Folder, name: &str) -> Result<(), BackendError> {
        let mut script = self.script.lock().unwrap();
        if script.denied != Some(folder) {
            return Ok(());
        }
        script.denied = None;
        let source = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        Err(BackendError::Io { action: "open", file: name.to_owned(), source })
    }

    fn bytes_read(&self) -> u64 {
        self.script.lock().unwrap().bytes_read.load(Ordering::Relaxed)
    }

    fn attempts(&self) -> u64 {
        self.script.lock().unwrap().attempts
    }
}

#[derive(Debug)]
struct LyingStaged {
    place: Lying,
    inner: Box<dyn Staged>,
}

impl Write for LyingStaged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Staged for LyingStaged {
    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }

    fn publish(self: Box<Self>, folder: Folder, name: &str) -> Result<Outcome, BackendError> {
        if folder != Folder::Log {
            return self.inner.publish(folder, name);
        }
        let (lie, hook) = {
            let mut script = self.place.script.lock().unwrap();
            let attempt = script.attempts;
            script.attempts += 1;
            (script.lies.remove(&attempt), script.hooks.remove(&attempt))
        };
        if let Some(hook) = hook {
            hook();
        }
        let refused = || BackendError::Io {
            action: "create",
            file: name.to_owned(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        match lie {
            None => self.inner.publish(folder, name),
            Some(Lie::Refused) => Err(refused()),
            Some(Lie::NotLandedUnknown) => Ok(Outcome::Unknown),
            Some(Lie::LandedButLost) => self.inner.publish(folder, name).map(|_| Outcome::Lost),
            Some(Lie::LandedButUnknown) => self.inner.publish(folder, name).map(|_| Outcome::Unknown),
        }
    }
}

impl Backend for Lying {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn names(&self, folder: Folder) -> Result<Vec<String>, BackendError> {
        let shown = if folder == Folder::Log { self.script.lock().unwrap().shown.pop_front() } else { None };
        shown.map_or_else(|| self.inner.names(folder), Ok)
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>, BackendError> {
        self.inner.list(folder)
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
        self.denied(folder, name)?;
        self.inner.read(folder, name)
    }

    fn open(&self, folder: Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, BackendError> {
        self.denied(folder, name)?;
        let bytes_read = Arc::clone(&self.script.lock().unwrap().bytes_read);
        Ok(self.inner.open(folder, name)?.map(|file| Box::new(Counting(file, bytes_read)) as Box<dyn ReadAt>))
    }

    fn stage(&self) -> Result<Box<dyn Staged>, BackendError> {
        Ok(Box::new(LyingStaged { place: self.clone(), inner: self.inner.stage()? }))
    }

    fn sync(&self, folder: Folder) -> Result<(), BackendError> {
        self.inner.sync(folder)
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<(), BackendError> {
        self.inner.remove(folder, name)
    }

    fn prepare(&self) -> Result<(), BackendError> {
        self.inner.prepare()
    }

    fn read_format(&self) -> Result<Option<Vec<u8>>, BackendError> {
        if std::mem::take(&mut self.script.lock().unwrap().is_early) {
            return Ok(None);
        }
        self.inner.read_format()
    }

    fn drop_format(&self) -> Result<(), BackendError> {
        self.inner.drop_format()
    }

    fn create_format(&self, bytes: &[u8]) -> Result<Outcome, BackendError> {
        self.inner.create_format(bytes)
    }

    fn queue(&self, _wait: Duration) -> Option<Box<dyn Queued>> {
        None
    }

    fn pause(&self, _time: Duration) {}
}

//! Reading the log: from a listing to the newest checkpoint and the entries above it
//! (`docs/design/0001-store-protocol.md`, "Reading" and "Damage").

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::backend::{Backend, BackendError, Folder};
use super::entry::{self, Checkpoint, Entry};
use super::error::{Damage, Error};
use super::files::Files;
use super::history::{self, Copied};
use super::rules::{Rule, Rules};
use crate::hash::Id;

/// How often the log is read again when it moves meanwhile. Each time somebody else made progress.
const ATTEMPTS: u32 = 2_000;

/// An entry with its number and digest.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) number: u64,
    pub(super) entry: Arc<Entry>,
    pub(super) digest: Id,
    ids: Arc<OnceLock<Vec<Id>>>,
}

impl Loaded {
    fn new(number: u64, entry: Entry, digest: Id) -> Self {
        Self { number, entry: Arc::new(entry), digest, ids: Arc::default() }
    }

    /// The ids of its inline objects, in their order. Computed once for all snapshots that share the entry.
    pub(super) fn ids(&self) -> &[Id] {
        self.ids.get_or_init(|| self.entry.objects.iter().map(|one| crate::object::id_of(&one.0, &one.1)).collect())
    }
}

/// The newest fold and everything above it.
#[derive(Debug)]
pub(super) struct Log {
    /// Number of the fold.
    pub(super) base: u64,
    /// Number of the newest entry.
    pub(super) tip: u64,
    /// The fold, unless it is lost and its state is known all the same (that of entry 0).
    pub(super) fold: Option<Loaded>,
    /// The state after the fold.
    pub(super) checkpoint: Checkpoint,
    /// Whether the fold's own file was found as it should be.
    pub(super) base_is_sound: bool,
    /// Entries above the fold, ascending, without those that can't be read.
    pub(super) entries: Vec<Loaded>,
    /// Digest of the newest entry; zero if that can't be read.
    pub(super) tip_digest: Id,
    /// Entries that can't be read or are missing, and what is wrong with them.
    pub(super) holes: Vec<(u64, Damage)>,
    /// Damage that costs nothing, because there was a copy.
    pub(super) healed: Vec<Damage>,
}

/// The numbers in the log's folder.
pub(super) fn numbers(backend: &dyn Backend) -> Result<BTreeSet<u64>, BackendError> {
    Ok(backend.names(Folder::Log)?.iter().filter_map(|name| entry::parse_name(name)).collect())
}

/// What a listed entry turned out to be.
pub(super) enum Read {
    Good(Box<Entry>, Id),
    Broken(String),
    Vanished,
}

/// Reads the entry `number`, which a listing just showed.
///
/// # Errors
/// When it can't be opened for a reason that lies not in it: nothing is known of it then.
pub(super) fn read(backend: &dyn Backend, number: u64) -> Result<Read, BackendError> {
    Ok(match backend.read(Folder::Log, &entry::name(number)) {
        Ok(None) => Read::Vanished,
        Ok(Some(bytes)) => match Entry::decode(&bytes, number) {
            Ok((entry, digest)) => Read::Good(Box::new(entry), digest),
            Err(err) => Read::Broken(err.to_string()),
        },
        Err(err) if err.may_pass() => return Err(err),
        Err(err) => {
            let cause = std::error::Error::source(&err).map(ToString::to_string);
            Read::Broken(cause.unwrap_or_else(|| err.to_string()))
        }
    })
}

/// Loads the log as it is now. Entries that `known` holds are not read again: see [`known_entry`].
pub(super) fn load(backend: &dyn Backend, files: &Files, rules: &Rules, known: Option<&Log>) -> Result<Log, Error> {
    for attempt in 0..ATTEMPTS {
        if attempt > 3 {
            backend.pause(Duration::from_micros(200 * u64::from(attempt.min(50))));
        }
        let shown = numbers(backend)?;
        let log = match assemble(backend, files, &shown, known) {
            Ok(Some(log)) => log,
            Ok(None) => continue,
            // A listing that took its time may show what a fold unlinked meanwhile, and not the fold.
            Err(Error::Damaged { .. }) if numbers(backend)? != shown || numbers(backend)? != shown => continue,
            Err(err) => return Err(err),
        };
        if !rules.keep(Rule::SnapshotListedAgain) || is_current(backend, &log, &shown)? {
            return Ok(log);
        }
    }
    Err(Error::Restless { place: backend.place() })
}

/// Reads what `shown` lists, newest first, down to a fold; `None` if a file vanished meanwhile.
fn assemble(
    backend: &dyn Backend,
    files: &Files,
    shown: &BTreeSet<u64>,
    known: Option<&Log>,
) -> Result<Option<Log>, Error> {
    let mut copies: Option<Vec<Copied>> = None;
    let mut log = Log {
        base: 0,
        tip: 0,
        fold: None,
        checkpoint: Checkpoint::default(),
        base_is_sound: true,
        entries: Vec::new(),
        tip_digest: Id::ZERO,
        holes: Vec::new(),
        healed: Vec::new(),
    };
    let lowest = shown.first().copied();
    let tip = match shown.last() {
        Some(&tip) => tip,
        // Not a single entry is left: the newest fold of which there is a copy must do.
        None => match find_copies(backend, files, &mut copies)?.iter().map(|copy| copy.entry.n).max() {
            Some(newest) => newest,
            None => return Err(Error::Damaged { file: "log".to_owned(), what: "it holds no entry".to_owned() }),
        },
    };
    log.tip = tip;
    // What the entry above says is the digest of this one; `None` if it does not say.
    let mut expected: Option<Id> = None;
    let mut number = tip;
    loop {
        if shown.contains(&number)
            && let Some(loaded) = known_entry(known, number, expected)
        {
            expected = Some(loaded.entry.prev).filter(|prev| *prev != Id::ZERO);
            log.entries.push(loaded.clone());
            match number.checked_sub(1) {
                Some(below) => number = below,
                None => return Err(no_checkpoint()),
            }
            continue;
        }
        let file = format!("log/{}", entry::name(number));
        let mut found = if shown.contains(&number) { read(backend, number)? } else { Read::Vanished };
        if let Read::Broken(_) = found {
            // A network file system may serve a stale page once.
            found = read(backend, number)?;
        }
        let what = match found {
            Read::Vanished if shown.contains(&number) => return Ok(None),
            Read::Good(_, digest) if expected.is_some_and(|expected| expected != digest) => {
                ("log-entry-damaged", "it is not the entry that the next one was written after".to_owned())
            }
            Read::Good(entry, digest) => {
                if number == tip {
                    log.tip_digest = digest;
                }
                expected = Some(entry.prev).filter(|prev| *prev != Id::ZERO);
                let checkpoint = entry.checkpoint.clone();
                let loaded = Loaded::new(number, *entry, digest);
                if let Some(checkpoint) = checkpoint {
                    log.checkpoint = checkpoint;
                    log.fold = Some(loaded);
                    break;
                }
                log.entries.push(loaded);
                match number.checked_sub(1) {
                    Some(below) => number = below,
                    None => return Err(no_checkpoint()),
                }
                continue;
            }
            Read::Broken(what) => ("log-entry-damaged", what),
            Read::Vanished => ("log-entry-missing", "it is missing".to_owned()),
        };
        let damage = Damage { file, code: what.0, what: what.1 };
        let candidates = find_copies(backend, files, &mut copies)?;
        if let Some(copy) = choose(backend, candidates, number, expected)? {
            log.healed.push(damage);
            log.base_is_sound = false;
            log.checkpoint = copy.entry.checkpoint.clone().unwrap_or_default();
            if number == tip {
                log.tip_digest = copy.digest;
            }
            log.fold = Some(Loaded::new(number, copy.entry.clone(), copy.digest));
            break;
        }
        if number == 0 {
            // Entry 0 is a fold with an empty state: nothing is lost with it.
            log.healed.push(damage);
            log.base_is_sound = false;
            break;
        }
        log.holes.push((number, damage));
        expected = None;
        let next = number - 1;
        // Below all that is listed only a copy can help: the entries between are lost.
        if lowest.is_none_or(|lowest| next < lowest) && !(next == 0 && lowest.is_some()) {
            let below = candidates.iter().map(|copy| copy.entry.n).filter(|&n| n <= next).max();
            let Some(below) = below else { return Err(no_checkpoint()) };
            for lost in (below + 1..=next).rev() {
                let file = format!("log/{}", entry::name(lost));
                let what = "it is missing".to_owned();
                log.holes.push((lost, Damage { file, code: "log-entry-missing", what }));
            }
            number = below;
        } else {
            number = next;
        }
    }
    log.base = number;
    log.entries.reverse();
    log.holes.reverse();
    Ok(Some(log))
}

/// The entry `number` as it was read before, if it is the one that the entry above was written after.
///
/// **Why it is exact.** An entry is written once under its name, and its digest covers all of it. The entry above, read now or known by the
/// same argument, says which digest it was written after: bytes that lie there now are either these or none that reading would accept. It is
/// taken only if it is listed, so that the walk meets the same gaps; never the newest, which nothing above vouches for, and never a fold,
/// on whose own file more depends than its content.
fn known_entry(known: Option<&Log>, number: u64, expected: Option<Id>) -> Option<&Loaded> {
    let (known, expected) = (known?, expected?);
    let at = known.entries.binary_search_by_key(&number, |loaded| loaded.number).ok()?;
    Some(&known.entries[at]).filter(|loaded| loaded.digest == expected)
}

fn no_checkpoint() -> Error {
    Error::Damaged { file: "log".to_owned(), what: "neither a checkpoint nor a copy of one can be read".to_owned() }
}

fn find_copies<'a>(
    backend: &dyn Backend,
    files: &Files,
    copies: &'a mut Option<Vec<Copied>>,
) -> Result<&'a [Copied], Error> {
    if copies.is_none() {
        *copies = Some(history::copies(backend, files)?);
    }
    Ok(copies.as_deref().unwrap_or_default())
}

/// The copy of fold `number`. Where the next entry does not say which it is, one whose files are all there.
fn choose<'a>(
    backend: &dyn Backend,
    copies: &'a [Copied],
    number: u64,
    expected: Option<Id>,
) -> Result<Option<&'a Copied>, Error> {
    let mut here = copies.iter().filter(|copy| copy.entry.n == number);
    if let Some(expected) = expected {
        return Ok(here.find(|copy| copy.digest == expected));
    }
    let here: Vec<_> = here.collect();
    if here.len() < 2 {
        return Ok(here.first().copied());
    }
    // A writer that was killed before its fold landed left the others behind, of the same state.
    for copy in &here {
        let Some(checkpoint) = &copy.entry.checkpoint else { continue };
        let mut whole = true;
        for folder in [Folder::Packs, Folder::Tables, Folder::History] {
            let names: BTreeSet<String> = backend.names(folder)?.into_iter().collect();
            let mut wanted: Vec<Id> = match folder {
                Folder::Packs => checkpoint.packs.iter().map(super::entry::PackRow::name).collect(),
                Folder::Tables => checkpoint.tables.iter().map(super::entry::FileRow::name).collect(),
                _ => checkpoint.history.iter().map(super::entry::FileRow::name).collect(),
            };
            wanted.retain(|name| !names.contains(&folder.file(name)));
            whole &= wanted.is_empty();
        }
        if whole {
            return Ok(Some(copy));
        }
    }
    Ok(here.first().copied())
}

/// Whether a second listing, made after the last entry was read, allows the log as it was read: its base is still
/// shown, nothing above its tip is a fold, and what was missing or broken still is.
///
/// A listing may miss what was made or removed while it took its time. An entry that two listings miss was removed before
/// the end of the second one, if it was ever there; then the fold that covers it was made before, and a third listing
/// shows that fold or a newer one. So what is missing or broken counts as damage only once a third one allows the log, too.
fn is_current(backend: &dyn Backend, log: &Log, first: &BTreeSet<u64>) -> Result<bool, Error> {
    let mut suspects: Vec<u64> = log.holes.iter().map(|(number, _)| *number).collect();
    if !log.base_is_sound {
        suspects.push(log.base);
    }
    let listings = if suspects.is_empty() { 1 } else { 2 };
    for _ in 0..listings {
        let again = numbers(backend)?;
        if first.contains(&log.base) && !again.contains(&log.base) {
            return Ok(false);
        }
        for &number in again.range(log.tip.saturating_add(1)..) {
            match read(backend, number)? {
                Read::Good(entry, _) if !entry.is_fold() => {}
                _ => return Ok(false),
            }
        }
        if suspects.iter().any(|number| first.contains(number) != again.contains(number)) {
            return Ok(false);
        }
        if again.is_empty() != first.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

//! Checking a store from end to end: every file, every byte, every link. Never writes, never stops at a finding.
//!
//! Codes of findings are stable words: `format-damaged`, `log-unreadable`, `log-entry-damaged`, `log-entry-missing`,
//! `log-entry-void`, `chain-broken`, `checkpoint-copy-missing`, `pack-damaged`, `pack-missing`, `table-damaged`,
//! `table-missing`, `history-damaged`, `history-missing`, `size-differs`, `object-damaged`, `link-missing`,
//! `link-kind-differs`, `content-missing`, `ref-malformed`, `ref-target-missing`, `feature-unknown`, `orphan`,
//! `left-over`, `foreign-file`, `folder-unreadable`, `file-unreadable`.

use std::collections::HashMap;
use std::fmt;

use rayon::prelude::*;

use super::Store;
use super::backend::Folder;
use super::collect::prefix;
use super::entry::{self, PackRow};
use super::files::Unusable;
use super::load::{self, Read};
use super::pack::{self, CopyError, PackRecord};
use super::pieces::Failed;
use super::snapshot::{Snapshot, log_file};
use super::sorted::{Direction, SortedFile, verify};
use super::state::KNOWN_FEATURES;
use super::{fold, format, history, scan};
use crate::hash::Id;
use crate::object::{self, Kind, Link, Strength};
use crate::progress::{Cancel, Progress, Unit};
use crate::refs::key;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing, nothing is wrong.
    Info,
    /// Something can't be had that one might want, but no promise is broken.
    Warning,
    /// Damage.
    Error,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for it.
    pub code: &'static str,
    /// The object it is about.
    pub object: Option<Id>,
    /// The file it is about, from the store's folder.
    pub file: Option<String>,
    /// What was found, for people.
    pub message: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Packs.
    pub packs: u64,
    /// Objects, inline ones included.
    pub objects: u64,
    /// Refs.
    pub refs: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// What a check came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What was found, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// How much was looked at.
    pub checked: Checked,
    /// Whether the check was stopped before its end.
    pub cancelled: bool,
}

impl Report {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        !self.cancelled && self.findings.iter().all(|finding| finding.severity < Severity::Error)
    }
}

/// Which objects must be there for a ref; the error says what is wrong with its key or value.
pub type Targets<'a> = &'a dyn Fn(&[u8], &[u8]) -> Result<Vec<Id>, String>;

/// Choices of a check.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct Options<'a> {
    /// What refs need. Without it refs are counted and not looked into.
    pub targets: Option<Targets<'a>>,
    /// Whether content is known to be elsewhere or gone on purpose.
    pub is_marked: Option<&'a dyn Fn(&Id) -> bool>,
    /// Raised to stop early.
    pub cancel: Option<&'a Cancel>,
    /// Content of which the bytes are read; all of it without.
    pub sample: Option<Sample>,
}

/// A part of all content, chosen by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    percent: u8,
    seed: u64,
}

impl Sample {
    /// `percent` of a hundred objects, others for each `seed`.
    pub fn new(percent: u8, seed: u64) -> Self {
        Self { percent: percent.min(100), seed }
    }

    fn takes(self, id: &Id) -> bool {
        // Ids are as good as random; the seed makes another choice each time.
        prefix(id).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.seed).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
            < u64::from(self.percent) * (1 << 32) / 100
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("targets", &self.targets.is_some()).finish_non_exhaustive()
    }
}

impl<'a> Options<'a> {
    /// Looks into refs with `targets`.
    #[must_use]
    pub fn with_targets(mut self, targets: Targets<'a>) -> Self {
        self.targets = Some(targets);
        self
    }

    /// Asks `is_marked` about content that is not there.
    #[must_use]
    pub fn with_marks(mut self, is_marked: &'a dyn Fn(&Id) -> bool) -> Self {
        self.is_marked = Some(is_marked);
        self
    }

    /// Reads the bytes of a part of all content only. Records, listings, refs and the log are always read.
    #[must_use]
    pub fn with_sample(mut self, sample: Sample) -> Self {
        self.sample = Some(sample);
        self
    }

    /// Stops when `cancel` is raised.
    #[must_use]
    pub fn with_cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }
}

/// Checks everything in `store`.
pub fn check(store: &Store, progress: &dyn Progress, options: &Options<'_>) -> Report {
    let mut check = Check { store, progress, options, report: Report::default(), present: Present::default() };
    check.format();
    let snapshot = match store.snapshot() {
        Ok(snapshot) => Some(snapshot),
        Err(err) => {
            check.add(Severity::Error, "log-unreadable", None, Some("log".to_owned()), &err);
            None
        }
    };
    if let Some(snapshot) = &snapshot {
        check.log(snapshot);
        check.copy(snapshot);
        check.tables(snapshot);
        check.histories(snapshot);
        check.objects(snapshot);
        check.refs(snapshot);
    }
    check.folders(snapshot.as_ref());
    check.report
}

struct Check<'a> {
    store: &'a Store,
    progress: &'a dyn Progress,
    options: &'a Options<'a>,
    report: Report,
    /// Every object that an index or an entry names.
    present: Present,
}

/// Objects and their kinds, in few bytes for each: the first eight of its id stand for it.
#[derive(Default)]
struct Present {
    kinds: Vec<Kind>,
    ids: HashMap<u64, u8>,
}

impl Present {
    fn insert(&mut self, id: &Id, kind: &Kind) {
        let at = self.kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
            self.kinds.push(kind.clone());
            self.kinds.len() - 1
        });
        // Kinds are a handful; of more than there is room for, the last ones look alike.
        self.ids.insert(prefix(id), u8::try_from(at).unwrap_or(u8::MAX));
    }

    fn get(&self, id: &Id) -> Option<&Kind> {
        self.ids.get(&prefix(id)).and_then(|at| self.kinds.get(usize::from(*at)))
    }
}

/// What came of looking at one object of a pack.
enum Looked {
    Sound,
    Links(Vec<Link>),
    InPieces,
    Wrong(String),
    Skipped,
}

/// Bytes of objects that are looked at together, on several threads.
const BATCH: u64 = 16 << 20;

/// Whether a ref may name content. Records are never elsewhere.
fn may_be_content(key: &[u8]) -> bool {
    let first = key::components(key).and_then(|parts| parts.into_iter().next()).unwrap_or_default();
    first == "tags" || first == "workspaces"
}

fn look(file: &SortedFile, id: &Id, record: &PackRecord, is_condemned: bool, sample: Option<Sample>) -> Looked {
    if record.is_in_pieces() {
        return Looked::InPieces;
    }
    if record.kind == Kind::BLOB {
        if sample.is_some_and(|sample| !sample.takes(id)) {
            return Looked::Skipped;
        }
        return match pack::copy(file, id, record, &mut std::io::sink()) {
            Err(CopyError::Broken(what)) => Looked::Wrong(what),
            _ => Looked::Sound,
        };
    }
    match pack::read(file, id, record) {
        // What is condemned need not be whole: it is on its way out.
        Ok(_) if is_condemned => Looked::Sound,
        Ok(bytes) => object::links(&record.kind, &bytes).map_or(Looked::Sound, Looked::Links),
        Err(what) => Looked::Wrong(what),
    }
}

/// As many objects as are looked at together, and the others.
fn first_batch(records: &[(Id, PackRecord)]) -> (&[(Id, PackRecord)], &[(Id, PackRecord)]) {
    let mut bytes = 0u64;
    let taken = records.iter().take_while(|(_, record)| {
        let fits = bytes < BATCH;
        bytes = bytes.saturating_add(record.stored_len());
        fits
    });
    records.split_at(taken.count())
}

impl Check<'_> {
    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        object: Option<Id>,
        file: Option<String>,
        message: &dyn fmt::Display,
    ) {
        self.report.findings.push(Finding { severity, code, object, file, message: message.to_string() });
    }

    fn error(&mut self, code: &'static str, file: String, message: &dyn fmt::Display) {
        self.add(Severity::Error, code, None, Some(file), message);
    }

    fn is_cancelled(&mut self) -> bool {
        let cancelled = self.options.cancel.is_some_and(Cancel::is_raised);
        self.report.cancelled |= cancelled;
        cancelled
    }

    fn format(&mut self) {
        let backend = self.store.backend();
        let result = match backend.read_format() {
            Ok(Some(bytes)) => format::decode(&bytes, &backend.place()).map(drop),
            Ok(None) => Err(super::Error::NotAStore { place: backend.place() }),
            Err(err) => Err(err.into()),
        };
        if let Err(err) = result {
            self.error("format-damaged", "format".to_owned(), &err);
        }
    }

    /// Every entry that is listed: its bytes, its number, the chain.
    fn log(&mut self, snapshot: &Snapshot) {
        for damage in snapshot.damage() {
            self.error(damage.code, damage.file, &damage.what);
        }
        for feature in &snapshot.state().features {
            if !KNOWN_FEATURES.contains(&feature.as_str()) {
                let message = format!("the store uses the feature `{feature}`, which this prov does not know");
                self.add(Severity::Warning, "feature-unknown", None, None, &message);
            }
        }
        let Ok(shown) = load::numbers(self.store.backend()) else { return };
        self.progress.begin("log", Some(shown.len() as u64), Unit::Items);
        // The digest of the entry before; `None` if it could not be read.
        let mut before: Option<Id> = None;
        let void: Vec<u64> = shown.range(..snapshot.base()).copied().collect();
        if let (Some(first), Some(last)) = (void.first(), void.last()) {
            let message = format!(
                "{} entries from {first} to {last} are covered by a checkpoint and not unlinked yet",
                void.len()
            );
            self.add(Severity::Info, "log-entry-void", None, Some(log_file(*first)), &message);
        }
        for &number in shown.range(snapshot.base()..=snapshot.tip()) {
            self.progress.add(1);
            before = match load::read(self.store.backend(), number) {
                Ok(Read::Good(entry, digest)) => {
                    if number > snapshot.base() && entry.prev != Id::ZERO && before.is_some_and(|id| id != entry.prev) {
                        let message = "it was written after another entry than the one before it";
                        self.error("chain-broken", log_file(number), &message);
                    }
                    self.inline(&entry, number);
                    Some(digest)
                }
                // Damage was told of by the snapshot; an entry that vanished was folded meanwhile.
                Ok(Read::Broken(_) | Read::Vanished) | Err(_) => None,
            };
        }
        self.progress.end();
    }

    fn inline(&mut self, entry: &entry::Entry, number: u64) {
        for object in &entry.objects {
            self.report.checked.objects += 1;
            self.report.checked.bytes += object.1.len() as u64;
            let id = object::id_of(&object.0, &object.1);
            match object::verify(&id, &object.0, &object.1) {
                Ok(()) => {
                    self.present.insert(&id, &object.0);
                }
                Err(err) => {
                    self.add(Severity::Error, "object-damaged", Some(id), Some(log_file(number)), &err);
                }
            }
        }
    }

    /// The second copy of the checkpoint.
    fn copy(&mut self, snapshot: &Snapshot) {
        let Some(fold) = snapshot.inner.log.fold.as_ref().filter(|fold| fold.number > 0) else { return };
        let found = history::copies(self.store.backend(), self.store.files()).unwrap_or_default();
        if !found.iter().any(|copy| copy.digest == fold.digest) && self.is_newest(snapshot) {
            let message = "there is no second copy of the checkpoint";
            self.add(Severity::Warning, "checkpoint-copy-missing", None, Some(log_file(fold.number)), &message);
        }
    }

    /// Whether no fold has landed since.
    fn is_newest(&self, snapshot: &Snapshot) -> bool {
        self.store.snapshot().is_ok_and(|newest| newest.base() == snapshot.base())
    }

    /// Opens a file of the state; tells of it if that is not possible, unless it has left the state meanwhile.
    fn open(&mut self, folder: Folder, name: &Id, len: u64, count: u64) -> Option<std::sync::Arc<SortedFile>> {
        let (missing, damaged) = match folder {
            Folder::Tables => ("table-missing", "table-damaged"),
            Folder::History => ("history-missing", "history-damaged"),
            _ => ("pack-missing", "pack-damaged"),
        };
        let path = format!("{folder}/{}", folder.file(name));
        match self.store.files().fresh(folder, name) {
            Ok(file) => {
                if file.len() != len || file.count() != count {
                    let message = format!(
                        "it has {} bytes and {} records, the log says {len} and {count}",
                        file.len(),
                        file.count()
                    );
                    self.error("size-differs", path, &message);
                }
                Some(file)
            }
            Err(Unusable::Broken(what)) => {
                self.error(damaged, path, &what);
                None
            }
            Err(Unusable::Denied(err)) => {
                self.add(Severity::Error, "file-unreadable", None, Some(path), &err);
                None
            }
            Err(Unusable::Absent) => {
                match self.store.snapshot() {
                    Ok(newest) if newest.state().condemned.contains_key(name) => {
                        self.add(
                            Severity::Info,
                            missing,
                            None,
                            Some(path),
                            &"it is missing, and was about to be removed",
                        );
                    }
                    Ok(newest) if newest.state().has_file(folder, name) => {
                        self.error(missing, path, &"it is missing");
                    }
                    _ => {}
                }
                None
            }
        }
    }

    /// Reads a sorted file from end to end.
    fn file(&mut self, folder: Folder, magic: [u8; 8], file: &SortedFile, sound: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let (mut wrong, mut malformed) = (Vec::new(), 0u64);
        verify(file, magic, &mut |key, value| malformed += u64::from(!sound(key, value)), &mut |what| wrong.push(what));
        if malformed > 0 {
            wrong.push(format!("{malformed} of its records are malformed"));
        }
        let code = match folder {
            Folder::Tables => "table-damaged",
            Folder::History => "history-damaged",
            _ => "pack-damaged",
        };
        for what in wrong {
            self.error(code, format!("{folder}/{}", folder.file(&file.name())), &what);
        }
        self.report.checked.bytes += file.len() - file.data_end();
    }

    fn tables(&mut self, snapshot: &Snapshot) {
        self.progress.begin("tables", Some(snapshot.state().tables.len() as u64), Unit::Items);
        for row in &snapshot.state().tables {
            if self.is_cancelled() {
                break;
            }
            if let Some(file) = self.open(Folder::Tables, &row.name(), row.file_len(), row.3) {
                self.file(Folder::Tables, fold::TABLE_MAGIC, &file, &mut |_, value| scan::decode_value(value).is_ok());
            }
            self.progress.add(1);
        }
        self.progress.end();
    }

    fn histories(&mut self, snapshot: &Snapshot) {
        self.progress.begin("history", Some(snapshot.state().history.len() as u64), Unit::Items);
        for row in &snapshot.state().history {
            if self.is_cancelled() {
                break;
            }
            if let Some(file) = self.open(Folder::History, &row.name(), row.file_len(), row.3) {
                self.file(Folder::History, history::MAGIC, &file, &mut history::is_record);
            }
            self.progress.add(1);
        }
        self.progress.end();
    }

    /// Every pack: its index first, so that all objects are known when their links are followed.
    fn objects(&mut self, snapshot: &Snapshot) {
        let rows: Vec<PackRow> = snapshot.state().packs.clone();
        let total = rows.iter().map(PackRow::file_len).sum();
        self.progress.begin("objects", Some(total), Unit::Bytes);
        let mut packs = Vec::new();
        for row in &rows {
            if self.is_cancelled() {
                break;
            }
            let Some(file) = self.open(Folder::Packs, &row.name(), row.file_len(), row.count()) else { continue };
            self.report.checked.packs += 1;
            let mut known: Vec<(Id, Kind)> = Vec::new();
            self.file(Folder::Packs, pack::MAGIC, &file, &mut |key, value| match (
                Id::from_bytes(key),
                PackRecord::parse(value, &file),
            ) {
                (Some(id), Ok(record)) => {
                    known.push((id, record.kind));
                    true
                }
                _ => false,
            });
            for (id, kind) in &known {
                self.present.insert(id, kind);
            }
            packs.push(row.name());
        }
        for loaded in &snapshot.inner.log.entries {
            for object in &loaded.entry.objects {
                let id = object::id_of(&object.0, &object.1);
                if let Ok(links) = object::links(&object.0, &object.1) {
                    self.links(&id, &object.0, links, &log_file(loaded.number));
                }
            }
        }
        for name in packs {
            // Opened anew: a store may have more packs than a process may have files. Gone: folded meanwhile.
            let Ok(file) = self.store.files().fresh(Folder::Packs, &name) else { continue };
            let is_condemned = snapshot.state().condemned.contains_key(&name);
            let path = format!("{}/{}", Folder::Packs, Folder::Packs.file(&name));
            // What can't be read of the index was told of; the rest is gone through in the order of the file.
            let mut records: Vec<(Id, PackRecord)> = Vec::new();
            let mut each = |key: &[u8], value: &[u8]| {
                if let (Some(id), Ok(record)) = (Id::from_bytes(key), PackRecord::parse(value, &file)) {
                    records.push((id, record));
                }
            };
            verify(&file, pack::MAGIC, &mut each, &mut |_| {});
            records.sort_unstable_by_key(|(_, record)| record.offset);
            let (mut batch, mut rest) = first_batch(&records);
            self.will_need(&file, batch);
            while !batch.is_empty() {
                if self.is_cancelled() {
                    return;
                }
                let (next, others) = first_batch(rest);
                self.will_need(&file, next);
                let sample = self.options.sample;
                let looked: Vec<Looked> =
                    batch.par_iter().map(|(id, record)| look(&file, id, record, is_condemned, sample)).collect();
                for ((id, record), looked) in batch.iter().zip(looked) {
                    self.progress.add(record.stored_len());
                    if matches!(looked, Looked::Skipped) {
                        continue;
                    }
                    self.report.checked.objects += 1;
                    self.report.checked.bytes += record.stored_len();
                    match looked {
                        // What is condemned need not be whole: its pieces may have gone before it.
                        Looked::InPieces if is_condemned => {}
                        Looked::InPieces => self.pieces(snapshot, id, &file, record, &path),
                        Looked::Links(links) => self.links(id, &record.kind, links, &path),
                        Looked::Wrong(what) => {
                            self.add(Severity::Error, "object-damaged", Some(*id), Some(path.clone()), &what);
                        }
                        Looked::Sound | Looked::Skipped => {}
                    }
                }
                (batch, rest) = (next, others);
            }
        }
        self.progress.end();
    }

    /// Has the bytes of objects read from the disk while those before them are looked at, if all of them are wanted.
    fn will_need(&self, file: &SortedFile, batch: &[(Id, PackRecord)]) {
        if self.options.sample.is_none()
            && let (Some((_, first)), Some((_, last))) = (batch.first(), batch.last())
        {
            let end = last.offset.saturating_add(last.stored_len());
            file.will_need(first.offset, end.saturating_sub(first.offset));
        }
    }

    /// The lists of content in pieces must lead to pieces that are there; these are checked as objects of their own.
    fn pieces(&mut self, snapshot: &Snapshot, id: &Id, file: &SortedFile, record: &PackRecord, path: &str) {
        let list = match pack::pieces(file, record) {
            Ok(list) => list,
            Err(what) => return self.add(Severity::Error, "object-damaged", Some(*id), Some(path.to_owned()), &what),
        };
        let present = &self.present;
        let walked = snapshot.walk_pieces(&list, record.len, 0..record.len, &mut |_, piece| {
            if present.get(&piece.id) == Some(&Kind::BLOB) {
                Ok(())
            } else {
                Err(Failed::Broken(format!("its piece {} is missing", piece.id)))
            }
        });
        match walked {
            Ok(()) => {}
            Err(Failed::Broken(what)) => {
                self.add(Severity::Error, "object-damaged", Some(*id), Some(path.to_owned()), &what);
            }
            Err(Failed::Other(err)) => {
                self.add(Severity::Error, "object-damaged", Some(*id), Some(path.to_owned()), &err);
            }
        }
    }

    /// What an object leads to must be there.
    fn links(&mut self, id: &Id, kind: &Kind, links: Vec<Link>, file: &str) {
        for Link(target, target_kind, strength) in links {
            let (severity, code) = match (self.present.get(&target), strength) {
                (Some(found), _) if *found != target_kind => (Severity::Error, "link-kind-differs"),
                (Some(_), _) | (None, Strength::Weak) => continue,
                (None, Strength::Record) => (Severity::Error, "link-missing"),
                (None, Strength::Content) => {
                    if self.options.is_marked.is_some_and(|is_marked| is_marked(&target)) {
                        continue;
                    }
                    (Severity::Warning, "content-missing")
                }
            };
            let message = format!("{kind} {id} names the {target_kind} {target}");
            self.add(severity, code, Some(target), Some(file.to_owned()), &message);
        }
    }

    fn refs(&mut self, snapshot: &Snapshot) {
        self.progress.begin("refs", None, Unit::Items);
        for item in snapshot.scan(b"", Direction::Forward) {
            if self.is_cancelled() {
                break;
            }
            let (key, value) = match item {
                Ok(item) => item,
                Err(err) => {
                    self.add(Severity::Error, "log-unreadable", None, None, &err);
                    break;
                }
            };
            self.report.checked.refs += 1;
            self.progress.add(1);
            let Some(targets) = self.options.targets else { continue };
            let shown = crate::path::shown(&key);
            match targets(&key, &value) {
                Ok(ids) => {
                    for id in ids {
                        if self.present.get(&id).is_none()
                            && !(may_be_content(&key) && self.options.is_marked.is_some_and(|is_marked| is_marked(&id)))
                        {
                            let message = format!("the ref `{shown}` names an object that is not there");
                            self.add(Severity::Error, "ref-target-missing", Some(id), None, &message);
                        }
                    }
                }
                Err(what) => {
                    self.add(Severity::Error, "ref-malformed", None, None, &format!("the ref `{shown}`: {what}"));
                }
            }
        }
        self.progress.end();
    }

    /// Files that belong to nothing.
    fn folders(&mut self, snapshot: Option<&Snapshot>) {
        for folder in Folder::ALL {
            let names = match self.store.backend().list(folder) {
                Ok(names) => names,
                Err(err) => {
                    self.error("folder-unreadable", folder.to_string(), &err);
                    continue;
                }
            };
            for (name, size) in names {
                let path = format!("{folder}/{name}");
                let (code, message) = match folder {
                    Folder::Log if entry::parse_name(&name).is_some() => continue,
                    Folder::Tmp if name == "queue" => continue,
                    Folder::Tmp => {
                        ("left-over", "it was left behind by a writer that did not finish, or is being written")
                    }
                    Folder::Quarantine => ("left-over", "it was put aside as damaged"),
                    _ => match (folder.parse(&name), snapshot) {
                        (Some(id), Some(snapshot)) => {
                            let state = snapshot.state();
                            if state.has_file(folder, &id) || state.is_gone(folder, &id) {
                                continue;
                            }
                            ("orphan", "no entry of the log names it")
                        }
                        (Some(_), None) => continue,
                        (None, _) => ("foreign-file", "it is no file of a store"),
                    },
                };
                self.add(Severity::Info, code, None, Some(path), &format!("{message} ({size} bytes)"));
            }
        }
    }
}

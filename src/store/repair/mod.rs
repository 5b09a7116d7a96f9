//! Repair: bringing back what is damaged from wherever its bytes still are, into new files (`docs/design/0009-repair-and-undo.md`).
//!
//! Nothing is deleted: what is damaged goes to `quarantine/`. Nothing is invented: an object counts by its id, an entry of the log by
//! the digest that its successor names, a file by its name; refs are made again from the records that they are a function of. What can't
//! be had is said to be lost, and everything else goes on.

mod log;
mod objects;
mod refs;
mod sources;
mod whole;

pub(super) use sources::{Elsewhere, identified, put_entry};

use super::Store;
use super::backend::{Backend, BackendError, Folder};
use super::check::{Finding, Report};
use super::draft::Restore;
use super::error::Error;
use super::{fold, format};
use crate::hash::Id;
use crate::object::Kind;
use crate::progress::Cancel;

/// What repair did, or found that it can't do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// A stable word for it.
    pub code: &'static str,
    /// Whether something is lost.
    pub is_loss: bool,
    /// The object it is about.
    pub object: Option<Id>,
    /// The file it is about, from the store's folder.
    pub file: Option<String>,
    /// What was done, for people.
    pub message: String,
}

/// What records mean, as far as repair has to know.
pub trait Records: Sync {
    /// The objects that a ref needs.
    ///
    /// # Errors
    /// What is wrong with its key or value.
    fn targets(&self, key: &[u8], value: &[u8]) -> Result<Vec<Id>, String>;

    /// The refs by which a record is found: a function of it alone. None for what is no such record.
    fn refs_of(&self, id: &Id, kind: &Kind, bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// Of a key with a rank, what it is whatever its rank: two with the same are one ref.
    fn unranked(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Whether a ref of a record takes the place of the value that is there.
    fn is_newer(&self, key: &[u8], old: &[u8], new: &[u8]) -> bool;

    /// Whether every change of this ref carries an expectation, so that history knows its last value.
    fn is_in_history(&self, key: &[u8]) -> bool;
}

/// What repair goes by.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What records mean.
    pub records: &'a dyn Records,
    /// Further stores, which are only read.
    pub others: &'a [Store],
    /// Asked for content that no store has.
    pub restore: Option<&'a dyn Restore>,
    /// The command, for the log.
    pub command: &'a str,
    /// Raised to stop early.
    pub cancel: &'a Cancel,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("others", &self.others.len())
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

/// How often something is tried again because others wrote meanwhile.
const ATTEMPTS: u32 = 8;

/// Repairs what `report` found, as far as that is possible. Another check tells what is left.
///
/// # Errors
/// Failures of the place; what was repaired until then is repaired.
pub fn repair(store: &Store, report: &Report, options: &Options<'_>) -> Result<Vec<Done>, Error> {
    let mut repair = Repair { store, options, done: Vec::new() };
    repair.left_over();
    if store.snapshot().is_err() && !repair.checkpoint_from_elsewhere()? {
        return Ok(repair.done);
    }
    repair.whole_files(report)?;
    repair.whole_entries()?;
    repair.salvage()?;
    repair.fold(report)?;
    repair.objects(report)?;
    Ok(repair.done)
}

/// Writes the `format` file of a store anew where it is damaged or missing. `None`: it is sound, or of a newer prov, or there is no store.
///
/// # Errors
/// Failures of the place.
pub fn repair_format(backend: &dyn Backend, others: &[Store], random: [u8; 16]) -> Result<Option<Done>, Error> {
    let bytes = backend.read_format()?;
    match format::decode(bytes.as_deref().unwrap_or_default(), &backend.place()) {
        Ok(_) | Err(Error::TooNew { .. }) => return Ok(None),
        Err(_) => {}
    }
    let numbers = super::load::numbers(backend)?;
    // Without an entry that is one of this format, nothing tells that this is a store.
    let is_store = numbers
        .iter()
        .rev()
        .any(|&number| number > 0 && matches!(super::load::read(backend, number), Ok(super::load::Read::Good(..))));
    if !is_store && (bytes.is_none() || numbers.is_empty()) {
        return Ok(None);
    }
    let from = others.iter().find(|other| shares_log(backend, other));
    let written = bytes.as_deref().and_then(format::id_in);
    let (id, message) = match (from.and_then(|other| crate::hash::unhex(other.id())?.try_into().ok()), written) {
        (Some(id), _) => (id, "written anew, with the id that a copy of the store has"),
        (None, Some(id)) => (id, "written anew, with the id that it had"),
        (None, None) => (random, "written anew; the store's id is lost, it has a new one"),
    };
    backend.drop_format()?;
    backend.create_format(&format::encode(id))?;
    Ok(Some(Done {
        code: "format-rebuilt",
        is_loss: from.is_none() && written.is_none(),
        object: None,
        file: Some("format".to_owned()),
        message: message.to_owned(),
    }))
}

/// Whether a store has an entry of this one: then it is a copy of it, or this is one of that.
fn shares_log(backend: &dyn Backend, other: &Store) -> bool {
    let names = backend.names(Folder::History).unwrap_or_default();
    other.backend().names(Folder::History).unwrap_or_default().iter().any(|name| names.contains(name))
}

struct Repair<'a> {
    store: &'a Store,
    options: &'a Options<'a>,
    done: Vec<Done>,
}

impl Repair<'_> {
    fn say(&mut self, code: &'static str, file: Option<String>, object: Option<Id>, message: impl Into<String>) {
        self.done.push(Done { code, is_loss: false, object, file, message: message.into() });
    }

    fn lose(&mut self, code: &'static str, file: Option<String>, object: Option<Id>, message: impl Into<String>) {
        self.done.push(Done { code, is_loss: true, object, file, message: message.into() });
    }

    fn backend(&self) -> &dyn Backend {
        self.store.backend()
    }

    fn check_cancel(&self) -> Result<(), Error> {
        if self.options.cancel.is_raised() {
            return Err(Error::Access(std::io::Error::from(std::io::ErrorKind::Interrupted).into()));
        }
        Ok(())
    }

    /// Puts a copy of a damaged file into quarantine, under a name of its own.
    fn set_aside(&mut self, folder: Folder, name: &str) -> Result<(), BackendError> {
        if let Some(aside) = self.backend().set_aside(folder, name)? {
            let file = format!("{folder}/{name}");
            self.say("put-aside", Some(file), None, format!("kept as {}/{aside}", Folder::Quarantine));
        }
        Ok(())
    }

    /// Removes what dead writers left behind.
    fn left_over(&mut self) {
        let swept = fold::sweep_left_over(self.backend());
        if swept > 0 {
            let message = format!("{swept} files that killed processes left behind were removed");
            self.say("left-over-removed", Some(Folder::Tmp.to_string()), None, message);
        }
    }
}

/// The files of the state that findings say are damaged, sorted, none twice.
fn damaged_files(findings: &[Finding], folders: &[Folder]) -> Vec<(Folder, Id)> {
    const CODES: [&str; 8] = [
        "pack-damaged",
        "pack-missing",
        "table-damaged",
        "table-missing",
        "history-damaged",
        "history-missing",
        "size-differs",
        "object-damaged",
    ];
    let is_damage = |finding: &&Finding| finding.severity == super::Severity::Error && CODES.contains(&finding.code);
    let mut found: Vec<(Folder, Id)> = findings
        .iter()
        .filter(is_damage)
        .filter_map(|finding| {
            let (folder, name) = finding.file.as_deref()?.split_once('/')?;
            let folder = *folders.iter().find(|known| known.as_str() == folder)?;
            Some((folder, folder.parse(name)?))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

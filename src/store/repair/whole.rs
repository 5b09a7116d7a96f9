//! Files of the state that lie whole in another place: a copy of the store, or under another file's name.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::Write;

use super::super::backend::{Backend, BackendError, Folder, Outcome};
use super::super::check::Report;
use super::super::entry::{self, Entry};
use super::super::error::Error;
use super::super::load::{self, Read};
use super::super::pack::{self, CopyError, PackRecord};
use super::super::sorted::{SortedFile, verify};
use super::super::{fold, history};
use super::{Repair, damaged_files};
use crate::hash::Id;
use crate::object::Kind;

const FOLDERS: [Folder; 3] = [Folder::Packs, Folder::Tables, Folder::History];

fn magic(folder: Folder) -> [u8; 8] {
    match folder {
        Folder::Tables => fold::TABLE_MAGIC,
        Folder::History => history::MAGIC,
        _ => pack::MAGIC,
    }
}

/// Whether every byte of a file is right.
fn is_sound(file: &SortedFile, folder: Folder) -> bool {
    let sound = Cell::new(true);
    let mut records: Vec<(Id, PackRecord)> = Vec::new();
    let mut each = |key: &[u8], value: &[u8]| {
        if folder == Folder::Packs {
            match (Id::from_bytes(key), PackRecord::parse(value, file)) {
                (Some(id), Ok(record)) => records.push((id, record)),
                _ => sound.set(false),
            }
        }
    };
    verify(file, magic(folder), &mut each, &mut |_| sound.set(false));
    sound.get()
        && records.iter().all(|(id, record)| {
            if record.is_in_pieces() {
                return pack::pieces(file, record).is_ok();
            }
            if record.kind == Kind::BLOB {
                return !matches!(pack::copy(file, id, record, &mut std::io::sink()), Err(CopyError::Broken(_)));
            }
            pack::read(file, id, record).is_ok()
        })
}

/// A file in some place.
struct At<'a> {
    backend: &'a dyn Backend,
    folder: Folder,
    name: String,
}

impl Repair<'_> {
    /// Puts damaged files of the state back whose bytes lie whole elsewhere, bit for bit and under their own names.
    pub(super) fn whole_files(&mut self, report: &Report) -> Result<(), Error> {
        let snapshot = self.store.snapshot()?;
        let store = self.store;
        let damaged = damaged_files(&report.findings, &FOLDERS);
        for &(folder, name) in damaged.iter().filter(|(folder, name)| snapshot.state().has_file(*folder, name)) {
            self.check_cancel()?;
            let file = folder.file(&name);
            // Under the names of other damaged files, and in quarantine: files may have been swapped.
            let own = damaged.iter().filter(|(other, _)| *other == folder).map(|(_, name)| (folder, folder.file(name)));
            let aside = store.backend().names(Folder::Quarantine)?.into_iter().map(|name| (Folder::Quarantine, name));
            let here = own.chain(aside).map(|(folder, name)| At { backend: store.backend(), folder, name });
            let there =
                self.options.others.iter().map(|other| At { backend: other.backend(), folder, name: file.clone() });
            let found = here.chain(there).find(|at| {
                let opened = at.backend.open(at.folder, &at.name).ok().flatten();
                let opened = opened.and_then(|opened| SortedFile::open(opened, &name).ok());
                opened.is_some_and(|opened| is_sound(&opened, folder))
            });
            let Some(at) = found else { continue };
            if at.folder == folder && at.name == file && std::ptr::addr_eq(at.backend, store.backend()) {
                // It is whole: what was wrong with it has passed, or is only the size that the log knows.
                continue;
            }
            let Some(staged) = staged_copy(store.backend(), &at)? else { continue };
            self.set_aside(folder, &file)?;
            self.backend().remove(folder, &file)?;
            let outcome = staged.publish(folder, &file)?;
            self.backend().sync(folder)?;
            store.files().forget(folder, &name);
            if outcome == Outcome::Won {
                let place = at.backend.place();
                self.say("file-restored", Some(format!("{folder}/{file}")), None, format!("put back from {place}"));
            }
        }
        Ok(())
    }

    /// Puts entries of the log back whose bytes are elsewhere: those that the next entry names by its digest. An entry that is back names the
    /// one below it, which may turn out to be another than the copy of a fold that was taken for it, so the log is read again each time.
    pub(super) fn whole_entries(&mut self) -> Result<(), Error> {
        let mut tried: HashSet<u64> = HashSet::new();
        loop {
            let snapshot = match self.store.snapshot() {
                // What came back named another checkpoint than the one that stood in for it.
                Err(Error::Damaged { .. }) if !tried.is_empty() && self.checkpoint_from_elsewhere()? => {
                    self.store.snapshot()?
                }
                snapshot => snapshot?,
            };
            let log = &snapshot.inner.log;
            let base = (!log.base_is_sound).then_some(log.base);
            let lost = log.holes.iter().map(|(number, _)| *number).chain(base);
            let Some(number) = lost.filter(|number| !tried.contains(number)).max() else { return Ok(()) };
            self.check_cancel()?;
            tried.insert(number);
            self.whole_entry(number, snapshot.tip())?;
        }
    }

    fn whole_entry(&mut self, number: u64, tip: u64) -> Result<(), Error> {
        let Some(next) = number.checked_add(1).filter(|next| *next <= tip) else { return Ok(()) };
        let Read::Good(next, _) = load::read(self.backend(), next)? else { return Ok(()) };
        if next.prev == Id::ZERO {
            return Ok(());
        }
        let Some((bytes, place)) = self.entry_with_digest(number, next.prev)? else { return Ok(()) };
        let name = entry::name(number);
        let mut staged = self.backend().stage()?;
        staged.write_all(&bytes).map_err(|source| failed(&name, source))?;
        self.set_aside(Folder::Log, &name)?;
        self.backend().remove(Folder::Log, &name)?;
        let outcome = staged.publish(Folder::Log, &name)?;
        self.backend().sync(Folder::Log)?;
        if outcome == Outcome::Won {
            self.say("entry-restored", Some(format!("log/{name}")), None, format!("put back from {place}"));
        }
        Ok(())
    }

    /// The bytes of entry `number` with this digest, wherever they are.
    fn entry_with_digest(&self, number: u64, digest: Id) -> Result<Option<(Vec<u8>, String)>, Error> {
        let is_it = |bytes: &[u8]| Entry::decode(bytes, number).is_ok_and(|(_, found)| found == digest);
        for folder in [Folder::Log, Folder::Quarantine] {
            for name in self.backend().names(folder)? {
                if folder == Folder::Quarantine && !name.starts_with("log-") {
                    continue;
                }
                if let Ok(Some(bytes)) = self.backend().read(folder, &name)
                    && is_it(&bytes)
                {
                    return Ok(Some((bytes, format!("{folder}/{name}"))));
                }
            }
        }
        for other in self.options.others {
            if let Ok(Some(bytes)) = other.backend().read(Folder::Log, &entry::name(number))
                && is_it(&bytes)
            {
                return Ok(Some((bytes, other.backend().place())));
            }
        }
        Ok(None)
    }

    /// Where neither a checkpoint nor a copy of one is left: takes one from a copy of this store.
    pub(super) fn checkpoint_from_elsewhere(&mut self) -> Result<bool, Error> {
        let shown = load::numbers(self.backend())?;
        for other in self.options.others {
            for number in load::numbers(other.backend())?.into_iter().rev() {
                let name = entry::name(number);
                let Ok(Some(bytes)) = other.backend().read(Folder::Log, &name) else { continue };
                let Ok((entry, digest)) = Entry::decode(&bytes, number) else { continue };
                if entry.checkpoint.is_none()
                    || !self.is_ours(other.backend(), number, digest, &entry, shown.last().copied())
                {
                    continue;
                }
                let mut staged = self.backend().stage()?;
                staged.write_all(&bytes).map_err(|source| failed(&name, source))?;
                self.set_aside(Folder::Log, &name)?;
                self.backend().remove(Folder::Log, &name)?;
                staged.publish(Folder::Log, &name)?;
                self.backend().sync(Folder::Log)?;
                let place = other.backend().place();
                self.say("entry-restored", Some(format!("log/{name}")), None, format!("put back from {place}"));
                return Ok(self.store.snapshot().is_ok());
            }
        }
        self.lose(
            "checkpoint-lost",
            Some("log".to_owned()),
            None,
            "neither a checkpoint nor a copy of one can be read: `--from` a copy of this store is needed",
        );
        Ok(false)
    }

    /// Whether a fold of another store was one of this store's: an entry above it says so, over what that store has of those between that
    /// are damaged here; or the history file that it made lies here, and no two have one name.
    fn is_ours(&self, other: &dyn Backend, number: u64, digest: Id, entry: &Entry, tip: Option<u64>) -> bool {
        let Some(tip) = tip.filter(|tip| number <= *tip) else { return false };
        let (mut at, mut below) = (number, digest);
        while let Some(next) = at.checked_add(1).filter(|next| *next <= tip) {
            if let Ok(Read::Good(own, _)) = load::read(self.backend(), next) {
                return own.prev == below;
            }
            let Ok(Read::Good(between, digest)) = load::read(other, next) else { break };
            if between.prev != below {
                break;
            }
            (at, below) = (next, digest);
        }
        let made = entry.checkpoint.as_ref().and_then(|checkpoint| checkpoint.history.first());
        let made = made.map(|row| Folder::History.file(&row.name()));
        made.is_some_and(|file| matches!(self.backend().open(Folder::History, &file), Ok(Some(_))))
    }
}

fn failed(name: &str, source: std::io::Error) -> BackendError {
    BackendError::Io { action: "write", file: format!("log/{name}"), source }
}

/// A copy of a file, to be published.
fn staged_copy(backend: &dyn Backend, from: &At<'_>) -> Result<Option<Box<dyn super::super::backend::Staged>>, Error> {
    let Some(file) = from.backend.open(from.folder, &from.name)? else { return Ok(None) };
    let failed = |source| BackendError::Io { action: "copy", file: format!("{}/{}", from.folder, from.name), source };
    let len = file.size().map_err(failed)?;
    let mut staged = backend.stage()?;
    let mut buffer = vec![0; 128 << 10];
    let mut at = 0;
    while at < len {
        let size = usize::try_from(len - at).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(at, &mut buffer[..size]).map_err(failed)?;
        staged.write_all(&buffer[..size]).map_err(failed)?;
        at += size as u64;
    }
    Ok(Some(staged))
}

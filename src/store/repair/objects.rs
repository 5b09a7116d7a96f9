//! Objects: what damaged packs still hold and what other places have goes into new packs; the damaged ones leave the state.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::super::backend::Folder;
use super::super::check::Report;
use super::super::collect;
use super::super::error::Error;
use super::super::intake::Intake;
use super::super::objects::Place;
use super::super::pack::{self, PackRecord};
use super::super::snapshot::Snapshot;
use super::super::sorted::verify;
use super::sources::{Strays, put_entry, put_from};
use super::{ATTEMPTS, Repair, damaged_files};
use crate::hash::Id;
use crate::object::{self, Kind, Sink, Source, Strength};

/// Findings that name an object which is not there, or not whole.
const MISSING: [&str; 4] = ["object-damaged", "link-missing", "content-missing", "ref-target-missing"];

impl Repair<'_> {
    /// Brings back objects that are damaged or missing, and takes damaged packs out of the state.
    pub(super) fn objects(&mut self, report: &Report) -> Result<(), Error> {
        let wanted: BTreeSet<Id> =
            report.findings.iter().filter(|one| MISSING.contains(&one.code)).filter_map(|one| one.object).collect();
        for _ in 0..ATTEMPTS {
            self.check_cancel()?;
            let before = self.done.len();
            match self.objects_once(report, &wanted) {
                Err(Error::Outdated) => self.done.truncate(before),
                result => return result,
            }
        }
        Err(Error::Outdated)
    }

    fn objects_once(&mut self, report: &Report, wanted: &BTreeSet<Id>) -> Result<(), Error> {
        let snapshot = self.store.snapshot()?;
        let packs: Vec<Id> = damaged_files(&report.findings, &[Folder::Packs])
            .into_iter()
            .map(|(_, name)| name)
            // A condemned one that is damaged says so with every check until it is gone.
            .filter(|name| snapshot.state().has_pack(name))
            .filter(|name| !self.is_restored(name))
            .collect();
        if packs.is_empty() && wanted.is_empty() {
            return Ok(());
        }
        // Content in pieces of which one is gone is stored again as a whole, so its claim must not count either.
        let mut shunned: HashSet<Id> = packs.iter().copied().collect();
        for id in wanted {
            if let Some((file, record)) = snapshot.packed(id)?
                && record.is_in_pieces()
            {
                shunned.insert(file.name());
            }
        }
        let intake = Intake::shunning(&snapshot, shunned);
        let strays = Strays::find(&snapshot);
        let mut seen = BTreeSet::new();
        let (mut back, mut lost) = (Vec::new(), Vec::new());
        for id in wanted {
            if is_readable(&snapshot, id, &packs)? {
                continue;
            }
            if self.fetch(id, &strays, &intake, &mut seen)? { back.push(*id) } else { lost.push(*id) }
        }
        // Last: what is stored anew as a whole needs no claim that stands on damaged pieces.
        for name in &packs {
            self.take_over(name, &intake)?;
        }
        let collected = intake.finish()?;
        if collected.stored().next().is_none() && packs.is_empty() {
            self.tell(&back, &lost);
            return Ok(());
        }
        for name in &packs {
            self.set_aside(Folder::Packs, &Folder::Packs.file(name))?;
        }
        collect::retire(&snapshot, &packs, Some(&Arc::new(collected)), self.options.command)?;
        for name in &packs {
            let file = format!("{}/{}", Folder::Packs, Folder::Packs.file(name));
            self.say("pack-replaced", Some(file), None, "what is whole of it was written anew; the rest is told of");
        }
        self.tell(&back, &lost);
        Ok(())
    }

    fn tell(&mut self, back: &[Id], lost: &[Id]) {
        for id in back {
            self.say("object-restored", None, Some(*id), "it was found elsewhere and stored anew");
        }
        for id in lost {
            self.lose("object-lost", None, Some(*id), "no place that was looked at has it");
        }
    }

    fn is_restored(&self, name: &Id) -> bool {
        let file = format!("{}/{}", Folder::Packs, Folder::Packs.file(name));
        self.done.iter().any(|done| done.code == "file-restored" && done.file.as_deref() == Some(&file))
    }

    /// Puts everything that is whole in a damaged pack into `intake`.
    fn take_over(&self, name: &Id, intake: &Intake) -> Result<(), Error> {
        let Ok(file) = self.store.files().fresh(Folder::Packs, name) else { return Ok(()) };
        let mut entries: Vec<(Id, PackRecord)> = Vec::new();
        let mut each = |key: &[u8], value: &[u8]| {
            if let (Some(id), Ok(record)) = (Id::from_bytes(key), PackRecord::parse(value, &file)) {
                entries.push((id, record));
            }
        };
        verify(&file, pack::MAGIC, &mut each, &mut |_| {});
        // Claims last: they stand on pieces.
        entries.sort_by_key(|(_, record)| (record.is_in_pieces(), record.offset));
        for (id, record) in entries {
            self.check_cancel()?;
            if !record.is_in_pieces() {
                put_entry(&file, &id, &record, intake)?;
            } else if let Ok(list) = pack::pieces(&file, &record)
                && !intake.has(&id)?
            {
                // What its list leads to is looked after by itself.
                intake.put_pieces(&id, record.len, &list)?;
            }
        }
        Ok(())
    }

    /// Puts an object into `intake` from wherever it is; what it leads to as well, as far as that is to be had.
    fn fetch(&self, id: &Id, strays: &Strays, intake: &Intake, seen: &mut BTreeSet<Id>) -> Result<bool, Error> {
        if intake.has(id)? || strays.put(id, intake)? {
            return Ok(true);
        }
        for other in self.options.others {
            if !put_from(other, id, intake)? {
                continue;
            }
            if let Ok(found) = other.snapshot()
                && let Ok(Some((kind, _))) = found.header(id)
                && kind != Kind::BLOB
                && let Ok(Some((kind, bytes))) = found.read(id)
            {
                self.put_linked(&kind, &bytes, strays, intake, seen)?;
            }
            return Ok(true);
        }
        match self.options.restore {
            Some(restore) => Ok(restore.restore(id, intake)? && intake.has(id)?),
            None => Ok(false),
        }
    }

    /// Puts what an object leads to into `intake`, as far as it is to be had.
    pub(super) fn put_linked(
        &self,
        kind: &Kind,
        bytes: &[u8],
        strays: &Strays,
        intake: &Intake,
        seen: &mut BTreeSet<Id>,
    ) -> Result<(), Error> {
        for link in object::links(kind, bytes).unwrap_or_default() {
            if link.strength() != Strength::Weak && seen.insert(link.id()) && !intake.has(&link.id())? {
                self.fetch(&link.id(), strays, intake, seen)?;
            }
        }
        Ok(())
    }
}

/// Whether an object can be had from a place that stays.
fn is_readable(snapshot: &Snapshot, id: &Id, leaving: &[Id]) -> Result<bool, Error> {
    match snapshot.locate_live(id)? {
        Some(Place::Pack(name)) if leaving.contains(&name) => Ok(false),
        Some(_) => Ok(snapshot.copy(id, &mut std::io::sink()).is_ok_and(|found| found.is_some())),
        None => Ok(false),
    }
}

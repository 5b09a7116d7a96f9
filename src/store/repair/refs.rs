//! Refs made again from the records and the history that they are a function of.

use std::collections::{BTreeMap, HashSet};

use super::super::backend::Folder;
use super::super::entry::Class;
use super::super::error::Error;
use super::super::history::{self, Change};
use super::super::pack;
use super::super::snapshot::{File, Snapshot};
use super::super::sorted::{Direction, verify};
use super::{Records, Repair};
use crate::codec::{self, Limits};
use crate::hash::{self, Id};
use crate::object::Kind;

/// What stands for a key without its rank where many are held.
pub(super) fn short(unranked: &[u8]) -> u64 {
    super::super::collect::prefix(&hash::blob(unranked))
}

/// All refs with a rank that can be read, without it.
pub(super) fn known(snapshot: &Snapshot, records: &dyn Records) -> Result<HashSet<u64>, Error> {
    let mut known = HashSet::new();
    for item in snapshot.scan(b"", Direction::Forward) {
        if let Some(unranked) = records.unranked(&item?.0) {
            known.insert(short(&unranked));
        }
    }
    Ok(known)
}

/// The refs of a record that are not there, or hold an older value.
pub(super) fn missing(
    snapshot: &Snapshot,
    records: &dyn Records,
    known: &HashSet<u64>,
    id: &Id,
    kind: &Kind,
    bytes: &[u8],
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    for (key, value) in records.refs_of(id, kind, bytes) {
        if records.unranked(&key).is_some_and(|unranked| known.contains(&short(&unranked))) {
            continue;
        }
        let is_missing = match snapshot.get_ref(&key)? {
            None => true,
            Some(old) => records.is_newer(&key, &old, &value),
        };
        if is_missing {
            found.push((key, value));
        }
    }
    Ok(found)
}

impl Repair<'_> {
    /// Every ref that records or history tell of and that can't be read.
    pub(super) fn rebuilt(&self, snapshot: &Snapshot) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, Error> {
        let records = self.options.records;
        let known = known(snapshot, records)?;
        let mut refs: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        let mut add = |id: &Id, kind: &Kind, bytes: &[u8]| -> Result<(), Error> {
            for (key, value) in missing(snapshot, records, &known, id, kind, bytes)? {
                let is_newer = match refs.get(&key) {
                    Some(Some(old)) => records.is_newer(&key, old, &value),
                    _ => true,
                };
                if is_newer {
                    refs.insert(key, Some(value));
                }
            }
            Ok(())
        };
        for row in snapshot.state().packs.iter().filter(|row| row.class() == Class::Records) {
            self.check_cancel()?;
            let File::Here(file) = snapshot.file(Folder::Packs, &row.name())? else { continue };
            let mut entries = Vec::new();
            let mut each = |key: &[u8], value: &[u8]| {
                if let (Some(id), Ok(record)) = (Id::from_bytes(key), pack::PackRecord::parse(value, &file)) {
                    entries.push((id, record));
                }
            };
            verify(&file, pack::MAGIC, &mut each, &mut |_| {});
            for (id, record) in entries {
                // A record that is damaged is made good later, if somebody has it.
                if let Ok(bytes) = pack::read(&file, &id, &record) {
                    add(&id, &record.kind, &bytes)?;
                }
            }
        }
        for (id, &(at, position)) in snapshot.inline() {
            let object = &snapshot.entry(at).entry.objects[position];
            add(id, &object.0, &object.1)?;
        }
        for (key, value) in last_values(snapshot, records)? {
            if snapshot.get_ref(&key)? != value {
                refs.insert(key, value);
            }
        }
        Ok(refs)
    }
}

/// The last value of every ref whose changes history knows, as far as history can be read.
fn last_values(snapshot: &Snapshot, records: &dyn Records) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, Error> {
    let mut last: BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)> = BTreeMap::new();
    for row in &snapshot.state().history {
        let File::Here(file) = snapshot.file(Folder::History, &row.name())? else { continue };
        let mut each = |key: &[u8], value: &[u8]| {
            let Some((key, number)) = history::parse_edit_key(key).filter(|(key, _)| records.is_in_history(key)) else {
                return;
            };
            let Ok(Change(_, new)) = codec::decode::<Change>(value, &Limits::RECORD) else { return };
            if last.get(key).is_none_or(|(before, _)| *before < number) {
                last.insert(key.to_vec(), (number, new.map(Vec::from)));
            }
        };
        verify(&file, history::MAGIC, &mut each, &mut |_| {});
    }
    // What was changed since the checkpoint is in the entries, and newer than all of this.
    last.retain(|key, _| snapshot.overlay().get(key).is_none());
    Ok(last.into_iter().map(|(key, (_, value))| (key, value)).collect())
}

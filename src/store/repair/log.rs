//! The log: what can be saved of damaged entries, and a fold that leaves them behind.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::super::backend::Folder;
use super::super::check::Report;
use super::super::draft::{Draft, RefEdit};
use super::super::entry::{self, Entry, Expect, OpId};
use super::super::error::Error;
use super::super::fold::{self, Mend};
use super::super::intake::Intake;
use super::super::pack;
use super::super::snapshot::Snapshot;
use super::sources::Strays;
use super::{ATTEMPTS, Repair, damaged_files};
use crate::hash::Id;
use crate::object::{Kind, Sink, id_of};

/// Edits of refs in one transaction.
const EDITS: usize = 2_000;

/// Bytes of records in one transaction.
const BYTES: usize = 4 << 20;

/// Records found again, by their ids.
type Found = BTreeMap<Id, (Kind, Vec<u8>)>;

impl Repair<'_> {
    /// Records anew what can be saved of entries that can't be read: objects in them that something names by their id, and the records
    /// that their packs hold, with the refs that follow from them.
    pub(super) fn salvage(&mut self) -> Result<(), Error> {
        let snapshot = self.store.snapshot()?;
        let holes: Vec<u64> = snapshot.inner.log.holes.iter().map(|(number, _)| *number).collect();
        if holes.is_empty() {
            return Ok(());
        }
        let strays = Strays::find(&snapshot);
        let mut found = self.records_in(&strays);
        let mut lost: Vec<(u64, Option<(Entry, usize)>)> = Vec::new();
        for number in holes {
            let bytes = self.backend().read(Folder::Log, &entry::name(number))?;
            let entry = bytes.as_deref().and_then(Entry::salvage).filter(|entry| entry.n == number);
            let entry = entry.map(|entry| {
                let proven = self.proven(&snapshot, &entry);
                let unproven = entry.objects.len() - proven.len().min(entry.objects.len());
                found.extend(proven);
                (entry, unproven)
            });
            lost.push((number, entry));
        }
        self.record(&snapshot, &strays, found)?;
        let newest = self.store.snapshot()?;
        let records = self.options.records;
        let known = super::refs::known(&newest, records)?;
        let is_known = |key: &[u8]| records.unranked(key).is_some_and(|key| known.contains(&super::refs::short(&key)));
        for (number, entry) in lost {
            let file = Some(format!("log/{}", entry::name(number)));
            let message = match entry {
                None => "what was in it is lost, as far as nothing else tells of it".to_owned(),
                Some((entry, unproven)) => {
                    let mut gone = Vec::new();
                    for edit in &entry.refs {
                        let now = newest.get_ref(&edit.0)?;
                        let is_here = match &edit.2 {
                            Some(value) => now.as_deref() == Some(value.as_slice()) || is_known(&edit.0),
                            None => now.is_none(),
                        };
                        if !is_here {
                            gone.push(crate::path::shown(&edit.0));
                        }
                    }
                    if gone.is_empty() && unproven == 0 {
                        let message = format!(
                            "of `{}`: all that it recorded is recorded anew",
                            crate::path::shown(entry.cmd.as_bytes())
                        );
                        self.say("entry-salvaged", file, None, message);
                        continue;
                    }
                    let first = gone.first().map(|first| format!(", `{first}` among them")).unwrap_or_default();
                    format!(
                        "lost are {unproven} of {} objects and {} of {} changes of refs{first}",
                        entry.objects.len(),
                        gone.len(),
                        entry.refs.len()
                    )
                }
            };
            self.lose("entry-lost", file, None, message);
        }
        Ok(())
    }

    /// Every record in stray packs that refs follow from.
    fn records_in(&self, strays: &Strays) -> Found {
        let mut found = Found::new();
        for file in &strays.files {
            let _ = pack::for_each(
                file,
                &mut |id, record| {
                    if record.kind != Kind::BLOB
                        && record.kind != Kind::TREE
                        && let Ok(bytes) = pack::read(file, &id, &record)
                        && !self.options.records.refs_of(&id, &record.kind, &bytes).is_empty()
                    {
                        found.insert(id, (record.kind, bytes));
                    }
                    Ok(())
                },
                &drop,
            );
        }
        found
    }

    /// The objects of a damaged entry that are certainly whole: whoever names them by their id says so, since no damage makes other bytes
    /// of an id.
    fn proven(&self, snapshot: &Snapshot, entry: &Entry) -> Found {
        let mut all: HashMap<Id, (Kind, Vec<u8>)> = HashMap::new();
        for object in &entry.objects {
            all.insert(id_of(&object.0, &object.1), (object.0.clone(), object.1.to_vec()));
        }
        let mut todo: Vec<Id> = Vec::new();
        for edit in &entry.refs {
            if let Some(value) = &edit.2 {
                todo.extend(self.options.records.targets(&edit.0, value).unwrap_or_default());
            }
        }
        // Later entries may name what this one stored.
        for item in snapshot.overlay().iter().filter_map(|(key, value)| Some((key, value?))) {
            todo.extend(self.options.records.targets(item.0, item.1).unwrap_or_default());
        }
        let mut found = Found::new();
        while let Some(id) = todo.pop() {
            let Some((kind, bytes)) = all.remove(&id) else { continue };
            todo.extend(crate::object::links(&kind, &bytes).unwrap_or_default().iter().map(crate::object::Link::id));
            found.insert(id, (kind, bytes));
        }
        found
    }

    /// Publishes records with the refs that follow from them and are not there, and what they lead to as far as strays have it.
    fn record(&mut self, snapshot: &Snapshot, strays: &Strays, found: Found) -> Result<(), Error> {
        let known = super::refs::known(snapshot, self.options.records)?;
        let mut waiting: Vec<(Id, Kind, Vec<u8>)> = Vec::new();
        let (mut edits, mut bytes, mut recorded) = (BTreeMap::new(), 0, 0_u64);
        for (id, (kind, content)) in found {
            let missing = super::refs::missing(snapshot, self.options.records, &known, &id, &kind, &content)?;
            // Content is named by records; of records that are known nothing has to be done.
            let is_content = kind == Kind::BLOB
                || kind == Kind::TREE
                || self.options.records.refs_of(&id, &kind, &content).is_empty();
            if missing.is_empty() && !is_content {
                continue;
            }
            recorded += u64::from(!is_content);
            bytes += content.len();
            edits.extend(missing);
            waiting.push((id, kind, content));
            if edits.len() > EDITS || bytes > BYTES {
                self.publish(snapshot, strays, &std::mem::take(&mut waiting), &std::mem::take(&mut edits))?;
                bytes = 0;
            }
        }
        if !waiting.is_empty() {
            self.publish(snapshot, strays, &waiting, &edits)?;
        }
        if recorded > 0 {
            self.say("records-found", None, None, format!("{recorded} records of damaged entries are recorded anew"));
        }
        Ok(())
    }

    fn publish(
        &self,
        snapshot: &Snapshot,
        strays: &Strays,
        objects: &[(Id, Kind, Vec<u8>)],
        edits: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), Error> {
        let intake = Intake::new(snapshot);
        for (id, kind, bytes) in objects {
            intake.put(kind, id, bytes)?;
        }
        for (_, kind, bytes) in objects {
            self.put_linked(kind, bytes, strays, &intake, &mut BTreeSet::new())?;
        }
        let collected = Arc::new(intake.finish()?);
        let edits: Vec<RefEdit> = edits
            .iter()
            .map(|(key, value)| RefEdit { key: key.clone(), expect: Expect::Any, new: Some(value.clone()) })
            .collect();
        let op = OpId::new(&*self.store.world().random);
        self.store.publish(op, self.options.command, &mut |_| {
            Ok::<_, Error>(Some(Draft {
                collected: Some(Arc::clone(&collected)),
                edits: edits.clone(),
                ..Draft::default()
            }))
        })?;
        Ok(())
    }

    /// A fold on top of everything that can't be read: damaged entries are void below it, damaged tables and history files have others in
    /// their place, and the checkpoint has a copy again.
    pub(super) fn fold(&mut self, report: &Report) -> Result<(), Error> {
        let snapshot = self.store.snapshot()?;
        let mut files: HashSet<Id> = HashSet::new();
        for (folder, name) in damaged_files(&report.findings, &[Folder::Tables, Folder::History]) {
            let is_restored = self.done.iter().any(|done| {
                done.code == "file-restored"
                    && done.file.as_deref() == Some(&format!("{folder}/{}", folder.file(&name)))
            });
            if !is_restored && snapshot.state().has_file(folder, &name) {
                files.insert(name);
            }
        }
        let log = &snapshot.inner.log;
        let has_copy = report.findings.iter().all(|finding| finding.code != "checkpoint-copy-missing");
        if files.is_empty() && log.holes.is_empty() && log.base_is_sound && has_copy {
            return Ok(());
        }
        let tables = snapshot.state().tables.iter().filter(|row| files.contains(&row.name())).count();
        let refs = if tables == 0 { BTreeMap::new() } else { self.rebuilt(&snapshot)? };
        let (mut holes, base) = (log.holes.iter().map(|(number, _)| *number).collect::<Vec<_>>(), log.base);
        if !log.base_is_sound {
            holes.push(base);
        }
        for number in &holes {
            self.set_aside(Folder::Log, &entry::name(*number))?;
        }
        for row in &snapshot.state().tables {
            if files.contains(&row.name()) {
                self.set_aside(Folder::Tables, &Folder::Tables.file(&row.name()))?;
            }
        }
        for row in &snapshot.state().history {
            if files.contains(&row.name()) {
                self.set_aside(Folder::History, &Folder::History.file(&row.name()))?;
            }
        }
        let count = refs.len();
        let mend = Mend { files, refs };
        for _ in 0..ATTEMPTS {
            let newest = self.store.snapshot()?;
            if fold::fold_mending(&newest, self.options.command, &mend)? {
                for name in &mend.files {
                    self.store.files().forget(Folder::Tables, name);
                    self.store.files().forget(Folder::History, name);
                }
                if tables > 0 {
                    let message = format!(
                        "{tables} tables were written anew; {count} refs that could not be read were made again from records"
                    );
                    self.say("tables-rebuilt", None, None, message);
                }
                if mend.files.len() > tables {
                    let message = "history was written anew from what can be read of it";
                    self.say("history-rebuilt", None, None, message);
                }
                self.say("log-folded", None, None, "a new checkpoint was written above all that was damaged");
                return Ok(());
            }
        }
        Err(Error::Outdated)
    }
}

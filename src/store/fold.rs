//! Folding: what lies in the log moves into packs, tables and history, and a checkpoint takes its place
//! (`docs/design/0001-store-protocol.md`, "Folding").

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::backend::{Backend, Folder};
use super::entry::{Checkpoint, Class, Entry, Expect, FileRow, OpId, PackRow};
use super::error::Error;
use super::files::Unusable;
use super::history::{self, Change};
use super::intake::{publish_file, publish_pack};
use super::load;
use super::merge::{
    BUDGET, Candidate, FILE_MAX, MANY, MergeError, TABLE_BUDGET, TABLE_MAX, TABLE_MAX_OF_MANY, merge, plan,
};
use super::pack::{self, CopyError, PackWriter};
use super::publish::Verdict;
use super::rules::Rule;
use super::snapshot::{File, Snapshot};
use super::sorted::{SortedFile, Writer, varint, verify};
use super::{Store, entry, scan};
use crate::codec;
use crate::hash::Id;
use crate::object::AccessError;

/// Entries above the checkpoint at which the next writer folds.
pub(super) const FOLD_EVERY: u64 = 32;

/// Bytes of objects and refs in the entries above the checkpoint at which the next writer folds, however few entries these
/// are: every reader reads all of them.
const FOLD_BYTES: usize = 3 << 20;

/// Magic of ref tables.
pub(super) const TABLE_MAGIC: [u8; 8] = *b"provtab1";

/// Objects of a pack that is merged in passing: its index is in memory meanwhile.
const MERGED_OBJECTS: u64 = 1 << 15;

/// Whether the next writer should fold. Never while an entry can't be read: its content would be lost.
pub(super) fn is_due(snapshot: &Snapshot) -> bool {
    let weight = |entry: &Entry| -> usize {
        let objects: usize = entry.objects.iter().map(|object| object.1.len()).sum();
        objects
            + entry.refs.iter().map(|edit| edit.0.len() + edit.2.as_ref().map_or(0, |value| value.len())).sum::<usize>()
    };
    let log = &snapshot.inner.log;
    let is_long = snapshot.tip() - snapshot.base() >= snapshot.store().rules().fold_every();
    (is_long || log.entries.iter().map(|loaded| weight(&loaded.entry)).sum::<usize>() >= FOLD_BYTES)
        && snapshot.damaged_entry().is_none()
}

/// What a fold leaves behind that is damaged, and what takes its place.
#[derive(Debug, Default)]
pub(super) struct Mend {
    /// Tables and history files of the state of which only what can be read is taken over.
    pub(super) files: HashSet<Id>,
    /// Refs that were in damaged tables and are known from elsewhere; `None` for one that was deleted.
    pub(super) refs: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Lands a fold on top of `snapshot`, or finds that somebody else moved the log meanwhile; whether it landed.
///
/// # Errors
/// When something can't be written. Nothing is lost then: what lies in the log stays there.
pub(super) fn fold(snapshot: &Snapshot, command: &str) -> Result<bool, Error> {
    fold_mending(snapshot, command, &Mend::default())
}

/// As [`fold`], leaving damaged files behind; whether it landed.
///
/// # Errors
/// As [`fold`].
pub(super) fn fold_mending(snapshot: &Snapshot, command: &str, mend: &Mend) -> Result<bool, Error> {
    let store = snapshot.store();
    let backend = store.backend();
    let mut made = Made { snapshot, mend, files: Vec::new(), budget: BUDGET };
    let mut checkpoint = snapshot.state().clone();
    sweep(backend, &mut checkpoint);
    sweep_left_over(backend);
    made.mended_tables(&mut checkpoint)?;
    let number = snapshot.tip() + 1;
    remove_condemned(snapshot, &mut checkpoint);
    for class in [Class::Records, Class::Content] {
        made.packs(class, number, &mut checkpoint)?;
    }
    made.table(&mut checkpoint)?;
    let world = store.world();
    let entry = Entry {
        n: number,
        prev: snapshot.inner.log.tip_digest,
        op: OpId::new(&*world.random),
        at: world.clock.now(),
        by: world.author.clone(),
        host: world.host.clone(),
        cmd: command.to_owned(),
        objects: Vec::new(),
        packs: Vec::new(),
        rely: Vec::new(),
        condemn: Vec::new(),
        remove: Vec::new(),
        refs: Vec::new(),
        features: Vec::new(),
        checkpoint: Some(checkpoint),
    };
    let entry = made.history(entry)?;
    let mut folders: Vec<Folder> = made.files.iter().map(|(folder, _)| *folder).collect();
    folders.dedup();
    for folder in folders {
        backend.sync(folder)?;
    }
    // From here on the log may name these files, whatever error comes back.
    let files = std::mem::take(&mut made.files);
    let outcome = store.create_entry(&entry)?;
    let verdict = if store.rules().keep(Rule::FoldLanded) {
        store.landed(snapshot, entry.op, number, outcome)?
    } else {
        Verdict::Landed(number)
    };
    match verdict {
        Verdict::Landed(_) => {
            backend.tell_newest(number);
            unlink_covered(store, snapshot.tip()).map(|()| true)
        }
        Verdict::Lost { clean: true } => {
            for (folder, name) in files {
                let _ = backend.remove(folder, &folder.file(&name));
            }
            Ok(false)
        }
        Verdict::Lost { clean: false } => Ok(false),
    }
}

/// Files that are swept from `tmp` at once.
const SWEPT: usize = 256;

/// Removes what dead writers left in `tmp`; how many there were.
pub(super) fn sweep_left_over(backend: &dyn Backend) -> usize {
    let names = backend.left_over().unwrap_or_default();
    names.iter().take(SWEPT).filter(|name| backend.remove(Folder::Tmp, name).is_ok()).count()
}

/// Unlinks the files of names that an earlier entry removed; they leave `gone` once that is durable.
fn sweep(backend: &dyn Backend, checkpoint: &mut Checkpoint) {
    for folder in [Folder::Packs, Folder::Tables, Folder::History] {
        let mut swept = HashSet::new();
        for gone in checkpoint.gone.iter().filter(|gone| gone.0 == folder) {
            if backend.remove(folder, &folder.file(&gone.1)).is_ok() {
                swept.insert(gone.1);
            }
        }
        if !swept.is_empty() && backend.sync(folder).is_ok() {
            checkpoint.gone.retain(|gone| gone.0 != folder || !swept.contains(&gone.1));
        }
    }
}

/// Takes condemned packs out of the state. An entry that relied on one after it was condemned would not have been
/// valid, so the look at `rely` is a second line of defence.
fn remove_condemned(snapshot: &Snapshot, checkpoint: &mut Checkpoint) {
    let condemned: Vec<(Id, u64)> = checkpoint.condemned.iter().map(|(name, at)| (*name, *at)).collect();
    for (name, at) in condemned {
        let relied =
            snapshot.inner.log.entries.iter().any(|loaded| loaded.number > at && loaded.entry.rely.contains(&name));
        if !relied {
            checkpoint.remove_pack(&name);
        }
    }
}

/// Unlinks everything that a checkpoint above `tip` covers, in ascending order, so that the older checkpoint goes first:
/// who still sees it knows that nothing above it has been taken away.
fn unlink_covered(store: &Store, tip: u64) -> Result<(), Error> {
    let backend = store.backend();
    let mut covered: Vec<u64> = load::numbers(backend)?.range(..=tip).copied().collect();
    if !store.rules().keep(Rule::AscendingUnlink) {
        covered.reverse();
    }
    for number in covered {
        // What can't be unlinked now is void all the same; the next fold tries again.
        if backend.remove(Folder::Log, &entry::name(number)).is_err() {
            break;
        }
    }
    Ok(())
}

/// The files of a fold; dropped before the fold entry is written, they are removed again.
struct Made<'a> {
    snapshot: &'a Snapshot,
    mend: &'a Mend,
    files: Vec<(Folder, Id)>,
    budget: u64,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let backend = self.snapshot.store().backend();
        for (folder, name) in std::mem::take(&mut self.files) {
            let _ = backend.remove(folder, &folder.file(&name));
        }
    }
}

impl Made<'_> {
    fn backend(&self) -> &dyn Backend {
        self.snapshot.store().backend()
    }

    fn nonce(&self) -> [u8; 16] {
        self.snapshot.store().world().random()
    }

    /// A file of the state, freshly opened, so that merging does not push others out of memory.
    fn open(&self, folder: Folder, name: &Id) -> Result<Arc<SortedFile>, Unusable> {
        self.snapshot.store().files().fresh(folder, name)
    }

    /// Moves the inline objects of a class into a pack, together with small packs that are due to be merged.
    fn packs(&mut self, class: Class, number: u64, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        let snapshot = self.snapshot;
        let mut inline: Vec<(Id, usize, usize)> = snapshot
            .inline()
            .iter()
            .filter(|(_, (at, position))| Class::of(&snapshot.entry(*at).entry.objects[*position].0) == class)
            .map(|(id, (at, position))| (*id, *at, *position))
            .collect();
        let ids: Vec<Id> = inline.iter().map(|(id, ..)| *id).collect();
        let scrubbed: HashSet<Id> = snapshot.scrubbed_among(&ids)?.into_iter().collect();
        inline.retain(|(id, ..)| !scrubbed.contains(id));
        // In the order in which they came, so that what belongs together lies together.
        inline.sort_unstable_by_key(|(_, at, position)| (*at, *position));
        let mut damaged: HashSet<Id> = HashSet::new();
        loop {
            let mut rows: Vec<PackRow> = checkpoint.packs.iter().rev().copied().collect();
            rows.retain(|row| {
                row.class() == class
                    && row.file_len() < FILE_MAX
                    && row.count() < MERGED_OBJECTS
                    && checkpoint.is_live(&row.name())
                    && !damaged.contains(&row.name())
            });
            rows.sort_by_key(PackRow::level);
            let candidates: Vec<_> =
                rows.iter().map(|row| Candidate { level: row.level(), len: row.file_len() }).collect();
            let mut budget = self.budget;
            let plan = plan(!inline.is_empty(), &candidates, snapshot.store().rules().manner(), &mut budget);
            if inline.is_empty() && plan.taken == 0 {
                return Ok(());
            }
            let sources = &rows[..plan.taken];
            let staged = self.backend().stage()?;
            let mut writer = PackWriter::new(staged, class).map_err(AccessError::from)?;
            let mut seen: HashSet<Id> = HashSet::new();
            for (id, at, position) in &inline {
                let object = &snapshot.entry(*at).entry.objects[*position];
                writer.put(id, &object.0, &object.1).map_err(AccessError::from)?;
                seen.insert(*id);
            }
            if let Err((name, what)) = self.copy_packs(&mut writer, sources, &mut seen)? {
                snapshot.note(Folder::Packs, &name, what);
                damaged.insert(name);
                continue;
            }
            self.budget = budget;
            let added = publish_pack(snapshot.store(), writer, plan.level)?;
            self.files.push((Folder::Packs, added.row.name()));
            checkpoint.packs.push(added.row);
            for source in sources {
                checkpoint.condemned.insert(source.name(), number);
                if !snapshot.store().rules().keep(Rule::CondemnedFirst) {
                    checkpoint.remove_pack(&source.name());
                    let _ = self.backend().remove(Folder::Packs, &Folder::Packs.file(&source.name()));
                }
            }
            return Ok(());
        }
    }

    /// Copies every object of `sources`, verified on the way; names the first source that is damaged.
    fn copy_packs(
        &self,
        writer: &mut PackWriter,
        sources: &[PackRow],
        seen: &mut HashSet<Id>,
    ) -> Result<Result<(), (Id, String)>, Error> {
        for source in sources {
            let name = source.name();
            let file = match self.open(Folder::Packs, &name) {
                Ok(file) => file,
                Err(Unusable::Absent) => return Ok(Err((name, "it is missing".to_owned()))),
                Err(Unusable::Broken(what)) => return Ok(Err((name, what))),
                Err(Unusable::Denied(err)) => return Err(err.into()),
            };
            let copied = pack::for_each(
                &file,
                &mut |id, record| if seen.insert(id) { writer.copy(&file, &id, &record) } else { Ok(()) },
                &CopyError::Broken,
            );
            match copied {
                Ok(()) => {}
                Err(CopyError::Broken(what)) => return Ok(Err((name, what))),
                Err(CopyError::Out(err)) => return Err(AccessError::from(err).into()),
            }
        }
        Ok(Ok(()))
    }

    /// Puts new tables in the place of damaged ones: what can be read of them, and what is known from elsewhere.
    fn mended_tables(&mut self, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        // Beside what is newer, and above what is older: a ref that moved since is in a newer table.
        let mut known: Option<BTreeMap<Vec<u8>, Vec<u8>>> = Some(
            self.mend.refs.iter().map(|(key, value)| (key.clone(), scan::encode_value(value.as_deref()))).collect(),
        );
        for at in (0..checkpoint.tables.len()).rev() {
            let row = checkpoint.tables[at];
            if !self.mend.files.contains(&row.name()) {
                continue;
            }
            let mut records = known.take().unwrap_or_default();
            if let Ok(file) = self.open(Folder::Tables, &row.name()) {
                let mut take = |key: &[u8], value: &[u8]| {
                    if scan::decode_value(value).is_ok() {
                        records.insert(key.to_vec(), value.to_vec());
                    }
                };
                verify(&file, TABLE_MAGIC, &mut take, &mut |_| {});
            }
            checkpoint.add_gone(Folder::Tables, row.name());
            if records.is_empty() {
                checkpoint.tables.remove(at);
                continue;
            }
            match self.merged(Folder::Tables, TABLE_MAGIC, &records, &[], &|_, _| true)? {
                Ok(new) => checkpoint.tables[at] = FileRow(new.0, row.level(), new.2, new.3),
                Err((_, what)) => return Err(Error::Damaged { file: Folder::Tables.file(&row.name()), what }),
            }
        }
        Ok(())
    }

    /// What can be read of damaged history files; they leave the checkpoint.
    fn mended_history(&self, checkpoint: &mut Checkpoint, new: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        for row in checkpoint.history.clone() {
            if !self.mend.files.contains(&row.name()) {
                continue;
            }
            if let Ok(file) = self.open(Folder::History, &row.name()) {
                let mut take = |key: &[u8], value: &[u8]| {
                    if history::is_record(key, value) && history::parse_checkpoint_key(key).is_none() {
                        new.insert(key.to_vec(), value.to_vec());
                    }
                };
                verify(&file, history::MAGIC, &mut take, &mut |_| {});
            }
            checkpoint.history.retain(|other| other.name() != row.name());
            checkpoint.add_gone(Folder::History, row.name());
        }
    }

    /// Moves the edits of refs into a table, together with the newest tables if they are due to be merged.
    fn table(&mut self, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        let snapshot = self.snapshot;
        let new: BTreeMap<Vec<u8>, Vec<u8>> =
            snapshot.overlay().iter().map(|(key, value)| (key.to_vec(), scan::encode_value(value))).collect();
        let many = new.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() >= MANY;
        let max = if many { TABLE_MAX_OF_MANY } else { TABLE_MAX };
        let mut usable = checkpoint.tables.len();
        loop {
            // The order of tables says which value is newer, so only a stretch from the newest on can become one.
            let candidates: Vec<_> = checkpoint.tables[..usable]
                .iter()
                .take_while(|row| row.file_len() < max)
                .map(|row| Candidate { level: row.level(), len: row.file_len() })
                .collect();
            let plan = plan(!new.is_empty(), &candidates, snapshot.store().rules().manner(), &mut { TABLE_BUDGET });
            if new.is_empty() && plan.taken == 0 {
                return Ok(());
            }
            let sources: Vec<Id> = checkpoint.tables[..plan.taken].iter().map(FileRow::name).collect();
            // Below the oldest table there is nothing that a deletion could hide.
            let is_last = plan.taken == checkpoint.tables.len() || !snapshot.store().rules().keep(Rule::DeletionKept);
            let written =
                self.merged(Folder::Tables, TABLE_MAGIC, &new, &sources, &|_, value| !(is_last && value == [0]))?;
            let row = match written {
                Ok(row) => row,
                Err((at, what)) => {
                    snapshot.note(Folder::Tables, &sources[at], what);
                    usable = at;
                    continue;
                }
            };
            checkpoint.tables.drain(..plan.taken);
            checkpoint.tables.insert(0, FileRow(row.0, plan.level, row.2, row.3));
            for name in sources {
                checkpoint.add_gone(Folder::Tables, name);
            }
            return Ok(());
        }
    }

    /// Writes the history file of `entry`, which becomes the newest one of its checkpoint.
    fn history(&mut self, mut entry: Entry) -> Result<Entry, Error> {
        let snapshot = self.snapshot;
        let mut new = folded_records(snapshot)?;
        if let Some(checkpoint) = &mut entry.checkpoint {
            self.mended_history(checkpoint, &mut new);
        }
        let rows = entry.checkpoint.as_ref().map(|c| c.history.clone()).unwrap_or_default();
        let mut usable: Vec<FileRow> = rows.iter().copied().filter(|row| row.file_len() < FILE_MAX).collect();
        // Keys of history never meet, so the order of files means nothing.
        usable.sort_by_key(FileRow::level);
        loop {
            let candidates: Vec<_> =
                usable.iter().map(|row| Candidate { level: row.level(), len: row.file_len() }).collect();
            let mut budget = self.budget;
            let plan = plan(true, &candidates, snapshot.store().rules().manner(), &mut budget);
            let sources: Vec<Id> = usable[..plan.taken].iter().map(FileRow::name).collect();
            let mut planned = entry.clone();
            if let Some(checkpoint) = &mut planned.checkpoint {
                checkpoint.history.retain(|row| !sources.contains(&row.name()));
                for name in &sources {
                    checkpoint.add_gone(Folder::History, *name);
                }
            }
            if snapshot.store().rules().keep(Rule::CheckpointCopied) {
                new.insert(history::checkpoint_key(entry.n), history::copy_of(&planned, plan.level)?);
            }
            let own = history::checkpoint_key(entry.n);
            let written = self.merged(Folder::History, history::MAGIC, &new, &sources, &|key, _| {
                key == own || history::parse_checkpoint_key(key).is_none()
            })?;
            match written {
                Ok(row) => {
                    self.budget = budget;
                    entry = planned;
                    if let Some(checkpoint) = &mut entry.checkpoint {
                        checkpoint.history.insert(0, FileRow(row.0, plan.level, row.2, row.3));
                    }
                    return Ok(entry);
                }
                Err((at, what)) => {
                    snapshot.note(Folder::History, &sources[at], what);
                    usable.retain(|row| row.name() != sources[at]);
                }
            }
        }
    }

    /// Writes a table or history file of `new` and `sources`; or says which source is damaged, and how.
    fn merged(
        &mut self,
        folder: Folder,
        magic: [u8; 8],
        new: &BTreeMap<Vec<u8>, Vec<u8>>,
        sources: &[Id],
        wanted: &dyn Fn(&[u8], &[u8]) -> bool,
    ) -> Result<Result<FileRow, (usize, String)>, Error> {
        let mut files = Vec::with_capacity(sources.len());
        for (at, name) in sources.iter().enumerate() {
            match self.open(folder, name) {
                Ok(file) => files.push(file),
                Err(Unusable::Absent) => return Ok(Err((at, "it is missing".to_owned()))),
                Err(Unusable::Broken(what)) => return Ok(Err((at, what))),
                Err(Unusable::Denied(err)) => return Err(err.into()),
            }
        }
        let mut writer = Writer::new(self.backend().stage()?, magic).map_err(AccessError::from)?;
        let copied = merge(new, &files, &mut |key, value| {
            if wanted(key, value) { writer.record(key, value) } else { Ok(()) }
        });
        match copied {
            Ok(()) => {}
            Err(MergeError::Source(at, what)) => return Ok(Err((at, what))),
            Err(MergeError::Out(err)) => return Err(AccessError::from(err).into()),
        }
        let finished = writer.finish(self.nonce()).map_err(AccessError::from)?;
        let row = FileRow(finished.name, 0, finished.len, finished.count);
        publish_file(self.backend(), finished.staged, folder, &row.name())?;
        self.files.push((folder, row.name()));
        Ok(Ok(row))
    }
}

/// What history keeps of the entries above the checkpoint: the ids of their operations, and the edits that carried
/// an expectation or deleted something.
fn folded_records(snapshot: &Snapshot) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let mut records = BTreeMap::new();
    let mut op = |op: OpId, number: u64| {
        let mut value = Vec::with_capacity(10);
        varint::put(&mut value, number);
        records.insert(history::op_key(op), value);
    };
    if let Some(fold) = &snapshot.inner.log.fold {
        op(fold.entry.op, fold.number);
    }
    for &at in &snapshot.inner.counting {
        let loaded = snapshot.entry(at);
        op(loaded.entry.op, loaded.number);
    }
    // Refs as they are before each entry, where an entry above the checkpoint changed them.
    let mut now: HashMap<&[u8], Option<Vec<u8>>> = HashMap::new();
    for &at in &snapshot.inner.counting {
        let loaded = snapshot.entry(at);
        for edit in &loaded.entry.refs {
            let new = edit.2.as_ref().map(|value| value.to_vec());
            let old = match &edit.1 {
                Expect::Any if new.is_some() => {
                    now.insert(&edit.0, new);
                    continue;
                }
                Expect::Is(old) => Some(old.clone()),
                Expect::Absent => None,
                Expect::Any | Expect::PrefixEmpty => match now.get(edit.0.as_slice()) {
                    Some(old) => old.clone(),
                    None => folded_ref(snapshot, &edit.0)?,
                },
            };
            let change = Change(old.map(Into::into), new.clone().map(Into::into));
            records.insert(history::edit_key(&edit.0, loaded.number), codec::encode(&change)?);
            now.insert(&edit.0, new);
        }
    }
    Ok(records)
}

/// The value of a ref at the checkpoint.
fn folded_ref(snapshot: &Snapshot, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    for row in &snapshot.state().tables {
        if let File::Here(file) = snapshot.file(Folder::Tables, &row.name())? {
            match file.get(key) {
                Ok(Some(value)) => return Ok(scan::decode_value(&value).unwrap_or_default().map(<[u8]>::to_vec)),
                Ok(None) => {}
                Err(what) => snapshot.note(Folder::Tables, &row.name(), what),
            }
        }
    }
    Ok(None)
}

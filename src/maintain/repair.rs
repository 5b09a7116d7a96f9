//! Repairing the store of a project from other stores and from the work tree.

use std::collections::BTreeSet;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use super::fsck::fsck;
use super::roots;
use crate::hash::Id;
use crate::object::inputs::InputList;
use crate::object::mark::Mark;
use crate::object::note::Note;
use crate::object::verdict::Verdict;
use crate::object::{AccessError, Kind, Record, RunRecord, Sink};
use crate::progress::{Cancel, Progress};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, MarkLine, Staged};
use crate::run::record;
use crate::store::repair::{Done, Options, Records};
use crate::store::{Direction, Error, RefEdit, Report, Restore, Snapshot, Store, repair as mend};

/// What a repair came to.
#[derive(Debug)]
pub struct Repaired {
    /// What was damaged before.
    pub found: Report,
    /// What was done about it, and what is lost.
    pub done: Vec<Done>,
    /// What a check found afterwards.
    pub left: Report,
}

/// How often the store is checked and repaired again: what is found whole may show what else is missing.
const ROUNDS: usize = 3;

/// Checks the store, repairs what can be repaired and checks it again. `others` are only read.
///
/// # Errors
/// Failures of the place. What was repaired until then is repaired.
pub fn repair(repo: &Repo, others: &[Store], progress: &dyn Progress, cancel: &Cancel) -> Result<Repaired, Error> {
    let found = fsck(repo, None, progress, cancel);
    let mut left = found.clone();
    let mut done: Vec<Done> = Vec::new();
    let restore = FromWorkTree { repo };
    for _ in 0..ROUNDS {
        if cancel.is_raised() {
            break;
        }
        let options = Options { records: &Meaning, others, restore: Some(&restore), command: "fsck --repair", cancel };
        let now = mend::repair(repo.store(), &left, &options)?;
        let is_over = now.iter().all(|one| one.is_loss || one.code == "left-over-removed");
        for one in now {
            if !done.contains(&one) {
                done.push(one);
            }
        }
        if is_over {
            break;
        }
        left = fsck(repo, None, progress, cancel);
    }
    // What was lost in one round and found in another is not lost.
    let back: BTreeSet<Id> =
        done.iter().filter(|one| one.code == "object-restored").filter_map(|one| one.object).collect();
    done.retain(|one| one.code != "object-lost" || one.object.is_none_or(|id| !back.contains(&id)));
    Ok(Repaired { found, done, left })
}

/// What records mean to the store.
#[derive(Debug)]
struct Meaning;

impl Records for Meaning {
    fn targets(&self, key: &[u8], value: &[u8]) -> Result<Vec<Id>, String> {
        roots::targets(key, value)
    }

    fn refs_of(&self, id: &Id, kind: &Kind, bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pairs = |edits: Result<Vec<RefEdit>, record::Error>| {
            edits.unwrap_or_default().into_iter().filter_map(|edit| Some((edit.key, edit.new?))).collect()
        };
        if *kind == Kind::RUN {
            let Ok(run) = RunRecord::decode(bytes) else { return Vec::new() };
            return pairs(record::edits_by_itself(run.head(), *id));
        }
        if *kind == Kind::INPUTS {
            let Ok(list) = InputList::decode(bytes) else { return Vec::new() };
            return pairs(record::edits_of_list(&list, *id));
        }
        if *kind == Kind::MARK {
            let Ok(mark) = Mark::decode(bytes) else { return Vec::new() };
            let line = MarkLine { on: mark.on, at: mark.at, why: mark.why, author: mark.author };
            let key = key::about_one(&mark.of, mark.kind.as_str(), id);
            return entry::encode(&line).map(|value| vec![(key, value)]).unwrap_or_default();
        }
        if *kind == Kind::NOTE {
            let Ok(note) = Note::decode(bytes) else { return Vec::new() };
            return crate::note::ref_of(&note, id).map(|one| vec![one]).unwrap_or_default();
        }
        if *kind == Kind::VERDICT {
            let Ok(verdict) = Verdict::decode(bytes) else { return Vec::new() };
            return crate::verdict::ref_of(&verdict, id).map(|one| vec![one]).unwrap_or_default();
        }
        Vec::new()
    }

    fn unranked(&self, key: &[u8]) -> Option<Vec<u8>> {
        key::without_rank(key)
    }

    fn is_newer(&self, key: &[u8], old: &[u8], new: &[u8]) -> bool {
        // The newest run that wrote a path: run ids begin with their time.
        let is_outpath =
            key::components(key).is_some_and(|parts| parts.first().is_some_and(|part| *part == "outpaths"));
        let run = |value| entry::decode::<String>(value).ok();
        is_outpath && run(new) > run(old)
    }

    fn is_in_history(&self, key: &[u8]) -> bool {
        let parts = key::components(key).unwrap_or_default();
        parts.first().is_some_and(|part| *part == "scenarios" || *part == "tags")
    }
}

/// Content that still lies where runs say that it lay.
#[derive(Debug)]
struct FromWorkTree<'a> {
    repo: &'a Repo,
}

impl FromWorkTree<'_> {
    /// Where content lay, as far as refs tell.
    fn places(&self, snapshot: &Snapshot, id: &Id) -> Result<BTreeSet<PathBuf>, Error> {
        let mut places = BTreeSet::new();
        let mut add = |path: &[u8]| {
            let path = self.repo.root().join(crate::path::from_bytes(path));
            places.insert(crate::path::normal(&path));
        };
        for path in crate::lineage::places(snapshot, id)? {
            add(&path);
        }
        for item in snapshot.scan(&key::staged_of(self.repo.workspace()), Direction::Forward) {
            let (raw, value) = item?;
            if let (Ok(staged), Some(path)) = (entry::decode::<Staged>(&value), key::last_bytes(&raw))
                && staged.content.id() == *id
            {
                add(&path);
            }
        }
        Ok(places)
    }
}

impl Restore for FromWorkTree<'_> {
    fn restore(&self, id: &Id, sink: &dyn Sink) -> Result<bool, AccessError> {
        let snapshot = self.repo.store().snapshot()?;
        for path in self.places(&snapshot, id)? {
            // Looked at before it is opened: a pipe would wait for its writer.
            if !self.repo.fs().lstat(&path).ok().flatten().is_some_and(|stat| stat.is_file()) {
                continue;
            }
            let Ok((mut file, stat)) = self.repo.fs().open_no_follow_with_stat(&path) else { continue };
            let is_it = crate::hash::blob_from(&mut file).is_ok_and(|(found, _)| found == *id);
            if !is_it || file.seek(SeekFrom::Start(0)).is_err() {
                continue;
            }
            match sink.put_blob(id, stat.size, &mut file) {
                Ok(()) => return Ok(true),
                Err(AccessError::Changed | AccessError::Io(_)) => {}
                Err(err) => return Err(err),
            }
        }
        Ok(false)
    }
}

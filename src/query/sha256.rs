//! Recorded content by its SHA-256, which others publish.
//!
//! Nothing is hashed twice for it: the digest of some content is computed when somebody looks for one that is not known, and kept beside the
//! content as a remark of its own kind.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use super::Error;
use crate::clock::Micros;
use crate::hash::{Id, Sha256};
use crate::journal::Line;
use crate::object::note::Note;
use crate::object::{Kind, Record, Sink, Source, id_of};
use crate::progress::{Progress, Unit};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, NoteLine};
use crate::store::{Direction, Draft, RefEdit, Snapshot};

/// The kind of `about` refs of digests.
const ABOUT: &str = "sha256";
/// What their text begins with.
const PREFIX: &str = "sha256:";
/// Digests that are recorded at once.
const BATCH: usize = 500;

/// Whether this could be a SHA-256: 64 hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The recorded files whose SHA-256 is `digest`. What is not known yet is computed, of all files in the store until one is found, and kept
/// if the store can be written.
///
/// # Errors
/// When the store can't be read.
pub fn find(repo: &Repo, snapshot: &Snapshot, digest: &str, progress: &dyn Progress) -> Result<Option<Id>, Error> {
    let wanted = digest.to_ascii_lowercase();
    let mut known: HashSet<Id> = HashSet::new();
    for item in snapshot.scan(&key::about(), Direction::Forward) {
        let (raw, value) = item?;
        let Some((object, kind, _)) = key::about_parts(&raw) else { continue };
        if kind == ABOUT {
            let line: NoteLine = entry::decode(&value)?;
            if line.text.strip_prefix(PREFIX) == Some(wanted.as_str()) {
                return Ok(Some(object));
            }
            known.insert(object);
        }
    }
    let mut unknown: Vec<Id> = contents(snapshot)?.into_iter().filter(|id| !known.contains(id)).collect();
    unknown.sort_unstable();
    progress.begin("sha256", u64::try_from(unknown.len()).ok(), Unit::Items);
    let (mut found, mut computed) = (None, Vec::new());
    for id in unknown {
        progress.add(1);
        // What can't be read is not what is looked for, and named by whoever reads it.
        if !matches!(snapshot.header(&id), Ok(Some((kind, _))) if kind == Kind::BLOB) {
            continue;
        }
        let mut sum = Sha256::default();
        if !matches!(snapshot.copy(&id, &mut sum), Ok(Some(_))) {
            continue;
        }
        let sum = sum.hex();
        let is_it = sum == wanted;
        computed.push((id, sum));
        if computed.len() >= BATCH {
            keep(repo, &std::mem::take(&mut computed));
        }
        if is_it {
            found = Some(id);
            break;
        }
    }
    progress.end();
    keep(repo, &computed);
    Ok(found)
}

/// All content that runs made or took.
fn contents(snapshot: &Snapshot) -> Result<BTreeSet<Id>, Error> {
    let mut found = BTreeSet::new();
    type Of = fn(&Id) -> Vec<u8>;
    let all: [(Vec<u8>, Of); 3] = [
        (key::all_producers(), key::producers_of),
        (key::all_consumers(), key::consumers_of),
        (key::all_listed(), key::listed_of),
    ];
    for (prefix, of) in all {
        let mut from = prefix.clone();
        // From one content to the next, however many runs took it.
        while let Some(item) = snapshot.scan_from(&prefix, Bound::Included(&from), Direction::Forward).next() {
            let Some(id) = key::content_of(&item?.0) else { break };
            from = key::after(&of(&id));
            found.insert(id);
        }
    }
    Ok(found)
}

/// Keeps digests. A store that can't be written is as good; they are computed again.
fn keep(repo: &Repo, computed: &[(Id, String)]) {
    if computed.is_empty() {
        return;
    }
    let at: Micros = repo.now();
    let op = repo.new_op();
    let never = "digests stay; they are true".to_owned();
    let _ = repo.store().publish(op, "id", &mut |snapshot| -> Result<Option<Draft>, Error> {
        let intake = repo.store().intake(snapshot);
        let line = Line { about: format!("{} digests", computed.len()), never: never.clone(), ..Line::of(repo, "id") };
        let mut edits = vec![line.edit(repo, op, at)?];
        for (of, sum) in computed {
            let text = format!("{PREFIX}{sum}");
            let note = Note { of: *of, of_kind: Kind::BLOB, at, text: text.clone(), author: None };
            let bytes = note.encode()?;
            let id = id_of(&Kind::NOTE, &bytes);
            intake.put(&Kind::NOTE, &id, &bytes)?;
            let value = entry::encode(&NoteLine { at, text, author: None })?;
            edits.push(RefEdit::set(key::about_one(of, ABOUT, &id), value));
        }
        Ok(Some(Draft { collected: Some(Arc::new(intake.finish()?)), edits, ..Draft::default() }))
    });
}

//! Finding out that a store of records has all of its content by now (`docs/design/0017-content-elsewhere.md`).

use super::roots::targets;
use crate::hash::Id;
use crate::progress::{Cancel, Progress};
use crate::refs::key;
use crate::repo::Repo;
use crate::store::check::{Options, Sample};
use crate::store::{Direction, Draft, Error, RefEdit, Severity, check};

/// How often everything is looked at anew because the store changed meanwhile.
const ATTEMPTS: u32 = 3;

/// If records came here without content once, and all of it is here now but what is marked by itself, the store is no longer marked as one of
/// records: what is lost from now on is told. Whether it was unmarked.
///
/// # Errors
/// When the store can't be read or written.
pub fn unmark_records(repo: &Repo, progress: &dyn Progress, cancel: &Cancel) -> Result<bool, Error> {
    let store = repo.store();
    for _ in 0..ATTEMPTS {
        let snapshot = store.snapshot()?;
        if !snapshot.is_elsewhere(&Id::ZERO)? {
            return Ok(false);
        }
        let is_marked = |id: &Id| {
            *id != Id::ZERO
                && (snapshot.is_scrubbed(id).unwrap_or_default() || snapshot.is_elsewhere(id).unwrap_or_default())
        };
        // Whether bytes are what they should be is another question.
        let options = Options::default()
            .with_targets(&targets)
            .with_marks(&is_marked)
            .with_cancel(cancel)
            .with_sample(Sample::new(0, 0));
        let report = check(store, progress, &options);
        if report.cancelled || report.findings.iter().any(|finding| finding.severity >= Severity::Warning) {
            return Ok(false);
        }
        let (mut is_as_it_was, mut is_done) = (true, false);
        store.publish(repo.new_op(), "fetch", &mut |newest| -> Result<Option<Draft>, Error> {
            // Whoever brings records alone marks the store after that: either they are here already, and seen, or the mark is set anew.
            is_as_it_was = newest.tip() == snapshot.tip();
            let mut edits = Vec::new();
            for item in newest.scan(&key::presence_of(&Id::ZERO), Direction::Forward) {
                let (key, old) = item?;
                edits.push(RefEdit::delete(key, old));
            }
            is_done = is_as_it_was && !edits.is_empty();
            Ok(is_done.then(|| Draft { edits, ..Draft::default() }))
        })?;
        if is_as_it_was {
            return Ok(is_done);
        }
    }
    Ok(false)
}

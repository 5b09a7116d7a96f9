//! Checking everything that a project has on record.

use super::roots::targets;
use crate::hash::Id;
use crate::object::Source;
use crate::progress::{Cancel, Progress};
use crate::refs::key;
use crate::repo::Repo;
use crate::run::live::State;
use crate::store::check::{Finding, Options, Sample};
use crate::store::{Direction, Report, Severity, Snapshot, check, scrub};

/// Checks the store with every byte in it, and the live folder beside it. Never writes and never stops at a finding.
/// With `percent` only so many of a hundred contents are read, others each time.
pub fn fsck(repo: &Repo, percent: Option<u8>, progress: &dyn Progress, cancel: &Cancel) -> Report {
    let snapshot = repo.store().snapshot().ok();
    let is_partial = snapshot.as_ref().is_some_and(|snapshot| snapshot.is_elsewhere(&Id::ZERO).unwrap_or_default());
    let is_marked = |id: &Id| {
        is_partial
            || snapshot.as_ref().is_some_and(|snapshot| {
                snapshot.is_scrubbed(id).unwrap_or_default() || snapshot.is_elsewhere(id).unwrap_or_default()
            })
    };
    let mut options = Options::default().with_targets(&targets).with_marks(&is_marked).with_cancel(cancel);
    if let Some(percent) = percent {
        let mut seed = [0; 8];
        repo.world().random.fill(&mut seed);
        options = options.with_sample(Sample::new(percent, u64::from_le_bytes(seed)));
    }
    let mut report = check(repo.store(), progress, &options);
    let mut add = |severity, code, file: String, message: String| {
        report.findings.push(Finding { severity, code, object: None, file: Some(file), message });
    };
    for id in snapshot.iter().flat_map(scrubbed) {
        if snapshot.as_ref().is_some_and(|snapshot| snapshot.header(&id).is_ok_and(|found| found.is_some())) {
            let message = format!("object {id} was to be scrubbed and is still here; scrub it again");
            add(Severity::Warning, "scrub-unfinished", "packs".to_owned(), message);
        }
    }
    match crate::run::live_folder(repo).list() {
        Ok(entries) => {
            for entry in entries {
                let file = format!("live/{}", entry.run);
                match entry.state {
                    State::Running => {}
                    State::Dead => add(
                        Severity::Info,
                        "run-dead",
                        file,
                        "a killed run; the next command records it as aborted".to_owned(),
                    ),
                    State::Finished { .. } => {
                        add(
                            Severity::Warning,
                            "run-waiting",
                            file,
                            "a finished run that is not published yet".to_owned(),
                        );
                    }
                    State::Unknown { host } => {
                        add(
                            Severity::Info,
                            "run-elsewhere",
                            file,
                            format!("a run on {host}, of which nothing can be known here"),
                        );
                    }
                    State::Damaged { what } => add(Severity::Warning, "run-damaged", file, what),
                }
            }
        }
        Err(err) => add(Severity::Error, "folder-unreadable", "live".to_owned(), crate::run::chain(&err)),
    }
    report
}

/// Content that was scrubbed.
fn scrubbed(snapshot: &Snapshot) -> Vec<Id> {
    let mut found = Vec::new();
    if snapshot.state().features.iter().any(|feature| feature == scrub::FEATURE) {
        for (raw, _) in snapshot.scan(&key::about(), Direction::Forward).flatten() {
            let parts = key::components(&raw).unwrap_or_default();
            if parts.get(2).is_some_and(|kind| *kind == scrub::ABOUT)
                && let Some(id) = parts.get(1).and_then(|id| Id::from_bytes(id))
            {
                found.push(id);
            }
        }
    }
    found
}

//! Checking everything that a project has on record.

use crate::hash::Id;
use crate::progress::{Cancel, Progress};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, Outcome, RunLine, RunPlace, Staged, StepRun, Touch};
use crate::run::live::State;
use crate::store::check::{Finding, Options};
use crate::store::{Report, Severity, check};

/// The objects that a ref names; an error says that the ref can't be understood.
///
/// # Errors
/// What is wrong with the key or the value.
fn targets(key: &[u8], value: &[u8]) -> Result<Vec<Id>, String> {
    let Some(parts) = key::components(key) else { return Err("its key is not one".to_owned()) };
    let wrong = |err: crate::codec::Error| err.to_string();
    Ok(match parts.first().map(|part| part.as_slice()) {
        Some(b"runs") => vec![entry::decode::<RunLine>(value).map_err(wrong)?.object],
        Some(b"ids" | b"names") => vec![entry::decode::<RunPlace>(value).map_err(wrong)?.object],
        Some(b"results" | b"failures") => vec![entry::decode::<Outcome>(value).map_err(wrong)?.object],
        Some(b"steps") => vec![entry::decode::<StepRun>(value).map_err(wrong)?.object],
        Some(b"producers" | b"consumers" | b"artifacts") => vec![entry::decode::<Touch>(value).map_err(wrong)?.object],
        Some(b"scenarios") => vec![entry::decode::<Id>(value).map_err(wrong)?],
        Some(b"workspaces") => vec![entry::decode::<Staged>(value).map_err(wrong)?.content.id()],
        // Refs of newer provs are carried, not judged.
        _ => Vec::new(),
    })
}

/// Checks the store with every byte in it, and the live folder beside it. Never writes and never stops at a finding.
pub fn fsck(repo: &Repo, progress: &dyn Progress, cancel: &Cancel) -> Report {
    let mut report = check(repo.store(), progress, &Options::default().with_targets(&targets).with_cancel(cancel));
    let mut add = |severity, code, file: String, message: String| {
        report.findings.push(Finding { severity, code, object: None, file: Some(file), message });
    };
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

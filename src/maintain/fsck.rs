//! Checking everything that a project has on record.

use super::roots::targets;
use crate::progress::{Cancel, Progress};
use crate::repo::Repo;
use crate::run::live::State;
use crate::store::check::{Finding, Options};
use crate::store::{Report, Severity, check};

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

//! What the end of a command says about its run: how it ended, what it printed, what is said of its outputs.

use super::exit::Exit;
use super::observer::Stream;
use super::prepare::Prepared;
use super::request::Request;
use super::session::Session;
use super::{Error, execute, live, managed};
use crate::code::git;
use crate::object::Sink;
use crate::object::run::{Git, Log, Output, Phase, Run, RunError, Status};
use crate::store::Intake;

/// What the end of the child says about the run.
pub(super) fn end_of(run: &mut Run, outcome: &execute::Outcome, request: &Request) {
    run.resources = Some(outcome.resources.clone());
    match outcome.exit {
        Exit::Code(code) => run.exit_code = Some(code),
        Exit::Signal(signal) => run.signal = Some(signal),
    }
    let error = |kind: &str, message: String| Some(RunError { kind: kind.to_owned(), message, run: None });
    if outcome.is_success() {
        run.status = Status::Success;
        return;
    }
    run.failed_in = Some(Phase::Run);
    // A scheduler asks all processes of a job to end, and the command may hear it first.
    let was_ended = outcome.was_ended() || outcome.exit.was_asked_for();
    run.status = if was_ended { Status::Aborted } else { Status::Failure };
    run.error = if outcome.timed_out {
        error("timeout", format!("ended after {} ms", request.timeout_ms.unwrap_or(0)))
    } else if let Some(signal) = outcome.interrupted_by {
        error("interrupted", format!("interrupted by signal {signal}"))
    } else if outcome.wanted_terminal {
        error("terminal", "it wanted to read from the terminal, which a recorded run does not have".to_owned())
    } else {
        match outcome.exit {
            Exit::Code(code) => error("exit", format!("ended with code {code}")),
            Exit::Signal(signal) => error("signal", format!("ended by signal {signal}")),
        }
    };
}

/// Writes down what is said of the outputs, and read from them where they lie.
pub(super) fn say(
    session: &Session<'_>,
    request: &Request,
    prepared: &Prepared,
    running: &live::Running,
    run: &mut Run,
    warnings: &mut Vec<String>,
) {
    let managed = managed::recorded_path(session.repo, &prepared.step);
    let read = |output: &Output| {
        let path = if output.path == managed {
            managed::folder(running)
        } else {
            session.repo.root().join(crate::path::from_bytes(&output.path))
        };
        session.repo.fs().read(&path).ok().flatten()
    };
    warnings.extend(super::annotate::say(run, request, &prepared.config, &read));
}

pub(super) fn keep_logs(
    repo: &crate::repo::Repo,
    outcome: &execute::Outcome,
    intake: &Intake,
    run: &mut Run,
    warnings: &mut Vec<String>,
) {
    for stream in Stream::ALL {
        let captured = outcome.captured(stream);
        if let Some(err) = &captured.spool_error {
            warnings.push(format!("{stream} is not kept in full: {err}"));
        }
        if captured.spooled.is_empty() {
            continue;
        }
        let stored = (|| -> Result<Log, Error> {
            let io = |source| Error::io("read", std::path::Path::new(stream.name()), source);
            let (id, size) =
                crate::hash::blob_from(&mut captured.spooled.reader(repo.fs()).map_err(io)?).map_err(io)?;
            intake.put_blob(&id, size, &mut captured.spooled.reader(repo.fs()).map_err(io)?)?;
            Ok(Log { id, size, cut: captured.spooled.is_cut() })
        })();
        match stored {
            Ok(log) => drop(run.logs.insert(stream.name().to_owned(), log)),
            Err(err) => warnings.push(format!("{stream} is not kept: {}", super::chain(&err))),
        }
    }
}

/// Keeps the log that the work of a part wrote.
pub(super) fn keep_text(text: &[u8], intake: &Intake, run: &mut Run, warnings: &mut Vec<String>) {
    if text.is_empty() {
        return;
    }
    let id = crate::hash::blob(text);
    match intake.put(&crate::object::Kind::BLOB, &id, text) {
        Ok(()) => {
            let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
            run.logs.insert("log".to_owned(), Log { id, size, cut: false });
        }
        Err(err) => warnings.push(format!("its log is not kept: {}", super::chain(&err))),
    }
}

/// What the end of a part's work says about the run; its exit code for whoever asked.
pub(super) fn end_of_body(run: &mut Run, ended: Option<&super::part::Ended>) -> u8 {
    let Some(ended) = ended else {
        super::take::fail(run, "no_body", "nothing here does such work".to_owned());
        return 1;
    };
    if let Some(outcome) = &ended.outcome {
        run.resources = Some(outcome.resources.clone());
        match outcome.exit {
            Exit::Code(code) => run.exit_code = Some(code),
            Exit::Signal(signal) => run.signal = Some(signal),
        }
    }
    run.status = ended.status;
    run.error.clone_from(&ended.error);
    if ended.status != Status::Success {
        run.failed_in = Some(Phase::Run);
    }
    u8::from(ended.status != Status::Success)
}

/// The state of Git, being looked at while the command runs: looking at every tracked file takes its time.
pub(super) enum Looking {
    /// By a thread.
    Under(Option<std::thread::JoinHandle<Option<Git>>>),
    /// It took no time, or it was looked at before: once for all runs of a batch.
    Known(Option<Git>),
}

impl Looking {
    pub(super) fn begin(session: &Session<'_>) -> Self {
        if session.batch().is_some() {
            return Self::Known(session.git_head());
        }
        let (fs, root) = (session.repo.fs().clone(), session.repo.root().to_owned());
        if let Some(head) = git::clean_head(&fs, &root) {
            return Self::Known(Some(Git { commit: head.commit, branch: head.branch, dirty: Some(false) }));
        }
        Self::Under(std::thread::Builder::new().name("git".to_owned()).spawn(move || git_state(&fs, &root)).ok())
    }

    pub(super) fn end(self) -> Option<Git> {
        match self {
            Self::Known(git) => git,
            Self::Under(thread) => thread.and_then(|thread| thread.join().ok()).flatten(),
        }
    }
}

/// What is checked out around `root`, and whether anything tracked differs from it.
pub(super) fn git_state(fs: &crate::fs::Fs, root: &std::path::Path) -> Option<Git> {
    let head = git::head(fs, root)?;
    Some(Git { commit: head.commit, branch: head.branch, dirty: git::is_dirty(fs, root).ok() })
}

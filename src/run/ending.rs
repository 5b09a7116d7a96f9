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
    run.status = if outcome.was_ended() { Status::Aborted } else { Status::Failure };
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

/// What is checked out around a project, and whether anything tracked differs from it: asked for while the command runs, because looking at
/// every tracked file takes its time.
pub(super) enum GitState {
    Known(Option<Git>),
    Asked(std::thread::JoinHandle<Option<Git>>),
}

impl GitState {
    /// Looks at once, if that takes no time, else beside.
    pub(super) fn ask(fs: &crate::fs::Fs, root: &std::path::Path) -> Self {
        if let Some(head) = git::clean_head(fs, root) {
            return Self::Known(Some(Git { commit: head.commit, branch: head.branch, dirty: Some(false) }));
        }
        let (fs, root) = (fs.clone(), root.to_owned());
        let look = move || {
            let head = git::head(&fs, &root)?;
            Some(Git { commit: head.commit, branch: head.branch, dirty: git::is_dirty(&fs, &root).ok() })
        };
        std::thread::Builder::new().name("git".to_owned()).spawn(look).map_or(Self::Known(None), Self::Asked)
    }

    /// What was found.
    pub(super) fn known(self) -> Option<Git> {
        match self {
            Self::Known(git) => git,
            Self::Asked(thread) => thread.join().ok().flatten(),
        }
    }
}

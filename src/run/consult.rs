//! Asking a program something before a run: it is given text, ends by itself, and what it prints is the answer.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::Error;
use super::group::Group;
use super::prepare::Environment;
use super::session::Session;
use crate::worktree;

/// How long a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a request to stop is looked for meanwhile.
const TICK: Duration = Duration::from_millis(50);

/// A program and what it is asked.
pub(super) struct Question<'a> {
    /// Program and arguments.
    pub(super) words: &'a [String],
    /// Where it is started.
    pub(super) cwd: &'a Path,
    /// Its environment,
    pub(super) environment: &'a Environment,
    /// but for these variables,
    pub(super) without: &'a BTreeSet<String>,
    /// and with these.
    pub(super) with: Vec<(OsString, OsString)>,
    /// What it reads.
    pub(super) stdin: Vec<u8>,
    /// Bytes of an answer at most.
    pub(super) most: u64,
}

/// What it said.
pub(super) struct Said {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// Standard output.
    pub(super) stdout: Vec<u8>,
    /// Standard error.
    pub(super) stderr: Vec<u8>,
}

/// Starts the program and waits for its end.
///
/// # Errors
/// What kept it from answering, by `refuse`; a request to stop.
pub(super) fn consult(
    session: &Session<'_>,
    question: Question<'_>,
    refuse: &dyn Fn(String) -> Error,
) -> Result<Said, Error> {
    let Some((program, arguments)) = question.words.split_first() else {
        return Err(refuse("names no program".to_owned()));
    };
    let mut spawn = Command::new(program);
    spawn.args(arguments).current_dir(question.cwd).process_group(0);
    spawn.env_clear().envs(question.environment).envs(question.with);
    for name in question.without {
        spawn.env_remove(name);
    }
    spawn.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn.spawn().map_err(|err| refuse(format!("can't be started: {err}")))?;
    let group = Group::new(Pid::from_child(&child));
    let (tell, told) = mpsc::channel();
    let (stdin, most) = (question.stdin, question.most);
    let answer = move || drop(tell.send(exchange(child, stdin, most)));
    if let Err(err) = thread::Builder::new().name("consult".to_owned()).spawn(answer) {
        group.kill();
        return Err(refuse(format!("can't be read: {err}")));
    }
    let until = Instant::now() + PATIENCE;
    let end = loop {
        match told.recv_timeout(TICK) {
            Ok(end) => break end,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(refuse("can't be read".to_owned())),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if session.worktree().cancel.is_raised() {
            group.kill();
            return Err(worktree::Error::Cancelled.into());
        }
        if Instant::now() > until {
            group.kill();
            return Err(refuse(format!("did not end within {} seconds", PATIENCE.as_secs())));
        }
    };
    let said = end.map_err(|err| refuse(format!("can't be read: {err}")))?;
    if said.status.success() && (said.stdout.len() as u64 > most || said.stderr.len() as u64 > most) {
        return Err(refuse(format!("prints more than {} KiB", most >> 10)));
    }
    Ok(said)
}

/// Feeds a child, reads both its streams to their ends, keeps the beginnings, and waits for it.
fn exchange(mut child: Child, stdin: Vec<u8>, most: u64) -> std::io::Result<Said> {
    fn drain(stream: Option<impl Read>, most: u64) -> std::io::Result<Vec<u8>> {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            stream.by_ref().take(most + 1).read_to_end(&mut kept)?;
            std::io::copy(&mut stream, &mut std::io::sink())?;
        }
        Ok(kept)
    }
    let (input, stderr) = (child.stdin.take(), child.stderr.take());
    let worker = || thread::Builder::new().name("consult".to_owned());
    let feed = worker().spawn(move || {
        // A program that reads nothing is not wrong because of that.
        input.map(|mut input| input.write_all(&stdin))
    })?;
    let err = worker().spawn(move || drain(stderr, most))?;
    let stdout = drain(child.stdout.take(), most)?;
    let broken = || std::io::Error::other("its streams can't be used");
    let _ = feed.join().map_err(|_| broken())?;
    let stderr = err.join().map_err(|_| broken())??;
    Ok(Said { status: child.wait()?, stdout, stderr })
}

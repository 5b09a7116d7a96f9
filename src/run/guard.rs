//! A process that outlives this one for as long as it takes to end its children.
//!
//! A death signal of the parent reaches a child alone, and none of those that it started. So a run of many tasks has a guard: a small process in
//! a session of its own that is told of every child before it is started, when it was and when it ended, and waits for the end of the pipe on which it is told. When that comes
//! while children are left, this process was killed, and what is left of their groups is killed too.
//!
//! What is told matters only then. So as long as more of it comes the guard sleeps, and is woken by nothing but the end of the pipe: a thousand
//! short tasks cost it twenty looks a second, and one long task none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::group;
use crate::host::{self, Process};

/// How long children may take to die.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long what is told may lie in the pipe. It holds 64 KiB, which is more than can be told in this time.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What is read at once: all that the pipe holds.
const CHUNK: usize = 64 << 10;

/// How to start a guard: a program that calls [`stand`] with its standard input.
#[derive(Debug, Clone)]
pub struct GuardCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The guard of this process, started with the first child.
#[derive(Debug)]
pub struct Guard {
    command: GuardCommand,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    has_failed: bool,
}

impl Guard {
    /// A guard that is started when it is first needed.
    pub fn new(command: GuardCommand) -> Self {
        Self { command, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child of the run `run` is about to be started.
    pub fn expect(&self, run: &str) {
        self.say(&format!("?{run}\n"));
    }

    /// A child of the run `run` was started. A guard that can't be started or does not listen guards nothing: the next command that settles
    /// the run ends what is left.
    pub fn watch(&self, pid: u32, run: &str) {
        self.say(&format!("+{pid} {run}\n"));
    }

    /// Nothing of the run `run` is started any more, and a child that could not be told of has ended.
    pub fn done(&self, run: &str) {
        self.say(&format!("!{run}\n"));
    }

    fn say(&self, line: &str) {
        let mut state = self.state();
        if state.child.is_none() && !state.has_failed {
            let spawned = Command::new(&self.command.program)
                .args(&self.command.arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            match spawned {
                Ok(child) => state.child = Some(child),
                Err(_) => state.has_failed = true,
            }
        }
        tell(&mut state, line);
    }

    /// A child has ended, and its group with it.
    pub fn forget(&self, pid: u32) {
        self.over([pid], std::iter::empty());
    }

    /// As [`Guard::forget`] of each of these children, and [`Guard::done`] of each of these runs.
    pub fn over<'a>(&self, pids: impl IntoIterator<Item = u32>, runs: impl IntoIterator<Item = &'a str>) {
        let mut lines = String::new();
        for pid in pids {
            lines.push_str(&format!("-{pid}\n"));
        }
        for run in runs {
            lines.push_str(&format!("!{run}\n"));
        }
        let mut state = self.state();
        if state.child.is_some() && !lines.is_empty() {
            tell(&mut state, &lines);
        }
    }
}

fn tell(state: &mut State, line: &str) {
    if let Some(stdin) = state.child.as_mut().and_then(|child| child.stdin.as_mut()) {
        // One write of less than a pipe takes at once: whole, or not at all.
        let _ = stdin.write_all(line.as_bytes());
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.state().child.take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Stands guard: reads what a [`Guard`] tells until there is no more, then kills the children that are left.
///
/// # Errors
/// When the input can't be read; what is left is killed all the same.
pub fn stand(input: impl AsFd) -> io::Result<()> {
    let mut watched = Watched::of_parent();
    // A session of its own: no terminal reaches it.
    let _ = rustix::process::setsid();
    let read = watched.listen(&input);
    watched.end();
    read
}

/// What a guard was told.
struct Watched {
    here: Process,
    /// Who tells it, and that one's session.
    parent: u32,
    session: u32,
    /// The beginning of a line.
    rest: Vec<u8>,
    children: BTreeMap<u32, (Process, String)>,
    expected: BTreeSet<String>,
}

impl Watched {
    fn of_parent() -> Self {
        let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
        Self {
            here: Process::current(),
            parent,
            session: group::own_session(),
            rest: Vec::new(),
            children: BTreeMap::new(),
            expected: BTreeSet::new(),
        }
    }

    /// Reads until the end.
    fn listen(&mut self, input: &impl AsFd) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut is_busy = false;
        loop {
            if is_busy {
                // Only the end of the pipe wakes; errors show when it is read.
                let _ = poll(&mut [PollFd::new(input, PollFlags::empty())], Some(&NAP));
                let mut there = [PollFd::new(input, PollFlags::IN)];
                let _ = poll(&mut there, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
                if there[0].revents().is_empty() {
                    is_busy = false;
                    continue;
                }
            }
            match rustix::io::read(input, &mut chunk) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    self.take(&chunk[..n]);
                    is_busy = true;
                }
                Err(Errno::INTR) => {}
                Err(err) => return Err(err.into()),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        let lines = String::from_utf8_lossy(&lines);
        // A child of which the end is told as well need not be looked at.
        let mut started: BTreeMap<u32, String> = BTreeMap::new();
        for line in lines.lines() {
            if let Some((pid, run)) = line.strip_prefix('+').and_then(|rest| rest.split_once(' '))
                && let Ok(pid) = pid.parse()
            {
                self.expected.remove(run);
                started.insert(pid, run.to_owned());
            } else if let Some(Ok(pid)) = line.strip_prefix('-').map(str::parse::<u32>) {
                started.remove(&pid);
                self.children.remove(&pid);
            } else if let Some(run) = line.strip_prefix('?') {
                self.expected.insert(run.to_owned());
            } else if let Some(run) = line.strip_prefix('!') {
                self.expected.remove(run);
            }
        }
        for (pid, run) in started {
            let child = self.child(pid, &run);
            self.children.insert(pid, (child, run));
        }
    }

    /// The child of this number, as far as it is still the one that was told of: its number may be another's by now.
    fn child(&self, pid: u32, run: &str) -> Process {
        let is_own = |status: &host::ProcessStatus| {
            status.parent == self.parent
                || host::was_started_with(pid, word(run).as_bytes())
                || (status.group == pid && status.session == self.session)
        };
        let start = host::status_of(pid).filter(is_own).map(|status| status.start);
        // One that has ended meanwhile may have left others in its group: they are found by what they were started with.
        Process { pid, start: start.unwrap_or(1), ..self.here.clone() }
    }

    /// Kills what is left.
    fn end(&self) {
        for run in &self.expected {
            group::end_started_with(word(run).as_bytes(), PATIENCE);
        }
        for (child, run) in self.children.values() {
            group::end_orphans(&self.here, child, word(run).as_bytes(), PATIENCE);
        }
    }
}

fn word(run: &str) -> String {
    format!("PROV_RUN_ID={run}")
}

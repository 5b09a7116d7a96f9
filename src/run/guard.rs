//! A process that outlives this one for as long as it takes to end its children.
//!
//! A death signal of the parent reaches a child alone, and none of those that it started. So a run of many tasks has a guard: a small process in
//! a session of its own that is told of every child before it is started, when it was and when it ended, and waits for the end of the pipe on which it is told. When that comes
//! while children are left, this process was killed, and what is left of their groups is killed too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::group;
use crate::host::Process;

/// How long children may take to die.
const PATIENCE: Duration = Duration::from_secs(10);

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
        let mut state = self.state();
        if state.child.is_some() {
            tell(&mut state, &format!("-{pid}\n"));
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
pub fn stand(input: impl Read) -> io::Result<()> {
    // A session of its own: no terminal reaches it.
    let _ = rustix::process::setsid();
    let here = Process::current();
    let mut children: BTreeMap<u32, (Process, String)> = BTreeMap::new();
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let mut input = BufReader::new(input);
    let mut line = String::new();
    let read = loop {
        line.clear();
        match input.read_line(&mut line) {
            Ok(0) => break Ok(()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => break Err(err),
            Ok(_) => {}
        }
        let text = line.trim_end();
        if let Some((pid, run)) = text.strip_prefix('+').and_then(|rest| rest.split_once(' '))
            && let Ok(pid) = pid.parse()
        {
            // One that has ended meanwhile may have left others in its group: they are found by what they were started with.
            let child = here.neighbour(pid).unwrap_or_else(|| Process { pid, start: 1, ..here.clone() });
            expected.remove(run);
            children.insert(pid, (child, run.to_owned()));
        } else if let Some(Ok(pid)) = text.strip_prefix('-').map(str::parse::<u32>) {
            children.remove(&pid);
        } else if let Some(run) = text.strip_prefix('?') {
            expected.insert(run.to_owned());
        } else if let Some(run) = text.strip_prefix('!') {
            expected.remove(run);
        }
    };
    for run in &expected {
        group::end_started_with(format!("PROV_RUN_ID={run}").as_bytes(), PATIENCE);
    }
    for (child, run) in children.values() {
        let word = format!("PROV_RUN_ID={run}");
        group::end_orphans(&here, child, word.as_bytes(), PATIENCE);
    }
    read
}

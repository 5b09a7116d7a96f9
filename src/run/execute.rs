//! Runs one child and reports everything about it.
//!
//! The command is executed as given, without a shell, in its own process group. Its streams stay apart, go to the
//! observer as they come, and to files in the live folder.
//!
//! **Signals.** Interrupts are forwarded to the group; since the group is not the terminal's foreground group, a
//! Ctrl-C reaches the child once, through prov. A child that handles the first one by going on is let go on; a repeated
//! one kills the group. When the time is up the group gets SIGTERM, after the grace SIGKILL. SIGTSTP stops child and
//! prov together.
//!
//! **The terminal.** Where the end of a stream at the observer is one, the child writes to one as well. It has none to read from:
//! stdin is empty or a file, and `PAGER` and `GIT_PAGER` are `cat` unless they were given. A child that opens the terminal by itself may
//! write to it (as long as `stty tostop` is off); if it reads from it the system stops it, and as nobody could ever
//! continue it, it is ended and [`Outcome::wanted_terminal`] says why. That is noticed when the [`Interrupts`] are
//! [`Interrupts::from_signals`].
//!
//! **What is left behind.** The run is over when the child has ended, not when all its descendants have. Those in its
//! group that are still there get the time [`Command::linger`] to finish (`tee` in a process substitution does), then
//! SIGTERM, then SIGKILL, so that nothing writes to outputs that are being recorded. Daemons started on purpose leave
//! the session (`setsid`) and are let alone; if one holds a stream open, reading stops after the same time.
//!
//! **If prov is killed** (`kill -9`), the child is not: a death signal of the parent would reach the child alone and none
//! of its group, and would cost the fast way to start processes. What the child goes on to write is nobody's result:
//! only the prov that holds the intent publishes. The next command that settles the run ends what is left of the child
//! ([`super::group::end_orphans`]) before its output paths are given to another.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;
use rustix::process::Pid;

use super::exit::{self, Exit};
use super::group::Group;
use super::interrupts::Interrupts;
use super::observer::{Notice, Observer, Stream};
use super::program::{self, SpawnError};
use super::pump::{Pump, Side};
use super::reap;
use super::secrets::Secrets;
use super::spool::{Spool, SpoolLimits, Spooled};
use super::terminal;
use crate::clock::{Clock, Micros};
use crate::fs::Fs;
use crate::object::run::Resources;

/// What standard input is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    #[default]
    Empty,
    /// A regular file.
    File(PathBuf),
    /// Something that is open: the child gets a duplicate.
    Open(Open),
}

/// An open descriptor, shared; equal to itself only.
#[derive(Debug, Clone)]
pub struct Open(pub Arc<OwnedFd>);

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Open {}

/// What to execute.
#[derive(Debug, Clone)]
pub struct Command {
    /// Program and arguments, word by word.
    pub argv: Vec<BString>,
    /// The working folder.
    pub cwd: PathBuf,
    /// Variables added to the environment of this process.
    pub set_env: BTreeMap<OsString, OsString>,
    /// Variables removed from it.
    pub remove_env: BTreeSet<OsString>,
    /// Where a program without `/` is looked for: the child's `PATH`. A `PATH` in `set_env` goes first.
    pub search_path: Option<OsString>,
    /// The program, if it was looked for already ([`Command::program`]).
    pub found: Option<PathBuf>,
    /// Standard input.
    pub stdin: Stdin,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// Time between asking a group to end and killing it.
    pub grace: Duration,
    /// Whether an interrupt ends it whatever it does about it: after the grace it is killed.
    pub must_end: bool,
    /// Time for what the child leaves behind to finish by itself.
    pub linger: Duration,
    /// An interrupt that comes sooner after the one before is the same one (`timeout` and some shells send it twice).
    pub repeat_after: Duration,
    /// How much of each stream is kept.
    pub spool: SpoolLimits,
    /// What is taken out of what is kept of the streams.
    pub secrets: Secrets,
}

impl Command {
    /// `argv` in `cwd`, with empty standard input, no time limit, 10 seconds of grace.
    pub fn new(argv: Vec<BString>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            argv,
            cwd: cwd.into(),
            set_env: BTreeMap::new(),
            remove_env: BTreeSet::new(),
            search_path: None,
            found: None,
            stdin: Stdin::Empty,
            timeout: None,
            grace: Duration::from_secs(10),
            must_end: false,
            linger: Duration::from_secs(2),
            repeat_after: Duration::from_millis(300),
            spool: SpoolLimits::default(),
            secrets: Secrets::default(),
        }
    }

    /// As [`Command::program`], where one was found for the same word a moment ago.
    ///
    /// # Errors
    /// As [`Command::program`].
    pub(super) fn program_again(&self, known: Option<&Path>) -> Result<PathBuf, SpawnError> {
        let path = self.set_env.get(OsStr::new("PATH")).or(self.search_path.as_ref()).map(OsString::as_os_str);
        match (self.argv.first(), known) {
            (Some(name), Some(known)) if program::is_still(OsStr::from_bytes(name), known, path) => {
                Ok(known.to_owned())
            }
            _ => self.program(),
        }
    }

    /// The program that would be executed, as [`program::find`] says it.
    pub fn program(&self) -> Result<PathBuf, SpawnError> {
        let name = self.argv.first().ok_or(SpawnError::Invalid { what: "no words" })?;
        let path = self.set_env.get(OsStr::new("PATH")).or(self.search_path.as_ref());
        program::find(OsStr::from_bytes(name), &self.cwd, path.map(OsString::as_os_str))
    }
}

/// What an execution needs of its surroundings.
pub struct Context<'a> {
    /// The file system, for the spool.
    pub fs: &'a Fs,
    /// Tells start and end.
    pub clock: &'a dyn Clock,
    /// The folder that gets the streams as files, usually the run's live folder.
    pub spool_dir: &'a Path,
    /// Requests to stop.
    pub interrupts: Option<&'a Interrupts>,
    /// Hears the output.
    pub observer: &'a mut dyn Observer,
    /// Told the pid once the child runs, e.g. to limit it.
    pub started: &'a mut dyn FnMut(u32),
    /// Told the pid once the child has run for a while.
    pub lasts: Option<Lasts<'a>>,
}

/// Who is told of a child that does not end at once: what only matters if it, or prov, is killed meanwhile need not be done for one that does.
pub struct Lasts<'a> {
    /// How long it must have run.
    pub after: Duration,
    /// Told the pid, at most once. The observer hears of the start right after.
    pub tell: &'a mut dyn FnMut(u32),
}

impl std::fmt::Debug for Lasts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lasts").field("after", &self.after).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("spool_dir", &self.spool_dir).finish_non_exhaustive()
    }
}

/// What happened.
#[derive(Debug)]
pub struct Outcome {
    /// How the child ended.
    pub exit: Exit,
    /// When it was started.
    pub started_at: Micros,
    /// When its end was seen.
    pub finished_at: Micros,
    /// What it and the children it waited for used. The memory is never less than what prov held when it started it.
    pub resources: Resources,
    /// Whether it was ended because its time was up.
    pub timed_out: bool,
    /// The first interrupt that came in, forwarded to it.
    pub interrupted_by: Option<i32>,
    /// Whether it was ended because it wanted the terminal.
    pub wanted_terminal: bool,
    /// What it left behind in its group.
    pub leftovers: Leftovers,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
}

impl Outcome {
    /// Whether it ended by itself with code 0, and neither time nor an interrupt had a part in that.
    pub fn is_success(&self) -> bool {
        self.exit.is_success() && !self.was_ended()
    }

    /// Whether it was ended from outside by prov: such a run is aborted, whatever its code.
    pub fn was_ended(&self) -> bool {
        self.timed_out || self.interrupted_by.is_some() || self.wanted_terminal
    }

    /// The exit code of prov for it: 124 when its time was up, else the child's own or 128+N.
    /// A child that ends with 0 after it was interrupted does not make a success: 128+N of the interrupt.
    pub fn exit_code(&self) -> u8 {
        match (self.timed_out, self.interrupted_by, self.exit) {
            (true, _, _) => exit::TIMED_OUT,
            (false, Some(signal), Exit::Code(0)) => exit::signalled(signal),
            (false, None, Exit::Code(0)) if self.wanted_terminal => exit::OWN_FAILURE,
            (false, _, exit) => exit.shell_code(),
        }
    }

    /// One of the two streams.
    pub fn captured(&self, stream: Stream) -> &Captured {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

/// Processes of the child's group that outlived it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// There were none, or they finished by themselves in time.
    None,
    /// They were ended.
    Ended,
    /// They could not be ended: they hang in the kernel. They may still write.
    Survived,
}

/// What came of one stream.
#[derive(Debug)]
pub struct Captured {
    /// What is kept of it.
    pub spooled: Spooled,
    /// Why less is kept than the limits say, e.g. a full disk.
    pub spool_error: Option<io::Error>,
    /// Whether a process outside of the group still had it open when reading stopped.
    pub left_open: bool,
    /// Whether the observer got it all.
    pub passed: Passed,
}

/// Whether an observer got all of a stream.
#[derive(Debug)]
pub enum Passed {
    /// All of it.
    All,
    /// Not all: the other end was closed, or did not read on when everything was to end.
    Stopped,
    /// Not all, because of this.
    Failed(io::Error),
}

/// Executes `command` and returns when it and its group have ended.
///
/// # Errors
/// The command was not started. Once it runs there is an outcome, unless the system does not let prov wait for it; then
/// its group is killed.
pub fn execute(cx: Context<'_>, command: &Command) -> Result<Outcome, SpawnError> {
    if let Some(signal) = cx.interrupts.and_then(Interrupts::ending) {
        return Err(SpawnError::Interrupted { signal });
    }
    let (name, arguments) = command.argv.split_first().ok_or(SpawnError::Invalid { what: "no words" })?;
    let program = match &command.found {
        Some(program) => program.clone(),
        None => command.program()?,
    };
    let mut spawn = std::process::Command::new(&program);
    spawn.arg0(OsStr::from_bytes(name)).args(arguments.iter().map(|word| OsStr::from_bytes(word)));
    spawn.current_dir(&command.cwd).process_group(0);
    spawn.envs(&command.set_env);
    for name in &command.remove_env {
        spawn.env_remove(name);
    }
    spawn.stdin(stdin(cx.fs, &command.stdin)?);
    // Without a terminal left in the system a pipe does.
    let terminals = Stream::ALL.map(|stream| cx.observer.terminal(stream).and_then(|like| terminal::open(like).ok()));
    let (ours, childs) = split(terminals);
    if ours[Stream::Stdout.index()].is_some() {
        // Who starts a pager where a terminal is would start one that waits for keys, and here nobody can press any.
        for name in ["PAGER", "GIT_PAGER"] {
            if !command.set_env.contains_key(OsStr::new(name)) {
                spawn.env(name, "cat");
            }
        }
    }
    let [out, err] = childs.map(|end| end.map_or_else(Stdio::piped, Stdio::from));
    spawn.stdout(out).stderr(err);

    let started_at = cx.clock.now();
    let mut child = spawn
        .spawn()
        .map_err(|source| program::classify(cx.fs, OsStr::from_bytes(name), &program, &command.cwd, source))?;
    // The child's ends must be its alone: their end is when it closes them.
    drop(spawn);
    let pid = Pid::from_child(&child);
    let group = Group::new(pid);
    let system = |source| SpawnError::System { name: name.to_vec(), source };
    let ended = match reap::watch(pid) {
        Ok(fd) => fd,
        Err(source) => {
            group.kill();
            // It was killed: the wait is short, and what it says is of no use.
            let _ = reap::reap(pid);
            return Err(system(source));
        }
    };
    (cx.started)(child.id());
    let lasts = match cx.lasts {
        Some(Lasts { after, tell }) if !after.is_zero() => Some((after, tell as &mut dyn FnMut(u32))),
        at_once => {
            if let Some(lasts) = at_once {
                (lasts.tell)(child.id());
            }
            cx.observer.notice(Notice::Started(child.id()));
            None
        }
    };

    let side = |stream, pipe: Option<OwnedFd>| {
        let spool = Spool::new(cx.fs, cx.spool_dir, stream, command.spool).without(&command.secrets);
        Side::new(stream, pipe, spool)
    };
    let [out, err] = ours;
    let sides = [
        side(Stream::Stdout, out.or_else(|| child.stdout.take().map(OwnedFd::from))),
        side(Stream::Stderr, err.or_else(|| child.stderr.take().map(OwnedFd::from))),
    ];
    // From here on the child is reaped by the pump; the handle of the standard library knows nothing of it.
    drop(child);
    let pump = Pump::new(command, cx.clock, cx.interrupts, cx.observer, group, pid, ended, sides, lasts);
    let end = pump.run().map_err(system)?;
    let [stdout, stderr] = end.sides.map(Side::finish);
    Ok(Outcome {
        exit: end.exit,
        started_at,
        finished_at: end.finished_at,
        resources: end.resources,
        timed_out: end.timed_out,
        interrupted_by: end.interrupted_by,
        wanted_terminal: end.wanted_terminal,
        leftovers: end.leftovers,
        stdout,
        stderr,
    })
}

/// The ends of prov and those of the child.
fn split(terminals: [Option<terminal::Ends>; 2]) -> ([Option<OwnedFd>; 2], [Option<OwnedFd>; 2]) {
    let [out, err] = terminals.map(|ends| ends.map(|ends| (ends.ours, ends.childs)).unzip());
    ([out.0, err.0], [out.1, err.1])
}

fn stdin(fs: &Fs, stdin: &Stdin) -> Result<Stdio, SpawnError> {
    match stdin {
        Stdin::Empty => Ok(Stdio::null()),
        Stdin::File(path) => {
            fs.open(path).map(Stdio::from).map_err(|source| SpawnError::Stdin { path: path.clone(), source })
        }
        Stdin::Open(Open(fd)) => fd
            .try_clone()
            .map(Stdio::from)
            .map_err(|source| SpawnError::Stdin { path: PathBuf::from("a descriptor"), source }),
    }
}

#[cfg(test)]
mod tests;

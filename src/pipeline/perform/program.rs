//! Task types that are programs: started for each phase, told what to do, and listened to.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bstr::BString;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::last_words::LastWords;
use super::protocol::{self, Message, Offence, Reader};
use super::{Abort, Done, Failure, Hear, Job, Said, TaskKind, World, io_failure};
use crate::pipeline::file::Run;
use crate::run::execute::{Command, Context, Open, Outcome, Stdin, execute};
use crate::run::exit::{Exit, signal_name};
use crate::run::interrupts::{Interrupter, Interrupts};
use crate::run::observer::{Observer, Stream};
use crate::run::program::SpawnError;

/// Gives the program the document as standard input and the descriptor of what it says as 3, then becomes the program. `3` is the highest
/// that every shell can name, and what is given as 0 needs no code between fork and exec.
const START: &str = r#"exec 3>&0 <"$PROV_TASK" && exec "$0" "$@""#;

/// The shell for that, and for commands that are a text.
const SHELL: &str = "/bin/sh";

/// A task type that is a program. It runs in a process group of its own; an abort is SIGTERM for the group, and after a grace SIGKILL.
#[derive(Debug)]
pub struct Program {
    world: World,
    words: Vec<BString>,
    may_expand: bool,
}

impl Program {
    /// The type that executes `words`; its tasks may make tasks if `may_expand`.
    pub fn new(world: World, words: Vec<BString>, may_expand: bool) -> Self {
        Self { world, words, may_expand }
    }

    /// The words of a command that a file declares.
    pub fn words(run: &Run) -> Vec<BString> {
        match run {
            Run::Words(words) => words.iter().map(|word| word.as_str().into()).collect(),
            Run::Shell(text) => [SHELL, "-c", text, "sh"].map(BString::from).into(),
        }
    }

    fn command(&self, job: &Job, says: &Arc<OwnedFd>, document: &Path) -> Result<Command, SpawnError> {
        let mut command = Command::new(self.words.clone(), job.cwd.clone());
        command.set_env = job.env.clone();
        command.search_path.clone_from(&self.world.search_path);
        // Looked for before the shell does, which could not say as well what is wrong.
        let program = std::path::absolute(job.cwd.join(command.program()?)).unwrap_or_default();
        let own = [SHELL, "-c", START].map(BString::from);
        let arguments = command.argv.iter().skip(1).cloned();
        command.argv = own.into_iter().chain([program.as_os_str().as_bytes().into()]).chain(arguments).collect();
        command.set_env.insert("PROV_TASK".into(), document.into());
        command.set_env.insert("PROV_TASK_FD".into(), "3".into());
        command.stdin = Stdin::Open(Open(Arc::clone(says)));
        command.timeout = job.timeout;
        command.must_end = true;
        Ok(command)
    }
}

impl TaskKind for Program {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        let folder = || job.folder.to_string_lossy().into_owned();
        let fs = &self.world.fs;
        fs.make_dirs(&job.folder).map_err(io_failure("make", folder()))?;
        let document = job.folder.join(format!("task-{}.json", job.phase.as_str()));
        fs.replace(&document, &protocol::document(job), false).map_err(io_failure("write", folder()))?;

        let system = |errno: Errno| io_failure("start a process in", folder())(errno.into());
        let (listens, says) = pipe_with(PipeFlags::CLOEXEC).map_err(system)?;
        let (stops, stop) = pipe_with(PipeFlags::CLOEXEC).map_err(system)?;
        let says = Arc::new(says);
        let command = self.command(job, &says, &document).map_err(|source| Failure::Spawn { source })?;
        drop(says);

        let interrupts = Interrupts::by_hand().map_err(io_failure("start a process in", folder()))?;
        let (ends, on_abort) = (interrupts.interrupter(), interrupts.interrupter());
        let _watch = abort.watch(move || on_abort.raise(terminate()));

        let listener = Listener::new(Reader::new(job.flavour, job.spec.at, self.may_expand), hear, ends);
        let mut printed = Printed { hear, last: LastWords::default() };
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| listener.listen(&listens, &stops));
            let context = Context {
                fs,
                clock: &*self.world.clock,
                spool_dir: &job.folder,
                interrupts: Some(&interrupts),
                observer: &mut printed,
                started: &mut |pid| hear(Said::Started { pid }),
                lasts: None,
            };
            let outcome = execute(context, &command);
            // What is still to be read is read; what a process that was left behind says later is nobody's.
            drop(command);
            drop(stop);
            outcome
        });
        let heard = listener.heard();
        match outcome {
            Err(SpawnError::Interrupted { .. }) if abort.is_raised() => Err(abort.failure()),
            Err(source) => Err(Failure::Spawn { source }),
            Ok(outcome) => judge(outcome, heard, &printed, abort),
        }
    }
}

/// What became of a process.
fn judge(outcome: Outcome, heard: Heard, printed: &Printed<'_>, abort: &Abort) -> Result<Done, Failure> {
    let outcome = Box::new(outcome);
    if abort.is_raised() && !outcome.timed_out {
        let reason = abort.reason().unwrap_or_default();
        return Err(Failure::Aborted { reason, outcome: Some(outcome) });
    }
    let problem = if let Some(offence) = heard.offence {
        offence.to_string()
    } else if outcome.is_success() {
        return Ok(Done { validates: heard.validates, outcome: Some(outcome) });
    } else {
        how_it_ended(&outcome, printed)
    };
    Err(Failure::Process { problem, outcome })
}

/// SIGTERM by number.
fn terminate() -> i32 {
    rustix::process::Signal::TERM.as_raw()
}

/// In words: how a process ended that did not end well, and the last thing it printed on standard error.
fn how_it_ended(outcome: &Outcome, printed: &Printed<'_>) -> String {
    let how = match outcome.exit {
        _ if outcome.timed_out => "its time was up".to_owned(),
        _ if outcome.wanted_terminal => "it wanted the terminal, which it does not have".to_owned(),
        Exit::Code(code) => format!("it ended with code {code}"),
        Exit::Signal(signal) => match signal_name(signal) {
            Some(name) => format!("it was ended by {name}"),
            None => format!("it was ended by signal {signal}"),
        },
    };
    match printed.last.line() {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

/// Hears what the process prints.
struct Printed<'a> {
    hear: &'a Hear<'a>,
    /// The end of standard error.
    last: LastWords,
}

impl Observer for Printed<'_> {
    fn output(&mut self, from: Stream, bytes: &[u8]) -> io::Result<usize> {
        if from == Stream::Stderr {
            self.last.push(bytes);
        }
        (self.hear)(Said::Output { stream: from, bytes: bytes.to_vec() });
        Ok(bytes.len())
    }
}

/// What came of listening.
#[derive(Debug, Default)]
struct Heard {
    offence: Option<Offence>,
    validates: bool,
}

/// Passes on what the program says, and ends it when that is against the protocol.
struct Listener<'a> {
    reader: Mutex<Option<Reader>>,
    hear: &'a Hear<'a>,
    ends: Interrupter,
    heard: Mutex<Heard>,
}

impl<'a> Listener<'a> {
    fn new(reader: Reader, hear: &'a Hear<'a>, ends: Interrupter) -> Self {
        Self { reader: Mutex::new(Some(reader)), hear, ends, heard: Mutex::default() }
    }

    fn heard(self) -> Heard {
        self.heard.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until nobody can say anything any more, or until `stops` is closed at its other end and nothing is left to read.
    fn listen(&self, from: &OwnedFd, stops: &OwnedFd) {
        let Some(mut reader) = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut buffer = vec![0; 64 << 10];
        // What was said before the end lies in the pipe; what is more is said by somebody who was left behind.
        let mut left = 16;
        loop {
            let mut fds = [PollFd::new(from, PollFlags::IN), PollFd::new(stops, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            let is_over = !fds[1].revents().is_empty();
            if is_over && left == 0 {
                break;
            }
            if !fds[0].revents().is_empty() {
                left -= i32::from(is_over);
                match rustix::io::read(from, &mut *buffer) {
                    Ok(0) => break,
                    Ok(n) => {
                        if let Err(offence) = reader.push(&buffer[..n], &mut |message| self.pass(message)) {
                            return self.refuse(offence, from, stops, &mut buffer);
                        }
                    }
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(_) => break,
                }
            } else if is_over {
                break;
            }
        }
        if let Err(offence) = reader.end(&mut |message| self.pass(message)) {
            self.note(offence);
        }
    }

    fn pass(&self, message: Message) {
        match message {
            Message::Said(said) => said.into_iter().for_each(self.hear),
            Message::Validates(is_so) => {
                self.heard.lock().unwrap_or_else(PoisonError::into_inner).validates = is_so;
            }
        }
    }

    fn note(&self, offence: Offence) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).offence = Some(offence);
    }

    /// Has the program ended, and lets it say what it likes until then.
    fn refuse(&self, offence: Offence, from: &OwnedFd, stops: &OwnedFd, buffer: &mut [u8]) {
        self.note(offence);
        self.ends.raise(terminate());
        loop {
            let mut fds = [PollFd::new(from, PollFlags::IN), PollFd::new(stops, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if !fds[1].revents().is_empty() {
                return;
            }
            if !fds[0].revents().is_empty() && matches!(rustix::io::read(from, &mut *buffer), Ok(0)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;

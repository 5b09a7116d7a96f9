//! `prov run`.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use prov::event::{Event, Of};
use prov::repo::Repo;
use prov::run::interrupts::Interrupts;
use prov::run::memory::KnownFailure;
use prov::run::observer::{Notice, Observer, PassThrough, Stream};
use prov::run::request::Request;
use prov::run::{Performed, Session, Surroundings};

use super::{Context, elsewhere, events, plan, run_summary};
use crate::args::RunArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::memory;
use crate::open;
use crate::output::human;
use crate::output::record::shown;
use crate::settings::{self, Seen};

/// Looks up, else executes and records.
pub(crate) fn run(cx: &Context, args: &RunArgs) -> Result<Exit, Failure> {
    // Before anything else, so that no signal is lost between a look and a start.
    let cannot = |err: std::io::Error| {
        Failure::new(Class::Failed, "no_signals", "can not listen to signals").because_of(Some(&err))
    };
    let mut interrupts = Interrupts::from_signals().map_err(cannot)?;
    if !cx.ui.is_json() && (cx.settings.streams.out_is_terminal || cx.settings.streams.err_is_terminal) {
        interrupts.hear_resizes().map_err(cannot)?;
    }
    let done = heard(cx, args, &interrupts);
    let ending = interrupts.ending();
    // Until the process ends, signals are still heard.
    std::mem::forget(interrupts);
    match (done, ending) {
        (Err(failure), Some(signal)) if failure.class == Class::Interrupted => {
            cx.ui.fail(&failure);
            Ok(Exit::Child(u8::try_from(signal).map_or(u8::MAX, |signal| 128u8.saturating_add(signal))))
        }
        (done, _) => done,
    }
}

/// Inputs on the command line from which on there are many.
const MANY: usize = 128;

/// Whether the words may stand for many inputs: their number, a list of them, or a pattern.
fn has_many_inputs(args: &RunArgs) -> bool {
    let given = &args.options;
    let is_pattern = |input: &OsString| prov::code::is_glob(input.as_encoded_bytes());
    given.input.len() >= MANY || !given.inputs_from.is_empty() || given.input.iter().any(is_pattern)
}

fn heard(cx: &Context, args: &RunArgs, interrupts: &Interrupts) -> Result<Exit, Failure> {
    if has_many_inputs(args) {
        memory::in_large_pages();
    }
    if args.dry_run {
        let repo = open::untouched(cx)?;
        let request = request(cx, &repo, args)?;
        return plan::show(cx, &repo, &request, Some(interrupts));
    }
    let repo = open::repo_for_run(cx)?;
    let request = request(cx, &repo, args)?;
    let bar = cx.ui.bar();
    let tell = elsewhere::teller(cx);
    let remotes = elsewhere::remotes(cx, &repo, &bar, interrupts.cancel(), &tell)?;
    let session = Session::with_progress(&repo, cx.cwd.clone(), &bar)
        .cancelled_by(interrupts.cancel())
        .with_elsewhere(remotes.as_ref().map(|remotes| remotes as _));
    cx.ui.flush()?;
    let mut observer = Heard { through: observer(cx)?, cx, tells_events: args.json_lines };
    let surroundings =
        Surroundings { environment: cx.environment.all(), observer: &mut observer, interrupts: Some(interrupts) };
    let performed = prov::run::persist(&session, &request, surroundings)?;
    // The process ends soon, and with it goes all of their memory at once: giving it back piece by piece is a thirtieth of a hit. None of
    // these has anything else to do at its end.
    std::mem::forget(session);
    drop(bar);
    replay(cx, &performed);
    run_summary::tell(cx, &performed, args.json_lines)?;
    let exit = match performed.exit_code {
        0 => Exit::Done,
        124 if performed.run.error.as_ref().is_some_and(|error| error.kind == "timeout") => Exit::Timeout,
        code => Exit::Child(code),
    };
    std::mem::forget((performed, request));
    std::mem::forget(repo);
    Ok(exit)
}

/// The request that the words, the environment and the step's settings make.
pub(crate) fn request(cx: &Context, repo: &Repo, args: &RunArgs) -> Result<Request, Failure> {
    let request = template(cx, repo, args)?;
    for key in ["year", "iteration"] {
        if let Some(prov::codec::Value::Text(text)) = request.dims.get(key) {
            return Err(Failure::usage(format!("--{key} {text}: there are no rows here"))
                .hint("`prov map --rows FILE` runs a step for every row of a table"));
        }
    }
    Ok(request)
}

/// As [`request`], for many rows: what stands for a value of a row is left as it is.
pub(crate) fn template(cx: &Context, repo: &Repo, args: &RunArgs) -> Result<Request, Failure> {
    let mut step = match &args.name {
        Some(name) => repo.settings().step(name).map(|found| settings::step_of(name, &found)).transpose()?,
        None => None,
    };
    if let Some(step) = &mut step {
        let folder = repo.root().join(prov::path::from_bytes(&step.cwd));
        let lists = std::mem::take(&mut step.options.inputs_from);
        step.options.input.extend(listed(cx, &folder, &lists)?);
    }
    let mut with_lists;
    let args = if args.options.inputs_from.is_empty() {
        args
    } else {
        with_lists = args.clone();
        let lists = std::mem::take(&mut with_lists.options.inputs_from);
        with_lists.options.input.extend(listed(cx, &cx.cwd, &lists)?);
        &with_lists
    };
    let exists = |path: &std::path::Path| cx.fs.stat(path).is_ok_and(|found| found.is_some());
    let seen = Seen { root: repo.root(), cwd: &cx.cwd, exists: &exists };
    let mut request = settings::request(args, step.as_ref(), &cx.settings, seen)?;
    settings::scheduler(&cx.environment, &mut request.lifecycle);
    let is_said = args.options.restore.is_some() || step.as_ref().is_some_and(|step| step.options.restore.is_some());
    request.restore_is_said = is_said;
    if !is_said && let Some(mode) = repo.settings().cache_restore().and_then(settings::restore_word) {
        request.restore = mode;
    }
    complete(cx, repo, args, &mut request)?;
    Ok(request)
}

/// As [`request`], for what something else executes: it needs no command.
pub(crate) fn request_in_pieces(cx: &Context, repo: &Repo, args: &RunArgs) -> Result<Request, Failure> {
    let mut args = args.clone();
    let has_command = !args.command.is_empty();
    if !has_command {
        // The grammar asks for a command; the request is made without.
        args.command.push(OsString::from("-"));
    }
    let mut request = request(cx, repo, &args)?;
    if !has_command {
        request.argv.clear();
    }
    Ok(request)
}

fn complete(cx: &Context, repo: &Repo, args: &RunArgs, request: &mut Request) -> Result<(), Failure> {
    if request.cache.is_none() {
        request.cache = repo.settings().cache_mode().and_then(settings::cache_mode_word);
    }
    if let Some(parent) = &args.options.lifecycle.parent {
        request.parent = Some(events::run_of(cx, repo, parent)?);
    }
    Ok(())
}

/// The inputs that files list, their paths seen from `folder`: one a line, or closed by NUL bytes if there are any; empty lines say nothing.
fn listed(cx: &Context, folder: &std::path::Path, lists: &[OsString]) -> Result<Vec<OsString>, Failure> {
    use std::os::unix::ffi::OsStringExt;
    let mut inputs = Vec::new();
    for file in lists {
        let cannot = |err: std::io::Error| {
            Failure::new(
                Class::NotFound,
                "input_missing",
                format!("can't read the list `{}`", shown(file.as_encoded_bytes())),
            )
            .because_of(Some(&err))
        };
        let mut bytes = Vec::new();
        if file == "-" {
            std::io::stdin().lock().read_to_end(&mut bytes).map_err(cannot)?;
        } else {
            let found = cx.fs.read(&folder.join(file)).map_err(cannot)?;
            bytes = found.ok_or_else(|| cannot(std::io::ErrorKind::NotFound.into()))?;
        }
        let end = if bytes.contains(&0) { 0 } else { b'\n' };
        let lines = bytes.split(|&byte| byte == end).filter(|line| !line.is_empty());
        inputs.extend(lines.map(|line| OsString::from_vec(line.to_vec())));
    }
    Ok(inputs)
}

/// Passes the command's output on and says what happens around it.
struct Heard<'a> {
    through: PassThrough,
    cx: &'a Context,
    /// Whether events are printed as they come.
    tells_events: bool,
}

impl Observer for Heard<'_> {
    fn output(&mut self, from: Stream, bytes: &[u8]) -> std::io::Result<usize> {
        self.through.output(from, bytes)
    }

    fn ready_on(&self, from: Stream) -> Option<BorrowedFd<'_>> {
        self.through.ready_on(from)
    }

    fn known_failure(&mut self, known: &KnownFailure) {
        let id = human::short(prov::object::run::tail(&known.run), 8);
        self.cx.ui.warn(format_args!("this failed before, in {}: {}", shown(id), shown(known.describe())));
    }

    fn hears_events(&self) -> bool {
        self.tells_events
    }

    fn event(&mut self, of: &Of, seq: u64, event: &Event) {
        if self.tells_events {
            let line = event.to_line(of, seq);
            // Nobody reading it is no reason to fail: the run goes on, and its events are on record.
            let _ = self.cx.ui.with_writer(|out| out.write_all(line.as_bytes()).and_then(|()| out.flush()));
        }
    }

    fn terminal(&self, from: Stream) -> Option<BorrowedFd<'_>> {
        self.through.terminal(from)
    }

    fn notice(&mut self, notice: Notice) {
        if let Notice::Again { attempt, last, delay } = notice {
            let delay = human::duration(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            self.cx.ui.say(format_args!("failed; attempt {attempt} of {last} in {delay}"));
        }
    }
}

/// Where the command's output goes while it comes: to prov's own streams; under `--json` standard output is for the document.
fn observer(cx: &Context) -> Result<PassThrough, Failure> {
    let cannot = |err: std::io::Error| {
        Failure::new(Class::Failed, "no_streams", "can not use prov's own output streams").because_of(Some(&err))
    };
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(cannot)?;
    let stdout = if cx.ui.is_json() {
        stderr.try_clone().map_err(cannot)?
    } else {
        std::io::stdout().as_fd().try_clone_to_owned().map_err(cannot)?
    };
    let through = PassThrough::new(Some(stdout), Some(stderr));
    let streams = &cx.settings.streams;
    // Under `--json` a program is asking, not a person.
    Ok(if cx.ui.is_json() { through } else { through.as_terminals([streams.out_is_terminal, streams.err_is_terminal]) })
}

/// Prints what the source of a hit had printed. Nobody reading it is no reason to fail: the run is recorded.
fn replay(cx: &Context, performed: &Performed) {
    for (stream, bytes) in &performed.replay {
        let _ = if stream == "stdout" && !cx.ui.is_json() {
            std::io::stdout().lock().write_all(bytes)
        } else {
            std::io::stderr().lock().write_all(bytes)
        };
    }
    let _ = std::io::stdout().lock().flush();
}

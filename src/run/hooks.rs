//! The user's own programs that are told of runs: `.prov/hooks/run-start`, `run-complete`, `run-failed`.
//!
//! They belong to the project's folder and to no store. What they do, or fail to do, changes nothing about the run: `docs/design/0004-events.md`.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::Error;
use super::execute::{self, Command, Stdin};
use super::exit::Exit;
use super::interrupts::Interrupts;
use super::observer::{Notice, Observer, Stream};
use super::prepare::Environment;
use super::session::Session;
use super::spool::SpoolLimits;
use crate::codec::Value;
use crate::event::{self, Of};
use crate::hash::Id;
use crate::object::run::{Run, Status};

/// How long a hook may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that a process is a hook, or runs in one.
const IN_HOOK: &str = "PROV_EVENT";

/// What a hook is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// The run is about to be executed.
    Start,
    /// It was executed and has succeeded.
    Complete,
    /// It was executed and has not.
    Failed,
}

impl Moment {
    /// The moment that the end of a run is.
    pub(super) fn end_of(run: &Run) -> Self {
        if run.status == Status::Success { Self::Complete } else { Self::Failed }
    }

    fn hook(self) -> &'static str {
        match self {
            Self::Start => "run-start",
            Self::Complete => "run-complete",
            Self::Failed => "run-failed",
        }
    }
}

/// The hooks of a project.
#[derive(Debug)]
pub(super) struct Hooks {
    dir: PathBuf,
}

impl Hooks {
    /// The project's hooks; `None` if it has none, or if this is a hook already. One look at the disk.
    pub(super) fn of(session: &Session<'_>, environment: &Environment) -> Option<Self> {
        let dir = session.repo.layout().hooks();
        let is_there = session.repo.fs().stat(&dir).is_ok_and(|stat| stat.is_some_and(|stat| stat.is_folder()));
        (is_there && !environment.contains_key(std::ffi::OsStr::new(IN_HOOK))).then_some(Self { dir })
    }

    /// Calls the hook of a moment and waits for it; what went wrong with it comes back as a text for people.
    ///
    /// # Errors
    /// When a request to stop came in meanwhile: the hook was ended by it, and the caller is to see to it.
    pub(super) fn call(
        &self,
        session: &Session<'_>,
        moment: Moment,
        run: &Run,
        object: Option<Id>,
        observer: &mut dyn Observer,
        interrupts: Option<&Interrupts>,
    ) -> Result<Option<String>, Error> {
        let program = self.dir.join(moment.hook());
        if !matches!(session.repo.fs().stat(&program), Ok(Some(stat)) if stat.is_file()) {
            return Ok(None);
        }
        let place = session.repo.layout().cache().join(format!("hook-{}", run.run));
        let called = self.call_in(&place, session, moment, run, object, observer, interrupts);
        // What stays lies among what can be deleted.
        let _ = session.repo.fs().remove_tree(&place);
        match called {
            Ok(outcome) => {
                if let Some(signal) = outcome.interrupted_by {
                    return Err(Error::Interrupted { signal });
                }
                let why = match (outcome.timed_out, outcome.exit) {
                    (true, _) => format!("took longer than {} s and was ended", PATIENCE.as_secs()),
                    (false, Exit::Code(0)) => return Ok(None),
                    (false, Exit::Code(code)) => format!("ended with code {code}"),
                    (false, Exit::Signal(signal)) => format!("was ended by signal {signal}"),
                };
                Ok(Some(format!("hook {} {why}", moment.hook())))
            }
            Err(err) => Ok(Some(format!("hook {} was not run: {}", moment.hook(), super::chain(&err)))),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the inner half of its caller")]
    fn call_in(
        &self,
        place: &std::path::Path,
        session: &Session<'_>,
        moment: Moment,
        run: &Run,
        object: Option<Id>,
        observer: &mut dyn Observer,
        interrupts: Option<&Interrupts>,
    ) -> Result<execute::Outcome, Error> {
        let repo = session.repo;
        let fs = repo.fs();
        let _ = fs.remove_tree(place);
        fs.make_dirs(place).map_err(|source| Error::io("create", place, source))?;
        let told = place.join("event.json");
        let document = document(moment, run, object);
        fs.replace(&told, document.as_bytes(), false).map_err(|source| Error::io("write", &told, source))?;
        let mut command = Command::new(vec![crate::path::bytes(&self.dir.join(moment.hook()))], repo.root());
        command.stdin = Stdin::File(told);
        command.timeout = Some(PATIENCE);
        command.grace = Duration::from_secs(2);
        command.spool = SpoolLimits { head_bytes: 4096, segment_bytes: 4096 };
        let mut set = |name: &str, value: &str| command.set_env.insert(name.into(), value.into());
        set(IN_HOOK, moment.hook());
        set("PROV_RUN_ID", &run.run);
        set("PROV_STEP", &run.step);
        if moment != Moment::Start {
            let word = match run.status {
                Status::Success => "success",
                Status::Failure => "failure",
                Status::Aborted => "aborted",
            };
            set("PROV_STATUS", word);
        }
        let context = execute::Context {
            fs,
            clock: &*repo.world().clock,
            spool_dir: place,
            interrupts,
            observer: &mut ToStderr(observer),
            started: &mut |_| {},
            lasts: None,
        };
        Ok(execute::execute(context, &command)?)
    }
}

/// What a hook gets on its standard input.
fn document(moment: Moment, run: &Run, object: Option<Id>) -> String {
    let of = Of::run(run);
    let mut events = event::of_run(run, object);
    if moment == Moment::Start {
        events.retain(|event| event.what.rank() < 2);
    }
    let events = events.iter().zip(0..).map(|(event, seq)| event.to_value(&of, seq)).collect();
    let mut text = crate::config::to_json(&Value::Map(vec![
        ("schema".to_owned(), Value::Text("prov.hook/1".to_owned())),
        ("hook".to_owned(), Value::Text(moment.hook().to_owned())),
        ("run".to_owned(), Value::Text(run.run.clone())),
        ("step".to_owned(), Value::Text(run.step.clone())),
        ("events".to_owned(), Value::List(events)),
    ]));
    text.push('\n');
    text
}

/// What a hook prints is talk.
struct ToStderr<'a>(&'a mut dyn Observer);

impl Observer for ToStderr<'_> {
    fn output(&mut self, _from: Stream, bytes: &[u8]) -> io::Result<usize> {
        self.0.output(Stream::Stderr, bytes)
    }

    fn ready_on(&self, _from: Stream) -> Option<BorrowedFd<'_>> {
        self.0.ready_on(Stream::Stderr)
    }

    fn notice(&mut self, _notice: Notice) {}
}

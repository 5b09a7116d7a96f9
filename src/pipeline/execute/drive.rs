//! Running a pipeline: threads, and the loop between them.

use std::os::fd::AsFd;
use std::sync::mpsc::{channel, sync_channel};

use super::ahead::{Ahead, Lookout};
use super::driver::Driver;
use super::job::{self, Floor};
use super::record;
use super::recorder;
use super::schedule::Schedule;
use super::work::{Event, Local, Work};
use super::{Error, Order, Ran, Watch};
use crate::codec::Value;
use crate::object::run::{Run, RunError};
use crate::pipeline::file::Options;
use crate::pipeline::perform::{Level, Registry};
use crate::pipeline::plan::Plan;
use crate::refs::key;
use crate::repo::Repo;
use crate::run::Elsewhere;
use crate::run::Session;
use crate::run::batch::Batch;
use crate::run::guard::Guard;
use crate::run::interrupts::Interrupts;
use crate::run::prepare::Environment;
use crate::store::Snapshot;

/// Events that wait to be heard, at most: what tasks print comes no faster than it is heard.
const MOST_EVENTS: usize = 1024;

/// What running a pipeline needs of its surroundings.
pub struct Around<'a> {
    /// The folder the user is in, absolute.
    pub cwd: std::path::PathBuf,
    /// The environment of this process, which commands inherit.
    pub environment: &'a Environment,
    /// What performs tasks that are no commands.
    pub registry: &'a Registry,
    /// Requests to stop.
    pub interrupts: &'a Interrupts,
    /// Hears what happens.
    pub watch: &'a mut dyn Watch,
    /// Ends what runs if this process is killed.
    pub guard: &'a Guard,
    /// Other stores that may have what is missing here.
    pub elsewhere: Option<&'a dyn Elsewhere>,
    /// The store as it was a moment ago.
    pub known: Option<&'a Snapshot>,
}

impl std::fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").finish_non_exhaustive()
    }
}

/// Runs the tasks of a plan that was checked.
///
/// # Errors
/// What keeps it from being begun, or recorded at all. That tasks fail is no error.
pub fn run(repo: &Repo, plan: Plan, options: &Options, order: &Order, around: Around<'_>) -> Result<Ran, Error> {
    // What makes no sense leaves no trace.
    let selected = order.selection.of(&plan)?;
    let snapshot = match around.known {
        Some(known) => repo.store().snapshot_since(known),
        None => repo.store().snapshot(),
    };
    let snapshot = snapshot.map_err(crate::run::Error::from)?;
    crate::scenario::open_for_runs(repo, &snapshot, repo.scenario()).map_err(crate::run::Error::from)?;
    let draft = record::pipeline(repo, &plan, options, order);
    let work_path = &options.work_path.value;
    repo.fs().make_dirs(work_path).map_err(|source| Error::Folder { path: work_path.clone(), source })?;
    let running = Batch::begin(repo, &draft)?;
    let batch = Batch::after(repo, Some(running), &snapshot)?.with_grace(order.grace);
    drop(snapshot);
    if batch.snapshot().get_ref(&key::id(&draft.run)).map_err(crate::run::Error::from)?.is_some() {
        let _ = batch.end();
        return Err(Error::Taken { run: draft.run });
    }
    let session = Session::new(repo, around.cwd.clone())
        .cancelled_by(around.interrupts.cancel())
        .in_batch(&batch)
        .with_elsewhere(around.elsewhere);
    let ran = drive(repo, &batch, &session, (plan, selected), options, order, draft, around);
    session.save();
    drop(session);
    if ran.is_ok() {
        // What stays is settled by the next command.
        let _ = batch.end();
    }
    ran
}

#[expect(clippy::too_many_arguments, reason = "the one place where everything comes together")]
fn drive(
    repo: &Repo,
    batch: &Batch<'_>,
    session: &Session<'_>,
    (plan, selected): (Plan, Vec<bool>),
    options: &Options,
    order: &Order,
    draft: Run,
    around: Around<'_>,
) -> Result<Ran, Error> {
    let Around { cwd: _, environment, registry, interrupts, watch, guard, elsewhere: _, known: _ } = around;
    let (events, incoming) = sync_channel(MOST_EVENTS);
    let (notes, noted) = channel();
    let (over, until_over) = std::os::unix::net::UnixStream::pair()?;
    let roots = plan.roots.clone();
    let floor = Floor {
        session,
        environment,
        registry,
        roots: &roots,
        config: config(options),
        log_level: Level::of(&options.log_level.value).unwrap_or(Level::Info),
        events: events.clone(),
        is_heard: order.is_heard,
        guard,
    };
    let (local, ahead) = (Local::default(), Ahead::default());
    let glance = |work: &mut Work| job::glance(&floor, work);
    std::thread::scope(|scope| {
        let recorder = {
            let events = events.clone();
            std::thread::Builder::new()
                .name("recorder".to_owned())
                .spawn_scoped(scope, move || recorder::record(batch, &noted, &events))?
        };
        let signals = {
            let events = events.clone();
            std::thread::Builder::new().name("signals".to_owned()).spawn_scoped(scope, move || {
                while let Some(signals) = interrupts.next(until_over.as_fd()) {
                    if events.send(Event::Signals(signals)).is_err() {
                        break;
                    }
                }
            })
        };
        drop(events);
        let more = || {
            while local.wants_thread(order.jobs) {
                let (floor, local) = (&floor, &local);
                let thread = std::thread::Builder::new().name("task".to_owned()).spawn_scoped(scope, move || {
                    let mut interrupts = None;
                    while let Some(work) = local.next() {
                        let id = work.id;
                        let ended = job::work(floor, work, &mut interrupts);
                        local.forget(id);
                        if floor.events.send(Event::Ended(Box::new(ended))).is_err() {
                            break;
                        }
                    }
                });
                if thread.is_err() {
                    // With fewer threads it takes longer; without any it can't be done.
                    return local.lost_thread() > 0;
                }
            }
            true
        };
        let schedule = Schedule::new(&plan, selected, order.jobs);
        let (glance, lookout) = (&glance, Lookout::new(&ahead));
        let scout = || {
            let ahead = &ahead;
            let scout = std::thread::Builder::new().name("ahead".to_owned());
            scout.spawn_scoped(scope, move || ahead.work(glance)).is_ok()
        };
        let mut driver = Driver::new(
            repo, batch, plan, order, draft, schedule, &local, &more, glance, lookout, &scout, notes, watch,
        );
        let driven = driver.drive(&incoming);
        let failed = driven.err();
        if failed.is_some() {
            driver.stop_all(&RunError { kind: "aborted".to_owned(), message: "prov failed".to_owned(), run: None });
        }
        local.close();
        ahead.close();
        let ran = match failed {
            None => driver.finish(&incoming),
            Some(err) => {
                // Nobody tells the recorder anything any more.
                drop(driver);
                Err(err)
            }
        };
        // Whoever still has something to say must not wait to be heard.
        drop(incoming);
        drop(over);
        let _ = signals.map(std::thread::ScopedJoinHandle::join);
        let _ = recorder.join();
        ran
    })
}

/// The options that hold, for programs that perform tasks.
fn config(options: &Options) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    Value::Map(vec![
        ("runner".to_owned(), text(&options.runner.value)),
        ("pool_size".to_owned(), Value::Int(options.pool_size.value.into())),
        ("log_level".to_owned(), text(&options.log_level.value)),
    ])
}

/// The step under which a task is on record: `STEP/NAME`, cut with a digest of all of it where that is too long or has what a record can't.
pub(super) fn recorded_step(step: &str, name: &str) -> String {
    let label = format!("{step}/{name}");
    if crate::recipe::check_task(&label).is_ok() {
        return label;
    }
    let digest = crate::hash::derived("prov 2026-11 long task name", label.as_bytes()).short();
    let mut cut: String = label.chars().filter(|c| !c.is_control()).take(200).collect();
    while cut.len() > 280 {
        cut.pop();
    }
    format!("{cut} {digest}")
}

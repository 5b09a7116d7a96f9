//! One file a command: settings in, one call of the library, one summary out.

mod add;
mod again;
mod bundle;
mod cat;
mod cat_object;
mod check;
mod completions;
mod config;
mod config_plan;
mod describe;
mod diff;
mod doctor;
mod elsewhere;
mod events;
mod exchange;
#[cfg(feature = "index")]
mod facets;
#[cfg(feature = "index")]
mod find;
mod fsck;
mod gc;
mod hooks;
mod id;
#[cfg(feature = "index")]
mod impact;
mod init;
mod journal;
mod lineage;
mod log;
mod ls_tree;
mod map;
mod mark;
mod name;
mod pack;
mod pieces;
mod pipeline;
mod plan;
mod remote;
mod restore;
mod rev_parse;
mod revision;
mod run;
mod run_summary;
mod scenario;
mod scenario_diff;
mod schema;
mod scrub;
mod serve;
mod show;
mod status;
mod sync;
mod why;

use std::path::PathBuf;

use prov::clock::Clock;
use prov::fs::Fs;
use prov::mark::MarkKind;

use crate::args::Command;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::Ui;
use crate::settings::{Environment, Settings};

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where it prints.
    pub(crate) ui: Ui,
    /// What holds.
    pub(crate) settings: Settings,
    /// The environment prov was started with.
    pub(crate) environment: Environment,
    /// The folder the user is in, absolute.
    pub(crate) cwd: PathBuf,
    /// The disk.
    pub(crate) fs: Fs,
    /// The time.
    pub(crate) clock: Box<dyn Clock>,
}

/// Does what the words ask for.
pub(crate) fn dispatch(cx: &Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(cx, args),
        Command::Add(args) => add::add(cx, args),
        Command::Commit(args) => add::commit(cx, args),
        Command::Run(args) => run::run(cx, args),
        Command::Map(args) => map::run(cx, args),
        Command::Start(args) => pieces::start(cx, args),
        Command::LogInput(args) => pieces::log_input(cx, args),
        Command::LogOutput(args) => pieces::log_output(cx, args),
        Command::LogMeta(args) => pieces::log_meta(cx, args),
        Command::Finish(args) => pieces::finish(cx, args),
        Command::Status(args) => status::run(cx, args),
        Command::Log(args) => log::run(cx, args),
        Command::Show(args) => show::run(cx, args),
        Command::Diff(args) => diff::run(cx, args),
        Command::Compare(args) => scenario_diff::compare(cx, args),
        Command::Why(args) => why::run(cx, args),
        Command::Plan(args) => plan::run(cx, args),
        Command::Lineage(args) => lineage::run(cx, args),
        Command::Find(_)
        | Command::Facets(_)
        | Command::History(_)
        | Command::Summary(_)
        | Command::Metrics(_)
        | Command::Impact(_)
        | Command::Sql(_) => questions(cx, command),
        Command::Events(args) => events::run(cx, args),
        Command::Id(args) => id::run(cx, args),
        Command::Restore(args) => restore::run(cx, args),
        Command::Cat(args) => cat::run(cx, args),
        Command::Rerun(args) => again::rerun(cx, args),
        Command::Verify(args) => again::verify(cx, args),
        Command::Check(args) => check::run(cx, args),
        Command::Retract(args) => mark::run(cx, MarkKind::Retract, &args.mark),
        Command::Hide(args) => mark::run(cx, MarkKind::Hide, &args.mark),
        Command::Scrub(args) => scrub::run(cx, args),
        Command::Tag(args) => name::tag(cx, args),
        Command::Note(args) => name::note(cx, args),
        Command::Ops(args) => journal::ops(cx, args),
        Command::Undo(args) => journal::undo(cx, args),
        Command::Scenario(args) => scenario::run(cx, args),
        Command::Pipeline(args) => pipeline::run(cx, args),
        Command::Export(args) => exchange::export(cx, args),
        Command::Import(args) => exchange::import(cx, args),
        Command::Schema(args) => schema::run(cx, args),
        Command::Preview(args) => schema::preview(cx, args),
        Command::Remote(args) => remote::run(cx, args),
        Command::Push(args) => sync::push(cx, args),
        Command::Fetch(args) | Command::Pull(args) => sync::fetch(cx, args),
        Command::Sync(args) => sync::sync(cx, args),
        Command::Bundle(args) => bundle::run(cx, args),
        Command::Clone(args) => sync::clone(cx, args),
        Command::Evict(args) => elsewhere::evict(cx, args),
        Command::Where(args) => elsewhere::whereabouts(cx, args),
        Command::Pack(args) => pack::run(cx, args),
        Command::Serve(args) => serve::run(cx, args),
        Command::Hooks(args) => hooks::run(cx, args),
        Command::Fsck(args) => fsck::run(cx, args),
        Command::Gc(args) => gc::run(cx, args),
        Command::Config(args) => config::run(cx, args),
        Command::Doctor(args) => doctor::run(cx, args),
        Command::Completions(args) => completions::run(cx, args),
        Command::CatObject(args) => cat_object::run(cx, args),
        Command::LsTree(args) => ls_tree::run(cx, args),
        Command::RevParse(args) => rev_parse::run(cx, args),
    }
}

/// What asks the index.
#[cfg(feature = "index")]
fn questions(cx: &Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Find(args) => find::run(cx, args),
        Command::Facets(args) => facets::run(cx, args),
        Command::History(args) => find::history(cx, args),
        Command::Summary(args) => find::summary(cx, args),
        Command::Metrics(args) => find::metrics(cx, args),
        Command::Impact(args) => impact::run(cx, args),
        Command::Sql(args) => find::sql(cx, args),
        _ => Ok(Exit::Done),
    }
}

/// What asks the index, in a build that has none.
#[cfg(not(feature = "index"))]
fn questions(_: &Context, _: &Command) -> Result<Exit, Failure> {
    Err(no_index())
}

/// The failure of what needs an index.
#[cfg(not(feature = "index"))]
fn no_index() -> Failure {
    Failure::new(crate::error::Class::Usage, "no_index", "this prov was built without the index")
        .hint("build it with the feature `index`; `prov log` and `prov show` need none")
}

//! One file a command: settings in, one call of the library, one summary out.

mod add;
mod completions;
mod doctor;
mod init;
mod plan;
mod restore;
mod run;
mod run_summary;
mod scenario;
mod why;

use std::path::PathBuf;

use prov::clock::Clock;
use prov::fs::Fs;

use crate::args::Command;
use crate::error::{Class, Failure};
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
        Command::Why(args) => why::run(cx, args),
        Command::Plan(args) => plan::run(cx, args),
        Command::Restore(args) => restore::run(cx, args),
        Command::Scenario(args) => scenario::run(cx, args),
        Command::Doctor(args) => doctor::run(cx, args),
        Command::Completions(args) => completions::run(cx, args),
        _ => Err(Failure::new(Class::Failed, "not_built", "this command is not wired yet")),
    }
}

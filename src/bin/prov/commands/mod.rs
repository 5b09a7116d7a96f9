//! One file a command: settings in, one call of the library, one summary out.

mod cat;
mod cat_object;
mod completions;
mod describe;
mod doctor;
mod log;
mod ls_tree;
mod rev_parse;
mod revision;
mod show;

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
        Command::Log(args) => log::run(cx, args),
        Command::Show(args) => show::run(cx, args),
        Command::Cat(args) => cat::run(cx, args),
        Command::CatObject(args) => cat_object::run(cx, args),
        Command::LsTree(args) => ls_tree::run(cx, args),
        Command::RevParse(args) => rev_parse::run(cx, args),
        Command::Doctor(args) => doctor::run(cx, args),
        Command::Completions(args) => completions::run(cx, args),
        _ => Err(Failure::new(Class::Failed, "not_built", "this command is not wired yet")),
    }
}

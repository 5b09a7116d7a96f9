//! From words to an exit code.

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use clap::error::ErrorKind;
use prov::clock::SystemClock;
use prov::fs::Fs;
use prov::run::guard::GuardCommand;

use crate::args::planned;
use crate::args::words::Glance;
use crate::args::{Cli, Command, Globals, PipelineCommand};
use crate::commands::{self, Context};
use crate::error::{self, Class, Failure};
use crate::exit::Exit;
use crate::output::Ui;
use crate::settings::{self, Environment, Settings};

/// The only word of a process that stands guard over the children of another one: [`prov::run::guard`]. Nobody types it.
pub(crate) const GUARD: &str = "--stand-guard";

/// How this program stands guard.
pub(crate) fn guard_command() -> GuardCommand {
    let program = std::env::current_exe().unwrap_or_else(|_| "prov".into());
    GuardCommand { program, arguments: vec![GUARD.into()] }
}

/// Does what the words after the program's name say.
pub(crate) fn run(words: Vec<OsString>, environment: Environment) -> Exit {
    if let [word] = &words[..]
        && word == GUARD
    {
        let stood = prov::run::guard::stand(std::io::stdin());
        return if stood.is_ok() { Exit::Done } else { Exit::No };
    }
    error::install_panic_hook(environment.text("RUST_BACKTRACE").is_some_and(|value| value != "0"));
    let glance = Glance::at(&words);
    let is_run = glance.is_run();
    match catch_unwind(AssertUnwindSafe(|| parsed(words, environment, &glance))) {
        Ok(exit) => exit,
        // The hook has said what there is to say.
        Err(_) if is_run => Exit::RunFailed,
        Err(_) => Exit::Bug,
    }
}

fn parsed(words: Vec<OsString>, environment: Environment, glance: &Glance) -> Exit {
    let early = Ui::new(settings::early_streams(&environment, glance.json));
    let end = |failure: &Failure| {
        if failure.class != Class::BrokenPipe {
            early.fail(failure);
        }
        exit_of(failure, glance.is_run())
    };
    let words = std::iter::once("prov".into()).chain(words).collect();
    let mut cli = match Cli::read(words, glance.command.as_deref()) {
        Ok(cli) => cli,
        Err(err) if !err.use_stderr() => {
            // Help and version are data.
            let text = err.render();
            let printed = if early.painter().is_on() { early.print(text.ansi()) } else { early.print(text) };
            return match printed.and_then(|()| early.finish()) {
                Ok(()) => Exit::Done,
                Err(failure) => end(&failure),
            };
        }
        Err(err) if err.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !glance.json => {
            early.say(err.render());
            return Exit::Usage;
        }
        Err(err) => return end(&planned::usage(glance.command.as_deref(), &err)),
    };
    match &cli.command {
        Command::Run(args) => cli.globals.json |= args.json_lines,
        Command::Map(args) => cli.globals.json |= args.json_lines,
        _ => {}
    }
    if let Command::Pipeline(args) = &cli.command
        && let PipelineCommand::Run(args) = &args.command
    {
        cli.globals.json |= args.json_lines;
    }
    match context(&cli.globals, environment) {
        Ok(cx) => obey(&cx, &cli, glance.is_run()),
        Err(failure) => end(&failure),
    }
}

fn context(globals: &Globals, environment: Environment) -> Result<Context, Failure> {
    if let Some(directory) = &globals.directory {
        enter(directory)?;
    }
    let cwd = std::env::current_dir().map_err(|err| {
        Failure::new(Class::Failed, "no_current_folder", "can not tell the current folder").because_of(Some(&err))
    })?;
    let settings = Settings::resolve(&environment, globals)?;
    let ui = Ui::new(settings.streams);
    if let Some(jobs) = settings.jobs {
        // A second pool can't be made, and none was before.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global();
    }
    Ok(Context { ui, settings, environment, cwd, fs: Fs::real(), clock: Box::new(SystemClock) })
}

/// Makes `directory` the current folder, so that every path that was typed is seen from there.
fn enter(directory: &Path) -> Result<(), Failure> {
    std::env::set_current_dir(directory).map_err(|err| {
        Failure::usage(format!("can not enter `{}`", prov::path::show(directory))).because_of(Some(&err))
    })
}

fn obey(cx: &Context, cli: &Cli, is_run: bool) -> Exit {
    let done = commands::dispatch(cx, &cli.command);
    // What was printed before a failure comes before it.
    let finished = cx.ui.finish();
    match (done, finished) {
        (Err(failure), _) | (Ok(Exit::Done), Err(failure)) => {
            if failure.class != Class::BrokenPipe {
                cx.ui.fail(&failure);
            }
            exit_of(&failure, is_run)
        }
        (Ok(exit), _) => exit,
    }
}

/// Around a command, every failure of prov's own is 125.
fn exit_of(failure: &Failure, is_run: bool) -> Exit {
    if is_run { Exit::RunFailed } else { failure.class.exit() }
}

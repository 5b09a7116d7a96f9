//! The grammar of the command line: what can be typed, and the help for it.
//!
//! Nothing here decides or acts. One file per group of commands, as the help lists them.

mod bring;
mod check;
mod follow;
mod inspect;
mod lifecycle;
mod look;
pub(crate) mod planned;
mod record;
mod run;
mod scenario;
pub(crate) mod values;
pub(crate) mod words;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use bring::{CatArgs, RestoreArgs};
pub(crate) use check::{CompletionsArgs, ConfigArgs, ConfigCommand, DoctorArgs, FsckArgs};
pub(crate) use follow::EventsArgs;
pub(crate) use inspect::{CatObjectArgs, LsTreeArgs, RevParseArgs};
pub(crate) use lifecycle::{LifecycleOptions, ReplayWord};
pub(crate) use look::{
    DiffArgs, Direction, IdArgs, LineageArgs, LineageFormat, LogArgs, PlanArgs, ShowArgs, StatusArgs, StatusFilter,
    WhyArgs,
};
pub(crate) use record::{AddArgs, CommitArgs, InitArgs};
pub(crate) use run::{CacheWord, OnMissingWord, RestoreWord, RunArgs, RunOptions, StepParser};
pub(crate) use scenario::{ScenarioArgs, ScenarioCommand, ScenarioNewArgs};

/// Record what ran, on what, and what came out, and never compute it twice
#[derive(Debug, Parser)]
#[command(
    name = "prov",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false,
    args_override_self = true,
    after_help = "\
Start here:
  prov init
  prov run -i data.csv -o clean.csv -- python clean.py data.csv clean.csv
  prov log
  prov why @last
  prov lineage clean.csv"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Globals {
    /// Act as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = clap::ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,
    /// Print one JSON document on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say when to use colour
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t = ColorWhen::Auto)]
    pub(crate) color: ColorWhen,
    /// Never page long output
    #[arg(long, global = true)]
    pub(crate) no_pager: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless the environment says otherwise
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a store in this folder
    Init(InitArgs),
    /// Store files or folders and stage them for the next commit
    Add(AddArgs),
    /// Record staged or given paths as a run made by hand
    Commit(CommitArgs),
    /// Look up a command's results, or execute and record it
    Run(Box<RunArgs>),
    /// Show which steps and files are up to date
    Status(StatusArgs),
    /// List runs, newest first
    Log(LogArgs),
    /// Show a run or an object
    Show(ShowArgs),
    /// Compare two runs
    Diff(DiffArgs),
    /// Explain why a run was or would be a miss
    Why(WhyArgs),
    /// Say what a run would do, without doing it
    Plan(PlanArgs),
    /// Walk from a result to what made it, or on to what was made of it
    Lineage(LineageArgs),
    /// Tell what runs do and did, event by event
    Events(EventsArgs),
    /// Tell what a file is by its content alone
    Id(IdArgs),
    /// Bring recorded files back
    Restore(RestoreArgs),
    /// Print the content of a recorded file
    Cat(CatArgs),
    /// Create, list and switch scenarios
    Scenario(ScenarioArgs),
    /// Check the whole store
    Fsck(FsckArgs),
    /// Show the settings and where they come from
    Config(ConfigArgs),
    /// Check this machine and folder for what prov needs
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print an object of the store
    CatObject(CatObjectArgs),
    /// List the entries of a tree
    LsTree(LsTreeArgs),
    /// Print the full id that a revision stands for
    RevParse(RevParseArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
        StepParser::command().debug_assert();
    }

    #[test]
    fn help_lines_are_imperative_fragments_and_every_command_has_examples() {
        fn check(command: &clap::Command, path: &str) {
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty() || arg.is_hide_set(), "{path}: {} has no help", arg.get_id());
                assert!(!help.ends_with('.'), "{path}: {}: {help}", arg.get_id());
            }
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                let path = format!("{path} {}", sub.get_name());
                assert!(!sub.get_about().map(ToString::to_string).unwrap_or_default().ends_with('.'), "{path}");
                let examples = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(examples.contains("prov "), "{path} has no examples");
                check(sub, &path);
            }
        }
        check(&Cli::command(), "prov");
    }
}

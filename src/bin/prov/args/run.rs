//! `run`: every option of an execution.
//!
//! The same options are read from `[steps.NAME]` of `prov.toml`, through the same grammar ([`StepParser`]).

use std::ffi::OsString;

use clap::{Args, Parser, ValueEnum};

use prov::run::web::Freshness;

use super::values::Whole;
use super::{FolderOptions, LifecycleOptions, OutputOptions, values};

/// Arguments of `prov run`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "prov run [NAME] [OPTIONS] [-- CMD...]",
    after_help = "\
In CMD, {input.KEY}, {output.KEY}, {config}, {set.KEY}, {dim.KEY} and {runtime.KEY} are replaced.
Other braces are left alone. --run-name, --tag and -m take {step}, {year}, {iteration}, {DIM}.
KEY is the file name up to its first dot unless given as KEY=PATH; write ./a=b for a path with `=`.
The exit code is CMD's own; 125 says that prov itself failed, 124 that the time was up.

Examples:
  prov run -i raw.csv -o clean.csv -- python clean.py raw.csv clean.csv
  prov run --name fit -i clean.csv -o model=fit.json -S rate=0.1 -- ./fit {input.clean} {config}
  prov run clean                   run the step that [steps.clean] of prov.toml describes
  prov run -f clean                run it even if its result is known"
)]
pub(crate) struct RunArgs {
    /// Run the step `[steps.NAME]` of prov.toml; with CMD, run that instead of its command
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) options: RunOptions,
    /// Print what the run does as it does it, one JSON document a line, and at last the one of --json
    #[arg(long)]
    pub(crate) json_lines: bool,
    /// Say whether it would be a hit, execute nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Execute this program with its arguments, without a shell
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// The options of an execution that can also stand in `prov.toml`. Nothing given means nothing set: the defaults
/// are applied when the request is made.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunOptions {
    /// Name the step; without it, the command's program does
    #[arg(long = "name", value_name = "STEP", help_heading = "What it is")]
    pub(crate) step: Option<String>,
    /// Declare an input file, folder, glob in quotes, or revision
    #[arg(short, long, value_name = "[KEY=]PATH-or-REV", help_heading = "What it reads and writes")]
    pub(crate) input: Vec<OsString>,
    /// Declare an input that need not be there; that it is absent counts
    #[arg(long, value_name = "[KEY=]PATH", help_heading = "What it reads and writes")]
    pub(crate) input_optional: Vec<OsString>,
    /// Declare the inputs that this file lists, one a line as after -i; `-` for standard input
    #[arg(long, value_name = "FILE", help_heading = "What it reads and writes")]
    pub(crate) inputs_from: Vec<OsString>,
    /// Declare an output file or folder; it is cleared before CMD starts
    #[arg(short, long, value_name = "[KEY=]PATH", help_heading = "What it reads and writes")]
    pub(crate) output: Vec<OsString>,
    /// Declare files of a folder as one output: KEY=ROOT:GLOB, again with the same KEY for more, KEY=ROOT:!GLOB to leave some out
    #[arg(long, value_name = "KEY=ROOT:GLOB", help_heading = "What it reads and writes")]
    pub(crate) output_set: Vec<OsString>,
    /// Leave this output in place for CMD to change
    #[arg(long, value_name = "KEY", help_heading = "What it reads and writes")]
    pub(crate) in_place: Vec<String>,
    /// Read standard input from this file
    #[arg(long, value_name = "PATH", help_heading = "What it reads and writes")]
    pub(crate) stdin: Option<OsString>,
    /// Take the config from this file; later files win
    #[arg(long, value_name = "FILE", help_heading = "What determines the result")]
    pub(crate) config: Vec<OsString>,
    #[command(flatten)]
    pub(crate) folder: FolderOptions,
    /// Set one value of the config, over all files
    #[arg(short = 'S', long, value_name = "KEY=VALUE", value_parser = values::assignment, help_heading = "What determines the result")]
    pub(crate) set: Vec<String>,
    /// Say which files count as code: project, command, none, or paths and globs
    #[arg(long, value_name = "MODE-or-GLOB", help_heading = "What determines the result")]
    pub(crate) code: Vec<String>,
    /// Count an environment variable in; with a value, also set it
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = "What determines the result")]
    pub(crate) env: Vec<OsString>,
    /// Count a file in that CMD is not told of
    #[arg(long, value_name = "[LABEL=]PATH", help_heading = "What determines the result")]
    pub(crate) identity: Vec<OsString>,
    /// Count a lock file in, under its whole name
    #[arg(long, value_name = "[LABEL=]PATH", help_heading = "What determines the result")]
    pub(crate) lock: Vec<OsString>,
    /// Count a tool's version in: what this command prints
    #[arg(long, value_name = "NAME=CMD", value_parser = values::assignment, help_heading = "What determines the result")]
    pub(crate) tool: Vec<String>,
    /// Count the container image in, by its digest or as a file
    #[arg(long, value_name = "IMAGE", help_heading = "What determines the result")]
    pub(crate) container: Option<OsString>,
    /// Count the container image in by the digest that this command prints
    #[arg(long, value_name = "CMD", conflicts_with = "container", help_heading = "What determines the result")]
    pub(crate) container_from: Option<String>,
    /// Set the year
    #[arg(long, value_name = "N", value_parser = values::whole, allow_negative_numbers = true, help_heading = "What it is")]
    pub(crate) year: Option<Whole>,
    /// Set the iteration
    #[arg(long, value_name = "N", value_parser = values::whole, allow_negative_numbers = true, help_heading = "What it is")]
    pub(crate) iteration: Option<Whole>,
    /// Set a dimension of your own
    #[arg(long, value_name = "K=V", value_parser = values::assignment, help_heading = "What it is")]
    pub(crate) dim: Vec<String>,
    /// Attach a tag
    #[arg(long, value_name = "TAG", help_heading = "What it is")]
    pub(crate) tag: Vec<String>,
    /// Say what it is
    #[arg(short, long, value_name = "MSG", help_heading = "What it is")]
    pub(crate) message: Option<String>,
    /// Give the run a name
    #[arg(long, value_name = "NAME", help_heading = "What it is")]
    pub(crate) run_name: Option<String>,
    /// Record in this scenario instead of the current one
    #[arg(long, value_name = "NAME", help_heading = "What it is")]
    pub(crate) scenario: Option<String>,
    /// Say how to use known results; without outputs the default is off
    #[arg(long, value_name = "MODE", value_enum, help_heading = "What to do with known results")]
    pub(crate) cache: Option<CacheWord>,
    /// Execute even if the result is known; short for --cache overwrite
    #[arg(short, long, conflicts_with = "cache", help_heading = "What to do with known results")]
    pub(crate) force: bool,
    /// Set the step's epoch; a new one makes every known result old
    #[arg(long, value_name = "N", help_heading = "What to do with known results")]
    pub(crate) epoch: Option<u64>,
    /// Set the step's version; another one has results of its own
    #[arg(long, value_name = "N", help_heading = "What to do with known results")]
    pub(crate) step_version: Option<u64>,
    /// Say what to bring back on a hit
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "What to do with known results")]
    pub(crate) restore: Option<RestoreWord>,
    /// Give CMD a value that does not count, as PROV_RUNTIME_KEY and {runtime.KEY}
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::assignment, help_heading = "How it runs")]
    pub(crate) runtime: Vec<String>,
    /// Let CMD have this variable, and keep its value out of all records
    #[arg(long, value_name = "NAME", help_heading = "How it runs")]
    pub(crate) secret_env: Vec<String>,
    /// Say how surely the outputs of a known result must be there
    #[arg(long, value_name = "HOW", value_enum, help_heading = "What to do with known results")]
    pub(crate) validate: Option<ValidateWord>,
    /// Say what to do if the same recipe failed before
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "What to do with known results")]
    pub(crate) on_known_failure: Option<OnKnownFailureWord>,
    /// End CMD after this long, e.g. 90s, 5m or 1h30m
    #[arg(long, value_name = "TIME", value_parser = values::duration_ms, help_heading = "How it runs")]
    pub(crate) timeout: Option<u64>,
    /// Wait for another run that is writing the same outputs
    #[arg(long, help_heading = "How it runs")]
    pub(crate) wait: bool,
    /// Say what a missing output means
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "How it runs")]
    pub(crate) on_missing: Option<OnMissingWord>,
    /// Record this key by its hash only, do not store its bytes
    #[arg(long, value_name = "KEY", help_heading = "How it runs")]
    pub(crate) no_store: Vec<String>,
    #[command(flatten)]
    pub(crate) lifecycle: LifecycleOptions,
    #[command(flatten)]
    pub(crate) outputs: OutputOptions,
    /// Say when the server of an input from the web is asked whether it changed: always, never, offline, or not within e.g. 1h
    #[arg(long, value_name = "WHEN", value_parser = values::freshness, help_heading = "How it runs")]
    pub(crate) freshness: Option<Freshness>,
    /// Say what an input means that is missing: an error, or bring back what a run recorded there
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "How it runs")]
    pub(crate) inputs_missing: Option<InputsMissingWord>,
}

/// Reads the options of one step of `prov.toml`, turned into words before.
#[derive(Debug, Parser)]
#[command(name = "prov.toml", no_binary_name = true, disable_help_flag = true, args_override_self = true)]
pub(crate) struct StepParser {
    #[command(flatten)]
    pub(crate) options: RunOptions,
}

/// A cache mode by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CacheWord {
    /// Look up, execute on a miss
    Reuse,
    /// Do not look up; the new result is found first from now on
    Overwrite,
    /// Look up, execute on a miss, record nothing
    Readonly,
    /// Do not look up
    Off,
}

/// What is brought back on a hit, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RestoreWord {
    /// All outputs
    Outputs,
    /// Only the facts
    Metadata,
    /// Nothing
    None,
}

/// What a missing input means, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputsMissingWord {
    /// The run can't begin
    Error,
    /// What a run recorded there last is brought back, unless it is a hit
    Restore,
}

/// What a missing output means, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnMissingWord {
    /// The run failed
    Error,
    /// The run succeeded, with a warning
    Warn,
    /// The run succeeded
    Ignore,
}

/// How surely the outputs of a known result must be there, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ValidateWord {
    /// They must be in the store; bytes are verified as they are read
    Lazy,
    /// Every byte is read and verified before
    Strict,
    /// The record alone counts
    None,
}

/// What a known failure means, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnKnownFailureWord {
    /// Say it and execute
    Run,
    /// Execute nothing
    Stop,
}

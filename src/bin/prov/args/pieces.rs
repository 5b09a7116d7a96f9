//! `start`, `log-input`, `log-output`, `log-meta`, `finish`: a run in pieces.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::{RunOptions, values};

/// Arguments of `prov start`.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "prov start [NAME] [OPTIONS] [-- WORDS...]",
    after_help = "\
Prints the run's id; `prov finish ID` closes it. What stands after `--` describes what is done and is not executed.
What is declared is checked as for `prov run`; files that are only logged later are on record, but make no hit.

Examples:
  run=$(prov start --name fit -i clean.csv -o fit.json -S rate=0.1)
  eval \"$(prov start --export --name fit -i clean.csv -o fit.json)\"; ...; prov finish
  prov start --take --exit-code --name fit -i clean.csv -o fit.json || compute"
)]
pub(crate) struct StartArgs {
    /// Begin the step `[steps.NAME]` of prov.toml, or one of this name
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) options: RunOptions,
    /// Count the run as given up when this process is gone
    #[arg(long, value_name = "PID", help_heading = "How it ends")]
    pub(crate) owner: Option<u32>,
    /// Count the run as given up after this long
    #[arg(long, value_name = "TIME", value_parser = values::duration_ms, help_heading = "How it ends")]
    pub(crate) deadline: Option<u64>,
    /// If the result is known, bring it back and record a hit; nothing is to be finished then
    #[arg(long, help_heading = "What to do with known results")]
    pub(crate) take: bool,
    /// End with 1 if there is something to do
    #[arg(long, help_heading = "What to do with known results")]
    pub(crate) exit_code: bool,
    /// Print lines for a shell to evaluate: PROV_RUN_ID and what CMD of `prov run` would find
    #[arg(long, conflicts_with = "json")]
    pub(crate) export: bool,
    /// Describe what is done in these words
    #[arg(last = true, value_name = "WORDS")]
    pub(crate) command: Vec<OsString>,
}

/// Which live run is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// Add to this run; otherwise to the one that PROV_RUN_ID names
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
}

/// Arguments of `prov log-input`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  prov log-input data/extra.csv
  prov log-input --run k3f9 weights=model/w.bin")]
pub(crate) struct LogInputArgs {
    /// Log these files or folders as read by the run
    #[arg(required = true, value_name = "[KEY=]PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Arguments of `prov log-output`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  prov log-output plots/
  prov log-output --facet year=2030 --format parquet trips=out/trips.parquet")]
pub(crate) struct LogOutputArgs {
    /// Log these files or folders as written by the run
    #[arg(required = true, value_name = "[KEY=]PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,
    /// Attach a remark to them
    #[arg(long, value_name = "K=V", value_parser = values::assignment)]
    pub(crate) facet: Vec<String>,
    /// Name their format
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Arguments of `prov log-meta`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  prov log-meta --metric rmse=0.12 --metric rows=14023
  prov log-meta --facet region=north --tag checked -m 'second try'")]
pub(crate) struct LogMetaArgs {
    /// Attach a remark that can be asked for
    #[arg(long, value_name = "K=V", value_parser = values::assignment)]
    pub(crate) facet: Vec<String>,
    /// Report a number
    #[arg(long, value_name = "K=NUMBER", value_parser = values::assignment)]
    pub(crate) metric: Vec<String>,
    /// Attach a free remark
    #[arg(long, value_name = "K=V", value_parser = values::assignment)]
    pub(crate) meta: Vec<String>,
    /// Attach a tag
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Say what it is
    #[arg(short, long, value_name = "MSG")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Arguments of `prov finish`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A run that was finished before stays as it is; that is no error.

Examples:
  prov finish k3f9
  prov finish --exit-code $? --error 'did not converge'
  prov finish k3f9 --abandon")]
pub(crate) struct FinishArgs {
    /// Finish this run; otherwise the one that PROV_RUN_ID names
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Say how it ended; otherwise the exit code and the error do
    #[arg(long, value_name = "STATUS", value_enum)]
    pub(crate) status: Option<StatusWord>,
    /// Say with which code it ended
    #[arg(long, value_name = "N")]
    pub(crate) exit_code: Option<i32>,
    /// Say what went wrong
    #[arg(long, value_name = "MSG")]
    pub(crate) error: Option<String>,
    /// Give the run up: short for --status aborted
    #[arg(long, conflicts_with = "status")]
    pub(crate) abandon: bool,
}

/// A status by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusWord {
    /// It went as it should
    Success,
    /// It went wrong
    Failure,
    /// It was ended before
    Aborted,
}

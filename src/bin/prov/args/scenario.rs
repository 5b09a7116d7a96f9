//! `scenario` and what is below it.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::values;

/// Arguments of `prov scenario`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov scenario new policy-a -m 'higher fares'
  prov scenario list
  prov scenario switch main")]
pub(crate) struct ScenarioArgs {
    #[command(subcommand)]
    pub(crate) command: ScenarioCommand,
}

/// What to do with scenarios.
#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioCommand {
    /// Create a scenario and switch to it
    New(ScenarioNewArgs),
    /// List the scenarios of this project
    #[command(after_help = "Examples:\n  prov scenario list\n  prov --json scenario list")]
    List,
    /// Record in another scenario from now on
    #[command(after_help = "Examples:\n  prov scenario switch policy-a")]
    Switch {
        /// Switch to this scenario
        #[arg(value_name = "NAME")]
        name: String,
        /// Say what would change, change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Change what a scenario says
    #[command(after_help = "Examples:\n  prov scenario set policy-a --epoch 2")]
    Set {
        /// Change this scenario; without it, the current one
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Give it this epoch: another one forgets all its earlier results
        #[arg(long, value_name = "N", required = true)]
        epoch: u64,
    },
    /// Show a scenario
    #[command(after_help = "Examples:\n  prov scenario show\n  prov scenario show policy-a")]
    Show {
        /// Show this scenario; without it, the current one
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// Arguments of `prov scenario new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov scenario new policy-a
  prov scenario new policy-b -S fares.factor=1.2 -m 'higher fares' --no-switch")]
pub(crate) struct ScenarioNewArgs {
    /// Give it this name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Say what it is
    #[arg(short, long, value_name = "MSG")]
    pub(crate) message: Option<String>,
    /// Attach a tag
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Take its settings from this file; later files win
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Vec<OsString>,
    /// Set one of its settings, over all files
    #[arg(short = 'S', long, value_name = "KEY=VALUE", value_parser = values::assignment)]
    pub(crate) set: Vec<String>,
    /// Give it an epoch: a part of every recipe in it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) epoch: u64,
    /// Stay in the current scenario
    #[arg(long)]
    pub(crate) no_switch: bool,
    /// Say what would be created, create nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

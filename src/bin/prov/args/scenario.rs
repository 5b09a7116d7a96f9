//! `scenario` and what is below it.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::{RestoreWord, values};

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
    /// Create a scenario that begins where another one is, and switch to it
    Fork(ScenarioForkArgs),
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
    Set(ScenarioSetArgs),
    /// Show a scenario
    #[command(after_help = "Examples:\n  prov scenario show\n  prov scenario show policy-a")]
    Show {
        /// Show this scenario; without it, the current one
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Compare two scenarios: what they say, their steps, their outputs
    #[command(
        after_help = "Examples:\n  prov scenario diff baseline policy-a\n  prov scenario diff policy-a --exit-code"
    )]
    Diff {
        /// Compare this scenario
        #[arg(value_name = "A")]
        a: String,
        /// With this one; without it, the current one
        #[arg(value_name = "B")]
        b: Option<String>,
        /// End with 1 if they differ
        #[arg(long)]
        exit_code: bool,
    },
    /// Seal all runs of a scenario under one record, and record no more in it
    #[command(after_help = "\
Ends with 1 if a step's newest run is no success or a required output is not there: it is closed all the same, and the record says so.

Examples:
  prov scenario close policy-a -m 'as published'
  prov scenario close -n")]
    Close {
        /// Close this scenario; without it, the current one
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Say why
        #[arg(short, long, value_name = "MSG", default_value = "")]
        message: String,
        /// Say what would be sealed, change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Record in a closed scenario again
    #[command(after_help = "Examples:\n  prov scenario reopen policy-a")]
    Reopen {
        /// Open this scenario; without it, the current one
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Give a scenario another name; records keep the one it was born with
    #[command(after_help = "Examples:\n  prov scenario rename policy-a fares-up")]
    Rename {
        /// Rename this scenario
        #[arg(value_name = "NAME")]
        name: String,
        /// Call it so
        #[arg(value_name = "NEW")]
        to: String,
        /// Take a name that differs from another by case alone
        #[arg(long)]
        any_case: bool,
    },
}

/// What can be said of a scenario.
#[derive(Debug, Args)]
pub(crate) struct ScenarioSays {
    /// Say what it is
    #[arg(short, long, value_name = "MSG")]
    pub(crate) message: Option<String>,
    /// Attach a tag to the scenario
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Take its config from this file; later files win
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Vec<OsString>,
    /// Set one value of its config, over all files; runs take it with --config @scenario
    #[arg(short = 'S', long, value_name = "KEY=VALUE", value_parser = values::assignment)]
    pub(crate) set: Vec<String>,
    /// Give it an epoch: a part of every recipe in it
    #[arg(long, value_name = "N")]
    pub(crate) epoch: Option<u64>,
    /// Say what hits in it bring back, unless the run says
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) restore: Option<RestoreWord>,
    /// Attach this tag to every run in it
    #[arg(long, value_name = "TAG")]
    pub(crate) run_tag: Vec<String>,
    /// Attach this facet to every run in it
    #[arg(long, value_name = "K=V", value_parser = values::assignment)]
    pub(crate) run_facet: Vec<String>,
    /// Ask for this output when it is closed
    #[arg(long, value_name = "KEY")]
    pub(crate) require: Vec<String>,
}

/// Arguments of `prov scenario new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov scenario new policy-a
  prov scenario new policy-b -S fares.factor=1.2 -m 'higher fares' --no-switch
  prov run --config @scenario ...            a run that takes the config of its scenario")]
pub(crate) struct ScenarioNewArgs {
    /// Give it this name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) says: ScenarioSays,
    /// Take a name that differs from another by case alone
    #[arg(long)]
    pub(crate) any_case: bool,
    /// Stay in the current scenario
    #[arg(long)]
    pub(crate) no_switch: bool,
    /// Say what would be created, create nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov scenario fork`.
#[derive(Debug, Args)]
#[command(
    override_usage = "prov scenario fork [BASE] NAME [OPTIONS]",
    after_help = "\
The new scenario says what its base says, unless told otherwise. Runs hit as they would in the base. What it has no run of yet is looked for
among the runs that the base had when it was forked: @NAME:KEY, NAME@{n}, and names of steps and keys.

Examples:
  prov scenario fork policy-a                      from the current scenario
  prov scenario fork baseline policy-a -S fares.factor=1.2"
)]
pub(crate) struct ScenarioForkArgs {
    /// Fork this scenario, else the current one; then the new one's name
    #[arg(value_name = "NAME", num_args = 1..=2, required = true)]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) says: ScenarioSays,
    /// Take a name that differs from another by case alone
    #[arg(long)]
    pub(crate) any_case: bool,
    /// Stay in the current scenario
    #[arg(long)]
    pub(crate) no_switch: bool,
    /// Say what would be created, create nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov scenario set`.
#[derive(Debug, Args)]
#[command(after_help = "\
What is given takes the place of what was said; lists and the config as a whole.

Examples:
  prov scenario set policy-a --epoch 2
  prov scenario set --require summary --require skims")]
pub(crate) struct ScenarioSetArgs {
    /// Change this scenario; without it, the current one
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) says: ScenarioSays,
}

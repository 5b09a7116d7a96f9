//! `rerun`, `verify`, `check`: what is on record, done or looked at once more.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Arguments of `prov rerun`.
#[derive(Debug, Args)]
#[command(after_help = "\
The recorded code, config and inputs are laid out in a folder, which is a project of its own, and the recorded command is executed there.
Nothing is recorded here, and the outcome is no hit here. -n shows what would be executed. The exit code is the command's; 125 says that
prov itself failed.

Examples:
  prov rerun @last
  prov rerun -n 7kq2
  prov rerun fit --to /tmp/fit-again")]
pub(crate) struct RerunArgs {
    /// Execute this run again
    #[arg(value_name = "RUN")]
    pub(crate) rev: OsString,
    /// Lay it out in this folder, which must be empty or not be there; otherwise in a new one, whose name is printed
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Show what would be executed, execute nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each run is executed again in a fresh folder from what is on record, and its outputs are compared byte by byte. What came of it is kept with
the run. The command is shown first; -n shows it alone. --summary executes nothing: it counts what is known of each step.
Ends with 0 if all were reproduced, 1 if not.

Examples:
  prov verify @last
  prov verify --scenario baseline
  prov verify --scenario baseline --summary")]
pub(crate) struct VerifyArgs {
    /// Verify these runs
    #[arg(value_name = "RUN", required_unless_present = "scenario")]
    pub(crate) revs: Vec<OsString>,
    /// Verify all results of a scenario
    #[arg(long, value_name = "NAME", conflicts_with = "revs")]
    pub(crate) scenario: Option<String>,
    /// Of a scenario, only results of this step
    #[arg(long, value_name = "STEP", requires = "scenario")]
    pub(crate) step: Option<String>,
    /// Of a scenario, only results that nobody verified yet
    #[arg(long, requires = "scenario")]
    pub(crate) new: bool,
    /// Show how reproducible the steps of a scenario are by what is known, execute nothing
    #[arg(long, requires = "scenario")]
    pub(crate) summary: bool,
    /// Leave the folders, below this one
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Show what would be executed, execute nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 if the file has just the recorded bytes (verified), 1 if it has others (mismatched), 4 if there is nothing to compare it with
(unverified), 5 if it can't be read (unreadable). With --require the record has to be good as well: a success, sealed, not retracted.

Examples:
  prov check delivered.csv --against fit:clean
  prov check data/ --against @baseline:tables --require")]
pub(crate) struct CheckArgs {
    /// Look at this file or folder
    #[arg(value_name = "FILE")]
    pub(crate) file: OsString,
    /// Compare it with this artifact
    #[arg(long, value_name = "RUN:KEY")]
    pub(crate) against: OsString,
    /// Ask for a record that could be a hit: a sealed success that nobody retracted
    #[arg(long)]
    pub(crate) require: bool,
}

//! `evict`, `where`, `pack`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Arguments of `prov evict`.
#[derive(Debug, Args)]
#[command(after_help = "\
Only bytes that the remote proves now to have go; records stay. `prov restore`, `cat` and `run` bring them back when they need them.

Examples:
  prov evict --older-than 90d -n
  prov evict cluster --step simulate --keep-newest 3
  prov evict --max-size 20GiB --verify")]
pub(crate) struct EvictArgs {
    /// Drop what this remote has
    #[arg(value_name = "REMOTE")]
    pub(crate) remote: Option<String>,
    /// Drop outputs of runs that began before: 90d, 2026-03-01
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: Option<String>,
    /// Drop the oldest until outputs take no more than this: 20GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<String>,
    /// Drop outputs of this scenario (repeatable)
    #[arg(long = "scenario", value_name = "NAME")]
    pub(crate) scenarios: Vec<String>,
    /// Drop outputs of this step (repeatable)
    #[arg(long = "step", value_name = "STEP")]
    pub(crate) steps: Vec<String>,
    /// Keep those of the newest N successes of each step
    #[arg(long, value_name = "N")]
    pub(crate) keep_newest: Option<usize>,
    /// Choose everything
    #[arg(long, conflicts_with_all = ["older_than", "max_size", "scenarios", "steps", "keep_newest"])]
    pub(crate) all: bool,
    /// Read and hash what the remote has, not only its indexes
    #[arg(long)]
    pub(crate) verify: bool,
    /// Say what would go, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov where`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov where @last
  prov where clean:model
  prov where out/model.pkl")]
pub(crate) struct WhereArgs {
    /// Look for the content of this run's outputs, this artifact or object
    #[arg(value_name = "REV")]
    pub(crate) rev: OsString,
}

/// Arguments of `prov pack`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov pack fit paper/run-of-table-2
  sh paper/run-of-table-2/run.sh      executes it again and compares, without prov")]
pub(crate) struct PackArgs {
    /// Pack this run
    #[arg(value_name = "RUN")]
    pub(crate) run: OsString,
    /// Into this folder, which must be empty or not there
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
}

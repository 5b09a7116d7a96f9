//! Options of `run` and `start` that say what a run is called and counted as, how it is tried, and what a hit prints.

use clap::{Args, ValueEnum};

use super::values;

/// What is not part of the recipe (but for `--model`) and not about files.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LifecycleOptions {
    /// Keep results under this name instead of the step's
    #[arg(long, value_name = "NAME", help_heading = "What it is")]
    pub(crate) model: Option<String>,
    /// Say which stage of the work it belongs to
    #[arg(long, value_name = "NAME", help_heading = "What it is")]
    pub(crate) stage: Option<String>,
    /// Say which phase of the stage it belongs to
    #[arg(long, value_name = "NAME", help_heading = "What it is")]
    pub(crate) phase: Option<String>,
    /// Attach a remark that can be asked for, e.g. region=north
    #[arg(long, value_name = "K=V", value_parser = values::assignment, help_heading = "What it is")]
    pub(crate) facet: Vec<String>,
    /// Make it a child of this run
    #[arg(long, value_name = "RUN", help_heading = "What it is")]
    pub(crate) parent: Option<String>,
    /// Share an id with other runs of the same work
    #[arg(long, value_name = "ID", help_heading = "What it is")]
    pub(crate) correlation_id: Option<String>,
    /// Say which attempt it is
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What it is")]
    pub(crate) attempt: Option<u32>,
    /// Say that no further attempt will follow
    #[arg(long, help_heading = "What it is")]
    pub(crate) last_attempt: bool,
    /// Execute even if the result is known, and compare with it
    #[arg(long, help_heading = "What to do with known results")]
    pub(crate) always: bool,
    /// Say how much of the log a hit prints
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "What to do with known results")]
    pub(crate) replay: Option<ReplayWord>,
    /// Try again this often after a failure; each attempt is a run
    #[arg(long, value_name = "N", help_heading = "How it runs")]
    pub(crate) retries: Option<u32>,
    /// Wait this long before the second attempt, then twice as long each time
    #[arg(long, value_name = "TIME", value_parser = values::duration_ms, help_heading = "How it runs")]
    pub(crate) retry_delay: Option<u64>,
    /// Try again only after these exit codes
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = "How it runs")]
    pub(crate) retry_on: Vec<u8>,
}

/// How much of a log a hit prints, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplayWord {
    /// The last 64 KiB of each stream
    Tail,
    /// All that is kept
    All,
    /// Nothing
    None,
}

//! `retract` and `hide`.

use std::ffi::OsString;

use clap::Args;

/// Arguments of `prov retract`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov retract fit -m 'the sensor was broken'
  prov retract 7xkq2mzd --undo
  prov retract 7xkq2mzd            of a run that failed: forget the failure")]
pub(crate) struct RetractArgs {
    #[command(flatten)]
    pub(crate) mark: MarkArgs,
}

/// Arguments of `prov hide`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov hide @last
  prov log --all                   lists hidden runs as well
  prov hide 7xkq2mzd --undo")]
pub(crate) struct HideArgs {
    #[command(flatten)]
    pub(crate) mark: MarkArgs,
}

/// Arguments of `prov scrub`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov scrub -n clean:table
  prov scrub -y clean:table -m 'names of patients'
  prov scrub -y secrets.txt        what that file holds now, wherever it was recorded")]
pub(crate) struct ScrubArgs {
    /// Take the bytes of these artifacts, files or folders out of the store, for good
    #[arg(required = true, value_name = "REV")]
    pub(crate) what: Vec<OsString>,
    /// Say why
    #[arg(short, long, value_name = "WHY")]
    pub(crate) message: Option<String>,
    /// Say what would be gone, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// What is said about runs.
#[derive(Debug, Args)]
pub(crate) struct MarkArgs {
    /// Say it of these runs
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<OsString>,
    /// Say why
    #[arg(short, long, value_name = "WHY")]
    pub(crate) message: Option<String>,
    /// Take it back
    #[arg(long)]
    pub(crate) undo: bool,
    /// Say what would change, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

//! `events`.

use clap::Args;

/// Arguments of `prov events`.
#[derive(Debug, Args)]
#[command(after_help = "\
One JSON document a line; `prov events` by itself tells of the runs that are live.

Examples:
  prov events @last
  prov events --follow | jq -r 'select(.event == \"step_end\") | .step + \" \" + .status'
  prov events k3f9 --follow")]
pub(crate) struct EventsArgs {
    /// Tell of this run, live or recorded; without it, of all that are live
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Go on until the run has ended; without RUN, for ever, and with every run that begins
    #[arg(short, long)]
    pub(crate) follow: bool,
}

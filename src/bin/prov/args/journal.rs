//! `ops`, `undo`, `tag`, `note`.

use std::ffi::OsString;

use clap::Args;

/// Arguments of `prov ops`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov ops
  prov ops -n 100
  prov --json ops | jq '.operations[] | select(.undoable)'")]
pub(crate) struct OpsArgs {
    /// List at most N
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// Arguments of `prov undo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov undo -n
  prov undo
  prov undo && prov undo           takes back the last two operations")]
pub(crate) struct UndoArgs {
    /// Say what would be taken back, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov tag`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov tag                         lists all tags
  prov tag paper-v1 fit
  prov tag data-2026 clean:table
  prov tag -f paper-v1 @last       moves it
  prov tag -d paper-v1")]
pub(crate) struct TagArgs {
    /// Give this name
    #[arg(value_name = "NAME", requires = "rev")]
    pub(crate) name: Option<String>,
    /// Give it to this run, artifact or object
    #[arg(value_name = "REV")]
    pub(crate) rev: Option<OsString>,
    /// Delete a tag; what it named stays
    #[arg(short, long, value_name = "NAME", conflicts_with = "name")]
    pub(crate) delete: Option<String>,
    /// Move a tag that names something else
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Say what would change, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov note`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov note fit -m 'agrees with the paper, table 3'
  prov note 7xkq2mzd:table -m 'column 4 is in feet'
  prov note @last                  prints the notes")]
pub(crate) struct NoteArgs {
    /// Remark about this run, artifact or object
    #[arg(value_name = "REV")]
    pub(crate) rev: OsString,
    /// Say this; without it the notes are printed
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Say what would be noted, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

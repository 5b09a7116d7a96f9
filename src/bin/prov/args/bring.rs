//! `restore`, `cat`.

use std::ffi::OsString;

use clap::Args;

/// Arguments of `prov restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov restore clean:model         one output, to where it was made
  prov restore clean~1 --to old/   all outputs of an earlier run, elsewhere
  prov restore clean:model --to m.pkl          one output, under this name
  prov restore @last --to model=/tmp/m.pkl     chosen outputs, each to its own path
  prov restore --git HEAD~2                    the outputs that belong to that commit
  prov restore -n @last")]
pub(crate) struct RestoreArgs {
    /// Bring back the outputs of this run, or one artifact
    #[arg(value_name = "REV[:KEY]", required_unless_present = "git", conflicts_with = "git")]
    pub(crate) rev: Option<OsString>,
    /// Bring back the outputs that belong to this commit of Git's: those in its prov.lock, else those that its code makes
    #[arg(long, value_name = "COMMIT")]
    pub(crate) git: Option<String>,
    /// Restore into this folder instead of the recorded places; one artifact also under a new name; with KEY= only that output, there
    #[arg(long, value_name = "DIR|PATH|KEY=PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) to: Vec<OsString>,
    /// Replace files whose content is not in the store
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Make files read-only links to files that all who ask for the same content share
    #[arg(long, value_name = "KIND", value_enum)]
    pub(crate) link: Option<LinkKind>,
    /// Say what would be restored, restore nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Links instead of copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LinkKind {
    /// Other names of the same files
    Hard,
    /// Symbolic links; inside of folders hard ones
    Symbolic,
}

/// Arguments of `prov cat`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov cat clean:model | head
  prov cat @last:@config")]
pub(crate) struct CatArgs {
    /// Print this artifact, or the only output of this run
    #[arg(value_name = "REV")]
    pub(crate) rev: OsString,
}

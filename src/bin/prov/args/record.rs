//! `init`, `add`, `commit`.

use std::ffi::OsString;

use clap::Args;

/// Arguments of `prov init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov init                        keep the store in .prov/store
  prov init --store /data/prov     use a store that others share")]
pub(crate) struct InitArgs {
    /// Use the store at this path instead of one in `.prov`
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    pub(crate) store: Option<OsString>,
    /// Say what would be created, create nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov add`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov add data/raw.csv
  prov add data/ params.toml
  prov add -- -odd-name.csv")]
pub(crate) struct AddArgs {
    /// Store and stage these files or folders
    #[arg(required = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,
    /// Say what would be stored, store nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov commit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov commit data/raw.csv -m 'survey 2026'
  prov add data/ && prov commit -m 'all sources'")]
pub(crate) struct CommitArgs {
    /// Record these files or folders; without any, what is staged
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,
    /// Say what it is
    #[arg(short, long, value_name = "MSG", required = true)]
    pub(crate) message: String,
    /// Say what would be recorded, record nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

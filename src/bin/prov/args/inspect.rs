//! `cat-object`, `ls-tree`, `rev-parse`: looks below the surface.

use std::ffi::OsString;

use clap::Args;

/// Arguments of `prov cat-object`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov cat-object 3b1f9a20         a record as JSON, a blob as its bytes
  prov cat-object --raw 3b1f9a20 | xxd")]
pub(crate) struct CatObjectArgs {
    /// Print the object with this id or prefix
    #[arg(value_name = "ID")]
    pub(crate) object: OsString,
    /// Print the bytes as they are stored
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// Print its kind only
    #[arg(short = 't', long = "type", conflicts_with_all = ["raw", "json"])]
    pub(crate) kind: bool,
    /// Print its size in bytes only
    #[arg(short, long, conflicts_with_all = ["raw", "json", "kind"])]
    pub(crate) size: bool,
}

/// Arguments of `prov ls-tree`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov ls-tree clean:models
  prov ls-tree -r @last:@code")]
pub(crate) struct LsTreeArgs {
    /// List this folder as it was recorded
    #[arg(value_name = "REV")]
    pub(crate) rev: OsString,
    /// List what lies in folders below as well
    #[arg(short, long)]
    pub(crate) recursive: bool,
}

/// Arguments of `prov rev-parse`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov rev-parse @last
  prov rev-parse clean:model main~2")]
pub(crate) struct RevParseArgs {
    /// Print the full id of each of these
    #[arg(required = true, value_name = "REV")]
    pub(crate) revs: Vec<OsString>,
}

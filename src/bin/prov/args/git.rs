//! `hooks`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `prov hooks`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov hooks install
  prov hooks status
  prov hooks uninstall")]
pub(crate) struct HooksArgs {
    #[command(subcommand)]
    pub(crate) command: HooksCommand,
}

/// What to do with hooks.
#[derive(Debug, Subcommand)]
pub(crate) enum HooksCommand {
    /// Have Git call prov: after commits, checkouts and merges, before pushes
    #[command(after_help = "Examples:\n  prov hooks install\n  prov config list      what [git] says the hooks do")]
    Install {
        /// Put them into a folder of hooks that other repositories have, too
        #[arg(long)]
        shared: bool,
    },
    /// Take the hooks away again; those that were there before come back
    #[command(after_help = "Examples:\n  prov hooks uninstall")]
    Uninstall,
    /// Say which hooks are there
    #[command(after_help = "Examples:\n  prov hooks status")]
    Status,
    /// Do what a hook does
    #[command(after_help = "Examples:\n  prov hooks run post-checkout")]
    Run {
        /// The hook
        #[arg(value_name = "HOOK", value_enum)]
        hook: HookWord,
        /// What Git gives it
        #[arg(value_name = "WORD", trailing_var_arg = true)]
        words: Vec<OsString>,
    },
    /// Merge two versions of prov.lock into OURS, as Git asks its merge drivers
    #[command(after_help = "Examples:\n  prov hooks merge-lock %O %A %B      the driver of Git's `merge.prov-lock`")]
    MergeLock {
        /// What both come from
        #[arg(value_name = "BASE")]
        base: PathBuf,
        /// The one here; what comes of it is written there
        #[arg(value_name = "OURS")]
        ours: PathBuf,
        /// The other one
        #[arg(value_name = "THEIRS")]
        theirs: PathBuf,
    },
}

/// A hook of Git's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookWord {
    /// After the message was written
    CommitMsg,
    /// After a checkout
    PostCheckout,
    /// After a commit
    PostCommit,
    /// After a merge
    PostMerge,
    /// Before a push
    PrePush,
    /// Before the message is written
    PrepareCommitMsg,
}

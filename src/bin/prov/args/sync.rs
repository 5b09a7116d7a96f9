//! `remote`, `push`, `fetch`, `pull`, `sync`, `clone`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `prov remote`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov remote add origin /mnt/team/project
  prov remote add cluster ann@host:stores/project
  prov remote list
  prov remote remove cluster")]
pub(crate) struct RemoteArgs {
    #[command(subcommand)]
    pub(crate) command: RemoteCommand,
}

/// What to do with remotes.
#[derive(Debug, Subcommand)]
pub(crate) enum RemoteCommand {
    /// Give a place a name
    #[command(after_help = "Examples:\n  prov remote add origin /mnt/team/project")]
    Add {
        /// Name it so
        #[arg(value_name = "NAME")]
        name: String,
        /// Find it there: a folder, file:///PATH, ssh://HOST/PATH, USER@HOST:PATH, s3://BUCKET/PATH, or https://HOST/PATH to read only
        #[arg(value_name = "URL")]
        url: String,
    },
    /// List remotes
    #[command(after_help = "Examples:\n  prov remote list")]
    List,
    /// Forget a remote; what came from it stays
    #[command(after_help = "Examples:\n  prov remote remove cluster")]
    Remove {
        /// Forget this one
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Which part of a history travels.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What travels")]
pub(crate) struct SelectionOptions {
    /// Take only this run, by id or name, with all that it comes from (repeatable)
    #[arg(long = "run", value_name = "RUN")]
    pub(crate) runs: Vec<String>,
    /// Take only this scenario (repeatable)
    #[arg(long = "scenario", value_name = "NAME")]
    pub(crate) scenarios: Vec<String>,
    /// Take only this tag and what it names (repeatable)
    #[arg(long = "tag", value_name = "NAME")]
    pub(crate) tags: Vec<String>,
    /// Take only runs of this step (repeatable)
    #[arg(long = "step", value_name = "STEP")]
    pub(crate) steps: Vec<String>,
    /// Take records, and no content
    #[arg(long)]
    pub(crate) records: bool,
    /// Compare everything, whatever is remembered of the last time
    #[arg(long)]
    pub(crate) full: bool,
}

/// Arguments of `prov push`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov push
  prov push origin --scenario policy-a
  prov push /mnt/stick/project -n")]
pub(crate) struct PushArgs {
    /// Send to this remote: a name, or a place
    #[arg(value_name = "REMOTE")]
    pub(crate) remote: Option<String>,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
    /// Say what would be sent, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov fetch` and `prov pull`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov fetch
  prov fetch origin --run 7xkq2mzd
  prov fetch --records             content stays there for now
  prov fetch --content --run 7xkq2mzd")]
pub(crate) struct FetchArgs {
    /// Take from this remote: a name, or a place
    #[arg(value_name = "REMOTE")]
    pub(crate) remote: Option<String>,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
    /// Bring content of runs whose records are here already, too
    #[arg(long, conflicts_with = "records")]
    pub(crate) content: bool,
    /// Scrub here what was scrubbed there: its bytes are gone for good then
    #[arg(long)]
    pub(crate) accept_scrubs: bool,
    /// Say what would be taken, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov sync`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov sync
  prov sync cluster -n")]
pub(crate) struct SyncArgs {
    /// Meet this remote: a name, or a place
    #[arg(value_name = "REMOTE")]
    pub(crate) remote: Option<String>,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
    /// Scrub here what was scrubbed there: its bytes are gone for good then
    #[arg(long)]
    pub(crate) accept_scrubs: bool,
    /// Say what would travel, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `prov clone`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov clone /mnt/team/project
  prov clone ann@host:stores/project here
  git clone URL code && prov -C code clone /mnt/team/project .")]
pub(crate) struct CloneArgs {
    /// Clone the store at this place
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Make the project in this folder; without it, one named after the place
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
    /// Clone this project of a store that holds several
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Keep the content in this store, possibly shared
    #[arg(long, value_name = "PATH")]
    pub(crate) store: Option<OsString>,
    /// Name the remote so
    #[arg(long, value_name = "NAME", default_value = prov::sync::DEFAULT)]
    pub(crate) origin: String,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
}

/// Arguments of `prov bundle`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov bundle create result.prov 7xkq2mzd
  prov bundle create policy-a.prov --scenario policy-a
  prov bundle verify policy-a.prov
  prov bundle import policy-a.prov")]
pub(crate) struct BundleArgs {
    #[command(subcommand)]
    pub(crate) command: BundleCommand,
}

/// What to do with a bundle.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Write runs, scenarios, or the whole history, with all that they come from, to one file
    #[command(after_help = "\
Examples:
  prov bundle create result.prov 7xkq2mzd
  prov bundle create policy-a.prov --scenario policy-a
  prov bundle create records.prov --records     no content, all records")]
    Create {
        /// Write this file, which must not be there
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
        /// Put these runs into it
        #[arg(value_name = "REV")]
        revs: Vec<String>,
        #[command(flatten)]
        selection: SelectionOptions,
    },
    /// Check every byte of a bundle, and that nothing is missing
    #[command(after_help = "Examples:\n  prov bundle verify policy-a.prov")]
    Verify {
        /// Check this file
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Take what is in a bundle into this project
    #[command(after_help = "Examples:\n  prov bundle import policy-a.prov")]
    Import {
        /// Take in this file
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
        /// Say what would be taken, change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

/// Arguments of `prov serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov serve --stdio stores/project            as ssh starts it
  command=\"prov serve --stdio --append-only /srv/project\" ssh-ed25519 AAAA... ann
                                               in ~/.ssh/authorized_keys, so that a key can do nothing else")]
pub(crate) struct ServeArgs {
    /// Speak on standard input and output
    #[arg(long, required = true)]
    pub(crate) stdio: bool,
    /// Let nothing be written
    #[arg(long, conflicts_with = "append_only")]
    pub(crate) read_only: bool,
    /// Let be added, and nothing be removed or changed
    #[arg(long)]
    pub(crate) append_only: bool,
    /// Serve the store in this folder, or that of the project in it
    #[arg(value_name = "PATH", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub(crate) path: PathBuf,
}

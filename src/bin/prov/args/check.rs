//! `fsck`, `gc`, `config`, `doctor`, `completions`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RunArgs;

/// Arguments of `prov fsck`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov fsck
  prov fsck --sample 5%
  prov fsck --repair
  prov fsck --repair --from /backup/project
  prov --json fsck | jq '.findings[]'")]
pub(crate) struct FsckArgs {
    /// Bring back what is damaged from wherever its bytes still are; damaged files are kept in quarantine
    #[arg(long)]
    pub(crate) repair: bool,
    /// Look for lost bytes in this store, or the project with it, too
    #[arg(long, value_name = "PATH", requires = "repair", value_hint = clap::ValueHint::DirPath)]
    pub(crate) from: Vec<PathBuf>,
    /// Read the bytes of this part of all content only, others each time
    #[arg(long, value_name = "N%", value_parser = percent, conflicts_with = "repair")]
    pub(crate) sample: Option<u8>,
    /// Repair nothing, say what is damaged
    #[arg(short = 'n', long, requires = "repair")]
    pub(crate) dry_run: bool,
}

/// `5%` or `5`.
fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<u8>().ok().filter(|n| (1..=100).contains(n));
    number.ok_or_else(|| "a part of all is 1% to 100%".to_owned())
}

/// Arguments of `prov gc`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov gc -n
  prov gc
  prov gc --orphans
  prov gc --remote origin -n         what nothing leads to in the store of a remote")]
pub(crate) struct GcArgs {
    /// Only say what would go, and why
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Take away files that no transaction names, too: killed commands leave some, and running ones have some in the
    /// making and would have to write them again
    #[arg(long)]
    pub(crate) orphans: bool,
    /// Collect in the store of this remote instead of the project's own
    #[arg(long, value_name = "NAME")]
    pub(crate) remote: Option<String>,
}

/// Arguments of `prov config`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov config list
  prov config list --show-origin")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// List every setting that holds
    #[command(after_help = "Examples:\n  prov config list --show-origin")]
    List {
        /// Say where each comes from
        #[arg(long)]
        show_origin: bool,
    },
    /// Resolve the config folder of a step or of options, and print its files and its identity
    #[command(
        after_help = "Examples:\n  prov config plan fit\n  prov config plan --config-dir base --config-dir local --override settings.yaml:rate=0.1"
    )]
    Plan(Box<RunArgs>),
    /// Say what is wrong with a config folder
    #[command(after_help = "Examples:\n  prov config validate fit\n  prov config validate --config-dir base")]
    Validate(Box<RunArgs>),
}

/// Arguments of `prov doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov doctor
  prov -C /shared/project doctor")]
pub(crate) struct DoctorArgs {}

/// Arguments of `prov completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov completions bash > ~/.local/share/bash-completion/completions/prov
  prov completions zsh > ~/.zfunc/_prov
  prov completions fish > ~/.config/fish/completions/prov.fish")]
pub(crate) struct CompletionsArgs {
    /// Write for this shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

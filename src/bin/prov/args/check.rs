//! `fsck`, `config`, `doctor`, `completions`.

use clap::{Args, Subcommand};

/// Arguments of `prov fsck`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov fsck
  prov --json fsck | jq '.findings[]'")]
pub(crate) struct FsckArgs {}

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

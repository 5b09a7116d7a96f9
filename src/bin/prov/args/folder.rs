//! The options of a folder of configuration.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

/// A folder of configuration: layers or the configs of a run, changes, and how it counts.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FolderOptions {
    /// Take the config from this folder, laid out for CMD; several are layers
    #[arg(long, value_name = "DIR", help_heading = "What determines the result")]
    pub(crate) config_dir: Vec<OsString>,
    /// Change one value of a file of the config folder, in a copy
    #[arg(long = "override", value_name = "FILE:KEY=VALUE", help_heading = "What determines the result")]
    pub(crate) overrides: Vec<String>,
    /// Take the configs that this run was given
    #[arg(long, value_name = "RUN", help_heading = "What determines the result")]
    pub(crate) base_run: Option<String>,
    /// Say how the config folder counts: files by their bytes or by what they say, or not at all
    #[arg(long, value_name = "HOW", value_enum, help_heading = "What determines the result")]
    pub(crate) config_identity: Option<ConfigIdentityWord>,
    /// Ask this adapter, `[adapters.NAME]` of prov.toml, what the config folder means
    #[arg(long, value_name = "NAME", help_heading = "What determines the result")]
    pub(crate) config_adapter: Option<String>,
    /// Name the part that the config folder is
    #[arg(long, value_name = "LABEL", help_heading = "What determines the result")]
    pub(crate) config_label: Option<String>,
    /// Say which config folder's file is taken where several have it
    #[arg(long, value_name = "WHICH", value_enum, help_heading = "What determines the result")]
    pub(crate) config_wins: Option<ConfigWinsWord>,
}

/// How a folder counts, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigIdentityWord {
    /// Every file by its bytes
    Bytes,
    /// YAML, JSON, TOML and INI files by what they say
    Values,
    /// Not at all
    Off,
}

/// Which layer wins, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigWinsWord {
    /// The first that has the file
    First,
    /// The last that has the file
    Last,
}

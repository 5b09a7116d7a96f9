//! `export`, `import`, `schema`: records in the forms of other systems.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

/// Arguments of `prov export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov export otter-manifest > manifest.json
  prov export otter-manifest --into output/manifest.json
  prov export loom-records --to runs/")]
pub(crate) struct ExportArgs {
    #[command(subcommand)]
    pub(crate) what: ExportWhat,
}

/// What is exported.
#[derive(Debug, Subcommand)]
pub(crate) enum ExportWhat {
    /// Write the state of a release as Otter's manifest
    #[command(after_help = "\
Examples:
  prov export otter-manifest | jq '.steps[] | select(.result != \"success\") | .failure_reason'
  prov export otter-manifest --into output/manifest.json
  prov export otter-manifest @last --to run.json")]
    OtterManifest(OtterManifestArgs),
    /// Write runs of pipelines, their steps and tasks as Loom's tables, in Parquet
    #[command(after_help = "\
Examples:
  prov export loom-records --to runs/
  duckdb -c \"select * from 'runs/step_runs/*.parquet'\"")]
    LoomRecords {
        /// Put the tables into this folder; runs that are in it stay, new ones are added
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        to: PathBuf,
    },
}

/// Arguments of `prov export otter-manifest`.
#[derive(Debug, Args)]
pub(crate) struct OtterManifestArgs {
    /// Write this run of a pipeline alone; otherwise the newest state of each step of the release
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<OsString>,
    /// Write the release at this URI or in this folder; otherwise that of the newest run
    #[arg(long, value_name = "PLACE", conflicts_with = "run")]
    pub(crate) place: Option<String>,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) to: Option<PathBuf>,
    /// Put the steps into this manifest and leave all others as they are
    #[arg(long, value_name = "FILE", conflicts_with = "to", value_hint = ValueHint::FilePath)]
    pub(crate) into: Option<PathBuf>,
    /// Say which tasks keep the lines of their logs
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = LinesWord::All)]
    pub(crate) log: LinesWord,
}

/// Which lines of logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinesWord {
    /// Those of all tasks
    All,
    /// Those of tasks that did not end well
    Failed,
    /// None
    None,
}

/// Arguments of `prov import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov import otter-manifest output/manifest.json")]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    pub(crate) what: ImportWhat,
}

/// What is imported.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportWhat {
    /// Record the steps of a manifest of Otter's that are not on record yet
    #[command(after_help = "\
Examples:
  prov import otter-manifest output/manifest.json
  prov import otter-manifest old.json --place gs://bucket/26.03")]
    OtterManifest {
        /// Read this file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Say where the release is; otherwise it is the file's folder
        #[arg(long, value_name = "PLACE")]
        place: Option<String>,
    },
}

/// Arguments of `prov schema`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov schema show loom:step_runs")]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    pub(crate) command: SchemaCommand,
}

/// What to do with schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Print the columns of a table that prov writes
    #[command(
        after_help = "Examples:\n  prov schema show loom:step_runs\n  prov --json schema show loom:pipeline_runs"
    )]
    Show {
        /// Show this table: loom:pipeline_runs, loom:process_runs or loom:step_runs
        #[arg(value_name = "NAME")]
        name: String,
    },
}

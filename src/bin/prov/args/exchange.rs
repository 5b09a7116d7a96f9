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
    /// Write the tables of records, for DuckDB, Polars or pandas
    #[command(after_help = "\
Examples:
  prov export tables --to tables/
  duckdb -c \"select step, count(*) from 'tables/runs.parquet' group by step\"")]
    Tables {
        /// Put the tables into this folder
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        to: PathBuf,
        /// Write them in this form; otherwise in both
        #[arg(long = "as", value_name = "FORM", value_enum)]
        form: Option<TableForm>,
    },
}

/// The form of a written table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableForm {
    /// Comma-separated values
    Csv,
    /// Parquet
    Parquet,
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
  prov schema show clean:quakes
  prov schema export clean:quakes --as python
  prov schema diff clean:quakes
  prov schema show loom:step_runs")]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    pub(crate) command: SchemaCommand,
}

/// What to do with schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Show the columns of tables, with what stands in them
    #[command(after_help = "\
Tables are CSV, TSV and JSON lines, each also with .gz, and Parquet.

Examples:
  prov schema show clean:quakes
  prov schema show data/raw.csv --sample 0
  prov --json schema show loom:pipeline_runs")]
    Show {
        /// Show this artifact or file, or all tables that this run made; or a table that prov writes: loom:pipeline_runs, loom:process_runs, loom:step_runs
        #[arg(value_name = "REV|PATH")]
        name: OsString,
        /// Look at so many rows for types and statistics; 0 for all
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        sample: u64,
    },
    /// Write the schema of a table in another language
    #[command(after_help = "\
Examples:
  prov schema export clean:quakes --as sql --name quakes > quakes.sql
  prov schema export clean:quakes --as json > schemas/quakes.json
  prov run ... --schema quakes=schemas/quakes.json")]
    Export {
        /// Write the schema of this table
        #[arg(value_name = "REV|PATH")]
        rev: OsString,
        /// Write it in this language
        #[arg(long = "as", value_name = "LANGUAGE", value_enum, default_value_t = LanguageWord::Json)]
        language: LanguageWord,
        /// Call the table, class or struct this; otherwise as the file
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Look at so many rows for types; 0 for all
        #[arg(long, value_name = "N", default_value_t = 0)]
        sample: u64,
    },
    /// Compare the columns of two tables
    #[command(after_help = "\
Examples:
  prov schema diff clean:quakes            with that of the run before
  prov schema diff clean~3:quakes clean:quakes --exit-code")]
    Diff {
        /// Compare this table
        #[arg(value_name = "A")]
        a: OsString,
        /// With this one; without it, A with the same output of the run before
        #[arg(value_name = "B")]
        b: Option<OsString>,
        /// Look at so many rows for types; 0 for all
        #[arg(long, value_name = "N", default_value_t = 0)]
        sample: u64,
        /// Exit with 1 if they differ
        #[arg(long)]
        exit_code: bool,
    },
}

/// The languages that schemas are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LanguageWord {
    /// JSON Schema
    Json,
    /// A `create table`
    Sql,
    /// A class for SQLModel
    Python,
    /// A struct for serde
    Rust,
}

/// Arguments of `prov preview`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov preview clean:quakes
  prov preview clean~1 -n 3
  prov preview data/raw.csv.gz")]
pub(crate) struct PreviewArgs {
    /// Show the first rows of this artifact or file, or of all tables that this run made
    #[arg(value_name = "REV|PATH")]
    pub(crate) rev: OsString,
    /// Show at most so many rows
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 10)]
    pub(crate) rows: usize,
}

/// Arguments of `prov impact`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov impact data/raw.csv
  prov impact clean
  prov --json impact 7xkq2mzd:model")]
pub(crate) struct ImpactArgs {
    /// Tell what came of this run, artifact or file
    #[arg(value_name = "REV|PATH")]
    pub(crate) rev: OsString,
}

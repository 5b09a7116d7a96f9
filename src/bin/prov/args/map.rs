//! `map`: one step for many rows.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{RunOptions, values};

/// Arguments of `prov map`.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "prov map [NAME] --rows FILE [OPTIONS] [-- CMD...]",
    after_help = "\
{row.COLUMN} is replaced in CMD, in paths and in every other option. Each row is a run of the step, looked up as by `prov run`;
what its row says is kept as facets. Doing it again takes the results that are known and executes the rows that failed.
Ends with 0 if all rows are there, 1 if one failed, 2 if the words or the rows make no sense: then nothing was run.

Examples:
  prov map --rows cities.csv -i data/{row.city}.csv -o out/{row.city}.csv -- ./clean {input.city} {output.city}
  prov map --grid seed=1..200 --grid rate=0.1,0.5 --jobs 8 -o 'out/{row.rate}/{row.seed}.csv' -- ./draw {row.seed} {row.rate} {output.seed}
  prov map fit --rows runs.jsonl --year '{row.year}' -S 'rate={row.rate}'"
)]
pub(crate) struct MapArgs {
    /// Run the step `[steps.NAME]` of prov.toml; with CMD, run that instead of its command
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Take the rows from this file: .csv, .tsv, or .jsonl with an object a line
    #[arg(long, value_name = "FILE", required_unless_present = "grid", help_heading = "Rows")]
    pub(crate) rows: Option<PathBuf>,
    /// Combine each row with each of these values: K=A,B,C or K=1..10
    #[arg(long, value_name = "K=VALUES", help_heading = "Rows")]
    pub(crate) grid: Vec<String>,
    /// Set every column as a config value, too
    #[arg(long, help_heading = "Rows")]
    pub(crate) params: bool,
    /// Run so many rows at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "How it runs")]
    pub(crate) jobs: Option<u32>,
    /// Go on after a failure, which is the default
    #[arg(short, long, overrides_with = "fail_fast", help_heading = "How it runs")]
    pub(crate) keep_going: bool,
    /// Begin no further row after a failure
    #[arg(long, help_heading = "How it runs")]
    pub(crate) fail_fast: bool,
    /// Kill what does not end this long after it was asked to
    #[arg(long, value_name = "TIME", value_parser = values::duration_ms, default_value = "10s", help_heading = "How it runs")]
    pub(crate) grace: u64,
    #[command(flatten)]
    pub(crate) options: RunOptions,
    /// Print each row as it ends, one JSON document a line, and at last the one of --json
    #[arg(long)]
    pub(crate) json_lines: bool,
    /// Say which rows would be hits, execute nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Execute this program with its arguments for each row, without a shell
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

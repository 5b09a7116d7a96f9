//! `find`, `facets`, `history`, `summary`, `metrics`, `sql`.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `prov find`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov find runs --where 'status = failure and started_at > 2d'
  prov find runs --where 'facet.alpha >= 0.5' --where 'step in (fit, score)' --latest --group-by step
  prov find artifacts --key model --where 'size > 10MiB'")]
pub(crate) struct FindArgs {
    #[command(subcommand)]
    pub(crate) what: FindWhat,
}

/// What is looked for.
#[derive(Debug, Subcommand)]
pub(crate) enum FindWhat {
    /// Find runs, newest first
    #[command(after_help = "\
Names: columns of the table `runs` (docs/tables.md), `tag`, facet.KEY, facet.NAMESPACE:KEY, metric.KEY, param.KEY, dim.KEY, meta.KEY.
Signs: = != < <= > >=, ~ and !~ for patterns with * and ?, in (a, b), not in (a, b), and, or, not, parentheses. A name alone: it is there.
What is not there is neither equal nor unequal to anything.

Examples:
  prov find runs --where 'facet.alpha = 0.5 and metric.loss < 0.1'
  prov find runs --where 'year = 2030' --latest
  prov find runs --where 'tag = good' --columns id,step,metric.loss --sort metric.loss
  prov find runs --text quake --format csv
  prov find runs --where 'step ~ fit*' --save good-fits")]
    Runs(Box<FindRunsArgs>),
    /// Find inputs and outputs of runs
    #[command(after_help = "\
Names: columns of the table `artifacts` (docs/tables.md), facet.KEY of the artifact, run.COLUMN and run.facet.KEY of its run.

Examples:
  prov find artifacts --key model --output
  prov find artifacts --path data/raw.csv
  prov find artifacts --mount survey --where 'run.status = success'
  prov find artifacts --where 'facet.year = 2030' --format csv")]
    Artifacts(Box<FindArtifactsArgs>),
}

/// What both have.
#[derive(Debug, Args, Default)]
pub(crate) struct FindOptions {
    /// Of which this is true; may be repeated, then all must be
    #[arg(long = "where", value_name = "EXPR")]
    pub(crate) filter: Vec<String>,
    /// In whose names, steps, descriptions, commands, tags or notes this text stands
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Of this scenario; may be repeated
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) scenario: Vec<String>,
    /// Of all projects in the store, hidden runs as well
    #[arg(long)]
    pub(crate) all: bool,
    /// Of the runs that were saved under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) set: Option<String>,
    /// Show these columns
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Sort by this column, `:desc` after it for the greatest first; may be repeated
    #[arg(long, value_name = "NAME[:desc]")]
    pub(crate) sort: Vec<String>,
    /// Show at most this many
    #[arg(short = 'n', long = "max-count", value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Show the one of the highest iteration, of several the newest; with --group-by, of each group
    #[arg(long)]
    pub(crate) latest: bool,
    /// Put those together that are equal in this
    #[arg(long, value_name = "NAME")]
    pub(crate) group_by: Option<String>,
    /// Say which one has which of these; two that have the same are an error
    #[arg(long, value_name = "NAME", conflicts_with = "group_by")]
    pub(crate) index_by: Option<String>,
    /// Fail unless there is one and no more
    #[arg(long)]
    pub(crate) exactly_one: bool,
    /// Print it in this form
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = AnswerFormat::Table)]
    pub(crate) format: AnswerFormat,
}

/// Arguments of `prov find runs`.
#[derive(Debug, Args)]
pub(crate) struct FindRunsArgs {
    /// Of the same recipe as this run
    #[arg(long, value_name = "RUN")]
    pub(crate) like: Option<OsString>,
    /// Keep what was found as a set of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) save: Option<String>,
    #[command(flatten)]
    pub(crate) options: FindOptions,
}

/// Arguments of `prov find artifacts`.
#[derive(Debug, Args)]
pub(crate) struct FindArtifactsArgs {
    /// That this run made
    #[arg(long, value_name = "RUN")]
    pub(crate) creator: Option<OsString>,
    /// That this run took
    #[arg(long, value_name = "RUN")]
    pub(crate) consumer: Option<OsString>,
    /// Of this key; * and ? stand for any letters
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// That lived here, or below it; * and ? stand for any letters
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<OsString>,
    /// That lived below this mount
    #[arg(long, value_name = "MOUNT")]
    pub(crate) mount: Option<String>,
    /// Of this content: an id, or its beginning
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Outputs only
    #[arg(long, conflicts_with = "input")]
    pub(crate) output: bool,
    /// Inputs only
    #[arg(long)]
    pub(crate) input: bool,
    #[command(flatten)]
    pub(crate) options: FindOptions,
}

/// The form in which rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum AnswerFormat {
    /// Aligned columns, short ids
    #[default]
    Table,
    /// Comma-separated values, ids in full
    Csv,
    /// One JSON document
    Json,
}

/// Arguments of `prov sql`.
#[derive(Debug, Args)]
#[command(after_help = "\
The tables and their columns: docs/tables.md, or `prov sql --tables`. Only reading is possible.

Examples:
  prov sql 'select step, count(*) n, avg(duration_ms) ms from runs group by step order by n desc'
  prov sql \"select run, value from metrics where key = 'loss' order by value limit 10\" --format csv
  prov sql --file report.sql --json")]
pub(crate) struct SqlArgs {
    /// Answer this query
    #[arg(value_name = "QUERY", required_unless_present_any = ["file", "tables"])]
    pub(crate) query: Option<String>,
    /// Read the query from this file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "query", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<OsString>,
    /// List the tables and their columns
    #[arg(long, conflicts_with_all = ["query", "file"])]
    pub(crate) tables: bool,
    /// Print it in this form
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = AnswerFormat::Table)]
    pub(crate) format: AnswerFormat,
    /// Fail if there are more rows than this
    #[arg(long, value_name = "N")]
    pub(crate) max_rows: Option<usize>,
}

/// Arguments of `prov facets`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov facets fit
  prov facets @last --prefix model.
  prov --json facets 7xkq2mzd:annual")]
pub(crate) struct FacetsArgs {
    /// Show the facets of this run, and of its outputs; or of this output
    #[arg(value_name = "RUN[:KEY]", default_value = "@last")]
    pub(crate) rev: OsString,
    /// Show those whose keys begin with this
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Show those of this namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

/// Arguments of `prov metrics` and `prov history`.
#[derive(Debug, Args)]
#[command(after_help = "\
Params and facets are shown if they are not the same in all runs that are shown.

Examples:
  prov metrics fit
  prov metrics fit --sort metric.loss -n 10
  prov metrics --where 'tag = sweep' --format csv")]
pub(crate) struct MetricsArgs {
    /// Show the runs of this step
    #[arg(value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// Show all params and facets, equal ones as well
    #[arg(long)]
    pub(crate) equal: bool,
    #[command(flatten)]
    pub(crate) options: FindOptions,
}

/// Arguments of `prov history`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov history fit
  prov history -n 20 --where 'status = failure'
  prov history --format csv > runs.csv")]
pub(crate) struct HistoryArgs {
    /// Show the runs of this step
    #[arg(value_name = "STEP")]
    pub(crate) step: Option<String>,
    #[command(flatten)]
    pub(crate) options: FindOptions,
}

/// Arguments of `prov summary`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov summary
  prov summary policy-a
  prov --json summary")]
pub(crate) struct SummaryArgs {
    /// Sum up this scenario; without it, all of the project
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: Option<String>,
}

//! `status`, `log`, `show`, `diff`, `why`, `plan`, `lineage`, `id`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::values;

/// Arguments of `prov status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov status
  prov status --exit-code || echo 'something is to be done'")]
pub(crate) struct StatusArgs {
    /// Exit with 1 if anything is stale, missing or modified
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// Arguments of `prov log`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov log -n 20
  prov log --oneline --step clean --status failure
  prov log policy-a --since 2026-03-01
  prov log --git HEAD              what ran while this commit was checked out
  prov log --all                   all scenarios, and hits as well, which are folded otherwise")]
pub(crate) struct LogArgs {
    /// List the runs of this scenario; without it, of the current one
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: Option<String>,
    /// Print one line a run
    #[arg(long)]
    pub(crate) oneline: bool,
    /// Show all scenarios if none is named, and hits one by one
    #[arg(long)]
    pub(crate) all: bool,
    /// Show at most this many
    #[arg(short = 'n', long = "max-count", value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Show runs that started at this time or later: a date, an RFC 3339 time, or a time ago such as 2d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Show runs that started at this time or earlier
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Go on from this run, which `next` of the JSON form names
    #[arg(long, value_name = "RUN")]
    pub(crate) from: Option<String>,
    /// Show runs of this step; may be repeated
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Vec<String>,
    /// Show runs that ended like this; may be repeated
    #[arg(long, value_name = "STATUS", value_enum)]
    pub(crate) status: Vec<StatusFilter>,
    /// Show runs that have this tag; may be repeated
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Show runs that have this facet; may be repeated, then all are wanted
    #[arg(long, value_name = "K=V")]
    pub(crate) facet: Vec<String>,
    /// Show runs that started while this Git commit was checked out
    #[arg(long, value_name = "REV")]
    pub(crate) git: Option<String>,
}

/// How a run ended, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFilter {
    /// As it should
    Success,
    /// By itself, but wrong
    Failure,
    /// Interrupted, killed or timed out
    Aborted,
}

/// Arguments of `prov show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov show @last
  prov show clean                  the newest success of the step `clean`
  prov show 7xkq2mzd:@config       the config a run was given")]
pub(crate) struct ShowArgs {
    /// Show this run, artifact or object
    #[arg(value_name = "REV", default_value = "@last")]
    pub(crate) rev: OsString,
}

/// Arguments of `prov diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov diff clean~1 clean
  prov diff main policy-a          the newest runs of two scenarios")]
pub(crate) struct DiffArgs {
    /// Compare this run
    #[arg(value_name = "A")]
    pub(crate) a: OsString,
    /// With this one
    #[arg(value_name = "B")]
    pub(crate) b: OsString,
    /// Show the code as a patch, tables cell by cell, and other text line by line
    #[arg(short, long)]
    pub(crate) patch: bool,
    /// With -p: bring rows of tables together by the values of these columns, not by their order
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', requires = "patch")]
    pub(crate) by: Vec<String>,
    /// Tell only facets, metrics and times whose names begin so, e.g. metric. or facet.region
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Vec<String>,
    /// Tell only these facets, metrics and times
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Vec<String>,
    /// Tell facets, metrics and times that are equal, too
    #[arg(long)]
    pub(crate) equal: bool,
    /// Exit with 1 if they differ
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// Arguments of `prov why`.
#[derive(Debug, Args)]
#[command(
    override_usage = "prov why [RUN]\n       prov why -- run [NAME] [OPTIONS] [-- CMD...]",
    after_help = "\
Examples:
  prov why                         why the last run was a miss
  prov why clean~2
  prov why -- run -i raw.csv -o clean.csv -- python clean.py"
)]
pub(crate) struct WhyArgs {
    /// Explain this run
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<OsString>,
    /// Compare with so many of the least different earlier recipes, at most 8
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) candidates: u8,
    /// Explain this run that was not made yet: `run` with its options
    #[arg(last = true, value_name = "WORDS", conflicts_with = "run")]
    pub(crate) words: Vec<OsString>,
}

/// Arguments of `prov plan`.
#[derive(Debug, Args)]
#[command(
    override_usage = "prov plan -- run [NAME] [OPTIONS] [-- CMD...]",
    after_help = "\
Examples:
  prov plan -- run clean
  prov plan -- run -i raw.csv -o clean.csv -- python clean.py raw.csv clean.csv"
)]
pub(crate) struct PlanArgs {
    /// Say what this would do: `run` with its options
    #[arg(required = true, value_name = "WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

/// Arguments of `prov lineage`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov lineage report.pdf
  prov lineage --down data/raw.csv
  prov lineage model --depth 2 --format mermaid
  prov lineage report.pdf --format svg > lineage.svg")]
pub(crate) struct LineageArgs {
    /// Start from this run, artifact or file
    #[arg(value_name = "REV|PATH")]
    pub(crate) rev: OsString,
    /// Walk to what made it (the default)
    #[arg(long, conflicts_with = "down")]
    pub(crate) up: bool,
    /// Walk to what was made of it
    #[arg(long)]
    pub(crate) down: bool,
    /// Walk at most this many runs far
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<usize>,
    /// Show all of many alike, which are counted otherwise
    #[arg(long)]
    pub(crate) all: bool,
    /// Print it in this form
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LineageFormat::Tree)]
    pub(crate) format: LineageFormat,
}

impl LineageArgs {
    /// Where to walk.
    pub(crate) fn direction(&self) -> Direction {
        if self.down { Direction::Down } else { Direction::Up }
    }
}

/// Where a walk through the lineage goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To what made it.
    Up,
    /// To what was made of it.
    Down,
}

/// The form in which lineage is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineageFormat {
    /// An indented tree
    Tree,
    /// A Graphviz graph
    Dot,
    /// A Mermaid flow chart
    Mermaid,
    /// A picture
    Svg,
    /// One JSON document
    Json,
}

/// Arguments of `prov id`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov id mystery.csv
  prov id downloads/*
  prov id --sha256 mystery.csv
  prov id --sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  prov --json id mystery.csv")]
pub(crate) struct IdArgs {
    /// Tell what each of these files or folders is; with --sha256, a digest as well
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub(crate) paths: Vec<OsString>,
    /// Tell the SHA-256 of files, and which recorded file has a SHA-256 that is given in the place of a file
    #[arg(long)]
    pub(crate) sha256: bool,
}

impl LogArgs {
    /// The moment that `--since` names, seen from `now`; `None` if it was not given.
    ///
    /// # Errors
    /// The text that is no time.
    pub(crate) fn since(&self, now: prov::clock::Micros) -> Result<Option<prov::clock::Micros>, String> {
        self.since.as_deref().map(|text| values::moment(text, now)).transpose()
    }

    /// The moment that `--until` names, as [`LogArgs::since`].
    ///
    /// # Errors
    /// The text that is no time.
    pub(crate) fn until(&self, now: prov::clock::Micros) -> Result<Option<prov::clock::Micros>, String> {
        self.until.as_deref().map(|text| values::moment(text, now)).transpose()
    }
}

/// Arguments of `prov compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
The successful runs of both scenarios are aligned one to one, step by step: those with the same values belong together. Two results with the
same values are an error. Every row names the parts that differ, the outputs that differ, and the metrics of both.

Examples:
  prov compare baseline policy --on iteration
  prov compare baseline policy --on year,iteration --step assign")]
pub(crate) struct CompareArgs {
    /// Compare this scenario
    #[arg(value_name = "A")]
    pub(crate) a: String,
    /// With this one
    #[arg(value_name = "B")]
    pub(crate) b: String,
    /// Align by the values of these dimensions or facets
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', required = true)]
    pub(crate) on: Vec<String>,
    /// Compare only runs of this step
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// Take the newest of several results with the same values
    #[arg(long)]
    pub(crate) latest: bool,
    /// End with 1 if anything differs
    #[arg(long)]
    pub(crate) exit_code: bool,
}

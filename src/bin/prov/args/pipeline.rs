//! `pipeline`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `prov pipeline`.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  prov pipeline check
  prov pipeline check -f config.yaml --runner pis
  prov pipeline plan -s disease
  prov pipeline graph --detail steps --format svg > steps.svg"
)]
pub(crate) struct PipelineArgs {
    #[command(subcommand)]
    pub(crate) command: PipelineCommand,
}

/// What to do with a pipeline.
#[derive(Debug, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Tell all that is wrong with a pipeline, before anything runs
    Check(PipelineCheckArgs),
    /// List the tasks of a pipeline with what each waits for
    Plan(PipelinePlanArgs),
    /// Draw a pipeline
    Graph(PipelineGraphArgs),
}

/// Which pipeline, and its options.
#[derive(Debug, Clone, Args)]
pub(crate) struct PipelineOptions {
    /// Read this file [default: prov.yaml, prov.yml or config.yaml here]
    #[arg(short, long, visible_short_alias = 'c', visible_alias = "config-path", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Take the file for one of these, whatever its name and content say
    #[arg(long, value_name = "FLAVOUR", value_enum)]
    pub(crate) flavour: Option<FlavourWord>,
    /// Call the runner this: the first part of its variables and of step names in manifests
    #[arg(long, value_name = "NAME")]
    pub(crate) runner: Option<String>,
    /// Take this step only; repeat for several
    #[arg(short, long = "step", value_name = "STEP")]
    pub(crate) steps: Vec<String>,
    /// Keep local files here
    #[arg(short, long, value_name = "DIR")]
    pub(crate) work_path: Option<String>,
    /// Keep the release here
    #[arg(short, long, value_name = "URI")]
    pub(crate) release_uri: Option<String>,
    /// Run this many tasks at once, 2 or more
    #[arg(short, long, value_name = "N")]
    pub(crate) pool_size: Option<String>,
    /// Tell this much: TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR or CRITICAL
    #[arg(short, long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Take executables in this folder for task types; repeat, later ones win
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) task_path: Vec<PathBuf>,
}

/// Whose rules a file follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlavourWord {
    /// An Otter config
    Otter,
    /// A file of prov's own
    Native,
}

/// Arguments of `prov pipeline check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov pipeline check
  prov pipeline check -f config.yaml --strict
  prov --json pipeline check | jq '.findings[] | select(.severity == \"error\")'")]
pub(crate) struct PipelineCheckArgs {
    #[command(flatten)]
    pub(crate) options: PipelineOptions,
    /// Take warnings for errors
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Arguments of `prov pipeline plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov pipeline plan
  prov pipeline plan -f config.yaml -s disease
  prov --json pipeline plan | jq '.tasks[] | select(.level == 0) | .name'")]
pub(crate) struct PipelinePlanArgs {
    #[command(flatten)]
    pub(crate) options: PipelineOptions,
}

/// Arguments of `prov pipeline graph`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov pipeline graph | dot -Tpdf -o pipeline.pdf
  prov pipeline graph --format mermaid -s disease
  prov pipeline graph --detail steps --format svg > steps.svg")]
pub(crate) struct PipelineGraphArgs {
    #[command(flatten)]
    pub(crate) options: PipelineOptions,
    /// Draw in this form
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = GraphFormat::Dot)]
    pub(crate) format: GraphFormat,
    /// Draw every task or every step
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = GraphDetail::Tasks)]
    pub(crate) detail: GraphDetail,
}

/// The form of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A Graphviz graph
    Dot,
    /// A Mermaid flow chart
    Mermaid,
    /// An SVG document
    Svg,
}

/// What the nodes of a drawing are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphDetail {
    /// Every task
    Tasks,
    /// Every step
    Steps,
}

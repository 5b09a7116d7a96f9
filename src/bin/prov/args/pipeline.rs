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
    /// Run the tasks of a pipeline, as far as their results are not known
    Run(PipelineRunArgs),
    /// Tell how runs of a pipeline went, or are going
    Status(PipelineStatusArgs),
    /// Print what a task wrote
    Logs(PipelineLogsArgs),
}

/// Arguments of `prov pipeline run`.
#[derive(Debug, Args)]
#[command(after_help = "\
A TASK is STEP/NAME, a task's name, or a step's name for all of its tasks; with + before it, what it waits for is meant as well.

Examples:
  prov pipeline run
  prov pipeline run -s disease -j 4 --keep-going
  prov pipeline run --task +fit/model --dry-run
  prov pipeline run --from clean/events --force
  prov pipeline run -f config.yaml --runner pis --correlation-id release-26.03 --attempt 2")]
pub(crate) struct PipelineRunArgs {
    #[command(flatten)]
    pub(crate) options: PipelineOptions,
    #[command(flatten)]
    pub(crate) selection: PipelineSelection,
    /// Run this many tasks at once, whatever the pool size
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// After a failure, go on with everything that does not depend on it
    #[arg(short, long)]
    pub(crate) keep_going: bool,
    /// Execute the tasks even if their results are known
    #[arg(long)]
    pub(crate) force: bool,
    /// Take the choices of the last run again, e.g. of what was the latest file then
    #[arg(long)]
    pub(crate) frozen: bool,
    /// Put how each step ended into `manifest.json` of the release, as soon as it has; steps of others stay
    #[arg(long)]
    pub(crate) manifest: bool,
    /// Say what would run, why, and how long it took the last time; change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Print what tasks print, as it comes
    #[arg(long)]
    pub(crate) stream: bool,
    /// Print what the run does as it does it, one JSON document a line, and at last the one of --json
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) json_lines: bool,
    /// Time between asking a task to end and killing it
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = super::values::duration_ms)]
    pub(crate) grace: u64,
    /// Give the run this id
    #[arg(long, value_name = "ID")]
    pub(crate) run_id: Option<String>,
    /// Say what other runs this one belongs to, e.g. attempts of one release
    #[arg(long, value_name = "ID")]
    pub(crate) correlation_id: Option<String>,
    /// The number of this attempt
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: u32,
    /// Say that no further attempt will follow
    #[arg(long)]
    pub(crate) last_attempt: bool,
}

/// Which tasks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PipelineSelection {
    /// Take this task only; repeat for several
    #[arg(short, long = "task", value_name = "TASK", allow_hyphen_values = true)]
    pub(crate) tasks: Vec<String>,
    /// Take this task and everything that waits for it; repeat for several
    #[arg(long, value_name = "TASK")]
    pub(crate) from: Vec<String>,
    /// Take this task and everything that it waits for; repeat for several
    #[arg(long, value_name = "TASK")]
    pub(crate) until: Vec<String>,
}

/// Arguments of `prov pipeline status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov pipeline status
  prov pipeline status 3kq8z0 --all
  prov --json pipeline status | jq '.tasks[] | select(.end == \"failure\") | .reason'")]
pub(crate) struct PipelineStatusArgs {
    /// The run of a pipeline or of a step [default: the newest run of a pipeline]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// List the tasks that went well, too
    #[arg(short, long)]
    pub(crate) all: bool,
}

/// Arguments of `prov pipeline logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  prov pipeline logs fit/model
  prov pipeline logs 'copy raw data' --run 3kq8z0
  prov pipeline logs fit/model --stderr")]
pub(crate) struct PipelineLogsArgs {
    /// The task: STEP/NAME or a name
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// The run of the pipeline or of its step [default: the newest run of a pipeline with such a task]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Print what it wrote to its standard output only
    #[arg(long, conflicts_with = "stderr")]
    pub(crate) stdout: bool,
    /// Print what it wrote to its standard error only
    #[arg(long)]
    pub(crate) stderr: bool,
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
    #[command(flatten)]
    pub(crate) selection: PipelineSelection,
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

//! Options of `run` that say which files are outputs, what they are and what is expected of them.

use std::ffi::OsString;

use clap::Args;

use super::OnMissingWord;
use super::values;

/// Captures, expectations, formats and remarks of outputs.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OutputOptions {
    /// Take what CMD makes or changes in a folder as an output: [KEY=]DIR for all below it, [KEY=]DIR:GLOB for some
    #[arg(long, value_name = "[KEY=]DIR[:GLOB]", help_heading = "What it reads and writes")]
    pub(crate) capture: Vec<OsString>,
    /// Expect of a set: N, N..M, a member's path, CAPTURE=A,B,C, or {set.KEY} for what the config says
    #[arg(long, value_name = "KEY=WHAT", value_parser = values::assignment, help_heading = "What comes out")]
    pub(crate) expect: Vec<String>,
    /// Name an output's format; otherwise it is told by its name and how it begins
    #[arg(long, value_name = "KEY=NAME", value_parser = values::assignment, help_heading = "What comes out")]
    pub(crate) format: Vec<String>,
    /// Expect just this content, by its id as `prov id` prints it
    #[arg(long, value_name = "KEY=ID", value_parser = values::assignment, help_heading = "What comes out")]
    pub(crate) output_hash: Vec<String>,
    /// Name an output's schema
    #[arg(long, value_name = "KEY=NAME", value_parser = values::assignment, help_heading = "What comes out")]
    pub(crate) schema: Vec<String>,
    /// Attach a remark to an output that can be asked for
    #[arg(long, value_name = "KEY:K=V", value_parser = values::assignment, help_heading = "What comes out")]
    pub(crate) output_facet: Vec<String>,
    /// Attach any remark to an output
    #[arg(long, value_name = "KEY:K=V", value_parser = values::assignment, help_heading = "What comes out")]
    pub(crate) output_meta: Vec<String>,
    /// Take facets of the run from an output (JSON, YAML or TOML), or from a key of the config
    #[arg(long, value_name = "KEY", help_heading = "What comes out")]
    pub(crate) facet_from: Vec<String>,
    /// Take metrics of the run, numbers by name, from an output (JSON, YAML or TOML)
    #[arg(long, value_name = "KEY", help_heading = "What comes out")]
    pub(crate) metrics_from: Vec<String>,
    /// Say what it means that an output is not what is expected of it
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "What comes out")]
    pub(crate) on_mismatch: Option<OnMissingWord>,
}

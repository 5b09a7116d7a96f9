//! `prov completions`.

use clap::CommandFactory;

use super::Context;
use crate::args::{Cli, CompletionsArgs};
use crate::error::Failure;
use crate::exit::Exit;

/// Prints the script.
pub(crate) fn run(cx: &Context, args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "prov", &mut script);
    cx.ui.bytes(&script)?;
    Ok(Exit::Done)
}

//! The command line of prov: words in, one call of the library, text or JSON out.

mod app;
mod args;
mod classify;
mod commands;
mod error;
mod exit;
mod memory;
mod open;
mod output;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).collect();
    ExitCode::from(app::run(words, settings::Environment::read()).code())
}

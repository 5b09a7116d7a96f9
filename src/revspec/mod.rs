//! Revisions: how people name runs, artifacts, configs, code and objects.

pub mod parse;
mod resolve;

pub use resolve::{Error, RunRef, Target, read_run, recorded_path, resolve};

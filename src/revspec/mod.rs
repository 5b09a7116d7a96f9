//! Revisions: how people name runs, artifacts, configs, code and objects.

mod made;
pub mod parse;
mod resolve;

pub use made::{Made, MadeThere, made_at};
pub use resolve::{Error, RunRef, Target, read_run, recorded_path, resolve};

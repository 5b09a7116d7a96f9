//! Pipelines: steps of tasks that a file declares, taken as data.
//!
//! [`mod@file`] reads prov's own `prov.yaml` and Otter's configs into one model; [`template`] puts values in place of names; [`task`] knows
//! the types of tasks; [`expand`] makes tasks of those that stand for several; [`plan`] is all that comes of a file
//! before anything runs, [`graph`] its order, [`check`] what is wrong with it; [`state`] is what a task goes through, and [`rollup`] what results of tasks make of a step and of the whole. All of that
//! is pure: it starts nothing and touches nothing that a task would write. [`perform`] is where tasks are done.

pub mod check;
mod error;
pub mod execute;
pub mod expand;
pub mod file;
pub mod finding;
pub mod graph;
pub mod perform;
pub mod plan;
pub mod rollup;
pub mod state;
pub mod task;
pub mod template;
pub mod validate;

pub use error::Error;

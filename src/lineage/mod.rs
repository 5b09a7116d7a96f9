//! Lineage: which runs a file came from, and what it went into.

pub mod graph;
mod producer;
pub mod render;
mod trace;

pub use producer::{Error, Found, makers, producer_of, takers};
pub use trace::{Start, TraceOptions, trace};

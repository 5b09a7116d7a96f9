//! Lineage: which runs a file came from, and what it went into.

pub mod facts;
mod fold;
pub mod graph;
mod producer;
pub mod render;
mod svg;
mod trace;

pub use fold::folded;
pub use producer::{Error, Found, LOOKED_AT, made, makers, places, producer_of, takers};
pub use svg::svg;
pub use trace::{Start, TraceOptions, trace, trace_by};

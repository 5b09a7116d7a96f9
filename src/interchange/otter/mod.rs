//! Otter's manifest: one JSON document about all steps of a release.
//!
//! `build` makes it of records, `merge` puts it into a file that others write too, `import` makes records of one.

mod build;
mod import;
mod merge;

pub use build::{Lines, manifest};
pub use import::{Imported, import};
pub use merge::merge;

use serde_json::{Map, Value};

use crate::pipeline::rollup::{self, Outcome};

/// The manifest's name in the folder of a release.
pub const FILE: &str = "manifest.json";

/// A manifest as text, as Otter writes it.
pub fn to_bytes(manifest: &Map<String, Value>) -> Vec<u8> {
    // Maps with text as keys and values of JSON always have a text.
    let mut bytes = serde_json::to_vec_pretty(manifest).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The result that a step of a manifest says.
fn result_of(step: &Value) -> Outcome {
    step.get("result").and_then(Value::as_str).and_then(Outcome::of).unwrap_or(Outcome::Pending)
}

/// The result of the whole by those of its steps.
fn root_result(steps: &Map<String, Value>) -> Outcome {
    rollup::root(steps.values().map(result_of))
}

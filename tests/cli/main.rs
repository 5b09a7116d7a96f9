//! The binary as people and scripts meet it: real processes in sealed sandboxes.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod doctor;
mod errors;
mod help;
mod redact;
mod sandbox;
mod schema;

//! The binary as people and scripts meet it: real processes in sealed sandboxes.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod adapters;
mod again;
mod bad_input;
#[cfg(feature = "cloud")]
mod bucket;
mod bundle;
mod chain;
mod compare;
mod config;
mod config_folder;
mod consist;
mod damage;
mod diff;
mod doctor;
mod elsewhere;
mod errors;
mod events;
mod full;
mod gc;
mod gc_remote;
mod git;
mod help;
mod hits;
mod inputs;
mod interchange;
mod journal;
mod lifecycle;
mod links;
mod live;
mod look;
mod many_inputs;
mod map;
mod marks;
mod on_sight;
mod outputs;
mod pack;
mod parts;
mod pieces;
mod pipeline;
mod project;
#[cfg(feature = "index")]
mod questions;
mod recipes;
mod records;
mod redact;
mod revisions;
mod sandbox;
mod scenarios;
mod schema;
mod scrub;
mod secrets;
#[cfg(feature = "http")]
#[path = "../../src/fetch/testing.rs"]
mod server;
mod sets;
mod ssh;
#[cfg(feature = "http")]
mod static_site;
mod sync;
mod terminal;
mod tls;
#[cfg(feature = "http")]
mod web;

//! prov: Git for runs.

pub mod clock;
pub mod code;
pub mod codec;
pub mod config;
pub mod fs;
pub mod hash;
pub mod host;
pub mod lineage;
pub mod maintain;
pub mod object;
pub mod path;
pub mod progress;
pub mod query;
pub mod recipe;
pub mod refs;
pub mod repo;
pub mod revspec;
pub mod run;
pub mod scenario;
pub mod store;
pub mod worktree;

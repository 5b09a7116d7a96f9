//! prov: Git for runs.

pub mod clock;
pub mod codec;
pub mod fs;
pub mod hash;
pub mod object;
pub mod path;
pub mod progress;
pub mod store;

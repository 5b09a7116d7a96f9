//! The task types that prov has, as far as they work in this process.

mod copy;
mod copy_many;
mod download;
mod explode;
mod find_latest;
mod listing;
mod plain;
mod transfer;

pub(super) use copy::Copy;
pub(super) use copy_many::CopyMany;
pub(super) use download::Download;
pub(super) use explode::{Explode, ExplodeGlob};
pub(super) use find_latest::FindLatest;
pub(super) use plain::{HelloWorld, Noop};

#[cfg(test)]
pub(super) mod tests;

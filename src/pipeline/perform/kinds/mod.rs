//! The task types that prov has, as far as they work in this process.

mod copy;
mod copy_many;
mod download;
mod explode;
mod find_latest;
mod gzip;
mod listing;
mod plain;
mod transfer;
mod unzip;

pub(super) use copy::Copy;
pub(super) use copy_many::CopyMany;
pub(super) use download::Download;
pub(super) use explode::{Explode, ExplodeGlob};
pub(super) use find_latest::FindLatest;
pub(super) use gzip::Gzip;
pub(super) use plain::{HelloWorld, Noop};
pub(in crate::pipeline) use transfer::size_of;
pub(super) use unzip::Unzip;

#[cfg(test)]
mod tests;

//! Stores in buckets: `s3://`, `gs://` and `az://`.
//!
//! `address` says what a place is called, `profile` reads the files in which other programs keep keys, `place` is the bucket as a place of a
//! store, the only user of `object_store`. A build without the feature `cloud` has the first two and says what it lacks.

mod address;
#[cfg(feature = "cloud")]
mod place;
#[cfg(any(feature = "cloud", test))]
mod profile;
#[cfg(feature = "cloud")]
mod remembered;

pub use address::{BucketAddress, Keys, Service};
#[cfg(feature = "cloud")]
pub(super) use place::connect;

//! Records in the forms of other systems: Otter's manifest, Loom's tables of runs.
//!
//! Both are views: they are computed from records whenever they are wanted, and nothing is kept in step with them. [`otter`] reads manifests
//! as well: what it took from one comes out again as it was.
//!
//! [`release`] says which runs belong together: a release is a place, and several pipelines, started by several processes, may fill it.

mod error;
pub mod loom;
pub mod otter;
#[cfg(feature = "index")]
pub mod records;
pub mod release;

pub use error::Error;

use crate::hash::Id;
use crate::object::run::Run;
use crate::object::{Record, RunRecord, Source};

/// The record of a run.
fn read_run(source: &dyn Source, object: &Id) -> Result<Run, Error> {
    let (_, bytes) = source.read(object)?.ok_or(Error::Gone { object: *object })?;
    RunRecord::decode(&bytes)?.whole(source)
}

//! One file of the release to the same place below the work path.

use super::transfer::{arrived, transfer};
use crate::pipeline::perform::{Abort, Done, Failure, Hear, Job, Location, Phase, TaskKind, World};

/// Brings it here. Without a release it is here already, and is left as it is.
#[derive(Debug)]
pub(crate) struct Download(pub(crate) World);

impl TaskKind for Download {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        let declared = job.need("source")?;
        if declared.starts_with('/') || declared.contains("://") {
            return Err(Failure::Spec { problem: "source must be relative to the release root".to_owned() });
        }
        let source = Location::of(&declared, &job.roots);
        let destination = Location::local(&declared, &job.roots);
        match job.phase {
            Phase::Run => transfer(&self.0, job, &source, &destination, hear, abort).map(drop)?,
            Phase::Validate => arrived(&self.0, job, &source, &destination, hear, abort)?,
        }
        Ok(Done::to_be_validated())
    }
}

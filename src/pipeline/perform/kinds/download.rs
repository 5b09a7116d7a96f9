//! One file of the release to the same place below the work path, or in a native file from anywhere to any place there.

use super::transfer::{arrived, transfer};
use crate::pipeline::file::Flavour;
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
        // Otter knows no such key, and so it means nothing there.
        let to = if job.flavour == Flavour::Native { job.text("destination")? } else { None };
        if to.is_none() && (declared.starts_with('/') || declared.contains("://")) {
            let problem = match job.flavour {
                Flavour::Otter => "source must be relative to the release root",
                Flavour::Native => "source must be relative to the release root, unless there is a `destination`",
            };
            return Err(Failure::Spec { problem: problem.to_owned() });
        }
        let source = Location::of(&declared, &job.roots);
        let destination = Location::local(to.as_deref().unwrap_or(&declared), &job.roots);
        match job.phase {
            Phase::Run => transfer(&self.0, job, &source, &destination, hear, abort).map(drop)?,
            Phase::Validate => arrived(&self.0, job, &source, &destination, hear)?,
        }
        Ok(Done::to_be_validated())
    }
}

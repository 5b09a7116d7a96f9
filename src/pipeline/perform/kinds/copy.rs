//! One file from outside into the release.

use super::transfer::{arrived, check_settings, transfer};
use crate::pipeline::file::Flavour;
use crate::pipeline::perform::{
    Abort, Artifact, Done, Failure, Hear, Job, Level, Location, Phase, Said, TaskKind, World,
};

/// Copies one file. Source and product are two files, never two names of one.
#[derive(Debug)]
pub(crate) struct Copy(pub(crate) World);

impl TaskKind for Copy {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        check_settings(job)?;
        let source = Location::outside(&job.need("source")?, &job.roots);
        if job.flavour == Flavour::Otter && !source.declared.starts_with('/') && !source.declared.contains("://") {
            let problem =
                format!("source {} is relative, copy task is intended for external resources", source.declared);
            return Err(Failure::Spec { problem });
        }
        let destination = Location::of(&job.need("destination")?, &job.roots);
        match job.phase {
            Phase::Run => {
                let text = format!("copying file from {} to {}", source.declared, destination.declared);
                hear(Said::log(Level::Info, text));
                transfer(&self.0, job, &source, &destination, hear, abort)?;
                hear(Said::Artifact(Artifact::new(source.absolute, destination.absolute)));
            }
            Phase::Validate => arrived(&self.0, job, &source, &destination, hear)?,
        }
        Ok(Done::to_be_validated())
    }
}

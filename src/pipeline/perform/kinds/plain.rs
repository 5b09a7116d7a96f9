//! Types that touch nothing.

use crate::pipeline::perform::{Abort, Done, Failure, Hear, Job, Level, Phase, Said, TaskKind};

/// Does nothing.
#[derive(Debug)]
pub(crate) struct Noop;

impl TaskKind for Noop {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, _job: &Job, _hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check().map(|()| Done::default())
    }
}

/// Greets.
#[derive(Debug)]
pub(crate) struct HelloWorld;

impl TaskKind for HelloWorld {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        match job.phase {
            Phase::Run => {
                let who = job.text("who")?.unwrap_or_else(|| "world".to_owned());
                hear(Said::log(Level::Info, "saying hello..."));
                hear(Said::log(Level::Success, format!("hello {who}")));
            }
            Phase::Validate => {
                hear(Said::log(Level::Info, "did we say hello properly?"));
                hear(Said::log(Level::Success, "yes we did!"));
            }
        }
        Ok(Done::to_be_validated())
    }
}

//! Types that make tasks.

use super::listing;
use crate::pipeline::expand::glob;
use crate::pipeline::file::{Named, Spec};
use crate::pipeline::perform::{Abort, Done, Failure, Hear, Job, Level, Location, Said, TaskKind, World};

/// Stands for tasks that are in the plan already.
#[derive(Debug)]
pub(crate) struct Explode;

impl TaskKind for Explode {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        let count = |key| job.spec.get(key).and_then(crate::config::located::Node::as_list).map_or(0, <[_]>::len);
        let made = count("foreach").saturating_mul(count("do"));
        hear(Said::log(Level::Info, format!("exploded into {made} new tasks")));
        Ok(Done::default())
    }
}

/// Makes tasks of the files that a pattern matches now.
#[derive(Debug)]
pub(crate) struct ExplodeGlob(pub(crate) World);

impl TaskKind for ExplodeGlob {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        let pattern = job.need("glob")?;
        let files = listing::matching(&self.0.fs, &pattern, &Location::of(listing::folder(&pattern), &job.roots))?;
        abort.check()?;
        let spec = Spec { name: Named { text: job.name.clone(), at: job.spec.at }, body: job.spec.clone() };
        let mut findings = Vec::new();
        // Below the work path the same wherever that is.
        let within = |file: &'_ str| file.strip_prefix(&job.roots.work_path).unwrap_or(file).to_owned();
        let uuid = |file: &str| glob::uuid_of(&job.step, &job.name, &within(file));
        let made = glob::expand(&spec, job.flavour, &files, &job.roots, uuid, &mut findings);
        if let Some(finding) = findings.into_iter().next() {
            return Err(Failure::Spec { problem: finding.message });
        }
        hear(Said::log(Level::Debug, format!("{} files match {pattern}", files.len())));
        hear(Said::log(Level::Info, format!("exploded into {} new tasks", made.len())));
        hear(Said::AddSpecs(made));
        Ok(Done::default())
    }
}

//! What may go wrong with a pipeline.

use prov::pipeline;

use super::Classify;
use crate::error::{Class, Failure};

impl Classify for pipeline::execute::Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Run(err) => err.failure(),
            Self::Select(err) => {
                let hint = err.meant.as_ref().map_or_else(
                    || "`prov pipeline plan` lists the tasks".to_owned(),
                    |meant| format!("did you mean `{meant}`?"),
                );
                Failure::of(Class::NotFound, "not_found", self).hint(hint)
            }
            Self::Taken { .. } => Failure::of(Class::Refused, "run_taken", self).hint("give it another --run-id"),
            _ => Failure::of(Class::Failed, "pipeline", self),
        }
    }
}

impl Classify for pipeline::Error {
    fn failure(&self) -> Failure {
        match self {
            pipeline::Error::Io { source, .. } if prov::fs::is_absent(source) => {
                Failure::of(Class::NotFound, "no_pipeline", self).hint("name the file with -f")
            }
            pipeline::Error::Text(err) => err.failure(),
            pipeline::Error::Option { .. } => Failure::of(Class::Usage, "usage", self),
            pipeline::Error::NoStep { known, .. } => Failure::of(Class::NotFound, "not_found", self)
                .candidates(known.iter().cloned())
                .hint("it has the steps above"),
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

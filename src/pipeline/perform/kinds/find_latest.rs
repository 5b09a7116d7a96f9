//! The newest of the files that a pattern matches.

use super::listing;
use crate::clock::Micros;
use crate::codec::Value;
use crate::pipeline::expand::glob;
use crate::pipeline::perform::{
    Abort, Address, Choice, Done, Failure, Hear, Job, Level, Location, Said, TaskKind, World, io_failure,
};

/// Finds it and provides its path, and says among what it was chosen.
#[derive(Debug)]
pub(crate) struct FindLatest(pub(crate) World);

impl TaskKind for FindLatest {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        let source = job.need("source")?;
        let key = job.text("scratchpad_key")?.unwrap_or_else(|| job.name.clone());
        let choice = match &job.frozen {
            Some(frozen) => self.again(frozen, &key, &source)?,
            None => self.choose(key, &source, job, hear)?,
        };
        let chosen = choice.chosen.clone();
        let how = if choice.is_frozen { "latest file was" } else { "latest file is" };
        hear(Said::log(Level::Info, format!("{how} {chosen}")));
        hear(Said::Scratchpad { key: choice.key.clone(), value: Value::Text(chosen) });
        hear(Said::Chose(choice));
        Ok(Done::default())
    }
}

impl FindLatest {
    /// Takes the choice of an earlier run.
    fn again(&self, frozen: &Choice, key: &str, source: &str) -> Result<Choice, Failure> {
        if frozen.pattern != source || frozen.key != key {
            let problem = format!("the recorded choice is for `{}` of `{}`", frozen.key, frozen.pattern);
            return Err(Failure::Spec { problem });
        }
        if let Address::Local(path) = Address::of(&frozen.chosen)
            && self.0.fs.stat(path).map_err(io_failure("look at", frozen.chosen.clone()))?.is_none()
        {
            return Err(Failure::Work { problem: format!("`{}`, the recorded choice, is gone", frozen.chosen) });
        }
        Ok(Choice { is_frozen: true, ..frozen.clone() })
    }

    fn choose(&self, key: String, source: &str, job: &Job, hear: &Hear<'_>) -> Result<Choice, Failure> {
        let (prefix, rest) = glob::split(source);
        // Without a star a folder is meant, and all that lies in it.
        let pattern = match (rest.contains('*'), rest.is_empty()) {
            (true, _) => source.to_owned(),
            (false, true) => format!("{}/*", prefix.trim_end_matches('/')),
            (false, false) => format!("{}/*", source.trim_end_matches('/')),
        };
        hear(Said::log(Level::Debug, format!("finding latest file matching {pattern}")));
        let mut among = Vec::new();
        let folder = Location::outside(listing::folder(&pattern), &job.roots);
        for location in listing::matching(&self.0.fs, &pattern, &folder)? {
            let Address::Local(path) = Address::of(&location) else { continue };
            match self.0.fs.stat(path).map_err(io_failure("look at", location.clone()))? {
                Some(stat) => among.push((location, Some(stat.mtime_ns))),
                None => {
                    hear(Said::log(Level::Warning, format!("{location} leads nowhere, skipping it")));
                    among.push((location, None));
                }
            }
        }
        // Of those that are equally new the first by name, so that it is the same one every time.
        let mut latest: Option<(&str, i64)> = None;
        for (location, modified) in &among {
            if let Some(modified) = modified
                && latest.is_none_or(|(_, newest)| *modified > newest)
            {
                latest = Some((location, *modified));
            }
        }
        let Some((chosen, _)) = latest else {
            let problem =
                if among.is_empty() { "no files found matching" } else { "nothing behind the files matching" };
            return Err(Failure::Work { problem: format!("{problem} {source}") });
        };
        let chosen = chosen.to_owned();
        let among =
            among.into_iter().map(|(location, ns)| (location, ns.map(|ns| Micros(ns.div_euclid(1000))))).collect();
        Ok(Choice { key, pattern: source.to_owned(), chosen, among, is_frozen: false })
    }
}

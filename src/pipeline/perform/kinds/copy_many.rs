//! Several files from outside into one folder of the release.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::listing;
use super::transfer::{check_settings, texts, transfer};
use crate::codec::Value;
use crate::config::located::Node;
use crate::pipeline::perform::{
    Abort, Address, Artifact, Done, Failure, Hear, Job, Level, Location, Said, TaskKind, World, io_failure,
};

/// The largest list of sources that is read.
const MOST_LIST: u64 = 64 << 20;

/// Copies them, several at a time, each under its own name.
#[derive(Debug)]
pub(crate) struct CopyMany(pub(crate) World);

impl TaskKind for CopyMany {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        check_settings(job)?;
        let destination = job.need("destination")?;
        let at_once = match job.spec.get("max_concurrency").and_then(Node::as_scalar) {
            None | Some(Value::Null) => 10,
            Some(Value::Int(n)) if *n > 0 => usize::try_from(*n).unwrap_or(usize::MAX),
            Some(_) => {
                return Err(Failure::Spec { problem: "`max_concurrency` must be an integer from 1 on".to_owned() });
            }
        };
        let sources = self.sources(job, hear)?;
        let pairs = pairs(&sources, &destination, job)?;
        hear(Said::log(Level::Info, format!("copying {} files to {destination}", sources.len())));
        self.copy(job, &pairs, at_once, hear, abort)?;
        for (source, destination) in &pairs {
            hear(Said::Artifact(Artifact::new(source.absolute.clone(), destination.absolute.clone())));
        }
        hear(Said::log(Level::Info, format!("successfully copied {} files", pairs.len())));
        Ok(Done::default())
    }
}

impl CopyMany {
    /// The sources as they are called.
    fn sources(&self, job: &Job, hear: &Hear<'_>) -> Result<Vec<String>, Failure> {
        if let Some(list) = job.text("source_list_file")? {
            hear(Said::log(Level::Info, format!("reading source list from {list}")));
            return self.listed(job, &list);
        }
        let Some(node) = job.spec.get("sources").filter(|node| !node.is_null()) else {
            return Err(Failure::Spec { problem: "either sources or source_list_file must be provided".to_owned() });
        };
        if node.as_list().is_some() {
            return texts(job, node, "sources");
        }
        let pattern = job.need("sources")?;
        hear(Said::log(Level::Info, format!("resolving sources from glob {pattern}")));
        let mut files = listing::matching(&self.0.fs, &pattern, &Location::of(listing::folder(&pattern), &job.roots))?;
        // A folder that the pattern matches as well has no bytes to copy.
        files.retain(|file| Address::of(file).local().is_none_or(|path| !self.0.fs.is_dir(&path)));
        Ok(files)
    }

    /// The lines of a file of the release.
    fn listed(&self, job: &Job, list: &str) -> Result<Vec<String>, Failure> {
        let place = Location::of(list, &job.roots);
        let fetched = job.fetched.get(&place.absolute).cloned();
        let Some(path) = fetched.or_else(|| place.address().local()) else {
            return Err(Failure::Spec { problem: format!("`{}` is not on this machine", place.absolute) });
        };
        let failed = io_failure("read", place.absolute.clone());
        let bytes = self
            .0
            .fs
            .open(&path)
            .and_then(|mut file| crate::fs::read_some(&mut file, MOST_LIST + 1))
            .map_err(failed)?;
        if bytes.len() as u64 > MOST_LIST {
            return Err(Failure::Work { problem: format!("`{}` is too long for a list", place.absolute) });
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return Err(Failure::Work { problem: format!("`{}` is no text", place.absolute) });
        };
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// Copies all of them, at most so many at a time. The first failure counts, and the rest is not begun.
    fn copy(
        &self,
        job: &Job,
        pairs: &[(Location, Location)],
        at_once: usize,
        hear: &Hear<'_>,
        abort: &Abort,
    ) -> Result<(), Failure> {
        let next = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        let failed: Mutex<Option<(usize, Failure)>> = Mutex::new(None);
        let stop = Abort::new();
        let lock = || failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((source, destination)) = pairs.get(at) else { return };
                if stop.is_raised() || abort.is_raised() {
                    return;
                }
                match self.one(job, source, destination, hear, abort) {
                    Ok(()) => {
                        let done = done.fetch_add(1, Ordering::Relaxed) as u64 + 1;
                        let (total, unit) = (Some(pairs.len() as u64), "files".to_owned());
                        hear(Said::Progress { done, total, unit });
                    }
                    Err(failure) => {
                        stop.raise("another copy failed");
                        let mut first = lock();
                        if first.as_ref().is_none_or(|(before, _)| *before > at) {
                            *first = Some((at, failure));
                        }
                        return;
                    }
                }
            }
        };
        let workers = at_once.min(pairs.len()).min(64);
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        abort.check()?;
        let first = lock().take();
        first.map_or(Ok(()), |(_, failure)| Err(failure))
    }

    fn one(
        &self,
        job: &Job,
        source: &Location,
        destination: &Location,
        hear: &Hear<'_>,
        abort: &Abort,
    ) -> Result<(), Failure> {
        transfer(&self.0, job, source, destination, hear, abort)?;
        hear(Said::log(Level::Info, format!("copied {} to {}", source.absolute, destination.declared)));
        Ok(())
    }
}

/// Each source with where it goes. Two of one name are refused: the second would be written over the first.
fn pairs(sources: &[String], destination: &str, job: &Job) -> Result<Vec<(Location, Location)>, Failure> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut pairs = Vec::new();
    for source in sources {
        let path = source.split(['?', '#']).next().filter(|_| source.contains("://")).unwrap_or(source);
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if name.is_empty() || name == "." || name == ".." {
            return Err(Failure::Spec { problem: format!("`{source}` names no file") });
        }
        match names.insert(name, source) {
            Some(other) if other == source => continue,
            Some(other) => {
                let problem = format!("`{other}` and `{source}` would both be `{name}` in `{destination}`");
                return Err(Failure::Spec { problem });
            }
            None => {}
        }
        let to = format!("{}/{name}", destination.trim_end_matches('/'));
        pairs.push((Location::outside(source, &job.roots), Location::of(&to, &job.roots)));
    }
    Ok(pairs)
}

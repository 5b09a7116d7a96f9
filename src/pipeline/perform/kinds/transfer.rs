//! Bytes from a source to a destination, and whether they arrived.

use std::io::{Read, Write};
use std::path::Path;

use crate::config::located::Node;
use crate::path::show;
use crate::pipeline::perform::write::Part;
use crate::pipeline::perform::{Abort, Address, Failure, Hear, Job, Level, Location, Said, World, io_failure};

/// What is read at once.
const CHUNK: usize = 1 << 20;

/// How often progress is told: after so many bytes.
const TELL_EVERY: u64 = 16 << 20;

/// Whether a path is the other one, or another name of the same file.
fn is_same_file(world: &World, from: &Path, to: &Path) -> Result<bool, Failure> {
    let look = |path: &Path| world.fs.stat(path).map_err(io_failure("look at", show(path)));
    let (from, to) = (look(from)?, look(to)?);
    // Two names of one file are told apart from one name: the second is not what the first is called by.
    Ok(from.zip(to).is_some_and(|(a, b)| (a.dev, a.ino) == (b.dev, b.ino)))
}

/// Copies what is at `source` to `destination`, byte by byte, beside its place first; gives the number of bytes. What is there already
/// under the very same name is left alone.
pub(super) fn transfer(
    world: &World,
    job: &Job,
    source: &Location,
    destination: &Location,
    hear: &Hear<'_>,
    abort: &Abort,
) -> Result<u64, Failure> {
    let to = writable(destination)?;
    let here = job.fetched.get(&source.absolute).map(std::path::PathBuf::as_path);
    match (source.address(), here) {
        (_, Some(file)) => copy_file(world, file, &source.absolute, to, hear, abort),
        (Address::Local(from), None) => copy_file(world, from, &source.absolute, to, hear, abort),
        // What a task declares was fetched before it began.
        (Address::Http(url), None) => Err(unreachable(url.split("://").next().unwrap_or_default(), url)),
        (Address::Other(scheme), None) => Err(unreachable(scheme, &source.absolute)),
    }
}

fn unreachable(scheme: &str, absolute: &str) -> Failure {
    Failure::Fetch { address: absolute.to_owned(), problem: format!("nothing here can read `{scheme}://`") }
}

/// The local path of a destination.
pub(super) fn writable(destination: &Location) -> Result<&Path, Failure> {
    match destination.address() {
        Address::Local(path) => Ok(path),
        Address::Http(_) => Err(Failure::Spec {
            problem: format!("`{}` can't be written: HTTP is for reading only", destination.absolute),
        }),
        Address::Other(scheme) => Err(Failure::Spec {
            problem: format!("`{}` can't be written: nothing here can write `{scheme}://`", destination.absolute),
        }),
    }
}

fn copy_file(
    world: &World,
    from: &Path,
    called: &str,
    to: &Path,
    hear: &Hear<'_>,
    abort: &Abort,
) -> Result<u64, Failure> {
    if from == to || crate::path::real(from) == crate::path::real(to) {
        let (_, stat) = world.fs.open_with_stat(from).map_err(io_failure("read", called))?;
        hear(Said::log(Level::Info, format!("{called} is where it is to be")));
        return Ok(stat.size);
    }
    let (mut file, stat) = world.fs.open_with_stat(from).map_err(io_failure("read", called))?;
    if is_same_file(world, from, to)? {
        hear(Said::log(Level::Debug, format!("{} was another name of {called}, and gets bytes of its own", show(to))));
    }
    let mut part = Part::begin(&world.fs, to, abort)?;
    let mut buffer = vec![0; CHUNK.min(usize::try_from(stat.size).unwrap_or(CHUNK).max(4096))];
    let mut told = 0;
    loop {
        abort.check()?;
        let n = file.read(&mut buffer).map_err(io_failure("read", called))?;
        if n == 0 {
            break;
        }
        part.write_all(&buffer[..n]).map_err(io_failure("write", show(to)))?;
        if part.written() - told >= TELL_EVERY {
            told = part.written();
            hear(Said::Progress { done: told, total: Some(stat.size), unit: "bytes".to_owned() });
        }
    }
    let after = crate::fs::Stat::of(&file.metadata().map_err(io_failure("look at", called))?);
    if !after.same_content(&stat) || part.written() != stat.size {
        return Err(Failure::Work { problem: format!("`{called}` changed while it was copied") });
    }
    part.like(stat.mode, stat.mtime_ns)?;
    let written = part.written();
    part.finish()?;
    Ok(written)
}

/// Otter's validation of a copy: the destination is there, and as large as the source as far as both are known.
pub(super) fn arrived(
    world: &World,
    job: &Job,
    source: &Location,
    destination: &Location,
    hear: &Hear<'_>,
) -> Result<(), Failure> {
    let to = writable(destination)?;
    let stat = world.fs.stat(to).map_err(io_failure("look at", destination.absolute.clone()))?;
    let Some(stat) = stat else {
        return Err(Failure::Invalid { problem: format!("`{}` is not there", destination.absolute) });
    };
    match size_of(world, job, source) {
        None => {
            let text = format!("the size of {} is unknown, skipping the comparison", source.absolute);
            hear(Said::log(Level::Warning, text));
        }
        Some(size) if size != stat.size => {
            let problem = format!(
                "`{}` has {} bytes, its source `{}` has {size}",
                destination.absolute, stat.size, source.absolute
            );
            return Err(Failure::Invalid { problem });
        }
        Some(size) => hear(Said::log(Level::Debug, format!("{size} bytes on both sides"))),
    }
    Ok(())
}

/// The size of a source as far as it can be known.
pub(in crate::pipeline) fn size_of(world: &World, job: &Job, source: &Location) -> Option<u64> {
    let of = |path: &Path| world.fs.stat(path).ok().flatten().filter(crate::fs::Stat::is_file).map(|stat| stat.size);
    match (job.fetched.get(&source.absolute), source.address()) {
        (Some(file), _) => of(file),
        (None, Address::Local(path)) => of(path),
        (None, Address::Http(_) | Address::Other(_)) => None,
    }
}

/// Refuses settings that mean nothing for the places of a job.
pub(super) fn check_settings(job: &Job) -> Result<(), Failure> {
    let Some(settings) = job.spec.get("settings").filter(|node| !node.is_null()) else { return Ok(()) };
    let Some(entries) = settings.as_map() else {
        return Err(Failure::Spec { problem: format!("`settings` must be a map, not {}", settings.what()) });
    };
    match entries.iter().find(|entry| entry.key != "billing_project") {
        Some(entry) => Err(Failure::Spec { problem: format!("nothing here knows the setting `{}`", entry.key) }),
        None => Ok(()),
    }
}

/// The texts of a list, or a single text.
pub(super) fn texts(job: &Job, node: &Node, key: &str) -> Result<Vec<String>, Failure> {
    let refuse = |node: &Node| Failure::Spec { problem: format!("`{key}` must be texts, not {}", node.what()) };
    match node.as_list() {
        Some(items) => items.iter().map(|item| job.as_text(item).ok_or_else(|| refuse(item))).collect(),
        None => Ok(vec![job.as_text(node).ok_or_else(|| refuse(node))?]),
    }
}

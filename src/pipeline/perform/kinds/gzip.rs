//! Packing one file of this machine.

use std::io::{Read, Write};

use crate::deflate::{Compression, GzBuilder};

use super::transfer::writable;
use crate::path::show;
use crate::pipeline::perform::write::Part;
use crate::pipeline::perform::{
    Abort, Address, Artifact, Done, Failure, Hear, Job, Level, Location, Phase, Said, TaskKind, World, io_failure,
};

/// Packs it. Equal bytes give equal bytes: neither time nor name is put into the file.
#[derive(Debug)]
pub(crate) struct Gzip(pub(crate) World);

impl TaskKind for Gzip {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        let source = Location::local(&job.need("source")?, &job.roots);
        let destination = Location::of(&job.need("destination")?, &job.roots);
        let to = writable(&destination)?;
        if job.phase == Phase::Validate {
            return Ok(Done::default());
        }
        let Address::Local(from) = source.address() else {
            let problem = format!("`{}` must be a file of this machine", source.declared);
            return Err(Failure::Spec { problem });
        };
        let (mut file, stat) = self.0.fs.open_with_stat(from).map_err(io_failure("read", source.absolute.clone()))?;
        if crate::path::real(from) == crate::path::real(to) {
            return Err(Failure::Spec { problem: format!("`{}` can't be packed into itself", source.absolute) });
        }
        let mut part = Part::begin(&self.0.fs, to, abort)?;
        let mut packer = GzBuilder::new().mtime(0).write(&mut part, Compression::default());
        let mut buffer = vec![0; 1 << 18];
        let mut read = 0;
        loop {
            abort.check()?;
            let n = file.read(&mut buffer).map_err(io_failure("read", source.absolute.clone()))?;
            if n == 0 {
                break;
            }
            read += n as u64;
            packer.write_all(&buffer[..n]).map_err(io_failure("write", show(to)))?;
        }
        packer.finish().map_err(io_failure("write", show(to)))?;
        if read != stat.size {
            return Err(Failure::Work { problem: format!("`{}` changed while it was packed", source.absolute) });
        }
        part.finish()?;
        hear(Said::log(Level::Debug, format!("gzipped {} to {}", source.absolute, destination.absolute)));
        hear(Said::Artifact(Artifact::new(source.absolute, destination.absolute)));
        Ok(Done::default())
    }
}

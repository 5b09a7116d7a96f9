//! Unpacking one file of a zip archive.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::deflate::{Crc, DeflateDecoder};

use super::transfer::transfer;
use crate::path::show;
use crate::pipeline::perform::write::Part;
use crate::pipeline::perform::{
    Abort, Address, Artifact, Done, Failure, Hear, Job, Level, Location, Phase, Said, TaskKind, World, io_failure,
};

/// The most bytes of an archive's list of files.
const MOST_LIST: u64 = 256 << 20;

/// Unpacks it. An archive that lies only in the release is brought here first.
#[derive(Debug)]
pub(crate) struct Unzip(pub(crate) World);

impl TaskKind for Unzip {
    fn version(&self) -> u32 {
        1
    }

    fn perform(&self, job: &Job, hear: &Hear<'_>, abort: &Abort) -> Result<Done, Failure> {
        abort.check()?;
        if job.phase == Phase::Validate {
            return Ok(Done::default());
        }
        let declared = job.need("source")?;
        let (source, archive) = self.archive(job, &declared, hear, abort)?;
        let destination = Location::local(&job.need("destination")?, &job.roots);
        let Address::Local(to) = destination.address() else {
            let problem = format!("`{}` must be a path of this machine", destination.declared);
            return Err(Failure::Spec { problem });
        };
        let stem = Path::new(&declared).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let inner = job.text("inner_file")?.unwrap_or(stem);
        self.unpack(&archive, &source, &inner, to, abort)?;
        hear(Said::log(Level::Debug, "unzip completed"));
        hear(Said::Artifact(Artifact::new(source, destination.absolute)));
        Ok(Done::default())
    }
}

impl Unzip {
    /// What the archive is called, and the file with its bytes.
    fn archive(&self, job: &Job, declared: &str, hear: &Hear<'_>, abort: &Abort) -> Result<(String, PathBuf), Failure> {
        let here = Location::local(declared, &job.roots);
        let there = Location::of(declared, &job.roots);
        for place in [&here, &there] {
            if let Some(file) = job.fetched.get(&place.absolute) {
                return Ok((place.absolute.clone(), file.clone()));
            }
            if let Address::Local(path) = place.address()
                && self.0.fs.stat(path).map_err(io_failure("look at", place.absolute.clone()))?.is_some()
            {
                return Ok((place.absolute.clone(), path.to_owned()));
            }
        }
        if there.address().local().is_some() {
            return Err(Failure::Work { problem: format!("`{}` is not there", here.absolute) });
        }
        let own = job.folder.join("archive.zip");
        let to = Location { declared: String::new(), absolute: own.to_string_lossy().into_owned() };
        transfer(&self.0, job, &there, &to, hear, abort)?;
        Ok((there.absolute, own))
    }

    fn unpack(&self, archive: &Path, called: &str, inner: &str, to: &Path, abort: &Abort) -> Result<(), Failure> {
        let (mut file, stat) = self.0.fs.open_with_stat(archive).map_err(io_failure("read", called))?;
        let damaged = |problem: &str| Failure::Work { problem: format!("`{called}` is no good archive: {problem}") };
        let names = list(&mut file, stat.size).map_err(|problem| damaged(&problem))?;
        let Some(entry) = names.iter().find(|entry| entry.name == inner.as_bytes()) else {
            return Err(Failure::Work { problem: format!("`{inner}` not found in `{called}`") });
        };
        if entry.is_encrypted {
            return Err(Failure::Work { problem: format!("`{inner}` in `{called}` is encrypted") });
        }
        seek_content(&mut file, entry).map_err(|problem| damaged(&problem))?;
        let packed = file.take(entry.packed);
        let mut reader: Box<dyn Read> = match entry.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            method => {
                let problem = format!("`{inner}` in `{called}` is packed by method {method}, which nothing here knows");
                return Err(Failure::Work { problem });
            }
        };
        let mut part = Part::begin(&self.0.fs, to, abort)?;
        let mut sum = Crc::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            abort.check()?;
            let n = reader.read(&mut buffer).map_err(|err| damaged(&err.to_string()))?;
            if n == 0 {
                break;
            }
            sum.update(&buffer[..n]);
            part.write_all(&buffer[..n]).map_err(io_failure("write", show(to)))?;
            if part.written() > entry.size {
                return Err(damaged("a file is longer than the list says"));
            }
        }
        if part.written() != entry.size || sum.sum() != entry.sum {
            return Err(damaged(&format!("`{inner}` has other bytes than the list says")));
        }
        part.finish()
    }
}

/// A file of an archive.
#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    method: u16,
    is_encrypted: bool,
    sum: u32,
    packed: u64,
    size: u64,
    /// Where its own header begins.
    at: u64,
}

const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const LISTED: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;

/// Numbers in order; what is not there is 0 and noticed by the length.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u16(&self, at: usize) -> u16 {
        self.0.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }
}

fn bytes_at(file: &mut File, at: u64, length: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))
        .and_then(|_| file.take(length).read_to_end(&mut bytes))
        .map_err(|err| err.to_string())?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err("it is cut".to_owned()) }
}

/// The files of an archive of `size` bytes.
fn list(file: &mut File, size: u64) -> Result<Vec<Entry>, String> {
    let tail = size.min(22 + 0xffff);
    let end = bytes_at(file, size - tail, tail)?;
    let is_end =
        |&at: &usize| Fields(&end).u32(at) == END && at + 22 + usize::from(Fields(&end).u16(at + 20)) <= end.len();
    let at = (0..end.len().saturating_sub(21)).rev().find(is_end).ok_or("it has no list of files")?;
    let fields = Fields(&end[at..]);
    let (mut count, mut length, mut from) =
        (u64::from(fields.u16(10)), u64::from(fields.u32(12)), u64::from(fields.u32(16)));
    if (count == 0xffff || length == 0xffff_ffff || from == 0xffff_ffff)
        && at >= 20
        && Fields(&end).u32(at - 20) == LOCATOR_64
    {
        let large = bytes_at(file, Fields(&end).u64(at - 12), 56)?;
        let fields = Fields(&large);
        if fields.u32(0) != END_64 {
            return Err("its end is damaged".to_owned());
        }
        (count, length, from) = (fields.u64(32), fields.u64(40), fields.u64(48));
    }
    if length > MOST_LIST || from.checked_add(length).is_none_or(|end| end > size) {
        return Err("its list of files is longer than the file".to_owned());
    }
    let bytes = bytes_at(file, from, length)?;
    let mut rest = &bytes[..];
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, after) = listed(rest).ok_or("its list of files is damaged")?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

fn listed(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (head, rest) = bytes.split_at_checked(46)?;
    let fields = Fields(head);
    if fields.u32(0) != LISTED {
        return None;
    }
    let (name, rest) = rest.split_at_checked(usize::from(fields.u16(28)))?;
    let (extra, rest) = rest.split_at_checked(usize::from(fields.u16(30)))?;
    let (_, rest) = rest.split_at_checked(usize::from(fields.u16(32)))?;
    let mut entry = Entry {
        name: name.to_vec(),
        method: fields.u16(10),
        is_encrypted: fields.u16(8) & 1 != 0,
        sum: fields.u32(16),
        packed: u64::from(fields.u32(20)),
        size: u64::from(fields.u32(24)),
        at: u64::from(fields.u32(42)),
    };
    let mut extra = extra;
    while let Some((head, more)) = extra.split_at_checked(4) {
        let (content, more) = more.split_at_checked(usize::from(Fields(head).u16(2)))?;
        extra = more;
        if Fields(head).u16(0) == 1 {
            // What is too large for its field stands here, in this order.
            let mut numbers = content.chunks_exact(8).map(|bytes| Fields(bytes).u64(0));
            for number in [&mut entry.size, &mut entry.packed, &mut entry.at] {
                if *number == 0xffff_ffff {
                    *number = numbers.next()?;
                }
            }
        }
    }
    Some((entry, rest))
}

/// Moves to the first byte of a file's content.
fn seek_content(file: &mut File, entry: &Entry) -> Result<(), String> {
    let head = bytes_at(file, entry.at, 30)?;
    let fields = Fields(&head);
    if fields.u32(0) != LOCAL {
        return Err("the list of files leads to nothing".to_owned());
    }
    let skip = i64::from(fields.u16(26)) + i64::from(fields.u16(28));
    file.seek(SeekFrom::Current(skip)).map(drop).map_err(|err| err.to_string())
}

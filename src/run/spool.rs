//! What a child printed, kept in files of bounded size that survive the death of prov.
//!
//! A stream's first bytes go to a file of its own name (`stdout`), later ones to numbered segments of which only the
//! newest two are kept. So head and tail are there at any moment, whole or killed, and nothing is held in memory. No
//! file is made for a stream that stays silent. There is one writer; nothing is flushed: a power cut may lose it.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use super::observer::Stream;
use super::secrets::{Redactor, Secrets};
use crate::fs::{Fs, Output};

/// How much of a stream is kept: at most the head and two segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes kept from the beginning.
    pub head_bytes: u64,
    /// Bytes of each of the two segments kept of the end.
    pub segment_bytes: u64,
}

impl Default for SpoolLimits {
    /// 64 MiB in all, half of it from the beginning.
    fn default() -> Self {
        Self { head_bytes: 32 << 20, segment_bytes: 16 << 20 }
    }
}

/// Writes one stream.
#[derive(Debug)]
pub(super) struct Spool {
    fs: Fs,
    dir: PathBuf,
    stream: Stream,
    limits: SpoolLimits,
    open: Option<Output>,
    /// 0 is the head.
    segment: u64,
    room: u64,
    total: u64,
    failed: Option<io::Error>,
    redactor: Option<Redactor>,
}

impl Spool {
    pub(super) fn new(fs: &Fs, dir: &Path, stream: Stream, limits: SpoolLimits) -> Self {
        let room = limits.head_bytes.max(1);
        Self {
            fs: fs.clone(),
            dir: dir.to_owned(),
            stream,
            limits,
            open: None,
            segment: 0,
            room,
            total: 0,
            failed: None,
            redactor: None,
        }
    }

    /// The same, keeping these values out of the files.
    pub(super) fn without(mut self, secrets: &Secrets) -> Self {
        self.redactor = secrets.redactor();
        self
    }

    /// Takes bytes. A failure is kept for the end: the child must not suffer from a full disk of prov's.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        match &mut self.redactor {
            None => self.keep(bytes),
            Some(redactor) => {
                let clean = redactor.push(bytes);
                self.keep(&clean);
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if self.failed.is_none()
            && let Err(err) = self.try_write(bytes)
        {
            self.failed = Some(err);
            self.open = None;
        }
    }

    fn try_write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.room == 0 {
                self.open = None;
                self.segment += 1;
                self.room = self.limits.segment_bytes.max(1);
            }
            if self.open.is_none() {
                self.open = Some(self.fs.create_new(&self.dir.join(file_name(self.stream, self.segment)), 0o666)?);
                if self.segment > 2 {
                    self.fs.remove_file(&self.dir.join(file_name(self.stream, self.segment - 2)))?;
                }
            }
            let Some(out) = &mut self.open else { return Ok(()) };
            let n = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
            out.write_all(&bytes[..n])?;
            self.room -= n as u64;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// What was kept, and the first failure to keep it.
    pub(super) fn finish(mut self) -> io::Result<(Spooled, Option<io::Error>)> {
        if let Some(redactor) = self.redactor.take() {
            let rest = redactor.finish();
            self.keep(&rest);
        }
        drop(self.open);
        let mut spooled =
            if self.total == 0 { Spooled::default() } else { Spooled::find(&self.fs, &self.dir, self.stream)? };
        spooled.left_out_bytes = self.total.saturating_sub(spooled.kept_bytes);
        Ok((spooled, self.failed))
    }
}

fn file_name(stream: Stream, segment: u64) -> String {
    if segment == 0 { stream.name().to_owned() } else { format!("{stream}.{segment}") }
}

/// What is kept of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spooled {
    head: Option<PathBuf>,
    tail: Vec<PathBuf>,
    kept_bytes: u64,
    left_out_bytes: u64,
}

impl Spooled {
    /// Finds what is kept of `stream` in a live folder, e.g. of a run whose prov was killed.
    pub fn find(fs: &Fs, dir: &Path, stream: Stream) -> io::Result<Self> {
        let Some(head) = fs.lstat(&dir.join(stream.name()))? else { return Ok(Self::default()) };
        let mut segments: Vec<u64> = fs
            .names(dir)?
            .iter()
            .filter_map(|name| name.to_str()?.strip_prefix(stream.name())?.strip_prefix('.')?.parse().ok())
            .filter(|&n| n > 0)
            .collect();
        segments.sort_unstable();
        let mut spooled =
            Self { head: Some(dir.join(stream.name())), tail: Vec::new(), kept_bytes: head.size, left_out_bytes: 0 };
        let Some(&newest) = segments.last() else { return Ok(spooled) };
        for segment in [newest - 1, newest].into_iter().filter(|&n| n > 0) {
            let path = dir.join(file_name(stream, segment));
            if let Some(stat) = fs.lstat(&path)? {
                // All segments but the newest are full, and `newest - 2` of them are gone.
                if segment < newest {
                    spooled.left_out_bytes = stat.size.saturating_mul(newest - 2);
                }
                spooled.kept_bytes += stat.size;
                spooled.tail.push(path);
            }
        }
        Ok(spooled)
    }

    /// Bytes that the child wrote.
    pub fn total_bytes(&self) -> u64 {
        self.kept_bytes + self.left_out_bytes
    }

    /// Bytes of it that are not kept.
    pub fn left_out_bytes(&self) -> u64 {
        self.left_out_bytes
    }

    /// Whether something is not kept.
    pub fn is_cut(&self) -> bool {
        self.left_out_bytes > 0
    }

    /// Whether the stream was silent.
    pub fn is_empty(&self) -> bool {
        self.total_bytes() == 0
    }

    /// Reads what is kept, as it is recorded: all of it, or head and tail with a line between them that says how much is left out.
    pub fn reader(&self, fs: &Fs) -> io::Result<impl Read + use<>> {
        let open = |path: &PathBuf| fs.open_no_follow(path);
        let head: Option<File> = self.head.as_ref().map(open).transpose()?;
        let tail: Vec<File> = self.tail.iter().map(open).collect::<io::Result<_>>()?;
        let gap =
            if self.is_cut() { format!("\n[prov: {} bytes left out]\n", self.left_out_bytes) } else { String::new() };
        let mut parts: Vec<Box<dyn Read>> = Vec::new();
        parts.extend(head.map(|file| Box::new(file) as Box<dyn Read>));
        parts.push(Box::new(Cursor::new(gap)));
        parts.extend(tail.into_iter().map(|file| Box::new(file) as Box<dyn Read>));
        Ok(Parts(parts.into()))
    }
}

/// Readers one after the other.
struct Parts(std::collections::VecDeque<Box<dyn Read>>);

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(first) = self.0.front_mut() {
            match first.read(buffer)? {
                0 if !buffer.is_empty() => drop(self.0.pop_front()),
                n => return Ok(n),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fs::{NthEffect, Verdict};

    const SMALL: SpoolLimits = SpoolLimits { head_bytes: 10, segment_bytes: 4 };

    fn text(fs: &Fs, spooled: &Spooled) -> String {
        let mut text = String::new();
        spooled.reader(fs).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn head_and_tail_are_kept_and_the_gap_is_counted() {
        let all: Vec<u8> = (0..100u8).map(|i| b'a' + i % 26).collect();
        for total in 0..all.len() {
            for piece in [1, 3, 100] {
                let dir = tempfile::tempdir().unwrap();
                let fs = Fs::real();
                let mut spool = Spool::new(&fs, dir.path(), Stream::Stdout, SMALL);
                all[..total].chunks(piece).for_each(|bytes| spool.write(bytes));
                let (spooled, failed) = spool.finish().unwrap();
                assert!(failed.is_none());
                assert_eq!(spooled.total_bytes(), total as u64);
                assert_eq!(spooled, Spooled::find(&fs, dir.path(), Stream::Stdout).unwrap(), "as after a kill");
                let shown = text(&fs, &spooled);
                let written = std::str::from_utf8(&all[..total]).unwrap();
                if spooled.is_cut() {
                    assert!(total > 18);
                    let (head, rest) = shown.split_once("\n[prov: ").unwrap();
                    let (count, tail) = rest.split_once(" bytes left out]\n").unwrap();
                    assert_eq!(head, &written[..10]);
                    assert!(written.ends_with(tail) && tail.len() > 4);
                    assert_eq!(count.parse::<usize>().unwrap(), total - head.len() - tail.len());
                } else {
                    assert_eq!(shown, written);
                }
                assert!(fs.names(dir.path()).unwrap().len() <= 3);
            }
        }
    }

    #[test]
    fn a_silent_stream_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (spooled, _) = Spool::new(&Fs::real(), dir.path(), Stream::Stderr, SMALL).finish().unwrap();
        assert!(spooled.is_empty());
        assert!(Fs::real().names(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn a_full_disk_is_told_at_the_end_and_what_was_written_stays() {
        let no_space = rustix::io::Errno::NOSPC.raw_os_error();
        for nth in 0..6 {
            let dir = tempfile::tempdir().unwrap();
            let fs = Fs::with_fault(Arc::new(NthEffect::once(nth, Verdict::Fail(no_space))));
            let mut spool = Spool::new(&fs, dir.path(), Stream::Stdout, SMALL);
            (0..5).for_each(|_| spool.write(b"abcdef"));
            let (spooled, failed) = spool.finish().unwrap();
            assert_eq!(failed.and_then(|err| err.raw_os_error()), Some(no_space));
            assert_eq!(spooled.total_bytes(), 30);
            assert!(spooled.is_cut());
        }
    }
}

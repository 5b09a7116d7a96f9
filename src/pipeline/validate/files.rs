//! The files of an output, and what is in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::json;
use crate::config::csv;
use crate::fs::{FileKind, Fs};
use crate::hash;
use crate::path::show;
use crate::pipeline::perform::Abort;
use crate::tabular::parquet;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Records of fields between commas, the first with their names.
    Csv,
    /// The same between tabs.
    Tsv,
    /// One JSON value, or several.
    Json,
    /// A JSON value on each line.
    Jsonl,
    /// Parquet.
    Parquet,
    /// Lines.
    Text,
}

impl Format {
    /// The format of that name, as the check `readable` has it.
    pub fn of_name(name: &str) -> Self {
        match name {
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "json" => Format::Json,
            "jsonl" => Format::Jsonl,
            "parquet" => Format::Parquet,
            _ => Format::Text,
        }
    }

    /// The format that the name of a file tells, whether it is packed by gzip or not.
    pub fn of_path(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("csv") => Format::Csv,
            Some("tsv" | "tab") => Format::Tsv,
            Some("json") => Format::Json,
            Some("jsonl" | "ndjson") => Format::Jsonl,
            Some("parquet") => Format::Parquet,
            _ => Format::Text,
        }
    }
}

/// A number of rows, and what counts as one.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) count: u64,
    what: &'static str,
}

impl Rows {
    pub(super) fn in_words(&self) -> String {
        format!("{} {}", self.count, self.what)
    }
}

/// A file, or the files below a folder.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) fs: &'a Fs,
    is_folder: bool,
    /// The files, in order of their paths.
    files: Vec<PathBuf>,
    pub(super) bytes: u64,
}

impl<'a> Output<'a> {
    /// What lies at a path, links followed; `None` if nothing does.
    pub(super) fn look(fs: &'a Fs, path: &Path) -> io::Result<Option<Self>> {
        let Some(stat) = fs.stat(path)? else { return Ok(None) };
        if !stat.is_folder() {
            return Ok(Some(Self { fs, is_folder: false, files: vec![path.to_owned()], bytes: stat.size }));
        }
        let (mut files, mut bytes) = (Vec::new(), 0u64);
        for item in fs.walk(path) {
            let (path, stat) = item?;
            if let FileKind::File { .. } = stat.kind {
                bytes = bytes.saturating_add(stat.size);
                files.push(path);
            }
        }
        files.sort();
        Ok(Some(Self { fs, is_folder: true, files, bytes }))
    }

    pub(super) fn in_words(&self) -> String {
        match (self.is_folder, self.files.len()) {
            (false, _) => format!("{} bytes", self.bytes),
            (true, 1) => format!("1 file, {} bytes", self.bytes),
            (true, n) => format!("{n} files, {} bytes", self.bytes),
        }
    }

    /// The files with content: those whose names begin with `.` or `_` are about the others, as Spark writes them.
    pub(super) fn parts(&self) -> impl Iterator<Item = &PathBuf> {
        let is_content = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with(['.', '_'])
        };
        self.files.iter().filter(move |path| !self.is_folder || is_content(path))
    }

    /// Asks `look` of each part and adds up.
    fn sum(&self, look: impl Fn(&Path) -> Result<u64, String>) -> Result<u64, String> {
        let mut sum: u64 = 0;
        for path in self.parts() {
            sum = sum.saturating_add(look(path).map_err(|problem| self.named(path, &problem))?);
        }
        Ok(sum)
    }

    /// The problem, with the file if there are several.
    pub(super) fn named(&self, path: &Path, problem: &str) -> String {
        if self.is_folder { format!("`{}`: {problem}", show(path)) } else { problem.to_owned() }
    }

    /// How many rows there are: records of a table, elements of a JSON list, lines of other text.
    pub(super) fn rows(&self, abort: &Abort) -> Result<Rows, String> {
        let formats: Vec<Format> = self.parts().map(|path| Format::of_path(path)).collect();
        let are_text = !formats.is_empty() && formats.iter().all(|format| *format == Format::Text);
        let count = self.sum(|path| rows(self.fs, path, Format::of_path(path), abort))?;
        Ok(Rows { count, what: if are_text { "lines" } else { "rows" } })
    }

    pub(super) fn lines(&self, abort: &Abort) -> Result<u64, String> {
        self.sum(|path| rows(self.fs, path, Format::Text, abort))
    }

    /// Whether all parts can be read as that; in words what was read.
    pub(super) fn readable(&self, format: Format, abort: &Abort) -> Result<String, String> {
        let format_of = |path: &Path| match (format, Format::of_path(path)) {
            // Tables between tabs count as CSV if they say so.
            (Format::Csv, Format::Tsv) => Format::Tsv,
            _ => format,
        };
        let count = self.sum(|path| rows(self.fs, path, format_of(path), abort))?;
        if self.parts().next().is_none() {
            return Err("there is no file to be read".to_owned());
        }
        Ok(format!("{count} rows"))
    }

    fn single(&self) -> Result<File, String> {
        match self.files.as_slice() {
            [file] if !self.is_folder => self.fs.open(file).map_err(|err| err.to_string()),
            _ => Err("it is a folder, which has no digest of its own".to_owned()),
        }
    }

    pub(super) fn blake3(&self) -> Result<String, String> {
        let (id, _) = hash::blob_from(&mut self.single()?).map_err(|err| err.to_string())?;
        Ok(id.to_string())
    }

    pub(super) fn sha256(&self) -> Result<String, String> {
        hash::sha256_from(&mut self.single()?).map_err(|err| err.to_string())
    }
}

/// Reads a file, unpacked if its name says that it is packed, until stopping is asked for.
pub(super) fn open<'a>(fs: &Fs, path: &Path, abort: &'a Abort) -> Result<Box<dyn BufRead + 'a>, String> {
    let file = fs.open(path).map_err(|err| err.to_string())?;
    let file = Stoppable { file, abort };
    let is_packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(if is_packed {
        Box::new(BufReader::with_capacity(1 << 18, crate::deflate::gunzip(BufReader::with_capacity(1 << 18, file))))
    } else {
        Box::new(BufReader::with_capacity(1 << 18, file))
    })
}

struct Stoppable<'a> {
    file: File,
    abort: &'a Abort,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.abort.is_raised() { Err(io::Error::other("aborted")) } else { self.file.read(buffer) }
    }
}

/// Reads all of a file and counts its rows.
fn rows(fs: &Fs, path: &Path, format: Format, abort: &Abort) -> Result<u64, String> {
    match format {
        Format::Csv => csv::rows(&mut *open(fs, path, abort)?, b','),
        Format::Tsv => csv::rows(&mut *open(fs, path, abort)?, b'\t'),
        Format::Json => json::rows(&mut *open(fs, path, abort)?),
        Format::Jsonl => json::lines(&mut *open(fs, path, abort)?),
        Format::Parquet => footer(fs, path).map(|footer| footer.rows),
        Format::Text => lines(&mut *open(fs, path, abort)?).map_err(|err| err.to_string()),
    }
}

fn lines(reader: &mut dyn BufRead) -> io::Result<u64> {
    let (mut lines, mut last) = (0, b'\n');
    loop {
        let bytes = reader.fill_buf()?;
        let Some(end) = bytes.last() else { return Ok(lines + u64::from(last != b'\n')) };
        last = *end;
        lines += bytes.iter().map(|b| u64::from(*b == b'\n')).sum::<u64>();
        let n = bytes.len();
        reader.consume(n);
    }
}

/// What the end of a Parquet file says.
pub(super) fn footer(fs: &Fs, path: &Path) -> Result<parquet::Footer, String> {
    let mut file = fs.open(path).map_err(|err| err.to_string())?;
    parquet::read(&mut file)
}

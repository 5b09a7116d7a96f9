//! Downloads to files: the whole of it under its name, or nothing.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::answer::{Answer, Got};
use super::client::{Client, Watch};
use super::known::Known;
use super::{Error, Url};
use crate::fs::{Fs, Output};
use crate::hash::{BlobHasher, Id};

/// What came of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// The file is there, or in the place of what lay there.
    New {
        /// The answer.
        answer: Answer,
        /// What its bytes are.
        id: Id,
        /// How many they are.
        size: u64,
    },
    /// The content is what it was; nothing was touched.
    Unchanged {
        /// The answer.
        answer: Answer,
    },
}

/// Tells downloads of one process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Downloads `url` beside `to`, and renames it to `to` when all of it is there, over what lies there. The folder must be there. It is not
/// flushed to the disk. What a download leaves that was killed has a name that ends in `.part`.
///
/// # Errors
/// As [`Client::get`], or when it can't be written; then nothing is left, and what lay at `to` is untouched.
pub fn to_file(
    client: &Client,
    fs: &Fs,
    url: &Url,
    known: Option<&Known>,
    to: &Path,
    watch: Watch<'_>,
) -> Result<Saved, Error> {
    let mut name = std::ffi::OsString::from(".");
    // Names may be as long as the system allows already.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    name.push(format!("prov-{}-{number}.part", std::process::id()));
    let beside = to.with_file_name(name);
    let write = |path: &Path, source| Error::Write { path: path.to_owned(), source };
    let out = match fs.create_new(&beside, 0o666) {
        // Left by a process of the same number that is gone.
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            fs.remove_file(&beside).and_then(|()| fs.create_new(&beside, 0o666))
        }
        made => made,
    };
    let mut sink = Sink { out: out.map_err(|source| write(&beside, source))?, hasher: BlobHasher::new() };
    let done = (|| match client.get(url, known, &mut sink, watch) {
        Ok(Got::New { answer, size }) => {
            fs.rename(&beside, to).map_err(|source| write(to, source))?;
            Ok(Saved::New { answer, id: sink.hasher.id(), size })
        }
        Ok(Got::Unchanged { answer }) => Ok(Saved::Unchanged { answer }),
        Err(Error::Write { source, .. }) => Err(write(&beside, source)),
        Err(err) => Err(err),
    })();
    if !matches!(done, Ok(Saved::New { .. })) {
        let _ = fs.remove_file(&beside);
    }
    done
}

/// Writes and hashes.
struct Sink {
    out: Output,
    hasher: BlobHasher,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

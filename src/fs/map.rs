//! Read-only memory maps of files that prov wrote and never changes.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// The bytes of an immutable file, mapped.
#[derive(Debug)]
pub struct Map(Option<memmap2::Mmap>);

impl Map {
    /// Maps all of `file`, which must be one that prov wrote and nobody changes in place.
    pub fn new(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self(None));
        }
        #[expect(unsafe_code, reason = "the only way to map a file")]
        // SAFETY: callers map only files that are replaced by rename and never written or truncated in place.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Self(Some(map)))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

//! Deflate and gzip: the one place that names the crate for them.

use std::io::{BufRead, Read};

pub use flate2::read::DeflateDecoder;
pub use flate2::write::{DeflateEncoder, GzEncoder};
pub use flate2::{Compression, Crc, GzBuilder};

/// What is packed in `reader`, all members one after the other.
pub fn gunzip(reader: impl BufRead) -> impl Read {
    flate2::bufread::MultiGzDecoder::new(reader)
}

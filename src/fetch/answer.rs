//! What a server answered.

use super::known::{self, Known};
use super::url::Url;
use crate::clock::Micros;

/// An answer, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status: 200, or 304 of what is unchanged.
    pub status: u16,
    /// Who gave it, after all redirects.
    pub from: Url,
    /// How many redirects led there.
    pub redirects: u32,
    /// Its `ETag`, as it was sent.
    pub etag: Option<String>,
    /// Its `Last-Modified`, as it was sent.
    pub last_modified: Option<String>,
    /// Its `Date`, as it was sent.
    pub date: Option<String>,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// Its length, if it was announced.
    pub size: Option<u64>,
}

impl Answer {
    /// By what can be told later that the content is byte for byte the same; `None` if it gave nothing that says so surely.
    pub fn known(&self) -> Option<Known> {
        Known::of(self)
    }
}

impl Answer {
    /// When the content was changed last, by the server's word.
    pub fn modified(&self) -> Option<Micros> {
        self.last_modified.as_deref().and_then(known::seconds).map(|seconds| Micros(seconds.saturating_mul(1_000_000)))
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// All bytes were written.
    New {
        /// The answer.
        answer: Answer,
        /// How many bytes they are.
        size: u64,
    },
    /// Nothing was written: the content is what it was.
    Unchanged {
        /// The answer.
        answer: Answer,
    },
}

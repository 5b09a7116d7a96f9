//! A client: from an address to all of its bytes, or a reason why not.

use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::answer::{Answer, Got};
use super::known::Known;
use super::options::Options;
use super::wire::{Asked, Failure, Head, Piece, Wire};
use super::{Error, Url};
use crate::progress::{Cancel, Progress, Unit};

/// How often is looked whether the caller wants to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Who hears how far a request is, and who may end it.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// Ends it.
    pub cancel: &'a Cancel,
    /// Hears of every byte.
    pub progress: &'a dyn Progress,
}

/// Which bytes of a file are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All of them.
    All,
    /// As many of the last ones, or all if there are fewer.
    Last(u64),
    /// From this one on, so many; all of them are there.
    From(u64, u64),
}

/// Some bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where they begin.
    pub at: u64,
    /// How many the file has.
    pub size: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Beginning, length and size of the whole, as `bytes 0-9/20` says them.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (first <= last && last < size).then(|| (first, last - first + 1, size))
}

/// Fetches what addresses lead to. Connections are kept for the next request; it may be used by several threads at once.
#[derive(Debug)]
pub struct Client {
    options: Options,
    wire: Wire,
}

impl Client {
    /// A client that is bound to these options.
    ///
    /// # Errors
    /// When one of them can't be used, or this build can't fetch.
    pub fn new(options: Options) -> Result<Self, Error> {
        let wire = Wire::new(&options)?;
        Ok(Self { options, wire })
    }

    /// Writes the content of `url` to `sink`, unless it is byte for byte what is `known`. After an error what was written is of no use.
    ///
    /// # Errors
    /// Whenever it is not certain that all of the content was written, and nothing but it.
    pub fn get(&self, url: &Url, known: Option<&Known>, sink: &mut dyn Write, watch: Watch<'_>) -> Result<Got, Error> {
        let tag = |at: &Url| known.and_then(|known| known.condition(at));
        let reached = self.reach(url, &|at| tag(at).map_or(Asked::All, Asked::Unless), watch)?;
        let answer = reached.answer();
        match answer.status {
            200 if known.is_some_and(|known| known.is_of(&answer)) => Ok(Got::Unchanged { answer }),
            200 => {
                let size = reached.waiting().body(&reached.head, &reached.pieces, sink)?;
                Ok(Got::New { answer, size })
            }
            304 if tag(&reached.at).is_some() => Ok(Got::Unchanged { answer }),
            304 => Err(Error::NotAsked { url: reached.at.shown() }),
            status => Err(Error::Status { url: reached.at.shown(), status }),
        }
    }

    /// Some bytes of what `url` leads to, or all of it from a server that gives no parts, as long as that has at most `most` bytes.
    ///
    /// # Errors
    /// Whenever it is not certain that the bytes are those that were asked for, all of them and nothing else.
    pub fn part(&self, url: &Url, span: Span, most: u64, watch: Watch<'_>) -> Result<Part, Error> {
        let asked = match span {
            Span::All => Asked::Fresh,
            Span::Last(count) => Asked::Last(count),
            Span::From(at, count) => Asked::Part(at, count),
        };
        let reached = self.reach(url, &|_| asked, watch)?;
        let shown = || reached.at.shown();
        let is_part = span != Span::All;
        let (at, len, size) = match reached.head.status {
            200 => (0, None, None),
            206 if is_part => {
                let range = reached.head.range.as_deref().and_then(content_range);
                let (at, len, size) = range.ok_or_else(|| Error::NoRanges { url: shown() })?;
                (at, Some(len), Some(size))
            }
            status => return Err(Error::Status { url: shown(), status }),
        };
        let mut bytes = Vec::new();
        let limit = len.unwrap_or(most);
        match reached.waiting().bytes(&reached.head, &reached.pieces, &mut bytes, limit) {
            Err(Error::TooLarge { url, .. }) if is_part => return Err(Error::NoRanges { url }),
            got => got?,
        };
        let got = bytes.len() as u64;
        let part = Part { at, size: size.unwrap_or(got), bytes };
        let is_it = len.is_none_or(|len| len == got)
            && match span {
                Span::All => true,
                _ if len.is_none() => true,
                Span::Last(count) => {
                    part.at == part.size.saturating_sub(count) && part.at.checked_add(got) == Some(part.size)
                }
                Span::From(from, count) => part.at == from && got == count,
            };
        if is_it { Ok(part) } else { Err(Error::NoRanges { url: shown() }) }
    }

    /// What the server says of the content of `url`, without it.
    ///
    /// # Errors
    /// When there is none, or nobody answers.
    pub fn look(&self, url: &Url, watch: Watch<'_>) -> Result<Answer, Error> {
        let reached = self.reach(url, &|_| Asked::Head, watch)?;
        let answer = reached.answer();
        match answer.status {
            200 => Ok(answer),
            status => Err(Error::Status { url: reached.at.shown(), status }),
        }
    }

    /// Follows redirects to an answer that is none.
    fn reach<'a>(
        &'a self,
        url: &Url,
        asked: &dyn Fn(&Url) -> Asked<'a>,
        watch: Watch<'a>,
    ) -> Result<Reached<'a>, Error> {
        let started = Instant::now();
        let mut at = url.clone();
        for redirects in 0..=self.options.max_redirects {
            let pieces = self.wire.ask(&at, asked(&at))?;
            let head = Waiting { options: &self.options, url: &at, watch, started }.head(&pieces)?;
            if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(Reached { options: &self.options, watch, started, at, redirects, head, pieces });
            }
            let missing = || Error::BadRedirect { url: at.shown(), what: "it doesn't say where to".to_owned() };
            let to = at.join(&head.location.ok_or_else(missing)?)?;
            if self.options.stays_at_host && to.host() != at.host() {
                let what = format!("it leads to another host, {}", to.host());
                return Err(Error::BadRedirect { url: at.shown(), what });
            }
            at = to;
        }
        Err(Error::Redirects { url: url.shown(), limit: self.options.max_redirects })
    }
}

/// An answer whose head has come.
struct Reached<'a> {
    options: &'a Options,
    watch: Watch<'a>,
    started: Instant,
    at: Url,
    redirects: u32,
    head: Head,
    pieces: Receiver<Piece>,
}

impl Reached<'_> {
    fn waiting(&self) -> Waiting<'_> {
        Waiting { options: self.options, url: &self.at, watch: self.watch, started: self.started }
    }

    fn answer(&self) -> Answer {
        let head = &self.head;
        Answer {
            status: head.status,
            from: self.at.clone(),
            redirects: self.redirects,
            etag: head.etag.clone(),
            last_modified: head.last_modified.clone(),
            date: head.date.clone(),
            content_type: head.content_type.clone(),
            size: head.length,
        }
    }
}

/// Waiting for the pieces of one exchange.
struct Waiting<'a> {
    options: &'a Options,
    url: &'a Url,
    watch: Watch<'a>,
    started: Instant,
}

impl Waiting<'_> {
    fn head(&self, pieces: &Receiver<Piece>) -> Result<Head, Error> {
        // The exchange keeps the times of each of its own steps; this is for the whole, and for a name server that hangs.
        let patience = self.options.connect_timeout.saturating_mul(2).saturating_add(self.options.idle_timeout);
        match self.next(pieces, patience)? {
            Piece::Head(head) => Ok(*head),
            Piece::Failed(failure) => Err(self.failed(failure, 0, None)),
            Piece::Bytes(_) | Piece::End => Err(self.broken("an answer without a head")),
        }
    }

    fn body(&self, head: &Head, pieces: &Receiver<Piece>, sink: &mut dyn Write) -> Result<u64, Error> {
        let progress = self.watch.progress;
        progress.begin("fetching", head.length, Unit::Bytes);
        let done = self.bytes(head, pieces, sink, self.options.max_size);
        progress.end();
        done
    }

    fn bytes(&self, head: &Head, pieces: &Receiver<Piece>, sink: &mut dyn Write, limit: u64) -> Result<u64, Error> {
        let url = || self.url.shown();
        if let Some(encoding) = head.content_encoding.as_ref().filter(|encoding| !self.is_taken_as(encoding)) {
            return Err(Error::Encoded { url: url(), encoding: crate::path::shown(encoding.as_bytes()) });
        }
        if !head.is_delimited {
            return Err(Error::NoLength { url: url() });
        }
        if head.length.is_some_and(|length| length > limit) {
            return Err(Error::TooLarge { url: url(), limit });
        }
        self.pieces(head, pieces, sink, limit)
    }

    fn pieces(&self, head: &Head, pieces: &Receiver<Piece>, sink: &mut dyn Write, limit: u64) -> Result<u64, Error> {
        let url = || self.url.shown();
        let mut size = 0u64;
        loop {
            match self.next(pieces, self.options.idle_timeout)? {
                Piece::Bytes(bytes) => {
                    size = size.saturating_add(bytes.len() as u64);
                    if size > limit {
                        return Err(Error::TooLarge { url: url(), limit });
                    }
                    sink.write_all(&bytes).map_err(|source| Error::Write { path: PathBuf::new(), source })?;
                    self.watch.progress.add(bytes.len() as u64);
                }
                Piece::End => {
                    // The framing said so already; what decides whether this is content is counted here once more.
                    return match head.length.filter(|length| *length != size) {
                        Some(expected) => Err(Error::Truncated { url: url(), got: size, expected: Some(expected) }),
                        None => Ok(size),
                    };
                }
                Piece::Failed(failure) => return Err(self.failed(failure, size, head.length)),
                Piece::Head(_) => return Err(self.broken("two heads in one answer")),
            }
        }
    }

    /// A file that is packed by its own name is sent by some servers as if packing were theirs; its bytes are the file.
    fn is_taken_as(&self, encoding: &str) -> bool {
        let encoding = encoding.to_ascii_lowercase();
        let ends = |suffixes: &[&str]| {
            let name = self.url.file_name().unwrap_or_default().to_ascii_lowercase();
            suffixes.iter().any(|suffix| name.ends_with(suffix))
        };
        match encoding.as_str() {
            "" | "identity" => true,
            "gzip" | "x-gzip" => ends(&[".gz", ".tgz"]),
            "bzip2" | "x-bzip2" => ends(&[".bz2", ".tbz", ".tbz2"]),
            "zstd" => ends(&[".zst"]),
            "br" => ends(&[".br"]),
            _ => false,
        }
    }

    fn next(&self, pieces: &Receiver<Piece>, patience: Duration) -> Result<Piece, Error> {
        let until = Instant::now() + patience;
        let end = self.options.total_timeout.map(|total| self.started + total);
        loop {
            if self.watch.cancel.is_raised() {
                return Err(Error::Cancelled);
            }
            match pieces.recv_timeout(LOOK) {
                Ok(piece) => return Ok(piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.broken("the answer ended for no reason")),
            }
            let now = Instant::now();
            let late = |what, after| Err(Error::TimedOut { url: self.url.shown(), what, after });
            if let (Some(end), Some(total)) = (end, self.options.total_timeout)
                && now >= end
            {
                return late("it did not come whole", total);
            }
            if now >= until {
                return late("nothing came", patience);
            }
        }
    }

    fn failed(&self, failure: Failure, got: u64, expected: Option<u64>) -> Error {
        let url = self.url.shown();
        let late = |what, after| Error::TimedOut { url: self.url.shown(), what, after };
        match failure {
            Failure::Unreachable(what, source) => Error::Unreachable { url, what, source },
            Failure::Broken(what) => Error::Broken { url, what },
            Failure::Truncated => Error::Truncated { url, got, expected },
            Failure::Slow => late("nothing came", self.options.idle_timeout),
            Failure::SlowConnect => late("no connection", self.options.connect_timeout),
        }
    }

    fn broken(&self, what: &str) -> Error {
        Error::Broken { url: self.url.shown(), what: what.to_owned() }
    }
}

//! Asking: a place at the other end of a pipe.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use bstr::BString;

use super::frame::{Failure, Frame, GREETING, Landed, PART, TAIL, Word, decode, encode, folder_number, is_name};
use crate::store::ahead::{Ahead, Parts};
use crate::store::backend::{Backend, BackendError, Folder, Outcome, Queued, ReadAt, Staged};

/// What a login script may print before the greeting.
const NOISE: usize = 64 << 10;

/// Names in one folder at most.
const NAMES: usize = 1 << 20;

/// A place at the other end of a pipe. Clones are the same place.
#[derive(Debug, Clone)]
pub struct WireBackend {
    shared: Arc<Shared>,
}

struct Shared {
    place: String,
    /// How long nothing may come while an answer is waited for.
    patience: Duration,
    writer: Mutex<Box<dyn Write + Send>>,
    replies: Arc<Replies>,
    next: AtomicU64,
    /// Entries that came with the names of the log, to be read next.
    entries: Mutex<HashMap<String, Vec<u8>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("place", &self.place).finish_non_exhaustive()
    }
}

type Reply = Result<Vec<u8>, Failure>;

#[derive(Debug, Default)]
struct Replies {
    waiting: Mutex<HashMap<u64, mpsc::Sender<Reply>>>,
    /// When something came last.
    heard: Mutex<Option<Instant>>,
    /// Why no answers come any more.
    broken: Mutex<Option<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replies {
    /// Hands answers to those who wait for them, until there are no more.
    fn listen(&self, from: &mut dyn Read) {
        let why = loop {
            match Frame::read(from) {
                Ok(Some(frame)) => {
                    *locked(&self.heard) = Some(Instant::now());
                    let reply = match frame.word {
                        Word::Done => Ok(frame.body),
                        Word::Failed => match decode(&frame.body) {
                            Ok(failure) => Err(failure),
                            Err(err) => break format!("it answers in a way that is not understood: {err}"),
                        },
                        _ => break "it asks instead of answering".to_owned(),
                    };
                    // Nobody waits for some of them any more.
                    if let Some(waiting) = locked(&self.waiting).remove(&frame.number) {
                        let _ = waiting.send(reply);
                    }
                }
                Ok(None) => break "the connection was closed".to_owned(),
                Err(err) => break format!("the connection broke: {err}"),
            }
        };
        locked(&self.broken).get_or_insert(why);
        locked(&self.waiting).clear();
    }

    fn lost(&self) -> io::Error {
        let why = locked(&self.broken).clone().unwrap_or_else(|| "the connection was closed".to_owned());
        io::Error::new(io::ErrorKind::ConnectionAborted, why)
    }
}

impl WireBackend {
    /// The place that answers on `from` what is asked on `to`; `place` is its name for people. Once it has greeted, it may be silent for `patience`
    /// while it owes an answer.
    ///
    /// # Errors
    /// When nothing answers, or something else than prov.
    pub fn connect(
        mut from: Box<dyn Read + Send>,
        to: Box<dyn Write + Send>,
        place: String,
        patience: Duration,
    ) -> io::Result<Self> {
        let mut said = Vec::new();
        while !said.ends_with(GREETING) {
            let mut byte = [0];
            if said.len() > NOISE || from.read(&mut byte)? == 0 {
                let text = crate::path::shown(&said[..said.len().min(200)]);
                let what = if text.is_empty() { "nothing answers".to_owned() } else { format!("it says: {text}") };
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, what));
            }
            said.push(byte[0]);
        }
        let replies = Arc::new(Replies::default());
        let listener = Arc::clone(&replies);
        std::thread::Builder::new().name("wire".to_owned()).spawn(move || listener.listen(&mut *from))?;
        let shared = Shared {
            place,
            patience,
            writer: Mutex::new(to),
            replies,
            next: AtomicU64::new(1),
            entries: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, number: u64, word: Word, body: &[u8], flushes: bool) -> io::Result<()> {
        let mut writer = locked(&self.writer);
        let sent = Frame::write(&mut *writer, number, word, body);
        let sent = if flushes { sent.and_then(|()| writer.flush()) } else { sent };
        sent.map_err(|err| {
            locked(&self.replies.broken).get_or_insert(format!("the connection broke: {err}"));
            self.replies.lost()
        })
    }

    /// Asks, and does not wait yet.
    fn ask(&self, word: Word, body: &[u8]) -> io::Result<mpsc::Receiver<Reply>> {
        let (tell, told) = mpsc::channel();
        let number = self.number();
        locked(&self.replies.waiting).insert(number, tell);
        if locked(&self.replies.broken).is_some() {
            locked(&self.replies.waiting).remove(&number);
            return Err(self.replies.lost());
        }
        self.send(number, word, body, true)?;
        Ok(told)
    }

    fn wait(&self, told: &mpsc::Receiver<Reply>) -> io::Result<Reply> {
        let mut since = Instant::now();
        loop {
            let left = self.patience.saturating_sub(since.elapsed());
            match told.recv_timeout(left) {
                Ok(reply) => return Ok(reply),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(self.replies.lost()),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            // Answers to others are a sign of life, too.
            match *locked(&self.replies.heard) {
                Some(heard) if heard > since => since = heard,
                _ => {
                    let why = format!("nothing came for {} s", self.patience.as_secs());
                    locked(&self.replies.broken).get_or_insert(why);
                    return Err(self.replies.lost());
                }
            }
        }
    }

    /// Asks and waits for the answer.
    fn call(&self, word: Word, body: &[u8]) -> io::Result<Reply> {
        let told = self.ask(word, body)?;
        self.wait(&told)
    }

    /// Why a request failed, as a place says it.
    fn failed(&self, action: &'static str, file: &str, failure: Failure) -> BackendError {
        let place = self.place.clone();
        let source = match failure.kind.as_str() {
            "read-only" | "refused" => io::Error::new(io::ErrorKind::PermissionDenied, failure.what),
            "passing" => io::Error::new(io::ErrorKind::ConnectionAborted, failure.what),
            _ => io::Error::other(failure.what),
        };
        match failure.kind.as_str() {
            "read-only" => BackendError::ReadOnly { place, source },
            "no-atomic-create" => BackendError::NoAtomicCreate { place },
            _ => BackendError::Io { action, file: format!("{}/{file}", self.place), source },
        }
    }

    /// Asks for something that is encoded.
    fn get<T: serde::de::DeserializeOwned>(
        &self,
        action: &'static str,
        file: &str,
        word: Word,
        body: &impl serde::Serialize,
    ) -> Result<T, BackendError> {
        let broken = |source| BackendError::Io { action, file: format!("{}/{file}", self.place), source };
        let body = encode(body).map_err(broken)?;
        match self.call(word, &body).map_err(broken)? {
            Ok(bytes) => decode(&bytes).map_err(broken),
            Err(failure) => Err(self.failed(action, file, failure)),
        }
    }

    fn tell(
        &self,
        action: &'static str,
        file: &str,
        word: Word,
        body: &impl serde::Serialize,
    ) -> Result<(), BackendError> {
        let broken = |source| BackendError::Io { action, file: format!("{}/{file}", self.place), source };
        match self.call(word, &encode(body).map_err(broken)?).map_err(broken)? {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.failed(action, file, failure)),
        }
    }
}

#[derive(Debug)]
struct WireFile {
    shared: Arc<Shared>,
    folder: u8,
    name: String,
}

impl Parts for WireFile {
    /// Asked for in parts that are all under way at once.
    fn part(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut asked = Vec::new();
        let mut at = offset;
        while at < offset + len {
            let size = (offset + len - at).min(PART as u64);
            let body = encode(&(self.folder, self.name.as_str(), at, size))?;
            asked.push((size, self.shared.ask(Word::Part, &body)?));
            at += size;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        for (size, told) in asked {
            let part = self.shared.wait(&told)?.map_err(|failure| {
                let kind =
                    if failure.kind == "passing" { io::ErrorKind::ConnectionAborted } else { io::ErrorKind::Other };
                io::Error::new(kind, failure.what)
            })?;
            if part.len() as u64 != size {
                return Err(io::Error::other("it answers with another number of bytes"));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
}

#[derive(Debug)]
struct WireStaged {
    shared: Arc<Shared>,
    stage: u64,
    buffer: Vec<u8>,
    sent: u64,
    is_done: bool,
}

impl WireStaged {
    /// Sends what is buffered; nobody answers before the file gets its name.
    fn pass_on(&mut self) -> io::Result<()> {
        let mut body = self.stage.to_be_bytes().to_vec();
        body.append(&mut self.buffer);
        self.sent += (body.len() - 8) as u64;
        self.shared.send(self.shared.number(), Word::Write, &body, false)
    }
}

impl Write for WireStaged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() >= PART {
            self.pass_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for WireStaged {
    fn position(&self) -> u64 {
        self.sent + self.buffer.len() as u64
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if let Some(keep) = len.checked_sub(self.sent) {
            self.buffer.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
            return Ok(());
        }
        self.buffer.clear();
        self.sent = len;
        self.shared.send(self.shared.number(), Word::Truncate, &encode(&(self.stage, len))?, false)
    }

    fn publish(mut self: Box<Self>, folder: Folder, name: &str) -> Result<Outcome, BackendError> {
        let file = format!("{folder}/{name}");
        let broken = |source| BackendError::Io { action: "write", file: file.clone(), source };
        self.pass_on().map_err(broken)?;
        let body = encode(&(self.stage, folder_number(folder), name)).map_err(broken)?;
        self.is_done = true;
        let told = self.shared.ask(Word::Publish, &body);
        // Asked, but no answer: it may have been done.
        let Ok(reply) = told.and_then(|told| self.shared.wait(&told)) else { return Ok(Outcome::Unknown) };
        match reply {
            Ok(bytes) => Ok(match decode(&bytes) {
                Ok(Landed::Won) => Outcome::Won,
                Ok(Landed::Lost) => Outcome::Lost,
                Ok(Landed::Unknown) | Err(_) => Outcome::Unknown,
            }),
            Err(failure) => Err(self.shared.failed("create", &file, failure)),
        }
    }
}

impl Drop for WireStaged {
    fn drop(&mut self) {
        if !self.is_done
            && let Ok(body) = encode(&self.stage)
        {
            let _ = self.shared.send(self.shared.number(), Word::Forget, &body, true);
        }
    }
}

impl Backend for WireBackend {
    fn place(&self) -> String {
        self.shared.place.clone()
    }

    fn names(&self, folder: Folder) -> Result<Vec<String>, BackendError> {
        let (mut names, entries): (Vec<String>, Vec<(String, BString)>) =
            self.shared.get("list", folder.as_str(), Word::Names, &folder_number(folder))?;
        names.truncate(NAMES);
        names.retain(|name| is_name(name));
        if folder == Folder::Log {
            // Good for one reading each: the entry of a number may be another one later on.
            *locked(&self.shared.entries) = entries.into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
        }
        Ok(names)
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>, BackendError> {
        let mut found: Vec<(String, u64)> =
            self.shared.get("list", folder.as_str(), Word::List, &folder_number(folder))?;
        found.truncate(NAMES);
        found.retain(|(name, _)| is_name(name));
        Ok(found)
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
        if folder == Folder::Log
            && let Some(bytes) = locked(&self.shared.entries).remove(name)
        {
            return Ok(Some(bytes));
        }
        let file = format!("{folder}/{name}");
        let found: Option<BString> = self.shared.get("read", &file, Word::Read, &(folder_number(folder), name))?;
        Ok(found.map(Vec::from))
    }

    fn open(&self, folder: Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, BackendError> {
        let file = format!("{folder}/{name}");
        let found: Option<(u64, BString)> =
            self.shared.get("open", &file, Word::Open, &(folder_number(folder), name))?;
        let Some((size, tail)) = found else { return Ok(None) };
        if tail.len() as u64 != size.min(TAIL) {
            let source = io::Error::other("it answers with another number of bytes");
            return Err(BackendError::Io { action: "open", file, source });
        }
        let file = WireFile { shared: Arc::clone(&self.shared), folder: folder_number(folder), name: name.to_owned() };
        Ok(Some(Box::new(Ahead::new(file, size, tail.into()))))
    }

    fn stage(&self) -> Result<Box<dyn Staged>, BackendError> {
        let stage = self.shared.number();
        Ok(Box::new(WireStaged {
            shared: Arc::clone(&self.shared),
            stage,
            buffer: Vec::new(),
            sent: 0,
            is_done: false,
        }))
    }

    fn sync(&self, folder: Folder) -> Result<(), BackendError> {
        self.shared.tell("flush", folder.as_str(), Word::Sync, &folder_number(folder))
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<(), BackendError> {
        let file = format!("{folder}/{name}");
        self.shared.tell("remove", &file, Word::Remove, &(folder_number(folder), name))
    }

    fn prepare(&self) -> Result<(), BackendError> {
        self.shared.tell("make", "the store", Word::Prepare, &())
    }

    fn read_format(&self) -> Result<Option<Vec<u8>>, BackendError> {
        let found: Option<BString> = self.shared.get("read", "format", Word::ReadFormat, &())?;
        Ok(found.map(Vec::from))
    }

    fn drop_format(&self) -> Result<(), BackendError> {
        let what = "a store is repaired where it lies".to_owned();
        Err(self.shared.failed("set aside", "format", Failure { kind: "refused".to_owned(), what }))
    }

    fn create_format(&self, bytes: &[u8]) -> Result<Outcome, BackendError> {
        let broken =
            |source| BackendError::Io { action: "write", file: format!("{}/format", self.shared.place), source };
        let Ok(reply) = self.shared.call(Word::CreateFormat, bytes) else { return Ok(Outcome::Unknown) };
        match reply {
            Ok(bytes) => Ok(match decode(&bytes).map_err(broken)? {
                Landed::Won => Outcome::Won,
                Landed::Lost => Outcome::Lost,
                Landed::Unknown => Outcome::Unknown,
            }),
            Err(failure) => Err(self.shared.failed("create", "format", failure)),
        }
    }

    fn queue(&self, _wait: Duration) -> Option<Box<dyn Queued>> {
        None
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn lost(&self) -> Option<String> {
        locked(&self.shared.replies.broken).clone()
    }
}

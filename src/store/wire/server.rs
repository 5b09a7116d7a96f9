//! Answering: a place of this machine for somebody at the other end of a pipe.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use bstr::BString;

use super::append::{Guard, Ruling};
use super::frame::{ENTRIES, Failure, Frame, GREETING, Landed, PART, TAIL, Word, decode, encode, folder, is_name};
use crate::store::backend::{Backend, BackendError, Folder, Outcome, ReadAt, Staged};
use crate::store::{World, entry};

/// What the other side may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything that a writer of the store does.
    Full,
    /// Add to the store: nothing leaves it, nothing that is there changes its meaning.
    AppendOnly,
    /// Read.
    ReadOnly,
}

/// Files that are being written at once.
const STAGES: usize = 64;

/// Files that are held open.
const OPEN: usize = 64;

/// Answers from `place` until the other side is gone.
///
/// # Errors
/// When the pipe fails, or the other side breaks the rules of messages. Files that were being written are removed.
pub fn serve(
    place: &Arc<dyn Backend>,
    world: &World,
    mode: Mode,
    input: &mut dyn Read,
    output: &mut dyn Write,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(256 << 10, output);
    out.write_all(GREETING)?;
    out.flush()?;
    let mut server = Server {
        place,
        mode,
        guard: (mode == Mode::AppendOnly).then(|| Guard::new(Arc::clone(place), world.clone())),
        stages: HashMap::new(),
        open: VecDeque::new(),
    };
    while let Some(frame) = Frame::read(input)? {
        let answers = !matches!(frame.word, Word::Write | Word::Truncate | Word::Forget);
        let answer = server.answer(&frame);
        if !answers {
            continue;
        }
        match answer {
            Ok(body) => Frame::write(&mut out, frame.number, Word::Done, &body)?,
            Err(failure) => Frame::write(&mut out, frame.number, Word::Failed, &encode(&failure)?)?,
        }
        out.flush()?;
    }
    Ok(())
}

struct Stage {
    file: Option<Box<dyn Staged>>,
    failed: Option<Failure>,
    /// The bytes so far, where an entry may have to be looked into.
    copy: Option<Vec<u8>>,
}

struct Server<'a> {
    place: &'a Arc<dyn Backend>,
    mode: Mode,
    guard: Option<Guard>,
    stages: HashMap<u64, Stage>,
    open: VecDeque<((Folder, String), Box<dyn ReadAt>)>,
}

fn refused(what: impl Into<String>) -> Failure {
    Failure { kind: "refused".to_owned(), what: what.into() }
}

fn failed(err: &BackendError) -> Failure {
    let kind = match err {
        BackendError::ReadOnly { .. } => "read-only",
        BackendError::NoAtomicCreate { .. } => "no-atomic-create",
        err if err.may_pass() => "passing",
        _ => "io",
    };
    let mut what = err.to_string();
    if let Some(source) = std::error::Error::source(err) {
        what = format!("{what}: {source}");
    }
    Failure { kind: kind.to_owned(), what }
}

fn io_failed(err: &io::Error) -> Failure {
    let kind = if crate::fs::may_pass(err) { "passing" } else { "io" };
    Failure { kind: kind.to_owned(), what: err.to_string() }
}

/// Takes a request's body apart.
fn asked<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    decode(body).map_err(|err| refused(err.to_string()))
}

fn told<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    encode(value).map_err(|err| io_failed(&err))
}

fn folder_of(number: u8) -> Result<Folder, Failure> {
    folder(number).ok_or_else(|| refused("no such folder"))
}

fn file_of(number: u8, name: &str) -> Result<Folder, Failure> {
    if !is_name(name) {
        return Err(refused("no possible name of a file"));
    }
    folder_of(number)
}

impl Server<'_> {
    fn may_write(&self) -> Result<(), Failure> {
        match self.mode {
            Mode::ReadOnly => {
                Err(Failure { kind: "read-only".to_owned(), what: "this side only lets read".to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn answer(&mut self, frame: &Frame) -> Result<Vec<u8>, Failure> {
        let body = frame.body.as_slice();
        let place = self.place;
        match frame.word {
            Word::Names => self.names(folder_of(asked(body)?)?),
            Word::List => told(&place.list(folder_of(asked(body)?)?).map_err(|err| failed(&err))?),
            Word::Read => {
                let (number, name): (u8, String) = asked(body)?;
                let found = place.read(file_of(number, &name)?, &name).map_err(|err| failed(&err))?;
                told(&found.map(BString::from))
            }
            Word::Open => self.open(body),
            Word::Part => self.part(body),
            Word::Write => {
                let Some((stage, bytes)) = body.split_first_chunk::<8>() else { return Err(refused("no file")) };
                self.write(u64::from_be_bytes(*stage), bytes)
            }
            Word::Truncate => {
                let (stage, len): (u64, u64) = asked(body)?;
                if let Some(stage) = self.stages.get_mut(&stage)
                    && let Some(file) = &mut stage.file
                {
                    if let Err(err) = file.truncate(len) {
                        stage.failed.get_or_insert(io_failed(&err));
                    }
                    if let Some(copy) = &mut stage.copy {
                        copy.truncate(usize::try_from(len).unwrap_or(usize::MAX));
                    }
                }
                Ok(Vec::new())
            }
            Word::Publish => self.publish(body),
            Word::Forget => {
                self.stages.remove(&asked(body)?);
                Ok(Vec::new())
            }
            Word::Sync => {
                self.may_write()?;
                place.sync(folder_of(asked(body)?)?).map_err(|err| failed(&err))?;
                Ok(Vec::new())
            }
            Word::Remove => {
                self.may_write()?;
                if self.mode == Mode::AppendOnly {
                    return Err(refused("nothing is removed from a store that is only added to"));
                }
                let (number, name): (u8, String) = asked(body)?;
                place.remove(file_of(number, &name)?, &name).map_err(|err| failed(&err))?;
                Ok(Vec::new())
            }
            Word::Prepare => {
                self.may_write()?;
                place.prepare().map_err(|err| failed(&err))?;
                Ok(Vec::new())
            }
            Word::ReadFormat => told(&place.read_format().map_err(|err| failed(&err))?.map(BString::from)),
            Word::CreateFormat => {
                self.may_write()?;
                let outcome = place.create_format(body).map_err(|err| failed(&err))?;
                told(&landed(outcome))
            }
            Word::Done | Word::Failed => Err(refused("an answer where a request should be")),
        }
    }

    /// Names of a folder; of the log with the newest entries, which whoever asks for them will read next.
    fn names(&self, folder: Folder) -> Result<Vec<u8>, Failure> {
        let mut names = self.place.names(folder).map_err(|err| failed(&err))?;
        names.retain(|name| is_name(name));
        let mut entries: Vec<(String, BString)> = Vec::new();
        if folder == Folder::Log {
            let mut numbers: Vec<u64> = names.iter().filter_map(|name| entry::parse_name(name)).collect();
            numbers.sort_unstable();
            let mut bytes = 0;
            for number in numbers.into_iter().rev().take(64) {
                let name = entry::name(number);
                let Ok(Some(found)) = self.place.read(folder, &name) else { continue };
                bytes += found.len();
                if bytes > ENTRIES {
                    break;
                }
                entries.push((name, found.into()));
            }
        }
        told(&(names, entries))
    }

    fn open(&mut self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let (number, name): (u8, String) = asked(body)?;
        let folder = file_of(number, &name)?;
        let Some(file) = self.place.open(folder, &name).map_err(|err| failed(&err))? else {
            return told(&None::<(u64, BString)>);
        };
        let size = file.size().map_err(|err| io_failed(&err))?;
        let at = size.saturating_sub(TAIL);
        let mut tail = vec![0; usize::try_from(size - at).unwrap_or(0)];
        file.read_exact_at(at, &mut tail).map_err(|err| io_failed(&err))?;
        self.hold(folder, name, file);
        told(&Some((size, BString::from(tail))))
    }

    fn hold(&mut self, folder: Folder, name: String, file: Box<dyn ReadAt>) {
        self.open.retain(|(key, _)| *key != (folder, name.clone()));
        self.open.truncate(OPEN - 1);
        self.open.push_front(((folder, name), file));
    }

    fn part(&mut self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let (number, name, offset, len): (u8, String, u64, u64) = asked(body)?;
        let folder = file_of(number, &name)?;
        if len > PART as u64 {
            return Err(refused("too much at once"));
        }
        let key = (folder, name.clone());
        if self.open.front().is_none_or(|(held, _)| *held != key) {
            match self.open.iter().position(|(held, _)| *held == key) {
                Some(at) => {
                    if let Some(held) = self.open.remove(at) {
                        self.open.push_front(held);
                    }
                }
                None => match self.place.open(folder, &name).map_err(|err| failed(&err))? {
                    Some(file) => self.hold(folder, name, file),
                    None => return Err(Failure { kind: "passing".to_owned(), what: "the file is gone".to_owned() }),
                },
            }
        }
        let Some((_, file)) = self.open.front() else { return Err(refused("no file")) };
        let size = file.size().map_err(|err| io_failed(&err))?;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(refused("it ends before"));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        file.read_exact_at(offset, &mut bytes).map_err(|err| io_failed(&err))?;
        Ok(bytes)
    }

    fn write(&mut self, number: u64, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        self.may_write()?;
        if !self.stages.contains_key(&number) {
            if self.stages.len() >= STAGES {
                return Err(refused("too many files at once"));
            }
            let copy = self.guard.is_some().then(Vec::new);
            let stage = match self.place.stage() {
                Ok(file) => Stage { file: Some(file), failed: None, copy },
                Err(err) => Stage { file: None, failed: Some(failed(&err)), copy: None },
            };
            self.stages.insert(number, stage);
        }
        let Some(stage) = self.stages.get_mut(&number) else { return Ok(Vec::new()) };
        if let (Some(file), None) = (&mut stage.file, &stage.failed)
            && let Err(err) = file.write_all(bytes)
        {
            stage.failed = Some(io_failed(&err));
        }
        match &mut stage.copy {
            // What is longer is no entry.
            Some(copy) if copy.len() + bytes.len() > super::frame::FRAME_MAX => stage.copy = None,
            Some(copy) => copy.extend_from_slice(bytes),
            None => {}
        }
        Ok(Vec::new())
    }

    fn publish(&mut self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let (number, folder, name): (u64, u8, String) = asked(body)?;
        let stage = self.stages.remove(&number);
        self.may_write()?;
        let folder = file_of(folder, &name)?;
        let stage = stage.ok_or_else(|| refused("no such file is being written"))?;
        if let Some(failure) = stage.failed {
            return Err(failure);
        }
        let Some(file) = stage.file else { return Err(refused("no such file is being written")) };
        if let Some(guard) = &self.guard
            && guard.check(folder, &name, stage.copy.as_deref()).map_err(refused)? == Ruling::Late
        {
            return told(&Landed::Lost);
        }
        let outcome = file.publish(folder, &name).map_err(|err| failed(&err))?;
        if let (Folder::Log, Outcome::Won, Some(number)) = (folder, outcome, entry::parse_name(&name)) {
            self.place.tell_newest(number);
        }
        if let (Some(guard), Folder::Log) = (&self.guard, folder) {
            guard.tidy();
        }
        told(&landed(outcome))
    }
}

fn landed(outcome: Outcome) -> Landed {
    match outcome {
        Outcome::Won => Landed::Won,
        Outcome::Lost => Landed::Lost,
        Outcome::Unknown => Landed::Unknown,
    }
}

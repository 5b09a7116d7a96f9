//! Frames: a length, a request number, a word, and what belongs to it.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Limits};
use crate::store::backend::Folder;

/// What the answering side says first, before anything that a login script may have printed can be taken for an answer.
pub(super) const GREETING: &[u8; 10] = b"\nprovwire1";

/// Bytes of one frame at most: a log entry of the greatest length, and a little.
pub(super) const FRAME_MAX: usize = 24 << 20;

/// Bytes of content in one frame.
pub(super) const PART: usize = 1 << 20;

/// Bytes at the end of a file that are given with its size.
pub(super) const TAIL: u64 = 64 << 10;

/// Bytes of entries that are given with the names of the log.
pub(super) const ENTRIES: usize = 8 << 20;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Names = 1,
    List = 2,
    Read = 3,
    Open = 4,
    Part = 5,
    Write = 6,
    Truncate = 7,
    Publish = 8,
    Forget = 9,
    Sync = 10,
    Remove = 11,
    Prepare = 12,
    ReadFormat = 13,
    CreateFormat = 14,
    /// An answer.
    Done = 64,
    /// The answer that it could not be done.
    Failed = 65,
}

impl Word {
    fn parse(byte: u8) -> Option<Self> {
        use Word::{
            CreateFormat, Done, Failed, Forget, List, Names, Open, Part, Prepare, Publish, Read, ReadFormat, Remove,
            Sync, Truncate, Write,
        };
        let all = [
            Names,
            List,
            Read,
            Open,
            Part,
            Write,
            Truncate,
            Publish,
            Forget,
            Sync,
            Remove,
            Prepare,
            ReadFormat,
            CreateFormat,
            Done,
            Failed,
        ];
        all.into_iter().find(|word| *word as u8 == byte)
    }
}

/// A message.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) number: u64,
    pub(super) word: Word,
    pub(super) body: Vec<u8>,
}

impl Frame {
    /// Writes a frame; the caller flushes.
    pub(super) fn write(out: &mut dyn Write, number: u64, word: Word, body: &[u8]) -> io::Result<()> {
        let len = body.len() + 9;
        if len > FRAME_MAX {
            return Err(io::Error::other(format!("a message of {len} bytes")));
        }
        out.write_all(&u32::try_from(len).map_err(io::Error::other)?.to_be_bytes())?;
        out.write_all(&number.to_be_bytes())?;
        out.write_all(&[word as u8])?;
        out.write_all(body)
    }

    /// Reads a frame; `None` at the end.
    pub(super) fn read(from: &mut dyn Read) -> io::Result<Option<Self>> {
        let mut len = [0; 4];
        match from.read(&mut len)? {
            0 => return Ok(None),
            read => from.read_exact(&mut len[read..])?,
        }
        let len = u32::from_be_bytes(len) as usize;
        if !(9..=FRAME_MAX).contains(&len) {
            return Err(io::Error::other(format!("a message of {len} bytes is announced")));
        }
        let mut head = [0; 9];
        from.read_exact(&mut head)?;
        let (number, word) = head.split_at(8);
        let number = u64::from_be_bytes(number.try_into().map_err(io::Error::other)?);
        let word = Word::parse(word[0]).ok_or_else(|| io::Error::other("a message with an unknown word"))?;
        // As much as comes, not as much as was announced, is what memory is taken for.
        let mut body = Vec::with_capacity((len - 9).min(PART + 1024));
        let read = from.take((len - 9) as u64).read_to_end(&mut body)?;
        if read != len - 9 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Self { number, word, body }))
    }
}

/// The number of a folder in messages.
pub(super) fn folder_number(folder: Folder) -> u8 {
    match folder {
        Folder::Log => 0,
        Folder::Packs => 1,
        Folder::Tables => 2,
        Folder::History => 3,
        Folder::Tmp => 4,
        Folder::Quarantine => 5,
    }
}

/// The folder of a number.
pub(super) fn folder(number: u8) -> Option<Folder> {
    Folder::ALL.into_iter().find(|folder| folder_number(*folder) == number)
}

/// Whether it is the name of a file and nothing else: no path, nothing hidden.
pub(super) fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Why something could not be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Failure {
    /// `read-only`, `no-atomic-create`, `refused`, `passing` or `io`.
    pub(super) kind: String,
    pub(super) what: String,
}

/// What a publication came to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Landed {
    Won,
    Lost,
    Unknown,
}

pub(super) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    codec::encode_within(value, &WIDE).map_err(io::Error::other)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    codec::decode_lenient(bytes, &WIDE).map_err(io::Error::other)
}

const WIDE: Limits = Limits { bytes: FRAME_MAX, ..Limits::RECORD };

//! Bytes that somebody made up: every decoder is given valid bytes that were changed, by a seed. None may panic, hang, or take what
//! is not exactly what it would write.
//!
//! Where a checksum stands before the decoder, it is made right again after most changes, so that what lies behind it is met.

use std::path::Path;
use std::sync::Arc;

use super::chance::Chance;
use crate::codec::{self, Limits};
use crate::config;
use crate::hash::{Id, derived};
use crate::object::chunks::Chunks;
use crate::object::config::Config;
use crate::object::inputs::InputList;
use crate::object::recipe::Recipe;
use crate::object::scenario::Scenario;
use crate::object::tree::{self, Tree};
use crate::object::{self, Envelope, Kind, Record, RunRecord, Source};
use crate::store::backend::{Backend, Folder};
use crate::store::entry::{self, Entry};
use crate::store::sorted::{Cursor, FILE_CONTEXT, SortedFile, verify};
use crate::store::{MemoryBackend, Store, compress, format, history, pack, scan};

/// One of the things that are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Entry(u64),
    Sorted(Folder),
    Object(Kind),
    Format,
    Config(config::Format),
    Compressed(u64),
}

/// Valid bytes to begin with.
#[derive(Debug)]
pub struct Corpus(Vec<(Target, Vec<u8>)>);

impl Corpus {
    /// What is in a store, whose files are given with their paths from its folder, and texts of configurations with their names.
    pub fn of_store(files: &[(String, Vec<u8>)], configs: &[(String, Vec<u8>)], world: &crate::store::World) -> Self {
        let place = MemoryBackend::new();
        let mut found = Vec::new();
        for (path, bytes) in files {
            let Some((dir, name)) = path.split_once('/') else {
                if path == "format" && place.create_format(bytes).is_ok() {
                    found.push((Target::Format, bytes.clone()));
                }
                continue;
            };
            let Some(folder) = Folder::ALL.into_iter().find(|folder| folder.as_str() == dir) else { continue };
            place.overwrite(folder, name, Some(bytes.clone()));
            match (folder, entry::parse_name(name)) {
                (Folder::Log, Some(number)) => found.push((Target::Entry(number), bytes.clone())),
                (Folder::Packs | Folder::Tables | Folder::History, _) => {
                    found.push((Target::Sorted(folder), bytes.clone()));
                }
                _ => {}
            }
        }
        if let Ok(snapshot) = Store::open(Arc::new(place), world).and_then(|store| store.snapshot()) {
            for digit in 0..16u8 {
                for (id, kind) in snapshot.find_ids(&format!("{digit:x}"), 1_000).unwrap_or_default() {
                    if let Ok(Some((_, bytes))) = snapshot.read(&id) {
                        if let Some(stored) = compress::compress(&bytes.repeat(40)) {
                            found.push((Target::Compressed(bytes.len() as u64 * 40), stored));
                        }
                        found.push((Target::Object(kind), bytes));
                    }
                }
            }
        }
        for (name, bytes) in configs {
            if let Some(format) = config::Format::of(Path::new(name)) {
                found.push((Target::Config(format), bytes.clone()));
            }
        }
        Self(found)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Changes one of the corpus as `seed` says and decodes it.
///
/// # Errors
/// What a decoder took although it would have written something else.
pub fn execute(corpus: &Corpus, seed: u64) -> Result<(), String> {
    let mut chance = Chance::new(seed, 3);
    let (target, valid) = &corpus.0[chance.below(corpus.0.len())];
    let (_, other) = &corpus.0[chance.below(corpus.0.len())];
    let mut bytes = valid.clone();
    let seal = match target {
        Target::Entry(_) => 32,
        _ => 0,
    };
    bytes.truncate(bytes.len() - seal.min(bytes.len()));
    for _ in 0..=chance.below(4) {
        change(&mut bytes, other, &mut chance);
    }
    if seal > 0 && chance.hits(950) {
        let digest = derived(entry::CONTEXT, &bytes);
        bytes.extend_from_slice(digest.digest());
    }
    let result = decode(target, &bytes);
    result.map_err(|what| format!("{target:?}, seed {seed}: {what}: {}", crate::hash::hex(&bytes)))
}

/// Lengths, kinds and ends of their ranges, in the encodings that are used.
const MARKERS: [u8; 17] =
    [0, 1, 0x7f, 0x80, 0x90, 0xa0, 0xbf, 0xc0, 0xc4, 0xc6, 0xcf, 0xd9, 0xdb, 0xdc, 0xdd, 0xdf, 0xff];

/// Changes bytes in one of the ways that broken disks and other people have.
fn change(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    if bytes.is_empty() {
        bytes.push(chance.next().to_le_bytes()[0]);
        return;
    }
    let at = chance.below(bytes.len());
    let some = 1 + chance.below(8.min(bytes.len() - at));
    match chance.below(9) {
        0 => bytes[at] ^= 1 << chance.below(8),
        1 => bytes[at] = chance.pick(&MARKERS),
        2 => bytes[at..at + some].fill(0xff),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..at + some)),
        5 => {
            let again = bytes[at..at + some].to_vec();
            bytes.splice(at..at, again);
        }
        6 => {
            let number =
                chance.pick(&[0u64, 1, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX]);
            let wide = if chance.hits(500) { number.to_be_bytes() } else { number.to_le_bytes() };
            let len = chance.pick(&[1, 2, 4, 8]).min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&wide[..len]);
        }
        7 if !other.is_empty() => {
            let from = chance.below(other.len());
            let len = 1 + chance.below(64.min(other.len() - from));
            bytes.splice(at..at + some, other[from..from + len].iter().copied());
        }
        _ => {
            let with = chance.below(bytes.len());
            bytes.swap(at, with);
        }
    }
}

fn same(decoded: &[u8], bytes: &[u8]) -> Result<(), String> {
    if decoded == bytes { Ok(()) } else { Err("it was taken and is written otherwise".to_owned()) }
}

fn record<R: Record>(bytes: &[u8]) -> Result<(), String> {
    let Ok(record) = R::decode(bytes) else { return Ok(()) };
    same(&record.encode().map_err(|err| format!("it was taken and can't be written: {err}"))?, bytes)
}

fn decode(target: &Target, bytes: &[u8]) -> Result<(), String> {
    match target {
        Target::Entry(number) => {
            let Ok((entry, _)) = Entry::decode(bytes, *number) else { return Ok(()) };
            same(&entry.encode().map_err(|err| format!("it was taken and can't be written: {err}"))?.0, bytes)
        }
        Target::Sorted(folder) => sorted(*folder, bytes),
        Target::Object(kind) => {
            // What one kind refuses another may take.
            record::<Tree>(bytes)?;
            record::<Recipe>(bytes)?;
            record::<RunRecord>(bytes)?;
            record::<InputList>(bytes)?;
            record::<Scenario>(bytes)?;
            record::<Config>(bytes)?;
            record::<Chunks>(bytes)?;
            let _ = tree::size(bytes);
            let _ = object::links(kind, bytes);
            let _ = codec::skip(bytes, &Limits::RECORD);
            if let Ok(envelope) = Envelope::parse(bytes)
                && !envelope.links.is_sorted()
            {
                return Err("links out of order".to_owned());
            }
            Ok(())
        }
        Target::Format => match format::decode(bytes, "fuzz") {
            Ok(id) => {
                let id = crate::hash::unhex(&id).and_then(|id| id.try_into().ok()).ok_or("an id that is none")?;
                same(&format::encode(id), bytes)
            }
            Err(_) => Ok(()),
        },
        Target::Config(format) => {
            let _ = config::parse(Path::new("fuzz"), *format, bytes);
            Ok(())
        }
        Target::Compressed(len) => {
            if compress::decompress(bytes, *len).is_ok_and(|found| found.len() as u64 != *len) {
                return Err("another length than was asked for".to_owned());
            }
            Ok(())
        }
    }
}

/// Goes through a sorted file in every way there is. Its name is made right, so that its root is looked into.
fn sorted(folder: Folder, bytes: &[u8]) -> Result<(), String> {
    let name = root_of(bytes).map_or(Id::ZERO, |root| derived(FILE_CONTEXT, root));
    let place = MemoryBackend::new();
    place.overwrite(folder, "fuzz", Some(bytes.to_vec()));
    let Ok(Some(file)) = place.open(folder, "fuzz") else { return Err("the place is broken".to_owned()) };
    let Ok(file) = SortedFile::open(file, &name) else { return Ok(()) };
    let file = Arc::new(file);
    let mut forward: Vec<Vec<u8>> = Vec::new();
    let mut is_whole = false;
    if let Ok(mut cursor) = Cursor::forward(&file, b"") {
        while let Some((key, value)) = cursor.record() {
            if forward.last().is_some_and(|last| last.as_slice() >= key) {
                return Err("keys out of order".to_owned());
            }
            forward.push(key.to_vec());
            let _ = scan::decode_value(value);
            let _ = history::parse_edit_key(key);
            let _ = codec::decode::<history::Change>(value, &Limits::RECORD);
            if let (Some(id), Ok(found)) = (Id::from_bytes(key), pack::PackRecord::parse(value, &file))
                && found.len < 1 << 20
            {
                let _ = pack::read(&file, &id, &found);
            }
            match cursor.advance() {
                Ok(()) => is_whole = cursor.record().is_none(),
                Err(_) => break,
            }
        }
    }
    if let (true, Ok(mut cursor)) = (is_whole, Cursor::backward(&file, None)) {
        for key in forward.iter().rev() {
            if cursor.record().map(|(key, _)| key) != Some(key.as_slice()) || cursor.advance().is_err() {
                return Err("backward it holds other records than forward".to_owned());
            }
        }
        for key in forward.iter().take(8) {
            if !matches!(file.get(key), Ok(Some(_))) {
                return Err("a record that is there is not found".to_owned());
            }
        }
    }
    verify(&file, *bytes.first_chunk().unwrap_or(&[0; 8]), &mut |_, _| {}, &mut |_| {});
    Ok(())
}

/// The root block of a sorted file, if its end says where that lies.
fn root_of(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.len().checked_sub(16)?;
    let offset = u64::from_le_bytes(bytes.get(end..end + 8)?.try_into().ok()?);
    bytes.get(usize::try_from(offset).ok()?..end)
}

//! Log entries: their fields, their bytes, their digest (`docs/format.md`, section 9).

use std::collections::BTreeMap;
use std::fmt;

use bstr::BString;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Deserialize as DeserializeDerive, Serialize, Serializer};

use super::backend::Folder;
use super::plain;
use crate::clock::{Micros, Random};
use crate::codec::{self, Limits};
use crate::hash::{Id, derived, hex};
use crate::object::Kind;

const MAGIC: &[u8; 8] = b"provlog1";
pub(super) const CONTEXT: &str = "prov 2026-11 log entry";
const DIGEST_LEN: usize = 32;

/// The bytes of inline objects in one entry at most.
pub(super) const INLINE_MAX: usize = 256 << 10;

/// The id of an operation: whoever tries the same operation again uses the same id, and it counts once.
#[derive(Clone, Copy)]
pub struct OpId {
    bytes: [u8; 16],
    /// Made by this process and never yet given away, so no entry can hold it.
    fresh: bool,
}

impl OpId {
    /// A new id.
    pub fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self { bytes, fresh: true }
    }

    /// An id that was written down earlier: an entry may hold it already.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { bytes, fresh: false }
    }

    /// The id, to be written down.
    pub fn to_bytes(self) -> [u8; 16] {
        self.bytes
    }

    /// Whether no entry can hold it yet.
    pub(super) fn is_fresh(self) -> bool {
        self.fresh
    }
}

impl PartialEq for OpId {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for OpId {}

impl std::hash::Hash for OpId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpId({self})")
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.bytes))
    }
}

impl Serialize for OpId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for OpId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = BString::deserialize(deserializer)?;
        let bytes = <[u8; 16]>::try_from(bytes.as_slice()).map_err(|_| de::Error::custom("an id of 16 bytes"))?;
        Ok(Self::from_bytes(bytes))
    }
}

/// What a ref must be for an edit to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// Not there.
    Absent,
    /// No ref has a key that begins with this one.
    PrefixEmpty,
    /// There, with exactly this value.
    Is(Vec<u8>),
}

impl Serialize for Expect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Expect::Any => serializer.serialize_u8(0),
            Expect::Absent => serializer.serialize_u8(1),
            Expect::PrefixEmpty => serializer.serialize_u8(2),
            Expect::Is(value) => serializer.serialize_bytes(value),
        }
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ExpectVisitor;
        impl Visitor<'_> for ExpectVisitor {
            type Value = Expect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an expectation")
            }

            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Expect, E> {
                match v {
                    0 => Ok(Expect::Any),
                    1 => Ok(Expect::Absent),
                    2 => Ok(Expect::PrefixEmpty),
                    _ => Err(E::custom("an unknown expectation")),
                }
            }

            fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<Expect, E> {
                Ok(Expect::Is(v.to_vec()))
            }
        }
        deserializer.deserialize_any(ExpectVisitor)
    }
}

/// A change of one ref: `[key, expect, new]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeserializeDerive)]
pub(super) struct Edit(pub(super) BString, pub(super) Expect, pub(super) Option<BString>);

/// An object in an entry: `[kind, bytes]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeserializeDerive)]
pub(super) struct Inline(pub(super) Kind, pub(super) BString);

/// What a pack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Records: the history.
    Records = 0,
    /// Blobs and trees: the bytes.
    Content = 1,
}

impl Class {
    /// Where an object of `kind` goes.
    pub fn of(kind: &Kind) -> Self {
        if *kind == Kind::BLOB || *kind == Kind::TREE || *kind == Kind::CHUNKS {
            Class::Content
        } else {
            Class::Records
        }
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Class::Records),
            1 => Ok(Class::Content),
            _ => Err(de::Error::custom("not a class of packs")),
        }
    }
}

/// A pack of the state: `[name, class, level, file length, count]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeserializeDerive)]
pub struct PackRow(pub Id, pub Class, pub u8, pub u64, pub u64);

impl PackRow {
    /// Its name.
    pub fn name(&self) -> Id {
        self.0
    }

    /// What it holds.
    pub fn class(&self) -> Class {
        self.1
    }

    /// How often its content was merged.
    pub fn level(&self) -> u8 {
        self.2
    }

    /// The length of its file.
    pub fn file_len(&self) -> u64 {
        self.3
    }

    /// How many objects it holds.
    pub fn count(&self) -> u64 {
        self.4
    }
}

/// A table or history file of the state: `[name, level, file length, count]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeserializeDerive)]
pub struct FileRow(pub Id, pub u8, pub u64, pub u64);

impl FileRow {
    /// Its name.
    pub fn name(&self) -> Id {
        self.0
    }

    /// How often its content was merged.
    pub fn level(&self) -> u8 {
        self.1
    }

    /// The length of the file.
    pub fn file_len(&self) -> u64 {
        self.2
    }
}

/// A file that left the state and may still lie in its folder: `[folder, name]`, folder 0 packs, 1 tables, 2 history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gone(pub Folder, pub Id);

impl Serialize for Gone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let folder: u8 = match self.0 {
            Folder::Packs => 0,
            Folder::Tables => 1,
            Folder::History => 2,
            _ => return Err(serde::ser::Error::custom("only files of the state go")),
        };
        (folder, self.1).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Gone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (folder, name) = <(u8, Id)>::deserialize(deserializer)?;
        let folder = match folder {
            0 => Folder::Packs,
            1 => Folder::Tables,
            2 => Folder::History,
            _ => return Err(de::Error::custom("not a folder of the state")),
        };
        Ok(Self(folder, name))
    }
}

/// The whole state after a fold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, DeserializeDerive)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Files that left the state and may still lie around, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Gone>,
    /// Packs, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packs: Vec<PackRow>,
    /// Ref tables, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<FileRow>,
    /// History files, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<FileRow>,
    /// Features turned on, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Packs that nothing new may rely on, and the number of the entry that said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub condemned: BTreeMap<Id, u64>,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeserializeDerive)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) n: u64,
    pub(super) at: Micros,
    pub(super) by: String,
    pub(super) op: OpId,
    pub(super) cmd: String,
    pub(super) host: String,
    pub(super) prev: Id,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) refs: Vec<Edit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rely: Vec<Id>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) packs: Vec<PackRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) remove: Vec<Id>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) condemn: Vec<Id>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) objects: Vec<Inline>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) features: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checkpoint: Option<Checkpoint>,
}

/// Why bytes are not the entry they should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it has only {0} bytes")]
    Short(usize),
    #[error("its first bytes are not those of a log entry")]
    Magic,
    #[error("its bytes do not match its digest")]
    Digest,
    #[error("it has the number {0}, which is not its name")]
    Number(u64),
    #[error("it is a fold and more than that")]
    Mixed,
    #[error(transparent)]
    Codec(#[from] codec::Error),
}

impl Entry {
    /// The bytes of the file, and the digest that the next entry names.
    pub(super) fn encode(&self) -> Result<(Vec<u8>, Id), codec::Error> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(codec::encode_within(self, &Limits::RECORD)?);
        let digest = derived(CONTEXT, &bytes);
        bytes.extend_from_slice(digest.digest());
        Ok((bytes, digest))
    }

    /// Reads the file `log/<number>` back, with its digest.
    pub(super) fn decode(bytes: &[u8], number: u64) -> Result<(Self, Id), Unreadable> {
        let body_len = bytes.len().checked_sub(DIGEST_LEN).filter(|&len| len > MAGIC.len());
        let (body, digest) = bytes.split_at(body_len.ok_or(Unreadable::Short(bytes.len()))?);
        let text = body.strip_prefix(MAGIC).ok_or(Unreadable::Magic)?;
        let found = derived(CONTEXT, body);
        if found.digest() != digest {
            return Err(Unreadable::Digest);
        }
        let entry = match plain::decode(text) {
            Some(entry) => entry,
            None => codec::decode(text, &Limits::RECORD)?,
        };
        if entry.n != number {
            return Err(Unreadable::Number(entry.n));
        }
        let is_plain = entry.objects.is_empty()
            && entry.packs.is_empty()
            && entry.rely.is_empty()
            && entry.condemn.is_empty()
            && entry.remove.is_empty()
            && entry.refs.is_empty()
            && entry.features.is_empty();
        if entry.checkpoint.is_some() && !is_plain {
            return Err(Unreadable::Mixed);
        }
        Ok((entry, found))
    }

    /// What can be made of the bytes of a damaged entry. Nothing in it is certain but what proves itself by its id.
    pub(super) fn salvage(bytes: &[u8]) -> Option<Self> {
        let body_len = bytes.len().checked_sub(DIGEST_LEN).filter(|&len| len > MAGIC.len())?;
        codec::decode(&bytes[MAGIC.len()..body_len], &Limits::RECORD).ok()
    }

    /// Whether this entry is a fold.
    pub(super) fn is_fold(&self) -> bool {
        self.checkpoint.is_some()
    }
}

/// The digest of an entry's bytes; `None` if they are not whole.
pub(super) fn digest(bytes: &[u8]) -> Option<Id> {
    let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST_LEN)?)?;
    Some(derived(CONTEXT, body)).filter(|found| is_meant(body) && found.digest() == digest)
}

/// Whether bytes begin as an entry does.
pub fn is_meant(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The name of entry `number` in the log's folder.
pub fn name(number: u64) -> String {
    let (mut digits, mut rest) = (*b"00000000000000000000", number);
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// The number that `name` names; `None` if it is no such name.
pub fn parse_name(name: &str) -> Option<u64> {
    if name.len() == 20 && name.bytes().all(|b| b.is_ascii_digit()) { name.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::blob;

    fn entry() -> Entry {
        Entry {
            n: 7,
            prev: blob(b"prev"),
            op: OpId::from_bytes([3; 16]),
            at: Micros(1_795_342_830_123_456),
            by: "ann".into(),
            host: "box".into(),
            cmd: "run".into(),
            objects: vec![Inline(Kind::BLOB, "bytes".into())],
            packs: vec![PackRow(blob(b"pack"), Class::Content, 0, 100, 2)],
            rely: vec![blob(b"relied")],
            condemn: vec![],
            remove: vec![],
            refs: vec![
                Edit("a".into(), Expect::Any, Some("1".into())),
                Edit("b".into(), Expect::Absent, None),
                Edit("c".into(), Expect::PrefixEmpty, None),
                Edit("d".into(), Expect::Is(b"old".to_vec()), Some("new".into())),
            ],
            features: vec![],
            checkpoint: None,
        }
    }

    #[test]
    fn entries_are_read_back() {
        let (bytes, digest) = entry().encode().unwrap();
        assert_eq!(Entry::decode(&bytes, 7).unwrap(), (entry(), digest));
        assert!(matches!(Entry::decode(&bytes, 8), Err(Unreadable::Number(7))));
        let mut fold = entry();
        fold.checkpoint = Some(Checkpoint::default());
        assert!(matches!(Entry::decode(&fold.encode().unwrap().0, 7), Err(Unreadable::Mixed)));
    }

    #[test]
    fn a_checkpoint_is_read_back() {
        let name = |n: u8| blob(&[n]);
        let checkpoint = Checkpoint {
            packs: vec![PackRow(name(1), Class::Records, 3, 100, 2)],
            condemned: BTreeMap::from([(name(2), 5), (name(3), 6)]),
            tables: vec![FileRow(name(4), 0, 10, 1)],
            history: vec![FileRow(name(5), 1, 10, 1)],
            gone: vec![Gone(Folder::Packs, name(6)), Gone(Folder::History, name(7))],
            features: vec!["x".into()],
        };
        let plain = Entry { objects: vec![], packs: vec![], rely: vec![], refs: vec![], ..entry() };
        let fold = Entry { checkpoint: Some(checkpoint), ..plain };
        let (bytes, _) = fold.encode().unwrap();
        assert_eq!(Entry::decode(&bytes, 7).unwrap().0, fold);
    }

    #[test]
    fn every_flipped_byte_and_truncation_is_noticed() {
        let (bytes, _) = entry().encode().unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            assert!(Entry::decode(&bad, 7).is_err(), "byte {at}");
            assert!(Entry::decode(&bytes[..at], 7).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn golden_bytes_hold_the_format() {
        let (bytes, digest) = Entry { refs: vec![], rely: vec![], packs: vec![], ..entry() }.encode().unwrap();
        assert_eq!(bytes.len(), 163);
        assert_eq!(digest.short(), "41d3bbf0aa9e");
    }

    #[test]
    fn only_twenty_digits_name_an_entry() {
        assert_eq!(parse_name(&name(u64::MAX)), Some(u64::MAX));
        assert_eq!(parse_name("00000000000000000007"), Some(7));
        for bad in ["7", "+0000000000000000007", ".nfs0000000000000007", "99999999999999999999", ""] {
            assert_eq!(parse_name(bad), None, "{bad}");
        }
    }
}

//! Digests and the two ways prov computes them.
//!
//! A blob's id is the plain BLAKE3 of its bytes: what `b3sum FILE` prints. Everything else is hashed in
//! BLAKE3's key-derivation mode under a context that names prov and the purpose, so that no file content can
//! pose as a record. SHA-256 is computed only where somebody else names it. This module is the only user of the `blake3`
//! and `sha2` crates.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// The algorithm byte that precedes a digest on disk: BLAKE3-256 (the multihash code).
pub const BLAKE3: u8 = 0x1e;

/// Bytes of an id on disk: the algorithm byte and the digest.
pub const ID_LEN: usize = 33;

/// A map whose keys are ids: as good as random already, they are not hashed again.
pub type IdMap<V> = std::collections::HashMap<Id, V, std::hash::BuildHasherDefault<IdHasher>>;

/// A set of ids, as [`IdMap`].
pub type IdSet = std::collections::HashSet<Id, std::hash::BuildHasherDefault<IdHasher>>;

/// Takes the first bytes of an id for its hash.
#[derive(Debug, Default, Clone, Copy)]
pub struct IdHasher(u64);

impl std::hash::Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        // A derived `Hash` may write a length before the digest.
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A 32-byte BLAKE3 digest: the identity of an object.
///
/// Shown and parsed as 64 hexadecimal digits; stored as 33 bytes ([`BLAKE3`] and the digest).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 32]);

impl Id {
    /// The all-zero digest, used where a predecessor does not exist.
    pub const ZERO: Id = Id([0; 32]);

    /// Wraps a raw digest.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The raw 32-byte digest.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id as stored: algorithm byte, then the digest.
    pub fn to_bytes(self) -> [u8; ID_LEN] {
        let mut out = [0; ID_LEN];
        out[0] = BLAKE3;
        out[1..].copy_from_slice(&self.0);
        out
    }

    /// Reads the stored form; `None` if the length or the algorithm byte is not known.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first() {
            Some((&BLAKE3, rest)) => rest.try_into().ok().map(Self),
            _ => None,
        }
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl Id {
    /// Its 64 hexadecimal digits.
    fn hex<'a>(&self, digits: &'a mut [u8; 64]) -> &'a str {
        // It fails only where there is too little room.
        faster_hex::hex_encode(&self.0, digits).map_or("", |digits| digits)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex(&mut [0; 64]))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.short())
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an id of 64 hexadecimal digits")]
pub struct ParseIdError(String);

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        // More digits than there is room for are none of the decoder's business.
        if text.len() != 64 || faster_hex::hex_decode(text.as_bytes(), &mut bytes).is_err() {
            return Err(ParseIdError(text.to_owned()));
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.hex(&mut [0; 64]))
        } else {
            serializer.serialize_bytes(&self.to_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object id")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Id, E> {
                Id::from_bytes(bytes).ok_or_else(|| E::custom("an id of an unknown algorithm or length"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                text.parse().map_err(E::custom)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(IdVisitor)
        } else {
            deserializer.deserialize_bytes(IdVisitor)
        }
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes behind hexadecimal digits of either case; `None` if the text is anything else.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? << 4) | digit(pair[1])?)).collect()
}

/// The id of a blob: plain BLAKE3 of its bytes.
pub fn blob(bytes: &[u8]) -> Id {
    Id(*blake3::hash(bytes).as_bytes())
}

/// The digest of `bytes` in key-derivation mode under `context`.
///
/// Contexts are constants of the format (`docs/format.md`, "Hash contexts").
pub fn derived(context: &str, bytes: &[u8]) -> Id {
    let mut hasher = blake3::Hasher::new_from_context_key(&context_key(context));
    hasher.update(bytes);
    Id(*hasher.finalize().as_bytes())
}

/// A file of a cache: `body` behind its digest under `context`.
pub(crate) fn sealed(context: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = derived(context, body).to_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a file that [`sealed`] made; `None` of anything else.
pub(crate) fn unsealed<'b>(context: &str, bytes: &'b [u8]) -> Option<&'b [u8]> {
    let (digest, body) = bytes.split_at_checked(ID_LEN)?;
    (Id::from_bytes(digest)? == derived(context, body)).then_some(body)
}

/// Contexts of which the key is remembered. The format has fewer; the kinds of objects that others made may have any number.
const REMEMBERED: usize = 32;

/// The key that a context stands for. Most of what is hashed under one is small, and the key would be half of the work.
fn context_key(context: &str) -> ContextKey {
    thread_local! {
        static KEYS: RefCell<Vec<(String, ContextKey)>> = const { RefCell::new(Vec::new()) };
    }
    KEYS.with_borrow_mut(|keys| {
        if let Some((_, key)) = keys.iter().find(|(known, _)| known == context) {
            return *key;
        }
        let key = hash_derive_key_context(context);
        if keys.len() < REMEMBERED {
            keys.push((context.to_owned(), key));
        }
        key
    })
}

/// Computes a blob id from bytes as they stream by.
#[derive(Clone, Default)]
pub struct BlobHasher {
    hasher: blake3::Hasher,
    len: u64,
}

impl fmt::Debug for BlobHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobHasher").field("len", &self.len).finish_non_exhaustive()
    }
}

impl BlobHasher {
    /// Starts with no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// How many bytes were taken so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no bytes were taken yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the bytes taken so far.
    pub fn id(&self) -> Id {
        Id(*self.hasher.finalize().as_bytes())
    }
}

/// Hashes everything that `reader` yields; returns the blob id and the number of bytes.
///
/// # Errors
/// Whatever `reader` reports.
pub fn blob_from(reader: &mut dyn Read) -> io::Result<(Id, u64)> {
    let mut hasher = BlobHasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((hasher.id(), hasher.len())),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

/// The SHA-256 of everything that `reader` yields, as hexadecimal digits: what `sha256sum` prints.
///
/// # Errors
/// Whatever `reader` reports.
pub fn sha256_from(reader: &mut dyn Read) -> io::Result<String> {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

/// The SHA-256 of what is written into it.
#[derive(Debug, Clone, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// The digest in hexadecimal.
    pub fn hex(self) -> String {
        use sha2::Digest as _;
        hex(&self.0.finalize())
    }
}

impl io::Write for Sha256 {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use sha2::Digest as _;
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that one worker of [`blob_at`] takes at a time: a power of two, so that each is a whole BLAKE3 subtree.
const SEGMENT: u64 = 1 << 20;

/// Bytes that are read at once: what was read must still lie in the processor's cache when it is hashed.
const PIECE: usize = 64 << 10;

/// Where the buffer begins in memory: the kernel copies whole pages fastest to the beginning of one.
const PAGE: usize = 4096;

/// A buffer of one piece that begins with a page.
struct Piece {
    bytes: Vec<u8>,
    from: usize,
}

impl Piece {
    fn new() -> Self {
        let bytes = vec![0; PIECE + PAGE];
        let from = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Self { bytes, from }
    }

    /// Feeds the `len` bytes at `start` to the hasher.
    fn hash(
        &mut self,
        hasher: &mut blake3::Hasher,
        start: u64,
        len: u64,
        read_at: &(dyn Fn(u64, &mut [u8]) -> io::Result<()> + Sync),
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let size = usize::try_from(len - done).unwrap_or(PIECE).min(PIECE);
            let buffer = &mut self.bytes[self.from..self.from + size];
            read_at(start + done, buffer)?;
            hasher.update(buffer);
            done += size as u64;
        }
        Ok(())
    }
}

/// Hashes the `len` bytes that `read_at(offset, buffer)` fills, on `threads` threads, each with one small private
/// buffer; the result equals [`blob`] of the same bytes.
///
/// The bytes are copied, not mapped: a mapped file that someone cuts off would end the process, and a copy that stays in
/// the processor's cache costs a few percent.
///
/// `read_at` must fill the buffer or fail.
///
/// # Errors
/// The first error of `read_at`.
pub fn blob_at(
    len: u64,
    threads: usize,
    read_at: &(dyn Fn(u64, &mut [u8]) -> io::Result<()> + Sync),
) -> io::Result<Id> {
    use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
    use std::sync::atomic::{AtomicU64, Ordering};

    let segments = len.div_ceil(SEGMENT);
    if segments < 2 || threads < 2 {
        let mut hasher = blake3::Hasher::new();
        Piece::new().hash(&mut hasher, 0, len, read_at)?;
        return Ok(Id(*hasher.finalize().as_bytes()));
    }
    let next = AtomicU64::new(0);
    let work = || -> io::Result<Vec<(u64, [u8; 32])>> {
        let mut done = Vec::new();
        let mut piece = Piece::new();
        loop {
            let segment = next.fetch_add(1, Ordering::Relaxed);
            if segment >= segments {
                return Ok(done);
            }
            let start = segment * SEGMENT;
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(start);
            piece.hash(&mut hasher, start, SEGMENT.min(len - start), read_at)?;
            done.push((segment, hasher.finalize_non_root()));
        }
    };
    let results: Vec<io::Result<Vec<(u64, [u8; 32])>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = vec![work()];
        all.extend(
            workers.into_iter().map(|w| w.join().unwrap_or_else(|_| Err(io::Error::other("a hashing thread stopped")))),
        );
        all
    });
    let mut values = Vec::new();
    for result in results {
        values.extend(result?);
    }
    values.sort_unstable_by_key(|(segment, _)| *segment);
    let mut level: Vec<[u8; 32]> = values.into_iter().map(|(_, value)| value).collect();
    // Every segment but the last is a complete subtree of equal size, so pairing from the left is BLAKE3's own tree.
    while level.len() > 2 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => merge_subtrees_non_root(left, right, Mode::Hash),
                _ => pair[0],
            })
            .collect();
    }
    Ok(Id(*merge_subtrees_root(&level[0], &level[1], Mode::Hash).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_hash_like_the_whole() {
        for len in [0usize, 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 5, (3 << 20) - 1, 5 << 20, (7 << 20) + 1025] {
            let data: Vec<u8> = (0..len).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect();
            let read = |at: u64, buffer: &mut [u8]| {
                let at = usize::try_from(at).unwrap();
                buffer.copy_from_slice(&data[at..at + buffer.len()]);
                Ok(())
            };
            for threads in [1, 2, 3] {
                assert_eq!(blob_at(len as u64, threads, &read).unwrap(), blob(&data), "{len} bytes, {threads} threads");
            }
        }
    }

    #[test]
    fn a_blob_can_not_pose_as_a_record() {
        assert_ne!(blob(b"x"), derived("prov 2026-11 object run", b"x"));
    }

    #[test]
    fn ids_survive_text_and_bytes() {
        let id = blob(b"abc");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(Id::from_bytes(&id.to_bytes()), Some(id));
        assert_eq!(Id::from_bytes(&[0; 33]), None);
        assert!("zz".parse::<Id>().is_err());
        for digits in [0, 1, 62, 63, 65, 66, 128, 4096] {
            assert!("a".repeat(digits).parse::<Id>().is_err(), "{digits}");
        }
        for odd in ["g".repeat(64), format!("{}é", "a".repeat(62)), format!("{} ", "a".repeat(63)), "+0".repeat(32)] {
            assert!(odd.parse::<Id>().is_err(), "{odd}");
        }
        assert_eq!("aB".repeat(32).parse::<Id>(), "Ab".repeat(32).parse());
    }
}

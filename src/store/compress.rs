//! Compression of stored bytes: zstd frames without checksum, since every object is verified by its id.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, WriteBuf};

/// What is smaller is not worth the trouble.
const LEAST: usize = 4 << 10;

/// Fast, and on tables of numbers better than the levels above it.
const LEVEL: i32 = 1;

/// Bytes from which on the compressor is told what it is given.
const LONG: usize = 128 << 10;

/// For what is long: more of it is remembered than the level says.
const HASH_LOG: u32 = 15;

/// The shortest repetition that counts, in bytes, of text and of other content. In tables of numbers, shorter ones cost more than they save.
const MIN_MATCH: [u32; 2] = [7, 6];

/// Bytes that an object stored compressed may have at most, so that unpacking it is safe.
pub(super) const MOST: u64 = 16 << 20;

/// Bytes of room that a thread keeps.
const KEPT: u64 = 1 << 20;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    /// For what is long: text, and other content.
    static LONG_COMPRESSORS: RefCell<[Option<Compressor<'static>>; 2]> = const { RefCell::new([None, None]) };
    /// Room for what is looked at and not kept.
    static UNPACKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Bytes of a sample.
const SAMPLE: usize = 256;

/// What samples of some bytes look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// As what is compressed already or encrypted does: every value as often as any other. What only repeats at a distance is taken for
    /// noise as well.
    Noise,
    /// Nothing but ASCII.
    Text,
    Other,
}

fn looks(bytes: &[u8]) -> Looks {
    let samples = (bytes.len() >> 14).clamp(4, 16);
    let step = bytes.len() / samples;
    let mut counts = [0u32; 256];
    for at in (0..samples).map(|nth| nth * step) {
        for byte in bytes.iter().skip(at).take(SAMPLE) {
            counts[usize::from(*byte)] += 1;
        }
    }
    let found: u64 = counts.iter().map(|count| u64::from(*count) * u64::from(*count)).sum();
    // What is to be expected of noise, and four standard deviations more.
    let all = (samples * SAMPLE) as u64;
    if found * 256 < all * all + all * 347 {
        Looks::Noise
    } else if counts[128..].iter().all(|count| *count == 0) {
        Looks::Text
    } else {
        Looks::Other
    }
}

fn long_compressor(at: usize) -> Option<Compressor<'static>> {
    let mut made = Compressor::new(LEVEL).ok()?;
    made.set_parameter(CParameter::HashLog(HASH_LOG)).ok()?;
    made.set_parameter(CParameter::MinMatch(MIN_MATCH[at])).ok()?;
    Some(made)
}

/// The compressed form of `bytes`, if that saves at least one part in sixteen.
pub(super) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < LEAST || bytes.len() as u64 > MOST {
        return None;
    }
    let looks = looks(bytes);
    if looks == Looks::Noise {
        return None;
    }
    let compress = |slot: &mut Option<Compressor<'static>>, make: &dyn Fn() -> Option<Compressor<'static>>| {
        if slot.is_none() {
            *slot = make();
        }
        // What does not fit into the room is not wanted.
        let mut out = Vec::with_capacity(bytes.len() - bytes.len() / 16);
        slot.as_mut()?.compress_to_buffer(bytes, &mut out).ok()?;
        Some(out)
    };
    if bytes.len() < LONG {
        return COMPRESSOR.with_borrow_mut(|slot| compress(slot, &|| Compressor::new(LEVEL).ok()));
    }
    let at = usize::from(looks != Looks::Text);
    LONG_COMPRESSORS.with_borrow_mut(|slots| compress(&mut slots[at], &|| long_compressor(at)))
}

/// The `len` bytes whose compressed form is `stored`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decompress(stored: &[u8], len: u64) -> Result<Vec<u8>, String> {
    let len = usize::try_from(len.min(MOST)).unwrap_or(0);
    let mut out = Vec::with_capacity(len);
    unpack(stored, &mut out, len).map(|()| out)
}

/// Shows `to` the `len` bytes whose compressed form is `stored`.
///
/// # Errors
/// As [`decompress`].
pub(super) fn show<T>(stored: &[u8], len: u64, to: impl FnOnce(&[u8]) -> T) -> Result<T, String> {
    if len > KEPT {
        return decompress(stored, len).map(|bytes| to(&bytes));
    }
    let mut room = UNPACKED.take();
    room.clear();
    let len = usize::try_from(len).unwrap_or(0);
    room.reserve(len);
    let shown = unpack(stored, &mut room, len).map(|()| to(&room));
    UNPACKED.set(room);
    shown
}

/// Fills `room` with the bytes whose compressed form is `stored`.
///
/// # Errors
/// As [`decompress`].
pub(super) fn decompress_into(stored: &[u8], room: &mut [u8]) -> Result<(), String> {
    let len = room.len();
    unpack(stored, room, len)
}

/// Fills `out`, which has room for `len` bytes.
fn unpack<B: WriteBuf + ?Sized>(stored: &[u8], out: &mut B, len: usize) -> Result<(), String> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Decompressor::new().ok();
        }
        let decompressor = slot.as_mut().ok_or("there is no memory to unpack it")?;
        match decompressor.decompress_to_buffer(stored, out) {
            Ok(found) if found == len => Ok(()),
            Ok(found) => Err(format!("unpacked it has {found} bytes, not {len}")),
            Err(err) => Err(format!("it can't be unpacked: {err}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Random, SeededRandom};

    #[test]
    fn only_what_pays_is_compressed() {
        assert!(compress(&vec![7; LEAST - 1]).is_none());
        let packed = compress(&vec![7; 1 << 20]).unwrap();
        assert!(packed.len() < 1000);
        assert_eq!(decompress(&packed, 1 << 20).unwrap(), vec![7; 1 << 20]);
        let mut noise = vec![0; 1 << 20];
        SeededRandom::new(3).fill(&mut noise);
        assert!(compress(&noise).is_none());
    }

    #[test]
    fn lies_are_told() {
        let packed = compress(&vec![7; 1 << 16]).unwrap();
        assert!(decompress(&packed, 1 << 15).is_err(), "more than was said");
        assert!(decompress(&packed, 1 << 17).is_err(), "less than was said");
        assert!(decompress(&packed[..packed.len() - 1], 1 << 16).is_err());
        assert!(decompress(b"", 5).is_err());
        // A frame that says it is endless takes no more room than was allowed.
        assert!(decompress(&packed, u64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(seed in proptest::collection::vec(any::<u8>(), 1..50), times in 100usize..2000) {
            let bytes = seed.repeat(times);
            if let Some(packed) = compress(&bytes) {
                prop_assert!(packed.len() <= bytes.len() - bytes.len() / 16);
                prop_assert_eq!(decompress(&packed, bytes.len() as u64).unwrap(), bytes);
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), len in 0u64..100_000) {
            let _ = decompress(&bytes, len);
        }
    }
}

//! The form of the files in the live folder: versioned and checked.
//!
//! `provlive`, the version as four bytes big-endian, a digest of what follows under a context that names kind and
//! version, and the payload.

use crate::hash;

const MAGIC: &[u8; 8] = b"provlive";
const HEADER: usize = 8 + 4 + 32;

/// Why a file of the live folder can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It is not such a file, or cut off, or its bytes are not those that were written.
    #[error("`{kind}` is damaged")]
    Damaged {
        /// Which file.
        kind: &'static str,
    },
    /// A newer prov wrote it.
    #[error("`{kind}` has version {version}, this prov reads up to {supported}")]
    TooNew {
        /// Which file.
        kind: &'static str,
        /// Its version.
        version: u32,
        /// The newest version that is understood.
        supported: u32,
    },
    /// The bytes are whole, but not a record of its kind.
    #[error("`{kind}` can't be read: {source}")]
    Record {
        /// Which file.
        kind: &'static str,
        /// What is wrong.
        source: crate::codec::Error,
    },
}

fn digest(kind: &str, version: u32, payload: &[u8]) -> [u8; 32] {
    *hash::derived(&format!("prov 2026 live {kind} {version}"), payload).digest()
}

/// `payload` in its frame.
pub(super) fn seal(kind: &str, version: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&digest(kind, version, payload));
    bytes.extend_from_slice(payload);
    bytes
}

/// Takes the payload out of its frame.
pub(super) fn open<'a>(kind: &'static str, supported: u32, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
    let damaged = FrameError::Damaged { kind };
    let Some((header, payload)) = bytes.split_at_checked(HEADER) else { return Err(damaged) };
    let (magic, rest) = header.split_at(8);
    let (version, check) = rest.split_at(4);
    let version = version.iter().fold(0, |sum, &byte| (sum << 8) | u32::from(byte));
    if magic != MAGIC || check != digest(kind, version, payload) {
        return Err(damaged);
    }
    if version > supported {
        return Err(FrameError::TooNew { kind, version, supported });
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let bytes = seal("intent", 1, b"payload");
        assert_eq!(open("intent", 1, &bytes).unwrap(), b"payload");
        assert!(open("pending", 1, &bytes).is_err());
        for len in 0..bytes.len() {
            assert!(open("intent", 1, &bytes[..len]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open("intent", 1, &flipped).is_err());
        }
    }

    #[test]
    fn a_newer_one_is_told_from_a_damaged_one() {
        let newer = seal("intent", 2, b"what no one knows yet");
        assert_eq!(open("intent", 1, &newer), Err(FrameError::TooNew { kind: "intent", version: 2, supported: 1 }));
    }

    proptest! {
        #[test]
        fn payloads_survive_and_arbitrary_bytes_do_not_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let sealed = seal("x", 1, &payload);
            prop_assert_eq!(open("x", 1, &sealed).unwrap(), &payload[..]);
            prop_assert!(open("x", 1, &payload).is_err());
        }
    }
}

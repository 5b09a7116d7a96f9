//! The `format` file: what marks a folder as a store (`docs/format.md`, section 8).

use crate::hash::{derived, hex, unhex};

use super::Error;

const CONTEXT: &str = "prov 2026-11 format";
const FIRST: &str = "prov-store ";

/// The newest version of the whole layout that this prov reads and writes.
pub(super) const VERSION: u32 = 1;

/// The bytes of the file for a store named `id`.
pub(super) fn encode(id: [u8; 16]) -> Vec<u8> {
    let head = format!("{FIRST}{VERSION}\nid: {}\nhash: blake3\n", hex(&id));
    let checksum = derived(CONTEXT, head.as_bytes());
    format!("{head}checksum: {checksum}\n").into_bytes()
}

/// The store's id.
pub(super) fn decode(bytes: &[u8], place: &str) -> Result<String, Error> {
    let damaged = |what: &str| Error::Damaged { file: "format".to_owned(), what: what.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let first = text.lines().next().unwrap_or_default();
    let Some(version) = first.strip_prefix(FIRST) else {
        return Err(damaged("its first line is not that of a store"));
    };
    // A newer store may lay out everything below differently, so this comes before any other check.
    match version.parse::<u32>() {
        Ok(VERSION) => {}
        Ok(found) if found > VERSION => {
            return Err(Error::TooNew { place: place.to_owned(), found, supported: VERSION });
        }
        _ => return Err(damaged("its first line names no known version")),
    }
    let id = text.lines().nth(1).and_then(|line| line.strip_prefix("id: ")).and_then(unhex);
    let id: [u8; 16] =
        id.and_then(|id| id.try_into().ok()).ok_or_else(|| damaged("its second line is not the store's id"))?;
    if encode(id) == bytes { Ok(hex(&id)) } else { Err(damaged("its checksum does not match")) }
}

/// The store's id in a damaged file, if its line is one.
pub(super) fn id_in(bytes: &[u8]) -> Option<[u8; 16]> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find_map(|line| line.strip_prefix("id: "))?;
    unhex(line.trim_end())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_bytes_are_a_format_file() {
        let bytes = encode([7; 16]);
        assert_eq!(decode(&bytes, "x").unwrap(), "07".repeat(16));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(decode(&bad, "x").is_err(), "byte {at}");
            assert!(decode(&bytes[..at], "x").is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_store_is_told_apart_from_damage() {
        let bytes = b"prov-store 2\nanything";
        assert!(matches!(decode(bytes, "x"), Err(Error::TooNew { found: 2, .. })));
    }
}

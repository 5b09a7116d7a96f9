//! Names that are never captured and never restored.

use bstr::ByteSlice;

/// What the names of a restore's own temporary folders begin with.
pub(super) const STAGING_PREFIX: &[u8] = b".prov-restore-";

/// Whether `name` is, or on some file system would be taken for, `.git` or `.prov`, or is a temporary folder of a
/// restore: never captured, never a place to restore to.
///
/// Letter case, code points that HFS+ leaves out, and dots and spaces at the end do not make another name.
pub fn is_reserved(name: &[u8]) -> bool {
    // Every spelling begins with a dot or with a code point that is left out; nearly all names are done here.
    if !matches!(name.first(), Some(b'.' | 0xe2 | 0xef)) {
        return false;
    }
    let folded = folded(name);
    matches!(folded.as_slice(), b".git" | b".prov") || folded.starts_with(STAGING_PREFIX)
}

/// The name as the most forgetful file system would see it.
fn folded(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for (start, end, c) in name.char_indices() {
        match c {
            '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}' => {}
            _ => out.extend(name[start..end].to_ascii_lowercase()),
        }
    }
    while matches!(out.last(), Some(b'.' | b' ')) {
        out.pop();
    }
    out
}

/// The name by which two names are the same on a file system that does not tell upper from lower case.
pub(super) fn case_key(name: &[u8]) -> Vec<u8> {
    match name.to_str() {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_own_folders_is_reserved() {
        let reserved =
            [".git", ".prov", ".GIT", ".Prov", ".g\u{200c}it", "\u{feff}.prov", ".git.", ".git  ", ".prov. ."];
        for name in reserved.iter().chain(&[".prov-restore-1-2"]) {
            assert!(is_reserved(name.as_bytes()), "{name:?}");
        }
        for name in ["git", ".gitignore", ".provignore", ".gitx", "..", ".", "prov", ".git\u{e9}", " .git"] {
            assert!(!is_reserved(name.as_bytes()), "{name:?}");
        }
        assert!(!is_reserved(b".gi\xff"));
        assert!(!is_reserved(b""));
    }
}

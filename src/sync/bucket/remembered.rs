//! What is remembered of a bucket, so that nothing new costs three requests: the entries of its log by what the server said of them, and that it
//! creates files only where there are none. A cache: without it everything is asked for again.

use std::collections::BTreeMap;
use std::path::Path;

use bstr::BString;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Limits};
use crate::fs::Fs;

const CONTEXT: &str = "prov 2026-11 remembered of a bucket";

/// Bytes of entries at most: far more than a log has between two folds.
const MOST: usize = 8 << 20;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Remembered {
    /// The place, with the server's address.
    pub(super) place: String,
    /// Whether the server was seen to create a file only if it is absent.
    pub(super) creates: bool,
    /// By name: what the server said of the entry, and its bytes.
    pub(super) entries: BTreeMap<String, (String, BString)>,
}

impl Remembered {
    pub(super) fn load(fs: &Fs, path: Option<&Path>, place: &str) -> Self {
        let bytes = path.and_then(|path| fs.read(path).ok().flatten()).unwrap_or_default();
        let found = bytes.get(..32).zip(bytes.get(32..)).and_then(|(digest, text)| {
            let is_whole = crate::hash::derived(CONTEXT, text).digest() == digest;
            is_whole.then(|| codec::decode::<Self>(text, &Limits::RECORD).ok()).flatten()
        });
        match found {
            Some(found) if found.place == place => found,
            _ => Self { place: place.to_owned(), ..Self::default() },
        }
    }

    /// Writes it down. A cache that can't be written costs requests, nothing else.
    pub(super) fn save(&self, fs: &Fs, path: &Path) {
        let mut kept = self.clone();
        while kept.entries.values().map(|(_, bytes)| bytes.len()).sum::<usize>() > MOST {
            kept.entries.pop_first();
        }
        let Ok(text) = codec::encode(&kept) else { return };
        let mut bytes = crate::hash::derived(CONTEXT, &text).digest().to_vec();
        bytes.extend(text);
        let Some(dir) = path.parent() else { return };
        let _ = fs.make_dirs(dir).and_then(|()| fs.replace(path, &bytes, false));
    }
}

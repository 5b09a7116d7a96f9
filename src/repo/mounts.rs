//! Mounts: names for folders outside of the project, so that records say `inputs://survey.csv` and not where that lies on one machine.
//!
//! `[mounts] inputs = "/data"` makes `/data/survey.csv` `inputs://survey.csv`; of several mounts the longest path wins. Names are hints for
//! people and for finding files on another machine, never identity: content counts, not where it lay.

use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use super::Repo;
use crate::path::{Place, bytes, from_bytes, locate, normal};

/// Why a path `NAME://REST` leads nowhere.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountError {
    /// There is no such mount.
    #[error("there is no mount `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It leads out of the mount.
    #[error("`{path}` leads out of its mount")]
    Outside {
        /// The path, shown.
        path: String,
    },
}

/// Splits `NAME://REST`; `None` for a path without a name.
pub fn split_name(path: &[u8]) -> Option<(&str, &BStr)> {
    let (name, rest) = path.split_once_str("://")?;
    let name = std::str::from_utf8(name).ok()?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+.".contains(&b));
    is_name.then_some((name, rest.as_bstr()))
}

impl Repo {
    /// The mounts by name, their folders absolute and normal.
    pub fn mounts(&self) -> Vec<(String, PathBuf)> {
        let folder = |path: &str| normal(&self.root().join(path));
        self.settings().mounts().into_iter().map(|(name, path)| (name.to_owned(), folder(path))).collect()
    }

    /// How a record names a place: relative to the project, below a mount, else absolute.
    pub fn recorded_path(&self, place: &Place) -> BString {
        let Place::Outside(path) = place else {
            let Place::Inside(inside) = place else { return BString::default() };
            return inside.as_bytes().to_owned();
        };
        let below = self.mounts().into_iter().filter_map(|(name, folder)| {
            let rest = path.strip_prefix(&folder).ok()?.to_owned();
            Some((folder.components().count(), name, rest))
        });
        match below.max_by(|a, b| (a.0, &b.1).cmp(&(b.0, &a.1))) {
            Some((_, name, rest)) => {
                let mut recorded = BString::from(format!("{name}://"));
                recorded.extend_from_slice(&bytes(&rest));
                recorded
            }
            None => bytes(path),
        }
    }

    /// Where a path that a record or a user names lies on this machine, seen from the folder `from`.
    ///
    /// # Errors
    /// `NAME://...` of a mount that is not known here, or that leads out of it.
    pub fn place_of(&self, from: &Path, path: &[u8]) -> Result<Place, MountError> {
        let Some((name, rest)) = split_name(path) else {
            return Ok(locate(self.root(), from, &from_bytes(path)));
        };
        let mounts = self.mounts();
        let Some((_, folder)) = mounts.iter().find(|(known, _)| known == name) else {
            return Err(MountError::Unknown {
                name: name.to_owned(),
                known: mounts.into_iter().map(|(name, _)| name).collect(),
            });
        };
        let path_there = normal(&folder.join(from_bytes(rest.trim_start_with(|c| c == '/'))));
        if !path_there.starts_with(folder) {
            return Err(MountError::Outside { path: crate::path::shown(path) });
        }
        Ok(locate(self.root(), self.root(), &path_there))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_off() {
        assert_eq!(split_name(b"inputs://a/b"), Some(("inputs", "a/b".into())));
        assert_eq!(split_name(b"https://x/y"), Some(("https", "x/y".into())));
        for none in [&b"a/b"[..], b"://x", b"a b://x", b"a:/x", b"\xff://x"] {
            assert_eq!(split_name(none), None);
        }
    }
}

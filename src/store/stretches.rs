//! Digests of long stretches of packs that were written here (`docs/design/0018-whole-packs.md`): a pack that travels as it is can be seen to
//! be as it was written without unpacking and hashing each of its objects.
//!
//! A stretch is as many objects as it takes to fill 512 KiB, one after another. Its digest is made of the very bytes that are written, and is
//! kept in the project's own cache, where nobody else who writes to a shared store has a say. Objects of 64 KiB and more are hashed as quickly
//! by themselves: a stretch with such a one has no digest. None of it is part of the state: where it is absent or does not fit, each object is
//! looked at.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::backend::Staged;
use crate::codec::{self, Limits};
use crate::fs::Fs;
use crate::hash::{Id, derived, sealed, unsealed};

/// Bytes after which a stretch ends with the object that filled it.
pub(super) const STRETCH: u64 = 512 << 10;

/// Bytes of an object from which on it is hashed as quickly by itself.
const LARGE: usize = 64 << 10;

/// Digests that are kept: those of 32 GiB of packs, 2 MiB.
const KEPT: usize = 1 << 16;

/// Hash context of a stretch.
const STRETCH_CONTEXT: &str = "prov 2026-11 a stretch of a pack";

/// Hash context of the digest before what is kept.
const KEPT_CONTEXT: &str = "prov 2026-11 stretches of packs";

/// What a stretch has to have.
pub(super) fn digest(bytes: &[u8]) -> Id {
    derived(STRETCH_CONTEXT, bytes)
}

/// Makes the digests while a pack is written, in whole stretches.
#[derive(Debug)]
pub(super) struct Stretching {
    /// Of the stretches so far; `None` if there are to be none.
    digests: Option<Vec<Option<Id>>>,
    /// Bytes of the stretch that is being filled, and whether it is to have a digest.
    filled: u64,
    is_digested: bool,
    /// Of such a one, what is not written yet: all of it.
    tail: Vec<u8>,
}

impl Stretching {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { digests: is_wanted.then(Vec::new), filled: 0, is_digested: is_wanted, tail: Vec::new() }
    }

    /// Bytes that are not written yet.
    pub(super) fn waiting(&self) -> u64 {
        self.tail.len() as u64
    }

    /// Appends an object to what is written to `out`.
    pub(super) fn append(&mut self, out: &mut dyn Staged, stored: &[u8]) -> io::Result<()> {
        if self.is_digested && stored.len() >= LARGE {
            self.is_digested = false;
            self.write_tail(out)?;
        }
        if self.is_digested {
            self.tail.extend_from_slice(stored);
        } else {
            out.write_all(stored)?;
        }
        self.filled += stored.len() as u64;
        if self.filled >= STRETCH { self.end(out) } else { Ok(()) }
    }

    fn end(&mut self, out: &mut dyn Staged) -> io::Result<()> {
        let Some(digests) = &mut self.digests else { return Ok(()) };
        digests.push(self.is_digested.then(|| digest(&self.tail)));
        (self.filled, self.is_digested) = (0, true);
        self.write_tail(out)
    }

    fn write_tail(&mut self, out: &mut dyn Staged) -> io::Result<()> {
        out.write_all(&self.tail)?;
        self.tail.clear();
        Ok(())
    }

    /// Writes what waits: what follows is written by others, and there are no digests.
    pub(super) fn give_up(&mut self, out: &mut dyn Staged) -> io::Result<()> {
        (self.digests, self.is_digested) = (None, false);
        self.write_tail(out)
    }

    /// Writes what waits; the digests, if they are wanted and there are any.
    pub(super) fn finish(&mut self, out: &mut dyn Staged, is_wanted: bool) -> io::Result<Option<Vec<Option<Id>>>> {
        if !is_wanted {
            self.give_up(out)?;
        } else if self.filled > 0 {
            self.end(out)?;
        }
        Ok(self.digests.take().filter(|digests| digests.iter().any(Option::is_some)))
    }
}

/// The digests of the stretches of one pack, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretches {
    pack: Id,
    digests: Vec<Option<Id>>,
}

impl Stretches {
    pub(super) fn new(pack: Id, digests: Vec<Option<Id>>) -> Self {
        Self { pack, digests }
    }

    /// The pack's name, and the digests.
    pub(super) fn into_pair(self) -> (Id, Vec<Option<Id>>) {
        (self.pack, self.digests)
    }
}

/// Stretches of packs, the newest last.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    packs: Vec<Stretches>,
}

impl Kept {
    /// What is absent or damaged is empty.
    fn load(fs: &Fs, path: &Path) -> Self {
        let bytes = fs.read(path).ok().flatten().unwrap_or_default();
        Self::decode(&bytes).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(unsealed(KEPT_CONTEXT, bytes)?, &Limits::RECORD).ok()
    }

    fn encode(&self) -> Option<Vec<u8>> {
        Some(sealed(KEPT_CONTEXT, &codec::encode(self).ok()?))
    }

    /// Takes more, and lets go of the oldest where they are too many.
    fn add(&mut self, more: &[Stretches]) {
        self.packs.extend(more.iter().cloned());
        let mut digests = 0;
        let keep = self.packs.iter().rev().take_while(|pack| {
            digests += pack.digests.len();
            digests <= KEPT
        });
        let from = self.packs.len() - keep.count();
        self.packs.drain(..from);
    }
}

/// Digests by the names of packs.
pub(super) fn load(fs: &Fs, path: &Path) -> HashMap<Id, Vec<Option<Id>>> {
    Kept::load(fs, path).packs.into_iter().map(Stretches::into_pair).collect()
}

/// Remembers more of them. Two who do so at once may forget one another's; failing to costs time later, nothing else.
pub(super) fn keep(fs: &Fs, path: &Path, more: &[Stretches]) {
    let mut kept = Kept::load(fs, path);
    kept.add(more);
    if let (Some(bytes), Some(dir)) = (kept.encode(), path.parent())
        && fs.make_dirs(dir).is_ok()
    {
        let _ = fs.replace(path, &bytes, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(pack: u8, digests: usize) -> Stretches {
        Stretches::new(digest(&[pack]), vec![Some(digest(b"x")); digests])
    }

    #[test]
    fn what_is_kept_comes_back_and_the_oldest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let (fs, path) = (Fs::real(), dir.path().join("cache/packs"));
        assert!(load(&fs, &path).is_empty());
        keep(&fs, &path, &[stretches(1, 3)]);
        keep(&fs, &path, &[stretches(2, KEPT - 4)]);
        let kept = load(&fs, &path);
        assert_eq!((kept.len(), kept[&digest(&[1])].len()), (2, 3));
        keep(&fs, &path, &[stretches(3, 2)]);
        let kept = load(&fs, &path);
        assert!(!kept.contains_key(&digest(&[1])) && kept.contains_key(&digest(&[3])) && kept.len() == 2);
    }

    #[test]
    fn damage_is_as_good_as_nothing_and_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (fs, path) = (Fs::real(), dir.path().join("packs"));
        keep(&fs, &path, &[stretches(1, 3)]);
        let whole = fs.read(&path).unwrap().unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs.replace(&path, &bytes, false).unwrap();
            assert!(load(&fs, &path).is_empty(), "a changed byte {at}");
            fs.replace(&path, &whole[..at], false).unwrap();
            assert!(load(&fs, &path).is_empty(), "cut off at {at}");
        }
        keep(&fs, &path, &[stretches(2, 1)]);
        assert_eq!(load(&fs, &path).len(), 1);
    }
}

//! What the tests of this module share: a folder to fill and a store in memory.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::clock::SystemClock;
use crate::fs::Fs;
use crate::hash::{self, Id};
use crate::object::{self, AccessError, Kind, Sink, Source};
use crate::progress::{Cancel, Silent};

use super::{StatCache, Worktree};

/// A temporary folder.
pub(super) struct Tree(tempfile::TempDir);

impl Tree {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn path(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.root().join(OsStr::from_bytes(path.as_ref()))
    }

    pub(super) fn file(&self, path: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        let fs = Fs::real();
        fs.make_dirs(path.parent().unwrap()).unwrap();
        fs.create(&path, 0o666).unwrap().write_all(bytes.as_ref()).unwrap();
        path
    }

    pub(super) fn folder(&self, path: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        Fs::real().make_dirs(&path).unwrap();
        path
    }

    pub(super) fn link(&self, path: &str, target: impl AsRef<[u8]>) {
        let path = self.path(path);
        Fs::real().make_dirs(path.parent().unwrap()).unwrap();
        Fs::real().symlink(Path::new(OsStr::from_bytes(target.as_ref())), &path).unwrap();
    }

    pub(super) fn exec(&self, path: &str, bytes: &str) -> PathBuf {
        let path = self.file(path, bytes);
        Fs::real().set_mode(&path, 0o755).unwrap();
        path
    }
}

/// What a [`Worktree`] borrows.
pub(super) struct Bench {
    pub(super) fs: Fs,
    pub(super) cache: StatCache,
    pub(super) cancel: Cancel,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { fs: Fs::real(), cache: StatCache::empty(), cancel: Cancel::new() }
    }

    pub(super) fn at<'a>(&'a self, root: &'a Path) -> Worktree<'a> {
        Worktree {
            fs: &self.fs,
            root,
            clock: &SystemClock,
            cache: &self.cache,
            progress: &Silent,
            cancel: &self.cancel,
        }
    }
}

/// A store in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    objects: Mutex<HashMap<Id, (Kind, Vec<u8>)>>,
}

impl Memory {
    pub(super) fn blob(&self, bytes: impl AsRef<[u8]>) -> Id {
        let id = hash::blob(bytes.as_ref());
        self.put(&Kind::BLOB, &id, bytes.as_ref()).unwrap();
        id
    }

    pub(super) fn forget(&self, id: &Id) {
        self.objects.lock().unwrap().remove(id);
    }

    /// Keeps the name but not the bytes.
    pub(super) fn damage(&self, id: &Id) {
        if let Some((_, bytes)) = self.objects.lock().unwrap().get_mut(id) {
            bytes.push(b'!');
        }
    }

    pub(super) fn len(&self) -> usize {
        self.objects.lock().unwrap().len()
    }

    fn damaged(id: Id) -> AccessError {
        AccessError::Damaged { id, place: "memory".into(), what: "other bytes".into() }
    }
}

impl Sink for Memory {
    fn has(&self, id: &Id) -> Result<bool, AccessError> {
        Ok(self.objects.lock().unwrap().contains_key(id))
    }

    fn put(&self, kind: &Kind, id: &Id, bytes: &[u8]) -> Result<(), AccessError> {
        assert_eq!(object::id_of(kind, bytes), *id);
        self.objects.lock().unwrap().insert(*id, (kind.clone(), bytes.to_vec()));
        Ok(())
    }

    fn put_blob(&self, id: &Id, len: u64, reader: &mut dyn Read) -> Result<(), AccessError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != len || hash::blob(&bytes) != *id {
            return Err(AccessError::Changed);
        }
        self.put(&Kind::BLOB, id, &bytes)
    }
}

impl Source for Memory {
    fn header(&self, id: &Id) -> Result<Option<(Kind, u64)>, AccessError> {
        Ok(self.objects.lock().unwrap().get(id).map(|(kind, bytes)| (kind.clone(), bytes.len() as u64)))
    }

    fn read(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        let Some((kind, bytes)) = self.objects.lock().unwrap().get(id).cloned() else { return Ok(None) };
        object::verify(id, &kind, &bytes).map_err(|_| Self::damaged(*id))?;
        Ok(Some((kind, bytes)))
    }

    fn copy(&self, id: &Id, out: &mut dyn Write) -> Result<Option<u64>, AccessError> {
        let Some((_, bytes)) = self.objects.lock().unwrap().get(id).cloned() else { return Ok(None) };
        out.write_all(&bytes)?;
        if hash::blob(&bytes) == *id { Ok(Some(bytes.len() as u64)) } else { Err(Self::damaged(*id)) }
    }
}

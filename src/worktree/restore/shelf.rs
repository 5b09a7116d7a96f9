//! Files that lie whole, by their ids, so that others can share their bytes: as another name of the same file, as a link to it, or block by block where
//! the file system can do that.
//!
//! It is a cache: what lies here came from the store and is in it. Users reach it through links and may have changed it, so every file is
//! hashed each time before it is shared; one that is wrong loses its name here and a new one is made. Nothing is ever written into a file that is here.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::{Error, Worktree};
use crate::fs::{FileKind, Fs, read_exact_at};
use crate::hash::{self, Id};
use crate::object::Source;

/// How a file that is brought back gets its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// They are its own, or blocks shared until one side changes, where the file system can do that: nothing tells the two apart.
    #[default]
    Copy,
    /// It is another name of a read-only file.
    Hard,
    /// It is a symbolic link to a read-only file; in a folder as [`Link::Hard`], since there a link would be other content.
    Symbolic,
}

/// Bytes from which on sharing blocks is worth a file on the shelf.
pub(super) const WORTH_SHARING: u64 = 1 << 20;

/// The folder of shared files.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    link: Link,
    /// Whether blocks can be shared here, once somebody asked.
    shares: OnceLock<bool>,
}

/// What became of a wish to share.
#[derive(Debug)]
pub(super) enum Shelved {
    /// The file, verified just now.
    At(PathBuf),
    /// The store does not have the content.
    Missing,
}

impl Shelf {
    /// The shelf in `folder`, which is made when it is needed.
    pub fn new(folder: PathBuf, link: Link) -> Self {
        Self { folder, link, shares: OnceLock::new() }
    }

    /// How files are to share.
    pub(super) fn link(&self) -> Link {
        self.link
    }

    /// Whether a file of so many bytes shares blocks.
    pub(super) fn shares(&self, bytes: u64) -> bool {
        bytes >= WORTH_SHARING
            && *self.shares.get_or_init(|| {
                let near = self.folder.ancestors().find(|path| path.is_dir());
                let kind = near.and_then(|path| crate::fs::space(path).ok()).and_then(|space| space.kind);
                matches!(kind, Some("btrfs" | "xfs" | "bcachefs"))
            })
    }

    fn path(&self, id: &Id, exec: bool) -> PathBuf {
        let name = id.to_string();
        let (first, rest) = name.split_at(2);
        // A symbolic link is not counted by the file: what it leads to is never swept.
        let part = if self.link == Link::Symbolic { "linked" } else { "shared" };
        self.folder.join(part).join(first).join(if exec { format!("{rest}.x") } else { rest.to_owned() })
    }

    /// The file with the content `id`, if it lies here and has it.
    pub(super) fn find(&self, worktree: &Worktree<'_>, id: &Id, exec: bool) -> Result<Option<PathBuf>, Error> {
        let path = self.path(id, exec);
        let failed = |source| Error::Io { doing: "share", path: path.clone(), source };
        let (file, stat) = match worktree.fs.open_no_follow_with_stat(&path) {
            Ok(opened) => opened,
            Err(err) if crate::fs::is_absent(&err) => return Ok(None),
            Err(_) => {
                worktree.fs.remove_file(&path).map_err(failed)?;
                return Ok(None);
            }
        };
        let found = hash::blob_at(stat.size, super::super::spread::threads_for(stat.size), &|at, buffer| {
            read_exact_at(&file, buffer, at)
        });
        let is_right =
            found.is_ok_and(|found| found == *id) && stat.kind == (FileKind::File { exec }) && stat.mode & 0o222 == 0;
        if !is_right {
            // Whoever changed it keeps it, under the names that it has elsewhere.
            worktree.fs.remove_file(&path).map_err(failed)?;
            return Ok(None);
        }
        Ok(Some(path))
    }

    /// The file with the content `id`, made if it is not here.
    pub(super) fn file(
        &self,
        worktree: &Worktree<'_>,
        source: &dyn Source,
        id: &Id,
        exec: bool,
    ) -> Result<Shelved, Error> {
        // Another process may make it, or spoil it, meanwhile.
        for _ in 0..8 {
            if let Some(path) = self.find(worktree, id, exec)? {
                return Ok(Shelved::At(path));
            }
            let written = self.put(worktree, id, exec, &mut |out| {
                source.copy(id, out).map_err(|source| Error::Access {
                    doing: "restore",
                    path: self.path(id, exec),
                    source,
                })
            })?;
            if written.is_none() {
                return Ok(Shelved::Missing);
            }
        }
        Err(Error::Changed { path: self.path(id, exec) })
    }

    /// Puts a file here that `write` fills; it says `None` if there is nothing to fill it with.
    pub(super) fn put(
        &self,
        worktree: &Worktree<'_>,
        id: &Id,
        exec: bool,
        write: &mut dyn FnMut(&mut crate::fs::Output) -> Result<Option<u64>, Error>,
    ) -> Result<Option<u64>, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = self.path(id, exec);
        let failed = |source| Error::Io { doing: "share", path: path.clone(), source };
        let folder = path.parent().unwrap_or(&self.folder);
        worktree.fs.make_dirs(folder).map_err(failed)?;
        let mut name = TEMPORARY.to_vec();
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        name.extend_from_slice(format!("{}-{nth}", std::process::id()).as_bytes());
        let beside = folder.join(std::ffi::OsStr::from_bytes(&name));
        // What a dead process of this number left.
        let _ = worktree.fs.remove_file(&beside);
        let mut out = worktree.fs.create_new(&beside, 0o600).map_err(failed)?;
        let done = write(&mut out).and_then(|written| {
            if written.is_some() {
                out.set_mode(if exec { 0o555 } else { 0o444 }).map_err(failed)?;
                match worktree.fs.link(&beside, &path) {
                    Err(err) if cannot_link(&err) => worktree.fs.rename(&beside, &path).map_err(failed)?,
                    Err(err) if err.kind() != io::ErrorKind::AlreadyExists => return Err(failed(err)),
                    _ => {}
                }
            }
            Ok(written)
        });
        match worktree.fs.remove_file(&beside) {
            Err(err) if !crate::fs::is_absent(&err) => done.and(Err(failed(err))),
            _ => done,
        }
    }
}

/// What the names of files begin with that are being made.
const TEMPORARY: &[u8] = b".making-";

/// Whether the system says that this file can't have another name there.
pub(super) fn cannot_link(err: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::XDEV, Errno::MLINK, Errno::PERM, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS]
        .iter()
        .any(|errno| err.raw_os_error() == Some(errno.raw_os_error()))
}

/// Removes the files of a shelf that have no other name; returns how many and their bytes. Those that symbolic links may lead to stay.
///
/// # Errors
/// When one can't be removed.
pub fn sweep(fs: &Fs, folder: &Path, dry_run: bool) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    let shared = folder.join("shared");
    if !fs.is_dir(&shared) {
        return Ok((0, 0));
    }
    for item in fs.walk(&shared) {
        let (path, stat) = item?;
        let is_being_made = path.file_name().is_some_and(|name| name.as_bytes().starts_with(TEMPORARY));
        if stat.is_file() && stat.links == 1 && !is_being_made {
            if !dry_run {
                fs.remove_file(&path)?;
            }
            files += 1;
            bytes += stat.size;
        }
    }
    Ok((files, bytes))
}

//! A folder that is held open: everything below it is reached relative to it, one name at a time, never through a link.
//!
//! What happens here can't be led astray by someone who swaps a folder for a symbolic link meanwhile: every step
//! is taken from an open folder, and links are refused by the kernel.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::BString;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::fault::Op;
use super::listing::{self, Listed};
use super::{FileKind, Fs, Output, Stat, is_absent};
use crate::path::{RelPath, is_name};

/// An open folder.
#[derive(Debug)]
pub struct Dir {
    fs: Fs,
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens a folder that the user or prov named; links in `path` are followed.
    pub fn open(fs: &Fs, path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::openat(CWD, path, folder_flags(), Mode::empty())?;
        Ok(Self { fs: fs.clone(), fd, path: path.to_owned() })
    }

    /// As [`Dir::open`], but a link as the last component is refused.
    pub fn open_no_follow(fs: &Fs, path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::openat(CWD, path, folder_flags() | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self { fs: fs.clone(), fd, path: path.to_owned() })
    }

    /// The names in it, sorted, for whoever opened it and lists it once: a second time there are none.
    pub fn list_once(&self) -> io::Result<Vec<Listed>> {
        self.list_chosen(&|_, _| true)
    }

    /// As [`Dir::list_once`], only the names that `choose` wants; it is told whether a name is a folder, if the listing tells that.
    pub fn list_chosen(&self, choose: &dyn Fn(&[u8], Option<bool>) -> bool) -> io::Result<Vec<Listed>> {
        listing::read(self.as_fd(), choose)
    }

    /// Its own state.
    pub fn own_stat(&self) -> io::Result<Stat> {
        Ok(Stat::of_raw(&rustix::fs::fstat(&self.fd)?))
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the folder at `below`, no component of which may be a link.
    ///
    /// # Errors
    /// `ELOOP` or `ENOTDIR` if one is.
    pub fn beneath(&self, below: &RelPath) -> io::Result<Dir> {
        if below.is_root() {
            let fd = self.fd.try_clone()?;
            return Ok(Dir { fs: self.fs.clone(), fd, path: self.path.clone() });
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::ResolveFlags;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            let at = OsStr::from_bytes(below.as_bytes());
            match rustix::fs::openat2(&self.fd, at, folder_flags(), Mode::empty(), resolve) {
                Ok(fd) => return Ok(Dir { fs: self.fs.clone(), fd, path: below.below(&self.path) }),
                // An old kernel or a sandbox without the call: walk.
                Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::AGAIN | Errno::TOOBIG) => {}
                Err(err) => return Err(err.into()),
            }
        }
        self.walk(below)
    }

    /// [`Dir::beneath`] one component after the other.
    fn walk(&self, below: &RelPath) -> io::Result<Dir> {
        let mut at: Option<Dir> = None;
        for name in below.components() {
            at = Some(at.as_ref().unwrap_or(self).folder(name)?);
        }
        at.map_or_else(|| self.beneath(&RelPath::root()), Ok)
    }

    /// Opens the folder `name` in this one; a link is refused.
    pub fn folder(&self, name: &[u8]) -> io::Result<Dir> {
        let name = plain(name)?;
        let fd = rustix::fs::openat(&self.fd, name, folder_flags() | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Dir { fs: self.fs.clone(), fd, path: self.path.join(name) })
    }

    /// As [`Dir::beneath`], creating the folders that are missing.
    pub fn make_beneath(&self, below: &RelPath) -> io::Result<Dir> {
        match self.beneath(below) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
        let mut at = self.beneath(&RelPath::root())?;
        for name in below.components() {
            at = match at.folder(name) {
                Err(err) if err.kind() == io::ErrorKind::NotFound => {
                    match at.make_dir(name) {
                        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => return Err(err),
                        _ => {}
                    }
                    at.folder(name)?
                }
                opened => opened?,
            };
        }
        Ok(at)
    }

    /// The names in the folder, sorted.
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        // Opened anew, since how far this one was read is nobody's business.
        let fd = rustix::fs::openat(&self.fd, ".", folder_flags(), Mode::empty())?;
        listing::read(fd.as_fd(), &|_, _| true)
    }

    /// The state of a name of its listing, links not followed; `None` if it is gone.
    pub fn stat_listed(&self, listed: &Listed) -> io::Result<Option<Stat>> {
        plain(&listed.name)?;
        self.stat_named(listed.name.as_c_str().ok_or_else(not_plain)?)
    }

    /// The state of a name that a listing of this folder gave once, links not followed; `None` if it is gone.
    pub fn stat_named(&self, name: &CStr) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Stat::of_raw(&stat))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }

    /// The state of `name`, links not followed; `None` if there is nothing.
    pub fn stat(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, plain(name)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Stat::of_raw(&stat))),
            Err(err) if is_absent(&err.into()) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }

    /// Whether names may be created and removed in it.
    pub fn is_writable(&self) -> io::Result<bool> {
        use rustix::fs::Access;
        match rustix::fs::accessat(&self.fd, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(false),
            Err(err) => Err(err.into()),
        }
    }

    /// The target of the link `name`.
    pub fn read_link(&self, name: &[u8]) -> io::Result<BString> {
        Ok(rustix::fs::readlinkat(&self.fd, plain(name)?, Vec::new())?.into_bytes().into())
    }

    /// Opens the regular file `name` for reading; links are refused, nothing blocks.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(&self.fd, plain(name)?, flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
        }
    }

    /// Creates the file `name`, which must not exist, with permission bits `mode` less the process's mask.
    pub fn create_new(&self, name: &[u8], mode: u32) -> io::Result<Output> {
        let name = plain(name)?;
        let path = self.path.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = self.fs.effect(Op::Create, &path, || {
            Ok(File::from(rustix::fs::openat(&self.fd, name, flags, Mode::from_bits_truncate(raw_mode(mode)))?))
        })?;
        Ok(Output::new(self.fs.clone(), file, path))
    }

    /// Gives the file at `from`, which prov named, the name `name` here as well; a link there is not followed.
    pub fn adopt(&self, from: &Path, name: &[u8]) -> io::Result<()> {
        let name = plain(name)?;
        self.fs.effect(Op::Link, &self.path.join(name), || {
            Ok(rustix::fs::linkat(CWD, from, &self.fd, name, AtFlags::empty())?)
        })
    }

    /// Creates the folder `name`.
    pub fn make_dir(&self, name: &[u8]) -> io::Result<()> {
        let name = plain(name)?;
        self.fs.effect(Op::MakeDir, &self.path.join(name), || {
            Ok(rustix::fs::mkdirat(&self.fd, name, Mode::from_bits_truncate(0o777))?)
        })
    }

    /// Creates a link `name` that says `target`.
    pub fn symlink(&self, target: &[u8], name: &[u8]) -> io::Result<()> {
        let name = plain(name)?;
        self.fs.effect(Op::Symlink, &self.path.join(name), || {
            Ok(rustix::fs::symlinkat(OsStr::from_bytes(target), &self.fd, name)?)
        })
    }

    /// Gives `name` the place `to_name` in `to`, replacing what is there.
    pub fn rename(&self, name: &[u8], to: &Dir, to_name: &[u8]) -> io::Result<()> {
        let (name, to_name) = (plain(name)?, plain(to_name)?);
        self.fs
            .effect(Op::Rename, &to.path.join(to_name), || Ok(rustix::fs::renameat(&self.fd, name, &to.fd, to_name)?))
    }

    /// As [`Dir::rename`], but fails with `AlreadyExists` if there is anything. Where the file system can't do that
    /// in one step, it is looked first.
    pub fn rename_no_replace(&self, name: &[u8], to: &Dir, to_name: &[u8]) -> io::Result<()> {
        let (name, to_name) = (plain(name)?, plain(to_name)?);
        self.fs.effect(Op::Rename, &to.path.join(to_name), || {
            match rename_no_replace_at(&self.fd, name, &to.fd, to_name) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                done => return Ok(done?),
            }
            if to.stat(to_name.as_bytes())?.is_some() {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            Ok(rustix::fs::renameat(&self.fd, name, &to.fd, to_name)?)
        })
    }

    /// Removes the file or link `name`.
    pub fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        let name = plain(name)?;
        self.fs
            .effect(Op::Remove, &self.path.join(name), || Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?))
    }

    /// Removes the empty folder `name`.
    pub fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        let name = plain(name)?;
        self.fs
            .effect(Op::Remove, &self.path.join(name), || Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?))
    }

    /// Removes whatever `name` is, a folder with everything below it; links are removed, not followed.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        match self.stat(name)?.map(|s| s.kind) {
            None => Ok(()),
            Some(FileKind::Folder) => {
                // One folder is open for each level, so a chain of folders can't exhaust the stack.
                let mut open = vec![(self.folder(name)?, BString::from(name), None::<Vec<Listed>>)];
                while let Some((dir, _, rest)) = open.last_mut() {
                    let rest = match rest {
                        Some(rest) => rest,
                        None => rest.insert(dir.list()?),
                    };
                    let Some(next) = rest.pop() else {
                        let done = open.pop().map(|(_, name, _)| name).unwrap_or_default();
                        open.last().map_or(self, |(dir, ..)| dir).remove_dir(&done)?;
                        continue;
                    };
                    let is_folder = match next.is_folder {
                        Some(known) => known,
                        None => dir.stat(&next.name)?.is_some_and(|s| s.is_folder()),
                    };
                    if is_folder {
                        let inner = dir.folder(&next.name)?;
                        open.push((inner, next.name.to_vec().into(), None));
                    } else {
                        dir.remove_file(&next.name)?;
                    }
                }
                Ok(())
            }
            Some(_) => self.remove_file(name),
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// A name that is one component: nothing else is ever handed to the kernel relative to an open folder.
fn plain(name: &[u8]) -> io::Result<&OsStr> {
    if is_name(name) { Ok(OsStr::from_bytes(name)) } else { Err(not_plain()) }
}

fn not_plain() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a plain file name")
}

/// Permission bits in the platform's width; they always fit.
fn raw_mode(mode: u32) -> rustix::fs::RawMode {
    rustix::fs::RawMode::try_from(mode & 0o777).unwrap_or_default()
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_no_replace_at(from: &OwnedFd, name: &OsStr, to: &OwnedFd, to_name: &OsStr) -> Result<(), Errno> {
    rustix::fs::renameat_with(from, name, to, to_name, rustix::fs::RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_no_replace_at(_from: &OwnedFd, _name: &OsStr, _to: &OwnedFd, _to_name: &OsStr) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    #[test]
    fn links_are_refused_on_the_way_down() {
        let tmp = tempfile::tempdir().unwrap();
        let fs = Fs::real();
        fs.make_dirs(&tmp.path().join("a/b")).unwrap();
        fs.symlink(Path::new("a"), &tmp.path().join("l")).unwrap();
        let root = Dir::open(&fs, tmp.path()).unwrap();
        for open in [Dir::beneath, Dir::walk] {
            assert!(open(&root, &rel("a/b")).is_ok());
            assert!(open(&root, &rel("l")).is_err());
            assert!(open(&root, &rel("l/b")).is_err());
            assert!(open(&root, &rel("a/none")).is_err());
        }
        assert!(root.make_beneath(&rel("l/new")).is_err());
        assert!(root.folder(b"..").is_err());
        assert!(root.create_new(b"a/x", 0o666).is_err());
        root.make_beneath(&rel("a/c/d")).unwrap();
        assert!(tmp.path().join("a/c/d").is_dir());
    }

    #[test]
    fn removing_a_folder_leaves_what_links_lead_to() {
        let tmp = tempfile::tempdir().unwrap();
        let fs = Fs::real();
        fs.make_dirs(&tmp.path().join("x/y/z")).unwrap();
        fs.make_dirs(&tmp.path().join("keep/inner")).unwrap();
        fs.symlink(&tmp.path().join("keep"), &tmp.path().join("x/y/l")).unwrap();
        let root = Dir::open(&fs, tmp.path()).unwrap();
        root.create_new(b"f", 0o666).unwrap();
        root.rename(b"f", &root.beneath(&rel("x/y")).unwrap(), b"f").unwrap();
        root.remove(b"x").unwrap();
        root.remove(b"x").unwrap();
        assert!(!tmp.path().join("x").exists());
        assert!(tmp.path().join("keep/inner").is_dir());
    }
}

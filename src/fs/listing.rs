//! The names in a folder, read with few calls and kept in one piece of memory.

use std::cmp::Ordering;
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bstr::{BStr, ByteSlice};
use rustix::fs::FileType;

/// A name in a folder. All names of one listing share their memory.
#[derive(Clone)]
pub struct Name {
    /// Every name is followed by a NUL.
    all: Arc<[u8]>,
    from: u32,
    len: u32,
}

impl Name {
    /// The name as the system takes it, as long as there is no NUL in it.
    pub(super) fn as_c_str(&self) -> Option<&CStr> {
        let from = self.from as usize;
        CStr::from_bytes_with_nul(&self.all[from..=from + self.len as usize]).ok()
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.all[self.from as usize..(self.from + self.len) as usize]
    }
}

impl From<&[u8]> for Name {
    /// A name of its own. What is longer than any file system allows is cut off.
    fn from(name: &[u8]) -> Self {
        let len = u32::try_from(name.len()).unwrap_or(u32::MAX - 1);
        let mut all = name[..len as usize].to_vec();
        all.push(0);
        Self { all: all.into(), from: 0, len }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_bstr(), f)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl AsRef<BStr> for Name {
    fn as_ref(&self) -> &BStr {
        self.as_bstr()
    }
}

/// One name in a folder, with its kind if the listing told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: Name,
    /// What it leads to: `Some(true)` for a folder, `Some(false)` for anything else, `None` if only a stat can tell.
    pub is_folder: Option<bool>,
}

/// Whether a name is wanted, with its kind as in [`Listed`].
pub(super) type Choose<'a> = &'a dyn Fn(&[u8], Option<bool>) -> bool;

/// What is known of a name before all are read.
struct Found {
    /// The first eight bytes as a number that sorts as they do: no name has a NUL in it.
    head: u64,
    from: u32,
    len: u32,
    is_folder: Option<bool>,
}

/// Takes names as the system gives them.
#[derive(Default)]
struct Collect {
    all: Vec<u8>,
    found: Vec<Found>,
}

impl Collect {
    fn add(&mut self, name: &CStr, kind: FileType, choose: Choose<'_>) -> io::Result<()> {
        let bytes = name.to_bytes();
        if bytes == b"." || bytes == b".." {
            return Ok(());
        }
        let is_folder = match kind {
            FileType::Unknown => None,
            kind => Some(kind == FileType::Directory),
        };
        if !choose(bytes, is_folder) {
            return Ok(());
        }
        let too_many = || io::Error::other("the names in it are longer than 4 GiB");
        let from = u32::try_from(self.all.len()).map_err(|_| too_many())?;
        let len = u32::try_from(bytes.len()).map_err(|_| too_many())?;
        from.checked_add(len).ok_or_else(too_many)?;
        let mut head = [0; 8];
        let some = bytes.len().min(8);
        head[..some].copy_from_slice(&bytes[..some]);
        self.all.extend_from_slice(name.to_bytes_with_nul());
        self.found.push(Found { head: u64::from_be_bytes(head), from, len, is_folder });
        Ok(())
    }

    fn sorted(mut self) -> Vec<Listed> {
        let all: Arc<[u8]> = self.all.into();
        let name = |found: &Found| &all[found.from as usize..(found.from + found.len) as usize];
        self.found.sort_unstable_by(|a, b| a.head.cmp(&b.head).then_with(|| name(a).cmp(name(b))));
        let name = |found: &Found| Name { all: Arc::clone(&all), from: found.from, len: found.len };
        self.found.iter().map(|found| Listed { name: name(found), is_folder: found.is_folder }).collect()
    }
}

/// The names in an open folder that nobody has read from, as far as `choose` wants them, sorted.
#[cfg(target_os = "linux")]
pub(super) fn read(fd: BorrowedFd<'_>, choose: Choose<'_>) -> io::Result<Vec<Listed>> {
    use std::mem::MaybeUninit;

    let mut buffer = [const { MaybeUninit::uninit() }; 16 << 10];
    let mut entries = rustix::fs::RawDir::new(fd, &mut buffer);
    let mut collect = Collect::default();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        collect.add(entry.file_name(), entry.file_type(), choose)?;
    }
    Ok(collect.sorted())
}

/// The names in an open folder that nobody has read from, as far as `choose` wants them, sorted.
#[cfg(not(target_os = "linux"))]
pub(super) fn read(fd: BorrowedFd<'_>, choose: Choose<'_>) -> io::Result<Vec<Listed>> {
    let mut collect = Collect::default();
    for entry in rustix::fs::Dir::read_from(fd)? {
        let entry = entry?;
        collect.add(entry.file_name(), entry.file_type(), choose)?;
    }
    Ok(collect.sorted())
}

#[cfg(test)]
mod tests {
    use super::super::{Dir, Fs};
    use super::*;

    #[test]
    fn names_come_sorted_by_their_bytes_however_many_and_whatever_they_hold() {
        let tmp = tempfile::tempdir().unwrap();
        let fs = Fs::real();
        let dir = Dir::open(&fs, tmp.path()).unwrap();
        let mut names: Vec<Vec<u8>> =
            (0..3_000).map(|n| format!("{n:x}-{}", "y".repeat(n % 60)).into_bytes()).collect();
        names.extend(
            [&b"12345678"[..], b"12345678\x01", b"1234567", b"\xff\xfe", b"...", b"a\nb", &[b'n'; 255]]
                .map(<[u8]>::to_vec),
        );
        for name in &names {
            dir.create_new(name, 0o666).unwrap();
        }
        dir.make_dir(b"zz").unwrap();
        names.push(b"zz".to_vec());
        names.sort();
        let again = Dir::open(&fs, tmp.path()).unwrap();
        let listed = again.list_once().unwrap();
        assert_eq!(listed.iter().map(|l| l.name.to_vec()).collect::<Vec<_>>(), names);
        assert!(listed.iter().all(|l| l.is_folder.is_none_or(|is| is == (*l.name == *b"zz"))));
        // A folder that was listed can be listed again.
        assert_eq!(again.list().unwrap(), listed);
        assert_eq!(dir.list().unwrap(), listed);
        for one in listed.iter().step_by(97) {
            assert_eq!(again.stat_listed(one).unwrap(), dir.stat(&one.name).unwrap());
            assert!(again.stat_listed(one).unwrap().is_some());
        }
        dir.remove_file(b"...").unwrap();
        let gone = listed.iter().find(|l| *l.name == *b"...").unwrap();
        assert_eq!(again.stat_listed(gone).unwrap(), None);
    }

    #[test]
    fn a_name_that_is_none_is_never_handed_to_the_system() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(&Fs::real(), tmp.path()).unwrap();
        for name in [&b"a/b"[..], b"..", b".", b"", b"a\0b"] {
            assert!(dir.stat_listed(&Listed { name: name.into(), is_folder: None }).is_err(), "{name:?}");
        }
    }
}

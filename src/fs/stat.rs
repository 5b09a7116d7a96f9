//! What the file system says about a file, as far as prov uses it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file; `exec` if its owner may execute it.
    File {
        /// Whether the owner's execute bit is set.
        exec: bool,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A FIFO, socket or device.
    Other,
}

/// Identity, size and times of a file: equal before and after means nothing was seen to change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of content, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of content or state, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Number of names.
    pub links: u64,
    /// Permission and type bits.
    pub mode: u32,
}

impl Stat {
    /// From the standard library's form.
    pub fn of(meta: &Metadata) -> Self {
        let kind = if meta.is_file() {
            FileKind::File { exec: meta.mode() & 0o100 != 0 }
        } else if meta.is_dir() {
            FileKind::Folder
        } else if meta.is_symlink() {
            FileKind::Link
        } else {
            FileKind::Other
        };
        Self {
            kind,
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.len(),
            mtime_ns: meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()),
            ctime_ns: meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec()),
            links: meta.nlink(),
            mode: meta.mode(),
        }
    }

    /// From the system call's form.
    #[allow(
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        clippy::useless_conversion,
        reason = "the width of each field depends on the platform; every value fits"
    )]
    pub(super) fn of_raw(stat: &rustix::fs::Stat) -> Self {
        use rustix::fs::FileType;
        let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        let mode = stat.st_mode as u32;
        Self {
            kind: match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => FileKind::File { exec: mode & 0o100 != 0 },
                FileType::Directory => FileKind::Folder,
                FileType::Symlink => FileKind::Link,
                _ => FileKind::Other,
            },
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: stat.st_size as u64,
            mtime_ns: nanos(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime_ns: nanos(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            links: stat.st_nlink as u64,
            mode,
        }
    }

    /// Whether this is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, FileKind::File { .. })
    }

    /// Whether this is a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == FileKind::Folder
    }

    /// Whether the two describe the same file with, as far as can be seen, the same content and kind.
    pub fn same_content(&self, other: &Stat) -> bool {
        (self.kind, self.dev, self.ino, self.size, self.mtime_ns, self.ctime_ns)
            == (other.kind, other.dev, other.ino, other.size, other.mtime_ns, other.ctime_ns)
    }
}

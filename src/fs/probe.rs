//! What a folder's file system can do, found out by trying.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::{Fs, Op, lock};

/// What worked in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// A file can have two names.
    pub hard_links: bool,
    /// A name can point to another.
    pub symlinks: bool,
    /// Two files can share their blocks until one is changed.
    pub reflinks: bool,
    /// A rename can refuse to replace.
    pub rename_no_replace: bool,
    /// An advisory lock keeps a second holder out.
    pub locks: bool,
    /// `a` and `A` are two names.
    pub case_sensitive: bool,
    /// The time that the file system gave a file written just now, nanoseconds since 1970.
    pub written_ns: i64,
}

/// Size and kind of the file system that a folder lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Its kind, where the system names it.
    pub kind: Option<&'static str>,
    /// Whether other machines may change it too.
    pub is_network: bool,
    /// Whether nothing can be written.
    pub is_read_only: bool,
    /// All bytes.
    pub total_bytes: u64,
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// All files it can hold; 0 where there is no such limit.
    pub total_files: u64,
    /// Files that this user may still create.
    pub free_files: u64,
}

/// Tries everything in a folder of its own below `dir`, which is removed again.
///
/// # Errors
/// Nothing can be written there.
pub fn probe(fs: &Fs, dir: &Path) -> io::Result<Probe> {
    let own = dir.join(format!(".prov-probe-{}", std::process::id()));
    fs.make_dir(&own)?;
    let found = within(fs, &own);
    let removed = fs.remove_tree(&own);
    let found = found?;
    removed?;
    Ok(found)
}

fn within(fs: &Fs, own: &Path) -> io::Result<Probe> {
    let file = own.join("file");
    let mut out = fs.create_new(&file, 0o666)?;
    out.write_all(b"prov")?;
    out.sync()?;
    let written_ns = out.stat()?.mtime_ns;
    let other = own.join("other");
    let mut second = fs.create_new(&other, 0o666)?;
    second.write_all(b"other")?;
    let refuses = matches!(fs.rename_no_replace(&file, &other), Err(err) if err.kind() == io::ErrorKind::AlreadyExists);
    Ok(Probe {
        hard_links: fs.link(&file, &own.join("hard")).is_ok(),
        symlinks: fs.symlink(Path::new("file"), &own.join("soft")).is_ok(),
        reflinks: reflink(fs, &file, &own.join("clone")).is_ok(),
        rename_no_replace: refuses && fs.rename_no_replace(&other, &own.join("moved")).is_ok(),
        locks: locks(&own.join("lock")),
        case_sensitive: fs.lstat(&own.join("FILE"))?.is_none(),
        written_ns,
    })
}

fn locks(path: &Path) -> bool {
    let first = lock(path, Duration::ZERO);
    let is_refused = first.is_some() && lock(path, Duration::ZERO).is_none();
    drop(first);
    is_refused && lock(path, Duration::ZERO).is_some()
}

#[cfg(target_os = "linux")]
fn reflink(fs: &Fs, from: &Path, to: &Path) -> io::Result<()> {
    let source = fs.open(from)?;
    let clone = fs.create_new(to, 0o666)?;
    fs.effect(Op::Write, to, || Ok(rustix::fs::ioctl_ficlone(clone.file()?, &source)?))
}

#[cfg(not(target_os = "linux"))]
fn reflink(fs: &Fs, _from: &Path, to: &Path) -> io::Result<()> {
    fs.effect(Op::Write, to, || Err(io::ErrorKind::Unsupported.into()))
}

/// Asks how large and full the file system of `dir` is.
pub fn space(dir: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(dir)?;
    let (kind, is_network) = kind(dir);
    Ok(Space {
        kind,
        is_network,
        is_read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        total_files: stat.f_files,
        free_files: stat.f_favail,
    })
}

/// Whether the file system of `dir` is known to stamp a folder, mtime and ctime, whenever a name in it comes, goes or is given to another
/// file, seen at once by whoever asks.
pub fn stamps_folders(dir: &Path) -> bool {
    matches!(kind(dir), (Some("ext4" | "btrfs" | "xfs" | "zfs" | "f2fs" | "bcachefs" | "tmpfs"), false))
}

#[cfg(target_os = "linux")]
fn kind(dir: &Path) -> (Option<&'static str>, bool) {
    let Ok(stat) = rustix::fs::statfs(dir) else { return (None, false) };
    // The field is signed on some machines and 32 bits wide on others; the magic numbers have 32 bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only the low 32 bits are the number")]
    let magic = stat.f_type as u32;
    match magic {
        0xef53 => (Some("ext4"), false),
        0x9123_683e => (Some("btrfs"), false),
        0x5846_5342 => (Some("xfs"), false),
        0x2fc1_2fc1 => (Some("zfs"), false),
        0xf2f5_2010 => (Some("f2fs"), false),
        0xca45_1a4e => (Some("bcachefs"), false),
        0x0102_1994 => (Some("tmpfs"), false),
        0x794c_7630 => (Some("overlay"), false),
        0x4d44 => (Some("vfat"), false),
        0x2011_bab0 => (Some("exfat"), false),
        0x7366_746e => (Some("ntfs"), false),
        0x6969 => (Some("nfs"), true),
        0xff53_4d42 => (Some("cifs"), true),
        0xfe53_4d42 => (Some("smb2"), true),
        0x0bd0_0bd0 => (Some("lustre"), true),
        0x4750_4653 => (Some("gpfs"), true),
        0x00c3_6400 => (Some("ceph"), true),
        0x1983_0326 => (Some("beegfs"), true),
        0x0102_1997 => (Some("9p"), true),
        0x6573_5546 => (Some("fuse"), true),
        _ => (None, false),
    }
}

#[cfg(not(target_os = "linux"))]
fn kind(_dir: &Path) -> (Option<&'static str>, bool) {
    (None, false)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::NthEffect;
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let probe = probe(&Fs::real(), dir.path()).unwrap();
        assert!(probe.hard_links && probe.symlinks && probe.locks, "{probe:?}");
        assert!(Fs::real().names(dir.path()).unwrap().is_empty());
        assert!(space(dir.path()).unwrap().total_bytes > 0);
    }

    #[test]
    fn a_folder_that_takes_no_links_is_found_out_and_nothing_panics() {
        let dir = tempfile::tempdir().unwrap();
        for nth in 0.. {
            let fault = Arc::new(NthEffect::once(nth, super::super::Verdict::Fail(1)));
            let _ = probe(&Fs::with_fault(fault.clone()), dir.path());
            let _ = Fs::real().remove_tree(&dir.path().join(format!(".prov-probe-{}", std::process::id())));
            if !fault.has_struck() {
                break;
            }
        }
    }
}

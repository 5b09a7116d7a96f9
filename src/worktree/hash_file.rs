//! The id of one file, known from the cache or computed, with the state in which it had that id.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::spread;
use super::stat_cache::{Key, is_settled, settles_in};
use super::{Error, Worktree};
use crate::clock::Micros;
use crate::fs::{FileKind, Stat, read_exact_at};
use crate::hash::{self, Id};
use crate::object::{Kind, Sink};
use crate::progress::Cancel;

/// Bytes of a file up to which it is held in memory and read once.
pub(super) const SMALL: u64 = 1 << 20;

/// Bytes from which on one file is hashed by several threads.
pub(super) const LARGE: u64 = 32 << 20;

/// Bytes from which on it is worth waiting a few milliseconds for a file to settle, so that it need not be read twice.
const WORTH_WAITING: u64 = 8 << 20;

/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// How often a file is read that changes meanwhile.
const ATTEMPTS: usize = 4;

/// A file's id and when it had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    /// The id of its bytes.
    pub id: Id,
    /// Its state before and after they were read.
    pub stat: Stat,
    /// Whether every edit since then is sure to show in its state.
    pub is_settled: bool,
}

/// How the last component of a path is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLink {
    /// A link leads to its target.
    Follow,
    /// A link is an error.
    Refuse,
}

/// Computes the id of the file at `path`, following links, and stores its bytes if there is a sink that lacks them.
/// What the cache knows is not read again; what is computed is remembered.
///
/// Memory stays small whatever the size of the file.
///
/// # Errors
/// When it is absent, not a file, can't be read, keeps changing while it is read, or the sink fails.
pub fn hash_file(worktree: &Worktree<'_>, key: Key, path: &Path, sink: Option<&dyn Sink>) -> Result<Hashed, Error> {
    let stat = worktree.fs.stat(path).map_err(Error::io("read", path))?;
    let stat = stat.ok_or_else(|| Error::Absent { path: path.to_owned() })?;
    hash_seen(worktree, key, path, stat, sink)
}

/// As [`hash_file`] of a file that was just found in the state `stat`.
///
/// # Errors
/// As [`hash_file`].
pub(super) fn hash_seen(
    worktree: &Worktree<'_>,
    key: Key,
    path: &Path,
    stat: Stat,
    sink: Option<&dyn Sink>,
) -> Result<Hashed, Error> {
    if stat.kind == FileKind::Other {
        return Err(Error::Special { path: path.to_owned() });
    }
    if let Some(id) = worktree.cache.get(key, &stat)
        && is_stored(sink, &id, path)?
    {
        return Ok(Hashed { id, stat, is_settled: true });
    }
    read_file(worktree, key, path, sink, LastLink::Follow, true)
}

/// Whether there is no sink or it has the object.
pub(super) fn is_stored(sink: Option<&dyn Sink>, id: &Id, path: &Path) -> Result<bool, Error> {
    sink.map_or(Ok(true), |sink| sink.has(id).map_err(Error::access("store", path)))
}

/// As [`hash_file`] without looking into the cache; a large file is hashed by several threads if it `is_alone`.
pub(super) fn read_file(
    worktree: &Worktree<'_>,
    key: Key,
    path: &Path,
    sink: Option<&dyn Sink>,
    last: LastLink,
    is_alone: bool,
) -> Result<Hashed, Error> {
    let open = || {
        let file = match last {
            LastLink::Follow => worktree.fs.open_with_stat(path),
            LastLink::Refuse => worktree.fs.open_no_follow_with_stat(path),
        };
        file.map_err(|err| match err.kind() {
            io::ErrorKind::InvalidInput => not_a_file(worktree, path, err),
            _ => Error::io("read", path)(err),
        })
    };
    let (mut file, stat) = open()?;
    let mut opened = if wait_until_settled(worktree, &stat) { None } else { Some(stat) };
    let (hashed, began) = steadily(path, &mut |_| {
        let began = worktree.clock.now();
        let before = opened.take().map_or_else(|| stat_of(&file, path), Ok)?;
        let done = match contents(worktree, &file, &before, path, sink, is_alone) {
            Ok(id) => Some(id),
            Err(Error::Changed { .. }) => None,
            Err(err) => return Err(err),
        };
        let after = stat_of(&file, path)?;
        if let Some(id) = done
            && before.same_content(&after)
        {
            return Ok(Some((Hashed { id, stat: after, is_settled: is_settled(&after, began) }, began)));
        }
        // It may have been replaced under its name.
        let (again, stat) = open()?;
        (file, opened) = (again, Some(stat));
        Ok(None)
    })?;
    worktree.cache.put(key, &hashed.stat, hashed.id, began);
    Ok(hashed)
}

/// Tries until `attempt` finds that nothing changed meanwhile.
fn steadily(
    path: &Path,
    attempt: &mut dyn FnMut(usize) -> Result<Option<(Hashed, Micros)>, Error>,
) -> Result<(Hashed, Micros), Error> {
    for nth in 0..ATTEMPTS {
        if let Some(done) = attempt(nth)? {
            return Ok(done);
        }
    }
    Err(Error::Changed { path: path.to_owned() })
}

fn contents(
    worktree: &Worktree<'_>,
    file: &File,
    stat: &Stat,
    path: &Path,
    sink: Option<&dyn Sink>,
    is_alone: bool,
) -> Result<Id, Error> {
    let changed = || Error::Changed { path: path.to_owned() };
    let read = |err: io::Error| match err.kind() {
        io::ErrorKind::UnexpectedEof => changed(),
        _ => Error::io("read", path)(err),
    };
    if stat.size == 0 && std::os::unix::fs::FileExt::read_at(file, &mut [0], 0).map_err(Error::io("read", path))? > 0 {
        // The kernel's own files (`/proc`, `/sys`) claim to be empty, and no state tells when they change.
        return if stat_of(file, path)?.size == 0 {
            Err(Error::Special { path: path.to_owned() })
        } else {
            Err(changed())
        };
    }
    if stat.size <= SMALL {
        let mut bytes = vec![0; usize::try_from(stat.size).unwrap_or(0)];
        read_exact_at(file, &mut bytes, 0).map_err(read)?;
        return match sink {
            Some(sink) => sink.put_new(&Kind::BLOB, &bytes).map_err(Error::access("store", path)),
            None => Ok(hash::blob(&bytes)),
        };
    }
    // Positioned reads do not move the file: each of these starts where the file does.
    let reader = || At { file, at: 0, size: stat.size, cancel: worktree.cancel, is_slow: false, fetched: 0 };
    if let Some(sink) = sink {
        let put = sink.put_new_blob(stat.size, &mut reader());
        worktree.check_cancel()?;
        if let Some(id) = put.map_err(Error::access("store", path))? {
            return Ok(id);
        }
    }
    let threads = if is_alone { spread::threads_for(stat.size) } else { 1 };
    let id = hash::blob_at(stat.size, threads, &|at, buffer| {
        if worktree.cancel.is_raised() {
            return Err(io::Error::other("interrupted"));
        }
        read_exact_at(file, buffer, at)
    });
    worktree.check_cancel()?;
    let id = id.map_err(read)?;
    if let Some(sink) = sink
        && !sink.has(&id).map_err(Error::access("store", path))?
    {
        let put = sink.put_blob(&id, stat.size, &mut reader());
        worktree.check_cancel()?;
        put.map_err(Error::access("store", path))?;
    }
    Ok(id)
}

/// Reads a file from its beginning without touching the position of the handle.
struct At<'a> {
    file: &'a File,
    at: u64,
    size: u64,
    cancel: &'a Cancel,
    /// Whether it had to be waited for: then what comes next is fetched while what came is worked on.
    is_slow: bool,
    /// Up to where that was asked for.
    fetched: u64,
}

/// Bytes from which on it is seen how long reading them took.
const TIMED: usize = 1 << 20;

/// Bytes that are fetched ahead of a slow file.
const AHEAD: u64 = 16 << 20;

impl io::Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_raised() {
            return Err(io::Error::other("interrupted"));
        }
        let began = (buffer.len() >= TIMED && !self.is_slow).then(Instant::now);
        let n = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.at)?;
        self.at += n as u64;
        // Less than a byte a nanosecond is less than any memory gives.
        self.is_slow |= began.is_some_and(|began| n >= TIMED && began.elapsed().as_nanos() > n as u128);
        if self.is_slow {
            let (from, until) = (self.fetched.max(self.at), self.size.min(self.at + AHEAD));
            crate::fs::will_need(self.file, from, until.saturating_sub(from));
            self.fetched = self.fetched.max(until);
        }
        Ok(n)
    }
}

fn stat_of(file: &File, path: &Path) -> Result<Stat, Error> {
    file.metadata().map(|meta| Stat::of(&meta)).map_err(Error::io("read", path))
}

/// A large file that was written a moment ago is given the few milliseconds after which its id can be remembered. Whether it was.
fn wait_until_settled(worktree: &Worktree<'_>, stat: &Stat) -> bool {
    let wait = Duration::from_nanos(settles_in(stat, worktree.clock.now()));
    let is_worth_it = stat.size >= WORTH_WAITING && !wait.is_zero() && wait <= LONGEST_WAIT;
    if is_worth_it {
        std::thread::sleep(wait);
    }
    is_worth_it
}

fn not_a_file(worktree: &Worktree<'_>, path: &Path, source: io::Error) -> Error {
    match worktree.fs.stat(path) {
        Ok(Some(stat)) if !stat.is_folder() => Error::Special { path: path.to_owned() },
        _ => Error::Io { doing: "read", path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::testing::{Bench, Memory, Tree};
    use super::*;
    use crate::path::{Place, RelPath};

    fn key(name: &str) -> Key {
        Key::of(&Place::Inside(RelPath::new(name).unwrap()))
    }

    #[test]
    fn files_of_every_size_have_the_id_of_their_bytes_and_are_stored() {
        let (tree, bench, store) = (Tree::new(), Bench::new(), Memory::default());
        for size in [0, 1, SMALL, SMALL + 1, 3 * SMALL + 77, WORTH_WAITING + 5] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let path = tree.file("f", &bytes);
            for sink in [None, Some(&store as &dyn Sink)] {
                let hashed = hash_file(&bench.at(tree.root()), key("f"), &path, sink).unwrap();
                assert_eq!(hashed.id, hash::blob(&bytes));
                assert_eq!(hashed.stat.size, size);
            }
            assert!(store.has(&hash::blob(&bytes)).unwrap());
        }
    }

    /// A sink that edits the file whenever it is handed bytes.
    struct Meddler<'a>(&'a Path, std::sync::atomic::AtomicUsize);
    impl Sink for Meddler<'_> {
        fn has(&self, _: &Id) -> Result<bool, crate::object::AccessError> {
            Ok(false)
        }
        fn put(&self, _: &Kind, _: &Id, bytes: &[u8]) -> Result<(), crate::object::AccessError> {
            let left = self.1.load(std::sync::atomic::Ordering::SeqCst);
            if left > 0 {
                self.1.store(left - 1, std::sync::atomic::Ordering::SeqCst);
                let mut out = crate::fs::Fs::real().create(self.0, 0o666)?;
                out.write_all(&vec![7; bytes.len() + 1])?;
            }
            Ok(())
        }
        fn put_blob(&self, _: &Id, _: u64, _: &mut dyn io::Read) -> Result<(), crate::object::AccessError> {
            Ok(())
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again_and_given_up_at_last() {
        let (tree, bench) = (Tree::new(), Bench::new());
        let path = tree.file("f", vec![1; 100]);
        let worktree = bench.at(tree.root());
        let hashed = hash_file(&worktree, key("f"), &path, Some(&Meddler(&path, 3.into()))).unwrap();
        assert_eq!(hashed.id, hash::blob(&[7; 103]));
        let err = hash_file(&worktree, key("f"), &path, Some(&Meddler(&path, 99.into()))).unwrap_err();
        assert!(matches!(err, Error::Changed { .. }), "{err}");
        assert!(err.to_string().contains("changed while it was read"));
    }

    #[test]
    fn what_is_fetched_ahead_of_a_slow_file_ends_with_it_and_changes_nothing() {
        let (tree, bench) = (Tree::new(), Bench::new());
        let bytes: Vec<u8> = (0..AHEAD + 3 * SMALL + 7).map(|i| (i % 251) as u8).collect();
        let path = tree.file("f", &bytes);
        let worktree = bench.at(tree.root());
        let file = bench.fs.open(&path).unwrap();
        let size = bytes.len() as u64;
        let mut at = At { file: &file, at: 0, size, cancel: worktree.cancel, is_slow: true, fetched: 0 };
        let mut read = vec![0; bytes.len() + 1];
        let mut done = 0;
        while let n @ 1.. = io::Read::read(&mut at, &mut read[done..(done + TIMED).min(bytes.len() + 1)]).unwrap() {
            done += n;
            assert!(at.fetched == size.min(at.at.max(at.fetched)) && at.fetched <= at.at + AHEAD);
        }
        assert!(read[..done] == bytes && at.fetched == size);
    }

    #[test]
    fn what_has_no_content_is_named() {
        let (tree, bench) = (Tree::new(), Bench::new());
        rustix::fs::mkfifoat(rustix::fs::CWD, tree.path("fifo"), rustix::fs::Mode::from_bits_truncate(0o600)).unwrap();
        let worktree = bench.at(tree.root());
        let fifo = hash_file(&worktree, key("fifo"), &tree.path("fifo"), None).unwrap_err();
        assert!(matches!(fifo, Error::Special { .. }) && fifo.to_string().contains("fifo"), "{fifo}");
        let absent = hash_file(&worktree, key("none"), &tree.path("none"), None).unwrap_err();
        assert!(matches!(absent, Error::Absent { .. }), "{absent}");
        assert!(hash_file(&worktree, key("d"), &tree.folder("d"), None).is_err());
        #[cfg(target_os = "linux")]
        {
            let claims_to_be_empty = Path::new("/proc/version");
            let kernel = hash_file(&worktree, key("version"), claims_to_be_empty, None).unwrap_err();
            assert!(matches!(kernel, Error::Special { .. }), "{kernel}");
        }
        tree.link("dangling", "nowhere");
        let dangling = hash_file(&worktree, key("dangling"), &tree.path("dangling"), None).unwrap_err();
        assert!(dangling.to_string().contains("dangling"), "{dangling}");
    }

    #[test]
    fn a_link_as_the_path_itself_is_followed() {
        let (tree, bench) = (Tree::new(), Bench::new());
        tree.file("target", "content");
        tree.link("l", "target");
        let hashed = hash_file(&bench.at(tree.root()), key("l"), &tree.path("l"), None).unwrap();
        assert_eq!(hashed.id, hash::blob(b"content"));
    }

    #[test]
    fn a_shrunken_file_counts_as_changed() {
        let (tree, bench) = (Tree::new(), Bench::new());
        let path = tree.file("f", "short");
        let file = bench.fs.open(&path).unwrap();
        let mut stat = stat_of(&file, &path).unwrap();
        stat.size = 100;
        let worktree = bench.at(tree.root());
        assert!(matches!(contents(&worktree, &file, &stat, &path, None, true), Err(Error::Changed { .. })));
        stat.size = SMALL * 2;
        assert!(matches!(contents(&worktree, &file, &stat, &path, None, true), Err(Error::Changed { .. })));
    }
}

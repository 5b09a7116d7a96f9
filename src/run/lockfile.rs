//! `prov.lock`: what each output of the work tree is, one sorted line each, so that a Git commit says which data belongs to it.
//!
//! It is written when the project asks for it (`[git] lock = true`) and outputs came to lie in the work tree. Lines say what lies there, not
//! which run it was: running again with the same result changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bstr::{BString, ByteSlice};

use crate::hash::Id;
use crate::object::recipe::Content;
use crate::object::run::Output;
use crate::path::Place;
use crate::repo::Repo;

/// Its name in the project's folder.
pub const NAME: &str = "prov.lock";

const HEAD: &str = "# prov.lock 1: what each output is; `prov restore --git REV` brings them back";

/// How long another writer is waited for. Without its lock one of two changes at the same time may be lost; the next run mends it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why it can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line has no meaning.
    #[error("{NAME} line {line}: {what}")]
    Line {
        /// Which, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// It can't be read or written.
    #[error("can't {doing} `{}`", crate::path::show(.path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// What tells one line from the others: where the output lies, and the key of one that is some files of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Relative to the project.
    pub path: BString,
    /// The key, if it is a set of files below `path`.
    pub set: Option<String>,
}

/// What lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub content: Content,
    /// Whether it may be executed.
    pub exec: bool,
    /// Its bytes.
    pub size: u64,
}

/// All lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// What lies where.
    pub lines: BTreeMap<Spot, Line>,
}

/// A word without blanks: other bytes than letters and usual signs are `%XX`.
fn escaped(bytes: &[u8], to: &mut Vec<u8>) {
    let is_text = std::str::from_utf8(bytes).is_ok();
    for (at, &byte) in bytes.iter().enumerate() {
        // What begins like a remark would be one.
        let is_remark = at == 0 && byte == b'#';
        if is_remark || byte <= b' ' || byte == b'%' || byte == 0x7f || (byte >= 0x80 && !is_text) {
            to.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            to.push(byte);
        }
    }
}

fn unescaped(word: &[u8]) -> Option<BString> {
    let mut bytes = BString::default();
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    Some(bytes)
}

impl Line {
    fn write(&self, spot: &Spot, to: &mut Vec<u8>) {
        escaped(&spot.path, to);
        match (&spot.set, &self.content) {
            (Some(key), _) => {
                to.extend_from_slice(b" set:");
                escaped(key.as_bytes(), to);
            }
            (None, Content::Tree(_)) => to.extend_from_slice(b" folder"),
            (None, _) if self.exec => to.extend_from_slice(b" exec"),
            (None, _) => to.extend_from_slice(b" file"),
        }
        to.extend_from_slice(format!(" {} {}\n", self.content.id(), self.size).as_bytes());
    }

    fn read(text: &[u8]) -> Result<(Spot, Self), &'static str> {
        let words: Vec<&[u8]> = text.split(|&byte| byte == b' ').collect();
        let [path, kind, id, size] = words[..] else { return Err("it is not PATH KIND ID SIZE") };
        let path = unescaped(path).filter(|path| !path.is_empty()).ok_or("its path can't be read")?;
        let id: Id = std::str::from_utf8(id).ok().and_then(|text| text.parse().ok()).ok_or("its id is none")?;
        let size = std::str::from_utf8(size).ok().and_then(|text| text.parse().ok()).ok_or("its size is no number")?;
        let (content, exec, set) = match kind {
            b"file" => (Content::Blob(id), false, None),
            b"exec" => (Content::Blob(id), true, None),
            b"folder" => (Content::Tree(id), false, None),
            _ => {
                let key =
                    kind.strip_prefix(b"set:").and_then(unescaped).and_then(|key| key.to_str().ok().map(str::to_owned));
                (Content::Tree(id), false, Some(key.ok_or("its kind is not known")?))
            }
        };
        Ok((Spot { path, set }, Self { content, exec, size }))
    }
}

impl Lock {
    /// Reads its text.
    ///
    /// # Errors
    /// [`Error::Line`], also for what Git leaves where it could not merge.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let mut lock = Self::default();
        for (at, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (spot, line) = Line::read(line).map_err(|what| Error::Line { line: at + 1, what: what.to_owned() })?;
            if lock.lines.insert(spot, line).is_some() {
                return Err(Error::Line { line: at + 1, what: "the path was there before".to_owned() });
            }
        }
        Ok(lock)
    }

    /// Its text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{HEAD}\n").into_bytes();
        for (spot, line) in &self.lines {
            line.write(spot, &mut text);
        }
        text
    }

    /// Takes what lies at a path now into the lines.
    fn put(&mut self, spot: Spot, line: Line) {
        // A folder where a file was takes its place, and the other way round.
        if spot.set.is_none() {
            let is_within = |inner: &BString, outer: &BString| {
                inner.strip_prefix(outer.as_slice()).is_some_and(|rest| rest.starts_with(b"/"))
            };
            self.lines.retain(|other, _| {
                other.set.is_some() || !(is_within(&other.path, &spot.path) || is_within(&spot.path, &other.path))
            });
        }
        self.lines.insert(spot, line);
    }
}

/// Two lines of the same output that are both new, each in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The text, with the usual marks around lines that could not be merged.
    pub text: Vec<u8>,
    /// How many these are.
    pub conflicts: usize,
}

/// Unites two locks that come from `base`: what one side added or changed holds, and so does what one changed and the other removed. Only an
/// output that both made, each another one, is left to be settled.
pub fn merge(base: &Lock, ours: &Lock, theirs: &Lock) -> Merged {
    let mut spots: Vec<&Spot> = ours.lines.keys().chain(theirs.lines.keys()).collect();
    spots.sort();
    spots.dedup();
    let mut merged = Merged { text: format!("{HEAD}\n").into_bytes(), conflicts: 0 };
    for spot in spots {
        let (base, our, their) = (base.lines.get(spot), ours.lines.get(spot), theirs.lines.get(spot));
        let taken = match (our, their) {
            (Some(our), Some(their)) if our == their || base == Some(their) => Some(our),
            (Some(our), Some(their)) if base != Some(our) => {
                merged.conflicts += 1;
                merged.text.extend_from_slice(b"<<<<<<< ours\n");
                our.write(spot, &mut merged.text);
                merged.text.extend_from_slice(b"=======\n");
                their.write(spot, &mut merged.text);
                merged.text.extend_from_slice(b">>>>>>> theirs\n");
                None
            }
            (_, Some(their)) if our.is_some() || base != Some(their) => Some(their),
            (Some(our), None) if base != Some(our) => Some(our),
            _ => None,
        };
        if let Some(line) = taken {
            line.write(spot, &mut merged.text);
        }
    }
    merged
}

/// Writes down what came to lie in the work tree, if the project keeps a lock. Outputs outside of the project, and those whose bytes nobody
/// keeps, have no line. A file that did not change is not written.
///
/// # Errors
/// When it can't be read, understood or written; then it stays as it is.
pub fn note<'a>(repo: &Repo, outputs: impl IntoIterator<Item = (&'a String, &'a Output)>) -> Result<(), Error> {
    if !repo.settings().keeps_lock() {
        return Ok(());
    }
    let mut lines = Vec::new();
    for (key, output) in outputs {
        let Ok(Place::Inside(path)) = repo.place_of(repo.root(), &output.path) else { continue };
        let is_own = path.components().any(|name| crate::worktree::is_reserved(name));
        let is_kept = output.stored && output.content.kind().is_some();
        if is_own || !is_kept || (path.is_root() && output.set.is_none()) {
            continue;
        }
        let path = if path.is_root() { BString::from(".") } else { path.as_bytes().to_owned() };
        let spot = Spot { path, set: output.set.as_ref().map(|_| key.clone()) };
        lines.push((spot, Line { content: output.content.clone(), exec: output.exec, size: output.size }));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let path = repo.root().join(NAME);
    let io = |doing| {
        let path = path.clone();
        move |source| Error::Io { doing, path, source }
    };
    let _held = repo.fs().lock(&repo.layout().cache().join("lockfile"), PATIENCE);
    let old = repo.fs().read(&path).map_err(io("read"))?;
    let mut lock = Lock::parse(old.as_deref().unwrap_or_default())?;
    for (spot, line) in lines {
        lock.put(spot, line);
    }
    let new = lock.to_bytes();
    if old.as_deref() != Some(&new) {
        repo.fs().replace(&path, &new, false).map_err(io("write"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lock(lines: &[(&str, u8)]) -> Lock {
        let line = |seed: u8| Line { content: Content::Blob(crate::hash::blob(&[seed])), exec: false, size: 1 };
        let lines = lines.iter().map(|(path, seed)| (Spot { path: (*path).into(), set: None }, line(*seed)));
        Lock { lines: lines.collect() }
    }

    fn merged(base: &[(&str, u8)], ours: &[(&str, u8)], theirs: &[(&str, u8)]) -> Merged {
        merge(&lock(base), &lock(ours), &lock(theirs))
    }

    #[test]
    fn unions_never_conflict() {
        let both = merged(&[("a", 1)], &[("a", 1), ("b", 2)], &[("a", 3), ("c", 4)]);
        assert_eq!(both.conflicts, 0);
        assert_eq!(Lock::parse(&both.text).unwrap(), lock(&[("a", 3), ("b", 2), ("c", 4)]));
        // Removed on one side.
        assert_eq!(Lock::parse(&merged(&[("a", 1)], &[], &[("a", 1)]).text).unwrap(), lock(&[]));
        assert_eq!(Lock::parse(&merged(&[("a", 1)], &[("a", 1)], &[]).text).unwrap(), lock(&[]));
        assert_eq!(Lock::parse(&merged(&[("a", 1)], &[], &[("a", 2)]).text).unwrap(), lock(&[("a", 2)]));
        assert_eq!(Lock::parse(&merged(&[("a", 1)], &[("a", 2)], &[]).text).unwrap(), lock(&[("a", 2)]));
    }

    #[test]
    fn what_both_made_anew_is_left_to_be_settled() {
        let both = merged(&[("a", 1)], &[("a", 2), ("b", 5)], &[("a", 3)]);
        assert_eq!(both.conflicts, 1);
        assert!(Lock::parse(&both.text).is_err());
        assert!(both.text.contains_str("<<<<<<< ours\na file "));
    }

    #[test]
    fn a_folder_takes_the_place_of_files_in_it() {
        let mut lock = lock(&[("out", 1), ("out.txt", 2), ("x/a", 3)]);
        let line = lock.lines.values().next().unwrap().clone();
        lock.put(Spot { path: "out/a".into(), set: None }, line.clone());
        lock.put(Spot { path: "x".into(), set: None }, line);
        let paths: Vec<_> = lock.lines.keys().map(|spot| spot.path.to_string()).collect();
        assert_eq!(paths, ["out.txt", "out/a", "x"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(paths in prop::collection::btree_map(
            (prop::collection::vec(any::<u8>(), 1..12), prop::option::of("[a-z %é]{1,6}")),
            (any::<u8>(), any::<bool>(), any::<u64>()), 0..8))
        {
            let lines = paths.into_iter().map(|((path, set), (seed, exec, size))| {
                let id = crate::hash::blob(&[seed]);
                let content = if set.is_some() { Content::Tree(id) } else { Content::Blob(id) };
                let exec = exec && set.is_none();
                (Spot { path: path.into(), set }, Line { content, exec, size })
            });
            let lock = Lock { lines: lines.collect() };
            prop_assert_eq!(Lock::parse(&lock.to_bytes()).unwrap(), lock);
        }
    }
}

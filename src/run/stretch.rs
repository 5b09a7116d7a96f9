//! What look-ups of a batch that follow closely on one another see only once: the project's code and where programs lie.
//!
//! **Why it is exact.** A look-up sees the project as it is at some moment between its start and its answer. Look-ups of one batch that
//! follow on one another without anything being executed or brought back in between may as well all happen at the first one's moment: then
//! each would see the same files, and select the same ones by the same rules. So what the first saw is what the others see, until something
//! of this batch ends that may have written ([`Stretch::end`]), and never for longer than [`FRESH`], or than looking took, because others
//! write too. The list of the project's files, which all that is selected is selected from, is no older than that either. What a request adds to the rules by itself (files that its words name, places that it declares) is looked at for each; where it makes a
//! difference nothing is shared. Whether files held still while a command ran is never asked here: that is looked at anew.

use std::collections::HashMap;
use std::ffi::OsString;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bstr::BString;

use super::request::CodeMode;
use crate::code::{CodeTree, Program};
use crate::path::RelPath;

/// How long what was seen is believed, unless looking takes longer: then for as long again.
const FRESH: Duration = Duration::from_millis(100);

/// When somebody began to look, how long that took, and what had ended before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    number: u64,
    began: Instant,
    took: Duration,
}

impl Moment {
    /// The same look, now that it has ended.
    pub(super) fn ended(self) -> Self {
        Self { took: self.began.elapsed(), ..self }
    }

    /// The same look, and what another one made of it that began at `began` and has ended.
    fn and(self, began: Instant) -> Self {
        Self { took: self.took + began.elapsed(), ..self }
    }

    fn is_fresh(&self) -> bool {
        self.began.elapsed() < FRESH.max(self.took.saturating_mul(2))
    }
}

/// Which files count: the mode of a request, and the folder from which its patterns are seen.
pub(super) type CodeKey = (Option<CodeMode>, RelPath);

/// Which program: the word, the working folder, the value of `PATH`.
pub(super) type ProgramKey = (BString, PathBuf, OsString);

/// Which files count besides those that the rules select, if a command names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// None.
    Nothing,
    /// Those that are code by their kind.
    ByKind,
    /// Any may.
    Other,
}

/// The code of a request that names and declares nothing.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) width: Width,
    pub(super) tree: Arc<CodeTree>,
    pub(super) left_out: Vec<(RelPath, u64)>,
    pub(super) unmatched: Vec<String>,
}

impl Base {
    /// Whether the file is in it.
    pub(super) fn has(&self, path: &RelPath) -> bool {
        self.tree.files.binary_search_by(|(other, ..)| other.cmp(path)).is_ok()
    }

    /// Whether anything of it, or that would be of it if it were smaller, lies at the place or below.
    pub(super) fn reaches(&self, place: &RelPath) -> bool {
        if self.left_out.iter().any(|(path, _)| path.is_within(place)) {
            return true;
        }
        let files = &self.tree.files;
        if place.is_root() || self.has(place) {
            return !files.is_empty();
        }
        // What lies below comes together in the order of paths: all of it begins with the folder and a slash.
        let mut below = place.as_bytes().to_vec();
        below.push(b'/');
        let is_before = |path: &RelPath| {
            let bytes: &[u8] = path.as_bytes();
            bytes < below.as_slice()
        };
        let first = files.partition_point(|(path, ..)| is_before(path));
        files.get(first).is_some_and(|(path, ..)| path.is_within(place))
    }
}

/// What was seen, and when.
#[derive(Debug)]
struct Seen<K, V> {
    entries: HashMap<K, (Moment, V)>,
}

impl<K, V> Default for Seen<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<K: Hash + Eq, V: Clone> Seen<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key).filter(|(seen, _)| seen.is_fresh()).map(|(_, value)| value.clone())
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// Grows with every end.
    number: u64,
    code: Seen<CodeKey, Arc<Base>>,
    programs: Seen<ProgramKey, Program>,
}

/// What look-ups have in common until something ends.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    inner: Mutex<Inner>,
}

impl Stretch {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that panics runs under this lock, and each statement leaves a whole state.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has ended that may have written.
    pub(super) fn end(&self) {
        let mut inner = self.inner();
        *inner = Inner { number: inner.number.wrapping_add(1), ..Inner::default() };
    }

    /// Somebody begins to look.
    pub(super) fn begin(&self) -> Moment {
        Moment { number: self.inner().number, began: Instant::now(), took: Duration::ZERO }
    }

    /// Whether what was seen then is what is seen now.
    pub(super) fn believes(&self, seen: &Moment) -> bool {
        seen.is_fresh() && self.inner().number == seen.number
    }

    /// Whether the code of `key` is known, so that a look-up costs little.
    pub(super) fn knows(&self, key: &CodeKey) -> bool {
        self.inner().code.get(key).is_some()
    }

    /// The code by these rules; `look` finds it out from what was seen `then`.
    pub(super) fn code<E>(
        &self,
        key: CodeKey,
        then: Moment,
        look: impl FnOnce() -> Result<Base, E>,
    ) -> Result<Arc<Base>, E> {
        if let Some(found) = self.inner().code.get(&key) {
            return Ok(found);
        }
        let began = Instant::now();
        let base = Arc::new(look()?);
        let mut inner = self.inner();
        // What was being looked at while something ended may be older than that end.
        if inner.number == then.number {
            inner.code.entries.insert(key, (then.and(began), Arc::clone(&base)));
        }
        Ok(base)
    }

    /// Where a program lies; `look` finds it out.
    pub(super) fn program<E>(&self, key: ProgramKey, look: impl FnOnce() -> Result<Program, E>) -> Result<Program, E> {
        if let Some(found) = self.inner().programs.get(&key) {
            return Ok(found);
        }
        let then = self.begin();
        let program = look()?;
        let mut inner = self.inner();
        if inner.number == then.number {
            inner.programs.entries.insert(key, (then.ended(), program.clone()));
        }
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::fs::{FileKind, Stat};

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn base(files: &[&str], left_out: &[&str]) -> Base {
        let stat = Stat {
            kind: FileKind::File { exec: false },
            dev: 1,
            ino: 1,
            size: 3,
            mtime_ns: 0,
            ctime_ns: 0,
            links: 1,
            mode: 0,
        };
        let mut files: Vec<_> =
            files.iter().map(|text| (path(text), crate::hash::blob(text.as_bytes()), stat)).collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        Base {
            width: Width::ByKind,
            tree: Arc::new(CodeTree { root: None, objects: Vec::new(), files }),
            left_out: left_out.iter().map(|text| (path(text), 9)).collect(),
            unmatched: Vec::new(),
        }
    }

    #[test]
    fn a_place_reaches_what_lies_at_it_or_below() {
        let all = ["a.py", "a/b.py", "a/c/d.py", "a-b/e.py", "z.py"];
        let one = base(&all, &["big/f.py"]);
        for place in ["", "a.py", "a", "a/c", "a/c/d.py", "a-b", "z.py", "big", "b", "a/b", "a-", "z.py/x", "q"] {
            let place = path(place);
            let expected = all.iter().any(|text| path(text).is_within(&place)) || path("big/f.py").is_within(&place);
            assert_eq!(one.reaches(&place), expected, "{place}");
        }
        assert!(!base(&[], &[]).reaches(&path("")));
    }

    #[test]
    fn what_was_seen_is_seen_again_until_something_ends() {
        let stretch = Stretch::default();
        let key = || (None, path(""));
        let look = |files: &[&str]| {
            let made = base(files, &[]);
            stretch.code(key(), stretch.begin(), || Ok::<_, Infallible>(made)).unwrap().tree.files.len()
        };
        assert_eq!(look(&["a.py"]), 1);
        assert!(stretch.knows(&key()));
        stretch.end();
        assert!(!stretch.knows(&key()));
        assert_eq!(look(&["a.py", "b.py"]), 2);
    }

    #[test]
    fn what_was_seen_before_an_end_is_not_believed_after_it() {
        let stretch = Stretch::default();
        let seen = stretch.begin().ended();
        stretch.end();
        assert!(!stretch.believes(&seen));
        // What is selected from it is not kept either.
        stretch.code((None, path("")), seen, || Ok::<_, Infallible>(base(&["a.py"], &[]))).unwrap();
        assert!(!stretch.knows(&(None, path(""))));
    }

    #[test]
    fn what_was_seen_is_believed_for_a_while_and_for_as_long_again_as_looking_took() {
        let ago = |ms| Instant::now().checked_sub(Duration::from_millis(ms)).unwrap();
        let seen = |began, took| Moment { number: 0, began: ago(began), took: Duration::from_millis(took) };
        assert!(seen(0, 0).is_fresh());
        assert!(!seen(101, 1).is_fresh());
        assert!(seen(60_000, 60_000).is_fresh());
        assert!(!seen(60_000, 30_000).is_fresh());
    }

    #[test]
    fn what_was_looked_at_while_something_ended_is_not_kept() {
        let stretch = Stretch::default();
        let key = (None, path(""));
        let looked = stretch.code(key.clone(), stretch.begin(), || {
            stretch.end();
            Ok::<_, Infallible>(base(&["a.py"], &[]))
        });
        assert_eq!(looked.unwrap().tree.files.len(), 1);
        assert!(!stretch.knows(&key));
    }
}

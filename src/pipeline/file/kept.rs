//! What large files say, kept beside the project: an unchanged one is not parsed again.
//!
//! Of a run in which everything is known, parsing a file of a thousand tasks is a quarter. What is kept names the bytes it was made of and
//! the program that made it, and is checked as a whole; whatever else lies there is passed over and replaced.

use std::path::{Path, PathBuf};

use crate::codec;
use crate::config::located::{Dialect, Located, Node};
use crate::config::{self, Error};
use crate::fs::Fs;
use crate::hash::{self, ID_LEN, Id};

/// Files below this many bytes are parsed sooner than anything is looked for.
const LEAST: usize = 8 << 10;

/// What the key is made under.
const KEY: &str = "prov 2026-11 what is kept of a pipeline file";

/// What is kept is checked under this.
const CONTEXT: &str = "prov 2026-11 kept values with places";

/// A folder in which it is kept what files say.
#[derive(Debug, Clone)]
pub struct Kept<'a> {
    /// The file system.
    pub fs: &'a Fs,
    /// The folder; it need not be there.
    pub folder: PathBuf,
    /// Where files are named from.
    pub cwd: &'a Path,
    /// Tells this program from any other build of it, which may read files differently.
    pub program: String,
}

impl Kept<'_> {
    /// As [`config::locate`].
    ///
    /// # Errors
    /// As [`config::locate`]. What can't be kept costs time later, nothing else.
    pub(super) fn locate(&self, file: &Path, dialect: Dialect, bytes: &[u8]) -> Result<Located, Error> {
        if bytes.len() < LEAST {
            return config::locate(file, dialect, bytes);
        }
        let key = self.key(dialect, bytes);
        let place = self.folder.join(hash::derived(KEY, &crate::path::bytes(&self.cwd.join(file))).short());
        if let Some(root) = self.get(&place, &key) {
            return Ok(Located { root: Some(root), problems: Vec::new(), doubts: Vec::new() });
        }
        let located = config::locate(file, dialect, bytes)?;
        if located.problems.is_empty()
            && located.doubts.is_empty()
            && let Some(root) = &located.root
        {
            self.put(&place, &key, root);
        }
        Ok(located)
    }

    fn key(&self, dialect: Dialect, bytes: &[u8]) -> Id {
        let text = format!("{dialect:?} {} {}", hash::blob(bytes), self.program);
        hash::derived(KEY, text.as_bytes())
    }

    fn get(&self, place: &Path, key: &Id) -> Option<Node> {
        let bytes = self.fs.read(place).ok().flatten()?;
        let (own, rest) = bytes.split_at_checked(ID_LEN)?;
        let (digest, body) = rest.split_at_checked(ID_LEN)?;
        let is_whole = Id::from_bytes(own)? == *key && Id::from_bytes(digest)? == hash::derived(CONTEXT, body);
        is_whole.then(|| codec::unpack(body).ok())?
    }

    fn put(&self, place: &Path, key: &Id, root: &Node) {
        let Ok(body) = codec::pack(root) else { return };
        let mut bytes = Vec::with_capacity(2 * ID_LEN + body.len());
        bytes.extend_from_slice(&key.to_bytes());
        bytes.extend_from_slice(&hash::derived(CONTEXT, &body).to_bytes());
        bytes.extend_from_slice(&body);
        if self.fs.make_dirs(&self.folder).is_ok() {
            let _ = self.fs.replace(place, &bytes, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "prov.yaml";

    fn text(what: &str) -> String {
        let mut text = String::from("steps:\n  s:\n");
        for n in 0..200 {
            text +=
                &format!("    - {{name: t{n}, run: [\"true\", {what}, 1.5, null], 'a b': {{c: [ä, \"\\u00e9\"]}}}}\n");
        }
        text
    }

    fn kept<'a>(fs: &'a Fs, dir: &Path) -> Kept<'a> {
        Kept { fs, folder: dir.join("pipelines"), cwd: Path::new("/project"), program: "this".to_owned() }
    }

    fn files(dir: &Path, fs: &Fs) -> Vec<PathBuf> {
        let folder = dir.join("pipelines");
        fs.names(&folder).unwrap().into_iter().map(|name| folder.join(name)).collect()
    }

    #[test]
    fn what_is_kept_is_what_was_parsed_and_one_file_holds_it() {
        let (fs, dir) = (Fs::real(), tempfile::tempdir().unwrap());
        let kept = kept(&fs, dir.path());
        for text in [text("x"), text("010"), text("x")] {
            let parsed = config::locate(Path::new(FILE), Dialect::Core, text.as_bytes()).unwrap();
            for _ in 0..2 {
                assert_eq!(kept.locate(Path::new(FILE), Dialect::Core, text.as_bytes()).unwrap(), parsed);
            }
            let key = kept.key(Dialect::Core, text.as_bytes());
            assert_eq!(kept.get(&files(dir.path(), &fs)[0], &key), parsed.root);
            let other = config::locate(Path::new(FILE), Dialect::Python, text.as_bytes()).unwrap();
            assert_eq!(kept.locate(Path::new(FILE), Dialect::Python, text.as_bytes()).unwrap(), other);
        }
        assert_eq!(files(dir.path(), &fs).len(), 1);
    }

    #[test]
    fn another_program_and_any_damage_are_noticed() {
        let (fs, dir) = (Fs::real(), tempfile::tempdir().unwrap());
        let (mine, text) = (kept(&fs, dir.path()), text("x"));
        mine.locate(Path::new(FILE), Dialect::Core, text.as_bytes()).unwrap();
        let place = files(dir.path(), &fs).remove(0);
        let key = mine.key(Dialect::Core, text.as_bytes());
        let other = Kept { program: "other".to_owned(), ..mine.clone() };
        assert_ne!(other.key(Dialect::Core, text.as_bytes()), key);
        assert_eq!(other.get(&place, &other.key(Dialect::Core, text.as_bytes())), None);
        let whole = fs.read(&place).unwrap().unwrap();
        for at in (0..whole.len()).step_by(97).chain([0, ID_LEN, 2 * ID_LEN, whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs.replace(&place, &bytes, false).unwrap();
            assert_eq!(mine.get(&place, &key), None, "at {at}");
            fs.replace(&place, &whole[..at], false).unwrap();
            assert_eq!(mine.get(&place, &key), None, "cut at {at}");
        }
        let parsed = config::locate(Path::new(FILE), Dialect::Core, text.as_bytes()).unwrap();
        assert_eq!(mine.locate(Path::new(FILE), Dialect::Core, text.as_bytes()).unwrap(), parsed);
        assert!(mine.get(&place, &key).is_some());
    }

    #[test]
    fn what_has_faults_is_told_each_time() {
        let (fs, dir) = (Fs::real(), tempfile::tempdir().unwrap());
        let (kept, text) = (kept(&fs, dir.path()), text("x") + "steps: 1\n");
        for _ in 0..2 {
            let found = kept.locate(Path::new(FILE), Dialect::Core, text.as_bytes()).unwrap();
            assert_eq!(found.problems.len(), 1);
        }
        assert!(files(dir.path(), &fs).is_empty());
    }
}

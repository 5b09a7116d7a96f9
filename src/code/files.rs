//! The selected files as tree objects.

use super::Selected;
use crate::fs::{FileKind, Stat};
use crate::hash::Id;
use crate::object;
use crate::object::tree::{EntryKind, build_nested};
use crate::path::RelPath;

/// The code of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeTree {
    /// The tree that holds it; `None` if there is no file.
    pub root: Option<Id>,
    /// Encoded tree objects, children before parents, none twice.
    pub objects: Vec<(Id, Vec<u8>)>,
    /// The files, sorted, with what they held and how they were seen when they were hashed.
    pub files: Vec<(RelPath, Id, Stat)>,
}

/// Why the code can't be made into a tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError<E> {
    /// A file can't be hashed.
    #[error("cannot read the code file {path}")]
    Hash {
        /// The file.
        path: RelPath,
        /// Why.
        source: E,
    },
    /// The tree can't be encoded.
    #[error("the code can't be recorded")]
    Object(#[source] object::Error),
}

/// Gives a file's id and the state it was hashed in.
pub type HashFile<'a, E> = &'a mut dyn FnMut(&RelPath, &Stat) -> Result<Option<(Id, Stat)>, E>;

/// Hashes the selected files, in order, and makes the nested tree.
///
/// `hash` gives a file's id and the state it was hashed in, following links; `None` leaves it out: it is gone, or a
/// link that leads to no file.
///
/// # Errors
/// What `hash` reports, with the file.
pub fn build_tree<E>(selected: &Selected, hash: HashFile<'_, E>) -> Result<CodeTree, TreeError<E>> {
    let mut files = Vec::with_capacity(selected.files.len());
    for (path, stat) in &selected.files {
        match hash(path, stat) {
            Ok(Some((id, stat))) => files.push((path.clone(), id, stat)),
            Ok(None) => {}
            Err(source) => return Err(TreeError::Hash { path: path.clone(), source }),
        }
    }
    if files.is_empty() {
        return Ok(CodeTree { root: None, objects: Vec::new(), files });
    }
    let nested = files.iter().map(|(path, id, stat)| {
        let kind = if stat.kind == (FileKind::File { exec: true }) { EntryKind::Exec } else { EntryKind::File };
        (path.clone(), *id, kind, stat.size)
    });
    let built = build_nested(nested.collect()).map_err(TreeError::Object)?;
    Ok(CodeTree { root: Some(built.root), objects: built.objects, files })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::hash;
    use crate::object::tree::list;

    fn stat(exec: bool) -> Stat {
        Stat { kind: FileKind::File { exec }, dev: 1, ino: 1, size: 3, mtime_ns: 0, ctime_ns: 0, links: 1, mode: 0 }
    }

    fn selected(files: &[(&str, bool)]) -> Selected {
        let mut files: Vec<_> = files.iter().map(|(p, x)| (RelPath::new(*p).unwrap(), stat(*x))).collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        Selected { files, ..Selected::default() }
    }

    fn built(files: &[(&str, bool)]) -> CodeTree {
        build_tree(&selected(files), &mut |p, s| Ok::<_, ()>(Some((hash::blob(p.as_bytes()), *s)))).unwrap()
    }

    #[test]
    fn the_tree_holds_every_file_at_its_path() {
        let tree = built(&[
            ("a/b/c.py", false),
            ("a.py", false),
            ("a/run", true),
            ("a/b.x/d.py", false),
            ("a/b-c/e.py", false),
        ]);
        let objects: HashMap<Id, Vec<u8>> = tree.objects.iter().cloned().collect();
        let mut found = Vec::new();
        let mut todo = vec![(String::new(), tree.root.unwrap())];
        while let Some((at, id)) = todo.pop() {
            for entry in list(id, &mut |id| objects.get(id).cloned().ok_or(())).unwrap() {
                let path = format!("{at}{}", entry.name);
                match entry.kind {
                    EntryKind::Tree => todo.push((format!("{path}/"), entry.id)),
                    kind => {
                        assert_eq!(entry.id, hash::blob(path.as_bytes()));
                        found.push((path, kind));
                    }
                }
            }
        }
        found.sort();
        let expected: Vec<(String, EntryKind)> = [
            ("a.py", EntryKind::File),
            ("a/b-c/e.py", EntryKind::File),
            ("a/b.x/d.py", EntryKind::File),
            ("a/b/c.py", EntryKind::File),
            ("a/run", EntryKind::Exec),
        ]
        .map(|(p, k)| (p.to_owned(), k))
        .into();
        assert_eq!(found, expected);
    }

    #[test]
    fn no_file_is_no_tree_and_files_that_are_gone_are_left_out() {
        assert_eq!(built(&[]).root, None);
        let gone = build_tree(&selected(&[("a.py", false), ("b.py", false)]), &mut |p, s| {
            Ok::<_, ()>((p.as_bytes() != "a.py").then(|| (hash::blob(b"b.py"), *s)))
        })
        .unwrap();
        assert_eq!(gone.root, built(&[("b.py", false)]).root);
    }

    #[test]
    fn a_file_that_can_not_be_read_is_named() {
        let err = build_tree(&selected(&[("a.py", false)]), &mut |_, _| {
            Err::<Option<(Id, Stat)>, _>(std::io::Error::other("no"))
        })
        .unwrap_err();
        assert_eq!(err.to_string(), "cannot read the code file a.py");
    }
}

//! What tasks read and write, and the edges that follow from it.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use super::{Edge, Expands, Kind, Plan, Roots, Task, TaskId, Why};
use crate::config::located::{Data, Node};
use crate::pipeline::expand::glob;
use crate::pipeline::task::{Builtin, Settings};

/// A path that a task reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The path: relative to the release and the work path, absolute, or a URL. Of a pattern, the folder before its first special character.
    pub path: String,
    /// The pattern, if it is one.
    pub pattern: Option<String>,
}

/// A path that a task writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The path, as of [`Read`].
    pub path: String,
    /// What is known of it.
    pub extent: Extent,
}

/// What is known of a path that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It is a file, all of it.
    File,
    /// It is a folder that gets files.
    Folder,
    /// It may be either.
    Either,
    /// Something below it will be written by tasks that are not made yet.
    ToCome,
}

/// A path in the one form that is compared.
pub(super) fn normal(text: &str, roots: &Roots) -> String {
    let below = |root: &str| {
        let rest = text.strip_prefix(root.trim_end_matches('/'))?;
        rest.strip_prefix('/').or(rest.is_empty().then_some(""))
    };
    let inside = roots.release_uri.as_deref().and_then(below);
    let inside = inside.or_else(|| if roots.work_path.is_empty() { None } else { below(&roots.work_path) });
    let text = glob::single_slashes(inside.unwrap_or(text));
    let mut text = text.as_str();
    while let Some(rest) = text.strip_prefix("./") {
        text = rest;
    }
    if text.len() > 1 { text.trim_end_matches('/').to_owned() } else { text.to_owned() }
}

/// The stretch of a path that is the same whatever its placeholders become, cut at a slash; `None` if nothing is left.
fn fixed_folder(text: &str) -> Option<&str> {
    let cut = text.find('$').unwrap_or(text.len());
    text[..cut].rfind('/').map(|slash| &text[..slash]).filter(|folder| !folder.is_empty())
}

fn texts(node: Option<&Node>) -> Vec<&str> {
    match node.map(|node| &node.data) {
        Some(Data::Scalar { .. }) => node.and_then(Node::as_text).into_iter().collect(),
        Some(Data::List(items)) => items.iter().filter_map(Node::as_text).collect(),
        Some(Data::Map(entries)) => entries.iter().flat_map(|entry| texts(Some(&entry.value))).collect(),
        None => Vec::new(),
    }
}

/// What a task reads and writes by its type, its type's keys, and what it declares.
pub(super) fn of(
    kind: &Kind,
    expands: Expands,
    resolved: &Node,
    settings: &Settings,
    roots: &Roots,
) -> (Vec<Read>, Vec<Write>) {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    let mut read = |text: &str| {
        let (prefix, rest) = glob::split(text);
        if text.contains('$') || text.is_empty() {
            return;
        }
        if rest.is_empty() {
            reads.push(Read { path: normal(text, roots), pattern: None });
        } else if let Some(slash) = prefix.rfind('/') {
            reads.push(Read { path: normal(&text[..slash], roots), pattern: Some(normal(text, roots)) });
        }
    };
    let mut write = |text: &str, extent: Extent| {
        if text.contains('$') {
            let folder = fixed_folder(text);
            writes.extend(folder.map(|folder| Write { path: normal(folder, roots), extent: Extent::ToCome }));
        } else if !text.is_empty() {
            writes.push(Write { path: normal(text, roots), extent });
        }
    };
    let (sources, destination) = match kind {
        Kind::Group | Kind::Builtin(Builtin::Explode | Builtin::HelloWorld | Builtin::Noop) => (&[][..], None),
        Kind::Builtin(Builtin::CopyMany) => (&["sources", "source_list_file"][..], Some(Extent::Folder)),
        Kind::Builtin(Builtin::FindLatest) => (&["source"][..], None),
        Kind::Builtin(Builtin::ExplodeGlob) => (&["glob"][..], None),
        Kind::Builtin(Builtin::Command) => (&[][..], None),
        Kind::Builtin(Builtin::Copy | Builtin::Download | Builtin::Gzip | Builtin::Unzip) => {
            (&["source"][..], Some(Extent::File))
        }
        Kind::Declared { .. } | Kind::Program(_) | Kind::Unknown => (&["source", "sources"][..], Some(Extent::Either)),
    };
    for key in sources {
        for text in texts(resolved.get(key)) {
            read(text);
        }
    }
    for text in texts(destination.and(resolved.get("destination"))) {
        write(text, destination.unwrap_or(Extent::Either));
    }
    if expands == Expands::AtRunTime {
        for body in resolved.get("do").and_then(Node::as_list).unwrap_or_default() {
            for text in texts(body.get("destination")) {
                write(text, Extent::ToCome);
            }
        }
    }
    if !matches!(kind, Kind::Group) {
        for input in &settings.inputs {
            read(&input.path);
        }
        for output in &settings.outputs {
            write(&output.path, Extent::Either);
        }
    }
    (reads, writes)
}

/// Every path that is written, with who writes it.
pub(in crate::pipeline) fn writers(plan: &Plan) -> BTreeMap<&str, Vec<(TaskId, Extent)>> {
    let mut writers: BTreeMap<&str, Vec<(TaskId, Extent)>> = BTreeMap::new();
    for task in &plan.tasks {
        for write in &task.writes {
            writers.entry(&write.path).or_default().push((task.id, write.extent));
        }
    }
    writers
}

/// The edges from those that write to those that read.
pub(super) fn edges(plan: &Plan) -> Vec<Edge> {
    let writers = writers(plan);
    let mut edges = Vec::new();
    let mut seen: HashSet<(TaskId, TaskId)> = HashSet::new();
    for task in &plan.tasks {
        for read in &task.reads {
            let mut found: Vec<(TaskId, &str)> = Vec::new();
            // The path itself and the folders above it.
            let mut above = Some(read.path.as_str());
            while let Some(path) = above {
                if let Some((path, by)) = writers.get_key_value(path) {
                    let is_same = *path == read.path;
                    // A file holds nothing below it.
                    let by = by.iter().filter(|(_, extent)| is_same || *extent != Extent::File);
                    found.extend(by.map(|(id, _)| (*id, *path)));
                }
                above = path.rfind('/').map(|slash| &path[..slash]).filter(|path| !path.is_empty());
            }
            // What lies below it.
            let folder = format!("{}/", read.path);
            let below = writers.range::<str, _>((Bound::Excluded(folder.as_str()), Bound::Unbounded));
            for (path, by) in below.take_while(|(path, _)| path.starts_with(&folder)) {
                let fits = |extent: Extent| {
                    extent != Extent::File || read.pattern.as_deref().is_none_or(|pattern| path_matches(pattern, path))
                };
                found.extend(by.iter().filter(|(_, extent)| fits(*extent)).map(|(id, _)| (*id, *path)));
            }
            for (from, path) in found {
                if !are_kin(plan, from, task.id) && seen.insert((from, task.id)) {
                    edges.push(Edge { from, to: task.id, why: Why::Path(path.to_owned()), is_obeyed: true });
                }
            }
        }
    }
    edges
}

/// Whether a path matches a pattern, folder by folder.
fn path_matches(pattern: &str, path: &str) -> bool {
    fn go(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**", rest @ ..], _) => go(rest, path) || !path.is_empty() && go(pattern, &path[1..]),
            ([first, rest @ ..], [name, names @ ..]) => glob::matches(first, name) && go(rest, names),
            _ => false,
        }
    }
    go(&pattern.split('/').collect::<Vec<_>>(), &path.split('/').collect::<Vec<_>>())
}

/// Whether one of two tasks made the other, or they are the same.
fn are_kin(plan: &Plan, a: TaskId, b: TaskId) -> bool {
    let is_above = |above: TaskId, below: TaskId| {
        let mut at = Some(below);
        while let Some(id) = at {
            if id == above {
                return true;
            }
            at = plan.task(id).parent;
        }
        false
    };
    is_above(a, b) || is_above(b, a)
}

impl Task {
    /// The paths that only this task writes as files of its own.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.writes.iter().filter(|write| write.extent == Extent::File).map(|write| write.path.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        let roots = Roots { release_uri: Some("gs://b/r".to_owned()), work_path: "/w".to_owned() };
        for (text, expected) in [
            ("a//b/", "a/b"),
            ("./a", "a"),
            ("gs://b/r/a/b", "a/b"),
            ("gs://b/rest", "gs://b/rest"),
            ("/w/a", "a"),
            ("/wide", "/wide"),
            ("gs://x//y", "gs://x/y"),
            ("/", "/"),
        ] {
            assert_eq!(normal(text, &roots), expected, "{text}");
        }
    }

    #[test]
    fn what_is_fixed_of_a_path_ends_at_a_folder() {
        assert_eq!(fixed_folder("a/b/${x}.csv"), Some("a/b"));
        assert_eq!(fixed_folder("a/b${x}/c"), Some("a"));
        assert_eq!(fixed_folder("${x}/c"), None);
    }

    #[test]
    fn patterns_match_folder_by_folder() {
        for (pattern, path, does) in [
            ("a/*.csv", "a/b.csv", true),
            ("a/*.csv", "a/b/c.csv", false),
            ("a/**/*.csv", "a/b/c/d.csv", true),
            ("a/**/*.csv", "a/d.csv", true),
            ("a/**", "a/d/e", true),
        ] {
            assert_eq!(path_matches(pattern, path), does, "{pattern} {path}");
        }
    }
}

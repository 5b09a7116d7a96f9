//! Tasks from files that a pattern matches.

use std::io;
use std::path::Path;

use crate::codec::Value;
use crate::config::located::{Data, Node, Place};
use crate::fs::{FileKind, Fs};
use crate::pipeline::file::{Flavour, Spec, spec_of};
use crate::pipeline::finding::Finding;
use crate::pipeline::template::{Missing, Scratchpad, resolve};

/// The keys that a matched file gives to its tasks.
pub const PLACEHOLDERS: [&str; 6] = ["uri", "match_prefix", "match_path", "match_stem", "match_ext", "uuid"];

/// Where relative paths are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots {
    /// The release, without slash at its end.
    pub release_uri: Option<String>,
    /// The local folder, absolute.
    pub work_path: String,
}

/// The part of a pattern before its first special character, and the rest without slashes before it.
pub fn split(pattern: &str) -> (&str, &str) {
    let bytes = pattern.as_bytes();
    let special = (0..bytes.len()).find(|&i| b"*[{?".contains(&bytes[i]) && (i == 0 || bytes[i - 1] != b'\\'));
    match special {
        Some(at) => (&pattern[..at], pattern[at..].trim_start_matches('/')),
        None => (pattern, ""),
    }
}

/// What is known of one matched file.
pub fn values(pattern: &str, file: &str, roots: &Roots, uuid: String) -> Scratchpad {
    let (prefix, _) = split(pattern);
    let below =
        |root: &str| file.strip_prefix(root).filter(|_| !root.is_empty()).map(|rest| rest.trim_start_matches('/'));
    let uri = roots.release_uri.as_deref().and_then(below).or_else(|| below(&roots.work_path)).unwrap_or(file);
    let relative = uri.strip_prefix(prefix).unwrap_or(uri).trim_start_matches('/');
    let before = uri.strip_suffix(relative).unwrap_or(uri).trim_end_matches('/');
    let (path, name) = relative.rsplit_once('/').unwrap_or(("", relative));
    let (stem, extension) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((name, ""));
    let mut values = Scratchpad::default();
    for (key, value) in PLACEHOLDERS.into_iter().zip([uri, before, path, stem, extension, &uuid]) {
        values.set(key, Value::Text(value.to_owned()));
    }
    values
}

/// An id in the form of a UUID that is the same for the same file of the same task.
pub fn uuid_of(step: &str, task: &str, file: &str) -> String {
    let text = format!("{step}\0{task}\0{file}");
    let mut hex = crate::hash::derived("prov 2026-11 the uuid of a matched file", text.as_bytes()).to_string();
    // Version 8: made by a rule of one's own.
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "a");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

/// The specs that an `explode_glob` makes of these files, file by file. `spec` has had its first pass.
pub fn expand(
    spec: &Spec,
    flavour: Flavour,
    files: &[String],
    roots: &Roots,
    uuid: impl Fn(&str) -> String,
    findings: &mut Vec<Finding>,
) -> Vec<Spec> {
    let pattern = spec.get("glob").and_then(Node::as_text).unwrap_or_default();
    let mut made = Vec::new();
    for file in files {
        let values = values(pattern, file, roots, uuid(file));
        for body in spec.get("do").and_then(Node::as_list).unwrap_or_default() {
            let mut body = resolve(body, &values, flavour.syntax(), Missing::Leave, &mut Vec::new());
            if let Data::Map(entries) = &mut body.data {
                for entry in entries {
                    if let Some(text) = entry.value.as_text()
                        && text.contains("//")
                    {
                        entry.value = Node::text(entry.value.at, single_slashes(text));
                    }
                }
            }
            made.extend(spec_of(body, flavour, findings));
        }
    }
    made
}

/// Takes several slashes for one, unless they follow a colon.
pub(in crate::pipeline) fn single_slashes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = '\0';
    for c in text.chars() {
        let is_second = c == '/' && before == '/';
        // In `a://b` the first slash follows a colon, so the second one begins a run of its own.
        let follows_scheme = out.ends_with(":/");
        if !is_second || follows_scheme {
            out.push(c);
        }
        before = c;
    }
    out
}

/// The files and folders below `base` that a pattern matches, in order. `**` stands for folders, any number of them.
///
/// # Errors
/// A folder can't be read.
pub fn list(fs: &Fs, base: &Path, pattern: &str) -> io::Result<Vec<String>> {
    let segments: Vec<&str> = pattern.split('/').filter(|segment| !segment.is_empty()).collect();
    let mut found = Vec::new();
    if !segments.is_empty() {
        descend(fs, base, &segments, &mut found)?;
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn descend(fs: &Fs, folder: &Path, segments: &[&str], found: &mut Vec<String>) -> io::Result<()> {
    let [first, rest @ ..] = segments else { return Ok(()) };
    let mut names = match fs.names(folder) {
        Ok(names) => names,
        Err(err) if crate::fs::is_absent(&err) || err.kind() == io::ErrorKind::NotADirectory => return Ok(()),
        Err(err) => return Err(err),
    };
    names.sort();
    if *first == "**" {
        if rest.is_empty() {
            found.extend(folder.to_str().map(ToOwned::to_owned));
        } else {
            descend(fs, folder, rest, found)?;
        }
    }
    for name in names {
        let path = folder.join(&name);
        let Some(text) = name.to_str() else { continue };
        if *first == "**" {
            // A link to a folder is not followed: it may lead back.
            if fs.lstat(&path)?.is_some_and(|stat| stat.kind == FileKind::Folder) {
                descend(fs, &path, segments, found)?;
            }
        } else if matches(first, text) {
            if rest.is_empty() {
                found.extend(path.to_str().map(ToOwned::to_owned));
            } else {
                descend(fs, &path, rest, found)?;
            }
        }
    }
    Ok(())
}

/// Whether a name matches a pattern of `*`, `?` and `[...]`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                retry = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[p..], name[n]),
            Some(c) if *c == name[n] => Some(1),
            _ => None,
        };
        match (step, retry) {
            (Some(width), _) => (p, n) = (p + width, n + 1),
            (None, Some((star, from))) => {
                retry = Some((star, from + 1));
                (p, n) = (star + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The width of the class that `pattern` begins with if it holds `c`; without a closing bracket it is the bracket itself.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let is_negated = matches!(pattern.get(1), Some('!'));
    let start = if is_negated { 2 } else { 1 };
    // A bracket right at the start is one of the class.
    let Some(end) = (start + 1..pattern.len()).find(|&i| pattern[i] == ']') else {
        return (c == '[').then_some(1);
    };
    let inside = &pattern[start..end];
    let mut i = 0;
    let mut holds = false;
    while i < inside.len() {
        if i + 2 < inside.len() && inside[i + 1] == '-' {
            holds |= (inside[i]..=inside[i + 2]).contains(&c);
            i += 3;
        } else {
            holds |= inside[i] == c;
            i += 1;
        }
    }
    (holds != is_negated).then_some(end + 1)
}

/// The names that a template stands for: its literal stretches, in order.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct NamePattern {
    /// The template with every placeholder as `*`, special characters as themselves.
    stretches: Vec<String>,
}

impl NamePattern {
    /// The pattern of a template; what stands in a placeholder may be anything.
    pub(in crate::pipeline) fn of(template: &str, flavour: Flavour) -> Self {
        let node = Node::text(Place::default(), template);
        let mut marks = Scratchpad::default();
        for key in crate::pipeline::template::keys(&node, flavour.syntax()) {
            marks.set(key, Value::Text("\0".to_owned()));
        }
        let marked = resolve(&node, &marks, flavour.syntax(), Missing::Leave, &mut Vec::new());
        let stretches = marked.as_text().unwrap_or_default().split('\0').map(ToOwned::to_owned).collect();
        Self { stretches }
    }

    /// Whether the template could become that name.
    pub(in crate::pipeline) fn could_be(&self, name: &str) -> bool {
        let [first, rest @ ..] = self.stretches.as_slice() else { return false };
        let Some((last, middle)) = rest.split_last() else { return first == name };
        let Some(mut left) = name.strip_prefix(first.as_str()) else { return false };
        for stretch in middle {
            match left.find(stretch.as_str()) {
                Some(at) => left = &left[at + stretch.len()..],
                None => return false,
            }
        }
        left.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(pattern: &str, file: &str, release: Option<&str>) -> Vec<String> {
        let roots = Roots { release_uri: release.map(ToOwned::to_owned), work_path: "/data/out".to_owned() };
        let values = values(pattern, file, &roots, "u".to_owned());
        PLACEHOLDERS
            .map(|key| crate::config::to_json(values.get(key).unwrap()))
            .map(|text| text.replace('"', ""))
            .into()
    }

    #[test]
    fn a_match_is_taken_apart_as_otter_does() {
        let chair = "/data/out/input/items/furniture/chair.json";
        assert_eq!(
            known("input/items/**/*.json", chair, None),
            ["input/items/furniture/chair.json", "input/items", "furniture", "chair", "json", "u"]
        );
        assert_eq!(
            known("gs://b/x/*", "gs://b/x/a.tar.gz", None),
            ["gs://b/x/a.tar.gz", "gs://b/x", "", "a.tar", "gz", "u"]
        );
        assert_eq!(
            known("input/*", "gs://rel/25/input/.hidden", Some("gs://rel/25")),
            ["input/.hidden", "input", "", ".hidden", "", "u"]
        );
    }

    #[test]
    fn slashes_are_taken_for_one_but_not_behind_a_scheme() {
        for (text, expected) in
            [("a//b///c", "a/b/c"), ("gs://x//y", "gs://x/y"), ("gs:///x", "gs://x"), ("//a", "/a"), ("a/", "a/")]
        {
            assert_eq!(single_slashes(text), expected, "{text}");
        }
    }

    #[test]
    fn names_match_patterns() {
        for (pattern, name, does) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.gz", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?.x", "é.x", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[x", "[x", true),
            ("*", ".hidden", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), does, "{pattern} {name}");
        }
    }

    #[test]
    fn a_template_knows_the_names_it_could_become() {
        let pattern = NamePattern::of("copy ${match_stem} part ${uuid}", Flavour::Otter);
        assert!(pattern.could_be("copy x part 7") && pattern.could_be("copy a part b part c"));
        assert!(!pattern.could_be("copy x 7") && !pattern.could_be("copy part"));
    }

    #[test]
    fn the_uuid_of_a_file_is_its_own_and_stays() {
        let one = uuid_of("s", "t", "f");
        assert_eq!((one.len(), one.clone()), (36, uuid_of("s", "t", "f")));
        assert_ne!(one, uuid_of("s", "t", "g"));
    }
}

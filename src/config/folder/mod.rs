//! Folders of configuration: several layers that become one, `inherit` and `include` resolved, single values changed.
//!
//! | rule | |
//! |---|---|
//! | layers | a file is taken from the first layer, in order of precedence, that has one of its path |
//! | configuration file | by its name: `.yaml`, `.yml`, `.json`, `.toml`, `.ini`. Everything else (CSV, ...) is taken as it is |
//! | `inherit: true`, `inherit_settings: true` | the file of the same path in the layers below is laid under this one |
//! | `inherit: NAME`, `inherit_settings: NAME` | that file of the layers below is |
//! | `include: NAME or [NAME, ...]`, `include_settings: ...` | those files, seen from the folder of this one, are laid under it, the later over the earlier |
//!
//! These keys count at the top level of YAML and JSON files, and are gone from the result; `inherit` and `include` merge maps down to the
//! bottom, `inherit_settings` and `include_settings` replace top-level keys as a whole. A NAME is one of a configuration file: any other
//! value (`include: ["*.csv"]`) makes it an ordinary key. A name that leads out of the folder, names nothing, or leads back to a file that is
//! being read is an error. Files that none of this concerns keep every byte.

mod edit;
mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use edit::{FileOverride, Step, show as show_path};

use super::error::Error;
use super::{Format, text_of};
use crate::codec::Value;
use crate::path::RelPath;
use node::Node;

/// The files of one layer by path; with their bytes if they are configuration files.
pub type Layer = BTreeMap<RelPath, Option<Vec<u8>>>;

/// A file of the resolved folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedFile {
    /// The layer that it is from.
    pub layer: usize,
    /// What it holds instead of what lies in the layer; `None` if it is as it lies there.
    pub rewritten: Option<Vec<u8>>,
}

/// The folder that layers and overrides make: every file of it.
pub type ResolvedFolder = BTreeMap<RelPath, ResolvedFile>;

/// The keys that lead to other files: name, whether it inherits, whether maps are merged to the bottom.
const KEYS: &[(&str, bool, bool)] = &[
    ("include", false, true),
    ("include_settings", false, false),
    ("inherit", true, true),
    ("inherit_settings", true, false),
];

/// Files that one file is made of at most.
const MAX_FILES: usize = 64;

/// Makes one folder of layers, the first of which has precedence, and changes single values of it. Of two overrides of one value the later
/// wins.
///
/// # Errors
/// An override of what is not there, a file that leads where it must not, a name that is a file in one layer and a folder in another.
pub fn resolve(layers: &[Layer], overrides: &[FileOverride]) -> Result<ResolvedFolder, Error> {
    let mut folder = ResolvedFolder::new();
    for (at, layer) in layers.iter().enumerate() {
        for path in layer.keys() {
            folder.entry(path.clone()).or_insert(ResolvedFile { layer: at, rewritten: None });
        }
    }
    for path in folder.keys() {
        let mut above = path.parent();
        while let Some(parent) = above.filter(|parent| !parent.is_root()) {
            if folder.contains_key(&parent) {
                return Err(refuse(&parent, "it is a file in one layer and a folder in another", None));
            }
            above = parent.parent();
        }
    }
    let linked = Linked { layers };
    for (path, file) in &mut folder {
        let Some(bytes) = layers[file.layer].get(path).and_then(Option::as_ref) else { continue };
        let mentions = |word: &[u8]| bstr::ByteSlice::contains_str(bytes.as_slice(), word);
        if mentions(b"inherit") || mentions(b"include") {
            file.rewritten = linked.rewritten(path, file.layer)?;
        }
    }
    let mut chosen: BTreeMap<(&str, &[Step]), &FileOverride> = BTreeMap::new();
    for one in overrides {
        chosen.insert((&one.file, &one.path), one);
    }
    for one in chosen.into_values() {
        apply(layers, &mut folder, one)?;
    }
    Ok(folder)
}

fn apply(layers: &[Layer], folder: &mut ResolvedFolder, one: &FileOverride) -> Result<(), Error> {
    let path = RelPath::new(one.file.as_str());
    let Some((path, file)) = path.and_then(|path| folder.get_mut(&path).map(|file| (path, file))) else {
        let names: Vec<String> = folder.keys().map(|path| crate::path::shown(path.as_bytes())).collect();
        let names: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| Format::of(Path::new(name)).is_some()).collect();
        return Err(
            one.refuse(format!("there is no file `{}` in the folder", one.file), edit::suggestion(&one.file, &names))
        );
    };
    let original = layers[file.layer].get(&path).and_then(Option::as_ref);
    let (Some(format), Some(bytes)) = (Format::of(Path::new(&one.file)), file.rewritten.as_ref().or(original)) else {
        let hint = "only YAML, JSON, TOML and INI files have values; change another file in a layer of its own";
        return Err(one.refuse(format!("`{}` is no configuration file", one.file), Some(hint.to_owned())));
    };
    let text = text_of(Path::new(&one.file), bytes)?;
    file.rewritten = Some(one.apply(format, &text)?.into_bytes());
    Ok(())
}

/// What a configuration file says, if it can be read as one.
///
/// # Errors
/// With line and column of the first rule broken.
pub fn value_of(path: &RelPath, bytes: &[u8]) -> Option<Result<Value, Error>> {
    let name = crate::path::from_bytes(path.as_bytes());
    Some(super::parse(&name, Format::of(&name)?, bytes))
}

fn refuse(path: &RelPath, problem: impl Into<String>, hint: Option<String>) -> Error {
    Error::File { file: crate::path::from_bytes(path.as_bytes()), problem: problem.into(), hint }
}

/// Follows the keys that lead to other files.
struct Linked<'a> {
    layers: &'a [Layer],
}

impl Linked<'_> {
    /// A file with everything that it leads to laid under it; `None` if it leads nowhere.
    fn rewritten(&self, path: &RelPath, layer: usize) -> Result<Option<Vec<u8>>, Error> {
        let Some((format, tree)) = self.tree(path, layer) else { return Ok(None) };
        if links(&tree).is_empty() {
            return Ok(None);
        }
        let whole = self.whole(path, layer, tree, &mut Vec::new(), &mut BTreeSet::new())?;
        let text = whole.to_text();
        let name = crate::path::from_bytes(path.as_bytes());
        let value = super::parse(&name, Format::Yaml, text.as_bytes())?;
        Ok(Some(if format == Format::Json { edit::pretty(&value) } else { text }.into_bytes()))
    }

    /// The tree of a YAML or JSON file of a layer; `None` if it is no such file, or can't be read: then it is taken as it is.
    fn tree(&self, path: &RelPath, layer: usize) -> Option<(Format, Node)> {
        let name = crate::path::from_bytes(path.as_bytes());
        let bytes = self.layers[layer].get(path).and_then(Option::as_ref);
        let (Some(format @ (Format::Yaml | Format::Json)), Some(bytes)) = (Format::of(&name), bytes) else {
            return None;
        };
        let tree = text_of(&name, bytes).and_then(|text| edit::tree(&name, format, &text));
        tree.ok().map(|tree| (format, tree))
    }

    fn whole(
        &self,
        path: &RelPath,
        layer: usize,
        mut tree: Node,
        open: &mut Vec<(RelPath, usize)>,
        read: &mut BTreeSet<(RelPath, usize)>,
    ) -> Result<Node, Error> {
        if open.iter().any(|one| *one == (path.clone(), layer)) {
            let way = open.iter().map(|(path, _)| crate::path::shown(path.as_bytes())).collect::<Vec<_>>().join(" > ");
            return Err(refuse(
                path,
                format!("it leads back to itself: {way} > {}", crate::path::shown(path.as_bytes())),
                None,
            ));
        }
        read.insert((path.clone(), layer));
        if read.len() > MAX_FILES {
            return Err(refuse(path, format!("it leads to more than {MAX_FILES} files"), None));
        }
        let links = links(&tree);
        if let Node::Map(entries) = &mut tree {
            entries.retain(|(key, _)| !links.iter().any(|link| key.key().as_deref() == Some(link.key)));
        }
        open.push((path.clone(), layer));
        let mut under: Option<Node> = None;
        for link in &links {
            for target in &link.targets {
                let (target, from) = self.find(path, layer, link, target.as_deref())?;
                let Some((_, below)) = self.tree(&target, from) else {
                    return Err(refuse(
                        path,
                        format!("`{}` leads to a file that can't be read as YAML or JSON", link.key),
                        None,
                    ));
                };
                let below = self.whole(&target, from, below, open, read)?;
                under = Some(match under {
                    Some(lower) => lower.merge(below, link.is_deep),
                    None => below,
                });
            }
            if let Some(lower) = under.take() {
                tree = lower.merge(tree, link.is_deep);
            }
        }
        open.pop();
        Ok(tree)
    }

    /// The file that a link leads to, and its layer: of one that inherits among the layers below, else in the first that has it.
    fn find(&self, path: &RelPath, layer: usize, link: &Link, target: Option<&str>) -> Result<(RelPath, usize), Error> {
        let shown = target.map_or_else(|| crate::path::shown(path.as_bytes()), str::to_owned);
        let target = match target {
            None => Some(path.clone()),
            Some(name) => {
                let folder = path.parent().unwrap_or_default();
                match crate::path::locate(Path::new("/"), &folder.below(Path::new("/")), Path::new(name)) {
                    _ if name.starts_with('/') || leads_out(&folder, name) => {
                        return Err(refuse(path, format!("`{}: {name}` leads out of the folder", link.key), None));
                    }
                    crate::path::Place::Inside(inside) => Some(inside),
                    crate::path::Place::Outside(_) => None,
                }
            }
        };
        let from = if link.inherits { layer + 1 } else { 0 };
        let found = target.and_then(|target| {
            (from..self.layers.len()).find(|at| self.layers[*at].contains_key(&target)).map(|at| (target, at))
        });
        found.ok_or_else(|| {
            let place = if link.inherits { "in the layers below" } else { "in the folder" };
            refuse(path, format!("`{}` needs `{shown}`, and there is none {place}", link.key), None)
        })
    }
}

/// Whether a relative name climbs above the folder at some point.
fn leads_out(folder: &RelPath, name: &str) -> bool {
    let mut depth = folder.components().count();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

/// A key that leads to other files.
struct Link {
    key: &'static str,
    inherits: bool,
    is_deep: bool,
    /// File names; `None` for the file of the same path.
    targets: Vec<Option<String>>,
}

fn links(tree: &Node) -> Vec<Link> {
    let Node::Map(entries) = tree else { return Vec::new() };
    let found = |name: &str| entries.iter().find(|(key, _)| key.key().as_deref() == Some(name)).map(|(_, value)| value);
    let is_file = |text: &str| {
        matches!(Format::of(Path::new(text)), Some(Format::Yaml | Format::Json)) && !text.contains(['*', '?', '[', '{'])
    };
    let mut links = Vec::new();
    for &(key, inherits, is_deep) in KEYS {
        let targets = match found(key) {
            Some(Node::Scalar { text, is_plain: true, .. })
                if inherits && matches!(text.as_str(), "true" | "True" | "TRUE") =>
            {
                vec![None]
            }
            Some(Node::Scalar { text, .. }) if is_file(text) => vec![Some(text.clone())],
            Some(Node::List(items)) if !inherits && !items.is_empty() => {
                let names = items.iter().map(|item| match item {
                    Node::Scalar { text, .. } if is_file(text) => Some(Some(text.clone())),
                    _ => None,
                });
                match names.collect::<Option<Vec<_>>>() {
                    Some(names) => names,
                    None => continue,
                }
            }
            _ => continue,
        };
        links.push(Link { key, inherits, is_deep, targets });
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(files: &[(&str, &str)]) -> Layer {
        let file = |(path, text): &(&str, &str)| {
            let is_config = Format::of(Path::new(path)).is_some();
            (RelPath::new(*path).unwrap(), is_config.then(|| text.as_bytes().to_vec()))
        };
        files.iter().map(file).collect()
    }

    fn resolved(layers: &[Layer], overrides: &[&str]) -> Result<BTreeMap<String, (usize, Option<String>)>, String> {
        let overrides: Vec<_> = overrides.iter().map(|one| FileOverride::parse(one).unwrap()).collect();
        let folder = resolve(layers, &overrides).map_err(|err| format!("{err}; {}", err.hint().unwrap_or_default()))?;
        let text = |file: ResolvedFile| (file.layer, file.rewritten.map(|bytes| String::from_utf8(bytes).unwrap()));
        Ok(folder.into_iter().map(|(path, file)| (path.to_string(), text(file))).collect())
    }

    #[test]
    fn the_first_layer_that_has_a_file_gives_it_as_it_is() {
        let layers = [layer(&[("a.yaml", "# odd\na:   1\n")]), layer(&[("a.yaml", "a: 2"), ("s/c.csv", "")])];
        let folder = resolved(&layers, &[]).unwrap();
        assert_eq!(folder["a.yaml"], (0, None));
        assert_eq!(folder["s/c.csv"], (1, None));
    }

    #[test]
    fn files_inherit_and_include() {
        let top = layer(&[
            ("m.yaml", "inherit: true\nrates: {b: 3}\n"),
            ("n.yaml", "inherit_settings: m.yaml\nrates: {b: 9}\n"),
            ("sub/k.yaml", "include: [../x.json, y.yaml]\nc: 1\n"),
            ("sub/y.yaml", "d: 2\nc: 0\n"),
            ("j.json", "{\"include\": \"sub/y.yaml\", \"d\": 5}"),
            ("plain.yaml", "include: ['*.csv']\ninherit: no\n"),
        ]);
        let low =
            layer(&[("m.yaml", "rates: {a: 1, b: 2}\nwhen: 2026-01-01\n"), ("x.json", "{\"d\": 1, \"e\": [1.0]}")]);
        let folder = resolved(&[top, low], &["m.yaml:rates.a=7"]).unwrap();
        let text = |name: &str| folder[name].1.clone();
        assert_eq!(text("m.yaml").unwrap(), "rates:\n  a: 7\n  b: 3\nwhen: 2026-01-01\n");
        assert_eq!(text("n.yaml").unwrap(), "rates:\n  b: 9\nwhen: 2026-01-01\n");
        assert_eq!(text("sub/k.yaml").unwrap(), "\"d\": 2\n\"e\":\n  - 1.0\nc: 1\n");
        assert_eq!(text("j.json").unwrap(), "{\n  \"d\": 5,\n  \"c\": 0\n}\n");
        assert_eq!(text("plain.yaml"), None);
    }

    #[test]
    fn ways_that_lead_nowhere_are_errors() {
        let case =
            |text: &str| resolved(&[layer(&[("s/a.yaml", text), ("b.yaml", "include: s/a.yaml\n")])], &[]).unwrap_err();
        assert!(case("include: ../b.yaml\n").contains("leads back to itself"));
        assert!(case("include: a.yaml\n").contains("leads back to itself"));
        assert!(case("include: ../../etc/b.yaml\n").contains("leads out of the folder"));
        assert!(case("include: /etc/b.yaml\n").contains("leads out of the folder"));
        assert!(case("include: c.yaml\n").contains("there is none in the folder"));
        assert!(case("inherit: true\n").contains("there is none in the layers below"));
        let mixed = [layer(&[("a", "")]), layer(&[("a/b.yaml", "")])];
        assert!(resolved(&mixed, &[]).unwrap_err().contains("a file in one layer and a folder in another"));
    }

    #[test]
    fn overrides_are_the_same_in_any_order_and_the_later_of_one_value_wins() {
        let layers = [layer(&[("a.yaml", "x: 1\ny: 2\n"), ("b.toml", "z = 1\n"), ("c.csv", "")])];
        let one = resolved(&layers, &["a.yaml:x=3", "a.yaml:y=4", "b.toml:z=5"]).unwrap();
        let other = resolved(&layers, &["b.toml:z=5", "./a.yaml:y=4", "a.yaml:x=9", "a.yaml:x=3"]).unwrap();
        assert_eq!(one, other);
        assert_eq!(one["a.yaml"].1.as_deref(), Some("x: 3\ny: 4\n"));
        assert!(resolved(&layers, &["aa.yaml:x=1"]).unwrap_err().contains("did you mean `a.yaml`?"));
        assert!(resolved(&layers, &["c.csv:x=1"]).unwrap_err().contains("no configuration file"));
    }
}

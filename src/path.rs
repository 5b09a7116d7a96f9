//! Paths as bytes: normal project-relative paths, and how names are shown to people.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use serde::{Deserialize, Serialize};

/// A path below a root, in normal form: components joined by `/`, none of them empty, `.` or `..`, no NUL.
/// The empty path is the root itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct RelPath(BString);

impl RelPath {
    /// Takes a path that is already in normal form; `None` if it is not.
    pub fn new(bytes: impl Into<BString>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.is_empty() || bytes.split(|&b| b == b'/').all(is_name)).then_some(Self(bytes))
    }

    /// The root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The bytes of the path.
    pub fn as_bytes(&self) -> &BStr {
        self.0.as_bstr()
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components in order.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &BStr> {
        self.0.split(|&b| b == b'/').filter(|c| !c.is_empty()).map(BStr::new)
    }

    /// The last component, `None` for the root.
    pub fn file_name(&self) -> Option<&BStr> {
        self.components().next_back()
    }

    /// The path without its last component, `None` for the root.
    pub fn parent(&self) -> Option<RelPath> {
        if self.is_root() {
            return None;
        }
        Some(self.0.rfind_byte(b'/').map_or_else(RelPath::default, |at| Self(self.0[..at].into())))
    }

    /// This path with one more component; `None` if `name` is not a plain file name.
    pub fn join(&self, name: &[u8]) -> Option<RelPath> {
        is_name(name).then(|| {
            let mut bytes = self.0.clone();
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(name);
            Self(bytes)
        })
    }

    /// Whether this path is `folder` or lies below it.
    pub fn is_within(&self, folder: &RelPath) -> bool {
        folder.is_root() || (self.0.starts_with(&folder.0) && matches!(self.0.get(folder.0.len()), None | Some(b'/')))
    }

    /// The path on disk below `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        if self.is_root() { root.to_owned() } else { root.join(OsStr::from_bytes(&self.0)) }
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({self})")
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RelPath::new(BString::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("a path that is not in normal form"))
    }
}

/// Whether `name` can be one component of a path: 1 to 255 bytes, no `/`, no NUL, not `.` or `..`.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != b"."
        && name != b".."
        && !name.contains(&b'/')
        && !name.contains(&0)
}

/// Where a path typed by a user lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At or below the project root.
    Inside(RelPath),
    /// Elsewhere: the absolute path in lexically normal form.
    Outside(PathBuf),
}

/// Finds where `path` lies, seen from the folder `cwd` of the project at `root`, without touching the disk:
/// `.` and `..` are resolved lexically. `root` and `cwd` are absolute and normal.
pub fn locate(root: &Path, cwd: &Path, path: &Path) -> Place {
    let absolute = normal(&cwd.join(path));
    // Both are normal, so what begins with the same bytes begins with the same names.
    let below = absolute.as_os_str().as_bytes().strip_prefix(root.as_os_str().as_bytes());
    let below = below.and_then(|rest| if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") });
    if let Some(inside) = below.and_then(RelPath::new) {
        return Place::Inside(inside);
    }
    match absolute.strip_prefix(root) {
        Ok(rest) => match RelPath::new(rest.as_os_str().as_bytes()) {
            Some(inside) => Place::Inside(inside),
            None => Place::Outside(absolute),
        },
        Err(_) => Place::Outside(absolute),
    }
}

/// Resolves `.` and `..` of an absolute path lexically.
pub fn normal(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let trimmed = bytes.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(bytes);
    // Most are, and looking is quicker than putting one together.
    if let Some(names) = trimmed.strip_prefix(b"/")
        && names.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
    {
        return PathBuf::from(std::ffi::OsStr::from_bytes(trimmed));
    }
    by_component(path)
}

fn by_component(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::Prefix(_) | Component::Normal(_) => out.push(component),
        }
    }
    out
}

/// Where a path really lies: links in the folders above it followed, the last component as it is. What does not exist
/// yet stays as it is written. `path` is absolute.
pub fn real(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut above = path;
    while let (Some(parent), Some(name)) = (above.parent(), above.file_name()) {
        rest.push(name);
        if let Ok(mut found) = parent.canonicalize() {
            found.extend(rest.iter().rev());
            return found;
        }
        above = parent;
    }
    path.to_owned()
}

/// The bytes of a path.
pub fn bytes(path: &Path) -> BString {
    path.as_os_str().as_bytes().into()
}

/// The path that `bytes` spell.
pub fn from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

/// `bytes` for people: UTF-8 text as it is, control characters and bytes that are not UTF-8 as `\n`, `\t` or `\xNN`.
/// Never writes a control character, so a name can't talk to the terminal.
pub fn shown(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                // C0, C1, and the marks that reorder text.
                c if c.is_control()
                    || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    let mut buffer = [0; 4];
                    for byte in c.encode_utf8(&mut buffer).bytes() {
                        out.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// [`shown`] of a path.
pub fn show(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_paths_are_taken() {
        for good in ["", "a", "a/b", "-x", "a b/\n", "..a"] {
            assert!(RelPath::new(good).is_some(), "{good}");
        }
        for bad in ["/a", "a/", "a//b", ".", "..", "a/../b", "a\0"] {
            assert!(RelPath::new(bad).is_none(), "{bad}");
        }
        assert!(RelPath::new("x".repeat(256)).is_none());
    }

    #[test]
    fn the_short_way_to_a_normal_path_leads_where_the_long_one_does() {
        let names = ["", ".", "..", "a", "b c", "..a"];
        let mut paths: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for _ in 0..3 {
            let longer = paths.iter().flat_map(|path| names.iter().map(move |name| format!("{path}/{name}")));
            paths = longer.chain(names.iter().map(|name| (*name).to_owned())).collect();
            for path in &paths {
                let path = Path::new("/").join(path);
                assert_eq!(normal(&path).as_os_str(), by_component(&path).as_os_str(), "{path:?}");
                let place = match by_component(&path).strip_prefix("/a") {
                    Ok(rest) => Place::Inside(RelPath::new(rest.as_os_str().as_bytes()).unwrap()),
                    Err(_) => Place::Outside(by_component(&path)),
                };
                assert_eq!(locate(Path::new("/a"), Path::new("/q"), &path), place);
            }
        }
    }

    #[test]
    fn paths_are_located_lexically() {
        let (root, cwd) = (Path::new("/p"), Path::new("/p/sub"));
        let inside = |s: &str| Place::Inside(RelPath::new(s).unwrap());
        assert_eq!(locate(root, cwd, Path::new("x")), inside("sub/x"));
        assert_eq!(locate(root, cwd, Path::new("../x/./y")), inside("x/y"));
        assert_eq!(locate(root, cwd, Path::new("/p")), inside(""));
        assert_eq!(locate(root, cwd, Path::new("../../q")), Place::Outside("/q".into()));
        assert_eq!(locate(root, cwd, Path::new("/pq")), Place::Outside("/pq".into()));
    }

    #[test]
    fn names_can_not_talk_to_the_terminal() {
        assert_eq!(shown(b"a\x1b[31m\xff\n"), "a\\x1b[31m\\xff\\n");
        assert_eq!(shown("\u{202e}x".as_bytes()), "\\xe2\\x80\\xaex");
    }
}

//! Paths and globs that name files of the project.

use globset::{GlobBuilder, GlobMatcher};

use super::Error;
use crate::path::{Place, RelPath, from_bytes, locate, shown};

/// A path of the project, or a glob (`*`, `?`, `[...]`, `{a,b}`, `**` for any folders). One that leads to a folder
/// names everything below it.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    exact: Option<RelPath>,
    glob: Option<(GlobMatcher, GlobMatcher)>,
}

impl Pattern {
    /// Reads a pattern as seen from `base`, a folder of the project.
    ///
    /// # Errors
    /// An empty one, one that leads out of the project, a bad glob.
    pub fn new(text: &str, base: &RelPath) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Pattern { pattern: shown(text.as_bytes()), reason };
        if text.is_empty() {
            return Err(refuse("it is empty".to_owned()));
        }
        if text.starts_with('/') {
            return Err(refuse("it is absolute".to_owned()));
        }
        let is_glob = text.contains(['*', '?', '[', '{']);
        // Where the pattern is seen from is no part of it: a folder may be called `[x]`.
        let base = if is_glob {
            RelPath::new(globset::escape(&String::from_utf8_lossy(base.as_bytes()))).unwrap_or_default()
        } else {
            base.clone()
        };
        // A pretended root makes the arithmetic of paths the same as for real ones.
        let root = std::path::Path::new("/r");
        let place = locate(root, &base.below(root), &from_bytes(text.as_bytes()));
        let Place::Inside(inside) = place else {
            return Err(refuse("it leads out of the project".to_owned()));
        };
        if !is_glob {
            return Ok(Self { text: text.to_owned(), exact: Some(inside), glob: None });
        }
        let full = String::from_utf8_lossy(inside.as_bytes()).into_owned();
        let glob = |text: &str| {
            GlobBuilder::new(text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|err| refuse(err.kind().to_string()))
        };
        Ok(Self { text: text.to_owned(), exact: None, glob: Some((glob(&full)?, glob(&format!("{full}/**"))?)) })
    }

    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names this file.
    pub fn matches(&self, path: &RelPath) -> bool {
        match (&self.exact, &self.glob) {
            (Some(exact), _) => path.is_within(exact),
            (None, Some((itself, below))) => {
                let path = from_bytes(path.as_bytes());
                itself.is_match(&path) || below.is_match(&path)
            }
            (None, None) => false,
        }
    }

    /// Whether it is the very path of this file.
    pub fn is_exactly(&self, path: &RelPath) -> bool {
        self.exact.as_ref() == Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn paths_folders_and_globs_match() {
        let m = |pattern: &str, file: &str| Pattern::new(pattern, &path("sub")).unwrap().matches(&path(file));
        assert!(m("a.py", "sub/a.py"));
        assert!(m("../lib", "lib/x/y.py"));
        assert!(!m("lib", "lib/x.py"));
        assert!(m(".", "sub/x"));
        assert!(m("*.py", "sub/a.py"));
        assert!(!m("*.py", "sub/x/a.py"));
        assert!(m("**/*.py", "sub/x/a.py"));
        assert!(m("x*", "sub/x1/deep/a.py"));
        assert!(m("../{a,b}/?.R", "b/z.R"));
        assert!(Pattern::new("*.py", &path("[x]")).unwrap().matches(&path("[x]/a.py")));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["", "../x", "a[", "{a", "/a"] {
            assert!(Pattern::new(bad, &RelPath::root()).is_err(), "{bad}");
        }
    }
}

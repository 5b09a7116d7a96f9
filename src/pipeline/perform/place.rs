//! Where a location of a spec leads to, by Otter's rules.

use std::path::{Path, PathBuf};

use crate::pipeline::plan::Roots;

/// A location as it was declared, and where it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// As it stands in the spec.
    pub declared: String,
    /// An absolute path or a URL.
    pub absolute: String,
}

impl Location {
    /// Where `declared` leads to: as it is if it is absolute, else below the release if there is one, else below the work path.
    pub fn of(declared: &str, roots: &Roots) -> Self {
        Self::resolve(declared, roots, false)
    }

    /// As [`Location::of`], below the work path even if there is a release.
    pub fn local(declared: &str, roots: &Roots) -> Self {
        Self::resolve(declared, roots, true)
    }

    /// As [`Location::of`], but what is absolute stays as it is even below the work path: for what comes from outside.
    pub fn outside(declared: &str, roots: &Roots) -> Self {
        if declared.starts_with('/') {
            return Self { declared: declared.to_owned(), absolute: declared.to_owned() };
        }
        Self::resolve(declared, roots, false)
    }

    fn resolve(declared: &str, roots: &Roots, is_local: bool) -> Self {
        // A path of the work path is one of the release: so Otter takes them.
        let relative = below(declared, &roots.work_path).unwrap_or(declared);
        let release = roots.release_uri.as_deref();
        let absolute = if relative.starts_with('/') {
            relative.to_owned()
        } else if relative.contains("://") {
            match release.filter(|_| is_local).and_then(|release| below(relative, release)) {
                Some(rest) => join(&roots.work_path, rest),
                None => relative.to_owned(),
            }
        } else {
            join(release.filter(|_| !is_local).unwrap_or(&roots.work_path), relative)
        };
        Self { declared: declared.to_owned(), absolute }
    }

    /// What kind of place it is.
    pub fn address(&self) -> Address<'_> {
        Address::of(&self.absolute)
    }
}

/// The rest of a path or URL below a root, without slashes before it.
fn below<'a>(text: &'a str, root: &str) -> Option<&'a str> {
    let root = root.trim_end_matches('/');
    if root.is_empty() {
        return None;
    }
    let rest = text.strip_prefix(root)?;
    if rest.is_empty() { Some(rest) } else { rest.starts_with('/').then(|| rest.trim_start_matches('/')) }
}

fn join(root: &str, rest: &str) -> String {
    let root = root.trim_end_matches('/');
    if rest.is_empty() { root.to_owned() } else { format!("{root}/{rest}") }
}

/// Who keeps what lies at an absolute location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// This machine's file system.
    Local(&'a Path),
    /// A server that speaks HTTP.
    Http(&'a str),
    /// Something that nothing here can talk to; its scheme.
    Other(&'a str),
}

impl<'a> Address<'a> {
    /// Of an absolute location.
    pub fn of(absolute: &'a str) -> Self {
        match absolute.split_once("://") {
            None => Address::Local(Path::new(absolute)),
            Some(("file", rest)) if rest.starts_with('/') => Address::Local(Path::new(rest)),
            Some(("http" | "https", _)) => Address::Http(absolute),
            Some((scheme, _)) => Address::Other(scheme),
        }
    }

    /// The path if it is local.
    pub fn local(self) -> Option<PathBuf> {
        match self {
            Address::Local(path) => Some(path.to_owned()),
            Address::Http(_) | Address::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_lead_where_otter_says() {
        let work = Roots { release_uri: None, work_path: "/w/out".to_owned() };
        let release = Roots { release_uri: Some("gs://b/25".to_owned()), ..work.clone() };
        for (declared, local, remote, forced) in [
            ("a/b", "/w/out/a/b", "gs://b/25/a/b", "/w/out/a/b"),
            ("/x/a", "/x/a", "/x/a", "/x/a"),
            ("/w/out/a", "/w/out/a", "gs://b/25/a", "/w/out/a"),
            ("/w/outside", "/w/outside", "/w/outside", "/w/outside"),
            ("gs://b/25/a", "gs://b/25/a", "gs://b/25/a", "/w/out/a"),
            ("gs://b/251/a", "gs://b/251/a", "gs://b/251/a", "gs://b/251/a"),
            ("https://x/y", "https://x/y", "https://x/y", "https://x/y"),
        ] {
            assert_eq!(Location::of(declared, &work).absolute, local, "{declared}");
            assert_eq!(Location::of(declared, &release).absolute, remote, "{declared}");
            assert_eq!(Location::local(declared, &release).absolute, forced, "{declared}");
        }
    }

    #[test]
    fn an_address_tells_who_keeps_it() {
        assert_eq!(Address::of("/a"), Address::Local(Path::new("/a")));
        assert_eq!(Address::of("file:///a"), Address::Local(Path::new("/a")));
        assert_eq!(Address::of("https://x/a"), Address::Http("https://x/a"));
        assert_eq!(Address::of("gs://x/a"), Address::Other("gs"));
    }
}

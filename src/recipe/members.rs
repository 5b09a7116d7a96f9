//! Which files below a folder are the members of an output set.

use std::collections::BTreeMap;

use bstr::{BStr, BString};

use super::Error;
use super::pattern::{Captured, Pattern};
use crate::object::recipe::FileSet;

/// The members of an output set by their paths, seen from the set's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    /// Paths that are something else to the run: never members.
    apart: Vec<BString>,
    files: FileSet,
}

impl Members {
    /// Reads the patterns of a set. Their order plays no part.
    ///
    /// # Errors
    /// A pattern that can't be one, or none that names files.
    pub fn new(files: &FileSet) -> Result<Self, Error> {
        let files = files.sorted();
        let parse = |texts: &[String]| texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>();
        let (include, exclude) = (parse(&files.include)?, parse(&files.exclude)?);
        if include.is_empty() {
            return Err(Error::Members {
                pattern: files.exclude.first().map(|text| format!("!{text}")).unwrap_or_default(),
                rule: "it leaves files out, and no other pattern names any".to_owned(),
            });
        }
        Ok(Self { include, exclude, apart: Vec::new(), files })
    }

    /// As records have it.
    pub fn files(&self) -> &FileSet {
        &self.files
    }

    /// Whether the members are what a run changes, not all that matches.
    pub fn is_changed_only(&self) -> bool {
        self.files.changed
    }

    /// Takes paths out, with all that lies below them.
    pub fn set_apart(&mut self, paths: impl IntoIterator<Item = BString>) {
        self.apart.extend(paths);
    }

    /// The values that the name of a member says; `None` if this is no member.
    pub fn find(&self, path: &BStr) -> Option<Captured> {
        if self.apart.iter().any(|other| is_within(path, other)) {
            return None;
        }
        let found = self.include.iter().find_map(|pattern| pattern.matches(path))?;
        self.exclude.iter().all(|pattern| pattern.matches(path).is_none()).then_some(found)
    }

    /// Whether this is a member.
    pub fn has(&self, path: &BStr) -> bool {
        self.find(path).is_some()
    }

    /// Whether a member could lie in this folder or below it.
    pub fn may_hold(&self, folder: &BStr) -> bool {
        self.include.iter().any(|pattern| pattern.may_hold(folder))
    }

    /// What the paths of members begin with: each of them with one of these.
    pub fn prefixes(&self) -> Vec<BString> {
        let mut prefixes: Vec<BString> = self.include.iter().flat_map(Pattern::prefixes).collect();
        prefixes.sort();
        prefixes.dedup();
        prefixes
    }

    /// The names of all captures.
    pub fn captures(&self) -> BTreeMap<&str, &super::pattern::Type> {
        self.include.iter().flat_map(Pattern::captures).collect()
    }
}

fn is_within(path: &BStr, folder: &BString) -> bool {
    path.strip_prefix(folder.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(include: &[&str], exclude: &[&str]) -> Members {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Members::new(&FileSet { include: texts(include), exclude: texts(exclude), changed: false }).unwrap()
    }

    #[test]
    fn what_is_left_out_is_no_member() {
        let mut set = members(&["*.csv", "b/*"], &["tmp_*"]);
        assert!(set.has("a.csv".into()) && set.has("b/x".into()));
        assert!(!set.has("tmp_a.csv".into()) && !set.has("c".into()));
        set.set_apart(["b".into()]);
        assert!(!set.has("b/x".into()) && set.has("b.csv".into()));
    }

    #[test]
    fn the_order_of_patterns_is_none() {
        assert_eq!(members(&["b", "a", "b"], &[]).files(), members(&["a", "b"], &[]).files());
        let none = FileSet { include: vec![], exclude: vec!["a".to_owned()], changed: false };
        assert!(Members::new(&none).is_err());
    }
}

//! What a run declares: its inputs and outputs by key, each at its place.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use super::Error;
use super::key::{check_key, derive_key, variable_name};
use super::members::Members;
use crate::path::{Place, RelPath, bytes, from_bytes, locate, shown};

/// What a declared path is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read.
    Input,
    /// Written.
    Output,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Input => "input",
            Role::Output => "output",
        })
    }
}

/// The declared inputs and outputs of a run, seen from a working folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    root: PathBuf,
    cwd: PathBuf,
    inputs: BTreeMap<String, Place>,
    outputs: BTreeMap<String, Place>,
    /// Inputs that are sets of files: the files. Their place is the folder below which these lie.
    file_sets: BTreeMap<String, Vec<Place>>,
    /// Keys by the names of their variables.
    variables: HashMap<(Role, String), String>,
    /// What lies at a place, the smallest key; sets and their files do not count.
    by_place: HashMap<(Role, Place), String>,
    /// The places of inputs in the project, the files of sets instead of their folders.
    inside: HashSet<RelPath>,
    /// Outputs that are only some files of their folder.
    sets: BTreeMap<String, Members>,
    /// Files that the run itself made and that are its outputs.
    made: BTreeSet<RelPath>,
}

impl Declared {
    /// Nothing yet. `root` is the project, `cwd` the folder that relative paths are seen from; both absolute and normal.
    pub fn new(root: &Path, cwd: &Path) -> Self {
        Self {
            root: root.to_owned(),
            cwd: cwd.to_owned(),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            sets: BTreeMap::new(),
            file_sets: BTreeMap::new(),
            variables: HashMap::new(),
            by_place: HashMap::new(),
            inside: HashSet::new(),
            made: BTreeSet::new(),
        }
    }

    /// Declares `path`, relative to the working folder or absolute, and returns its key: the given one, else the one
    /// of its file name.
    ///
    /// # Errors
    /// A key that can't be one, a key that another path has (the error prints the fix), an output declared twice.
    pub fn add(&mut self, role: Role, key: Option<&str>, path: &BStr) -> Result<String, Error> {
        self.insert(role, key, path, false)
    }

    /// Declares an output that is some files of the folder at `path`. Several sets may share a folder.
    ///
    /// # Errors
    /// As [`Declared::add`].
    pub fn add_set(&mut self, key: Option<&str>, path: &BStr, members: Members) -> Result<String, Error> {
        let key = self.insert(Role::Output, key, path, true)?;
        self.sets.insert(key.clone(), members);
        Ok(key)
    }

    fn insert(&mut self, role: Role, key: Option<&str>, path: &BStr, is_set: bool) -> Result<String, Error> {
        let place = self.locate(path);
        self.insert_at(role, key, place, path, is_set)
    }

    /// As [`Declared::add`], of what lies at `place` and was typed as `typed`.
    ///
    /// # Errors
    /// As [`Declared::add`].
    pub fn add_at(&mut self, role: Role, key: Option<&str>, place: Place, typed: &BStr) -> Result<String, Error> {
        self.insert_at(role, key, place, typed, false)
    }

    fn insert_at(
        &mut self,
        role: Role,
        key: Option<&str>,
        place: Place,
        typed: &BStr,
        is_set: bool,
    ) -> Result<String, Error> {
        let (key, variable) = self.free_key(role, key, &place, typed, is_set)?;
        if role == Role::Input {
            self.inside.extend(inside_of(&place));
        }
        let smallest = self.by_place.entry((role, place.clone())).or_insert_with(|| key.clone());
        if key < *smallest {
            smallest.clone_from(&key);
        }
        Ok(self.put(role, key, variable, place))
    }

    /// Declares files below the folder `base` as one input.
    ///
    /// # Errors
    /// A key that can't be one or that another input has.
    pub fn add_files(&mut self, key: &str, base: Place, files: Vec<Place>, typed: &BStr) -> Result<String, Error> {
        let (key, variable) = self.free_key(Role::Input, Some(key), &base, typed, true)?;
        self.inside.extend(files.iter().filter_map(inside_of));
        self.file_sets.insert(key.clone(), files);
        Ok(self.put(Role::Input, key, variable, base))
    }

    /// The key with the name of its variable, if nothing else has either.
    fn free_key(
        &self,
        role: Role,
        key: Option<&str>,
        place: &Place,
        typed: &BStr,
        is_set: bool,
    ) -> Result<(String, String), Error> {
        let key = if let Some(key) = key {
            check_key(key)?;
            key.to_owned()
        } else {
            let name = match place {
                Place::Inside(inside) => inside.file_name().map(BStr::to_owned),
                Place::Outside(outside) => outside.file_name().map(|name| bytes(Path::new(name))),
            };
            // The project itself has the name of its folder nowhere: it may lie anywhere.
            derive_key(name.unwrap_or_else(|| BString::from("project")).as_ref())
        };
        let (entries, flag) = match role {
            Role::Input => (&self.inputs, "-i"),
            Role::Output => (&self.outputs, "-o"),
        };
        if let Some(first) = entries.get(&key) {
            // One more than there are entries: one of them is free.
            let other = (2..entries.len() + 3)
                .map(|n| format!("{key}_{n}"))
                .find(|k| !entries.contains_key(k))
                .unwrap_or_default();
            return Err(Error::Collision {
                role,
                first: show_place(first),
                second: show_place(place),
                fix: format!("give one of them another key: {flag} {other}={}", shown(typed)),
                key,
            });
        }
        let variable = (role, variable_name(&key));
        if let Some(other) = self.variables.get(&variable) {
            let prefix = if role == Role::Input { "PROV_INPUT_" } else { "PROV_OUTPUT_" };
            return Err(Error::Variables {
                first: other.clone(),
                second: key,
                variable: format!("{prefix}{}", variable.1),
            });
        }
        if role == Role::Output
            && !is_set
            && let Some((other, _)) = entries.iter().find(|(k, p)| *p == place && !self.sets.contains_key(*k))
        {
            return Err(Error::SamePath { first: other.clone(), second: key, path: show_place(place) });
        }
        Ok((key, variable.1))
    }

    fn put(&mut self, role: Role, key: String, variable: String, place: Place) -> String {
        self.variables.insert((role, variable), key.clone());
        match role {
            Role::Input => self.inputs.insert(key.clone(), place),
            Role::Output => self.outputs.insert(key.clone(), place),
        };
        key
    }

    /// Where a path lies, seen from the working folder.
    pub fn locate(&self, path: &[u8]) -> Place {
        locate(&self.root, &self.cwd, &from_bytes(path))
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The working folder.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// The working folder relative to the project; `None` if it lies elsewhere.
    pub fn cwd_inside(&self) -> Option<RelPath> {
        match self.locate(b"") {
            Place::Inside(inside) => Some(inside),
            Place::Outside(_) => None,
        }
    }

    /// The declared paths of a role by key.
    pub fn places(&self, role: Role) -> &BTreeMap<String, Place> {
        match role {
            Role::Input => &self.inputs,
            Role::Output => &self.outputs,
        }
    }

    /// The places of all inputs, the files of sets instead of their folders.
    pub fn read_places(&self) -> impl Iterator<Item = &Place> {
        let whole = self.inputs.iter().filter(|(key, _)| !self.file_sets.contains_key(*key)).map(|(_, place)| place);
        whole.chain(self.file_sets.values().flatten())
    }

    /// The files of an input that is a set of them.
    pub fn files_of(&self, key: &str) -> Option<&[Place]> {
        self.file_sets.get(key).map(Vec::as_slice)
    }

    /// The outputs that are only some files of their folder.
    pub fn sets(&self) -> &BTreeMap<String, Members> {
        &self.sets
    }

    /// Which files of its folder an output is; `None` if it is all that lies at its place.
    pub fn set(&self, key: &str) -> Option<&Members> {
        self.sets.get(key)
    }

    /// Takes paths out of a set: what they name is something else to the run.
    pub fn set_apart(&mut self, key: &str, paths: impl IntoIterator<Item = BString>) {
        if let Some(members) = self.sets.get_mut(key) {
            members.set_apart(paths);
        }
    }

    /// Files that turned out to be outputs of the run.
    pub fn add_made(&mut self, paths: impl IntoIterator<Item = RelPath>) {
        self.made.extend(paths);
    }

    /// What is declared at this place: an input before an output, the smallest key first. An input that is a set of files lies nowhere.
    pub fn find(&self, place: &Place) -> Option<(Role, &str)> {
        let at = |role| self.by_place.get(&(role, place.clone())).map(|key| (role, key.as_str()));
        at(Role::Input).or_else(|| at(Role::Output))
    }

    /// Whether the path is declared, lies below a declared folder, or could be a member of a declared set.
    pub fn covers(&self, path: &RelPath) -> bool {
        let mut at = Some(path.clone());
        while let Some(here) = at {
            if self.inside.contains(&here) {
                return true;
            }
            at = here.parent();
        }
        if self.made.contains(path) {
            return true;
        }
        self.outputs.iter().any(|(key, place)| match (self.sets.get(key), place) {
            // What a run may change of other people's files stays what it is.
            (Some(members), _) if members.is_changed_only() => false,
            (Some(members), Place::Inside(inside)) => below(path, inside).is_some_and(|path| members.has(path)),
            (None, Place::Inside(inside)) => path.is_within(inside),
            (_, Place::Outside(_)) => false,
        })
    }
}

fn inside_of(place: &Place) -> Option<RelPath> {
    match place {
        Place::Inside(inside) => Some(inside.clone()),
        Place::Outside(_) => None,
    }
}

/// The part of `path` below `folder`; `None` if it does not lie there.
pub fn below<'a>(path: &'a RelPath, folder: &RelPath) -> Option<&'a BStr> {
    if folder.is_root() {
        return Some(path.as_bytes());
    }
    path.as_bytes().strip_prefix(folder.as_bytes().as_bytes())?.strip_prefix(b"/").map(BStr::new)
}

/// A place as a record names it: relative to the project, or absolute.
pub(super) fn place_bytes(place: &Place) -> BString {
    match place {
        Place::Inside(inside) if inside.is_root() => BString::from("."),
        Place::Inside(inside) => inside.as_bytes().to_owned(),
        Place::Outside(outside) => bytes(outside),
    }
}

fn show_place(place: &Place) -> String {
    shown(&place_bytes(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Declared {
        Declared::new(Path::new("/p"), Path::new("/p/sub"))
    }

    #[test]
    fn keys_are_derived_or_given() {
        let mut d = declared();
        assert_eq!(d.add(Role::Input, None, "../data/raw.csv".into()).unwrap(), "raw");
        assert_eq!(d.add(Role::Input, Some("more"), "../data/raw2.csv".into()).unwrap(), "more");
        assert_eq!(d.add(Role::Output, None, "raw.csv".into()).unwrap(), "raw");
        assert_eq!(d.add(Role::Input, None, "/elsewhere/x.bin".into()).unwrap(), "x");
        assert_eq!(d.add(Role::Input, None, "..".into()).unwrap(), "project");
        assert!(d.covers(&RelPath::new("data/raw.csv").unwrap()));
    }

    #[test]
    fn a_collision_prints_the_fix() {
        let mut d = declared();
        d.add(Role::Input, None, "a/x.csv".into()).unwrap();
        let err = d.add(Role::Input, None, "b/x.csv".into()).unwrap_err();
        assert_eq!(err.to_string(), "two inputs have the key `x`: sub/a/x.csv and sub/b/x.csv");
        assert_eq!(err.hint().as_deref(), Some("give one of them another key: -i x_2=b/x.csv"));
    }

    #[test]
    fn a_set_covers_its_files_and_lies_nowhere() {
        let mut d = declared();
        let file = |path: &str| Place::Inside(RelPath::new(path).unwrap());
        d.add_files("all", file("data"), vec![file("data/a.csv"), file("data/b.csv")], "all=data/*.csv".into())
            .unwrap();
        assert!(d.covers(&RelPath::new("data/a.csv").unwrap()));
        assert!(!d.covers(&RelPath::new("data/code.py").unwrap()));
        assert_eq!(d.find(&file("data")), None);
        assert_eq!(d.find(&file("data/a.csv")), None);
        assert!(matches!(d.add(Role::Input, Some("ALL"), "x".into()), Err(Error::Variables { .. })));
    }

    #[test]
    fn variables_and_output_paths_can_not_collide() {
        let mut d = declared();
        d.add(Role::Input, Some("a-b"), "x".into()).unwrap();
        assert!(matches!(d.add(Role::Input, Some("a_b"), "y".into()), Err(Error::Variables { .. })));
        d.add(Role::Output, Some("A"), "z".into()).unwrap();
        assert!(matches!(d.add(Role::Output, Some("a"), "w".into()), Err(Error::Variables { .. })));
        assert!(matches!(d.add(Role::Output, Some("b"), "./q/../z".into()), Err(Error::SamePath { .. })));
    }
}

//! Runs inside of a run tell it of themselves, so that its record can name them.

use std::collections::BTreeMap;

use super::{Live, Running};
use crate::hash::Id;
use crate::path::is_name;

/// The folder in a run's own that its children leave their names in.
const CHILDREN: &str = "children";

impl Live {
    /// Tells the live run `parent` that `run` is on record as `object`. Nothing happens if it is not live here: the child names its
    /// parent either way.
    pub fn note_child_run(&self, parent: &str, run: &str, object: Id) {
        let Ok(dir) = self.dir(parent) else { return };
        if !is_name(run.as_bytes()) || !self.is_folder(&dir) {
            return;
        }
        let dir = dir.join(CHILDREN);
        if self.fs.make_dirs(&dir).is_ok() {
            let _ = self.fs.replace(&dir.join(run), object.to_string().as_bytes(), false);
        }
    }

    /// The runs that told the live run `run` of themselves: run id and object.
    pub fn children(&self, run: &str) -> BTreeMap<String, Id> {
        let Ok(dir) = self.dir(run).map(|dir| dir.join(CHILDREN)) else { return BTreeMap::new() };
        let names = self.fs.names(&dir).unwrap_or_default();
        let object = |name: &str| {
            let bytes = self.fs.read(&dir.join(name)).ok().flatten()?;
            std::str::from_utf8(&bytes).ok()?.parse().ok()
        };
        names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter_map(|name| Some((name.clone(), object(&name)?)))
            .collect()
    }
}

impl Running {
    /// The runs that told of themselves: run id and object.
    pub fn children(&self) -> BTreeMap<String, Id> {
        self.live.children(&self.intent.run)
    }
}

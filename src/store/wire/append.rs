//! What may be added by somebody who may do nothing else.

use std::sync::Arc;

use crate::refs::key;
use crate::store::backend::{Backend, Folder};
use crate::store::entry::{self, Checkpoint, Entry};
use crate::store::{Store, World, fold};

/// The refs that move: anybody who may add may move them.
const MOVING: [&[u8]; 3] = [b"scenarios", b"tags", b"outpaths"];

/// What is to become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It may have its name.
    Fine,
    /// Somebody else was faster.
    Late,
}

/// Looks at every file before it gets its name.
#[derive(Debug)]
pub(super) struct Guard {
    place: Arc<dyn Backend>,
    world: World,
}

impl Guard {
    pub(super) fn new(place: Arc<dyn Backend>, world: World) -> Self {
        Self { place, world }
    }

    /// Whether the file may be added; the error says why not. `bytes` are there unless it is too long for an entry.
    pub(super) fn check(&self, folder: Folder, name: &str, bytes: Option<&[u8]>) -> Result<Ruling, String> {
        match folder {
            Folder::Packs if Folder::Packs.parse(name).is_some() => Ok(Ruling::Fine),
            Folder::Log => {
                let number = entry::parse_name(name).ok_or("no entry has that name")?;
                let bytes = bytes.ok_or("an entry is not as long as that")?;
                let (entry, _) = Entry::decode(bytes, number).map_err(|err| err.to_string())?;
                self.entry(&entry)
            }
            _ => Err(format!("only packs and entries are added to this store, not {folder}/{name}")),
        }
    }

    fn entry(&self, entry: &Entry) -> Result<Ruling, String> {
        if entry.n == 0 {
            // The beginning of a store: an empty state.
            let is_first = entry.checkpoint == Some(Checkpoint::default());
            return if is_first { Ok(Ruling::Fine) } else { Err("a store begins with nothing in it".to_owned()) };
        }
        if entry.is_fold() || !entry.condemn.is_empty() || !entry.remove.is_empty() {
            return Err("nothing is removed from a store that is only added to".to_owned());
        }
        let store = Store::open(Arc::clone(&self.place), &self.world).map_err(|err| err.to_string())?;
        let snapshot = store.snapshot().map_err(|err| err.to_string())?;
        if entry.n <= snapshot.tip() {
            return Ok(Ruling::Late);
        }
        if entry.n != snapshot.tip() + 1 || entry.prev != snapshot.inner.log.tip_digest {
            return Err("the entry does not follow the newest one".to_owned());
        }
        if let Some(feature) = entry.features.iter().find(|feature| !snapshot.state().features.contains(feature)) {
            return Err(format!("the feature `{feature}` is not turned on from here"));
        }
        for edit in &entry.refs {
            let old = snapshot.get_ref(&edit.0).map_err(|err| err.to_string())?;
            let moves = key::components(&edit.0)
                .is_some_and(|parts| parts.first().is_some_and(|first| MOVING.contains(&first.as_slice())));
            match (&edit.2, old) {
                (None, _) => return Err(format!("the ref `{}` is not deleted from here", key::shown(&edit.0))),
                (Some(new), Some(old)) if old != new.as_slice() && !moves => {
                    return Err(format!("the ref `{}` is there and does not change", key::shown(&edit.0)));
                }
                _ => {}
            }
        }
        Ok(Ruling::Fine)
    }

    /// Folds the log if it is time to, since whoever only adds may not.
    pub(super) fn tidy(&self) {
        let Ok(snapshot) = Store::open(Arc::clone(&self.place), &self.world).and_then(|store| store.snapshot()) else {
            return;
        };
        if fold::is_due(&snapshot) {
            // The next one tries again.
            let _ = fold::fold(&snapshot, "serve");
        }
    }
}

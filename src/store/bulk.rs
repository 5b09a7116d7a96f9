//! Reading many records at once: where they lie is taken from one walk through the index of each pack, instead of a search through all packs
//! for each of them.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::backend::Folder;
use super::error::Error;
use super::pack::{self, PackRecord};
use super::snapshot::{File, Snapshot};
use super::sorted::SortedFile;
use crate::hash::Id;
use crate::object::{AccessError, Kind, Source};

/// Where the records of some kinds lie in the packs of a snapshot.
///
/// Only a shortcut: what is not in it, or can't be read where it says, is searched for as always.
#[derive(Debug)]
pub struct Whereabouts<'a> {
    snapshot: &'a Snapshot,
    files: Vec<Arc<SortedFile>>,
    places: HashMap<Id, (u32, PackRecord)>,
}

impl Snapshot {
    /// Finds out where all objects of these kinds lie. Pays where a good part of them will be read.
    ///
    /// # Errors
    /// When the store can't be read. Packs that are damaged are passed over.
    pub fn whereabouts(&self, kinds: &[Kind]) -> Result<Whereabouts<'_>, Error> {
        let mut files = Vec::new();
        for row in &self.state().packs {
            // What moved or is lost is searched for, record by record.
            if let File::Here(file) = self.file(Folder::Packs, &row.name())? {
                files.push(file);
            }
        }
        let found: Vec<Vec<(Id, PackRecord)>> = files
            .par_iter()
            .map(|file| {
                let mut here = Vec::new();
                // As far as its index can be read.
                let _ = pack::for_each(
                    file,
                    &mut |id, record| {
                        if kinds.contains(&record.kind) && !record.is_in_pieces() {
                            here.push((id, record));
                        }
                        Ok(())
                    },
                    &|what| what,
                );
                here
            })
            .collect();
        let mut places = HashMap::with_capacity(found.iter().map(Vec::len).sum());
        for (at, here) in found.into_iter().enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            places.extend(here.into_iter().map(|(id, record)| (id, (at, record))));
        }
        Ok(Whereabouts { snapshot: self, files, places })
    }
}

impl Whereabouts<'_> {
    /// The bytes of an object, verified, as [`Source::read`] of the snapshot gives them.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub fn read(&self, id: &Id) -> Result<Option<(Kind, Vec<u8>)>, AccessError> {
        if let Some((at, record)) = self.places.get(id)
            && let Some(file) = self.files.get(*at as usize)
            && let Ok(bytes) = pack::read(file, id, record)
        {
            return Ok(Some((record.kind.clone(), bytes)));
        }
        self.snapshot.read(id)
    }
}

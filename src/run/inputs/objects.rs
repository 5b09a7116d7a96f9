//! Folders among the inputs as objects, for who tells what differs.

use std::collections::HashMap;

use super::ReadyInput;
use crate::hash::Id;
use crate::object::recipe::Content;
use crate::object::{AccessError, Kind, Sink, Source};
use crate::run::prepare::Prepared;
use crate::run::session::Session;
use crate::store::Snapshot;
use crate::worktree::{self, CaptureOptions};

/// Takes tree objects only; of everything else it says that it has it, so that no file is read.
#[derive(Default)]
struct TreesOnly(std::sync::Mutex<HashMap<Id, Vec<u8>>>);

impl Sink for TreesOnly {
    fn has(&self, _: &Id) -> Result<bool, AccessError> {
        Ok(true)
    }

    fn put(&self, kind: &Kind, id: &Id, bytes: &[u8]) -> Result<(), AccessError> {
        if *kind == Kind::TREE {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(*id, bytes.to_vec());
        }
        Ok(())
    }

    fn put_blob(&self, _: &Id, _: u64, _: &mut dyn std::io::Read) -> Result<(), AccessError> {
        Ok(())
    }
}

/// Objects of what a run is given that the store may not have yet, so that a miss can name the files and values that differ: the folders
/// among its inputs, and its folder of configuration.
pub(in crate::run) struct Objects<'a, 's> {
    session: &'a Session<'s>,
    prepared: &'a Prepared,
    trees: HashMap<Id, Vec<u8>>,
}

impl<'a, 's> Objects<'a, 's> {
    /// Lists the folders that have to be listed again.
    pub(in crate::run) fn of(session: &'a Session<'s>, snapshot: &Snapshot, prepared: &'a Prepared) -> Self {
        let sink = TreesOnly::default();
        let mut trees = HashMap::new();
        for input in prepared.inputs.values() {
            let Content::Tree(id) = input.captured.content else { continue };
            if let Some(set) = &input.set {
                trees.extend(set.trees.iter().cloned());
            } else if !input.is_to_be_fetched && snapshot.header(&id).ok().flatten().is_none() {
                // What can't be listed again is told of without its files.
                let options = CaptureOptions { every_tree: true, ..CaptureOptions::default() };
                let _ = worktree::capture(&session.worktree(), &input.place, &options, Some(&sink));
            }
        }
        trees.extend(sink.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
        Self { session, prepared, trees }
    }

    /// Whether having them takes a look at what lies in the project: at folders, whatever their size.
    pub(in crate::run) fn look_at_files(prepared: &Prepared) -> bool {
        let is_folder = |input: &ReadyInput| matches!(input.captured.content, Content::Tree(_));
        prepared.config_folder.is_some() || prepared.inputs.values().any(is_folder)
    }

    /// One of them.
    pub(in crate::run) fn get(&self, wanted: &Id) -> Option<Vec<u8>> {
        self.trees.get(wanted).cloned().or_else(|| {
            let part = self.prepared.config_folder.as_ref()?;
            part.object(wanted).or_else(|| part.lying(self.session, wanted))
        })
    }
}

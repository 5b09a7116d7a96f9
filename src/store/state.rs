//! The state that a log describes, as a pure function of its entries.

use super::backend::Folder;
use super::entry::{Checkpoint, Entry, Gone};
use crate::hash::Id;

/// Features of the format that this prov knows; an entry may turn them on.
pub(super) const KNOWN_FEATURES: [&str; 1] = [super::scrub::FEATURE];

impl Checkpoint {
    /// Applies entry `n` to what its entries before it have made. Refs are kept apart (see `Snapshot`).
    pub(super) fn apply(&mut self, n: u64, entry: &Entry) {
        for pack in &entry.packs {
            let name = pack.name();
            if !self.has_pack(&name) && !self.is_gone(Folder::Packs, &name) && !self.condemned.contains_key(&name) {
                self.packs.push(*pack);
            }
        }
        for name in &entry.condemn {
            // Names of packs that no entry has named yet too: then none ever will.
            if !self.is_gone(Folder::Packs, name) {
                self.condemned.entry(*name).or_insert(n);
            }
        }
        for name in &entry.remove {
            self.remove_pack(name);
        }
        for feature in &entry.features {
            if let Err(at) = self.features.binary_search(feature) {
                self.features.insert(at, feature.clone());
            }
        }
    }

    /// Whether the pack belongs to the state, condemned or not.
    pub fn has_pack(&self, name: &Id) -> bool {
        self.packs.iter().any(|pack| pack.name() == *name)
    }

    /// Whether something new may rely on the pack.
    pub fn is_live(&self, name: &Id) -> bool {
        self.has_pack(name) && !self.condemned.contains_key(name)
    }

    /// Whether the file left the state and may still lie around.
    pub fn is_gone(&self, folder: Folder, name: &Id) -> bool {
        self.gone.binary_search(&Gone(folder, *name)).is_ok()
    }

    /// Whether the file belongs to the state.
    pub fn has_file(&self, folder: Folder, name: &Id) -> bool {
        match folder {
            Folder::Packs => self.has_pack(name),
            Folder::Tables => self.tables.iter().any(|row| row.name() == *name),
            Folder::History => self.history.iter().any(|row| row.name() == *name),
            Folder::Log | Folder::Tmp | Folder::Quarantine => false,
        }
    }

    pub(super) fn remove_pack(&mut self, name: &Id) {
        if self.has_pack(name) || self.condemned.contains_key(name) {
            self.packs.retain(|pack| pack.name() != *name);
            self.condemned.remove(name);
            self.add_gone(Folder::Packs, *name);
        }
    }

    pub(super) fn add_gone(&mut self, folder: Folder, name: Id) {
        let gone = Gone(folder, name);
        if let Err(at) = self.gone.binary_search(&gone) {
            self.gone.insert(at, gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Micros;
    use crate::hash::blob;
    use crate::store::entry::{Class, OpId, PackRow};

    fn entry(packs: &[Id], condemn: &[Id], remove: &[Id]) -> Entry {
        Entry {
            n: 1,
            prev: Id::ZERO,
            op: OpId::from_bytes([0; 16]),
            at: Micros(0),
            by: String::new(),
            host: String::new(),
            cmd: String::new(),
            objects: vec![],
            packs: packs.iter().map(|&name| PackRow(name, Class::Records, 0, 1, 1)).collect(),
            rely: vec![],
            condemn: condemn.to_vec(),
            remove: remove.to_vec(),
            refs: vec![],
            features: vec!["b".into(), "a".into()],
            checkpoint: None,
        }
    }

    #[test]
    fn packs_come_are_condemned_and_go() {
        let (a, b) = (blob(b"a"), blob(b"b"));
        let mut state = Checkpoint::default();
        state.apply(1, &entry(&[a, b], &[], &[]));
        assert!(state.is_live(&a) && state.is_live(&b));
        state.apply(2, &entry(&[], &[a], &[]));
        state.apply(3, &entry(&[], &[a], &[]));
        assert!(state.has_pack(&a) && !state.is_live(&a));
        assert_eq!(state.condemned[&a], 2);
        state.apply(4, &entry(&[], &[], &[a]));
        assert!(!state.has_pack(&a) && state.is_gone(Folder::Packs, &a));
        state.apply(5, &entry(&[a], &[], &[]));
        assert!(!state.has_pack(&a), "a name that went never comes back");
        assert_eq!(state.features, ["a", "b"]);
    }
}

//! What is true, as somebody knows who sees every entry land: the plain model that the store is held against.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::hash::Id;
use crate::store::entry::{Entry, Expect};

/// Refs by key.
pub(super) type Refs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The log as it should be read, and what was promised.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// The refs after each entry.
    pub(super) refs: Vec<Refs>,
    digests: Vec<Id>,
    ops: HashMap<[u8; 16], u64>,
    /// Operations that were acknowledged, with the numbers of their entries.
    acked: BTreeMap<[u8; 16], u64>,
    /// The bytes behind ids.
    pub(super) contents: BTreeMap<Id, Vec<u8>>,
    /// Expectations that edits name are not looked at: the rule was left out of the store, and only its effect counts.
    pub(super) folds: u64,
}

impl Truth {
    /// The number of the newest entry that counts.
    pub(super) fn tip(&self) -> u64 {
        (self.refs.len() as u64).saturating_sub(1)
    }

    pub(super) fn now(&self) -> &Refs {
        &self.refs[self.refs.len() - 1]
    }

    /// A log entry came to be. The error says which promise is broken.
    pub(super) fn linked(&mut self, number: u64, bytes: &[u8]) -> Result<(), String> {
        if number < self.refs.len() as u64 {
            // Void: a writer that was frozen while its number was folded away.
            return Ok(());
        }
        if number > self.refs.len() as u64 {
            return Err(format!("entry {number} leaves a gap above {}", self.tip()));
        }
        let (entry, digest) = Entry::decode(bytes, number).map_err(|err| format!("entry {number}: {err}"))?;
        if let Some(tip) = self.digests.last()
            && entry.prev != *tip
        {
            return Err(format!("entry {number} was not made on top of entry {}", number - 1));
        }
        if let Some(first) = self.ops.insert(entry.op.to_bytes(), number) {
            return Err(format!("the operation of entry {first} landed again in entry {number}"));
        }
        let mut refs = self.refs.last().cloned().unwrap_or_default();
        for edit in &entry.refs {
            let key = edit.0.as_slice();
            let holds = match &edit.1 {
                Expect::Any => true,
                Expect::Absent => !refs.contains_key(key),
                Expect::Is(value) => refs.get(key).is_some_and(|now| now == value),
                Expect::PrefixEmpty => !refs.range(key.to_vec()..).next().is_some_and(|(k, _)| k.starts_with(key)),
            };
            if !holds {
                return Err(format!("entry {number} landed although `{}` is not as it expects", show(key)));
            }
        }
        for edit in &entry.refs {
            match &edit.2 {
                Some(value) => refs.insert(edit.0.to_vec(), value.to_vec()),
                None => refs.remove(edit.0.as_slice()),
            };
        }
        self.folds += u64::from(entry.is_fold());
        self.refs.push(refs);
        self.digests.push(digest);
        Ok(())
    }

    /// A process was told that its operation landed.
    pub(super) fn acknowledged(&mut self, op: [u8; 16], number: u64) -> Result<(), String> {
        match self.ops.get(&op) {
            Some(&landed) if landed == number => {
                self.acked.insert(op, number);
                Ok(())
            }
            Some(landed) => Err(format!("acknowledged in entry {number}, and landed in {landed}")),
            None => Err(format!("acknowledged in entry {number}, which is void or another's")),
        }
    }

    /// Some operation that was acknowledged, and where it landed.
    pub(super) fn some_acked(&self, at: usize) -> Option<([u8; 16], u64)> {
        if self.acked.is_empty() {
            return None;
        }
        self.acked.iter().nth(at % self.acked.len()).map(|(op, number)| (*op, *number))
    }

    /// Power was lost: nothing above `newest` is left. Says what was acknowledged and is gone.
    pub(super) fn cut_to(&mut self, newest: u64) -> Option<String> {
        let keep = usize::try_from(newest).unwrap_or(usize::MAX).saturating_add(1);
        self.refs.truncate(keep);
        self.digests.truncate(keep);
        self.ops.retain(|_, number| *number <= newest);
        let lost = self.acked.values().find(|number| **number > newest).copied();
        lost.map(|number| format!("entry {number} was acknowledged and is lost with the power"))
    }

    /// Objects that some ref names in every state from `first` to the newest.
    pub(super) fn named_since(&self, first: u64) -> BTreeSet<Id> {
        let first = usize::try_from(first).unwrap_or(0).min(self.refs.len() - 1);
        let mut states = self.refs[first..].iter().map(targets);
        let named = states.next().unwrap_or_default();
        states.fold(named, |named, next| named.intersection(&next).copied().collect())
    }
}

/// The objects that refs name.
pub(super) fn targets(refs: &Refs) -> BTreeSet<Id> {
    refs.iter().filter_map(|(key, value)| target(key, value)).collect()
}

/// The object that a ref names.
pub(super) fn target(key: &[u8], value: &[u8]) -> Option<Id> {
    if key.starts_with(b"run/") { Id::from_bytes(value) } else { None }
}

pub(super) fn show(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

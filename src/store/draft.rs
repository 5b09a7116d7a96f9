//! What a transaction is to do.

use std::fmt;
use std::sync::Arc;

use super::entry::Expect;
use super::intake::Collected;
use crate::hash::Id;
use crate::object::{AccessError, Sink};

/// Stores objects again that were relied on and have gone meanwhile.
pub trait Restore: Send + Sync + fmt::Debug {
    /// Puts the object `id` into `sink`, e.g. from the file it was read from; `false` if that is not possible.
    ///
    /// # Errors
    /// When reading or storing fails.
    fn restore(&self, id: &Id, sink: &dyn Sink) -> Result<bool, AccessError>;
}

/// A change of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefEdit {
    /// The ref.
    pub key: Vec<u8>,
    /// What it must be before.
    pub expect: Expect,
    /// What it is after; `None`: not there.
    pub new: Option<Vec<u8>>,
}

impl RefEdit {
    /// Sets a ref, whatever it was.
    pub fn set(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { key, expect: Expect::Any, new: Some(value) }
    }

    /// Creates a ref that must not be there.
    pub fn create(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { key, expect: Expect::Absent, new: Some(value) }
    }

    /// Moves a ref from the value it must have.
    pub fn moved(key: Vec<u8>, old: Vec<u8>, new: Vec<u8>) -> Self {
        Self { key, expect: Expect::Is(old), new: Some(new) }
    }

    /// Deletes a ref that must have a value.
    pub fn delete(key: Vec<u8>, old: Vec<u8>) -> Self {
        Self { key, expect: Expect::Is(old), new: None }
    }
}

/// A transaction to be published.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// What was stored for it.
    pub collected: Option<Arc<Collected>>,
    /// Changes of refs, at most one for a key.
    pub edits: Vec<RefEdit>,
    /// Further objects that must be in the store: they are looked up, and the transaction fails without them.
    pub relies_on: Vec<Id>,
    /// Packs with further such objects: the transaction fails with [`Error::Outdated`](super::Error::Outdated) if one is no pack to rely
    /// on any more.
    pub relies_on_packs: Vec<Id>,
    /// Packs that nothing new may rely on from here.
    pub condemn: Vec<Id>,
    /// Condemned packs that leave the state.
    pub remove: Vec<Id>,
    /// Features turned on.
    pub features: Vec<String>,
    /// Asked for objects that were relied on and have gone.
    pub restore: Option<Arc<dyn Restore>>,
}

/// What came of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The transaction landed, in the entry with this number; it is durable.
    Done {
        /// The entry.
        number: u64,
    },
    /// The operation had landed before, in the entry with this number; nothing was done.
    Already {
        /// The entry.
        number: u64,
    },
    /// There was nothing to do.
    Nothing,
}

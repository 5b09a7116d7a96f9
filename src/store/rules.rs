//! Numbers and rules of the protocol that a simulated world may change: smaller numbers, so that folds and merges come early, and rules
//! left out on purpose, to see that it notices. In an ordinary build all of this is constant and costs nothing.

#[cfg(any(test, feature = "simulate"))]
use std::collections::BTreeSet;

use super::merge::Manner;

/// A rule of the protocol (`docs/design/0001-store-protocol.md`) that can be left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(any(test, feature = "simulate")), expect(unreachable_pub, reason = "named by the simulated world only"))]
pub enum Rule {
    /// An operation that is in the state is not published again.
    OpIdLookedUp,
    /// Operations that were folded away are looked for in history.
    OpIdInHistory,
    /// A snapshot is listed again after its last entry was read.
    SnapshotListedAgain,
    /// A win counts only once a listing made after it says so.
    WinListed,
    /// Whoever hears that the number was taken looks whether it was taken by itself.
    LossListed,
    /// The listing that decides must show the checkpoint that the attempt stood on.
    BaseShown,
    /// What a fold above the number does not hold is void.
    VoidBelowFold,
    /// Expectations are checked on every snapshot anew.
    ExpectationChecked,
    /// What is relied on is looked for on every snapshot anew.
    RelianceChecked,
    /// Nothing new relies on a condemned pack.
    CondemnedShunned,
    /// The file of an added pack is there, and its name neither condemned nor gone.
    AddedPackChecked,
    /// No two files have one name.
    NamesFresh,
    /// Covered entries are unlinked from the oldest on.
    AscendingUnlink,
    /// A fold must have landed before what it covers is unlinked.
    FoldLanded,
    /// Packs that were merged are condemned first, and removed by a later fold.
    CondemnedFirst,
    /// History holds a copy of the checkpoint.
    CheckpointCopied,
    /// A deletion is kept while an older table may hold the ref.
    DeletionKept,
}

/// The rules and numbers that a store goes by.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    #[cfg(any(test, feature = "simulate"))]
    changed: Option<Changed>,
}

/// What a simulated world changes.
#[cfg(any(test, feature = "simulate"))]
#[derive(Debug, Clone)]
pub(super) struct Changed {
    /// Entries above the checkpoint at which the next writer folds.
    pub(super) fold_every: u64,
    /// How files are chosen that are merged.
    pub(super) manner: Manner,
    /// Bytes of objects that go into an entry.
    pub(super) inline_max: usize,
    /// Bytes of a blob from which on it is stored in pieces.
    pub(super) whole_max: u64,
    /// Rules that are left out.
    pub(super) without: BTreeSet<Rule>,
}

#[cfg(any(test, feature = "simulate"))]
impl Rules {
    /// The protocol, changed.
    pub(super) fn changed(changed: Changed) -> Self {
        Self { changed: Some(changed) }
    }

    pub(super) fn fold_every(&self) -> u64 {
        self.changed.as_ref().map_or(super::fold::FOLD_EVERY, |changed| changed.fold_every)
    }

    pub(super) fn manner(&self) -> Manner {
        self.changed.as_ref().map_or(super::merge::MANNER, |changed| changed.manner)
    }

    pub(super) fn inline_max(&self) -> usize {
        self.changed.as_ref().map_or(super::entry::INLINE_MAX, |changed| changed.inline_max)
    }

    pub(super) fn whole_max(&self) -> u64 {
        self.changed.as_ref().map_or(super::intake::WHOLE_MAX, |changed| changed.whole_max)
    }

    /// Where content is cut. In a simulated world after a byte that is divisible by 16, so that it takes few bytes to have many pieces.
    pub(super) fn cut(&self, bytes: &[u8], is_last: bool) -> Vec<std::ops::Range<usize>> {
        const MOST: usize = 64;
        if self.changed.is_none() {
            return super::cut::pieces(bytes, is_last);
        }
        let (mut pieces, mut start) = (Vec::new(), 0);
        while start < bytes.len() {
            let rest = &bytes[start..];
            if rest.len() < MOST && !is_last {
                break;
            }
            let end = rest.iter().take(MOST).skip(8).position(|byte| byte % 16 == 0).map_or(MOST, |at| at + 9);
            let end = start + end.min(rest.len());
            pieces.push(start..end);
            start = end;
        }
        pieces
    }

    /// Whether everything is done by one thread: a scheduler knows no other ones.
    pub(super) fn is_sequential(&self) -> bool {
        self.changed.is_some()
    }

    pub(super) fn keep(&self, rule: Rule) -> bool {
        self.changed.as_ref().is_none_or(|changed| !changed.without.contains(&rule))
    }
}

#[cfg(not(any(test, feature = "simulate")))]
#[expect(clippy::unused_self, reason = "the rules are constant here")]
impl Rules {
    /// Entries above the checkpoint at which the next writer folds.
    pub(super) const fn fold_every(&self) -> u64 {
        super::fold::FOLD_EVERY
    }

    /// How files are chosen that are merged.
    pub(super) const fn manner(&self) -> Manner {
        super::merge::MANNER
    }

    /// Bytes of objects that go into an entry at most.
    pub(super) const fn inline_max(&self) -> usize {
        super::entry::INLINE_MAX
    }

    /// Bytes of a blob from which on it is stored in pieces.
    pub(super) const fn whole_max(&self) -> u64 {
        super::intake::WHOLE_MAX
    }

    /// Where content is cut.
    pub(super) fn cut(&self, bytes: &[u8], is_last: bool) -> Vec<std::ops::Range<usize>> {
        super::cut::pieces(bytes, is_last)
    }

    /// Whether everything is done by one thread.
    pub(super) const fn is_sequential(&self) -> bool {
        false
    }

    /// Whether the rule holds.
    pub(super) const fn keep(&self, _rule: Rule) -> bool {
        true
    }
}

//! A simulated world: the store's own code, run by several processes on a disk in memory, under a scheduler that picks the worst moments.
//!
//! Everything that happens is drawn from one seed, so whatever goes wrong can be seen again ([`run`] with the same seed). The disk tells
//! listings loosely, tells links wrongly, fails, and loses power; processes freeze for long, are killed, and open the store anew. What they
//! see and are told is held against a plain model ([`truth`]). `tests/simulate` runs this by the thousand; `docs/reliability.md` says what
//! was shown. Compiled only for tests and with the feature `simulate`.

mod actor;
mod chance;
mod disk;
pub mod fuzz;
mod play;
mod truth;
mod world;

pub use disk::Flaw;
pub use play::{Failure, Limits, Seen, run};

pub use super::rules::Rule;
use std::collections::BTreeSet;

/// Something that the store leaves out on purpose, to see that the world notices.
#[derive(Debug, Clone, Default)]
pub struct Mutation {
    /// Rules of the protocol.
    pub rules: BTreeSet<Rule>,
    /// Effects on the disk.
    pub flaws: BTreeSet<Flaw>,
}

impl Mutation {
    /// The store as it is.
    pub fn none() -> Self {
        Self::default()
    }

    /// The planted bugs, each with the name under which it is known.
    pub fn all() -> Vec<(&'static str, Self)> {
        let rule = |rules: &[Rule]| Self { rules: rules.iter().copied().collect(), flaws: BTreeSet::new() };
        let flaw = |flaw: Flaw| Self { rules: BTreeSet::new(), flaws: BTreeSet::from([flaw]) };
        vec![
            ("files are not flushed", flaw(Flaw::FilesNotFlushed)),
            ("the folders of packs, tables and history are not flushed", flaw(Flaw::FoldersNotFlushed)),
            ("the log's folder is not flushed", flaw(Flaw::LogNotFlushed)),
            ("the entry comes before its pack", flaw(Flaw::EntryFirst)),
            ("an entry takes another's place", flaw(Flaw::LinkReplaces)),
            ("operation ids are ignored", rule(&[Rule::OpIdLookedUp])),
            ("operation ids are not looked for in history", rule(&[Rule::OpIdInHistory])),
            ("a snapshot is not listed again", rule(&[Rule::SnapshotListedAgain])),
            ("a win is not verified by a listing", rule(&[Rule::WinListed])),
            ("a loss is believed", rule(&[Rule::LossListed])),
            ("entries below a fold are not void", rule(&[Rule::VoidBelowFold])),
            ("expectations are not checked again", rule(&[Rule::ExpectationChecked])),
            ("reliance is not checked again", rule(&[Rule::RelianceChecked])),
            ("a condemned pack is relied on", rule(&[Rule::CondemnedShunned])),
            ("added packs are not checked", rule(&[Rule::AddedPackChecked])),
            ("names are used again", rule(&[Rule::NamesFresh])),
            ("a fold unlinks before it has landed", rule(&[Rule::FoldLanded])),
            ("merged packs are removed at once", rule(&[Rule::CondemnedFirst])),
            ("the copy of a checkpoint is left out", rule(&[Rule::CheckpointCopied])),
            ("deletions are dropped too early", rule(&[Rule::DeletionKept])),
        ]
    }
}

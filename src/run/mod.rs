//! Runs: from what is asked for to what is on record.
//!
//! [`request`] → [`prepare`] (everything declared is looked at, the recipe is made) → [`lookup`] → on a hit [`hydrate`], on a miss
//! [`execute`] and capture → [`record`] → one transaction ([`publish`]). [`perform`] is that line; [`plan`] stops after the lookup.
//! [`live`] keeps, beside the store, what must survive the death of prov at any moment: who runs what, which output paths are taken,
//! what was printed, and finished runs that still wait to be published. [`settle`] sees to what dead processes left there.

mod clear;
mod code_part;
mod commit;
mod error;
pub mod execute;
pub mod exit;
pub mod group;
pub mod hydrate;
pub mod interrupts;
pub mod live;
pub mod lookup;
mod miss;
pub mod name;
pub mod observer;
mod perform;
pub mod prepare;
pub mod program;
pub mod publish;
mod pump;
mod reap;
pub mod record;
pub mod request;
mod restore;
mod session;
mod settle;
pub mod spool;

use crate::repo::Repo;

pub use clear::{Displaced, clear, keep_safe};
pub use code_part::CodePart;
pub use commit::{CommitOptions, Committed, Item, ItemAction, Staging, add, commit, staged};
pub use error::{Error, chain};
pub use miss::{Nearest, command_line, nearest};
pub use perform::{OutputAction, Performed, Plan, REPLAYED, Surroundings, perform, plan};
pub use publish::Publication;
pub use request::{CacheMode, CodeMode, Declared, OnMissing, Request, RestoreMode};
pub use restore::{Restoration, RestoreOptions, RestoredItem, restore};
pub use session::Session;
pub use settle::{Settled, settle};

/// A transaction of what was collected and edits of refs.
fn draft_of(
    collected: std::sync::Arc<crate::store::Collected>,
    edits: Vec<crate::store::RefEdit>,
) -> crate::store::Draft {
    crate::store::Draft { collected: Some(collected), edits, ..crate::store::Draft::default() }
}

/// The live folder of a project, seen from this process.
pub fn live_folder(repo: &Repo) -> live::Live {
    live::Live::new(repo.fs().clone(), repo.layout().live(), crate::host::Process::current())
}

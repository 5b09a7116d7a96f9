//! Stores that meet: what one has and another one lacks travels, is checked, and becomes visible at once.
//!
//! A remote is a store like any other, in another place. The protocol of the store makes concurrent pushers safe; what is here finds what is
//! missing (`heads`), carries it (`walk`), makes its refs from the records and merges what can be changed on both sides
//! (`transfer`). Nothing from outside is believed: every object is verified by its id, every ref is made from the record it is about.
//! `docs/design/0011-sync.md` tells why.

mod address;
mod bucket;
pub mod bundle;
mod elsewhere;
mod error;
mod evict;
mod heads;
mod meet;
mod merge;
mod packed;
mod place;
mod position;
mod remote;
mod ssh;
mod transfer;
mod walk;
mod web;

pub use address::{Address, SshAddress, redacted};
pub use bucket::{BucketAddress, Keys, Service};
pub use elsewhere::Remotes;
pub use error::Error;
pub use evict::{EvictOptions, EvictReport, Evictable, Stays, evict};
pub use heads::{Selection, projects};
pub use meet::{Options, Report, fetch, push, sync};
pub use place::{Means, Profiles, Reached, Variables, is_occupied, open, open_or_make, open_to_change, store_folder};
pub use remote::{DEFAULT, Remote, add, choose, list, remove};
pub use transfer::{AT_ONCE, Met, Moved};
pub use walk::{Depth, Wrong};

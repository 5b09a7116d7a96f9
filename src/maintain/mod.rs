//! Keeping a store sound and small.

mod complete;
mod fsck;
mod gc;
mod repair;
pub(crate) mod roots;
mod scrub;

pub use complete::unmark_records;
pub use fsck::fsck;
pub use gc::{gc, gc_of, plan_gc, plan_gc_of};
pub use repair::{Repaired, repair};
pub use scrub::scrub;

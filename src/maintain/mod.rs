//! Keeping a store sound and small.

mod fsck;
mod gc;
mod roots;

pub use fsck::fsck;
pub use gc::{gc, plan_gc};

//! Keeping a store sound.

mod fsck;

pub use fsck::fsck;

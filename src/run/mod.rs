//! One execution: the child process, and the live folder of what is not recorded yet.
//!
//! [`execute`] runs a child and reports everything about it. [`live`] keeps, beside the store, what must survive the
//! death of prov at any moment: who runs what, which output paths are taken, what was printed, and finished runs that
//! still wait to be published.

pub mod execute;
pub mod exit;
pub mod group;
pub mod interrupts;
pub mod live;
pub mod observer;
pub mod program;
mod pump;
mod reap;
pub mod spool;

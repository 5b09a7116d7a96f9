//! A store at the other end of a pipe: the operations of a place as framed messages (`docs/format.md`, section 13).
//!
//! [`WireBackend`] asks, [`serve`] answers from a place of its own. Neither believes the other: every length has a limit, names are plain, and the
//! asking side verifies all that it reads, as with any other place. Requests carry numbers, so that many can be under way; writes are not answered
//! one by one.

mod append;
mod client;
mod frame;
mod server;

pub use client::WireBackend;
pub use server::{Mode, serve};

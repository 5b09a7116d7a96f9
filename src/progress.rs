//! Progress and cancellation of long operations: parameters, never global state.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Hears how far a long operation has come. All methods may be called from several threads.
pub trait Progress: Send + Sync + fmt::Debug {
    /// A new phase begins; `total` is its size in `unit`s if known.
    fn begin(&self, _phase: &str, _total: Option<u64>, _unit: Unit) {}
    /// `n` more units are done.
    fn add(&self, _n: u64) {}
    /// The phase is over.
    fn end(&self) {}
}

/// What a phase counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Files, objects, runs.
    Items,
    /// Bytes.
    Bytes,
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}

/// A request to stop, raised once and seen by every loop that checks it.
#[derive(Debug, Default)]
pub struct Cancel {
    own: AtomicBool,
    also: Vec<Arc<AtomicBool>>,
}

impl Cancel {
    /// Not raised yet.
    pub const fn new() -> Self {
        Self { own: AtomicBool::new(false), also: Vec::new() }
    }

    /// One that is raised as well while any of these flags is set.
    pub const fn watching(flags: Vec<Arc<AtomicBool>>) -> Self {
        Self { own: AtomicBool::new(false), also: flags }
    }

    /// Asks everyone who holds this to stop.
    pub fn raise(&self) {
        self.own.store(true, Ordering::SeqCst);
    }

    /// Whether stopping was asked for.
    pub fn is_raised(&self) -> bool {
        self.own.load(Ordering::SeqCst) || self.also.iter().any(|flag| flag.load(Ordering::SeqCst))
    }
}

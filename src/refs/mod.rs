//! The keys of refs: lists of components that sort component by component (`docs/format.md`, section 10).

pub mod key;

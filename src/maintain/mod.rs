//! Keeping a store sound.

//! Content and results that other stores have: asked for when they are missing here, and never before.

use std::fmt;

use crate::hash::Id;
use crate::object::recipe::Content;

/// Other stores. What could not be had is told by whoever asks them; for a run it is as if they had nothing.
pub trait Elsewhere: fmt::Debug + Sync {
    /// Brings contents here, as far as they can be had. Whether the store has more now than before.
    fn bring(&self, contents: &[Content]) -> bool;

    /// Looks for an outcome of a recipe, and brings its record and its outputs. Whether the store has more now than before.
    fn consult(&self, recipe: &Id) -> bool;
}

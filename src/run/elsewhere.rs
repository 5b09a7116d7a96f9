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

    /// Says who would give what a run of this recipe is about to compute, without bringing anything: the result itself, or the contents
    /// `lost` of a result that is known here.
    fn offer(&self, recipe: &Id, lost: &[Content]) -> Option<Offer>;
}

/// What another store would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub remote: String,
    /// The run whose result it has and that is not known here; `None` if it has the contents of one that is.
    pub run: Option<String>,
    /// How long that run had taken.
    pub took_us: Option<u64>,
}

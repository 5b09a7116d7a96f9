//! What differs between two runs.

use std::collections::BTreeSet;

use bstr::BString;

use super::Error;
use crate::hash::Id;
use crate::object::recipe::Recipe;
use crate::object::run::{Reason, Run};
use crate::object::{Kind, Record, Source};
use crate::recipe::Given;

/// One output of two runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputDifference {
    /// Its key.
    pub key: String,
    /// What the first run made: content id, bytes, path.
    pub before: Option<(Id, u64, BString)>,
    /// What the second run made.
    pub after: Option<(Id, u64, BString)>,
}

/// What differs between two runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The first.
    pub before: Run,
    /// The second.
    pub after: Run,
    /// Parts of the recipe that differ. Empty when they have one recipe, or when one has none.
    pub parts: Vec<Reason>,
    /// Outputs that differ.
    pub outputs: Vec<OutputDifference>,
}

impl Difference {
    /// Whether anything that determines a result, or the result, differs.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.outputs.is_empty() && self.before.status == self.after.status
    }
}

/// Compares what two runs were given as config; `None` if these are of different kinds, as values and a folder are.
///
/// # Errors
/// When a record can't be read.
pub fn diff_configs(
    source: &dyn Source,
    (before, old): (Run, &Given),
    (after, new): (Run, &Given),
) -> Result<Option<Difference>, Error> {
    let failed = std::cell::RefCell::new(None);
    let read = |_: &Kind, id: &Id| match source.read(id) {
        Ok(found) => found.map(|(_, bytes)| bytes),
        Err(err) => {
            failed.borrow_mut().get_or_insert(err);
            None
        }
    };
    let parts = crate::recipe::explain_given(old, new, &read);
    if let Some(err) = failed.into_inner() {
        return Err(err.into());
    }
    Ok(parts.map(|parts| Difference { before, after, parts, outputs: Vec::new() }))
}

/// Compares two runs: what determined them, down to the key of a config and the file of the code, and what came out.
///
/// # Errors
/// When a recipe can't be read.
pub fn diff(source: &dyn Source, before: Run, after: Run) -> Result<Difference, Error> {
    let recipe = |run: &Run| -> Result<Option<Recipe>, Error> {
        let Some(id) = run.recipe else { return Ok(None) };
        let Some((_, bytes)) = source.read(&id)? else { return Ok(None) };
        Ok(Some(Recipe::decode(&bytes)?))
    };
    let read = |_: &Kind, id: &Id| source.read(id).ok().flatten().map(|(_, bytes)| bytes);
    let parts = match (recipe(&before)?, recipe(&after)?) {
        (Some(a), Some(b)) if before.recipe != after.recipe => crate::recipe::explain(&a, &b, &read),
        _ => Vec::new(),
    };
    let keys: BTreeSet<&String> = before.outputs.keys().chain(after.outputs.keys()).collect();
    let mut outputs = Vec::new();
    for key in keys {
        let one = |run: &Run| run.outputs.get(key).map(|o| (o.content.id(), o.size, o.path.clone()));
        let (a, b) = (one(&before), one(&after));
        if a.as_ref().map(|(id, ..)| id) != b.as_ref().map(|(id, ..)| id) {
            outputs.push(OutputDifference { key: key.clone(), before: a, after: b });
        }
    }
    Ok(Difference { before, after, parts, outputs })
}

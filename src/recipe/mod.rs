//! Recipes: how what a user typed becomes everything that determines a result, and how two recipes differ.
//!
//! * [`Declared`] holds the declared inputs and outputs by key and knows where they lie;
//! * [`normalise`] takes the paths out of the command's words, [`expand`] puts real ones in for execution;
//! * [`Parts`] assembles the record and gives its id, which is the cache key;
//! * [`explain()`] names the parts in which two recipes differ, [`nearest`] picks the recipe to compare with.
//!
//! Nothing here reads a disk: contents arrive as ids.

mod build;
mod declared;
mod explain;
mod key;
mod members;
mod nearest;
mod normalise;
mod pattern;
mod tree_diff;

pub use build::{Built, Parts, Task};
pub use declared::{Declared, Role, below};
pub use explain::{Given, ReadObject, explain, explain_given};
pub use key::{check_key, check_step, check_task, derive_key, split_declaration, variable_name};
pub use members::Members;
pub use nearest::{Candidate, difference, nearest};
pub use normalise::{Expansion, Normalised, expand, from_here, normalise};
pub use pattern::{Captured, Disagreement, Pattern, Type};

/// Why a recipe can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key can't be used.
    #[error("`{key}` can't be a key: {rule}")]
    Key {
        /// The key, shown.
        key: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A step's name can't be used.
    #[error("`{name}` can't be a step's name: {rule}")]
    Step {
        /// The name, shown.
        name: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Two declarations have one key.
    #[error("two {role}s have the key `{key}`: {first} and {second}")]
    Collision {
        /// `input` or `output`.
        role: Role,
        /// The key.
        key: String,
        /// The path that has it, shown.
        first: String,
        /// The path that would get it, shown.
        second: String,
        /// What to type instead.
        fix: String,
    },
    /// Two keys have one form as an environment variable.
    #[error("the keys `{first}` and `{second}` have one variable, {variable}")]
    Variables {
        /// One key.
        first: String,
        /// The other.
        second: String,
        /// The variable's name.
        variable: String,
    },
    /// One path is declared as two outputs.
    #[error("the outputs `{first}` and `{second}` are the same path {path}")]
    SamePath {
        /// One key.
        first: String,
        /// The other.
        second: String,
        /// The path, shown.
        path: String,
    },
    /// A placeholder names nothing that was declared.
    #[error("`{placeholder}` in the command names nothing that was declared")]
    Placeholder {
        /// The placeholder, shown.
        placeholder: String,
        /// What it could be.
        known: Vec<String>,
    },
    /// A set of files stands inside of a longer word.
    #[error("`{placeholder}` is a set of files and can't be a part of a word")]
    SetInWord {
        /// The placeholder.
        placeholder: String,
    },
    /// A pattern of an output set has no meaning.
    #[error("`{pattern}` can't name the members of a set: {rule}")]
    Members {
        /// The pattern, shown.
        pattern: String,
        /// The rule it breaks.
        rule: String,
    },
    /// The record can't be encoded.
    #[error("the recipe can't be encoded")]
    Encode(#[from] crate::object::Error),
}

impl Error {
    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Collision { fix, .. } => Some(fix.clone()),
            Error::Variables { .. } => Some("give one of them another key: -i KEY=PATH, -o KEY=PATH".to_owned()),
            Error::SamePath { .. } => Some("declare it once".to_owned()),
            Error::Key { .. } => Some("a key has letters, digits, `_`, `-` and `+`".to_owned()),
            Error::Placeholder { known, .. } if known.is_empty() => {
                Some("declare it with -i, -o or -S, or spell the braces otherwise".to_owned())
            }
            Error::Placeholder { known, .. } => Some(format!("known are {}", known.join(", "))),
            Error::SetInWord { placeholder } => {
                Some(format!("write {placeholder} as a word of its own: it becomes one word for each file"))
            }
            Error::Step { .. } | Error::Members { .. } | Error::Encode(_) => None,
        }
    }
}

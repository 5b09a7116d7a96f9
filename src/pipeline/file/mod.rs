//! The pipeline file: prov's own `prov.yaml`, and Otter's configs as they are.
//!
//! One model for both, with the place of everything, so that all that is wrong can be told at once, each with line and column. Nothing is
//! replaced or expanded here.

mod kept;
mod model;
mod options;
mod read;

pub use kept::Kept;
pub(super) use model::names;
pub use model::{Flavour, Named, Pipeline, Run, Spec, Step, TypeDeclaration};
pub use options::{Given, Optioned, Options, Origin};
pub(super) use read::spec_of;
pub use read::{parse, read};

#[cfg(test)]
mod tests;

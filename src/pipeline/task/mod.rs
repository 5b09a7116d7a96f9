//! Tasks: which types there are, and how one is to be executed.

pub mod kinds;
pub mod settings;

pub use kinds::Builtin;
pub use settings::Settings;

//! What goes out: data on standard output, talk on standard error.

#[cfg(feature = "index")]
pub(crate) mod answer;
pub(crate) mod human;
pub(crate) mod json;
mod pager;
mod paint;
mod progress;
pub(crate) mod record;
pub(crate) mod table;
mod ui;

pub(crate) use pager::in_path;
pub(crate) use paint::Painter;
pub(crate) use progress::{Bar, Tasks};
pub(crate) use ui::{Streams, Ui, note};

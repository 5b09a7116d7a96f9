//! Content from the web: one GET, told apart from everything that only looks like content.
//!
//! [`Client::get`] gives the bytes of a URL to a writer, or says that they are what they were ([`Known`]). What it calls content is an answer
//! with status 200 that came whole: its length was announced and reached, or its last chunk was seen. [`to_file`] puts it at a path, never in part.
//!
//! | part | what it does |
//! |---|---|
//! | [`Url`] | which addresses are taken, what of them may be shown and recorded |
//! | [`Client`] | redirects, limits, times, cancelling |
//! | [`Known`] | what an earlier answer said by which a server can tell that nothing changed |
//! | `wire` | the only user of the `ureq` crate; a build without it reports [`Error::NotBuilt`] |
//!
//! Nothing of a URL's credentials is ever in an error, an answer or a [`Known`].

mod answer;
mod client;
mod error;
mod file;
mod known;
mod options;
mod url;
mod wire;

#[cfg(all(test, feature = "http"))]
pub(crate) mod testing;
#[cfg(all(test, feature = "http"))]
mod tests;

pub use answer::{Answer, Got};
pub use client::{Client, Part, Span, Watch};
pub use error::Error;
pub use file::{Saved, to_file};
pub use known::Known;
pub use options::{Options, Proxies};
pub use url::Url;

/// Whether this build can fetch anything.
pub const IS_BUILT: bool = cfg!(feature = "http");

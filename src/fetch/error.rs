//! What can go wrong with a request.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no content. URLs in it are as [`super::Url::shown`] gives them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This build has no client.
    #[error("this build of prov can not fetch anything: it was made without the feature `http`")]
    NotBuilt,
    /// It is no address of the web, or not one that can be taken.
    #[error("`{url}` is no address that prov can fetch: {what}")]
    BadUrl {
        /// What was typed, as far as it may be shown.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// It holds a name, a password or a key.
    #[error("the address of {host} holds credentials ({what}), which would be recorded")]
    Credentials {
        /// The host.
        host: String,
        /// Where in it.
        what: String,
    },
    /// The server says that there is no content.
    #[error("{url}: the server answers {status}{}", reason(*status))]
    Status {
        /// The address.
        url: String,
        /// Its status.
        status: u16,
    },
    /// It led on and on.
    #[error("{url}: more than {limit} redirects")]
    Redirects {
        /// The address that was asked for.
        url: String,
        /// How many are followed.
        limit: u32,
    },
    /// A redirect leads from https to http.
    #[error("{url}: redirects from https to http, to {to}")]
    Downgrade {
        /// The address.
        url: String,
        /// Where it leads.
        to: String,
    },
    /// A redirect leads nowhere.
    #[error("{url}: a redirect that can't be followed: {what}")]
    BadRedirect {
        /// The address.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nobody answers: no such host, no connection, no trust in the certificate.
    #[error("{url}: {what}")]
    Unreachable {
        /// The address.
        url: String,
        /// What happened.
        what: String,
        /// The cause, if the system gave one.
        source: Option<io::Error>,
    },
    /// The answer is no HTTP, or the connection broke.
    #[error("{url}: {what}")]
    Broken {
        /// The address.
        url: String,
        /// What happened.
        what: String,
    },
    /// The answer ended before its end.
    #[error("{url}: the answer broke off after {got} bytes{}", of(*expected))]
    Truncated {
        /// The address.
        url: String,
        /// How many bytes came.
        got: u64,
        /// How many were announced.
        expected: Option<u64>,
    },
    /// Nothing tells whether the answer is whole.
    #[error("{url}: the server does not say how long its answer is, so a part could be taken for the whole")]
    NoLength {
        /// The address.
        url: String,
    },
    /// The answer is packed although nobody asked for it.
    #[error("{url}: the answer is encoded ({encoding}), which was not asked for")]
    Encoded {
        /// The address.
        url: String,
        /// How.
        encoding: String,
    },
    /// It is larger than allowed.
    #[error("{url}: more than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// What is allowed.
        limit: u64,
    },
    /// A part of it was asked for, and what came is another one, or all of it, and too much.
    #[error("{url}: the server gives no parts of files (ranges) as it was asked to")]
    NoRanges {
        /// The address.
        url: String,
    },
    /// It took too long.
    #[error("{url}: {what} within {} s", after.as_secs_f64())]
    TimedOut {
        /// The address.
        url: String,
        /// What did not happen.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server says that nothing changed, though it was not asked so.
    #[error("{url}: the server answers 304 to a request without conditions")]
    NotAsked {
        /// The address.
        url: String,
    },
    /// An option is no good.
    #[error("{what}")]
    Option {
        /// What is wrong with it.
        what: String,
    },
    /// What came can't be written.
    #[error("can't write {}", crate::path::show(path))]
    Write {
        /// Where; empty if only the caller knows.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Stopped by the caller.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Whether another try, or a later one, may fare better.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Truncated { .. } | Self::TimedOut { .. } => true,
            _ => false,
        }
    }

    /// Whether the network or a server is at fault, not what was asked for.
    pub fn is_of_network(&self) -> bool {
        !matches!(
            self,
            Self::NotBuilt
                | Self::BadUrl { .. }
                | Self::Credentials { .. }
                | Self::Option { .. }
                | Self::Write { .. }
                | Self::Cancelled
        )
    }
}

fn of(expected: Option<u64>) -> String {
    expected.map_or_else(String::new, |expected| format!(" of {expected}"))
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => " (bad request)",
        401 => " (it wants a login)",
        403 => " (forbidden)",
        404 => " (not found)",
        407 => " (the proxy wants a login)",
        408 => " (timeout)",
        410 => " (gone)",
        416 => " (range)",
        429 => " (too many requests)",
        500 => " (internal error)",
        502 => " (bad gateway)",
        503 => " (unavailable)",
        504 => " (gateway timeout)",
        _ => "",
    }
}

//! Why the store did not do what it was asked to.

use crate::codec;
use crate::hash::Id;
use crate::object::AccessError;

use super::backend::BackendError;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no store.
    #[error("no store in {place}")]
    NotAStore {
        /// Where one was looked for.
        place: String,
    },
    /// There is a store already.
    #[error("there is a store in {place} already")]
    Exists {
        /// The place.
        place: String,
    },
    /// A newer prov wrote the store.
    #[error("the store in {place} has format {found}, this prov reads up to {supported}")]
    TooNew {
        /// The place.
        place: String,
        /// Its version.
        found: u32,
        /// The newest version understood.
        supported: u32,
    },
    /// The store uses a feature that this prov must not write beside.
    #[error("the store uses the feature `{name}`, which this prov does not know: it can be read, not written")]
    UnknownFeature {
        /// Its name.
        name: String,
    },
    /// A file is damaged so that nothing goes on without it.
    #[error("damaged {file}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// Something is deleted or removed while an entry of the log can't be read.
    #[error("nothing is deleted while {file} is damaged")]
    DamagedLog {
        /// The damaged entry.
        file: String,
    },
    /// A ref does not have the value that the transaction expects.
    #[error("a ref is not as expected: `{}`", crate::path::shown(.key))]
    Expectation {
        /// The ref's key.
        key: Vec<u8>,
    },
    /// Objects that the transaction relies on are gone, and nobody had them to store again.
    #[error("{} objects that were relied on are gone, {} among them", .ids.len(), .ids.first().map(Id::short).unwrap_or_default())]
    ReliedGone {
        /// The objects.
        ids: Vec<Id>,
    },
    /// What was planned does not fit the state of the store any more; plan again.
    #[error("the store changed meanwhile")]
    Outdated,
    /// Something could not be read, and what it leads to must not be deleted.
    #[error("nothing is deleted: {what}")]
    Obstructed {
        /// What can't be read.
        what: String,
    },
    /// The transaction is not one that can be written.
    #[error("not a valid transaction: {what}")]
    Draft {
        /// What is wrong with it.
        what: String,
    },
    /// The log did not hold still for long enough, or what became of an entry could not be found out.
    #[error("the log in {place} did not come to rest; whether the transaction landed is not known")]
    Restless {
        /// The place.
        place: String,
    },
    /// The place failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// An object could not be read or written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A record of the store can't be encoded.
    #[error("a record of the store can't be encoded")]
    Encode(#[from] codec::Error),
}

impl From<Error> for AccessError {
    fn from(err: Error) -> Self {
        match err {
            Error::Access(err) => err,
            err => AccessError::Other(Box::new(err)),
        }
    }
}

/// A file of the store found damaged: named, so that nobody has to search.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Damage {
    /// The file, from the store's folder.
    pub file: String,
    /// A stable word for what is wrong.
    pub code: &'static str,
    /// What is wrong, for people.
    pub what: String,
}

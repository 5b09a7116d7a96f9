//! Why stores did not meet.

use crate::codec;
use crate::hash::Id;
use crate::object::{self, AccessError, Kind};
use crate::{mark, repo, scenario, store};

/// An error of a transfer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no remote to talk to.
    #[error("no remote is configured")]
    NoRemote,
    /// There are several, and none was named.
    #[error("there are several remotes, and none of them is `origin`")]
    WhichRemote {
        /// Their names.
        known: Vec<String>,
    },
    /// There is none of that name.
    #[error("there is no remote `{name}`")]
    UnknownRemote {
        /// The name.
        name: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// A remote of that name is there, and leads elsewhere.
    #[error("there is a remote `{name}` already: {url}")]
    RemoteExists {
        /// The name.
        name: String,
        /// Where it leads.
        url: String,
    },
    /// A remote's name can't be used.
    #[error(
        "`{name}` can't be the name of a remote: letters, digits, `_` and `-`, a letter or digit first, at most 40"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Where a remote is can't be understood, or is not safe to use.
    #[error("`{url}` is no place of a remote: {why}")]
    BadAddress {
        /// As given, without what must not be shown.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The remote's place, or what lies between, failed.
    #[error("remote {remote} can't be used")]
    Remote {
        /// Its place.
        remote: String,
        /// What it said.
        #[source]
        source: Box<store::Error>,
    },
    /// The place can be read and no more.
    #[error("{url} can only be read: a web server only gives files")]
    OnlyReads {
        /// The place.
        url: String,
    },
    /// This build can't talk to such a place.
    #[error("{url} can't be reached by this build of prov: it was made without the feature `{feature}`")]
    NotBuilt {
        /// The place.
        url: String,
        /// What it was made without.
        feature: &'static str,
    },
    /// A file is no bundle, or not a whole one.
    #[error("`{}` can't be used as a bundle: {what}", crate::path::show(.path))]
    NoBundle {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// What is there is about other projects.
    #[error("{place} has nothing of the project `{project}`")]
    OtherProject {
        /// The place.
        place: String,
        /// The project here.
        project: String,
        /// The projects there.
        projects: Vec<String>,
    },
    /// The connection broke.
    #[error("the connection to {remote} broke: {why}")]
    Lost {
        /// The remote's place.
        remote: String,
        /// What was said last.
        why: String,
        /// What was being done.
        #[source]
        source: Box<Error>,
    },
    /// It is the very store that is worked on, or a copy of it: it proves nothing.
    #[error("{place} is this store itself, or a copy with the same id")]
    SameStore {
        /// The place.
        place: String,
    },
    /// There is something else than a store.
    #[error("{place} holds files and is no store")]
    Occupied {
        /// The place.
        place: String,
    },
    /// Something there is not what it says it is. Nothing was taken.
    #[error("{place} is damaged or forged: {what}")]
    Forged {
        /// The place.
        place: String,
        /// What.
        what: String,
    },
    /// A record names something that nobody has.
    #[error("{place} lacks the {kind} {id} that its records need")]
    LinkMissing {
        /// The place.
        place: String,
        /// What kind of object it is.
        kind: Kind,
        /// The object.
        id: Id,
    },
    /// Nothing there has that name.
    #[error("nothing in {place} is named `{text}`")]
    NotFound {
        /// The place.
        place: String,
        /// As given.
        text: String,
    },
    /// More than one run is named so.
    #[error("`{text}` could be several runs in {place}")]
    Ambiguous {
        /// The place.
        place: String,
        /// As given.
        text: String,
        /// The runs.
        candidates: Vec<String>,
    },
    /// More than one project is there.
    #[error("{place} holds several projects")]
    WhichProject {
        /// The place.
        place: String,
        /// Their names.
        projects: Vec<String>,
    },
    /// A setting or a small file can't be read or written.
    #[error("can't {doing} `{}`", crate::path::show(.path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It was stopped.
    #[error("stopped; what was transferred is not sent again")]
    Cancelled,
    /// A store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An object can't be read or written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A record is not what it should be.
    #[error(transparent)]
    Object(#[from] object::Error),
    /// A ref can't be read or written.
    #[error("a ref can't be read or written")]
    Ref(#[from] codec::Error),
    /// Scenarios can't be read.
    #[error(transparent)]
    Scenario(#[from] scenario::Error),
    /// Marks can't be read.
    #[error(transparent)]
    Mark(#[from] mark::Error),
    /// The project can't be opened.
    #[error(transparent)]
    Repo(#[from] repo::Error),
}

impl Error {
    /// The same, said of a remote.
    pub(super) fn at(place: &str) -> impl Fn(store::Error) -> Self + use<'_> {
        move |source| match source {
            store::Error::Access(err) => Self::Access(err),
            source => Self::Remote { remote: place.to_owned(), source: Box::new(source) },
        }
    }
}

//! The immutable values that a store holds, as pure data.
//!
//! A blob is its bytes. Everything else is canonical MessagePack in an envelope `[kind, version, links, body]`
//! (see [`envelope`]); its id is the digest of that envelope under a context that names the kind. `links` say
//! which other objects a record needs, so that walking the graph never needs to understand a body.

pub mod access;
pub mod chunks;
pub mod config;
pub mod envelope;
pub mod inputs;
pub mod kind;
pub mod mark;
mod missed;
pub mod note;
pub mod recipe;
pub mod run;
pub mod run_record;
pub mod scenario;
pub mod tree;
pub mod verdict;

use crate::codec;
use crate::hash::{self, Id};

pub use access::{AccessError, Sink, Source};
pub use envelope::{Envelope, Link, Strength};
pub use kind::Kind;
pub use missed::Missed;
pub use run_record::RunRecord;

/// Why an object can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not what the kind's encoding makes.
    #[error("damaged {kind}: {source}")]
    Damaged {
        /// The kind it should be.
        kind: Kind,
        /// What is wrong with the bytes.
        source: codec::Error,
    },
    /// A rule that goes beyond the encoding is broken.
    #[error("invalid {kind}: {rule}")]
    Invalid {
        /// The kind it should be.
        kind: Kind,
        /// The rule.
        rule: String,
    },
    /// The object is of another kind.
    #[error("expected a {expected}, found a {found}")]
    OtherKind {
        /// What was wanted.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// The object was written by a newer prov.
    #[error("{kind} of version {version}, this prov reads version {supported}")]
    TooNew {
        /// Its kind.
        kind: Kind,
        /// Its version.
        version: u32,
        /// The newest version that is understood.
        supported: u32,
    },
}

/// A record kind with a typed body.
///
/// [`Record::encode`] and [`Record::decode`] are inverse to each other, and `decode` accepts nothing else.
pub trait Record: Sized {
    /// Its kind.
    const KIND: Kind;
    /// The newest version that is read and, if nothing else is said, the one that is written.
    const VERSION: u32 = 1;

    /// The version of this record: each has just one.
    fn version(&self) -> u32 {
        Self::VERSION
    }

    /// The links of this record and its body, whose maps may be in any order.
    fn to_parts(&self) -> Result<(Vec<Link>, Vec<u8>), codec::Error>;

    /// The links of this record alone, in any order.
    ///
    /// # Errors
    /// As [`Record::to_parts`].
    fn links(&self) -> Result<Vec<Link>, codec::Error> {
        self.to_parts().map(|(links, _)| links)
    }

    /// Reads a body back, given the links beside it. The body is canonical: it comes from an [`Envelope`].
    ///
    /// # Errors
    /// When the body is not exactly what [`Record::to_parts`] makes.
    fn from_parts(links: &[Link], body: &[u8]) -> Result<Self, Error>;

    /// The bytes that are stored and hashed.
    ///
    /// # Errors
    /// When a value has no encoding or the record is above the limits.
    fn encode(&self) -> Result<Vec<u8>, Error> {
        let damaged = |source| Error::Damaged { kind: Self::KIND, source };
        let (links, body) = self.to_parts().map_err(damaged)?;
        envelope::encode(Self::KIND, self.version(), links, &body).map_err(damaged)
    }

    /// Reads the stored bytes back.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Record::encode`] makes: of another kind, a newer version, damaged.
    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let envelope = Envelope::parse(bytes).map_err(|source| Error::Damaged { kind: Self::KIND, source })?;
        Self::of_envelope(&envelope)
    }

    /// As [`Record::decode`], of bytes that a store gave: they passed [`verify`] then, and are not looked through for that again.
    ///
    /// # Errors
    /// As [`Record::decode`].
    fn decode_verified(bytes: &[u8]) -> Result<Self, Error> {
        let envelope = Envelope::parse_verified(bytes).map_err(|source| Error::Damaged { kind: Self::KIND, source })?;
        Self::of_envelope(&envelope)
    }

    /// The record in an envelope that was parsed.
    ///
    /// # Errors
    /// As [`Record::decode`].
    fn of_envelope(envelope: &Envelope<'_>) -> Result<Self, Error> {
        let damaged = |source| Error::Damaged { kind: Self::KIND, source };
        if envelope.kind != Self::KIND {
            return Err(Error::OtherKind { expected: Self::KIND, found: envelope.kind.clone() });
        }
        if envelope.version > Self::VERSION {
            return Err(Error::TooNew { kind: Self::KIND, version: envelope.version, supported: Self::VERSION });
        }
        let record = Self::from_parts(&envelope.links, envelope.body)?;
        let invalid = |what: &str| Error::Invalid { kind: Self::KIND, rule: format!("{what} to its body") };
        if record.version() != envelope.version {
            return Err(invalid("its version does not belong"));
        }
        let links = record.links().map_err(damaged)?;
        if envelope::sorted(links) == envelope.links { Ok(record) } else { Err(invalid("its links do not belong")) }
    }
}

/// The id of an object of `kind` whose stored bytes are `bytes`.
pub fn id_of(kind: &Kind, bytes: &[u8]) -> Id {
    if *kind == Kind::BLOB { hash::blob(bytes) } else { hash::derived(&kind.context(), bytes) }
}

/// Checks that `bytes` are what an object of `kind` named `id` must be: the digest, and for records the envelope.
/// Unknown kinds and versions pass when their envelope is sound.
///
/// # Errors
/// What is wrong.
pub fn verify(id: &Id, kind: &Kind, bytes: &[u8]) -> Result<(), Error> {
    let invalid = |rule: &str| Error::Invalid { kind: kind.clone(), rule: rule.to_owned() };
    if id_of(kind, bytes) != *id {
        return Err(invalid("its bytes do not have the digest that is its name"));
    }
    verify_form(kind, bytes)
}

/// As [`verify`], of bytes whose digest is known to be right.
///
/// # Errors
/// What is wrong.
pub fn verify_form(kind: &Kind, bytes: &[u8]) -> Result<(), Error> {
    if *kind != Kind::BLOB {
        let envelope = Envelope::parse(bytes).map_err(|source| Error::Damaged { kind: kind.clone(), source })?;
        if envelope.kind != *kind {
            return Err(Error::OtherKind { expected: kind.clone(), found: envelope.kind });
        }
    }
    Ok(())
}

/// The links of an object's stored bytes; a blob has none.
///
/// # Errors
/// When a record's envelope is not sound.
pub fn links(kind: &Kind, bytes: &[u8]) -> Result<Vec<Link>, Error> {
    if *kind == Kind::BLOB {
        return Ok(Vec::new());
    }
    Envelope::parse(bytes).map(|e| e.links).map_err(|source| Error::Damaged { kind: kind.clone(), source })
}

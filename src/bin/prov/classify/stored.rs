//! What the store and its objects may say.

use prov::object::AccessError;
use prov::{codec, journal, mark, note, object, store, tag, verdict};

use super::{Classify, FSCK};
use crate::error::{Class, Failure};

impl Classify for store::Error {
    fn failure(&self) -> Failure {
        match self {
            store::Error::NotAStore { .. } => Failure::of(Class::NoStore, "no_store", self)
                .hint("create one with `prov init`, or name the right place in `[store] path` or PROV_STORE"),
            store::Error::Exists { .. } => Failure::of(Class::Refused, "store_exists", self),
            store::Error::TooNew { .. } | store::Error::UnknownFeature { .. } => {
                Failure::of(Class::Refused, "newer_format", self).hint("upgrade prov; nothing was changed")
            }
            store::Error::Damaged { .. }
            | store::Error::DamagedLog { .. }
            | store::Error::ReliedGone { .. }
            | store::Error::Obstructed { .. } => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
            store::Error::Expectation { .. } => Failure::of(Class::Failed, "changed_meanwhile", self)
                .hint("another process changed it at the same time; look and try again"),
            store::Error::Outdated => Failure::of(Class::Failed, "changed_meanwhile", self)
                .hint("others record much just now; nothing was lost, try again later"),
            store::Error::Restless { .. } => Failure::of(Class::Failed, "restless", self)
                .hint("`prov log` tells whether it was recorded; if not, try again"),
            store::Error::Access(err) => err.failure(),
            _ => Failure::of(Class::Failed, "store", self),
        }
    }
}

impl Classify for AccessError {
    fn failure(&self) -> Failure {
        match self {
            AccessError::Damaged { .. } => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
            AccessError::Other(err) => match err.downcast_ref::<store::Error>() {
                Some(err) => err.failure(),
                None => Failure::of(Class::Failed, "store", self),
            },
            _ => Failure::of(Class::Failed, "io", self),
        }
    }
}

impl Classify for object::Error {
    fn failure(&self) -> Failure {
        Failure::of(Class::Damaged, "damaged", self).hint(FSCK)
    }
}

impl Classify for codec::Error {
    fn failure(&self) -> Failure {
        Failure::of(Class::Damaged, "damaged", self).hint(FSCK)
    }
}

impl Classify for journal::Error {
    fn failure(&self) -> Failure {
        match self {
            journal::Error::Store(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for mark::Error {
    fn failure(&self) -> Failure {
        match self {
            mark::Error::Store(err) => err.failure(),
            mark::Error::Access(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for note::Error {
    fn failure(&self) -> Failure {
        match self {
            note::Error::Text(_) => Failure::of(Class::Usage, "usage", self),
            note::Error::Store(err) => err.failure(),
            note::Error::Access(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for tag::Error {
    fn failure(&self) -> Failure {
        match self {
            tag::Error::BadName { .. } => Failure::of(Class::Usage, "bad_name", self).hint("choose another name"),
            tag::Error::Exists { .. } => {
                Failure::of(Class::Refused, "tag_exists", self).hint("move it with `prov tag -f NAME REV`")
            }
            tag::Error::NotFound { known, .. } => Failure::of(Class::NotFound, "not_found", self)
                .candidates(known.iter().cloned())
                .hint("`prov tag` lists them"),
            tag::Error::Moved { .. } => {
                Failure::of(Class::Refused, "moved", self).hint("look what it names now, then try again")
            }
            tag::Error::Store(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

impl Classify for verdict::Error {
    fn failure(&self) -> Failure {
        match self {
            verdict::Error::Store(err) => err.failure(),
            verdict::Error::Access(err) => err.failure(),
            verdict::Error::Scenario(err) => err.failure(),
            _ => Failure::of(Class::Damaged, "damaged", self).hint(FSCK),
        }
    }
}

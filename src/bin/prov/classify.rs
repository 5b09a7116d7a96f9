//! Whose fault an error of the library is, and what to do about it: the one place where errors become failures.

mod asked;
mod moved;
mod piped;
mod ran;
mod stored;

use std::error::Error;
use std::io;

use crate::error::Failure;

/// An error that can end a command.
pub(crate) trait Classify: Error + Sized {
    /// Its class, a stable word, and what to do.
    fn failure(&self) -> Failure;
}

impl<E: Classify + 'static> From<E> for Failure {
    fn from(err: E) -> Self {
        let failure = err.failure();
        if failure.hint.is_some() {
            return failure;
        }
        match io_hint(&err) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What to do about what the system said, wherever in the chain it stands.
fn io_hint(err: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut at = Some(err);
    while let Some(err) = at {
        if let Some(err) = err.downcast_ref::<io::Error>() {
            return match err.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space and try again; what was recorded before is safe")
                }
                io::ErrorKind::ReadOnlyFilesystem => Some("make it writable; nothing was changed"),
                io::ErrorKind::PermissionDenied => Some("check who owns it and who may write it"),
                _ => None,
            };
        }
        at = err.source();
    }
    None
}

pub(crate) const FSCK: &str = "`prov fsck` names all that is damaged; what is whole can still be read";

#[cfg(test)]
mod tests {
    use prov::{query, repo, revspec, run, store};

    use super::*;

    #[test]
    fn every_class_has_its_exit_code() {
        let none = repo::Error::NotFound { start: "/x".into() };
        assert_eq!(Failure::from(none).class.exit().code(), 3);
        let unknown = revspec::Error::NotFound { text: "x".to_owned() };
        assert_eq!(Failure::from(unknown).class.exit().code(), 4);
        let newer = store::Error::TooNew { place: "/x".to_owned(), found: 9, supported: 1 };
        assert_eq!(Failure::from(newer).class.exit().code(), 7);
        let damaged = store::Error::Damaged { file: "log/7".to_owned(), what: "cut off".to_owned() };
        let failure = Failure::from(run::Error::from(damaged));
        assert_eq!((failure.class.exit().code(), failure.message.contains("log/7")), (5, true));
    }

    #[test]
    fn what_the_system_said_gets_a_hint() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let failure = Failure::from(run::Error::Io { doing: "write", path: "/x".into(), source: full });
        assert!(failure.hint.is_some_and(|hint| hint.contains("space")));
    }

    #[test]
    fn candidates_of_an_ambiguous_name_are_listed() {
        let err = revspec::Error::Ambiguous { text: "k3".to_owned(), candidates: vec!["a".to_owned(), "b".to_owned()] };
        let failure = Failure::from(query::Error::from(err));
        assert_eq!((failure.code, failure.candidates.len()), ("ambiguous", 2));
    }
}

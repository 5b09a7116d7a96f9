//! Tags: names of a user's choice for runs, artifacts and other objects. A tag moves only from the value it is expected to have.

use crate::codec;
use crate::journal::{Change, Line};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, Tag};
use crate::store::{self, Direction, Draft, Expect, RefEdit, Snapshot};

/// Why a tag can't be made, moved or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name can't be used.
    #[error("`{name}` can't be the name of a tag: {why}")]
    BadName {
        /// The name.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// It is there and means something else.
    #[error("there is a tag `{name}` already, and it means something else")]
    Exists {
        /// The name.
        name: String,
    },
    /// It is not there.
    #[error("there is no tag `{name}`")]
    NotFound {
        /// The name.
        name: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// Somebody else moved it meanwhile.
    #[error("the tag `{name}` was changed by somebody else meanwhile")]
    Moved {
        /// The name.
        name: String,
    },
    /// The store can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A ref is damaged.
    #[error("a tag ref can't be read")]
    Ref(#[from] codec::Error),
}

/// Checks a tag's name: the rules of scenarios' names, and nothing that could be a run's id.
///
/// # Errors
/// [`Error::BadName`] with the rule.
pub fn check_name(name: &str) -> Result<(), Error> {
    let bad = |why| Err(Error::BadName { name: name.to_owned(), why });
    if name.is_empty() || name.len() > 100 {
        return bad("it has 1 to 100 bytes");
    }
    if name.trim() != name || name.chars().any(|c| c.is_control() || "/:@~{}\\".contains(c)) {
        return bad("it holds no control characters, none of / : @ ~ { } \\ and no blanks at its ends");
    }
    if name.starts_with('-') {
        return bad("it does not begin with `-`");
    }
    Ok(())
}

/// What a tag means; `None` if there is none of that name.
///
/// # Errors
/// When refs can't be read.
pub fn get(snapshot: &Snapshot, project: &str, name: &str) -> Result<Option<Tag>, Error> {
    Ok(snapshot.get_ref(&key::tag(project, name))?.map(|value| entry::decode(&value)).transpose()?)
}

/// All tags of a project, by name.
///
/// # Errors
/// When refs can't be read.
pub fn list(snapshot: &Snapshot, project: &str) -> Result<Vec<(String, Tag)>, Error> {
    let mut found = Vec::new();
    for item in snapshot.scan(&key::tags_of(project), Direction::Forward) {
        let (raw, value) = item?;
        if let Some(name) = key::last_text(&raw) {
            found.push((name, entry::decode(&value)?));
        }
    }
    Ok(found)
}

/// What a tag is expected to mean before it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Nothing: it must be new.
    New,
    /// Anything.
    Any,
}

/// Gives `name` a meaning, or takes it away (`None`). Returns what it meant before; nothing is written if it means that already.
///
/// # Errors
/// [`Error::Exists`] if it is to be new and means something else, [`Error::NotFound`] if there is none to delete, [`Error::Moved`] if
/// somebody else was faster.
pub fn set(repo: &Repo, name: &str, tag: Option<&Tag>, before: &Before) -> Result<Option<Tag>, Error> {
    let project = repo.project();
    if tag.is_some() {
        check_name(name)?;
    }
    let key = key::tag(project, name);
    let snapshot = repo.store().snapshot()?;
    let old = snapshot.get_ref(&key)?;
    let meant: Option<Tag> = old.as_deref().map(entry::decode).transpose()?;
    if meant.as_ref() == tag {
        return match tag {
            Some(_) => Ok(meant),
            None => {
                let known = list(&snapshot, project)?.into_iter().map(|(name, _)| name).collect();
                Err(Error::NotFound { name: name.to_owned(), known })
            }
        };
    }
    if *before == Before::New && meant.is_some() {
        return Err(Error::Exists { name: name.to_owned() });
    }
    let new = tag.map(entry::encode).transpose()?;
    let expect = old.clone().map_or(Expect::Absent, Expect::Is);
    let op = repo.new_op();
    let edits = vec![Change::new(&key, old.as_deref(), new.as_deref())];
    let line = Line { about: name.to_owned(), edits, ..Line::of(repo, "tag") }.edit(repo, op, repo.now())?;
    let edits = vec![RefEdit { key, expect, new }, line];
    let relies_on: Vec<_> = tag.iter().map(|tag| tag.object).collect();
    let published = repo.store().publish(op, "tag", &mut |_| -> Result<Option<Draft>, store::Error> {
        Ok(Some(Draft { edits: edits.clone(), relies_on: relies_on.clone(), ..Draft::default() }))
    });
    match published {
        Ok(_) => Ok(meant),
        Err(store::Error::Expectation { .. }) => Err(Error::Moved { name: name.to_owned() }),
        Err(err) => Err(err.into()),
    }
}

//! Finding the run that made some content.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bstr::{BStr, BString};

use crate::codec;
use crate::hash::{self, Id};
use crate::object::run::{LinkedBy, Producer};
use crate::refs::key;
use crate::repo::entry::{self, RunPlace, Touch};
use crate::store::{self, Direction, Snapshot};

/// How many runs that made or took some content are looked at.
pub const LOOKED_AT: usize = 256;
/// How many other candidates a record keeps.
const KEPT: usize = 16;

/// Why producers can't be looked up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A ref is damaged.
    #[error("a producer ref can't be read")]
    Ref(#[from] codec::Error),
}

/// One run that made some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its run id.
    pub run: String,
    /// Under which output key.
    pub key: String,
    /// Where, and in which scenario.
    pub touch: Touch,
}

/// The runs that made `content`, newest first, at most 256.
///
/// # Errors
/// When the store can't be read.
pub fn makers(snapshot: &Snapshot, content: &Id) -> Result<Vec<Found>, Error> {
    touching(snapshot, &key::producers_of(content))
}

/// Those of these contents that some run made.
///
/// # Errors
/// When the store can't be read.
pub fn made(snapshot: &Snapshot, contents: impl IntoIterator<Item = Id>) -> Result<HashSet<Id>, Error> {
    let contents: BTreeMap<Vec<u8>, Id> = contents.into_iter().map(|id| (key::producers_of(&id), id)).collect();
    let (prefixes, ids): (Vec<Vec<u8>>, Vec<Id>) = contents.into_iter().unzip();
    let begun = snapshot.which_begin(&prefixes)?;
    Ok(ids.into_iter().zip(begun).filter_map(|(id, is_made)| is_made.then_some(id)).collect())
}

/// The runs that took `content` as an input, newest first, at most 256.
///
/// # Errors
/// When the store can't be read.
pub fn takers(snapshot: &Snapshot, content: &Id) -> Result<Vec<Found>, Error> {
    let direct = key::consumers_of(content);
    let mut listed: Vec<(Option<u64>, Found)> = Vec::new();
    for item in snapshot.scan(&key::listed_of(content), Direction::Forward) {
        let (raw, value) = item?;
        let Some((list, key)) = key::list_and_key(&raw) else { continue };
        let path: BString = entry::decode(&value)?;
        let readers = key::readers_of(&list);
        for item in snapshot.scan(&readers, Direction::Forward).take(LOOKED_AT) {
            let (raw, value) = item?;
            let Some(run) = key::last_text(&raw) else { continue };
            let RunPlace { object, project, scenario } = entry::decode(&value)?;
            let touch = Touch { path: path.clone(), object, project, scenario };
            listed.push((key::rank_after(&readers, &raw), Found { run, key: key.clone(), touch }));
        }
    }
    if listed.is_empty() {
        return touching(snapshot, &direct);
    }
    for item in snapshot.scan(&direct, Direction::Forward).take(LOOKED_AT) {
        let (raw, value) = item?;
        if let Some((run, key)) = key::run_and_key(&raw) {
            listed.push((key::rank_after(&direct, &raw), Found { run, key, touch: entry::decode(&value)? }));
        }
    }
    // The order of the refs of a content.
    listed.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| (&one.run, &one.key).cmp(&(&other.run, &other.key))));
    listed.truncate(LOOKED_AT);
    Ok(listed.into_iter().map(|(_, found)| found).collect())
}

/// Where content lay when runs made or took it, as far as refs tell.
///
/// # Errors
/// When the store can't be read. Refs that can't be read are passed over.
pub fn places(snapshot: &Snapshot, content: &Id) -> Result<BTreeSet<BString>, store::Error> {
    let mut places = BTreeSet::new();
    for prefix in [key::producers_of(content), key::consumers_of(content)] {
        for item in snapshot.scan(&prefix, Direction::Forward) {
            places.extend(entry::decode::<Touch>(&item?.1).ok().map(|touch| touch.path));
        }
    }
    for item in snapshot.scan(&key::listed_of(content), Direction::Forward) {
        places.extend(entry::decode::<BString>(&item?.1).ok());
    }
    Ok(places)
}

fn touching(snapshot: &Snapshot, prefix: &[u8]) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for item in snapshot.scan(prefix, Direction::Forward).take(LOOKED_AT) {
        let (raw, value) = item?;
        if let Some((run, key)) = key::run_and_key(&raw) {
            found.push(Found { run, key, touch: entry::decode(&value)? });
        }
    }
    Ok(found)
}

/// The run that an input with this content at this path came from: the newest that recorded it at the same path; else the newest of this
/// scenario that recorded it anywhere. Empty content counts only at the same path, since every empty file is the same one.
///
/// # Errors
/// When the store can't be read.
pub fn producer_of(
    snapshot: &Snapshot,
    project: &str,
    scenario: &str,
    path: &BStr,
    content: &Id,
) -> Result<Option<Producer>, Error> {
    let found = makers(snapshot, content)?;
    let same_path = |f: &&Found| f.touch.project == project && f.touch.path == path;
    let chosen = match found
        .iter()
        .find(|f| same_path(f) && f.touch.scenario == scenario)
        .or_else(|| found.iter().find(same_path))
    {
        Some(found) => Some((found, LinkedBy::Path)),
        None if *content == hash::blob(b"") => None,
        None => found
            .iter()
            .find(|f| f.touch.project == project && f.touch.scenario == scenario)
            .map(|f| (f, LinkedBy::Content)),
    };
    Ok(chosen.map(|(chosen, linked_by)| {
        let mut candidates: Vec<String> =
            found.iter().filter(|f| f.run != chosen.run).map(|f| f.run.clone()).take(KEPT).collect();
        candidates.dedup();
        Producer {
            run: chosen.run.clone(),
            object: Some(chosen.touch.object),
            key: chosen.key.clone(),
            linked_by,
            candidates,
        }
    }))
}

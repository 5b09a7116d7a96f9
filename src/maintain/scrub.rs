//! Scrubbing content: its bytes are gone for good, its records stay and say so.

use std::sync::Arc;

use super::roots::all_targets;
use crate::hash::Id;
use crate::journal::Line;
use crate::mark::{self, Error, MarkKind};
use crate::progress::{Cancel, Progress};
use crate::repo::Repo;
use crate::store::scrub::{self, FEATURE, Scrubbed};
use crate::store::{self, Draft};

/// Takes the bytes of `contents` out of the store and out of what prov keeps beside it, and has them refused from now on. Files of the work
/// tree are the user's own. Cut off, the same call goes on where it was.
///
/// # Errors
/// When something can't be read that may share bytes with them, or the place fails. What is gone then is gone; call it again.
pub fn scrub(
    repo: &Repo,
    contents: &[Id],
    why: &str,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Scrubbed, Error> {
    let op = repo.new_op();
    let now = repo.now();
    let never = "the bytes are gone for good".to_owned();
    let about = contents.iter().take(3).map(Id::short).collect::<Vec<_>>().join(" ");
    repo.store().publish(op, "scrub", &mut |snapshot| -> Result<Option<Draft>, Error> {
        let intake = repo.store().intake(snapshot);
        let mut edits = Vec::new();
        for of in contents {
            if !snapshot.is_scrubbed(of)? {
                edits.push(mark::one(repo, snapshot, &intake, of, MarkKind::Scrub, true, why)?);
            }
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let line = Line { about: about.clone(), never: never.clone(), ..Line::of(repo, "scrub") };
        edits.push(line.edit(repo, op, now)?);
        let collected = Some(Arc::new(intake.finish()?));
        Ok(Some(Draft { collected, edits, features: vec![FEATURE.to_owned()], ..Draft::default() }))
    })?;
    let done = scrub::scrub(repo.store(), contents, &all_targets, "scrub", progress, cancel)?;
    let put_aside = repo.layout().cache().join("inputs");
    for id in contents {
        let path = put_aside.join(id.to_string());
        match repo.fs().lstat(&path) {
            Ok(Some(stat)) if stat.is_folder() => repo.fs().remove_tree(&path),
            Ok(Some(_)) => repo.fs().remove_file(&path),
            Ok(None) => Ok(()),
            Err(err) => Err(err),
        }
        .map_err(|err| Error::Access(err.into()))?;
    }
    // What may hold folders with it is put there anew when it is needed.
    if let Ok(Some(_)) = repo.fs().lstat(&put_aside) {
        repo.fs().remove_tree(&put_aside).map_err(|err| Error::Access(err.into()))?;
    }
    let left = repo.store().snapshot()?;
    for id in contents {
        if left.locate_live(id)?.is_some() {
            return Err(
                store::Error::Obstructed { what: format!("object {id} came back meanwhile; scrub it again") }.into()
            );
        }
    }
    Ok(done)
}

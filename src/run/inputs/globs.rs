//! What globs stand for.

use std::path::PathBuf;

use super::Matched;
use crate::code::Glob;
use crate::path::Place;
use crate::run::Error;
use crate::run::prepare::Prepared;
use crate::run::session::Session;

/// The files that a glob stands for now, without what lies where outputs go.
pub(super) fn matching(session: &Session<'_>, glob: &Glob, outputs: &[Place]) -> Result<Vec<PathBuf>, Error> {
    let root = session.repo.root();
    let files = glob.files(session.repo.fs()).map_err(|source| Error::io("look for", glob.base(), source))?;
    let is_output = |file: &PathBuf| {
        let place = crate::path::locate(root, root, file);
        outputs.iter().any(|output| crate::run::overlap::is_below(&place, output))
    };
    Ok(files.into_iter().filter(|file| !is_output(file)).collect())
}

/// What globs stand for now and did not before, or no longer do, for people.
pub(in crate::run) fn changed_globs(session: &Session<'_>, prepared: &Prepared) -> Vec<String> {
    let outputs: Vec<Place> = prepared.outputs().values().cloned().collect();
    let mut changed = Vec::new();
    for Matched { glob, files } in &prepared.globs {
        let text = glob.as_str();
        match matching(session, glob, &outputs) {
            Ok(now) if now == *files => {}
            Ok(now) => {
                let different = now
                    .iter()
                    .find(|file| !files.contains(file))
                    .or_else(|| files.iter().find(|file| !now.contains(file)));
                let name = different.map_or_else(String::new, |file| {
                    crate::path::show(file.strip_prefix(session.repo.root()).unwrap_or(file))
                });
                changed.push(format!("input `{text}`: {name} appeared or vanished while it ran"));
            }
            Err(err) => {
                changed.push(format!("input `{text}` could not be looked at again: {}", crate::run::chain(&err)));
            }
        }
    }
    changed
}

//! The folder that prov makes for each run: `PROV_OUTPUT_DIR`.
//!
//! While the command runs it lies in the run's live folder, so that whatever ends the run also ends the folder. What is in it when the
//! command succeeded is the output [`KEY`]; an empty one is none. Afterwards it is moved to `.prov/outputs/<step>`, where that of the
//! step's last run always lies; a hit puts it there as well. A declared output of that key takes its place: then the variable holds
//! that path, like that of every other output.

use std::path::PathBuf;

use bstr::BString;

use super::prepare::Prepared;
use super::session::Session;
use super::{Error, clear, live, name};
use crate::path::{Place, locate};
use crate::repo::Repo;
use crate::store::Snapshot;

/// The key of what is in the folder.
pub const KEY: &str = "dir";

/// Its name in the live folder.
pub(super) const NAME: &str = "output";

/// Where the folder of a run lies while it runs.
pub(super) fn folder(live: &live::Running) -> PathBuf {
    live.dir().join(NAME)
}

/// Makes the folder for a run that is about to start; `None` if an output of its key is declared.
///
/// # Errors
/// When it can't be made.
pub(super) fn make(session: &Session<'_>, prepared: &Prepared, live: &live::Running) -> Result<Option<PathBuf>, Error> {
    if prepared.output(KEY).is_some() {
        return Ok(None);
    }
    let folder = folder(live);
    session.repo.fs().make_dirs(&folder).map_err(|source| Error::io("create", &folder, source))?;
    Ok(Some(folder))
}

/// The folder as something to be taken, if a command put anything into it.
///
/// # Errors
/// When it can't be read.
pub(super) fn made(session: &Session<'_>, prepared: &Prepared, live: &live::Running) -> Result<Option<Place>, Error> {
    if prepared.output(KEY).is_some() {
        return Ok(None);
    }
    let (fs, root, folder) = (session.repo.fs(), session.repo.root(), folder(live));
    let names = match fs.names(&folder) {
        Ok(names) => names,
        // The command may have removed it.
        Err(err) if crate::fs::is_absent(&err) => return Ok(None),
        Err(source) => return Err(Error::io("read", &folder, source)),
    };
    Ok((!names.is_empty()).then(|| locate(root, root, &folder)))
}

/// Where the folder of a step's last run lies, absolute.
pub(super) fn home(repo: &Repo, step: &str) -> PathBuf {
    repo.layout().outputs().join(name::slug(step))
}

/// The same as records have it.
pub(super) fn recorded_path(repo: &Repo, step: &str) -> BString {
    crate::revspec::recorded_path(&locate(repo.root(), repo.root(), &home(repo, step)))
}

/// Whether a place is the home of a managed folder in this workspace.
pub(super) fn is_home(repo: &Repo, path: &std::path::Path) -> bool {
    path.parent() == Some(&repo.layout().outputs())
}

/// Moves the folder of a run that ended to its home. What lies there is kept safe first, should anybody have changed it.
///
/// # Errors
/// When it can't be moved; then it is gone with the live folder, and the store has it.
pub(super) fn settle_down(
    session: &Session<'_>,
    known: &Snapshot,
    step: &str,
    live: &live::Running,
) -> Result<(), Error> {
    let (fs, from, to) = (session.repo.fs(), folder(live), home(session.repo, step));
    clear::clear(session, known, &[clear::Spot::whole(to.clone())])?;
    fs.rename(&from, &to).map_err(|source| Error::io("move", &to, source))
}

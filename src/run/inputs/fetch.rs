//! Content that is only in the store, brought to where the command reads it.

use crate::object::recipe::Content;
use crate::path::RelPath;
use crate::run::Error;
use crate::run::hydrate::{self, Item};
use crate::run::prepare::Prepared;
use crate::run::session::Session;
use crate::run::web;
use crate::store::Snapshot;
use crate::worktree::{self, CaptureOptions};

/// Brings inputs that are only in the store to where the command reads them.
///
/// # Errors
/// When one of them can't be brought there. Unknown content is never overwritten.
pub fn fetch(session: &Session<'_>, snapshot: &Snapshot, prepared: &mut Prepared) -> Result<(), Error> {
    use crate::worktree::restore::Outcome;
    let own = session.repo.layout().cache().join("inputs");
    // What the user said a place for may take the place of what the store has: an older version of it.
    let (mut items, mut over_known) = (Vec::new(), Vec::new());
    for (key, input) in prepared.inputs.iter().filter(|(_, input)| input.is_to_be_fetched) {
        if let Some(from) = input.web.as_ref().and_then(|web| web.lies_at.as_ref()) {
            web::put(session, from, &input.place)?;
            continue;
        }
        let (content, exec) = (input.captured.content.clone(), input.captured.exec);
        let path = session.worktree().path(&input.place);
        let (root, to) = match path.strip_prefix(&own) {
            Ok(below) => {
                // The folder is prov's own, named by what is in it: anything else under that name is a broken copy.
                let fs = session.repo.fs();
                let _ = if fs.lstat(&path).ok().flatten().is_some_and(|stat| stat.is_folder()) {
                    fs.remove_tree(&path)
                } else {
                    fs.remove_file(&path)
                };
                session.repo.fs().make_dirs(&own).map_err(|source| Error::io("create", &own, source))?;
                let to = RelPath::new(crate::path::bytes(below));
                (own.clone(), to.ok_or_else(|| Error::InputMissing { path: path.clone(), is_restorable: false })?)
            }
            Err(_) => hydrate::recorded_destination(session, &input.place)?,
        };
        let has_place = input.web.as_ref().is_some_and(|web| web.has_place);
        let group = if has_place { &mut over_known } else { &mut items };
        group.push(Item { key: key.clone(), content, exec, root, to });
    }
    for (items, replace) in [(items, hydrate::Replace::Nothing), (over_known, hydrate::Replace::Known)] {
        if items.is_empty() {
            continue;
        }
        let (mut restored, _) = hydrate::bring_back(session, snapshot, &items, &[], replace)?;
        let missing = restored.iter().any(|done| done.outcome == Outcome::Missing);
        if let Some(elsewhere) = session.elsewhere().filter(|_| missing) {
            let contents: Vec<Content> = items.iter().map(|item| item.content.clone()).collect();
            if elsewhere.bring(&contents) {
                let newest = session.repo.store().snapshot_since(snapshot)?;
                restored = hydrate::bring_back(session, &newest, &items, &[], replace)?.0;
            }
        }
        for done in restored {
            match done.outcome {
                Outcome::Restored | Outcome::Kept | Outcome::Skipped => {}
                Outcome::Refused => return Err(Error::InTheWay { path: done.path }),
                Outcome::Missing => return Err(Error::OutputLost { key: done.key, path: done.path }),
            }
        }
    }
    for input in prepared.inputs.values_mut().filter(|input| input.is_to_be_fetched) {
        let worktree = session.worktree();
        let captured = worktree::capture(&worktree, &input.place, &CaptureOptions::default(), None)?;
        if captured.content != input.captured.content {
            return Err(Error::ChangedBefore { path: worktree.path(&input.place) });
        }
        prepared.fence.join(captured.fence.clone());
        input.captured = captured;
        input.is_to_be_fetched = false;
    }
    Ok(())
}

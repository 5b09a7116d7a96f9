//! Whether everything held still while a command ran: only then may its run be a hit later.

use super::code_part::{self, CodePart};
use super::name::command_line;
use super::prepare::{Environment, Prepared};
use super::request::Request;
use super::session::{Files, Session};
use super::{Error, inputs, versions};
use crate::object::run::Run;
use crate::path::{show, shown};
use crate::store::Snapshot;
use crate::worktree::{self, Fence};

/// Files that the command names and that are not in the recipe.
pub(super) fn undeclared(prepared: &Prepared) -> Vec<String> {
    let counted = |path: &crate::path::RelPath| {
        let files = &prepared.code.tree.files;
        files.binary_search_by(|(other, ..)| other.cmp(path)).is_ok()
    };
    let named = prepared.code.named.iter().filter(|path| prepared.needs_files && !counted(path));
    named.take(3).map(|path| command_line(&[path.as_bytes().to_owned()])).collect()
}

/// Looks whether inputs, code and outputs held still.
pub(super) fn seal(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    environment: &Environment,
    outputs: &Fence,
    run: &mut Run,
) {
    let worktree = session.worktree();
    let root = session.repo.root();
    let name = |path: &std::path::Path| show(path.strip_prefix(root).unwrap_or(path));
    for (what, fence) in [("input", &prepared.fence), ("output", outputs)] {
        for change in fence.check(&worktree) {
            run.unsealed.push(format!("{what} {} {} while it ran", name(&change.path), change_word(change.kind)));
        }
    }
    run.unsealed.extend(inputs::changed_globs(session, prepared));
    match select_again(session, snapshot, request, prepared, environment) {
        Ok(after) => {
            let list = |paths: &[crate::path::RelPath]| {
                paths.iter().take(3).map(|path| shown(path.as_bytes())).collect::<Vec<_>>().join(", ")
            };
            let changed = prepared.code.differences(&after);
            // The same bytes again, written meanwhile: the command may have seen others in between.
            let rewritten = prepared.code.rewritten(&after);
            if !changed.is_empty() || after.tree.root != prepared.code.tree.root {
                run.unsealed.push(format!("code {} changed while it ran", list(&changed)));
            } else if !rewritten.is_empty() {
                run.unsealed.push(format!("code {} was written while it ran", list(&rewritten)));
            }
        }
        Err(err) => run.unsealed.push(format!("the code could not be looked at again: {}", super::chain(&err))),
    }
    match versions::ask(session, request, &prepared.cwd, environment) {
        Ok(after) if after == prepared.versions => {}
        Ok(_) => run.unsealed.push("a tool or the container is of another version than before it ran".to_owned()),
        Err(err) => run.unsealed.push(super::chain(&err)),
    }
    run.unsealed.truncate(20);
    run.sealed = run.unsealed.is_empty();
}

fn change_word(kind: worktree::ChangeKind) -> &'static str {
    match kind {
        worktree::ChangeKind::Changed => "changed",
        worktree::ChangeKind::Removed => "was removed",
        worktree::ChangeKind::Added => "appeared",
    }
}

/// Selects the code once more. What another run made meanwhile and recorded as its output is no code: if something differs, the newest
/// state of the store is asked.
fn select_again(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    environment: &Environment,
) -> Result<CodePart, Error> {
    let wanted = code_part::wanted(session, request);
    let files = wanted.map_or_else(|| Ok(Files::default()), |wanted| session.list_files(wanted))?;
    let program = Some(&prepared.code.program);
    let listing = code_part::Listing { files: &files, at: session.stretch().begin(), is_fresh: true, program };
    let after = code_part::select(session, snapshot, request, &prepared.declared, environment, listing)?;
    if after.tree.root == prepared.code.tree.root {
        return Ok(after);
    }
    let newest = session.repo.store().snapshot()?;
    code_part::select(session, &newest, request, &prepared.declared, environment, listing)
}

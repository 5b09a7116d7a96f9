//! Links in folders that a run reads which lead to what does not count.
//!
//! In a folder a link counts by its text. Where it leads out of the folder, to what is declared nowhere, an edit of that is no
//! miss: this is told, since nobody sees it by looking at the command.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::path::{normal, shown};
use crate::worktree::Fence;

/// A folder that counts: what it is called, where it lies, and what was seen in it.
pub(super) struct Counted {
    /// What people know it as: "input `raw`".
    pub name: String,
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// The links in it.
    pub links: Vec<PathBuf>,
}

impl Counted {
    /// Something that counts, with what its fence saw.
    pub(super) fn new(name: String, path: PathBuf, fence: &Fence) -> Self {
        Self { name, path, links: fence.links() }
    }
}

/// Tells which of these hold links that lead to none of them. A link that is gone meanwhile is the fence's business.
pub(super) fn warnings(counted: &[Counted]) -> Vec<String> {
    let leads_out = |link: &PathBuf| {
        let target = std::fs::read_link(link).ok()?;
        let target = normal(&link.parent()?.join(target));
        (!counted.iter().any(|one| target.starts_with(&one.path))).then_some(())
    };
    let mut warnings = Vec::new();
    for one in counted {
        let mut strays = one.links.iter().filter(|link| leads_out(link).is_some());
        let Some(first) = strays.next() else { continue };
        let more = match strays.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let below = first.strip_prefix(&one.path).unwrap_or(first);
        warnings.push(format!(
            "{} holds a link that leads out of it, `{}`{more}: what it leads to does not count; declare that as well",
            one.name,
            shown(below.as_os_str().as_bytes()),
        ));
    }
    warnings
}

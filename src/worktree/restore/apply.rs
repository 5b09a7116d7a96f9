//! Does what a plan says.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bstr::BString;

use super::super::names::STAGING_PREFIX;
use super::super::spread;
use super::super::{Error, Fence, Worktree};
use super::shelf::{Shelved, cannot_link};
use super::validate::join;
use super::{Done, Existing, Here, InTheWay, Node, Outcome, Plan, PlanItem, State, WantedFolder, Work};
use super::{Link, Shelf};
use crate::fs::{Dir, Output, is_absent};
use crate::hash::Id;
use crate::object::Source;
use crate::object::tree::EntryKind;
use crate::path::RelPath;
use crate::progress::Unit;

/// Names of one folder that one thread writes at a time.
const PIECE: usize = 256;

/// Brings back what `plan` found to be needed; `existing` decides about each destination where something else is.
///
/// Every destination is done by itself: what happens at one does not stop the others. The order is that of the plan. See [`stage`] for
/// all or nothing.
pub fn apply(
    worktree: &Worktree<'_>,
    plan: &Plan,
    source: &dyn Source,
    existing: &dyn Fn(&PlanItem) -> Existing,
) -> Vec<Done> {
    stage(worktree, plan, source, existing).finish()
}

/// What a plan needs, written beside its destinations; none of them is touched yet.
pub struct Staging<'a> {
    worktree: &'a Worktree<'a>,
    plan: &'a Plan,
    source: &'a dyn Source,
    items: Vec<Staged>,
}

impl std::fmt::Debug for Staging<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staging").field("plan", self.plan).finish_non_exhaustive()
    }
}

enum Staged {
    /// It ended before anything was to be written, or could not be.
    Settled(Result<Outcome, Error>),
    /// It lies beside its destination under this name, and takes its place if there is still what the fence saw.
    Beside(BString, Option<Fence>),
}

/// Writes everything that `plan` needs beside the destinations.
pub fn stage<'a>(
    worktree: &'a Worktree<'a>,
    plan: &'a Plan,
    source: &'a dyn Source,
    existing: &dyn Fn(&PlanItem) -> Existing,
) -> Staging<'a> {
    let decisions: Vec<Decision> = plan.items.iter().map(|item| decide(item, existing)).collect();
    let total = plan.items.iter().zip(&decisions).filter(|(_, d)| matches!(d, Decision::Write(_))).map(|(i, _)| i.size);
    let bytes = total.sum();
    worktree.progress.begin("restoring", Some(bytes), Unit::Bytes);
    let pairs: Vec<_> = plan.items.iter().zip(decisions).collect();
    let written = pairs.iter().filter(|(_, decision)| matches!(decision, Decision::Write(_)));
    let mut ids = written.flat_map(|(item, _)| -> Box<dyn Iterator<Item = Id>> {
        match &item.work {
            Work::Nothing => Box::new(std::iter::empty()),
            Work::File => Box::new(std::iter::once(item.wanted.content.id())),
            Work::Folder(folders) => {
                let nodes = folders.iter().flat_map(|folder| &folder.nodes);
                Box::new(nodes.filter(|node| node.is_to_be_written()).map(|node| node.entry.id))
            }
        }
    });
    // Where this fails, each object is asked for by itself, and what is wrong is told for its destination.
    let located = source.located(&mut ids).unwrap_or_default();
    let source_of_all = source;
    let source = located.as_deref().unwrap_or(source);
    let items = spread::map(&pairs, spread::is_much(pairs.len(), bytes), |(item, decision)| match decision {
        Decision::Settled(outcome) => Staged::Settled(Ok(*outcome)),
        Decision::Write(fence) => {
            let beside = open(worktree, plan, source, item, fence.as_ref()).and_then(|target| target.stage());
            match beside {
                Ok(name) => Staged::Beside(name, fence.clone()),
                Err(Stop::Outcome(outcome)) => Staged::Settled(Ok(outcome)),
                Err(Stop::Error(err)) => Staged::Settled(Err(err)),
            }
        }
    });
    worktree.progress.end();
    Staging { worktree, plan, source: source_of_all, items }
}

impl Staging<'_> {
    /// Whether everything is there that was to be written, and nothing was refused.
    pub fn is_whole(&self) -> bool {
        self.items.iter().zip(&self.plan.items).all(|(staged, item)| match staged {
            Staged::Beside(..) => true,
            Staged::Settled(Ok(outcome)) => {
                // What comes with the destination above it is refused by itself.
                *outcome == Outcome::Kept
                    || (matches!(item.work, Work::Nothing) && item.missing.is_empty() && !item.is_blocked())
            }
            Staged::Settled(Err(_)) => false,
        })
    }

    /// Brings everything to its destination.
    pub fn finish(self) -> Vec<Done> {
        let Staging { worktree, plan, source, items } = self;
        let pairs: Vec<_> = plan.items.iter().zip(items).collect();
        let is_much = spread::is_much(pairs.len(), 0);
        let results = spread::map(&pairs, is_much, |(item, staged)| match staged {
            Staged::Settled(Ok(outcome)) => Ok(*outcome),
            // Told once, below.
            Staged::Settled(Err(_)) => Ok(Outcome::Refused),
            Staged::Beside(beside, fence) => {
                let done = worktree.check_cancel().map_err(Stop::Error).and_then(|()| {
                    let target = open(worktree, plan, source, item, fence.as_ref())?;
                    target.finish(beside)
                });
                let done = done.inspect_err(|_| discard(worktree, plan, source, item, beside));
                match done {
                    Ok(()) => Ok(Outcome::Restored),
                    Err(Stop::Outcome(outcome)) => Ok(outcome),
                    Err(Stop::Error(err)) => Err(err),
                }
            }
        });
        let mut results: Vec<Result<Outcome, Error>> = pairs
            .into_iter()
            .zip(results)
            .map(|((_, staged), result)| match staged {
                Staged::Settled(Err(err)) => Err(err),
                _ => result,
            })
            .collect();
        for &(inner, outer) in &plan.covered {
            let same = matches!(plan.items[inner].state, State::Same);
            results[inner] = match &results[outer] {
                Ok(Outcome::Restored) if same => Ok(Outcome::Kept),
                Ok(outcome) => Ok(*outcome),
                Err(_) => Ok(Outcome::Refused),
            };
        }
        plan.items.iter().zip(results).map(|(item, result)| Done { to: item.wanted.to.clone(), result }).collect()
    }

    /// Removes what was written beside; what was to be restored is told as skipped.
    pub fn discard(self) -> Vec<Done> {
        let Staging { worktree, plan, source, items } = self;
        let done = plan.items.iter().zip(items).map(|(item, staged)| {
            let result = match staged {
                Staged::Settled(result) => result,
                Staged::Beside(beside, _) => {
                    discard(worktree, plan, source, item, &beside);
                    Ok(Outcome::Skipped)
                }
            };
            Done { to: item.wanted.to.clone(), result }
        });
        done.collect()
    }
}

fn discard(worktree: &Worktree<'_>, plan: &Plan, source: &dyn Source, item: &PlanItem, beside: &[u8]) {
    if let Ok(target) = open(worktree, plan, source, item, None) {
        let _ = target.dir.remove(beside);
    }
}

enum Decision {
    Settled(Outcome),
    /// Write it; what is in the way may be replaced if it is still what the fence saw.
    Write(Option<Fence>),
}

fn decide(item: &PlanItem, existing: &dyn Fn(&PlanItem) -> Existing) -> Decision {
    match &item.state {
        State::Same => return Decision::Settled(Outcome::Kept),
        State::Blocked(_) => return Decision::Settled(Outcome::Refused),
        State::Absent | State::Different(_) => {}
    }
    if !item.missing.is_empty() {
        return Decision::Settled(Outcome::Missing);
    }
    if matches!(item.work, Work::Nothing) {
        // It comes with the destination above it, whose result is told for it in the end.
        return Decision::Settled(Outcome::Refused);
    }
    match item.state {
        State::Different(_) => match existing(item) {
            Existing::Refuse => Decision::Settled(Outcome::Refused),
            Existing::Replace(fence) => Decision::Write(Some(fence)),
        },
        _ => Decision::Write(None),
    }
}

/// Why a destination was not written.
enum Stop {
    Error(Error),
    /// It is refused or missing after all.
    Outcome(Outcome),
}

impl From<Error> for Stop {
    fn from(err: Error) -> Self {
        Stop::Error(err)
    }
}

/// One destination being written.
struct Target<'a> {
    worktree: &'a Worktree<'a>,
    source: &'a dyn Source,
    item: &'a PlanItem,
    /// The folder that it lies in, held open.
    dir: Dir,
    name: BString,
    fence: Option<&'a Fence>,
    shelf: Option<&'a Shelf>,
}

fn open<'a>(
    worktree: &'a Worktree<'a>,
    plan: &'a Plan,
    source: &'a dyn Source,
    item: &'a PlanItem,
    fence: Option<&'a Fence>,
) -> Result<Target<'a>, Stop> {
    worktree.check_cancel()?;
    let failed = |err: io::Error| Error::Io { doing: "write", path: item.path.clone(), source: err };
    worktree.fs.make_dirs(&plan.root).map_err(failed)?;
    let root = Dir::open(worktree.fs, &plan.root).map_err(failed)?;
    let above = item.wanted.to.parent().unwrap_or_default();
    let dir = root.make_beneath(&above).map_err(failed)?;
    let name = item.wanted.to.file_name().map(BString::from).unwrap_or_default();
    Ok(Target { worktree, source, item, dir, name, fence, shelf: plan.shelf.as_ref() })
}

/// What has to be written of an existing folder: each under a number.
fn pieces(folders: &[WantedFolder]) -> Vec<(&WantedFolder, &Node, BString)> {
    folders
        .iter()
        .flat_map(|folder| folder.nodes.iter().map(move |node| (folder, node)))
        .filter(|(_, node)| node.here != Here::Right && node.entry.kind != EntryKind::Tree)
        .enumerate()
        .map(|(nth, (folder, node))| (folder, node, nth.to_string().into()))
        .collect()
}

impl Target<'_> {
    fn failed(&self) -> impl Fn(io::Error) -> Stop + use<'_> {
        |source| Stop::Error(Error::Io { doing: "write", path: self.item.path.clone(), source })
    }

    /// Writes what is needed beside the destination, and returns under which name.
    fn stage(&self) -> Result<BString, Stop> {
        let (beside, done) = match &self.item.work {
            Work::Nothing => return Err(Stop::Outcome(Outcome::Refused)),
            Work::File => {
                let (id, exec) = (self.item.wanted.content.id(), self.item.wanted.exec);
                if let Some((shelf, path)) = self.on_shelf(&id, exec)? {
                    let made = fresh_name(|name| match shelf.link() {
                        Link::Symbolic => self.dir.symlink(path.as_os_str().as_bytes(), name),
                        _ => self.dir.adopt(&path, name),
                    });
                    match made {
                        Ok((beside, ())) => {
                            self.worktree.progress.add(self.item.size);
                            return Ok(beside);
                        }
                        // A file of its own will do.
                        Err(err) if cannot_link(&err) => {}
                        Err(err) => return Err(self.failed()(err)),
                    }
                }
                let mode = if exec { 0o777 } else { 0o666 };
                let (beside, out) = fresh_name(|name| self.dir.create_new(name, mode)).map_err(self.failed())?;
                let done = self.copy(&self.dir, &beside, out, &id, self.item.size, &|| self.item.path.clone());
                (beside, done)
            }
            Work::Folder(folders) => {
                let (beside, ()) = fresh_name(|name| self.dir.make_dir(name)).map_err(self.failed())?;
                let done = match self.item.state {
                    State::Different(InTheWay::Folder) => self.stage_pieces(&beside, folders),
                    _ => self.fill(&beside, folders),
                };
                (beside, done)
            }
        };
        match done {
            Ok(()) => Ok(beside),
            Err(stop) => {
                let _ = self.dir.remove(&beside);
                Err(stop)
            }
        }
    }

    /// Brings what was staged to its place.
    fn finish(&self, beside: &[u8]) -> Result<(), Stop> {
        self.check_unchanged()?;
        match (&self.item.work, &self.item.state) {
            (Work::Folder(folders), State::Different(InTheWay::Folder)) => {
                let done = self.reconcile(beside, folders);
                let removed = self.dir.remove(beside);
                done.and_then(|()| removed.map_err(self.failed()))
            }
            // It takes the place of nothing,
            (_, State::Absent) => self.appear(beside),
            // of something that can't be renamed over,
            (Work::Folder(_), _) | (_, State::Different(InTheWay::Folder)) => self.swap(beside),
            // or of a file or link.
            _ => self.dir.rename(beside, &self.dir, &self.name).map_err(self.failed()),
        }
    }

    /// Whether what is in these folders is worth more than one thread.
    fn is_much(&self, folders: &[WantedFolder]) -> bool {
        spread::is_much(folders.iter().map(|folder| folder.nodes.len()).sum(), self.item.size)
    }

    fn fill(&self, beside: &[u8], folders: &[WantedFolder]) -> Result<(), Stop> {
        let top = self.dir.folder(beside).map_err(self.failed())?;
        let is_tree = |node: &Node| node.entry.kind == EntryKind::Tree;
        for folder in folders.iter().filter(|folder| folder.nodes.iter().any(is_tree)) {
            let dir = top.beneath(&relative(&folder.path)).map_err(self.failed())?;
            for node in folder.nodes.iter().filter(|node| is_tree(node)) {
                dir.make_dir(&node.entry.name).map_err(self.failed())?;
            }
        }
        let pieces: Vec<(&WantedFolder, &[Node])> =
            folders.iter().flat_map(|f| f.nodes.chunks(PIECE).map(move |piece| (f, piece))).collect();
        spread::try_map(&pieces, self.is_much(folders), |(folder, piece)| {
            self.worktree.check_cancel()?;
            let dir = top.beneath(&relative(&folder.path)).map_err(self.failed())?;
            piece.iter().try_for_each(|node| self.make(&dir, &node.entry.name, folder, node))
        })
        .map(drop)?;
        // Links last: while files are written there is none to be led astray by.
        for folder in folders.iter().filter(|f| f.nodes.iter().any(|n| n.entry.kind == EntryKind::Link)) {
            let dir = top.beneath(&relative(&folder.path)).map_err(self.failed())?;
            for node in &folder.nodes {
                self.make_link(&dir, &node.entry.name, node)?;
            }
        }
        Ok(())
    }

    /// Writes what an existing folder lacks beside it.
    fn stage_pieces(&self, beside: &[u8], folders: &[WantedFolder]) -> Result<(), Stop> {
        let staging = self.dir.folder(beside).map_err(self.failed())?;
        spread::try_map(&pieces(folders), self.is_much(folders), |(folder, node, name)| {
            self.worktree.check_cancel()?;
            self.make(&staging, name, folder, node)?;
            self.make_link(&staging, name, node)
        })
        .map(drop)
    }

    /// Brings a folder that exists to its state.
    fn reconcile(&self, beside: &[u8], folders: &[WantedFolder]) -> Result<(), Stop> {
        let staging = self.dir.folder(beside).map_err(self.failed())?;
        let staged = pieces(folders);
        // From here on the destination changes; first make sure that it can.
        let top = self.dir.folder(&self.name).map_err(self.failed())?;
        let at = |path: &[u8]| self.item.path.join(OsStr::from_bytes(path));
        let failed = |path: &[u8]| {
            let path = at(path);
            move |source| Stop::Error(Error::Io { doing: "write", path, source })
        };
        for folder in folders.iter().filter(|f| f.is_changed()) {
            match top.beneath(&relative(&folder.path)) {
                Ok(dir) if !dir.is_writable().map_err(failed(&folder.path))? => {
                    return Err(failed(&folder.path)(io::Error::from(io::ErrorKind::PermissionDenied)));
                }
                Ok(_) => {}
                // It will be made.
                Err(err) if is_absent(&err) || is_link(&err) => {}
                Err(err) => return Err(failed(&folder.path)(err)),
            }
        }
        for folder in folders.iter().filter(|f| f.is_changed()) {
            let dir = top.make_beneath(&relative(&folder.path)).map_err(failed(&folder.path))?;
            for name in &folder.extra {
                dir.remove(name).map_err(failed(&join(&folder.path, name)))?;
            }
            for node in folder.nodes.iter().filter(|n| n.here != Here::Right) {
                let name = &node.entry.name;
                let is_tree = node.entry.kind == EntryKind::Tree;
                let folder_in_the_way = dir.stat(name).map_err(failed(name))?.is_some_and(|s| s.is_folder());
                if node.here == Here::Wrong && (is_tree || folder_in_the_way) {
                    dir.remove(name).map_err(failed(&join(&folder.path, name)))?;
                }
                if is_tree {
                    dir.make_dir(name).map_err(failed(&join(&folder.path, name)))?;
                }
            }
        }
        for (folder, node, name) in &staged {
            let dir = top.beneath(&relative(&folder.path)).map_err(failed(&folder.path))?;
            staging.rename(name, &dir, &node.entry.name).map_err(failed(&join(&folder.path, &node.entry.name)))?;
        }
        Ok(())
    }

    /// Writes the file of a node; links and folders are left to others.
    fn make(&self, dir: &Dir, name: &[u8], folder: &WantedFolder, node: &Node) -> Result<(), Stop> {
        let mode = match node.entry.kind {
            EntryKind::File => 0o666,
            EntryKind::Exec => 0o777,
            EntryKind::Link | EntryKind::Tree => return Ok(()),
        };
        let path = || self.item.path.join(OsStr::from_bytes(&join(&folder.path, &node.entry.name)));
        let failed = |source| Stop::Error(Error::Io { doing: "write", path: path(), source });
        if let Some((_, shared)) = self.on_shelf(&node.entry.id, node.entry.kind == EntryKind::Exec)? {
            match dir.adopt(&shared, name) {
                Ok(()) => {
                    self.worktree.progress.add(node.entry.size);
                    return Ok(());
                }
                Err(err) if cannot_link(&err) => {}
                Err(err) => return Err(failed(err)),
            }
        }
        let out = dir.create_new(name, mode).map_err(failed)?;
        self.copy(dir, name, out, &node.entry.id, node.entry.size, &path)
    }

    /// The file that is to be shared under another name, if that is asked for.
    fn on_shelf(&self, id: &Id, exec: bool) -> Result<Option<(&Shelf, PathBuf)>, Stop> {
        let Some(shelf) = self.shelf.filter(|shelf| shelf.link() != Link::Copy) else { return Ok(None) };
        match shelf.file(self.worktree, self.source, id, exec)? {
            Shelved::At(path) => Ok(Some((shelf, path))),
            Shelved::Missing => Err(Stop::Outcome(Outcome::Missing)),
        }
    }

    fn make_link(&self, dir: &Dir, name: &[u8], node: &Node) -> Result<(), Stop> {
        match &node.target {
            Some(target) if node.entry.kind == EntryKind::Link => dir.symlink(target, name).map_err(self.failed()),
            _ => Ok(()),
        }
    }

    /// Fills the file `name`, which is `out`, with `size` bytes.
    fn copy(
        &self,
        dir: &Dir,
        name: &[u8],
        mut out: Output,
        id: &Id,
        size: u64,
        path: &dyn Fn() -> PathBuf,
    ) -> Result<(), Stop> {
        let shelf = self.shelf.filter(|shelf| shelf.shares(size));
        if let Some(shelf) = shelf
            && let Ok(Some(shared)) = shelf.find(self.worktree, id, false)
            && let Ok(shared) = self.worktree.fs.open(&shared)
            && out.share(&shared).is_ok()
        {
            self.worktree.progress.add(size);
            return Ok(());
        }
        let copied = self.source.copy(id, &mut out);
        let copied = copied.map_err(|source| Error::Access { doing: "restore", path: path(), source })?;
        match copied {
            // It was there when the plan was made.
            None => Err(Stop::Outcome(Outcome::Missing)),
            Some(len) if len != size => {
                let rule = "the listing tells a wrong size".to_owned();
                Err(Stop::Error(Error::Unsafe { path: path(), rule }))
            }
            Some(len) => {
                self.worktree.progress.add(len);
                if let Some(shelf) = shelf
                    && let Ok(file) = dir.open_file(name)
                {
                    // The next one shares its blocks. Where that fails, it is written as this one was.
                    let _ =
                        shelf.put(self.worktree, id, false, &mut |shared| Ok(shared.share(&file).ok().map(|()| len)));
                }
                Ok(())
            }
        }
    }

    /// Refuses if what is at the destination is not what the caller agreed to replace.
    fn check_unchanged(&self) -> Result<(), Stop> {
        let now = self.dir.stat(&self.name).map_err(self.failed())?;
        let same = match (&self.item.seen, &now) {
            (None, None) => true,
            // The times of a folder tell nothing about what is in it.
            (Some(before), Some(now)) if before.is_folder() => now.is_folder() && before.ino == now.ino,
            (Some(before), Some(now)) => before.same_content(now),
            _ => false,
        };
        let unchanged = same
            && match self.fence {
                Some(fence) if !fence.is_empty() => fence.check(self.worktree).is_empty(),
                _ => self.item.fence.check(self.worktree).is_empty(),
            };
        if unchanged { Ok(()) } else { Err(Stop::Outcome(Outcome::Refused)) }
    }

    /// Takes the place of nothing.
    fn appear(&self, beside: &[u8]) -> Result<(), Stop> {
        self.dir.rename_no_replace(beside, &self.dir, &self.name).map_err(|err| match err.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => Stop::Outcome(Outcome::Refused),
            _ => self.failed()(err),
        })
    }

    /// Takes the place of something that can't be renamed over: that goes aside, and back if this fails.
    fn swap(&self, beside: &[u8]) -> Result<(), Stop> {
        let (aside, ()) = fresh_name(|name| self.dir.make_dir(name)).map_err(self.failed())?;
        let inside = self.dir.folder(&aside).map_err(self.failed())?;
        let moved = self.dir.rename(&self.name, &inside, b"old").map_err(self.failed());
        let done =
            moved.and_then(|()| self.dir.rename_no_replace(beside, &self.dir, &self.name).map_err(self.failed()));
        if done.is_ok() {
            return self.dir.remove(&aside).map_err(self.failed());
        }
        let _ = inside.rename_no_replace(b"old", &self.dir, &self.name);
        // Only if it is empty: what could not be moved back is not thrown away.
        let _ = self.dir.remove_dir(&aside);
        done
    }
}

impl WantedFolder {
    /// Whether names come to this folder, go from it or change in it.
    fn is_changed(&self) -> bool {
        !self.extra.is_empty() || self.nodes.iter().any(|n| n.here != Here::Right)
    }
}

fn is_link(err: &io::Error) -> bool {
    err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// The path of a folder of a tree; its names were checked when it was listed.
fn relative(path: &BString) -> RelPath {
    RelPath::new(path.clone()).unwrap_or_default()
}

/// Makes something under a name that did not exist: `.prov-restore-<pid>-<n>`.
fn fresh_name<T>(make: impl Fn(&[u8]) -> io::Result<T>) -> io::Result<(BString, T)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    for _ in 0..1000 {
        let mut name = BString::from(STAGING_PREFIX);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        name.extend_from_slice(format!("{}-{nth}", std::process::id()).as_bytes());
        match make(&name) {
            Ok(made) => return Ok((name, made)),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            Err(err) => return Err(err),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

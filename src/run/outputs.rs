//! What an output is on disk: a file, a folder, or some files of a folder; and taking it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bstr::{BStr, BString};

use super::Error;
use super::prepare::Prepared;
use super::session::Session;
use crate::fs::{FileKind, Stat};
use crate::hash::Id;
use crate::object::Sink;
use crate::object::run::{Member, Output};
use crate::path::{Place, locate};
use crate::recipe::Members;
use crate::refs::key;
use crate::repo::entry;
use crate::store::Snapshot;
use crate::worktree::stat_cache::Key;
use crate::worktree::{self, CaptureOptions, Captured, Keep, ScanOptions};

/// Members that one set can have: each is listed in the record, and found by its content and its path.
pub const MAX_MEMBERS: usize = 10_000;

/// What is taken of the place of an output: all of it, or the members of a set.
pub fn options(members: Option<&Members>) -> CaptureOptions {
    let Some(members) = members else { return CaptureOptions::default() };
    let (kept, entered) = (Arc::new(members.clone()), Arc::new(members.clone()));
    CaptureOptions {
        scan: ScanOptions {
            keep: Some(Keep::new(move |path, _| kept.has(path))),
            enter: Some(Keep::new(move |path, _| entered.may_hold(path))),
            without_empty_folders: true,
            ..ScanOptions::default()
        },
        ..CaptureOptions::default()
    }
}

/// What is taken of a folder when it is just these files of it.
pub fn exactly<'a>(names: impl IntoIterator<Item = &'a BStr>) -> CaptureOptions {
    let names: Arc<BTreeSet<BString>> = Arc::new(names.into_iter().map(BStr::to_owned).collect());
    let mut folders: BTreeSet<BString> = BTreeSet::new();
    for name in names.iter() {
        folders.extend(name.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| BString::from(&name[..at])));
    }
    CaptureOptions {
        scan: ScanOptions {
            keep: Some(Keep::new(move |path, _| names.contains(path))),
            enter: Some(Keep::new(move |path, _| folders.contains(path))),
            without_empty_folders: true,
            ..ScanOptions::default()
        },
        ..CaptureOptions::default()
    }
}

/// What is taken of the place of a recorded output to compare it with the record. Of what a run changed, and of sets by
/// rules that this prov does not know, these are the members that it had.
pub fn recorded(output: &Output) -> CaptureOptions {
    match &output.set {
        None => CaptureOptions::default(),
        Some(set) => match Members::new(set) {
            Ok(members) if !set.changed => options(Some(&members)),
            _ => exactly(output.members.keys().map(|name| -> &BStr { name.as_ref() })),
        },
    }
}

/// Whether the output lies at `place` already.
pub fn lies_there(session: &Session<'_>, place: &Place, output: &Output) -> bool {
    let options = CaptureOptions { without_fence: true, ..recorded(output) };
    worktree::capture(&session.worktree(), place, &options, None)
        .is_ok_and(|captured| captured.content == output.content && captured.exec == output.exec)
}

/// A set as it lies there.
#[derive(Debug)]
pub struct TakenSet {
    /// All of it.
    pub captured: Captured,
    /// Its files, each with what its name says.
    pub members: BTreeMap<BString, Member>,
}

/// Takes the members of a set, and stores them if there is a sink.
///
/// # Errors
/// When the folder is none or is absent, a member is a link or no file, there are too many, or something can't be read.
pub fn take_set(
    session: &Session<'_>,
    key: &str,
    place: &Place,
    members: &Members,
    options: &CaptureOptions,
    sink: Option<&dyn Sink>,
) -> Result<TakenSet, Error> {
    let worktree = session.worktree();
    let listed = list(session, place, options)?;
    let refuse = |what: String| Err(Error::Usage { what: format!("output set `{key}`: {what}") });
    if listed.len() > MAX_MEMBERS {
        return refuse(format!(
            "it has {} members, and {MAX_MEMBERS} is the most; declare the folder as an output, -o {key}=DIR",
            listed.len()
        ));
    }
    let mut read = Vec::new();
    for (name, path, stat) in listed {
        if stat.kind == FileKind::Link {
            return refuse(format!(
                "`{}` is a symbolic link, and members are files; leave it out with {key}=ROOT:!PATTERN",
                crate::path::show(&path)
            ));
        }
        let facets = match members.find(name.as_ref()) {
            Some(Ok(values)) => values,
            // Told when the outputs are held against what is expected.
            Some(Err(_)) | None => BTreeMap::new(),
        };
        read.push((name, path, facets));
    }
    let captured = worktree::capture(&worktree, place, options, sink)?;
    let mut found = BTreeMap::new();
    for (name, path, facets) in read {
        // Just hashed: the cache knows. That nothing changed since is seen by the fence.
        let key = Key::of(&locate(worktree.root, worktree.root, &path));
        let hashed = worktree::hash_file(&worktree, key, &path, None)?;
        let exec = matches!(hashed.stat.kind, FileKind::File { exec: true });
        found.insert(name, Member { id: hashed.id, size: hashed.stat.size, exec, facets });
    }
    if captured.files != found.len() as u64 {
        return Err(worktree::Error::Changed { path: worktree.path(place) }.into());
    }
    Ok(TakenSet { captured, members: found })
}

/// The files and links that `options` take of a folder: by name below it, each with its absolute path and state. None if there is no such
/// folder.
///
/// # Errors
/// When it is no folder, or something in it can't be read.
pub fn list(
    session: &Session<'_>,
    place: &Place,
    options: &CaptureOptions,
) -> Result<Vec<(BString, PathBuf, Stat)>, Error> {
    let worktree = session.worktree();
    let at = worktree.path(place);
    let is_there = session.repo.fs().stat(&at).map_err(|source| Error::io("read", &at, source))?;
    match is_there {
        None => return Ok(Vec::new()),
        Some(stat) if !stat.is_folder() => {
            return Err(Error::Usage {
                what: format!(
                    "`{}` is no folder, and some of its files are declared as an output",
                    crate::path::show(&at)
                ),
            });
        }
        Some(_) => {}
    }
    let scan = worktree::scan(worktree.fs, &at, &options.scan, worktree.cancel)?;
    let entries = scan.folders.iter().flat_map(|folder| folder.entries.iter().map(move |entry| (folder, entry)));
    Ok(entries
        .filter(|(_, entry)| !entry.stat.is_folder())
        .map(|(folder, entry)| {
            let name = folder.path_of(&entry.name);
            let path = scan.path(&name);
            (name, path, entry.stat)
        })
        .collect())
}

/// The path of a member as records have it, where the set's folder is `root`.
pub fn member_path(root: &BString, member: &BString) -> BString {
    let mut path = root.clone();
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(member);
    path
}

/// The files that a capture could take, as they lie there before the command runs: state and content.
pub type Seen = BTreeMap<BString, (Stat, Id)>;

/// Looks at what a capture could take, before the command runs.
///
/// # Errors
/// When something there can't be read.
pub fn see(session: &Session<'_>, place: &Place, members: &Members) -> Result<Seen, Error> {
    let worktree = session.worktree();
    let mut seen = Seen::new();
    for (name, path, stat) in list(session, place, &options(Some(members)))? {
        if stat.kind == FileKind::Link {
            continue;
        }
        let key = Key::of(&locate(worktree.root, worktree.root, &path));
        seen.insert(name, (stat, worktree::hash_file(&worktree, key, &path, None)?.id));
    }
    Ok(seen)
}

/// What a command made and changed of the files that a capture could take.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files that were not there.
    pub made: Vec<BString>,
    /// Files that were there and that it wrote.
    pub rewritten: Vec<BString>,
}

/// Compares what a capture could take with what was seen before.
///
/// # Errors
/// When something there can't be read.
pub fn changes(
    session: &Session<'_>,
    place: &Place,
    members: &Members,
    before: Option<&Seen>,
) -> Result<Changes, Error> {
    let worktree = session.worktree();
    let mut changes = Changes::default();
    for (name, path, stat) in list(session, place, &options(Some(members)))? {
        match before.and_then(|before| before.get(&name)) {
            None if stat.kind == FileKind::Link => {
                return Err(Error::Usage {
                    what: format!("`{}` is a symbolic link, and only files are captured", crate::path::show(&path)),
                });
            }
            None => changes.made.push(name),
            Some((state, id)) => {
                let key = Key::of(&locate(worktree.root, worktree.root, &path));
                // A file too young for its state to prove anything is hashed again.
                if !state.same_content(&stat) || worktree::hash_file(&worktree, key, &path, None)?.id != *id {
                    changes.rewritten.push(name);
                }
            }
        }
    }
    Ok(changes)
}

/// Those of the files that a capture could take that the last run to record them was one of the same step: its own old outputs.
///
/// # Errors
/// When the store can't be read, or something there.
pub fn own_old(
    session: &Session<'_>,
    snapshot: &Snapshot,
    step: &str,
    place: &Place,
    members: &Members,
) -> Result<Vec<BString>, Error> {
    let root = session.repo.recorded_path(place);
    let mut steps: BTreeMap<String, bool> = BTreeMap::new();
    let mut old = Vec::new();
    for (name, ..) in list(session, place, &options(Some(members)))? {
        let path = member_path(&root, &name);
        let Some(value) = snapshot.get_ref(&key::outpath(session.repo.project(), path.as_ref()))? else { continue };
        let run: String = entry::decode(&value).map_err(|source| Error::Ref { source })?;
        let is_own = match steps.get(&run) {
            Some(is_own) => *is_own,
            None => {
                let is_own = match snapshot.get_ref(&key::id(&run))? {
                    Some(place) => {
                        let place: entry::RunPlace = entry::decode(&place).map_err(|source| Error::Ref { source })?;
                        crate::revspec::read_run(snapshot, &run, &place.object).is_ok_and(|run| run.step == step)
                    }
                    None => false,
                };
                steps.insert(run, is_own);
                is_own
            }
        };
        if is_own {
            old.push(name);
        }
    }
    Ok(old)
}

/// Looks at what captures could take, before anything runs.
pub(super) fn see_captures(session: &Session<'_>, prepared: &mut Prepared) -> Result<(), Error> {
    for (key, members) in prepared.declared.sets().iter().filter(|(_, members)| members.is_changed_only()) {
        if let Some(place) = prepared.output(key) {
            prepared.seen.insert(key.clone(), see(session, place, members)?);
        }
    }
    Ok(())
}

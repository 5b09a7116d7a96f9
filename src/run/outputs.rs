//! What an output is on disk: a file, a folder, or some files of a folder; and taking it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bstr::{BStr, BString};

use super::Error;
use super::session::Session;
use crate::fs::FileKind;
use crate::object::Sink;
use crate::object::run::{Member, Output};
use crate::path::{Place, locate};
use crate::recipe::Members;
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
    worktree::capture(&session.worktree(), place, &recorded(output), None)
        .is_ok_and(|captured| captured.content == output.content && captured.exec == output.exec)
}

/// A set as it lies there.
#[derive(Debug)]
pub struct TakenSet {
    /// All of it.
    pub captured: Captured,
    /// Its files, each with what its name says.
    pub members: BTreeMap<BString, Member>,
    /// Names that contradict themselves, for people.
    pub contradictions: Vec<String>,
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
    let mut contradictions = Vec::new();
    for (name, path, kind) in listed {
        if kind == FileKind::Link {
            return refuse(format!(
                "`{}` is a symbolic link, and members are files; leave it out with {key}=ROOT:!PATTERN",
                crate::path::show(&path)
            ));
        }
        let facets = match members.find(name.as_ref()) {
            Some(Ok(values)) => values,
            Some(Err(told)) => {
                contradictions.push(format!(
                    "the name `{}` says that `{}` is {} and {}",
                    crate::path::shown(&name),
                    told.name,
                    crate::config::to_json(&told.first),
                    crate::config::to_json(&told.second)
                ));
                BTreeMap::new()
            }
            None => BTreeMap::new(),
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
    Ok(TakenSet { captured, members: found, contradictions })
}

/// The files and links that `options` take of a folder: by name below it, each with its absolute path. None if there is no such
/// folder.
///
/// # Errors
/// When it is no folder, or something in it can't be read.
pub fn list(
    session: &Session<'_>,
    place: &Place,
    options: &CaptureOptions,
) -> Result<Vec<(BString, PathBuf, FileKind)>, Error> {
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
            (name, path, entry.stat.kind)
        })
        .collect())
}

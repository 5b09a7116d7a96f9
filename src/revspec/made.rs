//! What was made at a path.

use std::cmp::Reverse;

use bstr::{BStr, BString, ByteSlice};

use super::resolve::{Error, RunRef, is_passed_over, newest_artifact, read_run};
use crate::hash::Id;
use crate::mark::Marks;
use crate::object::Source;
use crate::object::recipe::Content;
use crate::object::run::{Output, Run};
use crate::object::tree::{self, EntryKind, ListError};
use crate::path::Place;
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunPlace};
use crate::store::Snapshot;

/// What a run recorded at a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The run.
    pub at: RunRef,
    /// The key of its output that has the path.
    pub key: String,
    /// What the path held: the output, or just the one file of it, in a set or a folder.
    pub output: Output,
    /// Whether that is all of the output.
    pub is_whole: bool,
}

/// What is on record of a path.
#[derive(Debug, Clone, PartialEq)]
pub enum MadeThere {
    /// This was made there.
    Here(Box<Made>),
    /// If anything was, it lay in this folder, whose listing is not at hand.
    In(Content),
    /// No executed run made anything there.
    Nothing,
}

/// A run that made an output at a path, or at a folder that the path lay in.
struct Maker {
    at: RunRef,
    record: Run,
    key: String,
}

/// What the newest run on record made at a place, by the path alone: in the scenario, or in what it was forked from, if a run
/// there made the same artifact at the same path; else the newest run of the project that did. Where it can't be told what that was, what
/// was made there earlier is not taken for it.
///
/// A run that is hidden, or whose outcome was retracted, is passed over, as it is by every other name.
///
/// A path that exists means what lies there, so this is for who brings back, or looks where nothing lies any more: an input is
/// never taken by it.
///
/// # Errors
/// Whatever reading the store reports.
pub fn made_at(repo: &Repo, snapshot: &Snapshot, scenario: &str, place: &Place) -> Result<MadeThere, Error> {
    let path = repo.recorded_path(place);
    // The path itself, or the folder that it lay in: it may have been an output of its own first, and then one of a folder.
    let folders = (0..path.len()).rev().filter(|&at| path[at] == b'/').map(|at| path[..at].as_bstr());
    let marks = Marks::open(snapshot)?;
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for root in std::iter::once(path.as_bstr()).chain(folders).filter(|root| !root.is_empty()) {
        let Some((newest, record)) = newest_at(repo, snapshot, root)? else { continue };
        let Some((key, lies)) = artifact_at(&record, root) else { continue };
        let is_good = !is_passed_over(&marks, &newest.object)?;
        if is_good && newest.scenario == scenario {
            own.push(Maker { at: newest, record, key });
            continue;
        }
        // The newest of all is another scenario's: all of this one that have the key are gone through.
        if let Some(at) = newest_artifact(snapshot, repo.project(), scenario, &key, |touch| touch.path == lies)? {
            let record = read_run(snapshot, &at.run, &at.object)?;
            own.push(Maker { at, record, key: key.clone() });
        }
        if is_good {
            others.push(Maker { at: newest, record, key });
        }
    }
    for makers in [&mut own, &mut others] {
        makers.sort_by_key(|maker| Reverse(maker.record.started_at));
    }
    for Maker { at, record, key } in own.into_iter().chain(others) {
        let Some(output) = record.outputs.get(&key) else { continue };
        match part_of(snapshot, &at, output, &path)? {
            Part::There(found) => {
                let is_whole = *found == *output;
                return Ok(MadeThere::Here(Box::new(Made { at, key, output: *found, is_whole })));
            }
            Part::Unlisted(folder) => return Ok(MadeThere::In(Content::Tree(folder))),
            Part::NotThere => {}
        }
    }
    Ok(MadeThere::Nothing)
}

/// The newest run that was executed and recorded something at a path.
fn newest_at(repo: &Repo, snapshot: &Snapshot, path: &BStr) -> Result<Option<(RunRef, Run)>, Error> {
    let Some(value) = snapshot.get_ref(&key::outpath(repo.project(), path))? else { return Ok(None) };
    let run: String = entry::decode(&value)?;
    let Some(value) = snapshot.get_ref(&key::id(&run))? else { return Ok(None) };
    let known: RunPlace = entry::decode(&value)?;
    let at = RunRef { run, object: known.object, project: known.project, scenario: known.scenario };
    let record = read_run(snapshot, &at.run, &at.object)?;
    Ok(Some((at, record)))
}

/// The key and the place of the output that is at a path, or has a member there.
fn artifact_at(run: &Run, path: &BStr) -> Option<(String, BString)> {
    let (key, output) = run.outputs.iter().find(|(_, output)| match &output.set {
        None => output.path == path,
        Some(_) => output.members.keys().any(|member| output.member_path(member) == path),
    })?;
    Some((key.clone(), output.path.clone()))
}

/// What of an output lies at a path.
enum Part {
    There(Box<Output>),
    NotThere,
    /// That can't be told without this listing.
    Unlisted(Id),
}

fn part_of(snapshot: &Snapshot, at: &RunRef, output: &Output, path: &BString) -> Result<Part, Error> {
    if output.set.is_some() {
        let member = output.members.iter().find(|(member, _)| output.member_path(member) == *path);
        let content = |id| Content::Blob(id);
        return Ok(member.map_or(Part::NotThere, |(_, file)| {
            Part::There(Box::new(single(output, path, content(file.id), file.size, file.exec)))
        }));
    }
    let Some(below) = path.strip_prefix(output.path.as_slice()) else { return Ok(Part::NotThere) };
    let (mut content, mut size, mut exec) = (output.content.clone(), output.size, output.exec);
    for name in below.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        let Content::Tree(id) = content else { return Ok(Part::NotThere) };
        let mut read = |id: &Id| match snapshot.read(id) {
            Ok(found) => found.map(|(_, bytes)| bytes).ok_or(None),
            Err(err) => Err(Some(Error::from(err))),
        };
        let entries = match tree::list(id, &mut read) {
            Ok(entries) => entries,
            Err(ListError::Read(None)) => return Ok(Part::Unlisted(id)),
            Err(ListError::Read(Some(err))) => return Err(err),
            Err(ListError::Object(source)) => return Err(Error::Record { run: at.run.clone(), source }),
        };
        let Some(entry) = entries.into_iter().find(|entry| entry.name == name) else { return Ok(Part::NotThere) };
        content = match entry.kind {
            EntryKind::Tree => Content::Tree(entry.id),
            EntryKind::File | EntryKind::Exec => Content::Blob(entry.id),
            // Where it led can be had with the folder that it lay in.
            EntryKind::Link => return Ok(Part::NotThere),
        };
        (size, exec) = (entry.size, entry.kind == EntryKind::Exec);
    }
    Ok(Part::There(Box::new(single(output, path, content, size, exec))))
}

fn single(output: &Output, path: &BString, content: Content, size: u64, exec: bool) -> Output {
    if content == output.content {
        return output.clone();
    }
    let (set, members, format, schema) = (None, std::collections::BTreeMap::new(), None, None);
    let path = path.clone();
    Output { set, exec, path, size, format, schema, content, members, ..output.clone() }
}

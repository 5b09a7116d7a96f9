//! What the revisions on the command line mean, and how to get at what they name.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;

use bstr::BString;
use prov::hash::Id;
use prov::object::recipe::{Content, Recipe};
use prov::object::run::{Output, Producer, Run};
use prov::object::tree::{self, Entry, EntryKind, ListError};
use prov::object::{AccessError, Kind, Record, Source};
use prov::refs::key;
use prov::repo::Repo;
use prov::revspec::{self, Made, MadeThere, RunRef, Target};
use prov::run::Session;
use prov::store::{Direction, Snapshot};
use prov::worktree::{self, CaptureOptions, Captured};

use super::Context;
use crate::error::{Class, Failure};
use crate::open;
use crate::output::record::shown;

/// An opened project, read as it is now.
pub(crate) struct Seen {
    /// The project.
    pub(crate) repo: Repo,
    /// Its store.
    pub(crate) snapshot: Snapshot,
}

/// An artifact of a run.
pub(crate) struct Artifact {
    /// Its key.
    pub(crate) key: String,
    /// Whether it is an output, else an input.
    pub(crate) is_output: bool,
    /// What it holds.
    pub(crate) content: Content,
    /// Where it lived, as records have it.
    pub(crate) path: BString,
    /// Its bytes.
    pub(crate) size: u64,
    /// Whether the store was given its bytes.
    pub(crate) stored: bool,
    /// The run that made it, if it is an input.
    pub(crate) producer: Option<Producer>,
}

impl Seen {
    /// Opens the project around the current folder.
    pub(crate) fn open(cx: &Context) -> Result<Self, Failure> {
        let repo = open::to_look(cx)?;
        let snapshot = repo.store().snapshot()?;
        Ok(Self { repo, snapshot })
    }

    /// As [`Seen::open`], for who records something of what was seen.
    pub(crate) fn open_to_record(cx: &Context) -> Result<Self, Failure> {
        let repo = open::repo(cx)?;
        let snapshot = repo.store().snapshot()?;
        Ok(Self { repo, snapshot })
    }

    /// What a revision means.
    pub(crate) fn target(&self, cx: &Context, rev: &OsStr) -> Result<Target, Failure> {
        let Some(text) = rev.to_str() else {
            // What is not UTF-8 can only be a path.
            let place = prov::path::locate(self.repo.root(), &cx.cwd, rev.as_ref());
            return match cx.fs.lstat(&cx.cwd.join(rev)) {
                Ok(Some(_)) => Ok(Target::Path(place)),
                _ => Err(revspec::Error::NotFound { text: shown(rev.as_bytes()) }.into()),
            };
        };
        match revspec::resolve(&self.repo, &self.snapshot, self.repo.scenario(), &cx.cwd, text) {
            Ok(target) => Ok(target),
            Err(err @ revspec::Error::NotFound { .. }) => {
                let near = self.names_near(text);
                let failure = Failure::from(err);
                if near.is_empty() {
                    return Err(failure);
                }
                Err(failure.candidates(near).hint("did you mean one of these?"))
            }
            Err(err) => Err(err.into()),
        }
    }

    /// What the newest run made at a path where nothing lies any more, for who only looks.
    ///
    /// # Errors
    /// `failure`, which says that nothing else is named so, if nothing was made there.
    pub(crate) fn made_at(&self, cx: &Context, path: &OsStr, failure: Failure) -> Result<Made, Failure> {
        if failure.code != "not_found" {
            return Err(failure);
        }
        let place = prov::path::locate(self.repo.root(), &cx.cwd, path.as_ref());
        match revspec::made_at(&self.repo, &self.snapshot, self.repo.scenario(), &place)? {
            MadeThere::Here(made) => Ok(*made),
            MadeThere::In(_) => Err(unlisted(path)),
            MadeThere::Nothing => Err(failure),
        }
    }

    /// As [`Seen::target`], for who only looks: a path where nothing lies any more means what the newest run made there.
    ///
    /// # Errors
    /// As [`Seen::target`].
    pub(crate) fn look(&self, cx: &Context, rev: &OsStr) -> Result<Target, Failure> {
        let failure = match self.target(cx, rev) {
            Ok(target) => return Ok(target),
            Err(failure) => failure,
        };
        let made = self.made_at(cx, rev, failure)?;
        Ok(match (made.is_whole, made.output.content.kind()) {
            (false, Some(kind)) => Target::Object(made.output.content.id(), kind),
            _ => Target::Artifact(made.at, made.key),
        })
    }

    /// The run that a revision means.
    pub(crate) fn run(&self, cx: &Context, rev: &OsStr) -> Result<(RunRef, Run), Failure> {
        match self.target(cx, rev)? {
            Target::Run(at) => {
                let run = self.read_run(&at)?;
                Ok((at, run))
            }
            _ => Err(Failure::usage(format!("`{}` is not a run", shown(rev.as_bytes())))
                .hint("name a run, a step or a scenario")),
        }
    }

    /// The record of a run.
    pub(crate) fn read_run(&self, at: &RunRef) -> Result<Run, Failure> {
        Ok(revspec::read_run(&self.snapshot, &at.run, &at.object)?)
    }

    /// An output as an artifact.
    pub(crate) fn output(key: &str, output: &Output) -> Artifact {
        Artifact {
            key: key.to_owned(),
            is_output: true,
            content: output.content.clone(),
            path: output.path.clone(),
            size: output.size,
            stored: output.stored,
            producer: None,
        }
    }

    /// An artifact of a run: the output with this key, else the input.
    pub(crate) fn artifact(run: &Run, key: &str) -> Option<Artifact> {
        if let Some(output) = run.outputs.get(key) {
            return Some(Self::output(key, output));
        }
        run.inputs.get(key).map(|input| Artifact {
            key: key.to_owned(),
            is_output: false,
            content: input.content.clone(),
            path: input.path.clone(),
            size: input.size,
            stored: input.stored,
            producer: input.producer.clone(),
        })
    }

    /// The only output of a run.
    ///
    /// # Errors
    /// When there is none, or more than one, all of which are named.
    pub(crate) fn only_output(run: &Run) -> Result<Artifact, Failure> {
        let mut keys = run.outputs.keys();
        match (keys.next(), keys.next()) {
            (Some(key), None) => match Self::artifact(run, key) {
                Some(artifact) => Ok(artifact),
                None => Err(Failure::new(Class::NotFound, "no_output", format!("run {} has no output", run.run))),
            },
            (None, _) => Err(Failure::new(Class::NotFound, "no_output", format!("run {} has no output", run.run))),
            (Some(_), Some(_)) => {
                Err(Failure::new(Class::NotFound, "ambiguous", format!("run {} has more than one output", run.run))
                    .candidates(run.outputs.keys().map(|key| format!("{}:{}", run.tail(), shown(key))))
                    .hint("name one of them"))
            }
        }
    }

    /// An object's kind and bytes.
    ///
    /// # Errors
    /// When it is damaged or not there.
    pub(crate) fn object(&self, id: &Id) -> Result<(Kind, Vec<u8>), Failure> {
        object(&self.snapshot, id)
    }

    /// The recipe of a run, if it has one that can be read.
    pub(crate) fn recipe(&self, run: &Run) -> Option<Recipe> {
        let (_, bytes) = self.snapshot.read(&run.recipe?).ok().flatten()?;
        Recipe::decode(&bytes).ok()
    }

    /// A configuration object's value.
    pub(crate) fn config(&self, id: &Id) -> Result<prov::codec::Value, Failure> {
        let (_, bytes) = self.object(id)?;
        Ok(prov::object::config::Config::decode(&bytes)?.0)
    }

    /// What a path of the work tree holds now, by content alone.
    pub(crate) fn capture(session: &Session<'_>, place: &prov::path::Place) -> Result<Captured, Failure> {
        Ok(worktree::capture(&session.worktree(), place, &CaptureOptions::default(), None)?)
    }

    /// Names of scenarios and steps that are spelled almost like `text`.
    fn names_near(&self, text: &str) -> Vec<String> {
        let word = text.split([':', '~', '@']).find(|part| !part.is_empty()).unwrap_or(text);
        let mut names: BTreeSet<String> =
            prov::scenario::names(&self.repo, &self.snapshot).unwrap_or_default().into_iter().collect();
        let prefix = key::steps_of_project(self.repo.project());
        let mut from = prefix.clone();
        // From one step to the next; suggestions are not worth a long search.
        for _ in 0..256 {
            let next = self.snapshot.scan_from(&prefix, Bound::Included(&from), Direction::Forward).next();
            let Some(Ok((found, _))) = next else { break };
            let Some(step) = key::step_of(&found) else { break };
            from = key::after(&key::steps_of(self.repo.project(), &step));
            names.insert(step);
        }
        names.into_iter().filter(|name| is_near(word, name)).map(shown).take(8).collect()
    }
}

/// An object's kind and bytes.
///
/// # Errors
/// When it is damaged or not there.
pub(crate) fn object(source: &dyn Source, id: &Id) -> Result<(Kind, Vec<u8>), Failure> {
    source.read(id)?.ok_or_else(|| lost(&format!("object {id}")))
}

/// The entries of a folder; with `is_deep`, of the folders below as well: path and entry, in the order of the paths' names.
///
/// # Errors
/// When a folder is damaged or not there. All that are there have been asked for then.
pub(crate) fn entries(source: &dyn Source, root: Id, is_deep: bool) -> Result<Vec<(BString, Entry)>, Failure> {
    let (mut found, mut missing) = (Vec::new(), None);
    let mut todo = vec![(BString::default(), root)];
    // A stack of what is still to be listed, the next entry on top: no depth is too deep.
    let mut stack: Vec<(BString, Entry)> = Vec::new();
    loop {
        if let Some((folder, id)) = todo.pop() {
            let entries = match list(source, id)? {
                Some(entries) => entries,
                None => {
                    missing.get_or_insert(id);
                    Vec::new()
                }
            };
            stack.extend(entries.into_iter().rev().map(|entry| {
                let mut path = folder.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(&entry.name);
                (path, entry)
            }));
        }
        let Some((path, entry)) = stack.pop() else { break };
        if is_deep && entry.kind == EntryKind::Tree {
            todo.push((path, entry.id));
        } else {
            found.push((path, entry));
        }
    }
    missing.map_or(Ok(found), |id| Err(lost(&format!("folder {id}"))))
}

/// What is in a folder; `None` if that is not here.
fn list(source: &dyn Source, id: Id) -> Result<Option<Vec<Entry>>, Failure> {
    let mut read = |id: &Id| match source.read(id) {
        Ok(Some((_, bytes))) => Ok(bytes),
        Ok(None) => Err(None),
        Err(err) => Err(Some(Failure::from(err))),
    };
    match tree::list(id, &mut read) {
        Ok(entries) => Ok(Some(entries)),
        Err(ListError::Read(None)) => Ok(None),
        Err(ListError::Read(Some(failure))) => Err(failure),
        Err(ListError::Object(err)) => Err(err.into()),
    }
}

/// The failure for what is recorded but can't be had.
pub(crate) fn lost(what: &str) -> Failure {
    Failure::new(Class::Damaged, "missing", format!("{what} is not in the store"))
        .hint("`prov fsck` tells whether something is damaged; an output can be made again with `prov run -f`")
}

/// The failure for a path of which only the folder that it lay in is known.
pub(crate) fn unlisted(path: &OsStr) -> Failure {
    let what = format!("what the folder around `{}` held is not in the store", shown(path.as_bytes()));
    Failure::new(Class::Damaged, "content_missing", what)
        .hint("`prov fetch --content` brings it from a remote that has it; or run the step again")
}

/// Whether two words differ by no more than a typing mistake or two.
fn is_near(typed: &str, name: &str) -> bool {
    let (typed, name) = (typed.to_lowercase(), name.to_lowercase());
    let most = if typed.chars().count() < 5 { 1 } else { 2 };
    distance(&typed, &name) <= most || typed.len() >= 3 && name.starts_with(&typed)
}

/// How many letters must be inserted, removed, replaced or swapped with the next to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let mut best = (row[j] + usize::from(from != to)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(above[j - 1] + 1);
            }
            next.push(best);
        }
        above = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

/// Streams a blob to standard output, verified on the way.
///
/// # Errors
/// When it is damaged or not there, or nobody reads.
pub(crate) fn print_blob(cx: &Context, snapshot: &Snapshot, id: &Id, what: &str) -> Result<(), Failure> {
    match cx.ui.with_writer(|out| snapshot.copy(id, out)) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(lost(what)),
        // The store's own files are mapped: what fails by itself is the writing.
        Err(AccessError::Io(err)) => Err(err.into()),
        Err(err) => Err(err.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_are_near_and_others_are_not() {
        for (typed, name) in
            [("claen", "clean"), ("clen", "clean"), ("Clean", "clean"), ("cle", "clean_up"), ("ft", "fit")]
        {
            assert!(is_near(typed, name), "{typed} {name}");
        }
        for (typed, name) in [("x", "clean"), ("model", "clean"), ("fit", "train"), ("", "clean")] {
            assert!(!is_near(typed, name), "{typed} {name}");
        }
    }
}

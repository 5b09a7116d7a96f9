//! Bringing back what runs recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::Error;
use super::clear::{self, KeptSafe};
use super::hydrate::{self, Extra, Item};
use super::session::Session;
use crate::hash::Id;
use crate::journal::{self, Line};
use crate::object::recipe::Content;
use crate::object::run::{Input, Output};
use crate::object::{Kind, Source};
use crate::path::{Place, RelPath};
use crate::revspec::{self, RunRef, Target};
use crate::store::Snapshot;
use crate::worktree::restore::{Link, Outcome};

/// Where to, and what may be replaced.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// Where to; `None` for the recorded places.
    pub to: Option<Destination>,
    /// Replaces what the store does not know, after storing it.
    pub force: bool,
    /// Whether files are brought back as links to shared ones.
    pub link: Link,
    /// Nothing is changed.
    pub dry_run: bool,
}

/// Where things are restored to, instead of the recorded places. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Below this folder, each at its recorded path.
    Below(PathBuf),
    /// The one thing that is restored, just here.
    Exactly(PathBuf),
    /// Only the outputs of these keys, each just here.
    Chosen(BTreeMap<String, PathBuf>),
}

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredItem {
    /// Its key; `None` for what has none: a config, code, an object.
    pub key: Option<String>,
    /// Where it was to go, absolute.
    pub path: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused, where that is known.
    pub why: Option<String>,
    /// Of a set: how many files it has.
    pub members: Option<usize>,
}

/// What a restore did.
#[derive(Debug, Default)]
pub struct Restoration {
    /// Everything that was meant, in order.
    pub items: Vec<RestoredItem>,
    /// Unknown content that was stored and then replaced.
    pub displaced: Vec<KeptSafe>,
}

/// What is to be written: content from the store, or the text of a config.
enum Piece {
    Stored(Item),
    /// The members of a set, what is too many where they go, and the set's folder.
    Set(Vec<Item>, Option<Extra>, RestoredItem),
    Text {
        path: PathBuf,
        text: String,
    },
    Refused {
        key: String,
        path: PathBuf,
        why: String,
    },
    /// It is what lies there already.
    There(PathBuf),
}

/// Brings back what a revision means: the outputs of a run, one artifact, a config, code, or an object.
///
/// All or none: what lies in the way is replaced if the store knows its content; else it is refused, and nothing is restored, unless
/// `force` says to store it first. Nothing is written outside of the project or of the folder that was named.
///
/// # Errors
/// When the revision names nothing that can be a file, or something can't be read or written.
pub fn restore(
    session: &Session<'_>,
    snapshot: &Snapshot,
    target: &Target,
    options: &RestoreOptions,
) -> Result<Restoration, Error> {
    let pieces = pieces(session, snapshot, target, options)?;
    restore_pieces(session, snapshot, pieces, options)
}

/// As [`restore`], for outputs that are known by themselves, each under a name that no other has.
///
/// # Errors
/// As [`restore`].
pub fn restore_outputs(
    session: &Session<'_>,
    snapshot: &Snapshot,
    outputs: &BTreeMap<String, Output>,
    options: &RestoreOptions,
) -> Result<Restoration, Error> {
    let pieces = outputs.iter().map(|(key, output)| artifact(session, key, output, options));
    let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
    restore_pieces(session, snapshot, pieces, options)
}

/// The contents that bringing back what a revision means takes.
///
/// # Errors
/// As [`restore`].
pub fn contents_of(
    session: &Session<'_>,
    snapshot: &Snapshot,
    target: &Target,
) -> Result<Vec<crate::object::recipe::Content>, Error> {
    let options =
        RestoreOptions { to: Some(Destination::Below(session.repo.root().to_owned())), ..RestoreOptions::default() };
    let pieces = pieces(session, snapshot, target, &options)?;
    Ok(pieces
        .into_iter()
        .flat_map(|piece| match piece {
            Piece::Stored(item) => vec![item.content],
            Piece::Set(items, ..) => items.into_iter().map(|item| item.content).collect(),
            Piece::Text { .. } | Piece::Refused { .. } | Piece::There(_) => Vec::new(),
        })
        .collect())
}

fn restore_pieces(
    session: &Session<'_>,
    snapshot: &Snapshot,
    pieces: Vec<Piece>,
    options: &RestoreOptions,
) -> Result<Restoration, Error> {
    let mut restoration = Restoration::default();
    let (mut wanted, mut extras, mut texts, mut sets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Stored(item) => wanted.push(item),
            Piece::Set(members, extra, set) => {
                wanted.extend(members);
                extras.extend(extra);
                sets.push(set);
            }
            Piece::Text { path, text } => texts.push((path, text)),
            Piece::Refused { key, path, why } => {
                let (key, why) = (Some(key), Some(why));
                restoration.items.push(RestoredItem { key, path, outcome: Outcome::Refused, why, members: None });
            }
            Piece::There(path) => {
                let outcome = Outcome::Kept;
                restoration.items.push(RestoredItem { key: None, path, outcome, why: None, members: None });
            }
        }
    }
    for (path, text) in texts {
        let item = write_text(session, snapshot, path, &text, options, &mut restoration.displaced)?;
        restoration.items.push(item);
    }
    if wanted.is_empty() && extras.is_empty() && sets.is_empty() {
        return Ok(restoration);
    }
    let replace = if options.force { hydrate::Replace::All } else { hydrate::Replace::Known };
    // What has no place at all keeps the rest from being restored as well.
    let is_refused = restoration.items.iter().any(|item| item.outcome == Outcome::Refused);
    let (mut restored, displaced) = if options.dry_run || is_refused {
        (hydrate::would_bring_back(session, snapshot, &wanted, &extras, replace)?, Vec::new())
    } else {
        hydrate::bring_back_as(session, snapshot, &wanted, &extras, replace, options.link)?
    };
    if is_refused {
        for done in restored.iter_mut().filter(|done| done.outcome == Outcome::Restored) {
            done.outcome = Outcome::Skipped;
        }
    }
    if !displaced.is_empty() {
        tell_journal(session, &wanted, &displaced)?;
    }
    restoration.displaced.extend(displaced);
    for mut set in sets {
        let (own, others): (Vec<_>, Vec<_>) =
            restored.into_iter().partition(|done| Some(&done.key) == set.key.as_ref());
        restored = others;
        sum_up(&mut set, &own);
        restoration.items.push(set);
    }
    restoration.items.extend(restored.into_iter().map(|done| RestoredItem {
        key: (!done.key.is_empty()).then_some(done.key),
        path: done.path,
        outcome: done.outcome,
        why: None,
        members: None,
    }));
    restoration.items.sort_by(|a, b| a.key.cmp(&b.key));
    session.save();
    Ok(restoration)
}

/// Writes down that something unknown was replaced, so that it can be taken back.
fn tell_journal(session: &Session<'_>, wanted: &[Item], displaced: &[KeptSafe]) -> Result<(), Error> {
    let mut line = Line::of(session.repo, "restore");
    for item in wanted {
        let path = item.to.below(&item.root);
        if displaced.iter().any(|kept| kept.path == path) {
            let place = crate::path::locate(session.repo.root(), session.repo.root(), &path);
            line.wrote.push((revspec::recorded_path(&place), item.content.clone()));
        }
    }
    line.about = line.wrote.iter().take(3).map(|(path, _)| crate::path::shown(path)).collect::<Vec<_>>().join(" ");
    Ok(journal::record(session.repo, &line).map(drop)?)
}

/// What became of a set: the worst of what became of its files.
fn sum_up(set: &mut RestoredItem, files: &[hydrate::Restored]) {
    let rank = |outcome: Outcome| match outcome {
        Outcome::Kept => 0,
        Outcome::Restored => 1,
        Outcome::Skipped => 2,
        Outcome::Refused => 3,
        Outcome::Missing => 4,
    };
    let Some(worst) = files.iter().max_by_key(|done| rank(done.outcome)) else { return };
    set.outcome = worst.outcome;
    if matches!(worst.outcome, Outcome::Refused | Outcome::Missing) {
        let such: Vec<&hydrate::Restored> = files.iter().filter(|done| done.outcome == worst.outcome).collect();
        let more = if such.len() > 1 { format!(" and {} more", such.len() - 1) } else { String::new() };
        set.why = Some(if worst.path == set.path {
            "the store does not have all files there that are no members of it".to_owned()
        } else {
            format!("{}{more}", crate::path::show(&worst.path))
        });
    }
}

fn pieces(
    session: &Session<'_>,
    snapshot: &Snapshot,
    target: &Target,
    options: &RestoreOptions,
) -> Result<Vec<Piece>, Error> {
    let read = |at: &RunRef| revspec::read_run(snapshot, &at.run, &at.object);
    let place = |what: &str, name: &str| match &options.to {
        Some(Destination::Below(folder)) => Ok(folder.join(name)),
        Some(Destination::Exactly(path)) => Ok(path.clone()),
        Some(Destination::Chosen(_)) => Err(Error::Usage { what: format!("{what} has no outputs to choose from") }),
        None => Err(Error::Usage { what: format!("{what} has no place of its own: name a folder with --to DIR") }),
    };
    let one = |path: PathBuf, content: Content| -> Result<Vec<Piece>, Error> {
        let (root, to) = hydrate::split(session, &Place::Outside(path))?;
        Ok(vec![Piece::Stored(Item { key: String::new(), content, exec: false, root, to })])
    };
    match target {
        Target::Run(at) | Target::Outputs(at) => {
            let run = read(at)?;
            let Some(Destination::Chosen(chosen)) = &options.to else {
                return run.outputs.iter().map(|(key, output)| artifact(session, key, output, options)).collect();
            };
            let pieces = chosen.iter().map(|(key, path)| match run.outputs.get(key) {
                Some(output) => {
                    let to = Some(Destination::Exactly(path.clone()));
                    artifact(session, key, output, &RestoreOptions { to, ..options.clone() })
                }
                None => Err(Error::Usage {
                    what: format!(
                        "run {} has no output `{key}`; it has {}",
                        run.tail(),
                        run.outputs.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
                    ),
                }),
            });
            pieces.collect()
        }
        Target::Artifact(at, key) => {
            let run = read(at)?;
            let output = run.outputs.get(key).cloned().or_else(|| run.inputs.get(key).map(as_output));
            if let Some(input) = run.inputs.get(key).filter(|input| !run.outputs.contains_key(key) && is_set(input)) {
                return set(session, key, input, options);
            }
            output.iter().map(|output| artifact(session, key, output, options)).collect()
        }
        Target::Code(_, id) => one(place("code", "code")?, Content::Tree(*id)),
        // The name comes from a record: it must not lead anywhere.
        Target::ConfigFolder(_, name, content) if crate::path::is_name(name.as_bytes()) => {
            one(place("a config", name)?, content.clone())
        }
        Target::ConfigFolder(_, name, _) => {
            Err(Error::Usage { what: format!("`{}` is no file name", crate::path::shown(name.as_bytes())) })
        }
        Target::Config(_, id) => {
            let path = place("a config", "config.json")?;
            Ok(vec![Piece::Text { path, text: config_text(snapshot, id)? }])
        }
        Target::Object(id, kind) if *kind == Kind::BLOB || *kind == Kind::TREE => {
            let content = if *kind == Kind::BLOB { Content::Blob(*id) } else { Content::Tree(*id) };
            one(place("an object", &id.to_string())?, content)
        }
        Target::Object(id, kind) => {
            Err(Error::Usage { what: format!("{} is a {kind}, which is no file or folder", id.short()) })
        }
        Target::Path(place) => Ok(vec![Piece::There(session.worktree().path(place))]),
    }
}

/// An input is restored like an output; whether it could be executed is not on record.
fn as_output(input: &Input) -> Output {
    Output {
        content: input.content.clone(),
        path: input.path.clone(),
        size: input.size,
        stored: input.stored,
        exec: false,
        format: None,
        facets: std::collections::BTreeMap::new(),
        schema: None,
        set: None,
        members: std::collections::BTreeMap::new(),
        meta: std::collections::BTreeMap::new(),
    }
}

/// Whether an input was a set of files: it is recorded at the glob that they matched.
fn is_set(input: &Input) -> bool {
    matches!(input.content, Content::Tree(_)) && crate::code::is_glob(&input.path)
}

/// A set has no folder of its own in the work tree: only where one is named its files can be restored, below a named folder under its key.
fn set(session: &Session<'_>, key: &str, input: &Input, options: &RestoreOptions) -> Result<Vec<Piece>, Error> {
    let (root, to) = match &options.to {
        Some(Destination::Below(root)) => {
            let to = RelPath::new(key).ok_or_else(|| Error::Usage { what: format!("`{key}` is no file name") })?;
            (root.clone(), to)
        }
        Some(Destination::Exactly(path)) => hydrate::split(session, &Place::Outside(path.clone()))?,
        None | Some(Destination::Chosen(_)) => {
            let path = crate::path::from_bytes(&input.path);
            let why = "it is a set of files: name a folder with --to DIR".to_owned();
            return Ok(vec![Piece::Refused { key: key.to_owned(), path, why }]);
        }
    };
    let (key, content) = (key.to_owned(), input.content.clone());
    Ok(vec![Piece::Stored(Item { key, content, exec: false, root, to })])
}

fn artifact(session: &Session<'_>, key: &str, output: &Output, options: &RestoreOptions) -> Result<Piece, Error> {
    let place = match session.repo.place_of(session.repo.root(), &output.path) {
        Ok(place) => place,
        // A name of another machine: below a folder that is named, its path can be the same.
        Err(_) if options.to.is_some() => {
            let path = output.path.replacen("://", "/", 1);
            crate::path::locate(session.repo.root(), session.repo.root(), &crate::path::from_bytes(&path))
        }
        Err(err) => {
            let path = crate::path::from_bytes(&output.path);
            return Ok(Piece::Refused { key: key.to_owned(), path, why: err.to_string() });
        }
    };
    let is_set = output.set.is_some();
    let destination = match &options.to {
        // The folder of a set may be the project: only its own files are touched.
        None if is_set && place == Place::Inside(RelPath::root()) => {
            Ok((session.repo.root().to_owned(), RelPath::root()))
        }
        None => hydrate::recorded_destination(session, &place),
        Some(Destination::Chosen(_)) => {
            Err(Error::Usage { what: "name the run, and which of its outputs go where: RUN --to KEY=PATH".to_owned() })
        }
        Some(Destination::Exactly(path)) if is_set => Ok((path.clone(), RelPath::root())),
        Some(Destination::Exactly(path)) => hydrate::split(session, &Place::Outside(path.clone())),
        // It has no place of its own.
        Some(Destination::Below(root)) if super::managed::is_home(session.repo, &session.worktree().path(&place)) => {
            RelPath::new(key)
                .map(|to| (root.clone(), to))
                .ok_or_else(|| Error::Usage { what: format!("`{key}` is no name") })
        }
        Some(Destination::Below(root)) => {
            // What lay outside of the project keeps its whole path below the folder.
            let recorded = match &place {
                Place::Inside(path) => Some(path.clone()),
                Place::Outside(path) => RelPath::new(crate::path::bytes(path).trim_start_slashes()),
            };
            match recorded.filter(|path| !path.is_root() || is_set) {
                Some(path) if path.components().any(|name| crate::worktree::is_reserved(name)) => {
                    Err(Error::Elsewhere {
                        path: path.below(root),
                        why: "its name is one of prov's or Git's own".to_owned(),
                    })
                }
                Some(path) => Ok((root.clone(), path)),
                None => Err(Error::Elsewhere { path: root.clone(), why: "its recorded path is no path".to_owned() }),
            }
        }
    };
    let key = key.to_owned();
    match destination {
        Ok((root, to)) if is_set => {
            let (items, extra) = hydrate::set_items(session, &key, output, &root, &to)?;
            let (path, members) = (to.below(&root), Some(items.len()));
            let set = RestoredItem { key: Some(key), path, outcome: Outcome::Kept, why: None, members };
            Ok(Piece::Set(items, extra, set))
        }
        Ok((root, to)) => Ok(match output.content.kind() {
            Some(_) => Piece::Stored(Item { key, content: output.content.clone(), exec: output.exec, root, to }),
            None => Piece::Refused { key, path: to.below(&root), why: "its content is kept elsewhere".to_owned() },
        }),
        Err(Error::Elsewhere { path, why }) => Ok(Piece::Refused { key, path, why }),
        Err(err) => Err(err),
    }
}

trait TrimSlashes {
    fn trim_start_slashes(&self) -> &[u8];
}

impl TrimSlashes for [u8] {
    fn trim_start_slashes(&self) -> &[u8] {
        let from = self.iter().position(|&byte| byte != b'/').unwrap_or(self.len());
        &self[from..]
    }
}

/// A recorded config as JSON in lines.
fn config_text(snapshot: &Snapshot, id: &Id) -> Result<String, Error> {
    let Some((_, bytes)) = snapshot.read(id)? else {
        return Err(Error::OutputLost { key: "@config".to_owned(), path: PathBuf::from("config.json") });
    };
    let config = <crate::object::config::Config as crate::object::Record>::decode(&bytes)
        .map_err(|source| Error::Record { run: id.short(), source })?;
    Ok(format!("{}\n", crate::config::to_json(&config.0)))
}

fn write_text(
    session: &Session<'_>,
    snapshot: &Snapshot,
    path: PathBuf,
    text: &str,
    options: &RestoreOptions,
    displaced: &mut Vec<KeptSafe>,
) -> Result<RestoredItem, Error> {
    let fs = session.repo.fs();
    let outcome = |outcome, path| Ok(RestoredItem { key: None, path, outcome, why: None, members: None });
    let found = fs.lstat(&path).map_err(|source| Error::io("read", &path, source))?;
    if let Some(found) = found {
        let is_same = found.is_file() && fs.read(&path).ok().flatten().is_some_and(|bytes| bytes == text.as_bytes());
        if is_same {
            return outcome(Outcome::Kept, path);
        }
        if !found.is_file() || !options.force {
            return outcome(Outcome::Refused, path);
        }
        if !options.dry_run {
            let kept = clear::keep_safe(session, snapshot, &[clear::Spot::whole(path.clone())])?;
            displaced.extend(kept.into_iter().filter_map(clear::Displaced::into_kept_safe));
        }
    }
    if !options.dry_run {
        let parent = path.parent().unwrap_or(Path::new("/"));
        fs.make_dirs(parent).map_err(|source| Error::io("create", parent, source))?;
        fs.replace(&path, text.as_bytes(), false).map_err(|source| Error::io("write", &path, source))?;
    }
    outcome(Outcome::Restored, path)
}

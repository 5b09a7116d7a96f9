//! The folder of configuration that a run is given: layers captured, resolved, counted, stored and laid out.

mod resolved;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use serde::{Deserialize, Serialize};

use resolved::resolved;

use super::Error;
use super::adapter::{self, Answer};
use super::prepare::Environment;
use super::secrets::Secrets;
use super::session::Session;
use crate::codec::Value;
use crate::config::folder::{FileOverride, Layer};
use crate::config::{self, Format};
use crate::fs::FileKind;
use crate::hash::{self, Id};
use crate::object::config::Config;
use crate::object::recipe::{Content, Recipe};
use crate::object::run::{Input, Run};
use crate::object::tree::{self, EntryKind};
use crate::object::{Kind, Record, Sink, Source};
use crate::path::{Place, RelPath, show, shown};
use crate::recipe::Declared;
use crate::revspec::{self, Target};
use crate::store::Snapshot;
use crate::worktree::stat_cache::Key;
use crate::worktree::{self, CaptureOptions, Fence, ScanOptions, hash_file};

/// The label of a folder that was given none.
pub const LABEL: &str = "config";

/// What stands before a label where it could be taken for a key: no key begins so.
const MARK: char = '@';

/// How the folder counts in the recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigIdentity {
    /// Every file by its bytes: that is what the command sees.
    #[default]
    Bytes,
    /// Configuration files by what they say, so that comments and spelling don't count; other files by their bytes.
    Values,
    /// Not at all.
    Off,
}

/// The folder of configuration that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderRequest {
    /// The layers, as typed.
    pub dirs: Vec<BString>,
    /// Whether the first layer that has a file gives it, not the last.
    pub first_wins: bool,
    /// Values to change: `FILE:key=value`.
    pub overrides: Vec<String>,
    /// A run whose recorded configs are taken instead of layers.
    pub base_run: Option<String>,
    /// How it counts.
    pub identity: ConfigIdentity,
    /// The name of the part; `None` for [`LABEL`].
    pub label: Option<String>,
    /// The adapter that knows what it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}

impl FolderRequest {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a file of the resolved folder is to be had.
#[derive(Debug, Clone)]
enum Origin {
    /// It lies there.
    Layer(Place),
    /// It was made.
    Made(Vec<u8>),
    /// In the store.
    Store,
}

#[derive(Debug, Clone)]
struct File {
    path: RelPath,
    id: Id,
    size: u64,
    exec: bool,
    origin: Origin,
}

/// A resolved folder of configuration.
#[derive(Debug, Clone)]
pub struct ConfigPart {
    /// The name of the part.
    pub label: String,
    /// The layers, as typed, with where they lie; the first has precedence.
    pub layers: Vec<Place>,
    /// What it holds.
    pub tree: Id,
    /// Bytes of its files.
    pub size: u64,
    /// What of it is a part of the recipe: its name there and a tree.
    pub counted: Option<(String, Id)>,
    /// Notices changes of the layers.
    pub fence: Fence,
    /// What an adapter said, or what is doubtful about it.
    pub answer: Answer,
    /// Tree objects, and what values count as: kind, id, bytes.
    objects: Vec<(Kind, Id, Vec<u8>)>,
    files: Vec<File>,
    /// Whether the only layer holds just this.
    is_as_it_lies: bool,
}

/// What a request bases its configs on.
#[derive(Debug, Default)]
pub struct Base {
    /// The folder.
    pub folder: Option<ConfigPart>,
    /// The values that a base run was given, in place of those of the scenario.
    pub values: Option<Value>,
    /// The base run's id.
    pub run: Option<String>,
}

/// With what an adapter is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) environment: &'a Environment,
    pub(super) secrets: &'a Secrets,
    pub(super) secret_env: &'a std::collections::BTreeSet<String>,
    pub(super) mode: adapter::Mode,
}

/// Resolves what a request asks for.
///
/// # Errors
/// When layers are missing or contradict each other, or an override names what is not there.
pub(super) fn prepare(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &super::Request,
    scenario: &str,
    declared: &Declared,
    asking: Asking<'_>,
) -> Result<Base, Error> {
    let secrets = asking.secrets;
    let asked = &request.config_folder;
    let usage = |what: &str| Err(Error::Usage { what: what.to_owned() });
    if asked.is_empty() {
        return Ok(Base::default());
    }
    match (&asked.base_run, asked.dirs.is_empty(), request.config_files.is_empty()) {
        (Some(_), false, _) => return usage("--base-run and --config-dir are both a base; give one of them"),
        (Some(_), _, false) => {
            return usage("--base-run and --config are both a base; give one of them, and change values with -S");
        }
        (None, true, _) if !asked.overrides.is_empty() => {
            return usage(
                "--override changes a file of a folder: give the folder with --config-dir or --base-run; for --config it is -S",
            );
        }
        (None, true, _) => {
            return usage(
                "--config-identity, --config-label and --config-wins need a folder: --config-dir or --base-run",
            );
        }
        _ => {}
    }
    let overrides = asked.overrides.iter().map(|one| FileOverride::parse(one)).collect::<Result<Vec<_>, _>>()?;
    if let Some(base) = &asked.base_run {
        return from_run(session, snapshot, base, scenario, &overrides, asked, asking);
    }
    let mut layers = Vec::new();
    let mut places = Vec::new();
    let mut fence = Fence::new();
    for dir in &asked.dirs {
        let place = declared.locate(dir);
        let read = read_layer(session, &place)?;
        fence.join(read.fence);
        for text in read.files.values().filter_map(|(_, text)| text.as_ref()) {
            secrets.check(text, "a file of the configuration")?;
        }
        layers.push((read.files, read.tree));
        places.push(place);
    }
    if !asked.first_wins {
        layers.reverse();
        places.reverse();
    }
    let only = if let [(_, tree)] = layers.as_slice() { Some(*tree) } else { None };
    let (known, texts): (Vec<_>, Vec<_>) = layers.into_iter().map(|(files, _)| split(files)).unzip();
    let mut part = resolved(session, asking, asked, &known, &texts, &overrides)?;
    part.is_as_it_lies = only == Some(part.tree);
    part.layers = places;
    part.fence.join(fence);
    Ok(Base { folder: Some(part), values: None, run: None })
}

/// Files of a layer, with the bytes of those that are configuration.
type Read = BTreeMap<RelPath, (File, Option<Vec<u8>>)>;

fn split(files: Read) -> (BTreeMap<RelPath, File>, Layer) {
    let mut known = BTreeMap::new();
    let mut texts = Layer::new();
    for (path, (file, text)) in files {
        known.insert(path.clone(), file);
        texts.insert(path, text);
    }
    (known, texts)
}

struct LayerRead {
    files: Read,
    tree: Id,
    fence: Fence,
}

/// Looks at every file of a layer. Links are followed as long as they stay inside: what a command reads there must be what counts.
fn read_layer(session: &Session<'_>, place: &Place) -> Result<LayerRead, Error> {
    let worktree = session.worktree();
    let fs = session.repo.fs();
    let root = worktree.path(place);
    let stat = fs.stat(&root).map_err(|source| Error::io("read", &root, source))?;
    match stat {
        None => return Err(Error::InputMissing { path: root, is_restorable: false }),
        Some(stat) if !stat.is_folder() => {
            return Err(Error::Usage {
                what: format!("--config-dir names a folder, and `{}` is a file: give it with --config", show(&root)),
            });
        }
        Some(_) => {}
    }
    let captured = worktree::capture(&worktree, place, &CaptureOptions::default(), None)?;
    let Content::Tree(tree) = captured.content else { return Err(Error::ChangedBefore { path: root }) };
    let scan = worktree::scan(fs, &root, &ScanOptions::default(), worktree.cancel)?;
    let real_root = crate::path::real(&root);
    let mut files = Read::new();
    for found in &scan.folders {
        for entry in found.entries.iter().filter(|entry| !entry.stat.is_folder()) {
            let Some(path) = RelPath::new(found.path_of(&entry.name)) else { continue };
            let absolute = path.below(&root);
            if entry.stat.kind == FileKind::Link {
                let target = std::fs::canonicalize(&absolute).ok();
                let leads_to_file =
                    target.as_ref().is_some_and(|target| target.starts_with(&real_root) && target.is_file());
                if !leads_to_file {
                    return Err(Error::Usage {
                        what: format!(
                            "`{}` is a link that leads to no file of its own folder: a change there would go unnoticed",
                            show(&absolute)
                        ),
                    });
                }
            }
            let inside = crate::path::locate(session.repo.root(), session.repo.root(), &absolute);
            let hashed = hash_file(&worktree, Key::of(&inside), &absolute, None)?;
            let file = File {
                path: path.clone(),
                id: hashed.id,
                size: hashed.stat.size,
                exec: matches!(hashed.stat.kind, FileKind::File { exec: true }),
                origin: Origin::Layer(inside),
            };
            let is_config = Format::of(&absolute).is_some() && hashed.stat.size <= config::MAX_FILE as u64;
            let text = if is_config {
                let bytes =
                    fs.read(&absolute).map_err(|source| Error::io("read", &absolute, source))?.unwrap_or_default();
                if hash::blob(&bytes) != hashed.id {
                    return Err(Error::ChangedBefore { path: absolute });
                }
                Some(bytes)
            } else {
                None
            };
            files.insert(path, (file, text));
        }
    }
    Ok(LayerRead { files, tree, fence: captured.fence })
}

/// Takes the configs that a run was given.
fn from_run(
    session: &Session<'_>,
    snapshot: &Snapshot,
    base: &str,
    scenario: &str,
    overrides: &[FileOverride],
    asked: &FolderRequest,
    asking: Asking<'_>,
) -> Result<Base, Error> {
    let Target::Run(at) = revspec::resolve(session.repo, snapshot, scenario, &session.cwd, base)? else {
        return Err(Error::Usage { what: format!("--base-run names a run, and `{base}` is none") });
    };
    let run = revspec::read_run(snapshot, &at.run, &at.object)?;
    let values = match run.recipe.map(|id| snapshot.read(&id)).transpose()?.flatten() {
        Some((_, bytes)) => {
            let recipe = Recipe::decode(&bytes).map_err(|source| Error::Record { run: run.run.clone(), source })?;
            match recipe.config {
                None => None,
                Some(id) => {
                    let (_, bytes) = snapshot.read(&id)?.ok_or_else(|| lost(&run.run))?;
                    let config =
                        Config::decode(&bytes).map_err(|source| Error::Record { run: run.run.clone(), source })?;
                    Some(config.0)
                }
            }
        }
        None => None,
    };
    let Some((label, input)) = recorded(&run) else {
        if values.is_none() {
            return Err(Error::Usage { what: format!("run {} has no recorded config", run.run) });
        }
        if !overrides.is_empty() {
            return Err(Error::Usage {
                what: format!("run {} was given no folder of configuration: change values with -S", run.run),
            });
        }
        return Ok(Base { folder: None, values, run: Some(run.run) });
    };
    let mut files = Read::new();
    list(snapshot, input.content.id(), &RelPath::root(), &run.run, &mut files)?;
    let (known, texts) = split(files);
    let asked = FolderRequest { label: asked.label.clone().or_else(|| Some(label.to_owned())), ..asked.clone() };
    let part = resolved(session, asking, &asked, &[known], &[texts], overrides)?;
    // A run without values of its own had those of nobody.
    Ok(Base { folder: Some(part), values: Some(values.unwrap_or(Value::Map(Vec::new()))), run: Some(run.run) })
}

fn lost(run: &str) -> Error {
    Error::OutputLost { key: "@config".to_owned(), path: PathBuf::from(run) }
}

/// The files of a recorded folder.
fn list(snapshot: &Snapshot, tree: Id, above: &RelPath, run: &str, files: &mut Read) -> Result<(), Error> {
    let entries = tree::list(tree, &mut |id| match snapshot.read(id) {
        Ok(Some((_, bytes))) => Ok(bytes),
        Ok(None) => Err(lost(run)),
        Err(err) => Err(err.into()),
    })
    .map_err(|err| match err {
        tree::ListError::Read(err) => err,
        tree::ListError::Object(source) => Error::Record { run: run.to_owned(), source },
    })?;
    for entry in entries {
        let path = above.join(&entry.name).ok_or_else(|| lost(run))?;
        if entry.kind == EntryKind::Tree {
            list(snapshot, entry.id, &path, run, files)?;
            continue;
        }
        let is_config =
            Format::of(&crate::path::from_bytes(path.as_bytes())).is_some() && entry.size <= config::MAX_FILE as u64;
        let text = if is_config { Some(snapshot.read(&entry.id)?.ok_or_else(|| lost(run))?.1) } else { None };
        let exec = entry.kind == EntryKind::Exec;
        let file = File { path: path.clone(), id: entry.id, size: entry.size, exec, origin: Origin::Store };
        files.insert(path, (file, text));
    }
    Ok(())
}

impl ConfigPart {
    /// The name under which the record has it.
    pub fn key(&self) -> String {
        format!("{MARK}{}", self.label)
    }

    /// A small object of it that the store may not have yet: a folder, a file that was made, what a file says.
    pub fn object(&self, wanted: &Id) -> Option<Vec<u8>> {
        let made = || {
            self.files.iter().find_map(|file| match &file.origin {
                Origin::Made(bytes) if file.id == *wanted => Some(bytes.clone()),
                _ => None,
            })
        };
        self.objects.iter().find(|(_, id, _)| id == wanted).map(|(_, _, bytes)| bytes.clone()).or_else(made)
    }

    /// All such objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = (Kind, Vec<u8>)> {
        let made = self.files.iter().filter_map(|file| match &file.origin {
            Origin::Made(bytes) => Some((Kind::BLOB, bytes.clone())),
            _ => None,
        });
        self.objects.iter().map(|(kind, _, bytes)| (kind.clone(), bytes.clone())).chain(made)
    }

    /// A configuration file of it as it lies in a layer.
    pub fn lying(&self, session: &Session<'_>, wanted: &Id) -> Option<Vec<u8>> {
        let file = self.files.iter().find(|file| file.id == *wanted && file.size <= config::MAX_FILE as u64)?;
        let Origin::Layer(place) = &file.origin else { return None };
        let path = session.worktree().path(place);
        session.repo.fs().read(&path).ok().flatten().filter(|bytes| hash::blob(bytes) == *wanted)
    }

    /// Stores all of it.
    ///
    /// # Errors
    /// When a file changed since it was looked at, or can't be stored.
    pub(super) fn store(&self, session: &Session<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let worktree = session.worktree();
        for file in &self.files {
            match &file.origin {
                Origin::Layer(place) => {
                    if !sink.has(&file.id)? {
                        let path = worktree.path(place);
                        let hashed = hash_file(&worktree, Key::of(place), &path, Some(sink))?;
                        if hashed.id != file.id {
                            return Err(Error::ChangedBefore { path });
                        }
                    }
                }
                Origin::Made(bytes) => sink.put(&Kind::BLOB, &file.id, bytes)?,
                Origin::Store => {}
            }
        }
        for (kind, id, bytes) in &self.objects {
            sink.put(kind, id, bytes)?;
        }
        Ok(())
    }

    /// Writes all of it below `to`, which does not exist yet.
    ///
    /// # Errors
    /// When a file changed since it was looked at, or can't be written.
    pub(super) fn lay_out(&self, session: &Session<'_>, snapshot: &Snapshot, to: &Path) -> Result<(), Error> {
        let (fs, worktree) = (session.repo.fs(), session.worktree());
        fs.make_dirs(to).map_err(|source| Error::io("create", to, source))?;
        for file in &self.files {
            let path = file.path.below(to);
            let folder = path.parent().unwrap_or(to);
            fs.make_dirs(folder).map_err(|source| Error::io("create", folder, source))?;
            let mode = if file.exec { 0o777 } else { 0o666 };
            let failed = |source| Error::io("write", &path, source);
            let mut out = fs.create_new(&path, mode).map_err(failed)?;
            match &file.origin {
                Origin::Made(bytes) => out.write_all(bytes).map_err(failed)?,
                Origin::Store => {
                    snapshot.copy(&file.id, &mut out)?.ok_or_else(|| lost(&self.label))?;
                }
                Origin::Layer(place) => {
                    let from = worktree.path(place);
                    let mut read = fs.open(&from).map_err(|source| Error::io("read", &from, source))?;
                    std::io::copy(&mut read, &mut out).map_err(failed)?;
                    drop(out);
                    let mut written = fs.open(&path).map_err(failed)?;
                    if hash::blob_from(&mut written).map_err(failed)?.0 != file.id {
                        return Err(Error::ChangedBefore { path: from });
                    }
                }
            }
        }
        Ok(())
    }

    /// What the record of a run says about it, beside its content.
    pub(super) fn told(&self, asked: &FolderRequest) -> Value {
        let texts = |texts: Vec<String>| Value::List(texts.into_iter().map(Value::Text).collect());
        let layers = self.layers.iter().map(|place| shown(&revspec::recorded_path(place))).collect();
        let identity = match asked.identity {
            ConfigIdentity::Bytes => "bytes",
            ConfigIdentity::Values => "values",
            ConfigIdentity::Off => "off",
        };
        Value::Map(vec![
            ("label".to_owned(), Value::Text(self.label.clone())),
            ("layers".to_owned(), texts(layers)),
            ("overrides".to_owned(), texts(asked.overrides.clone())),
            ("identity".to_owned(), Value::Text(identity.to_owned())),
        ])
    }

    /// The input that stands for it in the record of a run.
    pub(super) fn input(&self, stored: bool) -> Input {
        let path = match self.layers.as_slice() {
            [place] if self.is_as_it_lies => revspec::recorded_path(place),
            // It lay nowhere but among the files of its run.
            _ => format!(".prov/config/{}", self.label).into(),
        };
        Input { content: Content::Tree(self.tree), path, size: self.size, stored, producer: None }
    }

    /// The command's words with `{config}` for words that are a layer.
    pub(super) fn normal_words(&self, words: &[BString], declared: &Declared) -> Vec<BString> {
        self.words(words, declared, b"{config}")
    }

    /// The command's words for execution: a layer that is not the resolved folder gives way to it.
    pub(super) fn words(&self, words: &[BString], declared: &Declared, folder: &[u8]) -> Vec<BString> {
        let replaced = |value: &BStr| !value.is_empty() && self.layers.contains(&declared.locate(value));
        let word = |word: &BString| {
            if replaced(word.as_bstr()) {
                return folder.into();
            }
            match word.split_once_str("=") {
                Some((flag, value)) if word.starts_with(b"-") && replaced(value.as_bstr()) => {
                    [flag, b"=", folder].concat().into()
                }
                _ => word.clone(),
            }
        };
        words.iter().map(word).collect()
    }

    /// Whether a command that is given the layer itself sees what it should.
    pub(super) fn is_as_it_lies(&self) -> bool {
        self.is_as_it_lies
    }

    /// What a plan says of its files: path, id, size, and the layer or `made`.
    pub fn files(&self) -> impl Iterator<Item = (&RelPath, Id, u64, String)> {
        self.files.iter().map(|file| {
            let origin = match &file.origin {
                Origin::Layer(place) => shown(&revspec::recorded_path(place)),
                Origin::Made(_) => "made".to_owned(),
                Origin::Store => "store".to_owned(),
            };
            (&file.path, file.id, file.size, origin)
        })
    }
}

/// The folder of configuration that a run was given: its label and its record.
pub fn recorded(run: &Run) -> Option<(&str, &Input)> {
    run.inputs.iter().find_map(|(key, input)| Some((key.strip_prefix(MARK)?, input)))
}

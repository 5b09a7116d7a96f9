//! Executing a recorded run once more, elsewhere: its code, config and inputs are laid out in a folder that is a project of its own, and it is
//! executed there with the words and variables that are on record.
//!
//! Nothing of this reaches the project that has the record: what is made lies in that folder and in its own store, so it is never a hit here.
//! A record can name any program, and version commands of tools: who asks for this is shown them first ([`Script`]), and settings that the
//! recorded code brings along (`prov.toml`, adapters, hooks) are not read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::hydrate::{self, Item, Replace};
use super::prepare::Environment;
use super::request::{CacheMode, CodeMode, Container, Declared, Request};
use super::session::Session;
use super::{Error, Performed, Surroundings, perform};
use crate::codec;
use crate::hash::Id;
use crate::object::config::Config;
use crate::object::recipe::{Content, Recipe};
use crate::object::run::{Cache, Run, RunKind};
use crate::object::tree::{self, EntryKind};
use crate::object::{Kind, Record, Source};
use crate::path::RelPath;
use crate::repo::{InitOptions, Places, Repo};
use crate::store::Snapshot;
use crate::verdict::Sameness;
use crate::worktree::restore::Outcome;

/// The folder in which lies what was outside of the project.
const OUTSIDE: &str = "_outside";

/// What would be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The words of the command.
    pub argv: Vec<BString>,
    /// The folder that it runs in, relative to the project.
    pub cwd: BString,
    /// Variables that it is given values of.
    pub env: BTreeMap<String, Option<BString>>,
    /// Other commands: those that print versions.
    pub others: Vec<String>,
}

/// A recorded run with all that is needed to execute it again.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The run that was executed; of a hit, the one whose result was taken.
    pub run: Run,
    /// Its object.
    pub object: Id,
    pub(super) recipe: Recipe,
    pub(super) request: Request,
}

fn cannot(run: &Run, why: &str) -> Error {
    Error::Usage { what: format!("run {} can't be executed again: {why}", run.run) }
}

/// Reads what is on record of a run, as far as executing it needs it.
///
/// # Errors
/// When it is no command, or a record can't be read.
pub fn recorded(snapshot: &Snapshot, id: &str, object: &Id) -> Result<Recorded, Error> {
    let mut run = crate::revspec::read_run(snapshot, id, object)?;
    let mut object = *object;
    if let Cache::Hit { source, object: of, .. } = &run.cache {
        object = *of;
        run = crate::revspec::read_run(snapshot, &source.clone(), &object)?;
    }
    if !matches!(run.kind, RunKind::Command | RunKind::Task) {
        return Err(cannot(&run, "it is no command"));
    }
    let recipe = run.recipe.ok_or_else(|| cannot(&run, "it has no recipe"))?;
    let Some((_, bytes)) = snapshot.read(&recipe)? else { return Err(cannot(&run, "its recipe is missing")) };
    let recipe = Recipe::decode(&bytes).map_err(|source| Error::Record { run: run.run.clone(), source })?;
    let request = run.meta.get("request").ok_or_else(|| cannot(&run, "what was asked for is not on record"))?;
    let request: Request = codec::from_value(request).map_err(|source| Error::Ref { source })?;
    if request.lifecycle.open || request.task.as_ref().is_some_and(|task| task.spec.is_some()) {
        return Err(cannot(&run, "it was not done by a command of prov"));
    }
    Ok(Recorded { run, object, recipe, request })
}

impl Recorded {
    /// What would be executed.
    pub fn script(&self) -> Script {
        let container = match &self.request.container {
            Some(Container::Command(command)) => Some(command.clone()),
            _ => None,
        };
        Script {
            argv: self.recipe.action.argv.clone(),
            cwd: self.recipe.action.cwd.clone(),
            env: self.recipe.env.clone(),
            others: self.request.tools.values().cloned().chain(container).collect(),
        }
    }
}

/// A run laid out in a folder of its own.
#[derive(Debug)]
pub struct Laid {
    /// The project that the folder is.
    pub repo: Repo,
    /// What is to be done there.
    pub request: Request,
    /// What could not be laid out, for people.
    pub notes: Vec<String>,
}

struct Layout<'a> {
    session: &'a Session<'a>,
    folder: &'a Path,
    recorded: &'a Recorded,
    items: Vec<Item>,
    notes: Vec<String>,
}

/// Lays a recorded run out in `folder`, which is made and must not hold anything yet.
///
/// # Errors
/// When the folder holds something, a recorded name is no plain path below a folder, or something needed is not in the store.
pub fn lay_out(session: &Session<'_>, snapshot: &Snapshot, recorded: &Recorded, folder: &Path) -> Result<Laid, Error> {
    let fs = session.repo.fs();
    let io = |source| Error::io("create", folder, source);
    fs.make_dirs(folder).map_err(io)?;
    let folder = &folder.canonicalize().map_err(io)?;
    if std::fs::read_dir(folder).map_err(io)?.next().is_some() {
        return Err(Error::Usage { what: format!("`{}` is not empty", crate::path::show(folder)) });
    }
    bring(session, snapshot, recorded)?;
    let newest = session.repo.store().snapshot_since(snapshot)?;
    let snapshot = &newest;
    // Before anything recorded lies there: settings that it brings along are not those of this project.
    let options = InitOptions { name: Some(recorded.run.project.clone()), store: None };
    let mut world = session.repo.world().clone();
    world.author.clone_from(&session.repo.world().author);
    let (repo, _) = Repo::init(folder, &options, &Places::default(), world)
        .map_err(|err| Error::Usage { what: format!("can't make a project in the folder: {}", super::chain(&err)) })?;
    let mut layout = Layout { session, folder, recorded, items: Vec::new(), notes: Vec::new() };
    let request = layout.request(snapshot)?;
    let (restored, _) = hydrate::bring_back(session, snapshot, &layout.items, &[], Replace::Nothing)?;
    if let Some(bad) =
        restored.iter().find(|done| !matches!(done.outcome, Outcome::Restored | Outcome::Kept | Outcome::Skipped))
    {
        return Err(Error::OutputLost { key: bad.key.clone(), path: bad.path.clone() });
    }
    if restored.iter().any(|done| done.outcome == Outcome::Skipped) {
        return Err(Error::Usage { what: "not everything that is on record could be laid out".to_owned() });
    }
    let cwd = RelPath::new(request.cwd.clone())
        .ok_or_else(|| cannot(&recorded.run, "its folder is no path below the project"))?;
    let cwd = cwd.below(folder);
    fs.make_dirs(&cwd).map_err(|source| Error::io("create", &cwd, source))?;
    Ok(Laid { repo, request, notes: layout.notes })
}

/// Asks other stores for what of a run's inputs and code is missing here.
fn bring(session: &Session<'_>, snapshot: &Snapshot, recorded: &Recorded) -> Result<(), Error> {
    let Some(elsewhere) = session.elsewhere() else { return Ok(()) };
    let recipe = &recorded.recipe;
    let inputs = recorded.run.inputs.values().map(|input| input.content.clone());
    let code = recipe.code.tree.map(Content::Tree).into_iter();
    let program = recipe.code.program.iter().map(|(_, id)| Content::Blob(*id));
    let stdin = recipe.action.stdin.iter().cloned();
    let mut missing = Vec::new();
    for content in inputs.chain(code).chain(program).chain(stdin).filter(|content| content.kind().is_some()) {
        if !hydrate::is_whole(snapshot, &content)? {
            missing.push(content);
        }
    }
    if !missing.is_empty() {
        elsewhere.bring(&missing);
    }
    Ok(())
}

impl Layout<'_> {
    fn add(&mut self, key: &str, content: Content, exec: bool, to: RelPath) {
        // A file that is code and an input is laid out once.
        if !self.items.iter().any(|item| item.to == to && item.content == content) {
            self.items.push(Item { key: key.to_owned(), content, exec, root: self.folder.to_owned(), to });
        }
    }

    /// Where something goes that lay at `path`: at the same place, or below a folder for what was outside.
    fn place(&self, key: &str, path: &BString) -> Result<RelPath, Error> {
        let is_outside = path.starts_with(b"/") || path.contains_str("://");
        let inside = RelPath::new(path.clone()).filter(|path| !is_outside && !path.is_root());
        if let Some(inside) = inside {
            if inside.components().any(|name| crate::worktree::is_reserved(name)) {
                return self.outside(key, path);
            }
            return Ok(inside);
        }
        self.outside(key, path)
    }

    fn outside(&self, key: &str, path: &BString) -> Result<RelPath, Error> {
        let name = path.rsplit(|&b| b == b'/').find(|name| !name.is_empty()).unwrap_or(b"file");
        let name: &[u8] = if crate::path::is_name(name) { name } else { b"file" };
        let mut text = BString::from(format!("{OUTSIDE}/{}/", crate::recipe::derive_key(key.into())));
        text.extend_from_slice(name);
        RelPath::new(text).ok_or_else(|| cannot(&self.recorded.run, &format!("`{key}` has no place")))
    }

    fn typed(&self, to: &RelPath) -> BString {
        crate::path::bytes(&to.below(self.folder))
    }

    fn request(&mut self, snapshot: &Snapshot) -> Result<Request, Error> {
        let recorded = self.recorded;
        let (run, recipe) = (&recorded.run, &recorded.recipe);
        let mut request = recorded.request.clone();
        request.argv.clone_from(&recipe.action.argv);
        request.cwd.clone_from(&recipe.action.cwd);
        request.step = Some(run.step.clone());
        request.cache = Some(CacheMode::Overwrite);
        (request.scenario, request.parent, request.run_name) = (None, None, None);
        request.restores_inputs = false;
        request.lifecycle.retry = None;
        request.lifecycle.always = false;
        request.lifecycle.correlation_id = None;
        self.code(snapshot, &mut request)?;
        self.inputs(snapshot, &mut request)?;
        self.outputs(&mut request)?;
        self.config(snapshot, &mut request)?;
        self.identity(&mut request)?;
        for (name, value) in &recipe.env {
            request.env.insert(name.clone(), value.clone());
        }
        Ok(request)
    }

    fn code(&mut self, snapshot: &Snapshot, request: &mut Request) -> Result<(), Error> {
        let run = &self.recorded.run;
        let mut files = Vec::new();
        if let Some(root) = self.recorded.recipe.code.tree {
            let mut todo = vec![(BString::default(), root)];
            while let Some((above, id)) = todo.pop() {
                let read = |id: &Id| match snapshot.read(id) {
                    Ok(Some((_, bytes))) => Ok(bytes),
                    Ok(None) => Err(cannot(run, "its code is not in the store")),
                    Err(err) => Err(err.into()),
                };
                let listed = tree::list(id, &mut { read }).map_err(|err| match err {
                    tree::ListError::Read(err) => err,
                    tree::ListError::Object(source) => Error::Record { run: run.run.clone(), source },
                })?;
                for entry in listed {
                    let mut path = above.clone();
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(&entry.name);
                    if above.is_empty() {
                        let to = RelPath::new(path.clone())
                            .filter(|_| !crate::worktree::is_reserved(&entry.name))
                            .ok_or_else(|| cannot(run, "its code has a name that can't be laid out"))?;
                        let content = match entry.kind {
                            EntryKind::Tree => Content::Tree(entry.id),
                            EntryKind::Link => {
                                self.notes.push(format!("code.{}: a link is not laid out", crate::path::shown(&path)));
                                continue;
                            }
                            _ => Content::Blob(entry.id),
                        };
                        self.add("code", content, entry.kind == EntryKind::Exec, to);
                    }
                    if entry.kind == EntryKind::Tree {
                        todo.push((path, entry.id));
                    } else {
                        files.push(path);
                    }
                }
            }
        }
        if let Some((path, id)) = &self.recorded.recipe.code.program
            && !files.contains(path)
        {
            match RelPath::new(path.clone()) {
                Some(to) if hydrate::is_whole(snapshot, &Content::Blob(*id))? => {
                    self.add("program", Content::Blob(*id), true, to);
                }
                _ => self.notes.push(format!("code.program: {} is not in the store", crate::path::shown(path))),
            }
        }
        let plain =
            |path: &BString| std::str::from_utf8(path).ok().filter(|_| !crate::code::is_glob(path)).map(str::to_owned);
        let names: Option<Vec<String>> = files.iter().map(plain).collect();
        request.code = Some(match names {
            Some(names) if names.is_empty() => CodeMode::None,
            // Patterns are seen from the folder that it runs in.
            Some(names) => {
                let up = "../".repeat(request.cwd.split(|&b| b == b'/').filter(|name| !name.is_empty()).count());
                CodeMode::Paths(names.iter().map(|name| format!("{up}{name}")).collect())
            }
            None => CodeMode::Project,
        });
        Ok(())
    }

    fn inputs(&mut self, snapshot: &Snapshot, request: &mut Request) -> Result<(), Error> {
        let run = &self.recorded.run;
        request.inputs.clear();
        request.inputs_optional.clear();
        for (key, input) in run.inputs.iter().filter(|(key, _)| !key.starts_with('@')) {
            if input.content.is_absent() {
                let to = self.place(key, &input.path)?;
                request.inputs_optional.push(Declared::named(key.as_str(), self.typed(&to)));
                continue;
            }
            let is_set = matches!(input.content, Content::Tree(_)) && crate::code::is_glob(&input.path);
            let path = if is_set { glob_base(&input.path) } else { input.path.clone() };
            let to = if is_set && path.is_empty() { RelPath::root() } else { self.place(key, &path)? };
            let mut typed = self.typed(&to);
            let is_here = matches!(input.content, Content::Blob(_) | Content::Tree(_))
                && hydrate::is_whole(snapshot, &input.content)?;
            if is_here && is_set {
                // The files of a set lie among others.
                let read = |id: &Id| match snapshot.read(id) {
                    Ok(Some((_, bytes))) => Ok(bytes),
                    _ => Err(cannot(run, &format!("input `{key}` is not in the store"))),
                };
                let listed = tree::list(input.content.id(), &mut { read }).map_err(|err| match err {
                    tree::ListError::Read(err) => err,
                    tree::ListError::Object(source) => Error::Record { run: run.run.clone(), source },
                })?;
                for entry in listed {
                    let content =
                        if entry.kind == EntryKind::Tree { Content::Tree(entry.id) } else { Content::Blob(entry.id) };
                    let below = to.join(&entry.name);
                    let below = below.ok_or_else(|| cannot(run, &format!("input `{key}` has no place")))?;
                    self.add(key, content, entry.kind == EntryKind::Exec, below);
                }
                typed.extend_from_slice(&input.path[path.len()..]);
            } else if is_here {
                self.add(key, input.content.clone(), false, to);
            } else {
                // What was never stored may still lie where it was.
                let place = self.session.repo.place_of(self.session.repo.root(), &input.path);
                let there = place.ok().map(|place| self.session.worktree().path(&place));
                let is_same = there.as_ref().is_some_and(|path| self.lies_at(path, &input.content));
                match there.filter(|_| is_same && !is_set) {
                    Some(path) => typed = crate::path::bytes(&path),
                    None => return Err(cannot(run, &format!("input `{key}` is not in the store"))),
                }
            }
            // What is changed in place is made an input by the request itself.
            let changes = key.strip_suffix("_before").is_some_and(|key| request.in_place.contains(key));
            if !changes {
                request.inputs.push(Declared::named(key.as_str(), typed));
            }
        }
        if let (Some(stdin), Some(content)) = (&self.recorded.request.stdin, &self.recorded.recipe.action.stdin) {
            let to = self.outside("stdin", stdin)?;
            request.stdin = Some(self.typed(&to));
            if !hydrate::is_whole(snapshot, content)? {
                return Err(cannot(run, "its standard input is not in the store"));
            }
            self.add("stdin", content.clone(), false, to);
        }
        Ok(())
    }

    /// Whether content lies at a path.
    fn lies_at(&self, path: &Path, content: &Content) -> bool {
        let place = crate::path::locate(self.session.repo.root(), self.session.repo.root(), path);
        let options = crate::worktree::CaptureOptions::default();
        crate::worktree::capture(&self.session.worktree(), &place, &options, None)
            .is_ok_and(|captured| captured.content == *content)
    }

    fn outputs(&mut self, request: &mut Request) -> Result<(), Error> {
        request.outputs.clear();
        let sets: Vec<_> = std::mem::take(&mut request.output_sets);
        for (key, output) in &self.recorded.run.outputs {
            if key == super::MANAGED_KEY && !self.recorded.recipe.outputs.contains_key(key) {
                continue;
            }
            match &output.set {
                None => {
                    let typed = self.typed(&self.place(key, &output.path)?);
                    request.outputs.push(Declared::named(key.as_str(), typed));
                }
                Some(files) => {
                    let root = if output.path.is_empty() || output.path == "." {
                        RelPath::root()
                    } else {
                        self.place(key, &output.path)?
                    };
                    let found = sets.iter().find(|set| set.key.as_deref() == Some(key));
                    let files = found.map_or_else(|| files.clone(), |set| set.files.clone());
                    let root = self.typed(&root);
                    request.output_sets.push(super::DeclaredSet { key: Some(key.clone()), root, files });
                }
            }
        }
        Ok(())
    }

    fn config(&mut self, snapshot: &Snapshot, request: &mut Request) -> Result<(), Error> {
        let run = &self.recorded.run;
        request.config_files.clear();
        request.sets.clear();
        if let Some(task) = &mut request.task {
            task.params = None;
        }
        if let Some(id) = self.recorded.recipe.config {
            let Some((_, bytes)) = snapshot.read(&id)? else {
                return Err(cannot(run, "its config is not in the store"));
            };
            let config = Config::decode(&bytes).map_err(|source| Error::Record { run: run.run.clone(), source })?;
            let file = self.folder.join(crate::repo::DOT).join("config.again.json");
            let text = crate::config::to_json(&config.0);
            let fs = self.session.repo.fs();
            fs.replace(&file, text.as_bytes(), false).map_err(|source| Error::io("write", &file, source))?;
            request.config_files.push(crate::path::bytes(&file));
        }
        let mut folder = std::mem::take(&mut request.config_folder);
        if folder.is_empty() {
            return Ok(());
        }
        folder.dirs.clear();
        folder.overrides.clear();
        folder.base_run = None;
        if let Some(adapter) = folder.adapter.take() {
            self.notes.push(format!("adapter `{adapter}` is not asked"));
        }
        if let Some((key, input)) = run.inputs.iter().find(|(key, _)| key.starts_with('@')) {
            let to = self.outside(&format!("config_{}", &key[1..]), &"config".into())?;
            folder.dirs.push(self.typed(&to));
            self.add(key, input.content.clone(), false, to);
        }
        request.config_folder = folder;
        Ok(())
    }

    /// Files that count without being passed are not in the store: they are taken from where they lay, if they are what they were.
    fn identity(&mut self, request: &mut Request) -> Result<(), Error> {
        let asked = std::mem::take(&mut request.identity);
        let locks = std::mem::take(&mut request.locks);
        let files = self.recorded.request.config_files.clone();
        let label_of = |declared: &Declared| {
            let name = declared.path.rsplit(|&b| b == b'/').next().unwrap_or_default();
            declared.key.clone().unwrap_or_else(|| crate::recipe::derive_key(name.into()))
        };
        for (label, content) in self.recorded.recipe.identity.iter().filter(|(label, _)| !label.starts_with('@')) {
            let named = asked.iter().find(|one| label_of(one) == *label).map(|one| one.path.clone());
            let locked = || {
                locks
                    .iter()
                    .find(|one| label_of(&super::declare::lock_label(one)) == *label)
                    .map(|one| one.path.clone())
            };
            let config = || files.iter().find(|file| label_of(&Declared::path(file.as_slice())) == *label).cloned();
            let path = named.or_else(locked).or_else(config);
            let root = self.session.repo.root().join(crate::path::from_bytes(&self.recorded.request.cwd));
            let there = path.map(|path| root.join(crate::path::from_bytes(&path)));
            let Some(there) = there.filter(|there| self.lies_at(there, content)) else {
                self.notes.push(format!("identity.{label}: it is not what it was, or not there any more"));
                continue;
            };
            let mut typed = crate::path::bytes(&there);
            if let Ok(inside) = there.strip_prefix(self.session.repo.root())
                && let (Some(to), Content::Blob(_)) = (RelPath::new(crate::path::bytes(inside)), content)
            {
                // The command may open it by its name.
                let at = to.below(self.folder);
                let bytes = self.session.repo.fs().read(&there).ok().flatten();
                if let (Some(bytes), Some(parent)) = (bytes, at.parent()) {
                    let fs = self.session.repo.fs();
                    fs.make_dirs(parent).map_err(|source| Error::io("create", parent, source))?;
                    if !self.items.iter().any(|item| item.to == to) {
                        fs.replace(&at, &bytes, false).map_err(|source| Error::io("write", &at, source))?;
                    }
                    typed = crate::path::bytes(&at);
                }
            }
            request.identity.push(Declared::named(label.as_str(), typed));
        }
        Ok(())
    }
}

/// The folders of a glob before its first special character.
fn glob_base(path: &BString) -> BString {
    let special = path.iter().position(|b| b"*?[{".contains(b)).unwrap_or(path.len());
    let end = path[..special].iter().rposition(|&b| b == b'/').unwrap_or(0);
    path[..end].into()
}

/// What came of executing a run again.
#[derive(Debug)]
pub struct Repeated {
    /// What was performed in the folder.
    pub performed: Performed,
    /// How each output compares.
    pub outputs: BTreeMap<String, Sameness>,
    /// Parts of the recipe that were not as recorded.
    pub parts: Vec<String>,
}

/// Executes what was laid out. The environment is that of this process, without what names another project, and with the recorded values of the
/// variables that count.
///
/// # Errors
/// What keeps the command from being started.
pub fn execute(
    snapshot: &Snapshot,
    recorded: &Recorded,
    laid: &Laid,
    surroundings: Surroundings<'_>,
) -> Result<Repeated, Error> {
    let Surroundings { environment: given, observer, interrupts } = surroundings;
    let mut environment: Environment = given.clone();
    environment.retain(|name, _| !name.as_encoded_bytes().starts_with(b"PROV_"));
    for name in recorded.recipe.env.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name) {
        environment.remove(std::ffi::OsStr::new(name));
    }
    let cwd: PathBuf = laid.repo.root().join(crate::path::from_bytes(&laid.request.cwd));
    let session = Session::new(&laid.repo, cwd);
    let around = Surroundings { environment: &environment, observer: &mut *observer, interrupts };
    let performed = perform(&session, &laid.request, around)?;
    let mut outputs = BTreeMap::new();
    for (key, output) in &recorded.run.outputs {
        let sameness = match performed.run.outputs.get(key) {
            None => Sameness::Missing,
            Some(made) if made.content == output.content => Sameness::Same,
            Some(_) => Sameness::Differs,
        };
        outputs.insert(key.clone(), sameness);
    }
    for key in performed.run.outputs.keys().filter(|key| !recorded.run.outputs.contains_key(*key)) {
        outputs.insert(key.clone(), Sameness::Extra);
    }
    let parts = parts(snapshot, recorded, laid, &performed)?;
    Ok(Repeated { performed, outputs, parts })
}

/// In which parts the recipe that was executed is not the recorded one. Epochs, and where outputs lay that are known by heart, say nothing of
/// what was executed.
fn parts(snapshot: &Snapshot, recorded: &Recorded, laid: &Laid, performed: &Performed) -> Result<Vec<String>, Error> {
    if performed.run.recipe == recorded.run.recipe {
        return Ok(Vec::new());
    }
    let there = laid.repo.store().snapshot()?;
    let Some((_, bytes)) = performed.run.recipe.map(|id| there.read(&id)).transpose()?.flatten() else {
        return Ok(vec!["recipe".to_owned()]);
    };
    let made = Recipe::decode(&bytes).map_err(|source| Error::Record { run: performed.run.run.clone(), source })?;
    let read = |_: &Kind, id: &Id| {
        let read = |snapshot: &Snapshot| snapshot.read(id).ok().flatten().map(|(_, bytes)| bytes);
        read(snapshot).or_else(|| read(&there))
    };
    let reasons = crate::recipe::explain(&recorded.recipe, &made, &read);
    let counts = |part: &String| !part.starts_with("epochs.") && !part.starts_with("outputs.");
    Ok(reasons.into_iter().map(|reason| reason.part).filter(counts).collect())
}

//! From a request to its recipe: everything declared is looked at, and nothing is changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use bstr::{BString, ByteSlice};

use super::beforehand::Beforehand;
use super::code_part::{self, CodePart};
use super::config_part::{self, ConfigPart};
use super::declare::{check_environment, check_spelling, declare_outputs, is_named, lock_label, set_apart};
use super::inputs::{Finder, Matched, ReadyInput};
use super::request::Request;
use super::session::Session;
use super::strays::{self, Counted};
use super::versions::{self, Versions};
use super::{Error, outputs, overlap, web};
use crate::codec::Value;
use crate::config;
use crate::hash::Id;
use crate::object::Sink;
use crate::object::recipe::{Code, Content, Epochs};
use crate::object::scenario::Scenario;
use crate::path::{Place, RelPath};
use crate::recipe::{self, Declared, Role};
use crate::store::Snapshot;
use crate::worktree::{self, CaptureOptions, Captured, Fence};

/// The environment of a command: what this process was given.
pub type Environment = BTreeMap<OsString, OsString>;

/// A request with everything that determines its result.
#[derive(Debug)]
pub struct Prepared {
    /// The step's name.
    pub step: String,
    /// The scenario it belongs to, by the name that it was born with.
    pub scenario: String,
    /// What is said of the scenario.
    pub about: Option<Scenario>,
    /// The working folder, absolute.
    pub cwd: PathBuf,
    /// Declared inputs and outputs by key.
    pub declared: Declared,
    /// Inputs as they lie there.
    pub inputs: BTreeMap<String, ReadyInput>,
    /// The globs among them, and what they stood for.
    pub globs: Vec<Matched>,
    /// What standard input is read from.
    pub stdin: Option<(Place, Captured)>,
    /// The config, an empty map when there is none.
    pub config: Value,
    /// The run that the configs were taken from.
    pub base_run: Option<String>,
    /// The folder of configuration.
    pub config_folder: Option<ConfigPart>,
    /// The selected code.
    pub code: CodePart,
    /// Whether the list of the project's files was needed for it.
    pub needs_files: bool,
    /// The program of the command, when it is no project file.
    pub program: Option<PathBuf>,
    /// Versions of tools and of the container, as they were told.
    pub versions: Versions,
    /// The recipe.
    pub built: recipe::Built,
    /// Notices when an input or something that counts changes.
    pub fence: Fence,
    /// What captures could take, as it lay there before the command ran.
    pub seen: BTreeMap<String, outputs::Seen>,
    /// Notices when something that the command changes in place is changed before the command starts.
    pub before: Fence,
    /// Which folders hold links to what does not count, for people.
    pub strays: Vec<String>,
}

impl Prepared {
    /// The cache key.
    pub fn recipe(&self) -> Id {
        self.built.id
    }

    /// What is doubtful about it, for people.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let config = self.config_folder.iter().flat_map(|part| part.answer.warnings());
        self.code.warnings().into_iter().chain(config).chain(self.strays.iter().cloned())
    }

    /// Where an output is declared.
    pub fn output(&self, key: &str) -> Option<&Place> {
        self.declared.places(Role::Output).get(key)
    }

    /// All declared outputs.
    pub fn outputs(&self) -> &BTreeMap<String, Place> {
        self.declared.places(Role::Output)
    }
}

/// Looks at everything that a request declares and makes its recipe.
///
/// # Errors
/// What is missing, unreadable, contradictory or not understood; nothing was changed.
pub fn prepare(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    environment: &Environment,
) -> Result<Prepared, Error> {
    prepare_seen(session, snapshot, request, environment, None)
}

/// As [`prepare`], with what is being looked at already.
///
/// # Errors
/// As [`prepare`].
pub(super) fn prepare_seen(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    environment: &Environment,
    mut beforehand: Option<Beforehand<'_>>,
) -> Result<Prepared, Error> {
    let repo = session.repo;
    let worktree = session.worktree();
    let secrets = check_environment(request, environment)?;
    let cwd_place = RelPath::new(request.cwd.clone())
        .ok_or_else(|| Error::Usage { what: "the working folder is not below the project".to_owned() })?;
    let cwd = cwd_place.below(repo.root());
    let step = request.step.clone().unwrap_or_else(|| super::name::step_of(&request.argv));
    let scenario = request.scenario.clone().unwrap_or_else(|| repo.scenario().to_owned());
    crate::scenario::check_name(&scenario)?;
    let about = session.scenario(snapshot, &scenario)?;
    let scenario = about.as_ref().map_or(scenario, |about| about.name.clone());

    let mut declared = Declared::new(repo.root(), &cwd);
    let mut fence = Fence::new();
    let mut before = Fence::new();
    let inputs = request.inputs.iter().chain(&request.inputs_optional);
    let declarations = inputs.chain(&request.outputs).chain(&request.identity).chain(&request.locks);
    let typed = declarations.filter_map(|one| web::path_of(one.path.as_bstr()));
    let files = request.config_files.iter().filter(|file| of_scenario(file).is_none());
    let others = request.stdin.iter().chain(files).chain(&request.config_folder.dirs);
    for path in typed.chain(others.map(|path| path.as_bstr())) {
        check_spelling(repo, &cwd, path)?;
    }
    let outputs: Vec<Place> = request.outputs.iter().map(|output| declared.locate(&output.path)).collect();
    let mut finder = Finder {
        session,
        snapshot,
        scenario: &scenario,
        cwd: &cwd,
        argv: &request.argv,
        restores: request.restores_inputs,
        outputs: &outputs,
        web: web::Asking { environment, freshness: request.freshness },
        declared: &mut declared,
        inputs: BTreeMap::new(),
        globs: Vec::new(),
    };
    let mut seen = beforehand.as_mut().map(Beforehand::inputs).unwrap_or_default().into_iter();
    for input in &request.inputs {
        finder.find_seen(input, false, seen.next().flatten())?;
    }
    for input in &request.inputs_optional {
        finder.find(input, true)?;
    }
    let Finder { mut inputs, globs, .. } = finder;
    let mut counted = Vec::new();
    for (key, input) in &inputs {
        counted.push(Counted::new(format!("input `{key}`"), worktree.path(&input.place), &input.captured.fence));
        fence.join(input.captured.fence.clone());
    }
    declare_outputs(repo, request, &cwd, &mut declared)?;
    for key in request.in_place.iter().chain(&request.no_store) {
        let is_input = request.no_store.contains(key) && inputs.contains_key(key);
        let is_managed = request.no_store.contains(key) && key == super::MANAGED_KEY;
        if !declared.places(Role::Output).contains_key(key) && !is_input && !is_managed {
            return Err(Error::Usage { what: format!("there is no declared output `{key}`") });
        }
    }
    for key in &request.in_place {
        // What the command changes in place is an input too: the result depends on what was there.
        let place = declared.places(Role::Output)[key].clone();
        if repo
            .fs()
            .stat(&worktree.path(&place))
            .map_err(|source| Error::io("read", &worktree.path(&place), source))?
            .is_some()
        {
            let captured = worktree::capture(&worktree, &place, &CaptureOptions::default(), None)?;
            let path = crate::path::bytes(&worktree.path(&place));
            let name = declared.add(Role::Input, Some(&format!("{key}_before")), path.as_bstr())?;
            before.join(captured.fence.clone());
            inputs.insert(name, Finder::plain(place, captured));
        }
    }

    let stdin = match &request.stdin {
        None => None,
        Some(path) => {
            let place = declared.locate(path);
            let captured = worktree::capture(&worktree, &place, &CaptureOptions::default(), None)?;
            if !matches!(captured.content, Content::Blob(_)) {
                return Err(Error::Usage {
                    what: format!("standard input is read from a file, and `{}` is none", crate::path::shown(path)),
                });
            }
            fence.join(captured.fence.clone());
            Some((place, captured))
        }
    };
    let mut identity = BTreeMap::new();
    for one in request.locks.iter().map(lock_label).chain(request.identity.iter().cloned()) {
        let place = declared.locate(&one.path);
        let captured = worktree::capture(&worktree, &place, &CaptureOptions::default(), None)?;
        let name = format!("identity file `{}`", crate::path::shown(&one.path));
        counted.push(Counted::new(name, worktree.path(&place), &captured.fence));
        fence.join(captured.fence);
        if let Some(label) = &one.key {
            recipe::check_key(label)?;
        }
        let label = one.key.clone().unwrap_or_else(|| {
            recipe::derive_key(
                crate::path::bytes(std::path::Path::new(
                    &crate::path::from_bytes(&one.path).file_name().unwrap_or_default(),
                ))
                .as_bstr(),
            )
        });
        if identity.insert(label.clone(), captured.content).is_some() {
            return Err(Error::Usage {
                what: format!("two identity files have the label `{label}`; give one another: --identity LABEL=PATH"),
            });
        }
    }

    overlap::check_overlaps(request, &declared, &inputs, stdin.as_ref().map(|(place, _)| place))?;
    set_apart(request, &mut declared, stdin.as_ref().map(|(place, _)| place));

    // Looked at before it is parsed, so that no edit in between goes unseen; what is wrong with a file is told by parsing it.
    let config_files: Vec<_> = request
        .config_files
        .iter()
        .filter(|file| of_scenario(file).is_none())
        .map(|file| {
            let place = declared.locate(file);
            let captured = worktree::capture(&worktree, &place, &CaptureOptions::default(), None);
            (place, captured)
        })
        .collect();
    let overrides = request.sets.iter().map(|set| config::Override::parse(set)).collect::<Result<Vec<_>, _>>()?;
    let asking = config_part::Asking {
        environment,
        secrets: &secrets,
        secret_env: &request.secret_env,
        mode: super::adapter::Mode::Plan,
    };
    let based = config_part::prepare(session, snapshot, request, &scenario, &declared, asking)?;
    let base = based.values.unwrap_or_else(|| Value::Map(Vec::new()));
    if let Some(part) = &based.folder {
        fence.join(part.fence.clone());
        // No label that a user gives begins like this key.
        identity.extend(part.counted.clone().map(|(key, tree)| (key, Content::Tree(tree))));
    }
    let config = layers(session, snapshot, request, &scenario, &cwd, with_params(base, request))?;
    let config = config::resolve_over(repo.fs(), config, &[], &overrides)?;
    for (place, captured) in config_files {
        let captured = captured?;
        // A command that is given the file itself sees more of it than the config: comments, spellings, values that others override.
        if is_named(&request.argv, &declared, &place) {
            let path = crate::path::bytes(&worktree.path(&place));
            let label = recipe::derive_key(path.rsplit_str("/").next().unwrap_or_default().as_bstr());
            let labels = (1..).map(|n| if n == 1 { label.clone() } else { format!("{label}_{n}") });
            if let Some(free) = labels.into_iter().find(|label| !identity.contains_key(label)) {
                identity.insert(free, captured.content);
            }
        }
        fence.join(captured.fence);
    }

    let mut env = BTreeMap::new();
    for (name, value) in &request.env {
        let value = value.clone().or_else(|| {
            environment
                .get(std::ffi::OsStr::new(name))
                .map(|v| BString::from(std::os::unix::ffi::OsStrExt::as_bytes(v.as_os_str())))
        });
        env.insert(name.clone(), value);
    }

    for (key, about) in &request.about.by_key {
        let is_managed = key == super::MANAGED_KEY;
        if !declared.places(Role::Output).contains_key(key) && !is_managed {
            return Err(Error::Usage { what: format!("there is no declared output `{key}`") });
        }
        super::annotate::check(key, declared.set(key), about, &config).map_err(|what| Error::Usage { what })?;
        super::columns::check(session, key, about).map_err(|what| Error::Usage { what })?;
    }
    let words = based.folder.as_ref().map(|part| part.normal_words(&request.argv, &declared));
    let normalised = recipe::normalise(words.as_ref().unwrap_or(&request.argv), &declared)?;
    let needs_files = request.lists_files();
    // What was listed beforehand may look different by now: much may have been read since.
    if let Some(mut beforehand) = beforehand {
        beforehand.files();
    }
    let wanted = code_part::wanted(session, request);
    let listed = wanted.map(|wanted| session.files(wanted)).transpose()?;
    let listing = code_part::Listing {
        files: listed.as_ref().map_or(&[], |(listed, _)| &listed.files),
        at: listed.as_ref().map_or_else(|| session.stretch().begin(), |(listed, _)| listed.at),
        is_fresh: listed.as_ref().is_none_or(|(_, is_fresh)| *is_fresh),
        program: None,
    };
    let code = code_part::select_for_lookup(session, snapshot, request, &declared, environment, listing)?;
    let (program, outside) = code_part::program(session, &code)?;
    let part = Code { tree: code.tree.root, program };
    let versions = versions::ask(session, request, &cwd, environment)?;

    let built = recipe::Parts {
        step: request.lifecycle.model.clone().unwrap_or_else(|| step.clone()),
        command: Some(normalised),
        is_function: request.lifecycle.open,
        task: request.task.as_ref().map(|task| recipe::Task { spec: task.spec.clone() }),
        cwd: cwd_place,
        stdin: stdin.as_ref().map(|(_, captured)| captured.content.clone()),
        code: part,
        config: Some(config.clone()),
        inputs: inputs.iter().map(|(key, input)| (key.clone(), input.captured.content.clone())).collect(),
        identity,
        env,
        tools: versions.tools.clone(),
        container: versions.container.clone(),
        dims: request.dims.clone(),
        version: request.step_version,
        epochs: Epochs {
            project: repo.settings().project_epoch(),
            scenario: about.as_ref().map_or(0, |about| about.epoch),
            step: request.epoch,
        },
    }
    .build()?;
    secrets.check(&built.bytes, "a part of the recipe")?;
    if let Some((_, bytes)) = &built.config {
        secrets.check(bytes, "the config")?;
    }
    Ok(Prepared {
        step,
        scenario,
        about,
        cwd,
        declared,
        inputs,
        globs,
        stdin,
        config,
        base_run: based.run,
        config_folder: based.folder,
        code,
        needs_files,
        program: outside,
        versions,
        built,
        fence,
        seen: BTreeMap::new(),
        before,
        strays: strays::warnings(&counted),
    })
}

/// The scenario whose config a layer is: `@NAME`, or `@scenario` for that of the run. Nothing is inherited unless a run asks for it.
pub(super) fn of_scenario(file: &[u8]) -> Option<&str> {
    file.strip_prefix(b"@").and_then(|name| std::str::from_utf8(name).ok()).filter(|name| !name.is_empty())
}

/// The config files of a request, and what it takes of scenarios, laid over `base` in their order.
fn layers(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    scenario: &str,
    cwd: &std::path::Path,
    base: Value,
) -> Result<Value, Error> {
    let repo = session.repo;
    let mut config = base;
    let mut files: Vec<PathBuf> = Vec::new();
    for file in &request.config_files {
        let Some(named) = of_scenario(file) else {
            files.push(cwd.join(crate::path::from_bytes(file)));
            continue;
        };
        let named = if named == "scenario" { scenario } else { named };
        if !crate::scenario::exists(snapshot, repo.project(), named)? {
            let known = crate::scenario::names(repo, snapshot)?;
            return Err(crate::scenario::Error::NotFound { name: named.to_owned(), known }.into());
        }
        config = config::resolve_over(repo.fs(), config, &std::mem::take(&mut files), &[])?;
        config = config::merge(config, crate::scenario::config(snapshot, repo.project(), named)?);
    }
    Ok(config::resolve_over(repo.fs(), config, &files, &[])?)
}

/// The config with the parameters of a task over it, key by key.
fn with_params(base: Value, request: &Request) -> Value {
    let params = request.task.as_ref().and_then(|task| task.params.clone());
    match (base, params) {
        (Value::Map(mut entries), Some(Value::Map(params))) => {
            entries.retain(|(key, _)| params.iter().all(|(param, _)| param != key));
            entries.extend(params);
            Value::Map(entries)
        }
        (_, Some(params @ Value::Map(_))) => params,
        (base, _) => base,
    }
}

/// Resolves the folder of configuration that a request asks for, and asks its adapter; nothing is changed.
///
/// # Errors
/// As [`prepare`], for what concerns the folder. Unless it is to be validated, what the adapter finds wrong is one.
pub fn plan_config(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    environment: &Environment,
    mode: super::adapter::Mode,
) -> Result<ConfigPart, Error> {
    let repo = session.repo;
    let secrets = check_environment(request, environment)?;
    let cwd = RelPath::new(request.cwd.clone())
        .ok_or_else(|| Error::Usage { what: "the working folder is not below the project".to_owned() })?
        .below(repo.root());
    for dir in &request.config_folder.dirs {
        check_spelling(repo, &cwd, dir.as_bstr())?;
    }
    let declared = Declared::new(repo.root(), &cwd);
    let scenario = request.scenario.clone().unwrap_or_else(|| repo.scenario().to_owned());
    let asking = config_part::Asking { environment, secrets: &secrets, secret_env: &request.secret_env, mode };
    let based = config_part::prepare(session, snapshot, request, &scenario, &declared, asking)?;
    based.folder.ok_or_else(|| Error::Usage {
        what: "there is no folder of configuration: name one with --config-dir or --base-run".to_owned(),
    })
}

/// Whether the store is given the bytes of an input when the command is executed.
pub(super) fn is_to_be_stored(request: &Request, key: &str, input: &ReadyInput) -> bool {
    let is_there = !input.captured.content.is_absent();
    is_there && matches!(input.place, Place::Inside(_)) && !request.no_store.contains(key)
}

/// Puts what a request was given into `sink`, so that its record can be had back: inputs of the project, config, code.
///
/// # Errors
/// When something changed since it was looked at, or can't be stored.
pub fn store_inputs(
    session: &Session<'_>,
    prepared: &Prepared,
    request: &Request,
    sink: &dyn Sink,
) -> Result<BTreeMap<String, bool>, Error> {
    let worktree = session.worktree();
    let mut stored = BTreeMap::new();
    for (key, input) in &prepared.inputs {
        let wanted = is_to_be_stored(request, key, input);
        if let Some(set) = input.set.as_ref().filter(|_| wanted) {
            super::inputs::store_set(session, set, sink)?;
        } else if wanted && !sink.has(&input.captured.content.id())? {
            let now = worktree::capture(&worktree, &input.place, &CaptureOptions::default(), Some(sink))?;
            if now.content != input.captured.content {
                return Err(Error::ChangedBefore { path: worktree.path(&input.place) });
            }
        }
        stored.insert(key.clone(), wanted);
    }
    if let Some((place, captured)) = &prepared.stdin
        && !sink.has(&captured.content.id())?
    {
        worktree::capture(&worktree, place, &CaptureOptions::default(), Some(sink))?;
    }
    if let Some(part) = &prepared.config_folder {
        part.store(session, sink)?;
        stored.insert(part.key(), true);
    }
    code_part::store(session, &prepared.code, sink)?;
    Ok(stored)
}

//! From a request to its recipe: everything declared is looked at, and nothing is changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use bstr::{BStr, BString, ByteSlice};

use super::code_part::{self, CodePart};
use super::config_part::{self, ConfigPart};
use super::inputs::{Finder, Matched, ReadyInput};
use super::request::{CodeMode, Request};
use super::secrets::Secrets;
use super::session::Session;
use super::versions::{self, Versions};
use super::{Error, outputs};
use crate::codec::Value;
use crate::config;
use crate::hash::Id;
use crate::object::Sink;
use crate::object::recipe::{Code, Content, Epochs};
use crate::path::{Place, RelPath};
use crate::recipe::{self, Declared, Members, Role};
use crate::store::Snapshot;
use crate::worktree::{self, CaptureOptions, Captured, Fence};

/// The environment of a command: what this process was given.
pub type Environment = BTreeMap<OsString, OsString>;

/// A request with everything that determines its result.
#[derive(Debug)]
pub struct Prepared {
    /// The step's name.
    pub step: String,
    /// The scenario it belongs to.
    pub scenario: String,
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
}

impl Prepared {
    /// The cache key.
    pub fn recipe(&self) -> Id {
        self.built.id
    }

    /// What is doubtful about it, for people.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let config = self.config_folder.iter().flat_map(|part| part.answer.warnings());
        self.code.warnings().into_iter().chain(config)
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
    let repo = session.repo;
    let worktree = session.worktree();
    let secrets = check_environment(request, environment)?;
    let cwd_place = RelPath::new(request.cwd.clone())
        .ok_or_else(|| Error::Usage { what: "the working folder is not below the project".to_owned() })?;
    let cwd = cwd_place.below(repo.root());
    let step = request.step.clone().unwrap_or_else(|| super::name::step_of(&request.argv));
    let scenario = request.scenario.clone().unwrap_or_else(|| repo.scenario().to_owned());
    crate::scenario::check_name(&scenario)?;

    let mut declared = Declared::new(repo.root(), &cwd);
    let mut fence = Fence::new();
    let mut before = Fence::new();
    let inputs = request.inputs.iter().chain(&request.inputs_optional);
    let declarations = inputs.chain(&request.outputs).chain(&request.identity).chain(&request.locks);
    let typed = declarations.map(|one| &one.path);
    for path in typed.chain(&request.stdin).chain(&request.config_files).chain(&request.config_folder.dirs) {
        check_spelling(repo, &cwd, path.as_bstr())?;
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
        declared: &mut declared,
        inputs: BTreeMap::new(),
        globs: Vec::new(),
    };
    for input in &request.inputs {
        finder.find(input, false)?;
    }
    for input in &request.inputs_optional {
        finder.find(input, true)?;
    }
    let Finder { mut inputs, globs, .. } = finder;
    for input in inputs.values() {
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
            inputs.insert(
                name,
                ReadyInput { place, captured, declared_by: None, is_to_be_fetched: false, set: None, recorded: None },
            );
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

    check_overlaps(request, &declared, &inputs, stdin.as_ref().map(|(place, _)| place))?;
    set_apart(request, &mut declared, stdin.as_ref().map(|(place, _)| place));

    let files: Vec<PathBuf> = request.config_files.iter().map(|file| cwd.join(crate::path::from_bytes(file))).collect();
    // Looked at before it is parsed, so that no edit in between goes unseen; what is wrong with a file is told by parsing it.
    let config_files: Vec<_> = request
        .config_files
        .iter()
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
    let base = match based.values {
        Some(values) => values,
        None => crate::scenario::config(snapshot, repo.project(), &scenario)?,
    };
    if let Some(part) = &based.folder {
        fence.join(part.fence.clone());
        // No label that a user gives begins like this key.
        identity.extend(part.counted.clone().map(|(key, tree)| (key, Content::Tree(tree))));
    }
    let config = config::resolve_over(repo.fs(), base, &files, &overrides)?;
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
    }
    let words = based.folder.as_ref().map(|part| part.normal_words(&request.argv, &declared));
    let normalised = recipe::normalise(words.as_ref().unwrap_or(&request.argv), &declared)?;
    let needs_files = !matches!(request.code, Some(CodeMode::None | CodeMode::Command));
    let is_fresh = !session.is_listed();
    let files = if needs_files { session.files()? } else { &[] };
    let listing = code_part::Listing { files, is_fresh };
    let code = code_part::select(session, snapshot, request, &declared, environment, listing)?;
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
        inputs: counted_inputs(request, &inputs),
        identity,
        env,
        tools: versions.tools.clone(),
        container: versions.container.clone(),
        dims: request.dims.clone(),
        version: request.step_version,
        epochs: Epochs { project: repo.settings().project_epoch(), scenario: 0, step: request.epoch },
    }
    .build()?;
    secrets.check(&built.bytes, "a part of the recipe")?;
    if let Some((_, bytes)) = &built.config {
        secrets.check(bytes, "the config")?;
    }
    Ok(Prepared {
        step,
        scenario,
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
    })
}

/// The inputs that count: what lies here, and what was read from elsewhere.
fn counted_inputs(request: &Request, inputs: &BTreeMap<String, ReadyInput>) -> BTreeMap<String, Content> {
    let here = inputs.iter().map(|(key, input)| (key.clone(), input.captured.content.clone()));
    let remote = request.task.iter().flat_map(|task| &task.remote);
    here.chain(remote.map(|(key, input)| (key.clone(), input.content.clone()))).collect()
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

/// Declares the outputs of a request: files, folders and sets.
///
/// # Errors
/// When one of them can't be one.
pub(super) fn declare_outputs(
    repo: &crate::repo::Repo,
    request: &Request,
    cwd: &std::path::Path,
    declared: &mut Declared,
) -> Result<(), Error> {
    for output in &request.outputs {
        let key = declared.add(Role::Output, output.key.as_deref(), output.path.as_bstr())?;
        check_output(repo, &key, &declared.places(Role::Output)[&key])?;
    }
    for set in &request.output_sets {
        check_spelling(repo, cwd, set.root.as_bstr())?;
        let key = declared.add_set(set.key.as_deref(), set.root.as_bstr(), Members::new(&set.files)?)?;
        check_set(repo, &key, &declared.places(Role::Output)[&key])?;
        if request.in_place.contains(&key) {
            return Err(Error::Usage { what: format!("--in-place {key}: an output set can't be changed in place") });
        }
    }
    Ok(())
}

/// Checks what the environment of a command is to be, and gives the secrets that are known. None of them may stand in the request, which
/// is recorded.
fn check_environment(request: &Request, environment: &Environment) -> Result<Secrets, Error> {
    if let Some(name) = request.secret_env.iter().find(|name| request.env.contains_key(*name)) {
        return Err(Error::Usage { what: format!("the variable {name} can't be secret and a part of the recipe") });
    }
    let mut variables: BTreeMap<String, &String> = BTreeMap::new();
    for key in request.runtime.keys() {
        recipe::check_key(key)?;
        if let Some(other) = variables.insert(recipe::variable_name(key), key) {
            let name = recipe::variable_name(key);
            return Err(Error::Usage {
                what: format!("the runtime values `{other}` and `{key}` have one variable, PROV_RUNTIME_{name}"),
            });
        }
    }
    let secrets = Secrets::known(&request.secret_env, environment);
    let bytes = crate::codec::encode(request).map_err(|source| Error::Ref { source })?;
    secrets.check(&bytes, "the request")?;
    Ok(secrets)
}

/// A lock file under its label: the whole file name, so that `uv.lock` and `uv.toml` are two.
fn lock_label(lock: &super::request::Declared) -> super::request::Declared {
    let name = crate::path::from_bytes(&lock.path);
    let name = crate::path::bytes(std::path::Path::new(name.file_name().unwrap_or_default()));
    let label = || recipe::derive_key(name.replace(".", "_").as_bstr());
    super::request::Declared { key: Some(lock.key.clone().unwrap_or_else(label)), path: lock.path.clone() }
}

/// Whether a word of the command, or what follows the first `=` of an option, is this place.
fn is_named(argv: &[BString], declared: &Declared, place: &Place) -> bool {
    argv.iter().skip(1).any(|word| {
        let value = if word.starts_with(b"-") { word.split_once_str("=").map(|(_, value)| value) } else { None };
        [Some(word.as_slice()), value]
            .into_iter()
            .flatten()
            .any(|text| !text.is_empty() && declared.locate(text) == *place)
    })
}

/// Refuses a path whose `..` follows a link: prov would look elsewhere than the command does.
fn check_spelling(repo: &crate::repo::Repo, cwd: &std::path::Path, text: &BStr) -> Result<(), Error> {
    use std::path::Component;
    let typed = crate::path::from_bytes(text);
    if text.is_empty() {
        return Err(Error::Usage { what: "a path is empty; to mean the folder you are in, write `.`".to_owned() });
    }
    if !typed.components().any(|component| component == Component::ParentDir) {
        return Ok(());
    }
    let mut at = PathBuf::new();
    for component in cwd.join(&typed).components() {
        if component == Component::ParentDir {
            let stat = repo.fs().lstat(&at).map_err(|source| Error::io("read", &at, source))?;
            if stat.is_some_and(|stat| stat.kind == crate::fs::FileKind::Link) {
                return Err(Error::Usage {
                    what: format!(
                        "`{}` can be read in two ways, since `{}` is a symbolic link; give the path without `..`",
                        crate::path::shown(text),
                        crate::path::show(&at)
                    ),
                });
            }
            at.pop();
        } else if component != Component::CurDir {
            at.push(component);
        }
    }
    Ok(())
}

fn check_output(repo: &crate::repo::Repo, key: &str, place: &Place) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::Usage { what: format!("output `{key}` {what}") });
    match place {
        Place::Inside(path) if path.is_root() => refuse("is the project itself"),
        Place::Inside(path) if path.components().any(|name| worktree::is_reserved(name)) => {
            refuse("lies inside `.prov` or `.git`")
        }
        Place::Outside(path) if repo.root().starts_with(path) => refuse("is a folder that holds the project"),
        _ => Ok(()),
    }
}

/// As [`check_output`], for a folder only some files of which are an output: it may be the project, or hold it.
fn check_set(repo: &crate::repo::Repo, key: &str, place: &Place) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::Usage { what: format!("output set `{key}` {what}") });
    match place {
        Place::Inside(path) if path.components().any(|name| worktree::is_reserved(name)) => {
            refuse("lies inside `.prov` or `.git`")
        }
        Place::Outside(path) if repo.root().starts_with(path) => refuse("is seen from a folder that holds the project"),
        _ => Ok(()),
    }
}

/// What is declared as something else is never captured.
fn set_apart(request: &Request, declared: &mut Declared, stdin: Option<&Place>) {
    let captures: Vec<(String, Place)> = declared
        .sets()
        .iter()
        .filter(|(_, members)| members.is_changed_only())
        .filter_map(|(key, _)| Some((key.clone(), declared.places(Role::Output).get(key)?.clone())))
        .collect();
    for (key, root) in captures {
        let beside = request.config_files.iter().chain(request.identity.iter().map(|one| &one.path));
        let others = declared.places(Role::Output).iter().filter(|(other, _)| !declared.sets().contains_key(*other));
        let all = others.map(|(_, place)| place.clone()).chain(declared.read_places().cloned());
        let all: Vec<BString> = all
            .chain(stdin.cloned())
            .chain(beside.map(|path| declared.locate(path)))
            .filter_map(|place| match (place, &root) {
                (Place::Inside(path), Place::Inside(root)) => recipe::below(&path, root).map(BStr::to_owned),
                (Place::Outside(path), Place::Outside(root)) => path.strip_prefix(root).ok().map(crate::path::bytes),
                _ => None,
            })
            .filter(|path| !path.is_empty())
            .collect();
        declared.set_apart(&key, all);
    }
}

/// How something that is read meets an output set.
fn meets_set(read: &Place, is_folder: bool, root: &Place, members: &Members) -> bool {
    if is_below(root, read) {
        return is_folder;
    }
    let (Place::Inside(read), Place::Inside(root)) = (read, root) else {
        let (Place::Outside(read), Place::Outside(root)) = (read, root) else { return false };
        let Ok(below) = read.strip_prefix(root) else { return false };
        let below = crate::path::bytes(below);
        return if is_folder { members.may_hold(below.as_bstr()) } else { members.has(below.as_bstr()) };
    };
    recipe::below(read, root).is_some_and(|below| if is_folder { members.may_hold(below) } else { members.has(below) })
}

/// What a command reads may not lie where its outputs go: places of outputs are cleared before it starts.
fn check_overlaps(
    request: &Request,
    declared: &Declared,
    inputs: &BTreeMap<String, ReadyInput>,
    stdin: Option<&Place>,
) -> Result<(), Error> {
    let named = request.identity.iter().chain(&request.locks).map(|one| &one.path);
    let beside = request.config_files.iter().chain(&request.config_folder.dirs).chain(named);
    let beside: Vec<Place> = beside.map(|path| declared.locate(path)).collect();
    for (key, output) in declared.places(Role::Output) {
        if request.in_place.contains(key) {
            continue;
        }
        let shown = |place: &Place| crate::path::shown(&crate::revspec::recorded_path(place));
        let refuse = |what: String, fix: &str| {
            Err(Error::Usage { what: format!("output `{key}` ({}) {what}; {fix}", shown(output)) })
        };
        let files = |input: &ReadyInput| match &input.set {
            Some(set) => set.files.iter().any(|(place, _)| overlaps(place, output)),
            None => false,
        };
        if let Some(members) = declared.set(key) {
            if members.is_changed_only() {
                // What is declared as something else is not captured; only a folder that holds all of it can't be told apart.
                let holds = |input: &ReadyInput| input.set.is_none() && is_below(output, &input.place);
                if let Some((name, _)) = inputs.iter().find(|(_, input)| holds(input)) {
                    return refuse(
                        format!("is captured, and lies in input `{name}`"),
                        "declare the input more narrowly",
                    );
                }
                continue;
            }
            for (name, input) in inputs {
                let is_folder = matches!(input.captured.content, Content::Tree(_));
                let meets = match &input.set {
                    Some(set) => set.files.iter().any(|(file, _)| meets_set(file, false, output, members)),
                    None => meets_set(&input.place, is_folder, output, members),
                };
                if meets {
                    return refuse(
                        format!("could have `{}` for a member, which is input `{name}`", shown(&input.place)),
                        &format!("leave it out: --output-set '{key}=ROOT:!PATTERN'"),
                    );
                }
            }
            let words = request.argv.iter().filter(|word| !word.is_empty()).map(|word| declared.locate(word));
            let is_file = |place: &Place| match place {
                Place::Inside(path) => path.below(declared.root()).is_file(),
                Place::Outside(path) => path.is_file(),
            };
            let named = words.filter(|place| declared.find(place).is_none() && is_file(place));
            let read = stdin.into_iter().chain(&beside).cloned().chain(named);
            if let Some(read) = read.into_iter().find(|place| meets_set(place, false, output, members)) {
                return refuse(
                    format!("could have `{}` for a member, which is read or named by the command", shown(&read)),
                    &format!("leave it out: --output-set '{key}=ROOT:!PATTERN'"),
                );
            }
            continue;
        }
        for (name, input) in inputs {
            if input.set.is_some() {
                if files(input) {
                    return refuse(
                        format!("and a file of input `{name}` lie inside each other"),
                        "declare one of them more narrowly",
                    );
                }
                continue;
            }
            if input.place == *output {
                let fix = format!("if the command changes it where it lies, say --in-place {key}");
                return refuse(format!("is also input `{name}`"), &fix);
            }
            if overlaps(&input.place, output) {
                return refuse(
                    format!("and input `{name}` ({}) lie inside each other", shown(&input.place)),
                    "declare one of them more narrowly",
                );
            }
        }
        if let Some(read) = stdin.into_iter().chain(&beside).find(|place| overlaps(place, output)) {
            return refuse(
                format!("and `{}`, which is read, lie inside each other", shown(read)),
                "declare another output",
            );
        }
        // A script below an output folder would be cleared away before it could run.
        for word in &request.argv {
            let place = declared.locate(word);
            if !word.is_empty()
                && place != *output
                && declared.find(&place).is_none()
                && overlaps(&place, output)
                && is_below(&place, output)
            {
                let exists = match &place {
                    Place::Inside(path) => path.below(declared.root()).is_file(),
                    Place::Outside(path) => path.is_file(),
                };
                if exists {
                    return refuse(
                        format!("holds `{}`, which the command names", shown(&place)),
                        "declare the output more narrowly",
                    );
                }
            }
        }
    }
    Ok(())
}

/// As the check of what was declared, but with links followed: under another name an output may be what the command reads.
///
/// # Errors
/// When an output is, holds or lies in an input, or lies among the files of prov or Git.
pub(super) fn check_real_overlaps(session: &Session<'_>, prepared: &Prepared, keys: &[&str]) -> Result<(), Error> {
    let worktree = session.worktree();
    let real = |place: &Place| crate::path::real(&worktree.path(place));
    let moved: Vec<(&Place, PathBuf, Option<&Members>)> = keys
        .iter()
        .filter_map(|key| Some((prepared.output(key)?, prepared.declared.set(key))))
        .map(|(place, members)| (place, real(place), members))
        .collect();
    let inputs = prepared
        .inputs
        .values()
        .filter(|input| input.set.is_none())
        .map(|input| &input.place)
        .chain(prepared.stdin.as_ref().map(|(place, _)| place));
    for input in inputs {
        let (at, target) = (real(input), std::fs::canonicalize(worktree.path(input)).ok());
        for (output, path, members) in &moved {
            let is_one = |other: &PathBuf| match (members, other.strip_prefix(path)) {
                // A set shares its folder with others, unless that is what the input is.
                (Some(members), Ok(below)) => {
                    let below = crate::path::bytes(below);
                    if other.is_dir() { members.may_hold(below.as_bstr()) } else { members.has(below.as_bstr()) }
                }
                _ => other.starts_with(path) || path.starts_with(other),
            };
            if **output != *input && (is_one(&at) || target.as_ref().is_some_and(is_one)) {
                let shown = |place: &Place| crate::path::shown(&crate::revspec::recorded_path(place));
                return Err(Error::Usage {
                    what: format!(
                        "output `{}` and input `{}` are the same place or lie inside each other: links lead to it; declare another output",
                        shown(output),
                        shown(input)
                    ),
                });
            }
        }
    }
    for (output, path, members) in moved {
        let inside = path.strip_prefix(session.repo.root()).ok();
        let is_reserved = |name: std::path::Component<'_>| {
            worktree::is_reserved(std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()))
        };
        if inside.is_some_and(|inside| {
            (inside.as_os_str().is_empty() && members.is_none()) || inside.components().any(is_reserved)
        }) {
            let output = crate::path::shown(&crate::revspec::recorded_path(output));
            return Err(Error::Usage {
                what: format!("output `{output}` leads into `.prov` or `.git`, or is the project"),
            });
        }
    }
    Ok(())
}

/// Whether two places are one, or one lies inside the other.
pub(super) fn overlaps(a: &Place, b: &Place) -> bool {
    is_below(a, b) || is_below(b, a)
}

/// Whether `inner` is `outer` or lies inside of it.
pub(super) fn is_below(inner: &Place, outer: &Place) -> bool {
    match (inner, outer) {
        (Place::Inside(inner), Place::Inside(outer)) => inner.is_within(outer),
        (Place::Outside(inner), Place::Outside(outer)) => inner.starts_with(outer),
        _ => false,
    }
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
        let is_there = !input.captured.content.is_absent();
        let wanted = is_there && matches!(input.place, Place::Inside(_)) && !request.no_store.contains(key);
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

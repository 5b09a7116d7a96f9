//! From a task with all values in place to the request by which it is looked up, executed and recorded.

use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::work::Work;
use crate::codec::Value;
use crate::config::located::{Data, Entry, Node};
use crate::hash::Id;
use crate::object::recipe::FileSet;
use crate::pipeline::expand::glob;
use crate::pipeline::file::{Flavour, Run, Spec};
use crate::pipeline::perform::{Address, Location, TaskKind};
use crate::pipeline::plan::{Expands, Kind, Roots};
use crate::pipeline::task::settings::{Keyed, Validator};
use crate::pipeline::task::{Builtin, Settings, settings};
use crate::run::request::{CacheMode, CodeMode, Declared, DeclaredSet, Request, TaskRequest};

/// Keys of a spec that don't determine what a task makes.
const NOT_COUNTED: [&str; 14] = [
    "name",
    "description",
    "requires",
    "needs",
    "scratchpad_ignore_missing",
    "timeout",
    "retries",
    "memory",
    "resources",
    "validate",
    "cache",
    "max_concurrency",
    "settings",
    "provides",
];

/// A task as it is looked up and executed.
#[derive(Debug)]
pub(super) struct Asked {
    /// The request.
    pub(super) request: Request,
    /// How it is to be executed, with late values in place.
    pub(super) settings: Settings,
    /// What it reads, for its type.
    pub(super) sources: Vec<Location>,
    /// What it writes.
    pub(super) destinations: Vec<Location>,
    /// Names of the files that it writes into its destination, if that is a folder that others write into as well.
    pub(super) members: Option<FileSet>,
    /// What it reads from the web: address and key of the input.
    pub(super) web: Vec<(String, String)>,
}

impl Asked {
    /// The path under which the output of a key was declared.
    pub(super) fn declared_as(&self, key: &str) -> String {
        let one = self.settings.outputs.iter().find(|output| match &output.key {
            Some(own) => own == key,
            None => {
                let name = Path::new(&output.path).file_name().unwrap_or_default();
                crate::recipe::derive_key(crate::path::bytes(Path::new(name)).as_bstr()) == key
            }
        });
        one.map_or_else(|| key.to_owned(), |output| output.path.clone())
    }
}

/// The id of a list of checks; `None` if there is none.
pub(super) fn checks_id(checks: &[Validator]) -> Option<Id> {
    if checks.is_empty() {
        return None;
    }
    Some(crate::pipeline::validate::id(checks))
}

/// Makes the request of a task.
///
/// # Errors
/// What makes it impossible to execute it, for people.
pub(super) fn ask(work: &Work, roots: &Roots, root: &Path, kind: Option<&dyn TaskKind>) -> Result<Asked, String> {
    let settings = match work.flavour {
        Flavour::Native if !matches!(work.kind, Kind::Group) => {
            let mut findings = Vec::new();
            let spec = Spec { name: work.named.clone(), body: work.spec.clone() };
            let settings = settings::read(&spec, &mut findings);
            if let Some(first) = findings.first() {
                return Err(first.message.clone());
            }
            settings
        }
        _ => work.settings.clone(),
    };
    let mut request = work.base.as_deref().cloned().unwrap_or_else(|| Request::command(Vec::<BString>::new()));
    request.argv = Vec::new();
    request.step = Some(work.recorded_step.clone());
    request.parent = Some(work.parent.clone());
    request.wait = true;
    request.lifecycle.correlation_id.clone_from(&work.correlation_id);
    request.lifecycle.attempt = work.attempt;
    request.lifecycle.last_attempt = work.is_last_attempt;
    request.lifecycle.retry = None;
    request.timeout_ms = settings.timeout_ms.or(request.timeout_ms);
    for word in &settings.env {
        match word.split_once('=') {
            Some((name, value)) => request.env.insert(name.to_owned(), Some(value.into())),
            None => request.env.insert(word.clone(), None),
        };
    }
    if let Some(code) = code_mode(&settings.code) {
        request.code = Some(code);
    }
    let mut task = TaskRequest { params: settings.params.clone(), ..TaskRequest::default() };
    let mut asked =
        Asked { request, settings, sources: Vec::new(), destinations: Vec::new(), members: None, web: Vec::new() };
    match &work.kind {
        Kind::Builtin(Builtin::Command) => command(&mut asked, work, roots, root)?,
        _ => {
            places_of(&mut asked, work, roots)?;
            let kind = kind.ok_or_else(|| format!("nothing here executes tasks of type `{}`", work.task_type))?;
            task.spec = Some(counted_spec(work, kind));
            match &work.kind {
                Kind::Declared { run, .. } => {
                    asked.request.argv = words(run);
                    asked.request.cwd = below(root, &work_folder(roots, &asked.settings)).unwrap_or_default();
                }
                Kind::Program(path) => {
                    asked.request.code.get_or_insert(CodeMode::None);
                    asked.request.identity.push(Declared::named("program", crate::path::bytes(path)));
                }
                _ => asked.request.code = Some(CodeMode::None),
            }
        }
    }
    declare(&mut asked, roots)?;
    let is_never_known = work.expands == Expands::AtRunTime
        || matches!(work.kind, Kind::Builtin(Builtin::FindLatest | Builtin::HelloWorld))
        // What the list names is read, and not declared.
        || work.spec.get("source_list_file").is_some()
        // An Otter config can't say of a program that what it asks for changes: one that names no source may ask anybody.
        || (work.flavour == Flavour::Otter && !matches!(work.kind, Kind::Builtin(_)) && asked.sources.is_empty());
    asked.request.cache = match asked.settings.cache.as_deref() {
        _ if is_never_known => Some(CacheMode::Off),
        _ if work.is_forced => Some(CacheMode::Overwrite),
        Some("reuse") => Some(CacheMode::Reuse),
        Some("overwrite") => Some(CacheMode::Overwrite),
        Some("readonly") => Some(CacheMode::Readonly),
        Some(_) => Some(CacheMode::Off),
        None => asked.request.cache,
    };
    asked.request.task = Some(task);
    Ok(asked)
}

fn words(run: &Run) -> Vec<BString> {
    match run {
        Run::Words(words) => words.iter().map(|word| word.as_str().into()).collect(),
        Run::Shell(text) => vec!["sh".into(), "-c".into(), text.as_str().into()],
    }
}

/// `none`, `command` and `project` alone are modes; everything else is paths.
fn code_mode(code: &[String]) -> Option<CodeMode> {
    match code {
        [] => None,
        [word] if word == "none" => Some(CodeMode::None),
        [word] if word == "command" => Some(CodeMode::Command),
        [word] if word == "project" => Some(CodeMode::Project),
        paths => Some(CodeMode::Paths(paths.to_vec())),
    }
}

pub(super) fn work_folder(roots: &Roots, settings: &Settings) -> PathBuf {
    let work = Path::new(&roots.work_path);
    let folder = settings.cwd.as_ref().map_or_else(|| work.to_owned(), |cwd| work.join(cwd));
    crate::path::normal(&folder)
}

fn below(root: &Path, folder: &Path) -> Option<BString> {
    folder.strip_prefix(root).ok().map(crate::path::bytes)
}

fn command(asked: &mut Asked, work: &Work, roots: &Roots, root: &Path) -> Result<(), String> {
    let run = asked.settings.run.as_ref().or(work.settings.run.as_ref());
    let run = run.ok_or_else(|| "there is no command to `run`".to_owned())?;
    asked.request.argv = words(run);
    let folder = work_folder(roots, &asked.settings);
    asked.request.cwd = below(root, &folder).ok_or_else(|| {
        format!("its folder `{}` is not below the project `{}`", crate::path::show(&folder), crate::path::show(root))
    })?;
    Ok(())
}

/// What stands under the keys by which task types name what they read and write.
fn places_of(asked: &mut Asked, work: &Work, roots: &Roots) -> Result<(), String> {
    let spec = &work.spec;
    let texts = |key: &str| {
        let mut found = Vec::new();
        collect(spec.get(key), &mut found);
        found
    };
    let sources = match &work.kind {
        Kind::Builtin(Builtin::CopyMany) => [texts("sources"), texts("source_list_file")].concat(),
        // What is looked among is no input: what was chosen is told by the task.
        Kind::Builtin(Builtin::FindLatest | Builtin::ExplodeGlob | Builtin::HelloWorld | Builtin::Noop) => Vec::new(),
        Kind::Builtin(_) => texts("source"),
        _ => [texts("source"), texts("sources")].concat(),
    };
    // As the types themselves see them.
    let seen: fn(&str, &Roots) -> Location = match &work.kind {
        Kind::Builtin(Builtin::Copy | Builtin::CopyMany) => Location::outside,
        Kind::Builtin(Builtin::Gzip | Builtin::Unzip) => Location::local,
        _ => Location::of,
    };
    asked.sources = sources.iter().map(|text| seen(text, roots)).collect();
    asked.destinations = match &work.kind {
        Kind::Builtin(Builtin::Download) if work.flavour == Flavour::Native && spec.get("destination").is_some() => {
            texts("destination").iter().map(|text| Location::local(text, roots)).collect()
        }
        Kind::Builtin(Builtin::Download) => sources.iter().map(|text| Location::local(text, roots)).collect(),
        Kind::Builtin(Builtin::Unzip) => texts("destination").iter().map(|text| Location::local(text, roots)).collect(),
        _ => texts("destination").iter().map(|text| Location::of(text, roots)).collect(),
    };
    if matches!(&work.kind, Kind::Builtin(Builtin::CopyMany)) {
        asked.members = Some(members(&sources, spec.get("source_list_file").is_some()));
    }
    if let Some(other) = asked.sources.iter().chain(&asked.destinations).find_map(|place| match place.address() {
        Address::Other(scheme) => Some(scheme.to_owned()),
        _ => None,
    }) {
        return Err(format!("nothing here can talk to `{other}://`"));
    }
    Ok(())
}

/// Which files several sources become in their folder: those of their names, or what is new there where the names are not known yet.
fn members(sources: &[String], is_listed: bool) -> FileSet {
    let name = |source: &String| {
        let path = source.split(['?', '#']).next().filter(|_| source.contains("://")).unwrap_or(source);
        path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    };
    let is_plain = |source: &String| glob::split(source).1.is_empty();
    if is_listed || !sources.iter().all(is_plain) {
        return FileSet { include: vec!["*".to_owned()], changed: true, ..FileSet::default() };
    }
    FileSet { include: sources.iter().map(name).collect(), ..FileSet::default() }
}

fn collect(node: Option<&Node>, found: &mut Vec<String>) {
    match node.map(|node| &node.data) {
        Some(Data::Scalar { .. }) => found.extend(node.and_then(Node::as_text).map(ToOwned::to_owned)),
        Some(Data::List(items)) => items.iter().for_each(|item| collect(Some(item), found)),
        Some(Data::Map(entries)) => entries.iter().for_each(|entry| collect(Some(&entry.value), found)),
        None => {}
    }
}

/// What determines the result of a task that is no command: its type and version, and its spec as far as it counts. What a type of prov's
/// own reads and writes counts by its content, not by its place.
fn counted_spec(work: &Work, kind: &dyn TaskKind) -> Value {
    let is_own = matches!(work.kind, Kind::Builtin(_));
    let is_place = |entry: &&Entry| {
        is_own && matches!(entry.key.as_str(), "source" | "sources" | "destination" | "source_list_file")
    };
    let counted = work
        .spec
        .as_map()
        .unwrap_or_default()
        .iter()
        .filter(|entry| !NOT_COUNTED.contains(&entry.key.as_str()) && !is_place(entry));
    let spec = counted.map(|entry| (entry.key.clone(), entry.value.to_value())).collect();
    Value::Map(vec![
        ("spec".to_owned(), Value::Map(spec)),
        ("type".to_owned(), Value::Text(work.task_type.clone())),
        ("version".to_owned(), Value::Int(kind.version().into())),
    ])
}

/// Declares inputs and outputs: those that the task says, and those of its type.
fn declare(asked: &mut Asked, roots: &Roots) -> Result<(), String> {
    let place = |text: &str| -> BString { Location::local(text, roots).absolute.into() };
    for Keyed { key, path } in &asked.settings.inputs {
        let path: BString = if path.contains("://") { path.as_str().into() } else { place(path) };
        asked.request.inputs.push(Declared { key: key.clone(), path });
    }
    for Keyed { key, path } in &asked.settings.outputs {
        asked.request.outputs.push(Declared { key: key.clone(), path: place(path) });
    }
    let mut number = 0u32;
    let sources = std::mem::take(&mut asked.sources);
    for source in &sources {
        number += 1;
        let key = if number == 1 { "source".to_owned() } else { format!("source_{number}") };
        if let Address::Http(url) = source.address() {
            asked.request.inputs.push(Declared::named(key.clone(), url));
            asked.web.push((url.to_owned(), key));
            continue;
        }
        if let Address::Local(path) = source.address() {
            // A pattern of Otter's is one of ours as long as it has no special character that only one of them knows.
            let is_declared = asked.request.inputs.iter().any(|input| input.path == crate::path::bytes(path));
            // What matches nothing is copied as nothing.
            let is_pattern = !glob::split(&source.absolute).1.is_empty();
            let declared = Declared::named(key, crate::path::bytes(path));
            match (is_declared, is_pattern) {
                (true, _) => {}
                (false, true) => asked.request.inputs_optional.push(declared),
                (false, false) => asked.request.inputs.push(declared),
            }
        }
    }
    asked.sources = sources;
    let mut number = 0u32;
    let destinations = asked.destinations.clone();
    for destination in &destinations {
        let Address::Local(path) = destination.address() else {
            return Err(format!("nothing here can write to `{}`", destination.absolute));
        };
        number += 1;
        let key = if number == 1 { "destination".to_owned() } else { format!("destination_{number}") };
        let path: BString = crate::path::bytes(path);
        if asked.request.outputs.iter().any(|output| output.path == path) {
            continue;
        }
        match &asked.members {
            Some(files) => {
                asked.request.output_sets.push(DeclaredSet { key: Some(key), root: path, files: files.clone() });
            }
            None => asked.request.outputs.push(Declared::named(key, path)),
        }
    }
    Ok(())
}

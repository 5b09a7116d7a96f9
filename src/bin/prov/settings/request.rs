//! From words to the request that the library takes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use bstr::{BString, ByteSlice};
use prov::codec::Value;
use prov::object::recipe::FileSet;
use prov::path::{self, Place, RelPath};
use prov::run::request::{
    CacheMode, CodeMode, Container, Declared, DeclaredSet, OnKnownFailure, OnMissing, Request, RestoreMode, Validate,
};

use super::template::Template;
use super::{Settings, Step};
use crate::args::values;
use crate::args::{
    CacheWord, InputsMissingWord, OnKnownFailureWord, OnMissingWord, RestoreWord, RunArgs, RunOptions, ValidateWord,
};
use crate::error::Failure;

/// From where the words were typed.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The project's root, absolute and normal.
    pub(crate) root: &'a Path,
    /// The folder the user is in, absolute and normal.
    pub(crate) cwd: &'a Path,
    /// Whether there is something at a path.
    pub(crate) exists: &'a dyn Fn(&Path) -> bool,
}

/// Makes the request. What the command line says wins over the environment, that over the step of `prov.toml`; lists are
/// joined, and a declared path takes the place of the step's one with the same key.
///
/// A step of `prov.toml` runs in the project's root, or in the folder `cwd` that it names, and its paths are seen from there; paths on the
/// command line are seen from where the user is.
///
/// # Errors
/// Words that make no sense together.
pub(crate) fn request(
    args: &RunArgs,
    step: Option<&Step>,
    settings: &Settings,
    seen: Seen<'_>,
) -> Result<Request, Failure> {
    let given = &args.options;
    let nothing = RunOptions::default();
    let file = step.map_or(&nothing, |step| &step.options);
    let argv = if args.command.is_empty() {
        match (step, &args.name) {
            (Some(step), _) if !step.command.is_empty() => step.command.clone(),
            (Some(_), Some(name)) => {
                return Err(no_command(&format!("`[steps.{name}]` of prov.toml has no `command`")));
            }
            (None, Some(name)) => {
                return Err(Failure::usage(format!(
                    "there is no `[steps.{name}]` in prov.toml, and no command was given"
                ))
                .hint(format!("run a command under this name: prov run {name} [OPTIONS] -- CMD...")));
            }
            (_, None) => return Err(no_command("no command was given")),
        }
    } else {
        args.command.iter().map(|word| values::bytes(word)).collect()
    };
    let home = step.map(|step| seen.root.join(path::from_bytes(&step.cwd)));
    let rebase = Rebase {
        seen,
        is_needed: home.as_ref().is_some_and(|home| home != seen.cwd),
        is_root: home.as_ref().is_some_and(|home| home == seen.root),
    };

    let mut request = Request::command(argv);
    request.cwd = match step {
        Some(step) => step.cwd.clone(),
        None => relative(seen)?,
    };
    request.step = given.step.clone().or_else(|| file.step.clone()).or_else(|| args.name.clone());
    request.inputs = joined(&file.input, &given.input, |declared| rebase.input(declared));
    request.inputs_optional = joined(&file.input_optional, &given.input_optional, |declared| rebase.input(declared));
    request.outputs = joined(&file.output, &given.output, |declared| rebase.output(declared));
    request.output_sets = sets(&file.output_set, &given.output_set, &rebase)?;
    let captures = [(&file.outputs.capture, None), (&given.outputs.capture, Some(&rebase))];
    for (words, rebase) in captures {
        for word in words {
            request.output_sets.push(capture(word, rebase)?);
        }
    }
    request.about = super::outputs::about(&file.outputs, &given.outputs)?;
    request.freshness = given.freshness.or(file.freshness).unwrap_or_default();
    request.restores_inputs = given.inputs_missing.or(file.inputs_missing) == Some(InputsMissingWord::Restore);
    request.identity = joined(&file.identity, &given.identity, |declared| rebase.output(declared));
    request.in_place = chain(&file.in_place, &given.in_place).collect();
    request.no_store = chain(&file.no_store, &given.no_store).collect();
    request.stdin = match (&given.stdin, &file.stdin) {
        (Some(path), _) => Some(rebase.path(&values::bytes(path))),
        (None, file) => file.as_ref().map(|path| values::bytes(path)),
    };
    request.config_files = file.config.iter().map(|path| values::bytes(path)).collect();
    // `@NAME` is the config of a scenario.
    let layer = |path: &OsString| match values::bytes(path) {
        path if path.starts_with(b"@") => path,
        path => rebase.path(&path),
    };
    request.config_files.extend(given.config.iter().map(layer));
    request.config_folder = super::folder::folder(&file.folder, &given.folder, |dir| rebase.path(dir));
    if given.folder.base_run.is_some() && given.config.is_empty() {
        request.config_files.clear();
    }
    request.sets = chain(&file.set, &given.set).collect();
    request.code = code(if given.code.is_empty() { &file.code } else { &given.code })?;
    for word in file.env.iter().chain(&given.env) {
        let (name, value) = values::variable(word).map_err(Failure::usage)?;
        request.env.insert(name, value);
    }
    request.locks = joined(&file.lock, &given.lock, |declared| rebase.output(declared));
    request.tools = assignments(&file.tool, &given.tool);
    request.container =
        container(given, |path| rebase.path(path)).or_else(|| container(file, |path: &[u8]| path.into()));
    request.runtime = assignments(&file.runtime, &given.runtime);
    let secrets = file.secret_env.iter().chain(&given.secret_env);
    request.secret_env =
        secrets.map(|word| values::secret_name(word)).collect::<Result<_, _>>().map_err(Failure::usage)?;
    request.dims = dims(file, given)?;
    request.tags = chain(&file.tag, &given.tag).collect();
    request.message = given.message.clone().or_else(|| file.message.clone()).unwrap_or_default();
    request.run_name = given.run_name.clone().or_else(|| file.run_name.clone());
    request.scenario = given.scenario.clone().or_else(|| settings.scenario.clone()).or_else(|| file.scenario.clone());
    request.parent.clone_from(&settings.parent);
    request.cache = cache(given).or(settings.cache).or_else(|| cache(file));
    request.epoch = given.epoch.or(file.epoch).unwrap_or_default();
    request.step_version = given.step_version.or(file.step_version).unwrap_or_default();
    request.restore = restore(given.restore.or(file.restore));
    request.timeout_ms = given.timeout.or(file.timeout);
    request.wait = given.wait || file.wait;
    request.on_missing = on_missing(given.on_missing.or(file.on_missing));
    request.validate = match given.validate.or(file.validate) {
        None | Some(ValidateWord::Lazy) => Validate::Lazy,
        Some(ValidateWord::Strict) => Validate::Strict,
        Some(ValidateWord::None) => Validate::None,
    };
    request.on_known_failure = match given.on_known_failure.or(file.on_known_failure) {
        None | Some(OnKnownFailureWord::Run) => OnKnownFailure::Run,
        Some(OnKnownFailureWord::Stop) => OnKnownFailure::Stop,
    };
    request.lifecycle = super::lifecycle(&file.lifecycle, &given.lifecycle)?;
    Template::of(&request).fill(&mut request, step.is_some())?;
    Ok(request)
}

fn no_command(message: &str) -> Failure {
    Failure::usage(message).hint("put it after `--`: prov run [OPTIONS] -- CMD...")
}

fn relative(seen: Seen<'_>) -> Result<BString, Failure> {
    match path::locate(seen.root, seen.cwd, Path::new("")) {
        Place::Inside(inside) => Ok(inside.as_bytes().to_owned()),
        Place::Outside(_) => Err(Failure::usage(format!("`{}` is outside of the project", path::show(seen.cwd)))
            .hint(format!("start from within `{}`", path::show(seen.root)))),
    }
}

fn chain<'a>(first: &'a [String], then: &'a [String]) -> impl Iterator<Item = String> + 'a {
    first.iter().chain(then).cloned()
}

/// `KEY=VALUE` by key, the later ones winning.
fn assignments(first: &[String], then: &[String]) -> BTreeMap<String, String> {
    // Checked by the grammar already: there is a key and a `=`.
    let pairs = first.iter().chain(then).filter_map(|word| word.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn container(options: &RunOptions, seen: impl Fn(&[u8]) -> BString) -> Option<Container> {
    let named = options.container.as_ref().map(|image| {
        let image = values::bytes(image);
        // A name with a digest is no path.
        Container::Image(if image.contains_str("@sha256:") { image } else { seen(&image) })
    });
    named.or_else(|| options.container_from.clone().map(Container::Command))
}

/// The step's paths that are not replaced, then the given ones.
fn joined(file: &[OsString], given: &[OsString], seen: impl Fn(Declared) -> Declared) -> Vec<Declared> {
    let given: Vec<Declared> = given.iter().map(|word| values::declared(word)).collect();
    let mut all: Vec<Declared> = file
        .iter()
        .map(|word| values::declared(word))
        .filter(|old| given.iter().all(|new| values::key_of(new) != values::key_of(old)))
        .collect();
    // The key comes from the path as it was typed, so it is the same from every folder.
    all.extend(given.into_iter().map(seen));
    all
}

/// The sets of the step, then the given ones; words with one key and one folder make one set. A given set takes the place of the step's.
fn sets(file: &[OsString], given: &[OsString], rebase: &Rebase<'_>) -> Result<Vec<DeclaredSet>, Failure> {
    let parse = |words: &[OsString]| -> Result<Vec<DeclaredSet>, Failure> {
        let mut all: Vec<DeclaredSet> = Vec::new();
        for word in words {
            let (key, root, pattern, is_exclude) = values::set(word).map_err(Failure::usage)?;
            let known = all.iter().position(|set| set.key.as_deref() == Some(&key));
            let at = known.unwrap_or_else(|| {
                let key = Some(key.clone());
                all.push(DeclaredSet { key, root: root.clone(), files: FileSet::default() });
                all.len() - 1
            });
            if all[at].root != root {
                return Err(Failure::usage(format!("the output set `{key}` is given two folders"))
                    .hint("use one folder above both, or two keys"));
            }
            let files = &mut all[at].files;
            if is_exclude { files.exclude.push(pattern) } else { files.include.push(pattern) }
        }
        Ok(all)
    };
    let given = parse(given)?;
    let mut all = parse(file)?;
    all.retain(|old| given.iter().all(|new| new.key != old.key));
    all.extend(given.into_iter().map(|set| DeclaredSet { root: rebase.path(&set.root), ..set }));
    Ok(all)
}

/// What is captured in a folder: all below it, unless a pattern says which files.
fn capture(word: &OsStr, rebase: Option<&Rebase<'_>>) -> Result<DeclaredSet, Failure> {
    let declared = values::declared(word);
    let (root, pattern) = values::folder_and_pattern(&declared.path)
        .map_err(|why| Failure::usage(format!("--capture {}: {why}", path::shown(word.as_encoded_bytes()))))?;
    let files =
        FileSet { include: vec![pattern.unwrap_or_else(|| "**".to_owned())], exclude: Vec::new(), changed: true };
    Ok(DeclaredSet { key: declared.key, root: rebase.map_or(root.clone(), |rebase| rebase.path(&root)), files })
}

/// Turns paths seen from the user's folder into paths seen from the step's.
struct Rebase<'a> {
    seen: Seen<'a>,
    is_needed: bool,
    /// Whether they are to be seen from the root; from elsewhere they are made absolute.
    is_root: bool,
}

impl Rebase<'_> {
    /// An input may be a revision: it is one if nothing is at that path. What could be one is left as it is.
    fn input(&self, declared: Declared) -> Declared {
        if let Some((place, url)) = prov::run::web::place_and_url(&declared.path) {
            let path = [&self.path(place)[..], b"=", url].concat().into();
            return Declared { path, ..declared };
        }
        let is_named = declared.path.contains(&b':') || declared.path.starts_with(b"@");
        if !is_named || (self.seen.exists)(&self.seen.cwd.join(path::from_bytes(&declared.path))) {
            self.output(declared)
        } else {
            declared
        }
    }

    fn output(&self, declared: Declared) -> Declared {
        let path = self.path(&declared.path);
        Declared { path, ..declared }
    }

    fn path(&self, typed: &[u8]) -> BString {
        let typed_path = path::from_bytes(typed);
        if !self.is_needed || typed_path.is_absolute() {
            return typed.into();
        }
        match path::locate(self.seen.root, self.seen.cwd, &typed_path) {
            Place::Inside(inside) if !self.is_root => path::bytes(&inside.below(self.seen.root)),
            Place::Inside(inside) if inside == RelPath::root() => ".".into(),
            Place::Inside(inside) => inside.as_bytes().to_owned(),
            Place::Outside(outside) => path::bytes(&outside),
        }
    }
}

fn code(words: &[String]) -> Result<Option<CodeMode>, Failure> {
    Ok(match words {
        [] => None,
        [one] if one == "project" => Some(CodeMode::Project),
        [one] if one == "command" => Some(CodeMode::Command),
        [one] if one == "none" => Some(CodeMode::None),
        several => {
            if let Some(mode) = several.iter().find(|word| matches!(word.as_str(), "project" | "command" | "none")) {
                return Err(Failure::usage(format!("--code {mode} can not be combined with paths"))
                    .hint(format!("for a file called {mode} write ./{mode}")));
            }
            Some(CodeMode::Paths(several.to_vec()))
        }
    })
}

fn dims(file: &RunOptions, given: &RunOptions) -> Result<BTreeMap<String, Value>, Failure> {
    let mut dims = BTreeMap::new();
    for options in [file, given] {
        // Checked by the grammar already: there is a key and a `=`.
        for (key, value) in options.dim.iter().filter_map(|word| word.split_once('=')) {
            if matches!(key, "year" | "iteration") {
                return Err(Failure::usage(format!("--dim {key} has an option of its own"))
                    .hint(format!("write --{key} {value}")));
            }
            dims.insert(key.to_owned(), scalar(value));
        }
        for (key, value) in [("year", &options.year), ("iteration", &options.iteration)] {
            match value {
                Some(values::Whole::Number(number)) => drop(dims.insert(key.to_owned(), Value::Int((*number).into()))),
                Some(values::Whole::Row(text)) => drop(dims.insert(key.to_owned(), Value::Text(text.clone()))),
                None => {}
            }
        }
    }
    Ok(dims)
}

/// A dimension's value: a whole number, true or false, else text; in double quotes always text.
fn scalar(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return Value::Int(number.into());
    }
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match serde_json::from_str::<String>(text) {
            Ok(quoted) => Value::Text(quoted),
            Err(_) => Value::Text(text.to_owned()),
        },
    }
}

fn cache(options: &RunOptions) -> Option<CacheMode> {
    if options.force {
        return Some(CacheMode::Overwrite);
    }
    options.cache.map(|word| match word {
        CacheWord::Reuse => CacheMode::Reuse,
        CacheWord::Overwrite => CacheMode::Overwrite,
        CacheWord::Readonly => CacheMode::Readonly,
        CacheWord::Off => CacheMode::Off,
    })
}

fn restore(word: Option<RestoreWord>) -> RestoreMode {
    match word {
        None | Some(RestoreWord::Outputs) => RestoreMode::Outputs,
        Some(RestoreWord::Metadata) => RestoreMode::Metadata,
        Some(RestoreWord::None) => RestoreMode::None,
    }
}

pub(super) fn on_missing(word: Option<OnMissingWord>) -> OnMissing {
    match word {
        None | Some(OnMissingWord::Error) => OnMissing::Error,
        Some(OnMissingWord::Warn) => OnMissing::Warn,
        Some(OnMissingWord::Ignore) => OnMissing::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::settings::Environment;
    use crate::settings::step_of;

    fn made(words: &[&str], table: Option<&str>, environment: &Environment, cwd: &str) -> Result<Request, Failure> {
        let cli = Cli::try_parse_from(["prov", "run"].iter().chain(words)).unwrap();
        let settings = Settings::resolve(environment, &cli.globals).unwrap();
        let Command::Run(args) = cli.command else { unreachable!("the word is run") };
        let step = table.map(|text| {
            let mut settings = prov::config::Settings::new();
            settings.add_text(Path::new("prov.toml"), text.as_bytes()).unwrap();
            step_of("s", &settings.step("s").unwrap()).unwrap()
        });
        let exists = |path: &Path| path.file_name() != Some(OsStr::new("clean:model"));
        request(&args, step.as_ref(), &settings, Seen { root: Path::new("/p"), cwd: Path::new(cwd), exists: &exists })
    }

    const TABLE: &str =
        "[steps.s]\ncommand = ['tool']\ninput = ['data/raw.csv', 'b.csv']\ncache = 'readonly'\nset = { a = 1 }\n";

    #[test]
    fn words_become_a_request() {
        let request = made(
            &[
                "-i",
                "raw=-odd.csv",
                "-o",
                "out/x.csv",
                "-S",
                "a=1",
                "--year",
                "2026",
                "--dim",
                "region=north",
                "-f",
                "--",
                "-x",
                "--json",
            ],
            None,
            &Environment::of([("PROV_RUN_ID", "20261122T102030.123456Z-x-aaaa"), ("PROV_SCENARIO", "dev")]),
            "/p/sub",
        )
        .unwrap();
        assert_eq!(request.argv, ["-x", "--json"]);
        assert_eq!(request.cwd, "sub");
        assert_eq!(request.inputs, [Declared::named("raw", "-odd.csv")]);
        assert_eq!(request.outputs, [Declared::path("out/x.csv")]);
        assert_eq!(request.cache, Some(CacheMode::Overwrite));
        assert_eq!(request.dims.get("year"), Some(&Value::Int(2026)));
        assert_eq!(request.dims.get("region"), Some(&Value::Text("north".to_owned())));
        assert_eq!((request.scenario.as_deref(), request.parent.is_some()), (Some("dev"), true));
    }

    #[test]
    fn a_step_runs_in_the_root_and_given_paths_are_seen_from_here() {
        let request = made(
            &["s", "-i", "raw=other.csv", "-i", "clean:model", "-o", "../top.csv", "-S", "a=2"],
            Some(TABLE),
            &Environment::of([("PROV_CACHE", "off")]),
            "/p/sub",
        )
        .unwrap();
        assert_eq!((request.argv.len(), request.cwd.as_slice(), request.step.as_deref()), (1, &b""[..], Some("s")));
        assert_eq!(
            request.inputs,
            [Declared::path("b.csv"), Declared::named("raw", "sub/other.csv"), Declared::path("clean:model")]
        );
        assert_eq!(request.outputs, [Declared::path("top.csv")]);
        assert_eq!(request.sets, ["a=1", "a=2"]);
        assert_eq!(request.cache, Some(CacheMode::Off), "the environment wins over the file");
    }

    #[test]
    fn a_name_needs_a_step_or_a_command() {
        let none = Environment::default();
        let failure = made(&["clean"], None, &none, "/p").unwrap_err();
        assert_eq!(failure.message, "there is no `[steps.clean]` in prov.toml, and no command was given");
        assert_eq!(made(&[], None, &none, "/p").unwrap_err().message, "no command was given");
        assert_eq!(made(&["clean", "--", "x"], None, &none, "/p").unwrap().step.as_deref(), Some("clean"));
    }

    #[test]
    fn a_code_mode_stands_alone() {
        let none = Environment::default();
        assert_eq!(made(&["--code", "none", "--", "x"], None, &none, "/p").unwrap().code, Some(CodeMode::None));
        assert!(made(&["--code", "none", "--code", "a.py", "--", "x"], None, &none, "/p").is_err());
    }

    #[test]
    fn dimensions_keep_their_kind() {
        assert_eq!(scalar("7"), Value::Int(7));
        assert_eq!(scalar("007"), Value::Text("007".to_owned()));
        assert_eq!(scalar("true"), Value::Bool(true));
        assert_eq!(scalar("\"7\""), Value::Text("7".to_owned()));
    }
}

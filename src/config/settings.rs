//! prov's own settings: what the user, the project, the environment and the flags say, and who said what.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use ::toml::de::{DeTable, DeValue};

use super::catalogue::{self, Found, Kind};
use super::error::{Error, Problem, place};
use super::step::StepSettings;
use super::toml;
use crate::codec::Value;
use crate::fs::Fs;

/// Who gave a setting its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file, at a line.
    File {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { file, line } => write!(f, "{}:{line}", crate::path::show(file)),
            Origin::Variable(name) => write!(f, "${name}"),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// A value and who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value: text, number, boolean, or a list of texts.
    pub value: Value,
    /// Who gave it.
    pub origin: Origin,
}

/// The settings in force. A later layer replaces single values of the earlier ones, lists as a whole.
///
/// The layers, in the order in which they are to be laid: the user's file, `prov.toml`, `.prov/config.toml`, the
/// environment, flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<Vec<String>, Setting>,
}

/// The variables that are settings.
const VARIABLES: &[(&str, &str)] = &[
    ("PROV_AUTHOR_EMAIL", "author.email"),
    ("PROV_AUTHOR_NAME", "author.name"),
    ("PROV_CACHE", "cache.mode"),
    ("PROV_JOBS", "core.jobs"),
    ("PROV_REMOTE", "core.remote"),
    ("PROV_SCENARIO", "project.scenario"),
    ("PROV_STORE", "store.path"),
];

/// Settings that a file can't give yet, and what to use instead: refused, so that nobody waits for their effect.
const NOT_IN_FILES: &[(&str, &str)] = &[
    ("core.jobs", "set PROV_JOBS"),
    ("project.scenario", "switch with `prov scenario switch`, or set PROV_SCENARIO"),
    ("ui.color", "say --color, or set NO_COLOR"),
    ("ui.pager", "say --no-pager, or set PROV_PAGER"),
];

impl Settings {
    /// No settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings of these files, in order; files that do not exist are passed over.
    ///
    /// # Errors
    /// As [`Settings::add_text`], and when a file can't be read.
    pub fn read(fs: &Fs, files: &[PathBuf]) -> Result<Self, Error> {
        let mut settings = Self::new();
        for file in files {
            let failed = |source| Error::Io { file: file.clone(), source };
            if fs.stat(file).map_err(failed)?.is_some() {
                settings.add_text(file, &super::bytes_of(fs, file)?)?;
            }
        }
        Ok(settings)
    }

    /// Lays a settings file (TOML) on these settings.
    ///
    /// # Errors
    /// With line and column: bad TOML, a name that is no setting, a value of the wrong kind.
    pub fn add_text(&mut self, file: &Path, bytes: &[u8]) -> Result<(), Error> {
        let text = super::text_of(file, bytes)?;
        let mut found = Vec::new();
        toml::table(&text)
            .and_then(|table| walk(&text, &table, &mut Vec::new(), &mut found))
            .map_err(|problem| problem.into_error(file))?;
        for (path, value, line) in found {
            let key = path.join(".");
            if let Some((_, instead)) = NOT_IN_FILES.iter().find(|(name, _)| *name == key) {
                return Err(Error::At {
                    file: file.to_owned(),
                    line,
                    column: 1,
                    problem: format!("`{key}` is not read from files yet"),
                    hint: Some((*instead).to_owned()),
                });
            }
            self.insert(path, value, Origin::File { file: file.to_owned(), line });
        }
        Ok(())
    }

    /// Lays the environment on these settings; `variable` gives the value of a variable. Empty variables don't count.
    ///
    /// # Errors
    /// A value of the wrong kind.
    pub fn add_environment(&mut self, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
        for (name, key) in VARIABLES {
            if let Some(text) = variable(name).filter(|text| !text.is_empty()) {
                self.set(key, &text, Origin::Variable((*name).to_owned()))?;
            }
        }
        Ok(())
    }

    /// Sets one value from text.
    ///
    /// # Errors
    /// A name that is no setting, a value of the wrong kind.
    pub fn set(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), Error> {
        let path = split(key);
        let refuse = |problem, hint| Error::Given { origin: origin.to_string(), problem, hint };
        let kind = match catalogue::find(&path) {
            Found::Setting(kind) => kind,
            Found::Section => return Err(refuse(format!("`{key}` is a section, not a setting"), None)),
            Found::Nothing(names) => {
                return Err(refuse(format!("there is no setting `{key}`"), suggestion(&path, &names)));
            }
        };
        let value =
            catalogue::from_text(kind, text).map_err(|expected| refuse(format!("`{key}` must be {expected}"), None))?;
        self.insert(path, value, origin);
        Ok(())
    }

    fn insert(&mut self, path: Vec<String>, value: Value, origin: Origin) {
        // A value replaces what an earlier layer had above and below it in a free table.
        self.values.retain(|other, _| {
            let shared = other.len().min(path.len());
            other.len() == path.len() || other[..shared] != path[..shared]
        });
        self.values.insert(path, Setting { value, origin });
    }

    /// The setting of this dotted name (`code.include`, `steps."my step".year`).
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.values.get(&split(key))
    }

    /// All settings, sorted by name; a part of a name that is no plain word is in quotes.
    pub fn all(&self) -> impl Iterator<Item = (String, &Setting)> {
        self.values.iter().map(|(path, setting)| (join(path), setting))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|s| as_text(&s.value))
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(|s| as_count(&s.value))
    }

    fn texts(&self, key: &str) -> Vec<String> {
        self.get(key).map(|s| as_texts(&s.value)).unwrap_or_default()
    }

    /// The project's name.
    pub fn project_name(&self) -> Option<&str> {
        self.text("project.name")
    }

    /// The project's epoch: 0 unless told.
    pub fn project_epoch(&self) -> u64 {
        self.count("project.epoch").unwrap_or(0)
    }

    /// Names of folders outside of the project, with their paths.
    pub fn mounts(&self) -> Vec<(&str, &str)> {
        let mounts = self.values.iter().filter(|(path, _)| path.len() == 2 && path[0] == "mounts");
        mounts.filter_map(|(path, setting)| Some((path[1].as_str(), as_text(&setting.value)?))).collect()
    }

    /// Where the store is.
    pub fn store_path(&self) -> Option<&str> {
        self.text("store.path")
    }

    /// What counts as code: a mode or patterns.
    pub fn code_mode(&self) -> Vec<String> {
        self.texts("code.mode")
    }

    /// Patterns of files that count as code besides.
    pub fn code_include(&self) -> Vec<String> {
        self.texts("code.include")
    }

    /// Patterns of files that do not count as code.
    pub fn code_exclude(&self) -> Vec<String> {
        self.texts("code.exclude")
    }

    /// The cache mode by name.
    pub fn cache_mode(&self) -> Option<&str> {
        self.text("cache.mode")
    }

    /// What a hit restores, by name.
    pub fn cache_restore(&self) -> Option<&str> {
        self.text("cache.restore")
    }

    /// The remote that is meant where none is named.
    pub fn default_remote(&self) -> Option<&str> {
        self.text("core.remote")
    }

    /// Whether the project keeps a `prov.lock`.
    pub fn keeps_lock(&self) -> bool {
        // Asked at every run: nothing is allocated for it.
        let is_it = |path: &[String]| matches!(path, [table, name] if table == "git" && name == "lock");
        self.values.iter().any(|(path, setting)| is_it(path) && setting.value == Value::Bool(true))
    }

    /// What a hook of Git's does, as `[git]` says: the word after `name`.
    pub fn git_word(&self, name: &str) -> Option<&str> {
        self.text(&format!("git.{name}"))
    }

    /// Whether a switch of `[git]` is on.
    pub fn git_switch(&self, name: &str) -> bool {
        self.get(&format!("git.{name}")).is_some_and(|setting| setting.value == Value::Bool(true))
    }

    /// Remotes whose results may be taken without having been fetched, and from which content is brought, in order: the stores that are
    /// only read come first, by their places.
    pub fn cache_remotes(&self) -> Vec<String> {
        let mut all = self.texts("store.read");
        for place in &mut all {
            // A place, not the name of a remote.
            if !place.contains(['/', ':']) {
                place.insert_str(0, "./");
            }
        }
        all.extend(self.texts("cache.remotes"));
        all
    }

    /// Whether there is any remote, or may be: asked at every run, nothing is allocated for it.
    pub fn has_remotes(&self) -> bool {
        self.values.keys().any(|path| match &path[..] {
            [table, ..] if table == "remote" => true,
            [table, name] => (table == "cache" && name == "remotes") || (table == "store" && name == "read"),
            _ => false,
        })
    }

    /// Names of remotes, with where they are and who says so.
    pub fn remotes(&self) -> Vec<(&str, &str, &Origin)> {
        let urls = self.values.iter().filter(|(path, _)| path.len() == 3 && path[0] == "remote" && path[2] == "url");
        urls.filter_map(|(path, setting)| Some((path[1].as_str(), as_text(&setting.value)?, &setting.origin))).collect()
    }

    /// Name and address of the author, where told.
    pub fn author(&self) -> (Option<&str>, Option<&str>) {
        (self.text("author.name"), self.text("author.email"))
    }

    /// The command of a config adapter.
    pub fn adapter(&self, name: &str) -> Option<Vec<String>> {
        let path = ["adapters", name, "command"].map(str::to_owned);
        self.values.get(path.as_slice()).map(|setting| as_texts(&setting.value))
    }

    /// Names of the steps that have settings.
    pub fn steps(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .values
            .keys()
            .filter(|path| path[0] == "steps")
            .filter_map(|path| Some(path.get(1)?.as_str()))
            .collect();
        names.dedup();
        names
    }

    /// The options of a step; `None` if it has none.
    pub fn step(&self, name: &str) -> Option<StepSettings> {
        let mut step = StepSettings::default();
        let mut any = false;
        for (path, setting) in &self.values {
            if path.len() > 2 && path[0] == "steps" && path[1] == name {
                step.take(&path[2..], setting);
                any = true;
            }
        }
        any.then_some(step)
    }
}

pub(super) fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

pub(super) fn as_count(value: &Value) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

pub(super) fn as_texts(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.iter().filter_map(as_text).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

type FoundSetting = (Vec<String>, Value, usize);

fn walk(text: &str, table: &DeTable<'_>, path: &mut Vec<String>, found: &mut Vec<FoundSetting>) -> Result<(), Problem> {
    for (key, item) in table {
        let at = place(text, key.span().start);
        path.push(key.get_ref().to_string());
        if path.len() > super::MAX_DEPTH {
            return Err(Problem::new(at, format!("nested deeper than {} levels", super::MAX_DEPTH)));
        }
        match (catalogue::find(path), item.get_ref()) {
            (Found::Section | Found::Setting(Kind::Values), DeValue::Table(below)) => walk(text, below, path, found)?,
            (Found::Setting(Kind::Values), _) if path.len() == 3 => {
                let name = path.last().map_or("", String::as_str);
                return Err(Problem::new(
                    at,
                    format!("`{}` must be a table of values, such as `{name} = {{ rate = 0.1 }}`", join(path)),
                ));
            }
            (Found::Setting(kind), _) => {
                let value = toml::value(text, item, path.len())?;
                let value = catalogue::accept(kind, value)
                    .map_err(|expected| Problem::new(at, format!("`{}` must be {expected}", join(path))))?;
                found.push((path.clone(), value, at.0));
            }
            (Found::Section, _) => return Err(Problem::new(at, format!("`{}` must be a table", join(path)))),
            (Found::Nothing(names), _) => {
                let mut problem = Problem::new(at, format!("there is no setting `{}`", join(path)));
                problem.hint = suggestion(path, &names);
                return Err(problem);
            }
        }
        path.pop();
    }
    Ok(())
}

fn suggestion(path: &[String], names: &[&str]) -> Option<String> {
    let typed = path.last()?;
    if let Some(name) = catalogue::nearest(typed, names) {
        return Some(format!("did you mean `{name}`?"));
    }
    (!names.is_empty()).then(|| format!("known here: {}", names.join(", ")))
}

/// Splits a dotted name; parts in double quotes are taken as they are.
fn split(key: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = key.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => part.extend(chars.next()),
            '.' if !quoted => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

fn join(path: &[String]) -> String {
    let parts: Vec<String> = path
        .iter()
        .map(|part| {
            if !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
                part.clone()
            } else {
                let escaped = part.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{}\"", crate::path::shown(escaped.as_bytes()))
            }
        })
        .collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(layers: &[(&str, &str)]) -> Result<Settings, Error> {
        let mut settings = Settings::new();
        for (file, text) in layers {
            settings.add_text(Path::new(file), text.as_bytes())?;
        }
        Ok(settings)
    }

    #[test]
    fn later_layers_win_and_origins_are_kept() {
        let mut settings = settings(&[
            ("user.toml", "[author]\nname = 'A'\n[code]\ninclude = ['a']\n"),
            ("prov.toml", "[project]\nname = 'p'\nepoch = 2\n\n[code]\ninclude = ['b', 'c']\n"),
        ])
        .unwrap();
        let env = |name: &str| (name == "PROV_CACHE").then(|| "off".to_owned());
        settings.add_environment(&env).unwrap();
        settings.set("ui.color", "never", Origin::Flag("--color".to_owned())).unwrap();
        assert_eq!(settings.project_name(), Some("p"));
        assert_eq!(settings.project_epoch(), 2);
        assert_eq!(settings.code_include(), ["b", "c"]);
        let listed: Vec<String> = settings.all().map(|(key, s)| format!("{key} {}", s.origin)).collect();
        assert_eq!(
            listed,
            [
                "author.name user.toml:2",
                "cache.mode $PROV_CACHE",
                "code.include prov.toml:6",
                "project.epoch prov.toml:3",
                "project.name prov.toml:2",
                "ui.color --color",
            ]
        );
    }

    #[test]
    fn what_a_file_can_not_give_yet_is_refused_with_what_to_use_instead() {
        let err = settings(&[("prov.toml", "[core]\njobs = 2\n")]).unwrap_err();
        assert_eq!(err.to_string(), "prov.toml:2:1: `core.jobs` is not read from files yet");
        assert_eq!(err.hint(), Some("set PROV_JOBS"));
    }

    #[test]
    fn unknown_names_are_errors_with_a_place_and_a_suggestion() {
        let err = settings(&[("prov.toml", "[code]\ninlcude = ['a']\n")]).unwrap_err();
        assert_eq!(err.to_string(), "prov.toml:2:1: there is no setting `code.inlcude`");
        assert_eq!(err.hint(), Some("did you mean `include`?"));
        let err = settings(&[("prov.toml", "[step.clean]\nyear = 1\n")]).unwrap_err();
        assert_eq!(err.hint(), Some("did you mean `steps`?"));
        let err = settings(&[("prov.toml", "[project]\nname = 3\n")]).unwrap_err();
        assert_eq!(err.to_string(), "prov.toml:2:1: `project.name` must be a text that is not empty");
        assert!(settings(&[("prov.toml", "project = 1")]).is_err());
        assert!(settings(&[("prov.toml", "[cache]\nmode = 'sometimes'")]).is_err());
        let mut settings = Settings::new();
        assert!(settings.set("cod.include", "x", Origin::Flag("-c".into())).is_err());
        let env = |name: &str| (name == "PROV_JOBS").then(|| "many".to_owned());
        assert_eq!(
            settings.add_environment(&env).unwrap_err().to_string(),
            "$PROV_JOBS: `core.jobs` must be a whole number from 0"
        );
    }

    #[test]
    fn a_step_has_all_its_options() {
        let text = r#"
[steps.clean]
command = "python clean.py '{input.raw}' {output.clean}"
input = ["raw=data/raw.csv", "data/more.csv"]
output = { clean = "work/clean.csv" }
env = "OMP_NUM_THREADS"
code = ["clean.py"]
year = 2030
timeout = 90
wait = true
[steps.clean.set]
threshold = 0.7
model.lr = 1
[steps.clean.dim]
region = "north"
"#;
        let step = settings(&[("prov.toml", text)]).unwrap().step("clean").unwrap();
        assert_eq!(step.texts("command"), ["python", "clean.py", "{input.raw}", "{output.clean}"]);
        assert_eq!(step.texts("input"), ["raw=data/raw.csv", "data/more.csv"]);
        assert_eq!(step.texts("output"), ["clean=work/clean.csv"]);
        assert_eq!(step.texts("env"), ["OMP_NUM_THREADS"]);
        let one = |name: &str| step.get(name).unwrap().value.clone();
        assert_eq!((one("year"), one("timeout")), (Value::Int(2030), Value::Text("90s".into())));
        assert_eq!(one("wait"), Value::Bool(true));
        assert_eq!(one("set").get("threshold"), Some(&Value::Float(0.7)));
        assert_eq!(one("set").get("model").and_then(|m| m.get("lr")), Some(&Value::Int(1)));
        assert_eq!(one("dim"), Value::Map(vec![("region".to_owned(), Value::Text("north".into()))]));
        assert!(Settings::new().step("clean").is_none());
    }

    #[test]
    fn layers_of_a_step_meet_by_option() {
        let both = settings(&[
            ("a.toml", "[steps.'my step'.set]\na = 1\nb = {c = 1}\n"),
            ("b.toml", "[steps.'my step']\nyear = 3\n[steps.'my step'.set]\na = {x = 2}\nb = 2\n"),
        ])
        .unwrap();
        let step = both.step("my step").unwrap();
        let set = step.get("set").unwrap().value.clone();
        assert_eq!(set.get("a").and_then(|a| a.get("x")), Some(&Value::Int(2)));
        assert_eq!(set.get("b"), Some(&Value::Int(2)));
        assert_eq!(both.get("steps.\"my step\".year").map(|s| s.value.clone()), Some(Value::Int(3)));
        assert_eq!(both.steps(), ["my step"]);
    }

    #[test]
    fn absent_files_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(&Fs::real(), &[dir.path().join("none.toml")]).unwrap(), Settings::new());
    }

    proptest::proptest! {
        #[test]
        fn names_survive_quoting(parts in proptest::collection::vec("[a-z.\"\\\\ ]{1,6}", 1..4)) {
            proptest::prop_assert_eq!(split(&join(&parts)), parts);
        }
    }
}

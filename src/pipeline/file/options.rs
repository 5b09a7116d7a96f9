//! Options of a pipeline and where each comes from: command line, then environment, then the file, then the default.
//!
//! The environment's names begin with the runner's name in upper case: for runner `pis` that is `PIS_WORK_PATH`. So the runner's name has
//! to be known first; it comes from the command line, else from the environment's `PROV_RUNNER`, else from the file, else it is the default,
//! and it is always told which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::model::{Flavour, Pipeline};
use super::read::OPTIONS;
use crate::config::nearest;
use crate::pipeline::Error;

/// Where an option's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// This variable.
    Variable(String),
    /// The pipeline's file.
    File,
    /// Nobody said anything.
    Default,
}

impl Origin {
    /// In words, for people and documents.
    pub fn words(&self) -> String {
        match self {
            Origin::Flag => "command line".to_owned(),
            Origin::Variable(name) => name.clone(),
            Origin::File => "file".to_owned(),
            Origin::Default => "default".to_owned(),
        }
    }
}

/// A value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optioned<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

/// What was said outside of the file.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The runner's name.
    pub runner: Option<String>,
    /// Steps, none for all.
    pub steps: Vec<String>,
    /// The local folder.
    pub work_path: Option<String>,
    /// Where the release is.
    pub release_uri: Option<String>,
    /// How many tasks at once.
    pub pool_size: Option<String>,
    /// How much is told.
    pub log_level: Option<String>,
    /// The environment; of it `PROV_RUNNER` and what begins with the runner's name count.
    pub environment: BTreeMap<String, String>,
}

/// The options that hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The namespace of step names in manifests, and of variables.
    pub runner: Optioned<String>,
    /// The steps that were asked for, none for all.
    pub steps: Optioned<Vec<String>>,
    /// The local folder, absolute.
    pub work_path: Optioned<PathBuf>,
    /// Where the release is; `None` if the run is local.
    pub release_uri: Option<Optioned<String>>,
    /// How many tasks at once.
    pub pool_size: Optioned<u32>,
    /// How much is told.
    pub log_level: Optioned<String>,
}

const LEVELS: [&str; 7] = ["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"];

/// Whether `text` can be the value of the option.
pub(super) fn check(option: &str, text: &str) -> Result<(), String> {
    match option {
        "release_uri" => {
            let is_whole = text.split_once("://").is_some_and(|(scheme, rest)| {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                !scheme.is_empty() && !host.is_empty() && (!path.is_empty() || rest.contains('/'))
            });
            if is_whole { Ok(()) } else { Err(format!("`{text}` is no URI with a scheme, a place and a path")) }
        }
        "pool_size" => match text.trim().parse::<u32>() {
            Ok(size) if size > 1 => Ok(()),
            Ok(_) => Err(format!("`pool_size` is {text}, and must be 2 or more")),
            Err(_) => Err(format!("`pool_size` must be an integer, not `{text}`")),
        },
        "log_level" if !LEVELS.contains(&text) => {
            let meant = nearest(&text.to_lowercase(), &LEVELS.map(str::to_lowercase).each_ref().map(String::as_str))
                .map(|meant| format!("; did you mean {}?", meant.to_uppercase()))
                .unwrap_or_default();
            Err(format!("`{text}` is no log level ({}){meant}", LEVELS.join(" ")))
        }
        _ => Ok(()),
    }
}

/// Whether a runner may be called that: a small letter, then 1 to 31 small letters, digits and `_`.
fn is_runner(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && (2..=32).contains(&name.len())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl Options {
    /// The options that hold for a pipeline. `cwd` is where the user is.
    ///
    /// # Errors
    /// A value that was given makes no sense, even if another one takes its place.
    pub fn resolve(pipeline: &Pipeline, given: &Given, cwd: &Path) -> Result<Self, Error> {
        let variable = "PROV_RUNNER";
        let runner = if let Some(name) = &given.runner {
            Optioned { value: name.clone(), origin: Origin::Flag }
        } else if let Some(name) = given.environment.get(variable).filter(|name| !name.is_empty()) {
            Optioned { value: name.clone(), origin: Origin::Variable(variable.to_owned()) }
        } else if let Some(name) = &pipeline.runner {
            Optioned { value: name.text.clone(), origin: Origin::File }
        } else {
            let name = match pipeline.flavour {
                Flavour::Otter => "otter",
                Flavour::Native => "prov",
            };
            Optioned { value: name.to_owned(), origin: Origin::Default }
        };
        if !is_runner(&runner.value) {
            let problem = format!("`{}` can't be the name of a runner", runner.value);
            return Err(Error::Option { origin: runner.origin.words(), problem });
        }
        let prefix = format!("{}_", runner.value.to_uppercase());
        let variables: BTreeMap<String, (&String, &String)> = given
            .environment
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_lowercase(), (name, value))))
            .collect();
        let flags = [&given.work_path, &given.release_uri, &given.pool_size, &given.log_level];
        let mut found: BTreeMap<&str, Optioned<String>> = BTreeMap::new();
        for (option, flag) in OPTIONS.into_iter().zip(flags) {
            let told = |origin: Origin, value: &String| match check(option, value) {
                Ok(()) => Ok(Optioned { value: value.clone(), origin }),
                Err(problem) => Err(Error::Option { origin: origin.words(), problem }),
            };
            // Each is looked at, the one that wins last: a bad value is a mistake even where it does not count.
            if let Some(named) = pipeline.options.get(option) {
                found.insert(option, told(Origin::File, &named.text)?);
            }
            if let Some((name, value)) = variables.get(option) {
                let value = told(Origin::Variable((*name).clone()), value)?;
                if !value.value.is_empty() {
                    found.insert(option, value);
                }
            }
            if let Some(value) = flag {
                found.insert(option, told(Origin::Flag, value)?);
            }
        }
        let steps = if !given.steps.is_empty() {
            Optioned { value: given.steps.clone(), origin: Origin::Flag }
        } else if let Some((name, step)) = variables.get("step").filter(|(_, step)| !step.is_empty()) {
            Optioned { value: vec![(*step).clone()], origin: Origin::Variable((*name).clone()) }
        } else {
            Optioned { value: Vec::new(), origin: Origin::Default }
        };
        Ok(Self {
            work_path: work_path(pipeline, found.remove("work_path"), cwd),
            release_uri: found
                .remove("release_uri")
                .map(|uri| Optioned { value: uri.value.trim_end_matches('/').to_owned(), origin: uri.origin }),
            pool_size: match found.remove("pool_size") {
                Some(size) => Optioned { value: size.value.trim().parse().unwrap_or(5), origin: size.origin },
                None => Optioned { value: 5, origin: Origin::Default },
            },
            log_level: found
                .remove("log_level")
                .unwrap_or_else(|| Optioned { value: "INFO".to_owned(), origin: Origin::Default }),
            runner,
            steps,
        })
    }
}

/// An Otter config's folder is seen from where the user is, as Otter does; what a native file says, from the file's folder.
fn work_path(pipeline: &Pipeline, found: Option<Optioned<String>>, cwd: &Path) -> Optioned<PathBuf> {
    let folder = cwd.join(pipeline.file.parent().unwrap_or(Path::new("")));
    let (text, origin) = match found {
        Some(found) => (found.value, found.origin),
        None if pipeline.flavour == Flavour::Otter => ("output".to_owned(), Origin::Default),
        None => (".".to_owned(), Origin::Default),
    };
    let is_from_file = matches!(origin, Origin::File | Origin::Default);
    let base = if pipeline.flavour == Flavour::Native && is_from_file { &folder } else { cwd };
    Optioned { value: crate::path::normal(&base.join(text)), origin }
}

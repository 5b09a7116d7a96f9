//! One step of `prov.toml`: `[steps.NAME]` holds any option of `prov run`, and `command`.
//!
//! The table is turned into the words that would say the same, and these go through the grammar of the command
//! line: one meaning, one set of errors.

use std::ffi::OsString;

use bstr::BString;
use clap::{CommandFactory, Parser};
use prov::codec::Value;
use prov::config::StepSettings;

use crate::args::planned;
use crate::args::{RunOptions, StepParser};
use crate::error::Failure;

/// A step as `prov.toml` describes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// Its options.
    pub(crate) options: RunOptions,
    /// Its command.
    pub(crate) command: Vec<BString>,
    /// The folder it runs in and its paths are seen from, relative to the project.
    pub(crate) cwd: BString,
}

/// The step that the settings describe, as options of `prov run`.
///
/// # Errors
/// A value that the option does not take.
pub(crate) fn step_of(name: &str, settings: &StepSettings) -> Result<Step, Failure> {
    let text = |text: &String| Value::Text(text.clone());
    let count = |count: &u64| Value::Int(i128::from(*count));
    let mut entries: Vec<(String, Value)> = Vec::new();
    let mut put = |key: &str, value: Option<Value>| entries.extend(value.map(|value| (key.to_owned(), value)));
    for (key, texts) in [
        ("command", &settings.command),
        ("input", &settings.input),
        ("output", &settings.output),
        ("output-set", &settings.output_set),
        ("in-place", &settings.in_place),
        ("config", &settings.config),
        ("code", &settings.code),
        ("identity", &settings.identity),
        ("env", &settings.env),
        ("tag", &settings.tag),
        ("no-store", &settings.no_store),
    ] {
        put(key, (!texts.is_empty()).then(|| Value::List(texts.iter().map(text).collect())));
    }
    for (key, value) in [
        ("stdin", &settings.stdin),
        ("message", &settings.message),
        ("run-name", &settings.run_name),
        ("scenario", &settings.scenario),
        ("cache", &settings.cache),
        ("restore", &settings.restore),
        ("on-missing", &settings.on_missing),
        ("validate", &settings.validate),
        ("on-known-failure", &settings.on_known_failure),
        ("timeout", &settings.timeout),
    ] {
        put(key, value.as_ref().map(text));
    }
    for (key, value) in [
        ("year", &settings.year),
        ("iteration", &settings.iteration),
        ("epoch", &settings.epoch),
        ("step-version", &settings.step_version),
    ] {
        put(key, value.as_ref().map(count));
    }
    put("wait", settings.wait.clone());
    put("dim", (!settings.dim.is_empty()).then(|| Value::Map(settings.dim.clone())));
    put("set", Some(settings.set.clone()));
    let cwd = settings.cwd.clone().unwrap_or_default();
    let normal = prov::path::normal(&std::path::Path::new("/").join(&cwd));
    if cwd.starts_with('/') || cwd.split('/').any(|part| part == "..") {
        return Err(Failure::usage(format!("`[steps.{name}]` of prov.toml: `cwd`: a folder of the project is meant")));
    }
    let cwd = prov::path::bytes(normal.strip_prefix("/").unwrap_or(&normal));
    Ok(Step { cwd, ..step(name, &Value::Map(entries))? })
}

/// Reads the table `[steps.<name>]`.
///
/// # Errors
/// A key that is no option of `prov run`, or a value that the option does not take.
pub(crate) fn step(name: &str, table: &Value) -> Result<Step, Failure> {
    let wrong = |message: String| Failure::usage(format!("`[steps.{name}]` of prov.toml: {message}"));
    let Value::Map(entries) = table else { return Err(wrong("not a table".to_owned())) };
    let known = StepParser::command();
    let mut words = Vec::new();
    let mut command = Vec::new();
    for (key, value) in entries {
        if key == "command" {
            command = command_words(value).map_err(wrong)?;
            continue;
        }
        let option = option_name(key);
        let Some(arg) = known.get_arguments().find(|arg| arg.get_long() == Some(&option)) else {
            let failure = planned::unknown_in_step(&option);
            return Err(wrong(failure.unwrap_or_else(|| format!("`{key}` is no option of `prov run`")))
                .hint("it takes `command` and the options that `prov run --help` lists"));
        };
        let is_flag = !arg.get_action().takes_values();
        option_words(&option, is_flag, value, &mut words).map_err(|why| wrong(format!("`{key}`: {why}")))?;
    }
    let parsed = StepParser::try_parse_from(words).map_err(|err| wrong(planned::usage(None, &err).message))?;
    Ok(Step { options: parsed.options, command, cwd: BString::default() })
}

/// Options are written with `-` or `_`, lists also in the plural.
fn option_name(key: &str) -> String {
    match key.replace('_', "-").as_str() {
        "inputs" => "input".to_owned(),
        "outputs" => "output".to_owned(),
        "output-sets" => "output-set".to_owned(),
        "tags" => "tag".to_owned(),
        "dims" => "dim".to_owned(),
        other => other.to_owned(),
    }
}

fn command_words(value: &Value) -> Result<Vec<BString>, String> {
    let wrong = "`command` is a list of words, e.g. [\"awk\", \"-f\", \"clean.awk\"]; for a line of shell write [\"sh\", \"-c\", \"...\"]";
    let Value::List(items) = value else { return Err(wrong.to_owned()) };
    items
        .iter()
        .map(|item| match item {
            Value::Text(word) => Ok(BString::from(word.as_str())),
            Value::Int(number) => Ok(BString::from(number.to_string())),
            _ => Err(wrong.to_owned()),
        })
        .collect()
}

fn option_words(option: &str, is_flag: bool, value: &Value, words: &mut Vec<OsString>) -> Result<(), String> {
    let mut push = |text: String| words.push(format!("--{option}={text}").into());
    match value {
        Value::Bool(is_on) if is_flag => {
            if *is_on {
                words.push(format!("--{option}").into());
            }
        }
        _ if is_flag => return Err("true or false is meant".to_owned()),
        Value::List(items) => {
            for item in items {
                push(plain(item)?);
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                pairs(option, key, value, &mut push)?;
            }
        }
        other => push(plain(other)?),
    }
    Ok(())
}

/// The words of a table: `KEY=VALUE` for each entry, for `set` with dotted keys for tables in tables.
fn pairs(option: &str, key: &str, value: &Value, push: &mut impl FnMut(String)) -> Result<(), String> {
    match (option, value) {
        ("set", Value::Map(entries)) => {
            for (below, value) in entries {
                pairs(option, &format!("{key}.{below}"), value, push)?;
            }
        }
        ("set" | "dim", value) => push(format!("{key}={}", yaml(value))),
        (_, value) => push(format!("{key}={}", plain(value)?)),
    }
    Ok(())
}

fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(format!("{number:?}")),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err("text or a number is meant".to_owned()),
    }
}

/// The value in YAML's flow form, which every kind of it survives: text stays text even if it looks like a number.
fn yaml(value: &Value) -> String {
    crate::output::json::stored(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, Value)]) -> Value {
        Value::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn a_step_says_what_the_command_line_could() {
        let table = map(&[
            ("command", Value::List(vec![text("awk"), text("-f"), text("clean.awk")])),
            ("input", map(&[("raw", text("data/raw.csv"))])),
            ("outputs", Value::List(vec![text("clean.csv")])),
            ("set", map(&[("rate", Value::Float(0.5)), ("zip", text("01")), ("a", map(&[("b", Value::Int(2))]))])),
            ("step_version", Value::Int(3)),
            ("wait", Value::Bool(true)),
            ("force", Value::Bool(false)),
            ("timeout", text("5m")),
        ]);
        let step = step("clean", &table).unwrap();
        assert_eq!(step.command, ["awk", "-f", "clean.awk"]);
        assert_eq!(step.options.input, ["raw=data/raw.csv"]);
        assert_eq!(step.options.output, ["clean.csv"]);
        assert_eq!(step.options.set, ["rate=0.5", "zip=\"01\"", "a.b=2"]);
        assert_eq!((step.options.step_version, step.options.timeout), (Some(3), Some(300_000)));
        assert!(step.options.wait && !step.options.force);
    }

    #[test]
    fn mistakes_name_the_step_and_the_key() {
        let message = |key: &str, value: Value| step("s", &map(&[(key, value)])).unwrap_err().message;
        assert_eq!(message("inptu", text("x")), "`[steps.s]` of prov.toml: `inptu` is no option of `prov run`");
        assert_eq!(message("runtime", text("a=1")), "`[steps.s]` of prov.toml: option `--runtime` is not there yet");
        assert_eq!(message("wait", text("yes")), "`[steps.s]` of prov.toml: `wait`: true or false is meant");
        assert!(message("command", text("a b")).contains("list of words"));
        assert!(message("timeout", text("soon")).contains("no duration"));
    }
}

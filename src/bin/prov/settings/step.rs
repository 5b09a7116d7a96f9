//! One step of `prov.toml`: `[steps.NAME]` holds any option of `prov run`, and `command` and `cwd`.
//!
//! The table is turned into the words that would say the same, and these go through the grammar of the command
//! line: one meaning, one set of errors.

use std::ffi::OsString;

use bstr::BString;
use clap::{CommandFactory, Parser};
use prov::codec::Value;
use prov::config::{Setting, StepSettings};

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
/// A value that the option does not take, with the file and line it stands at.
pub(crate) fn step_of(name: &str, settings: &StepSettings) -> Result<Step, Failure> {
    let known = StepParser::command();
    let mut step = Step::default();
    let mut words = Vec::new();
    for (key, setting) in settings.options() {
        let wrong =
            |message: String| Failure::usage(format!("{}: `{key}` of `[steps.{name}]`: {message}", setting.origin));
        match key {
            "command" => step.command = settings.texts(key).into_iter().map(BString::from).collect(),
            "cwd" => step.cwd = folder(setting).map_err(wrong)?,
            _ => {
                let option = key.replace('_', "-");
                let Some(arg) = known.get_arguments().find(|arg| arg.get_long() == Some(&option)) else {
                    return Err(wrong(format!("there is no option `--{option}` of `prov run`")));
                };
                let mut own = Vec::new();
                let is_flag = !arg.get_action().takes_values();
                option_words(&option, is_flag, &setting.value, &mut own).map_err(wrong)?;
                // One by one, so that an error names its line; conflicts between options show below.
                StepParser::try_parse_from(&own).map_err(|err| wrong(planned::usage(None, &err).message))?;
                words.append(&mut own);
            }
        }
    }
    let parsed = StepParser::try_parse_from(words)
        .map_err(|err| Failure::usage(format!("`[steps.{name}]`: {}", planned::usage(None, &err).message)))?;
    Ok(Step { options: parsed.options, ..step })
}

fn folder(setting: &Setting) -> Result<BString, String> {
    let Value::Text(cwd) = &setting.value else { return Err("a text is meant".to_owned()) };
    if cwd.starts_with('/') || cwd.split('/').any(|part| part == "..") {
        return Err("a folder of the project is meant".to_owned());
    }
    let normal = prov::path::normal(&std::path::Path::new("/").join(cwd));
    Ok(prov::path::bytes(normal.strip_prefix("/").unwrap_or(&normal)))
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

/// The words of a table: `KEY=VALUE` for each entry, for `set` and `facet` with dotted keys for tables in tables.
fn pairs(option: &str, key: &str, value: &Value, push: &mut impl FnMut(String)) -> Result<(), String> {
    match (option, value) {
        ("set" | "facet", Value::Map(entries)) => {
            for (below, value) in entries {
                pairs(option, &format!("{key}.{below}"), value, push)?;
            }
        }
        ("dim", Value::Map(_) | Value::List(_)) => return Err("text or a number is meant".to_owned()),
        ("set" | "dim" | "facet", value) => push(format!("{key}={}", yaml(value))),
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
    use prov::config::Settings;

    use super::*;

    fn settings(text: &str) -> Result<StepSettings, prov::config::Error> {
        let mut settings = Settings::new();
        settings.add_text("prov.toml".as_ref(), text.as_bytes())?;
        Ok(settings.step("s").unwrap_or_default())
    }

    #[test]
    fn a_step_says_what_the_command_line_could() {
        let text = r#"
            [steps.s]
            command = ["awk", "-f", "clean.awk"]
            input = { raw = "data/raw.csv" }
            output = "clean.csv"
            set = { rate = 0.5, zip = "01", a.b = 2 }
            step_version = 3
            year = -4
            wait = true
            timeout = "5m"
            tool = { python = "python3 --version" }
            runtime = { threads = 8 }
            secret_env = ["TOKEN"]
            lock = "uv.lock"
        "#;
        let step = step_of("s", &settings(text).unwrap()).unwrap();
        assert_eq!(step.command, ["awk", "-f", "clean.awk"]);
        assert_eq!(step.options.input, ["raw=data/raw.csv"]);
        assert_eq!(step.options.output, ["clean.csv"]);
        assert_eq!(step.options.set, ["a.b=2", "rate=0.5", "zip=\"01\""]);
        assert_eq!((step.options.step_version, step.options.timeout), (Some(3), Some(300_000)));
        assert_eq!((step.options.year, step.options.wait), (Some(crate::args::values::Whole::Number(-4)), true));
        assert_eq!(step.options.tool, ["python=python3 --version"]);
        assert_eq!(step.options.runtime, ["threads=8"]);
    }

    #[test]
    fn mistakes_name_file_line_step_and_key() {
        let message = |text: &str| match settings(text) {
            Ok(settings) => step_of("s", &settings).unwrap_err().message,
            Err(err) => format!("{err}; {}", err.hint().unwrap_or_default()),
        };
        let text = message("[steps.s]\ninptu = 'x'");
        assert_eq!(text, "prov.toml:2:1: there is no setting `steps.s.inptu`; did you mean `input`?");
        let text = message("[steps.s]\n\ntimeout = 'soon'");
        assert!(text.starts_with("prov.toml:3: `timeout` of `[steps.s]`: ") && text.contains("no duration"), "{text}");
        assert!(message("[steps.s]\ncwd = '../x'").contains("a folder of the project"));
        assert!(message("[steps.s]\ndim = { a = { b = 1 } }").contains("`dim`"));
    }

    #[test]
    fn every_option_of_run_can_stand_in_a_step() {
        let known = StepParser::command();
        let mut options: Vec<String> =
            known.get_arguments().filter_map(|arg| Some(arg.get_long()?.replace('-', "_"))).collect();
        // What `cache` says already.
        options.retain(|name| name != "force");
        options.extend(["command".to_owned(), "cwd".to_owned()]);
        options.sort();
        let listed: Vec<&str> = prov::config::step_option_names().collect();
        assert_eq!(listed, options, "the list of settings and the options of `prov run` differ");
    }
}

//! Usage errors: what the parser says, told in prov's form, with a word on what is not there yet.

use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::{Class, Failure};

/// Commands that the documented command line has and this version has not.
const COMMANDS: &[&str] = &["view", "man"];

/// Options that the documented command line has and this version has not, by command.
const OPTIONS: &[(&str, &[&str])] = &[("log", &["--graph", "--json-lines"])];

/// Turns what the parser says into a failure. Help and version are not errors and are left to the caller.
pub(crate) fn usage(command: Option<&str>, err: &clap::Error) -> Failure {
    let word = |kind| match err.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    match err.kind() {
        ErrorKind::UnknownArgument => {
            let argument = word(ContextKind::InvalidArg).unwrap_or_default();
            if is_planned(command, &argument) {
                let command = command.unwrap_or_default();
                return Failure::new(
                    Class::Usage,
                    "not_there_yet",
                    format!("option `{argument}` of `prov {command}` is not there yet"),
                )
                .hint(format!("see `prov {command} --help` for what this version has"));
            }
            let mut failure = plain(err);
            if command == Some("run") && !argument.starts_with('-') {
                failure = failure.hint("put `--` before the command: prov run [OPTIONS] -- CMD...");
            }
            failure
        }
        ErrorKind::InvalidSubcommand => {
            let name = word(ContextKind::InvalidSubcommand).unwrap_or_default();
            if COMMANDS.contains(&name.as_str()) {
                return Failure::new(Class::Usage, "not_there_yet", format!("command `{name}` is not there yet"))
                    .hint("see `prov --help` for what this version has");
            }
            plain(err)
        }
        _ => plain(err),
    }
}

fn is_planned(command: Option<&str>, argument: &str) -> bool {
    let name = argument.split('=').next().unwrap_or_default();
    OPTIONS.iter().any(|(of, options)| command == Some(of) && options.contains(&name))
}

/// The parser's own message in one line, its tips as the hint.
fn plain(err: &clap::Error) -> Failure {
    let text = err.render().to_string();
    let mut message = String::new();
    let mut hints = String::new();
    let mut usage = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("error: ") {
            message.push_str(rest);
        } else if let Some(tip) = line.strip_prefix("tip: ") {
            let _ = write!(hints, "{}{tip}", if hints.is_empty() { "" } else { "; " });
        } else if let Some(rest) = line.strip_prefix("Usage: ") {
            usage = Some(rest.to_owned());
        } else if !line.starts_with("For more information") && usage.is_none() {
            let _ = write!(message, " {line}");
        }
    }
    if let (true, Some(usage)) = (hints.is_empty(), usage) {
        hints = format!("usage: {usage}");
    }
    let failure = Failure::new(Class::Usage, "usage", message);
    if hints.is_empty() { failure } else { failure.hint(hints) }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::Cli;

    fn failure(words: &[&str]) -> Failure {
        let err = Cli::try_parse_from(std::iter::once(&"prov").chain(words)).unwrap_err();
        usage(words.first().copied(), &err)
    }

    #[test]
    fn what_is_not_there_yet_says_so() {
        let failure = failure(&["log", "--json-lines"]);
        assert_eq!(failure.code, "not_there_yet");
        assert_eq!(failure.message, "option `--json-lines` of `prov log` is not there yet");
        assert_eq!(self::failure(&["view"]).message, "command `view` is not there yet");
    }

    #[test]
    fn what_is_planned_is_not_built() {
        let cli = Cli::command();
        for name in COMMANDS {
            assert!(cli.find_subcommand(name).is_none(), "{name}");
        }
        for (command, options) in OPTIONS {
            let command = cli.find_subcommand(command).unwrap();
            for option in *options {
                let long = option.trim_start_matches('-');
                assert!(command.get_arguments().all(|arg| arg.get_long() != Some(long)), "{option}");
            }
        }
    }

    #[test]
    fn a_command_without_dashes_before_it_gets_a_hint() {
        let failure = failure(&["run", "python", "x.py"]);
        assert_eq!(failure.message, "unexpected argument 'x.py' found");
        assert!(failure.hint.unwrap().contains("put `--` before the command"));
    }
}

//! What holds: environment and flags, read once and resolved here.
//!
//! Settings files are the library's; what they say comes below what stands here.

mod environment;
mod folder;
mod lifecycle;
mod outputs;
mod request;
mod rows;
mod step;
mod template;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use prov::run::request::{CacheMode, RestoreMode};

pub(crate) use environment::Environment;
pub(crate) use lifecycle::{facet, lifecycle, scheduler};
pub(crate) use request::{Seen, request};
pub(crate) use rows::{of_row, with_keys};
pub(crate) use step::{Step, step_of};

use crate::args::{ColorWhen, Globals};
use crate::error::Failure;
use crate::output::Streams;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Only what went wrong.
    Quiet,
    /// What people want to know.
    Normal,
    /// More.
    Detailed,
    /// Everything.
    Everything,
}

/// Who records, as far as the environment says; else Git's settings are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Author {
    /// A name.
    pub(crate) name: Option<String>,
    /// An address.
    pub(crate) email: Option<String>,
}

/// The settings of one call.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The `.prov` folder, if it was named: `PROV_DIR`.
    pub(crate) prov_dir: Option<PathBuf>,
    /// The store, if it was named: `PROV_STORE`.
    pub(crate) store: Option<OsString>,
    /// The scenario, if it was named: `PROV_SCENARIO`.
    pub(crate) scenario: Option<String>,
    /// The cache mode, if it was named: `PROV_CACHE`.
    pub(crate) cache: Option<CacheMode>,
    /// How many things are done at once, if it was said: `PROV_JOBS`.
    pub(crate) jobs: Option<usize>,
    /// The run around this process: `PROV_RUN_ID`, set by `prov run` for its child.
    pub(crate) parent: Option<String>,
    /// Who records.
    pub(crate) author: Author,
    /// The user's settings file, whether it exists or not.
    pub(crate) user_config: Option<PathBuf>,
    /// Whether every question is answered with yes.
    pub(crate) yes: bool,
    /// How the streams are used.
    pub(crate) streams: Streams,
}

impl Settings {
    /// Resolves what flags and environment say.
    ///
    /// # Errors
    /// A variable of prov's own that makes no sense.
    pub(crate) fn resolve(environment: &Environment, globals: &Globals) -> Result<Self, Failure> {
        Ok(Self {
            prov_dir: environment.path("PROV_DIR"),
            store: environment.text("PROV_STORE").filter(|text| !text.is_empty()).map(ToOwned::to_owned),
            scenario: environment.utf8("PROV_SCENARIO")?,
            cache: environment.utf8("PROV_CACHE")?.map(|word| cache_mode(&word)).transpose()?,
            jobs: environment.utf8("PROV_JOBS")?.map(|word| jobs(&word)).transpose()?,
            parent: environment.utf8("PROV_RUN_ID")?,
            author: Author {
                name: environment.utf8("PROV_AUTHOR_NAME")?,
                email: environment.utf8("PROV_AUTHOR_EMAIL")?,
            },
            user_config: environment.user_config(),
            yes: globals.yes,
            streams: streams(environment, globals)?,
        })
    }
}

/// Streams for talk before the settings are known, or when they make no sense.
pub(crate) fn early_streams(environment: &Environment, is_json: bool) -> Streams {
    let out_is_terminal = std::io::stdout().is_terminal();
    let err_is_terminal = std::io::stderr().is_terminal();
    Streams {
        is_json,
        verbosity: Verbosity::Normal,
        out_is_terminal,
        err_is_terminal,
        out_in_colour: in_colour(environment, ColorWhen::Auto, out_is_terminal),
        err_in_colour: in_colour(environment, ColorWhen::Auto, err_is_terminal),
        may_page: false,
    }
}

fn streams(environment: &Environment, globals: &Globals) -> Result<Streams, Failure> {
    let out_is_terminal = std::io::stdout().is_terminal();
    let err_is_terminal = std::io::stderr().is_terminal();
    Ok(Streams {
        is_json: globals.json,
        verbosity: verbosity(environment.utf8("PROV_LOG")?.as_deref(), globals)?,
        out_is_terminal,
        err_is_terminal,
        out_in_colour: in_colour(environment, globals.color, out_is_terminal),
        err_in_colour: in_colour(environment, globals.color, err_is_terminal),
        may_page: !globals.no_pager,
    })
}

fn verbosity(variable: Option<&str>, globals: &Globals) -> Result<Verbosity, Failure> {
    match (globals.quiet, globals.verbose) {
        (true, _) => return Ok(Verbosity::Quiet),
        (false, 0) => {}
        (false, 1) => return Ok(Verbosity::Detailed),
        (false, _) => return Ok(Verbosity::Everything),
    }
    match variable {
        None | Some("warn" | "info") => Ok(Verbosity::Normal),
        Some("error" | "off") => Ok(Verbosity::Quiet),
        Some("debug") => Ok(Verbosity::Detailed),
        Some("trace") => Ok(Verbosity::Everything),
        Some(other) => {
            Err(Failure::usage(format!("PROV_LOG is `{other}`"))
                .hint("set it to off, error, warn, info, debug or trace"))
        }
    }
}

fn in_colour(environment: &Environment, when: ColorWhen, is_terminal: bool) -> bool {
    let is_set = |name| environment.text(name).is_some_and(|text| !text.is_empty());
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if is_set("NO_COLOR") => false,
        ColorWhen::Auto if is_set("CLICOLOR_FORCE") && environment.text("CLICOLOR_FORCE").is_some_and(|v| v != "0") => {
            true
        }
        ColorWhen::Auto => is_terminal && environment.text("TERM").is_some_and(|term| term != "dumb"),
    }
}

fn cache_mode(word: &str) -> Result<CacheMode, Failure> {
    cache_mode_word(word).ok_or_else(|| {
        Failure::usage(format!("PROV_CACHE is `{word}`")).hint("set it to reuse, overwrite, readonly or off")
    })
}

/// The cache mode of that name.
pub(crate) fn cache_mode_word(word: &str) -> Option<CacheMode> {
    match word {
        "reuse" => Some(CacheMode::Reuse),
        "overwrite" => Some(CacheMode::Overwrite),
        "readonly" => Some(CacheMode::Readonly),
        "off" => Some(CacheMode::Off),
        _ => None,
    }
}

/// What a hit restores, by that name.
pub(crate) fn restore_word(word: &str) -> Option<RestoreMode> {
    match word {
        "outputs" => Some(RestoreMode::Outputs),
        "metadata" => Some(RestoreMode::Metadata),
        "none" => Some(RestoreMode::None),
        _ => None,
    }
}

fn jobs(word: &str) -> Result<usize, Failure> {
    match word.parse() {
        Ok(jobs) if jobs > 0 => Ok(jobs),
        _ => Err(Failure::usage(format!("PROV_JOBS is `{word}`")).hint("set it to a number from 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals() -> Globals {
        Globals {
            directory: None,
            json: false,
            quiet: false,
            verbose: 0,
            color: ColorWhen::Auto,
            no_pager: false,
            yes: false,
        }
    }

    #[test]
    fn variables_that_make_no_sense_are_usage_errors() {
        for (name, value) in [("PROV_CACHE", "sometimes"), ("PROV_JOBS", "0"), ("PROV_LOG", "loud")] {
            let failure = Settings::resolve(&Environment::of([(name, value)]), &globals()).unwrap_err();
            assert_eq!(failure.class, crate::error::Class::Usage, "{name}");
            assert!(failure.message.contains(name), "{failure:?}");
        }
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        let environment = Environment::of([("PROV_CACHE", ""), ("PROV_SCENARIO", ""), ("PROV_DIR", "")]);
        let settings = Settings::resolve(&environment, &globals()).unwrap();
        assert_eq!((settings.cache, settings.scenario, settings.prov_dir), (None, None, None));
    }

    #[test]
    fn flags_win_over_the_environment() {
        let mut flags = globals();
        flags.quiet = true;
        assert_eq!(verbosity(Some("trace"), &flags).unwrap(), Verbosity::Quiet);
        assert_eq!(verbosity(Some("trace"), &globals()).unwrap(), Verbosity::Everything);
    }

    #[test]
    fn colour_follows_flag_then_environment_then_terminal() {
        let none = Environment::of([("TERM", "xterm"), ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]);
        assert!(in_colour(&none, ColorWhen::Always, false));
        assert!(!in_colour(&none, ColorWhen::Auto, true));
        let forced = Environment::of([("CLICOLOR_FORCE", "1")]);
        assert!(in_colour(&forced, ColorWhen::Auto, false));
        assert!(!in_colour(&forced, ColorWhen::Never, true));
        let dumb = Environment::of([("TERM", "dumb")]);
        assert!(!in_colour(&dumb, ColorWhen::Auto, true));
    }
}

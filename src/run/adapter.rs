//! Config adapters: programs of the project that know what a folder of configuration means. Protocol: `docs/config-adapters.md`.
//!
//! An adapter is named in the project's settings, never in a store. It is asked at every lookup, and what it says is checked: a file or
//! reference that it names must be there, and what it does not mention counts by its bytes.

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice;
use serde::Deserialize;

use super::Error;
use super::consult::{Question, consult};
use super::prepare::Environment;
use super::secrets::Secrets;
use super::session::Session;
use crate::codec::{self, Value};
use crate::config::{self, Format};
use crate::path::shown;

/// The version of the protocol.
pub const PROTOCOL: &str = "prov.config-adapter/1";

/// Bytes of an answer at most.
const MOST: u64 = 8 << 20;

/// What an adapter is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    Plan,
    /// Only what is wrong.
    Validate,
}

/// How something counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// By its bytes.
    Content,
    /// By what it says, if it is a configuration file.
    Values,
    /// By its path alone.
    Path,
    /// Not at all.
    Ignore,
}

/// How much a remark weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be run with this.
    Error,
    /// It may be wrong.
    Warning,
    /// Good to know.
    Info,
}

/// A remark about the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnostic {
    /// How much it weighs.
    pub severity: Severity,
    /// What.
    pub message: String,
    /// The file of the folder, if it is about one.
    #[serde(default)]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(default)]
    pub line: Option<u64>,
}

impl Diagnostic {
    /// The remark in a line.
    pub fn text(&self) -> String {
        let message = shown(self.message.as_bytes());
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{}:{line}: {message}", shown(file.as_bytes())),
            (Some(file), None) => format!("{}: {message}", shown(file.as_bytes())),
            (None, _) => message,
        }
    }
}

/// Something outside of the folder that the configuration leads to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Where, seen from the project.
    pub path: String,
    /// What it is to the configuration; the name of the part.
    pub role: String,
    /// How it counts.
    pub policy: Policy,
    /// Whether it must be there.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// How a file of the folder counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePolicy {
    /// The file.
    pub path: String,
    /// How it counts.
    pub policy: Policy,
}

/// What an adapter says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// [`PROTOCOL`].
    pub protocol: String,
    /// Single values that count, by name.
    #[serde(default)]
    pub scalars: BTreeMap<String, Value>,
    /// What lies outside of the folder.
    #[serde(default)]
    pub references: Vec<Reference>,
    /// How files of the folder count.
    #[serde(default)]
    pub files: Vec<FilePolicy>,
    /// What is remarked on the run.
    #[serde(default)]
    pub facets: BTreeMap<String, Value>,
    /// What is wrong.
    #[serde(default)]
    pub diagnostics: Vec<Diagnostic>,
}

impl Answer {
    /// Fails if the adapter found something that nothing can be run with.
    ///
    /// # Errors
    /// With all of it.
    pub fn check(&self, part: &str) -> Result<(), Error> {
        let wrong = self.diagnostics.iter().filter(|one| one.severity == Severity::Error);
        let wrong: Vec<String> = wrong.map(Diagnostic::text).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::Part { part: part.to_owned(), what: wrong.join("; ") })
    }

    /// What people should be told of.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.diagnostics.iter().filter(|one| one.severity == Severity::Warning).map(Diagnostic::text)
    }
}

/// A file as an adapter sees it.
#[derive(Debug)]
pub struct Shown<'a> {
    /// Its path in the folder.
    pub path: String,
    /// Its id.
    pub id: String,
    /// Its bytes.
    pub size: u64,
    /// What it holds, if it is a configuration file and text.
    pub text: Option<&'a str>,
    /// Where it lies, if it does.
    pub at: Option<String>,
}

/// Asks an adapter.
///
/// # Errors
/// When there is none of that name, it fails, or its answer breaks the protocol.
pub(super) fn ask(
    session: &Session<'_>,
    environment: &Environment,
    secrets: (&BTreeSet<String>, &Secrets),
    name: &str,
    label: &str,
    mode: Mode,
    files: &[Shown<'_>],
) -> Result<Answer, Error> {
    let part = format!("@{label}");
    let refuse = |what: String| Error::Part { part: part.clone(), what: format!("the adapter `{name}` {what}") };
    let Some(words) = session.repo.settings().adapter(name) else {
        return Err(Error::Usage { what: format!("there is no `[adapters.{name}]` with a `command` in the settings") });
    };
    let root = session.repo.root();
    let text = |text: &str| Value::Text(text.to_owned());
    let entry = |file: &Shown<'_>| {
        let mut entries = vec![
            ("path".to_owned(), text(&file.path)),
            ("id".to_owned(), text(&file.id)),
            ("size".to_owned(), Value::Int(file.size.into())),
        ];
        entries.extend(file.text.map(|content| ("text".to_owned(), text(content))));
        entries.extend(file.at.as_ref().map(|at| ("at".to_owned(), text(at))));
        Value::Map(entries)
    };
    let question = Value::Map(vec![
        ("protocol".to_owned(), text(PROTOCOL)),
        ("mode".to_owned(), text(if mode == Mode::Plan { "plan" } else { "validate" })),
        ("label".to_owned(), text(label)),
        ("project".to_owned(), text(&crate::path::show(root))),
        ("files".to_owned(), Value::List(files.iter().map(entry).collect())),
    ]);
    let said = consult(
        session,
        Question {
            words: &words,
            cwd: root,
            environment,
            without: secrets.0,
            with: Vec::new(),
            stdin: format!("{}\n", config::to_json(&question)).into_bytes(),
            most: MOST,
        },
        &refuse,
    )?;
    secrets.1.check(&said.stdout, "the answer of a config adapter")?;
    if !said.status.success() {
        let why = said.stderr.lines().next_back().unwrap_or_default();
        let why = if why.is_empty() || secrets.1.check(why, "").is_err() {
            String::new()
        } else {
            format!(": {}", shown(why))
        };
        return Err(refuse(format!("failed ({}){why}", said.status)));
    }
    let file = std::path::PathBuf::from(format!("answer of adapter {name}"));
    let value = config::parse(&file, Format::Json, &said.stdout)?;
    let answer: Answer = codec::from_value(&value)
        .map_err(|source| refuse(format!("answers something else than {PROTOCOL}: {}", super::chain(&source))))?;
    if answer.protocol != PROTOCOL {
        return Err(refuse(format!("speaks `{}`, not {PROTOCOL}", shown(answer.protocol.as_bytes()))));
    }
    if let Some((key, _)) =
        answer.scalars.iter().chain(&answer.facets).find(|(_, v)| matches!(v, Value::List(_) | Value::Map(_)))
    {
        return Err(refuse(format!("gives `{}` no single value", shown(key.as_bytes()))));
    }
    if let Some(key) = answer.facets.keys().find(|key| key.starts_with("prov.")) {
        return Err(refuse(format!("gives the facet `{}`, a name of prov's own", shown(key.as_bytes()))));
    }
    Ok(answer)
}

//! What is said to a task type that is a program, and what it says back. `docs/task-types.md` tells it to authors.

use std::path::Path;

use super::job::Job;
use super::{Artifact, Level, Location, Places, Said};
use crate::codec::Value;
use crate::config::located::{Node, Place};
use crate::config::{self, Format};
use crate::pipeline::file::{Flavour, spec_of};

/// The version of the protocol.
pub(super) const VERSION: i128 = 1;

/// The most bytes of one line.
pub(super) const MOST_LINE: usize = 8 << 20;

/// What a line may be.
const WORDS: &[&str] = &["log", "artifact", "scratchpad", "add_specs", "progress", "result", "validates"];

/// A line that is against the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of what the task said: {problem}")]
pub struct Offence {
    /// The number of the line, counted from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
}

/// The document that a program gets, one line.
pub(super) fn document(job: &Job) -> Vec<u8> {
    let text = |text: &str| Value::Text(text.to_owned());
    let location = |location: &Location| {
        Value::Map(vec![
            ("declared".to_owned(), text(&location.declared)),
            ("absolute".to_owned(), text(&location.absolute)),
        ])
    };
    let locations = |list: &[Location]| Value::List(list.iter().map(location).collect());
    let fetched = job.fetched.iter().map(|(from, to)| (from.clone(), text(&to.to_string_lossy()))).collect();
    let document = Value::Map(
        [
            ("protocol", Value::Int(VERSION)),
            ("phase", text(job.phase.as_str())),
            ("step", text(&job.step)),
            ("name", text(&job.name)),
            ("type", text(&job.task_type)),
            ("spec", job.spec.to_value()),
            ("config", job.config.clone()),
            ("scratchpad", job.scratchpad.to_value()),
            ("work_path", text(&job.roots.work_path)),
            ("release_uri", job.roots.release_uri.as_deref().map_or(Value::Null, text)),
            ("sources", locations(&job.sources)),
            ("destinations", locations(&job.destinations)),
            ("fetched", Value::Map(fetched)),
            ("frozen", job.frozen.as_ref().map_or(Value::Null, super::Choice::to_value)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
    );
    let mut bytes = config::to_json(&document).into_bytes();
    bytes.push(b'\n');
    bytes
}

/// What a line means.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// To be passed on, in order.
    Said(Vec<Said>),
    /// The program wants to be called for the other phase as well.
    Validates(bool),
}

/// Takes the lines apart as they come.
#[derive(Debug)]
pub(super) struct Reader {
    flavour: Flavour,
    /// Where tasks that are made are told to stand.
    at: Place,
    may_expand: bool,
    line: u64,
    rest: Vec<u8>,
}

impl Reader {
    pub(super) fn new(flavour: Flavour, at: Place, may_expand: bool) -> Self {
        Self { flavour, at, may_expand, line: 0, rest: Vec::new() }
    }

    /// Takes bytes and gives what the lines mean that end in them, up to the first that is against the protocol.
    pub(super) fn push(&mut self, mut bytes: &[u8], heard: &mut dyn FnMut(Message)) -> Result<(), Offence> {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            self.line += 1;
            self.check_length(line)?;
            let message = if self.rest.is_empty() {
                self.message(line)?
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.message(&whole)?
            };
            message.map(&mut *heard).unwrap_or_default();
        }
        self.rest.extend_from_slice(bytes);
        self.check_length(b"").map_err(|offence| Offence { line: self.line + 1, ..offence })
    }

    /// Nothing more comes.
    pub(super) fn end(mut self, heard: &mut dyn FnMut(Message)) -> Result<(), Offence> {
        if self.rest.is_empty() { Ok(()) } else { self.push(b"\n", heard) }
    }

    fn check_length(&self, more: &[u8]) -> Result<(), Offence> {
        if self.rest.len() + more.len() > MOST_LINE {
            return Err(self.offence(format!("it is longer than {} MiB", MOST_LINE >> 20)));
        }
        Ok(())
    }

    fn offence(&self, problem: impl Into<String>) -> Offence {
        Offence { line: self.line, problem: problem.into() }
    }

    /// What a line means; an empty one means nothing.
    fn message(&self, line: &[u8]) -> Result<Option<Message>, Offence> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let parsed = config::parse(Path::new("line"), Format::Json, line).map_err(|err| match err {
            config::Error::At { column, problem, .. } => {
                self.offence(format!("it is no JSON object: character {column}: {problem}"))
            }
            config::Error::File { problem, .. } => self.offence(format!("it is no JSON object: {problem}")),
            other => self.offence(other.to_string()),
        })?;
        let Value::Map(entries) = parsed else { return Err(self.offence("it is no JSON object")) };
        let mut entries = entries.into_iter();
        let (Some((word, value)), None) = (entries.next(), entries.next()) else {
            return Err(self.offence("it must have one key, which says what it is"));
        };
        self.meaning(&word, value).map(Some)
    }

    fn meaning(&self, word: &str, value: Value) -> Result<Message, Offence> {
        let said = match word {
            "log" => vec![self.log(value)?],
            "artifact" => vec![Said::Artifact(self.artifact(value)?)],
            "scratchpad" => match value {
                Value::Map(entries) => {
                    entries.into_iter().map(|(key, value)| Said::Scratchpad { key, value }).collect()
                }
                _ => return Err(self.offence("`scratchpad` must be a map of keys to values")),
            },
            "add_specs" => vec![self.specs(value)?],
            "progress" => vec![self.progress(value)?],
            "result" => vec![Said::Result(value)],
            "validates" => match value {
                Value::Bool(is_so) => return Ok(Message::Validates(is_so)),
                _ => return Err(self.offence("`validates` must be true or false")),
            },
            other => {
                let meant = config::nearest(other, WORDS).map(|word| format!("; did you mean `{word}`?"));
                return Err(self.offence(format!("nothing is called `{other}`{}", meant.unwrap_or_default())));
            }
        };
        Ok(Message::Said(said))
    }

    fn log(&self, value: Value) -> Result<Said, Offence> {
        let (level, text) = match value {
            Value::Text(text) => (Level::Info, text),
            Value::Map(entries) => {
                let (mut level, mut text) = (Level::Info, None);
                for (key, value) in entries {
                    match (key.as_str(), value) {
                        ("level", Value::Text(name)) => {
                            level = Level::of(&name).ok_or_else(|| {
                                let known = Level::ALL.map(Level::as_str).join(" ");
                                self.offence(format!("`{name}` is no level ({known})"))
                            })?;
                        }
                        ("text", Value::Text(line)) => text = Some(line),
                        ("level" | "text", _) => return Err(self.offence(format!("`{key}` of `log` must be text"))),
                        _ => return Err(self.offence(format!("`log` has no `{key}`"))),
                    }
                }
                (level, text.ok_or_else(|| self.offence("`log` needs a `text`"))?)
            }
            _ => return Err(self.offence("`log` must be text or a map of `level` and `text`")),
        };
        Ok(Said::Log { level, text: text.trim_end_matches(['\n', '\r']).to_owned() })
    }

    fn artifact(&self, value: Value) -> Result<Artifact, Offence> {
        let Value::Map(entries) = value else {
            return Err(self.offence("`artifact` must be a map of `source` and `destination`"));
        };
        let (mut source, mut destination, mut more) = (None, None, Vec::new());
        for (key, value) in entries {
            match key.as_str() {
                "source" => source = Some(self.places("source", value)?),
                "destination" => destination = Some(self.places("destination", value)?),
                _ => more.push((key, value)),
            }
        }
        match (source, destination) {
            (Some(source), Some(destination)) => Ok(Artifact { source, destination, more }),
            _ => Err(self.offence("`artifact` needs `source` and `destination`")),
        }
    }

    fn places(&self, key: &str, value: Value) -> Result<Places, Offence> {
        let refuse = || self.offence(format!("`{key}` of `artifact` must be text or a list of texts"));
        match value {
            Value::Text(one) => Ok(Places::One(one)),
            Value::List(items) => {
                let text = |item| if let Value::Text(text) = item { Ok(text) } else { Err(refuse()) };
                items.into_iter().map(text).collect::<Result<_, _>>().map(Places::Many)
            }
            _ => Err(refuse()),
        }
    }

    fn specs(&self, value: Value) -> Result<Said, Offence> {
        if !self.may_expand {
            return Err(self.offence("it adds tasks, and its type doesn't say `expands: true`"));
        }
        let Value::List(items) = value else { return Err(self.offence("`add_specs` must be a list of tasks")) };
        let mut specs = Vec::with_capacity(items.len());
        for item in items {
            let mut findings = Vec::new();
            let spec = spec_of(Node::of_value(self.at, item), self.flavour, &mut findings);
            if let Some(finding) = findings.into_iter().next() {
                return Err(self.offence(finding.message));
            }
            specs.extend(spec);
        }
        Ok(Said::AddSpecs(specs))
    }

    fn progress(&self, value: Value) -> Result<Said, Offence> {
        let count = |value: &Value| match value {
            Value::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        };
        let refuse = || self.offence("`progress` must be a map of `done` and perhaps `total` and `unit`");
        let Value::Map(entries) = value else { return Err(refuse()) };
        let (mut done, mut total, mut unit) = (None, None, String::new());
        for (key, value) in entries {
            match (key.as_str(), value) {
                ("done", value) => done = Some(count(&value).ok_or_else(refuse)?),
                ("total", Value::Null) => {}
                ("total", value) => total = Some(count(&value).ok_or_else(refuse)?),
                ("unit", Value::Text(text)) => unit = text,
                _ => return Err(refuse()),
            }
        }
        Ok(Said::Progress { done: done.ok_or_else(refuse)?, total, unit })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> (Vec<Message>, Result<(), Offence>) {
        let mut reader = Reader::new(Flavour::Native, Place::default(), true);
        let mut heard = Vec::new();
        let ended = reader.push(text, &mut |message| heard.push(message));
        let ended = ended.and_then(|()| reader.end(&mut |message| heard.push(message)));
        (heard, ended)
    }

    #[test]
    fn every_kind_of_line_is_understood() {
        let text = br#"{"log": "plain"}

{"log": {"level": "warning", "text": "careful\n"}}
{"artifact": {"source": "a", "destination": ["b", "c"], "rows": 3}}
{"scratchpad": {"x": 1, "y": "z"}}
{"progress": {"done": 1, "total": 2, "unit": "files"}}
{"add_specs": [{"name": "noop x"}]}
{"validates": true}
{"result": {"rows": 3}}"#;
        let (heard, ended) = read(text);
        ended.unwrap();
        assert_eq!(heard.len(), 8);
        assert_eq!(heard[1], Message::Said(vec![Said::log(Level::Warning, "careful")]));
        let Message::Said(said) = &heard[2] else { panic!() };
        let Said::Artifact(artifact) = &said[0] else { panic!() };
        assert_eq!(artifact.destination.all(), ["b", "c"]);
        assert_eq!(artifact.more, [("rows".to_owned(), Value::Int(3))]);
        assert_eq!(heard[6], Message::Validates(true));
    }

    #[test]
    fn an_offence_names_line_and_problem() {
        for (line, expected) in [
            ("hello", "no JSON object"),
            ("[1]", "no JSON object"),
            ("{}", "one key"),
            (r#"{"log": "a", "result": 1}"#, "one key"),
            (r#"{"log": "a", "log": "b"}"#, "no JSON object"),
            (r#"{"artefact": {}}"#, "did you mean `artifact`?"),
            (r#"{"artifact": {"source": "a"}}"#, "needs `source` and `destination`"),
            (r#"{"artifact": {"source": 1, "destination": "b"}}"#, "text or a list of texts"),
            (r#"{"log": {"level": "loud", "text": "a"}}"#, "`loud` is no level"),
            (r#"{"log": {"txt": "a"}}"#, "`log` has no `txt`"),
            (r#"{"scratchpad": []}"#, "a map of keys"),
            (r#"{"progress": {"done": -1}}"#, "`done`"),
            (r#"{"add_specs": [{"nome": "x"}]}"#, "a task needs a `name`"),
            (r#"{"validates": 1}"#, "true or false"),
            ("{\"log\": \"\u{0}\"}", "no JSON object"),
        ] {
            let (heard, ended) = read(format!("{{\"log\": \"fine\"}}\n{line}\n").as_bytes());
            let offence = ended.unwrap_err();
            assert_eq!(heard.len(), 1, "{line}");
            assert_eq!(offence.line, 2, "{line}");
            assert!(offence.problem.contains(expected), "{line}: {offence}");
        }
        let (_, ended) = read(b"{\"log\": \"\xff\"}\n");
        assert!(ended.is_err());
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut reader = Reader::new(Flavour::Native, Place::default(), false);
        let piece = vec![b' '; 1 << 20];
        let mut pieces = 0;
        let offence = loop {
            match reader.push(&piece, &mut |_| ()) {
                Ok(()) => pieces += 1,
                Err(offence) => break offence,
            }
        };
        assert_eq!((pieces, offence.line), (8, 1));
    }

    #[test]
    fn who_does_not_say_so_adds_no_tasks() {
        let mut reader = Reader::new(Flavour::Native, Place::default(), false);
        let offence = reader.push(b"{\"add_specs\": []}\n", &mut |_| ()).unwrap_err();
        assert!(offence.problem.contains("expands: true"), "{offence}");
    }

    proptest! {
        #[test]
        fn however_the_bytes_come_the_lines_are_the_same(cuts in proptest::collection::vec(1usize..40, 1..20)) {
            let text = br#"{"log": "one"}
{"scratchpad": {"k": ["v"]}}
{"result": null}
"#;
            let (whole, _) = read(text);
            let mut reader = Reader::new(Flavour::Native, Place::default(), true);
            let (mut heard, mut rest) = (Vec::new(), &text[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, left) = rest.split_at((*cut).min(rest.len()));
                reader.push(piece, &mut |message| heard.push(message)).unwrap();
                rest = left;
            }
            reader.end(&mut |message| heard.push(message)).unwrap();
            prop_assert_eq!(heard, whole);
        }
    }
}

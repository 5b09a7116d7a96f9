//! The options of one step, as `[steps.NAME]` gives them.

use super::settings::{as_count, as_text, as_texts};
use crate::codec::Value;

/// What `[steps.NAME]` says: options of `prov run` by the names of its flags. Texts are what the flags would be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSettings {
    /// The words of the command.
    pub command: Vec<String>,
    /// Working folder, relative to the project.
    pub cwd: Option<String>,
    /// `[KEY=]PATH` each.
    pub input: Vec<String>,
    /// `[KEY=]PATH` each.
    pub output: Vec<String>,
    /// `KEY=ROOT:GLOB` each.
    pub output_set: Vec<String>,
    /// Output keys.
    pub in_place: Vec<String>,
    /// Path of standard input.
    pub stdin: Option<String>,
    /// Configuration files.
    pub config: Vec<String>,
    /// Configuration values.
    pub set: Value,
    /// A code mode or patterns.
    pub code: Vec<String>,
    /// `[LABEL=]PATH` each.
    pub identity: Vec<String>,
    /// `NAME[=VALUE]` each.
    pub env: Vec<String>,
    /// The year.
    pub year: Option<u64>,
    /// The iteration.
    pub iteration: Option<u64>,
    /// Other dimensions.
    pub dim: Vec<(String, Value)>,
    /// Labels of the runs.
    pub tag: Vec<String>,
    /// What the runs are, in a sentence.
    pub message: Option<String>,
    /// The name of the run.
    pub run_name: Option<String>,
    /// The scenario to record in.
    pub scenario: Option<String>,
    /// Cache mode by name.
    pub cache: Option<String>,
    /// Epoch of the step.
    pub epoch: Option<u64>,
    /// Version of the step.
    pub step_version: Option<u64>,
    /// What a hit restores, by name.
    pub restore: Option<String>,
    /// What a missing output means, by name.
    pub on_missing: Option<String>,
    /// How surely the outputs of a hit must be there, by name.
    pub validate: Option<String>,
    /// What a known failure means, by name.
    pub on_known_failure: Option<String>,
    /// Time limit, such as `10m`.
    pub timeout: Option<String>,
    /// Whether to wait for claimed outputs.
    pub wait: Option<Value>,
    /// Keys whose bytes are not stored.
    pub no_store: Vec<String>,
}

impl Default for StepSettings {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            cwd: None,
            input: Vec::new(),
            output: Vec::new(),
            output_set: Vec::new(),
            in_place: Vec::new(),
            stdin: None,
            config: Vec::new(),
            set: Value::Map(Vec::new()),
            code: Vec::new(),
            identity: Vec::new(),
            env: Vec::new(),
            year: None,
            iteration: None,
            dim: Vec::new(),
            tag: Vec::new(),
            message: None,
            run_name: None,
            scenario: None,
            cache: None,
            epoch: None,
            step_version: None,
            restore: None,
            on_missing: None,
            validate: None,
            on_known_failure: None,
            timeout: None,
            wait: None,
            no_store: Vec::new(),
        }
    }
}

impl StepSettings {
    /// Takes one setting; `path` is its name below the step.
    pub(super) fn take(&mut self, path: &[String], value: &Value) {
        let text = || as_text(value).map(str::to_owned);
        let texts = || as_texts(value);
        let count = || as_count(value);
        match path[0].as_str() {
            "command" => self.command = texts(),
            "cwd" => self.cwd = text(),
            "input" => self.input = texts(),
            "output" => self.output = texts(),
            "output_set" => self.output_set = texts(),
            "in_place" => self.in_place = texts(),
            "stdin" => self.stdin = text(),
            "config" => self.config = texts(),
            "code" => self.code = texts(),
            "identity" => self.identity = texts(),
            "env" => self.env = texts(),
            "year" => self.year = count(),
            "iteration" => self.iteration = count(),
            "tag" => self.tag = texts(),
            "message" => self.message = text(),
            "run_name" => self.run_name = text(),
            "scenario" => self.scenario = text(),
            "cache" => self.cache = text(),
            "epoch" => self.epoch = count(),
            "step_version" => self.step_version = count(),
            "restore" => self.restore = text(),
            "on_missing" => self.on_missing = text(),
            "validate" => self.validate = text(),
            "on_known_failure" => self.on_known_failure = text(),
            "timeout" => self.timeout = text(),
            "wait" => self.wait = Some(value.clone()),
            "no_store" => self.no_store = texts(),
            "dim" => self.dim.push((path[1..].join("."), value.clone())),
            "set" => {
                let leaf = path[1..].iter().rev().fold(value.clone(), |v, key| Value::Map(vec![(key.clone(), v)]));
                let set = std::mem::replace(&mut self.set, Value::Null);
                self.set = super::merge(set, leaf);
            }
            _ => {}
        }
    }
}

/// Splits a command at blanks. Words may be put in single or double quotes; nothing is expanded, and what only a
/// shell understands is refused rather than passed on as a word.
///
/// # Errors
/// What the command should be instead.
#[expect(clippy::match_same_arms, reason = "the order of the arms is the rule")]
pub(super) fn split_words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '|' | '&' | ';' | '<' | '>' | '$' | '`' | '\\' | '*') => {
                return Err(format!(
                    "a list of words (no shell reads it, so `{c}` has no meaning; use [\"sh\", \"-c\", ...])"
                ));
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a text whose quotes match".to_owned());
    }
    words.extend(word);
    if words.is_empty() { Err("a command".to_owned()) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_without_a_shell() {
        assert_eq!(split_words("a 'b c' d\"e f\"g ''").unwrap(), ["a", "b c", "de fg", ""]);
        for bad in ["a | b", "a > b", "echo $HOME", "ls *.csv", "'a", " "] {
            assert!(split_words(bad).is_err(), "{bad}");
        }
    }
}

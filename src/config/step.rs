//! The options of one step, as `[steps.NAME]` gives them.

use std::collections::BTreeMap;

use super::catalogue::{self, Kind};
use super::settings::{Setting, as_texts};
use crate::codec::Value;

/// What `[steps.NAME]` says: options of `prov run` by the names of its flags, with `_` for `-`, and `command` and `cwd`.
///
/// Which options there are, and the kind of value of each, is in the list of settings; nothing else in the library knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepSettings {
    options: BTreeMap<String, Setting>,
}

/// The names that `[steps.NAME]` takes.
pub fn option_names() -> impl Iterator<Item = &'static str> {
    catalogue::SETTINGS.iter().filter_map(|(path, _)| match path {
        ["steps", "*", name] => Some(*name),
        _ => None,
    })
}

impl StepSettings {
    /// What is said, by name: texts, numbers and truth values as they are, lists of texts, tables as maps.
    pub fn options(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.options.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.options.get(name)
    }

    /// One that is a list of texts; empty where nothing is said.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.get(name).map(|setting| as_texts(&setting.value)).unwrap_or_default()
    }

    /// Takes one setting; `path` is its name below the step. Values of one table make one option; its origin is that of the last of them.
    pub(super) fn take(&mut self, path: &[String], setting: &Setting) {
        let leaf = |value: Value| path[1..].iter().rev().fold(value, |v, key| Value::Map(vec![(key.clone(), v)]));
        let value = leaf(setting.value.clone());
        let before = self.options.remove(&path[0]).filter(|_| path.len() > 1);
        let value = match before {
            Some(before) => super::merge(before.value, value),
            None => value,
        };
        self.options.insert(path[0].clone(), Setting { value, origin: setting.origin.clone() });
    }

    /// Whether an option is a table of values of any kind.
    pub fn is_table(name: &str) -> bool {
        let path = ["steps", "*", name];
        catalogue::SETTINGS.iter().any(|(known, kind)| *known == path && *kind == Kind::Values)
    }
}

/// Splits a command at blanks. Words may be put in single or double quotes; nothing is expanded, and what only a
/// shell understands is refused rather than passed on as a word.
///
/// # Errors
/// What the command should be instead.
#[expect(clippy::match_same_arms, reason = "the order of the arms is the rule")]
pub fn split_words(text: &str) -> Result<Vec<String>, String> {
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
    fn a_table_is_one_option_and_later_layers_win_key_by_key() {
        let mut settings = crate::config::Settings::new();
        settings.add_text("a.toml".as_ref(), b"[steps.s]\nset = { a.b = 1, c = 2 }\ninput = 'x'\n").unwrap();
        settings.add_text("b.toml".as_ref(), b"[steps.s]\nset = { a.b = 3 }\n").unwrap();
        let step = settings.step("s").unwrap();
        let config = crate::config::to_json(&step.get("set").unwrap().value);
        assert_eq!(config, r#"{"a": {"b": 3}, "c": 2}"#);
        assert_eq!(step.texts("input"), ["x"]);
    }

    #[test]
    fn commands_are_split_without_a_shell() {
        assert_eq!(split_words("a 'b c' d\"e f\"g ''").unwrap(), ["a", "b c", "de fg", ""]);
        for bad in ["a | b", "a > b", "echo $HOME", "ls *.csv", "'a", " "] {
            assert!(split_words(bad).is_err(), "{bad}");
        }
    }
}

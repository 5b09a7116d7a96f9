//! The settings that exist: their names, the kind of value each takes, and what to suggest for a name that is none.

use super::step::split_words;
use crate::codec::Value;

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text but an empty one.
    Text,
    /// True or false.
    Bool,
    /// A whole number from 0.
    Count,
    /// A whole number.
    Integer,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts; a single text stands for a list of one.
    Texts,
    /// A list of `[KEY=]VALUE`, or a table of them; kept as a list.
    Pairs,
    /// As `Pairs`, where a table may give a list for a key: each of it with that key.
    Sets,
    /// A command: a list of words, or a text that is split at blanks.
    Words,
    /// A number of seconds, or a text such as `10m`.
    Duration,
    /// A table of values of any kind, each a setting of its own.
    Values,
}

pub(super) const CACHE_MODES: &[&str] = &["reuse", "overwrite", "readonly", "off"];
const RESTORE: &[&str] = &["outputs", "metadata", "none"];
const VALIDATE: &[&str] = &["lazy", "strict", "none"];
const ON_KNOWN_FAILURE: &[&str] = &["run", "stop"];
const ON_MISSING: &[&str] = &["error", "warn", "ignore"];

/// Every setting. `*` stands for any name.
pub(super) const SETTINGS: &[(&[&str], Kind)] = &[
    (&["adapters", "*", "command"], Kind::Words),
    (&["author", "email"], Kind::Text),
    (&["author", "name"], Kind::Text),
    (&["cache", "mode"], Kind::Choice(CACHE_MODES)),
    (&["cache", "remotes"], Kind::Texts),
    (&["cache", "restore"], Kind::Choice(RESTORE)),
    (&["code", "exclude"], Kind::Texts),
    (&["code", "include"], Kind::Texts),
    (&["code", "mode"], Kind::Texts),
    (&["core", "jobs"], Kind::Count),
    (&["core", "remote"], Kind::Text),
    (&["git", "checkout"], Kind::Choice(&["tell", "restore", "off"])),
    (&["git", "commit"], Kind::Choice(&["tell", "off"])),
    (&["git", "lock"], Kind::Bool),
    (&["git", "push"], Kind::Choice(&["records", "content", "warn", "off"])),
    (&["git", "strict"], Kind::Bool),
    (&["git", "trailers"], Kind::Bool),
    (&["mounts", "*"], Kind::Text),
    (&["project", "epoch"], Kind::Count),
    (&["project", "name"], Kind::Text),
    (&["project", "scenario"], Kind::Text),
    (&["remote", "*", "url"], Kind::Text),
    (&["steps", "*", "always"], Kind::Bool),
    (&["steps", "*", "attempt"], Kind::Count),
    (&["steps", "*", "base_run"], Kind::Text),
    (&["steps", "*", "cache"], Kind::Choice(CACHE_MODES)),
    (&["steps", "*", "capture"], Kind::Sets),
    (&["steps", "*", "code"], Kind::Texts),
    (&["steps", "*", "command"], Kind::Words),
    (&["steps", "*", "config"], Kind::Texts),
    (&["steps", "*", "config_adapter"], Kind::Text),
    (&["steps", "*", "config_dir"], Kind::Texts),
    (&["steps", "*", "config_identity"], Kind::Choice(&["bytes", "values", "off"])),
    (&["steps", "*", "config_label"], Kind::Text),
    (&["steps", "*", "config_wins"], Kind::Choice(&["first", "last"])),
    (&["steps", "*", "container"], Kind::Text),
    (&["steps", "*", "container_from"], Kind::Text),
    (&["steps", "*", "correlation_id"], Kind::Text),
    (&["steps", "*", "cwd"], Kind::Text),
    (&["steps", "*", "dim"], Kind::Values),
    (&["steps", "*", "env"], Kind::Pairs),
    (&["steps", "*", "epoch"], Kind::Count),
    (&["steps", "*", "expect"], Kind::Sets),
    (&["steps", "*", "facet"], Kind::Values),
    (&["steps", "*", "facet_from"], Kind::Texts),
    (&["steps", "*", "format"], Kind::Sets),
    (&["steps", "*", "freshness"], Kind::Text),
    (&["steps", "*", "identity"], Kind::Pairs),
    (&["steps", "*", "in_place"], Kind::Texts),
    (&["steps", "*", "input"], Kind::Pairs),
    (&["steps", "*", "input_optional"], Kind::Pairs),
    (&["steps", "*", "inputs_from"], Kind::Texts),
    (&["steps", "*", "inputs_missing"], Kind::Choice(&["error", "restore"])),
    (&["steps", "*", "iteration"], Kind::Integer),
    (&["steps", "*", "last_attempt"], Kind::Bool),
    (&["steps", "*", "lock"], Kind::Pairs),
    (&["steps", "*", "message"], Kind::Text),
    (&["steps", "*", "metrics_from"], Kind::Texts),
    (&["steps", "*", "model"], Kind::Text),
    (&["steps", "*", "name"], Kind::Text),
    (&["steps", "*", "no_store"], Kind::Texts),
    (&["steps", "*", "on_known_failure"], Kind::Choice(ON_KNOWN_FAILURE)),
    (&["steps", "*", "on_mismatch"], Kind::Choice(ON_MISSING)),
    (&["steps", "*", "on_missing"], Kind::Choice(ON_MISSING)),
    (&["steps", "*", "output"], Kind::Pairs),
    (&["steps", "*", "output_facet"], Kind::Sets),
    (&["steps", "*", "output_hash"], Kind::Sets),
    (&["steps", "*", "output_meta"], Kind::Sets),
    (&["steps", "*", "output_set"], Kind::Sets),
    (&["steps", "*", "override"], Kind::Texts),
    (&["steps", "*", "parent"], Kind::Text),
    (&["steps", "*", "phase"], Kind::Text),
    (&["steps", "*", "replay"], Kind::Choice(&["tail", "all", "none"])),
    (&["steps", "*", "restore"], Kind::Choice(RESTORE)),
    (&["steps", "*", "retries"], Kind::Count),
    (&["steps", "*", "retry_delay"], Kind::Duration),
    (&["steps", "*", "retry_on"], Kind::Texts),
    (&["steps", "*", "run_name"], Kind::Text),
    (&["steps", "*", "runtime"], Kind::Pairs),
    (&["steps", "*", "scenario"], Kind::Text),
    (&["steps", "*", "schema"], Kind::Sets),
    (&["steps", "*", "secret_env"], Kind::Texts),
    (&["steps", "*", "set"], Kind::Values),
    (&["steps", "*", "stage"], Kind::Text),
    (&["steps", "*", "stdin"], Kind::Text),
    (&["steps", "*", "step_version"], Kind::Count),
    (&["steps", "*", "tag"], Kind::Texts),
    (&["steps", "*", "timeout"], Kind::Duration),
    (&["steps", "*", "tool"], Kind::Pairs),
    (&["steps", "*", "validate"], Kind::Choice(VALIDATE)),
    (&["steps", "*", "wait"], Kind::Bool),
    (&["steps", "*", "year"], Kind::Integer),
    (&["store", "path"], Kind::Text),
    (&["store", "read"], Kind::Texts),
    (&["ui", "color"], Kind::Choice(&["auto", "always", "never"])),
    (&["ui", "pager"], Kind::Bool),
];

/// What a path of names is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A setting of this kind; for [`Kind::Values`] also what lies below it.
    Setting(Kind),
    /// A table with settings below.
    Section,
    /// Nothing; the names that could stand in the last place.
    Nothing(Vec<&'static str>),
}

/// Looks a path of names up.
pub(super) fn find(path: &[String]) -> Found {
    let matches = |pattern: &[&str], names: &[String]| pattern.iter().zip(names).all(|(p, n)| *p == "*" || p == n);
    let mut is_section = false;
    for (pattern, kind) in SETTINGS {
        if !matches(pattern, path) {
            continue;
        }
        if pattern.len() == path.len() || (*kind == Kind::Values && path.len() > pattern.len()) {
            return Found::Setting(*kind);
        }
        is_section |= pattern.len() > path.len();
    }
    if is_section {
        return Found::Section;
    }
    let last = path.len().saturating_sub(1);
    let mut siblings: Vec<&str> = SETTINGS
        .iter()
        .filter(|(pattern, _)| pattern.len() > last && matches(&pattern[..last], &path[..last]))
        .map(|(pattern, _)| pattern[last])
        .filter(|name| *name != "*")
        .collect();
    siblings.dedup();
    Found::Nothing(siblings)
}

/// The name among `names` that `typed` was probably meant to be.
pub(super) fn nearest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace('-', "_");
    let typed = plain(typed);
    let limit = (typed.chars().count() / 3).max(1);
    names
        .iter()
        .map(|name| {
            let starts = name.starts_with(&typed) && typed.len() >= 2 || typed.starts_with(name) && name.len() > 2;
            (if starts { 1 } else { distance(&typed, name) }, *name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let mut best = (rows[i - 1][j] + 1)
                    .min(rows[i][j - 1] + 1)
                    .min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

/// Brings a value into the form that a setting of this kind is kept in.
///
/// # Errors
/// What it should be.
#[expect(clippy::match_same_arms, reason = "one kind after the other reads best")]
pub(super) fn accept(kind: Kind, value: Value) -> Result<Value, String> {
    match (kind, value) {
        (Kind::Text, Value::Text(text)) if !text.is_empty() => Ok(Value::Text(text)),
        (Kind::Text, _) => Err("a text that is not empty".to_owned()),
        (Kind::Bool, Value::Bool(b)) => Ok(Value::Bool(b)),
        (Kind::Bool, _) => Err("`true` or `false`".to_owned()),
        (Kind::Count, Value::Int(n)) if n >= 0 => Ok(Value::Int(n)),
        (Kind::Integer, Value::Int(n)) => Ok(Value::Int(n)),
        (Kind::Integer, _) => Err("a whole number".to_owned()),
        (Kind::Count, _) => Err("a whole number from 0".to_owned()),
        (Kind::Choice(words), Value::Text(text)) if words.contains(&text.as_str()) => Ok(Value::Text(text)),
        (Kind::Choice(words), _) => Err(format!("one of {}", words.join(", "))),
        (Kind::Texts | Kind::Pairs | Kind::Sets, Value::Text(text)) => Ok(Value::List(vec![Value::Text(text)])),
        (Kind::Texts | Kind::Pairs | Kind::Sets, Value::List(items))
            if items.iter().all(|i| matches!(i, Value::Text(_) | Value::Int(_))) =>
        {
            let text = |item: Value| if let Value::Int(n) = item { Value::Text(n.to_string()) } else { item };
            Ok(Value::List(items.into_iter().map(text).collect()))
        }
        (Kind::Pairs, Value::Map(entries)) => entries
            .into_iter()
            .map(|(key, value)| match value {
                Value::Text(text) => Ok(Value::Text(format!("{key}={text}"))),
                Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                    Ok(Value::Text(format!("{key}={}", super::to_json(&value))))
                }
                _ => Err("a table of texts".to_owned()),
            })
            .collect::<Result<_, _>>()
            .map(Value::List),
        (Kind::Sets, Value::Map(entries)) => {
            let mut all = Vec::new();
            for (key, value) in entries {
                let texts = match value {
                    Value::Text(text) => vec![Value::Text(text)],
                    Value::List(items) => items,
                    other => vec![other],
                };
                for text in texts {
                    match text {
                        Value::Text(text) => all.push(Value::Text(format!("{key}={text}"))),
                        Value::Int(number) => all.push(Value::Text(format!("{key}={number}"))),
                        _ => return Err("a table of texts, or of lists of texts".to_owned()),
                    }
                }
            }
            Ok(Value::List(all))
        }
        (Kind::Sets, _) => Err("a list of texts `KEY=VALUE` or a table of texts or lists of texts".to_owned()),
        (Kind::Texts, _) => Err("a text or a list of texts".to_owned()),
        (Kind::Pairs, _) => Err("a list of texts `[KEY=]VALUE` or a table of texts".to_owned()),
        (Kind::Words, Value::Text(text)) => {
            split_words(&text).map(|words| Value::List(words.into_iter().map(Value::Text).collect()))
        }
        (Kind::Words, Value::List(items)) if !items.is_empty() && items.iter().all(|i| matches!(i, Value::Text(_))) => {
            Ok(Value::List(items))
        }
        (Kind::Words, _) => Err("a list of words that is not empty, or a text".to_owned()),
        (Kind::Duration, Value::Int(n)) if n >= 0 => Ok(Value::Text(format!("{n}s"))),
        (Kind::Duration, Value::Text(text)) if !text.is_empty() => Ok(Value::Text(text)),
        (Kind::Duration, _) => Err("a number of seconds, or a text such as \"10m\"".to_owned()),
        (Kind::Values, value) => Ok(value),
    }
}

/// Reads a value given as text by a variable or a flag.
///
/// # Errors
/// What it should be.
pub(super) fn from_text(kind: Kind, text: &str) -> Result<Value, String> {
    let value = match kind {
        Kind::Bool => match text {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => Value::Text(text.to_owned()),
        },
        Kind::Integer => text.parse::<i64>().map_or(Value::Null, |n| Value::Int(n.into())),
        Kind::Count => text.parse::<u64>().map_or(Value::Null, |n| Value::Int(n.into())),
        Kind::Duration if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            Value::Text(format!("{text}s"))
        }
        Kind::Values => super::scalar::plain(text).map_err(|(problem, _)| problem)?,
        _ => Value::Text(text.to_owned()),
    };
    accept(kind, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_no_doubles() {
        assert!(SETTINGS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_slip_finds_its_name() {
        let names = ["include", "exclude", "mode", "on_missing"];
        assert_eq!(nearest("inlcude", &names), Some("include"));
        assert_eq!(nearest("includes", &names), Some("include"));
        assert_eq!(nearest("on-missing", &names), Some("on_missing"));
        assert_eq!(nearest("xyz", &names), None);
    }

    #[test]
    fn names_are_found_by_pattern() {
        let path = |s: &str| s.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(find(&path("steps")), Found::Section);
        assert_eq!(find(&path("steps.clean")), Found::Section);
        assert_eq!(find(&path("steps.clean.year")), Found::Setting(Kind::Integer));
        assert_eq!(find(&path("steps.clean.set.a.b")), Found::Setting(Kind::Values));
        assert!(matches!(find(&path("steps.clean.inptu")), Found::Nothing(names) if names.contains(&"input")));
        assert!(matches!(find(&path("project.name.x")), Found::Nothing(names) if names.is_empty()));
    }
}

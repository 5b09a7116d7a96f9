//! How a task is to be executed: what a native file says beside what the task's type needs.

use crate::clock::parse_duration_ms;
use crate::codec::Value;
use crate::config::located::Node;
use crate::pipeline::file::{Named, Run, Spec, names};
use crate::pipeline::finding::Finding;

/// What holds for the execution of a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// What is executed.
    pub run: Option<Run>,
    /// The folder it runs in, relative to the work path.
    pub cwd: Option<String>,
    /// What it reads: keys, if given, and paths.
    pub inputs: Vec<Keyed>,
    /// What it writes.
    pub outputs: Vec<Keyed>,
    /// Its parameters, a map.
    pub params: Option<Value>,
    /// Variables that count: `NAME` or `NAME=VALUE`.
    pub env: Vec<String>,
    /// What counts as its code.
    pub code: Vec<String>,
    /// The time limit.
    pub timeout_ms: Option<u64>,
    /// How often it is tried again.
    pub retries: Retries,
    /// The memory limit in bytes.
    pub memory: Option<u64>,
    /// The cache mode; `off` for `false`.
    pub cache: Option<String>,
    /// What it takes of shared resources while it runs.
    pub resources: Vec<(String, u64)>,
    /// Checks of what it made, in order.
    pub validate: Vec<Validator>,
    /// Scratchpad keys that it provides.
    pub provides: Vec<String>,
    /// Steps that must be done before.
    pub needs: Vec<Named>,
}

/// A path with the key of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// The key, if one is given.
    pub key: Option<String>,
    /// The path.
    pub path: String,
}

/// How often a failed task is tried again, and after which delay; the delay doubles each time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retries {
    /// How often.
    pub count: u32,
    /// Milliseconds before the first time.
    pub delay_ms: u64,
}

/// A check of what a task made.
#[derive(Debug, Clone, PartialEq)]
pub struct Validator {
    /// What is checked.
    pub check: Check,
    /// The output it looks at; all of them if none is named.
    pub of: Option<String>,
}

/// What a [`Validator`] checks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Check {
    /// It is there.
    Exists,
    /// It is there and has content.
    Nonempty,
    /// It is as large as the source; unknown sizes are let through.
    SizeEqual,
    /// It has at least that many bytes.
    MinBytes(u64),
    /// It has at most that many bytes.
    MaxBytes(u64),
    /// It has at least that many rows: records of a table, lines of other text.
    MinRows(u64),
    /// It has at most that many rows.
    MaxRows(u64),
    /// It has at least that many lines.
    MinLines(u64),
    /// Its BLAKE3 digest is this.
    Blake3(String),
    /// Its SHA-256 digest is this.
    Sha256(String),
    /// It can be read as `csv`, `json`, `jsonl` or `parquet`.
    Readable(String),
    /// Its columns are these: names with types, or a file that says them.
    Schema(Value),
    /// A command ends well.
    Command(Run),
}

const CHECKS: &[&str] = &[
    "exists",
    "nonempty",
    "size_equal",
    "min_bytes",
    "max_bytes",
    "min_rows",
    "max_rows",
    "min_lines",
    "blake3",
    "sha256",
    "readable",
    "schema",
    "command",
];

const CACHE_MODES: &[&str] = &["reuse", "overwrite", "readonly", "off"];

/// Reads what holds for a task of a native file. What is wrong is told and left out.
pub fn read(spec: &Spec, findings: &mut Vec<Finding>) -> Settings {
    let mut settings = Settings::default();
    for entry in spec.entries() {
        let node = &entry.value;
        let done = match entry.key.as_str() {
            "run" => run(node).map(|run| settings.run = Some(run)),
            "cwd" => text(node).map(|text| settings.cwd = Some(text)),
            "inputs" => keyed(node).map(|list| settings.inputs = list),
            "outputs" => keyed(node).map(|list| settings.outputs = list),
            "params" => map(node).map(|params| settings.params = Some(params)),
            "env" => env(node).map(|env| settings.env = env),
            "code" => texts(node).map(|code| settings.code = code),
            "timeout" => duration(node).map(|ms| settings.timeout_ms = Some(ms)),
            "retries" => retries(node).map(|retries| settings.retries = retries),
            "memory" => bytes(node).map(|bytes| settings.memory = Some(bytes)),
            "cache" => cache(node).map(|mode| settings.cache = Some(mode)),
            "resources" => resources(node).map(|list| settings.resources = list),
            "validate" => validators(node).map(|list| settings.validate = list),
            "provides" => texts(node).map(|keys| settings.provides = keys),
            "needs" => texts(node).map(|_| settings.needs = names(Some(node))),
            _ => Ok(()),
        };
        if let Err(what) = done {
            let message = format!("`{}` must be {}, not {}", entry.key, what.wanted, what.found);
            findings.push(Finding::error("bad-field", message).at(what.at.unwrap_or(node.at)));
        }
    }
    settings
}

/// A value that is not what it should be.
#[derive(Debug)]
pub(in crate::pipeline) struct Wrong {
    wanted: String,
    found: String,
    at: Option<crate::config::located::Place>,
}

fn wrong(node: &Node, wanted: impl Into<String>) -> Wrong {
    let found = match node.as_text() {
        Some(text) => format!("`{text}`"),
        None => node.what().to_owned(),
    };
    Wrong { wanted: wanted.into(), found, at: Some(node.at) }
}

impl Wrong {
    /// The finding about the value of `key`.
    pub(in crate::pipeline) fn finding(self, key: &str, at: crate::config::located::Place) -> Finding {
        let message = format!("`{key}` must be {}, not {}", self.wanted, self.found);
        Finding::error("bad-field", message).at(self.at.unwrap_or(at))
    }
}

fn text(node: &Node) -> Result<String, Wrong> {
    node.as_text().map(ToOwned::to_owned).ok_or_else(|| wrong(node, "text"))
}

/// Text, or a number or boolean as text: what stands in the words of a command.
fn word(node: &Node) -> Result<String, Wrong> {
    match node.as_scalar() {
        Some(Value::Text(text)) => Ok(text.clone()),
        Some(value @ (Value::Int(_) | Value::Float(_) | Value::Bool(_))) => Ok(crate::config::to_json(value)),
        _ => Err(wrong(node, "text")),
    }
}

fn texts(node: &Node) -> Result<Vec<String>, Wrong> {
    match node.as_list() {
        Some(items) => items.iter().map(word).collect(),
        None => node.as_text().map(|text| vec![text.to_owned()]).ok_or_else(|| wrong(node, "text or a list of texts")),
    }
}

fn map(node: &Node) -> Result<Value, Wrong> {
    if node.as_map().is_some() { Ok(node.to_value()) } else { Err(wrong(node, "a map")) }
}

/// A command: a list of words, or a text for a shell.
pub(in crate::pipeline) fn run(node: &Node) -> Result<Run, Wrong> {
    if let Some(items) = node.as_list() {
        let words: Vec<String> = items.iter().map(word).collect::<Result<_, _>>()?;
        return if words.is_empty() {
            Err(wrong(node, "a command of one word or more"))
        } else {
            Ok(Run::Words(words))
        };
    }
    match node.as_text() {
        Some(text) if !text.trim().is_empty() => Ok(Run::Shell(text.to_owned())),
        _ => Err(wrong(node, "a list of words or a text for a shell")),
    }
}

fn keyed(node: &Node) -> Result<Vec<Keyed>, Wrong> {
    let one = |text: &str| match text.split_once('=') {
        Some((key, path)) if !key.is_empty() && !path.is_empty() && !key.contains(['/', '.', ' ']) => {
            Keyed { key: Some(key.to_owned()), path: path.to_owned() }
        }
        _ => Keyed { key: None, path: text.to_owned() },
    };
    if let Some(entries) = node.as_map() {
        let entry = |entry: &crate::config::located::Entry| {
            Ok(Keyed { key: Some(entry.key.clone()), path: text(&entry.value)? })
        };
        return entries.iter().map(entry).collect();
    }
    if let Some(path) = node.as_text() {
        return Ok(vec![one(path)]);
    }
    let items = node.as_list().ok_or_else(|| wrong(node, "a path, a list of paths, or a map of keys to paths"))?;
    items.iter().map(|item| item.as_text().map(one).ok_or_else(|| wrong(item, "a path"))).collect()
}

fn env(node: &Node) -> Result<Vec<String>, Wrong> {
    match node.as_map() {
        Some(entries) => entries.iter().map(|e| Ok(format!("{}={}", e.key, word(&e.value)?))).collect(),
        None => texts(node),
    }
}

fn count(node: &Node) -> Result<u64, Wrong> {
    let number = match node.as_scalar() {
        Some(Value::Int(n)) => u64::try_from(*n).ok(),
        Some(Value::Text(text)) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| wrong(node, "an integer from 0 on"))
}

fn duration(node: &Node) -> Result<u64, Wrong> {
    let ms = match node.as_scalar() {
        Some(Value::Int(seconds)) => u64::try_from(*seconds).ok().and_then(|seconds| seconds.checked_mul(1000)),
        Some(Value::Text(text)) => parse_duration_ms(text),
        _ => None,
    };
    ms.filter(|ms| *ms > 0).ok_or_else(|| wrong(node, "a duration such as 90s, 5m or 1h30m"))
}

/// Bytes of a size such as `512MiB`, `2GB`, `100000`.
fn bytes(node: &Node) -> Result<u64, Wrong> {
    let refuse = || wrong(node, "a size such as 512MiB or 2GB");
    match node.as_scalar() {
        Some(Value::Int(n)) => u64::try_from(*n).ok().filter(|n| *n > 0).ok_or_else(refuse),
        Some(Value::Text(text)) => parse_bytes(text).filter(|n| *n > 0).ok_or_else(refuse),
        _ => Err(refuse()),
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn retries(node: &Node) -> Result<Retries, Wrong> {
    let number = |node: &Node| {
        let count = count(node)?;
        u32::try_from(count).ok().filter(|n| *n <= 1000).ok_or_else(|| wrong(node, "at most 1000"))
    };
    let Some(entries) = node.as_map() else { return Ok(Retries { count: number(node)?, delay_ms: 0 }) };
    let mut retries = Retries::default();
    for entry in entries {
        match entry.key.as_str() {
            "count" => retries.count = number(&entry.value)?,
            "delay" => retries.delay_ms = duration(&entry.value)?,
            other => {
                let found = format!("`{other}`");
                return Err(Wrong { wanted: "made of `count` and `delay`".to_owned(), found, at: Some(entry.at) });
            }
        }
    }
    Ok(retries)
}

fn cache(node: &Node) -> Result<String, Wrong> {
    match node.as_scalar() {
        Some(Value::Bool(true)) => Ok("reuse".to_owned()),
        Some(Value::Bool(false)) => Ok("off".to_owned()),
        Some(Value::Text(mode)) if CACHE_MODES.contains(&mode.as_str()) => Ok(mode.clone()),
        _ => Err(wrong(node, "true, false, reuse, overwrite, readonly or off")),
    }
}

fn resources(node: &Node) -> Result<Vec<(String, u64)>, Wrong> {
    if let Some(entries) = node.as_map() {
        return entries.iter().map(|entry| Ok((entry.key.clone(), count(&entry.value)?))).collect();
    }
    let names = texts(node).map_err(|_| wrong(node, "a name, a list of names, or a map of names to amounts"))?;
    Ok(names.into_iter().map(|name| (name, 1)).collect())
}

fn validators(node: &Node) -> Result<Vec<Validator>, Wrong> {
    match node.as_list() {
        Some(items) => items.iter().map(validator).collect(),
        None => Ok(vec![validator(node)?]),
    }
}

fn validator(node: &Node) -> Result<Validator, Wrong> {
    let unknown = |name: &str, at| {
        let meant = crate::config::nearest(name, CHECKS).map(|meant| format!(" (did you mean `{meant}`?)"));
        let wanted = "a check such as exists, nonempty or {min_rows: 10}".to_owned();
        Err(Wrong { wanted, found: format!("`{name}`{}", meant.unwrap_or_default()), at: Some(at) })
    };
    if let Some(name) = node.as_text() {
        let check = match name {
            "exists" => Check::Exists,
            "nonempty" => Check::Nonempty,
            "size_equal" => Check::SizeEqual,
            other if CHECKS.contains(&other) => return Err(wrong(node, format!("a map: {{{other}: ...}}"))),
            other => return unknown(other, node.at),
        };
        return Ok(Validator { check, of: None });
    }
    let entries = node.as_map().ok_or_else(|| wrong(node, "a check such as exists, nonempty or {min_rows: 10}"))?;
    let (mut check, mut of) = (None, None);
    for entry in entries {
        let value = &entry.value;
        let found = match entry.key.as_str() {
            "of" => {
                of = Some(text(value)?);
                continue;
            }
            "exists" => Check::Exists,
            "nonempty" => Check::Nonempty,
            "size_equal" => Check::SizeEqual,
            "min_bytes" => Check::MinBytes(bytes(value)?),
            "max_bytes" => Check::MaxBytes(bytes(value)?),
            "min_rows" => Check::MinRows(count(value)?),
            "max_rows" => Check::MaxRows(count(value)?),
            "min_lines" => Check::MinLines(count(value)?),
            "blake3" => Check::Blake3(digest(value)?),
            "sha256" => Check::Sha256(digest(value)?),
            "readable" => {
                let format = text(value)?;
                if !["csv", "json", "jsonl", "parquet"].contains(&format.as_str()) {
                    return Err(wrong(value, "csv, json, jsonl or parquet"));
                }
                Check::Readable(format)
            }
            "schema" => Check::Schema(value.to_value()),
            "command" => Check::Command(run(value)?),
            other => return unknown(other, entry.at),
        };
        if check.replace(found).is_some() {
            let found = "two in one map".to_owned();
            return Err(Wrong { wanted: "one check for each item".to_owned(), found, at: Some(entry.at) });
        }
    }
    match check {
        Some(check) => Ok(Validator { check, of }),
        None => Err(wrong(node, "a check such as exists, nonempty or {min_rows: 10}")),
    }
}

fn digest(node: &Node) -> Result<String, Wrong> {
    let text = node.as_text().map(str::to_ascii_lowercase);
    text.filter(|text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .ok_or_else(|| wrong(node, "64 hexadecimal digits"))
}

//! Whether the columns of a table are those that were asked for.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::files::{Format, Output, footer, open};
use super::json;
use super::verdict::Seen;
use crate::codec::Value;
use crate::config;
use crate::config::csv;
use crate::fs::Fs;
use crate::pipeline::perform::{Abort, Job, World};

/// A column that is wanted, or there: its name, and its type if that is told.
type Column = (String, Option<String>);

/// Compares the columns of every part with those that are wanted.
pub(super) fn compare(world: &World, job: &Job, wanted: &Value, output: &Output<'_>) -> Result<Seen, String> {
    let wanted = columns_wanted(&world.fs, job, wanted)?;
    let mut last = None;
    for path in output.parts() {
        let found = columns_of(output.fs, path).map_err(|problem| output.named(path, &problem))?;
        if let Some(problem) = difference(&wanted, &found) {
            return Err(output.named(path, &problem));
        }
        last = Some(found);
    }
    match last {
        Some(found) => Ok(Seen::pass(in_words(&found))),
        None => Err("there is no file with columns".to_owned()),
    }
}

fn columns_wanted(fs: &Fs, job: &Job, wanted: &Value) -> Result<Vec<Column>, String> {
    match wanted {
        Value::Text(file) => {
            let path = PathBuf::from(&job.roots.work_path).join(file);
            let read = config::read(fs, &path).map_err(|err| err.to_string())?;
            declared(read.get("columns").unwrap_or(&read))
        }
        value => declared(value),
    }
}

fn declared(value: &Value) -> Result<Vec<Column>, String> {
    let refuse = || "a schema is a list of names, or a map of names to types".to_owned();
    match value {
        Value::List(items) => items
            .iter()
            .map(|item| match item {
                Value::Text(name) => Ok((name.clone(), None)),
                Value::Map(_) => match (item.get("name"), item.get("type")) {
                    (Some(Value::Text(name)), Some(Value::Text(kind))) => Ok((name.clone(), Some(kind.clone()))),
                    (Some(Value::Text(name)), None) => Ok((name.clone(), None)),
                    _ => Err(refuse()),
                },
                _ => Err(refuse()),
            })
            .collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(name, kind)| match kind {
                Value::Text(kind) => Ok((name.clone(), Some(kind.clone()))),
                Value::Null => Ok((name.clone(), None)),
                _ => Err(refuse()),
            })
            .collect(),
        _ => Err(refuse()),
    }
}

fn columns_of(fs: &Fs, path: &Path) -> Result<Vec<Column>, String> {
    let abort = Abort::new();
    let header = |delimiter| {
        let mut reader = open(fs, path, &abort)?;
        let names = csv::Records::new(&mut *reader, delimiter).next()?.ok_or("it has no header")?;
        Ok(names.into_iter().map(|name| (name, None)).collect())
    };
    match Format::of_path(path) {
        Format::Csv => header(b','),
        Format::Tsv => header(b'\t'),
        Format::Parquet => Ok(footer(fs, path)?.columns.into_iter().map(|leaf| (leaf.name, Some(leaf.kind))).collect()),
        Format::Json => {
            let reader = open(fs, path, &abort)?;
            let mut values = serde_json::Deserializer::from_reader(reader).into_iter::<First>();
            match values.next() {
                Some(first) => of_record(first.map_err(|err| err.to_string())?.0),
                None => Err("there is no record in it".to_owned()),
            }
        }
        Format::Jsonl => {
            let mut reader = open(fs, path, &abort)?;
            let mut line = Vec::new();
            while json::next_line(&mut *reader, &mut line)? {
                if !line.trim_ascii().is_empty() {
                    let record: serde_json::Value = serde_json::from_slice(&line).map_err(|err| err.to_string())?;
                    return of_record(record);
                }
            }
            Err("there is no record in it".to_owned())
        }
        Format::Text => Err("its name doesn't tell a format with columns".to_owned()),
    }
}

/// The first element of a list, or the value if it is none.
struct First(Option<serde_json::Value>);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = First;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record or a list of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First, A::Error> {
                let first = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<First, A::Error> {
                let record = Deserialize::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(First(Some(record)))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// The keys of a record with the types of their values.
fn of_record(record: impl Into<Option<serde_json::Value>>) -> Result<Vec<Column>, String> {
    let Some(serde_json::Value::Object(entries)) = record.into() else {
        return Err("its first element is no record".to_owned());
    };
    let kind = |value: &serde_json::Value| match value {
        // Nothing tells what would be there.
        serde_json::Value::Null => None,
        serde_json::Value::Bool(_) => Some("boolean"),
        serde_json::Value::Number(number) if number.is_i64() || number.is_u64() => Some("int64"),
        serde_json::Value::Number(_) => Some("double"),
        serde_json::Value::String(_) => Some("string"),
        serde_json::Value::Array(_) => Some("list"),
        serde_json::Value::Object(_) => Some("struct"),
    };
    Ok(entries.iter().map(|(name, value)| (name.clone(), kind(value).map(str::to_owned))).collect())
}

/// What is different, if something is.
fn difference(wanted: &[Column], found: &[Column]) -> Option<String> {
    let names = |columns: &[Column]| columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let (want, have) = (names(wanted), names(found));
    let missing: Vec<&str> = want.iter().filter(|name| !have.contains(name)).map(String::as_str).collect();
    let surplus: Vec<&str> = have.iter().filter(|name| !want.contains(name)).map(String::as_str).collect();
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (missing.as_slice(), surplus.as_slice()) {
        ([], []) => {}
        (missing, []) => return Some(format!("{} missing", list(missing))),
        ([], surplus) => return Some(format!("{} not asked for", list(surplus))),
        (missing, surplus) => return Some(format!("{} missing, {} not asked for", list(missing), list(surplus))),
    }
    if want != have {
        return Some(format!("the columns are in another order: {}", in_words(found)));
    }
    wanted.iter().zip(found).find_map(|((name, want), (_, have))| {
        let (want, have) = (want.as_deref()?, have.as_deref()?);
        (!fits(want, have)).then(|| format!("`{name}` is {have}, not {want}"))
    })
}

/// Whether a type is the one that was asked for, by any of its usual names.
fn fits(want: &str, have: &str) -> bool {
    let is_integer = have.starts_with("int") || have.starts_with("uint");
    match want.to_ascii_lowercase().as_str() {
        "any" => true,
        "utf8" | "str" | "text" | "varchar" => have == "string",
        "bool" => have == "boolean",
        "int" | "integer" => is_integer,
        "long" | "bigint" => have == "int64",
        "float32" => have == "float",
        "float64" => have == "double",
        "number" => is_integer || matches!(have, "float" | "double" | "decimal"),
        "array" => have == "list",
        "object" | "record" => have == "struct",
        "datetime" => have == "timestamp",
        "bytes" => have == "binary",
        want => want == have,
    }
}

fn in_words(columns: &[Column]) -> String {
    let one = |(name, kind): &Column| match kind {
        Some(kind) => format!("{name} {kind}"),
        None => name.clone(),
    };
    columns.iter().map(one).collect::<Vec<_>>().join(", ")
}

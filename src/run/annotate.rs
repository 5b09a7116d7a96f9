//! What is said about outputs beside their content: formats, facets, remarks; and whether they are what was expected of them.
//!
//! Nothing of this is part of the recipe: it changes no result. So it is said anew of every hit, and a result that does not have what is
//! expected today is not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::about::About;
use super::columns;
use super::format;
use super::lifecycle::OWN_FACETS;
use super::request::Request;
use super::session::Session;
use crate::codec::Value;
use crate::config;
use crate::object::recipe::Content;
use crate::object::run::{Output, Run};
use crate::path::{from_bytes, shown};
use crate::recipe::Members;

/// Bytes of an output that facets or metrics are read from, at most.
const MAX_READ: u64 = 16 << 20;
/// Facets and metrics of one run at most.
const MAX_REMARKS: usize = 10_000;

/// Reads an output's bytes; `None` if they can't be had.
pub(super) type ReadOutput<'a> = &'a dyn Fn(&Output) -> Option<Vec<u8>>;

/// Finds out the formats of outputs as they lie where `at` says.
pub(super) fn formats(session: &Session<'_>, run: &mut Run, at: &dyn Fn(&str, &Output) -> PathBuf) {
    let head = |path: &Path| {
        let mut file = session.repo.fs().open(path).ok()?;
        crate::fs::read_some(&mut file, format::HEAD).ok()
    };
    let of_file = |path: &Path| format::of_file(path.file_name()?.as_encoded_bytes(), &head(path)?);
    for (key, output) in run.outputs.iter_mut().filter(|(_, output)| output.format.is_none()) {
        let path = at(key, output);
        output.format = match (&output.set, &output.content) {
            (Some(_), _) => {
                // A set has a format if all of its files have.
                let of = |member: &bstr::BString| of_file(&path.join(from_bytes(member)));
                let mut formats = output.members.keys().map(of);
                let first = formats.next().flatten();
                first.filter(|first| formats.all(|other| other.as_ref() == Some(first)))
            }
            (None, Content::Tree(_)) => {
                let names = session.repo.fs().names(&path).unwrap_or_default();
                format::is_zarr(names.iter().map(|name| name.as_encoded_bytes())).then(|| "zarr".to_owned())
            }
            (None, _) => of_file(&path),
        };
    }
}

/// Writes what the request says about its outputs and the run into the record. What can't be read is told in the warnings.
pub(super) fn say(run: &mut Run, request: &Request, config: &Value, read: ReadOutput<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, about) in &request.about.by_key {
        let Some(output) = run.outputs.get_mut(key) else { continue };
        if let Some(format) = &about.format {
            output.format = Some(format.clone());
        }
        output.facets.extend(about.facets.clone());
        // That it was compared with a schema is said by who compared it, and by nobody else.
        let compared = output.meta.remove(columns::COMPARED);
        output.meta.extend(about.meta.clone());
        output.meta.remove(columns::COMPARED);
        output.meta.extend(compared.map(|id| (columns::COMPARED.to_owned(), id)));
        if let Some(schema) = &about.schema {
            output.meta.insert("schema".to_owned(), Value::Text(schema.clone()));
        }
    }
    let parsed = |run: &Run, key: &str| -> Result<Value, String> {
        let output = run.outputs.get(key).ok_or("it was not made")?;
        if output.size > MAX_READ {
            return Err(format!("it has more than {MAX_READ} bytes"));
        }
        let bytes = read(output).ok_or("it can't be read")?;
        let path = from_bytes(&output.path);
        let format = config::Format::of(&path).unwrap_or(config::Format::Json);
        config::parse(&path, format, &bytes).map_err(|err| super::chain(&err))
    };
    let mut facets = BTreeMap::new();
    for key in &request.about.facets_from {
        let found = match key.strip_prefix("config.") {
            Some(name) => from_config(config, name).map(|value| vec![(name.to_owned(), value)]),
            None if run.outputs.contains_key(key) => parsed(run, key).and_then(entries),
            None => from_config(config, key).map(|value| vec![(key.clone(), value)]),
        };
        match found {
            Ok(found) => facets.extend(found.into_iter().filter(|(key, _)| !key.starts_with(OWN_FACETS))),
            Err(why) => warnings.push(format!("no facets from `{}`: {why}", shown(key.as_bytes()))),
        }
    }
    // What is said by hand is there already, and wins.
    for (key, value) in facets {
        run.facets.entry(key).or_insert(value);
    }
    for key in &request.about.metrics_from {
        match parsed(run, key) {
            Ok(value) => {
                let mut numbers = BTreeMap::new();
                flatten("", &value, &mut numbers);
                if numbers.is_empty() {
                    warnings.push(format!("there is no number in `{}` to be a metric", shown(key.as_bytes())));
                }
                run.metrics.extend(numbers);
            }
            Err(why) => warnings.push(format!("no metrics from `{}`: {why}", shown(key.as_bytes()))),
        }
    }
    for (what, remarks) in [("facets", &mut run.facets), ("metrics", &mut run.metrics)] {
        if remarks.len() > MAX_REMARKS {
            warnings.push(format!("{} {what} are too many: {MAX_REMARKS} are kept", remarks.len()));
            while remarks.len() > MAX_REMARKS {
                remarks.pop_last();
            }
        }
        remarks.values_mut().for_each(Value::sort);
    }
    warnings
}

fn from_config(config: &Value, name: &str) -> Result<Value, String> {
    let found = name.split('.').try_fold(config, |value, part| value.get(part));
    found.cloned().ok_or_else(|| "there is no such output, and no such key in the config".to_owned())
}

fn entries(value: Value) -> Result<Vec<(String, Value)>, String> {
    match value {
        Value::Map(entries) => Ok(entries),
        _ => Err("it holds no names with values".to_owned()),
    }
}

/// Numbers by the names that lead to them, `.` between.
fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Int(_) | Value::Float(_) => drop(into.insert(name.to_owned(), value.clone())),
        Value::Map(entries) => {
            for (key, value) in entries {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, into);
            }
        }
        _ => {}
    }
}

/// In what the outputs of a run are not what the request expects of them.
///
/// # Errors
/// An expectation that can't be read, or that an output of its kind can't have.
pub(super) fn mismatches(
    session: &Session<'_>,
    run: &Run,
    request: &Request,
    config: &Value,
    are_there: bool,
) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for (key, output) in run.outputs.iter().filter(|(_, output)| output.set.is_some()) {
        found.extend(contradictions(key, output));
    }
    for (key, about) in &request.about.by_key {
        let Some(output) = run.outputs.get(key) else { continue };
        if let Some(id) = &about.hash
            && output.content.id() != *id
        {
            found.push(format!("output `{key}` is {}, and {} is expected", output.content.id().short(), id.short()));
        }
        for spec in &about.expect {
            found.extend(unmet(key, output, spec, config)?);
        }
        if are_there {
            found.extend(wrong_format(session, key, output, about));
            continue;
        }
        found.extend(columns::not_compared(session, key, output, about));
        if let (Some(wanted), Some(known)) = (&about.format, &output.format)
            && wanted != known
        {
            found.push(format!("output `{key}` is recorded as {known}, and {wanted} is expected"));
        }
    }
    Ok(found)
}

/// Names of members that say two things at once.
fn contradictions(key: &str, output: &Output) -> Vec<String> {
    let Some(Ok(members)) = output.set.as_ref().map(Members::new) else { return Vec::new() };
    let told = output.members.keys().filter_map(|name| match members.find(name.as_ref()) {
        Some(Err(told)) => Some(format!(
            "output set `{key}`: the name {} says that {} is {} and {}",
            shown(name),
            told.name,
            config::to_json(&told.first),
            config::to_json(&told.second)
        )),
        _ => None,
    });
    told.take(3).collect()
}

/// Whether it is expected that a set may have no member.
pub(super) fn may_be_empty(request: &Request, key: &str, members: &Members, config: &Value) -> bool {
    let specs = request.about.by_key.get(key).map(|about| about.expect.as_slice()).unwrap_or_default();
    specs.iter().any(|spec| matches!(parse(key, spec, members, config), Ok(Expected::Count(0, _))))
}

fn wrong_format(session: &Session<'_>, key: &str, output: &Output, about: &About) -> Vec<String> {
    let Some(format) = &about.format else { return Vec::new() };
    let root = session.repo.root();
    let paths: Vec<bstr::BString> = match (&output.set, &output.content) {
        (Some(_), _) => output.members.keys().map(|member| output.member_path(member)).collect(),
        (None, Content::Tree(_)) => {
            let names = session.repo.fs().names(&root.join(from_bytes(&output.path))).unwrap_or_default();
            let is_zarr = format::is_zarr(names.iter().map(|name| name.as_encoded_bytes()));
            let wrong = (format == "zarr" && !is_zarr)
                .then(|| format!("output `{key}` is said to be zarr, and no file in it says so"));
            return wrong.into_iter().collect();
        }
        (None, _) => vec![output.path.clone()],
    };
    let wrong = paths.iter().filter_map(|path| {
        let mut file = session.repo.fs().open_no_follow(&root.join(from_bytes(path))).ok()?;
        let head = crate::fs::read_some(&mut file, format::HEAD).ok()?;
        let why = format::contradiction(format, &head)?;
        Some(format!("output `{key}`, {}: {why}", shown(path)))
    });
    wrong.take(3).collect()
}

/// Checks that an expectation can be read, before anything is executed.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(key: &str, members: Option<&Members>, about: &About, config: &Value) -> Result<(), String> {
    let Some(members) = members else {
        return match about.expect.first() {
            Some(spec) => Err(format!("--expect {key}={spec}: only output sets and captures have members")),
            None => Ok(()),
        };
    };
    for spec in &about.expect {
        if let Expected::Values(name, _) = parse(key, spec, members, config)?
            && !members.captures().contains_key(name.as_str())
        {
            return Err(format!("--expect {key}={spec}: no pattern of the set has `{{{name}}}`"));
        }
    }
    Ok(())
}

enum Expected {
    /// So many members: at least, at most.
    Count(u64, u64),
    /// These members, besides others.
    Member(String),
    /// A capture has just these values.
    Values(String, Vec<Value>),
}

/// Reads what a user expects of a set.
fn parse(key: &str, spec: &str, members: &Members, config: &Value) -> Result<Expected, String> {
    let refuse = |why: &str| Err(format!("--expect {key}={spec}: {why}"));
    if let Some((name, values)) = spec.split_once('=') {
        let values = match set_name(values) {
            Some(name) => match from_config(config, name) {
                Ok(Value::List(values)) => values,
                Ok(value @ (Value::Int(_) | Value::Float(_) | Value::Text(_))) => vec![value],
                Ok(_) => return refuse("the config has no list there"),
                Err(_) => return refuse("the config has no such key"),
            },
            None => match range(values) {
                Some((from, to)) if to != u64::MAX && to.saturating_sub(from) <= 100_000 => {
                    (from..=to).map(|n| Value::Int(n.into())).collect()
                }
                _ => values.split(',').map(scalar).collect(),
            },
        };
        return Ok(Expected::Values(name.to_owned(), values));
    }
    if let Some(name) = set_name(spec) {
        return match from_config(config, name) {
            Ok(Value::Int(n)) => match u64::try_from(n) {
                Ok(n) => Ok(Expected::Count(n, n)),
                Err(_) => refuse("the config has a negative number there"),
            },
            Ok(Value::List(values)) => {
                let captures = members.captures();
                let mut names = captures.keys();
                match (names.next(), names.next()) {
                    (Some(only), None) => Ok(Expected::Values((*only).to_owned(), values)),
                    _ => refuse("the set has not just one capture: say which, as in KEY=year={set.years}"),
                }
            }
            Ok(_) => refuse("the config has neither a number nor a list there"),
            Err(_) => refuse("the config has no such key"),
        };
    }
    if let Ok(count) = spec.parse::<u64>() {
        return Ok(Expected::Count(count, count));
    }
    if let Some((from, to)) = range(spec) {
        return Ok(Expected::Count(from, to));
    }
    if spec.is_empty() || !members.has(spec.into()) {
        return refuse("this is no number, no range such as 3..5, and no path that the patterns of the set match");
    }
    Ok(Expected::Member(spec.to_owned()))
}

fn set_name(text: &str) -> Option<&str> {
    text.strip_prefix("{set.")?.strip_suffix('}')
}

/// `3..5`, `3..`, `..5`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (from, to) = text.split_once("..")?;
    let number = |text: &str, open: u64| if text.is_empty() { Some(open) } else { text.parse().ok() };
    let (from, to) = (number(from, 0)?, number(to, u64::MAX)?);
    (from <= to).then_some((from, to))
}

fn scalar(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| Value::Text(text.to_owned()), |n| Value::Int(n.into()))
}

/// In what a set does not meet an expectation.
fn unmet(key: &str, output: &Output, spec: &str, config: &Value) -> Result<Vec<String>, String> {
    let Some(set) = &output.set else { return Err(format!("--expect {key}={spec}: it is no output set")) };
    let members = Members::new(set).map_err(|err| err.to_string())?;
    Ok(match parse(key, spec, &members, config)? {
        Expected::Count(from, to) => {
            let count = output.members.len() as u64;
            if (from..=to).contains(&count) {
                Vec::new()
            } else {
                vec![format!("output set `{key}` has {count} members, and {spec} is expected")]
            }
        }
        Expected::Member(path) => {
            if output.members.contains_key(bstr::BStr::new(&path)) {
                Vec::new()
            } else {
                vec![format!("output set `{key}` has no member {}", shown(path.as_bytes()))]
            }
        }
        Expected::Values(name, wanted) => {
            // Compared as people write them: a config may say "2020" or 2020.
            let text = |value: &Value| match value {
                Value::Text(text) => text.clone(),
                other => config::to_json(other),
            };
            let wanted: BTreeSet<String> = wanted.iter().map(text).collect();
            let found: BTreeSet<String> =
                output.members.values().filter_map(|member| member.facets.get(&name)).map(text).collect();
            let list = |values: Vec<&String>| values.into_iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let lacking: Vec<&String> = wanted.difference(&found).collect();
            let extra: Vec<&String> = found.difference(&wanted).collect();
            let mut told = Vec::new();
            if !lacking.is_empty() {
                told.push(format!("output set `{key}` has no member with {name} {}", list(lacking)));
            }
            if !extra.is_empty() {
                told.push(format!(
                    "output set `{key}` has members with {name} {}, which are not expected",
                    list(extra)
                ));
            }
            told
        }
    })
}

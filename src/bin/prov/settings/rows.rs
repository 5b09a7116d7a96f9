//! From a request with `{row.COLUMN}` in it to the request of one row.

use bstr::BString;
use prov::codec::{self, Value};
use prov::config::rows::{Row, Rows, gap};
use prov::run::lifecycle::OWN_FACETS;
use prov::run::request::{Declared, Request};

use crate::error::Failure;

/// Gives the paths keys that would take them from a name with a column in it: the key is the same for all rows, `out/run_{row.id}.csv` is `run_id`.
pub(crate) fn with_keys(mut request: Request) -> Request {
    let declared = [
        &mut request.inputs,
        &mut request.inputs_optional,
        &mut request.outputs,
        &mut request.identity,
        &mut request.locks,
    ];
    for one in declared.into_iter().flatten() {
        name(one);
    }
    for set in &mut request.output_sets {
        if set.key.is_none() {
            set.key = key_of(&set.root);
        }
    }
    request
}

fn name(declared: &mut Declared) {
    if declared.key.is_none() {
        declared.key = key_of(&declared.path);
    }
}

/// The key of a path whose name has a column in it.
fn key_of(path: &BString) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let (mut plain, mut rest) = (String::new(), text.trim_end_matches('/'));
    // A slash may stand in the name of a column.
    while let Some((before, column, after)) = gap(rest) {
        plain.push_str(before);
        plain.extend(column.chars().map(|c| if c == '.' || c == '/' { '_' } else { c }));
        rest = after;
    }
    if rest.len() == text.trim_end_matches('/').len() {
        return None;
    }
    plain.push_str(rest);
    let name = plain.rsplit('/').next().unwrap_or_default();
    Some(prov::recipe::derive_key(name.into()))
}

/// The request of one row. What the row says becomes facets, and with `params` config values as well.
///
/// # Errors
/// A column that is not there, or a value that has no meaning where it is put.
pub(crate) fn of_row(template: &Request, rows: &Rows, row: &Row, params: bool) -> Result<Request, Failure> {
    let mut request = template.clone();
    // What keeps the kind of its value is filled by itself.
    let dims = std::mem::take(&mut request.dims);
    let facets = std::mem::take(&mut request.lifecycle.facets);
    let sets = std::mem::take(&mut request.sets);
    let filled = walk(codec::to_value(&request).map_err(no_form)?, rows, row)?;
    let mut request: Request = codec::from_value(&filled).map_err(no_form)?;
    for (key, value) in dims {
        let value = typed(value, rows, row)?;
        if matches!(key.as_str(), "year" | "iteration") && !matches!(value, Value::Int(_)) {
            let shown = prov::config::to_json(&value);
            return Err(Failure::usage(format!("--{key}{}: {shown} is no whole number", place(row))));
        }
        if matches!(value, Value::Null | Value::List(_) | Value::Map(_) | Value::Float(_)) {
            let shown = prov::config::to_json(&value);
            return Err(Failure::usage(format!(
                "--dim {key}{}: {shown} is neither text, a whole number, true nor false",
                place(row)
            )));
        }
        request.dims.insert(key, value);
    }
    for (column, cell) in rows.columns.iter().zip(&row.cells) {
        if !column.starts_with(OWN_FACETS) {
            request.lifecycle.facets.insert(column.clone(), cell.value.clone());
        }
    }
    for (key, value) in facets {
        request.lifecycle.facets.insert(key, typed(value, rows, row)?);
    }
    if params {
        for (column, cell) in rows.columns.iter().zip(&row.cells) {
            request.sets.push(assignment(column, &cell.value)?);
        }
    }
    for set in sets {
        let whole = set.split_once('=').map(|(key, text)| Ok::<_, Failure>((key, rows.value(row, text)?)));
        match whole.transpose()? {
            Some((key, Some(value))) => request.sets.push(format!("{key}={}", written(key, &value)?)),
            _ => {
                let filled = rows.fill(row, &set)?;
                request.sets.push(filled.unwrap_or(set));
            }
        }
    }
    Ok(request)
}

fn no_form(err: codec::Error) -> Failure {
    Failure::usage("the options can't be filled in").because_of(Some(&err))
}

/// Where a row stands, for messages.
fn place(row: &Row) -> String {
    row.line.map(|line| format!(" in line {line}")).unwrap_or_default()
}

/// `KEY=VALUE` of a config value called like a column, its dots its own.
fn assignment(column: &str, value: &Value) -> Result<String, Failure> {
    let mut key = String::new();
    for c in column.chars() {
        if matches!(c, '.' | '=' | '\\') {
            key.push('\\');
        }
        key.push(c);
    }
    Ok(format!("{key}={}", written(column, value)?))
}

/// A value in the form that `-S` takes, its kind kept.
fn written(key: &str, value: &Value) -> Result<String, Failure> {
    if matches!(value, Value::List(_) | Value::Map(_)) {
        return Err(Failure::usage(format!("the config value `{key}` can't be a list or a map of a row"))
            .hint("name what lies in it: {row.COLUMN.KEY}"));
    }
    Ok(crate::output::json::stored(value).to_string())
}

fn typed(value: Value, rows: &Rows, row: &Row) -> Result<Value, Failure> {
    let Value::Text(text) = &value else { return Ok(value) };
    if let Some(value) = rows.value(row, text)? {
        return Ok(value);
    }
    Ok(rows.fill(row, text)?.map_or(value, Value::Text))
}

fn walk(value: Value, rows: &Rows, row: &Row) -> Result<Value, Failure> {
    Ok(match value {
        Value::Text(text) => Value::Text(rows.fill(row, &text)?.unwrap_or(text)),
        Value::Bytes(bytes) => {
            let filled = match std::str::from_utf8(&bytes) {
                Ok(text) => rows.fill(row, text)?,
                Err(_) => None,
            };
            Value::Bytes(filled.map_or(bytes, Into::into))
        }
        Value::List(items) => {
            Value::List(items.into_iter().map(|item| walk(item, rows, row)).collect::<Result<_, _>>()?)
        }
        Value::Map(entries) => {
            let filled = entries.into_iter().map(|(key, value)| Ok((key, walk(value, rows, row)?)));
            Value::Map(filled.collect::<Result<_, Failure>>()?)
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rows(text: &str) -> Rows {
        Rows::read(Path::new("r.csv"), text.as_bytes()).unwrap()
    }

    #[test]
    fn keys_are_the_same_for_all_rows() {
        let key = |path: &str| key_of(&path.into());
        assert_eq!(key("out/run_{row.id}.csv").as_deref(), Some("run_id"));
        assert_eq!(key("{row.dir}/x.csv").as_deref(), Some("x"));
        assert_eq!(key("out/{row.a.b}.tar.gz").as_deref(), Some("a_b"));
        assert_eq!(key("out/x.csv"), None);
    }

    #[test]
    fn every_option_is_filled_and_kinds_are_kept() {
        let rows = rows("id,rate,year,note\n01,0.50,2030,a b\n");
        let mut template = Request::command(["tool", "--rate={row.rate}", "{input.x}", "{row.note}"])
            .output("out/{row.id}.csv")
            .set("rate={row.rate}")
            .set("label=x{row.id}")
            .set("zip={row.id}");
        template.dims.insert("year".to_owned(), Value::Text("{row.year}".to_owned()));
        template.message = "of {row.id}".to_owned();
        let made = of_row(&with_keys(template), &rows, &rows.rows[0], false).unwrap();
        assert_eq!(made.argv, ["tool", "--rate=0.50", "{input.x}", "a b"]);
        assert_eq!(made.outputs, [Declared::named("id", "out/01.csv")]);
        assert_eq!(made.sets, ["rate=0.5", "label=x01", "zip=\"01\""]);
        assert_eq!(made.dims["year"], Value::Int(2030));
        assert_eq!(made.message, "of 01");
        assert_eq!(made.lifecycle.facets["rate"], Value::Float(0.5));
        assert_eq!(made.lifecycle.facets["id"], Value::Text("01".to_owned()));
    }

    #[test]
    fn columns_can_be_config_values() {
        let rows = rows("a.b,c\n1,x\n");
        let made = of_row(&Request::command(["x"]), &rows, &rows.rows[0], true).unwrap();
        assert_eq!(made.sets, ["a\\.b=1", "c=\"x\""]);
    }

    #[test]
    fn what_has_no_meaning_is_a_usage_error() {
        let rows = rows("a,year\n1,soon\n");
        let row = &rows.rows[0];
        let failure = of_row(&Request::command(["{row.b}"]), &rows, row, false).unwrap_err();
        assert!(failure.message.contains("there is no column `b`"), "{failure:?}");
        let mut template = Request::command(["x"]);
        template.dims.insert("year".to_owned(), Value::Text("{row.year}".to_owned()));
        let failure = of_row(&template, &rows, row, false).unwrap_err();
        assert!(failure.message.contains("in line 2: \"soon\" is no whole number"), "{failure:?}");
    }
}

//! TOML, with the place of every key.

use std::fmt::Write;

use ::toml::de::{DeTable, DeValue};

use super::MAX_DEPTH;
use super::error::{Problem, place};
use super::scalar;
use crate::codec::Value;

/// The table of a TOML text.
pub(super) fn table(text: &str) -> Result<DeTable<'_>, Problem> {
    DeTable::parse(text).map(::toml::Spanned::into_inner).map_err(|err| {
        let at = err.span().map_or((1, 1), |span| place(text, span.start));
        Problem::new(at, err.message().replace('\n', "; "))
    })
}

/// The value of a TOML text.
pub(super) fn parse(text: &str) -> Result<Value, Problem> {
    map(text, &table(text)?, 0)
}

fn map(text: &str, table: &DeTable<'_>, depth: usize) -> Result<Value, Problem> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, item) in table {
        entries.push((key.get_ref().to_string(), value(text, item, depth + 1)?));
    }
    Ok(Value::Map(entries))
}

/// Where a value stands in a TOML text; `None` if there is none at the end of this way.
pub(super) fn span(text: &str, path: &[super::folder::Step]) -> Option<std::ops::Range<usize>> {
    use super::folder::Step;
    let table = table(text).ok()?;
    let (Step::Key(name), rest) = path.split_first()? else { return None };
    let mut at = table.iter().find(|(key, _)| key.get_ref() == name)?.1;
    for step in rest {
        at = match (step, at.get_ref()) {
            (Step::Key(name), DeValue::Table(table)) => table.iter().find(|(key, _)| key.get_ref() == name)?.1,
            (Step::Index(index), DeValue::Array(items)) => items.get(*index)?,
            _ => return None,
        };
    }
    Some(at.span())
}

/// One value of a TOML text.
pub(super) fn value(text: &str, item: &::toml::Spanned<DeValue<'_>>, depth: usize) -> Result<Value, Problem> {
    let at = || place(text, item.span().start);
    let refuse = |(problem, hint): scalar::Refused| Problem::new(at(), problem).hint(hint);
    if depth > MAX_DEPTH {
        return Err(Problem::new(at(), format!("nested deeper than {MAX_DEPTH} levels")));
    }
    match item.get_ref() {
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Boolean(b) => Ok(Value::Bool(*b)),
        DeValue::Integer(n) => {
            let digits = n.as_str().replace('_', "");
            let plain = digits.trim_start_matches(['-', '+']);
            let plain = ["0x", "0o", "0b"].iter().find_map(|p| plain.strip_prefix(p)).unwrap_or(plain);
            scalar::in_range(plain, n.radix(), digits.starts_with('-'), n.as_str()).map(Value::Int).map_err(refuse)
        }
        DeValue::Float(n) => {
            let digits = n.as_str().replace('_', "");
            if digits.contains("inf") || digits.contains("nan") {
                return Err(refuse((format!("`{digits}` is not a finite number"), scalar::QUOTE)));
            }
            scalar::float(&digits).map(Value::Float).map_err(refuse)
        }
        DeValue::Datetime(at) => Ok(Value::Text(datetime(at))),
        DeValue::Array(items) => {
            Ok(Value::List(items.iter().map(|item| value(text, item, depth + 1)).collect::<Result<_, _>>()?))
        }
        DeValue::Table(table) => map(text, table, depth),
    }
}

/// RFC 3339, seconds always, a fraction without zeros at its end. Written here, so that the form is ours to keep.
fn datetime(at: &::toml::value::Datetime) -> String {
    let mut out = String::new();
    if let Some(date) = at.date {
        let _ = write!(out, "{:04}-{:02}-{:02}", date.year, date.month, date.day);
    }
    if let Some(time) = at.time {
        if at.date.is_some() {
            out.push('T');
        }
        let _ = write!(out, "{:02}:{:02}:{:02}", time.hour, time.minute, time.second.unwrap_or(0));
        let fraction = format!("{:09}", time.nanosecond.unwrap_or(0));
        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            let _ = write!(out, ".{fraction}");
        }
    }
    match at.offset {
        None => {}
        Some(::toml::value::Offset::Z) => out.push('Z'),
        Some(::toml::value::Offset::Custom { minutes }) => {
            let sign = if minutes < 0 { '-' } else { '+' };
            let _ = write!(out, "{sign}{:02}:{:02}", minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60);
        }
    }
    out
}

//! Schemas that a person wrote: read, and compared with what is there.

use super::Column;
use crate::codec::Value;

/// A column that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its type, by any of its usual names; `None` for any.
    pub kind: Option<String>,
    /// Whether a value may be missing; `None` if nothing is said.
    pub is_nullable: Option<bool>,
}

/// A schema that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its columns.
    pub columns: Vec<Wanted>,
    /// Whether their order counts.
    pub is_ordered: bool,
    /// Whether there may be others as well.
    pub is_open: bool,
}

/// Reads a schema: a list of names, a list of `{name, type, nullable}`, a map of names to types, either under `columns`, or a JSON Schema
/// of an object.
///
/// # Errors
/// When it is none of these.
pub fn read(value: &Value) -> Result<Declared, String> {
    let refuse = || {
        "a schema is a list of names, a list of {name, type, nullable}, a map of names to types, or a JSON Schema"
            .to_owned()
    };
    if let Some(columns) = value.get("columns") {
        return read(columns);
    }
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let columns = match value {
        Value::Map(_) if matches!(value.get("properties"), Some(Value::Map(_))) => return json_schema(value),
        Value::List(items) => items
            .iter()
            .map(|item| match item {
                Value::Text(name) => Ok(Wanted { name: name.clone(), kind: None, is_nullable: None }),
                Value::Map(_) => {
                    let name = item.get("name").and_then(text).ok_or_else(refuse)?;
                    let kind = match item.get("type") {
                        None | Some(Value::Null) => None,
                        Some(kind) => Some(text(kind).ok_or_else(refuse)?),
                    };
                    let is_nullable = match item.get("nullable") {
                        Some(Value::Bool(is_nullable)) => Some(*is_nullable),
                        None | Some(Value::Null) => None,
                        Some(_) => return Err(refuse()),
                    };
                    Ok(Wanted { name, kind, is_nullable })
                }
                _ => Err(refuse()),
            })
            .collect::<Result<Vec<_>, _>>()?,
        Value::Map(entries) => entries
            .iter()
            .map(|(name, kind)| match kind {
                Value::Text(kind) => Ok(Wanted { name: name.clone(), kind: Some(kind.clone()), is_nullable: None }),
                Value::Null => Ok(Wanted { name: name.clone(), kind: None, is_nullable: None }),
                _ => Err(refuse()),
            })
            .collect::<Result<Vec<_>, _>>()?,
        _ => return Err(refuse()),
    };
    if columns.is_empty() {
        return Err(refuse());
    }
    Ok(Declared { columns, is_ordered: true, is_open: false })
}

fn json_schema(value: &Value) -> Result<Declared, String> {
    let Some(Value::Map(properties)) = value.get("properties") else {
        return Err("a JSON Schema of a table has `properties`".to_owned());
    };
    let is_required = |name: &str| match value.get("required") {
        Some(Value::List(all)) => all.iter().any(|one| matches!(one, Value::Text(text) if text == name)),
        _ => false,
    };
    let columns = properties
        .iter()
        .map(|(name, about)| {
            let types: Vec<&str> = match about.get("type") {
                Some(Value::Text(kind)) => vec![kind],
                Some(Value::List(all)) => all
                    .iter()
                    .filter_map(|one| if let Value::Text(text) = one { Some(text.as_str()) } else { None })
                    .collect(),
                _ => Vec::new(),
            };
            let may_be_null = types.contains(&"null") || !is_required(name);
            let own: Vec<&str> = types.into_iter().filter(|kind| *kind != "null").collect();
            let format = about
                .get("format")
                .and_then(|format| if let Value::Text(text) = format { Some(text.as_str()) } else { None });
            let kind = match (own.as_slice(), format) {
                (["string"], Some("date")) => Some("date".to_owned()),
                (["string"], Some("date-time")) => Some("timestamp".to_owned()),
                ([one], _) => Some((*one).to_owned()),
                _ => None,
            };
            Wanted { name: name.clone(), kind, is_nullable: Some(may_be_null) }
        })
        .collect();
    // As JSON Schema has it, what is not named is allowed unless that is refused; a table with a column too many is what people want told.
    let is_open = matches!(value.get("additionalProperties"), Some(Value::Bool(true) | Value::Map(_)));
    Ok(Declared { columns, is_ordered: false, is_open })
}

/// What is different, if something is. Of a column whose `kind` is empty the type is not known, and taken for right.
pub fn difference(declared: &Declared, found: &[Column]) -> Option<String> {
    let want: Vec<&str> = declared.columns.iter().map(|column| column.name.as_str()).collect();
    let have: Vec<&str> = found.iter().map(|column| column.name.as_str()).collect();
    let missing: Vec<&str> = want.iter().copied().filter(|name| !have.contains(name)).collect();
    let surplus: Vec<&str> = have.iter().copied().filter(|name| !declared.is_open && !want.contains(name)).collect();
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (missing.as_slice(), surplus.as_slice()) {
        ([], []) => {}
        (missing, []) => return Some(format!("{} missing", list(missing))),
        ([], surplus) => return Some(format!("{} not asked for", list(surplus))),
        (missing, surplus) => return Some(format!("{} missing, {} not asked for", list(missing), list(surplus))),
    }
    if declared.is_ordered && want != have {
        return Some(format!("the columns are in another order: {}", have.join(", ")));
    }
    declared.columns.iter().find_map(|wanted| {
        let column = found.iter().find(|column| column.name == wanted.name)?;
        if let Some(kind) = &wanted.kind
            && !column.kind.is_empty()
            && !fits(kind, &column.kind)
        {
            return Some(format!("`{}` is {}, not {kind}", column.name, column.kind));
        }
        (wanted.is_nullable == Some(false) && column.is_nullable)
            .then(|| format!("`{}` has missing values", column.name))
    })
}

/// Whether a type is the one that was asked for, by any of its usual names.
pub fn fits(want: &str, have: &str) -> bool {
    let is_integer = have.starts_with("int") || have.starts_with("uint");
    // A column without any value is of every type.
    if have == "null" {
        return true;
    }
    match want.to_ascii_lowercase().as_str() {
        "any" => true,
        // Text that looks like a time is text all the same.
        "string" | "utf8" | "str" | "text" | "varchar" => matches!(have, "string" | "date" | "timestamp"),
        "bool" | "boolean" => have == "boolean",
        "int" | "integer" => is_integer,
        "long" | "bigint" => have == "int64",
        "float32" => have == "float",
        // Whole numbers in a column of numbers look like integers in a text.
        "float64" | "double" | "number" | "float" => is_integer || matches!(have, "float" | "double" | "decimal"),
        "array" => have == "list",
        "object" | "record" => have == "struct",
        "datetime" => have == "timestamp",
        "bytes" => have == "binary",
        want => want == have,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Declared {
        read(
            &crate::config::parse_any(std::path::Path::new("s.json"), crate::config::Format::Json, text.as_bytes())
                .unwrap(),
        )
        .unwrap()
    }

    fn column(name: &str, kind: &str, is_nullable: bool) -> Column {
        Column { name: name.to_owned(), kind: kind.to_owned(), is_nullable }
    }

    #[test]
    fn every_way_of_writing_is_understood_and_held() {
        let found = [column("id", "int64", false), column("name", "string", true)];
        for good in [
            r#"["id", "name"]"#,
            r#"{"columns": {"id": "int", "name": "text"}}"#,
            r#"[{"name": "id", "type": "int64", "nullable": false}, {"name": "name"}]"#,
            r#"{"type": "object", "properties": {"name": {"type": ["string", "null"]}, "id": {"type": "integer"}}, "required": ["id"]}"#,
        ] {
            assert_eq!(difference(&of(good), &found), None, "{good}");
        }
        for (bad, what) in [
            (r#"["id"]"#, "`name` not asked for"),
            (r#"["id", "name", "x"]"#, "`x` missing"),
            (r#"["name", "id"]"#, "another order"),
            (r#"{"id": "text", "name": "text"}"#, "`id` is int64, not text"),
            (r#"[{"name": "id"}, {"name": "name", "nullable": false}]"#, "`name` has missing values"),
            (r#"{"properties": {"id": {"type": "integer"}}}"#, "`name` not asked for"),
        ] {
            let problem = difference(&of(bad), &found).unwrap();
            assert!(problem.contains(what), "{bad}: {problem}");
        }
        assert!(read(&Value::Int(1)).is_err());
    }
}

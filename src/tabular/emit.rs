//! Schemas in the languages of others: JSON Schema, SQL, Python, Rust.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Column;

/// The language that a schema is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// JSON Schema, draft 7.
    Json,
    /// `create table`.
    Sql,
    /// A class for SQLModel.
    Python,
    /// A struct for serde.
    Rust,
}

/// A schema as text in a language; `name` is that of the table, class or struct.
pub fn emit(language: Language, name: &str, columns: &[Column]) -> String {
    match language {
        Language::Json => json(name, columns),
        Language::Sql => sql(name, columns),
        Language::Python => python(name, columns),
        Language::Rust => rust(name, columns),
    }
}

fn json(name: &str, columns: &[Column]) -> String {
    use serde_json::{Map, Value, json};
    let mut properties = Map::new();
    for column in columns {
        let (kind, format) = match column.kind.as_str() {
            "boolean" => ("boolean", None),
            "date" => ("string", Some("date")),
            "timestamp" => ("string", Some("date-time")),
            "list" => ("array", None),
            "struct" | "map" => ("object", None),
            "null" => ("null", None),
            kind if is_integer(kind) => ("integer", None),
            "float" | "double" | "decimal" => ("number", None),
            _ => ("string", None),
        };
        let mut about = Map::new();
        let may_be_null = column.is_nullable && kind != "null";
        about.insert("type".to_owned(), if may_be_null { json!([kind, "null"]) } else { json!(kind) });
        if let Some(format) = format {
            about.insert("format".to_owned(), json!(format));
        }
        properties.insert(column.name.clone(), Value::Object(about));
    }
    let required: Vec<&str> = columns.iter().filter(|c| !c.is_nullable).map(|c| c.name.as_str()).collect();
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": name,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

fn is_integer(kind: &str) -> bool {
    kind.starts_with("int") || kind.starts_with("uint")
}

fn sql(name: &str, columns: &[Column]) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut out = format!("create table {} (\n", quoted(name));
    for (at, column) in columns.iter().enumerate() {
        let kind = match column.kind.as_str() {
            "boolean" => "boolean",
            "int8" | "int16" | "uint8" => "smallint",
            "int32" | "uint16" => "integer",
            "uint64" | "decimal" => "numeric",
            kind if is_integer(kind) => "bigint",
            "float" => "real",
            "double" => "double precision",
            "date" => "date",
            "time" => "time",
            "timestamp" => "timestamp",
            "binary" => "blob",
            _ => "text",
        };
        let must = if column.is_nullable { "" } else { " not null" };
        let comma = if at + 1 < columns.len() { "," } else { "" };
        let _ = writeln!(out, "  {} {kind}{must}{comma}", quoted(&column.name));
    }
    out.push_str(");\n");
    out
}

const PYTHON_WORDS: &[&str] = &[
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
    "metadata",
    "registry",
    "model_config",
];
const RUST_WORDS: &[&str] = &[
    "as", "async", "await", "box", "break", "const", "continue", "crate", "do", "dyn", "else", "enum", "extern",
    "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut",
    "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type",
    "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "abstract", "become",
];

/// Names that a language takes, each once, in the order of the columns.
fn names(columns: &[Column], words: &[&str]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    columns
        .iter()
        .map(|column| {
            let mut name: String = column
                .name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '_' })
                .collect();
            // A leading underscore means something in both languages.
            name = name.trim_start_matches('_').to_owned();
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                name = format!("column_{name}");
            }
            if words.contains(&name.as_str()) {
                name.push('_');
            }
            let mut own = name.clone();
            let mut n = 2;
            while !taken.insert(own.clone()) {
                own = format!("{name}_{n}");
                n += 1;
            }
            own
        })
        .collect()
}

/// A name for a class or struct.
fn class(name: &str) -> String {
    let mut out = String::new();
    for word in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let mut letters = word.chars();
        out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) { format!("Table{out}") } else { out }
}

fn in_quotes(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

fn python(name: &str, columns: &[Column]) -> String {
    let fields = names(columns, PYTHON_WORDS);
    let kinds: Vec<&str> = columns
        .iter()
        .map(|column| match column.kind.as_str() {
            "boolean" => "bool",
            kind if is_integer(kind) => "int",
            "float" | "double" => "float",
            "decimal" => "Decimal",
            "date" => "date",
            "timestamp" => "datetime",
            "time" => "time",
            "binary" => "bytes",
            "list" => "list",
            "struct" | "map" => "dict",
            _ => "str",
        })
        .collect();
    let mut out = String::new();
    let times: Vec<&str> = ["date", "datetime", "time"].into_iter().filter(|kind| kinds.contains(kind)).collect();
    if !times.is_empty() {
        let _ = writeln!(out, "from datetime import {}", times.join(", "));
    }
    if kinds.contains(&"Decimal") {
        out.push_str("from decimal import Decimal\n");
    }
    out.push_str("from typing import Optional\n\n");
    if kinds.iter().any(|kind| matches!(*kind, "list" | "dict")) {
        out.push_str("from sqlalchemy import JSON, Column\n");
    }
    let _ = write!(out, "from sqlmodel import Field, SQLModel\n\n\nclass {}(SQLModel):\n", class(name));
    for ((column, field), kind) in columns.iter().zip(&fields).zip(&kinds) {
        let mut options = Vec::new();
        if column.is_nullable {
            options.push("default=None".to_owned());
        }
        if *field != column.name {
            options.push(format!("alias={}", in_quotes(&column.name)));
            if !matches!(*kind, "list" | "dict") {
                options.push(format!("sa_column_kwargs={{\"name\": {}}}", in_quotes(&column.name)));
            }
        }
        if matches!(*kind, "list" | "dict") {
            let own = if *field == column.name { String::new() } else { format!("{}, ", in_quotes(&column.name)) };
            options.push(format!("sa_column=Column({own}JSON)"));
        }
        let kind = if column.is_nullable { format!("Optional[{kind}]") } else { (*kind).to_owned() };
        let value = match options.as_slice() {
            [] => String::new(),
            [only] if only == "default=None" => " = None".to_owned(),
            options => format!(" = Field({})", options.join(", ")),
        };
        let _ = writeln!(out, "    {field}: {kind}{value}");
    }
    if columns.is_empty() {
        out.push_str("    pass\n");
    }
    out
}

fn rust(name: &str, columns: &[Column]) -> String {
    let fields = names(columns, RUST_WORDS);
    let mut out = String::from("use serde::{Deserialize, Serialize};\n\n");
    let _ = writeln!(out, "/// A row of `{}`.", name.replace(['\n', '\r'], " "));
    let _ = writeln!(out, "#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]\npub struct {} {{", class(name));
    for (column, field) in columns.iter().zip(&fields) {
        let kind = match column.kind.as_str() {
            "boolean" => "bool",
            "int8" => "i8",
            "int16" => "i16",
            "int32" => "i32",
            "uint8" => "u8",
            "uint16" => "u16",
            "uint32" => "u32",
            "uint64" => "u64",
            "int64" => "i64",
            "float" => "f32",
            "double" => "f64",
            "binary" => "Vec<u8>",
            "list" => "Vec<serde_json::Value>",
            "struct" | "map" => "serde_json::Map<String, serde_json::Value>",
            _ => "String",
        };
        if *field != column.name {
            let _ = writeln!(out, "    #[serde(rename = {})]", in_quotes(&column.name));
        }
        let kind = if column.is_nullable { format!("Option<{kind}>") } else { kind.to_owned() };
        let _ = writeln!(out, "    pub {field}: {kind},");
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        [
            ("id", "int64", false),
            ("class", "string", true),
            ("1 x\"y", "double", true),
            ("day", "date", false),
            ("tags", "list", false),
        ]
        .map(|(name, kind, is_nullable)| Column { name: name.to_owned(), kind: kind.to_owned(), is_nullable })
        .to_vec()
    }

    #[test]
    fn every_language_keeps_names_and_types() {
        let sql = emit(Language::Sql, "quake \"s", &columns());
        assert_eq!(
            sql,
            "create table \"quake \"\"s\" (\n  \"id\" bigint not null,\n  \"class\" text,\n  \"1 x\"\"y\" double precision,\n  \"day\" date not null,\n  \"tags\" text not null\n);\n"
        );
        let python = emit(Language::Python, "quakes-clean", &columns());
        assert!(python.contains("class QuakesClean(SQLModel):\n    id: int\n"), "{python}");
        assert!(python.contains("    class_: Optional[str] = Field(default=None, alias=\"class\""), "{python}");
        assert!(
            python.contains("    column_1_x_y: Optional[float]") && python.contains("alias=\"1 x\\\"y\""),
            "{python}"
        );
        let rust = emit(Language::Rust, "quakes", &columns());
        assert!(rust.contains("pub struct Quakes {\n    pub id: i64,\n    pub class: Option<String>,\n"), "{rust}");
        assert!(rust.contains("#[serde(rename = \"1 x\\\"y\")]\n    pub column_1_x_y: Option<f64>,"), "{rust}");
        let json: serde_json::Value = serde_json::from_str(&emit(Language::Json, "q", &columns())).unwrap();
        assert_eq!(json["properties"]["class"]["type"], serde_json::json!(["string", "null"]));
        assert_eq!(json["required"], serde_json::json!(["id", "day", "tags"]));
    }
}

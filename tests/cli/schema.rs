//! The published JSON Schemas, and a validator for the part of JSON Schema that they use.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// The keywords that a schema may use; `description` and the like say nothing to check.
const KEYWORDS: &[&str] = &[
    "$schema",
    "$id",
    "$ref",
    "title",
    "description",
    "definitions",
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "additionalProperties",
    "anyOf",
    "oneOf",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/schemas")
}

fn read(what: &str) -> Value {
    let path = folder().join(format!("{what}.json"));
    let bytes = std::fs::read(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// What keeps `document` from being what a published schema says.
pub(crate) fn faults(what: &str, document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let schema = read(what);
    check(&schema, &schema, document, "", &mut faults);
    faults
}

/// Fails unless `document` is what the published schema of `prov.<what>` says.
#[track_caller]
pub(crate) fn assert_valid(what: &str, document: &Value) {
    let faults = faults(what, document);
    assert!(faults.is_empty(), "not a prov.{what}:\n{}\n{document:#}", faults.join("\n"));
}

fn check(root: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else {
        if schema == &Value::Bool(false) {
            faults.push(format!("{place}: nothing may stand here"));
        }
        return;
    };
    let mut fault = |what: String| faults.push(format!("{}: {what}", if place.is_empty() { "/" } else { place }));
    if let Some(wanted) = schema.get("type") {
        let wanted: Vec<&str> = match wanted {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        if !wanted.iter().any(|wanted| is_of_type(value, wanted)) {
            fault(format!("{value} is not {}", wanted.join(" or ")));
            return;
        }
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        fault(format!("{value} is none of {}", json!(allowed)));
    }
    if let Some(only) = schema.get("const")
        && only != value
    {
        fault(format!("{value} is not {only}"));
    }
    for (word, is_exact) in [("anyOf", false), ("oneOf", true)] {
        if let Some(options) = schema.get(word).and_then(Value::as_array) {
            let fitting = options.iter().filter(|option| is_valid(root, option, value)).count();
            if fitting == 0 || is_exact && fitting > 1 {
                fault(format!("{fitting} of {} forms fit {value}", options.len()));
            }
        }
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(target.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("no {target}"));
        check(root, target, value, place, faults);
    }
    if let Some(object) = value.as_object() {
        check_object(root, schema, object, place, faults);
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for (i, item) in list.iter().enumerate() {
            check(root, items, item, &format!("{place}/{i}"), faults);
        }
    }
}

fn check_object(
    root: &Value,
    schema: &Map<String, Value>,
    object: &Map<String, Value>,
    place: &str,
    faults: &mut Vec<String>,
) {
    for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(key) {
            faults.push(format!("{place}/{key}: missing"));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, value) in object {
        let place = format!("{place}/{key}");
        if let Some(schema) = properties.and_then(|properties| properties.get(key)) {
            check(root, schema, value, &place, faults);
        } else if let Some(schema) = schema.get("additionalProperties") {
            check(root, schema, value, &place, faults);
        }
    }
}

fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let mut faults = Vec::new();
    check(root, schema, value, "", &mut faults);
    faults.is_empty()
}

fn is_of_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

/// Walks through a schema and fails on a keyword that the validator does not know.
fn check_keywords(schema: &Value, place: &str) {
    let Some(schema) = schema.as_object() else { return };
    for (keyword, value) in schema {
        assert!(KEYWORDS.contains(&keyword.as_str()), "{place}: {keyword}");
        match (keyword.as_str(), value) {
            ("properties" | "definitions", Value::Object(below)) => {
                for (key, schema) in below {
                    check_keywords(schema, &format!("{place}/{key}"));
                }
            }
            ("anyOf" | "oneOf", Value::Array(below)) => {
                for schema in below {
                    check_keywords(schema, &format!("{place}/{keyword}"));
                }
            }
            ("items" | "additionalProperties", schema) => check_keywords(schema, &format!("{place}/{keyword}")),
            _ => {}
        }
    }
}

#[test]
fn every_document_kind_has_a_schema_that_names_it() {
    let mut kinds: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    kinds.sort();
    let expected = [
        "add",
        "bundle",
        "cat-object",
        "check",
        "clone",
        "commit",
        "compare",
        "config",
        "config-adapter-answer",
        "config-adapter-question",
        "config-plan",
        "diff",
        "doctor",
        "error",
        "event",
        "evict",
        "export",
        "facets",
        "fetch",
        "find",
        "fsck",
        "gc",
        "hide",
        "history",
        "hook",
        "hooks",
        "id",
        "impact",
        "import",
        "init",
        "lineage",
        "log",
        "logged",
        "ls-tree",
        "map",
        "map-row",
        "metrics",
        "note",
        "ops",
        "pack",
        "pipeline-check",
        "pipeline-graph",
        "pipeline-logs",
        "pipeline-plan",
        "pipeline-run",
        "pipeline-status",
        "plan",
        "preview",
        "prov.yaml",
        "push",
        "remote",
        "rerun",
        "restore",
        "retract",
        "rev-parse",
        "run",
        "scenario",
        "scenario-diff",
        "schema",
        "scrub",
        "show",
        "sql",
        "sql-tables",
        "start",
        "status",
        "summary",
        "sync",
        "tag",
        "undo",
        "verify",
        "verify-summary",
        "where",
        "why",
    ];
    assert_eq!(kinds, expected);
    for kind in kinds {
        let schema = read(&kind);
        check_keywords(&schema, &kind);
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        // What others write, and errors, have no name of prov's own in them.
        if kind != "error" && kind != "prov.yaml" && !kind.starts_with("config-adapter-") {
            assert_eq!(schema["properties"]["schema"]["const"], format!("prov.{kind}/1"));
            assert!(schema["required"].as_array().unwrap().contains(&json!("schema")), "{kind}");
        }
    }
}

#[test]
fn the_validator_finds_faults() {
    let schema = json!({
        "type": "object", "required": ["a"], "additionalProperties": {"type": "string"},
        "properties": {
            "a": {"$ref": "#/definitions/size"},
            "b": {"type": "array", "items": {"enum": ["x", "y"]}},
            "c": {"oneOf": [{"type": "null"}, {"type": "integer"}]}
        },
        "definitions": {"size": {"type": "integer"}}
    });
    let faults = |value: Value| {
        let mut faults = Vec::new();
        check(&schema, &schema, &value, "", &mut faults);
        faults
    };
    assert!(faults(json!({"a": 1, "b": ["x"], "c": null, "other": "text"})).is_empty());
    assert_eq!(faults(json!({})), ["/a: missing"]);
    assert_eq!(faults(json!([])), ["/: [] is not object"]);
    assert_eq!(
        faults(json!({"a": 1.5, "b": ["z"], "c": "no", "other": 1})),
        [
            "/a: 1.5 is not integer",
            "/b/0: \"z\" is none of [\"x\",\"y\"]",
            "/c: 0 of 2 forms fit \"no\"",
            "/other: 1 is not string"
        ]
    );
}

//! One test per row of the table in the module's documentation, and the places that errors name.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::codec;

fn yaml(text: &str) -> Result<Value, Error> {
    parse(Path::new("c.yaml"), Format::Yaml, text.as_bytes())
}

fn json(text: &str) -> Result<Value, Error> {
    parse(Path::new("c.json"), Format::Json, text.as_bytes())
}

fn toml(text: &str) -> Result<Value, Error> {
    parse(Path::new("c.toml"), Format::Toml, text.as_bytes())
}

/// The value of key `a` in all three formats, given the YAML, JSON and TOML spelling of it.
fn all(y: &str, j: &str, t: &str) -> [Result<Value, Error>; 3] {
    let a = |v: Result<Value, Error>| v.map(|v| v.get("a").cloned().unwrap());
    [a(yaml(&format!("a: {y}\n"))), a(json(&format!("{{\"a\": {j}}}"))), a(toml(&format!("a = {t}\n")))]
}

#[track_caller]
fn each(spellings: (&str, &str, &str), expected: &Value) {
    for (format, found) in ["yaml", "json", "toml"].iter().zip(all(spellings.0, spellings.1, spellings.2)) {
        assert_eq!(&found.unwrap(), expected, "{format}");
    }
}

#[track_caller]
fn refused(text: &str, problem: &str) {
    let err = yaml(text).unwrap_err();
    assert!(err.to_string().contains(problem), "{err}");
    assert!(err.to_string().starts_with("c.yaml:"), "{err}");
}

fn bytes(value: &Value) -> Vec<u8> {
    codec::encode(value).unwrap()
}

#[test]
fn integers_are_the_same_however_written() {
    each(("31", "31", "31"), &Value::Int(31));
    each(("0x1F", "31", "0x1f"), &Value::Int(31));
    each(("0o37", "31", "0o37"), &Value::Int(31));
    assert_eq!(toml("a = 0b1_1").unwrap(), json("{\"a\": 3}").unwrap());
    assert_eq!(toml("a = 1_000").unwrap(), json("{\"a\": 1000}").unwrap());
    each(("-9223372036854775808", "-9223372036854775808", "-9223372036854775808"), &Value::Int(i64::MIN.into()));
    each(("18446744073709551615", "18446744073709551615", "18446744073709551615"), &Value::Int(u64::MAX.into()));
}

#[test]
fn big_integers_are_refused_with_a_hint_to_quote() {
    for result in all("18446744073709551616", "18446744073709551616", "18446744073709551616").into_iter().chain(all(
        "-9223372036854775809",
        "-9223372036854775809",
        "-9223372036854775809",
    )) {
        let err = result.unwrap_err();
        assert!(err.to_string().contains("64 bits"), "{err}");
        assert!(err.hint().is_some_and(|h| h.contains("quote")), "{err}");
    }
}

#[test]
fn leading_zeros_are_decimal_in_yaml_and_refused_elsewhere() {
    assert_eq!(yaml("a: 007").unwrap().get("a"), Some(&Value::Int(7)));
    assert!(json("{\"a\": 007}").is_err());
    assert!(toml("a = 007").is_err());
}

#[test]
fn doubles_are_not_integers() {
    each(("1.0", "1.0", "1.0"), &Value::Float(1.0));
    each(("1e3", "1e3", "1e3"), &Value::Float(1000.0));
    assert_ne!(bytes(&yaml("a: 1").unwrap()), bytes(&yaml("a: 1.0").unwrap()));
}

#[test]
fn minus_zero_is_a_double_of_its_own() {
    each(("-0.0", "-0.0", "-0.0"), &Value::Float(-0.0));
    assert_ne!(bytes(&yaml("a: 0.0").unwrap()), bytes(&yaml("a: -0.0").unwrap()));
    each(("-0", "-0", "-0"), &Value::Int(0));
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for (y, j, t) in
        [(".nan", "1e999", "nan"), (".inf", "-1e999", "inf"), ("-.INF", "NaN", "-inf"), ("1e999", "Infinity", "1e999")]
    {
        for result in all(y, j, t) {
            assert!(result.is_err(), "{y} {j} {t}");
        }
    }
    assert_eq!(yaml("a: '.nan'").unwrap().get("a"), Some(&Value::Text(".nan".into())));
}

#[test]
fn only_true_and_false_are_booleans() {
    each(("true", "true", "true"), &Value::Bool(true));
    assert_eq!(yaml("a: FALSE").unwrap().get("a"), Some(&Value::Bool(false)));
    for word in ["no", "on", "yes", "off", "y", "NO", "tRue"] {
        assert_eq!(yaml(&format!("a: {word}")).unwrap().get("a"), Some(&Value::Text(word.into())));
    }
    assert_eq!(yaml("on: 1").unwrap(), json("{\"on\": 1}").unwrap());
}

#[test]
fn null_is_not_absent() {
    for text in ["a: null", "a: ~", "a:", "a: NULL"] {
        assert_eq!(yaml(text).unwrap(), json("{\"a\": null}").unwrap(), "{text}");
    }
    assert_ne!(yaml("a:").unwrap(), yaml("").unwrap());
}

#[test]
fn text_keeps_its_characters() {
    each(("\"x\\ty\"", "\"x\\ty\"", "\"x\\ty\""), &Value::Text("x\ty".into()));
    assert_eq!(yaml("a: |\n  x\n  y\n").unwrap(), json("{\"a\": \"x\\ny\\n\"}").unwrap());
    assert_ne!(yaml("a: \u{e9}").unwrap(), yaml("a: e\u{301}").unwrap());
    assert_eq!(json("{\"a\": \"\\ud83d\\ude00\"}").unwrap().get("a"), Some(&Value::Text("\u{1f600}".into())));
    assert!(json("{\"a\": \"\\ud83d\"}").is_err());
    assert_eq!(yaml("a: '1'").unwrap().get("a"), Some(&Value::Text("1".into())));
}

#[test]
fn dates_are_text() {
    for text in ["2026-01-01", "2026-01-01T10:00:00Z", "2026-01-01 10:00:00"] {
        assert_eq!(yaml(&format!("a: {text}")).unwrap().get("a"), Some(&Value::Text(text.into())));
    }
    for (written, normal) in [
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01 10:00:00z", "2026-01-01T10:00:00Z"),
        ("2026-01-01T10:00:00.500+01:00", "2026-01-01T10:00:00.5+01:00"),
        ("07:32:00", "07:32:00"),
        ("07:32", "07:32:00"),
        ("2026-01-01t10:00:00.000-00:00", "2026-01-01T10:00:00+00:00"),
    ] {
        assert_eq!(toml(&format!("a = {written}")).unwrap().get("a"), Some(&Value::Text(normal.into())));
    }
}

#[test]
fn integer_and_boolean_keys_are_text_and_never_collide_in_silence() {
    assert_eq!(yaml("2020: x\n0x10: y\ntrue: z").unwrap(), json(r#"{"2020": "x", "16": "y", "true": "z"}"#).unwrap());
    refused("1: a\n\"1\": b\n", "c.yaml:2:1: the key `1` stands twice");
    refused("16: a\n0x10: b\n", "stands twice");
}

#[test]
fn other_keys_are_refused() {
    refused("~: a", "a key can't be null");
    refused("1.5: a", "a key can't be a number with a fraction");
    refused("? [a]\n: b", "a key can't be a list");
    refused("? {a: b}\n: b", "a key can't be a map");
}

#[test]
fn repeated_keys_are_refused_in_every_format() {
    refused("a: 1\nb:\n  c: 1\n  c: 2\n", "c.yaml:4:3: the key `c` stands twice");
    let err = json("{\"a\": 1,\n \"a\": 2}").unwrap_err();
    assert!(err.to_string().starts_with("c.json:2:"), "{err}");
    assert!(err.to_string().contains("stands twice"), "{err}");
    let err = toml("a = 1\n\na = 2").unwrap_err();
    assert!(err.to_string().starts_with("c.toml:3:1"), "{err}");
}

#[test]
fn merge_keys_are_merged_and_own_keys_win() {
    let base = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\n";
    let merged = yaml(&format!("{base}got:\n  <<: [*b, *m]\n  x: 3\n")).unwrap();
    assert_eq!(bytes(merged.get("got").unwrap()), bytes(&json(r#"{"x": 3, "y": 1, "z": 2}"#).unwrap()));
    let before = yaml(&format!("{base}got:\n  x: 3\n  <<: *b\n")).unwrap();
    assert_eq!(bytes(before.get("got").unwrap()), bytes(&json(r#"{"x": 3, "y": 1}"#).unwrap()));
    assert_eq!(yaml("'<<': 1").unwrap(), json(r#"{"<<": 1}"#).unwrap());
    refused("<<: {a: 1}\n<<: {b: 1}\n", "stands twice");
    refused("<<: 1", "needs a map");
    refused("<<: {a: 1}\nb: 1\nb: 2\n", "the key `b` stands twice");
}

#[test]
fn aliases_are_expanded_within_a_budget() {
    assert_eq!(yaml("a: &x [1]\nb: *x").unwrap(), json(r#"{"a": [1], "b": [1]}"#).unwrap());
    assert!(yaml("a: *nope").is_err());
    refused("a: &x [*x]", "alias");
    let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..40 {
        let before = format!("*a{}", i - 1);
        let _ = writeln!(bomb, "a{i}: &a{i} [{}]", vec![before; 10].join(", "));
    }
    let start = Instant::now();
    refused(&bomb, "larger than");
    assert!(start.elapsed().as_secs() < 20, "a bomb is refused fast");
    let mut deep = "a0: &a0 x\n".to_owned();
    for i in 1..60 {
        let _ = writeln!(deep, "a{i}: &a{i} [*a{}]", i - 1);
    }
    refused(&deep, "nested deeper");
}

#[test]
fn core_tags_are_applied_and_others_refused() {
    let value = yaml("a: !!str 1\nb: !!float 1\nc: !!int '7'\nd: ! 1\ne: !!map {}\nf: !!seq []").unwrap();
    assert_eq!(bytes(&value), bytes(&json(r#"{"a":"1","b":1.0,"c":7,"d":"1","e":{},"f":[]}"#).unwrap()));
    for bad in
        ["!!int x", "!!bool no", "!include x", "!!python/object:a.b {}", "!!binary aGk=", "!!set {a}", "!!map []"]
    {
        assert!(yaml(&format!("a: {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn order_counts_in_lists_only() {
    assert_eq!(bytes(&yaml("a: 1\nb: 2").unwrap()), bytes(&yaml("b: 2\na: 1").unwrap()));
    assert_ne!(bytes(&yaml("a: [1, 2]").unwrap()), bytes(&yaml("a: [2, 1]").unwrap()));
}

#[test]
fn an_empty_file_is_an_empty_map() {
    for text in ["", "\n", "# nothing\n", "---\n", "---\n...\n", "\u{feff}"] {
        assert_eq!(yaml(text).unwrap(), Value::Map(vec![]), "{text:?}");
    }
    assert_eq!(json(" \n").unwrap(), Value::Map(vec![]));
    assert_eq!(toml("# x\n").unwrap(), Value::Map(vec![]));
}

#[test]
fn a_top_level_that_is_no_map_is_refused() {
    refused("- a", "top level");
    refused("just text", "top level");
    assert!(json("[1]").is_err());
    assert!(json("{} {}").is_err());
}

#[test]
fn one_document_of_yaml_1_2() {
    refused("a: 1\n---\nb: 2\n", "c.yaml:2:");
    refused("%YAML 1.1\n---\na: no\n", "not YAML 1.2");
    assert!(yaml("%YAML 1.2\n---\na: no\n").is_ok());
}

#[test]
fn byte_order_marks_and_line_ends_do_not_count() {
    let lf = "a: |\n  x\n  y\nb: 1\n";
    assert_eq!(yaml(&format!("\u{feff}{lf}")).unwrap(), yaml(lf).unwrap());
    assert_eq!(yaml(&lf.replace('\n', "\r\n")).unwrap(), yaml(lf).unwrap());
    let lf = "a = '''\nx\ny'''\n";
    assert_eq!(toml(&lf.replace('\n', "\r\n")).unwrap(), toml(lf).unwrap());
    assert_eq!(json("\u{feff}{\"a\":\r\n1}").unwrap(), json("{\"a\": 1}").unwrap());
    assert_eq!(json(r#"{"a": "\r\n"}"#).unwrap().get("a"), Some(&Value::Text("\r\n".into())));
}

#[test]
fn other_encodings_are_refused() {
    for bytes in [&b"\xff\xfea\0:\0"[..], b"a: 1\nb: \xff\n"] {
        assert!(parse(Path::new("c.yaml"), Format::Yaml, bytes).is_err());
    }
    let err = parse(Path::new("c.yaml"), Format::Yaml, b"a: 1\nb: \xff\n").unwrap_err();
    assert!(err.to_string().starts_with("c.yaml:2:4"), "{err}");
}

#[test]
fn tabs_stay_in_text_and_are_no_indentation() {
    assert_eq!(yaml("a: \"x\ty\"").unwrap().get("a"), Some(&Value::Text("x\ty".into())));
    assert!(yaml("a:\n\tb: 1\n").is_err());
}

#[test]
fn limits_hold_in_every_format() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(200), close.repeat(200));
    assert!(json(&format!("{{\"a\": {}}}", deep("[", "]"))).is_err());
    assert!(yaml(&format!("a: {}", deep("[", "]"))).is_err());
    assert!(toml(&format!("a = {}", deep("[", "]"))).is_err());
    let fits = |n: usize| format!("{{\"a\": {}1{}}}", "[".repeat(n), "]".repeat(n));
    assert!(json(&fits(MAX_DEPTH - 1)).is_ok());
    assert!(json(&fits(MAX_DEPTH + 1)).is_err());
    let many = format!("{{\"a\": [{}1]}}", "1,".repeat(MAX_VALUES));
    assert!(json(&many).is_err());
    assert!(parse(Path::new("c.json"), Format::Json, &vec![b' '; MAX_FILE + 1]).is_err());
}

#[test]
fn a_key_named_like_the_json_readers_own_is_an_ordinary_key() {
    let text = r#"{"$serde_json::private::Number": "12", "b": 1}"#;
    let value = json(text).unwrap();
    assert_eq!(value.get("$serde_json::private::Number"), Some(&Value::Text("12".into())));
    let escaped = r#"{"$serde_json::private::Number": "1\u0032"}"#;
    assert!(matches!(json(escaped).unwrap(), Value::Map(_)));
}

#[test]
fn errors_name_the_place() {
    let err = yaml("a: 1\nb: [1, 2\nc: 3\n").unwrap_err().to_string();
    assert!(err.starts_with("c.yaml:"), "{err}");
    let err = json("{\"a\": 1,\n  \"b\": }\n").unwrap_err().to_string();
    assert!(err.starts_with("c.json:2:"), "{err}");
    let err = toml("a = 1\nb = = 2\n").unwrap_err().to_string();
    assert!(err.starts_with("c.toml:2:"), "{err}");
}

#[test]
fn formats_are_told_by_the_extension() {
    assert_eq!(Format::of(Path::new("a.YML")), Some(Format::Yaml));
    assert_eq!(Format::of(Path::new("a.b.json")), Some(Format::Json));
    assert_eq!(Format::of(Path::new("toml")), None);
    assert!(read(&Fs::real(), Path::new("x.cfg")).unwrap_err().hint().is_some());
}

#[test]
fn files_and_single_values_are_layered() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = dir.path().join(name);
        Fs::real().replace(&path, text.as_bytes(), false).unwrap();
        path
    };
    let files = [path("a.yaml", "m: {x: 1, y: 1}\nl: [1, 2]\n"), path("b.toml", "l = [3]\n[m]\ny = 2\n")];
    let config = resolve(&Fs::real(), &files, &[Override::parse("m.z=3").unwrap()]).unwrap();
    assert_eq!(bytes(&config), bytes(&json(r#"{"m": {"x": 1, "y": 2, "z": 3}, "l": [3]}"#).unwrap()));
    assert!(matches!(read(&Fs::real(), &dir.path().join("none.yaml")), Err(Error::Io { .. })));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\\n\\t]{0,80}") {
        let _ = (yaml(&text), json(&text), toml(&text));
    }

    #[test]
    fn yaml_reads_json_as_json_does(n in proptest::prelude::any::<i64>(), s in "[a-z0-9 ]{0,10}") {
        let text = format!("{{\"n\": {n}, \"s\": \"{s}\", \"l\": [true, null, 1.5]}}");
        proptest::prop_assert_eq!(yaml(&text).unwrap(), json(&text).unwrap());
    }
}

#[test]
fn the_design_page_has_the_same_table() {
    let rows = |text: &str, prefix: &str| -> Vec<String> {
        text.lines().filter_map(|l| l.strip_prefix(prefix)).filter(|l| l.starts_with('|')).map(str::to_owned).collect()
    };
    let here = rows(include_str!("mod.rs"), "//! ");
    assert!(here.len() > 20);
    assert_eq!(rows(include_str!("../../docs/design/0002-config-canonical-form.md"), ""), here);
}

//! A configuration as JSON: what a command finds in the file that `PROV_CONFIG` names.

use std::fmt::Write;

use crate::codec::Value;

/// JSON of a value on one line, keys in the order of their bytes, so that equal values give equal text.
///
/// A double always shows a fraction or an exponent and reads back as the same double. Bytes, which no
/// configuration holds, become text of hexadecimal digits.
pub fn to_json(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => {
            let _ = write!(out, "{n}");
        }
        // `{:?}` is the shortest form that reads back, and marks a whole double by `.0`.
        Value::Float(x) => {
            let _ = write!(out, "{x:?}");
        }
        Value::Text(text) => quoted(text, out),
        Value::Bytes(bytes) => quoted(&crate::hash::hex(bytes), out),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            out.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                quoted(key, out);
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::codec;
    use crate::config::{Format, parse};

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (i128::from(i64::MIN)..=i128::from(u64::MAX)).prop_map(Value::Int),
            any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::Float),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|m| Value::Map(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_text_reads_back_as_the_same_configuration(value in value()) {
            let config = Value::Map(vec![("k".to_owned(), value)]);
            let text = to_json(&config);
            let back = parse(Path::new("c.json"), Format::Json, text.as_bytes()).unwrap();
            prop_assert_eq!(codec::encode(&back).unwrap(), codec::encode(&config).unwrap());
        }
    }
}

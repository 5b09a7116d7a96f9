//! Layers of configuration: several files and single values, the later one winning.

use std::collections::HashMap;

use super::error::Error;
use super::scalar;
use crate::codec::Value;

/// Lays `over` on `base`: maps are merged key by key, anything else is replaced.
pub fn merge(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Map(mut entries), Value::Map(upper)) => {
            let places: HashMap<String, usize> =
                entries.iter().enumerate().map(|(at, (k, _))| (k.clone(), at)).collect();
            for (key, value) in upper {
                if let Some(&at) = places.get(&key) {
                    let lower = std::mem::replace(&mut entries[at].1, Value::Null);
                    entries[at].1 = merge(lower, value);
                } else {
                    entries.push((key, value));
                }
            }
            Value::Map(entries)
        }
        (_, over) => over,
    }
}

/// A value as it is typed: a YAML 1.2 scalar, blanks around it taken away.
pub(super) fn single(text: &str) -> Result<Value, scalar::Refused> {
    let text = text.trim_matches([' ', '\t']);
    match text.chars().next() {
        Some('"' | '\'') => match super::yaml::parse(text) {
            Ok(Some(text @ Value::Text(_))) => Ok(text),
            Ok(_) | Err(_) => Err(("its quotes don't match".to_owned(), "put the whole value into quotes")),
        },
        Some('[' | '{') => Err((
            "a list or map can't be given like this".to_owned(),
            "put it into a file for --config, or quote it to keep it as text",
        )),
        _ => scalar::plain(text),
    }
}

/// One value given beside the files: `-S KEY.SUB=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The keys from the top down; at least one.
    pub keys: Vec<String>,
    /// The value.
    pub value: Value,
    written: String,
}

impl Override {
    /// Reads `KEY.SUB=VALUE`. In KEY, `\.` is a dot, `\=` an equals sign and `\\` a backslash that belong to the
    /// name. VALUE is a YAML 1.2 scalar: blanks around it don't count; in quotes it is text; else it is a number,
    /// boolean or null if it looks like one by the core schema; everything else is text, as it is.
    ///
    /// # Errors
    /// When there is no `=`, a key is empty, or the value is a list, a map or no finite 64-bit number.
    pub fn parse(written: &str) -> Result<Self, Error> {
        let refuse = |problem: String, hint: &str| Error::Given {
            origin: format!("-S {}", scalar::cut(written)),
            problem,
            hint: Some(hint.to_owned()),
        };
        let (mut keys, mut key, mut value) = (Vec::new(), String::new(), None);
        let mut chars = written.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '=' => {
                    value = Some(&written[at + 1..]);
                    break;
                }
                '.' => keys.push(std::mem::take(&mut key)),
                '\\' => match chars.next() {
                    Some((_, c @ ('.' | '=' | '\\'))) => key.push(c),
                    _ => {
                        return Err(refuse(
                            "a backslash in a key stands before `.`, `=` or another backslash".to_owned(),
                            "write `\\\\` for a backslash in a name",
                        ));
                    }
                },
                c => key.push(c),
            }
        }
        keys.push(key);
        let Some(value) = value else {
            return Err(refuse("there is no `=`".to_owned(), "write KEY=VALUE"));
        };
        if keys.iter().any(String::is_empty) {
            return Err(refuse("a key is empty".to_owned(), "write KEY.SUB=VALUE, with `\\.` for a dot in a name"));
        }
        if keys.len() > super::MAX_DEPTH {
            return Err(refuse(format!("nested deeper than {} levels", super::MAX_DEPTH), "use fewer dots"));
        }
        let value = single(value).map_err(|(problem, hint)| refuse(problem, hint))?;
        Ok(Self { keys, value, written: written.to_owned() })
    }

    /// Lays this value on `config`. Missing maps on the way are made.
    ///
    /// # Errors
    /// When a key on the way leads to something that is neither a map nor null.
    pub fn apply(&self, config: &mut Value) -> Result<(), Error> {
        let mut at = config;
        for (depth, key) in self.keys.iter().enumerate() {
            if matches!(at, Value::Null) {
                *at = Value::Map(Vec::new());
            }
            let Value::Map(entries) = at else {
                return Err(Error::Given {
                    origin: format!("-S {}", scalar::cut(&self.written)),
                    problem: format!("`{}` is not a map in the configuration", self.keys[..depth].join(".")),
                    hint: Some("set the whole of it in a file given with --config".to_owned()),
                });
            };
            let index = entries.iter().position(|(k, _)| k == key).unwrap_or_else(|| {
                entries.push((key.clone(), Value::Null));
                entries.len() - 1
            });
            at = &mut entries[index].1;
        }
        *at = self.value.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(entries: &[(&str, Value)]) -> Value {
        Value::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
    }

    #[test]
    fn later_layers_win_and_maps_are_merged() {
        let base =
            map(&[("a", Value::Int(1)), ("m", map(&[("x", Value::Int(1)), ("y", Value::List(vec![Value::Null]))]))]);
        let over = map(&[("m", map(&[("y", Value::List(vec![])), ("z", Value::Null)])), ("b", Value::Bool(true))]);
        assert_eq!(
            merge(base, over),
            map(&[
                ("a", Value::Int(1)),
                ("m", map(&[("x", Value::Int(1)), ("y", Value::List(vec![])), ("z", Value::Null)])),
                ("b", Value::Bool(true)),
            ])
        );
        assert_eq!(merge(map(&[("a", Value::Int(1))]), map(&[("a", Value::Null)])), map(&[("a", Value::Null)]));
    }

    #[test]
    fn single_values_are_yaml_scalars() {
        let value = |text: &str| Override::parse(text).map(|o| o.value);
        assert_eq!(value("a=0.7").unwrap(), Value::Float(0.7));
        assert_eq!(value("a= 7 ").unwrap(), Value::Int(7));
        assert_eq!(value("a=no").unwrap(), Value::Text("no".into()));
        assert_eq!(value("a=").unwrap(), Value::Null);
        assert_eq!(value("a=''").unwrap(), Value::Text(String::new()));
        assert_eq!(value("a=\"1\\n\"").unwrap(), Value::Text("1\n".into()));
        assert_eq!(value("a=x=y #z: *").unwrap(), Value::Text("x=y #z: *".into()));
        for bad in ["a", "=1", "a..b=1", ".a=1", "a=[1]", "a={}", "a=.nan", "a='x", "a='x' y", "a\\b=1"] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dots_descend_and_can_be_escaped() {
        let mut config = map(&[("a", Value::Null)]);
        Override::parse("a.b=1").unwrap().apply(&mut config).unwrap();
        Override::parse(r"x\.y\=\\z=2").unwrap().apply(&mut config).unwrap();
        assert_eq!(config, map(&[("a", map(&[("b", Value::Int(1))])), (r"x.y=\z", Value::Int(2))]));
        let mut config = map(&[("l", Value::List(vec![Value::Int(1)]))]);
        assert!(Override::parse("l.0=1").unwrap().apply(&mut config).is_err(), "a list has no keys");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,40}") {
            let _ = Override::parse(&text);
        }

        #[test]
        fn merging_is_idempotent(keys in proptest::collection::btree_map("[a-c]", 0i128..5, 0..4)) {
            let value = Value::Map(keys.into_iter().map(|(k, v)| (k, Value::Int(v))).collect());
            prop_assert_eq!(merge(value.clone(), value.clone()), value);
        }
    }
}

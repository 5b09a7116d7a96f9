//! JSON, with what serde_json's own value loses: repeated keys, big integers, the kind of a number.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::MAX_DEPTH;
use super::error::Problem;
use super::scalar::{self, cut};
use crate::codec::Value;

/// The key under which serde_json hands a number as text to visitors when it fits no 64-bit integer.
const NUMBER: &str = "$serde_json::private::Number";

/// The value of a JSON text; `None` if it is blank.
pub(super) fn parse(text: &str) -> Result<Option<Value>, Problem> {
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Seed { depth: 0 }.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map(Some).map_err(|err| {
        let whole = err.to_string();
        let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message);
        let (message, hint) = match message.split_once(HINT) {
            Some((message, hint)) => (message, Some(hint)),
            None => (message, None),
        };
        Problem {
            line: err.line(),
            column: err.column().max(1),
            text: message.to_owned(),
            hint: hint.map(str::to_owned),
        }
    })
}

/// Parts message and hint inside an error that has to travel as one text.
const HINT: &str = "\u{1}hint\u{1}";

fn refuse<E: serde::de::Error>((problem, hint): scalar::Refused) -> E {
    E::custom(format!("{problem}{HINT}{hint}"))
}

#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Int(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Int(v.into()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Seed { depth: self.depth + 1 })? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == NUMBER && entries.is_empty() {
                // Either a number or a user's own key of that name; only numbers come as an owned text.
                match map.next_value_seed(NumberSeed { depth: self.depth })? {
                    Number::Number(value) => return Ok(value),
                    Number::Other(value) => {
                        seen.insert(key.clone());
                        entries.push((key, value));
                        continue;
                    }
                }
            }
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key `{}` stands twice in one map", cut(&key))));
            }
            entries.push((key, map.next_value_seed(Seed { depth: self.depth + 1 })?));
        }
        Ok(Value::Map(entries))
    }
}

enum Number {
    Number(Value),
    Other(Value),
}

struct NumberSeed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NumberSeed {
    type Value = Number;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Number, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NumberSeed {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Number, E> {
        number(&text).map(Number::Number).map_err(refuse)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
        Ok(Number::Other(Value::Text(text.to_owned())))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Number, E> {
        Ok(Number::Other(Value::Int(v.into())))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Number, E> {
        Ok(Number::Other(Value::Int(v.into())))
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number::Other(Value::Null))
    }

    fn visit_bool<E>(self, v: bool) -> Result<Number, E> {
        Ok(Number::Other(Value::Bool(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Number, A::Error> {
        Seed { depth: self.depth + 1 }.visit_seq(seq).map(Number::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Number, A::Error> {
        Seed { depth: self.depth + 1 }.visit_map(map).map(Number::Other)
    }
}

/// An integer if it is written without fraction and exponent, else a double.
fn number(text: &str) -> Result<Value, scalar::Refused> {
    if text.contains(['.', 'e', 'E']) {
        return scalar::float(text).map(Value::Float);
    }
    scalar::in_range(text.trim_start_matches('-'), 10, text.starts_with('-'), text).map(Value::Int)
}

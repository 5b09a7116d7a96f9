//! Values that know where they were written, for files whose errors are told key by key.

use serde::{Deserialize, Serialize};

use super::error::Problem;
use crate::codec::Value;

/// A line and a character in it, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// Which rules say what a plain word of YAML means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// YAML 1.2's core schema, strict: a key twice is a problem.
    Core,
    /// YAML 1.1 as Python's `safe_load` has it: `yes` is a boolean, `1_000` and `010` are integers, and of a key that stands twice the last one counts.
    Python,
}

/// A value of a YAML file with its place. An alias has the place of what it stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub data: Data,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Data {
    /// Null, a boolean, a number or text.
    Scalar {
        /// The value.
        value: Value,
        /// How many characters stand between the node's place and the text, if every character of the text is one in the file.
        lead: Option<usize>,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys with their values; no key twice.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The key as text.
    pub key: String,
    /// Where the key stands.
    pub at: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Text at a place, for values that come from elsewhere than a file.
    pub fn text(at: Place, text: impl Into<String>) -> Self {
        Self::scalar(at, Value::Text(text.into()))
    }

    /// A scalar at a place.
    pub fn scalar(at: Place, value: Value) -> Self {
        Self { at, data: Data::Scalar { value, lead: None } }
    }

    /// A value at a place, all of it.
    pub fn of_value(at: Place, value: Value) -> Self {
        let data = match value {
            Value::List(items) => Data::List(items.into_iter().map(|item| Self::of_value(at, item)).collect()),
            Value::Map(entries) => {
                let entry = |(key, value)| Entry { key, at, value: Self::of_value(at, value) };
                Data::Map(entries.into_iter().map(entry).collect())
            }
            value => Data::Scalar { value, lead: None },
        };
        Self { at, data }
    }

    /// The text if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { value: Value::Text(text), .. } => Some(text),
            _ => None,
        }
    }

    /// The value if it is neither list nor map.
    pub fn as_scalar(&self) -> Option<&Value> {
        match &self.data {
            Data::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The items if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries if it is a map.
    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under `key` if it is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.as_scalar() == Some(&Value::Null)
    }

    /// What it is, for messages: `text`, `an integer`, `a list`.
    pub fn what(&self) -> &'static str {
        match &self.data {
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
            Data::Scalar { value, .. } => match value {
                Value::Null => "nothing",
                Value::Bool(_) => "true or false",
                Value::Int(_) => "an integer",
                Value::Float(_) => "a number",
                _ => "text",
            },
        }
    }

    /// The place of the character at byte `offset` of its text; where the node begins if that can't be told.
    pub fn place_in(&self, offset: usize) -> Place {
        match &self.data {
            Data::Scalar { value: Value::Text(text), lead: Some(lead) } => {
                let before = text.get(..offset).map_or(0, |before| before.chars().count());
                Place { line: self.at.line, column: self.at.column + lead + before }
            }
            _ => self.at,
        }
    }

    /// The value without places.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar { value, .. } => value.clone(),
            Data::List(items) => Value::List(items.iter().map(Node::to_value).collect()),
            Data::Map(entries) => {
                Value::Map(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect())
            }
        }
    }
}

/// Something that is wrong or doubtful at a place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub at: Place,
    /// What.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl From<Problem> for Remark {
    fn from(problem: Problem) -> Self {
        Self { at: Place { line: problem.line, column: problem.column }, text: problem.text, hint: problem.hint }
    }
}

/// What a text with places holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The document; `None` if there is none, or it can't be read.
    pub root: Option<Node>,
    /// What breaks a rule, in the order of the text as far as it could be read.
    pub problems: Vec<Remark>,
    /// What is read in spite of a doubt.
    pub doubts: Vec<Remark>,
}

//! Putting values in place of names: the scratchpad, and what `${key}` becomes.
//!
//! Keys are flat: `a.b` is one key, nothing is looked up inside of a map. In an Otter config the rules are Otter's to the letter, values
//! are written as Python writes them, and keys under `task_type` and `scratchpad_ignore_missing` are left alone. In a native file only
//! `${key}` is a placeholder, and lists and maps are written as JSON. Keys of maps are never replaced.
//!
//! Otter replaces in several passes, and each takes `$$` for `$`; so does this, so that every text that works there comes out equal. In a
//! native file escapes are kept until the last pass.

mod python;
mod scan;

use std::collections::{BTreeMap, BTreeSet};

pub use scan::Syntax;
use scan::{Part, parts};

use crate::codec::Value;
use crate::config;
use crate::config::located::{Data, Entry, Node, Place, Remark};

/// Keys below which an Otter config is left as it is.
const UNTOUCHED: [&str; 2] = ["task_type", "scratchpad_ignore_missing"];

/// Values that tasks share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scratchpad(BTreeMap<String, Value>);

impl Scratchpad {
    /// Sets a value, whatever was there.
    pub fn set(&mut self, key: impl Into<String>, value: Value) {
        self.0.insert(key.into(), value);
    }

    /// Takes over the values of another one that are not here yet: what is here wins.
    pub fn merge(&mut self, other: &Scratchpad) {
        for (key, value) in &other.0 {
            if !self.0.contains_key(key) {
                self.0.insert(key.clone(), value.clone());
            }
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The keys with their values, as a map.
    pub fn to_value(&self) -> Value {
        Value::Map(self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What becomes of a placeholder that nothing is known for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is a fault.
    Refuse,
    /// It stays, for a later pass.
    Leave,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is known for a key.
    Unknown {
        /// Where the placeholder stands.
        at: Place,
        /// The key.
        key: String,
        /// A key that could have been meant.
        meant: Option<String>,
    },
    /// A `$` that begins no placeholder.
    Malformed {
        /// Where it stands.
        at: Place,
        /// The text it stands in.
        text: String,
        /// By whose rules.
        syntax: Syntax,
    },
}

impl Fault {
    /// The fault in words.
    pub fn remark(&self) -> Remark {
        match self {
            Fault::Unknown { at, key, meant } => Remark {
                at: *at,
                text: format!("nothing is known for `${{{key}}}`"),
                hint: Some(match meant {
                    Some(meant) => format!("did you mean `${{{meant}}}`?"),
                    None => "set it in `scratchpad`, or let a task that this one requires provide it".to_owned(),
                }),
            },
            Fault::Malformed { at, text, syntax } => Remark {
                at: *at,
                text: format!("a `$` in `{text}` begins no placeholder"),
                hint: Some(match syntax {
                    Syntax::Otter => "write `$$` for a `$`; keys have two characters or more".to_owned(),
                    Syntax::Native => "write `${key}`, or `$${` for a `${`".to_owned(),
                }),
            },
        }
    }
}

/// A value as Python shows it where code is meant: text in quotes.
pub fn representation(value: &Value) -> String {
    python::representation(value)
}

/// The text with the placeholders replaced.
///
/// # Errors
/// The first fault, by the rules of strict mode. There is none with [`Missing::Leave`].
pub fn substitute(text: &str, values: &Scratchpad, syntax: Syntax, missing: Missing) -> Result<String, Fault> {
    let mut faults = Vec::new();
    let out = replaced(&Node::text(Place::default(), text), text, values, syntax, missing, &mut faults);
    match faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(out),
    }
}

/// The node with the placeholders in all its texts replaced. With faults, those texts are left as they are.
pub fn resolve(node: &Node, values: &Scratchpad, syntax: Syntax, missing: Missing, faults: &mut Vec<Fault>) -> Node {
    let data = match &node.data {
        Data::Scalar { value: Value::Text(text), lead } => {
            if !text.contains('$') {
                return node.clone();
            }
            let out = replaced(node, text, values, syntax, missing, faults);
            // The places within the text hold as long as nothing in it has moved.
            let lead = lead.filter(|_| out == *text);
            Data::Scalar { value: Value::Text(out), lead }
        }
        Data::Scalar { .. } => return node.clone(),
        Data::List(items) => {
            Data::List(items.iter().map(|item| resolve(item, values, syntax, missing, faults)).collect())
        }
        Data::Map(entries) => {
            let entry = |entry: &Entry| {
                let is_untouched = syntax == Syntax::Otter && UNTOUCHED.contains(&entry.key.as_str());
                let value = if is_untouched {
                    entry.value.clone()
                } else {
                    resolve(&entry.value, values, syntax, missing, faults)
                };
                Entry { key: entry.key.clone(), at: entry.at, value }
            };
            Data::Map(entries.iter().map(entry).collect())
        }
    };
    Node { at: node.at, data }
}

/// The keys that texts of the node name, by the rules of `syntax`.
pub fn keys(node: &Node, syntax: Syntax) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    collect(node, syntax, &mut keys);
    keys
}

fn collect(node: &Node, syntax: Syntax, keys: &mut BTreeSet<String>) {
    match &node.data {
        Data::Scalar { value: Value::Text(text), .. } if text.contains('$') => {
            for part in parts(text, syntax) {
                if let Part::Key { key, .. } = part
                    && !keys.contains(key)
                {
                    keys.insert(key.to_owned());
                }
            }
        }
        Data::Scalar { .. } => {}
        Data::List(items) => {
            for item in items {
                collect(item, syntax, keys);
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                if syntax == Syntax::Native || !UNTOUCHED.contains(&entry.key.as_str()) {
                    collect(&entry.value, syntax, keys);
                }
            }
        }
    }
}

fn replaced(
    node: &Node,
    text: &str,
    values: &Scratchpad,
    syntax: Syntax,
    missing: Missing,
    faults: &mut Vec<Fault>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let before = faults.len();
    for part in parts(text, syntax) {
        match (part, missing) {
            (Part::Plain(plain), _) => out.push_str(plain),
            (Part::Escaped { written, .. }, Missing::Leave) if syntax == Syntax::Native => out.push_str(written),
            (Part::Escaped { means, .. }, _) => out.push_str(means),
            (Part::Key { at, written, key }, _) => match (values.get(key), missing) {
                (Some(value), _) => out.push_str(&in_words(value, syntax)),
                (None, Missing::Leave) => out.push_str(written),
                (None, Missing::Refuse) => {
                    let known: Vec<&str> = values.keys().collect();
                    let meant = config::nearest(key, &known).map(ToOwned::to_owned);
                    faults.push(Fault::Unknown { at: node.place_in(at), key: key.to_owned(), meant });
                }
            },
            (Part::Malformed { written, .. }, Missing::Leave) => out.push_str(written),
            (Part::Malformed { at, .. }, Missing::Refuse) => {
                faults.push(Fault::Malformed { at: node.place_in(at), text: text.to_owned(), syntax });
            }
        }
    }
    if faults.len() > before { text.to_owned() } else { out }
}

fn in_words(value: &Value, syntax: Syntax) -> String {
    match (value, syntax) {
        (Value::Text(text), _) => text.clone(),
        (value, Syntax::Otter) => python::text(value),
        (Value::Null, Syntax::Native) => String::new(),
        (value, Syntax::Native) => config::to_json(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pad() -> Scratchpad {
        let mut pad = Scratchpad::default();
        pad.set("version", Value::Int(7));
        pad.set("a.b", Value::Text("dot".to_owned()));
        pad.set("list", Value::List(vec![Value::Text("x".to_owned()), Value::Int(1)]));
        pad.set("a", Value::Text("one".to_owned()));
        pad
    }

    fn otter(text: &str, missing: Missing) -> Result<String, Fault> {
        substitute(text, &pad(), Syntax::Otter, missing)
    }

    #[test]
    fn strict_mode_refuses_what_is_missing_or_malformed() {
        assert_eq!(otter("v${version}/$version", Missing::Refuse).unwrap(), "v7/7");
        assert_eq!(otter("${a.b}-${list}", Missing::Refuse).unwrap(), "dot-['x', 1]");
        assert_eq!(otter("$$version", Missing::Refuse).unwrap(), "$version");
        for text in ["${none}", "${a}", "100$", "${a-b}", "$version of file"] {
            assert!(otter(text, Missing::Refuse).is_err(), "{text}");
        }
    }

    #[test]
    fn lenient_mode_leaves_it_but_takes_escapes() {
        for (text, expected) in [
            ("${none} ${version}", "${none} 7"),
            ("100$", "100$"),
            ("$$${a-b}", "$${a-b}"),
            ("$$$$", "$$"),
            ("$version of file", "$version of file"),
        ] {
            assert_eq!(otter(text, Missing::Leave).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn native_keeps_escapes_for_the_last_pass() {
        let native = |text: &str, missing| substitute(text, &pad(), Syntax::Native, missing).unwrap();
        assert_eq!(native("${a} $HOME $${a} ${list}", Missing::Refuse), "one $HOME ${a} [\"x\", 1]");
        let once = native("$${a} ${late}", Missing::Leave);
        assert_eq!(once, "$${a} ${late}");
    }

    #[test]
    fn what_was_there_first_wins_a_merge() {
        let mut pad = pad();
        let mut other = Scratchpad::default();
        other.set("version", Value::Int(8));
        other.set("late", Value::Int(9));
        pad.merge(&other);
        assert_eq!((pad.get("version"), pad.get("late")), (Some(&Value::Int(7)), Some(&Value::Int(9))));
    }

    #[test]
    fn faults_name_the_character() {
        let text = "steps:\n  - name: \"copy ${versoin}\"\n";
        let located = config::locate("x.yaml".as_ref(), config::located::Dialect::Core, text.as_bytes()).unwrap();
        let mut faults = Vec::new();
        resolve(&located.root.unwrap(), &pad(), Syntax::Native, Missing::Refuse, &mut faults);
        let remark = faults[0].remark();
        assert_eq!((remark.at.line, remark.at.column), (2, 17));
        assert_eq!(remark.hint.unwrap(), "did you mean `${version}`?");
    }

    #[test]
    fn keys_of_maps_and_two_names_are_left_alone() {
        let text = "a: {\"${version}\": \"${version}\", task_type: \"${version}\"}\n";
        let located = config::locate("x.yaml".as_ref(), config::located::Dialect::Python, text.as_bytes()).unwrap();
        let mut faults = Vec::new();
        let node = resolve(&located.root.unwrap(), &pad(), Syntax::Otter, Missing::Refuse, &mut faults);
        let map = node.get("a").unwrap();
        assert_eq!(map.get("${version}").unwrap().as_text(), Some("7"));
        assert_eq!(map.get("task_type").unwrap().as_text(), Some("${version}"));
    }
}

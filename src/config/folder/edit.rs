//! Changing single values of a configuration file: `FILE:key.list[2].sub=value`, and the file written again in its own format.

use super::super::error::Error;
use super::super::{Format, catalogue, ini, json, layer, scalar, toml, yaml};
use super::node::Node;
use crate::codec::Value;

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list, counted from 0.
    Index(usize),
}

/// One value of one file: `FILE:key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOverride {
    /// The file, as the folder names it.
    pub file: String,
    /// The way to the value; at least one step.
    pub path: Vec<Step>,
    /// The value: a single one.
    pub value: Value,
    written: String,
}

impl FileOverride {
    /// Reads `FILE:key.list[2].sub=value`. In the key `\.`, `\[`, `\=` and `\\` are characters of a name, in FILE `\:` and `\\`. The value is
    /// that of [`super::super::Override::parse`].
    ///
    /// # Errors
    /// When a part is missing, or the value is no scalar.
    pub fn parse(written: &str) -> Result<Self, Error> {
        let refuse = |problem: &str, hint: &str| Error::Given {
            origin: format!("--override {}", scalar::cut(written)),
            problem: problem.to_owned(),
            hint: Some(hint.to_owned()),
        };
        let form = "write FILE:key.sub=value, or FILE:list[0]=value";
        let (file, rest) = word(written, &[':']);
        let rest = rest.strip_prefix(':').filter(|_| !file.is_empty());
        let mut rest = rest.ok_or_else(|| refuse("there is no `FILE:` before the key", form))?;
        let mut path = Vec::new();
        loop {
            let (name, after) = word(rest, &['.', '=', '[']);
            if name.is_empty() {
                return Err(refuse("a key is empty", form));
            }
            path.push(Step::Key(name));
            rest = after;
            while let Some(inside) = rest.strip_prefix('[') {
                let index = inside.split_once(']').and_then(|(digits, after)| Some((digits.parse().ok()?, after)));
                let (index, after) = index.ok_or_else(|| refuse("an index is a number in brackets", form))?;
                path.push(Step::Index(index));
                rest = after;
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None => break,
            }
        }
        let value = rest.strip_prefix('=').ok_or_else(|| refuse("there is no `=` after the key", form))?;
        let value = layer::single(value).map_err(|(problem, hint)| refuse(&problem, hint))?;
        let file = file.trim_start_matches("./").to_owned();
        Ok(Self { file, path, value, written: written.to_owned() })
    }

    /// An error about it.
    pub(super) fn refuse(&self, problem: impl Into<String>, hint: Option<String>) -> Error {
        Error::Given { origin: format!("--override {}", scalar::cut(&self.written)), problem: problem.into(), hint }
    }

    /// Changes the value in a file's text.
    ///
    /// # Errors
    /// When the file has no such value, the format no such kind of value, or the file can't be read.
    pub(super) fn apply(&self, format: Format, text: &str) -> Result<String, Error> {
        let file = std::path::Path::new(&self.file);
        let before = super::super::parse(file, format, text.as_bytes())?;
        let mut wanted = before.clone();
        *self.find(&mut wanted)? = self.value.clone();
        let refuse = |problem: &str| self.refuse(problem, None);
        let edited = match format {
            Format::Json => pretty(&wanted),
            Format::Yaml => {
                let mut root = Node::parse(text).map_err(|problem| problem.into_error(file))?;
                let at = self.path.iter().try_fold(&mut root, |at, step| match (step, at) {
                    (Step::Key(name), at) => at.own(name),
                    (Step::Index(index), Node::List(items)) => items.get_mut(*index),
                    (Step::Index(_), _) => None,
                });
                *at.ok_or_else(|| refuse("the value can't be found in the file's text"))? = Node::of(&self.value);
                root.to_text()
            }
            Format::Toml => {
                let span =
                    toml::span(text, &self.path).ok_or_else(|| refuse("the value can't be found in the text"))?;
                let new = match &self.value {
                    Value::Null => return Err(refuse("TOML has no null")),
                    value => crate::config::to_json(value),
                };
                format!("{}{new}{}", &text[..span.start], &text[span.end..])
            }
            Format::Ini => {
                let (section, key) = match self.path.as_slice() {
                    [Step::Key(key)] => (None, key),
                    [Step::Key(section), Step::Key(key)] => (Some(section.as_str()), key),
                    _ => return Err(refuse("INI has sections and keys, nothing deeper")),
                };
                let new = match &self.value {
                    Value::Text(text) if text.trim() == text && !text.contains(['\n', '\r']) => text.clone(),
                    Value::Text(_) => return Err(refuse("INI has no text with line breaks, or blanks at its ends")),
                    Value::Null => return Err(refuse("INI has no null")),
                    value => crate::config::to_json(value),
                };
                let lines = ini::lines(text).map_err(|problem| problem.into_error(file))?;
                let line = lines.into_iter().find(|line| line.section == section && line.key == key);
                let span = line.ok_or_else(|| refuse("the value can't be found in the text"))?.value;
                let blank = if text[..span.start].ends_with(['=', ':']) { " " } else { "" };
                // What INI has is text.
                *self.find(&mut wanted)? = Value::Text(new.clone());
                format!("{}{blank}{new}{}", &text[..span.start], &text[span.end..])
            }
        };
        let mut after = super::super::parse(file, format, edited.as_bytes())?;
        after.sort();
        wanted.sort();
        if after == wanted { Ok(edited) } else { Err(refuse("the file can't be written again with this value")) }
    }

    /// The value in what the file says.
    fn find<'v>(&self, root: &'v mut Value) -> Result<&'v mut Value, Error> {
        let mut at = root;
        for (depth, step) in self.path.iter().enumerate() {
            let place =
                || if depth == 0 { format!("`{}`", self.file) } else { format!("`{}`", show(&self.path[..depth])) };
            at = match (step, at) {
                (Step::Key(name), Value::Map(entries)) => {
                    let names: Vec<String> = entries.iter().map(|(key, _)| key.clone()).collect();
                    match entries.iter_mut().find(|(key, _)| key == name) {
                        Some((_, value)) => value,
                        None => {
                            let names: Vec<&str> = names.iter().map(String::as_str).collect();
                            return Err(
                                self.refuse(format!("{} has no key `{name}`", place()), suggestion(name, &names))
                            );
                        }
                    }
                }
                (Step::Index(index), Value::List(items)) => {
                    let count = items.len();
                    items.get_mut(*index).ok_or_else(|| {
                        self.refuse(format!("{} has no item {index}", place()), Some(format!("it has {count}, from 0")))
                    })?
                }
                (Step::Key(_), _) => return Err(self.refuse(format!("{} has no keys", place()), None)),
                (Step::Index(_), _) => return Err(self.refuse(format!("{} is no list", place()), None)),
            };
        }
        if matches!(at, Value::Map(_) | Value::List(_)) {
            let problem = format!("`{}` is a map or a list", show(&self.path));
            return Err(self.refuse(problem, Some("name a single value in it".to_owned())));
        }
        Ok(at)
    }
}

/// `did you mean`, or the names there are.
pub(super) fn suggestion(typed: &str, names: &[&str]) -> Option<String> {
    if let Some(name) = catalogue::nearest(typed, names) {
        return Some(format!("did you mean `{name}`?"));
    }
    let some: Vec<&str> = names.iter().take(12).copied().collect();
    (!some.is_empty()).then(|| format!("there is {}", some.join(", ")))
}

/// A way to a value, as it is typed.
pub fn show(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(name) => {
                if !out.is_empty() {
                    out.push('.');
                }
                for c in name.chars() {
                    if matches!(c, '.' | '[' | '=' | '\\') {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

/// The characters up to one of `ends`, a backslash taking the next one as it is; and the rest.
fn word<'a>(text: &'a str, ends: &[char]) -> (String, &'a str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c if ends.contains(&c) => return (out, &text[at..]),
            c => out.push(c),
        }
    }
    (out, "")
}

/// JSON in lines, keys in the order they have.
pub(super) fn pretty(value: &Value) -> String {
    fn write(value: &Value, indent: usize, out: &mut String) {
        let pad = |out: &mut String, indent: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
        };
        match value {
            Value::List(items) if !items.is_empty() => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    pad(out, indent + 2);
                    write(item, indent + 2, out);
                }
                pad(out, indent);
                out.push(']');
            }
            Value::Map(entries) if !entries.is_empty() => {
                out.push('{');
                for (n, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    pad(out, indent + 2);
                    out.push_str(&crate::config::to_json(&Value::Text(key.clone())));
                    out.push_str(": ");
                    write(value, indent + 2, out);
                }
                pad(out, indent);
                out.push('}');
            }
            other => out.push_str(&crate::config::to_json(other)),
        }
    }
    let mut out = String::new();
    write(value, 0, &mut out);
    out.push('\n');
    out
}

/// The tree of a file of a format that can be merged with others.
pub(super) fn tree(file: &std::path::Path, format: Format, text: &str) -> Result<Node, Error> {
    match format {
        Format::Yaml => {
            yaml::parse(text).map_err(|problem| problem.into_error(file))?;
            Node::parse(text).map_err(|problem| problem.into_error(file))
        }
        _ => {
            let value = json::parse(text).map_err(|problem| problem.into_error(file))?;
            Ok(Node::of(&value.unwrap_or(Value::Map(Vec::new()))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(format: Format, text: &str, written: &str) -> Result<String, String> {
        let name = match format {
            Format::Yaml => "f.yaml",
            Format::Json => "f.json",
            Format::Toml => "f.toml",
            Format::Ini => "f.ini",
        };
        let one = FileOverride::parse(&format!("{name}:{written}")).unwrap();
        one.apply(format, text).map_err(|err| format!("{err}; {}", err.hint().unwrap_or_default()))
    }

    #[test]
    fn every_format_is_written_again_as_itself() {
        let yaml = "# why\nrates: {a: 0.5, when: 2026-01-01}\nlist: [1, {x: y}]\nb: &b {k: v}\nc: {<<: *b}\n";
        let edited = apply(Format::Yaml, yaml, "rates.a=0.7").unwrap();
        assert!(edited.starts_with("rates:\n  a: 0.7\n  when: 2026-01-01\n"), "{edited}");
        assert!(apply(Format::Yaml, yaml, "list[1].x=no").unwrap().contains("x: \"no\"\n"));
        assert!(apply(Format::Yaml, yaml, "c.k=w").unwrap().ends_with("    k: v\n  k: \"w\"\n"));
        let toml = "# why\nat = 2026-01-01\n[m]\nrate = 0.50 # note\n[[l]]\nx = 1\n[[l]]\nx = 'a'\n";
        assert_eq!(apply(Format::Toml, toml, "m.rate=1e3").unwrap(), toml.replace("0.50", "1000.0"));
        assert_eq!(apply(Format::Toml, toml, "l[1].x=b\"c").unwrap(), toml.replace("'a'", "\"b\\\"c\""));
        assert_eq!(apply(Format::Ini, "[m]\n; why\nrate =\n", "m.rate=2").unwrap(), "[m]\n; why\nrate = 2\n");
        assert_eq!(
            apply(Format::Json, "{\"b\": 1, \"a\": [true]}", "a[0]=null").unwrap(),
            "{\n  \"b\": 1,\n  \"a\": [\n    null\n  ]\n}\n"
        );
    }

    #[test]
    fn what_is_not_there_is_an_error_with_a_suggestion() {
        let yaml = "rates: {alpha: 1}\nlist: [1]\n'a.b': 2\n";
        let err = |written| apply(Format::Yaml, yaml, written).unwrap_err();
        assert!(err("rates.alhpa=2").ends_with("`rates` has no key `alhpa`; did you mean `alpha`?"));
        assert!(err("rates=2").contains("is a map"));
        assert!(err("list[1]=2").contains("no item 1"));
        assert!(err("list.x=2").contains("has no keys"));
        assert!(apply(Format::Yaml, yaml, "a\\.b=3").unwrap().contains("3\n"));
        assert!(apply(Format::Toml, "a = 1", "a=null").is_err());
        assert!(apply(Format::Ini, "a = 1", "a=null").is_err());
        for bad in
            ["f.yaml", "f.yaml:", "f.yaml:a", "f.yaml:=1", ":a=1", "f.yaml:a[x]=1", "f.yaml:a=[1]", "f.yaml:a..b=1"]
        {
            assert!(FileOverride::parse(bad).is_err(), "{bad}");
        }
    }
}

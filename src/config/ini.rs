//! INI: sections of `KEY = VALUE` lines. There is no standard; what readers disagree about is refused.
//!
//! Every value is text, as it stands after the first `=` or `:`, blanks around it taken away. Nothing in it has a meaning: no quotes, no
//! comments after it, no escapes, no interpolation. A line that begins with `;` or `#` is a comment. Lines that go on with a blank at the
//! beginning, keys without a value, and names that differ in nothing but their case from another are refused.

use std::collections::HashSet;
use std::ops::Range;

use super::error::Problem;
use super::scalar::cut;
use crate::codec::Value;

/// One `KEY = VALUE` line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The section it stands in; `None` above the first.
    pub(super) section: Option<&'a str>,
    /// The key.
    pub(super) key: &'a str,
    /// Where the value stands in the text.
    pub(super) value: Range<usize>,
}

/// The value of an INI text: keys above the first section, and a map for every section.
pub(super) fn parse(text: &str) -> Result<Value, Problem> {
    let (sections, lines) = read(text)?;
    let mut entries: Vec<(String, Value)> = Vec::new();
    let mut below: Vec<(&str, Vec<(String, Value)>)> = sections.into_iter().map(|name| (name, Vec::new())).collect();
    for line in lines {
        let value = Value::Text(text[line.value].to_owned());
        let entry = (line.key.to_owned(), value);
        match line.section {
            None => entries.push(entry),
            Some(section) => {
                if let Some((_, inside)) = below.iter_mut().find(|(name, _)| *name == section) {
                    inside.push(entry);
                }
            }
        }
    }
    entries.extend(below.into_iter().map(|(name, inside)| (name.to_owned(), Value::Map(inside))));
    Ok(Value::Map(entries))
}

/// The lines of an INI text.
pub(super) fn lines(text: &str) -> Result<Vec<Line<'_>>, Problem> {
    read(text).map(|(_, lines)| lines)
}

fn read(text: &str) -> Result<(Vec<&str>, Vec<Line<'_>>), Problem> {
    let (mut sections, mut found): (Vec<&str>, Vec<Line<'_>>) = (Vec::new(), Vec::new());
    let mut seen: HashSet<(String, String)> = HashSet::new();
    let mut section = None;
    let mut start = 0;
    for (at, line) in text.split('\n').enumerate() {
        let from = start;
        start += line.len() + 1;
        let problem = |what: &str, hint: &str| Problem::new((at + 1, 1), what).hint(hint);
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let what =
                "a line begins with a blank: readers of INI disagree about whether it goes on with the one before";
            return Err(problem(what, "move it to the left, or write it into the line before"));
        }
        if let Some(rest) = trimmed.strip_prefix('[') {
            let Some(name) = rest.strip_suffix(']').map(str::trim).filter(|name| !name.is_empty()) else {
                return Err(problem("a section is not closed, or something stands after it", "write [NAME] alone"));
            };
            // Above the sections stand keys, beside which a section must be told as well.
            if !seen.insert((String::new(), name.to_lowercase())) {
                return Err(problem(&format!("the name `{}` stands twice", cut(name)), "keep one of them"));
            }
            sections.push(name);
            section = Some(name);
            continue;
        }
        let Some(sign) = line.find(['=', ':']) else {
            return Err(problem("a key has no value", "write KEY = VALUE; for an empty text KEY ="));
        };
        let key = line[..sign].trim();
        if key.is_empty() {
            return Err(problem("there is no key before the sign", "write KEY = VALUE"));
        }
        let scope = section.map_or(String::new(), |name: &str| format!("[{}]", name.to_lowercase()));
        if !seen.insert((scope, key.to_lowercase())) {
            return Err(problem(
                &format!("the key `{}` stands twice", cut(key)),
                "keep one of them; case does not count",
            ));
        }
        let after = &line[sign + 1..];
        let value = after.trim();
        let first = from + sign + 1 + (after.len() - after.trim_start().len());
        found.push(Line { section, key, value: first..first + value.len() });
    }
    Ok((sections, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_text_as_it_stands() {
        let text = "top = 1\n; remark\n[Model]\nrate: 0.5 ; no comment\npath = a=b\nempty =\n[x.y]\n[z]\nq = \"s\"\n";
        let json = crate::config::to_json(&parse(text).unwrap());
        let wanted = r#"{"Model": {"empty": "", "path": "a=b", "rate": "0.5 ; no comment"}, "top": "1", "x.y": {}, "z": {"q": "\"s\""}}"#;
        assert_eq!(json, wanted);
        let lines = lines(text).unwrap();
        assert_eq!(lines.iter().map(|line| &text[line.value.clone()]).collect::<Vec<_>>()[1], "0.5 ; no comment");
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for (text, line) in [
            ("a = 1\n  more\n", 2),
            ("a\n", 1),
            ("[a\n", 1),
            ("[a] x\n", 1),
            ("[]\n", 1),
            ("= 1\n", 1),
            ("a = 1\nA = 2\n", 2),
            ("[a]\n[A]\n", 2),
            ("a = 1\n[a]\n", 2),
        ] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text:?}");
        }
    }
}

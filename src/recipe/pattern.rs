//! Patterns that name the members of an output set, and read values from their names.
//!
//! A pattern is seen from the set's folder and matches whole paths, `/` between names. `*` is any number of characters of
//! one name, `?` is one, `[a-z]` and `[!a-z]` are one of these or none of these, `**` as a whole name is any number of folders,
//! `{a,b}` is one or the other, and `\` takes the meaning from the character after it. `{NAME}` and `{NAME:TYPE}` match a
//! part of one name and remember it: see [`Type`].

use std::collections::{BTreeMap, HashSet};

use bstr::{BStr, BString, ByteSlice};

use super::Error;
use crate::codec::Value;
use crate::path::shown;

/// Patterns that the alternatives of one may stand for at most.
const MAX_ALTERNATIVES: usize = 256;
/// Bytes of a pattern at most.
const MAX_PATTERN: usize = 4096;

/// Tries to make repeated captures agree, after which they are taken to disagree.
const MAX_TRIES: usize = 200_000;

/// What a capture matches, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `str`, also without a type: at least one character. A text.
    Text,
    /// `int`: digits, `-` may stand before them. A whole number.
    Int,
    /// `float`: a decimal number, with or without exponent. A number.
    Float,
    /// `word`: letters, digits and `_`. A text.
    Word,
    /// `date`: `2026-03-01`. A text.
    Date,
    /// `low|high`: one of these words. A text.
    OneOf(Vec<String>),
}

impl Type {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" => return None,
            "str" => Type::Text,
            "int" => Type::Int,
            "float" => Type::Float,
            "word" => Type::Word,
            "date" => Type::Date,
            words if words.contains('|') => {
                let words: Vec<String> = words.split('|').map(str::to_owned).collect();
                if words.iter().any(|word| word.is_empty() || word.contains('/')) {
                    return None;
                }
                Type::OneOf(words)
            }
            _ => return None,
        })
    }

    /// The value of a text of this type; `None` if it is none.
    fn value(&self, text: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let own = || Some(Value::Text(text.to_owned()));
        match self {
            Type::Text => own(),
            Type::Word => text.chars().all(|c| c.is_alphanumeric() || c == '_').then(own).flatten(),
            Type::Int => {
                // As many as the canonical form has room for.
                let is_whole = digits(text.strip_prefix('-').unwrap_or(text));
                is_whole.then(|| text.parse::<i64>().ok()).flatten().map(|n| Value::Int(n.into()))
            }
            Type::Float => {
                let is_number = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
                let number = is_number.then(|| text.parse::<f64>().ok()).flatten()?;
                number.is_finite().then_some(Value::Float(number))
            }
            Type::Date => {
                let parts: Vec<&str> = text.split('-').collect();
                let is_date = matches!(parts[..], [y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2)
                    && parts.iter().all(|part| digits(part))
                    && crate::clock::Micros::parse(text).is_some();
                is_date.then(own).flatten()
            }
            Type::OneOf(words) => words.iter().any(|word| word == text).then(own).flatten(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(u8),
    /// `?`.
    One,
    /// `*`.
    Many,
    /// `**/`: any number of whole folders.
    Folders,
    /// `**` at the end: everything below.
    Everything,
    /// `[...]`: ranges, and whether they are those that do not match.
    Class(Vec<(u8, u8)>, bool),
    Capture(usize),
}

/// One pattern of an output set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// What its alternatives stand for.
    forms: Vec<Vec<Token>>,
    /// Captures by name, in the order in which they stand.
    captures: Vec<(String, Type)>,
}

/// Two places of one name that should say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The capture.
    pub name: String,
    /// What the first place says.
    pub first: Value,
    /// What the other says.
    pub second: Value,
}

/// The values that a pattern reads from a path.
pub type Captured = Result<BTreeMap<String, Value>, Disagreement>;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |rule: String| Error::Members { pattern: shown(text.as_bytes()), rule };
        if text.is_empty() || text.len() > MAX_PATTERN || text.contains('\0') {
            return Err(refuse(format!("it is empty, longer than {MAX_PATTERN} bytes, or has a NUL")));
        }
        if text.starts_with('/') || text.ends_with('/') {
            return Err(refuse("it begins or ends with `/`: it names files, seen from the set's folder".to_owned()));
        }
        let mut captures = Vec::new();
        let mut forms = Vec::new();
        for form in alternatives(text).map_err(refuse)? {
            if form.split('/').any(|name| matches!(name, "" | "." | "..")) {
                return Err(refuse("a name in it is empty, `.` or `..`".to_owned()));
            }
            forms.push(tokens(&form, &mut captures).map_err(refuse)?);
        }
        Ok(Self { text: text.to_owned(), forms, captures })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The captures by name, each once, in order.
    pub fn captures(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.captures.iter().map(|(name, kind)| (name.as_str(), kind))
    }

    /// The values that it reads from the path of a file; `None` if it does not match. A path that matches in spite of a
    /// disagreement is told with it.
    pub fn matches(&self, path: &BStr) -> Option<Captured> {
        let mut disagreement = None;
        for form in &self.forms {
            // First such that repeated captures agree, then at all.
            let ways: &[bool] = if self.repeats(form) { &[true, false] } else { &[false] };
            for &agrees in ways {
                let mut matcher = Matcher::new(form, &self.captures, path, agrees);
                if matcher.run(0, 0) {
                    match unite(&self.captures, &matcher.found) {
                        Ok(values) => return Some(Ok(values)),
                        Err(found) => disagreement = disagreement.or(Some(found)),
                    }
                    break;
                }
            }
        }
        disagreement.map(Err)
    }

    fn repeats(&self, form: &[Token]) -> bool {
        (0..self.captures.len()).any(|at| form.iter().filter(|token| **token == Token::Capture(at)).count() > 1)
    }

    /// Whether something that it matches could lie in this folder, or below it.
    pub fn may_hold(&self, folder: &BStr) -> bool {
        if folder.is_empty() {
            return true;
        }
        let names: Vec<&[u8]> = folder.split_str("/").collect();
        self.forms.iter().any(|form| {
            let mut parts = form.split(|token| *token == Token::Literal(b'/'));
            for name in &names {
                let Some(part) = parts.next() else { return false };
                if part.iter().any(|token| matches!(token, Token::Folders | Token::Everything)) {
                    return true;
                }
                if !Matcher::new(part, &self.captures, name.as_bstr(), false).run(0, 0) {
                    return false;
                }
            }
            // The file's own name is still to come.
            parts.next().is_some()
        })
    }

    /// What every path that it matches begins with, one for each of its alternatives.
    pub fn prefixes(&self) -> impl Iterator<Item = BString> + '_ {
        self.forms.iter().map(|form| {
            form.iter()
                .map_while(|token| match token {
                    Token::Literal(byte) => Some(*byte),
                    _ => None,
                })
                .collect::<Vec<u8>>()
                .into()
        })
    }
}

/// One value for each capture.
fn unite(captures: &[(String, Type)], found: &[(usize, Value)]) -> Result<BTreeMap<String, Value>, Disagreement> {
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    for (at, value) in found {
        let Some((name, _)) = captures.get(*at) else { continue };
        match values.get(name) {
            Some(first) if first != value => {
                return Err(Disagreement { name: name.clone(), first: first.clone(), second: value.clone() });
            }
            Some(_) => {}
            None => drop(values.insert(name.clone(), value.clone())),
        }
    }
    Ok(values)
}

struct Matcher<'a> {
    tokens: &'a [Token],
    types: &'a [(String, Type)],
    path: &'a BStr,
    /// Places from where it is known not to match, as long as no capture stood before.
    failed: HashSet<(usize, usize)>,
    /// Whether repeated captures must say the same.
    agrees: bool,
    found: Vec<(usize, Value)>,
    /// What may still be tried.
    budget: usize,
}

impl<'a> Matcher<'a> {
    fn new(tokens: &'a [Token], types: &'a [(String, Type)], path: &'a BStr, agrees: bool) -> Self {
        Self { tokens, types, path, failed: HashSet::new(), agrees, found: Vec::new(), budget: MAX_TRIES }
    }

    /// Whether the tokens from `token` on match the path from `at` on, to its end.
    fn run(&mut self, token: usize, at: usize) -> bool {
        // What was captured before matters only where captures have to agree.
        let is_free = !self.agrees || self.found.is_empty();
        if self.budget == 0 || (is_free && self.failed.contains(&(token, at))) {
            return false;
        }
        if !is_free {
            self.budget -= 1;
        }
        let matched = self.step(token, at);
        if !matched && is_free {
            self.failed.insert((token, at));
        }
        matched
    }

    fn step(&mut self, token: usize, at: usize) -> bool {
        let tokens = self.tokens;
        let path = self.path;
        let rest = &path[at..];
        let name_end = at + rest.find_byte(b'/').unwrap_or(rest.len());
        let Some(now) = tokens.get(token) else { return rest.is_empty() };
        match now {
            Token::Literal(byte) => rest.first() == Some(byte) && self.run(token + 1, at + 1),
            Token::One => match rest.utf8_chunks().next() {
                Some(chunk) => {
                    let width = chunk.valid().chars().next().map_or(1, char::len_utf8);
                    rest[0] != b'/' && self.run(token + 1, at + width)
                }
                None => false,
            },
            Token::Class(ranges, is_not) => match rest.first() {
                Some(byte) if *byte != b'/' => {
                    ranges.iter().any(|(from, to)| (from..=to).contains(&byte)) != *is_not
                        && self.run(token + 1, at + 1)
                }
                _ => false,
            },
            Token::Many => (at..=name_end).any(|to| self.run(token + 1, to)),
            Token::Everything => !rest.is_empty(),
            Token::Folders => {
                let starts = std::iter::once(at).chain((at..path.len()).filter(|&i| path[i] == b'/').map(|i| i + 1));
                starts.into_iter().any(|to| self.run(token + 1, to))
            }
            Token::Capture(which) => {
                let Some((_, kind)) = self.types.get(*which) else { return false };
                // The longest that fits.
                (at + 1..=name_end).rev().any(|to| {
                    let Some(value) = kind.value(&path[at..to]) else { return false };
                    if self.agrees && self.found.iter().any(|(other, said)| other == which && *said != value) {
                        return false;
                    }
                    self.found.push((*which, value));
                    let matched = self.run(token + 1, to);
                    if !matched {
                        self.found.pop();
                    }
                    matched
                })
            }
        }
    }
}

/// Takes `{a,b}` apart; `{name}` and `{name:type}` stay.
fn alternatives(text: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut todo = vec![text.to_owned()];
    while let Some(form) = todo.pop() {
        if done.len() + todo.len() > MAX_ALTERNATIVES {
            return Err(format!("its alternatives stand for more than {MAX_ALTERNATIVES} patterns"));
        }
        match first_group(&form)? {
            None => done.push(form),
            Some((open, close, parts)) => {
                for part in parts.iter().rev() {
                    todo.push(format!("{}{part}{}", &form[..open], &form[close + 1..]));
                }
            }
        }
    }
    Ok(done)
}

/// The first `{...}` with a comma at its own level: where it begins and ends, and its parts.
fn first_group(form: &str) -> Result<Option<(usize, usize, Vec<String>)>, String> {
    let bytes = form.as_bytes();
    let mut opened: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut found: Option<(usize, usize, Vec<usize>)> = None;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'{' => opened.push((i, Vec::new())),
            b',' => {
                if let Some((_, commas)) = opened.last_mut() {
                    commas.push(i);
                }
            }
            b'}' => match opened.pop() {
                None => return Err("a `}` has no `{` before it".to_owned()),
                Some((open, commas)) if !commas.is_empty() => {
                    if found.as_ref().is_none_or(|(first, ..)| open < *first) {
                        found = Some((open, i, commas));
                    }
                }
                Some(_) => {}
            },
            _ => {}
        }
        i += 1;
    }
    if !opened.is_empty() {
        return Err("a `{` has no `}` after it".to_owned());
    }
    Ok(found.map(|(open, close, commas)| {
        let mut parts = Vec::new();
        let mut from = open + 1;
        for comma in commas.into_iter().chain([close]) {
            parts.push(form[from..comma].to_owned());
            from = comma + 1;
        }
        (open, close, parts)
    }))
}

fn tokens(form: &str, captures: &mut Vec<(String, Type)>) -> Result<Vec<Token>, String> {
    let bytes = form.as_bytes();
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => {
                i += 1;
                tokens.push(Token::Literal(*bytes.get(i).ok_or("it ends with a `\\`")?));
            }
            b'?' => tokens.push(Token::One),
            b'*' if bytes.get(i + 1) == Some(&b'*') => {
                let is_name = (i == 0 || bytes[i - 1] == b'/') && matches!(bytes.get(i + 2), None | Some(b'/'));
                if !is_name {
                    return Err("`**` stands for whole folders: write it as a name of its own".to_owned());
                }
                tokens.push(if i + 2 == bytes.len() { Token::Everything } else { Token::Folders });
                i += 2;
            }
            b'*' => tokens.push(Token::Many),
            b'[' => {
                let close = bytes[i + 1..].find_byte(b']').ok_or("a `[` has no `]` after it")? + i + 1;
                tokens.push(class(&bytes[i + 1..close])?);
                i = close;
            }
            b'{' => {
                let close = bytes[i..].find_byte(b'}').ok_or("a `{` has no `}` after it")? + i;
                tokens.push(Token::Capture(capture(&form[i + 1..close], captures)?));
                i = close;
            }
            byte => tokens.push(Token::Literal(byte)),
        }
        i += 1;
    }
    Ok(tokens)
}

fn class(inner: &[u8]) -> Result<Token, String> {
    let (inner, is_not) = match inner.split_first() {
        Some((b'!' | b'^', rest)) => (rest, true),
        _ => (inner, false),
    };
    if inner.is_empty() || inner.contains(&b'/') || !inner.is_ascii() {
        return Err("what stands in `[...]` is empty, a `/`, or no ASCII".to_owned());
    }
    let mut ranges = Vec::new();
    let mut i = 0;
    while i < inner.len() {
        if i + 2 < inner.len() && inner[i + 1] == b'-' {
            ranges.push((inner[i], inner[i + 2]));
            i += 3;
        } else {
            ranges.push((inner[i], inner[i]));
            i += 1;
        }
    }
    Ok(Token::Class(ranges, is_not))
}

/// The number of the capture that `{inner}` is.
fn capture(inner: &str, captures: &mut Vec<(String, Type)>) -> Result<usize, String> {
    let (name, kind) = match inner.split_once(':') {
        None => (inner, None),
        Some((name, kind)) => (name, Some(kind)),
    };
    let mut chars = name.chars();
    let is_name = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("`{{{inner}}}` has no name of letters, digits and `_`; for a brace itself write `\\{{`"));
    }
    let known = captures.iter().position(|(other, _)| other == name);
    let kind = match kind {
        Some(text) => Some(Type::parse(text).ok_or_else(|| {
            format!("`{text}` is no type; there are str, int, float, word, date and words between `|`")
        })?),
        None => None,
    };
    match (known, kind) {
        (Some(at), None) => Ok(at),
        (Some(at), Some(kind)) if captures[at].1 == kind => Ok(at),
        (Some(_), Some(_)) => Err(format!("`{{{name}}}` has two types")),
        (None, kind) => {
            captures.push((name.to_owned(), kind.unwrap_or(Type::Text)));
            Ok(captures.len() - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn m(pattern: &str, path: &str) -> Option<Captured> {
        Pattern::parse(pattern).unwrap().matches(path.into())
    }

    fn is(pattern: &str, path: &str) -> bool {
        m(pattern, path).is_some()
    }

    #[test]
    fn globs_match_whole_paths() {
        for (pattern, path) in [
            ("*.csv", "a.csv"),
            ("**/*.csv", "a.csv"),
            ("**/*.csv", "x/y/a.csv"),
            ("**", "x/y"),
            ("x/**", "x/y/z"),
            ("a?c", "abc"),
            ("a?c", "aüc"),
            ("[a-c][!x].t", "by.t"),
            ("{a,b{1,2}}.t", "b2.t"),
            ("x*y*z", "x12y34z"),
            ("\\*", "*"),
            ("\\{a\\}", "{a}"),
            ("x/**/y", "x/y"),
            ("x/**/y", "x/1/2/y"),
        ] {
            assert!(is(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.csv", "x/a.csv"),
            ("*.csv", "a.csv.gz"),
            ("x/**", "x"),
            ("a?c", "a/c"),
            ("[!a]x", "/x"),
            ("x/*/y", "x/y"),
            ("*", "x/y"),
            ("**/y", "xy"),
        ] {
            assert!(!is(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn captures_are_values_of_their_type() {
        let values = |pattern, path| m(pattern, path).unwrap().unwrap();
        let got = values("{region}/annual_{year:int}.csv", "north/annual_2030.csv");
        assert_eq!(got["year"], Value::Int(2030));
        assert_eq!(got["region"], Value::Text("north".to_owned()));
        assert_eq!(values("{x:float}.t", "-1.5e3.t")["x"], Value::Float(-1500.0));
        assert_eq!(values("{s:low|high}_{d:date}", "low_2026-03-01")["d"], Value::Text("2026-03-01".to_owned()));
        for (pattern, path) in [
            ("annual_{year:int}.csv", "annual_final.csv"),
            ("annual_{year:int}.csv", "annual_.csv"),
            ("{s:low|high}", "mid"),
            ("{d:date}", "2026-13-01"),
            ("{w:word}.t", "a-b.t"),
            ("{x}", "a/b"),
        ] {
            assert!(!is(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_repeated_capture_agrees_or_it_is_told() {
        assert_eq!(m("{y:int}/a_{y:int}.csv", "2020/a_2020.csv").unwrap().unwrap()["y"], Value::Int(2020));
        let told = m("{y:int}/a_{y:int}.csv", "2020/a_2021.csv").unwrap().unwrap_err();
        assert_eq!((told.first, told.second), (Value::Int(2020), Value::Int(2021)));
        // The split that agrees is found.
        assert_eq!(m("{a}{a}", "xyxy").unwrap().unwrap()["a"], Value::Text("xy".to_owned()));
        assert_eq!(m("{a}_{a}", "p_q_p_q").unwrap().unwrap()["a"], Value::Text("p_q".to_owned()));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "./a",
            "a**",
            "{a",
            "a}",
            "[a",
            "[]",
            "{x:what}",
            "{1x}",
            "{y:int}{y:str}",
            "a\\",
            "{a,../b}",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        let many = "{a,b}".repeat(20);
        assert!(Pattern::parse(&many).is_err());
    }

    #[test]
    fn folders_that_can_not_hold_a_member_are_known() {
        let may = |pattern: &str, folder: &str| Pattern::parse(pattern).unwrap().may_hold(folder.into());
        assert!(may("*.csv", "") && !may("*.csv", "x"));
        assert!(may("x/*/a", "x") && may("x/*/a", "x/y") && !may("x/*/a", "x/y/z") && !may("x/*/a", "y"));
        assert!(may("x/**/a", "x/y/z") && !may("x/**/a", "y"));
        assert!(may("{y:int}/a", "2020") && !may("{y:int}/a", "src"));
        assert!(may("{a,b/c}/d", "b") && may("{a,b/c}/d", "a"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let path = "a".repeat(200);
        assert!(!is(&format!("{}b", "*a".repeat(30)), &path));
        assert!(!is(&"{x}-".repeat(12), &path));
    }

    #[test]
    fn prefixes_are_what_all_matches_begin_with() {
        let of = |pattern: &str| Pattern::parse(pattern).unwrap().prefixes().collect::<Vec<_>>();
        assert_eq!(of("job_1_*.csv"), ["job_1_"]);
        assert_eq!(of("{a,b}x?"), ["ax", "bx"]);
        assert_eq!(of("**/x"), [""]);
    }
}

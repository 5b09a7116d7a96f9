//! The words of a command: paths out for the recipe, paths in for execution.
//!
//! The rule, whole: let *value* be the word itself, or, if that is not declared and the word starts with `-`, what
//! follows its first `=`.
//!
//! 1. If the value, resolved lexically from the working folder, is the place of a declared input it becomes
//!    `{input.KEY}`; else if it is that of a declared output, `{output.KEY}`.
//! 2. Else, if the value is an absolute path at or below the project, it becomes the path that leads there from the
//!    working folder: `x`, `../x`, or `.`. (The working folder itself is a part of the recipe.)
//! 3. Nothing else changes, and nothing is done inside of other words. An empty value is never a path.
//!
//! A placeholder that a user types is the placeholder, so a normalised word can't be mistaken for a typed one: both
//! mean the declared path. One that names nothing declared is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bstr::{BStr, BString, ByteSlice};

use super::Error;
use super::declared::{Declared, Role, place_bytes};
use super::key::check_key;
use crate::codec::Value;
use crate::object::recipe::FileSet;
use crate::path::{Place, RelPath, bytes, shown};

/// The words of a command as the recipe has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// The words.
    pub argv: Vec<BString>,
    /// Output keys; with the path (relative to the project, or absolute) where no word names the output, so that the
    /// command must know it by heart.
    pub outputs: BTreeMap<String, Option<BString>>,
    /// Those of them that are only some files of their folder.
    pub sets: BTreeMap<String, FileSet>,
}

/// Takes the declared paths out of a command's words.
///
/// # Errors
/// A placeholder `{input.KEY}` or `{output.KEY}` of a key that is not declared.
pub fn normalise(words: &[BString], declared: &Declared) -> Result<Normalised, Error> {
    let mut argv = Vec::with_capacity(words.len());
    let mut named = BTreeSet::new();
    for word in words {
        let word = normal_word(word.as_ref(), declared);
        for_each_placeholder(&word, |placeholder, _| {
            if let Placeholder::Path(role, key) = placeholder {
                if !declared.places(role).contains_key(key) {
                    return Err(unknown(role, key, declared));
                }
                if role == Role::Output {
                    named.insert(key.to_owned());
                }
            }
            Ok(())
        })?;
        argv.push(word);
    }
    let outputs = declared
        .places(Role::Output)
        .iter()
        .map(|(key, place)| (key.clone(), (!named.contains(key)).then(|| place_bytes(place))))
        .collect();
    let sets = declared.sets().iter().map(|(key, set)| (key.clone(), set.files().clone())).collect();
    Ok(Normalised { argv, outputs, sets })
}

fn normal_word(word: &BStr, declared: &Declared) -> BString {
    let replace = |value: &BStr| -> Option<BString> {
        if value.is_empty() || value.contains(&0) {
            return None;
        }
        let place = declared.locate(value);
        if let Some((role, key)) = declared.find(&place) {
            return Some(format!("{{{role}.{key}}}").into());
        }
        match place {
            Place::Inside(inside) if value.starts_with(b"/") => Some(from_here(&inside, declared)),
            _ => None,
        }
    };
    if let Some(new) = replace(word) {
        return new;
    }
    if word.starts_with(b"-")
        && let Some((flag, value)) = word.split_once_str("=")
        && let Some(new) = replace(value.as_bstr())
    {
        let mut whole = BString::from(flag);
        whole.push(b'=');
        whole.extend_from_slice(&new);
        return whole;
    }
    word.to_owned()
}

/// The way from the working folder to a path of the project; from a working folder elsewhere, the path below the project.
pub fn from_here(path: &RelPath, declared: &Declared) -> BString {
    let cwd = declared.cwd_inside().unwrap_or_default();
    let (from, to): (Vec<&BStr>, Vec<&BStr>) = (cwd.components().collect(), path.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(BStr::new(".."), from.len() - shared);
    let way: Vec<&BStr> = up.chain(to[shared..].iter().copied()).collect();
    if way.is_empty() { ".".into() } else { bstr::join("/", way).into() }
}

/// What placeholders stand for when a command is executed.
#[derive(Debug, Clone, Copy)]
pub struct Expansion<'a> {
    /// The declared paths.
    pub declared: &'a Declared,
    /// The configuration as a file.
    pub config_file: Option<&'a Path>,
    /// The configuration, for `{set.KEY}`.
    pub config: &'a Value,
    /// For `{runtime.KEY}`.
    pub runtime: &'a BTreeMap<String, String>,
    /// For `{dim.KEY}`.
    pub dims: &'a BTreeMap<String, Value>,
}

/// Replaces `{input.KEY}`, `{output.KEY}`, `{config}`, `{set.KEY}`, `{dim.KEY}` and `{runtime.KEY}` anywhere in a command's words; other braces are
/// left alone, and so is `{config}` where there is no such file.
///
/// Inputs and outputs below the project become the way there from the working folder, others absolute paths. A whole word that is an input
/// which is a set of files becomes as many words, sorted.
///
/// # Errors
/// A set inside of a longer word; a placeholder of a key that is not declared, or of a configuration key that is absent or no single value.
pub fn expand(words: &[BString], expansion: &Expansion<'_>) -> Result<Vec<BString>, Error> {
    let mut expanded = Vec::with_capacity(words.len());
    for word in words {
        match set_of(word, expansion.declared) {
            Some(files) => expanded.extend(files.iter().map(|file| way_to(file, expansion.declared))),
            None => expanded.push(expand_word(word, expansion)?),
        }
    }
    Ok(expanded)
}

/// The files of the set that a whole word stands for.
fn set_of<'a>(word: &BString, declared: &'a Declared) -> Option<&'a [Place]> {
    let inner = word.strip_prefix(b"{")?.strip_suffix(b"}")?;
    match parse_placeholder(std::str::from_utf8(inner).ok()?)? {
        Placeholder::Path(Role::Input, key) => declared.files_of(key),
        _ => None,
    }
}

/// How a command is told of a place: the way there from the working folder, or an absolute path.
fn way_to(place: &Place, declared: &Declared) -> BString {
    match place {
        Place::Inside(inside) if declared.cwd_inside().is_some() => from_here(inside, declared),
        Place::Inside(inside) => bytes(&inside.below(declared.root())),
        Place::Outside(outside) => bytes(outside),
    }
}

fn expand_word(word: &BString, expansion: &Expansion<'_>) -> Result<BString, Error> {
    let mut out = BString::default();
    let mut done = 0;
    for_each_placeholder(word, |placeholder, range| {
        let text = match placeholder {
            Placeholder::Path(role, key) => {
                let place =
                    expansion.declared.places(role).get(key).ok_or_else(|| unknown(role, key, expansion.declared))?;
                if role == Role::Input && expansion.declared.files_of(key).is_some() {
                    return Err(Error::SetInWord { placeholder: format!("{{input.{key}}}") });
                }
                way_to(place, expansion.declared)
            }
            Placeholder::Config => match expansion.config_file {
                Some(file) => bytes(file),
                None => return Ok(()),
            },
            Placeholder::Set(key) => setting(key, expansion.config)?.into(),
            Placeholder::Runtime(key) => match expansion.runtime.get(key) {
                Some(text) => text.as_str().into(),
                None => return Err(unnamed("runtime", key, expansion.runtime.keys())),
            },
            Placeholder::Dim(key) => match expansion.dims.get(key).and_then(word_of) {
                Some(text) => text.into(),
                None => return Err(unnamed("dim", key, expansion.dims.keys())),
            },
        };
        out.extend_from_slice(&word[done..range.start]);
        out.extend_from_slice(&text);
        done = range.end;
        Ok(())
    })?;
    out.extend_from_slice(&word[done..]);
    Ok(out)
}

/// A value of the configuration as a word: text as it is, numbers and booleans as in JSON.
fn setting(key: &str, config: &Value) -> Result<String, Error> {
    let found = key.split('.').try_fold(config, |value, part| value.get(part));
    match found.and_then(word_of) {
        Some(text) => Ok(text),
        None => {
            let known = match config {
                Value::Map(entries) => entries.iter().map(|(k, _)| format!("{{set.{k}}}")).take(20).collect(),
                _ => Vec::new(),
            };
            Err(Error::Placeholder { placeholder: format!("{{set.{}}}", shown(key.as_bytes())), known })
        }
    }
}

/// A single value as a word; `None` for null, lists and maps.
fn word_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => Some(crate::config::to_json(value)),
        _ => None,
    }
}

fn unnamed<'a>(of: &str, key: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known = known.map(|key| format!("{{{of}.{key}}}")).take(20).collect();
    Error::Placeholder { placeholder: format!("{{{of}.{key}}}"), known }
}

fn unknown(role: Role, key: &str, declared: &Declared) -> Error {
    Error::Placeholder {
        placeholder: format!("{{{role}.{key}}}"),
        known: declared.places(role).keys().map(|k| format!("{{{role}.{k}}}")).collect(),
    }
}

enum Placeholder<'a> {
    Path(Role, &'a str),
    Config,
    Set(&'a str),
    Runtime(&'a str),
    Dim(&'a str),
}

/// Calls `visit` for every placeholder of a word, from left to right. What is put in is not looked at again.
fn for_each_placeholder(
    word: &BString,
    mut visit: impl FnMut(Placeholder<'_>, std::ops::Range<usize>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut at = 0;
    while let Some(open) = word[at..].find_byte(b'{').map(|n| at + n) {
        at = open + 1;
        let Some(close) = word[at..].find_byte(b'}').map(|n| at + n) else {
            return Ok(());
        };
        if let Some(placeholder) = std::str::from_utf8(&word[at..close]).ok().and_then(parse_placeholder) {
            visit(placeholder, open..close + 1)?;
            at = close + 1;
        }
    }
    Ok(())
}

fn parse_placeholder(inner: &str) -> Option<Placeholder<'_>> {
    let key = |prefix: &str| inner.strip_prefix(prefix);
    if inner == "config" {
        return Some(Placeholder::Config);
    }
    if let Some(key) = key("input.") {
        return check_key(key).is_ok().then_some(Placeholder::Path(Role::Input, key));
    }
    if let Some(key) = key("output.") {
        return check_key(key).is_ok().then_some(Placeholder::Path(Role::Output, key));
    }
    if let Some(key) = key("runtime.") {
        return check_key(key).is_ok().then_some(Placeholder::Runtime(key));
    }
    if let Some(key) = key("dim.") {
        return check_key(key).is_ok().then_some(Placeholder::Dim(key));
    }
    let key = key("set.")?;
    let is_name =
        !key.is_empty() && !key.chars().any(|c| c.is_whitespace() || c.is_control() || "{}\"'(),".contains(c));
    is_name.then_some(Placeholder::Set(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(list: &[&str]) -> Vec<BString> {
        list.iter().map(|w| BString::from(*w)).collect()
    }

    fn declared(cwd: &str, inputs: &[&str], outputs: &[&str]) -> Declared {
        let mut d = Declared::new(Path::new("/p"), Path::new(cwd));
        for path in inputs {
            d.add(Role::Input, None, (*path).into()).unwrap();
        }
        for path in outputs {
            d.add(Role::Output, None, (*path).into()).unwrap();
        }
        d
    }

    fn plain<'a>(declared: &'a Declared, config: &'a Value) -> Expansion<'a> {
        static NO_TEXTS: BTreeMap<String, String> = BTreeMap::new();
        static NO_VALUES: BTreeMap<String, Value> = BTreeMap::new();
        Expansion { declared, config_file: None, config, runtime: &NO_TEXTS, dims: &NO_VALUES }
    }

    #[track_caller]
    fn becomes(d: &Declared, from: &[&str], to: &[&str]) {
        assert_eq!(normalise(&words(from), d).unwrap().argv, words(to));
    }

    #[test]
    fn declared_paths_become_placeholders() {
        let d = declared("/p", &["data/raw.csv"], &["work/clean.csv"]);
        becomes(
            &d,
            &["python", "c.py", "./data//raw.csv", "--out=work/x/../clean.csv", "/p/data/raw.csv"],
            &["python", "c.py", "{input.raw}", "--out={output.clean}", "{input.raw}"],
        );
    }

    #[test]
    fn nothing_happens_inside_of_other_words() {
        let d = declared("/p", &["data/raw.csv"], &[]);
        for word in
            ["x=data/raw.csv", "cat data/raw.csv", "data/raw.csv,b", "--a=b=data/raw.csv", "-idata/raw.csv", "", "-x="]
        {
            becomes(&d, &[word], &[word]);
        }
    }

    #[test]
    fn an_input_wins_over_an_output() {
        let d = declared("/p", &["x.csv"], &["x.csv"]);
        becomes(&d, &["x.csv"], &["{input.x}"]);
        assert_eq!(normalise(&words(&["x.csv"]), &d).unwrap().outputs["x"], Some("x.csv".into()));
    }

    #[test]
    fn the_place_of_the_project_does_not_count() {
        let here = declared("/p/sub", &[], &[]);
        becomes(&here, &["/p/sub/a", "/p/b", "/p", "--x=/p/sub", "/q/a"], &["a", "../b", "..", "--x=.", "/q/a"]);
        let mut other = Declared::new(Path::new("/elsewhere/p"), Path::new("/elsewhere/p/sub"));
        other.add(Role::Input, None, "a.csv".into()).unwrap();
        becomes(&other, &["/elsewhere/p/sub/a.csv", "/elsewhere/p/b"], &["{input.a}", "../b"]);
    }

    #[test]
    fn paths_outside_of_the_project_can_be_declared() {
        let d = declared("/p", &["/data/big.bin", "../near.csv"], &[]);
        becomes(
            &d,
            &["/data/x/../big.bin", "../near.csv", "/near.csv"],
            &["{input.big}", "{input.near}", "{input.near}"],
        );
    }

    #[test]
    fn typed_placeholders_are_the_same_as_paths() {
        let d = declared("/p", &["raw.csv"], &["out.csv"]);
        let typed = normalise(&words(&["a", "{input.raw}", "--o={output.out}"]), &d).unwrap();
        assert_eq!(typed, normalise(&words(&["a", "raw.csv", "--o=out.csv"]), &d).unwrap());
        let err = normalise(&words(&["a", "{input.rwa}"]), &d).unwrap_err();
        assert_eq!(err.hint().as_deref(), Some("known are {input.raw}"));
    }

    #[test]
    fn outputs_that_no_word_names_keep_their_path() {
        let d = declared("/p/sub", &[], &["a.csv", "b.csv", "/tmp/c.csv", "d.csv"]);
        let n = normalise(&words(&["x", "a.csv", "{output.d}.tmp"]), &d).unwrap();
        assert_eq!(n.outputs["a"], None);
        assert_eq!(n.outputs["b"], Some("sub/b.csv".into()));
        assert_eq!(n.outputs["c"], Some("/tmp/c.csv".into()));
        assert_eq!(n.outputs["d"], None);
    }

    #[test]
    fn swapped_words_are_another_command() {
        let d = declared("/p", &["a.csv", "b.csv"], &[]);
        assert_ne!(
            normalise(&words(&["diff", "a.csv", "b.csv"]), &d).unwrap(),
            normalise(&words(&["diff", "b.csv", "a.csv"]), &d).unwrap()
        );
    }

    #[test]
    fn placeholders_are_expanded_and_other_braces_left_alone() {
        let d = declared("/p/sub", &["../raw.csv", "/data/x.bin"], &["out.csv"]);
        let config = Value::Map(vec![
            ("t".into(), Value::Float(1.0)),
            ("m".into(), Value::Map(vec![("s".into(), Value::Text("{input.raw}".into()))])),
        ]);
        let runtime = BTreeMap::from([("threads".to_owned(), "8".to_owned())]);
        let dims = BTreeMap::from([("year".to_owned(), Value::Int(2030))]);
        let expansion = Expansion {
            config_file: Some(Path::new("/run/config.json")),
            runtime: &runtime,
            dims: &dims,
            ..plain(&d, &config)
        };
        let from = [
            "{input.raw}",
            "{print $1}",
            "-c{config}",
            "x{output.out}y{{set.t}}",
            "{set.m.s}",
            "{input.x}",
            "{a}{input.}{",
            "{input.raw",
            "-j{runtime.threads}",
            "{dim.year}.csv",
        ];
        let to = [
            "../raw.csv",
            "{print $1}",
            "-c/run/config.json",
            "xout.csvy{1.0}",
            "{input.raw}",
            "/data/x.bin",
            "{a}{input.}{",
            "{input.raw",
            "-j8",
            "2030.csv",
        ];
        assert_eq!(expand(&words(&from), &expansion).unwrap(), words(&to));
        assert!(expand(&words(&["{set.none}"]), &expansion).is_err());
        assert!(expand(&words(&["{set.m}"]), &expansion).is_err());
        assert!(expand(&words(&["{runtime.thread}"]), &expansion).is_err());
        assert!(expand(&words(&["{dim.iteration}"]), &expansion).is_err());
    }

    #[test]
    fn words_need_not_be_text() {
        let mut d = Declared::new(Path::new("/p"), Path::new("/p"));
        d.add(Role::Input, None, b"\xff.csv".as_bstr()).unwrap();
        let n = normalise(&[BString::from(&b"./\xff.csv"[..]), BString::from(&b"\xfe{x}"[..])], &d).unwrap();
        assert_eq!(n.argv, [BString::from("{input._}"), BString::from(&b"\xfe{x}"[..])]);
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(list in proptest::collection::vec("[-a-c/.={}]{0,8}", 0..5)) {
            let d = declared("/p/a", &["b", "/p/c"], &["../a/a.c"]);
            let list: Vec<BString> = list.into_iter().map(BString::from).collect();
            if let Ok(once) = normalise(&list, &d) {
                prop_assert_eq!(&normalise(&once.argv, &d).unwrap().argv, &once.argv);
            }
        }

        #[test]
        fn expanding_what_was_normalised_leads_to_the_same_places(word in "(/p/)?[abc./]{1,8}") {
            let d = declared("/p/a", &["b", "/p/c"], &["../x"]);
            let config = Value::Null;
            let expansion = plain(&d, &config);
            let normal = normalise(&[word.clone().into()], &d).unwrap().argv;
            let back = expand(&normal, &expansion).unwrap();
            prop_assert_eq!(d.locate(&back[0]), d.locate(word.as_bytes()));
        }
    }
}

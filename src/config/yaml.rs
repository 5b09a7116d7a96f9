//! YAML 1.2 from its events: structure and quoting are the parser's, meaning is ours.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StrInput, Tag};

use super::error::Problem;
use super::located::{Data, Dialect, Entry, Located, Node, Place};
use super::python_scalar;
use super::scalar::{self, cut};
use super::{MAX_DEPTH, MAX_TEXT, MAX_VALUES};
use crate::codec::Value;

/// The value of a text that holds at most one document; `None` if it holds none.
pub(super) fn parse(text: &str) -> Result<Option<Value>, Problem> {
    let mut reader = Reader::new(text, Dialect::Core);
    let read = reader.document();
    match reader.problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(read?.map(|node| node.to_value())),
    }
}

/// As [`parse`], with places, and with everything that is wrong instead of the first thing.
pub(super) fn locate(text: &str, dialect: Dialect) -> Located {
    let mut reader = Reader::new(text, dialect);
    let root = match reader.document() {
        Ok(root) => root,
        Err(problem) => {
            reader.problems.push(problem);
            None
        }
    };
    Located {
        root,
        problems: reader.problems.into_iter().map(Into::into).collect(),
        doubts: reader.doubts.into_iter().map(Into::into).collect(),
    }
}

fn at(mark: Marker) -> (usize, usize) {
    (mark.line(), mark.col() + 1)
}

fn place(mark: Marker) -> Place {
    Place { line: mark.line(), column: mark.col() + 1 }
}

/// A node with what a copy of it costs.
#[derive(Clone)]
struct Costed {
    node: Node,
    values: usize,
    text: usize,
    depth: usize,
    /// A plain untagged `<<`: a merge when it stands as a key.
    is_merge: bool,
}

impl Costed {
    fn of(start: Marker, data: Data) -> Self {
        Self { node: Node { at: place(start), data }, values: 1, text: 0, depth: 0, is_merge: false }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    dialect: Dialect,
    /// By anchor number; a node whose end was not seen yet is not in here.
    anchors: HashMap<usize, Costed>,
    values: usize,
    text: usize,
    /// What is wrong and does not keep the rest from being read.
    problems: Vec<Problem>,
    doubts: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, dialect: Dialect) -> Self {
        let mut options = Options::default();
        options.emit_comments = false;
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            dialect,
            anchors: HashMap::new(),
            values: 0,
            text: 0,
            problems: Vec::new(),
            doubts: Vec::new(),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Problem> {
        let mut found = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(found),
                Event::DocumentStart(_, version) => {
                    if found.is_some() {
                        return Err(Problem::new(at(span.start), "a second document begins")
                            .hint("put it into a file of its own and give both with --config"));
                    }
                    if self.dialect == Dialect::Core && version.is_some_and(|v| (v.major, v.minor) != (1, 2)) {
                        return Err(Problem::new(at(span.start), "the file says that it is not YAML 1.2")
                            .hint("remove the %YAML line; in YAML 1.2 only `true` and `false` are booleans"));
                    }
                    let (event, span) = self.next()?;
                    found = Some(self.node(event, span, 0)?.node);
                }
                _ => return Err(Problem::new(at(span.start), "something stands outside of a document")),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Anchor(..), _))) => {}
                Some(Ok(next)) => return Ok(next),
                Some(Err(err)) => return Err(Problem::new(at(*err.marker()), err.info())),
                None => return Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
            }
        }
    }

    /// Takes the budget for values that are about to come into being.
    fn charge(&mut self, place: Marker, values: usize, text: usize) -> Result<(), Problem> {
        self.values = self.values.saturating_add(values);
        self.text = self.text.saturating_add(text);
        if self.values > MAX_VALUES || self.text > MAX_TEXT {
            return Err(Problem::new(
                at(place),
                format!("the configuration is larger than {MAX_VALUES} values or {MAX_TEXT} bytes of text"),
            )
            .hint("aliases count as what they stand for; give large data as an input (-i) instead"));
        }
        Ok(())
    }

    fn refuse(&mut self, start: Marker, refused: scalar::Refused) {
        self.problems.push(Problem::new(at(start), refused.0).hint(refused.1));
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Costed, Problem> {
        let start = span.start;
        if depth > MAX_DEPTH {
            return Err(Problem::new(at(start), format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.charge(start, 1, text.len())?;
                let is_merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                let value = match scalar_value(&text, style, tag.as_deref(), self.dialect) {
                    Ok(value) => value,
                    Err(refused) => {
                        self.refuse(start, refused);
                        Value::Null
                    }
                };
                let lead = lead_of(&text, style, span);
                let length = if let Value::Text(text) = &value { text.len() } else { 0 };
                let node = Costed::of(start, Data::Scalar { value, lead });
                (Costed { is_merge, text: length, ..node }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                if let Err(refused) = collection_tag(tag.as_deref(), "seq") {
                    self.refuse(start, refused);
                }
                (self.list(start, depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                if let Err(refused) = collection_tag(tag.as_deref(), "map") {
                    self.refuse(start, refused);
                }
                (self.map(start, depth)?, anchor)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(Problem::new(at(start), "an alias inside of what it stands for"));
                };
                let (values, text, deep) = (node.values, node.text, node.depth);
                if depth + deep > MAX_DEPTH {
                    return Err(Problem::new(at(start), format!("nested deeper than {MAX_DEPTH} levels")));
                }
                self.charge(start, values, text)?;
                let mut node = self.anchors[&id].clone();
                node.is_merge = false;
                return Ok(node);
            }
            _ => return Err(Problem::new(at(start), "a value is missing here")),
        };
        if anchor > 0 {
            // The copy that is kept costs as much as the node.
            self.charge(start, node.values, node.text)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: Marker, depth: usize) -> Result<Costed, Problem> {
        self.charge(start, 1, 0)?;
        let mut list = Costed::of(start, Data::List(Vec::new()));
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                list.node.data = Data::List(items);
                return Ok(list);
            }
            let item = self.node(event, span, depth + 1)?;
            list.values += item.values;
            list.text += item.text;
            list.depth = list.depth.max(item.depth + 1);
            items.push(item.node);
        }
    }

    fn map(&mut self, start: Marker, depth: usize) -> Result<Costed, Problem> {
        self.charge(start, 1, 0)?;
        let mut map = Costed::of(start, Data::Map(Vec::new()));
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = Keys::default();
        let mut merged: Option<Node> = None;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key_start = span.start;
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value_start = span.start;
            let value = self.node(event, span, depth + 1)?;
            map.values += value.values;
            map.text += value.text;
            map.depth = map.depth.max(value.depth + 1);
            if key.is_merge {
                if merged.is_some() {
                    let problem = Problem::new(at(key_start), "the merge key `<<` stands twice in one map");
                    self.problems.push(problem.hint("merge several maps with `<<: [*a, *b]`"));
                } else if is_map_or_maps(&value.node) {
                    merged = Some(value.node);
                } else {
                    let problem = Problem::new(at(value_start), "the merge key `<<` needs a map or a list of maps");
                    self.problems.push(problem.hint("quote it (`\"<<\"`) if it is an ordinary key"));
                }
                continue;
            }
            let key = match key_text(key.node) {
                Ok(key) => key,
                Err(what) => {
                    let problem = Problem::new(at(key_start), format!("a key can't be {what}"));
                    self.problems.push(problem.hint("quote it to make it text"));
                    continue;
                }
            };
            map.text += key.len();
            if let Some(before) = seen.find(&entries, &key) {
                let text = format!("the key `{}` stands twice in one map", cut(&key));
                if self.dialect == Dialect::Core {
                    let problem = Problem::new(at(key_start), text);
                    self.problems.push(problem.hint("`1` and `\"1\"` are the same key; keep one of them"));
                } else {
                    self.doubts.push(Problem::new(at(key_start), text).hint("the last one counts; keep one of them"));
                    entries[before] = Entry { key, at: place(key_start), value: value.node };
                }
                continue;
            }
            entries.push(Entry { key, at: place(key_start), value: value.node });
            seen.added(&entries);
        }
        let sources = match merged.map(|node| node.data) {
            Some(Data::List(maps)) => maps.into_iter().map(|map| map.data).collect(),
            Some(map) => vec![map],
            None => Vec::new(),
        };
        for source in sources {
            if let Data::Map(inherited) = source {
                for entry in inherited {
                    if seen.find(&entries, &entry.key).is_none() {
                        map.text += entry.key.len();
                        entries.push(entry);
                        seen.added(&entries);
                    }
                }
            }
        }
        map.node.data = Data::Map(entries);
        Ok(map)
    }
}

/// Entries of a map that are gone through to find a key. Most maps have fewer.
const FEW: usize = 12;

/// Where the keys of a map are, once they are many.
#[derive(Default)]
struct Keys(HashMap<String, usize>);

impl Keys {
    /// The place of a key among the entries.
    fn find(&self, entries: &[Entry], key: &str) -> Option<usize> {
        if entries.len() <= FEW { entries.iter().position(|entry| entry.key == key) } else { self.0.get(key).copied() }
    }

    /// One entry was added.
    fn added(&mut self, entries: &[Entry]) {
        if entries.len() > FEW {
            let first = self.0.len();
            self.0.extend(entries[first..].iter().enumerate().map(|(at, entry)| (entry.key.clone(), first + at)));
        }
    }
}

/// How far the text lies behind the start of its node, if the file has it character by character.
fn lead_of(text: &str, style: ScalarStyle, span: Span) -> Option<usize> {
    let quotes = match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
        _ => return None,
    };
    let is_as_written = span.start.line() == span.end.line()
        && span.end.col().checked_sub(span.start.col()) == Some(text.chars().count() + 2 * quotes);
    is_as_written.then_some(quotes)
}

fn is_map_or_maps(node: &Node) -> bool {
    match &node.data {
        Data::Map(_) => true,
        Data::List(items) => items.iter().all(|item| item.as_map().is_some()),
        Data::Scalar { .. } => false,
    }
}

/// The text that a plain word is as a key; `None` if it can't be one.
pub(super) fn plain_key(text: &str) -> Option<String> {
    scalar::plain(text).ok().and_then(|value| single_key(value).ok())
}

/// The text of a key: text as it is, integers in decimal, `true` and `false`; else what it is.
fn key_text(node: Node) -> Result<String, &'static str> {
    let value = match node.data {
        Data::Scalar { value, .. } => value,
        Data::List(_) => return Err("a list"),
        Data::Map(_) => return Err("a map"),
    };
    single_key(value)
}

fn single_key(value: Value) -> Result<String, &'static str> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Int(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(b.to_string()),
        Value::Null => Err("null"),
        Value::Float(_) => Err("a number with a fraction or exponent"),
        Value::List(_) => Err("a list"),
        Value::Map(_) | Value::Bytes(_) => Err("a map"),
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>, dialect: Dialect) -> Result<Value, scalar::Refused> {
    let Some(tag) = tag else {
        return match (style, dialect) {
            (ScalarStyle::Plain, Dialect::Core) => scalar::plain(text),
            (ScalarStyle::Plain, Dialect::Python) => python_scalar::plain(text),
            _ => Ok(Value::Text(text.to_owned())),
        };
    };
    let misfit = |what: &str| (format!("`{}` is not {what}", cut(text)), "correct the value or remove the tag");
    match tag.core_suffix() {
        Some("str") => Ok(Value::Text(text.to_owned())),
        Some("null") => match scalar::plain(text)? {
            Value::Null => Ok(Value::Null),
            _ => Err(misfit("null")),
        },
        Some("bool") => match scalar::plain(text)? {
            Value::Bool(b) => Ok(Value::Bool(b)),
            _ => Err(misfit("a boolean")),
        },
        Some("int") => scalar::integer(text).ok_or_else(|| misfit("an integer"))?.map(Value::Int),
        Some("float") => {
            if scalar::is_float(text) {
                scalar::float(text).map(Value::Float)
            } else {
                Err(misfit("a finite number"))
            }
        }
        // The tag `!` alone: text, whatever it looks like.
        None if tag.original() == "!" => Ok(Value::Text(text.to_owned())),
        _ => Err(unknown_tag(tag)),
    }
}

fn collection_tag(tag: Option<&Tag>, expected: &str) -> Result<(), scalar::Refused> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.core_suffix() == Some(expected) || tag.original() == "!" => Ok(()),
        Some(tag) => Err(unknown_tag(tag)),
    }
}

fn unknown_tag(tag: &Tag) -> scalar::Refused {
    (
        format!("the tag `{}` has no meaning here", cut(&tag.original())),
        "only the tags of YAML's core schema are understood: !!str !!int !!float !!bool !!null !!map !!seq",
    )
}

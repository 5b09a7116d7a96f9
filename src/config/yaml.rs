//! YAML 1.2 from its events: structure and quoting are the parser's, meaning is ours.

use std::collections::{HashMap, HashSet};

use serde_saphyr::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StrInput, Tag};

use super::error::Problem;
use super::scalar::{self, cut};
use super::{MAX_DEPTH, MAX_TEXT, MAX_VALUES};
use crate::codec::Value;

/// The value of a text that holds at most one document; `None` if it holds none.
pub(super) fn parse(text: &str) -> Result<Option<Value>, Problem> {
    let mut options = Options::default();
    options.emit_comments = false;
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        values: 0,
        text: 0,
    };
    let mut found = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => return Ok(found),
            Event::DocumentStart(_, version) => {
                if found.is_some() {
                    return Err(Problem::new(at(span.start), "a second document begins")
                        .hint("put it into a file of its own and give both with --config"));
                }
                if version.is_some_and(|v| (v.major, v.minor) != (1, 2)) {
                    return Err(Problem::new(at(span.start), "the file says that it is not YAML 1.2")
                        .hint("remove the %YAML line; in YAML 1.2 only `true` and `false` are booleans"));
                }
                let (event, span) = reader.next()?;
                found = Some(reader.node(event, span, 0)?.value);
            }
            _ => return Err(Problem::new(at(span.start), "something stands outside of a document")),
        }
    }
}

fn at(mark: Marker) -> (usize, usize) {
    (mark.line(), mark.col() + 1)
}

/// A value with what a copy of it costs.
#[derive(Clone)]
struct Node {
    value: Value,
    values: usize,
    text: usize,
    depth: usize,
    /// A plain untagged `<<`: a merge when it stands as a key.
    is_merge: bool,
}

impl Node {
    fn leaf(value: Value) -> Self {
        let text = if let Value::Text(text) = &value { text.len() } else { 0 };
        Self { value, values: 1, text, depth: 0, is_merge: false }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// By anchor number; a node whose end was not seen yet is not in here.
    anchors: HashMap<usize, Node>,
    values: usize,
    text: usize,
}

impl<'a> Reader<'a> {
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

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let start = span.start;
        if depth > MAX_DEPTH {
            return Err(Problem::new(at(start), format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.charge(start, 1, text.len())?;
                let is_merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                let value = scalar_value(&text, style, tag.as_deref())
                    .map_err(|(problem, hint)| Problem::new(at(start), problem).hint(hint))?;
                (Node { is_merge, ..Node::leaf(value) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "seq").map_err(|p| Problem::new(at(start), p.0).hint(p.1))?;
                (self.list(start, depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "map").map_err(|p| Problem::new(at(start), p.0).hint(p.1))?;
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

    fn list(&mut self, start: Marker, depth: usize) -> Result<Node, Problem> {
        self.charge(start, 1, 0)?;
        let mut node = Node::leaf(Value::Null);
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                node.value = Value::List(items);
                return Ok(node);
            }
            let item = self.node(event, span, depth + 1)?;
            node.values += item.values;
            node.text += item.text;
            node.depth = node.depth.max(item.depth + 1);
            items.push(item.value);
        }
    }

    fn map(&mut self, start: Marker, depth: usize) -> Result<Node, Problem> {
        self.charge(start, 1, 0)?;
        let mut node = Node::leaf(Value::Null);
        let mut entries: Vec<(String, Value)> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut merged: Option<Value> = None;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key_place = at(span.start);
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value_place = at(span.start);
            let value = self.node(event, span, depth + 1)?;
            node.values += value.values;
            node.text += value.text;
            node.depth = node.depth.max(value.depth + 1);
            if key.is_merge {
                if merged.is_some() {
                    return Err(Problem::new(key_place, "the merge key `<<` stands twice in one map")
                        .hint("merge several maps with `<<: [*a, *b]`"));
                }
                if !is_map_or_maps(&value.value) {
                    return Err(Problem::new(value_place, "the merge key `<<` needs a map or a list of maps")
                        .hint("quote it (`\"<<\"`) if it is an ordinary key"));
                }
                merged = Some(value.value);
                continue;
            }
            let key = key_text(key.value).map_err(|what| {
                Problem::new(key_place, format!("a key can't be {what}")).hint("quote it to make it text")
            })?;
            node.text += key.len();
            if !seen.insert(key.clone()) {
                return Err(Problem::new(key_place, format!("the key `{}` stands twice in one map", cut(&key)))
                    .hint("`1` and `\"1\"` are the same key; keep one of them"));
            }
            entries.push((key, value.value));
        }
        let sources = match merged {
            Some(Value::List(maps)) => maps,
            Some(map) => vec![map],
            None => Vec::new(),
        };
        for source in sources {
            if let Value::Map(inherited) = source {
                for (key, value) in inherited {
                    if seen.insert(key.clone()) {
                        node.text += key.len();
                        entries.push((key, value));
                    }
                }
            }
        }
        node.value = Value::Map(entries);
        Ok(node)
    }
}

fn is_map_or_maps(value: &Value) -> bool {
    match value {
        Value::Map(_) => true,
        Value::List(items) => items.iter().all(|item| matches!(item, Value::Map(_))),
        _ => false,
    }
}

/// The text of a key: text as it is, integers in decimal, `true` and `false`; else what it is.
fn key_text(value: Value) -> Result<String, &'static str> {
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

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, scalar::Refused> {
    let Some(tag) = tag else {
        return match style {
            ScalarStyle::Plain => scalar::plain(text),
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

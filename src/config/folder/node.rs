//! A YAML text as a tree that keeps how its scalars were written, so that it can be changed and written again without a reader of any
//! version of YAML seeing other values: `no`, `1e3` and `2026-01-01` stay as plain as they were.

use std::collections::HashMap;
use std::fmt::Write;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::super::error::Problem;
use super::super::{MAX_DEPTH, MAX_VALUES, yaml};
use crate::codec::Value;

/// A value as it was written. Aliases are what they stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// One word or text.
    Scalar {
        /// Its characters.
        text: String,
        /// Whether it stood there without quotes.
        is_plain: bool,
        /// `!!str` and the like.
        tag: Option<String>,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys, which are scalars, with their values, as they came.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The tree of a text that the strict reader took.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut options = Options::default();
        options.emit_comments = false;
        let mut parser = Parser::new_from_str_with_options(text, options);
        let mut next = move || loop {
            match parser.next_event() {
                Some(Ok((
                    Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd | Event::Anchor(..),
                    _,
                ))) => {}
                Some(Ok((event, _))) => return Some(event),
                _ => return None,
            }
        };
        let mut anchors = HashMap::new();
        let mut budget = MAX_VALUES;
        match next() {
            None | Some(Event::StreamEnd) => Ok(Self::Map(Vec::new())),
            Some(event) => build(event, &mut next, &mut anchors, &mut budget, 0)
                .ok_or_else(|| Problem::new((1, 1), "it can't be rewritten")),
        }
    }

    /// The tree of a value.
    pub(super) fn of(value: &Value) -> Self {
        let plain = |text: String| Self::Scalar { text, is_plain: true, tag: None };
        let quoted = |text: &str| Self::Scalar { text: text.to_owned(), is_plain: false, tag: None };
        match value {
            Value::Text(text) => quoted(text),
            Value::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Map(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (quoted(key), Self::of(value))).collect())
            }
            single => plain(crate::config::to_json(single)),
        }
    }

    /// The name that this is as a key.
    pub(super) fn key(&self) -> Option<String> {
        match self {
            Self::Scalar { text, is_plain, tag } => {
                let value = if *is_plain && tag.is_none() { yaml::plain_key(text) } else { Some(text.clone()) };
                value.or_else(|| Some(text.clone()))
            }
            _ => None,
        }
    }

    fn is_merge(&self) -> bool {
        matches!(self, Self::Scalar { text, is_plain: true, tag: None } if text == "<<")
    }

    /// The entry of a map under `name`. One that the map has by a merge key becomes its own.
    pub(super) fn own(&mut self, name: &str) -> Option<&mut Node> {
        let Self::Map(entries) = self else { return None };
        if !entries.iter().any(|(key, _)| !key.is_merge() && key.key().as_deref() == Some(name)) {
            let inherited = entries.iter().filter(|(key, _)| key.is_merge()).find_map(|(_, from)| from.merged(name))?;
            entries.push(inherited);
        }
        entries.iter_mut().find(|(key, _)| !key.is_merge() && key.key().as_deref() == Some(name)).map(|(_, v)| v)
    }

    /// What a merge key gives under a name.
    fn merged(&self, name: &str) -> Option<(Node, Node)> {
        match self {
            Self::List(maps) => maps.iter().find_map(|map| map.merged(name)),
            Self::Map(entries) => {
                let own = entries.iter().find(|(key, _)| !key.is_merge() && key.key().as_deref() == Some(name));
                own.cloned().or_else(|| {
                    entries.iter().filter(|(key, _)| key.is_merge()).find_map(|(_, from)| from.merged(name))
                })
            }
            Self::Scalar { .. } => None,
        }
    }

    /// Lays `over` on this: maps are merged key by key, down to the bottom or only at the top; anything else is replaced.
    pub(super) fn merge(self, over: Node, is_deep: bool) -> Node {
        match (self, over) {
            (Self::Map(mut below), Self::Map(upper)) => {
                for (key, value) in upper {
                    let name = key.key();
                    match below
                        .iter()
                        .position(|(other, _)| !other.is_merge() && !key.is_merge() && other.key() == name)
                    {
                        Some(at) if is_deep => {
                            let lower = std::mem::replace(&mut below[at].1, Self::List(Vec::new()));
                            below[at].1 = lower.merge(value, true);
                        }
                        Some(at) => below[at].1 = value,
                        None => below.push((key, value)),
                    }
                }
                Self::Map(below)
            }
            (_, over) => over,
        }
    }

    /// The tree as text.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Map(entries) if !entries.is_empty() => self.block(0, &mut out),
            other => {
                other.inline(&mut out);
                out.push('\n');
            }
        }
        out
    }

    fn is_block(&self) -> bool {
        match self {
            Self::Map(entries) => !entries.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Scalar { .. } => false,
        }
    }

    /// Lines of a collection that is not empty, the first without its indentation when `out` ends within a line.
    fn block(&self, indent: usize, out: &mut String) {
        let pad = |out: &mut String| {
            if out.is_empty() || out.ends_with('\n') {
                out.extend(std::iter::repeat_n(' ', indent));
            }
        };
        match self {
            Self::Map(entries) => {
                for (key, value) in entries {
                    pad(out);
                    match key {
                        Self::Scalar { text, is_plain: true, .. } if text.is_empty() => out.push_str("null"),
                        key => key.inline(out),
                    }
                    out.push(':');
                    value.after(indent, out);
                }
            }
            Self::List(items) => {
                for item in items {
                    pad(out);
                    out.push('-');
                    if let Self::Map(entries) = item
                        && !entries.is_empty()
                    {
                        out.push(' ');
                        item.block(indent + 2, out);
                    } else {
                        item.after(indent, out);
                    }
                }
            }
            Self::Scalar { .. } => {}
        }
    }

    /// A value after a key or a dash.
    fn after(&self, indent: usize, out: &mut String) {
        if self.is_block() {
            out.push('\n');
            self.block(indent + 2, out);
        } else {
            out.push(' ');
            self.inline(out);
            while out.ends_with(' ') {
                out.pop();
            }
            out.push('\n');
        }
    }

    fn inline(&self, out: &mut String) {
        match self {
            Self::Map(_) => out.push_str("{}"),
            Self::List(_) => out.push_str("[]"),
            Self::Scalar { text, is_plain, tag } => {
                if let Some(tag) = tag {
                    out.push_str(tag);
                    out.push(' ');
                }
                if *is_plain && !text.contains('\n') { out.push_str(text) } else { quoted(text, out) }
            }
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn tag_text(tag: &Tag) -> String {
    tag.core_suffix().map_or_else(|| tag.original().clone(), |suffix| format!("!!{suffix}"))
}

fn build<'a>(
    event: Event<'a>,
    next: &mut impl FnMut() -> Option<Event<'a>>,
    anchors: &mut HashMap<usize, Node>,
    budget: &mut usize,
    depth: usize,
) -> Option<Node> {
    *budget = budget.checked_sub(1)?;
    if depth > MAX_DEPTH + 1 {
        return None;
    }
    let (node, anchor) = match event {
        Event::Scalar(text, style, anchor, tag) => {
            let tag = tag.as_deref().map(tag_text);
            (Node::Scalar { text: text.to_string(), is_plain: style == ScalarStyle::Plain, tag }, anchor)
        }
        Event::SequenceStart(_, anchor, _) => {
            let mut items = Vec::new();
            loop {
                match next()? {
                    Event::SequenceEnd => break,
                    event => items.push(build(event, next, anchors, budget, depth + 1)?),
                }
            }
            (Node::List(items), anchor)
        }
        Event::MappingStart(_, anchor, _) => {
            let mut entries = Vec::new();
            loop {
                match next()? {
                    Event::MappingEnd => break,
                    event => {
                        let key = build(event, next, anchors, budget, depth + 1)?;
                        let value = next()?;
                        entries.push((key, build(value, next, anchors, budget, depth + 1)?));
                    }
                }
            }
            (Node::Map(entries), anchor)
        }
        Event::Alias(id) => {
            let node = anchors.get(&id)?.clone();
            *budget = budget.checked_sub(count(&node))?;
            return Some(node);
        }
        _ => return None,
    };
    if anchor > 0 {
        *budget = budget.checked_sub(count(&node))?;
        anchors.insert(anchor, node.clone());
    }
    Some(node)
}

fn count(node: &Node) -> usize {
    match node {
        Node::Scalar { .. } => 1,
        Node::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Node::Map(entries) => 1 + entries.iter().map(|(key, value)| count(key) + count(value)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_again_says_the_same_and_keeps_words_plain() {
        let text = "a: &x {b: no, c: 2026-01-01, 'd e': \"\\tq: 1\"}\nlist:\n- 1\n- [x, {y: ~}, []]\n- k: v\n  w: !!str 5\n\
                    m:\n  <<: *x\n  c: |\n    two\n    lines\nempty:\n1: {}\n\"\": z\nt: 'it''s'\n";
        let again = Node::parse(text).unwrap().to_text();
        assert_eq!(yaml::parse(&again).unwrap(), yaml::parse(text).unwrap(), "{again}");
        assert!(again.contains("b: no\n") && again.contains("c: 2026-01-01\n"), "{again}");
        assert_eq!(Node::parse(&again).unwrap().to_text(), again, "it settles");
    }

    #[test]
    fn merging_is_deep_or_only_at_the_top() {
        let (low, high) = (Node::parse("a: {x: 1, y: 2}\nb: 1").unwrap(), Node::parse("a: {y: 3}").unwrap());
        assert_eq!(low.clone().merge(high.clone(), true).to_text(), "a:\n  x: 1\n  y: 3\nb: 1\n");
        assert_eq!(low.merge(high, false).to_text(), "a:\n  y: 3\nb: 1\n");
    }
}

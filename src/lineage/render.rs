//! A lineage as text for people and for drawing programs.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::graph::{Direction, Edge, Graph, Node, NodeKind};
use crate::path::shown;

/// Levels of a tree that are indented.
const MOST_INDENT: usize = 32;

/// The text of a node, without control characters.
fn label(node: &Node) -> String {
    match &node.kind {
        NodeKind::Run { step, status, tail, cache, .. } => {
            let how = if cache == "hit" { " (hit)" } else { "" };
            let ended = if status == "success" { String::new() } else { format!(" {status}") };
            format!("{} [{}]{how}{ended}", shown(step.as_bytes()), shown(tail.as_bytes()))
        }
        NodeKind::Artifact { path, short, .. } => format!("{} {short}", shown(path)),
        NodeKind::More { count, what } => match what.strip_prefix("run ") {
            Some(step) => format!("... and {count} more runs of {}", shown(step.as_bytes())),
            None => format!("... and {count} more files"),
        },
        NodeKind::Lost { what } => format!("{} (its record can't be read)", shown(what.as_bytes())),
    }
}

/// The graph as a tree that starts at its root, one node a line. A node that was shown before is not shown again in full, but marked `^`.
pub fn tree(graph: &Graph) -> String {
    let mut out = String::new();
    for &(direction, title) in &[(Direction::Up, "upstream"), (Direction::Down, "downstream")] {
        let mut next: HashMap<&str, Vec<&Edge>> = HashMap::new();
        for edge in graph.edges.iter().filter(|e| e.direction == direction) {
            let from = if direction == Direction::Up { &edge.to } else { &edge.from };
            next.entry(from).or_default().push(edge);
        }
        let is_other = graph.edges.iter().any(|e| e.direction != direction);
        if next.is_empty() && (is_other || direction == Direction::Down) {
            continue;
        }
        // A walk both ways is shown in two parts.
        if is_other {
            let _ = writeln!(out, "{title}:");
        }
        let nodes: HashMap<&str, &Node> = graph.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
        let mut seen: HashSet<&str> = HashSet::new();
        // An explicit stack: histories may be deeper than any thread's stack.
        let mut stack: Vec<(&str, String, bool, usize)> = vec![(graph.root.as_str(), String::new(), true, 0)];
        while let Some((id, indent, is_last, level)) = stack.pop() {
            let is_root = level == 0;
            let Some(node) = nodes.get(id) else { continue };
            let again = !seen.insert(id);
            let children = next.get(id).map_or(&[][..], Vec::as_slice);
            let branch = if is_root {
                ""
            } else if is_last {
                "└─ "
            } else {
                "├─ "
            };
            let mark = if again && !children.is_empty() { " ^" } else { "" };
            if level > MOST_INDENT {
                let _ = writeln!(out, "[{level}] {branch}{}{mark}", label(node));
            } else {
                let _ = writeln!(out, "{indent}{branch}{}{mark}", label(node));
            }
            if again {
                continue;
            }
            let below = match level {
                0 => String::new(),
                // Deeper, all stand below each other, with their depths: a chain of thousands would be as wide as it is long.
                MOST_INDENT.. => String::new(),
                _ => format!("{indent}{}", if is_last { "   " } else { "│  " }),
            };
            for (i, edge) in children.iter().enumerate().rev() {
                let to = if direction == Direction::Up { &edge.from } else { &edge.to };
                stack.push((to, below.clone(), i + 1 == children.len(), level + 1));
            }
        }
    }
    out
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The graph in Graphviz's language; arrows follow the data.
pub fn dot(graph: &Graph) -> String {
    let mut out = String::from("digraph lineage {\n  rankdir=LR;\n  node [fontname=\"Helvetica\"];\n");
    for node in &graph.nodes {
        let shape = match node.kind {
            NodeKind::Run { .. } => "box, style=rounded",
            NodeKind::Artifact { .. } => "note",
            NodeKind::Lost { .. } | NodeKind::More { .. } => "box, style=dashed",
        };
        let _ = writeln!(out, "  \"{}\" [label=\"{}\", shape={shape}];", quoted(&node.id), quoted(&label(node)));
    }
    for edge in &graph.edges {
        let _ = writeln!(
            out,
            "  \"{}\" -> \"{}\" [label=\"{}\"];",
            quoted(&edge.from),
            quoted(&edge.to),
            quoted(&shown(edge.key.as_bytes()))
        );
    }
    out.push_str("}\n");
    out
}

/// The graph in Mermaid's language; arrows follow the data.
pub fn mermaid(graph: &Graph) -> String {
    let text = |s: &str| {
        s.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;").replace('|', "#124;")
    };
    let mut names: HashMap<&str, String> = HashMap::new();
    let mut out = String::from("flowchart LR\n");
    for (i, node) in graph.nodes.iter().enumerate() {
        let name = format!("n{i}");
        let (open, close) = match node.kind {
            NodeKind::Run { .. } => ("(\"", "\")"),
            NodeKind::Artifact { .. } => ("[\"", "\"]"),
            NodeKind::Lost { .. } | NodeKind::More { .. } => ("{{\"", "\"}}"),
        };
        let _ = writeln!(out, "  {name}{open}{}{close}", text(&label(node)));
        names.insert(&node.id, name);
    }
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (names.get(edge.from.as_str()), names.get(edge.to.as_str())) {
            let _ = writeln!(out, "  {from} -->|\"{}\"| {to}", text(&shown(edge.key.as_bytes())));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::graph::Node;

    #[test]
    fn a_deep_tree_grows_downwards_only() {
        let node = |n: usize| Node { id: n.to_string(), depth: 0, kind: NodeKind::Lost { what: format!("run {n}") } };
        let edge = |n: usize| Edge {
            from: (n + 1).to_string(),
            to: n.to_string(),
            key: "k".to_owned(),
            linked_by: None,
            direction: Direction::Up,
        };
        let deep = 2_000;
        let graph = Graph {
            root: "0".to_owned(),
            nodes: (0..=deep).map(node).collect(),
            edges: (0..deep).map(edge).collect(),
            cut: false,
        };
        let text = tree(&graph);
        assert_eq!(text.lines().count(), deep + 1);
        assert!(text.lines().last().is_some_and(|line| line.starts_with("[2000] └─ run 2000")), "{text}");
        assert!(text.len() < 200 * deep, "{}", text.len());
    }
}

//! A lineage as text for people and for drawing programs.

use std::fmt::Write;

use super::graph::{Direction, Graph, Node, NodeKind};
use crate::path::shown;

/// Levels of a tree that are indented.
const MOST_INDENT: usize = 32;

/// The random part of a run's id, shortened for people.
pub(super) fn short_tail(run: &str) -> String {
    crate::object::run::tail(run).chars().take(8).collect()
}

/// The text of a node, without control characters.
fn label(node: &Node) -> String {
    match &node.kind {
        NodeKind::Run { run, step, status, cache, .. } => {
            let how = if **cache == *"hit" { " (hit)" } else { "" };
            let ended = if **status == *"success" { String::new() } else { format!(" {status}") };
            format!("{} [{}]{how}{ended}", shown(step.as_bytes()), shown(short_tail(run).as_bytes()))
        }
        NodeKind::Artifact { path, content, .. } => format!("{} {}", shown(path), content.short()),
        NodeKind::More { count, what, .. } => match what.strip_prefix("run ") {
            Some(step) => format!("... and {count} more runs of {}", shown(step.as_bytes())),
            None => format!("... and {count} more files"),
        },
        NodeKind::Lost { run } => format!("run {} (its record can't be read)", shown(run.as_bytes())),
    }
}

/// The graph as a tree that starts at its root, one node a line. A node that was shown before is not shown again in full, but marked `^`.
pub fn tree(graph: &Graph) -> String {
    let mut out = String::new();
    for &(direction, title) in &[(Direction::Up, "upstream"), (Direction::Down, "downstream")] {
        let is_empty = graph.edges.iter().all(|e| e.direction != direction);
        let is_other = graph.edges.iter().any(|e| e.direction != direction);
        if is_empty && (is_other || direction == Direction::Down) {
            continue;
        }
        // A walk both ways is shown in two parts.
        if is_other {
            let _ = writeln!(out, "{title}:");
        }
        let next = graph.ways(direction);
        let mut seen = vec![false; graph.nodes.len()];
        // An explicit stack: histories may be deeper than any thread's stack.
        let mut stack: Vec<(usize, String, bool, usize)> = vec![(graph.root, String::new(), true, 0)];
        while let Some((at, indent, is_last, level)) = stack.pop() {
            let is_root = level == 0;
            let Some(node) = graph.nodes.get(at) else { continue };
            let again = std::mem::replace(&mut seen[at], true);
            let children = &next[at];
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
                stack.push((edge.ends().1, below.clone(), i + 1 == children.len(), level + 1));
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
        let _ = writeln!(out, "  \"{}\" [label=\"{}\", shape={shape}];", quoted(&node.id()), quoted(&label(node)));
    }
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (graph.nodes.get(edge.from), graph.nodes.get(edge.to)) {
            let (from, to, key) = (quoted(&from.id()), quoted(&to.id()), quoted(&shown(edge.key.as_bytes())));
            let _ = writeln!(out, "  \"{from}\" -> \"{to}\" [label=\"{key}\"];");
        }
    }
    out.push_str("}\n");
    out
}

/// The graph in Mermaid's language; arrows follow the data.
pub fn mermaid(graph: &Graph) -> String {
    let text = |s: &str| {
        s.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;").replace('|', "#124;")
    };
    let mut out = String::from("flowchart LR\n");
    for (i, node) in graph.nodes.iter().enumerate() {
        let (open, close) = match node.kind {
            NodeKind::Run { .. } => ("(\"", "\")"),
            NodeKind::Artifact { .. } => ("[\"", "\"]"),
            NodeKind::Lost { .. } | NodeKind::More { .. } => ("{{\"", "\"}}"),
        };
        let _ = writeln!(out, "  n{i}{open}{}{close}", text(&label(node)));
    }
    for edge in &graph.edges {
        let _ = writeln!(out, "  n{} -->|\"{}\"| n{}", edge.from, text(&shown(edge.key.as_bytes())), edge.to);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::graph::Edge;

    #[test]
    fn a_deep_tree_grows_downwards_only() {
        let node = |n: usize| Node { depth: 0, kind: NodeKind::Lost { run: n.to_string().into() } };
        let edge = |n: usize| Edge { from: n + 1, to: n, key: "k".into(), linked_by: None, direction: Direction::Up };
        let deep = 2_000;
        let graph =
            Graph { root: 0, nodes: (0..=deep).map(node).collect(), edges: (0..deep).map(edge).collect(), cut: false };
        let text = tree(&graph);
        assert_eq!(text.lines().count(), deep + 1);
        assert!(text.lines().last().is_some_and(|line| line.starts_with("[2000] └─ run 2000")), "{text}");
        assert!(text.len() < 200 * deep, "{}", text.len());
    }
}

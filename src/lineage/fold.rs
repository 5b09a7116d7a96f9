//! A lineage made short for people: of many alike, a few are shown and the others counted.

use std::collections::{HashMap, HashSet, VecDeque};

use super::graph::{Direction, Edge, Graph, Node, NodeKind};

/// What makes nodes alike: runs of one step, files.
fn sort_of(node: &Node) -> String {
    match &node.kind {
        NodeKind::Run { step, .. } => format!("run {step}"),
        NodeKind::Artifact { .. } => "file".to_owned(),
        NodeKind::Lost { .. } => "lost".to_owned(),
        NodeKind::More { what, .. } => what.clone(),
    }
}

/// The graph with at most `most` alike beside each other: of more, the others are one node that says how many. What is reached by another
/// way as well stays.
pub fn folded(graph: &Graph, most: usize) -> Graph {
    let nodes: HashMap<&str, &Node> = graph.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut next: HashMap<(&str, Direction), Vec<&Edge>> = HashMap::new();
    for edge in &graph.edges {
        let from = if edge.direction == Direction::Up { &edge.to } else { &edge.from };
        next.entry((from.as_str(), edge.direction)).or_default().push(edge);
    }
    let mut kept: HashSet<&str> = HashSet::from([graph.root.as_str()]);
    let mut out = Graph { root: graph.root.clone(), nodes: Vec::new(), edges: Vec::new(), cut: graph.cut };
    let mut more: Vec<(Node, Edge)> = Vec::new();
    for direction in [Direction::Up, Direction::Down] {
        let mut todo = VecDeque::from([graph.root.as_str()]);
        let mut seen: HashSet<&str> = HashSet::new();
        while let Some(id) = todo.pop_front() {
            if !seen.insert(id) {
                continue;
            }
            let mut count: HashMap<String, usize> = HashMap::new();
            let mut left: HashMap<String, (usize, &Edge)> = HashMap::new();
            let all = next.get(&(id, direction)).map_or(&[][..], Vec::as_slice);
            let mut total: HashMap<String, usize> = HashMap::new();
            let other = |edge: &'_ Edge| if direction == Direction::Up { edge.from.clone() } else { edge.to.clone() };
            for edge in all {
                if let Some(node) = nodes.get(other(edge).as_str()) {
                    *total.entry(sort_of(node)).or_default() += 1;
                }
            }
            for edge in all {
                let to = if direction == Direction::Up { edge.from.as_str() } else { edge.to.as_str() };
                let Some(node) = nodes.get(to) else { continue };
                let sort = sort_of(node);
                let n = count.entry(sort.clone()).or_default();
                *n += 1;
                // One more is as long as saying that there is one more.
                if *n > most && total.get(&sort).is_some_and(|total| *total > most + 1) {
                    left.entry(sort).or_insert((0, edge)).0 += 1;
                    continue;
                }
                kept.insert(to);
                out.edges.push((*edge).clone());
                todo.push_back(to);
            }
            for (what, (count, edge)) in left {
                let node_id = format!("{id} more {what} {direction:?}");
                let depth = nodes.get(id).map_or(0, |node| node.depth + 1);
                let node = Node { id: node_id.clone(), depth, kind: NodeKind::More { count, what } };
                let mut edge = edge.clone();
                edge.key = String::new();
                if direction == Direction::Up {
                    edge.from = node_id;
                } else {
                    edge.to = node_id;
                }
                more.push((node, edge));
            }
        }
    }
    out.nodes.extend(graph.nodes.iter().filter(|node| kept.contains(node.id.as_str())).cloned());
    more.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    for (node, edge) in more {
        out.nodes.push(node);
        out.edges.push(edge);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(n: usize) -> Node {
        let kind = NodeKind::Artifact {
            content: crate::hash::blob(b"x"),
            path: format!("f{n}").into(),
            short: "x".to_owned(),
            size: 1,
        };
        Node { id: format!("f{n}"), depth: 1, kind }
    }

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            key: "k".to_owned(),
            linked_by: None,
            direction: Direction::Up,
        }
    }

    #[test]
    fn many_alike_are_counted_and_what_else_leads_to_stays() {
        let root = Node { id: "root".to_owned(), depth: 0, kind: NodeKind::Lost { what: "root".to_owned() } };
        let mut graph = Graph { root: "root".to_owned(), nodes: vec![root], edges: Vec::new(), cut: false };
        for n in 0..100 {
            graph.nodes.push(file(n));
            graph.edges.push(edge(&format!("f{n}"), "root"));
        }
        // One of those that are left out is reached by another way.
        graph.edges.push(edge("f99", "f0"));
        let short = folded(&graph, 10);
        assert_eq!(short.nodes.len(), 1 + 10 + 1 + 1);
        assert!(short.nodes.iter().any(|node| matches!(&node.kind, NodeKind::More { count: 90, .. })));
        assert!(short.nodes.iter().any(|node| node.id == "f99"));
        assert_eq!(folded(&graph, 100), folded(&graph, 200));
    }
}

//! A lineage made short for people: of many alike, a few are shown and the others counted.

use std::collections::{BTreeMap, HashMap, VecDeque};

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
    let sorts: Vec<String> = graph.nodes.iter().map(sort_of).collect();
    let mut is_kept = vec![false; graph.nodes.len()];
    if let Some(root) = is_kept.get_mut(graph.root) {
        *root = true;
    }
    let mut edges: Vec<Edge> = Vec::new();
    // Those that stand for others: the node beside which they are, which way, what they are, and an edge of one.
    let mut more: BTreeMap<(usize, Direction, &str), (usize, &Edge)> = BTreeMap::new();
    for direction in [Direction::Up, Direction::Down] {
        let ways = graph.ways(direction);
        let mut todo = VecDeque::from([graph.root]);
        let mut seen = vec![false; graph.nodes.len()];
        while let Some(at) = todo.pop_front() {
            let Some(seen) = seen.get_mut(at) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            let all: Vec<(&Edge, usize, &str)> = ways[at]
                .iter()
                .filter_map(|edge| {
                    let to = edge.ends().1;
                    Some((*edge, to, sorts.get(to)?.as_str()))
                })
                .collect();
            let mut total: HashMap<&str, usize> = HashMap::new();
            for (_, _, sort) in &all {
                *total.entry(sort).or_default() += 1;
            }
            let mut count: HashMap<&str, usize> = HashMap::new();
            for (edge, to, sort) in all {
                let n = count.entry(sort).or_default();
                *n += 1;
                // One more is as long as saying that there is one more.
                if *n > most && total.get(sort).is_some_and(|total| *total > most + 1) {
                    more.entry((at, direction, sort)).or_insert((0, edge)).0 += 1;
                    continue;
                }
                is_kept[to] = true;
                edges.push(edge.clone());
                todo.push_back(to);
            }
        }
    }
    let mut places = vec![0; graph.nodes.len()];
    let mut out = Graph { root: 0, nodes: Vec::new(), edges, cut: graph.cut };
    for (at, node) in graph.nodes.iter().enumerate().filter(|(at, _)| is_kept[*at]) {
        places[at] = out.nodes.len();
        out.nodes.push(node.clone());
    }
    out.root = places.get(graph.root).copied().unwrap_or_default();
    for edge in &mut out.edges {
        (edge.from, edge.to) = (places[edge.from], places[edge.to]);
    }
    for ((at, direction, what), (count, edge)) in more {
        let beside = &graph.nodes[at];
        let (here, there) = (places[at], out.nodes.len());
        let (from, to) = if direction == Direction::Up { (there, here) } else { (here, there) };
        out.nodes.push(Node {
            depth: beside.depth + 1,
            kind: NodeKind::More { count, what: what.to_owned(), beside: (beside.id().into_owned(), direction) },
        });
        out.edges.push(Edge { from, to, key: "".into(), ..edge.clone() });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(n: usize) -> Node {
        let kind = NodeKind::Artifact { content: crate::hash::blob(b"x"), path: format!("f{n}").into(), size: 1 };
        Node { depth: 1, kind }
    }

    fn label(node: &Node) -> String {
        match &node.kind {
            NodeKind::Artifact { path, .. } => path.to_string(),
            _ => String::new(),
        }
    }

    fn edge(from: usize, to: usize) -> Edge {
        Edge { from, to, key: "k".into(), linked_by: None, direction: Direction::Up }
    }

    #[test]
    fn many_alike_are_counted_and_what_else_leads_to_stays() {
        let root = Node { depth: 0, kind: NodeKind::Lost { run: "root".into() } };
        let mut graph = Graph { root: 0, nodes: vec![root], edges: Vec::new(), cut: false };
        for n in 0..100 {
            graph.nodes.push(file(n));
            graph.edges.push(edge(n + 1, 0));
        }
        // One of those that are left out is reached by another way.
        graph.edges.push(edge(100, 1));
        let short = folded(&graph, 10);
        assert_eq!(short.nodes.len(), 1 + 10 + 1 + 1);
        assert!(short.nodes.iter().any(|node| matches!(&node.kind, NodeKind::More { count: 90, .. })));
        assert!(short.nodes.iter().any(|node| label(node) == "f99"));
        assert_eq!(folded(&graph, 100), folded(&graph, 200));
    }
}

//! Walking lineage up and down.

use std::collections::{HashMap, HashSet, VecDeque};

use bstr::{BString, ByteSlice};

use super::graph::{Direction, Edge, Graph, Node, NodeKind};
use super::producer::{self, Error};
use crate::hash::Id;
use crate::object::recipe::Content;
use crate::object::run::{Cache, Run};
use crate::object::{Record, Source};
use crate::path::shown;
use crate::store::Snapshot;

/// Where a walk starts.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// At a run.
    Run {
        /// Its run id.
        run: String,
        /// Its object.
        object: Id,
    },
    /// At some content at a path.
    Artifact {
        /// The content.
        content: Content,
        /// Where it lives, as records hold it.
        path: BString,
        /// Its bytes.
        size: u64,
        /// The run that is known to have made it, with its key; `None` to look it up.
        made_by: Option<(String, Id, String)>,
    },
}

/// How a walk is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceOptions {
    /// Towards what it came from.
    pub up: bool,
    /// Towards what it went into.
    pub down: bool,
    /// Runs to go through at most; `None` for all.
    pub depth: Option<u32>,
}

struct Walk<'a> {
    snapshot: &'a Snapshot,
    project: &'a str,
    scenario: &'a str,
    options: TraceOptions,
    graph: Graph,
    nodes: HashSet<String>,
    edges: HashSet<(String, String, String)>,
    runs: HashMap<Id, Option<Run>>,
}

/// Walks the lineage from `start`. Never recurses: a history may be as deep as it likes. Content may cycle; every node is visited once each way.
///
/// # Errors
/// When refs can't be read. A run whose record can't be read becomes a [`NodeKind::Lost`] node.
pub fn trace(
    snapshot: &Snapshot,
    project: &str,
    scenario: &str,
    start: &Start,
    options: TraceOptions,
) -> Result<Graph, Error> {
    let mut walk = Walk {
        snapshot,
        project,
        scenario,
        options,
        graph: Graph { root: String::new(), nodes: Vec::new(), edges: Vec::new(), cut: false },
        nodes: HashSet::new(),
        edges: HashSet::new(),
        runs: HashMap::new(),
    };
    walk.graph.root = match start {
        Start::Run { run, object } => walk.run_node(run, object, 0),
        Start::Artifact { content, path, size, .. } => walk.artifact_node(&content.id(), path, *size, 0),
    };
    if options.up {
        walk.up(start)?;
    }
    if options.down {
        walk.down(start)?;
    }
    Ok(walk.graph)
}

impl Walk<'_> {
    fn run(&mut self, object: &Id) -> Option<Run> {
        if let Some(known) = self.runs.get(object) {
            return known.clone();
        }
        let run = self.snapshot.read(object).ok().flatten().and_then(|(_, bytes)| Run::decode(&bytes).ok());
        self.runs.insert(*object, run.clone());
        run
    }

    fn run_node(&mut self, run_id: &str, object: &Id, depth: u32) -> String {
        if self.nodes.insert(run_id.to_owned()) {
            let kind = match self.run(object) {
                Some(run) => NodeKind::Run {
                    run: run.run.clone(),
                    object: Some(*object),
                    tail: run.tail().chars().take(8).collect(),
                    step: run.step.clone(),
                    scenario: run.scenario.clone(),
                    status: format!("{:?}", run.status).to_lowercase(),
                    cache: run.cache_word().to_owned(),
                    started_at: run.started_at,
                },
                None => NodeKind::Lost { what: format!("run {run_id}") },
            };
            self.graph.nodes.push(Node { id: run_id.to_owned(), depth, kind });
        }
        run_id.to_owned()
    }

    fn artifact_node(&mut self, content: &Id, path: &BString, size: u64, depth: u32) -> String {
        let id = format!("{content}:{}", shown(path));
        if self.nodes.insert(id.clone()) {
            let kind = NodeKind::Artifact { content: *content, path: path.clone(), short: content.short(), size };
            self.graph.nodes.push(Node { id: id.clone(), depth, kind });
        }
        id
    }

    fn edge(&mut self, edge: Edge) {
        if self.edges.insert((edge.from.clone(), edge.to.clone(), edge.key.clone())) {
            self.graph.edges.push(edge);
        }
    }

    fn is_too_deep(&mut self, depth: u32) -> bool {
        let too_deep = self.options.depth.is_some_and(|most| depth >= most);
        self.graph.cut |= too_deep;
        too_deep
    }

    fn up(&mut self, start: &Start) -> Result<(), Error> {
        let mut todo: VecDeque<(String, Id, u32)> = VecDeque::new();
        let mut seen: HashSet<String> = HashSet::new();
        match start {
            Start::Run { run, object } => todo.push_back((run.clone(), *object, 0)),
            Start::Artifact { content, path, size, made_by } => {
                let maker = match made_by {
                    Some((run, object, key)) => Some((run.clone(), *object, key.clone(), None)),
                    None => producer::producer_of(
                        self.snapshot,
                        self.project,
                        self.scenario,
                        path.as_bstr(),
                        &content.id(),
                    )?
                    .and_then(|p| p.object.map(|object| (p.run, object, p.key, Some(p.linked_by)))),
                };
                if let Some((run, object, key, linked_by)) = maker {
                    let to = self.artifact_node(&content.id(), path, *size, 0);
                    let from = self.run_node(&run, &object, 1);
                    self.edge(Edge { from, to, key, linked_by, direction: Direction::Up });
                    todo.push_back((run, object, 0));
                }
            }
        }
        while let Some((run_id, object, depth)) = todo.pop_front() {
            if !seen.insert(run_id.clone()) {
                continue;
            }
            let Some(run) = self.run(&object) else { continue };
            let has_more = !run.inputs.is_empty() || run.is_hit();
            if has_more && self.is_too_deep(depth) {
                continue;
            }
            let node = self.run_node(&run_id, &object, depth * 2 + 1);
            for (key, input) in &run.inputs {
                let from = self.artifact_node(&input.content.id(), &input.path, input.size, depth * 2 + 2);
                self.edge(Edge {
                    from: from.clone(),
                    to: node.clone(),
                    key: key.clone(),
                    linked_by: None,
                    direction: Direction::Up,
                });
                if let Some(producer) = &input.producer
                    && let Some(object) = producer.object
                {
                    let maker = self.run_node(&producer.run, &object, depth * 2 + 3);
                    self.edge(Edge {
                        from: maker,
                        to: from,
                        key: producer.key.clone(),
                        linked_by: Some(producer.linked_by),
                        direction: Direction::Up,
                    });
                    todo.push_back((producer.run.clone(), object, depth + 1));
                }
            }
            if let Cache::Hit { source, object, .. } = &run.cache {
                let from = self.run_node(source, object, depth * 2 + 3);
                self.edge(Edge { from, to: node, key: "hit of".to_owned(), linked_by: None, direction: Direction::Up });
            }
        }
        Ok(())
    }

    fn down(&mut self, start: &Start) -> Result<(), Error> {
        // What is asked is who took this content, not who took a file of this run by name.
        let mut todo: VecDeque<(Id, BString, u64, u32)> = VecDeque::new();
        let mut seen: HashSet<(Id, BString)> = HashSet::new();
        match start {
            Start::Run { run, object } => self.outputs_of(run, object, 0, &mut todo),
            Start::Artifact { content, path, size, .. } => todo.push_back((content.id(), path.clone(), *size, 0)),
        }
        while let Some((content, path, size, depth)) = todo.pop_front() {
            if !seen.insert((content, path.clone())) {
                continue;
            }
            let takers = producer::takers(self.snapshot, &content)?;
            let here: Vec<_> =
                takers.into_iter().filter(|t| t.touch.project == self.project && t.touch.path == path).collect();
            if !here.is_empty() && self.is_too_deep(depth) {
                continue;
            }
            let node = self.artifact_node(&content, &path, size, depth * 2);
            for taker in here {
                let run = self.run_node(&taker.run, &taker.touch.object, depth * 2 + 1);
                self.edge(Edge {
                    from: node.clone(),
                    to: run,
                    key: taker.key,
                    linked_by: None,
                    direction: Direction::Down,
                });
                self.outputs_of(&taker.run, &taker.touch.object, depth + 1, &mut todo);
            }
        }
        Ok(())
    }

    fn outputs_of(&mut self, run_id: &str, object: &Id, depth: u32, todo: &mut VecDeque<(Id, BString, u64, u32)>) {
        let Some(run) = self.run(object) else { return };
        let node = self.run_node(run_id, object, depth * 2);
        for (key, output) in &run.outputs {
            let to = self.artifact_node(&output.content.id(), &output.path, output.size, depth * 2 + 1);
            self.edge(Edge { from: node.clone(), to, key: key.clone(), linked_by: None, direction: Direction::Down });
            todo.push_back((output.content.id(), output.path.clone(), output.size, depth));
        }
    }
}

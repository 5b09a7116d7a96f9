//! Walking lineage up and down.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

use foldhash::fast::RandomState;

use super::facts::{Facts, NoShortcut, Shortcut, Way};
use super::graph::{Direction, Edge, Graph, Node, NodeKind};
use super::producer::{self, Error, Found};
use crate::hash::{Id, IdMap};
use crate::object::inputs::InputList;
use crate::object::recipe::Content;
use crate::object::run::LinkedBy;
use crate::object::{Kind, Record, RunRecord, Source};
use crate::store::{Snapshot, Whereabouts};

/// Records that are read one by one before a quicker way is looked for.
const LONG: usize = 32;

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
    shortcut: &'a mut dyn Shortcut,
    graph: Graph,
    /// Where runs are in the graph, by their run ids.
    runs: HashMap<Arc<str>, usize, RandomState>,
    /// Where artifacts are in the graph, by their contents: each at its path.
    artifacts: IdMap<Vec<usize>>,
    edges: HashSet<(usize, usize, Arc<str>), RandomState>,
    /// What runs say, by object; nothing for those that can't be read.
    facts: IdMap<Option<Rc<Facts>>>,
    takers: IdMap<Vec<Found>>,
    /// Records read one by one.
    read: usize,
    places: Option<Whereabouts<'a>>,
    /// Whether the quicker way was looked for.
    is_asked: bool,
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
    trace_by(snapshot, project, scenario, start, options, &mut NoShortcut)
}

/// As [`trace`], by `shortcut` where that turns out to be long.
///
/// # Errors
/// Those of [`trace`].
pub fn trace_by(
    snapshot: &Snapshot,
    project: &str,
    scenario: &str,
    start: &Start,
    options: TraceOptions,
    shortcut: &mut dyn Shortcut,
) -> Result<Graph, Error> {
    let mut walk = Walk {
        snapshot,
        project,
        scenario,
        options,
        shortcut,
        graph: Graph { root: 0, nodes: Vec::new(), edges: Vec::new(), cut: false },
        runs: HashMap::default(),
        artifacts: IdMap::default(),
        edges: HashSet::default(),
        facts: IdMap::default(),
        takers: IdMap::default(),
        read: 0,
        places: None,
        is_asked: false,
    };
    walk.graph.root = match start {
        Start::Run { run, object } => walk.run_node(&run.as_str().into(), object, 0),
        Start::Artifact { content, path, size, .. } => walk.artifact_node(&content.id(), path.as_bstr(), *size, 0),
    };
    if options.up {
        walk.up(start)?;
    }
    if options.down {
        // What was found on the way up may lack what is wanted now.
        if walk.is_asked {
            walk.facts.clear();
        }
        (walk.is_asked, walk.read) = (false, 0);
        walk.down(start)?;
    }
    Ok(walk.graph)
}

impl Walk<'_> {
    fn facts(&mut self, object: &Id) -> Option<Rc<Facts>> {
        if let Some(known) = self.facts.get(object) {
            return known.clone();
        }
        self.read += 1;
        if self.read > LONG && self.places.is_none() {
            self.places = self.snapshot.whereabouts(&[Kind::RUN, Kind::INPUTS]).ok();
        }
        let read = |id: &Id| match &self.places {
            Some(places) => places.read(id).ok().flatten(),
            None => self.snapshot.read(id).ok().flatten(),
        };
        let record = read(object).and_then(|(_, bytes)| RunRecord::decode(&bytes).ok());
        let list = |id: &Id| read(id).and_then(|(_, bytes)| InputList::decode(&bytes).ok()).ok_or(());
        let run = record.and_then(|record| record.whole_with(list).ok());
        let facts = run.map(|run| Rc::new(Facts::of(run)));
        self.facts.insert(*object, facts.clone());
        facts
    }

    /// Looks for a quicker way, once, when the walk turns out to be long. How deep that way leads can't be said, so a bounded walk goes on by
    /// itself.
    fn hurry(&mut self, way: Way) {
        if self.is_asked || self.read < LONG || self.options.depth.is_some() {
            return;
        }
        self.is_asked = true;
        let from: Vec<Id> = self.facts.keys().copied().collect();
        if let Some(lines) = self.shortcut.lines(&from, way, self.project) {
            self.facts.reserve(lines.runs.len());
            for (object, facts) in lines.runs {
                self.facts.entry(object).or_insert_with(|| Some(Rc::new(facts)));
            }
            self.takers = lines.takers;
        }
    }

    fn node(&mut self, depth: u32, kind: NodeKind) -> usize {
        self.graph.nodes.push(Node { depth, kind });
        self.graph.nodes.len() - 1
    }

    fn run_node(&mut self, run_id: &Arc<str>, object: &Id, depth: u32) -> usize {
        if let Some(at) = self.runs.get(run_id) {
            return *at;
        }
        let kind = match self.facts(object) {
            Some(run) => NodeKind::Run {
                run: run.run.clone(),
                object: Some(*object),
                step: run.step.clone(),
                scenario: run.scenario.clone(),
                status: run.status.clone(),
                cache: run.cache.clone(),
                started_at: run.started_at,
            },
            None => NodeKind::Lost { run: run_id.clone() },
        };
        let at = self.node(depth, kind);
        self.runs.insert(run_id.clone(), at);
        at
    }

    fn artifact_node(&mut self, content: &Id, path: &BStr, size: u64, depth: u32) -> usize {
        let is_it = |at: &&usize| matches!(&self.graph.nodes[**at].kind, NodeKind::Artifact { path: other, .. } if other == path);
        if let Some(at) = self.artifacts.get(content).and_then(|all| all.iter().find(is_it)) {
            return *at;
        }
        let kind = NodeKind::Artifact { content: *content, path: path.to_owned(), size };
        let at = self.node(depth, kind);
        self.artifacts.entry(*content).or_default().push(at);
        at
    }

    fn edge(&mut self, (from, to): (usize, usize), key: &Arc<str>, linked_by: Option<LinkedBy>, direction: Direction) {
        if self.edges.insert((from, to, key.clone())) {
            self.graph.edges.push(Edge { from, to, key: key.clone(), linked_by, direction });
        }
    }

    fn is_too_deep(&mut self, depth: u32) -> bool {
        let too_deep = self.options.depth.is_some_and(|most| depth >= most);
        self.graph.cut |= too_deep;
        too_deep
    }

    fn up(&mut self, start: &Start) -> Result<(), Error> {
        let mut todo: VecDeque<(usize, Id, u32)> = VecDeque::new();
        let mut seen: Vec<bool> = Vec::new();
        let hit_of: Arc<str> = "hit of".into();
        match start {
            Start::Run { run, object } => todo.push_back((self.run_node(&run.as_str().into(), object, 0), *object, 0)),
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
                    let (run, key): (Arc<str>, Arc<str>) = (run.into(), key.into());
                    let to = self.artifact_node(&content.id(), path.as_bstr(), *size, 0);
                    let from = self.run_node(&run, &object, 1);
                    self.edge((from, to), &key, linked_by, Direction::Up);
                    todo.push_back((from, object, 0));
                }
            }
        }
        while let Some((node, object, depth)) = todo.pop_front() {
            if seen.len() <= node {
                seen.resize(self.graph.nodes.len(), false);
            }
            if std::mem::replace(&mut seen[node], true) {
                continue;
            }
            self.hurry(Way::Up);
            let Some(run) = self.facts(&object) else { continue };
            let has_more = !run.inputs.is_empty() || run.source.is_some();
            if has_more && self.is_too_deep(depth) {
                continue;
            }
            for input in &run.inputs {
                let from = self.artifact_node(&input.content, input.path.as_bstr(), input.size, depth * 2 + 2);
                self.edge((from, node), &input.key, None, Direction::Up);
                if let Some(made) = &input.maker {
                    let maker = self.run_node(&made.run, &made.object, depth * 2 + 3);
                    self.edge((maker, from), &made.key, Some(made.linked_by), Direction::Up);
                    todo.push_back((maker, made.object, depth + 1));
                }
            }
            if let Some((source, object)) = &run.source {
                let from = self.run_node(source, object, depth * 2 + 3);
                self.edge((from, node), &hit_of, None, Direction::Up);
            }
        }
        Ok(())
    }

    fn down(&mut self, start: &Start) -> Result<(), Error> {
        // What is asked is who took this content, not who took a file of this run by name.
        let mut todo: VecDeque<(Id, BString, u64, u32)> = VecDeque::new();
        let mut seen: HashSet<(Id, BString)> = HashSet::new();
        match start {
            Start::Run { run, object } => self.outputs_of(&run.as_str().into(), object, 0, &mut todo),
            Start::Artifact { content, path, size, .. } => todo.push_back((content.id(), path.clone(), *size, 0)),
        }
        while let Some((content, path, size, depth)) = todo.pop_front() {
            if !seen.insert((content, path.clone())) {
                continue;
            }
            self.hurry(Way::Down);
            let takers = match self.takers.remove(&content) {
                Some(known) => known,
                None => producer::takers(self.snapshot, &content)?,
            };
            let (here, others): (Vec<_>, Vec<_>) =
                takers.into_iter().partition(|t| t.touch.project == self.project && t.touch.path == path);
            if self.is_asked && !others.is_empty() {
                // The same content at another path comes here again.
                self.takers.insert(content, here.iter().chain(&others).cloned().collect());
            }
            if !here.is_empty() && self.is_too_deep(depth) {
                continue;
            }
            let node = self.artifact_node(&content, path.as_bstr(), size, depth * 2);
            for taker in here {
                let (taken_by, key): (Arc<str>, Arc<str>) = (taker.run.into(), taker.key.into());
                let run = self.run_node(&taken_by, &taker.touch.object, depth * 2 + 1);
                self.edge((node, run), &key, None, Direction::Down);
                self.outputs_of(&taken_by, &taker.touch.object, depth + 1, &mut todo);
            }
        }
        Ok(())
    }

    fn outputs_of(&mut self, run_id: &Arc<str>, object: &Id, depth: u32, todo: &mut VecDeque<(Id, BString, u64, u32)>) {
        let Some(run) = self.facts(object) else { return };
        let node = self.run_node(run_id, object, depth * 2);
        for output in &run.outputs {
            let to = self.artifact_node(&output.content, output.path.as_bstr(), output.size, depth * 2 + 1);
            self.edge((node, to), &output.key, None, Direction::Down);
            todo.push_back((output.content, output.path.clone(), output.size, depth));
        }
    }
}

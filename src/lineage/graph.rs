//! A lineage as data: runs, artifacts, and what led to what.

use std::borrow::Cow;
use std::sync::Arc;

use bstr::BString;

use crate::hash::Id;
use crate::object::run::LinkedBy;
use crate::path::shown;

/// Which way an edge was walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards what it came from.
    Up,
    /// Towards what it went into.
    Down,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A run.
    Run {
        /// Its run id.
        run: Arc<str>,
        /// Its object; `None` while it is not closed.
        object: Option<Id>,
        /// Its step.
        step: Arc<str>,
        /// Its scenario.
        scenario: Arc<str>,
        /// How it ended.
        status: Arc<str>,
        /// `hit`, `miss` or `off`.
        cache: Arc<str>,
        /// When it began.
        started_at: crate::clock::Micros,
    },
    /// Content at a path.
    Artifact {
        /// The content.
        content: Id,
        /// Where it lived, as records have it.
        path: BString,
        /// Its bytes.
        size: u64,
    },
    /// Others of the kind of those beside it, made short for people.
    More {
        /// How many.
        count: usize,
        /// What they are: `run STEP`, or `file`.
        what: String,
        /// Beside which node: its id, and which way.
        beside: (String, Direction),
    },
    /// Something whose record can't be read.
    Lost {
        /// Its run id.
        run: Arc<str>,
    },
}

/// A run or an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Steps from the root.
    pub depth: u32,
    /// What it is.
    pub kind: NodeKind,
}

impl Node {
    /// What it is called: the run id, or content id and path. Unique in the graph.
    pub fn id(&self) -> Cow<'_, str> {
        match &self.kind {
            NodeKind::Run { run, .. } => Cow::Borrowed(run),
            NodeKind::Artifact { content, path, .. } => Cow::Owned(format!("{content}:{}", shown(path))),
            NodeKind::More { what, beside: (id, direction), .. } => {
                Cow::Owned(format!("{id} more {what} {direction:?}"))
            }
            NodeKind::Lost { run } => Cow::Borrowed(run),
        }
    }
}

/// Data flowed from one node to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Where it came from: the place of that node among the nodes.
    pub from: usize,
    /// Where it went: the place of that node among the nodes.
    pub to: usize,
    /// Under which key.
    pub key: Arc<str>,
    /// How an artifact was tied to the run that made it; `None` for edges that the run itself states.
    pub linked_by: Option<LinkedBy>,
    /// Which way it was walked.
    pub direction: Direction,
}

/// A walked lineage. Nodes in the order they were found, edges in the direction of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The place of the node that was asked about among the nodes.
    pub root: usize,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All edges.
    pub edges: Vec<Edge>,
    /// Whether the walk stopped at the depth asked for although there was more.
    pub cut: bool,
}

impl Edge {
    /// The nodes at its near and its far end, as it was walked.
    pub(super) fn ends(&self) -> (usize, usize) {
        match self.direction {
            Direction::Up => (self.to, self.from),
            Direction::Down => (self.from, self.to),
        }
    }
}

impl Graph {
    /// Of each node the edges that were walked from there in one direction, in the order in which they were found.
    pub(super) fn ways(&self, direction: Direction) -> Vec<Vec<&Edge>> {
        let mut ways: Vec<Vec<&Edge>> = vec![Vec::new(); self.nodes.len()];
        for edge in self.edges.iter().filter(|edge| edge.direction == direction) {
            if let Some(ways) = ways.get_mut(edge.ends().0) {
                ways.push(edge);
            }
        }
        ways
    }
}

//! `prov lineage`.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;

use prov::lineage::graph::{Edge, Graph, Node, NodeKind};
use prov::lineage::{Start, TraceOptions, folded, makers, render, svg, takers, trace_by};
use prov::object::Kind;
use prov::object::recipe::Content;
use prov::revspec::Target;
use prov::run::Session;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Map;

use super::Context;
use super::describe::linked_by;
use super::revision::Seen;
use crate::args::{Direction, LineageArgs, LineageFormat};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::json;
use crate::output::record::shown;

/// Of so many alike beside each other all are shown to people.
const ALIKE: usize = 12;

/// Walks from a thing to what made it, or to what was made of it.
pub(crate) fn run(cx: &Context, args: &LineageArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let start = start(cx, &seen, args)?;
    let is_down = args.direction() == Direction::Down;
    let depth = args.depth.map(|depth| u32::try_from(depth).unwrap_or(u32::MAX));
    let options = TraceOptions { up: !is_down, down: is_down, depth };
    #[cfg(feature = "index")]
    let mut shortcut = prov::query::tables::ByIndex::new(&seen.repo, &seen.snapshot, cx.environment.user_cache());
    #[cfg(not(feature = "index"))]
    let mut shortcut = prov::lineage::facts::NoShortcut;
    let (project, scenario) = (seen.repo.project(), seen.repo.scenario());
    let graph = trace_by(&seen.snapshot, project, scenario, &start, options, &mut shortcut)?;
    if cx.ui.is_json() || args.format == LineageFormat::Json {
        cx.ui.written(&Document(&graph))?;
    } else {
        let short = if args.all { graph.clone() } else { folded(&graph, ALIKE) };
        match args.format {
            LineageFormat::Tree | LineageFormat::Json => {
                cx.ui.page(&cx.environment);
                cx.ui.print(render::tree(&short))?;
            }
            LineageFormat::Dot => cx.ui.print(render::dot(&short))?,
            LineageFormat::Mermaid => cx.ui.print(render::mermaid(&short))?,
            LineageFormat::Svg => cx.ui.print(svg(&short))?,
        }
        if graph.cut {
            cx.ui.say("there is more behind this; give a larger --depth");
        }
        if graph.edges.is_empty() {
            let way = if is_down { "no run on record took it" } else { "no run on record made it" };
            cx.ui.say(way);
        }
    }
    open::complete(&seen.snapshot)?;
    let lost: Vec<String> = graph.nodes.iter().filter_map(lost).collect();
    // It goes with the process: to give back what tens of thousands of nodes hold piece by piece takes as long as to print them.
    std::mem::forget(graph);
    if lost.is_empty() {
        return Ok(Exit::Done);
    }
    let mut failure = Failure::new(Class::Damaged, "damaged", "records are missing; the lineage may be incomplete");
    failure.causes = lost;
    Err(failure.hint("`prov fsck` names all that is damaged; what is whole can still be read"))
}

fn lost(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Lost { run } => Some(format!("run {} can't be read", shown(&**run))),
        NodeKind::Run { .. } | NodeKind::Artifact { .. } | NodeKind::More { .. } => None,
    }
}

fn start(cx: &Context, seen: &Seen, args: &LineageArgs) -> Result<Start, Failure> {
    let target = match seen.target(cx, &args.rev) {
        Ok(target) => target,
        Err(failure) => {
            let made = seen.made_at(cx, &args.rev, failure)?;
            let (content, path, size) = (made.output.content, made.output.path, made.output.size);
            let made_by = Some((made.at.run, made.at.object, made.key));
            return Ok(Start::Artifact { content, path, size, made_by });
        }
    };
    match target {
        Target::Run(at) | Target::Outputs(at) => Ok(Start::Run { run: at.run, object: at.object }),
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            let Some(artifact) = Seen::artifact(&run, &key) else {
                return Ok(Start::Run { run: at.run, object: at.object });
            };
            let made_by = if artifact.is_output {
                Some((at.run, at.object, key))
            } else {
                artifact.producer.and_then(|made| made.object.map(|object| (made.run, object, made.key)))
            };
            Ok(Start::Artifact { content: artifact.content, path: artifact.path, size: artifact.size, made_by })
        }
        Target::Path(place) => {
            let bar = cx.ui.bar();
            let session = Session::with_progress(&seen.repo, cx.cwd.clone(), &bar);
            let mut captured = Seen::capture(&session, &place)?;
            let path = seen.repo.recorded_path(&place);
            if matches!(captured.content, Content::Tree(_)) && !is_known(seen, &captured.content)? {
                // A folder that was committed by hand lacks what the ignore rules leave out.
                let options = session.capture_options(&place)?;
                let by_rules = prov::worktree::capture(&session.worktree(), &place, &options, None)?;
                if is_known(seen, &by_rules.content)? {
                    captured = by_rules;
                }
            }
            session.save();
            Ok(Start::Artifact { content: captured.content, path, size: captured.size, made_by: None })
        }
        Target::Object(id, kind) => {
            let content = if kind == Kind::BLOB {
                Content::Blob(id)
            } else if kind == Kind::TREE {
                Content::Tree(id)
            } else {
                return Err(no_lineage(args));
            };
            let size = super::describe::size_of(&seen.snapshot, &id)?;
            let found = makers(&seen.snapshot, &id)?.into_iter().next();
            let found = match found {
                Some(found) => Some((found.touch.path.clone(), Some((found.run, found.touch.object, found.key)))),
                None => takers(&seen.snapshot, &id)?.into_iter().next().map(|found| (found.touch.path, None)),
            };
            let Some((path, made_by)) = found else { return Err(no_lineage(args)) };
            Ok(Start::Artifact { content, path, size, made_by })
        }
        Target::Config(..) | Target::ConfigFolder(..) | Target::Code(..) => Err(no_lineage(args)),
    }
}

fn is_known(seen: &Seen, content: &Content) -> Result<bool, Failure> {
    Ok(!makers(&seen.snapshot, &content.id())?.is_empty() || !takers(&seen.snapshot, &content.id())?.is_empty())
}

fn no_lineage(args: &LineageArgs) -> Failure {
    Failure::usage(format!("`{}` is neither a run nor an input or output of one", shown(args.rev.as_bytes())))
        .hint("name a run, an artifact (RUN:KEY) or a file")
}

/// A lineage as JSON, node by node: one of ten thousand runs would be large as a tree of values.
struct Document<'a>(&'a Graph);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in json::document("lineage") {
            map.serialize_entry(&key, &value)?;
        }
        let nodes = &self.0.nodes;
        let ids: Vec<Cow<'_, str>> = nodes.iter().map(Node::id).collect();
        map.serialize_entry("root", id_at(&ids, self.0.root))?;
        map.serialize_entry("cut", &self.0.cut)?;
        map.serialize_entry("nodes", &Each(nodes, |at, node| NodeLine(id_at(&ids, at), node)))?;
        map.serialize_entry("edges", &Each(&self.0.edges, |_, edge| EdgeLine(&ids, edge)))?;
        map.end()
    }
}

fn id_at<'a>(ids: &'a [Cow<'_, str>], at: usize) -> &'a str {
    ids.get(at).map_or("", |id| id.as_ref())
}

/// A list, each member made when it is its turn.
struct Each<'a, T, F>(&'a [T], F);

impl<'a, T, L: Serialize, F: Fn(usize, &'a T) -> L> Serialize for Each<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().enumerate().map(|(at, one)| self.1(at, one)))
    }
}

struct NodeLine<'a>(&'a str, &'a Node);

impl Serialize for NodeLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(id, node) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        let what = match &node.kind {
            NodeKind::Run { .. } | NodeKind::Lost { .. } => "run",
            NodeKind::Artifact { .. } => "artifact",
            NodeKind::More { .. } => "more",
        };
        map.serialize_entry("type", what)?;
        map.serialize_entry("depth", &node.depth)?;
        match &node.kind {
            NodeKind::Run { run, object, step, scenario, status, cache, started_at, .. } => {
                map.serialize_entry("run", &**run)?;
                map.serialize_entry("object", object)?;
                map.serialize_entry("step", &**step)?;
                map.serialize_entry("scenario", &**scenario)?;
                map.serialize_entry("status", &**status)?;
                map.serialize_entry("cache", &**cache)?;
                map.serialize_entry("started_at", &json::time(*started_at))?;
            }
            NodeKind::Artifact { content, path, size, .. } => {
                map.serialize_entry("content", content)?;
                if let Ok(path) = std::str::from_utf8(path) {
                    map.serialize_entry("path", path)?;
                } else {
                    let mut bytes = Map::new();
                    json::put_bytes(&mut bytes, "path", path);
                    for (key, value) in bytes {
                        map.serialize_entry(&key, &value)?;
                    }
                }
                map.serialize_entry("size", size)?;
            }
            NodeKind::More { count, what, .. } => {
                map.serialize_entry("count", count)?;
                map.serialize_entry("what", what)?;
            }
            NodeKind::Lost { run } => map.serialize_entry("lost", &format!("run {run}"))?,
        }
        map.end()
    }
}

struct EdgeLine<'a>(&'a [Cow<'a, str>], &'a Edge);

impl Serialize for EdgeLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(ids, edge) = self;
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("from", id_at(ids, edge.from))?;
        map.serialize_entry("to", id_at(ids, edge.to))?;
        map.serialize_entry("key", &*edge.key)?;
        map.serialize_entry("linked_by", &linked_by(edge.linked_by))?;
        map.end()
    }
}

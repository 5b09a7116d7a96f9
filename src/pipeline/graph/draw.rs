//! A plan as a picture: Graphviz, Mermaid, SVG.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use crate::path::shown;
use crate::pipeline::plan::{Expands, Plan, Why};

/// What the nodes of a picture are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Every task.
    Tasks,
    /// Every step.
    Steps,
}

/// A picture: nodes in groups, and arrows.
#[derive(Debug, Clone)]
pub struct Drawing {
    nodes: Vec<Node>,
    arrows: Vec<Arrow>,
    groups: Vec<String>,
}

#[derive(Debug, Clone)]
struct Node {
    label: String,
    group: Option<usize>,
    level: usize,
    is_open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: usize,
    to: usize,
    label: String,
    look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    /// Declared.
    Firm,
    /// Follows from paths.
    Inferred,
    /// From a task to those it makes.
    Made,
    /// Not obeyed.
    Void,
}

/// The picture of a plan.
pub fn drawing(plan: &Plan, detail: Detail) -> Drawing {
    match detail {
        Detail::Tasks => of_tasks(plan),
        Detail::Steps => of_steps(plan),
    }
}

fn look(why: &Why, is_obeyed: bool) -> Look {
    match why {
        _ if !is_obeyed => Look::Void,
        Why::Path(_) => Look::Inferred,
        Why::Made => Look::Made,
        Why::Requires | Why::Key(_) => Look::Firm,
    }
}

fn of_tasks(plan: &Plan) -> Drawing {
    let nodes = plan.tasks.iter().map(|task| Node {
        label: shown(task.name.as_bytes()),
        group: Some(task.step),
        level: task.level,
        is_open: task.expands == Expands::AtRunTime,
    });
    let mut arrows: Vec<Arrow> = Vec::new();
    for edge in &plan.edges {
        let label = edge.why.about().map(|about| shown(about.as_bytes())).unwrap_or_default();
        arrows.push(Arrow { from: edge.from.0, to: edge.to.0, label, look: look(&edge.why, edge.is_obeyed) });
    }
    // Steps that need each other are joined from last to first tasks.
    for step in &plan.steps {
        for &other in &step.needs {
            let has_after: BTreeSet<usize> = plan.edges.iter().map(|edge| edge.from.0).collect();
            let has_before: BTreeSet<usize> = plan.edges.iter().map(|edge| edge.to.0).collect();
            let last = plan.steps[other].tasks.iter().filter(|id| !has_after.contains(&id.0));
            for from in last {
                for to in step.tasks.iter().filter(|id| !has_before.contains(&id.0)) {
                    arrows.push(Arrow { from: from.0, to: to.0, label: String::new(), look: Look::Firm });
                }
            }
        }
    }
    let groups = plan.steps.iter().map(|step| shown(step.name.as_bytes())).collect();
    Drawing { nodes: nodes.collect(), arrows, groups }
}

fn of_steps(plan: &Plan) -> Drawing {
    let mut arrows: BTreeMap<(usize, usize), (Look, usize)> = BTreeMap::new();
    for (to, step) in plan.steps.iter().enumerate() {
        for &from in &step.needs {
            arrows.insert((from, to), (Look::Firm, 0));
        }
    }
    for edge in &plan.edges {
        let (from, to) = (plan.task(edge.from).step, plan.task(edge.to).step);
        if from != to {
            let look = look(&edge.why, edge.is_obeyed);
            let arrow = arrows.entry((from, to)).or_insert((look, 0));
            arrow.0 = arrow.0.min(look);
            arrow.1 += 1;
        }
    }
    // Steps are drawn in the order of their longest chains; what goes in a circle stays where it is.
    let mut levels = vec![0usize; plan.steps.len()];
    for _ in 0..plan.steps.len() {
        let mut is_moved = false;
        for (&(from, to), _) in arrows.iter().filter(|(_, (look, _))| *look != Look::Void) {
            if levels[to] <= levels[from] && levels[from] + 1 < plan.steps.len() {
                levels[to] = levels[from] + 1;
                is_moved = true;
            }
        }
        if !is_moved {
            break;
        }
    }
    let nodes = plan.steps.iter().zip(levels).map(|(step, level)| {
        let count = step.tasks.len();
        let label = format!("{} ({count} task{})", shown(step.name.as_bytes()), if count == 1 { "" } else { "s" });
        Node { label, group: None, level, is_open: false }
    });
    let arrows = arrows.into_iter().map(|((from, to), (look, count))| {
        let label = if count > 1 { format!("{count} paths") } else { String::new() };
        Arrow { from, to, label, look }
    });
    Drawing { nodes: nodes.collect(), arrows: arrows.collect(), groups: Vec::new() }
}

/// The picture in Graphviz's language.
pub fn dot(drawing: &Drawing) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut out = String::from("digraph pipeline {\n  rankdir=LR;\n  node [fontname=\"Helvetica\", shape=box];\n");
    let node = |out: &mut String, i: usize, indent: &str| {
        let node = &drawing.nodes[i];
        let style = if node.is_open { ", style=dashed" } else { "" };
        let _ = writeln!(out, "{indent}n{i} [label=\"{}\"{style}];", quoted(&node.label));
    };
    for (number, group) in drawing.groups.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{number} {{\n    label=\"{}\";", quoted(group));
        for i in (0..drawing.nodes.len()).filter(|i| drawing.nodes[*i].group == Some(number)) {
            node(&mut out, i, "    ");
        }
        out.push_str("  }\n");
    }
    for i in (0..drawing.nodes.len()).filter(|i| drawing.nodes[*i].group.is_none()) {
        node(&mut out, i, "  ");
    }
    for arrow in &drawing.arrows {
        let style = match arrow.look {
            Look::Firm => "",
            Look::Inferred => ", style=dashed",
            Look::Made => ", style=dotted, arrowhead=odot",
            Look::Void => ", style=dashed, color=red, constraint=false",
        };
        let _ = writeln!(out, "  n{} -> n{} [label=\"{}\"{style}];", arrow.from, arrow.to, quoted(&arrow.label));
    }
    out.push_str("}\n");
    out
}

/// The picture in Mermaid's language.
pub fn mermaid(drawing: &Drawing) -> String {
    let text = |s: &str| {
        s.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;").replace('|', "#124;")
    };
    let mut out = String::from("flowchart LR\n");
    let node = |out: &mut String, i: usize, indent: &str| {
        let node = &drawing.nodes[i];
        let (open, close) = if node.is_open { ("([\"", "\"])") } else { ("[\"", "\"]") };
        let _ = writeln!(out, "{indent}n{i}{open}{}{close}", text(&node.label));
    };
    for (number, group) in drawing.groups.iter().enumerate() {
        let _ = writeln!(out, "  subgraph s{number}[\"{}\"]", text(group));
        for i in (0..drawing.nodes.len()).filter(|i| drawing.nodes[*i].group == Some(number)) {
            node(&mut out, i, "    ");
        }
        out.push_str("  end\n");
    }
    for i in (0..drawing.nodes.len()).filter(|i| drawing.nodes[*i].group.is_none()) {
        node(&mut out, i, "  ");
    }
    for arrow in &drawing.arrows {
        let line = match arrow.look {
            Look::Firm => "-->",
            Look::Inferred | Look::Made => "-.->",
            Look::Void => "-.-x",
        };
        let label = if arrow.label.is_empty() { String::new() } else { format!("|\"{}\"|", text(&arrow.label)) };
        let _ = writeln!(out, "  n{} {line}{label} n{}", arrow.from, arrow.to);
    }
    out
}

const WIDTH: usize = 260;
const HEIGHT: usize = 34;
const GAP_X: usize = 90;
const GAP_Y: usize = 14;
const MARGIN: usize = 20;

/// The picture as an SVG document: one column for each level, arrows from left to right.
pub fn svg(drawing: &Drawing) -> String {
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;")
    };
    let mut rows: HashMap<usize, usize> = HashMap::new();
    let places: Vec<(usize, usize)> = drawing
        .nodes
        .iter()
        .map(|node| {
            let row = rows.entry(node.level).or_insert(0);
            *row += 1;
            (MARGIN + node.level * (WIDTH + GAP_X), MARGIN + (*row - 1) * (HEIGHT + GAP_Y))
        })
        .collect();
    let columns = drawing.nodes.iter().map(|node| node.level + 1).max().unwrap_or(0);
    let width = 2 * MARGIN + columns * WIDTH + columns.saturating_sub(1) * GAP_X;
    let height = 2 * MARGIN + rows.values().max().map_or(0, |most| most * (HEIGHT + GAP_Y) - GAP_Y);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n  <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
         markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#555\"/></marker></defs>"
    );
    for arrow in &drawing.arrows {
        let (from, to) = (places[arrow.from], places[arrow.to]);
        let (x1, y1, x2, y2) = (from.0 + WIDTH, from.1 + HEIGHT / 2, to.0, to.1 + HEIGHT / 2);
        let style = match arrow.look {
            Look::Firm => "stroke=\"#555\"",
            Look::Inferred => "stroke=\"#555\" stroke-dasharray=\"6 3\"",
            Look::Made => "stroke=\"#999\" stroke-dasharray=\"2 3\"",
            Look::Void => "stroke=\"#c00\" stroke-dasharray=\"6 3\"",
        };
        let title =
            if arrow.label.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(&arrow.label)) };
        let half = GAP_X / 2;
        let _ = writeln!(
            out,
            "  <path d=\"M{x1},{y1} C{},{y1} {},{y2} {x2},{y2}\" fill=\"none\" {style} marker-end=\"url(#tip)\">{title}</path>",
            x1 + half,
            x2.saturating_sub(half),
        );
    }
    for (node, (x, y)) in drawing.nodes.iter().zip(&places) {
        let group = node.group.and_then(|group| drawing.groups.get(group)).map_or("", String::as_str);
        let hue = node.group.map_or(210, |group| (group * 47) % 360);
        let dashes = if node.is_open { " stroke-dasharray=\"5 3\"" } else { "" };
        let mut short: String = node.label.chars().take(40).collect();
        if short.len() < node.label.len() {
            short.push('…');
        }
        let title = if group.is_empty() { node.label.clone() } else { format!("{group}/{}", node.label) };
        let _ = writeln!(
            out,
            "  <g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"hsl({hue},60%,93%)\" \
             stroke=\"hsl({hue},40%,50%)\"{dashes}/><text x=\"{}\" y=\"{}\">{}</text></g>",
            escaped(&title),
            x + 8,
            y + HEIGHT / 2 + 4,
            escaped(&short),
        );
    }
    out.push_str("</svg>\n");
    out
}

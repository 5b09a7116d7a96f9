//! A lineage as a picture: columns from left to right as the data flowed, edges that find their way between the boxes.

use std::fmt::Write;

use super::graph::{Graph, Node, NodeKind};
use super::render::short_tail;
use crate::path::shown;

const WIDTH: f64 = 200.0;
const RUN_HEIGHT: f64 = 48.0;
const FILE_HEIGHT: f64 = 36.0;
const GAP_X: f64 = 64.0;
const GAP_Y: f64 = 18.0;
const MARGIN: f64 = 28.0;
/// Room for an edge that passes a column.
const LANE: f64 = 10.0;
/// Sweeps that bring neighbours closer to each other.
const SWEEPS: usize = 12;

/// A place in a column: a node, or an edge that passes.
#[derive(Debug, Clone)]
struct Item {
    node: Option<usize>,
    column: usize,
    y: f64,
    height: f64,
    /// Items of the column before and after that it is joined to.
    before: Vec<usize>,
    after: Vec<usize>,
}

struct Layout {
    items: Vec<Item>,
    columns: Vec<Vec<usize>>,
    /// Of each edge: its items from the first node to the last.
    ways: Vec<Vec<usize>>,
}

/// The picture as an SVG document. It brings its own colours for light and dark screens and needs no font but what is there.
pub fn svg(graph: &Graph) -> String {
    let edges: Vec<(usize, usize, usize)> = graph
        .edges
        .iter()
        .enumerate()
        .map(|(n, edge)| (edge.from, edge.to, n))
        .filter(|(from, to, _)| from != to && *from.max(to) < graph.nodes.len())
        .collect();
    let columns = columns_of(graph.nodes.len(), &edges);
    let mut layout = lay_out(graph, &columns, &edges);
    for sweep in 0..SWEEPS {
        order(&mut layout, sweep % 2 == 0);
    }
    stack(&mut layout);
    for sweep in 0..SWEEPS * 2 {
        pull(&mut layout, sweep % 2 == 0);
    }
    let top = layout.items.iter().map(|item| item.y).fold(f64::INFINITY, f64::min);
    let top = if top.is_finite() { top } else { 0.0 };
    for item in &mut layout.items {
        item.y += MARGIN - top;
    }
    draw(graph, &edges, &layout)
}

/// The column of each node: one after all that lead to it. What goes in a circle is cut where it was met last.
fn columns_of(nodes: usize, edges: &[(usize, usize, usize)]) -> Vec<usize> {
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut waits = vec![0usize; nodes];
    for &(from, to, _) in edges {
        after[from].push(to);
        waits[to] += 1;
    }
    let mut columns = vec![0usize; nodes];
    let mut ready: Vec<usize> = (0..nodes).filter(|at| waits[*at] == 0).collect();
    let mut is_done = vec![false; nodes];
    let mut open = 0;
    loop {
        while let Some(at) = ready.pop() {
            is_done[at] = true;
            for &to in &after[at] {
                if is_done[to] {
                    continue;
                }
                columns[to] = columns[to].max(columns[at] + 1);
                waits[to] -= 1;
                if waits[to] == 0 {
                    ready.push(to);
                }
            }
        }
        // Only circles are left: the first of one goes on without what it waits for.
        while open < nodes && is_done[open] {
            open += 1;
        }
        if open >= nodes {
            break;
        }
        waits[open] = 0;
        ready.push(open);
    }
    // A source stands right before what uses it first, not far to the left.
    let mut has_before = vec![false; nodes];
    for &(_, to, _) in edges {
        has_before[to] = true;
    }
    for at in (0..nodes).filter(|at| !has_before[*at]) {
        let nearest = after[at].iter().map(|to| columns[*to]).filter(|column| *column > 0).min();
        if let Some(nearest) = nearest {
            columns[at] = nearest - 1;
        }
    }
    columns
}

fn height(node: &Node) -> f64 {
    match node.kind {
        NodeKind::Run { .. } => RUN_HEIGHT,
        NodeKind::Artifact { .. } | NodeKind::Lost { .. } | NodeKind::More { .. } => FILE_HEIGHT,
    }
}

fn lay_out(graph: &Graph, columns: &[usize], edges: &[(usize, usize, usize)]) -> Layout {
    let count = columns.iter().map(|column| column + 1).max().unwrap_or(0);
    let mut layout = Layout { items: Vec::new(), columns: vec![Vec::new(); count], ways: Vec::new() };
    for (at, node) in graph.nodes.iter().enumerate() {
        layout.columns[columns[at]].push(layout.items.len());
        layout.items.push(Item {
            node: Some(at),
            column: columns[at],
            y: 0.0,
            height: height(node),
            before: Vec::new(),
            after: Vec::new(),
        });
    }
    for &(from, to, _) in edges {
        let (first, last) = (columns[from], columns[to]);
        let mut way = vec![from];
        // An edge of a circle goes back, straight.
        for column in (first + 1)..last.max(first + 1) {
            let at = layout.items.len();
            layout.columns[column].push(at);
            let item = Item { node: None, column, y: 0.0, height: LANE, before: Vec::new(), after: Vec::new() };
            layout.items.push(item);
            way.push(at);
        }
        way.push(to);
        if last > first {
            for pair in way.windows(2) {
                layout.items[pair[0]].after.push(pair[1]);
                layout.items[pair[1]].before.push(pair[0]);
            }
        }
        layout.ways.push(way);
    }
    layout
}

/// Orders each column by where its neighbours of the column before, or after, stand.
fn order(layout: &mut Layout, to_right: bool) {
    let count = layout.columns.len();
    let mut place = vec![0.0f64; layout.items.len()];
    for column in &layout.columns {
        for (at, item) in column.iter().enumerate() {
            place[*item] = at_of(at);
        }
    }
    let sequence: Vec<usize> =
        if to_right { (1..count).collect() } else { (0..count.saturating_sub(1)).rev().collect() };
    for column in sequence {
        let mut keyed: Vec<(f64, usize)> = layout.columns[column]
            .iter()
            .map(|item| {
                let near = if to_right { &layout.items[*item].before } else { &layout.items[*item].after };
                (mean(near.iter().map(|other| place[*other])).unwrap_or(place[*item]), *item)
            })
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (at, (_, item)) in keyed.iter().enumerate() {
            place[*item] = at_of(at);
        }
        layout.columns[column] = keyed.into_iter().map(|(_, item)| item).collect();
    }
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn at_of(n: usize) -> f64 {
    n as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0.0);
    for value in values {
        sum += value;
        n += 1.0;
    }
    (n > 0.0).then(|| sum / n)
}

/// Puts the items of each column one below the other, all columns around one line.
fn stack(layout: &mut Layout) {
    for column in &layout.columns {
        let total: f64 = column.iter().map(|item| layout.items[*item].height + GAP_Y).sum::<f64>() - GAP_Y;
        let mut y = -total / 2.0;
        for item in column {
            layout.items[*item].y = y;
            y += layout.items[*item].height + GAP_Y;
        }
    }
}

/// Moves items towards the middle of their neighbours as far as the others of their column let them.
fn pull(layout: &mut Layout, to_right: bool) {
    let count = layout.columns.len();
    let sequence: Vec<usize> = if to_right { (0..count).collect() } else { (0..count).rev().collect() };
    for column in sequence {
        let ids = layout.columns[column].clone();
        let middle = |layout: &Layout, at: usize| layout.items[at].y + layout.items[at].height / 2.0;
        let wanted: Vec<f64> = ids
            .iter()
            .map(|&at| {
                let item = &layout.items[at];
                // A lane that goes on is to be straight.
                let weight =
                    |other: &usize| if item.node.is_none() && layout.items[*other].node.is_none() { 4 } else { 1 };
                let near = item.before.iter().chain(&item.after);
                let near = near.flat_map(|other| std::iter::repeat_n(middle(layout, *other), weight(other)));
                mean(near).unwrap_or_else(|| middle(layout, at)) - item.height / 2.0
            })
            .collect();
        // Stretches of items that touch move as one: each stands where its members on average want to.
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        let mut offset = 0.0;
        for (n, &at) in ids.iter().enumerate() {
            let own = wanted[n] - offset;
            blocks.push((own, 1.0, 1));
            while let [.., a, b] = blocks.as_slice() {
                if a.0 <= b.0 {
                    break;
                }
                let joined = ((a.0 * a.1 + b.0 * b.1) / (a.1 + b.1), a.1 + b.1, a.2 + b.2);
                blocks.truncate(blocks.len() - 2);
                blocks.push(joined);
            }
            offset += layout.items[at].height + GAP_Y;
        }
        let mut places = blocks.iter().flat_map(|(y, _, n)| std::iter::repeat_n(*y, *n));
        let mut offset = 0.0;
        for &at in &ids {
            let y = places.next().unwrap_or(0.0) + offset;
            offset += layout.items[at].height + GAP_Y;
            layout.items[at].y = y;
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most - 1).collect();
    format!("{head}…")
}

/// The end of a path says more than its beginning.
fn short_path(path: &str, most: usize) -> String {
    let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path);
    short(name, most)
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut n, mut unit) = (bytes, 0);
    while n >= 10_240 && unit + 1 < UNITS.len() {
        n /= 1024;
        unit += 1;
    }
    format!("{n} {}", UNITS[unit])
}

/// A hue for a step: the same in every picture.
fn hue(step: &str) -> u32 {
    let sum = step.bytes().fold(2_166_136_261u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(16_777_619));
    sum % 360
}

const STYLE: &str = "
    .bg{fill:#fbfbfa} .edge{fill:none;stroke:#b9bdc4;stroke-width:1.6} .hit{stroke-dasharray:5 4}
    .run{stroke-width:1.2} .file{fill:#ffffff;stroke:#d5d8dd;stroke-width:1.2} .more,.lost{fill:none;stroke:#b9bdc4;stroke-dasharray:4 4}
    .t{fill:#20242b;font-size:13px;font-weight:600} .s{fill:#6b7280;font-size:10.5px} .k{fill:#8a919c;font-size:9.5px}
    .f{fill:#374151;font-size:12px} .root{stroke:#2563eb;stroke-width:2.4}
    .ok{fill:#22a06b} .bad{fill:#d9363e} .aborted{fill:#e59f12}
    @media (prefers-color-scheme: dark){ .bg{fill:#14171c} .edge{stroke:#4b5563} .file{fill:#1d2229;stroke:#39414d} .t{fill:#f3f4f6}
    .s{fill:#9ca3af} .k{fill:#7c8594} .f{fill:#d1d5db} .run{filter:brightness(.42) saturate(1.3)} .more,.lost{stroke:#4b5563} .root{stroke:#60a5fa} }
";

fn draw(graph: &Graph, edges: &[(usize, usize, usize)], layout: &Layout) -> String {
    let x_of = |column: usize| MARGIN + at_of(column) * (WIDTH + GAP_X);
    let width = x_of(layout.columns.len()).max(MARGIN + WIDTH) - GAP_X + MARGIN;
    let bottom = layout.items.iter().map(|item| item.y + item.height).fold(MARGIN, f64::max);
    let height = bottom + MARGIN;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif\">\n<style>{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M1,1 L9,5 L1,9\" fill=\"none\" stroke=\"#9aa1ac\" stroke-width=\"1.6\"/></marker></defs>\n\
         <rect class=\"bg\" width=\"100%\" height=\"100%\"/>"
    );
    for (way, &(_, _, n)) in layout.ways.iter().zip(edges) {
        let edge = &graph.edges[n];
        let is_hit = *edge.key == *"hit of";
        let path = curve(layout, way, &x_of);
        let class = if is_hit { "edge hit" } else { "edge" };
        let title = if edge.key.is_empty() {
            String::new()
        } else {
            format!("<title>{}</title>", escaped(&shown(edge.key.as_bytes())))
        };
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#tip)\">{title}</path>");
    }
    for item in &layout.items {
        if let Some(at) = item.node {
            let node = &graph.nodes[at];
            boxed(&mut out, node, at == graph.root, x_of(item.column), item.y);
        }
    }
    out.push_str("</svg>\n");
    out
}

/// An edge through all the lanes that were kept for it.
fn curve(layout: &Layout, way: &[usize], x_of: &dyn Fn(usize) -> f64) -> String {
    let middle = |at: usize| layout.items[at].y + layout.items[at].height / 2.0;
    let (Some(&first), Some(&last)) = (way.first(), way.last()) else { return String::new() };
    let (mut x, mut y) = (x_of(layout.items[first].column) + WIDTH, middle(first));
    let mut path = format!("M{x:.1},{y:.1}");
    for &at in &way[1..] {
        let (next_x, next_y) = (x_of(layout.items[at].column), middle(at));
        let end = if at == last { next_x - 3.0 } else { next_x };
        let bend = (end - x).abs().max(GAP_X) / 2.0;
        let _ = write!(path, " C{:.1},{y:.1} {:.1},{next_y:.1} {end:.1},{next_y:.1}", x + bend, end - bend);
        (x, y) = (end, next_y);
        if at != last {
            x = next_x + WIDTH;
            let _ = write!(path, " L{x:.1},{y:.1}");
        }
    }
    path
}

fn boxed(out: &mut String, node: &Node, is_root: bool, x: f64, y: f64) {
    let root = if is_root { " root" } else { "" };
    let title = |text: String| format!("<title>{}</title>", escaped(&text));
    match &node.kind {
        NodeKind::Run { run, step, scenario, status, cache, started_at, .. } => {
            let hue = hue(step);
            let dot = match &**status {
                "success" => "ok",
                "failure" => "bad",
                _ => "aborted",
            };
            let at = started_at.rfc3339();
            let day = at.get(..16).unwrap_or_default().replace('T', " ");
            let how = if **cache == *"hit" { " · hit" } else { "" };
            let step = shown(step.as_bytes());
            let about = title(format!("{step} in {}\n{run}\n{status}, {cache}\n{at}", shown(scenario.as_bytes())));
            let _ = writeln!(
                out,
                "<g>{about}<rect class=\"run{root}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{RUN_HEIGHT}\" rx=\"11\" \
                 fill=\"hsl({hue},62%,92%)\" stroke=\"hsl({hue},42%,66%)\"/><circle class=\"{dot}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.2\"/>\
                 <text class=\"t\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"s\" x=\"{:.1}\" y=\"{:.1}\">{} · {}{how}</text></g>",
                x + 15.0,
                y + 17.0,
                x + 27.0,
                y + 21.5,
                escaped(&short(&step, 20)),
                x + 27.0,
                y + 37.0,
                escaped(&shown(short_tail(run).as_bytes())),
                escaped(&day),
            );
        }
        NodeKind::Artifact { path, size: bytes, content } => {
            let id = content.short();
            let path = shown(path);
            let about = title(format!("{path}\n{content}\n{bytes} bytes"));
            let (right, bottom, fold) = (x + WIDTH, y + FILE_HEIGHT, 10.0);
            let _ = writeln!(
                out,
                "<g>{about}<path class=\"file{root}\" d=\"M{:.1},{y:.1} H{:.1} L{right:.1},{:.1} V{:.1} Q{right:.1},{bottom:.1} {:.1},{bottom:.1} H{:.1} \
                 Q{x:.1},{bottom:.1} {x:.1},{:.1} V{:.1} Q{x:.1},{y:.1} {:.1},{y:.1} Z\"/><path class=\"file\" fill-opacity=\"0\" d=\"M{:.1},{y:.1} V{:.1} H{right:.1}\"/>\
                 <text class=\"f\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"k\" x=\"{:.1}\" y=\"{:.1}\">{} · {}</text></g>",
                x + 5.0,
                right - fold,
                y + fold,
                bottom - 5.0,
                right - 5.0,
                x + 5.0,
                bottom - 5.0,
                y + 5.0,
                x + 5.0,
                right - fold,
                y + fold,
                x + 12.0,
                y + 15.5,
                escaped(&short_path(&path, 24)),
                x + 12.0,
                y + 28.5,
                escaped(&size(*bytes)),
                escaped(&id),
            );
        }
        NodeKind::More { count, what, .. } => {
            let what = match what.strip_prefix("run ") {
                Some(step) => format!("{count} more of {}", shown(step.as_bytes())),
                None => format!("{count} more files"),
            };
            dashed(out, "more", root, x, y, &what);
        }
        NodeKind::Lost { run } => {
            dashed(out, "lost", root, x, y, &format!("run {}: can't be read", shown(run.as_bytes())));
        }
    }
}

fn dashed(out: &mut String, class: &str, root: &str, x: f64, y: f64, text: &str) {
    let _ = writeln!(
        out,
        "<g><title>{}</title><rect class=\"{class}{root}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{WIDTH}\" height=\"{FILE_HEIGHT}\" rx=\"8\"/>\
         <text class=\"s\" x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
        escaped(text),
        x + 12.0,
        y + FILE_HEIGHT / 2.0 + 4.0,
        escaped(&short(text, 30)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::graph::{Direction, Edge};

    fn node(n: usize) -> Node {
        let kind = NodeKind::Artifact { content: crate::hash::blob(b"x"), path: format!("a<b>&\"{n}").into(), size: 1 };
        Node { depth: 0, kind }
    }

    fn graph(n: usize, edges: &[(usize, usize)]) -> Graph {
        let edge = |(from, to): &(usize, usize)| Edge {
            from: *from,
            to: *to,
            key: "k".into(),
            linked_by: None,
            direction: Direction::Up,
        };
        Graph { root: 0, nodes: (0..n).map(node).collect(), edges: edges.iter().map(edge).collect(), cut: false }
    }

    #[test]
    fn boxes_of_a_column_do_not_overlap_and_circles_end() {
        for edges in [&[(0, 1), (1, 2), (0, 2), (3, 2)][..], &[(0, 1), (1, 0)], &[(0, 0)], &[]] {
            let graph = graph(5, edges);
            let text = svg(&graph);
            assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n") && !text.contains("NaN"), "{text}");
            assert!(text.contains("a&lt;b&gt;&amp;&quot;4"));
        }
        let many: Vec<(usize, usize)> = (0..40).map(|n| (n, 40 + n % 7)).chain([(45, 0)]).collect();
        let graph = graph(50, &many);
        let edges: Vec<_> = many.iter().enumerate().map(|(n, (a, b))| (*a, *b, n)).collect();
        let columns = columns_of(50, &edges);
        let mut layout = lay_out(&graph, &columns, &edges);
        order(&mut layout, true);
        stack(&mut layout);
        (0..10).for_each(|n| pull(&mut layout, n % 2 == 0));
        for column in &layout.columns {
            for pair in column.windows(2) {
                let (a, b) = (&layout.items[pair[0]], &layout.items[pair[1]]);
                assert!(b.y >= a.y + a.height + GAP_Y - 0.01, "{a:?} {b:?}");
            }
        }
    }
}

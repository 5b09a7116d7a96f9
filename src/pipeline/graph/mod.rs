//! The order of a plan's tasks: cycles, levels, and drawings.
//!
//! A task that makes tasks has a beginning and an end, with what it makes between them, and so has a step that others need. So each of
//! them is two nodes here.

pub mod draw;

use std::collections::HashMap;

use super::finding::Finding;
use super::plan::{Edge, Plan, TaskId, Why};

/// How many tasks must be done before each task, in a row.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    /// By task; 0 for those in a cycle.
    pub(super) of: Vec<usize>,
}

/// The nodes and arrows that edges make.
struct Net {
    /// Where each node leads to, and whether the way takes a level.
    next: Vec<Vec<(usize, bool)>>,
    tasks: usize,
}

impl Net {
    fn of(plan: &Plan, edges: impl Iterator<Item = usize>) -> Self {
        let tasks = plan.tasks.len();
        let mut next: Vec<Vec<(usize, bool)>> = vec![Vec::new(); 2 * (tasks + plan.steps.len())];
        for at in 0..tasks + plan.steps.len() {
            next[2 * at].push((2 * at + 1, false));
        }
        for at in edges {
            let Edge { from, to, why, .. } = &plan.edges[at];
            if *why == Why::Made {
                next[2 * from.0].push((2 * to.0, true));
                next[2 * to.0 + 1].push((2 * from.0 + 1, false));
            } else {
                next[2 * from.0 + 1].push((2 * to.0, true));
            }
        }
        for (number, step) in plan.steps.iter().enumerate() {
            let this = 2 * (tasks + number);
            for &other in &step.needs {
                next[2 * (tasks + other) + 1].push((this, true));
            }
            let is_needed = plan.steps.iter().any(|other| other.needs.contains(&number));
            for id in &step.tasks {
                if !step.needs.is_empty() {
                    next[this].push((2 * id.0, false));
                }
                if is_needed {
                    next[2 * id.0 + 1].push((this + 1, false));
                }
            }
        }
        Self { next, tasks }
    }

    /// The number of the component of each node, those that lead to each other being one, and which components are cycles.
    fn components(&self) -> (Vec<usize>, Vec<bool>) {
        let count = self.next.len();
        let mut component = vec![usize::MAX; count];
        let (mut index, mut low) = (vec![usize::MAX; count], vec![0; count]);
        let (mut stack, mut is_on_stack) = (Vec::new(), vec![false; count]);
        let (mut counter, mut sizes) = (0, Vec::new());
        // Tarjan's algorithm with a stack of its own: chains may be longer than any thread's stack.
        for root in 0..count {
            if index[root] != usize::MAX {
                continue;
            }
            let mut calls: Vec<(usize, usize)> = vec![(root, 0)];
            while let Some(&mut (node, ref mut arrow)) = calls.last_mut() {
                if *arrow == 0 {
                    (index[node], low[node]) = (counter, counter);
                    counter += 1;
                    stack.push(node);
                    is_on_stack[node] = true;
                }
                if let Some(&(to, _)) = self.next[node].get(*arrow) {
                    *arrow += 1;
                    if index[to] == usize::MAX {
                        calls.push((to, 0));
                    } else if is_on_stack[to] {
                        low[node] = low[node].min(index[to]);
                    }
                    continue;
                }
                calls.pop();
                if let Some(&(above, _)) = calls.last() {
                    low[above] = low[above].min(low[node]);
                }
                if low[node] == index[node] {
                    let mut size = 0;
                    while let Some(top) = stack.pop() {
                        is_on_stack[top] = false;
                        component[top] = sizes.len();
                        size += 1;
                        if top == node {
                            break;
                        }
                    }
                    sizes.push(size);
                }
            }
        }
        (component, sizes.into_iter().map(|size: usize| size > 1).collect())
    }

    /// A way from `start` back to it that stays in its component.
    fn way_round(&self, start: usize, component: &[usize]) -> Vec<usize> {
        let mut from: HashMap<usize, usize> = HashMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for &(to, _) in self.next[node].iter().filter(|(to, _)| component[*to] == component[start]) {
                if to == start {
                    let mut way = vec![node];
                    while let Some(&before) = from.get(way.last().unwrap_or(&start)) {
                        way.push(before);
                    }
                    way.reverse();
                    return way;
                }
                if to != start && !from.contains_key(&to) {
                    from.insert(to, node);
                    queue.push_back(to);
                }
            }
        }
        vec![start]
    }

    /// The tasks and steps on a way, each named once, in its order.
    fn names(&self, plan: &Plan, way: &[usize]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for &node in way {
            let at = node / 2;
            let name = if at < self.tasks {
                plan.label(TaskId(at))
            } else {
                format!("step {}", plan.steps[at - self.tasks].name)
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Tells every cycle of edges that the file declares.
pub(super) fn check_declared(plan: &Plan, findings: &mut Vec<Finding>) {
    let is_declared = |at: &usize| !matches!(plan.edges[*at].why, Why::Path(_));
    let net = Net::of(plan, (0..plan.edges.len()).filter(is_declared));
    let (component, is_cycle) = net.components();
    let mut is_told = vec![false; is_cycle.len()];
    for node in 0..net.next.len() {
        let of = component[node];
        if !is_cycle[of] || std::mem::replace(&mut is_told[of], true) {
            continue;
        }
        let way = net.way_round(node, &component);
        let names = net.names(plan, &way);
        let mut finding = Finding::error("cycle", format!("tasks wait for each other: {}", chain(&names)));
        let at = node / 2;
        if at < plan.tasks.len() {
            let task = &plan.tasks[at];
            finding = finding.at(task.at()).within(&plan.steps[task.step].name, Some(&task.name));
        } else {
            let step = &plan.steps[at - plan.tasks.len()];
            finding = finding.at(step.at).within(&step.name, None);
        }
        findings.push(finding.hint("take one of them out of `requires` or `needs`"));
    }
}

/// `a -> b -> c -> a`, with the middle of a long one left out.
fn chain(names: &[String]) -> String {
    let mut shown: Vec<&str> = names.iter().map(String::as_str).collect();
    if shown.len() > 12 {
        shown.splice(6..shown.len() - 5, ["..."]);
    }
    shown.extend(names.first().map(String::as_str));
    shown.join(" -> ")
}

/// Takes path edges that lie on a cycle out of what is obeyed, and tells them.
pub(super) fn drop_inferred_cycles(plan: &mut Plan, findings: &mut Vec<Finding>) {
    let net = Net::of(plan, 0..plan.edges.len());
    let (component, is_cycle) = net.components();
    let mut told: HashMap<usize, (usize, Vec<String>)> = HashMap::new();
    for at in 0..plan.edges.len() {
        let edge = &plan.edges[at];
        let of = component[2 * edge.to.0];
        if matches!(edge.why, Why::Path(_)) && is_cycle[of] && component[2 * edge.from.0 + 1] == of {
            let path = edge.why.about().unwrap_or_default();
            let text = format!("{} -> {} ({path})", plan.label(edge.from), plan.label(edge.to));
            told.entry(of).or_insert_with(|| (at, Vec::new())).1.push(text);
            plan.edges[at].is_obeyed = false;
        }
    }
    let mut told: Vec<_> = told.into_values().collect();
    told.sort();
    for (first, mut edges) in told {
        let task = plan.task(plan.edges[first].to);
        let more = edges.len().saturating_sub(5);
        edges.truncate(5);
        let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
        let message =
            format!("what tasks read and write would make them wait for each other: {}{rest}", edges.join(", "));
        let finding = Finding::warning("path-cycle", message).at(task.at());
        findings.push(finding.hint("these are not waited for; say the order with `requires` or `needs`"));
    }
}

/// The levels of all tasks, by the edges that are obeyed.
pub(super) fn levels(plan: &Plan) -> Levels {
    let net = Net::of(plan, (0..plan.edges.len()).filter(|at| plan.edges[*at].is_obeyed));
    let mut open = vec![0usize; net.next.len()];
    for &(to, _) in net.next.iter().flatten() {
        open[to] += 1;
    }
    let mut level = vec![0usize; net.next.len()];
    let mut ready: Vec<usize> = (0..net.next.len()).filter(|node| open[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &(to, takes_level) in &net.next[node] {
            level[to] = level[to].max(level[node] + usize::from(takes_level));
            open[to] -= 1;
            if open[to] == 0 {
                ready.push(to);
            }
        }
    }
    let of = |at: usize| if open[2 * at] == 0 { level[2 * at] } else { 0 };
    Levels { of: (0..plan.tasks.len()).map(of).collect() }
}

//! Tasks that stand for several: `explode`, `foreach`, `matrix`, and `explode_glob`.
//!
//! Otter makes each spec strictly, which is why its nested explodes fail; here what is not known yet stays for a later pass. What works
//! there comes out equal: the passes are the same, in the same order.

pub mod glob;

use crate::codec::Value;
use crate::config::located::{Data, Entry, Node};
use crate::pipeline::file::{Flavour, Spec, spec_of};
use crate::pipeline::finding::Finding;
use crate::pipeline::template::{Missing, Scratchpad, resolve};

/// Keys of a native task that make it a group of tasks.
const GROUP: [&str; 3] = ["foreach", "matrix", "each_placeholder"];

/// Most tasks that one task may become while planning: a matrix of three long lists is a mistake, not a plan.
pub const MOST: usize = 1_000_000;

/// Whether a native task stands for one task for each of some values.
pub fn is_group(spec: &Spec) -> bool {
    spec.get("foreach").is_some() || spec.get("matrix").is_some()
}

/// The specs that an `explode` makes, value by value. `spec` has had its first pass.
pub fn explode(spec: &Spec, flavour: Flavour, findings: &mut Vec<Finding>) -> Vec<Spec> {
    let bodies = spec.get("do").and_then(Node::as_list).unwrap_or_default();
    let values = listed(spec.get("foreach"), flavour == Flavour::Otter);
    if is_too_much(values.len().saturating_mul(bodies.len()), spec, findings) {
        return Vec::new();
    }
    let each = each_key(spec);
    let mut made = Vec::new();
    for value in values {
        let mut own = Scratchpad::default();
        own.set(each, value);
        for body in bodies {
            let body = resolve(body, &own, flavour.syntax(), Missing::Leave, &mut Vec::new());
            made.extend(spec_of(body, flavour, findings));
        }
    }
    made
}

/// The specs that a native group stands for: one for each value, or for each combination of a matrix, the first name changing
/// slowest. `spec` has had its first pass.
pub fn group(spec: &Spec, findings: &mut Vec<Finding>) -> Vec<Spec> {
    let axes: Vec<(&str, Vec<Value>)> = match (spec.get("foreach"), spec.get("matrix")) {
        (Some(_), Some(matrix)) => {
            findings.push(Finding::error("bad-field", "`foreach` and `matrix` can't both be given").at(matrix.at));
            return Vec::new();
        }
        (foreach @ Some(_), None) => vec![(each_key(spec), listed(foreach, false))],
        (None, matrix) => {
            let entries = matrix.and_then(Node::as_map).unwrap_or_default();
            entries.iter().map(|entry| (entry.key.as_str(), listed(Some(&entry.value), false))).collect()
        }
    };
    let count = axes.iter().map(|(_, values)| values.len()).fold(1usize, usize::saturating_mul);
    if is_too_much(count, spec, findings) {
        return Vec::new();
    }
    let keep = |entry: &&Entry| !GROUP.contains(&entry.key.as_str());
    let data = Data::Map(spec.entries().iter().filter(keep).cloned().collect());
    let body = Node { at: spec.body.at, data };
    let mut made = Vec::new();
    for mut n in 0..count {
        let mut own = Scratchpad::default();
        for (key, values) in axes.iter().rev() {
            own.set(*key, values[n % values.len()].clone());
            n /= values.len();
        }
        let body = resolve(&body, &own, Flavour::Native.syntax(), Missing::Leave, &mut Vec::new());
        made.extend(spec_of(body, Flavour::Native, findings));
    }
    made
}

/// The name of the value in the specs that are made.
pub fn each_key(spec: &Spec) -> &str {
    spec.get("each_placeholder").and_then(Node::as_text).unwrap_or("each")
}

/// The values of a list; only the texts if nothing else may stand there.
fn listed(node: Option<&Node>, texts_only: bool) -> Vec<Value> {
    let items = node.and_then(Node::as_list).unwrap_or_default();
    let is_wanted = |node: &&Node| !texts_only || node.as_text().is_some();
    items.iter().filter(is_wanted).map(Node::to_value).collect()
}

fn is_too_much(count: usize, spec: &Spec, findings: &mut Vec<Finding>) -> bool {
    if count > MOST {
        let message = format!("`{}` would become {count} tasks, more than {MOST}", spec.name.text);
        findings.push(Finding::error("too-many-tasks", message).at(spec.name.at));
    }
    count > MOST
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pipeline::file::parse;

    fn spec(name: &str, text: &str) -> (Spec, Flavour) {
        let (pipeline, findings) = parse(Path::new(name), None, text.as_bytes()).unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        (pipeline.steps[0].specs[0].clone(), pipeline.flavour)
    }

    fn names(specs: &[Spec]) -> Vec<&str> {
        specs.iter().map(|spec| spec.name.text.as_str()).collect()
    }

    #[test]
    fn an_explode_makes_its_specs_value_by_value() {
        let text = "steps:\n  s:\n    - name: explode x\n      foreach: [a, b]\n      do:\n        - {name: 'copy ${each}', to: [\"${each}.t\"]}\n        - name: noop \
                    ${each} ${late}\n";
        let (spec, flavour) = spec("c.yaml", text);
        let made = explode(&spec, flavour, &mut Vec::new());
        assert_eq!(names(&made), ["copy a", "noop a ${late}", "copy b", "noop b ${late}"]);
        assert_eq!(made[2].get("to").unwrap().as_list().unwrap()[0].as_text(), Some("b.t"));
    }

    #[test]
    fn a_matrix_has_every_combination_the_first_name_slowest() {
        let text = "steps:\n  s:\n    - name: fit ${x}-${y}\n      run: ./fit ${x} ${y}\n      matrix: {x: [1, 2], y: [a, b.5]}\n";
        let (spec, _) = spec("prov.yaml", text);
        let made = group(&spec, &mut Vec::new());
        assert_eq!(names(&made), ["fit 1-a", "fit 1-b.5", "fit 2-a", "fit 2-b.5"]);
        assert!(made.iter().all(|spec| spec.get("matrix").is_none()));
    }

    #[test]
    fn a_group_over_nothing_is_empty_and_one_over_too_much_is_refused() {
        let (spec, _) = spec("prov.yaml", "steps:\n  s:\n    - {name: 'x ${each}', run: [x], foreach: []}\n");
        assert!(group(&spec, &mut Vec::new()).is_empty());
        let list = vec!["1"; 1001].join(",");
        let text = format!("steps:\n  s:\n    - {{name: x, run: [x], matrix: {{a: [{list}], b: [{list}]}}}}\n");
        let (spec, _) = self::spec("prov.yaml", &text);
        let mut findings = Vec::new();
        assert!(group(&spec, &mut findings).is_empty());
        assert_eq!(findings[0].code, "too-many-tasks");
    }
}

//! Whether a task has what its type needs.

use crate::codec::Value;
use crate::config::located::Node;
use crate::config::nearest;
use crate::pipeline::expand::glob;
use crate::pipeline::file::Flavour;
use crate::pipeline::finding::{Finding, Severity};
use crate::pipeline::plan::{Kind, Kinds, Task};
use crate::pipeline::task::Builtin;
use crate::pipeline::task::kinds::{Field, NATIVE_KEYS, OTTER_KEYS, Shape};

/// Tells what is wrong with the keys of a task, by its type.
pub(in crate::pipeline) fn check(task: &Task, flavour: Flavour, kinds: &Kinds, findings: &mut Vec<Finding>) {
    let common = match flavour {
        Flavour::Otter => OTTER_KEYS,
        Flavour::Native => NATIVE_KEYS,
    };
    match &task.kind {
        Kind::Group => {}
        Kind::Builtin(kind) => {
            builtin(task, *kind, flavour, findings);
            let own = kind.fields().iter().map(|field| field.name);
            let known: Vec<&str> = own.chain(common.iter().copied()).collect();
            unknown(task, &known, flavour, findings);
        }
        Kind::Declared { .. } => {
            if let Some(fields) = kinds.declared.get(&task.task_type).and_then(|one| one.fields.as_ref()) {
                let own = fields.iter().map(String::as_str);
                let known: Vec<&str> = own.chain(common.iter().copied()).collect();
                unknown(task, &known, flavour, findings);
            } else {
                near_misses(task, common, flavour, findings);
            }
        }
        Kind::Program(_) => near_misses(task, common, flavour, findings),
        Kind::Unknown => unknown_type(task, flavour, kinds, findings),
    }
    if flavour == Flavour::Native {
        native(task, findings);
    }
}

fn unknown_type(task: &Task, flavour: Flavour, kinds: &Kinds, findings: &mut Vec<Finding>) {
    let message = format!("unknown task type `{}`", task.task_type);
    let names = kinds.names();
    let meant = nearest(&task.task_type, &names);
    let finding = match flavour {
        Flavour::Otter => Finding::warning("unknown-type", message).at(task.at()),
        Flavour::Native => Finding::error("unknown-type", message).at(task.at()),
    };
    findings.push(finding.hint(match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "declare it under `types`, or put an executable of that name on the task path".to_owned(),
    }));
}

fn unknown(task: &Task, known: &[&str], flavour: Flavour, findings: &mut Vec<Finding>) {
    for entry in task.spec.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        let message = format!("unknown key `{}` in a task of type `{}`", entry.key, task.task_type);
        let mut finding = match flavour {
            Flavour::Otter => Finding::warning("unknown-key", message),
            Flavour::Native => Finding::error("unknown-key", message),
        };
        if let Some(meant) = nearest(&entry.key, known) {
            finding = finding.hint(format!("did you mean `{meant}`?"));
        }
        findings.push(finding.at(entry.at));
    }
}

/// Keys that are free, but look like one that means something.
fn near_misses(task: &Task, common: &[&str], flavour: Flavour, findings: &mut Vec<Finding>) {
    if flavour == Flavour::Otter {
        return;
    }
    for entry in task.spec.entries().iter().filter(|entry| !common.contains(&entry.key.as_str())) {
        if let Some(meant) = nearest(&entry.key, common) {
            let finding = Finding::warning("near-miss", format!("the key `{}` goes to the task's type", entry.key));
            findings
                .push(finding.at(entry.at).hint(format!("did you mean `{meant}`? `fields` of the type settles it")));
        }
    }
}

fn builtin(task: &Task, kind: Builtin, flavour: Flavour, findings: &mut Vec<Finding>) {
    for field in kind.fields() {
        match task.resolved.get(field.name) {
            Some(node) if node.is_null() && !field.is_required => {}
            Some(node) => shape(field, node, flavour, findings),
            None if field.is_required => {
                let message = format!("a task of type `{}` needs `{}`", kind.name(), field.name);
                findings.push(Finding::error("missing-field", message).at(task.at()));
            }
            None => {}
        }
    }
    match kind {
        Builtin::CopyMany if task.spec.get("sources").is_none() && task.spec.get("source_list_file").is_none() => {
            let message = "a task of type `copy_many` needs `sources` or `source_list_file`";
            findings.push(Finding::error("missing-field", message).at(task.at()));
        }
        Builtin::Copy if flavour == Flavour::Otter => {
            let source = task.resolved.get("source");
            if let Some(text) = source.and_then(Node::as_text)
                && !text.contains('$')
                && !text.starts_with('/')
                && !text.contains("://")
            {
                let message = format!("`copy` takes from outside, and `{text}` is relative");
                let at = source.map_or(task.at(), |source| source.at);
                findings.push(Finding::error("relative-source", message).at(at).hint("give an absolute path or a URL"));
            }
        }
        Builtin::Explode if task.spec.get("foreach").and_then(Node::as_list).is_some_and(<[Node]>::is_empty) => {
            let finding = Finding::new(Severity::Warning, "empty-foreach", "`foreach` is empty: no task is made");
            findings.push(finding.at(task.at()));
        }
        Builtin::Explode | Builtin::ExplodeGlob => same_names(task, kind, findings),
        _ => {}
    }
}

/// Specs to be made whose name has none of the values that change.
fn same_names(task: &Task, kind: Builtin, findings: &mut Vec<Finding>) {
    if kind != Builtin::ExplodeGlob {
        // What an `explode` makes is in the plan, and two of one name are told there.
        return;
    }
    for body in task.spec.get("do").and_then(Node::as_list).unwrap_or_default() {
        let Some(name) = body.get("name") else {
            findings.push(Finding::error("missing-field", "a task needs a `name`").at(body.at));
            continue;
        };
        let text = name.as_text().unwrap_or_default();
        if !glob::PLACEHOLDERS.iter().any(|key| text.contains(key)) {
            let message = format!("all tasks that are made would be called `{text}`");
            let hint = "put `${match_stem}`, `${uri}` or `${uuid}` into the name";
            findings.push(Finding::error("duplicate-name", message).at(name.at).hint(hint));
        }
    }
}

fn shape(field: &Field, node: &Node, flavour: Flavour, findings: &mut Vec<Finding>) {
    let is_text = |node: &Node| match (node.as_scalar(), flavour) {
        (Some(Value::Text(_)), _) => true,
        // prov's own files take numbers for text where text is asked for; Otter doesn't.
        (Some(value), Flavour::Native) => !matches!(value, Value::Null),
        _ => false,
    };
    let are_texts = |node: &Node| node.as_list().is_some_and(|items| items.iter().all(is_text));
    let fits = match field.shape {
        Shape::Text => is_text(node),
        Shape::Texts => are_texts(node),
        Shape::TextOrTexts => is_text(node) || are_texts(node),
        Shape::Count => matches!(node.as_scalar(), Some(Value::Int(n)) if *n > 0),
        Shape::Map => node.as_map().is_some(),
        Shape::Specs => node.as_list().is_some_and(|items| items.iter().all(|item| item.as_map().is_some())),
        Shape::Any => true,
    };
    if !fits {
        let found = match node.as_list() {
            Some(items) => items.iter().find(|item| !is_text(item)).map_or("a list", |item| item.what()),
            None => node.what(),
        };
        let of = if node.as_list().is_some() && found != "a list" { "a list with " } else { "" };
        let message = format!("`{}` must be {}, not {of}{found}", field.name, field.shape.asks_for());
        let mut finding = Finding::error("bad-field", message).at(node.at);
        if of == "a list with " {
            finding = finding.hint("quote it to make it text");
        }
        findings.push(finding);
    }
}

/// What only prov's own files say.
fn native(task: &Task, findings: &mut Vec<Finding>) {
    let outputs: Vec<&str> = task.settings.outputs.iter().filter_map(|output| output.key.as_deref()).collect();
    for validator in &task.settings.validate {
        if let Some(of) = &validator.of
            && !outputs.contains(&of.as_str())
            && !task.settings.outputs.iter().any(|output| output.path == *of)
        {
            let at = task.spec.get("validate").map_or(task.at(), |node| node.at);
            let finding =
                Finding::error("unknown-output", format!("`validate` names `{of}`, which is no output")).at(at);
            findings.push(match nearest(of, &outputs) {
                Some(meant) => finding.hint(format!("did you mean `{meant}`?")),
                None => finding,
            });
        }
    }
    let is_plain = matches!(task.kind, Kind::Builtin(Builtin::Noop | Builtin::HelloWorld));
    if is_plain && task.spec.get("run").is_some() {
        let message = format!("a task of type `{}` runs nothing", task.task_type);
        findings.push(Finding::error("bad-field", message).at(task.at()).hint("leave `type` out to run a command"));
    }
}

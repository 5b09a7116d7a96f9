//! From a record to rows.

use bstr::ByteSlice;

use crate::codec::Value;
use crate::index::{ArtifactRow, Cell, RunRow, ValueKind, ValueRow};
use crate::object::run::{Cache, LinkedBy, Output, Phase, Run, RunKind, Status};
use crate::path::shown;
use crate::run::lifecycle::{MODEL, OWN_FACETS, PHASE, STAGE};

/// Values of one kind that a run, an output or a config has in the tables at most.
pub(super) const MOST_VALUES: usize = 1_000;
/// Bytes of a text that is in the tables at most; of more, the beginning.
const MOST_TEXT: usize = 16 << 10;

fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| shown(bytes), ToOwned::to_owned)
}

fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The row of a run, without what its recipe and its config say.
pub(super) fn of(run: &Run, object: String) -> RunRow {
    let own = |key: &str| match run.facets.get(key) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (source, source_object) = match &run.cache {
        Cache::Hit { source, object, .. } => (Some(source.clone()), Some(object.to_string())),
        Cache::Miss { .. } | Cache::Off => (None, None),
    };
    let words: Vec<String> = run.argv.iter().map(|word| text(word)).collect();
    let mut row = RunRow {
        run: run.run.clone(),
        object,
        name: run.name.clone(),
        project: run.project.clone(),
        scenario: run.scenario.clone(),
        step: run.step.clone(),
        kind: kind(run.kind).to_owned(),
        status: status(run.status).to_owned(),
        failed_in: run.failed_in.map(|phase| match phase {
            Phase::Run => "run".to_owned(),
            Phase::Validation => "validation".to_owned(),
        }),
        sealed: run.sealed,
        cache: run.cache_word().to_owned(),
        source,
        source_object,
        recipe: run.recipe.map(|id| id.to_string()),
        model: own(MODEL),
        stage: own(STAGE),
        phase: own(PHASE),
        started: run.started_at,
        finished: run.finished_at,
        exit_code: run.exit_code.map(i64::from),
        signal: run.signal.map(i64::from),
        error_type: run.error.as_ref().map(|error| error.kind.clone()),
        error: run.error.as_ref().map(|error| cut(&error.message)),
        parent: run.parent.clone(),
        attempt: i64::from(run.attempt),
        correlation_id: run.correlation_id.clone(),
        host: run.host.clone(),
        author: run.author.clone(),
        git_commit: run.git.as_ref().and_then(|git| git.commit.clone()),
        git_branch: run.git.as_ref().and_then(|git| git.branch.clone()),
        git_dirty: run.git.as_ref().and_then(|git| git.dirty),
        command: (!words.is_empty()).then(|| cut(&words.join(" "))),
        cwd: text(&run.cwd),
        description: cut(&run.description),
        max_rss: run.resources.as_ref().map(|used| integer(used.max_rss_bytes)),
        cpu_us: run.resources.as_ref().map(|used| integer(used.user_us.saturating_add(used.system_us))),
        tags: run.tags.iter().cloned().collect(),
        is_exact: run
            .inputs
            .values()
            .map(|input| &input.path)
            .chain(run.outputs.values().map(|output| &output.path))
            .all(|path| path.is_utf8()),
        ..RunRow::default()
    };
    let mut left_out = 0;
    let facets = run.facets.iter().filter(|(key, _)| !key.starts_with(OWN_FACETS));
    left_out += values(&mut row.values, ValueKind::Facet, "", facets, MOST_VALUES);
    left_out += values(&mut row.values, ValueKind::Metric, "", run.metrics.iter(), MOST_VALUES);
    left_out += values(&mut row.values, ValueKind::Meta, "", run.meta.iter(), MOST_VALUES);
    for (key, input) in &run.inputs {
        row.artifacts.push(ArtifactRow {
            is_output: false,
            key: key.clone(),
            path: text(&input.path),
            content: input.content.id().to_string(),
            content_type: input.content.type_name(),
            size: integer(input.size),
            stored: input.stored,
            producer: input.producer.as_ref().map(|made| made.run.clone()),
            producer_object: input.producer.as_ref().and_then(|made| made.object).map(|id| id.to_string()),
            producer_key: input.producer.as_ref().map(|made| made.key.clone()),
            linked_by: input.producer.as_ref().map(|made| linked_by(made.linked_by).to_owned()),
            ..ArtifactRow::default()
        });
    }
    for (key, output) in &run.outputs {
        left_out += add_output(&mut row, key, output);
    }
    row.left_out = left_out;
    row
}

fn add_output(row: &mut RunRow, key: &str, output: &Output) -> i64 {
    let of_set = |member: String, path: String, content: String, content_type: String, size: u64| ArtifactRow {
        is_output: true,
        key: key.to_owned(),
        member,
        path,
        content,
        content_type,
        size: integer(size),
        stored: output.stored,
        format: output.format.clone(),
        schema: output.schema.map(|id| id.to_string()).or_else(|| match output.meta.get("schema") {
            Some(Value::Text(name)) => Some(name.clone()),
            _ => None,
        }),
        ..ArtifactRow::default()
    };
    let content = output.content.id().to_string();
    row.artifacts.push(of_set(String::new(), text(&output.path), content, output.content.type_name(), output.size));
    let mut left_out = values(&mut row.values, ValueKind::Facet, key, output.facets.iter(), MOST_VALUES);
    for (member, file) in &output.members {
        let path = text(&output.member_path(member));
        let member = text(member);
        let said = format!("{key}/{member}");
        row.artifacts.push(of_set(member, path, file.id.to_string(), "blob".to_owned(), file.size));
        left_out += values(&mut row.values, ValueKind::Facet, &said, file.facets.iter(), MOST_VALUES);
    }
    left_out
}

fn kind(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Pipeline => "pipeline",
        RunKind::Step => "step",
        RunKind::Task => "task",
        RunKind::Command => "command",
        RunKind::Manual => "manual",
        RunKind::Import => "import",
        RunKind::Sweep => "sweep",
        RunKind::Scenario => "scenario",
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Failure => "failure",
        Status::Aborted => "aborted",
    }
}

fn linked_by(how: LinkedBy) -> &'static str {
    match how {
        LinkedBy::Declared => "declared",
        LinkedBy::Path => "path",
        LinkedBy::Content => "content",
    }
}

fn cut(text: &str) -> String {
    if text.len() <= MOST_TEXT {
        return text.to_owned();
    }
    text.as_bytes().get(..MOST_TEXT).unwrap_or_default().to_str_lossy().into_owned()
}

/// Adds the leaves of what was said under keys; returns how many were left out because there are too many.
///
/// A key may begin with a namespace and `:`; dots in it lead into maps, as typed. Dots in keys of maps are their own, and have a backslash
/// before them.
pub(super) fn values<'a>(
    rows: &mut Vec<ValueRow>,
    kind: ValueKind,
    output: &str,
    said: impl Iterator<Item = (&'a String, &'a Value)>,
    most: usize,
) -> i64 {
    let (mut added, mut left_out) = (0, 0);
    for (name, value) in said {
        let (namespace, key) = match name.split_once(':') {
            Some((namespace, key)) if kind == ValueKind::Facet && !namespace.is_empty() && !key.is_empty() => {
                (namespace, key)
            }
            _ => ("", name.as_str()),
        };
        // A stack of what is still to be looked into: no depth is too deep.
        let mut todo: Vec<(String, &Value)> = vec![(key.to_owned(), value)];
        while let Some((key, value)) = todo.pop() {
            if let Value::Map(entries) = value
                && !entries.is_empty()
            {
                todo.extend(entries.iter().rev().map(|(name, value)| (format!("{key}.{}", escaped(name)), value)));
                continue;
            }
            if added >= most {
                left_out += 1;
                continue;
            }
            added += 1;
            let (cell, kind_of_value) = cell(value);
            rows.push(ValueRow {
                kind,
                output: output.to_owned(),
                namespace: namespace.to_owned(),
                key,
                value: cell,
                kind_of_value,
            });
        }
    }
    left_out
}

/// The leaves of a config.
pub(super) fn params(config: &Value) -> Vec<ValueRow> {
    let mut rows = Vec::new();
    if let Value::Map(entries) = config {
        let named: Vec<(String, &Value)> = entries.iter().map(|(name, value)| (escaped(name), value)).collect();
        values(&mut rows, ValueKind::Param, "", named.iter().map(|(name, value)| (name, *value)), MOST_VALUES);
    }
    rows
}

/// A key of a map as part of a path of keys.
pub(super) fn escaped(key: &str) -> String {
    key.replace('\\', "\\\\").replace('.', "\\.")
}

fn cell(value: &Value) -> (Cell, &'static str) {
    match value {
        Value::Null => (Cell::Null, "null"),
        Value::Bool(b) => (Cell::Int(i64::from(*b)), "bool"),
        #[expect(clippy::cast_precision_loss, reason = "what no integer of a table can hold is as near as can be")]
        Value::Int(n) => (i64::try_from(*n).map_or(Cell::Real(*n as f64), Cell::Int), "int"),
        Value::Float(n) => (Cell::Real(*n), "float"),
        Value::Text(text) => (Cell::Text(cut(text)), "text"),
        Value::Bytes(bytes) => (Cell::Text(cut(&text(bytes))), "text"),
        Value::List(_) => (Cell::Text(cut(&json(value))), "list"),
        Value::Map(_) => (Cell::Text("{}".to_owned()), "map"),
    }
}

/// A value as JSON. Bytes are text, as people see them.
fn json(value: &Value) -> String {
    fn of(value: &Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(n) => match (i64::try_from(*n), u64::try_from(*n)) {
                (Ok(n), _) => n.into(),
                (_, Ok(n)) => n.into(),
                _ => n.to_string().into(),
            },
            Value::Float(n) => (*n).into(),
            Value::Text(text) => text.clone().into(),
            Value::Bytes(bytes) => text(bytes).into(),
            Value::List(items) => items.iter().map(of).collect(),
            Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), of(value))).collect(),
        }
    }
    of(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(kind: ValueKind, name: &str, value: Value) -> (Vec<(String, String, Cell)>, i64) {
        let mut found = Vec::new();
        let left_out = values(&mut found, kind, "", std::iter::once((&name.to_owned(), &value)), MOST_VALUES);
        (found.into_iter().map(|row| (row.namespace, row.key, row.value)).collect(), left_out)
    }

    #[test]
    fn maps_become_paths_of_keys_and_dots_in_keys_are_told_apart() {
        let inner = Value::Map(vec![("x.y".to_owned(), Value::Int(1)), ("z".to_owned(), Value::Bool(true))]);
        let (found, _) = rows(ValueKind::Facet, "sweep:a", inner);
        assert_eq!(
            found,
            [
                ("sweep".to_owned(), r"a.x\.y".to_owned(), Cell::Int(1)),
                ("sweep".to_owned(), "a.z".to_owned(), Cell::Int(1))
            ]
        );
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let many = Value::Map((0..10_000).map(|n| (format!("k{n}"), Value::Int(n))).collect());
        let (found, left_out) = rows(ValueKind::Facet, "big", many);
        assert_eq!((found.len(), left_out), (MOST_VALUES, 9_000));
    }

    #[test]
    fn no_depth_is_too_deep() {
        let mut value = Value::Int(1);
        for _ in 0..100 {
            value = Value::Map(vec![("a".to_owned(), value)]);
        }
        assert_eq!(rows(ValueKind::Meta, "m", value).0.len(), 1);
    }
}

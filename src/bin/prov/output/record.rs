//! Records as documents: runs, and the parts that many commands show.

use prov::hash::Id;
use prov::object::recipe::Content;
use prov::object::run::{Cache, Differs, Input, Log, Member, Output, Producer, Reason, Run};
use prov::repo::entry::RunLine;
use prov::run::KeptSafe;
use prov::run::lifecycle::{MODEL, PHASE, STAGE};
use prov::run::memory::KnownFailure;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::json;

/// The word that records use for a value of an enumeration, such as `success` or `outputs_lost`.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Text that came from outside, made harmless for terminals.
pub(crate) fn shown(text: impl AsRef<[u8]>) -> String {
    prov::path::shown(text.as_ref())
}

/// Whole milliseconds of microseconds.
pub(crate) fn milliseconds(us: u64) -> u64 {
    us / 1000
}

/// Where content that lay in the way is now, and how to have it back.
pub(crate) fn kept_safe(kept: &KeptSafe) -> String {
    let id = kept.content.id().short();
    let how = match kept.content {
        Content::Tree(_) => format!("prov restore {id} --to DIR"),
        _ => format!("prov cat {id} > FILE"),
    };
    format!("what was at `{}` was not known; it is kept in the store: {how}", prov::path::show(&kept.path))
}

/// The same for scripts.
pub(crate) fn displaced(kept: &[KeptSafe]) -> Value {
    kept.iter().map(|kept| json!({"path": prov::path::show(&kept.path), "id": kept.content.id().to_string()})).collect()
}

/// The keys of `prov.run` for a closed run, and what else its record holds.
pub(crate) fn run(run: &Run, object: Option<&Id>) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    put("run", json!(run.run));
    put("object", json!(object.map(ToString::to_string)));
    put("name", json!(run.name));
    put("step", json!(run.step));
    put("recipe", json!(run.recipe.map(|id| id.to_string())));
    put("project", json!(run.project));
    put("scenario", json!(run.scenario));
    put("kind", json!(run.kind));
    put("status", json!(run.status));
    put("failed_in", json!(run.failed_in));
    put("exit_code", json!(run.exit_code));
    put("signal", json!(run.signal));
    put(
        "error",
        run.error
            .as_ref()
            .map_or(Value::Null, |error| json!({"type": error.kind, "message": error.message, "run": error.run})),
    );
    put("attempt", json!(run.attempt));
    put("correlation_id", json!(run.correlation_id));
    put("parent", json!(run.parent));
    put("started_at", json::time(run.started_at));
    put("finished_at", json::time(run.finished_at));
    put("duration_ms", json!(milliseconds(run.duration_us())));
    for (key, facet) in [("model", MODEL), ("stage", STAGE), ("phase", PHASE)] {
        put(key, run.facets.get(facet).map_or(Value::Null, json::stored));
    }
    put("compared", run.meta.get("compared").map_or(Value::Null, json::stored));
    put("cache", cache(&run.cache));
    put("inputs", run.inputs.iter().map(|(key, one)| (key.clone(), input(one))).collect());
    put("outputs", run.outputs.iter().map(|(key, one)| (key.clone(), output(one))).collect());
    put("logs", json!({"stdout": log(run, "stdout"), "stderr": log(run, "stderr")}));
    put("sealed", json!(run.sealed));
    put("unsealed", json!(run.unsealed));
    put("children", run.children.iter().map(|(run, id)| (run.clone(), json!(id.to_string()))).collect());
    put("differs_from", differs(run.differs.as_ref()));
    let resources = run.resources.as_ref();
    put(
        "resources",
        json!(resources.map(|used| json!({
            "user_ms": milliseconds(used.user_us),
            "system_ms": milliseconds(used.system_us),
            "max_rss_bytes": used.max_rss_bytes,
        }))),
    );
    put("host", json!(run.host));
    put("author", json!(run.author));
    put(
        "git",
        json!(run.git.as_ref().map(|git| json!({"commit": git.commit, "branch": git.branch, "dirty": git.dirty}))),
    );
    put("description", json!(run.description));
    put("tags", json!(run.tags));
    for (key, values) in [("facets", &run.facets), ("metrics", &run.metrics), ("meta", &run.meta)] {
        put(key, values.iter().map(|(key, value)| (key.clone(), json::stored(value))).collect());
    }
    for (key, at) in
        [("validation_started_at", run.validation_started_at), ("validation_finished_at", run.validation_finished_at)]
    {
        put(key, at.map_or(Value::Null, json::time));
    }
    json::put_bytes_list(&mut map, "argv", &run.argv);
    json::put_bytes(&mut map, "cwd", &run.cwd);
    if let Some(program) = &run.program {
        json::put_bytes(&mut map, "program", program);
    }
    json::put_bytes_list(&mut map, "code_left_out", &run.code_left_out);
    map
}

/// An outcome of the same recipe with other bytes.
pub(crate) fn differs(other: Option<&Differs>) -> Value {
    other.map_or(Value::Null, |other| json!({"run": other.run, "object": other.object.to_string(), "keys": other.keys}))
}

/// That the same recipe failed before.
pub(crate) fn known_failure(known: Option<&KnownFailure>) -> Value {
    known.map_or(Value::Null, |known| {
        json!({
            "run": known.run,
            "object": known.object.to_string(),
            "started_at": json::time(known.at),
            "duration_ms": milliseconds(known.took_us),
            "host": known.host,
            "exit_code": known.exit_code,
            "signal": known.signal,
            "message": known.message,
            "last_line": known.last_line,
            "times": known.times,
        })
    })
}

/// What the cache said.
pub(crate) fn cache(cache: &Cache) -> Value {
    match cache {
        Cache::Hit { source, object, source_duration_us } => json!({
            "outcome": "hit",
            "source": source,
            "source_object": object.to_string(),
            "source_duration_ms": milliseconds(*source_duration_us),
            "reasons": [],
        }),
        Cache::Miss { reasons: why } => {
            json!({"outcome": "miss", "source": null, "source_duration_ms": null, "reasons": reasons(why)})
        }
        Cache::Off => json!({"outcome": "off", "source": null, "source_duration_ms": null, "reasons": []}),
    }
}

/// Reasons for a miss, or differences.
pub(crate) fn reasons(reasons: &[Reason]) -> Value {
    reasons
        .iter()
        .map(|one| json!({"part": one.part, "kind": one.kind, "before": one.before, "after": one.after}))
        .collect()
}

/// A reason in a line for people: `config.threshold changed: 0.5 -> 0.7`.
pub(crate) fn reason_line(reason: &Reason) -> String {
    let what = word(&reason.kind).replace('_', " ");
    let part = shown(&reason.part);
    let side = |side: &Option<String>| side.as_deref().map(shown);
    match (side(&reason.before), side(&reason.after)) {
        (Some(before), Some(after)) => format!("{part} {what}: {before} -> {after}"),
        (Some(one), None) | (None, Some(one)) => format!("{part} {what}: {one}"),
        (None, None) => format!("{part} {what}"),
    }
}

/// An input of a run.
pub(crate) fn input(input: &Input) -> Value {
    let mut map = Map::new();
    json::put_bytes(&mut map, "path", &input.path);
    map.insert("id".to_owned(), json!(input.content.id().to_string()));
    map.insert("type".to_owned(), json!(input.content.type_name()));
    map.insert("size".to_owned(), json!(input.size));
    map.insert("stored".to_owned(), json!(input.stored));
    map.insert("producer".to_owned(), input.producer.as_ref().map_or(Value::Null, producer));
    map.insert("linked_by".to_owned(), json!(input.producer.as_ref().map(|producer| producer.linked_by)));
    Value::Object(map)
}

fn producer(producer: &Producer) -> Value {
    json!({
        "run": producer.run,
        "object": producer.object.map(|id| id.to_string()),
        "key": producer.key,
        "candidates": producer.candidates,
    })
}

/// An output of a run.
pub(crate) fn output(output: &Output) -> Value {
    let mut map = Map::new();
    json::put_bytes(&mut map, "path", &output.path);
    map.insert("id".to_owned(), json!(output.content.id().to_string()));
    map.insert("type".to_owned(), json!(output.content.type_name()));
    map.insert("size".to_owned(), json!(output.size));
    map.insert("stored".to_owned(), json!(output.stored));
    map.insert("exec".to_owned(), json!(output.exec));
    map.insert("format".to_owned(), json!(output.format));
    map.insert("schema".to_owned(), json!(output.schema.map(|id| id.to_string())));
    for (key, values) in [("facets", &output.facets), ("meta", &output.meta)] {
        map.insert(key.to_owned(), values.iter().map(|(key, value)| (key.clone(), json::stored(value))).collect());
    }
    if let Some(set) = &output.set {
        map.insert("set".to_owned(), json!({"include": set.include, "exclude": set.exclude, "changed": set.changed}));
        map.insert("members".to_owned(), output.members.iter().map(|(path, file)| member(path, file)).collect());
    }
    Value::Object(map)
}

fn member(path: &bstr::BString, file: &Member) -> Value {
    let mut map = Map::new();
    json::put_bytes(&mut map, "path", path);
    map.insert("id".to_owned(), json!(file.id.to_string()));
    map.insert("size".to_owned(), json!(file.size));
    map.insert("exec".to_owned(), json!(file.exec));
    let facets = file.facets.iter().map(|(key, value)| (key.clone(), json::stored(value))).collect();
    map.insert("facets".to_owned(), facets);
    Value::Object(map)
}

fn log(run: &Run, stream: &str) -> Value {
    run.logs
        .get(stream)
        .map_or(Value::Null, |Log { id, size, cut }| json!({"id": id.to_string(), "size": size, "cut": cut}))
}

/// One line of a log as an element of `runs`.
pub(crate) fn row(run: &str, scenario: &str, line: &RunLine) -> Value {
    json!({
        "run": run,
        "object": line.object.to_string(),
        "name": line.name,
        "step": line.step,
        "scenario": scenario,
        "kind": line.kind,
        "status": line.status,
        "cache": line.cache,
        "started_at": json::time(line.at),
        "duration_ms": milliseconds(line.us),
        "parent": line.parent,
        "sealed": line.sealed,
        "tags": line.tags,
        "commit": line.commit,
    })
}

#[cfg(test)]
mod tests {
    use prov::object::run::{ReasonKind, Status};

    use super::*;

    #[test]
    fn words_are_those_of_the_records() {
        assert_eq!(word(&ReasonKind::OutputsLost), "outputs_lost");
        assert_eq!(word(&Status::Aborted), "aborted");
    }

    #[test]
    fn a_reason_is_one_line_without_control_characters() {
        let reason = Reason {
            part: "config.a\nb".to_owned(),
            kind: ReasonKind::Changed,
            before: Some("1".to_owned()),
            after: Some("\u{1b}[2J".to_owned()),
        };
        assert_eq!(reason_line(&reason), "config.a\\nb changed: 1 -> \\x1b[2J");
    }
}

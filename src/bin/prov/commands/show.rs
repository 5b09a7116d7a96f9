//! `prov show`.

use std::fmt::Write as _;

use prov::codec::Value as Stored;
use prov::hash::Id;
use prov::mark::{MarkKind, Marks, Said};
use prov::object::recipe::Recipe;
use prov::object::run::{Cache, Output, Run};
use prov::object::{Kind, Record, RunRecord};
use prov::revspec::Target;
use prov::run::Session;
use serde_json::{Map, Value, json};

use super::elsewhere::answer;
use super::revision::{Artifact, Seen, entries};
use super::{Context, describe, ls_tree, name};
use crate::args::ShowArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::{self, milliseconds, reason_line, shown, word};
use crate::output::{Painter, human, json};

/// Shows what a revision means.
pub(crate) fn run(cx: &Context, args: &ShowArgs) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let target = match seen.target(cx, &args.rev) {
        Ok(target) => target,
        Err(failure) => {
            let made = seen.made_at(cx, &args.rev, failure)?;
            // One file of an output is shown as if it had been one by itself.
            let mut run = seen.read_run(&made.at)?;
            let artifact = Seen::output(&made.key, &made.output);
            run.outputs.insert(made.key, made.output);
            show_artifact(cx, &run, &artifact)?;
            return Ok(Exit::Done);
        }
    };
    match target {
        Target::Run(at) => {
            let run = seen.read_run(&at)?;
            show_run(cx, &seen, &run, &at.object)?;
        }
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            if let Some(artifact) = Seen::artifact(&run, &key) {
                show_artifact(cx, &run, &artifact)?;
            }
        }
        Target::Outputs(at) => show_outputs(cx, &seen.read_run(&at)?)?,
        Target::Config(_, id) => show_object(cx, &mut seen, &id, &Kind::CONFIG)?,
        Target::ConfigFolder(_, _, content) => {
            let kind = content.kind().unwrap_or(Kind::BLOB);
            show_object(cx, &mut seen, &content.id(), &kind)?;
        }
        Target::Code(_, id) => show_object(cx, &mut seen, &id, &Kind::TREE)?,
        Target::Object(id, kind) => show_object(cx, &mut seen, &id, &kind)?,
        Target::Path(place) => {
            let session = Session::new(&seen.repo, cx.cwd.clone());
            let captured = Seen::capture(&session, &place)?;
            session.save();
            let path = seen.repo.recorded_path(&place);
            let matches = prov::query::id_matches(&seen.snapshot, &captured.content.id())?;
            if cx.ui.is_json() {
                let mut object = Map::new();
                json::put_bytes(&mut object, "path", &path);
                object.insert("id".to_owned(), json!(captured.content.id().to_string()));
                object.insert("type".to_owned(), json!(captured.content.type_name()));
                object.insert("size".to_owned(), json!(captured.size));
                object.insert("matches".to_owned(), matches.iter().map(describe::match_json).collect());
                document(cx, "path", "object", Value::Object(object))?;
            } else {
                let kind = captured.content.type_name();
                cx.ui.line(format_args!(
                    "{} {}  {}",
                    cx.ui.painter().strong(kind),
                    captured.content.id(),
                    shown(&path)
                ))?;
                cx.ui.line(format_args!("    {}", human::size(captured.size)))?;
                cx.ui.print(describe::matches_text(cx.ui.painter(), &matches))?;
            }
        }
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

fn document(cx: &Context, kind: &str, key: &str, value: Value) -> Result<(), Failure> {
    let mut document = json::document("show");
    document.insert("kind".to_owned(), json!(kind));
    document.insert(key.to_owned(), value);
    cx.ui.document(document)
}

fn show_run(cx: &Context, seen: &Seen, run: &Run, object: &Id) -> Result<(), Failure> {
    let recipe = seen.recipe(run);
    if cx.ui.is_json() {
        let mut value = record::run(run, Some(object));
        if let Some(recipe) = &recipe {
            let config = recipe.config.and_then(|id| seen.config(&id).ok());
            value.insert("recipe_parts".to_owned(), parts(recipe, config.as_ref()));
        }
        let marks = Marks::open(&seen.snapshot)?;
        let said = |said: Option<Said>| {
            said.map(|said| json!({"at": json::time(said.at), "why": said.why, "author": said.author}))
        };
        value.insert("retracted".to_owned(), json!(said(marks.retracted(object)?)));
        let notes = prov::note::list(&seen.snapshot, object)?;
        value.insert("notes".to_owned(), notes.iter().map(name::json_of).collect());
        value.insert("hidden".to_owned(), json!(said(marks.said(object, MarkKind::Hide)?)));
        return document(cx, "run", "run", Value::Object(value));
    }
    cx.ui.page(&cx.environment);
    let painter = cx.ui.painter();
    let mut text = format!("run {}\n", painter.id(shown(&run.run)));
    let mut put = |label: &str, value: String| {
        let _ = writeln!(text, "  {} {value}", painter.dim(format!("{label:<10}")));
    };
    if let Some(name) = &run.name {
        put("name", shown(name));
    }
    put("step", shown(&run.step));
    put("scenario", shown(&run.scenario));
    if !run.tags.is_empty() {
        put("tags", run.tags.iter().map(shown).collect::<Vec<_>>().join(", "));
    }
    if !run.description.is_empty() {
        put("message", shown(&run.description));
    }
    put("status", status(run));
    if let Some(error) = &run.error {
        put("error", format!("{}: {}", shown(&error.kind), shown(&error.message)));
        if let Some(other) = &error.run {
            put("", format!("in run {}", shown(other)));
        }
    }
    put("started", format!("{} ({})", human::time(run.started_at), human::ago(run.started_at, cx.clock.now())));
    put("took", took(run));
    for line in cache(run) {
        put("cache", line);
    }
    if !run.sealed && run.cache != Cache::Off {
        put("sealed", "no, so it is never taken for a hit".to_owned());
    }
    if let Some(other) = &run.differs {
        put(
            "differs",
            format!("{} of the same recipe made other bytes of {}", shown(&other.run), other.keys.join(", ")),
        );
    }
    let marks = Marks::open(&seen.snapshot)?;
    let said =
        |said: Option<Said>| said.map(|said| if said.why.is_empty() { "yes".to_owned() } else { shown(said.why) });
    for (label, found) in
        [("retracted", said(marks.retracted(object)?)), ("hidden", said(marks.said(object, MarkKind::Hide)?))]
    {
        if let Some(why) = found {
            put(label, why);
        }
    }
    for note in prov::note::list(&seen.snapshot, object)? {
        put("note", name::line(&note));
    }
    for what in &run.unsealed {
        put("changed", shown(what));
    }
    if !run.argv.is_empty() {
        put("command", prov::run::command_line(&run.argv));
    }
    if !run.cwd.is_empty() {
        put("in", shown(&run.cwd));
    }
    if let Some(program) = &run.program {
        put("program", shown(program));
    }
    for (label, value) in [("host", &run.host), ("author", &run.author), ("parent", &run.parent)] {
        if let Some(value) = value {
            put(label, shown(value));
        }
    }
    if let Some(correlation) = &run.correlation_id {
        put("belongs to", shown(correlation));
    }
    if run.attempt > 1 {
        put("attempt", run.attempt.to_string());
    }
    if let Some(git) = &run.git {
        let commit = git.commit.as_deref().map_or("no commit yet".to_owned(), shown);
        let branch = git.branch.as_deref().map_or("detached".to_owned(), shown);
        let dirty = if git.dirty == Some(true) { ", with changes" } else { "" };
        put("Git", format!("{commit} ({branch}{dirty})"));
    }
    for path in &run.code_left_out {
        put("left out", format!("{} (too large to count as code)", shown(path)));
    }
    for child in run.children.keys() {
        put("child", shown(child));
    }
    for (stream, log) in &run.logs {
        let cut = if log.cut { ", the middle left out" } else { "" };
        put(&shown(stream), format!("{}{cut} (prov cat {})", human::size(log.size), log.id.short()));
    }
    if let Some(recipe) = &recipe {
        recipe_text(seen, recipe, &mut put);
    }
    for (label, values) in [("facet", &run.facets), ("metric", &run.metrics)] {
        for (key, value) in values {
            put(label, format!("{}: {}", shown(key), plain(value)));
        }
    }
    put("record", object.to_string());
    if let Some(id) = &run.recipe {
        put("recipe", id.to_string());
    }
    text.push_str(&artifacts(painter, run));
    cx.ui.print(text)
}

fn status(run: &Run) -> String {
    let mut text = word(&run.status);
    if let Some(phase) = &run.failed_in {
        let _ = write!(text, " in {}", word(phase));
    }
    match (run.signal, run.exit_code) {
        (Some(signal), _) => {
            let name = prov::run::exit::signal_name(signal).map_or_else(|| signal.to_string(), ToOwned::to_owned);
            let _ = write!(text, " (signal {name})");
        }
        (None, Some(code)) => {
            let _ = write!(text, " (exit code {code})");
        }
        (None, None) => {}
    }
    text
}

fn took(run: &Run) -> String {
    let mut text = human::duration(milliseconds(run.duration_us()));
    if let Some(used) = &run.resources {
        let _ = write!(
            text,
            " (processor {}, memory {})",
            human::duration(milliseconds(used.user_us.saturating_add(used.system_us))),
            human::size(used.max_rss_bytes)
        );
    }
    text
}

fn cache(run: &Run) -> Vec<String> {
    match &run.cache {
        Cache::Hit { source, source_duration_us, .. } => {
            vec![format!("hit of {}, which took {}", shown(source), human::duration(milliseconds(*source_duration_us)))]
        }
        Cache::Miss { reasons } if reasons.is_empty() => vec!["miss".to_owned()],
        Cache::Miss { reasons } => reasons.iter().map(|reason| format!("miss: {}", reason_line(reason))).collect(),
        Cache::Off => Vec::new(),
    }
}

/// A stored value in one line.
fn plain(value: &Stored) -> String {
    shown(prov::config::to_json(value))
}

fn recipe_text(seen: &Seen, recipe: &Recipe, put: &mut dyn FnMut(&str, String)) {
    if let Some(id) = recipe.config {
        match seen.config(&id) {
            Ok(value) => put("config", plain(&value)),
            Err(_) => put("config", format!("{} can't be read", id.short())),
        }
    }
    for (name, value) in &recipe.env {
        let value = value.as_ref().map_or("not set".to_owned(), |value| format!("= {}", shown(value)));
        put("env", format!("{} {value}", shown(name)));
    }
    for (key, value) in &recipe.dims {
        put("dimension", format!("{}: {}", shown(key), plain(value)));
    }
    for (label, content) in &recipe.identity {
        put("identity", format!("{} {}", shown(label), content.id().short()));
    }
    if let Some(tree) = recipe.code.tree {
        put("code", tree.to_string());
    }
}

/// The parts of a recipe as a document.
fn parts(recipe: &Recipe, config: Option<&Stored>) -> Value {
    let mut map = Map::new();
    map.insert("rules".to_owned(), json!(recipe.rules));
    map.insert("step".to_owned(), json!(recipe.step));
    let mut action = Map::new();
    action.insert("kind".to_owned(), json!(recipe.action.kind));
    json::put_bytes_list(&mut action, "argv", &recipe.action.argv);
    json::put_bytes(&mut action, "cwd", &recipe.action.cwd);
    action.insert("stdin".to_owned(), json!(recipe.action.stdin.as_ref().map(|content| content.id().to_string())));
    map.insert("action".to_owned(), Value::Object(action));
    map.insert("code".to_owned(), json!(recipe.code.tree.map(|id| id.to_string())));
    map.insert("config_id".to_owned(), json!(recipe.config.map(|id| id.to_string())));
    map.insert("config".to_owned(), config.map_or(Value::Null, json::stored));
    for (key, contents) in [("inputs", &recipe.inputs), ("identity", &recipe.identity)] {
        let contents = contents.iter().map(|(key, content)| (key.clone(), json!(content.id().to_string()))).collect();
        map.insert(key.to_owned(), contents);
    }
    let mut env = Map::new();
    for (name, value) in &recipe.env {
        match value {
            Some(value) => json::put_bytes(&mut env, name, value),
            None => drop(env.insert(name.clone(), Value::Null)),
        }
    }
    map.insert("env".to_owned(), Value::Object(env));
    for (key, values) in [("dims", &recipe.dims), ("params", &recipe.params)] {
        map.insert(key.to_owned(), values.iter().map(|(key, value)| (key.clone(), json::stored(value))).collect());
    }
    map.insert("outputs".to_owned(), json!(recipe.outputs.keys().collect::<Vec<_>>()));
    map.insert("version".to_owned(), json!(recipe.version));
    map.insert(
        "epochs".to_owned(),
        json!({
            "project": recipe.epochs.project, "scenario": recipe.epochs.scenario, "step": recipe.epochs.step
        }),
    );
    Value::Object(map)
}

fn artifacts(painter: Painter, run: &Run) -> String {
    let mut text = String::new();
    for (title, is_output, keys) in [
        ("inputs", false, run.inputs.keys().collect::<Vec<_>>()),
        ("outputs", true, run.outputs.keys().collect::<Vec<_>>()),
    ] {
        if keys.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{title}");
        for key in keys {
            let (content, path, size, stored) = match (run.inputs.get(key), run.outputs.get(key)) {
                (Some(input), _) if !is_output => (&input.content, &input.path, input.size, input.stored),
                (_, Some(output)) => (&output.content, &output.path, output.size, output.stored),
                _ => continue,
            };
            let slash = if content.kind() == Some(Kind::TREE) { "/" } else { "" };
            let _ = write!(
                text,
                "  {}  {}{slash}  {}  {}",
                painter.strong(shown(key)),
                shown(path),
                human::size(size),
                painter.id(content.id().short())
            );
            if !stored && is_output {
                text.push_str("  (hash only)");
            }
            text.push('\n');
            if let Some(output) = run.outputs.get(key).filter(|_| is_output) {
                for line in about_output(output) {
                    let _ = writeln!(text, "      {line}");
                }
            }
            let producer = run.inputs.get(key).filter(|_| !is_output).and_then(|input| input.producer.as_ref());
            if let Some(producer) = producer {
                let _ = writeln!(
                    text,
                    "      from {}:{} (by {})",
                    shown(&producer.run),
                    shown(&producer.key),
                    word(&producer.linked_by)
                );
            }
        }
    }
    text
}

/// Members of a set that are listed; the JSON form has them all.
const MEMBERS_LISTED: usize = 12;

/// What there is to say of an output beyond its place and its content, in lines.
fn about_output(output: &Output) -> Vec<String> {
    let pairs = |values: &std::collections::BTreeMap<String, Stored>| {
        values.iter().map(|(key, value)| format!("{}: {}", shown(key), plain(value))).collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    if let Some(format) = &output.format {
        lines.push(format!("format {}", shown(format)));
    }
    if !output.facets.is_empty() {
        lines.push(format!("facets {}", pairs(&output.facets)));
    }
    if !output.meta.is_empty() {
        lines.push(format!("meta {}", pairs(&output.meta)));
    }
    let Some(set) = &output.set else { return lines };
    let patterns = set.include.iter().map(shown).chain(set.exclude.iter().map(|text| format!("!{}", shown(text))));
    let files = if output.members.len() == 1 { "file" } else { "files" };
    let what = if set.changed { "what changed of" } else { "set of" };
    let patterns: Vec<String> = patterns.collect();
    lines.push(format!("{what} {}: {} {files}", patterns.join(" "), output.members.len()));
    for (path, file) in output.members.iter().take(MEMBERS_LISTED) {
        let facets = if file.facets.is_empty() { String::new() } else { format!("  {}", pairs(&file.facets)) };
        lines.push(format!("  {}  {}  {}{facets}", shown(path), human::size(file.size), file.id.short()));
    }
    if output.members.len() > MEMBERS_LISTED {
        lines.push(format!("  and {} more", output.members.len() - MEMBERS_LISTED));
    }
    lines
}

fn show_artifact(cx: &Context, run: &Run, artifact: &Artifact) -> Result<(), Failure> {
    let Artifact { key, is_output, content, path, size, stored, producer } = artifact;
    if cx.ui.is_json() {
        let value = match (is_output, run.outputs.get(key), run.inputs.get(key)) {
            (true, Some(output), _) => record::output(output),
            (_, _, Some(input)) => record::input(input),
            _ => Value::Null,
        };
        let mut object = json!({
            "run": run.run, "role": if *is_output { "output" } else { "input" }, "key": key,
        });
        if let (Some(object), Value::Object(value)) = (object.as_object_mut(), value) {
            object.extend(value);
        }
        return document(cx, "artifact", "object", object);
    }
    let painter = cx.ui.painter();
    let role = if *is_output { "output" } else { "input" };
    cx.ui.line(format_args!("{} {}  {}", painter.strong(content.type_name()), content.id(), shown(path)))?;
    cx.ui.line(format_args!("    {role} `{}` of {}", shown(key), painter.id(shown(&run.run))))?;
    let how = if *stored || !*is_output { "" } else { ", hash only: the store was not given its bytes" };
    cx.ui.line(format_args!("    {}{how}", human::size(*size)))?;
    if let Some(producer) = producer {
        cx.ui.line(format_args!("    from {}:{}", shown(&producer.run), shown(&producer.key)))?;
    }
    if let Some(output) = run.outputs.get(key).filter(|_| *is_output) {
        for line in about_output(output) {
            cx.ui.line(format_args!("    {line}"))?;
        }
    }
    Ok(())
}

fn show_outputs(cx: &Context, run: &Run) -> Result<(), Failure> {
    if cx.ui.is_json() {
        let outputs = run.outputs.iter().map(|(key, output)| (key.clone(), record::output(output))).collect();
        return document(cx, "outputs", "object", Value::Object(outputs));
    }
    for key in run.outputs.keys() {
        if let Some(artifact) = Seen::artifact(run, key) {
            show_artifact(cx, run, &artifact)?;
        }
    }
    Ok(())
}

fn show_object(cx: &Context, seen: &mut Seen, id: &Id, kind: &Kind) -> Result<(), Failure> {
    if *kind == Kind::RUN {
        let (_, bytes) = seen.object(id)?;
        return show_run(cx, seen, &RunRecord::decode(&bytes)?.whole::<Failure>(&seen.snapshot)?, id);
    }
    if *kind == Kind::TREE {
        let entries = answer(cx, &seen.repo, &mut seen.snapshot, &mut |_, source| entries(source, *id, true))?;
        if cx.ui.is_json() {
            let object = json!({"id": id.to_string(), "entries": ls_tree::entries_json(&entries)});
            return document(cx, kind.as_str(), "object", object);
        }
        cx.ui.page(&cx.environment);
        for (path, entry) in entries {
            cx.ui.line(format_args!("{:<4}  {:>9}  {}", entry.kind.name(), human::size(entry.size), shown(&path)))?;
        }
        return Ok(());
    }
    let size = answer(cx, &seen.repo, &mut seen.snapshot, &mut |_, source| describe::size_of(source, id))?;
    if cx.ui.is_json() {
        return document(cx, kind.as_str(), "object", describe::object_json(&seen.snapshot, id)?);
    }
    if *kind == Kind::BLOB {
        let matches = prov::query::id_matches(&seen.snapshot, id)?;
        cx.ui.line(format_args!("{} {id}", cx.ui.painter().strong("blob")))?;
        cx.ui.line(format_args!("    {} (prov cat {})", human::size(size), id.short()))?;
        return cx.ui.print(describe::matches_text(cx.ui.painter(), &matches));
    }
    if *kind == Kind::CONFIG {
        let value = json::stored(&seen.config(id)?);
        return cx.ui.line(format_args!("{value:#}"));
    }
    let value = describe::object_json(&seen.snapshot, id)?;
    cx.ui.line(format_args!("{value:#}"))
}

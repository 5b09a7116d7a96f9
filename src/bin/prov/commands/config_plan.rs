//! `prov config plan` and `prov config validate`.

use prov::codec::Value as Stored;
use prov::run::Session;
use prov::run::adapter::{Mode, Severity};
use prov::run::config_part::ConfigPart;
use serde_json::{Map, Value, json};

use super::{Context, run};
use crate::args::RunArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// Resolves a folder of configuration and tells what came of it.
pub(crate) fn run(cx: &Context, args: &RunArgs, mode: Mode) -> Result<Exit, Failure> {
    let repo = open::untouched(cx)?;
    let mut args = args.clone();
    if args.command.is_empty() && args.name.is_none() {
        // Nothing is executed, so nothing need be named.
        args.command = vec!["config".into()];
    }
    let request = run::request(cx, &repo, &args)?;
    let session = Session::new(&repo, cx.cwd.clone());
    let snapshot = repo.store().snapshot()?;
    let part = prov::run::prepare::plan_config(&session, &snapshot, &request, cx.environment.all(), mode)?;
    let is_wrong = part.answer.diagnostics.iter().any(|one| one.severity == Severity::Error);
    if cx.ui.is_json() {
        cx.ui.document(document(&part))?;
    } else {
        text(cx, &part, mode)?;
    }
    Ok(if is_wrong { Exit::No } else { Exit::Done })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn text(cx: &Context, part: &ConfigPart, mode: Mode) -> Result<(), Failure> {
    if mode == Mode::Plan {
        let identity = part.counted.as_ref().map_or_else(|| "none".to_owned(), |(_, id)| id.to_string());
        cx.ui.line(format_args!("identity {identity}"))?;
        for (path, id, size, from) in part.files() {
            let path = shown(path.as_bytes());
            cx.ui.line(format_args!("{}  {path}  {}  {}", id.short(), human::size(size), shown(from)))?;
        }
        for (key, value) in &part.answer.scalars {
            cx.ui.line(format_args!("{} = {}", shown(key), shown(prov::config::to_json(value))))?;
        }
        for one in &part.answer.references {
            cx.ui.line(format_args!("{}: {}", shown(&one.role), shown(&one.path)))?;
        }
    }
    for one in &part.answer.diagnostics {
        cx.ui.line(format_args!("{}: {}", word(one.severity), one.text()))?;
    }
    Ok(())
}

fn document(part: &ConfigPart) -> Map<String, Value> {
    let values = |values: &std::collections::BTreeMap<String, Stored>| -> Value {
        values.iter().map(|(key, value)| (key.clone(), json::stored(value))).collect::<Map<_, _>>().into()
    };
    let mut document = json::document("config-plan");
    document.insert("label".to_owned(), json!(part.label));
    document.insert("identity".to_owned(), json!(part.counted.as_ref().map(|(_, id)| id.to_string())));
    document.insert("tree".to_owned(), json!(part.tree.to_string()));
    let files = part.files().map(|(path, id, size, from)| {
        let mut map = Map::new();
        json::put_bytes(&mut map, "path", path.as_bytes());
        map.insert("id".to_owned(), json!(id.to_string()));
        map.insert("size".to_owned(), json!(size));
        map.insert("from".to_owned(), json!(from));
        Value::Object(map)
    });
    document.insert("files".to_owned(), files.collect());
    document.insert("scalars".to_owned(), values(&part.answer.scalars));
    let references = part.answer.references.iter().map(|one| json!({"role": one.role, "path": one.path}));
    document.insert("references".to_owned(), references.collect());
    document.insert("facets".to_owned(), values(&part.answer.facets));
    let diagnostics =
        part.answer.diagnostics.iter().map(
            |one| json!({"severity": word(one.severity), "message": one.message, "file": one.file, "line": one.line}),
        );
    document.insert("diagnostics".to_owned(), diagnostics.collect());
    document
}

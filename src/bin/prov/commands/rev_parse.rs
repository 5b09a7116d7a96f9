//! `prov rev-parse`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use prov::revspec::Target;
use prov::run::Session;
use serde_json::{Map, Value, json};

use super::Context;
use super::revision::Seen;
use crate::args::RevParseArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::json;

/// What one revision stands for.
struct Parsed {
    kind: String,
    id: String,
    run: Option<String>,
    key: Option<String>,
}

/// Prints what revisions stand for: of a run its run id, of all else the id of the object.
pub(crate) fn run(cx: &Context, args: &RevParseArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let mut items: Vec<Value> = Vec::new();
    for rev in &args.revs {
        for parsed in parse(cx, &seen, rev)? {
            if cx.ui.is_json() {
                let mut map = Map::new();
                json::put_bytes(&mut map, "rev", rev.as_bytes());
                map.insert("type".to_owned(), json!(parsed.kind));
                map.insert("id".to_owned(), json!(parsed.id));
                map.insert("run".to_owned(), json!(parsed.run));
                map.insert("key".to_owned(), json!(parsed.key));
                items.push(Value::Object(map));
            } else {
                let word = if parsed.kind == "run" { parsed.run.as_ref().unwrap_or(&parsed.id) } else { &parsed.id };
                cx.ui.line(word)?;
            }
        }
    }
    if cx.ui.is_json() {
        let mut document = json::document("rev-parse");
        document.insert("items".to_owned(), items.into());
        cx.ui.document(document)?;
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

fn parse(cx: &Context, seen: &Seen, rev: &OsStr) -> Result<Vec<Parsed>, Failure> {
    let one = |kind: &str, id: String, run: Option<String>, key: Option<String>| {
        Ok(vec![Parsed { kind: kind.to_owned(), id, run, key }])
    };
    match seen.target(cx, rev)? {
        Target::Run(at) => one("run", at.object.to_string(), Some(at.run), None),
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            let id = Seen::artifact(&run, &key).map(|artifact| artifact.content.id().to_string()).unwrap_or_default();
            one("artifact", id, Some(at.run), Some(key))
        }
        Target::Outputs(at) => {
            let run = seen.read_run(&at)?;
            let outputs = run.outputs.iter().map(|(key, output)| Parsed {
                kind: "artifact".to_owned(),
                id: output.content.id().to_string(),
                run: Some(at.run.clone()),
                key: Some(key.clone()),
            });
            Ok(outputs.collect())
        }
        Target::Config(at, id) => one("config", id.to_string(), Some(at.run), None),
        Target::ConfigFolder(at, _, content) => one(&content.type_name(), content.id().to_string(), Some(at.run), None),
        Target::Code(at, id) => one("tree", id.to_string(), Some(at.run), None),
        Target::Object(id, kind) => one(kind.as_str(), id.to_string(), None, None),
        Target::Path(place) => {
            let session = Session::new(&seen.repo, cx.cwd.clone());
            let captured = Seen::capture(&session, &place)?;
            one(&captured.content.type_name(), captured.content.id().to_string(), None, None)
        }
    }
}

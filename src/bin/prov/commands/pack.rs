//! `prov pack`.

use prov::progress::Cancel;
use prov::run::{Session, again, pack};
use serde_json::{Map, Value, json};

use super::revision::Seen;
use super::{Context, elsewhere};
use crate::args::PackArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::output::{human, json};

/// Puts a run into a folder that needs no prov.
pub(crate) fn run(cx: &Context, args: &PackArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let (at, _) = seen.run(cx, &args.run)?;
    let recorded = again::recorded(&seen.snapshot, &at.run, &at.object)?;
    let folder = prov::path::normal(&cx.cwd.join(&args.folder));
    let (bar, tell) = (cx.ui.bar(), elsewhere::teller(cx));
    let remotes = elsewhere::remotes(cx, &seen.repo, &bar, Cancel::new(), &tell)?;
    let session = Session::with_progress(&seen.repo, cx.cwd.clone(), &bar)
        .with_elsewhere(remotes.as_ref().map(|remotes| remotes as _));
    let packed = pack::pack(&session, &seen.snapshot, &at, &recorded, &folder)?;
    drop(session);
    for note in &packed.notes {
        cx.ui.warn(format_args!("not packed: {}", prov::path::shown(note.as_bytes())));
    }
    let shown = prov::path::show(&folder);
    cx.ui.say(format_args!(
        "packed run {} with {}: `sh {shown}/run.sh` executes it again and compares",
        human::short(recorded.run.tail(), 8),
        human::count(packed.outputs.len() as u64, "output")
    ));
    if cx.ui.is_json() {
        let mut document = json::document("pack");
        document.insert("run".to_owned(), json!(recorded.run.run));
        document.insert("object".to_owned(), json!(recorded.object.to_string()));
        json::put_bytes(&mut document, "folder", &prov::path::bytes(&folder));
        let outputs = packed.outputs.iter().map(|(key, path)| {
            let mut one = Map::new();
            one.insert("key".to_owned(), json!(key));
            json::put_bytes(&mut one, "path", path);
            Value::Object(one)
        });
        document.insert("outputs".to_owned(), outputs.collect::<Value>());
        document.insert("notes".to_owned(), json!(packed.notes));
        cx.ui.document(document)?;
    }
    Ok(Exit::Done)
}

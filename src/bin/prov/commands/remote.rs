//! `prov remote`.

use prov::sync;
use serde_json::json;

use super::Context;
use crate::args::{RemoteArgs, RemoteCommand};
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::json;

/// Names, lists and forgets remotes.
pub(crate) fn run(cx: &Context, args: &RemoteArgs) -> Result<Exit, Failure> {
    let repo = open::untouched(cx)?;
    let mut items = Vec::new();
    match &args.command {
        RemoteCommand::List => {
            for (remote, origin) in sync::list(&repo)? {
                let url = sync::redacted(&remote.url);
                if !cx.ui.is_json() {
                    cx.ui.line(format_args!("{}\t{}", remote.name, prov::path::shown(url.as_bytes())))?;
                }
                items.push(json!({ "name": remote.name, "url": url, "origin": origin.to_string() }));
            }
        }
        RemoteCommand::Add { name, url } => {
            let remote = sync::add(&repo, name, url, &cx.cwd)?;
            let url = sync::redacted(&remote.url);
            if !cx.ui.is_json() {
                cx.ui.say(format_args!("remote {name}: {}", prov::path::shown(url.as_bytes())));
            }
            items.push(json!({ "name": remote.name, "url": url }));
        }
        RemoteCommand::Remove { name } => {
            sync::remove(&repo, name)?;
            cx.ui.say(format_args!("remote {name} is forgotten; what came from it stays"));
            items.push(json!({ "name": name }));
        }
    }
    if cx.ui.is_json() {
        let mut document = json::document("remote");
        document.insert("items".to_owned(), json!(items));
        cx.ui.document(document)?;
    }
    Ok(Exit::Done)
}

//! `prov check`: whether a file is what is on record.

use std::os::unix::ffi::OsStrExt;

use prov::mark::Marks;
use prov::object::recipe::Content;
use prov::revspec::Target;
use prov::run::Session;
use serde_json::json;

use super::Context;
use super::revision::Seen;
use crate::args::CheckArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::json;
use crate::output::record::shown;

/// What was found out about a file.
struct Found {
    verdict: &'static str,
    exit: Exit,
    why: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    run: Option<String>,
    key: Option<String>,
}

/// Compares a file or folder with an artifact.
pub(crate) fn run(cx: &Context, args: &CheckArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let found = look(cx, &seen, args)?;
    let file = shown(args.file.as_bytes());
    if cx.ui.is_json() {
        let mut document = json::document("check");
        json::put_bytes(&mut document, "file", args.file.as_bytes());
        document.insert("against".to_owned(), json!(shown(args.against.as_bytes())));
        document.insert("verdict".to_owned(), json!(found.verdict));
        document.insert("why".to_owned(), json!(found.why));
        document.insert("run".to_owned(), json!(found.run));
        document.insert("key".to_owned(), json!(found.key));
        document.insert("expected".to_owned(), json!(found.expected));
        document.insert("found".to_owned(), json!(found.found));
        cx.ui.document(document)?;
    } else {
        let why = found.why.as_ref().map(|why| format!(": {}", shown(why))).unwrap_or_default();
        cx.ui.line(format_args!("{} {file}{why}", found.verdict))?;
    }
    open::complete(&seen.snapshot)?;
    Ok(found.exit)
}

fn look(cx: &Context, seen: &Seen, args: &CheckArgs) -> Result<Found, Failure> {
    let mut found = Found {
        verdict: "unverified",
        exit: Exit::NotFound,
        why: None,
        expected: None,
        found: None,
        run: None,
        key: None,
    };
    let unreadable = |mut found: Found, why: String| {
        (found.verdict, found.exit, found.why) = ("unreadable", Exit::Damaged, Some(why));
        found
    };
    let place = prov::path::locate(seen.repo.root(), &cx.cwd, args.file.as_ref());
    let session = Session::new(&seen.repo, cx.cwd.clone());
    // The file first: one that can't be read is told whatever is on record.
    let captured = match Seen::capture(&session, &place) {
        Ok(captured) => captured,
        Err(failure) => {
            let why = std::iter::once(failure.message).chain(failure.causes).collect::<Vec<_>>().join(": ");
            return Ok(unreadable(found, why));
        }
    };
    found.found = Some(captured.content.id().to_string());
    let (at, key) = match seen.target(cx, &args.against) {
        Ok(Target::Artifact(at, key)) => (at, key),
        Ok(Target::Run(at)) => {
            let run = seen.read_run(&at)?;
            let artifact = Seen::only_output(&run)?;
            (at, artifact.key)
        }
        Ok(_) => {
            return Err(Failure::usage(format!("`{}` is no artifact", shown(args.against.as_bytes())))
                .hint("name an output or input of a run: RUN:KEY"));
        }
        Err(failure) if failure.class == Class::NotFound => {
            found.why = Some(failure.message);
            return Ok(found);
        }
        Err(failure) => return Err(failure),
    };
    let run = seen.read_run(&at)?;
    (found.run, found.key) = (Some(at.run.clone()), Some(key.clone()));
    let Some(artifact) = Seen::artifact(&run, &key) else {
        found.why = Some(format!("run {} has no artifact `{key}`", at.run));
        return Ok(found);
    };
    let content = match &run.outputs.get(&key) {
        // Of a set the record has the tree of its members alone.
        Some(output) if output.set.is_some() => {
            found.why = Some("an output set can't be compared as a whole".to_owned());
            return Ok(found);
        }
        _ => artifact.content,
    };
    if !matches!(content, Content::Blob(_) | Content::Tree(_)) {
        found.why = Some("its content is kept elsewhere, or it was not there".to_owned());
        return Ok(found);
    }
    found.expected = Some(content.id().to_string());
    if args.require {
        let retracted = Marks::open(&seen.snapshot).and_then(|marks| marks.retracted(&at.object))?;
        let why = if retracted.is_some() {
            Some("its outcome was retracted")
        } else if run.status != prov::object::run::Status::Success {
            Some("the run is no success")
        } else if !run.sealed {
            Some("the run is not sealed: something changed under it")
        } else {
            None
        };
        if let Some(why) = why {
            found.why = Some(why.to_owned());
            return Ok(found);
        }
    }
    if captured.content == content {
        (found.verdict, found.exit) = ("verified", Exit::Done);
    } else {
        (found.verdict, found.exit) = ("mismatched", Exit::No);
        found.why = Some("it has other bytes".to_owned());
    }
    Ok(found)
}

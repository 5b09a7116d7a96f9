//! `prov cat-object`.

use std::os::unix::ffi::OsStrExt;

use prov::hash::Id;
use prov::object::Kind;
use prov::revspec::Target;
use serde_json::Value;

use super::elsewhere::answer;
use super::revision::{Seen, lost, print_blob};
use super::{Context, describe};
use crate::args::CatObjectArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::json;
use crate::output::record::shown;

/// Prints an object: a record as JSON, a blob as its bytes.
pub(crate) fn run(cx: &Context, args: &CatObjectArgs) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let id = object(cx, &seen, args)?;
    let what = format!("object {id}");
    let (kind, size) =
        answer(cx, &seen.repo, &mut seen.snapshot, &mut |_, source| source.header(&id)?.ok_or_else(|| lost(&what)))?;
    if args.kind {
        cx.ui.line(&kind)?;
    } else if args.size {
        cx.ui.line(size)?;
    } else if cx.ui.is_json() {
        let mut document = json::document("cat-object");
        if let Value::Object(object) = describe::object_json(&seen.snapshot, &id)? {
            document.extend(object);
        }
        cx.ui.document(document)?;
    } else if kind == Kind::BLOB {
        print_blob(cx, &seen.snapshot, &id, &what)?;
    } else if args.raw {
        cx.ui.bytes(&seen.object(&id)?.1)?;
    } else {
        cx.ui.page(&cx.environment);
        cx.ui.line(format_args!("{:#}", describe::object_json(&seen.snapshot, &id)?))?;
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

/// The object with this id or prefix, else the one that the revision stands for.
fn object(cx: &Context, seen: &Seen, args: &CatObjectArgs) -> Result<Id, Failure> {
    let word = args.object.to_string_lossy().to_ascii_lowercase();
    if (4..=64).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_hexdigit()) {
        let mut found = seen.snapshot.find_ids(&word, 16)?;
        match (found.pop(), found.is_empty()) {
            (Some((id, _)), true) => return Ok(id),
            (Some(last), false) => {
                found.push(last);
                return Err(Failure::new(Class::NotFound, "ambiguous", format!("`{word}` is ambiguous"))
                    .candidates(found.into_iter().map(|(id, kind)| format!("{id} {kind}")))
                    .hint("type more of the one that is meant"));
            }
            (None, _) => {}
        }
    }
    match seen.target(cx, &args.object)? {
        Target::Run(at) => Ok(at.object),
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            let artifact = Seen::artifact(&run, &key);
            artifact.map(|artifact| artifact.content.id()).ok_or_else(|| lost(&format!("artifact `{}`", shown(&key))))
        }
        Target::ConfigFolder(_, _, content) => Ok(content.id()),
        Target::Config(_, id) | Target::Code(_, id) | Target::Object(id, _) => Ok(id),
        Target::Outputs(_) | Target::Path(_) => {
            Err(Failure::usage(format!("`{}` is not an object", shown(args.object.as_bytes())))
                .hint("`prov rev-parse` prints the ids that a revision stands for"))
        }
    }
}

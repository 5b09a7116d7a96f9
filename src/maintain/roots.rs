//! What refs need: the objects without which a ref is a promise that nobody can keep.

use bstr::BString;

use crate::codec::Error;
use crate::hash::Id;
use crate::refs::key;
use crate::repo::entry::{self, Outcome, RunLine, RunPlace, ScenarioRef, Staged, StepRun, Tag, Touch};

/// The objects that a ref names; an error says that the ref can't be understood. Refs of newer provs are carried, not judged.
///
/// # Errors
/// What is wrong with the key or the value.
pub(super) fn targets(key: &[u8], value: &[u8]) -> Result<Vec<Id>, String> {
    Ok(known(key, value)?.unwrap_or_default())
}

/// As [`targets`], but what this prov does not know is an error: nobody can tell what such a ref keeps.
///
/// # Errors
/// What is wrong with the key or the value.
pub(crate) fn all_targets(key: &[u8], value: &[u8]) -> Result<Vec<Id>, String> {
    known(key, value)?.ok_or_else(|| "a newer prov wrote it".to_owned())
}

/// The objects that a ref names; `None` if this prov does not know such refs.
fn known(key: &[u8], value: &[u8]) -> Result<Option<Vec<Id>>, String> {
    let Some(parts) = key::components(key) else { return Err("its key is not one".to_owned()) };
    let wrong = |err: Error| err.to_string();
    Ok(Some(match parts.first().map(|part| part.as_slice()) {
        Some(b"runs") => vec![entry::decode::<RunLine>(value).map_err(wrong)?.object],
        Some(b"ids" | b"names" | b"readers") => vec![entry::decode::<RunPlace>(value).map_err(wrong)?.object],
        Some(b"results" | b"failures") => vec![entry::decode::<Outcome>(value).map_err(wrong)?.object],
        Some(b"steps") => vec![entry::decode::<StepRun>(value).map_err(wrong)?.object],
        Some(b"producers" | b"consumers" | b"artifacts") => vec![entry::decode::<Touch>(value).map_err(wrong)?.object],
        // What content stands in a list keeps the list, not the content.
        Some(b"listed") => {
            entry::decode::<BString>(value).map_err(wrong)?;
            vec![key::list_and_key(key).ok_or("its key names no list")?.0]
        }
        Some(b"scenarios") => match ScenarioRef::read(value).map_err(wrong)? {
            ScenarioRef::Settings(id) => vec![id],
            ScenarioRef::Alias(_) => Vec::new(),
        },
        Some(b"workspaces") if parts.get(2).is_some_and(|part| *part == "ops") => Vec::new(),
        Some(b"tags") => vec![entry::decode::<Tag>(value).map_err(wrong)?.object],
        Some(b"workspaces") => vec![entry::decode::<Staged>(value).map_err(wrong)?.content.id()],
        // What is said about an object keeps what says it, not the object.
        Some(b"about") => {
            let said = parts.last().and_then(|part| Id::from_bytes(part));
            vec![said.ok_or("its key names no object")?]
        }
        // What a remote was seen to have: settings are kept, since a merge needs them. Tags are compared, not followed.
        Some(b"remotes") if parts.get(3).is_some_and(|part| *part == "scenarios") => {
            vec![entry::decode::<Id>(value).map_err(wrong)?]
        }
        // Where content is that is not here.
        Some(b"remotes" | b"presence") => Vec::new(),
        // Only names: a hint to which run wrote a path.
        Some(b"outpaths") => Vec::new(),
        _ => return Ok(None),
    }))
}

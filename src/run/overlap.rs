//! What a command reads and what it writes have to lie apart.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bstr::ByteSlice;

use super::Error;
use super::inputs::ReadyInput;
use super::prepare::Prepared;
use super::request::Request;
use super::session::Session;
use crate::object::recipe::Content;
use crate::path::Place;
use crate::recipe::{self, Declared, Members, Role};
use crate::worktree;

/// How something that is read meets an output set.
fn meets_set(read: &Place, is_folder: bool, root: &Place, members: &Members) -> bool {
    if is_below(root, read) {
        return is_folder;
    }
    let (Place::Inside(read), Place::Inside(root)) = (read, root) else {
        let (Place::Outside(read), Place::Outside(root)) = (read, root) else { return false };
        let Ok(below) = read.strip_prefix(root) else { return false };
        let below = crate::path::bytes(below);
        return if is_folder { members.may_hold(below.as_bstr()) } else { members.has(below.as_bstr()) };
    };
    recipe::below(read, root).is_some_and(|below| if is_folder { members.may_hold(below) } else { members.has(below) })
}

/// What a command reads may not lie where its outputs go: places of outputs are cleared before it starts.
pub(super) fn check_overlaps(
    request: &Request,
    declared: &Declared,
    inputs: &BTreeMap<String, ReadyInput>,
    stdin: Option<&Place>,
) -> Result<(), Error> {
    let named = request.identity.iter().chain(&request.locks).map(|one| &one.path);
    let beside = request.config_files.iter().chain(&request.config_folder.dirs).chain(named);
    let beside: Vec<Place> = beside.map(|path| declared.locate(path)).collect();
    for (key, output) in declared.places(Role::Output) {
        if request.in_place.contains(key) {
            continue;
        }
        let shown = |place: &Place| crate::path::shown(&crate::revspec::recorded_path(place));
        let refuse = |what: String, fix: &str| {
            Err(Error::Usage { what: format!("output `{key}` ({}) {what}; {fix}", shown(output)) })
        };
        let files = |input: &ReadyInput| match &input.set {
            Some(set) => set.files.iter().any(|(place, _)| overlaps(place, output)),
            None => false,
        };
        if let Some(members) = declared.set(key) {
            if members.is_changed_only() {
                // What is declared as something else is not captured; only a folder that holds all of it can't be told apart.
                let holds = |input: &ReadyInput| input.set.is_none() && is_below(output, &input.place);
                if let Some((name, _)) = inputs.iter().find(|(_, input)| holds(input)) {
                    return refuse(
                        format!("is captured, and lies in input `{name}`"),
                        "declare the input more narrowly",
                    );
                }
                continue;
            }
            for (name, input) in inputs {
                let is_folder = matches!(input.captured.content, Content::Tree(_));
                let meets = match &input.set {
                    Some(set) => set.files.iter().any(|(file, _)| meets_set(file, false, output, members)),
                    None => meets_set(&input.place, is_folder, output, members),
                };
                if meets {
                    return refuse(
                        format!("could have `{}` for a member, which is input `{name}`", shown(&input.place)),
                        &format!("leave it out: --output-set '{key}=ROOT:!PATTERN'"),
                    );
                }
            }
            let words = request.argv.iter().filter(|word| !word.is_empty()).map(|word| declared.locate(word));
            let is_file = |place: &Place| match place {
                Place::Inside(path) => path.below(declared.root()).is_file(),
                Place::Outside(path) => path.is_file(),
            };
            let named = words.filter(|place| declared.find(place).is_none() && is_file(place));
            let read = stdin.into_iter().chain(&beside).cloned().chain(named);
            if let Some(read) = read.into_iter().find(|place| meets_set(place, false, output, members)) {
                return refuse(
                    format!("could have `{}` for a member, which is read or named by the command", shown(&read)),
                    &format!("leave it out: --output-set '{key}=ROOT:!PATTERN'"),
                );
            }
            continue;
        }
        for (name, input) in inputs {
            if input.set.is_some() {
                if files(input) {
                    return refuse(
                        format!("and a file of input `{name}` lie inside each other"),
                        "declare one of them more narrowly",
                    );
                }
                continue;
            }
            if input.place == *output {
                let fix = format!("if the command changes it where it lies, say --in-place {key}");
                return refuse(format!("is also input `{name}`"), &fix);
            }
            if overlaps(&input.place, output) {
                return refuse(
                    format!("and input `{name}` ({}) lie inside each other", shown(&input.place)),
                    "declare one of them more narrowly",
                );
            }
        }
        if let Some(read) = stdin.into_iter().chain(&beside).find(|place| overlaps(place, output)) {
            return refuse(
                format!("and `{}`, which is read, lie inside each other", shown(read)),
                "declare another output",
            );
        }
        // A script below an output folder would be cleared away before it could run.
        for word in &request.argv {
            let place = declared.locate(word);
            if !word.is_empty()
                && place != *output
                && declared.find(&place).is_none()
                && overlaps(&place, output)
                && is_below(&place, output)
            {
                let exists = match &place {
                    Place::Inside(path) => path.below(declared.root()).is_file(),
                    Place::Outside(path) => path.is_file(),
                };
                if exists {
                    return refuse(
                        format!("holds `{}`, which the command names", shown(&place)),
                        "declare the output more narrowly",
                    );
                }
            }
        }
    }
    Ok(())
}

/// As the check of what was declared, but with links followed: under another name an output may be what the command reads.
///
/// # Errors
/// When an output is, holds or lies in an input, or lies among the files of prov or Git.
pub(super) fn check_real_overlaps(session: &Session<'_>, prepared: &Prepared, keys: &[&str]) -> Result<(), Error> {
    let worktree = session.worktree();
    let real = |place: &Place| crate::path::real(&worktree.path(place));
    let moved: Vec<(&Place, PathBuf, Option<&Members>)> = keys
        .iter()
        .filter_map(|key| Some((prepared.output(key)?, prepared.declared.set(key))))
        .map(|(place, members)| (place, real(place), members))
        .collect();
    let inputs = prepared
        .inputs
        .values()
        .filter(|input| input.set.is_none())
        .map(|input| &input.place)
        .chain(prepared.stdin.as_ref().map(|(place, _)| place));
    for input in inputs {
        let (at, target) = (real(input), std::fs::canonicalize(worktree.path(input)).ok());
        for (output, path, members) in &moved {
            let is_one = |other: &PathBuf| match (members, other.strip_prefix(path)) {
                // A set shares its folder with others, unless that is what the input is.
                (Some(members), Ok(below)) => {
                    let below = crate::path::bytes(below);
                    if other.is_dir() { members.may_hold(below.as_bstr()) } else { members.has(below.as_bstr()) }
                }
                _ => other.starts_with(path) || path.starts_with(other),
            };
            if **output != *input && (is_one(&at) || target.as_ref().is_some_and(is_one)) {
                let shown = |place: &Place| crate::path::shown(&crate::revspec::recorded_path(place));
                return Err(Error::Usage {
                    what: format!(
                        "output `{}` and input `{}` are the same place or lie inside each other: links lead to it; declare another output",
                        shown(output),
                        shown(input)
                    ),
                });
            }
        }
    }
    for (output, path, members) in moved {
        let inside = path.strip_prefix(session.repo.root()).ok();
        let is_reserved = |name: std::path::Component<'_>| {
            worktree::is_reserved(std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()))
        };
        if inside.is_some_and(|inside| {
            (inside.as_os_str().is_empty() && members.is_none()) || inside.components().any(is_reserved)
        }) {
            let output = crate::path::shown(&crate::revspec::recorded_path(output));
            return Err(Error::Usage {
                what: format!("output `{output}` leads into `.prov` or `.git`, or is the project"),
            });
        }
    }
    Ok(())
}

/// Whether two places are one, or one lies inside the other.
pub(super) fn overlaps(a: &Place, b: &Place) -> bool {
    is_below(a, b) || is_below(b, a)
}

/// Whether `inner` is `outer` or lies inside of it.
pub(super) fn is_below(inner: &Place, outer: &Place) -> bool {
    match (inner, outer) {
        (Place::Inside(inner), Place::Inside(outer)) => inner.is_within(outer),
        (Place::Outside(inner), Place::Outside(outer)) => inner.starts_with(outer),
        _ => false,
    }
}

//! What a request declares, checked one by one: spellings, outputs, environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bstr::{BStr, BString, ByteSlice};

use super::Error;
use super::prepare::Environment;
use super::request::Request;
use super::secrets::Secrets;
use crate::path::Place;
use crate::recipe::{self, Declared, Members, Role};
use crate::worktree;

/// Declares the outputs of a request: files, folders and sets.
///
/// # Errors
/// When one of them can't be one.
pub(super) fn declare_outputs(
    repo: &crate::repo::Repo,
    request: &Request,
    cwd: &std::path::Path,
    declared: &mut Declared,
) -> Result<(), Error> {
    for output in &request.outputs {
        let key = declared.add(Role::Output, output.key.as_deref(), output.path.as_bstr())?;
        check_output(repo, &key, &declared.places(Role::Output)[&key])?;
    }
    for set in &request.output_sets {
        check_spelling(repo, cwd, set.root.as_bstr())?;
        let key = declared.add_set(set.key.as_deref(), set.root.as_bstr(), Members::new(&set.files)?)?;
        check_set(repo, &key, &declared.places(Role::Output)[&key])?;
        if request.in_place.contains(&key) {
            return Err(Error::Usage { what: format!("--in-place {key}: an output set can't be changed in place") });
        }
    }
    Ok(())
}

/// Checks what the environment of a command is to be, and gives the secrets that are known. None of them may stand in the request, which
/// is recorded.
pub(super) fn check_environment(request: &Request, environment: &Environment) -> Result<Secrets, Error> {
    if let Some(name) = request.secret_env.iter().find(|name| request.env.contains_key(*name)) {
        return Err(Error::Usage { what: format!("the variable {name} can't be secret and a part of the recipe") });
    }
    let mut variables: BTreeMap<String, &String> = BTreeMap::new();
    for key in request.runtime.keys() {
        recipe::check_key(key)?;
        if let Some(other) = variables.insert(recipe::variable_name(key), key) {
            let name = recipe::variable_name(key);
            return Err(Error::Usage {
                what: format!("the runtime values `{other}` and `{key}` have one variable, PROV_RUNTIME_{name}"),
            });
        }
    }
    let secrets = Secrets::known(&request.secret_env, environment);
    if !secrets.is_empty() {
        let bytes = crate::codec::encode(request).map_err(|source| Error::Ref { source })?;
        secrets.check(&bytes, "the request")?;
    }
    Ok(secrets)
}

/// A lock file under its label: the whole file name, so that `uv.lock` and `uv.toml` are two.
pub(super) fn lock_label(lock: &super::request::Declared) -> super::request::Declared {
    let name = crate::path::from_bytes(&lock.path);
    let name = crate::path::bytes(std::path::Path::new(name.file_name().unwrap_or_default()));
    let label = || recipe::derive_key(name.replace(".", "_").as_bstr());
    super::request::Declared { key: Some(lock.key.clone().unwrap_or_else(label)), path: lock.path.clone() }
}

/// Whether a word of the command, or what follows the first `=` of an option, is this place.
pub(super) fn is_named(argv: &[BString], declared: &Declared, place: &Place) -> bool {
    argv.iter().skip(1).any(|word| {
        let value = if word.starts_with(b"-") { word.split_once_str("=").map(|(_, value)| value) } else { None };
        [Some(word.as_slice()), value]
            .into_iter()
            .flatten()
            .any(|text| !text.is_empty() && declared.locate(text) == *place)
    })
}

/// Refuses a path whose `..` follows a link: prov would look elsewhere than the command does.
pub(super) fn check_spelling(repo: &crate::repo::Repo, cwd: &std::path::Path, text: &BStr) -> Result<(), Error> {
    use std::path::Component;
    let typed = crate::path::from_bytes(text);
    if text.is_empty() {
        return Err(Error::Usage { what: "a path is empty; to mean the folder you are in, write `.`".to_owned() });
    }
    if !typed.components().any(|component| component == Component::ParentDir) {
        return Ok(());
    }
    let mut at = PathBuf::new();
    for component in cwd.join(&typed).components() {
        if component == Component::ParentDir {
            let stat = repo.fs().lstat(&at).map_err(|source| Error::io("read", &at, source))?;
            if stat.is_some_and(|stat| stat.kind == crate::fs::FileKind::Link) {
                return Err(Error::Usage {
                    what: format!(
                        "`{}` can be read in two ways, since `{}` is a symbolic link; give the path without `..`",
                        crate::path::shown(text),
                        crate::path::show(&at)
                    ),
                });
            }
            at.pop();
        } else if component != Component::CurDir {
            at.push(component);
        }
    }
    Ok(())
}

fn check_output(repo: &crate::repo::Repo, key: &str, place: &Place) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::Usage { what: format!("output `{key}` {what}") });
    match place {
        Place::Inside(path) if path.is_root() => refuse("is the project itself"),
        Place::Inside(path) if path.components().any(|name| worktree::is_reserved(name)) => {
            refuse("lies inside `.prov` or `.git`")
        }
        Place::Outside(path) if repo.root().starts_with(path) => refuse("is a folder that holds the project"),
        _ => Ok(()),
    }
}

/// As [`check_output`], for a folder only some files of which are an output: it may be the project, or hold it.
fn check_set(repo: &crate::repo::Repo, key: &str, place: &Place) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::Usage { what: format!("output set `{key}` {what}") });
    match place {
        Place::Inside(path) if path.components().any(|name| worktree::is_reserved(name)) => {
            refuse("lies inside `.prov` or `.git`")
        }
        Place::Outside(path) if repo.root().starts_with(path) => refuse("is seen from a folder that holds the project"),
        _ => Ok(()),
    }
}

/// What is declared as something else is never captured.
pub(super) fn set_apart(request: &Request, declared: &mut Declared, stdin: Option<&Place>) {
    let captures: Vec<(String, Place)> = declared
        .sets()
        .iter()
        .filter(|(_, members)| members.is_changed_only())
        .filter_map(|(key, _)| Some((key.clone(), declared.places(Role::Output).get(key)?.clone())))
        .collect();
    for (key, root) in captures {
        let beside = request.config_files.iter().chain(request.identity.iter().map(|one| &one.path));
        let others = declared.places(Role::Output).iter().filter(|(other, _)| !declared.sets().contains_key(*other));
        let all = others.map(|(_, place)| place.clone()).chain(declared.read_places().cloned());
        let all: Vec<BString> = all
            .chain(stdin.cloned())
            .chain(beside.map(|path| declared.locate(path)))
            .filter_map(|place| match (place, &root) {
                (Place::Inside(path), Place::Inside(root)) => recipe::below(&path, root).map(BStr::to_owned),
                (Place::Outside(path), Place::Outside(root)) => path.strip_prefix(root).ok().map(crate::path::bytes),
                _ => None,
            })
            .filter(|path| !path.is_empty())
            .collect();
        declared.set_apart(&key, all);
    }
}

//! From layers to what counts: the files of the resolved folder, and their tree by bytes, by values, or by the word of an adapter.

use std::collections::BTreeMap;
use std::path::Path;

use bstr::ByteSlice;

use super::{Asking, ConfigIdentity, ConfigPart, File, FolderRequest, LABEL, MARK, Origin};
use crate::codec::Value;
use crate::config;
use crate::config::folder::{self, FileOverride, Layer};
use crate::hash::{self, Id};
use crate::object::Kind;
use crate::object::tree::{self, EntryKind};
use crate::path::{RelPath, shown};
use crate::revspec;
use crate::run::Error;
use crate::run::adapter::{self, Answer, Diagnostic, Policy, Severity};
use crate::run::session::Session;
use crate::worktree::{self, CaptureOptions, Fence};

/// A file with its text, if it is a configuration file.
struct Held<'a> {
    file: File,
    text: Option<std::borrow::Cow<'a, [u8]>>,
}

/// Resolves layers and makes what counts of them.
pub(super) fn resolved(
    session: &Session<'_>,
    asking: Asking<'_>,
    asked: &FolderRequest,
    known: &[BTreeMap<RelPath, File>],
    texts: &[Layer],
    overrides: &[FileOverride],
) -> Result<ConfigPart, Error> {
    use std::borrow::Cow;
    let label = asked.label.clone().unwrap_or_else(|| LABEL.to_owned());
    crate::recipe::check_key(&label)?;
    let mut held: Vec<Held<'_>> = Vec::new();
    for (path, resolved) in folder::resolve(texts, overrides)? {
        let Some(lies) = known[resolved.layer].get(&path) else { continue };
        held.push(match resolved.rewritten {
            None => {
                let text = texts[resolved.layer].get(&path).and_then(Option::as_deref);
                Held { file: lies.clone(), text: text.map(Cow::Borrowed) }
            }
            Some(bytes) => {
                let (id, size) = (hash::blob(&bytes), bytes.len() as u64);
                let file = File { path, id, size, exec: lies.exec, origin: Origin::Made(bytes.clone()) };
                Held { file, text: Some(Cow::Owned(bytes)) }
            }
        });
    }
    let mut objects = Vec::new();
    let mut fence = Fence::new();
    let answer = match &asked.adapter {
        None => None,
        Some(name) => Some(consulted(session, asking, name, &label, &held)?),
    };
    let all = held.iter().map(|one| (one.file.path.clone(), one.file.id, kind(&one.file), one.file.size)).collect();
    let built = nested(all, &mut objects)?;
    let counted = match (&answer, asked.identity) {
        (_, ConfigIdentity::Off) => None,
        (None, ConfigIdentity::Bytes) => Some((format!("{MARK}{label}"), built.0)),
        // Under other names, since a folder of just these bytes is something else.
        (None, ConfigIdentity::Values) => {
            let files = held.iter().map(|one| counted(one, Policy::Values, &mut objects)).collect::<Vec<_>>();
            Some((format!("{MARK}={label}"), nested(files, &mut objects)?.0))
        }
        (Some(answer), how) => {
            let tree = by_answer(session, answer, how, &held, &mut objects, &mut fence)?;
            Some((format!("{MARK}+{label}"), tree))
        }
    };
    let mut doubts = Vec::new();
    if asking.mode == adapter::Mode::Validate && answer.is_none() {
        for one in &held {
            let wrong = one.text.as_ref().and_then(|text| folder::value_of(&one.file.path, text)?.err());
            doubts.extend(wrong.map(|err| Diagnostic {
                severity: Severity::Warning,
                message: crate::run::chain(&err),
                file: None,
                line: None,
            }));
        }
    }
    Ok(ConfigPart {
        label,
        layers: Vec::new(),
        tree: built.0,
        size: built.1,
        counted,
        fence,
        answer: answer.unwrap_or_else(|| Answer { diagnostics: doubts, ..Answer::default() }),
        objects,
        files: held.into_iter().map(|one| one.file).collect(),
        is_as_it_lies: false,
    })
}

/// Asks the adapter; what is wrong by its word ends a plan.
fn consulted(
    session: &Session<'_>,
    asking: Asking<'_>,
    name: &str,
    label: &str,
    held: &[Held<'_>],
) -> Result<Answer, Error> {
    let worktree = session.worktree();
    let shown_files: Vec<adapter::Shown<'_>> = held
        .iter()
        .map(|one| adapter::Shown {
            path: shown(one.file.path.as_bytes()),
            id: one.file.id.to_string(),
            size: one.file.size,
            text: one.text.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()),
            at: match &one.file.origin {
                Origin::Layer(place) => worktree.path(place).to_str().map(ToOwned::to_owned),
                _ => None,
            },
        })
        .collect();
    let secrets = (asking.secret_env, asking.secrets);
    let answer = adapter::ask(session, asking.environment, secrets, name, label, asking.mode, &shown_files)?;
    if asking.mode == adapter::Mode::Plan {
        answer.check(&format!("{MARK}{label}"))?;
    }
    Ok(answer)
}

/// How a file counts: its bytes, what it says, or its path alone.
fn counted(one: &Held<'_>, policy: Policy, objects: &mut Vec<(Kind, Id, Vec<u8>)>) -> tree::NestedFile {
    let (file, mut made) = (&one.file, |bytes: Vec<u8>| {
        let (id, size) = (hash::blob(&bytes), bytes.len() as u64);
        objects.push((Kind::BLOB, id, bytes));
        (file_path(one), id, kind(&one.file), size)
    });
    match policy {
        Policy::Values => {
            // A file that can't be read as configuration counts by its bytes.
            let said = one.text.as_ref().and_then(|bytes| folder::value_of(&file.path, bytes)).and_then(Result::ok);
            match said {
                Some(value) => made(format!("{}\n", config::to_json(&value)).into_bytes()),
                None => (file.path.clone(), file.id, kind(file), file.size),
            }
        }
        Policy::Path => made(Vec::new()),
        Policy::Content | Policy::Ignore => (file.path.clone(), file.id, kind(file), file.size),
    }
}

fn file_path(one: &Held<'_>) -> RelPath {
    one.file.path.clone()
}

/// The tree of what counts by the word of an adapter: files, scalars, and what it refers to.
fn by_answer(
    session: &Session<'_>,
    answer: &Answer,
    how: ConfigIdentity,
    held: &[Held<'_>],
    objects: &mut Vec<(Kind, Id, Vec<u8>)>,
    fence: &mut Fence,
) -> Result<Id, Error> {
    let refuse = |what: String| Error::Part { part: "@config".to_owned(), what };
    let mut policies: BTreeMap<&str, Policy> = BTreeMap::new();
    for one in &answer.files {
        if !held.iter().any(|held| held.file.path.as_bytes() == one.path.as_bytes()) {
            return Err(refuse(format!(
                "the adapter names `{}`, which is no file of the folder",
                shown(one.path.as_bytes())
            )));
        }
        policies.insert(&one.path, one.policy);
    }
    let default = if how == ConfigIdentity::Values { Policy::Values } else { Policy::Content };
    let mut files = Vec::new();
    for one in held {
        if one.file.path.as_bytes().starts_with(b"@") {
            return Err(refuse(format!("`{}` begins with `@`, as what an adapter adds does", one.file.path)));
        }
        let own = one.file.path.as_bytes().to_str().ok().and_then(|path| policies.get(path)).copied();
        match own.unwrap_or(default) {
            Policy::Ignore => {}
            policy => files.push(counted(one, policy, objects)),
        }
    }
    let mut add = |name: String, bytes: Vec<u8>| -> Result<tree::NestedFile, Error> {
        let path =
            RelPath::new(name.clone()).ok_or_else(|| refuse(format!("`{}` is no name", shown(name.as_bytes()))))?;
        let (id, size) = (hash::blob(&bytes), bytes.len() as u64);
        objects.push((Kind::BLOB, id, bytes));
        Ok((path, id, EntryKind::File, size))
    };
    if !answer.scalars.is_empty() {
        let all = Value::Map(answer.scalars.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
        files.push(add("@scalars.json".to_owned(), format!("{}\n", config::to_json(&all)).into_bytes())?);
    }
    let root = session.repo.root();
    let mut roles = std::collections::BTreeSet::new();
    for one in &answer.references {
        crate::recipe::check_key(&one.role)?;
        if !roles.insert(&one.role) {
            return Err(refuse(format!("the adapter refers to two things as `{}`", one.role)));
        }
        let place = crate::path::locate(root, root, Path::new(&one.path));
        let captured = match one.policy {
            Policy::Ignore => continue,
            Policy::Path => None,
            Policy::Content | Policy::Values => {
                match worktree::capture(&session.worktree(), &place, &CaptureOptions::default(), None) {
                    Ok(captured) => Some(captured),
                    Err(worktree::Error::Absent { .. }) if !one.required => None,
                    Err(err) => return Err(err.into()),
                }
            }
        };
        // Where it lies says nothing of what it holds, and the other way round.
        let text = match &captured {
            Some(captured) => format!("{} {}\n", captured.content.type_name(), captured.content.id()),
            None if one.policy == Policy::Path => format!("path {}\n", shown(&revspec::recorded_path(&place))),
            None => "missing\n".to_owned(),
        };
        if let Some(captured) = captured {
            fence.join(captured.fence);
        }
        files.push(add(format!("@references/{}", one.role), text.into_bytes())?);
    }
    Ok(nested(files, objects)?.0)
}

fn nested(files: Vec<tree::NestedFile>, objects: &mut Vec<(Kind, Id, Vec<u8>)>) -> Result<(Id, u64), Error> {
    let built = tree::build_nested(files).map_err(|source| Error::Record { run: LABEL.to_owned(), source })?;
    objects.extend(built.objects.into_iter().map(|(id, bytes)| (Kind::TREE, id, bytes)));
    Ok((built.root, built.size))
}

fn kind(file: &File) -> EntryKind {
    if file.exec { EntryKind::Exec } else { EntryKind::File }
}

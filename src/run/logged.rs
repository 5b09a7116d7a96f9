//! What was said of a run from within, put into its record.

use std::collections::BTreeMap;

use bstr::BString;

use super::live::{Note, Noted};
use super::prepare::Environment;
use super::request::Request;
use super::{Error, Secrets, Session, settle};
use crate::codec::{self, Value};
use crate::object::run::{Input, Output, Run};
use crate::path::{Place, shown};
use crate::store::{Intake, Snapshot};
use crate::worktree::{self, CaptureOptions};

/// What is said of a file beside its path.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Its format by name.
    pub format: Option<String>,
    /// Queryable remarks.
    pub facets: BTreeMap<String, Value>,
}

/// Looks at a file or folder that a live run read or wrote. Nothing is stored before the run is closed.
///
/// # Errors
/// When it is not there or can't be read.
pub fn look(session: &Session<'_>, key: Option<&str>, path: &BString, said: &Said) -> Result<Noted, Error> {
    let place = session.locate(path);
    if let Place::Inside(inside) = &place
        && (inside.is_root() || inside.components().any(|name| worktree::is_reserved(name)))
    {
        return Err(Error::Usage {
            what: format!("`{}` is the project itself, or lies in `.prov` or `.git`", shown(path)),
        });
    }
    let captured = worktree::capture(&session.worktree(), &place, &CaptureOptions::default(), None)?;
    let recorded = crate::revspec::recorded_path(&place);
    let name = recorded.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let key = match key {
        Some(key) => {
            crate::recipe::check_key(key)?;
            key.to_owned()
        }
        None => crate::recipe::derive_key(name.into()),
    };
    Ok(Noted {
        key,
        path: recorded,
        content: captured.content,
        size: captured.size,
        exec: captured.exec,
        format: said.format.clone(),
        facets: said.facets.clone(),
        meta: BTreeMap::new(),
    })
}

/// Adds a note to a live run. What holds the value of one of its secrets, as far as they are in `environment`, is refused.
///
/// # Errors
/// When the run is not live, or the note can't be written or may not be.
pub fn add(session: &Session<'_>, run: &str, note: &Note, environment: &Environment) -> Result<(), Error> {
    let live = super::live_folder(session.repo);
    let drafted = live.entry(run).and_then(|entry| settle::drafted(&entry, &live));
    let request: Option<Request> =
        drafted.and_then(|(run, _)| run.meta.get("request").and_then(|value| codec::from_value(value).ok()));
    if let Some(request) = request {
        let bytes = codec::encode(note).map_err(|source| Error::Ref { source })?;
        Secrets::known(&request.secret_env, environment).check(&bytes, "what is logged")?;
    }
    Ok(live.note(run, note, &*session.repo.world().random)?)
}

/// A key that is free, or has this very path already.
fn key_for<T>(taken: &BTreeMap<String, T>, path_of: impl Fn(&T) -> &BString, noted: &Noted) -> String {
    let names = (1..).map(|n| if n == 1 { noted.key.clone() } else { format!("{}_{n}", noted.key) });
    let mut fitting = names.filter(|name| taken.get(name).is_none_or(|other| *path_of(other) == noted.path));
    fitting.next().unwrap_or_else(|| noted.key.clone())
}

/// Puts notes into the record, in their order. A file that no declaration told of before the run began is on record, but keeps the run from
/// being a result: its recipe doesn't know of it.
///
/// # Errors
/// When the makers of inputs can't be looked up.
pub(super) fn apply(
    session: &Session<'_>,
    snapshot: &Snapshot,
    notes: &[Note],
    run: &mut Run,
    intake: &Intake,
    secrets: &Secrets,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let mut late = std::collections::BTreeSet::new();
    for note in notes {
        let bytes = codec::encode(note).map_err(|source| Error::Ref { source })?;
        if let Err(err) = secrets.check(&bytes, "what was logged") {
            warnings.push(format!("left out: {err}"));
            continue;
        }
        for noted in &note.inputs {
            let key = key_for(&run.inputs, |input| &input.path, noted);
            if run.inputs.get(&key).is_some_and(|input| input.content == noted.content) {
                continue;
            }
            late.insert(format!("input {key} was logged while it ran"));
            let (project, scenario) = (&run.project, &run.scenario);
            let producer =
                crate::lineage::producer_of(snapshot, project, scenario, noted.path.as_ref(), &noted.content.id())?;
            // What lies outside of the project is recorded by its hash, as declared inputs are.
            let is_inside = !noted.path.starts_with(b"/");
            let stored =
                is_inside && settle::have(session, intake, &noted.path, &noted.content, &CaptureOptions::default());
            let input =
                Input { content: noted.content.clone(), path: noted.path.clone(), size: noted.size, stored, producer };
            run.inputs.insert(key, input);
        }
        for noted in &note.outputs {
            let key = key_for(&run.outputs, |output| &output.path, noted);
            if let Some(output) = run.outputs.get_mut(&key).filter(|output| output.content == noted.content) {
                remark(output, noted);
                continue;
            }
            let was_declared = run.outputs.contains_key(&key);
            late.insert(if was_declared {
                format!("output {key} changed after it was logged")
            } else {
                format!("output {key} was logged and not declared")
            });
            if was_declared {
                continue;
            }
            let stored = settle::have(session, intake, &noted.path, &noted.content, &CaptureOptions::default());
            if !stored {
                warnings.push(format!("output `{key}` changed after it was logged: it is recorded by its hash only"));
            }
            let mut output = Output {
                content: noted.content.clone(),
                path: noted.path.clone(),
                size: noted.size,
                stored,
                exec: noted.exec,
                format: None,
                facets: BTreeMap::new(),
                schema: None,
                set: None,
                members: BTreeMap::new(),
                meta: BTreeMap::new(),
            };
            remark(&mut output, noted);
            run.outputs.insert(key, output);
        }
        run.facets.extend(note.facets.clone());
        run.metrics.extend(note.metrics.clone());
        run.meta.extend(note.meta.clone().into_iter().filter(|(key, _)| !OWN_META.contains(&key.as_str())));
        run.tags.extend(note.tags.iter().cloned());
        if let Some(message) = &note.message {
            run.description.clone_from(message);
        }
    }
    run.unsealed.extend(late);
    Ok(())
}

/// What records keep for themselves among the free remarks.
pub const OWN_META: &[&str] = &["request", "compared"];

fn remark(output: &mut Output, noted: &Noted) {
    output.format = noted.format.clone().or(output.format.take());
    output.facets.extend(noted.facets.clone());
    output.meta.extend(noted.meta.clone());
}

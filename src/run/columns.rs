//! Outputs whose columns are to be those of a schema that a person wrote.
//!
//! `--schema KEY=NAME` is a name and no more, unless NAME is a file's: `schemas/quakes.json`, `quakes.yaml`. Then every captured table is read
//! through and compared. A known result is taken only if it was compared with the very same schema: the record keeps the id of the file.

use std::path::PathBuf;

use bstr::BString;

use super::about::About;
use super::request::Request;
use super::session::Session;
use crate::codec::Value;
use crate::config;
use crate::object::recipe::Content;
use crate::object::run::{Output, Run};
use crate::path::{from_bytes, shown};
use crate::tabular::{Form, Sampled, declared, profile};

/// The remark that keeps the id of the schema that an output was compared with.
pub(super) const COMPARED: &str = "schema_id";

/// The file that a schema is in; `None` for a name.
fn file_of(session: &Session<'_>, about: &About) -> Option<(String, PathBuf)> {
    let text = about.schema.as_ref()?;
    let lower = text.to_ascii_lowercase();
    let is_file =
        text.contains('/') || [".json", ".yaml", ".yml", ".toml"].iter().any(|ending| lower.ends_with(ending));
    is_file.then(|| (text.clone(), session.repo.root().join(text)))
}

/// A schema as it was read, and the id of the bytes that it was read from: what is compared and what is written down are the same.
fn read(
    session: &Session<'_>,
    text: &str,
    path: &std::path::Path,
) -> Result<(declared::Declared, crate::hash::Id), String> {
    let told = |why: String| format!("schema `{text}`: {why}");
    let bytes = session.repo.fs().read(path).map_err(|err| told(err.to_string()))?;
    let bytes = bytes.ok_or_else(|| told("there is no such file".to_owned()))?;
    let format = config::Format::of(path).ok_or_else(|| told("its name does not tell its format".to_owned()))?;
    let value = config::parse_any(path, format, &bytes).map_err(|err| told(super::chain(&err)))?;
    Ok((declared::read(&value).map_err(told)?, crate::hash::blob(&bytes)))
}

/// Checks that a schema can be read, before anything is executed.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(session: &Session<'_>, key: &str, about: &About) -> Result<(), String> {
    match file_of(session, about) {
        Some((text, path)) => read(session, &text, &path).map(drop).map_err(|why| format!("--schema {key}: {why}")),
        None => Ok(()),
    }
}

/// The id of the schema's file, if it is one.
fn id_of(session: &Session<'_>, about: &About) -> Option<String> {
    let (_, path) = file_of(session, about)?;
    let bytes = session.repo.fs().read(&path).ok().flatten()?;
    Some(crate::hash::blob(&bytes).to_string())
}

/// Compares the outputs that lie in the work tree with their schemas; those that are as theirs says are marked so. In what the others are
/// not.
pub(super) fn compare(session: &Session<'_>, run: &mut Run, request: &Request) -> Vec<String> {
    let mut found = Vec::new();
    for (key, about) in &request.about.by_key {
        let Some(output) = run.outputs.get_mut(key) else { continue };
        output.meta.remove(COMPARED);
        let Some((text, path)) = file_of(session, about) else { continue };
        let wrong = match read(session, &text, &path) {
            Ok((schema, id)) => {
                let wrong = wrong(session, key, output, about, &text, &schema);
                if wrong.is_empty() {
                    output.meta.insert(COMPARED.to_owned(), Value::Text(id.to_string()));
                }
                wrong
            }
            Err(why) => vec![format!("output `{key}`: {why}")],
        };
        found.extend(wrong);
    }
    found
}

/// In what an output that lies in the work tree is not what its schema says.
fn wrong(
    session: &Session<'_>,
    key: &str,
    output: &Output,
    about: &About,
    text: &str,
    schema: &declared::Declared,
) -> Vec<String> {
    let root = session.repo.root();
    let paths: Vec<BString> = match (&output.set, &output.content) {
        (Some(_), _) => output.members.keys().map(|member| output.member_path(member)).collect(),
        (None, Content::Blob(_)) => vec![output.path.clone()],
        (None, _) => return vec![format!("output `{key}` is no file, and a schema is for tables in files")],
    };
    let problem = |path: &BString| -> Option<String> {
        let told = |why: String| Some(format!("output `{key}`, {}: {why}", shown(path)));
        // What is said of the format wins over the name.
        let named = about.format.as_ref().and_then(|format| Form::of_name(format!("x.{format}").as_bytes()));
        let Some((form, packed)) = named.or_else(|| Form::of_name(path)) else {
            return told(
                "its name tells no table (.csv, .tsv, .jsonl, .parquet), so its columns can't be compared".to_owned(),
            );
        };
        let mut file = match session.repo.fs().open_no_follow(&root.join(from_bytes(path))) {
            Ok(file) => file,
            Err(err) => return told(err.to_string()),
        };
        match profile(form, &mut file, packed, Sampled::All) {
            Ok(found) => {
                declared::difference(schema, &found.schema()).and_then(|why| told(format!("{why} (schema {text})")))
            }
            Err(why) => told(why),
        }
    };
    paths.iter().filter_map(problem).take(3).collect()
}

/// Whether a recorded output was not compared with this schema, in words.
pub(super) fn not_compared(session: &Session<'_>, key: &str, output: &Output, about: &About) -> Option<String> {
    let (text, _) = file_of(session, about)?;
    let id = id_of(session, about);
    let known = match output.meta.get(COMPARED) {
        Some(Value::Text(id)) => Some(id),
        _ => None,
    };
    (id.is_none() || known != id.as_ref()).then(|| format!("output `{key}` was not compared with schema {text}"))
}

//! What differs between two versions of a file: lines of text, or cells of a table.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use bstr::BString;

use super::Error;
use super::table_diff::{Table, TableDifference, diff_tables};
use crate::codec::Value;
use crate::config::rows::Cell;
use crate::hash::Id;
use crate::object::recipe::{Content, Recipe};
use crate::object::run::Run;
use crate::object::tree::{self, EntryKind, ListError};
use crate::object::{Record, Source};
use crate::tabular::{self, Form, Sampled};

/// Larger content is not looked into.
const MOST: u64 = 64 << 20;
/// Larger text is compared as a whole.
const MOST_TEXT: usize = 4 << 20;
/// Files of code that are told line by line, at most.
const MOST_FILES: usize = 200;
/// Rows of a table that are compared.
const MOST_ROWS: usize = 1_000_000;
/// Time that a comparison of two texts may take to find the shortest way from one to the other; after that it takes any.
const PATIENCE: Duration = Duration::from_millis(500);

/// How two versions of a file differ.
#[derive(Debug, Clone, PartialEq)]
pub enum ContentDifference {
    /// Text: a patch in the unified form.
    Text {
        /// The patch.
        patch: String,
        /// Lines that only the second has.
        added: u64,
        /// Lines that only the first has.
        removed: u64,
    },
    /// A table.
    Table(Box<TableDifference>),
    /// It is not looked into, and why.
    Opaque(String),
}

/// A file of the code that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeDifference {
    /// Its path.
    pub path: BString,
    /// How it differs; from or to nothing if one side has no such file.
    pub content: ContentDifference,
}

/// What stands in an object; `None` if it is larger than is looked into, or not there any more.
fn bytes_of(source: &dyn Source, id: &Id, size: u64) -> Result<Option<Vec<u8>>, Error> {
    if size > MOST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    Ok(source.copy(id, &mut bytes)?.map(|_| bytes))
}

fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

/// Compares two texts line by line; `None` if one is no text, or too long.
pub fn diff_text(path: &str, a: &[u8], b: &[u8]) -> Option<ContentDifference> {
    if a.len().max(b.len()) > MOST_TEXT || !is_text(a) || !is_text(b) {
        return None;
    }
    let (a, b) = (std::str::from_utf8(a).ok()?, std::str::from_utf8(b).ok()?);
    let diff = similar::TextDiff::configure().timeout(PATIENCE).diff_lines(a, b);
    let count = |tag: similar::ChangeTag| diff.iter_all_changes().filter(|change| change.tag() == tag).count() as u64;
    let (added, removed) = (count(similar::ChangeTag::Insert), count(similar::ChangeTag::Delete));
    let patch = diff.unified_diff().context_radius(3).header(&format!("a/{path}"), &format!("b/{path}")).to_string();
    Some(ContentDifference::Text { patch, added, removed })
}

/// Compares two contents of files that were called `path`: as tables if its name says that they are some, their rows by the columns `by`
/// if there are such, else as text.
///
/// # Errors
/// When the store can't be read.
pub fn diff_contents(
    source: &dyn Source,
    path: &BString,
    a: (&Content, u64),
    b: (&Content, u64),
    by: &[String],
) -> Result<ContentDifference, Error> {
    let (Content::Blob(old), Content::Blob(new)) = (a.0, b.0) else {
        return Ok(ContentDifference::Opaque("it is no file on both sides".to_owned()));
    };
    let shown = crate::path::shown(path);
    let read = (bytes_of(source, old, a.1)?, bytes_of(source, new, b.1)?);
    let (Some(old), Some(new)) = read else {
        let why = if a.1.max(b.1) > MOST { "it is larger than 64 MiB" } else { "the store does not have both" };
        return Ok(ContentDifference::Opaque(why.to_owned()));
    };
    match (table(path, &old), table(path, &new)) {
        (Some(Ok(old)), Some(Ok(new))) => {
            return Ok(match diff_tables(&old, &new, by) {
                Ok(table) => ContentDifference::Table(Box::new(table)),
                Err(why) => ContentDifference::Opaque(why),
            });
        }
        // What can't be read as a table may still be text; else it is named.
        (Some(Err(why)), _) | (_, Some(Err(why))) => {
            return Ok(diff_text(&shown, &old, &new).unwrap_or(ContentDifference::Opaque(why)));
        }
        _ => {}
    }
    let opaque = || ContentDifference::Opaque("it is no text".to_owned());
    Ok(diff_text(&shown, &old, &new).unwrap_or_else(opaque))
}

/// What a file is as a table, if its name says that it is one.
fn table(path: &BString, bytes: &[u8]) -> Option<Result<Table, String>> {
    let (form, packed) = Form::of_name(path)?;
    let read = || -> Result<Table, String> {
        let profile = tabular::profile(form, &mut Cursor::new(bytes), packed, Sampled::First(1))?;
        let head = match tabular::head(form, &mut Cursor::new(bytes), packed, MOST_ROWS) {
            Ok(head) if head.is_cut => return Err(format!("it has more than {MOST_ROWS} rows")),
            Ok(head) => head,
            // What its end says is told all the same.
            Err(_) if form == Form::Parquet => tabular::Head {
                columns: profile.columns.iter().map(|(column, _)| column.name.clone()).collect(),
                ..tabular::Head::default()
            },
            Err(err) => return Err(err),
        };
        let kinds = profile.columns.into_iter().map(|(column, _)| (column.name, column.kind));
        let value = |value: tabular::Value| match value {
            tabular::Value::Null => Value::Null,
            tabular::Value::Bool(v) => Value::Bool(v),
            tabular::Value::Int(v) => Value::Int(v.into()),
            tabular::Value::Float(v) => Value::Float(v),
            // Text is all that a table as text has.
            tabular::Value::Text(text) if matches!(form, Form::Csv(_)) => Cell::of_field(&text).value,
            tabular::Value::Text(text) => Value::Text(text),
        };
        Ok(Table {
            columns: head.columns,
            rows: head.rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect(),
            count: profile.rows,
            kinds: if form == Form::Parquet { kinds.collect() } else { BTreeMap::new() },
        })
    };
    Some(read())
}

/// Compares the code of two runs file by file. Files beyond the first two hundred are counted by the parts of the recipe alone.
///
/// # Errors
/// When the store can't be read.
pub fn diff_code(source: &dyn Source, before: &Run, after: &Run) -> Result<Vec<CodeDifference>, Error> {
    let mut roots = [None, None];
    for (root, run) in roots.iter_mut().zip([before, after]) {
        let recipe = match run.recipe {
            Some(id) => source.read(&id)?.map(|(_, bytes)| Recipe::decode(&bytes)).transpose()?,
            None => None,
        };
        *root = recipe.and_then(|recipe| recipe.code.tree);
    }
    let mut found = Vec::new();
    let (mut differ, mut missing) = (BTreeMap::new(), None);
    changed(source, roots, &mut differ, &mut missing)?;
    for (path, [old, new]) in differ.into_iter().take(MOST_FILES) {
        let bytes = |side: Option<(Id, u64)>| match side {
            None => Ok(Some(Vec::new())),
            Some((id, size)) => bytes_of(source, &id, size),
        };
        let content = match (bytes(old)?, bytes(new)?) {
            (Some(old), Some(new)) => diff_text(&crate::path::shown(&path), &old, &new)
                .unwrap_or_else(|| ContentDifference::Opaque("it is no text".to_owned())),
            _ => ContentDifference::Opaque("the store does not have both".to_owned()),
        };
        found.push(CodeDifference { path, content });
    }
    missing.map_or(Ok(found), |id| {
        let (place, what) = ("the store".to_owned(), "a folder of the code is missing".to_owned());
        Err(Error::Access(crate::object::AccessError::Damaged { id, place, what }))
    })
}

/// A file on both sides: id and size.
type Sides = [Option<(Id, u64)>; 2];

/// Finds the files that two folders don't have alike. Folders that both have alike are not looked into; the first one that is missing is told
/// when all others were looked at.
fn changed(
    source: &dyn Source,
    roots: [Option<Id>; 2],
    files: &mut BTreeMap<BString, Sides>,
    missing: &mut Option<Id>,
) -> Result<(), Error> {
    let mut todo = vec![(BString::default(), roots)];
    while let Some((above, folders)) = todo.pop() {
        if folders[0] == folders[1] {
            continue;
        }
        let mut names: BTreeMap<BString, (Sides, [Option<Id>; 2])> = BTreeMap::new();
        for (side, id) in folders.into_iter().enumerate() {
            let Some(id) = id else { continue };
            let mut read = |id: &Id| match source.read(id) {
                Ok(Some((_, bytes))) => Ok(bytes),
                Ok(None) => Err(None),
                Err(err) => Err(Some(Error::from(err))),
            };
            let entries = match tree::list(id, &mut read) {
                Ok(entries) => entries,
                Err(ListError::Read(None)) => {
                    missing.get_or_insert(id);
                    continue;
                }
                Err(ListError::Read(Some(err))) => return Err(err),
                Err(ListError::Object(err)) => return Err(err.into()),
            };
            for entry in entries {
                let (files, folders) = names.entry(entry.name).or_default();
                if entry.kind == EntryKind::Tree {
                    folders[side] = Some(entry.id);
                } else {
                    files[side] = Some((entry.id, entry.size));
                }
            }
        }
        for (name, (sides, folders)) in names {
            let mut path = above.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            if sides[0] != sides[1] {
                files.insert(path.clone(), sides);
            }
            todo.push((path, folders));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compared_line_by_line() {
        let Some(ContentDifference::Text { patch, added, removed }) = diff_text("x.py", b"a\nb\nc\n", b"a\nB\nc\n")
        else {
            panic!("it is text");
        };
        assert_eq!((added, removed), (1, 1));
        assert_eq!(patch, "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert_eq!(diff_text("x", b"a\0", b"b"), None);
        assert_eq!(diff_text("x", b"\xff", b"b"), None);
    }
}

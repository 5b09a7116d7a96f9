//! Tables in recorded content: what they are, and their first rows.
//!
//! What was found out about some content is kept in the cache under its id: equal bytes are looked at once, whatever they are called.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::hash::Id;
use crate::object::Source;
use crate::repo::Repo;
use crate::tabular::{self, Column, Form, Head, Profile, Sampled, Source as Bytes, Stats, Value};

/// Content of at most so many bytes is read into memory; more goes through a file in the cache.
const IN_MEMORY: u64 = 64 << 20;

/// What is kept of a profile.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    form: String,
    rows: Option<u64>,
    sampled: u64,
    columns: Vec<KeptColumn>,
}

#[derive(Serialize, Deserialize)]
struct KeptColumn(String, String, bool, u64, Option<u64>, serde_json::Value, serde_json::Value, Option<f64>);

const VERSION: u32 = 1;

fn to_json(value: Option<&Value>) -> serde_json::Value {
    match value {
        None | Some(Value::Null) => serde_json::Value::Null,
        Some(Value::Bool(b)) => (*b).into(),
        Some(Value::Int(n)) => (*n).into(),
        Some(Value::Float(n)) => (*n).into(),
        Some(Value::Text(text)) => text.clone().into(),
    }
}

fn from_json(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => match n.as_i64() {
            Some(n) => Value::Int(n),
            None => Value::Float(n.as_f64()?),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        _ => return None,
    })
}

/// Content with the name it had, which tells its form.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The content.
    pub id: Id,
    /// Its path.
    pub path: &'a [u8],
    /// Its bytes.
    pub size: u64,
}

impl Named<'_> {
    /// The form that its name tells, and whether it is packed.
    ///
    /// # Errors
    /// [`Error::NoTable`] if it tells none.
    pub fn form(&self) -> Result<(Form, bool), Error> {
        Form::of_name(self.path).ok_or_else(|| Error::NoTable { path: crate::path::shown(self.path) })
    }
}

/// Finds out what a table is.
///
/// # Errors
/// When its content is not in the store, or is no table.
pub fn profile(repo: &Repo, source: &dyn Source, table: &Named<'_>, sampled: Sampled) -> Result<Profile, Error> {
    let (form, packed) = table.form()?;
    let most = match sampled {
        Sampled::All => 0,
        Sampled::First(n) => n,
    };
    let kept = repo.layout().cache().join("schemas").join(format!("{}-{}-{most}", table.id, form.as_str()));
    if let Ok(Some(bytes)) = repo.fs().read(&kept)
        && let Some(profile) = read_kept(form, &bytes)
    {
        return Ok(profile);
    }
    let profile = with(repo, source, table, |bytes| tabular::profile(form, bytes, packed, sampled))?;
    let column = |(column, stats): &(Column, Stats)| {
        let (min, max) = (to_json(stats.min.as_ref()), to_json(stats.max.as_ref()));
        let (name, kind) = (column.name.clone(), column.kind.clone());
        KeptColumn(name, kind, column.is_nullable, stats.nulls, stats.distinct, min, max, stats.mean)
    };
    let keep = Kept {
        version: VERSION,
        form: form.as_str().to_owned(),
        rows: profile.rows,
        sampled: profile.sampled,
        columns: profile.columns.iter().map(column).collect(),
    };
    // What can't be kept is found out again.
    if let Ok(bytes) = serde_json::to_vec(&keep)
        && let Some(folder) = kept.parent()
    {
        let _ = repo.fs().make_dirs(folder).and_then(|()| repo.fs().replace(&kept, &bytes, false));
    }
    Ok(profile)
}

fn read_kept(form: Form, bytes: &[u8]) -> Option<Profile> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    if kept.version != VERSION || kept.form != form.as_str() {
        return None;
    }
    let column = |KeptColumn(name, kind, is_nullable, nulls, distinct, min, max, mean)| {
        let stats = Stats { nulls, distinct, min: from_json(&min), max: from_json(&max), mean };
        (Column { name, kind, is_nullable }, stats)
    };
    Some(Profile {
        form,
        rows: kept.rows,
        sampled: kept.sampled,
        columns: kept.columns.into_iter().map(column).collect(),
    })
}

/// Reads the first rows of a table.
///
/// # Errors
/// As [`profile`].
pub fn head(repo: &Repo, source: &dyn Source, table: &Named<'_>, most: usize) -> Result<Head, Error> {
    let (form, packed) = table.form()?;
    with(repo, source, table, |bytes| tabular::head(form, bytes, packed, most))
}

/// Lends the bytes of some content, all of them verified.
fn with<T>(
    repo: &Repo,
    source: &dyn Source,
    table: &Named<'_>,
    look: impl FnOnce(&mut dyn Bytes) -> Result<T, String>,
) -> Result<T, Error> {
    let wrong = |what| Error::BadTable { path: crate::path::shown(table.path), what };
    let gone = || Error::NoContent { path: crate::path::shown(table.path), id: table.id };
    if table.size <= IN_MEMORY {
        let mut bytes = Vec::new();
        source.copy(&table.id, &mut bytes)?.ok_or_else(gone)?;
        return look(&mut Cursor::new(bytes)).map_err(wrong);
    }
    let folder = repo.layout().cache().join("spool");
    let path: PathBuf = folder.join(crate::hash::hex(&repo.new_op().to_bytes()));
    let io = |source| Error::Spool { path: path.clone(), source };
    repo.fs().make_dirs(&folder).map_err(io)?;
    let copied = (|| {
        let mut out = repo.fs().create_new(&path, 0o600).map_err(io)?;
        source.copy(&table.id, &mut out)?.ok_or_else(gone)?;
        out.flush().map_err(io)?;
        drop(out);
        let mut file = repo.fs().open(&path).map_err(io)?;
        look(&mut file).map_err(wrong)
    })();
    let _ = repo.fs().remove_file(&path);
    copied
}

/// How the columns of a table changed from one to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The column.
    pub name: String,
    /// What it was; `None` if it is new.
    pub before: Option<Column>,
    /// What it is; `None` if it is gone.
    pub after: Option<Column>,
}

/// What changed in the columns.
pub fn drift(before: &[Column], after: &[Column]) -> Vec<Drift> {
    let find = |all: &[Column], name: &str| all.iter().find(|column| column.name == name).cloned();
    let gone = before.iter().filter(|column| find(after, &column.name).is_none()).map(|column| Drift {
        name: column.name.clone(),
        before: Some(column.clone()),
        after: None,
    });
    let other = after.iter().filter_map(|column| {
        let old = find(before, &column.name);
        (old.as_ref() != Some(column)).then(|| Drift {
            name: column.name.clone(),
            before: old,
            after: Some(column.clone()),
        })
    });
    gone.chain(other).collect()
}

//! Loom's tables of runs, as Parquet: `pipeline_runs`, `process_runs`, `step_runs`.
//!
//! A pipeline is Loom's pipeline, a step its process, a task its step. Every run of a pipeline is a file in each table's folder, named after
//! the run, so that an export that is repeated adds the runs that are new and no more; `schema.parquet` has no rows and makes a table
//! valid that has no runs.

mod rows;
mod schema;

pub use schema::{Column, TABLES, Table, Type, table};

use std::path::Path;

use super::{Error, release};
use crate::fs::Fs;
use crate::repo::Repo;
use crate::store::Snapshot;
use crate::tabular::parquet::{self, Cell, WriteColumn};

/// The file of a table that has no rows.
const EMPTY: &str = "schema.parquet";

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// Runs of pipelines whose rows were written.
    pub added: usize,
    /// Runs whose rows were there already.
    pub known: usize,
    /// Rows that were written, by table in the order of [`TABLES`].
    pub rows: [usize; 3],
}

/// Writes the rows of all runs of pipelines of the current scenario that are not in `folder` yet.
///
/// # Errors
/// When a record can't be read or a file not be written. What was written is whole; a repeated export goes on from there.
pub fn export(repo: &Repo, snapshot: &Snapshot, folder: &Path) -> Result<Exported, Error> {
    let fs = repo.fs();
    let mut exported = Exported::default();
    for table in &TABLES {
        let path = folder.join(table.name).join(EMPTY);
        if fs.stat(&path).map_err(failed("look at", &path))?.is_none() {
            write(fs, &path, &written(table.columns, &[]))?;
        }
    }
    for pipeline in release::pipelines(repo, snapshot)? {
        let file = format!("{}.parquet", pipeline.run);
        // The table of pipelines is written last: a run that is there is there whole.
        let last = folder.join(TABLES[0].name).join(&file);
        if fs.stat(&last).map_err(failed("look at", &last))?.is_some() {
            exported.known += 1;
            continue;
        }
        let rows = rows::of(snapshot, &pipeline)?;
        for (at, table) in TABLES.iter().enumerate().rev() {
            write(fs, &folder.join(table.name).join(&file), &written(table.columns, &rows[at]))?;
            exported.rows[at] += rows[at].len();
        }
        exported.added += 1;
    }
    Ok(exported)
}

fn written(columns: &[Column], rows: &[Vec<Cell>]) -> Vec<u8> {
    let column = |column: &Column| WriteColumn {
        name: column.name.to_owned(),
        kind: column.kind.written(),
        is_nullable: column.is_nullable,
    };
    parquet::file(&columns.iter().map(column).collect::<Vec<_>>(), rows)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

fn write(fs: &Fs, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let made = path.parent().map_or(Ok(()), |folder| fs.make_dirs(folder));
    made.and_then(|()| fs.replace(path, bytes, false)).map_err(failed("write", path))
}

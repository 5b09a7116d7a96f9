//! Walking from runs to those that they came from, or that came from them, in one go.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::{Error, Index};
use crate::hash::Id;

/// A run on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the index.
    pub n: i64,
    /// Its object.
    pub object: Id,
    /// Its run id.
    pub run: Arc<str>,
    /// Its step.
    pub step: Arc<str>,
    /// Its scenario.
    pub scenario: Arc<str>,
    /// How it ended.
    pub status: Arc<str>,
    /// `hit`, `miss` or `off`.
    pub cache: Arc<str>,
    /// When it began, microseconds.
    pub started_us: i64,
    /// Of a hit, the run whose result it took.
    pub source: Option<(Arc<str>, Id)>,
    /// Up, its inputs; down, its outputs; by key.
    pub ends: Vec<LineEnd>,
}

/// An input or output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineEnd {
    /// Its key.
    pub key: Arc<str>,
    /// Its content.
    pub content: Id,
    /// Where it lived.
    pub path: String,
    /// Its bytes.
    pub size: i64,
    /// Of an input, the run that made it, if its object is known: run id, object, key, and how it was found.
    pub maker: Option<(Arc<str>, Id, Arc<str>, Arc<str>)>,
}

/// A run that took some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineTaker {
    /// The content.
    pub content: Id,
    /// Its run id.
    pub run: String,
    /// Its object.
    pub object: Id,
    /// Under which key.
    pub key: String,
    /// Where it lived; `None` if that is no text.
    pub path: Option<String>,
    /// Its project.
    pub project: String,
    /// Its scenario.
    pub scenario: String,
    /// When it began, microseconds.
    pub started_us: i64,
}

const SEEDS: &str = "select r.n from json_each(?1) j join t_runs r on r.object = j.value";

// The walk has no statistics: without `cross` SQLite may go through all runs there are and look whether each is on the way.
impl Index {
    /// These runs and all that they came from, as far as records name the objects of those. Runs with paths that are no text are left out.
    ///
    /// # Errors
    /// SQLite's.
    pub fn lines_up(&self, from: &[Id]) -> Result<Vec<Line>, Error> {
        let from: Vec<String> = from.iter().map(Id::to_string).collect();
        // In one transaction the file is locked, and asked whether it has changed, once.
        let _within = self.connection.unchecked_transaction()?;
        let mut todo: Vec<i64> = Vec::new();
        let mut seeds = self.connection.prepare_cached(SEEDS)?;
        let mut rows = seeds.query([super::find::list(&from)])?;
        while let Some(row) = rows.next()? {
            todo.push(row.get(0)?);
        }
        // Two look-ups for each run; a recursive query needs as many, and then its answer has to be looked up in turn.
        let mut run = self.connection.prepare_cached(&format!("select {RUN}, r.exact from t_runs r where r.n = ?"))?;
        let mut ends = self.connection.prepare_cached(&format!(
            "select {END}, a.producer_n, a.member = '' from t_artifacts a where a.owner = ? and a.is_output = 0 order by a.key"
        ))?;
        let mut seen: HashSet<i64, RandomState> = todo.iter().copied().collect();
        let (mut lines, mut names, mut taken) = (Vec::new(), Names::default(), Vec::new());
        while let Some(n) = todo.pop() {
            let mut found = run.query([n])?;
            let line = match found.next()? {
                Some(row) if row.get(10)? => line(row, &mut names)?,
                _ => None,
            };
            let mut rows = ends.query([n])?;
            while let Some(row) = rows.next()? {
                if let (Some(producer), ValueRef::Text(_)) = (row.get::<_, Option<i64>>(9)?, row.get_ref(6)?)
                    && seen.insert(producer)
                {
                    todo.push(producer);
                }
                if line.is_some() && row.get(10)? {
                    taken.extend(end(row, &mut names)?);
                }
            }
            if let Some(mut line) = line {
                // As long as they are, not as long as they may get.
                line.ends.reserve_exact(taken.len());
                line.ends.append(&mut taken);
                lines.push(line);
            }
        }
        Ok(lines)
    }

    /// These runs and all that came from them at the same paths of this project, and who took what these made.
    ///
    /// # Errors
    /// SQLite's.
    pub fn lines_down(&self, from: &[Id], project: &str) -> Result<(Vec<Line>, Vec<LineTaker>), Error> {
        self.walk(
            from,
            &format!(
                "with recursive walk(n) as ({SEEDS} union select i.owner from walk w \
                 join t_artifacts o on o.owner = w.n and o.is_output = 1 and o.member = '' \
                 join t_artifacts i on i.content = o.content and +i.is_output = 0 and +i.path = o.path \
                 join t_runs r on r.n = i.owner and +r.project = ?2) select n from walk"
            ),
            &[&project],
        )?;
        let mut takers = self.connection.prepare_cached(
            "select c.content, r.run, r.object, i.key, iif(r.exact, i.path, null), r.project, r.scenario, r.started_us \
             from (select distinct o.content from temp.walk w cross join t_artifacts o on o.owner = w.n where o.is_output = 1 and o.member = '') c \
             cross join t_artifacts i on i.content = c.content cross join t_runs r on r.n = i.owner \
             where +i.is_output = 0 and i.content_type <> 'external:absent'",
        )?;
        let mut found = Vec::new();
        let mut rows = takers.query([])?;
        while let Some(row) = rows.next()? {
            let (Some(content), Some(object)) = (id(row, 0)?, id(row, 2)?) else { continue };
            found.push(LineTaker {
                content,
                run: row.get(1)?,
                object,
                key: row.get(3)?,
                path: row.get(4)?,
                project: row.get(5)?,
                scenario: row.get(6)?,
                started_us: row.get(7)?,
            });
        }
        Ok((self.lines()?, found))
    }

    /// Keeps the numbers of the runs on the way.
    fn walk(&self, from: &[Id], sql: &str, more: &[&dyn rusqlite::ToSql]) -> Result<(), Error> {
        self.connection
            .execute_batch("create temp table if not exists walk (n integer primary key); delete from temp.walk;")?;
        let from: Vec<String> = from.iter().map(Id::to_string).collect();
        let from = super::find::list(&from);
        let mut all: Vec<&dyn rusqlite::ToSql> = vec![&from];
        all.extend(more);
        self.connection.prepare_cached(&format!("insert into temp.walk {sql}"))?.execute(&*all)?;
        Ok(())
    }

    /// The runs on the way, with what they made.
    fn lines(&self) -> Result<Vec<Line>, Error> {
        let (mut lines, mut names) = (Vec::new(), Names::default());
        let mut runs = self.connection.prepare_cached(&format!(
            "select {RUN} from temp.walk w cross join t_runs r on r.n = w.n where r.exact order by w.n"
        ))?;
        let mut rows = runs.query([])?;
        while let Some(row) = rows.next()? {
            lines.extend(line(row, &mut names)?);
        }
        let mut ends = self.connection.prepare_cached(&format!(
            "select {END} from temp.walk w cross join t_artifacts a on a.owner = w.n where a.is_output = 1 and a.member = '' order by w.n, a.key"
        ))?;
        let mut rows = ends.query([])?;
        let mut at = 0;
        while let Some(row) = rows.next()? {
            let owner: i64 = row.get(0)?;
            while lines.get(at).is_some_and(|line: &Line| line.n < owner) {
                at += 1;
            }
            let Some(line) = lines.get_mut(at).filter(|line| line.n == owner) else { continue };
            line.ends.extend(end(row, &mut names)?);
        }
        Ok(lines)
    }
}

/// The columns that [`line`] reads.
const RUN: &str =
    "r.n, r.object, r.run, r.step, r.scenario, r.status, r.cache, r.started_us, r.source, r.source_object";

/// The columns that [`end`] reads.
const END: &str =
    "a.owner, a.key, a.content, a.path, a.size, a.producer, a.producer_object, a.producer_key, a.linked_by";

/// A run without its inputs and outputs; `None` if its object is none.
fn line(row: &Row<'_>, names: &mut Names) -> Result<Option<Line>, Error> {
    let Some(object) = id(row, 1)? else { return Ok(None) };
    let source = match id(row, 9)? {
        Some(object) => row.get::<_, Option<Arc<str>>>(8)?.map(|run| (run, object)),
        None => None,
    };
    Ok(Some(Line {
        n: row.get(0)?,
        object,
        run: row.get(2)?,
        step: names.get(row, 3)?,
        scenario: names.get(row, 4)?,
        status: names.get(row, 5)?,
        cache: names.get(row, 6)?,
        started_us: row.get(7)?,
        source,
        ends: Vec::new(),
    }))
}

/// An input or output; `None` if its content is none.
fn end(row: &Row<'_>, names: &mut Names) -> Result<Option<LineEnd>, Error> {
    let Some(content) = id(row, 2)? else { return Ok(None) };
    let maker = match (row.get_ref(5)?, id(row, 6)?) {
        (ValueRef::Text(_), Some(object)) => Some((row.get(5)?, object, names.get(row, 7)?, names.get(row, 8)?)),
        _ => None,
    };
    Ok(Some(LineEnd { key: names.get(row, 1)?, content, path: row.get(3)?, size: row.get(4)?, maker }))
}

/// Text that recurs, each held once.
#[derive(Default)]
struct Names(HashSet<Arc<str>, RandomState>);

impl Names {
    fn get(&mut self, row: &Row<'_>, at: usize) -> Result<Arc<str>, Error> {
        let text = row.get_ref(at)?.as_str().map_err(rusqlite::Error::from)?;
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        let new: Arc<str> = text.into();
        self.0.insert(new.clone());
        Ok(new)
    }
}

/// An id in a column; `None` if it is null, or none.
fn id(row: &Row<'_>, at: usize) -> Result<Option<Id>, Error> {
    match row.get_ref(at)? {
        ValueRef::Text(text) => Ok(std::str::from_utf8(text).ok().and_then(|text| text.parse().ok())),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Opened, Place};
    use super::*;
    use crate::fs::Fs;

    /// Runs that took what the one before made.
    const CHAIN: &str = "
        with recursive c(n) as (select 1 union all select n + 1 from c where n < 3000) insert into t_runs
            (n, run, object, project, scenario, step, kind, status, sealed, cache, started_us, finished_us, attempt, left_out, retracted, hidden, exact)
            select n, 'run-' || n, printf('%064x', n), 'p', 'main', 's', 'command', 'success', 1, 'miss', n, n, 1, 0, 0, 0, 1 from c;
        insert into t_artifacts
            (owner, is_output, key, member, path, content, content_type, size, stored, producer, producer_object, producer_n, producer_key, linked_by)
            select n, 0, 'in', '', 'path', printf('%064x', n), 'blob', 1, 1, 'run-' || (n - 1), printf('%064x', n - 1), n - 1, 'out', 'path'
            from t_runs where n > 1;";

    #[test]
    fn an_index_that_is_cut_off_while_it_is_walked_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (fs, place) = (Fs::real(), Place::Folder(dir.path().to_owned()));
        let (index, ()) = Index::create(&fs, &place, "one", 0, |_| Ok::<_, Error>(())).unwrap();
        index.connection.execute_batch(CHAIN).unwrap();
        drop(index);
        let open = || match Index::open(&fs, &place, "").unwrap() {
            Opened::Here(index, _) => index,
            Opened::None => panic!("it was just made"),
        };
        let last: Id = format!("{:064x}", 3000).parse().unwrap();
        assert_eq!(open().lines_up(&[last]).unwrap().len(), 3000);
        let mut index = open();
        let path = dir.path().join("one.db");
        let mut steps = 0;
        let cut_off = move || {
            steps += 1;
            if steps == 20 {
                std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(16 << 10).unwrap();
            }
            false
        };
        index.connection.progress_handler(100, Some(cut_off)).unwrap();
        assert!(index.lines_up(&[last]).unwrap_err().is_damage());
    }
}

//! Putting rows in.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{NoteRow, Position, RunRow, ValueRow};
use super::{Error, Index, tables};

/// Puts rows into an index, within one transaction of whoever has it.
#[derive(Debug)]
pub struct Writer<'a> {
    connection: &'a Connection,
    /// The number of the next run.
    next: i64,
    /// The runs of this writer, so that their successors find them without asking.
    known: HashMap<String, i64>,
    configs: HashMap<String, i64>,
    /// Whether nothing was there before: then what is not known here is not there.
    is_first: bool,
    /// Whether some run id has two records: then the objects that records name tell them apart.
    has_twins: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(connection: &'a Connection, is_first: bool) -> Result<Self, Error> {
        let next = connection.query_row("select coalesce(max(n), 0) + 1 from t_runs", [], |row| row.get(0))?;
        Ok(Self { connection, next, known: HashMap::new(), configs: HashMap::new(), is_first, has_twins: false })
    }

    /// Whether a run with this object is there.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn has(&self, object: &str) -> Result<bool, Error> {
        if self.is_first {
            return Ok(false);
        }
        let mut find = self.connection.prepare_cached("select 1 from t_runs where object = ?")?;
        Ok(find.exists([object])?)
    }

    /// The objects of all runs that are there.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn objects(&self) -> Result<HashSet<String>, Error> {
        if self.is_first {
            return Ok(HashSet::new());
        }
        let mut all = self.connection.prepare_cached("select object from t_runs")?;
        Ok(all.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// About how many runs are there.
    pub fn count(&self) -> usize {
        usize::try_from(self.next.saturating_sub(1)).unwrap_or(0)
    }

    /// Adds a run with all that belongs to it.
    ///
    /// # Errors
    /// When the index can't be written.
    pub fn add(&mut self, row: &RunRow) -> Result<(), Error> {
        let n = self.next;
        self.next += 1;
        let config = match &row.config {
            Some(id) => Some(self.config(id, &row.params)?),
            None => None,
        };
        let mut insert = self.connection.prepare_cached(
            "insert into t_runs values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        )?;
        insert.execute(params![
            n,
            row.run,
            row.object,
            row.name,
            row.project,
            row.scenario,
            row.step,
            row.kind,
            row.status,
            row.failed_in,
            row.sealed,
            row.cache,
            row.source,
            row.source_object,
            row.recipe,
            row.config,
            config,
            row.model,
            row.stage,
            row.phase,
            row.started.0,
            row.finished.0,
            row.exit_code,
            row.signal,
            row.error_type,
            row.error,
            row.parent,
            row.attempt,
            row.correlation_id,
            row.host,
            row.author,
            row.git_commit,
            row.git_branch,
            row.git_dirty,
            row.command,
            row.cwd,
            row.description,
            row.max_rss,
            row.cpu_us,
            row.left_out,
            row.retracted,
            row.hidden,
            row.is_exact,
        ])?;
        let mut insert = self
            .connection
            .prepare_cached("insert or ignore into t_artifacts values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")?;
        for one in &row.artifacts {
            let producer = match &one.producer {
                Some(producer) => self.number(producer, one.producer_object.as_deref())?,
                None => None,
            };
            insert.execute(params![
                n,
                one.is_output,
                one.key,
                one.member,
                one.path,
                one.content,
                one.content_type,
                one.size,
                one.stored,
                one.format,
                one.schema,
                one.producer,
                one.producer_object,
                producer,
                one.producer_key,
                one.linked_by,
            ])?;
        }
        self.values(n, &row.values)?;
        if !row.tags.is_empty() {
            let mut insert = self.connection.prepare_cached("insert or ignore into t_tags values (?, ?)")?;
            for tag in &row.tags {
                insert.execute(params![n, tag])?;
            }
        }
        if self.is_first {
            self.has_twins |= self.known.insert(row.run.clone(), n).is_some();
        } else {
            let mut claim = self.connection.prepare_cached(
                "update t_artifacts set producer_n = ?1 where producer = ?2 and producer_n is null \
                 and (producer_object is null or producer_object = ?3)",
            )?;
            claim.execute(params![n, row.run, row.object])?;
        }
        Ok(())
    }

    /// The number of the run with this id, and of several the one with this object.
    fn number(&self, run: &str, object: Option<&str>) -> Result<Option<i64>, Error> {
        if self.is_first {
            return Ok(self.known.get(run).copied());
        }
        let mut find = self
            .connection
            .prepare_cached("select n from t_runs where run = ?1 order by object is ?2 desc, n limit 1")?;
        Ok(find.query_row(params![run, object], |row| row.get(0)).optional()?)
    }

    fn config(&mut self, id: &str, params: &[ValueRow]) -> Result<i64, Error> {
        if let Some(n) = self.configs.get(id) {
            return Ok(*n);
        }
        let found: Option<i64> = self
            .connection
            .prepare_cached("select n from t_configs where config = ?")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        let n = if let Some(n) = found {
            n
        } else {
            self.connection.prepare_cached("insert into t_configs (config) values (?)")?.execute([id])?;
            let n = self.connection.last_insert_rowid();
            self.values(n, params)?;
            n
        };
        self.configs.insert(id.to_owned(), n);
        Ok(n)
    }

    /// Whether the leaves of a config are there already.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn has_config(&self, id: &str) -> Result<bool, Error> {
        if self.configs.contains_key(id) {
            return Ok(true);
        }
        Ok(self.connection.prepare_cached("select 1 from t_configs where config = ?")?.exists([id])?)
    }

    fn values(&self, owner: i64, rows: &[ValueRow]) -> Result<(), Error> {
        let mut insert = self.connection.prepare_cached("insert or ignore into t_values values (?,?,?,?,?,?,?)")?;
        for row in rows {
            insert.execute(params![
                row.kind as i64,
                owner,
                row.output,
                row.namespace,
                row.key,
                row.value,
                row.kind_of_value
            ])?;
        }
        Ok(())
    }

    /// Adds a remark.
    ///
    /// # Errors
    /// When the index can't be written.
    pub fn note(&self, note: &NoteRow) -> Result<(), Error> {
        let mut insert = self.connection.prepare_cached("insert or ignore into t_notes values (?,?,?,?,?)")?;
        insert.execute(params![note.object, note.id, note.at.0, note.text, note.author])?;
        Ok(())
    }

    /// Says whether a run is retracted, or hidden.
    ///
    /// # Errors
    /// When the index can't be written.
    pub fn mark(&self, object: &str, retracted: bool, hidden: bool) -> Result<(), Error> {
        let mut set =
            self.connection.prepare_cached("update t_runs set retracted = ?2, hidden = ?3 where object = ?1")?;
        set.execute(params![object, retracted, hidden])?;
        Ok(())
    }

    /// The objects of the hits that took the outcome of a run.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn hits_of(&self, object: &str) -> Result<Vec<String>, Error> {
        let mut find = self.connection.prepare_cached("select object from t_runs where source_object = ?")?;
        let found = find.query_map([object], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Says how far in the log all this is.
    ///
    /// # Errors
    /// When the index can't be written.
    pub fn position(&self, position: &Position) -> Result<(), Error> {
        self.connection.execute("delete from t_position", [])?;
        self.connection.execute(
            "insert into t_position values (?,?,?,?)",
            params![position.store, position.tip, position.op, position.tables],
        )?;
        Ok(())
    }
}

impl Index {
    /// Adds what `fill` adds, all of it or nothing, while no other process adds anything. What it is given is how far the index is by then.
    ///
    /// # Errors
    /// Whatever `fill` reports, or SQLite.
    pub fn change<T, E: From<Error>>(
        &mut self,
        fill: impl FnOnce(&mut Writer<'_>, &Position) -> Result<T, E>,
    ) -> Result<T, E> {
        let wrong = |err: rusqlite::Error| E::from(Error::from(err));
        let change =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(wrong)?;
        let position = super::file::position(&change)?;
        let mut writer = Writer::new(&change, false)?;
        let done = fill(&mut writer, &position)?;
        change.commit().map_err(wrong)?;
        Ok(done)
    }

    /// Fills an index that is empty; nobody else sees it yet.
    pub(super) fn fill<T, E: From<Error>>(
        &mut self,
        fill: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let wrong = |err: rusqlite::Error| E::from(Error::from(err));
        let change = self.connection.transaction().map_err(wrong)?;
        change.execute_batch(tables::KEPT).map_err(wrong)?;
        let mut writer = Writer::new(&change, true)?;
        let done = fill(&mut writer)?;
        let has_twins = writer.has_twins;
        drop(writer);
        change.execute_batch(tables::INDEXES).map_err(wrong)?;
        // What a record names that came after it in the order of ids.
        change
            .execute_batch(
                "update t_artifacts set producer_n = (select n from t_runs where run = producer limit 1) \
                 where producer is not null and producer_n is null",
            )
            .map_err(wrong)?;
        if has_twins {
            change
                .execute_batch(
                    "update t_artifacts set producer_n = (select n from t_runs where object = producer_object) \
                     where producer_object is not null and exists (select 1 from t_runs where object = producer_object)",
                )
                .map_err(wrong)?;
        }
        for table in tables::TABLES {
            change.execute_batch(&table.view()).map_err(wrong)?;
        }
        change.pragma_update(None, "user_version", super::VERSION).map_err(wrong)?;
        change.commit().map_err(wrong)?;
        Ok(done)
    }
}

//! The values of chosen runs: facets, metrics, params.

use super::read::Cell;
use super::{Error, Index, ValueKind};

/// A value of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Valued {
    /// The run's id.
    pub run: String,
    /// What it is.
    pub kind: ValueKind,
    /// Its namespace; empty for the step's.
    pub namespace: String,
    /// Its key.
    pub key: String,
    /// The value.
    pub value: Cell,
}

/// What the runs of a step come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// The step.
    pub step: String,
    /// All its runs.
    pub runs: i64,
    /// Those that ended well.
    pub successes: i64,
    /// Those that did not.
    pub failures: i64,
    /// Those that took an earlier outcome.
    pub hits: i64,
    /// How long those that were executed took together, microseconds.
    pub executed_us: i64,
    /// How long those that were not executed would have taken, microseconds.
    pub saved_us: i64,
    /// Bytes of outputs of those that were executed.
    pub output_bytes: i64,
    /// When the first began.
    pub first_us: i64,
    /// When the last began.
    pub last_us: i64,
}

impl Index {
    /// The values of these kinds that these runs have, of their own and not of an output.
    ///
    /// # Errors
    /// SQLite's.
    pub fn values(&self, runs: &[String], kinds: &[ValueKind]) -> Result<Vec<Valued>, Error> {
        let mut own = self.connection.prepare_cached(
            "select v.what, v.namespace, v.key, v.value, v.type from t_values v join t_runs r on v.owner = iif(v.what = 2, r.config_n, r.n) \
             where r.run = ?1 and v.what = ?2 and v.output = ''",
        )?;
        let mut found = Vec::new();
        for run in runs {
            for kind in kinds {
                let mut rows = own.query(rusqlite::params![run, *kind as i64])?;
                while let Some(row) = rows.next()? {
                    let value = Cell::of(row.get_ref(3)?);
                    let value = match (row.get_ref(4)?.as_str().unwrap_or_default(), value) {
                        ("bool", Cell::Int(n)) => Cell::Bool(n != 0),
                        (_, value) => value,
                    };
                    found.push(Valued {
                        run: run.clone(),
                        kind: *kind,
                        namespace: row.get(1)?,
                        key: row.get(2)?,
                        value,
                    });
                }
            }
        }
        Ok(found)
    }

    /// What the runs of each step of a project come to; of one scenario if it is named.
    ///
    /// # Errors
    /// SQLite's.
    pub fn summary(&self, project: &str, scenario: Option<&str>) -> Result<Vec<Sum>, Error> {
        let mut sums = self.connection.prepare_cached(
            "select r.step, count(*), sum(r.status = 'success'), sum(r.status <> 'success'), sum(r.cache = 'hit'), \
             coalesce(sum(iif(r.cache = 'hit', 0, r.finished_us - r.started_us)), 0), \
             coalesce(sum(iif(r.cache = 'hit', (select s.finished_us - s.started_us from t_runs s where s.run = r.source limit 1), 0)), 0), \
             coalesce(sum(iif(r.cache = 'hit', 0, (select sum(a.size) from t_artifacts a where a.owner = r.n and a.is_output = 1 and a.member = ''))), 0), \
             min(r.started_us), max(r.started_us) \
             from t_runs r where r.project = ?1 and (?2 is null or r.scenario = ?2) and r.hidden = 0 group by r.step order by r.step",
        )?;
        let rows = sums.query_map(rusqlite::params![project, scenario], |row| {
            Ok(Sum {
                step: row.get(0)?,
                runs: row.get(1)?,
                successes: row.get(2)?,
                failures: row.get(3)?,
                hits: row.get(4)?,
                executed_us: row.get(5)?,
                saved_us: row.get(6)?,
                output_bytes: row.get(7)?,
                first_us: row.get(8)?,
                last_us: row.get(9)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All rows of a table as people see it, for whoever keeps them elsewhere; in the order they are kept.
    ///
    /// # Errors
    /// SQLite's.
    pub fn dump(&self, table: &super::tables::Table) -> Result<super::Answer, Error> {
        let columns: Vec<super::Heading> = table
            .columns
            .iter()
            .map(|column| super::Heading { name: column.name.to_owned(), kind: column.kind })
            .collect();
        let selected: Vec<&str> = table.columns.iter().map(|column| column.from).collect();
        let mut statement = self.connection.prepare(&format!("select {} from {}", selected.join(", "), table.from))?;
        super::read::rows(&mut statement, &[], columns)
    }
}

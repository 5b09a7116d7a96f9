//! What came of something, run by run, whatever path it took.

use super::{Error, Index};

/// A run that is affected by what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// Its run id.
    pub run: String,
    /// Its object.
    pub object: String,
    /// Its project.
    pub project: String,
    /// Its scenario.
    pub scenario: String,
    /// Its step.
    pub step: String,
    /// How it ended.
    pub status: String,
    /// `hit`, `miss` or `off`.
    pub cache: String,
    /// Its recipe.
    pub recipe: Option<String>,
    /// When it began.
    pub started_us: i64,
    /// How long it took to be executed: of a hit, the run that it took; microseconds.
    pub executed_us: i64,
    /// How long the executed successes of its step took on average, microseconds.
    pub usual_us: Option<i64>,
    /// Whether later runs of its scenario wrote all its outputs anew.
    pub is_superseded: bool,
    /// Where its outputs lived.
    pub outputs: Vec<String>,
    /// The affected runs whose outputs it took.
    pub after: Vec<String>,
}

const DOWN: &str = "
with recursive seeds(n, content) as (
  select r.n, null from t_runs r join json_each(?2) on r.run = json_each.value
  union all select null, value from json_each(?1)),
down(n) as (
  select n from seeds where n is not null
  union select a.owner from seeds s join t_artifacts a on a.content = s.content where a.is_output = 0
  union select a.owner from down d join t_artifacts a on a.producer_n = d.n
  union select a.owner from down d join t_artifacts o on o.owner = d.n and o.is_output = 1
    join t_artifacts a on a.content = o.content and a.is_output = 0 and o.content <> ?3
  union select h.n from down d join t_runs r on r.n = d.n join t_runs h on h.source_object = r.object)";

impl Index {
    /// The runs that took any of these contents, or outputs of these runs, directly or through others, oldest first; these runs themselves
    /// included. `empty` is the content of an empty file, which says nothing about where it came from.
    ///
    /// # Errors
    /// SQLite's.
    pub fn affected(&self, contents: &[String], runs: &[String], empty: &str) -> Result<Vec<Affected>, Error> {
        let (contents, runs) = (super::find::list(contents), super::find::list(runs));
        let rows = format!(
            "{DOWN} select r.run, r.object, r.project, r.scenario, r.step, r.status, r.cache, r.recipe, r.started_us, \
             coalesce((select s.finished_us - s.started_us from t_runs s where s.object = r.source_object), r.finished_us - r.started_us), \
             (select avg(s.finished_us - s.started_us) from t_runs s where s.project = r.project and s.step = r.step and s.status = 'success' and s.cache <> 'hit'), \
             (select json_group_array(o.path) from t_artifacts o where o.owner = r.n and o.is_output = 1 and o.member = ''), \
             exists (select 1 from t_artifacts o where o.owner = r.n and o.is_output = 1) and not exists ( \
               select 1 from t_artifacts o where o.owner = r.n and o.is_output = 1 and o.member = '' and not exists ( \
                 select 1 from t_artifacts p join t_runs q on q.n = p.owner where p.path = o.path and p.is_output = 1 and p.member = '' and q.project = r.project \
                 and q.scenario = r.scenario and q.status = 'success' and (q.started_us, q.n) > (r.started_us, r.n))), \
             (select json_group_array(distinct b.run) from t_artifacts a join t_runs b on b.n = a.producer_n where a.owner = r.n and a.is_output = 0 \
               and b.n in (select n from down)) \
             from down d join t_runs r on r.n = d.n order by r.started_us, r.n"
        );
        let mut statement = self.connection.prepare_cached(&rows)?;
        let texts = |text: String| -> Vec<String> { serde_json::from_str(&text).unwrap_or_default() };
        let found = statement.query_map(rusqlite::params![contents, runs, empty], |row| {
            let usual: Option<f64> = row.get(10)?;
            #[expect(clippy::cast_possible_truncation, reason = "microseconds")]
            Ok(Affected {
                run: row.get(0)?,
                object: row.get(1)?,
                project: row.get(2)?,
                scenario: row.get(3)?,
                step: row.get(4)?,
                status: row.get(5)?,
                cache: row.get(6)?,
                recipe: row.get(7)?,
                started_us: row.get(8)?,
                executed_us: row.get(9)?,
                usual_us: usual.map(|us| us as i64),
                outputs: texts(row.get(11)?),
                is_superseded: row.get(12)?,
                after: texts(row.get(13)?),
            })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

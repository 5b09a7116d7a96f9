//! The rows of a run of a pipeline.

use crate::clock::Micros;
use crate::codec::Value;
use crate::interchange::release::{IMPORTED, runner_of, text};
use crate::interchange::{Error, read_run};
use crate::object::run::{Run, RunError, RunKind, Status};
use crate::pipeline::execute::table::{self, Row};
use crate::pipeline::template;
use crate::store::Snapshot;
use crate::tabular::parquet::Cell;

fn in_text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn maybe(text: Option<String>) -> Cell {
    text.map_or(Cell::Null, Cell::Text)
}

/// The rows of a table.
pub(super) type Rows = Vec<Vec<Cell>>;

/// What went wrong, in the three forms that the tables have.
#[derive(Debug, Clone)]
struct Wrong {
    kind: String,
    message: String,
}

impl Wrong {
    fn of(error: &RunError) -> Self {
        Self { kind: error.kind.clone(), message: error.message.clone() }
    }

    /// As Python shows an exception: `exit('it ended with code 1')`.
    fn representation(&self) -> String {
        format!("{}({})", self.kind, template::representation(&Value::Text(self.message.clone())))
    }
}

/// `error`, `error_type` and `error_message`.
fn errors(wrong: Option<&Wrong>) -> [Cell; 3] {
    match wrong {
        None => [Cell::Null, Cell::Null, Cell::Null],
        Some(wrong) => [in_text(wrong.representation()), in_text(wrong.kind.clone()), in_text(wrong.message.clone())],
    }
}

/// A task that failed.
#[derive(Debug, Clone)]
struct Failed {
    id: String,
    name: String,
    wrong: Wrong,
    /// When it was over: among the tasks of the run, then by time.
    at: (Option<u64>, Option<Micros>),
}

fn micros_to_ms(us: u64) -> i64 {
    i64::try_from(us / 1000).unwrap_or(i64::MAX)
}

fn status(is_good: bool) -> Cell {
    in_text(if is_good { "success" } else { "failed" })
}

/// What the rows of one run of a pipeline share: run id, correlation id, attempt.
fn shared(pipeline: &Run) -> [Cell; 3] {
    [in_text(pipeline.run.clone()), maybe(pipeline.correlation_id.clone()), Cell::Int(i64::from(pipeline.attempt))]
}

/// The rows of the three tables.
pub(super) fn of(snapshot: &Snapshot, pipeline: &Run) -> Result<[Rows; 3], Error> {
    let mut steps = Vec::new();
    for object in pipeline.children.values() {
        let step = read_run(snapshot, object)?;
        if step.kind == RunKind::Step {
            steps.push(step);
        }
    }
    steps.sort_by(|a, b| (a.started_at, &a.run).cmp(&(b.started_at, &b.run)));
    let (mut processes, mut tasks) = (Vec::new(), Vec::new());
    let mut last: Option<Failed> = None;
    for step in &steps {
        let failed = tasks_of(snapshot, pipeline, step, &mut tasks)?;
        processes.push(process(pipeline, step, failed.as_ref()));
        if let Some(failed) = failed
            && last.as_ref().is_none_or(|last| last.at <= failed.at)
        {
            last = Some(failed);
        }
    }
    Ok([vec![of_pipeline(pipeline, last.as_ref())], processes, tasks])
}

/// `error` to `failed_step` of a pipeline or a process: those of the task that failed last, else its own.
fn failure(run: &Run, failed: Option<&Failed>) -> [Cell; 5] {
    if run.status == Status::Success {
        return [Cell::Null, Cell::Null, Cell::Null, Cell::Null, Cell::Null];
    }
    let own = run.error.as_ref().map(Wrong::of);
    let wrong = failed.map(|failed| failed.wrong.clone()).or(own);
    let wrong =
        wrong.unwrap_or_else(|| Wrong { kind: "aborted".to_owned(), message: "it was not finished".to_owned() });
    let [error, kind, message] = errors(Some(&wrong));
    let id = maybe(failed.map(|failed| failed.id.clone()));
    [error, kind, message, id, maybe(failed.map(|failed| failed.name.clone()))]
}

fn of_pipeline(run: &Run, failed: Option<&Failed>) -> Vec<Cell> {
    let own = [
        in_text(runner_of(run)),
        Cell::Int(run.started_at.0),
        status(run.status == Status::Success),
        Cell::Int(micros_to_ms(run.duration_us())),
    ];
    shared(run).into_iter().chain(own).chain(failure(run, failed)).collect()
}

fn process(pipeline: &Run, run: &Run, failed: Option<&Failed>) -> Vec<Cell> {
    let name = run.meta.get(IMPORTED).and_then(|about| text(about, "key")).unwrap_or_else(|| run.step.clone());
    let own = [
        in_text(run.run.clone()),
        in_text(name),
        Cell::Int(run.started_at.0),
        status(run.status == Status::Success),
        Cell::Int(micros_to_ms(run.duration_us())),
    ];
    shared(pipeline).into_iter().chain(own).chain(failure(run, failed)).collect()
}

/// Adds a row for each task of a step that was started and is over, and gives the one that failed last.
fn tasks_of(snapshot: &Snapshot, pipeline: &Run, step: &Run, rows: &mut Rows) -> Result<Option<Failed>, Error> {
    let mut last: Option<Failed> = None;
    for (number, row) in table::rows_of(step).iter().enumerate() {
        let Some(started) =
            row.started_at.filter(|_| matches!(row.end.as_str(), "success" | "hit" | "failure" | "aborted"))
        else {
            continue;
        };
        let is_good = matches!(row.end.as_str(), "success" | "hit");
        // A result that was taken from another run has no run of its own here.
        let own = row.run.as_ref().filter(|_| row.end != "hit");
        let id = own.cloned().unwrap_or_else(|| format!("{}/{number}", step.run));
        let wrong = if is_good { None } else { Some(wrong_of(snapshot, step, row)?) };
        let ended = row.done_at.or(row.finished_at).unwrap_or(started);
        let [error, kind, message] = errors(wrong.as_ref());
        let own = [
            in_text(id.clone()),
            in_text(row.name.clone()),
            Cell::Int(started.0),
            status(is_good),
            Cell::Int(micros_to_ms(ended.since(started))),
            error,
            in_text(step.run.clone()),
            kind,
            message,
        ];
        rows.push(shared(pipeline).into_iter().chain(own).collect());
        if let Some(wrong) = wrong.filter(|_| row.end == "failure") {
            let failed = Failed { id, name: row.name.clone(), wrong, at: (row.order, Some(ended)) };
            // What failed because of what it made comes after that and says less.
            let is_own = row.phase.as_deref() != Some("subtasks");
            if last.as_ref().is_none_or(|last| is_own && last.at <= failed.at) {
                last = Some(failed);
            }
        }
    }
    Ok(last)
}

fn wrong_of(snapshot: &Snapshot, step: &Run, row: &Row) -> Result<Wrong, Error> {
    if let Some(object) = row.run.as_ref().and_then(|run| step.children.get(run))
        && let Some(error) = &read_run(snapshot, object)?.error
    {
        return Ok(Wrong::of(error));
    }
    let kind = match (row.end.as_str(), row.phase.as_deref()) {
        ("aborted", _) => "aborted",
        (_, Some(phase)) => phase,
        (_, None) => "task",
    };
    Ok(Wrong { kind: kind.to_owned(), message: row.reason.clone().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_as_python_shows_an_exception() {
        let wrong = Wrong { kind: "exit".to_owned(), message: "can't: \"x\"\n".to_owned() };
        assert_eq!(wrong.representation(), "exit('can\\'t: \"x\"\\n')");
        assert_eq!(errors(None), [Cell::Null, Cell::Null, Cell::Null]);
    }
}

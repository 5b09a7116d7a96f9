//! What is remembered of a recipe: that it failed before, and that it gave other bytes before.

use std::collections::BTreeSet;

use super::Error;
use super::lookup::{self, Hit};
use crate::clock::Micros;
use crate::codec::Value;
use crate::hash::Id;
use crate::mark::{MarkKind, Marks};
use crate::object::run::{Differs, Output, Run, Status};
use crate::object::{AccessError, Record, RunRecord, Source};
use crate::refs::key;
use crate::repo::entry::{self, Outcome};
use crate::store::{Direction, Snapshot};

/// Failures of one recipe that are counted.
const COUNTED: usize = 1000;
/// Ends from outside that are read to see whether the time was up.
const READ: usize = 8;
/// Outcomes of one recipe that are compared.
const COMPARED: usize = 16;
/// Bytes at the end of a log in which its last line is looked for.
const TAIL: usize = 4096;
/// Characters of that line that are kept.
const LINE: usize = 200;

/// That the same recipe failed before, since it last succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFailure {
    /// The newest run that failed.
    pub run: String,
    /// Its object.
    pub object: Id,
    /// When it began.
    pub at: Micros,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// On which machine.
    pub host: Option<String>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What went wrong, for people.
    pub message: String,
    /// The last line that it wrote to standard error.
    pub last_line: Option<String>,
    /// How often it failed since the last success; at most 1,000 are counted.
    pub times: u64,
}

impl KnownFailure {
    /// In one line, for people.
    pub fn describe(&self) -> String {
        use std::fmt::Write as _;
        let mut text = self.message.clone();
        if let Some(host) = &self.host {
            let _ = write!(text, " on {host}");
        }
        let _ = write!(text, ", {}", self.at);
        if self.times > 1 {
            let _ = write!(text, ", {} times", self.times);
        }
        if let Some(line) = &self.last_line {
            let _ = write!(text, ": {line}");
        }
        text
    }
}

/// Whether `recipe` failed since it last succeeded, and how. Retracted failures are forgotten, and a run that was interrupted is none.
///
/// # Errors
/// When refs can't be read. A record that can't be read is passed over.
pub fn known_failure(snapshot: &Snapshot, recipe: &Id) -> Result<Option<KnownFailure>, Error> {
    let failures = key::failures_of(recipe);
    let mut scan = snapshot.scan(&failures, Direction::Forward).peekable();
    if scan.peek().is_none() {
        return Ok(None);
    }
    let results = key::results_of(recipe);
    let since = match snapshot.scan(&results, Direction::Forward).next().transpose()? {
        Some((raw, _)) => key::rank_after(&results, &raw),
        None => None,
    };
    let marks = Marks::open(snapshot).map_err(lookup::Error::from)?;
    let (mut known, mut times, mut read): (Option<(Run, Id)>, u64, usize) = (None, 0, 0);
    for item in scan.take(COUNTED) {
        let (raw, value) = item?;
        if since.is_some_and(|since| key::rank_after(&failures, &raw).is_some_and(|rank| rank < since)) {
            break;
        }
        let outcome: Outcome = entry::decode(&value).map_err(|source| Error::Ref { source })?;
        let counts = match outcome.status {
            Status::Failure => true,
            Status::Aborted => read < READ,
            Status::Success => false,
        };
        if !counts || marks.is(&outcome.object, MarkKind::Retract).map_err(lookup::Error::from)? {
            continue;
        }
        if known.is_none() || outcome.status == Status::Aborted {
            read += usize::from(outcome.status == Status::Aborted);
            let Some(run) = read_run(snapshot, &outcome.object, recipe)? else { continue };
            let timed_out = run.error.as_ref().is_some_and(|error| error.kind == "timeout");
            if outcome.status == Status::Aborted && !timed_out {
                continue;
            }
            known.get_or_insert((run, outcome.object));
        }
        times += 1;
    }
    Ok(known.map(|(run, object)| KnownFailure {
        at: run.started_at,
        took_us: run.duration_us(),
        host: run.host.clone(),
        exit_code: run.exit_code,
        signal: run.signal,
        message: run.error.as_ref().map_or_else(|| "it failed".to_owned(), |error| error.message.clone()),
        last_line: last_line(snapshot, &run),
        times,
        run: run.run,
        object,
    }))
}

/// A run without the inputs that stand in a list.
fn read_run(snapshot: &Snapshot, object: &Id, recipe: &Id) -> Result<Option<Run>, Error> {
    match snapshot.read(object) {
        Ok(Some((_, bytes))) => {
            let run = RunRecord::decode(&bytes).ok().map(RunRecord::into_head);
            Ok(run.filter(|run| run.recipe == Some(*recipe)))
        }
        Ok(None) | Err(AccessError::Damaged { .. }) => Ok(None),
        Err(err) => Err(err.into()),
    }
}

/// The last line on standard error that says anything.
fn last_line(snapshot: &Snapshot, run: &Run) -> Option<String> {
    let bytes = super::perform::small_blob(snapshot, &run.logs.get("stderr")?.id)?;
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    let line = tail.rsplit(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    Some(crate::path::shown(line).chars().take(LINE).collect())
}

/// The newest outcomes of `recipe` whose outputs are other bytes than these, each with the keys that differ. Retracted outcomes don't count,
/// and neither does the run `but` itself.
///
/// # Errors
/// When refs can't be read. A record that can't be read is passed over.
pub fn other_outcomes(
    snapshot: &Snapshot,
    recipe: &Id,
    outputs: &std::collections::BTreeMap<String, Output>,
    but: &str,
) -> Result<Vec<Differs>, Error> {
    let mut found = Vec::new();
    let mut marks = None;
    for item in snapshot.scan(&key::results_of(recipe), Direction::Forward).take(COMPARED) {
        let (raw, value) = item?;
        if key::last_text(&raw).as_deref() == Some(but) {
            continue;
        }
        let outcome: Outcome = entry::decode(&value).map_err(|source| Error::Ref { source })?;
        let marks = match &mut marks {
            Some(marks) => marks,
            none => none.insert(Marks::open(snapshot).map_err(lookup::Error::from)?),
        };
        if marks.is(&outcome.object, MarkKind::Retract).map_err(lookup::Error::from)? {
            continue;
        }
        let Some(other) = read_run(snapshot, &outcome.object, recipe)?.filter(Run::is_result) else { continue };
        let all: BTreeSet<&String> = outputs.keys().chain(other.outputs.keys()).collect();
        let made = |output: Option<&Output>| output.map(|output| (output.content.clone(), output.exec));
        let keys: Vec<String> =
            all.into_iter().filter(|key| made(outputs.get(*key)) != made(other.outputs.get(*key))).cloned().collect();
        if !keys.is_empty() {
            found.push(Differs { run: other.run, object: outcome.object, keys });
        }
    }
    Ok(found)
}

/// Compares what came out with what is known to come out, and puts it into the record: a program that gives other bytes for the same
/// recipe isn't deterministic, or something that counts isn't declared.
pub(super) fn compare(run: &mut Run, known: &Hit, warnings: &mut Vec<String>) {
    if run.status != Status::Success {
        return;
    }
    let same = |key: &String| match (run.outputs.get(key), known.run.outputs.get(key)) {
        (Some(a), Some(b)) => a.content == b.content && a.exec == b.exec,
        (a, b) => a.is_none() && b.is_none(),
    };
    let keys: std::collections::BTreeSet<&String> = run.outputs.keys().chain(known.run.outputs.keys()).collect();
    let differs: Vec<String> = keys.into_iter().filter(|key| !same(key)).cloned().collect();
    if !differs.is_empty() {
        warnings.push(format!(
            "not deterministic: {} differ{} from what {} made of the same recipe",
            differs.join(", "),
            if differs.len() == 1 { "s" } else { "" },
            crate::object::run::tail(&known.run.run)
        ));
    }
    let compared = Value::Map(vec![
        ("run".to_owned(), Value::Text(known.run.run.clone())),
        ("differs".to_owned(), Value::List(differs.into_iter().map(Value::Text).collect())),
    ]);
    run.meta.insert("compared".to_owned(), compared);
}

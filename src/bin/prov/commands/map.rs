//! `prov map`.

use std::collections::BTreeMap;

use std::time::Duration;

use prov::codec::Value as Stored;
use prov::config::rows::{Axis, Rows};
use prov::object::run::Status;
use prov::progress::Silent;
use prov::run::guard::Guard;
use prov::run::interrupts::Interrupts;
use prov::run::request::{CacheMode, Request};
use prov::run::sweep::{self, Around, End, News, Order, Row, Swept};
use prov::run::{Session, name};
use serde_json::{Map, Value, json};

use super::{Context, elsewhere, run as command};
use crate::args::{MapArgs, RunArgs};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::{milliseconds, shown};
use crate::output::{human, json, table};
use crate::settings;

/// Failed rows that are listed at the end.
const LISTED: usize = 20;

/// A sweep that makes sense.
struct Prepared {
    rows: Rows,
    requests: Vec<Request>,
    step: String,
}

/// Does one step for every row.
pub(crate) fn run(cx: &Context, args: &MapArgs) -> Result<Exit, Failure> {
    // Before anything else, so that no signal is lost between a look and a start.
    let interrupts = Interrupts::from_requests()
        .map_err(|err| Failure::new(Class::Failed, "no_signals", "can not listen to signals").because_of(Some(&err)))?;
    let repo = if args.dry_run { open::untouched(cx)? } else { open::repo(cx)? };
    let prepared = prepare(cx, &repo, args)?;
    if args.dry_run {
        return plan(cx, &repo, &prepared);
    }
    let guard = Guard::new(crate::app::guard_command());
    let mut bars = cx.ui.tasks();
    bars.begin(prepared.requests.len() as u64);
    let mut hear = |news: News<'_>| match news {
        News::Started(at) => bars.start(at, &cells(&prepared.rows, at).join(" ")),
        News::Ended(at, row) => {
            bars.end(at);
            for warning in &row.warnings {
                cx.ui.detail(format_args!("row {}: {}", at + 1, shown(warning)));
            }
            if args.json_lines {
                let mut line = json::document("map-row");
                line.extend(row_document(&prepared.rows, at, row));
                // Nobody reading it is no reason to fail: the rows go on, and are on record.
                let text = format!("{}\n", Value::Object(line));
                let _ = cx.ui.with_writer(|out| out.write_all(text.as_bytes()).and_then(|()| out.flush()));
            }
        }
        News::Warning(text) => cx.ui.warn(shown(text)),
        _ => {}
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.map(|jobs| jobs as usize).or(cx.settings.jobs).unwrap_or(cores);
    let words = std::env::args_os().map(|word| prov::path::bytes(std::path::Path::new(&word)));
    let order = Order {
        step: &prepared.step,
        requests: &prepared.requests,
        words: words.collect(),
        about: about(args, &prepared.rows),
        jobs,
        stops_at_failure: args.fail_fast,
        grace: Duration::from_millis(args.grace),
    };
    let tell_remote = elsewhere::teller(cx);
    let remotes = elsewhere::remotes(cx, &repo, &Silent, interrupts.cancel(), &tell_remote)?;
    let around = Around {
        cwd: cx.cwd.clone(),
        environment: cx.environment.all(),
        interrupts: &interrupts,
        guard: &guard,
        elsewhere: remotes.as_ref().map(|remotes| remotes as _),
        hear: &mut hear,
    };
    let swept = sweep::sweep(&repo, &order, around)?;
    drop(bars);
    tell(cx, &prepared, &swept)?;
    Ok(match swept.signal {
        Some(signal) if swept.run.status != Status::Success => {
            Exit::Child(u8::try_from(signal).map_or(u8::MAX, |signal| 128u8.saturating_add(signal)))
        }
        _ if !swept.rows.iter().all(|row| row.end.is_good()) => Exit::No,
        _ if swept.unrecorded > 0 => Exit::RunFailed,
        _ => Exit::Done,
    })
}

fn about(args: &MapArgs, rows: &Rows) -> BTreeMap<String, Stored> {
    let mut about = BTreeMap::new();
    if let Some(file) = &args.rows {
        about.insert("file".to_owned(), Stored::Text(prov::path::show(file)));
    }
    let texts = |items: &[String]| Stored::List(items.iter().map(|item| Stored::Text(item.clone())).collect());
    if !args.grid.is_empty() {
        about.insert("grid".to_owned(), texts(&args.grid));
    }
    about.insert("columns".to_owned(), texts(&rows.columns));
    about
}

fn prepare(cx: &Context, repo: &prov::repo::Repo, args: &MapArgs) -> Result<Prepared, Failure> {
    let axes = args.grid.iter().map(|written| Axis::parse(written)).collect::<Result<Vec<_>, _>>()?;
    let rows = match &args.rows {
        None => Rows::default(),
        Some(file) => {
            let unread = |err: Option<&dyn std::error::Error>| {
                let message = format!("can't read the rows of `{}`", prov::path::show(file));
                Failure::new(Class::NotFound, "input_missing", message).because_of(err)
            };
            let bytes = cx.fs.read(&cx.cwd.join(file)).map_err(|err| unread(Some(&err)))?;
            Rows::read(file, &bytes.ok_or_else(|| unread(None))?)?
        }
    };
    let rows = rows.combined(&axes)?;
    let at = |row: usize| match rows.rows[row].line {
        Some(line) if args.grid.is_empty() => format!("line {line}"),
        _ => format!("row {}", row + 1),
    };
    if let Some((first, second)) = rows.twins() {
        return Err(Failure::usage(format!("{} and {} say the same", at(first), at(second)))
            .hint("take one of them out; to do the same again, give the rows a column that tells them apart"));
    }
    let run = RunArgs {
        name: args.name.clone(),
        options: args.options.clone(),
        command: args.command.clone(),
        ..RunArgs::default()
    };
    let mut template = settings::with_keys(command::template(cx, repo, &run)?);
    // Without a look-up nothing could be tried again alone.
    template.cache.get_or_insert(CacheMode::Reuse);
    let each = rows.rows.iter().map(|row| settings::of_row(&template, &rows, row, args.params));
    let requests: Vec<Request> = each.collect::<Result<_, _>>()?;
    if let Some(found) = sweep::collision(repo.root(), &requests) {
        let (writer, other) = (at(found.writer), at(found.other));
        let path = std::path::Path::new(&found.path);
        let path = path.strip_prefix(&cx.cwd).unwrap_or(path).display().to_string();
        let what = if found.is_read { "reads it" } else { "writes it, or into it, too" };
        let message = format!("{writer} writes `{path}`, and {other} {what}");
        return Err(Failure::usage(message).hint(if found.is_read {
            "rows run at the same time: do what others need in a step before"
        } else {
            "put a column into the path that tells the rows apart, e.g. -o 'out/{row.COLUMN}.csv'"
        }));
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (row, request) in requests.iter().enumerate() {
        if let Some(name) = &request.run_name
            && let Some(first) = names.insert(name, row)
        {
            return Err(Failure::usage(format!("{} and {} would both be named `{name}`", at(first), at(row)))
                .hint("put a column into it that tells the rows apart"));
        }
    }
    let step = requests.first().and_then(|request| request.step.clone());
    let step = step.unwrap_or_else(|| name::step_of(&template.argv));
    Ok(Prepared { rows, requests, step })
}

/// Says which rows would be hits.
fn plan(cx: &Context, repo: &prov::repo::Repo, prepared: &Prepared) -> Result<Exit, Failure> {
    let session = Session::new(repo, cx.cwd.clone());
    let snapshot = repo.store().snapshot()?;
    let mut rows = Vec::new();
    let mut counts = BTreeMap::from([("hit", 0u64), ("miss", 0), ("failure", 0)]);
    for request in &prepared.requests {
        let planned = prov::run::plan(&session, &snapshot, request, cx.environment.all());
        let (outcome, why) = match planned {
            Ok(plan) if plan.hit.is_some() => ("hit", None),
            Ok(plan) => ("miss", plan.reasons.first().map(|reason| reason.part.clone())),
            Err(err) => ("failure", Some(prov::run::chain(&err))),
        };
        *counts.entry(outcome).or_default() += 1;
        rows.push((outcome, why));
    }
    if cx.ui.is_json() {
        let mut document = start(prepared);
        document.insert("dry_run".to_owned(), json!(true));
        document.insert("status".to_owned(), Value::Null);
        document.insert("counts".to_owned(), json!(counts));
        let one = |(at, (outcome, why)): (usize, &(&str, Option<String>))| {
            let mut map = said(&prepared.rows, at);
            map.insert("outcome".to_owned(), json!(outcome));
            map.insert("why".to_owned(), json!(why));
            Value::Object(map)
        };
        document.insert("rows".to_owned(), rows.iter().enumerate().map(one).collect());
        cx.ui.document(document)?;
    } else {
        let mut headings = vec!["row"];
        headings.extend(prepared.rows.columns.iter().map(String::as_str));
        headings.extend(["outcome", "why"]);
        let lines: Vec<Vec<String>> = rows
            .iter()
            .enumerate()
            .map(|(at, (outcome, why))| {
                let mut line = cells(&prepared.rows, at);
                line.push((*outcome).to_owned());
                line.push(why.as_deref().map(shown).unwrap_or_default());
                line
            })
            .collect();
        cx.ui.print(table::columns(&headings, &lines))?;
    }
    Ok(Exit::Done)
}

fn start(prepared: &Prepared) -> Map<String, Value> {
    let mut document = json::document("map");
    document.insert("step".to_owned(), json!(prepared.step));
    document.insert("columns".to_owned(), json!(prepared.rows.columns));
    document
}

/// What a row says.
fn said(rows: &Rows, at: usize) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("row".to_owned(), json!(at + 1));
    map.insert("line".to_owned(), json!(rows.rows[at].line));
    let cells = rows.columns.iter().zip(&rows.rows[at].cells);
    let values: Map<String, Value> = cells.map(|(name, cell)| (name.clone(), json::stored(&cell.value))).collect();
    map.insert("values".to_owned(), Value::Object(values));
    map
}

fn cells(rows: &Rows, at: usize) -> Vec<String> {
    let cells = rows.rows[at].cells.iter().map(|cell| shown(&cell.text));
    std::iter::once((at + 1).to_string()).chain(cells).collect()
}

fn row_document(rows: &Rows, at: usize, row: &Row) -> Map<String, Value> {
    let mut map = said(rows, at);
    map.insert("outcome".to_owned(), json!(row.end.as_str()));
    map.insert("run".to_owned(), json!(row.run.as_ref().map(|(run, _)| run)));
    map.insert("object".to_owned(), json!(row.run.as_ref().map(|(_, object)| object.to_string())));
    map.insert("exit_code".to_owned(), json!(row.exit_code));
    map.insert("duration_ms".to_owned(), json!(milliseconds(row.duration_us)));
    map.insert("error".to_owned(), json!(row.error.as_ref().map(|error| &error.message)));
    map.insert("last_line".to_owned(), json!(row.last_line));
    let metrics = row.metrics.iter().map(|(key, value)| (key.clone(), json::stored(value))).collect();
    map.insert("metrics".to_owned(), Value::Object(metrics));
    map
}

fn tell(cx: &Context, prepared: &Prepared, swept: &Swept) -> Result<(), Failure> {
    let ends = [End::Success, End::Hit, End::Failure, End::Aborted, End::NotRun];
    let counts = ends.map(|end| (end, swept.rows.iter().filter(|row| row.end == end).count()));
    if cx.ui.is_json() {
        let mut document = start(prepared);
        document.insert("dry_run".to_owned(), json!(false));
        document.insert("run".to_owned(), json!(swept.run.run));
        document.insert("object".to_owned(), json!(swept.object.map(|id| id.to_string())));
        document.insert("scenario".to_owned(), json!(swept.run.scenario));
        document.insert("status".to_owned(), json!(swept.run.status));
        document.insert("duration_ms".to_owned(), json!(milliseconds(swept.run.duration_us())));
        let counted: Map<String, Value> =
            counts.iter().map(|(end, count)| (end.as_str().to_owned(), json!(count))).collect();
        document.insert("counts".to_owned(), Value::Object(counted));
        let rows = swept.rows.iter().enumerate();
        let rows = rows.map(|(at, row)| Value::Object(row_document(&prepared.rows, at, row)));
        document.insert("rows".to_owned(), rows.collect());
        return cx.ui.document(document);
    }
    let metrics: std::collections::BTreeSet<&String> = swept.rows.iter().flat_map(|row| row.metrics.keys()).collect();
    let mut headings = vec!["row"];
    headings.extend(prepared.rows.columns.iter().map(String::as_str));
    headings.extend(["outcome", "time", "run"]);
    headings.extend(metrics.iter().map(|name| name.as_str()));
    let lines: Vec<Vec<String>> = swept
        .rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let mut line = cells(&prepared.rows, at);
            line.push(row.end.as_str().replace('_', " "));
            line.push(if row.run.is_some() { human::duration(milliseconds(row.duration_us)) } else { String::new() });
            let run = row.run.as_ref().map(|(run, _)| human::short(prov::object::run::tail(run), 8).to_owned());
            line.push(run.unwrap_or_default());
            line.extend(
                metrics.iter().map(|name| row.metrics.get(*name).map(prov::config::to_json).unwrap_or_default()),
            );
            line
        })
        .collect();
    cx.ui.print(table::columns(&headings, &lines))?;
    let paint = cx.ui.talk_painter();
    let bad = swept.rows.iter().enumerate().filter(|(_, row)| row.end == End::Failure);
    for (at, row) in bad.clone().take(LISTED) {
        let words = cells(&prepared.rows, at)[1..].join(" ");
        let why = row.error.as_ref().map(|error| shown(&error.message)).unwrap_or_default();
        let line = row.last_line.as_ref().map(|line| format!(": {}", shown(line))).unwrap_or_default();
        cx.ui.say(format_args!("{} row {} ({words}): {why}{line}", paint.bad("failed"), at + 1));
    }
    let more = bad.count().saturating_sub(LISTED);
    if more > 0 {
        cx.ui.say(format_args!("and {more} more failed"));
    }
    let words = ["executed", "from the cache", "failed", "aborted", "not begun"];
    let parts: Vec<String> = counts
        .iter()
        .zip(words)
        .filter(|((_, count), _)| *count > 0)
        .map(|((_, count), word)| format!("{count} {word}"))
        .collect();
    let word = match swept.run.status {
        Status::Success => paint.good("success").to_string(),
        _ => paint.bad("failure").to_string(),
    };
    let took = human::duration(milliseconds(swept.run.duration_us()));
    cx.ui.say(format_args!("{word}: {}; {took} {}", parts.join(", "), paint.id(human::short(swept.run.tail(), 8))));
    if swept.rows.iter().any(|row| !row.end.is_good()) {
        cx.ui.say(format_args!("{} the same words again execute only what is not there yet", paint.note("hint:")));
    }
    Ok(())
}

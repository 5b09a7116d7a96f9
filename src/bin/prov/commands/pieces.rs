//! `prov start`, `log-input`, `log-output`, `log-meta`, `finish`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use prov::codec::Value;
use prov::object::run::Status;
use prov::repo::Repo;
use prov::run::live::{Note, Noted};
use prov::run::logged::{self, Said};
use prov::run::observer::PassThrough;
use prov::run::request::Declared;
use prov::run::{FinishOptions, Finished, Session, StartOptions, Started, Surroundings};
use serde_json::json;

use super::{Context, events, run, run_summary};
use crate::args::{FinishArgs, LogInputArgs, LogMetaArgs, LogOutputArgs, RunArgs, StartArgs, StatusWord, values};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::{reason_line, reasons, shown};
use crate::output::{human, json, record};
use crate::settings::facet;

/// Begins a run.
pub(crate) fn start(cx: &Context, args: &StartArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let words = RunArgs {
        json_lines: false,
        name: args.name.clone(),
        options: args.options.clone(),
        dry_run: false,
        command: args.command.clone(),
    };
    let request = run::request_in_pieces(cx, &repo, &words)?;
    let bar = cx.ui.bar();
    let session = Session::with_progress(&repo, cx.cwd.clone(), &bar);
    let options = StartOptions { owner: args.owner, deadline_ms: args.deadline, take: args.take };
    let mut observer = PassThrough::new(None, None);
    let around = Surroundings { environment: cx.environment.all(), observer: &mut observer, interrupts: None };
    let started = prov::run::start(&session, &request, options, around)?;
    drop(bar);
    for text in &started.warnings {
        cx.ui.warn(shown(text));
    }
    for kept in &started.displaced {
        cx.ui.say(format_args!("  {}", record::kept_safe(kept)));
    }
    tell(cx, &started);
    if cx.ui.is_json() {
        cx.ui.document(document(&started))?;
    } else if args.export {
        if started.taken.is_none() {
            for (name, value) in &started.environment {
                cx.ui.bytes(&export(name, value))?;
            }
        }
    } else {
        cx.ui.line(&started.run)?;
    }
    Ok(if args.exit_code && started.taken.is_none() { Exit::No } else { Exit::Done })
}

fn tell(cx: &Context, started: &Started) {
    let step = shown(&started.step);
    let short = |run: &str| human::short(prov::object::run::tail(run), 8).to_owned();
    let id = short(&started.run);
    let paint = cx.ui.talk_painter();
    match (&started.taken, &started.hit) {
        (Some(_), Some(hit)) => {
            cx.ui.say(format_args!(
                "{} {step} {id}: the results of {} are back",
                paint.good("hit"),
                short(&hit.run.run)
            ));
        }
        (_, Some(hit)) => {
            let of = short(&hit.run.run);
            cx.ui.say(format_args!("{} {step} {id}: {of} has its results; --take brings them back", paint.good("hit")));
        }
        (_, None) => {
            cx.ui.say(format_args!("{} {step} {id}", paint.strong("started")));
            for reason in started.reasons.iter().take(5) {
                cx.ui.say(format_args!("  {}", reason_line(reason)));
            }
        }
    }
}

fn document(started: &Started) -> serde_json::Map<String, serde_json::Value> {
    let mut document = json::document("start");
    let is_off = started.reasons.iter().any(|one| one.kind == prov::object::run::ReasonKind::Policy);
    let outcome = if started.hit.is_some() {
        "hit"
    } else if is_off {
        "off"
    } else {
        "miss"
    };
    document.insert("run".to_owned(), json!(started.run));
    document.insert("step".to_owned(), json!(started.step));
    document.insert("recipe".to_owned(), json!(started.recipe.to_string()));
    document.insert("outcome".to_owned(), json!(outcome));
    document.insert("taken".to_owned(), json!(started.taken.is_some()));
    document.insert("source".to_owned(), json!(started.hit.as_ref().map(|hit| &hit.run.run)));
    document.insert("reasons".to_owned(), reasons(&started.reasons));
    let outputs = started.hit.iter().flat_map(|hit| &hit.run.outputs);
    document.insert("outputs".to_owned(), outputs.map(|(key, one)| (key.clone(), record::output(one))).collect());
    let mut environment = serde_json::Map::new();
    for (name, value) in &started.environment {
        json::put_bytes(&mut environment, &name.to_string_lossy(), value.as_bytes());
    }
    document.insert("environment".to_owned(), environment.into());
    document.insert("displaced".to_owned(), record::displaced(&started.displaced));
    document.insert("warnings".to_owned(), json!(started.warnings));
    document
}

/// A line that a shell evaluates.
fn export(name: &OsStr, value: &OsStr) -> Vec<u8> {
    let mut line = b"export ".to_vec();
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"='");
    for byte in value.as_bytes() {
        if *byte == b'\'' {
            line.extend_from_slice(b"'\\''");
        } else {
            line.push(*byte);
        }
    }
    line.extend_from_slice(b"'\n");
    line
}

/// The run that is meant: the named one, else the one around this process.
fn which(cx: &Context, repo: &Repo, named: Option<&String>) -> Result<String, Failure> {
    match named.or(cx.settings.parent.as_ref()) {
        Some(text) => events::run_of(cx, repo, text),
        None => Err(Failure::usage("no run is meant: PROV_RUN_ID is not set")
            .hint("name the run that `prov start` printed, or do it inside of `prov run`")),
    }
}

fn look(cx: &Context, repo: &Repo, paths: &[OsString], said: &Said) -> Result<Vec<Noted>, Failure> {
    let bar = cx.ui.bar();
    let session = Session::with_progress(repo, cx.cwd.clone(), &bar);
    let mut noted = Vec::new();
    for word in paths {
        let Declared { key, path } = values::declared(word);
        noted.push(logged::look(&session, key.as_deref(), &path, said)?);
    }
    session.save();
    Ok(noted)
}

fn note(cx: &Context, repo: &Repo, run: &str, note: &Note) -> Result<Exit, Failure> {
    let session = Session::new(repo, cx.cwd.clone());
    logged::add(&session, run, note, cx.environment.all())?;
    let files = || note.inputs.iter().chain(&note.outputs);
    if cx.ui.is_json() {
        let mut document = json::document("logged");
        document.insert("run".to_owned(), json!(run));
        let item = |one: &Noted| {
            let mut map = serde_json::Map::new();
            map.insert("key".to_owned(), json!(one.key));
            json::put_bytes(&mut map, "path", &one.path);
            map.insert("id".to_owned(), json!(one.content.id().to_string()));
            map.insert("size".to_owned(), json!(one.size));
            serde_json::Value::Object(map)
        };
        document.insert("items".to_owned(), files().map(item).collect());
        cx.ui.document(document)?;
    }
    for one in files() {
        cx.ui.detail(format_args!("{}: {}, {}", one.key, shown(&one.path), human::size(one.size)));
    }
    Ok(Exit::Done)
}

/// Logs what a live run reads.
pub(crate) fn log_input(cx: &Context, args: &LogInputArgs) -> Result<Exit, Failure> {
    let repo = open::untouched(cx)?;
    let run = which(cx, &repo, args.which.run.as_ref())?;
    let inputs = look(cx, &repo, &args.paths, &Said::default())?;
    note(cx, &repo, &run, &Note { inputs, ..Note::default() })
}

/// Logs what a live run writes.
pub(crate) fn log_output(cx: &Context, args: &LogOutputArgs) -> Result<Exit, Failure> {
    let repo = open::untouched(cx)?;
    let run = which(cx, &repo, args.which.run.as_ref())?;
    let said = Said { format: args.format.clone(), facets: facets(&args.facet)? };
    let outputs = look(cx, &repo, &args.paths, &said)?;
    note(cx, &repo, &run, &Note { outputs, ..Note::default() })
}

/// Says something of a live run.
pub(crate) fn log_meta(cx: &Context, args: &LogMetaArgs) -> Result<Exit, Failure> {
    let repo = open::untouched(cx)?;
    let run = which(cx, &repo, args.which.run.as_ref())?;
    let mut metrics = BTreeMap::new();
    for (key, value) in facets(&args.metric)? {
        let value = prov::run::metric(value)
            .map_err(|_| Failure::usage(format!("metric `{key}` is no number")).hint("for texts there is --facet"))?;
        metrics.insert(key, value);
    }
    let meta = facets(&args.meta)?;
    if let Some(key) = meta.keys().find(|key| logged::OWN_META.contains(&key.as_str())) {
        return Err(Failure::usage(format!("`{key}` is a remark that prov makes itself")).hint("choose another name"));
    }
    let facets = facets(&args.facet)?;
    let tags = args.tag.iter().cloned().collect();
    let said = Note { facets, metrics, meta, tags, message: args.message.clone(), ..Note::default() };
    if said == Note::default() {
        return Err(Failure::usage("nothing was said").hint("see `prov log-meta --help`"));
    }
    note(cx, &repo, &run, &said)
}

fn facets(words: &[String]) -> Result<BTreeMap<String, Value>, Failure> {
    words.iter().map(|word| facet(word)).collect()
}

/// Closes a run.
pub(crate) fn finish(cx: &Context, args: &FinishArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let run = which(cx, &repo, args.run.as_ref())?;
    let status = args.status.map(|word| match word {
        StatusWord::Success => Status::Success,
        StatusWord::Failure => Status::Failure,
        StatusWord::Aborted => Status::Aborted,
    });
    let options = FinishOptions {
        status: if args.abandon { Some(Status::Aborted) } else { status },
        exit_code: args.exit_code,
        error: args.error.clone(),
    };
    let bar = cx.ui.bar();
    let session = Session::with_progress(&repo, cx.cwd.clone(), &bar);
    let mut observer = PassThrough::new(None, None);
    let around = Surroundings { environment: cx.environment.all(), observer: &mut observer, interrupts: None };
    let finished = prov::run::finish(&session, &run, &options, around)?;
    drop(bar);
    match finished {
        Finished::Now(performed) => {
            run_summary::tell(cx, &performed, false)?;
            Ok(if performed.exit_code == 0 { Exit::Done } else { Exit::No })
        }
        Finished::Before { run, object } => {
            let status = run.status;
            cx.ui.say(format_args!("run {} was finished before: {}", run.run, record::word(&status)));
            if cx.ui.is_json() {
                let mut document = json::document("run");
                document.extend(record::run(&run, Some(&object)));
                document.insert("finished_before".to_owned(), json!(true));
                cx.ui.document(document)?;
            }
            // Somebody counts on a success that is none.
            let wants = options.status.unwrap_or(Status::Success);
            let is_lost = status == Status::Aborted && wants == Status::Success && options.error.is_none();
            if is_lost {
                return Err(Failure::new(Class::Failed, "abandoned", format!("run {} counts as given up", run.run))
                    .hint("its owner had ended or its deadline was over; start it again"));
            }
            Ok(Exit::Done)
        }
    }
}

//! `prov rerun` and `prov verify`.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use prov::hash::Id;
use prov::object::run::Status;
use prov::progress::Silent;
use prov::repo::Repo;
use prov::run::again::{self, Recorded, Repeated};
use prov::run::interrupts::Interrupts;
use prov::run::observer::{Observer, PassThrough};
use prov::run::{Session, Surroundings};
use prov::store::Snapshot;
use prov::verdict::{self, Finding, Sameness, Score, Verdict};
use serde_json::{Map, Value, json};

use super::revision::Seen;
use super::{Context, elsewhere};
use crate::args::{RerunArgs, VerifyArgs};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::output::record::{milliseconds, shown};
use crate::output::{human, json, table};

/// Executes a run again and leaves what it made.
pub(crate) fn rerun(cx: &Context, args: &RerunArgs) -> Result<Exit, Failure> {
    let interrupts = signals()?;
    let seen = Seen::open(cx)?;
    let (at, _) = seen.run(cx, &args.rev)?;
    let recorded = again::recorded(&seen.snapshot, &at.run, &at.object)?;
    if args.dry_run {
        return show(cx, &[&recorded]);
    }
    let folder = match &args.to {
        Some(folder) => cx.cwd.join(folder),
        None => fresh(recorded.run.tail(), &seen.repo),
    };
    tell_script(cx, &recorded, &folder);
    cx.ui.flush()?;
    let cannot = |err: std::io::Error| Failure::from(err);
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(cannot)?;
    let stdout = if cx.ui.is_json() { stderr.try_clone() } else { std::io::stdout().as_fd().try_clone_to_owned() };
    let mut through = PassThrough::new(Some(stdout.map_err(cannot)?), Some(stderr));
    let done = once(cx, &seen, &recorded, &folder, &interrupts, &mut through)?;
    let finding = finding(&done);
    for (key, sameness) in done.outputs.iter().filter(|(_, sameness)| **sameness != Sameness::Same) {
        cx.ui.say(format_args!("output {}: {}", shown(key), sameness.as_str()));
    }
    let word = finding.as_str();
    cx.ui.say(format_args!(
        "{word}: run {} again in {}",
        human::short(recorded.run.tail(), 8),
        prov::path::show(&folder)
    ));
    if cx.ui.is_json() {
        let mut document = json::document("rerun");
        document.extend(item(&recorded, &done, finding));
        document.insert("folder".to_owned(), json!(prov::path::show(&folder)));
        cx.ui.document(document)?;
    }
    Ok(match done.performed.exit_code {
        0 => Exit::Done,
        code => Exit::Child(code),
    })
}

fn signals() -> Result<Interrupts, Failure> {
    Interrupts::from_signals()
        .map_err(|err| Failure::new(Class::Failed, "no_signals", "can not listen to signals").because_of(Some(&err)))
}

/// A folder that nobody has: outside of the project, so that nothing of it is found from there.
fn fresh(tail: &str, repo: &Repo) -> PathBuf {
    let mut random = [0; 6];
    repo.world().random.fill(&mut random);
    std::env::temp_dir().join(format!("prov-{}-{}", human::short(tail, 8), prov::hash::hex(&random)))
}

/// What is about to be executed: a record can name any program, so nothing of it starts unseen.
fn tell_script(cx: &Context, recorded: &Recorded, folder: &Path) {
    let script = recorded.script();
    let words: Vec<String> = script.argv.iter().map(shown).collect();
    cx.ui.say(format_args!("executes in {}: {}", prov::path::show(folder), words.join(" ")));
    for other in &script.others {
        cx.ui.say(format_args!("asks for a version with: {}", shown(other)));
    }
}

fn show(cx: &Context, all: &[&Recorded]) -> Result<Exit, Failure> {
    if cx.ui.is_json() {
        let mut document = json::document("verify");
        let one = |recorded: &&Recorded| {
            let script = recorded.script();
            let mut map = Map::new();
            map.insert("run".to_owned(), json!(recorded.run.run));
            map.insert("object".to_owned(), json!(recorded.object.to_string()));
            map.insert("step".to_owned(), json!(recorded.run.step));
            json::put_bytes_list(&mut map, "argv", &script.argv);
            json::put_bytes(&mut map, "cwd", &script.cwd);
            map.insert("env".to_owned(), json!(script.env.keys().collect::<Vec<_>>()));
            map.insert("others".to_owned(), json!(script.others));
            Value::Object(map)
        };
        document.insert("dry_run".to_owned(), json!(true));
        document.insert("items".to_owned(), all.iter().map(one).collect());
        cx.ui.document(document)?;
        return Ok(Exit::Done);
    }
    for recorded in all {
        let script = recorded.script();
        let words: Vec<String> = script.argv.iter().map(shown).collect();
        let cwd = if script.cwd.is_empty() { ".".to_owned() } else { shown(&script.cwd) };
        cx.ui.line(format_args!("{} in {cwd}: {}", human::short(recorded.run.tail(), 8), words.join(" ")))?;
        for (name, value) in &script.env {
            let value = value.as_ref().map_or("not set".to_owned(), shown);
            cx.ui.line(format_args!("  with {}: {value}", shown(name)))?;
        }
        for other in &script.others {
            cx.ui.line(format_args!("  asks for a version with: {}", shown(other)))?;
        }
    }
    Ok(Exit::Done)
}

fn once(
    cx: &Context,
    seen: &Seen,
    recorded: &Recorded,
    folder: &Path,
    interrupts: &Interrupts,
    observer: &mut dyn Observer,
) -> Result<Repeated, Failure> {
    let tell = elsewhere::teller(cx);
    let remotes = elsewhere::remotes(cx, &seen.repo, &Silent, interrupts.cancel(), &tell)?;
    let session = Session::new(&seen.repo, cx.cwd.clone()).with_elsewhere(remotes.as_ref().map(|remotes| remotes as _));
    let laid = again::lay_out(&session, &seen.snapshot, recorded, folder)?;
    for note in &laid.notes {
        cx.ui.warn(shown(note));
    }
    let around = Surroundings { environment: cx.environment.all(), observer, interrupts: Some(interrupts) };
    Ok(again::execute(&seen.snapshot, recorded, &laid, around)?)
}

fn finding(done: &Repeated) -> Finding {
    if done.performed.run.status != Status::Success {
        Finding::Failed
    } else if done.outputs.values().all(|sameness| *sameness == Sameness::Same) {
        Finding::Reproduced
    } else {
        Finding::Differs
    }
}

fn item(recorded: &Recorded, done: &Repeated, finding: Finding) -> Map<String, Value> {
    let mut map = Map::new();
    let run = &done.performed.run;
    map.insert("run".to_owned(), json!(recorded.run.run));
    map.insert("object".to_owned(), json!(recorded.object.to_string()));
    map.insert("step".to_owned(), json!(recorded.run.step));
    map.insert("finding".to_owned(), json!(finding.as_str()));
    let outputs = done.outputs.iter().map(|(key, sameness)| (key.clone(), json!(sameness.as_str())));
    map.insert("outputs".to_owned(), Value::Object(outputs.collect()));
    map.insert("parts".to_owned(), json!(done.parts));
    map.insert("duration_ms".to_owned(), json!(milliseconds(run.duration_us())));
    map.insert("recorded_duration_ms".to_owned(), json!(milliseconds(recorded.run.duration_us())));
    map.insert("exit_code".to_owned(), json!(run.exit_code));
    map.insert("error".to_owned(), json!(run.error.as_ref().map(|error| &error.message)));
    map
}

/// Executes runs again and keeps what came of it.
pub(crate) fn verify(cx: &Context, args: &VerifyArgs) -> Result<Exit, Failure> {
    let interrupts = signals()?;
    let seen = Seen::open_to_record(cx)?;
    if let (Some(scenario), true) = (&args.scenario, args.summary) {
        return summary(cx, &seen, scenario);
    }
    let mut wanted: Vec<(String, Id)> = Vec::new();
    for rev in &args.revs {
        let (at, _) = seen.run(cx, rev)?;
        wanted.push((at.run, at.object));
    }
    if let Some(scenario) = &args.scenario {
        for one in verdict::results_of(&seen.repo, &seen.snapshot, scenario)? {
            let is_known = || verdict::newest(&seen.snapshot, &one.object).map(|known| known.is_some());
            if args.step.as_ref().is_none_or(|step| *step == one.step) && !(args.new && is_known()?) {
                wanted.push((one.run, one.object));
            }
        }
    }
    let read = |(run, object): &(String, Id)| again::recorded(&seen.snapshot, run, object);
    if args.dry_run {
        let all = wanted.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        return show(cx, &all.iter().collect::<Vec<_>>());
    }
    let mut items: Vec<Value> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut is_good = true;
    for one in &wanted {
        if interrupts.is_raised() {
            break;
        }
        let recorded = match read(one) {
            Ok(recorded) => recorded,
            // One of many that can't be verified says nothing of the others.
            Err(err) if wanted.len() > 1 => {
                cx.ui.warn(shown(prov::run::chain(&err)));
                is_good = false;
                continue;
            }
            Err(err) => return Err(err.into()),
        };
        let tail = human::short(recorded.run.tail(), 8).to_owned();
        let folder = args.keep.as_ref().map_or_else(|| fresh(&tail, &seen.repo), |keep| cx.cwd.join(keep).join(&tail));
        tell_script(cx, &recorded, &folder);
        cx.ui.flush()?;
        let mut unheard = prov::run::observer::Unheard;
        let done = once(cx, &seen, &recorded, &folder, &interrupts, &mut unheard);
        if args.keep.is_none() {
            // What can't be removed is in nobody's way.
            let _ = cx.fs.remove_tree(&folder);
        }
        let done = match done {
            Ok(done) => done,
            Err(failure) if wanted.len() > 1 && failure.class != Class::Interrupted => {
                cx.ui.warn(shown(&failure.message));
                is_good = false;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if interrupts.is_raised() && done.performed.run.status == Status::Aborted {
            break;
        }
        let finding = finding(&done);
        is_good &= finding == Finding::Reproduced;
        keep(&seen.repo, &recorded, &done, finding)?;
        for part in &done.parts {
            cx.ui.warn(format_args!("{tail}: {} is not as recorded", shown(part)));
        }
        let differs = done.outputs.iter().filter(|(_, sameness)| **sameness != Sameness::Same);
        let differs: Vec<String> =
            differs.map(|(key, sameness)| format!("{} {}", shown(key), sameness.as_str())).collect();
        let error = done.performed.run.error.as_ref().map(|error| shown(&error.message)).unwrap_or_default();
        let why = if finding == Finding::Failed { error } else { differs.join(", ") };
        rows.push(vec![finding.as_str().to_owned(), tail, shown(&recorded.run.step), why]);
        items.push(Value::Object(item(&recorded, &done, finding)));
    }
    if cx.ui.is_json() {
        let mut document = json::document("verify");
        document.insert("dry_run".to_owned(), json!(false));
        document.insert("items".to_owned(), items.into());
        cx.ui.document(document)?;
    } else {
        cx.ui.print(table::columns(&[], &rows))?;
    }
    match interrupts.ending() {
        Some(_) => Ok(Exit::Interrupted),
        None if is_good => Ok(Exit::Done),
        None => Ok(Exit::No),
    }
}

fn keep(repo: &Repo, recorded: &Recorded, done: &Repeated, finding: Finding) -> Result<(), Failure> {
    let run = &done.performed.run;
    let verdict = Verdict {
        of: recorded.object,
        at: repo.now(),
        finding,
        outputs: done.outputs.clone(),
        parts: done.parts.clone(),
        took_us: run.duration_us(),
        host: Some(repo.world().host.clone()),
        author: repo.world().author.clone(),
        error: run.error.as_ref().map(|error| error.message.clone()),
    };
    verdict::keep(repo, &verdict)?;
    Ok(())
}

/// How reproducible the steps of a scenario are by what is known.
fn summary(cx: &Context, seen: &Seen, scenario: &str) -> Result<Exit, Failure> {
    let snapshot: &Snapshot = &seen.snapshot;
    let scores = verdict::scores(&seen.repo, snapshot, scenario)?;
    let all = scores.values().fold(Score::default(), |all, one| all.with(one));
    if cx.ui.is_json() {
        let one = |score: &Score| {
            json!({
                "runs": score.runs, "verified": score.verified(), "reproduced": score.reproduced,
                "differs": score.differs, "failed": score.failed, "score": score.rate(),
            })
        };
        let steps: BTreeMap<&String, Value> = scores.iter().map(|(step, score)| (step, one(score))).collect();
        let mut document = json::document("verify-summary");
        document.insert("scenario".to_owned(), json!(scenario));
        document.insert("steps".to_owned(), json!(steps));
        document.insert("total".to_owned(), one(&all));
        cx.ui.document(document)?;
        return Ok(Exit::Done);
    }
    let line = |name: String, score: &Score| {
        let rate = score.rate().map_or("-".to_owned(), |rate| format!("{:.0} %", rate * 100.0));
        let texts = [score.runs, score.verified(), score.reproduced, score.differs, score.failed];
        std::iter::once(name).chain(texts.iter().map(ToString::to_string)).chain([rate]).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = scores.iter().map(|(step, score)| line(shown(step), score)).collect();
    rows.push(line("all".to_owned(), &all));
    cx.ui.print(table::columns(&["step", "results", "verified", "reproduced", "differs", "failed", "score"], &rows))?;
    Ok(Exit::Done)
}

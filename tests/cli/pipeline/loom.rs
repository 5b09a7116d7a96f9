//! A test for each defect of Loom that prov must not have. The table in `docs/from-otter.md` says what each is.

use std::process::Stdio;

use serde_json::Value;

use super::{Ran, run, with};
use crate::project::{Gate, exists, project};
use crate::sandbox::Sandbox;

fn file_of(sandbox: &Sandbox, table: &str) -> Vec<u8> {
    let folder = sandbox.path(format!("runs/{table}"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let newest = files.filter(|path| path.file_name().unwrap() != "schema.parquet").max().unwrap();
    std::fs::read(newest).unwrap()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn l01_the_task_that_failed_and_the_attempt_are_on_all_rows() {
    let sandbox = with("steps:\n  s:\n    - {name: fine, run: ['true']}\n    - {name: spoilt, run: 'exit 3'}\n");
    run(&sandbox, &["-k", "--attempt", "3", "--correlation-id", "release-7"]).ends(1);
    sandbox.prov(["export", "loom-records", "--to", "runs"]).ok();
    for table in ["pipeline_runs", "process_runs"] {
        let bytes = file_of(&sandbox, table);
        for text in ["spoilt", "release-7", "exit('ended with code 3')", "ended with code 3"] {
            assert!(holds(&bytes, text), "{text} in {table}");
        }
    }
    assert!(holds(&file_of(&sandbox, "step_runs"), "exit('ended with code 3')"));
    let log = sandbox.prov(["--json", "log"]).ok().json();
    for one in log["runs"].as_array().unwrap() {
        let shown = sandbox.prov(["--json", "show", one["run"].as_str().unwrap()]).ok().json();
        assert_eq!(shown["run"]["attempt"], 3, "{shown:#}");
    }
}

#[test]
fn l02_a_run_whose_records_can_not_be_stored_says_so_and_loses_nothing() {
    let sandbox = project();
    let (log, away) = (sandbox.path(".prov/store/log"), sandbox.path("away"));
    let line = format!("mv {} {}; touch made.txt", log.display(), away.display());
    sandbox.file("prov.yaml", format!("steps:\n  s:\n    - {{name: a, run: '{line}', outputs: [made.txt]}}\n"));
    let refused = sandbox.prov(["pipeline", "run"]);
    assert_ne!(refused.code, 0, "{refused}");
    assert!(refused.err().contains("record"), "{refused}");
    let _ = prov::fs::Fs::real().remove_tree(&log);
    prov::fs::Fs::real().rename(&away, &log).unwrap();
    let shown = sandbox.prov(["--json", "log"]).ok().json();
    let kinds: Vec<&Value> = shown["runs"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert!(kinds.contains(&&Value::from("task")), "{shown:#}");
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn l03_records_of_many_tasks_go_into_few_files() {
    let sandbox = with(
        "steps:\n  s:\n    - {name: 'n${each}', run: ['true'], foreach: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20], cache: reuse}\n",
    );
    for _ in 0..3 {
        run(&sandbox, &["--force"]).ends(0);
    }
    let mut files = 0;
    let mut folders = vec![sandbox.path(".prov")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
            }
        }
    }
    assert!(files < 60, "{files} files for 60 tasks");
}

#[test]
fn l04_a_pipeline_is_planned_and_run_by_one_program_without_any_other() {
    let sandbox = project();
    sandbox.file(
        "prov.yaml",
        "steps:\n  s:\n    - {name: noop a}\n    - {name: copy b, source: in.txt, destination: out.txt}\n",
    );
    sandbox.file("in.txt", "x\n");
    for words in [["pipeline", "plan"], ["pipeline", "run"], ["pipeline", "status"]] {
        let mut command = sandbox.command(words);
        command.env("PATH", "");
        sandbox.outcome(command).ok();
    }
    assert!(exists(&sandbox, "out.txt"));
}

#[test]
fn l05_tables_are_written_by_the_same_program() {
    let sandbox = with("steps:\n  s:\n    - {name: noop a}\n");
    run(&sandbox, &[]).ends(0);
    let mut command = sandbox.command(["export", "loom-records", "--to", "runs"]);
    command.env("PATH", "");
    sandbox.outcome(command).ok();
    assert!(file_of(&sandbox, "step_runs").starts_with(b"PAR1"));
}

#[test]
fn l06_tasks_have_time_limits_siblings_are_stopped_and_jobs_are_limited() {
    let sandbox = with(
        "steps:\n  s:\n    - {name: long, run: [sleep, '1000'], timeout: 50ms}\n    - {name: beside, run: [sleep, '1000']}\n",
    );
    let ran = run(&sandbox, &["--grace", "100ms"]).ends(1);
    assert_eq!(ran.task("long")["error"]["type"], "timeout", "{}", ran.outcome);
    assert_eq!(ran.end("beside"), "aborted", "{}", ran.outcome);
    // One at a time: whoever finds the other there fails.
    let one = "test ! -e busy && touch busy && rm busy";
    let tasks = (0..12).map(|n| format!("    - {{name: t{n}, run: '{one}'}}\n")).collect::<Vec<_>>().concat();
    sandbox.file("prov.yaml", format!("steps:\n  s:\n{tasks}"));
    run(&sandbox, &["-j", "1"]).ends(0);
    // Of what needs a thing of which there is one, too.
    let task = |n: usize| format!("    - {{name: t{n}, run: '{one}', resources: {{disk: 1}}}}\n");
    let tasks = (0..12).map(task).collect::<Vec<_>>().concat();
    sandbox.file("prov.yaml", format!("resources: {{disk: 1}}\nsteps:\n  s:\n{tasks}"));
    run(&sandbox, &["-j", "8"]).ends(0);
}

/// The events of a run with a failing task: each level's begin before what is inside of it and end after it.
fn assert_ordered(lines: &[Value]) {
    let name = |line: &Value| line["event"].as_str().unwrap().to_owned();
    assert_eq!(name(&lines[0]), "pipeline_start");
    assert_eq!(name(lines.last().unwrap()), "pipeline_end");
    for (at, line) in lines.iter().enumerate() {
        let is_of_level = |name: &str| ["pipeline_", "process_", "step_"].iter().any(|level| name.starts_with(level));
        let of = |run: &Value, event: &str| {
            lines.iter().position(|one| one["run"] == *run && is_of_level(&name(one)) && name(one).ends_with(event))
        };
        let run = &line["run"];
        let (begin, end) = (of(run, "_start").unwrap(), of(run, "_end").unwrap());
        assert!(begin <= at && at <= end, "{line}");
        if let Some(around) = of(&line["parent"], "_start") {
            assert!(around < begin && end < of(&line["parent"], "_end").unwrap(), "{line}");
        }
        if name(line).ends_with("_error") {
            assert!(at < end);
        }
    }
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"))).collect()
}

const EVENTFUL: &str = "steps:\n  a:\n    - {name: x, run: 'touch x.txt', outputs: [x.txt]}\n    - {name: y, run: 'touch y.txt', inputs: [x.txt], outputs: [y.txt]}\n  b:\n    needs: [a]\n    tasks:\n      - {name: z, run: 'exit 4'}\n";

#[test]
fn events_come_as_lines_in_order_with_the_seven_names() {
    let sandbox = with(EVENTFUL);
    let ran = sandbox.prov(["pipeline", "run", "--json-lines"]).ends(1);
    let mut lines = parsed(&ran.out());
    let document = lines.pop().unwrap();
    assert_eq!(document["schema"], "prov.pipeline-run/1");
    assert_ordered(&lines);
    let names: std::collections::BTreeSet<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    for name in
        ["pipeline_start", "pipeline_end", "process_start", "process_end", "step_start", "step_end", "step_error"]
    {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    for line in &lines {
        crate::schema::assert_valid("event", line);
    }
    // The same from the record, whoever asks later.
    let run = document["run"].as_str().unwrap();
    let told = parsed(&sandbox.prov(["events", run]).ok().out());
    assert_ordered(&told);
    let count = |lines: &[Value], name: &str| lines.iter().filter(|line| line["event"] == name).count();
    for name in ["pipeline_start", "process_start", "step_start", "step_end", "step_error", "process_end", "output"] {
        assert_eq!(count(&told, name), count(&lines, name), "{name}");
    }
    // Of a hit as well, as it happens.
    let again = parsed(&sandbox.prov(["pipeline", "run", "--json-lines", "-s", "a"]).ok().out());
    assert_eq!(again.iter().filter(|line| line["event"] == "lookup" && line["outcome"] == "hit").count(), 2);
}

#[test]
fn a_live_pipeline_is_followed_and_its_status_shows_what_runs() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "slow");
    sandbox.file(
        "prov.yaml",
        format!("steps:\n  s:\n    - {{name: first, run: ['true']}}\n    - {{name: slow, run: \"{} true\", requires: [first]}}\n", gate.line()),
    );
    let id = "20260101T000000.000000Z-x-0123456789abcdef";
    let child = super::start(&sandbox, &["--run-id", id]);
    gate.wait();
    let status = sandbox.prov(["--json", "pipeline", "status"]).ok().json();
    crate::schema::assert_valid("pipeline-status", &status);
    assert_eq!(status["live"][0], id);
    assert_eq!(status["running"][0]["task"], "s/slow", "{status:#}");
    assert!(sandbox.prov(["pipeline", "status"]).ok().out().contains("s/slow"));
    let follow = sandbox.command(["events", id, "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    gate.open();
    Ran::of(sandbox.finished(child)).ends(0);
    let told = parsed(&sandbox.finished(follow).ok().out());
    assert_ordered(&told);
    let ends: Vec<&str> =
        told.iter().filter(|line| line["event"] == "step_end").map(|line| line["step"].as_str().unwrap()).collect();
    assert_eq!(ends, ["s/first", "s/slow"]);
}

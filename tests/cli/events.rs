//! The stream of events and who consumes it: `prov events`, and the user's own hooks.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use crate::project::{Gate, project, read, remove, run};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

#[track_caller]
fn lines(outcome: &Outcome) -> Vec<Value> {
    let events: Vec<Value> = outcome
        .out()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}")))
        .collect();
    for event in &events[..] {
        schema::assert_valid("event", event);
    }
    events
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn a_recorded_run_tells_its_events_in_order() {
    let sandbox = project();
    let words = ["--name", "e", "-o", "out", "-o", "two", "--", "sh", "-c", "echo 1 > out; echo 2 > two"];
    let ran = run(&sandbox, words).misses();
    let events = lines(&sandbox.prov(["events", "@last"]).ok());
    let all =
        ["step_start", "lookup", "command_start", "command_end", "output", "output", "seal", "record", "step_end"];
    assert_eq!(names(&events), all);
    assert!(events.iter().zip(0..).all(|(event, seq)| event["seq"] == seq && event["run"] == ran.json["run"]));
    assert_eq!((events[1]["outcome"].as_str(), events[3]["exit_code"].as_i64()), (Some("miss"), Some(0)));
    assert_eq!(events[7]["object"], ran.json["object"]);
    let hit = run(&sandbox, words).hits();
    let events = lines(&sandbox.prov(["events", hit.id()]).ok());
    assert_eq!(names(&events), ["step_start", "lookup", "output", "output", "record", "step_end"]);
    assert_eq!(events[1]["source"], ran.json["run"]);
    run(&sandbox, ["--name", "f", "--", "sh", "-c", "exit 3"]);
    let events = lines(&sandbox.prov(["events", "@last"]).ok());
    assert_eq!(names(&events)[4..], ["seal", "step_error", "record", "step_end"][..]);
    assert_eq!(events[7]["status"], "failure");
    assert_eq!(sandbox.prov(["events", "no-such-run"]).code, 4);
    assert_eq!(sandbox.prov(["events"]).ok().out(), "", "nothing is live");
}

#[test]
fn a_live_run_is_followed_from_its_folder_into_its_record() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "a");
    let line = format!("{} echo 1 > out", gate.line());
    let mut command = sandbox.command(["--json", "run", "--name", "l", "-o", "out", "--", "sh", "-c", &line]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    gate.wait();
    let mut follow = sandbox.command(["events", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&told.next().unwrap().unwrap()).unwrap();
    let first: Vec<Value> = (0..3).map(|_| next()).collect();
    assert_eq!(names(&first), ["step_start", "lookup", "command_start"]);
    assert!(first[2]["pid"].is_number());
    // Still live: the same from another reader.
    assert_eq!(names(&lines(&sandbox.prov(["events"]).ok())), names(&first));
    let id = first[0]["run"].as_str().unwrap().to_owned();
    let one = sandbox.command(["events", &id, "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    gate.open();
    assert_eq!(sandbox.finished(child).code, 0);
    let rest: Vec<Value> = (0..5).map(|_| next()).collect();
    assert_eq!(names(&rest), ["command_end", "output", "seal", "record", "step_end"]);
    assert_eq!(rest[4]["seq"], 7);
    let one = sandbox.finished(one).ok();
    assert_eq!(lines(&one).len(), 8, "a follower of one run ends with it");
    // Another run, a hit: it is told of as well.
    run(&sandbox, ["--name", "l", "-o", "out", "--", "sh", "-c", &line]).hits();
    let hit: Vec<Value> = (0..4).map(|_| next()).collect();
    assert_eq!(names(&hit), ["step_start", "lookup", "output", "record"]);
    follow.kill().unwrap();
    follow.wait().unwrap();
}

fn hook(sandbox: &Sandbox, name: &str, line: &str) {
    let path = format!(".prov/hooks/{name}");
    sandbox.file(&path, format!("#!/bin/sh\n{line}\n"));
    std::fs::set_permissions(sandbox.path(&path), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn hooks_are_told_of_what_is_executed_and_not_of_hits() {
    let sandbox = project();
    for name in ["run-start", "run-complete", "run-failed"] {
        hook(
            &sandbox,
            name,
            &format!("cat > $PROV_RUN_ID.{name}.json.txt; echo {name} $PROV_EVENT $PROV_STATUS >> told.txt"),
        );
    }
    let words = ["--name", "h", "-o", "out", "--", "sh", "-c", "echo command >> told.txt; echo 1 > out"];
    let ran = run(&sandbox, words).misses();
    assert_eq!(
        read(&sandbox, "told.txt"),
        "run-start run-start\ncommand\nrun-complete run-complete success\n",
        "{}",
        ran.outcome
    );
    let document: Value = serde_json::from_str(&read(&sandbox, format!("{}.run-complete.json.txt", ran.id()))).unwrap();
    schema::assert_valid("hook", &document);
    let events = document["events"].as_array().unwrap();
    for event in &events[..] {
        schema::assert_valid("event", event);
    }
    assert_eq!(names(events).last(), Some(&"step_end"));
    let document: Value = serde_json::from_str(&read(&sandbox, format!("{}.run-start.json.txt", ran.id()))).unwrap();
    assert_eq!(names(document["events"].as_array().unwrap()), ["step_start", "lookup"]);
    run(&sandbox, words).hits();
    assert_eq!(read(&sandbox, "told.txt").lines().count(), 3, "a hit executes nothing");
    remove(&sandbox, "told.txt");
    run(&sandbox, ["--name", "h", "--", "sh", "-c", "exit 3"]);
    assert_eq!(read(&sandbox, "told.txt"), "run-start run-start\nrun-failed run-failed failure\n");
}

#[test]
fn a_hook_that_fails_is_reported_and_changes_nothing() {
    let sandbox = project();
    hook(&sandbox, "run-start", "echo from the hook; exit 7");
    sandbox.file(".prov/hooks/run-complete", "not executable");
    let ran = run(&sandbox, ["--name", "h", "-o", "out", "--", "sh", "-c", "echo 1 > out"]).misses();
    assert!(ran.outcome.err().contains("from the hook"), "{}", ran.outcome);
    assert!(ran.outcome.err().contains("hook run-start ended with code 7"), "{}", ran.outcome);
    assert!(ran.outcome.err().contains("hook run-complete was not run"), "{}", ran.outcome);
    assert_eq!(ran.json["sealed"], true);
    let warnings = ran.json["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn what_a_hook_writes_is_not_taken_for_an_output_and_a_hook_may_use_prov() {
    let sandbox = project();
    let prov = env!("CARGO_BIN_EXE_prov");
    hook(&sandbox, "run-start", &format!("echo hook > out; {prov} -q run --name inner -- true"));
    let ran = run(&sandbox, ["--name", "h", "-o", "out", "--on-missing", "warn", "--", "true"]);
    assert!(ran.json["outputs"]["out"].is_null(), "{:#}", ran.json["outputs"]);
    assert_eq!(ran.json["children"].as_object().unwrap().len(), 1, "what it runs belongs to the run");
    assert!(!ran.outcome.err().contains("hook run-start"), "{}", ran.outcome);
}

#[test]
fn a_run_tells_its_events_in_lines_as_they_come_and_its_document_at_last() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "a");
    let line = format!("{} echo printed; echo 1 > out", gate.line());
    let mut command = sandbox.command(["run", "--json-lines", "--name", "s", "-o", "out", "--", "sh", "-c", &line]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    gate.wait();
    // The command waits, and its beginning is told.
    let read = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    let mut told: Vec<Value> = Vec::new();
    while told.last().is_none_or(|last| last["event"] != "command_start") {
        told.push(read(out.next().unwrap().unwrap()));
    }
    gate.open();
    told.extend(out.map(|line| read(line.unwrap())));
    let outcome = sandbox.finished(child).ok();
    assert!(outcome.err().contains("printed"), "{outcome}");
    let (document, events) = told.split_last().unwrap();
    schema::assert_valid("run", document);
    for event in events {
        schema::assert_valid("event", event);
        assert_eq!(event["run"], document["run"]);
    }
    let recorded = lines(&sandbox.prov(["events", document["run"].as_str().unwrap()]).ok());
    assert_eq!(names(events), names(&recorded));
    let hit = sandbox.prov(["run", "--json-lines", "--name", "s", "-o", "out", "--", "sh", "-c", &line]).ok();
    assert!(hit.out().lines().count() > 2 && hit.out().contains("\"prov.run/1\""), "{hit}");
    let refused = sandbox.prov(["run", "--json-lines", "-i", "nowhere", "--", "true"]).ends(125);
    assert!(refused.err().starts_with("{\"error\""), "{refused}");
}

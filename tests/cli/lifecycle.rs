//! What a run is called and counted as, how it is tried, and what a hit prints.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::project::{Ran, project, read, run, with_copy};

#[test]
fn labels_are_on_record_and_no_part_of_the_recipe() {
    let sandbox = with_copy();
    let words = ["-i", "in.txt", "-o", "out.txt", "--", "sh", "copy.sh", "in.txt", "out.txt"];
    let first = run(&sandbox, words).misses();
    let labels = ["--stage", "fit", "--phase", "two", "--facet", "region=north", "--facet", "a.b=0.5"];
    let work = ["--correlation-id", "c-1", "--attempt", "3"];
    let again = run(&sandbox, [&labels[..], &work, &words].concat()).hits();
    assert_eq!(again.json["recipe"], first.json["recipe"]);
    for (key, value) in
        [("stage", json!("fit")), ("phase", json!("two")), ("correlation_id", json!("c-1")), ("attempt", json!(3))]
    {
        assert_eq!(again.json[key], value, "{key}");
    }
    assert_eq!(again.json["facets"]["region"], "north");
    assert_eq!(again.json["facets"]["a.b"], 0.5);
    assert_eq!(sandbox.prov(["--json", "run", "--facet", "prov.stage=x", "--", "true"]).code, 125);
}

#[test]
fn a_renamed_step_with_the_same_model_is_a_hit_and_another_model_is_not() {
    let sandbox = with_copy();
    let words = ["-i", "in.txt", "-o", "out.txt", "--", "sh", "copy.sh", "in.txt", "out.txt"];
    run(&sandbox, [&["--name", "one", "--model", "m"][..], &words].concat()).misses();
    let renamed = run(&sandbox, [&["--name", "two", "--model", "m"][..], &words].concat()).hits();
    assert_eq!((renamed.json["step"].as_str(), renamed.json["model"].as_str()), (Some("two"), Some("m")));
    run(&sandbox, [&["--name", "two", "--model", "n"][..], &words].concat()).misses();
}

#[test]
fn a_failure_is_tried_again_and_each_attempt_is_a_run() {
    let sandbox = project();
    let line = "echo x >> tries; [ $(wc -l < tries) -ge 3 ] && echo $PROV_ATTEMPT $PROV_LAST_ATTEMPT > out";
    let words = ["--retries", "5", "--retry-delay", "1ms", "--name", "r", "-o", "out", "--", "sh", "-c", line];
    let ran = run(&sandbox, words).misses();
    assert_eq!((read(&sandbox, "out").as_str(), read(&sandbox, "tries").lines().count()), ("3 0\n", 3));
    assert_eq!(ran.json["attempt"], 3);
    assert!(ran.outcome.err().contains("attempt 2 of 6"), "{}", ran.outcome);
    let log = sandbox.prov(["--json", "log", "--all"]).ok().json();
    let runs: Vec<&str> = log["runs"].as_array().unwrap().iter().map(|one| one["run"].as_str().unwrap()).collect();
    assert_eq!(runs.len(), 3);
    for (attempt, one) in runs.iter().rev().enumerate() {
        let shown = sandbox.prov(["--json", "show", one]).ok().json();
        let shown = if shown["run"].is_object() { &shown["run"] } else { &shown };
        assert_eq!(shown["correlation_id"], ran.json["correlation_id"], "{shown:#}");
        assert_eq!(shown["attempt"], attempt + 1);
    }
}

#[test]
fn only_the_codes_that_were_named_are_tried_again_and_a_command_that_is_not_there_never() {
    let sandbox = project();
    let tries = |words: &[&str]| {
        sandbox.file("tries", "");
        let code = run(&sandbox, words).outcome.code;
        (code, read(&sandbox, "tries").lines().count())
    };
    let line = "echo x >> tries; exit 4";
    let few = ["--retries", "2", "--retry-delay", "0"];
    assert_eq!(tries(&[&few[..], &["--", "sh", "-c", line]].concat()), (4, 3));
    assert_eq!(tries(&[&few[..], &["--retry-on", "5,6", "--", "sh", "-c", line]].concat()), (4, 1));
    assert_eq!(tries(&[&few[..], &["--retry-on", "5,4", "--", "sh", "-c", line]].concat()), (4, 3));
    assert_eq!(tries(&[&few[..], &["--", "no-such-program-anywhere"]].concat()), (127, 0));
    let log = sandbox.prov(["--json", "log", "--all"]).ok().json();
    assert_eq!(log["runs"].as_array().unwrap().len(), 3 + 1 + 3 + 1);
}

#[test]
fn waiting_for_the_next_attempt_can_be_interrupted() {
    use std::io::{BufRead, BufReader};
    let sandbox = project();
    let mut command = sandbox.command(["run", "--retries", "9", "--retry-delay", "10h", "--", "sh", "-c", "exit 3"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("attempt 2 of 10") {
        line.clear();
        assert_ne!(talk.read_line(&mut line).unwrap(), 0, "it said nothing of a second attempt");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let outcome = sandbox.finished(child);
    assert_eq!(outcome.code, 130);
    let log = sandbox.prov(["--json", "log", "--all"]).ok().json();
    assert_eq!(log["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_command_that_somebody_asked_to_end_is_aborted_and_one_that_crashed_failed() {
    let sandbox = project();
    for (signal, code, status, is_known) in [
        ("TERM", 143, "aborted", false),
        ("INT", 130, "aborted", false),
        ("HUP", 129, "aborted", false),
        ("KILL", 137, "failure", true),
    ] {
        let line = format!("kill -{signal} $$");
        let words = ["--name", signal, "-o", "out", "--", "sh", "-c", &line];
        let ran = run(&sandbox, words);
        assert_eq!((ran.outcome.code, ran.status()), (code, status), "{}", ran.outcome);
        assert_eq!(ran.json["error"]["type"], "signal");
        let again = run(&sandbox, words);
        assert_eq!(again.outcome.err().contains("failed before"), is_known, "{signal}: {}", again.outcome);
    }
}

#[test]
fn a_traced_run_is_executed_and_compared_with_what_is_known() {
    let sandbox = project();
    let words = |line: &'static str| ["--always", "--name", "t", "-o", "out", "--", "sh", "-c", line];
    let steady = words("echo 1 > out");
    assert!(run(&sandbox, steady).misses().json["compared"].is_null());
    let again = run(&sandbox, steady).misses();
    assert_eq!(again.json["compared"]["differs"], json!([]));
    assert_eq!(again.json["cache"]["reasons"][0]["kind"], "policy");
    let restless = words("date +%N > out");
    let first = run(&sandbox, restless).misses();
    let second = run(&sandbox, restless).misses();
    assert_eq!(second.json["compared"], json!({"run": first.json["run"], "differs": ["out"]}));
    assert!(second.outcome.err().contains("not deterministic: out differs"), "{}", second.outcome);
    let hit = run(&sandbox, ["--name", "t", "-o", "out", "--", "sh", "-c", "date +%N > out"]).hits();
    assert_eq!(hit.json["cache"]["source"], second.json["run"], "the newest outcome is taken");
}

#[test]
fn a_hit_prints_as_much_of_the_log_as_was_asked_for() {
    let sandbox = project();
    let line = "yes 0123456789abcdef | head -n 10000; echo > out";
    let ran = |replay: &str| {
        sandbox.prov(["-q", "run", "--replay", replay, "-o", "out", "--", "sh", "-c", line]).ok().stdout.len()
    };
    assert_eq!(ran("tail"), 170_000, "not a hit yet");
    assert_eq!((ran("tail"), ran("all"), ran("none")), (65536, 170_000, 0));
}

#[test]
fn a_parent_can_be_named() {
    let sandbox = project();
    let parent = run(&sandbox, ["--", "true"]);
    let tail = parent.id().rsplit('-').next().unwrap();
    let child = run(&sandbox, ["--parent", tail, "--", "true"]);
    assert_eq!(child.json["parent"], parent.json["run"]);
    let lost: Ran = run(&sandbox, ["--", "true"]);
    assert!(lost.json["parent"].is_null());
    assert_eq!(sandbox.prov(["run", "--parent", "no-such-run", "--", "true"]).code, 125);
}

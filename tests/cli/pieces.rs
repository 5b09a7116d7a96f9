//! Runs in pieces: start, log, finish, by different processes; and what a killed run leaves on record.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::project::{Gate, Ran, exists, project, read, remove, run};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

#[track_caller]
fn start(sandbox: &Sandbox, words: &[&str]) -> Value {
    let document = sandbox.prov([&["--json", "start"][..], words].concat()).ok().json();
    schema::assert_valid("start", &document);
    document
}

#[track_caller]
fn finish(sandbox: &Sandbox, words: &[&str]) -> Ran {
    Ran::of(sandbox.prov([&["--json", "finish"][..], words].concat()))
}

fn id(document: &Value) -> &str {
    document["run"].as_str().unwrap()
}

fn inside(sandbox: &Sandbox, run: &str, words: &[&str]) -> Outcome {
    let mut command = sandbox.command(words);
    command.env("PROV_RUN_ID", run);
    sandbox.outcome(command)
}

const FIT: [&str; 6] = ["--name", "fit", "-i", "in", "-o", "out"];

#[test]
fn a_run_in_pieces_is_a_result_for_the_next_start_and_for_no_command() {
    let sandbox = project();
    sandbox.file("in", "1\n").file("out", "old\n");
    let begun = start(&sandbox, &FIT);
    assert_eq!(
        (begun["outcome"].as_str(), begun["environment"]["PROV_OUTPUT_OUT"].as_str()),
        (Some("miss"), Some("out"))
    );
    assert!(!exists(&sandbox, "out"), "what lay there is no output");
    sandbox.file("out", "made\n");
    let ran = finish(&sandbox, &[id(&begun)]);
    assert_eq!(
        (ran.status(), ran.json["sealed"].as_bool(), ran.outcome.code),
        ("success", Some(true), 0),
        "{}",
        ran.outcome
    );
    assert_eq!(ran.json["run"], begun["run"]);
    // Again: known, and brought back when asked for.
    remove(&sandbox, "out");
    let again = start(&sandbox, &[&FIT[..], &["--take"]].concat());
    assert_eq!((again["outcome"].as_str(), again["taken"].as_bool()), (Some("hit"), Some(true)));
    assert_eq!((again["source"].clone(), read(&sandbox, "out").as_str()), (begun["run"].clone(), "made\n"));
    assert_eq!(again["outputs"]["out"]["size"], 5);
    assert_eq!(sandbox.live_runs(), [""; 0], "nothing is left to be finished");
    run(&sandbox, [&FIT[..], &["--", "sh", "-c", "echo made > out"]].concat()).misses();
    sandbox.file("in", "2\n");
    assert_eq!(start(&sandbox, &[&FIT[..], &["--take"]].concat())["outcome"], "miss");
}

#[test]
fn finishing_twice_is_harmless() {
    let sandbox = project();
    let begun = start(&sandbox, &["--name", "s"]);
    let first = finish(&sandbox, &[id(&begun), "--exit-code", "3", "--error", "no convergence"]);
    assert_eq!((first.status(), first.json["exit_code"].as_i64()), ("failure", Some(3)));
    assert_eq!(first.json["error"]["message"], "no convergence");
    let second = finish(&sandbox, &[id(&begun)]);
    assert_eq!((second.outcome.code, second.json["object"].clone()), (0, first.json["object"].clone()));
    assert!(second.outcome.err().contains("finished before"), "{}", second.outcome);
    assert_eq!(sandbox.prov(["finish", "nothing-like-it"]).code, 4);
    assert_eq!(sandbox.prov(["finish"]).code, 2);
}

#[test]
fn what_changes_in_between_keeps_it_from_being_a_result() {
    let sandbox = project();
    for (what, text) in [("in", "2\n"), ("in", "1\n"), ("code.sh", "echo 2\n")] {
        sandbox.file("in", "1\n").file("code.sh", "echo 1\n");
        let begun = start(&sandbox, &FIT);
        remove(&sandbox, what);
        sandbox.file(what, text).file("out", "made\n");
        let ran = finish(&sandbox, &[id(&begun)]);
        assert_eq!((ran.status(), ran.json["sealed"].as_bool()), ("success", Some(false)), "{what} {text}");
        let told = ran.json["unsealed"][0].as_str().unwrap().to_owned();
        assert!(told.contains(if what == "in" { "input in" } else { "the code" }), "{told}");
        sandbox.file("in", "1\n").file("code.sh", "echo 1\n");
        let next = start(&sandbox, &FIT);
        assert_eq!(next["outcome"], "miss");
        finish(&sandbox, &[id(&next), "--abandon"]);
    }
    let begun = start(&sandbox, &FIT);
    let missing = finish(&sandbox, &[id(&begun)]);
    assert_eq!((missing.outcome.code, missing.json["error"]["type"].as_str()), (1, Some("output_missing")));
}

#[test]
fn files_and_remarks_are_logged_by_any_number_of_processes_at_once() {
    let sandbox = project();
    let begun = start(&sandbox, &["--name", "s", "-o", "out"]);
    let run_id = id(&begun).to_owned();
    sandbox.file("extra.csv", "1\n").file("plot.svg", "<svg/>\n").file("out", "1\n");
    inside(&sandbox, &run_id, &["log-input", "extra.csv"]).ok();
    inside(&sandbox, &run_id, &["log-output", "--facet", "year=2030", "--format", "svg", "plot.svg"]).ok();
    inside(&sandbox, &run_id, &["log-output", "--format", "csv", "out"]).ok();
    let children: Vec<_> = (0..6)
        .map(|n| {
            let metric = format!("m{n}={n}.5");
            let mut command = sandbox.command(["log-meta", "--metric", &metric, "--tag", &format!("t{n}")]);
            command.env("PROV_RUN_ID", &run_id).spawn().unwrap()
        })
        .collect();
    for child in children {
        sandbox.finished(child).ok();
    }
    assert_eq!(inside(&sandbox, &run_id, &["log-meta", "--metric", "a=b"]).code, 2);
    let ran = finish(&sandbox, &[&run_id]);
    assert_eq!(ran.json["metrics"], json!({"m0": 0.5, "m1": 1.5, "m2": 2.5, "m3": 3.5, "m4": 4.5, "m5": 5.5}));
    assert_eq!(ran.json["tags"].as_array().unwrap().len(), 6);
    assert_eq!(
        (ran.json["inputs"]["extra"]["stored"].as_bool(), ran.json["outputs"]["plot"]["stored"].as_bool()),
        (Some(true), Some(true))
    );
    assert_eq!(ran.json["outputs"]["plot"]["facets"]["year"], 2030);
    assert_eq!(ran.json["outputs"]["out"]["format"], "csv");
    assert_eq!(ran.json["sealed"], false, "its recipe knows nothing of the files that were logged");
    sandbox.prov(["fsck"]).ok();
    remove(&sandbox, "plot.svg");
    sandbox.prov(["restore", &format!("{run_id}:plot")]).ok();
    assert_eq!(read(&sandbox, "plot.svg"), "<svg/>\n");
    assert_eq!(inside(&sandbox, &run_id, &["log-meta", "--tag", "late"]).code, 4, "it is closed");
}

#[test]
fn a_command_logs_to_the_run_in_progress() {
    let sandbox = project();
    let prov = env!("CARGO_BIN_EXE_prov");
    let line = format!(
        "echo 1 > out; {prov} log-meta --metric rows=14 --facet kind=test; echo x > more; {prov} log-output more"
    );
    let words = ["--name", "l", "-o", "out", "--", "sh", "-c", &line];
    let ran = run(&sandbox, words).misses();
    assert_eq!((ran.json["metrics"]["rows"].as_i64(), ran.json["facets"]["kind"].as_str()), (Some(14), Some("test")));
    assert_eq!(ran.json["outputs"]["more"]["path"], "more");
    assert_eq!(ran.json["sealed"], false);
    assert!(ran.outcome.err().contains("output more was logged and not declared"), "{}", ran.outcome);
    let line = format!("echo 1 > out; {prov} log-meta --metric rows=14");
    let words = ["--name", "m", "-o", "out", "--", "sh", "-c", &line];
    run(&sandbox, words).misses();
    run(&sandbox, words).hits();
}

#[test]
fn a_started_run_is_given_up_by_rule_only() {
    let sandbox = project();
    let mut owner = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = owner.id().to_string();
    let free = start(&sandbox, &["--name", "free"]);
    let owned = start(&sandbox, &["--name", "owned", "--owner", &pid, "-o", "out"]);
    let held = sandbox.prov(["--json", "run", "-o", "out", "--", "touch", "out"]).ends(125);
    assert!(held.err().contains("claimed"), "{held}");
    let late = start(&sandbox, &["--name", "late", "--deadline", "0s"]);
    let settled = sandbox.prov(["log"]).ok();
    assert!(settled.err().contains(id(&late)), "{settled}");
    assert!(!settled.err().contains(id(&free)) && !settled.err().contains(id(&owned)), "{settled}");
    owner.kill().unwrap();
    owner.wait().unwrap();
    let settled = sandbox.prov(["log"]).ok();
    assert!(settled.err().contains(id(&owned)), "{settled}");
    let lost = sandbox.prov(["--json", "finish", id(&owned)]);
    assert_eq!((lost.code, sandbox.prov(["finish", id(&owned), "--abandon"]).code), (1, 0), "{lost}");
    run(&sandbox, ["-o", "out", "--", "touch", "out"]).misses();
    let ran = finish(&sandbox, &[id(&free)]);
    assert_eq!(ran.status(), "success");
}

#[test]
fn a_shell_can_take_over_the_environment() {
    let sandbox = project();
    let prov = env!("CARGO_BIN_EXE_prov");
    let line = format!(
        "set -e; eval \"$({prov} -q start --export --name e -S 'a=it'\\''s' -o out)\"; cat $PROV_CONFIG > $PROV_OUTPUT_OUT; \
         {prov} -q run --name inner -- true; {prov} -q --json finish"
    );
    let mut command = std::process::Command::new("sh");
    let like = sandbox.command([""; 0]);
    command.args(["-c", &line]).current_dir(sandbox.project()).env_clear();
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let outcome = sandbox.outcome(command).ok();
    let ran = Ran::of(outcome);
    assert_eq!((ran.status(), read(&sandbox, "out").as_str()), ("success", "{\"a\": \"it's\"}"));
    assert_eq!(ran.json["children"].as_object().unwrap().len(), 1);
}

#[test]
fn a_killed_run_is_on_record_with_all_that_was_known() {
    let sandbox = project();
    sandbox.file("in", "1\n").file("code.sh", "echo 1\n");
    let gate = Gate::new(&sandbox, "a");
    let prov = env!("CARGO_BIN_EXE_prov");
    let line = format!("echo printed; {prov} log-meta --metric done=7; {} echo late > out", gate.line());
    let words =
        ["--json", "run", "--name", "victim", "--facet", "a=b", "-i", "in", "-o", "out", "--", "sh", "-c", &line];
    let mut child = sandbox.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    gate.wait();
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    sandbox.prov(["log"]).ok();
    let shown = sandbox.prov(["--json", "show", "@last"]).ok().json();
    let shown = if shown["run"].is_object() { &shown["run"] } else { &shown };
    assert_eq!((shown["status"].as_str(), shown["error"]["type"].as_str()), (Some("aborted"), Some("killed")));
    assert!(shown["recipe"].is_string() && shown["started_at"].as_str() <= shown["finished_at"].as_str(), "{shown:#}");
    assert_eq!((shown["inputs"]["in"]["stored"].as_bool(), shown["facets"]["a"].as_str()), (Some(true), Some("b")));
    assert_eq!((shown["metrics"]["done"].as_i64(), shown["logs"]["stdout"]["size"].as_i64()), (Some(7), Some(8)));
    sandbox.prov(["fsck"]).ok();
    assert!(sandbox.prov(["ls-tree", "-r", "@last:@code"]).ok().out().contains("code.sh"));
    let events = sandbox.prov(["events", "@last"]).ok().out();
    assert!(events.contains("step_error") && events.contains("aborted"), "{events}");
}

#[test]
fn a_secret_is_not_logged() {
    let sandbox = project().with("TOKEN", "hunter2-hunter2");
    let prov = env!("CARGO_BIN_EXE_prov");
    let line = format!("{prov} log-meta --facet token=$TOKEN; echo code $?");
    let ran = run(&sandbox, ["--secret-env", "TOKEN", "--", "sh", "-c", &line]);
    assert!(!ran.outcome.err().contains("code 0"), "{}", ran.outcome);
    assert_eq!(ran.json["facets"], json!({}), "{:#}", ran.json["facets"]);
    let begun = start(&sandbox, &["--name", "s", "--secret-env", "TOKEN"]);
    assert_ne!(inside(&sandbox, id(&begun), &["log-meta", "-m", "it is hunter2-hunter2"]).code, 0);
    assert_ne!(sandbox.prov(["finish", id(&begun), "--error", "bad token hunter2-hunter2"]).code, 0);
    let ran = finish(&sandbox, &[id(&begun)]);
    assert_eq!(ran.json["description"], "");
}

#[test]
fn what_is_made_in_a_folder_between_start_and_finish_is_captured() {
    let sandbox = project();
    sandbox.file("work/old.txt", "old\n");
    let words = ["--name", "c", "--capture", "made=work:*.txt"];
    let begun = start(&sandbox, &words);
    sandbox.file("work/new.txt", "new\n").file("work/other.dat", "no\n");
    let ran = finish(&sandbox, &[id(&begun)]);
    assert_eq!((ran.status(), ran.json["sealed"].as_bool()), ("success", Some(true)), "{:#}", ran.json["unsealed"]);
    assert_eq!(ran.json["outputs"]["made"]["size"], 4, "{:#}", ran.json["outputs"]);
    let listed = sandbox.prov(["ls-tree", &format!("{}:made", id(&begun))]).ok().out();
    assert!(listed.contains("new.txt") && !listed.contains("old.txt"), "{listed}");
    let begun = start(&sandbox, &words);
    sandbox.file("work/old.txt", "rewritten\n");
    let ran = finish(&sandbox, &[id(&begun)]);
    assert_eq!(ran.json["sealed"], false, "{:#}", ran.json["outputs"]);
}

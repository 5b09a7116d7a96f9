//! What a hit gives back: exactly the bytes that the run on record made, all of them, or it is no hit.

use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::json;

use super::copy;
use crate::project::{Gate, Ran, exists, noise, project, read, remove, run};
use crate::sandbox::Sandbox;

/// Seven times a number.
fn times(sandbox: &Sandbox, k: &str) -> Ran {
    let set = format!("k={k}");
    run(
        sandbox,
        ["--name", "mul", "-S", &set, "-o", "out", "--", "sh", "-c", "echo $((7 * $1)) > out", "sh", "{set.k}"],
    )
}

#[test]
fn a_hit_gives_its_own_bytes_when_other_runs_and_people_wrote_to_the_path_since() {
    let sandbox = project();
    times(&sandbox, "2").misses();
    times(&sandbox, "3").misses();
    let hit = times(&sandbox, "2").hits();
    assert_eq!((hit.action("out"), read(&sandbox, "out").as_str()), ("restored", "14\n"));
    // Another step writes there.
    run(&sandbox, ["--name", "other", "-o", "out", "--", "sh", "-c", "echo other > out"]).misses();
    times(&sandbox, "3").hits();
    assert_eq!(read(&sandbox, "out"), "21\n");
    // Somebody does, with the length that it had.
    sandbox.file("out", "99\n");
    let hit = times(&sandbox, "3").hits();
    assert_eq!((read(&sandbox, "out").as_str(), hit.json["displaced"].as_array().unwrap().len()), ("21\n", 1));
    let kept = hit.json["displaced"][0]["id"].as_str().unwrap();
    assert_eq!(sandbox.prov(["cat", kept]).ok().out(), "99\n");
    // A hit that restores nothing says nothing about what lies there.
    sandbox.file("out", "mine\n");
    times(&sandbox, "2").hits();
    sandbox.file("out", "mine\n");
    let words = ["--restore", "metadata", "--name", "mul", "-S", "k=2", "-o", "out", "--", "sh", "-c"];
    let words = [&words[..], &["echo $((7 * $1)) > out", "sh", "{set.k}"]].concat();
    let hit = run(&sandbox, words).hits();
    assert_eq!((&hit.json["outputs"]["out"]["action"], read(&sandbox, "out").as_str()), (&json!(null), "mine\n"));
}

#[test]
fn a_hit_brings_back_what_is_missing_and_what_is_lost_is_made_again() {
    let sandbox = project();
    let go = || {
        let script =
            format!("echo made >> ../made; mkdir -p d; printf %s {} > d/large; echo 1 > small", noise(300_000));
        sandbox.file("make.sh", script);
        run(&sandbox, ["--name", "make", "-o", "d", "-o", "small", "--", "sh", "make.sh"])
    };
    let executed = || read(&sandbox, "../made").lines().count();
    go().misses();
    for path in ["d/large", "d", "small"] {
        remove(&sandbox, path);
        go().hits();
        assert_eq!((read(&sandbox, "d/large").len(), read(&sandbox, "small").as_str()), (300_000, "1\n"));
    }
    assert_eq!(executed(), 1);
    // Gone from the disk and from the store: known only by name.
    remove(&sandbox, "d");
    for pack in std::fs::read_dir(sandbox.path(".prov/store/packs")).unwrap() {
        prov::fs::Fs::real().remove_file(&pack.unwrap().path()).unwrap();
    }
    let again = go();
    assert_eq!((again.cache(), again.status(), executed()), ("miss", "success", 2), "{}", again.outcome);
    assert_eq!(again.json["cache"]["reasons"][0]["kind"], "outputs_lost", "{:#}", again.json["cache"]);
    remove(&sandbox, "d");
    go().hits();
    assert_eq!(read(&sandbox, "d/large").len(), 300_000);
}

#[test]
fn results_are_had_in_a_copy_of_the_project_and_in_another_that_shares_the_store() {
    let sandbox = project();
    let words = ["--json", "run", "--name", "m", "-i", "in", "-o", "out", "--", "sh", "-c", "cat in in > out"];
    sandbox.file("in", "1\n");
    run(&sandbox, &words[2..]).misses();
    remove(&sandbox, "out");
    let there = sandbox.project().with_file_name("elsewhere");
    copy(&sandbox.project(), &there);
    let mut command = sandbox.command(words);
    command.current_dir(&there);
    Ran::of(sandbox.outcome(command)).hits();
    assert_eq!(std::fs::read(there.join("out")).unwrap(), b"1\n1\n");
    // Another project, at other paths, with the same store.
    let other = sandbox.project().with_file_name("other");
    prov::fs::Fs::real().make_dirs(&other).unwrap();
    let mut command = sandbox.command(["init", "-q", "--store"]);
    command.arg(sandbox.path(".prov/store")).current_dir(&other);
    sandbox.outcome(command).ok();
    sandbox.file("../other/in", "1\n");
    let mut command = sandbox.command(words);
    command.current_dir(&other);
    Ran::of(sandbox.outcome(command)).hits();
    assert_eq!(std::fs::read(other.join("out")).unwrap(), b"1\n1\n");
}

fn started(sandbox: &Sandbox, words: &[&str]) -> Child {
    use std::os::unix::process::CommandExt;
    let mut command = sandbox.command([&["--json", "run"], words].concat());
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_run_that_was_interrupted_or_killed_is_over_and_its_half_written_output_is_no_result() {
    let sandbox = project();
    for (name, is_killed) in [("interrupted", false), ("killed", true)] {
        let gate = Gate::new(&sandbox, name);
        let line = format!("echo half > out; mkdir -p d; echo half > d/a; {} echo whole > out", gate.line());
        let words = ["--name", name, "-o", "out", "-o", "d", "--", "sh", "-c", &line];
        let mut child = started(&sandbox, &words);
        gate.wait();
        if is_killed {
            kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
            child.wait().unwrap();
        } else {
            // What a terminal does at Ctrl-C.
            kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
            let ran = Ran::of(sandbox.finished(child));
            assert_eq!((ran.status(), ran.json["error"]["type"].as_str()), ("aborted", Some("interrupted")));
            assert!(ran.outcome.code == 130, "{}", ran.outcome);
        }
        assert_eq!(read(&sandbox, "out"), "half\n");
        // Nothing stays `running`, and what stands in the way of the next is nobody's output.
        let log = sandbox.prov(["--json", "log", "--step", name]).ok().json();
        assert_eq!(
            (log["runs"].as_array().unwrap().len(), &log["runs"][0]["status"]),
            (1, &json!("aborted")),
            "{log:#}"
        );
        let known = sandbox.prov(["--json", "lineage", "./out"]).ok().json();
        assert_eq!(known["edges"], json!([]), "{known:#}");
        let next = started(&sandbox, &words);
        gate.wait();
        assert!(!exists(&sandbox, "out") || read(&sandbox, "out") == "half\n");
        gate.open();
        let next = Ran::of(sandbox.finished(next)).misses();
        assert_eq!((next.status(), read(&sandbox, "out").as_str()), ("success", "whole\n"));
        run(&sandbox, words).hits();
    }
}

#[test]
fn a_known_result_with_other_outputs_than_are_declared_is_not_taken() {
    let sandbox = project();
    let script = "echo 1 > one; echo 2 > two; echo made >> ../made";
    let go = |outputs: &[&str]| {
        let declared: Vec<&str> = outputs.iter().flat_map(|&path| ["-o", path]).collect();
        run(&sandbox, [&["--name", "s", "--code", "none"][..], &declared, &["--", "sh", "-c", script]].concat())
    };
    go(&["one"]).misses();
    for path in ["one", "two"] {
        remove(&sandbox, path);
    }
    let both = go(&["one", "two"]).misses();
    assert_eq!(both.json["outputs"].as_object().unwrap().len(), 2);
    assert_eq!((read(&sandbox, "one").as_str(), read(&sandbox, "two").as_str()), ("1\n", "2\n"));
    // Under another key it is another output.
    let renamed = go(&["one", "second=two"]).misses();
    assert_eq!(renamed.json["outputs"]["second"]["size"], 2);
    for outputs in [&["one"][..], &["one", "two"], &["one", "second=two"]] {
        for path in ["one", "two"] {
            if exists(&sandbox, path) {
                remove(&sandbox, path);
            }
        }
        let hit = go(outputs).hits();
        assert_eq!(hit.json["outputs"].as_object().unwrap().len(), outputs.len());
        assert!(outputs.iter().all(|path| exists(&sandbox, path.rsplit('=').next().unwrap())));
    }
    assert_eq!(read(&sandbox, "../made").lines().count(), 3);
}

#[test]
fn what_can_be_computed_again_may_be_deleted_at_any_time() {
    let sandbox = project();
    for n in 0..40 {
        times(&sandbox, &n.to_string()).misses();
    }
    let all = sandbox.prov(["--json", "log", "-n", "100"]).ok().json()["runs"].clone();
    remove(&sandbox, ".prov/cache");
    assert_eq!(sandbox.prov(["--json", "log", "-n", "100"]).ok().json()["runs"], all);
    times(&sandbox, "20").hits();
    assert_eq!(read(&sandbox, "out"), "140\n");
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn a_store_of_an_earlier_version_gives_its_results() {
    let sandbox = Sandbox::new();
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores/v1");
    copy(&fixture, &sandbox.path(".prov"));
    crate::project::rename(&sandbox, ".prov/in.txt", "in.txt");
    let words = ["--name", "sort", "-i", "in.txt", "-o", "out.txt", "--", "sort", "-o", "out.txt", "in.txt"];
    run(&sandbox, words).hits();
    assert_eq!(read(&sandbox, "out.txt"), "a\nb\nc\n");
    assert_eq!(sandbox.prov(["--json", "log", "--all", "-n", "100"]).ok().json()["runs"].as_array().unwrap().len(), 40);
}

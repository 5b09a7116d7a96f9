//! Runs with many inputs: their inputs stand in a list that all runs with the same ones share, and nobody can tell.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use crate::project::{self, Gate, Ran, project, read, run};
use crate::sandbox::Sandbox;
use crate::sync::{push, said, shared, text};

/// More than a record tells itself.
const MANY: usize = 80;

fn with_many() -> Sandbox {
    let sandbox = project();
    lay(&sandbox);
    sandbox
}

fn lay(sandbox: &Sandbox) {
    for n in 0..MANY {
        sandbox.file(format!("data/{n}.csv"), format!("{n}\n"));
    }
}

#[track_caller]
fn sum(sandbox: &Sandbox, step: &str) -> Ran {
    let line = format!("cat data/*.csv > {step}.out");
    let out = format!("{step}.out");
    run(sandbox, ["--name", step, "-i", "data/*.csv", "-o", &out, "--code", "none", "--", "sh", "-c", &line])
}

/// A run as its record has it.
#[track_caller]
fn shown(sandbox: &Sandbox, run: &str) -> Value {
    sandbox.prov(["--json", "show", run]).ok().json()["run"].clone()
}

/// The newest run of a step, however it ended.
#[track_caller]
fn newest(sandbox: &Sandbox, step: &str) -> String {
    let listed = sandbox.prov(["--json", "log", "--all"]).ok().json();
    let found = listed["runs"].as_array().unwrap().iter().find(|run| run["step"] == step);
    found.unwrap_or_else(|| panic!("{listed:#}"))["run"].as_str().unwrap().to_owned()
}

/// The runs that took a file, as a lineage has them.
#[track_caller]
fn takers(sandbox: &Sandbox, path: &str) -> BTreeSet<String> {
    let lineage = sandbox.prov(["--json", "lineage", "--down", path]).ok().json();
    let nodes = lineage["nodes"].as_array().unwrap();
    nodes.iter().filter_map(|node| Some(node["run"].as_str()?.to_owned())).collect()
}

fn set<const N: usize>(runs: [&Ran; N]) -> BTreeSet<String> {
    runs.iter().map(|run| run.id().to_owned()).collect()
}

/// Bytes of the newest entry of the log.
fn newest_entry(sandbox: &Sandbox) -> u64 {
    let log = std::fs::read_dir(sandbox.path(".prov/store/log")).unwrap();
    log.map(|entry| entry.unwrap().path()).max().unwrap().metadata().unwrap().len()
}

/// Enough runs for the log to be folded.
fn fold(sandbox: &Sandbox) {
    for n in 0..36 {
        let command = format!("echo gen {n} > o");
        sandbox.prov(["run", "-q", "--name", "gen", "-o", "o", "--code", "none", "--", "sh", "-c", &command]).ok();
    }
}

#[test]
fn hits_tell_the_same_inputs_in_a_few_bytes() {
    let sandbox = with_many();
    sandbox
        .prov([
            "run",
            "-q",
            "--name",
            "make",
            "-o",
            "data/7.csv",
            "--code",
            "none",
            "--",
            "sh",
            "-c",
            "echo 7 > data/7.csv",
        ])
        .ok();
    let first = sum(&sandbox, "a").misses();
    let whole = newest_entry(&sandbox);
    let hit = sum(&sandbox, "a").hits();
    assert!(newest_entry(&sandbox) * 5 < whole, "{} of {whole}", newest_entry(&sandbox));
    let (of_first, of_hit) = (shown(&sandbox, first.id()), shown(&sandbox, hit.id()));
    assert_eq!(of_first["inputs"].as_object().unwrap().len(), MANY);
    assert_eq!(of_first["inputs"], of_hit["inputs"]);
    assert_eq!(first.json["inputs"], hit.json["inputs"]);
    assert!(of_hit["inputs"]["7"]["producer"].to_string().contains("-make-"), "{:#}", of_hit["inputs"]["7"]);
    assert_eq!(sandbox.prov(["cat", &format!("{}:7", hit.id())]).ok().out(), "7\n");
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn whoever_took_a_file_is_found_whatever_list_it_stands_in() {
    let sandbox = with_many();
    let (first, hit, other) = (sum(&sandbox, "a").misses(), sum(&sandbox, "a").hits(), sum(&sandbox, "b").misses());
    let few = run(
        &sandbox,
        ["--name", "few", "-i", "data/3.csv", "-o", "few", "--code", "none", "--", "sh", "-c", "cat data/3.csv > few"],
    );
    assert_eq!(takers(&sandbox, "data/3.csv"), set([&first, &hit, &other, &few]));
    sandbox.file("data/5.csv", "changed\n");
    let changed = sum(&sandbox, "a").misses();
    assert_eq!(changed.parts(), ["inputs.5"]);
    assert_eq!(takers(&sandbox, "data/5.csv"), set([&changed]));
    assert_eq!(takers(&sandbox, "data/3.csv"), set([&first, &hit, &other, &few, &changed]));
    let found = sandbox.prov(["--json", "impact", "data/3.csv"]).ok().json();
    let affected: BTreeSet<&str> =
        found["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert!(affected.contains(changed.id()) && affected.contains(other.id()), "{found:#}");
    // The same after the log was folded, its tables lost and made again.
    fold(&sandbox);
    let before = takers(&sandbox, "data/3.csv");
    assert_eq!(before.len(), 5);
    for table in std::fs::read_dir(sandbox.path(".prov/store/tables")).unwrap() {
        prov::fs::Fs::real().remove_file(&table.unwrap().path()).unwrap();
    }
    sandbox.prov(["fsck"]).ends(5);
    sandbox.prov(["fsck", "--repair"]).ok();
    assert_eq!(takers(&sandbox, "data/3.csv"), before);
    sum(&sandbox, "a").hits();
}

#[test]
fn lists_travel_with_their_runs() {
    let dir = shared();
    let remote = text(&dir.path().join("project"));
    let config = |sandbox: &Sandbox| {
        sandbox.file("prov.toml", "[project]\nname = 'demo'\n");
    };
    let a = Sandbox::new();
    config(&a);
    a.prov(["init", "-q"]).ok();
    lay(&a);
    let first = sum(&a, "a").misses();
    a.prov(["remote", "add", "origin", &remote]).ok();
    push(&a);
    let b = Sandbox::new();
    config(&b);
    said("clone", b.prov(["--json", "clone", &remote, "."]));
    lay(&b);
    assert_eq!(takers(&b, "data/3.csv"), set([&first]));
    let hit = sum(&b, "a").hits();
    assert_eq!(read(&b, "a.out"), read(&a, "a.out"));
    let other = sum(&b, "b").misses();
    push(&b);
    let small = said("fetch", a.prov(["--json", "fetch"]));
    assert_eq!(small["runs"], 2, "{small:#}");
    assert_eq!(takers(&a, "data/3.csv"), set([&first, &hit, &other]));
    assert_eq!(shown(&a, hit.id())["inputs"], shown(&b, hit.id())["inputs"]);
    for sandbox in [&a, &b] {
        sandbox.prov(["fsck"]).ok();
    }
    let there = Sandbox::new();
    there.prov(["init", "-q", "--store", &remote]).ok();
    there.prov(["fsck"]).ok();
}

#[test]
fn a_hit_brings_a_list_back_that_the_store_lost() {
    let sandbox = with_many();
    sum(&sandbox, "a").misses();
    fold(&sandbox);
    // Its record names the list that lies in a pack by now.
    let other = sum(&sandbox, "b").misses();
    for pack in std::fs::read_dir(sandbox.path(".prov/store/packs")).unwrap() {
        prov::fs::Fs::real().remove_file(&pack.unwrap().path()).unwrap();
    }
    // Parts of the store are lost for good, and every answer says so.
    let told = |run: &Ran| sandbox.prov(["--json", "show", run.id()]).ends(5);
    assert_eq!(told(&other).out(), "", "its inputs are lost with the packs");
    let hit = sum(&sandbox, "b").hits();
    let of_hit = told(&hit).json()["run"]["inputs"].clone();
    assert_eq!(of_hit.as_object().unwrap().len(), MANY);
    assert_eq!(told(&other).json()["run"]["inputs"], of_hit);
}

#[test]
fn a_killed_run_and_one_that_waits_are_on_record_with_all_inputs() {
    let sandbox = with_many();
    let gate = Gate::new(&sandbox, "a");
    let line = format!("{} cat data/*.csv > out", gate.line());
    let words = ["--json", "run", "--name", "victim", "-i", "data/*.csv", "-o", "out", "--", "sh", "-c", &line];
    let mut child = sandbox.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    gate.wait();
    // What only matters if prov is killed is written down while the command runs.
    let live = sandbox.path(".prov/live");
    let told = |draft: std::path::PathBuf| {
        std::fs::read(draft).is_ok_and(|bytes| bytes.windows(11).any(|part| part == b"data/79.csv"))
    };
    let is_drafted = || std::fs::read_dir(&live).unwrap().any(|run| told(run.unwrap().path().join("draft")));
    while !is_drafted() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let victim = shown(&sandbox, &newest(&sandbox, "victim"));
    assert_eq!((victim["status"].as_str(), victim["inputs"].as_object().unwrap().len()), (Some("aborted"), MANY));

    let tmp = ".prov/store/tmp";
    let line = format!("cat data/*.csv > w; mv {tmp} {tmp}.away; : > {tmp}");
    let ran = run(&sandbox, ["--name", "w", "-i", "data/*.csv", "-o", "w", "--code", "none", "--", "sh", "-c", &line]);
    assert_eq!(ran.json["published"], "waiting", "{}", ran.outcome);
    project::remove(&sandbox, tmp);
    project::rename(&sandbox, format!("{tmp}.away"), tmp);
    let first = sum(&sandbox, "h").misses();
    project::rename(&sandbox, tmp, format!("{tmp}.away"));
    sandbox.file(tmp, "");
    let hit = sum(&sandbox, "h").hits();
    assert_eq!(hit.json["published"], "waiting", "{}", hit.outcome);
    project::remove(&sandbox, tmp);
    project::rename(&sandbox, format!("{tmp}.away"), tmp);
    assert_eq!(shown(&sandbox, hit.id())["inputs"], shown(&sandbox, first.id())["inputs"]);

    let waited = shown(&sandbox, "w");
    assert_eq!((waited["run"].as_str(), waited["inputs"].as_object().unwrap().len()), (Some(ran.id()), MANY));
    assert_eq!(
        takers(&sandbox, "data/3.csv"),
        [victim["run"].as_str().unwrap(), ran.id(), first.id(), hit.id()].map(ToOwned::to_owned).into()
    );
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn rows_and_tasks_with_many_inputs_are_hits_that_tell_them() {
    let sandbox = with_many();
    let words = [
        "map",
        "--grid",
        "k=1,2,3",
        "-q",
        "--name",
        "row",
        "-i",
        "data/*.csv",
        "-o",
        "row-{row.k}.out",
        "--code",
        "none",
        "--",
        "sh",
        "-c",
        "cat data/*.csv > row-$1.out",
        "sh",
        "{row.k}",
    ];
    sandbox.prov(words).ok();
    assert_eq!(takers(&sandbox, "data/3.csv").len(), 3);
    let again = sandbox.prov([&["--json"][..], &words].concat()).ok().json();
    assert_eq!(again["counts"]["hit"], 3, "{again:#}");
    let names: Vec<String> = (0..MANY).map(|n| format!("data/{n}.csv")).collect();
    let task = format!(
        "{{name: all, run: 'cat data/*.csv > all.out', inputs: [{}], outputs: [all.out], code: [none]}}",
        names.join(", ")
    );
    sandbox.file("prov.yaml", format!("steps:\n  s:\n    - {task}\n"));
    sandbox.prov(["pipeline", "run"]).ok();
    let task = shown(&sandbox, &newest(&sandbox, "s/all"));
    assert_eq!(task["inputs"].as_object().unwrap().len(), MANY);
    sandbox.prov(["pipeline", "run"]).ok();
    assert_eq!(shown(&sandbox, &newest(&sandbox, "s/all"))["inputs"], task["inputs"]);
    sandbox.file("data/9.csv", "new\n");
    let again = sandbox.prov(["pipeline", "run"]).ok();
    assert!(again.out().contains("inputs.") || again.err().contains("inputs."), "{again}");
    assert!(read(&sandbox, "all.out").contains("new"));
    sandbox.prov(["fsck"]).ok();
}

//! Sweeps: one step for many rows.

use serde_json::Value;

use crate::project::{exists, project, read, remove};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

/// Draws numbers from a seed and a rate.
const DRAW: &str = "BEGIN { srand(seed); for (i = 0; i < 20; i++) sum += rand() * rate; printf \"seed,mean\\n%s,%.6f\\n\", seed, sum / 20 }\n";

#[track_caller]
fn map(sandbox: &Sandbox, words: &[&str], code: i32) -> Value {
    let outcome = sandbox.prov(["--json", "map"].iter().chain(words)).ends(code);
    let document = outcome.json();
    schema::assert_valid("map", &document);
    document
}

fn counts(document: &Value) -> [u64; 3] {
    ["success", "hit", "failure"].map(|end| document["counts"][end].as_u64().unwrap_or_default())
}

#[track_caller]
fn refused(sandbox: &Sandbox, words: &[&str]) -> String {
    let outcome: Outcome = sandbox.prov(std::iter::once(&"map").chain(words)).ends(2);
    outcome.err()
}

#[test]
fn a_monte_carlo_sweep_hits_under_another_scenario() {
    let sandbox = project();
    sandbox.file("draw.awk", DRAW);
    let words = [
        "--grid",
        "seed=1..120",
        "--grid",
        "rate=0.5,2",
        "--jobs",
        "4",
        "-o",
        "out/{row.rate}/{row.seed}.csv",
        "--",
        "sh",
        "-c",
        "awk -v seed={row.seed} -v rate={row.rate} -f draw.awk > {output.seed}",
    ];
    // Inside of a word nothing but columns is replaced, so the output is passed as a word of its own.
    let mut words: Vec<&str> = words[..words.len() - 1].to_vec();
    words.extend(["awk -v seed={row.seed} -v rate={row.rate} -f draw.awk > \"$1\"", "sh", "{output.seed}"]);
    let first = map(&sandbox, &words, 0);
    assert_eq!(counts(&first), [240, 0, 0], "{first:#}");
    assert_eq!(first["rows"].as_array().unwrap().len(), 240);
    assert_eq!(read(&sandbox, "out/0.5/7.csv").lines().next(), Some("seed,mean"));
    let again = map(&sandbox, &words, 0);
    assert_eq!(counts(&again), [0, 240, 0]);
    sandbox.prov(["scenario", "new", "policy"]).ok();
    let other = map(&sandbox, &words, 0);
    assert_eq!((counts(&other), other["scenario"].as_str()), ([0, 240, 0], Some("policy")));
    let log = sandbox.prov(["--json", "log", "policy", "--all", "-n", "1000"]).ok().json();
    schema::assert_valid("log", &log);
    assert_eq!(log["runs"].as_array().unwrap().len(), 241, "each row is on record there, and the sweep");
    let shown = sandbox.prov(["--json", "show", first["rows"][0]["run"].as_str().unwrap()]).ok().json();
    assert_eq!(shown["run"]["facets"]["seed"], 1);
    assert_eq!(shown["run"]["facets"]["rate"], 0.5);
    assert_eq!(shown["run"]["parent"], first["run"]);
}

#[test]
fn a_row_that_failed_is_listed_and_executed_alone_the_next_time() {
    let sandbox = project();
    sandbox.file("rows.csv", "id,word\na,one\nb,two\nc,three\n");
    sandbox.file(
        "do.sh",
        "echo ran >> log.txt\n[ \"$1\" != two ] || [ -e ready ] || { echo no two yet >&2; exit 3; }\necho $1 > $2\n",
    );
    let words = [
        "--rows",
        "rows.csv",
        "-o",
        "out/{row.id}.txt",
        "--jobs",
        "2",
        "--",
        "sh",
        "do.sh",
        "{row.word}",
        "{output.id}",
    ];
    let first = map(&sandbox, &words, 1);
    assert_eq!(counts(&first), [2, 0, 1]);
    let bad = &first["rows"][1];
    assert_eq!((bad["outcome"].as_str(), bad["exit_code"].as_i64()), (Some("failure"), Some(3)));
    assert_eq!((bad["last_line"].as_str(), bad["line"].as_u64()), (Some("no two yet"), Some(3)));
    sandbox.file("ready", "");
    let outcome = sandbox.prov(std::iter::once(&"map").chain(&words)).ok();
    assert!(outcome.err().contains("1 executed, 2 from the cache"), "{outcome}");
    assert!(outcome.out().contains("two") && outcome.out().contains("success"), "{outcome}");
    assert_eq!(read(&sandbox, "log.txt").lines().count(), 4);
    assert_eq!(read(&sandbox, "out/b.txt"), "two\n");
}

#[test]
fn what_makes_no_sense_is_told_before_anything_runs() {
    let sandbox = project();
    sandbox
        .file("rows.csv", "id,word\na,one\nb,two\n")
        .file("same.csv", "id\n1\n2\n1\n")
        .file("none.csv", "id\n")
        .file("empty.csv", "");
    let run = ["--", "sh", "-c", "echo > ran.txt"];
    let with = |words: &[&'static str]| [words, &run].concat();
    let text = refused(&sandbox, &with(&["--rows", "rows.csv", "-o", "out.txt"]));
    assert!(text.contains("line 2 writes `out.txt`, and line 3 writes it") && text.contains("{row.COLUMN}"), "{text}");
    let text = refused(&sandbox, &with(&["--rows", "rows.csv", "-o", "out/{row.wrod}.txt"]));
    assert!(text.contains("there is no column `wrod`") && text.contains("did you mean `word`?"), "{text}");
    let text = refused(&sandbox, &with(&["--rows", "same.csv", "-o", "{row.id}"]));
    assert!(text.contains("line 2 and line 4 say the same"), "{text}");
    assert!(refused(&sandbox, &with(&["--rows", "none.csv"])).contains("has no rows"));
    assert!(refused(&sandbox, &with(&["--rows", "empty.csv"])).contains("no header"));
    let text = refused(&sandbox, &with(&["--rows", "rows.csv", "--year", "{row.word}", "-o", "{row.id}"]));
    assert!(text.contains("--year in line 2: \"one\" is no whole number"), "{text}");
    let text = refused(&sandbox, &with(&["--rows", "rows.csv", "-o", "{row.id}", "-i", "x=b"]));
    assert!(text.contains("line 3 writes `b`, and line 2 reads it"), "{text}");
    let text = refused(&sandbox, &with(&["--grid", "id=1..3", "--rows", "rows.csv"]));
    assert!(text.contains("`id` is there twice"), "{text}");
    sandbox.prov(["map", "--rows", "gone.csv", "--", "true"]).ends(4);
    sandbox.prov(["map", "--grid", "a=1,2", "--scenario", "nowhere", "--", "true"]).ends(4);
    sandbox.prov(["run", "--year", "{row.x}", "--", "true"]).ends(125);
    assert!(!exists(&sandbox, "ran.txt"));
    assert_eq!(sandbox.prov(["log"]).out(), "");
}

#[test]
fn years_and_config_values_keep_their_kind() {
    let sandbox = project();
    sandbox.file("rows.jsonl", "{\"y\": 2030, \"p\": {\"rate\": 0.5}, \"zip\": \"01\"}\n{\"y\": 2040, \"p\": {\"rate\": 1.5}, \"zip\": \"02\"}\n");
    let words = [
        "--rows",
        "rows.jsonl",
        "--year",
        "{row.y}",
        "-S",
        "rate={row.p.rate}",
        "-S",
        "zip={row.zip}",
        "-o",
        "o=out/{row.y}.json",
        "--",
        "sh",
        "-c",
        "cp \"$PROV_CONFIG\" $PROV_OUTPUT_O",
    ];
    let dry = map(&sandbox, &[&["-n"], &words[..]].concat(), 0);
    assert_eq!(dry["counts"]["miss"], 2);
    let done = map(&sandbox, &words, 0);
    let config: Value = serde_json::from_str(&read(&sandbox, "out/2030.json")).unwrap();
    assert_eq!(config, serde_json::json!({"rate": 0.5, "zip": "01"}));
    let run = done["rows"][1]["run"].as_str().unwrap();
    // What `prov run` would do for the row is the same run.
    let outcome = sandbox.prov([
        "--json",
        "run",
        "--year",
        "2040",
        "-S",
        "rate=1.5",
        "-S",
        "zip='02'",
        "-o",
        "o=out/2040.json",
        "--",
        "sh",
        "-c",
        "cp \"$PROV_CONFIG\" $PROV_OUTPUT_O",
    ]);
    let hit = crate::project::Ran::of(outcome).hits();
    assert_eq!(hit.json["cache"]["source"], run);
}

#[test]
fn rows_are_told_as_they_end_and_a_failure_can_stop_the_rest() {
    let sandbox = project();
    let words =
        ["map", "--json-lines", "--fail-fast", "--jobs", "1", "--grid", "n=1..9", "--", "sh", "-c", "exit {row.n}"];
    let outcome = sandbox.prov(words).ends(1);
    let lines: Vec<Value> = outcome.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    schema::assert_valid("map-row", &lines[0]);
    schema::assert_valid("map", &lines[1]);
    assert_eq!((lines[0]["exit_code"].as_i64(), lines[1]["counts"]["not_run"].as_u64()), (Some(1), Some(8)));
}

#[test]
fn an_interrupt_ends_the_children_and_keeps_what_is_done() {
    let sandbox = project();
    let gate = crate::project::Gate::new(&sandbox, "g");
    sandbox.file("do.sh", format!("[ $1 = a ] && {{ echo > $2; exit; }}\n{}", gate.line()));
    let words = [
        "--json",
        "map",
        "--jobs",
        "1",
        "--grid",
        "n=a,b,c",
        "-o",
        "o={row.n}.txt",
        "--",
        "sh",
        "do.sh",
        "{row.n}",
        "{output.o}",
    ];
    let child = sandbox.command(words).spawn().unwrap();
    gate.wait();
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let outcome = sandbox.finished(child).ends(130);
    let document = outcome.json();
    schema::assert_valid("map", &document);
    let ends: Vec<&str> =
        document["rows"].as_array().unwrap().iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert_eq!(ends, ["success", "aborted", "not_run"], "{outcome}");
    assert_eq!(document["status"], "aborted");
    assert!(sandbox.prov(["fsck"]).ok().code == 0);
}

#[test]
fn what_a_row_brings_back_is_seen_by_the_rows_after_it() {
    let sandbox = project();
    let sweep = |seeds: &str| {
        let words = ["--grid", seeds, "--jobs", "1", "-o", "gen_{row.seed}.sh", "--", "sh", "-c"];
        let line = "echo $(ls gen_*.sh 2> gen.log | wc -l) > gen_{row.seed}.sh";
        map(&sandbox, &[words.as_slice(), &[line]].concat(), 0);
        let last = read(&sandbox, "gen_2.sh");
        for seed in ["gen_1.sh", "gen_2.sh"].into_iter().filter(|path| exists(&sandbox, path)) {
            remove(&sandbox, seed);
        }
        last
    };
    for _ in 0..3 {
        assert_eq!(sweep("seed=1..2"), "1\n");
    }
    assert_eq!(sweep("seed=2..2"), "0\n");
    for _ in 0..3 {
        assert_eq!(sweep("seed=1..2"), "1\n");
    }
}

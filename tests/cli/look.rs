//! `log`, `show`, `status`, `diff`, `lineage`, `id`, `cat`: looking at a history.

use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::json;

use crate::chain::{chain, clean, document, line};
use crate::sandbox::Sandbox;

/// What a command printed, with the random parts of run ids as `[TAIL]`.
fn printed(sandbox: &Sandbox, words: &[&str]) -> String {
    let document = sandbox.prov(["--json", "log", "--all"]).json();
    let mut text = sandbox.prov(words).to_string();
    for run in document["runs"].as_array().unwrap() {
        let tail = run["run"].as_str().unwrap().rsplit('-').next().unwrap();
        text = text.replace(&tail[..8], "[TAIL]");
    }
    text
}

#[test]
fn log_lists_runs_newest_first_and_folds_hits() {
    let sandbox = chain();
    clean(&sandbox, "0.5");
    clean(&sandbox, "0.5");
    assert_snapshot!(printed(&sandbox, &["log", "--oneline"]), @r"
    exit 0
    --- stdout
              (2 hits folded)
    [TAIL]  [TIME]  bad  failure miss, took [TOOK]
    [TAIL]  [TIME]  fit  success miss, took [TOOK]
    [TAIL]  [TIME]  clean  success miss, took [TOOK]
    [TAIL]  [TIME]  commit  success
    ");
    let all = document(&sandbox, "log", ["log", "--all"]);
    let steps: Vec<&str> = all["runs"].as_array().unwrap().iter().map(|run| run["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["clean", "clean", "bad", "fit", "clean", "commit"]);
    assert_eq!(all["runs"][0]["cache"], "hit");
    assert_eq!(all["next"], json!(null));
}

#[test]
fn log_is_filtered_and_goes_on_where_it_stopped() {
    let sandbox = chain();
    let steps = |words: &[&str]| -> Vec<String> {
        let document = sandbox.prov(["--json", "log"].iter().chain(words)).ok().json();
        let runs = document["runs"].as_array().unwrap().clone();
        runs.iter().map(|run| run["step"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(steps(&["--step", "fit", "--step", "clean"]), ["fit", "clean"]);
    assert_eq!(steps(&["--status", "failure"]), ["bad"]);
    assert_eq!(steps(&["--since", "2100-01-01"]), [""; 0]);
    assert_eq!(steps(&["--until", "2000-01-01"]), [""; 0]);
    assert_eq!(steps(&["--since", "1h", "-n", "1"]), ["bad"]);
    assert_eq!(steps(&["--git", "abcdef12"]), [""; 0]);
    assert_eq!(steps(&["main"]).len(), 4);
    let first = document(&sandbox, "log", ["log", "-n", "3"]);
    let next = first["next"].as_str().unwrap();
    assert_eq!(steps(&["--from", next]), ["commit"]);
    sandbox.prov(["log", "--git", "HEAD"]).ends(4);
    let unknown = sandbox.prov(["log", "nowhere"]).ends(4);
    assert!(unknown.err().contains("  main\n"), "{unknown}");
    sandbox.prov(["log", "--since", "yesterday"]).ends(2);
}

#[test]
fn log_with_a_closed_pipe_is_quiet() {
    let sandbox = chain();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = sandbox.command(["log"]);
    command.stdout(writer);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), &b""[..]));
}

#[test]
fn show_tells_all_of_a_run() {
    let sandbox = chain();
    let shown = document(&sandbox, "show", ["show", "fit"]);
    assert_eq!(shown["kind"], "run");
    let run = &shown["run"];
    assert_eq!(run["step"], "fit");
    assert_eq!(run["inputs"]["clean"]["linked_by"], "path");
    assert_eq!(run["inputs"]["clean"]["producer"]["key"], "clean");
    assert_eq!(run["outputs"]["models"]["path"], "models");
    assert_eq!(run["logs"]["stdout"]["size"], 7);
    assert_eq!(run["cache"]["reasons"][0]["kind"], "first_run");
    assert_eq!(run["recipe_parts"]["action"]["argv"][0], "sh");
    let text = sandbox.prov(["show", "bad"]).ends(4);
    assert!(
        text.err().contains("step `bad` has no success in scenario `main`"),
        "a step without success has no newest one: {text}"
    );
    let text = sandbox.prov(["show"]).ok().out();
    assert!(text.contains("status     failure in run (exit code 3)"), "{text}");
    assert!(text.contains("cache      miss: step first run: bad"), "{text}");
    let config = document(&sandbox, "show", ["show", "clean:@config"]);
    assert_eq!(config["object"]["body"], json!({"threshold": 0.5}));
    let artifact = document(&sandbox, "show", ["show", "fit:models"]);
    assert_eq!((&artifact["kind"], &artifact["object"]["role"]), (&json!("artifact"), &json!("output")));
    let path = document(&sandbox, "show", ["show", "./clean.csv"]);
    assert_eq!(path["object"]["matches"][0]["role"], "output");
}

#[test]
fn status_tells_what_is_out_of_date() {
    let sandbox = chain();
    assert_snapshot!(printed(&sandbox, &["status", "--exit-code"]), @r"
    exit 0
    --- stdout
    On scenario main

    Steps:
      fresh     clean  [TAIL]
      fresh     fit  [TAIL]

    Everything is up to date
    ");
    sandbox.file("raw.csv", "d\n");
    crate::project::remove(&sandbox, "models");
    assert_snapshot!(printed(&sandbox, &["status", "--exit-code"]), @r"
    exit 1
    --- stdout
    On scenario main

    Steps:
      stale     clean  [TAIL]
                inputs.raw changed: blob 4260b5f66046 -> blob 3f2446562e75
      missing   fit  [TAIL]
                outputs.models removed: not in the work tree

    Paths that are not as recorded:
      missing   models
      modified  raw.csv
    ");
    let document = document(&sandbox, "status", ["status"]);
    assert_eq!(document["steps"][0]["state"], "stale");
    assert_eq!(document["steps"][0]["reasons"][0]["part"], "inputs.raw");
    assert_eq!(document["steps"][1]["state"], "missing");
    assert_eq!(
        document["paths"],
        json!([
            {"path": "models", "state": "missing", "run": document["steps"][1]["run"]},
            {"path": "raw.csv", "state": "modified", "run": document["paths"][1]["run"]},
        ])
    );
}

#[test]
fn diff_names_the_parts_that_differ() {
    let sandbox = chain();
    clean(&sandbox, "0.7");
    assert_snapshot!(sandbox.prov(["diff", "clean~1", "clean"]), @r"
    exit 0
    --- stdout
    --- [RUN]
    +++ [RUN]
    config.threshold changed: 0.5 -> 0.7
    ");
    let document = document(&sandbox, "diff", ["diff", "clean~1", "clean"]);
    assert_eq!(document["parts"][0]["part"], "config.threshold");
    assert_eq!((&document["equal"], &document["outputs"]), (&json!(false), &json!([])));
    sandbox.prov(["diff", "--exit-code", "clean~1", "clean"]).ends(1);
    sandbox.prov(["diff", "--exit-code", "clean", "clean"]).ok();
    sandbox.prov(["diff", "clean:clean", "clean"]).ends(2);
}

#[test]
fn lineage_is_walked_both_ways_in_every_format() {
    let sandbox = chain();
    assert_snapshot!(printed(&sandbox, &["lineage", "models"]), @r"
    exit 0
    --- stdout
    models 61bda720b289
    └─ fit [[TAIL]]
       └─ clean.csv f2a0aad84bf0
          └─ clean [[TAIL]]
             └─ raw.csv 4260b5f66046
                └─ commit [[TAIL]]
    ");
    assert_snapshot!(printed(&sandbox, &["lineage", "--down", "raw.csv"]), @r"
    exit 0
    --- stdout
    raw.csv 4260b5f66046
    └─ clean [[TAIL]]
       └─ clean.csv f2a0aad84bf0
          └─ fit [[TAIL]]
             └─ models 61bda720b289
    ");
    assert_snapshot!(printed(&sandbox, &["lineage", "--depth", "1", "fit"]), @r"
    exit 0
    --- stdout
    fit [[TAIL]]
    └─ clean.csv f2a0aad84bf0
       └─ clean [[TAIL]]
    --- stderr
    there is more behind this; give a larger --depth
    ");
    let up = document(&sandbox, "lineage", ["lineage", "fit:models"]);
    assert_eq!((up["nodes"].as_array().unwrap().len(), up["edges"].as_array().unwrap().len()), (6, 5));
    let linked: Vec<_> = up["edges"].as_array().unwrap().iter().map(|edge| edge["linked_by"].clone()).collect();
    assert!(linked.contains(&json!("path")), "{linked:?}");
    assert_eq!(sandbox.prov(["lineage", "fit:models", "--format", "json"]).ok().json(), up);
    assert!(sandbox.prov(["lineage", "fit", "--format", "dot"]).ok().out().starts_with("digraph lineage {"));
    assert!(sandbox.prov(["lineage", "fit", "--format", "mermaid"]).ok().out().starts_with("flowchart LR\n"));
    // The bytes tell, wherever they lie.
    sandbox.file("../elsewhere.csv", "a\nb\nc\n");
    let outside = document(&sandbox, "lineage", ["lineage", "../elsewhere.csv"]);
    assert_eq!(outside["edges"][0]["linked_by"], "content", "{outside:#}");
    sandbox.file("unknown", "never seen\n");
    let nothing = sandbox.prov(["lineage", "unknown"]).ok();
    assert_eq!(nothing.err(), "no run on record made it\n");
}

#[test]
fn id_needs_content_alone() {
    let sandbox = chain();
    sandbox.file("../copy.bin", "a\nb\nc\n");
    let id = document(&sandbox, "id", ["id", "../copy.bin"]);
    let roles: Vec<_> = id["matches"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["output", "input"]);
    assert_eq!(id["matches"][0]["path"], "clean.csv");
    let several = document(&sandbox, "id", ["id", "raw.csv", "models"]);
    assert_eq!((&several["id"], several["items"].as_array().unwrap().len()), (&json!(null), 2));
    assert_eq!(several["items"][1]["type"], "tree");
    sandbox.prov(["id", "nothing"]).ends(4);
    // Outside of any project.
    let bare = Sandbox::new();
    bare.file("f", "hello");
    assert_snapshot!(bare.prov(["id", "f"]), @r"
    exit 0
    --- stdout
    [ID]  f
        blob of 5 B, no store here to look it up in
    ");
    assert_eq!(
        line(&bare, ["id", "f"]),
        "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f  f",
        "the id of a file is its BLAKE3"
    );
}

#[test]
fn cat_prints_bytes_as_they_are() {
    let sandbox = chain();
    assert_eq!(sandbox.prov(["cat", "clean"]).ok().out(), "a\nb\nc\n");
    assert_eq!(sandbox.prov(["cat", "clean:raw"]).ok().out(), "c\na\nb\n");
    assert_eq!(sandbox.prov(["cat", "clean:@config"]).ok().out(), "{\"threshold\": 0.5}\n");
    sandbox.prov(["cat", "fit"]).ends(2);
    let id = line(&sandbox, ["rev-parse", "clean:clean"]);
    assert_eq!(sandbox.prov(["cat", &id[..8]]).ok().out(), "a\nb\nc\n");
    assert_eq!(sandbox.prov(["cat-object", &id]).ok().out(), "a\nb\nc\n");
    assert_eq!(sandbox.prov(["cat-object", "-t", &id]).ok().out(), "blob\n");
    assert_eq!(sandbox.prov(["cat-object", "-s", &id]).ok().out(), "6\n");
    let record = document(&sandbox, "cat-object", ["cat-object", "fit"]);
    assert_eq!((&record["kind"], &record["body"]["step"]), (&json!("run"), &json!("fit")));
    assert_snapshot!(sandbox.prov(["ls-tree", "-r", "fit:models"]), @r"
    exit 0
    --- stdout
    file [ID]          6	a
    file [ID]          2	sub/b
    ");
    let tree = document(&sandbox, "ls-tree", ["ls-tree", "fit"]);
    assert_eq!(tree["entries"][1]["kind"], "tree");
    sandbox.prov(["run", "--name", "two", "-o", "p", "-o", "q", "--", "sh", "-c", "echo 1 > p; echo 2 > q"]).ok();
    let two = sandbox.prov(["cat", "two"]).ends(4);
    assert!(two.err().contains(":p\n") && two.err().contains(":q\n"), "{two}");
}

#[test]
fn what_was_only_hashed_says_so() {
    let sandbox = chain();
    sandbox
        .prov(["run", "--name", "big", "-o", "big", "--no-store", "big", "--", "sh", "-c", "echo only here > big"])
        .ok();
    let outcome = sandbox.prov(["cat", "big:big"]).ends(5);
    assert!(outcome.err().contains("only its hash was recorded"), "{outcome}");
}

#[test]
fn names_with_control_characters_are_escaped() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    let name = "evil\u{1b}[2J\n.csv";
    sandbox.file(name, "x\n");
    sandbox.prov(["commit", name, "-m", "m"]).ok();
    sandbox
        .prov([
            "run",
            "-m",
            "an\u{1b}other",
            "--tag",
            "t\u{1b}",
            "-i",
            &format!("in={name}"),
            "-o",
            "o",
            "--",
            "sh",
            "-c",
            "echo 1 > o",
        ])
        .ok();
    sandbox.file(name, "y\n");
    for words in [
        &["log"][..],
        &["log", "--oneline"],
        &["show", "@last"],
        &["status"],
        &["lineage", "o"],
        &["lineage", "o", "--format", "dot"],
        &["lineage", "o", "--format", "mermaid"],
        &["id", name],
        &["show", name],
        &["show", "no\u{1b}such"],
        &["diff", "@last", "@last"],
        &["why", "@last"],
    ] {
        let outcome = sandbox.prov(words);
        for text in [outcome.out(), outcome.err()] {
            assert!(!text.contains('\u{1b}'), "{words:?}\n{text:?}");
        }
    }
    let path = document(&sandbox, "show", ["show", name]);
    assert_eq!(path["object"]["path"], name);
}

//! What is said of outputs and expected of them; captures; the folder of a run; inputs that are missing.

use serde_json::json;

use crate::project::{Ran, exists, project, read, remove, run};
use crate::sandbox::Sandbox;
use crate::schema;

fn with_script(script: &str) -> Sandbox {
    let sandbox = project();
    sandbox.file("s.sh", script);
    sandbox
}

fn go(sandbox: &Sandbox, options: &[&str]) -> Ran {
    run(sandbox, options.iter().copied().chain(["--", "sh", "s.sh"]))
}

#[test]
fn formats_are_told_or_named() {
    let sandbox = with_script(
        "echo a,b > t.csv; printf PAR1x > data.bin; echo '{}' > x; mkdir z s; echo > z/.zgroup; echo > s/1.csv; echo > s/2.csv; echo > odd.csv.gz",
    );
    let made = go(
        &sandbox,
        &[
            "-o",
            "t.csv",
            "-o",
            "data.bin",
            "-o",
            "x",
            "-o",
            "z",
            "-o",
            "odd.csv.gz",
            "--output-set",
            "s=s:*",
            "--format",
            "x=json",
        ],
    )
    .misses();
    let format = |key: &str| made.json["outputs"][key]["format"].clone();
    assert_eq!(
        ["t", "data", "x", "z", "s", "odd"].map(format),
        [json!("csv"), json!("parquet"), json!("json"), json!("zarr"), json!("csv"), json!(null)]
    );
    let shown = sandbox.prov(["show", "@last"]).ok().out();
    assert!(shown.contains("format parquet"), "{shown}");
}

#[test]
fn an_output_that_is_not_what_is_expected_fails_warns_or_is_ignored() {
    let sandbox = with_script("echo x > t.parquet");
    let words = ["-o", "t.parquet", "--format", "t=parquet"];
    let failed = go(&sandbox, &words);
    assert_eq!((failed.status(), failed.outcome.code), ("failure", 1));
    assert_eq!(
        (&failed.json["error"]["type"], &failed.json["failed_in"]),
        (&json!("output_mismatch"), &json!("validation"))
    );
    let warned = go(&sandbox, &[&words[..], &["--on-mismatch", "warn"]].concat()).misses();
    assert!(warned.json["warnings"][0].as_str().unwrap().contains("parquet"), "{}", warned.json["warnings"]);
    // Whoever asks for more does not get that result.
    let again = go(&sandbox, &["-o", "t.parquet", "--output-hash", &format!("t={}", "0".repeat(64))]);
    assert_eq!((again.status(), again.cache()), ("failure", "miss"));
    assert_eq!(again.parts(), ["outputs"]);
    go(&sandbox, &["-o", "t.parquet"]).hits();
    let id = sandbox.prov(["id", "t.parquet"]).ok().out().split_whitespace().next().unwrap().to_owned();
    go(&sandbox, &["-o", "t.parquet", "--output-hash", &format!("t={id}")]).hits();
    sandbox.prov(["run", "-o", "t.parquet", "--output-hash", "t=12", "--", "sh", "s.sh"]).ends(125);
    sandbox.prov(["run", "-o", "t.parquet", "--format", "u=csv", "--", "sh", "s.sh"]).ends(125);
}

#[test]
fn a_set_has_the_expected_members() {
    let sandbox = with_script("mkdir -p o; for y in 2020 2021; do echo $y > o/a_$y.csv; done");
    let with = |options: &[&str]| go(&sandbox, &[&["--output-set", "a=o:a_{year:int}.csv"], options].concat());
    with(&["--expect", "a=2", "--expect", "a=1..5", "--expect", "a=a_2020.csv", "--expect", "a=year=2020,2021"])
        .misses();
    with(&["--expect", "a=2"]).hits();
    with(&["--expect", "a=year=2020..2021"]).hits();
    // A known result that is not as expected is made again, and found wanting.
    for bad in ["a=3", "a=3..", "a=a_2022.csv", "a=year=2020", "a=year=2020..2022"] {
        let failed = with(&["--expect", bad]);
        assert_eq!((failed.status(), failed.cache()), ("failure", "miss"), "{bad}");
        assert_eq!(failed.json["error"]["type"], "output_mismatch", "{bad}");
    }
    for wrong in ["a=what", "a=month=1", "b=1", "a={set.none}"] {
        let words = ["run", "--output-set", "a=o:a_{year:int}.csv", "--expect", wrong, "--", "sh", "s.sh"];
        sandbox.prov(words).ends(125);
    }
    sandbox.file("c.yaml", "years: [2020, 2021]\nn: 2\n");
    with(&["--config", "c.yaml", "--expect", "a={set.years}", "--expect", "a={set.n}"]).misses();
}

#[test]
fn a_name_that_contradicts_itself_is_a_mismatch() {
    let sandbox = with_script("mkdir -p o/2020; echo > o/2020/a_2021.csv");
    let words = ["--output-set", "a=o:{y:int}/a_{y:int}.csv"];
    let failed = go(&sandbox, &words);
    assert!(failed.json["error"]["message"].as_str().unwrap().contains("2020 and 2021"), "{}", failed.json["error"]);
    go(&sandbox, &[&words[..], &["--on-mismatch", "ignore"]].concat()).misses();
}

#[test]
fn facets_and_metrics_are_said_or_read_and_never_part_of_the_recipe() {
    let sandbox = with_script("echo '{\"auc\": 0.9, \"by\": {\"n\": 3, \"name\": \"x\"}}' > m.json");
    let made = go(
        &sandbox,
        &[
            "-o",
            "m.json",
            "-S",
            "model.kind=tree",
            "--facet",
            "region=north",
            "--facet-from",
            "config.model.kind",
            "--metrics-from",
            "m",
            "--output-facet",
            "m:split=test",
            "--output-meta",
            "m:note=hi",
            "--schema",
            "m=scores@1",
        ],
    )
    .misses();
    assert_eq!(made.json["metrics"], json!({"auc": 0.9, "by.n": 3}));
    assert_eq!(made.json["facets"], json!({"model.kind": "tree", "region": "north"}));
    assert_eq!(made.json["outputs"]["m"]["facets"], json!({"split": "test"}));
    assert_eq!(made.json["outputs"]["m"]["meta"], json!({"note": "hi", "schema": "scores@1"}));
    let hit = go(
        &sandbox,
        &["-o", "m.json", "-S", "model.kind=tree", "--facet-from", "m", "--output-facet", "m:split=train"],
    )
    .hits();
    assert_eq!(hit.json["outputs"]["m"]["facets"], json!({"split": "train"}));
    assert_eq!(hit.json["facets"]["auc"], json!(0.9));
    let unread = go(&sandbox, &["-o", "m.json", "-S", "model.kind=tree", "--metrics-from", "none"]).hits();
    assert_eq!(unread.json["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_capture_takes_what_the_command_made_and_nothing_else() {
    let sandbox =
        with_script("mkdir -p out/sub; echo new > out/new.txt; echo deep > out/sub/deep.txt; cat p > /dev/null");
    sandbox.file("out/mine.txt", "mine").file("p", "1");
    let made = go(&sandbox, &["-i", "p", "--capture", "out"]).misses();
    let members = |ran: &Ran| -> Vec<String> {
        let all = ran.json["outputs"]["out"]["members"].as_array().unwrap();
        all.iter().map(|member| member["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(members(&made), ["new.txt", "sub/deep.txt"]);
    assert!(made.json["sealed"].as_bool().unwrap(), "{}", made.json["unsealed"]);
    remove(&sandbox, "out/sub");
    sandbox.file("out/new.txt", "edited");
    let hit = go(&sandbox, &["-i", "p", "--capture", "out"]).hits();
    assert_eq!(hit.action("out"), "restored");
    assert_eq!(
        (read(&sandbox, "out/new.txt"), read(&sandbox, "out/mine.txt")),
        ("new\n".to_owned(), "mine".to_owned())
    );
    assert!(exists(&sandbox, "out/sub/deep.txt"));
    sandbox.prov(["status", "--exit-code"]).ok();
    // Only what lies in the folder itself.
    let flat = go(&sandbox, &["-i", "p", "--capture", "out=out:*"]).misses();
    assert_eq!(members(&flat), ["new.txt"]);
}

#[test]
fn what_an_earlier_run_of_the_step_left_is_not_captured_again() {
    let sandbox = with_script("mkdir -p out; echo x >> out/$(cat p).log");
    sandbox.file("p", "a");
    go(&sandbox, &["-i", "p", "--capture", "out"]).misses();
    sandbox.file("p", "b");
    let second = go(&sandbox, &["-i", "p", "--capture", "out"]).misses();
    assert_eq!(second.json["outputs"]["out"]["members"].as_array().unwrap().len(), 1);
    assert!(!exists(&sandbox, "out/a.log"), "it was stored, then removed");
    sandbox.file("p", "a");
    go(&sandbox, &["-i", "p", "--capture", "out"]).hits();
    assert_eq!(read(&sandbox, "out/a.log"), "x\n");
    assert!(!exists(&sandbox, "out/b.log"));
    // Executed again it begins from nothing, so that what it appends to is not its own old output.
    run(&sandbox, ["-f", "-i", "p", "--capture", "out", "--", "sh", "s.sh"]);
    assert_eq!(read(&sandbox, "out/a.log"), "x\n");
}

#[test]
fn a_capture_that_changes_what_was_there_is_recorded_and_never_a_hit() {
    let sandbox = with_script("echo more >> out/mine.txt");
    sandbox.file("out/mine.txt", "mine\n");
    let made = go(&sandbox, &["--capture", "out:*.txt"]);
    assert_eq!(made.json["outputs"]["out"]["members"][0]["path"], "mine.txt");
    assert!(!made.json["sealed"].as_bool().unwrap());
    assert_eq!(go(&sandbox, &["--capture", "out:*.txt"]).cache(), "miss");
    sandbox.prov(["run", "-i", "out", "--capture", "out", "--", "sh", "s.sh"]).ends(125);
}

#[test]
fn a_run_has_a_folder_of_its_own() {
    let sandbox = with_script("echo model > \"$PROV_OUTPUT_DIR/model.txt\"");
    let words = ["--name", "fit", "--cache", "reuse"];
    let made = go(&sandbox, &words).misses();
    assert_eq!(made.json["outputs"]["dir"]["path"], ".prov/outputs/fit");
    assert_eq!(read(&sandbox, ".prov/outputs/fit/model.txt"), "model\n");
    assert_eq!(sandbox.live_runs(), [""; 0]);
    remove(&sandbox, ".prov/outputs/fit");
    let hit = go(&sandbox, &words).hits();
    assert_eq!(hit.action("dir"), "restored");
    assert_eq!(read(&sandbox, ".prov/outputs/fit/model.txt"), "model\n");
    sandbox.prov(["restore", "fit:dir", "--to", "here"]).ok();
    assert_eq!(read(&sandbox, "here/model.txt"), "model\n");
    remove(&sandbox, ".prov/outputs/fit");
    sandbox.prov(["restore", "fit"]).ok();
    assert!(exists(&sandbox, ".prov/outputs/fit/model.txt"));
    // Declared, it lies where the user says.
    let own = go(&sandbox, &["-o", "dir=mine", "--in-place", "dir"]);
    assert_eq!(own.json["error"]["type"], "exit", "the folder is the user's to make");
    // One that nothing was put into is no output.
    sandbox.file("t.sh", "test -d \"$PROV_OUTPUT_DIR\"");
    let none = run(&sandbox, ["--", "sh", "t.sh"]);
    assert_eq!((none.status(), &none.json["outputs"]), ("success", &json!({})));
}

#[test]
fn a_missing_input_is_brought_back_where_that_is_said() {
    let sandbox = with_script("cat mid > out");
    sandbox.file("first.sh", "echo mid > mid");
    run(&sandbox, ["-o", "mid", "--", "sh", "first.sh"]).misses();
    remove(&sandbox, "mid");
    let refused = sandbox.prov(["run", "-i", "mid", "-o", "out", "--", "sh", "s.sh"]).ends(125);
    assert!(refused.err().contains("--inputs-missing restore"), "{}", refused.err());
    let words = ["-i", "mid", "--inputs-missing", "restore", "-o", "out"];
    let made = go(&sandbox, &words).misses();
    assert!(made.json["inputs"]["mid"]["producer"].is_object());
    assert_eq!((read(&sandbox, "mid"), read(&sandbox, "out")), ("mid\n".to_owned(), "mid\n".to_owned()));
    // For a hit it need not be there.
    remove(&sandbox, "mid");
    go(&sandbox, &words).hits();
    assert!(!exists(&sandbox, "mid"));
}

#[test]
fn what_a_hit_restores_can_be_set_for_the_project() {
    let sandbox = with_script("echo > o");
    go(&sandbox, &["-o", "o"]).misses();
    remove(&sandbox, "o");
    sandbox.file("prov.toml", "[cache]\nrestore = \"metadata\"\n");
    go(&sandbox, &["-o", "o"]).hits();
    assert!(!exists(&sandbox, "o"));
    go(&sandbox, &["-o", "o", "--restore", "outputs"]).hits();
    assert!(exists(&sandbox, "o"));
}

#[test]
fn outputs_are_restored_together_or_not_at_all() {
    let sandbox = with_script("echo a > a; echo b > b; mkdir c; echo c > c/c");
    go(&sandbox, &["-o", "a", "-o", "b", "-o", "c"]).misses();
    for path in ["a", "b", "c"] {
        remove(&sandbox, path);
    }
    sandbox.file("b", "unknown");
    let refused = sandbox.prov(["--json", "restore", "@last"]).ends(7).json();
    schema::assert_valid("restore", &refused);
    let results: Vec<_> = refused["items"].as_array().unwrap().iter().map(|item| item["result"].clone()).collect();
    assert_eq!(results, [json!("skipped"), json!("refused"), json!("skipped")]);
    assert!(!exists(&sandbox, "a") && !exists(&sandbox, "c"));
    // Chosen ones, each to a path of its own.
    sandbox.prov(["restore", "@last", "--to", "a=x/one", "--to", "c=two"]).ok();
    assert_eq!((read(&sandbox, "x/one"), read(&sandbox, "two/c")), ("a\n".to_owned(), "c\n".to_owned()));
    sandbox.prov(["restore", "@last", "--to", "a=x", "--to", "none=y"]).ends(2);
    sandbox.prov(["restore", "@last:a", "--to", "named"]).ok();
    assert_eq!(read(&sandbox, "named"), "a\n");
    sandbox.prov(["restore", "@last:a", "--to", "x"]).ok();
    assert_eq!(read(&sandbox, "x/a"), "a\n", "below a folder that is there");
}

#[test]
fn outputs_that_lie_in_each_other_are_cleared_and_made_again() {
    let sandbox = project();
    let pairs: [(&[&str], &str); 3] = [
        (&["-o", "all=d", "-o", "one=d/a.csv"], "mkdir -p d; echo $1 > d/a.csv; echo 3 > d/b.csv"),
        (&["-o", "one=d/a.csv", "-o", "all=d"], "mkdir -p d; echo $1 > d/a.csv; echo 3 > d/b.csv"),
        (&["--output-set", "all=d:*.csv", "--output-set", "one=d:a*"], "echo $1 > d/a.csv; echo 3 > d/b.csv"),
    ];
    for (at, (outputs, script)) in pairs.into_iter().enumerate() {
        let step = format!("s{at}");
        let go = |n: &str| {
            let set = format!("n={n}");
            let words = ["--name", &step, "-S", &set, "--", "sh", "-c", script, "sh", "{set.n}"];
            run(&sandbox, [outputs, &words].concat())
        };
        // Nobody knows these yet.
        sandbox.file("d/a.csv", format!("mine {at}\n")).file("d/a2.csv", format!("mine as well {at}\n"));
        let first = go("1").misses();
        let kept: Vec<&str> =
            first.json["displaced"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert!(
            !kept.is_empty() && kept.iter().all(|id| sandbox.prov(["cat-object", id]).code == 0),
            "{}",
            first.outcome
        );
        go("2").misses();
        assert_eq!(read(&sandbox, "d/a.csv"), "2\n");
        sandbox.file("d/a2.csv", "more\n");
        go("1").hits();
        assert_eq!((read(&sandbox, "d/a.csv").as_str(), exists(&sandbox, "d/a2.csv")), ("1\n", false), "{outputs:?}");
        remove(&sandbox, "d");
        go("2").hits();
        assert_eq!((read(&sandbox, "d/a.csv").as_str(), read(&sandbox, "d/b.csv").as_str()), ("2\n", "3\n"));
        remove(&sandbox, "d");
    }
}

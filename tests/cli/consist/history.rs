//! What is on record stays on record, tells what really happened, and can be asked.

use serde_json::json;

use crate::project::{project, run};
use crate::schema;

#[test]
fn no_run_takes_the_place_of_another_whatever_it_is_called() {
    let sandbox = project();
    let words = |n: &str| {
        let words = ["--name", "s", "--run-name", "best", "-S", &format!("n={n}"), "-o", "out", "--", "sh", "-c"];
        words.iter().map(|&word| word.to_owned()).chain(["echo 1 > out".to_owned()]).collect::<Vec<_>>()
    };
    let first = run(&sandbox, words("1")).misses();
    let refused = sandbox.prov([vec!["run".to_owned()], words("2")].concat()).ends(125);
    assert!(refused.err().contains("the name `best` belongs to run"), "{refused}");
    assert_eq!(sandbox.prov(["rev-parse", "best"]).ok().out().trim(), first.id());
    // The same thing again, without the name, is a run of its own too.
    let unnamed = |words: Vec<String>| words.into_iter().filter(|word| word != "--run-name" && word != "best");
    for _ in 0..3 {
        assert_ne!(run(&sandbox, unnamed(words("1"))).hits().id(), first.id());
    }
    let log = sandbox.prov(["--json", "log", "--all"]).ok().json();
    let ids: std::collections::BTreeSet<_> =
        log["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert!(ids.len() == 4 && ids.contains(first.id()), "{log:#}");
}

#[test]
fn a_mistyped_mode_is_refused_and_not_taken_for_another() {
    let sandbox = project();
    for words in [
        &["--cache", "auto"][..],
        &["--cache", "over-write"],
        &["--validate", "eager"],
        &["--restore", "all"],
        &["--on-missing", "raise"],
        &["--config-identity", "hash"],
    ] {
        let outcome = sandbox.prov([&["run"], words, &["-o", "out", "--", "touch", "out"]].concat()).ends(125);
        assert!(outcome.err().contains(words[1]) && outcome.err().contains(words[0]), "{outcome}");
    }
    let outcome = sandbox.prov(["run", "-o", "out", "--chache", "off", "--", "touch", "out"]).ends(125);
    assert!(outcome.err().contains("--cache"), "{outcome}");
    let outcome = sandbox.outcome({
        let mut command = sandbox.command(["run", "-o", "out", "--", "touch", "out"]);
        command.env("PROV_CACHE", "auto");
        command
    });
    assert!(outcome.code == 125 && outcome.err().contains("PROV_CACHE"), "{outcome}");
    sandbox.file("prov.toml", "[steps.s]\ncommand = \"touch out\"\noutput = \"out\"\ncache = \"auto\"\n");
    let outcome = sandbox.prov(["run", "s"]).ends(125);
    assert!(outcome.err().contains("prov.toml:4"), "{outcome}");
    sandbox.file("prov.toml", "");
    assert_eq!(sandbox.prov(["log", "--all"]).ok().out(), "", "nothing was executed");
}

#[test]
fn a_damaged_record_is_an_error_and_not_an_empty_answer() {
    let sandbox = project();
    for n in 0..3 {
        run(&sandbox, ["--name", "s", "-S", &format!("n={n}"), "-o", "out", "--", "sh", "-c", "echo 1 > out"]).misses();
    }
    let log = sandbox.path(".prov/store/log");
    for entry in std::fs::read_dir(log).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        prov::fs::Fs::real().replace(&path, &bytes, false).unwrap();
    }
    for words in [&["log"][..], &["status"], &["show", "@last"], &["cat", "s:out"], &["lineage", "out"], &["fsck"]] {
        let outcome = sandbox.prov(words).ends(5);
        assert!(format!("{}{}", outcome.out(), outcome.err()).contains("log/0000"), "{words:?}: {outcome}");
    }
    // What can't be looked for is not taken for absent.
    let words = ["run", "--input-optional", "last=s:out", "-o", "new", "--code", "none", "--", "touch", "new"];
    sandbox.prov(words).ends(125);
    let words = ["run", "--input-optional", "last=none.csv", "-o", "new", "--code", "none", "--", "touch", "new"];
    sandbox.prov(words).ok();
}

#[test]
fn what_a_run_read_is_lineage_and_no_parent_and_no_scenario() {
    let sandbox = project();
    run(&sandbox, ["--name", "a", "-o", "mid", "--", "sh", "-c", "echo 1 > mid"]).misses();
    let ran = run(&sandbox, ["--name", "b", "-i", "mid", "-o", "end", "--", "cp", "mid", "end"]).misses();
    assert!(ran.json["parent"].is_null(), "{:#}", ran.json["parent"]);
    assert_eq!(ran.json["inputs"]["mid"]["linked_by"], "path");
    let scenarios = sandbox.prov(["--json", "scenario", "list"]).ok().json();
    let names: Vec<&str> =
        scenarios["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["main"]);
}

#[test]
fn two_runs_are_compared_by_all_that_made_them() {
    let sandbox = project();
    sandbox.file("in", "1\n").file("s.sh", "cat in > out; echo $N >> out\n");
    let go = |n: &str| {
        let (set, env) = (format!("deep.n={n}"), format!("N={n}"));
        run(&sandbox, ["--name", "s", "-i", "in", "-S", &set, "--env", &env, "-o", "out", "--", "sh", "s.sh"])
    };
    let first = go("1").misses();
    sandbox.file("in", "2\n").file("s.sh", "cat in in > out; echo $N >> out\n");
    let second = go("2").misses();
    let diff = sandbox.prov(["--json", "diff", first.id(), second.id()]).ok().json();
    schema::assert_valid("diff", &diff);
    let parts: Vec<&str> = diff["parts"].as_array().unwrap().iter().map(|one| one["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["code.s.sh", "config.deep.n", "inputs.in", "env.N"]);
    assert_eq!(diff["outputs"].as_array().unwrap().len(), 1, "{diff:#}");
}

#[test]
fn a_long_chain_is_walked_both_ways_and_printed_to_its_end() {
    const STEPS: usize = 60;
    let sandbox = project();
    sandbox.file("o0", "0\n");
    for n in 1..=STEPS {
        let (from, to) = (format!("o{}", n - 1), format!("o{n}"));
        let script = format!("cat {from} > {to}; echo {n} >> {to}");
        let words = [
            "-q",
            "run",
            "--name",
            &format!("s{n}"),
            "-i",
            &from,
            "-o",
            &to,
            "--code",
            "none",
            "--",
            "sh",
            "-c",
            &script,
        ];
        sandbox.prov(words).ok();
    }
    let last = format!("o{STEPS}");
    for (rev, way, end) in [(&*last, "--up", "o0 "), ("o0", "--down", &*format!("{last} "))] {
        let text = sandbox.prov(["lineage", way, rev]).ok().out();
        assert_eq!(text.lines().count(), 2 * STEPS + 1, "{text}");
        assert!(text.lines().last().unwrap().contains(end), "{text}");
        let document = sandbox.prov(["--json", "lineage", way, rev]).ok().json();
        schema::assert_valid("lineage", &document);
        assert_eq!(document["edges"].as_array().unwrap().len(), 2 * STEPS);
    }
}

#[test]
fn a_failure_is_on_record_with_what_it_wrote_and_what_it_said() {
    let sandbox = project();
    let words = ["--name", "f", "-o", "out", "--", "sh", "-c", "echo half > out; echo why >&2; exit 3"];
    let ran = run(&sandbox, words);
    assert_eq!((ran.outcome.code, ran.status()), (3, "failure"));
    let shown = sandbox.prov(["--json", "show", ran.id()]).ok().json();
    assert_eq!((&shown["run"]["status"], &shown["run"]["exit_code"]), (&json!("failure"), &json!(3)), "{shown:#}");
    assert!(shown["run"]["finished_at"].is_string());
    let again = run(&sandbox, words);
    assert_eq!((again.cache(), &again.json["cache"]["reasons"][0]["kind"]), ("miss", &json!("failed")));
    assert!(again.outcome.err().contains("failed before") || again.outcome.err().contains("why"), "{}", again.outcome);
    assert_ne!(again.json["run"], ran.json["run"]);
}

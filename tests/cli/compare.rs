//! Loops, and two scenarios beside each other.

use serde_json::Value;

use crate::project::{project, run};
use crate::sandbox::Sandbox;
use crate::schema;

/// The five steps of an iteration; each reads what the one before made.
const STEPS: [&str; 5] = ["demand", "mode", "assign", "skim", "report"];

/// Does iterations 1 to `last`, step by step; returns how many runs were executed.
fn iterate(sandbox: &Sandbox, last: usize) -> u64 {
    let mut executed = 0;
    for (nth, step) in STEPS.iter().enumerate() {
        let input =
            if nth == 0 { "in=seed.txt".to_owned() } else { format!("in=out/{{row.i}}_{}.txt", STEPS[nth - 1]) };
        let (output, grid) = (format!("out=out/{{row.i}}_{step}.txt"), format!("i=1..{last}"));
        // A digest in miniature: what comes out depends on what went in, on the step and on the iteration.
        let command = format!("{{ echo {step} $2; cat \"$0\"; }} | cksum > \"$1\"");
        let words = [
            "--json",
            "map",
            "--name",
            step,
            "--grid",
            &grid,
            "--iteration",
            "{row.i}",
            "--code",
            "none",
            "-i",
            &input,
            "-o",
            &output,
            "--",
            "sh",
            "-c",
            &command,
            "{input.in}",
            "{output.out}",
            "{row.i}",
        ];
        executed += sandbox.prov(words).ok().json()["counts"]["success"].as_u64().unwrap();
    }
    executed
}

#[test]
fn a_loop_that_is_extended_executes_only_what_is_new() {
    let sandbox = project();
    sandbox.file("seed.txt", "1\n");
    assert_eq!(iterate(&sandbox, 10), 50);
    assert_eq!(iterate(&sandbox, 15), 25);
}

#[test]
fn an_iteration_that_reads_the_one_before_hits_as_long_as_that_is_the_same() {
    let sandbox = project();
    sandbox.file("out/0.txt", "1\n");
    let go = |last: usize| {
        let one = |i: usize| {
            let (input, output, iteration) =
                (format!("in=out/{}.txt", i - 1), format!("out=out/{i}.txt"), i.to_string());
            let words =
                ["--name", "next", "--iteration", &iteration, "--code", "none", "-i", &input, "-o", &output, "--"];
            let command = ["sh", "-c", "cksum < \"$0\" > \"$1\"", "{input.in}", "{output.out}"];
            usize::from(run(&sandbox, [&words[..], &command].concat()).cache() != "hit")
        };
        (1..=last).map(one).sum::<usize>()
    };
    assert_eq!((go(3), go(5)), (3, 2));
}

#[test]
fn baseline_and_policy_are_aligned_by_iteration() {
    let sandbox = project();
    sandbox.file("seed.txt", "1\n");
    sandbox.prov(["scenario", "new", "baseline"]).ok();
    let one = |iteration: usize, fare: &str| {
        let words = [
            "run",
            "--name",
            "mode",
            "--iteration",
            &iteration.to_string(),
            "--code",
            "none",
            "-i",
            "seed.txt",
            "-S",
            &format!("fare={fare}"),
            "-o",
            &format!("out=out/{fare}_{iteration}.json"),
            "--metrics-from",
            "out",
            "--",
            "sh",
            "-c",
            &format!("echo '{{\"trips\": {iteration}{fare}}}' > \"$0\""),
            "{output.out}",
        ]
        .map(str::to_owned);
        sandbox.prov(words).ok();
    };
    for iteration in 1..=4 {
        one(iteration, "1");
    }
    sandbox.prov(["scenario", "fork", "policy"]).ok();
    for iteration in 2..=5 {
        one(iteration, "2");
    }
    let compare = |words: &[&str], code: i32| {
        let outcome = sandbox.prov(["--json", "compare", "baseline", "policy"].iter().chain(words)).ends(code);
        if code < 2 {
            schema::assert_valid("compare", &outcome.json());
        }
        outcome
    };
    let found = compare(&["--on", "iteration", "--step", "mode", "--exit-code"], 1).json();
    let rows = found["rows"].as_array().unwrap();
    let iterations: Vec<&Value> = rows.iter().map(|row| &row["values"]["iteration"]).collect();
    assert_eq!(iterations, [2, 3, 4]);
    for row in rows {
        let parts: Vec<&str> =
            row["changed"].as_array().unwrap().iter().map(|one| one["part"].as_str().unwrap()).collect();
        assert!(
            parts.contains(&"config.fare")
                && parts.iter().all(|part| *part == "config.fare" || part.starts_with("action.argv")),
            "{row:#}"
        );
        assert_eq!(
            (row["changed"][parts.len() - 1]["before"].as_str(), row["changed"][parts.len() - 1]["after"].as_str()),
            (Some("1"), Some("2"))
        );
    }
    assert_eq!(rows[0]["metrics"]["trips"], serde_json::json!({"a": 21, "b": 22}));
    assert_eq!((found["only_a"].as_array().unwrap().len(), found["only_b"].as_array().unwrap().len()), (1, 1));
    // Once more is no other result, unless it is one.
    one(3, "2");
    compare(&["--on", "iteration"], 0);
    one(3, "7");
    let outcome = compare(&["--on", "iteration"], 4);
    assert!(outcome.err().contains("more than one result with iteration 3"), "{outcome}");
    assert_eq!(
        compare(&["--on", "iteration", "--latest"], 0).json()["rows"][1]["changed"].as_array().unwrap().last().unwrap()
            ["after"],
        "7"
    );
    let outcome = compare(&["--on", "itertion"], 2);
    assert!(outcome.err().contains("did you mean `iteration`?"), "{outcome}");
}

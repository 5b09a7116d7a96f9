//! What was retracted is never a hit again, what failed is remembered, and what gives other bytes is told.

use serde_json::Value;

use crate::project::{RUN_COPY, project, read, remove, run, why, with_copy};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

fn copy(sandbox: &Sandbox) -> crate::project::Ran {
    run(sandbox, RUN_COPY[1..].iter().copied().chain(["out.txt"]))
}

fn document(what: &str, outcome: Outcome) -> Value {
    let document = outcome.ok().json();
    schema::assert_valid(what, &document);
    document
}

fn logged(sandbox: &Sandbox, words: &[&str]) -> Vec<Value> {
    let document = document("log", sandbox.prov(["--json", "log"].iter().chain(words)));
    document["runs"].as_array().unwrap().clone()
}

#[test]
fn a_retracted_outcome_is_no_hit_until_that_is_taken_back() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    copy(&sandbox).hits();
    let said = document("retract", sandbox.prov(["--json", "retract", first.id(), "-m", "broken sensor"]));
    assert_eq!((&said["items"][0]["on"], &said["items"][0]["changed"]), (&true.into(), &true.into()));
    let plan =
        document("plan", sandbox.prov(["--json", "plan", "run"].iter().chain(&RUN_COPY[1..]).chain(&["out.txt"])));
    assert_eq!((&plan["outcome"], &plan["reasons"][0]["kind"]), (&"miss".into(), &"retracted".into()));
    assert_eq!(plan["reasons"][0]["after"], "broken sensor");
    let status = document("status", sandbox.prov(["--json", "status"]));
    assert_eq!(status["steps"][0]["state"], "stale");
    let shown = document("show", sandbox.prov(["--json", "show", first.id()]));
    assert_eq!(shown["run"]["retracted"]["why"], "broken sensor");

    document("retract", sandbox.prov(["--json", "retract", first.id(), "--undo"]));
    assert_eq!(copy(&sandbox).hits().json["cache"]["source"], first.json["run"]);

    sandbox.prov(["retract", first.id()]).ok();
    let again = copy(&sandbox).misses();
    assert_eq!(copy(&sandbox).hits().json["cache"]["source"], again.json["run"]);
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn to_retract_a_hit_is_to_retract_what_it_took() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    let hit = copy(&sandbox).hits();
    let said = document("retract", sandbox.prov(["--json", "retract", hit.id()]));
    let runs: Vec<&Value> = said["items"].as_array().unwrap().iter().map(|item| &item["run"]).collect();
    assert_eq!(runs, [&hit.json["run"], &first.json["run"]]);
    copy(&sandbox).misses();
}

#[test]
fn names_that_mean_the_newest_success_pass_over_what_was_retracted_and_its_hits() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    sandbox.file("in.txt", "other\n");
    let second = copy(&sandbox).misses();
    copy(&sandbox).hits();
    sandbox.prov(["retract", second.id()]).ok();
    for name in ["copy", "out"] {
        let found = document("rev-parse", sandbox.prov(["--json", "rev-parse", name]));
        assert_eq!(found["items"][0]["run"], first.json["run"], "{name}");
    }
    let rows = logged(&sandbox, &["--all"]);
    let retracted: Vec<&Value> = rows.iter().map(|row| &row["retracted"]).collect();
    assert_eq!(retracted, [&Value::Bool(true), &Value::Bool(true), &Value::Bool(false)]);
}

#[test]
fn what_rests_on_something_retracted_is_told() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    run(&sandbox, ["-i", "out.txt", "-o", "n.txt", "--", "sh", "-c", "wc -c < out.txt > n.txt"]).misses();
    sandbox.prov(["retract", first.id(), "-m", "wrong year"]).ok();
    let status = document("status", sandbox.prov(["--json", "status"]));
    let step = status["steps"].as_array().unwrap().iter().find(|one| one["step"] == "sh").unwrap();
    assert_eq!((&step["state"], &step["reasons"][0]["part"]), (&"fresh".into(), &"inputs.out".into()));
    assert_eq!(
        (&step["reasons"][0]["kind"], &step["reasons"][0]["after"]),
        (&"retracted".into(), &"wrong year".into())
    );
}

#[test]
fn hidden_runs_are_folded_and_still_hits() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    sandbox.file("in.txt", "other\n");
    let second = copy(&sandbox).misses();
    document("hide", sandbox.prov(["--json", "hide", second.id()]));
    assert_eq!(logged(&sandbox, &[]).len(), 1);
    assert_eq!(logged(&sandbox, &["--all"]).len(), 2);
    assert!(sandbox.prov(["log"]).ok().out().contains("(1 hidden folded)"));
    let last = document("rev-parse", sandbox.prov(["--json", "rev-parse", "@last"]));
    assert_eq!(last["items"][0]["run"], first.json["run"]);
    copy(&sandbox).hits();
    sandbox.prov(["hide", second.id(), "--undo"]).ok();
    assert_eq!(logged(&sandbox, &["--all"]).len(), 3);
}

fn failing(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    let words = ["--json", "run", "-i", "in.txt", "-o", "out.txt"];
    let command = ["--", "sh", "-c", "echo started; echo 'no such column' >&2; exit 3"];
    sandbox.prov(words.iter().chain(more).chain(&command))
}

#[test]
fn a_failure_is_remembered_with_when_where_how_and_how_often() {
    let sandbox = with_copy();
    let first = failing(&sandbox, &[]).ends(3);
    assert!(!first.err().contains("failed before"));
    let second = failing(&sandbox, &[]).ends(3);
    let told = second.err();
    let line = told.lines().find(|line| line.contains("failed before")).unwrap();
    for part in ["code 3", " on ", "no such column"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(told.find("failed before").unwrap() < told.find("started").unwrap(), "it is said before: {told}");
    let third = failing(&sandbox, &["--on-known-failure", "stop"]).ends(125);
    assert!(third.err().contains("known_failure") && !third.err().contains("started"), "{third}");
    let plan = sandbox.prov([
        "--json",
        "plan",
        "run",
        "-i",
        "in.txt",
        "-o",
        "out.txt",
        "--",
        "sh",
        "-c",
        "echo started; echo 'no such column' >&2; exit 3",
    ]);
    let plan = document("plan", plan);
    assert_eq!((&plan["known_failure"]["times"], &plan["known_failure"]["exit_code"]), (&2.into(), &3.into()));
    assert_eq!(plan["known_failure"]["last_line"], "no such column");
    failing(&sandbox, &["--on-known-failure", "stop", "-f"]).ends(3);
    for row in logged(&sandbox, &[]) {
        sandbox.prov(["retract", row["run"].as_str().unwrap()]).ok();
    }
    assert!(!failing(&sandbox, &["--on-known-failure", "stop"]).ends(3).err().contains("failed before"));
}

#[test]
fn a_failure_that_a_success_followed_is_not_told() {
    let sandbox = with_copy();
    let flaky = ["-i", "in.txt", "-o", "out.txt", "--code", "none", "--", "sh", "-c", "cp flag out.txt"];
    let go = |more: &[&str]| run(&sandbox, more.iter().chain(&flaky));
    assert_eq!(go(&[]).status(), "failure");
    sandbox.file("flag", "x");
    go(&[]).misses();
    remove(&sandbox, "flag");
    let third = go(&["-f"]);
    assert!(!third.outcome.err().contains("failed before"), "{}", third.outcome);
}

#[test]
fn other_bytes_from_the_same_recipe_are_recorded_and_told() {
    let sandbox = with_copy();
    let words = ["-i", "in.txt", "-o", "same", "-o", "other", "--", "sh", "-c", "echo x > same; echo $$ > other"];
    let first = run(&sandbox, words).misses();
    assert_eq!(first.json["differs_from"], Value::Null);
    let second = run(&sandbox, ["-f"].iter().chain(&words)).misses();
    assert_eq!(second.json["differs_from"]["keys"], serde_json::json!(["other"]));
    assert_eq!(second.json["differs_from"]["run"], first.json["run"]);
    assert!(second.outcome.err().contains("not deterministic"), "{}", second.outcome);
    assert_eq!(why(&sandbox, first.id())["others"][0]["run"], second.json["run"], "told of the earlier one as well");
    let status = document("status", sandbox.prov(["--json", "status"]));
    assert_eq!(status["steps"][0]["others"][0]["keys"], serde_json::json!(["other"]));
    assert!(sandbox.prov(["show", second.id()]).ok().out().contains("made other bytes of other"));
    let bytes = read(&sandbox, "other");
    remove(&sandbox, "other");
    let third = run(&sandbox, words).hits();
    assert_eq!(third.json["cache"]["source"], second.json["run"], "the newest outcome comes first");
    assert_eq!(read(&sandbox, "other"), bytes);
    sandbox.prov(["retract", second.id()]).ok();
    let fourth = run(&sandbox, words).hits();
    assert_eq!(fourth.json["cache"]["source"], first.json["run"], "then the one before");
}

#[test]
fn strict_looks_at_every_byte_lazy_at_presence_and_none_at_the_record() {
    use crate::project::spoil_content;
    let sandbox = project();
    let big = crate::project::noise(400_000);
    sandbox.file("in.txt", &big).file("copy.sh", crate::project::COPY);
    copy(&sandbox).misses();
    remove(&sandbox, "out.txt");
    let go = |validate: &str| {
        let words = ["--validate", validate, "--restore", "metadata"];
        run(&sandbox, words.iter().copied().chain(RUN_COPY[1..].iter().copied()).chain(["out.txt"]))
    };
    go("strict").hits();
    spoil_content(&sandbox);
    go("none").hits();
    go("lazy").hits();
    let miss = go("strict").misses();
    assert_eq!(miss.json["cache"]["reasons"][0]["kind"], "outputs_lost");
}

#[test]
fn strict_believes_no_state_of_a_file() {
    let sandbox = with_copy();
    run(&sandbox, RUN_COPY[1..].iter().copied().chain(["out.txt"])).misses();
    let strict = ["--validate", "strict"];
    let words = || strict.iter().copied().chain(RUN_COPY[1..].iter().copied()).chain(["out.txt"]);
    assert_eq!(run(&sandbox, words()).hits().action("out"), "kept");
}

#[test]
fn an_epoch_of_project_scenario_or_step_and_a_step_version_forget_what_was_before() {
    let sandbox = with_copy();
    let part = |ran: &crate::project::Ran| ran.parts().into_iter().map(ToOwned::to_owned).collect::<Vec<_>>();
    let go =
        |more: &[&str]| run(&sandbox, more.iter().copied().chain(RUN_COPY[1..].iter().copied()).chain(["out.txt"]));
    go(&[]).misses();
    assert_eq!(part(&go(&["--epoch", "1"]).misses()), ["epochs.step"]);
    assert_eq!(part(&go(&["--step-version", "2"]).misses()), ["version"]);
    let before = sandbox.prov(["--json", "scenario", "set", "--epoch", "3"]).ok().json();
    assert_eq!(before["items"][0]["epoch"], 3);
    assert_eq!(part(&go(&[]).misses()), ["epochs.scenario"]);
    go(&[]).hits();
    sandbox.prov(["scenario", "set", "main", "--epoch", "0"]).ok();
    go(&[]).hits();
    sandbox.file("prov.toml", "[project]\nepoch = 7\n");
    assert_eq!(part(&go(&[]).misses()), ["epochs.project"]);
    sandbox.prov(["scenario", "new", "other", "--epoch", "1"]).ok();
    assert_eq!(part(&go(&[]).misses()), ["epochs.scenario"]);
    sandbox.prov(["scenario", "set", "nowhere", "--epoch", "1"]).ends(4);
}

#[test]
fn each_cache_mode_does_what_the_table_says_wherever_it_is_said() {
    let words =
        ["-i", "in.txt", "-o", "out.txt", "--code", "none", "--", "sh", "-c", "echo ran >> ../ran; cp in.txt out.txt"];
    let ran = |sandbox: &Sandbox| std::fs::read_to_string(sandbox.path("../ran")).unwrap_or_default().lines().count();
    // Looks up, executes, recorded, may be a hit later; first with a result on record, then without.
    let table = [
        ("reuse", "hit", 1, 2, true),
        ("overwrite", "miss", 2, 2, true),
        ("readonly", "hit", 1, 1, true),
        ("off", "off", 2, 2, true),
    ];
    for (mode, outcome, executed, recorded, _) in table {
        let sandbox = with_copy();
        run(&sandbox, words).misses();
        let again = run(&sandbox, ["--cache", mode].iter().chain(&words));
        assert_eq!((again.cache(), ran(&sandbox)), (outcome, executed), "{mode}");
        assert_eq!(logged(&sandbox, &["--all"]).len(), recorded, "{mode}");
    }
    for (mode, later) in [("reuse", "hit"), ("overwrite", "hit"), ("readonly", "miss"), ("off", "hit")] {
        let said = [("option", mode), ("environment", mode), ("file", mode)];
        for (place, mode) in said {
            let mut sandbox = with_copy();
            if place == "environment" {
                sandbox = sandbox.with("PROV_CACHE", mode);
            } else if place == "file" {
                sandbox.file("prov.toml", format!("[cache]\nmode = \"{mode}\"\n"));
            }
            let option = ["--cache", mode];
            let more = if place == "option" { &option[..] } else { &[] };
            run(&sandbox, more.iter().chain(&words));
            assert_eq!(ran(&sandbox), 1, "{mode} by {place} executes");
            let next = run(&sandbox, ["--cache", "reuse"].iter().chain(&words));
            assert_eq!(next.cache(), later, "{mode} by {place}: {}", next.outcome);
        }
    }
    // Without outputs nothing is looked up, unless it is asked for.
    let sandbox = with_copy();
    let bare = ["-i", "in.txt", "--code", "none", "--", "cat", "in.txt"];
    assert_eq!(run(&sandbox, bare).cache(), "off");
    assert_eq!(run(&sandbox, ["--cache", "reuse"].iter().chain(&bare)).cache(), "hit");
}

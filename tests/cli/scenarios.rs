//! Scenarios: what they say, where they begin, how they are closed and compared.

use serde_json::Value;

use crate::project::{Ran, exists, project, read, remove, run};
use crate::sandbox::Sandbox;
use crate::schema;

#[track_caller]
fn scenario(sandbox: &Sandbox, words: &[&str], code: i32) -> Value {
    let document = sandbox.prov(["--json", "scenario"].iter().chain(words)).ends(code).json();
    schema::assert_valid("scenario", &document);
    document["items"][0].clone()
}

/// A run of step `make` that writes `text` to `out`.
fn make<'a>(text: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--name", "make", "-o", "out", "--code", "none"], more, &["--", "sh", "-c", "echo $0 > out", text]].concat()
}

#[test]
fn config_of_a_scenario_counts_only_where_a_run_asks_for_it() {
    let sandbox = project();
    let words = ["-o", "out", "--code", "none", "--", "sh", "-c", "cat \"$PROV_CONFIG\" > out || echo none > out"];
    let asking = [&["--config", "@scenario"], &words[..]].concat();
    run(&sandbox, words).misses();
    scenario(&sandbox, &["new", "policy", "-S", "fare=2", "-S", "a.b=1"], 0);
    run(&sandbox, words).hits();
    assert_eq!(read(&sandbox, "out"), "none\n");
    let ran = run(&sandbox, &asking).misses();
    assert_eq!(read(&sandbox, "out"), "{\"a\": {\"b\": 1}, \"fare\": 2}");
    assert!(ran.parts().iter().all(|part| part.starts_with("config.")), "{:?}", ran.parts());
    // Layers are laid over one another in their order.
    sandbox.file("more.yaml", "fare: 3\n");
    run(&sandbox, [&["--config", "more.yaml"], &asking[..]].concat()).hits();
    run(&sandbox, [&["--config", "@scenario", "--config", "more.yaml"], &words[..]].concat()).misses();
    assert!(read(&sandbox, "out").contains("\"fare\": 3"));
    sandbox.prov(["scenario", "switch", "main"]).ok();
    run(&sandbox, [&["--config", "@policy"], &words[..]].concat()).hits();
    let outcome = sandbox.prov(["run", "--config", "@polcy", "-o", "x", "--", "touch", "x"]).ends(125);
    assert!(outcome.err().contains("did you mean `policy`?"), "{outcome}");
    run(&sandbox, &asking).hits();
}

#[test]
fn a_fork_hits_everything_until_something_changes() {
    let sandbox = project();
    scenario(
        &sandbox,
        &["new", "baseline", "--epoch", "4", "-S", "fare=1", "--run-tag", "base", "--run-facet", "kind=old"],
        0,
    );
    let first = run(&sandbox, make("one", &["--config", "@scenario"])).misses();
    assert_eq!(first.json["tags"], serde_json::json!(["base"]));
    assert_eq!(first.json["facets"]["kind"], "old");
    let forked = scenario(&sandbox, &["fork", "policy", "--run-facet", "kind=new"], 0);
    assert_eq!((forked["base"].as_str(), forked["epoch"].as_u64()), (Some("baseline"), Some(4)));
    let hit = run(&sandbox, make("one", &["--config", "@scenario"])).hits();
    assert_eq!((hit.json["scenario"].as_str(), hit.json["facets"]["kind"].as_str()), (Some("policy"), Some("new")));
    run(&sandbox, make("two", &["--config", "@scenario"])).misses();
    scenario(&sandbox, &["set", "-S", "fare=2"], 0);
    let ran = run(&sandbox, make("two", &["--config", "@scenario"])).misses();
    assert_eq!(ran.parts(), ["config.fare"]);
}

#[test]
fn what_a_fork_has_not_is_looked_for_in_its_base_as_it_was() {
    let sandbox = project();
    scenario(&sandbox, &["new", "baseline"], 0);
    let first = run(&sandbox, make("one", &[])).misses();
    scenario(&sandbox, &["fork", "policy"], 0);
    let later = run(&sandbox, [&["--scenario", "baseline"], &make("later", &[])[..]].concat()).misses();
    let rev = |rev: &str| sandbox.prov(["--json", "rev-parse", rev]).json()["items"][0]["run"].clone();
    for name in ["@policy:out", "policy@{0}", "make", "out", "@last"] {
        assert_eq!(rev(name), first.id(), "{name}");
    }
    assert_eq!(rev("@baseline:out"), later.id());
    // As an input it is what the base had, put where it was.
    remove(&sandbox, "out");
    let used = run(&sandbox, ["-i", "x=@policy:out", "-o", "copy", "--", "cp", "{input.x}", "copy"]).misses();
    assert_eq!(
        (read(&sandbox, "copy").as_str(), used.json["inputs"]["x"]["producer"]["run"].as_str()),
        ("one\n", Some(first.id()))
    );
    let own = run(&sandbox, make("own", &[])).misses();
    assert_eq!(rev("@policy:out"), own.id());
    assert_eq!(rev("policy@{1}"), used.id());
    assert_eq!(rev("policy@{2}"), first.id());
}

#[test]
fn closing_seals_all_runs_under_one_hash() {
    let sandbox = project();
    scenario(&sandbox, &["new", "policy", "--require", "out"], 0);
    let planned = scenario(&sandbox, &["close", "-n"], 1);
    assert_eq!(planned["closing"]["missing"], serde_json::json!(["out"]));
    let first = run(&sandbox, make("one", &[])).misses();
    sandbox.prov(["run", "--name", "bad", "-o", "x", "--", "sh", "-c", "[ -e good ] && touch x"]).ends(1);
    let closed = scenario(&sandbox, &["close"], 1);
    assert_eq!(closed["closing"]["failed_steps"][0]["step"], "bad");
    assert_eq!(closed["closing"]["status"], "failure");
    for words in [make("one", &[]), make("two", &[])] {
        let outcome = sandbox.prov(std::iter::once("run").chain(words)).ends(125);
        assert!(
            outcome.err().contains("the scenario `policy` is closed") && outcome.err().contains("reopen policy"),
            "{outcome}"
        );
    }
    sandbox.prov(["commit", "out", "-m", "x"]).ends(7);
    sandbox.prov(["map", "--grid", "a=1", "--", "true"]).ends(7);
    sandbox.prov(["scenario", "close"]).ends(7);
    Ran::of(sandbox.prov(["--json", "run", "--cache", "readonly"].iter().copied().chain(make("one", &[])))).hits();
    scenario(&sandbox, &["reopen"], 0);
    sandbox.file("good", "");
    run(&sandbox, ["--name", "bad", "-o", "x", "--", "sh", "-c", "[ -e good ] && touch x"]).misses();
    let closed = scenario(&sandbox, &["close", "-m", "as published"], 0);
    assert_eq!(closed["closing"]["runs"], 3);
    let seal = closed["closed"]["object"].as_str().unwrap();
    let object = sandbox.prov(["--json", "cat-object", seal]).ok().json();
    let text = object.to_string();
    assert!(text.contains(first.id()) && text.contains(first.json["object"].as_str().unwrap()), "{object:#}");
    let shown = sandbox.prov(["--json", "show", seal]).ok().json();
    schema::assert_valid("show", &shown);
    assert_eq!(shown["run"]["kind"], "scenario");
    sandbox.prov(["fsck"]).ok();
    sandbox.prov(["gc"]).ok();
    // A fork goes on.
    scenario(&sandbox, &["fork", "next"], 0);
    run(&sandbox, make("one", &[])).hits();
    // And closing can be taken back as well.
    sandbox.prov(["scenario", "switch", "policy"]).ok();
}

#[test]
fn a_renamed_scenario_keeps_the_name_it_was_born_with() {
    let sandbox = project();
    scenario(&sandbox, &["new", "policy"], 0);
    let first = run(&sandbox, make("one", &[])).misses();
    let renamed = scenario(&sandbox, &["rename", "policy", "fares-up"], 0);
    assert_eq!((renamed["name"].as_str(), renamed["born"].as_str()), (Some("fares-up"), Some("policy")));
    // The checkout is still in it, and both names lead there.
    assert_eq!(run(&sandbox, make("two", &[])).misses().json["scenario"], "policy");
    for name in ["fares-up", "policy"] {
        let ran = run(&sandbox, [&["--scenario", name], &make("three", &[])[..]].concat());
        assert_eq!(ran.json["scenario"], "policy", "{name}");
        assert_eq!(
            sandbox.prov(["--json", "log", name, "--all"]).ok().json()["runs"].as_array().unwrap().last().unwrap()["run"],
            first.id()
        );
        assert_eq!(scenario(&sandbox, &["show", name], 0)["name"], "fares-up");
    }
    sandbox.prov(["scenario", "new", "policy"]).ends(7);
    sandbox.prov(["scenario", "new", "fares-up"]).ends(7);
    sandbox.prov(["scenario", "rename", "main", "x"]).ends(7);
    scenario(&sandbox, &["rename", "fares-up", "fares-down"], 0);
    sandbox.prov(["scenario", "show", "fares-up"]).ends(4);
    assert_eq!(scenario(&sandbox, &["rename", "fares-down", "policy"], 0)["name"], "policy");
    let listed = sandbox.prov(["--json", "scenario", "list"]).ok().json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed:#}");
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn names_of_another_case_are_told() {
    let sandbox = project();
    scenario(&sandbox, &["new", "policy"], 0);
    let outcome = sandbox.prov(["scenario", "new", "Policy"]).ends(7);
    assert!(
        outcome.err().contains("differs from `Policy` by case alone") && outcome.err().contains("--any-case"),
        "{outcome}"
    );
    let outcome = sandbox.prov(["scenario", "switch", "POLICY"]).ends(4);
    assert!(outcome.err().contains("did you mean `policy`?"), "{outcome}");
    scenario(&sandbox, &["new", "Policy", "--any-case"], 0);
    sandbox.prov(["scenario", "new", "last"]).ends(2);
}

#[test]
fn scenarios_are_compared_step_by_step() {
    let sandbox = project();
    scenario(&sandbox, &["new", "baseline", "-S", "fare=1"], 0);
    run(&sandbox, make("one", &["--config", "@scenario"])).misses();
    run(&sandbox, ["--name", "same", "-o", "s", "--", "touch", "s"]).misses();
    scenario(&sandbox, &["fork", "policy", "-S", "fare=2"], 0);
    run(&sandbox, make("one", &["--config", "@scenario"])).misses();
    run(&sandbox, ["--name", "same", "-o", "s", "--", "touch", "s"]).hits();
    run(&sandbox, ["--name", "extra", "-o", "e", "--", "touch", "e"]).misses();
    let found = sandbox.prov(["--json", "scenario", "diff", "baseline", "--exit-code"]).ends(1).json();
    schema::assert_valid("scenario-diff", &found);
    assert_eq!(found["said"], serde_json::json!([{"what": "config.fare", "before": 1, "after": 2}]));
    assert_eq!(found["steps"].as_array().unwrap().len(), 1);
    assert_eq!(found["steps"][0]["changed"][0]["part"], "config.fare");
    assert_eq!((found["equal_steps"].as_u64(), found["only_b"][0].as_str()), (Some(1), Some("extra")));
    sandbox.prov(["scenario", "diff", "baseline", "nowhere"]).ends(4);
    assert!(sandbox.prov(["scenario", "diff", "policy"]).ok().out().contains("nothing that counts differs"));
    assert!(exists(&sandbox, "e"));
}

#[test]
fn a_scenario_without_runs_is_said_to_have_none() {
    let sandbox = project();
    sandbox.prov(["run", "-o", "out", "--", "touch", "out"]).ok();
    sandbox.prov(["scenario", "new", "policy"]).ok();
    let refused = sandbox.prov(["diff", "main", "policy"]).ends(4);
    assert!(refused.err().contains("no run is on record in scenario `policy`"), "{refused}");
}

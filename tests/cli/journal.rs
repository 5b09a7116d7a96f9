//! What was done is listed, and the last of it can be taken back; names and remarks.

use serde_json::Value;

use crate::project::{RUN_COPY, exists, project, read, remove, run, with_copy};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

fn document(what: &str, outcome: Outcome) -> Value {
    let document = outcome.ok().json();
    schema::assert_valid(what, &document);
    document
}

fn ops(sandbox: &Sandbox) -> Vec<Value> {
    document("ops", sandbox.prov(["--json", "ops"]))["operations"].as_array().unwrap().clone()
}

fn undo(sandbox: &Sandbox) -> Value {
    document("undo", sandbox.prov(["--json", "undo"]))
}

fn copy(sandbox: &Sandbox) -> crate::project::Ran {
    run(sandbox, RUN_COPY[1..].iter().copied().chain(["out.txt"]))
}

fn listed(sandbox: &Sandbox) -> usize {
    sandbox.prov(["--json", "log"]).ok().json()["runs"].as_array().unwrap().len()
}

#[test]
fn an_undone_run_is_hidden_and_what_it_replaced_is_back() {
    let sandbox = with_copy();
    sandbox.file("out.txt", "precious\n");
    let ran = copy(&sandbox).misses();
    assert_eq!(read(&sandbox, "out.txt"), "hello\n");
    let dry = document("undo", sandbox.prov(["--json", "undo", "-n"]));
    assert_eq!((&dry["dry_run"], read(&sandbox, "out.txt").as_str()), (&true.into(), "hello\n"));
    let undone = undo(&sandbox);
    assert_eq!(undone["operation"]["runs"][0], ran.json["run"]);
    assert_eq!(read(&sandbox, "out.txt"), "precious\n");
    assert_eq!(listed(&sandbox), 0);
    let operations = ops(&sandbox);
    assert_eq!((&operations[0]["command"], &operations[1]["why_not"]), (&"undo".into(), &"it was taken back".into()));
    sandbox.prov(["undo"]).ends(4);
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn a_hit_that_replaced_something_is_undone_as_well() {
    let sandbox = with_copy();
    copy(&sandbox).misses();
    sandbox.file("out.txt", "precious\n");
    copy(&sandbox).hits();
    assert_eq!(read(&sandbox, "out.txt"), "hello\n");
    undo(&sandbox);
    assert_eq!(read(&sandbox, "out.txt"), "precious\n");
}

#[test]
fn what_was_changed_since_is_left_and_told_how_to_get() {
    let sandbox = with_copy();
    sandbox.file("out.txt", "precious\n");
    copy(&sandbox).misses();
    sandbox.file("out.txt", "edited since\n");
    let undone = undo(&sandbox);
    let left = undone["steps"].as_array().unwrap().iter().find(|step| step["action"] == "left").unwrap();
    assert_eq!(read(&sandbox, "out.txt"), "edited since\n");
    let content = left["content"].as_str().unwrap();
    assert_eq!(sandbox.prov(["cat", content]).ok().out(), "precious\n");
}

#[test]
fn undo_twice_takes_back_the_one_before_and_folding_changes_nothing() {
    let sandbox = project();
    sandbox.file("a", "1").file("b", "2");
    sandbox.prov(["add", "a"]).ok();
    sandbox.prov(["add", "b"]).ok();
    for n in 0..40 {
        let command = format!("echo {n} > o");
        sandbox.prov(["run", "-q", "--name", "gen", "-o", "o", "--code", "none", "--", "sh", "-c", &command]).ok();
    }
    for _ in 0..40 {
        undo(&sandbox);
    }
    assert_eq!(undo(&sandbox)["operation"]["about"], "b");
    assert_eq!(undo(&sandbox)["operation"]["about"], "a");
    sandbox.prov(["undo"]).ends(4);
    sandbox.prov(["commit", "-m", "nothing is staged"]).ends(2);
    assert_eq!(listed(&sandbox), 0);
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn an_undone_commit_is_staged_again_and_an_undone_retraction_is_a_hit_again() {
    let sandbox = with_copy();
    sandbox.prov(["add", "in.txt"]).ok();
    sandbox.prov(["commit", "-m", "data"]).ok();
    undo(&sandbox);
    sandbox.prov(["commit", "-m", "data once more"]).ok();
    let first = copy(&sandbox).misses();
    sandbox.prov(["retract", first.id()]).ok();
    undo(&sandbox);
    assert_eq!(copy(&sandbox).hits().json["cache"]["source"], first.json["run"]);
    sandbox.prov(["scenario", "new", "other", "--no-switch"]).ok();
    undo(&sandbox);
    assert!(!sandbox.prov(["--json", "scenario", "list"]).ok().out().contains("other"));
}

#[test]
fn what_another_operation_changed_since_is_not_undone() {
    let sandbox = with_copy();
    copy(&sandbox).misses();
    sandbox.prov(["scenario", "new", "other"]).ok();
    copy(&sandbox);
    undo(&sandbox);
    let refused = sandbox.prov(["undo"]).ends(7);
    assert!(refused.err().contains("it has runs"), "{refused}");
}

#[test]
fn a_restore_that_was_forced_is_undone() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    sandbox.file("out.txt", "precious\n");
    sandbox.prov(["restore", "-f", first.id()]).ok();
    assert_eq!(read(&sandbox, "out.txt"), "hello\n");
    let undone = undo(&sandbox);
    assert_eq!(undone["operation"]["command"], "restore");
    assert_eq!(read(&sandbox, "out.txt"), "precious\n");
    assert_eq!(listed(&sandbox), 1);
}

#[test]
fn a_tag_names_moves_only_when_told_and_is_taken_back() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    sandbox.file("in.txt", "other\n");
    let second = copy(&sandbox).misses();
    document("tag", sandbox.prov(["--json", "tag", "v1", first.id()]));
    document("tag", sandbox.prov(["--json", "tag", "table", &format!("{}:out", first.id())]));
    let named = |name: &str| sandbox.prov(["--json", "rev-parse", name]).ok().json()["items"][0]["run"].clone();
    assert_eq!(named("v1"), first.json["run"]);
    assert_eq!(sandbox.prov(["cat", "table"]).ok().out(), "hello\n");
    let refused = sandbox.prov(["tag", "v1", second.id()]).ends(7);
    assert!(refused.err().contains("tag -f"), "{refused}");
    sandbox.prov(["tag", "-f", "v1", second.id()]).ok();
    assert_eq!(named("v1"), second.json["run"]);
    undo(&sandbox);
    assert_eq!(named("v1"), first.json["run"]);
    let listed = document("tag", sandbox.prov(["--json", "tag"]));
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    sandbox.prov(["tag", "-d", "v1"]).ok();
    sandbox.prov(["rev-parse", "v1"]).ends(4);
    sandbox.prov(["tag", "-d", "v1"]).ends(4);
    undo(&sandbox);
    assert_eq!(named("v1"), first.json["run"]);
    for bad in ["a/b", "a:b", "-x", "@a", ""] {
        let outcome = sandbox.prov(["tag", bad, first.id()]);
        assert_eq!(outcome.code, 2, "{bad}: {outcome}");
    }
    sandbox.prov(["tag", "v2", "no-such-run"]).ends(4);
    sandbox.prov(["gc"]).ok();
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn a_tag_keeps_content_that_nothing_else_names() {
    let sandbox = project();
    sandbox.file("a", crate::project::noise(400_000));
    let added = sandbox.prov(["--json", "add", "a"]).ok().json();
    let id = added["items"][0]["id"].as_str().unwrap().to_owned();
    sandbox.prov(["tag", "kept", &id]).ok();
    undo(&sandbox);
    sandbox.prov(["tag", "kept", &id]).ok();
    // Unstage it, so that only the tag leads to it.
    sandbox.file("a", "x");
    sandbox.prov(["add", "a"]).ok();
    sandbox.prov(["gc"]).ok();
    assert_eq!(sandbox.prov(["cat", "kept"]).ok().stdout.len(), 400_000);
}

#[test]
fn notes_are_shown_and_stay() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    document("note", sandbox.prov(["--json", "note", first.id(), "-m", "agrees with the paper"]));
    sandbox.prov(["note", "out", "-m", "column 4 is in feet"]).ok();
    let shown = document("show", sandbox.prov(["--json", "show", first.id()]));
    assert_eq!(shown["run"]["notes"][0]["text"], "agrees with the paper");
    assert!(sandbox.prov(["show", first.id()]).ok().out().contains("agrees with the paper"));
    let logged = document("log", sandbox.prov(["--json", "log"]));
    assert_eq!(logged["runs"][0]["notes"], 1);
    assert!(sandbox.prov(["log"]).ok().out().contains("1 note"));
    assert!(sandbox.prov(["note", "out"]).ok().out().contains("column 4 is in feet"));
    assert_eq!(undo(&sandbox)["operation"]["command"], "run", "notes stay, so the run before them is taken back");
    sandbox.prov(["note", first.id(), "-m", " "]).ends(2);
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn workspaces_that_share_a_store_undo_their_own() {
    let sandbox = with_copy();
    copy(&sandbox).misses();
    let store = sandbox.path(".prov/store");
    let other = Sandbox::new();
    other.prov(["init", "-q", "--store", store.to_str().unwrap()]).ok();
    other.file("x", "1");
    other.prov(["commit", "x", "-m", "x"]).ok();
    assert_eq!(ops(&sandbox)[0]["command"], "run");
    undo(&sandbox);
    assert_eq!(ops(&other).len(), 1);
    assert_eq!(undo(&other)["operation"]["command"], "commit");
    assert!(exists(&other, "x"));
    remove(&other, "x");
}

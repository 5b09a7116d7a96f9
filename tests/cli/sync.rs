//! Stores that meet: push, fetch, clone and sync between machines that share nothing but a folder.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]

use std::path::{Path, PathBuf};

use prov::fs::Fs;
use serde_json::Value;

use crate::project::{project, read, run};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

/// A folder that both machines see.
pub(crate) fn shared() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("prov-remote-").tempdir().unwrap()
}

/// Text of a path.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A text that is hard to compress.
pub(crate) fn large(words: u32) -> String {
    (0..words).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect::<Vec<_>>().concat()
}

const SCRIPT: &str = "cat \"$1\" \"$1\" > \"$2\"\n";

/// A machine with the project's files, as Git would bring them.
pub(crate) fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("twice.sh", SCRIPT).file("in.txt", "hello\n").file("prov.toml", "[project]\nname = 'demo'\n");
    sandbox
}

/// Runs a step that doubles a file.
#[track_caller]
pub(crate) fn twice(sandbox: &Sandbox, input: &str, output: &str) -> crate::project::Ran {
    run(sandbox, ["-i", input, "-o", output, "--", "sh", "twice.sh", input, output])
}

/// What a command of sync says, checked.
#[track_caller]
pub(crate) fn said(what: &str, outcome: Outcome) -> Value {
    let json = outcome.ok().json();
    schema::assert_valid(what, &json);
    json
}

#[track_caller]
pub(crate) fn push(sandbox: &Sandbox) -> Value {
    said("push", sandbox.prov(["--json", "push"]))
}

#[track_caller]
pub(crate) fn fetch(sandbox: &Sandbox) -> Value {
    said("fetch", sandbox.prov(["--json", "fetch"]))
}

/// The run ids on record, all scenarios.
#[track_caller]
pub(crate) fn history(sandbox: &Sandbox) -> Vec<String> {
    let log = sandbox.prov(["--json", "log", "--all", "-n", "100000"]).ok().json();
    let mut runs: Vec<String> =
        log["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect();
    runs.sort();
    runs
}

/// A machine that has recorded something and pushed it.
fn pushed(remote: &Path) -> Sandbox {
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "origin", &text(remote)]).ok();
    assert_eq!(twice(&a, "in.txt", "out.txt").cache(), "miss");
    assert_eq!(push(&a)["created"], true);
    a
}

fn cloned(remote: &Path) -> Sandbox {
    let b = machine();
    said("clone", b.prov(["--json", "clone", &text(remote), "."]));
    b
}

fn sound(sandbox: &Sandbox) {
    sandbox.prov(["fsck"]).ok();
}

fn sound_remote(remote: &Path) {
    // A project on the remote's own store checks all of it.
    let sandbox = Sandbox::new();
    sandbox.prov(["init", "-q", "--store", &text(remote)]).ok();
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn what_one_machine_recorded_is_a_hit_on_another() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = pushed(&remote);
    let b = cloned(&remote);
    let hit = twice(&b, "in.txt", "out.txt");
    assert_eq!(hit.cache(), "hit");
    assert_eq!(read(&b, "out.txt"), "hello\nhello\n");
    sound(&a);
    sound(&b);
    sound_remote(&remote);

    // Both work on, and both come to know all of it.
    twice(&a, "out.txt", "a.txt");
    b.file("in.txt", "other\n");
    assert_eq!(twice(&b, "in.txt", "out.txt").cache(), "miss");
    said("sync", a.prov(["--json", "sync"]));
    let both = said("sync", b.prov(["--json", "sync"]));
    assert_eq!(both["fetched"]["runs"], 1, "{both}");
    assert_eq!(both["pushed"]["runs"], 2, "{both}");
    said("sync", a.prov(["--json", "sync"]));
    assert_eq!(history(&a), history(&b));
    assert_eq!(history(&a).len(), 4);
    sound(&a);
    sound(&b);
    sound_remote(&remote);
    let again = said("sync", a.prov(["--json", "sync"]));
    assert_eq!((&again["fetched"]["objects"], &again["pushed"]["objects"]), (&0.into(), &0.into()), "{again}");
}

#[test]
#[cfg(not(feature = "cloud"))]
fn a_build_without_buckets_says_how_to_get_one_that_has_them() {
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "origin", "s3://bucket/project?region=eu-1"]).ok();
    for command in ["push", "fetch", "sync"] {
        let refused = a.prov(["--json", command]).ends(7);
        assert!(refused.err().contains("not_built") && refused.err().contains("--features cloud"), "{refused}");
    }
}

#[test]
fn nothing_new_is_nothing_sent_and_nothing_written() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = pushed(&remote);
    let before = files(&remote);
    for _ in 0..3 {
        let json = push(&a);
        assert_eq!((json["runs"].as_u64(), json["bytes"].as_u64()), (Some(0), Some(0)), "{json}");
    }
    assert_eq!(files(&remote), before);
    assert_eq!(a.prov(["push"]).ok().err().matches("nothing to push").count(), 1);
}

fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut all: Vec<_> =
        Fs::real().walk(folder).map(|item| item.unwrap()).map(|(path, stat)| (path, stat.size)).collect();
    all.sort();
    all
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "origin", &text(&remote)]).ok();
    twice(&a, "in.txt", "out.txt");
    let counted = said("push", a.prov(["--json", "push", "-n"]));
    assert_eq!(counted["runs"], 1);
    assert!(!remote.exists());
    let sent = push(&a);
    assert_eq!((&sent["runs"], &sent["objects"]), (&counted["runs"], &counted["objects"]));
    let b = machine();
    b.prov(["init", "-q"]).ok();
    b.prov(["remote", "add", "origin", &text(&remote)]).ok();
    let before = files(&b.path(".prov/store"));
    let counted = said("fetch", b.prov(["--json", "fetch", "--dry-run"]));
    assert_eq!(counted["runs"], 1);
    assert_eq!(files(&b.path(".prov/store")), before);
    assert_eq!(fetch(&b)["objects"], counted["objects"]);
}

#[test]
fn only_what_is_selected_travels_with_all_that_it_comes_from() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "origin", &text(&remote)]).ok();
    twice(&a, "in.txt", "one.txt");
    let second = twice(&a, "one.txt", "two.txt");
    a.file("else.txt", "else\n");
    let other = twice(&a, "else.txt", "other.txt");
    a.prov(["tag", "mine", other.json["run"].as_str().unwrap()]).ok();
    let id = second.json["run"].as_str().unwrap();
    let json = said("push", a.prov(["--json", "push", "--run", id]));
    assert_eq!(json["runs"], 2, "the run, and the one that made its input: {json}");
    let json = said("push", a.prov(["--json", "push", "--tag", "mine"]));
    assert_eq!((&json["runs"], &json["tags"]), (&1.into(), &1.into()), "{json}");
    sound_remote(&remote);
    let b = machine();
    b.prov(["init", "-q"]).ok();
    b.prov(["remote", "add", "origin", &text(&remote)]).ok();
    let tail = id.rsplit('-').next().unwrap();
    let json = said("fetch", b.prov(["--json", "fetch", "--run", &tail[..8]]));
    assert_eq!(json["runs"], 2, "{json}");
    b.prov(["fetch", "--step", "nothing"]).ends(4);
    b.prov(["fetch", "--scenario", "nothing"]).ends(4);
    b.prov(["fetch", "--run", "zzzzzzzz"]).ends(4);
    let json = said("fetch", b.prov(["--json", "fetch", "--scenario", "main"]));
    assert_eq!(json["runs"], 1, "{json}");
    assert_eq!(history(&b), history(&a));
    sound(&b);
}

#[test]
fn without_a_remote_nothing_is_a_success() {
    let a = project();
    for command in ["push", "fetch", "pull", "sync"] {
        let outcome = a.prov([command]).ends(4);
        assert!(outcome.err().contains("no remote is configured"), "{outcome}");
    }
    a.prov(["remote", "add", "one", "/nowhere/one"]).ok();
    a.prov(["fetch", "two"]).ends(4);
    let outcome = a.prov(["fetch"]).ends(6);
    assert!(outcome.err().contains("/nowhere/one"), "{outcome}");
    a.prov(["remote", "add", "one", "/nowhere/two"]).ends(7);
    a.prov(["remote", "add", "two", "ssh://ann:secret@host/p"]).ends(2);
    a.prov(["remote", "add", "two", "--", "-oProxyCommand=x:p"]).ends(2);
    a.prov(["remote", "add", "two", "/nowhere/two"]).ok();
    let listed = said("remote", a.prov(["--json", "remote", "list"]));
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    a.prov(["fetch"]).ends(4);
    a.prov(["remote", "remove", "one"]).ok();
    a.prov(["remote", "remove", "one"]).ends(4);
    a.prov(["log"]).ok();
}

#[test]
fn a_folder_with_other_files_is_not_made_a_store() {
    let dir = shared();
    std::fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let a = machine();
    a.prov(["init", "-q"]).ok();
    twice(&a, "in.txt", "out.txt");
    let outcome = a.prov(["push", &text(dir.path())]).ends(7);
    assert!(outcome.err().contains("holds files"), "{outcome}");
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn settings_and_tags_that_both_sides_made_are_both_kept() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = pushed(&remote);
    let b = cloned(&remote);
    a.prov(["tag", "best", "@last"]).ok();
    a.prov(["scenario", "new", "hot", "-S", "rate=1", "-S", "same=7"]).ok();
    b.prov(["scenario", "new", "hot", "-S", "rate=2", "-S", "same=7", "-S", "more=3"]).ok();
    b.file("in.txt", "more\n");
    assert_eq!(twice(&b, "in.txt", "two.txt").status(), "success");
    b.prov(["tag", "best", "@last"]).ok();
    push(&a);
    let json = fetch(&b);
    let met = json["met"].as_array().unwrap();
    assert_eq!(met.len(), 2, "{json}");
    assert_eq!(met[0]["conflicts"], serde_json::json!(["config.rate"]));
    assert_eq!(met[0]["kept_as"], "hot@origin");
    assert_eq!(met[1]["kept_as"], "best@origin");
    let listed = b.prov(["scenario", "list"]).ok().out();
    assert!(listed.contains("hot@origin"), "{listed}");
    assert!(b.prov(["tag"]).ok().out().contains("best@origin"));
    sound(&b);
    let json = push(&b);
    assert_eq!(json["met"].as_array().unwrap().len(), 2, "{json}");
    fetch(&a);
    sound(&a);
    assert_eq!(history(&a), history(&b));
}

#[test]
fn what_was_said_of_runs_travels() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = pushed(&remote);
    let b = cloned(&remote);
    a.prov(["note", "@last", "-m", "wrong sensor"]).ok();
    a.prov(["retract", "@last"]).ok();
    assert_eq!(push(&a)["marks"], 2);
    assert_eq!(fetch(&b)["marks"], 2);
    assert_eq!(twice(&b, "in.txt", "out.txt").cache(), "miss");
    assert!(b.prov(["note", &history(&a)[0]]).ok().out().contains("wrong sensor"));
    sound(&b);
    sound_remote(&remote);
}

#[test]
fn scrubbed_content_is_scrubbed_elsewhere_only_if_that_is_asked_for() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = pushed(&remote);
    let b = cloned(&remote);
    let id = a.prov(["--json", "id", "out.txt"]).ok().json()["id"].as_str().unwrap().to_owned();
    a.prov(["scrub", "-y", &id]).ok();
    let json = push(&a);
    assert_eq!(json["scrubbed"], serde_json::json!([id]), "{json}");
    let outcome = b.prov(["fetch"]).ok();
    assert!(outcome.err().contains("scrubbed there"), "{outcome}");
    b.prov(["cat", &id]).ok();
    let json = said("fetch", b.prov(["--json", "fetch", "--accept-scrubs"]));
    assert_eq!(json["scrubbed"], serde_json::json!([id]), "{json}");
    b.prov(["cat", &id]).ends(4);
    sound(&b);
    sound_remote(&remote);
}

#[test]
fn a_remote_brought_back_from_a_backup_is_noticed_and_filled_up_again() {
    let dir = shared();
    let (remote, backup) = (dir.path().join("project"), dir.path().join("backup"));
    let a = pushed(&remote);
    copy(&remote, &backup);
    a.file("in.txt", "second\n");
    twice(&a, "in.txt", "out.txt");
    push(&a);
    std::fs::remove_dir_all(&remote).unwrap();
    std::fs::rename(&backup, &remote).unwrap();
    let json = push(&a);
    assert_eq!(json["other_history"], true, "{json}");
    assert_eq!(json["runs"], 1, "{json}");
    let b = cloned(&remote);
    assert_eq!(history(&a), history(&b));
    sound_remote(&remote);
}

fn copy(from: &Path, to: &Path) {
    Fs::real().make_dirs(to).unwrap();
    for item in Fs::real().walk(from) {
        let (path, stat) = item.unwrap();
        let target = to.join(path.strip_prefix(from).unwrap());
        if stat.is_folder() {
            Fs::real().make_dirs(&target).unwrap();
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn folders_and_large_content_come_whole() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = machine();
    a.prov(["init", "-q"]).ok();
    a.prov(["remote", "add", "origin", &text(&remote)]).ok();
    let mut state = 9u64;
    let large: Vec<u8> = (0..3_000_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect();
    a.file("data/large.bin", &large);
    for n in 0..1500 {
        a.file(format!("data/sub/{n}"), format!("file {n}"));
    }
    a.prov(["commit", "data", "-m", "all of it"]).ok();
    let sent = push(&a);
    assert!(sent["objects"].as_u64().unwrap() > 1500, "{sent}");
    sound_remote(&remote);
    let b = cloned(&remote);
    b.prov(["restore", "@last"]).ok();
    assert_eq!(std::fs::read(b.path("data/large.bin")).unwrap(), large);
    assert_eq!(read(&b, "data/sub/777"), "file 777");
    sound(&b);
    // An edit in the middle moves little.
    let mut edited = large.clone();
    edited[1_500_000] ^= 1;
    a.file("data/large.bin", &edited);
    a.prov(["commit", "data", "-m", "edited"]).ok();
    let sent = push(&a);
    assert!(sent["bytes"].as_u64().unwrap() < 1_500_000, "{sent}");
    fetch(&b);
    b.prov(["restore", "-f", "@last"]).ok();
    assert_eq!(std::fs::read(b.path("data/large.bin")).unwrap(), edited);
    sound(&b);
}

/// How many rounds a test of pushers at once takes: more with `PROV_TEST_ROUNDS`.
pub(crate) fn rounds(few: u32) -> u32 {
    std::env::var("PROV_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Four machines that record, each its own, and push at once, round after round. `all` is a machine that comes new to the remote then.
pub(crate) fn four_pushers(machines: &[Sandbox], rounds: u32, all: impl FnOnce() -> Sandbox) {
    for round in 0..rounds {
        for (n, sandbox) in machines.iter().enumerate() {
            sandbox.file("in.txt", format!("machine {n} round {round}\n"));
            assert_eq!(twice(sandbox, "in.txt", "out.txt").status(), "success");
        }
        let children: Vec<_> = machines.iter().map(|one| one.command(["push", "-q"]).spawn().unwrap()).collect();
        for (sandbox, child) in machines.iter().zip(children) {
            sandbox.finished(child).ok();
        }
    }
    let mut recorded: Vec<String> = machines.iter().flat_map(history).collect();
    recorded.sort();
    assert_eq!(recorded.len(), machines.len() * rounds as usize);
    let all = all();
    assert_eq!(history(&all), recorded);
    sound(&all);
    for sandbox in machines {
        fetch(sandbox);
        assert_eq!(history(sandbox), recorded);
        sound(sandbox);
    }
}

#[test]
fn four_pushers_at_once_lose_nothing() {
    let dir = shared();
    let remote = dir.path().join("project");
    let one = || {
        let sandbox = machine();
        sandbox.prov(["init", "-q"]).ok();
        sandbox.prov(["remote", "add", "origin", &text(&remote)]).ok();
        sandbox
    };
    let machines = [one(), one(), one(), one()];
    four_pushers(&machines, rounds(6), || cloned(&remote));
    sound_remote(&remote);
}

#[test]
fn what_is_recorded_after_there_was_nothing_to_do_travels() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = pushed(&remote);
    let b = cloned(&remote);
    let nothing = |json: Value| assert_eq!((&json["runs"], &json["objects"]), (&0.into(), &0.into()), "{json}");
    for n in 0..3 {
        (0..3).for_each(|_| nothing(push(&a)));
        a.file("in.txt", format!("round {n}\n"));
        twice(&a, "in.txt", "out.txt").misses();
        (0..3).for_each(|_| nothing(fetch(&b)));
        (0..3).for_each(|_| nothing(push(&b)));
        assert_eq!(push(&a)["runs"], 1);
        assert_eq!(fetch(&b)["runs"], 1);
        // What travels by itself, with records alone, and in the other direction.
        a.prov(["tag", &format!("t{n}"), "@last"]).ok();
        assert_eq!(said("push", a.prov(["--json", "push", "--records"]))["tags"], 1);
        nothing(push(&a));
        assert_eq!(fetch(&b)["tags"], 1);
        b.prov(["retract", "@last", "-m", "wrong"]).ok();
        assert_eq!(push(&b)["marks"], 1);
        assert_eq!(fetch(&a)["marks"], 1);
    }
    assert_eq!(history(&a), history(&b));
    // A remote that lost its newest entries, and one that is another one.
    let (before, other) = (dir.path().join("before"), dir.path().join("other"));
    copy(&remote, &before);
    twice(&a, "twice.sh", "other.txt").misses();
    push(&a);
    nothing(push(&a));
    Fs::real().remove_tree(&remote).unwrap();
    copy(&before, &remote);
    let json = push(&a);
    assert_eq!((&json["other_history"], &json["runs"]), (&true.into(), &1.into()), "{json}");
    std::fs::rename(&remote, &other).unwrap();
    let json = push(&a);
    assert_eq!((&json["created"], &json["runs"]), (&true.into(), &5.into()), "{json}");
}

#[test]
fn records_come_without_content_and_content_comes_later() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = pushed(&remote);
    for n in 0..30 {
        a.file(format!("data/sub/{n}"), format!("file {n}"));
    }
    a.prov(["commit", "data", "-m", "a folder"]).ok();
    a.prov(["tag", "result", &format!("{}:out", history(&a)[0])]).ok();
    push(&a);
    let b = machine();
    let json = said("clone", b.prov(["--json", "clone", "--records", &text(&remote), "."]));
    assert_eq!(json["runs"], 2, "{json}");
    assert_eq!(history(&b), history(&a));
    let outcome = b.prov(["fsck"]).ok();
    assert!(!outcome.out().contains("content-missing"), "what is elsewhere is not lost: {outcome}");
    b.prov(["gc"]).ok();
    let json = said("fetch", b.prov(["--json", "fetch", "--content", "--run", &history(&a)[0]]));
    assert_eq!(json["runs"], 0, "{json}");
    assert!(json["objects"].as_u64().unwrap() > 0, "{json}");
    assert_eq!(twice(&b, "in.txt", "out.txt").cache(), "hit");
    let json = said("fetch", b.prov(["--json", "fetch", "--content"]));
    assert!(json["objects"].as_u64().unwrap() > 20, "{json}");
    b.prov(["restore", &history(&a)[1]]).ok();
    assert_eq!(read(&b, "data/sub/7"), "file 7");
    sound(&b);
    b.prov(["gc"]).ok();
    // What has only records gives records alone, and says what it has not.
    let c = machine();
    c.prov(["clone", "--records", &text(&remote), "."]).ok();
    let second = dir.path().join("second");
    let json = said("push", c.prov(["--json", "push", &text(&second)]));
    assert!(json["absent"].as_u64().unwrap() > 0, "{json}");
    sound_remote(&second);
    let json = said("push", a.prov(["--json", "push", &text(&second)]));
    assert_eq!(json["absent"], 0, "{json}");
}

#[test]
fn other_names_of_scenarios_and_verdicts_travel() {
    let dir = shared();
    let remote = dir.path().join("project");
    let a = pushed(&remote);
    a.prov(["scenario", "new", "policy"]).ok();
    a.file("in.txt", "other\n");
    twice(&a, "in.txt", "policy.txt");
    a.prov(["scenario", "rename", "policy", "toll"]).ok();
    let verified = a.prov(["--json", "verify", "@last"]).ok().json();
    let run = verified["items"][0]["run"].as_str().unwrap().to_owned();
    push(&a);
    let b = cloned(&remote);
    let named = |sandbox: &Sandbox, name: &str| {
        sandbox.prov(["--json", "scenario", "show", name]).ok().json()["items"][0].clone()
    };
    for name in ["toll", "policy"] {
        let (there, here) = (named(&a, name), named(&b, name));
        assert_eq!((&here["name"], &here["born"]), (&there["name"], &there["born"]), "{here}");
        assert_eq!((here["name"].as_str(), here["born"].as_str()), (Some("toll"), Some("policy")), "{here}");
    }
    assert_eq!(named(&b, "toll")["runs"], 1);
    let score = |sandbox: &Sandbox| {
        let json = sandbox.prov(["--json", "verify", "--scenario", "toll", "--summary"]).ok().json();
        (json["total"]["reproduced"].clone(), json["total"]["verified"].clone())
    };
    assert_eq!(score(&b), score(&a), "the verdict about {run}");
    assert_eq!(score(&b).0, 1);

    // One that is given later moves what is known there.
    a.prov(["scenario", "rename", "toll", "fee"]).ok();
    said("sync", a.prov(["--json", "sync"]));
    said("sync", b.prov(["--json", "sync"]));
    assert_eq!(named(&b, "fee")["born"], "policy");
    sound(&a);
    sound(&b);
    sound_remote(&remote);
}

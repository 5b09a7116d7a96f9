//! Content that is elsewhere comes when it is looked at, and no more of it than that.

use std::path::Path;

use serde_json::Value;

use crate::project::{noise, read, remove, run};
use crate::sandbox::Sandbox;
use crate::schema;
use crate::sync::{machine, push, shared, text};

fn with_remote(remote: &Path) -> Sandbox {
    let sandbox = machine();
    sandbox.prov(["init", "-q"]).ok();
    sandbox.prov(["remote", "add", "origin", &text(remote)]).ok();
    sandbox
}

/// A clone that has nothing but records.
fn records(remote: &Path) -> Sandbox {
    let sandbox = machine();
    sandbox.prov(["clone", "-q", "--records", &text(remote), "."]).ok();
    sandbox
}

/// How much of some content is here.
#[track_caller]
fn here(sandbox: &Sandbox, rev: &str) -> String {
    let json = sandbox.prov(["--json", "where", rev]).json();
    schema::assert_valid("where", &json);
    let stores = json["items"][0]["stores"].as_array().unwrap();
    stores.iter().find(|one| one["store"] == "here").unwrap()["has"].as_str().unwrap().to_owned()
}

/// Two runs of a step: its code lies in a folder, a table and a text differ, a third file does not.
fn fitted(remote: &Path) -> Sandbox {
    let a = with_remote(remote);
    for (rate, script) in [("1", "one"), ("2", "two")] {
        a.file("lib/deep/fit.sh", format!("# {script}\n"));
        a.file("lib/same/same.sh", "# same\n");
        a.file("go.sh", format!("printf 'id,x\\n1,{rate}\\n' > t.csv; echo {rate} > n.txt; echo same > s.txt\n"));
        let words = ["--name", "fit", "-o", "t=t.csv", "-o", "n=n.txt", "-o", "s=s.txt", "--", "sh", "go.sh"];
        run(&a, words).misses();
    }
    push(&a);
    a
}

fn code_parts(diff: &Value) -> Vec<&str> {
    diff["parts"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect()
}

#[test]
fn a_comparison_brings_what_differs() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = fitted(&remote);
    let whole = a.prov(["--json", "diff", "-p", "fit~1", "fit"]).ok().json();

    let b = records(&remote);
    assert_eq!(b.prov(["--json", "diff", "-p", "fit~1", "fit"]).ok().json(), whole);
    assert_eq!(here(&b, "fit:n"), "all");
    assert_eq!(here(&b, "fit:s"), "no", "both have it, so nobody looked at it");
    b.prov(["fsck"]).ok();

    // Without the patch the lists of folders are enough.
    let c = records(&remote);
    let told = c.prov(["--json", "diff", "fit~1", "fit"]).ok().json();
    assert_eq!(told["parts"], whole["parts"]);
    assert!(code_parts(&told).iter().any(|part| part.ends_with("lib/deep/fit.sh")), "{told}");
    assert_eq!(here(&c, "fit:n"), "no");
    assert_eq!(here(&c, "fit:@code"), "part");
    c.prov(["fsck"]).ok();
    c.prov(["gc"]).ok();

    // Where nobody can be asked, that is told.
    let d = records(&remote);
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    let alone = d.prov(["diff", "fit~1", "fit"]).ok();
    assert!(alone.err().contains("remote origin can't be asked"), "{alone}");
    assert!(alone.err().contains("prov fetch --content origin"), "{alone}");
}

#[test]
fn why_and_comparisons_of_scenarios_tell_files_of_the_code() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = with_remote(&remote);
    a.prov(["scenario", "new", "other"]).ok();
    let ran = ["main", "other"].map(|scenario| {
        a.file("lib/deep/fit.sh", format!("# {scenario}\n"));
        run(
            &a,
            [
                "--scenario",
                scenario,
                "--name",
                "fit",
                "--facet",
                "n=1",
                "-o",
                "n.txt",
                "--",
                "sh",
                "-c",
                "echo 1 > n.txt",
            ],
        )
        .misses()
    });
    let run = ran[1].id().to_owned();
    push(&a);
    for words in [
        &["why", &run, "--candidates", "1"][..],
        &["compare", "--on", "n", "main", "other"],
        &["scenario", "diff", "main", "other"],
    ] {
        let b = records(&remote);
        let words = [&["--json"], words].concat();
        let (near, far) = (a.prov(&words), b.prov(&words));
        assert_eq!(far.json(), near.json());
        assert!(far.out().contains("lib/deep/fit.sh"), "{far}");
    }
}

#[test]
fn lists_of_folders_come_without_their_files() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = with_remote(&remote);
    let script = "mkdir -p d/many d/x/y; echo deep > d/x/y/z; for i in $(seq 3000); do : > d/many/f$i; done";
    run(&a, ["--name", "make", "-o", "d", "--", "sh", "-c", script]).misses();
    push(&a);
    let all = a.prov(["ls-tree", "-r", "make:d"]).ok().out();
    assert_eq!(all.lines().count(), 3001);
    let b = records(&remote);
    assert_eq!(b.prov(["ls-tree", "-r", "make:d"]).ok().out(), all);
    assert_eq!(here(&b, "make:d"), "part");
    assert!(b.prov(["show", "make:d"]).ok().out().contains("make"));
    b.prov(["fsck"]).ok();
    b.prov(["restore", "make:d"]).ok();
    assert_eq!(read(&b, "d/x/y/z"), "deep\n");
    assert_eq!(here(&b, "make:d"), "all");
    // One level needs no more than that level.
    let c = records(&remote);
    assert_eq!(c.prov(["ls-tree", "make:d"]).ok().out().lines().count(), 2);
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    let failed = c.prov(["ls-tree", "-r", "make:d"]).ends(5);
    assert!(failed.err().contains("prov fetch --content origin"), "{failed}");
}

#[test]
fn tables_are_those_that_were_recorded() {
    let dir = shared();
    let a = with_remote(&dir.path().join("s"));
    for n in ["1", "2"] {
        let script = format!("printf 'id,x\\n{n},{n}5\\n' > t.csv");
        run(&a, ["--name", "make", "-o", "t=t.csv", "--", "sh", "-c", &script]).misses();
    }
    push(&a);
    a.prov(["evict", "--all"]).ok();
    // What lies there is another run's, and what lies there with the right bytes is as good as the store's.
    assert_eq!(a.prov(["--json", "preview", "make:t"]).ok().json()["tables"][0]["rows"][0][0], "2");
    assert_eq!(here(&a, "make:t"), "no");
    assert_eq!(a.prov(["--json", "preview", "make~1:t"]).ok().json()["tables"][0]["rows"][0][0], "1");
    assert_eq!(here(&a, "make~1:t"), "all");
    remove(&a, "t.csv");
    let shown = a.prov(["--json", "schema", "show", "make:t"]).ok().json();
    schema::assert_valid("schema", &shown);
    assert_eq!(shown["tables"][0]["rows"], 1, "{shown}");
    assert_eq!(here(&a, "make:t"), "all");
    a.prov(["fsck"]).ok();
}

#[test]
fn logs_of_a_pipeline_come_with_what_is_made_of_them() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = with_remote(&remote);
    a.file("prov.yaml", "prov: 1\nsteps:\n  make:\n    - name: say it\n      type: hello_world\n    - name: speak\n      run: echo words\n");
    a.prov(["pipeline", "run"]).ok();
    push(&a);
    let manifest = a.prov(["export", "otter-manifest"]).ok().out();
    assert_eq!(a.prov(["pipeline", "logs", "speak"]).ok().out(), "words\n");
    let b = records(&remote);
    assert_eq!(b.prov(["pipeline", "logs", "speak"]).ok().out(), "words\n");
    let there = b.prov(["export", "otter-manifest"]).ok().out();
    // Each has its own root.
    assert_eq!(there.lines().count(), manifest.lines().count());
    let c = records(&remote);
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    let failed = c.prov(["export", "otter-manifest"]).ends(5);
    assert!(failed.err().contains("prov fetch --content origin"), "{failed}");
}

#[test]
fn a_clone_of_records_that_has_everything_is_a_whole_store_again() {
    let dir = shared();
    let remote = dir.path().join("s");
    fitted(&remote);
    let b = records(&remote);
    b.prov(["ls-tree", "-r", "fit:@code"]).ok();
    let missing = |sandbox: &Sandbox| sandbox.prov(["--json", "fsck"]).out().contains("content-missing");
    b.prov(["fetch"]).ok();
    let fetched = b.prov(["fetch", "--content"]).ok();
    assert!(fetched.err().contains("all content is here now"), "{fetched}");
    assert!(!b.prov(["fetch", "--content"]).ok().err().contains("all content is here now"));
    b.prov(["fsck"]).ok();
    // What is lost now is told; what is evicted is not lost.
    b.prov(["evict", "--all"]).ok();
    assert!(!missing(&b));
    b.prov(["cat", "fit:n"]).ok();
    b.prov(["fsck"]).ok();
    // Records that come alone make it one of records once more.
    let a = with_remote(&remote);
    a.file("in.txt", noise(600_000));
    run(&a, ["--name", "new", "-o", "new.txt", "--", "sh", "-c", "rev in.txt > new.txt"]).misses();
    push(&a);
    b.prov(["fetch", "--records"]).ok();
    assert_eq!(here(&b, "new:new"), "no");
    assert!(!missing(&b));
    b.prov(["fsck"]).ok();
    // What is lost in a whole store is told.
    let c = records(&remote);
    c.prov(["fetch", "--content"]).ok();
    prov::fs::Fs::real().remove_tree(&remote).unwrap();
    crate::project::spoil_content(&c);
    c.prov(["fsck", "--repair"]);
    assert!(missing(&c), "{}", c.prov(["--json", "fsck"]));
}

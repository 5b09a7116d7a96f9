//! A run in a folder that needs no prov.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::project::{exists, project, read, run};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

#[track_caller]
fn pack(sandbox: &Sandbox, rev: &str, folder: &str) {
    let json = sandbox.prov(["--json", "pack", rev, folder]).ok().json();
    schema::assert_valid("pack", &json);
}

/// Runs the script where there is no prov.
fn execute(sandbox: &Sandbox, folder: &str, words: &[&str]) -> Outcome {
    let mut command = Command::new("/bin/sh");
    command.arg(sandbox.path(folder).join("run.sh")).args(words);
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    sandbox.outcome(command)
}

/// Moves the pack away and takes everything else from it.
fn alone(sandbox: &Sandbox, folder: &str) {
    let fs = prov::fs::Fs::real();
    fs.rename(&sandbox.path(folder), &sandbox.path("../packed")).unwrap();
    fs.remove_tree(&sandbox.project()).unwrap();
    fs.make_dirs(sandbox.path(folder).parent().unwrap()).unwrap();
    fs.rename(&sandbox.path("../packed"), &sandbox.path(folder)).unwrap();
}

#[test]
fn a_packed_run_is_executed_without_prov() {
    let sandbox = project();
    sandbox
        .file("data/it's raw.txt", "b\na\n")
        .file("tool.sh", "sort \"$1\" > \"$2\"\necho $LEVEL >> \"$2\"\nmkdir -p more\ncat \"$PROV_CONFIG\" > more/config.txt\necho 1 > more/x.csv\necho 2 > more/y.csv\n")
        .file("sub/keep", "");
    let words = [
        "--name",
        "sort",
        "-S",
        "n=3",
        "--env",
        "LEVEL=it's high",
        "-i",
        "raw=data/it's raw.txt",
        "-o",
        "sorted.txt",
        "-o",
        "more/config.txt",
        "--output-set",
        "tables=more:*.csv",
        "--",
        "sh",
        "tool.sh",
        "data/it's raw.txt",
        "sorted.txt",
    ];
    run(&sandbox, words).misses();
    pack(&sandbox, "sort", "packs/p 1");
    sandbox.prov(["pack", "sort", "packs/p 1"]).ends(2);
    let readme = read(&sandbox, "packs/p 1/README.md");
    assert!(readme.contains("sh tool.sh") && readme.contains(&prov::hash::blob(b"b\na\n").to_string()), "{readme}");
    assert!(!exists(&sandbox, "packs/p 1/project/.prov"));
    alone(&sandbox, "packs/p 1");
    let done = execute(&sandbox, "packs/p 1", &[]).ok();
    for made in ["sorted.txt", "more/config.txt", "more/x.csv", "more/y.csv"] {
        assert!(done.out().contains(&format!("same     {made}\n")), "{made}: {done}");
    }
    assert_eq!(read(&sandbox, "packs/p 1/again/sorted.txt"), "a\nb\nit's high\n");
    // Once more it has to be told where.
    execute(&sandbox, "packs/p 1", &[]).ends(2);
    let there = sandbox.path("there");
    execute(&sandbox, "packs/p 1", &[there.to_str().unwrap()]).ok();
    assert_eq!(read(&sandbox, "there/sorted.txt"), "a\nb\nit's high\n");
    // Another result is told.
    sandbox.file("packs/p 1/project/data/it's raw.txt", "c\n");
    let differs = execute(&sandbox, "packs/p 1", &[sandbox.path("third").to_str().unwrap()]).ends(1);
    assert!(
        differs.out().contains("differs  sorted.txt") && differs.out().contains("same     more/x.csv"),
        "{differs}"
    );
}

#[test]
fn folders_standard_input_and_files_from_outside_are_packed() {
    let sandbox = project();
    sandbox
        .file("../outside/in.txt", "outside\n")
        .file("words.txt", "w\n")
        .file("work/run.sh", "cat > out/a; cat \"$1\" >> out/a; echo b > out/b\n");
    let outside = sandbox.path("../outside/in.txt").canonicalize().unwrap();
    let outside = outside.to_str().unwrap();
    let script = "mkdir -p out && sh work/run.sh \"$PROV_INPUT_FAR\" && echo x > \"$PROV_OUTPUT_DIR/log\"";
    let words =
        ["--name", "s", "--stdin", "words.txt", "-i", &format!("far={outside}"), "-o", "out", "--", "sh", "-c", script];
    run(&sandbox, words).misses();
    pack(&sandbox, "s", "p");
    alone(&sandbox, "p");
    std::fs::remove_file(outside).unwrap();
    let done = execute(&sandbox, "p", &[]).ok();
    assert!(done.out().contains("same     out\n"), "{done}");
    assert_eq!(read(&sandbox, "p/again/out/a"), "w\noutside\n");
}

#[test]
fn what_can_not_be_packed_leaves_nothing_behind() {
    let sandbox = project();
    sandbox.file("a.txt", "a\n");
    sandbox.prov(["commit", "a.txt", "-m", "by hand"]).ok();
    sandbox.prov(["pack", "@last", "p"]).ends(2);
    run(&sandbox, ["--name", "h", "--no-store", "o", "-o", "o.txt", "--", "sh", "-c", "echo 1 > o.txt"]).misses();
    crate::project::remove(&sandbox, "o.txt");
    assert_ne!(sandbox.prov(["pack", "h", "p"]).code, 0);
    assert!(!Path::exists(&sandbox.path("p")));
    sandbox.prov(["pack", "nothing", "p"]).ends(4);
}
